//! Answers as the front sends them.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::api::http::Response;
use crate::serve::core::{Answer, Ending};

/// A connection that is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
pub(super) struct Dropped;

pub(super) fn present(answer: Answer) -> Result<hyper::Response<Content>, Dropped> {
    if answer.ending == Ending::Dropped {
        return Err(Dropped);
    }
    let Response {
        status,
        headers,
        body,
        content_type,
    } = answer.response;
    let mut builder = hyper::Response::builder().status(status);
    if !body.is_empty() {
        builder = builder.header(hyper::header::CONTENT_TYPE, content_type.as_ref());
    }
    for (name, value) in headers {
        builder = builder.header(name.as_ref(), value);
    }
    let content = Content::new(body.into(), answer.ending);
    // A fault may ask for an invalid status.
    builder.body(content).map_err(|_| Dropped)
}

/// The body of an answer, which may break in the middle.
#[derive(Debug)]
pub(super) struct Content {
    length: u64,
    data: Option<Bytes>,
    breaks: bool,
    flushed: bool,
}

impl Content {
    fn new(mut data: Bytes, ending: Ending) -> Self {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let breaks = ending == Ending::Truncated;
        if breaks {
            data.truncate(data.len() / 2);
        }
        Self {
            length,
            data: Some(data).filter(|data| !data.is_empty()),
            breaks,
            flushed: false,
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if !self.breaks {
            return Poll::Ready(None);
        }
        if !self.flushed {
            // hyper sends what it has while it waits for more.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Dropped)))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

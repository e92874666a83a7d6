//! Responses as [`Front`](super::Front) sends them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::api::http::Response;
use crate::data_plane::{Reply, ReplyBody};
use crate::serve::core::{Answer, Ending};
use crate::world::random::Random;

/// A connection that is closed without a response.
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
        ..
    } = answer.response;
    let mut builder = hyper::Response::builder().status(status);
    if !body.is_empty() {
        builder = builder.header(hyper::header::CONTENT_TYPE, content_type.as_ref());
    }
    for (name, value) in headers {
        builder = builder.header(name.as_ref(), value);
    }
    let content = match answer.ending {
        Ending::Dripped(time) => Content::Dripped(DrippedBody::new(body.into(), time)),
        ending => Content::Whole(WholeBody::new(body.into(), ending)),
    };
    // A fault may ask for an invalid status.
    builder.body(content).map_err(|_| Dropped)
}

/// The response of an app.
pub(super) fn of_reply(reply: Reply) -> Result<hyper::Response<Content>, Dropped> {
    let mut builder = hyper::Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        builder = builder.header(name.as_ref(), value);
    }
    let content = match reply.body {
        ReplyBody::Bytes(body) => Content::Whole(WholeBody::new(body.into(), Ending::Whole)),
        ReplyBody::Random(left) => Content::Random(RandomBytes {
            left,
            random: Random::from_seed(Random::any_seed()),
        }),
    };
    builder.body(content).map_err(|_| Dropped)
}

/// The body of a response.
#[derive(Debug)]
pub(super) enum Content {
    Whole(WholeBody),
    Dripped(DrippedBody),
    Random(RandomBytes),
    /// The body of another server's response.
    Streamed(UnsyncBoxBody<Bytes, Dropped>),
}

impl Content {
    pub(super) fn streamed(
        body: impl Body<Data = Bytes, Error = Dropped> + Send + 'static,
    ) -> Self {
        Self::Streamed(body.boxed_unsync())
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        match self.get_mut() {
            Self::Whole(whole) => whole.poll(context),
            Self::Dripped(dripped) => dripped.poll(context).map(|it| it.map(Frame::data).map(Ok)),
            Self::Random(random) => Poll::Ready(random.next().map(|it| Ok(Frame::data(it)))),
            Self::Streamed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.data.is_none() && !whole.breaks,
            Self::Dripped(dripped) => dripped.left.is_empty(),
            Self::Random(random) => random.left == 0,
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => SizeHint::with_exact(whole.length),
            Self::Dripped(dripped) => SizeHint::with_exact(dripped.left.len() as u64),
            Self::Random(random) => SizeHint::with_exact(random.left),
            Self::Streamed(body) => body.size_hint(),
        }
    }
}

/// A body in memory, which may be cut in the middle.
#[derive(Debug)]
pub(super) struct WholeBody {
    length: u64,
    data: Option<Bytes>,
    breaks: bool,
    flushed: bool,
}

impl WholeBody {
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

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if !self.breaks {
            return Poll::Ready(None);
        }
        if !self.flushed {
            // hyper sends buffered data while it waits for more.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Dropped)))
    }
}

/// A body that is sent piece by piece, with a pause before each.
#[derive(Debug)]
pub(super) struct DrippedBody {
    left: Bytes,
    piece: usize,
    pause: Duration,
    pausing: Pin<Box<Sleep>>,
}

impl DrippedBody {
    fn new(body: Bytes, time: Duration) -> Self {
        const MAX_PIECES: usize = 20;
        let piece = body.len().div_ceil(MAX_PIECES).max(1);
        let pieces = u32::try_from(body.len().div_ceil(piece)).unwrap_or(u32::MAX);
        let pause = time / pieces.max(1);
        Self {
            left: body,
            piece,
            pause,
            pausing: Box::pin(sleep(pause)),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.pausing.as_mut().poll(context));
        self.pausing = Box::pin(sleep(self.pause));
        let length = self.piece.min(self.left.len());
        Poll::Ready(Some(self.left.split_to(length)))
    }
}

/// A body of random bytes.
#[derive(Debug)]
pub(super) struct RandomBytes {
    left: u64,
    random: Random,
}

impl RandomBytes {
    fn next(&mut self) -> Option<Bytes> {
        const PIECE: u64 = 64 * 1024;
        let length = usize::try_from(self.left.min(PIECE)).unwrap_or_default();
        if length == 0 {
            return None;
        }
        self.left = self.left.saturating_sub(PIECE);
        let mut piece = Vec::with_capacity(length + 8);
        while piece.len() < length {
            piece.extend_from_slice(&self.random.step().to_le_bytes());
        }
        piece.truncate(length);
        Some(piece.into())
    }
}

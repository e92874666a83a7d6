//! Reads the bodies of requests as they arrive: uploads go to temporary files, everything
//! else to memory.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::Stream;
use http::header::{CONTENT_TYPE, EXPECT};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use tokio::time::{Sleep, timeout};

use crate::api::error::CcError;
use crate::api::form::{Form, FormError, HashingThread};
use crate::api::http::Response;
use crate::serve::request_log::KEPT_BODY;

/// The maximum size of an upload, larger than what the Cloud Controller accepts.
const MAX_UPLOAD: u64 = 2 * 1024 * 1024 * 1024;

/// The maximum size of any other body.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// The maximum size of a snapshot to restore.
const MAX_SNAPSHOT: u64 = 1024 * 1024 * 1024;

/// The time for which a client may pause in the middle of a body.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// The time for which the body of a refused request is read, because some clients read
/// the response only after they have sent the whole body.
const LINGER: Duration = Duration::from_secs(30);

/// A body that was read.
#[derive(Debug, Default)]
pub(super) struct ReadBody {
    /// The whole body. For an upload, only its beginning.
    pub(super) bytes: Vec<u8>,
    pub(super) size: u64,
    pub(super) form: Form,
}

/// Reads a body, or returns the response if it cannot be read.
pub(super) async fn read(parts: &Parts, body: &mut Incoming) -> Result<ReadBody, Response> {
    let content_type = parts.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let upload = content_type.filter(|content_type| Form::is_type(content_type));
    let limit = match upload {
        Some(_) => MAX_UPLOAD,
        None if parts.uri.path().starts_with("/_mock/") => MAX_SNAPSHOT,
        None => MAX_BODY,
    };
    if body.size_hint().lower() > limit {
        return Err(too_large(limit));
    }
    let mut pieces = Pieces::new(body, limit);
    let read = match upload {
        Some(content_type) => {
            pieces.kept = KEPT_BODY;
            Form::read(content_type, &mut pieces, HashingThread::Pool).await
        }
        None => pieces.read_all().await.map(|()| Form::default()),
    };
    match read {
        Ok(form) => Ok(ReadBody {
            bytes: pieces.beginning,
            size: pieces.size,
            form,
        }),
        Err(FormError::Body) if pieces.size > limit => Err(too_large(limit)),
        Err(FormError::Body) => Err(Response::json(400, &CcError::unparsable().body())),
        Err(error @ FormError::Disk(_)) => Err(storage_failed(&error)),
    }
}

/// Reads and discards the rest of a body. If a socket is closed with unread bytes, it is
/// reset, and the client may not receive the response.
pub(super) fn discard(parts: &Parts, mut body: Incoming) {
    // Clients that wait for permission to send the body will not send it.
    if body.is_end_stream() || parts.headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(timeout(LINGER, async move {
        while let Some(Ok(_)) = body.frame().await {}
    }));
}

/// Reads the beginning of a body and discards the rest. `None` if the connection breaks.
pub(super) async fn read_beginning(body: &mut Incoming, length: usize) -> Option<Vec<u8>> {
    let mut beginning = Vec::new();
    while let Some(piece) = next_piece(body).await? {
        let missing = length.saturating_sub(beginning.len()).min(piece.len());
        beginning.extend_from_slice(&piece[..missing]);
    }
    Some(beginning)
}

/// The number of bytes of a body. `None` if the connection breaks.
pub(super) async fn count(mut body: Incoming) -> Option<u64> {
    let mut bytes = 0_u64;
    while let Some(piece) = next_piece(&mut body).await? {
        bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }
    Some(bytes)
}

/// The next piece of a body, or its end. `None` if the connection breaks.
async fn next_piece(body: &mut Incoming) -> Option<Option<Bytes>> {
    loop {
        match timeout(READ_TIMEOUT, body.frame()).await.ok()? {
            None => return Some(None),
            Some(Err(_)) => return None,
            Some(Ok(frame)) => {
                // Trailers are ignored.
                if let Ok(piece) = frame.into_data() {
                    return Some(Some(piece));
                }
            }
        }
    }
}

fn too_large(limit: u64) -> Response {
    let mebibytes = limit / (1024 * 1024);
    let detail = format!("mock-capi accepts bodies of at most {mebibytes} MiB here");
    let error = CcError::new(413, 10001, "MockCapi-BodyTooLarge", detail);
    Response::json(413, &error.body())
}

fn storage_failed(error: &FormError) -> Response {
    let source = std::error::Error::source(error);
    let cause = source.map(ToString::to_string).unwrap_or_default();
    let error = CcError::new(
        507,
        10001,
        "MockCapi-UploadFailed",
        format!("mock-capi: {error}: {cause}"),
    );
    Response::json(507, &error.body())
}

/// The reason why there is no next piece.
#[derive(Debug, thiserror::Error)]
enum PieceError {
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    #[error("the body is too large")]
    TooLarge,
    #[error("the client stopped sending the body")]
    Stalled,
}

/// The pieces of a body. The beginning is kept.
struct Pieces<'b> {
    body: &'b mut Incoming,
    limit: u64,
    size: u64,
    beginning: Vec<u8>,
    /// The number of bytes to keep.
    kept: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<'b> Pieces<'b> {
    fn new(body: &'b mut Incoming, limit: u64) -> Self {
        Self {
            body,
            limit,
            size: 0,
            beginning: Vec::new(),
            kept: usize::MAX,
            deadline: Box::pin(tokio::time::sleep(READ_TIMEOUT)),
        }
    }

    async fn read_all(&mut self) -> Result<(), FormError> {
        while let Some(piece) = futures_util::StreamExt::next(self).await {
            piece.map_err(|_| FormError::Body)?;
        }
        Ok(())
    }

    fn take(&mut self, piece: Bytes) -> Result<Bytes, PieceError> {
        self.size = self.size.saturating_add(piece.len() as u64);
        if self.size > self.limit {
            return Err(PieceError::TooLarge);
        }
        let missing = self.kept.saturating_sub(self.beginning.len());
        let missing = missing.min(piece.len());
        self.beginning.extend_from_slice(&piece[..missing]);
        let now = tokio::time::Instant::now();
        self.deadline.as_mut().reset(now + READ_TIMEOUT);
        Ok(piece)
    }
}

impl Stream for Pieces<'_> {
    type Item = Result<Bytes, PieceError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match Pin::new(&mut *self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are ignored.
                    if let Ok(piece) = frame.into_data() {
                        return Poll::Ready(Some(self.take(piece)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let stalled = self.deadline.as_mut().poll(context).is_ready();
                    return match stalled {
                        true => Poll::Ready(Some(Err(PieceError::Stalled))),
                        false => Poll::Pending,
                    };
                }
            }
        }
    }
}

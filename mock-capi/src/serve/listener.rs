//! HTTP over TCP: a thread of its own that accepts connections, hands their
//! requests to the [`Core`], and hangs up where a fault wants it.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::api::error::CcError;
use crate::api::http::{Request, Response};
use crate::serve::server::Core;

/// The largest body that is read: more than an app's bits may have.
const MAX_BODY: usize = 2 * 1024 * 1024 * 1024;

/// What a request gets.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// How long it is held back.
    pub(crate) delay: Duration,
    pub(crate) ending: Ending,
}

/// How much of an answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// The connection breaks in the middle of the body.
    Truncated,
    /// The connection breaks before the first byte.
    Dropped,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            response,
            delay: Duration::ZERO,
            ending: Ending::Whole,
        }
    }
}

/// A socket being listened on; dropping it closes it and all its connections.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens, and answers from then on.
    pub(crate) fn start(address: SocketAddr, core: Arc<Core>) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = {
            let _reactor = runtime.enter();
            tokio::net::TcpListener::from_std(socket)?
        };
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    never = accept(socket, address, core) => match never {},
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("mock-capi".into());
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread.spawn(serve)?),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends without a result, even if it panicked.
            let _ = thread.join();
        }
    }
}

async fn accept(
    socket: tokio::net::TcpListener,
    address: SocketAddr,
    core: Arc<Core>,
) -> Infallible {
    /// Until when others may have closed theirs, if there are too many.
    const PAUSE: Duration = Duration::from_millis(20);
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, address, Arc::clone(&core)));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Answers the requests of a connection, one after the other.
async fn serve(stream: TcpStream, address: SocketAddr, core: Arc<Core>) {
    // Without it, small answers wait for each other.
    let _ = stream.set_nodelay(true);
    let client = stream.peer_addr().ok();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let core = Arc::clone(&core);
        async move {
            let (parts, body) = request.into_parts();
            let answer = match Limited::new(body, MAX_BODY).collect().await {
                Ok(body) => {
                    let body = body.to_bytes();
                    core.answer(&Request::new(&parts, &body, client), address)
                }
                Err(_) => unreadable().into(),
            };
            if !answer.delay.is_zero() {
                tokio::time::sleep(answer.delay).await;
            }
            write(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // Whatever ends a connection is the client's doing, or what a fault wants.
    let _ = connection.await;
}

/// To a request whose body is cut off or larger than it may be.
fn unreadable() -> Response {
    Response::json(400, &CcError::unparsable().body())
}

/// A connection that is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
struct Dropped;

fn write(answer: Answer) -> Result<hyper::Response<Content>, Dropped> {
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
        builder = builder.header(hyper::header::CONTENT_TYPE, content_type);
    }
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    let content = Content::new(body.into(), answer.ending);
    // A fault may ask for a status that is none.
    builder.body(content).map_err(|_| Dropped)
}

/// The body of an answer, which may break in the middle.
#[derive(Debug)]
struct Content {
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
            // Hyper sends what it has while it waits for more.
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

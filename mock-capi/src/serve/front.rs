//! The adapter that the binary uses, and tests that need the wire itself: a
//! thread of its own accepts connections, hands their requests to the
//! [`CloudController`], and hangs up where a fault wants it.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
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
use crate::serve::adapter::Adapter;
use crate::serve::adapter::sealed::{Serve, WireKind};
use crate::serve::controller::CloudController;
use crate::serve::core::{Answer, Ending, Wire};

/// The largest body that is read: more than an app's bits may have.
const MAX_BODY: usize = 2 * 1024 * 1024 * 1024;

/// Serves the fake on a server of mock-capi's own, which can break off answers
/// and read large uploads; from
/// [`MockCapiBuilder::front`](crate::MockCapiBuilder::front).
///
/// Dropping it closes the socket and all its connections.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Adapter for Front {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Serve for Front {
    const WIRE: WireKind = WireKind(Wire::Front);

    async fn start(
        address: SocketAddr,
        controller: CloudController,
        _keeps_requests: bool,
    ) -> io::Result<Self> {
        Self::listen(address, controller)
    }
}

impl Front {
    /// Listens, and serves the fake from then on.
    pub(crate) fn listen(address: SocketAddr, controller: CloudController) -> io::Result<Self> {
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
        controller.core().serve_at(format!("http://{address}"));
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    never = accept(socket, controller) => match never {},
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
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends without a result, even if it panicked.
            let _ = thread.join();
        }
    }
}

async fn accept(socket: tokio::net::TcpListener, controller: CloudController) -> Infallible {
    /// Until when others may have closed theirs, if there are too many.
    const PAUSE: Duration = Duration::from_millis(20);
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, controller.clone()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Answers the requests of a connection, one after the other.
async fn serve(stream: TcpStream, controller: CloudController) {
    // Without it, small answers wait for each other.
    let _ = stream.set_nodelay(true);
    let client = stream.peer_addr().ok();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let controller = controller.clone();
        async move {
            let (parts, body) = request.into_parts();
            let answer = match Limited::new(body, MAX_BODY).collect().await {
                Ok(body) => {
                    let body = body.to_bytes();
                    controller.answer(&Request::of_parts(&parts, &body, client))
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
        builder = builder.header(hyper::header::CONTENT_TYPE, content_type.as_ref());
    }
    for (name, value) in headers {
        builder = builder.header(name.as_ref(), value);
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

//! The adapter of the binary, and of tests that need control over connections. A
//! dedicated thread accepts connections, passes their requests to the
//! [`CloudController`], and closes connections when a fault requires it.

mod apps;
mod body;
mod content;
mod tls;

use std::convert::Infallible;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::HeaderValue;
use http::header::HOST;
use http::request::Parts;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::api::http::{Request, Response};
use crate::serve::adapter::Adapter;
use crate::serve::adapter::sealed::{Serve, ServeOptions, WireKind};
use crate::serve::controller::CloudController;
use crate::serve::core::{Answer, Wire};

use apps::RoutedRequest;
use content::{Content, Dropped};
pub(crate) use tls::Tls;

/// The time limit of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Serves the fake with mock-capi's own server, which can close connections in the middle
/// of a response, accepts large uploads and supports TLS. Created by
/// [`MockCapiBuilder::front`](crate::MockCapiBuilder::front).
///
/// Dropping it closes the socket and all connections.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    tls: Option<Tls>,
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

    async fn start(options: ServeOptions, controller: CloudController) -> io::Result<Self> {
        Self::listen(options.address, options.tls, controller)
    }
}

impl Front {
    /// Listens on the address, and serves the fake from then on.
    pub(crate) fn listen(
        address: SocketAddr,
        tls: Option<Tls>,
        controller: CloudController,
    ) -> io::Result<Self> {
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
        let scheme = if tls.is_some() { "https" } else { "http" };
        controller.core().serve_at(format!("{scheme}://{address}"));
        if let Some(tls) = &tls {
            controller.core().serve_with(Arc::clone(&tls.certificate));
        }
        let (stop, stopped) = oneshot::channel();
        let accepted = accept(socket, tls.clone(), controller);
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    never = accepted => match never {},
                    _ = stopped => {}
                }
            });
            // This does not wait for a thread that is reading an upload.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("mock-capi".into());
        Ok(Self {
            address,
            tls,
            stop: Some(stop),
            thread: Some(thread.spawn(serve)?),
        })
    }

    /// The certificate that clients must trust, in PEM format. `None` without TLS.
    pub(crate) fn certificate(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.certificate.as_ref())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread has no result, even if it panicked.
            let _ = thread.join();
        }
    }
}

async fn accept(
    socket: tokio::net::TcpListener,
    tls: Option<Tls>,
    controller: CloudController,
) -> Infallible {
    /// The pause before the next attempt to accept a connection, if too many are open.
    const PAUSE: Duration = Duration::from_millis(20);
    loop {
        match socket.accept().await {
            Ok((stream, client)) => {
                tokio::spawn(connect(stream, client, tls.clone(), controller.clone()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connect(
    stream: TcpStream,
    client: SocketAddr,
    tls: Option<Tls>,
    controller: CloudController,
) {
    // Otherwise, small responses would be delayed.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(stream, client, controller).await,
        Some(tls) => {
            let handshake = timeout(HANDSHAKE, tls.acceptor.accept(stream)).await;
            // A client that does not trust the certificate closes the connection.
            if let Ok(Ok(stream)) = handshake {
                serve(stream, client, controller).await;
            }
        }
    }
}

/// Answers the requests of a connection one by one.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    client: SocketAddr,
    controller: CloudController,
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let controller = controller.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            adopt_authority(&mut parts);
            let request = match apps::route(parts, body, client, &controller) {
                RoutedRequest::Other(request) => request,
                RoutedRequest::App(request) => {
                    return request.answer(&controller).await;
                }
            };
            let (parts, body) = *request;
            let mut answer = answer(&parts, body, client, &controller).await;
            if let Some(awaited) = answer.awaited.take() {
                let request = Request::of_parts(&parts, b"", Some(client));
                let pending = mem::replace(&mut answer.response, Response::empty(204));
                answer.response = controller.complete(&request, pending, awaited).await;
            }
            if !answer.delay.is_zero() {
                tokio::time::sleep(answer.delay).await;
            }
            content::present(answer) as Result<hyper::Response<Content>, Dropped>
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // A connection ends because of the client or a fault.
    let _ = connection.await;
}

/// A request through a proxy has its host in the URI, which takes precedence over the
/// `Host` header.
fn adopt_authority(parts: &mut Parts) {
    let authority = parts.uri.authority();
    let host = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        parts.headers.insert(HOST, host);
    }
}

async fn answer(
    parts: &Parts,
    mut body: Incoming,
    client: SocketAddr,
    controller: &CloudController,
) -> Answer {
    let core = controller.core();
    let head = Request::of_parts(parts, b"", Some(client));
    if body.is_end_stream() {
        return controller.answer(&head);
    }
    if core.refuses_unread(&head) {
        body::discard(parts, body);
        return controller.answer(&head);
    }
    match body::read(parts, &mut body).await {
        Ok(read) => {
            let request = Request::of_parts(parts, &read.bytes, Some(client));
            controller.answer(&request.with_form(&read.form, read.size))
        }
        Err(response) => {
            body::discard(parts, body);
            response.into()
        }
    }
}

//! The adapter for Rust tests: a `wiremock` server whose last mock is the fake, so that
//! tests can mount their own mocks in front of it.
//!
//! Properties of wiremock, and their consequences:
//! - A mock either responds or breaks the connection. The fake therefore consists of two
//!   mocks. The first mock calls the fake, and matches only if the connection should be
//!   broken. The second mock sends the response. Both run under the server's lock, one
//!   directly after the other.
//! - wiremock keeps every request that a mock matched until all mocks are removed. The
//!   fake's mocks are therefore replaced regularly, while the test cannot have mounted
//!   other mocks: see [`Renewal`].
//! - Bodies are read as a whole, so their size is limited.
//! - A mock cannot wait for another request to the same server. So a broker on the same
//!   server can neither be asked for parameters nor be used through v2, whose responses
//!   wait for brokers. All other requests to brokers are sent while no response waits.

use std::fmt;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};

use http::header::CONTENT_TYPE;
use tokio::runtime;
use wiremock::matchers::any;
use wiremock::{Match, Mock, MockServer, Respond, ResponseTemplate};

use crate::MockCapi;
use crate::api::error::CcError;
use crate::api::form::Form;
use crate::api::http::{Request, Response};
use crate::serve::adapter::Adapter;
use crate::serve::adapter::sealed::{Serve, ServeOptions, WireKind};
use crate::serve::controller::CloudController;
use crate::serve::core::{Answer, Ending, Wire};

/// The maximum size of a body. wiremock keeps bodies in memory more than once.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The lowest priority in wiremock.
const LOWEST_PRIORITY: u8 = u8::MAX;

/// The number of requests that wiremock keeps before they are removed.
const RENEW_AFTER_REQUESTS: u64 = 4096;

/// The number of bytes of bodies that wiremock keeps before they are removed.
const RENEW_AFTER_BYTES: u64 = 16 * 1024 * 1024;

/// Serves the fake on a `wiremock` server. This is the default adapter.
pub struct Wiremock {
    // Dropped first, because it shares the server.
    renewal: Option<Renewal>,
    relay: Relay,
    server: Arc<MockServer>,
}

impl fmt::Debug for Wiremock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiremock")
            .field("address", self.server.address())
            .finish_non_exhaustive()
    }
}

impl Adapter for Wiremock {
    fn address(&self) -> SocketAddr {
        *self.server.address()
    }
}

impl Serve for Wiremock {
    const WIRE: WireKind = WireKind(Wire::Wiremock);

    async fn start(options: ServeOptions, controller: CloudController) -> io::Result<Self> {
        let ServeOptions {
            address,
            keeps_requests,
            ..
        } = options;
        let listener = TcpListener::bind(address)?;
        let mut builder = MockServer::builder().listener(listener);
        if !keeps_requests {
            builder = builder.disable_request_recording();
        }
        let server = Arc::new(builder.start().await);
        controller.core().serve_at(server.uri());
        let (relay, renewal) = if keeps_requests {
            (Relay::new(controller, None), None)
        } else {
            let (ask, asked) = mpsc::channel();
            let relay = Relay::new(controller, Some(ask));
            let renewal = Renewal::start(Arc::clone(&server), relay.clone(), asked)?;
            (relay, Some(renewal))
        };
        relay.mount(&server).await;
        Ok(Self {
            renewal,
            relay,
            server,
        })
    }
}

impl MockCapi {
    /// The wiremock server on which the fake is mounted, for additional mocks.
    ///
    /// For a mock that should be removed before the test ends, use a [`Scope`]: wiremock
    /// 0.6.5 cannot unmount a mock that was mounted *as scoped* on a server with mocks of
    /// a lower priority, such as the fake; it unmounts the fake instead.
    ///
    /// From the first call on, wiremock keeps every request, as it does for all mocks:
    /// about 1 KiB for each, and its body.
    ///
    /// ```
    /// use mock_capi::MockCapi;
    /// use mock_capi::wiremock::matchers::{method, path};
    /// use mock_capi::wiremock::{Mock, ResponseTemplate};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mock = MockCapi::start().await?;
    /// // One operation is stubbed. The fake responds to all other requests.
    /// Mock::given(method("GET"))
    ///     .and(path("/v3/service_brokers"))
    ///     .respond_with(ResponseTemplate::new(200).set_body_string("{\"resources\": []}"))
    ///     .expect(1)
    ///     .mount(mock.server())
    ///     .await;
    ///
    /// let http = reqwest::Client::new();
    /// for path in ["/v3/service_brokers", "/v3/apps"] {
    ///     let url = format!("{}{path}", mock.uri());
    ///     let answer = http.get(url).bearer_auth(mock.token("admin")?).send().await?;
    ///     assert_eq!(answer.status(), 200);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn server(&self) -> &MockServer {
        self.adapter.relay.keep_all();
        &self.adapter.server
    }

    /// Mounts the fake again after [`MockServer::reset`] has removed it.
    pub async fn remount(&self) {
        self.adapter.relay.mount(&self.adapter.server).await;
    }
}

impl CloudController {
    /// Mounts the fake on a server, with a lower priority than all other mocks.
    ///
    /// wiremock keeps every request that the fake responds to, with its body and about 1
    /// KiB of other data, until the server is reset.
    ///
    /// ```
    /// use mock_capi::MockCapi;
    /// use mock_capi::wiremock::MockServer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = MockServer::start().await;
    /// let foundation = MockCapi::builder().cloud_controller()?;
    /// foundation.mount(&server).await;
    ///
    /// let root = reqwest::get(server.uri()).await?;
    /// assert_eq!(root.status(), 200);
    /// assert_eq!(foundation.stats().total, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn mount(&self, server: &MockServer) {
        self.core().serve_at(server.uri());
        Relay::new(self.clone(), None).mount(server).await;
    }
}

/// Answers requests as the only mock of a server. In this form, connections cannot be
/// dropped; with [`CloudController::mount`] they can.
impl Respond for CloudController {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        let answer = answer(self, request);
        if answer.ending == Ending::Whole {
            return template(answer);
        }
        let detail = "mock-capi: a mock that answers cannot drop the connection: \
                      use CloudController::mount";
        template(Response::json(500, &CcError::bad_request(detail).body()).into())
    }
}

/// A scope for mounted mocks, which match requests until it is dropped.
///
/// ```
/// use mock_capi::wiremock::matchers::path;
/// use mock_capi::wiremock::{Mock, ResponseTemplate};
/// use mock_capi::{MockCapi, Scope};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mock = MockCapi::start().await?;
/// let outage = Scope::new();
/// Mock::given(outage.matcher())
///     .and(path("/"))
///     .respond_with(ResponseTemplate::new(502))
///     .mount(mock.server())
///     .await;
/// assert_eq!(reqwest::get(mock.uri()).await?.status(), 502);
/// drop(outage);
/// assert_eq!(reqwest::get(mock.uri()).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Scope(Arc<AtomicBool>);

impl Scope {
    /// A scope, which is open until it is dropped.
    #[expect(clippy::new_without_default, reason = "a scope is opened, on purpose")]
    pub fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Matches every request while the scope is open.
    pub fn matcher(&self) -> impl Match + 'static {
        let open = Arc::clone(&self.0);
        move |_: &wiremock::Request| open.load(Ordering::Acquire)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn answer(controller: &CloudController, request: &wiremock::Request) -> Answer {
    if request.body.len() > MAX_BODY {
        let detail = "mock-capi accepts bodies of at most 64 MiB from wiremock: start the mock \
                      with MockCapi::builder().front()";
        let error = CcError::new(413, 10001, "MockCapi-BodyTooLarge", detail);
        return Response::error(request.url.path(), &error).into();
    }
    let content_type = request.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let form = match content_type.filter(|it| Form::is_type(it)) {
        None => Ok(Form::default()),
        Some(content_type) => Form::of_bytes(content_type, &request.body),
    };
    let Ok(form) = form else {
        let error = CcError::new(
            507,
            10001,
            "MockCapi-UploadFailed",
            "mock-capi: no space left",
        );
        return Response::error(request.url.path(), &error).into();
    };
    let size = request.body.len() as u64;
    let request = Request::new(
        request.method.as_str(),
        request.url.path(),
        request.url.query(),
        &request.headers,
        &request.body,
    );
    let request = request.with_form(&form, size);
    let mut answer = controller.answer(&request);
    if let Some(awaited) = answer.awaited.take() {
        let pending = mem::replace(&mut answer.response, Response::empty(204));
        answer.response = controller.complete_blocking(&request, pending, awaited);
    }
    answer
}

fn template(answer: Answer) -> ResponseTemplate {
    let Answer {
        response, delay, ..
    } = answer;
    let mut template = ResponseTemplate::new(response.status);
    // wiremock starts a timer for any delay, even none.
    if !delay.is_zero() {
        template = template.set_delay(delay);
    }
    if !response.body.is_empty() {
        template = template.set_body_raw(response.body, &response.content_type);
    }
    for (name, value) in response.headers {
        template = template.append_header(name.as_ref(), value);
    }
    template
}

/// The two mocks that make up the fake. Clones share their state.
#[derive(Clone)]
struct Relay(Arc<RelayState>);

struct RelayState {
    controller: CloudController,
    /// The response that the first mock got from the fake, for the second one to send.
    pending: Mutex<Option<Answer>>,
    kept_requests: AtomicU64,
    kept_bytes: AtomicU64,
    /// Requests renewals. `None` if wiremock should keep its requests.
    renewal: Mutex<Option<Sender<Sender<()>>>>,
}

impl Relay {
    fn new(controller: CloudController, renewal: Option<Sender<Sender<()>>>) -> Self {
        Self(Arc::new(RelayState {
            controller,
            pending: Mutex::new(None),
            kept_requests: AtomicU64::new(0),
            kept_bytes: AtomicU64::new(0),
            renewal: Mutex::new(renewal),
        }))
    }

    fn mocks(&self) -> [Mock; 2] {
        let dropped = |_: &wiremock::Request| Dropped;
        [
            Mock::given(self.clone())
                .respond_with_err(dropped)
                .with_priority(LOWEST_PRIORITY),
            Mock::given(any())
                .respond_with(self.clone())
                .with_priority(LOWEST_PRIORITY),
        ]
    }

    async fn mount(&self, server: &MockServer) {
        let [drops, answers] = self.mocks();
        tokio::join!(server.register(drops), server.register(answers));
    }

    /// Lets wiremock keep its requests and mocks from now on.
    fn keep_all(&self) {
        *lock(&self.0.renewal) = None;
    }

    /// Requests a renewal if wiremock keeps too much. This runs under wiremock's lock,
    /// and waits until the renewal is next in line for that lock.
    fn renew_if_due(&self, request: &wiremock::Request) {
        let body = u64::try_from(request.body.len()).unwrap_or(u64::MAX);
        let requests = self.0.kept_requests.fetch_add(1, Ordering::Relaxed);
        let bytes = self.0.kept_bytes.fetch_add(body, Ordering::Relaxed);
        if requests < RENEW_AFTER_REQUESTS && bytes < RENEW_AFTER_BYTES {
            return;
        }
        // Held until the renewal is in line, so that a test that has just got the server
        // cannot mount a mock before it.
        let renewal = lock(&self.0.renewal);
        if let Some(renewal) = renewal.as_ref() {
            let (in_line, is_in_line) = mpsc::channel();
            if renewal.send(in_line).is_ok() {
                // An error means that there are no more renewals.
                let _ = is_in_line.recv();
            }
            self.0.kept_requests.store(0, Ordering::Relaxed);
            self.0.kept_bytes.store(0, Ordering::Relaxed);
        }
    }
}

/// Lets the fake answer. Matches if the connection should be dropped.
impl Match for Relay {
    fn matches(&self, request: &wiremock::Request) -> bool {
        let answer = answer(&self.0.controller, request);
        let is_dropped = answer.ending == Ending::Dropped;
        *lock(&self.0.pending) = (!is_dropped).then_some(answer);
        self.renew_if_due(request);
        is_dropped
    }
}

/// Sends the response of the fake.
impl Respond for Relay {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        let pending = lock(&self.0.pending).take();
        template(pending.unwrap_or_else(|| answer(&self.0.controller, request)))
    }
}

/// A connection that is closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
struct Dropped;

/// Removes all mocks, together with the requests that wiremock keeps of them, and mounts
/// the fake again.
///
/// The server's lock is fair, so no other operation can happen in between: while a
/// request holds the lock, the removal and the mounting are put in line for it.
struct Renewal(Option<JoinHandle<()>>);

impl Renewal {
    fn start(
        server: Arc<MockServer>,
        relay: Relay,
        asked: Receiver<Sender<()>>,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().build()?;
        let renew = move || {
            for in_line in asked {
                runtime.block_on(renew(&server, &relay, in_line));
            }
        };
        let thread = thread::Builder::new().name("mock-capi".into());
        Ok(Self(Some(thread.spawn(renew)?)))
    }
}

async fn renew(server: &MockServer, relay: &Relay, in_line: Sender<()>) {
    let [drops, answers] = relay.mocks();
    let all = async {
        tokio::join!(
            server.reset(),
            server.register(drops),
            server.register(answers)
        )
    };
    let mut all = pin!(all);
    let is_done =
        std::future::poll_fn(|context| Poll::Ready(all.as_mut().poll(context).is_ready())).await;
    // The request that asked for the renewal must continue, so that this can continue.
    drop(in_line);
    if !is_done {
        all.await;
    }
}

impl Drop for Wiremock {
    fn drop(&mut self) {
        // Ends the renewals, which share the server: its expectations are verified when
        // the mock is dropped.
        self.relay.keep_all();
        drop(self.renewal.take());
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // The thread has no result, even if it panicked.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

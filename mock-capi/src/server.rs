//! The running mock: a wiremock server with one mock that takes every request
//! and hands it to the router.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;
use wiremock::{Mock, MockServer, Respond, ResponseTemplate, matchers};

use crate::builder::MockCapiBuilder;
use crate::call::Call;
use crate::clock::{Clock, Timestamp};
use crate::control;
use crate::error::CcError;
use crate::faults::{Fault, FaultPlan};
use crate::http::{Request, Response};
use crate::router::{Found, Router};
use crate::settings::Settings;
use crate::token::{TokenKind, Tokens, bearer};
use crate::world::{Guid, Package, PackageFile, World};

/// A running fake Cloud Controller. It stops when it is dropped.
///
/// Every instance has its own world and its own port, so tests can run in
/// parallel.
pub struct MockCapi {
    server: Arc<MockServer>,
    core: Arc<Core>,
}

/// Why a mock could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
}

/// A request that the mock received, see [`MockCapiBuilder::record_requests`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, as it was sent, such as `/v3/apps`.
    pub path: String,
    /// What came after the `?`, as it was sent.
    pub query: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl RecordedRequest {
    /// The body as JSON, if it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// How many requests the mock has answered. Those to `/_mock/` do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// All requests.
    pub total: u64,
    /// By route, such as `GET /v3/apps/:guid`; `unknown` where there is none.
    pub by_route: BTreeMap<String, u64>,
}

impl MockCapi {
    /// What a mock can be told before it starts.
    pub fn builder() -> MockCapiBuilder {
        MockCapiBuilder::new()
    }

    /// Listens, and answers from then on.
    pub(crate) async fn start(listen: SocketAddr, core: Core) -> Result<Self, StartError> {
        let listener = TcpListener::bind(listen).map_err(|source| StartError::Listen {
            address: listen,
            source,
        })?;
        let server = MockServer::builder()
            .listener(listener)
            .disable_request_recording()
            .start()
            .await;
        let (server, core) = (Arc::new(server), Arc::new(core));
        let mock = Adapter::new(&core, &server).into_mock();
        server.register(mock).await;
        Ok(Self { server, core })
    }

    /// Where the mock is: `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn uri(&self) -> String {
        self.server.uri()
    }

    /// The address that the mock listens on.
    pub fn address(&self) -> SocketAddr {
        *self.server.address()
    }

    /// The requests since the start or since [`forget_requests`], in order of
    /// arrival; none unless [`record_requests`] was called.
    ///
    /// [`forget_requests`]: MockCapi::forget_requests
    /// [`record_requests`]: MockCapiBuilder::record_requests
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.core.lock().recorded.clone()
    }

    /// Drops the recorded requests and sets [`MockCapi::stats`] to zero.
    pub fn forget_requests(&self) {
        let mut state = self.core.lock();
        state.recorded.clear();
        state.stats = Stats::default();
    }

    /// How many requests were answered, by route.
    pub fn stats(&self) -> Stats {
        self.core.lock().stats.clone()
    }

    /// The whole world: for each kind of resource (`organizations`, `apps`,
    /// `processes`, ...) the list of what today's v3 API would show.
    pub fn state(&self) -> Value {
        self.core.state(&self.uri())
    }

    /// The files that a package has, by their paths: those of the archive that
    /// was uploaded, and those that were only named. `None` if there is no such
    /// package, or nothing was uploaded.
    pub fn package_files(&self, guid: &str) -> Option<Vec<PackageFile>> {
        let state = self.core.lock();
        let package: &Package = state.world.get(Guid::parse(guid)?)?;
        let upload = package.upload.as_ref()?;
        Some(upload.files.to_vec())
    }

    /// Goes back to the initial world: the user, a shared domain, the default
    /// quota. Faults, recorded requests and statistics go too; tokens stay
    /// good.
    pub fn reset(&self) {
        self.core.reset();
    }

    /// Puts these faults in the place of all earlier ones.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.core.lock().faults = FaultPlan::new(faults);
    }

    /// Makes all access tokens that were given out expired; refresh tokens stay
    /// good.
    pub fn expire_tokens(&self) {
        self.core.lock().tokens.expire();
    }

    /// Moves the mock's clock forward, as if that time had passed: jobs get
    /// done, staging ends, instances start, tokens expire.
    pub fn advance(&self, by: Duration) {
        self.core.clock.advance(by);
    }
}

/// Everything behind the server.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    router: Router,
    clock: Clock,
    state: Mutex<State>,
}

/// What requests change.
#[derive(Debug)]
struct State {
    world: World,
    faults: FaultPlan,
    tokens: Tokens,
    stats: Stats,
    recorded: Vec<RecordedRequest>,
}

impl Core {
    pub(crate) fn new(
        settings: Settings,
        faults: Vec<Fault>,
        world: impl FnOnce(Timestamp, &Settings) -> World,
    ) -> Self {
        let clock = Clock::new();
        let state = State {
            world: world(clock.now(), &settings),
            faults: FaultPlan::new(faults),
            tokens: Tokens::default(),
            stats: Stats::default(),
            recorded: Vec::new(),
        };
        Self {
            router: Router::new(settings.dialect),
            settings,
            clock,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    pub(crate) fn state(&self, base: &str) -> Value {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        control::present_world(&state.world, base)
    }

    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        state.world.reset(&self.settings.apps_domain);
        state.faults = FaultPlan::default();
        state.stats = Stats::default();
        state.recorded.clear();
    }

    /// A panic of another request leaves a state that is no worse than that of
    /// a request that failed half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    fn answer(&self, request: &Request<'_>, base: String) -> Response {
        if let Some(response) = control::answer(self, request, &base) {
            return response;
        }
        let found = self.router.find(request.method, request.path);
        let mut guard = self.lock();
        let state = &mut *guard;
        if self.settings.record_requests {
            state.recorded.push(record(request));
        }
        state.stats.count(found.as_ref());
        state.world.settle(self.clock.now());
        let request_id = state.world.next_guid();
        let response = match state.faults.answer(request.method, request.path) {
            Some(response) => response,
            None => self
                .dispatch(found, request, state, base)
                .unwrap_or_else(|error| refuse(request.path, &error)),
        };
        drop(guard);
        response.with_header("X-Vcap-Request-Id", request_id_header(request, request_id))
    }

    fn dispatch(
        &self,
        found: Option<Found>,
        request: &Request<'_>,
        state: &mut State,
        base: String,
    ) -> Result<Response, CcError> {
        let Found { route, captures } = found.ok_or_else(CcError::unknown_request)?;
        if !route.is_open() {
            self.authenticate(request, &state.tokens, state.world.now())?;
        }
        route.call(&mut Call {
            request,
            settings: &self.settings,
            world: &mut state.world,
            faults: &mut state.faults,
            tokens: &state.tokens,
            base,
            captures,
        })
    }

    fn authenticate(
        &self,
        request: &Request<'_>,
        tokens: &Tokens,
        now: Timestamp,
    ) -> Result<(), CcError> {
        let header = request
            .header("authorization")
            .ok_or_else(CcError::not_authenticated)?;
        bearer(header)
            .filter(|token| tokens.accepts(&self.settings, token, TokenKind::Access, now))
            .map(|_| ())
            .ok_or_else(CcError::invalid_auth_token)
    }
}

impl Stats {
    fn count(&mut self, found: Option<&Found>) {
        self.total += 1;
        let key = found.map_or_else(|| "unknown".into(), |found| found.route.key());
        *self.by_route.entry(key).or_default() += 1;
    }
}

fn record(request: &Request<'_>) -> RecordedRequest {
    RecordedRequest {
        method: request.method.into(),
        path: request.path.into(),
        query: request.raw_query.map(str::to_owned),
        body: request.body.to_vec(),
    }
}

fn refuse(path: &str, error: &CcError) -> Response {
    let body = if path.starts_with("/v2/") {
        error.v2_body()
    } else {
        error.body()
    };
    Response::json(error.status, &body)
}

/// As the Cloud Controller: the client's own ID, if it sent one, then ours.
fn request_id_header(request: &Request<'_>, own: Guid) -> String {
    match request.header("x-vcap-request-id") {
        Some(theirs) if theirs.len() <= 255 => format!("{theirs}::{own}"),
        _ => own.to_string(),
    }
}

/// What wiremock calls with each request.
///
/// A wiremock `Mock` keeps a copy of every request that it matched, for as long
/// as it is mounted. So that a long run does not fill the memory, the mock is
/// replaced by a fresh one from time to time.
#[derive(Clone)]
struct Adapter {
    core: Arc<Core>,
    base: String,
    server: Weak<MockServer>,
    kept: Arc<AtomicUsize>,
}

impl Adapter {
    /// How many bytes of past requests a mock may keep, about.
    const MAX_KEPT: usize = 4 * 1024 * 1024;
    /// What a request takes besides its body, about.
    const OVERHEAD: usize = 4 * 1024;

    fn new(core: &Arc<Core>, server: &Arc<MockServer>) -> Self {
        Self {
            core: Arc::clone(core),
            base: server.uri(),
            server: Arc::downgrade(server),
            kept: Arc::default(),
        }
    }

    fn into_mock(self) -> Mock {
        Mock::given(matchers::any()).respond_with(self)
    }

    /// Replaces the mock once it keeps too much.
    ///
    /// The task runs on wiremock's own thread, which is the only one that
    /// handles requests, and neither step has to wait there: no request comes
    /// between the two.
    fn account(&self, request: &Request<'_>) {
        let size = request.body.len() + Self::OVERHEAD;
        if self.kept.fetch_add(size, Ordering::Relaxed) + size < Self::MAX_KEPT {
            return;
        }
        let (Ok(runtime), Some(server)) = (Handle::try_current(), self.server.upgrade()) else {
            return;
        };
        self.kept.store(0, Ordering::Relaxed);
        let adapter = self.clone();
        runtime.spawn(async move {
            server.reset().await;
            server.register(adapter.into_mock()).await;
        });
    }
}

impl Respond for Adapter {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        let request = Request::read(request);
        self.account(&request);
        let base = base_url(&request).unwrap_or_else(|| self.base.clone());
        let response = self.core.answer(&request, base);
        let mut template = ResponseTemplate::new(response.status)
            .set_body_raw(response.body, response.content_type);
        for (name, value) in response.headers {
            template = template.insert_header(name, value);
        }
        match self.core.settings.latency {
            // Even a timer of no time at all takes a millisecond.
            Duration::ZERO => template,
            latency => template.set_delay(latency),
        }
    }
}

/// The mock's address as the client wrote it, so that links lead back the way
/// that the client came.
fn base_url(request: &Request<'_>) -> Option<String> {
    let host = request.header("host")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (!host.is_empty() && host.bytes().all(plain)).then(|| format!("http://{host}"))
}

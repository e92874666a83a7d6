//! What stands behind both adapters: one request in, one answer out, with the
//! faults, the rate limit and the token check around the API.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::{Request, Response};
use crate::api::osb::{self, BrokerReply, BrokerRequest, Next};
use crate::api::router::{Found, Router};
use crate::api::state::present_world;
use crate::api::uaa::KeyError;
use crate::api::uaa::authorization::bearer;
use crate::api::uaa::token::{Caller, Holder, TokenKind, Tokens};
use crate::data_plane::{
    AppBehaviour, AppRequest, InvalidApps, Outcome as AppOutcome, Plane, Scene,
};
use crate::serve::control;
use crate::serve::courier::Courier;
use crate::serve::faults::{Effect, Fault, FaultCount, FaultPlan, InvalidFaults, NO_APPS};
use crate::serve::inside_broker::InsideBroker;
use crate::serve::pace::{Pace, PriceList, Profile, Service};
use crate::serve::rate_limit::{self, Allowance, Counted, RateLimiter};
use crate::serve::request_log::{Outcome, RequestFilter, RequestLog, Verification, Verified};
use crate::serve::seed_file::SeedFile;
use crate::serve::state::{self, SavedState, StateError, StateFile};
use crate::serve::stubs::{Stub, Stubs};
use crate::serve::worlds::Worlds;
use crate::world::clock::{Clock, Timestamp};
use crate::world::random::Random;
use crate::world::settings::{Dialect, RateLimit, Settings, Timings};
use crate::world::{
    ADMIN_GROUP, Access, Account, CF_CLIENT, Errand, Guid, InstanceAddress, UAA_ORIGIN, World,
};

/// Times as they are changed while the mock runs.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) timings: Timings,
    /// Another profile, or none, if that is changed.
    pub(crate) profile: Option<Option<Profile>>,
    pub(crate) workers: Option<usize>,
}

fn pace(profile: Option<&Profile>, workers: usize, router: &Router) -> Pace {
    let prices = profile.map(|profile| PriceList::new(profile.clone(), router));
    Pace::new(prices, workers)
}

/// How a request is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// How long the answer is delayed.
    pub(crate) delay: Duration,
    pub(crate) ending: Ending,
    /// What a service broker has to be asked for the response.
    pub(crate) read: Option<BrokerRequest>,
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
            read: None,
        }
    }
}

/// Which adapter carries the answers, and so which faults are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Wiremock,
    Front,
}

/// A request that the mock received, see
/// [`MockCapiBuilder::record_requests`](crate::MockCapiBuilder::record_requests).
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
    /// Those among them to operations of the API that the mock does not
    /// implement, by route.
    pub not_implemented: BTreeMap<String, u64>,
}

/// A request that was answered; see
/// [`MockCapiBuilder::on_request`](crate::MockCapiBuilder::on_request).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AnsweredRequest<'a> {
    /// `GET`, `POST`, ...
    pub method: &'a str,
    /// The path with its query, as it was sent.
    pub target: &'a str,
    /// `None` if a fault dropped the connection.
    pub status: Option<u16>,
    /// How long the fake worked on it.
    pub took: Duration,
}

/// The function that is called after each request.
#[derive(Clone)]
pub(crate) struct Observer(pub(crate) Arc<dyn Fn(AnsweredRequest<'_>) + Send + Sync>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// The fake and what surrounds it.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    /// The values that it was started with, to which a reset returns.
    timings: Timings,
    profile: Option<Profile>,
    workers: usize,
    faults: Vec<Fault>,
    seed: Option<SeedFile>,
    /// Where the state is kept, if that was asked for.
    state_file: Option<StateFile>,
    observer: Option<Observer>,
    router: Router,
    clock: Clock,
    wire: Wire,
    /// Where it is served.
    base: OnceLock<String>,
    state: Mutex<State>,
    /// Further worlds of this process, where there may be some.
    worlds: Mutex<Option<Worlds>>,
    /// Asks service brokers, once there is something to ask.
    courier: OnceLock<Courier>,
    /// The brokers that run inside.
    brokers: Vec<InsideBroker>,
}

/// What requests change.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) faults: FaultPlan,
    pub(crate) tokens: Tokens,
    pub(crate) stats: Stats,
    pub(crate) recorded: Vec<RecordedRequest>,
    log: RequestLog,
    stubs: Stubs,
    /// What the apps that answer know.
    plane: Plane,
    /// How long requests take.
    pub(crate) pace: Pace,
    /// Whose token the current request has.
    user: Option<String>,
    rate_limiter: RateLimiter,
    /// The source of the jitter of latencies.
    random: Random,
}

/// What a [`Core`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) world: World,
    pub(crate) tokens: Tokens,
    pub(crate) faults: Vec<Fault>,
    pub(crate) random: Random,
    pub(crate) wire: Wire,
    pub(crate) seed: Option<SeedFile>,
    pub(crate) state_file: Option<StateFile>,
    pub(crate) observer: Option<Observer>,
    pub(crate) profile: Option<Profile>,
    pub(crate) workers: usize,
    pub(crate) brokers: Vec<InsideBroker>,
}

/// Whether the subject of a token, a user or a client, is an administrator.
fn is_admin(subject: &str, world: &World) -> bool {
    let is_admin_group = |scope: &String| scope == ADMIN_GROUP;
    let account: Option<&Account> = world.look_up(subject);
    let client = world.client(subject);
    account.is_some_and(|account| world.scopes_of(account).iter().any(is_admin_group))
        || client.is_some_and(|client| client.details.authorities.iter().any(is_admin_group))
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Result<Self, InvalidFaults> {
        let Parts {
            settings,
            clock,
            world,
            tokens,
            faults,
            mut random,
            wire,
            seed,
            state_file,
            observer,
            profile,
            workers,
            brokers,
        } = parts;
        let router = Router::new(settings.dialect);
        Fault::check_all(&faults, &router, wire)?;
        let timings = world.timings;
        let state = State {
            world,
            faults: FaultPlan::new(faults.clone(), random.split(), clock.now()),
            tokens,
            stats: Stats::default(),
            recorded: Vec::new(),
            log: RequestLog::new(settings.keep_requests),
            stubs: Stubs::default(),
            plane: Plane::new(random.split()),
            pace: pace(profile.as_ref(), workers, &router),
            user: None,
            rate_limiter: RateLimiter::default(),
            random,
        };
        let core = Self {
            router,
            settings,
            timings,
            profile,
            workers,
            faults,
            seed,
            state_file,
            observer,
            clock,
            wire,
            base: OnceLock::new(),
            state: Mutex::new(state),
            worlds: Mutex::new(None),
            courier: OnceLock::new(),
            brokers,
        };
        core.register_brokers(&mut core.lock().world);
        Ok(core)
    }

    /// Makes the brokers that run inside known to a world, with plans that
    /// everyone sees.
    fn register_brokers(&self, world: &mut World) {
        for broker in &self.brokers {
            // What it has in its catalog is good.
            let catalog = osb::read_catalog(&broker.spec.catalog()).unwrap_or_default();
            world.register_broker(&broker.spec.name, broker.url(), catalog);
        }
    }

    /// Starts what is to be asked of brokers.
    pub(crate) fn run_errands(self: &Arc<Self>) {
        let errands = self.lock().world.take_errands();
        if errands.is_empty() {
            return;
        }
        if let Some(courier) = self.courier() {
            for errand in errands {
                courier.run(errand, self);
            }
        }
    }

    /// The courier, who is there unless the system has no thread left.
    pub(crate) fn courier(&self) -> Option<&Courier> {
        if let Some(courier) = self.courier.get() {
            return Some(courier);
        }
        let courier = Courier::start(self.settings.broker_timeout).ok()?;
        Some(self.courier.get_or_init(|| courier))
    }

    /// What is to be asked of a broker for an errand.
    pub(crate) fn broker_request(&self, errand: &Errand) -> Option<BrokerRequest> {
        let state = self.lock();
        let request = osb::request(&state.world, errand)?;
        Some(self.signed(request))
    }

    /// Sets the mock's address for requests to brokers.
    fn signed(&self, mut request: BrokerRequest) -> BrokerRequest {
        let base = self.base();
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        request
            .headers
            .push(("X-Api-Info-Location", format!("{host}/v2/info")));
        request
    }

    /// Goes on with a job for which a broker was asked.
    pub(crate) fn go_on(self: &Arc<Self>, job: Guid, reply: Option<&BrokerReply>) -> Next {
        let next = {
            let mut state = self.lock();
            state.world.settle(self.clock.now());
            osb::go_on(&mut state.world, &self.settings, job, reply)
        };
        self.run_errands();
        next
    }

    /// Where the fake is served.
    pub(crate) fn base(&self) -> &str {
        self.base.get().map_or("http://localhost", String::as_str)
    }

    /// Says where the fake is served; the first to say so is right.
    pub(crate) fn serve_at(&self, base: String) {
        let _ = self.base.set(base);
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), StateError> {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        let dialect = self.settings.dialect;
        let saved = SavedState::new(dialect, &state.tokens, &state.world);
        match &self.state_file {
            Some(file) if file.is_at(path) => file.save(&saved),
            _ => state::save(path, &saved),
        }
    }

    /// Lets other mocks use the state file. An adapter may keep the fake alive for a
    /// while after its mock was dropped.
    pub(crate) fn release_state_file(&self) {
        if let Some(file) = &self.state_file {
            file.release();
        }
    }

    pub(crate) fn set_faults(&self, faults: Vec<Fault>) -> Result<(), InvalidFaults> {
        Fault::check_all(&faults, &self.router, self.wire)?;
        self.lock().faults.set(faults, self.clock.now());
        Ok(())
    }

    pub(crate) fn fault_counts(&self) -> Vec<FaultCount> {
        self.lock().faults.rules().to_vec()
    }

    /// The faults in force with their counts, as JSON.
    pub(crate) fn faults(&self) -> Value {
        serde_json::json!(self.lock().faults.rules())
    }

    pub(crate) fn timings(&self) -> Timings {
        self.lock().world.timings
    }

    /// The times, the profile and the workers, as JSON.
    pub(crate) fn times(&self) -> Value {
        let state = self.lock();
        let mut times = state.world.timings.present();
        state.pace.present(&mut times);
        times
    }

    pub(crate) fn set_times(&self, times: Times) {
        let mut state = self.lock();
        state.world.timings = times.timings;
        if let Some(profile) = times.profile {
            let prices = profile.map(|profile| PriceList::new(profile, &self.router));
            state.pace.set_prices(prices);
        }
        if let Some(workers) = times.workers {
            state.pace.set_workers(workers);
        }
    }

    /// The profile in force, as JSON.
    pub(crate) fn profile(&self) -> Value {
        self.lock().pace.profile()
    }

    /// The queue of requests, as JSON.
    pub(crate) fn queue(&self) -> Value {
        self.lock().pace.queue()
    }

    /// The most requests that have waited for a worker at once.
    pub(crate) fn peak_queue(&self) -> usize {
        self.lock().pace.peak_queue()
    }

    /// The logged requests after the one of that number that are meant, as JSON.
    pub(crate) fn logged(&self, number: u64, filter: &RequestFilter, in_short: bool) -> Value {
        let state = self.lock();
        let later = state.log.after(number).into_iter();
        let found = later.filter(|request| filter.admits(request));
        if in_short {
            let found: Vec<_> = found.map(|request| request.in_short()).collect();
            serde_json::json!(found)
        } else {
            serde_json::json!(found.collect::<Vec<_>>())
        }
    }

    /// How much is no longer kept, because too much came after it.
    pub(crate) fn forgotten(&self) -> Value {
        let state = self.lock();
        let mut forgotten = serde_json::json!(state.world.forgotten);
        forgotten["requests"] = serde_json::json!(state.log.forgotten());
        forgotten
    }

    pub(crate) fn forget_log(&self) {
        let mut state = self.lock();
        state.log.clear();
        state.recorded.clear();
    }

    pub(crate) fn verify(&self, verification: &Verification) -> Verified {
        verification.check(&self.lock().log)
    }

    pub(crate) fn stubs(&self) -> Value {
        serde_json::json!(self.lock().stubs.list())
    }

    pub(crate) fn set_stubs(&self, stubs: Vec<Stub>) {
        self.lock().stubs.set(stubs);
    }

    /// The behaviours that were set for apps, in place of those that their start
    /// commands suggest, as JSON.
    pub(crate) fn app_behaviours(&self) -> Value {
        self.lock().plane.behaviours()
    }

    pub(crate) fn set_app_behaviours(
        &self,
        behaviours: Vec<AppBehaviour>,
    ) -> Result<(), InvalidApps> {
        if self.wire == Wire::Wiremock {
            return Err(InvalidApps(NO_APPS.to_owned()));
        }
        self.lock().plane.set_behaviours(behaviours)
    }

    /// How many requests were for apps.
    pub(crate) fn app_requests(&self) -> u64 {
        self.lock().plane.requests()
    }

    /// What becomes of a request for an app; none if its host is of no domain of the
    /// world.
    pub(crate) fn answer_app(&self, request: &AppRequest<'_>) -> Option<AppOutcome> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let now = self.clock.now();
        state.world.settle(now);
        let mut faults = state.faults.of_traffic(now);
        Scene::new(&state.world, &mut state.plane, &mut faults).answer(request)
    }

    /// Whether a request was forwarded by an app of this mock, and so leads back to it.
    pub(crate) fn has_forwarded(&self, headers: &HeaderMap) -> bool {
        self.lock().plane.has_forwarded(headers)
    }

    /// Remembers how long another server took for an instance.
    pub(crate) fn record_latency(&self, proxy: InstanceAddress, latency: Duration) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.plane.record_latency(proxy, latency, &state.world);
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The world, its users and their logins, as JSON.
    pub(crate) fn snapshot(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        state::snapshot(self.settings.dialect, &state.tokens, &state.world)
    }

    /// Goes back to a snapshot. The clock does not go back.
    pub(crate) fn restore(&self, json: &[u8]) -> Result<(), String> {
        let loaded = state::from_snapshot(json, self.settings.dialect)?;
        let mut state = self.lock();
        self.clock
            .advance(loaded.world.now().since(self.clock.now()));
        let timings = state.world.timings;
        state.world = loaded.world;
        state.world.resume(timings, &self.settings);
        state.tokens = loaded.tokens;
        Ok(())
    }

    /// Allows further worlds.
    pub(crate) fn allow_worlds(&self, worlds: Worlds) {
        *self.worlds() = Some(worlds);
    }

    pub(crate) fn worlds(&self) -> MutexGuard<'_, Option<Worlds>> {
        self.worlds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An access token of UAA's user of that name, as the cf CLI gets it; `None`
    /// if there is no such user.
    pub(crate) fn token_of(&self, user: &str) -> Result<Option<String>, KeyError> {
        let mut state = self.lock();
        let state = &mut *state;
        let origins = [UAA_ORIGIN.to_owned()];
        let accounts = state.world.accounts_named(user, Some(&origins));
        let (Some(user), Some(client)) = (accounts.first(), state.world.client(CF_CLIENT)) else {
            return Ok(None);
        };
        let holder = Holder::user(&state.world, client, user, "password");
        let (kind, now) = (TokenKind::Access, self.clock.now());
        let lifetime = self.settings.token_lifetime.as_secs();
        let tokens = &mut state.tokens;
        let token = tokens.issue(&holder, kind, now, lifetime, self.base())?;
        Ok(Some(token.text))
    }

    /// The name of the first administrator.
    #[cfg(feature = "client")]
    pub(crate) fn administrator(&self) -> &str {
        let administrator = self.settings.users.iter().find(|user| user.admin);
        administrator.map_or("", |user| user.name.as_str())
    }

    pub(crate) fn expire_tokens(&self) {
        self.lock().tokens.expire();
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    pub(crate) fn state(&self, base: &str) -> Value {
        self.read(|world| present_world(world, base, self.settings.dialect))
    }

    /// Reads the world as it is now.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        read(&state.world)
    }

    /// Changes the world as it is now, without a request.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        change(&mut state.world)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.settings.dialect
    }

    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        self.clock.reset();
        state.world.timings = self.timings;
        state.pace = pace(self.profile.as_ref(), self.workers, &self.router);
        state.world.reset(&self.settings, self.clock.now());
        if let Some(seed) = &self.seed {
            // It was good at the start, and nothing else is there now.
            let _ = seed.apply(&mut state.world, &self.settings);
        }
        self.register_brokers(&mut state.world);
        state.stubs.set(Vec::new());
        state.plane.reset();
        state.faults.set(self.faults.clone(), self.clock.now());
        state.stats = Stats::default();
        state.recorded.clear();
        state.log.clear();
        state.rate_limiter = RateLimiter::default();
    }

    /// A panic of another request leaves a state that is no worse than that of
    /// a request that failed half-way.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        let base = self.base_of(request);
        let base = base.unwrap_or_else(|| self.base().to_owned());
        match control::answer(self, request, &base) {
            Some(response) => response.into(),
            None => self.answer_api(request, base),
        }
    }

    /// Whether a request is refused whatever its body has: its operation needs a
    /// token, and it has none that is good. A stub may need the body nevertheless.
    pub(crate) fn refuses_unread(&self, request: &Request<'_>) -> bool {
        let path = canonical_path(request.path);
        let found = self.router.find(request.method, &path);
        if found.is_none_or(|found| found.route.is_open()) {
            return false;
        }
        let mut state = self.lock();
        let is_stubbed = state.stubs.admits(request.method, request.path);
        let now = self.clock.now();
        !is_stubbed && authenticate(request, &mut state.tokens, now).is_err()
    }

    fn answer_api(&self, request: &Request<'_>, base: String) -> Answer {
        let path = canonical_path(request.path);
        let rewritten = matches!(path, Cow::Owned(_)).then(|| Request {
            path: &path,
            ..request.clone()
        });
        let request = rewritten.as_ref().unwrap_or(request);
        let began = Instant::now();
        let found = self.router.find(request.method, request.path);
        let mut guard = self.lock();
        let state = &mut *guard;
        let now = self.clock.now();
        if self.settings.record_requests {
            state.recorded.push(record(request));
        }
        state.user = None;
        let stubbed = state.stubs.answer(request.method, request.path);
        state.stats.count(found.as_ref());
        state.world.settle(now);
        let request_id = state.world.next_guid();
        let strike = state.faults.begin(request.method, request.path, now);
        let effect = strike.as_ref().map(|strike| strike.effect);
        let timings = state.world.timings;
        let priced = state.pace.price(request.path, found.as_ref());
        let held_back = strike.as_ref().map(|strike| strike.delay);
        if effect == Some(Effect::ExpiredToken) {
            state.tokens.expire();
        }
        let response = match strike.and_then(|strike| strike.answer) {
            Some(response) => response,
            None if effect == Some(Effect::DropBefore) => Response::empty(503),
            None => match stubbed {
                Some(stubbed) => stubbed,
                None if self.is_switched_off(request.path) => v2_disabled(),
                None => self.process(found, request, state, base),
            },
        };
        let Service { total, runtime } =
            state
                .pace
                .serve(priced, response.listed, &timings, &mut state.random);
        let delay = total.saturating_add(held_back.unwrap_or_default());
        let response = match runtime {
            Some(runtime) => {
                response.with_header("X-Runtime", format!("{:.6}", runtime.as_secs_f64()))
            }
            None => response,
        };
        let read = state.world.take_read();
        let read = read.and_then(|errand| osb::request(&state.world, &errand));
        let read = read.map(|request| self.signed(request));
        let ending = match effect {
            Some(Effect::DropBefore | Effect::DropAfter) => Ending::Dropped,
            Some(Effect::Truncate) => Ending::Truncated,
            _ => Ending::Whole,
        };
        let outcome = Outcome {
            at: now,
            status: (ending != Ending::Dropped).then_some(response.status),
            took: began.elapsed(),
            fault: effect,
            user: state.user.take(),
        };
        if let Some(Observer(observe)) = &self.observer {
            observe(AnsweredRequest {
                method: request.method,
                target: &request.target(),
                status: outcome.status,
                took: outcome.took,
            });
        }
        let sent = match ending {
            Ending::Dropped => &[][..],
            Ending::Whole | Ending::Truncated => response.body.as_slice(),
        };
        state.log.add(request, outcome, sent);
        let request_id = request_id_header(request, request_id);
        Answer {
            response: response.with_header("X-Vcap-Request-Id", request_id),
            delay,
            ending,
            read,
        }
    }

    /// Whether a path is of the v2 API, and that is switched off.
    fn is_switched_off(&self, path: &str) -> bool {
        let is_v2 = path == "/v2" || path.starts_with("/v2/");
        !self.settings.v2 && is_v2 && path != "/v2/info"
    }

    /// Processes a request, if its caller's rate limit allows it.
    fn process(
        &self,
        found: Option<Found>,
        request: &Request<'_>,
        state: &mut State,
        base: String,
    ) -> Response {
        let allowance = self.count(request, state);
        let refusal = allowance
            .as_ref()
            .and_then(|allowance| allowance.refusal(request.path, self.settings.dialect));
        let response = refusal.unwrap_or_else(|| {
            let answer = self.dispatch(found, request, state, base);
            answer.unwrap_or_else(|error| Response::error(request.path, &error))
        });
        let response = response.in_dialect_of(request.path);
        match allowance {
            Some(allowance) => allowance.sign(response),
            None => response,
        }
    }

    /// Counts a request against its caller's limit, if there is one.
    fn count(&self, request: &Request<'_>, state: &mut State) -> Option<Allowance> {
        let limit = self.settings.rate_limit?;
        if !rate_limit::counts(request.path) {
            return None;
        }
        let token = request.header("authorization").and_then(bearer);
        let now = state.world.now();
        let user = token.and_then(|token| state.tokens.subject(token, now));
        let caller = user.map_or_else(
            || Counted::Address(request.client.map(|ip| ip.to_string()).unwrap_or_default()),
            Counted::User,
        );
        let requests = match (self.settings.admin_rate_limit, &caller) {
            (Some(requests), Counted::User(user)) if is_admin(user, &state.world) => requests,
            _ => limit.requests,
        };
        let limit = RateLimit { requests, ..limit };
        Some(state.rate_limiter.count(limit, caller, now))
    }

    fn dispatch(
        &self,
        found: Option<Found>,
        request: &Request<'_>,
        state: &mut State,
        base: String,
    ) -> Result<Response, CcError> {
        let Found { route, captures } = found.ok_or_else(CcError::unknown_request)?;
        let caller = authenticate(request, &mut state.tokens, state.world.now());
        let caller = match caller {
            Err(refusal) if !route.is_open() => return Err(refusal),
            caller => caller.ok(),
        };
        let access = match &caller {
            Some(caller) => {
                let (id, name) = (caller.id(), caller.name());
                state.user = Some(name.unwrap_or(id).to_owned());
                state.world.act_as(id, name);
                let user = state.world.know_caller(id);
                match caller.is_admin() {
                    true => Access::Everything,
                    false => state.world.access_of(user),
                }
            }
            // What needs no token shows no resource.
            None => Access::Everything,
        };
        if route.is_for_admins() && !access.is_everything() {
            return Err(CcError::not_authorized());
        }
        let mut context = RequestContext {
            request,
            settings: &self.settings,
            world: &mut state.world,
            faults: &mut state.faults,
            tokens: &mut state.tokens,
            caller,
            access,
            allowed: route.allowed(),
            base,
            captures,
        };
        route
            .flag()
            .map_or(Ok(()), |flag| context.require_flag(flag))?;
        route.call(&mut context)
    }

    /// The mock's address as the client wrote it, so that links lead back the way
    /// that the client came.
    fn base_of(&self, request: &Request<'_>) -> Option<String> {
        let forwarded = |name: &str| {
            let value = request.header(name)?.split(',').next()?.trim();
            (!value.is_empty()).then_some(value)
        };
        let host = forwarded("x-forwarded-host").or_else(|| request.header("host"))?;
        let own_scheme = self.base().split(':').next();
        let scheme = match forwarded("x-forwarded-proto").or(own_scheme) {
            Some("https") => "https",
            _ => "http",
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        (!host.is_empty() && host.bytes().all(plain)).then(|| format!("{scheme}://{host}"))
    }
}

fn authenticate(
    request: &Request<'_>,
    tokens: &mut Tokens,
    now: Timestamp,
) -> Result<Caller, CcError> {
    let header = request.header("authorization");
    let header = header.ok_or_else(CcError::not_authenticated)?;
    bearer(header)
        .and_then(|token| tokens.caller(token, TokenKind::Access, now))
        .ok_or_else(CcError::invalid_auth_token)
}

impl Stats {
    fn count(&mut self, found: Option<&Found>) {
        self.total += 1;
        let key = found.map_or_else(|| "unknown".into(), |found| found.route.key());
        if found.is_some_and(|found| !found.route.is_implemented()) {
            *self.not_implemented.entry(key.clone()).or_default() += 1;
        }
        *self.by_route.entry(key).or_default() += 1;
    }
}

/// What the proxy in front of a Cloud Controller says whose v2 API is off.
fn v2_disabled() -> Response {
    let mut response = Response::text("text/plain", "V2 endpoints disabled".into());
    response.status = 404;
    response
}

fn record(request: &Request<'_>) -> RecordedRequest {
    RecordedRequest {
        method: request.method.into(),
        path: request.path.into(),
        query: request.raw_query.map(str::to_owned),
        body: request.body.to_vec(),
    }
}

/// As the Cloud Controller: the client's own ID, if it sent one, then ours.
fn request_id_header(request: &Request<'_>, own: Guid) -> String {
    match request.header("x-vcap-request-id") {
        Some(theirs) if theirs.len() <= 255 => format!("{theirs}::{own}"),
        _ => own.to_string(),
    }
}

/// A path of v3 as Rails routes it: without repeated slashes, one at the end, or
/// the suffix that asks for JSON.
fn canonical_path(path: &str) -> Cow<'_, str> {
    if !path.trim_start_matches('/').starts_with("v3/") {
        return Cow::Borrowed(path);
    }
    let bare = path.strip_suffix(".json").unwrap_or(path);
    let is_canonical = bare.len() == path.len() && !path.contains("//") && !path.ends_with('/');
    if is_canonical {
        return Cow::Borrowed(path);
    }
    let parts = bare.split('/').filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.collect();
    Cow::Owned(format!("/{}", parts.join("/")))
}

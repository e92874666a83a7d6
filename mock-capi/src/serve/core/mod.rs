//! The fake Cloud Controller behind both adapters: its state, and the settings that it
//! was started with.

mod answer;
mod apps;
mod brokers;
mod controls;
mod record;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::api::router::Router;
use crate::api::uaa::token::Tokens;
use crate::data_plane::DataPlane;
use crate::serve::dispatcher::BrokerDispatcher;
use crate::serve::embedded_broker::EmbeddedBroker;
use crate::serve::faults::{Fault, FaultPlan, InvalidFaults};
use crate::serve::pace::{CostTable, Pace, Profile};
use crate::serve::rate_limit::RateLimiter;
use crate::serve::request_log::RequestLog;
use crate::serve::seed_file::SeedFile;
use crate::serve::state::StateFile;
use crate::serve::stubs::Stubs;
use crate::serve::worlds::Worlds;
use crate::world::World;
use crate::world::clock::Clock;
use crate::world::random::Random;
use crate::world::settings::{Dialect, Settings, Timings};

pub(crate) use answer::{Answer, Awaited, Ending};
pub(crate) use controls::Times;
pub(crate) use record::Observer;
pub use record::{AnsweredRequest, RecordedRequest, Stats};

fn pace(profile: Option<&Profile>, workers: usize, router: &Router) -> Pace {
    let costs = profile.map(|profile| CostTable::new(profile.clone(), router));
    Pace::new(costs, workers)
}

/// The adapter that sends the responses. It determines which faults are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Wiremock,
    Front,
}

/// A fake Cloud Controller with its faults, rate limit, log and stubs.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    /// The initial times, which a reset restores.
    timings: Timings,
    profile: Option<Profile>,
    workers: usize,
    faults: Vec<Fault>,
    seed: Option<SeedFile>,
    /// The file with the saved state, if there is one.
    state_file: Option<StateFile>,
    observer: Option<Observer>,
    router: Router,
    clock: Clock,
    wire: Wire,
    /// The URL of the mock.
    base: OnceLock<String>,
    /// The certificate of TLS, in PEM.
    certificate: OnceLock<Arc<str>>,
    state: Mutex<State>,
    /// Additional worlds of this process, if they are allowed.
    worlds: Mutex<Option<Worlds>>,
    /// Sends requests to service brokers. Started with the first request.
    dispatcher: OnceLock<BrokerDispatcher>,
    /// The brokers that run inside the mock.
    brokers: Vec<EmbeddedBroker>,
}

/// The part of the fake that requests change.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) faults: FaultPlan,
    pub(crate) tokens: Tokens,
    pub(crate) stats: Stats,
    pub(crate) recorded: Vec<RecordedRequest>,
    log: RequestLog,
    stubs: Stubs,
    /// The state of the apps that answer requests.
    plane: DataPlane,
    /// The response times.
    pub(crate) pace: Pace,
    /// The user of the current request's token.
    user: Option<String>,
    rate_limiter: RateLimiter,
    /// The source of random latencies.
    random: Random,
}

/// The parts of a new [`Core`].
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
    pub(crate) brokers: Vec<EmbeddedBroker>,
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
            plane: DataPlane::new(random.split()),
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
            certificate: OnceLock::new(),
            state: Mutex::new(state),
            worlds: Mutex::new(None),
            dispatcher: OnceLock::new(),
            brokers,
        };
        core.register_brokers(&mut core.lock().world);
        Ok(core)
    }

    /// The URL of the mock.
    pub(crate) fn base(&self) -> &str {
        self.base.get().map_or("http://localhost", String::as_str)
    }

    /// Sets the URL of the mock. Only the first call has an effect.
    pub(crate) fn serve_at(&self, base: String) {
        let _ = self.base.set(base);
    }

    /// Says which certificate clients have to trust.
    pub(crate) fn serve_with(&self, certificate: Arc<str>) {
        let _ = self.certificate.set(certificate);
    }

    pub(crate) fn certificate(&self) -> Option<&str> {
        self.certificate.get().map(AsRef::as_ref)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads the current world.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        let mut state = self.lock();
        state.world.settle(self.clock.now());
        read(&state.world)
    }

    /// Changes the current world without a request.
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
            // The seed was valid at the start, and the world is empty now.
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

    /// Locks the state. After a panic during another request, the state is as consistent
    /// as after a request that failed halfway.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

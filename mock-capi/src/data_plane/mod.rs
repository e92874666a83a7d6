//! Answers requests for apps, on their routes and on the container network.
//!
//! This module reads the world and decides how a request is answered. It does no I/O: the
//! server carries out delays, streams and requests to other servers, as an [`Action`]
//! describes them. No program runs: each app has a [`Behaviour`], such as that of the
//! scaling test's app `tick`.

mod behaviour;
mod connection;
mod echo;
mod forward;
mod go;
mod presence;
mod proxy;
mod registry;
mod reply;
mod router;
mod settings;
mod tick;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;

use crate::world::clock::Timestamp;
use crate::world::random::Random;
use crate::world::{App, Guid, GuidSource, InstanceAddress, Process, World, instance_guid};

use behaviour::Behaviour;
pub(crate) use forward::{FORWARDED_BY, Forward, forward_failed, is_of_connection};
pub(crate) use reply::{Reply, ReplyBody};
pub(crate) use router::loop_detected;
pub use settings::{AppBehaviour, InvalidApps};

/// The port that an app listens on: its `$PORT`.
const PORT: u16 = 8080;

/// The maximum number of bytes that an app reads of a body.
pub(crate) const READ_BODY: usize = 64 * 1024;

/// A request for an app.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppRequest<'r> {
    pub(crate) method: &'r str,
    /// The host as it was sent, with its port.
    pub(crate) host: &'r str,
    /// The path as it was sent, percent-encoded.
    pub(crate) path: &'r str,
    pub(crate) query: Option<&'r str>,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: RequestBody<'r>,
    /// `http` or `https`.
    pub(crate) scheme: &'r str,
    pub(crate) client: Option<IpAddr>,
}

/// The body of a request for an app.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestBody<'r> {
    Empty,
    /// The request has a body that has not been read.
    Unread,
    /// The beginning of the body. Of a longer body, it has one byte more than
    /// [`READ_BODY`].
    Read(&'r [u8]),
}

/// The response to a request for an app, and its delay.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The time that the app takes to answer.
    pub(crate) delay: Duration,
    pub(crate) action: Action,
    /// The `X-Vcap-Request-Id` of the response.
    pub(crate) request_id: String,
}

/// The kind of response to a request for an app.
#[derive(Debug)]
pub(crate) enum Action {
    Reply(Reply),
    /// The server reads the beginning of the body and calls [`DataPlaneContext::answer`] again.
    ReadBody,
    /// The server reads the body and responds with its length.
    CountBody,
    /// The server forwards the request to another server.
    Forward(Forward),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Action::Reply(reply).into()
    }
}

impl From<Action> for Outcome {
    fn from(action: Action) -> Self {
        Self {
            delay: Duration::ZERO,
            action,
            request_id: String::new(),
        }
    }
}

/// The response of a proxy that has counted the bytes of a body.
pub(crate) fn counted(bytes: u64) -> Reply {
    proxy::counted(bytes)
}

/// A fault of an app that a test injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppFault {
    /// No connection to the app succeeds.
    Unreachable,
    /// The app is missing in the registry.
    Unregistered,
    /// The app responds late.
    Slow,
}

/// The current faults of apps.
pub(crate) trait AppFaults: fmt::Debug {
    /// The delay of the fault, if it applies to this request.
    fn apply(&mut self, fault: AppFault, app: &str, request: &AppRequest<'_>) -> Option<Duration>;
}

/// The state of the data plane that is not part of the world.
#[derive(Debug)]
pub(crate) struct DataPlane {
    settings: settings::Settings,
    /// The number of requests per route, for round-robin load balancing.
    turns: HashMap<Guid, usize>,
    /// The latencies of the latest requests that each proxy sent, in seconds.
    latencies: HashMap<InstanceAddress, VecDeque<f64>>,
    registries: HashMap<InstanceAddress, registry::Memory>,
    /// The number of requests for apps.
    requests: u64,
    guids: GuidSource,
    /// The ID of this mock in forwarded requests.
    id: String,
}

/// The number of instances with stored state from which on the state of stopped instances
/// is dropped.
const MAX_REMEMBERED: usize = 1000;

impl DataPlane {
    pub(crate) fn new(random: Random) -> Self {
        let mut guids = GuidSource::new(random);
        Self {
            settings: settings::Settings::default(),
            turns: HashMap::new(),
            latencies: HashMap::new(),
            registries: HashMap::new(),
            requests: 0,
            id: GuidSource::new(Random::from_seed(Random::any_seed()))
                .next()
                .to_string(),
            guids: GuidSource::new(guids.split()),
        }
    }

    /// Drops all behaviours, registrations, latencies and counts.
    pub(crate) fn reset(&mut self) {
        self.settings = settings::Settings::default();
        self.turns.clear();
        self.latencies.clear();
        self.registries.clear();
        self.requests = 0;
    }

    /// The number of requests for apps.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Replaces all behaviours that were set.
    pub(crate) fn set_behaviours(
        &mut self,
        behaviours: Vec<AppBehaviour>,
    ) -> Result<(), InvalidApps> {
        self.settings = settings::Settings::new(behaviours)?;
        Ok(())
    }

    /// The behaviours that were set, and the number of responses that followed each, as
    /// JSON.
    pub(crate) fn behaviours(&self) -> serde_json::Value {
        self.settings.present()
    }

    /// The latest latencies of an instance's connections.
    fn latencies_of(&mut self, address: InstanceAddress, world: &World) -> &mut VecDeque<f64> {
        if self.latencies.len() >= MAX_REMEMBERED && !self.latencies.contains_key(&address) {
            self.latencies
                .retain(|address, _| world.instance_at(*address).is_some());
        }
        self.latencies.entry(address).or_default()
    }
}

/// The state that determines the answer to a request for an app.
#[derive(Debug)]
pub(crate) struct DataPlaneContext<'s> {
    pub(crate) world: &'s World,
    pub(crate) plane: &'s mut DataPlane,
    pub(crate) faults: &'s mut dyn AppFaults,
    /// The length of the current chain of connections.
    depth: u32,
}

impl<'s> DataPlaneContext<'s> {
    pub(crate) fn new(
        world: &'s World,
        plane: &'s mut DataPlane,
        faults: &'s mut dyn AppFaults,
    ) -> Self {
        Self {
            world,
            plane,
            faults,
            depth: 0,
        }
    }

    /// Answers a request. `None` if its host belongs to no domain of the world.
    pub(crate) fn answer(&mut self, request: &AppRequest<'_>) -> Option<Outcome> {
        let mut outcome = self.route(request)?;
        if !matches!(outcome.action, Action::ReadBody) {
            self.plane.requests += 1;
        }
        outcome.request_id = self.plane.guids.next().to_string();
        if let Action::Forward(forward) = &mut outcome.action {
            forward.set_header("x-vcap-request-id", &outcome.request_id);
        }
        Some(outcome)
    }

    /// The time of the mock's clock.
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Answers a request that has reached an instance.
    fn serve(
        &mut self,
        instance: &Instance<'s>,
        behaviour: &Behaviour,
        request: &AppRequest<'_>,
        caller: IpAddr,
    ) -> Outcome {
        if matches!(request.body, RequestBody::Unread) && behaviour.reads_body(request) {
            return Action::ReadBody.into();
        }
        let app = &instance.app.name;
        let slow = self.faults.apply(AppFault::Slow, app, request);
        let mut outcome = match behaviour {
            Behaviour::Tick => tick::answer(instance).into(),
            Behaviour::Proxy => self.serve_proxy(instance, request, caller),
            Behaviour::Registry => self.serve_registry(instance, request).into(),
            Behaviour::Echo => echo::answer(instance, request).into(),
            Behaviour::Forward(url) => self.forward(instance, url, request),
            Behaviour::Fixed(answer) => answer.reply().into(),
        };
        outcome.delay = outcome.delay.saturating_add(slow.unwrap_or_default());
        outcome
    }

    /// The behaviour of an instance that is about to answer a request.
    fn behaviour(&mut self, instance: &Instance<'s>) -> Behaviour {
        self.plane.settings.count(self.world, instance.app, || {
            self.world.command_of(instance.process)
        })
    }
}

/// A running instance of an app.
#[derive(Clone, Copy, Debug)]
struct Instance<'w> {
    app: &'w App,
    process: &'w Process,
    index: u32,
    address: InstanceAddress,
}

impl<'w> Instance<'w> {
    /// An instance of a process, if it runs and has an address.
    fn running(world: &'w World, process: &'w Process, index: u32) -> Option<Self> {
        world.running_since(process, index)?;
        Some(Self {
            app: world.apps.get(process.app)?,
            process,
            index,
            address: world.address_of(process, index)?,
        })
    }

    fn ip(&self) -> IpAddr {
        self.address.ip().into()
    }

    fn guid(&self) -> String {
        instance_guid(self.process, self.index)
    }
}

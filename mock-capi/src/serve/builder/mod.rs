//! Starting a mock.

mod options;

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::serve::adapter::Adapter;
use crate::serve::adapter::sealed::ServeOptions;
use crate::serve::controller::CloudController;
use crate::serve::core::{AnsweredRequest, Observer, Wire};
use crate::serve::faults::Fault;
use crate::serve::front::{Front, Tls};
use crate::serve::inside_broker::BrokerSpec;
use crate::serve::mock_capi::{MockCapi, StartError};
use crate::serve::on_wiremock::Wiremock;
use crate::serve::pace::Profile;
use crate::world::settings::{Dialect, RateLimit};

use options::Options;

/// The settings of a [`MockCapi`] that is yet to start; from
/// [`MockCapi::builder`].
pub struct MockCapiBuilder<A = Wiremock> {
    options: Options,
    adapter: PhantomData<fn() -> A>,
}

impl<A> Clone for MockCapiBuilder<A> {
    fn clone(&self) -> Self {
        Self::with(self.options.clone())
    }
}

impl<A> fmt::Debug for MockCapiBuilder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let builder = &mut f.debug_tuple("MockCapiBuilder");
        builder.field(&self.options).finish()
    }
}

impl MockCapiBuilder {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    /// Serves the fake by a server of mock-capi's own instead of wiremock: it
    /// can break off answers and reads large uploads, but takes no mounted
    /// mocks.
    #[must_use]
    pub fn front(self) -> MockCapiBuilder<Front> {
        MockCapiBuilder::with(self.options)
    }

    /// The fake alone, to be [mounted](CloudController::mount) on a wiremock
    /// server that the test has already.
    ///
    /// # Errors
    ///
    /// Those of [`MockCapiBuilder::start`] but [`StartError::Listen`].
    pub fn cloud_controller(self) -> Result<CloudController, StartError> {
        self.build(Wire::Wiremock, None)
    }
}

impl<A: Adapter> MockCapiBuilder<A> {
    /// The API to speak; without it, [`Dialect::V3`].
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.options.dialect = dialect;
        self
    }

    /// The address to listen on; without it, a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.options.listen = address;
        self
    }

    /// The administrator; without it, `admin` with the password `admin`.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.options.user = (name.into(), password.into());
        self
    }

    /// A further user, who is no administrator: what they see and do, their
    /// roles in organizations and spaces allow.
    #[must_use]
    pub fn add_user(mut self, name: &str, password: &str) -> Self {
        self.options
            .further_users
            .push((name.into(), password.into()));
        self
    }

    /// A client that logs in with its own credentials, as an administrator;
    /// without it, there is none.
    #[must_use]
    pub fn client(mut self, id: &str, secret: &str) -> Self {
        self.options.client = Some((id.into(), secret.into()));
        self
    }

    /// The name of the shared domain; without it, `apps.mock.test`.
    #[must_use]
    pub fn apps_domain(mut self, name: &str) -> Self {
        self.options.apps_domain = name.into();
        self
    }

    /// How long each answer is held back.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.options.timings.latency = latency;
        self
    }

    /// Lets requests take as long as a profile says, besides the latency, and what
    /// happens in the background, too. Times that are set later replace those of the
    /// profile.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        // A profile has been checked when it was read.
        let _ = profile.set_times(&mut self.options.timings);
        if let Some(workers) = profile.workers() {
            self.options.workers = workers;
        }
        self.options.profile = Some(profile);
        self
    }

    /// Serves at most so many requests at once, as a Cloud Controller with so many
    /// workers: others queue until one is free. 0, the default, is no ceiling.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.options.workers = count;
        self
    }

    /// How long a build is `STAGING`.
    #[must_use]
    pub fn staging_time(mut self, time: Duration) -> Self {
        self.options.timings.staging = time;
        self
    }

    /// How long a copied droplet is `COPYING`.
    #[must_use]
    pub fn copy_time(mut self, time: Duration) -> Self {
        self.options.timings.copy = time;
        self
    }

    /// How long an instance is `STARTING`.
    #[must_use]
    pub fn start_time(mut self, time: Duration) -> Self {
        self.options.timings.start = time;
        self
    }

    /// How long a job is `PROCESSING`, and a package `PROCESSING_UPLOAD`.
    #[must_use]
    pub fn job_time(mut self, time: Duration) -> Self {
        self.options.timings.job = time;
        self
    }

    /// How long a task runs.
    #[must_use]
    pub fn task_time(mut self, time: Duration) -> Self {
        self.options.timings.task = time;
        self
    }

    /// How long a network policy takes to let an app reach another; without it, none.
    /// Jitter does not change it.
    #[must_use]
    pub fn policy_time(mut self, time: Duration) -> Self {
        self.options.timings.policy = time;
        self
    }

    /// How long a security group takes to let apps reach what it allows, counted from
    /// its last change; without it, none. Jitter does not change it.
    #[must_use]
    pub fn asg_time(mut self, time: Duration) -> Self {
        self.options.timings.asg = time;
        self
    }

    /// Makes each of these times, and the latency, longer or shorter by up to
    /// this share of it, from 0 to 1.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.options.timings.jitter = share;
        self
    }

    /// Makes GUIDs, jitter, random routes and the probabilities of faults the
    /// same in each run; without it, they differ.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// How long an access token is good; without it, 600 s, as UAA has it for
    /// the `cf` client.
    #[must_use]
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.options.token_lifetime = lifetime;
        self
    }

    /// Keeps all requests with their bodies in memory, see
    /// [`CloudController::requests`].
    #[must_use]
    pub fn record_requests(mut self) -> Self {
        self.options.record_requests = true;
        self
    }

    /// Refuses deployments, as an operator can have it; clients then stop and
    /// start.
    #[must_use]
    pub fn disable_deployments(mut self) -> Self {
        self.options.deployments_disabled = true;
        self
    }

    /// Lets every user make so many requests in a window of time, and every
    /// address without a token; more are refused with 429. Without it, there is
    /// no limit.
    #[must_use]
    pub fn rate_limit(mut self, requests: u64, window: Duration) -> Self {
        self.options.rate_limit = Some(RateLimit { requests, window });
        self
    }

    /// Lets administrators make so many requests in the window of
    /// [`rate_limit`](Self::rate_limit). Unless set, they may make as many as
    /// everyone.
    #[must_use]
    pub fn admin_rate_limit(mut self, requests: u64) -> Self {
        self.options.admin_rate_limit = Some(requests);
        self
    }

    /// What shall go wrong from the start, see [`Fault`].
    #[must_use]
    pub fn faults(mut self, faults: Vec<Fault>) -> Self {
        self.options.faults = faults;
        self
    }

    /// Continues with the state in a file, see [`CloudController::save_state`]. If
    /// there is no such file, the mock starts with a new world and saves it there. No
    /// other mock can use the file until this one is dropped.
    #[must_use]
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.state_file = Some(path.into());
        self
    }

    /// Starts with the orgs, spaces, apps, services, users, quotas, security groups and
    /// so on of a YAML file, which may be a spec of `cf-pusher apply -f`. To it [`CloudController::reset`] goes back; a state file
    /// that is there goes before it.
    #[must_use]
    pub fn seed_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.seed_file = Some(path.into());
        self
    }

    /// Keeps at most so many audit events, and usage events of each kind; without
    /// it, 200,000. The oldest are dropped.
    #[must_use]
    pub fn keep_events(mut self, count: usize) -> Self {
        self.options.keep_events = count;
        self
    }

    /// Keeps at most so many requests, with up to 64 KiB of each body, for
    /// `/_mock/requests` and `/_mock/verify`; without it, 1,000. The oldest are
    /// dropped.
    #[must_use]
    pub fn keep_requests(mut self, count: usize) -> Self {
        self.options.keep_requests = count;
        self
    }

    /// Starts a service broker inside the mock, and registers it: its one
    /// offering has the broker's name, and these plans, which everyone sees.
    /// Without any, the plan is `default`. May be called more than once.
    ///
    /// It makes what it is asked for at once. Of the parameters of an instance
    /// or a binding, `"async": true` lets the broker answer that it is still at
    /// it, and `"fail": "reason"` lets it refuse.
    #[must_use]
    pub fn broker(mut self, name: &str, plans: &[&str]) -> Self {
        let plans = match plans {
            [] => &["default"],
            plans => plans,
        };
        self.options.brokers.push(BrokerSpec {
            name: name.into(),
            plans: plans.iter().map(|plan| (*plan).into()).collect(),
        });
        self
    }

    /// How many bindings an app and a service instance may have, if they are
    /// asked for with the strategy `multiple`: from 1, which is the default, to
    /// 5.
    #[must_use]
    pub fn bindings_per_app(mut self, count: usize) -> Self {
        self.options.bindings_per_app = count;
        self
    }

    /// How long a service broker may take to answer; 60 seconds unless set.
    #[must_use]
    pub fn broker_timeout(mut self, time: Duration) -> Self {
        self.options.broker_timeout = time;
        self
    }

    /// After which time a service broker is asked again how far it is, unless it
    /// wants more; a second unless set.
    #[must_use]
    pub fn broker_poll_interval(mut self, time: Duration) -> Self {
        self.options.broker_poll_interval = time;
        self
    }

    /// Takes security group rules of IPv6 and ICMPv6, as foundations with
    /// `enable_ipv6` do.
    #[must_use]
    pub fn enable_ipv6(mut self) -> Self {
        self.options.ipv6 = true;
        self
    }

    /// Lets the deletion of a service instance wait for bindings that its broker
    /// deletes asynchronously, as foundations with
    /// `temporary_enable_async_recursive_delete` do, instead of failing.
    #[must_use]
    pub fn enable_recursive_delete(mut self) -> Self {
        self.options.recursive_delete = true;
        self
    }

    /// Switches the v2 API off, as foundations have it today: the root has no
    /// link to it, and only `/v2/info` answers.
    #[must_use]
    pub fn disable_v2(mut self) -> Self {
        self.options.v2_disabled = true;
        self
    }

    /// Answers `/_mock/` also to requests for a host of that name. IP addresses
    /// and `localhost` always may ask.
    #[must_use]
    pub fn allow_host(mut self, name: &str) -> Self {
        self.options.allowed_hosts.push(name.into());
        self
    }

    /// Calls a function after each request, with the fake's lock held: it must
    /// not call the fake.
    #[must_use]
    pub fn on_request(
        mut self,
        observer: impl Fn(AnsweredRequest<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.options.observer = Some(Observer(Arc::new(observer)));
        self
    }

    /// Starts the mock. It answers once this returns.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`] if the address cannot be listened on;
    /// [`StartError::State`] if there is a state file that cannot be loaded or
    /// saved, or that another mock uses;
    /// [`StartError::SeedFile`] if there is a seed file that cannot be read or
    /// asks for what cannot be; [`StartError::Faults`] if a fault could never
    /// strike, or the adapter cannot do it; [`StartError::Times`] if the jitter is
    /// not from 0 to 1; [`StartError::Tls`] if no certificate can be made.
    pub async fn start(self) -> Result<MockCapi<A>, StartError> {
        let (address, keeps_requests) = (self.options.listen, self.options.record_requests);
        let tls = self.options.tls().map_err(StartError::Tls)?;
        let controller = self.build(A::WIRE.0, tls.as_ref())?;
        let options = ServeOptions {
            address,
            keeps_requests,
            tls,
        };
        let adapter = A::start(options, controller.clone()).await;
        let adapter = adapter.map_err(|source| StartError::Listen { address, source })?;
        Ok(MockCapi::new(adapter, controller))
    }
}

impl MockCapiBuilder<Front> {
    /// Speaks TLS, with a self-signed certificate of its own:
    /// [`MockCapi::certificate`](crate::MockCapi::certificate). It is good for
    /// `localhost`, the address that the mock listens on, the names of
    /// [`allow_host`](Self::allow_host), and the hosts of the shared domain.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.options.tls = true;
        self
    }

    /// Allows further worlds, each on a port of its own: of this range, or
    /// without one on any free port. `POST /_mock/worlds` starts one, with all
    /// that this one was started with but its state file.
    #[must_use]
    pub fn worlds(mut self, ports: Option<RangeInclusive<u16>>) -> Self {
        self.options.world_ports = Some(ports.unwrap_or(0..=0));
        self
    }
}

impl<A> MockCapiBuilder<A> {
    fn with(options: Options) -> Self {
        Self {
            options,
            adapter: PhantomData,
        }
    }

    fn build(self, wire: Wire, tls: Option<&Tls>) -> Result<CloudController, StartError> {
        let worlds = self.options.worlds(tls);
        let controller = self.options.build(wire)?;
        if let Some(worlds) = worlds {
            controller.core().allow_worlds(worlds);
        }
        Ok(controller)
    }
}

//! Configures and starts a mock.

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
use crate::serve::embedded_broker::BrokerSpec;
use crate::serve::faults::Fault;
use crate::serve::front::{Front, Tls};
use crate::serve::mock_capi::{MockCapi, StartError};
use crate::serve::on_wiremock::Wiremock;
use crate::serve::pace::Profile;
use crate::world::RouterGroup;
use crate::world::settings::{Dialect, RateLimit};

use options::{Options, SeedSource};

/// The settings of a [`MockCapi`] that has not been started. [`MockCapi::builder`]
/// returns one.
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

    /// Serves the fake with mock-capi's own server instead of wiremock. It can close
    /// connections in the middle of a response and accepts large uploads, but tests
    /// cannot mount mocks on it.
    #[must_use]
    pub fn front(self) -> MockCapiBuilder<Front> {
        MockCapiBuilder::with(self.options)
    }

    /// Returns the fake without a server, to be [mounted](CloudController::mount) on an
    /// existing wiremock server.
    ///
    /// # Errors
    ///
    /// The errors of [`MockCapiBuilder::start`] except [`StartError::Listen`].
    pub fn cloud_controller(self) -> Result<CloudController, StartError> {
        self.build(Wire::Wiremock, None)
    }
}

impl<A: Adapter> MockCapiBuilder<A> {
    /// Sets the version of the API. The default is [`Dialect::V3`].
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.options.dialect = dialect;
        self
    }

    /// Sets the address to listen on. The default is a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.options.listen = address;
        self
    }

    /// Sets the name and password of the administrator. The default is `admin` with the
    /// password `admin`.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.options.user = (name.into(), password.into());
        self
    }

    /// Adds a user who is not an administrator. The user's roles in organizations and
    /// spaces determine what they may see and change.
    #[must_use]
    pub fn add_user(mut self, name: &str, password: &str) -> Self {
        self.options
            .further_users
            .push((name.into(), password.into()));
        self
    }

    /// Adds an OAuth client that logs in with its own credentials and acts as an
    /// administrator.
    #[must_use]
    pub fn client(mut self, id: &str, secret: &str) -> Self {
        self.options.client = Some((id.into(), secret.into()));
        self
    }

    /// Sets the name of the shared domain. The default is `apps.mock.test`.
    #[must_use]
    pub fn apps_domain(mut self, name: &str) -> Self {
        self.options.apps_domain = name.into();
        self
    }

    /// Delays each response by this time.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.options.timings.latency = latency;
        self
    }

    /// Makes requests and background operations take the times of a profile, in addition
    /// to the latency. Times that are set later replace those of the profile.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        // A profile was validated when it was read.
        let _ = profile.set_times(&mut self.options.timings);
        if let Some(workers) = profile.workers() {
            self.options.workers = workers;
        }
        self.options.profile = Some(profile);
        self
    }

    /// Limits the number of requests that are served at once, like a Cloud Controller
    /// with this number of workers. Other requests queue. 0, the default, means no limit.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.options.workers = count;
        self
    }

    /// Sets the time that a build is `STAGING`.
    #[must_use]
    pub fn staging_time(mut self, time: Duration) -> Self {
        self.options.timings.staging = time;
        self
    }

    /// Sets the time that a copied droplet is `COPYING`.
    #[must_use]
    pub fn copy_time(mut self, time: Duration) -> Self {
        self.options.timings.copy = time;
        self
    }

    /// Sets the time that an instance is `STARTING`.
    #[must_use]
    pub fn start_time(mut self, time: Duration) -> Self {
        self.options.timings.start = time;
        self
    }

    /// Sets the time that a job is `PROCESSING`, and a package `PROCESSING_UPLOAD`.
    #[must_use]
    pub fn job_time(mut self, time: Duration) -> Self {
        self.options.timings.job = time;
        self
    }

    /// Sets the duration of tasks.
    #[must_use]
    pub fn task_time(mut self, time: Duration) -> Self {
        self.options.timings.task = time;
        self
    }

    /// Sets the time until a network policy affects connections between apps. The default
    /// is 0. Jitter does not change it.
    #[must_use]
    pub fn policy_time(mut self, time: Duration) -> Self {
        self.options.timings.policy = time;
        self
    }

    /// Sets the time until a change of a security group affects connections of apps. The
    /// default is 0. Jitter does not change it.
    #[must_use]
    pub fn asg_time(mut self, time: Duration) -> Self {
        self.options.timings.asg = time;
        self
    }

    /// Varies the latency and each of these times at random by up to this fraction, from
    /// 0 to 1.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.options.timings.jitter = share;
        self
    }

    /// Sets the seed of GUIDs, jitter, random routes and probabilities of faults, so that
    /// they are the same in each run. By default, they differ.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Sets the lifetime of access tokens. The default is 600 s, UAA's default for the
    /// `cf` client.
    #[must_use]
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.options.token_lifetime = lifetime;
        self
    }

    /// Keeps all requests with their bodies in memory, see
    /// [`CloudController::requests`] and, behind wiremock,
    /// [`received_requests`](wiremock::MockServer::received_requests).
    #[must_use]
    pub fn record_requests(mut self) -> Self {
        self.options.record_requests = true;
        self
    }

    /// Disables deployments, as the operator of a foundation can. Clients then stop and
    /// start apps instead.
    #[must_use]
    pub fn disable_deployments(mut self) -> Self {
        self.options.deployments_disabled = true;
        self
    }

    /// Limits the number of requests in a period, for each user and, without a token, for
    /// each address. Other requests are refused with 429. By default, there is no limit.
    #[must_use]
    pub fn rate_limit(mut self, requests: u64, window: Duration) -> Self {
        self.options.rate_limit = Some(RateLimit { requests, window });
        self
    }

    /// Sets another limit for administrators, for the period of
    /// [`rate_limit`](Self::rate_limit). The default is the limit of all users.
    #[must_use]
    pub fn admin_rate_limit(mut self, requests: u64) -> Self {
        self.options.admin_rate_limit = Some(requests);
        self
    }

    /// Sets the faults from the start: see [`Fault`].
    #[must_use]
    pub fn faults(mut self, faults: Vec<Fault>) -> Self {
        self.options.faults = faults;
        self
    }

    /// Loads the state from a file, and saves it there (see
    /// [`CloudController::save_state`]). If the file does not exist, the mock starts with
    /// a new world and creates the file. No other mock can use the file until this one is
    /// dropped.
    #[must_use]
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.state_file = Some(path.into());
        self
    }

    /// Creates the orgs, spaces, apps, services, users, quotas, security groups and other
    /// resources in a YAML file, which may be a spec of `cf-pusher apply -f`.
    /// [`CloudController::reset`] returns to them. An existing state file takes
    /// precedence.
    #[must_use]
    pub fn seed_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.seed_source = Some(SeedSource::File(path.into()));
        self
    }

    /// Creates the resources in a YAML text, as [`seed_file`](Self::seed_file) does for a
    /// file. The last call of the two counts.
    ///
    /// ```
    /// use mock_capi::MockCapi;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let seed = "
    /// users: [{name: dev, password: secret}]
    /// orgs:
    /// - name: my-org
    ///   spaces:
    ///   - name: my-space
    ///     roles: [{type: space_developer, user: dev}]
    ///     apps: [{name: web, instances: 2, memory: 64M}]
    /// ";
    /// let mock = MockCapi::builder().seed_yaml(seed).start().await?;
    /// assert_eq!(mock.app("web").map(|web| web.running), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn seed_yaml(mut self, text: impl Into<String>) -> Self {
        self.options.seed_source = Some(SeedSource::Yaml(text.into()));
        self
    }

    /// Limits the number of audit events, and of usage events of each kind. The oldest
    /// are dropped. The default is 200,000.
    #[must_use]
    pub fn keep_events(mut self, count: usize) -> Self {
        self.options.keep_events = count;
        self
    }

    /// Limits the number of requests that are kept for `/_mock/requests` and
    /// `/_mock/verify`, with up to 64 KiB of each body. The oldest are dropped. The
    /// default is 1,000.
    #[must_use]
    pub fn keep_requests(mut self, count: usize) -> Self {
        self.options.keep_requests = count;
        self
    }

    /// Starts a service broker inside the mock and registers it. It has one offering with
    /// the broker's name and these plans, which everyone sees. Without plans, it has the
    /// plan `default`. Can be called several times.
    ///
    /// The broker carries out requests at once. Two parameters of an instance or a
    /// binding change that: with `"async": true`, the operation is still in progress at
    /// first, and with `"fail": "reason"`, the broker refuses it.
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

    /// Sets the maximum number of bindings between an app and a service instance, for
    /// bindings with the strategy `multiple`: from 1, the default, to 5.
    #[must_use]
    pub fn bindings_per_app(mut self, count: usize) -> Self {
        self.options.bindings_per_app = count;
        self
    }

    /// Sets the timeout for requests to service brokers. The default is 60 seconds.
    #[must_use]
    pub fn broker_timeout(mut self, time: Duration) -> Self {
        self.options.broker_timeout = time;
        self
    }

    /// Sets the time between two polls of a service broker's operation, unless the broker
    /// requests a longer time. The default is one second.
    #[must_use]
    pub fn broker_poll_interval(mut self, time: Duration) -> Self {
        self.options.broker_poll_interval = time;
        self
    }

    /// Accepts security group rules for IPv6 and ICMPv6, like foundations with
    /// `enable_ipv6`.
    #[must_use]
    pub fn enable_ipv6(mut self) -> Self {
        self.options.ipv6 = true;
        self
    }

    /// Lets the deletion of a service instance wait for bindings that its broker deletes
    /// asynchronously, instead of failing, like foundations with
    /// `temporary_enable_async_recursive_delete`.
    #[must_use]
    pub fn enable_recursive_delete(mut self) -> Self {
        self.options.recursive_delete = true;
        self
    }

    /// Adds a router group with these ports for TCP routes, and with it the routing API.
    /// Its domains are created like those of any foundation, such as with
    /// `cf create-shared-domain DOMAIN --router-group NAME`. In a new world, the default
    /// quota then allows 100 ports. Can be called several times.
    #[must_use]
    pub fn router_group(mut self, name: &str, ports: RangeInclusive<u16>) -> Self {
        self.options
            .router_groups
            .push(RouterGroup::new(name, ports));
        self
    }

    /// Disables the v2 API, as most foundations do today: the root has no link to it, and
    /// only `/v2/info` is available.
    #[must_use]
    pub fn disable_v2(mut self) -> Self {
        self.options.v2_disabled = true;
        self
    }

    /// Serves `/_mock/` also for requests with this host name. IP addresses and
    /// `localhost` are always allowed.
    #[must_use]
    pub fn allow_host(mut self, name: &str) -> Self {
        self.options.allowed_hosts.push(name.into());
        self
    }

    /// Calls a function after each request. The fake is locked during the call, so the
    /// function must not call the fake.
    #[must_use]
    pub fn on_request(
        mut self,
        observer: impl Fn(AnsweredRequest<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.options.observer = Some(Observer(Arc::new(observer)));
        self
    }

    /// Starts the mock. It is ready when this returns.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`] if the address cannot be listened on; [`StartError::State`]
    /// if there is a state file that cannot be loaded or saved, or that another mock
    /// uses; [`StartError::SeedFile`] or [`StartError::Seed`] if a seed cannot be read or
    /// its resources cannot be created; [`StartError::Faults`] if a fault could never
    /// apply, or the adapter does not support it; [`StartError::Times`] if the jitter is
    /// not from 0 to 1; [`StartError::Tls`] if no certificate can be created;
    /// [`StartError::Broker`] if a service broker inside the mock cannot listen.
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
    /// Serves HTTPS with a self-signed certificate: see
    /// [`MockCapi::certificate`](crate::MockCapi::certificate). It is valid for
    /// `localhost`, the address that the mock listens on, the names of
    /// [`allow_host`](Self::allow_host), and the hosts of the shared domain.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.options.tls = true;
        self
    }

    /// Allows additional worlds, each on its own port: in this range, or any free port if
    /// `None`. `POST /_mock/worlds` starts one with the same settings as this mock,
    /// except for the state file.
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

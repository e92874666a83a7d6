//! The scaling test of container networking. It tests that network policies for many
//! apps, and their deletion, take effect within a given time.
//!
//! The test corresponds to the scaling suite of cf-networking-release. It uses the apps
//! that [`ScalingTest::desired`] describes: registry, tick apps and proxy apps. Proxy
//! apps try to connect to tick apps without policies, with policies, and after the
//! policies were deleted, in two [`Context`]s.
//!
//! ```
//! # #[cfg(feature = "mock")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cf_pusher::scale_test::{Clock, Tester};
//! use cf_pusher::{
//!     Approval, Client, ConnectOptions, Converger, Credentials, Events, ScalingTest, Sources,
//! };
//!
//! // On a real foundation, neither the router nor the clock is set.
//! let mock = std::sync::Arc::new(mock_capi::MockCapi::builder().front().start().await?);
//! let credentials = Credentials::Password {
//!     username: "admin".to_owned(),
//!     password: "admin".into(),
//! };
//! let options = ConnectOptions::new(mock.uri(), credentials);
//! let client = Client::connect(&options, Events::default()).await?;
//!
//! let config = r#"{"test_applications": 3, "proxy_applications": 2, "extra_listen_ports": 1}"#;
//! let config = ScalingTest::parse(config, "inline")?;
//! let desired = config.desired(&Sources::read(&config, None)?)?;
//! Converger::new(client.clone(), desired).converge(Approval::None).await?;
//!
//! let fake = std::sync::Arc::clone(&mock);
//! let outcome = Tester::new(client, config)
//!     .router(mock.uri())
//!     .clock(Clock::advanced_by(move |by| fake.advance(by)))
//!     .run()
//!     .await?;
//! assert!(outcome.is_ok(), "{:?}", outcome.failures());
//! assert_eq!(outcome.contexts[0].connections, 6); // 1 proxy, 3 ticks, 2 ports
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "mock"))]
//! # fn main() {}
//! ```

mod clock;
mod foundation;
mod measure;
mod numbers;
mod outcome;
mod policies;
mod probe;
mod registry;
mod run;

use std::time::Duration;

use futures::future::BoxFuture;

pub use clock::Clock;
pub use measure::MeasuredLatency;
pub use numbers::Context;
pub use outcome::{ContextOutcome, FailedConnection, PhaseOutcome, TestOutcome, TestPhase};
pub use registry::{RegisteredApp, Registration};

use run::Run;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::events::Event;
use crate::spec::scaling::ScalingTest;

/// The time that the policies are kept after the test.
const DEFAULT_SETTLE: Duration = Duration::from_secs(30);

/// The reason why a scaling test ended early.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// A request to the foundation failed.
    #[error(transparent)]
    Api(#[from] Error),
    /// The configuration has nothing to test.
    #[error("testing failed: `{key}` is 0, must be at least 1")]
    NothingToTest {
        /// The key of the configuration.
        key: &'static str,
    },
    /// The router's URL is not an http or https URL.
    #[error("invalid router URL {url}: {reason}")]
    InvalidRouter {
        /// The URL.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The router in front of the apps could not be reached.
    #[error("cannot reach the apps at {url}: {reason}")]
    NoRouter {
        /// The URL that was requested.
        url: String,
        /// The cause.
        reason: String,
    },
    /// Apps of the configuration do not exist.
    #[error("testing failed: {}", missing(apps, org, space, user))]
    MissingApps {
        /// The names of the apps.
        apps: Vec<String>,
        /// The name of the apps' org.
        org: String,
        /// The name of the apps' space.
        space: String,
        /// The user who cannot see the apps.
        user: String,
    },
    /// A measurement needs an address that only the security group allows.
    #[error("measuring the latency of security groups failed: {reason}")]
    InvalidTarget {
        /// The cause.
        reason: String,
    },
    /// A change had no effect.
    #[error("{what} had no effect within {}: {last}", humantime::format_duration(*waited))]
    NoEffect {
        /// The change, such as `mapping the route scale-latency-0.apps.example.com`.
        what: String,
        /// The length of the wait.
        waited: Duration,
        /// The last observation.
        last: String,
    },
}

fn missing(apps: &[String], org: &str, space: &str, user: &str) -> String {
    let names: Vec<&str> = apps.iter().map(String::as_str).collect();
    let kind = if apps.len() == 1 { "app" } else { "apps" };
    format!(
        "{kind} {} not found in {org}/{space}, or not visible to {user}",
        crate::converge::approval::ranges(&names).join(", ")
    )
}

/// Two errors are equal if their messages are equal.
impl PartialEq for TestError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl TestError {
    /// Whether the foundation could not be reached or logged in to.
    pub fn is_connection(&self) -> bool {
        match self {
            Self::Api(error) => error.is_connection(),
            Self::NoRouter { .. } => true,
            _ => false,
        }
    }

    /// Whether the configuration or an argument must be corrected.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NothingToTest { .. } | Self::InvalidRouter { .. } | Self::InvalidTarget { .. }
        )
    }
}

/// Runs the scaling test.
///
/// A tester is cheap to clone, and can be moved to another task.
#[derive(Debug, Clone)]
pub struct Tester {
    client: Client,
    test: ScalingTest,
    contexts: Vec<Context>,
    seed: Option<u64>,
    sample_percent: i32,
    policy_wait: Duration,
    settle: Duration,
    keeps_policies: bool,
    router: Option<String>,
    clock: Clock,
}

impl Tester {
    /// Tests the apps of a configuration, which [`Converger`](crate::Converger) has
    /// created.
    ///
    /// [`ScalingTest::sample_percent`] determines the samples, and
    /// [`ScalingTest::policy_update_wait_seconds`] the time that policies have to take
    /// effect.
    pub fn new(client: Client, test: ScalingTest) -> Self {
        Self {
            client,
            contexts: Context::ALL.to_vec(),
            seed: None,
            sample_percent: i32::try_from(test.sample_percent).unwrap_or(100),
            policy_wait: Duration::from_secs(test.policy_update_wait_seconds.into()),
            settle: DEFAULT_SETTLE,
            keeps_policies: false,
            router: None,
            clock: Clock::real(),
            test,
        }
    }

    /// Restricts the test to these contexts, in this order. The default is all contexts.
    #[must_use]
    pub fn contexts(self, contexts: impl IntoIterator<Item = Context>) -> Self {
        let contexts = contexts.into_iter().collect();
        Self { contexts, ..self }
    }

    /// Sets the seed of the samples. By default, each run has another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        let seed = Some(seed);
        Self { seed, ..self }
    }

    /// Sets the percentage of connections to try. A value that is not between 1 and 100,
    /// or that is less than one connection, means all.
    #[must_use]
    pub fn sample_percent(self, sample_percent: i32) -> Self {
        Self {
            sample_percent,
            ..self
        }
    }

    /// Sets the time that policies have to take effect.
    #[must_use]
    pub fn policy_wait(self, policy_wait: Duration) -> Self {
        Self {
            policy_wait,
            ..self
        }
    }

    /// Sets the time that the policies are kept after the test. The default is 30
    /// seconds.
    #[must_use]
    pub fn settle(self, settle: Duration) -> Self {
        Self { settle, ..self }
    }

    /// Keeps the policies of the last context. The next test deletes them.
    #[must_use]
    pub fn keep_policies(self, keeps_policies: bool) -> Self {
        Self {
            keeps_policies,
            ..self
        }
    }

    /// Sends requests for apps to this URL, with the app's host in the header `Host`.
    /// This is needed for foundations whose app domain cannot be resolved by DNS.
    #[must_use]
    pub fn router(self, url: impl Into<String>) -> Self {
        let router = Some(url.into());
        Self { router, ..self }
    }

    /// Sets the clock for all waits.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Runs the checks that need no request. The test itself also runs them first.
    ///
    /// # Errors
    /// [`TestError::NothingToTest`] and [`TestError::InvalidRouter`].
    pub fn check(&self) -> Result<(), TestError> {
        let test = &self.test;
        let counts = [
            ("test_applications", test.test_applications),
            ("test_app_instances", test.test_app_instances),
            ("proxy_applications", test.proxy_applications),
            ("proxy_instances", test.proxy_instances),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(TestError::NothingToTest { key });
        }
        foundation::router(self).map(|_| ())
    }

    /// Runs the test. Failed connections are in the [`TestOutcome`].
    ///
    /// Policies of an earlier test of the same apps, which was killed or kept them, are
    /// deleted first. If the run is interrupted or stops with an error, it deletes the
    /// policies that it has created.
    ///
    /// # Errors
    ///
    /// [`TestError`] if the test ends before it knows which instances are registered. A
    /// later error is in [`TestOutcome::error`], in addition to the finished phases.
    pub fn run(&self) -> BoxFuture<'_, Result<TestOutcome, TestError>> {
        Box::pin(async move {
            // Boxed, so that the futures of callers stay small.
            let outcome = Box::pin(Run::test(self)).await;
            let (checks, error) = match &outcome {
                Ok(outcome) => (outcome.checks(), outcome.error.as_ref()),
                Err(error) => (Vec::new(), Some(error)),
            };
            self.client.events().emit(Event::TestEnded {
                checks: checks.into(),
                error: error.map(ToString::to_string),
            });
            outcome
        })
    }

    /// Maps a route to the first proxy app, `times` times, and measures the time until
    /// the app responds.
    ///
    /// # Errors
    ///
    /// The errors of [`Tester::run`], and [`TestError::NoEffect`]. An error after the first
    /// measurement is in [`MeasuredLatency::error`].
    pub fn route_latency(&self, times: u32) -> BoxFuture<'_, Result<MeasuredLatency, TestError>> {
        Box::pin(measure::routes(self, times))
    }

    /// Binds a security group to the space of the apps and unbinds it, `times` times.
    /// Measures the time until the first proxy app can connect to `target`, and until it
    /// can no longer connect.
    ///
    /// The target is `IP:PORT`. It must accept connections, and no other security group
    /// may allow it. The default is the address on the cell that leads to the first
    /// instance of the first tick app.
    ///
    /// # Errors
    /// The errors of [`Tester::route_latency`], and [`TestError::InvalidTarget`].
    pub fn asg_latency<'a>(
        &'a self,
        times: u32,
        target: Option<&'a str>,
    ) -> BoxFuture<'a, Result<[MeasuredLatency; 2], TestError>> {
        Box::pin(measure::security_groups(self, times, target))
    }
}

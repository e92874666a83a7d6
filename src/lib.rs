//! Converges a Cloud Foundry org to many running apps, with few requests.
//!
//! Scaling tests need hundreds to thousands of apps. This library stages each
//! kind of app once (the prototype), gives every other app a copy of its
//! droplet, and converges the live foundation to the desired state through the
//! Cloud Controller API: org, quota, space, security group, apps, environment,
//! droplets, routes, instances. The foundation is the only state: a run
//! observes, plans the difference, applies it, and verifies.
//!
//! ```
//! # #[cfg(feature = "mock")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cf_pusher::{Client, Config, ConnectOptions, Converger, Credentials, Events, Sources};
//!
//! let mock = mock_capi::MockCapi::builder().start().await?;
//! let options = ConnectOptions::new(
//!     mock.uri(),
//!     Credentials::Password {
//!         username: "admin".to_owned(),
//!         password: "admin".into(),
//!     },
//! );
//! let client = Client::connect(&options, Events::default()).await?;
//!
//! let (config, _) = Config::parse(r#"{"test_applications": 3, "test_app_instances": 2}"#, "inline")?;
//! let sources = Sources::read(&config, None)?;
//! let converger = Converger::new(&client, &config, &sources);
//!
//! let first = converger.converge().await?;
//! assert_eq!(first.changed(), 4); // three ticks and their registry
//!
//! let second = converger.converge().await?;
//! assert_eq!((second.changed(), second.unchanged()), (0, 4));
//! assert!(converger.verify().await?.is_empty());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "mock"))]
//! # fn main() {}
//! ```

#![forbid(unsafe_code)]

mod capi;
mod config;
mod converge;
mod desired;
pub mod events;
pub mod manifest;
pub mod push;
pub mod report;

pub use capi::client::{Client, ConnectOptions};
pub use capi::dialect::Dialect;
pub use capi::error::{CcError, Error};
pub use capi::transport::Credentials;
pub use config::{Config, ConfigError, Connection, Problem};
pub use converge::outcome::{AppOutcome, AppResult, Failure, Outcome};
pub use converge::plan::{Action, Change, Plan, ResourcePlan};
pub use converge::target::Target;
pub use converge::verify::{Difference, Drift};
pub use converge::{ConvergeError, Converger, Destroyed};
pub use desired::Names;
pub use events::{Event, EventSink, Events};
pub use push::source::{SourceError, Sources};
pub use report::{Counts, RunCounts};
pub use tokio_util::sync::CancellationToken;

/// Checks the invariants of manifests for one input, for the fuzz target.
///
/// # Errors
/// The invariant that does not hold.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_manifest(input: &str) -> Result<(), String> {
    manifest::fuzzing::check(input)
}

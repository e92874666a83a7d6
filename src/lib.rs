//! Converges a Cloud Foundry foundation to declared orgs, spaces and running apps, with
//! few requests.
//!
//! Scaling tests need hundreds to thousands of apps. This library stages each kind of app
//! once (the prototype), copies its droplet to all other apps of that kind, and converges
//! the foundation to the desired state through the Cloud Controller API: orgs, quotas,
//! spaces, security groups, apps, environment, droplets, routes and instances. The
//! foundation is the only state: a run observes it, plans the changes, applies them, and
//! verifies the result.
//!
//! ```
//! # #[cfg(feature = "mock")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cf_pusher::{
//!     Approval, Client, ConnectOptions, Converger, Credentials, Events, ScalingTest, Sources,
//! };
//!
//! let mock = mock_capi::MockCapi::start().await?;
//! let options = ConnectOptions::new(
//!     mock.uri(),
//!     Credentials::Password {
//!         username: "admin".to_owned(),
//!         password: "admin".into(),
//!     },
//! );
//! let client = Client::connect(&options, Events::default()).await?;
//!
//! let test = ScalingTest::parse(r#"{"test_applications": 3, "test_app_instances": 2}"#, "inline")?;
//! let sources = Sources::read(&test, None)?;
//! let converger = Converger::new(client, test.desired(&sources)?);
//!
//! let first = converger.converge(Approval::None).await?;
//! assert_eq!(first.changed(), 4); // three tick apps and their registry
//!
//! let second = converger.converge(Approval::None).await?;
//! assert_eq!((second.changed(), second.unchanged()), (0, 4));
//! assert!(converger.verify().await?.is_empty());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "mock"))]
//! # fn main() {}
//! ```

#![forbid(unsafe_code)]

mod capi;
pub mod clone;
mod converge;
pub mod desired;
pub mod events;
pub mod export;
mod latency;
pub mod manifest;
pub mod push;
pub mod report;
pub mod scale_test;
mod spec;

pub use capi::client::{Client, ConnectOptions};
pub use capi::dialect::Dialect;
pub use capi::error::{CcError, ConnectionProblem, Error};
pub use capi::transport::Credentials;
pub use converge::approval::{Approval, Deletions, Question};
pub use converge::failure::{Failure, FailureGroup};
pub use converge::outcome::{AppOutcome, AppResult, Outcome};
pub use converge::plan::{Action, Change, OrgTotals, Plan, ResourcePlan, ResourceRef, Step};
pub use converge::saved_plan::{SavedPlan, SavedPlanError};
pub use converge::target::Target;
pub use converge::verify::{Difference, Drift};
pub use converge::{ConvergeError, Converger, Destroyed, GroupBitsError, ProtectedTarget};
pub use desired::Desired;
pub use events::{Event, EventSink, Events};
pub use manifest::entry::{EntryError, ManifestEntry};
pub use report::{Counts, RunCounts};
pub use secrecy::SecretString;
pub use spec::config::Configuration;
pub use spec::file::{SpecError, SpecFile, SpecProblem, SpecProblemReason};
pub use spec::multispace::Multispace;
pub use spec::preset::Preset;
pub use spec::reader::{ConfigError, ConfigProblem};
pub use spec::scaling::{Connection, Names, ScalingTest};
pub use spec::sources::{SourceError, Sources};
pub use tokio_util::sync::CancellationToken;

/// Checks the invariants of manifests for one input of the fuzz target.
///
/// # Errors
///
/// The violated invariant.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz_manifest(input: &str) -> Result<(), String> {
    manifest::fuzzing::check(input)
}

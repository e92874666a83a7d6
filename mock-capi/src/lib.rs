//! A fake Cloud Controller for tests of its clients. It keeps state, has the rules and
//! messages of the real Cloud Controller, and is fast enough for tests that create
//! hundreds of apps.
//!
//! ```
//! use mock_capi::MockCapi;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mock = MockCapi::builder().user("admin", "secret").start().await?;
//! let http = reqwest::Client::new();
//!
//! // Log in like any client of UAA ...
//! let token: serde_json::Value = http
//!     .post(format!("{}/uaa/oauth/token", mock.uri()))
//!     .basic_auth("cf", Some(""))
//!     .form(&[("grant_type", "password"), ("username", "admin"), ("password", "secret")])
//!     .send().await?
//!     .json().await?;
//! let token = token["access_token"].as_str().unwrap_or_default();
//!
//! // ... and use the API.
//! let org: serde_json::Value = http
//!     .post(format!("{}/v3/organizations", mock.uri()))
//!     .bearer_auth(token)
//!     .json(&serde_json::json!({"name": "my-org"}))
//!     .send().await?
//!     .json().await?;
//! assert_eq!(org["name"], "my-org");
//!
//! // Inspect the resources and the requests.
//! assert_eq!(mock.state()["organizations"][0]["guid"], org["guid"]);
//! assert_eq!(mock.stats().by_route["POST /v3/organizations"], 1);
//! # Ok(())
//! # }
//! ```
//!
//! Nothing runs in the background: [`MockCapiBuilder`] sets how long stagings, copies,
//! starts and jobs take, and [`CloudController::advance`] moves the clock instead of
//! waiting. [`Fault`]s make operations fail. [`Dialect`] selects today's API or that of
//! April 2017.

mod api;
mod data_plane;
mod serve;
mod world;

pub use api::operations::Operation;
pub use data_plane::{AppBehaviour, InvalidApps};
pub use serve::adapter::Adapter;
pub use serve::builder::MockCapiBuilder;
pub use serve::controller::{CloudController, TokenError};
pub use serve::core::{AnsweredRequest, RecordedRequest, Stats};
pub use serve::faults::{Fault, FaultCount, InvalidFaults};
pub use serve::front::Front;
pub use serve::mock_capi::{MockCapi, StartError};
pub use serve::on_wiremock::{Scope, Wiremock};
pub use serve::pace::{InvalidProfile, Profile};
pub use serve::seeds::{AppSeed, AppState, OrgSeed, RouteError, SpaceSeed};
pub use serve::state::StateError;
pub use wiremock;
pub use world::PackageFile;
pub use world::settings::{Dialect, UnknownDialect};

//! A fake Cloud Controller for tests. It keeps state, has the rules and error messages of
//! the real one, and is fast enough for tests that create hundreds of apps.
//!
//! # A test
//!
//! A [`MockCapi`] has its own world and its own port, so tests run in parallel. The
//! client under test gets its URL and logs in as `admin` with the password `admin`, or
//! uses a token. The test seeds resources and reads the results without requests: apps with
//! [`CloudController::org`] and [`CloudController::app`], all other resources with
//! [`MockCapiBuilder::seed_yaml`] and [`CloudController::state`].
//!
//! ```
//! use mock_capi::MockCapi;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mock = MockCapi::start().await?;
//! let web = mock.org("my-org").space("my-space").app("web").started();
//!
//! // The client under test: it scales the app.
//! let scaled = reqwest::Client::new()
//!     .post(format!("{}/v3/apps/{}/processes/web/actions/scale", mock.uri(), web.guid()))
//!     .bearer_auth(mock.token("admin")?)
//!     .json(&json!({"instances": 3}))
//!     .send().await?;
//! assert_eq!(scaled.status(), 202);
//!
//! let web = mock.app("web").ok_or("app not found")?;
//! assert_eq!((web.instances, web.running), (3, 3));
//! assert_eq!(mock.stats().by_route["POST /v3/apps/:guid/processes/:type/actions/scale"], 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Stubs and verification
//!
//! The fake is the last mock of a [`wiremock`] server. A test mounts its own mocks in front
//! of it on [`MockCapi::server`], with expectations and [`Scope`]s. With
//! [`MockCapiBuilder::record_requests`], `received_requests` of the server returns all
//! requests.
//!
//! ```
//! use mock_capi::MockCapi;
//! use mock_capi::wiremock::matchers::{method, path};
//! use mock_capi::wiremock::{Mock, ResponseTemplate};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mock = MockCapi::builder().record_requests().start().await?;
//! Mock::given(method("GET"))
//!     .and(path("/v3/apps"))
//!     .respond_with(ResponseTemplate::new(502))
//!     .up_to_n_times(1)
//!     .expect(1)
//!     .mount(mock.server())
//!     .await;
//!
//! let http = reqwest::Client::new();
//! let apps = http.get(format!("{}/v3/apps", mock.uri())).bearer_auth(mock.token("admin")?);
//! assert_eq!(apps.try_clone().ok_or("no clone")?.send().await?.status(), 502);
//! assert_eq!(apps.send().await?.status(), 200);
//! let received = mock.server().received_requests().await.unwrap_or_default();
//! assert_eq!(received.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Faults
//!
//! [`Fault`]s make requests, jobs, staging and instances fail. Their expected counts are
//! verified when the mock is dropped.
//!
//! ```
//! use mock_capi::{Fault, MockCapi};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mock = MockCapi::start().await?;
//! mock.set_faults(vec![Fault::answer("GET", "/", 503).times(1).expect(1)])?;
//! assert_eq!(reqwest::get(mock.uri()).await?.status(), 503);
//! assert_eq!(reqwest::get(mock.uri()).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Time
//!
//! Nothing runs in the background: staging, copies, starts and jobs take the times that
//! [`MockCapiBuilder`] sets. [`CloudController::advance`] advances the clock without
//! waiting, and [`CloudController::freeze`] stops the clock.
//! [`CloudController::snapshot`] saves a world, to restore it later.
//!
//! # Other ways to serve it
//!
//! [`MockCapiBuilder::front`] serves the fake with mock-capi's own server, which can
//! truncate responses, serves TLS, streams uploads and lets apps respond on their routes.
//! [`CloudController::mount`] adds the fake to an existing `wiremock` server. The command
//! `mock-capi` is for tests in other languages. [`Dialect`] selects today's API or that
//! of April 2017.

mod api;
mod data_plane;
mod json;
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
pub use serve::seeds::{AppSeed, AppState, OrgSeed, OrgState, RouteError, SpaceSeed, SpaceState};
pub use serve::state::{Snapshot, SnapshotError, StateError};
pub use wiremock;
pub use world::PackageFile;
pub use world::settings::{Dialect, UnknownDialect};

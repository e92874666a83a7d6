//! The functions with which tests control the fake Cloud Controller, which needs no
//! socket.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::api::http::{Request, Response};
use crate::api::osb::{self, BrokerReply};
use crate::data_plane::{AppBehaviour, InvalidApps};
use crate::serve::core::{Answer, Awaited, Core, RecordedRequest, Stats};
use crate::serve::faults::{Fault, FaultCount, InvalidFaults};
use crate::serve::state::{Snapshot, SnapshotError, StateError};
use crate::world::{Package, PackageFile};

/// A fake Cloud Controller: its world, its clock and its faults. Clones share them.
///
/// [`MockCapi`](crate::MockCapi) serves it, or [`mount`](CloudController::mount) adds it to
/// an existing `wiremock` server.
#[derive(Clone)]
pub struct CloudController {
    core: Arc<Core>,
}

/// The reason why a user cannot get a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// UAA has no user with this name.
    #[error("mock-capi has no user '{0}'; add it with MockCapiBuilder::add_user")]
    UnknownUser(String),
    /// The key pair that signs tokens cannot be generated or used.
    #[error("mock-capi cannot sign a token: {0}")]
    Key(String),
}

impl CloudController {
    pub(crate) fn new(core: Core) -> Self {
        let core = Arc::new(core);
        Self { core }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Answers a request. Links lead to the URL that the client used.
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        let answer = self.core.answer(request);
        self.core.run_broker_tasks();
        answer
    }

    /// Starts the pending requests to service brokers.
    pub(crate) fn run_broker_tasks(&self) {
        self.core.run_broker_tasks();
    }

    /// Completes a response that needs a service broker first.
    pub(crate) async fn complete(
        &self,
        request: &Request<'_>,
        pending: Response,
        awaited: Awaited,
    ) -> Response {
        let dispatcher = self.core.dispatcher();
        match awaited {
            Awaited::Parameters(asked) => {
                let reply = match dispatcher {
                    Some(dispatcher) => dispatcher.ask(asked).await,
                    None => None,
                };
                pending.replaced_by(response_of(request.path, reply))
            }
            Awaited::Job { job, shows } => {
                if let Some(dispatcher) = dispatcher {
                    dispatcher.await_job(job, &self.core).await;
                }
                self.core.conclude(request, pending, job, &shows)
            }
        }
    }

    /// The blocking form of [`CloudController::complete`], for callers that cannot wait
    /// asynchronously. The broker must not depend on the blocked thread.
    pub(crate) fn complete_blocking(
        &self,
        request: &Request<'_>,
        pending: Response,
        awaited: Awaited,
    ) -> Response {
        let dispatcher = self.core.dispatcher();
        match awaited {
            Awaited::Parameters(asked) => {
                let is_own = asked.url.starts_with(&format!("{}/", self.core.base()));
                let reply = match dispatcher {
                    Some(dispatcher) if !is_own => dispatcher.ask_blocking(asked),
                    _ => None,
                };
                pending.replaced_by(response_of(request.path, reply))
            }
            Awaited::Job { job, shows } => {
                if let Some(dispatcher) = dispatcher {
                    dispatcher.await_job_blocking(job, &self.core);
                }
                self.core.conclude(request, pending, job, &shows)
            }
        }
    }

    /// The URL of the mock without a slash at the end, such as `http://127.0.0.1:43210`.
    /// Until it is mounted, `http://localhost`.
    pub fn uri(&self) -> String {
        self.core.base().to_owned()
    }

    /// Returns an access token of a user, like the one that UAA issues to the cf CLI.
    ///
    /// # Errors
    ///
    /// [`TokenError::UnknownUser`] if no user has this name; [`TokenError::Key`] if the
    /// system cannot generate a key pair.
    pub fn token(&self, user: &str) -> Result<String, TokenError> {
        let token = self.core.token_of(user);
        let token = token.map_err(|error| TokenError::Key(error.to_string()))?;
        token.ok_or_else(|| TokenError::UnknownUser(user.to_owned()))
    }

    /// An HTTP client that is logged in as the administrator, for as long as a token
    /// lasts, and that trusts the mock's certificate.
    ///
    /// ```
    /// use mock_capi::MockCapi;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mock = MockCapi::builder().front().tls().start().await?;
    /// let apps = mock.client()?.get(format!("{}/v3/apps", mock.uri())).send().await?;
    /// assert_eq!(apps.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`reqwest::ClientBuilder::build`], such as a problem with the
    /// system's TLS setup.
    pub fn client(&self) -> reqwest::Result<reqwest::Client> {
        use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
        let token = self.token(self.core.administrator()).unwrap_or_default();
        // A token contains only characters that are valid in a header.
        let token = HeaderValue::try_from(format!("bearer {token}")).ok();
        let headers = token.map(|token| (AUTHORIZATION, token)).into_iter();
        let headers: HeaderMap = headers.collect();
        let certificate = self.core.certificate();
        let certificate = certificate.map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()));
        let builder = reqwest::Client::builder().default_headers(headers);
        // Reading the system's certificates takes longer than most tests.
        builder.tls_certs_only(certificate.transpose()?).build()
    }

    /// The requests since the start or since [`forget_requests`], in order of arrival.
    /// Empty unless [`record_requests`] was called.
    ///
    /// [`forget_requests`]: Self::forget_requests
    /// [`record_requests`]: crate::MockCapiBuilder::record_requests
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.core.lock().recorded.clone()
    }

    /// Drops the recorded requests and resets [`CloudController::stats`].
    pub fn forget_requests(&self) {
        let mut state = self.core.lock();
        state.recorded.clear();
        state.stats = Stats::default();
        state.pace.reset_peak();
    }

    /// The number of answered requests, in total and by route.
    pub fn stats(&self) -> Stats {
        self.core.lock().stats.clone()
    }

    /// All resources: for each kind (`organizations`, `apps`, `processes`, ...) the list
    /// that today's v3 API would return.
    pub fn state(&self) -> Value {
        self.core.state(self.core.base())
    }

    /// The files of a package by path: those in the uploaded archive, and those that the
    /// upload listed as known to the blobstore. `None` if the package does not exist, or
    /// nothing was uploaded.
    pub fn package_files(&self, guid: &str) -> Option<Vec<PackageFile>> {
        let state = self.core.lock();
        let package: &Package = state.world.look_up(guid)?;
        let upload = package.upload.as_ref()?;
        Some(upload.files.to_vec())
    }

    /// Returns to the initial world with the user, a shared domain, the default quota and
    /// the seed file, and to the initial times and faults. The clock shows the time of
    /// this machine again. Recorded requests, stubs and statistics are dropped; tokens
    /// stay valid.
    pub fn reset(&self) {
        self.core.reset();
    }

    /// Replaces all faults.
    ///
    /// # Errors
    ///
    /// [`InvalidFaults`] if a fault could never apply, such as one for a path of no
    /// operation, or if the adapter does not support it. The old faults are kept then.
    pub fn set_faults(&self, faults: Vec<Fault>) -> Result<(), InvalidFaults> {
        self.core.set_faults(faults)
    }

    /// Sets how apps answer on their routes, and replaces all earlier behaviours. Other
    /// apps behave like the program that they start, if it belongs to the scaling test;
    /// otherwise they echo the request.
    ///
    /// ```
    /// use mock_capi::{AppBehaviour, MockCapi};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mock = MockCapi::builder().front().start().await?;
    /// mock.org("o").space("s").app("web").route("web")?.started();
    /// mock.set_apps(vec![AppBehaviour::fixed("web", 200).body("hello")])?;
    ///
    /// let http = reqwest::Client::new();
    /// let request = http.get(mock.uri()).header("Host", "web.apps.mock.test");
    /// assert_eq!(request.send().await?.text().await?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidApps`] if a behaviour is invalid, or wiremock serves the mock: apps need
    /// [`front`](crate::MockCapiBuilder::front). The earlier behaviours are kept then.
    pub fn set_apps(&self, behaviours: Vec<AppBehaviour>) -> Result<(), InvalidApps> {
        self.core.set_app_behaviours(behaviours)
    }

    /// The maximum number of requests that have waited at once because all
    /// [`workers`](crate::MockCapiBuilder::workers) were busy, since the start or since
    /// [`forget_requests`](Self::forget_requests).
    pub fn peak_queue(&self) -> usize {
        self.core.peak_queue()
    }

    /// The number of requests that apps received on their routes.
    pub fn app_requests(&self) -> u64 {
        self.core.app_requests()
    }

    /// The current faults, each with the number of events that matched it and that it was
    /// applied to.
    pub fn faults(&self) -> Vec<FaultCount> {
        self.core.fault_counts()
    }

    /// Descriptions of the expectations ([`Fault::expect`]) that are not met.
    pub(crate) fn unmet_expectations(&self) -> Vec<String> {
        self.core.lock().faults.unmet()
    }

    /// Expires all access tokens. Refresh tokens stay valid.
    pub fn expire_tokens(&self) {
        self.core.expire_tokens();
    }

    /// The world as it is now, with its users and their logins, for [`restore`].
    ///
    /// ```
    /// use mock_capi::MockCapi;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mock = MockCapi::start().await?;
    /// mock.org("o").space("s").app("a");
    /// let before = mock.snapshot()?;
    ///
    /// mock.org("o").space("s").app("b");
    /// mock.restore(&before)?;
    /// assert_eq!(mock.apps().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the world cannot be written as JSON, which is a bug.
    ///
    /// [`restore`]: Self::restore
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        self.core.snapshot().map(Snapshot)
    }

    /// Goes back to a snapshot of this mock or another one. Faults, stubs, times and
    /// recorded requests stay, and the clock does not go back.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the snapshot is of a mock of the other [`Dialect`]; nothing
    /// changes then.
    ///
    /// [`Dialect`]: crate::Dialect
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        self.core.restore(snapshot.as_json())
    }

    /// Saves the world, its users and their logins to a file, completely or not at all.
    /// [`MockCapiBuilder::state_file`](crate::MockCapiBuilder::state_file) loads it. Only
    /// its owner can read the file, because it contains passwords.
    ///
    /// # Errors
    ///
    /// [`StateError::Write`] if the file cannot be written. An existing file is not
    /// changed then.
    pub fn save_state(&self, path: impl AsRef<Path>) -> Result<(), StateError> {
        self.core.save(path.as_ref())
    }

    /// Moves the mock's clock forward, as if time had passed: jobs and stagings finish,
    /// instances start, tokens expire.
    pub fn advance(&self, by: Duration) {
        self.core.advance(by);
    }

    /// The time of the mock's clock.
    pub fn now(&self) -> SystemTime {
        self.core.clock().now().into()
    }

    /// Stops the mock's clock, so that only [`advance`](Self::advance) moves it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use mock_capi::MockCapi;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mock = MockCapi::start().await?;
    /// mock.freeze();
    /// let before = mock.now();
    /// mock.advance(Duration::from_secs(60));
    /// assert_eq!(mock.now().duration_since(before)?, Duration::from_secs(60));
    /// # Ok(())
    /// # }
    /// ```
    pub fn freeze(&self) {
        self.core.clock().freeze();
    }

    /// Lets a stopped clock continue.
    pub fn thaw(&self) {
        self.core.clock().thaw();
    }
}

fn response_of(path: &str, reply: Option<BrokerReply>) -> Response {
    let reply = reply.unwrap_or(BrokerReply::Unreachable);
    osb::parameters(&reply).unwrap_or_else(|error| Response::error(path, &error))
}

impl fmt::Debug for CloudController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudController")
            .field("uri", &self.uri())
            .finish_non_exhaustive()
    }
}

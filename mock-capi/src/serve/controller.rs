//! The fake itself, as tests control it. It speaks no socket.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::api::http::{Request, Response};
use crate::api::osb::{self, BrokerReply, BrokerRequest};
use crate::data_plane::{AppBehaviour, InvalidApps};
use crate::serve::core::{Answer, Core, RecordedRequest, Stats};
use crate::serve::faults::{Fault, FaultCount, InvalidFaults};
use crate::serve::state::StateError;
use crate::world::{Package, PackageFile};

/// A fake Cloud Controller: its world, its clock and its faults. A clone is the
/// same one.
///
/// [`MockCapi`](crate::MockCapi) serves it;
/// [`mount`](CloudController::mount) adds it to a `wiremock` server that a test
/// has already.
#[derive(Clone)]
pub struct CloudController {
    core: Arc<Core>,
}

/// Why there is no token for a user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// UAA has no user of that name.
    #[error("mock-capi has no user '{0}': MockCapiBuilder::add_user adds one")]
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

    /// Answers a request, with links to where the client sent it.
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        let answer = self.core.answer(request);
        self.core.run_errands();
        answer
    }

    /// Starts what is to be asked of service brokers.
    pub(crate) fn run_errands(&self) {
        self.core.run_errands();
    }

    /// The response to a request for which a service broker is asked first.
    pub(crate) async fn read(&self, path: &str, request: BrokerRequest) -> Response {
        let reply = match self.core.courier() {
            Some(courier) => courier.ask(request).await,
            None => None,
        };
        response_of(path, reply)
    }

    /// The same for who cannot but block: the broker may not be served by them.
    pub(crate) fn read_blocking(&self, path: &str, request: BrokerRequest) -> Response {
        let is_own = request.url.starts_with(&format!("{}/", self.core.base()));
        let reply = match self.core.courier() {
            Some(courier) if !is_own => courier.ask_blocking(request),
            _ => None,
        };
        response_of(path, reply)
    }

    /// Where the fake is served, without a slash at the end, such as
    /// `http://127.0.0.1:43210`. Until it is mounted, `http://localhost`.
    pub fn uri(&self) -> String {
        self.core.base().to_owned()
    }

    /// An access token of a user, as UAA gives it to the cf CLI.
    ///
    /// # Errors
    ///
    /// [`TokenError::UnknownUser`] if there is no user of that name;
    /// [`TokenError::Key`] if the system cannot generate a key pair.
    pub fn token(&self, user: &str) -> Result<String, TokenError> {
        let token = self.core.token_of(user);
        let token = token.map_err(|error| TokenError::Key(error.to_string()))?;
        token.ok_or_else(|| TokenError::UnknownUser(user.to_owned()))
    }

    /// An HTTP client for this mock that is logged in as the administrator. It trusts no
    /// certificate unless the mock itself is served with TLS.
    ///
    /// # Errors
    ///
    /// Those of [`reqwest::ClientBuilder::build`], such as one of this system's
    /// TLS set-up.
    #[cfg(feature = "client")]
    pub fn client(&self) -> reqwest::Result<reqwest::Client> {
        use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
        let token = self.token(self.core.administrator()).unwrap_or_default();
        // A token has no character that a header may not have.
        let token = HeaderValue::try_from(format!("bearer {token}")).ok();
        let headers = token.map(|token| (AUTHORIZATION, token)).into_iter();
        let headers: HeaderMap = headers.collect();
        let builder = reqwest::Client::builder().default_headers(headers);
        match self.uri().starts_with("http://") {
            // Reading the system's certificates takes longer than most tests.
            true => builder.tls_certs_only([]).build(),
            false => builder.build(),
        }
    }

    /// The requests since the start or since [`forget_requests`], in order of
    /// arrival; none unless [`record_requests`] was called.
    ///
    /// [`forget_requests`]: Self::forget_requests
    /// [`record_requests`]: crate::MockCapiBuilder::record_requests
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.core.lock().recorded.clone()
    }

    /// Drops the recorded requests and sets [`CloudController::stats`] to zero.
    pub fn forget_requests(&self) {
        let mut state = self.core.lock();
        state.recorded.clear();
        state.stats = Stats::default();
        state.pace.reset_peak();
    }

    /// How many requests were answered, by route.
    pub fn stats(&self) -> Stats {
        self.core.lock().stats.clone()
    }

    /// The whole world: for each kind of resource (`organizations`, `apps`,
    /// `processes`, ...) the list of what today's v3 API would show.
    pub fn state(&self) -> Value {
        self.core.state(self.core.base())
    }

    /// The files that a package has, by their paths: those of the archive that
    /// was uploaded, and those that were only named. `None` if there is no such
    /// package, or nothing was uploaded.
    pub fn package_files(&self, guid: &str) -> Option<Vec<PackageFile>> {
        let state = self.core.lock();
        let package: &Package = state.world.look_up(guid)?;
        let upload = package.upload.as_ref()?;
        Some(upload.files.to_vec())
    }

    /// Goes back to the initial world, with the user, a shared domain, the default
    /// quota and the seed file, and to the times and faults that the mock was
    /// started with. The clock runs again, and shows the time of this machine.
    /// Recorded requests, stubs and statistics are dropped; tokens stay valid.
    pub fn reset(&self) {
        self.core.reset();
    }

    /// Puts these faults in the place of all earlier ones.
    ///
    /// # Errors
    ///
    /// [`InvalidFaults`] if one of them could never strike, such as one for a
    /// path that no operation of the API has, or if the adapter cannot do it;
    /// the earlier ones then stay.
    pub fn set_faults(&self, faults: Vec<Fault>) -> Result<(), InvalidFaults> {
        self.core.set_faults(faults)
    }

    /// Lets apps answer on their routes as a test wants it, in the place of all
    /// behaviours that were set earlier. Other apps answer as the program that they
    /// start does, if it is one of the scaling test, or else with what they were asked.
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
    /// [`InvalidApps`] if one of them makes no sense, or wiremock serves the mock: apps
    /// need [`front`](crate::MockCapiBuilder::front). The earlier ones then stay.
    pub fn set_apps(&self, behaviours: Vec<AppBehaviour>) -> Result<(), InvalidApps> {
        self.core.set_app_behaviours(behaviours)
    }

    /// The most requests that have waited at once since the start or since
    /// [`forget_requests`](Self::forget_requests), because all
    /// [`workers`](crate::MockCapiBuilder::workers) were busy.
    pub fn peak_queue(&self) -> usize {
        self.core.peak_queue()
    }

    /// How many requests apps have got on their routes.
    pub fn app_requests(&self) -> u64 {
        self.core.app_requests()
    }

    /// The faults in force, each with how often it was met and how often it
    /// struck.
    pub fn faults(&self) -> Vec<FaultCount> {
        self.core.fault_counts()
    }

    /// What [`Fault::expect`] promised and did not happen so far, in words.
    pub(crate) fn unmet_expectations(&self) -> Vec<String> {
        self.core.lock().faults.unmet()
    }

    /// Makes all access tokens that were given out expired; refresh tokens stay
    /// good.
    pub fn expire_tokens(&self) {
        self.core.expire_tokens();
    }

    /// Saves the world, its users and their logins to a file, all of it or
    /// nothing; [`MockCapiBuilder::state_file`](crate::MockCapiBuilder::state_file) goes on from there. Only its
    /// owner can read the file, since it has the users' passwords.
    ///
    /// # Errors
    ///
    /// [`StateError::Write`] if the file cannot be written; what was there
    /// before is there still.
    pub fn save_state(&self, path: impl AsRef<Path>) -> Result<(), StateError> {
        self.core.save(path.as_ref())
    }

    /// Moves the mock's clock forward, as if that time had passed: jobs get
    /// done, staging ends, instances start, tokens expire.
    pub fn advance(&self, by: Duration) {
        self.core.advance(by);
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

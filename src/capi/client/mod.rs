//! The client, which finds the APIs of a foundation, sends authorized requests, reads
//! lists page by page, and waits for jobs.

mod list;
mod options;
mod root;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::cc_error::printable;
use super::dialect::Dialect;
use super::error::Error;
use super::network_policies::PolicyServer;
use super::poll::{self, Progress};
use super::transport::{
    AppRequests, Auth, Authorization, Request, Response, Transport, despite_interrupt,
};
use super::{v3, v2017};
use crate::events::Events;
pub use options::ConnectOptions;
use root::{Root, api_url, no_api};

/// A connection to a foundation's Cloud Controller.
///
/// Cheap to clone: clones share the connection pool, the tokens, the limit on
/// concurrent requests and the interrupt.
#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
}

/// The state that all clones of a [`Client`] share.
struct Connection {
    transport: Arc<Transport>,
    base: Url,
    /// The foundation's log-cache, if `GET /` has a link to it.
    log_cache: Option<Url>,
    /// The foundation's policy server, if it has one.
    policy_server: Option<PolicyServer>,
    auth: Auth,
    dialect: Dialect,
    /// Whether lists of processes may embed the instances. Old foundations refuse the
    /// parameter, and it is not sent again after a refusal.
    embeds_instances: AtomicBool,
}

impl Client {
    /// Finds the foundation's UAA and version (`GET /`) and logs in.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if there is no Cloud Controller at the URL, and
    /// [`Error::Login`] if logging in fails.
    pub fn connect(options: &ConnectOptions, events: Events) -> BoxFuture<'_, Result<Self, Error>> {
        Box::pin(async move {
            let base = api_url(&options.api)?;
            let transport = Arc::new(open_transport(options.clone(), events).await?);
            transport.check_proxy(&base)?;
            let request = Request::get("/");
            let root = transport
                .retrying(&request, || {
                    transport.exchange(&base, &request, Authorization::None)
                })
                .await
                .and_then(|response| response.json::<Root>());
            let root = root.map_err(|error| no_api(&base, error))?;
            let policy_server = root.links.policy_server();
            let uaa = root.links.uaa.or(root.links.login);
            let uaa = uaa.and_then(|link| Url::parse(&link.href).ok());
            let uaa = uaa.filter(|url| matches!(url.scheme(), "http" | "https"));
            let uaa = uaa.ok_or_else(|| {
                Error::unreachable(base.as_str(), "its response to GET / has no link to a UAA")
            })?;
            let log_cache = root.links.log_cache;
            let version = root.links.cloud_controller_v3.and_then(|link| link.meta);
            let version = version.and_then(|meta| meta.version).unwrap_or_default();
            let dialect = options.dialect.or_else(|| Dialect::of_version(&version));
            let dialect = dialect.ok_or_else(|| Error::Unsupported {
                url: base.to_string(),
                version,
            })?;
            let policy_server = policy_server.or_else(|| match dialect {
                Dialect::V3 => None,
                Dialect::Documented2017 => Some(PolicyServer::of_2017(&base)),
            });
            let auth = Auth::new(Arc::clone(&transport), uaa, options.credentials.clone());
            auth.log_in_first().await?;
            Ok(Self {
                connection: Arc::new(Connection {
                    transport,
                    base,
                    log_cache: log_cache.and_then(|link| Url::parse(&link.href).ok()),
                    policy_server,
                    auth,
                    dialect,
                    embeds_instances: AtomicBool::new(true),
                }),
            })
        })
    }

    /// The API that the foundation speaks.
    pub fn dialect(&self) -> Dialect {
        self.connection.dialect
    }

    /// The Cloud Controller's URL.
    pub fn api(&self) -> &str {
        self.connection.base.as_str().trim_end_matches('/')
    }

    /// The name of the user or OAuth client that is logged in.
    pub fn user(&self) -> String {
        self.connection.auth.user()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.connection.transport.timeout()
    }

    /// The maximum number of requests in flight.
    pub(crate) fn concurrency(&self) -> usize {
        self.connection.transport.concurrency()
    }

    /// Whether lists of processes may embed the instances. True until a foundation
    /// refuses the parameter.
    pub(super) fn embeds_instances(&self) -> bool {
        self.connection.embeds_instances.load(Ordering::Relaxed)
    }

    pub(super) fn do_not_embed_instances(&self) {
        self.connection
            .embeds_instances
            .store(false, Ordering::Relaxed);
    }

    pub(crate) fn events(&self) -> &Events {
        self.connection.transport.events()
    }

    /// Whether the run was interrupted.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.connection.transport.is_interrupted()
    }

    /// Whether the foundation has network policies.
    pub(crate) fn has_policy_server(&self) -> bool {
        self.policy_server().is_some()
    }

    /// The foundation's policy server.
    pub(super) fn policy_server(&self) -> Option<&PolicyServer> {
        self.connection.policy_server.as_ref()
    }

    /// Sends requests to apps, by the hosts of their routes. `router` is the router's
    /// address, if DNS does not resolve those hosts.
    pub(crate) fn app_requests(&self, router: Option<&Url>) -> Result<AppRequests, Error> {
        self.connection.transport.app_requests(router.cloned())
    }

    /// Runs `work` even after an interrupt, such as the deletion of resources that a run
    /// created.
    pub(crate) async fn despite_interrupt<T>(&self, work: impl Future<Output = T>) -> T {
        despite_interrupt(work).await
    }

    /// Sends a request with the token. If the token is refused, it is renewed once.
    pub(crate) async fn send(&self, request: &Request) -> Result<Response, Error> {
        self.send_to(&self.connection.base, request).await
    }

    /// Sends a request to the foundation's log-cache. The token may be sent there, because
    /// the Cloud Controller itself links to it.
    pub(crate) async fn log_cache(&self, request: &Request) -> Result<Response, Error> {
        let Some(log_cache) = &self.connection.log_cache else {
            let reason = "the foundation has no log-cache";
            return Err(Error::impossible("reading logs", reason));
        };
        self.send_to(log_cache, request).await
    }

    async fn send_to(&self, base: &Url, request: &Request) -> Result<Response, Error> {
        self.connection
            .transport
            .retrying(request, || self.authorized(base, request))
            .await
    }

    async fn authorized(&self, base: &Url, request: &Request) -> Result<Response, Error> {
        let token = self.connection.auth.token(None).await?;
        let bearer = Authorization::Bearer(token.secret());
        match self
            .connection
            .transport
            .exchange(base, request, bearer)
            .await
        {
            Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => {
                let token = self.connection.auth.token(Some(&token)).await?;
                let bearer = Authorization::Bearer(token.secret());
                self.connection
                    .transport
                    .exchange(base, request, bearer)
                    .await
            }
            outcome => outcome,
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.send(&Request::get(path)).await?.json()
    }

    /// Sends a request that creates a resource, and returns its GUID.
    pub(crate) async fn create(&self, request: &Request) -> Result<String, Error> {
        let response = self.send(request).await?;
        let created: Value = response.json()?;
        guid_of(&created).ok_or_else(|| response.unexpected_response("the resource has no GUID"))
    }

    /// Sends a request, and waits for the job if it starts one.
    pub(crate) async fn finish(&self, what: &str, request: &Request) -> Result<(), Error> {
        let response = self.send(request).await?;
        let Some(job) = self.job_of(&response) else {
            return Ok(());
        };
        self.until(what, || self.poll_job(what, &job)).await
    }

    /// Polls until the work is done or has failed, a poll fails, or the deadline passes.
    pub(crate) async fn until<T, F, Fut>(&self, what: &str, poll: F) -> Result<T, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Progress<T>, Error>>,
    {
        self.until_within(self.timeout(), what, poll).await
    }

    /// The same as [`Client::until`], with another deadline.
    pub(crate) async fn until_within<T, F, Fut>(
        &self,
        timeout: Duration,
        what: &str,
        poll: F,
    ) -> Result<T, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Progress<T>, Error>>,
    {
        let pause = |pause| self.pause(pause);
        let outcome = poll::until(what, timeout, pause, poll).await;
        outcome.map_err(|error| self.masked(error))
    }

    /// The error without secrets that the Cloud Controller may have repeated.
    pub(super) fn masked(&self, error: Error) -> Error {
        let secrets = self.connection.transport.secrets();
        error.masked(|text| secrets.masked(printable(&text)))
    }

    /// Waits for something other than a response, unless the run is interrupted.
    pub(crate) async fn unless_interrupted<T>(
        &self,
        wait: impl Future<Output = T>,
    ) -> Result<T, Error> {
        self.connection.transport.unless_interrupted(wait).await
    }

    /// Sleeps, unless the run is interrupted.
    pub(crate) async fn pause(&self, pause: Duration) -> Result<(), Error> {
        self.connection.transport.pause(pause).await
    }

    /// Deletes a resource. A resource that does not exist is not an error.
    pub(crate) async fn delete(&self, what: &str, request: &Request) -> Result<(), Error> {
        match self.finish(what, request).await {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    /// The path of the job that a response names: v3 in its `Location` header, v2 in its
    /// body.
    fn job_of(&self, response: &Response) -> Option<String> {
        if let Some(location) = response.location() {
            let path = self.path_of(location);
            return path.contains("/jobs/").then_some(path);
        }
        let body: Value = response.json().ok()?;
        let url = body.pointer("/metadata/url")?.as_str()?;
        url.contains("/jobs/").then(|| url.to_owned())
    }

    async fn poll_job(&self, what: &str, path: &str) -> Result<Progress<()>, Error> {
        if path.starts_with("/v2/") {
            v2017::jobs::poll(self, what, path).await
        } else {
            v3::jobs::poll(self, what, path).await
        }
    }

    /// The path and query of a link, relative to the base URL. The host is dropped,
    /// because the token is sent to no host but the foundation's.
    pub(super) fn path_of(&self, href: &str) -> String {
        let Ok(url) = self.connection.base.join(href) else {
            return href.to_owned();
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let prefix = self.connection.base.path().trim_end_matches('/');
        path.strip_prefix(prefix).unwrap_or(&path).to_owned()
    }
}

/// Prepares requests. The file of certificates may be a pipe, so an interrupt does not
/// wait for it.
async fn open_transport(options: ConnectOptions, events: Events) -> Result<Transport, Error> {
    let interrupt = options.interrupt.clone();
    let opening = tokio::task::spawn_blocking(move || Transport::new(&options, events));
    tokio::select! {
        biased;
        () = interrupt.cancelled() => Err(Error::Interrupted),
        opened = opening => {
            opened.unwrap_or_else(|error| Err(Error::local("preparing the HTTP client", error)))
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("api", &self.api())
            .field("dialect", &self.dialect())
            .finish_non_exhaustive()
    }
}

/// The GUID of a resource of v3 or v2.
fn guid_of(resource: &Value) -> Option<String> {
    let guid = resource
        .get("guid")
        .or_else(|| resource.pointer("/metadata/guid"))?;
    guid.as_str().map(str::to_owned)
}

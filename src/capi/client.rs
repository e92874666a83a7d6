//! The client: finds the APIs of a foundation, sends authorized requests, reads lists
//! page by page, and waits for jobs.

use std::collections::HashSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::cc_error::printable;
use super::dialect::Dialect;
use super::error::{ConnectionProblem, Error};
use super::network_policies::{PolicyServer, Version};
use super::parallel;
use super::poll::{self, Progress};
use super::transport::{
    AppRequests, Auth, Authorization, Credentials, Request, Response, Transport, despite_interrupt,
};
use super::{v3, v2017};
use crate::events::Events;

/// The address of the foundation, the credentials, and options for requests.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    api: String,
    credentials: Credentials,
    pub(super) skip_ssl_validation: bool,
    pub(super) ca_cert: Option<PathBuf>,
    dialect: Option<Dialect>,
    pub(super) concurrency: usize,
    pub(super) timeout: Duration,
    pub(super) interrupt: CancellationToken,
}

impl ConnectOptions {
    /// The Cloud Controller at a URL, `https://` if it has no scheme. At most 16 requests
    /// are in flight, and waits time out after 15 minutes.
    pub fn new(api: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            api: api.into(),
            credentials,
            skip_ssl_validation: false,
            ca_cert: None,
            dialect: None,
            concurrency: 16,
            timeout: Duration::from_secs(15 * 60),
            interrupt: CancellationToken::new(),
        }
    }

    /// Accepts any TLS certificate.
    #[must_use]
    pub fn skip_ssl_validation(mut self, skip: bool) -> Self {
        self.skip_ssl_validation = skip;
        self
    }

    /// Also trusts the certificates in this file, in PEM format. Certificates of the
    /// system, or those of `SSL_CERT_FILE`, are always trusted.
    #[must_use]
    pub fn ca_cert(mut self, file: Option<PathBuf>) -> Self {
        self.ca_cert = file;
        self
    }

    /// The dialect; by default, the version of the API decides.
    #[must_use]
    pub fn dialect(mut self, dialect: Option<Dialect>) -> Self {
        self.dialect = dialect;
        self
    }

    /// The maximum number of requests in flight, at least 1.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// The longest time that a wait may take: for a job, a staging, a copy, or for
    /// instances to run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Interrupts the run when it is cancelled: running requests finish, no new ones are
    /// sent, and pending calls fail with [`Error::Interrupted`].
    #[must_use]
    pub fn interrupt(mut self, interrupt: CancellationToken) -> Self {
        self.interrupt = interrupt;
        self
    }
}

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
    /// Old foundations cannot embed the instances of processes in lists, and refuse the
    /// parameter. It is not sent again after a refusal.
    embeds_instances: AtomicBool,
}

#[derive(Deserialize)]
struct Root {
    links: RootLinks,
}

#[derive(Deserialize)]
struct RootLinks {
    cloud_controller_v3: Option<VersionedLink>,
    uaa: Option<Link>,
    login: Option<Link>,
    log_cache: Option<Link>,
    network_policy_v0: Option<Link>,
    network_policy_v1: Option<Link>,
}

impl RootLinks {
    /// The policy server, with the newest version of its API.
    fn policy_server(&self) -> Option<PolicyServer> {
        let versions = [
            (&self.network_policy_v1, Version::V1),
            (&self.network_policy_v0, Version::V0),
        ];
        let mut known = versions.into_iter();
        known.find_map(|(link, version)| {
            let url = link.as_ref()?.href.trim_end_matches('/').to_owned();
            Some(PolicyServer { url, version })
        })
    }
}

#[derive(Deserialize)]
struct VersionedLink {
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    version: Option<String>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

/// A page of a list, of v3 or v2.
#[derive(Deserialize)]
struct Page<T, I> {
    pagination: Option<Pagination>,
    next_url: Option<String>,
    resources: Vec<T>,
    included: Option<I>,
}

#[derive(Deserialize)]
struct Pagination {
    next: Option<Link>,
}

impl Client {
    /// Finds the foundation's UAA and version (`GET /`) and logs in.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if there is no Cloud Controller at the URL, and
    /// [`Error::Login`].
    pub fn connect(options: &ConnectOptions, events: Events) -> BoxFuture<'_, Result<Self, Error>> {
        Box::pin(async move {
            let base = api_url(&options.api)?;
            let transport = Arc::new(Transport::new(options, events)?);
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
    /// refuses it.
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

    /// All resources of a list, read page by page.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Error> {
        let (resources, _) = self.list_including::<T, IgnoredAny>(path, 1).await?;
        Ok(resources)
    }

    /// All resources of a list, and the `included` resources of each page. The first pages
    /// are requested at once, the others one by one.
    pub(crate) async fn list_including<T: DeserializeOwned, I: DeserializeOwned>(
        &self,
        path: &str,
        at_once: usize,
    ) -> Result<(Vec<T>, Vec<I>), Error> {
        let began = Instant::now();
        let mut resources = Vec::new();
        let mut included = Vec::new();
        let paths = (1..=at_once).map(|page| match page {
            1 => path.to_owned(),
            _ => format!("{path}&page={page}"),
        });
        let first = paths.clone().map(|path| self.page::<T, I>(path));
        let first: Vec<Page<T, I>> = parallel::run(at_once, first).await?;
        let mut seen: HashSet<String> = paths.collect();
        let mut first = first.into_iter();
        let mut path = path.to_owned();
        loop {
            let (page, is_last_at_once) = match first.next() {
                Some(page) => (page, first.len() == 0),
                None => (self.page(path.clone()).await?, true),
            };
            resources.extend(page.resources);
            included.extend(page.included);
            let next = page.pagination.and_then(|pagination| pagination.next);
            let Some(next) = next.map(|link| link.href).or(page.next_url) else {
                return Ok((resources, included));
            };
            if !is_last_at_once {
                continue;
            }
            let next = self.path_of(&next);
            if !seen.insert(next.clone()) {
                return Err(Error::UnexpectedResponse {
                    method: "GET".to_owned(),
                    path,
                    reason: "its pages repeat".to_owned(),
                    source: None,
                });
            }
            path = next;
            if began.elapsed() > self.timeout() {
                return Err(Error::Deadline {
                    what: "reading a list page by page".to_owned(),
                    waited: self.timeout(),
                    last: format!("{} resources read, next page {path}", resources.len()),
                });
            }
        }
    }

    async fn page<T: DeserializeOwned, I: DeserializeOwned>(
        &self,
        path: String,
    ) -> Result<Page<T, I>, Error> {
        self.send(&Request::get(path)).await?.json()
    }

    /// The first resource of a list that is filtered by name. `None` if the list is
    /// empty.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        Ok(self.list(path).await?.into_iter().next())
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

    /// As [`Client::until`], with another deadline.
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

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("api", &self.api())
            .field("dialect", &self.dialect())
            .finish_non_exhaustive()
    }
}

fn api_url(api: &str) -> Result<Url, Error> {
    let given = api.trim();
    let text = if given.contains("://") {
        given.to_owned()
    } else {
        format!("https://{given}")
    };
    let url = Url::parse(&text).map_err(|error| Error::unreachable(given, error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Error::unreachable(given, "not an http or https URL"));
    }
    let more = url.query().is_some() || url.fragment().is_some();
    if more || !url.username().is_empty() || url.password().is_some() {
        let reason = "its URL must not have a user, password, query or fragment";
        return Err(Error::unreachable("the API", reason));
    }
    Ok(url)
}

/// Why the server at a URL is not a usable Cloud Controller.
fn no_api(base: &Url, error: Error) -> Error {
    let reason = match &error {
        Error::Unreachable { .. } | Error::Interrupted => return error,
        Error::NoResponse { reason, .. } => format!("no response: {reason}"),
        Error::UnexpectedResponse { .. } => "the server is not a Cloud Controller".to_owned(),
        other => other.to_string(),
    };
    Error::Unreachable {
        url: base.to_string(),
        reason,
        problem: ConnectionProblem::Other,
        source: Some(Arc::new(error)),
    }
}

/// The GUID of a resource of v3 or v2.
pub(crate) fn guid_of(resource: &Value) -> Option<String> {
    let guid = resource
        .get("guid")
        .or_else(|| resource.pointer("/metadata/guid"))?;
    guid.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use wiremock::matchers::{any, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    /// A foundation with a list of so many pages, each with its number.
    async fn with_pages(count: usize) -> (MockServer, Client) {
        let server = MockServer::start().await;
        let root = json!({"links": {
            "uaa": {"href": server.uri()},
            "cloud_controller_v3": {"meta": {"version": "3.200.0"}},
        }});
        let token = json!({"access_token": "token", "expires_in": 600});
        let page = move |request: &wiremock::Request| {
            let mut query = request.url.query_pairs();
            let page = query.find(|(name, _)| name == "page");
            let page: usize = page.map_or(1, |(_, page)| page.parse().unwrap());
            let next =
                (page < count).then(|| json!({"href": format!("/v3/list?page={}", page + 1)}));
            let resources: Vec<usize> = (page..=count).take(1).collect();
            ResponseTemplate::new(200)
                .set_body_json(json!({"pagination": {"next": next}, "resources": resources}))
        };
        let mocks = [
            Mock::given(path("/")).respond_with(ResponseTemplate::new(200).set_body_json(root)),
            Mock::given(path("/oauth/token"))
                .respond_with(ResponseTemplate::new(200).set_body_json(token)),
            Mock::given(any()).respond_with(page),
        ];
        for mock in mocks {
            mock.mount(&server).await;
        }
        let credentials = Credentials::Client {
            id: "client".to_owned(),
            secret: "secret".into(),
        };
        let options = ConnectOptions::new(server.uri(), credentials);
        let client = Client::connect(&options, Events::default()).await.unwrap();
        (server, client)
    }

    /// `requests` are the pages that are requested.
    #[rstest]
    #[case::one_by_one(5, 1, 5)]
    #[case::at_once(3, 3, 3)]
    #[case::more_than_expected(5, 3, 5)]
    #[case::fewer_than_expected(1, 3, 3)]
    #[case::none(0, 2, 2)]
    #[tokio::test]
    async fn a_list_has_all_pages(
        #[case] count: usize,
        #[case] at_once: usize,
        #[case] requests: usize,
    ) {
        let (server, client) = with_pages(count).await;
        let list = client.list_including::<usize, IgnoredAny>("/v3/list?per_page=1", at_once);
        let (resources, _) = list.await.unwrap();
        assert_eq!(resources, (1..=count).collect::<Vec<_>>());
        let received = server.received_requests().await.unwrap();
        assert_eq!(received.len(), 2 + requests);
    }

    #[rstest]
    #[case("api.example.com", "https://api.example.com/")]
    #[case(" http://127.0.0.1:8181 ", "http://127.0.0.1:8181/")]
    fn apis_are_urls(#[case] api: &str, #[case] expected: &str) {
        assert_eq!(api_url(api).unwrap().as_str(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("ftp://api.example.com")]
    #[case("http://")]
    #[case("https://a b")]
    #[case("https://user:hunter2@api.example.com")]
    #[case("https://api.example.com?hunter2")]
    #[case("https://api.example.com#hunter2")]
    fn other_apis_are_refused(#[case] api: &str) {
        let error = api_url(api).unwrap_err();
        assert!(error.is_connection());
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

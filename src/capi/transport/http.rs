//! Sends requests and retries them if [`retry`] allows it.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::app_requests::AppRequests;
use super::auth::TOKEN_PATH;
use super::connection_error::{self, transport_error};
use super::gate::Gate;
use super::http_clients::HttpClients;
use super::limiter::LoadSignal;
use super::pace::Pacer;
use super::record;
use super::request::{Body, Request};
use super::response::{REQUEST_ID, ReadError, Received, Response, refusal, server_time, text_of};
use super::retry::{self, Verdict};
use super::secrets::Secrets;
use crate::capi::cc_error::printable;
use crate::capi::client::ConnectOptions;
use crate::capi::error::Error;
use crate::capi::poll;
use crate::events::{Event, Events, StepContext};

/// The maximum time until a response is complete. An upload may take as long as a wait.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// The maximum size of a response, in bytes.
const MAX_BODY: usize = 256 << 20;

/// Counts a request as in flight while this exists.
struct InFlight<'a> {
    count: &'a AtomicUsize,
    /// The number of requests in flight when it began, including itself.
    number: usize,
}

impl<'a> InFlight<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        let number = 1 + count.fetch_add(1, Ordering::Relaxed);
        Self { count, number }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The authorization of a request.
pub(crate) enum Authorization<'a> {
    None,
    Bearer(&'a SecretString),
    Basic(&'a str, &'a SecretString),
}

tokio::task_local! {
    /// Set in tasks that an interrupt does not stop.
    static DESPITE_INTERRUPT: ();
}

/// Runs work that an interrupt does not stop.
pub(crate) async fn despite_interrupt<T>(work: impl Future<Output = T>) -> T {
    DESPITE_INTERRUPT.scope((), work).await
}

/// Sends requests. Their number is limited, and each has a deadline.
pub(crate) struct Transport {
    http: HttpClients,
    concurrency: usize,
    gate: Arc<Gate>,
    pacer: Pacer,
    in_flight: AtomicUsize,
    /// Whether the last attempt to connect succeeded. A host that was never reached, or
    /// that stopped accepting connections, is not tried again by every request.
    reached: AtomicBool,
    secrets: Arc<Secrets>,
    timeout: Duration,
    /// Once it is cancelled, no more requests are sent.
    interrupt: CancellationToken,
    events: Events,
}

impl Transport {
    pub(crate) fn new(options: &ConnectOptions, events: Events) -> Result<Self, Error> {
        let concurrency = options.concurrency.max(1);
        Ok(Self {
            http: HttpClients::new(options.skip_ssl_validation, options.ca_cert.as_deref())?,
            concurrency,
            gate: Gate::new(concurrency, events.clone()),
            pacer: Pacer::new(events.clone()),
            in_flight: AtomicUsize::new(0),
            reached: AtomicBool::new(false),
            secrets: Arc::default(),
            timeout: options.timeout,
            interrupt: options.interrupt.clone(),
            events,
        })
    }

    /// Checks the environment before the first request to a URL.
    pub(crate) fn check_proxy(&self, base: &Url) -> Result<(), Error> {
        self.http.check_proxy(base)
    }

    /// The passwords and tokens that are removed from texts that servers send.
    pub(crate) fn secrets(&self) -> &Arc<Secrets> {
        &self.secrets
    }

    /// The maximum number of requests in flight.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Sends requests to apps. `router` is the address to use instead of the apps' own
    /// hosts.
    pub(crate) fn app_requests(&self, router: Option<Url>) -> Result<AppRequests, Error> {
        AppRequests::new(&self.http, router)
    }

    /// The timeout of a wait.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Calls `exchange` until it succeeds, or fails in a way that does not allow a retry.
    pub(crate) async fn retrying<F, Fut>(
        &self,
        request: &Request,
        exchange: F,
    ) -> Result<Response, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Response, Error>>,
    {
        let mut pauses = retry::backoff();
        let mut floors = poll::pauses();
        let began = Instant::now();
        loop {
            let error = match exchange().await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let pause = match retry::verdict(request.replay, &error) {
                _ if !self.reached.load(Ordering::Relaxed) => None,
                Verdict::GiveUp => None,
                Verdict::Retry => pauses.next(),
                // There is always a pause, even if the response asks for none.
                Verdict::RetryAfter(asked) => {
                    let pause = floors.next().map(|floor| asked.max(floor));
                    pause.map(retry::spread)
                }
            };
            let Some(pause) = pause else {
                if matches!(error, Error::Unreachable { .. }) {
                    // Queued requests should fail at once, instead of each trying to
                    // connect.
                    self.reached.store(false, Ordering::Relaxed);
                }
                return Err(error);
            };
            if began.elapsed().saturating_add(pause) > self.timeout {
                return Err(error);
            }
            self.hold_back(request, &error, pause);
            self.pause(pause).await?;
        }
    }

    /// Sleeps, unless the run is interrupted.
    pub(crate) async fn pause(&self, pause: Duration) -> Result<(), Error> {
        self.unless_interrupted(tokio::time::sleep(pause)).await
    }

    /// Waits for something other than a response, unless the run is interrupted.
    pub(crate) async fn unless_interrupted<T>(
        &self,
        wait: impl Future<Output = T>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.interrupted() => Err(Error::Interrupted),
            outcome = wait => Ok(outcome),
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.is_cancelled()
    }

    /// Waits for an interrupt. In work that an interrupt does not stop, waits forever.
    async fn interrupted(&self) {
        match DESPITE_INTERRUPT.try_with(|()| ()) {
            Ok(()) => std::future::pending().await,
            Err(_) => self.interrupt.cancelled().await,
        }
    }

    /// Reports that a request will be retried. A rate limit also delays all other
    /// requests.
    fn hold_back(&self, request: &Request, error: &Error, pause: Duration) {
        let rate_limited = error.status() == Some(StatusCode::TOO_MANY_REQUESTS);
        if rate_limited {
            self.pacer.hold_back(pause);
        }
        self.events.emit(Event::Retry {
            endpoint: request.endpoint(),
            rate_limited,
            after: pause,
            context: StepContext::current(),
        });
    }

    /// Sends a request once.
    pub(crate) async fn exchange(
        &self,
        base: &Url,
        request: &Request,
        authorization: Authorization<'_>,
    ) -> Result<Response, Error> {
        let url = join(base, &request.path)?;
        let recorded = self.events.wants_exchanges().then(|| url.to_string());
        let proxy = self.http.proxy_of(&url);
        let builder = self.http.of(&url).request(request.method.clone(), url);
        let builder = match authorization {
            Authorization::None => builder,
            Authorization::Bearer(token) => builder.bearer_auth(token.expose_secret()),
            Authorization::Basic(id, secret) => {
                builder.basic_auth(id, Some(secret.expose_secret()))
            }
        };
        let builder = self.with_body(builder, &request.body).await?;
        let builder = match request.file {
            Some(_) => builder.timeout(self.timeout),
            None => builder,
        };
        let endpoint = request.endpoint();
        let turn = async {
            let slot = self.gate.enter(&endpoint).await;
            let sent = self.pacer.turn(request.is_counted(), self.timeout).await;
            (slot, sent)
        };
        let (slot, _sent) = self.unless_interrupted(turn).await?;
        let in_flight = InFlight::begin(&self.in_flight);
        let began = Instant::now();
        let received = tokio::select! {
            received = self.receive(builder, request.file.as_deref()) => received.map_err(|error| match error {
                ReadError::Transport(error) => transport_error(base, request, proxy, error),
                ReadError::TooLong => too_long(request),
                ReadError::File(error) => Error::local("writing a download", error),
            }),
            cut = self.cut() => Err(cut),
        };
        let took = began.elapsed();
        let response = received.as_ref().ok();
        self.events.emit(Event::Request {
            endpoint,
            status: response.map(|response| response.status.as_u16()),
            began,
            took,
            server_time: response.and_then(|response| server_time(&response.headers)),
            in_flight: in_flight.number,
            request_id: response
                .and_then(|response| text_of(&response.headers, REQUEST_ID))
                .map(|id| self.secrets.masked(id)),
            context: StepContext::current(),
            exchange: recorded.map(|url| {
                let received = received.as_ref();
                Arc::new(record::exchange(url, request, &self.secrets, received))
            }),
        });
        // Before the next request takes the slot.
        drop(in_flight);
        slot.release(load_of(request, &received, took));
        let outcome = received.and_then(|response| self.check_response(base, request, response));
        log(request, &outcome, took);
        outcome.map(|(_, response)| response)
    }

    /// After an interrupt, running requests may finish, but even an upload gets no more
    /// time than other requests.
    async fn cut(&self) -> Error {
        self.interrupted().await;
        tokio::time::sleep(RESPONSE_TIMEOUT.min(self.timeout)).await;
        Error::Interrupted
    }

    async fn with_body(
        &self,
        builder: reqwest::RequestBuilder,
        body: &Body,
    ) -> Result<reqwest::RequestBuilder, Error> {
        let builder = builder.timeout(RESPONSE_TIMEOUT.min(self.timeout));
        Ok(match body {
            Body::Empty => builder,
            Body::Json(value) => builder.json(value),
            Body::Yaml(text) => builder
                .header("content-type", "application/x-yaml")
                .body(text.clone()),
            Body::Form(fields) => {
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (*name, value.expose_secret()))
                    .collect();
                builder.form(&fields)
            }
            Body::Upload(upload) => {
                let form = upload.form(&self.events).await?;
                builder.timeout(self.timeout).multipart(form)
            }
        })
    }

    /// Sends a request and reads its response, into `file` if there is one.
    async fn receive(
        &self,
        builder: reqwest::RequestBuilder,
        file: Option<&Path>,
    ) -> Result<Received, ReadError> {
        let began = Instant::now();
        let mut response = builder.send().await?;
        if file.is_some() && response.status().is_redirection() {
            response = self.follow(response).await?;
        }
        self.reached.store(true, Ordering::Relaxed);
        self.pacer.record_response(response.headers());
        let waited = began.elapsed();
        let mut body = Vec::new();
        let file = file.filter(|_| response.status().is_success());
        if let Some(file) = file {
            let mut file = tokio::fs::File::create(file).await?;
            while let Some(piece) = response.chunk().await? {
                file.write_all(&piece).await?;
            }
            file.flush().await?;
        }
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > MAX_BODY {
                return Err(ReadError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Received {
            status: response.status(),
            version: response.version(),
            waited,
            headers: response.headers().clone(),
            body,
        })
    }

    /// Follows a redirect once, without the token: its target is a blobstore.
    async fn follow(&self, response: reqwest::Response) -> Result<reqwest::Response, ReadError> {
        let target = text_of(response.headers(), LOCATION);
        let target = target.and_then(|target| response.url().join(&target).ok());
        match target {
            Some(url) => {
                let request = self.http.of(&url).get(url);
                Ok(request.timeout(self.timeout).send().await?)
            }
            None => Ok(response),
        }
    }

    fn check_response(
        &self,
        base: &Url,
        request: &Request,
        response: Received,
    ) -> Result<(StatusCode, Response), Error> {
        let Received {
            status,
            headers,
            body,
            ..
        } = response;
        if request.path.starts_with(TOKEN_PATH) {
            self.secrets.add_tokens(&body);
        }
        self.pass_on_warnings(&headers);
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Some(proxy) = self.http.proxy_of(base)
        {
            let (problem, reason) = connection_error::through(proxy, &status.to_string());
            return Err(Error::Unreachable {
                url: base.to_string(),
                reason,
                problem,
                source: None,
            });
        }
        if !status.is_success() {
            // Secrets are removed before long texts are truncated, because half of a
            // secret would not be found.
            let body = self
                .secrets
                .masked(String::from_utf8_lossy(&body).into_owned());
            let error = refusal(request, status, &headers, body.as_bytes());
            return Err(error.masked(|text| self.secrets.masked(text)));
        }
        let response = Response {
            method: request.method.clone(),
            path: request.path.clone(),
            headers,
            body,
            secrets: Arc::clone(&self.secrets),
        };
        Ok((status, response))
    }

    /// Emits the Cloud Controller's warnings, a list of URL-encoded texts.
    fn pass_on_warnings(&self, headers: &HeaderMap) {
        for header in headers.get_all("x-cf-warnings") {
            let Ok(list) = header.to_str() else { continue };
            for warning in list.split(',').filter(|warning| !warning.is_empty()) {
                let decoded = url::form_urlencoded::parse(warning.as_bytes())
                    .map(|(text, _)| text.into_owned())
                    .next();
                let text = decoded.unwrap_or_else(|| warning.to_owned());
                let text = self.secrets.masked(printable(&text));
                self.events.emit(Event::Warning(text));
            }
        }
    }
}

/// The load of the foundation according to a response. The duration of an upload depends
/// on its size, and a refusal may be quick, so these are not measured.
fn load_of(request: &Request, received: &Result<Received, Error>, took: Duration) -> LoadSignal {
    const OVERLOADED: [StatusCode; 3] = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    match received {
        Ok(response) if OVERLOADED.contains(&response.status) => LoadSignal::Overloaded,
        Ok(_) if matches!(request.body, Body::Upload(_)) => LoadSignal::Unmeasured,
        Ok(_) if request.file.is_some() => LoadSignal::Unmeasured,
        Ok(response) if response.status.is_success() => LoadSignal::Processed(took),
        Err(Error::NoResponse { .. }) => LoadSignal::Overloaded,
        Ok(_) | Err(_) => LoadSignal::Unmeasured,
    }
}

/// Logs method, path and status, but no headers and no bodies that may contain secrets.
fn log(request: &Request, outcome: &Result<(StatusCode, Response), Error>, took: Duration) {
    let (method, path) = (&request.method, &request.path);
    match outcome {
        Ok((status, _)) => tracing::debug!(%method, %path, status = status.as_u16(), ?took),
        Err(error) => tracing::debug!(%method, %path, %error, ?took),
    }
    if let Body::Json(body) = &request.body
        && body.get("environment_variables").is_none()
        && !path.ends_with("/environment_variables")
        && body.pointer("/data/password").is_none()
    {
        tracing::trace!(%method, %path, %body);
    }
}

pub(super) fn join(base: &Url, path: &str) -> Result<Url, Error> {
    let prefix = base.as_str().trim_end_matches('/');
    Url::parse(&format!("{prefix}{path}"))
        .map_err(|error| Error::local(format!("building the URL of {path} at {base}"), error))
}

fn too_long(request: &Request) -> Error {
    Error::UnexpectedResponse {
        method: request.method.to_string(),
        path: request.path.clone(),
        reason: format!("it is longer than {} MB", MAX_BODY >> 20),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://api.example.com", "https://api.example.com/v3/apps?a=b")]
    #[case("https://api.example.com/", "https://api.example.com/v3/apps?a=b")]
    #[case("http://localhost:80/uaa", "http://localhost/uaa/v3/apps?a=b")]
    fn paths_join_bases(#[case] base: &str, #[case] expected: &str) {
        let url = join(&Url::parse(base).unwrap(), "/v3/apps?a=b").unwrap();
        assert_eq!(url.as_str(), expected);
    }
}

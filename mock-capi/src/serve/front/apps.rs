//! Requests to apps: delays, streams, and requests to other servers.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use reqwest::redirect;
use tokio::time::timeout;

use super::body;
use super::content::{self, Content, Dropped};
use crate::data_plane::{
    self, Action, FORWARDED_BY, Forward, Outcome, READ_BODY, Reply, RequestBody,
};
use crate::serve::app_routes;
use crate::serve::controller::CloudController;

/// The timeout for another server's response, and for each piece of it.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A request for an app, or another request.
pub(super) enum RoutedRequest {
    App(Box<PendingAppRequest>),
    /// A request for the API, or for the mock's own endpoints.
    Other(Box<(Parts, Incoming)>),
}

/// A request for an app.
pub(super) struct PendingAppRequest {
    parts: Parts,
    body: Incoming,
    client: SocketAddr,
    outcome: Outcome,
}

/// Decides whether a request is for an app.
pub(super) fn route(
    parts: Parts,
    body: Incoming,
    client: SocketAddr,
    controller: &CloudController,
) -> RoutedRequest {
    let core = controller.core();
    let returns = parts.headers.contains_key(FORWARDED_BY) && core.has_forwarded(&parts.headers);
    let unread = match body.is_end_stream() {
        true => RequestBody::Empty,
        false => RequestBody::Unread,
    };
    let outcome = match returns {
        true => Some(data_plane::loop_detected().into()),
        false => app_routes::outcome(core, &parts, unread, client),
    };
    match outcome {
        None => RoutedRequest::Other(Box::new((parts, body))),
        Some(outcome) => RoutedRequest::App(Box::new(PendingAppRequest {
            parts,
            body,
            client,
            outcome,
        })),
    }
}

impl PendingAppRequest {
    pub(super) async fn answer(
        mut self,
        controller: &CloudController,
    ) -> Result<hyper::Response<Content>, Dropped> {
        if matches!(self.outcome.action, Action::ReadBody) {
            let read = body::read_beginning(&mut self.body, READ_BODY + 1).await;
            let Some(read) = read else {
                return Err(Dropped);
            };
            let body = RequestBody::Read(&read);
            let outcome = app_routes::outcome(controller.core(), &self.parts, body, self.client);
            // The domain may have been deleted since.
            self.outcome = outcome.unwrap_or_else(|| Reply::new(404, "").into());
        }
        let Outcome {
            delay,
            action,
            request_id,
        } = self.outcome;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut response = match action {
            Action::Reply(reply) => {
                body::discard(&self.parts, self.body);
                content::of_reply(reply)?
            }
            Action::CountBody => match body::count(self.body).await {
                Some(bytes) => content::of_reply(data_plane::counted(bytes))?,
                None => return Err(Dropped),
            },
            Action::Forward(forward) => send(forward, &self.parts, self.body, controller).await?,
            // The body has been read above.
            Action::ReadBody => content::of_reply(Reply::new(500, ""))?,
        };
        if let Ok(id) = request_id.parse() {
            response.headers_mut().insert("x-vcap-request-id", id);
        }
        Ok(response)
    }
}

/// Forwards a request to another server.
async fn send(
    forward: Forward,
    parts: &Parts,
    body: Incoming,
    controller: &CloudController,
) -> Result<hyper::Response<Content>, Dropped> {
    let Forward {
        url,
        method,
        headers,
        has_body,
        through,
    } = forward;
    let failed = |has_timed_out: bool| {
        let reply = data_plane::forward_failed(&url, through.is_some(), has_timed_out);
        content::of_reply(reply)
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Dropped)?;
    let Some(http) = client() else {
        return failed(false);
    };
    let mut request = http.request(method, &url).headers(headers);
    if has_body {
        request = request.body(reqwest::Body::wrap(body));
    } else {
        body::discard(parts, body);
    }
    let began = Instant::now();
    let response = match timeout(RESPONSE_TIMEOUT, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return failed(error.is_timeout()),
        Err(_) => return failed(true),
    };
    if let Some(proxy) = through {
        controller.core().record_latency(proxy, began.elapsed());
    }
    let (head, body) = http::Response::from(response).into_parts();
    let mut answer = hyper::Response::new(Content::streamed(body.map_err(|_| Dropped)));
    *answer.status_mut() = head.status;
    for (name, value) in &head.headers {
        let passes = match through {
            Some(_) => [CONTENT_TYPE, CONTENT_LENGTH].contains(name),
            None => !data_plane::is_of_connection(name),
        };
        if passes {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    Ok(answer)
}

/// The client for other servers; `None` if TLS cannot be set up.
fn client() -> Option<&'static reqwest::Client> {
    static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .read_timeout(RESPONSE_TIMEOUT)
            // A connection ends with the thread of the mock that opened it.
            .pool_max_idle_per_host(0);
        builder.build().ok()
    });
    client.as_ref()
}

//! Requests as users of the library see them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use crate::api::http::Request;

/// A request that the mock received. See
/// [`MockCapiBuilder::record_requests`](crate::MockCapiBuilder::record_requests).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The path as sent, such as `/v3/apps`.
    pub path: String,
    /// The query as sent, without `?`.
    pub query: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    headers: HeaderMap,
}

impl RecordedRequest {
    /// The first value of a header, by its name in any case. `None` if the request has no
    /// such header, or if its value is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON. `None` if it is not JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// The numbers of requests that the mock has answered. Requests to `/_mock/` do not
/// count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The number of all requests.
    pub total: u64,
    /// The numbers by route, such as `GET /v3/apps/:guid`. Requests without a route count
    /// as `unknown`.
    pub by_route: BTreeMap<String, u64>,
    /// The numbers of requests to operations that the mock does not implement, by route.
    pub not_implemented: BTreeMap<String, u64>,
}

/// A request that was answered. See
/// [`MockCapiBuilder::on_request`](crate::MockCapiBuilder::on_request).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AnsweredRequest<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The path and the query as sent.
    pub target: &'a str,
    /// `None` if a fault dropped the connection.
    pub status: Option<u16>,
    /// The time that the fake needed for the request.
    pub took: Duration,
}

/// A function that is called after each request.
#[derive(Clone)]
pub(crate) struct Observer(pub(crate) Arc<dyn Fn(AnsweredRequest<'_>) + Send + Sync>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

pub(super) fn record(request: &Request<'_>) -> RecordedRequest {
    RecordedRequest {
        method: request.method.into(),
        path: request.path.into(),
        query: request.raw_query.map(str::to_owned),
        body: request.body.to_vec(),
        headers: request.headers.clone(),
    }
}

//! What users of the library see of requests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::api::http::Request;

/// A request that the mock received, see
/// [`MockCapiBuilder::record_requests`](crate::MockCapiBuilder::record_requests).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, as it was sent, such as `/v3/apps`.
    pub path: String,
    /// What came after the `?`, as it was sent.
    pub query: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl RecordedRequest {
    /// The body as JSON, if it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// How many requests the mock has answered. Those to `/_mock/` do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// All requests.
    pub total: u64,
    /// By route, such as `GET /v3/apps/:guid`; `unknown` where there is none.
    pub by_route: BTreeMap<String, u64>,
    /// Those among them to operations of the API that the mock does not
    /// implement, by route.
    pub not_implemented: BTreeMap<String, u64>,
}

/// A request that was answered; see
/// [`MockCapiBuilder::on_request`](crate::MockCapiBuilder::on_request).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AnsweredRequest<'a> {
    /// `GET`, `POST`, ...
    pub method: &'a str,
    /// The path with its query, as it was sent.
    pub target: &'a str,
    /// `None` if a fault dropped the connection.
    pub status: Option<u16>,
    /// How long the fake worked on it.
    pub took: Duration,
}

/// The function that is called after each request.
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
    }
}

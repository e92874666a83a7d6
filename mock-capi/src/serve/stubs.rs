//! Responses that a test supplies instead of the fake's: for operations that the fake
//! does not implement, or to test how a client handles them.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::http::Response;
use crate::json::read_list;
use crate::serve::faults::{matches_path, method_problem, path_problem};

/// A response to certain requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stub {
    /// The method. `None` matches any.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// A pattern as in faults: `/v3/service_brokers/:guid`, `/v3/*`.
    path: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A string is sent as it is, any other value as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    /// The number of requests that the stub responds to. `None` for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// The number of answered requests.
    #[serde(default, skip_deserializing)]
    answered: u64,
}

fn ok() -> u16 {
    200
}

/// The current stubs. The first one that matches is used.
#[derive(Debug, Default)]
pub(crate) struct Stubs(Vec<Stub>);

impl Stubs {
    pub(crate) fn set(&mut self, stubs: Vec<Stub>) {
        self.0 = stubs;
    }

    pub(crate) fn list(&self) -> &[Stub] {
        &self.0
    }

    /// Whether a stub matches a request.
    pub(crate) fn admits(&self, method: &str, path: &str) -> bool {
        self.0.iter().any(|stub| stub.admits(method, path))
    }

    /// The response of a stub to a request, if one matches.
    pub(crate) fn answer(&mut self, method: &str, path: &str) -> Option<Response> {
        let stub = self.0.iter_mut().find(|stub| stub.admits(method, path))?;
        stub.answered += 1;
        Some(stub.response())
    }
}

impl Stub {
    /// Reads a JSON list of stubs.
    pub(crate) fn list_from_json(json: &[u8]) -> Result<Vec<Self>, String> {
        let stubs: Vec<Self> = read_list(json, "stub")?;
        for (index, stub) in stubs.iter().enumerate() {
            if let Some(problem) = stub.problem() {
                return Err(format!("stub {index}: {problem}"));
            }
        }
        Ok(stubs)
    }

    fn problem(&self) -> Option<String> {
        let method = self.method.as_deref().and_then(method_problem);
        if let Some(problem) = path_problem(&self.path).or(method) {
            return Some(problem.into());
        }
        if self.path.starts_with("/_mock") {
            return Some(
                "'path' must not be below /_mock/, whose endpoints cannot be stubbed".into(),
            );
        }
        if !(200..=599).contains(&self.status) {
            return Some("'status' must be from 200 to 599".into());
        }
        if [204, 304].contains(&self.status) && self.body.is_some() {
            return Some(format!(
                "a response with the status {} has no body",
                self.status
            ));
        }
        if self.times == Some(0) {
            return Some("'times' must be 1 or more".into());
        }
        let of_body = ["content-length", "transfer-encoding"];
        let mut names = self.headers.keys();
        if let Some(name) = names.find(|name| of_body.contains(&name.to_lowercase().as_str())) {
            return Some(format!("'{name}' follows from the body"));
        }
        let invalid = self.headers.iter().find(|(name, value)| {
            HeaderName::try_from(name.as_str()).is_err()
                || HeaderValue::try_from(value.as_str()).is_err()
        });
        invalid.map(|(name, _)| format!("'{name}' is not a valid header, or its value is not"))
    }

    fn admits(&self, method: &str, path: &str) -> bool {
        self.times.is_none_or(|times| self.answered < times)
            && self
                .method
                .as_ref()
                .is_none_or(|only| only == "*" || only.eq_ignore_ascii_case(method))
            && matches_path(&self.path, path)
    }

    fn response(&self) -> Response {
        let mut response = match &self.body {
            None => Response::empty(self.status),
            Some(Value::String(text)) => {
                let mut response = Response::text("text/plain; charset=utf-8", text.clone());
                response.status = self.status;
                response
            }
            Some(json) => Response::json(self.status, json),
        };
        for (name, value) in &self.headers {
            if name.eq_ignore_ascii_case("content-type") {
                response.content_type = value.clone().into();
            } else {
                response = response.with_header(name.clone(), value);
            }
        }
        response
    }
}

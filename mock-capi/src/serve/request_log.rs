//! The latest requests, for the page and for tests that verify what was sent.

use std::collections::VecDeque;
use std::time::Duration;

use http::HeaderMap;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::api::http::Request;
use crate::serve::faults::{Effect, matches_path, method_problem, path_problem};
use crate::world::clock::Timestamp;

/// The number of bytes of a body that are kept.
pub(crate) const KEPT_BODY: usize = 64 * 1024;

/// A request that was answered or dropped.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LoggedRequest {
    /// The number of the request since the start.
    number: u64,
    at: Timestamp,
    method: String,
    /// The path with the query.
    path: String,
    /// The user of its token.
    user: Option<String>,
    /// `None` if the connection was dropped.
    status: Option<u16>,
    /// The time that the mock needed for it, without delays.
    micros: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Effect>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
}

/// The headers and bodies of a request.
#[derive(Clone, Debug, Serialize)]
struct Content {
    #[serde(serialize_with = "as_object")]
    headers: HeaderMap,
    #[serde(serialize_with = "as_text")]
    body: Vec<u8>,
    /// In bytes. Larger than `body` if the body was cut.
    body_size: u64,
    #[serde(serialize_with = "as_text")]
    answer: Vec<u8>,
    /// The size of the response.
    answer_size: usize,
}

/// Header names with their values. Several values are joined.
fn as_object<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(headers.keys_len()))?;
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        object.serialize_entry(name.as_str(), &values.collect::<Vec<_>>().join(", "))?;
    }
    object.end()
}

fn as_text<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) at: Timestamp,
    pub(crate) status: Option<u16>,
    pub(crate) took: Duration,
    pub(crate) fault: Option<Effect>,
    pub(crate) user: Option<String>,
}

/// The latest requests, oldest first.
#[derive(Debug)]
pub(crate) struct RequestLog {
    /// The maximum number of kept requests.
    kept: usize,
    requests: VecDeque<LoggedRequest>,
    count: u64,
    /// The number of dropped requests.
    forgotten: u64,
}

impl RequestLog {
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            kept,
            requests: VecDeque::new(),
            count: 0,
            forgotten: 0,
        }
    }

    pub(crate) fn add(&mut self, request: &Request<'_>, outcome: Outcome, answer: &[u8]) {
        self.count += 1;
        if self.requests.len() >= self.kept {
            self.requests.pop_front();
            self.forgotten += 1;
        }
        if self.kept == 0 {
            return;
        }
        let beginning = |body: &[u8]| body[..body.len().min(KEPT_BODY)].to_vec();
        self.requests.push_back(LoggedRequest {
            number: self.count,
            at: outcome.at,
            method: request.method.into(),
            path: request.target(),
            user: outcome.user,
            status: outcome.status,
            micros: u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
            fault: outcome.fault,
            content: Some(Content {
                headers: request.headers.clone(),
                body: beginning(request.body),
                body_size: request.body_size,
                answer: beginning(answer),
                answer_size: answer.len(),
            }),
        });
    }

    /// The kept requests after the one with this number. All, if there is no request with
    /// this number, because the caller knows it from an earlier mock.
    pub(crate) fn after(&self, number: u64) -> Vec<&LoggedRequest> {
        let number = if number > self.count { 0 } else { number };
        let later = self.requests.iter().rev();
        let mut later: Vec<_> = later.take_while(|entry| entry.number > number).collect();
        later.reverse();
        later
    }

    /// The number of dropped requests.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        self.forgotten = 0;
    }
}

impl LoggedRequest {
    /// The request without headers and body.
    pub(crate) fn without_content(&self) -> Self {
        Self {
            content: None,
            ..self.clone()
        }
    }
}

/// Criteria for requests, all of which must be met.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequestFilter {
    /// The number of the only matching request.
    #[serde(skip)]
    pub(crate) number: Option<u64>,
    pub(crate) method: Option<String>,
    /// A pattern as in faults: `/v3/apps/:guid`, `/v3/*`.
    pub(crate) path: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) status: Option<u16>,
    /// Values that the JSON of the body must contain.
    pub(crate) body: Option<Value>,
}

impl RequestFilter {
    /// The reason why no request could match the filter.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let path = self.path.as_deref().and_then(path_problem);
        path.or_else(|| self.method.as_deref().and_then(method_problem))
    }

    pub(crate) fn admits(&self, request: &LoggedRequest) -> bool {
        self.misses(request) == 0
    }

    /// The number of criteria that a request does not meet.
    pub(crate) fn misses(&self, request: &LoggedRequest) -> usize {
        let path = request.path.split('?').next().unwrap_or_default();
        let body = || {
            let content = request.content.as_ref()?;
            serde_json::from_slice::<Value>(&content.body).ok()
        };
        let has = [
            self.number.is_none_or(|number| number == request.number),
            self.method
                .as_ref()
                .is_none_or(|method| method == "*" || method.eq_ignore_ascii_case(&request.method)),
            self.path
                .as_ref()
                .is_none_or(|pattern| matches_path(pattern, path)),
            self.user.is_none() || self.user == request.user,
            self.status.is_none() || self.status == request.status,
            self.body
                .as_ref()
                .is_none_or(|wanted| body().is_some_and(|body| contains(&body, wanted))),
        ];
        has.into_iter().filter(|has| !has).count()
    }

    /// The number of criteria.
    fn criteria(&self) -> usize {
        usize::from(self.method.is_some())
            + usize::from(self.path.is_some())
            + usize::from(self.user.is_some())
            + usize::from(self.status.is_some())
            + usize::from(self.body.is_some())
    }
}

/// Whether a value contains another one.
fn contains(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            let value = value.get(key);
            value.is_some_and(|value| contains(value, wanted))
        }),
        (value, wanted) => value == wanted,
    }
}

/// The expected number of requests: `POST /_mock/verify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verification {
    request: RequestFilter,
    #[serde(default)]
    count: Option<usize>,
    #[serde(default)]
    at_least: Option<usize>,
    #[serde(default)]
    at_most: Option<usize>,
}

/// The result of a verification.
#[derive(Debug, Serialize)]
pub(crate) struct VerificationResult {
    pub(crate) met: bool,
    count: usize,
    /// The number of dropped requests, which might have matched too.
    forgotten: u64,
    /// Requests that meet all criteria but one, if the expectation is not met.
    near_misses: Vec<LoggedRequest>,
}

impl Verification {
    /// The reason why the verification contradicts itself or could never succeed.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let range = self.at_least.zip(self.at_most);
        if self.count.is_some() && (self.at_least.is_some() || self.at_most.is_some()) {
            return Some("'count' cannot be combined with 'at_least' and 'at_most'");
        }
        if range.is_some_and(|(least, most)| least > most) {
            return Some("'at_least' is more than 'at_most'");
        }
        self.request.problem()
    }

    /// Without a count, at least one request is expected.
    pub(crate) fn check(&self, log: &RequestLog) -> VerificationResult {
        /// The maximum number of near misses.
        const SHOWN: usize = 10;
        let filter = &self.request;
        let count = log.requests.iter().filter(|it| filter.admits(it)).count();
        let unbounded = self.count.is_none() && self.at_most.is_none();
        let at_least = self.at_least.or(unbounded.then_some(1));
        let met = self.count.is_none_or(|exactly| count == exactly)
            && at_least.is_none_or(|least| count >= least)
            && self.at_most.is_none_or(|most| count <= most);
        let is_near = |it: &&LoggedRequest| filter.criteria() > 1 && filter.misses(it) == 1;
        let near = log.requests.iter().rev().filter(is_near);
        let near = near.take(if met { 0 } else { SHOWN });
        VerificationResult {
            met,
            count,
            forgotten: log.forgotten,
            near_misses: near.cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;

    fn log_of(paths: impl Iterator<Item = String>) -> RequestLog {
        let mut log = RequestLog::new(1000);
        let headers = HeaderMap::new();
        let at = Clock::new().now();
        for path in paths {
            let outcome = Outcome {
                at,
                status: Some(200),
                took: Duration::from_micros(5),
                fault: None,
                user: None,
            };
            let body = br#"{"name": "a", "more": 1}"#;
            let request = Request::new("POST", &path, None, &headers, body);
            log.add(&request, outcome, b"{}");
        }
        log
    }

    #[test]
    fn the_log_keeps_the_latest_requests_and_reads_on_from_a_number() {
        let log = log_of((0..1100).map(|number| format!("/{number}")));
        let numbers = |after| {
            let entries = log.after(after).into_iter();
            entries.map(|entry| entry.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1098), [1099, 1100]);
        assert_eq!(numbers(0), (101..=1100).collect::<Vec<_>>());
        assert!(numbers(1100).is_empty());
        assert_eq!(numbers(1101), numbers(0));
        assert_eq!(log.forgotten(), 100);
    }

    #[test]
    fn a_log_without_space_still_counts_requests() {
        let mut log = log_of(std::iter::empty());
        log.kept = 0;
        let headers = HeaderMap::new();
        let outcome = || Outcome {
            at: Clock::new().now(),
            status: Some(200),
            took: Duration::ZERO,
            fault: None,
            user: None,
        };
        for _ in 0..3 {
            let request = Request::new("GET", "/", None, &headers, b"");
            log.add(&request, outcome(), b"");
        }
        assert_eq!((log.after(0).len(), log.forgotten()), (0, 3));
    }

    #[test]
    fn a_verification_matches_path_method_and_body() {
        let log = log_of(
            ["/v3/apps", "/v3/apps?x=1", "/v3/spaces"]
                .map(str::to_owned)
                .into_iter(),
        );
        for (verification, met, count, near) in [
            (r#"{"request": {"path": "/v3/apps"}}"#, true, 2, 0),
            (
                r#"{"request": {"path": "/v3/apps"}, "count": 1}"#,
                false,
                2,
                0,
            ),
            (
                r#"{"request": {"path": "/v3/*"}, "at_most": 3}"#,
                true,
                3,
                0,
            ),
            (r#"{"request": {"path": "/v2/*"}}"#, false, 0, 0),
            (r#"{"request": {"path": "/v2/*"}, "count": 0}"#, true, 0, 0),
            (
                r#"{"request": {"path": "/v3/apps", "method": "get"}}"#,
                false,
                0,
                2,
            ),
            (
                r#"{"request": {"path": "/v3/apps", "body": {"name": "a"}}}"#,
                true,
                2,
                0,
            ),
            (
                r#"{"request": {"path": "/v3/apps", "body": {"name": "b"}}}"#,
                false,
                0,
                2,
            ),
        ] {
            let read: Verification = serde_json::from_str(verification).unwrap();
            let verified = read.check(&log);
            let seen = (verified.met, verified.count, verified.near_misses.len());
            assert_eq!(seen, (met, count, near), "{verification}");
        }
    }
}

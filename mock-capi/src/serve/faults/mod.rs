//! Failures that a test injects.
//!
//! A [`Fault`] matches events, skips a number of them, applies to a number of them, and
//! determines their outcome. Counts and periods are reproducible, and so are
//! probabilities if the mock has a seed.

mod check;
mod effect;
mod pattern;
mod plan;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::durations;

pub use check::InvalidFaults;
pub(crate) use check::NO_APPS;
pub(crate) use effect::Effect;
pub(crate) use pattern::{matches_path, method_problem, path_problem};
pub use plan::FaultCount;
pub(crate) use plan::FaultPlan;

/// A failure that a test injects.
///
/// ```
/// use std::time::Duration;
/// use mock_capi::Fault;
///
/// // The second and third creation of an app get a 429 with Retry-After.
/// Fault::answer("POST", "/v3/apps", 429)
///     .retry_after(Duration::from_secs(1))
///     .skip(1)
///     .times(2);
/// // For half a minute, about every tenth response is lost.
/// Fault::drop_after("*", "/v3/*")
///     .probability(0.1)
///     .between(Duration::ZERO, Duration::from_secs(30));
/// // Every staging of the app `proxy-0` fails.
/// Fault::failed_staging().of("proxy-0");
/// ```
///
/// `PUT /_mock/faults` takes a list of faults as JSON. The first of these is
/// `{"fault": "answer", "method": "POST", "path": "/v3/apps", "status": 429,
/// "retry_after": "1s", "skip": 1, "times": 2}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    fault: Effect,
    /// The requests that the fault applies to, or that start the affected operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The app whose staging, copy, task or instances fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    /// The operation of the jobs that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// The number of the only matching event that the fault applies to, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    skip: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// The period in which the fault is active, starting when it was set.
    #[serde(default, with = "durations", skip_serializing_if = "Option::is_none")]
    from: Option<Duration>,
    #[serde(default, with = "durations", skip_serializing_if = "Option::is_none")]
    until: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(default, with = "durations", skip_serializing_if = "Option::is_none")]
    retry_after: Option<Duration>,
    #[serde(default, with = "durations", skip_serializing_if = "Option::is_none")]
    delay: Option<Duration>,
    /// The number of events that a test expects the fault to apply to.
    #[serde(skip)]
    expected: Option<u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Faults of requests. The method `*` stands for any method. In `path`, a segment that
/// starts with `:` stands for any segment, and a last `*` for the rest: `/v3/apps/:guid`,
/// `/v3/*`.
impl Fault {
    /// Answers requests with a status instead of processing them.
    ///
    /// The error is the Cloud Controller's usual one for that status; see
    /// [`Fault::error`].
    pub fn answer(method: &str, path: &str, status: u16) -> Self {
        let mut fault = Self::of_request(Effect::Answer, method, path);
        fault.status = Some(status);
        fault
    }

    /// Delays the responses to requests.
    pub fn delay(method: &str, path: &str, delay: Duration) -> Self {
        let mut fault = Self::of_request(Effect::Delay, method, path);
        fault.delay = Some(delay);
        fault
    }

    /// Closes the connection without processing the request.
    pub fn drop_before(method: &str, path: &str) -> Self {
        Self::of_request(Effect::DropBefore, method, path)
    }

    /// Processes the request and closes the connection without a response, so that the
    /// client cannot know the outcome.
    pub fn drop_after(method: &str, path: &str) -> Self {
        Self::of_request(Effect::DropAfter, method, path)
    }

    /// Processes requests and closes the connection in the middle of the response's body.
    pub fn truncate(method: &str, path: &str) -> Self {
        Self::of_request(Effect::Truncate, method, path)
    }

    /// Processes requests and sends the response's body in pieces, spread evenly over a
    /// time.
    pub fn drip(method: &str, path: &str, over: Duration) -> Self {
        let mut fault = Self::of_request(Effect::Drip, method, path);
        fault.delay = Some(over);
        fault
    }

    /// Lets all access tokens expire just before requests are processed, see
    /// [`CloudController::expire_tokens`](crate::CloudController::expire_tokens).
    pub fn expired_token(method: &str, path: &str) -> Self {
        Self::of_request(Effect::ExpiredToken, method, path)
    }
}

/// Faults of operations that requests start.
impl Fault {
    /// Fails the staging of packages: no buildpack detects the app.
    pub fn failed_staging() -> Self {
        Self::of_effect(Effect::FailedStaging)
    }

    /// Fails the copying of droplets: the copy becomes `FAILED`.
    pub fn failed_copy() -> Self {
        Self::of_effect(Effect::FailedCopy)
    }

    /// Crashes the instances that are started when an app is started or restarted, or by
    /// a deployment: they become `CRASHED` instead of `RUNNING`.
    pub fn crashing_instances() -> Self {
        Self::of_effect(Effect::CrashingInstances)
    }

    /// Fails tasks at their end.
    pub fn failed_task() -> Self {
        Self::of_effect(Effect::FailedTask)
    }

    /// Fails jobs. They change nothing then.
    pub fn failed_job() -> Self {
        Self::of_effect(Effect::FailedJob)
    }

    /// Restricts the fault to an app by its name, or a failed job to an operation
    /// (`app.delete`). For a copy, the app is the destination.
    #[must_use]
    pub fn of(mut self, name: &str) -> Self {
        if self.fault == Effect::FailedJob {
            self.operation = Some(name.into());
        } else {
            self.app = Some(name.into());
        }
        self
    }

    /// Restricts the fault to operations that requests with this method and path start.
    #[must_use]
    pub fn by(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.into());
        self.path = Some(path.into());
        self
    }
}

/// Faults of apps that answer on their routes, which only
/// [`front`](crate::MockCapiBuilder::front) serves. They apply to all apps unless
/// [`of`](Fault::of) selects one. [`by`](Fault::by) restricts them to requests that the
/// app receives.
impl Fault {
    /// Makes instances unreachable: the router responds with 502, and connections of
    /// other apps time out.
    pub fn unreachable() -> Self {
        Self::of_effect(Effect::Unreachable)
    }

    /// Removes instances from the lists of registries.
    pub fn unregistered() -> Self {
        Self::of_effect(Effect::Unregistered)
    }

    /// Delays the responses of apps.
    pub fn slow(delay: Duration) -> Self {
        let mut fault = Self::of_effect(Effect::Slow);
        fault.delay = Some(delay);
        fault
    }
}

/// How often, when, and with which probability the fault applies.
impl Fault {
    /// Skips the first `count` events.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Applies only to the matching event with this number, counted from 1.
    #[must_use]
    pub fn nth(mut self, count: u64) -> Self {
        self.nth = Some(count);
        self
    }

    /// Stops after `count` events. By default, a fault lasts until it is removed.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Applies only to this fraction of the events, from 0 to 1, selected by the mock's
    /// seed.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// Restricts the fault to a period, starting when it was set, by the mock's clock.
    #[must_use]
    pub fn between(mut self, from: Duration, until: Duration) -> Self {
        (self.from, self.until) = (Some(from), Some(until));
        self
    }

    /// Sets the reported error. `title` includes `CF-`.
    #[must_use]
    pub fn error(mut self, code: u32, title: &str, detail: &str) -> Self {
        self.code = Some(code);
        self.title = Some(title.into());
        self.detail = Some(detail.into());
        self
    }

    /// Adds a `Retry-After` header, in whole seconds, to a response.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Expects that the fault is applied exactly this often. Otherwise, the
    /// [`MockCapi`](crate::MockCapi) panics when it is dropped, as a wiremock server does
    /// for its mounted mocks. A [`CloudController`](crate::CloudController) that a test mounts
    /// itself does not panic: check its [`faults`](crate::CloudController::faults).
    #[must_use]
    pub fn expect(mut self, count: u64) -> Self {
        self.expected = Some(count);
        self
    }

    fn of_request(effect: Effect, method: &str, path: &str) -> Self {
        Self::of_effect(effect).by(method, path)
    }

    fn of_effect(fault: Effect) -> Self {
        Self {
            fault,
            method: None,
            path: None,
            app: None,
            operation: None,
            nth: None,
            skip: 0,
            times: None,
            probability: None,
            from: None,
            until: None,
            status: None,
            code: None,
            title: None,
            detail: None,
            retry_after: None,
            delay: None,
            expected: None,
        }
    }

    fn reported_error(&self) -> CcError {
        let status = self.status.unwrap_or(500);
        let (code, title, detail) = self.fault.usual_error(status);
        CcError::new(
            status,
            self.code.unwrap_or(code),
            self.title.clone().unwrap_or_else(|| title.into()),
            self.detail.clone().unwrap_or_else(|| detail.into()),
        )
    }

    /// The response to a request to `path`.
    fn response(&self, path: &str) -> Response {
        let status = self.status.unwrap_or(500);
        let response = if status < 400 {
            Response::empty(status)
        } else {
            Response::error(path, &self.reported_error())
        };
        match self.retry_after {
            Some(after) => response.with_retry_after(after),
            None => response,
        }
    }

    fn admits_request(&self, method: &str, path: &str) -> bool {
        let is_any = |text: &str| text == "*";
        self.method
            .as_ref()
            .is_none_or(|only| is_any(only) || only.eq_ignore_ascii_case(method))
            && self
                .path
                .as_ref()
                .is_none_or(|pattern| is_any(pattern) || matches_path(pattern, path))
    }

    fn is_in_window(&self, passed: Duration) -> bool {
        self.from.is_none_or(|from| passed >= from) && self.until.is_none_or(|until| passed < until)
    }
}

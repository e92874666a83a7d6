//! Things that go wrong on purpose.
//!
//! A [`Fault`] says what it waits for, how many of those it lets pass, how many
//! it then spoils, and how. Counts, windows of time and, from a seed,
//! probabilities repeat exactly.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::error::CcError;
use crate::api::http::{Response, read_object};
use crate::api::router::Router;
use crate::serve::core::Wire;
use crate::world::clock::Timestamp;
use crate::world::durations;
use crate::world::error::Failure;
use crate::world::mishaps::Mishaps;
use crate::world::random::Random;

/// Something that goes wrong on purpose.
///
/// ```
/// use std::time::Duration;
/// use mock_capi::Fault;
///
/// // The second and third creation of an app are told to wait.
/// Fault::answer("POST", "/v3/apps", 429)
///     .retry_after(Duration::from_secs(1))
///     .skip(1)
///     .times(2);
/// // The answer to every tenth request or so gets lost, for half a minute.
/// Fault::drop_after("*", "/v3/*")
///     .probability(0.1)
///     .between(Duration::ZERO, Duration::from_secs(30));
/// // Every staging of the app `proxy-0` fails.
/// Fault::failed_staging().of("proxy-0");
/// ```
///
/// As JSON, which `PUT /_mock/faults` takes a list of, the first of these is
/// `{"fault": "answer", "method": "POST", "path": "/v3/apps", "status": 429,
/// "retry_after": "1s", "skip": 1, "times": 2}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    fault: Effect,
    /// The request that is spoiled, or that starts what is.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The app whose staging, copy, task or instances are spoiled.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    /// The operation of the job that is spoiled.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// The only one that is spoiled, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    skip: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// The window, counted from when the fault was set.
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
    /// How often it is to strike.
    #[serde(skip)]
    expected: Option<u64>,
}

/// What `method` takes, in any case.
const METHODS: [&str; 8] = [
    "*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
];

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    Answer,
    Delay,
    DropBefore,
    DropAfter,
    Truncate,
    ExpiredToken,
    FailedStaging,
    FailedCopy,
    FailedTask,
    FailedJob,
    CrashingInstances,
}

impl Effect {
    /// Whether it befalls a request, not what a request starts.
    fn is_of_request(self) -> bool {
        matches!(
            self,
            Self::Answer
                | Self::Delay
                | Self::DropBefore
                | Self::DropAfter
                | Self::Truncate
                | Self::ExpiredToken
        )
    }

    /// Whether it befalls an app.
    fn is_of_app(self) -> bool {
        !self.is_of_request() && self != Self::FailedJob
    }

    /// Whether it reports an error that a fault may word.
    fn has_error(self) -> bool {
        matches!(
            self,
            Self::Answer
                | Self::FailedStaging
                | Self::FailedCopy
                | Self::FailedTask
                | Self::FailedJob
        )
    }

    /// The error that is reported unless the fault says otherwise; `status` is
    /// that of an answer.
    fn usual_error(self, status: u16) -> (u32, &'static str, &'static str) {
        match self {
            Self::FailedStaging => (
                170_003,
                "NoAppDetectedError",
                "An app was not successfully detected by any available buildpack",
            ),
            Self::FailedCopy => (
                150_007,
                "BlobstoreError",
                "Failed to perform blobstore operation after three retries.",
            ),
            Self::FailedTask => (10001, "UnknownError", "Exited with status 1"),
            Self::Answer => usual_error_of(status),
            _ => (10001, "UnknownError", "An unknown error occurred."),
        }
    }
}

fn usual_error_of(status: u16) -> (u32, &'static str, &'static str) {
    match status {
        400 => (1004, "CF-BadRequest", "Bad request: The request is invalid"),
        401 => (1000, "CF-InvalidAuthToken", "Invalid Auth Token"),
        403 => (
            10003,
            "CF-NotAuthorized",
            "You are not authorized to perform the requested action",
        ),
        404 => (10010, "CF-ResourceNotFound", "Resource not found"),
        422 => (
            10008,
            "CF-UnprocessableEntity",
            "The request cannot be processed",
        ),
        429 => (10013, "CF-RateLimitExceeded", "Rate Limit Exceeded"),
        503 => (10015, "CF-ServiceUnavailable", "Service unavailable"),
        _ => (10001, "UnknownError", "An unknown error occurred."),
    }
}

/// Faults that befall requests. The method `*` is any; in `path`, a segment
/// that starts with `:` stands for any one segment and a last `*` for whatever
/// follows: `/v3/apps/:guid`, `/v3/*`.
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

    /// Holds the answers to requests back for that much longer.
    pub fn delay(method: &str, path: &str, delay: Duration) -> Self {
        let mut fault = Self::of_request(Effect::Delay, method, path);
        fault.delay = Some(delay);
        fault
    }

    /// Closes the connection instead of processing requests.
    pub fn drop_before(method: &str, path: &str) -> Self {
        Self::of_request(Effect::DropBefore, method, path)
    }

    /// Processes requests and closes the connection instead of answering: the
    /// client cannot know what became of them.
    pub fn drop_after(method: &str, path: &str) -> Self {
        Self::of_request(Effect::DropAfter, method, path)
    }

    /// Processes requests and closes the connection in the middle of the
    /// answer's body.
    pub fn truncate(method: &str, path: &str) -> Self {
        Self::of_request(Effect::Truncate, method, path)
    }

    /// Lets all access tokens expire just before requests are processed, see
    /// [`CloudController::expire_tokens`](crate::CloudController::expire_tokens).
    pub fn expired_token(method: &str, path: &str) -> Self {
        Self::of_request(Effect::ExpiredToken, method, path)
    }
}

/// Faults that befall what requests start.
impl Fault {
    /// Fails the staging of packages: no buildpack feels responsible.
    pub fn failed_staging() -> Self {
        Self::of_effect(Effect::FailedStaging)
    }

    /// Fails the copying of droplets: the copy becomes `FAILED`.
    pub fn failed_copy() -> Self {
        Self::of_effect(Effect::FailedCopy)
    }

    /// Lets the instances of apps crash: what is started by starting or
    /// restarting an app, or by a deployment, exits once it would run, and is
    /// `CRASHED` from then on.
    pub fn crashing_instances() -> Self {
        Self::of_effect(Effect::CrashingInstances)
    }

    /// Fails tasks, once they have run.
    pub fn failed_task() -> Self {
        Self::of_effect(Effect::FailedTask)
    }

    /// Fails jobs, which then change nothing.
    pub fn failed_job() -> Self {
        Self::of_effect(Effect::FailedJob)
    }

    /// Restricts a failed staging, copy or task, or crashing instances, to the
    /// app of that name (of a copy: the destination), and a failed job to that
    /// operation (`app.delete`).
    #[must_use]
    pub fn of(mut self, name: &str) -> Self {
        if self.fault == Effect::FailedJob {
            self.operation = Some(name.into());
        } else {
            self.app = Some(name.into());
        }
        self
    }

    /// Restricts the fault to what is started by such requests.
    #[must_use]
    pub fn by(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.into());
        self.path = Some(path.into());
        self
    }
}

/// When, how often and how.
impl Fault {
    /// Lets the first `count` pass.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Spoils the `count`th only, counted from 1.
    #[must_use]
    pub fn nth(mut self, count: u64) -> Self {
        self.nth = Some(count);
        self
    }

    /// Stops after `count`; without it, a fault lasts until it is removed.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Spoils only this share of what it would, from 0 to 1, chosen by the
    /// mock's seed.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// Restricts the fault to a time after it was set, by the mock's clock.
    #[must_use]
    pub fn between(mut self, from: Duration, until: Duration) -> Self {
        (self.from, self.until) = (Some(from), Some(until));
        self
    }

    /// Sets the error that is reported, `title` with its `CF-`.
    #[must_use]
    pub fn error(mut self, code: u32, title: &str, detail: &str) -> Self {
        self.code = Some(code);
        self.title = Some(title.into());
        self.detail = Some(detail.into());
        self
    }

    /// Adds a `Retry-After` header, in whole seconds, to an answer.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Reads a JSON list of faults, as `PUT /_mock/faults` takes it.
    ///
    /// # Errors
    ///
    /// [`InvalidFaults`] if it is no JSON, or a fault in it has fields that are
    /// unknown or do not go together.
    pub fn list_from_json(json: &str) -> Result<Vec<Self>, InvalidFaults> {
        let faults: Vec<&RawValue> =
            serde_json::from_str(json).map_err(|error| InvalidFaults(error.to_string()))?;
        let faults = faults.into_iter().enumerate().map(|(index, fault)| {
            read_object(fault.get().as_bytes())
                .map_err(|error| InvalidFaults(format!("fault {index}: {error}")))
        });
        let faults = faults.collect::<Result<Vec<Self>, _>>()?;
        refuse_first(&faults, |fault| fault.complaint().map(str::to_owned))?;
        Ok(faults)
    }

    /// Refuses faults that could never strike, or not as they say: on this API
    /// and by this adapter.
    pub(crate) fn check_all(
        faults: &[Self],
        router: &Router,
        wire: Wire,
    ) -> Result<(), InvalidFaults> {
        refuse_first(faults, |fault| {
            let complaint = fault.complaint().map(str::to_owned);
            complaint.or_else(|| fault.complaint_here(router, wire))
        })
    }

    /// What the API that is spoken, or what serves it, has against a fault.
    fn complaint_here(&self, router: &Router, wire: Wire) -> Option<String> {
        if self.fault == Effect::Truncate && wire == Wire::Wiremock {
            return Some(
                "wiremock cannot break off an answer: start the mock with \
                 MockCapi::builder().front()"
                    .into(),
            );
        }
        let path = self.path.as_deref()?;
        let method = self.method.as_deref().unwrap_or("*");
        (!router.knows(method, path))
            .then(|| format!("no operation of the API has the path '{path}' for {method}"))
    }

    /// Promises that the fault strikes exactly that often: a
    /// [`MockCapi`](crate::MockCapi) panics when it is dropped if it did not, as
    /// mounted mocks do.
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

    /// What is wrong with a fault: fields that do not go together, or values
    /// that nothing could come of.
    fn complaint(&self) -> Option<&'static str> {
        let effect = self.fault;
        let only = [
            (
                self.app.is_some() && !effect.is_of_app(),
                "'app' goes with failed_staging, failed_copy, failed_task and crashing_instances",
            ),
            (
                self.operation.is_some() && effect != Effect::FailedJob,
                "'operation' goes with failed_job",
            ),
            (
                self.status.is_some() != (effect == Effect::Answer),
                "'status' goes with answer, which needs it",
            ),
            (
                self.retry_after.is_some() && effect != Effect::Answer,
                "'retry_after' goes with answer",
            ),
            (
                self.delay.is_some() && !effect.is_of_request(),
                "'delay' goes with what befalls requests",
            ),
            (
                self.delay.is_none() && effect == Effect::Delay,
                "delay needs a 'delay'",
            ),
            (
                !effect.has_error()
                    && (self.code.is_some() || self.title.is_some() || self.detail.is_some()),
                "'code', 'title' and 'detail' go with answer, failed_staging, failed_copy, \
                 failed_task and failed_job",
            ),
            (
                self.status.is_some_and(|status| status < 400)
                    && (self.code.is_some() || self.title.is_some() || self.detail.is_some()),
                "'code', 'title' and 'detail' go with a status of 400 or more",
            ),
            (self.nth == Some(0), "'nth' counts from 1"),
            (
                self.nth.is_some() && (self.skip > 0 || self.times.is_some()),
                "'nth' does not go with 'skip' and 'times'",
            ),
            (
                self.status
                    .is_some_and(|status| !(200..=599).contains(&status)),
                "'status' must be from 200 to 599",
            ),
            (
                self.probability
                    .is_some_and(|probability| !(0.0..=1.0).contains(&probability)),
                "'probability' must be from 0 to 1",
            ),
            (
                self.path
                    .as_ref()
                    .is_some_and(|path| path != "*" && !path.starts_with('/')),
                "'path' must start with a '/'",
            ),
            (
                self.path.as_deref().is_some_and(|path| path.contains('?')),
                "'path' has no query",
            ),
            (
                self.path.as_deref().is_some_and(is_star_amiss),
                "in 'path', a '*' is the whole last segment",
            ),
            (
                self.method.as_deref().is_some_and(|method| {
                    !METHODS
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(method))
                }),
                "'method' must be one of HTTP's, or '*'",
            ),
            (self.times == Some(0), "'times' must be 1 or more"),
            (
                self.from
                    .zip(self.until)
                    .is_some_and(|(from, until)| from >= until),
                "'from' must be before 'until'",
            ),
        ];
        let broken = only.into_iter().find(|(broken, _)| *broken);
        broken.map(|(_, complaint)| complaint)
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

    /// The answer that a request to `path` gets.
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

/// Why faults cannot be set, or a text is no list of faults.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFaults(String);

fn refuse_first(
    faults: &[Fault],
    complain: impl Fn(&Fault) -> Option<String>,
) -> Result<(), InvalidFaults> {
    let complaints = faults.iter().enumerate();
    let mut complaints = complaints.filter_map(|(index, fault)| Some((index, complain(fault)?)));
    match complaints.next() {
        Some((index, complaint)) => Err(InvalidFaults(format!("fault {index}: {complaint}"))),
        None => Ok(()),
    }
}

/// A fault in force, and how often it was met.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FaultCount {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// How often something happened that the fault waits for.
    pub met: u64,
    /// How often the fault spoiled that.
    pub struck: u64,
}

impl FaultCount {
    /// What the fault was expected to do, if it did not.
    fn unmet(&self) -> Option<String> {
        let Self { fault, met, struck } = self;
        let expected = fault.expected.filter(|expected| expected != struck)?;
        let name = serde_json::to_string(fault).unwrap_or_default();
        Some(format!(
            "{name} was expected to strike {expected} times, and struck {struck} times \
             (met {met} times)"
        ))
    }
}

/// What befalls a request.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(crate) effect: Effect,
    pub(crate) delay: Duration,
    /// The answer, if there is one instead of the request being processed.
    pub(crate) answer: Option<Response>,
}

/// The faults in force, how often each was met, and the request at hand.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    rules: Vec<FaultCount>,
    /// What earlier faults were expected to do and did not.
    unmet: Vec<String>,
    since: Timestamp,
    random: Random,
    now: Timestamp,
    method: String,
    path: String,
}

impl FaultPlan {
    pub(crate) fn new(faults: Vec<Fault>, random: Random, now: Timestamp) -> Self {
        let mut plan = Self {
            rules: Vec::new(),
            unmet: Vec::new(),
            since: now,
            random,
            now,
            method: String::new(),
            path: String::new(),
        };
        plan.set(faults, now);
        plan
    }

    /// Puts faults in the place of all earlier ones.
    pub(crate) fn set(&mut self, faults: Vec<Fault>, now: Timestamp) {
        let rule = |fault| FaultCount {
            fault,
            met: 0,
            struck: 0,
        };
        self.unmet = self.unmet();
        self.rules = faults.into_iter().map(rule).collect();
        self.since = now;
    }

    /// What faults were expected to do and did not, in words.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let current = self.rules.iter().filter_map(FaultCount::unmet);
        self.unmet.iter().cloned().chain(current).collect()
    }

    pub(crate) fn rules(&self) -> &[FaultCount] {
        &self.rules
    }

    /// Begins a request, and says what befalls it.
    pub(crate) fn begin(&mut self, method: &str, path: &str, now: Timestamp) -> Option<Strike> {
        if self.rules.is_empty() {
            return None;
        }
        self.now = now;
        method.clone_into(&mut self.method);
        path.clone_into(&mut self.path);
        let fault = self.strike(|fault| fault.fault.is_of_request())?;
        Some(Strike {
            effect: fault.fault,
            delay: fault.delay.unwrap_or_default(),
            answer: (fault.fault == Effect::Answer).then(|| fault.response(path)),
        })
    }

    fn of_app(&mut self, effect: Effect, app: &str) -> Option<CcError> {
        let fault = self.strike(|fault| {
            fault.fault == effect && fault.app.as_ref().is_none_or(|only| only == app)
        })?;
        Some(fault.reported_error())
    }

    /// Counts an event for every fault that waits for it in this request; the
    /// first that is due spoils it.
    fn strike(&mut self, meets: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let passed = self.now.since(self.since);
        let mut due: Option<Fault> = None;
        for FaultCount { fault, met, struck } in &mut self.rules {
            let meets = meets(fault)
                && fault.admits_request(&self.method, &self.path)
                && fault.is_in_window(passed);
            if !meets {
                continue;
            }
            *met += 1;
            let spent = fault.times.is_some_and(|times| *struck >= times);
            let other = fault.nth.is_some_and(|nth| *met != nth);
            if due.is_some() || *met <= fault.skip || spent || other {
                continue;
            }
            let probability = fault.probability.unwrap_or(1.0);
            if probability >= 1.0 || self.random.happens(probability) {
                *struck += 1;
                due = Some(fault.clone());
            }
        }
        due
    }
}

impl Mishaps for FaultPlan {
    fn staging(&mut self, app: &str) -> Option<String> {
        self.of_app(Effect::FailedStaging, app)?.staging_text()
    }

    fn copy(&mut self, app: &str) -> Option<String> {
        self.of_app(Effect::FailedCopy, app)?.staging_text()
    }

    fn crashes(&mut self, app: &str) -> bool {
        self.of_app(Effect::CrashingInstances, app).is_some()
    }

    fn task(&mut self, app: &str) -> Option<String> {
        let error = self.of_app(Effect::FailedTask, app)?;
        error.causes.first().map(|cause| cause.detail.clone())
    }

    fn job(&mut self, operation: &str) -> Option<Failure> {
        let fault = self.strike(|fault| {
            fault.fault == Effect::FailedJob
                && fault
                    .operation
                    .as_ref()
                    .is_none_or(|only| only == operation)
        })?;
        Some(fault.reported_error().into())
    }
}

/// Whether a `*` stands where it would be taken for itself, or hide what follows.
fn is_star_amiss(pattern: &str) -> bool {
    let before = pattern.strip_suffix("/*").unwrap_or(pattern);
    pattern != "*" && before.contains('*')
}

pub(crate) fn matches_path(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        if expected == "*" {
            return segments.next().is_some();
        }
        let matched = segments
            .next()
            .is_some_and(|actual| actual == expected || expected.starts_with(':'));
        if !matched {
            return false;
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;

    fn plan(faults: Vec<Fault>) -> (FaultPlan, Timestamp) {
        let now = Clock::new().now();
        (FaultPlan::new(faults, Random::from_seed(1), now), now)
    }

    #[test]
    fn path_patterns() {
        assert!(matches_path("/v3/apps/:guid", "/v3/apps/1"));
        assert!(!matches_path("/v3/apps/:guid", "/v3/apps"));
        assert!(!matches_path("/v3/apps/:guid", "/v3/apps/1/env"));
        assert!(matches_path("/v3/*", "/v3/apps/1/env"));
        assert!(!matches_path("/v3/*", "/v2/apps"));
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_was_told() {
        let fault = Fault::answer("post", "/v3/apps", 503).skip(1).times(2);
        let (mut plan, now) = plan(vec![fault]);
        let mut struck = || plan.begin("POST", "/v3/apps", now).is_some();
        assert_eq!(
            [struck(), struck(), struck(), struck()],
            [false, true, true, false]
        );
        assert!(plan.begin("GET", "/v3/apps", now).is_none());
    }

    #[test]
    fn a_window_counts_from_when_the_fault_was_set() {
        let second = Duration::from_secs(1);
        let fault = Fault::drop_before("*", "*").between(second, 2 * second);
        let (mut plan, now) = plan(vec![fault]);
        let struck: Vec<bool> = [0, 1, 2]
            .iter()
            .map(|count| plan.begin("GET", "/", now.plus(second * *count)).is_some())
            .collect();
        assert_eq!(struck, [false, true, false]);
    }

    #[test]
    fn probabilities_repeat_with_the_seed() {
        let strikes = || {
            let (mut plan, now) = plan(vec![Fault::drop_after("*", "*").probability(0.5)]);
            (0..64)
                .map(|_| plan.begin("GET", "/", now).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(strikes(), strikes());
        assert!(strikes().contains(&true) && strikes().contains(&false));
    }

    #[test]
    fn named_faults_strike_their_app() {
        let (mut plan, _) = plan(vec![Fault::failed_staging().of("a")]);
        assert_eq!(plan.staging("b"), None);
        assert_eq!(
            plan.staging("a").as_deref(),
            Some(
                "NoAppDetectedError - An app was not successfully detected by any available buildpack"
            )
        );
        assert_eq!(plan.copy("a"), None);
    }

    #[test]
    fn faults_that_mean_nothing_are_refused() {
        let cases = [
            (r#"{}"#, "invalid type: map, expected a sequence"),
            (r#"[{}]"#, "fault 0: missing field `fault`"),
            (
                r#"[["drop_after"]]"#,
                "fault 0: expected an object, not a list",
            ),
            (
                r#"[{"fault": "answer", "path": "/"}]"#,
                "fault 0: 'status' goes with answer, which needs it",
            ),
            (
                r#"[{"fault": "delay", "delay": "1s"}, {"fault": "delay"}]"#,
                "fault 1: delay needs a 'delay'",
            ),
            (
                r#"[{"fault": "truncate", "app": "a"}]"#,
                "fault 0: 'app' goes with failed_staging, failed_copy, failed_task and crashing_instances",
            ),
            (
                r#"[{"fault": "answer", "status": 99}]"#,
                "fault 0: 'status' must be from 200 to 599",
            ),
            (
                r#"[{"fault": "drop_after", "probability": 1.5}]"#,
                "fault 0: 'probability' must be from 0 to 1",
            ),
            (
                r#"[{"fault": "drop_after", "path": "v3"}]"#,
                "fault 0: 'path' must start with a '/'",
            ),
            (
                r#"[{"fault": "drop_after", "path": "/v3/*/env"}]"#,
                "fault 0: in 'path', a '*' is the whole last segment",
            ),
            (
                r#"[{"fault": "drop_after", "path": "/v3/ap*"}]"#,
                "fault 0: in 'path', a '*' is the whole last segment",
            ),
            (
                r#"[{"fault": "drop_after", "path": "/v3/apps?names=a"}]"#,
                "fault 0: 'path' has no query",
            ),
            (
                r#"[{"fault": "drop_after", "method": "FETCH"}]"#,
                "fault 0: 'method' must be one of HTTP's, or '*'",
            ),
            (
                r#"[{"fault": "drop_after", "times": 0}]"#,
                "fault 0: 'times' must be 1 or more",
            ),
            (
                r#"[{"fault": "drop_after", "from": "5s", "until": "2s"}]"#,
                "fault 0: 'from' must be before 'until'",
            ),
            (
                r#"[{"fault": "delay", "delay": "soon"}]"#,
                "fault 0: expected number at 0",
            ),
        ];
        for (body, complaint) in cases {
            let error = Fault::list_from_json(body).unwrap_err().to_string();
            assert!(error.starts_with(complaint), "{body}: {error}");
        }
    }

    #[test]
    fn faults_are_json() {
        let faults = vec![
            Fault::answer("POST", "/v3/apps", 429)
                .retry_after(Duration::from_secs(1))
                .skip(1)
                .times(2),
            Fault::failed_job()
                .of("app.delete")
                .by("DELETE", "/v3/apps/:guid")
                .error(10001, "UnknownError", "no"),
            Fault::delay("*", "*", Duration::from_millis(1500)).probability(0.5),
        ];
        let json = serde_json::to_string(&faults).unwrap();
        assert_eq!(Fault::list_from_json(&json).unwrap(), faults);
    }
}

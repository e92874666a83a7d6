//! Things that go wrong on purpose.
//!
//! A [`Fault`] says what it waits for, how many of those it lets pass, how many
//! it then spoils, and how. Rules are counted, never random, so that a run can
//! be repeated exactly.

use std::time::Duration;

use crate::error::CcError;
use crate::http::Response;

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
/// // Every staging of the app `proxy-0` fails.
/// Fault::failed_staging().of("proxy-0");
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    trigger: Trigger,
    only: Option<String>,
    skip: u64,
    times: Option<u64>,
    error: CcError,
    retry_after: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Trigger {
    Request { method: String, path: String },
    Staging,
    DropletCopy,
    Instances,
    Task,
    Job,
}

impl Fault {
    /// Answers requests with a status instead of processing them. In `path`, a
    /// segment that starts with `:` stands for any one segment and a last `*`
    /// for whatever follows: `/v3/apps/:guid`, `/v3/*`. The method `*` is any.
    ///
    /// The error is the Cloud Controller's usual one for that status; see
    /// [`Fault::error`].
    pub fn answer(method: &str, path: &str, status: u16) -> Self {
        let (code, title, detail) = match status {
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
        };
        let trigger = Trigger::Request {
            method: method.to_uppercase(),
            path: path.into(),
        };
        Self::of_trigger(trigger, CcError::new(status, code, title, detail))
    }

    /// Fails the staging of packages: no buildpack feels responsible.
    pub fn failed_staging() -> Self {
        Self::of_trigger(
            Trigger::Staging,
            CcError::new(
                400,
                170_003,
                "NoAppDetectedError",
                "An app was not successfully detected by any available buildpack",
            ),
        )
    }

    /// Fails the copying of droplets: the copy becomes `FAILED`.
    pub fn failed_copy() -> Self {
        Self::of_trigger(
            Trigger::DropletCopy,
            CcError::new(
                500,
                150_007,
                "BlobstoreError",
                "Failed to perform blobstore operation after three retries.",
            ),
        )
    }

    /// Lets the instances of apps crash: what is started by starting or
    /// restarting an app, or by a deployment, exits once it would run, and is
    /// `CRASHED` from then on.
    pub fn crashing_instances() -> Self {
        Self::of_trigger(
            Trigger::Instances,
            CcError::new(
                500,
                220_001,
                "CF-InstancesError",
                "Instances error: Exited with status 1",
            ),
        )
    }

    /// Fails tasks, once they have run.
    pub fn failed_task() -> Self {
        Self::of_trigger(
            Trigger::Task,
            CcError::new(500, 10001, "UnknownError", "Exited with status 1"),
        )
    }

    /// Fails jobs, which then change nothing.
    pub fn failed_job() -> Self {
        Self::of_trigger(
            Trigger::Job,
            CcError::new(500, 10001, "UnknownError", "An unknown error occurred."),
        )
    }

    fn of_trigger(trigger: Trigger, error: CcError) -> Self {
        Self {
            trigger,
            only: None,
            skip: 0,
            times: None,
            error,
            retry_after: None,
        }
    }

    /// Restricts a failed staging, copy or task, or crashing instances, to the
    /// app of that name (of a copy: the destination), and a failed job to that
    /// operation (`app.delete`).
    #[must_use]
    pub fn of(mut self, name: &str) -> Self {
        self.only = Some(name.into());
        self
    }

    /// Lets the first `count` pass.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Stops after `count`; without it, a fault lasts until it is removed.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Sets the error that is reported, `title` with its `CF-`.
    #[must_use]
    pub fn error(mut self, code: u32, title: &str, detail: &str) -> Self {
        self.error = CcError::new(self.error.status, code, title, detail);
        self
    }

    /// Adds a `Retry-After` header, in whole seconds, to an answer.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

/// The faults in force, and how often each was met.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan(Vec<(Fault, u64)>);

impl FaultPlan {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self(faults.into_iter().map(|fault| (fault, 0)).collect())
    }

    /// The answer that a request gets instead of being processed.
    pub(crate) fn answer(&mut self, method: &str, path: &str) -> Option<Response> {
        let fault = self.strike(|fault| match &fault.trigger {
            Trigger::Request {
                method: only,
                path: pattern,
            } => (only == "*" || only == method) && matches_path(pattern, path),
            _ => false,
        })?;
        let body = if path.starts_with("/v2/") {
            fault.error.v2_body()
        } else {
            fault.error.body()
        };
        let response = Response::json(fault.error.status, &body);
        Some(match fault.retry_after {
            Some(after) => response.with_header("Retry-After", after.as_secs().to_string()),
            None => response,
        })
    }

    /// The error that staging the app's package ends with.
    pub(crate) fn staging(&mut self, app: &str) -> Option<String> {
        self.named(&Trigger::Staging, app)
            .and_then(|error| error.staging_text())
    }

    /// The error that copying a droplet to the app ends with.
    pub(crate) fn copy(&mut self, app: &str) -> Option<String> {
        self.named(&Trigger::DropletCopy, app)
            .and_then(|error| error.staging_text())
    }

    /// Whether what is started of the app crashes.
    pub(crate) fn crashes(&mut self, app: &str) -> bool {
        self.named(&Trigger::Instances, app).is_some()
    }

    /// Why a task of the app fails.
    pub(crate) fn task(&mut self, app: &str) -> Option<String> {
        let error = self.named(&Trigger::Task, app)?;
        error.causes.first().map(|cause| cause.detail.clone())
    }

    /// The error that a job ends with.
    pub(crate) fn job(&mut self, operation: &str) -> Option<CcError> {
        self.named(&Trigger::Job, operation)
    }

    fn named(&mut self, trigger: &Trigger, name: &str) -> Option<CcError> {
        let fault = self.strike(|fault| {
            fault.trigger == *trigger && fault.only.as_ref().is_none_or(|only| only == name)
        })?;
        Some(fault.error.clone())
    }

    /// Counts an event for every fault that waits for it; the first that is
    /// due spoils it.
    fn strike(&mut self, meets: impl Fn(&Fault) -> bool) -> Option<&Fault> {
        let mut due = None;
        for (fault, met) in &mut self.0 {
            if !meets(fault) {
                continue;
            }
            *met += 1;
            let last = fault.times.map(|times| fault.skip.saturating_add(times));
            if due.is_none() && *met > fault.skip && last.is_none_or(|last| *met <= last) {
                due = Some(&*fault);
            }
        }
        due
    }
}

fn matches_path(pattern: &str, path: &str) -> bool {
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

    #[test]
    fn path_patterns() {
        assert!(matches_path("/v3/apps/:guid", "/v3/apps/1"));
        assert!(!matches_path("/v3/apps/:guid", "/v3/apps"));
        assert!(!matches_path("/v3/apps/:guid", "/v3/apps/1/env"));
        assert!(matches_path("/v3/*", "/v3/apps/1/env"));
        assert!(!matches_path("/v3/*", "/v2/apps"));
    }

    #[test]
    fn a_fault_strikes_its_window_only() {
        let fault = Fault::answer("POST", "/v3/apps", 503).skip(1).times(2);
        let mut plan = FaultPlan::new(vec![fault]);
        let mut struck = || plan.answer("POST", "/v3/apps").is_some();
        assert_eq!(
            [struck(), struck(), struck(), struck()],
            [false, true, true, false]
        );
        assert!(plan.answer("GET", "/v3/apps").is_none());
    }

    #[test]
    fn named_faults_strike_their_app() {
        let mut plan = FaultPlan::new(vec![Fault::failed_staging().of("a")]);
        assert_eq!(plan.staging("b"), None);
        assert_eq!(
            plan.staging("a").as_deref(),
            Some(
                "NoAppDetectedError - An app was not successfully detected by any available buildpack"
            )
        );
        assert_eq!(plan.copy("a"), None);
    }
}

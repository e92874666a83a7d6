//! The current faults: decides which of them apply, and counts how often.

use std::time::Duration;

use serde::Serialize;

use super::{Effect, Fault};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::data_plane::{AppFault, AppFaults, AppRequest};
use crate::world::clock::Timestamp;
use crate::world::error::Failure;
use crate::world::failures::Failures;
use crate::world::random::Random;

/// A current fault with its counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FaultCount {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// The number of events that matched the fault.
    pub matched: u64,
    /// The number of events that the fault was applied to.
    pub applied: u64,
}

impl FaultCount {
    /// The expectation, if it is not met.
    fn unmet(&self) -> Option<String> {
        let Self {
            fault,
            matched,
            applied,
        } = self;
        let expected = fault.expected.filter(|expected| expected != applied)?;
        let name = serde_json::to_string(fault).unwrap_or_default();
        Some(format!(
            "{name} was expected to be applied {expected} times, and was applied {applied} times \
             (matched {matched} times)"
        ))
    }
}

/// The effect of a fault on a request.
#[derive(Debug)]
pub(crate) struct AppliedFault {
    pub(crate) effect: Effect,
    pub(crate) delay: Duration,
    /// The response that replaces the processing of the request.
    pub(crate) answer: Option<Response>,
}

/// The current faults with their counts, and the current request.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    rules: Vec<FaultCount>,
    /// The unmet expectations of earlier faults.
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

    /// Replaces all faults.
    pub(crate) fn set(&mut self, faults: Vec<Fault>, now: Timestamp) {
        let rule = |fault| FaultCount {
            fault,
            matched: 0,
            applied: 0,
        };
        self.unmet = self.unmet();
        self.rules = faults.into_iter().map(rule).collect();
        self.since = now;
    }

    /// Descriptions of unmet expectations.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let current = self.rules.iter().filter_map(FaultCount::unmet);
        self.unmet.iter().cloned().chain(current).collect()
    }

    pub(crate) fn rules(&self) -> &[FaultCount] {
        &self.rules
    }

    /// Starts a request, and returns the effect of faults on it.
    pub(crate) fn begin(
        &mut self,
        method: &str,
        path: &str,
        now: Timestamp,
    ) -> Option<AppliedFault> {
        if self.rules.is_empty() {
            return None;
        }
        self.now = now;
        method.clone_into(&mut self.method);
        path.clone_into(&mut self.path);
        let fault = self.apply(|fault| fault.fault.is_of_request())?;
        Some(AppliedFault {
            effect: fault.fault,
            delay: fault.delay.unwrap_or_default(),
            answer: (fault.fault == Effect::Answer).then(|| fault.response(path)),
        })
    }

    fn of_app(&mut self, effect: Effect, app: &str) -> Option<CcError> {
        let fault = self.apply(|fault| {
            fault.fault == effect && fault.app.as_ref().is_none_or(|only| only == app)
        })?;
        Some(fault.reported_error())
    }

    /// Counts an event for every fault that it matches in this request. Returns the first
    /// one that is due.
    fn apply(&mut self, matches: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let passed = self.now.since(self.since);
        let mut due: Option<Fault> = None;
        for FaultCount {
            fault,
            matched,
            applied,
        } in &mut self.rules
        {
            let matches = matches(fault)
                && fault.admits_request(&self.method, &self.path)
                && fault.is_in_window(passed);
            if !matches {
                continue;
            }
            *matched += 1;
            let spent = fault.times.is_some_and(|times| *applied >= times);
            let other = fault.nth.is_some_and(|nth| *matched != nth);
            if due.is_some() || *matched <= fault.skip || spent || other {
                continue;
            }
            let probability = fault.probability.unwrap_or(1.0);
            if probability >= 1.0 || self.random.happens(probability) {
                *applied += 1;
                due = Some(fault.clone());
            }
        }
        due
    }
}

/// The current faults, applied to the traffic of apps at one time.
#[derive(Debug)]
pub(crate) struct TrafficFaults<'p> {
    plan: &'p mut FaultPlan,
    now: Timestamp,
}

impl FaultPlan {
    pub(crate) fn of_traffic(&mut self, now: Timestamp) -> TrafficFaults<'_> {
        TrafficFaults { plan: self, now }
    }
}

impl AppFaults for TrafficFaults<'_> {
    fn apply(&mut self, fault: AppFault, app: &str, request: &AppRequest<'_>) -> Option<Duration> {
        let plan = &mut *self.plan;
        if plan.rules.is_empty() {
            return None;
        }
        plan.now = self.now;
        request.method.clone_into(&mut plan.method);
        request.path.clone_into(&mut plan.path);
        let effect = match fault {
            AppFault::Unreachable => Effect::Unreachable,
            AppFault::Unregistered => Effect::Unregistered,
            AppFault::Slow => Effect::Slow,
        };
        let applied = plan.apply(|fault| {
            fault.fault == effect && fault.app.as_ref().is_none_or(|only| only == app)
        })?;
        Some(applied.delay.unwrap_or_default())
    }
}

impl Failures for FaultPlan {
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
        let fault = self.apply(|fault| {
            fault.fault == Effect::FailedJob
                && fault
                    .operation
                    .as_ref()
                    .is_none_or(|only| only == operation)
        })?;
        Some(fault.reported_error().into())
    }
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
    fn a_fault_applies_the_requested_number_of_times() {
        let fault = Fault::answer("post", "/v3/apps", 503).skip(1).times(2);
        let (mut plan, now) = plan(vec![fault]);
        let mut is_applied = || plan.begin("POST", "/v3/apps", now).is_some();
        assert_eq!(
            [is_applied(), is_applied(), is_applied(), is_applied()],
            [false, true, true, false]
        );
        assert!(plan.begin("GET", "/v3/apps", now).is_none());
    }

    #[test]
    fn a_window_counts_from_when_the_fault_was_set() {
        let second = Duration::from_secs(1);
        let fault = Fault::drop_before("*", "*").between(second, 2 * second);
        let (mut plan, now) = plan(vec![fault]);
        let applied: Vec<bool> = [0, 1, 2]
            .iter()
            .map(|count| plan.begin("GET", "/", now.plus(second * *count)).is_some())
            .collect();
        assert_eq!(applied, [false, true, false]);
    }

    #[test]
    fn probabilities_repeat_with_the_seed() {
        let applied = || {
            let (mut plan, now) = plan(vec![Fault::drop_after("*", "*").probability(0.5)]);
            (0..64)
                .map(|_| plan.begin("GET", "/", now).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(applied(), applied());
        assert!(applied().contains(&true) && applied().contains(&false));
    }

    #[test]
    fn named_faults_apply_to_their_app() {
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
}

//! Describes the end of a run for event sinks: every app, and other resources that
//! failed.

use std::collections::HashMap;
use std::sync::Arc;

use super::failure::Failure;
use super::outcome::{AppOutcome, AppResult, Outcome};
use super::target::Target;
use crate::events::{ResourceFailure, ResourceResult};

/// The step of an app that did not converge although none of its steps failed.
const NO_STEP: &str = "converging";

/// All apps of an outcome, and the other resources that failed.
pub(super) fn resources(outcome: &Outcome) -> Arc<[ResourceResult]> {
    let failures: HashMap<&Target, &Failure> = outcome
        .failures
        .iter()
        .map(|failure| (&failure.target, failure))
        .collect();
    let apps = outcome.apps.iter().map(|app| app_result(app, &failures));
    let others = outcome.failures.iter().filter(|it| !it.target.is_app());
    let others = others.map(|failure| ResourceResult {
        target: failure.target.to_string(),
        place: String::new(),
        failure: Some(failure_of(failure)),
    });
    apps.chain(others).collect()
}

fn app_result(app: &AppOutcome, failures: &HashMap<&Target, &Failure>) -> ResourceResult {
    let AppOutcome {
        name, org, space, ..
    } = app;
    let target = Target::App {
        org: org.clone(),
        space: space.clone(),
        name: name.clone(),
    };
    let failure = match &app.result {
        AppResult::Failed { reason, .. } => Some(match failures.get(&target) {
            Some(failure) => failure_of(failure),
            None => ResourceFailure {
                step: NO_STEP.to_owned(),
                cause: reason.clone(),
                request_id: None,
            },
        }),
        _ => None,
    };
    ResourceResult {
        target: target.to_string(),
        place: format!("{org}/{space}"),
        failure,
    }
}

fn failure_of(failure: &Failure) -> ResourceFailure {
    ResourceFailure {
        step: failure.step.clone(),
        cause: failure.error.cause(),
        request_id: failure.error.request_id().map(str::to_owned),
    }
}

//! How a run ended: what became of every app, what failed, and what still
//! differs from the desired state.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::plan::{Action, Plan};
use super::target::Target;
use super::verify::Drift;
use crate::capi::error::Error;
use crate::events::StepContext;

/// How a convergence ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// Every app that the run was about: the desired ones, and those that it
    /// was to delete.
    pub apps: Vec<AppOutcome>,
    /// The steps that failed.
    pub failures: Vec<Failure>,
    /// What differs from the desired state at the end.
    pub drift: Vec<Drift>,
    /// Whether the run was interrupted before all was done.
    pub interrupted: bool,
}

impl Outcome {
    /// Whether the foundation has the desired state.
    pub fn is_converged(&self) -> bool {
        self.failures.is_empty() && self.drift.is_empty() && !self.interrupted
    }

    /// How many apps were created, changed or deleted.
    pub fn changed(&self) -> usize {
        self.apps.len() - self.unchanged() - self.failed()
    }

    /// How many apps were up to date before the run.
    pub fn unchanged(&self) -> usize {
        self.count(|result| *result == AppResult::Unchanged)
    }

    /// How many apps did not converge.
    pub fn failed(&self) -> usize {
        self.count(|result| matches!(result, AppResult::Failed { .. }))
    }

    fn count(&self, is_counted: impl Fn(&AppResult) -> bool) -> usize {
        let apps = self.apps.iter();
        apps.filter(|app| is_counted(&app.result)).count()
    }
}

/// What became of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AppOutcome {
    /// The app's name.
    pub name: String,
    /// The name of the app's org.
    pub org: String,
    /// The name of the app's space.
    pub space: String,
    /// The app's GUID; none where it does not exist.
    pub guid: Option<String>,
    /// The addresses of the app's desired routes, without a scheme.
    pub urls: Vec<String>,
    /// What was done.
    pub result: AppResult,
}

impl AppOutcome {
    /// What became of an app, of which no GUID or address is known.
    pub(crate) fn new(name: &str, org: &str, space: &str, result: AppResult) -> Self {
        Self {
            name: name.to_owned(),
            org: org.to_owned(),
            space: space.to_owned(),
            guid: None,
            urls: Vec::new(),
            result,
        }
    }
}

/// What a run did to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AppResult {
    /// The app was created.
    Created,
    /// The app existed and was changed.
    Changed,
    /// The app was deleted.
    Deleted,
    /// The app was up to date.
    Unchanged,
    /// The app did not converge.
    Failed {
        /// Why, in one line.
        reason: String,
    },
}

/// A step that failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// What the step was for.
    pub target: Target,
    /// What the step does, such as `copying the droplet`.
    pub step: String,
    /// Why it failed.
    pub error: Error,
}

impl Failure {
    /// Whether another failed in the same step for the same reason.
    pub fn is_like(&self, other: &Self) -> bool {
        self.step == other.step && self.error.is_like(&other.error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.error.cause();
        write!(f, "{}: {} failed: {cause}", self.target, self.step)
    }
}

/// Errors have no identity of their own: two are the same where their messages are.
impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.target.clone(), it.step.clone(), it.error.to_string());
        of(self) == of(other)
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Failure", 3)?;
        fields.serialize_field("target", &self.target)?;
        fields.serialize_field("step", &self.step)?;
        fields.serialize_field("error", &self.error)?;
        fields.end()
    }
}

/// What is known of the apps while a run goes on.
#[derive(Default)]
pub(super) struct Tally {
    apps: BTreeMap<Target, Record>,
}

struct Record {
    /// What the run does to the app, all rounds together.
    action: Action,
    /// Whether all of it is done.
    is_done: bool,
}

impl Tally {
    /// Takes in what the plan of a round is about.
    pub(super) fn add(&mut self, plan: &Plan) {
        for app in plan.apps() {
            let record = self.apps.entry(app.target.clone()).or_insert(Record {
                action: Action::Unchanged,
                is_done: true,
            });
            if app.action != Action::Unchanged {
                record.is_done = false;
                if record.action == Action::Unchanged {
                    record.action = app.action;
                }
            }
        }
    }

    /// Notes that every step was taken of these apps.
    pub(super) fn finish(&mut self, targets: &[Target]) {
        for target in targets {
            if let Some(record) = self.apps.get_mut(target) {
                record.is_done = true;
            }
        }
    }

    /// What became of the apps, without what only an observation shows.
    pub(super) fn outcomes(
        self,
        failures: &[Failure],
        drift: &[Drift],
        otherwise: &str,
    ) -> Vec<AppOutcome> {
        let mut reasons: HashMap<&Target, String> = HashMap::new();
        for drift in drift {
            let reason = drift.difference.to_string();
            reasons.entry(&drift.target).or_insert(reason);
        }
        for failure in failures {
            let reason = format!("{}: {}", failure.step, failure.error);
            reasons.insert(&failure.target, reason);
        }
        let outcome = |(target, record): (Target, Record)| {
            let reason = reasons.get(&target).cloned();
            let reason = reason.or_else(|| (!record.is_done).then(|| otherwise.to_owned()));
            let result = match (reason, record.action) {
                (Some(reason), _) => AppResult::Failed { reason },
                (None, Action::Create) => AppResult::Created,
                (None, Action::Change) => AppResult::Changed,
                (None, Action::Delete) => AppResult::Deleted,
                (None, Action::Unchanged) => AppResult::Unchanged,
            };
            let Target::App { org, space, name } = target else {
                return None;
            };
            Some(AppOutcome::new(&name, &org, &space, result))
        };
        self.apps.into_iter().filter_map(outcome).collect()
    }
}

impl Failure {
    pub(super) fn new(target: &Target, subject: &StepContext, error: Error) -> Self {
        Self {
            target: target.clone(),
            step: subject.step.clone(),
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::error::CcError;

    fn app(name: &str) -> Target {
        Target::App {
            org: "o".to_owned(),
            space: "s".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn counts_of_apps_add_up() {
        let mut tally = Tally::default();
        for (name, action, is_done) in [
            ("created", Action::Create, true),
            ("failed", Action::Change, false),
            ("deleted", Action::Delete, true),
            ("unchanged", Action::Unchanged, true),
        ] {
            tally.apps.insert(app(name), Record { action, is_done });
        }
        let outcome = Outcome {
            apps: tally.outcomes(&[], &[], "it was not begun"),
            ..Outcome::default()
        };
        assert_eq!(
            (outcome.changed(), outcome.unchanged(), outcome.failed()),
            (2, 1, 1)
        );
        insta::assert_json_snapshot!(outcome.apps[2].result, @r#"
        {
          "status": "failed",
          "reason": "it was not begun"
        }
        "#);
    }

    #[test]
    fn a_failure_serializes_with_what_the_cloud_controller_said() {
        let failure = Failure {
            target: app("a"),
            step: "creating the app".to_owned(),
            error: Error::Refused {
                method: "POST".to_owned(),
                path: "/v3/apps".to_owned(),
                status: 422,
                errors: vec![CcError {
                    code: 10008,
                    title: "CF-UnprocessableEntity".to_owned(),
                    detail: "no".to_owned(),
                }],
                request_id: Some("id".to_owned()),
                retry_after: None,
            },
        };
        insta::assert_json_snapshot!(failure);
    }
}

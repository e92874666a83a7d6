//! The outcome of a run: the result of every app, the failed steps, and the remaining
//! drift.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::plan::{Action, Plan};
use super::target::Target;
use super::verify::Drift;
use crate::capi::error::Error;
use crate::events::StepContext;

/// The result of a convergence.
///
/// The serialized form contains the failures grouped by cause, and for each group the
/// error of its first target.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// Every desired app, and every app that the run had to delete.
    pub apps: Vec<AppOutcome>,
    /// The steps that failed.
    pub failures: Vec<Failure>,
    /// The drift at the end of the run.
    pub drift: Vec<Drift>,
    /// Whether the run was interrupted before it was complete.
    pub interrupted: bool,
}

impl Outcome {
    /// Whether the foundation has the desired state.
    pub fn is_converged(&self) -> bool {
        self.failures.is_empty() && self.drift.is_empty() && !self.interrupted
    }

    /// The number of apps that were created, changed or deleted.
    pub fn changed(&self) -> usize {
        self.apps.len() - self.unchanged() - self.failed()
    }

    /// The number of apps that were up to date before the run.
    pub fn unchanged(&self) -> usize {
        self.count(|result| *result == AppResult::Unchanged)
    }

    /// The number of apps that did not converge.
    pub fn failed(&self) -> usize {
        self.count(|result| matches!(result, AppResult::Failed { .. }))
    }

    fn count(&self, is_counted: impl Fn(&AppResult) -> bool) -> usize {
        let apps = self.apps.iter();
        apps.filter(|app| is_counted(&app.result)).count()
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let groups = self.failure_groups();
        let failures: Vec<_> = groups.iter().map(|it| self.with_error(it)).collect();
        let mut fields = serializer.serialize_struct("Outcome", 4)?;
        fields.serialize_field("apps", &self.apps)?;
        fields.serialize_field("failures", &failures)?;
        fields.serialize_field("drift", &self.drift)?;
        fields.serialize_field("interrupted", &self.interrupted)?;
        fields.end()
    }
}

/// A group of failures in its serialized form.
#[derive(Serialize)]
struct GroupWithError<'o> {
    #[serde(flatten)]
    group: &'o FailureGroup,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'o Error>,
}

impl Outcome {
    fn with_error<'o>(&'o self, group: &'o FailureGroup) -> GroupWithError<'o> {
        let mut failures = self.failures.iter();
        let first = failures.find(|it| Some(&it.target) == group.targets.first());
        GroupWithError {
            group,
            error: first.map(|failure| &failure.error),
        }
    }
}

/// The result of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AppOutcome {
    /// The app's name.
    pub name: String,
    /// The name of the app's org.
    pub org: String,
    /// The name of the app's space.
    pub space: String,
    /// The app's GUID. `None` if it does not exist.
    pub guid: Option<String>,
    /// The addresses of the app's desired routes, without a scheme.
    pub urls: Vec<String>,
    /// The result.
    pub result: AppResult,
}

impl AppOutcome {
    /// The app as a target.
    fn target(&self) -> Target {
        Target::App {
            org: self.org.clone(),
            space: self.space.clone(),
            name: self.name.clone(),
        }
    }

    /// The result of an app without a known GUID or URL.
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

/// The result of a run for an app.
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
        /// The reason in one line.
        reason: String,
        /// The resource whose failure kept the app from converging, such as the app whose
        /// droplet it should have received.
        #[serde(skip_serializing_if = "Option::is_none")]
        blocked_by: Option<Target>,
    },
}

/// A step that failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The resource that the step was for.
    pub target: Target,
    /// The step, such as `copying the droplet`.
    pub step: String,
    /// The cause.
    pub error: Error,
    /// The last lines of the log of an app whose instances crashed.
    pub log: Vec<String>,
}

/// Apps and other resources that failed for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailureGroup {
    /// The failed apps and resources. Each is in exactly one group.
    pub targets: Vec<Target>,
    /// The step of the first target that failed.
    pub step: String,
    /// The first target's error.
    pub cause: String,
    /// The `X-Vcap-Request-Id` of the first target's request, which identifies it in the
    /// foundation's logs.
    pub request_id: Option<String>,
    /// The last lines of the log of the first target that has any.
    pub log: Vec<String>,
    /// The apps that did not converge because of these failures.
    pub blocked: Vec<Target>,
}

impl Outcome {
    /// The failures grouped by cause, the most frequent last. Every app that did not
    /// converge is in one of the groups: as a target, or as blocked.
    pub fn failure_groups(&self) -> Vec<FailureGroup> {
        let mut groups: Vec<(String, FailureGroup)> = Vec::new();
        let mut grouped: HashSet<&Target> = HashSet::new();
        for failure in &self.failures {
            if !grouped.insert(&failure.target) {
                continue;
            }
            let key = failure.cause_key();
            match groups.iter_mut().find(|(of, _)| *of == key) {
                Some((_, group)) => group.add(failure),
                None => groups.push((key, FailureGroup::of(failure))),
            }
        }
        let failed = self.apps.iter().filter_map(|app| match &app.result {
            AppResult::Failed { reason, blocked_by } => Some((app.target(), reason, blocked_by)),
            _ => None,
        });
        for (target, reason, blocked_by) in failed {
            if self.failures.iter().any(|failure| failure.target == target) {
                continue;
            }
            let of_blocker = blocked_by.as_ref().and_then(|blocker| {
                let mut groups = groups.iter_mut();
                groups.find(|(_, group)| group.targets.contains(blocker))
            });
            if let Some((_, group)) = of_blocker {
                group.blocked.push(target);
                continue;
            }
            match groups.iter_mut().find(|(of, _)| of == reason) {
                Some((_, group)) => group.targets.push(target),
                None => groups.push((reason.clone(), FailureGroup::unexplained(target, reason))),
            }
        }
        groups.sort_by_key(|(_, group)| group.targets.len() + group.blocked.len());
        groups.into_iter().map(|(_, group)| group).collect()
    }
}

impl FailureGroup {
    fn of(failure: &Failure) -> Self {
        Self {
            targets: vec![failure.target.clone()],
            step: failure.step.clone(),
            cause: failure.error.cause(),
            request_id: failure.error.request_id().map(str::to_owned),
            log: failure.log.clone(),
            blocked: Vec::new(),
        }
    }

    /// The group of an app without a failure.
    fn unexplained(target: Target, reason: &str) -> Self {
        Self {
            targets: vec![target],
            step: "converging".to_owned(),
            cause: reason.to_owned(),
            request_id: None,
            log: Vec::new(),
            blocked: Vec::new(),
        }
    }

    fn add(&mut self, failure: &Failure) {
        self.targets.push(failure.target.clone());
        if self.log.is_empty() {
            self.log.clone_from(&failure.log);
        }
    }
}

/// Displays one line: the first target and the number of others, the step and the cause.
impl fmt::Display for FailureGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            targets,
            step,
            cause,
            ..
        } = self;
        if let Some(first) = targets.first() {
            write!(f, "{first}")?;
        }
        if targets.len() > 1 {
            write!(f, " and {} more", targets.len() - 1)?;
        }
        write!(f, ": {step} failed: {cause}")
    }
}

impl Failure {
    /// Returns the same text for failures with the same cause: the step and the error,
    /// without names and GUIDs. For lost connections, the step does not matter.
    fn cause_key(&self) -> String {
        let of_connection = match &self.error {
            Error::Unreachable { url, .. } => Some(format!("cannot reach {url}")),
            Error::NoResponse { .. } => Some("no response".to_owned()),
            _ => None,
        };
        of_connection.unwrap_or_else(|| {
            // If there are messages of the Cloud Controller, only these are compared,
            // because the URLs differ between resources.
            let errors = self.error.cc_errors().iter().map(ToString::to_string);
            let errors: Vec<String> = errors.collect();
            let error = match errors.is_empty() {
                true => self.error.without_request_id(),
                false => errors.join("; "),
            };
            let words = error.split_whitespace().map(|word| {
                let word = word.replace(self.target.name(), "NAME");
                let parts = word.split('/');
                let parts = parts.map(|part| if is_guid(part) { "GUID" } else { part });
                parts.collect::<Vec<_>>().join("/")
            });
            let words: Vec<String> = words.collect();
            format!("{}: {}", self.step, words.join(" "))
        })
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.error.cause();
        write!(f, "{}: {} failed: {cause}", self.target, self.step)
    }
}

/// Failures are equal if their messages are equal.
impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.target.clone(), it.step.clone(), it.error.to_string());
        of(self) == of(other)
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Failure", 4)?;
        fields.serialize_field("target", &self.target)?;
        fields.serialize_field("step", &self.step)?;
        fields.serialize_field("error", &self.error)?;
        match self.log.as_slice() {
            [] => fields.skip_field("log")?,
            log => fields.serialize_field("log", log)?,
        }
        fields.end()
    }
}

/// The state of the apps during a run.
#[derive(Default)]
pub(super) struct AppRecords {
    apps: BTreeMap<Target, Record>,
}

struct Record {
    /// The combined action of all rounds.
    action: Action,
    /// Whether the action is complete.
    is_done: bool,
    /// The resource that blocked the app in the last round.
    blocked_by: Option<Target>,
}

impl AppRecords {
    /// Adds the apps of a round's plan.
    pub(super) fn add(&mut self, plan: &Plan) {
        for app in plan.apps() {
            let record = self.apps.entry(app.target.clone()).or_insert(Record {
                action: Action::Unchanged,
                is_done: true,
                blocked_by: None,
            });
            if app.action == Action::Unchanged {
                record.blocked_by = None;
            } else {
                record.is_done = false;
                if record.action == Action::Unchanged {
                    record.action = app.action;
                }
            }
        }
    }

    /// Records the apps with all steps carried out, and those that were blocked.
    pub(super) fn finish(&mut self, done: &[Target], blocked: Vec<(Target, Target)>) {
        for record in self.apps.values_mut() {
            record.blocked_by = None;
        }
        for target in done {
            if let Some(record) = self.apps.get_mut(target) {
                record.is_done = true;
            }
        }
        for (target, blocker) in blocked {
            if let Some(record) = self.apps.get_mut(&target) {
                record.blocked_by = Some(blocker);
            }
        }
    }

    /// The results of the apps, without GUIDs and URLs.
    pub(super) fn outcomes(
        self,
        failures: &[Failure],
        drift: &[Drift],
        otherwise: &str,
    ) -> Vec<AppOutcome> {
        let mut drifting: HashMap<&Target, String> = HashMap::new();
        for drift in drift {
            let reason = drift.difference.to_string();
            drifting.entry(&drift.target).or_insert(reason);
        }
        let mut failed: HashMap<&Target, String> = HashMap::new();
        for failure in failures {
            let reason = format!("{} failed: {}", failure.step, failure.error.cause());
            failed.entry(&failure.target).or_insert(reason);
        }
        let outcome = |(target, record): (Target, Record)| {
            let own = failed.get(&target).cloned();
            let blocked_by = record
                .blocked_by
                .filter(|_| own.is_none() && !record.is_done);
            let reason = own.or_else(|| Some(format!("{} failed", blocked_by.as_ref()?)));
            let reason = reason.or_else(|| drifting.get(&target).cloned());
            let reason = reason.or_else(|| (!record.is_done).then(|| otherwise.to_owned()));
            let result = match (reason, record.action) {
                (Some(reason), _) => AppResult::Failed { reason, blocked_by },
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
        Self::at(target.clone(), &subject.step, error)
    }

    /// A failure in a step.
    pub(super) fn at(target: Target, step: &str, error: Error) -> Self {
        Self {
            target,
            step: step.to_owned(),
            error,
            log: Vec::new(),
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
        let mut tally = AppRecords::default();
        for (name, action, is_done) in [
            ("created", Action::Create, true),
            ("failed", Action::Change, false),
            ("deleted", Action::Delete, true),
            ("unchanged", Action::Unchanged, true),
        ] {
            let record = Record {
                action,
                is_done,
                blocked_by: None,
            };
            tally.apps.insert(app(name), record);
        }
        let outcome = Outcome {
            apps: tally.outcomes(&[], &[], "not started"),
            ..Outcome::default()
        };
        assert_eq!(
            (outcome.changed(), outcome.unchanged(), outcome.failed()),
            (2, 1, 1)
        );
        insta::assert_json_snapshot!(outcome.apps[2].result, @r#"
        {
          "status": "failed",
          "reason": "not started"
        }
        "#);
    }

    #[test]
    fn a_failure_serializes_with_the_cloud_controllers_errors() {
        let failure = Failure {
            target: app("a"),
            step: "creating the app".to_owned(),
            log: Vec::new(),
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

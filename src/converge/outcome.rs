//! The outcome of a run: the result of every app, the failed steps, and the remaining
//! drift.

use std::collections::HashSet;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::failure::{Failure, FailureGroup};
use super::target::Target;
use super::verify::Drift;
use crate::capi::error::Error;

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

//! Records the progress of each app during a run, and converts it to the apps' results.

use std::collections::{BTreeMap, HashMap};

use super::failure::Failure;
use super::outcome::{AppOutcome, AppResult};
use super::plan::{Action, Plan};
use super::target::Target;
use super::verify::Drift;

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

#[cfg(test)]
mod tests {
    use super::super::outcome::Outcome;
    use super::*;

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
}

//! Whether the foundation is as desired. Pure: a plan that is empty, all
//! instances running, and no app in the org that is not desired.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::plan::{Action, Plan};
use crate::capi::inventory::{App, Inventory};
use crate::desired::Desired;

/// Something that is not as desired.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// What, such as `app scale-tick-0`.
    pub what: String,
    /// In which way.
    pub how: String,
    /// Whether waiting may mend it: instances that do not run yet.
    pub may_pass: bool,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.how)
    }
}

/// All that is not as desired.
pub(crate) fn verify(desired: &Desired, observed: &Inventory, plan: &Plan) -> Vec<Mismatch> {
    let mut mismatches: Vec<Mismatch> = Vec::new();
    mismatches.extend(app_count(desired, observed));
    mismatches.extend(planned(plan));
    mismatches.extend(instances(desired, observed));
    mismatches
}

fn wrong(what: String, how: String) -> Mismatch {
    Mismatch {
        what,
        how,
        may_pass: false,
    }
}

fn app_count(desired: &Desired, observed: &Inventory) -> Option<Mismatch> {
    let (count, wanted) = (observed.apps.len(), desired.app_count());
    (count != wanted).then(|| {
        let mut how = format!("{count} apps, desired {wanted}");
        let strangers = strangers(desired, observed);
        if !strangers.is_empty() {
            how.push_str(&format!("; not desired: {}", strangers.join(", ")));
        }
        wrong(format!("org {}", desired.names.org), how)
    })
}

/// The apps of the org that are not desired, and not ours to delete.
fn strangers<'a>(desired: &Desired, observed: &'a Inventory) -> Vec<&'a str> {
    let space = observed.space.as_ref().map(|space| space.guid.as_str());
    let wanted: HashSet<&str> = desired
        .groups
        .iter()
        .flat_map(|group| group.apps.iter().map(String::as_str))
        .collect();
    let is_wanted = |app: &&App| {
        Some(app.space.as_str()) == space && (app.managed || wanted.contains(app.name.as_str()))
    };
    let apps = observed.apps.iter().filter(|app| !is_wanted(app));
    apps.map(|app| app.name.as_str()).collect()
}

fn planned(plan: &Plan) -> impl Iterator<Item = Mismatch> {
    plan.items().flat_map(|item| {
        let what = format!("{} {}", item.kind, item.name);
        match item.action {
            Action::Unchanged => Vec::new(),
            Action::Create => vec![wrong(what, "missing".to_owned())],
            Action::Delete => vec![wrong(what, "not desired".to_owned())],
            Action::Change => item
                .differences
                .iter()
                .map(|difference| {
                    let how = format!(
                        "{} is {}, desired {}",
                        difference.what, difference.old, difference.new
                    );
                    wrong(what.clone(), how)
                })
                .collect(),
        }
    })
}

/// Apps that are scaled and started as desired, and do not run so.
fn instances(desired: &Desired, observed: &Inventory) -> Vec<Mismatch> {
    let space = observed.space.as_ref().map(|space| space.guid.as_str());
    let apps: BTreeMap<&str, &App> = observed
        .apps
        .iter()
        .filter(|app| Some(app.space.as_str()) == space)
        .map(|app| (app.name.as_str(), app))
        .collect();
    let mut mismatches = Vec::new();
    for group in &desired.groups {
        for name in &group.apps {
            // Where it is not there, started and scaled as desired, the plan says so.
            let Some(app) = apps.get(name.as_str()).filter(|app| app.started) else {
                continue;
            };
            let Some(web) = &app.web else {
                mismatches.push(wrong(format!("app {name}"), "no web process".to_owned()));
                continue;
            };
            if web.instances != group.instances {
                continue;
            }
            let running = web.states.iter().filter(|it| *it == "RUNNING").count();
            if u32::try_from(running) == Ok(group.instances) {
                continue;
            }
            let how = format!(
                "{running} of {} instances running{}",
                group.instances,
                others(&web.states)
            );
            mismatches.push(Mismatch {
                what: format!("app {name}"),
                how,
                may_pass: true,
            });
        }
    }
    mismatches
}

/// The states of the instances that do not run, counted.
fn others(states: &[String]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states.iter().filter(|state| *state != "RUNNING") {
        *counts.entry(state).or_default() += 1;
    }
    if counts.is_empty() {
        return String::new();
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    format!(" ({})", counts.join(", "))
}

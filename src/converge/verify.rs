//! Whether the foundation has the desired state. Pure: the plan is empty, all
//! instances run, and the org has no other apps.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Serialize;

use super::plan::{Action, Change, Plan};
use super::target::Target;
use crate::capi::inventory::{App, Inventory};
use crate::desired::Desired;

/// A resource that differs from the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// The resource.
    pub target: Target,
    /// How it differs.
    pub difference: Difference,
    /// Whether waiting may remove it: instances that are still starting.
    pub is_transient: bool,
}

/// How a resource differs from the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    /// It does not exist.
    Missing,
    /// It exists, and is to be deleted.
    NotDesired,
    /// One of its properties differs.
    Property(Change),
    /// An org has another number of apps.
    AppCount {
        /// How many apps the org has.
        actual: usize,
        /// How many it should have.
        desired: usize,
        /// Its apps that cf-pusher does not manage.
        unmanaged: Vec<String>,
    },
    /// An app has no web process.
    NoWebProcess,
    /// Fewer or more instances of an app run than it should have.
    Instances {
        /// How many run.
        running: u32,
        /// How many should.
        desired: u32,
        /// The states of the others, and how many are in each.
        others: BTreeMap<String, u32>,
    },
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.target, self.difference)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::NotDesired => f.write_str("not desired"),
            Self::Property(Change { property, old, new }) => {
                write!(f, "{property} is {old}, desired {new}")
            }
            Self::AppCount {
                actual,
                desired,
                unmanaged,
            } => {
                write!(f, "{actual} apps, desired {desired}")?;
                if unmanaged.is_empty() {
                    return Ok(());
                }
                write!(f, "; unmanaged: {}", unmanaged.join(", "))
            }
            Self::NoWebProcess => f.write_str("no web process"),
            Self::Instances {
                running,
                desired,
                others,
            } => {
                write!(f, "{running} of {desired} instances running")?;
                if others.is_empty() {
                    return Ok(());
                }
                let others: Vec<String> = others
                    .iter()
                    .map(|(state, count)| format!("{count} {state}"))
                    .collect();
                write!(f, " ({})", others.join(", "))
            }
        }
    }
}

/// All that differs from the desired state.
pub(crate) fn verify(desired: &Desired, observed: &Inventory, plan: &Plan) -> Vec<Drift> {
    let mut drift: Vec<Drift> = Vec::new();
    drift.extend(app_count(desired, observed));
    drift.extend(planned(plan));
    drift.extend(instances(desired, observed));
    drift
}

fn drift(target: Target, difference: Difference) -> Drift {
    Drift {
        target,
        is_transient: matches!(difference, Difference::Instances { .. }),
        difference,
    }
}

fn app_count(desired: &Desired, observed: &Inventory) -> Option<Drift> {
    let (actual, wanted) = (observed.apps.len(), desired.app_count());
    let org = Target::Org {
        name: desired.names.org.clone(),
    };
    let difference = Difference::AppCount {
        actual,
        desired: wanted,
        unmanaged: unmanaged_apps(desired, observed),
    };
    (actual != wanted).then(|| drift(org, difference))
}

/// The apps of the org that are not desired, and not ours to delete.
fn unmanaged_apps(desired: &Desired, observed: &Inventory) -> Vec<String> {
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
    apps.map(|app| app.name.clone()).collect()
}

fn planned(plan: &Plan) -> impl Iterator<Item = Drift> {
    plan.resources.iter().flat_map(|resource| {
        let of = |difference| drift(resource.target.clone(), difference);
        match resource.action {
            Action::Unchanged => Vec::new(),
            Action::Create => vec![of(Difference::Missing)],
            Action::Delete => vec![of(Difference::NotDesired)],
            Action::Change => {
                let changes = resource.changes.iter().cloned();
                changes.map(Difference::Property).map(of).collect()
            }
        }
    })
}

/// Apps that are scaled and started as desired, and do not run so.
fn instances(desired: &Desired, observed: &Inventory) -> Vec<Drift> {
    let space = observed.space.as_ref().map(|space| space.guid.as_str());
    let apps: BTreeMap<&str, &App> = observed
        .apps
        .iter()
        .filter(|app| Some(app.space.as_str()) == space)
        .map(|app| (app.name.as_str(), app))
        .collect();
    let mut drifts = Vec::new();
    for group in &desired.groups {
        for name in &group.apps {
            // Where it does not exist, started and scaled, the plan says so.
            let Some(app) = apps.get(name.as_str()).filter(|app| app.started) else {
                continue;
            };
            let Some(web) = &app.web else {
                drifts.push(drift(desired.app(name), Difference::NoWebProcess));
                continue;
            };
            if web.instances != group.instances {
                continue;
            }
            let mut others: BTreeMap<String, u32> = BTreeMap::new();
            for state in &web.states {
                *others.entry(state.clone()).or_default() += 1;
            }
            let running = others.remove("RUNNING").unwrap_or_default();
            if running != group.instances {
                let difference = Difference::Instances {
                    running,
                    desired: group.instances,
                    others,
                };
                drifts.push(drift(desired.app(name), difference));
            }
        }
    }
    drifts
}

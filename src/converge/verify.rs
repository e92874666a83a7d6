//! Compares the foundation with the desired state, without I/O. The foundation is up to
//! date if the plan is empty, all instances run, and the desired spaces contain no other
//! apps.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use super::observe::App;
use super::observe::Observed;
use super::plan::{Action, Change, Plan};
use super::target::Target;
use crate::desired::{Desired, Group};

/// A resource that differs from the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// The resource.
    pub target: Target,
    /// The difference.
    pub difference: Difference,
    /// Whether the drift may disappear without a change, such as starting instances.
    pub is_transient: bool,
}

/// The difference between a resource and the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    /// It does not exist.
    Missing,
    /// It exists but should not.
    NotDesired,
    /// One of its properties differs.
    Property(Change),
    /// The number of apps in the desired spaces of an org differs.
    AppCount {
        /// The number of apps in the org.
        actual: usize,
        /// The desired number of apps.
        desired: usize,
        /// The apps that cf-pusher does not manage.
        unmanaged: Vec<String>,
    },
    /// An app has no web process.
    NoWebProcess,
    /// The number of running instances of an app differs.
    Instances {
        /// The number of running instances.
        running: u32,
        /// The desired number of running instances.
        desired: u32,
        /// The number of other instances by state.
        others: BTreeMap<String, u32>,
    },
}

impl Difference {
    /// Whether all instances of an app have crashed.
    pub(crate) fn is_crash(&self) -> bool {
        match self {
            Self::Instances {
                running: 0, others, ..
            } => others.len() == 1 && others.contains_key("CRASHED"),
            _ => false,
        }
    }
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

/// All drift from the desired state.
pub(crate) fn verify(desired: &Desired, observed: &Observed, plan: &Plan) -> Vec<Drift> {
    let mut drift: Vec<Drift> = Vec::new();
    drift.extend(app_counts(desired, observed));
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

/// The orgs with more or fewer apps than desired in the desired spaces. Other spaces of
/// an org may belong to someone else.
fn app_counts(desired: &Desired, observed: &Observed) -> Vec<Drift> {
    let orgs = desired.orgs().iter().zip(&observed.orgs).enumerate();
    let counts = orgs.filter_map(|(id, (org, found))| {
        let mut actual = 0;
        let mut wanted = 0;
        let mut unmanaged: Vec<String> = Vec::new();
        let spaces = desired.spaces().zip(&observed.spaces);
        for (placed, space) in spaces.filter(|(placed, _)| placed.org_id == id) {
            let groups = &placed.space.groups;
            wanted += groups.iter().map(Group::app_count).sum::<usize>();
            actual += space.apps.len();
            let named: HashSet<String> = groups.iter().flat_map(Group::app_names).collect();
            let others = space
                .apps
                .iter()
                .filter(|app| !app.ownership.is_of(desired.owner()) && !named.contains(&app.name));
            unmanaged.extend(others.map(|app| app.name.clone()));
        }
        let difference = Difference::AppCount {
            actual,
            desired: wanted,
            unmanaged,
        };
        let name = org.name.clone();
        (found.org.is_some() || wanted > 0)
            .then_some(())
            .filter(|()| actual != wanted)
            .map(|()| drift(Target::Org { name }, difference))
    });
    counts.collect()
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

/// Apps that are scaled and started, but whose instances do not all run.
fn instances(desired: &Desired, observed: &Observed) -> Vec<Drift> {
    let mut drifts = Vec::new();
    for (placed, space) in desired.spaces().zip(&observed.spaces) {
        let apps: HashMap<&str, &App> = space
            .apps
            .iter()
            .map(|app| (app.name.as_str(), app))
            .collect();
        let groups = placed.space.groups.iter();
        for group in groups.filter(|group| group.is_started()) {
            for name in group.app_names() {
                // The plan covers apps that do not exist, are stopped, or are not scaled.
                let Some(app) = apps.get(name.as_str()).filter(|app| app.started) else {
                    continue;
                };
                if let Some(difference) = instances_of(app, group.entry.instances()) {
                    let (org, space) = (placed.org.name.clone(), placed.space.name.clone());
                    drifts.push(drift(Target::App { org, space, name }, difference));
                }
            }
        }
    }
    drifts
}

/// The drift of a started app that has fewer running instances than `wanted`, or than its
/// scale.
fn instances_of(app: &App, wanted: Option<u32>) -> Option<Difference> {
    let Some(web) = &app.web else {
        return Some(Difference::NoWebProcess);
    };
    if wanted.is_some_and(|wanted| wanted != web.instances) {
        return None;
    }
    let mut others: BTreeMap<String, u32> = BTreeMap::new();
    for instance in &web.actual {
        *others.entry(instance.state.to_string()).or_default() += 1;
    }
    let running = others.remove("RUNNING").unwrap_or_default();
    (running != web.instances).then_some(Difference::Instances {
        running,
        desired: web.instances,
        others,
    })
}

//! Restricts a run to some groups of the desired state.

use std::collections::{HashMap, HashSet};

use super::ConvergeError;
use super::plan::{Plan, ResourcePlan, Role};
use super::target::Target;
use super::verify::{Difference, Drift};
use crate::desired::{Desired, PlacedGroup};

/// The placeholder for the number in the names of a group's apps.
const INDEX: &str = "{i}";

/// The groups of a run. Apps of other groups are not changed.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// The indexes of the groups.
    pub(super) groups: HashSet<usize>,
}

impl Selection {
    /// Selects the groups with these names.
    pub(super) fn of(desired: &Desired, names: &[String]) -> Result<Self, ConvergeError> {
        let mut groups = HashSet::new();
        for name in names {
            let named = desired
                .groups()
                .filter(|placed| is_named(placed, name, desired.owner()));
            let before = groups.len();
            groups.extend(named.map(|placed| placed.id));
            let is_known = groups.len() > before
                || desired
                    .groups()
                    .any(|placed| is_named(&placed, name, desired.owner()));
            if !is_known {
                let known = desired.groups();
                let known = known.map(|placed| short_name(&placed, desired.owner()).to_owned());
                return Err(ConvergeError::UnknownGroup {
                    group: name.clone(),
                    known: known.collect(),
                });
            }
        }
        Ok(Self { groups })
    }

    /// Removes apps of other groups from a plan. A prototype is kept if an app needs its
    /// new droplet.
    pub(super) fn keep_in_plan(&self, desired: &Desired, plan: &mut Plan) {
        let kept = plan.apps().filter(|app| self.has(desired, app));
        let awaited: HashSet<usize> = kept.filter_map(ResourcePlan::awaits).collect();
        let is_awaited = |resource: &ResourcePlan| {
            let group = resource.app.as_ref().and_then(|app| app.group);
            resource.role() == Some(Role::Prototype)
                && group.is_some_and(|group| awaited.contains(&group))
        };
        plan.resources
            .retain(|resource| self.has(desired, resource) || is_awaited(resource));
    }

    fn has(&self, desired: &Desired, resource: &ResourcePlan) -> bool {
        let Some(app) = &resource.app else {
            return true;
        };
        match app.group {
            Some(group) => self.groups.contains(&group),
            None => {
                let mut groups = desired.groups().filter(|it| it.space.id == app.space);
                groups.any(|it| self.groups.contains(&it.id) && may_have(&it, resource.name()))
            }
        }
    }

    /// Removes apps of other groups from the drift.
    pub(super) fn keep_in_drift(&self, desired: &Desired, plan: &Plan, drift: &mut Vec<Drift>) {
        let planned: HashMap<&Target, &ResourcePlan> =
            plan.apps().map(|app| (&app.target, app)).collect();
        drift.retain(|drift| match (&drift.target, &drift.difference) {
            (_, Difference::AppCount { .. }) => false,
            (Target::App { .. }, _) => planned
                .get(&drift.target)
                .is_some_and(|resource| self.has(desired, resource)),
            _ => true,
        });
    }
}

/// Whether a name selects a group. The name may omit the number and the owner's prefix.
fn is_named(placed: &PlacedGroup<'_>, name: &str, owner: &str) -> bool {
    let whole = placed.group.name.as_str();
    let stem = stem(whole);
    [whole, stem, short_name(placed, owner)].contains(&name)
}

/// The name of a group without the owner's prefix and the number, such as `tick` for
/// `scale-tick-{i}` of the owner `scale-`.
fn short_name<'g>(placed: &PlacedGroup<'g>, owner: &str) -> &'g str {
    let stem = stem(&placed.group.name);
    stem.strip_prefix(owner)
        .filter(|rest| !rest.is_empty())
        .unwrap_or(stem)
}

fn stem(name: &str) -> &str {
    let stem = name.strip_suffix(INDEX).unwrap_or(name);
    stem.trim_end_matches(['-', '_'])
}

/// Whether an app of a group could have this name if the group were larger.
fn may_have(placed: &PlacedGroup<'_>, app: &str) -> bool {
    let Some((before, after)) = placed.group.name.split_once(INDEX) else {
        return placed.group.name == app;
    };
    let number = app
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

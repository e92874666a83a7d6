//! Plans orgs, quotas, spaces and security groups.

use std::collections::{BTreeMap, HashSet};

use super::{Action, Change, ResourcePlan, Step};
use crate::capi::model::{
    Labels as Found, MANAGED_BY_LABEL, MANAGED_BY_VALUE, OrgQuota, Ownership, PREFIX_ANNOTATION,
    Rule as FoundRule, SecurityGroup as FoundGroup,
};
use crate::converge::observe::Observed;
use crate::converge::target::Target;
use crate::desired::{Desired, Metadata, Org, PlacedSpace, Rule, SecurityGroup};

pub(super) fn foundation(desired: &Desired, observed: &Observed) -> Vec<ResourcePlan> {
    let mut plans = Vec::new();
    let mut quotas = HashSet::new();
    for (org_id, org) in desired.orgs().iter().enumerate() {
        if let Some(quota) = org.quota.as_deref().filter(|name| quotas.insert(*name)) {
            plans.push(plan_quota(quota, observed));
        }
        plans.push(plan_org(org_id, org, observed, desired.owner()));
        let spaces = desired.spaces().filter(|placed| placed.org_id == org_id);
        plans.extend(spaces.map(|placed| plan_space(&placed, observed, desired.owner())));
    }
    let groups = desired.security_groups().iter();
    plans.extend(groups.map(|group| plan_security_group(desired, group, observed)));
    plans
}

/// Creates a missing quota. The limits of an existing one are an operator's decision and
/// stay.
fn plan_quota(name: &str, observed: &Observed) -> ResourcePlan {
    let target = Target::Quota {
        name: name.to_owned(),
    };
    let found = observed.quotas.get(name);
    let mut plan = ResourcePlan::new(target, found.is_some());
    plan.unmanaged = found.is_some_and(|quota| !observed.is_our_quota(quota));
    if plan.action == Action::Create {
        plan.steps.push(Step::CreateQuota);
    }
    plan
}

fn plan_org(org_id: usize, org: &Org, observed: &Observed, owner: &str) -> ResourcePlan {
    let found = observed.orgs.get(org_id).and_then(|it| it.org.as_ref());
    let target = Target::Org {
        name: org.name.clone(),
    };
    let mut plan = ResourcePlan::new(target, found.is_some());
    let assign = |quota: &String| Step::AssignQuota {
        quota: quota.clone(),
    };
    let Some(found) = found else {
        plan.steps.push(Step::CreateOrg);
        plan.steps.extend(org.quota.as_ref().map(assign));
        plan.create_metadata(&org.metadata);
        return plan;
    };
    if let Some(quota) = &org.quota {
        let guid = observed.quotas.get(quota).map(|quota| &quota.guid);
        if guid.is_none() || found.quota.as_ref() != guid {
            plan.change(Change::new("quota", "another", quota), assign(quota));
        }
    }
    let metadata = plan.adopted(&org.metadata, &found.ownership, observed, owner);
    plan.change_metadata(&metadata, &found.labels, &found.annotations);
    plan
}

fn plan_space(placed: &PlacedSpace<'_>, observed: &Observed, owner: &str) -> ResourcePlan {
    let space = placed.space;
    let found = observed
        .spaces
        .get(placed.id)
        .and_then(|it| it.space.as_ref());
    let mut plan = ResourcePlan::new(placed.target(), found.is_some());
    match found {
        None => {
            plan.steps.push(Step::CreateSpace);
            plan.create_metadata(&space.metadata);
        }
        Some(found) => {
            let metadata = plan.adopted(&space.metadata, &found.ownership, observed, owner);
            plan.change_metadata(&metadata, &found.labels, &found.annotations);
        }
    }
    plan
}

fn plan_security_group(
    desired: &Desired,
    group: &SecurityGroup,
    observed: &Observed,
) -> ResourcePlan {
    let found = observed.security_groups.get(&group.name);
    let target = Target::SecurityGroup {
        name: group.name.clone(),
    };
    let mut plan = ResourcePlan::new(target, found.is_some());
    plan.unmanaged = found.is_some_and(|found| !observed.is_our_group(found, group));
    match found {
        None => plan.steps.push(Step::CreateSecurityGroup),
        Some(found) if !are_equal(&found.rules, &group.rules) => {
            let old = match found.rules.len() {
                count if count == group.rules.len() => "other rules".to_owned(),
                count => count.to_string(),
            };
            let change = Change::new("rules", old, group.rules.len());
            plan.change(change, Step::UpdateSecurityGroup);
        }
        Some(_) => {}
    }
    let named = |placed: &PlacedSpace<'_>| placed.space.security_groups.contains(&group.name);
    for placed in desired.spaces().filter(named) {
        let space = observed
            .spaces
            .get(placed.id)
            .and_then(|it| it.space.as_ref());
        let is_bound = space.is_some_and(|space| {
            found.is_some_and(|found| found.running_spaces.contains(&space.guid))
        });
        if is_bound {
            continue;
        }
        let bind = Step::BindSecurityGroup {
            space: placed.target(),
        };
        match found {
            None => plan.steps.push(bind),
            Some(_) => plan.change(Change::new("binding", "none", &placed.space.name), bind),
        }
    }
    plan
}

impl Observed {
    /// Whether a quota is ours: all orgs that it applies to are, or it applies to none
    /// and has no limit.
    pub(crate) fn is_our_quota(&self, quota: &OrgQuota) -> bool {
        match quota.orgs.as_slice() {
            [] => quota.is_unlimited,
            orgs => orgs.iter().all(|org| self.managed.contains(org)),
        }
    }

    /// Whether a security group is ours: all spaces that it applies to are, or it
    /// applies to none and has the rules that it would be created with.
    pub(crate) fn is_our_group(&self, found: &FoundGroup, wanted: &SecurityGroup) -> bool {
        let mut spaces = found.running_spaces.iter().chain(&found.staging_spaces);
        let is_unbound = found.running_spaces.is_empty() && found.staging_spaces.is_empty();
        match found.is_global {
            true => false,
            false if is_unbound => are_equal(&found.rules, &wanted.rules),
            false => spaces.all(|space| self.managed.contains(space)),
        }
    }
}

fn are_equal(found: &[FoundRule], wanted: &[Rule]) -> bool {
    let found = found.iter();
    let mut found: Vec<_> = found
        .map(|rule| (&rule.protocol, &rule.destination, &rule.ports))
        .collect();
    let wanted = wanted.iter();
    let mut wanted: Vec<_> = wanted
        .map(|rule| (&rule.protocol, &rule.destination, &rule.ports))
        .collect();
    found.sort();
    wanted.sort();
    found == wanted
}

impl PlacedSpace<'_> {
    /// The space as a plan names it.
    pub(crate) fn target(&self) -> Target {
        Target::Space {
            org: self.org.name.clone(),
            name: self.space.name.clone(),
        }
    }
}

impl ResourcePlan {
    fn new(target: Target, exists: bool) -> Self {
        Self {
            target,
            action: if exists {
                Action::Unchanged
            } else {
                Action::Create
            },
            changes: Vec::new(),
            unmanaged: false,
            steps: Vec::new(),
            app: None,
        }
    }

    fn change(&mut self, change: Change, step: Step) {
        self.action = Action::Change;
        self.changes.push(change);
        self.steps.push(step);
    }

    /// Notes whether an org or space that exists is ours; one that is not gets our
    /// label with its metadata, where there are labels.
    fn adopted(
        &mut self,
        metadata: &Metadata,
        ownership: &Ownership,
        observed: &Observed,
        owner: &str,
    ) -> Metadata {
        self.unmanaged = !ownership.managed;
        let metadata = metadata.clone();
        match self.unmanaged && observed.has_labels {
            true => metadata
                .label(MANAGED_BY_LABEL, MANAGED_BY_VALUE)
                .annotation(PREFIX_ANNOTATION, owner),
            false => metadata,
        }
    }

    /// Sets the metadata of a resource that is created without it.
    fn create_metadata(&mut self, metadata: &Metadata) {
        if *metadata != Metadata::default() {
            self.steps.push(Step::SetMetadata {
                labels: metadata.labels.clone(),
                annotations: metadata.annotations.clone(),
            });
        }
    }

    /// Sets labels and annotations that differ; others are left alone.
    fn change_metadata(&mut self, metadata: &Metadata, labels: &Found, annotations: &Found) {
        let mut differing = |kind: &str, wanted: &BTreeMap<String, String>, found: &Found| {
            let differs = |(key, value): &(&String, &String)| {
                found.get(*key).and_then(Option::as_ref) != Some(*value)
            };
            let differing: BTreeMap<String, String> = wanted
                .iter()
                .filter(differs)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            for (key, value) in &differing {
                let old = found.get(key).cloned().flatten();
                let old = old.unwrap_or_else(|| "none".to_owned());
                self.changes
                    .push(Change::new(format!("{kind} {key}"), old, value));
            }
            differing
        };
        let labels = differing("label", &metadata.labels, labels);
        let annotations = differing("annotation", &metadata.annotations, annotations);
        if !labels.is_empty() || !annotations.is_empty() {
            self.action = Action::Change;
            self.steps.push(Step::SetMetadata {
                labels,
                annotations,
            });
        }
    }
}

//! Plans orgs, quotas, spaces and security groups.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Action, Change, ResourcePlan, Step, supporting};
use crate::capi::model::{
    DEFAULT_QUOTA, Labels as Found, MANAGED_BY_LABEL, MANAGED_BY_VALUE, Org as FoundOrg, OrgQuota,
    Ownership, PREFIX_ANNOTATION, Rule as FoundRule, SecurityGroup as FoundGroup,
};
use crate::converge::observe::Observed;
use crate::converge::target::Target;
use crate::desired::{Desired, Limits, Metadata, Org, PlacedSpace, Rule, SecurityGroup};

pub(super) fn foundation(desired: &Desired, observed: &Observed) -> Vec<ResourcePlan> {
    let owner = desired.owner();
    let mut plans = supporting::of_foundation(desired, observed);
    let mut quotas = HashSet::new();
    let mut spaces = desired.spaces().peekable();
    for (org_id, org) in desired.orgs().iter().enumerate() {
        if let Some(quota) = org.quota.as_deref().filter(|name| quotas.insert(*name)) {
            plans.push(plan_quota(quota, desired, observed));
        }
        plans.push(plan_org(org_id, org, observed, owner));
        plans.extend(supporting::of_org(org_id, org, observed, owner));
        while let Some(placed) = spaces.next_if(|placed| placed.org_id == org_id) {
            plans.push(plan_space(&placed, observed, owner));
            plans.extend(supporting::of_space(&placed, observed, owner));
        }
    }
    let unused = desired.org_quotas().iter().map(|quota| quota.name.as_str());
    let unused = unused.filter(|name| quotas.insert(name));
    plans.extend(unused.map(|name| plan_quota(name, desired, observed)));
    let mut bound: HashMap<&str, Vec<PlacedSpace<'_>>> = HashMap::new();
    for placed in desired.spaces() {
        for group in &placed.space.security_groups {
            bound.entry(group).or_default().push(placed);
        }
    }
    let groups = desired.security_groups().iter();
    plans.extend(groups.map(|group| {
        let spaces = bound.get(group.name.as_str());
        let spaces = spaces.map(Vec::as_slice).unwrap_or_default();
        plan_security_group(group, spaces, observed, owner)
    }));
    plans
}

/// Plans a quota. A missing quota is created. Limits that the desired state does not
/// contain are an operator's decision, and are kept.
fn plan_quota(name: &str, desired: &Desired, observed: &Observed) -> ResourcePlan {
    let target = Target::Quota {
        name: name.to_owned(),
    };
    let found = observed.quotas.get(name);
    let mut plan = ResourcePlan::new(target, found.is_some());
    let wanted = desired.limits_of(name);
    match (found, wanted) {
        (None, _) => plan.steps.push(Step::CreateQuota),
        (Some(found), Some(wanted)) => plan.change_limits(wanted, &found.limits),
        (Some(_), None) => {}
    }
    // Any org may use the foundation's own quota, as long as it is not changed.
    let is_foundations = name == DEFAULT_QUOTA && wanted.is_none();
    let is_in_use = plan.action == Action::Unchanged && has_quota(name, desired, observed);
    plan.unmanaged = found.is_some_and(|quota| {
        !observed.is_our_quota(quota, wanted) && !is_foundations && !is_in_use
    });
    plan
}

/// Whether the orgs that should have the quota exist, are ours and have it. Other orgs
/// may also have it.
fn has_quota(name: &str, desired: &Desired, observed: &Observed) -> bool {
    let guid = observed.quotas.get(name).map(|quota| &quota.guid);
    let orgs = desired.orgs().iter().zip(&observed.orgs);
    let orgs = orgs.filter(|(org, _)| org.quota.as_deref() == Some(name));
    let mut orgs = orgs.map(|(_, found)| found.org.as_ref()).peekable();
    let has = |org: &FoundOrg| observed.managed.contains(&org.guid) && org.quota.as_ref() == guid;
    orgs.peek().is_some() && orgs.all(|org| org.is_some_and(has))
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
        plan_isolation_of_org(&mut plan, org, None, observed);
        let suspend = org.suspended.filter(|is_suspended| *is_suspended);
        plan.steps
            .extend(suspend.map(|suspended| Step::SetSuspended { suspended }));
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
    plan_isolation_of_org(&mut plan, org, Some(&found.guid), observed);
    if let Some(suspended) = org.suspended.filter(|it| *it != found.is_suspended) {
        let change = Change::new("suspended", found.is_suspended, suspended);
        plan.change(change, Step::SetSuspended { suspended });
    }
    plan
}

/// Entitles an org to its own isolation segment and those of its spaces.
fn plan_isolation_of_org(
    plan: &mut ResourcePlan,
    org: &Org,
    guid: Option<&str>,
    observed: &Observed,
) {
    let spaces = org.spaces.iter();
    let of_spaces = spaces.filter_map(|space| space.isolation_segment.as_deref());
    let segments: BTreeSet<&str> = of_spaces.chain(org.isolation_segment.as_deref()).collect();
    for name in segments {
        let segment = observed.supporting.segments.get(name);
        let is_entitled = segment.is_some_and(|it| guid.is_some_and(|guid| it.orgs.contains(guid)));
        if !is_entitled {
            let step = Step::EntitleIsolationSegment {
                segment: name.to_owned(),
            };
            let property = format!("isolation segment {name}");
            plan.step_or_change(
                guid,
                || Change::new(property, "not entitled", "entitled"),
                step,
            );
        }
    }
    plan_isolation(plan, org.isolation_segment.as_deref(), guid, observed);
}

/// Plans the isolation segment of an org or space.
fn plan_isolation(
    plan: &mut ResourcePlan,
    wanted: Option<&str>,
    guid: Option<&str>,
    observed: &Observed,
) {
    let Some(name) = wanted else { return };
    let supporting = &observed.supporting;
    let wanted = supporting.segments.get(name).map(|segment| &segment.guid);
    let found = guid.and_then(|guid| supporting.isolation.get(guid));
    if found.is_some() && found == wanted {
        return;
    }
    let mut segments = supporting.segments.iter();
    let old = segments.find(|(_, segment)| Some(&segment.guid) == found);
    let old = match (old, found) {
        (Some((name, _)), _) => name,
        (None, Some(_)) => "another",
        (None, None) => "none",
    };
    let step = Step::SetIsolationSegment {
        segment: name.to_owned(),
    };
    plan.step_or_change(guid, || Change::new("isolation segment", old, name), step);
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
    let guid = found.map(|space| space.guid.as_str());
    plan_isolation(
        &mut plan,
        space.isolation_segment.as_deref(),
        guid,
        observed,
    );
    if let Some(quota) = &space.quota {
        let wanted = found.map(|space| (space.org.clone(), quota.clone()));
        let wanted = wanted.and_then(|key| observed.supporting.space_quotas.get(&key));
        let has_it = found
            .and_then(|space| space.quota.as_ref())
            .is_some_and(|it| wanted.is_some_and(|wanted| wanted.guid == *it));
        if !has_it {
            let step = Step::ApplySpaceQuota {
                quota: quota.clone(),
            };
            plan.step_or_change(guid, || Change::new("quota", "another", quota), step);
        }
    }
    for (feature, enabled) in &space.features {
        let key = guid.map(|guid| (guid.to_owned(), feature.clone()));
        let old = key.and_then(|key| observed.supporting.space_features.get(&key));
        if old != Some(enabled) {
            let step = Step::SetFeature {
                feature: feature.clone(),
                enabled: *enabled,
            };
            let shown = |is: bool| if is { "enabled" } else { "disabled" };
            let old = old.map_or("unknown", |is| shown(*is));
            let property = format!("feature {feature}");
            plan.step_or_change(guid, || Change::new(property, old, shown(*enabled)), step);
        }
    }
    plan
}

fn plan_security_group(
    group: &SecurityGroup,
    spaces: &[PlacedSpace<'_>],
    observed: &Observed,
    owner: &str,
) -> ResourcePlan {
    let found = observed.security_groups.get(&group.name);
    let target = Target::SecurityGroup {
        name: group.name.clone(),
    };
    let mut plan = ResourcePlan::new(target, found.is_some());
    let Some(found) = found else {
        let spaces: Vec<Target> = spaces.iter().map(PlacedSpace::target).collect();
        // In 2017, the group is bound later.
        let (at_once, later) = match observed.has_labels {
            true => (spaces, Vec::new()),
            false => (Vec::new(), spaces),
        };
        plan.steps
            .push(Step::CreateSecurityGroup { spaces: at_once });
        if !later.is_empty() {
            plan.steps.push(Step::BindSecurityGroup { spaces: later });
        }
        return plan;
    };
    if !are_equal(&found.rules, &group.rules) {
        let old = match found.rules.len() {
            count if count == group.rules.len() => "other rules".to_owned(),
            count => count.to_string(),
        };
        let change = Change::new("rules", old, group.rules.len());
        plan.change(change, Step::UpdateSecurityGroup);
    }
    plan_globally_enabled(&mut plan, group, found);
    let bound: HashSet<&str> = found.running_spaces.iter().map(String::as_str).collect();
    let mut missing = Vec::new();
    for placed in spaces {
        let space = observed.spaces.get(placed.id);
        let space = space.and_then(|it| it.space.as_ref());
        if !space.is_some_and(|space| bound.contains(space.guid.as_str())) {
            let change = Change::new("binding", "none", &placed.space.name);
            plan.changes.push(change);
            missing.push(placed.target());
        }
    }
    if !missing.is_empty() {
        plan.action = Action::Change;
        plan.steps.push(Step::BindSecurityGroup { spaces: missing });
    }
    plan_unbound(&mut plan, group, observed);
    // Our spaces may share a group with other spaces.
    let existing = spaces.iter().map(|placed| observed.spaces.get(placed.id));
    let mut existing = existing.map(|space| space.and_then(|it| it.space.as_ref()));
    let are_ours =
        existing.all(|space| space.is_some_and(|it| observed.managed.contains(&it.guid)));
    let is_in_use =
        plan.action == Action::Unchanged && !spaces.is_empty() && are_ours && !found.is_global();
    plan.unmanaged = !observed.is_our_group(found, group, owner) && !is_in_use;
    plan
}

/// Unbinds a group from our spaces that do not list it, if the run prunes.
fn plan_unbound(plan: &mut ResourcePlan, group: &SecurityGroup, observed: &Observed) {
    let spaces = observed.surplus.unbound.get(&group.name);
    let spaces: Vec<Target> = spaces.into_iter().flatten().cloned().collect();
    for space in &spaces {
        let change = Change::new("binding", space.name(), "none");
        plan.changes.push(change);
    }
    if !spaces.is_empty() {
        plan.action = Action::Change;
        plan.steps.push(Step::UnbindSecurityGroup { spaces });
    }
}

/// Whether the group applies to all spaces.
fn plan_globally_enabled(plan: &mut ResourcePlan, group: &SecurityGroup, found: &FoundGroup) {
    let wanted = group.globally_enabled;
    let differs = |wanted: Option<bool>, found: bool| wanted.filter(|wanted| *wanted != found);
    let running = differs(wanted.running, found.globally_running);
    let staging = differs(wanted.staging, found.globally_staging);
    for (phase, new) in [("running", running), ("staging", staging)] {
        if let Some(new) = new {
            let property = format!("globally enabled for {phase}");
            plan.changes.push(Change::new(property, !new, new));
        }
    }
    if running.or(staging).is_some() {
        plan.action = Action::Change;
        plan.steps
            .push(Step::EnableSecurityGroup { running, staging });
    }
}

impl Observed {
    /// Whether a quota is ours: all orgs that have it are ours, or no org has it and it
    /// has the limits that we would create it with.
    pub(crate) fn is_our_quota(&self, quota: &OrgQuota, wanted: Option<&Limits>) -> bool {
        let is_wanted = || {
            let mut plan = ResourcePlan::new(
                Target::Quota {
                    name: String::new(),
                },
                true,
            );
            wanted.is_some_and(|wanted| {
                plan.change_limits(wanted, &quota.limits);
                plan.changes.is_empty()
            })
        };
        match quota.orgs.as_slice() {
            [] => quota.is_unlimited || is_wanted(),
            orgs => orgs.iter().all(|org| self.managed.contains(org)),
        }
    }

    /// Whether a security group is ours: all spaces that it applies to are ours, or it
    /// applies to none and has the rules that we would create it with. A group for all
    /// spaces is ours if it should be one, and has those rules or a name with our prefix.
    pub(crate) fn is_our_group(
        &self,
        found: &FoundGroup,
        wanted: &SecurityGroup,
        owner: &str,
    ) -> bool {
        let mut spaces = found.running_spaces.iter().chain(&found.staging_spaces);
        let is_unbound = found.running_spaces.is_empty() && found.staging_spaces.is_empty();
        let has_rules = || are_equal(&found.rules, &wanted.rules);
        if found.is_global() {
            let enabled = wanted.globally_enabled;
            let is_wanted = enabled.running.or(enabled.staging).is_some();
            let is_named = !owner.is_empty() && found.name.starts_with(owner);
            return is_wanted && (is_named || has_rules());
        }
        match is_unbound {
            true => has_rules(),
            false => spaces.all(|space| self.managed.contains(space)),
        }
    }
}

/// Whether two lists of rules allow the same traffic. Only the desired properties of a
/// rule are compared.
fn are_equal(found: &[FoundRule], wanted: &[Rule]) -> bool {
    let mut found: Vec<&FoundRule> = found.iter().collect();
    let mut wanted: Vec<&Rule> = wanted.iter().collect();
    found.sort_by_key(|it| (&it.protocol, &it.destination, &it.ports, &it.description));
    wanted.sort_by_key(|it| (&it.protocol, &it.destination, &it.ports, &it.description));
    let is_equal = |(found, wanted): (&&FoundRule, &&Rule)| {
        let of_found = (&found.protocol, &found.destination, &found.ports);
        of_found == (&wanted.protocol, &wanted.destination, &wanted.ports)
            && (wanted.icmp_type.is_none() || wanted.icmp_type == found.icmp_type)
            && (wanted.icmp_code.is_none() || wanted.icmp_code == found.icmp_code)
            && (wanted.description.is_none() || wanted.description == found.description)
            && wanted
                .log
                .is_none_or(|log| log == found.log.unwrap_or_default())
    };
    found.len() == wanted.len() && found.iter().zip(&wanted).all(is_equal)
}

impl PlacedSpace<'_> {
    /// The space as a target.
    pub(crate) fn target(&self) -> Target {
        Target::Space {
            org: self.org.name.clone(),
            name: self.space.name.clone(),
        }
    }
}

impl ResourcePlan {
    pub(super) fn new(target: Target, exists: bool) -> Self {
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
            content: Vec::new(),
            app: None,
        }
    }

    pub(super) fn change(&mut self, change: Change, step: Step) {
        self.action = Action::Change;
        self.changes.push(change);
        self.steps.push(step);
    }

    /// Adds a step for a resource to create, or a change of an existing one.
    fn step_or_change(&mut self, guid: Option<&str>, change: impl FnOnce() -> Change, step: Step) {
        match guid {
            None => self.steps.push(step),
            Some(_) => self.change(change(), step),
        }
    }

    /// Records whether an existing org or space is ours. If it is not, it gets our label,
    /// unless the foundation has no labels.
    pub(super) fn adopted(
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

    /// Sets labels and annotations that differ. All others are kept.
    pub(super) fn change_metadata(
        &mut self,
        metadata: &Metadata,
        labels: &Found,
        annotations: &Found,
    ) {
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

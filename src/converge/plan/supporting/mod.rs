//! Plans supporting resources: feature flags, users, domains, roles, quotas of spaces,
//! service instances and network policies.

mod policies;
mod roles;
mod services;

use crate::capi::model::{self, Labels};
use crate::converge::observe::Observed;
use crate::converge::plan::{Action, Change, ResourcePlan, Step};
use crate::converge::target::Target;
use crate::desired::{Desired, Limit, Limits, Metadata, Org, PlacedSpace, SpaceQuota};

pub(super) use policies::policies;
use roles::{memberships, plan_role, plan_user};
use services::plan_service;
pub(crate) use services::service_plan;

/// Plans the feature flags, users and shared domains of the foundation.
pub(super) fn of_foundation(desired: &Desired, observed: &Observed) -> Vec<ResourcePlan> {
    let flags = desired.feature_flags().iter();
    let flags = flags.map(|(name, enabled)| plan_flag(name, *enabled, observed));
    let users = desired.users().iter();
    let users = users.map(|name| plan_user(name, &observed.supporting.users));
    let domains = desired.domains().iter();
    let domains = domains.map(|name| plan_domain(name, None, observed, desired.owner()));
    flags.chain(users).chain(domains).collect()
}

fn plan_flag(name: &str, enabled: bool, observed: &Observed) -> ResourcePlan {
    let name = name.to_owned();
    let found = observed.supporting.feature_flags.get(&name).copied();
    let mut plan = ResourcePlan::new(Target::FeatureFlag { name }, true);
    if found != Some(enabled) {
        let shown = |is: bool| if is { "enabled" } else { "disabled" };
        let old = found.map_or("unknown", shown);
        let change = Change::new("state", old, shown(enabled));
        plan.change(change, Step::SetFeatureFlag { enabled });
    }
    plan
}

/// Plans a private domain of an org, or a shared domain if `org` is `None`.
fn plan_domain(name: &str, org: Option<&Org>, observed: &Observed, owner: &str) -> ResourcePlan {
    let found = observed.domains.iter().find(|domain| domain.name == name);
    let name = name.to_owned();
    let mut plan = ResourcePlan::new(Target::Domain { name }, found.is_some());
    let create = Step::CreateDomain {
        org: org.map(|org| org.name.clone()),
    };
    let Some(found) = found else {
        plan.steps.push(create);
        return plan;
    };
    let metadata = plan.adopted(&Metadata::default(), &found.ownership, observed, owner);
    plan.change_metadata(&metadata, &Labels::new(), &Labels::new());
    let owning = observed.orgs.iter().filter_map(|it| it.org.as_ref());
    let owning = owning
        .filter(|it| Some(&it.guid) == found.owner.as_ref())
        .map(|it| it.name.as_str())
        .next();
    let is_right = match org {
        None => found.owner.is_none(),
        Some(org) => owning == Some(&org.name),
    };
    if !is_right {
        // The Cloud Controller refuses to create it again, and reports the reason.
        let old = match &found.owner {
            None => "all orgs",
            Some(_) => owning.unwrap_or("another org"),
        };
        let new = org.map_or("all orgs", |org| &org.name);
        plan.change(Change::new("owner", old, new), create);
    }
    plan
}

/// Plans the domains, roles and space quotas of an org.
pub(super) fn of_org(
    org_id: usize,
    org: &Org,
    observed: &Observed,
    owner: &str,
) -> Vec<ResourcePlan> {
    let found = observed.orgs.get(org_id).and_then(|it| it.org.as_ref());
    let domains = org.domains.iter();
    let mut plans: Vec<ResourcePlan> = domains
        .map(|name| plan_domain(name, Some(org), observed, owner))
        .collect();
    let guid = found.map(|org| org.guid.as_str());
    let roles = observed.roles_in(guid);
    let wanted = org.roles.iter().cloned().chain(memberships(org, roles));
    plans.extend(wanted.map(|role| plan_role(&org.name, None, &role, roles)));
    let quotas = org.space_quotas.iter();
    plans.extend(quotas.map(|quota| plan_space_quota(org, guid, quota, observed)));
    plans
}

fn plan_space_quota(
    org: &Org,
    guid: Option<&str>,
    quota: &SpaceQuota,
    observed: &Observed,
) -> ResourcePlan {
    let key = guid.map(|guid| (guid.to_owned(), quota.name.clone()));
    let found = key.and_then(|key| observed.supporting.space_quotas.get(&key));
    let target = Target::SpaceQuota {
        org: org.name.clone(),
        name: quota.name.clone(),
    };
    let mut plan = ResourcePlan::new(target, found.is_some());
    match found {
        None => plan.steps.push(Step::CreateSpaceQuota),
        Some(found) => plan.change_limits(&quota.limits, &found.limits),
    }
    plan
}

impl ResourcePlan {
    /// Sets the desired limits that differ.
    pub(super) fn change_limits(&mut self, wanted: &Limits, found: &model::Limits) {
        let mut differing = Limits::new();
        for (section, key, limit) in wanted.each() {
            let old = found.get(section).and_then(|limits| limits.get(key));
            let old = old.and_then(Option::as_ref);
            let old = match old {
                None => Limit::Unlimited,
                Some(value) => match (value.as_bool(), value.as_u64()) {
                    (Some(is), _) => Limit::Allowed(is),
                    (None, Some(most)) => Limit::Most(most),
                    (None, None) => Limit::Unlimited,
                },
            };
            if old != limit {
                self.changes
                    .push(Change::new(format!("{section}.{key}"), old, limit));
                differing = differing.limit(section, key, limit);
            }
        }
        if !differing.is_empty() {
            self.action = Action::Change;
            self.steps.push(Step::SetLimits { limits: differing });
        }
    }
}

/// Plans the roles and service instances of a space.
pub(super) fn of_space(
    placed: &PlacedSpace<'_>,
    observed: &Observed,
    owner: &str,
) -> Vec<ResourcePlan> {
    let found = observed.spaces.get(placed.id);
    let guid = found.and_then(|it| Some(it.space.as_ref()?.guid.as_str()));
    let roles = observed.roles_in(guid);
    let (org, space) = (placed.org.name.as_str(), placed.space.name.as_str());
    let wanted = placed.space.roles.iter();
    let wanted = wanted.map(|role| plan_role(org, Some(space), role, roles));
    let services = placed.space.services.iter().map(|service| {
        let key = guid.map(|guid| (guid.to_owned(), service.name.clone()));
        let found = key.and_then(|key| observed.supporting.services.get(&key));
        plan_service(placed, service, found, observed, owner)
    });
    wanted.chain(services).collect()
}

/// Plans the deletion of our resources that are no longer desired.
pub(super) fn surplus(observed: &Observed) -> Vec<ResourcePlan> {
    let delete = |target: &Target, step: Step| {
        let mut plan = ResourcePlan::new(target.clone(), true);
        plan.action = Action::Delete;
        plan.steps.push(step);
        plan
    };
    // Sorted by name within a kind, because the foundation lists them in the order of
    // creation.
    let mut resources: Vec<_> = observed.surplus.resources.iter().collect();
    for of_kind in resources.chunk_by_mut(|a, b| a.target.kind() == b.target.kind()) {
        of_kind.sort_by(|a, b| a.target.cmp(&b.target));
    }
    let resources = resources.into_iter().map(|it| {
        let guid = it.guid.clone();
        ResourcePlan {
            content: it.content.clone(),
            ..delete(&it.target, Step::Delete { guid })
        }
    });
    let mut policies: Vec<&Target> = observed.surplus.policies.iter().map(|it| &it.0).collect();
    policies.sort();
    let policies = policies.into_iter();
    let policies = policies.map(|target| delete(target, Step::DeletePolicy));
    resources.chain(policies).collect()
}

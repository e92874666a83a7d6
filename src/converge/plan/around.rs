//! Plans what is around the apps: feature flags, users, domains, roles, quotas of
//! spaces, service instances and network policies.

use std::collections::{BTreeMap, HashSet};

use super::{Action, Change, ResourcePlan, Step};
use crate::capi::model::{self, Labels, Role as FoundRole, ServicePlan, User};
use crate::converge::observe::Observed;
use crate::converge::observe_around::Service;
use crate::converge::target::Target;
use crate::desired::{
    self, Desired, Limit, Limits, Metadata, NetworkPolicy, Org, PlacedSpace, Role, ServiceInstance,
    ServiceKind, SpaceQuota, user_and_origin,
};

/// The role that a user needs to have roles in the spaces of an org.
const MEMBER: &str = "organization_user";

/// Plans what belongs to the foundation as a whole.
pub(super) fn of_foundation(desired: &Desired, observed: &Observed) -> Vec<ResourcePlan> {
    let flags = desired.feature_flags().iter();
    let flags = flags.map(|(name, enabled)| plan_flag(name, *enabled, observed));
    let users = desired.users().iter();
    let users = users.map(|name| plan_user(name, &observed.around.users));
    let domains = desired.domains().iter();
    let domains = domains.map(|name| plan_domain(name, None, observed, desired.owner()));
    flags.chain(users).chain(domains).collect()
}

fn plan_flag(name: &str, enabled: bool, observed: &Observed) -> ResourcePlan {
    let name = name.to_owned();
    let found = observed.around.feature_flags.get(&name).copied();
    let mut plan = ResourcePlan::new(Target::FeatureFlag { name }, true);
    if found != Some(enabled) {
        let shown = |is: bool| if is { "enabled" } else { "disabled" };
        let old = found.map_or("unknown", shown);
        let change = Change::new("state", old, shown(enabled));
        plan.change(change, Step::SetFeatureFlag { enabled });
    }
    plan
}

fn plan_user(text: &str, users: &[User]) -> ResourcePlan {
    let (name, origin) = user_and_origin(text);
    let exists = users.iter().any(|user| {
        let found = user.name.as_deref().unwrap_or_default();
        is_user(name, origin, found, user.origin.as_deref())
    });
    let name = text.to_owned();
    let mut plan = ResourcePlan::new(Target::User { name }, exists);
    if !exists {
        plan.steps.push(Step::CreateUser);
    }
    plan
}

/// Whether a user is the one of a name and, if that is given, of an identity provider.
fn is_user(name: &str, origin: Option<&str>, found: &str, found_origin: Option<&str>) -> bool {
    found.eq_ignore_ascii_case(name)
        && origin.is_none_or(|origin| found_origin.is_none_or(|found| found == origin))
}

/// Plans a domain that an org owns, or that all orgs share.
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
        // The Cloud Controller refuses to create it again, and says why.
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

/// The users of roles in spaces of an org who are not users of the org itself: only those
/// can have roles in spaces, whatever other roles they have in the org.
fn memberships(org: &Org, found: &[FoundRole]) -> Vec<Role> {
    let mut seen = HashSet::new();
    let of_spaces = org.spaces.iter().flat_map(|space| &space.roles);
    let is_member = |role: &&Role| {
        let same = |other: &Role| {
            is_user(
                &role.user,
                role.origin.as_deref(),
                &other.user,
                other.origin.as_deref(),
            )
        };
        let mut wanted = org.roles.iter().filter(|it| it.kind == MEMBER);
        let mut found = found.iter().filter(|it| it.kind == MEMBER);
        wanted.any(same) || found.any(|found| is_of(role, found))
    };
    let missing = of_spaces.filter(|role| !is_member(role));
    let members = missing.map(|role| Role {
        kind: MEMBER.to_owned(),
        ..role.clone()
    });
    members.filter(|role| seen.insert(role.clone())).collect()
}

/// Whether a role that was found is one of the same user.
fn is_of(role: &Role, found: &FoundRole) -> bool {
    is_user(
        &role.user,
        role.origin.as_deref(),
        &found.user,
        found.origin.as_deref(),
    )
}

fn plan_role(org: &str, space: Option<&str>, role: &Role, found: &[FoundRole]) -> ResourcePlan {
    let exists = found
        .iter()
        .any(|it| it.kind == role.kind && is_of(role, it));
    let user = match &role.origin {
        Some(origin) => format!("{origin}/{}", role.user),
        None => role.user.clone(),
    };
    let target = Target::Role {
        org: org.to_owned(),
        space: space.map(str::to_owned),
        role: role.kind.clone(),
        user,
    };
    let mut plan = ResourcePlan::new(target, exists);
    if !exists {
        plan.steps.push(Step::AssignRole);
    }
    plan
}

fn plan_space_quota(
    org: &Org,
    guid: Option<&str>,
    quota: &SpaceQuota,
    observed: &Observed,
) -> ResourcePlan {
    let key = guid.map(|guid| (guid.to_owned(), quota.name.clone()));
    let found = key.and_then(|key| observed.around.space_quotas.get(&key));
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
    /// Sets the named limits that differ.
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

impl Observed {
    /// The roles in an org or space.
    fn roles_in(&self, guid: Option<&str>) -> &[FoundRole] {
        let roles = guid.and_then(|guid| self.around.roles.get(guid));
        roles.map(Vec::as_slice).unwrap_or_default()
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
        let found = key.and_then(|key| observed.around.services.get(&key));
        plan_service(placed, service, found, observed, owner)
    });
    wanted.chain(services).collect()
}

fn plan_service(
    placed: &PlacedSpace<'_>,
    service: &ServiceInstance,
    found: Option<&Service>,
    observed: &Observed,
    owner: &str,
) -> ResourcePlan {
    let mut plan = ResourcePlan::new(placed.service(service), found.is_some());
    let Some(found) = found else {
        plan.steps.push(Step::CreateService);
        return plan;
    };
    let instance = &found.instance;
    let metadata = plan.adopted(&Metadata::default(), &instance.ownership, observed, owner);
    if let Some(operation) = instance.last_operation.strip_suffix(" in progress") {
        let old = format!("{operation} in progress");
        let change = Change::new("last operation", old, format!("{operation} succeeded"));
        plan.change(change, Step::AwaitService);
        return plan;
    }
    if instance.last_operation == "create failed" {
        let change = Change::new("last operation", "create failed", "create succeeded");
        plan.change(change, Step::DeleteService);
        plan.steps.push(Step::CreateService);
        return plan;
    }
    let mut settings = Vec::new();
    for (setting, old, new) in differences(service, found, &observed.around.service_plans) {
        plan.changes.push(Change::new(setting, old, new));
        settings.push(setting.to_owned());
    }
    if !settings.is_empty() {
        plan.action = Action::Change;
        plan.steps.push(Step::UpdateService { settings });
    }
    plan.change_metadata(&metadata, &Labels::new(), &Labels::new());
    plan
}

/// The settings of a service instance that differ, with their old and new values.
fn differences(
    service: &ServiceInstance,
    found: &Service,
    plans: &[ServicePlan],
) -> Vec<(&'static str, String, String)> {
    let instance = &found.instance;
    let mut differences = Vec::new();
    let (mut old, mut new) = (instance.tags.clone(), service.tags.clone());
    old.sort();
    new.sort();
    if old != new {
        differences.push(("tags", list(&instance.tags), list(&service.tags)));
    }
    let shown = |url: &Option<String>| url.clone().unwrap_or_else(|| "none".to_owned());
    match &service.kind {
        ServiceKind::UserProvided {
            credentials,
            syslog_drain_url,
            route_service_url,
        } => {
            if instance.plan.is_some() {
                let (old, new) = ("managed".to_owned(), "user-provided".to_owned());
                differences.push(("type", old, new));
            }
            if credentials.is_some() && *credentials != found.credentials {
                let (old, new) = ("others".to_owned(), "the given ones".to_owned());
                differences.push(("credentials", old, new));
            }
            let urls = [
                (
                    "syslog_drain_url",
                    &instance.syslog_drain_url,
                    syslog_drain_url,
                ),
                (
                    "route_service_url",
                    &instance.route_service_url,
                    route_service_url,
                ),
            ];
            let urls = urls.into_iter().filter(|(_, old, new)| old != new);
            differences.extend(urls.map(|(name, old, new)| (name, shown(old), shown(new))));
        }
        ServiceKind::Managed { plan, .. } => {
            let wanted = service_plan(service, plans);
            let has_plan = wanted.is_some_and(|it| instance.plan.as_ref() == Some(&it.guid));
            if !has_plan {
                let mut plans = plans.iter();
                let old = plans.find(|it| instance.plan.as_ref() == Some(&it.guid));
                let old = old.map_or("another", |plan| &plan.name).to_owned();
                differences.push(("plan", old, plan.clone()));
            }
        }
    }
    differences
}

fn list(texts: &[String]) -> String {
    match texts {
        [] => "none".to_owned(),
        all => all.join(", "),
    }
}

/// The plan of a managed service instance, among those that exist.
pub(crate) fn service_plan<'p>(
    service: &ServiceInstance,
    plans: &'p [ServicePlan],
) -> Option<&'p ServicePlan> {
    let ServiceKind::Managed {
        offering,
        plan,
        broker,
        ..
    } = &service.kind
    else {
        return None;
    };
    plans.iter().find(|it| {
        it.name == *plan
            && it.offering == *offering
            && broker.as_ref().is_none_or(|broker| it.broker == *broker)
    })
}

/// Plans the network policies, which need the GUIDs of apps and so come last.
pub(super) fn policies(desired: &Desired, observed: &Observed) -> Vec<ResourcePlan> {
    let mut plans = Vec::new();
    if desired
        .spaces()
        .all(|placed| placed.space.network_policies.is_empty())
    {
        return plans;
    }
    let allowed = Allowed::of(observed);
    for placed in desired.spaces() {
        for policy in &placed.space.network_policies {
            plans.push(plan_policy(desired, &placed, policy, observed, &allowed));
        }
    }
    plans
}

/// Plans the deletion of what is ours and not desired any more.
pub(super) fn surplus(observed: &Observed) -> Vec<ResourcePlan> {
    let delete = |target: &Target, step: Step| {
        let mut plan = ResourcePlan::new(target.clone(), true);
        plan.action = Action::Delete;
        plan.steps.push(step);
        plan
    };
    // By name within a kind: the foundation lists in the order of creation.
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

/// The ports between apps that policies allow.
struct Allowed<'o> {
    ports: BTreeMap<Direction<'o>, Vec<(u16, u16)>>,
}

/// The GUIDs of the apps that send and receive, and the protocol.
type Direction<'o> = (&'o str, &'o str, &'o str);

impl<'o> Allowed<'o> {
    fn of(observed: &'o Observed) -> Self {
        let mut ports: BTreeMap<_, Vec<(u16, u16)>> = BTreeMap::new();
        for policy in &observed.around.policies {
            let key = (
                policy.source.as_str(),
                policy.destination.as_str(),
                policy.protocol.as_str(),
            );
            ports.entry(key).or_default().push(policy.ports);
        }
        for ranges in ports.values_mut() {
            ranges.sort_unstable();
        }
        Self { ports }
    }

    /// Whether all ports are allowed, by one policy or by several for parts of them.
    fn has(&self, from: &str, to: &str, protocol: &str, (first, last): (u16, u16)) -> bool {
        let ranges = self.ports.get(&(from, to, protocol));
        let mut next = u32::from(first);
        for (start, end) in ranges.into_iter().flatten() {
            if u32::from(*start) <= next {
                next = next.max(u32::from(*end) + 1);
            }
        }
        next > u32::from(last)
    }
}

fn plan_policy(
    desired: &Desired,
    placed: &PlacedSpace<'_>,
    policy: &NetworkPolicy,
    observed: &Observed,
    allowed: &Allowed<'_>,
) -> ResourcePlan {
    let senders = apps_of(placed, &policy.from, observed);
    let (_, _, pattern) = policy.receivers();
    let receivers: Vec<(Target, Option<&str>)> = desired
        .receiving_spaces(placed, policy)
        .flat_map(|space| apps_of(&space, pattern, observed))
        .collect();
    let mut pairs = Vec::new();
    for (from, sender) in &senders {
        for (to, receiver) in &receivers {
            let is_allowed = sender
                .zip(*receiver)
                .is_some_and(|(from, to)| allowed.has(from, to, &policy.protocol, policy.ports));
            if !is_allowed {
                pairs.push((from.clone(), to.clone()));
            }
        }
    }
    let wanted = senders.len() * receivers.len();
    let mut plan = ResourcePlan::new(placed.policy(policy), pairs.len() < wanted);
    if pairs.is_empty() {
        return plan;
    }
    let old = format!("{} of {wanted}", wanted - pairs.len());
    let step = Step::AllowTraffic {
        pairs,
        protocol: policy.protocol.clone(),
        ports: policy.ports,
    };
    match plan.action {
        Action::Create => plan.steps.push(step),
        _ => plan.change(Change::new("pairs of apps", old, wanted), step),
    }
    plan
}

/// The desired apps of a space whose names match, with the GUIDs of those that exist.
fn apps_of<'o>(
    placed: &PlacedSpace<'_>,
    pattern: &str,
    observed: &'o Observed,
) -> Vec<(Target, Option<&'o str>)> {
    let apps = observed.spaces.get(placed.id).map(|space| &space.apps);
    let guids: BTreeMap<&str, &str> = apps
        .into_iter()
        .flatten()
        .map(|app| (app.name.as_str(), app.guid.as_str()))
        .collect();
    let names = placed
        .space
        .groups
        .iter()
        .flat_map(|group| group.app_names());
    let names = names.filter(|name| desired::matches(pattern, name));
    names
        .map(|name| {
            let guid = guids.get(name.as_str()).copied();
            (placed.app(&name), guid)
        })
        .collect()
}

impl PlacedSpace<'_> {
    fn app(&self, name: &str) -> Target {
        Target::App {
            org: self.org.name.clone(),
            space: self.space.name.clone(),
            name: name.to_owned(),
        }
    }

    /// A service instance as a plan names it.
    pub(crate) fn service(&self, service: &ServiceInstance) -> Target {
        Target::ServiceInstance {
            org: self.org.name.clone(),
            space: self.space.name.clone(),
            name: service.name.clone(),
        }
    }

    /// A network policy as a plan names it.
    fn policy(&self, policy: &NetworkPolicy) -> Target {
        let NetworkPolicy {
            from, to, protocol, ..
        } = policy;
        let ports = match policy.ports {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        Target::NetworkPolicy {
            org: self.org.name.clone(),
            space: self.space.name.clone(),
            name: format!("{from} to {to} {protocol} {ports}"),
        }
    }
}

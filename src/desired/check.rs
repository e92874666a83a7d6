//! Checks a desired state: names, references and values.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::network::{matches, placed as reference_parts};
use super::people::{ORG_ROLES, SPACE_ROLES};
use super::{
    Desired, DesiredError, Group, NetworkPolicy, Org, PlacedGroup, PlacedSpace, Role, Space,
};

/// A kind of resource: its name with an article, and its plural.
struct Kind(&'static str, &'static str);

const ORGS: Kind = Kind("an org", "orgs");
const SPACES: Kind = Kind("a space", "spaces");
const APPS: Kind = Kind("an app", "apps");
const SECURITY_GROUPS: Kind = Kind("a security group", "security groups");
const ORG_QUOTAS: Kind = Kind("an org quota", "org quotas");
const SPACE_QUOTAS: Kind = Kind("a space quota", "space quotas");
const DOMAINS: Kind = Kind("a domain", "domains");
const USERS: Kind = Kind("a user", "users");
const SERVICES: Kind = Kind("a service instance", "service instances");

/// The features of spaces.
const SPACE_FEATURES: [&str; 1] = ["ssh"];

/// A feature of the foundation that a group needs, and the property that needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeededFlag<'d> {
    pub(crate) name: &'static str,
    pub(crate) property: &'static str,
    pub(crate) group: &'d Group,
}

/// The feature flag that apps of a lifecycle need, and the property that needs it.
pub(crate) fn needed_flag(lifecycle: &str) -> Option<(&'static str, &'static str)> {
    match lifecycle {
        "docker" => Some(("diego_docker", "docker")),
        "cnb" => Some(("diego_cnb", "lifecycle")),
        _ => None,
    }
}

impl Desired {
    pub(super) fn check(&self) -> Result<(), DesiredError> {
        let everywhere = String::new;
        let groups = self.security_groups.iter();
        names(
            &SECURITY_GROUPS,
            groups.map(|it| it.name.as_str()),
            everywhere,
        )?;
        let quotas = self.org_quotas.iter();
        names(&ORG_QUOTAS, quotas.map(|it| it.name.as_str()), everywhere)?;
        let private = self.orgs.iter().flat_map(|org| &org.domains);
        let domains = self.domains.iter().chain(private);
        names(&DOMAINS, domains.map(String::as_str), everywhere)?;
        names(&USERS, self.users.iter().map(String::as_str), everywhere)?;
        names(
            &ORGS,
            self.orgs.iter().map(|it| it.name.as_str()),
            everywhere,
        )?;
        for quota in &self.org_quotas {
            let subject = format!("the org quota {}", quota.name);
            quota.limits.check(&subject, true)?;
        }
        for org in &self.orgs {
            self.check_org(org)?;
        }
        let groups = self.security_groups.iter();
        let groups: HashSet<&str> = groups.map(|group| group.name.as_str()).collect();
        for placed in self.spaces() {
            self.check_space(&placed, &groups)?;
        }
        self.check_flags()
    }

    /// Checks that the desired feature flags allow the apps.
    fn check_flags(&self) -> Result<(), DesiredError> {
        let disabled = |flag: &NeededFlag<'_>| self.feature_flags.get(flag.name) == Some(&false);
        match self.needed_flags().find(disabled) {
            None => Ok(()),
            Some(flag) => Err(DesiredError::Property {
                group: flag.group.name.clone(),
                property: flag.property,
                reason: "the desired state disables the feature flag that it needs",
            }),
        }
    }

    /// The features of the foundation that the apps need.
    pub(crate) fn needed_flags(&self) -> impl Iterator<Item = NeededFlag<'_>> {
        self.groups().filter_map(|placed| {
            let (name, property) = needed_flag(placed.group.entry.lifecycle())?;
            Some(NeededFlag {
                name,
                property,
                group: placed.group,
            })
        })
    }

    fn check_org(&self, org: &Org) -> Result<(), DesiredError> {
        let place = || format!(" in the org {}", org.name);
        let subject = format!("the org {}", org.name);
        names(&SPACES, org.spaces.iter().map(|it| it.name.as_str()), place)?;
        let quotas = org.space_quotas.iter();
        names(&SPACE_QUOTAS, quotas.map(|it| it.name.as_str()), place)?;
        for quota in &org.space_quotas {
            let subject = format!("the space quota {}{}", quota.name, place());
            quota.limits.check(&subject, false)?;
        }
        if let Some(name) = &org.quota
            && !self.org_quotas.is_empty()
            && !self.org_quotas.iter().any(|quota| quota.name == *name)
        {
            return Err(unknown(subject, "org quota", name));
        }
        check_roles(&org.roles, &subject, &ORG_ROLES)
    }

    fn check_space(
        &self,
        placed: &PlacedSpace<'_>,
        groups: &HashSet<&str>,
    ) -> Result<(), DesiredError> {
        let PlacedSpace { org, space, .. } = placed;
        let subject = format!("the space {}", space.name);
        for name in &space.security_groups {
            if !groups.contains(name.as_str()) {
                return Err(DesiredError::UnknownSecurityGroup {
                    space: space.name.clone(),
                    security_group: name.clone(),
                });
            }
        }
        if let Some(name) = &space.quota
            && !org.space_quotas.iter().any(|quota| quota.name == *name)
        {
            return Err(unknown(subject, "space quota", name));
        }
        if let Some(name) = space
            .features
            .keys()
            .find(|name| !SPACE_FEATURES.contains(&name.as_str()))
        {
            return Err(DesiredError::Value {
                subject,
                value: format!("the feature {name}"),
                reason: format!("must be {}", SPACE_FEATURES.join(" or ")),
            });
        }
        check_roles(&space.roles, &subject, &SPACE_ROLES)?;
        let place = || format!(" in the space {}", space.name);
        let services = space.services.iter();
        names(&SERVICES, services.map(|it| it.name.as_str()), place)?;
        for group in &space.groups {
            group.check()?;
        }
        let apps: Vec<String> = space.groups.iter().flat_map(Group::app_names).collect();
        names(&APPS, apps.iter().map(String::as_str), place)?;
        check_bindings(space, &subject)?;
        let mut seen = HashSet::new();
        for policy in &space.network_policies {
            policy.check(&place())?;
            self.check_ends(placed, policy)?;
            if !seen.insert(policy) {
                return Err(DesiredError::Duplicate {
                    kind: "network policies",
                    name: format!("from {} to {}", policy.from, policy.to),
                    place: place(),
                });
            }
        }
        Ok(())
    }

    /// Checks that the ends of a policy match apps of the desired state.
    fn check_ends(
        &self,
        from: &PlacedSpace<'_>,
        policy: &NetworkPolicy,
    ) -> Result<(), DesiredError> {
        let has_app = |space: &PlacedSpace<'_>, pattern: &str| {
            let mut groups = space.space.groups.iter();
            groups.any(|group| group.app_names().any(|name| matches(pattern, &name)))
        };
        let refused = |name: &str| {
            let user = format!("a network policy of the space {}", from.space.name);
            unknown(user, "app", name)
        };
        if !has_app(from, &policy.from) {
            return Err(refused(&policy.from));
        }
        let is_known = self.receiving_spaces(from, policy).any(|space| {
            let (_, _, pattern) = policy.receivers();
            has_app(&space, pattern)
        });
        match is_known {
            true => Ok(()),
            false => Err(refused(&policy.to)),
        }
    }

    /// For each group, the index of the other group whose droplet its apps get, if any.
    /// Each `like` must lead to a group with bits.
    pub(super) fn find_sources(&self) -> Vec<Result<Option<usize>, DesiredError>> {
        let groups: Vec<PlacedGroup<'_>> = self.groups().collect();
        let mut named: HashMap<(&str, &str, &str), usize> = HashMap::new();
        for placed in &groups {
            for name in [placed.group.name.as_str(), placed.group.stem()] {
                let (org, space) = (&placed.space.org.name, &placed.space.space.name);
                named.entry((org, space, name)).or_insert(placed.id);
            }
        }
        let of = |placed: &PlacedGroup<'_>| -> Result<Option<usize>, DesiredError> {
            let Some(reference) = placed.group.like.as_deref() else {
                return Ok(None);
            };
            let (org, space, name) = reference_parts(reference);
            let org = org.unwrap_or(&placed.space.org.name);
            let space = space.unwrap_or(&placed.space.space.name);
            let found = named.get(&(org, space, name)).copied();
            let user = || format!("the group {}", placed.group.name);
            let found = found.ok_or_else(|| unknown(user(), "group", reference))?;
            Ok(Some(found))
        };
        let references: Vec<_> = groups.iter().map(of).collect();
        let next = references
            .iter()
            .map(|it| it.as_ref().ok().copied().flatten());
        let next: Vec<Option<usize>> = next.collect();
        let follow = |(placed, reference): (&PlacedGroup<'_>, Result<_, _>)| {
            reference.and_then(|_| root(placed, &groups, &next))
        };
        groups.iter().zip(references).map(follow).collect()
    }

    /// Apps with the droplet of a Docker image must also have that image.
    pub(super) fn share_images(&mut self) {
        let images: Vec<Option<Value>> = {
            let groups: Vec<PlacedGroup<'_>> = self.groups().collect();
            let sources = groups.iter().map(|placed| self.source_of(placed));
            let sources = sources.map(|source| source.and_then(|source| groups.get(source)));
            sources
                .map(|source| source?.group.entry.get("docker").cloned())
                .collect()
        };
        let spaces = self.orgs.iter_mut().flat_map(|org| &mut org.spaces);
        let groups = spaces.flat_map(|space| &mut space.groups);
        for (group, image) in groups.zip(images) {
            if let Some(image) = image {
                group.entry = group.entry.clone().with("docker", image);
            }
        }
    }

    /// The spaces whose apps may receive the traffic of a policy.
    pub(crate) fn receiving_spaces<'d>(
        &'d self,
        from: &PlacedSpace<'_>,
        policy: &NetworkPolicy,
    ) -> impl Iterator<Item = PlacedSpace<'d>> {
        let (org, space, _) = policy.receivers();
        let org = org.unwrap_or(&from.org.name).to_owned();
        let space = space.unwrap_or(&from.space.name).to_owned();
        self.spaces()
            .filter(move |it| it.org.name == org && it.space.name == space)
    }
}

/// Follows the references of a group to the group with bits.
fn root(
    of: &PlacedGroup<'_>,
    groups: &[PlacedGroup<'_>],
    next: &[Option<usize>],
) -> Result<Option<usize>, DesiredError> {
    let refused = |reason: &'static str| DesiredError::Property {
        group: of.group.name.clone(),
        property: "like",
        reason,
    };
    let follow = |id: usize| next.get(id).copied().flatten();
    let Some(mut current) = follow(of.id) else {
        return Ok(None);
    };
    let mut count = 0;
    while let Some(further) = follow(current) {
        count += 1;
        if count > groups.len() {
            return Err(refused("no group in this cycle has bits"));
        }
        current = further;
    }
    let root = groups.get(current);
    if root.is_some_and(|root| root.group.count == 0) {
        return Err(refused("the other group has no apps, so it has no droplet"));
    }
    if root.is_some_and(|root| !root.group.has_source()) {
        return Err(refused("the other group has no bits"));
    }
    if root.is_some_and(|root| !root.group.is_copied()) {
        return Err(refused(
            "the Cloud Controller does not copy droplets of `lifecycle: cnb`",
        ));
    }
    let is_image = root.is_some_and(|root| root.group.entry.docker().is_some());
    let of_buildpacks = ["buildpacks", "lifecycle", "stack"];
    let mut of_buildpacks = of_buildpacks
        .iter()
        .filter_map(|key| of.group.entry.get(key));
    if is_image && of.group.entry.docker().is_none() && of_buildpacks.next().is_some() {
        let reason =
            "the other group is a Docker image, without `buildpacks`, `lifecycle` and `stack`";
        return Err(refused(reason));
    }
    if !is_image && of.group.entry.lifecycle() != "buildpack" {
        return Err(refused("the other group has another `lifecycle`"));
    }
    Ok(Some(current))
}

fn unknown(user: String, kind: &'static str, name: &str) -> DesiredError {
    DesiredError::UnknownReference {
        user,
        kind,
        name: name.to_owned(),
    }
}

/// Checks that a binding selects apps of the space, and binds each of them to a service
/// only once.
fn check_bindings(space: &Space, subject: &str) -> Result<(), DesiredError> {
    let mut seen = HashSet::new();
    for binding in &space.service_bindings {
        let bound = space.groups.iter().flat_map(|group| {
            let apps = group.app_names();
            apps.filter(|app| binding.is_of(group, app))
        });
        let bound: Vec<String> = bound.collect();
        if bound.is_empty() {
            let user = format!("a service binding of {subject}");
            return Err(unknown(user, "app", &binding.app));
        }
        for app in bound {
            if !seen.insert((app.clone(), binding.service.as_str())) {
                return Err(DesiredError::Duplicate {
                    kind: "service bindings",
                    name: format!("of {app} to {}", binding.service),
                    place: format!(" in {subject}"),
                });
            }
        }
    }
    Ok(())
}

/// Checks the roles of an org or space.
fn check_roles(roles: &[Role], subject: &str, allowed: &[&str]) -> Result<(), DesiredError> {
    let mut seen = HashSet::new();
    for role in roles {
        role.check(subject, allowed)?;
        if !seen.insert(role) {
            return Err(DesiredError::Duplicate {
                kind: "roles",
                name: format!("{} of {}", role.kind, role.user),
                place: format!(" in {subject}"),
            });
        }
    }
    Ok(())
}

/// Checks that names are not empty and unique.
fn names<'n>(
    kind: &Kind,
    all: impl Iterator<Item = &'n str>,
    place: impl Fn() -> String,
) -> Result<(), DesiredError> {
    let mut seen = HashSet::new();
    for name in all {
        if name.trim().is_empty() {
            return Err(DesiredError::NoName { kind: kind.0 });
        }
        if !seen.insert(name) {
            return Err(DesiredError::Duplicate {
                kind: kind.1,
                name: name.to_owned(),
                place: place(),
            });
        }
    }
    Ok(())
}

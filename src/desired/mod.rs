//! The desired state of a foundation: orgs, their spaces, and groups of apps in them,
//! with quotas, domains, roles, services and network policies.
//!
//! The desired state is data that can be built in Rust.
//! [`ScalingTest`](crate::ScalingTest) builds one from a configuration.

mod check;
mod error;
mod group;
mod network;
mod org;
mod people;
mod protected;
mod quota;
mod service;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use protected::Protected;

pub(crate) use check::{NeededFlag, needed_flag};
pub use error::DesiredError;
pub use group::{AppState, Bits, Group};
pub(crate) use network::matches;
pub use network::{GloballyEnabled, NetworkPolicy, Rule, SecurityGroup};
pub use org::{Metadata, Org, Space};
pub use people::Role;
pub(crate) use people::{ORG_ROLES, SPACE_ROLES, user_and_origin};
pub use quota::{Limit, Limits, OrgQuota, SpaceQuota};
pub use service::{ServiceBinding, ServiceInstance, ServiceKind};

/// The resources that cf-pusher should create and keep converged.
///
/// ```
/// use cf_pusher::desired::{Bits, Desired, Group, Org, Space};
/// use cf_pusher::ManifestEntry;
///
/// let entry = ManifestEntry::parse("{memory: 64M, routes: [{route: 'web-{i}.{apps_domain}'}]}")?;
/// let group = Group::new("web-{i}", entry, Bits::folder("apps/web")).count(3);
/// let desired = Desired::builder("team-a")
///     .org(Org::new("shop").space(Space::new("prod").group(group)))
///     .build()?;
/// assert_eq!(desired.app_count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    owner: String,
    apps_domain: Option<String>,
    org_quotas: Vec<OrgQuota>,
    domains: Vec<String>,
    users: Vec<String>,
    feature_flags: BTreeMap<String, bool>,
    protected: Protected,
    security_groups: Vec<SecurityGroup>,
    orgs: Vec<Org>,
    /// For each group, the index of the other group whose droplet its apps get, if any.
    sources: Vec<Option<usize>>,
}

/// Collects a desired state. [`DesiredBuilder::build`] checks it.
#[derive(Debug, Clone)]
pub struct DesiredBuilder(Desired);

/// A group of apps, with its space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedGroup<'d> {
    /// Its index among all groups.
    pub(crate) id: usize,
    pub(crate) space: PlacedSpace<'d>,
    pub(crate) group: &'d Group,
}

/// A space, with its org.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedSpace<'d> {
    /// Its index among all spaces.
    pub(crate) id: usize,
    /// The index of its org.
    pub(crate) org_id: usize,
    pub(crate) org: &'d Org,
    pub(crate) space: &'d Space,
}

impl Desired {
    /// Starts a desired state with this owner. The owner's name marks orgs, spaces and
    /// apps, so that one desired state does not delete the apps of another.
    pub fn builder(owner: impl Into<String>) -> DesiredBuilder {
        DesiredBuilder(Self {
            owner: owner.into(),
            apps_domain: None,
            org_quotas: Vec::new(),
            domains: Vec::new(),
            users: Vec::new(),
            feature_flags: BTreeMap::new(),
            protected: Protected::default(),
            security_groups: Vec::new(),
            orgs: Vec::new(),
            sources: Vec::new(),
        })
    }

    /// The owner, which is stored in the annotation `cf-pusher-prefix`.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The domain of the apps' routes. `None` for the foundation's default.
    pub fn apps_domain(&self) -> Option<&str> {
        self.apps_domain.as_deref()
    }

    /// The quotas for orgs whose limits are declared.
    pub fn org_quotas(&self) -> &[OrgQuota] {
        &self.org_quotas
    }

    /// The shared domains.
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// The names of the users. See [`DesiredBuilder::user`].
    pub fn users(&self) -> &[String] {
        &self.users
    }

    /// The feature flags of the foundation, and whether they are enabled.
    pub fn feature_flags(&self) -> &BTreeMap<String, bool> {
        &self.feature_flags
    }

    /// Regular expressions for the names of protected resources. See
    /// [`DesiredBuilder::protect`].
    pub fn protected(&self) -> &[String] {
        &self.protected.patterns
    }

    /// The security groups.
    pub fn security_groups(&self) -> &[SecurityGroup] {
        &self.security_groups
    }

    /// The orgs.
    pub fn orgs(&self) -> &[Org] {
        &self.orgs
    }

    /// The total number of apps.
    pub fn app_count(&self) -> usize {
        self.groups().map(|it| it.group.app_count()).sum()
    }

    /// Every space, in order.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = PlacedSpace<'_>> {
        let orgs = self.orgs.iter().enumerate();
        let spaces =
            orgs.flat_map(|(org_id, org)| org.spaces.iter().map(move |space| (org_id, org, space)));
        spaces
            .enumerate()
            .map(|(id, (org_id, org, space))| PlacedSpace {
                id,
                org_id,
                org,
                space,
            })
    }

    /// Every group, in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = PlacedGroup<'_>> {
        let groups = self.spaces();
        let groups =
            groups.flat_map(|space| space.space.groups.iter().map(move |group| (space, group)));
        groups
            .enumerate()
            .map(|(id, (space, group))| PlacedGroup { id, space, group })
    }

    /// The desired limits of a quota for orgs, if any.
    pub(crate) fn limits_of(&self, quota: &str) -> Option<&Limits> {
        let mut quotas = self.org_quotas.iter();
        let quota = quotas.find(|it| it.name == quota)?;
        Some(&quota.limits).filter(|limits| !limits.is_empty())
    }

    /// Whether a domain is part of the desired state.
    pub(crate) fn has_domain(&self, name: &str) -> bool {
        let private = self.orgs.iter().flat_map(|org| &org.domains);
        self.domains.iter().chain(private).any(|it| it == name)
    }

    /// The names of all isolation segments, without duplicates.
    pub(crate) fn isolation_segments(&self) -> Vec<&str> {
        let orgs = self.orgs.iter().map(|org| &org.isolation_segment);
        let spaces = self.orgs.iter().flat_map(|org| &org.spaces);
        let all = orgs.chain(spaces.map(|space| &space.isolation_segment));
        let names: BTreeSet<&str> = all.filter_map(Option::as_deref).collect();
        names.into_iter().collect()
    }

    /// A text with all supporting resources, including values that may be secret.
    pub(crate) fn supporting_text(&self) -> String {
        let mut text = format!(
            "{:?} {:?} {:?} {:?} {:?}\n",
            self.org_quotas, self.domains, self.users, self.feature_flags, self.protected.patterns
        );
        for org in &self.orgs {
            text += &format!(
                "{:?} {:?} {:?} {:?} {:?}\n",
                org.suspended, org.domains, org.isolation_segment, org.roles, org.space_quotas
            );
        }
        for PlacedSpace { space, .. } in self.spaces() {
            text += &format!(
                "{:?} {:?} {:?} {:?} {:?}\n",
                space.quota,
                space.features,
                space.isolation_segment,
                space.roles,
                space.network_policies
            );
            for service in &space.services {
                text += &format!("{:?} {}\n", service, service.secrets());
            }
            for binding in &space.service_bindings {
                text += &format!("{} {}\n", binding.app, binding.to_value());
            }
        }
        for PlacedGroup { group, .. } in self.groups() {
            let Group {
                state,
                ignores_state,
                ignores_droplets,
                like,
                ..
            } = group;
            text += &format!("{state:?} {ignores_state} {ignores_droplets} {like:?}\n");
        }
        text
    }

    /// The names of all quotas, without duplicates.
    pub(crate) fn quotas(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let defined = self.org_quotas.iter().map(|quota| quota.name.as_str());
        let quotas = self.orgs.iter().filter_map(|org| org.quota.as_deref());
        let quotas = defined.chain(quotas);
        quotas.filter(|name| seen.insert(*name)).collect()
    }

    /// The pattern of [`Desired::protected`] that one of the names matches.
    pub(crate) fn protecting(&self, names: &[&str]) -> Option<&str> {
        self.protected.pattern_of(names)
    }

    /// The index of the other group whose droplet the apps of a group get, if any.
    pub(crate) fn source_of(&self, placed: &PlacedGroup<'_>) -> Option<usize> {
        self.sources.get(placed.id).copied().flatten()
    }

    /// Whether the domain of the apps must be known.
    pub(crate) fn needs_apps_domain(&self) -> bool {
        self.groups().any(|it| it.group.entry.needs_apps_domain())
    }
}

impl DesiredBuilder {
    /// Sets the domain of the apps' routes, instead of the foundation's default.
    #[must_use]
    pub fn apps_domain(mut self, name: impl Into<String>) -> Self {
        self.0.apps_domain = Some(name.into());
        self
    }

    /// Adds a security group.
    #[must_use]
    pub fn security_group(mut self, group: SecurityGroup) -> Self {
        self.0.security_groups.push(group);
        self
    }

    /// Adds an org.
    #[must_use]
    pub fn org(mut self, org: Org) -> Self {
        self.0.orgs.push(org);
        self
    }

    /// Adds a quota for orgs.
    #[must_use]
    pub fn org_quota(mut self, quota: OrgQuota) -> Self {
        self.0.org_quotas.push(quota);
        self
    }

    /// Adds a shared domain.
    #[must_use]
    pub fn domain(mut self, name: impl Into<String>) -> Self {
        self.0.domains.push(name.into());
        self
    }

    /// Adds a user that the Cloud Controller should know: `alice`, or `ldap/alice` for a
    /// user of an identity provider. The Cloud Controller only creates users of identity
    /// providers. Other users must be created in the UAA.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.0.users.push(name.into());
        self
    }

    /// Enables or disables a feature flag of the foundation, such as `diego_docker`.
    #[must_use]
    pub fn feature_flag(mut self, name: impl Into<String>, is_enabled: bool) -> Self {
        self.0.feature_flags.insert(name.into(), is_enabled);
        self
    }

    /// Protects the resources whose names match a regular expression, so that no run
    /// changes them. The expression is matched against the whole name of each org,
    /// `org/space` of each space, and the whole name of each app.
    #[must_use]
    pub fn protect(mut self, pattern: impl Into<String>) -> Self {
        self.0.protected.patterns.push(pattern.into());
        self
    }

    /// The indexes of the groups whose `like` is invalid, with the errors.
    pub(crate) fn source_errors(&self) -> Vec<(usize, DesiredError)> {
        let sources = self.0.find_sources().into_iter().enumerate();
        sources
            .filter_map(|(id, source)| Some((id, source.err()?)))
            .collect()
    }

    /// Builds the desired state without checks, because existing resources may break the
    /// rules for new ones.
    pub(crate) fn build_unchecked(self) -> Desired {
        self.0
    }

    /// Checks the desired state.
    ///
    /// # Errors
    ///
    /// [`DesiredError`]: a name is missing or not unique, a host is too long, a reference
    /// is not defined, or a value is not allowed.
    pub fn build(mut self) -> Result<Desired, DesiredError> {
        self.0.protected.compile()?;
        self.0.check()?;
        let sources = self.0.find_sources().into_iter();
        self.0.sources = sources.collect::<Result<_, _>>()?;
        self.0.share_images();
        Ok(self.0)
    }
}

//! Orgs and spaces.

use std::collections::BTreeMap;

use super::{Group, NetworkPolicy, Role, ServiceBinding, ServiceInstance, SpaceQuota};
use crate::manifest::entry::ManifestEntry;

/// An org and its contents.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Org {
    /// The org's name.
    pub name: String,
    /// The name of its quota. A missing quota is created, with the limits of
    /// [`DesiredBuilder::org_quota`](super::DesiredBuilder::org_quota) or without limits.
    pub quota: Option<String>,
    /// Whether the org is suspended, so that its users cannot change anything. `None`
    /// keeps the current value.
    pub suspended: Option<bool>,
    /// The org's private domains.
    pub domains: Vec<String>,
    /// The isolation segment where its apps run, unless their space has another segment.
    pub isolation_segment: Option<String>,
    /// The roles of users. Other roles are not changed.
    pub roles: Vec<Role>,
    /// The quotas for the org's spaces.
    pub space_quotas: Vec<SpaceQuota>,
    /// Labels and annotations, in addition to cf-pusher's own.
    pub metadata: Metadata,
    /// The org's spaces. Other spaces are not changed.
    pub spaces: Vec<Space>,
}

/// A space and its contents.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Space {
    /// The space's name.
    pub name: String,
    /// The name of its quota, one of its org's `space_quotas`.
    pub quota: Option<String>,
    /// Features that are enabled or disabled. The Cloud Controller knows `ssh`.
    pub features: BTreeMap<String, bool>,
    /// The isolation segment where its apps run.
    pub isolation_segment: Option<String>,
    /// The roles of users. Other roles are not changed.
    pub roles: Vec<Role>,
    /// The service instances of the space.
    pub services: Vec<ServiceInstance>,
    /// The bindings of its apps to service instances, in addition to the `services` of
    /// their entries.
    pub service_bindings: Vec<ServiceBinding>,
    /// The policies for traffic that its apps send to other apps.
    pub network_policies: Vec<NetworkPolicy>,
    /// The names of the security groups that apply to its running apps.
    pub security_groups: Vec<String>,
    /// Labels and annotations, in addition to cf-pusher's own.
    pub metadata: Metadata,
    /// The apps of the space.
    pub groups: Vec<Group>,
}

/// Labels and annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Labels by key.
    pub labels: BTreeMap<String, String>,
    /// Annotations by key.
    pub annotations: BTreeMap<String, String>,
}

impl Org {
    /// An org without a quota and without spaces.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            quota: None,
            suspended: None,
            domains: Vec::new(),
            isolation_segment: None,
            roles: Vec::new(),
            space_quotas: Vec::new(),
            metadata: Metadata::default(),
            spaces: Vec::new(),
        }
    }

    /// Sets the name of the quota.
    #[must_use]
    pub fn quota(mut self, name: impl Into<String>) -> Self {
        self.quota = Some(name.into());
        self
    }

    /// Sets labels and annotations.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Suspends the org, or ends the suspension.
    #[must_use]
    pub fn suspended(mut self, is_suspended: bool) -> Self {
        self.suspended = Some(is_suspended);
        self
    }

    /// Adds a private domain.
    #[must_use]
    pub fn domain(mut self, name: impl Into<String>) -> Self {
        self.domains.push(name.into());
        self
    }

    /// Sets the isolation segment, which must exist. The org is entitled to it.
    #[must_use]
    pub fn isolation_segment(mut self, name: impl Into<String>) -> Self {
        self.isolation_segment = Some(name.into());
        self
    }

    /// Adds a role of a user.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Adds a quota for spaces.
    #[must_use]
    pub fn space_quota(mut self, quota: SpaceQuota) -> Self {
        self.space_quotas.push(quota);
        self
    }

    /// Adds a space.
    #[must_use]
    pub fn space(mut self, space: Space) -> Self {
        self.spaces.push(space);
        self
    }
}

impl Space {
    /// A space without security groups and without apps.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            quota: None,
            features: BTreeMap::new(),
            isolation_segment: None,
            roles: Vec::new(),
            services: Vec::new(),
            service_bindings: Vec::new(),
            network_policies: Vec::new(),
            security_groups: Vec::new(),
            metadata: Metadata::default(),
            groups: Vec::new(),
        }
    }

    /// Adds a security group for running apps, by name.
    #[must_use]
    pub fn security_group(mut self, name: impl Into<String>) -> Self {
        self.security_groups.push(name.into());
        self
    }

    /// Sets labels and annotations.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the name of the quota, which must be one of the org's space quotas.
    #[must_use]
    pub fn quota(mut self, name: impl Into<String>) -> Self {
        self.quota = Some(name.into());
        self
    }

    /// Enables or disables a feature, such as `ssh`.
    #[must_use]
    pub fn feature(mut self, name: impl Into<String>, is_enabled: bool) -> Self {
        self.features.insert(name.into(), is_enabled);
        self
    }

    /// Sets the isolation segment, which must exist. The org is entitled to it.
    #[must_use]
    pub fn isolation_segment(mut self, name: impl Into<String>) -> Self {
        self.isolation_segment = Some(name.into());
        self
    }

    /// Adds a role of a user. The user also gets the role `organization_user` in the org,
    /// because the Cloud Controller requires it.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Adds a service instance.
    #[must_use]
    pub fn service(mut self, service: ServiceInstance) -> Self {
        self.services.push(service);
        self
    }

    /// Binds apps to a service instance.
    #[must_use]
    pub fn service_binding(mut self, binding: ServiceBinding) -> Self {
        self.service_bindings.push(binding);
        self
    }

    /// Adds a policy for traffic that its apps send.
    #[must_use]
    pub fn network_policy(mut self, policy: NetworkPolicy) -> Self {
        self.network_policies.push(policy);
        self
    }

    /// Adds a group of apps.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// The entry of an app of a group, with the bindings of the space.
    pub(crate) fn bound(&self, entry: ManifestEntry, group: &Group, app: &str) -> ManifestEntry {
        let bindings = self.service_bindings.iter();
        let bindings = bindings.filter(|binding| binding.is_of(group, app));
        bindings.fold(entry, |entry, binding| {
            entry.with_service(&binding.service, binding.to_value())
        })
    }
}

impl Metadata {
    /// Empty metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

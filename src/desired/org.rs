//! Orgs and spaces, and what should be in them.

use std::collections::BTreeMap;

use super::{Group, NetworkPolicy, Role, ServiceInstance, SpaceQuota};

/// An org and what should be in it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Org {
    /// The org's name.
    pub name: String,
    /// The name of its quota. A missing quota is created, with the limits of
    /// [`Desired::org_quotas`] or without limits.
    pub quota: Option<String>,
    /// Whether its users may change nothing. `None` leaves it as it is.
    pub suspended: Option<bool>,
    /// The private domains that it owns.
    pub domains: Vec<String>,
    /// The isolation segment of the foundation that its apps run in unless their space
    /// has another one.
    pub isolation_segment: Option<String>,
    /// The roles of users; others are left alone.
    pub roles: Vec<Role>,
    /// The quotas that its spaces may name.
    pub space_quotas: Vec<SpaceQuota>,
    /// Labels and annotations beside cf-pusher's own.
    pub metadata: Metadata,
    /// The spaces that should be in it; others are left alone.
    pub spaces: Vec<Space>,
}

/// A space and what should be in it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Space {
    /// The space's name.
    pub name: String,
    /// The name of its quota, one of its org's `space_quotas`.
    pub quota: Option<String>,
    /// Features that are enabled or disabled; the Cloud Controller knows `ssh`.
    pub features: BTreeMap<String, bool>,
    /// The isolation segment of the foundation that its apps run in.
    pub isolation_segment: Option<String>,
    /// The roles of users; others are left alone.
    pub roles: Vec<Role>,
    /// The service instances that should be in it.
    pub services: Vec<ServiceInstance>,
    /// The policies for traffic that its apps send to others.
    pub network_policies: Vec<NetworkPolicy>,
    /// The names of the security groups that apply to its running apps.
    pub security_groups: Vec<String>,
    /// Labels and annotations beside cf-pusher's own.
    pub metadata: Metadata,
    /// The apps that should be in it.
    pub groups: Vec<Group>,
}

/// Labels and annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Labels, by their keys.
    pub labels: BTreeMap<String, String>,
    /// Annotations, by their keys.
    pub annotations: BTreeMap<String, String>,
}

impl Org {
    /// An org without a quota and spaces.
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

    /// With the quota of this name.
    #[must_use]
    pub fn quota(mut self, name: impl Into<String>) -> Self {
        self.quota = Some(name.into());
        self
    }

    /// With these labels and annotations.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Suspended, or not.
    #[must_use]
    pub fn suspended(mut self, is_suspended: bool) -> Self {
        self.suspended = Some(is_suspended);
        self
    }

    /// With a private domain.
    #[must_use]
    pub fn domain(mut self, name: impl Into<String>) -> Self {
        self.domains.push(name.into());
        self
    }

    /// With the isolation segment of this name, which must exist. The org becomes
    /// entitled to it.
    #[must_use]
    pub fn isolation_segment(mut self, name: impl Into<String>) -> Self {
        self.isolation_segment = Some(name.into());
        self
    }

    /// With a role of a user.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// With a quota that its spaces may name.
    #[must_use]
    pub fn space_quota(mut self, quota: SpaceQuota) -> Self {
        self.space_quotas.push(quota);
        self
    }

    /// With a space.
    #[must_use]
    pub fn space(mut self, space: Space) -> Self {
        self.spaces.push(space);
        self
    }
}

impl Space {
    /// A space without security groups and apps.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            quota: None,
            features: BTreeMap::new(),
            isolation_segment: None,
            roles: Vec::new(),
            services: Vec::new(),
            network_policies: Vec::new(),
            security_groups: Vec::new(),
            metadata: Metadata::default(),
            groups: Vec::new(),
        }
    }

    /// With the security group of this name for running apps.
    #[must_use]
    pub fn security_group(mut self, name: impl Into<String>) -> Self {
        self.security_groups.push(name.into());
        self
    }

    /// With these labels and annotations.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// With the quota of this name, one of its org.
    #[must_use]
    pub fn quota(mut self, name: impl Into<String>) -> Self {
        self.quota = Some(name.into());
        self
    }

    /// With a feature enabled or disabled, such as `ssh`.
    #[must_use]
    pub fn feature(mut self, name: impl Into<String>, is_enabled: bool) -> Self {
        self.features.insert(name.into(), is_enabled);
        self
    }

    /// With the isolation segment of this name, which must exist. The org becomes
    /// entitled to it.
    #[must_use]
    pub fn isolation_segment(mut self, name: impl Into<String>) -> Self {
        self.isolation_segment = Some(name.into());
        self
    }

    /// With a role of a user, who also gets the role `organization_user` in the org, as
    /// the Cloud Controller asks for it.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// With a service instance.
    #[must_use]
    pub fn service(mut self, service: ServiceInstance) -> Self {
        self.services.push(service);
        self
    }

    /// With a policy for traffic that its apps send.
    #[must_use]
    pub fn network_policy(mut self, policy: NetworkPolicy) -> Self {
        self.network_policies.push(policy);
        self
    }

    /// With a group of apps.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }
}

impl Metadata {
    /// Without labels and annotations.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// With an annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

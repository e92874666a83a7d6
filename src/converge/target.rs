//! The resources that plans, failures and drift name.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::approval;

/// A resource on the foundation, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// A quota for orgs.
    Quota {
        /// The quota's name.
        name: String,
    },
    /// An org.
    Org {
        /// The org's name.
        name: String,
    },
    /// A space.
    Space {
        /// The name of the space's org.
        org: String,
        /// The space's name.
        name: String,
    },
    /// A security group.
    SecurityGroup {
        /// The security group's name.
        name: String,
    },
    /// A feature flag of the foundation.
    FeatureFlag {
        /// The feature's name.
        name: String,
    },
    /// A user that the Cloud Controller knows.
    User {
        /// The user's name, preceded by the identity provider and a `/` if the provider is
        /// declared.
        name: String,
    },
    /// A domain.
    Domain {
        /// The domain's name.
        name: String,
    },
    /// A quota for the spaces of an org.
    SpaceQuota {
        /// The name of the quota's org.
        org: String,
        /// The quota's name.
        name: String,
    },
    /// A role of a user.
    Role {
        /// The name of the org.
        org: String,
        /// The name of the space, for a role in a space.
        space: Option<String>,
        /// The type of the role, such as `space_developer`.
        role: String,
        /// The user's name, preceded by the identity provider and a `/` if the provider is
        /// declared.
        user: String,
    },
    /// A route.
    Route {
        /// The name of the route's org.
        org: String,
        /// The name of the route's space.
        space: String,
        /// Host, domain and path or port.
        name: String,
    },
    /// A network policy.
    NetworkPolicy {
        /// The name of the org of the sending apps.
        org: String,
        /// The name of the space of the sending apps.
        space: String,
        /// The sending and receiving apps, the protocol and the ports, such as `web-* to
        /// db tcp 5432`.
        name: String,
    },
    /// A service instance.
    ServiceInstance {
        /// The name of the service instance's org.
        org: String,
        /// The name of the service instance's space. Empty if it is not known.
        #[serde(default)]
        space: String,
        /// The service instance's name.
        name: String,
    },
    /// An app.
    App {
        /// The name of the app's org.
        org: String,
        /// The name of the app's space.
        space: String,
        /// The app's name.
        name: String,
    },
}

impl Target {
    /// The resource's own name.
    pub fn name(&self) -> &str {
        match self {
            Self::Quota { name }
            | Self::Org { name }
            | Self::Space { name, .. }
            | Self::SecurityGroup { name }
            | Self::FeatureFlag { name }
            | Self::User { name }
            | Self::Domain { name }
            | Self::SpaceQuota { name, .. }
            | Self::Route { name, .. }
            | Self::NetworkPolicy { name, .. }
            | Self::ServiceInstance { name, .. }
            | Self::App { name, .. } => name,
            Self::Role { user, .. } => user,
        }
    }

    /// The kind of resource, such as `app`, `org` or `space quota`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Quota { .. } => "quota",
            Self::Org { .. } => "org",
            Self::Space { .. } => "space",
            Self::SecurityGroup { .. } => "security group",
            Self::FeatureFlag { .. } => "feature flag",
            Self::User { .. } => "user",
            Self::Domain { .. } => "domain",
            Self::SpaceQuota { .. } => "space quota",
            Self::Role { .. } => "role",
            Self::Route { .. } => "route",
            Self::NetworkPolicy { .. } => "network policy",
            Self::ServiceInstance { .. } => "service instance",
            Self::App { .. } => "app",
        }
    }

    /// The names of resources of one kind. Names that end in consecutive numbers are
    /// joined: `a-0`, `a-1` and `a-2` become `a-{0..2}`.
    pub fn ranges<'t>(targets: impl IntoIterator<Item = &'t Self>) -> Vec<String> {
        let names: Vec<&str> = targets.into_iter().map(Self::name).collect();
        approval::ranges(&names)
    }

    /// The kind of several resources, such as `apps`.
    pub(crate) fn plural(kind: &str) -> String {
        match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{kind}s"),
        }
    }

    /// Whether it is an app.
    pub fn is_app(&self) -> bool {
        matches!(self, Self::App { .. })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role {
                org,
                space,
                role,
                user,
            } => {
                write!(f, "role {role} of {user} in {org}")?;
                match space {
                    Some(space) => write!(f, "/{space}"),
                    None => Ok(()),
                }
            }
            _ => write!(f, "{} {}", self.kind(), self.name()),
        }
    }
}

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
    /// A service instance.
    ServiceInstance {
        /// The name of the service instance's org.
        org: String,
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
            | Self::ServiceInstance { name, .. }
            | Self::App { name, .. } => name,
        }
    }

    /// `app`, `org`, `space`, `quota`, `security group` or `service instance`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Quota { .. } => "quota",
            Self::Org { .. } => "org",
            Self::Space { .. } => "space",
            Self::SecurityGroup { .. } => "security group",
            Self::ServiceInstance { .. } => "service instance",
            Self::App { .. } => "app",
        }
    }

    /// The names of some resources of one kind; those with consecutive numbers at their
    /// end are one: `a-0`, `a-1` and `a-2` are `a-{0..2}`.
    pub fn ranges<'t>(targets: impl IntoIterator<Item = &'t Self>) -> Vec<String> {
        let names: Vec<&str> = targets.into_iter().map(Self::name).collect();
        approval::ranges(&names)
    }

    /// Whether it is an app.
    pub fn is_app(&self) -> bool {
        matches!(self, Self::App { .. })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

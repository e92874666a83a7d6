//! Orgs and spaces, with their quotas, users, roles and features.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Labels, Ownership};

/// An organization.
#[derive(Debug, Clone, Default)]
pub(crate) struct Org {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) ownership: Ownership,
    /// The GUID of its quota.
    pub(crate) quota: Option<String>,
    /// Whether the org is suspended, so that its users cannot change anything. Not read
    /// in 2017.
    pub(crate) is_suspended: bool,
    /// Empty in 2017.
    pub(crate) labels: Labels,
    /// Empty in 2017.
    pub(crate) annotations: Labels,
}

/// The limits of a quota by section and key. `None` means no limit. All limits are
/// numbers, except the flag `paid_services_allowed`. Empty in 2017.
pub(crate) type Limits = BTreeMap<String, BTreeMap<String, Option<Value>>>;

/// The quota of orgs that were created without one. It belongs to the foundation, even if
/// it has only one org.
pub(crate) const DEFAULT_QUOTA: &str = "default";

/// A quota of orgs.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrgQuota {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUIDs of the orgs that it applies to, if the user can see them.
    pub(crate) orgs: Vec<String>,
    /// Whether it has no limits, like the quotas that we create.
    pub(crate) is_unlimited: bool,
    pub(crate) limits: Limits,
    /// The memory in MB that the apps of an org may use in total. `None` means no limit.
    pub(crate) memory_mb: Option<u64>,
}

/// A quota of an org's spaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpaceQuota {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its org.
    pub(crate) org: String,
    /// The GUIDs of the spaces that it applies to, if the user can see them.
    pub(crate) spaces: Vec<String>,
    pub(crate) limits: Limits,
}

/// A role of a user.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) guid: String,
    /// Such as `organization_manager`.
    pub(crate) kind: String,
    /// The user's name, or the GUID of a user without a name, such as a UAA client.
    pub(crate) user: String,
    pub(crate) origin: Option<String>,
    /// The GUID of its org or space.
    pub(crate) place: String,
}

/// A user that the Cloud Controller knows.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) guid: String,
    /// `None` for a UAA client.
    pub(crate) name: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) ownership: Ownership,
}

/// An isolation segment: a group of cells.
#[derive(Debug, Clone)]
pub(crate) struct IsolationSegment {
    pub(crate) guid: String,
    pub(crate) name: String,
}

/// A feature flag of the foundation.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FeatureFlag {
    pub(crate) name: String,
    pub(crate) enabled: bool,
}

/// A space of an org.
#[derive(Debug, Clone, Default)]
pub(crate) struct Space {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its org.
    pub(crate) org: String,
    pub(crate) ownership: Ownership,
    /// The GUID of its quota. Not read in 2017.
    pub(crate) quota: Option<String>,
    /// Empty in 2017.
    pub(crate) labels: Labels,
    /// Empty in 2017.
    pub(crate) annotations: Labels,
}

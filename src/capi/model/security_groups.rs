//! Security groups and their rules.

use serde::{Deserialize, Serialize};

/// A security group: rules for the traffic of apps.
#[derive(Debug, Clone, Default)]
pub(crate) struct SecurityGroup {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) rules: Vec<Rule>,
    /// The GUIDs of the spaces whose running apps it applies to.
    pub(crate) running_spaces: Vec<String>,
    /// The GUIDs of the spaces whose stagings it applies to.
    pub(crate) staging_spaces: Vec<String>,
    /// Whether it applies to the running apps of all spaces.
    pub(crate) globally_running: bool,
    /// Whether it applies to the stagings of all spaces.
    pub(crate) globally_staging: bool,
}

impl SecurityGroup {
    /// Whether it applies to all spaces.
    pub(crate) fn is_global(&self) -> bool {
        self.globally_running || self.globally_staging
    }
}

/// The properties of a security group to create.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NewSecurityGroup<'a> {
    pub(crate) name: &'a str,
    pub(crate) rules: &'a [Rule],
    /// The GUIDs of the spaces whose running apps it applies to.
    pub(crate) running_spaces: &'a [&'a str],
    pub(crate) enabled: Enabled,
}

/// Whether a security group applies to all spaces, in a request. `None` keeps the current
/// value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Enabled {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) running: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) staging: Option<bool>,
}

/// A rule of a security group, which allows traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) protocol: String,
    pub(crate) destination: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ports: Option<String>,
    /// The ICMP type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) icmp_type: Option<i64>,
    /// The ICMP code.
    #[serde(default, rename = "code", skip_serializing_if = "Option::is_none")]
    pub(crate) icmp_code: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<bool>,
}

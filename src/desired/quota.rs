//! Quotas for orgs and spaces.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::DesiredError;

/// The limits of the apps, services and routes of an org or space.
const SECTIONS: [(&str, &[&str]); 3] = [
    (
        "apps",
        &[
            "total_memory_in_mb",
            "per_process_memory_in_mb",
            "total_instances",
            "per_app_tasks",
            "log_rate_limit_in_bytes_per_second",
        ],
    ),
    (
        "services",
        &[
            PAID_SERVICES,
            "total_service_instances",
            "total_service_keys",
        ],
    ),
    ("routes", &["total_routes", "total_reserved_ports"]),
];

/// The limits that only an org has.
const ORG_SECTION: (&str, &[&str]) = ("domains", &["total_domains"]);

/// The only limit that is a flag.
const PAID_SERVICES: &str = "paid_services_allowed";

/// A quota for orgs.
///
/// ```
/// use cf_pusher::desired::{Limits, OrgQuota};
///
/// let limits = Limits::new()
///     .limit("apps", "total_memory_in_mb", 10_240)
///     .limit("services", "paid_services_allowed", false)
///     .unlimited("routes", "total_routes");
/// let quota = OrgQuota::new("small", limits);
/// assert_eq!(quota.limits.sections().len(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrgQuota {
    /// The quota's name.
    pub name: String,
    /// The limits. Limits that are not declared keep their values.
    pub limits: Limits,
}

/// A quota of an org for its spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpaceQuota {
    /// The quota's name.
    pub name: String,
    /// The limits. Limits that are not declared keep their values.
    pub limits: Limits,
}

/// The limits of a quota, by the Cloud Controller's sections and keys: `apps`,
/// `services`, `routes` and, for orgs, `domains`.
///
/// A new quota has only the declared limits. If no limit is declared, the limits of an
/// existing quota are not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limits {
    sections: BTreeMap<String, BTreeMap<String, Limit>>,
}

/// One limit of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Limit {
    /// No limit: `null` in the Cloud Controller's API.
    Unlimited,
    /// A flag, only for `paid_services_allowed`.
    Allowed(bool),
    /// The maximum, in the unit that the key names.
    Most(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Allowed(is) => is.fmt(f),
            Self::Most(most) => most.fmt(f),
        }
    }
}

impl From<bool> for Limit {
    fn from(is: bool) -> Self {
        Self::Allowed(is)
    }
}

impl From<u64> for Limit {
    fn from(most: u64) -> Self {
        Self::Most(most)
    }
}

impl From<Option<u64>> for Limit {
    fn from(most: Option<u64>) -> Self {
        most.map_or(Self::Unlimited, Self::Most)
    }
}

impl OrgQuota {
    /// A quota with these limits.
    pub fn new(name: impl Into<String>, limits: Limits) -> Self {
        Self {
            name: name.into(),
            limits,
        }
    }
}

impl SpaceQuota {
    /// A quota with these limits.
    pub fn new(name: impl Into<String>, limits: Limits) -> Self {
        Self {
            name: name.into(),
            limits,
        }
    }
}

impl Limits {
    /// Declares no limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a limit, such as `total_memory_in_mb` in the section `apps`.
    #[must_use]
    pub fn limit(
        mut self,
        section: impl Into<String>,
        key: impl Into<String>,
        limit: impl Into<Limit>,
    ) -> Self {
        let section = self.sections.entry(section.into()).or_default();
        section.insert(key.into(), limit.into());
        self
    }

    /// Declares that the quota has no limit for this key.
    #[must_use]
    pub fn unlimited(self, section: impl Into<String>, key: impl Into<String>) -> Self {
        self.limit(section, key, Limit::Unlimited)
    }

    /// Whether no limit is declared.
    pub fn is_empty(&self) -> bool {
        self.sections.values().all(BTreeMap::is_empty)
    }

    /// The limits by section and key.
    pub fn sections(&self) -> &BTreeMap<String, BTreeMap<String, Limit>> {
        &self.sections
    }

    /// Each limit with its section and key.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &str, Limit)> {
        self.sections.iter().flat_map(|(section, limits)| {
            let limits = limits.iter();
            limits.map(move |(key, limit)| (section.as_str(), key.as_str(), *limit))
        })
    }

    /// Refuses keys that the Cloud Controller does not know, and values of the wrong
    /// type.
    pub(super) fn check(&self, subject: &str, of_org: bool) -> Result<(), DesiredError> {
        let sections: Vec<_> = SECTIONS
            .into_iter()
            .chain(of_org.then_some(ORG_SECTION))
            .collect();
        let refused = |value: String, reason: String| DesiredError::Value {
            subject: subject.to_owned(),
            value,
            reason,
        };
        for name in self.sections.keys() {
            if !sections.iter().any(|(known, _)| known == name) {
                let known: Vec<&str> = sections.iter().map(|(known, _)| *known).collect();
                let reason = format!("the sections are {}", known.join(", "));
                return Err(refused(format!("limits of `{name}`"), reason));
            }
        }
        for (section, key, limit) in self.each() {
            let known = sections.iter().find(|(name, _)| *name == section);
            let known = known.map(|(_, keys)| *keys).unwrap_or_default();
            if !known.contains(&key) {
                let reason = format!("the limits of {section} are {}", known.join(", "));
                return Err(refused(format!("the limit {section}.{key}"), reason));
            }
            let value = format!("{section}.{key}: {limit}");
            match (key, limit) {
                (PAID_SERVICES, Limit::Allowed(_)) => {}
                (PAID_SERVICES, _) => {
                    return Err(refused(value, "must be true or false".to_owned()));
                }
                (_, Limit::Allowed(_)) => {
                    let reason = "must be a number, or null for no limit".to_owned();
                    return Err(refused(value, reason));
                }
                // The Cloud Controller stores such numbers in 32 bits.
                (_, Limit::Most(most)) if most > 2_147_483_647 && !key.starts_with("log_rate") => {
                    return Err(refused(value, "must be at most 2147483647".to_owned()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

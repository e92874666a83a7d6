//! The keys of a seed file.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::problem::{Problem, each};

/// A seed file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Seed {
    version: Version,
    /// The owner of a spec, which a seed does not need.
    name: Option<Value>,
    pub(super) apps_domain: Option<String>,
    pub(super) org_quotas: Vec<QuotaEntry>,
    pub(super) security_groups: Vec<SecurityGroupEntry>,
    pub(super) domains: Vec<String>,
    pub(super) users: Vec<UserEntry>,
    pub(super) feature_flags: BTreeMap<String, bool>,
    /// The protected names of a spec. They have no effect on the world.
    protected: Vec<String>,
    pub(super) network_policies: Vec<PolicyEntry>,
    pub(super) orgs: Vec<OrgEntry>,
}

impl Seed {
    /// Refuses names that are declared twice.
    pub(super) fn check(&self) -> Result<(), Problem> {
        unique("org quota", "org_quotas", &self.org_quotas, |it| &it.name)?;
        let groups = &self.security_groups;
        unique("security group", "security_groups", groups, |it| &it.name)?;
        unique("user", "users", &self.users, UserEntry::name)?;
        unique("org", "orgs", &self.orgs, |it| &it.name)?;
        each("orgs", &self.orgs, |org| {
            org.check()
                .map_err(|problem| problem.named("org", &org.name))
        })
    }
}

impl OrgEntry {
    fn check(&self) -> Result<(), Problem> {
        let quotas = &self.space_quotas;
        unique("space quota", "space_quotas", quotas, |it| &it.name)?;
        unique("space", "spaces", &self.spaces, |it| &it.name)?;
        each("spaces", &self.spaces, |space| {
            space
                .check()
                .map_err(|problem| problem.named("space", &space.name))
        })
    }
}

impl SpaceEntry {
    fn check(&self) -> Result<(), Problem> {
        unique("app", "apps", &self.apps, AppEntry::name)?;
        let instances = &self.service_instances;
        unique("service instance", "service_instances", instances, |it| {
            &it.name
        })
    }
}

/// Refuses a name that is declared twice, in upper or lower case.
fn unique<T>(
    what: &str,
    key: &str,
    list: &[T],
    name_of: impl Fn(&T) -> &str,
) -> Result<(), Problem> {
    let mut known = HashSet::new();
    each(key, list, |element| {
        let name = name_of(element);
        match known.insert(name.to_lowercase()) {
            true => Ok(()),
            false => Err(format!("{what} '{name}' is declared twice").into()),
        }
    })
}

/// The version of the format, which is 1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u64::deserialize(from)? {
            1 => Ok(Self),
            other => Err(D::Error::custom(format!(
                "the version is {other}, must be 1"
            ))),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuotaEntry {
    pub(super) name: String,
    pub(super) apps: Option<Value>,
    pub(super) services: Option<Value>,
    pub(super) routes: Option<Value>,
    pub(super) domains: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecurityGroupEntry {
    pub(super) name: String,
    #[serde(default)]
    pub(super) rules: Vec<Value>,
    #[serde(default)]
    pub(super) globally_enabled: GloballyEnabled,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GloballyEnabled {
    pub(super) running: bool,
    pub(super) staging: bool,
}

/// A user: only a name, or also the credentials in UAA.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum UserEntry {
    Name(String),
    Account(AccountEntry),
}

impl UserEntry {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Account(account) => &account.name,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountEntry {
    pub(super) name: String,
    pub(super) password: Option<String>,
    #[serde(default)]
    pub(super) admin: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleEntry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) user: String,
    pub(super) origin: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrgEntry {
    pub(super) name: String,
    pub(super) quota: Option<String>,
    #[serde(default)]
    pub(super) suspended: bool,
    pub(super) metadata: Option<Value>,
    #[serde(default)]
    pub(super) domains: Vec<String>,
    pub(super) isolation_segment: Option<String>,
    #[serde(default)]
    pub(super) roles: Vec<RoleEntry>,
    #[serde(default)]
    pub(super) space_quotas: Vec<QuotaEntry>,
    #[serde(default)]
    pub(super) spaces: Vec<SpaceEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpaceEntry {
    pub(super) name: String,
    pub(super) quota: Option<String>,
    #[serde(default)]
    pub(super) features: BTreeMap<String, bool>,
    #[serde(default)]
    pub(super) security_groups: Vec<String>,
    pub(super) isolation_segment: Option<String>,
    pub(super) metadata: Option<Value>,
    #[serde(default)]
    pub(super) roles: Vec<RoleEntry>,
    #[serde(default)]
    pub(super) service_instances: Vec<ServiceInstanceEntry>,
    #[serde(default)]
    pub(super) service_bindings: Vec<ServiceBindingEntry>,
    #[serde(default)]
    pub(super) network_policies: Vec<PolicyEntry>,
    #[serde(default)]
    pub(super) apps: Vec<AppEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceInstanceEntry {
    pub(super) name: String,
    #[serde(rename = "type", default = "user_provided")]
    pub(super) kind: String,
    pub(super) credentials: Option<Value>,
    pub(super) syslog_drain_url: Option<String>,
    pub(super) route_service_url: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
}

fn user_provided() -> String {
    "user-provided".into()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceBindingEntry {
    pub(super) app: String,
    pub(super) service_instance: String,
    pub(super) name: Option<String>,
    pub(super) parameters: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyEntry {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) protocol: Option<String>,
    pub(super) ports: Option<Value>,
}

/// The keys of an app in addition to those of a manifest.
const OWN_KEYS: [&str; 6] = [
    "state",
    "ignore_changes",
    "path",
    "droplet",
    "like",
    "bundled",
];

/// The keys of an app: those of an application of a manifest, and [`OWN_KEYS`].
const KEYS: [&str; 39] = [
    "name",
    "memory",
    "instances",
    "command",
    "env",
    "routes",
    "services",
    "buildpack",
    "buildpacks",
    "cnb-credentials",
    "default-route",
    "disk-quota",
    "disk_quota",
    "docker",
    "features",
    "health-check-http-endpoint",
    "health-check-interval",
    "health-check-invocation-timeout",
    "health-check-timeout",
    "health-check-type",
    "lifecycle",
    "log-rate-limit-per-second",
    "metadata",
    "no-route",
    "processes",
    "random-route",
    "readiness-health-check-http-endpoint",
    "readiness-health-check-interval",
    "readiness-health-check-invocation-timeout",
    "readiness-health-check-type",
    "sidecars",
    "stack",
    "timeout",
    "state",
    "ignore_changes",
    "path",
    "droplet",
    "like",
    "bundled",
];

/// An app: an application of a manifest, which is staged, and its state.
#[derive(Clone, Debug)]
pub(super) struct AppEntry(Map<String, Value>);

impl AppEntry {
    pub(super) fn name(&self) -> &str {
        let name = self.0.get("name").and_then(Value::as_str);
        name.unwrap_or_default()
    }

    /// The state. The default is `started`.
    pub(super) fn state(&self) -> &str {
        let state = self.0.get("state").and_then(Value::as_str);
        state.unwrap_or("started")
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// The image of a Docker app, and the user of its registry.
    pub(super) fn docker(&self) -> Option<(&str, Option<&str>)> {
        let docker = self.0.get("docker")?;
        let username = docker.get("username").and_then(Value::as_str);
        Some((docker.get("image")?.as_str()?, username))
    }

    /// The application without the keys that only seeds and specs have.
    pub(super) fn manifest(&self) -> Map<String, Value> {
        let mut manifest = self.0.clone();
        manifest.retain(|key, _| !OWN_KEYS.contains(&key.as_str()));
        manifest
    }
}

impl<'de> Deserialize<'de> for AppEntry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfApp;

        impl<'de> Visitor<'de> for OfApp {
            type Value = AppEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an app with its name and the keys of a manifest")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<AppEntry, M::Error> {
                let mut entry = Map::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !KEYS.contains(&key.as_str()) {
                        return Err(M::Error::unknown_field(&key, &KEYS));
                    }
                    entry.insert(key, map.next_value()?);
                }
                match entry.get("name") {
                    Some(Value::String(_)) => Ok(AppEntry(entry)),
                    _ => Err(M::Error::missing_field("name")),
                }
            }
        }

        from.deserialize_map(OfApp)
    }
}

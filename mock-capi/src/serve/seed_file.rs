//! A world to start from, written by hand: `--seed-file`, in YAML, with the key
//! names of the Cloud Controller's v3 API and of app manifests.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::message::Message;
use crate::api::shared::{byte_sizes, quota_limits};
use crate::serve::mock_capi::StartError;
use crate::world::settings::Dialect;
use crate::world::{App, Guid, Limits, RoleType, World};

/// What a seed file has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SeedFile {
    quotas: Vec<QuotaSeed>,
    security_groups: Vec<SecurityGroupSeed>,
    orgs: Vec<OrgEntry>,
    users: Vec<UserEntry>,
}

#[derive(Clone, Debug, Deserialize)]
struct QuotaSeed {
    name: String,
    /// `apps`, `services`, `routes` and `domains`, as the API has them.
    #[serde(flatten)]
    limits: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecurityGroupSeed {
    name: String,
    #[serde(default)]
    rules: Vec<Value>,
    #[serde(default)]
    globally_enabled: GloballyEnabled,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GloballyEnabled {
    running: bool,
    staging: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrgEntry {
    name: String,
    quota: Option<String>,
    #[serde(default)]
    spaces: Vec<SpaceEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpaceEntry {
    name: String,
    #[serde(default)]
    running_security_groups: Vec<String>,
    #[serde(default)]
    apps: Vec<AppEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppEntry {
    name: String,
    #[serde(default)]
    state: AppStateName,
    instances: Option<u32>,
    memory: Option<Value>,
    disk_quota: Option<Value>,
    #[serde(default)]
    env: Map<String, Value>,
    #[serde(default)]
    routes: Vec<RouteEntry>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum AppStateName {
    #[default]
    Started,
    Stopped,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    route: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    name: String,
    password: Option<String>,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    roles: Vec<RoleEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleEntry {
    #[serde(rename = "type")]
    kind: String,
    org: String,
    space: Option<String>,
}

impl SeedFile {
    /// Reads a file; errors name the line.
    pub(crate) fn read(path: &Path) -> Result<Self, StartError> {
        let refuse = |reason: String| StartError::SeedFile {
            path: PathBuf::from(path),
            reason,
        };
        let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        serde_saphyr::from_str(&text).map_err(|error| refuse(error.to_string()))
    }

    /// Puts it into a world.
    pub(crate) fn apply(&self, world: &mut World, dialect: Dialect) -> Result<(), String> {
        for quota in &self.quotas {
            let limits = quota.read(world)?;
            world.seed_quota(&quota.name, limits);
        }
        for group in &self.security_groups {
            let GloballyEnabled { running, staging } = group.globally_enabled;
            world.seed_security_group(&group.name, group.rules.clone(), running, staging);
        }
        for org in &self.orgs {
            org.apply(world, dialect)?;
        }
        for user in &self.users {
            user.apply(world)?;
        }
        Ok(())
    }
}

impl QuotaSeed {
    fn read(&self, world: &World) -> Result<Limits, String> {
        let fields = ["apps", "services", "routes", "domains"];
        let mut message = Message::new(&self.limits, &fields);
        let default = world.default_quota().map(|quota| quota.limits.clone());
        let limits = default.unwrap_or_else(Limits::of_default_quota);
        let limits = quota_limits::read(&mut message, limits);
        let read = message.finish();
        read.map_err(|error| format!("quota '{}': {}", self.name, error.details()))?;
        Ok(limits)
    }
}

impl OrgEntry {
    fn apply(&self, world: &mut World, dialect: Dialect) -> Result<(), String> {
        let org = world.seed_org(&self.name);
        if let Some(quota) = &self.quota {
            let known = world.seed_org_quota(org, quota);
            known.ok_or_else(|| format!("org '{}': there is no quota '{quota}'", self.name))?;
        }
        for space in &self.spaces {
            let guid = world.seed_space(org, &space.name);
            for group in &space.running_security_groups {
                let bound = world.seed_running_group(guid, group);
                bound.ok_or_else(|| {
                    let name = &space.name;
                    format!("space '{name}': there is no security group '{group}'")
                })?;
            }
            for app in &space.apps {
                app.apply(world, guid, dialect)?;
            }
        }
        Ok(())
    }
}

impl AppEntry {
    fn apply(&self, world: &mut World, space: Guid, dialect: Dialect) -> Result<(), String> {
        let refuse = |reason: &str| format!("app '{}': {reason}", self.name);
        let megabytes = |size: &Option<Value>| match size {
            None => Ok(None),
            Some(size) => {
                let bytes = byte_sizes::bytes(size).map_err(|error| refuse(error.reason()))?;
                let megabytes = bytes.map(|bytes| u32::try_from(bytes / (1024 * 1024)));
                megabytes
                    .transpose()
                    .map_err(|_| refuse("a size is negative or too large"))
            }
        };
        let (memory, disk) = (megabytes(&self.memory)?, megabytes(&self.disk_quota)?);
        let app = world.seed_app(space, &self.name, dialect);
        world.seed_sizes(app, self.instances, memory, disk);
        world.touch(app, |app: &mut App| {
            app.environment.extend(self.env.clone())
        });
        for RouteEntry { route } in &self.routes {
            let (name, path) = match route.find('/') {
                Some(at) => route.split_at(at),
                None => (route.as_str(), ""),
            };
            let found = world.seed_domain_of(name);
            let (host, domain) =
                found.ok_or_else(|| refuse(&format!("no domain fits the route '{route}'")))?;
            world
                .seed_route(app, domain, &host, path)
                .map_err(|why| refuse(&format!("the route '{route}' is refused: {why:?}")))?;
        }
        if self.state == AppStateName::Started {
            world.seed_started(app);
        }
        Ok(())
    }
}

impl UserEntry {
    fn apply(&self, world: &mut World) -> Result<(), String> {
        let refuse = |reason: String| format!("user '{}': {reason}", self.name);
        let account = world.seed_account(&self.name, self.password.as_deref(), self.admin);
        for role in &self.roles {
            let kind = RoleType::of_name(&role.kind);
            let kind = kind.ok_or_else(|| refuse(format!("there is no role '{}'", role.kind)))?;
            if kind.is_of_space() != role.space.is_some() {
                return Err(refuse(format!(
                    "the role '{}' needs an 'org', and a 'space' exactly if it is a space's",
                    role.kind
                )));
            }
            let given = world.seed_role(account, kind, &role.org, role.space.as_deref());
            given.ok_or_else(|| {
                let space = role.space.as_deref().unwrap_or_default();
                refuse(format!(
                    "there is no org '{}' with that space '{space}'",
                    role.org
                ))
            })?;
        }
        Ok(())
    }
}

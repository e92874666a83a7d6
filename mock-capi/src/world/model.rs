//! The rows of the world: the columns of the Cloud Controller's database.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::broker_work::{Operation, Work};
use super::guid::Guid;
use super::overlay::Placement;
use super::resources::PackageFile;
use super::table::Base;
use crate::world::clock::Timestamp;
use crate::world::error::Failure;

/// A user of the Cloud Controller, whose name is in UAA.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) base: Base,
    /// The GUID on the wire, which may be any string: that of a client is its name.
    pub(crate) id: String,
    /// Whether the user logged in before a request named them.
    #[serde(default)]
    pub(crate) active: bool,
}

/// The types of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RoleType {
    OrgAuditor,
    OrgManager,
    OrgBillingManager,
    OrgUser,
    SpaceAuditor,
    SpaceManager,
    SpaceDeveloper,
    SpaceSupporter,
}

impl RoleType {
    pub(crate) const ALL: [Self; 8] = [
        Self::OrgAuditor,
        Self::OrgManager,
        Self::OrgBillingManager,
        Self::OrgUser,
        Self::SpaceAuditor,
        Self::SpaceManager,
        Self::SpaceDeveloper,
        Self::SpaceSupporter,
    ];

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OrgAuditor => "organization_auditor",
            Self::OrgManager => "organization_manager",
            Self::OrgBillingManager => "organization_billing_manager",
            Self::OrgUser => "organization_user",
            Self::SpaceAuditor => "space_auditor",
            Self::SpaceManager => "space_manager",
            Self::SpaceDeveloper => "space_developer",
            Self::SpaceSupporter => "space_supporter",
        }
    }

    /// The event of a user who gets or loses the role.
    pub(super) fn audited(self, added: bool) -> &'static str {
        match (self, added) {
            (Self::OrgAuditor, true) => "audit.user.organization_auditor_add",
            (Self::OrgAuditor, false) => "audit.user.organization_auditor_remove",
            (Self::OrgManager, true) => "audit.user.organization_manager_add",
            (Self::OrgManager, false) => "audit.user.organization_manager_remove",
            (Self::OrgBillingManager, true) => "audit.user.organization_billing_manager_add",
            (Self::OrgBillingManager, false) => "audit.user.organization_billing_manager_remove",
            (Self::OrgUser, true) => "audit.user.organization_user_add",
            (Self::OrgUser, false) => "audit.user.organization_user_remove",
            (Self::SpaceAuditor, true) => "audit.user.space_auditor_add",
            (Self::SpaceAuditor, false) => "audit.user.space_auditor_remove",
            (Self::SpaceManager, true) => "audit.user.space_manager_add",
            (Self::SpaceManager, false) => "audit.user.space_manager_remove",
            (Self::SpaceDeveloper, true) => "audit.user.space_developer_add",
            (Self::SpaceDeveloper, false) => "audit.user.space_developer_remove",
            (Self::SpaceSupporter, true) => "audit.user.space_supporter_add",
            (Self::SpaceSupporter, false) => "audit.user.space_supporter_remove",
        }
    }

    pub(crate) fn is_of_space(self) -> bool {
        self.name().starts_with("space_")
    }
}

/// A feature flag.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FeatureFlag {
    pub(crate) base: Base,
    pub(crate) name: CowStr,
    pub(crate) enabled: bool,
    pub(crate) error_message: Option<String>,
    /// Whether the flag was ever set.
    pub(crate) changed: bool,
}

impl FeatureFlag {
    /// All flags and their defaults, by name.
    pub(crate) const DEFAULTS: [(&'static str, bool); 19] = [
        ("app_bits_upload", true),
        ("app_scaling", true),
        ("diego_cnb", false),
        ("diego_docker", false),
        ("env_var_visibility", true),
        ("hash_based_routing", false),
        ("hide_marketplace_from_unauthenticated_users", false),
        ("private_domain_creation", true),
        ("resource_matching", true),
        ("route_creation", true),
        ("route_sharing", false),
        ("service_instance_creation", true),
        ("service_instance_sharing", false),
        ("set_roles_by_username", true),
        ("space_developer_env_var_visibility", true),
        ("space_scoped_private_broker_creation", true),
        ("task_creation", true),
        ("unset_roles_by_username", true),
        ("user_org_creation", false),
    ];

    /// Whether administrators may use the feature while it is off.
    pub(crate) fn spares_admins(&self) -> bool {
        const FOR_ALL: [&str; 4] = [
            "env_var_visibility",
            "diego_cnb",
            "diego_docker",
            "route_sharing",
        ];
        !FOR_ALL.contains(&self.name.as_ref())
    }
}

/// Environment variables of all running apps, or of all apps that are staged.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EnvironmentGroup {
    pub(crate) base: Base,
    pub(crate) name: CowStr,
    pub(crate) variables: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) base: Base,
    pub(crate) kind: RoleType,
    pub(crate) user: Guid,
    /// The organization, or the organization of the space.
    pub(crate) org: Guid,
    pub(crate) space: Option<Guid>,
}

/// A string that is usually one of a few constants.
pub(crate) type CowStr = Cow<'static, str>;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Org {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) suspended: bool,
    /// A field that only v2 shows.
    #[serde(default)]
    pub(crate) billing_enabled: bool,
    pub(crate) quota: Guid,
    /// The isolation segment of the spaces that have no own one.
    pub(crate) default_segment: Option<Guid>,
}

/// Cells for the apps of some organizations.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IsolationSegment {
    pub(crate) base: Base,
    pub(crate) name: String,
    /// The entitled organizations.
    pub(crate) orgs: Vec<Guid>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Space {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) org: Guid,
    pub(crate) suspended: bool,
    pub(crate) allows_ssh: bool,
    pub(crate) segment: Option<Guid>,
    /// The space's own quota, which applies besides that of its organization.
    pub(crate) quota: Option<Guid>,
}

/// An organization quota; `None` is unlimited.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Quota {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) limits: Limits,
}

/// The quota of some spaces of an organization.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpaceQuota {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) org: Guid,
    pub(crate) limits: Limits,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) total_memory: Option<u64>,
    pub(crate) process_memory: Option<u64>,
    pub(crate) instances: Option<u64>,
    pub(crate) tasks: Option<u64>,
    pub(crate) log_rate: Option<u64>,
    pub(crate) paid_services: bool,
    pub(crate) services: Option<u64>,
    pub(crate) service_keys: Option<u64>,
    pub(crate) routes: Option<u64>,
    pub(crate) reserved_ports: Option<u64>,
    pub(crate) domains: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SecurityGroup {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) rules: Vec<Value>,
    pub(crate) running_default: bool,
    pub(crate) staging_default: bool,
    pub(crate) running_spaces: Vec<Guid>,
    pub(crate) staging_spaces: Vec<Guid>,
}

/// A shared domain; with an `org`, a private domain.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Domain {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) org: Option<Guid>,
    /// Whether only apps can reach it.
    pub(crate) internal: bool,
    /// Other organizations that may use it.
    pub(crate) shared_with: Vec<Guid>,
    /// `any`, `org` or `space`, if its routes have policies.
    #[serde(default)]
    pub(crate) route_policies_scope: Option<String>,
}

impl Domain {
    pub(crate) fn is_usable_by(&self, org: Guid) -> bool {
        self.org.is_none_or(|owner| owner == org) || self.shared_with.contains(&org)
    }
}

/// How bits or an image become a running app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Lifecycle {
    Buildpack {
        buildpacks: Vec<String>,
        stack: String,
        /// Whether the buildpacks are cloud native.
        #[serde(default)]
        cnb: bool,
    },
    Docker,
}

impl Lifecycle {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Buildpack { cnb: true, .. } => "cnb",
            Self::Buildpack { .. } => "buildpack",
            Self::Docker => "docker",
        }
    }

    /// The name of the stack; empty if there is none.
    pub(crate) fn stack(&self) -> &str {
        match self {
            Self::Buildpack { stack, .. } => stack,
            Self::Docker => "",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) space: Guid,
    pub(crate) started: bool,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) environment: Map<String, Value>,
    pub(crate) droplet: Option<Guid>,
    pub(crate) features: Features,
}

/// The optional features of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Feature {
    Ssh,
    Revisions,
    ServiceBindingK8s,
    FileBasedVcapServices,
}

impl Feature {
    pub(crate) const ALL: [Self; 4] = [
        Self::Ssh,
        Self::Revisions,
        Self::ServiceBindingK8s,
        Self::FileBasedVcapServices,
    ];

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Revisions => "revisions",
            Self::ServiceBindingK8s => "service-binding-k8s",
            Self::FileBasedVcapServices => "file-based-vcap-services",
        }
    }
}

/// The features of an app that are on, in the order of [`Feature::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Features([bool; 4]);

impl Default for Features {
    fn default() -> Self {
        Self([true, true, false, false])
    }
}

impl Features {
    pub(crate) fn has(self, feature: Feature) -> bool {
        self.0[feature as usize]
    }

    pub(crate) fn set(&mut self, feature: Feature, enabled: bool) {
        self.0[feature as usize] = enabled;
    }
}

impl App {
    pub(crate) fn state(&self) -> &'static str {
        if self.started { "STARTED" } else { "STOPPED" }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthCheck {
    pub(crate) kind: CowStr,
    pub(crate) timeout: Option<u32>,
    pub(crate) invocation_timeout: Option<u32>,
    pub(crate) interval: Option<u32>,
    pub(crate) endpoint: Option<String>,
}

impl HealthCheck {
    pub(crate) fn of(kind: &'static str) -> Self {
        Self {
            kind: kind.into(),
            timeout: None,
            invocation_timeout: None,
            interval: None,
            endpoint: None,
        }
    }
}

/// The sizes of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) instances: u32,
    pub(crate) memory_mb: u32,
    pub(crate) disk_mb: u32,
    /// Bytes per second; -1 is unlimited.
    pub(crate) log_rate: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) kind: String,
    /// The user's command; `None` for that of the droplet.
    pub(crate) command: Option<String>,
    /// The user's choice; `None` for the default.
    pub(crate) user: Option<String>,
    pub(crate) scale: Scale,
    pub(crate) health_check: HealthCheck,
    pub(crate) readiness_check: HealthCheck,
    pub(crate) started: bool,
    /// The revision that it runs, if its app has revisions.
    pub(crate) revision: Option<Guid>,
    /// Whether its instances exit after their start.
    pub(crate) crashing: bool,
    /// The start times of instances: `(n, at)` applies to those below index `n` that
    /// no earlier entry covers.
    pub(crate) starts: Vec<(u32, Timestamp)>,
    /// Where those instances are.
    #[serde(default)]
    pub(crate) placements: Vec<Placement>,
    #[serde(default)]
    pub(crate) v2: V2Marks,
}

/// Fields of a process that only v2 has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct V2Marks {
    pub(crate) production: bool,
    pub(crate) console: bool,
    pub(crate) debug: Option<String>,
    /// Whether the process is marked to run on DEA, the predecessor of Diego.
    pub(crate) on_dea: bool,
    /// The chosen ports.
    pub(crate) ports: Vec<u16>,
    /// Whether v2 set an environment, which may be empty.
    pub(crate) environment: bool,
}

/// A command that runs beside the processes of some types.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) process_types: Vec<String>,
    pub(crate) memory_mb: Option<u32>,
}

/// A service instance: user-provided, with credentials, or managed by a broker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceInstance {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) space: Guid,
    pub(crate) tags: Vec<String>,
    pub(crate) credentials: Option<Map<String, Value>>,
    pub(crate) syslog_drain_url: Option<String>,
    pub(crate) route_service_url: Option<String>,
    /// When it was last changed.
    pub(crate) changed: Option<Timestamp>,
    /// Only managed instances have this.
    #[serde(default)]
    pub(crate) managed: Option<Box<Managed>>,
    /// Other spaces whose apps may be bound to it.
    #[serde(default)]
    pub(crate) shared_with: Vec<Guid>,
}

/// The fields of a managed instance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Managed {
    pub(crate) plan: Guid,
    pub(crate) dashboard_url: Option<String>,
    pub(crate) maintenance_info: Option<Map<String, Value>>,
    pub(crate) broker_metadata: Option<Value>,
    pub(crate) operation: Operation,
}

impl ServiceInstance {
    /// The plan of a managed instance.
    pub(crate) fn plan(&self) -> Option<Guid> {
        self.managed.as_ref().map(|managed| managed.plan)
    }

    /// Whether apps of a space may be bound to it.
    pub(crate) fn is_usable_in(&self, space: Guid) -> bool {
        self.space == space || self.shared_with.contains(&space)
    }
}

/// Credentials of a service instance: those of a bound app, or a service key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceBinding {
    pub(crate) base: Base,
    pub(crate) name: Option<String>,
    /// `None` for a key.
    pub(crate) app: Option<Guid>,
    pub(crate) instance: Guid,
    /// Only bindings of managed instances have this.
    #[serde(default)]
    pub(crate) operation: Option<Operation>,
    #[serde(default)]
    pub(crate) credentials: Option<Value>,
    #[serde(default)]
    pub(crate) syslog_drain_url: Option<String>,
    #[serde(default)]
    pub(crate) volume_mounts: Option<Value>,
}

/// A route whose requests go through a service instance first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RouteBinding {
    pub(crate) base: Base,
    pub(crate) route: Guid,
    pub(crate) instance: Guid,
    pub(crate) route_service_url: Option<String>,
    /// Only bindings of managed instances have this.
    pub(crate) operation: Option<Operation>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PackageKind {
    Bits,
    Docker {
        image: String,
        username: Option<String>,
    },
}

/// Uploaded bits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) sha256: String,
    pub(crate) files: Arc<[PackageFile]>,
    /// Whether the bits were copied from another package.
    pub(crate) copied: bool,
    pub(crate) error: Option<String>,
    pub(crate) ready_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Package {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) kind: PackageKind,
    pub(crate) upload: Option<Upload>,
    /// Whether the bits were deleted, because the app has newer ones.
    #[serde(default)]
    pub(crate) expired: bool,
}

impl Package {
    /// Whether the package can be staged.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        self.state(now) == "READY"
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            PackageKind::Bits => "bits",
            PackageKind::Docker { .. } => "docker",
        }
    }

    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        if self.expired {
            return "EXPIRED";
        }
        match (&self.kind, &self.upload) {
            (PackageKind::Docker { .. }, _) => "READY",
            (PackageKind::Bits, None) => "AWAITING_UPLOAD",
            (PackageKind::Bits, Some(upload)) if now < upload.ready_at => {
                if upload.copied {
                    "COPYING"
                } else {
                    "PROCESSING_UPLOAD"
                }
            }
            (PackageKind::Bits, Some(upload)) if upload.error.is_some() => "FAILED",
            (PackageKind::Bits, Some(_)) => "READY",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) package: Guid,
    pub(crate) droplet: Guid,
    pub(crate) ready_at: Timestamp,
    pub(crate) error: Option<String>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) memory_mb: u32,
    pub(crate) disk_mb: u32,
    pub(crate) log_rate: i64,
    /// The GUID and the name of the user.
    pub(crate) created_by: (String, Option<String>),
}

impl Build {
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match &self.error {
            _ if now < self.ready_at => "STAGING",
            Some(_) => "FAILED",
            None => "STAGED",
        }
    }
}

/// How a droplet is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    Staging,
    Copying,
    /// A client will upload it.
    Awaited,
    Uploading,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Droplet {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) package: Option<Guid>,
    pub(crate) origin: Origin,
    pub(crate) ready_at: Timestamp,
    pub(crate) error: Option<String>,
    pub(crate) sha256: String,
    /// The start commands by type of process.
    pub(crate) process_types: Map<String, Value>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) image: Option<String>,
    /// Whether the bits were deleted, because the app has newer ones.
    #[serde(default)]
    pub(crate) expired: bool,
}

impl Droplet {
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        if self.expired {
            return "EXPIRED";
        }
        match (self.origin, &self.error) {
            (Origin::Staging, _) if now < self.ready_at => "STAGING",
            (Origin::Copying, _) if now < self.ready_at => "COPYING",
            (Origin::Awaited, _) => "AWAITING_UPLOAD",
            (Origin::Uploading, _) if now < self.ready_at => "PROCESSING_UPLOAD",
            (_, Some(_)) => "FAILED",
            (_, None) => "STAGED",
        }
    }

    pub(crate) fn is_staged(&self, now: Timestamp) -> bool {
        self.state(now) == "STAGED"
    }

    /// Whether clients see the droplet; those that are being staged are hidden.
    pub(crate) fn is_shown(&self, now: Timestamp) -> bool {
        self.origin != Origin::Staging || self.expired || self.is_staged(now)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Destination {
    pub(crate) guid: Guid,
    pub(crate) app: Guid,
    pub(crate) process: String,
    pub(crate) weight: Option<u8>,
    pub(crate) port: Option<u16>,
    pub(crate) protocol: CowStr,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) base: Base,
    pub(crate) space: Guid,
    /// Other spaces whose apps may be its destinations.
    pub(crate) shared_with: Vec<Guid>,
    pub(crate) domain: Guid,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) port: Option<u16>,
    pub(crate) options: Map<String, Value>,
    pub(crate) destinations: Vec<Destination>,
}

impl Route {
    pub(crate) fn is_usable_in(&self, space: Guid) -> bool {
        self.space == space || self.shared_with.contains(&space)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) droplet: Guid,
    /// The number of the task within its app.
    pub(crate) sequence: u64,
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) user: Option<String>,
    pub(crate) memory_mb: u32,
    pub(crate) disk_mb: u32,
    pub(crate) log_rate: i64,
    pub(crate) ready_at: Timestamp,
    pub(crate) canceled: bool,
    pub(crate) failure: Option<String>,
}

impl Task {
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match &self.failure {
            _ if now < self.ready_at && self.canceled => "CANCELING",
            _ if now < self.ready_at => "RUNNING",
            Some(_) => "FAILED",
            None => "SUCCEEDED",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stack {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) state: StackState,
    pub(crate) state_reason: Option<String>,
}

/// What a stack may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StackState {
    Active,
    Deprecated,
    Restricted,
    Disabled,
}

impl StackState {
    pub(crate) const ALL: [Self; 4] = [
        Self::Active,
        Self::Restricted,
        Self::Deprecated,
        Self::Disabled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Deprecated => "DEPRECATED",
            Self::Restricted => "RESTRICTED",
            Self::Disabled => "DISABLED",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Buildpack {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) stack: Option<String>,
    /// `buildpack` or `cnb`.
    pub(crate) lifecycle: CowStr,
    /// Counted from 1, among the buildpacks of the same lifecycle.
    pub(crate) position: u32,
    pub(crate) enabled: bool,
    pub(crate) locked: bool,
    /// The name of the uploaded file, and when it was processed.
    pub(crate) file: Option<(String, Timestamp)>,
}

impl Buildpack {
    /// The name of the uploaded file, after it was processed.
    pub(crate) fn file_name(&self, now: Timestamp) -> Option<&str> {
        let file = self.file.as_ref().filter(|(_, ready_at)| *ready_at <= now);
        file.map(|(name, _)| name.as_str())
    }
}

/// The state of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DeploymentState {
    Deploying,
    Prepaused,
    Paused,
    Deployed,
    Canceling,
    Canceled,
}

impl DeploymentState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deploying => "DEPLOYING",
            Self::Prepaused => "PREPAUSED",
            Self::Paused => "PAUSED",
            Self::Deployed => "DEPLOYED",
            Self::Canceling => "CANCELING",
            Self::Canceled => "CANCELED",
        }
    }
}

/// How a deployment proceeds, and what it changes besides the droplet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeploymentOptions {
    /// Whether the strategy is `canary` instead of `rolling`.
    pub(crate) canary: bool,
    pub(crate) max_in_flight: u32,
    pub(crate) web_instances: Option<u32>,
    pub(crate) memory_mb: Option<u32>,
    pub(crate) disk_mb: Option<u32>,
    pub(crate) log_rate: Option<i64>,
    /// The weight of each step, in percent.
    pub(crate) canary_steps: Option<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) state: DeploymentState,
    /// The `reason` of the status.
    pub(crate) reason: CowStr,
    pub(crate) droplet: Guid,
    pub(crate) previous_droplet: Option<Guid>,
    /// GUID and version of the deployed revision, if the app has revisions.
    pub(crate) revision: Option<(Guid, u32)>,
    /// The web process that it starts, which may have been deleted since.
    pub(crate) process: Option<Guid>,
    /// The number of instances before the deployment.
    pub(crate) original_instances: u32,
    /// Counted from 1; `None` unless it is a canary deployment.
    pub(crate) canary_step: Option<usize>,
    pub(crate) options: DeploymentOptions,
    pub(crate) healthy_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) error: Option<String>,
}

/// A job, which a real Cloud Controller runs in the background.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) base: Base,
    /// The type of the resource and the operation, such as `app.delete`.
    pub(crate) operation: String,
    /// The resource.
    pub(crate) of: Option<Guid>,
    pub(crate) ready_at: Timestamp,
    pub(crate) failure: Option<Failure>,
    /// The remaining work with service brokers.
    #[serde(default)]
    pub(crate) work: Option<Box<Work>>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

impl Job {
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match self.failure {
            _ if self.work.as_ref().is_some_and(|work| work.polls) => "POLLING",
            _ if self.work.is_some() => "PROCESSING",
            _ if now < self.ready_at => "PROCESSING",
            Some(_) => "FAILED",
            None => "COMPLETE",
        }
    }
}

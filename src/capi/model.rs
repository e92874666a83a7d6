//! The Cloud Controller's resources: one type each, the same for both dialects.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::poll::Progress;

/// The label that marks orgs, spaces and apps as ours.
pub(crate) const MANAGED_BY_LABEL: &str = "managed-by";
/// The value of that label, and of [`MANAGED_BY_VARIABLE`].
pub(crate) const MANAGED_BY_VALUE: &str = "cf-pusher";
/// The annotation with the prefix that something was created for.
pub(crate) const PREFIX_ANNOTATION: &str = "cf-pusher-prefix";
/// The annotation of a package, and of the droplet that was staged from it: the
/// SHA-256 of its bits. A droplet that has it accounts for all packages of its app.
pub(crate) const BITS_ANNOTATION: &str = "cf-pusher-bits-sha256";
/// The annotation of clones until a run of `clone` has finished all of them: the GUID of
/// their source.
pub(crate) const CLONE_ANNOTATION: &str = "cf-pusher-clone-of";
/// In 2017, the environment variable that replaces the label.
pub(crate) const MANAGED_BY_VARIABLE: &str = "CF_PUSHER_MANAGED_BY";
/// In 2017, the environment variable that replaces the annotation of bits.
pub(crate) const BITS_VARIABLE: &str = "CF_PUSHER_BITS_SHA256";

/// The environment variables of an app.
pub(crate) type Env = BTreeMap<String, String>;

/// Labels or annotations. In a request, one without a value is removed.
pub(crate) type Labels = BTreeMap<String, Option<String>>;

/// Labels and annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: Labels,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: Labels,
}

/// Whether a resource has our label, and its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) managed: bool,
    /// The owner that an annotation names.
    pub(crate) owner: Option<String>,
}

impl Ownership {
    /// Whether it is managed, and has this owner or none.
    pub(crate) fn is_of(&self, owner: &str) -> bool {
        self.managed && self.owner.as_deref().is_none_or(|it| it == owner)
    }
}

impl Metadata {
    /// The label that marks a resource as managed, and the annotation with its owner.
    pub(crate) fn managed(prefix: &str) -> Self {
        let one = |key: &str, value: &str| Labels::from([(key.to_owned(), Some(value.to_owned()))]);
        Self {
            labels: one(MANAGED_BY_LABEL, MANAGED_BY_VALUE),
            annotations: one(PREFIX_ANNOTATION, prefix),
        }
    }

    /// Whether it has our label.
    pub(crate) fn is_managed(&self) -> bool {
        let label = self.labels.get(MANAGED_BY_LABEL);
        label.and_then(Option::as_deref) == Some(MANAGED_BY_VALUE)
    }

    pub(crate) fn ownership(&self) -> Ownership {
        Ownership {
            managed: self.is_managed(),
            owner: self.annotations.get(PREFIX_ANNOTATION).cloned().flatten(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// An organization.
#[derive(Debug, Clone, Default)]
pub(crate) struct Org {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) ownership: Ownership,
    /// The GUID of its quota.
    pub(crate) quota: Option<String>,
    /// Whether its users may change nothing; not read in 2017.
    pub(crate) is_suspended: bool,
    /// Empty in 2017.
    pub(crate) labels: Labels,
    /// Empty in 2017.
    pub(crate) annotations: Labels,
}

/// The limits of a quota by section and key; `None` is no limit. They are numbers, and
/// only `paid_services_allowed` is a flag. Empty in 2017.
pub(crate) type Limits = BTreeMap<String, BTreeMap<String, Option<Value>>>;

/// The quota that the Cloud Controller gives to orgs without one. It is the foundation's,
/// even if there is only one org.
pub(crate) const DEFAULT_QUOTA: &str = "default";

/// A quota of orgs.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrgQuota {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUIDs of the orgs that it applies to, as far as the user sees them.
    pub(crate) orgs: Vec<String>,
    /// Whether it has no limit, as one that we create.
    pub(crate) is_unlimited: bool,
    pub(crate) limits: Limits,
    /// The memory that the apps of an org may take in all, in MB. `None` without a limit.
    pub(crate) memory_mb: Option<u64>,
}

/// A quota of an org's spaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpaceQuota {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its org.
    pub(crate) org: String,
    pub(crate) limits: Limits,
}

/// A service instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceInstance {
    /// Empty in 2017.
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its org; empty in lists by space.
    pub(crate) org: String,
    /// The GUID of its space; empty in 2017.
    pub(crate) space: String,
    /// Unknown in 2017.
    pub(crate) ownership: Ownership,
    pub(crate) tags: Vec<String>,
    pub(crate) syslog_drain_url: Option<String>,
    pub(crate) route_service_url: Option<String>,
    /// The GUID of its service plan; `None` if it is user-provided.
    pub(crate) plan: Option<String>,
    /// The last work of its broker and how it went, such as `create failed`; empty if
    /// it is user-provided.
    pub(crate) last_operation: String,
}

/// A service instance that is to be created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewServiceInstance<'a> {
    pub(crate) name: &'a str,
    /// The GUID of its space.
    pub(crate) space: &'a str,
    pub(crate) settings: ServiceSettings<'a>,
    pub(crate) metadata: &'a Metadata,
}

/// The settings of a service instance. What is `None` keeps its value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServiceSettings<'a> {
    pub(crate) tags: Option<&'a [String]>,
    /// The GUID of the service plan of a managed service instance.
    pub(crate) plan: Option<&'a str>,
    pub(crate) parameters: Option<&'a Map<String, Value>>,
    pub(crate) credentials: Option<&'a Map<String, Value>>,
    /// `Some(None)` for none.
    pub(crate) syslog_drain_url: Option<Option<&'a str>>,
    /// `Some(None)` for none.
    pub(crate) route_service_url: Option<Option<&'a str>>,
}

/// A service plan, with the names of what it is of.
#[derive(Debug, Clone)]
pub(crate) struct ServicePlan {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) offering: String,
    pub(crate) broker: String,
}

/// A role of a user.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// Such as `organization_manager`.
    pub(crate) kind: String,
    /// The user's name, or the GUID of a user without name, such as a UAA client.
    pub(crate) user: String,
    pub(crate) origin: Option<String>,
    /// The GUID of its org or space.
    pub(crate) place: String,
}

/// A user that the Cloud Controller knows.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) guid: String,
    /// `None` of a UAA client.
    pub(crate) name: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) ownership: Ownership,
}

/// An isolation segment: a part of the cells.
#[derive(Debug, Clone)]
pub(crate) struct IsolationSegment {
    pub(crate) guid: String,
    pub(crate) name: String,
}

/// A feature of the foundation.
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
    /// The GUID of its quota; not read in 2017.
    pub(crate) quota: Option<String>,
    /// Empty in 2017.
    pub(crate) labels: Labels,
    /// Empty in 2017.
    pub(crate) annotations: Labels,
}

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

/// A security group that is to be created.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NewSecurityGroup<'a> {
    pub(crate) name: &'a str,
    pub(crate) rules: &'a [Rule],
    /// The GUIDs of the spaces whose running apps it applies to.
    pub(crate) running_spaces: &'a [&'a str],
    pub(crate) enabled: Enabled,
}

/// Whether a security group applies to all spaces, in a request. `None` keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Enabled {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) running: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) staging: Option<bool>,
}

/// One rule of a security group: what traffic it allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) protocol: String,
    pub(crate) destination: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ports: Option<String>,
    /// The type of ICMP messages.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) icmp_type: Option<i64>,
    /// The code of ICMP messages.
    #[serde(default, rename = "code", skip_serializing_if = "Option::is_none")]
    pub(crate) icmp_code: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<bool>,
}

/// A domain that routes can be in.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// Whether it can have HTTP routes that are reachable from outside the foundation.
    pub(crate) is_for_apps: bool,
    /// The GUID of the org that owns it; `None` for one that all orgs share.
    pub(crate) owner: Option<String>,
    /// Unknown in 2017.
    pub(crate) ownership: Ownership,
}

/// An app, as lists of apps show it.
#[derive(Debug, Clone, Default)]
pub(crate) struct App {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its space.
    pub(crate) space: String,
    /// Whether its desired state is STARTED.
    pub(crate) is_started: bool,
    /// Unknown in 2017, where an environment variable of the app replaces the label.
    pub(crate) ownership: Ownership,
    /// The buildpacks that it is staged with. Empty if they are detected.
    pub(crate) buildpacks: Vec<String>,
    /// The GUID of the droplet that the app runs with. `None` if it has none, or
    /// where the foundation's lists of apps do not show it.
    pub(crate) current_droplet: Option<String>,
    /// The GUID of the app that it is an unfinished clone of, if it is one.
    pub(crate) clone_of: Option<String>,
}

/// The apps of orgs, and the spaces that the same list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrgApps {
    pub(crate) apps: Vec<App>,
    /// The spaces that have apps. Empty in 2017.
    pub(crate) spaces: Vec<Space>,
}

/// The properties of an app that is to be created.
#[derive(Debug, Clone)]
pub(crate) struct NewApp<'a> {
    pub(crate) name: &'a str,
    /// The GUID of its space.
    pub(crate) space: &'a str,
    pub(crate) env: &'a Env,
    /// The buildpacks to stage with. Empty if they are detected, or if a droplet is
    /// copied.
    pub(crate) buildpacks: &'a [String],
    pub(crate) metadata: &'a Metadata,
}

/// The new scale of a process. `None` keeps a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) instances: Option<u32>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) disk_mb: Option<u64>,
}

/// A process of an app.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process {
    pub(crate) guid: String,
    pub(crate) kind: String,
    /// The GUID of its app.
    pub(crate) app: String,
    /// The desired number of instances.
    pub(crate) instances: u32,
    pub(crate) memory_mb: u64,
    pub(crate) disk_mb: u64,
    /// The actual instances.
    pub(crate) actual: Vec<Instance>,
}

/// What the summary of a space shows of one of its apps, in 2017.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) env: Env,
    /// The command of the web process, if it is its own.
    pub(crate) command: Option<String>,
    /// Such as `port` or `http`.
    pub(crate) health_check_type: Option<String>,
    pub(crate) health_check_http_endpoint: Option<String>,
    /// The GUIDs of its routes.
    pub(crate) routes: Vec<String>,
    pub(crate) web: Process,
}

/// An instance of a process.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Instance {
    pub(crate) index: u64,
    pub(crate) state: InstanceState,
    /// The reason for the state, if the Cloud Controller gives one.
    pub(crate) details: Option<String>,
    /// For how long it has been in that state, in seconds; or, if the number is
    /// larger than any uptime, since which UNIX time.
    #[serde(default, alias = "uptime")]
    pub(crate) since: Option<f64>,
}

/// The state of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum InstanceState {
    Running,
    Starting,
    Down,
    Crashed,
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "RUNNING",
            Self::Starting => "STARTING",
            Self::Down => "DOWN",
            Self::Crashed => "CRASHED",
            Self::Other(state) => state,
        })
    }
}

impl Process {
    /// How many instances are in this state.
    pub(crate) fn count(&self, state: &InstanceState) -> usize {
        let actual = self.actual.iter();
        actual.filter(|instance| instance.state == *state).count()
    }

    /// How many instances run.
    pub(crate) fn running(&self) -> usize {
        self.count(&InstanceState::Running)
    }

    /// Whether there are instances, and all of them crashed.
    pub(crate) fn has_only_crashed(&self) -> bool {
        !self.actual.is_empty() && self.count(&InstanceState::Crashed) == self.actual.len()
    }
}

/// The state of a package, a build or a droplet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ResourceState {
    /// A package can be staged.
    Ready,
    /// A build is done; an app can run with a droplet.
    Staged,
    /// It is being staged; of builds, and in 2017 of droplets.
    #[serde(alias = "PENDING")]
    Staging,
    Failed,
    Expired,
    /// It is being uploaded or copied.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "READY",
            Self::Staged => "STAGED",
            Self::Staging => "STAGING",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Other(state) => state,
        })
    }
}

impl ResourceState {
    /// The progress of a resource towards the state `done`.
    fn progress<T>(self, done: &Self, error: Option<String>, resource: T) -> Progress<T> {
        match self {
            state if state == *done => Progress::Done(resource),
            state @ (Self::Failed | Self::Expired) => {
                Progress::Failed(error.unwrap_or_else(|| state.to_string()))
            }
            state => Progress::Pending(state.to_string()),
        }
    }
}

/// A package: the bits or image that an app is staged from.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) guid: String,
    /// The GUID of its app.
    pub(crate) app: String,
    pub(crate) state: ResourceState,
    /// The SHA-256 of its bits, where we annotated it.
    pub(crate) bits: Option<String>,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

impl Package {
    /// Whether it can be staged.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == ResourceState::Ready
    }

    /// The progress until it can be staged.
    pub(crate) fn progress(self) -> Progress<Self> {
        let (state, error) = (self.state.clone(), self.error.clone());
        state.progress(&ResourceState::Ready, error, self)
    }
}

/// A Docker image, with the login of its registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DockerImage<'a> {
    pub(crate) image: &'a str,
    /// User and password.
    pub(crate) login: Option<(&'a str, &'a str)>,
}

/// The staging of a package into a droplet.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) guid: String,
    pub(crate) state: ResourceState,
    /// The GUID of the droplet. In 2017, the build and the droplet are one resource.
    pub(crate) droplet: Option<String>,
    /// When it began, in nanoseconds since 1970 by the foundation's clock.
    pub(crate) created_at: Option<i64>,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

impl Build {
    /// The progress of the staging.
    pub(crate) fn progress(self) -> Progress<Self> {
        let (state, error) = (self.state.clone(), self.error.clone());
        state.progress(&ResourceState::Staged, error, self)
    }
}

/// A droplet: a staged app, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Droplet {
    pub(crate) guid: String,
    /// The GUID of its app.
    pub(crate) app: String,
    pub(crate) state: ResourceState,
    /// The same for a droplet and its copies.
    pub(crate) checksum: Option<String>,
    /// The SHA-256 of the bits that it was staged from, where we annotated it.
    pub(crate) bits: Option<String>,
    /// Whether that is annotated on the droplet itself, or in 2017 on the app that
    /// runs with it.
    pub(crate) annotated: bool,
    /// The GUID of the package that it was staged from; none for a copy.
    pub(crate) package: Option<String>,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

impl Droplet {
    /// The progress until an app can run with it.
    pub(crate) fn progress(self) -> Progress<Self> {
        let (state, error) = (self.state.clone(), self.error.clone());
        state.progress(&ResourceState::Staged, error, self)
    }
}

/// A route.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    pub(crate) guid: String,
    /// The GUID of its space.
    pub(crate) space: String,
    /// Empty for a route of a whole domain.
    pub(crate) host: String,
    /// The GUID of its domain.
    pub(crate) domain: String,
    /// Empty for most routes.
    pub(crate) path: String,
    /// The port of a TCP route.
    pub(crate) port: Option<u32>,
    /// Empty in 2017.
    pub(crate) url: String,
    pub(crate) destinations: Vec<Destination>,
}

/// A route that is to be created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRoute<'a> {
    /// Empty for a route of a whole domain.
    pub(crate) host: &'a str,
    /// The GUID of its domain.
    pub(crate) domain: &'a str,
    /// The GUID of its space.
    pub(crate) space: &'a str,
    /// Beginning with `/`.
    pub(crate) path: Option<&'a str>,
}

/// The port that apps listen on unless a destination says otherwise.
const DEFAULT_PORT: u32 = 8080;

impl Destination {
    /// Whether a manifest maps routes to this destination.
    pub(crate) fn is_default(&self) -> bool {
        self.process_type == "web" && self.port.is_none_or(|port| port == DEFAULT_PORT)
    }
}

/// A destination of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The GUID of the app.
    pub(crate) app: String,
    /// The type of the app's process, usually `web`.
    pub(crate) process_type: String,
    /// `None` for the app's default port.
    pub(crate) port: Option<u32>,
    /// `http1`, `http2` or `tcp`; `None` in 2017 and for apps that never ran.
    pub(crate) protocol: Option<String>,
}

/// The health check of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HealthCheck<'a> {
    /// `port`, `process` or `http`. `None` keeps it.
    pub(crate) kind: Option<&'a str>,
    /// The path that an `http` check requests.
    pub(crate) endpoint: Option<&'a str>,
    /// How many seconds one check may take.
    pub(crate) invocation_timeout: Option<u64>,
}

/// A deployment that is to be created.
#[derive(Debug, Clone)]
pub(crate) struct NewDeployment<'a> {
    /// The GUID of the app.
    pub(crate) app: &'a str,
    /// The GUID of the droplet.
    pub(crate) droplet: &'a str,
    pub(crate) options: DeploymentOptions<'a>,
}

/// How instances are replaced. The foundation decides what is `None`.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeploymentOptions<'a> {
    /// `rolling` or `canary`.
    pub(crate) strategy: Option<&'static str>,
    pub(crate) max_in_flight: Option<u32>,
    /// Percentages.
    pub(crate) canary_steps: &'a [u32],
    pub(crate) web_instances: Option<u32>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) disk_mb: Option<u64>,
    /// Bytes a second; -1 for no limit.
    pub(crate) log_rate_limit: Option<i64>,
}

/// A deployment: the instances of an app are replaced.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// `ACTIVE` or `FINALIZED`.
    pub(crate) status: String,
    /// Why it has that status, such as `DEPLOYING`, `PAUSED` or `DEPLOYED`.
    pub(crate) reason: String,
    /// The GUID of the process that replaces the other.
    pub(crate) new_process: Option<String>,
}

/// A file that the Cloud Controller may already have.
#[derive(Debug, Clone)]
pub(crate) struct Resource<'a> {
    pub(crate) path: &'a str,
    /// Unix permissions.
    pub(crate) mode: u32,
    /// The SHA-1 of its content, in hexadecimal.
    pub(crate) sha1: String,
    /// Bytes.
    pub(crate) size: u64,
}

/// One difference between a manifest and its apps, by the Cloud Controller.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiffEntry {
    pub(crate) op: DiffOp,
    /// Keys and positions from the manifest's root, such as `applications`, `0`, `env`, `A`.
    pub(crate) path: Vec<String>,
    /// The app's value.
    pub(crate) was: ManifestValue,
    /// The manifest's value.
    pub(crate) value: ManifestValue,
}

/// What applying the manifest does to a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiffOp {
    Add,
    Replace,
    Remove,
    /// An item of a list has another position.
    Move,
}

/// A value of a manifest, as the Cloud Controller shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum ManifestValue {
    #[default]
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    /// In the order in which the Cloud Controller shows them.
    Map(Vec<(String, Self)>),
}

impl From<ManifestValue> for Value {
    fn from(value: ManifestValue) -> Self {
        match value {
            ManifestValue::Null => Self::Null,
            ManifestValue::Bool(is) => Self::Bool(is),
            ManifestValue::Int(number) => match i64::try_from(number) {
                Ok(number) => Self::from(number),
                Err(_) => Self::String(number.to_string()),
            },
            ManifestValue::Float(number) => Self::from(number),
            ManifestValue::Text(text) => Self::String(text),
            ManifestValue::List(items) => items.into_iter().map(Self::from).collect(),
            ManifestValue::Map(pairs) => {
                let pairs = pairs.into_iter();
                pairs.map(|(key, value)| (key, Self::from(value))).collect()
            }
        }
    }
}

//! The steps of a plan.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::converge::target::Target;
use crate::desired::Limits;
use crate::manifest::entry::{ManifestEntry, REDACTED};

/// One step: a request, or the wait for the work that a request started.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Enables or disables a feature flag of the foundation.
    SetFeatureFlag {
        /// Whether it is enabled.
        enabled: bool,
    },
    /// Creates the user.
    CreateUser,
    /// Creates the domain.
    CreateDomain {
        /// The name of the org that owns it. `None` for a shared domain.
        org: Option<String>,
    },
    /// Creates the quota with only its desired limits.
    CreateQuota,
    /// Sets limits of the quota. All others are kept.
    SetLimits {
        /// The limits.
        limits: Limits,
    },
    /// Suspends the org, or ends the suspension.
    SetSuspended {
        /// Whether it is suspended.
        suspended: bool,
    },
    /// Creates the quota for spaces of the org.
    CreateSpaceQuota,
    /// Applies the quota of the org to the space.
    ApplySpaceQuota {
        /// The quota's name.
        quota: String,
    },
    /// Lets the spaces of the org use an isolation segment.
    EntitleIsolationSegment {
        /// The isolation segment's name.
        segment: String,
    },
    /// Sets the isolation segment of the org or space.
    SetIsolationSegment {
        /// The isolation segment's name.
        segment: String,
    },
    /// Enables or disables a feature of the space.
    SetFeature {
        /// The feature, such as `ssh`.
        feature: String,
        /// Whether it is enabled.
        enabled: bool,
    },
    /// Gives the user the role.
    AssignRole,
    /// Creates the service instance, and waits for its broker.
    CreateService,
    /// Waits for the broker of the service instance.
    AwaitService,
    /// Changes settings of the service instance, and waits for its broker.
    UpdateService {
        /// The settings, such as `tags`.
        settings: Vec<String>,
    },
    /// Deletes the service instance, and waits for its broker.
    DeleteService,
    /// Deletes the org or space with everything in it, or another resource.
    Delete {
        /// Its GUID.
        guid: String,
    },
    /// Deletes the network policy.
    DeletePolicy,
    /// Allows apps to send traffic to other apps.
    AllowTraffic {
        /// The pairs of apps that the policy does not cover yet.
        pairs: Vec<(Target, Target)>,
        /// `tcp` or `udp`.
        protocol: String,
        /// The first and the last port.
        ports: (u16, u16),
    },
    /// Creates the org.
    CreateOrg,
    /// Assigns the org its quota.
    AssignQuota {
        /// The quota's name.
        quota: String,
    },
    /// Creates the space.
    CreateSpace,
    /// Sets labels and annotations of the org or space.
    SetMetadata {
        /// The labels.
        labels: BTreeMap<String, String>,
        /// The annotations.
        annotations: BTreeMap<String, String>,
    },
    /// Creates the security group.
    CreateSecurityGroup {
        /// The spaces whose running apps it applies to.
        spaces: Vec<Target>,
    },
    /// Sets whether the security group applies to all spaces.
    EnableSecurityGroup {
        /// Whether it applies to all running apps. `None` keeps the current value.
        running: Option<bool>,
        /// Whether it applies to all stagings. `None` keeps the current value.
        staging: Option<bool>,
    },
    /// Sets the rules of the security group.
    UpdateSecurityGroup,
    /// Applies the security group to the running apps of more spaces.
    BindSecurityGroup {
        /// The spaces.
        spaces: Vec<Target>,
    },
    /// Unbinds the security group from the running apps of some spaces.
    UnbindSecurityGroup {
        /// The spaces.
        spaces: Vec<Target>,
    },
    /// Creates the app with its environment.
    CreateApp {
        /// The environment variables.
        #[serde(serialize_with = "redacted_env")]
        env: Arc<BTreeMap<String, String>>,
        /// The buildpacks. Empty if they are detected.
        buildpacks: Vec<String>,
        /// `docker` or `cnb`. `None` if it is staged by buildpacks.
        #[serde(skip_serializing_if = "Option::is_none")]
        lifecycle: Option<String>,
    },
    /// Applies a manifest with this entry and the entries of other apps. A missing app is
    /// created.
    ApplyManifest {
        /// The entry.
        #[serde(serialize_with = "redacted_entry")]
        entry: Box<ManifestEntry>,
    },
    /// Removes the droplet's annotation, so that the droplet no longer accounts for the
    /// app's packages.
    RemoveBitsHash {
        /// The droplet's GUID.
        droplet: String,
    },
    /// Deletes an unused package.
    DeletePackage {
        /// The package's GUID.
        package: String,
    },
    /// Creates a package from the bits or the Docker image of the group.
    PushBits,
    /// Uploads the droplet of the group.
    UploadDroplet,
    /// Stages a package.
    Stage {
        /// The package. A new one is that of [`Step::PushBits`] of the same app.
        package: ResourceRef,
        /// The buildpacks to stage with, if they differ from the app's.
        buildpacks: Option<Vec<String>>,
    },
    /// Copies the droplet of the prototype.
    CopyDroplet {
        /// The droplet. A new one is that of [`Step::Stage`] of the prototype.
        from: ResourceRef,
    },
    /// Waits until the copy of the droplet is ready.
    AwaitDroplet,
    /// Stops the app.
    Stop,
    /// Sets the current droplet of the app.
    SetDroplet {
        /// The droplet. A new one is that of an earlier step of the same app.
        droplet: ResourceRef,
    },
    /// Sets the droplet and starts the app, with a deployment if the foundation allows
    /// deployments.
    Deploy {
        /// The droplet.
        droplet: ResourceRef,
    },
    /// Annotates a droplet with the hash of its bits.
    AnnotateBitsHash {
        /// The droplet.
        droplet: ResourceRef,
        /// The SHA-256 of the bits, in hex.
        hash: String,
    },
    /// Sets the buildpacks of the app.
    SetBuildpacks {
        /// The buildpacks. Empty if they are detected.
        buildpacks: Vec<String>,
    },
    /// Sets the start command of the web process.
    SetCommand {
        /// The command. `None` selects the droplet's command.
        command: Option<String>,
    },
    /// Sets the health check of the web process.
    SetHealthCheck {
        /// `port`, `process` or `http`.
        check: Option<String>,
        /// The path that an `http` check requests.
        endpoint: Option<String>,
        /// The maximum time of a check, in seconds.
        invocation_timeout: Option<u64>,
    },
    /// Sets environment variables, and removes variables without a value.
    SetEnv {
        /// The variables.
        #[serde(serialize_with = "redacted_variables")]
        variables: BTreeMap<String, Option<String>>,
    },
    /// Removes labels and annotations of the app.
    RemoveMetadata {
        /// The keys of the labels.
        labels: Vec<String>,
        /// The keys of the annotations.
        annotations: Vec<String>,
    },
    /// Removes the bindings of the app to services.
    UnbindServices {
        /// The names of the services.
        services: Vec<String>,
    },
    /// Labels the app as managed by cf-pusher.
    LabelAsManaged,
    /// Creates a route.
    CreateRoute {
        /// Host, domain and path.
        route: String,
    },
    /// Maps a route to the app.
    MapRoute {
        /// The route. A new one is that of the preceding [`Step::CreateRoute`].
        route: ResourceRef,
    },
    /// Makes some apps the only destinations of a route.
    SetDestinations {
        /// The route's GUID.
        route: String,
        /// The GUIDs of the apps.
        apps: Vec<String>,
        /// The protocol, if the entry has one.
        protocol: Option<String>,
    },
    /// Scales the web process. `None` keeps the current value.
    Scale {
        /// The number of instances.
        instances: Option<u32>,
        /// The memory of each instance, in MB.
        memory_mb: Option<u64>,
        /// The disk of each instance, in MB.
        disk_mb: Option<u64>,
    },
    /// Starts the app.
    Start,
    /// Stops the app and starts it again, in one request.
    Restart,
    /// Deletes an unused droplet.
    DeleteDroplet {
        /// The droplet's GUID.
        droplet: String,
    },
    /// Deletes a route of the app.
    DeleteRoute {
        /// The route's GUID.
        route: String,
    },
    /// Deletes the app.
    DeleteApp,
}

/// Replaces the values of environment variables in a plan that is printed or stored.
fn redacted_env<S: Serializer>(
    env: &Arc<BTreeMap<String, String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(env.keys().map(|name| (name, REDACTED)))
}

fn redacted_entry<S: Serializer>(entry: &ManifestEntry, serializer: S) -> Result<S::Ok, S::Error> {
    entry.redacted().serialize(serializer)
}

fn redacted_variables<S: Serializer>(
    variables: &BTreeMap<String, Option<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = variables.iter();
    serializer.collect_map(shown.map(|(name, value)| (name, value.as_ref().map(|_| REDACTED))))
}

/// A resource that a step uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceRef {
    /// An existing resource, by its GUID.
    Existing(String),
    /// The resource that an earlier step creates.
    New,
}

impl Step {
    /// Whether it needs the droplet that the prototype gets in this run.
    pub(crate) fn awaits_prototype(&self) -> bool {
        let from = ResourceRef::New;
        matches!(self, Self::CopyDroplet { from: it } if *it == from)
    }

    /// Whether it starts the app.
    pub(crate) fn starts(&self) -> bool {
        matches!(self, Self::Start | Self::Restart | Self::Deploy { .. })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SetFeatureFlag { .. } => "setting the feature flag",
            Self::CreateUser => "creating the user",
            Self::CreateDomain { .. } => "creating the domain",
            Self::SetLimits { .. } => "setting the limits",
            Self::SetSuspended { suspended: true } => "suspending the org",
            Self::SetSuspended { suspended: false } => "ending the suspension of the org",
            Self::CreateSpaceQuota => "creating the space quota",
            Self::ApplySpaceQuota { .. } => "applying the space quota",
            Self::EntitleIsolationSegment { .. } => "entitling the org to the isolation segment",
            Self::SetIsolationSegment { .. } => "setting the isolation segment",
            Self::SetFeature { .. } => "setting the feature",
            Self::AssignRole => "giving the role",
            Self::CreateService => "creating the service instance",
            Self::AwaitService => "waiting for the service broker",
            Self::UpdateService { .. } => "updating the service instance",
            Self::DeleteService => "deleting the service instance",
            Self::Delete { .. } => "deleting it",
            Self::DeletePolicy => "deleting the network policy",
            Self::AllowTraffic { .. } => "creating the network policies",
            Self::EnableSecurityGroup { .. } => "enabling the security group",
            Self::CreateQuota => "creating the quota",
            Self::CreateOrg => "creating the org",
            Self::AssignQuota { .. } => "assigning the quota",
            Self::CreateSpace => "creating the space",
            Self::SetMetadata { .. } => "setting labels and annotations",
            Self::CreateSecurityGroup { .. } => "creating the security group",
            Self::UpdateSecurityGroup => "updating the security group",
            Self::BindSecurityGroup { .. } => "binding the security group",
            Self::UnbindSecurityGroup { .. } => "unbinding the security group",
            Self::CreateApp { .. } => "creating the app",
            Self::ApplyManifest { .. } => "applying the manifest",
            Self::RemoveBitsHash { .. } => "removing the hash of the bits",
            Self::DeletePackage { .. } => "deleting an unused package",
            Self::PushBits => "pushing the bits",
            Self::UploadDroplet => "uploading the droplet",
            Self::Stage { .. } => "staging",
            Self::CopyDroplet { .. } => "copying the droplet",
            Self::AwaitDroplet => "waiting for the copy of the droplet",
            Self::Stop => "stopping the app",
            Self::SetDroplet { .. } => "setting the droplet",
            Self::Deploy { .. } => "deploying the droplet",
            Self::AnnotateBitsHash { .. } => "annotating the hash of the bits",
            Self::SetBuildpacks { .. } => "setting the buildpacks",
            Self::SetCommand { .. } => "setting the command",
            Self::SetHealthCheck { .. } => "setting the health check",
            Self::SetEnv { .. } => "setting the environment",
            Self::RemoveMetadata { .. } => "removing labels and annotations",
            Self::UnbindServices { .. } => "unbinding services",
            Self::LabelAsManaged => "labelling the app as managed",
            Self::CreateRoute { .. } => "creating the route",
            Self::MapRoute { .. } => "mapping the route",
            Self::SetDestinations { .. } => "setting the destinations of the route",
            Self::Scale { .. } => "scaling",
            Self::Start => "starting the app",
            Self::Restart => "restarting the app",
            Self::DeleteDroplet { .. } => "deleting an unused droplet",
            Self::DeleteRoute { .. } => "deleting the route",
            Self::DeleteApp => "deleting the app",
        })
    }
}

//! Apps with their processes, sidecars and tasks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CowStr;
use crate::world::clock::Timestamp;
use crate::world::overlay::Placement;
use crate::world::{Access, AccessScope, Base, Field, Guid, Key, Row, World};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) space: Guid,
    pub(crate) started: bool,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) environment: Map<String, Value>,
    /// Whether an environment was ever set, even an empty one.
    #[serde(default)]
    pub(crate) has_environment: bool,
    pub(crate) droplet: Option<Guid>,
    pub(crate) features: Features,
}

impl App {
    pub(crate) fn state(&self) -> &'static str {
        if self.started { "STARTED" } else { "STOPPED" }
    }

    /// The environment, unless it was never set.
    pub(crate) fn given_environment(&self) -> Option<&Map<String, Value>> {
        (self.has_environment || !self.environment.is_empty()).then_some(&self.environment)
    }
}

impl Row for App {
    const IS_ORDERED_BY_NAME: bool = true;

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn order_text(&self, column: &str) -> &str {
        match column {
            "state" => self.state(),
            _ => &self.name,
        }
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_spaces(world))
    }
}

/// How bits or an image become a running app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Lifecycle {
    Buildpack {
        buildpacks: Vec<String>,
        stack: String,
        /// Whether the buildpacks are Cloud Native Buildpacks.
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

    /// The name of the stack. Empty without a stack.
    pub(crate) fn stack(&self) -> &str {
        match self {
            Self::Buildpack { stack, .. } => stack,
            Self::Docker => "",
        }
    }
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

/// The enabled features of an app, in the order of [`Feature::ALL`].
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

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) kind: String,
    /// The user's command. `None` for that of the droplet.
    pub(crate) command: Option<String>,
    /// The user that was chosen to run the process. `None` for the default.
    pub(crate) user: Option<String>,
    pub(crate) scale: Scale,
    pub(crate) health_check: HealthCheck,
    pub(crate) readiness_check: HealthCheck,
    pub(crate) started: bool,
    /// The revision that it runs, if its app has revisions.
    pub(crate) revision: Option<Guid>,
    /// Whether its instances exit after their start.
    pub(crate) crashing: bool,
    /// The start times of instances. `(n, at)` applies to instances with an index below
    /// `n` that no earlier entry covers.
    pub(crate) starts: Vec<(u32, Timestamp)>,
    /// The addresses of these instances.
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
    /// The ports that the app is configured to listen on.
    pub(crate) ports: Vec<u16>,
}

/// The sizes of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) instances: u32,
    pub(crate) memory_mb: u32,
    pub(crate) disk_mb: u32,
    /// In bytes per second. -1 means unlimited.
    pub(crate) log_rate: i64,
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

impl Row for Process {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
            Key::text(Field::Type, &self.kind),
        ]
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_spaces(world))
    }
}

/// A command that runs next to the processes of some types.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) process_types: Vec<String>,
    pub(crate) memory_mb: Option<u32>,
}

impl Row for Sidecar {
    fn keys(&self) -> Vec<Key> {
        vec![Key::Guid(Field::App, self.app)]
    }

    fn access_scope(&self, world: &World) -> AccessScope {
        world.access_scope_of_app(self.app)
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

impl Row for Task {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_spaces(world))
    }
}

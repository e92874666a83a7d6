//! Apps, their processes and instances, and deployments.

use std::fmt;

use serde::Deserialize;

use super::orgs::Space;
use super::{Env, Metadata, Ownership};

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
    /// `buildpack`, `cnb` or `docker`. Empty in 2017.
    pub(crate) lifecycle: String,
    /// The buildpacks that it is staged with. Empty if they are detected.
    pub(crate) buildpacks: Vec<String>,
    /// The GUID of the droplet that the app runs with. `None` if it has none, or
    /// where the foundation's lists of apps do not show it.
    pub(crate) current_droplet: Option<String>,
    /// The GUID of the source, if the app is an unfinished clone.
    pub(crate) clone_of: Option<String>,
}

impl App {
    /// Whether it runs a Docker image.
    pub(crate) fn is_docker(&self) -> bool {
        self.lifecycle == "docker"
    }
}

/// The apps of orgs, and the spaces that the same list shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrgApps {
    pub(crate) apps: Vec<App>,
    /// The spaces that have apps. Empty in 2017.
    pub(crate) spaces: Vec<Space>,
}

/// The properties of an app to create.
#[derive(Debug, Clone)]
pub(crate) struct NewApp<'a> {
    pub(crate) name: &'a str,
    /// The GUID of its space.
    pub(crate) space: &'a str,
    pub(crate) env: &'a Env,
    /// `docker` or `cnb`. `None` if it is staged by buildpacks.
    pub(crate) lifecycle: Option<&'a str>,
    /// The buildpacks to stage with. Empty if they are detected, or if a droplet is
    /// copied.
    pub(crate) buildpacks: &'a [String],
    pub(crate) metadata: &'a Metadata,
}

/// The new scale of a process. `None` keeps the current value.
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

impl Process {
    /// The number of instances in this state.
    pub(crate) fn count(&self, state: &InstanceState) -> usize {
        let actual = self.actual.iter();
        actual.filter(|instance| instance.state == *state).count()
    }

    /// The number of running instances.
    pub(crate) fn running(&self) -> usize {
        self.count(&InstanceState::Running)
    }

    /// Whether there are instances, and all of them crashed.
    pub(crate) fn has_only_crashed(&self) -> bool {
        !self.actual.is_empty() && self.count(&InstanceState::Crashed) == self.actual.len()
    }
}

/// An app in the summary of a space, in 2017.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) env: Env,
    /// The command of the web process, if it differs from the droplet's.
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
    /// For how many seconds the instance has been in that state. A number larger than any
    /// uptime is a UNIX time.
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

/// The health check of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HealthCheck<'a> {
    /// `port`, `process` or `http`. `None` keeps it.
    pub(crate) kind: Option<&'a str>,
    /// The path that an `http` check requests.
    pub(crate) endpoint: Option<&'a str>,
    /// The time in seconds that one check may take.
    pub(crate) invocation_timeout: Option<u64>,
}

/// The properties of a deployment to create.
#[derive(Debug, Clone)]
pub(crate) struct NewDeployment<'a> {
    /// The GUID of the app.
    pub(crate) app: &'a str,
    /// The GUID of the droplet.
    pub(crate) droplet: &'a str,
    pub(crate) options: DeploymentOptions<'a>,
}

/// The settings of a deployment. `None` selects the foundation's default.
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
    /// Bytes per second. -1 for no limit.
    pub(crate) log_rate_limit: Option<i64>,
}

/// A deployment, which replaces the instances of an app.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// `ACTIVE` or `FINALIZED`.
    pub(crate) status: String,
    /// The reason for the status, such as `DEPLOYING`, `PAUSED` or `DEPLOYED`.
    pub(crate) reason: String,
    /// The GUID of the process that replaces the old one.
    pub(crate) new_process: Option<String>,
}

//! The outcome of a push.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::capi::error::Error;
use crate::capi::model::Process;
use crate::desired::AppState;
use crate::events::PushStep;
use crate::manifest::{ManifestError, TransformError};

use super::bits::BitsError;
use crate::capi::error::printable;

/// The reason why a push stopped before any app was pushed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The foundation cannot be used, or refused the manifest.
    #[error(transparent)]
    Api(#[from] Error),
    /// The manifest is invalid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The overrides cannot be applied to the manifest.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// The bits of an app cannot be read.
    #[error(transparent)]
    Bits(#[from] BitsError),
    /// A Docker image has a username but no password was given.
    #[error("app {app}: the Docker image has a username but no password")]
    MissingDockerPassword {
        /// The app's name.
        app: String,
    },
    /// The Cloud Controller of 2017 cannot apply manifests.
    #[error("pushing needs the v3 API: the API of 2017 cannot apply manifests")]
    NeedsV3,
}

impl PushError {
    /// Whether the push was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_interrupted())
    }
}

/// The result of each app of a push.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct PushOutcome {
    /// All apps of the manifest, in its order.
    pub apps: Vec<PushedApp>,
    /// The failures of apps.
    pub failures: Vec<PushFailure>,
}

impl PushOutcome {
    /// Whether all apps were pushed.
    pub fn is_success(&self) -> bool {
        let mut apps = self.apps.iter();
        apps.all(|app| app.result == PushResult::Pushed)
    }

    /// Whether the push was interrupted before all apps were pushed.
    pub fn is_interrupted(&self) -> bool {
        self.count(PushResult::Interrupted) > 0
    }

    /// The number of apps with a result.
    pub fn count(&self, result: PushResult) -> usize {
        let apps = self.apps.iter();
        apps.filter(|app| app.result == result).count()
    }
}

/// An app after a push.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct PushedApp {
    /// The app's name.
    pub name: String,
    /// The app's GUID. `None` if the app does not exist.
    pub guid: Option<String>,
    /// Whether the app was pushed.
    pub result: PushResult,
    /// Whether the manifest changed properties of the app, or created it.
    pub changes: bool,
    /// The steps that were started, in order.
    pub steps: Vec<PushStep>,
    /// The app's requested state. `None` unless the app was pushed.
    pub state: Option<AppState>,
    /// Whether the deployment is a canary that waits to be continued.
    pub deployment_paused: bool,
    /// The URLs of the app's routes, without scheme. Empty unless the app was pushed.
    #[serde(rename = "routes")]
    pub urls: Vec<String>,
    /// The app's processes. Empty unless the app was pushed.
    pub processes: Vec<ProcessStatus>,
}

/// Whether an app was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PushResult {
    /// All steps succeeded.
    Pushed,
    /// A step failed. See [`PushOutcome::failures`].
    Failed,
    /// The push was interrupted before the app was done.
    Interrupted,
}

/// A process of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProcessStatus {
    /// The process's GUID.
    pub guid: String,
    /// The type, such as `web`.
    #[serde(rename = "type")]
    pub process_type: String,
    /// The number of instances that should run.
    pub desired_instances: u32,
    /// The memory of an instance in MB.
    pub memory_in_mb: u64,
    /// The disk space of an instance in MB.
    pub disk_in_mb: u64,
    /// The instances.
    pub instances: Vec<InstanceStatus>,
}

impl ProcessStatus {
    /// The number of instances that run.
    pub fn running(&self) -> usize {
        let instances = self.instances.iter();
        instances.filter(|it| it.state == "RUNNING").count()
    }

    pub(crate) fn of(process: &Process) -> Self {
        let instances = process.actual.iter().map(|instance| InstanceStatus {
            index: instance.index,
            state: instance.state.to_string(),
            details: instance.details.as_deref().map(printable),
            since: instance.since.and_then(since),
        });
        Self {
            guid: process.guid.clone(),
            process_type: process.kind.clone(),
            desired_instances: process.instances,
            memory_in_mb: process.memory_mb,
            disk_in_mb: process.disk_mb,
            instances: instances.collect(),
        }
    }
}

/// An instance of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InstanceStatus {
    /// The index, from 0.
    pub index: u64,
    /// The Cloud Controller's state: `RUNNING`, `STARTING`, `DOWN`, `CRASHED`.
    pub state: String,
    /// The Cloud Controller's explanation of the state, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The time when the instance reached the state, in RFC 3339. `None` if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// A larger number is a UNIX time (September 2001), a smaller number is a number of
/// seconds.
const FIRST_UNIX_TIME: f64 = 1e9;

fn since(seconds: f64) -> Option<String> {
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    let time = match seconds < FIRST_UNIX_TIME {
        true => SystemTime::now().checked_sub(duration),
        false => SystemTime::UNIX_EPOCH.checked_add(duration),
    };
    Some(humantime::format_rfc3339_seconds(time?).to_string())
}

/// The failure of an app. Displays as `staging dora failed: CAUSE`.
#[derive(Debug, Serialize, thiserror::Error)]
#[error("{}", described(step, app, error))]
#[non_exhaustive]
pub struct PushFailure {
    /// The app's name.
    pub app: String,
    /// The failed step, such as `staging`.
    pub step: &'static str,
    /// The cause.
    #[source]
    #[serde(serialize_with = "Error::serialize_message")]
    pub error: Error,
    /// The last lines of the staging log, if staging failed.
    pub log: Vec<String>,
    /// The GUID of the package that this push created, if any.
    #[serde(skip)]
    pub(super) package: Option<String>,
}

fn described(step: &str, app: &str, error: &Error) -> String {
    match error.is_interrupted() {
        true => error.to_string(),
        false => format!("{step} {app} failed: {}", error.cause()),
    }
}

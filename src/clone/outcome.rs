//! The outcome of cloning.

use serde::Serialize;

use crate::capi::error::Error;
use crate::manifest::ManifestError;
use crate::push::{AppState, ProcessStatus};

/// The reason why no clone could be created. Nothing has changed, unless the response to
/// the manifest was lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloneError {
    /// The foundation cannot be used, or it refused the manifest of the clones.
    #[error(transparent)]
    Api(#[from] Error),
    /// The source's manifest from the Cloud Controller cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The source was never staged, so there is no droplet to copy.
    #[error("app {app} has no droplet to copy")]
    NoDroplet {
        /// The name of the source.
        app: String,
    },
    /// Two clones would have the same name.
    #[error("two clones would be named {name}")]
    SameName {
        /// The clones' name.
        name: String,
    },
    /// Apps with these names exist, and are not unfinished clones of the same source.
    #[error("{} in the target space: {}", exist(names), names.join(", "))]
    Exists {
        /// The names.
        names: Vec<String>,
    },
    /// The name of a clone cannot be the host of its routes.
    #[error(
        "the name \"{name}\" cannot be the host of a route: hosts have up to 63 letters, digits, `-` and `_`"
    )]
    Host {
        /// The name of the clone.
        name: String,
    },
    /// Routes of the clones lead to other apps, or belong to other spaces.
    #[error("{}: {}", taken(routes), routes.join(", "))]
    RouteTaken {
        /// The routes, without scheme.
        routes: Vec<String>,
    },
    /// The Cloud Controller of 2017 has no manifests.
    #[error("cloning needs the v3 API: the API of 2017 has no manifests of apps")]
    NeedsV3,
}

fn exist(names: &[String]) -> &'static str {
    match names.len() {
        1 => "an app of this name exists",
        _ => "apps of these names exist",
    }
}

fn taken(routes: &[String]) -> &'static str {
    match routes.len() {
        1 => "this route is taken",
        _ => "these routes are taken",
    }
}

impl CloneError {
    /// Whether the run was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_interrupted())
    }
}

/// The result of each clone.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct CloneOutcome {
    /// All clones, in order.
    pub apps: Vec<ClonedApp>,
    /// The failures of clones.
    pub failures: Vec<CloneFailure>,
}

impl CloneOutcome {
    /// Whether all clones are finished.
    pub fn is_success(&self) -> bool {
        let mut apps = self.apps.iter();
        apps.all(|app| app.result == CloneResult::Cloned)
    }

    /// Whether the run was interrupted before all clones were finished.
    pub fn is_interrupted(&self) -> bool {
        self.count(CloneResult::Interrupted) > 0
    }

    /// The number of clones with a result.
    pub fn count(&self, result: CloneResult) -> usize {
        let apps = self.apps.iter();
        apps.filter(|app| app.result == result).count()
    }
}

/// A clone after the run.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct ClonedApp {
    /// The clone's name.
    pub name: String,
    /// The clone's GUID. `None` if it does not exist.
    pub guid: Option<String>,
    /// Whether the clone is finished.
    pub result: CloneResult,
    /// The clone's requested state. `None` unless it is finished.
    pub state: Option<AppState>,
    /// The URLs of the clone's routes, without scheme. Empty unless it is finished.
    #[serde(rename = "routes")]
    pub urls: Vec<String>,
    /// The clone's processes. Empty unless it is finished.
    pub processes: Vec<ProcessStatus>,
}

/// Whether a clone is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CloneResult {
    /// The clone has all properties and the droplet of its source, and is running unless
    /// [`Cloner::no_start`](super::Cloner::no_start) was called.
    Cloned,
    /// A step failed. See [`CloneOutcome::failures`].
    Failed,
    /// The run was interrupted before the clone was finished.
    Interrupted,
}

/// The failure of a clone. Displays as `starting web-0 failed: CAUSE`.
#[derive(Debug, Serialize, thiserror::Error)]
#[error("{step} {app} failed: {}", .error.cause())]
#[non_exhaustive]
pub struct CloneFailure {
    /// The clone's name.
    pub app: String,
    /// The failed step, such as `starting`.
    pub step: &'static str,
    /// The cause.
    #[source]
    #[serde(serialize_with = "Error::serialize_message")]
    pub error: Error,
}

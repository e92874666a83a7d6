//! Deployments.

use serde::{Deserialize, Serialize};

use super::CowStr;
use crate::world::clock::Timestamp;
use crate::world::{Access, AccessScope, Base, Field, Guid, Key, Row, World};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) state: DeploymentState,
    /// The `reason` of the status.
    pub(crate) reason: CowStr,
    pub(crate) droplet: Guid,
    pub(crate) previous_droplet: Option<Guid>,
    /// GUID and version of the deployed revision, if the app has revisions.
    pub(crate) revision: Option<(Guid, u32)>,
    /// The new web process, which may have been deleted since.
    pub(crate) process: Option<Guid>,
    /// The number of instances before the deployment.
    pub(crate) original_instances: u32,
    /// Counted from 1. `None` unless this is a canary deployment.
    pub(crate) canary_step: Option<usize>,
    pub(crate) options: DeploymentOptions,
    pub(crate) healthy_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) error: Option<String>,
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

/// The options of a deployment: its speed, and changes in addition to the droplet.
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

impl Row for Deployment {
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

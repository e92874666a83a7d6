//! Jobs.

use serde::{Deserialize, Serialize};

use crate::world::broker_work::Work;
use crate::world::clock::Timestamp;
use crate::world::error::Failure;
use crate::world::{Base, Guid, Key, Row};

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

impl Row for Job {
    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }
}

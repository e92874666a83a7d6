//! Errors of the world and failures of jobs. Each API reports them in its own format.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The reason why the world refuses an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The operation is not valid.
    #[error("{0}")]
    Unprocessable(String),
    /// The database of the Cloud Controller would refuse the change. The Cloud Controller
    /// has no message for this.
    #[error("An unknown error occurred.")]
    Unknown,
    /// A resource would have more labels than allowed.
    #[error("Failed to add {count} labels because it would exceed maximum of {max}")]
    TooManyLabels {
        /// The number of additional labels.
        count: usize,
        /// The maximum number of labels.
        max: usize,
    },
    /// A resource would have more annotations than allowed.
    #[error("Failed to add {count} annotations because it would exceed maximum of {max}")]
    TooManyAnnotations {
        /// The number of additional annotations.
        count: usize,
        /// The maximum number of annotations.
        max: usize,
    },
    /// A resource of this kind does not exist.
    #[error("{0} not found")]
    NotFound(&'static str),
}

impl Error {
    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::Unprocessable(detail.into())
    }

    pub(crate) fn not_found(kind: &'static str) -> Self {
        Self::NotFound(kind)
    }
}

/// An error in a response or a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) code: u32,
    pub(crate) title: String,
    pub(crate) detail: String,
    /// The request to a service broker that failed, as v2 presents it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) broker_request: Option<Value>,
}

/// The errors of a failed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) causes: Vec<Cause>,
}

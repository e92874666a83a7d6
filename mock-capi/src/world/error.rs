//! What the world refuses, and how jobs fail. How an API reports that is its own
//! business.

use serde::{Deserialize, Serialize};

/// Why the world does not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// It is asked for what cannot be.
    #[error("{0}")]
    Unprocessable(String),
    /// The database does not take it, and the Cloud Controller has no text for
    /// that.
    #[error("An unknown error occurred.")]
    Unknown,
    /// There would be more labels than this at a resource.
    #[error("Failed to add {count} labels because it would exceed maximum of {max}")]
    TooManyLabels {
        /// How many are to be added.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// There would be more annotations than this at a resource.
    #[error("Failed to add {count} annotations because it would exceed maximum of {max}")]
    TooManyAnnotations {
        /// How many are to be added.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// Something of that kind is gone.
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

/// One error that is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) code: u32,
    pub(crate) title: String,
    pub(crate) detail: String,
}

/// What a job failed of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) causes: Vec<Cause>,
}

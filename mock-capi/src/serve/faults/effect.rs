//! The effects of faults, and the errors that they report.

use serde::{Deserialize, Serialize};

/// The effect of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    Answer,
    Delay,
    DropBefore,
    DropAfter,
    Truncate,
    Drip,
    ExpiredToken,
    FailedStaging,
    FailedCopy,
    FailedTask,
    FailedJob,
    CrashingInstances,
    Unreachable,
    Unregistered,
    Slow,
}

impl Effect {
    /// Whether the effect applies to a request itself, and not to an operation that the
    /// request starts.
    pub(super) fn is_of_request(self) -> bool {
        matches!(
            self,
            Self::Answer
                | Self::Delay
                | Self::DropBefore
                | Self::DropAfter
                | Self::Truncate
                | Self::Drip
                | Self::ExpiredToken
        )
    }

    /// Whether the effect applies to the responses of an app, or to connections to the
    /// app.
    pub(super) fn is_of_traffic(self) -> bool {
        matches!(self, Self::Unreachable | Self::Unregistered | Self::Slow)
    }

    /// Whether a fault with this effect can have a delay.
    pub(super) fn has_delay(self) -> bool {
        self.is_of_request() || matches!(self, Self::Unreachable | Self::Slow)
    }

    /// Whether the effect applies to an operation that belongs to an app.
    pub(super) fn is_of_app(self) -> bool {
        !self.is_of_request() && self != Self::FailedJob
    }

    /// Whether the effect reports an error whose text a fault can set.
    pub(super) fn has_error(self) -> bool {
        matches!(
            self,
            Self::Answer
                | Self::FailedStaging
                | Self::FailedCopy
                | Self::FailedTask
                | Self::FailedJob
        )
    }

    /// The default error of the effect. `status` is the status of a response.
    pub(super) fn usual_error(self, status: u16) -> (u32, &'static str, &'static str) {
        match self {
            Self::FailedStaging => (
                170_003,
                "NoAppDetectedError",
                "An app was not successfully detected by any available buildpack",
            ),
            Self::FailedCopy => (
                150_007,
                "BlobstoreError",
                "Failed to perform blobstore operation after three retries.",
            ),
            Self::FailedTask => (10001, "UnknownError", "Exited with status 1"),
            Self::Answer => usual_error_of(status),
            _ => (10001, "UnknownError", "An unknown error occurred."),
        }
    }
}

fn usual_error_of(status: u16) -> (u32, &'static str, &'static str) {
    match status {
        400 => (1004, "CF-BadRequest", "Bad request: The request is invalid"),
        401 => (1000, "CF-InvalidAuthToken", "Invalid Auth Token"),
        403 => (
            10003,
            "CF-NotAuthorized",
            "You are not authorized to perform the requested action",
        ),
        404 => (10010, "CF-ResourceNotFound", "Resource not found"),
        422 => (
            10008,
            "CF-UnprocessableEntity",
            "The request cannot be processed",
        ),
        429 => (10013, "CF-RateLimitExceeded", "Rate Limit Exceeded"),
        503 => (10015, "CF-ServiceUnavailable", "Service unavailable"),
        _ => (10001, "UnknownError", "An unknown error occurred."),
    }
}

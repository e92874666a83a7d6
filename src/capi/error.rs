//! The errors of calls to the foundation.

mod kind;

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::cc_error::describe;

pub use super::cc_error::CcError;
pub(crate) use super::cc_error::{STAGING_IN_PROGRESS, json_problem, printable};

/// The error of a lower layer. It is shared, because errors are cloned and those of other
/// crates cannot be.
type Source = Arc<dyn StdError + Send + Sync>;

/// The reason why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionProblem {
    /// The server's certificate is invalid, or no trusted authority issued it.
    UntrustedCertificate,
    /// The server does not use TLS, but the URL begins with `https`.
    NotTls,
    /// The URL begins with `http`, but the server seems to use TLS.
    NeedsTls,
    /// The proxy cannot be reached, or refuses to connect.
    #[non_exhaustive]
    Proxy {
        /// The proxy's URL, without user and password.
        url: String,
        /// The environment variable that names it, such as `HTTPS_PROXY`.
        variable: &'static str,
    },
    /// Anything else, such as a refused connection or an unknown host.
    Other,
}

/// The reason why a call to the foundation failed.
///
/// A message contains its cause, and [`source`](StdError::source) has the error of the
/// lower layer, such as the HTTP client's.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL of the Cloud Controller cannot be used.
    #[error("invalid API URL: {reason}")]
    #[non_exhaustive]
    InvalidApi {
        /// The reason why the URL is invalid.
        reason: String,
    },
    /// No connection could be established.
    #[error("cannot reach {url}: {reason}")]
    #[non_exhaustive]
    Unreachable {
        /// The URL.
        url: String,
        /// The innermost cause.
        reason: String,
        /// The problem to correct, if it is known.
        problem: ConnectionProblem,
        /// The HTTP client's error.
        source: Option<Source>,
    },
    /// A file of trusted certificates cannot be used.
    #[error("reading the certificates in {} failed: {reason}", path.display())]
    #[non_exhaustive]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
        /// The error of the lower layer, such as that of the file system.
        source: Option<Source>,
    },
    /// The version of the API is neither that of 2017 nor recent enough.
    #[error(
        "unsupported version {version} of the v3 API at {url}, must be 3.84 or later, or the API of 2017"
    )]
    #[non_exhaustive]
    Unsupported {
        /// The Cloud Controller's URL.
        url: String,
        /// The version that it advertises.
        version: String,
    },
    /// The request may have been sent, but no complete response arrived.
    #[error(
        "no response from {method} {path}: {reason}{}",
        may_have_effect(method)
    )]
    #[non_exhaustive]
    NoResponse {
        /// The request's method, such as `POST`.
        method: String,
        /// The request's path and query.
        path: String,
        /// The innermost cause.
        reason: String,
        /// The HTTP client's error.
        source: Option<Source>,
    },
    /// The Cloud Controller responded with an error.
    #[error("{method} {path} failed with {}: {}{}", status_line(*status), describe(errors), aside(*retry_after, request_id.as_deref()))]
    #[non_exhaustive]
    Refused {
        /// The request's method, such as `POST`.
        method: String,
        /// The request's path and query.
        path: String,
        /// The response's HTTP status, such as 422.
        status: u16,
        /// Every error in the response.
        errors: Vec<CcError>,
        /// The response's `X-Vcap-Request-Id`, which identifies the request in the
        /// foundation's logs.
        request_id: Option<String>,
        /// The time that the response asks to wait before the next attempt.
        retry_after: Option<Duration>,
    },
    /// The response does not conform to the API.
    #[error("unexpected response from {method} {path}: {reason}")]
    #[non_exhaustive]
    UnexpectedResponse {
        /// The request's method, such as `GET`.
        method: String,
        /// The request's path and query.
        path: String,
        /// What is wrong with the response.
        reason: String,
        /// The parser's error.
        source: Option<Source>,
    },
    /// Logging in failed.
    #[error("cannot log in at {uaa}: {reason}")]
    #[non_exhaustive]
    Login {
        /// The UAA's URL.
        uaa: String,
        /// The UAA's explanation.
        reason: String,
        /// The error of the request to the UAA.
        source: Option<Source>,
    },
    /// Background work of the Cloud Controller failed.
    #[error("{what} failed: {reason}")]
    #[non_exhaustive]
    Failed {
        /// The work, such as `staging of scale-tick-0`.
        what: String,
        /// The Cloud Controller's explanation.
        reason: String,
    },
    /// A background job of the Cloud Controller failed.
    #[error("{what} failed: {}", describe(errors))]
    #[non_exhaustive]
    JobFailed {
        /// The work, such as `deleting the org scale-org`.
        what: String,
        /// Every error of the job.
        errors: Vec<CcError>,
    },
    /// The foundation's API does not have the operation.
    #[error("{operation} failed: the API of this foundation has no such operation")]
    #[non_exhaustive]
    NotInDialect {
        /// The operation, such as `applying a manifest`.
        operation: &'static str,
    },
    /// A resource was deleted by someone else while cf-pusher used it.
    #[error("{what} failed: it was deleted in the meantime")]
    #[non_exhaustive]
    Gone {
        /// The work, such as `staging of scale-tick-0`.
        what: String,
    },
    /// A wait reached its deadline.
    #[error(
        "{what} timed out after {}: last state: {last}",
        humantime::format_duration(*waited)
    )]
    #[non_exhaustive]
    Deadline {
        /// The work that the wait was for.
        what: String,
        /// The length of the wait.
        waited: Duration,
        /// The last state that was observed.
        last: String,
    },
    /// The run was interrupted, so the request was not sent.
    #[error("interrupted")]
    Interrupted,
    /// Work on this machine failed, such as reading a file to upload it.
    #[error("{what} failed: {reason}")]
    #[non_exhaustive]
    Local {
        /// The work.
        what: String,
        /// The cause.
        reason: String,
        /// The error of the lower layer, such as that of the file system.
        source: Option<Source>,
    },
}

/// The note about a possible effect, which is empty for requests that only read.
fn may_have_effect(method: &str) -> &'static str {
    match method {
        "GET" => "",
        _ => "; it may have taken effect",
    }
}

fn mask_errors(errors: &mut [CcError], mask: impl Fn(String) -> String) {
    for error in errors {
        error.title = mask(std::mem::take(&mut error.title));
        error.detail = mask(std::mem::take(&mut error.detail));
    }
}

impl Error {
    /// An error of work on this machine, caused by an error of a lower layer.
    pub(crate) fn local(
        what: impl Into<String>,
        error: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::Local {
            what: what.into(),
            reason: error.to_string(),
            source: Some(Arc::new(error)),
        }
    }

    /// An error of work on this machine, without an error of a lower layer.
    pub(crate) fn impossible(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Local {
            what: what.into(),
            reason: reason.into(),
            source: None,
        }
    }

    /// An error of a connection, for a reason that no lower layer reported.
    pub(super) fn unreachable(url: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unreachable {
            url: url.into(),
            reason: reason.into(),
            problem: ConnectionProblem::Other,
            source: None,
        }
    }

    /// The same error, with texts that a server sent changed by `mask`.
    pub(super) fn masked(mut self, mask: impl Fn(String) -> String) -> Self {
        match &mut self {
            Self::Refused {
                errors, request_id, ..
            } => {
                *request_id = request_id.take().map(&mask);
                mask_errors(errors, &mask);
            }
            Self::JobFailed { errors, .. } => mask_errors(errors, &mask),
            Self::Failed { reason, .. }
            | Self::UnexpectedResponse { reason, .. }
            | Self::Login { reason, .. }
            | Self::Deadline { last: reason, .. } => *reason = mask(std::mem::take(reason)),
            _ => {}
        }
        self
    }

    /// Serializes the error as its message.
    pub(crate) fn serialize_message<S: serde::Serializer>(
        error: &Self,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(error)
    }

    /// The message without the request ID, which differs from request to request.
    pub(crate) fn without_request_id(&self) -> String {
        match self {
            Self::Refused { .. } => {
                let mut error = self.clone();
                if let Self::Refused { request_id, .. } = &mut error {
                    *request_id = None;
                }
                error.to_string()
            }
            other => other.to_string(),
        }
    }

    /// The message without the name of the failed work, for messages that already name
    /// it.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Failed { reason, .. } => reason.clone(),
            Self::JobFailed { errors, .. } => describe(errors),
            Self::Gone { .. } => "it was deleted in the meantime".to_owned(),
            other => other.to_string(),
        }
    }

    /// The name of the kind of error, for programs.
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidApi { .. } => "invalid_api",
            Self::Unreachable { .. } => "unreachable",
            Self::Certificates { .. } => "certificates",
            Self::Unsupported { .. } => "unsupported",
            Self::NoResponse { .. } => "no_response",
            Self::Refused { .. } => "refused",
            Self::UnexpectedResponse { .. } => "unexpected_response",
            Self::Login { .. } => "login",
            Self::Failed { .. } | Self::JobFailed { .. } => "failed",
            Self::NotInDialect { .. } => "not_in_dialect",
            Self::Gone { .. } => "gone",
            Self::Deadline { .. } => "deadline",
            Self::Interrupted => "interrupted",
            Self::Local { .. } => "local",
        }
    }

    /// The `X-Vcap-Request-Id` of the refused request.
    pub(crate) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }

    /// The errors that the Cloud Controller reported.
    pub fn cc_errors(&self) -> &[CcError] {
        match self {
            Self::Refused { errors, .. } | Self::JobFailed { errors, .. } => errors,
            _ => &[],
        }
    }

    /// The status of a refused request, such as `404 Not Found`.
    pub(crate) fn status_text(&self) -> Option<String> {
        self.status().map(|status| status_line(status.as_u16()))
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => StatusCode::from_u16(*status).ok(),
            _ => None,
        }
    }
}

/// Serializes the kind, the message, the status, the Cloud Controller's errors and the
/// request ID.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("kind", self.kind())?;
        fields.serialize_entry("message", &self.to_string())?;
        if let Some(status) = self.status() {
            fields.serialize_entry("status", &status.as_u16())?;
        }
        if !self.cc_errors().is_empty() {
            fields.serialize_entry("cc_errors", self.cc_errors())?;
        }
        if let Some(request_id) = self.request_id() {
            fields.serialize_entry("request_id", request_id)?;
        }
        fields.end()
    }
}

/// Details of a refusal: the time to wait before a retry, and the request's ID in the
/// logs.
fn aside(retry_after: Option<Duration>, request_id: Option<&str>) -> String {
    let wait =
        retry_after.map(|after| format!("; retry after {}", humantime::format_duration(after)));
    let request = request_id.map(|id| format!(" [request {id}]"));
    wait.unwrap_or_default() + &request.unwrap_or_default()
}

/// A status with its standard phrase, such as `404 Not Found`.
fn status_line(status: u16) -> String {
    let known = StatusCode::from_u16(status).ok();
    match known.and_then(|known| known.canonical_reason()) {
        Some(phrase) => format!("{status} {phrase}"),
        None => status.to_string(),
    }
}

//! What can go wrong between us and the Cloud Controller, with its context.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// An operator may switch deployments off.
const DEPLOYMENTS_DISABLED: i64 = 390_014;

/// Cloud Controller stages one build of an app at a time.
pub(crate) const STAGING_IN_PROGRESS: i64 = 170_017;

/// One error in Cloud Controller's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CcError {
    /// Its number, such as 10008.
    #[serde(default)]
    pub code: i64,
    /// Its name, such as `CF-UnprocessableEntity`.
    #[serde(default, alias = "error_code")]
    pub title: String,
    /// What Cloud Controller says about it.
    #[serde(default, alias = "description")]
    pub detail: String,
}

impl CcError {
    /// Cloud Controller says of quotas `memory quota_exceeded`,
    /// `organization's memory limit exceeded`, `... for space 'x' ... quota`,
    /// `log_rate_limit cannot be unlimited in organization 'o'`.
    fn is_quota_exceeded(&self) -> bool {
        let detail = self.detail.to_lowercase();
        detail.contains("quota")
            || detail.contains("cannot be unlimited in")
            || detail.contains("limit exceeded")
            || detail.contains("limit_exceeded")
    }
}

impl fmt::Display for CcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.detail, self.code, self.title)
    }
}

/// Why a call to the foundation failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// Where to.
        url: String,
        /// What the transport said.
        reason: String,
    },
    /// The Cloud Controller is neither as today's nor as that of 2017.
    #[error(
        "unsupported version {version} of the v3 API at {url}, must be 3.84 or later, or the API of 2017"
    )]
    Unsupported {
        /// Where it is.
        url: String,
        /// The version that it advertises.
        version: String,
    },
    /// The request may have been sent, but no whole answer came back.
    #[error("no response from {method} {path}: {reason}; it may have taken effect")]
    NoAnswer {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// What the transport said.
        reason: String,
    },
    /// Cloud Controller answered with an error.
    #[error("{method} {path} failed with {status}: {}{}", describe(errors), aside(*retry_after, request_id.as_deref()))]
    Refused {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// The answer's status.
        status: StatusCode,
        /// Every error of the answer.
        errors: Vec<CcError>,
        /// The answer's `X-Vcap-Request-Id`, to find it in the foundation's logs.
        request_id: Option<String>,
        /// How long the answer asks to wait before another try.
        retry_after: Option<Duration>,
    },
    /// The answer was not what the API promises.
    #[error("unexpected response from {method} {path}: {reason}")]
    NotUnderstood {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging in failed.
    #[error("cannot log in at {uaa}: {reason}")]
    Login {
        /// The UAA's URL.
        uaa: String,
        /// What it said.
        reason: String,
    },
    /// Work that Cloud Controller does in the background failed.
    #[error("{what} failed: {reason}")]
    Failed {
        /// The work, such as `staging of scale-tick-0`.
        what: String,
        /// What Cloud Controller said about it.
        reason: String,
    },
    /// A job that the Cloud Controller ran in the background failed.
    #[error("{what} failed: {}", describe(errors))]
    JobFailed {
        /// The work, such as `deleting the org scale-org`.
        what: String,
        /// Every error of the job.
        errors: Vec<CcError>,
    },
    /// The foundation's API has no such operation.
    #[error("{operation} failed: the API of this foundation has no such operation")]
    NotInDialect {
        /// The operation, such as `applying a manifest`.
        operation: &'static str,
    },
    /// What was made is not there any more.
    #[error("{what} failed: it was deleted in the meantime")]
    Gone {
        /// What was being done.
        what: String,
    },
    /// A wait ended at its deadline.
    #[error(
        "{what} timed out after {}: last state: {last}",
        humantime::format_duration(*waited)
    )]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// The last state that was observed.
        last: String,
    },
    /// It was asked to end, and sends nothing more.
    #[error("interrupted")]
    Interrupted,
    /// Something on this side, such as the file to be uploaded.
    #[error("{what}: {reason}")]
    Local {
        /// What was being done.
        what: String,
        /// Why it could not be.
        reason: String,
    },
}

impl Error {
    /// Whether the API could not be reached or logged in to at all.
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Unsupported { .. } | Self::Login { .. }
        )
    }

    /// Whether it is that nothing more is sent.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted)
    }

    /// Whether observing the foundation again and applying the difference may succeed.
    pub(crate) fn is_worth_replanning(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            Self::NotUnderstood { .. } => true,
            _ if self.is_conflict() => true,
            Self::Refused { status, .. } => {
                self.has_code(STAGING_IN_PROGRESS)
                    || status.is_server_error()
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || *status == StatusCode::CONFLICT
            }
            _ => false,
        }
    }

    /// Whether it is otherwise than we saw it: there is already what was to be
    /// made, or not any more what was to be used. Then somebody else is at work.
    pub(crate) fn is_conflict(&self) -> bool {
        const WORDS: [&str; 9] = [
            "already exists",
            "is taken",
            "must be unique",
            "Duplicate Route Mapping",
            "does not exist",
            "Ensure the ",
            "Ensure that the ",
            "currently used by app",
            "Stop the app before",
        ];
        let says_so = |text: &str| WORDS.iter().any(|words| text.contains(words));
        match self {
            Self::Refused { errors, .. } => {
                self.is_not_found() || errors.iter().any(|it| says_so(&it.detail))
            }
            Self::JobFailed { errors, .. } => errors.iter().any(|it| says_so(&it.detail)),
            Self::Failed { reason, .. } => says_so(reason),
            Self::Gone { .. } => true,
            _ => false,
        }
    }

    /// Whether the Cloud Controller refused the request because of a quota.
    pub fn is_quota_exceeded(&self) -> bool {
        self.cc_errors().iter().any(CcError::is_quota_exceeded)
    }

    /// The message without the name of what failed, for messages that name it.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Failed { reason, .. } => reason.clone(),
            Self::JobFailed { errors, .. } => describe(errors),
            Self::Gone { .. } => "it was deleted in the meantime".to_owned(),
            other => other.to_string(),
        }
    }

    /// Whether the user or client is not allowed to do what was requested.
    pub fn is_forbidden(&self) -> bool {
        self.status() == Some(StatusCode::FORBIDDEN)
    }

    /// Whether both have the same cause: the same words of Cloud Controller's, or
    /// no connection to the same place.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused { errors, .. }, Self::Refused { errors: others, .. }) => {
                errors == others
            }
            (Self::Unreachable { url, .. }, Self::Unreachable { url: other, .. }) => url == other,
            _ => false,
        }
    }

    /// Whether Cloud Controller gave this number among its errors.
    pub(crate) fn has_code(&self, code: i64) -> bool {
        self.cc_errors().iter().any(|it| it.code == code)
    }

    /// The name of the kind of error, for programs.
    fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Unsupported { .. } => "unsupported",
            Self::NoAnswer { .. } => "no_response",
            Self::Refused { .. } => "refused",
            Self::NotUnderstood { .. } => "unexpected_response",
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
    fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }

    /// The Cloud Controller's own errors.
    pub fn cc_errors(&self) -> &[CcError] {
        match self {
            Self::Refused { errors, .. } | Self::JobFailed { errors, .. } => errors,
            _ => &[],
        }
    }

    /// Whether work that the Cloud Controller did in the background failed.
    pub(crate) fn is_failed_work(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::JobFailed { .. })
    }

    /// The status of a refused request, such as `404 Not Found`.
    pub(crate) fn status_text(&self) -> Option<String> {
        self.status().map(|status| status.to_string())
    }

    /// Whether the Cloud Controller certainly refused to do something: it answered a
    /// write with an error of its own, or its job failed. A gateway's answer has no
    /// code of the Cloud Controller, and a poll that fails says nothing of the work.
    pub(crate) fn is_refused_work(&self) -> bool {
        const REFUSALS: [StatusCode; 3] = [
            StatusCode::BAD_REQUEST,
            StatusCode::FORBIDDEN,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        match self {
            Self::JobFailed { .. } => true,
            Self::Refused {
                method,
                status,
                errors,
                ..
            } => {
                !method.is_safe()
                    && REFUSALS.contains(status)
                    && errors.iter().any(|error| error.code > 0)
            }
            _ => false,
        }
    }

    pub(crate) fn is_unauthorized(&self) -> bool {
        self.status() == Some(StatusCode::UNAUTHORIZED)
    }

    pub(crate) fn is_bad_request(&self) -> bool {
        self.status() == Some(StatusCode::BAD_REQUEST)
    }

    pub(crate) fn is_unprocessable(&self) -> bool {
        self.status() == Some(StatusCode::UNPROCESSABLE_ENTITY)
    }

    /// Whether a request for many items may have failed because of one of them.
    pub(crate) fn may_be_of_one(&self) -> bool {
        const OF_CONTENT: [StatusCode; 3] = [
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        let is_of_content = |status| OF_CONTENT.contains(&status);
        self.is_failed_work() || self.status().is_some_and(is_of_content)
    }

    /// Whether the foundation takes no deployments at all: they are switched off, or
    /// it is too old for them.
    pub(crate) fn is_deployments_disabled(&self) -> bool {
        self.has_code(DEPLOYMENTS_DISABLED) || self.is_not_found()
    }

    /// Whether the Cloud Controller is too old for an operation, or fails at it.
    pub(crate) fn is_missing_operation(&self) -> bool {
        const UNKNOWN: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        let is_unknown = |status: StatusCode| UNKNOWN.contains(&status) || status.is_server_error();
        self.status().is_some_and(is_unknown)
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the Cloud Controller does not know the request.
    pub(crate) fn is_unknown_request(&self) -> bool {
        const UNKNOWN: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        let status = self.status();
        status.is_some_and(|status| UNKNOWN.contains(&status))
    }

    /// Whether the request was larger than the Cloud Controller takes.
    pub(crate) fn is_too_large(&self) -> bool {
        self.status() == Some(StatusCode::PAYLOAD_TOO_LARGE)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }
}

/// Kind, message, status, the Cloud Controller's errors and the request's id.
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

/// Details of a refusal: when to retry, and the ID to find it in the logs.
fn aside(retry_after: Option<Duration>, request_id: Option<&str>) -> String {
    let wait =
        retry_after.map(|after| format!("; retry after {}", humantime::format_duration(after)));
    let request = request_id.map(|id| format!(" [request {id}]"));
    wait.unwrap_or_default() + &request.unwrap_or_default()
}

fn describe(errors: &[CcError]) -> String {
    if errors.is_empty() {
        return "no error details".to_owned();
    }
    let texts: Vec<String> = errors.iter().map(CcError::to_string).collect();
    texts.join("; ")
}

/// The errors of an answer's body, in v3's form (`errors`), v2's
/// (`description`) or UAA's (`error_description`); else the body's beginning.
pub(crate) fn parse_errors(body: &[u8]) -> Vec<CcError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        V3 {
            errors: Vec<CcError>,
        },
        V2 {
            description: String,
            #[serde(default)]
            error_code: String,
            #[serde(default)]
            code: i64,
        },
        Uaa {
            error: String,
            #[serde(default)]
            error_description: String,
        },
    }
    match serde_json::from_slice(body) {
        Ok(Body::V3 { errors }) => errors,
        Ok(Body::V2 {
            description,
            error_code,
            code,
        }) => vec![CcError {
            code,
            title: error_code,
            detail: description,
        }],
        Ok(Body::Uaa {
            error,
            error_description,
        }) => vec![CcError {
            code: 0,
            title: error,
            detail: error_description,
        }],
        Err(_) => beginning_of(body),
    }
}

/// A gateway's page of HTML or text says something too.
fn beginning_of(body: &[u8]) -> Vec<CcError> {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(body);
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return Vec::new();
    }
    vec![CcError {
        code: 0,
        title: "not from the Cloud Controller".to_owned(),
        detail: text.chars().take(LONGEST).collect(),
    }]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(422, true)]
    #[case(400, true)]
    #[case(403, true)]
    #[case(401, false)]
    #[case(408, false)]
    #[case(413, false)]
    #[case(421, false)]
    #[case(429, false)]
    #[case(499, false)]
    #[case(503, false)]
    fn only_errors_of_the_cloud_controller_to_a_write_refuse_it(
        #[case] status: u16,
        #[case] expected: bool,
    ) {
        let refused = |method: Method, code| Error::Refused {
            method,
            path: "/v3/x".to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            errors: vec![CcError {
                code,
                title: "CF-Error".to_owned(),
                detail: "no".to_owned(),
            }],
            request_id: None,
            retry_after: None,
        };
        assert_eq!(refused(Method::POST, 10008).is_refused_work(), expected);
        assert!(!refused(Method::POST, 0).is_refused_work(), "of a gateway");
        assert!(!refused(Method::GET, 10008).is_refused_work(), "of a poll");
    }

    #[rstest]
    #[case::v3(
        r#"{"errors":[{"code":10008,"title":"CF-UnprocessableEntity","detail":"no"}]}"#,
        "no (10008 CF-UnprocessableEntity)"
    )]
    #[case::v2(
        r#"{"description":"taken","error_code":"CF-OrganizationNameTaken","code":30002}"#,
        "taken (30002 CF-OrganizationNameTaken)"
    )]
    #[case::uaa(
        r#"{"error":"unauthorized","error_description":"Bad credentials"}"#,
        "Bad credentials (0 unauthorized)"
    )]
    #[case::gateway(
        "<html>\n 502 Bad Gateway</html>",
        "<html> 502 Bad Gateway</html> (0 not from the Cloud Controller)"
    )]
    #[case::nothing("", "no error details")]
    fn errors_of_every_form_are_shown(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(describe(&parse_errors(body.as_bytes())), expected);
    }
}

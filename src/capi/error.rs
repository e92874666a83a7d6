//! What can go wrong between us and the Cloud Controller, with its context.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;

/// Cloud Controller stages one build of an app at a time.
pub(crate) const STAGING_IN_PROGRESS: i64 = 170_017;

/// One error in Cloud Controller's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CcError {
    /// Its number, such as 10008.
    pub code: i64,
    /// Its name, such as `CF-UnprocessableEntity`.
    pub title: String,
    /// What Cloud Controller says about it.
    pub detail: String,
}

impl CcError {
    /// Cloud Controller says of quotas `memory quota_exceeded`,
    /// `organization's memory limit exceeded`, `... for space 'x' ... quota`.
    fn is_of_a_quota(&self) -> bool {
        let detail = self.detail.to_lowercase();
        detail.contains("quota")
            || detail.contains("limit exceeded")
            || detail.contains("limit_exceeded")
    }
}

impl fmt::Display for CcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.detail, self.code, self.title)
    }
}

/// Why something asked of the foundation did not come about.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made.
    #[error("cannot reach {url}: {reason}; check the API's URL, the network and TLS")]
    Unreachable {
        /// Where to.
        url: String,
        /// What the transport said.
        reason: String,
    },
    /// The Cloud Controller is neither as today's nor as that of 2017.
    #[error(
        "the API v3 at {url} is of version {version}, and cf-pusher speaks that of 3.84 and later, and that of 2017; choose one all the same with --dialect"
    )]
    Unsupported {
        /// Where it is.
        url: String,
        /// The version that it advertises.
        version: String,
    },
    /// The request may have been sent, but no whole answer came back.
    #[error("{method} {path} had no answer: {reason}; run again to settle what became of it")]
    NoAnswer {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// What the transport said.
        reason: String,
    },
    /// Cloud Controller answered with an error.
    #[error("{method} {path} was answered {status}: {}{}", describe(errors), aside(*retry_after, request_id.as_deref()))]
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
    #[error("{method} {path} was answered with what is not understood: {reason}")]
    NotUnderstood {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging in failed.
    #[error("cannot log in at {uaa}: {reason}; {advice}")]
    Login {
        /// The UAA's URL.
        uaa: String,
        /// What it said.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// Work that Cloud Controller does in the background failed.
    #[error("{what} failed: {reason}")]
    Failed {
        /// The work, such as `staging of scale-tick-0`.
        what: String,
        /// What Cloud Controller said about it.
        reason: String,
    },
    /// What was made is not there any more.
    #[error("{what}: it is gone; was it deleted meanwhile? run again")]
    Gone {
        /// What was being done.
        what: String,
    },
    /// A wait ended at its deadline.
    #[error(
        "{what} did not end within {}: last seen {last}; run again, or give it longer with --timeout",
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
    #[error("interrupted; run the same command again to finish")]
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

    /// Whether observing again and applying the difference may mend it.
    pub(crate) fn may_settle(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            Self::NotUnderstood { .. } => true,
            _ if self.is_contested() => true,
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
    pub(crate) fn is_contested(&self) -> bool {
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
            Self::Failed { reason, .. } => says_so(reason),
            Self::Gone { .. } => true,
            _ => false,
        }
    }

    /// Whether a quota does not allow it.
    pub(crate) fn is_of_a_quota(&self) -> bool {
        matches!(self, Self::Refused { errors, .. } if errors.iter().any(CcError::is_of_a_quota))
    }

    /// What the user may do about it, where the message does not say.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Refused { .. } if self.is_of_a_quota() => Some(
                "a quota does not allow what is asked for: raise its limits, or ask for fewer apps, instances or memory",
            ),
            Self::Refused { status, .. } if *status == StatusCode::FORBIDDEN => {
                Some("the user or client that is logged in may not do that: use an admin's login")
            }
            Self::Failed { what, .. } if what.starts_with("staging") => Some(
                "see what the buildpack said (`cf logs APP --recent`), mend the bits, and run again",
            ),
            _ => None,
        }
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
        matches!(self, Self::Refused { errors, .. } if errors.iter().any(|it| it.code == code))
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }
}

/// What else an answer told: when to come back, and how to find it in the logs.
fn aside(retry_after: Option<Duration>, request_id: Option<&str>) -> String {
    let wait =
        retry_after.map(|after| format!("; it asks to wait {}", humantime::format_duration(after)));
    let request = request_id.map(|id| format!(" [request {id}]"));
    wait.unwrap_or_default() + &request.unwrap_or_default()
}

fn describe(errors: &[CcError]) -> String {
    if errors.is_empty() {
        return "no explanation".to_owned();
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
            errors: Vec<V3>,
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
    #[derive(Deserialize)]
    struct V3 {
        #[serde(default)]
        code: i64,
        #[serde(default)]
        title: String,
        #[serde(default)]
        detail: String,
    }
    match serde_json::from_slice(body) {
        Ok(Body::V3 { errors }) => errors
            .into_iter()
            .map(
                |V3 {
                     code,
                     title,
                     detail,
                 }| CcError {
                    code,
                    title,
                    detail,
                },
            )
            .collect(),
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
        title: "not from Cloud Controller".to_owned(),
        detail: text.chars().take(LONGEST).collect(),
    }]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

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
        "<html> 502 Bad Gateway</html> (0 not from Cloud Controller)"
    )]
    #[case::nothing("", "no explanation")]
    fn errors_of_every_form_are_shown(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(describe(&parse_errors(body.as_bytes())), expected);
    }
}

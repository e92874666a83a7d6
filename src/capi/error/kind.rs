//! Distinguishes kinds of errors.

use reqwest::StatusCode;

use super::super::cc_error::{
    CcError, DEPLOYMENTS_DISABLED, STAGING_IN_PROGRESS, is_conflict_text,
};
use super::Error;

impl Error {
    /// Whether the login failed because of the credentials, and not because of the UAA.
    pub fn is_login_refused(&self) -> bool {
        const REFUSALS: [u16; 3] = [400, 401, 403];
        let Self::Login { source, .. } = self else {
            return false;
        };
        // Without a request, the tokens have expired.
        source.as_ref().is_none_or(|source| {
            let error = source.downcast_ref::<Self>();
            error.is_some_and(
                |error| matches!(error, Self::Refused { status, .. } if REFUSALS.contains(status)),
            )
        })
    }

    /// Whether the API could not be reached or logged in to at all.
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Unsupported { .. } | Self::Login { .. }
        )
    }

    /// Whether the run was interrupted.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted)
    }

    /// Whether it may help to observe the foundation again and apply the difference.
    pub(crate) fn is_worth_replanning(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoResponse { .. } => true,
            Self::UnexpectedResponse { .. } => true,
            _ if self.is_conflict() => true,
            Self::Refused { status, .. } => {
                self.has_code(STAGING_IN_PROGRESS) || matches!(status, 409 | 429 | 500..)
            }
            _ => false,
        }
    }

    /// Whether the foundation differs from the observation, because someone else is
    /// changing it: a resource already exists, or no longer exists.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            Self::Refused { errors, .. } => {
                self.is_not_found() || errors.iter().any(CcError::is_conflict)
            }
            Self::JobFailed { errors, .. } => errors.iter().any(CcError::is_conflict),
            Self::Failed { reason, .. } => is_conflict_text(reason),
            Self::Gone { .. } => true,
            _ => false,
        }
    }

    /// Whether the Cloud Controller refused the request because of a quota.
    pub fn is_quota_exceeded(&self) -> bool {
        self.cc_errors().iter().any(CcError::is_quota_exceeded)
    }

    /// Whether the user or client is not allowed to do what was requested.
    pub fn is_forbidden(&self) -> bool {
        self.status() == Some(StatusCode::FORBIDDEN)
    }

    /// Whether the API responded with a redirect.
    pub fn is_redirect(&self) -> bool {
        self.status().is_some_and(|status| status.is_redirection())
    }

    /// Whether the foundation failed to process the request, or was too busy.
    pub fn is_unavailable(&self) -> bool {
        self.status().is_some_and(|status| {
            status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
        })
    }

    /// Whether the Cloud Controller reported an error with this code.
    pub(crate) fn has_code(&self, code: i64) -> bool {
        self.cc_errors().iter().any(|it| it.code == code)
    }

    /// Whether background work of the Cloud Controller failed.
    pub(crate) fn is_failed_work(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::JobFailed { .. })
    }

    /// Whether the Cloud Controller certainly refused the work: it responded to a write
    /// with its own error, or its job failed. The response of a gateway has no code of
    /// the Cloud Controller, and a failed poll does not show the result of the work.
    pub(crate) fn is_refused_work(&self) -> bool {
        match self {
            Self::JobFailed { .. } => true,
            Self::Refused {
                method,
                status,
                errors,
                ..
            } => {
                method != "GET"
                    && matches!(status, 400 | 403 | 422)
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

    /// Whether the foundation does not accept deployments: they are disabled, or it is
    /// too old for them.
    pub(crate) fn is_deployments_disabled(&self) -> bool {
        self.has_code(DEPLOYMENTS_DISABLED) || self.is_not_found()
    }

    /// Whether the Cloud Controller is too old for an operation, or fails to carry it
    /// out.
    pub(crate) fn is_missing_operation(&self) -> bool {
        const UNKNOWN: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        let is_unknown = |status: StatusCode| UNKNOWN.contains(&status) || status.is_server_error();
        self.status().is_some_and(is_unknown)
    }

    /// Whether the Cloud Controller does not recognize the request.
    pub(crate) fn is_unknown_request(&self) -> bool {
        const UNKNOWN: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        let status = self.status();
        status.is_some_and(|status| UNKNOWN.contains(&status))
    }

    /// Whether the request was larger than the Cloud Controller accepts.
    pub(crate) fn is_too_large(&self) -> bool {
        self.status() == Some(StatusCode::PAYLOAD_TOO_LARGE)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }
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
        let refused = |method: &str, code| Error::Refused {
            method: method.to_owned(),
            path: "/v3/x".to_owned(),
            status,
            errors: vec![CcError {
                code,
                title: "CF-Error".to_owned(),
                detail: "no".to_owned(),
            }],
            request_id: None,
            retry_after: None,
        };
        assert_eq!(refused("POST", 10008).is_refused_work(), expected);
        assert!(!refused("POST", 0).is_refused_work(), "a gateway");
        assert!(!refused("GET", 10008).is_refused_work(), "a poll");
    }
}

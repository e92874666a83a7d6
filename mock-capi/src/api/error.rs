//! The Cloud Controller's errors, with the codes, titles and messages of its
//! `errors/v2.yml` and `errors/v3.yml`.

use serde_json::{Value, json};

use crate::world::error::{Cause, Error, Failure};

/// An error response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {}", self.details())]
pub(crate) struct CcError {
    pub(crate) status: u16,
    pub(crate) causes: Vec<Cause>,
}

/// Errors of the world, as the Cloud Controller reports them.
impl From<Error> for CcError {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Unknown => Self::unknown(),
            Error::TooManyLabels { .. } => Self::new(422, 390_020, "CF-LabelLimitExceeded", detail),
            Error::TooManyAnnotations { .. } => {
                Self::new(422, 390_023, "CF-AnnotationLimitExceeded", detail)
            }
            Error::Unprocessable(detail) => Self::unprocessable(detail),
            Error::NotFound(kind) => Self::not_found(kind),
        }
    }
}

impl From<Failure> for CcError {
    fn from(Failure { status, causes }: Failure) -> Self {
        Self { status, causes }
    }
}

impl From<CcError> for Failure {
    fn from(CcError { status, causes }: CcError) -> Self {
        Self { status, causes }
    }
}

impl CcError {
    pub(crate) fn new(
        status: u16,
        code: u32,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let cause = Cause {
            code,
            title: title.into(),
            detail: detail.into(),
            broker_request: None,
        };
        Self {
            status,
            causes: vec![cause],
        }
    }

    pub(crate) fn invalid_auth_token() -> Self {
        Self::new(401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token")
    }

    pub(crate) fn not_authenticated() -> Self {
        Self::new(401, 10002, "CF-NotAuthenticated", "Authentication error")
    }

    pub(crate) fn unknown_request() -> Self {
        Self::new(404, 10000, "CF-NotFound", "Unknown request")
    }

    /// `kind` is a noun, such as `Service instance`.
    pub(crate) fn not_found(kind: &str) -> Self {
        let detail = format!("{kind} not found");
        Self::new(404, 10010, "CF-ResourceNotFound", detail)
    }

    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(422, 10008, "CF-UnprocessableEntity", detail)
    }

    /// Several errors of one request.
    pub(crate) fn all_unprocessable(details: Vec<String>) -> Self {
        let causes = details.into_iter().map(Self::unprocessable);
        Self {
            status: 422,
            causes: causes.flat_map(|error| error.causes).collect(),
        }
    }

    pub(crate) fn not_unique(detail: impl Into<String>) -> Self {
        Self::new(422, 10016, "CF-UniquenessError", detail)
    }

    pub(crate) fn not_authorized() -> Self {
        let detail = "You are not authorized to perform the requested action";
        Self::new(403, 10003, "CF-NotAuthorized", detail)
    }

    /// v2's error for a token without the scope of the operation.
    pub(crate) fn insufficient_scope() -> Self {
        let detail = "Your token lacks the necessary scopes to access this resource.";
        Self::new(403, 10007, "CF-InsufficientScope", detail)
    }

    /// Only administrators can change a suspended organization.
    pub(crate) fn org_suspended() -> Self {
        let detail = "The organization is suspended";
        Self::new(403, 10017, "CF-OrgSuspended", detail)
    }

    pub(crate) fn space_suspended() -> Self {
        Self::new(403, 10019, "CF-SpaceSuspended", "The space is suspended")
    }

    /// A page of another origin tried to change the mock. The Cloud Controller has
    /// no such error.
    pub(crate) fn foreign(origin: &str) -> Self {
        let detail = format!("a page of {origin} may not change this mock");
        Self::new(403, 10003, "MockCapi-ForeignOrigin", detail)
    }

    /// A request with another host name, which a page can send after DNS rebinding.
    pub(crate) fn foreign_host(host: &str) -> Self {
        let detail = format!(
            "'{host}' is not a name of this mock: add it with --allow-host, in Rust with \
             MockCapiBuilder::allow_host"
        );
        Self::new(403, 10003, "MockCapi-ForeignHost", detail)
    }

    pub(crate) fn feature_disabled(what: &str) -> Self {
        let detail = format!("Feature Disabled: {what}");
        Self::new(403, 330_002, "CF-FeatureDisabled", detail)
    }

    /// An error for which the Cloud Controller has no message.
    pub(crate) fn unknown() -> Self {
        Self::new(500, 10001, "UnknownError", "An unknown error occurred.")
    }

    /// An operation of the Cloud Controller that the mock does not implement. The
    /// Cloud Controller has no such error, so the title names the mock.
    pub(crate) fn unimplemented(method: &str, path: &str) -> Self {
        let detail = format!("mock-capi does not implement {method} {path}");
        Self::new(501, 10001, "MockCapi-NotImplemented", detail)
    }

    /// Bits that the mock does not keep, because they are too large or too old. The
    /// Cloud Controller has no such error.
    pub(crate) fn bits_not_kept() -> Self {
        let detail = "mock-capi does not keep these bits: they are too large or too old";
        Self::new(404, 10010, "MockCapi-BitsNotKept", detail)
    }

    /// Adds a prefix to the messages of errors about resources.
    pub(crate) fn prefixed(mut self, prefix: &str) -> Self {
        if [404, 422].contains(&self.status) {
            for cause in &mut self.causes {
                cause.detail.insert_str(0, prefix);
            }
        }
        self
    }

    pub(crate) fn bad_query(detail: impl AsRef<str>) -> Self {
        let detail = format!("The query parameter is invalid: {}", detail.as_ref());
        Self::new(400, 10005, "CF-BadQueryParameter", detail)
    }

    pub(crate) fn bad_request(detail: &str) -> Self {
        let detail = format!("Bad request: {detail}");
        Self::new(400, 1004, "CF-BadRequest", detail)
    }

    pub(crate) fn unparsable() -> Self {
        let detail = "Request invalid due to parse error: invalid request body";
        Self::new(400, 1001, "CF-MessageParseError", detail)
    }

    pub(crate) fn invalid_request() -> Self {
        Self::new(400, 10004, "CF-InvalidRequest", "The request is invalid")
    }

    /// The `errors` of a v3 response or job.
    pub(crate) fn errors(&self) -> Value {
        let causes = self.causes.iter();
        causes
            .map(
                |Cause {
                     code,
                     title,
                     detail,
                     ..
                 }| json!({"detail": detail, "title": title, "code": code}),
            )
            .collect()
    }

    /// The body of a v3 response.
    pub(crate) fn body(&self) -> Value {
        json!({"errors": self.errors()})
    }

    /// The error of a build or a droplet.
    pub(crate) fn staging_text(&self) -> Option<String> {
        let cause = self.causes.first()?;
        Some(format!("{} - {}", cause.title, cause.detail))
    }

    /// The body of a v2 response, which contains one error.
    pub(crate) fn v2_body(&self) -> Value {
        let Some(cause) = self.causes.first() else {
            return json!({});
        };
        let mut body = json!({
            "description": cause.detail,
            "error_code": cause.title,
            "code": cause.code,
        });
        if let Some(request) = &cause.broker_request {
            body["http"] = request.clone();
        }
        body
    }

    /// All messages.
    pub(crate) fn details(&self) -> String {
        let details: Vec<&str> = self.causes.iter().map(|c| c.detail.as_str()).collect();
        details.join(", ")
    }
}

/// Refuses a request with all of its errors.
pub(crate) fn validate(errors: &[String]) -> Result<(), CcError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(CcError::unprocessable(errors.join(", ")))
}

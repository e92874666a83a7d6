//! The errors of UAA, whose format differs from the Cloud Controller's

use serde_json::{Value, json};

use super::keys::KeyError;
use crate::api::http::Response;

/// An error response of UAA.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    body: Value,
    /// Whether a browser should ask for a name and a password.
    asks_for_login: bool,
}

impl Refusal {
    /// An error of OAuth.
    pub(super) fn new(status: u16, error: &str, description: impl Into<String>) -> Self {
        let body = json!({"error": error, "error_description": description.into()});
        Self {
            status,
            body,
            asks_for_login: false,
        }
    }

    /// Makes browsers ask for a name and a password.
    pub(super) fn asking_for_login(mut self) -> Self {
        self.asks_for_login = true;
        self
    }

    /// An error of SCIM, which contains its description twice.
    pub(super) fn scim(status: u16, error: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self::new(status, error, description.clone()).with("message", description)
    }

    /// Adds a key to the error.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body[key] = value.into();
        self
    }

    pub(super) fn bad_credentials() -> Self {
        Self::new(401, "unauthorized", "Bad credentials")
    }

    pub(super) fn insufficient_scope(scopes: &str) -> Self {
        let description = "Insufficient scope for this resource";
        Self::new(403, "insufficient_scope", description).with("scope", scopes)
    }

    /// The error for a body that is not the expected JSON.
    pub(super) fn unreadable(error: String) -> Self {
        Self::scim(400, "invalid_scim_resource", error)
    }

    pub(super) fn answer(self) -> Response {
        let response = Response::json(self.status, &self.body);
        match self.asks_for_login {
            true => response.with_header("WWW-Authenticate", "Basic realm=\"UAA\""),
            false => response,
        }
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::new(500, "server_error", error.to_string())
    }
}

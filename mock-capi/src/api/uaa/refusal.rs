//! How UAA refuses: its errors are not those of the Cloud Controller.

use serde_json::{Value, json};

use crate::api::http::Response;

/// What OAuth calls an error answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    body: Value,
}

impl Refusal {
    pub(super) fn new(status: u16, error: &str, description: impl Into<String>) -> Self {
        let body = json!({"error": error, "error_description": description.into()});
        Self { status, body }
    }

    /// The same with something more for programs.
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

    pub(super) fn answer(self) -> Response {
        Response::json(self.status, &self.body)
    }
}

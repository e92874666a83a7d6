//! Requests to the Cloud Controller's API.

use std::path::{Path, PathBuf};

use reqwest::Method;
use secrecy::SecretString;
use serde_json::Value;

use super::retry::Replay;
use super::upload::Upload;

/// A request to the API.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query, beginning with `/`.
    pub(crate) path: String,
    pub(crate) body: Body,
    pub(crate) replay: Replay,
    /// The file that the response's body is written to. A redirect to the body is
    /// followed, without the token.
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    /// A manifest in YAML or JSON.
    Yaml(String),
    /// A form with a file.
    Upload(Upload),
    /// The form of a login.
    Form(Vec<(&'static str, SecretString)>),
}

impl Request {
    fn new(method: Method, path: String, replay: Replay) -> Self {
        Self {
            method,
            path,
            body: Body::Empty,
            replay,
            file: None,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), Replay::Safe)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path.into(), Replay::Unsafe)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path.into(), Replay::Safe)
    }

    pub(crate) fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path.into(), Replay::Safe)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into(), Replay::Safe)
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    pub(crate) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Writes the response's body to a file, which is created or replaced.
    pub(crate) fn into_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// Marks a `POST` that has the same effect when it is sent again.
    pub(crate) fn repeatable(mut self) -> Self {
        self.replay = Replay::Safe;
        self
    }

    pub(crate) fn replay(mut self, replay: Replay) -> Self {
        self.replay = replay;
        self
    }

    /// Whether the Cloud Controller's rate limit counts the request.
    pub(super) fn is_counted(&self) -> bool {
        ["/v2/", "/v3/"].iter().any(|it| self.path.starts_with(it))
    }

    /// Method and path, with GUIDs as `:guid` and without the query.
    pub(crate) fn endpoint(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let path: Vec<&str> = path
            .split('/')
            .map(|part| if is_guid(part) { ":guid" } else { part })
            .collect();
        format!("{} {}", self.method, path.join("/"))
    }
}

fn is_guid(part: &str) -> bool {
    part.len() == 36
        && part.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/v3/apps?names=a", "GET /v3/apps")]
    #[case(
        "/v3/apps/d4cf0f68-d498-4f33-bc25-d6cd37d3cbe8/env",
        "GET /v3/apps/:guid/env"
    )]
    #[case("/v3/apps/not-a-guid/env", "GET /v3/apps/not-a-guid/env")]
    fn endpoints_have_no_guids(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(Request::get(path).endpoint(), expected);
    }
}

//! Responses of the Cloud Controller's API, and the errors of refused requests.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, LOCATION};
use reqwest::{Method, StatusCode, Version};
use serde::de::DeserializeOwned;

use super::request::Request;
use super::retry;
use super::secrets::Secrets;
use crate::capi::cc_error::{self, json_problem, printable, readable};
use crate::capi::error::{CcError, Error};

/// The header with the Cloud Controller's ID of a request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-vcap-request-id");

/// The time that the server needed for the request, in seconds.
const RUNTIME: HeaderName = HeaderName::from_static("x-runtime");

/// A successful response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) secrets: Arc<Secrets>,
}

impl Response {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::UnexpectedResponse {
            method: self.method.to_string(),
            path: self.path.clone(),
            reason: self.secrets.masked(not_json(&self.body, &error)),
            source: Some(Arc::new(error)),
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `Location` header: the URL of the job that the request started.
    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    pub(crate) fn unexpected_response(&self, reason: impl Into<String>) -> Error {
        Error::UnexpectedResponse {
            method: self.method.to_string(),
            path: self.path.clone(),
            reason: reason.into(),
            source: None,
        }
    }
}

/// The reason why a response could not be read.
pub(super) enum ReadError {
    Transport(reqwest::Error),
    TooLong,
    /// The file of a download cannot be written.
    File(std::io::Error),
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

impl From<reqwest::Error> for ReadError {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error)
    }
}

/// A response as received.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    /// The time until the response began.
    pub(super) waited: Duration,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

pub(super) fn refusal(
    request: &Request,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Error {
    let mut errors = cc_error::parse(body);
    if status.is_redirection()
        && let Some(target) = text_of(headers, LOCATION)
    {
        errors = vec![CcError {
            code: 0,
            title: String::new(),
            detail: format!(
                "it redirects to {}, which is not followed",
                printable(&target)
            ),
        }];
    }
    Error::Refused {
        method: request.method.to_string(),
        path: request.path.clone(),
        status: status.as_u16(),
        errors,
        request_id: text_of(headers, REQUEST_ID),
        retry_after: retry::retry_after(status, headers),
    }
}

/// The reason why a body is not the JSON that the API specifies.
fn not_json(body: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(body);
    match text.trim_start().chars().next() {
        None => "it is empty".to_owned(),
        Some('<') => match readable(&text).chars().take(60).collect::<String>() {
            page if page.is_empty() => "it is HTML and not JSON".to_owned(),
            page => format!("it is HTML and not JSON: {page}"),
        },
        Some(_) => json_problem(error),
    }
}

/// The value of a header.
pub(super) fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The time that the server needed for the request, according to the response.
pub(super) fn server_time(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = text_of(headers, RUNTIME)?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

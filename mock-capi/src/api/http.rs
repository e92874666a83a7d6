//! Requests and responses of handlers.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::api::error::CcError;
use crate::api::form::{Form, NO_FORM};
use crate::world::CowStr;
use crate::world::ruby;

/// An HTTP request with decoded path and query.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) raw_query: Option<&'a str>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: &'a HeaderMap,
    /// The body. For uploads, possibly only the beginning.
    pub(crate) body: &'a [u8],
    /// The size of the complete body in bytes.
    pub(crate) body_size: u64,
    /// The form of an upload. Empty for other bodies.
    pub(crate) form: &'a Form,
    /// The address of the client, if the connection still has one.
    pub(crate) client: Option<IpAddr>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        method: &'a str,
        path: &'a str,
        raw_query: Option<&'a str>,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Self {
        let query = form_urlencoded::parse(raw_query.unwrap_or_default().as_bytes());
        Self {
            method,
            path,
            raw_query,
            query: query.into_owned().collect(),
            headers,
            body,
            body_size: body.len() as u64,
            form: &NO_FORM,
            client: None,
        }
    }

    /// Adds the form in the body, and the size of the body.
    pub(crate) fn with_form(mut self, form: &'a Form, body_size: u64) -> Self {
        (self.form, self.body_size) = (form, body_size);
        self
    }

    pub(crate) fn of_parts(parts: &'a Parts, body: &'a [u8], client: Option<SocketAddr>) -> Self {
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let mut request = Self::new(method, path, parts.uri.query(), &parts.headers, body);
        request.client = client.map(|address| address.ip());
        request
    }

    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Path and query, as sent.
    pub(crate) fn target(&self) -> String {
        match self.raw_query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.into(),
        }
    }

    /// The last value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        last_value(&self.query, name)
    }

    /// Whether the method is read-only.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// A number in the query, if the parameter is present.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, CcError> {
        let Some(text) = self.query(name) else {
            return Ok(None);
        };
        let refuse = |_| CcError::bad_query(format!("{name} '{text}' is not a number"));
        text.parse().map(Some).map_err(refuse)
    }

    /// The body as a JSON object, which is empty if there is no body.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, CcError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Map::new());
        }
        // v3 is a Rails application, unlike v2.
        match self.is_v3() {
            true => self.parameters(),
            false => self.untouched_object(),
        }
    }

    /// The body as Rails reads it, which accepts JSON and forms and ignores other bodies.
    fn parameters(&self) -> Result<Map<String, Value>, CcError> {
        const JSON: [&str; 4] = [
            "application/json",
            "text/x-json",
            "application/jsonrequest",
            "application/problem+json",
        ];
        let media_type = self.media_type();
        let parameters = match media_type.as_deref() {
            Some(known) if JSON.contains(&known) => {
                serde_json::from_slice(self.body).ok().map(ruby::parameters)
            }
            Some("application/x-www-form-urlencoded") => ruby::form_parameters(self.body),
            None if self.method == "POST" => ruby::form_parameters(self.body),
            _ => Some(Map::new()),
        };
        parameters.ok_or_else(CcError::unparsable)
    }

    pub(crate) fn is_v3(&self) -> bool {
        self.path.starts_with("/v3/")
    }

    /// Whether the request is sent to the Cloud Controller, and not to UAA or another
    /// server.
    pub(crate) fn is_for_cloud_controller(&self) -> bool {
        self.is_v3() || self.path.starts_with("/v2/")
    }

    /// The content type in lower case, without parameters, if the client sends one.
    pub(crate) fn media_type(&self) -> Option<String> {
        let header = self.header("content-type")?;
        let end = header.find([',', ';']).unwrap_or(header.len());
        let media_type = header[..end].trim().to_ascii_lowercase();
        (!media_type.is_empty()).then_some(media_type)
    }

    /// Whether the content type is absent, or consists of a type and a subtype.
    pub(crate) fn has_sound_media_type(&self) -> bool {
        let in_name = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(in_name)
        };
        self.media_type().is_none_or(|media_type| {
            let names = media_type.split_once('/');
            names.is_some_and(|(kind, subtype)| {
                media_type == "*/*" || is_name(kind) && (subtype == "*" || is_name(subtype))
            })
        })
    }

    /// The body as a JSON object, without the changes that Rails makes.
    pub(crate) fn untouched_object(&self) -> Result<Map<String, Value>, CcError> {
        match serde_json::from_slice(self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(Value::Null) => Ok(Map::new()),
            _ => Err(CcError::unparsable()),
        }
    }
}

/// Whether a path belongs to the v2 API.
fn is_v2(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}

/// The last value of a parameter.
pub(crate) fn last_value<'p>(params: &'p [(String, String)], name: &str) -> Option<&'p str> {
    let found = params.iter().rev().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(CowStr, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: CowStr,
    /// The number of resources, if it is a list.
    pub(crate) listed: Option<usize>,
}

impl Response {
    const JSON: &'static str = "application/json; charset=utf-8";

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::json_text(status, body.to_string().into_bytes())
    }

    /// A response whose body is JSON text.
    pub(crate) fn json_text(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            content_type: Self::JSON.into(),
            listed: None,
        }
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn created(body: &Value) -> Self {
        Self::json(201, body)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            content_type: Self::JSON.into(),
            listed: None,
        }
    }

    /// An error in the format of the API that `path` belongs to.
    pub(crate) fn error(path: &str, error: &CcError) -> Self {
        // Paths that belong to no API are looked up in v2 last.
        let is_elsewhere = !path.starts_with("/v3") && *error == CcError::unknown_request();
        let body = if is_v2(path) || is_elsewhere {
            error.v2_body()
        } else {
            error.body()
        };
        Self::json(error.status, &body)
    }

    /// Sets the content type of the API that `path` belongs to.
    pub(crate) fn in_dialect_of(mut self, path: &str) -> Self {
        if is_v2(path) && self.content_type == Self::JSON {
            self.content_type = "application/json;charset=utf-8".into();
        }
        self
    }

    pub(crate) fn text(content_type: &'static str, body: String) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into_bytes(),
            content_type: content_type.into(),
            listed: None,
        }
    }

    pub(crate) fn bits(bits: Vec<u8>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: bits,
            content_type: "application/octet-stream".into(),
            listed: None,
        }
    }

    /// Adds a warning, if there is one.
    pub(crate) fn with_warnings(self, warning: Option<String>) -> Self {
        match warning {
            None => self,
            Some(warning) => {
                let warning = form_urlencoded::byte_serialize(warning.as_bytes());
                self.with_header("X-Cf-Warnings", warning.collect::<String>())
            }
        }
    }

    /// Adds `Retry-After` in seconds, rounded up so that clients do not retry too early.
    pub(crate) fn with_retry_after(self, time: Duration) -> Self {
        let more = u64::from(time.subsec_nanos() > 0);
        let seconds = time.as_secs().saturating_add(more);
        self.with_header("Retry-After", seconds.to_string())
    }

    /// Another response with the headers of this one.
    pub(crate) fn replaced_by(self, other: Self) -> Self {
        Self {
            headers: self.headers,
            ..other
        }
    }

    /// Marks the response as a list of this many resources.
    pub(crate) fn listing(mut self, resources: usize) -> Self {
        self.listed = Some(resources);
        self
    }

    pub(crate) fn with_header(mut self, name: impl Into<CowStr>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Decodes percent escapes of a path, in which `+` is a plus sign.
pub(crate) fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_never_too_early() {
        for (millis, seconds) in [(0, "0"), (1, "1"), (500, "1"), (1000, "1"), (1001, "2")] {
            let response = Response::empty(429).with_retry_after(Duration::from_millis(millis));
            assert_eq!(
                response.headers,
                [("Retry-After".into(), seconds.to_owned())]
            );
        }
    }
}

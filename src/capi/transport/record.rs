//! Records exchanges in a form that can be stored: without secrets, and with long bodies
//! truncated.
//!
//! The values of tokens, passwords, credentials, cookies and environment variables are
//! removed, as are requests to the UAA and log lines. A body that is neither JSON nor
//! YAML cannot be searched for secrets, so it is also removed, except for the text of
//! error pages. URLs that cf-pusher sends contain no secrets.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::Value;

use super::request::{Body, Request};
use super::response::Received;
use super::secrets::Secrets;
use super::upload::Upload;
use crate::events::{Content, Exchange, Response};

/// Replaces a removed value.
const REMOVED: &str = "[removed]";

/// The maximum size of a body, in bytes. Longer bodies are truncated.
const MAX_BODY: usize = 16 * 1024;

/// A key that contains one of these has a secret value.
const SECRET_PARTS: [&str; 7] = [
    "authorization",
    "cookie",
    "credential",
    "passcode",
    "password",
    "secret",
    "token",
];

/// Keys whose values are secret or may contain secrets: environments, parameters of
/// services, log lines.
const SECRET_KEYS: [&str; 12] = [
    "application_env_json",
    "env",
    "environment_json",
    "environment_variables",
    "parameters",
    "payload",
    "private_key",
    "running_env_json",
    "staging_env_json",
    "system_env_json",
    "username",
    "var",
];

/// A request and its response, if any, without the secrets of the run.
pub(super) fn exchange(
    url: String,
    request: &Request,
    secrets: &Secrets,
    received: Result<&Received, &crate::capi::error::Error>,
) -> Exchange {
    let is_login = matches!(request.body, Body::Form(_));
    let response = received.ok().map(|received| Response {
        status: received.status.as_u16(),
        reason: received.status.canonical_reason().unwrap_or_default(),
        version: format!("{:?}", received.version),
        time_to_first_byte: received.waited,
        headers: headers(&received.headers, secrets),
        content: response_body(received, is_login, secrets),
    });
    Exchange {
        method: request.method.to_string(),
        url,
        request_body: request_body(&request.body),
        response,
        error: received.err().map(ToString::to_string),
    }
}

fn request_body(body: &Body) -> Option<Content> {
    let (mime, text) = match body {
        Body::Empty => return None,
        Body::Json(value) => ("application/json", without_secrets(value.clone())),
        Body::Yaml(text) => ("application/x-yaml", yaml(text)),
        Body::Form(_) => ("application/x-www-form-urlencoded", REMOVED.to_owned()),
        Body::Upload(upload) => ("multipart/form-data", form(upload)),
    };
    Some(content(mime.to_owned(), None, text))
}

/// The parts of a form, without the content of the file.
fn form(upload: &Upload) -> String {
    let resources = upload.resources.as_deref().unwrap_or("none");
    let bits = upload.bits.as_ref().map_or("none", |_| "a file");
    format!("resources: {resources}\nbits: {bits}")
}

fn response_body(received: &Received, is_login: bool, secrets: &Secrets) -> Content {
    let mime = received.headers.get(CONTENT_TYPE);
    let mime = mime.and_then(|mime| mime.to_str().ok());
    let mime = mime.unwrap_or_default().to_owned();
    let text = match serde_json::from_slice(&received.body) {
        _ if is_login => REMOVED.to_owned(),
        Ok(value) => without_secrets(value),
        Err(_) if mime.contains("yaml") => yaml(&String::from_utf8_lossy(&received.body)),
        Err(_) if received.body.is_empty() || mime.starts_with("text/") => {
            String::from_utf8_lossy(&received.body).into_owned()
        }
        Err(_) => REMOVED.to_owned(),
    };
    content(mime, Some(received.body.len()), secrets.masked(text))
}

fn content(mime: String, size: Option<usize>, mut text: String) -> Content {
    let is_truncated = text.len() > MAX_BODY;
    text.truncate(text.floor_char_boundary(MAX_BODY));
    Content {
        mime,
        size: size.map(|size| size as u64),
        text,
        is_truncated,
    }
}

fn headers(headers: &HeaderMap, secrets: &Secrets) -> Vec<(String, String)> {
    let value = |name: &HeaderName, value: &[u8]| match is_secret(name.as_str()) {
        true => REMOVED.to_owned(),
        false => secrets.masked(String::from_utf8_lossy(value).into_owned()),
    };
    let headers = headers.iter();
    headers
        .map(|(name, it)| (name.to_string(), value(name, it.as_bytes())))
        .collect()
}

/// A YAML text without secrets, as JSON.
fn yaml(text: &str) -> String {
    serde_saphyr::from_str(text).map_or_else(|_| REMOVED.to_owned(), without_secrets)
}

fn without_secrets(mut value: Value) -> String {
    remove_secrets(&mut value);
    value.to_string()
}

fn remove_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // In a manifest diff, `path` names the property of `value` and `was`.
            let path = fields.get("path").and_then(Value::as_str);
            let of_secret = path.is_some_and(|path| path.split('/').any(is_secret));
            for (key, value) in fields {
                let is_value = matches!(key.as_str(), "value" | "was");
                match is_secret(key) || of_secret && is_value {
                    true => remove(value),
                    false => remove_secrets(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(remove_secrets),
        _ => {}
    }
}

/// Removes all values and keeps their keys.
fn remove(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.values_mut().for_each(remove),
        Value::Array(values) => values.iter_mut().for_each(remove),
        _ => *value = REMOVED.into(),
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.contains(&key.as_str()) || SECRET_PARTS.iter().any(|part| key.contains(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_may_be_secret_are_removed_and_their_names_are_kept() {
        let value = json!({
            "name": "app",
            "environment_variables": {"KEY": "s3cret", "NESTED": {"a": ["s3cret", 3, null]}},
            "data": {"image": "busybox", "username": "s3cret", "password": "s3cret"},
            "lifecycle": {"data": {"credentials": {"registry.example.com": {"token": "s3cret"}}}},
            "docker_credentials": {"password": "s3cret"},
            "diff": [
                {"op": "replace", "path": "/applications/0/env/KEY", "was": "s3cret", "value": "s3cret"},
                {"op": "add", "path": "/applications/0", "value": {"env": {"KEY": "s3cret"}, "memory": "1G"}},
                {"op": "replace", "path": "/applications/0/memory", "was": "1G", "value": "2G"},
            ],
            "batch": [{"log": {"payload": "s3cret"}}],
        });
        let text = without_secrets(value);
        assert!(!text.contains("s3cret"));
        let value: Value = serde_json::from_str(&text).unwrap();
        insta::assert_snapshot!(format!("{value:#}"));
    }

    #[test]
    fn a_manifest_loses_only_its_secrets() {
        let manifest = "applications:\n- name: one\n  env: {KEY: s3cret}\n  memory: 1G\n  docker: {image: i, username: s3cret}\n";
        insta::assert_snapshot!(yaml(manifest), @r#"{"applications":[{"name":"one","env":{"KEY":"[removed]"},"memory":"1G","docker":{"image":"i","username":"[removed]"}}]}"#);
        assert_eq!(yaml("applications: [s3cret"), REMOVED);
    }

    #[test]
    fn headers_with_tokens_and_cookies_are_removed() {
        let given = [
            ("authorization", "bearer s3cret"),
            ("set-cookie", "s3cret"),
            ("x-vcap-request-id", "id"),
            ("x-echo", "got hunter2"),
        ];
        let given = given.map(|(name, value)| {
            (
                HeaderName::from_static(name),
                reqwest::header::HeaderValue::from_static(value),
            )
        });
        let secrets = Secrets::default();
        secrets.add(&"hunter2".into());
        let kept = headers(&HeaderMap::from_iter(given), &secrets);
        let kept: Vec<&str> = kept.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(kept, [REMOVED, REMOVED, "id", "got [removed]"]);
    }

    #[test]
    fn long_bodies_are_truncated_between_characters() {
        let kept = content(String::new(), None, "ä".repeat(MAX_BODY) + "x");
        assert!(kept.is_truncated && kept.text.len() == MAX_BODY);
        let kept = content(String::new(), None, format!("x{}", "ä".repeat(MAX_BODY)));
        assert!(kept.is_truncated && kept.text.len() == MAX_BODY - 1);
        assert!(!content(String::new(), None, "short".to_owned()).is_truncated);
    }
}

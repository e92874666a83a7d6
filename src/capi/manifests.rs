//! Manifests on the Cloud Controller: applied to a space, compared with it, and
//! made of its apps.

use reqwest::StatusCode;
use serde::Deserialize;

use super::client::Client;
use super::error::Error;
use super::transport::{Body, Request};
use crate::manifest::diff::{DiffAnswer, ManifestDiff};
use crate::manifest::yaml::Value;

/// Applies a manifest to a space, and waits until that is done.
pub(crate) async fn apply(client: &Client, space: &str, manifest: &str) -> Result<(), Error> {
    // Not sent again where it may have been taken: two jobs would race.
    let request = application(space, manifest);
    client.finish("applying the manifest", &request).await
}

/// As [`apply`], for a manifest that says only what is to be so: it is applied
/// again where an answer is lost.
pub(crate) async fn apply_again(client: &Client, space: &str, manifest: &str) -> Result<(), Error> {
    let request = application(space, manifest).repeatable();
    client.finish("the manifest's job", &request).await
}

fn application(space: &str, manifest: &str) -> Request {
    let path = format!("/v3/spaces/{space}/actions/apply_manifest");
    Request::post(path).body(Body::Yaml(manifest.to_owned()))
}

/// One difference between a manifest and what is, as the Cloud Controller tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Difference {
    /// `add`, `remove`, `replace` or `move`.
    pub(crate) op: String,
    /// Where, as a JSON pointer into the manifest.
    pub(crate) path: String,
    /// What the manifest has.
    #[serde(default)]
    pub(crate) value: serde_json::Value,
    /// What the app has.
    #[serde(default)]
    pub(crate) was: serde_json::Value,
}

/// How a manifest differs from what is, difference by difference; none where the
/// Cloud Controller does not know the request. With `repeatable` it is sent again
/// where it fails.
pub(crate) async fn compare(
    client: &Client,
    space: &str,
    manifest: &str,
    repeatable: bool,
) -> Result<Option<Vec<Difference>>, Error> {
    #[derive(Deserialize)]
    struct Answer {
        diff: Vec<Difference>,
    }
    let path = format!("/v3/spaces/{space}/manifest_diff");
    let request = Request::post(path).body(Body::Yaml(manifest.to_owned()));
    let request = if repeatable {
        request.repeatable()
    } else {
        request
    };
    match client.send(&request).await {
        Ok(response) => Ok(Some(response.json::<Answer>()?.diff)),
        Err(error) if error.is_unknown_request() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What applying a manifest would change; none where Cloud Controller cannot tell.
pub(crate) async fn diff(
    client: &Client,
    space: &str,
    manifest: &str,
) -> Result<Option<ManifestDiff>, Error> {
    let path = format!("/v3/spaces/{space}/manifest_diff");
    // Not sent again and again where it fails: it can be done without.
    let request = Request::post(path).body(Body::Yaml(manifest.to_owned()));
    match client.send(&request).await {
        Ok(response) => Ok(Some(response.json::<DiffAnswer>()?.into())),
        Err(error) if cannot_tell(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the Cloud Controller is too old for it, or fails at it.
fn cannot_tell(error: &Error) -> bool {
    const UNKNOWN: [StatusCode; 2] = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
    let status = error.status();
    status.is_some_and(|status| UNKNOWN.contains(&status) || status.is_server_error())
}

/// The manifest of an app as it is.
pub(crate) async fn of_app(client: &Client, app: &str) -> Result<Value, Error> {
    let path = format!("/v3/apps/{app}/manifest");
    let response = client.send(&Request::get(path)).await?;
    let text = response.text();
    Value::parse(&text).map_err(|error| response.not_understood(error.to_string()))
}

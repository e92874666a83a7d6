//! `/v3/resource_matches`

use serde::Deserialize;
use serde_json::{Value, json};

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::Resource;
use crate::capi::transport::Request;

/// The maximum number of files in one request.
const MAX_FILES: usize = 5000;

#[derive(Deserialize)]
struct Matches {
    resources: Vec<Match>,
}

#[derive(Deserialize)]
struct Match {
    checksum: Checksum,
}

#[derive(Deserialize)]
struct Checksum {
    value: String,
}

/// The SHA-1s of the files that the Cloud Controller already has.
pub(in crate::capi) async fn known(
    client: &Client,
    resources: &[Resource<'_>],
) -> Result<Vec<String>, Error> {
    let mut known = Vec::new();
    for resources in resources.chunks(MAX_FILES) {
        let body: Vec<Value> = resources.iter().map(body_of).collect();
        let request = Request::post("/v3/resource_matches")
            .json(json!({"resources": body}))
            .repeatable();
        let matches: Matches = client.send(&request).await?.json()?;
        let matches = matches.resources.into_iter();
        known.extend(matches.map(|it| it.checksum.value));
    }
    Ok(known)
}

impl Resource<'_> {
    /// The part `resources` of an upload's form.
    pub(crate) fn form_part(resources: &[Self]) -> String {
        let resources: Vec<Value> = resources.iter().map(body_of).collect();
        Value::from(resources).to_string()
    }
}

/// A file, as resource matches and uploads describe it.
fn body_of(resource: &Resource<'_>) -> Value {
    json!({
        "path": resource.path,
        "mode": format!("{:o}", resource.mode),
        "checksum": {"value": resource.sha1},
        "size_in_bytes": resource.size,
    })
}

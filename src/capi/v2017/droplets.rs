//! `/v3/droplets`, in the early v3 of 2017

use serde::Deserialize;
use serde_json::json;

use super::{Links, missing};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Build, Droplet, ResourceState};
use crate::capi::transport::{Request, Upload};
use crate::capi::v3::{self, nanoseconds};
// The same requests in both dialects.
pub(in crate::capi) use crate::capi::v3::droplets::delete;

#[derive(Deserialize)]
pub(super) struct WireDroplet {
    guid: String,
    state: ResourceState,
    error: Option<String>,
    result: Option<Outcome>,
    links: Links,
    #[serde(default)]
    created_at: String,
}

#[derive(Deserialize)]
struct Outcome {
    checksum: Option<Checksum>,
    hash: Option<Checksum>,
}

#[derive(Deserialize)]
struct Checksum {
    value: Option<String>,
}

impl From<WireDroplet> for Droplet {
    fn from(droplet: WireDroplet) -> Self {
        let outcome = droplet.result;
        let checksum = outcome.and_then(|outcome| outcome.checksum.or(outcome.hash));
        Self {
            app: droplet.links.guid("app").unwrap_or_default(),
            package: droplet.links.guid("package"),
            guid: droplet.guid,
            state: droplet.state,
            checksum: checksum.and_then(|checksum| checksum.value),
            image: None,
            created_at: String::new(),
            bits: None,
            annotated: false,
            error: droplet.error,
        }
    }
}

/// In 2017, a droplet and its build were one resource.
impl From<WireDroplet> for Build {
    fn from(droplet: WireDroplet) -> Self {
        Self {
            droplet: Some(droplet.guid.clone()),
            guid: droplet.guid,
            state: droplet.state,
            created_at: nanoseconds(&droplet.created_at),
            error: droplet.error,
        }
    }
}

pub(super) async fn list<T: From<WireDroplet>>(
    client: &Client,
    filter: &str,
    guids: &[impl AsRef<str>],
    rest: &str,
) -> Result<Vec<T>, Error> {
    let droplets = v3::list_by::<WireDroplet>(client, "/v3/droplets", filter, guids, rest).await?;
    Ok(v3::into_all(droplets))
}

pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
    _expected: usize,
) -> Result<Vec<Droplet>, Error> {
    list(client, "organization_guids", orgs, "").await
}

pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<Droplet>, Error> {
    list(client, "space_guids", spaces, "").await
}

pub(in crate::capi) async fn of_apps(
    client: &Client,
    apps: &[&str],
) -> Result<Vec<Droplet>, Error> {
    list(client, "app_guids", apps, "").await
}

pub(in crate::capi) async fn by_guids(
    client: &Client,
    guids: &[String],
) -> Result<Vec<Droplet>, Error> {
    list(client, "guids", guids, "").await
}

/// In 2017, droplets could only be staged or copied.
pub(in crate::capi) async fn create(_client: &Client, _app: &str) -> Result<String, Error> {
    Err(missing("uploading a droplet"))
}

/// Starts to copy a droplet to an app. Returns the GUID of the copy, which is not ready
/// yet.
pub(in crate::capi) async fn copy(
    client: &Client,
    droplet: &str,
    app: &str,
) -> Result<String, Error> {
    let request = Request::post(format!("/v3/droplets/{droplet}/copy"))
        .json(json!({"relationships": {"app": {"guid": app}}}));
    client.create(&request).await
}

pub(in crate::capi) async fn upload(
    _client: &Client,
    _what: &str,
    _droplet: &str,
    _upload: Upload,
) -> Result<(), Error> {
    Err(missing("uploading a droplet"))
}

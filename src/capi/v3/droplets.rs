//! `/v3/droplets`

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::{AppRelationship, Link, OurMetadata, into_all, list_of_all, to_one};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{BITS_ANNOTATION, Droplet, ResourceState};
use crate::capi::transport::{Body, Request, Upload};

#[derive(Deserialize)]
struct WireDroplet {
    guid: String,
    state: ResourceState,
    error: Option<String>,
    checksum: Option<Checksum>,
    image: Option<String>,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    metadata: OurMetadata,
    relationships: AppRelationship,
    links: Links,
}

#[derive(Deserialize)]
struct Checksum {
    value: Option<String>,
}

#[derive(Deserialize)]
struct Links {
    package: Option<Link>,
}

impl From<WireDroplet> for Droplet {
    fn from(droplet: WireDroplet) -> Self {
        Self {
            guid: droplet.guid,
            app: droplet.relationships.guid(),
            state: droplet.state,
            checksum: droplet.checksum.and_then(|checksum| checksum.value),
            image: droplet.image,
            created_at: droplet.created_at,
            annotated: droplet.metadata.annotations.bits.is_some(),
            bits: droplet.metadata.annotations.bits,
            package: droplet.links.package.and_then(|link| link.guid()),
            error: droplet.error,
        }
    }
}

async fn list(
    client: &Client,
    filter: &str,
    guids: &[impl AsRef<str>],
    expected: usize,
) -> Result<Vec<Droplet>, Error> {
    let list = "/v3/droplets";
    let droplets = list_of_all::<WireDroplet>(client, list, filter, guids, "", expected).await?;
    Ok(into_all(droplets))
}

pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
    expected: usize,
) -> Result<Vec<Droplet>, Error> {
    list(client, "organization_guids", orgs, expected).await
}

pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<Droplet>, Error> {
    list(client, "space_guids", spaces, 0).await
}

pub(in crate::capi) async fn of_apps(
    client: &Client,
    apps: &[&str],
) -> Result<Vec<Droplet>, Error> {
    list(client, "app_guids", apps, 0).await
}

pub(in crate::capi) async fn by_guids(
    client: &Client,
    guids: &[String],
) -> Result<Vec<Droplet>, Error> {
    list(client, "guids", guids, 0).await
}

/// Creates a droplet that a file can be uploaded to.
pub(in crate::capi) async fn create(client: &Client, app: &str) -> Result<String, Error> {
    let body = json!({"relationships": {"app": to_one(app)}});
    client
        .create(&Request::post("/v3/droplets").json(body))
        .await
}

/// Starts to copy a droplet to an app. Returns the GUID of the copy, which is not ready
/// yet.
pub(in crate::capi) async fn copy(
    client: &Client,
    droplet: &str,
    app: &str,
) -> Result<String, Error> {
    let path = format!("/v3/droplets?source_guid={droplet}");
    let request = Request::post(path).json(json!({"relationships": {"app": to_one(app)}}));
    client.create(&request).await
}

pub(super) async fn annotate_bits(
    client: &Client,
    droplet: &str,
    bits: Option<&str>,
) -> Result<(), Error> {
    let metadata = json!({"annotations": {(BITS_ANNOTATION): bits}});
    let path = format!("/v3/droplets/{droplet}");
    let request = Request::patch(path).json(json!({"metadata": metadata}));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn upload(
    client: &Client,
    what: &str,
    droplet: &str,
    upload: Upload,
) -> Result<(), Error> {
    let path = format!("/v3/droplets/{droplet}/upload");
    let request = Request::post(path).body(Body::Upload(upload));
    client.finish(what, &request).await
}

/// Downloads a droplet to a file.
pub(in crate::capi) async fn download(
    client: &Client,
    droplet: &str,
    file: &Path,
) -> Result<(), Error> {
    let path = format!("/v3/droplets/{droplet}/download");
    client.send(&Request::get(path).into_file(file)).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(
    client: &Client,
    what: &str,
    droplet: &str,
) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/droplets/{droplet}"));
    client.delete(what, &request).await
}

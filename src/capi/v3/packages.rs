//! `/v3/packages`

use serde::Deserialize;
use serde_json::json;

use super::{AppRelationship, OurMetadata, into_all, list_by, to_one};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{BITS_ANNOTATION, DockerImage, Package, PackageImage, ResourceState};
use crate::capi::transport::{Body, Request, Upload};

#[derive(Deserialize)]
struct WirePackage {
    guid: String,
    state: ResourceState,
    #[serde(default)]
    metadata: OurMetadata,
    relationships: AppRelationship,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    error: Option<String>,
    image: Option<String>,
    username: Option<String>,
}

impl From<WirePackage> for Package {
    fn from(package: WirePackage) -> Self {
        let (error, image) = match package.data {
            Some(data) => {
                let username = data.username;
                let image = data.image.map(|name| PackageImage { name, username });
                (data.error, image)
            }
            None => (None, None),
        };
        Self {
            guid: package.guid,
            app: package.relationships.guid(),
            state: package.state,
            bits: package.metadata.annotations.bits,
            image,
            error,
        }
    }
}

async fn list(
    client: &Client,
    filter: &str,
    guids: &[impl AsRef<str>],
    rest: &str,
) -> Result<Vec<Package>, Error> {
    let packages = list_by::<WirePackage>(client, "/v3/packages", filter, guids, rest).await?;
    Ok(into_all(packages))
}

pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<Package>, Error> {
    list(client, "space_guids", spaces, "").await
}

pub(in crate::capi) async fn of_app(client: &Client, app: &str) -> Result<Vec<Package>, Error> {
    list(client, "app_guids", &[app], "").await
}

/// The packages of some apps that have bits and can be staged, the newest of an app
/// first.
pub(in crate::capi) async fn ready_of_apps(
    client: &Client,
    apps: &[&str],
) -> Result<Vec<Package>, Error> {
    let ready = "&states=READY&types=bits&order_by=-created_at";
    list(client, "app_guids", apps, ready).await
}

/// The packages of some apps that are Docker images, the newest of an app first.
pub(in crate::capi) async fn images_of_apps(
    client: &Client,
    apps: &[&str],
) -> Result<Vec<Package>, Error> {
    let images = "&states=READY&types=docker&order_by=-created_at";
    list(client, "app_guids", apps, images).await
}

pub(in crate::capi) async fn by_guids(
    client: &Client,
    guids: &[String],
) -> Result<Vec<Package>, Error> {
    list(client, "guids", guids, "").await
}

pub(in crate::capi) async fn get(client: &Client, package: &str) -> Result<Package, Error> {
    let package: WirePackage = client.get(&format!("/v3/packages/{package}")).await?;
    Ok(package.into())
}

/// Creates a package that bits can be uploaded to. `bits` is their SHA-256.
pub(in crate::capi) async fn create(
    client: &Client,
    app: &str,
    bits: &str,
) -> Result<String, Error> {
    let request = Request::post("/v3/packages").json(json!({
        "type": "bits",
        "relationships": {"app": to_one(app)},
        "metadata": {"annotations": {(BITS_ANNOTATION): bits}},
    }));
    client.create(&request).await
}

pub(in crate::capi) async fn create_docker(
    client: &Client,
    app: &str,
    image: &DockerImage<'_>,
) -> Result<String, Error> {
    let mut data = json!({"image": image.image});
    if let Some((username, password)) = image.login {
        data["username"] = json!(username);
        data["password"] = json!(password);
    }
    let mut body = json!({
        "type": "docker",
        "relationships": {"app": to_one(app)},
        "data": data,
    });
    if let Some(bits) = image.bits {
        body["metadata"] = json!({"annotations": {(BITS_ANNOTATION): bits}});
    }
    client
        .create(&Request::post("/v3/packages").json(body))
        .await
}

pub(in crate::capi) async fn upload(
    client: &Client,
    what: &str,
    package: &str,
    upload: Upload,
) -> Result<(), Error> {
    let path = format!("/v3/packages/{package}/upload");
    let request = Request::post(path).body(Body::Upload(upload));
    client.finish(what, &request).await
}

pub(in crate::capi) async fn delete(
    client: &Client,
    what: &str,
    package: &str,
) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/packages/{package}"));
    client.delete(what, &request).await
}

//! `/v3/packages`, in the early v3 of 2017

use serde::Deserialize;
use serde_json::json;

use super::Links;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Package, ResourceState};
use crate::capi::transport::Request;
use crate::capi::v3;
// The same requests in both dialects.
pub(in crate::capi) use crate::capi::v3::packages::{create_docker, delete, upload};

#[derive(Deserialize)]
struct WirePackage {
    guid: String,
    state: ResourceState,
    links: Links,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    error: Option<String>,
}

impl From<WirePackage> for Package {
    fn from(package: WirePackage) -> Self {
        Self {
            app: package.links.guid("app").unwrap_or_default(),
            guid: package.guid,
            state: package.state,
            bits: None,
            image: None,
            error: package.data.and_then(|data| data.error),
        }
    }
}

async fn list(
    client: &Client,
    filter: &str,
    guids: &[impl AsRef<str>],
    rest: &str,
) -> Result<Vec<Package>, Error> {
    let packages = v3::list_by::<WirePackage>(client, "/v3/packages", filter, guids, rest).await?;
    Ok(v3::into_all(packages))
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

/// Creates a package that bits can be uploaded to. Packages of 2017 have no annotation
/// for the hash of the bits.
pub(in crate::capi) async fn create(
    client: &Client,
    app: &str,
    _bits: &str,
) -> Result<String, Error> {
    let request = Request::post("/v3/packages").json(json!({
        "type": "bits",
        "relationships": {"app": {"data": {"guid": app}}},
    }));
    client.create(&request).await
}

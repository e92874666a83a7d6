//! Stagings, which were not builds in 2017: `/v3/packages/:guid/droplets`

use serde_json::json;

use super::droplets::{WireDroplet, list};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::Build;
use crate::capi::transport::Request;
use crate::capi::v3;

pub(in crate::capi) async fn by_guids(
    client: &Client,
    guids: &[String],
) -> Result<Vec<Build>, Error> {
    list(client, "guids", guids, "").await
}

/// The builds of an app that are being staged.
pub(in crate::capi) async fn staging(client: &Client, app: &str) -> Result<Vec<Build>, Error> {
    list(client, "app_guids", &[app], "&states=PENDING,STAGING").await
}

/// Stages a package with these buildpacks. `None` uses the app's buildpacks, and an empty
/// list detects them.
pub(in crate::capi) async fn create(
    client: &Client,
    package: &str,
    buildpacks: Option<&[String]>,
) -> Result<Build, Error> {
    let body = match buildpacks {
        Some(buildpacks) => json!({"lifecycle": v3::lifecycle(buildpacks)}),
        None => json!({}),
    };
    let request = Request::post(format!("/v3/packages/{package}/droplets")).json(body);
    let droplet: WireDroplet = client.send(&request).await?.json()?;
    Ok(droplet.into())
}

//! `/v3/builds`

use serde::Deserialize;
use serde_json::json;

use super::{Guid, into_all, lifecycle, list_by, nanoseconds};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Build, ResourceState};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireBuild {
    guid: String,
    state: ResourceState,
    error: Option<String>,
    droplet: Option<Guid>,
    #[serde(default)]
    created_at: String,
}

impl From<WireBuild> for Build {
    fn from(build: WireBuild) -> Self {
        Self {
            guid: build.guid,
            state: build.state,
            droplet: build.droplet.and_then(|droplet| droplet.guid),
            created_at: nanoseconds(&build.created_at),
            error: build.error,
        }
    }
}

pub(in crate::capi) async fn by_guids(
    client: &Client,
    guids: &[String],
) -> Result<Vec<Build>, Error> {
    let builds = list_by::<WireBuild>(client, "/v3/builds", "guids", guids, "").await?;
    Ok(into_all(builds))
}

/// The builds of an app that are being staged.
pub(in crate::capi) async fn staging(client: &Client, app: &str) -> Result<Vec<Build>, Error> {
    let (list, states) = ("/v3/builds", "&states=STAGING");
    let builds = list_by::<WireBuild>(client, list, "app_guids", &[app], states).await?;
    Ok(into_all(builds))
}

/// Stages a package with these buildpacks. `None` uses the app's buildpacks, and an empty
/// list detects them.
pub(in crate::capi) async fn create(
    client: &Client,
    package: &str,
    buildpacks: Option<&[String]>,
) -> Result<Build, Error> {
    let mut body = json!({"package": {"guid": package}});
    if let Some(buildpacks) = buildpacks {
        body["lifecycle"] = lifecycle(buildpacks);
    }
    let request = Request::post("/v3/builds").json(body);
    let build: WireBuild = client.send(&request).await?.json()?;
    Ok(build.into())
}

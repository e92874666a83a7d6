//! From package to droplet.

use crate::capi::client::Client;
use crate::capi::error::{Error, STAGING_IN_PROGRESS};
use crate::capi::model::Build;

/// Stages a package and waits for it; returns the GUID of the droplet.
pub(crate) async fn stage(
    client: &Client,
    name: &str,
    app: &str,
    package: &str,
    buildpacks: Option<&[String]>,
) -> Result<String, Error> {
    let staging = begin(client, name, app, package, buildpacks).await?;
    let what = format!("staging of {name}");
    let build = client.wait_for_build(&what, &staging.guid).await?;
    droplet_of(&what, build)
}

/// A staging that has begun.
#[derive(Debug)]
pub(crate) struct Staging {
    /// The GUID of what is to be awaited.
    pub(crate) guid: String,
    /// When, in nanoseconds since 1970, by the foundation's clock.
    pub(crate) began: i64,
}

/// Begins to stage a package.
pub(crate) async fn begin(
    client: &Client,
    name: &str,
    app: &str,
    package: &str,
    buildpacks: Option<&[String]>,
) -> Result<Staging, Error> {
    match client.create_build(package, buildpacks).await {
        // Of a run that was killed; what it makes is observed afterwards.
        Err(error) if error.has_code(STAGING_IN_PROGRESS) => {
            let what = format!("an earlier staging of {name}");
            client.wait_for_stagings(&what, app).await?;
            Err(error)
        }
        build => build.map(|build| Staging {
            guid: build.guid,
            // Without a time, no log is read rather than that of all time.
            began: build.created_at.unwrap_or(i64::MAX),
        }),
    }
}

/// The droplet that a staging has made.
pub(crate) fn droplet_of(what: &str, build: Build) -> Result<String, Error> {
    build.droplet.ok_or_else(|| Error::Failed {
        what: what.to_owned(),
        reason: "it created no droplet".to_owned(),
    })
}

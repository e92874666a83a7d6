//! Stages packages.

use crate::capi::batch_poll::{BatchPoll, Builds};
use crate::capi::client::Client;
use crate::capi::error::{Error, STAGING_IN_PROGRESS};
use crate::capi::model::Build;

/// Stages a package, waits for it, and returns the GUID of the droplet. Polls are shared
/// with other apps.
pub(crate) async fn stage(
    client: &Client,
    name: &str,
    app: &str,
    package: &str,
    buildpacks: Option<&[String]>,
    builds: &BatchPoll<Builds>,
) -> Result<String, Error> {
    let staging = begin(client, name, app, package, buildpacks).await?;
    let what = format!("staging of {name}");
    let build = builds.wait_for(&staging.guid, what.clone()).await?;
    droplet_of(&what, build)
}

/// A staging in progress.
#[derive(Debug)]
pub(crate) struct Staging {
    /// The GUID of the build.
    pub(crate) guid: String,
    /// The start, in nanoseconds since 1970 by the foundation's clock.
    pub(crate) began: i64,
}

/// Starts to stage a package.
pub(crate) async fn begin(
    client: &Client,
    name: &str,
    app: &str,
    package: &str,
    buildpacks: Option<&[String]>,
) -> Result<Staging, Error> {
    match client.create_build(package, buildpacks).await {
        // An interrupted run may have started it. The next observation finds its droplet.
        Err(error) if error.has_code(STAGING_IN_PROGRESS) => {
            let what = format!("an earlier staging of {name}");
            client.wait_for_stagings(&what, app).await?;
            Err(error)
        }
        build => build.map(|build| Staging {
            guid: build.guid,
            // If the start is unknown, no log is read. Otherwise, the whole log of the
            // app would be read.
            began: build.created_at.unwrap_or(i64::MAX),
        }),
    }
}

/// The GUID of the droplet that a staging created.
pub(crate) fn droplet_of(what: &str, build: Build) -> Result<String, Error> {
    build.droplet.ok_or_else(|| Error::Failed {
        what: what.to_owned(),
        reason: "it created no droplet".to_owned(),
    })
}

//! From package to droplet.

use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::{Error, STAGING_IN_PROGRESS};
use crate::capi::transport::Request;
use crate::capi::wait::Progress;
use crate::capi::waits::{self, Stateful};

/// Stages a package and waits for it; returns the GUID of the droplet.
pub(crate) async fn stage(
    client: &Client,
    name: &str,
    app: &str,
    package: &str,
    buildpacks: Option<&[String]>,
) -> Result<String, Error> {
    let dialect = client.dialect();
    let staged = begin(client, name, app, package, buildpacks).await?;
    let what = format!("staging of {name}");
    let path = dialect.staging(&staged.guid);
    let stateful = match dialect {
        Dialect::V3 => Stateful::Builds,
        Dialect::Documented2017 => Stateful::Droplets,
    };
    let seen = client.until(&what, || async {
        waits::progress(&what, stateful.sight(&client.get(&path).await?))
    });
    droplet_of(dialect, &what, &seen.await?)
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
    let request = client.dialect().stage(package, buildpacks);
    match begun(client, &request).await {
        // Of a run that was killed; what it makes is observed afterwards.
        Err(error) if error.has_code(STAGING_IN_PROGRESS) => {
            other_staging(client, name, app).await?;
            Err(error)
        }
        staged => staged,
    }
}

async fn begun(client: &Client, request: &Request) -> Result<Staging, Error> {
    let response = client.send(request).await?;
    let made: Value = response.json()?;
    let text = |key: &str| made.get(key).and_then(Value::as_str);
    let created_at = text("created_at").and_then(|at| humantime::parse_rfc3339(at).ok());
    let began = created_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let began = began.and_then(|it| i64::try_from(it.as_nanos()).ok());
    match text("guid") {
        Some(guid) => Ok(Staging {
            guid: guid.to_owned(),
            // Without it, its log is not told rather than that of all time.
            began: began.unwrap_or(i64::MAX),
        }),
        None => Err(response.not_understood("what was made has no GUID")),
    }
}

/// The droplet that a staging has made.
pub(crate) fn droplet_of(dialect: Dialect, what: &str, staged: &Value) -> Result<String, Error> {
    dialect.staged_droplet(staged).ok_or_else(|| Error::Failed {
        what: what.to_owned(),
        reason: "it made no droplet".to_owned(),
    })
}

/// Waits until nothing of the app is being staged.
async fn other_staging(client: &Client, name: &str, app: &str) -> Result<(), Error> {
    let what = format!("an earlier staging of {name}");
    let path = client.dialect().stagings(app);
    client
        .until(&what, || async {
            let staging: Vec<Value> = client.list(&path).await?;
            Ok(match staging.len() {
                0 => Progress::Done(()),
                count => Progress::Pending(format!("{count} under way")),
            })
        })
        .await
}

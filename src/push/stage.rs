//! Bits to droplet: package, upload, staging, each awaited.

use std::time::Duration;

use serde_json::Value;

use super::bits::Bits;
use crate::capi::client::Client;
use crate::capi::error::{Error, STAGING_IN_PROGRESS};
use crate::capi::wait::{self, Progress};

/// How often an upload whose answer was lost is begun again.
const UPLOADS: usize = 3;

/// Makes a package of an app's bits; returns its GUID.
pub(crate) async fn push_bits(
    client: &Client,
    name: &str,
    app: &str,
    bits: &Bits,
) -> Result<String, Error> {
    let zip = zip(bits).await?;
    let mut tries = 1;
    loop {
        // A package takes bits once, so each try has a package of its own.
        let request = client.dialect().create_package(app, bits.sha256());
        let package = client.create(&request).await?;
        match upload(client, name, &package, zip.path()).await {
            Err(error) if error.may_settle() && tries < UPLOADS => tries += 1,
            Err(error) => return Err(error),
            Ok(()) => return Ok(package),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn zip(bits: &Bits) -> Result<tempfile::NamedTempFile, Error> {
    let failed = |reason: String| Error::Local {
        what: "zipping the bits".to_owned(),
        reason,
    };
    let bits = bits.clone();
    tokio::task::spawn_blocking(move || bits.zip())
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))
}

async fn upload(
    client: &Client,
    name: &str,
    package: &str,
    zip: &std::path::Path,
) -> Result<(), Error> {
    let request = client.dialect().upload_package(package, zip);
    client.send(&request).await?;
    let what = format!("processing of the bits of {name}");
    let path = format!("/v3/packages/{package}");
    wait::until(&what, client.timeout(), || async {
        let seen: Value = client.get(&path).await?;
        state(&what, &seen, &["READY"], &["FAILED", "EXPIRED"])
    })
    .await
}

/// Stages a package; returns the GUID of the droplet.
pub(crate) async fn stage(
    client: &Client,
    name: &str,
    app: &str,
    package: &str,
    buildpacks: Option<&[String]>,
) -> Result<String, Error> {
    let dialect = client.dialect();
    let staged = match client.create(&dialect.stage(package, buildpacks)).await {
        // Of a run that was killed; what it makes is observed afterwards.
        Err(error) if error.has_code(STAGING_IN_PROGRESS) => {
            other_staging(client, name, app).await?;
            return Err(error);
        }
        staged => staged?,
    };
    let what = format!("staging of {name}");
    let path = dialect.staging(&staged);
    wait::until(&what, client.timeout(), || async {
        let seen: Value = client.get(&path).await?;
        match state(&what, &seen, &["STAGED"], &["FAILED", "EXPIRED"])? {
            Progress::Pending(state) => Ok(Progress::Pending(state)),
            Progress::Done(()) => {
                let droplet = dialect.staged_droplet(&seen);
                droplet.map(Progress::Done).ok_or_else(|| Error::Failed {
                    what: what.clone(),
                    reason: "it made no droplet".to_owned(),
                })
            }
        }
    })
    .await
}

fn state(what: &str, seen: &Value, done: &[&str], failed: &[&str]) -> Result<Progress<()>, Error> {
    let state = seen.get("state").and_then(Value::as_str);
    let state = state.unwrap_or("unknown");
    if done.contains(&state) {
        return Ok(Progress::Done(()));
    }
    if failed.contains(&state) {
        let reason = seen.get("error").and_then(Value::as_str);
        let reason = reason.or_else(|| seen.pointer("/data/error").and_then(Value::as_str));
        return Err(Error::Failed {
            what: what.to_owned(),
            reason: reason.unwrap_or(state).to_owned(),
        });
    }
    Ok(Progress::Pending(state.to_owned()))
}

/// Waits until nothing of the app is being staged.
async fn other_staging(client: &Client, name: &str, app: &str) -> Result<(), Error> {
    let what = format!("an earlier staging of {name}");
    let path = client.dialect().stagings(app);
    wait::until(&what, client.timeout(), || async {
        let staging: Vec<Value> = client.list(&path).await?;
        Ok(match staging.len() {
            0 => Progress::Done(()),
            count => Progress::Pending(format!("{count} under way")),
        })
    })
    .await
}

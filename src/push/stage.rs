//! From package to droplet.

use serde_json::Value;

use crate::capi::client::Client;
use crate::capi::error::{Error, STAGING_IN_PROGRESS};
use crate::capi::wait::{self, Progress};

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

/// What the `state` of a package, build or droplet means.
pub(super) fn state(
    what: &str,
    seen: &Value,
    done: &[&str],
    failed: &[&str],
) -> Result<Progress<()>, Error> {
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

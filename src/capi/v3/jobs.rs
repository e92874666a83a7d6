//! `/v3/jobs`

use serde::Deserialize;

use crate::capi::client::Client;
use crate::capi::error::{CcError, Error};
use crate::capi::poll::Progress;
use crate::events::Event;

#[derive(Deserialize)]
struct Job {
    #[serde(default)]
    state: String,
    #[serde(default)]
    errors: Vec<CcError>,
    #[serde(default)]
    warnings: Vec<Warning>,
}

#[derive(Deserialize)]
struct Warning {
    #[serde(default)]
    detail: String,
}

pub(in crate::capi) async fn poll(
    client: &Client,
    what: &str,
    path: &str,
) -> Result<Progress<()>, Error> {
    let job: Job = client.get(path).await?;
    match job.state.as_str() {
        "COMPLETE" => {
            for Warning { detail } in job.warnings {
                let warning = Event::Warning(format!("{what}: {detail}"));
                client.events().emit(warning);
            }
            Ok(Progress::Done(()))
        }
        "FAILED" => Err(Error::JobFailed {
            what: what.to_owned(),
            errors: job.errors,
        }),
        other => Ok(Progress::Pending(format!("job {other}"))),
    }
}

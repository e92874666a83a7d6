//! `/v2/jobs`

use serde::Deserialize;

use super::V2;
use crate::capi::client::Client;
use crate::capi::error::{CcError, Error};
use crate::capi::poll::Progress;

#[derive(Deserialize)]
struct Job {
    #[serde(default)]
    status: String,
    error_details: Option<CcError>,
}

pub(in crate::capi) async fn poll(
    client: &Client,
    what: &str,
    path: &str,
) -> Result<Progress<()>, Error> {
    let job: V2<Job> = match client.get(path).await {
        // v2 deletes a job when it is done.
        Err(error) if error.is_not_found() => return Ok(Progress::Done(())),
        outcome => outcome?,
    };
    match job.entity.status.as_str() {
        "finished" => Ok(Progress::Done(())),
        "failed" => Err(Error::JobFailed {
            what: what.to_owned(),
            errors: job.entity.error_details.into_iter().collect(),
        }),
        other => Ok(Progress::Pending(format!("job {other}"))),
    }
}

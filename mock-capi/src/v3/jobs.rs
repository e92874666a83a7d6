//! `/v3/jobs`

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::world::Job;

pub(crate) const ROUTES: &[Route] = &[Route::get("/v3/jobs/:guid", show)];

const KIND: &str = "Job";

pub(crate) fn present(job: &Job, view: &View<'_>) -> Value {
    let state = job.state(view.at);
    let errors = match &job.failure {
        Some(failure) if state == "FAILED" => failure.errors(),
        _ => json!([]),
    };
    json!({
        "guid": job.base.guid.to_string(),
        "created_at": job.base.created.to_string(),
        "updated_at": job.base.updated.max(view.at.min(job.ready_at)).to_string(),
        "operation": job.operation,
        "state": state,
        "errors": errors,
        "warnings": [],
        "links": {"self": view.link(&format!("/v3/jobs/{}", job.base.guid))},
    })
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = call.guid_of("guid", |world| &world.jobs, KIND)?;
    let job = call.present(guid, |world| &world.jobs, KIND, present)?;
    Ok(Response::ok(&job))
}

//! `/v3/jobs`

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::world::Job;

pub(crate) const ROUTES: &[Route] = &[Route::get("/v3/jobs/:guid", show)];

pub(crate) fn present(job: &Job, view: &View<'_>) -> Value {
    let state = job.state(view.at);
    let errors = match &job.failure {
        Some(failure) if state == "FAILED" => failure.errors(),
        _ => json!([]),
    };
    json!({
        "guid": job.base.guid,
        "created_at": job.base.created,
        "updated_at": job.base.updated.max(view.at.min(job.ready_at)),
        "operation": job.operation,
        "state": state,
        "errors": errors,
        "warnings": [],
        "links": {"self": view.link(&format!("/v3/jobs/{}", job.base.guid))},
    })
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.show("guid", present)
}

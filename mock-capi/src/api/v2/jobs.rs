//! `/v2/jobs`

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::clock::Timestamp;
use crate::world::{Guid, Job, World};

pub(crate) const ROUTES: &[Route] = &[Route::get("/v2/jobs/:guid", show)];

fn present(job: &Job, at: Timestamp) -> Value {
    let guid = job.base.guid;
    let mut entity = json!({
        "guid": guid,
        "status": match job.state(at) {
            "FAILED" => "failed",
            _ => "queued",
        },
    });
    if let Some(failure) = job.failure.as_ref().filter(|_| at >= job.ready_at) {
        entity["error"] =
            json!("Use of entity>error is deprecated in favor of entity>error_details.");
        entity["error_details"] = CcError::from(failure.clone()).v2_body();
    }
    json!({
        "metadata": {
            "guid": guid,
            "created_at": job.base.created,
            "url": format!("/v2/jobs/{guid}"),
        },
        "entity": entity,
    })
}

/// Presents a new job.
pub(super) fn present_queued(world: &World, job: Guid) -> Value {
    let job = world.jobs.get(job);
    job.map(|job| present(job, world.now().just_before()))
        .unwrap_or_default()
}

/// The Cloud Controller deletes a job that succeeded, and shows an unknown job as
/// finished.
fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let job = context.world.look_up::<Job>(context.capture("guid"));
    let now = context.world.now();
    Ok(Response::ok(&match job {
        Some(job) if job.state(now) != "COMPLETE" => present(job, now),
        _ => json!({
            "metadata": {
                "guid": "0",
                "created_at": "1970-01-01T00:00:00Z",
                "url": "/v2/jobs/0",
            },
            "entity": {"guid": "0", "status": "finished"},
        }),
    }))
}

//! `/v3/buildpacks`

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::router::Route;
use crate::world::{Buildpack, Field};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/buildpacks", index),
    Route::get("/v3/buildpacks/:guid", show),
    Route::post("/v3/admin/actions/clear_buildpack_cache", clear_cache),
];

const LIST: ListSpec = ListSpec {
    order_by: &["position", "lifecycle"],
    ..ListSpec::of(&["stacks", "names", "lifecycle", "label_selector"])
};

/// Of all buildpacks here.
const LIFECYCLE: &str = "buildpack";

pub(crate) fn present(buildpack: &Buildpack, view: &View<'_>) -> Value {
    let path = format!("/v3/buildpacks/{}", buildpack.base.guid);
    let stack = view.world.default_stack;
    json!({
        "guid": buildpack.base.guid,
        "created_at": buildpack.base.created,
        "updated_at": buildpack.base.updated,
        "name": buildpack.name,
        "stack": stack,
        "state": "READY",
        "lifecycle": LIFECYCLE,
        "filename": format!("{}-{stack}-v1.0.0.zip", buildpack.name),
        "position": buildpack.position,
        "enabled": true,
        "locked": false,
        "metadata": buildpack.base.metadata.present(),
        "links": {
            "self": view.link(&path),
            "upload": view.action("POST", &format!("{path}/upload")),
        },
    })
}

/// In the order of their positions, which is that in which they were made.
fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    if !["buildpack", "cnb"].contains(&query.value("lifecycle").unwrap_or(LIFECYCLE)) {
        return Err(CcError::bad_query(
            "Lifecycle must be either \"buildpack\" or \"cnb\"",
        ));
    }
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let stack = call.world.default_stack;
    let keep =
        |_: &Buildpack| query.admits("stacks", stack) && query.admits("lifecycle", LIFECYCLE);
    query.respond(call, &selection, keep, present)
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.show("guid", present)
}

/// There is no cache: what it would do is done.
fn clear_cache(call: &mut Call<'_>) -> Result<Response, CcError> {
    Ok(call.do_in_job("admin.clear_buildpack_cache"))
}

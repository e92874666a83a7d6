//! `/v3/spaces/:guid/features`. The only feature is `ssh`.

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Guid, Space, UPDATE_SPACE};

use super::app_features::read_enabled;
use super::spaces;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/spaces/:guid/features", index),
    Route::get("/v3/spaces/:guid/features/:name", show),
    Route::patch("/v3/spaces/:guid/features/:name", update).by(UPDATE_SPACE),
];

fn present(space: &Space, _: &View<'_>) -> Value {
    json!({
        "name": "ssh",
        "description": "Enable SSHing into apps in the space.",
        "enabled": space.allows_ssh,
    })
}

/// The space, if the path names `ssh`.
fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let space = spaces::find(context)?;
    match context.capture("name") {
        "ssh" => Ok(space),
        _ => Err(CcError::not_found("Feature")),
    }
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let ssh = context.present(spaces::find(context)?, present)?;
    Ok(Response::ok(&json!({"resources": [ssh]})))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let enabled = read_enabled(context)?;
    let guid = find(context)?;
    context.world.update_row(guid, |space: &mut Space| {
        space.allows_ssh = enabled;
    });
    context.ok(guid, present)
}

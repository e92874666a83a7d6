//! `/v3/spaces/:guid/features`: there is one, `ssh`.

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
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

/// The space, if the feature is the one that there is.
fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    let space = spaces::find(call)?;
    match call.capture("name") {
        "ssh" => Ok(space),
        _ => Err(CcError::not_found("Feature")),
    }
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let ssh = call.present(spaces::find(call)?, present)?;
    Ok(Response::ok(&json!({"resources": [ssh]})))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.ok(find(call)?, present)
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let enabled = read_enabled(call)?;
    let guid = find(call)?;
    call.world.touch(guid, |space: &mut Space| {
        space.allows_ssh = enabled;
    });
    call.ok(guid, present)
}

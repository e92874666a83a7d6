//! The current droplet of an app.

use serde_json::{Value, json};

use crate::api::context::{RequestContext, to_one};
use crate::api::error::CcError;
use crate::world::{App, Droplet, Guid, Registered, Row};

/// The app's current droplet. The error is 404 if the app has no droplet.
pub(crate) fn droplet_of(context: &RequestContext<'_>, app: Guid) -> Result<Guid, CcError> {
    let droplet = context.world.apps.get(app).and_then(|app| app.droplet);
    droplet
        .filter(|droplet| context.world.droplets.get(*droplet).is_some())
        .ok_or_else(|| CcError::not_found(Droplet::KIND))
}

pub(crate) fn present_droplet_relationship(
    context: &RequestContext<'_>,
    app: Guid,
    droplet: Guid,
) -> Value {
    let path = format!("/v3/apps/{app}");
    let view = context.view();
    let mut relationship = to_one(Some(droplet));
    relationship["links"] = json!({
        "self": view.link(&format!("{path}/relationships/current_droplet")),
        "related": view.link(&format!("{path}/droplets/current")),
    });
    relationship
}

/// Refuses a request that sets the current droplet to none.
pub(crate) fn refuse_removal(context: &RequestContext<'_>) -> Result<(), CcError> {
    let body = context.request.object()?;
    let guid = body.get("data").and_then(|data| data.get("guid"));
    if body.contains_key("data") && guid.is_none_or(Value::is_null) {
        return Err(CcError::unprocessable(
            "Current droplet cannot be removed. Replace it with a preferred droplet.",
        ));
    }
    Ok(())
}

/// The droplet that a request assigns to an app. It must belong to the app and be staged,
/// and the app must not be `refused`.
pub(crate) fn read_assigned_droplet(
    context: &RequestContext<'_>,
    app: Guid,
    refused: fn(&App) -> Option<&'static str>,
) -> Result<Guid, CcError> {
    let body = context.request.object()?;
    let guid = body.get("data").and_then(|data| data.get("guid"));
    let guid = guid.and_then(Value::as_str);
    let droplet = guid.and_then(|guid| context.world.look_up::<Droplet>(guid))
        .filter(|droplet| droplet.app == app)
        .ok_or_else(|| {
            CcError::unprocessable(
                "Unable to assign current droplet. Ensure the droplet exists and belongs to this app.",
            )
        })?;
    if let Some(reason) = context.world.apps.get(app).and_then(refused) {
        return Err(CcError::unprocessable(reason));
    }
    if !droplet.is_staged(context.world.now()) {
        return Err(CcError::unprocessable("droplet must be in staged state"));
    }
    Ok(droplet.guid())
}

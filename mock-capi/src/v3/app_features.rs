//! `/v3/apps/:guid/features`, and whether SSH works

use serde_json::{Value, json};

use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::message::Message;
use crate::router::Route;
use crate::world::{App, Feature, Features, Guid, MANAGE_APPS, WRITE_SPACE};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps/:guid/features", index),
    Route::get("/v3/apps/:guid/features/:name", show),
    Route::patch("/v3/apps/:guid/features/:name", update).by_anyone(),
    Route::get("/v3/apps/:guid/ssh_enabled", show_ssh),
];

fn present(feature: Feature, features: Features) -> Value {
    let description = match feature {
        Feature::Ssh => "Enable SSHing into the app.",
        Feature::Revisions => "Enable versioning of an application",
        Feature::ServiceBindingK8s => "Enable k8s service bindings for the app",
        Feature::FileBasedVcapServices => "Enable file-based VCAP service bindings for the app",
    };
    json!({
        "name": feature.name(),
        "description": description,
        "enabled": features.has(feature),
    })
}

/// Features as a manifest has them.
pub(crate) fn present_manifest(features: Features) -> Value {
    let all = Feature::ALL.into_iter();
    all.map(|feature| (feature.name().to_owned(), json!(features.has(feature))))
        .collect()
}

/// Switches features of an app; two of them exclude each other.
pub(crate) fn switch(
    call: &mut Call<'_>,
    app: Guid,
    wanted: &[(Feature, bool)],
) -> Result<(), CcError> {
    let mut features = call.row::<App>(app)?.features;
    for (feature, enabled) in wanted {
        features.set(*feature, *enabled);
    }
    let clash =
        features.has(Feature::FileBasedVcapServices) && features.has(Feature::ServiceBindingK8s);
    if clash && !wanted.is_empty() {
        return Err(CcError::unprocessable(
            "'file-based-vcap-services' and 'service-binding-k8s' features cannot be enabled at the same time.",
        ));
    }
    if !wanted.is_empty() {
        call.world
            .touch(app, |app: &mut App| app.features = features);
    }
    Ok(())
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app: &App = call.named("guid")?;
    let resources: Vec<Value> = Feature::ALL
        .into_iter()
        .map(|feature| present(feature, app.features))
        .collect();
    let link = call
        .view()
        .link(&format!("/v3/apps/{}/features", app.base.guid));
    Ok(Response::ok(&json!({
        "resources": resources,
        "pagination": {
            "total_results": resources.len(),
            "total_pages": 1,
            "first": link,
            "last": link,
            "next": null,
            "previous": null,
        },
    })))
}

/// The feature that the path names; 404 if there is none.
fn find(call: &Call<'_>) -> Result<(Guid, Feature), CcError> {
    let app = apps::find(call)?;
    let feature = Feature::of_name(call.capture("name"));
    let feature = feature.ok_or_else(|| CcError::not_found("Feature"))?;
    Ok((app, feature))
}

fn presented(call: &Call<'_>, app: Guid, feature: Feature) -> Result<Response, CcError> {
    let features = call.row::<App>(app)?.features;
    Ok(Response::ok(&present(feature, features)))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    let (app, feature) = find(call)?;
    presented(call, app, feature)
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let (app, feature) = find(call)?;
    let roles = match feature {
        Feature::Revisions => MANAGE_APPS,
        _ => WRITE_SPACE,
    };
    call.require(roles, call.world.home_of_app(app))?;
    let enabled = read_enabled(call)?;
    switch(call, app, &[(feature, enabled)])?;
    presented(call, app, feature)
}

/// The `enabled` of a request that switches a feature.
pub(super) fn read_enabled(call: &Call<'_>) -> Result<bool, CcError> {
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["enabled"]);
    let enabled = message.boolean("enabled");
    if message.get("enabled").is_none() {
        message.error("Enabled must be a boolean");
    }
    message.finish()?;
    Ok(enabled.unwrap_or_default())
}

/// `GET /v3/apps/:guid/ssh_enabled`
fn show_ssh(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app: &App = call.named("guid")?;
    let space = call.world.spaces.get(app.space);
    let reason = match space.filter(|space| !space.allows_ssh) {
        Some(space) => format!("ssh is disabled for space '{}'", space.name),
        None if !app.features.has(Feature::Ssh) => "ssh is disabled for app".into(),
        None => String::new(),
    };
    let enabled = reason.is_empty();
    Ok(Response::ok(&json!({"enabled": enabled, "reason": reason})))
}

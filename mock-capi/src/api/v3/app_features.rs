//! `/v3/apps/:guid/features` and `/v3/apps/:guid/ssh_enabled`

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Message;
use crate::api::router::Route;
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

/// The features of an app in a manifest.
pub(crate) fn present_manifest(features: Features) -> Value {
    let all = Feature::ALL.into_iter();
    all.map(|feature| (feature.name().to_owned(), json!(features.has(feature))))
        .collect()
}

/// Enables or disables features of an app. Two of the features exclude each other.
pub(crate) fn switch(
    context: &mut RequestContext<'_>,
    app: Guid,
    wanted: &[(Feature, bool)],
) -> Result<(), CcError> {
    let mut features = context.row::<App>(app)?.features;
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
        context
            .world
            .update_row(app, |app: &mut App| app.features = features);
    }
    Ok(())
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app: &App = context.named("guid")?;
    let resources: Vec<Value> = Feature::ALL
        .into_iter()
        .map(|feature| present(feature, app.features))
        .collect();
    let link = context
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

/// The feature that the path names. The error is a 404 if it does not exist.
fn find(context: &RequestContext<'_>) -> Result<(Guid, Feature), CcError> {
    let app = apps::find(context)?;
    let feature = Feature::of_name(context.capture("name"));
    let feature = feature.ok_or_else(|| CcError::not_found("Feature"))?;
    Ok((app, feature))
}

fn presented(
    context: &RequestContext<'_>,
    app: Guid,
    feature: Feature,
) -> Result<Response, CcError> {
    let features = context.row::<App>(app)?.features;
    Ok(Response::ok(&present(feature, features)))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (app, feature) = find(context)?;
    presented(context, app, feature)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (app, feature) = find(context)?;
    let roles = match feature {
        Feature::Revisions => MANAGE_APPS,
        _ => WRITE_SPACE,
    };
    context.require(roles, context.world.access_scope_of_app(app))?;
    let enabled = read_enabled(context)?;
    switch(context, app, &[(feature, enabled)])?;
    presented(context, app, feature)
}

/// The field `enabled` of a request.
pub(super) fn read_enabled(context: &RequestContext<'_>) -> Result<bool, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["enabled"]);
    let enabled = message.boolean("enabled");
    if message.get("enabled").is_none() {
        message.error("Enabled must be a boolean");
    }
    message.finish()?;
    Ok(enabled.unwrap_or_default())
}

/// `GET /v3/apps/:guid/ssh_enabled`
fn show_ssh(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app: &App = context.named("guid")?;
    let space = context.world.spaces.get(app.space);
    let reason = match space.filter(|space| !space.allows_ssh) {
        Some(space) => format!("ssh is disabled for space '{}'", space.name),
        None if !app.features.has(Feature::Ssh) => "ssh is disabled for app".into(),
        None => String::new(),
    };
    let enabled = reason.is_empty();
    Ok(Response::ok(&json!({"enabled": enabled, "reason": reason})))
}

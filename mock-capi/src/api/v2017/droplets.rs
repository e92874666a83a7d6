//! `/v3/droplets` of 2017: packages are staged to droplets without builds

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::fixtures;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{MAX_INT, Message};
use crate::api::router::Route;
use crate::api::shared::lifecycle::{self, Purpose};
use crate::api::shared::{droplets as shared, staging};
use crate::world::{Droplet, Field, Guid, Kind, Lifecycle, NewDroplet, Registered};

use super::{apps, packages, related};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/droplets", index),
    Route::post("/v3/droplets", copy),
    Route::get("/v3/droplets/:guid", show),
    Route::delete("/v3/droplets/:guid", delete),
    Route::post("/v3/droplets/:guid/copy", copy),
    Route::post("/v3/packages/:guid/droplets", stage),
    Route::get("/v3/packages/:guid/droplets", index_of_package),
];

const LIST: ListSpec = ListSpec::of(&[
    "app_guid",
    "app_guids",
    "organization_guids",
    "package_guid",
    "space_guids",
    "states",
]);

pub(crate) fn present(droplet: &Droplet, view: &View<'_>) -> Value {
    let path = format!("/v3/droplets/{}", droplet.base.guid);
    let app = format!("/v3/apps/{}", droplet.app);
    let assign = format!("{app}/relationships/current_droplet");
    let package = droplet
        .package
        .map(|guid| view.link(&format!("/v3/packages/{guid}")));
    let state = droplet.state(view.at);
    let failed = state == "FAILED";
    json!({
        "guid": droplet.base.guid,
        "state": state,
        "error": droplet.error.as_ref().filter(|_| failed),
        "lifecycle": lifecycle::present(&droplet.lifecycle),
        "staging_memory_in_mb": 1024,
        "staging_disk_in_mb": 4096,
        "result": (failed || state == "STAGED").then(|| result(droplet, view)),
        "environment_variables": view.secrets(json!({})),
        "created_at": droplet.base.created,
        "updated_at": droplet.base.updated,
        "links": {
            "self": view.link(&path),
            "package": package,
            "app": view.link(&app),
            "assign_current_droplet": view.action("PATCH", &assign),
        },
    })
}

fn result(droplet: &Droplet, view: &View<'_>) -> Value {
    let staged = droplet.is_staged(view.at);
    let mut result = json!({
        "execution_metadata": view.secret(json!("")),
        "process_types": view.secrets(json!(staged.then(|| json!(droplet.process_types)))),
    });
    match &droplet.lifecycle {
        Lifecycle::Buildpack {
            buildpacks, stack, ..
        } => {
            let none = json!({"type": "sha1", "value": null});
            result["checksum"] = shared::checksum(droplet, view).unwrap_or(none);
            result["buildpacks"] = json!([{"name": buildpacks.first(), "detect_output": null}]);
            result["stack"] = json!(stack);
        }
        Lifecycle::Docker => result["image"] = json!(droplet.image),
    }
    result
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<Droplet>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

/// `GET /v3/apps/:guid/droplets`
pub(crate) fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    list(context, Some((Field::App, app)))
}

fn index_of_package(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let package = packages::find(context)?;
    list(context, Some((Field::Package, package)))
}

fn list(context: &RequestContext<'_>, nested: Option<(Field, Guid)>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    shared::list(context, &query, nested, |_| true, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

/// `POST /v3/droplets/:guid/copy`, as documented, and `POST
/// /v3/droplets?source_guid=:guid`, which replaced it that month.
fn copy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["relationships"]);
    let app = related(&body, "app");
    if app.is_none() {
        message.error("App guid must be a string");
    }
    message.finish()?;
    let source = match context.capture("guid") {
        "" => context
            .request
            .query("source_guid")
            .unwrap_or_default()
            .to_owned(),
        guid => guid.to_owned(),
    };
    let guid = shared::copy_droplet(context, &source, app.unwrap_or_default())?;
    let droplet = context.present_pending(guid, present)?;
    Ok(Response::created(&fixtures::COPY_DROPLET.fill(droplet)))
}

/// `POST /v3/packages/:guid/droplets`
fn stage(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let allowed = [
        "staging_memory_in_mb",
        "staging_disk_in_mb",
        "environment_variables",
        "lifecycle",
    ];
    let mut message = Message::new(&body, &allowed);
    message.integer("staging_memory_in_mb", 1..=MAX_INT);
    message.integer("staging_disk_in_mb", 1..=MAX_INT);
    message.object("environment_variables");
    let package = packages::find(context)?;
    let app = context
        .world
        .packages
        .get(package)
        .map(|package| package.app);
    let app = app.and_then(|app| context.world.apps.get(app));
    let app = app.ok_or_else(|| CcError::not_found("App"))?;
    let asked = lifecycle::read(&mut message, &app.lifecycle, context.world, Purpose::Build);
    message.finish()?;
    asked.check()?;
    let lifecycle = asked.lifecycle;
    let app = app.base.guid;
    if context.world.is_staging(app) {
        return Err(staging::staging_in_progress());
    }
    let ready = context.world.packages.get(package);
    if !ready.is_some_and(|package| package.is_ready(context.world.now())) {
        return Err(CcError::invalid_request());
    }
    let error = staging::fail_staging(context, app);
    let droplet = context
        .world
        .stage(package, NewDroplet { lifecycle, error });
    let droplet = droplet.ok_or_else(|| CcError::not_found(Droplet::KIND))?;
    let droplet = context.present_pending(droplet, present)?;
    Ok(Response::created(&droplet))
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.world.delete(Kind::Droplet, guid);
    Ok(Response::empty(204))
}

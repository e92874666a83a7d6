//! `/v3/droplets` of 2017: packages were staged to droplets, without builds.

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::fixtures;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::message::{MAX_INT, Message};
use crate::router::Route;
use crate::v3::{apps, builds, droplets as today, lifecycle, packages};
use crate::world::{Droplet, Field, Guid, Kind, Lifecycle, NewDroplet, Row};

use super::related;

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
        Lifecycle::Buildpack { buildpacks, stack } => {
            let none = json!({"type": "sha1", "value": null});
            result["checksum"] = today::checksum(droplet, view).unwrap_or(none);
            result["buildpacks"] = json!([{"name": buildpacks.first(), "detect_output": null}]);
            result["stack"] = json!(stack);
        }
        Lifecycle::Docker => result["image"] = json!(droplet.image),
    }
    result
}

fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    call.guid_of::<Droplet>("guid")
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    list(call, None)
}

/// `GET /v3/apps/:guid/droplets`
pub(crate) fn index_of_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    list(call, Some((Field::App, app)))
}

fn index_of_package(call: &mut Call<'_>) -> Result<Response, CcError> {
    let package = packages::find(call)?;
    list(call, Some((Field::Package, package)))
}

fn list(call: &Call<'_>, nested: Option<(Field, Guid)>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    today::list(call, &query, nested, |_| true, present)
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.ok(find(call)?, present)
}

/// `POST /v3/droplets/:guid/copy`, as documented, and
/// `POST /v3/droplets?source_guid=:guid`, which came in its place that month.
fn copy(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["relationships"]);
    let app = related(&body, "app");
    if app.is_none() {
        message.error("App guid must be a string");
    }
    message.finish()?;
    let source = match call.capture("guid") {
        "" => call
            .request
            .query("source_guid")
            .unwrap_or_default()
            .to_owned(),
        guid => guid.to_owned(),
    };
    let guid = today::copy_droplet(call, &source, app.unwrap_or_default())?;
    let droplet = call.present_pending(guid, present)?;
    Ok(Response::created(&fixtures::COPY_DROPLET.fill(droplet)))
}

/// `POST /v3/packages/:guid/droplets`
fn stage(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
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
    let package = packages::find(call)?;
    let app = call.world.packages.get(package).map(|package| package.app);
    let app = app.and_then(|app| call.world.apps.get(app));
    let app = app.ok_or_else(|| CcError::not_found("App"))?;
    let lifecycle = lifecycle::read(&mut message, &app.lifecycle, call.world);
    message.finish()?;
    let app = app.base.guid;
    if builds::is_staging(call.world, app) {
        return Err(builds::staging_in_progress());
    }
    let ready = call.world.packages.get(package);
    if !ready.is_some_and(|package| builds::is_ready(call.world, package)) {
        return Err(CcError::invalid_request());
    }
    let error = builds::fail_staging(call, app);
    let droplet = call.world.stage(package, NewDroplet { lifecycle, error });
    let droplet = droplet.ok_or_else(|| CcError::not_found(Droplet::KIND))?;
    let droplet = call.present_pending(droplet, present)?;
    Ok(Response::created(&droplet))
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    call.world.delete(Kind::Droplet, guid);
    Ok(Response::empty(204))
}

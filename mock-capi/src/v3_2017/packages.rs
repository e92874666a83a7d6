//! `/v3/packages` of 2017.

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::router::Route;
use crate::v3::{apps, packages as today};
use crate::world::{Guid, Kind, Package, PackageKind};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/packages", index),
    Route::post("/v3/packages", create),
    Route::get("/v3/packages/:guid", show),
    Route::delete("/v3/packages/:guid", delete),
    Route::post("/v3/packages/:guid/upload", upload),
];

const LIST: ListSpec = ListSpec::of(&[
    "states",
    "types",
    "app_guids",
    "app_guid",
    "space_guids",
    "organization_guids",
]);

fn present(package: &Package, view: &View<'_>) -> Value {
    let path = format!("/v3/packages/{}", package.base.guid);
    let mut links = json!({
        "self": view.link(&path),
        "stage": view.action("POST", &format!("{path}/droplets")),
        "app": view.link(&format!("/v3/apps/{}", package.app)),
    });
    if matches!(package.kind, PackageKind::Bits) {
        links["upload"] = view.action("POST", &format!("{path}/upload"));
        links["download"] = view.action("GET", &format!("{path}/download"));
    }
    json!({
        "guid": package.base.guid.to_string(),
        "type": package.kind(),
        "data": today::present_data(package, view),
        "state": package.state(view.at),
        "created_at": package.base.created.to_string(),
        "updated_at": package.base.updated.to_string(),
        "links": links,
    })
}

fn presented(call: &Call<'_>, guid: Guid) -> Result<Value, CcError> {
    call.present(guid, |world| &world.packages, today::KIND, present)
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    list(call, None)
}

/// `GET /v3/apps/:guid/packages`
pub(crate) fn index_of_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    list(call, Some(app))
}

fn list(call: &Call<'_>, app: Option<Guid>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    let page = today::page(call, &query, app);
    let view = call.view();
    Ok(Response::ok(
        &query.answer(call, &page, |package| present(package, &view)),
    ))
}

fn create(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::create_package(call)?;
    presented(call, guid).map(|package| Response::created(&package))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    presented(call, today::find(call)?).map(|package| Response::ok(&package))
}

fn upload(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::upload_bits(call)?;
    let package = call.present_pending(guid, |world| &world.packages, today::KIND, present)?;
    Ok(Response::ok(&package))
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::find(call)?;
    call.world.delete(Kind::Package, guid);
    Ok(Response::empty(204))
}

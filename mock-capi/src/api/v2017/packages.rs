//! `/v3/packages` of 2017.

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::ListSpec;
use crate::api::router::Route;
use crate::api::shared::packages as shared;
use crate::world::{Guid, Kind, Package, PackageKind};

use super::apps;

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
    let mut links = json!({"self": view.link(&path)});
    if matches!(package.kind, PackageKind::Bits) {
        links["upload"] = view.action("POST", &format!("{path}/upload"));
        links["download"] = view.action("GET", &format!("{path}/download"));
    }
    links["stage"] = view.action("POST", &format!("{path}/droplets"));
    links["app"] = view.link(&format!("/v3/apps/{}", package.app));
    let data = match &package.kind {
        PackageKind::Bits => shared::present_data(package, view),
        PackageKind::Docker { image, .. } => json!({"image": image}),
    };
    json!({
        "guid": package.base.guid,
        "type": package.kind(),
        "data": data,
        "state": package.state(view.at),
        "created_at": package.base.created,
        "updated_at": package.base.updated,
        "links": links,
    })
}

/// The package that the path names.
pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<Package>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    shared::list(context, &LIST, None, present)
}

/// `GET /v3/apps/:guid/packages`
pub(crate) fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    shared::list(context, &LIST, Some(app), present)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = shared::create_package(context)?;
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn upload(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = shared::upload_bits(context)?;
    let package = context.present_pending(guid, present)?;
    Ok(Response::ok(&package))
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.world.delete(Kind::Package, guid);
    Ok(Response::empty(204))
}

//! `/v3/packages` of 2017.

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::list::ListSpec;
use crate::router::Route;
use crate::v3::{apps, packages as today};
use crate::world::{Kind, Package, PackageKind};

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
        PackageKind::Bits => today::present_data(package, view),
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

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    today::list(call, &LIST, None, present)
}

/// `GET /v3/apps/:guid/packages`
pub(crate) fn index_of_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    today::list(call, &LIST, Some(app), present)
}

fn create(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::create_package(call)?;
    call.created(guid, present)
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.ok(today::find(call)?, present)
}

fn upload(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::upload_bits(call)?;
    let package = call.present_pending(guid, present)?;
    Ok(Response::ok(&package))
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::find(call)?;
    call.world.delete(Kind::Package, guid);
    Ok(Response::empty(204))
}

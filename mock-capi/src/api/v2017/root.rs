//! The links of `GET /` and `GET /v3` in 2017

use serde_json::json;

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::uaa;
use crate::api::v2;

/// The version of the documented v3 API.
const V3_VERSION: &str = "3.13.0";

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/", root).open(),
    Route::get("/v3", v3_root).open(),
];

fn root(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(Response::ok(&json!({
        "links": {
            "self": {"href": context.url("")},
            "cloud_controller_v2": v2::info::link(context),
            "cloud_controller_v3": {
                "href": context.url("/v3"),
                "meta": {"version": V3_VERSION},
            },
            "uaa": {"href": context.url(uaa::PATH)},
        }
    })))
}

fn v3_root(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let link = |path: &str| json!({"href": context.url(path)});
    Ok(Response::ok(&json!({
        "links": {
            "self": link("/v3"),
            "tasks": link("/v3/tasks"),
            "apps": link("/v3/apps"),
            "builds": link("/v3/builds"),
            "packages": link("/v3/packages"),
            "isolation_segments": link("/v3/isolation_segments"),
            "organizations": link("/v3/organizations"),
            "spaces": link("/v3/spaces"),
        }
    })))
}

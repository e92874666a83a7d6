//! Where a client of 2017 starts.

use serde_json::json;

use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::{uaa, v2};

/// The version of the documented v3 API.
const V3_VERSION: &str = "3.13.0";

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/", root).open(),
    Route::get("/v3", v3_root).open(),
];

fn root(call: &mut Call<'_>) -> Result<Response, CcError> {
    Ok(Response::ok(&json!({
        "links": {
            "self": {"href": call.url("")},
            "cloud_controller_v2": v2::info::link(call),
            "cloud_controller_v3": {
                "href": call.url("/v3"),
                "meta": {"version": V3_VERSION},
            },
            "uaa": {"href": call.url(uaa::PATH)},
        }
    })))
}

fn v3_root(call: &mut Call<'_>) -> Result<Response, CcError> {
    let link = |path: &str| json!({"href": call.url(path)});
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

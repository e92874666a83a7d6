//! Where a client of 2017 starts.

use serde_json::json;

use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::uaa;

/// The versions of the documented API.
pub(crate) const V2_VERSION: &str = "2.78.0";
const V3_VERSION: &str = "3.13.0";

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/", root).open(),
    Route::get("/v3", v3_root).open(),
    Route::get("/v2/info", info).open(),
];

fn root(call: &mut Call<'_>) -> Result<Response, CcError> {
    Ok(Response::ok(&json!({
        "links": {
            "self": {"href": call.url("")},
            "cloud_controller_v2": {
                "href": call.url("/v2"),
                "meta": {"version": V2_VERSION},
            },
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

/// `GET /v2/info`
fn info(call: &mut Call<'_>) -> Result<Response, CcError> {
    let uaa = call.url(uaa::PATH);
    Ok(Response::ok(&json!({
        "name": "mock-capi",
        "build": "mock-capi",
        "support": "",
        "version": 0,
        "description": "A fake Cloud Controller",
        "authorization_endpoint": uaa,
        "token_endpoint": uaa,
        "min_cli_version": null,
        "min_recommended_cli_version": null,
        "api_version": V2_VERSION,
        "app_ssh_endpoint": "ssh.mock.test:2222",
        "app_ssh_host_key_fingerprint": "",
        "app_ssh_oauth_client": "ssh-proxy",
        "doppler_logging_endpoint": "wss://doppler.mock.test:443",
    })))
}

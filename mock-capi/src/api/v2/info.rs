//! `GET /v2/info`, and the link to v2 in `GET /`

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::routing;
use crate::api::uaa;
use crate::world::settings::Dialect;

pub(crate) const ROUTES: &[Route] = &[Route::get("/v2/info", info).open()];

/// The version of the v2 API.
fn version(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::V3 => "2.293.0",
        Dialect::Documented2017 => "2.78.0",
    }
}

/// The link to v2 in `GET /`.
pub(crate) fn link(context: &RequestContext<'_>) -> Value {
    json!({
        "href": context.url("/v2"),
        "meta": {"version": version(context.settings.dialect)},
    })
}

fn info(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let uaa = context.url(uaa::PATH);
    let mut info = json!({
        "name": "mock-capi",
        "build": "mock-capi",
        "support": "",
        "version": 0,
        "description": "A fake Cloud Controller",
        "authorization_endpoint": uaa,
        "token_endpoint": uaa,
        "min_cli_version": null,
        "min_recommended_cli_version": null,
        "api_version": version(context.settings.dialect),
        "app_ssh_endpoint": "ssh.mock.test:2222",
        "app_ssh_host_key_fingerprint": "",
        "app_ssh_oauth_client": "ssh-proxy",
        "doppler_logging_endpoint": "wss://doppler.mock.test:443",
    });
    if routing::is_enabled(context) {
        info["routing_endpoint"] = json!(context.url(routing::PATH));
    }
    if context.settings.dialect == Dialect::V3 {
        info["osbapi_version"] = json!("2.15");
    }
    Ok(Response::ok(&info))
}

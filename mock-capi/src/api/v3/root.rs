//! The links of `GET /` and `GET /v3`, and `GET /v3/info`.

use serde_json::{Map, Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::routing;
use crate::api::uaa;
use crate::api::v2;

/// The version of the Cloud Controller API.
const API_VERSION: &str = "3.228.0";

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/", root).open(),
    Route::get("/v3", v3_root).open(),
    Route::get("/v3/info", info).open(),
];

/// The resources in the links of `GET /v3`.
const RESOURCES: &[&str] = &[
    "app_usage_events",
    "apps",
    "audit_events",
    "buildpacks",
    "builds",
    "deployments",
    "domains",
    "droplets",
    "environment_variable_groups",
    "feature_flags",
    "info",
    "isolation_segments",
    "organizations",
    "organization_quotas",
    "packages",
    "processes",
    "resource_matches",
    "roles",
    "routes",
    "security_groups",
    "service_brokers",
    "service_instances",
    "service_credential_bindings",
    "service_offerings",
    "service_plans",
    "service_route_bindings",
    "service_usage_events",
    "spaces",
    "space_quotas",
    "stacks",
    "tasks",
    "users",
];

fn root(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let link = |path: &str| json!({"href": context.url(path)});
    let uaa = link(uaa::PATH);
    Ok(Response::ok(&json!({
        "links": {
            "self": link(""),
            "cloud_controller_v2": context.settings.v2.then(|| v2::info::link(context)),
            "cloud_controller_v3": {
                "href": context.url("/v3"),
                "meta": {"version": API_VERSION},
            },
            "network_policy_v0": link("/networking/v0/external"),
            "network_policy_v1": link("/networking/v1/external"),
            "login": uaa,
            "uaa": uaa,
            "credhub": null,
            "routing": routing::is_enabled(context).then(|| link(routing::PATH)),
            "logging": {"href": context.url("").replacen("http", "ws", 1)},
            // Clients add their own path to this link.
            "log_cache": link(""),
            "log_stream": link("/log-stream"),
            "app_ssh": {
                "href": "ssh.mock.test:2222",
                "meta": {
                    "host_key_fingerprint": "",
                    "oauth_client": "ssh-proxy",
                },
            },
        }
    })))
}

fn v3_root(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let link = |path: String| json!({"href": context.url(&path)});
    let mut links: Map<String, Value> = RESOURCES
        .iter()
        .map(|resource| ((*resource).to_owned(), link(format!("/v3/{resource}"))))
        .collect();
    links.insert("self".into(), link("/v3".into()));
    Ok(Response::ok(&json!({ "links": links })))
}

fn info(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let limit = context.settings.rate_limit;
    Ok(Response::ok(&json!({
        "build": "mock-capi",
        "cli_version": {"minimum": "", "recommended": ""},
        "custom": {},
        "description": "A fake Cloud Controller",
        "name": "mock-capi",
        "version": 0,
        "osbapi_version": "2.15",
        "rate_limits": {
            "enabled": limit.is_some(),
            "general_limit": limit.map_or(0, |limit| limit.requests),
            "reset_interval_in_minutes": limit.map_or(0, |limit| limit.window.as_secs() / 60),
        },
        "links": {
            "self": {"href": context.url("/v3/info")},
            "support": {"href": ""},
        },
    })))
}

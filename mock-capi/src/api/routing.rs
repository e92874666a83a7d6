//! The routing API. Clients of the Cloud Controller use its list of router groups.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{ROUTER_GROUP_TYPE, RouterGroup};

/// The path of the link in `GET /`.
pub(crate) const PATH: &str = "/routing";

pub(crate) const ROUTER_GROUPS: &str = "/routing/v1/router_groups";

/// These routes are open because the routing API validates the token itself.
pub(crate) const ROUTES: &[Route] = &[Route::get(ROUTER_GROUPS, index).open()];

/// Whether the foundation has a routing API.
pub(crate) fn is_enabled(context: &RequestContext<'_>) -> bool {
    !context.world.router_groups.is_empty()
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    if !is_enabled(context) {
        return Err(CcError::unknown_request());
    }
    if let Some(refusal) = refuse(context) {
        return Ok(refusal);
    }
    let groups = context.world.router_groups.iter();
    let Some(name) = context.request.query("name") else {
        let groups: Vec<Value> = groups.map(present).collect();
        return Ok(Response::ok(&json!(groups)));
    };
    let named: Vec<Value> = groups
        .filter(|group| group.name == name)
        .map(present)
        .collect();
    Ok(match named.is_empty() {
        true => error(
            404,
            "ResourceNotFoundError",
            &format!("Router Group '{name}' not found"),
        ),
        false => Response::ok(&json!(named)),
    })
}

fn present(group: &RouterGroup) -> Value {
    json!({
        "guid": group.guid,
        "name": group.name,
        "type": ROUTER_GROUP_TYPE,
        "reservable_ports": text_of(&group.ports),
    })
}

fn text_of(ports: &RangeInclusive<u16>) -> String {
    let (first, last) = (ports.start(), ports.end());
    match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }
}

/// The error for a missing token, or for a token without the scope for listing router
/// groups.
fn refuse(context: &RequestContext<'_>) -> Option<Response> {
    const SCOPE: &str = "routing.router_groups.read";
    let refused = |message: &str| Some(error(401, "UnauthorizedError", message));
    match &context.caller {
        None => refused("invalid or missing token"),
        Some(caller) if caller.is_admin() || caller.has_scope(SCOPE) => None,
        Some(_) => refused(&format!("Token does not have '{SCOPE}' scope")),
    }
}

fn error(status: u16, name: &str, message: &str) -> Response {
    Response {
        status,
        ..Response::ok(&json!({"name": name, "message": message}))
    }
}

//! Requests for the routes of apps, which differ from those for the API by
//! their host. No app answers yet, so they get what gorouter sends where a route
//! is unknown or has no endpoint.

use crate::api::http::{Request, Response};
use crate::serve::core::Core;
use crate::serve::hosts;
use crate::world::HostLookup;

/// The answer to a request for an app; none if it is for the API or for the
/// mock's own endpoints.
pub(crate) fn answer(core: &Core, request: &Request<'_>) -> Option<Response> {
    if request.path == "/_mock" || request.path.starts_with("/_mock/") {
        return None;
    }
    let host = request.header("host")?;
    if hosts::is_own(host, &core.settings().allowed_hosts) {
        return None;
    }
    let name = hosts::without_port(host);
    let has_app = core.read(|world| match world.find_by_host(name, request.path) {
        HostLookup::Route(route) => Some(!route.destinations.is_empty()),
        HostLookup::UnknownRoute => Some(false),
        HostLookup::OtherDomain => None,
    })?;
    Some(match has_app {
        true => {
            let text = format!("Requested route ('{host}') has no available endpoints.");
            router_error(503, "Service Unavailable", "no_endpoints", &text)
        }
        false => {
            let text = format!("Requested route ('{host}') does not exist.");
            router_error(404, "Not Found", "unknown_route", &text)
        }
    })
}

/// An error in gorouter's words.
fn router_error(status: u16, reason: &str, error: &str, text: &str) -> Response {
    let body = format!("{status} {reason}: {text}\n");
    let mut response = Response::text("text/plain; charset=utf-8", body);
    response.status = status;
    response
        .with_header("Cache-Control", "public,max-age=2")
        .with_header("X-Cf-RouterError", error)
        .with_header("X-Content-Type-Options", "nosniff")
}

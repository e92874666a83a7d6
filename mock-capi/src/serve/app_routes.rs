//! Requests for apps. Their host distinguishes them from requests for the API.

use std::net::SocketAddr;

use http::header::HOST;
use http::request::Parts;

use crate::data_plane::{AppRequest, Outcome, RequestBody};
use crate::serve::core::Core;
use crate::serve::hosts;
use crate::world::without_port;

/// Answers a request for an app; `None` if the request is for the API or for the mock's
/// own endpoints.
pub(crate) fn outcome(
    core: &Core,
    parts: &Parts,
    body: RequestBody<'_>,
    client: SocketAddr,
) -> Option<Outcome> {
    let path = parts.uri.path();
    if path == "/_mock" || path.starts_with("/_mock/") {
        return None;
    }
    let host = parts.headers.get(HOST)?.to_str().ok()?;
    if hosts::is_own(host, &core.settings().allowed_hosts) || is_link_host(core, host) {
        return None;
    }
    let scheme = core.base().split("://").next().unwrap_or("http");
    core.answer_app(&AppRequest {
        method: parts.method.as_str(),
        host,
        path,
        query: parts.uri.query(),
        headers: &parts.headers,
        body,
        scheme,
        client: Some(client.ip()),
    })
}

/// Whether the mock's own links have this host.
fn is_link_host(core: &Core, host: &str) -> bool {
    let own = core.base().split_once("://").map_or("", |(_, own)| own);
    without_port(own).eq_ignore_ascii_case(without_port(host))
}

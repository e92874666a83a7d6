//! Forwards requests for apps to other servers.

use std::net::IpAddr;

use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use url::Url;

use super::{
    Action, AppRequest, DataPlaneContext, Instance, Outcome, Reply, RequestBody, go, router,
};
use crate::world::InstanceAddress;

/// The header with the IDs of the mocks that forwarded a request.
pub(crate) const FORWARDED_BY: &str = "x-mock-capi-forwarded-by";

/// A request that is sent to another server.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) headers: HeaderMap,
    /// Whether the body of the request is passed on.
    pub(crate) has_body: bool,
    /// The proxy app that the request passes through. Of the response's headers, it
    /// passes on only the content type.
    pub(crate) through: Option<InstanceAddress>,
}

impl Forward {
    pub(crate) fn set_header(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// The response if the server that a request was forwarded to fails or times out.
pub(crate) fn forward_failed(url: &str, is_proxied: bool, has_timed_out: bool) -> Reply {
    const DEADLINE: &str = "context deadline exceeded";
    if !is_proxied {
        return router::endpoint_failure(if has_timed_out { DEADLINE } else { "" });
    }
    let cause = if has_timed_out { DEADLINE } else { "EOF" };
    go::error(500, &format!("request failed: Get {url:?}: {cause}"))
}

/// Whether a header is hop-by-hop, so that it must not be forwarded.
pub(crate) fn is_of_connection(name: &HeaderName) -> bool {
    const OTHERS: [&str; 4] = [
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "trailer",
    ];
    [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE].contains(name) || OTHERS.contains(&name.as_str())
}

impl DataPlaneContext<'_> {
    /// Forwards a request for an instance to the server at a URL.
    pub(super) fn forward(
        &mut self,
        instance: &Instance<'_>,
        base: &Url,
        request: &AppRequest<'_>,
    ) -> Outcome {
        let mut url = base.as_str().trim_end_matches('/').to_owned();
        url.push_str(request.path);
        if let Some(query) = request.query {
            url.push('?');
            url.push_str(query);
        }
        let mut forward = Forward {
            url,
            method: request.method.to_owned(),
            headers: passed_on(request.headers),
            has_body: !matches!(request.body, RequestBody::Empty),
            through: None,
        };
        if let Ok(host) = HeaderValue::from_str(request.host) {
            forward.headers.insert(HOST, host);
        }
        self.sign(&mut forward, instance, request);
        Action::Forward(forward).into()
    }

    /// Adds the headers that the router adds.
    fn sign(&self, forward: &mut Forward, instance: &Instance<'_>, request: &AppRequest<'_>) {
        let client = request.client.map(|client: IpAddr| client.to_string());
        let header = |name: &str| request.headers.get(name)?.to_str().ok();
        let clients = header("x-forwarded-for").map(str::to_owned).into_iter();
        let clients: Vec<String> = clients.chain(client).collect();
        if !clients.is_empty() {
            forward.set_header("x-forwarded-for", &clients.join(", "));
        }
        if header("x-forwarded-proto").is_none() {
            forward.set_header("x-forwarded-proto", request.scheme);
        }
        let own = &self.plane.id;
        let earlier = header(FORWARDED_BY).map(|earlier| format!("{earlier}, {own}"));
        forward.set_header(FORWARDED_BY, &earlier.unwrap_or_else(|| own.clone()));
        forward.set_header("x-cf-applicationid", &instance.process.app.to_string());
        forward.set_header("x-cf-instanceid", &instance.guid());
        forward.set_header("x-cf-instanceindex", &instance.index.to_string());
    }
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let passed = headers.iter();
    let passed = passed.filter(|(name, _)| !is_of_connection(name));
    let mut all = HeaderMap::new();
    for (name, value) in passed {
        all.append(name.clone(), value.clone());
    }
    all
}

impl super::DataPlane {
    /// Whether this mock has already forwarded a request that it receives.
    pub(crate) fn has_forwarded(&self, headers: &HeaderMap) -> bool {
        let forwarders = headers.get_all(FORWARDED_BY).iter();
        let mut forwarders = forwarders.filter_map(|value| value.to_str().ok());
        forwarders.any(|value| value.split(", ").any(|by| by == self.id))
    }
}

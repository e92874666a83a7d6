//! Connections from one instance to another, to the router, or out of the overlay
//! network. All of them end inside the mock, which never opens a real connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::HeaderMap;
use url::Url;

use super::{
    Action, AppFault, AppRequest, DataPlaneContext, Instance, Outcome, Reply, ReplyBody,
    RequestBody, go,
};
use crate::world::{HostLookup, InstanceAddress, ROUTER, is_usual};

/// The time after which a proxy gives up a connection attempt.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The time after which a proxy gives up waiting for a response.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_REDIRECTS: u32 = 10;

/// The maximum length of a chain of proxies that call each other. With real proxies, such
/// a chain ends when one of them times out.
const MAX_PROXIES: u32 = 16;

/// The DNS server of the containers.
const RESOLVER: &str = "169.254.0.2:53";

/// A connection that failed.
#[derive(Debug)]
struct Failure {
    /// The error as Go words it.
    cause: String,
    /// The time until the connection failed.
    delay: Duration,
}

impl From<String> for Failure {
    fn from(cause: String) -> Self {
        Self {
            cause,
            delay: Duration::ZERO,
        }
    }
}

/// The parts of a URL that a connection needs.
#[derive(Debug, PartialEq, Eq)]
struct Target<'u> {
    host: &'u str,
    port: Option<&'u str>,
    /// Host and port.
    authority: &'u str,
    path: &'u str,
    query: Option<&'u str>,
}

impl<'u> Target<'u> {
    /// Parses an HTTP URL. The error is worded as Go words it.
    fn read(url: &'u str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let authority = authority.rsplit('@').next().unwrap_or_default();
        if let Some(escape) = wrong_escape(authority).or_else(|| wrong_escape(path)) {
            return Err(format!("invalid URL escape {escape:?}"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let end = bracketed.split_once(']');
                let (host, port) = end.ok_or_else(|| "missing ']' in host".to_owned())?;
                (host, port)
            }
            None => {
                let at = authority.find(':').unwrap_or(authority.len());
                authority.split_at(at)
            }
        };
        let digits = port.strip_prefix(':');
        if !port.is_empty() && !digits.is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit())) {
            return Err(format!("invalid port {port:?} after host"));
        }
        Ok(Self {
            host,
            port: digits.filter(|digits| !digits.is_empty()),
            authority,
            path: if path.is_empty() { "/" } else { path },
            query,
        })
    }
}

/// The first invalid percent escape in a text.
fn wrong_escape(text: &str) -> Option<&str> {
    let mut escapes = text.match_indices('%');
    escapes.find_map(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        let is_right = digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let end = text.len().min(at + 3);
        let end = (end..text.len()).find(|end| text.is_char_boundary(*end));
        (!is_right).then(|| &text[at..end.unwrap_or(text.len())])
    })
}

impl<'s> DataPlaneContext<'s> {
    /// The response of a proxy to a request to fetch `http://{destination}`.
    pub(super) fn fetch(&mut self, proxy: &Instance<'s>, destination: &str) -> Outcome {
        let mut url = format!("http://{destination}");
        if let Err(cause) = Target::read(&url) {
            return go::error(400, &format!("not a URL: parse {url:?}: {cause}")).into();
        }
        let mut delay = Duration::ZERO;
        let mut redirects = 0;
        loop {
            let answered = self.get(proxy, &url);
            let answered = answered.and_then(|mut outcome| {
                delay = delay.saturating_add(outcome.delay);
                if delay > FETCH_TIMEOUT {
                    return Err(timed_out());
                }
                outcome.delay = delay;
                Ok(outcome)
            });
            let outcome = match answered {
                Ok(outcome) => outcome,
                Err(failure) => {
                    let delay = delay.saturating_add(failure.delay).min(FETCH_TIMEOUT);
                    return failed(&url, &failure.cause, delay);
                }
            };
            let Some(next) = redirection(&url, &outcome.action) else {
                return self.relayed(proxy, outcome);
            };
            if redirects == MAX_REDIRECTS {
                let cause = format!("stopped after {MAX_REDIRECTS} redirects");
                return failed(&next, &cause, delay);
            }
            redirects += 1;
            url = next;
        }
    }

    /// The response to a GET request that a proxy sends.
    fn get(&mut self, proxy: &Instance<'s>, url: &str) -> Result<Outcome, Failure> {
        if self.depth >= MAX_PROXIES {
            // The mock reports the timeout at once.
            return Err(Failure::from(timed_out().cause));
        }
        self.depth += 1;
        let answered = self.connect(proxy, url);
        self.depth -= 1;
        answered
    }

    fn connect(&mut self, proxy: &Instance<'s>, url: &str) -> Result<Outcome, Failure> {
        let target = Target::read(url)?;
        if target.host.is_empty() {
            return Err("http: no Host in request URL".to_owned().into());
        }
        let port = target.port.unwrap_or("80");
        let port = port
            .parse::<u16>()
            .map_err(|_| format!("dial tcp: address {port}: invalid port"))?;
        let addresses = self.resolve(target.host);
        let addresses = addresses.map_err(|cause| format!("dial tcp: {cause}"))?;
        let ip = addresses.first().copied();
        let ip = ip.ok_or_else(|| format!("dial tcp: {}", unknown_name(target.host)))?;
        self.dial(proxy, SocketAddr::new(ip, port), &target)
    }

    /// Connects to an address, and sends the request.
    fn dial(
        &mut self,
        proxy: &Instance<'s>,
        address: SocketAddr,
        target: &Target<'_>,
    ) -> Result<Outcome, Failure> {
        let ip = address.ip();
        if ip.is_loopback() {
            return self.reach(proxy, proxy, address, target);
        }
        if ip == IpAddr::V4(ROUTER) {
            return self.route_internally(proxy, address, target);
        }
        if let IpAddr::V4(ip) = ip {
            let own = InstanceAddress::of_ip(ip);
            let found = own.and_then(|own| self.world.instance_at(own));
            if found.is_some() || is_usual(ip) {
                let Some((process, index)) = found else {
                    return Err(format!("dial tcp {address}: connect: no route to host").into());
                };
                let destination = Instance::running(self.world, process, index);
                let destination = destination.ok_or_else(|| refused(address))?;
                return self.reach(proxy, &destination, address, target);
            }
        }
        let deadline = self.now().minus(self.world.timings.asg);
        let space = proxy.app.space;
        if self.world.can_leave(space, ip, address.port(), deadline) {
            return Ok(go::text(format!("mock-capi: {address}\n")).into());
        }
        Err(refused(address).into())
    }

    /// Connects to an instance, if the proxy is that instance or a network policy allows
    /// it.
    fn reach(
        &mut self,
        proxy: &Instance<'s>,
        destination: &Instance<'s>,
        address: SocketAddr,
        target: &Target<'_>,
    ) -> Result<Outcome, Failure> {
        let deadline = self.now().minus(self.world.timings.policy);
        let is_same = proxy.address == destination.address;
        let allowed = is_same || {
            let (source, app) = (proxy.process.app, destination.process.app);
            let policies = &self.world.network_policies;
            policies.allow(
                &source.to_string(),
                &app.to_string(),
                "tcp",
                address.port(),
                deadline,
            )
        };
        if !allowed {
            return Err(refused(address).into());
        }
        let headers = HeaderMap::new();
        let request = internal_request(target, proxy, &headers);
        let app = &destination.app.name;
        let unreachable = (!is_same)
            .then(|| self.faults.apply(AppFault::Unreachable, app, &request))
            .flatten();
        if let Some(delay) = unreachable {
            return Err(Failure {
                cause: format!("dial tcp {address}: i/o timeout"),
                delay: delay.min(DIAL_TIMEOUT),
            });
        }
        let behaviour = self.behaviour(destination);
        if !behaviour.listens(&destination.app.environment, address.port()) {
            return Err(refused(address).into());
        }
        let caller = match address.ip().is_loopback() {
            true => address.ip(),
            false => proxy.ip(),
        };
        Ok(self.serve(destination, &behaviour, &request, caller))
    }

    /// Connects to the router, which every app may.
    fn route_internally(
        &mut self,
        proxy: &Instance<'s>,
        address: SocketAddr,
        target: &Target<'_>,
    ) -> Result<Outcome, Failure> {
        if ![80, 443].contains(&address.port()) {
            return Err(refused(address).into());
        }
        let headers = HeaderMap::new();
        let request = internal_request(target, proxy, &headers);
        let routed = self.route(&request);
        Ok(routed.unwrap_or_else(|| super::router::unknown_route(&request).into()))
    }

    /// The addresses that a name has for an app.
    pub(super) fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Ok(vec![ip]);
        }
        if name.eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        if let Some((route, index)) = self.world.find_internal(name) {
            let endpoints = self.endpoints(route).into_iter();
            let instances = endpoints.flat_map(|(process, _)| {
                let count = self.world.running_instances(process);
                count.map(move |index| (process, index))
            });
            let wanted = instances.filter(|(_, found)| index.is_none_or(|index| index == *found));
            let addresses = wanted
                .filter_map(|(process, index)| self.world.address_of(process, index))
                .map(|address| IpAddr::V4(address.ip()));
            let addresses: Vec<IpAddr> = addresses.collect();
            if !addresses.is_empty() {
                return Ok(addresses);
            }
        }
        match self.world.find_by_host(name, "/") {
            HostLookup::OtherDomain => Err(unknown_name(name)),
            HostLookup::Route(_) | HostLookup::UnknownRoute => Ok(vec![ROUTER.into()]),
        }
    }

    /// The response that a proxy passes on.
    fn relayed(&mut self, proxy: &Instance<'_>, mut outcome: Outcome) -> Outcome {
        outcome.action = match outcome.action {
            Action::Reply(reply) => {
                let latency = outcome.delay;
                self.plane
                    .record_latency(proxy.address, latency, self.world);
                Action::Reply(with_its_type(reply))
            }
            Action::Forward(mut forward) => {
                forward.through = Some(proxy.address);
                Action::Forward(forward)
            }
            // A GET request without a body causes neither of these.
            other @ (Action::ReadBody | Action::CountBody) => other,
        };
        outcome
    }
}

fn internal_request<'r>(
    target: &Target<'r>,
    proxy: &Instance<'_>,
    headers: &'r HeaderMap,
) -> AppRequest<'r> {
    AppRequest {
        method: "GET",
        host: target.authority,
        path: target.path,
        query: target.query,
        headers,
        body: RequestBody::Empty,
        scheme: "http",
        client: Some(proxy.ip()),
    }
}

/// The response as a proxy passes it on: with the content type, but no other header.
fn with_its_type(reply: Reply) -> Reply {
    let kind = reply.header("content-type").map(str::to_owned);
    let is_empty = matches!(&reply.body, ReplyBody::Bytes(body) if body.is_empty());
    let kind = kind.or_else(|| (!is_empty).then(|| go::TEXT.to_owned()));
    let kind = kind.map(|kind| ("Content-Type".into(), kind));
    Reply {
        headers: kind.into_iter().collect(),
        ..reply
    }
}

/// The target of a redirect to an HTTP URL.
fn redirection(url: &str, action: &Action) -> Option<String> {
    let Action::Reply(reply) = action else {
        return None;
    };
    if ![301, 302, 303, 307, 308].contains(&reply.status) {
        return None;
    }
    let next = Url::parse(url).ok()?.join(reply.header("location")?).ok()?;
    (next.scheme() == "http").then(|| next.into())
}

fn failed(url: &str, cause: &str, delay: Duration) -> Outcome {
    let mut outcome = Outcome::from(go::error(
        500,
        &format!("request failed: Get {url:?}: {cause}"),
    ));
    outcome.delay = delay;
    outcome
}

fn refused(address: SocketAddr) -> String {
    format!("dial tcp {address}: connect: connection refused")
}

fn unknown_name(name: &str) -> String {
    format!("lookup {name} on {RESOLVER}: no such host")
}

fn timed_out() -> Failure {
    Failure {
        cause: "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".into(),
        delay: FETCH_TIMEOUT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_go_reads_them() {
        let target = Target::read("http://10.255.0.1:8080/a/b?c=d#e").unwrap();
        assert_eq!(
            (
                target.host,
                target.port,
                target.authority,
                target.path,
                target.query
            ),
            (
                "10.255.0.1",
                Some("8080"),
                "10.255.0.1:8080",
                "/a/b",
                Some("c=d")
            )
        );
        let target = Target::read("http://u:p@[::1]").unwrap();
        assert_eq!((target.host, target.port, target.path), ("::1", None, "/"));
        for (url, problem) in [
            ("http://a:b", "invalid port \":b\" after host"),
            ("http://a:1:2", "invalid port \":1:2\" after host"),
            ("http://a/%zz", "invalid URL escape \"%zz\""),
            ("http://a/%", "invalid URL escape \"%\""),
            ("http://[::1", "missing ']' in host"),
        ] {
            assert_eq!(Target::read(url).unwrap_err(), problem, "{url}");
        }
    }

    #[test]
    fn a_redirect_is_relative_to_the_url_that_sent_it() {
        let to = |location: &str| {
            let reply = Reply::new(302, "").with_header("Location", location);
            redirection("http://a:1/b/c", &Action::Reply(reply))
        };
        assert_eq!(to("d").as_deref(), Some("http://a:1/b/d"));
        assert_eq!(to("http://e/").as_deref(), Some("http://e/"));
        assert_eq!(to("https://e/"), None);
        assert_eq!(
            redirection("http://a", &Action::Reply(Reply::new(302, ""))),
            None
        );
    }
}

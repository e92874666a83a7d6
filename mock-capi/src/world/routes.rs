//! Routes and their validation.

use serde_json::{Map, Value};

use super::{Domain, Field, Guid, Key, Route, RouterGroup, Selection, Space, World};
use crate::world::metadata::MetadataPatch;

/// Whether a character is allowed in a host. The host `*` is valid as well.
pub(crate) fn is_in_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// A route to create.
#[derive(Debug)]
pub(crate) struct NewRoute {
    pub(crate) space: Guid,
    pub(crate) domain: Guid,
    pub(crate) host: String,
    pub(crate) path: String,
    /// `None` selects any free port if the domain has ports. 0 means no port.
    pub(crate) port: Option<u16>,
    pub(crate) options: Map<String, Value>,
    pub(crate) metadata: MetadataPatch,
}

/// The reason why a route is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteRefusal {
    #[error("there is no such space")]
    NoSpace,
    #[error("there is no such domain")]
    NoDomain,
    #[error("the organization cannot use the domain")]
    DomainNotUsable,
    #[error("the space's quota allows no more routes")]
    SpaceQuotaExceeded,
    #[error("the organization's quota allows no more routes")]
    QuotaExceeded,
    #[error("a domain has that name")]
    DomainExists,
    #[error("a host has letters, digits, '-' and '_' only")]
    HostInvalid,
    #[error("an internal domain has no wildcard routes")]
    WildcardUnsupported,
    #[error("a shared domain needs a host")]
    HostMissing,
    #[error("host and domain are too long")]
    HostTooLong,
    #[error("an internal domain has no paths")]
    PathUnsupported,
    #[error("the path is too long")]
    PathTooLong,
    #[error("the path has invalid characters")]
    PathInvalid,
    #[error("the organization's quota allows no more reserved ports")]
    PortQuotaExceeded,
    #[error("the space's quota allows no more reserved ports")]
    SpacePortQuotaExceeded,
    #[error("the path is a single '/'")]
    PathSingleSlash,
    #[error("the domain has no ports")]
    PortUnsupported,
    #[error("a TCP route has no host")]
    TcpHostUnsupported,
    #[error("a TCP route has no path")]
    TcpPathUnsupported,
    #[error("a TCP route needs a port")]
    PortMissing,
    #[error("the router group has no free port")]
    PortsExhausted,
    #[error("port {0} is outside of the router group, or in use")]
    PortUnavailable(u16),
    #[error("the domain has a route with port {0}")]
    PortTaken(u16),
    #[error("the route exists")]
    Taken,
    #[error("another space has a route with that host")]
    TakenElsewhere,
}

impl World {
    pub(crate) fn create_route(&mut self, mut new: NewRoute) -> Result<Guid, RouteRefusal> {
        if new.port.is_none() {
            new.port = self.choose_port(new.domain)?;
        }
        new.port = new.port.filter(|port| *port > 0);
        self.check_route(&new)?;
        let base = self.base_with(new.metadata);
        Ok(self.add(Route {
            base,
            space: new.space,
            shared_with: Vec::new(),
            domain: new.domain,
            host: new.host,
            path: new.path,
            port: new.port,
            options: new.options,
            destinations: Vec::new(),
        }))
    }

    /// Chooses a free port of a domain's router group. `None` if the domain has no ports.
    fn choose_port(&mut self, domain: Guid) -> Result<Option<u16>, RouteRefusal> {
        let domain = self.domains.get(domain);
        let Some(group) = domain.and_then(|domain| self.router_group(domain)) else {
            return Ok(None);
        };
        let used = self.ports_in_use(group.guid);
        let free = group.ports.clone().filter(|port| !used.contains(port));
        let free: Vec<u16> = free.collect();
        if free.is_empty() {
            return Err(RouteRefusal::PortsExhausted);
        }
        let chosen = self.random_below(free.len());
        Ok(free.get(chosen).copied())
    }

    fn check_route(&self, new: &NewRoute) -> Result<(), RouteRefusal> {
        const MAX_NAME: usize = 253;
        const MAX_PATH: usize = 128;
        let space = self.spaces.get(new.space).ok_or(RouteRefusal::NoSpace)?;
        let domain = self.domains.get(new.domain).ok_or(RouteRefusal::NoDomain)?;
        if !domain.is_usable_by(space.org) {
            return Err(RouteRefusal::DomainNotUsable);
        }
        self.check_route_quotas(space)?;
        if new.port.is_some() {
            self.check_port_quotas(space)?;
        }
        let group = self.router_group(domain);
        let name = format!("{}.{}", new.host, domain.name);
        if !new.host.is_empty() && self.named::<Domain>(&name).is_some() {
            return Err(RouteRefusal::DomainExists);
        }
        if new.host != "*" && !new.host.chars().all(is_in_host) {
            return Err(RouteRefusal::HostInvalid);
        }
        if domain.internal && new.host == "*" {
            return Err(RouteRefusal::WildcardUnsupported);
        }
        if domain.org.is_none() && new.host.is_empty() && group.is_none() {
            return Err(RouteRefusal::HostMissing);
        }
        if name.len() > MAX_NAME {
            return Err(RouteRefusal::HostTooLong);
        }
        if let Some(group) = group {
            return self.check_tcp_route(new, group);
        }
        if domain.internal && !new.path.is_empty() {
            return Err(RouteRefusal::PathUnsupported);
        }
        if !new.path.chars().all(is_in_path) {
            return Err(RouteRefusal::PathInvalid);
        }
        if new.path.len() > MAX_PATH {
            return Err(RouteRefusal::PathTooLong);
        }
        if new.path == "/" {
            return Err(RouteRefusal::PathSingleSlash);
        }
        if self
            .find_route(domain, &new.host, &new.path, None)
            .is_some()
        {
            return Err(RouteRefusal::Taken);
        }
        // In private domains, several spaces may have routes with the same host.
        let elsewhere = |route: &&Route| route.space != new.space;
        let at_host = self.routes_at(domain, &new.host);
        if domain.org.is_none() && at_host.iter().any(elsewhere) {
            return Err(RouteRefusal::TakenElsewhere);
        }
        if new.port.is_some() {
            return Err(RouteRefusal::PortUnsupported);
        }
        Ok(())
    }

    /// Checks a TCP route, which consists of a port in a domain with a router group.
    fn check_tcp_route(&self, new: &NewRoute, group: &RouterGroup) -> Result<(), RouteRefusal> {
        if !new.host.is_empty() {
            return Err(RouteRefusal::TcpHostUnsupported);
        }
        if !new.path.is_empty() {
            return Err(RouteRefusal::TcpPathUnsupported);
        }
        let port = new.port.ok_or(RouteRefusal::PortMissing)?;
        if !group.ports.contains(&port) {
            return Err(RouteRefusal::PortUnavailable(port));
        }
        let of_domain = Selection::by(Field::Domain, new.domain);
        let of_domain = self.routes.select(&of_domain);
        if of_domain.iter().any(|route| route.port == Some(port)) {
            return Err(RouteRefusal::PortTaken(port));
        }
        match self.ports_in_use(group.guid).contains(&port) {
            true => Err(RouteRefusal::PortUnavailable(port)),
            false => Ok(()),
        }
    }

    /// Checks that the quotas of a space and its organization allow another port.
    fn check_port_quotas(&self, space: &Space) -> Result<(), RouteRefusal> {
        let ports_in = |space: Guid| {
            let routes = self.routes.select(&Selection::by(Field::Space, space));
            routes.iter().filter(|route| route.port.is_some()).count()
        };
        let full = |limit: Option<u64>, ports: usize| {
            let ports = u64::try_from(ports).unwrap_or(u64::MAX);
            limit.is_some_and(|limit| ports >= limit)
        };
        let own = space.quota.and_then(|quota| self.space_quotas.get(quota));
        let own = own.and_then(|quota| quota.limits.reserved_ports);
        if full(own, ports_in(space.base.guid)) {
            return Err(RouteRefusal::SpacePortQuotaExceeded);
        }
        let org = self.orgs.get(space.org);
        let quota = org.and_then(|org| self.quotas.get(org.quota));
        let limit = quota.and_then(|quota| quota.limits.reserved_ports);
        let spaces = self.spaces_of(vec![space.org]).into_iter();
        match full(limit, spaces.map(ports_in).sum()) {
            true => Err(RouteRefusal::PortQuotaExceeded),
            false => Ok(()),
        }
    }

    /// Finds a route of a domain. Without a port, this finds a route with any port.
    pub(crate) fn find_route(
        &self,
        domain: &Domain,
        host: &str,
        path: &str,
        port: Option<u16>,
    ) -> Option<&Route> {
        let mut routes = self.routes_at(domain, host).into_iter();
        routes.find(|route| {
            route.path.eq_ignore_ascii_case(path) && (port.is_none() || route.port == port)
        })
    }

    /// The routes with this host and any path.
    pub(crate) fn routes_at(&self, domain: &Domain, host: &str) -> Vec<&Route> {
        let of_domain = Selection::by(Field::Domain, domain.base.guid);
        self.routes
            .select(&of_domain.any(vec![Key::text(Field::Host, host)]))
    }

    /// Moves a route and its resources to another space.
    pub(crate) fn move_route(&mut self, guid: Guid, space: Guid) {
        let of_route = Selection::by(Field::Route, guid);
        for binding in self.route_bindings.guids_newest_first(&of_route) {
            self.route_bindings
                .update(binding, |binding| binding.space = space);
        }
        for policy in self.route_policies.guids_newest_first(&of_route) {
            self.route_policies
                .update(policy, |policy| policy.space = space);
        }
        self.update_row(guid, |route: &mut Route| route.space = space);
    }

    /// Checks that the quotas of a space and its organization allow another route.
    fn check_route_quotas(&self, space: &Space) -> Result<(), RouteRefusal> {
        let routes_in = |space: Guid| self.routes.count(&Key::Guid(Field::Space, space));
        let full = |limit: Option<u64>, routes: usize| {
            let routes = u64::try_from(routes).unwrap_or(u64::MAX);
            limit.is_some_and(|limit| routes >= limit)
        };
        let own = space.quota.and_then(|quota| self.space_quotas.get(quota));
        let own = own.and_then(|quota| quota.limits.routes);
        if full(own, routes_in(space.base.guid)) {
            return Err(RouteRefusal::SpaceQuotaExceeded);
        }
        let org = self.orgs.get(space.org);
        let quota = org.and_then(|org| self.quotas.get(org.quota));
        let limit = quota.and_then(|quota| quota.limits.routes);
        if limit.is_none() {
            return Ok(());
        }
        let spaces = self.spaces_of(vec![space.org]).into_iter();
        if full(limit, spaces.map(routes_in).sum()) {
            return Err(RouteRefusal::QuotaExceeded);
        }
        Ok(())
    }

    /// The address of a route, without a scheme.
    pub(crate) fn route_url(&self, route: &Route) -> String {
        let domain = self.domains.get(route.domain);
        let domain = domain.map_or("", |domain| domain.name.as_str());
        if let Some(port) = route.port {
            format!("{domain}:{port}")
        } else if route.host.is_empty() {
            format!("{domain}{}", route.path)
        } else {
            format!("{}.{domain}{}", route.host, route.path)
        }
    }
}

/// Whether a character is allowed in the path of a URL.
fn is_in_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.!~*'()%:@&=+$,;/?#".contains(c)
}

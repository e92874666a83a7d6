//! Router groups: the routers of TCP routes, and the ports that they reserve. Router
//! groups are settings of a mock. Without router groups, all domains are for HTTP routes.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::{Domain, Guid, GuidSource, Route, World};
use crate::world::random::Random;

/// The type of all router groups of the mock.
pub(crate) const ROUTER_GROUP_TYPE: &str = "tcp";

/// A router group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouterGroup {
    pub(crate) guid: Guid,
    pub(crate) name: String,
    /// The ports that routes can have.
    pub(crate) ports: RangeInclusive<u16>,
}

impl RouterGroup {
    /// Creates a group. Its GUID depends only on its name, so that a state file can refer
    /// to it.
    pub(crate) fn new(name: &str, ports: RangeInclusive<u16>) -> Self {
        Self {
            guid: GuidSource::new(Random::of(&name)).next(),
            name: name.into(),
            ports,
        }
    }
}

impl World {
    /// The router group of a domain. `None` if its routes are HTTP routes.
    pub(crate) fn router_group(&self, domain: &Domain) -> Option<&RouterGroup> {
        let guid = domain.router_group?;
        self.router_groups.iter().find(|group| group.guid == guid)
    }

    /// The protocol of a domain's routes: `http` or `tcp`.
    pub(crate) fn protocol_of_domain(&self, domain: &Domain) -> &'static str {
        match self.router_group(domain) {
            Some(_) => ROUTER_GROUP_TYPE,
            None => "http",
        }
    }

    /// The protocol of a route: `http` or `tcp`.
    pub(crate) fn protocol_of_route(&self, route: &Route) -> &'static str {
        let domain = self.domains.get(route.domain);
        domain.map_or("http", |domain| self.protocol_of_domain(domain))
    }

    /// The ports of all routes in a router group.
    pub(super) fn ports_in_use(&self, group: Guid) -> HashSet<u16> {
        let routes = self.routes.iter().filter(|route| {
            let domain = self.domains.get(route.domain);
            domain.is_some_and(|domain| domain.router_group == Some(group))
        });
        routes.filter_map(|route| route.port).collect()
    }
}

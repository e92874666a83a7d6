//! Destinations of routes: the processes of apps that requests are sent to.

use super::{App, Destination, Guid, Lifecycle, ROUTER_GROUP_TYPE, Route, World};
use crate::world::error::Error;

/// The event of an app to which a route is mapped.
const MAP_ROUTE: &str = "audit.app.map-route";

pub(crate) const UNMAP_ROUTE: &str = "audit.app.unmap-route";

/// The maximum number of destinations of a route.
pub(crate) const MAX_DESTINATIONS: usize = 100;

/// The port that apps of buildpacks listen on.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// A destination to add to a route.
#[derive(Debug, Default)]
pub(crate) struct NewDestination {
    /// The type of the process. The default is `web`.
    pub(crate) process: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) weight: Option<u8>,
    /// The protocol. The default is that of the route, which is `http1` for HTTP routes.
    pub(crate) protocol: Option<&'static str>,
}

impl Destination {
    /// Whether two destinations lead to the same process and port.
    pub(crate) fn has_same_target(&self, other: &Self) -> bool {
        (self.app, &self.process, self.port) == (other.app, &other.process, other.port)
    }
}

impl World {
    /// The default protocol of a route's destinations.
    pub(crate) fn default_protocol(&self, route: Guid) -> &'static str {
        let route = self.routes.get(route);
        match route.map(|route| self.protocol_of_route(route)) {
            Some(ROUTER_GROUP_TYPE) => ROUTER_GROUP_TYPE,
            _ => "http1",
        }
    }

    /// Creates a destination of an app for a route, without adding it.
    pub(crate) fn new_destination(
        &mut self,
        route: Guid,
        app: Guid,
        new: NewDestination,
    ) -> Destination {
        let default_protocol = self.default_protocol(route);
        let guid = self.next_guid();
        let lifecycle = self.apps.get(app).map(|app: &App| &app.lifecycle);
        let docker = lifecycle == Some(&Lifecycle::Docker);
        Destination {
            guid,
            app,
            process: new.process.unwrap_or_else(|| "web".into()),
            weight: new.weight,
            port: new.port.or((!docker).then_some(DEFAULT_PORT)),
            protocol: new.protocol.unwrap_or(default_protocol).into(),
            created: self.now(),
            updated: self.now(),
        }
    }

    /// Adds destinations to a route and keeps its existing ones.
    pub(crate) fn add_destinations(
        &mut self,
        guid: Guid,
        new: Vec<Destination>,
    ) -> Result<(), Error> {
        let existing = self.routes.get(guid);
        let existing = existing.map_or(&[][..], |route| &route.destinations);
        if existing.len() + new.len() > MAX_DESTINATIONS {
            return Err(Error::unprocessable(
                "Routes can be mapped to at most 100 destinations.",
            ));
        }
        if existing
            .iter()
            .any(|destination| destination.weight.is_some())
        {
            return Err(Error::unprocessable(
                "Destinations cannot be inserted when there are weighted destinations already configured.",
            ));
        }
        for destination in &new {
            self.check_protocol(guid, existing, destination)?;
        }
        let mut mapped = Vec::new();
        self.update_row(guid, |route: &mut Route| {
            for destination in new {
                if !route
                    .destinations
                    .iter()
                    .any(|other| other.has_same_target(&destination))
                {
                    // Most routes have only one destination.
                    route.destinations.reserve_exact(1);
                    mapped.push(destination.clone());
                    route.destinations.push(destination);
                }
            }
        });
        for destination in mapped {
            self.record_mapping(MAP_ROUTE, guid, &destination);
        }
        Ok(())
    }

    /// Refuses a protocol that the route does not support, or that differs from that of
    /// an existing destination with the same target.
    fn check_protocol(
        &self,
        route: Guid,
        existing: &[Destination],
        new: &Destination,
    ) -> Result<(), Error> {
        let Destination {
            app,
            process,
            protocol,
            ..
        } = new;
        let mut same = existing.iter().filter(|other| other.has_same_target(new));
        let refusal = match same.next() {
            Some(other) if other.protocol != *protocol => {
                let route = self.routes.get(route);
                let url = route.map(|route| self.route_url(route)).unwrap_or_default();
                format!(
                    "Cannot add destination with protocol: {protocol}. Destination already exists for route: {url}, app: {app}, process: {process}, and protocol: {}.",
                    other.protocol
                )
            }
            None => match self.protocol_mismatch(route, protocol) {
                Some(refusal) => refusal,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        Err(Error::unprocessable(refusal))
    }

    /// The reason why a destination of a route cannot have a protocol.
    pub(crate) fn protocol_mismatch(&self, route: Guid, protocol: &str) -> Option<String> {
        let is_tcp = self.default_protocol(route) == ROUTER_GROUP_TYPE;
        let (of_route, options) = match is_tcp {
            true => ("tcp", "tcp"),
            false => ("http", "http1, http2"),
        };
        (is_tcp != (protocol == ROUTER_GROUP_TYPE)).then(|| {
            format!(
                "Cannot use '{protocol}' protocol for {of_route} routes; valid options are: [{options}]."
            )
        })
    }

    /// Replaces the destinations of a route.
    pub(crate) fn put_destinations(&mut self, guid: Guid, new: Vec<Destination>) {
        let before = self.destinations_of(guid);
        self.update_row(guid, |route: &mut Route| {
            let old = std::mem::take(&mut route.destinations);
            for destination in new {
                // Destinations that stay the same keep their GUIDs.
                let kept = old.iter().find(|other| {
                    other.has_same_target(&destination)
                        && (other.weight, &other.protocol)
                            == (destination.weight, &destination.protocol)
                });
                route
                    .destinations
                    .push(kept.cloned().unwrap_or(destination));
            }
        });
        let after = self.destinations_of(guid);
        for destination in without(&after, &before) {
            self.record_mapping(MAP_ROUTE, guid, destination);
        }
        for destination in without(&before, &after) {
            self.record_mapping(UNMAP_ROUTE, guid, destination);
        }
    }

    fn destinations_of(&self, route: Guid) -> Vec<Destination> {
        let route = self.routes.get(route);
        route.map_or_else(Vec::new, |route| route.destinations.clone())
    }
}

/// The destinations that are not in the other list.
fn without<'d>(
    destinations: &'d [Destination],
    others: &[Destination],
) -> impl Iterator<Item = &'d Destination> {
    destinations
        .iter()
        .filter(|one| others.iter().all(|other| other.guid != one.guid))
}

//! Routes.

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Destination, NewRoute, Route};

impl Client {
    pub(crate) async fn routes_of_orgs(
        &self,
        orgs: &[&str],
        expected: usize,
    ) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::of_orgs(orgs, expected))
    }

    /// The routes of some spaces. In 2017, they have no destinations: see
    /// [`Client::summaries`].
    pub(crate) async fn routes_of_spaces(&self, spaces: &[&str]) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::of_spaces(spaces))
    }

    pub(crate) async fn routes_of_app(&self, app: &str) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::of_app(app))
    }

    /// A route with several of the apps as destinations may be listed more than once.
    pub(crate) async fn routes_of_apps(&self, apps: &[&str]) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::of_apps(apps))
    }

    /// The routes with one of these hosts in one of these domains, regardless of their
    /// path.
    pub(crate) async fn routes_with_hosts(
        &self,
        domains: &[&str],
        hosts: &[&str],
    ) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::with_hosts(domains, hosts))
    }

    /// Creates a route and returns its GUID.
    pub(crate) async fn create_route(&self, route: &NewRoute<'_>) -> Result<String, Error> {
        in_dialect!(self, routes::create(route))
    }

    /// Creates a route on any free port of a domain, for a clone of an app, and returns
    /// its GUID.
    pub(crate) async fn create_route_with_port(
        &self,
        domain: &str,
        space: &str,
        clone_of: &str,
    ) -> Result<String, Error> {
        in_v3!(
            self,
            "creating a TCP route",
            routes::create_with_port(domain, space, clone_of)
        )
    }

    /// Adds a destination to a route: the web process of an app, on its default port.
    pub(crate) async fn map_route(&self, route: &str, app: &str) -> Result<(), Error> {
        in_dialect!(self, routes::map(route, app))
    }

    /// Replaces all destinations of a route with these.
    pub(crate) async fn set_destinations(
        &self,
        route: &str,
        destinations: &[Destination],
    ) -> Result<(), Error> {
        in_dialect!(self, routes::set_destinations(route, destinations))
    }

    /// Deletes a route. Succeeds if it does not exist.
    pub(crate) async fn delete_route(&self, what: &str, route: &str) -> Result<(), Error> {
        in_dialect!(self, routes::delete(what, route))
    }
}

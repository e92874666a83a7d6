//! Domains, routes and their destinations.

use super::Ownership;

/// A domain that routes can be in.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// Whether its HTTP routes can be reached from outside the foundation.
    pub(crate) is_for_apps: bool,
    /// The GUID of the org that owns it. `None` for a shared domain.
    pub(crate) owner: Option<String>,
    /// Unknown in 2017.
    pub(crate) ownership: Ownership,
}

/// A route.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    pub(crate) guid: String,
    /// The GUID of its space.
    pub(crate) space: String,
    /// Empty for a route without a host.
    pub(crate) host: String,
    /// The GUID of its domain.
    pub(crate) domain: String,
    /// Empty for most routes.
    pub(crate) path: String,
    /// The port of a TCP route.
    pub(crate) port: Option<u32>,
    /// Empty in 2017.
    pub(crate) url: String,
    /// The GUID of the source, if it was created for a clone.
    pub(crate) clone_of: Option<String>,
    pub(crate) destinations: Vec<Destination>,
}

/// The properties of a route to create.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRoute<'a> {
    /// Empty for a route without a host.
    pub(crate) host: &'a str,
    /// The GUID of its domain.
    pub(crate) domain: &'a str,
    /// The GUID of its space.
    pub(crate) space: &'a str,
    /// The path, which begins with `/`.
    pub(crate) path: Option<&'a str>,
}

/// The port that apps listen on unless a destination has another one.
const DEFAULT_PORT: u32 = 8080;

/// A destination of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The GUID of the app.
    pub(crate) app: String,
    /// The type of the app's process, usually `web`.
    pub(crate) process_type: String,
    /// `None` for the app's default port.
    pub(crate) port: Option<u32>,
    /// `http1`, `http2` or `tcp`. `None` in 2017 and for apps that never ran.
    pub(crate) protocol: Option<String>,
}

impl Destination {
    /// Whether manifests map routes to this destination.
    pub(crate) fn is_default(&self) -> bool {
        self.process_type == "web" && self.port.is_none_or(|port| port == DEFAULT_PORT)
    }
}

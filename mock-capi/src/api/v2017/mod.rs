//! The v3 API of April 2017. Each resource has a file. Code that is shared with today's
//! API is in [`crate::api::shared`].

mod apps;
mod droplets;
mod packages;
mod processes;
mod root;
mod route_mappings;

use serde_json::Value;

use crate::api::router::Route;

/// All implemented operations.
pub(crate) const ROUTES: &[&[Route]] = &[
    root::ROUTES,
    apps::ROUTES,
    processes::ROUTES,
    packages::ROUTES,
    droplets::ROUTES,
    route_mappings::ROUTES,
];

/// The GUID of a relationship in the format of 2017: `{"app": {"guid": "..."}}`.
fn related<'b>(body: &'b serde_json::Map<String, Value>, name: &str) -> Option<&'b str> {
    body.get("relationships")?.get(name)?.get("guid")?.as_str()
}

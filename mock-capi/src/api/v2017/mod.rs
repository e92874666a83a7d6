//! The v3 API of April 2017, one file a resource. What it has in common with
//! today's is taken from [`crate::api::v3`].

mod apps;
mod droplets;
mod packages;
mod processes;
mod root;
mod route_mappings;

use serde_json::Value;

use crate::api::router::Route;

/// All of its operations that the mock knows.
pub(crate) const ROUTES: &[&[Route]] = &[
    root::ROUTES,
    apps::ROUTES,
    processes::ROUTES,
    packages::ROUTES,
    droplets::ROUTES,
    route_mappings::ROUTES,
];

/// A text of a relationship as 2017 wrote it: `{"app": {"guid": "..."}}`.
fn related<'b>(body: &'b serde_json::Map<String, Value>, name: &str) -> Option<&'b str> {
    body.get("relationships")?.get(name)?.get("guid")?.as_str()
}

//! Today's v3 API, one file a resource: its routes, handlers and presenter.

pub(crate) mod apps;
pub(crate) mod builds;
pub(crate) mod deployments;
pub(crate) mod destinations;
pub(crate) mod domains;
pub(crate) mod droplets;
pub(crate) mod environment;
pub(crate) mod jobs;
pub(crate) mod lifecycle;
mod manifest_diff;
pub(crate) mod manifests;
pub(crate) mod organization_quotas;
pub(crate) mod organizations;
pub(crate) mod packages;
pub(crate) mod processes;
pub(crate) mod resources;
mod root;
pub(crate) mod routes;
pub(crate) mod security_groups;
pub(crate) mod security_rules;
pub(crate) mod spaces;

use crate::router::Route;

/// All of its operations that the mock knows.
pub(crate) const ROUTES: &[&[Route]] = &[
    root::ROUTES,
    organizations::ROUTES,
    organization_quotas::ROUTES,
    spaces::ROUTES,
    security_groups::ROUTES,
    domains::ROUTES,
    apps::ROUTES,
    environment::ROUTES,
    processes::ROUTES,
    packages::ROUTES,
    resources::ROUTES,
    builds::ROUTES,
    droplets::ROUTES,
    deployments::ROUTES,
    routes::ROUTES,
    destinations::ROUTES,
    jobs::ROUTES,
    manifests::ROUTES,
];

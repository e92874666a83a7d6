//! Today's v3 API. Each resource has a file with its routes, handlers and presenter.

mod app_features;
pub(crate) mod apps;
pub(crate) mod audit_events;
pub(crate) mod buildpacks;
pub(crate) mod builds;
pub(crate) mod deployments;
pub(crate) mod destinations;
pub(crate) mod domains;
pub(crate) mod droplets;
pub(crate) mod environment;
pub(crate) mod environment_variable_groups;
pub(crate) mod feature_flags;
mod instance_sharing;
pub(crate) mod isolation_segments;
pub(crate) mod jobs;
mod managed_instances;
pub(crate) mod manifests;
pub(crate) mod organization_quotas;
pub(crate) mod organizations;
pub(crate) mod packages;
pub(crate) mod processes;
pub(crate) mod resources;
pub(crate) mod revisions;
pub(crate) mod roles;
mod root;
mod route_names;
mod route_options;
pub(crate) mod route_policies;
mod route_sharing;
pub(crate) mod routes;
pub(crate) mod security_groups;
pub(crate) mod service_brokers;
pub(crate) mod service_credential_bindings;
mod service_instance_requests;
pub(crate) mod service_instances;
pub(crate) mod service_offerings;
pub(crate) mod service_plans;
pub(crate) mod service_route_bindings;
pub(crate) mod sidecars;
mod space_features;
pub(crate) mod space_quotas;
pub(crate) mod spaces;
pub(crate) mod stacks;
pub(crate) mod tasks;
mod usage_events;
mod usage_summaries;
pub(crate) mod users;

use serde_json::Value;

use crate::api::router::Route;

/// The selected fields of a resource.
fn pick(fields: &[String], mut resource: Value) -> Value {
    let asked = |key: &String| {
        fields
            .iter()
            .any(|field| field.split('.').next() == Some(key))
    };
    if let Some(resource) = resource.as_object_mut() {
        resource.retain(|key, _| asked(key));
    }
    resource
}

/// All implemented operations.
pub(crate) const ROUTES: &[&[Route]] = &[
    root::ROUTES,
    users::ROUTES,
    roles::ROUTES,
    feature_flags::ROUTES,
    environment_variable_groups::ROUTES,
    space_features::ROUTES,
    usage_events::ROUTES,
    usage_summaries::ROUTES,
    isolation_segments::ROUTES,
    organizations::ROUTES,
    organization_quotas::ROUTES,
    space_quotas::ROUTES,
    spaces::ROUTES,
    security_groups::ROUTES,
    domains::ROUTES,
    apps::ROUTES,
    app_features::ROUTES,
    environment::ROUTES,
    processes::ROUTES,
    sidecars::ROUTES,
    service_instances::ROUTES,
    service_credential_bindings::ROUTES,
    service_route_bindings::ROUTES,
    service_brokers::ROUTES,
    service_offerings::ROUTES,
    service_plans::ROUTES,
    managed_instances::ROUTES,
    instance_sharing::ROUTES,
    packages::ROUTES,
    resources::ROUTES,
    builds::ROUTES,
    droplets::ROUTES,
    deployments::ROUTES,
    revisions::ROUTES,
    audit_events::ROUTES,
    tasks::ROUTES,
    stacks::ROUTES,
    buildpacks::ROUTES,
    routes::ROUTES,
    destinations::ROUTES,
    route_sharing::ROUTES,
    route_policies::ROUTES,
    jobs::ROUTES,
    manifests::ROUTES,
    manifests::apply::ROUTES,
];

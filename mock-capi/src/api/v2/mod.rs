//! The v2 API of April 2017 and of today's Cloud Controller. Each resource has a
//! file.

mod app_bits;
mod app_changes;
mod app_instances;
mod app_request;
mod apps;
mod buildpacks;
mod collection;
mod config;
mod domains;
mod entity;
mod events;
mod filter;
pub(crate) mod info;
mod jobs;
mod list;
mod managed_bindings;
mod managed_instances;
mod marketplace;
mod organizations;
mod quota_definitions;
mod roles;
mod route_mappings;
mod routes;
mod schema;
mod security_groups;
mod service_attributes;
mod service_brokers;
mod service_changes;
mod service_keys;
mod service_routes;
mod services;
mod source;
mod space_quota_definitions;
mod spaces;
mod stacks;
mod usage_events;
mod users;

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::router::{Handler, Route};
use crate::api::shared::new_app::name_errors;
use crate::world::{AccessScope, Guid, Kind, RoleType, Roles, Row, World};
use collection::Collection;

/// All operations.
pub(crate) const ROUTES: &[&[Route]] = &[
    info::ROUTES,
    organizations::ROUTES,
    spaces::ROUTES,
    users::ROUTES,
    roles::ROUTES,
    roles::ROUTES_OF_USERS,
    roles::LISTS,
    quota_definitions::ROUTES,
    space_quota_definitions::ROUTES,
    security_groups::ROUTES,
    domains::ROUTES,
    stacks::ROUTES,
    buildpacks::ROUTES,
    services::ROUTES,
    marketplace::ROUTES,
    service_brokers::ROUTES,
    routes::ROUTES,
    route_mappings::ROUTES,
    apps::ROUTES,
    app_changes::ROUTES,
    app_bits::ROUTES,
    app_instances::ROUTES,
    events::ROUTES,
    config::ROUTES,
    usage_events::ROUTES,
    jobs::ROUTES,
    UNIMPLEMENTED,
];

/// Operations that no client needs: writing what the Cloud Controller itself records, the
/// marketplace without brokers, and relations that were deprecated before 2017.
const UNIMPLEMENTED: &[Route] = &[
    Route::unimplemented("POST", "/v2/app_events"),
    Route::unimplemented("GET", "/v2/app_events/:guid"),
    Route::unimplemented("PUT", "/v2/app_events/:guid"),
    Route::unimplemented("DELETE", "/v2/app_events/:guid"),
    Route::unimplemented("POST", "/v2/events"),
    Route::unimplemented("PUT", "/v2/events/:guid"),
    Route::unimplemented("DELETE", "/v2/events/:guid"),
    Route::unimplemented("POST", "/v2/domains"),
    Route::unimplemented("PUT", "/v2/domains/:guid"),
    Route::unimplemented("PUT", "/v2/domains/:guid/spaces/:other"),
    Route::unimplemented("DELETE", "/v2/domains/:guid/spaces/:other"),
    Route::unimplemented("PUT", "/v2/spaces/:guid/domains/:other"),
    Route::unimplemented("DELETE", "/v2/spaces/:guid/domains/:other"),
    Route::unimplemented("PUT", "/v2/organizations/:guid/spaces/:other"),
    Route::unimplemented("DELETE", "/v2/organizations/:guid/spaces/:other"),
    Route::unimplemented(
        "PUT",
        "/v2/organizations/:guid/space_quota_definitions/:other",
    ),
    Route::unimplemented(
        "DELETE",
        "/v2/organizations/:guid/space_quota_definitions/:other",
    ),
    Route::unimplemented("POST", "/v2/services"),
    Route::unimplemented("PUT", "/v2/services/:guid"),
    Route::unimplemented("POST", "/v2/service_plans"),
];

/// The collections, which are found by their paths.
const COLLECTIONS: &[&Collection] = &[
    &organizations::ORGANIZATIONS,
    &spaces::SPACES,
    &users::USERS,
    &quota_definitions::QUOTA_DEFINITIONS,
    &space_quota_definitions::SPACE_QUOTA_DEFINITIONS,
    &security_groups::SECURITY_GROUPS,
    &security_groups::RUNNING_SECURITY_GROUPS,
    &security_groups::STAGING_SECURITY_GROUPS,
    &domains::DOMAINS,
    &domains::SHARED_DOMAINS,
    &domains::PRIVATE_DOMAINS,
    &stacks::STACKS,
    &buildpacks::BUILDPACKS,
    &services::SERVICE_INSTANCES,
    &services::USER_PROVIDED,
    &services::SERVICE_BINDINGS,
    &marketplace::SERVICES,
    &marketplace::SERVICE_PLANS,
    &marketplace::SERVICE_BROKERS,
    &services::SERVICE_KEYS,
    &marketplace::SERVICE_PLAN_VISIBILITIES,
    &routes::HTTP_ROUTES,
    &route_mappings::ROUTE_MAPPINGS,
    &apps::APPS,
    &events::EVENTS,
    &events::APP_EVENTS,
    &usage_events::APP_USAGE_EVENTS,
    &usage_events::SERVICE_USAGE_EVENTS,
];

/// A `POST` whose handler checks permissions, since v2 reads the body first.
const fn post(pattern: &'static str, handler: Handler) -> Route {
    Route::post(pattern, handler).by_anyone()
}

/// A `PUT` whose handler checks permissions.
const fn put(pattern: &'static str, handler: Handler) -> Route {
    Route::put(pattern, handler).by_anyone()
}

/// A `DELETE` whose handler checks permissions.
const fn remove(pattern: &'static str, handler: Handler) -> Route {
    Route::delete(pattern, handler).by_anyone()
}

/// Refuses callers without any of the roles in a scope, and changes to suspended
/// organizations and spaces. v2 has no separate error for the latter.
fn authorize(
    context: &RequestContext<'_>,
    roles: Roles,
    access_scope: AccessScope,
) -> Result<(), CcError> {
    let allowed = context.require(roles, access_scope);
    allowed.map_err(|_| CcError::not_authorized())
}

/// The GUID of the resource of `:guid` in the path, without a check of permissions.
fn known(context: &RequestContext<'_>, collection: &Collection) -> Result<Guid, CcError> {
    collection.look_up(context.world, context.capture("guid"))
}

fn invalid_relation(detail: impl Into<String>) -> CcError {
    CcError::new(400, 1002, "CF-InvalidRelation", detail)
}

/// The row whose GUID is in the body. `model` is its class in the Cloud Controller.
fn related_row<'w, R: Row>(world: &'w World, model: &str, guid: &str) -> Result<&'w R, CcError> {
    let row = world.look_up(guid);
    row.ok_or_else(|| invalid_relation(format!("Could not find {model} with guid: {guid}")))
}

/// The row whose GUID is in a list in the body. The error contains the full name of the
/// class.
fn found_by_guid<'w, R: Row>(world: &'w World, model: &str, guid: &str) -> Result<&'w R, CcError> {
    let model = format!("VCAP::CloudController::{model}");
    related_row(world, &model, guid)
}

/// The error for an invalid name.
fn name_error(name: &str) -> Option<String> {
    let errors = name_errors(name);
    (!errors.is_empty()).then(|| errors.join(", "))
}

/// A request that adds a resource to a relation or removes it, as events show it.
fn related_request(singular: &str, verb: &str, relation: &str, guid: &str) -> Value {
    json!({singular: guid, "verb": verb, "relation": relation, "related_guid": guid})
}

/// Assigns a role in an organization or a space to exactly the users that a request
/// lists. The events show the request.
fn assign_all(
    context: &mut RequestContext<'_>,
    attributes: Fields<'_>,
    roles: &[(&str, RoleType)],
    place: (Guid, Option<Guid>),
    request: &Value,
) -> Result<(), CcError> {
    let (org, space) = place;
    for (name, kind) in roles {
        let Some(ids) = attributes.texts(name) else {
            continue;
        };
        let mut wanted = Vec::new();
        for id in ids {
            let user = context.world.find_user(id).map(Row::guid);
            wanted.push(user.ok_or_else(|| {
                let model = "VCAP::CloudController::User";
                invalid_relation(format!("Could not find {model} with guid: {id}"))
            })?);
        }
        let held = users::users_with(context.world, *kind, space.unwrap_or(org));
        let held: Vec<Guid> = held.into_iter().map(entity::Entity::guid).collect();
        for user in &wanted {
            roles::assign_listed(context.world, *kind, *user, place, request)?;
        }
        for user in held.into_iter().filter(|user| !wanted.contains(user)) {
            roles::unassign_unlisted(context.world, *kind, user, place, request);
        }
    }
    Ok(())
}

/// Deletes now, or with `async=true` in a job.
fn delete(context: &mut RequestContext<'_>, operation: &str, kind: Kind, guid: Guid) -> Response {
    if context.request.query("async") != Some("true") {
        context.world.delete(kind, guid);
        return Response::empty(204);
    }
    let job = context.start_job(operation, Some(guid), Some(kind));
    Response::json(202, &jobs::present_queued(context.world, job))
}

/// Whether a deletion includes the resources that belong to the resource.
fn is_recursive(context: &RequestContext<'_>) -> bool {
    context.request.query("recursive") == Some("true")
}

fn association_not_empty(association: &str, of: &str) -> CcError {
    let detail = format!("Please delete the {association} associations for your {of}.");
    CcError::new(400, 10006, "CF-AssociationNotEmpty", detail)
}

fn not_staged() -> CcError {
    CcError::new(400, 170_002, "CF-NotStaged", "App has not finished staging")
}

/// Converts the errors of quotas to v2's messages. Other errors are errors about an
/// invalid app.
fn quota_exceeded(refusal: CcError) -> CcError {
    const MORE_MEMORY: &str = "app requested more memory than available";
    let Some(cause) = refusal.causes.first() else {
        return refusal;
    };
    let errors: Vec<&str> = cause.detail.split(", ").collect();
    let known = [
        (
            "memory space_quota_exceeded",
            310_003,
            "CF-SpaceQuotaMemoryLimitExceeded",
            format!("You have exceeded your space's memory limit: {MORE_MEMORY}"),
        ),
        (
            "memory space_instance_memory_limit_exceeded",
            310_004,
            "CF-SpaceQuotaInstanceMemoryLimitExceeded",
            "You have exceeded the instance memory limit for your space's quota.".into(),
        ),
        (
            "memory quota_exceeded",
            100_005,
            "CF-AppMemoryQuotaExceeded",
            format!("You have exceeded your organization's memory limit: {MORE_MEMORY}"),
        ),
        (
            "memory instance_memory_limit_exceeded",
            100_007,
            "CF-QuotaInstanceMemoryLimitExceeded",
            "You have exceeded the instance memory limit for your organization's quota.".into(),
        ),
        (
            "app_instance_limit space_app_instance_limit_exceeded",
            310_008,
            "CF-SpaceQuotaInstanceLimitExceeded",
            "You have exceeded the instance limit for your space's quota.".into(),
        ),
        (
            "app_instance_limit app_instance_limit_exceeded",
            100_008,
            "CF-QuotaInstanceLimitExceeded",
            "You have exceeded the instance limit for your organization's quota.".into(),
        ),
    ];
    let exceeded = known.into_iter().find(|(error, ..)| errors.contains(error));
    let (code, title, detail) = match exceeded {
        Some((_, code, title, detail)) => (code, title, detail),
        None => (
            100_001,
            "CF-AppInvalid",
            format!("The app is invalid: {}", cause.detail),
        ),
    };
    CcError::new(400, code, title, detail)
}

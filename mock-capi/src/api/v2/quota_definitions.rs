//! `/v2/quota_definitions`

use serde_json::{Value, json};

use super::attributes::Attributes;
use super::list::{Filters, Query};
use super::{Errors, delete, resource};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Field, Guid, Kind, Limits, Quota};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/quota_definitions", index),
    Route::post("/v2/quota_definitions", create),
    Route::get("/v2/quota_definitions/:guid", show),
    Route::put("/v2/quota_definitions/:guid", update),
    Route::delete("/v2/quota_definitions/:guid", destroy),
];

const FILTERS: Filters = &[("name", Field::Name)];

const ERRORS: Errors = Errors {
    not_found: (
        240_001,
        "CF-QuotaDefinitionNotFound",
        "Quota Definition could not be found",
    ),
    name_taken: (
        240_002,
        "CF-QuotaDefinitionNameTaken",
        "Quota Definition is taken",
    ),
};

/// What a creating request must say.
const REQUIRED: &[&str] = &[
    "name",
    "non_basic_services_allowed",
    "total_services",
    "total_routes",
    "memory_limit",
];

fn present(quota: &Quota, _view: &View<'_>) -> Value {
    let limits = &quota.limits;
    let limit = |limit: Option<u64>| limit.map_or_else(|| json!(-1), |limit| json!(limit));
    let entity = json!({
        "name": quota.name,
        "non_basic_services_allowed": limits.paid_services,
        "total_services": limit(limits.services),
        "total_routes": limit(limits.routes),
        "total_private_domains": limit(limits.domains),
        "memory_limit": limit(limits.total_memory),
        "trial_db_allowed": false,
        "instance_memory_limit": limit(limits.process_memory),
        "app_instance_limit": limit(limits.instances),
        "app_task_limit": limit(limits.tasks),
        "total_service_keys": limit(limits.service_keys),
        "total_reserved_route_ports": limit(limits.reserved_ports),
    });
    resource(&quota.base, "quota_definitions", entity)
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    ERRORS.find::<Quota>(context)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    Ok(query.answer(context, &query.selection(), |_| true, present))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    for name in REQUIRED {
        if !attributes.has(name) {
            attributes.missing(name);
        }
    }
    let name = attributes.optional_text("name").unwrap_or_default();
    let limits = read_limits(&mut attributes, Limits::of_new_quota());
    attributes.finish()?;
    if context.world.name_taken::<Quota>(name, None) {
        return Err(ERRORS.taken(name));
    }
    let base = context.world.base();
    let guid = context.world.add(Quota {
        base,
        name: name.into(),
        limits,
    });
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let name = attributes.optional_text("name");
    let limits = context
        .world
        .quotas
        .get(guid)
        .map(|quota| quota.limits.clone());
    let limits = limits.map(|limits| read_limits(&mut attributes, limits));
    attributes.finish()?;
    if let Some(name) = name.filter(|name| context.world.name_taken::<Quota>(name, Some(guid))) {
        return Err(ERRORS.taken(name));
    }
    context.world.touch(guid, |quota: &mut Quota| {
        quota.name = name.map_or_else(|| std::mem::take(&mut quota.name), str::to_owned);
        if let Some(limits) = limits {
            quota.limits = limits;
        }
    });
    context.created(guid, present)
}

/// Deleting a quota left its organizations without one; the mock refuses that.
fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let used = crate::world::Key::Guid(Field::Quota, guid);
    if context.world.orgs.count(&used) > 0 {
        return Err(super::association_not_empty(
            "organizations",
            "quota_definitions",
        ));
    }
    Ok(delete(
        context,
        "quota_definition.delete",
        Kind::Quota,
        guid,
    ))
}

/// Reads limits; -1 is unlimited, what is absent stays.
fn read_limits(attributes: &mut Attributes<'_>, mut limits: Limits) -> Limits {
    let fields = [
        ("total_services", &mut limits.services),
        ("total_routes", &mut limits.routes),
        ("total_private_domains", &mut limits.domains),
        ("memory_limit", &mut limits.total_memory),
        ("instance_memory_limit", &mut limits.process_memory),
        ("app_instance_limit", &mut limits.instances),
        ("app_task_limit", &mut limits.tasks),
        ("total_service_keys", &mut limits.service_keys),
        ("total_reserved_route_ports", &mut limits.reserved_ports),
    ];
    for (name, limit) in fields {
        if let Some(value) = attributes.optional_integer(name) {
            *limit = u64::try_from(value).ok();
        }
    }
    let paid = attributes.optional_boolean("non_basic_services_allowed");
    limits.paid_services = paid.unwrap_or(limits.paid_services);
    limits
}

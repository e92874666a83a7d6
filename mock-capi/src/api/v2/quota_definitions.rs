//! `/v2/quota_definitions`, and the limits that space quotas also have

use serde_json::{Value, json};

use super::collection::{self, Collection, by_guid, row};
use super::filter::Filter;
use super::schema::{self, Attribute};
use super::source::Source;
use super::{association_not_empty, authorize, delete, known, post, put, remove};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::router::Route;
use crate::world::{ADMINS, AccessScope, Field, Guid, Key, Kind, Limits, Quota};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/quota_definitions", collection::index),
    post("/v2/quota_definitions", create),
    Route::get("/v2/quota_definitions/:guid", collection::show),
    put("/v2/quota_definitions/:guid", update),
    remove("/v2/quota_definitions/:guid", destroy),
];

pub(super) static QUOTA_DEFINITIONS: Collection = Collection {
    path: "/v2/quota_definitions",
    source: Source::of::<Quota>(),
    get: row::<Quota>,
    parse: by_guid,
    relations: &[],
    filters: &[Filter::NAME],
    order_by: &[],
    not_found: (
        240_001,
        "CF-QuotaDefinitionNotFound",
        "Quota Definition could not be found",
    ),
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::boolean("non_basic_services_allowed").required(),
    Attribute::integer("total_services").required(),
    Attribute::integer("total_service_keys"),
    Attribute::integer("total_routes").required(),
    Attribute::integer("total_private_domains"),
    Attribute::integer("memory_limit").required(),
    Attribute::integer("instance_memory_limit"),
    Attribute::integer("app_instance_limit"),
    Attribute::integer("app_task_limit"),
    Attribute::integer("total_reserved_route_ports"),
];

/// A limit in the API, where -1 is unlimited.
fn limit(limit: Option<u64>) -> Value {
    limit.map_or_else(|| json!(-1), |limit| json!(limit))
}

/// The limits of all quotas.
pub(super) fn limits(limits: &Limits) -> Value {
    json!({
        "non_basic_services_allowed": limits.paid_services,
        "total_services": limit(limits.services),
        "total_routes": limit(limits.routes),
        "memory_limit": limit(limits.total_memory),
        "instance_memory_limit": limit(limits.process_memory),
        "app_instance_limit": limit(limits.instances),
        "app_task_limit": limit(limits.tasks),
        "total_service_keys": limit(limits.service_keys),
        "total_reserved_route_ports": limit(limits.reserved_ports),
        "log_rate_limit": limit(limits.log_rate),
    })
}

pub(super) fn attributes(quota: &Quota) -> Value {
    let mut attributes = limits(&quota.limits);
    attributes["name"] = json!(quota.name);
    attributes["total_private_domains"] = limit(quota.limits.domains);
    attributes["trial_db_allowed"] = json!(false);
    attributes
}

/// A quota in the summaries of users.
pub(super) fn summarize(quota: &Quota) -> Value {
    let mut summary = attributes(quota);
    if let Some(summary) = summary.as_object_mut() {
        for newer in [
            "total_service_keys",
            "total_reserved_route_ports",
            "log_rate_limit",
        ] {
            summary.remove(newer);
        }
    }
    summary
}

/// Reads limits. -1 is unlimited, and absent limits are unchanged.
pub(super) fn read_limits(attributes: Fields<'_>, mut limits: Limits) -> Limits {
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
        if let Some(value) = attributes.integer(name) {
            *limit = u64::try_from(value).ok();
        }
    }
    let paid = attributes.boolean("non_basic_services_allowed");
    limits.paid_services = paid.unwrap_or(limits.paid_services);
    limits
}

/// The errors of the limits in a request.
pub(super) fn limit_errors(attributes: Fields<'_>, names: &[&str]) -> Vec<String> {
    let below = |name: &&&str| attributes.integer(name).is_some_and(|limit| limit < -1);
    let names = names.iter().filter(below);
    names.map(|name| format!("{name} invalid_{name}")).collect()
}

fn taken(name: &str) -> CcError {
    let detail = format!("Quota Definition is taken: {name}");
    CcError::new(400, 240_002, "CF-QuotaDefinitionNameTaken", detail)
}

fn validate(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    limits: &Limits,
    own: Option<Guid>,
) -> Result<(), CcError> {
    const CHECKED: [&str; 6] = [
        "memory_limit",
        "instance_memory_limit",
        "total_private_domains",
        "app_instance_limit",
        "app_task_limit",
        "total_service_keys",
    ];
    let mut errors = Vec::new();
    if attributes
        .text("name")
        .is_some_and(|name| name.trim().is_empty())
    {
        errors.push("name presence".to_owned());
    }
    let too_many = limits
        .reserved_ports
        .zip(limits.routes)
        .is_some_and(|(ports, routes)| ports > routes);
    let ports = attributes.integer("total_reserved_route_ports");
    if too_many || ports.is_some_and(|ports| ports < -1) {
        errors.push(format!("total_reserved_route_ports {RESERVED_PORTS}"));
    }
    errors.extend(limit_errors(attributes, &CHECKED));
    if attributes
        .text("name")
        .is_some_and(|name| context.world.name_taken::<Quota>(name, own))
    {
        return Err(taken(attributes.text("name").unwrap_or_default()));
    }
    if errors.iter().any(|error| error.starts_with("memory_limit")) {
        let detail = "Quota Definition memory limit cannot be less than -1";
        let title = "CF-QuotaDefinitionMemoryLimitInvalid";
        return Err(CcError::new(400, 240_004, title, detail));
    }
    match errors.as_slice() {
        [] => Ok(()),
        errors => {
            let detail = format!("Quota Definition is invalid: {}", errors.join(", "));
            Err(CcError::new(
                400,
                240_003,
                "CF-QuotaDefinitionInvalid",
                detail,
            ))
        }
    }
}

const RESERVED_PORTS: &str = "Total reserved ports must be -1, 0, or a positive integer, and must be less than or equal to total routes.";

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, ATTRIBUTES)?;
    let new = Limits {
        reserved_ports: Some(0),
        ..Limits::of_new_quota()
    };
    let limits = read_limits(attributes, new);
    validate(context, attributes, &limits, None)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let base = context.world.base();
    let guid = context.world.add(Quota {
        base,
        name: attributes.text("name").unwrap_or_default().into(),
        limits,
    });
    QUOTA_DEFINITIONS.created(context, guid)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, ATTRIBUTES)?;
    let guid = known(context, &QUOTA_DEFINITIONS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let limits = context.row::<Quota>(guid)?.limits.clone();
    let limits = read_limits(attributes, limits);
    validate(context, attributes, &limits, Some(guid))?;
    context.world.update_row(guid, |quota: &mut Quota| {
        if let Some(name) = attributes.text("name") {
            quota.name = name.into();
        }
        quota.limits = limits;
    });
    QUOTA_DEFINITIONS.changed(context, guid)
}

/// The Cloud Controller leaves organizations without a quota. The mock refuses the
/// deletion.
fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &QUOTA_DEFINITIONS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let used = Key::Guid(Field::Quota, guid);
    if context.world.orgs.count(&used) > 0 {
        return Err(association_not_empty("organizations", "quota_definitions"));
    }
    Ok(delete(
        context,
        "quota_definition.delete",
        Kind::Quota,
        guid,
    ))
}

//! `/v2/app_usage_events` and `/v2/service_usage_events`

use serde_json::{Value, json};

use super::collection::{self, Collection, by_guid, row};
use super::entity::Entity;
use super::filter::Filter;
use super::list::Query;
use super::source::Source;
use super::{authorize, post};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{ADMINS, AccessScope, AppUsageEvent, Guid, ServiceUsageEvent};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/app_usage_events", index_of_apps),
    Route::get("/v2/app_usage_events/:guid", collection::show),
    post(
        "/v2/app_usage_events/destructively_purge_all_and_reseed_started_apps",
        reseed_apps,
    ),
    Route::get("/v2/service_usage_events", index_of_services),
    Route::get("/v2/service_usage_events/:guid", collection::show),
    post(
        "/v2/service_usage_events/destructively_purge_all_and_reseed_existing_instances",
        reseed_services,
    ),
];

const NOT_FOUND: (u32, &str, &str) = (230_002, "CF-EventNotFound", "Event could not be found");

pub(super) static APP_USAGE_EVENTS: Collection = Collection {
    path: "/v2/app_usage_events",
    source: Source::of::<AppUsageEvent>().select(|world, selection| {
        let events = world.app_usage_events.select(selection).into_iter();
        let happened = events.filter(|event| event.base.created <= world.now());
        let mut happened: Vec<&AppUsageEvent> = happened.collect();
        happened.sort_by_key(|event| event.base.created);
        happened.into_iter().map(Entity::from).collect()
    }),
    get: row::<AppUsageEvent>,
    parse: by_guid,
    relations: &[],
    filters: &[],
    order_by: &[],
    not_found: NOT_FOUND,
};

pub(super) static SERVICE_USAGE_EVENTS: Collection = Collection {
    path: "/v2/service_usage_events",
    source: Source::of::<ServiceUsageEvent>(),
    get: row::<ServiceUsageEvent>,
    parse: by_guid,
    relations: &[],
    filters: &[
        Filter::text("service_instance_type", |_, event| match event {
            Entity::ServiceUsage(event) => vec![kind_of(event).into()],
            _ => Vec::new(),
        }),
        Filter::text("service_guid", |_, event| match event {
            Entity::ServiceUsage(event) => {
                let from = event.from.iter();
                from.map(|from| from[1].0.to_string()).collect()
            }
            _ => Vec::new(),
        }),
    ],
    order_by: &[],
    not_found: NOT_FOUND,
};

pub(super) fn app_attributes(event: &AppUsageEvent) -> Value {
    let AppUsageEvent { now, before, .. } = event;
    let process = event.process.as_ref();
    let task = event.task.as_ref();
    json!({
        "state": now.state,
        "previous_state": before.state,
        "memory_in_mb_per_instance": now.memory_mb,
        "previous_memory_in_mb_per_instance": before.memory_mb,
        "instance_count": now.instances,
        "previous_instance_count": before.instances,
        "app_guid": process.map_or_else(String::new, |(guid, _)| guid.to_string()),
        "app_name": process.map_or("", |_| &event.app_name),
        "space_guid": event.space,
        "space_name": event.space_name,
        "org_guid": event.org,
        "buildpack_guid": null,
        "buildpack_name": event.buildpack,
        "package_state": event.package.0,
        "previous_package_state": event.package.1,
        "parent_app_guid": event.app,
        "parent_app_name": event.app_name,
        "process_type": process.map(|(_, kind)| kind),
        "task_name": task.map(|(_, name)| name),
        "task_guid": task.map(|(guid, _)| guid),
    })
}

/// The type of the service instance of an event.
fn kind_of(event: &ServiceUsageEvent) -> &'static str {
    match event.from {
        Some(_) => "managed_service_instance",
        None => "user_provided_service_instance",
    }
}

pub(super) fn service_attributes(event: &ServiceUsageEvent) -> Value {
    let from = |index: usize| event.from.as_ref().map(|from| &from[index]);
    let guid = |index: usize| from(index).map(|(guid, _)| guid);
    let name = |index: usize| from(index).map(|(_, name)| name);
    json!({
        "state": event.state,
        "org_guid": event.org,
        "space_guid": event.space,
        "space_name": event.space_name,
        "service_instance_guid": event.instance,
        "service_instance_name": event.instance_name,
        "service_instance_type": kind_of(event),
        "service_plan_guid": guid(0),
        "service_plan_name": name(0),
        "service_guid": guid(1),
        "service_label": name(1),
        "service_broker_name": name(2),
        "service_broker_guid": guid(2),
    })
}

/// Refuses callers who cannot see all resources, because usage events are for billing.
fn require_operator(context: &RequestContext<'_>) -> Result<(), CcError> {
    match context.access.sees_everything() {
        true => Ok(()),
        false => Err(CcError::insufficient_scope()),
    }
}

fn index_of_apps(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    require_operator(context)?;
    let query = Query::read_large(context, &APP_USAGE_EVENTS)?;
    index(context, &APP_USAGE_EVENTS, &query)
}

fn index_of_services(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    require_operator(context)?;
    let query = Query::read(context, &SERVICE_USAGE_EVENTS, true)?;
    index(context, &SERVICE_USAGE_EVENTS, &query)
}

/// The events after another event, if the query names it.
fn index(
    context: &RequestContext<'_>,
    collection: &'static Collection,
    query: &Query,
) -> Result<Response, CcError> {
    let Some(after) = context.request.query("after_guid") else {
        return Ok(query.list(context, collection));
    };
    let world = &*context.world;
    let guid = Guid::parse(after).filter(|guid| (collection.get)(world, *guid).is_some());
    let guid = guid.ok_or_else(|| CcError::bad_query(after))?;
    let later = query.selection(world).after(Some(guid));
    let found = collection.source.matching(world, &later);
    Ok(query.answer(context, collection, found, collection.path))
}

fn reseed_apps(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    authorize(context, ADMINS, AccessScope::Deleted)?;
    context.world.reseed_app_usage();
    Ok(Response::empty(204))
}

fn reseed_services(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    authorize(context, ADMINS, AccessScope::Deleted)?;
    context.world.reseed_service_usage();
    Ok(Response::empty(204))
}

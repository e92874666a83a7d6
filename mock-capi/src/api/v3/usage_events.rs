//! `/v3/app_usage_events` and `/v3/service_usage_events`, which operators use for
//! billing

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{AppUsageEvent, Guid, Row, ServiceUsageEvent};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/app_usage_events", index_of_apps),
    Route::get("/v3/app_usage_events/:guid", show_of_app),
    Route::post(
        "/v3/app_usage_events/actions/destructively_purge_all_and_reseed",
        reseed_apps,
    ),
    Route::get("/v3/service_usage_events", index_of_services),
    Route::get("/v3/service_usage_events/:guid", show_of_service),
    Route::post(
        "/v3/service_usage_events/actions/destructively_purge_all_and_reseed",
        reseed_services,
    ),
];

const OF_APPS: ListSpec = ListSpec::of(&["after_guid"]);
const OF_SERVICES: ListSpec = ListSpec::of(&[
    "after_guid",
    "service_instance_types",
    "service_offering_guids",
]);
const USER_PROVIDED: &str = "user_provided_service_instance";
const MANAGED: &str = "managed_service_instance";

impl Present for AppUsageEvent {
    fn present(&self, view: &View<'_>) -> Value {
        present_of_app(self, view)
    }
}

impl Present for ServiceUsageEvent {
    fn present(&self, view: &View<'_>) -> Value {
        present_of_service(self, view)
    }
}

fn present_of_app(event: &AppUsageEvent, view: &View<'_>) -> Value {
    let AppUsageEvent { now, before, .. } = event;
    let (process, task) = (event.process.as_ref(), event.task.as_ref());
    let path = format!("/v3/app_usage_events/{}", event.base.guid);
    json!({
        "guid": event.base.guid,
        "created_at": event.base.created,
        "updated_at": event.base.created,
        "state": {"current": now.state, "previous": before.state},
        "app": {"guid": event.app, "name": event.app_name},
        "process": {
            "guid": process.map(|(guid, _)| guid),
            "type": process.map(|(_, kind)| kind),
        },
        "space": {"guid": event.space, "name": event.space_name},
        "organization": {"guid": event.org},
        "buildpack": {"guid": null, "name": event.buildpack},
        "task": {
            "guid": task.map(|(guid, _)| guid),
            "name": task.map(|(_, name)| name),
        },
        "memory_in_mb_per_instance": {
            "current": now.memory_mb,
            "previous": before.memory_mb,
        },
        "instance_count": {"current": now.instances, "previous": before.instances},
        "links": {"self": view.link(&path)},
    })
}

fn present_of_service(event: &ServiceUsageEvent, view: &View<'_>) -> Value {
    let path = format!("/v3/service_usage_events/{}", event.base.guid);
    let kind = match event.from {
        Some(_) => MANAGED,
        None => USER_PROVIDED,
    };
    let from = |index: usize| {
        let found = event.from.as_ref().map(|from| &from[index]);
        let (guid, name) = found.map_or((None, None), |(guid, name)| (Some(guid), Some(name)));
        json!({"guid": guid, "name": name})
    };
    json!({
        "guid": event.base.guid,
        "created_at": event.base.created,
        "updated_at": event.base.created,
        "state": event.state,
        "space": {"guid": event.space, "name": event.space_name},
        "organization": {"guid": event.org},
        "service_instance": {
            "guid": event.instance,
            "name": event.instance_name,
            "type": kind,
        },
        "service_plan": from(0),
        "service_offering": from(1),
        "service_broker": from(2),
        "links": {"self": view.link(&path)},
    })
}

/// The event after which a list begins, if the query names one.
fn after<R: Row>(context: &RequestContext<'_>, query: &ListQuery) -> Result<Option<Guid>, CcError> {
    let Some(guids) = query.values("after_guid") else {
        return Ok(None);
    };
    let [guid] = guids.as_slice() else {
        return Err(CcError::unprocessable(
            "After guid filter accepts only one guid",
        ));
    };
    let event: Option<&R> = context.world.look_up(guid);
    let missing = || CcError::unprocessable("After guid filter must be a valid guid.");
    event.map(|event| Some(event.guid())).ok_or_else(missing)
}

fn read(context: &RequestContext<'_>, spec: &ListSpec) -> Result<ListQuery, CcError> {
    let query = ListQuery::read_or(context, spec, CcError::unprocessable)?;
    query.refuse(&["updated_ats"])?;
    Ok(query)
}

fn index_of_apps(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = read(context, &OF_APPS)?;
    let selection = query.selection();
    let selection = selection.after(after::<AppUsageEvent>(context, &query)?);
    let now = context.world.now();
    let keep = |event: &AppUsageEvent| event.base.created <= now;
    query.respond_by_query(context, &selection, keep, present_of_app)
}

fn index_of_services(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = read(context, &OF_SERVICES)?;
    let selection = query.selection();
    let selection = selection.after(after::<ServiceUsageEvent>(context, &query)?);
    let offerings = query.guids("service_offering_guids");
    let keep = |event: &ServiceUsageEvent| {
        let kind = if event.from.is_some() {
            MANAGED
        } else {
            USER_PROVIDED
        };
        let offering = event.from.as_ref().map(|from| from[1].0);
        let of_offering =
            |offerings: &Vec<Guid>| offering.is_some_and(|it| offerings.contains(&it));
        query.admits("service_instance_types", kind) && offerings.as_ref().is_none_or(of_offering)
    };
    query.respond_by_query(context, &selection, keep, present_of_service)
}

fn show_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present_of_app)
}

fn show_of_service(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present_of_service)
}

fn reseed_apps(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.world.reseed_app_usage();
    Ok(Response::empty(200))
}

fn reseed_services(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.world.reseed_service_usage();
    Ok(Response::empty(200))
}

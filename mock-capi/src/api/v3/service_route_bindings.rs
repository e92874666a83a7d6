//! `/v3/service_route_bindings`: routes whose requests go through a service.

use serde_json::{Value, json};

use super::service_instances::present_operation;
use super::{routes, service_instances};
use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router;
use crate::api::state::Present;
use crate::world::{
    AccessScope, BindingRef, Field, Guid, MANAGE_APPS, OperationState, Registered, Route,
    RouteBinding, Row, ServiceInstance, Step, WRITE_SPACE,
};

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v3/service_route_bindings", index),
    router::Route::post("/v3/service_route_bindings", create).by(MANAGE_APPS),
    router::Route::get("/v3/service_route_bindings/:guid", show),
    router::Route::patch("/v3/service_route_bindings/:guid", update).by(WRITE_SPACE),
    router::Route::delete("/v3/service_route_bindings/:guid", delete).by(MANAGE_APPS),
    router::Route::get(
        "/v3/service_route_bindings/:guid/parameters",
        show_parameters,
    )
    .by(WRITE_SPACE),
];

const LIST: ListSpec = ListSpec {
    include: &["route", "service_instance"],
    ..ListSpec::of(&[
        "service_instance_guids",
        "service_instance_names",
        "route_guids",
        "include",
        "label_selector",
    ])
};

impl Present for RouteBinding {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(binding: &RouteBinding, view: &View<'_>) -> Value {
    let path = format!("/v3/service_route_bindings/{}", binding.base.guid);
    let mut links = json!({
        "self": view.link(&path),
        "service_instance": view.link(&format!("/v3/service_instances/{}", binding.instance)),
        "route": view.link(&format!("/v3/routes/{}", binding.route)),
    });
    if binding.operation.is_some() {
        links["parameters"] = view.link(&format!("{path}/parameters"));
    }
    json!({
        "guid": binding.base.guid,
        "route_service_url": binding.route_service_url,
        "created_at": binding.base.created,
        "updated_at": binding.base.updated,
        "last_operation": present_operation(binding.operation.as_ref(), binding.base.created),
        "metadata": binding.base.metadata.present(),
        "relationships": {
            "service_instance": to_one(Some(binding.instance)),
            "route": to_one(Some(binding.route)),
        },
        "links": links,
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let mut selection = query.by_guids(query.selection(), "route_guids", Field::Route);
    selection = query.by_guids(selection, "service_instance_guids", Field::ServiceInstance);
    let keep = |binding: &RouteBinding| {
        let instance = context.world.service_instances.get(binding.instance);
        query.admits(
            "service_instance_names",
            instance.map_or("", |instance| &instance.name),
        )
    };
    let page = query.page_by_query(context.world, &selection, keep);
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, rows: &[&RouteBinding]) {
    if query.includes("route") {
        let found = rows.iter().map(|binding| binding.route);
        answer["included"]["routes"] = view.included(found, routes::present);
    }
    if query.includes("service_instance") {
        let found = rows.iter().map(|binding| binding.instance);
        answer["included"]["service_instances"] = view.included(found, service_instances::present);
    }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let spec = ListSpec {
        include: LIST.include,
        ..ListSpec::of_one(&["include"])
    };
    let query = ListQuery::read(context, &spec)?;
    let binding: &RouteBinding = context.named("guid")?;
    let view = context.view();
    let mut answer = present(binding, &view);
    include(&query, &view, &mut answer, &[binding]);
    Ok(Response::ok(&answer))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::of_any(&body);
    let metadata = message.metadata();
    message.refuse_unknown(&["relationships", "parameters", "metadata"]);
    let related = message.relationships(&["service_instance", "route"], |inner| {
        (inner.related("service_instance"), inner.related("route"))
    });
    let parameters = message.object("parameters").cloned();
    message.finish()?;
    let (instance, route) = related.unwrap_or_default();
    let missing = |kind: &str, guid: Option<&str>| {
        let guid = guid.unwrap_or_default();
        CcError::unprocessable(format!("The {kind} could not be found: {guid}"))
    };
    let found: Option<&ServiceInstance> = instance.and_then(|guid| context.world.look_up(guid));
    let sees = |space| {
        context
            .access
            .sees(context.world, AccessScope::Space(space))
    };
    let found = found.filter(|found| sees(found.space));
    let found = found.ok_or_else(|| missing("service instance", instance))?;
    context.authorize(AccessScope::Space(found.space))?;
    let target: Option<&Route> = route.and_then(|guid| context.world.look_up(guid));
    let target = target.filter(|target| sees(target.space));
    let target = target.ok_or_else(|| missing("route", route))?;
    let managed = found.plan().is_some();
    if !managed && body.contains_key("parameters") {
        return Err(CcError::unprocessable(
            "Binding parameters are not supported for user-provided service instances",
        ));
    }
    context
        .world
        .check_route_binding(target, found)
        .map_err(CcError::unprocessable)?;
    let known = context.world.route_binding_of(target.base.guid);
    let known = known.map(|known| (known.guid(), known.operation.clone()));
    let (instance, route, space) = (found.base.guid, target.base.guid, target.space);
    let url = found.route_service_url.clone().filter(|_| !managed);
    if let Some((guid, operation)) = known {
        check_known(operation.as_ref())?;
        context.world.route_bindings.remove(guid);
    }
    let base = context.world.base_with(metadata);
    let guid = context.world.add(RouteBinding {
        base,
        route,
        space,
        instance,
        route_service_url: url,
        operation: None,
    });
    let (binding, request) = (BindingRef::Route(guid), Value::Object(body.clone()));
    if managed {
        return Ok(super::managed_instances::bind_in_job(
            context,
            binding,
            "service_route_bindings.create",
            parameters.map(Value::Object),
            request,
        ));
    }
    context.world.record_bound(binding, request);
    context.created(guid, present)
}

/// Refuses to create a binding again, unless its creation failed.
fn check_known(operation: Option<&crate::world::Operation>) -> Result<(), CcError> {
    match operation {
        Some(operation) if operation.is("create", OperationState::Failed) => Ok(()),
        Some(operation) if operation.kind == "delete" => Err(CcError::unprocessable(
            "The binding is getting deleted or its deletion failed",
        )),
        _ => Err(CcError::new(
            422,
            130_008,
            "CF-ServiceInstanceAlreadyBoundToSameRoute",
            "The route and service instance are already bound.",
        )),
    }
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let binding: &RouteBinding = context.named("guid")?;
    let guid = binding.base.guid;
    let operation = binding.operation.as_ref();
    if operation.is_some_and(|operation| operation.kind == "delete" && operation.is_pending()) {
        return Err(CcError::unprocessable(
            "The service route binding is being deleted",
        ));
    }
    let patch = context.metadata_patch()?;
    let data = json!({"request": context.request_body()});
    context
        .world
        .record_binding(BindingRef::Route(guid), "update", data);
    context.update_metadata(guid, patch, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<RouteBinding>("guid")?;
    unbind(
        context,
        BindingRef::Route(guid),
        "service_route_bindings.delete",
    )
}

/// Deletes a binding, either at once or in a job that sends a request to its broker.
pub(super) fn unbind(
    context: &mut RequestContext<'_>,
    binding: BindingRef,
    job: &str,
) -> Result<Response, CcError> {
    let busy = |what: &str| {
        Err(CcError::unprocessable(format!(
            "There is an operation in progress for the service {what}."
        )))
    };
    let operation = context.world.operation_of_binding(binding);
    if operation.is_some_and(|it| {
        it.state == OperationState::Initial || it.is("delete", OperationState::InProgress)
    }) {
        return busy("binding");
    }
    let instance = context.world.instance_of(binding);
    let operation = instance.and_then(|it| Some(&it.managed.as_ref()?.operation));
    if operation.is_some_and(crate::world::Operation::is_pending) {
        return busy("instance");
    }
    if operation.is_none() {
        context.world.unbind_service(binding);
        return Ok(Response::empty(204));
    }
    let steps = vec![Step::Unbind(binding)];
    Ok(context.work_in_job(job, binding.guid(), steps, Value::Null))
}

fn show_parameters(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let missing = || CcError::not_found(RouteBinding::KIND);
    let binding: Option<&RouteBinding> = context.visible(context.capture("guid"));
    let binding = binding.ok_or_else(missing)?;
    let (guid, instance) = (binding.base.guid, binding.instance);
    check_made(binding.operation.as_ref(), "route binding")?;
    context.authorize(binding.access_scope(context.world))?;
    let found = context.row::<ServiceInstance>(instance)?;
    let reason = match found.plan() {
        None => Some("user provided service instances do not"),
        Some(_) if !are_retrievable(context, instance) => Some("this service does not"),
        Some(_) => None,
    };
    if let Some(reason) = reason {
        return Err(CcError::bad_request(&format!(
            "{reason} support fetching route bindings parameters."
        )));
    }
    Ok(context.read_parameters(instance, Some(guid)))
}

/// Whether a broker reports the parameters of its bindings.
pub(super) fn are_retrievable(context: &RequestContext<'_>, instance: Guid) -> bool {
    let instance = context.world.service_instances.get(instance);
    let plan = instance.and_then(ServiceInstance::plan);
    let plan = plan.and_then(|plan| context.world.service_plans.get(plan));
    let offering = plan.and_then(|plan| context.world.offering_of(plan));
    offering.is_some_and(|offering| offering.catalog.bindings_retrievable)
}

/// Responds with 404 for bindings that were not created or are being deleted.
pub(super) fn check_made(
    operation: Option<&crate::world::Operation>,
    what: &str,
) -> Result<(), CcError> {
    let Some(operation) = operation.filter(|it| !it.is("create", OperationState::Succeeded)) else {
        return Ok(());
    };
    let verb = match operation.kind.as_ref() {
        "create" => "Creation",
        _ => "Deletion",
    };
    let detail = format!("{verb} of {what} {}", operation.state.name());
    Err(CcError::new(404, 10010, "CF-ResourceNotFound", detail))
}

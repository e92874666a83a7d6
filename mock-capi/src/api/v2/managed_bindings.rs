//! Bindings and keys of managed service instances, whose responses wait for brokers.

use serde_json::{Map, Value, json};

use super::services::SERVICE_INSTANCES;
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::shared::managed_services::in_progress;
use crate::world::{
    BindingRef, Guid, Operation, OperationState, Row, ServiceInstance, Step, WaitingClient,
};

/// Responds with the parameters of a binding of a managed instance.
pub(super) fn read_binding_parameters(
    context: &mut RequestContext<'_>,
    binding: BindingRef,
    unsupported: (u32, &str, &str),
) -> Result<Response, CcError> {
    let instance = context.world.instance_of(binding);
    let plan = instance.and_then(ServiceInstance::plan);
    let plan = plan.and_then(|plan| context.world.service_plans.get(plan));
    let service = plan.and_then(|plan| context.world.offering_of(plan));
    let instance = instance.map(Row::guid);
    match instance.filter(|_| service.is_some_and(|it| it.catalog.bindings_retrievable)) {
        Some(instance) => Ok(context.read_parameters(instance, Some(binding.guid()))),
        None => {
            let (code, title, detail) = unsupported;
            Err(CcError::new(400, code, title, detail))
        }
    }
}

/// Creates a binding at the broker, and lets the response wait for it. The event contains
/// the request.
pub(super) fn await_binding(
    context: &mut RequestContext<'_>,
    (operation, binding): (&str, BindingRef),
    shows: String,
    (body, request): (&Map<String, Value>, Value),
    client: WaitingClient,
) -> Result<Response, CcError> {
    let now = context.world.now();
    let initial = Operation::new("create", OperationState::Initial, now);
    context.world.set_binding_operation(binding, initial);
    let parameters = body.get("parameters").filter(|it| it.is_object()).cloned();
    let steps = vec![Step::Bind(binding, parameters)];
    let target = (binding.guid(), shows);
    let awaited = context.await_work(operation, steps, target, request, client);
    if awaited.is_err() {
        match binding {
            BindingRef::Credential(guid) => drop(context.world.service_bindings.remove(guid)),
            BindingRef::Route(guid) => drop(context.world.route_bindings.remove(guid)),
        }
    }
    awaited?;
    Ok(Response::created(&json!({})))
}

/// Deletes a binding, also at the instance's broker, and lets the response wait for it.
pub(super) fn await_unbinding(
    context: &mut RequestContext<'_>,
    (operation, binding): (&str, BindingRef),
    shows: String,
    client: WaitingClient,
) -> Result<Response, CcError> {
    if context.world.operation_of_binding(binding).is_none() {
        context.world.unbind_in_v2(binding);
        return Ok(Response::empty(204));
    }
    let instance = context.world.instance_of(binding);
    if let Some(instance) = instance
        && let Some(managed) = &instance.managed
        && managed.operation.is_pending()
    {
        return Err(in_progress(&instance.name));
    }
    let steps = vec![Step::Unbind(binding)];
    let target = (binding.guid(), shows);
    context.await_work(operation, steps, target, Value::Null, client)?;
    Ok(Response::empty(204))
}

/// Refuses an instance that cannot be bound now.
pub(super) fn check_bindable(context: &RequestContext<'_>, instance: Guid) -> Result<(), CcError> {
    const UNBINDABLE: &str = "unbindable";
    let checked = context.world.check_bindable(instance, UNBINDABLE);
    let name = &context.row::<ServiceInstance>(instance)?.name;
    checked.map_err(|reason| match reason.as_str() {
        UNBINDABLE => CcError::new(
            400,
            90005,
            "CF-UnbindableService",
            "The service instance doesn't support binding.",
        ),
        "Service instance not found" => SERVICE_INSTANCES.not_found(&instance.to_string()),
        _ => in_progress(name),
    })
}

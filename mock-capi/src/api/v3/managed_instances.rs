//! `/v3/service_instances`: managed instances

use serde_json::{Map, Value};

use super::service_instance_requests::{check_name, model_problems, read_tags};
use super::service_instances;
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::shared::managed_services::{
    check_retrievable, in_progress, is_renamed_by_broker, redacted,
};
use crate::api::shared::service_quotas::check_quota;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    AccessScope, BindingRef, BrokerState, Field, Guid, InstanceChange, Key, Managed, Operation,
    OperationState, Registered, Row, ServiceInstance, ServicePlan, Step,
};

pub(crate) const ROUTES: &[Route] = &[Route::get(
    "/v3/service_instances/:guid/parameters",
    show_parameters,
)];

const NO_PLAN: &str = "Invalid service plan. Ensure that the service plan exists, is available, and you have access to it.";

/// The fields of a new managed instance.
pub(super) struct NewInstance<'b> {
    pub(super) name: String,
    pub(super) space: Guid,
    pub(super) plan: Option<&'b str>,
    pub(super) tags: Vec<String>,
    pub(super) parameters: Option<Value>,
    pub(super) metadata: MetadataPatch,
}

/// The plan with a GUID, if it can be used in a space.
fn find_plan(
    context: &RequestContext<'_>,
    plan: Option<&str>,
    space: Guid,
) -> Result<Guid, CcError> {
    let found: Option<&ServicePlan> = plan.and_then(|plan| context.visible(plan));
    let found = found.ok_or_else(|| CcError::unprocessable(NO_PLAN))?;
    let (guid, name) = (found.guid(), &found.catalog.name);
    if !found.available {
        return Err(CcError::unprocessable(format!(
            "Invalid service plan. The service plan '{name}' with guid '{guid}' has been removed from the service broker's catalog. It is not possible to create new service instances using this plan."
        )));
    }
    if !context.world.is_plan_visible_in(found, space) {
        let in_space = context.world.spaces.get(space).map_or("", |it| &it.name);
        return Err(CcError::unprocessable(format!(
            "Invalid service plan. This could be due to a space-scoped broker which is offering the service plan '{name}' with guid '{guid}' in another space or that the plan is not enabled in this organization. Ensure that the service plan is visible in your current space '{in_space}' with guid '{space}'."
        )));
    }
    Ok(guid)
}

pub(super) fn create(
    context: &mut RequestContext<'_>,
    new: NewInstance<'_>,
    body: &Map<String, Value>,
) -> Result<Response, CcError> {
    let plan = find_plan(context, new.plan, new.space)?;
    let found = context.row::<ServicePlan>(plan)?;
    let free = found.catalog.free;
    let broker = context.world.broker_of(found).map(|broker| broker.state);
    if broker != Some(BrokerState::Available) {
        return Err(CcError::unprocessable(
            "The service instance cannot be created because there is an operation in progress for the service broker.",
        ));
    }
    let failed = context.world.find_service_instance(new.space, &new.name);
    let failed = failed.filter(|it| {
        let managed = it.managed.as_ref();
        managed.is_some_and(|it| it.operation.is("create", OperationState::Failed))
    });
    let failed = failed.map(Row::guid);
    check_quota(context.world, new.space, free, failed.is_none())?;
    check_name(context, new.space, &new.name, failed)?;
    model_problems(body.get("name"), Some(&new.tags), None)?;
    if let Some(failed) = failed {
        context.world.service_instances.remove(failed);
    }
    let base = context.world.base_with(new.metadata);
    let found = context.row::<ServicePlan>(plan)?;
    let instance = ServiceInstance::managed(base, new.name, new.space, new.tags, found);
    let guid = context.world.add_service_instance(instance);
    let steps = vec![Step::Provision(guid, new.parameters)];
    let request = redacted(body.clone());
    Ok(context.work_in_job("service_instance.create", guid, steps, request))
}

/// Reads an update of a managed instance.
fn read_update(
    context: &RequestContext<'_>,
    guid: Guid,
    body: &Map<String, Value>,
) -> Result<(InstanceChange, MetadataPatch), CcError> {
    let allowed = [
        "name",
        "tags",
        "parameters",
        "relationships",
        "maintenance_info",
        "metadata",
    ];
    let instance = context.row::<ServiceInstance>(guid)?;
    let mut message = Message::of_any(body);
    let metadata = message.metadata_update(&instance.base.metadata);
    message.refuse_unknown(&allowed);
    let plan = match message.has("relationships") {
        true => message.relationships(&["service_plan"], |inner| inner.related("service_plan")),
        false => None,
    };
    let name = message.check("name").allow_null().string().text();
    let tags = read_tags(&mut message);
    message.object("parameters");
    let info = message.object("maintenance_info");
    if let Some(info) = info {
        let unknown = Message::new(info, &["version"]).into_errors();
        let version = info.get("version").and_then(Value::as_str);
        if !unknown.is_empty() || !version.is_some_and(is_semver) {
            message.error("Maintenance info version must be a semantic version".to_owned());
        }
    }
    message.finish()?;
    let plan = match plan.flatten() {
        None => None,
        text => Some(find_plan(context, text, instance.space)?),
    };
    if let Some(plan) = plan {
        let of = |plan: Guid| context.world.service_plans.get(plan).map(|it| it.offering);
        if of(plan) != instance.plan().and_then(of) {
            return Err(CcError::new(
                400,
                1002,
                "CF-InvalidRelation",
                "service plan relates to a different service offering",
            ));
        }
    }
    let change = InstanceChange {
        name: name.map(str::to_owned),
        tags,
        plan,
        parameters: body.get("parameters").filter(|it| !it.is_null()).cloned(),
        maintenance_info: info.map(|info| Value::Object(info.clone())),
        metadata: body.get("metadata").cloned(),
    };
    Ok((change, metadata))
}

/// Whether a string is a semantic version.
fn is_semver(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(number)
}

pub(super) fn update(context: &mut RequestContext<'_>, guid: Guid) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let (change, metadata) = read_update(context, guid, &body)?;
    check_update(context, guid, &change, &body)?;
    let request = redacted(body.clone());
    if is_for_broker(context, guid, &change, &body) {
        lock(context, guid)?;
        let steps = vec![Step::Update(guid, change)];
        return Ok(context.work_in_job("service_instance.update", guid, steps, request));
    }
    let only_metadata = body.len() == 1 && body.contains_key("metadata");
    if !only_metadata {
        lock(context, guid)?;
    }
    let now = context.world.now();
    context
        .world
        .update_row(guid, |instance: &mut ServiceInstance| {
            instance.rename(change.name, change.tags);
            instance.base.metadata.apply(metadata);
            if let Some(managed) = instance.managed.as_mut().filter(|_| !only_metadata) {
                managed.operation = Operation::new("update", OperationState::Succeeded, now);
            }
        });
    context.world.record_instance(guid, "update", request);
    context.ok(guid, service_instances::present)
}

/// Marks an instance as being updated. Fails if another operation is in progress.
fn lock(context: &mut RequestContext<'_>, guid: Guid) -> Result<(), CcError> {
    let operation = context.world.operation_of_instance(guid);
    if operation.is_some_and(Operation::is_pending) {
        return Err(in_progress(&context.row::<ServiceInstance>(guid)?.name));
    }
    let now = context.world.now();
    let operation = Operation::new("update", OperationState::InProgress, now);
    context.world.set_instance_operation(guid, operation);
    Ok(())
}

fn version(info: Option<&Map<String, Value>>) -> Option<&Value> {
    info.and_then(|info| info.get("version"))
}

/// Refuses changes that an instance does not support.
fn check_update(
    context: &RequestContext<'_>,
    guid: Guid,
    change: &InstanceChange,
    body: &Map<String, Value>,
) -> Result<(), CcError> {
    let world = &*context.world;
    let instance = context.row::<ServiceInstance>(guid)?;
    let refuse = |text: &str| Err(CcError::unprocessable(text));
    let Some(managed) = &instance.managed else {
        return Ok(());
    };
    let plan = context.row::<ServicePlan>(managed.plan)?;
    if managed.operation.is("create", OperationState::Failed) {
        let detail = format!("The service instance could not be found: {}", instance.name);
        return Err(CcError::new(
            404,
            60_004,
            "CF-ServiceInstanceNotFound",
            detail,
        ));
    }
    model_problems(body.get("name"), change.tags.as_deref(), None)?;
    if let Some(name) = &change.name {
        let taken = world.find_service_instance(instance.space, name);
        if taken.is_some_and(|other| other.guid() != guid) {
            return refuse(&format!("The service instance name is taken: {name}"));
        }
    }
    let next = change.plan.and_then(|plan| world.service_plans.get(plan));
    if let Some(next) = next {
        check_quota(world, instance.space, next.catalog.free, false)?;
    }
    if body.contains_key("name") && !instance.shared_with.is_empty() {
        return refuse("Service instances that have been shared cannot be renamed");
    }
    if let Some(next) = next {
        if !world.is_plan_updateable(plan) {
            return refuse("The service does not support changing plans.");
        }
        let bound = Key::Guid(Field::ServiceInstance, guid);
        if world.service_bindings.count(&bound) > 0 && !world.is_bindable(next) {
            return refuse(
                "The service plan is invalid: cannot switch to non-bindable plan when service bindings exist",
            );
        }
    }
    if let Some(text) = unsupported_upgrade(change, managed, plan) {
        return refuse(text);
    }
    let renames = is_renamed_by_broker(world, instance) && change.name.is_some();
    let inaccessible = [
        ("parameters", change.parameters.is_some()),
        ("name", renames),
    ];
    let inaccessible = inaccessible.iter().find(|(_, changed)| *changed);
    match inaccessible.filter(|_| !plan.available) {
        None => Ok(()),
        Some((what, _)) => refuse(&format!(
            "Cannot update {what} of a service instance that belongs to inaccessible plan"
        )),
    }
}

/// The reason why an instance of a plan cannot get the requested `maintenance_info`.
fn unsupported_upgrade(
    change: &InstanceChange,
    managed: &Managed,
    plan: &ServicePlan,
) -> Option<&'static str> {
    let wanted = change.maintenance_info.as_ref()?.as_object()?;
    let of_plan = plan.catalog.maintenance_info.as_ref();
    if change.plan.is_some_and(|plan| plan != managed.plan) {
        return Some("maintenance_info should not be changed when switching to different plan.");
    }
    if of_plan.is_none() {
        return Some(
            "The service broker does not support upgrades for service instances created from this plan.",
        );
    }
    let wanted = version(Some(wanted));
    let is_known =
        wanted == version(of_plan) || wanted == version(managed.maintenance_info.as_ref());
    (!is_known).then_some(
        "maintenance_info.version requested is invalid. Please ensure the catalog is up to date and you are providing a version supported by this service plan.",
    )
}

/// Whether a change needs a request to the broker.
fn is_for_broker(
    context: &RequestContext<'_>,
    guid: Guid,
    change: &InstanceChange,
    body: &Map<String, Value>,
) -> bool {
    let instance = context.world.service_instances.get(guid);
    let Some((instance, managed)) = instance.and_then(|it| Some((it, it.managed.as_ref()?))) else {
        return false;
    };
    let renames = is_renamed_by_broker(context.world, instance);
    let info = change.maintenance_info.as_ref().and_then(Value::as_object);
    body.contains_key("name") && renames
        || body.contains_key("parameters")
        || change.plan.is_some_and(|plan| plan != managed.plan)
        || info.is_some() && version(info) != version(managed.maintenance_info.as_ref())
}

/// Deletes an instance after its bindings, in a job with requests to its broker.
pub(super) fn delete(context: &mut RequestContext<'_>, guid: Guid) -> Result<Response, CcError> {
    let operation = context.world.operation_of_instance(guid);
    let blocks = operation.is_some_and(|operation| {
        operation.state == OperationState::Initial
            || operation.state == OperationState::InProgress && operation.kind != "create"
    });
    if blocks {
        return Err(CcError::unprocessable(
            "There is an operation in progress for the service instance.",
        ));
    }
    let mut steps: Vec<Step> = context
        .world
        .all_bindings_of(guid)
        .into_iter()
        .map(Step::Unbind)
        .collect();
    steps.push(Step::Deprovision(guid));
    Ok(context.work_in_job("service_instance.delete", guid, steps, Value::Null))
}

/// Creates a binding of a managed instance, in a job.
pub(super) fn bind_in_job(
    context: &mut RequestContext<'_>,
    binding: BindingRef,
    job: &str,
    parameters: Option<Value>,
    request: Value,
) -> Response {
    let now = context.world.now();
    let operation = Operation::new("create", OperationState::Initial, now);
    context.world.set_binding_operation(binding, operation);
    let steps = vec![Step::Bind(binding, parameters)];
    context.work_in_job(job, binding.guid(), steps, request)
}

fn show_parameters(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance: &ServiceInstance = context.named("guid")?;
    let (guid, access_scope) = (instance.base.guid, AccessScope::Space(instance.space));
    if !context.access.sees(context.world, access_scope) {
        return Err(CcError::not_authorized());
    }
    let operation = instance.managed.as_ref().map(|managed| &managed.operation);
    if operation.is_some_and(|it| it.is("create", OperationState::Failed)) {
        return Err(CcError::not_found(ServiceInstance::KIND));
    }
    check_retrievable(context.world, instance)?;
    Ok(context.read_parameters(guid, None))
}

//! Requests for managed service instances, whose responses wait for brokers.

use serde_json::{Value, json};

use super::schema::{self, Attribute, Preset};
use super::services::SERVICE_INSTANCES;
use super::{
    association_not_empty, authorize, invalid_relation, is_recursive, known, service_changes,
};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::shared::managed_services::{
    check_retrievable, in_progress, is_renamed_by_broker, redacted,
};
use crate::api::shared::service_quotas::check_quota;
use crate::world::{
    ADMINS, AccessScope, Field, Guid, InstanceChange, Key, Kind, Operation, OperationState, Row,
    ServiceInstance, ServicePlan, Space, Step, WRITE_SPACE, WaitingClient,
};

const NEW: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::object("parameters"),
    Attribute::texts("tags").preset(Preset::NoItems),
    Attribute::text("space_guid").required(),
    Attribute::text("service_plan_guid").required(),
];

const CHANGE: &[Attribute] = &[
    Attribute::text("name"),
    Attribute::object("parameters"),
    Attribute::texts("tags"),
    Attribute::object("maintenance_info"),
    Attribute::text("space_guid"),
    Attribute::text("service_plan_guid"),
];

fn invalid(reason: &str) -> CcError {
    let detail = format!("The service instance is invalid: {reason}");
    CcError::new(400, 60003, "CF-ServiceInstanceInvalid", detail)
}

/// How the client waits: until the operation ends, or until a broker continues
/// asynchronously.
pub(super) fn waiting_client(context: &RequestContext<'_>) -> Result<WaitingClient, CcError> {
    let accepts_incomplete = match context.request.query("accepts_incomplete") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(CcError::invalid_request()),
    };
    Ok(WaitingClient { accepts_incomplete })
}

/// Checks the name and the tags as the Cloud Controller's model does.
fn validate(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    space: Guid,
    own: Option<Guid>,
) -> Result<(), CcError> {
    match attributes.text("name") {
        Some(name) if name.trim().is_empty() => {
            let detail = "Service instance name is required.";
            Err(CcError::new(
                400,
                60001,
                "CF-ServiceInstanceNameEmpty",
                detail,
            ))
        }
        _ => service_changes::validate(context, attributes, space, own),
    }
}

/// Checks the quotas, whose errors have their own codes in v2.
fn check_quotas(
    context: &RequestContext<'_>,
    space: Guid,
    plan: &ServicePlan,
    more: bool,
) -> Result<(), CcError> {
    const CODES: [(&str, u32, &str); 4] = [
        (
            "your organization's services",
            60005,
            "CF-ServiceInstanceQuotaExceeded",
        ),
        (
            "your space's services",
            60012,
            "CF-ServiceInstanceSpaceQuotaExceeded",
        ),
        (
            "not allowed for your space",
            60013,
            "CF-ServiceInstanceServicePlanNotAllowedBySpaceQuota",
        ),
        (
            "not allowed",
            60007,
            "CF-ServiceInstanceServicePlanNotAllowed",
        ),
    ];
    let checked = check_quota(context.world, space, plan.catalog.free, more);
    checked.map_err(|refusal| {
        let detail = refusal.details();
        let mut codes = CODES.into_iter();
        match codes.find(|(part, ..)| detail.contains(part)) {
            Some((_, code, title)) => CcError::new(400, code, title, detail),
            None => refusal,
        }
    })
}

/// Checks that a space may have instances of a plan.
fn check_plan(
    context: &RequestContext<'_>,
    plan: &ServicePlan,
    space: Guid,
) -> Result<(), CcError> {
    let world = &*context.world;
    if !plan.is_visible(world, &context.access) {
        return Err(CcError::not_authorized());
    }
    if world.is_plan_visible_in(plan, space) {
        return Ok(());
    }
    let is_of_space = world.broker_of(plan).is_some_and(|it| it.space.is_some());
    Err(match is_of_space {
        true => CcError::new(
            403,
            60018,
            "CF-ServiceInstanceSpaceNotAuthorized",
            "A service instance for the selected plan cannot be created in this space.",
        ),
        false => CcError::new(
            403,
            60010,
            "CF-ServiceInstanceOrganizationNotAuthorized",
            "A service instance for the selected plan cannot be created in this organization. The plan is visible because another organization you belong to has access to it.",
        ),
    })
}

pub(super) fn create_managed(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, NEW)?;
    let client = waiting_client(context)?;
    let text = |name: &str| attributes.text(name).unwrap_or_default();
    let world = &*context.world;
    let plan: Option<&ServicePlan> = world.look_up(text("service_plan_guid"));
    let plan = plan.ok_or_else(|| invalid("not a valid service plan"))?;
    let space: Option<&Space> = world.look_up(text("space_guid"));
    let space = space.ok_or_else(|| invalid("not a valid space"))?.guid();
    if !context.access.is_everything() {
        context.require_flag("service_instance_creation")?;
    }
    authorize(context, WRITE_SPACE, AccessScope::Space(space))?;
    validate(context, attributes, space, None)?;
    check_quotas(context, space, plan, true)?;
    check_plan(context, plan, space)?;
    let plan = plan.guid();
    let base = context.world.base();
    let name = text("name").trim().to_owned();
    let tags = attributes.texts("tags").unwrap_or_default();
    let tags = tags.into_iter().map(str::to_owned).collect();
    let plan = context.row::<ServicePlan>(plan)?;
    let instance = ServiceInstance::managed(base, name, space, tags, plan);
    let guid = context.world.add(instance);
    let parameters = attributes.object("parameters").cloned();
    let steps = vec![Step::Provision(guid, parameters.map(Value::Object))];
    let path = format!("{}/{guid}", SERVICE_INSTANCES.path);
    let target = (guid, path.clone());
    let operation = "service_instance.create";
    let request = redacted(schema::audited_new(&body, NEW));
    let awaited = context.await_work(operation, steps, target, request, client);
    if awaited.is_err() {
        context.world.service_instances.remove(guid);
    }
    awaited?;
    Ok(Response::created(&json!({})).with_header("Location", path))
}

/// The instance that the path names, if the caller may change it.
fn writable(context: &RequestContext<'_>, verb: &str) -> Result<Guid, CcError> {
    let guid = known(context, &SERVICE_INSTANCES)?;
    let instance: &ServiceInstance = context.row(guid)?;
    let (world, access) = (&*context.world, &context.access);
    let own = AccessScope::Space(instance.space);
    if instance.is_visible(world, access) && !access.sees(world, own) {
        let (code, title) = match verb {
            "update" => (390_004, "CF-SharedServiceInstanceNotUpdatableInTargetSpace"),
            _ => (390_005, "CF-SharedServiceInstanceNotDeletableInTargetSpace"),
        };
        let detail = format!("You cannot {verb} service instances that have been shared with you");
        return Err(CcError::new(403, code, title, detail));
    }
    authorize(context, WRITE_SPACE, own)?;
    Ok(guid)
}

/// The new plan of an instance, if it changes.
fn next_plan(
    context: &RequestContext<'_>,
    instance: &ServiceInstance,
    asked: Option<&str>,
) -> Result<Option<Guid>, CcError> {
    let world = &*context.world;
    let current = instance
        .plan()
        .and_then(|plan| world.service_plans.get(plan));
    let Some(asked) =
        asked.filter(|asked| current.is_none_or(|it| it.guid().to_string() != *asked))
    else {
        return Ok(None);
    };
    if !current.is_some_and(|plan| world.is_plan_updateable(plan)) {
        let detail = "The service does not support changing plans.";
        return Err(CcError::new(
            400,
            110_004,
            "CF-ServicePlanNotUpdateable",
            detail,
        ));
    }
    let next: &ServicePlan = super::related_row(world, "ServicePlan", asked)?;
    if current.is_some_and(|current| current.offering != next.offering) {
        return Err(invalid_relation("Plan"));
    }
    let bindings = Key::Guid(Field::ServiceInstance, instance.guid());
    if !world.is_bindable(next) && world.service_bindings.count(&bindings) > 0 {
        let detail = "The service plan is invalid: cannot switch to non-bindable plan when service bindings exist";
        return Err(CcError::new(400, 110_001, "CF-ServicePlanInvalid", detail));
    }
    check_quotas(context, instance.space, next, false)?;
    Ok(Some(next.guid()))
}

/// Refuses a new name of a shared instance, and another space.
fn check_change(
    instance: &ServiceInstance,
    renames: bool,
    space: Option<&str>,
) -> Result<(), CcError> {
    if renames && !instance.shared_with.is_empty() {
        let detail = "Service instances that have been shared cannot be renamed";
        let title = "CF-SharedServiceInstanceCannotBeRenamed";
        return Err(CcError::new(422, 390_003, title, detail));
    }
    if space.is_some_and(|space| space != instance.space.to_string()) {
        let detail = "Cannot update space for service instance.";
        let title = "CF-ServiceInstanceSpaceChangeNotAllowed";
        return Err(CcError::new(400, 60014, title, detail));
    }
    Ok(())
}

pub(super) fn update_managed(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, CHANGE)?;
    let client = waiting_client(context)?;
    let guid = known(context, &SERVICE_INSTANCES)?;
    let instance: &ServiceInstance = context.row(guid)?;
    let Some(managed) = &instance.managed else {
        return Err(CcError::new(
            400,
            340_002,
            "CF-UserProvidedServiceInstanceHandlerNeeded",
            "Please use the User Provided Services API to manage this resource.",
        ));
    };
    writable(context, "update")?;
    let name = attributes.text("name");
    let renames = name.is_some_and(|name| name != instance.name);
    check_change(instance, renames, attributes.text("space_guid"))?;
    let plan = next_plan(context, instance, attributes.text("service_plan_guid"))?;
    validate(context, attributes, instance.space, Some(guid))?;
    if managed.operation.is_pending() {
        return Err(in_progress(&instance.name));
    }
    let tags = attributes.texts("tags");
    let parameters = attributes.object("parameters").cloned();
    let info = attributes.object("maintenance_info").cloned();
    let change = InstanceChange {
        name: name.map(|name| name.trim().to_owned()),
        tags: tags.map(|tags| tags.into_iter().map(str::to_owned).collect()),
        plan,
        parameters: parameters.map(Value::Object),
        maintenance_info: info.map(Value::Object),
        metadata: None,
    };
    let is_for_broker = renames && is_renamed_by_broker(context.world, instance)
        || plan.is_some()
        || change.parameters.is_some()
        || change.maintenance_info.is_some();
    let request = redacted(schema::audited_change(&body, CHANGE));
    let now = context.world.now();
    if is_for_broker {
        let target = (guid, format!("{}/{guid}", SERVICE_INSTANCES.path));
        let steps = vec![Step::Update(guid, change)];
        context.await_work("service_instance.update", steps, target, request, client)?;
        let operation = Operation::new("update", OperationState::InProgress, now);
        context.world.set_instance_operation(guid, operation);
        return Ok(Response::created(&json!({})));
    }
    context
        .world
        .update_row(guid, |instance: &mut ServiceInstance| {
            instance.rename(change.name, change.tags);
            if let Some(managed) = &mut instance.managed {
                managed.operation = Operation::new("update", OperationState::Succeeded, now);
            }
        });
    context.world.record_instance(guid, "update", request);
    if renames {
        context.world.record_service_usage(guid, "UPDATED");
    }
    SERVICE_INSTANCES.changed(context, guid)
}

/// Deletes an instance. With `purge`, sends no requests to its broker.
pub(super) fn delete_managed(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let client = waiting_client(context)?;
    let guid = known(context, &SERVICE_INSTANCES)?;
    if context.request.query("purge") == Some("true") {
        authorize(context, ADMINS, AccessScope::Global)?;
        context.world.purge_service_instance(guid);
        return Ok(Response::empty(204));
    }
    writable(context, "delete")?;
    let instance: &ServiceInstance = context.row(guid)?;
    if !is_recursive(context) {
        if !instance.shared_with.is_empty() {
            let detail = format!(
                "Service instances must be unshared before they can be deleted. Unsharing {} will automatically delete any bindings that have been made to applications in other spaces.",
                instance.name
            );
            let title = "CF-ServiceInstanceDeletionSharesExists";
            return Err(CcError::new(422, 390_002, title, detail));
        }
        if !context.world.all_bindings_of(guid).is_empty() {
            return Err(association_not_empty(
                "service_bindings, service_keys, and routes",
                "service_instances",
            ));
        }
    }
    let Some(managed) = &instance.managed else {
        let operation = "service_instance.delete";
        return Ok(super::delete(
            context,
            operation,
            Kind::ServiceInstance,
            guid,
        ));
    };
    if managed.operation.is_pending() {
        return Err(in_progress(&instance.name));
    }
    let bindings = context.world.all_bindings_of(guid).into_iter();
    let mut steps: Vec<Step> = bindings.map(Step::Unbind).collect();
    steps.push(Step::Deprovision(guid));
    let operation = "service_instance.delete";
    if context.request.query("async") == Some("true") && !client.accepts_incomplete {
        let world = &mut context.world;
        let job = world.start_work(operation, guid, steps, Value::Null);
        let queued = super::jobs::present_queued(context.world, job);
        let location = format!("/v2/jobs/{job}");
        return Ok(Response::json(202, &queued).with_header("Location", location));
    }
    let target = (guid, format!("{}/{guid}", SERVICE_INSTANCES.path));
    context.await_work(operation, steps, target, Value::Null, client)?;
    Ok(Response::empty(204))
}

/// `GET /v2/service_instances/:guid/parameters`
pub(super) fn instance_parameters(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = SERVICE_INSTANCES.readable(context)?;
    let instance: &ServiceInstance = context.row(guid)?;
    let access_scope = AccessScope::Space(instance.space);
    if !context.access.sees(context.world, access_scope) {
        return Err(CcError::not_authorized());
    }
    check_retrievable(context.world, instance)?;
    Ok(context.read_parameters(guid, None))
}

//! How service instances, bindings and keys are presented: their attributes, and their
//! summaries in spaces and apps.

use serde_json::{Value, json};

use super::services::{SERVICE_INSTANCES, USER_PROVIDED, bindings_of};
use crate::api::context::View;
use crate::api::shared::bound_services;
use crate::world::{
    AccessScope, Field, Guid, Managed, Operation, OperationState, READ_SECRETS, Row, Selection,
    ServiceBinding, ServiceInstance, World,
};

/// Secrets, if the caller may read them.
fn secrets(value: Value, access_scope: AccessScope, view: &View<'_>) -> Value {
    match view.access.allows(view.world, access_scope, READ_SECRETS) {
        true => value,
        false => json!({"redacted_message": "[PRIVATE DATA HIDDEN]"}),
    }
}

fn credentials_of(instance: &ServiceInstance) -> Value {
    json!(instance.credentials.clone().unwrap_or_default())
}

/// The path of an instance, which depends on its kind.
pub(super) fn instance_path(instance: &ServiceInstance) -> String {
    let collection = match instance.managed {
        Some(_) => SERVICE_INSTANCES.path,
        None => USER_PROVIDED.path,
    };
    format!("{collection}/{}", instance.base.guid)
}

pub(super) fn instance_attributes(instance: &ServiceInstance, view: &View<'_>) -> Value {
    let access_scope = AccessScope::Space(instance.space);
    if let Some(managed) = &instance.managed {
        return managed_attributes(instance, managed, view);
    }
    json!({
        "name": instance.name,
        "credentials": secrets(credentials_of(instance), access_scope, view),
        "space_guid": instance.space,
        "type": "user_provided_service_instance",
        "syslog_drain_url": instance.syslog_drain_url,
        "route_service_url": instance.route_service_url,
        "tags": instance.tags,
    })
}

fn managed_attributes(instance: &ServiceInstance, managed: &Managed, view: &View<'_>) -> Value {
    let path = instance_path(instance);
    let access_scope = AccessScope::Space(instance.space);
    let plan = view.world.service_plans.get(managed.plan);
    let service = plan.map(|plan| plan.offering);
    json!({
        "name": instance.name,
        "credentials": secrets(credentials_of(instance), access_scope, view),
        "service_plan_guid": managed.plan,
        "space_guid": instance.space,
        "gateway_data": null,
        "dashboard_url": managed.dashboard_url,
        "type": "managed_service_instance",
        "last_operation": present_operation(&managed.operation),
        "tags": instance.tags,
        "maintenance_info": managed.maintenance_info.clone().unwrap_or_default(),
        "service_guid": service,
        "service_url": service.map(|service| format!("/v2/services/{service}")),
        "shared_from_url": format!("{path}/shared_from"),
        "shared_to_url": format!("{path}/shared_to"),
        "service_instance_parameters_url": format!("{path}/parameters"),
    })
}

/// The last operation of an instance.
fn present_operation(operation: &Operation) -> Value {
    json!({
        "type": operation.kind,
        "state": operation.state.name(),
        "description": operation.description,
        "updated_at": operation.at,
        "created_at": operation.at,
    })
}

/// The last operation of a binding. Bindings of user-provided instances are created
/// synchronously.
fn present_binding_operation(binding: &ServiceBinding) -> Value {
    let at_once = || Operation::new("create", OperationState::Succeeded, binding.base.created);
    let mut operation = binding.operation.clone().unwrap_or_else(at_once);
    operation.description = Some(operation.description.take().unwrap_or_default());
    present_operation(&operation)
}

pub(super) fn key_attributes(key: &ServiceBinding, view: &View<'_>) -> Value {
    let guid = key.base.guid;
    let credentials = key.credentials.clone().unwrap_or_else(|| json!({}));
    json!({
        "name": key.name,
        "service_instance_guid": key.instance,
        "credentials": secrets(credentials, key.access_scope(view.world), view),
        "service_key_parameters_url": format!("/v2/service_keys/{guid}/parameters"),
    })
}

pub(super) fn binding_attributes(binding: &ServiceBinding, view: &View<'_>) -> Value {
    let instance = view.world.service_instances.get(binding.instance);
    let path = format!("/v2/service_bindings/{}", binding.base.guid);
    let credentials = instance.map(|instance| bound_services::credentials_of(binding, instance));
    let credentials = credentials.filter(|credentials| !credentials.is_null());
    let access_scope = binding.access_scope(view.world);
    json!({
        "app_guid": binding.app,
        "service_instance_guid": binding.instance,
        "credentials": secrets(credentials.unwrap_or_else(|| json!({})), access_scope, view),
        "binding_options": {},
        "gateway_data": null,
        "gateway_name": "",
        "syslog_drain_url": instance.and_then(|it| bound_services::drain_of(binding, it)),
        "volume_mounts": bound_services::present_mounts(binding),
        "name": binding.name,
        "last_operation": present_binding_operation(binding),
        "service_binding_parameters_url": format!("{path}/parameters"),
    })
}

/// The instances that apps of a space can be bound to: its own instances, and those that
/// other spaces share with it.
pub(super) fn usable_in(world: &World, space: Guid) -> Vec<&ServiceInstance> {
    let by = |field| world.service_instances.select(&Selection::by(field, space));
    let mut usable = by(Field::Space);
    usable.extend(by(Field::SharedWith));
    usable.sort_by_key(|instance| instance.base.created);
    usable
}

/// The instances in the summary of a space.
pub(super) fn summarize_of_space(world: &World, space: Guid) -> Value {
    let summary = |instance: &ServiceInstance| {
        let mut summary = summarize(world, instance);
        let is_own = instance.space == space;
        let spaces = instance.shared_with.iter().filter(|_| is_own);
        summary["shared_to"] = spaces.map(|space| summarize_place(world, *space)).collect();
        if !is_own {
            summary["shared_from"] = summarize_place(world, instance.space);
        }
        summary
    };
    usable_in(world, space).into_iter().map(summary).collect()
}

/// A space that an instance is shared from or to.
pub(super) fn summarize_place(world: &World, space: Guid) -> Value {
    json!({
        "space_guid": space,
        "space_name": world.spaces.get(space).map(|space| &space.name),
        "organization_name": world.org_of(space).map(|org| &org.name),
    })
}

/// An instance in summaries.
pub(super) fn summarize(world: &World, instance: &ServiceInstance) -> Value {
    let summary = json!({
        "guid": instance.base.guid,
        "name": instance.name,
        "bound_app_count": bindings_of(world, instance.base.guid).len(),
        "type": "user_provided_service_instance",
    });
    match &instance.managed {
        Some(managed) => summarize_managed(world, managed, summary),
        None => summary,
    }
}

fn summarize_managed(world: &World, managed: &Managed, mut summary: Value) -> Value {
    summary["type"] = json!("managed_service_instance");
    summary["last_operation"] = present_operation(&managed.operation);
    summary["dashboard_url"] = json!(managed.dashboard_url);
    summary["shared_from"] = Value::Null;
    summary["shared_to"] = json!([]);
    summary["maintenance_info"] = json!(managed.maintenance_info.clone().unwrap_or_default());
    if let Some(plan) = world.service_plans.get(managed.plan) {
        let service = world.offering_of(plan);
        summary["service_broker_name"] = json!(world.broker_of(plan).map(|it| &it.name));
        summary["service_plan"] = json!({
            "guid": plan.base.guid,
            "name": plan.catalog.name,
            "maintenance_info": plan.catalog.maintenance_info.clone().unwrap_or_default(),
            "service": {
                "guid": plan.offering,
                "label": service.map(|service| &service.catalog.name),
                "provider": null,
                "version": null,
            },
        });
    }
    summary
}

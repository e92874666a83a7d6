//! The services that an app is bound to, for its environment.

use serde_json::{Value, json};

use crate::api::context::View;
use crate::world::{App, OperationState, ServiceBinding, ServiceInstance};

/// The `VCAP_SERVICES` of an app, with the newest successful binding of each
/// instance.
pub(crate) fn present_bound(app: &App, view: &View<'_>) -> Value {
    let bindings = view.world.bindings_of(app.base.guid);
    let made = |binding: &ServiceBinding| {
        let operation = binding.operation.as_ref();
        operation.is_none_or(|it| it.is("create", OperationState::Succeeded))
    };
    let mut services = json!({});
    for (index, binding) in bindings.iter().enumerate() {
        let mut later = bindings[index + 1..].iter();
        let replaced = later.any(|it| it.instance == binding.instance && made(it));
        if !made(binding) || replaced {
            continue;
        }
        let Some(instance) = view.world.service_instances.get(binding.instance) else {
            continue;
        };
        let (label, service) = present_service(binding, instance, view);
        match services.get_mut(&label).and_then(Value::as_array_mut) {
            Some(others) => others.push(service),
            None => services[label] = json!([service]),
        }
    }
    services
}

/// A bound service in the environment, and its label.
fn present_service(
    binding: &ServiceBinding,
    instance: &ServiceInstance,
    view: &View<'_>,
) -> (String, Value) {
    let name = binding.name.as_ref().filter(|name| !name.is_empty());
    let plan = instance
        .plan()
        .and_then(|plan| view.world.service_plans.get(plan));
    let offering = plan.and_then(|plan| view.world.offering_of(plan));
    let mut tags: Vec<&String> = Vec::new();
    for tag in offering
        .iter()
        .flat_map(|it| &it.catalog.tags)
        .chain(&instance.tags)
    {
        if offering.is_none() || !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let label = offering.map_or("user-provided", |offering| &offering.catalog.name);
    let mut service = json!({
        "label": label,
        "name": name.unwrap_or(&instance.name),
        "tags": tags,
        "instance_guid": binding.instance,
        "instance_name": instance.name,
        "binding_guid": binding.base.guid,
        "binding_name": binding.name,
        "credentials": credentials_of(binding, instance),
        "syslog_drain_url": drain_of(binding, instance),
        "volume_mounts": present_mounts(binding),
    });
    if let Some(plan) = plan {
        service["provider"] = Value::Null;
        service["plan"] = json!(plan.catalog.name);
    }
    (label.to_owned(), service)
}

pub(crate) fn present_mounts(binding: &ServiceBinding) -> Value {
    let mounts = binding.volume_mounts.as_ref().and_then(Value::as_array);
    let shown = mounts.into_iter().flatten().filter_map(Value::as_object);
    let shown = shown.map(|mount| {
        let mut mount = mount.clone();
        mount.retain(|key, _| ["container_dir", "mode", "device_type"].contains(&key.as_str()));
        Value::Object(mount)
    });
    shown.collect()
}

pub(crate) fn credentials_of(binding: &ServiceBinding, instance: &ServiceInstance) -> Value {
    match instance.managed {
        Some(_) => binding.credentials.clone().unwrap_or_else(|| json!({})),
        None => json!(instance.credentials),
    }
}

pub(crate) fn drain_of<'b>(
    binding: &'b ServiceBinding,
    instance: &'b ServiceInstance,
) -> Option<&'b String> {
    match instance.managed {
        Some(_) => binding.syslog_drain_url.as_ref(),
        None => instance.syslog_drain_url.as_ref(),
    }
}

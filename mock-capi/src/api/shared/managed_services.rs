//! Rules of managed service instances that all versions of the API share.

use serde_json::{Map, Value, json};

use crate::api::error::CcError;
use crate::world::{Operation, ServiceInstance, World};

/// The error for an instance whose broker has not finished its last operation.
pub(crate) fn in_progress(name: &str) -> CcError {
    let detail = format!("An operation for service instance {name} is in progress.");
    let title = "CF-AsyncServiceInstanceOperationInProgress";
    CcError::new(409, 60_016, title, detail)
}

/// A request without its secrets, for events.
pub(crate) fn redacted(mut request: Map<String, Value>) -> Value {
    if let Some(parameters) = request.get_mut("parameters") {
        *parameters = json!("[PRIVATE DATA HIDDEN]");
    }
    Value::Object(request)
}

/// Checks that the parameters of an instance can be read from its broker now.
pub(crate) fn check_retrievable(world: &World, instance: &ServiceInstance) -> Result<(), CcError> {
    let offering = world.offering_of_instance(instance);
    if !offering.is_some_and(|offering| offering.catalog.instances_retrievable) {
        return Err(CcError::new(
            400,
            120_004,
            "CF-ServiceFetchInstanceParametersNotSupported",
            "This service does not support fetching service instance parameters.",
        ));
    }
    let operation = instance.managed.as_ref().map(|managed| &managed.operation);
    match operation.is_some_and(Operation::is_pending) {
        true => Err(in_progress(&instance.name)),
        false => Ok(()),
    }
}

/// Whether a broker must be notified of the new name of an instance.
pub(crate) fn is_renamed_by_broker(world: &World, instance: &ServiceInstance) -> bool {
    let offering = world.offering_of_instance(instance);
    offering.is_some_and(|offering| offering.catalog.allow_context_updates)
}

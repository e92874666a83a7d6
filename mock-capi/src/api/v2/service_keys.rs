//! Service keys.

use serde_json::Value;

use super::managed_bindings::{
    await_binding, await_unbinding, check_bindable, read_binding_parameters,
};
use super::schema::{self, Attribute};
use super::services::{SERVICE_INSTANCES, SERVICE_KEYS};
use super::{collection, known};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::shared::service_quotas::check_key_quota;
use crate::world::{
    AccessScope, BindingRef, Guid, READ_SECRETS, Row, ServiceBinding, ServiceInstance, WRITE_SPACE,
    WaitingClient,
};

const KEY: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::object("parameters"),
    Attribute::text("service_instance_guid").required(),
];

/// Keys are always created and deleted synchronously.
const CLIENT: WaitingClient = WaitingClient {
    accepts_incomplete: false,
};

fn not_supported(detail: &str) -> CcError {
    CcError::new(400, 360_004, "CF-ServiceKeyNotSupported", detail)
}

pub(super) fn create_key(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, KEY)?;
    let instance = attributes.text("service_instance_guid").unwrap_or_default();
    let instance = SERVICE_INSTANCES.look_up(context.world, instance)?;
    let found: &ServiceInstance = context.row(instance)?;
    if found.managed.is_none() {
        return Err(not_supported(
            "Service keys are not supported for user-provided service instances.",
        ));
    }
    let space = found.space;
    check_bindable(context, instance).map_err(|refusal| match refusal.status {
        400 => not_supported("This service doesn't support creation of keys."),
        _ => refusal,
    })?;
    context.require(WRITE_SPACE, AccessScope::Space(space))?;
    let name = attributes.text("name").unwrap_or_default();
    let invalid = |reason: &str| {
        let detail = format!("The service key is invalid: {reason}");
        CcError::new(400, 360_002, "CF-ServiceKeyInvalid", detail)
    };
    if name.trim().is_empty() {
        return Err(invalid("name presence"));
    }
    let mut others = context.world.bindings_of_instance(instance).into_iter();
    if others.any(|other| other.app.is_none() && other.name.as_deref() == Some(name)) {
        let detail = format!("The service key name is taken: {name}");
        return Err(CcError::new(400, 360_001, "CF-ServiceKeyNameTaken", detail));
    }
    check_key_quota(context.world, space)
        .map_err(|_| invalid("quota service_keys_quota_exceeded"))?;
    let name = Some(name.to_owned());
    let base = context.world.base();
    let guid = context.world.add(ServiceBinding {
        base,
        name,
        app: None,
        instance,
        space,
        operation: None,
        credentials: None,
        syslog_drain_url: None,
        volume_mounts: None,
    });
    let job = ("service_keys.create", BindingRef::Credential(guid));
    let path = format!("{}/{guid}", SERVICE_KEYS.path);
    let answer = await_binding(context, job, path.clone(), (&body, Value::Null), CLIENT)?;
    Ok(answer.with_header("Location", path))
}

/// The key that the path names. Only developers can see it.
fn readable(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let guid = known(context, &SERVICE_KEYS)?;
    let key: &ServiceBinding = context.row(guid)?;
    let access_scope = key.access_scope(context.world);
    match context
        .access
        .allows(context.world, access_scope, READ_SECRETS)
    {
        true => Ok(guid),
        false => Err(SERVICE_KEYS.not_found(context.capture("guid"))),
    }
}

pub(super) fn show_key(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = readable(context)?;
    let location = format!("{}/{guid}", SERVICE_KEYS.path);
    let key = collection::show(context)?;
    let binding = BindingRef::Credential(guid);
    context
        .world
        .record_v2_binding(binding, "show", Value::Null);
    Ok(key.with_header("Location", location))
}

pub(super) fn delete_key(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = readable(context)?;
    let key: &ServiceBinding = context.row(guid)?;
    context.require(WRITE_SPACE, key.access_scope(context.world))?;
    let job = ("service_keys.delete", BindingRef::Credential(guid));
    let path = format!("{}/{guid}", SERVICE_KEYS.path);
    await_unbinding(context, job, path, CLIENT)
}

/// `GET /v2/service_keys/:guid/parameters`
pub(super) fn key_parameters(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = readable(context)?;
    read_binding_parameters(
        context,
        BindingRef::Credential(guid),
        (
            360_004,
            "CF-ServiceKeyNotSupported",
            "This service does not support fetching service key parameters.",
        ),
    )
}

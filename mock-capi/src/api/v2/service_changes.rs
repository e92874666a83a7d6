//! Requests that create, change and delete user-provided services, and bindings of both
//! kinds of services.

use serde_json::{Map, Value, json};

use super::apps::APPS;
use super::managed_bindings::{
    await_binding, await_unbinding, check_bindable, read_binding_parameters,
};
use super::managed_instances::waiting_client;
use super::schema;
use super::services::{BINDING, INSTANCE, SERVICE_BINDINGS, SERVICE_INSTANCES, USER_PROVIDED};
use super::{
    association_not_empty, authorize, delete, is_recursive, known, related_request, related_row,
};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    AccessScope, App, BindingRef, Field, Guid, Key, Kind, NewBinding, Row, ServiceBinding,
    ServiceInstance, Space, WRITE_SPACE,
};

fn instance_invalid(reason: &str) -> CcError {
    let detail = format!("The service instance is invalid: {reason}");
    CcError::new(400, 60003, "CF-ServiceInstanceInvalid", detail)
}

fn check_route_service(url: &str) -> Result<(), CcError> {
    let reason = match url::Url::parse(url) {
        _ if url.is_empty() => return Ok(()),
        Ok(url) if url.host_str().is_none_or(|host| host.starts_with('.')) => {
            "route_service_url is invalid."
        }
        Ok(url) if url.scheme() == "https" => return Ok(()),
        Ok(_) => "Scheme for route_service_url must be https.",
        Err(_) => "route_service_url is invalid.",
    };
    let detail = format!("The route service URL is invalid: {reason}");
    let title = "CF-ServiceInstanceRouteServiceURLInvalid";
    Err(CcError::new(400, 60019, title, detail))
}

/// Checks attributes in the space of the instance as the Cloud Controller's model does.
pub(super) fn validate(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    space: Guid,
    own: Option<Guid>,
) -> Result<(), CcError> {
    const MAX_NAME: usize = 255;
    const MAX_DRAIN: usize = 10_000;
    const MAX_TAGS: usize = 2048;
    let name = attributes.text("name");
    if let Some(name) = name {
        let holder = context.world.find_service_instance(space, name.trim());
        if holder.is_some_and(|holder| Some(holder.guid()) != own) {
            let detail = format!("The service instance name is taken: {name}");
            return Err(CcError::new(
                400,
                60002,
                "CF-ServiceInstanceNameTaken",
                detail,
            ));
        }
    }
    let url = attributes.text("route_service_url").unwrap_or_default();
    check_route_service(url)?;
    let tags = attributes.texts("tags").unwrap_or_default();
    let length: usize = tags.iter().map(|tag| tag.chars().count()).sum();
    if length > MAX_TAGS {
        let detail = format!(
            "Combined length of tags for service {} must be {MAX_TAGS} characters or less.",
            name.unwrap_or_default()
        );
        return Err(CcError::new(
            400,
            60015,
            "CF-ServiceInstanceTagsTooLong",
            detail,
        ));
    }
    if name.is_some_and(|name| name.chars().count() > MAX_NAME) {
        let detail = "You have requested an invalid service instance name. Names are limited to 255 characters.";
        return Err(CcError::new(
            400,
            60009,
            "CF-ServiceInstanceNameTooLong",
            detail,
        ));
    }
    let drain = attributes.text("syslog_drain_url").unwrap_or_default();
    if drain.chars().count() > MAX_DRAIN {
        return Err(instance_invalid("syslog_drain_url max_length"));
    }
    match name {
        Some(name) if name.trim().is_empty() => Err(instance_invalid("name presence")),
        _ => Ok(()),
    }
}

pub(super) fn create_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, INSTANCE)?;
    let space = attributes.text("space_guid").unwrap_or_default();
    let space = related_row::<Space>(context.world, "Space", space)?.guid();
    validate(context, attributes, space, None)?;
    if !context.access.is_everything() {
        context.require_flag("service_instance_creation")?;
    }
    authorize(context, WRITE_SPACE, AccessScope::Space(space))?;
    let url = |name: &str| attributes.text(name).unwrap_or_default().trim().to_owned();
    let tags = attributes.texts("tags").unwrap_or_default();
    let base = context.world.base();
    let guid = context.world.add_service_instance(ServiceInstance {
        base,
        name: attributes.text("name").unwrap_or_default().trim().into(),
        space,
        tags: tags.into_iter().map(str::to_owned).collect(),
        credentials: Some(
            attributes
                .object("credentials")
                .cloned()
                .unwrap_or_default(),
        ),
        syslog_drain_url: Some(url("syslog_drain_url")),
        route_service_url: Some(url("route_service_url")),
        changed: None,
        managed: None,
        shared_with: Vec::new(),
    });
    let request = redacted(schema::audited_new(&body, INSTANCE));
    context.world.record_instance(guid, "create", request);
    USER_PROVIDED.created(context, guid)
}

/// The request without its secrets, for events.
fn redacted(mut request: Map<String, Value>) -> Value {
    if let Some(credentials) = request.get_mut("credentials") {
        *credentials = json!("[REDACTED]");
    }
    Value::Object(request)
}

/// The instance that the path names, if the caller may change it.
fn writable_instance(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let guid = known(context, &USER_PROVIDED)?;
    let space = context.row::<ServiceInstance>(guid)?.space;
    authorize(context, WRITE_SPACE, AccessScope::Space(space))?;
    Ok(guid)
}

pub(super) fn update_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, INSTANCE)?;
    let guid = writable_instance(context)?;
    let space = context.row::<ServiceInstance>(guid)?.space;
    let other = attributes.text("space_guid");
    if other.is_some_and(|other| other != space.to_string()) {
        return Err(instance_invalid("cannot change space for service instance"));
    }
    validate(context, attributes, space, Some(guid))?;
    let url = |name: &str| attributes.text(name).map(|url| url.trim().to_owned());
    let name = &context.row::<ServiceInstance>(guid)?.name;
    let renamed = attributes
        .text("name")
        .is_some_and(|other| other.trim() != name);
    context
        .world
        .update_row(guid, |instance: &mut ServiceInstance| {
            if let Some(name) = attributes.text("name") {
                instance.name = name.trim().into();
            }
            if let Some(credentials) = attributes.object("credentials") {
                instance.credentials = Some(credentials.clone());
            }
            if let Some(tags) = attributes.texts("tags") {
                instance.tags = tags.into_iter().map(str::to_owned).collect();
            }
            if let Some(drain) = url("syslog_drain_url") {
                instance.syslog_drain_url = Some(drain);
            }
            if let Some(service) = url("route_service_url") {
                instance.route_service_url = Some(service);
            }
        });
    if renamed {
        context.world.record_service_usage(guid, "UPDATED");
    }
    let request = redacted(schema::audited_change(&body, INSTANCE));
    context.world.record_instance(guid, "update", request);
    USER_PROVIDED.changed(context, guid)
}

pub(super) fn delete_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = writable_instance(context)?;
    let bound = Key::Guid(Field::ServiceInstance, guid);
    if context.world.service_bindings.count(&bound) > 0 && !is_recursive(context) {
        return Err(association_not_empty(
            "service_bindings",
            "service_instances",
        ));
    }
    let operation = "service_instance.delete";
    Ok(delete(context, operation, Kind::ServiceInstance, guid))
}

pub(super) fn create_binding(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, BINDING)?;
    let app = APPS.look_up(
        context.world,
        attributes.text("app_guid").unwrap_or_default(),
    )?;
    let instance = attributes.text("service_instance_guid").unwrap_or_default();
    let instance = SERVICE_INSTANCES.look_up(context.world, instance)?;
    let space = context.row::<App>(app)?.space;
    context.require(WRITE_SPACE, AccessScope::Space(space))?;
    let title = "CF-ServiceBindingAppServiceTaken";
    let bindings = context.world.bindings_of(app);
    if bindings.iter().any(|binding| binding.instance == instance) {
        let detail = "The app is already bound to the service.";
        return Err(CcError::new(400, 90003, title, detail));
    }
    let client = waiting_client(context)?;
    check_bindable(context, instance)?;
    let name = attributes.text("name").map(str::to_owned);
    let bound = context.world.bind(NewBinding {
        app,
        instance,
        name,
        metadata: MetadataPatch::default(),
        limit: 1,
        multiple: false,
    });
    let guid = bound.map_err(|reason| {
        // The error has no message, so its class is shown.
        let detail = match reason.ends_with("are in different spaces") {
            true => "VCAP::CloudController::ServiceBindingCreate::SpaceMismatch".to_owned(),
            false => reason,
        };
        CcError::new(400, 90003, title, detail)
    })?;
    let binding = BindingRef::Credential(guid);
    // Events show the v3 request that the Cloud Controller converts it to.
    let to_one = |guid: Guid| json!({"data": {"guid": guid}});
    let request = json!({
        "type": "app",
        "name": attributes.text("name"),
        "relationships": {"app": to_one(app), "service_instance": to_one(instance)},
        "data": "[PRIVATE DATA HIDDEN]",
    });
    if context.row::<ServiceInstance>(instance)?.managed.is_some() {
        let job = ("service_bindings.create", binding);
        let path = binding_path(guid);
        let answer = await_binding(context, job, path.clone(), (&body, request), client)?;
        return Ok(answer.with_header("Location", path));
    }
    context.world.record_v2_binding(binding, "create", request);
    let answer = SERVICE_BINDINGS.created(context, guid)?;
    let parameters = attributes.object("parameters");
    let warning = parameters
        .filter(|parameters| !parameters.is_empty())
        .map(|_| {
            "Configuration parameters are ignored for bindings to user-provided service instances."
                .to_owned()
        });
    Ok(answer.with_warnings(warning))
}

pub(super) fn delete_binding(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SERVICE_BINDINGS)?;
    let access_scope = context
        .row::<ServiceBinding>(guid)?
        .access_scope(context.world);
    context.require(WRITE_SPACE, access_scope)?;
    unbind(context, guid)
}

fn binding_path(guid: Guid) -> String {
    format!("{}/{guid}", SERVICE_BINDINGS.path)
}

fn unbind(context: &mut RequestContext<'_>, guid: Guid) -> Result<Response, CcError> {
    let client = waiting_client(context)?;
    let job = ("service_bindings.delete", BindingRef::Credential(guid));
    await_unbinding(context, job, binding_path(guid), client)
}

/// `GET /v2/service_bindings/:guid/parameters`
pub(super) fn binding_parameters(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = SERVICE_BINDINGS.readable(context)?;
    read_binding_parameters(
        context,
        BindingRef::Credential(guid),
        (
            90_007,
            "CF-ServiceFetchBindingParametersNotSupported",
            "This service does not support fetching service binding parameters.",
        ),
    )
}

pub(super) fn delete_binding_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = known(context, &APPS)?;
    super::apps::writable(context, app)?;
    let other = context.capture("other").to_owned();
    let guid = SERVICE_BINDINGS.look_up(context.world, &other)?;
    let answer = unbind(context, guid)?;
    let request = related_request("service_binding", "remove", "service_bindings", &other);
    if let Value::Object(request) = request {
        context.world.record_app_update(app, request);
    }
    Ok(answer.with_warnings(Some("Endpoint deprecated".into())))
}

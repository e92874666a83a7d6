//! Services that users provide, and apps bound to them.

use serde_json::{Value, json};

use super::attributes::Attributes;
use super::list::{Filters, Query};
use super::{Errors, apps, resource, spaces};
use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::metadata::MetadataPatch;
use crate::router::Route;
use crate::world::{App, Field, Guid, Row, ServiceBinding, ServiceInstance};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/v2/spaces/:guid/service_instances",
        index_instances_of_space,
    ),
    Route::get("/v2/apps/:guid/service_bindings", index_bindings_of_app),
    Route::post("/v2/service_bindings", create_binding),
    Route::delete("/v2/service_bindings/:guid", delete_binding),
];

const INSTANCE_FILTERS: Filters = &[("name", Field::Name)];
const BINDING_FILTERS: Filters = &[("service_instance_guid", Field::ServiceInstance)];

const BINDING_ERRORS: Errors = Errors {
    not_found: (
        90004,
        "CF-ServiceBindingNotFound",
        "The service binding could not be found",
    ),
    name_taken: (
        90003,
        "CF-ServiceBindingAppServiceTaken",
        "The app space binding to service is taken",
    ),
};

const INSTANCE_ERRORS: Errors = Errors {
    not_found: (
        60004,
        "CF-ServiceInstanceNotFound",
        "The service instance could not be found",
    ),
    name_taken: (
        60002,
        "CF-ServiceInstanceNameTaken",
        "The service instance name is taken",
    ),
};

fn present_instance(instance: &ServiceInstance, _view: &View<'_>) -> Value {
    let path = format!("/v2/user_provided_service_instances/{}", instance.base.guid);
    let entity = json!({
        "name": instance.name,
        "credentials": instance.credentials,
        "space_guid": instance.space,
        "type": "user_provided_service_instance",
        "syslog_drain_url": instance.syslog_drain_url.as_deref().unwrap_or_default(),
        "route_service_url": instance.route_service_url.as_deref().unwrap_or_default(),
        "tags": instance.tags,
        "space_url": format!("/v2/spaces/{}", instance.space),
        "service_bindings_url": format!("{path}/service_bindings"),
        "routes_url": format!("{path}/routes"),
    });
    resource(&instance.base, "user_provided_service_instances", entity)
}

fn present_binding(binding: &ServiceBinding, view: &View<'_>) -> Value {
    let instance = view.world.service_instances.get(binding.instance);
    let path = format!("/v2/service_bindings/{}", binding.base.guid);
    let entity = json!({
        "app_guid": binding.app,
        "service_instance_guid": binding.instance,
        "credentials": instance.map(|instance| &instance.credentials),
        "binding_options": {},
        "gateway_data": null,
        "gateway_name": "",
        "syslog_drain_url": instance.and_then(|instance| instance.syslog_drain_url.as_ref()),
        "volume_mounts": [],
        "name": binding.name,
        "last_operation": {
            "type": "create",
            "state": "succeeded",
            "description": "",
            "updated_at": binding.base.created,
            "created_at": binding.base.created,
        },
        "app_url": format!("/v2/apps/{}", binding.app),
        "service_instance_url":
            format!("/v2/user_provided_service_instances/{}", binding.instance),
        "service_binding_parameters_url": format!("{path}/parameters"),
    });
    resource(&binding.base, "service_bindings", entity)
}

/// Only those of brokers, of which there are none, unless all are wanted.
fn index_instances_of_space(call: &mut Call<'_>) -> Result<Response, CcError> {
    let space = spaces::find(call)?;
    let query = Query::read(call, INSTANCE_FILTERS)?;
    let selection = query.selection().any_guid(Field::Space, [space]);
    let provided = call.request.query("return_user_provided_service_instances") == Some("true");
    Ok(query.answer(call, &selection, |_| provided, present_instance))
}

fn index_bindings_of_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    let query = Query::read(call, BINDING_FILTERS)?;
    let selection = query.selection().any_guid(Field::App, [app]);
    Ok(query.answer(call, &selection, |_| true, present_binding))
}

fn create_binding(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
    let mut attributes = Attributes::new(&body);
    let app = attributes.text("app_guid").unwrap_or_default();
    let instance = attributes.text("service_instance_guid").unwrap_or_default();
    let name = attributes.optional_text("name").map(str::to_owned);
    attributes.finish()?;
    let app = known::<App>(call, app, &apps::ERRORS)?;
    let instance = known::<ServiceInstance>(call, instance, &INSTANCE_ERRORS)?;
    let bound = call
        .world
        .bind(app, instance, name, MetadataPatch::default());
    let (code, title, _) = BINDING_ERRORS.name_taken;
    let guid = bound.map_err(|reason| CcError::new(400, code, title, reason))?;
    let location = format!("/v2/service_bindings/{guid}");
    let answer = call.created(guid, present_binding)?;
    Ok(answer.with_header("Location", location))
}

fn known<R: Row>(call: &Call<'_>, text: &str, errors: &Errors) -> Result<Guid, CcError> {
    let found = call.row_of::<R>(text).map(R::guid);
    found.map_err(|_| errors.not_found(text))
}

fn delete_binding(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = BINDING_ERRORS.find::<ServiceBinding>(call)?;
    call.world.service_bindings.remove(guid);
    Ok(Response::empty(204))
}

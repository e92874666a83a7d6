//! Services that users provide, and apps bound to them.

use serde_json::{Map, Value, json};

use super::attributes::Attributes;
use super::list::{Filters, Query};
use super::{
    Errors, apps, association_not_empty, delete, invalid_relation, is_recursive, resource, spaces,
};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    App, Field, Guid, Key, Kind, Row, Selection, ServiceBinding, ServiceInstance, Space, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/v2/spaces/:guid/service_instances",
        index_instances_of_space,
    ),
    Route::get("/v2/services", index_offerings),
    Route::get("/v2/user_provided_service_instances", index_instances),
    Route::post("/v2/user_provided_service_instances", create_instance),
    Route::get("/v2/user_provided_service_instances/:guid", show_instance),
    Route::put("/v2/user_provided_service_instances/:guid", update_instance),
    Route::delete("/v2/user_provided_service_instances/:guid", delete_instance),
    Route::delete("/v2/service_instances/:guid", delete_instance),
    Route::get(
        "/v2/user_provided_service_instances/:guid/service_bindings",
        index_bindings_of_instance,
    ),
    Route::get("/v2/service_bindings", index_bindings),
    Route::get("/v2/service_bindings/:guid", show_binding),
    Route::get("/v2/apps/:guid/service_bindings", index_bindings_of_app),
    Route::post("/v2/service_bindings", create_binding),
    Route::delete("/v2/service_bindings/:guid", delete_binding),
];

const INSTANCE_FILTERS: Filters = &[
    ("name", Field::Name),
    ("space_guid", Field::Space),
    ("organization_guid", Field::Org),
];
const BINDING_FILTERS: Filters = &[
    ("app_guid", Field::App),
    ("service_instance_guid", Field::ServiceInstance),
];
const OFFERING_FILTERS: Filters = &[("label", Field::Name)];

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
        "credentials": instance.credentials.clone().unwrap_or_default(),
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
        "credentials": instance.map(|it| it.credentials.clone().unwrap_or_default()),
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
fn index_instances_of_space(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let space = spaces::find(context)?;
    let query = Query::read(context, INSTANCE_FILTERS)?;
    let mut selection = query.selection().any_guid(Field::Space, [space]);
    if let Some(orgs) = query.orgs() {
        selection = selection.any_guid(Field::Space, context.world.spaces_of(orgs));
    }
    let provided = context
        .request
        .query("return_user_provided_service_instances")
        == Some("true");
    let inline = context.request.query("inline-relations-depth") == Some("1");
    let present = |instance: &ServiceInstance, view: &View<'_>| {
        let mut resource = present_instance(instance, view);
        if inline {
            let bindings = Selection::by(Field::ServiceInstance, instance.base.guid);
            let bindings = view.world.service_bindings.select(&bindings).into_iter();
            let bindings = bindings.map(|binding| present_binding(binding, view));
            resource["entity"]["service_bindings"] = bindings.collect();
        }
        resource
    };
    Ok(query.answer(context, &selection, |_| provided, present))
}

/// The instances of a space as its summary has them.
pub(super) fn summarize_of_space(world: &World, space: Guid) -> Value {
    let instances = Selection::by(Field::Space, space);
    let instances = world.service_instances.select(&instances).into_iter();
    let summary = |instance| {
        let mut summary = summarize(world, instance);
        summary["shared_to"] = json!([]);
        summary
    };
    instances.map(summary).collect()
}

/// An instance as summaries have it.
pub(super) fn summarize(world: &World, instance: &ServiceInstance) -> Value {
    let bindings = Key::Guid(Field::ServiceInstance, instance.base.guid);
    json!({
        "guid": instance.base.guid,
        "name": instance.name,
        "bound_app_count": world.service_bindings.count(&bindings),
        "type": "user_provided_service_instance",
    })
}

/// What brokers offer, of whom there are none.
fn index_offerings(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = Query::read(context, OFFERING_FILTERS)?;
    let none = |_: &ServiceInstance| false;
    Ok(query.answer(context, &query.selection(), none, present_instance))
}

fn index_instances(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = Query::read(context, INSTANCE_FILTERS)?;
    let mut selection = query.selection();
    if let Some(orgs) = query.orgs() {
        selection = selection.any_guid(Field::Space, context.world.spaces_of(orgs));
    }
    Ok(query.answer(context, &selection, |_| true, present_instance))
}

/// What a request says of an instance; `None` is left alone.
struct ServiceRequest {
    name: Option<String>,
    credentials: Option<Map<String, Value>>,
    syslog_drain_url: Option<String>,
    route_service_url: Option<String>,
    tags: Option<Vec<String>>,
}

impl ServiceRequest {
    fn read(attributes: &mut Attributes<'_>) -> Self {
        let mut text = |name| attributes.optional_text(name).map(str::to_owned);
        Self {
            name: text("name"),
            syslog_drain_url: text("syslog_drain_url"),
            route_service_url: text("route_service_url"),
            credentials: attributes.optional_object("credentials").cloned(),
            tags: attributes.optional_texts("tags"),
        }
    }

    /// What the model says of it, in the space where the instance is.
    fn check(
        &self,
        context: &RequestContext<'_>,
        space: Guid,
        own: Option<Guid>,
    ) -> Result<(), CcError> {
        if let Some(name) = &self.name {
            let holder = context
                .world
                .find_service_instance(space, name)
                .map(Row::guid);
            if holder.is_some() && holder != own {
                return Err(INSTANCE_ERRORS.taken(name));
            }
        }
        let url = self.route_service_url.as_deref().unwrap_or_default();
        let complaint = match url::Url::parse(url) {
            _ if url.is_empty() => return Ok(()),
            Ok(url) if url.scheme() == "https" => return Ok(()),
            Ok(_) => "Scheme for route_service_url must be https.",
            Err(_) => "route_service_url is invalid.",
        };
        let detail = format!("The route service URL is invalid: {complaint}");
        let title = "CF-ServiceInstanceRouteServiceURLInvalid";
        Err(CcError::new(400, 60019, title, detail))
    }
}

fn create_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    attributes.text("name");
    let space = attributes.text("space_guid").unwrap_or_default();
    let asked = ServiceRequest::read(&mut attributes);
    attributes.finish()?;
    let found = context.row_of::<Space>(space).map(Row::guid);
    let space = found.map_err(|_| invalid_relation("Space", space))?;
    asked.check(context, space, None)?;
    let base = context.world.base();
    let guid = context.world.add(ServiceInstance {
        base,
        name: asked.name.unwrap_or_default(),
        space,
        tags: asked.tags.unwrap_or_default(),
        credentials: Some(asked.credentials.unwrap_or_default()),
        syslog_drain_url: asked.syslog_drain_url,
        route_service_url: asked.route_service_url,
        changed: None,
    });
    let location = format!("/v2/user_provided_service_instances/{guid}");
    let answer = context.created(guid, present_instance)?;
    Ok(answer.with_header("Location", location))
}

fn find_instance(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    INSTANCE_ERRORS.find::<ServiceInstance>(context)
}

fn show_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find_instance(context)?, present_instance)
}

fn update_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find_instance(context)?;
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let asked = ServiceRequest::read(&mut attributes);
    attributes.finish()?;
    let instance: &ServiceInstance = context.row(guid)?;
    asked.check(context, instance.space, Some(guid))?;
    context.world.touch(guid, |instance: &mut ServiceInstance| {
        if let Some(name) = asked.name {
            instance.name = name;
        }
        if let Some(credentials) = asked.credentials {
            instance.credentials = Some(credentials);
        }
        if let Some(tags) = asked.tags {
            instance.tags = tags;
        }
        if asked.syslog_drain_url.is_some() {
            instance.syslog_drain_url = asked.syslog_drain_url;
        }
        if asked.route_service_url.is_some() {
            instance.route_service_url = asked.route_service_url;
        }
    });
    context.created(guid, present_instance)
}

fn delete_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find_instance(context)?;
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

fn index_bindings(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = Query::read(context, BINDING_FILTERS)?;
    Ok(query.answer(context, &query.selection(), |_| true, present_binding))
}

fn index_bindings_of_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance = find_instance(context)?;
    let query = Query::read(context, BINDING_FILTERS)?;
    let selection = query
        .selection()
        .any_guid(Field::ServiceInstance, [instance]);
    Ok(query.answer(context, &selection, |_| true, present_binding))
}

fn show_binding(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(
        BINDING_ERRORS.find::<ServiceBinding>(context)?,
        present_binding,
    )
}

fn index_bindings_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    let query = Query::read(context, BINDING_FILTERS)?;
    let selection = query.selection().any_guid(Field::App, [app]);
    Ok(query.answer(context, &selection, |_| true, present_binding))
}

fn create_binding(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let app = attributes.text("app_guid").unwrap_or_default();
    let instance = attributes.text("service_instance_guid").unwrap_or_default();
    let name = attributes.optional_text("name").map(str::to_owned);
    attributes.finish()?;
    let app = known::<App>(context, app, &apps::ERRORS)?;
    let instance = known::<ServiceInstance>(context, instance, &INSTANCE_ERRORS)?;
    let bound = context
        .world
        .bind(app, instance, name, MetadataPatch::default());
    let (code, title, _) = BINDING_ERRORS.name_taken;
    let guid = bound.map_err(|reason| CcError::new(400, code, title, reason))?;
    let location = format!("/v2/service_bindings/{guid}");
    let answer = context.created(guid, present_binding)?;
    Ok(answer.with_header("Location", location))
}

fn known<R: Row>(
    context: &RequestContext<'_>,
    text: &str,
    errors: &Errors,
) -> Result<Guid, CcError> {
    let found = context.row_of::<R>(text).map(R::guid);
    found.map_err(|_| errors.not_found(text))
}

fn delete_binding(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = BINDING_ERRORS.find::<ServiceBinding>(context)?;
    context.world.service_bindings.remove(guid);
    Ok(Response::empty(204))
}

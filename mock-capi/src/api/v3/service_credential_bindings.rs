//! `/v3/service_credential_bindings`: bindings of apps, and service keys

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::shared::bound_services::{credentials_of, drain_of};
use crate::api::shared::managed_services::redacted;
use crate::api::shared::service_quotas::check_key_quota;
use crate::api::state::Present;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    AccessScope, App, BindingRef, Field, Guid, MANAGE_APPS, NewBinding, OperationState,
    READ_SECRETS, Registered, Row, ServiceBinding, ServiceInstance, WRITE_SPACE,
    binding_name_errors, ruby,
};

use super::managed_instances::bind_in_job;
use super::service_instances::present_operation;
use super::service_route_bindings::{are_retrievable, check_made, unbind};
use super::{apps, service_instances};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/service_credential_bindings", index),
    Route::post("/v3/service_credential_bindings", create).by(MANAGE_APPS),
    Route::get("/v3/service_credential_bindings/:guid", show),
    Route::patch("/v3/service_credential_bindings/:guid", update).by(WRITE_SPACE),
    Route::delete("/v3/service_credential_bindings/:guid", delete).by(MANAGE_APPS),
    Route::get(
        "/v3/service_credential_bindings/:guid/details",
        show_details,
    ),
    Route::get(
        "/v3/service_credential_bindings/:guid/parameters",
        show_parameters,
    ),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    include: &["app", "service_instance"],
    ..ListSpec::of(&[
        "names",
        "service_instance_guids",
        "service_instance_names",
        "service_plan_names",
        "service_plan_guids",
        "service_offering_names",
        "service_offering_guids",
        "app_guids",
        "app_names",
        "include",
        "type",
        "label_selector",
    ])
};

impl Present for ServiceBinding {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(binding: &ServiceBinding, view: &View<'_>) -> Value {
    let path = format!("/v3/service_credential_bindings/{}", binding.base.guid);
    let mut presented = json!({
        "guid": binding.base.guid,
        "created_at": binding.base.created,
        "updated_at": binding.base.updated,
        "name": binding.name,
        "type": if binding.app.is_some() { "app" } else { "key" },
        "last_operation": present_operation(binding.operation.as_ref(), binding.base.created),
        "metadata": binding.base.metadata.present(),
        "relationships": {"service_instance": to_one(Some(binding.instance))},
        "links": {
            "self": view.link(&path),
            "details": view.link(&format!("{path}/details")),
            "service_instance": view.link(&format!("/v3/service_instances/{}", binding.instance)),
        },
    });
    if let Some(app) = binding.app {
        presented["relationships"]["app"] = to_one(Some(app));
        presented["links"]["app"] = view.link(&format!("/v3/apps/{app}"));
    }
    if binding.operation.is_some() {
        presented["links"]["parameters"] = view.link(&format!("{path}/parameters"));
    }
    presented
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let kind = query.value("type");
    if kind.is_some_and(|kind| !["app", "key"].contains(&kind)) {
        return Err(CcError::bad_query("Type must be one of 'app', 'key'"));
    }
    let mut selection = query.by_texts(query.selection(), "names", ServiceBinding::NAME);
    selection = query.by_guids(selection, "app_guids", Field::App);
    selection = query.by_guids(selection, "service_instance_guids", Field::ServiceInstance);
    let world = &*context.world;
    let plans = query.guids("service_plan_guids");
    let offerings = query.guids("service_offering_guids");
    let keep = |binding: &ServiceBinding| {
        let app = binding.app.and_then(|app| world.apps.get(app));
        let instance = world.service_instances.get(binding.instance);
        let plan = instance.and_then(ServiceInstance::plan);
        let plan = plan.and_then(|plan| world.service_plans.get(plan));
        let offering = plan.and_then(|plan| world.offering_of(plan));
        let among = |guids: &Option<Vec<Guid>>, guid: Option<Guid>| {
            let admits = |guids: &Vec<Guid>| guid.is_some_and(|guid| guids.contains(&guid));
            guids.as_ref().is_none_or(admits)
        };
        let named = |filter: &str, name: Option<&str>| match name {
            Some(name) => query.admits(filter, name),
            None => query.value(filter).is_none(),
        };
        kind.is_none_or(|kind| (kind == "app") == binding.app.is_some())
            && named("app_names", app.map(|app| app.name.as_ref()))
            && named(
                "service_instance_names",
                instance.map(|it| it.name.as_str()),
            )
            && named(
                "service_plan_names",
                plan.map(|it| it.catalog.name.as_str()),
            )
            && named(
                "service_offering_names",
                offering.map(|it| it.catalog.name.as_str()),
            )
            && among(&plans, plan.map(Row::guid))
            && among(&offerings, offering.map(Row::guid))
    };
    let page = query.page_by_query(context.world, &selection, keep);
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, rows: &[&ServiceBinding]) {
    if query.includes("app") {
        let found = rows.iter().filter_map(|binding| binding.app);
        answer["included"]["apps"] = view.included(found, apps::present);
    }
    if query.includes("service_instance") {
        let found = rows.iter().map(|binding| binding.instance);
        answer["included"]["service_instances"] = view.included(found, service_instances::present);
    }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let binding: &ServiceBinding = context.named("guid")?;
    let spec = ListSpec {
        include: LIST.include,
        ..ListSpec::of_one(&["include"])
    };
    let query = ListQuery::read(context, &spec)?;
    let view = context.view();
    let mut answer = present(binding, &view);
    include(&query, &view, &mut answer, &[binding]);
    Ok(Response::ok(&answer))
}

fn show_details(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let binding: &ServiceBinding = context.named("guid")?;
    let access_scope = binding.access_scope(context.world);
    if !context
        .access
        .allows(context.world, access_scope, READ_SECRETS)
    {
        return Err(CcError::not_found(ServiceBinding::KIND));
    }
    check_made(binding.operation.as_ref(), kind_of(binding))?;
    let instance: &ServiceInstance = context.row(binding.instance)?;
    let mut details = json!({});
    let credentials = credentials_of(binding, instance);
    if !credentials.is_null() {
        details["credentials"] = credentials;
    }
    if let Some(url) = drain_of(binding, instance) {
        details["syslog_drain_url"] = json!(url);
    }
    if let Some(mounts) = &binding.volume_mounts {
        details["volume_mounts"] = mounts.clone();
    }
    let mut request = json!({"service_instance_guid": binding.instance});
    if let Some(app) = binding.app {
        request["app_guid"] = json!(app);
    }
    let binding = BindingRef::Credential(binding.base.guid);
    let data = json!({"request": request});
    context.world.record_binding(binding, "show", data);
    Ok(Response::ok(&details))
}

/// The name of the kind of binding in errors.
fn kind_of(binding: &ServiceBinding) -> &'static str {
    match binding.app {
        Some(_) => "service binding",
        None => "service key",
    }
}

fn show_parameters(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let binding: &ServiceBinding = context.named("guid")?;
    check_made(binding.operation.as_ref(), kind_of(binding))?;
    let (guid, instance) = (binding.base.guid, binding.instance);
    if !are_retrievable(context, instance) {
        return Err(CcError::new(
            400,
            90_007,
            "CF-ServiceFetchBindingParametersNotSupported",
            "This service does not support fetching service binding parameters.",
        ));
    }
    Ok(context.read_parameters(instance, Some(guid)))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let allowed = [
        "type",
        "strategy",
        "name",
        "relationships",
        "parameters",
        "metadata",
    ];
    let mut message = Message::new(&body, &allowed);
    let metadata = message.metadata();
    let instance = message.relationships_of_any(|inner| inner.related("service_instance"));
    message.object("parameters");
    let kinds = ["app", "key"];
    message
        .check("type")
        .one_of(&kinds, "must be 'app' or 'key'");
    message.finish()?;
    // Rails accepts a list of known types, and validates the rest like a key.
    let is_key = body.get("type").is_some_and(|kind| kind != "app");
    let mut message = Message::of_any(&body);
    let app = match is_key {
        true => {
            message.relationships(&["service_instance"], |_| {});
            message.check("name").string().present();
            None
        }
        false => {
            let related = ["service_instance", "app"];
            let app = message.relationships(&related, |inner| inner.related("app"));
            let strategy = message.check("strategy").allow_null();
            strategy.one_of(&["single", "multiple"], "must be 'single' or 'multiple'");
            app.flatten()
        }
    };
    message.finish()?;
    let instance = instance.flatten();
    let instance = known::<ServiceInstance>(context, "service instance", instance)?;
    let managed = context.row::<ServiceInstance>(instance)?.managed.is_some();
    if !managed && body.contains_key("parameters") {
        return Err(CcError::unprocessable(
            "Binding parameters are not supported for user-provided service instances",
        ));
    }
    if body.get("type").is_some_and(Value::is_array) {
        // The Cloud Controller then creates neither an app binding nor a key.
        return Ok(Response::empty(204));
    }
    let parameters = body.get("parameters").filter(|it| !it.is_null()).cloned();
    if is_key {
        return create_key(context, instance, metadata, &body, parameters);
    }
    let app = known::<App>(context, "app", app)?;
    context.authorize(context.world.access_scope_of_app(app))?;
    let name = binding_name(&body)?;
    let bound = context.world.bind(NewBinding {
        app,
        instance,
        name,
        metadata,
        limit: context.settings.bindings_per_app,
        multiple: body.get("strategy").is_some_and(|it| it == "multiple"),
    });
    let guid = bound.map_err(CcError::unprocessable)?;
    let (binding, request) = (BindingRef::Credential(guid), redacted(body.clone()));
    if managed {
        let job = "service_bindings.create";
        return Ok(bind_in_job(context, binding, job, parameters, request));
    }
    context.world.record_bound(binding, request);
    context.created(guid, present)
}

fn create_key(
    context: &mut RequestContext<'_>,
    instance: Guid,
    metadata: MetadataPatch,
    body: &Map<String, Value>,
    parameters: Option<Value>,
) -> Result<Response, CcError> {
    let found = context.row::<ServiceInstance>(instance)?;
    context.require(WRITE_SPACE, AccessScope::Space(found.space))?;
    if found.managed.is_none() {
        return Err(CcError::unprocessable(
            "Service credential bindings of type 'key' are not supported for user-provided service instances.",
        ));
    }
    let space = found.space;
    context
        .world
        .check_bindable(instance, "Service plan does not allow bindings.")
        .map_err(CcError::unprocessable)?;
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let keys = context.world.bindings_of_instance(instance).into_iter();
    let mut named = keys.filter(|it| it.app.is_none() && it.name.as_deref() == Some(name));
    let known = named.next().map(|key| (key.guid(), key.operation.clone()));
    match known {
        None => {}
        Some((guid, Some(operation))) if operation.is("create", OperationState::Failed) => {
            context.world.service_bindings.remove(guid);
        }
        Some((_, Some(operation))) if operation.kind == "delete" => {
            return Err(CcError::unprocessable(format!(
                "The binding name is invalid. Key binding names must be unique. The service instance already has a key binding with the name '{name}' that is getting deleted or its deletion failed."
            )));
        }
        Some(_) => {
            return Err(CcError::unprocessable(format!(
                "The binding name is invalid. Key binding names must be unique. The service instance already has a key binding with name '{name}'."
            )));
        }
    }
    check_key_quota(context.world, space)?;
    let base = context.world.base_with(metadata);
    let guid = context.world.add(ServiceBinding {
        base,
        name: Some(name.to_owned()),
        app: None,
        instance,
        space,
        operation: None,
        credentials: None,
        syslog_drain_url: None,
        volume_mounts: None,
    });
    let (binding, request) = (BindingRef::Credential(guid), redacted(body.clone()));
    let job = "service_keys.create";
    Ok(bind_in_job(context, binding, job, parameters, request))
}

/// The name of a new binding, which only the model checks.
fn binding_name(body: &Map<String, Value>) -> Result<Option<String>, CcError> {
    let name = body.get("name").unwrap_or(&Value::Null);
    let (length, is_blank) = (ruby::length(name), ruby::is_blank(name));
    let problems = binding_name_errors(&ruby::text(name), length, is_blank);
    if !problems.is_empty() {
        return Err(CcError::unprocessable(problems.join(", ")));
    }
    ruby::column(name).map_err(|()| CcError::unknown())
}

/// The GUID of a resource that a request names.
fn known<R: crate::world::Row>(
    context: &RequestContext<'_>,
    kind: &str,
    text: Option<&str>,
) -> Result<Guid, CcError> {
    let text = text.unwrap_or_default();
    context
        .row_of::<R>(text)
        .map(R::guid)
        .map_err(|_| CcError::unprocessable(format!("The {kind} could not be found: '{text}'")))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let binding: &ServiceBinding = context.named("guid")?;
    let guid = binding.base.guid;
    let operation = binding.operation.as_ref();
    if operation.is_some_and(|it| it.kind == "delete" && it.is_pending()) {
        return Err(CcError::unprocessable(
            "The service binding is being deleted",
        ));
    }
    let patch = context.metadata_patch()?;
    let data = json!({"request": context.request_body()});
    context
        .world
        .record_binding(BindingRef::Credential(guid), "update", data);
    context.update_metadata(guid, patch, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let binding: &ServiceBinding = context.row_of(context.capture("guid"))?;
    let access_scope = binding.access_scope(context.world);
    let (guid, is_key) = (binding.base.guid, binding.app.is_none());
    match is_key {
        true => context.require(WRITE_SPACE, access_scope)?,
        false => context.authorize(access_scope)?,
    }
    let job = match is_key {
        true => "service_keys.delete",
        false => "service_bindings.delete",
    };
    unbind(context, BindingRef::Credential(guid), job)
}

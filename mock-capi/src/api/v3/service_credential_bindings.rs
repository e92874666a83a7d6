//! `/v3/service_credential_bindings`: apps bound to service instances

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::world::{
    App, Field, Guid, MANAGE_APPS, READ_SECRETS, Row, ServiceBinding, ServiceInstance, WRITE_SPACE,
    ruby,
};

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

/// Filters by what only managed instances have.
const OF_BROKERS: [&str; 4] = [
    "service_plan_names",
    "service_plan_guids",
    "service_offering_names",
    "service_offering_guids",
];

pub(crate) fn present(binding: &ServiceBinding, view: &View<'_>) -> Value {
    let path = format!("/v3/service_credential_bindings/{}", binding.base.guid);
    json!({
        "guid": binding.base.guid,
        "created_at": binding.base.created,
        "updated_at": binding.base.updated,
        "name": binding.name,
        "type": "app",
        "last_operation": {
            "type": "create",
            "state": "succeeded",
            "description": null,
            "created_at": binding.base.created,
            "updated_at": binding.base.created,
        },
        "metadata": binding.base.metadata.present(),
        "relationships": {
            "service_instance": to_one(Some(binding.instance)),
            "app": to_one(Some(binding.app)),
        },
        "links": {
            "self": view.link(&path),
            "details": view.link(&format!("{path}/details")),
            "service_instance": view.link(&format!("/v3/service_instances/{}", binding.instance)),
            "app": view.link(&format!("/v3/apps/{}", binding.app)),
        },
    })
}

/// The `VCAP_SERVICES` of an app.
pub(crate) fn present_environment(app: &App, view: &View<'_>) -> Value {
    let bindings = view.world.bindings_of(app.base.guid).into_iter();
    let services: Vec<Value> = bindings
        .filter_map(|binding| {
            let instance = view.world.service_instances.get(binding.instance)?;
            let name = binding.name.as_ref().unwrap_or(&instance.name);
            Some(json!({
                "label": "user-provided",
                "name": name,
                "tags": instance.tags,
                "instance_guid": binding.instance,
                "instance_name": instance.name,
                "binding_guid": binding.base.guid,
                "binding_name": binding.name,
                "credentials": instance.credentials,
                "syslog_drain_url": instance.syslog_drain_url,
                "volume_mounts": [],
            }))
        })
        .collect();
    if services.is_empty() {
        json!({})
    } else {
        json!({"user-provided": services})
    }
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let kind = query.value("type");
    if kind.is_some_and(|kind| !["app", "key"].contains(&kind)) {
        return Err(CcError::bad_query("Type must be one of 'app', 'key'"));
    }
    let mut selection = query.by_texts(query.selection(), "names", Field::Name);
    selection = query.by_guids(selection, "app_guids", Field::App);
    selection = query.by_guids(selection, "service_instance_guids", Field::ServiceInstance);
    let none = kind == Some("key") || OF_BROKERS.iter().any(|name| query.value(name).is_some());
    let world = &context.world;
    let keep = |binding: &ServiceBinding| {
        let app = world.apps.get(binding.app).map_or("", |app| &app.name);
        let instance = world.service_instances.get(binding.instance);
        let instance = instance.map_or("", |instance| &instance.name);
        !none && query.admits("app_names", app) && query.admits("service_instance_names", instance)
    };
    let page = query.page(context.world, &selection, keep);
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, rows: &[&ServiceBinding]) {
    if query.includes("app") {
        let found = rows.iter().map(|binding| binding.app);
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
    let home = binding.home(context.world);
    if !context.access.allows(context.world, home, READ_SECRETS) {
        return Err(CcError::not_found(ServiceBinding::KIND));
    }
    let instance: &ServiceInstance = context.row(binding.instance)?;
    let mut details = json!({});
    if let Some(credentials) = &instance.credentials {
        details["credentials"] = json!(credentials);
    }
    if let Some(url) = &instance.syslog_drain_url {
        details["syslog_drain_url"] = json!(url);
    }
    Ok(Response::ok(&details))
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
    let is_key = body.get("type").is_some_and(|kind| kind == "key");
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
    if body.contains_key("parameters") {
        return Err(CcError::unprocessable(
            "Binding parameters are not supported for user-provided service instances",
        ));
    }
    if is_key {
        return Err(CcError::unprocessable(
            "Service credential bindings of type 'key' are not supported for user-provided service instances.",
        ));
    }
    let app = known::<App>(context, "app", app)?;
    context.authorize(context.world.home_of_app(app))?;
    let name = binding_name(&body)?;
    let bound = context.world.bind(app, instance, name, metadata);
    context.created(bound.map_err(CcError::unprocessable)?, present)
}

/// The name of a new binding, which only the model looks at.
fn binding_name(body: &Map<String, Value>) -> Result<Option<String>, CcError> {
    const MAX: usize = 255;
    let name = body.get("name").unwrap_or(&Value::Null);
    let text = ruby::text(name);
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut problems = Vec::new();
    if ruby::length(name) > MAX {
        problems.push(
            "The binding name is invalid. App binding names must be less than 256 characters.",
        );
    }
    if !ruby::is_blank(name) && !text.chars().all(in_name) {
        problems.push(
            "The binding name is invalid. Valid characters are alphanumeric, underscore, and dash.",
        );
    }
    if !problems.is_empty() {
        return Err(CcError::unprocessable(problems.join(", ")));
    }
    ruby::column(name).map_err(|()| CcError::unknown())
}

/// The GUID of a row that a request names.
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
    let guid = context.guid_of::<ServiceBinding>("guid")?;
    let patch = context.metadata_patch()?;
    context.update_metadata(guid, patch, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<ServiceBinding>("guid")?;
    context.world.service_bindings.remove(guid);
    Ok(Response::empty(204))
}

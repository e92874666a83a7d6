//! `/v3/apps` of 2017: apps have no relationships and no metadata, and have no process
//! before a droplet is assigned

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::{CcError, validate};
use crate::api::fixtures::{self, Template};
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::shared::app_environment;
use crate::api::shared::app_environment::check_environment;
use crate::api::shared::current_droplet::{
    self, droplet_of, read_assigned_droplet, refuse_removal,
};
use crate::api::shared::lifecycle::{self, Purpose};
use crate::api::shared::new_app::{name_errors, read_new};
use crate::world::{App, Field, Guid, Kind, Row};

use super::{droplets, packages};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps", index),
    Route::post("/v3/apps", create),
    Route::get("/v3/apps/:guid", show),
    Route::put("/v3/apps/:guid", update),
    Route::patch("/v3/apps/:guid", update),
    Route::delete("/v3/apps/:guid", delete),
    Route::put("/v3/apps/:guid/start", start),
    Route::put("/v3/apps/:guid/stop", stop),
    Route::get("/v3/apps/:guid/env", app_environment::show_env),
    Route::get("/v3/apps/:guid/environment_variables", show_environment),
    Route::patch("/v3/apps/:guid/environment_variables", update_environment),
    Route::get(
        "/v3/apps/:guid/relationships/current_droplet",
        current_droplet_relationship,
    ),
    Route::patch(
        "/v3/apps/:guid/relationships/current_droplet",
        assign_droplet,
    ),
    Route::get("/v3/apps/:guid/droplets/current", current_droplet),
    Route::get("/v3/apps/:guid/droplets", droplets::index_of_app),
    Route::get("/v3/apps/:guid/packages", packages::index_of_app),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    ..ListSpec::of(&["names", "organization_guids", "space_guids"])
};

const FIELDS: &[&str] = &[
    "name",
    "environment_variables",
    "relationships",
    "lifecycle",
];
const NO_SPACE: &str = "Space is invalid. Ensure it exists and you have access to it.";

fn present(app: &App, view: &View<'_>, template: Template) -> Value {
    let path = format!("/v3/apps/{}", app.base.guid);
    let below = |rest: &str| view.link(&format!("{path}/{rest}"));
    template.fill(json!({
        "guid": app.base.guid,
        "name": app.name,
        "state": app.state(),
        "created_at": app.base.created,
        "updated_at": app.base.updated,
        "lifecycle": lifecycle::present(&app.lifecycle),
        "links": {
            "self": view.link(&path),
            "environment_variables": below("environment_variables"),
            "space": view.link(&format!("/v2/spaces/{}", app.space)),
            "processes": below("processes"),
            "route_mappings": below("route_mappings"),
            "packages": below("packages"),
            "current_droplet": below("droplets/current"),
            "droplets": below("droplets"),
            "tasks": below("tasks"),
            "start": view.action("PUT", &format!("{path}/start")),
            "stop": view.action("PUT", &format!("{path}/stop")),
        },
    }))
}

/// The app that the path names.
pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<App>("guid")
}

fn present_shown(app: &App, view: &View<'_>) -> Value {
    present(app, view, fixtures::APP)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = query.by_spaces(context.world, selection);
    query.respond_by_query(context, &selection, |_| true, present_shown)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let new = read_new(context, FIELDS, NO_SPACE)?;
    if context.world.find_app(new.space, &new.name).is_some() {
        return Err(CcError::unprocessable("name must be unique in space"));
    }
    let guid = new.create(context.world);
    let app = context.present(guid, |app, view| present(app, view, fixtures::CREATE_APP))?;
    Ok(Response::created(&app))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present_shown)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "lifecycle"]);
    let name = message.optional_text("name", 0..=255);
    let App {
        space,
        lifecycle: current,
        ..
    } = context.row(guid)?;
    let asked = lifecycle::read(&mut message, current, context.world, Purpose::App);
    message.finish()?;
    asked.check()?;
    validate(&name.map(name_errors).unwrap_or_default())?;
    let holder = name
        .and_then(|name| context.world.find_app(*space, name))
        .map(Row::guid);
    if holder.is_some_and(|holder| holder != guid) {
        return Err(CcError::unprocessable("name must be unique in space"));
    }
    context.world.update_row(guid, |app: &mut App| {
        app.name = name.map_or_else(|| std::mem::take(&mut app.name), str::to_owned);
        app.lifecycle = asked.lifecycle;
    });
    context.ok(guid, present_shown)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.world.delete(Kind::App, guid);
    Ok(Response::empty(204))
}

fn start(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    droplet_of(context, guid)?;
    context.start_app(guid)?;
    context.ok(guid, present_shown)
}

fn stop(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.world.stop_app(guid);
    context.ok(guid, present_shown)
}

/// Variables are on the same level as the links.
fn present_environment(app: &App, view: &View<'_>) -> Value {
    let mut body = json!({"links": app_environment::links(app, view)});
    if let Value::Object(fields) = &mut body {
        fields.extend(app.environment.clone());
    }
    body
}

fn presented_environment(context: &RequestContext<'_>, guid: Guid) -> Result<Response, CcError> {
    let environment = context.present(guid, present_environment)?;
    Ok(Response::ok(&environment))
}

fn show_environment(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    presented_environment(context, find(context)?)
}

fn update_environment(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let variables: Map<String, Value> = context.request.object()?;
    let errors = check_environment("Environment variables", &variables);
    if !errors.is_empty() {
        return Err(CcError::unprocessable(errors.join(", ")));
    }
    context.world.set_environment(guid, variables);
    presented_environment(context, guid)
}

fn present_droplet_relationship(context: &RequestContext<'_>, app: Guid, droplet: Guid) -> Value {
    fixtures::CURRENT_DROPLET.fill(current_droplet::present_droplet_relationship(
        context, app, droplet,
    ))
}

fn current_droplet_relationship(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = find(context)?;
    let droplet = droplet_of(context, app)?;
    Ok(Response::ok(&present_droplet_relationship(
        context, app, droplet,
    )))
}

fn current_droplet(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let droplet = droplet_of(context, find(context)?)?;
    context.ok(droplet, droplets::present)
}

fn assign_droplet(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = find(context)?;
    refuse_removal(context)?;
    let droplet = read_assigned_droplet(context, app, |app| {
        app.started
            .then_some("Stop the app before changing droplet")
    })?;
    context.world.assign_droplet(app, droplet);
    Ok(Response::ok(&present_droplet_relationship(
        context, app, droplet,
    )))
}

//! `/v3/route_mappings`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router;
use crate::world::{App, Destination, Field, Guid, Route, Selection};

use super::{apps, related};

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v3/route_mappings", index),
    router::Route::post("/v3/route_mappings", create),
    router::Route::get("/v3/route_mappings/:mapping", show),
    router::Route::delete("/v3/route_mappings/:mapping", delete),
    router::Route::get("/v3/apps/:guid/route_mappings", index_of_app),
];

const LIST: ListSpec = ListSpec::of(&["app_guid", "app_guids", "route_guids"]);
const KIND: &str = "Route mapping";

fn present(route: Guid, mapping: &Destination, view: &View<'_>) -> Value {
    let app = format!("/v3/apps/{}", mapping.app);
    json!({
        "guid": mapping.guid,
        "created_at": mapping.created,
        "updated_at": mapping.created,
        "links": {
            "self": view.link(&format!("/v3/route_mappings/{}", mapping.guid)),
            "app": view.link(&app),
            "route": view.link(&format!("/v2/routes/{route}")),
            "process": view.link(&format!("{app}/processes/{}", mapping.process)),
        },
    })
}

fn find<'c>(context: &'c RequestContext<'_>) -> Result<(&'c Route, &'c Destination), CcError> {
    Guid::parse(context.capture("mapping"))
        .and_then(|guid| {
            let routes = context
                .world
                .routes
                .select(&Selection::by(Field::Destination, guid));
            let route = *routes.first()?;
            let mapping = route
                .destinations
                .iter()
                .find(|mapping| mapping.guid == guid)?;
            Some((route, mapping))
        })
        .ok_or_else(|| CcError::not_found(KIND))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    list(context, Some(app))
}

fn list(context: &RequestContext<'_>, app: Option<Guid>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let apps = app
        .map(|app| vec![app])
        .or_else(|| query.guids("app_guids"));
    let mut selection = query.by_guids(Selection::all(), "route_guids", Field::Guid);
    if let Some(apps) = &apps {
        selection = selection.any_guid(Field::App, apps.iter().copied());
    }
    let view = context.view();
    let mappings: Vec<Value> = view
        .world
        .routes
        .select(&selection)
        .into_iter()
        .flat_map(|route| {
            route
                .destinations
                .iter()
                .map(|mapping| (route.base.guid, mapping))
        })
        .filter(|(_, mapping)| apps.as_ref().is_none_or(|apps| apps.contains(&mapping.app)))
        .map(|(route, mapping)| present(route, mapping, &view))
        .collect();
    Ok(query.answer_all(context, mappings).into())
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["relationships"]);
    let (app, route) = (related(&body, "app"), related(&body, "route"));
    if app.is_none() {
        message.error("App guid must be a string");
    }
    if route.is_none() {
        message.error("Route guid must be a string");
    }
    message.finish()?;
    let kind = body
        .get("relationships")
        .and_then(|relationships| relationships.get("process")?.get("type")?.as_str())
        .unwrap_or("web");
    let app = app.and_then(|guid| context.world.look_up::<App>(guid));
    let app = app.ok_or_else(|| CcError::not_found("App"))?;
    let route = route.and_then(|guid| context.world.look_up::<Route>(guid));
    let route = route.ok_or_else(|| CcError::not_found("Route"))?;
    if app.space != route.space {
        return Err(CcError::unprocessable(
            "the app and route must belong to the same space",
        ));
    }
    if context.world.process(app.base.guid, kind).is_none() {
        // The Cloud Controller of 2017 had no message for this error.
        return Err(CcError::new(
            500,
            10001,
            "UnknownError",
            "An unknown error occurred.",
        ));
    }
    let (app, route) = (app.base.guid, route.base.guid);
    add(context, route, app, kind)
}

fn add(
    context: &mut RequestContext<'_>,
    route: Guid,
    app: Guid,
    kind: &str,
) -> Result<Response, CcError> {
    let mapping = Destination {
        guid: context.world.next_guid(),
        app,
        process: kind.into(),
        weight: None,
        port: Some(8080),
        protocol: "http1".into(),
        created: context.world.now(),
        updated: context.world.now(),
    };
    let existing = context.world.routes.get(route);
    if existing.is_some_and(|route| {
        route
            .destinations
            .iter()
            .any(|m| m.has_same_target(&mapping))
    }) {
        return Err(CcError::unprocessable(
            "Duplicate Route Mapping - Only one route mapping may exist for an application, route, and port",
        ));
    }
    let answer = present(route, &mapping, &context.view());
    context
        .world
        .update_row(route, |route: &mut Route| route.destinations.push(mapping));
    Ok(Response::created(&answer))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (route, mapping) = find(context)?;
    Ok(Response::ok(&present(
        route.base.guid,
        mapping,
        &context.view(),
    )))
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (route, mapping) = find(context)?;
    let (route, mapping) = (route.base.guid, mapping.guid);
    context.world.update_row(route, |route: &mut Route| {
        route.destinations.retain(|other| other.guid != mapping);
    });
    Ok(Response::empty(204))
}

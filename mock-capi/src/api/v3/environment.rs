//! `/v3/apps/:guid/environment_variables` and `/v3/apps/:guid/env`

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::{Message, check_environment};
use crate::api::router::Route;
use crate::world::{App, EnvironmentGroup, Guid, MANAGE_APPS, World};

use super::{apps, service_credential_bindings};

/// What lets anyone see the environment of apps, and those who run them.
pub(crate) const VISIBILITY: &str = "env_var_visibility";
pub(crate) const VISIBILITY_TO_DEVELOPERS: &str = "space_developer_env_var_visibility";

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps/:guid/environment_variables", show)
        .by(MANAGE_APPS)
        .flagged(VISIBILITY),
    Route::patch("/v3/apps/:guid/environment_variables", update).by(MANAGE_APPS),
    Route::get("/v3/apps/:guid/env", show_env)
        .by(MANAGE_APPS)
        .flagged(VISIBILITY),
];

fn present(app: &App, view: &View<'_>) -> Value {
    json!({"var": app.environment, "links": links(app, view)})
}

pub(crate) fn links(app: &App, view: &View<'_>) -> Value {
    let path = format!("/v3/apps/{}", app.base.guid);
    json!({
        "self": view.link(&format!("{path}/environment_variables")),
        "app": view.link(&path),
    })
}

fn presented(context: &RequestContext<'_>, guid: Guid) -> Result<Response, CcError> {
    let environment = context.present(guid, present)?;
    Ok(Response::ok(&environment))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = apps::find(context)?;
    context.require_flag(VISIBILITY_TO_DEVELOPERS)?;
    context
        .world
        .record(guid, "audit.app.environment_variables.show", json!({}));
    presented(context, guid)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = apps::find(context)?;
    let variables = read(&context.request.object()?)?;
    let request = [("environment_variables".to_owned(), json!(variables))];
    set(context.world, guid, variables);
    apps::log_update(context.world, guid, request.into_iter().collect());
    presented(context, guid)
}

/// The variables of a request that changes some.
pub(crate) fn read(body: &Map<String, Value>) -> Result<Map<String, Value>, CcError> {
    let mut message = Message::new(body, &["var"]);
    let variables = match message.get("var") {
        Some(Value::Object(variables)) => Some(variables),
        _ => {
            message.error("Var must be an object");
            None
        }
    };
    for error in variables.into_iter().flat_map(variable_errors) {
        message.error(error);
    }
    message.finish()?;
    Ok(variables.cloned().unwrap_or_default())
}

fn variable_errors(variables: &Map<String, Value>) -> Vec<String> {
    let mut errors = check_environment("Var", variables);
    for (key, value) in variables {
        if !value.is_string() && !value.is_null() {
            errors.push(format!(
                "Non-string value in environment variable for key '{key}', value '{value}'"
            ));
        }
    }
    errors
}

/// Sets variables; null removes one.
pub(crate) fn set(world: &mut World, app: Guid, variables: Map<String, Value>) {
    if variables.is_empty() {
        return;
    }
    world.touch(app, |app: &mut App| merge(&mut app.environment, variables));
}

/// Sets variables; null removes one.
pub(crate) fn merge(environment: &mut Map<String, Value>, variables: Map<String, Value>) {
    for (key, value) in variables {
        if value.is_null() {
            environment.remove(&key);
        } else {
            environment.insert(key, value);
        }
    }
}

/// `GET /v3/apps/:guid/env`
pub(crate) fn show_env(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = apps::find(context)?;
    context.require_flag(VISIBILITY_TO_DEVELOPERS)?;
    context
        .world
        .record(guid, "audit.app.environment.show", json!({}));
    let env = context.present(guid, present_env)?;
    Ok(Response::ok(&env))
}

pub(crate) fn present_env(app: &App, view: &View<'_>) -> Value {
    let space = view.world.spaces.get(app.space);
    let org = view.world.org_of(app.space);
    let uris: Vec<String> = view
        .world
        .routes
        .select(&crate::world::Selection::by(
            crate::world::Field::App,
            app.base.guid,
        ))
        .into_iter()
        .map(|route| view.world.route_url(route))
        .collect();
    let group = |name| {
        let group = view.world.named::<EnvironmentGroup>(name);
        group.map(|group| &group.variables)
    };
    json!({
        "environment_variables": app.environment,
        "staging_env_json": group("staging"),
        "running_env_json": group("running"),
        "system_env_json": view.secrets(json!({
            "VCAP_SERVICES": service_credential_bindings::present_environment(app, view),
        })),
        "application_env_json": {
            "VCAP_APPLICATION": {
                "application_id": app.base.guid,
                "application_name": app.name,
                "application_uris": uris,
                "cf_api": view.link("")["href"],
                "limits": {"fds": 16384},
                "name": app.name,
                "organization_id": org.map(|org| org.base.guid),
                "organization_name": org.map(|org| &org.name),
                "space_id": app.space,
                "space_name": space.map(|space| &space.name),
                "uris": uris,
                "users": null,
            }
        },
    })
}

//! `/v3/apps/:guid/environment_variables` and `/v3/apps/:guid/env`

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::shared::app_environment::{
    VISIBILITY, VISIBILITY_TO_DEVELOPERS, check_environment, links, show_env,
};
use crate::world::{App, Guid, MANAGE_APPS, READ_ENVIRONMENT};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps/:guid/environment_variables", show)
        .by(READ_ENVIRONMENT)
        .flagged(VISIBILITY),
    Route::patch("/v3/apps/:guid/environment_variables", update).by(MANAGE_APPS),
    Route::get("/v3/apps/:guid/env", show_env)
        .by(READ_ENVIRONMENT)
        .flagged(VISIBILITY),
];

fn present(app: &App, view: &View<'_>) -> Value {
    json!({"var": app.environment, "links": links(app, view)})
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
    context.world.set_environment(guid, variables);
    context
        .world
        .record_app_update(guid, request.into_iter().collect());
    presented(context, guid)
}

/// The variables in a request that changes some of them.
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

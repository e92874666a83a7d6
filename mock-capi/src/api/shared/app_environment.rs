//! The environment of an app: its own variables and the platform's variables.

use serde_json::{Map, Value, json};

use super::bound_services;
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::{App, EnvironmentGroup, Field, Selection};

/// The feature flags for reading environments.
pub(crate) const VISIBILITY: &str = "env_var_visibility";

pub(crate) const VISIBILITY_TO_DEVELOPERS: &str = "space_developer_env_var_visibility";

pub(crate) fn links(app: &App, view: &View<'_>) -> Value {
    let path = format!("/v3/apps/{}", app.base.guid);
    json!({
        "self": view.link(&format!("{path}/environment_variables")),
        "app": view.link(&path),
    })
}

/// `GET /v3/apps/:guid/env`
pub(crate) fn show_env(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<App>("guid")?;
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
        .select(&Selection::by(Field::App, app.base.guid))
        .into_iter()
        .map(|route| view.world.route_url(route))
        .collect();
    let group = |name| {
        let group = view.world.named::<EnvironmentGroup>(name);
        group.map(|group| &group.variables)
    };
    json!({
        "environment_variables": app.given_environment(),
        "staging_env_json": group("staging"),
        "running_env_json": group("running"),
        "system_env_json": view.secrets(json!({
            "VCAP_SERVICES": bound_services::present_bound(app, view),
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

/// The errors for the names of environment variables, which begin with `label`.
pub(crate) fn check_environment(label: &str, variables: &Map<String, Value>) -> Vec<String> {
    environment_errors(variables)
        .map(|(_, reason)| format!("{label} {reason}"))
        .collect()
}

/// The errors for environment variables by their names.
pub(crate) fn environment_errors(
    variables: &Map<String, Value>,
) -> impl Iterator<Item = (&str, &'static str)> {
    let names = variables.keys().map(String::as_str);
    names.filter_map(|name| Some((name, environment_error(name)?)))
}

/// The error for the name of an environment variable.
pub(crate) fn environment_error(name: &str) -> Option<&'static str> {
    let upper = name.to_uppercase();
    if name.is_empty() {
        Some("key must be a minimum length of 1")
    } else if upper.starts_with("VCAP_") {
        Some("cannot start with VCAP_")
    } else if upper.starts_with("VMC") {
        Some("cannot start with VMC_")
    } else if upper == "PORT" {
        Some("cannot set PORT")
    } else {
        None
    }
}

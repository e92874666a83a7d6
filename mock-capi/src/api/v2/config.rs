//! `/v2/config`: feature flags, and the environment variable groups for running and for
//! staging apps

use serde_json::{Map, Value, json};

use super::schema::parse_error;
use super::{authorize, put};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::shared::app_environment::check_environment;
use crate::world::{ADMINS, AccessScope, EnvironmentGroup, FeatureFlag, Guid, Row};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/config/feature_flags", index_flags),
    Route::get("/v2/config/feature_flags/:name", show_flag),
    put("/v2/config/feature_flags/:name", update_flag),
    Route::get("/v2/config/environment_variable_groups/:name", show_group),
    put("/v2/config/environment_variable_groups/:name", update_group),
];

/// The flags in the order in which the Cloud Controller introduced them.
const FLAGS: [&str; 19] = [
    "user_org_creation",
    "private_domain_creation",
    "app_bits_upload",
    "app_scaling",
    "route_creation",
    "service_instance_creation",
    "diego_docker",
    "diego_cnb",
    "set_roles_by_username",
    "unset_roles_by_username",
    "task_creation",
    "env_var_visibility",
    "space_scoped_private_broker_creation",
    "space_developer_env_var_visibility",
    "service_instance_sharing",
    "hide_marketplace_from_unauthenticated_users",
    "resource_matching",
    "route_sharing",
    "hash_based_routing",
];

fn present_flag(flag: &FeatureFlag) -> Value {
    json!({
        "name": flag.name,
        "enabled": flag.enabled,
        "error_message": flag.error_message,
        "url": format!("/v2/config/feature_flags/{}", flag.name),
    })
}

fn find_flag(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let name = context.capture("name");
    let flag = context.world.named::<FeatureFlag>(name);
    flag.map(Row::guid).ok_or_else(|| {
        let detail = format!("The feature flag could not be found: {name}");
        CcError::new(404, 330_000, "CF-FeatureFlagNotFound", detail)
    })
}

fn index_flags(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let flags = FLAGS.iter();
    let flags = flags.filter_map(|name| context.world.named::<FeatureFlag>(name));
    Ok(Response::ok(&flags.map(present_flag).collect()))
}

fn show_flag(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find_flag(context)?;
    Ok(Response::ok(&present_flag(context.row(guid)?)))
}

fn update_flag(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let guid = find_flag(context)?;
    let body = context.request.object()?;
    let invalid = |reason: &str| {
        let detail = format!("The feature flag is invalid: {reason}");
        CcError::new(400, 330_001, "CF-FeatureFlagInvalid", detail)
    };
    let enabled = match body.get("enabled") {
        Some(Value::Bool(enabled)) => *enabled,
        _ => return Err(invalid("enabled presence")),
    };
    let message = body.get("error_message").and_then(Value::as_str);
    if message.is_some_and(|text| text.is_empty() || text.chars().any(char::is_control)) {
        return Err(invalid("error_message format"));
    }
    context.world.update_row(guid, |flag: &mut FeatureFlag| {
        flag.enabled = enabled;
        flag.error_message = message.map(str::to_owned);
        flag.changed = true;
    });
    Ok(Response::ok(&present_flag(context.row(guid)?)))
}

fn find_group(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let name = context.capture("name");
    let group = context.world.named::<EnvironmentGroup>(name);
    group.map(Row::guid).ok_or_else(CcError::unknown_request)
}

fn show_group(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find_group(context)?;
    let group: &EnvironmentGroup = context.row(guid)?;
    Ok(Response::ok(&json!(group.variables)))
}

/// Replaces all variables of a group.
fn update_group(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find_group(context)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let invalid = |reason: &str| {
        let detail = format!("The Environment Variable Group is invalid: {reason}");
        CcError::new(400, 380_001, "CF-EnvironmentVariableGroupInvalid", detail)
    };
    let body = serde_json::from_slice(context.request.body)
        .map_err(|_| parse_error("invalid request body"))?;
    let variables: Map<String, Value> = match body {
        Value::Object(variables) => variables,
        Value::Null => {
            return Err(invalid(
                "Cannot be 'null'. You may want to try empty object '{}' to clear the group.",
            ));
        }
        _ => return Err(invalid("environment_json must be an object")),
    };
    let errors = check_environment("environment_json", &variables);
    if !errors.is_empty() {
        return Err(invalid(&errors.join(", ")));
    }
    context
        .world
        .update_row(guid, |group: &mut EnvironmentGroup| {
            group.variables = variables;
        });
    show_group(context)
}

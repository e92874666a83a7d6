//! Instances of `/v2/apps`, their statistics, and the environment

use serde_json::{Map, Value, json};

use super::apps::{APPS, writable};
use super::{known, not_staged, remove};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::shared::app_environment;
use crate::world::{
    AccessScope, App, Field, Guid, InstanceAddress, InstanceState, Process, READ_SECRETS,
    Selection, instance_guid,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/apps/:guid/instances", instances),
    Route::get("/v2/apps/:guid/stats", stats),
    remove("/v2/apps/:guid/instances/:index", stop_instance),
    Route::get("/v2/apps/:guid/crashes", crashes),
    Route::get("/v2/apps/:guid/env", show_env).flagged(app_environment::VISIBILITY),
];

/// The app that the path names, and its web process.
fn find<'c>(
    context: &'c RequestContext<'_>,
    guid: Guid,
) -> Result<(&'c App, &'c Process), CcError> {
    let process = context.world.process(guid, "web");
    let process = process.ok_or_else(|| APPS.not_found(context.capture("guid")))?;
    Ok((context.row(guid)?, process))
}

/// Presents instances by their indices.
fn by_index(
    context: &RequestContext<'_>,
    process: &Process,
    present: impl Fn(InstanceState) -> Value,
) -> Response {
    let instances = context.world.instances(process).into_iter();
    let presented = instances.map(|instance| (instance.index.to_string(), present(instance)));
    Response::ok(&Value::Object(presented.collect::<Map<_, _>>()))
}

fn instances(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (app, process) = find(context, APPS.readable(context)?)?;
    match context.world.package_state(app) {
        "FAILED" => {
            let detail = "Staging error: cannot get instances since staging failed";
            return Err(CcError::new(400, 170_001, "CF-StagingError", detail));
        }
        "PENDING" => return Err(not_staged()),
        _ => {}
    }
    if !app.started {
        let detail = format!(
            "Instances error: Request failed for app: {} as the app is in stopped state.",
            app.name
        );
        return Err(CcError::new(400, 220_001, "CF-InstancesError", detail));
    }
    let now = context.world.now().unix_seconds();
    Ok(by_index(context, process, |instance| {
        match instance.uptime {
            None => json!({"state": instance.name, "uptime": 0}),
            Some(uptime) => json!({
                "state": instance.name,
                "routable": instance.name == "RUNNING",
                "uptime": uptime,
                "since": now.saturating_sub(uptime),
            }),
        }
    }))
}

fn stats(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const MEGABYTE: u64 = 1024 * 1024;
    let (app, process) = find(context, APPS.readable(context)?)?;
    if !app.started {
        let detail = format!("Could not fetch stats for stopped app: {}", app.name);
        return Err(CcError::new(
            400,
            200_003,
            "CF-AppStoppedStatsError",
            detail,
        ));
    }
    let world = &*context.world;
    let routes = world
        .routes
        .select(&Selection::by(Field::App, app.base.guid));
    let uris: Vec<String> = routes.iter().map(|route| world.route_url(route)).collect();
    Ok(by_index(context, process, |instance| {
        let Some(uptime) = instance.uptime else {
            return json!({"state": instance.name, "stats": {"uptime": 0}});
        };
        let address = world.address_of(process, instance.index);
        json!({
            "state": instance.name,
            "routable": instance.name == "RUNNING",
            "stats": {
                "name": app.name,
                "uris": uris,
                "host": address.map(|address| address.host().to_string()),
                "port": address.map(InstanceAddress::external_port),
                "instance_guid": instance_guid(process, instance.index),
                "uptime": uptime,
                "mem_quota": u64::from(process.scale.memory_mb) * MEGABYTE,
                "disk_quota": u64::from(process.scale.disk_mb) * MEGABYTE,
                "log_rate_limit": process.scale.log_rate,
                "fds_quota": 16_384,
                "usage": {
                    "time": world.now(),
                    "cpu": 0.0,
                    "cpu_entitlement": 0.0,
                    "mem": 0,
                    "disk": 0,
                    "log_rate": 0,
                },
            },
        })
    }))
}

/// `DELETE /v2/apps/:guid/instances/:index`: the instance is replaced.
fn stop_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &APPS)?;
    writable(context, guid)?;
    let (_, process) = find(context, guid)?;
    let process = process.base.guid;
    // Values that are not numbers select the first instance.
    let index = context.capture("index").parse().unwrap_or_default();
    context.world.restart_instance(process, index);
    Ok(Response::empty(204))
}

/// `GET /v2/apps/:guid/crashes`: the crashed instances.
fn crashes(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (_, process) = find(context, APPS.readable(context)?)?;
    let now = context.world.now().unix_seconds();
    let instances = context.world.instances(process).into_iter();
    let crashed = instances.filter(|instance| instance.name == "CRASHED");
    let crashed: Vec<Value> = crashed
        .map(|instance| {
            let since = now.saturating_sub(instance.uptime.unwrap_or_default());
            json!({"instance": instance_guid(process, instance.index), "since": since})
        })
        .collect();
    Ok(Response::ok(&json!(crashed)))
}

fn show_env(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &APPS)?;
    let space = context.row::<App>(guid)?.space;
    let access_scope = AccessScope::Space(space);
    if !context
        .access
        .allows(context.world, access_scope, READ_SECRETS)
    {
        return Err(CcError::not_authorized());
    }
    context.require_flag(app_environment::VISIBILITY_TO_DEVELOPERS)?;
    let mut env = context.present(guid, app_environment::present_env)?;
    let (_, process) = find(context, guid)?;
    let version = context.world.version_of(process);
    let of_app = &mut env["application_env_json"]["VCAP_APPLICATION"];
    of_app["limits"]["mem"] = json!(process.scale.memory_mb);
    of_app["limits"]["disk"] = json!(process.scale.disk_mb);
    of_app["process_id"] = json!(process.base.guid);
    of_app["process_type"] = json!(process.kind);
    of_app["version"] = json!(version);
    of_app["application_version"] = json!(version);
    if let Some(env) = env.as_object_mut()
        && let Some(variables) = env.remove("environment_variables")
    {
        env.insert("environment_json".into(), variables);
    }
    Ok(Response::ok(&env))
}

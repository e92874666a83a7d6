//! What runs of `/v2/apps`: instances, their statistics, and the environment.

use serde_json::{Map, Value, json};

use super::{apps, not_staged};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::v3::environment;
use crate::world::{App, Field, Guid, InstanceState, Process, Selection, instance_guid};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/apps/:guid/instances", instances),
    Route::get("/v2/apps/:guid/stats", stats),
    Route::get("/v2/apps/:guid/env", show_env).flagged(environment::VISIBILITY),
];

/// The app that is asked for, and its web process.
fn find<'c>(
    context: &'c RequestContext<'_>,
    guid: Guid,
) -> Result<(&'c App, &'c Process), CcError> {
    let process = context.world.process(guid, "web");
    let process = process.ok_or_else(|| apps::ERRORS.not_found(context.capture("guid")))?;
    Ok((context.row(guid)?, process))
}

/// Each instance by its index.
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
    let (app, process) = find(context, apps::find(context)?)?;
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
    let (app, process) = find(context, apps::find(context)?)?;
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
        json!({
            "state": instance.name,
            "routable": instance.name == "RUNNING",
            "stats": {
                "name": app.name,
                "uris": uris,
                "host": "10.0.0.1",
                "port": 61_000,
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

fn show_env(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = apps::find(context)?;
    context.require_flag(environment::VISIBILITY_TO_DEVELOPERS)?;
    let mut env = context.present(guid, environment::present_env)?;
    if let Some(env) = env.as_object_mut()
        && let Some(variables) = env.remove("environment_variables")
    {
        env.insert("environment_json".into(), variables);
    }
    Ok(Response::ok(&env))
}

//! `/v3/processes` of 2017.

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::ListSpec;
use crate::api::router::Route;
use crate::api::shared::processes as shared;
use crate::world::{Guid, InstanceAddress, InstanceState, Process};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/processes", index),
    Route::get("/v3/processes/:process", show),
    Route::patch("/v3/processes/:process", update),
    Route::put("/v3/processes/:process/scale", scale),
    Route::get("/v3/processes/:process/stats", stats),
    Route::get("/v3/apps/:guid/processes", index_of_app),
    Route::get("/v3/apps/:guid/processes/:type", show),
    Route::put("/v3/apps/:guid/processes/:type/scale", scale),
    Route::get("/v3/apps/:guid/processes/:type/stats", stats),
];

const LIST: ListSpec = ListSpec::of(&[
    "app_guid",
    "types",
    "space_guids",
    "organization_guids",
    "app_guids",
]);

fn present(process: &Process, view: &View<'_>) -> Value {
    let path = format!("/v3/processes/{}", process.base.guid);
    json!({
        "guid": process.base.guid,
        "type": process.kind,
        "command": view.secret(json!(process.command)),
        "instances": process.scale.instances,
        "memory_in_mb": process.scale.memory_mb,
        "disk_in_mb": process.scale.disk_mb,
        "health_check": {
            "type": process.health_check.kind,
            "data": {"timeout": process.health_check.timeout},
        },
        "created_at": process.base.created,
        "updated_at": process.base.updated,
        "links": {
            "self": view.link(&path),
            "scale": view.action("PUT", &format!("{path}/scale")),
            "app": view.link(&format!("/v3/apps/{}", process.app)),
            "space": view.link(&format!("/v2/spaces/{}", process.space)),
            "stats": view.link(&format!("{path}/stats")),
        },
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    list(context, Some(app))
}

fn list(context: &RequestContext<'_>, app: Option<Guid>) -> Result<Response, CcError> {
    shared::list(context, &LIST, app, |process, view, _| {
        present(process, view)
    })
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(Response::ok(&present(
        shared::find(context)?,
        &context.view(),
    )))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = shared::change(context)?;
    context.ok(guid, present)
}

fn scale(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let process = shared::scale_process(context, present)?;
    Ok(Response::json(202, &process))
}

fn stats(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let process = shared::find(context)?;
    let instances = context.world.instances(process).into_iter();
    let stats = instances.map(|instance| present_stats(process, instance, &context.view()));
    Ok(Response::ok(
        &json!({"resources": stats.collect::<Vec<_>>()}),
    ))
}

fn present_stats(process: &Process, instance: InstanceState, view: &View<'_>) -> Value {
    const MEGABYTE: u64 = 1024 * 1024;
    let Some(uptime) = instance.uptime else {
        return json!({
            "type": process.kind,
            "index": instance.index,
            "state": instance.name,
            "uptime": 0,
        });
    };
    let address = view.world.address_of(process, instance.index);
    json!({
        "type": process.kind,
        "index": instance.index,
        "state": instance.name,
        "usage": {"time": view.at, "cpu": 0.0, "mem": 0, "disk": 0},
        "host": address.map(|address| address.host().to_string()),
        "uptime": uptime,
        "mem_quota": u64::from(process.scale.memory_mb) * MEGABYTE,
        "disk_quota": u64::from(process.scale.disk_mb) * MEGABYTE,
        "fds_quota": 16_384,
        "instance_ports": [{
            "external": address.map(InstanceAddress::external_port),
            "internal": 8080,
        }],
    })
}

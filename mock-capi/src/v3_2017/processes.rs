//! `/v3/processes` of 2017.

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::router::Route;
use crate::v3::{apps, processes as today};
use crate::world::{Guid, InstanceState, Process};

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
        "guid": process.base.guid.to_string(),
        "type": process.kind,
        "command": today::command(process, view),
        "instances": process.scale.instances,
        "memory_in_mb": process.scale.memory_mb,
        "disk_in_mb": process.scale.disk_mb,
        "health_check": {
            "type": process.health_check.kind,
            "data": {"timeout": process.health_check.timeout},
        },
        "created_at": process.base.created.to_string(),
        "updated_at": process.base.updated.to_string(),
        "links": {
            "self": view.link(&path),
            "scale": view.action("PUT", &format!("{path}/scale")),
            "app": view.link(&format!("/v3/apps/{}", process.app)),
            "space": view.link(&format!("/v2/spaces/{}", process.space)),
            "stats": view.link(&format!("{path}/stats")),
        },
    })
}

fn presented(call: &Call<'_>, guid: Guid) -> Result<Value, CcError> {
    call.present(guid, |world| &world.processes, today::KIND, present)
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    list(call, None)
}

fn index_of_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    list(call, Some(app))
}

fn list(call: &Call<'_>, app: Option<Guid>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    let page = today::page(call, &query, app);
    let view = call.view();
    Ok(Response::ok(
        &query.answer(call, &page, |process| present(process, &view)),
    ))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    presented(call, today::find(call)?).map(|process| Response::ok(&process))
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::change(call)?;
    presented(call, guid).map(|process| Response::ok(&process))
}

fn scale(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::scale_process(call)?;
    presented(call, guid).map(|process| Response::json(202, &process))
}

fn stats(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = today::find(call)?;
    let stats = call.present(
        guid,
        |world| &world.processes,
        today::KIND,
        |process, view| {
            let instances = view.world.instances(process).into_iter();
            let stats = instances.map(|instance| present_stats(process, instance, view));
            json!({"resources": stats.collect::<Vec<_>>()})
        },
    )?;
    Ok(Response::ok(&stats))
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
    json!({
        "type": process.kind,
        "index": instance.index,
        "state": instance.name,
        "usage": {"time": view.at.to_string(), "cpu": 0.0, "mem": 0, "disk": 0},
        "host": "10.0.0.1",
        "uptime": uptime,
        "mem_quota": u64::from(process.scale.memory_mb) * MEGABYTE,
        "disk_quota": u64::from(process.scale.disk_mb) * MEGABYTE,
        "fds_quota": 16_384,
        "instance_ports": [{"external": 61_000, "internal": 8080}],
    })
}

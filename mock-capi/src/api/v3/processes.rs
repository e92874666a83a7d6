//! `/v3/processes`, and the processes of an app

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::router::Route;
use crate::api::shared::processes::{change, find, list, scale_process};
use crate::api::state::Present;
use crate::world::{
    HealthCheck, InstanceAddress, InstanceState, MANAGE_APPS, Process, instance_guid,
};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/processes", index),
    Route::get("/v3/processes/:process", show),
    Route::patch("/v3/processes/:process", update).by(MANAGE_APPS),
    Route::post("/v3/processes/:process/actions/scale", scale).by(MANAGE_APPS),
    Route::get("/v3/processes/:process/stats", stats),
    Route::get("/v3/processes/:process/process_instances", instances),
    Route::delete("/v3/processes/:process/instances/:index", terminate).by(MANAGE_APPS),
    Route::get("/v3/apps/:guid/processes", index_of_app),
    Route::get("/v3/apps/:guid/processes/:type", show),
    Route::patch("/v3/apps/:guid/processes/:type", update).by(MANAGE_APPS),
    Route::post("/v3/apps/:guid/processes/:type/actions/scale", scale).by(MANAGE_APPS),
    Route::get("/v3/apps/:guid/processes/:type/stats", stats),
    Route::delete("/v3/apps/:guid/processes/:type/instances/:index", terminate).by(MANAGE_APPS),
];

const LIST: ListSpec = ListSpec {
    embed: &["process_instances"],
    ..ListSpec::of(&[
        "app_guid",
        "types",
        "space_guids",
        "organization_guids",
        "app_guids",
        "embed",
        "label_selector",
    ])
};

impl Present for Process {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(process: &Process, view: &View<'_>) -> Value {
    let path = format!("/v3/processes/{}", process.base.guid);
    json!({
        "guid": process.base.guid,
        "created_at": process.base.created,
        "updated_at": process.base.updated,
        "version": process.base.guid,
        "type": process.kind,
        "command": view.secret(json!(command(process, view))),
        "user": view.world.user_of(process.app, process.user.as_deref()),
        "instances": process.scale.instances,
        "memory_in_mb": process.scale.memory_mb,
        "disk_in_mb": process.scale.disk_mb,
        "log_rate_limit_in_bytes_per_second": process.scale.log_rate,
        "health_check": present_check(&process.health_check, true),
        "readiness_health_check": present_check(&process.readiness_check, false),
        "relationships": {
            "app": to_one(Some(process.app)),
            "revision": process.revision.map(|guid| to_one(Some(guid))),
        },
        "metadata": process.base.metadata.present(),
        "links": {
            "self": view.link(&path),
            "scale": view.action("POST", &format!("{path}/actions/scale")),
            "app": view.link(&format!("/v3/apps/{}", process.app)),
            "space": view.link(&format!("/v3/spaces/{}", process.space)),
            "stats": view.link(&format!("{path}/stats")),
            "process_instances": view.link(&format!("{path}/process_instances")),
        },
    })
}

/// The user's command, or else the detected one, or else an empty string.
pub(crate) fn command(process: &Process, view: &View<'_>) -> String {
    view.world.command_of(process).into_owned()
}

fn present_check(check: &HealthCheck, with_timeout: bool) -> Value {
    let mut data = json!({
        "invocation_timeout": check.invocation_timeout,
        "interval": check.interval,
    });
    if with_timeout {
        data["timeout"] = json!(check.timeout);
    }
    if check.kind == "http" {
        data["endpoint"] = json!(check.endpoint);
    }
    json!({"type": check.kind, "data": data})
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, &LIST, None, present_asked)
}

fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the app is looked up.
    ListQuery::read(context, &LIST)?;
    let app = apps::find(context)?;
    list(context, &LIST, Some(app), present_asked)
}

/// Presents a process, with its instances if the query requests them.
fn present_asked(process: &Process, view: &View<'_>, query: &ListQuery) -> Value {
    let mut resource = present(process, view);
    if query.embeds("process_instances") {
        resource["process_instances"] = present_instances(process, view);
    }
    resource
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let process = find(context)?;
    let spec = ListSpec {
        embed: LIST.embed,
        ..ListSpec::of_one(&["embed"])
    };
    let query = ListQuery::read(context, &spec)?;
    let view = context.view_of(process);
    Ok(Response::ok(&present_asked(process, &view, &query)))
}

fn scale(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let process = scale_process(context, present)?;
    Ok(Response::json(202, &process))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = change(context)?;
    // The Cloud Controller does not hide the command here.
    let process = present(context.row(guid)?, &context.view());
    Ok(Response::ok(&process))
}

fn stats(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let process = find(context)?;
    let stats: Vec<Value> = context
        .world
        .instances(process)
        .into_iter()
        .map(|instance| present_stats(process, instance, &context.view()))
        .collect();
    Ok(Response::ok(&json!({"resources": stats})))
}

fn present_stats(process: &Process, instance: InstanceState, view: &View<'_>) -> Value {
    const MEGABYTE: u64 = 1024 * 1024;
    let segment = view.world.segment_of(process.space);
    let address = view.world.address_of(process, instance.index);
    let port = address.map(InstanceAddress::external_port);
    let Some(uptime) = instance.uptime else {
        return json!({
            "type": process.kind,
            "index": instance.index,
            "state": instance.name,
            "routable": null,
            "uptime": 0,
            "isolation_segment": segment,
            "details": null,
        });
    };
    json!({
        "type": process.kind,
        "index": instance.index,
        "instance_guid": instance_guid(process, instance.index),
        "state": instance.name,
        "routable": instance.name == "RUNNING",
        "host": address.map(|address| address.host().to_string()),
        "instance_internal_ip": address.map(|address| address.ip().to_string()),
        "uptime": uptime,
        "mem_quota": u64::from(process.scale.memory_mb) * MEGABYTE,
        "disk_quota": u64::from(process.scale.disk_mb) * MEGABYTE,
        "log_rate_limit": process.scale.log_rate,
        "fds_quota": 16_384,
        "isolation_segment": segment,
        "details": null,
        "instance_ports": [{
            "external": port,
            "internal": 8080,
            "external_tls_proxy_port": port.map(|port| port + 1),
            "internal_tls_proxy_port": 61_001,
        }],
        "usage": {
            "time": view.at,
            "cpu": 0.0,
            "cpu_entitlement": 0.0,
            "mem": 0,
            "disk": 0,
            "log_rate": 0,
        },
    })
}

/// `DELETE .../instances/:index`: stops the instance and starts it again.
fn terminate(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let process = find(context)?;
    let index = leading_integer(context.capture("index"));
    let index = index.filter(|index| *index < process.scale.instances);
    let index = index.ok_or_else(|| CcError::not_found("Instance"))?;
    let (guid, app) = (process.base.guid, process.app);
    let text = format!(
        "Terminating process: \"{}\", index: \"{index}\"",
        process.kind
    );
    context.world.restart_instance(guid, index);
    context.world.log_api(app, text);
    let more = json!({"process_index": index});
    context
        .world
        .record_process(guid, "audit.app.process.terminate_instance", &more);
    Ok(Response::empty(204))
}

/// An index as Ruby's `to_i` reads it. `None` if it is negative.
fn leading_integer(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    match &text[..end.unwrap_or(text.len())] {
        "" => (!text.starts_with('-')).then_some(0),
        digits => digits.parse().ok(),
    }
}

fn instances(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let process = find(context)?;
    let view = context.view();
    let path = format!("/v3/processes/{}", process.base.guid);
    Ok(Response::ok(&json!({
        "resources": present_instances(process, &view),
        "links": {
            "self": view.link(&format!("{path}/process_instances")),
            "process": view.link(&path),
        },
    })))
}

fn present_instances(process: &Process, view: &View<'_>) -> Value {
    let instances = view.world.instances(process).into_iter();
    let present = |instance: InstanceState| {
        json!({
            "index": instance.index,
            "state": instance.name,
            "since": instance.uptime,
        })
    };
    instances.map(present).collect()
}

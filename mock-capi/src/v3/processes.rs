//! `/v3/processes`, and the processes of an app

use serde_json::{Value, json};

use crate::call::{Call, View, to_one};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec, Page};
use crate::message::{MAX_INT, Message};
use crate::metadata::MetadataPatch;
use crate::router::Route;
use crate::world::{Field, Guid, HealthCheck, InstanceState, Process, Row, Scale};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/processes", index),
    Route::get("/v3/processes/:process", show),
    Route::patch("/v3/processes/:process", update),
    Route::post("/v3/processes/:process/actions/scale", scale),
    Route::get("/v3/processes/:process/stats", stats),
    Route::get("/v3/processes/:process/process_instances", instances),
    Route::get("/v3/apps/:guid/processes", index_of_app),
    Route::get("/v3/apps/:guid/processes/:type", show),
    Route::patch("/v3/apps/:guid/processes/:type", update),
    Route::post("/v3/apps/:guid/processes/:type/actions/scale", scale),
    Route::get("/v3/apps/:guid/processes/:type/stats", stats),
    Route::get(
        "/v3/apps/:guid/processes/:type/process_instances",
        instances,
    ),
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

pub(crate) const KIND: &str = "Process";
const HEALTH_CHECKS: [&str; 3] = ["port", "process", "http"];

pub(crate) fn present(process: &Process, view: &View<'_>) -> Value {
    let path = format!("/v3/processes/{}", process.base.guid);
    json!({
        "guid": process.base.guid.to_string(),
        "created_at": process.base.created.to_string(),
        "updated_at": process.base.updated.to_string(),
        "version": process.base.guid.to_string(),
        "type": process.kind,
        "command": command(process, view),
        "user": "vcap",
        "instances": process.scale.instances,
        "memory_in_mb": process.scale.memory_mb,
        "disk_in_mb": process.scale.disk_mb,
        "log_rate_limit_in_bytes_per_second": process.scale.log_rate,
        "health_check": present_check(&process.health_check, true),
        "readiness_health_check": present_check(&process.readiness_check, false),
        "relationships": {
            "app": to_one(Some(process.app)),
            "revision": null,
        },
        "metadata": process.metadata.present(),
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

/// The user's command, else the one that staging detected.
pub(crate) fn command(process: &Process, view: &View<'_>) -> Option<String> {
    process.command.clone().or_else(|| {
        let droplet = view.world.apps.get(process.app)?.droplet?;
        let detected = &view.world.droplets.get(droplet)?.command;
        (process.kind == "web").then(|| detected.clone())
    })
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

/// The process that a path names by its GUID, or by its app's and its type.
pub(crate) fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    if call.capture("guid").is_empty() {
        return call.guid_of("process", |world| &world.processes, KIND);
    }
    let app = apps::find(call)?;
    let process = call.world.process(app, call.capture("type"));
    process
        .map(Row::guid)
        .ok_or_else(|| CcError::not_found(KIND))
}

fn found<'c>(call: &'c Call<'_>) -> Result<&'c Process, CcError> {
    let guid = find(call)?;
    call.world
        .processes
        .get(guid)
        .ok_or_else(|| CcError::not_found(KIND))
}

fn presented(call: &Call<'_>, guid: Guid) -> Result<Value, CcError> {
    call.present(guid, |world| &world.processes, KIND, present)
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
    let page = page(call, &query, app);
    let view = call.view();
    let embed = query.embeds("process_instances");
    Ok(Response::ok(&query.answer(call, &page, |process| {
        let mut resource = present(process, &view);
        if embed {
            resource["process_instances"] = present_instances(process, &view);
        }
        resource
    })))
}

/// The processes that a query asks for; of one app, if that is given.
pub(crate) fn page<'c>(
    call: &'c Call<'_>,
    query: &ListQuery,
    app: Option<Guid>,
) -> Page<'c, Process> {
    let world = &*call.world;
    let mut selection = query.by_guids(query.selection(), "app_guids", Field::App);
    selection = query.by_guids(selection, "space_guids", Field::Space);
    selection = query.by_texts(selection, "types", Field::Type);
    selection = apps::by_organizations(world, query, selection);
    if let Some(app) = app {
        selection = selection.any_guid(Field::App, [app]);
    }
    query.page(&world.processes, &selection, |_| true)
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let spec = ListSpec {
        embed: LIST.embed,
        ..ListSpec::of(&["embed"])
    };
    let query = ListQuery::read(call, &spec)?;
    let mut process = presented(call, guid)?;
    if query.embeds("process_instances") {
        process["process_instances"] = present_instances(found(call)?, &call.view());
    }
    Ok(Response::ok(&process))
}

fn scale(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = scale_process(call)?;
    presented(call, guid).map(|process| Response::json(202, &process))
}

/// Scales the process that the path names as the body asks.
pub(crate) fn scale_process(call: &mut Call<'_>) -> Result<Guid, CcError> {
    let process = found(call)?;
    let (guid, current) = (process.base.guid, process.scale);
    let body = call.request.object()?;
    let scale = read_scale(&body, current)?;
    call.world.scale(guid, scale)?;
    Ok(guid)
}

fn read_scale(body: &serde_json::Map<String, Value>, current: Scale) -> Result<Scale, CcError> {
    let allowed = [
        "instances",
        "memory_in_mb",
        "disk_in_mb",
        "log_rate_limit_in_bytes_per_second",
    ];
    let mut message = Message::new(body, &allowed);
    let mut size = |key: &str, min: i64, current: u32| {
        let value = message.integer(key, min..=MAX_INT);
        value
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or(current)
    };
    let scale = Scale {
        instances: size("instances", 0, current.instances),
        memory_mb: size("memory_in_mb", 1, current.memory_mb),
        disk_mb: size("disk_in_mb", 1, current.disk_mb),
        log_rate: message
            .integer("log_rate_limit_in_bytes_per_second", -1..=i64::MAX)
            .unwrap_or(current.log_rate),
    };
    message.finish()?;
    Ok(scale)
}

/// What a `PATCH` changes; `None` is left alone.
struct Change {
    command: Option<Option<String>>,
    health_check: Option<HealthCheck>,
    readiness_check: Option<HealthCheck>,
    metadata: MetadataPatch,
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = change(call)?;
    presented(call, guid).map(|process| Response::ok(&process))
}

/// Changes the process that the path names as the body asks.
pub(crate) fn change(call: &mut Call<'_>) -> Result<Guid, CcError> {
    let process = found(call)?;
    let body = call.request.object()?;
    let change = read_change(&body, process)?;
    let guid = process.base.guid;
    let now = call.world.now();
    crate::world::touch(&mut call.world.processes, now, guid, |process| {
        if let Some(command) = change.command {
            process.command = command;
        }
        if let Some(check) = change.health_check {
            process.health_check = check;
        }
        if let Some(check) = change.readiness_check {
            process.readiness_check = check;
        }
        process.metadata.apply(change.metadata);
    });
    Ok(guid)
}

fn read_change(
    body: &serde_json::Map<String, Value>,
    process: &Process,
) -> Result<Change, CcError> {
    const MAX_COMMAND: usize = 4096;
    let allowed = [
        "command",
        "user",
        "health_check",
        "readiness_health_check",
        "metadata",
    ];
    let mut message = Message::new(body, &allowed);
    let command = message.optional_text("command", 0..=usize::MAX);
    if command.is_some_and(|command| !(1..=MAX_COMMAND).contains(&command.len())) {
        message.error(format!(
            "Command must be between 1 and {MAX_COMMAND} characters"
        ));
    }
    let change = Change {
        command: message.has("command").then(|| command.map(str::to_owned)),
        health_check: read_check(&mut message, "health_check", &process.health_check),
        readiness_check: read_check(
            &mut message,
            "readiness_health_check",
            &process.readiness_check,
        ),
        metadata: message.metadata(),
    };
    message.finish()?;
    Ok(change)
}

fn read_check(message: &mut Message<'_>, key: &str, current: &HealthCheck) -> Option<HealthCheck> {
    let check = message.object(key)?;
    let label = if key == "health_check" {
        "Health check"
    } else {
        "Readiness health check"
    };
    let mut new = current.clone();
    if let Some(kind) = check.get("type") {
        match HEALTH_CHECKS.into_iter().find(|known| kind == known) {
            Some(kind) => new.kind = kind,
            None => message.error(format!(
                "{label} type must be \"port\", \"process\", or \"http\""
            )),
        }
    }
    let data = check.get("data").and_then(Value::as_object);
    let mut seconds = |name: &str, words: &str, into: &mut Option<u32>| {
        let Some(value) = data.and_then(|data| data.get(name)) else {
            return;
        };
        let number = value
            .as_u64()
            .filter(|number| (1..=MAX_INT.unsigned_abs()).contains(number));
        if number.is_none() && !value.is_null() {
            message.error(format!(
                "{label} {words} must be greater than or equal to 1"
            ));
        }
        *into = number.and_then(|number| u32::try_from(number).ok());
    };
    seconds("timeout", "timeout", &mut new.timeout);
    seconds(
        "invocation_timeout",
        "invocation timeout",
        &mut new.invocation_timeout,
    );
    seconds("interval", "interval", &mut new.interval);
    match data.and_then(|data| data.get("endpoint")) {
        Some(Value::String(endpoint)) if endpoint.starts_with('/') => {
            new.endpoint = Some(endpoint.clone());
        }
        Some(Value::Null) | None => {}
        Some(_) => message.error(format!("{label} endpoint must be a valid URI path")),
    }
    if new.kind != "http" {
        new.endpoint = None;
    }
    Some(new)
}

fn stats(call: &mut Call<'_>) -> Result<Response, CcError> {
    let process = found(call)?;
    let stats: Vec<Value> = call
        .world
        .instances(process)
        .into_iter()
        .map(|instance| present_stats(process, instance, &call.view()))
        .collect();
    Ok(Response::ok(&json!({"resources": stats})))
}

fn present_stats(process: &Process, instance: InstanceState, view: &View<'_>) -> Value {
    let mut stats = json!({
        "type": process.kind,
        "index": instance.index,
        "state": instance.name,
        "routable": (instance.uptime.is_some()).then_some(instance.name == "RUNNING"),
        "uptime": instance.uptime.unwrap_or_default(),
        "isolation_segment": null,
        "details": null,
    });
    let (Some(_), Value::Object(fields)) = (instance.uptime, &mut stats) else {
        return stats;
    };
    const MEGABYTE: u64 = 1024 * 1024;
    let found = json!({
        "instance_guid": format!("{}-{}", process.base.guid, instance.index),
        "host": "10.0.0.1",
        "instance_internal_ip": "10.255.0.1",
        "instance_ports": [{
            "external": 61_000,
            "internal": 8080,
            "external_tls_proxy_port": 61_001,
            "internal_tls_proxy_port": 61_001,
        }],
        "mem_quota": u64::from(process.scale.memory_mb) * MEGABYTE,
        "disk_quota": u64::from(process.scale.disk_mb) * MEGABYTE,
        "log_rate_limit": process.scale.log_rate,
        "fds_quota": 16_384,
        "usage": {
            "time": view.at.to_string(),
            "cpu": 0.0,
            "cpu_entitlement": 0.0,
            "mem": 0,
            "disk": 0,
            "log_rate": 0,
        },
    });
    if let Value::Object(found) = found {
        fields.extend(found);
    }
    stats
}

fn instances(call: &mut Call<'_>) -> Result<Response, CcError> {
    let process = found(call)?;
    let view = call.view();
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

//! Requests for processes: lists, scaling and changes.

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{MAX_INT, Message};
use crate::world::{
    App, CheckPatch, DEFAULT_DISK_MB, Field, Guid, NO_CHECK, Process, ProcessPatch, Registered,
    Scale, audited, ruby,
};

const HEALTH_CHECKS: [&str; 3] = ["port", "process", "http"];

/// The Cloud Controller's message for an unknown type.
pub(crate) const CHECK_KINDS: &str = "must be \"port\", \"process\", or \"http\"";

pub(crate) const MAX_COMMAND: usize = 4096;

pub(crate) const MAX_USER: usize = 255;

const MAX_ENDPOINT: usize = 255;

/// The process that a path names by its GUID, or by its app's GUID and its type.
pub(crate) fn find<'c>(context: &'c RequestContext<'_>) -> Result<&'c Process, CcError> {
    if context.capture("guid").is_empty() {
        return context.named("process");
    }
    let process = context
        .world
        .process(context.guid_of::<App>("guid")?, context.capture("type"));
    process.ok_or_else(|| CcError::not_found(Process::KIND))
}

/// Responds with processes, optionally of one app.
pub(crate) fn list(
    context: &RequestContext<'_>,
    spec: &ListSpec,
    app: Option<Guid>,
    present: fn(&Process, &View<'_>, &ListQuery) -> Value,
) -> Result<Response, CcError> {
    let query = ListQuery::read(context, spec)?;
    let selection = query.by_owners(context.world, app.map(|app| (Field::App, app)))?;
    let selection = query.by_texts(selection, "types", Field::Type);
    query.respond_by_query(
        context,
        &selection,
        |_| true,
        |process, view| present(process, view, &query),
    )
}

/// Scales the process that the path names, and presents it.
pub(crate) fn scale_process(
    context: &mut RequestContext<'_>,
    present: fn(&Process, &View<'_>) -> Value,
) -> Result<Value, CcError> {
    let process = find(context)?;
    let (guid, current) = (process.base.guid, process.scale);
    context.require_flag("app_scaling")?;
    let body = context.request.object()?;
    let scale = read_scale(&body, current)?;
    check_not_deploying(context, guid, "scale")?;
    let is_null = |key: &str| body.get(key).is_some_and(Value::is_null);
    if is_null("instances") || is_null("memory_in_mb") {
        // The columns of the database refuse null.
        return Err(CcError::unknown());
    }
    let without_disk = is_null("disk_in_mb");
    context.world.scale(guid, scale)?;
    log(context, guid, "Scaling", "audit.app.process.scale", body)?;
    // The Cloud Controller does not hide the command here.
    let mut process = present(context.row(guid)?, &context.view());
    if without_disk {
        // The response repeats the request, so the default size is not included.
        process["disk_in_mb"] = Value::Null;
    }
    Ok(process)
}

/// Refuses to change web processes during a deployment.
pub(crate) fn check_not_deploying(
    context: &RequestContext<'_>,
    process: Guid,
    verb: &str,
) -> Result<(), CcError> {
    let process: &Process = context.row(process)?;
    if process.kind == "web" && context.world.is_deploying(process.app) {
        return Err(CcError::unprocessable(format!(
            "Cannot {verb} this process while a deployment is in flight."
        )));
    }
    Ok(())
}

fn read_scale(body: &Map<String, Value>, current: Scale) -> Result<Scale, CcError> {
    let allowed = [
        "instances",
        "memory_in_mb",
        "disk_in_mb",
        "log_rate_limit_in_bytes_per_second",
    ];
    let own_disk = match body.get("disk_in_mb") {
        Some(Value::Null) => DEFAULT_DISK_MB,
        _ => current.disk_mb,
    };
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
        disk_mb: size("disk_in_mb", 1, own_disk),
        log_rate: message
            .integer("log_rate_limit_in_bytes_per_second", -1..=i64::MAX)
            .unwrap_or(current.log_rate),
    };
    message.finish()?;
    Ok(scale)
}

/// Changes the process that the path names.
pub(crate) fn change(context: &mut RequestContext<'_>) -> Result<Guid, CcError> {
    let guid = find(context)?.base.guid;
    let body = context.request.object()?;
    check_not_deploying(context, guid, "update")?;
    let patch = read_patch(&body)?;
    context.world.update_process(guid, patch)?;
    log(context, guid, "Updating", "audit.app.process.update", body)?;
    Ok(guid)
}

/// Records a change of a process in the log and the events of its app.
fn log(
    context: &mut RequestContext<'_>,
    guid: Guid,
    verb: &str,
    event: &'static str,
    request: Map<String, Value>,
) -> Result<(), CcError> {
    let process: &Process = context.row(guid)?;
    let (app, text) = (process.app, format!("{verb} process: \"{}\"", process.kind));
    context.world.log_api(app, text);
    let more = json!({"request": audited(request)});
    context.world.record_process(guid, event, &more);
    Ok(())
}

fn read_patch(body: &Map<String, Value>) -> Result<ProcessPatch, CcError> {
    let allowed = [
        "command",
        "user",
        "health_check",
        "readiness_health_check",
        "metadata",
    ];
    let mut message = Message::new(body, &allowed);
    let command = read_limited(&mut message, "command", MAX_COMMAND);
    let user = read_limited(&mut message, "user", MAX_USER);
    let patch = ProcessPatch {
        command,
        user,
        health_check: read_check(&mut message, "health_check"),
        readiness_check: read_check(&mut message, "readiness_health_check"),
        metadata: message.metadata(),
    };
    message.finish()?;
    Ok(patch)
}

/// A string of limited length. Null unsets the property.
pub(crate) fn read_limited(
    message: &mut Message<'_>,
    key: &str,
    max: usize,
) -> Option<Option<String>> {
    let bounds = format!("must be between 1 and {max} characters");
    let text = message.check(key).allow_null().string();
    let text = text.length_or(1..=max, &bounds).text();
    message.has(key).then(|| text.map(str::to_owned))
}

/// A time of a health check, in seconds. Null unsets it.
pub(crate) fn read_seconds(
    message: &mut Message<'_>,
    label: &str,
    value: Option<&Value>,
) -> Option<Option<u32>> {
    let value = value?;
    if value.is_null() {
        return Some(None);
    }
    let seconds = message.integer_of(label, value, 1..=MAX_INT);
    Some(seconds.and_then(|seconds| u32::try_from(seconds).ok()))
}

fn read_check(message: &mut Message<'_>, key: &str) -> CheckPatch {
    let mut patch = CheckPatch::default();
    let Some(check) = message.object(key) else {
        return patch;
    };
    let is_readiness = key != "health_check";
    let label = match is_readiness {
        false => "Health check",
        true => "Readiness health check",
    };
    if let Some(kind) = check.get("type") {
        patch.kind = check_kind(kind).or_else(|| is_list_of_kinds(kind).then_some(NO_CHECK));
        if patch.kind.is_none() {
            message.error(format!("{label} type {CHECK_KINDS}"));
        }
    }
    let data = check.get("data").and_then(Value::as_object);
    let mut seconds = |name: &str, words: &str| {
        let value = data.and_then(|data| data.get(name));
        read_seconds(message, &format!("{label} {words}"), value)
    };
    // Readiness checks do not have this timeout, and the Cloud Controller ignores it.
    if !is_readiness {
        patch.timeout = seconds("timeout", "timeout");
    }
    patch.invocation_timeout = seconds("invocation_timeout", "invocation timeout");
    patch.interval = seconds("interval", "interval");
    let endpoint = data.and_then(|data| data.get("endpoint"));
    patch.endpoint = endpoint.map(|endpoint| endpoint.as_str().map(str::to_owned));
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_null()) else {
        return patch;
    };
    if ruby::length(endpoint) > MAX_ENDPOINT {
        message.error(format!(
            "{label} endpoint is too long (maximum is {MAX_ENDPOINT} characters)"
        ));
    }
    if !endpoint.as_str().is_some_and(is_uri_path) {
        message.error(format!("{label} endpoint must be a valid URI path"));
    }
    patch
}

/// Whether a value is a list that contains only types. Rails accepts such lists, and the
/// Cloud Controller's model refuses them.
fn is_list_of_kinds(value: &Value) -> bool {
    let items = value.as_array();
    items.is_some_and(|items| items.iter().all(|item| check_kind(item).is_some()))
}

/// The type of a health check.
pub(crate) fn check_kind(value: &Value) -> Option<&'static str> {
    HEALTH_CHECKS.into_iter().find(|known| value == known)
}

pub(crate) fn is_uri_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//") && !text.contains(char::is_whitespace)
}

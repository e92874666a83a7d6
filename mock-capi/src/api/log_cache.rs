//! The part of log-cache from which clients read the logs of apps, with the errors
//! of its HTTP gateway.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::{Response, last_value};
use crate::api::router::Route;
use crate::world::{App, Guid, LogLine};

/// These routes are open because log-cache checks the token itself. Without a valid
/// token, its lists are empty.
pub(crate) const ROUTES: &[Route] = &[
    Route::get("/api/v1/read/:source_id", read).open(),
    Route::get("/api/v1/meta", meta).open(),
    Route::get("/api/v1/info", info).open(),
];

const MAX_LIMIT: i64 = 1000;
const DEFAULT_LIMIT: usize = 100;
const ENVELOPE_TYPES: [&str; 6] = ["ANY", "LOG", "COUNTER", "GAUGE", "TIMER", "EVENT"];

/// The requested period, from `start` (inclusive) to `end` (exclusive).
struct Query {
    start: i64,
    end: Option<i64>,
    limit: usize,
    descending: bool,
    with_logs: bool,
}

fn info(_: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(Response::ok(&json!({"version": "3.1.0", "vm_uptime": "1"})))
}

fn meta(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    if context.caller.is_none() {
        return Ok(Response::empty(404));
    }
    let mut meta = Map::new();
    for app in context.world.logging_apps() {
        if !may_read(context, &app.to_string()) {
            continue;
        }
        let lines = context.world.logs(app);
        let time = |line: Option<&LogLine>| line.map_or(0, |line| line.nanos).to_string();
        let entry = json!({
            "count": lines.len().to_string(),
            "expired": "0",
            "oldestTimestamp": time(lines.first()),
            "newestTimestamp": time(lines.last()),
        });
        meta.insert(app.to_string(), entry);
    }
    Ok(Response::ok(&json!({"meta": meta})))
}

/// Whether the caller can see the app with the logs.
fn may_read(context: &RequestContext<'_>, source: &str) -> bool {
    context.access.sees_everything() || context.visible::<App>(source).is_some()
}

fn read(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    if context.caller.is_none() || !may_read(context, context.capture("source_id")) {
        return Ok(Response::empty(404));
    }
    let query = match read_query(&context.request.query) {
        Ok(query) => query,
        Err(refusal) => return Ok(refusal),
    };
    let app = Guid::parse(context.capture("source_id"));
    let lines = app.map_or(&[][..], |app| context.world.logs(app));
    let asked = |line: &&LogLine| {
        let nanos = i64::try_from(line.nanos).unwrap_or(i64::MAX);
        query.with_logs && nanos >= query.start && query.end.is_none_or(|end| nanos < end)
    };
    let source = context.capture("source_id");
    let envelope = |line: &LogLine| present(line, source);
    let lines = lines.iter().filter(asked);
    let batch: Vec<Value> = if query.descending {
        lines.rev().take(query.limit).map(envelope).collect()
    } else {
        lines.take(query.limit).map(envelope).collect()
    };
    Ok(Response::ok(&json!({"envelopes": {"batch": batch}})))
}

fn present(line: &LogLine, source: &str) -> Value {
    let instance = line.instance.to_string();
    json!({
        "timestamp": line.nanos.to_string(),
        "source_id": source,
        "instance_id": instance,
        "deprecated_tags": {},
        "tags": {
            "app_id": source,
            "deployment": "cf",
            "instance_id": instance,
            "source_id": source,
            "source_type": line.source.name(),
        },
        "log": {
            "payload": STANDARD.encode(line.text.as_bytes()),
            "type": if line.is_error { "ERR" } else { "OUT" },
        },
    })
}

fn read_query(params: &[(String, String)]) -> Result<Query, Response> {
    let value = |name: &str| last_value(params, name);
    let integer = |name: &str| match value(name) {
        None => Ok(0),
        Some(text) => text.parse::<i64>().map_err(|_| {
            let reason = format!("strconv.ParseInt: parsing \"{text}\": invalid syntax");
            invalid(name, &reason)
        }),
    };
    let (start, end) = (integer("start_time")?, integer("end_time")?);
    let limit = integer("limit")?;
    let descending = match value("descending") {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(text) => {
            let reason = format!("strconv.ParseBool: parsing \"{text}\": invalid syntax");
            return Err(invalid("descending", &reason));
        }
    };
    let types: Vec<&str> = params
        .iter()
        .filter(|(key, _)| key == "envelope_types")
        .map(|(_, value)| value.as_str())
        .collect();
    if let Some(unknown) = types.iter().find(|name| !ENVELOPE_TYPES.contains(name)) {
        let reason = format!("\"{unknown}\" is not a valid value");
        return Err(invalid("envelope_types", &reason));
    }
    if end != 0 && start > end {
        return Err(failed(&format!(
            "StartTime ({start}) must be before EndTime ({end})"
        )));
    }
    if limit > MAX_LIMIT {
        return Err(failed(&format!("Limit ({limit}) must be 1000 or less")));
    }
    let Ok(count) = usize::try_from(limit) else {
        return Err(failed(&format!(
            "Limit ({limit}) must be greater than zero"
        )));
    };
    let mut types = types.into_iter().filter(|name| *name != "ANY").peekable();
    let any_type = types.peek().is_none();
    Ok(Query {
        start,
        end: (end != 0).then_some(end),
        limit: if count == 0 { DEFAULT_LIMIT } else { count },
        descending,
        // A name filter selects metrics, and lines have no names.
        with_logs: (any_type || types.any(|name| name == "LOG"))
            && value("name_filter").is_none_or(str::is_empty),
    })
}

/// An error of the gateway about a parameter.
fn invalid(field: &str, reason: &str) -> Response {
    refusal(400, 3, &format!("parsing field \"{field}\": {reason}"))
}

/// An error of log-cache about a parameter, without a type.
fn failed(message: &str) -> Response {
    refusal(500, 2, message)
}

fn refusal(status: u16, code: u32, message: &str) -> Response {
    let body = json!({"code": code, "message": message, "details": []});
    Response::json(status, &body)
}

//! The processes of an application: their sizes, commands and health checks.

use serde_json::{Map, Value, json};

use super::application::{list_of_objects, underscored};
use crate::api::message::Message;
use crate::api::shared::byte_sizes;
use crate::api::shared::processes::{
    CHECK_KINDS, MAX_COMMAND, MAX_USER, check_kind, is_uri_path, read_limited, read_seconds,
};
use crate::world::metadata::MetadataPatch;
use crate::world::{CheckPatch, ProcessPatch, ruby};

/// The sizes of a process that an application sets. `None` leaves a size unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScalePatch {
    pub(crate) instances: Option<u32>,
    pub(crate) memory_mb: Option<u32>,
    pub(crate) disk_mb: Option<u32>,
    pub(crate) log_rate: Option<i64>,
}

/// A change to a process other than its sizes, and the fields that events show.
#[derive(Clone, Debug)]
pub(crate) struct ProcessUpdate {
    pub(crate) patch: ProcessPatch,
    pub(crate) request: Map<String, Value>,
}

impl ScalePatch {
    /// The fields of the change that events show.
    pub(super) fn request(&self) -> Map<String, Value> {
        let fields = [
            ("instances", self.instances.map(i64::from)),
            ("memory_in_mb", self.memory_mb.map(i64::from)),
            ("disk_in_mb", self.disk_mb.map(i64::from)),
            ("log_rate_limit_in_bytes_per_second", self.log_rate),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), json!(value?))));
        given.collect()
    }
}

/// A process of an application: its type, and its fields in snake case.
pub(super) type ProcessFields = (String, Map<String, Value>);

const MAX_INSTANCES: i64 = 2_000_000;
const PROCESSES: &str = "Processes must be an array of process configurations";

/// Sizes of a process, their names in errors, and whether they may be unlimited.
const SIZES: [(&str, &str, bool); 3] = [
    ("memory", "Memory", false),
    ("disk_quota", "Disk quota", false),
    (
        "log_rate_limit_per_second",
        "Log rate limit per second",
        true,
    ),
];

/// Keys that scale a process.
const SCALE_KEYS: &[&str] = &[
    "instances",
    "memory",
    "disk_quota",
    "log_rate_limit_per_second",
];

/// Keys that change a process otherwise.
const UPDATE_KEYS: &[&str] = &[
    "command",
    "health_check_http_endpoint",
    "timeout",
    "health_check_invocation_timeout",
    "health_check_interval",
    "readiness_health_check_invocation_timeout",
    "readiness_health_check_interval",
    "readiness_health_check_http_endpoint",
    "health_check_type",
    "readiness_health_check_type",
];

/// The beginning of errors about a process.
fn label_of(kind: &str) -> String {
    format!("Process \"{kind}\":")
}

/// Checks that sizes are numbers with units. [`read_scales`] checks their bounds.
pub(super) fn check_sizes(message: &mut Message<'_>, kind: &str) {
    for (key, label, unlimited) in SIZES {
        let Some(value) = message.value(key) else {
            continue;
        };
        if unlimited && log_rate_word(value).is_some() {
            continue;
        }
        if let Err(error) = byte_sizes::bytes(value) {
            let reason = error.reason();
            message.error(format!("{} {label} {reason}", label_of(kind)));
        }
    }
}

/// Reads a log rate without a unit.
pub(crate) fn log_rate_word(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) if text == "-1" => Some(-1),
        Value::String(text) if text == "0" => Some(0),
        Value::Number(number) => number.as_i64().filter(|number| [-1, 0].contains(number)),
        _ => None,
    }
}

/// The listed processes. The web process is the first, because the application's own
/// sizes apply to it.
pub(super) fn read_list(message: &mut Message<'_>) -> Vec<ProcessFields> {
    let Some(processes) = message.value("processes") else {
        return Vec::new();
    };
    let Some(list) = list_of_objects(processes) else {
        message.error(PROCESSES);
        return Vec::new();
    };
    let with_type = |process: &Map<String, Value>| {
        let fields = underscored(process);
        let kind = fields.get("type").map(ruby::text);
        (kind.unwrap_or_default(), fields)
    };
    let mut processes: Vec<ProcessFields> = list.into_iter().map(with_type).collect();
    if processes.iter().any(|(kind, _)| kind.trim().is_empty()) {
        message.error("All Processes must specify a type");
    }
    for (index, (kind, _)) in processes.iter().enumerate() {
        let before = processes[..index].iter().filter(|(other, _)| other == kind);
        if before.count() == 1 {
            message.error(format!("Process \"{kind}\" may only be present once"));
        }
    }
    for (kind, fields) in &processes {
        let mut process = Message::of_any(fields);
        check_sizes(&mut process, kind);
        message.absorb(process);
    }
    processes.sort_by_key(|(kind, _)| kind != "web");
    processes
}

/// The types that are given as numbers or booleans.
pub(super) fn non_text_types(processes: &[ProcessFields]) -> Vec<String> {
    let is_scalar = |value: &Value| value.is_number() || value.is_boolean();
    let non_text = processes
        .iter()
        .filter(|(_, fields)| fields.get("type").is_some_and(is_scalar));
    non_text.map(|(kind, _)| kind.clone()).collect()
}

/// Reads each listed process. If the web process is not among them, the application's
/// own fields are read as the web process.
fn read_each<T>(
    message: &mut Message<'_>,
    processes: &[ProcessFields],
    keys: &[&str],
    read: fn(&mut Message<'_>) -> T,
) -> Vec<(String, T)> {
    let own = keys.iter().filter_map(|key| {
        let value = message.value(key)?;
        Some(((*key).to_owned(), value.clone()))
    });
    let own: Map<String, Value> = own.collect();
    let has_web = processes.first().is_some_and(|(kind, _)| kind == "web");
    let top_level = (!own.is_empty() && !has_web).then_some(("web", &own));
    let listed = processes.iter().map(|(kind, fields)| (&**kind, fields));
    let mut values = Vec::new();
    for (kind, fields) in top_level.into_iter().chain(listed) {
        let mut process = Message::of_any(fields);
        values.push((kind.to_owned(), read(&mut process)));
        message.absorb_as(&label_of(kind), process);
    }
    values
}

pub(super) fn read_scales(
    message: &mut Message<'_>,
    processes: &[ProcessFields],
) -> Vec<(String, ScalePatch)> {
    read_each(message, processes, SCALE_KEYS, read_scale)
}

fn read_scale(process: &mut Message<'_>) -> ScalePatch {
    let range = 0..=MAX_INSTANCES;
    let instances = process.get("instances");
    let instances = instances.and_then(|value| process.integer_of("Instances", value, range));
    let mut megabytes = |key: &str, label: &str| {
        let size = byte_sizes::megabytes(process.value(key)?).ok().flatten()?;
        let size = u32::try_from(size).ok().filter(|size| *size > 0);
        if size.is_none() {
            process.error(format!("{label} must be greater than 0MB"));
        }
        size
    };
    ScalePatch {
        instances: instances.and_then(|n| u32::try_from(n).ok()),
        memory_mb: megabytes("memory", "Memory"),
        disk_mb: megabytes("disk_quota", "Disk quota"),
        log_rate: read_log_rate(process),
    }
}

fn read_log_rate(process: &mut Message<'_>) -> Option<i64> {
    let value = process.value("log_rate_limit_per_second")?;
    let rate = match log_rate_word(value) {
        Some(rate) => Some(rate),
        None => byte_sizes::bytes(value).ok().flatten(),
    };
    if rate.is_some_and(|rate| rate < -1) {
        process.error("Log rate limit must be an integer greater than or equal to -1");
    }
    rate
}

pub(super) fn read_updates(
    message: &mut Message<'_>,
    processes: &[ProcessFields],
) -> Vec<(String, ProcessUpdate)> {
    let updates = read_each(message, processes, UPDATE_KEYS, |process| ProcessUpdate {
        patch: read_update(process),
        request: shown_update(process),
    });
    // The web process is not changed if the application sets none of its fields.
    let has_updates =
        |(kind, update): &(String, ProcessUpdate)| kind != "web" || !update.request.is_empty();
    let updates = updates.into_iter().filter(has_updates);
    let typed = updates.map(|(kind, mut update)| {
        update.request.insert("type".into(), json!(kind));
        (kind, update)
    });
    typed.collect()
}

/// The fields of a change as events show them.
fn shown_update(process: &Message<'_>) -> Map<String, Value> {
    let keys = UPDATE_KEYS.iter().chain(["user"].iter());
    let given = keys.filter_map(|key| Some(((*key).to_owned(), process.value(key)?.clone())));
    let mut shown: Map<String, Value> = given.collect();
    for key in ["health_check_type", "readiness_health_check_type"] {
        if let Some(kind) = shown.get_mut(key).filter(|kind| **kind == "none") {
            *kind = json!("process");
        }
    }
    if let Some(timeout) = shown.get("timeout").cloned() {
        shown.insert("health_check_timeout".into(), timeout);
    }
    shown
}

fn read_update(process: &mut Message<'_>) -> ProcessPatch {
    if process.has("health_check_timeout") {
        process.error("Unknown field(s): 'health_check_timeout'");
    }
    check_endpoint_agrees(process, "", "Health check");
    check_endpoint_agrees(process, "readiness_", "Readiness health check");
    let command = read_command(process);
    let user = read_limited(process, "user", MAX_USER);
    let mut health_check = read_check(process, "", "Health check");
    let readiness_check = read_check(process, "readiness_", "Readiness health check");
    let timeout = process.value("timeout");
    health_check.timeout = read_seconds(process, "Timeout", timeout);
    ProcessPatch {
        command,
        user,
        health_check,
        readiness_check,
        metadata: MetadataPatch::default(),
    }
}

/// Reads the type of a health check. `none` is the former name of `process`.
fn kind_of(value: &Value) -> Option<&'static str> {
    if value == "none" {
        Some("process")
    } else {
        check_kind(value)
    }
}

fn check_endpoint_agrees(process: &mut Message<'_>, prefix: &str, label: &str) {
    let kind = process.value(&format!("{prefix}health_check_type"));
    let endpoint = process.value(&format!("{prefix}health_check_http_endpoint"));
    if let (Some(kind), Some(_)) = (kind, endpoint)
        && kind_of(kind) != Some("http")
    {
        process.error(format!(
            "{label} type must be \"http\" to set a health check HTTP endpoint"
        ));
    }
}

/// Reads a command. `null`, `default` and `false` stand for the command of the droplet.
fn read_command(process: &mut Message<'_>) -> Option<Option<String>> {
    if process.value("command") == Some(&Value::Bool(false)) {
        return Some(None);
    }
    let command = read_limited(process, "command", MAX_COMMAND)?;
    Some(command.filter(|command| !["null", "default"].contains(&command.as_str())))
}

fn read_check(process: &mut Message<'_>, prefix: &str, label: &str) -> CheckPatch {
    let key = |name: &str| format!("{prefix}health_check_{name}");
    let kind = process.value(&key("type"));
    let kind_known = kind.and_then(kind_of);
    if kind.is_some() && kind_known.is_none() {
        process.error(format!("{label} type {CHECK_KINDS}"));
    }
    let endpoint = process.value(&key("http_endpoint")).map(|value| {
        let path = value.as_str().filter(|path| is_uri_path(path));
        if path.is_none() && !value.is_null() {
            process.error(format!("{label} http endpoint must be a valid URI path"));
        }
        path.map(str::to_owned)
    });
    let mut seconds = |name: &str, words: &str| {
        let value = process.value(&key(name));
        read_seconds(process, &format!("{label} {words}"), value)
    };
    CheckPatch {
        kind: kind_known,
        timeout: None,
        invocation_timeout: seconds("invocation_timeout", "invocation timeout"),
        interval: seconds("interval", "interval"),
        endpoint,
    }
}

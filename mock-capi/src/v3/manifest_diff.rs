//! What applying a manifest would change, as JSON patches with the old values.

use serde_json::{Map, Value, json};

use crate::message::MAX_INT;

/// The keys of an application that are compared.
const APP_KEYS: &[&str] = &[
    "buildpack",
    "buildpacks",
    "command",
    "disk-quota",
    "log-rate-limit-per-second",
    "docker",
    "env",
    "health-check-http-endpoint",
    "health-check-invocation-timeout",
    "health-check-interval",
    "health-check-timeout",
    "health-check-type",
    "readiness-health-check-http-endpoint",
    "readiness-health-check-type",
    "readiness-health-check-invocation-timeout",
    "readiness-health-check-interval",
    "instances",
    "metadata",
    "memory",
    "lifecycle",
    "name",
    "no-route",
    "processes",
    "random-route",
    "default-route",
    "routes",
    "services",
    "sidecars",
    "stack",
    "timeout",
    "cnb-credentials",
    "features",
];

/// The keys of a process that are compared.
const PROCESS_KEYS: &[&str] = &[
    "type",
    "command",
    "user",
    "disk_quota",
    "log-rate-limit-per-second",
    "health-check-http-endpoint",
    "health-check-invocation-timeout",
    "health-check-interval",
    "health-check-type",
    "readiness-health-check-http-endpoint",
    "readiness-health-check-invocation-timeout",
    "readiness-health-check-interval",
    "readiness-health-check-type",
    "instances",
    "memory",
    "timeout",
];

/// Lists whose entries are told apart by a field.
const IDENTIFIERS: &[(&str, &str)] = &[
    ("processes", "type"),
    ("routes", "route"),
    ("sidecars", "name"),
];

const SIZES: &[&str] = &["memory", "disk-quota", "disk_quota"];
const LOG_RATE: &str = "log-rate-limit-per-second";
const UNSUPPORTED_UNIT: &str = "must use a supported unit: B, K, KB, M, MB, G, GB, T, or TB";

/// What is wrong with an application of a manifest.
pub(crate) fn app_errors(app: &Map<String, Value>) -> Vec<String> {
    let mut errors = size_errors("", app);
    if app.get("env").is_some_and(|env| !env.is_object()) {
        errors.push("Env must be an object of keys and values".into());
    }
    match app.get("processes") {
        None => {}
        Some(Value::Array(processes)) => {
            for process in processes {
                match process.get("type").and_then(Value::as_str) {
                    None => errors.push("All Processes must specify a type".into()),
                    Some(kind) => {
                        let prefix = format!("Process \"{kind}\": ");
                        errors.extend(
                            process
                                .as_object()
                                .into_iter()
                                .flat_map(|p| size_errors(&prefix, p)),
                        );
                    }
                }
            }
        }
        Some(_) => errors.push("Processes must be an array of process configurations".into()),
    }
    errors
}

fn size_errors(prefix: &str, fields: &Map<String, Value>) -> Vec<String> {
    let mut errors = Vec::new();
    for (key, label) in [
        ("memory", "Memory"),
        ("disk_quota", "Disk quota"),
        ("disk-quota", "Disk quota"),
    ] {
        if fields
            .get(key)
            .is_some_and(|size| megabytes(size).is_none())
        {
            errors.push(format!("{prefix}{label} {UNSUPPORTED_UNIT}"));
        }
    }
    let count = fields.get("instances");
    if count.is_some_and(|count| {
        !count
            .as_i64()
            .is_some_and(|count| (0..=MAX_INT).contains(&count))
    }) {
        errors.push(format!(
            "{prefix}Instances must be greater than or equal to 0"
        ));
    }
    errors
}

/// Writes sizes as the Cloud Controller does, and drops what it does not
/// compare.
pub(crate) fn normalize_app(app: &mut Map<String, Value>) {
    normalize_sizes(app);
    if let Some(Value::Array(processes)) = app.get_mut("processes") {
        for process in processes.iter_mut().filter_map(Value::as_object_mut) {
            process.retain(|key, _| PROCESS_KEYS.contains(&key.as_str()));
            normalize_sizes(process);
        }
    }
    if let Some(Value::Object(metadata)) = app.get_mut("metadata") {
        metadata.retain(|key, _| key == "labels" || key == "annotations");
    }
}

fn normalize_sizes(fields: &mut Map<String, Value>) {
    for key in SIZES {
        if let Some(size) = fields.get_mut(*key)
            && let Some(megabytes) = megabytes(size)
        {
            *size = json!(format!("{megabytes}M"));
        }
    }
    if let Some(rate) = fields.get_mut(LOG_RATE)
        && let Some(bytes) = bytes(rate)
    {
        *rate = json!(human_bytes(bytes));
    }
}

/// Bytes of a size such as `1G`, `512MB` or `64K`.
fn bytes(size: &Value) -> Option<u64> {
    let text = size.as_str()?.trim().to_uppercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let exponent = match unit {
        "B" => 0,
        "K" | "KB" => 1,
        "M" | "MB" => 2,
        "G" | "GB" => 3,
        "T" | "TB" => 4,
        _ => return None,
    };
    let factor = 1024_u64.pow(exponent);
    match number.parse::<u64>() {
        Ok(number) => number.checked_mul(factor),
        Err(_) => fractional(number, factor),
    }
}

/// `1.5` of a unit, in thousandths.
fn fractional(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.')?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let thousandths = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    whole.checked_add(thousandths / 1000)
}

fn megabytes(size: &Value) -> Option<u64> {
    bytes(size).map(|bytes| bytes / (1024 * 1024))
}

/// The largest unit that needs no fraction: `1024` is `1K`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    if bytes == 0 {
        return "0".into();
    }
    let units = [('T', 4), ('G', 3), ('M', 2), ('K', 1)];
    let found = units
        .into_iter()
        .map(|(unit, exponent)| (unit, 1024_u64.pow(exponent)))
        .find(|(_, factor)| bytes.is_multiple_of(*factor));
    match found {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// What an application of a manifest would change of the existing app of its
/// name. Like the Cloud Controller, this does not compare memory and disk
/// outside of `processes`.
pub(crate) fn diff_app(
    index: usize,
    wanted: &Map<String, Value>,
    existing: Option<Map<String, Value>>,
) -> Vec<Value> {
    let existing = existing.map(with_web_process).unwrap_or_default();
    let mut changes = Vec::new();
    for (key, value) in wanted {
        if !APP_KEYS.contains(&key.as_str()) || SIZES.contains(&key.as_str()) {
            continue;
        }
        let path = format!("/applications/{index}/{}", escape(key));
        let was = existing.get(key).cloned().unwrap_or_default();
        diff_value(&path, &prune(key, was, value), value, &mut changes);
    }
    changes
}

/// Sizes of the web process stand at the top of an application, too.
fn with_web_process(mut app: Map<String, Value>) -> Map<String, Value> {
    let processes = app.get("processes").and_then(Value::as_array);
    let web = processes.and_then(|processes| processes.iter().find(|p| p["type"] == "web"));
    if let Some(Value::Object(web)) = web.cloned() {
        app.extend(web);
    }
    app
}

/// Drops from an existing value what the manifest says nothing about.
fn prune(key: &str, existing: Value, wanted: &Value) -> Value {
    let identifier = IDENTIFIERS
        .iter()
        .find(|(list, _)| *list == key)
        .map(|(_, id)| *id);
    match (identifier, existing, wanted) {
        (Some(id), Value::Array(entries), Value::Array(wanted)) => entries
            .into_iter()
            .filter_map(|entry| {
                let counterpart = wanted.iter().find(|other| other.get(id) == entry.get(id))?;
                Some(prune_fields(entry, counterpart))
            })
            .collect(),
        (None, existing, wanted) if key == "features" => prune_fields(existing, wanted),
        (_, existing, _) => existing,
    }
}

fn prune_fields(mut entry: Value, wanted: &Value) -> Value {
    if let Value::Object(fields) = &mut entry {
        fields.retain(|key, _| wanted.get(key).is_some_and(|value| !value.is_null()));
    }
    entry
}

fn diff_value(path: &str, was: &Value, wanted: &Value, changes: &mut Vec<Value>) {
    match (was, wanted) {
        _ if was == wanted => {}
        (Value::Null, _) => changes.push(json!({"op": "add", "path": path, "value": wanted})),
        (Value::Object(was), Value::Object(wanted)) => diff_objects(path, was, wanted, changes),
        (Value::Array(was), Value::Array(wanted)) => diff_arrays(path, was, wanted, changes),
        _ => changes.push(json!({"op": "replace", "path": path, "was": was, "value": wanted})),
    }
}

fn diff_objects(
    path: &str,
    was: &Map<String, Value>,
    wanted: &Map<String, Value>,
    changes: &mut Vec<Value>,
) {
    for (key, value) in was.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        let path = format!("{path}/{}", escape(key));
        changes.push(json!({"op": "remove", "path": path, "was": value}));
    }
    for (key, value) in wanted {
        let path = format!("{path}/{}", escape(key));
        diff_value(&path, was.get(key).unwrap_or(&Value::Null), value, changes);
    }
}

/// Entries with the same identity are compared with each other, the others by
/// their place.
fn diff_arrays(path: &str, was: &[Value], wanted: &[Value], changes: &mut Vec<Value>) {
    let identity = |entry: &Value| {
        let mut fields = IDENTIFIERS.iter();
        fields.find_map(|(_, id)| entry.get(id).cloned())
    };
    for (index, value) in wanted.iter().enumerate() {
        let counterpart = match identity(value) {
            Some(id) => was
                .iter()
                .find(|entry| identity(entry).as_ref() == Some(&id)),
            None => was.get(index),
        };
        let path = format!("{path}/{index}");
        diff_value(&path, counterpart.unwrap_or(&Value::Null), value, changes);
    }
    for (index, value) in was.iter().enumerate().skip(wanted.len()).rev() {
        changes.push(json!({"op": "remove", "path": format!("{path}/{index}"), "was": value}));
    }
}

/// A key as a JSON pointer has it.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn sizes_have_units() {
        for (size, expected) in [
            (json!("1G"), Some(1024)),
            (json!("512mb"), Some(512)),
            (json!("1.5G"), Some(1536)),
            (json!("1024K"), Some(1)),
            (json!("1"), None),
            (json!(1), None),
            (json!("99999999999999999999T"), None),
            (json!("1X"), None),
        ] {
            assert_eq!(megabytes(&size), expected, "{size}");
        }
        assert_eq!(human_bytes(1024), "1K");
        assert_eq!(human_bytes(1536 * 1024), "1536K");
        assert_eq!(human_bytes(7), "7B");
    }

    #[test]
    fn a_new_app_is_all_additions() {
        let wanted = object(json!({"name": "a", "memory": "1G", "unheard-of": 1}));
        assert_eq!(
            diff_app(0, &wanted, None),
            [json!({"op": "add", "path": "/applications/0/name", "value": "a"})]
        );
    }

    #[test]
    fn only_what_the_manifest_names_is_compared() {
        let existing = object(json!({
            "name": "a",
            "env": {"OLD": "1", "SAME": "x", "NEW/": "1"},
            "processes": [
                {"type": "web", "instances": 1, "memory": "1024M", "disk_quota": "1024M"},
                {"type": "worker", "instances": 0},
            ],
            "routes": [{"route": "a.example.com", "protocol": "http1"}, {"route": "b.example.com"}],
        }));
        let mut wanted = object(json!({
            "name": "a",
            "instances": 2,
            "env": {"SAME": "x", "NEW/": "2"},
            "processes": [{"type": "web", "memory": "2G", "instances": 2}],
            "routes": [{"route": "a.example.com"}, {"route": "c.example.com"}],
        }));
        normalize_app(&mut wanted);
        let mut changes = diff_app(3, &wanted, Some(existing));
        changes.sort_by_key(|change| change["path"].to_string());
        assert_eq!(
            changes,
            [
                json!({"op": "replace", "path": "/applications/3/env/NEW~1", "was": "1", "value": "2"}),
                json!({"op": "remove", "path": "/applications/3/env/OLD", "was": "1"}),
                json!({"op": "replace", "path": "/applications/3/instances", "was": 1, "value": 2}),
                json!({"op": "replace", "path": "/applications/3/processes/0/instances", "was": 1, "value": 2}),
                json!({"op": "replace", "path": "/applications/3/processes/0/memory", "was": "1024M", "value": "2048M"}),
                json!({"op": "add", "path": "/applications/3/routes/1", "value": {"route": "c.example.com"}}),
            ]
        );
    }
}

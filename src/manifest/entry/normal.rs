//! The known properties of an app and their normal form, which is the form that the Cloud
//! Controller shows.

use serde_json::{Map, Value, json};

use super::EntryError;
use super::routes::route_text;
use crate::manifest::size;

/// The properties of a process. At the top level of an entry, they are the properties of
/// the web process.
pub(super) const PROCESS: [(&str, Kind); 15] = [
    ("command", Kind::Command),
    ("disk_quota", Kind::Size),
    ("health-check-http-endpoint", Kind::Path),
    ("health-check-interval", Kind::Count { least: 1 }),
    ("health-check-invocation-timeout", Kind::Count { least: 1 }),
    ("health-check-type", Kind::HealthCheck),
    ("instances", Kind::Count { least: 0 }),
    ("log-rate-limit-per-second", Kind::Rate),
    ("memory", Kind::Size),
    ("readiness-health-check-http-endpoint", Kind::Path),
    ("readiness-health-check-interval", Kind::Count { least: 1 }),
    (
        "readiness-health-check-invocation-timeout",
        Kind::Count { least: 1 },
    ),
    ("readiness-health-check-type", Kind::HealthCheck),
    ("timeout", Kind::Count { least: 1 }),
    ("user", Kind::Text),
];

/// The properties of an app, except for its web process.
pub(super) const APP: [(&str, Kind); 10] = [
    ("buildpacks", Kind::Texts),
    ("cnb-credentials", Kind::Map),
    ("docker", Kind::Docker),
    ("features", Kind::Features),
    ("lifecycle", Kind::Lifecycle),
    ("metadata", Kind::Metadata),
    ("processes", Kind::Processes),
    ("services", Kind::Services),
    ("sidecars", Kind::Sidecars),
    ("stack", Kind::Text),
];

/// The ways in which apps are staged.
const LIFECYCLES: [&str; 3] = ["buildpack", "cnb", "docker"];

/// The properties of a Docker image. A manifest does not contain the password, which is
/// sent only with the image.
pub(super) const DOCKER: [&str; 3] = ["image", "username", "password"];

/// The properties of an item of `services`.
pub(super) const BINDING: [&str; 3] = ["name", "parameters", "binding_name"];

/// The properties of an item of `sidecars`.
const SIDECAR: [&str; 4] = ["name", "command", "process_types", "memory"];

/// The alternative names of properties, and the names that the Cloud Controller shows.
pub(super) const ALTERNATIVE_NAMES: [(&str, &str); 2] =
    [("disk-quota", "disk_quota"), ("buildpack", "buildpacks")];

/// The type of a property.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A string. Numbers and booleans are converted.
    Text,
    /// The path of a URL, such as `/health`.
    Path,
    /// A list of strings.
    Texts,
    /// A whole number.
    Count {
        least: u64,
    },
    /// A size in MB, such as `64M`.
    Size,
    /// Bytes per second, as the Cloud Controller shows them.
    Rate,
    /// A type of health check: `port`, `process` or `http`.
    HealthCheck,
    /// A string. Without it, the droplet's command is used.
    Command,
    /// `buildpack`, `cnb` or `docker`.
    Lifecycle,
    /// An image, with the login of its registry.
    Docker,
    Map,
    Features,
    Metadata,
    Processes,
    Services,
    Sidecars,
}

pub(super) fn of(properties: &[(&str, Kind)], name: &str) -> Option<Kind> {
    let mut properties = properties.iter();
    properties
        .find(|(key, _)| *key == name)
        .map(|(_, kind)| *kind)
}

/// A value in the form that the Cloud Controller shows. `None` for a value that means the
/// default.
pub(super) fn normal(key: &str, kind: Kind, value: Value) -> Result<Option<Value>, EntryError> {
    if matches!(kind, Kind::Texts) {
        return texts(key, value).map(|texts| Some(json!(texts)));
    }
    if value.is_null() {
        return Ok(None);
    }
    let wrong =
        |must_be: &str| EntryError::new(key, format!("is {}, must be {must_be}", shown(&value)));
    Ok(Some(match kind {
        Kind::Text => json!(scalar(&value).ok_or_else(|| wrong("a string"))?),
        Kind::Path => {
            let path = scalar(&value).filter(|path| is_path(path));
            json!(path.ok_or_else(|| wrong("a path such as /health"))?)
        }
        Kind::Command => {
            let command = scalar(&value).ok_or_else(|| wrong("a string"))?;
            if matches!(command.as_str(), "" | "null" | "default") {
                return Ok(None);
            }
            json!(command)
        }
        Kind::Count { least } => {
            let count = scalar(&value).and_then(|text| text.parse::<u64>().ok());
            let count = count.filter(|count| *count >= least);
            let must_be = match least {
                0 => "a whole number",
                _ => "a whole number of at least 1",
            };
            json!(count.ok_or_else(|| wrong(must_be))?)
        }
        Kind::Size => {
            let size = scalar(&value).and_then(|text| size::megabytes(&text).ok());
            let size = size.ok_or_else(|| wrong("a size with a unit, such as 512M or 2G"))?;
            json!(format!("{size}M"))
        }
        Kind::Rate => {
            let rate = scalar(&value).and_then(|text| size::log_rate_limit(&text).ok());
            json!(rate_text(rate.ok_or_else(|| wrong(
                "-1, 0 or a size with a unit, such as 16K"
            ))?))
        }
        Kind::HealthCheck => match scalar(&value).as_deref() {
            Some("none" | "process") => json!("process"),
            Some(check @ ("port" | "http")) => json!(check),
            _ => return Err(wrong("port, process or http")),
        },
        Kind::Lifecycle => match scalar(&value) {
            Some(kind) if LIFECYCLES.contains(&kind.as_str()) => json!(kind),
            _ => return Err(wrong("buildpack, cnb or docker")),
        },
        Kind::Docker => docker(key, value)?,
        Kind::Features => {
            let features = value
                .as_object()
                .ok_or_else(|| wrong("a map of true or false"))?;
            if !features.values().all(Value::is_boolean) {
                return Err(wrong("a map of true or false"));
            }
            value
        }
        Kind::Map => {
            if !value.is_object() {
                return Err(wrong("a map"));
            }
            value
        }
        Kind::Metadata => metadata(key, value)?,
        Kind::Services => services(key, value)?,
        Kind::Sidecars => sidecars(key, value)?,
        // Other functions read these.
        Kind::Texts | Kind::Processes => value,
    }))
}

/// A value in a form in which equal values are equal. `None` for a value that means the
/// default. `path` leads from the app to the value, such as `processes`, `0`, `memory`.
pub(crate) fn normalized(path: &[&str], value: &Value) -> Option<Value> {
    let (key, kind) = match path {
        ["env", _] => return Some(json!(text_of(value))),
        ["metadata", _, _] => return (!value.is_null()).then(|| json!(text_of(value))),
        ["routes", _, "route"] => return value.as_str().map(|route| json!(route_text(route))),
        ["sidecars", _, "process_types"] => return Some(sorted(value)),
        ["sidecars", _, "memory"] => return sidecar_memory(value).or_else(|| Some(value.clone())),
        ["processes", _, key] => (renamed(key), of(&PROCESS, renamed(key))),
        [key] => {
            let key = renamed(key);
            (key, of(&APP, key).or_else(|| of(&PROCESS, key)))
        }
        _ => ("", None),
    };
    let Some(kind) = kind else {
        return (!value.is_null()).then(|| value.clone());
    };
    match normal(key, kind, value.clone()) {
        Ok(Some(Value::Array(list))) if list.is_empty() => None,
        Ok(normal) => normal,
        // The Cloud Controller reports the error.
        Err(_) => Some(value.clone()),
    }
}

/// The name of a property that has two names.
pub(super) fn renamed(key: &str) -> &str {
    let mut names = ALTERNATIVE_NAMES.iter();
    let found = names.find(|(second, _)| *second == key);
    found.map_or(key, |(_, name)| name)
}

/// Whether a property belongs to the web process, at any position in a manifest.
pub(crate) fn is_of_process(key: &str) -> bool {
    of(&PROCESS, renamed(key)).is_some()
}

/// Whether a text is the path of a URL, which begins with a slash and contains no white
/// space.
fn is_path(text: &str) -> bool {
    let rest = text.strip_prefix('/');
    rest.is_some_and(|rest| !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}

fn sorted(value: &Value) -> Value {
    let mut list: Vec<String> = value
        .as_array()
        .into_iter()
        .flatten()
        .map(text_of)
        .collect();
    list.sort();
    json!(list)
}

/// The memory of a sidecar. A plain number is in MB.
fn sidecar_memory(value: &Value) -> Option<Value> {
    let text = scalar(value)?;
    let megabytes = text.parse().or_else(|_| size::megabytes(&text)).ok()?;
    (megabytes > 0).then(|| json!(format!("{megabytes}M")))
}

/// The value of an environment variable as the app sees it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        value => scalar(value).unwrap_or_else(|| value.to_string()),
    }
}

fn metadata(key: &str, value: Value) -> Result<Value, EntryError> {
    let wrong = || EntryError::new(key, "must be a map with `labels` and `annotations`");
    let Value::Object(given) = value else {
        return Err(wrong());
    };
    let mut metadata = Map::new();
    for (part, values) in given {
        let Value::Object(values) = values else {
            return Err(wrong());
        };
        if !["labels", "annotations"].contains(&part.as_str()) {
            return Err(wrong());
        }
        let texts = values.into_iter().map(|(name, value)| match &value {
            Value::Null => Ok((name, Value::Null)),
            value => {
                let text = scalar(value).ok_or_else(|| {
                    let reason = format!("has {} as `{name}`, must be a string", kind(value));
                    EntryError::new(key, reason)
                })?;
                Ok((name, json!(text)))
            }
        });
        let texts: Map<String, Value> = texts.collect::<Result<_, EntryError>>()?;
        metadata.insert(part, Value::Object(texts));
    }
    Ok(Value::Object(metadata))
}

fn docker(key: &str, value: Value) -> Result<Value, EntryError> {
    let Value::Object(given) = value else {
        let reason = format!("is {}, must be a map with an `image`", kind(&value));
        return Err(EntryError::new(key, reason));
    };
    let mut docker = Map::new();
    for (name, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
        if !DOCKER.contains(&name.as_str()) {
            let reason = format!("cannot have `{name}`, only {}", DOCKER.join(", "));
            return Err(EntryError::new(key, reason));
        }
        let text = scalar(&value).filter(|text| !text.trim().is_empty());
        let text = text.ok_or_else(|| {
            EntryError::new(key, format!("must have a non-empty string as `{name}`"))
        })?;
        docker.insert(name, json!(text));
    }
    if !docker.contains_key("image") {
        return Err(EntryError::new(key, "must have an `image`"));
    }
    Ok(Value::Object(docker))
}

fn services(key: &str, value: Value) -> Result<Value, EntryError> {
    let wrong = || EntryError::new(key, "must be a list of names, or of maps with a `name`");
    let Value::Array(mut list) = value else {
        return Err(wrong());
    };
    for item in &mut list {
        service_name(item).ok_or_else(wrong)?;
        if let Some(unknown) = item.as_object().and_then(unknown_key) {
            let reason = format!("cannot have `{unknown}`, only {}", BINDING.join(", "));
            return Err(EntryError::new(key, reason));
        }
        for (name, is_right) in [
            ("parameters", Value::is_object as fn(&Value) -> bool),
            ("binding_name", Value::is_string),
        ] {
            if item.get(name).is_some_and(|it| !is_right(it)) {
                let reason = format!("must have a {name} that is {}", must_be(name));
                return Err(EntryError::new(key, reason));
            }
        }
    }
    Ok(in_order(list))
}

fn unknown_key(item: &Map<String, Value>) -> Option<&String> {
    item.keys().find(|key| !BINDING.contains(&key.as_str()))
}

fn must_be(key: &str) -> &'static str {
    match key {
        "parameters" => "a map",
        _ => "a string",
    }
}

/// Services as the Cloud Controller lists them: sorted, with services that have only a
/// name as strings.
pub(super) fn in_order(mut list: Vec<Value>) -> Value {
    for item in &mut list {
        if item.as_object().is_some_and(|map| map.len() == 1) {
            *item = json!(service_name(item));
        }
    }
    list.sort_by_key(|item| service_name(item).unwrap_or_default().to_lowercase());
    Value::Array(list)
}

pub(super) fn service_name(item: &Value) -> Option<&str> {
    item.as_str().or_else(|| item.get("name")?.as_str())
}

pub(super) fn names_of_services(services: &Value) -> Value {
    let services = services.as_array().into_iter().flatten();
    services
        .filter_map(service_name)
        .map(|name| json!(name))
        .collect()
}

fn sidecars(key: &str, value: Value) -> Result<Value, EntryError> {
    let wrong = || {
        EntryError::new(
            key,
            "must be a list of maps with `name`, `command` and `process_types`",
        )
    };
    let Value::Array(mut list) = value else {
        return Err(wrong());
    };
    for item in &mut list {
        let sidecar = item.as_object_mut().ok_or_else(wrong)?;
        sidecar.retain(|_, value| !value.is_null());
        let is_text = |key: &str| {
            let text = sidecar.get(key).and_then(Value::as_str);
            text.is_some_and(|text| !text.is_empty())
        };
        let types = sidecar.get("process_types").and_then(Value::as_array);
        let has_types =
            types.is_some_and(|types| !types.is_empty() && types.iter().all(Value::is_string));
        if !is_text("name") || !is_text("command") || !has_types {
            return Err(wrong());
        }
        if let Some(unknown) = sidecar.keys().find(|key| !SIDECAR.contains(&key.as_str())) {
            let reason = format!("cannot have `{unknown}`, only {}", SIDECAR.join(", "));
            return Err(EntryError::new(key, reason));
        }
        if let Some(memory) = sidecar.get_mut("memory") {
            let normal = sidecar_memory(memory);
            *memory =
                normal.ok_or_else(|| EntryError::new(key, "must have a `memory` such as 64M"))?;
        }
    }
    sort_by(&mut list, "name");
    Ok(Value::Array(list))
}

pub(super) fn sort_by(list: &mut [Value], field: &str) {
    list.sort_by_key(|item| item.get(field).and_then(scalar));
}

fn texts(key: &str, value: Value) -> Result<Vec<String>, EntryError> {
    let wrong = || EntryError::new(key, "must be a list of strings");
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => list
            .iter()
            .map(|item| scalar(item).ok_or_else(wrong))
            .collect(),
        // `buildpack` has the same special values.
        Value::String(text) if text == "default" || text == "null" => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text]),
        _ => Err(wrong()),
    }
}

pub(super) fn truth(key: &str, value: &Value) -> Result<bool, EntryError> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(truth) => Ok(*truth),
        other => Err(EntryError::new(
            key,
            format!("is {}, must be true or false", kind(other)),
        )),
    }
}

/// A string, number or boolean as a string. `None` for other values.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The type of a value, for messages that must not show the value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A scalar's value, or the type of another value.
fn shown(value: &Value) -> String {
    scalar(value).unwrap_or_else(|| kind(value).to_owned())
}

/// A number of bytes per second in the largest unit that gives a whole number.
pub(crate) fn rate_text(bytes: i64) -> String {
    const UNITS: [(&str, u32); 4] = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    if bytes <= 0 {
        return bytes.to_string();
    }
    let fits = |(_, bits): &&(&str, u32)| bytes % (1_i64 << bits) == 0;
    match UNITS.iter().find(fits) {
        Some((unit, bits)) => format!("{}{unit}", bytes >> bits),
        None => format!("{bytes}B"),
    }
}

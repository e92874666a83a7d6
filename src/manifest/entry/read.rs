//! Reads an entry from YAML or JSON, and checks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::normal::{ALTERNATIVE_NAMES, APP, PROCESS, kind, normal, of, scalar, text_of, truth};
use super::routes::routes;
use super::{EntryError, ManifestEntry};
use crate::manifest::yaml;

/// The properties that an application of a manifest may have.
pub(crate) fn known_keys() -> impl Iterator<Item = &'static str> {
    let in_tables = APP.iter().chain(&PROCESS).map(|(key, _)| *key);
    // Only processes have a user.
    APART
        .into_iter()
        .chain(in_tables.filter(|key| *key != "user"))
}

/// The properties that an item of `processes` may have.
pub(crate) fn known_process_keys() -> impl Iterator<Item = &'static str> {
    let in_table = PROCESS.iter().map(|(key, _)| *key);
    ["type", "disk-quota"].into_iter().chain(in_table)
}

/// The properties that are not in the tables of properties.
const APART: [&str; 9] = [
    "name",
    "env",
    "routes",
    "no-route",
    "default-route",
    "random-route",
    "buildpack",
    "disk-quota",
    "path",
];

/// The properties of each kind of health check: its type, and its endpoint.
pub(crate) const HEALTH_CHECKS: [(&str, &str); 2] = [
    ("health-check-type", "health-check-http-endpoint"),
    (
        "readiness-health-check-type",
        "readiness-health-check-http-endpoint",
    ),
];

impl ManifestEntry {
    /// Reads an entry from YAML: the properties of one app, or a manifest with one
    /// application.
    ///
    /// # Errors
    /// [`EntryError`], which names the property.
    pub fn parse(text: &str) -> Result<Self, EntryError> {
        let value = yaml::Value::parse(text)
            .map_err(|error| EntryError::new("", format!("the entry is not YAML: {error}")))?;
        Self::from_yaml(&value)
    }

    pub(crate) fn from_yaml(value: &yaml::Value) -> Result<Self, EntryError> {
        let value = serde_json::to_value(value)
            .map_err(|error| EntryError::new("", format!("the entry cannot be read: {error}")))?;
        Self::from_value(value)
    }

    /// Reads an entry from JSON, as [`ManifestEntry::parse`] does from YAML.
    ///
    /// # Errors
    /// [`EntryError`], which names the property.
    pub fn from_value(value: Value) -> Result<Self, EntryError> {
        let mut given = match value {
            Value::Null => Map::new(),
            Value::Object(given) => only_application(given)?,
            other => {
                return Err(EntryError::new(
                    "",
                    format!("the entry is {}, must be a map", kind(&other)),
                ));
            }
        };
        for (old, new) in ALTERNATIVE_NAMES {
            unify(&mut given, old, new)?;
        }
        let all_processes = given.remove("processes").unwrap_or_default();
        let mut entry = Self::default();
        let mut no_route = false;
        let mut properties = BTreeMap::new();
        for (key, value) in given {
            match key.as_str() {
                "name" => {}
                "env" => entry.env = Arc::new(environment(value)?),
                "routes" => entry.routes = routes(value)?,
                "no-route" => no_route = truth(&key, &value)?,
                "default-route" => entry.default_route = truth(&key, &value)?,
                "random-route" if !truth(&key, &value)? => {}
                "random-route" => {
                    let reason = "would create another route in every run; list the routes instead";
                    return Err(EntryError::new(&key, reason));
                }
                "path" => {
                    let reason = "has no effect here; the group sets the source of the bits";
                    return Err(EntryError::new(&key, reason));
                }
                _ => {
                    let kind = of(&APP, &key).or_else(|| of(&PROCESS, &key));
                    let kind = kind.filter(|_| key != "user");
                    let kind =
                        kind.ok_or_else(|| EntryError::new(&key, "is not a property of an app"))?;
                    if let Some(value) = normal(&key, kind, value)? {
                        properties.insert(key, value);
                    }
                }
            }
        }
        processes(all_processes, &mut properties)?;
        if no_route {
            if entry
                .routes
                .as_ref()
                .is_some_and(|routes| !routes.is_empty())
                || entry.default_route
            {
                return Err(EntryError::new(
                    "no-route",
                    "cannot be used together with routes",
                ));
            }
            entry.routes = Some(Vec::new());
        }
        check_lifecycle(&properties)?;
        check_endpoints(&properties)?;
        entry.properties = Arc::new(properties);
        Ok(entry)
    }

    /// Whether an application of a manifest may have this property.
    pub(crate) fn is_known(property: &str) -> bool {
        known_keys().any(|known| known == property)
    }
}

/// Checks that the properties are compatible with the app's lifecycle. The Cloud
/// Controller would ignore some properties, and then always report them as differences.
fn check_lifecycle(properties: &BTreeMap<String, Value>) -> Result<(), EntryError> {
    let has = |key: &str| properties.contains_key(key);
    let lifecycle = properties.get("lifecycle").and_then(Value::as_str);
    let refused = |key: &str, reason: String| Err(EntryError::new(key, reason));
    if has("docker") {
        let others = ["buildpacks", "stack", "cnb-credentials"];
        if let Some(other) = others.into_iter().find(|key| has(key)) {
            return refused("docker", format!("cannot be used together with `{other}`"));
        }
    }
    match lifecycle {
        Some("docker") if !has("docker") => {
            refused("lifecycle", "is docker, which needs `docker`".to_owned())
        }
        Some(other) if other != "docker" && has("docker") => refused(
            "lifecycle",
            format!("is {other}, which cannot be used together with `docker`"),
        ),
        Some("cnb") if !has("buildpacks") => {
            refused("lifecycle", "is cnb, which needs `buildpacks`".to_owned())
        }
        Some("cnb") => Ok(()),
        _ if has("cnb-credentials") => {
            let reason = "is for `lifecycle: cnb` only";
            refused("cnb-credentials", reason.to_owned())
        }
        _ => Ok(()),
    }
}

/// Checks that only HTTP health checks have an endpoint. The Cloud Controller refuses
/// other types with an endpoint.
fn check_endpoints(properties: &BTreeMap<String, Value>) -> Result<(), EntryError> {
    let processes = properties.get("processes").and_then(Value::as_array);
    let processes = processes.into_iter().flatten();
    let processes: Vec<&Map<String, Value>> = processes.filter_map(Value::as_object).collect();
    for (kind, endpoint) in HEALTH_CHECKS {
        let reason = |found: &Value| {
            let found = found.as_str().unwrap_or_default();
            format!("is {found}, must be http, because there is a `{endpoint}`")
        };
        let is_other = |value: &&Value| value.as_str() != Some("http");
        if properties.contains_key(endpoint)
            && let Some(found) = properties.get(kind).filter(is_other)
        {
            return Err(EntryError::new(kind, reason(found)));
        }
        for process in &processes {
            if process.contains_key(endpoint)
                && let Some(found) = process.get(kind).filter(is_other)
            {
                let reason = format!("cannot have a `{kind}` that {}", reason(found));
                return Err(EntryError::new("processes", reason));
            }
        }
    }
    Ok(())
}

/// The only application of a manifest, or the map itself if it is not a manifest.
fn only_application(mut given: Map<String, Value>) -> Result<Map<String, Value>, EntryError> {
    match given.remove("applications") {
        None => Ok(given),
        Some(Value::Array(mut list)) if list.len() == 1 => match list.pop() {
            Some(Value::Object(application)) => Ok(application),
            _ => Err(EntryError::new("applications", "must contain a map")),
        },
        Some(_) => Err(EntryError::new(
            "applications",
            "must contain exactly one application",
        )),
    }
}

/// Renames a property to its alternative name.
fn unify(map: &mut Map<String, Value>, old: &str, new: &str) -> Result<(), EntryError> {
    match map.remove(old) {
        None | Some(Value::Null) => Ok(()),
        Some(_) if map.contains_key(new) => Err(EntryError::new(
            old,
            format!("cannot be used together with `{new}`"),
        )),
        Some(value) => {
            map.insert(new.to_owned(), value);
            Ok(())
        }
    }
}

fn environment(value: Value) -> Result<BTreeMap<String, String>, EntryError> {
    let variables = match value {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(variables) => variables,
        other => {
            let reason = format!("is {}, must be a map", kind(&other));
            return Err(EntryError::new("env", reason));
        }
    };
    let is_reserved = |name: &&String| {
        let name = name.to_ascii_uppercase();
        let prefixes = ["VCAP_", "VMC"];
        name == "PORT" || prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    if variables.contains_key("") {
        return Err(EntryError::new(
            "env",
            "cannot have a variable without a name",
        ));
    }
    if let Some(name) = variables.keys().find(is_reserved) {
        let reason = format!("cannot set {name}, which the Cloud Controller sets");
        return Err(EntryError::new("env", reason));
    }
    let variables = variables.into_iter();
    Ok(variables
        .map(|(name, value)| (name, text_of(&value)))
        .collect())
}

/// Reads the processes. The properties of the web process become properties of the entry.
fn processes(value: Value, top: &mut BTreeMap<String, Value>) -> Result<(), EntryError> {
    let key = "processes";
    let list = match value {
        Value::Null => return Ok(()),
        Value::Array(list) => list,
        other => {
            let reason = format!("is {}, must be a list", kind(&other));
            return Err(EntryError::new(key, reason));
        }
    };
    let mut others: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut web = None;
    for process in list {
        let Value::Object(mut given) = process else {
            return Err(EntryError::new(key, "must be a list of maps"));
        };
        unify(&mut given, "disk-quota", "disk_quota")?;
        let kind = given.remove("type").as_ref().and_then(scalar);
        let kind = kind.filter(|kind| !kind.is_empty());
        let kind = kind.ok_or_else(|| EntryError::new(key, "must each have a `type`"))?;
        let mut process = Map::new();
        for (name, value) in given {
            let of_process = of(&PROCESS, &name).ok_or_else(|| {
                EntryError::new(
                    key,
                    format!("cannot have `{name}`, which is not a property of a process"),
                )
            })?;
            if let Some(value) = normal(&name, of_process, value)? {
                process.insert(name, value);
            }
        }
        let is_twice = match kind.as_str() {
            "web" => web.replace(process).is_some(),
            _ => others.insert(kind.clone(), process).is_some(),
        };
        if is_twice {
            return Err(EntryError::new(key, format!("has the type {kind} twice")));
        }
    }
    if let Some(web) = web {
        // In this case, the Cloud Controller ignores properties on the top level.
        top.retain(|name, _| of(&PROCESS, name).is_none());
        top.extend(web);
    }
    let others = others.into_iter().map(|(kind, mut process)| {
        process.insert("type".to_owned(), json!(kind));
        Value::Object(process)
    });
    let others: Vec<Value> = others.collect();
    if !others.is_empty() {
        top.insert(key.to_owned(), Value::Array(others));
    }
    Ok(())
}

//! An entry of a manifest's `applications`, as normalised data.
//!
//! The Cloud Controller's diff compares values as they are written: it calls `1`
//! and `"1"` different, `buildpack` and `buildpacks`, or `1G` and `1024M` where it
//! does not convert them. So an entry is brought into the one form that the Cloud
//! Controller itself would show: then the diff of an equal entry is empty.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{size, yaml};

/// Stands for the number of an app in its group, from 0.
const INDEX: &str = "{i}";

/// Stands for the domain of the apps' routes.
const APPS_DOMAIN: &str = "{apps_domain}";

/// Stands for a value that may be secret.
pub(crate) const REDACTED: &str = "<redacted>";

/// What the web process has at the top of an entry.
const PROCESS: [(&str, Kind); 15] = [
    ("command", Kind::Command),
    ("disk_quota", Kind::Size),
    ("health-check-http-endpoint", Kind::Text),
    ("health-check-interval", Kind::Count { least: 1 }),
    ("health-check-invocation-timeout", Kind::Count { least: 1 }),
    ("health-check-type", Kind::HealthCheck),
    ("instances", Kind::Count { least: 0 }),
    ("log-rate-limit-per-second", Kind::Rate),
    ("memory", Kind::Size),
    ("readiness-health-check-http-endpoint", Kind::Text),
    ("readiness-health-check-interval", Kind::Count { least: 1 }),
    (
        "readiness-health-check-invocation-timeout",
        Kind::Count { least: 1 },
    ),
    ("readiness-health-check-type", Kind::HealthCheck),
    ("timeout", Kind::Count { least: 1 }),
    ("user", Kind::Text),
];

/// What an app has beside its web process.
const APP: [(&str, Kind); 10] = [
    ("buildpacks", Kind::Texts),
    ("cnb-credentials", Kind::Map),
    ("docker", Kind::Map),
    ("features", Kind::Features),
    ("lifecycle", Kind::Text),
    ("metadata", Kind::Metadata),
    ("processes", Kind::Processes),
    ("services", Kind::Services),
    ("sidecars", Kind::Sidecars),
    ("stack", Kind::Text),
];

/// What each app can be given by requests of its own, as in 2017.
pub(crate) const BY_REQUESTS: [&str; 8] = [
    "buildpacks",
    "command",
    "disk_quota",
    "health-check-http-endpoint",
    "health-check-invocation-timeout",
    "health-check-type",
    "instances",
    "memory",
];

/// What is read apart from the other properties.
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

/// What a property holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A text; a number or a truth is its text.
    Text,
    /// A list of texts.
    Texts,
    /// A whole number.
    Count {
        least: u64,
    },
    /// A size, as `NM`.
    Size,
    /// Bytes a second, as the Cloud Controller shows them.
    Rate,
    /// `port`, `process` or `http`.
    HealthCheck,
    /// A text; without one, the droplet's.
    Command,
    Map,
    Features,
    Metadata,
    Processes,
    Services,
    Sidecars,
}

/// What should be true of an app, in the words of `manifest.yml`.
///
/// An entry is normalised: sizes are in MB, environment variables are texts,
/// `buildpack` is `buildpacks`, and what the web process of `processes` has stands
/// at the top. `{i}` in environment variables and routes stands for the number of
/// the app in its group, `{apps_domain}` for the domain of the apps.
///
/// ```
/// use cf_pusher::ManifestEntry;
///
/// let entry = ManifestEntry::parse("memory: 1G\nenv: {RETRIES: 3}")?;
/// assert_eq!(entry.get("memory").unwrap(), "1024M");
/// assert_eq!(entry.env()["RETRIES"], "3");
/// # Ok::<(), cf_pusher::EntryError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ManifestEntry {
    env: Arc<BTreeMap<String, String>>,
    /// None where the entry says nothing of routes.
    routes: Option<Vec<EntryRoute>>,
    /// Whether an app has the route of its name where the entry names none.
    default_route: bool,
    /// All else; what `processes` says of the web process is not in there.
    properties: Arc<BTreeMap<String, Value>>,
}

/// A route of an entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EntryRoute {
    /// Host, domain and path or port, such as `tick.example.com/path`.
    pub(crate) route: String,
    pub(crate) protocol: Option<String>,
    pub(crate) options: Option<Value>,
}

/// Why a manifest entry cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", message(.property, .reason))]
pub struct EntryError {
    property: String,
    reason: String,
}

fn message(property: &str, reason: &str) -> String {
    match property {
        "" => reason.to_owned(),
        property => format!("`{property}` {reason}"),
    }
}

impl EntryError {
    fn new(property: &str, reason: impl Into<String>) -> Self {
        Self {
            property: property.to_owned(),
            reason: reason.into(),
        }
    }

    /// The property that is wrong; empty where it is the entry as a whole.
    pub fn property(&self) -> &str {
        &self.property
    }
}

impl TryFrom<Value> for ManifestEntry {
    type Error = EntryError;

    fn try_from(value: Value) -> Result<Self, EntryError> {
        Self::from_value(value)
    }
}

/// As an entry of `applications`, without a name.
impl Serialize for ManifestEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.application(Purpose::Create).serialize(serializer)
    }
}

/// What an entry is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To create an app: without what it has not anyway.
    Create,
    /// To change an app: where it is to have no route, with what says so.
    Change,
    /// To be compared with an app by the Cloud Controller: without what the lists
    /// show, and what its diff does not compare.
    Compare,
}

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
        for (old, new) in [("disk-quota", "disk_quota"), ("buildpack", "buildpacks")] {
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
                    let reason = "would give an app another route in every run; name the routes";
                    return Err(EntryError::new(&key, reason));
                }
                "path" => {
                    let reason = "has no effect here; the group's bits say where they come from";
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
        if properties.contains_key("docker") && properties.contains_key("buildpacks") {
            return Err(EntryError::new(
                "docker",
                "cannot be used together with `buildpacks`",
            ));
        }
        entry.properties = Arc::new(properties);
        Ok(entry)
    }

    /// Whether a manifest may have this property.
    pub(crate) fn is_known(property: &str) -> bool {
        APART.contains(&property)
            || of(&APP, property).is_some()
            || (property != "user" && of(&PROCESS, property).is_some())
    }

    /// A property in its normalised form; `env` and `routes` are read by
    /// [`ManifestEntry::env`] and [`ManifestEntry::routes`].
    pub fn get(&self, property: &str) -> Option<&Value> {
        self.properties.get(property)
    }

    /// The environment variables.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    pub(crate) fn shared_env(&self) -> &Arc<BTreeMap<String, String>> {
        &self.env
    }

    /// The routes, each with host, domain and path or port; none where the entry
    /// says nothing of them.
    pub fn routes(&self) -> Option<impl Iterator<Item = &str>> {
        let routes = self.routes.as_ref()?.iter();
        Some(routes.map(|route| route.route.as_str()))
    }

    pub(crate) fn entry_routes(&self) -> &[EntryRoute] {
        self.routes.as_deref().unwrap_or_default()
    }

    /// Whether an app is to have no route at all.
    pub(crate) fn has_no_route(&self) -> bool {
        self.routes.as_ref().is_some_and(Vec::is_empty)
    }

    /// How many instances an app has; none where that is left to the foundation.
    pub fn instances(&self) -> Option<u32> {
        u32::try_from(self.get("instances")?.as_u64()?).ok()
    }

    /// The memory of an instance, in MB.
    pub fn memory_mb(&self) -> Option<u64> {
        self.megabytes("memory")
    }

    /// The disk of an instance, in MB.
    pub fn disk_mb(&self) -> Option<u64> {
        self.megabytes("disk_quota")
    }

    fn megabytes(&self, property: &str) -> Option<u64> {
        size::megabytes(self.get(property)?.as_str()?).ok()
    }

    /// The start command of the web process; none leaves it to the droplet.
    pub fn command(&self) -> Option<&str> {
        self.get("command")?.as_str()
    }

    /// The buildpacks; none has them detected.
    pub fn buildpacks(&self) -> Vec<String> {
        let list = self.get("buildpacks").and_then(Value::as_array);
        let list = list.into_iter().flatten().filter_map(Value::as_str);
        list.map(str::to_owned).collect()
    }

    /// The names of all properties that the entry has.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &str> {
        let routes = self.routes.is_some().then_some(if self.has_no_route() {
            "no-route"
        } else {
            "routes"
        });
        let env = (!self.env.is_empty()).then_some("env");
        let others = self.properties.keys().map(String::as_str);
        routes.into_iter().chain(env).chain(others)
    }

    /// The names of the services that an app is bound to; none where the entry says
    /// nothing of them.
    pub(crate) fn services(&self) -> Option<BTreeSet<&str>> {
        let services = self.get("services")?.as_array()?.iter();
        Some(services.filter_map(service_name).collect())
    }

    /// The labels (or annotations) of the entry, where it names them.
    pub(crate) fn metadata(&self, part: &str) -> Option<&Map<String, Value>> {
        self.get("metadata")?.get(part)?.as_object()
    }

    /// The same with a property, which is normalised already.
    pub(crate) fn with(mut self, property: &str, value: Value) -> Self {
        Arc::make_mut(&mut self.properties).insert(property.to_owned(), value);
        self
    }

    /// The same without a property.
    pub(crate) fn without(mut self, property: &str) -> Self {
        Arc::make_mut(&mut self.properties).remove(property);
        self
    }

    /// What requests of an app's own cannot say, if there is anything.
    pub(crate) fn beyond_requests(&self) -> Option<Self> {
        let mut rest = self.clone();
        rest.env = Arc::default();
        rest.default_route = false;
        let has_more = |route: &EntryRoute| route.protocol.is_some() || route.options.is_some();
        if !self.entry_routes().iter().any(has_more) {
            rest.routes = None;
        }
        Arc::make_mut(&mut rest.properties).retain(|key, _| !BY_REQUESTS.contains(&key.as_str()));
        (rest != Self::default()).then_some(rest)
    }

    /// The same with labels and annotations, which win.
    pub(crate) fn with_metadata(
        self,
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
    ) -> Self {
        let mut metadata = self.get("metadata").cloned().unwrap_or_else(|| json!({}));
        for (part, values) in [("labels", labels), ("annotations", annotations)] {
            for (key, value) in values {
                metadata[part][*key] = json!(value);
            }
        }
        self.with("metadata", metadata)
    }

    /// The same with a route and nothing else in place of its routes.
    pub(crate) fn with_routes(mut self, routes: Vec<String>) -> Self {
        let route = |route: String| EntryRoute {
            route,
            protocol: None,
            options: None,
        };
        self.routes = Some(routes.into_iter().map(route).collect());
        self.default_route = false;
        self
    }

    /// The same with more environment variables, which win.
    pub(crate) fn with_env(mut self, env: BTreeMap<String, String>) -> Self {
        Arc::make_mut(&mut self.env).extend(env);
        self
    }

    /// The same without what may be secret.
    pub(crate) fn redacted(&self) -> Self {
        let env = self
            .env
            .keys()
            .map(|name| (name.clone(), REDACTED.to_owned()));
        let env = Arc::new(env.collect());
        let entry = self.clone().without("cnb-credentials");
        Self { env, ..entry }
    }

    /// Whether it needs the domain of the apps.
    pub(crate) fn needs_apps_domain(&self) -> bool {
        let mut texts = self.env.values().map(String::as_str);
        let mut routes = self.entry_routes().iter();
        (self.default_route && self.routes.is_none())
            || texts.any(|text| text.contains(APPS_DOMAIN))
            || routes.any(|route| route.route.contains(APPS_DOMAIN))
    }

    /// The entry of one app of a group.
    pub(crate) fn of_app(&self, name: &str, index: u32, apps_domain: &str) -> Self {
        let mut entry = self.clone();
        if self.env.values().any(|value| has_placeholder(value)) {
            let filled = self.env.iter();
            let filled = filled.map(|(key, value)| {
                (
                    key.clone(),
                    filled_in(value, index, apps_domain).into_owned(),
                )
            });
            entry.env = Arc::new(filled.collect());
        }
        for route in entry.routes.iter_mut().flatten() {
            route.route = route_text(&filled_in(&route.route, index, apps_domain));
        }
        if self.default_route && self.routes.is_none() {
            let route = format!("{}.{apps_domain}", name.to_lowercase());
            entry = entry.with_routes(vec![route]);
        }
        if let Some(routes) = &mut entry.routes {
            sort_routes(routes);
        }
        entry
    }

    /// The environment with the domain of the apps, where all apps of the group have
    /// the same; so it is kept once.
    pub(crate) fn with_apps_domain(&self, apps_domain: &str) -> Self {
        let mut entry = self.clone();
        if self.env.values().any(|value| value.contains(APPS_DOMAIN)) {
            let env = self.env.iter();
            let env =
                env.map(|(key, value)| (key.clone(), value.replace(APPS_DOMAIN, apps_domain)));
            entry.env = Arc::new(env.collect());
        }
        entry
    }

    /// As an entry of `applications`, without a name.
    pub(crate) fn application(&self, purpose: Purpose) -> Map<String, Value> {
        let mut application = Map::new();
        let is_change = purpose == Purpose::Change;
        let compares = purpose == Purpose::Compare;
        if compares || !self.env.is_empty() {
            application.insert("env".to_owned(), json!(*self.env));
        }
        let mut web = Map::new();
        for (key, value) in self.properties.iter() {
            let is_listed = ["instances", "memory", "disk_quota", "buildpacks", "docker"];
            if compares && (is_listed.contains(&key.as_str()) || key == "cnb-credentials") {
                continue;
            }
            let value = match key.as_str() {
                "services" if compares => names_of_services(value),
                _ => value.clone(),
            };
            let is_of_web = of(&PROCESS, key).is_some() && self.properties.contains_key("user");
            let target = if is_of_web {
                &mut web
            } else {
                &mut application
            };
            target.insert(key.clone(), value);
        }
        if !web.is_empty() {
            web.insert("type".to_owned(), json!("web"));
            let processes = application.entry("processes").or_insert_with(|| json!([]));
            if let Value::Array(processes) = processes {
                processes.push(Value::Object(web));
                sort_by(processes, "type");
            }
        }
        if compares && self.command().is_none() {
            application.insert("command".to_owned(), Value::Null);
        }
        match &self.routes {
            Some(routes) if routes.is_empty() && is_change => {
                application.insert("no-route".to_owned(), json!(true));
            }
            Some(routes) if !routes.is_empty() => {
                let routes = routes.iter().map(EntryRoute::to_value).collect();
                application.insert("routes".to_owned(), Value::Array(routes));
            }
            _ => {}
        }
        application
    }
}

impl fmt::Display for ManifestEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let application = Value::Object(self.application(Purpose::Create));
        f.write_str(&yaml::Value::from(&application).render())
    }
}

impl EntryRoute {
    fn to_value(&self) -> Value {
        let mut value = json!({"route": self.route});
        if let Some(protocol) = &self.protocol {
            value["protocol"] = json!(protocol);
        }
        if let Some(options) = &self.options {
            value["options"] = options.clone();
        }
        value
    }
}

/// The one application of a manifest, or the map itself where it is none.
fn only_application(mut given: Map<String, Value>) -> Result<Map<String, Value>, EntryError> {
    match given.remove("applications") {
        None => Ok(given),
        Some(Value::Array(mut list)) if list.len() == 1 => match list.pop() {
            Some(Value::Object(application)) => Ok(application),
            _ => Err(EntryError::new("applications", "must hold a map")),
        },
        Some(_) => Err(EntryError::new(
            "applications",
            "must hold exactly one application",
        )),
    }
}

/// Gives a property its other name.
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

fn of(properties: &[(&str, Kind)], name: &str) -> Option<Kind> {
    let mut properties = properties.iter();
    properties
        .find(|(key, _)| *key == name)
        .map(|(_, kind)| *kind)
}

/// A value in the form that the Cloud Controller shows; none for one that says
/// nothing.
fn normal(key: &str, kind: Kind, value: Value) -> Result<Option<Value>, EntryError> {
    if matches!(kind, Kind::Texts) {
        return texts(key, value).map(|texts| Some(json!(texts)));
    }
    if value.is_null() {
        return Ok(None);
    }
    let wrong =
        |must_be: &str| EntryError::new(key, format!("is {}, must be {must_be}", shown(&value)));
    Ok(Some(match kind {
        Kind::Text => json!(scalar(&value).ok_or_else(|| wrong("a text"))?),
        Kind::Command => {
            let command = scalar(&value).ok_or_else(|| wrong("a text"))?;
            if matches!(command.as_str(), "" | "null" | "default") {
                return Ok(None);
            }
            json!(command)
        }
        Kind::Count { least } => {
            let count = scalar(&value).and_then(|text| text.parse::<u64>().ok());
            let count = count.filter(|count| *count >= least);
            json!(count.ok_or_else(|| wrong("a whole number"))?)
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
        // These are read elsewhere.
        Kind::Texts | Kind::Processes => value,
    }))
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
    let variables = variables.into_iter();
    Ok(variables
        .map(|(name, value)| (name, text_of(&value)))
        .collect())
}

/// A variable's value as an app sees it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        value => scalar(value).unwrap_or_else(|| value.to_string()),
    }
}

fn routes(value: Value) -> Result<Option<Vec<EntryRoute>>, EntryError> {
    let wrong = || EntryError::new("routes", "must be a list of maps with a `route`");
    let list = match value {
        Value::Null => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Array(list) => list,
        _ => return Err(wrong()),
    };
    let mut routes = Vec::new();
    for item in list {
        let route = item
            .get("route")
            .and_then(Value::as_str)
            .ok_or_else(wrong)?;
        let options = item.get("options").filter(|options| !options.is_null());
        routes.push(EntryRoute {
            route: route_text(route),
            protocol: item.get("protocol").and_then(scalar),
            options: options.cloned(),
        });
    }
    sort_routes(&mut routes);
    routes.dedup_by(|a, b| a.route == b.route);
    Ok(Some(routes))
}

/// As the Cloud Controller sorts them.
fn sort_routes(routes: &mut [EntryRoute]) {
    routes.sort_by_key(|route| route.route.to_lowercase());
}

/// A route without a scheme; hosts know no case.
fn route_text(route: &str) -> String {
    let route = ["http://", "https://", "tcp://"]
        .iter()
        .find_map(|scheme| route.strip_prefix(scheme))
        .unwrap_or(route);
    match route.find('/') {
        Some(path) => {
            let (host, path) = route.split_at(path);
            format!("{}{path}", host.to_lowercase())
        }
        None => route.to_lowercase(),
    }
}

/// Reads the processes: what they say of the web process goes to the top.
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
        // Then the Cloud Controller takes no notice of what stands at the top.
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
        let texts = values.into_iter().map(|(name, value)| match value {
            Value::Null => (name, Value::Null),
            value => (name, json!(text_of(&value))),
        });
        metadata.insert(part, Value::Object(texts.collect()));
    }
    Ok(Value::Object(metadata))
}

fn services(key: &str, value: Value) -> Result<Value, EntryError> {
    let wrong = || EntryError::new(key, "must be a list of names, or of maps with a `name`");
    let Value::Array(mut list) = value else {
        return Err(wrong());
    };
    for item in &mut list {
        let name = service_name(item).ok_or_else(wrong)?.to_owned();
        if item.as_object().is_some_and(|map| map.len() == 1) {
            *item = json!(name);
        }
    }
    list.sort_by_key(|item| service_name(item).unwrap_or_default().to_lowercase());
    Ok(Value::Array(list))
}

fn service_name(item: &Value) -> Option<&str> {
    item.as_str().or_else(|| item.get("name")?.as_str())
}

fn names_of_services(services: &Value) -> Value {
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
        if let Some(memory) = sidecar.get_mut("memory") {
            let text = scalar(memory).unwrap_or_default();
            // A plain number is one of MB.
            let megabytes = text.parse().or_else(|_| size::megabytes(&text));
            let megabytes =
                megabytes.map_err(|_| EntryError::new(key, "must have a `memory` such as 64M"))?;
            *memory = json!(format!("{megabytes}M"));
        }
    }
    sort_by(&mut list, "name");
    Ok(Value::Array(list))
}

fn sort_by(list: &mut [Value], field: &str) {
    list.sort_by_key(|item| item.get(field).and_then(scalar));
}

fn texts(key: &str, value: Value) -> Result<Vec<String>, EntryError> {
    let wrong = || EntryError::new(key, "must be a list of texts");
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => list
            .iter()
            .map(|item| scalar(item).ok_or_else(wrong))
            .collect(),
        // As `buildpack` has it.
        Value::String(text) if text == "default" || text == "null" => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text]),
        _ => Err(wrong()),
    }
}

fn truth(key: &str, value: &Value) -> Result<bool, EntryError> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(truth) => Ok(*truth),
        other => Err(EntryError::new(
            key,
            format!("is {}, must be true or false", kind(other)),
        )),
    }
}

/// A text, number or truth as text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a value is, where it may hold a secret.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A scalar as it is, else what it is.
fn shown(value: &Value) -> String {
    scalar(value).unwrap_or_else(|| kind(value).to_owned())
}

/// Bytes a second in the largest unit that has a whole number of them.
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

fn has_placeholder(text: &str) -> bool {
    text.contains(INDEX) || text.contains(APPS_DOMAIN)
}

/// A text with the number of the app and the domain of the apps.
pub(crate) fn filled_in<'t>(text: &'t str, index: u32, apps_domain: &str) -> Cow<'t, str> {
    if !has_placeholder(text) {
        return Cow::Borrowed(text);
    }
    let text = text.replace(INDEX, &index.to_string());
    Cow::Owned(text.replace(APPS_DOMAIN, apps_domain))
}

/// Whether a text has a place for the number of the app.
pub(crate) fn has_index(text: &str) -> bool {
    text.contains(INDEX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(text: &str) -> ManifestEntry {
        ManifestEntry::parse(text).unwrap()
    }

    /// Texts that mean the same.
    #[rstest]
    #[case("memory: 1G", "memory: 1024MB")]
    #[case("disk-quota: 1G", "disk_quota: 1024M")]
    #[case("log-rate-limit-per-second: 1024K", "log-rate-limit-per-second: 1M")]
    #[case("log-rate-limit-per-second: -1", "log-rate-limit-per-second: '-1'")]
    #[case("instances: 2", "instances: '2'")]
    #[case("timeout: 60", "timeout: '60'")]
    #[case("env: {A: 1, B: true, C: ~}", "env: {A: '1', B: 'true', C: ''}")]
    #[case("buildpack: go_buildpack", "buildpacks: [go_buildpack]")]
    #[case("buildpack: default", "buildpacks: []")]
    #[case("command: ~", "command: default")]
    #[case("command: 'null'", "{}")]
    #[case("health-check-type: none", "health-check-type: process")]
    #[case("stack: ~", "{}")]
    #[case(
        "routes: [{route: https://B.test/Path}, {route: a.test}]",
        "routes: [{route: a.test}, {route: b.test/Path}]"
    )]
    #[case("services: [b, {name: a}]", "services: [a, b]")]
    #[case(
        "sidecars: [{name: s, command: c, process_types: [web], memory: 64}]",
        "sidecars: [{name: s, command: c, process_types: [web], memory: 64M}]"
    )]
    #[case(
        "{memory: 1G, processes: [{type: web, memory: 2G, disk-quota: 1G}]}",
        "{memory: 2G, disk_quota: 1G}"
    )]
    #[case(
        "processes: [{type: worker, instances: '1'}, {type: clock, command: ~}]",
        "processes: [{type: clock}, {type: worker, instances: 1}]"
    )]
    #[case("random-route: false", "no-route: false")]
    #[case("applications: [{name: x, memory: 1G}]", "memory: 1G")]
    fn equal_entries_have_one_form(#[case] one: &str, #[case] other: &str) {
        assert_eq!(parse(one), parse(other));
    }

    #[rstest]
    #[case(
        "memory: 32",
        "`memory` is 32, must be a size with a unit, such as 512M or 2G"
    )]
    #[case("instances: -1", "`instances` is -1, must be a whole number")]
    #[case("timeout: 0", "`timeout` is 0, must be a whole number")]
    #[case(
        "memory: [1]",
        "`memory` is a list, must be a size with a unit, such as 512M or 2G"
    )]
    #[case(
        "{disk_quota: 1G, disk-quota: 1G}",
        "`disk-quota` cannot be used together with `disk_quota`"
    )]
    #[case(
        "{buildpack: a, buildpacks: [b]}",
        "`buildpack` cannot be used together with `buildpacks`"
    )]
    #[case("env: [{PASSWORD: hunter2}]", "`env` is a list, must be a map")]
    #[case(
        "random-route: true",
        "`random-route` would give an app another route in every run; name the routes"
    )]
    #[case(
        "path: .",
        "`path` has no effect here; the group's bits say where they come from"
    )]
    #[case("no-route: 1", "`no-route` is a number, must be true or false")]
    #[case(
        "{no-route: true, routes: [{route: a.b}]}",
        "`no-route` cannot be used together with routes"
    )]
    #[case("routes: [a.b]", "`routes` must be a list of maps with a `route`")]
    #[case("unheard-of: 1", "`unheard-of` is not a property of an app")]
    #[case("user: me", "`user` is not a property of an app")]
    #[case(
        "health-check-type: tcp",
        "`health-check-type` is tcp, must be port, process or http"
    )]
    #[case(
        "features: {ssh: 1}",
        "`features` is a map, must be a map of true or false"
    )]
    #[case("processes: [{memory: 1G}]", "`processes` must each have a `type`")]
    #[case(
        "processes: [{type: web}, {type: web}]",
        "`processes` has the type web twice"
    )]
    #[case(
        "processes: [{type: web, stack: s}]",
        "`processes` cannot have `stack`, which is not a property of a process"
    )]
    #[case(
        "applications: [{}, {}]",
        "`applications` must hold exactly one application"
    )]
    #[case("3", "the entry is a number, must be a map")]
    fn other_entries_are_refused(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(
            ManifestEntry::parse(text).unwrap_err().to_string(),
            expected
        );
    }

    #[test]
    fn an_app_has_its_number_and_its_domain() {
        let entry = parse(
            "env: {NUMBER: 'app {i}', URL: 'http://a.{apps_domain}'}\nroutes: [{route: 'tick-{i}.{apps_domain}'}]",
        );
        assert!(entry.needs_apps_domain());
        let app = entry.of_app("tick-7", 7, "apps.test");
        assert_eq!(app.env()["NUMBER"], "app 7");
        assert_eq!(app.env()["URL"], "http://a.apps.test");
        assert_eq!(
            app.routes().unwrap().collect::<Vec<_>>(),
            ["tick-7.apps.test"]
        );
        let default = parse("default-route: true").of_app("Tick", 0, "apps.test");
        assert_eq!(
            default.routes().unwrap().collect::<Vec<_>>(),
            ["tick.apps.test"]
        );
        assert!(!parse("env: {A: 1}").needs_apps_domain());
    }

    #[test]
    fn an_entry_is_written_for_a_purpose() {
        let entry = parse(
            "{memory: 1G, instances: 2, env: {A: 1}, services: [{name: db, parameters: {a: 1}}], stack: s, routes: [{route: a.test, protocol: http2}]}",
        );
        let written = |purpose| Value::Object(entry.application(purpose)).to_string();
        insta::assert_snapshot!(written(Purpose::Create), @r#"{"env":{"A":"1"},"instances":2,"memory":"1024M","services":[{"name":"db","parameters":{"a":1}}],"stack":"s","routes":[{"route":"a.test","protocol":"http2"}]}"#);
        insta::assert_snapshot!(written(Purpose::Compare), @r#"{"env":{"A":"1"},"services":["db"],"stack":"s","command":null,"routes":[{"route":"a.test","protocol":"http2"}]}"#);
        let none = parse("no-route: true");
        let written = Value::Object(none.application(Purpose::Change)).to_string();
        insta::assert_snapshot!(written, @r#"{"no-route":true}"#);
    }

    #[test]
    fn a_user_makes_the_web_process_a_process_of_its_own() {
        let entry = parse("processes: [{type: web, user: me, memory: 1G}, {type: worker}]");
        let written = Value::Object(entry.application(Purpose::Create)).to_string();
        insta::assert_snapshot!(written, @r#"{"processes":[{"memory":"1024M","user":"me","type":"web"},{"type":"worker"}]}"#);
    }

    #[rstest]
    #[case(-1, "-1")]
    #[case(0, "0")]
    #[case(1, "1B")]
    #[case(16_384, "16K")]
    #[case(1_048_576, "1M")]
    #[case(1_048_577, "1048577B")]
    fn rates_are_written_as_the_cloud_controller_does(#[case] bytes: i64, #[case] expected: &str) {
        assert_eq!(rate_text(bytes), expected);
    }

    proptest::proptest! {
        #[test]
        fn a_written_entry_reads_the_same(memory in 1_u64..9999, env in proptest::collection::btree_map("[A-Z]{1,4}", "\\PC{0,8}", 0..4)) {
            let entry = ManifestEntry::from_value(json!({"memory": format!("{memory}M"), "env": env})).unwrap();
            let written = Value::Object(entry.application(Purpose::Create));
            assert_eq!(ManifestEntry::from_value(written).unwrap(), entry);
        }
    }
}

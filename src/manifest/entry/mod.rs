//! One application of a manifest, as normalized data.
//!
//! The Cloud Controller's diff compares values in their written form: it reports `1` and
//! `"1"`, `buildpack` and `buildpacks`, and `1G` and `1024M` as different. An entry
//! therefore always has the form that the Cloud Controller shows, so that the diff of an
//! up-to-date entry is empty.

mod normal;
mod placeholders;
mod read;
mod routes;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::size;
use normal::service_name;
pub(crate) use normal::{is_of_process, normalized, rate_text, scalar, text_of};
pub(crate) use placeholders::{filled_in, has_index, literal};
pub(crate) use read::{HEALTH_CHECKS, known_keys, known_process_keys};
pub(crate) use routes::route_text;
pub(crate) use schema::{exclusive_properties, property_schemas};
pub(crate) use write::Purpose;

/// Replaces a value that may be secret.
pub(crate) const REDACTED: &str = "<redacted>";

/// The properties that separate requests can set for each app, as in 2017.
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

/// The desired properties of an app, with the keys of `manifest.yml`.
///
/// An entry is normalized: sizes are in MB, environment variables are strings,
/// `buildpack` is replaced with `buildpacks`, and the properties of the web process are
/// on the top level. In environment variables, routes, services and metadata, `{i}` is
/// replaced by the number of the app in its group, and `{apps_domain}` by the domain of
/// the apps. `{{i}}` is the text `{i}`.
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
    /// `None` if the entry does not set routes.
    routes: Option<Vec<EntryRoute>>,
    /// Whether an app gets a route with its own name if the entry sets no routes.
    default_route: bool,
    /// All other properties. The properties of the web process are here and not in
    /// `processes`.
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

/// The Docker image of an app, and the login of its registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DockerImage<'e> {
    pub(crate) image: &'e str,
    pub(crate) username: Option<&'e str>,
    pub(crate) password: Option<&'e str>,
}

/// The reason why a manifest entry cannot be used.
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

    /// The invalid property. Empty if the entry as a whole is invalid.
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

/// Serializes as an entry of `applications`, without a name.
impl Serialize for ManifestEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.application(Purpose::Create).serialize(serializer)
    }
}

impl ManifestEntry {
    /// A property in its normalized form. For `env` and `routes`, use
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

    /// The routes, each with host, domain and path or port. `None` if the entry does not
    /// set routes.
    pub fn routes(&self) -> Option<impl Iterator<Item = &str>> {
        let routes = self.routes.as_ref()?.iter();
        Some(routes.map(|route| route.route.as_str()))
    }

    pub(crate) fn entry_routes(&self) -> &[EntryRoute] {
        self.routes.as_deref().unwrap_or_default()
    }

    /// Whether an app gets a route with its own name.
    pub(crate) fn has_default_route(&self) -> bool {
        self.default_route && self.routes.is_none()
    }

    /// Whether the entry removes all routes.
    pub(crate) fn has_no_route(&self) -> bool {
        self.routes.as_ref().is_some_and(Vec::is_empty)
    }

    /// The number of instances. `None` selects the foundation's default.
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

    /// The start command of the web process. `None` selects the droplet's command.
    pub fn command(&self) -> Option<&str> {
        self.get("command")?.as_str()
    }

    /// The buildpacks. Empty if they are detected.
    pub fn buildpacks(&self) -> Vec<String> {
        let list = self.get("buildpacks").and_then(Value::as_array);
        let list = list.into_iter().flatten().filter_map(Value::as_str);
        list.map(str::to_owned).collect()
    }

    /// The Docker image, if the app has one.
    pub(crate) fn docker(&self) -> Option<DockerImage<'_>> {
        let docker = self.get("docker")?;
        let text = |key: &str| docker.get(key).and_then(Value::as_str);
        Some(DockerImage {
            image: text("image")?,
            username: text("username"),
            password: text("password"),
        })
    }

    /// The lifecycle of the app: `buildpack`, `cnb` or `docker`.
    pub(crate) fn lifecycle(&self) -> &str {
        let given = self.get("lifecycle").and_then(Value::as_str);
        match self.get("docker") {
            Some(_) => "docker",
            None => given.unwrap_or("buildpack"),
        }
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

    /// The names of the services that an app is bound to. `None` if the entry does not
    /// set services.
    pub(crate) fn services(&self) -> Option<BTreeSet<&str>> {
        let services = self.get("services")?.as_array()?.iter();
        Some(services.filter_map(service_name).collect())
    }

    /// Returns the entry with a binding to a service, which replaces an existing one.
    pub(crate) fn with_service(self, name: &str, binding: Value) -> Self {
        let services = self.get("services").and_then(Value::as_array);
        let others = services.into_iter().flatten();
        let others = others.filter(|item| service_name(item) != Some(name));
        let services = others.cloned().chain([binding]).collect();
        let services = normal::in_order(services);
        self.with("services", services)
    }

    /// The `labels` or `annotations` of the entry, if it sets them.
    pub(crate) fn metadata(&self, part: &str) -> Option<&Map<String, Value>> {
        self.get("metadata")?.get(part)?.as_object()
    }

    /// Returns the entry without the password of a Docker image's registry.
    pub(crate) fn without_password(self) -> Self {
        match self.get("docker") {
            Some(docker) if docker.get("password").is_some() => {
                let docker = write::without_password(docker);
                self.with("docker", docker)
            }
            _ => self,
        }
    }

    /// Returns the entry with a property, which must be normalized.
    pub(crate) fn with(mut self, property: &str, value: Value) -> Self {
        Arc::make_mut(&mut self.properties).insert(property.to_owned(), value);
        self
    }

    /// Returns the entry without a property.
    pub(crate) fn without(mut self, property: &str) -> Self {
        Arc::make_mut(&mut self.properties).remove(property);
        self
    }

    /// The properties that separate requests for each app cannot set, if any.
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

    /// Returns the entry with labels and annotations, which replace existing ones.
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

    /// Returns the entry with only these routes.
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

    /// Returns the entry with environment variables, which replace existing ones.
    pub(crate) fn with_env(mut self, env: BTreeMap<String, String>) -> Self {
        Arc::make_mut(&mut self.env).extend(env);
        self
    }

    /// Returns the entry without values that may be secret.
    pub(crate) fn redacted(&self) -> Self {
        let env = self
            .env
            .keys()
            .map(|name| (name.clone(), REDACTED.to_owned()));
        let env = Arc::new(env.collect());
        let mut entry = self.clone().without("cnb-credentials");
        if let Some(mut services) = entry.get("services").cloned() {
            let bindings = services.as_array_mut().into_iter().flatten();
            for parameters in bindings.filter_map(|it| it.get_mut("parameters")) {
                *parameters = json!(REDACTED);
            }
            entry = entry.with("services", services);
        }
        Self { env, ..entry }
    }
}

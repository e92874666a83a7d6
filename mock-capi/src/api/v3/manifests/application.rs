//! An application of a manifest, read with the Cloud Controller's validations.
//!
//! Unlike the body of a request, an application may have unknown keys, which are
//! ignored. All errors are collected, in the Cloud Controller's order.

use serde_json::{Map, Value};

use crate::api::message::Message;
use crate::api::shared::app_environment::environment_error;
use crate::api::yaml::Yaml;
use crate::world::metadata::MetadataPatch;
use crate::world::{Feature, NewSidecar, ruby};

use super::processes::{self, ProcessUpdate, ScalePatch};
use super::routes::{self, WantedRoutes};
use super::staging::{self, DisabledLifecycles, WantedLifecycle};
use crate::api::v3::route_options::OptionRules;
use crate::api::v3::sidecars;

/// The changes to an app that an application of a manifest describes.
#[derive(Debug)]
pub(crate) struct AppManifest {
    pub(crate) name: String,
    pub(crate) features: Vec<(Feature, bool)>,
    pub(crate) updates: Vec<(String, ProcessUpdate)>,
    /// The fields of the request for the app itself, for events.
    pub(crate) app_fields: Map<String, Value>,
    /// The types of processes that are given as numbers or booleans.
    pub(crate) non_text_types: Vec<String>,
    pub(crate) scales: Vec<(String, ScalePatch)>,
    pub(crate) sidecars: Vec<NewSidecar>,
    pub(crate) lifecycle: WantedLifecycle,
    pub(crate) metadata: MetadataPatch,
    pub(crate) routes: WantedRoutes,
    pub(crate) environment: Map<String, Value>,
    pub(crate) services: Vec<WantedService>,
}

/// A service that a manifest binds an app to.
#[derive(Clone, Debug)]
pub(crate) struct WantedService {
    pub(crate) name: String,
    pub(crate) binding_name: Option<String>,
    /// The body of a request to a broker.
    pub(crate) parameters: Option<Map<String, Value>>,
}

const SIDECARS: &str = "Sidecars must be an array of sidecar configurations";

impl AppManifest {
    /// Reads an application, or returns all errors, each of which names the application.
    pub(crate) fn read(
        index: usize,
        application: &Yaml,
        refused: DisabledLifecycles<'_>,
        options: &OptionRules,
    ) -> Result<Self, Vec<String>> {
        let fields = match application.to_json() {
            Value::Object(fields) => underscored(&fields),
            _ => Map::new(),
        };
        let mut message = Message::of_any(&fields);
        let manifest = read_fields(&mut message, application, refused, options);
        if message.is_valid() {
            return Ok(manifest);
        }
        let name = message.value("name").filter(|name| !ruby::is_blank(name));
        let which = match name {
            Some(Value::String(name)) => format!("For application '{name}': "),
            Some(name) => format!("For application '{name}': "),
            None => format!("For application at index {index}: "),
        };
        let errors = message.into_errors().into_iter();
        Err(errors.map(|error| format!("{which}{error}")).collect())
    }
}

/// The fields of an application or a process, with their names in snake case.
pub(super) fn underscored(fields: &Map<String, Value>) -> Map<String, Value> {
    let fields = fields.iter();
    fields
        .map(|(key, value)| (underscore(key), value.clone()))
        .collect()
}

/// Converts a name to snake case: `disk-quota` and `diskQuota` become `disk_quota`.
fn underscore(key: &str) -> String {
    let mut underscored = String::with_capacity(key.len());
    let mut after_small = false;
    for c in key.chars() {
        if c.is_ascii_uppercase() && after_small {
            underscored.push('_');
        }
        after_small = c.is_ascii_lowercase() || c.is_ascii_digit();
        underscored.push(if c == '-' {
            '_'
        } else {
            c.to_ascii_lowercase()
        });
    }
    underscored
}

/// The objects of a list. `None` if the value is anything else.
pub(super) fn list_of_objects(value: &Value) -> Option<Vec<&Map<String, Value>>> {
    let list = value.as_array()?;
    list.iter().map(Value::as_object).collect()
}

fn read_fields(
    message: &mut Message<'_>,
    application: &Yaml,
    refused: DisabledLifecycles<'_>,
    options: &OptionRules,
) -> AppManifest {
    let name = message.check("name").present_or("must not be empty");
    let name = name.string().text().unwrap_or_default().to_owned();
    processes::check_sizes(message, "web");
    let processes = processes::read_list(message);
    let sidecars = read_sidecars(message);
    let scales = processes::read_scales(message, &processes);
    let updates = processes::read_updates(message, &processes);
    let lifecycle = staging::read(message);
    let app_fields = staging::app_fields(message, &lifecycle);
    let metadata = read_metadata(message);
    staging::check(message, refused);
    let services = read_services(message);
    let environment = read_environment(message, application.get("env"));
    staging::check_buildpack(message);
    let routes = routes::read(message, options);
    let features = read_features(message);
    AppManifest {
        name,
        features,
        updates,
        app_fields,
        non_text_types: processes::non_text_types(&processes),
        scales,
        sidecars,
        lifecycle,
        metadata,
        routes,
        environment,
        services,
    }
}

/// Reads labels and annotations. Their number is checked when they are applied.
fn read_metadata(message: &mut Message<'_>) -> MetadataPatch {
    let mut errors = Vec::new();
    let value = message.get("metadata");
    let patch = value.map(|value| MetadataPatch::read(value, &mut errors));
    for error in errors {
        message.error(error);
    }
    patch.unwrap_or_default()
}

fn read_sidecars(message: &mut Message<'_>) -> Vec<NewSidecar> {
    let Some(sidecars) = message.value("sidecars") else {
        return Vec::new();
    };
    let Some(list) = list_of_objects(sidecars) else {
        message.error(SIDECARS);
        return Vec::new();
    };
    let mut read = Vec::new();
    for sidecar in list {
        let (new, errors) = sidecars::read_manifest(sidecar);
        let name = sidecar.get("name").filter(|name| !ruby::is_blank(name));
        let name = name.map(ruby::text);
        for error in errors {
            message.error(match &name {
                Some(name) => format!("Sidecar \"{name}\": {error}"),
                None => format!("Sidecar {}", error.to_lowercase()),
            });
        }
        read.push(new);
    }
    read
}

fn read_services(message: &mut Message<'_>) -> Vec<WantedService> {
    let Some(value) = message.value("services") else {
        return Vec::new();
    };
    let services: Option<Vec<WantedService>> = value
        .as_array()
        .and_then(|services| services.iter().map(read_service).collect());
    services.unwrap_or_else(|| {
        message.error("Services must be a list of service instances");
        Vec::new()
    })
}

fn read_service(service: &Value) -> Option<WantedService> {
    if let Some(name) = service.as_str() {
        return Some(WantedService {
            name: name.into(),
            binding_name: None,
            parameters: None,
        });
    }
    let service = service.as_object()?;
    let known = |key: &String| ["name", "parameters", "binding_name"].contains(&key.as_str());
    let parameters = service.get("parameters");
    let binding_name = service.get("binding_name");
    if !service.keys().all(known)
        || !parameters.is_none_or(Value::is_object)
        || !binding_name.is_none_or(Value::is_string)
    {
        return None;
    }
    Some(WantedService {
        name: ruby::text(service.get("name")?),
        binding_name: binding_name.map(ruby::text),
        parameters: parameters.and_then(Value::as_object).cloned(),
    })
}

/// Reads the environment variables, and converts their values to strings.
fn read_environment(message: &mut Message<'_>, given: Option<&Yaml>) -> Map<String, Value> {
    let variables = match given {
        None => return Map::new(),
        Some(Yaml::Map(variables)) => variables,
        Some(_) => {
            message.error("Env must be an object of keys and values");
            return Map::new();
        }
    };
    let mut environment = Map::new();
    for (key, value) in variables {
        let Yaml::Text(name) = key else {
            message.error("Env key must be a string");
            continue;
        };
        if let Some(reason) = environment_error(name) {
            message.error(format!("Env {reason}"));
        }
        environment.insert(name.clone(), value.to_text().into());
    }
    environment
}

fn read_features(message: &mut Message<'_>) -> Vec<(Feature, bool)> {
    let Some(value) = message.value("features") else {
        return Vec::new();
    };
    let features: Option<Vec<(Feature, bool)>> = value.as_object().and_then(|features| {
        let features = features.iter();
        features
            .map(|(name, enabled)| Some((Feature::of_name(name)?, enabled.as_bool()?)))
            .collect()
    });
    match features {
        Some(features) if !features.is_empty() => features,
        _ => {
            message.error(
                "Features must be a map of valid feature names to booleans (true = enabled, false = disabled)",
            );
            Vec::new()
        }
    }
}

//! An application of a manifest, read with the Cloud Controller's validations.
//!
//! Unlike requests in JSON, applications may have keys that nobody knows; they
//! are ignored. Every violation is collected, in the Cloud Controller's order.

use serde_json::{Map, Value};

use crate::api::message::environment_error;
use crate::api::shared::byte_sizes::{self, SizeError};
use crate::api::shared::processes::{CHECK_KINDS, MAX_COMMAND, MAX_USER, check_kind, is_uri_path};
use crate::api::yaml::Yaml;
use crate::world::metadata::MetadataPatch;
use crate::world::{CheckPatch, Feature, NewSidecar, ProcessPatch};

use super::manifest_routes::{self, WantedRoutes};
use super::routes::OptionRules;
use super::sidecars;

/// What a manifest wants of an app.
#[derive(Debug, Default)]
pub(crate) struct AppManifest {
    pub(crate) name: String,
    pub(crate) features: Vec<(Feature, bool)>,
    pub(crate) updates: Vec<(String, ProcessPatch)>,
    pub(crate) scales: Vec<(String, ScalePatch)>,
    pub(crate) sidecars: Vec<NewSidecar>,
    pub(crate) lifecycle: WantedLifecycle,
    pub(crate) metadata: MetadataPatch,
    pub(crate) routes: WantedRoutes,
    pub(crate) environment: Map<String, Value>,
    pub(crate) services: Vec<WantedService>,
}

/// The error for apps whose lifecycle the operator disabled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refused<'r> {
    pub(crate) docker: Option<&'r str>,
    pub(crate) cnb: Option<&'r str>,
}

/// A service that a manifest binds an app to.
#[derive(Clone, Debug)]
pub(crate) struct WantedService {
    pub(crate) name: String,
    pub(crate) binding_name: Option<String>,
    /// The body of a request to a broker.
    pub(crate) parameters: Option<Map<String, Value>>,
}

/// What a manifest wants of a process's sizes; `None` is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScalePatch {
    pub(crate) instances: Option<u32>,
    pub(crate) memory_mb: Option<u32>,
    pub(crate) disk_mb: Option<u32>,
    pub(crate) log_rate: Option<i64>,
}

/// What a manifest says of how an app is staged.
#[derive(Clone, Debug, Default)]
pub(crate) struct WantedLifecycle {
    /// Whether its buildpacks are cloud native ones.
    pub(crate) cnb: bool,
    pub(crate) docker: bool,
    /// How the manifest names buildpacks, if it has any.
    pub(crate) buildpack_key: Option<&'static str>,
    pub(crate) buildpacks: Option<Vec<String>>,
    pub(crate) stack: Option<String>,
}

const MAX_INSTANCES: i64 = 2_000_000;
const MAX_NAME: usize = 4096;
const PROCESSES: &str = "Processes must be an array of process configurations";
const SIDECARS: &str = "Sidecars must be an array of sidecar configurations";

/// Keys that a process may have for its sizes, and what errors call them.
const SIZES: [(&str, &str, bool); 3] = [
    ("memory", "Memory", false),
    ("disk_quota", "Disk quota", false),
    (
        "log_rate_limit_per_second",
        "Log rate limit per second",
        true,
    ),
];

/// The fields of an application or a process, whose keys may be written with
/// hyphens, and what is wrong with them.
#[derive(Debug)]
pub(crate) struct Fields<'m> {
    values: Vec<(String, &'m Value)>,
    errors: Vec<String>,
}

impl<'m> Fields<'m> {
    fn new(fields: &'m Map<String, Value>) -> Self {
        let fields = fields.iter();
        Self {
            values: fields
                .map(|(key, value)| (underscore(key), value))
                .collect(),
            errors: Vec::new(),
        }
    }

    /// A value that is there, be it null.
    pub(crate) fn value(&self, key: &str) -> Option<&'m Value> {
        let found = self.values.iter().rev().find(|(other, _)| other == key);
        found.map(|(_, value)| *value)
    }

    fn given(&self, key: &str) -> Option<&'m Value> {
        self.value(key).filter(|value| !value.is_null())
    }

    pub(crate) fn error(&mut self, error: impl Into<String>) {
        self.errors.push(error.into());
    }

    /// A boolean that may be absent or null.
    pub(crate) fn flag(&mut self, key: &str, label: &str) -> bool {
        let value = self.given(key);
        let flag = value.and_then(Value::as_bool);
        if value.is_some() && flag.is_none() {
            self.error(format!("{label} must be a boolean"));
        }
        flag.unwrap_or_default()
    }

    /// An integer that may be absent or null.
    fn integer(&mut self, key: &str, label: &str, range: (i64, i64)) -> Option<Option<i64>> {
        let value = self.value(key)?;
        if value.is_null() {
            return Some(None);
        }
        match check_number(value, range) {
            Ok(number) => Some(Some(number)),
            Err(reason) => {
                self.error(format!("{label} {reason}"));
                None
            }
        }
    }
}

/// `disk-quota` and `diskQuota` are `disk_quota`.
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

/// A number, or a text that is one.
pub(crate) fn check_number(value: &Value, (min, max): (i64, i64)) -> Result<i64, String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err("is not a number".into()),
    };
    let Ok(number) = text.parse::<i128>() else {
        return Err(match text.parse::<f64>() {
            Ok(number) if number.is_finite() => "must be an integer".into(),
            _ => "is not a number".into(),
        });
    };
    if number < i128::from(min) {
        return Err(format!("must be greater than or equal to {min}"));
    }
    if number > i128::from(max) {
        return Err(format!("must be less than or equal to {max}"));
    }
    i64::try_from(number).map_err(|_| "must be an integer".into())
}

/// Whether a value is more than nothing, as Rails sees it.
pub(crate) fn is_present(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

impl AppManifest {
    /// Reads an application; else all that is wrong with it, each in the words
    /// that tell which application it is.
    ///
    /// `refused` is the error for a lifecycle that is disabled.
    pub(crate) fn read(
        index: usize,
        application: &Yaml,
        refused: Refused<'_>,
        options: &OptionRules,
    ) -> Result<Self, Vec<String>> {
        let nothing = Map::new();
        let plain = application.to_json();
        let mut fields = Fields::new(plain.as_object().unwrap_or(&nothing));
        let manifest = read_fields(&mut fields, application, refused, options);
        if fields.errors.is_empty() {
            return Ok(manifest);
        }
        let name = fields.value("name").filter(|name| is_present(name));
        let which = match name {
            Some(Value::String(name)) => format!("For application '{name}': "),
            Some(name) => format!("For application '{name}': "),
            None => format!("For application at index {index}: "),
        };
        let errors = fields.errors.into_iter();
        Err(errors.map(|error| format!("{which}{error}")).collect())
    }
}

fn read_fields(
    fields: &mut Fields<'_>,
    application: &Yaml,
    refused: Refused<'_>,
    options: &OptionRules,
) -> AppManifest {
    let name = read_name(fields);
    check_sizes(fields, "web");
    let processes = read_process_list(fields);
    let sidecars = read_sidecars(fields);
    let scales = read_scales(fields, &processes);
    let updates = read_updates(fields, &processes);
    let (lifecycle, metadata) = read_app(fields, refused);
    let services = read_services(fields);
    let environment = read_environment(fields, application.get("env"));
    check_buildpack(fields);
    let routes = manifest_routes::read(fields, options);
    let features = read_features(fields);
    AppManifest {
        name,
        features,
        updates,
        scales,
        sidecars,
        lifecycle,
        metadata,
        routes,
        environment,
        services,
    }
}

fn read_name(fields: &mut Fields<'_>) -> String {
    let name = fields.value("name");
    if !name.is_some_and(is_present) {
        fields.error("Name must not be empty");
    }
    match name {
        Some(Value::String(name)) => name.clone(),
        _ => {
            fields.error("Name must be a string");
            String::new()
        }
    }
}

fn of_process(kind: &str, error: impl std::fmt::Display) -> String {
    format!("Process \"{kind}\": {error}")
}

/// Whether sizes can be read at all; their bounds are checked later.
fn check_sizes(fields: &mut Fields<'_>, kind: &str) {
    for (key, label, unlimited) in SIZES {
        let Some(value) = fields.value(key) else {
            continue;
        };
        if unlimited && log_rate_word(value).is_some() {
            continue;
        }
        if let Err(error) = byte_sizes::bytes(value) {
            let error = format!("{label} {}", error.reason());
            fields.error(of_process(kind, error));
        }
    }
}

/// A log rate that needs no unit.
pub(crate) fn log_rate_word(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) if text == "-1" => Some(-1),
        Value::String(text) if text == "0" => Some(0),
        Value::Number(number) => number.as_i64().filter(|number| [-1, 0].contains(number)),
        _ => None,
    }
}

/// The processes with their types, the web process first: it is what the
/// application's own sizes are about.
fn read_process_list<'m>(fields: &mut Fields<'m>) -> Vec<(String, Fields<'m>)> {
    let Some(processes) = fields.value("processes") else {
        return Vec::new();
    };
    let list: Option<Vec<_>> = processes
        .as_array()
        .and_then(|list| list.iter().map(Value::as_object).collect());
    let Some(list) = list else {
        fields.error(PROCESSES);
        return Vec::new();
    };
    let mut processes: Vec<(String, Fields<'m>)> = list
        .into_iter()
        .map(|process| {
            let process = Fields::new(process);
            let kind = process.given("type").map(text_of);
            (kind.unwrap_or_default(), process)
        })
        .collect();
    if processes.iter().any(|(kind, _)| kind.trim().is_empty()) {
        fields.error("All Processes must specify a type");
    }
    for (index, (kind, _)) in processes.iter().enumerate() {
        let before = processes[..index].iter().filter(|(other, _)| other == kind);
        if before.count() == 1 {
            fields.error(format!("Process \"{kind}\" may only be present once"));
        }
    }
    for (kind, process) in &mut processes {
        check_sizes(process, kind);
        fields.errors.append(&mut process.errors);
    }
    processes.sort_by_key(|(kind, _)| kind != "web");
    processes
}

/// A value as Ruby's `to_s` writes it.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn read_sidecars(fields: &mut Fields<'_>) -> Vec<NewSidecar> {
    let Some(sidecars) = fields.value("sidecars") else {
        return Vec::new();
    };
    let list: Option<Vec<_>> = sidecars
        .as_array()
        .and_then(|list| list.iter().map(Value::as_object).collect());
    let Some(list) = list else {
        fields.error(SIDECARS);
        return Vec::new();
    };
    let mut read = Vec::new();
    for sidecar in list {
        let (new, errors) = sidecars::read_manifest(sidecar);
        for error in errors {
            let name = sidecar.get("name").map(text_of);
            let error = match name.as_deref().filter(|name| !name.trim().is_empty()) {
                Some(name) => format!("Sidecar \"{name}\": {error}"),
                None => format!("Sidecar {}", error.to_lowercase()),
            };
            fields.error(error);
        }
        read.push(new);
    }
    read
}

/// What an application itself says is about its web process, unless that is
/// among its processes.
fn with_top_level<'f, 'm>(
    fields: &Fields<'m>,
    processes: &'f [(String, Fields<'m>)],
    keys: &[&str],
) -> Vec<(&'f str, Vec<(String, &'m Value)>)> {
    let mut found: Vec<(&str, Vec<(String, &Value)>)> = Vec::new();
    let own: Vec<_> = fields
        .values
        .iter()
        .filter(|(key, _)| keys.contains(&key.as_str()))
        .cloned()
        .collect();
    let has_web = processes.first().is_some_and(|(kind, _)| kind == "web");
    if !own.is_empty() && !has_web {
        found.push(("web", own));
    }
    for (kind, process) in processes {
        found.push((kind, process.values.clone()));
    }
    found
}

fn read_scales(
    fields: &mut Fields<'_>,
    processes: &[(String, Fields<'_>)],
) -> Vec<(String, ScalePatch)> {
    const KEYS: &[&str] = &[
        "instances",
        "memory",
        "disk_quota",
        "log_rate_limit_per_second",
    ];
    let mut scales = Vec::new();
    let mut errors = Vec::new();
    for (kind, values) in with_top_level(fields, processes, KEYS) {
        let mut process = Fields {
            values,
            errors: Vec::new(),
        };
        let scale = read_scale(&mut process);
        errors.extend(process.errors.iter().map(|error| of_process(kind, error)));
        scales.push((kind.to_owned(), scale));
    }
    fields.errors.append(&mut errors);
    scales
}

fn read_scale(process: &mut Fields<'_>) -> ScalePatch {
    let instances = process.integer("instances", "Instances", (0, MAX_INSTANCES));
    let mut megabytes = |key: &str, label: &str| {
        let size = byte_sizes::megabytes(process.value(key)?).ok().flatten()?;
        let size = u32::try_from(size).ok().filter(|size| *size > 0);
        if size.is_none() {
            process.error(format!("{label} must be greater than 0MB"));
        }
        size
    };
    ScalePatch {
        instances: instances.flatten().and_then(|n| u32::try_from(n).ok()),
        memory_mb: megabytes("memory", "Memory"),
        disk_mb: megabytes("disk_quota", "Disk quota"),
        log_rate: read_log_rate(process),
    }
}

fn read_log_rate(process: &mut Fields<'_>) -> Option<i64> {
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

/// Keys of what a process is besides its sizes.
const UPDATES: &[&str] = &[
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

fn read_updates(
    fields: &mut Fields<'_>,
    processes: &[(String, Fields<'_>)],
) -> Vec<(String, ProcessPatch)> {
    let mut updates = Vec::new();
    let mut errors = Vec::new();
    for (kind, values) in with_top_level(fields, processes, UPDATES) {
        let mut process = Fields {
            values,
            errors: Vec::new(),
        };
        let patch = read_update(&mut process);
        errors.extend(process.errors.iter().map(|error| of_process(kind, error)));
        updates.push((kind.to_owned(), patch));
    }
    fields.errors.append(&mut errors);
    updates
}

fn read_update(process: &mut Fields<'_>) -> ProcessPatch {
    if process.value("health_check_timeout").is_some() {
        process.error("Unknown field(s): 'health_check_timeout'");
    }
    check_endpoint_agrees(process, "", "Health check");
    check_endpoint_agrees(process, "readiness_", "Readiness health check");
    let command = read_command(process);
    let user = read_user(process);
    let mut health_check = read_check(process, "", "Health check");
    let readiness_check = read_check(process, "readiness_", "Readiness health check");
    health_check.timeout = read_seconds(process, "timeout", "Timeout");
    ProcessPatch {
        command,
        user,
        health_check,
        readiness_check,
        metadata: MetadataPatch::default(),
    }
}

/// `none` is how `process` was called once.
fn kind_of(value: &Value) -> Option<&'static str> {
    if value == "none" {
        Some("process")
    } else {
        check_kind(value)
    }
}

fn check_endpoint_agrees(process: &mut Fields<'_>, prefix: &str, label: &str) {
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

/// `null` and `default` stand for the command of the droplet.
fn read_command(process: &mut Fields<'_>) -> Option<Option<String>> {
    let value = process.value("command")?;
    let command = match value {
        Value::Null | Value::Bool(false) => return Some(None),
        Value::String(command) => command,
        _ => {
            process.error("Command must be a string");
            return None;
        }
    };
    if !(1..=MAX_COMMAND).contains(&command.chars().count()) {
        process.error(format!(
            "Command must be between 1 and {MAX_COMMAND} characters"
        ));
    }
    Some(Some(command.clone()).filter(|command| !["null", "default"].contains(&command.as_str())))
}

fn read_user(process: &mut Fields<'_>) -> Option<Option<String>> {
    match process.value("user")? {
        Value::Null => Some(None),
        Value::String(user) => {
            if !(1..=MAX_USER).contains(&user.chars().count()) {
                process.error(format!("User must be between 1 and {MAX_USER} characters"));
            }
            Some(Some(user.clone()))
        }
        _ => {
            process.error("User must be a string");
            None
        }
    }
}

fn read_check(process: &mut Fields<'_>, prefix: &str, label: &str) -> CheckPatch {
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
    let invocation = format!("{label} invocation timeout");
    let interval = format!("{label} interval");
    CheckPatch {
        kind: kind_known,
        timeout: None,
        invocation_timeout: read_seconds(process, &key("invocation_timeout"), &invocation),
        interval: read_seconds(process, &key("interval"), &interval),
        endpoint,
    }
}

fn read_seconds(process: &mut Fields<'_>, key: &str, label: &str) -> Option<Option<u32>> {
    let seconds = process.integer(key, label, (1, i64::from(i32::MAX)))?;
    Some(seconds.and_then(|seconds| u32::try_from(seconds).ok()))
}

fn read_app(fields: &mut Fields<'_>, refused: Refused<'_>) -> (WantedLifecycle, MetadataPatch) {
    let docker = fields.value("docker").is_some();
    let both = fields.value("buildpack").is_some() && fields.value("buildpacks").is_some();
    let any = fields.value("buildpack").is_some() || fields.value("buildpacks").is_some();
    let named = fields.value("lifecycle").and_then(Value::as_str);
    let by_image = docker && !["cnb", "buildpack"].contains(&named.unwrap_or_default());
    let mut lifecycle = read_lifecycle(fields, by_image);
    lifecycle.docker = docker;
    let mut metadata = MetadataPatch::default();
    if let Some(value) = fields.given("metadata") {
        metadata = MetadataPatch::read(value, &mut fields.errors);
    }
    if both {
        fields.error("Buildpack and Buildpacks fields cannot be used together.");
    }
    if let Some(reason) = refused.docker.filter(|_| docker) {
        fields.error(reason);
    }
    lifecycle.cnb = named == Some("cnb");
    if let Some(reason) = refused.cnb.filter(|_| lifecycle.cnb) {
        fields.error(reason);
    }
    if docker && any {
        fields.error("Cannot specify both buildpack(s) and docker keys");
    }
    (lifecycle, metadata)
}

fn read_lifecycle(fields: &mut Fields<'_>, by_image: bool) -> WantedLifecycle {
    let truthy = |value: Option<&Value>| {
        value.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    };
    let mut wanted = WantedLifecycle::default();
    if truthy(fields.value("buildpacks")) {
        wanted.buildpack_key = Some("Buildpacks");
    } else if truthy(fields.value("buildpack")) {
        wanted.buildpack_key = Some("Buildpack");
    }
    // Images are not made of buildpacks, and have no stack.
    if by_image {
        return wanted;
    }
    if let Some(value) = fields.given("stack") {
        match value.as_str() {
            Some(stack) if (1..=MAX_NAME).contains(&stack.chars().count()) => {
                wanted.stack = Some(stack.into());
            }
            Some(_) => fields.error("Stack must be between 1 and 4096 characters"),
            None => fields.error("Stack must be a string"),
        }
    }
    wanted.buildpacks = match (fields.value("buildpacks"), fields.value("buildpack")) {
        (Some(Value::Null), _) | (None, None) => None,
        (Some(buildpacks), _) => Some(read_buildpacks(fields, buildpacks)),
        (None, Some(Value::String(name))) if !["default", "null"].contains(&name.as_str()) => {
            Some(vec![name.clone()])
        }
        (None, Some(_)) => Some(Vec::new()),
    };
    if let Some(credentials) = fields.given("cnb_credentials") {
        match credentials.as_object() {
            None => fields.error("Credentials must be an object"),
            Some(credentials) if !credentials.values().all(Value::is_object) => {
                fields.error("Credentials credentials value must be a hash");
            }
            Some(_) => {}
        }
    }
    wanted
}

fn read_buildpacks(fields: &mut Fields<'_>, buildpacks: &Value) -> Vec<String> {
    let Some(buildpacks) = buildpacks.as_array() else {
        fields.error("Buildpacks must be an array");
        return Vec::new();
    };
    let names: Vec<&str> = buildpacks.iter().filter_map(Value::as_str).collect();
    if names.len() < buildpacks.len() {
        fields.error("Buildpacks can only contain strings");
    }
    let right = |name: &&str| !name.trim().is_empty() && name.chars().count() <= MAX_NAME;
    if !names.iter().all(right) {
        fields.error("Buildpacks entries must be between 1 and 4096 characters");
    }
    names.into_iter().map(str::to_owned).collect()
}

fn check_buildpack(fields: &mut Fields<'_>) {
    let Some(value) = fields.given("buildpack") else {
        return;
    };
    match value.as_str().map(|name| name.chars().count()) {
        None => fields.error("Buildpack must be a string"),
        Some(1..=MAX_NAME) => {}
        Some(_) => fields.error(format!(
            "Buildpack must be between 1 and {MAX_NAME} characters"
        )),
    }
}

fn read_services(fields: &mut Fields<'_>) -> Vec<WantedService> {
    let Some(value) = fields.value("services") else {
        return Vec::new();
    };
    let services: Option<Vec<WantedService>> = value
        .as_array()
        .and_then(|services| services.iter().map(read_service).collect());
    services.unwrap_or_else(|| {
        fields.error("Services must be a list of service instances");
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
        name: text_of(service.get("name")?),
        binding_name: binding_name.map(text_of),
        parameters: parameters.and_then(Value::as_object).cloned(),
    })
}

/// Variables are texts, whatever the manifest has.
fn read_environment(fields: &mut Fields<'_>, given: Option<&Yaml>) -> Map<String, Value> {
    match given {
        None => Map::new(),
        Some(Yaml::Map(variables)) => {
            let mut environment = Map::new();
            for (key, value) in variables {
                let Yaml::Text(name) = key else {
                    fields.error("Env key must be a string");
                    continue;
                };
                if let Some(reason) = environment_error(name) {
                    fields.error(format!("Env {reason}"));
                }
                environment.insert(name.clone(), value.to_text().into());
            }
            environment
        }
        Some(_) => {
            fields.error("Env must be an object of keys and values");
            Map::new()
        }
    }
}

fn read_features(fields: &mut Fields<'_>) -> Vec<(Feature, bool)> {
    let Some(value) = fields.value("features") else {
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
            fields.error(
                "Features must be a map of valid feature names to booleans (true = enabled, false = disabled)",
            );
            Vec::new()
        }
    }
}

/// The megabytes of a sidecar; a number without a unit counts them.
pub(crate) fn sidecar_memory(value: &Value) -> Result<Option<u32>, String> {
    let size = match byte_sizes::megabytes(value) {
        Ok(None) => return Ok(None),
        Ok(Some(size)) => size,
        Err(SizeError::NoNumber | SizeError::NoUnit) => check_number(value, (i64::MIN, i64::MAX))?,
    };
    match u32::try_from(size) {
        Ok(0) | Err(_) => Err("must be greater than 0".into()),
        Ok(size) => Ok(Some(size)),
    }
}

//! How an application is staged: its lifecycle, buildpacks and stack.

use serde_json::{Map, Value, json};

use crate::api::message::Message;
use crate::api::shared::lifecycle::{
    MAX_TEXT, TEXT_BOUNDS, check_buildpacks, check_credentials, read_stack,
};

/// The errors for apps whose lifecycle the operator disabled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DisabledLifecycles<'r> {
    pub(crate) docker: Option<&'r str>,
    pub(crate) cnb: Option<&'r str>,
}

/// The lifecycle in an application.
#[derive(Clone, Debug, Default)]
pub(crate) struct WantedLifecycle {
    /// Whether its buildpacks are Cloud Native Buildpacks.
    pub(crate) cnb: bool,
    pub(crate) docker: bool,
    /// The name of the key of its buildpacks in errors.
    pub(crate) buildpack_key: Option<&'static str>,
    pub(crate) buildpacks: Option<Vec<String>>,
    pub(crate) stack: Option<String>,
}

pub(super) fn read(message: &mut Message<'_>) -> WantedLifecycle {
    let docker = message.has("docker");
    let named = message.get("lifecycle").and_then(Value::as_str);
    let by_image = docker && !["cnb", "buildpack"].contains(&named.unwrap_or_default());
    let mut wanted = WantedLifecycle {
        cnb: named == Some("cnb"),
        docker,
        ..WantedLifecycle::default()
    };
    let is_truthy = |key: &str| {
        let value = message.get(key);
        value.is_some_and(|value| *value != Value::Bool(false))
    };
    if is_truthy("buildpacks") {
        wanted.buildpack_key = Some("Buildpacks");
    } else if is_truthy("buildpack") {
        wanted.buildpack_key = Some("Buildpack");
    }
    // Images have neither buildpacks nor a stack.
    if by_image {
        return wanted;
    }
    wanted.stack = read_stack(message).map(str::to_owned);
    wanted.buildpacks = read_buildpacks(message);
    let credentials = message.get("cnb_credentials");
    check_credentials(message, credentials);
    wanted
}

/// The fields of the app itself that the Cloud Controller derives from a manifest, for
/// events.
pub(super) fn app_fields(message: &Message<'_>, wanted: &WantedLifecycle) -> Map<String, Value> {
    let named = message.get("lifecycle").and_then(Value::as_str);
    let kind = match named {
        Some("cnb" | "buildpack") => named,
        _ => wanted.docker.then_some("docker"),
    };
    let mut lifecycle = Map::new();
    if let Some(kind) = kind {
        lifecycle.insert("type".into(), json!(kind));
    }
    let buildpacks = wanted
        .buildpacks
        .as_ref()
        .map(|it| ("buildpacks", json!(it)));
    let stack = wanted.stack.as_ref().map(|it| ("stack", json!(it)));
    let data = buildpacks.into_iter().chain(stack);
    let data: Map<String, Value> = data.map(|(key, value)| (key.into(), value)).collect();
    if kind != Some("docker") && !data.is_empty() {
        lifecycle.insert("data".into(), Value::Object(data));
    }
    let mut fields = Map::new();
    if !lifecycle.is_empty() {
        fields.insert("lifecycle".into(), Value::Object(lifecycle));
    }
    if let Some(metadata) = message.get("metadata") {
        fields.insert("metadata".into(), metadata.clone());
    }
    fields
}

fn read_buildpacks(message: &mut Message<'_>) -> Option<Vec<String>> {
    match (message.value("buildpacks"), message.value("buildpack")) {
        (Some(Value::Null), _) | (None, None) => None,
        (Some(buildpacks), _) => {
            check_buildpacks(message);
            let names = buildpacks.as_array().into_iter().flatten();
            let names = names.filter_map(Value::as_str);
            Some(names.map(str::to_owned).collect())
        }
        (None, Some(Value::String(name))) if !["default", "null"].contains(&name.as_str()) => {
            Some(vec![name.clone()])
        }
        (None, Some(_)) => Some(Vec::new()),
    }
}

/// Checks that the keys for staging can be combined, and that the operator allows the
/// lifecycle.
pub(super) fn check(message: &mut Message<'_>, refused: DisabledLifecycles<'_>) {
    let docker = message.has("docker");
    let (one, many) = (message.has("buildpack"), message.has("buildpacks"));
    if one && many {
        message.error("Buildpack and Buildpacks fields cannot be used together.");
    }
    if let Some(reason) = refused.docker.filter(|_| docker) {
        message.error(reason);
    }
    let cnb = message.get("lifecycle").is_some_and(|kind| kind == "cnb");
    if let Some(reason) = refused.cnb.filter(|_| cnb) {
        message.error(reason);
    }
    if docker && (one || many) {
        message.error("Cannot specify both buildpack(s) and docker keys");
    }
}

pub(super) fn check_buildpack(message: &mut Message<'_>) {
    let buildpack = message.check("buildpack").allow_null().string();
    buildpack.length_or(1..=MAX_TEXT, TEXT_BOUNDS);
}

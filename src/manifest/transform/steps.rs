//! The steps of a transformation: one function for each override.

use std::path::Path;

use super::TransformError;
use crate::manifest::overrides::{HealthCheckType, OverrideField, Overrides};
use crate::manifest::yaml::{Map, Value};
use crate::manifest::{Application, Manifest, without_links};

pub(super) fn app_name(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let nameless = manifest
        .applications
        .iter()
        .any(|app| app.name().is_empty());
    if nameless && manifest.applications.len() > 1 {
        return Err(TransformError::UnnamedApp);
    }
    match overrides.apps.as_slice() {
        [] if nameless => return Err(TransformError::NoName),
        [] => {}
        [name] if manifest.applications.len() == 1 => {
            manifest.rename_app(0, name);
        }
        names => {
            let existing = manifest.applications.iter();
            let existing: Vec<String> = existing.map(|app| app.name().to_owned()).collect();
            if let Some(name) = names.iter().find(|name| !existing.contains(name)) {
                return Err(TransformError::NoSuchApp {
                    name: name.clone(),
                    existing,
                });
            }
            let is_selected = |app: &Application| names.iter().any(|name| name == app.name());
            manifest.applications.retain(is_selected);
        }
    }
    manifest.with_unique_names()
}

/// Sets a property of the web process if the manifest has one, otherwise of the app.
pub(super) fn set_web(
    mut manifest: Manifest,
    field: &'static str,
    property: &str,
    value: Option<Value>,
) -> Result<Manifest, TransformError> {
    if let Some(value) = value {
        let app = manifest.only_app(OverrideField::any(field))?;
        app.change_web(|web, _| web.set(property, value));
    }
    Ok(manifest)
}

/// Sets a property of the app.
pub(super) fn set_app(
    mut manifest: Manifest,
    field: &'static str,
    property: &str,
    value: Option<Value>,
) -> Result<Manifest, TransformError> {
    if let Some(value) = value {
        manifest
            .only_app(OverrideField::any(field))?
            .set(property, value);
    }
    Ok(manifest)
}

pub(super) fn text(field: &Option<String>) -> Option<Value> {
    field.as_deref().map(Value::from)
}

pub(super) fn number(field: Option<u32>) -> Option<Value> {
    field.map(|number| Value::Int(number.into()))
}

/// Omits a property if there is a strategy, because the deployment sets it.
pub(super) fn unless_deploying(overrides: &Overrides, value: Option<Value>) -> Option<Value> {
    value.filter(|_| overrides.strategy.is_none())
}

pub(super) fn instances(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let value = unless_deploying(overrides, number(overrides.instances));
    set_web(manifest, "instances", "instances", value)
}

pub(super) fn start_command(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let command = overrides
        .start_command
        .as_deref()
        .map(|command| match command {
            "null" | "default" => Value::Null,
            command => command.into(),
        });
    set_web(manifest, "start_command", "command", command)
}

pub(super) fn cnb_credentials(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let credentials = overrides.cnb_credentials.as_deref().cloned();
    let credentials = credentials.map(|it| Value::from(&serde_json::Value::Object(it)));
    set_app(manifest, "cnb_credentials", "cnb-credentials", credentials)
}

pub(super) fn lifecycle(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    set_app(
        manifest,
        "lifecycle",
        "lifecycle",
        text(&overrides.lifecycle),
    )
}

/// Adds environment variables, which replace the manifest's variables.
pub(super) fn env(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if overrides.env.is_empty() {
        return Ok(manifest);
    }
    let field = OverrideField::any("env");
    let app = manifest.only_app(field)?;
    let mut env = match app.get("env") {
        Some(Value::Map(env)) => env.clone(),
        None | Some(Value::Null) => Map::default(),
        Some(other) => {
            return Err(TransformError::ManifestConflict {
                field,
                property: "env",
                value: Some(other.kind().to_owned()),
            });
        }
    };
    for (name, value) in overrides.env.iter() {
        env.set(name.as_str(), Value::text(value));
    }
    app.set("env", Value::Map(env));
    Ok(manifest)
}

const ENDPOINT: &str = "health-check-http-endpoint";

pub(super) fn health_check_type(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if let Some(kind) = overrides.health_check_type {
        let app = manifest.only_app(OverrideField::any("health_check_type"))?;
        app.change_web(|web, _| {
            web.set("health-check-type", kind.name().into());
            if kind != HealthCheckType::Http {
                web.remove(ENDPOINT);
            }
        });
    }
    Ok(manifest)
}

pub(super) fn health_check_endpoint(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let Some(endpoint) = text(&overrides.endpoint) else {
        return Ok(manifest);
    };
    let app = manifest.only_app(OverrideField::any("endpoint"))?;
    let mut kind = None;
    app.change_web(|web, _| {
        web.set(ENDPOINT, endpoint);
        kind = web.get("health-check-type").and_then(Value::scalar_text);
    });
    match kind.as_deref() {
        None | Some("http") => Ok(manifest),
        Some(_) => Err(TransformError::ManifestConflict {
            field: OverrideField::any("endpoint"),
            property: "health-check-type",
            value: kind,
        }),
    }
}

pub(super) fn health_check_timeout(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let timeout = number(overrides.app_start_timeout);
    set_web(manifest, "app_start_timeout", "timeout", timeout)
}

pub(super) fn memory(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let value = unless_deploying(overrides, text(&overrides.memory));
    set_web(manifest, "memory", "memory", value)
}

pub(super) fn disk(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if let Some(value) = unless_deploying(overrides, text(&overrides.disk)) {
        let app = manifest.only_app(OverrideField::any("disk"))?;
        app.change_web(|web, level| web.set(level.disk(), value));
    }
    Ok(manifest)
}

pub(super) fn log_rate_limit(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let value = unless_deploying(overrides, text(&overrides.log_rate_limit));
    set_web(
        manifest,
        "log_rate_limit",
        "log-rate-limit-per-second",
        value,
    )
}

pub(super) fn no_route(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let value = overrides.no_route.then_some(Value::Bool(true));
    set_app(manifest, "no_route", "no-route", value)
}

pub(super) fn random_route(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let value = overrides.random_route.then_some(Value::Bool(true));
    set_app(manifest, "random_route", "random-route", value)
}

pub(super) fn task(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let value = overrides.task.then_some(Value::Bool(true));
    set_app(manifest, "task", "no-route", value)
}

/// The Cloud Controller creates the default route of an app without other routes.
pub(super) fn default_route(
    mut manifest: Manifest,
    _: &Overrides,
) -> Result<Manifest, TransformError> {
    for app in &mut manifest.applications {
        if !app.is("random-route") && !app.is("no-route") {
            app.set("default-route", Value::Bool(true));
        }
    }
    Ok(manifest)
}

/// Refuses an override of the app's source if the manifest has another source.
pub(super) fn refuse(
    app: &Application,
    field: OverrideField,
    properties: &[&'static str],
) -> Result<(), TransformError> {
    match properties.iter().find(|property| app.has(property)) {
        None => Ok(()),
        Some(property) => Err(TransformError::ManifestConflict {
            field,
            property,
            value: None,
        }),
    }
}

pub(super) fn docker_image(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if let Some(image) = text(&overrides.docker_image) {
        let field = OverrideField::any("docker_image");
        let app = manifest.only_app(field)?;
        refuse(app, field, &["buildpacks", "path"])?;
        set_docker(app, "image", image);
    }
    Ok(manifest)
}

pub(super) fn docker_username(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if let Some(username) = text(&overrides.docker_username) {
        set_docker(
            manifest.only_app(OverrideField::any("docker_username"))?,
            "username",
            username,
        );
    }
    Ok(manifest)
}

pub(super) fn set_docker(app: &mut Application, property: &str, value: Value) {
    match app.0.get_mut("docker").and_then(Value::as_map_mut) {
        Some(docker) => docker.set(property, value),
        None => {
            let docker = Map::from_iter([(property.into(), value)]);
            app.set("docker", Value::Map(docker));
        }
    }
}

pub(super) fn stack(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    set_app(manifest, "stack", "stack", text(&overrides.stack))
}

pub(super) fn buildpacks(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if overrides.buildpacks.is_empty() {
        return Ok(manifest);
    }
    let field = OverrideField::any("buildpacks");
    let app = manifest.only_app(field)?;
    refuse(app, field, &["docker"])?;
    let buildpacks = match overrides.resets_buildpacks() {
        true => Vec::new(),
        false => overrides.buildpacks.iter().map(Value::text).collect(),
    };
    app.set("buildpacks", Value::List(buildpacks));
    Ok(manifest)
}

pub(super) fn strategy(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if overrides.strategy.is_some() {
        manifest.only_app(OverrideField::any("strategy"))?;
    }
    Ok(manifest)
}

/// A path in the manifest is relative to the manifest's folder.
pub(super) fn path(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if let Some(path) = &overrides.path {
        let field = OverrideField::any("path");
        let app = manifest.only_app(field)?;
        refuse(app, field, &["docker"])?;
        app.set("path", Value::text(path.to_string_lossy()));
    }
    let dir = manifest.path.as_deref().and_then(Path::parent);
    let dir = dir.map(Path::to_owned).unwrap_or_default();
    for app in &mut manifest.applications {
        if let Some(path) = app.text("path") {
            let path = dir.join(path);
            // A path that does not exist yet has no links.
            let path = without_links(&path).unwrap_or(path);
            app.set("path", Value::text(path.to_string_lossy()));
        }
    }
    Ok(manifest)
}

pub(super) fn droplet(
    mut manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    if overrides.droplet.is_some() {
        let field = OverrideField::any("droplet");
        let app = manifest.only_app(field)?;
        refuse(app, field, &["docker", "path", "buildpacks"])?;
    }
    Ok(manifest)
}

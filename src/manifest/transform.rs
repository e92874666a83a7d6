//! Applies overrides to a manifest: one pure function per override, in a fixed
//! order. The comments in the sequence say why the order matters.
//!
//! The source is the ADR "V7 `cf push` transforms manifest before applying".

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::overrides::{HealthCheckType, OverrideField, Overrides};
use super::yaml::{Map, Value};
use super::{Application, Manifest, without_links};

/// Why [`Overrides`] cannot be applied to a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransformError {
    /// Two overrides exclude each other.
    #[error("{field} and {other} cannot be combined")]
    Conflict {
        /// One of them.
        field: OverrideField,
        /// The other one.
        other: OverrideField,
    },
    /// An override needs another one.
    #[error("{field} requires {other}")]
    Requires {
        /// The override.
        field: OverrideField,
        /// The missing one.
        other: OverrideField,
    },
    /// The value of an override cannot be used.
    #[error("{field}: {reason}")]
    InvalidValue {
        /// The override.
        field: OverrideField,
        /// What is wrong with the value, and what is allowed.
        reason: String,
    },
    /// One of several applications in the manifest has no `name`.
    #[error("an application in the manifest has no `name`")]
    UnnamedApp,
    /// Neither the manifest nor the overrides name the app.
    #[error("the app has no name")]
    NoName,
    /// The manifest has several apps, and none with the name in [`Overrides::app`].
    #[error("the manifest has no app {name}, only {}", .existing.join(", "))]
    NoSuchApp {
        /// The name in the overrides.
        name: String,
        /// The names in the manifest.
        existing: Vec<String>,
    },
    /// Two applications of the manifest have the same name.
    #[error("the manifest has two apps named {name}")]
    DuplicateApp {
        /// The name.
        name: String,
    },
    /// An override applies to one app, and the manifest has several.
    #[error("{field} applies to one app, but the manifest has {apps} apps")]
    SeveralApps {
        /// The override.
        field: OverrideField,
        /// The number of apps in the manifest.
        apps: usize,
    },
    /// An override contradicts a property in the manifest.
    #[error("{field} cannot be combined with `{property}` in the manifest{}", describe(.value))]
    ManifestConflict {
        /// The override.
        field: OverrideField,
        /// The property in the manifest.
        property: &'static str,
        /// The property's value; `None` if any value conflicts.
        value: Option<String>,
    },
    /// The `path` of an app does not exist or cannot be read.
    #[error("app {app}: cannot read `path` {}: {source}", .path.display())]
    Path {
        /// The app's name.
        app: String,
        /// The path, relative to the manifest's folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn describe(value: &Option<String>) -> String {
    let value = value.as_ref();
    value.map(|it| format!(" ({it})")).unwrap_or_default()
}

type Transform = fn(Manifest, &Overrides) -> Result<Manifest, TransformError>;

const SEQUENCE: [Transform; 22] = [
    // First: it may select one app of several, and the others need exactly one.
    app_name,
    instances,
    start_command,
    cnb_credentials,
    lifecycle,
    // Before the endpoint, which requires the type `http`.
    health_check_type,
    health_check_endpoint,
    health_check_timeout,
    memory,
    disk,
    log_rate_limit,
    no_route,
    random_route,
    task,
    // After the other route overrides: it applies to apps without any of them.
    default_route,
    docker_image,
    docker_username,
    stack,
    buildpacks,
    strategy,
    path,
    // Last: it conflicts with every other source of the app.
    droplet,
];

/// What a deployment sets instead of the manifest that is applied before it.
const SCALE: [Transform; 4] = [instances, memory, disk, log_rate_limit];

impl Manifest {
    /// Applies overrides, and makes the `path` of each app relative to the working
    /// directory. The result is the manifest that `push` sends.
    ///
    /// With a [deployment strategy](Overrides::strategy), instances, memory, disk
    /// and log rate limit are left to the deployment.
    ///
    /// # Errors
    /// [`TransformError`] if the overrides are invalid, do not fit the manifest, or
    /// if the `path` of an app cannot be read.
    pub fn transform(self, overrides: &Overrides) -> Result<Self, TransformError> {
        overrides.validate()?;
        SEQUENCE
            .iter()
            .try_fold(self, |manifest, step| step(manifest, overrides))
    }

    /// The manifest after a deployment has scaled the app.
    pub(crate) fn scaled(self, overrides: &Overrides) -> Result<Self, TransformError> {
        let overrides = Overrides {
            strategy: None,
            ..overrides.clone()
        };
        SCALE
            .iter()
            .try_fold(self, |manifest, step| step(manifest, &overrides))
    }

    /// The one app that an override applies to.
    fn only_app(&mut self, field: OverrideField) -> Result<&mut Application, TransformError> {
        match self.applications.as_mut_slice() {
            [app] => Ok(app),
            apps => Err(TransformError::SeveralApps {
                field,
                apps: apps.len(),
            }),
        }
    }
}

impl Manifest {
    /// Apps with the same name would overwrite each other.
    fn with_unique_names(self) -> Result<Self, TransformError> {
        let mut names = HashSet::new();
        let duplicate = self.applications.iter();
        let duplicate = duplicate
            .map(Application::name)
            .find(|it| !names.insert(*it));
        match duplicate.map(str::to_owned) {
            Some(name) => Err(TransformError::DuplicateApp { name }),
            None => Ok(self),
        }
    }
}

fn app_name(mut manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let nameless = manifest
        .applications
        .iter()
        .any(|app| app.name().is_empty());
    if nameless && manifest.applications.len() > 1 {
        return Err(TransformError::UnnamedApp);
    }
    let Some(name) = &overrides.app else {
        return match nameless {
            true => Err(TransformError::NoName),
            false => manifest.with_unique_names(),
        };
    };
    let found = manifest
        .applications
        .iter()
        .position(|app| app.name() == name);
    match (found, manifest.applications.as_mut_slice()) {
        (Some(at), _) => manifest.applications = vec![manifest.applications.swap_remove(at)],
        (None, [app]) => app.set("name", Value::text(name)),
        (None, apps) => {
            return Err(TransformError::NoSuchApp {
                name: name.clone(),
                existing: apps.iter().map(|app| app.name().to_owned()).collect(),
            });
        }
    }
    Ok(manifest)
}

/// Sets a property of the web process if the manifest has one, else of the app.
fn set_web(
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
fn set_app(
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

fn text(field: &Option<String>) -> Option<Value> {
    field.as_deref().map(Value::from)
}

fn number(field: Option<u32>) -> Option<Value> {
    field.map(|number| Value::Int(number.into()))
}

/// With a strategy, the deployment scales the app.
fn unless_deployed(overrides: &Overrides, value: Option<Value>) -> Option<Value> {
    value.filter(|_| overrides.strategy.is_none())
}

fn instances(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let value = unless_deployed(overrides, number(overrides.instances));
    set_web(manifest, "instances", "instances", value)
}

fn start_command(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let command = overrides
        .start_command
        .as_deref()
        .map(|command| match command {
            "null" | "default" => Value::Null,
            command => command.into(),
        });
    set_web(manifest, "start_command", "command", command)
}

fn cnb_credentials(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let credentials = overrides.cnb_credentials.clone();
    let credentials = credentials.map(|it| Value::from(&serde_json::Value::Object(it)));
    set_app(manifest, "cnb_credentials", "cnb-credentials", credentials)
}

fn lifecycle(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    set_app(
        manifest,
        "lifecycle",
        "lifecycle",
        text(&overrides.lifecycle),
    )
}

const ENDPOINT: &str = "health-check-http-endpoint";

fn health_check_type(
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

fn health_check_endpoint(
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

fn health_check_timeout(
    manifest: Manifest,
    overrides: &Overrides,
) -> Result<Manifest, TransformError> {
    let timeout = number(overrides.app_start_timeout);
    set_web(manifest, "app_start_timeout", "timeout", timeout)
}

fn memory(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let value = unless_deployed(overrides, text(&overrides.memory));
    set_web(manifest, "memory", "memory", value)
}

fn disk(mut manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    if let Some(value) = unless_deployed(overrides, text(&overrides.disk)) {
        let app = manifest.only_app(OverrideField::any("disk"))?;
        app.change_web(|web, level| web.set(level.disk(), value));
    }
    Ok(manifest)
}

fn log_rate_limit(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let value = unless_deployed(overrides, text(&overrides.log_rate_limit));
    set_web(
        manifest,
        "log_rate_limit",
        "log-rate-limit-per-second",
        value,
    )
}

fn no_route(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let value = overrides.no_route.then_some(Value::Bool(true));
    set_app(manifest, "no_route", "no-route", value)
}

fn random_route(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let value = overrides.random_route.then_some(Value::Bool(true));
    set_app(manifest, "random_route", "random-route", value)
}

fn task(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    let value = overrides.task.then_some(Value::Bool(true));
    set_app(manifest, "task", "no-route", value)
}

/// The Cloud Controller creates the default route of an app without other routes.
fn default_route(mut manifest: Manifest, _: &Overrides) -> Result<Manifest, TransformError> {
    for app in &mut manifest.applications {
        if !app.is("random-route") && !app.is("no-route") {
            app.set("default-route", Value::Bool(true));
        }
    }
    Ok(manifest)
}

/// Refuses an override of the app's source if the manifest has another source.
fn refuse(
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

fn docker_image(mut manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    if let Some(image) = text(&overrides.docker_image) {
        let field = OverrideField::any("docker_image");
        let app = manifest.only_app(field)?;
        refuse(app, field, &["buildpacks", "path"])?;
        set_docker(app, "image", image);
    }
    Ok(manifest)
}

fn docker_username(
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

fn set_docker(app: &mut Application, property: &str, value: Value) {
    match app.0.get_mut("docker").and_then(Value::as_map_mut) {
        Some(docker) => docker.set(property, value),
        None => {
            let docker = Map::from_iter([(property.into(), value)]);
            app.set("docker", Value::Map(docker));
        }
    }
}

fn stack(manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    set_app(manifest, "stack", "stack", text(&overrides.stack))
}

fn buildpacks(mut manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
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

fn strategy(mut manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    if overrides.strategy.is_some() {
        manifest.only_app(OverrideField::any("strategy"))?;
    }
    Ok(manifest)
}

/// A path in the manifest is relative to the manifest's folder.
fn path(mut manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
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
            let found = found(app.name(), dir.join(path))?;
            app.set("path", Value::text(found.to_string_lossy()));
        }
    }
    Ok(manifest)
}

fn found(app: &str, path: PathBuf) -> Result<PathBuf, TransformError> {
    without_links(&path).map_err(|source| TransformError::Path {
        app: app.to_owned(),
        path,
        source,
    })
}

fn droplet(mut manifest: Manifest, overrides: &Overrides) -> Result<Manifest, TransformError> {
    if overrides.droplet.is_some() {
        let field = OverrideField::any("droplet");
        let app = manifest.only_app(field)?;
        refuse(app, field, &["docker", "path", "buildpacks"])?;
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn overrides(fields: &str) -> Overrides {
        Overrides::of(fields)
    }

    fn manifest(apps: &str) -> Manifest {
        let text = format!("applications: {apps}");
        Manifest::parse(&text, "test").unwrap()
    }

    /// The apps after one step.
    fn step(step: Transform, apps: &str, with: &str) -> Result<Value, String> {
        let changed = step(manifest(apps), &overrides(with));
        let changed = changed.map_err(|error| error.to_string())?;
        let root = changed.to_value();
        Ok(root.as_map().unwrap().get("applications").unwrap().clone())
    }

    fn changes(transform: Transform, apps: &str, with: &str, expected: &str) {
        let expected = Value::parse(expected).unwrap();
        assert_eq!(step(transform, apps, with), Ok(expected));
    }

    const WEB: &str = "[{name: a, memory: 1G, processes: [{type: worker}, {type: web}]}]";

    #[rstest]
    #[case("[{name: a}]", "", "[{name: a}]")]
    #[case("[{name: a}]", "app: b", "[{name: b}]")]
    #[case("[{memory: 1G}]", "app: b", "[{memory: 1G, name: b}]")]
    #[case(
        "[{name: a}, {name: b, memory: 1G}]",
        "app: b",
        "[{name: b, memory: 1G}]"
    )]
    #[case("[{name: a}, {name: b}]", "", "[{name: a}, {name: b}]")]
    fn app_selects_or_renames(#[case] apps: &str, #[case] with: &str, #[case] expected: &str) {
        changes(app_name, apps, with, expected);
    }

    #[rstest]
    #[case("[{memory: 1G}]", "", "the app has no name")]
    #[case("[{name: a}, {}]", "", "has no `name`")]
    #[case("[{name: a}, {}]", "app: a", "has no `name`")]
    #[case("[{name: a}, {name: b}]", "app: c", "has no app c, only a, b")]
    #[case("[{name: a}, {name: b}, {name: a}]", "", "two apps named a")]
    fn an_app_without_a_name_is_refused(
        #[case] apps: &str,
        #[case] with: &str,
        #[case] expected: &str,
    ) {
        let error = step(app_name, apps, with).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case(instances, "instances: 4", "instances: 4")]
    #[case(instances, "instances: 0", "instances: 0")]
    #[case(start_command, "start_command: run", "command: run")]
    #[case(start_command, "start_command: 'null'", "command: ~")]
    #[case(start_command, "start_command: default", "command: ~")]
    #[case(
        health_check_type,
        "health_check_type: port",
        "health-check-type: port"
    )]
    #[case(
        health_check_endpoint,
        "endpoint: /up",
        "health-check-http-endpoint: /up"
    )]
    #[case(health_check_timeout, "app_start_timeout: 90", "timeout: 90")]
    #[case(memory, "memory: 64M", "memory: 64M")]
    #[case(disk, "disk: 64M", "DISK: 64M")]
    #[case(
        log_rate_limit,
        "log_rate_limit: '-1'",
        "log-rate-limit-per-second: '-1'"
    )]
    fn the_web_process_is_changed_if_the_manifest_has_one(
        #[case] transform: Transform,
        #[case] with: &str,
        #[case] property: &str,
    ) {
        let (in_app, in_process) = (
            property.replace("DISK", "disk-quota"),
            property.replace("DISK", "disk_quota"),
        );
        changes(
            transform,
            "[{name: a}]",
            with,
            &format!("[{{name: a, {in_app}}}]"),
        );
        let expected = WEB.replace("type: web", &format!("type: web, {in_process}"));
        changes(transform, WEB, with, &expected);
        changes(transform, WEB, "", WEB);
    }

    #[rstest]
    #[case(lifecycle, "lifecycle: cnb", "lifecycle: cnb")]
    #[case(no_route, "no_route: true", "no-route: true")]
    #[case(random_route, "random_route: true", "random-route: true")]
    #[case(task, "task: true", "no-route: true")]
    #[case(stack, "stack: cflinuxfs4", "stack: cflinuxfs4")]
    #[case(buildpacks, "buildpacks: [one, two]", "buildpacks: [one, two]")]
    #[case(buildpacks, "buildpacks: ['null']", "buildpacks: []")]
    #[case(docker_image, "docker_image: img", "docker: {image: img}")]
    #[case(
        docker_username,
        "docker_image: img, docker_username: me",
        "docker: {username: me}"
    )]
    fn other_overrides_change_the_app(
        #[case] transform: Transform,
        #[case] with: &str,
        #[case] property: &str,
    ) {
        let apps = "[{name: a, processes: [{type: web}]}]";
        let expected = apps.replace("}]}]", &format!("}}], {property}}}]"));
        changes(transform, apps, with, &expected);
        changes(transform, apps, "", apps);
    }

    #[rstest]
    #[case(instances, "instances: 4")]
    #[case(start_command, "start_command: run")]
    #[case(lifecycle, "lifecycle: cnb")]
    #[case(health_check_type, "health_check_type: port")]
    #[case(health_check_endpoint, "endpoint: /up")]
    #[case(health_check_timeout, "app_start_timeout: 90")]
    #[case(memory, "memory: 64M")]
    #[case(disk, "disk: 64M")]
    #[case(log_rate_limit, "log_rate_limit: 1K")]
    #[case(no_route, "no_route: true")]
    #[case(random_route, "random_route: true")]
    #[case(task, "task: true")]
    #[case(docker_image, "docker_image: img")]
    #[case(docker_username, "docker_image: img, docker_username: me")]
    #[case(stack, "stack: cflinuxfs4")]
    #[case(buildpacks, "buildpacks: [one]")]
    #[case(strategy, "strategy: {rolling: {}}")]
    #[case(path, "path: .")]
    #[case(droplet, "droplet: .")]
    fn an_override_for_one_app_is_refused_for_several(
        #[case] transform: Transform,
        #[case] with: &str,
    ) {
        let error = step(transform, "[{name: a}, {name: b}]", with).unwrap_err();
        assert!(
            error.contains("applies to one app, but the manifest has 2 apps"),
            "{error}"
        );
    }

    #[test]
    fn another_health_check_type_removes_the_endpoint() {
        let apps = "[{name: a, health-check-type: http, health-check-http-endpoint: /up}]";
        changes(
            health_check_type,
            apps,
            "health_check_type: process",
            "[{name: a, health-check-type: process}]",
        );
        changes(
            health_check_type,
            apps,
            "health_check_type: http, endpoint: /x",
            apps,
        );
    }

    #[test]
    fn apps_without_route_settings_get_the_default_route() {
        changes(
            default_route,
            "[{name: a}, {name: b, no-route: true}, {name: c, random-route: true}, {name: d, routes: [{route: r}]}]",
            "",
            "[{name: a, default-route: true}, {name: b, no-route: true}, {name: c, random-route: true}, {name: d, routes: [{route: r}], default-route: true}]",
        );
    }

    #[rstest]
    #[case(
        health_check_endpoint,
        "health-check-type: port",
        "endpoint: /x",
        "endpoint cannot be combined with `health-check-type` in the manifest (port)"
    )]
    #[case(
        docker_image,
        "buildpacks: ~",
        "docker_image: img",
        "docker_image cannot be combined with `buildpacks` in the manifest"
    )]
    #[case(
        docker_image,
        "path: .",
        "docker_image: img",
        "docker_image cannot be combined with `path` in the manifest"
    )]
    #[case(
        buildpacks,
        "docker: {}",
        "buildpacks: [one]",
        "buildpacks cannot be combined with `docker` in the manifest"
    )]
    #[case(
        path,
        "docker: {image: i}",
        "path: .",
        "path cannot be combined with `docker` in the manifest"
    )]
    #[case(
        droplet,
        "docker: {image: i}",
        "droplet: .",
        "droplet cannot be combined with `docker` in the manifest"
    )]
    #[case(
        droplet,
        "path: .",
        "droplet: .",
        "droplet cannot be combined with `path` in the manifest"
    )]
    #[case(
        droplet,
        "buildpacks: [b]",
        "droplet: .",
        "droplet cannot be combined with `buildpacks` in the manifest"
    )]
    fn an_override_that_contradicts_the_manifest_is_refused(
        #[case] transform: Transform,
        #[case] property: &str,
        #[case] with: &str,
        #[case] expected: &str,
    ) {
        let error = step(transform, &format!("[{{name: a, {property}}}]"), with);
        assert_eq!(error.unwrap_err(), expected);
    }

    #[test]
    fn a_path_is_relative_to_the_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir(dir.join("bits")).unwrap();
        let mut relative = manifest("[{name: a, path: bits/../bits}, {name: b}]");
        relative.path = Some(dir.join("manifest.yml"));
        let changed = path(relative, &overrides("")).unwrap();
        let bits = dir.join("bits");
        assert_eq!(changed.applications()[0].text("path"), bits.to_str());
        assert_eq!(changed.applications()[1].text("path"), None);
        let mut missing = manifest("[{name: a, path: none}]");
        missing.path = Some(dir.join("manifest.yml"));
        let error = path(missing, &overrides("")).unwrap_err().to_string();
        assert!(error.starts_with("app a: cannot read `path` "), "{error}");
    }

    #[test]
    fn with_a_strategy_the_deployment_scales() {
        let with = overrides(
            "strategy: {rolling: {}}, instances: 4, memory: 64M, disk: 1G, log_rate_limit: 1K, start_command: run",
        );
        let applied = manifest("[{name: a, instances: 2}]")
            .transform(&with)
            .unwrap();
        let app = applied.applications()[0].clone();
        assert_eq!(app.get("instances"), Some(&Value::Int(2)));
        assert_eq!(app.text("command"), Some("run"));
        assert!(!app.has("memory"));
        let scaled = applied.scaled(&with).unwrap();
        let app = &scaled.applications()[0];
        assert_eq!(app.get("instances"), Some(&Value::Int(4)));
        let sizes = ["memory", "disk-quota", "log-rate-limit-per-second"];
        assert_eq!(
            sizes.map(|size| app.text(size).unwrap()),
            ["64M", "1G", "1K"]
        );
    }
}

//! The manifest as the flags of `push` change it: one function a flag, each
//! pure, in a sequence whose order carries its reasons.
//!
//! The source is the ADR "V7 `cf push` transforms manifest before applying".

use std::io;
use std::path::{Path, PathBuf};

use super::overrides::{HealthCheckType, Overrides};
use super::yaml::{Map, Value};
use super::{Application, Manifest, without_links};

/// Why flags cannot change a manifest so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransformError {
    #[error("an application of the manifest has no `name`; give it one")]
    Nameless,
    #[error("no app is named: give APP, or a manifest with a `name`")]
    NoName,
    #[error("the manifest has no app named {name}; it has {}", .there.join(", "))]
    NoSuchApp { name: String, there: Vec<String> },
    #[error("{flag} is for one app, and the manifest has {apps}: pick one with APP")]
    SeveralApps { flag: &'static str, apps: usize },
    #[error("{flag} cannot be used with `{property}` in the manifest{}", describe(.value))]
    Mismatch {
        flag: &'static str,
        property: &'static str,
        value: Option<String>,
    },
    #[error("app {app}: `path` is {path}, and there is no such file or folder")]
    NoSuchPath { app: String, path: PathBuf },
    #[error("app {app}: cannot read `path` {path}: {reason}")]
    Path {
        app: String,
        path: PathBuf,
        reason: io::Error,
    },
}

fn describe(value: &Option<String>) -> String {
    let value = value.as_ref();
    value
        .map(|it| format!(", which is {it}"))
        .unwrap_or_default()
}

type Transform = fn(Manifest, &Overrides) -> Result<Manifest, TransformError>;

const SEQUENCE: [Transform; 22] = [
    // First: it may leave one app of several, which the others ask for.
    app_name,
    instances,
    start_command,
    cnb_credentials,
    lifecycle,
    // Before the endpoint, which only fits the type `http`.
    health_check_type,
    health_check_endpoint,
    health_check_timeout,
    memory,
    disk,
    log_rate_limit,
    no_route,
    random_route,
    task,
    // After all that is about routes: it is for apps that have none of it.
    default_route,
    docker_image,
    docker_username,
    stack,
    buildpacks,
    strategy,
    path,
    // Last: it asks whether any other flag has said where the app comes from.
    droplet,
];

/// What a deployment takes instead of the manifest that is applied first.
const SCALE: [Transform; 4] = [instances, memory, disk, log_rate_limit];

/// The manifest to apply.
pub(crate) fn transform(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    SEQUENCE
        .iter()
        .try_fold(manifest, |manifest, step| step(manifest, flags))
}

/// The manifest as it is once a deployment has scaled the app.
pub(crate) fn scaled(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let flags = Overrides {
        strategy: None,
        ..flags.clone()
    };
    SCALE
        .iter()
        .try_fold(manifest, |manifest, step| step(manifest, &flags))
}

impl Manifest {
    /// The app that a flag is about.
    fn only_app(&mut self, flag: &'static str) -> Result<&mut Application, TransformError> {
        match self.applications.as_mut_slice() {
            [app] => Ok(app),
            apps => Err(TransformError::SeveralApps {
                flag,
                apps: apps.len(),
            }),
        }
    }
}

fn app_name(mut manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let nameless = manifest
        .applications
        .iter()
        .any(|app| app.name().is_empty());
    if nameless && manifest.applications.len() > 1 {
        return Err(TransformError::Nameless);
    }
    let Some(name) = &flags.app else {
        return match nameless {
            true => Err(TransformError::NoName),
            false => Ok(manifest),
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
                there: apps.iter().map(|app| app.name().to_owned()).collect(),
            });
        }
    }
    Ok(manifest)
}

/// Sets what a flag gives: in the web process where there is one, else in the app.
fn set_web(
    mut manifest: Manifest,
    flag: &'static str,
    property: &str,
    value: Option<Value>,
) -> Result<Manifest, TransformError> {
    if let Some(value) = value {
        let app = manifest.only_app(flag)?;
        app.change_web(|web, _| web.set(property, value));
    }
    Ok(manifest)
}

/// Sets what a flag gives in the app.
fn set_app(
    mut manifest: Manifest,
    flag: &'static str,
    property: &str,
    value: Option<Value>,
) -> Result<Manifest, TransformError> {
    if let Some(value) = value {
        manifest.only_app(flag)?.set(property, value);
    }
    Ok(manifest)
}

fn text(flag: &Option<String>) -> Option<Value> {
    flag.as_deref().map(Value::from)
}

fn number(flag: Option<i64>) -> Option<Value> {
    flag.map(|number| Value::Int(number.into()))
}

/// With a strategy, the deployment scales.
fn unless_deployed(flags: &Overrides, value: Option<Value>) -> Option<Value> {
    value.filter(|_| flags.strategy.is_none())
}

fn instances(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let value = unless_deployed(flags, number(flags.instances));
    set_web(manifest, "--instances, -i", "instances", value)
}

fn start_command(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let command = flags.start_command.as_deref().map(|command| match command {
        "null" | "default" => Value::Null,
        command => command.into(),
    });
    set_web(manifest, "--start-command, -c", "command", command)
}

fn cnb_credentials(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let credentials = flags.cnb_credentials.clone();
    set_app(
        manifest,
        "CF_CNB_REGISTRY_CREDS",
        "cnb-credentials",
        credentials,
    )
}

fn lifecycle(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    set_app(manifest, "--lifecycle", "lifecycle", text(&flags.lifecycle))
}

const ENDPOINT: &str = "health-check-http-endpoint";

fn health_check_type(
    mut manifest: Manifest,
    flags: &Overrides,
) -> Result<Manifest, TransformError> {
    if let Some(kind) = flags.health_check_type {
        let app = manifest.only_app("--health-check-type, -u")?;
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
    flags: &Overrides,
) -> Result<Manifest, TransformError> {
    let Some(endpoint) = text(&flags.endpoint) else {
        return Ok(manifest);
    };
    let app = manifest.only_app("--endpoint")?;
    let mut kind = None;
    app.change_web(|web, _| {
        web.set(ENDPOINT, endpoint);
        kind = web.get("health-check-type").and_then(Value::scalar_text);
    });
    match kind.as_deref() {
        None | Some("http") => Ok(manifest),
        Some(_) => Err(TransformError::Mismatch {
            flag: "--endpoint",
            property: "health-check-type",
            value: kind,
        }),
    }
}

fn health_check_timeout(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let timeout = number(flags.app_start_timeout);
    set_web(manifest, "--app-start-timeout, -t", "timeout", timeout)
}

fn memory(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let value = unless_deployed(flags, text(&flags.memory));
    set_web(manifest, "--memory, -m", "memory", value)
}

fn disk(mut manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    if let Some(value) = unless_deployed(flags, text(&flags.disk)) {
        let app = manifest.only_app("--disk, -k")?;
        app.change_web(|web, level| web.set(level.disk(), value));
    }
    Ok(manifest)
}

fn log_rate_limit(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let value = unless_deployed(flags, text(&flags.log_rate_limit));
    set_web(
        manifest,
        "--log-rate-limit, -l",
        "log-rate-limit-per-second",
        value,
    )
}

fn no_route(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let value = flags.no_route.then_some(Value::Bool(true));
    set_app(manifest, "--no-route", "no-route", value)
}

fn random_route(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let value = flags.random_route.then_some(Value::Bool(true));
    set_app(manifest, "--random-route", "random-route", value)
}

fn task(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    let value = flags.task.then_some(Value::Bool(true));
    set_app(manifest, "--task", "no-route", value)
}

/// Cloud Controller makes the default route of an app that has no other.
fn default_route(mut manifest: Manifest, _: &Overrides) -> Result<Manifest, TransformError> {
    for app in &mut manifest.applications {
        if !app.is("random-route") && !app.is("no-route") {
            app.set("default-route", Value::Bool(true));
        }
    }
    Ok(manifest)
}

/// Refuses a flag that says where an app comes from, where the manifest says otherwise.
fn refuse(
    app: &Application,
    flag: &'static str,
    properties: &[&'static str],
) -> Result<(), TransformError> {
    match properties.iter().find(|property| app.has(property)) {
        None => Ok(()),
        Some(property) => Err(TransformError::Mismatch {
            flag,
            property,
            value: None,
        }),
    }
}

fn docker_image(mut manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    if let Some(image) = text(&flags.docker_image) {
        let flag = "--docker-image, -o";
        let app = manifest.only_app(flag)?;
        refuse(app, flag, &["buildpacks", "path"])?;
        set_docker(app, "image", image);
    }
    Ok(manifest)
}

fn docker_username(mut manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    if let Some(username) = text(&flags.docker_username) {
        set_docker(
            manifest.only_app("--docker-username")?,
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

fn stack(manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    set_app(manifest, "--stack, -s", "stack", text(&flags.stack))
}

fn buildpacks(mut manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    if flags.buildpacks.is_empty() {
        return Ok(manifest);
    }
    let flag = "--buildpack, -b";
    let app = manifest.only_app(flag)?;
    refuse(app, flag, &["docker"])?;
    let buildpacks = match flags.resets_buildpacks() {
        true => Vec::new(),
        false => flags.buildpacks.iter().map(Value::text).collect(),
    };
    app.set("buildpacks", Value::List(buildpacks));
    Ok(manifest)
}

fn strategy(mut manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    if flags.strategy.is_some() {
        manifest.only_app("--strategy")?;
    }
    Ok(manifest)
}

/// A path in the manifest is relative to the manifest.
fn path(mut manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    if let Some(path) = &flags.path {
        let flag = "--path, -p";
        let app = manifest.only_app(flag)?;
        refuse(app, flag, &["docker"])?;
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
    without_links(&path).map_err(|reason| {
        let app = app.to_owned();
        match reason.kind() {
            io::ErrorKind::NotFound => TransformError::NoSuchPath { app, path },
            _ => TransformError::Path { app, path, reason },
        }
    })
}

fn droplet(mut manifest: Manifest, flags: &Overrides) -> Result<Manifest, TransformError> {
    if flags.droplet.is_some() {
        let flag = "--droplet";
        let app = manifest.only_app(flag)?;
        refuse(app, flag, &["docker", "path", "buildpacks"])?;
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::interpolate::Variables;
    use super::*;

    fn flags(line: &str) -> Overrides {
        Overrides::of(line).unwrap()
    }

    fn manifest(apps: &str) -> Manifest {
        let text = format!("applications: {apps}");
        Manifest::parse(&text, &Variables::default()).unwrap()
    }

    /// What one step makes of the apps.
    fn step(step: Transform, apps: &str, with: &str) -> Result<Value, String> {
        let changed = step(manifest(apps), &flags(with)).map_err(|error| error.to_string())?;
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
    #[case("[{name: a}]", "b", "[{name: b}]")]
    #[case("[{memory: 1G}]", "b", "[{memory: 1G, name: b}]")]
    #[case("[{name: a}, {name: b, memory: 1G}]", "b", "[{name: b, memory: 1G}]")]
    #[case("[{name: a}, {name: b}]", "", "[{name: a}, {name: b}]")]
    fn an_app_is_picked_or_named(#[case] apps: &str, #[case] with: &str, #[case] expected: &str) {
        changes(app_name, apps, with, expected);
    }

    #[rstest]
    #[case("[{memory: 1G}]", "", "no app is named")]
    #[case("[{name: a}, {}]", "", "has no `name`")]
    #[case("[{name: a}, {}]", "a", "has no `name`")]
    #[case("[{name: a}, {name: b}]", "c", "no app named c; it has a, b")]
    fn an_app_must_be_known(#[case] apps: &str, #[case] with: &str, #[case] expected: &str) {
        let error = step(app_name, apps, with).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case(instances, "-i 4", "instances: 4")]
    #[case(instances, "-i 0", "instances: 0")]
    #[case(start_command, "-c run", "command: run")]
    #[case(start_command, "-c null", "command: ~")]
    #[case(start_command, "-c default", "command: ~")]
    #[case(health_check_type, "-u PORT", "health-check-type: port")]
    #[case(
        health_check_endpoint,
        "--endpoint /up",
        "health-check-http-endpoint: /up"
    )]
    #[case(health_check_timeout, "-t 90", "timeout: 90")]
    #[case(memory, "-m 64M", "memory: 64M")]
    #[case(disk, "-k 64M", "DISK: 64M")]
    #[case(log_rate_limit, "-l -1", "log-rate-limit-per-second: '-1'")]
    fn the_web_process_is_changed_where_there_is_one(
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
    #[case(lifecycle, "--lifecycle cnb", "lifecycle: cnb")]
    #[case(no_route, "--no-route", "no-route: true")]
    #[case(random_route, "--random-route", "random-route: true")]
    #[case(task, "--task", "no-route: true")]
    #[case(stack, "-s cflinuxfs4", "stack: cflinuxfs4")]
    #[case(buildpacks, "-b one -b two", "buildpacks: [one, two]")]
    #[case(buildpacks, "-b null", "buildpacks: []")]
    #[case(docker_image, "-o img", "docker: {image: img}")]
    #[case(
        docker_username,
        "-o img --docker-username me",
        "docker: {username: me}"
    )]
    fn other_flags_change_the_app(
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
    #[case(instances, "-i 4")]
    #[case(start_command, "-c run")]
    #[case(lifecycle, "--lifecycle cnb")]
    #[case(health_check_type, "-u port")]
    #[case(health_check_endpoint, "--endpoint /up")]
    #[case(health_check_timeout, "-t 90")]
    #[case(memory, "-m 64M")]
    #[case(disk, "-k 64M")]
    #[case(log_rate_limit, "-l 1K")]
    #[case(no_route, "--no-route")]
    #[case(random_route, "--random-route")]
    #[case(task, "--task")]
    #[case(docker_image, "-o img")]
    #[case(docker_username, "-o img --docker-username me")]
    #[case(stack, "-s cflinuxfs4")]
    #[case(buildpacks, "-b one")]
    #[case(strategy, "--strategy rolling")]
    #[case(path, "-p .")]
    #[case(droplet, "--droplet .")]
    fn a_flag_for_one_app_is_not_for_several(#[case] transform: Transform, #[case] with: &str) {
        let error = step(transform, "[{name: a}, {name: b}]", with).unwrap_err();
        assert!(
            error.contains("is for one app, and the manifest has 2: pick one with APP"),
            "{error}"
        );
    }

    #[test]
    fn another_health_check_forgets_the_endpoint() {
        let apps = "[{name: a, health-check-type: http, health-check-http-endpoint: /up}]";
        changes(
            health_check_type,
            apps,
            "-u process",
            "[{name: a, health-check-type: process}]",
        );
        changes(health_check_type, apps, "-u http --endpoint /x", apps);
    }

    #[test]
    fn the_default_route_is_for_apps_without_a_say() {
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
        "--endpoint /x",
        "--endpoint cannot be used with `health-check-type` in the manifest, which is port"
    )]
    #[case(
        docker_image,
        "buildpacks: ~",
        "-o img",
        "--docker-image, -o cannot be used with `buildpacks` in the manifest"
    )]
    #[case(
        docker_image,
        "path: .",
        "-o img",
        "--docker-image, -o cannot be used with `path` in the manifest"
    )]
    #[case(
        buildpacks,
        "docker: {}",
        "-b one",
        "--buildpack, -b cannot be used with `docker` in the manifest"
    )]
    #[case(
        path,
        "docker: {image: i}",
        "-p .",
        "--path, -p cannot be used with `docker` in the manifest"
    )]
    #[case(
        droplet,
        "docker: {image: i}",
        "--droplet .",
        "--droplet cannot be used with `docker` in the manifest"
    )]
    #[case(
        droplet,
        "path: .",
        "--droplet .",
        "--droplet cannot be used with `path` in the manifest"
    )]
    #[case(
        droplet,
        "buildpacks: [b]",
        "--droplet .",
        "--droplet cannot be used with `buildpacks` in the manifest"
    )]
    fn a_flag_and_a_property_may_not_fit(
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
        let changed = path(relative, &flags("")).unwrap();
        let bits = dir.join("bits");
        assert_eq!(changed.applications()[0].text("path"), bits.to_str());
        assert_eq!(changed.applications()[1].text("path"), None);
        let mut missing = manifest("[{name: a, path: none}]");
        missing.path = Some(dir.join("manifest.yml"));
        let error = path(missing, &flags("")).unwrap_err().to_string();
        assert!(error.starts_with("app a: `path` is "), "{error}");
    }

    #[test]
    fn a_deployment_scales_after_the_manifest_is_applied() {
        let with = flags("--strategy rolling -i 4 -m 64M -k 1G -l 1K -c run");
        let applied = transform(manifest("[{name: a, instances: 2}]"), &with).unwrap();
        let app = applied.applications()[0].clone();
        assert_eq!(app.get("instances"), Some(&Value::Int(2)));
        assert_eq!(app.text("command"), Some("run"));
        assert!(!app.has("memory"));
        let scaled = scaled(applied, &with).unwrap();
        let app = &scaled.applications()[0];
        assert_eq!(app.get("instances"), Some(&Value::Int(4)));
        let sizes = ["memory", "disk-quota", "log-rate-limit-per-second"];
        assert_eq!(
            sizes.map(|size| app.text(size).unwrap()),
            ["64M", "1G", "1K"]
        );
    }
}

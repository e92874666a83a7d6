use rstest::rstest;

use super::*;
use crate::manifest::yaml::Value;

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
#[case("[{name: a}]", "apps: [b]", "[{name: b}]")]
#[case("[{memory: 1G}]", "apps: [b]", "[{memory: 1G, name: b}]")]
#[case(
    "[{name: a}, {name: b, memory: 1G}]",
    "apps: [b]",
    "[{name: b, memory: 1G}]"
)]
#[case("[{name: a}, {name: b}]", "", "[{name: a}, {name: b}]")]
#[case(
    "[{name: a}, {name: b}, {name: c}]",
    "apps: [c, a]",
    "[{name: a}, {name: c}]"
)]
fn app_selects_or_renames(#[case] apps: &str, #[case] with: &str, #[case] expected: &str) {
    changes(app_name, apps, with, expected);
}

#[rstest]
#[case("[{memory: 1G}]", "", "the app has no name")]
#[case("[{name: a}, {}]", "", "has no `name`")]
#[case("[{name: a}, {}]", "apps: [a]", "has no `name`")]
#[case("[{name: a}, {name: b}]", "apps: [c]", "has no app c, only a, b")]
#[case("[{name: a}, {name: b}, {name: a}]", "", "two apps named a")]
#[case("[{name: a}, {name: A}]", "", "two apps named A")]
#[case("[{name: a}]", "apps: [a, b]", "has no app b, only a")]
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
#[case(env, "env: {A: '1'}", "env: {A: '1'}")]
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
#[case(env, "env: {A: '1'}")]
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
fn variables_replace_the_manifests_variables() {
    changes(
        env,
        "[{name: a, env: {A: 1, B: 2}}]",
        "env: {A: '3', C: ''}",
        "[{name: a, env: {A: '3', B: 2, C: ''}}]",
    );
    let error = step(env, "[{name: a, env: [x]}]", "env: {A: '3'}").unwrap_err();
    assert_eq!(
        error,
        "env cannot be combined with `env` in the manifest (a list)"
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
    let changed = path(missing, &overrides("")).unwrap();
    assert_eq!(
        changed.applications()[0].text("path"),
        dir.join("none").to_str()
    );
    let error = changed.check_paths().unwrap_err().to_string();
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

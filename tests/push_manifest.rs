//! The manifests that `push` and `manifest` accept, warn about and reject, and those that
//! change nothing when they are pushed again.

use cf_pusher::manifest::{Manifest, Overrides, Variables};
use mock_capi::MockCapi;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::command::{Place, cf_pusher};
use crate::support::push::Push;

/// Properties of apps in various styles. `DOMAIN` is the domain of the apps.
const VARIED: [&str; 40] = [
    "",
    "memory: 64M",
    "memory: 512M",
    "memory: 512mb",
    "memory: 65536K",
    "disk_quota: 1G",
    "disk-quota: 300M",
    "disk_quota: 1GB",
    "memory: 64M, disk_quota: 128M, instances: 2",
    "instances: 0",
    "log-rate-limit-per-second: 16K",
    "log-rate-limit-per-second: 1024K",
    "log-rate-limit-per-second: -1",
    "log-rate-limit-per-second: '0'",
    "env: {A: text, B: 1, C: 1.5, D: yes, E: '', F: 0x10, G: 1e3}",
    "env: {VERSION: 1.10, OCTAL: 0123, TIME: 12:30:45, DATE: 2001-01-01, BIG: 18446744073709551615}",
    "env: {'WITH/SLASH~TILDE': x, 'a b': y}",
    "command: ./run --fast",
    "command: ~",
    "command: 'null'",
    "buildpack: go_buildpack",
    "buildpacks: [go_buildpack]",
    "buildpacks: [go_buildpack, binary_buildpack]",
    "buildpacks: []",
    "stack: cflinuxfs4",
    "health-check-type: process",
    "health-check-type: none",
    "health-check-type: http, health-check-http-endpoint: /up, timeout: 90",
    "health-check-type: http, health-check-http-endpoint: /, health-check-invocation-timeout: 5",
    "readiness-health-check-type: http, readiness-health-check-http-endpoint: /ready",
    "processes: [{type: worker, instances: 1, memory: 1G, command: work}, {type: clock, instances: 0, disk_quota: 64M}]",
    "memory: 2G, processes: [{type: web, memory: 128M, instances: 2, health-check-type: process}]",
    "sidecars: [{name: z, command: zed, process_types: [web]}, {name: a, command: ay, process_types: [worker, web], memory: 16M}]",
    "metadata: {labels: {team: a, n1: '1'}, annotations: {note: 'some text'}}",
    "services: [zdb, {name: adb}]",
    "routes: [{route: 'Zeta.DOMAIN'}, {route: 'alpha.DOMAIN/path'}, {route: 'https://beta.DOMAIN'}]",
    "routes: [{route: 'http2.DOMAIN', protocol: http2}]",
    "no-route: true",
    "random-route: true, features: {ssh: false}",
    "lifecycle: buildpack, default-route: true, features: {ssh: true}",
];

#[tokio::test]
async fn varied_manifests_change_nothing_when_they_are_pushed_again() {
    let push = Push::new().await;
    for name in ["zdb", "adb"] {
        let of_space = json!({"space": {"data": {"guid": push.space}}});
        let service = json!({"type": "user-provided", "name": name, "relationships": of_space});
        push.curl("POST", "/v3/service_instances", service).await;
    }
    let domain = push.apps_domain().await;
    let app = |(at, properties): (usize, &&str)| {
        let properties = properties.replace("DOMAIN", &domain);
        format!("- {{name: app-{at}, path: bits, {properties}}}\n")
    };
    let apps: String = VARIED.iter().enumerate().map(app).collect();
    push.manifest(&format!("applications:\n{apps}"));
    push.push_successfully(&["--no-start"]);
    let again = push.push_successfully(&["--dry-run", "--format", "json"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    let diff = again["diff"].as_array().unwrap().iter();
    let changed = diff.filter(|line| !line.as_str().unwrap().starts_with(' '));
    assert_eq!(changed.collect::<Vec<_>>(), [] as [&Value; 0]);
    assert_eq!(again["changes"], false);
    let pushed = push.push_successfully(&["--no-start", "--format", "json"]);
    let pushed: Value = serde_json::from_str(&pushed.stdout).unwrap();
    let apps = pushed["apps"].as_array().unwrap();
    assert!(apps.iter().all(|app| app["changes"] == false), "{apps:#?}");
}

#[tokio::test]
async fn memory_and_disk_are_part_of_the_difference() {
    let push = Push::new().await;
    push.manifest("applications:\n- {name: a, path: bits, memory: 64M, disk_quota: 128M}\n");
    push.push_successfully(&["--no-start"]);
    let output = push.push_successfully(&["--dry-run", "-m", "1G", "-k", "2G"]);
    assert!(
        output.stdout.contains("-   memory: 64M\n+   memory: 1G")
            && output
                .stdout
                .contains("-   disk-quota: 128M\n+   disk-quota: 2G"),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn every_summary_has_urls_instances_memory_and_time() {
    let push = Push::new().await;
    push.manifest("applications:\n- {name: dora, path: bits, memory: 64M}\n");
    push.push_successfully(&[]);
    let all: [&[&str]; 3] = [&[], &["--no-start"], &["--strategy", "rolling"]];
    for flags in all {
        let output = push.push_successfully(flags);
        let domain = push.apps_domain().await;
        assert!(
            output
                .stdout
                .contains(&format!("routes:           dora.{domain}\n")),
            "{}",
            output.stdout
        );
        assert!(
            output.stdout.contains("memory:           64M\n"),
            "{}",
            output.stdout
        );
        assert!(
            output.stdout.contains("instances:        "),
            "{}",
            output.stdout
        );
        let is_running =
            |line: &str| line.starts_with("#0    running    20") && line.ends_with('Z');
        let has_time = output.stdout.lines().any(is_running);
        assert_eq!(has_time, flags != ["--no-start"], "{}", output.stdout);
    }
}

#[tokio::test]
async fn ignored_properties_are_warnings_with_their_lines() {
    let push = Push::new().await;
    push.manifest(
        "memory: 1G\napplications:\n- name: dora\n  path: bits\n  memroy: 64M\n  host: x\n",
    );
    let output = push.push_successfully(&["--no-start"]);
    let warnings: Vec<&str> = output
        .stderr
        .lines()
        .filter(|it| it.starts_with("warning: "))
        .collect();
    assert_eq!(
        warnings,
        [
            "warning: DIR/manifest.yml: line 1: `memory` next to `applications` does not apply to any app; move it into each application",
            "warning: DIR/manifest.yml: line 5: app dora: unknown property `memroy`, did you mean `memory`?",
            "warning: DIR/manifest.yml: line 6: app dora: the Cloud Controller ignores `host`; use `routes`",
        ]
    );
    let sent = push.mock.requests();
    let sent = sent
        .iter()
        .find(|it| it.path.ends_with("/apply_manifest"))
        .unwrap();
    let sent = String::from_utf8_lossy(&sent.body);
    assert!(!sent.starts_with("---\nmemory"), "{sent}");
    let mut command = cf_pusher(push.place.dir.path());
    command.current_dir(push.place.dir.path()).arg("manifest");
    let offline = push.place.run(command, &push.mock);
    assert_eq!(offline.stderr.matches("warning: ").count(), warnings.len());
}

#[rstest]
#[case(u16::to_le_bytes, [0xff, 0xfe])]
#[case(u16::to_be_bytes, [0xfe, 0xff])]
fn manifests_and_variables_in_utf16_are_read(
    #[case] unit: fn(u16) -> [u8; 2],
    #[case] mark: [u8; 2],
) {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        let bytes: Vec<u8> = mark
            .into_iter()
            .chain(text.encode_utf16().flat_map(unit))
            .collect();
        std::fs::write(place.dir.path().join(name), bytes).unwrap();
    };
    write(
        "manifest.yml",
        "---\r\napplications:\r\n- name: ((name))\r\n  memory: 64M\r\n",
    );
    write("vars.yml", "name: a\n");
    let mut command = cf_pusher(place.dir.path());
    command.current_dir(place.dir.path());
    let output = command
        .args(["manifest", "--vars-file", "vars.yml"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "---\napplications:\n- name: a\n  memory: 64M\n  default-route: true\n"
    );
}

#[tokio::test]
async fn a_path_that_is_not_built_yet_stops_only_a_push() {
    let push = Push::new().await;
    push.manifest("applications:\n- name: a\n  path: target/app.jar\n");
    let mut command = cf_pusher(push.place.dir.path());
    command.current_dir(push.place.dir.path()).arg("manifest");
    let offline = push.place.run(command, &push.mock);
    assert_eq!(offline.code, 0, "{}", offline.stderr);
    assert!(
        offline.stdout.contains("target/app.jar"),
        "{}",
        offline.stdout
    );
    push.push_successfully(&["--dry-run"]);
    push.requests();
    let output = push.push(&[]);
    assert_eq!(output.code, 2);
    assert!(
        output
            .stderr
            .starts_with("error: app a: cannot read `path` "),
        "{}",
        output.stderr
    );
    assert!(push.requests().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn the_password_of_a_docker_image_is_never_in_the_manifest() {
    let push = Push::new().await;
    let on = json!({"enabled": true});
    push.curl("PATCH", "/v3/feature_flags/diego_docker", on)
        .await;
    push.mock.forget_requests();
    push.manifest(
        "applications:\n- name: a\n  docker:\n    image: registry.example/x:1\n    username: u\n    password: hunter2\n",
    );
    let output = push.push_with(&["-vv"], &[("CF_DOCKER_PASSWORD", "hunter3")]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("`docker.password` is not sent"),
        "{}",
        output.stderr
    );
    let requests = push.mock.requests();
    let bodies = requests.iter().map(|it| String::from_utf8_lossy(&it.body));
    assert!(!bodies.collect::<String>().contains("hunter2"));
    assert!(!output.stdout.contains("hunter") && !output.stderr.contains("hunter"));
}

#[tokio::test]
async fn credentials_of_registries_are_shown_nowhere() {
    let push = Push::new().await;
    push.manifest("applications:\n- {name: a, path: bits, lifecycle: cnb}\n");
    let credentials = r#"{"registry.example": {"username": "u", "password": "hunter2"}}"#;
    let environment = [("CF_CNB_REGISTRY_CREDS", credentials)];
    let output = push.push_with(&["--dry-run", "-vv"], &environment);
    assert!(!output.stdout.contains("hunter2") && !output.stderr.contains("hunter2"));
    let mut command = cf_pusher(push.place.dir.path());
    command
        .current_dir(push.place.dir.path())
        .arg("manifest")
        .envs(environment);
    let offline = push.place.run(command, &push.mock);
    assert!(
        offline.stdout.contains("cnb-credentials: <redacted>"),
        "{}",
        offline.stdout
    );
}

#[tokio::test]
async fn several_apps_of_a_manifest_can_be_pushed() {
    let push = Push::new().await;
    push.manifest("applications:\n- {name: a, path: bits}\n- {name: b, path: bits}\n- {name: c, path: bits}\n");
    push.push_successfully(&["c", "a", "--no-start"]);
    let apps = push.list("/v3/apps").await;
    let mut names: Vec<&str> = apps.iter().map(|it| it["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "c"]);
    let output = push.push(&["a", "d"]);
    assert_eq!(output.code, 2);
    assert_eq!(
        output.stderr,
        "error: the manifest has no app d, only a, b, c\n"
    );
    let output = push.push(&["a", "b", "-i", "2"]);
    assert_eq!(
        output.stderr,
        "error: -i needs a single APP argument: 2 apps are selected\n"
    );
    let output = push.push(&["x", "y", "--no-manifest"]);
    assert!(
        output
            .stderr
            .starts_with("error: several APP arguments need a manifest\n"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn variables_can_be_set_by_a_flag() {
    let push = Push::new().await;
    push.manifest("applications:\n- {name: a, path: bits, env: {A: 1, B: 2}}\n");
    push.push_successfully(&["--no-start", "--env", "A=x=y", "--env", "C="]);
    let guid = push.app("a").await["guid"].as_str().unwrap().to_owned();
    let path = format!("/v3/apps/{guid}/environment_variables");
    let env = push.curl("GET", &path, Value::Null).await;
    assert_eq!(env["var"], json!({"A": "x=y", "B": "2", "C": ""}));
}

#[tokio::test]
async fn a_size_without_a_unit_is_refused_before_anything_is_sent() {
    let push = Push::new().await;
    push.manifest("applications:\n- {name: a, path: bits}\n");
    for flag in ["-m", "-k"] {
        let output = push.push(&[flag, "64"]);
        assert_eq!(output.code, 2);
        assert!(
            output
                .stderr
                .contains("invalid size \"64\", must be a number with a unit"),
            "{}",
            output.stderr
        );
    }
    assert!(push.requests().is_empty());
}

#[tokio::test]
async fn org_and_space_and_timeouts_can_come_from_the_environment() {
    let builder = MockCapi::builder().staging_time(std::time::Duration::from_secs(3600));
    let push = Push::with(builder).await;
    push.manifest("applications:\n- {name: a, path: bits}\n");
    let run = |environment: &[(&str, &str)]| {
        let mut command = cf_pusher(push.place.dir.path());
        command
            .current_dir(push.place.dir.path())
            .args(["push", "--strategy", "null"])
            .env("CF_API", push.mock.uri())
            .env("CF_USERNAME", "admin")
            .env("CF_PASSWORD", "admin")
            .env("CF_ORG", "o")
            .env("CF_SPACE", "s")
            .envs(environment.iter().copied());
        push.place.run(command, &push.mock)
    };
    let output = run(&[("CF_STAGING_TIMEOUT", "soon")]);
    assert_eq!(output.code, 2);
    assert_eq!(
        output.stderr,
        "error: CF_STAGING_TIMEOUT is \"soon\", must be a number of minutes, such as 15\n"
    );
    let output = run(&[("CF_STAGING_TIMEOUT", "0.01"), ("CF_STARTUP_TIMEOUT", "1")]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(
        output.stderr.contains("timed out after 600ms"),
        "{}",
        output.stderr
    );
}

/// No manifest causes a panic or takes long, and each error names the file and, if
/// possible, the line.
#[rstest]
#[case::empty("", "`applications` must have at least one application")]
#[case::only_comments("# nothing\n", "`applications` must have at least one application")]
#[case::empty_document(
    "---\n---\napplications: [{name: a}]",
    "`applications` must have at least one application"
)]
#[case::scalar("42", "line 1: the document is a number, must be a map")]
#[case::wrong_type(
    "applications:\n- name: a\n\n  memory: [1]",
    "line 4: app a: `memory` is a list, must be a string"
)]
#[case::wrong_type_in_a_process(
    "applications:\n- name: a\n  processes:\n  - type: web\n    instances: many",
    "line 5: app a: `instances` is a string, must be a whole number"
)]
#[case::wrong_type_in_docker(
    "applications:\n- name: a\n  docker:\n    image: {}",
    "line 4: app a: `image` is a map, must be a string"
)]
#[case::not_a_list(
    "version: 1\napplications: 3",
    "line 2: `applications` is a number, must be a list"
)]
#[case::huge_number(
    "applications:\n- name: a\n  instances: 99999999999999999999999999",
    "line 3: app a: `instances` is a number, must be a whole number"
)]
#[case::open_bracket("applications:\n- name: [", "line 2: ")]
#[case::tab("applications:\n\t- name: a", "line 2: ")]
fn manifests_that_cannot_be_used_are_refused_with_file_and_line(
    #[case] text: &str,
    #[case] expected: &str,
) {
    let place = Place::new();
    let file = place.file("manifest.yml", text);
    let error = Manifest::read(&file, &Variables::default())
        .unwrap_err()
        .to_string();
    let start = format!("invalid manifest {}: ", file.display());
    let reason = error
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{error}"));
    let reason = reason.strip_prefix("invalid YAML: ").unwrap_or(reason);
    assert!(reason.starts_with(expected), "{error}");
}

#[test]
fn deep_and_exploding_manifests_are_refused_with_file_and_line() {
    let deep = format!("applications:\n- name: {}", "[".repeat(100_000));
    let bomb = (1..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, i| {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        format!("{text}a{i}: &a{i} [{aliases}]\n")
    });
    for text in [deep, bomb] {
        let place = Place::new();
        let file = place.file("manifest.yml", &text);
        let error = Manifest::read(&file, &Variables::default())
            .unwrap_err()
            .to_string();
        let start = format!("invalid manifest {}: invalid YAML: line ", file.display());
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn byte_order_marks_and_windows_lines_are_read() {
    let text = "\u{feff}applications:\r\n- name: a\r\n  env: {A: b}\r\n";
    let manifest = Manifest::parse(text, "test").unwrap();
    let plain = Manifest::parse("applications: [{name: a, env: {A: b}}]", "test").unwrap();
    assert_eq!(manifest, plain);
}

/// With quadratic time, this would take hours.
#[test]
fn a_hundred_thousand_variables_are_read_and_compared() {
    let line = |i| format!("    KEY_{i}: value-{i}\n");
    let env: String = (0..100_000).map(line).collect();
    let text = format!("applications:\n- name: a\n  env:\n{env}");
    let manifest = Manifest::parse(&text, "test").unwrap();
    let manifest = manifest.transform(&Overrides::default()).unwrap();
    let again = Manifest::parse(&manifest.render(), "again").unwrap();
    assert!(manifest.diff(&again).is_empty());
    let other = Manifest::parse(&text.replace("value", "other"), "other").unwrap();
    assert!(manifest.diff(&other).lines(&manifest, false).len() > 200_000);
}

#[test]
fn a_manifest_of_more_than_ten_mebibytes_is_refused() {
    let place = Place::new();
    let file = place.file("manifest.yml", "");
    let large = std::fs::File::options().write(true).open(&file).unwrap();
    large.set_len(10 * 1024 * 1024 + 1).unwrap();
    let error = Manifest::read(&file, &Variables::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("manifest.yml failed: larger than 10 MiB"),
        "{error}"
    );
}

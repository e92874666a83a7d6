//! `push` and `manifest`: their requests, the resulting apps, and their output.

use std::time::Duration;

use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::command::{Place, cf_pusher, stable};
use crate::support::login;
use crate::support::push::{DORA, Push};

#[tokio::test]
async fn an_app_is_pushed_and_runs() {
    let push = Push::new().await;
    push.manifest(&format!("{DORA}  instances: 2\n  env: {{A: b}}\n"));
    let output = push.push_successfully(&["-i", "3"]);
    insta::assert_snapshot!("push_out", stable(&output.stdout));
    assert!(
        output.stderr.contains("dora | Downloading app package..."),
        "{}",
        output.stderr
    );
    let web = push.web("dora").await;
    assert_eq!(
        (&web["instances"], &web["memory_in_mb"]),
        (&json!(3), &json!(64))
    );
    let app = push.app("dora").await;
    assert_eq!(app["state"], "STARTED");
    let routes = push.list("/v3/routes").await;
    assert_eq!(routes.len(), 1, "the default route");
}

#[tokio::test]
async fn ignored_files_are_not_uploaded() {
    let push = Push::new().await;
    push.place.file("bits/.cfignore", "*.log\n");
    push.place.file("bits/a.log", "");
    push.manifest(DORA);
    push.push_successfully(&[]);
    let packages = push.list("/v3/packages").await;
    let files = push
        .mock
        .package_files(packages[0]["guid"].as_str().unwrap());
    let mut files: Vec<String> = files.unwrap().into_iter().map(|file| file.path).collect();
    files.sort();
    assert_eq!(files, ["large.bin", "main.go"]);
}

#[tokio::test]
async fn matched_resources_are_not_uploaded() {
    let push = Push::new().await;
    push.push_successfully(&["one", "-p", "bits", "--no-start"]);
    push.place.file("bits/main.go", "package other");
    let output = push.push_successfully(&["two", "-p", "bits", "--no-start"]);
    assert!(
        output.stderr.contains("two: uploading"),
        "{}",
        output.stderr
    );
    let packages = push.list("/v3/packages?order_by=-created_at").await;
    assert_eq!(packages.len(), 2);
    let files = push
        .mock
        .package_files(packages[0]["guid"].as_str().unwrap());
    assert_eq!(files.unwrap().len(), 2, "the large file came from the pool");
    let matches = push.bodies("/v3/resource_matches");
    let asked = matches[1]["resources"].as_array().unwrap();
    assert_eq!(asked.len(), 1, "small files are never in the pool");
    assert_eq!(asked[0]["path"], "large.bin");
}

/// At most 11 requests, and 6 more for each app.
#[rstest]
#[case(1)]
#[case(2)]
#[case(8)]
#[tokio::test]
async fn unchanged_bits_cost_few_requests(#[case] apps: usize) {
    let push = Push::new().await;
    let app = |i| format!("- {{name: app-{i}, path: bits, memory: 64M}}\n");
    let list: String = (0..apps).map(app).collect();
    push.manifest(&format!("applications:\n{list}"));
    push.push_successfully(&[]);
    push.requests();
    let output = push.push_successfully(&[]);
    assert!(
        output.stderr.contains("app-0: bits are unchanged"),
        "{}",
        output.stderr
    );
    let requests = push.requests();
    assert!(
        requests.len() <= 11 + 6 * apps,
        "{}: {requests:#?}",
        requests.len()
    );
    let uploads = requests.iter().filter(|it| it.ends_with("/upload")).count();
    assert_eq!(uploads, 0);
    let builds = requests
        .iter()
        .filter(|it| *it == "POST /v3/builds")
        .count();
    assert_eq!(builds, apps, "each is staged again, as `cf push` does");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let push = Push::new().await;
    push.manifest(&format!("{DORA}  env: {{PASSWORD: hunter2}}\n"));
    let output = push.push_successfully(&["--dry-run", "--redact-env"]);
    insta::assert_snapshot!("dry_run", stable(&output.stdout));
    let requests = push.requests();
    let writes = requests.iter().filter(|it| !it.starts_with("GET "));
    let writes: Vec<&String> = writes.filter(|it| !it.ends_with("/token")).collect();
    assert_eq!(writes, ["POST /v3/spaces/:guid/manifest_diff"]);
    push.push_successfully(&["--no-start"]);
    let output = push.push_successfully(&["--dry-run", "-i", "2"]);
    assert!(
        output.stdout.contains("-   instances: 1\n+   instances: 2"),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn no_start_stops_a_running_app_and_stages_nothing() {
    let push = Push::new().await;
    push.manifest(DORA);
    push.push_successfully(&[]);
    push.requests();
    push.push_successfully(&["--no-start"]);
    assert_eq!(push.app("dora").await["state"], "STOPPED");
    assert!(!push.requests().contains(&"POST /v3/builds".to_owned()));
}

/// The next start would not stage a package that was already staged.
#[tokio::test]
async fn no_start_leaves_a_package_to_stage() {
    let push = Push::new().await;
    push.manifest(DORA);
    push.push_successfully(&[]);
    push.push_successfully(&["--no-start", "-b", "ruby_buildpack"]);
    assert_eq!(push.list("/v3/packages").await.len(), 2);
}

#[tokio::test]
async fn apps_with_special_characters_in_their_names_are_found_again() {
    let push = Push::new().await;
    push.push_successfully(&["a,b %41", "-p", "bits", "--no-route"]);
    let apps = push.list("/v3/apps").await;
    assert_eq!(apps[0]["name"], "a,b %41");
    assert_eq!(apps[0]["state"], "STARTED");
}

#[tokio::test]
async fn a_random_route_is_printed() {
    let push = Push::new().await;
    push.manifest(DORA);
    let output = push.push_successfully(&["--random-route"]);
    let routes = push.list("/v3/routes").await;
    let url = routes[0]["url"].as_str().unwrap();
    assert!(
        output
            .stdout
            .contains(&format!("routes:           {url}\n")),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn a_duplicate_app_name_is_refused() {
    let push = Push::new().await;
    push.manifest("applications: [{name: a, path: bits}, {name: a, path: bits}]");
    let output = push.push(&[]);
    assert_eq!(output.code, 2);
    assert_eq!(
        output.stderr,
        "error: the manifest has two apps named a\nhelp: rename or remove one of them\n"
    );
    assert!(push.requests().is_empty());
}

#[tokio::test]
async fn an_app_for_tasks_is_staged_and_not_started() {
    let push = Push::new().await;
    push.manifest(DORA);
    push.push_successfully(&["--task"]);
    let app = push.app("dora").await;
    assert_eq!(app["state"], "STOPPED");
    assert!(app["relationships"]["current_droplet"]["data"]["guid"].is_string());
    assert_eq!(push.list("/v3/routes").await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_deployment_scales_instead_of_the_manifest() {
    let push = Push::with(MockCapi::builder().start_time(Duration::from_millis(30))).await;
    push.manifest(DORA);
    push.push_successfully(&[]);
    push.mock.forget_requests();
    let flags = [
        "--strategy",
        "rolling",
        "-i",
        "3",
        "-m",
        "128M",
        "--max-in-flight",
        "2",
    ];
    let output = push.push_successfully(&flags);
    assert!(
        output.stdout.contains("+   instances: 3"),
        "the diff shows it: {}",
        output.stdout
    );
    let applied = push.mock.requests();
    let applied = applied
        .iter()
        .find(|it| it.path.ends_with("/apply_manifest"))
        .unwrap();
    let applied = String::from_utf8_lossy(&applied.body);
    assert!(
        applied.contains("memory: 64M") && !applied.contains("instances"),
        "{applied}"
    );
    let deployments = push.bodies("/v3/deployments");
    assert_eq!(
        deployments[0]["options"],
        json!({"max_in_flight": 2, "web_instances": 3, "memory_in_mb": 128})
    );
    let web = push.web("dora").await;
    assert_eq!(
        (&web["instances"], &web["memory_in_mb"]),
        (&json!(3), &json!(128))
    );
}

#[tokio::test]
async fn a_canary_deployment_stays_paused() {
    let push = Push::new().await;
    push.manifest(&format!("{DORA}  instances: 4\n"));
    push.push_successfully(&[]);
    let output = push.push_successfully(&["--strategy", "canary", "--instance-steps", "50"]);
    let deployment = &push.list("/v3/deployments").await[0];
    assert_eq!(deployment["status"]["reason"], "PAUSED");
    assert!(
        output
            .stdout
            .contains("paused; continue with `cf continue-deployment dora`"),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn a_docker_image_needs_no_bits_and_its_password_stays_secret() {
    let push = Push::new().await;
    let on = json!({"enabled": true});
    push.curl("PATCH", "/v3/feature_flags/diego_docker", on)
        .await;
    push.mock.forget_requests();
    let image = ["dora", "--docker-image", "registry.example.com/dora:1"];
    push.push_successfully(&image);
    let packages = push.bodies("/v3/packages");
    assert_eq!(packages[0]["type"], "docker");
    assert_eq!(
        packages[0]["data"],
        json!({"image": "registry.example.com/dora:1"})
    );
    assert!(push.requests().iter().all(|it| !it.ends_with("/upload")));

    let private = [&image[..], &["--docker-username", "me", "-vv"]].concat();
    let output = push.push(&private);
    assert_eq!(output.code, 2);
    assert!(
        output.stderr.contains("set CF_DOCKER_PASSWORD"),
        "{}",
        output.stderr
    );
    let output = push.push_with(&private, &[("CF_DOCKER_PASSWORD", "hunter2")]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let packages = push.bodies("/v3/packages");
    assert_eq!(packages[0]["data"]["password"], "hunter2");
    assert!(!output.stderr.contains("hunter2") && !output.stdout.contains("hunter2"));
}

#[tokio::test]
async fn a_droplet_is_run_without_staging() {
    let push = Push::new().await;
    let file = push.place.file("droplet.tgz", "a droplet");
    push.push_successfully(&["dora", "--droplet", file.to_str().unwrap()]);
    assert_eq!(push.app("dora").await["state"], "STARTED");
    let requests = push.requests();
    assert!(
        requests.contains(&"POST /v3/droplets/:guid/upload".to_owned()),
        "{requests:#?}"
    );
    assert!(
        !requests.contains(&"POST /v3/builds".to_owned()),
        "{requests:#?}"
    );
}

/// The foundation is too old for the request, or fails.
#[rstest]
#[case(404)]
#[case(500)]
#[tokio::test]
async fn without_a_diff_of_the_foundation_cf_pusher_compares_apps_itself(#[case] status: u16) {
    let builder = MockCapi::builder();
    let refusal = Fault::answer("POST", "/v3/spaces/:guid/manifest_diff", status);
    let push = Push::with(builder.faults(vec![refusal])).await;
    push.manifest(DORA);
    push.push_successfully(&["--no-start"]);
    let output = push.push_successfully(&["--dry-run", "-m", "128M"]);
    assert!(
        output.stdout.contains("-   memory: 64M\n+   memory: 128M"),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn the_json_output_is_one_object() {
    let push = Push::new().await;
    push.manifest(DORA);
    let output = push.push_successfully(&["--format", "json"]);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["apps"][0]["name"], "dora");
    assert_eq!(json["apps"][0]["state"], "STARTED");
    assert_eq!(
        json["apps"][0]["processes"][0]["instances"][0]["state"],
        "RUNNING"
    );
    assert_eq!(json["failures"], json!([]));
    assert!(json["run"]["requests"].as_u64().unwrap() > 0);

    push.manifest("applications: [{name: dora, path: bits, stack: none}]");
    let output = push.push(&["--format", "json"]);
    assert_eq!(output.code, 1);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let error = json["error"]["message"].as_str().unwrap();
    assert!(error.contains("For application 'dora': "), "{error}");
}

#[tokio::test]
async fn the_target_of_the_cf_cli_is_used() {
    let push = Push::new().await;
    push.manifest(DORA);
    let token = login(&push.mock).await;
    let home = push.place.dir.path().join(".cf");
    std::fs::create_dir(&home).unwrap();
    let config = json!({
        "Target": push.mock.uri(),
        "AccessToken": format!("bearer {}", token["access_token"].as_str().unwrap()),
        "RefreshToken": token["refresh_token"],
        "OrganizationFields": {"GUID": "unused", "Name": "o"},
        "SpaceFields": {"GUID": push.space, "Name": "s"},
    });
    std::fs::write(home.join("config.json"), config.to_string()).unwrap();
    let mut command = cf_pusher(push.place.dir.path());
    command
        .current_dir(push.place.dir.path())
        .args(["push", "--no-start"]);
    let output = push.place.run(command, &push.mock);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(push.app("dora").await["name"], "dora");
}

#[tokio::test]
async fn a_push_without_a_target_is_an_error() {
    let push = Push::new().await;
    push.manifest(DORA);
    let mut command = cf_pusher(push.place.dir.path());
    command
        .current_dir(push.place.dir.path())
        .args(["push", "--org", "o", "--space", "none"])
        .env("CF_API", push.mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin");
    let output = push.place.run(command, &push.mock);
    assert_eq!(output.code, 1);
    insta::assert_snapshot!(stable(&output.stderr), @"error: finding space none in org o failed: not found, or not visible to the user");
    assert_eq!(push.list("/v3/apps").await, [] as [Value; 0]);
}

/// `manifest` rejects the same manifests as `push`, without a foundation.
#[rstest]
#[case::no_name("applications: [{memory: 1G}]", &[], "the app has no name\nhelp: add an APP argument, or a `name` in the manifest")]
#[case::two_apps("applications: [{name: a}, {name: b}]", &["-i", "2"], "-i needs a single APP argument: 2 apps are selected")]
#[case::missing_variables("applications: [{name: ((b)), memory: ((a))}]", &[], "invalid manifest DIR/manifest.yml: no value for the variables a, b\nhelp: set them with --var or --vars-file")]
#[case::both_disks("applications: [{name: a, disk_quota: 1G, disk-quota: 1G}]", &[], "invalid manifest DIR/manifest.yml: line 1: app a: `disk_quota` and `disk-quota` cannot both be set")]
#[case::no_apps("applications: []", &[], "invalid manifest DIR/manifest.yml: line 1: `applications` must have at least one application")]
#[case::not_yaml("applications: [", &[], "invalid manifest DIR/manifest.yml: invalid YAML: line 1: unclosed bracket '['")]
#[case::mismatch("applications: [{name: a, buildpacks: [b]}]", &["-o", "i"], "--docker-image cannot be used with `buildpacks` in the manifest")]
#[case::conflict("applications: [{name: a}]", &["--no-route", "--random-route"], "--no-route and --random-route cannot be used together")]
#[case::secret("applications: [{name: a, memory: [hunter2]}]", &[], "invalid manifest DIR/manifest.yml: line 1: app a: `memory` is a list, must be a string")]
fn manifest_refuses_what_push_would_refuse(
    #[case] manifest: &str,
    #[case] flags: &[&str],
    #[case] expected: &str,
) {
    for subcommand in ["manifest", "push"] {
        let place = Place::new();
        place.file("manifest.yml", manifest);
        let mut command = cf_pusher(place.dir.path());
        command
            .current_dir(place.dir.path())
            .arg(subcommand)
            .args(flags);
        let output = command.output().unwrap();
        let dir = place.dir.path().canonicalize().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let error = error.replace(dir.to_str().unwrap(), "DIR");
        assert_eq!(error, format!("error: {expected}\n"), "{subcommand}");
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_manifest_is_printed_as_it_would_be_applied() {
    let place = Place::new();
    place.file("vars.yml", "host: dora\nsize: 64M");
    place.file(
        "manifest.yml",
        "anchors:\n  env: &env {TZ: 0:30, ON: yes}\napplications:\n- name: ((host))\n  memory: ((size))\n  env:\n    <<: *env\n    OCTAL: 0123\n  routes:\n  - route: ((host)).((domain))\n    new-property: [1, {deep: ~}]\n  processes:\n  - type: web\n    disk-quota: 1G\n  - type: worker\n",
    );
    let mut command = cf_pusher(place.dir.path());
    command.current_dir(place.dir.path());
    command.args([
        "manifest",
        "--vars-file",
        "vars.yml",
        "--var",
        "domain=example.com",
    ]);
    command.args(["-i", "4", "-k", "2G", "-c", "null", "--no-route"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

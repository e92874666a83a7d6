//! `export`: specs, seed files, droplets, and resources that are not exported.

use std::path::Path;
use std::time::Duration;

use crate::support::command::{CommandOutput, Place, cf_pusher, stable};
use crate::support::{connect, curl};
use cf_pusher::export::Exporter;
use mock_capi::{CloudController, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

/// A spec that is also a seed file.
const SEED: &str = "fixtures/specs/seed.yml";

/// A world with every resource that can be exported.
const WHOLE: &str = "
version: 1
users: [ann]
feature_flags: {diego_docker: true}
domains: [shared.test]
org_quotas:
- name: small
  apps: {total_memory_in_mb: 4096, total_instances: 100}
security_groups:
- name: db
  rules: [{protocol: tcp, destination: 10.0.0.1, ports: '5432', description: the database}]
orgs:
- name: o
  quota: small
  metadata: {labels: {team: a}, annotations: {note: b}}
  domains: [o.test]
  isolation_segment: segment
  roles: [{type: organization_manager, user: ann}]
  space_quotas: [{name: tiny, routes: {total_routes: 10}}]
  spaces:
  - name: s
    quota: tiny
    features: {ssh: false}
    security_groups: [db]
    isolation_segment: segment
    metadata: {labels: {env: test}}
    roles: [{type: space_developer, user: ann}]
    service_instances:
    - {name: db, type: user-provided, credentials: {uri: 'postgres://u:p@db', port: 5432}, tags: [sql], syslog_drain_url: 'syslog://logs'}
    network_policies: [{from: web, to: worker}, {from: web, to: t/image, protocol: udp, ports: 7000-7010}]
    apps:
    - name: web
      buildpacks: [go_buildpack]
      memory: 64M
      env: {COLOR: blue, DB_PASSWORD: hunter2, DATABASE_URL: 'postgres://me:hunter2@db'}
      routes:
      - {route: web.apps.mock.test/api, protocol: http2}
      - {route: web.o.test}
      services: [db]
      features: {ssh: false}
      metadata: {labels: {tier: web}}
      processes: [{type: web, instances: 2, health-check-type: http, health-check-http-endpoint: /up}, {type: tick, instances: 0}]
      sidecars: [{name: side, command: ./side, process_types: [web]}]
    - {name: worker, state: stopped, no-route: true}
  - name: t
    apps: [{name: image, docker: {image: registry.test/image}, env: {API_KEY: hunter2}}]
- name: other
  spaces: [{name: s, apps: [{name: web}]}]
";

async fn world(seed: &str) -> MockCapi {
    let place = Place::new();
    let file = place.file("seed.yml", seed);
    seeded(&file).await
}

async fn seeded(file: &Path) -> MockCapi {
    let builder = MockCapi::builder().record_requests().seed_file(file);
    builder.start().await.unwrap()
}

fn run(mock: &CloudController, place: &Place, args: &[&str]) -> CommandOutput {
    let mut command = cf_pusher(place.dir.path());
    command
        .current_dir(place.dir.path())
        .args(args)
        .env("CF_API", mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin");
    place.run(command, mock)
}

/// Runs a command that must succeed.
fn run_successfully(mock: &CloudController, place: &Place, args: &[&str]) -> CommandOutput {
    let output = run(mock, place, args);
    assert_eq!(
        output.code, 0,
        "{args:?}\n{}{}",
        output.stdout, output.stderr
    );
    output
}

#[tokio::test]
async fn an_export_contains_everything_in_an_org() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let output = run_successfully(&mock, &place, &["export", "--org", "o"]);
    insta::assert_snapshot!("whole_org", output.stdout);
    insta::assert_snapshot!("whole_org_err", stable(&output.stderr));
    assert!(!output.stdout.contains("hunter2"), "{}", output.stdout);
    let again = run_successfully(&mock, &place, &["export", "--org", "o"]);
    assert_eq!(
        again.stdout, output.stdout,
        "the same world gives the same text"
    );
}

#[tokio::test]
async fn one_space_can_be_exported_without_any_value() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let flags = [
        "export",
        "--org",
        "o",
        "--space",
        "t",
        "--no-values",
        "-o",
        "t.yml",
    ];
    let output = run_successfully(&mock, &place, &flags);
    assert_eq!(output.stdout, "wrote t.yml\n");
    let text = std::fs::read_to_string(place.dir.path().join("t.yml")).unwrap();
    insta::assert_snapshot!("one_space", text);
}

/// The number of requests of an export, for an org with this number of spaces and of apps
/// in each.
async fn export_requests(spaces: usize, apps: usize) -> usize {
    let apps: String = (0..apps).map(|i| format!("{{name: app-{i}}}, ")).collect();
    let space = |i| format!("{{name: s-{i}, isolation_segment: cells, apps: [{apps}]}}, ");
    let spaces: String = (0..spaces).map(space).collect();
    let mock = world(&format!("orgs: [{{name: o, spaces: [{spaces}]}}]")).await;
    let client = connect(&mock, []).await;
    mock.forget_requests();
    let export = Exporter::new(client, "o").run().await.unwrap();
    let requests = mock.requests();
    assert!(requests.iter().all(|it| it.method == "GET"));
    let exported = export.text.matches("isolation_segment: cells").count();
    assert_eq!(exported, export.text.matches("- name: s-").count());
    requests.len()
}

/// An export takes one request for the manifest of each app, and one for the features of
/// each space. The number of other requests is fixed.
#[tokio::test]
async fn an_export_costs_a_request_for_each_app_and_space_and_few_others() {
    let few = export_requests(1, 1).await;
    assert!(few <= 2 + 20, "{few}");
    assert_eq!(export_requests(1, 40).await, few + 39);
    assert_eq!(export_requests(20, 2).await, few + 39 + 19);
}

#[tokio::test]
async fn a_seed_is_a_copy_of_the_world() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let flags = ["export", "--org", "o", "--as-seed", "-o", "seed.yml"];
    run_successfully(&mock, &place, &flags);
    let text = std::fs::read_to_string(place.dir.path().join("seed.yml")).unwrap();
    insta::assert_snapshot!("seed", text);
    let copy = seeded(&place.dir.path().join("seed.yml")).await;
    let again = run_successfully(&copy, &place, &["export", "--org", "o", "--as-seed"]);
    assert_eq!(again.stdout, text);
    let running = |mock: &CloudController| -> Vec<(String, u32)> {
        let apps = mock.apps().into_iter().filter(|app| app.org == "o");
        apps.map(|app| (app.name, app.running)).collect()
    };
    assert_eq!(running(&copy), running(&mock));
}

#[tokio::test]
async fn droplets_are_downloaded_once_and_named_relative_to_the_spec() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let flags = ["export", "--org", "o", "--bits", "bits", "-o", "o.yml"];
    run_successfully(&mock, &place, &flags);
    let text = std::fs::read_to_string(place.dir.path().join("o.yml")).unwrap();
    assert!(text.contains("droplet: bits/s-web.tgz"), "{text}");
    assert!(
        text.contains("state: stopped\n      droplet: bits/"),
        "{text}"
    );
    let file = std::fs::read(place.dir.path().join("bits/s-web.tgz")).unwrap();
    assert_eq!(file[..2], [0x1f, 0x8b], "gzip");
    let left = std::fs::read_dir(place.dir.path().join("bits")).unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    assert!(
        left.iter().all(|it| it.to_str().unwrap().ends_with(".tgz")),
        "{left:?}"
    );
}

/// The blobstore of a real foundation is another server.
#[tokio::test]
async fn a_redirect_to_a_blobstore_is_followed_without_the_token() {
    use mock_capi::wiremock::matchers::{any, method, path_regex};
    use mock_capi::wiremock::{Mock, MockServer, ResponseTemplate};

    let (mock, place) = (world(WHOLE).await, Place::new());
    let flags = ["export", "--org", "o", "--space", "s", "--bits", "direct"];
    run_successfully(&mock, &place, &flags);
    let droplet = std::fs::read(place.dir.path().join("direct/s-web.tgz")).unwrap();
    let blobstore = MockServer::start().await;
    let blob = ResponseTemplate::new(200).set_body_bytes(droplet.clone());
    Mock::given(any())
        .respond_with(blob)
        .mount(&blobstore)
        .await;
    let target = format!("{}/blob?signature=x", blobstore.uri());
    Mock::given(method("GET"))
        .and(path_regex("^/v3/droplets/.*/download$"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", target))
        .with_priority(1)
        .mount(mock.server())
        .await;
    let flags = ["export", "--org", "o", "--space", "s", "--bits", "bits"];
    run_successfully(&mock, &place, &flags);
    let file = std::fs::read(place.dir.path().join("bits/s-web.tgz"));
    assert_eq!(file.unwrap(), droplet);
    for request in blobstore.received_requests().await.unwrap() {
        assert!(
            !request.headers.contains_key("authorization"),
            "{request:?}"
        );
    }
}

fn downloads(mock: &MockCapi) -> usize {
    let requests = mock.requests();
    mock.forget_requests();
    let paths = requests.iter().map(|request| &request.path);
    paths.filter(|path| path.ends_with("/download")).count()
}

#[tokio::test]
async fn an_export_downloads_only_what_is_missing_or_differs() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let export = ["export", "--org", "o", "--bits", "bits"];
    let first = run_successfully(&mock, &place, &export);
    let all = downloads(&mock);
    assert!(all > 0);
    let again = run_successfully(&mock, &place, &export);
    assert_eq!((again.stdout, downloads(&mock)), (first.stdout, 0));
    let file = place.dir.path().join("bits/s-web.tgz");
    let complete = std::fs::read(&file).unwrap();
    std::fs::write(&file, "half a dro").unwrap();
    std::fs::write(file.with_extension("part"), "left by a killed export").unwrap();
    run_successfully(&mock, &place, &export);
    assert_eq!(downloads(&mock), 1);
    assert_eq!(std::fs::read(&file).unwrap(), complete);
    assert!(!file.with_extension("part").exists());
}

#[tokio::test]
async fn a_droplet_with_another_checksum_is_refused() {
    use mock_capi::wiremock::matchers::path_regex;
    use mock_capi::wiremock::{Mock, ResponseTemplate};

    let (mock, place) = (world(WHOLE).await, Place::new());
    Mock::given(path_regex("^/v3/droplets/.*/download$"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes("another droplet"))
        .with_priority(1)
        .mount(mock.server())
        .await;
    let flags = ["export", "--org", "o", "--space", "s", "--bits", "bits"];
    let output = run(&mock, &place, &flags);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(
        output.stderr.contains("arrived with the checksum"),
        "{}",
        output.stderr
    );
    let left = std::fs::read_dir(place.dir.path().join("bits")).unwrap();
    assert_eq!(left.count(), 0);
}

/// An export that fails leaves no incomplete file, and the next one succeeds.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_leaves_no_incomplete_droplet() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let folder = place.dir.path().join("bits");
    std::fs::create_dir(&folder).unwrap();
    let part = folder.join("s-web.part");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let export = ["export", "--org", "o", "--space", "s", "--bits", "bits"];
    let output = run(&mock, &place, &export);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    let expected = "error: downloading the droplet of the app web failed: ";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
    assert!(
        output.stderr.contains("No space left on device"),
        "{}",
        output.stderr
    );
    assert!(!folder.join("s-web.tgz").exists());
    let left = std::fs::read_dir(&folder).unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    let is_complete = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".tgz");
    assert!(left.iter().all(is_complete), "{left:?}");
    // There may be no space for the spec either.
    let spec = [&export[..], &["-o", "/dev/full"]].concat();
    let output = run(&mock, &place, &spec);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("writing /dev/full failed: "),
        "{}",
        output.stderr
    );
    run_successfully(&mock, &place, &export);
    assert!(folder.join("s-web.tgz").exists() && !part.exists());
}

/// The app may be staged again while it is exported.
#[tokio::test]
async fn a_missing_droplet_is_reported() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let gone = mock_capi::Fault::answer("GET", "/v3/droplets/:guid/download", 404);
    mock.set_faults(vec![gone]).unwrap();
    let export = ["export", "--org", "o", "--space", "s", "--bits", "bits"];
    let output = run(&mock, &place, &export);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    let expected = "error: downloading the droplet of the app web failed: ";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
    mock.set_faults(Vec::new()).unwrap();
    run_successfully(&mock, &place, &export);
    assert!(place.dir.path().join("bits/s-web.tgz").exists());
}

#[tokio::test]
async fn an_existing_file_is_replaced_only_on_demand() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let file = place.file("o.yml", "edited");
    let export = ["export", "--org", "o", "-o", "o.yml"];
    let output = run(&mock, &place, &export);
    insta::assert_snapshot!(output.stderr, @r"
    error: o.yml exists
    help: use --force to replace it, or name another file with --output
    ");
    assert_eq!(output.code, 2);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "edited");
    run_successfully(&mock, &place, &[&export[..], &["--force"]].concat());
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("- name: web"), "{text}");
}

/// The export must not silently omit a single app.
#[tokio::test]
async fn a_user_with_too_few_permissions_gets_an_explanation() {
    let seed = "
users: [{name: dev, password: pw}, {name: manager, password: pw}, {name: auditor, password: pw}]
orgs:
- name: o
  roles: [{type: organization_manager, user: manager}, {type: organization_auditor, user: auditor}]
  spaces:
  - name: s
    roles: [{type: space_developer, user: dev}]
    apps: [{name: web, state: stopped}]
  - {name: t, apps: [{name: hidden}]}
";
    let (mock, place) = (world(seed).await, Place::new());
    let as_user = |user: &str| {
        let mut command = cf_pusher(place.dir.path());
        command
            .args(["export", "--org", "o"])
            .env("CF_API", mock.uri())
            .env("CF_USERNAME", user)
            .env("CF_PASSWORD", "pw");
        let output = place.run(command, &mock);
        let first = output.stdout.lines().take(2).collect::<Vec<_>>().join("\n");
        format!(
            "{user} ({})\n{first}\n{}",
            output.code,
            stable(&output.stderr)
        )
    };
    let output = ["dev", "manager", "auditor"].map(as_user).join("\n");
    insta::assert_snapshot!("too_little", output);
}

/// Resources that a spec cannot declare are kept when the spec is applied.
#[tokio::test]
async fn resources_that_a_spec_cannot_declare_are_reported_and_kept() {
    let seed = "
domains: [shared.test]
security_groups: [{name: stagings}]
orgs:
- name: o
  domains: [o.test]
  spaces:
  - name: s
    service_instances: [{name: proxy, type: user-provided, route_service_url: 'https://proxy.test'}]
    apps:
    - {name: web, routes: [{route: web.apps.mock.test}, {route: odd.apps.mock.test}, {route: both.apps.mock.test}]}
    - {name: only, routes: [{route: only.apps.mock.test}]}
  - name: t
    network_policies: [{from: there, to: s/web}, {from: there, to: 'there'}]
    apps: [{name: there, routes: [{route: there.apps.mock.test}]}]
- {name: p, domains: [other.test]}
";
    let builder = MockCapi::builder()
        .record_requests()
        .broker("cache-broker", &["small"]);
    let place = Place::new();
    let file = place.file("seed.yml", seed);
    let mock = builder.seed_file(&file).start().await.unwrap();
    let find = async |path: &str| -> String {
        let found = curl(&mock, "GET", path, Value::Null).await;
        found["resources"][0]["guid"].as_str().unwrap().to_owned()
    };
    let web = find("/v3/apps?names=web").await;
    let only = find("/v3/apps?names=only").await;
    let there = find("/v3/apps?names=there").await;
    let space = find("/v3/spaces?names=s").await;
    let org = find("/v3/organizations?names=o").await;
    // A route to another port and to another process.
    let odd = find("/v3/routes?hosts=odd").await;
    let path = format!("/v3/routes/{odd}/destinations");
    let destination = json!([{"app": {"guid": web, "process": {"type": "web"}}, "port": 9000}]);
    curl(
        &mock,
        "PATCH",
        &path,
        json!({ "destinations": destination }),
    )
    .await;
    // A route to an app in another space.
    let both = find("/v3/routes?hosts=both").await;
    let path = format!("/v3/routes/{both}/destinations");
    let share = format!("/v3/routes/{both}/relationships/shared_spaces");
    let elsewhere = find("/v3/spaces?names=t").await;
    curl(
        &mock,
        "PATCH",
        "/v3/feature_flags/route_sharing",
        json!({"enabled": true}),
    )
    .await;
    curl(
        &mock,
        "POST",
        &share,
        json!({"data": [{"guid": elsewhere}]}),
    )
    .await;
    let destination = json!([{"app": {"guid": there}}]);
    curl(&mock, "POST", &path, json!({ "destinations": destination })).await;
    // A route without an app.
    let domain = find("/v3/domains?names=apps.mock.test").await;
    let idle = json!({"host": "idle", "relationships": {
        "space": {"data": {"guid": space}}, "domain": {"data": {"guid": domain}},
    }});
    curl(&mock, "POST", "/v3/routes", idle).await;
    // A route in a domain of another org.
    let other = find("/v3/domains?names=other.test").await;
    let path = format!("/v3/domains/{other}/relationships/shared_organizations");
    curl(&mock, "POST", &path, json!({"data": [{"guid": org}]})).await;
    let route = json!({"host": "web", "relationships": {
        "space": {"data": {"guid": space}}, "domain": {"data": {"guid": other}},
    }});
    let route = curl(&mock, "POST", "/v3/routes", route).await;
    let path = format!(
        "/v3/routes/{}/destinations",
        route["guid"].as_str().unwrap()
    );
    let destination = json!([{"app": {"guid": only}}]);
    curl(&mock, "POST", &path, json!({ "destinations": destination })).await;
    // A security group for the staging of a space.
    let group = find("/v3/security_groups?names=stagings").await;
    let path = format!("/v3/security_groups/{group}/relationships/staging_spaces");
    curl(&mock, "POST", &path, json!({"data": [{"guid": space}]})).await;
    // A shared service instance, a key, and a route with a proxy.
    let plan = find("/v3/service_plans?names=small").await;
    let cache = json!({"type": "managed", "name": "cache", "relationships": {
        "space": {"data": {"guid": elsewhere}}, "service_plan": {"data": {"guid": plan}},
    }});
    curl(&mock, "POST", "/v3/service_instances", cache).await;
    let cache = find("/v3/service_instances?names=cache").await;
    let created = async {
        let path = format!("/v3/service_instances/{cache}");
        while curl(&mock, "GET", &path, Value::Null).await["last_operation"]["state"] != "succeeded"
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let deadline = Duration::from_secs(60);
    tokio::time::timeout(deadline, created).await.unwrap();
    curl(
        &mock,
        "PATCH",
        "/v3/feature_flags/service_instance_sharing",
        json!({"enabled": true}),
    )
    .await;
    let path = format!("/v3/service_instances/{cache}/relationships/shared_spaces");
    curl(&mock, "POST", &path, json!({"data": [{"guid": space}]})).await;
    let binding = json!({"type": "app", "relationships": {
        "app": {"data": {"guid": web}}, "service_instance": {"data": {"guid": cache}},
    }});
    curl(&mock, "POST", "/v3/service_credential_bindings", binding).await;
    let key = json!({"type": "key", "name": "key", "relationships": {
        "service_instance": {"data": {"guid": cache}},
    }});
    curl(&mock, "POST", "/v3/service_credential_bindings", key).await;
    let proxy = find("/v3/service_instances?names=proxy").await;
    let route = find("/v3/routes?hosts=only").await;
    let binding = json!({"relationships": {
        "route": {"data": {"guid": route}}, "service_instance": {"data": {"guid": proxy}},
    }});
    curl(&mock, "POST", "/v3/service_route_bindings", binding).await;

    let output = run_successfully(&mock, &place, &["export", "--org", "o", "-o", "o.yml"]);
    insta::assert_snapshot!("left_out", stable(&output.stderr));
    let only_s = ["export", "--org", "o", "--space", "s", "-o", "s.yml"];
    let output = run_successfully(&mock, &place, &only_s);
    insta::assert_snapshot!("left_out_of_space", stable(&output.stderr));
    let text = std::fs::read_to_string(place.dir.path().join("s.yml")).unwrap();
    let comments = text
        .lines()
        .filter(|line| line.starts_with("# Not exported: "));
    let warnings = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning: "));
    assert_eq!(comments.count(), warnings.count());
    let routes = async || {
        let routes = curl(&mock, "GET", "/v3/routes", Value::Null).await;
        let routes = routes["resources"].as_array().unwrap().iter();
        let routes = routes.map(|it| json!([it["url"], it["destinations"]]).to_string());
        routes.collect::<std::collections::BTreeSet<_>>()
    };
    let before = routes().await;
    run_successfully(&mock, &place, &["apply", "-f", "s.yml", "--adopt"]);
    assert_eq!(routes().await, before);
    let flags = ["plan", "-f", "s.yml", "--detailed-exitcode"];
    run_successfully(&mock, &place, &flags);
}

#[tokio::test]
async fn an_export_can_be_piped_into_apply() {
    let seed = "
orgs: [{name: o, spaces: [{name: s, apps: [{name: web, env: {A: '{{i}} ((((x))))', ZIP: '089', RATE: '1e5'}}]}]}]
";
    let (mock, place) = (world(seed).await, Place::new());
    let text = run_successfully(&mock, &place, &["export", "--org", "o"]).stdout;
    let mut command = cf_pusher(place.dir.path());
    command
        .args(["apply", "-f", "-", "--adopt"])
        .env("CF_API", mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin")
        .write_stdin(text);
    let output = place.run(command, &mock);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let web = mock.app("web").unwrap();
    assert_eq!((web.started, web.running), (true, 1));
    // Ruby writes these texts without quotes.
    assert_eq!(web.environment["ZIP"], "089");
    assert_eq!(web.environment["RATE"], "1e5");
}

#[tokio::test]
async fn the_outcome_is_shown_as_json() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let flags = ["export", "--org", "o", "--bits", "bits", "--format", "json"];
    let output = run_successfully(&mock, &place, &flags);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(json["text"].as_str().unwrap().contains("- name: web"));
    assert_eq!(json["file"], Value::Null);
    assert_eq!(json["variables"].as_array().unwrap().len(), 5);
    assert_eq!(json["droplets"][0], "bits/s-web.tgz");
    assert!(json["run"]["requests"].as_u64().unwrap() > 10);
}

#[tokio::test]
async fn invalid_arguments_are_explained() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let mistakes: &[&[&str]] = &[
        &["export", "--org", "nope"],
        &["export", "--org", "o", "--space", "nope"],
        &["export", "--org", "o", "--as-seed", "--bits", "bits"],
        &["export", "--org", "o", "-o", "no/such/folder.yml"],
    ];
    let lines = mistakes.iter().map(|flags| {
        let output = run(&mock, &place, flags);
        format!(
            "{} ({})\n{}",
            flags.join(" "),
            output.code,
            stable(&output.stderr)
        )
    });
    insta::assert_snapshot!("mistakes", lines.collect::<Vec<_>>().join("\n"));
}

/// If the same file fills a mock and a foundation, their exports are equal, because
/// exports leave out cf-pusher's own labels and annotations.
#[tokio::test]
async fn one_file_creates_the_same_resources_on_a_fake_and_a_foundation() {
    let place = Place::new();
    let spec = std::fs::read_to_string(SEED).unwrap();
    place.file("shop.yml", &spec);
    let seeded = seeded(Path::new(SEED)).await;
    let applied = MockCapi::builder().start().await.unwrap();
    run_successfully(&applied, &place, &["apply", "-f", "shop.yml"]);
    let export = ["export", "--org", "shop", "--as-seed"];
    let (one, other) = (
        run_successfully(&seeded, &place, &export).stdout,
        run_successfully(&applied, &place, &export).stdout,
    );
    assert_eq!(one, other);
}
/// The steps from an unmanaged org to a spec.
#[rstest]
#[case::with_bits("with_bits", &["--bits", "bits"])]
#[case::without_bits("without_bits", &[])]
#[tokio::test]
async fn an_exported_org_is_adopted_and_then_up_to_date(#[case] name: &str, #[case] bits: &[&str]) {
    let (mock, place) = (seeded(Path::new(SEED)).await, Place::new());
    // Another org uses the same quota, and its space the same security group.
    let space = mock.org("other").space("own").guid();
    let group = curl(
        &mock,
        "GET",
        "/v3/security_groups?names=shop-db",
        Value::Null,
    )
    .await;
    let group = group["resources"][0]["guid"].as_str().unwrap().to_owned();
    let path = format!("/v3/security_groups/{group}/relationships/running_spaces");
    curl(&mock, "POST", &path, json!({"data": [{"guid": space}]})).await;
    let export = ["export", "--org", "shop", "-o", "shop.yml"];
    run_successfully(&mock, &place, &[&export[..], bits].concat());
    let variables = place.file(
        "vars.yml",
        "prod-db-credentials_uri: postgres://shop:secret@db/shop\nprod-web-API_TOKEN: made-up\n",
    );
    let variables = variables.to_str().unwrap();
    let plan = run_successfully(
        &mock,
        &place,
        &["plan", "-f", "shop.yml", "--vars-file", variables],
    );
    insta::assert_snapshot!(format!("adopting_plan_{name}"), stable(&plan.stdout));
    mock.forget_requests();
    let apply = [
        "apply",
        "-f",
        "shop.yml",
        "--vars-file",
        variables,
        "--adopt",
    ];
    run_successfully(&mock, &place, &apply);
    let is_write = |it: &&mock_capi::RecordedRequest| {
        it.method != "GET" && !it.path.ends_with("/token") && !it.path.ends_with("/manifest_diff")
    };
    // Apps are labelled by a manifest, all other resources by their metadata.
    for write in mock.requests().iter().filter(is_write) {
        let changed = write.json().unwrap();
        let changed: Vec<&String> = changed.as_object().unwrap().keys().collect();
        let is_manifest = write.path.ends_with("/actions/apply_manifest");
        assert!(is_manifest || changed == ["metadata"], "{}", write.path);
    }
    let again = run_successfully(
        &mock,
        &place,
        &[
            "plan",
            "-f",
            "shop.yml",
            "--vars-file",
            variables,
            "--detailed-exitcode",
        ],
    );
    insta::assert_snapshot!(format!("adopted_plan_{name}"), stable(&again.stdout));
    // Resources that other orgs use as well are not adopted again.
    run_successfully(&mock, &place, &apply[..apply.len() - 1]);
    run_successfully(
        &mock,
        &place,
        &["verify", "-f", "shop.yml", "--vars-file", variables],
    );
    let apps = mock.apps().into_iter().filter(|app| app.org == "shop");
    assert!(
        apps.map(|app| (app.started, app.running))
            .all(|it| it.0 && it.1 > 0)
    );
}

/// An app whose bits are not in the spec is created stopped, keeps its state, and is
/// restarted by a change; without `ignore_changes`, it is stopped.
#[tokio::test]
async fn an_app_without_bits_keeps_its_state_and_its_droplet() {
    let (mock, place) = (seeded(Path::new(SEED)).await, Place::new());
    let export = [
        "export", "--org", "shop", "--space", "test", "-o", "shop.yml",
    ];
    run_successfully(&mock, &place, &export);
    let apply = ["apply", "-f", "shop.yml"];
    run_successfully(&mock, &place, &[&apply[..], &["--adopt"]].concat());
    let text = std::fs::read_to_string(place.dir.path().join("shop.yml")).unwrap();
    let changed = text.replace("memory: 32M", "env: {COLOR: green}\n      memory: 32M");
    assert_ne!(changed, text);
    place.file("shop.yml", &changed);
    mock.forget_requests();
    run_successfully(&mock, &place, &apply);
    let actions = mock.requests();
    let actions = actions
        .iter()
        .filter_map(|it| it.path.rsplit_once("/actions/"));
    let actions: Vec<&str> = actions.map(|(_, action)| action).collect();
    assert_eq!(actions, ["apply_manifest", "restart"]);
    let app = |mock: &MockCapi| {
        let mut apps = mock.apps().into_iter();
        apps.find(|app| (app.space.as_str(), app.name.as_str()) == ("test", "web"))
            .unwrap()
    };
    assert_eq!((app(&mock).started, app(&mock).running), (true, 1));
    // A stopped app stays stopped.
    let path = format!("/v3/apps/{}/actions/stop", app(&mock).guid);
    curl(&mock, "POST", &path, Value::Null).await;
    place.file("shop.yml", &text);
    run_successfully(&mock, &place, &apply);
    assert!(!app(&mock).started);
    // Without `ignore_changes`, the app is stopped.
    let path = format!("/v3/apps/{}/actions/start", app(&mock).guid);
    curl(&mock, "POST", &path, Value::Null).await;
    let stopped = text.replace("      ignore_changes:\n      - state\n", "");
    assert_ne!(stopped, text);
    place.file("shop.yml", &stopped);
    run_successfully(&mock, &place, &apply);
    assert!(!app(&mock).started);
    // On another foundation, the app is created stopped.
    let empty = MockCapi::builder().start().await.unwrap();
    place.file("shop.yml", &text);
    run_successfully(&empty, &place, &apply);
    let created = app(&empty);
    assert_eq!((created.started, created.droplet), (false, None));
}

/// A spec declares TCP routes by domain and port. Domains of router groups must exist.
#[tokio::test]
async fn tcp_routes_are_applied_and_exported() {
    let builder = MockCapi::builder().router_group("default-tcp", 1024..=1123);
    let (mock, place) = (builder.start().await.unwrap(), Place::new());
    let groups = curl(&mock, "GET", "/routing/v1/router_groups", Value::Null).await;
    let domain = json!({"name": "tcp.mock.test", "router_group": {"guid": groups[0]["guid"]}});
    curl(&mock, "POST", "/v3/domains", domain).await;
    let spec = "
version: 1
name: o
orgs:
- name: o
  spaces:
  - name: s
    apps:
    - name: web
      bundled: proxy
      routes: [{route: 'tcp.mock.test:1024'}, {route: web.apps.mock.test}]
";
    place.file("me.yml", spec);
    run_successfully(&mock, &place, &["apply", "-f", "me.yml"]);
    let plan = ["plan", "-f", "me.yml", "--detailed-exitcode"];
    run_successfully(&mock, &place, &plan);
    run_successfully(&mock, &place, &["export", "--org", "o", "-o", "o.yml"]);
    let text = std::fs::read_to_string(place.dir.path().join("o.yml")).unwrap();
    let tcp = "      - route: tcp.mock.test:1024\n        protocol: tcp\n";
    assert!(text.contains(tcp), "{text}");
    run_successfully(&mock, &place, &["apply", "-f", "o.yml", "--adopt"]);
    let routes = curl(&mock, "GET", "/v3/routes", Value::Null).await;
    assert_eq!(routes["pagination"]["total_results"], 2);
    // A seed file cannot declare TCP domains.
    let seed = ["export", "--org", "o", "--as-seed", "-o", "seed.yml"];
    let output = run_successfully(&mock, &place, &seed);
    insta::assert_snapshot!(stable(&output.stderr), @"warning: not exported: the route tcp.mock.test:1024 of the app web in the space s: a seed has no domains of TCP routes");
    seeded(&place.dir.path().join("seed.yml")).await;
}

/// Copied droplets of Docker images have no package, so the Cloud Controller's manifest
/// of such an app has no image.
#[tokio::test]
async fn copies_of_images_are_exported_and_adopted() {
    let seed = "
feature_flags: {diego_docker: true}
orgs:
- name: o
  spaces:
  - name: s
    apps:
    - {name: private, no-route: true, docker: {image: registry.test/private, username: robot}}
    - {name: public, no-route: true, docker: {image: registry.test/public}}
";
    let (mock, place) = (world(seed).await, Place::new());
    for (app, copy) in [
        ("private", "private-copy"),
        ("public", "copy"),
        ("copy", "again"),
    ] {
        let clone = ["clone", app, copy, "--from-org", "o", "--from-space", "s"];
        run_successfully(&mock, &place, &clone);
    }
    // An app with an image that is not staged, and one without an image.
    let space = curl(&mock, "GET", "/v3/spaces?names=s", Value::Null).await;
    let space = space["resources"][0]["guid"].clone();
    let mut unstaged = Vec::new();
    for name in ["unstaged", "unfinished"] {
        let app = json!({
            "name": name,
            "lifecycle": {"type": "docker", "data": {}},
            "relationships": {"space": {"data": {"guid": space}}},
        });
        unstaged.push(curl(&mock, "POST", "/v3/apps", app).await["guid"].clone());
    }
    let package = json!({
        "type": "docker",
        "relationships": {"app": {"data": {"guid": unstaged[0]}}},
        "data": {"image": "registry.test/unstaged", "username": "you", "password": "pw"},
    });
    curl(&mock, "POST", "/v3/packages", package).await;

    let export = ["export", "--org", "o", "-o", "o.yml"];
    let output = run_successfully(&mock, &place, &export);
    insta::assert_snapshot!(stable(&output.stderr), @r"
    warning: not exported: the app unfinished, which has no Docker image yet
    variables to set: private-docker_password, unstaged-docker_password
    ");
    let text = std::fs::read_to_string(place.dir.path().join("o.yml")).unwrap();
    let shown = [
        "- name:",
        "image:",
        "username:",
        "password:",
        "state:",
        "# ",
    ];
    let is_shown = |line: &&str| shown.iter().any(|key| line.trim_start().starts_with(key));
    let lines: Vec<&str> = text
        .lines()
        .skip(1)
        .filter(is_shown)
        .map(str::trim)
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    # Not exported: the app unfinished, which has no Docker image yet.
    - name: o
    - name: s
    - name: again
    image: registry.test/public
    - name: copy
    image: registry.test/public
    - name: private
    image: registry.test/private
    username: robot
    password: ((private-docker_password))
    - name: private-copy
    image: registry.test/private
    - name: public
    image: registry.test/public
    - name: unstaged
    state: stopped
    image: registry.test/unstaged
    username: you
    password: ((unstaged-docker_password))
    # Variables, to be set with --var or in a --vars-file:
    # private-docker_password: # docker_password of the app private
    # unstaged-docker_password: # docker_password of the app unstaged
    ");
    let path = format!("/v3/apps/{}", unstaged[1].as_str().unwrap());
    curl(&mock, "DELETE", &path, Value::Null).await;
    run_successfully(&mock, &place, &[&export[..], &["--force"]].concat());
    let password = [
        "-f",
        "o.yml",
        "--var",
        "private-docker_password=made-up",
        "--var",
        "unstaged-docker_password=made-up",
    ];
    mock.forget_requests();
    run_successfully(
        &mock,
        &place,
        &[&["apply"], &password[..], &["--adopt"]].concat(),
    );
    // Nothing is staged or copied again, and no app is restarted.
    let is_write = |it: &&mock_capi::RecordedRequest| {
        it.method != "GET" && !it.path.ends_with("/token") && !it.path.ends_with("/manifest_diff")
    };
    for write in mock.requests().iter().filter(is_write) {
        let changed = write.json().unwrap();
        let changed: Vec<&String> = changed.as_object().unwrap().keys().collect();
        let is_manifest = write.path.ends_with("/actions/apply_manifest");
        assert!(is_manifest || changed == ["metadata"], "{}", write.path);
    }
    let plan = [&["plan"], &password[..], &["--detailed-exitcode"]].concat();
    run_successfully(&mock, &place, &plan);
    let unstaged = mock.app("unstaged").unwrap();
    assert_eq!((unstaged.started, unstaged.droplet), (false, None));
    // The spec rebuilds the apps on another foundation.
    let flag = "feature_flags: {diego_docker: true}";
    let empty = world(flag).await;
    run_successfully(&empty, &place, &[&["apply"], &password[..]].concat());
    let running = empty.apps().into_iter().filter(|app| app.running == 1);
    assert_eq!(running.count(), 5);
}

/// Secrets can be in any URL that the Cloud Controller shows.
#[tokio::test]
async fn urls_with_a_password_are_variables() {
    let seed = "
orgs:
- name: o
  metadata: {annotations: {source: 'https://me:hunter2@git.test/o.git'}}
  spaces:
  - name: s
    service_instances:
    - {name: logs, type: user-provided, syslog_drain_url: 'https://me:hunter2@logs.test', route_service_url: 'https://me:hunter2@proxy.test'}
    apps:
    - name: web
      no-route: true
      command: ./run --database postgres://me:hunter2@db.test
      buildpacks: ['https://me:hunter2@git.test/buildpack.git']
";
    let (mock, place) = (world(seed).await, Place::new());
    let export = ["export", "--org", "o", "-o", "o.yml"];
    let output = run_successfully(&mock, &place, &export);
    insta::assert_snapshot!(stable(&output.stderr), @"variables to set: logs-route_service_url, logs-syslog_drain_url, o-annotations_source, web-buildpacks_0, web-processes_0_command");
    let text = std::fs::read_to_string(place.dir.path().join("o.yml")).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    place.file(
        "vars.yml",
        "logs-syslog_drain_url: https://me:hunter2@logs.test\nlogs-route_service_url: https://me:hunter2@proxy.test\nweb-buildpacks_0: https://me:hunter2@git.test/buildpack.git\nweb-processes_0_command: ./run --database postgres://me:hunter2@db.test\no-annotations_source: https://me:hunter2@git.test/o.git\n",
    );
    let spec = ["-f", "o.yml", "--vars-file", "vars.yml"];
    run_successfully(
        &mock,
        &place,
        &[&["apply"], &spec[..], &["--adopt"]].concat(),
    );
    let plan = [&["plan"], &spec[..], &["--detailed-exitcode"]].concat();
    run_successfully(&mock, &place, &plan);
    let seed = ["export", "--org", "o", "--as-seed"];
    let seed = run_successfully(&mock, &place, &seed).stdout;
    assert!(!seed.contains("hunter2"), "{seed}");
    assert!(seed.contains("https://git.test/buildpack.git"), "{seed}");
}

/// An app can be rolled back to the droplets of earlier pushes.
#[rstest]
#[case::with_bits(&["--bits", "bits"])]
#[case::without_bits(&[])]
#[tokio::test]
async fn an_adopted_app_keeps_its_earlier_packages_and_droplets(#[case] bits: &[&str]) {
    let seed = "
feature_flags: {diego_docker: true}
orgs: [{name: o, spaces: [{name: s}]}]
";
    let (mock, place) = (world(seed).await, Place::new());
    let bits_of_web = place.dir.path().join("web");
    std::fs::create_dir(&bits_of_web).unwrap();
    let path = bits_of_web.to_str().unwrap();
    for version in ["1", "2"] {
        std::fs::write(bits_of_web.join("version"), version).unwrap();
        let image = format!("registry.test/image:{version}");
        let space = ["--org", "o", "--space", "s", "--no-route"];
        run_successfully(
            &mock,
            &place,
            &[&["push", "web", "-p", path], &space[..]].concat(),
        );
        let push = ["push", "image", "--docker-image", &image];
        run_successfully(&mock, &place, &[&push[..], &space].concat());
    }
    let kept = async || {
        let droplets = curl(&mock, "GET", "/v3/droplets", Value::Null).await;
        let packages = curl(&mock, "GET", "/v3/packages", Value::Null).await;
        [droplets, packages].map(|list| list["pagination"]["total_results"].clone())
    };
    assert_eq!(kept().await, [json!(4), json!(4)]);
    let export = ["export", "--org", "o", "-o", "o.yml"];
    run_successfully(&mock, &place, &[&export[..], bits].concat());
    let file = place.dir.path().join("o.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    let marks = text.matches("- droplets\n").count();
    assert_eq!(marks, if bits.is_empty() { 1 } else { 2 }, "{text}");
    run_successfully(&mock, &place, &["apply", "-f", "o.yml", "--adopt"]);
    assert_eq!(kept().await, [json!(4), json!(4)]);
    let plan = ["plan", "-f", "o.yml", "--detailed-exitcode"];
    run_successfully(&mock, &place, &plan);
    // Another image is deployed.
    place.file("o.yml", &text.replace("image:2", "image:3"));
    run_successfully(&mock, &place, &["apply", "-f", "o.yml"]);
    run_successfully(&mock, &place, &plan);
    assert_eq!(kept().await, [json!(5), json!(5)]);
}

#[tokio::test]
async fn an_export_with_bits_rebuilds_the_apps_on_an_empty_foundation() {
    let (mock, place) = (seeded(Path::new(SEED)).await, Place::new());
    let flags = [
        "export", "--org", "shop", "--bits", "bits", "-o", "shop.yml",
    ];
    run_successfully(&mock, &place, &flags);
    place.file(
        "vars.yml",
        "prod-db-credentials_uri: postgres://shop:secret@db/shop\nprod-web-API_TOKEN: made-up\n",
    );
    let empty = MockCapi::builder().start().await.unwrap();
    run_successfully(
        &empty,
        &place,
        &["apply", "-f", "shop.yml", "--vars-file", "vars.yml"],
    );
    let export = ["export", "--org", "shop", "--as-seed"];
    assert_eq!(
        run_successfully(&empty, &place, &export).stdout,
        run_successfully(&mock, &place, &export).stdout
    );
    let mut apps = empty.apps().into_iter();
    let web = apps.find(|app| app.name == "web" && app.space == "prod");
    let web = web.unwrap();
    assert_eq!((web.started, web.running), (true, 2));
    let org = curl(&empty, "GET", "/v3/organizations?names=shop", json!(null)).await;
    assert_eq!(org["resources"][0]["metadata"]["labels"]["team"], "shop");
}

//! `export`: the spec of what exists, seeds, droplets, and what is not written.

use std::path::Path;

use crate::support::command::{Place, Said, cf_pusher, stable};
use crate::support::{connect, curl};
use cf_pusher::export::Exporter;
use mock_capi::{CloudController, MockCapi};
use serde_json::{Value, json};

/// A spec that is also a seed.
const SEED: &str = "fixtures/specs/seed.yml";

/// A world in which everything exists that an export can write.
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

fn run(mock: &CloudController, place: &Place, args: &[&str]) -> Said {
    let mut command = cf_pusher(place.dir.path());
    command
        .current_dir(place.dir.path())
        .args(args)
        .env("CF_API", mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin");
    place.said(command, mock)
}

/// Runs a command that must succeed.
fn well(mock: &CloudController, place: &Place, args: &[&str]) -> Said {
    let said = run(mock, place, args);
    assert_eq!(said.code, 0, "{args:?}\n{}{}", said.out, said.err);
    said
}

#[tokio::test]
async fn everything_in_an_org_is_written() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let said = well(&mock, &place, &["export", "--org", "o"]);
    insta::assert_snapshot!("whole_org", said.out);
    insta::assert_snapshot!("whole_org_err", stable(&said.err));
    assert!(!said.out.contains("hunter2"), "{}", said.out);
    let again = well(&mock, &place, &["export", "--org", "o"]);
    assert_eq!(again.out, said.out, "the same world gives the same text");
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
    let said = well(&mock, &place, &flags);
    assert_eq!(said.out, "wrote t.yml\n");
    let text = std::fs::read_to_string(place.dir.path().join("t.yml")).unwrap();
    insta::assert_snapshot!("one_space", text);
}

/// Lists cost the same however many apps there are; each app costs its manifest.
#[tokio::test]
async fn an_export_costs_a_request_for_each_app_and_few_others() {
    let mut seed = "orgs: [{name: o, spaces: [{name: s, apps: [".to_owned();
    for i in 0..40 {
        seed += &format!("{{name: app-{i}}}, ");
    }
    let mock = world(&format!("{seed}]}}]}}]")).await;
    let client = connect(&mock, []).await;
    mock.forget_requests();
    let export = Exporter::new(client, "o").run().await.unwrap();
    assert_eq!(export.text.matches("- name: app-").count(), 40);
    let requests = mock.requests();
    assert!(requests.len() <= 40 + 20, "{}", requests.len());
    assert!(requests.iter().all(|it| it.method == "GET"));
}

#[tokio::test]
async fn a_seed_is_a_copy_of_the_world() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let flags = ["export", "--org", "o", "--as-seed", "-o", "seed.yml"];
    well(&mock, &place, &flags);
    let text = std::fs::read_to_string(place.dir.path().join("seed.yml")).unwrap();
    insta::assert_snapshot!("seed", text);
    let copy = seeded(&place.dir.path().join("seed.yml")).await;
    let again = well(&copy, &place, &["export", "--org", "o", "--as-seed"]);
    assert_eq!(again.out, text);
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
    well(&mock, &place, &flags);
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

/// The blobstore of a foundation is another server.
#[tokio::test]
async fn a_redirect_to_a_blobstore_is_followed_without_the_token() {
    use mock_capi::wiremock::matchers::{any, method, path_regex};
    use mock_capi::wiremock::{Mock, MockServer, ResponseTemplate};

    let (mock, place) = (world(WHOLE).await, Place::new());
    let blobstore = MockServer::start().await;
    let blob = ResponseTemplate::new(200).set_body_bytes("a droplet");
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
    well(&mock, &place, &flags);
    let file = std::fs::read_to_string(place.dir.path().join("bits/s-web.tgz"));
    assert_eq!(file.unwrap(), "a droplet");
    for request in blobstore.received_requests().await.unwrap() {
        assert!(
            !request.headers.contains_key("authorization"),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn mistakes_are_explained() {
    let (mock, place) = (world(WHOLE).await, Place::new());
    let mistakes: &[&[&str]] = &[
        &["export", "--org", "nope"],
        &["export", "--org", "o", "--space", "nope"],
        &["export", "--org", "o", "--as-seed", "--bits", "bits"],
        &["export", "--org", "o", "-o", "no/such/folder.yml"],
    ];
    let lines = mistakes.iter().map(|flags| {
        let said = run(&mock, &place, flags);
        format!("{} ({})\n{}", flags.join(" "), said.code, stable(&said.err))
    });
    insta::assert_snapshot!("mistakes", lines.collect::<Vec<_>>().join("\n"));
}

/// A fake and a foundation that one file filled differ in nothing that an export shows
/// but cf-pusher's own marks, which it does not show.
#[tokio::test]
async fn one_file_fills_a_fake_and_a_foundation_alike() {
    let place = Place::new();
    let spec = std::fs::read_to_string(SEED).unwrap();
    place.file("shop.yml", &spec);
    let seeded = seeded(Path::new(SEED)).await;
    let applied = MockCapi::builder().start().await.unwrap();
    well(&applied, &place, &["apply", "-f", "shop.yml"]);
    let export = ["export", "--org", "shop", "--as-seed"];
    let (one, other) = (
        well(&seeded, &place, &export).out,
        well(&applied, &place, &export).out,
    );
    assert_eq!(one, other);
}
/// How one goes from clicking to declaring.
#[tokio::test]
async fn an_exported_org_is_adopted_and_then_up_to_date() {
    let (mock, place) = (seeded(Path::new(SEED)).await, Place::new());
    // Another org has the same quota, and its space the same security group.
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
    well(
        &mock,
        &place,
        &[
            "export", "--org", "shop", "--bits", "bits", "-o", "shop.yml",
        ],
    );
    let variables = place.file(
        "vars.yml",
        "prod-db-credentials_uri: postgres://shop:secret@db/shop\nprod-web-API_TOKEN: made-up\n",
    );
    let variables = variables.to_str().unwrap();
    let plan = well(
        &mock,
        &place,
        &["plan", "-f", "shop.yml", "--vars-file", variables],
    );
    insta::assert_snapshot!("adopting_plan", stable(&plan.out));
    mock.forget_requests();
    let apply = [
        "apply",
        "-f",
        "shop.yml",
        "--vars-file",
        variables,
        "--adopt",
    ];
    well(&mock, &place, &apply);
    let is_write = |it: &&mock_capi::RecordedRequest| {
        it.method != "GET" && !it.path.ends_with("/token") && !it.path.ends_with("/manifest_diff")
    };
    // Apps are labelled by a manifest, everything else by its metadata.
    for write in mock.requests().iter().filter(is_write) {
        let changed = write.json().unwrap();
        let changed: Vec<&String> = changed.as_object().unwrap().keys().collect();
        let is_manifest = write.path.ends_with("/actions/apply_manifest");
        assert!(is_manifest || changed == ["metadata"], "{}", write.path);
    }
    let again = well(
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
    insta::assert_snapshot!("adopted_plan", stable(&again.out));
    // What others use too needs no adoption again.
    well(&mock, &place, &apply[..apply.len() - 1]);
}

#[tokio::test]
async fn an_export_with_bits_rebuilds_the_apps_on_an_empty_foundation() {
    let (mock, place) = (seeded(Path::new(SEED)).await, Place::new());
    let flags = [
        "export", "--org", "shop", "--bits", "bits", "-o", "shop.yml",
    ];
    well(&mock, &place, &flags);
    place.file(
        "vars.yml",
        "prod-db-credentials_uri: postgres://shop:secret@db/shop\nprod-web-API_TOKEN: made-up\n",
    );
    let empty = MockCapi::builder().start().await.unwrap();
    well(
        &empty,
        &place,
        &["apply", "-f", "shop.yml", "--vars-file", "vars.yml"],
    );
    let export = ["export", "--org", "shop", "--as-seed"];
    assert_eq!(
        well(&empty, &place, &export).out,
        well(&mock, &place, &export).out
    );
    let mut apps = empty.apps().into_iter();
    let web = apps.find(|app| app.name == "web" && app.space == "prod");
    let web = web.unwrap();
    assert_eq!((web.started, web.running), (true, 2));
    let org = curl(&empty, "GET", "/v3/organizations?names=shop", json!(null)).await;
    assert_eq!(org["resources"][0]["metadata"]["labels"]["team"], "shop");
}

//! `clone`: the properties of clones, the number of requests, and the state after runs
//! that are killed, rejected or disturbed.

use std::collections::BTreeSet;
use std::future::ready;
use std::time::Duration;

use crate::support::command::{CommandOutput, Place, cf_pusher, stable};
use crate::support::push::Push;
use crate::support::world::ResourceCounts;
use crate::support::{connect, curl, http, target};
use cf_pusher::clone::{CloneError, CloneOutcome, CloneResult, Cloner};
use cf_pusher::push::PushSpace;
use cf_pusher::{Client, Events, ManifestEntry};
use futures::{StreamExt, stream};
use mock_capi::{CloudController, Fault, MockCapi, MockCapiBuilder};
use rstest::rstest;
use serde_json::{Value, json};

/// An app with every possible property. Clones do not get its cf-pusher label and
/// annotation.
const SOURCE: &str = "
applications:
- name: web
  env: {COLOR: blue, NUMBER: '1'}
  services: [db]
  routes:
  - {route: web.apps.mock.test/api, protocol: http2}
  - {route: www.apps.mock.test}
  features: {ssh: false, revisions: false}
  metadata:
    labels: {team: x, managed-by: cf-pusher}
    annotations: {note: by hand, cf-pusher-prefix: scale-}
  processes:
  - type: web
    instances: 2
    memory: 64M
    disk_quota: 128M
    command: ./run
    log-rate-limit-per-second: 16K
    health-check-type: http
    health-check-http-endpoint: /health
    health-check-invocation-timeout: 3
    readiness-health-check-type: port
    timeout: 30
  - {type: worker, instances: 1, memory: 32M, command: ./work}
  sidecars:
  - {name: helper, command: ./help, process_types: [web], memory: 16M}
";

/// A foundation with the app `web` in the space `s` of the org `o`, and the spaces `s`
/// and `t` of the org `p`.
async fn foundation(builder: MockCapiBuilder) -> MockCapi {
    let mock = builder.record_requests().start().await.unwrap();
    fill(&mock).await;
    mock.forget_requests();
    mock
}

async fn fill(mock: &CloudController) {
    let space = mock.org("o").space("s");
    create_service(mock, &space.guid()).await;
    let app = space.app("web");
    apply(mock, &space.guid(), SOURCE).await;
    app.started();
    mock.org("p").space("s");
    mock.org("p").space("t");
}

async fn create_service(mock: &CloudController, space: &str) {
    let of_space = json!({"space": {"data": {"guid": space}}});
    let service = json!({"type": "user-provided", "name": "db", "relationships": of_space});
    curl(mock, "POST", "/v3/service_instances", service).await;
}

/// Applies a manifest.
async fn apply(mock: &CloudController, space: &str, manifest: &str) {
    let token = mock.token("admin").unwrap();
    let path = format!("/v3/spaces/{space}/actions/apply_manifest");
    let answer = http()
        .post(format!("{}{path}", mock.uri()))
        .bearer_auth(&token)
        .header("content-type", "application/x-yaml")
        .body(manifest.to_owned())
        .send();
    let answer = answer.await.unwrap();
    let job = answer.headers()["location"].to_str().unwrap();
    let job = http().get(job).bearer_auth(&token);
    let job: Value = job.send().await.unwrap().json().await.unwrap();
    assert_eq!(job["state"], "COMPLETE", "{job}");
}

async fn cloner(mock: &CloudController, new: &str) -> Cloner {
    let client = connect(mock, []).await;
    Cloner::new(client, PushSpace::named("o", "s"), "web", new)
}

async fn clone(mock: &CloudController, new: &str, count: u32) -> CloneOutcome {
    let outcome = cloner(mock, new).await.count(count).run().await.unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    outcome
}

/// Runs `clone` with these flags.
fn run_clone(mock: &CloudController, flags: &[&str]) -> CommandOutput {
    let place = Place::new();
    let mut command = cf_pusher(place.dir.path());
    command
        .arg("clone")
        .args(flags)
        .env("CF_API", mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin")
        .env("CF_ORG", "o")
        .env("CF_SPACE", "s");
    place.run(command, mock)
}

/// The manifest of an app, as the Cloud Controller returns it.
async fn manifest_of(mock: &CloudController, name: &str) -> String {
    let app = mock
        .apps()
        .into_iter()
        .rfind(|app| app.name == name)
        .unwrap();
    let token = mock.token("admin").unwrap();
    let url = format!("{}/v3/apps/{}/manifest", mock.uri(), app.guid);
    let request = http().get(url);
    let answer = request.bearer_auth(&token).send();
    answer.await.unwrap().text().await.unwrap()
}

/// The expected properties of a clone named `new`.
async fn properties(mock: &CloudController, name: &str) -> String {
    let entry = ManifestEntry::parse(&manifest_of(mock, name).await).unwrap();
    entry.to_string()
}

fn expected(source: &str, new: &str) -> String {
    let is_ours = |line: &&str| !line.contains("managed-by") && !line.contains("cf-pusher-prefix");
    let lines: Vec<&str> = source.lines().filter(is_ours).collect();
    let text = lines.join("\n") + "\n";
    text.replace("web.apps.mock.test", &format!("{new}.apps.mock.test"))
        .replace("www.apps.mock.test", &format!("{new}.apps.mock.test"))
}

/// The number of the mock's droplets by state.
fn droplets(mock: &CloudController) -> usize {
    mock.state()["droplets"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_clone_has_every_property_of_its_source() {
    let mock = foundation(MockCapi::builder()).await;
    let outcome = cloner(&mock, "copy").await.run().await.unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    let source = properties(&mock, "web").await;
    assert!(source.contains("cf-pusher-prefix"), "{source}");
    assert_eq!(
        ManifestEntry::parse(&expected(&source, "copy")).unwrap(),
        ManifestEntry::parse(&properties(&mock, "copy").await).unwrap(),
    );
    let copy = mock.app("copy").unwrap();
    assert_eq!((copy.started, copy.running), (true, 2));
    assert_eq!(
        copy.routes,
        ["copy.apps.mock.test", "copy.apps.mock.test/api"]
    );
    let clone = &outcome.apps[0];
    assert_eq!(clone.guid.as_deref(), Some(copy.guid.as_str()));
    assert_eq!(clone.urls, copy.routes);
    let kinds: Vec<&str> = clone
        .processes
        .iter()
        .map(|it| it.process_type.as_str())
        .collect();
    assert_eq!(kinds, ["web", "worker"]);
}

#[tokio::test]
async fn texts_like_numbers_and_variables_are_cloned_unchanged() {
    let mock = foundation(MockCapi::builder()).await;
    let variables = json!({"ZIP": "089", "RATE": "1e5", "MODE": "0o17", "TEXT": "((x)) {i}"});
    let path = format!(
        "/v3/apps/{}/environment_variables",
        mock.app("web").unwrap().guid
    );
    curl(&mock, "PATCH", &path, json!({ "var": variables })).await;
    clone(&mock, "copy", 1).await;
    let copy = mock.app("copy-0").unwrap();
    for (name, value) in variables.as_object().unwrap() {
        assert_eq!(json!(copy.environment[name]), *value, "{name}");
    }
}

#[tokio::test]
async fn clones_go_to_other_spaces_and_orgs() {
    let mock = foundation(MockCapi::builder()).await;
    let org = mock.org("p");
    create_service(&mock, &org.space("t").guid()).await;
    let to_other = cloner(&mock, "copy")
        .await
        .target(PushSpace::named("p", "t"));
    let outcome = to_other.count(2).run().await.unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    let places: BTreeSet<_> = mock
        .apps()
        .into_iter()
        .map(|app| format!("{}/{}/{}", app.org, app.space, app.name))
        .collect();
    assert_eq!(
        Vec::from_iter(places),
        ["o/s/web", "p/t/copy-0", "p/t/copy-1"]
    );
    assert_eq!(
        ManifestEntry::parse(&expected(&properties(&mock, "web").await, "copy-1")).unwrap(),
        ManifestEntry::parse(&properties(&mock, "copy-1").await).unwrap(),
    );
    let same_name = cloner(&mock, "web")
        .await
        .target(PushSpace::named("p", "s"));
    let same_name = same_name.no_services().no_routes().run().await.unwrap();
    assert!(same_name.is_success(), "{same_name:?}");
}

/// A manifest maps routes only to the default port of the web process.
#[tokio::test]
async fn routes_of_clones_lead_to_the_ports_and_processes_of_their_source() {
    let mock = foundation(MockCapi::builder()).await;
    let of = async |name: &str| -> Vec<(String, Value)> {
        let guid = mock.app(name).unwrap().guid;
        let path = format!("/v3/apps/{guid}/routes");
        let routes = curl(&mock, "GET", &path, Value::Null).await;
        let routes = routes["resources"].as_array().unwrap().iter();
        let routes = routes.map(|route| {
            let destinations = route["destinations"].as_array().unwrap().iter();
            let destinations = destinations
                .map(|it| json!([it["app"]["process"]["type"], it["port"], it["protocol"]]));
            let mut destinations: Vec<Value> = destinations.collect();
            destinations.sort_by_key(Value::to_string);
            let guid = route["guid"].as_str().unwrap().to_owned();
            (guid, json!([route["url"], destinations]))
        });
        routes.collect()
    };
    let source = mock.app("web").unwrap().guid;
    let routes = of("web").await;
    let (www, _) = routes
        .iter()
        .find(|(_, it)| it[0] == "www.apps.mock.test")
        .unwrap();
    let destinations = json!({"destinations": [
        {"app": {"guid": source, "process": {"type": "worker"}}, "port": 9000},
        {"app": {"guid": source}},
    ]});
    let path = format!("/v3/routes/{www}/destinations");
    curl(&mock, "PATCH", &path, destinations).await;
    clone(&mock, "copy", 2).await;
    for name in ["copy-0", "copy-1"] {
        let of_clone: Vec<Value> = of(name).await.into_iter().map(|(_, it)| it).collect();
        let expected = [
            json!([
                format!("{name}.apps.mock.test/api"),
                [["web", 8080, "http2"]]
            ]),
            json!([
                format!("{name}.apps.mock.test"),
                [["web", 8080, "http1"], ["worker", 9000, "http1"]]
            ]),
        ];
        for route in &expected {
            assert!(of_clone.contains(route), "{route} {of_clone:#?}");
        }
        assert_eq!(of_clone.len(), 2);
    }
}

/// A foundation with the TCP domain `tcp.mock.test`, and an app `web` with two TCP
/// routes, one of which leads to a port other than the default.
async fn tcp_foundation() -> MockCapi {
    let builder = MockCapi::builder().router_group("default-tcp", 1024..=1123);
    let mock = builder.record_requests().start().await.unwrap();
    let groups = curl(&mock, "GET", "/routing/v1/router_groups", Value::Null).await;
    let domain = json!({"name": "tcp.mock.test", "router_group": {"guid": groups[0]["guid"]}});
    let domain = curl(&mock, "POST", "/v3/domains", domain).await["guid"].clone();
    let space = mock.org("o").space("s");
    let web = space.app("web");
    web.started();
    let manifest = "applications: [{name: web, routes: [{route: 'tcp.mock.test:1024'}]}]";
    apply(&mock, &space.guid(), manifest).await;
    let web = mock.app("web").unwrap().guid;
    let other = json!({"port": 1025, "relationships": {
        "space": {"data": {"guid": space.guid()}}, "domain": {"data": {"guid": domain}},
    }});
    let other = curl(&mock, "POST", "/v3/routes", other).await["guid"].clone();
    let path = format!("/v3/routes/{}/destinations", other.as_str().unwrap());
    let destination = json!({"destinations": [{"app": {"guid": web}, "port": 9000}]});
    curl(&mock, "PATCH", &path, destination).await;
    mock
}

/// The ports of an app's TCP routes and the ports that they lead to, sorted by the
/// latter.
async fn tcp_routes(mock: &CloudController, app: &str) -> Vec<(u64, u64)> {
    let path = format!("/v3/apps/{}/routes", mock.app(app).unwrap().guid);
    let routes = curl(mock, "GET", &path, Value::Null).await;
    let routes = routes["resources"].as_array().unwrap().iter();
    let routes = routes.map(|route| {
        let destinations = route["destinations"].as_array().unwrap();
        assert_eq!(destinations.len(), 1, "{route}");
        assert_eq!(destinations[0]["protocol"], "tcp");
        let port = destinations[0]["port"].as_u64().unwrap();
        (route["port"].as_u64().unwrap(), port)
    });
    let mut routes: Vec<(u64, u64)> = routes.collect();
    routes.sort_by_key(|(_, leads_to)| *leads_to);
    routes
}

#[tokio::test]
async fn clones_get_tcp_routes_with_their_own_ports() {
    let mock = tcp_foundation().await;
    assert_eq!(tcp_routes(&mock, "web").await, [(1024, 8080), (1025, 9000)]);
    let outcome = clone(&mock, "copy", 3).await;
    assert_eq!(outcome.apps[0].urls.len(), 2);
    let mut ports = BTreeSet::from([1024, 1025]);
    for name in ["copy-0", "copy-1", "copy-2"] {
        let routes = tcp_routes(&mock, name).await;
        let leads_to: Vec<u64> = routes.iter().map(|(_, port)| *port).collect();
        assert_eq!(leads_to, [8080, 9000]);
        ports.extend(routes.iter().map(|(port, _)| *port));
    }
    assert_eq!(ports.len(), 8, "{ports:?}");
    let none = cloner(&mock, "none").await.no_routes().run().await.unwrap();
    assert!(none.is_success(), "{none:?}");
    assert!(tcp_routes(&mock, "none").await.is_empty());
}

/// The next run uses a route that was created but not mapped.
#[rstest]
#[case::lost_response(Fault::drop_after("POST", "/v3/routes"))]
#[case::refused_destination(Fault::answer("PATCH", "/v3/routes/:guid/destinations", 422))]
#[tokio::test]
async fn failed_runs_leave_no_ports_reserved(#[case] fault: Fault) {
    for nth in 1..=4 {
        let mock = tcp_foundation().await;
        mock.set_faults(vec![fault.clone().nth(nth)]).unwrap();
        let failed = cloner(&mock, "copy").await.count(2).run().await.unwrap();
        assert_eq!(failed.count(CloneResult::Failed), 1, "{nth}: {failed:?}");
        mock.set_faults(Vec::new()).unwrap();
        clone(&mock, "copy", 2).await;
        let routes = curl(&mock, "GET", "/v3/routes", Value::Null).await;
        let routes = routes["resources"].as_array().unwrap().clone();
        assert_eq!(routes.len(), 6, "{nth}");
        assert!(routes.iter().all(|it| it["destinations"] != json!([])));
    }
}

#[tokio::test]
async fn flags_exclude_parts_of_the_source() {
    let mock = foundation(MockCapi::builder()).await;
    let flags = ["--no-start", "--no-routes", "--no-services", "-i", "5"];
    let output = run_clone(
        &mock,
        &[&["web", "load-{i}-test", "--count", "2"], &flags[..]].concat(),
    );
    assert_eq!(output.code, 0, "{}", output.stderr);
    insta::assert_snapshot!("clone_stopped", stable(&output.stdout));
    let app = mock.app("load-1-test").unwrap();
    assert_eq!((app.started, app.instances), (false, 5));
    assert!(app.droplet.is_some() && app.routes.is_empty(), "{app:?}");
    let manifest = manifest_of(&mock, "load-1-test").await;
    assert!(!manifest.contains("\n  services:"), "{manifest}");
}

/// Two requests for each clone, and a fixed number for all clones together, including the
/// polling of starting instances.
#[tokio::test]
async fn a_clone_costs_two_requests_and_a_share_of_the_batches() {
    let mock = foundation(MockCapi::builder()).await;
    clone(&mock, "one", 10).await;
    let ten = mock.requests().len();
    mock.forget_requests();
    clone(&mock, "other", 40).await;
    let forty: Vec<String> = mock
        .requests()
        .iter()
        .map(|request| stable(&format!("{} {}", request.method, request.path)))
        .collect();
    let count = |line: &str| forty.iter().filter(|it| *it == line).count();
    assert_eq!(count("POST /v3/droplets"), 40);
    assert_eq!(count("POST /v3/deployments"), 40);
    assert!(
        ten <= 10 * 2 + 30 && forty.len() <= 40 * 2 + 30,
        "{ten}, {forty:#?}"
    );
}

#[tokio::test]
async fn an_app_of_the_same_name_is_never_changed() {
    let mock = foundation(MockCapi::builder()).await;
    let before = ResourceCounts::of(&mock);
    let output = run_clone(&mock, &["web", "WEB"]);
    insta::assert_snapshot!(output.stderr, @"
    cloning web to space s in org o at http://api
    error: an app of this name exists in the target space: web
    help: choose another name, or delete these apps first
    ");
    assert_eq!(output.code, 1);
    clone(&mock, "copy", 2).await;
    let again = cloner(&mock, "copy").await.count(3).run().await;
    let Err(CloneError::Exists { names }) = again else {
        panic!("{again:?}");
    };
    assert_eq!(
        names,
        ["copy-0", "copy-1"],
        "finished clones are kept like any app"
    );
    assert_ne!(before, ResourceCounts::of(&mock));
    assert!(mock.app("copy-2").is_none());
}

#[tokio::test]
async fn a_taken_route_is_found_before_anything_is_created() {
    let mock = foundation(MockCapi::builder()).await;
    let other = mock.org("p").space("t").app("other");
    other.route("copy-1").unwrap().started();
    let before = ResourceCounts::of(&mock);
    let output = run_clone(&mock, &["web", "copy", "--count", "3"]);
    insta::assert_snapshot!(output.stderr, @"
    cloning web 3 times to space s in org o at http://api
    error: this route is taken: copy-1.apps.mock.test
    help: choose another name, or use --no-routes
    ");
    assert_eq!((output.code, ResourceCounts::of(&mock)), (1, before));
    assert!(
        mock.requests()
            .iter()
            .all(|it| it.method == "GET" || it.path.ends_with("/token"))
    );
}

#[tokio::test]
async fn invalid_arguments_are_explained() {
    let mock = foundation(MockCapi::builder()).await;
    let space = mock.org("o").space("s").guid();
    let bare = json!({"name": "bare", "relationships": {"space": {"data": {"guid": space}}}});
    curl(&mock, "POST", "/v3/apps", bare).await;
    let mistakes: &[&[&str]] = &[
        &["nope", "copy"],
        &["bare", "copy"],
        &["web", "not a host"],
        &["web", "copy", "-s", "t"],
        &["web", "copy", "-o", "p", "-s", "s"],
        &["web", "copy", "--count", "0"],
    ];
    let lines = mistakes.iter().map(|flags| {
        let output = run_clone(&mock, flags);
        format!("{}\n{}", flags.join(" "), stable(&output.stderr))
    });
    insta::assert_snapshot!("clone_mistakes", lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(mock.apps().len(), 2, "no clone is left");
}

/// The org's quota has room for the source and one running clone.
#[tokio::test]
async fn clones_that_a_quota_refuses_leave_nothing_behind() {
    let mock = foundation(MockCapi::builder()).await;
    let org = mock.org("o").guid();
    let quota = json!({
        "name": "small",
        "apps": {"total_memory_in_mb": 330},
        "relationships": {"organizations": {"data": [{"guid": org}]}},
    });
    curl(&mock, "POST", "/v3/organization_quotas", quota).await;
    let output = run_clone(
        &mock,
        &["web", "copy", "--count", "3", "--concurrency", "1"],
    );
    assert_eq!(output.code, 1, "{}", output.stderr);
    let help = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("help: "));
    assert_eq!(
        Vec::from_iter(BTreeSet::from_iter(help)),
        ["help: raise the limits of the quota, or declare fewer or smaller apps"]
    );
    let left: Vec<String> = mock.apps().into_iter().map(|app| app.name).collect();
    assert_eq!(left, ["web", "copy-0"], "{}", output.stderr);
    let routes = mock.state()["routes"].as_array().unwrap().len();
    assert_eq!(routes, 4, "two of each app");
}

/// If the org cannot have more apps, nothing is created.
#[tokio::test]
async fn a_refused_manifest_leaves_nothing_behind() {
    let mock = foundation(MockCapi::builder()).await;
    let before = ResourceCounts::of(&mock);
    let output = run_clone(
        &mock,
        &["web", "copy", "-o", "p", "-s", "t", "--count", "2"],
    );
    assert_eq!(output.code, 1);
    insta::assert_snapshot!("clone_without_service", stable(&output.stderr));
    assert_eq!(ResourceCounts::of(&mock), before);
}

#[tokio::test]
async fn foundations_without_deployments_start_clones_by_two_requests() {
    let mock = foundation(MockCapi::builder().disable_deployments()).await;
    clone(&mock, "copy", 3).await;
    let copy = mock.app("copy-2").unwrap();
    assert_eq!((copy.started, copy.running), (true, 2));
}

#[tokio::test]
async fn docker_apps_are_cloned_with_their_image() {
    let push = Push::new().await;
    let enabled = json!({"enabled": true});
    push.curl("PATCH", "/v3/feature_flags/diego_docker", enabled)
        .await;
    push.push_successfully(&["web", "--docker-image", "registry.example.com/web"]);
    let mock = &push.mock;
    clone(mock, "copy", 2).await;
    let droplets = push.list("/v3/droplets").await.into_iter();
    let images = droplets.filter(|it| it["image"] == "registry.example.com/web");
    assert_eq!(images.count(), 3);
    assert_eq!(mock.app("copy-1").unwrap().running, 1);
    // The manifest of a clone does not have the image.
    let manifest = manifest_of(mock, "copy-1").await;
    assert!(!manifest.contains("docker:"), "{manifest}");
    let client = connect(mock, []).await;
    let space = PushSpace::named("o", "s");
    let again = Cloner::new(client, space, "copy-1", "again").run().await;
    assert!(
        again.as_ref().is_ok_and(CloneOutcome::is_success),
        "{again:?}"
    );
    let app = push.app("again").await;
    assert_eq!(app["lifecycle"]["type"], "docker");
    let guid = app["guid"].as_str().unwrap();
    let path = format!("/v3/apps/{guid}/droplets/current");
    let droplet = push.curl("GET", &path, Value::Null).await;
    assert_eq!(droplet["image"], "registry.example.com/web");
    assert_eq!(mock.app("again").unwrap().running, 1);
}

/// Droplets of images cannot be distinguished by a checksum.
#[tokio::test]
async fn a_droplet_of_another_image_is_not_mistaken_for_a_copy() {
    let push = Push::new().await;
    let enabled = json!({"enabled": true});
    push.curl("PATCH", "/v3/feature_flags/diego_docker", enabled)
        .await;
    push.push_successfully(&["web", "--docker-image", "registry.example.com/web"]);
    push.push_successfully(&["other", "--docker-image", "registry.example.com/other"]);
    let source = push.app("web").await["guid"].clone();
    let clone_of = json!({
        "name": "copy",
        "lifecycle": {"type": "docker", "data": {}},
        "relationships": {"space": {"data": {"guid": push.space}}},
        "metadata": {"annotations": {"cf-pusher-clone-of": source}},
    });
    let unfinished = push.curl("POST", "/v3/apps", clone_of).await["guid"].clone();
    let other = push.app("other").await;
    let path = format!(
        "/v3/apps/{}/droplets/current",
        other["guid"].as_str().unwrap()
    );
    let droplet = push.curl("GET", &path, Value::Null).await;
    let path = format!(
        "/v3/droplets?source_guid={}",
        droplet["guid"].as_str().unwrap()
    );
    let of_app = json!({"relationships": {"app": {"data": {"guid": unfinished}}}});
    let copied = push.curl("POST", &path, of_app).await;
    assert_eq!(copied["image"], "registry.example.com/other");
    let outcome = cloner(&push.mock, "copy").await.run().await.unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    let path = format!("/v3/droplets?app_guids={}", unfinished.as_str().unwrap());
    let droplets = push.list(&path).await.into_iter();
    let images: Vec<Value> = droplets.map(|it| it["image"].clone()).collect();
    assert_eq!(images, [json!("registry.example.com/web")]);
}

#[tokio::test]
async fn the_outcome_is_shown_as_text_and_as_json() {
    let mock = foundation(MockCapi::builder()).await;
    let text = run_clone(&mock, &["web", "copy"]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    insta::assert_snapshot!("clone_out", stable(&text.stdout));
    insta::assert_snapshot!("clone_err", stable(&text.stderr));
    let json = run_clone(&mock, &["web", "other", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["apps"][0]["name"], "other");
    assert_eq!(json["apps"][0]["result"], "cloned");
    assert_eq!(json["apps"][0]["state"], "STARTED");
    assert!(json["run"]["requests"].as_u64().unwrap() > 5, "{json}");
}

#[test]
fn the_embedded_fake_has_the_cloned_app() {
    let place = Place::new();
    let mut command = cf_pusher(place.dir.path());
    command.args(["clone", "web", "load", "--count", "3", "--mock"]);
    let output = place.run_alone(command);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stdout.ends_with("clones: 3 finished, 0 failed\n"),
        "{}",
        output.stdout
    );
}

/// The expected foundation after three clones.
async fn undisturbed() -> (ResourceCounts, usize) {
    let mock = foundation(MockCapi::builder()).await;
    clone(&mock, "copy", 3).await;
    (ResourceCounts::of(&mock), droplets(&mock))
}

/// Whether the foundation has three finished clones and nothing else.
async fn check(mock: &CloudController, expected: &ResourceCounts, context: &str) {
    assert_eq!(ResourceCounts::of(mock), *expected, "{context}");
    for i in 0..3 {
        let name = format!("copy-{i}");
        let app = mock.app(&name).unwrap();
        assert_eq!((app.started, app.running), (true, 2), "{context}");
        let manifest = manifest_of(mock, &name).await;
        assert!(!manifest.contains("cf-pusher"), "{context}\n{manifest}");
    }
}

/// Runs again. If the earlier run finished all clones, the second run fails because they
/// exist.
async fn run_again(mock: &CloudController, context: &str) {
    match cloner(mock, "copy").await.count(3).run().await {
        Ok(outcome) => assert!(outcome.is_success(), "{context}\n{outcome:#?}"),
        Err(CloneError::Exists { names }) => assert_eq!(names.len(), 3, "{context}"),
        Err(error) => panic!("{context}\n{error}"),
    }
}

#[tokio::test]
async fn a_run_killed_at_any_request_is_finished_by_the_next() {
    let (expected, _) = undisturbed().await;
    let kills = stream::iter(1..)
        .map(|nth| kill_at(nth, &expected))
        .buffered(4)
        .take_while(|killed| ready(*killed))
        .count();
    let kills = kills.await;
    assert!(kills >= 20, "only {kills}");
}

/// Drops a run when its nth request arrives, and runs again. Returns whether the run had
/// so many requests.
async fn kill_at(nth: u64, expected: &ResourceCounts) -> bool {
    let mock = foundation(MockCapi::builder()).await;
    let hold = Fault::delay("*", "*", Duration::from_secs(600)).nth(nth);
    let before = mock.stats().total;
    mock.set_faults(vec![hold]).unwrap();
    let client = tokio::spawn({
        let target = target(&mock);
        async move {
            let client = Client::connect(&target, Events::default()).await?;
            let space = PushSpace::named("o", "s");
            Cloner::new(client, space, "web", "copy")
                .count(3)
                .run()
                .await
        }
    });
    while mock.stats().total < before + nth {
        if client.is_finished() {
            assert!(client.await.unwrap().unwrap().is_success());
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    client.abort();
    mock.set_faults(Vec::new()).unwrap();
    let context = format!("killed at request {nth}");
    run_again(&mock, &context).await;
    check(&mock, expected, &context).await;
    true
}

#[rstest]
#[case::answered_500(Fault::answer("*", "*", 500))]
#[case::answered_503(Fault::answer("*", "*", 503))]
#[case::rate_limited(Fault::answer("*", "*", 429).retry_after(Duration::ZERO))]
#[case::dropped_before(Fault::drop_before("*", "*"))]
#[case::dropped_after(Fault::drop_after("*", "*"))]
#[case::truncated(Fault::truncate("*", "*"))]
#[case::expired_token(Fault::expired_token("*", "*"))]
#[case::failed_job(Fault::failed_job())]
#[case::failed_copy(Fault::failed_copy())]
#[tokio::test]
async fn a_run_survives_a_failure_of_any_request(#[case] fault: Fault) {
    let (expected, _) = undisturbed().await;
    let applied = stream::iter(1..)
        .map(|nth| inject(&fault, nth, &expected))
        .buffered(4)
        .take_while(|applied| ready(*applied))
        .count();
    let applied = applied.await;
    assert!(applied >= 2, "only {applied}");
}

/// Whether the run is long enough for the fault's position.
async fn inject(fault: &Fault, nth: u64, expected: &ResourceCounts) -> bool {
    let mock = MockCapi::builder()
        .front()
        .record_requests()
        .start()
        .await
        .unwrap();
    fill(&mock).await;
    mock.set_faults(vec![fault.clone().nth(nth)]).unwrap();
    let client = Client::connect(&target(&mock), Events::default()).await;
    let first = match client {
        Ok(client) => {
            let space = PushSpace::named("o", "s");
            let cloner = Cloner::new(client, space, "web", "copy").count(3);
            let outcome = cloner.run().await.map_err(|error| error.to_string());
            outcome.and_then(|outcome| match outcome.is_success() {
                true => Ok(()),
                false => Err(format!("{:?}", outcome.failures)),
            })
        }
        Err(error) => Err(error.to_string()),
    };
    if mock.faults()[0].applied != 1 {
        assert_eq!(first, Ok(()));
        return false;
    }
    mock.set_faults(Vec::new()).unwrap();
    let context = format!("{fault:?}\nat position {nth}\nfirst run: {first:?}");
    if first.is_err() {
        run_again(&mock, &context).await;
    }
    check(&mock, expected, &context).await;
    true
}

#[tokio::test]
async fn leftover_clones_of_another_source_are_not_taken_over() {
    let mock = foundation(MockCapi::builder()).await;
    mock.set_faults(vec![Fault::failed_copy()]).unwrap();
    let first = cloner(&mock, "copy").await.run().await.unwrap();
    assert_eq!(first.apps[0].result, CloneResult::Failed);
    mock.set_faults(Vec::new()).unwrap();
    let space = mock.org("o").space("s");
    let client = connect(&mock, []).await;
    space.app("other").started();
    let of_other = Cloner::new(client, PushSpace::named("o", "s"), "other", "copy");
    let refused = of_other.run().await;
    assert!(
        matches!(refused, Err(CloneError::Exists { .. })),
        "{refused:?}"
    );
    clone_one(&mock).await;
    assert_eq!(droplets(&mock), 3, "the failed copy is deleted");
}

async fn clone_one(mock: &CloudController) {
    let outcome = cloner(mock, "copy").await.run().await.unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
}

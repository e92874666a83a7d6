//! Properties of manifest entries are applied once, and drift of each property is
//! detected and repaired.

use crate::support::{Fixture, Workflow};
use cf_pusher::desired::{Bits, Desired, Group, Metadata, Org, Rule, SecurityGroup, Space};
use cf_pusher::{Approval, Converger, Drift, ManifestEntry, Outcome};
use mock_capi::wiremock::matchers::path_regex;
use mock_capi::wiremock::{Mock, ResponseTemplate};
use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

/// Entries of all kinds, in various styles.
const ENTRIES: [&str; 40] = [
    "{}",
    "instances: 0",
    "instances: '2'",
    "memory: 64M",
    "memory: 1G",
    "memory: 512mb",
    "disk_quota: 1G",
    "disk-quota: 300M",
    "{memory: 64M, disk_quota: 128M, instances: 2}",
    "log-rate-limit-per-second: 16K",
    "log-rate-limit-per-second: 1024K",
    "log-rate-limit-per-second: -1",
    "log-rate-limit-per-second: 0",
    "env: {A: text}",
    "env: {A: 1, B: 1.5, C: true, D: ~, E: '', F: [1, a], G: {x: y}}",
    "env: {INDEX: 'app {i}', URL: 'http://a.{apps_domain}/b'}",
    "env: {'WITH/SLASH~TILDE': x}",
    "command: ./run --fast",
    "command: default",
    "command: ~",
    "buildpack: go_buildpack",
    "buildpacks: [go_buildpack]",
    "buildpacks: [go_buildpack, binary_buildpack]",
    "buildpacks: []",
    "stack: cflinuxfs4",
    "health-check-type: process",
    "health-check-type: none",
    "{health-check-type: http, health-check-http-endpoint: /up}",
    "{health-check-type: http, health-check-http-endpoint: /, health-check-invocation-timeout: '5', timeout: 90}",
    "{readiness-health-check-type: http, readiness-health-check-http-endpoint: /ready, readiness-health-check-interval: 7}",
    "processes: [{type: worker, instances: 1, memory: 1G, command: work}, {type: clock, instances: 0, disk-quota: 64M}]",
    "{memory: 2G, processes: [{type: web, memory: 128M, instances: 2, health-check-type: process}]}",
    "sidecars: [{name: z, command: zed, process_types: [web]}, {name: a, command: ay, process_types: [web], memory: 16M}]",
    "metadata: {labels: {team: a, n: 1}, annotations: {note: 'some text'}}",
    "services: [zdb, {name: adb}]",
    "routes: [{route: 'Zeta.{apps_domain}'}, {route: 'alpha.{apps_domain}/path'}]",
    "routes: [{route: 'http2.{apps_domain}', protocol: http2}, {route: 'lb.{apps_domain}', options: {loadbalancing: least-connection}}]",
    "default-route: true",
    "no-route: true",
    "{features: {ssh: false}, lifecycle: buildpack}",
];

fn bits() -> Bits {
    Bits::files([("main.go", "package main")])
}

fn group(index: usize, entry: &str) -> Group {
    let entry = ManifestEntry::parse(entry).unwrap_or_else(|error| panic!("{entry}: {error}"));
    Group::new(format!("app-{index}-{{i}}"), entry, bits())
}

fn desired(groups: Vec<Group>) -> Desired {
    let mut space = Space::new("space");
    space.groups = groups;
    let org = Org::new("org").space(space);
    Desired::builder("me").org(org).build().unwrap()
}

async fn converge(fixture: &Fixture, desired: &Desired) -> Outcome {
    let converger = Converger::new(fixture.client.clone(), desired.clone());
    // Tests with services create the org and the space before the first run.
    let converger = converger.adopt(true);
    converger.converge(Approval::All).await.unwrap()
}

async fn verify(fixture: &Fixture, desired: &Desired) -> Vec<Drift> {
    let converger = Converger::new(fixture.client.clone(), desired.clone());
    converger.verify().await.unwrap()
}

/// An org and a space with services that entries refer to.
async fn with_services(fixture: Fixture) -> Fixture {
    let org = fixture
        .curl("POST", "/v3/organizations", json!({"name": "org"}))
        .await;
    let of_org = json!({"organization": {"data": {"guid": org["guid"]}}});
    let space = json!({"name": "space", "relationships": of_org});
    let space = fixture.curl("POST", "/v3/spaces", space).await;
    for name in ["zdb", "adb"] {
        let of_space = json!({"space": {"data": {"guid": space["guid"]}}});
        let service = json!({"type": "user-provided", "name": name, "relationships": of_space});
        fixture.curl("POST", "/v3/service_instances", service).await;
    }
    fixture
}

#[rstest]
#[case::compared_by_the_cloud_controller(MockCapi::builder())]
#[case::compared_app_by_app(MockCapi::builder().faults(vec![no_diff()]))]
#[tokio::test]
async fn forty_entries_are_up_to_date_after_one_run(#[case] builder: mock_capi::MockCapiBuilder) {
    let fixture = with_services(Fixture::with(Workflow::Manifest, builder).await).await;
    let groups = ENTRIES.iter().enumerate().map(|(i, entry)| group(i, entry));
    let desired = desired(groups.collect());
    let first = converge(&fixture, &desired).await;
    assert!(
        first.is_converged(),
        "{:#?} {:#?}",
        first.failures,
        first.drift
    );
    assert_eq!(first.changed(), 40);
    fixture.writes();
    let second = converge(&fixture, &desired).await;
    assert!(second.is_converged(), "{:#?}", second.drift);
    assert_eq!(
        (second.changed(), second.unchanged()),
        (0, 40),
        "{:#?}",
        changed(&second)
    );
    assert_eq!(fixture.writes().len(), 0);
}

/// Some foundations return an empty diff. cf-pusher detects them, because the diff does
/// not mention an app that does not exist.
#[tokio::test]
async fn drift_is_found_even_if_the_diff_is_always_empty() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let empty = ResponseTemplate::new(202).set_body_json(json!({"diff": []}));
    Mock::given(path_regex("/manifest_diff$"))
        .respond_with(empty)
        .with_priority(1)
        .mount(fixture.mock.server())
        .await;
    let desired = desired(vec![group(0, "env: {A: x}"), group(1, "{}")]);
    assert!(converge(&fixture, &desired).await.is_converged());
    fixture.writes();
    assert!(converge(&fixture, &desired).await.is_converged());
    assert_eq!(fixture.writes().len(), 0);

    let app = fixture.app("app-0-0").await;
    let path = format!("/v3/apps/{app}/environment_variables");
    fixture
        .curl("PATCH", &path, json!({"var": {"A": "y"}}))
        .await;
    let repaired = converge(&fixture, &desired).await;
    assert!(repaired.is_converged(), "{repaired:#?}");
    assert_eq!(changed(&repaired), ["app-0-0"]);
    let env = format!("/v3/apps/{app}/environment_variables");
    let env = fixture.curl("GET", &env, Value::Null).await;
    assert_eq!(env["var"]["A"], "x");
}

/// The response to an unknown request.
fn no_diff() -> Fault {
    Fault::answer("POST", "/v3/spaces/:guid/manifest_diff", 404)
}

fn changed(outcome: &Outcome) -> Vec<&str> {
    let apps = outcome.apps.iter();
    let apps = apps.filter(|app| app.result != cf_pusher::AppResult::Unchanged);
    apps.map(|app| app.name.as_str()).collect()
}

const WATCHED: &str = "{instances: 2, memory: 64M, env: {A: x}, command: run, stack: cflinuxfs4, health-check-type: http, health-check-http-endpoint: /up, timeout: 90, log-rate-limit-per-second: 16K, processes: [{type: worker, instances: 1, memory: 64M}], sidecars: [{name: s, command: side, process_types: [web]}], metadata: {labels: {team: a}}, services: [zdb], features: {ssh: true}, routes: [{route: 'watched.{apps_domain}', protocol: http1, options: {loadbalancing: round-robin}}]}";

/// Each kind of drift and its description.
#[rstest]
#[case::variable("PATCH", "/v3/apps/APP/environment_variables", json!({"var": {"A": "y"}}), "env A")]
#[case::variable_more("PATCH", "/v3/apps/APP/environment_variables", json!({"var": {"B": "y"}}), "env B")]
#[case::command("PATCH", "/v3/apps/APP/processes/web", json!({"command": "walk"}), "command is walk, desired run")]
#[case::health_check("PATCH", "/v3/apps/APP/processes/web", json!({"health_check": {"type": "port"}}), "health-check-type is port, desired http")]
#[case::log_rate("POST", "/v3/apps/APP/processes/web/actions/scale", json!({"log_rate_limit_in_bytes_per_second": 1024}), "log-rate-limit-per-second")]
#[case::memory("POST", "/v3/apps/APP/processes/web/actions/scale", json!({"memory_in_mb": 128}), "memory is 128M, desired 64M")]
#[case::worker("POST", "/v3/apps/APP/processes/worker/actions/scale", json!({"instances": 3}), "instances of process worker is 3, desired 1")]
#[case::label("PATCH", "/v3/apps/APP", json!({"metadata": {"labels": {"team": "b"}}}), "label team is b, desired a")]
#[case::label_more("PATCH", "/v3/apps/APP", json!({"metadata": {"labels": {"more": "b"}}}), "label more is b, desired none")]
#[case::feature("PATCH", "/v3/apps/APP/features/ssh", json!({"enabled": false}), "features ssh is false, desired true")]
#[case::service(
    "DELETE",
    "/v3/service_credential_bindings/BINDING",
    Value::Null,
    "service is none, desired zdb"
)]
#[case::service_more("POST", "/v3/service_credential_bindings", json!({"type": "app", "relationships": {"app": {"data": {"guid": "APP"}}, "service_instance": {"data": {"guid": "ADB"}}}}), "service is adb, desired none")]
#[case::sidecar("PATCH", "/v3/sidecars/SIDECAR", json!({"command": "other"}), "sidecar")]
#[case::route_options("PATCH", "/v3/routes/ROUTE", json!({"options": {"loadbalancing": "least-connection"}}), "route watched")]
#[case::route_unmapped("PATCH", "/v3/routes/ROUTE/destinations", json!({"destinations": []}), "route is missing")]
#[case::route_on_another_port("PATCH", "/v3/routes/ROUTE/destinations", json!({"destinations": [{"app": {"guid": "APP"}, "port": 9999}]}), "destinations of route watched")]
#[case::route_to_another_process("PATCH", "/v3/routes/ROUTE/destinations", json!({"destinations": [{"app": {"guid": "APP", "process": {"type": "worker"}}}]}), "destinations of route watched")]
#[case::route_to_another_app_too("POST", "/v3/routes/ROUTE/destinations", json!({"destinations": [{"app": {"guid": "OTHER"}}]}), "destinations of route watched")]
#[tokio::test]
async fn drift_of_every_property_is_found_and_repaired(
    #[case] method: &str,
    #[case] path: &str,
    #[case] body: Value,
    #[case] expected: &str,
) {
    let fixture = with_services(Fixture::new(Workflow::Manifest).await).await;
    let desired = desired(vec![group(0, WATCHED), group(1, "{}")]);
    let outcome = converge(&fixture, &desired).await;
    assert!(outcome.is_converged(), "{outcome:#?}");
    let first = async |path: &str| {
        let list = fixture.curl("GET", path, Value::Null).await;
        list["resources"][0]["guid"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let app = fixture.app("app-0-0").await;
    let guids = [
        ("APP", app.clone()),
        ("OTHER", fixture.app("app-1-0").await),
        ("ROUTE", first("/v3/routes?hosts=watched").await),
        ("SIDECAR", first(&format!("/v3/apps/{app}/sidecars")).await),
        ("BINDING", first("/v3/service_credential_bindings").await),
        ("ADB", first("/v3/service_instances?names=adb").await),
    ];
    let filled = |text: &str| {
        let guids = guids.iter();
        guids.fold(text.to_owned(), |text, (name, guid)| {
            text.replace(name, guid)
        })
    };
    let body = serde_json::from_str(&filled(&body.to_string())).unwrap();
    fixture.curl(method, &filled(path), body).await;

    let drift: Vec<String> = verify(&fixture, &desired)
        .await
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        drift
            .iter()
            .any(|line| line.starts_with("app app-0-0: ") && line.contains(expected)),
        "{drift:#?}"
    );
    let repaired = converge(&fixture, &desired).await;
    assert!(
        repaired.is_converged(),
        "{:#?} {:#?}",
        repaired.failures,
        repaired.drift
    );
    assert_eq!(repaired.changed(), 1);
    assert_eq!(verify(&fixture, &desired).await, []);
}

fn three_spaces(count: u32) -> Desired {
    let group = |name: &str| {
        let entry = format!("{{memory: 64M, routes: [{{route: '{name}-{{i}}.{{apps_domain}}'}}]}}");
        let entry = ManifestEntry::parse(&entry).unwrap();
        Group::new(format!("{name}-{{i}}"), entry, bits()).count(count)
    };
    let space = |name: &str, app: &str| {
        let metadata = Metadata::new().label("stage", name);
        Space::new(name)
            .security_group("sg")
            .metadata(metadata)
            .group(group(app))
    };
    let rules = vec![Rule::tcp("10.0.0.0/8", "443")];
    Desired::builder("me")
        .security_group(SecurityGroup::new("sg", rules))
        .org(
            Org::new("a")
                .quota("q")
                .space(space("dev", "ad"))
                .space(space("prod", "ap")),
        )
        .org(Org::new("b").quota("q").space(space("dev", "bd")))
        .build()
        .unwrap()
}

#[tokio::test]
async fn several_orgs_and_spaces_converge_in_one_run() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let first = converge(&fixture, &three_spaces(3)).await;
    assert!(
        first.is_converged(),
        "{:#?} {:#?}",
        first.failures,
        first.drift
    );
    assert_eq!(first.changed(), 9);
    let app = first.apps.iter().find(|app| app.name == "bd-2").unwrap();
    assert_eq!((app.org.as_str(), app.space.as_str()), ("b", "dev"));
    assert!(
        app.guid.is_some() && app.urls[0].starts_with("bd-2."),
        "{app:?}"
    );
    fixture.writes();
    let before = fixture.counts.get().requests;
    assert_eq!(converge(&fixture, &three_spaces(3)).await.unchanged(), 9);
    assert_eq!(fixture.writes().len(), 0);
    let requests = fixture.counts.get().requests - before;
    assert!(requests <= 15, "{requests} requests");
    let fewer = converge(&fixture, &three_spaces(2)).await;
    assert!(fewer.is_converged(), "{fewer:#?}");
    assert_eq!((fewer.changed(), fewer.unchanged()), (3, 6));
    let converger = Converger::new(fixture.client.clone(), three_spaces(2));
    let destroyed = converger.destroy(Approval::All).await.unwrap();
    assert_eq!(
        destroyed.targets.len(),
        4,
        "two orgs, a quota, a security group"
    );
    assert_eq!(fixture.mock.state()["apps"], json!([]));
}

#[tokio::test]
async fn one_org_that_fails_does_not_stop_the_other() {
    let builder =
        MockCapi::builder().faults(vec![Fault::answer("POST", "/v3/spaces", 403).times(1)]);
    let fixture = Fixture::with(Workflow::Manifest, builder).await;
    let outcome = converge(&fixture, &three_spaces(1)).await;
    assert!(!outcome.is_converged());
    assert_eq!(
        (outcome.changed(), outcome.failed()),
        (2, 1),
        "{outcome:#?}"
    );
}

#[tokio::test]
async fn two_owners_share_a_space() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let of = |owner: &str| {
        let entry = ManifestEntry::parse("no-route: true").unwrap();
        let space = Space::new("space").group(Group::new(owner, entry, bits()));
        Desired::builder(owner)
            .org(Org::new("org").space(space))
            .build()
            .unwrap()
    };
    converge(&fixture, &of("one")).await;
    let outcome = converge(&fixture, &of("two")).await;
    assert_eq!(
        (outcome.changed(), outcome.failed()),
        (1, 0),
        "{outcome:#?}"
    );
    assert_eq!(fixture.mock.state()["apps"].as_array().unwrap().len(), 2);
}

#[rstest]
#[case("stack: cflinuxfs4", "stack")]
#[case("sidecars: [{name: s, command: c, process_types: [web]}]", "sidecars")]
#[case("timeout: 90", "timeout")]
#[case("no-route: true", "no-route")]
#[case(
    "routes: [{route: 'a.{apps_domain}', protocol: http2}]",
    "routes with protocol or options"
)]
#[tokio::test]
async fn in_2017_other_properties_are_refused_before_anything_is_sent(
    #[case] entry: &str,
    #[case] property: &str,
) {
    let fixture = Fixture::new(Workflow::Documented2017).await;
    let converger = Converger::new(fixture.client.clone(), desired(vec![group(0, entry)]));
    let before = fixture.counts.get().requests;
    let error = converger
        .converge(Approval::All)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "the group app-0-{{i}} cannot have `{property}`: the API of 2017 knows only memory, disk_quota, instances, env, command, buildpacks, health-check-* and routes"
        )
    );
    assert_eq!(fixture.counts.get().requests, before);
}

#[tokio::test]
async fn in_2017_supported_properties_converge() {
    let fixture = Fixture::new(Workflow::Documented2017).await;
    let entry = "{memory: 64M, disk_quota: 128M, instances: 2, env: {A: x}, command: run, buildpacks: [go_buildpack], health-check-type: process, routes: [{route: 'a-{i}.{apps_domain}'}]}";
    let desired = desired(vec![group(0, entry).count(2)]);
    let outcome = converge(&fixture, &desired).await;
    assert!(
        outcome.is_converged(),
        "{:#?} {:#?}",
        outcome.failures,
        outcome.drift
    );
    assert_eq!(converge(&fixture, &desired).await.unchanged(), 2);
}

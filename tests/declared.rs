//! What is declared around apps is converged, its drift is found and repaired, and what is
//! protected stays as it is.

use std::collections::BTreeMap;

use crate::support::{Fixture, Workflow};
use cf_pusher::desired::{
    Bits, Desired, DesiredBuilder, Group, Limits, NetworkPolicy, Org, OrgQuota, Role, Rule,
    SecurityGroup, ServiceInstance, ServiceKind, Space, SpaceQuota,
};
use cf_pusher::{Approval, ConvergeError, Converger, ManifestEntry, Outcome};
use mock_capi::{MockCapi, MockCapiBuilder};
use serde_json::{Value, json};

fn builder() -> DesiredBuilder {
    Desired::builder("me-")
}

fn group(name: &str, entry: &str) -> Group {
    let entry = ManifestEntry::parse(entry).unwrap();
    Group::new(name, entry, Bits::files([("main.go", "package main")]))
}

fn user_provided(name: &str) -> ServiceInstance {
    let credentials = json!({"password": "s3cret"});
    let kind = ServiceKind::UserProvided {
        credentials: credentials.as_object().cloned(),
        syslog_drain_url: Some("syslog://logs.test".to_owned()),
        route_service_url: None,
    };
    ServiceInstance::new(name, kind).tags(["sql"])
}

/// Two orgs with three spaces, and all that can be around apps.
fn declared() -> Desired {
    let web = group(
        "web-{i}",
        "{memory: 32M, routes: [{route: 'web-{i}.apps.me.test'}], services: [db]}",
    );
    let limits = Limits::new()
        .limit("apps", "total_memory_in_mb", 4096)
        .limit("services", "paid_services_allowed", false);
    let prod = Space::new("prod")
        .quota("half")
        .feature("ssh", false)
        .security_group("me-dns")
        .security_group("me-web")
        .role(Role::new("space_developer", "alice"))
        .role(Role::new("space_auditor", "bob"))
        .service(user_provided("db"))
        .service(ServiceInstance::managed("cache", "cache-broker", "small"))
        .network_policy(NetworkPolicy::new("web-*", "api", "tcp", (8080, 8090)))
        .network_policy(NetworkPolicy::new(
            "api",
            "back/jobs/worker",
            "udp",
            (53, 53),
        ))
        .group(web.count(2))
        .group(group("api", "{memory: 64M, no-route: true}"));
    let test = Space::new("test")
        .security_group("me-dns")
        .isolation_segment("cells")
        .group(group("probe", "{memory: 32M, no-route: true}"));
    let jobs = Space::new("jobs").group(group("worker", "{memory: 32M, no-route: true}"));
    let front = Org::new("front")
        .quota("me-big")
        .suspended(false)
        .domain("apps.me.test")
        .role(Role::new("organization_manager", "alice"))
        .space_quota(SpaceQuota::new(
            "half",
            Limits::new().limit("routes", "total_routes", 20),
        ))
        .space(prod)
        .space(test);
    let back = Org::new("back")
        .suspended(true)
        .isolation_segment("cells")
        .space(jobs);
    let rule = Rule::new("icmp", "10.0.0.0/8", None)
        .icmp(0, -1)
        .description("pings")
        .log(true);
    builder()
        .org_quota(OrgQuota::new("me-big", limits))
        .domain("shared.me.test")
        .user("ldap/carol")
        .feature_flag("diego_docker", true)
        .security_group(SecurityGroup::new(
            "me-dns",
            vec![Rule::tcp("10.0.0.1", "53"), rule],
        ))
        .security_group(SecurityGroup::new(
            "me-web",
            vec![Rule::tcp("10.0.0.2", "443")],
        ))
        .security_group(
            SecurityGroup::new("me-all", vec![Rule::tcp("10.0.0.3", "80")]).globally_running(true),
        )
        .org(front)
        .org(back)
        .build()
        .unwrap()
}

/// A foundation with what cannot be declared: accounts, cells and a broker.
fn foundation() -> MockCapiBuilder {
    MockCapi::builder()
        .add_user("alice", "secret")
        .add_user("bob", "secret")
        .broker("cache-broker", &["small", "large"])
}

async fn fixture() -> Fixture {
    let fixture = Fixture::with(Workflow::Manifest, foundation()).await;
    let segment = json!({"name": "cells"});
    fixture
        .curl("POST", "/v3/isolation_segments", segment)
        .await;
    fixture.writes();
    fixture
}

fn converger(fixture: &Fixture, desired: &Desired) -> Converger {
    Converger::new(fixture.client.clone(), desired.clone())
}

async fn converge(fixture: &Fixture, desired: &Desired) -> Outcome {
    let converger = converger(fixture, desired);
    let outcome = converger.converge(Approval::None).await.unwrap();
    assert!(
        outcome.is_converged(),
        "{:#?} {:#?}",
        outcome.failures,
        outcome.drift
    );
    outcome
}

async fn drift(fixture: &Fixture, desired: &Desired) -> Vec<String> {
    let converger = converger(fixture, desired);
    let drift = Box::pin(converger.verify()).await.unwrap();
    drift.iter().map(ToString::to_string).collect()
}

/// The first resource of a list.
async fn first(fixture: &Fixture, list: &str) -> Value {
    let list = Box::pin(fixture.curl("GET", list, Value::Null)).await;
    list["resources"][0].clone()
}

async fn guid(fixture: &Fixture, list: &str) -> String {
    first(fixture, list).await["guid"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn everything_around_apps_is_created_in_one_run() {
    let (fixture, desired) = (fixture().await, declared());
    assert_eq!(converge(&fixture, &desired).await.changed(), 5);
    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    for request in fixture.writes() {
        let path = request
            .path
            .split(['/', '?'])
            .filter(|part| part.len() != 36);
        let path: Vec<&str> = path.skip(1).take(4).collect();
        *writes
            .entry(format!("{} {}", request.method, path.join("/")))
            .or_default() += 1;
    }
    let writes: Vec<String> = writes
        .iter()
        .map(|(path, count)| format!("{count} {path}"))
        .collect();
    insta::assert_snapshot!(writes.join("\n"), @"
    4 PATCH v3/droplets
    1 PATCH v3/feature_flags/diego_docker
    1 PATCH v3/organizations
    1 PATCH v3/organizations/relationships/default_isolation_segment
    1 PATCH v3/spaces/features/ssh
    1 PATCH v3/spaces/relationships/isolation_segment
    1 POST networking/v1/external/policies
    3 POST v3/apps
    4 POST v3/builds
    5 POST v3/deployments
    2 POST v3/domains
    1 POST v3/droplets
    2 POST v3/isolation_segments/relationships/organizations
    1 POST v3/organization_quotas
    1 POST v3/organization_quotas/relationships/organizations
    2 POST v3/organizations
    4 POST v3/packages
    4 POST v3/packages/upload
    5 POST v3/roles
    3 POST v3/security_groups
    2 POST v3/service_instances
    1 POST v3/space_quotas
    1 POST v3/space_quotas/relationships/spaces
    3 POST v3/spaces
    4 POST v3/spaces/actions/apply_manifest
    1 POST v3/users
    ");
    assert_eq!(drift(&fixture, &desired).await, [""; 0]);
    assert_eq!(converge(&fixture, &desired).await.changed(), 0);
    assert_eq!(fixture.writes().len(), 0);
}

#[tokio::test]
async fn drift_of_everything_around_apps_is_found_and_repaired() {
    let (fixture, desired) = (fixture().await, declared());
    converge(&fixture, &desired).await;
    let change = async |method: &str, path: String, body: Value| {
        Box::pin(fixture.curl(method, &path, body)).await;
    };
    let front = guid(&fixture, "/v3/organizations?names=front").await;
    let prod = guid(&fixture, "/v3/spaces?names=prod").await;
    let quota = guid(&fixture, "/v3/organization_quotas?names=me-big").await;
    let limits = json!({"apps": {"total_memory_in_mb": 1000}, "routes": {"total_routes": 9}});
    change("PATCH", format!("/v3/organization_quotas/{quota}"), limits).await;
    let half = guid(&fixture, "/v3/space_quotas?names=half").await;
    change(
        "PATCH",
        format!("/v3/space_quotas/{half}"),
        json!({"routes": {"total_routes": null}}),
    )
    .await;
    change(
        "DELETE",
        format!("/v3/space_quotas/{half}/relationships/spaces/{prod}"),
        Value::Null,
    )
    .await;
    change(
        "PATCH",
        format!("/v3/organizations/{front}"),
        json!({"suspended": true}),
    )
    .await;
    change(
        "PATCH",
        "/v3/feature_flags/diego_docker".to_owned(),
        json!({"enabled": false}),
    )
    .await;
    change(
        "PATCH",
        format!("/v3/spaces/{prod}/features/ssh"),
        json!({"enabled": true}),
    )
    .await;
    let dns = guid(&fixture, "/v3/security_groups?names=me-dns").await;
    change(
        "PATCH",
        format!("/v3/security_groups/{dns}"),
        json!({"rules": []}),
    )
    .await;
    change(
        "DELETE",
        format!("/v3/security_groups/{dns}/relationships/running_spaces/{prod}"),
        Value::Null,
    )
    .await;
    let all = guid(&fixture, "/v3/security_groups?names=me-all").await;
    change(
        "PATCH",
        format!("/v3/security_groups/{all}"),
        json!({"globally_enabled": {"running": false, "staging": true}}),
    )
    .await;
    let db = guid(&fixture, "/v3/service_instances?names=db").await;
    change(
        "PATCH",
        format!("/v3/service_instances/{db}"),
        json!({"tags": [], "credentials": {"a": "b"}, "syslog_drain_url": ""}),
    )
    .await;
    let cache = guid(&fixture, "/v3/service_instances?names=cache").await;
    change(
        "PATCH",
        format!("/v3/service_instances/{cache}"),
        json!({"tags": ["x"]}),
    )
    .await;
    let test = guid(&fixture, "/v3/spaces?names=test").await;
    let none = json!({"data": null});
    change(
        "PATCH",
        format!("/v3/spaces/{test}/relationships/isolation_segment"),
        none.clone(),
    )
    .await;
    let back = guid(&fixture, "/v3/organizations?names=back").await;
    change(
        "PATCH",
        format!("/v3/organizations/{back}/relationships/default_isolation_segment"),
        none,
    )
    .await;
    let role = guid(
        &fixture,
        &format!("/v3/roles?space_guids={prod}&types=space_auditor"),
    )
    .await;
    change("DELETE", format!("/v3/roles/{role}"), Value::Null).await;
    let policies = fixture
        .curl("GET", "/networking/v1/external/policies", Value::Null)
        .await;
    let mut policies = policies["policies"].as_array().unwrap().iter();
    let is_dns = |policy: &&Value| policy["destination"]["protocol"] == "udp";
    let policy = policies.find(is_dns).unwrap();
    change(
        "POST",
        "/networking/v1/external/policies/delete".to_owned(),
        json!({"policies": [policy]}),
    )
    .await;
    let domain = guid(&fixture, "/v3/domains?names=shared.me.test").await;
    change("DELETE", format!("/v3/domains/{domain}"), Value::Null).await;
    insta::assert_snapshot!(drift(&fixture, &desired).await.join("\n"), @"
    feature flag diego_docker: state is disabled, desired enabled
    domain shared.me.test: missing
    quota me-big: apps.total_memory_in_mb is 1000, desired 4096
    org front: suspended is true, desired false
    space quota half: routes.total_routes is unlimited, desired 20
    space prod: quota is another, desired half
    space prod: feature ssh is enabled, desired disabled
    role space_auditor of bob in front/prod: missing
    service instance db: tags is none, desired sql
    service instance db: credentials is others, desired the given ones
    service instance db: syslog_drain_url is none, desired syslog://logs.test
    service instance cache: tags is x, desired none
    space test: isolation segment is none, desired cells
    org back: isolation segment is none, desired cells
    security group me-dns: rules is 0, desired 2
    security group me-dns: binding is none, desired prod
    security group me-all: globally enabled for running is false, desired true
    network policy api to back/jobs/worker udp 53: missing
    ");
    converge(&fixture, &desired).await;
    assert_eq!(drift(&fixture, &desired).await, [""; 0]);
    // A limit that is not named stays as it is.
    let quota = first(&fixture, "/v3/organization_quotas?names=me-big").await;
    assert_eq!(quota["routes"]["total_routes"], 9);
}

#[tokio::test]
async fn what_was_created_around_apps_is_destroyed_with_them() {
    let (fixture, desired) = (fixture().await, declared());
    let before = fixture.mock.state();
    converge(&fixture, &desired).await;
    let destroyed = converger(&fixture, &desired)
        .destroy(Approval::All)
        .await
        .unwrap();
    assert_eq!(destroyed.kept, []);
    let after = fixture.mock.state();
    for kind in [
        "organizations",
        "organization_quotas",
        "spaces",
        "apps",
        "routes",
        "service_instances",
        "security_groups",
        "domains",
        "roles",
        "space_quotas",
    ] {
        let count = |state: &Value| state[kind].as_array().map(Vec::len);
        assert_eq!(count(&after), count(&before), "{kind}");
    }
}

#[tokio::test]
async fn the_api_of_2017_is_not_asked_for_what_it_lacks() {
    let fixture = Fixture::new(Workflow::Documented2017).await;
    fixture.mock.forget_requests();
    let refused = async |builder: DesiredBuilder| {
        let converger = Converger::new(fixture.client.clone(), builder.build().unwrap());
        converger.plan().await.unwrap_err().to_string()
    };
    let space = || Space::new("s").group(group("a", "{}"));
    let org = |space: Space| builder().org(Org::new("o").space(space));
    let policy = NetworkPolicy::new("a", "a", "tcp", (1, 1));
    let all = [
        refused(builder().domain("d.test")).await,
        refused(builder().feature_flag("diego_docker", true)).await,
        refused(builder().user("ldap/a")).await,
        refused(builder().org(Org::new("o").suspended(true))).await,
        refused(builder().org(Org::new("o").role(Role::new("organization_user", "a")))).await,
        refused(org(space().feature("ssh", true))).await,
        refused(org(space().service(user_provided("db")))).await,
        refused(org(space().network_policy(policy))).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    the foundation cannot have `domains`: the API of 2017 lacks it
    the foundation cannot have `feature_flags`: the API of 2017 lacks it
    the foundation cannot have `users`: the API of 2017 lacks it
    the org o cannot have `suspended`: the API of 2017 lacks it
    the org o cannot have `roles`: the API of 2017 lacks it
    the space s cannot have `features`: the API of 2017 lacks it
    the space s cannot have `service_instances`: the API of 2017 lacks it
    the space s cannot have `network_policies`: the API of 2017 lacks it
    ");
    assert!(fixture.mock.requests().is_empty());
}

#[tokio::test]
async fn protected_names_are_not_touched() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let desired = |pattern: &str| {
        let org = Org::new("shop").space(Space::new("prod"));
        let other = Org::new("play").space(Space::new("prod"));
        let builder = builder().org(org).org(other).protect(pattern);
        Converger::new(fixture.client.clone(), builder.build().unwrap())
    };
    let refused = desired("shop").converge(Approval::All).await.unwrap_err();
    insta::assert_snapshot!(
        refused,
        @"converging failed: org shop is protected by the pattern shop, space prod is protected by the pattern shop"
    );
    let refused = desired("(play|other)/.*").plan().await.unwrap_err();
    insta::assert_snapshot!(
        refused,
        @"converging failed: space prod is protected by the pattern (play|other)/.*"
    );
    assert!(fixture.writes().is_empty());

    // Patterns match whole names.
    let outcome = desired("sho").converge(Approval::All).await.unwrap();
    assert!(outcome.is_converged());
    // What is protected and up to date keeps nothing from running.
    let outcome = desired("shop").converge(Approval::All).await.unwrap();
    assert!(outcome.is_converged());
    let refused = desired("shop").destroy(Approval::All).await.unwrap_err();
    assert!(matches!(refused, ConvergeError::Protected { .. }));
}

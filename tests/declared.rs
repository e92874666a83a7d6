//! Supporting resources are converged, their drift is detected and repaired, and
//! protected resources are not changed.

use std::collections::BTreeMap;

use crate::support::declared::{declared, foundation, group, user_provided};
use crate::support::{Fixture, Workflow};
use cf_pusher::desired::{
    AppState, Bits, Desired, DesiredBuilder, Group, Limits, NetworkPolicy, Org, OrgQuota, Role,
    Rule, SecurityGroup, Space, SpaceQuota,
};
use cf_pusher::{Action, Approval, ConvergeError, Converger, ManifestEntry, Outcome};
use serde_json::{Value, json};

fn builder() -> DesiredBuilder {
    Desired::builder("me-")
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
async fn supporting_resources_are_created_in_one_run() {
    let (fixture, desired) = (fixture().await, declared());
    assert_eq!(converge(&fixture, &desired).await.changed(), 7);
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
    5 PATCH v3/droplets
    1 PATCH v3/feature_flags/diego_docker
    1 PATCH v3/organizations
    1 PATCH v3/organizations/relationships/default_isolation_segment
    1 PATCH v3/spaces/features/ssh
    1 PATCH v3/spaces/relationships/isolation_segment
    1 POST networking/v1/external/policies
    3 POST v3/apps
    5 POST v3/builds
    7 POST v3/deployments
    2 POST v3/domains
    2 POST v3/droplets
    2 POST v3/isolation_segments/relationships/organizations
    1 POST v3/organization_quotas
    1 POST v3/organization_quotas/relationships/organizations
    2 POST v3/organizations
    5 POST v3/packages
    4 POST v3/packages/upload
    5 POST v3/roles
    3 POST v3/security_groups
    2 POST v3/service_instances
    1 POST v3/space_quotas
    1 POST v3/space_quotas/relationships/spaces
    3 POST v3/spaces
    5 POST v3/spaces/actions/apply_manifest
    1 POST v3/users
    ");
    assert_eq!(drift(&fixture, &desired).await, [""; 0]);
    assert_eq!(converge(&fixture, &desired).await.changed(), 0);
    assert_eq!(fixture.writes().len(), 0);
}

#[tokio::test]
async fn drift_of_supporting_resources_is_found_and_repaired() {
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
    service instance db: credentials is other values, desired the declared values
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
    // A limit that is not declared is kept.
    let quota = first(&fixture, "/v3/organization_quotas?names=me-big").await;
    assert_eq!(quota["routes"]["total_routes"], 9);
}

#[tokio::test]
async fn supporting_resources_are_destroyed_with_the_apps() {
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
async fn the_api_of_2017_gets_no_unsupported_requests() {
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
async fn protected_resources_are_not_changed() {
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
    // Protected resources that are up to date do not stop a run.
    let outcome = desired("shop").converge(Approval::All).await.unwrap();
    assert!(outcome.is_converged());
    let refused = desired("shop").destroy(Approval::All).await.unwrap_err();
    assert!(matches!(refused, ConvergeError::Protected { .. }));
}

/// A droplet in the format of a download.
fn droplet_file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.tgz");
    std::fs::write(&path, "a droplet").unwrap();
    (folder, path)
}

/// Groups with a copied droplet, an uploaded droplet, and no droplet.
fn groups(droplet: &std::path::Path) -> Desired {
    let entry = || ManifestEntry::parse("{memory: 32M, no-route: true}").unwrap();
    let file = Bits::droplet(droplet);
    let first = Space::new("first")
        .group(group("web-{i}", "{memory: 32M, no-route: true}").count(2))
        .group(Group::new("file-{i}", entry(), file).count(2))
        .group(
            Group::new("asleep-{i}", entry(), Bits::None)
                .state(AppState::Stopped)
                .count(2),
        );
    let second = Space::new("second").group(
        Group::copy_of("near-{i}", entry(), "first/web")
            .count(2)
            .state(AppState::Stopped),
    );
    let third =
        Space::new("third").group(Group::copy_of("far-{i}", entry(), "a/first/file-{i}").count(2));
    builder()
        .org(Org::new("a").space(first).space(second))
        .org(Org::new("b").space(third))
        .build()
        .unwrap()
}

#[tokio::test]
async fn droplets_are_copied_across_spaces_and_uploaded_once() {
    let fixture = fixture().await;
    let (_folder, path) = droplet_file();
    let desired = groups(&path);
    assert_eq!(converge(&fixture, &desired).await.changed(), 10);
    let writes = fixture.writes();
    let count = |method: &str, end: &str| {
        let is_it =
            |it: &&mock_capi::RecordedRequest| it.method == method && it.path.ends_with(end);
        writes.iter().filter(is_it).count()
    };
    assert_eq!((count("POST", "/builds"), count("POST", "/upload")), (1, 2));
    let state = fixture.mock.state();
    let apps = state["apps"].as_array().unwrap().iter();
    let states: BTreeMap<&str, &str> = apps
        .map(|app| {
            (
                app["name"].as_str().unwrap(),
                app["state"].as_str().unwrap(),
            )
        })
        .collect();
    insta::assert_snapshot!(
        format!("{states:?}"),
        @r#"{"asleep-0": "STOPPED", "asleep-1": "STOPPED", "far-0": "STARTED", "far-1": "STARTED", "file-0": "STARTED", "file-1": "STARTED", "near-0": "STOPPED", "near-1": "STOPPED", "web-0": "STARTED", "web-1": "STARTED"}"#
    );
    assert_eq!(drift(&fixture, &desired).await, [""; 0]);
    assert_eq!(converge(&fixture, &desired).await.changed(), 0);

    // A wrong droplet, and a running app that should be stopped.
    std::fs::write(&path, "another droplet").unwrap();
    let near = fixture.app("near-0").await;
    fixture
        .curl("POST", &format!("/v3/apps/{near}/actions/start"), json!({}))
        .await;
    fixture.writes();
    let outcome = converge(&fixture, &groups(&path)).await;
    assert_eq!(outcome.changed(), 5);
    assert_eq!(drift(&fixture, &groups(&path)).await, [""; 0]);
}

#[tokio::test]
async fn pruning_deletes_only_what_was_declared_before() {
    let fixture = fixture().await;
    converge(&fixture, &declared()).await;
    // These resources are owned by another spec, unmanaged, and owned by this spec.
    let other = Desired::builder("other-").org(Org::new("theirs").space(Space::new("prod")));
    converge(&fixture, &other.build().unwrap()).await;
    let org = fixture
        .curl("POST", "/v3/organizations", json!({"name": "foreign"}))
        .await;
    assert!(org["guid"].is_string());
    let less = || {
        let web = group("web-{i}", "{memory: 32M, no-route: true}").count(2);
        let prod = Space::new("prod")
            .group(web)
            .group(group("api", "{memory: 64M, no-route: true}"));
        builder()
            .org(Org::new("front").space(prod))
            .build()
            .unwrap()
    };
    fixture.writes();
    let pruning = converger(&fixture, &less()).prune(true);
    let plan = pruning.plan().await.unwrap();
    let deleted = plan
        .resources
        .iter()
        .filter(|it| it.action == Action::Delete);
    let deleted: Vec<String> = deleted.map(|it| it.target.to_string()).collect();
    insta::assert_snapshot!(deleted.join("\n"), @"
    org back
    space test
    service instance cache
    service instance db
    domain apps.me.test
    domain shared.me.test
    security group me-dns
    security group me-web
    route web-0.apps.me.test
    route web-1.apps.me.test
    user ldap/carol
    network policy web-0 to api tcp 8080-8090
    network policy web-1 to api tcp 8080-8090
    ");
    let refused = pruning.converge(Approval::None).await.unwrap_err();
    insta::assert_snapshot!(refused, @"deleting the org back, 2 spaces, 4 apps, 2 service instances, 2 domains, 2 routes and 1 user failed: not approved");
    assert!(fixture.writes().is_empty());

    let outcome = Box::pin(pruning.converge(Approval::All)).await.unwrap();
    assert!(
        outcome.is_converged(),
        "{:#?} {:#?}",
        outcome.failures,
        outcome.drift
    );
    let state = fixture.mock.state();
    let names = |kind: &str| {
        let all = state[kind].as_array().unwrap().iter();
        let mut names: Vec<String> = all
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names("organizations"), "foreign front theirs");
    assert_eq!(names("spaces"), "prod prod");
    assert_eq!(names("apps"), "api web-0 web-1");
    assert_eq!(names("service_instances"), "");
    let policies = fixture
        .curl("GET", "/networking/v1/external/policies", Value::Null)
        .await;
    // The policy server itself deletes policies of deleted apps.
    let policies = policies["policies"].as_array().unwrap().iter();
    let mut protocols = policies.map(|policy| &policy["destination"]["protocol"]);
    assert!(protocols.all(|protocol| protocol == "udp"));
    // A group that applies to all spaces may belong to anyone.
    assert!(names("security_groups").contains("me-all"));
    assert!(!names("security_groups").contains("me-dns"));
    let second = Box::pin(pruning.converge(Approval::None)).await.unwrap();
    assert!(second.is_converged());
}

#[tokio::test]
async fn pruning_refuses_resources_with_unmanaged_content() {
    let fixture = fixture().await;
    let before = builder()
        .org(
            Org::new("kept")
                .space(Space::new("one"))
                .space(Space::new("two")),
        )
        .org(Org::new("gone").space(Space::new("three")));
    converge(&fixture, &before.build().unwrap()).await;
    let add = async |space: &str| {
        let space = guid(&fixture, &format!("/v3/spaces?names={space}")).await;
        let of_space = json!({"space": {"data": {"guid": space}}});
        let app = json!({"name": "theirs", "relationships": of_space});
        Box::pin(fixture.curl("POST", "/v3/apps", app)).await["guid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let now = builder().org(Org::new("kept").space(Space::new("one")));
    let pruning = converger(&fixture, &now.build().unwrap()).prune(true);
    let in_two = add("two").await;
    fixture.writes();
    let refused = pruning.converge(Approval::All).await.unwrap_err();
    insta::assert_snapshot!(refused, @"deleting the space two failed: it has 1 app that cf-pusher does not manage");
    fixture
        .curl("DELETE", &format!("/v3/apps/{in_two}"), Value::Null)
        .await;
    add("three").await;
    fixture.writes();
    let refused = pruning.converge(Approval::All).await.unwrap_err();
    insta::assert_snapshot!(refused, @"deleting the org gone failed: it has 1 app that cf-pusher does not manage");
    assert!(fixture.writes().is_empty());
}

/// Quotas, security groups, routes, users and roles that a desired state had.
#[tokio::test]
async fn pruning_deletes_unlabelled_resources_that_belong_only_to_managed_ones() {
    let fixture = fixture().await;
    let limits = |count| Limits::new().limit("apps", "total_instances", count);
    let rule = || vec![Rule::tcp("10.0.0.1", "53")];
    let routed = |routes: &str| {
        let entry = format!("{{memory: 32M, routes: [{routes}]}}");
        group("web", &entry)
    };
    let before = || {
        let one = Space::new("one")
            .quota("small")
            .security_group("me-both")
            .security_group("me-gone")
            .role(Role::new("space_developer", "carol").origin("ldap"))
            .role(Role::new("space_auditor", "carol").origin("ldap"))
            .role(Role::new("space_auditor", "bob"))
            .group(routed(
                "{route: 'new.{apps_domain}'}, {route: 'old.{apps_domain}'}",
            ));
        let two = Space::new("two").security_group("me-both");
        let org = Org::new("o")
            .quota("me-old")
            .space_quota(SpaceQuota::new("small", limits(5)))
            .space(one)
            .space(two);
        let other = Org::new("gone").quota("me-of-gone").space(Space::new("s"));
        builder()
            .user("ldap/carol")
            .user("ldap/dave")
            .org_quota(OrgQuota::new("me-old", limits(10)))
            .org_quota(OrgQuota::new("me-of-gone", limits(10)))
            .org_quota(OrgQuota::new("me-unused", limits(10)))
            .security_group(SecurityGroup::new("me-both", rule()))
            .security_group(SecurityGroup::new("me-gone", rule()))
            .security_group(SecurityGroup::new("me-unused", rule()))
            .org(org)
            .org(other)
            .build()
            .unwrap()
    };
    converge(&fixture, &before()).await;
    // An unmanaged route, and a group that an unmanaged space also uses.
    let space = guid(&fixture, "/v3/spaces?names=one").await;
    let domain = guid(&fixture, "/v3/domains").await;
    let related = |guid: &str| json!({"data": {"guid": guid}});
    let route = json!({
        "host": "unmapped",
        "relationships": {"space": related(&space), "domain": related(&domain)},
    });
    fixture.curl("POST", "/v3/routes", route).await;
    let now = |other: &str| {
        let one = Space::new("one")
            .quota("large")
            .role(Role::new("space_developer", "carol").origin("ldap"))
            .group(routed("{route: 'new.{apps_domain}'}"));
        let two = Space::new("two").security_group("me-both");
        let org = Org::new("o")
            .quota(other)
            .space_quota(SpaceQuota::new("large", limits(50)))
            .space(one)
            .space(two);
        builder()
            .user("ldap/carol")
            .org_quota(OrgQuota::new(other, limits(100)))
            .security_group(SecurityGroup::new("me-both", rule()))
            .org(org)
            .build()
            .unwrap()
    };
    let pruning = converger(&fixture, &now("me-new")).prune(true);
    let plan = Box::pin(pruning.plan()).await.unwrap();
    let changed = plan.resources.iter();
    let changed = changed.filter(|it| it.action != Action::Unchanged);
    let changed: Vec<String> = changed.map(ToString::to_string).collect();
    insta::assert_snapshot!(changed.join("\n"), @"
    + quota me-new
    ~ org o (quota: another -> me-new)
    + space quota large
    ~ space one (quota: another -> large)
    ~ security group me-both (binding: one -> none)
    - org gone
    - quota me-of-gone
    - quota me-old
    - space quota small
    - security group me-gone
    - route old.apps.mock.test
    - user ldap/dave
    - role space_auditor of ldap/carol in o/one
    ");
    let outcome = Box::pin(pruning.converge(Approval::All)).await.unwrap();
    assert!(
        outcome.is_converged(),
        "{:#?} {:#?}",
        outcome.failures,
        outcome.drift
    );
    let state = fixture.mock.state();
    let names = |kind: &str, key: &str| {
        let all = state[kind].as_array().unwrap().iter();
        let mut names: Vec<String> = all.map(|it| it[key].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.join(" ")
    };
    let left = [
        names("organization_quotas", "name"),
        names("space_quotas", "name"),
        names("security_groups", "name"),
        names("routes", "host"),
    ];
    insta::assert_snapshot!(left.join("\n"), @"
    default me-new me-unused
    large
    me-both me-unused
    new unmapped
    ");
    let second = Box::pin(pruning.converge(Approval::None)).await.unwrap();
    assert!(second.is_converged());
    assert!(Box::pin(pruning.plan()).await.unwrap().is_empty());
}

/// A thousand apps in a hundred spaces of ten orgs, with two security groups each.
fn thousand_apps() -> Desired {
    let entry = || ManifestEntry::parse("{memory: 32M, no-route: true}").unwrap();
    let mut desired = builder();
    for org in 0..10 {
        let mut wanted = Org::new(format!("org-{org}"));
        for space in 0..10 {
            let apps = match (org, space) {
                (0, 0) => group("app-{i}", "{memory: 32M, no-route: true}"),
                _ => Group::copy_of("app-{i}", entry(), "org-0/space-0/app"),
            };
            let policy = NetworkPolicy::new("app-*", "app-0", "tcp", (8080, 8080));
            wanted = wanted.space(
                Space::new(format!("space-{space}"))
                    .security_group("me-dns")
                    .security_group("me-web")
                    .network_policy(policy)
                    .group(apps.count(10)),
            );
        }
        desired = desired.org(wanted);
    }
    for name in ["me-dns", "me-web"] {
        desired =
            desired.security_group(SecurityGroup::new(name, vec![Rule::tcp("10.0.0.1", "53")]));
    }
    desired.build().unwrap()
}

#[tokio::test]
async fn a_thousand_apps_in_a_hundred_spaces_take_few_requests() {
    let (fixture, desired) = (fixture().await, thousand_apps());
    fixture.mock.forget_requests();
    assert_eq!(converge(&fixture, &desired).await.changed(), 1000);
    let requests = fixture.mock.requests();
    let count = |start: &str| {
        requests
            .iter()
            .filter(|it| it.path.starts_with(start))
            .count()
    };
    assert!(requests.len() <= 2900, "{} requests", requests.len());
    // One request creates each of the two groups, and each observation lists them with
    // one request.
    assert!(
        count("/v3/security_groups") <= 8,
        "{}",
        count("/v3/security_groups")
    );
    fixture.mock.forget_requests();
    assert_eq!(drift(&fixture, &desired).await, [""; 0]);
    let requests = fixture.mock.requests().len();
    assert!(requests <= 140, "{requests} requests for a hundred spaces");
}

#[tokio::test]
async fn the_isolation_segments_of_all_spaces_are_read_together() {
    let fixture = fixture().await;
    let mut costs = Vec::new();
    for count in [1, 8] {
        let mut org = Org::new("o");
        for number in 0..count {
            org = org.space(Space::new(format!("s-{number}")).isolation_segment("cells"));
        }
        let desired = builder().org(org).build().unwrap();
        converge(&fixture, &desired).await;
        fixture.mock.forget_requests();
        assert_eq!(drift(&fixture, &desired).await, [""; 0]);
        costs.push(fixture.mock.requests().len());
    }
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn only_declared_resources_are_read() {
    let fixture = fixture().await;
    let org =
        Org::new("o").space(Space::new("s").group(group("a", "{memory: 32M, no-route: true}")));
    let desired = builder().org(org).build().unwrap();
    converge(&fixture, &desired).await;
    fixture.mock.forget_requests();
    assert_eq!(drift(&fixture, &desired).await, [""; 0]);
    let requests = fixture.mock.requests();
    let mut read: Vec<&str> = requests
        .iter()
        .map(|it| it.path.split(['?']).next().unwrap())
        .filter(|path| !path.contains("manifest_diff"))
        .collect();
    read.sort_unstable();
    insta::assert_snapshot!(read.join("\n"), @"
    /v3/apps
    /v3/domains
    /v3/droplets
    /v3/organizations
    /v3/processes
    /v3/routes
    ");
}

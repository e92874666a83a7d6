//! Random specs: an export contains the resources that a run created or repaired.
//!
//! `PROPTEST_CASES=200 cargo test --test suite random_specs::` runs more cases, and
//! `PROPTEST_RNG_SEED` selects other ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::random_drift::disturb;
use crate::support::declared::foundation;
use crate::support::{Fixture, Workflow};
use cf_pusher::desired::{
    AppState, Desired, Limit, Limits, Metadata, Org, Role, ServiceKind, Space,
};
use cf_pusher::export::{Export, Exporter};
use cf_pusher::manifest::Variables;
use cf_pusher::{Approval, Converger, ManifestEntry, SpecFile};
use fastrand::Rng;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

/// The number of cases, each of which takes about a second.
const CASES: u32 = 5;

/// The number of disturbances of each case.
const DISTURBANCES: usize = 3;

/// The domain of the apps' routes on the fake.
const APPS_DOMAIN: &str = "apps.mock.test";

/// The value of each variable of an export. It is used unchanged.
const SECRET: &str = "{i} ((x)) {{org}}";

/// Strings of a spec with placeholders, variables and special characters.
static TEXTS: [&str; 14] = [
    "plain",
    "",
    "1",
    "089",
    "1e5",
    "{{i}}",
    "{{{org}}} {other}",
    "$((((x)))) ((no name))",
    "{{apps_domain}}",
    "at {apps_domain}",
    "a: b # c",
    "line\nother",
    "ünïcode \u{1f980}",
    "-",
];

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let is_asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_asked { default.cases } else { CASES },
        failure_persistence: None,
        max_shrink_iters: 20,
        rng_seed: match default.rng_seed {
            RngSeed::Random => RngSeed::Fixed(16),
            fixed => fixed,
        },
        ..default
    }
}

type Entry = Option<(&'static str, Value)>;

fn always(key: &'static str, value: impl Into<Value>) -> BoxedStrategy<Entry> {
    Just(Some((key, value.into()))).boxed()
}

fn maybe(
    key: &'static str,
    value: impl Strategy<Value = impl Into<Value> + std::fmt::Debug> + 'static,
) -> BoxedStrategy<Entry> {
    let value = option::of(value);
    value
        .prop_map(move |value| Some((key, value?.into())))
        .boxed()
}

fn map(entries: Vec<BoxedStrategy<Entry>>) -> BoxedStrategy<Value> {
    let entries = entries.prop_map(|entries| {
        let entries = entries.into_iter().flatten();
        let entries = entries.map(|(key, value)| (key.to_owned(), value));
        Value::Object(entries.collect())
    });
    entries.boxed()
}

/// A random subset.
fn some_of(all: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(all, 0..=all.len())
}

fn texts() -> impl Strategy<Value = &'static str> {
    select(&TEXTS[..])
}

fn labels() -> BoxedStrategy<Value> {
    let note = select(vec!["front", "{{i}}", "a ((((x))))"]);
    map(vec![
        maybe("labels", map(vec![maybe("team", select(vec!["a", "b"]))])),
        maybe("annotations", map(vec![maybe("note", note)])),
    ])
}

fn roles(kinds: &'static [&'static str]) -> impl Strategy<Value = Vec<Value>> {
    let role = |kind: &'static str| {
        select(vec!["alice", "bob"]).prop_map(move |user| json!({"type": kind, "user": user}))
    };
    some_of(kinds).prop_flat_map(move |kinds| kinds.into_iter().map(role).collect::<Vec<_>>())
}

fn health_check() -> BoxedStrategy<Value> {
    let checks = vec![
        json!({}),
        json!({"health-check-type": "process"}),
        json!({"health-check-type": "http", "health-check-http-endpoint": "/up", "timeout": 90}),
        json!({"readiness-health-check-type": "http", "readiness-health-check-http-endpoint": "/r"}),
    ];
    select(checks).boxed()
}

fn size() -> impl Strategy<Value = &'static str> {
    select(vec!["32M", "64M", "1G"])
}

/// An app, whose routes contain `key`. It may have a count of up to three.
fn app(key: String, own_domain: Option<String>) -> BoxedStrategy<Value> {
    any::<bool>()
        .prop_flat_map(move |is_counted| app_of(&key, own_domain.as_deref(), is_counted))
        .boxed()
}

fn app_of(key: &str, own_domain: Option<&str>, is_counted: bool) -> BoxedStrategy<Value> {
    let number = if is_counted { "-{i}" } else { "" };
    let mut routes = vec![
        json!({"route": format!("{key}{number}.{{apps_domain}}")}),
        json!({"route": format!("{key}{number}.{{apps_domain}}/api"), "protocol": "http2"}),
        json!({"route": format!("x{key}{number}.{{apps_domain}}"),
            "options": {"loadbalancing": "least-connection"}}),
    ];
    routes.extend(own_domain.map(|domain| json!({"route": format!("{key}{number}.{domain}")})));
    let most = routes.len();
    let routes = subsequence(routes, 0..=most).prop_map(|routes| match routes.as_slice() {
        [] => json!({"no-route": true}),
        routes => json!({"routes": routes}),
    });
    let name = match is_counted {
        true => Just(format!("{key}-{{i}}")).boxed(),
        false => select(vec![key.to_owned(), format!("{key} ((((x))))")]).boxed(),
    };
    let numbered = select(vec![if is_counted { "number {i}" } else { "none" }]);
    let env = map(vec![
        maybe("ONE", texts()),
        maybe("OTHER", texts()),
        maybe("NUMBER", numbered),
        maybe("DB_PASSWORD", Just(SECRET_IN_SPEC)),
    ]);
    let worker = map(vec![
        always("type", "worker"),
        maybe("command", select(vec!["./work", "./work {i} $((((x))))"])),
        maybe("instances", 0..3_u32),
        maybe("memory", size()),
    ]);
    let sidecar = map(vec![
        always("name", "agent"),
        always("command", "./agent"),
        always("process_types", json!(["web"])),
        maybe("memory", select(vec!["8M", "16M"])),
    ]);
    let mut entries = vec![
        name.prop_map(|name| Some(("name", json!(name)))).boxed(),
        maybe("instances", 0..3_u32),
        maybe("memory", size()),
        maybe("disk_quota", size()),
        maybe("log-rate-limit-per-second", select(vec!["16K", "-1"])),
        maybe(
            "command",
            select(vec!["./run", "./run {i} $((((x)))) {{i}}"]),
        ),
        maybe("buildpacks", Just(json!(["go_buildpack"]))),
        maybe("features", Just(json!({"ssh": false}))),
        maybe("metadata", labels()),
        maybe(
            "services",
            some_of(&["db", "cache"]).prop_map(|it| json!(it)),
        ),
        maybe("env", env),
        maybe("processes", worker.prop_map(|it| json!([it]))),
        maybe("sidecars", sidecar.prop_map(|it| json!([it]))),
        maybe("state", select(vec!["started", "stopped"])),
        always("bundled", "tick"),
    ];
    if is_counted {
        entries.push((0..3_u32).prop_map(|it| Some(("count", json!(it)))).boxed());
    }
    (map(entries), routes, health_check())
        .prop_map(|(app, routes, check)| merged([app, routes, check]))
        .boxed()
}

/// [`SECRET`] as it is escaped in a spec.
const SECRET_IN_SPEC: &str = "{{i}} ((((x)))) {{{org}}}";

fn merged(maps: impl IntoIterator<Item = Value>) -> Value {
    let maps = maps.into_iter();
    let entries = maps.flat_map(|map| map.as_object().cloned().unwrap_or_default());
    Value::Object(entries.collect())
}

fn space(org: usize, number: usize) -> BoxedStrategy<Value> {
    let services = json!([
        {"name": "db", "type": "user-provided", "credentials": {"uri": SECRET_IN_SPEC_OF_SERVICE},
            "tags": ["sql"], "syslog_drain_url": "syslog://logs.test"},
        {"name": "cache", "type": "managed", "offering": "cache-broker", "plan": "small"},
    ]);
    let own_domain = format!("o{org}.test");
    let key = |app: usize| format!("o{org}s{number}a{app}");
    let target = json!([{"name": "target", "bundled": "tick", "no-route": true}]);
    let apps = (app(key(0), Some(own_domain)), option::of(app(key(1), None)));
    let apps = apps.prop_map(move |(first, second)| {
        let mut apps = target.as_array().cloned().unwrap_or_default();
        apps.push(first);
        apps.extend(second);
        json!(apps)
    });
    let policies = select(vec![
        json!([]),
        json!([{"from": "target", "to": "*"}]),
        json!([{"from": "*", "to": "target", "protocol": "udp", "ports": "53-54"}]),
    ]);
    map(vec![
        always("name", format!("s{number}")),
        maybe("quota", Just("half")),
        maybe("features", any::<bool>().prop_map(|it| json!({"ssh": it}))),
        maybe("isolation_segment", Just("cells")),
        always("security_groups", json!(["me-a"])),
        maybe("metadata", labels()),
        maybe("roles", roles(&["space_developer", "space_auditor"])),
        always("service_instances", services),
        maybe("network_policies", policies),
        apps.prop_map(|apps| Some(("apps", apps))).boxed(),
    ])
}

/// [`SECRET`] in the credentials of a service, which have no placeholders.
const SECRET_IN_SPEC_OF_SERVICE: &str = "{i} ((((x)))) {{org}}";

fn org(number: usize) -> BoxedStrategy<Value> {
    let spaces = (space(number, 0), option::of(space(number, 1)));
    let spaces = spaces.prop_map(|(first, second)| {
        json!(std::iter::once(first).chain(second).collect::<Vec<_>>())
    });
    let routes = (50..90_u64).prop_map(|it| {
        json!([{"name": "half", "routes": {"total_routes": it}, "apps": {"per_app_tasks": null}}])
    });
    map(vec![
        always("name", format!("org {{{{i}}}} {number}")),
        always("quota", "me-quota"),
        maybe("suspended", Just(false)),
        maybe("metadata", labels()),
        always("domains", json!([format!("o{number}.test")])),
        maybe(
            "roles",
            roles(&["organization_manager", "organization_auditor"]),
        ),
        routes.prop_map(|it| Some(("space_quotas", it))).boxed(),
        spaces.prop_map(|it| Some(("spaces", it))).boxed(),
    ])
}

/// A spec with one org or two.
fn spec() -> BoxedStrategy<Value> {
    let orgs = (org(0), option::of(org(1)));
    let orgs = orgs.prop_map(|(first, second)| {
        json!(std::iter::once(first).chain(second).collect::<Vec<_>>())
    });
    let quota = (100..200_u64).prop_map(|most| {
        json!([{"name": "me-quota", "apps": {"total_instances": most},
            "services": {"paid_services_allowed": true}}])
    });
    let rules = select(vec!["53", "80,443", "8000-9000"]).prop_map(|ports| {
        json!([{"name": "me-a", "rules": [
            {"protocol": "tcp", "destination": "10.0.0.1", "ports": ports, "description": "{{i}}"},
            {"protocol": "icmp", "destination": "10.0.0.0/8", "type": 0, "code": -1, "log": true},
        ]}])
    });
    map(vec![
        always("version", 1),
        always("name", "me-"),
        quota.prop_map(|it| Some(("org_quotas", it))).boxed(),
        rules.prop_map(|it| Some(("security_groups", it))).boxed(),
        orgs.prop_map(|it| Some(("orgs", it))).boxed(),
    ])
}

/// Every org of a desired state without generators and default values, with sorted lists.
fn expanded(desired: &Desired) -> BTreeMap<String, Value> {
    let orgs = desired.orgs().iter();
    orgs.map(|org| (org.name.clone(), org_of(desired, org)))
        .collect()
}

fn org_of(desired: &Desired, org: &Org) -> Value {
    let in_spaces = org.spaces.iter().flat_map(|space| &space.roles);
    // A role in a space requires one in its org.
    let users = in_spaces.map(|role| Role::new("organization_user", &role.user));
    let quotas = org.space_quotas.iter();
    let spaces = org.spaces.iter().map(|space| space_of(desired, space));
    json!({
        "quota": org.quota.as_deref().unwrap_or("default"),
        "suspended": org.suspended.unwrap_or_default(),
        "metadata": metadata(&org.metadata),
        "domains": org.domains,
        "segment": org.isolation_segment,
        "roles": roles_of(org.roles.iter().cloned().chain(users)),
        "space_quotas": quotas.map(|it| (it.name.clone(), limits(&it.limits))).collect::<Map<_, _>>(),
        "spaces": spaces.collect::<Map<_, _>>(),
    })
}

fn metadata(metadata: &Metadata) -> Value {
    json!([metadata.labels, metadata.annotations])
}

fn roles_of(roles: impl Iterator<Item = Role>) -> BTreeSet<String> {
    let shown = roles.map(|role| {
        let origin = role.origin.as_deref().unwrap_or("uaa");
        format!("{} {} {origin}", role.kind, role.user)
    });
    shown.collect()
}

fn limits(limits: &Limits) -> Value {
    let keys = limits.sections().iter().flat_map(|(section, keys)| {
        keys.iter()
            .map(move |(key, limit)| (format!("{section} {key}"), limit))
    });
    let set = keys.filter(|(_, limit)| !matches!(limit, Limit::Unlimited | Limit::Allowed(true)));
    json!(
        set.map(|(key, limit)| (key, format!("{limit:?}")))
            .collect::<BTreeMap<_, _>>()
    )
}

fn space_of(desired: &Desired, space: &Space) -> (String, Value) {
    let groups = space.security_groups.iter().map(|name| {
        let mut groups = desired.security_groups().iter();
        let group = groups.find(|group| group.name == *name).unwrap();
        (name.clone(), json!(format!("{:?}", group.rules)))
    });
    let services = space.services.iter().map(|service| {
        let kind = match &service.kind {
            ServiceKind::UserProvided {
                credentials,
                syslog_drain_url,
                ..
            } => {
                json!([credentials, syslog_drain_url])
            }
            ServiceKind::Managed { offering, plan, .. } => json!([offering, plan]),
            other => panic!("{other:?}"),
        };
        (service.name.clone(), json!([kind, service.tags]))
    });
    let mut apps = BTreeMap::new();
    for group in &space.groups {
        for index in 0..group.count {
            let is_started = group.state == AppState::Started;
            let app = json!([is_started, app_entry(&group.entry, index)]);
            apps.insert(filled(&group.name, index), app);
        }
    }
    let mut policies = BTreeSet::new();
    for policy in &space.network_policies {
        let matching = |pattern: &str| {
            let names = apps.keys().cloned();
            names
                .filter(|name| pattern == "*" || pattern == name)
                .collect::<Vec<_>>()
        };
        for from in matching(&policy.from) {
            for to in matching(&policy.to) {
                policies.insert(format!(
                    "{from} {to} {} {:?}",
                    policy.protocol, policy.ports
                ));
            }
        }
    }
    let value = json!({
        "quota": space.quota,
        "ssh": space.features.get("ssh").copied().unwrap_or(true),
        "segment": space.isolation_segment,
        "metadata": metadata(&space.metadata),
        "roles": roles_of(space.roles.iter().cloned()),
        "groups": groups.collect::<Map<_, _>>(),
        "services": services.collect::<Map<_, _>>(),
        "apps": apps,
        "policies": policies,
    });
    (space.name.clone(), value)
}

/// The entry of one app, with the Cloud Controller's defaults.
fn app_entry(entry: &ManifestEntry, index: u32) -> Value {
    let mut app = json!(entry);
    let env = entry.env().iter();
    app["env"] = env
        .map(|(key, value)| (key.clone(), json!(filled(value, index))))
        .collect();
    for route in app["routes"].as_array_mut().into_iter().flatten() {
        route["route"] = json!(filled(route["route"].as_str().unwrap(), index));
        let map = route.as_object_mut().unwrap();
        map.entry("protocol").or_insert_with(|| json!("http1"));
    }
    if let Some(routes) = app["routes"].as_array_mut() {
        routes.sort_by_key(|route| route["route"].to_string());
    }
    let process = json!({
        "instances": 1,
        "memory": "1024M",
        "disk_quota": "1024M",
        "log-rate-limit-per-second": "-1",
        "health-check-type": "port",
        "readiness-health-check-type": "process",
    });
    let features = json!({
        "ssh": true,
        "revisions": true,
        "service-binding-k8s": false,
        "file-based-vcap-services": false,
    });
    let of_app =
        json!({"stack": "cflinuxfs4", "lifecycle": "buildpack", "features": {}, "services": []});
    add_defaults(&mut app, &process);
    add_defaults(&mut app, &of_app);
    add_defaults(&mut app["features"], &features);
    for worker in app["processes"].as_array_mut().into_iter().flatten() {
        let mut process = process.clone();
        process["health-check-type"] = json!("process");
        process["instances"] = json!(0);
        add_defaults(worker, &process);
    }
    if let Some(metadata) = app["metadata"].as_object_mut() {
        metadata.retain(|_, part| *part != json!({}));
    }
    let map = app.as_object_mut().unwrap();
    map.retain(|key, value| {
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        let is_bare = key == "metadata" && *value == json!({});
        !is_empty && !value.is_null() && !is_bare
    });
    app
}

fn add_defaults(to: &mut Value, defaults: &Value) {
    let to = to.as_object_mut().unwrap();
    for (key, value) in defaults.as_object().unwrap() {
        to.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// The text of an app, with the placeholders replaced.
fn filled(text: &str, index: u32) -> String {
    let (mut new, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let known = [
            ("{{i}}", "{i}".to_owned()),
            ("{{apps_domain}}", "{apps_domain}".to_owned()),
            ("{i}", index.to_string()),
            ("{apps_domain}", APPS_DOMAIN.to_owned()),
        ];
        let found = known
            .iter()
            .find_map(|(from, to)| Some((rest.strip_prefix(from)?, to)));
        match found {
            Some((after, to)) => {
                new.push_str(to);
                rest = after;
            }
            None => {
                new.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    new
}

/// The desired state that an export writes, with values for its variables.
fn read(export: &Export, folder: &Path) -> Desired {
    let mut variables = Variables::default();
    for variable in &export.variables {
        let value = serde_json::to_string(SECRET).unwrap();
        variables.set(&variable.name, &value).unwrap();
    }
    let file = folder.join("export.yml");
    std::fs::write(&file, &export.text).unwrap();
    match SpecFile::read(&[&file], &variables) {
        Ok(spec) => spec.into_desired(),
        Err(error) => panic!("{error}\n{}", export.text),
    }
}

async fn export(fixture: &Fixture, org: &str, folder: &Path) -> Export {
    let exporter = Exporter::new(fixture.client.clone(), org).bits(folder, "");
    exporter.run().await.unwrap()
}

async fn start() -> Fixture {
    let fixture = Fixture::with(Workflow::Manifest, foundation()).await;
    let cells = json!({"name": "cells"});
    fixture.curl("POST", "/v3/isolation_segments", cells).await;
    fixture
}

async fn converge(fixture: &Fixture, desired: &Desired) {
    let converger = Converger::new(fixture.client.clone(), desired.clone());
    let outcome = Box::pin(converger.converge(Approval::All)).await.unwrap();
    let (failures, drift) = (&outcome.failures, &outcome.drift);
    assert!(outcome.is_converged(), "{failures:#?}\n{drift:#?}");
}

/// Only labels and annotations would change.
async fn check_adoption(fixture: &Fixture, exported: &Desired) {
    let plan = Converger::new(fixture.client.clone(), exported.clone());
    let plan = Box::pin(plan.plan()).await.unwrap();
    let allowed = [
        "label",
        "label managed-by",
        "annotation cf-pusher-prefix",
        "hash of the bits",
    ];
    for resource in &plan.resources {
        for change in &resource.changes {
            let is_adoption = allowed.contains(&change.property.as_str());
            assert!(is_adoption, "{}: {change:?}", resource.target);
        }
    }
}

async fn check(spec: Value, seed: u64) {
    let desired = SpecFile::parse(&spec.to_string(), "random.yml", &Variables::default());
    let desired = desired
        .unwrap_or_else(|error| panic!("{error}\n{spec:#}"))
        .into_desired();
    let fixture = start().await;
    Box::pin(converge(&fixture, &desired)).await;
    let mut random = Rng::with_seed(seed);
    for _ in 0..DISTURBANCES {
        disturb(&fixture, &mut random).await;
    }
    Box::pin(converge(&fixture, &desired)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut exported = BTreeMap::new();
    for org in desired.orgs() {
        let export = export(&fixture, &org.name, folder.path()).await;
        assert!(export.warnings.is_empty(), "{:?}", export.warnings);
        let read = read(&export, folder.path());
        exported.extend(expanded(&read));
        Box::pin(check_adoption(&fixture, &read)).await;
        // The export rebuilds the org on an empty foundation.
        let empty = start().await;
        Box::pin(converge(&empty, &read)).await;
        // A quota that several orgs use is exported only by its name.
        let again = self::export(&empty, &org.name, folder.path()).await;
        let again = self::read(&again, folder.path());
        let (one, other) = (json!(expanded(&read)), json!(expanded(&again)));
        assert!(one == other, "{}", difference("", &one, &other));
    }
    let expected = expanded(&desired);
    assert!(
        expected == exported,
        "{}",
        difference("", &json!(expected), &json!(exported))
    );
}

/// The first difference between two values, with its path.
fn difference(path: &str, one: &Value, other: &Value) -> String {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let parts = keys
                .into_iter()
                .filter(|key| one.get(*key) != other.get(*key));
            let null = Value::Null;
            let parts = parts.map(|key| {
                let of = |map: &'_ Map<String, Value>| map.get(key).unwrap_or(&null).clone();
                difference(&format!("{path}/{key}"), &of(one), &of(other))
            });
            parts.collect()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            let pairs = pairs.filter(|(_, (one, other))| one != other);
            let parts =
                pairs.map(|(at, (one, other))| difference(&format!("{path}/{at}"), one, other));
            parts.collect()
        }
        _ => format!("{path}: {one}, exported {other}\n"),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_export_contains_what_the_spec_declares(spec in spec(), seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check(spec, seed));
    }
}

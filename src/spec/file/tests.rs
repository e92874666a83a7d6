use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value as Json, json};

use super::*;
use crate::desired::{Group, Limit};

/// A spec with every key.
const FULL: &str = include_str!("full.yml");

fn parse(text: &str) -> Result<SpecFile, SpecError> {
    SpecFile::parse(text, "spec.yml", &Variables::default())
}

/// The desired state with the orgs of a spec.
fn orgs(text: &str) -> Desired {
    let text = format!("version: 1\nname: me\n{text}");
    parse(&text).unwrap().into_desired()
}

/// The problems of a spec, without its first two lines.
fn problems(text: &str) -> String {
    let text = format!("version: 1\nname: me\n{text}");
    parse(&text).unwrap_err().to_string()
}

fn apps(desired: &Desired) -> Vec<String> {
    let groups = desired.groups();
    let apps = groups.flat_map(|it| {
        let place = format!("{}/{}", it.space.org.name, it.space.space.name);
        let names = it.group.app_names();
        names
            .map(move |name| format!("{place}/{name}"))
            .collect::<Vec<_>>()
    });
    apps.collect()
}

#[test]
fn counts_multiply_and_the_number_belongs_to_the_nearest_count() {
    let desired = orgs(
        "orgs:
- name: o{i}
  count: 2
  spaces:
  - name: s{org}{space}
    count: 2
    apps:
    - name: a-{org}.{space}.{i}
      count: 2
      bundled: proxy
      routes: [{route: 'a{org}{space}{i}.test'}]
      env: {AT: '{org}.{space}.{i}', KEEP: '{other}'}
    - name: one-{i}
      bundled: proxy
  - name: only
    apps:
    - name: last-{i}
      bundled: proxy
",
    );
    insta::assert_snapshot!(apps(&desired).join("\n"), @"
    o0/s00/a-0.0.0
    o0/s00/a-0.0.1
    o0/s00/one-0
    o0/s01/a-0.1.0
    o0/s01/a-0.1.1
    o0/s01/one-1
    o0/only/last-0
    o1/s10/a-1.0.0
    o1/s10/a-1.0.1
    o1/s10/one-0
    o1/s11/a-1.1.0
    o1/s11/a-1.1.1
    o1/s11/one-1
    o1/only/last-1
    ");
    let group = &desired.orgs()[1].spaces[1].groups[0];
    let entry = group.entry.of_app("a", 1, "apps.test");
    assert_eq!(entry.env()["AT"], "1.1.1");
    assert_eq!(entry.env()["KEEP"], "{other}");
    assert_eq!(entry.routes().unwrap().collect::<Vec<_>>(), ["a111.test"]);
}

#[test]
fn every_key_is_read() {
    let spec = parse(FULL).unwrap_or_else(|error| panic!("{error}"));
    let desired = spec.desired();
    assert_eq!((desired.orgs().len(), desired.app_count()), (2, 2 * 2 * 5));
    let quota = &desired.org_quotas()[0].limits.sections()["apps"];
    assert_eq!(quota["total_instances"], Limit::Most(100));
    assert_eq!(
        quota["log_rate_limit_in_bytes_per_second"],
        Limit::Unlimited
    );
    let org = &desired.orgs()[1];
    assert_eq!(org.metadata.labels["team"], "1");
    assert_eq!(org.domains, ["org-1.example.com"]);
    let space = &org.spaces[0];
    assert_eq!(space.security_groups, ["group-0", "group-1"]);
    assert_eq!(space.services.len(), 2);
    let policies: Vec<String> = space
        .network_policies
        .iter()
        .map(|it| format!("{} {} {} {:?}", it.from, it.to, it.protocol, it.ports))
        .collect();
    assert_eq!(
        policies,
        [
            "web-* worker tcp (8080, 8080)",
            "web-* org-0/space-1/worker udp (7000, 7010)"
        ]
    );
    let worker = &space.groups[1];
    assert_eq!(worker.like.as_deref(), Some("web"));
    assert!(worker.ignores_droplets && !worker.ignores_state);
    let bound = space.bound(worker.entry.clone(), worker, "worker");
    let binding =
        json!([{"name": "queue", "binding_name": "jobs", "parameters": {"prefetch": 10}}]);
    assert_eq!(bound.get("services"), Some(&binding));
}

#[test]
fn a_repeated_entry_is_staged_once() {
    let desired = orgs(
        "orgs:
- name: o{i}
  count: 2
  spaces:
  - name: s{i}
    count: 2
    apps: [{name: 'a-{i}', count: 2, bundled: proxy}, {name: b, bundled: proxy}]
",
    );
    let likes = desired.groups().map(|it| it.group.like.as_deref());
    let likes: Vec<&str> = likes.map(|like| like.unwrap_or("bits")).collect();
    let (a, b) = ("o0/s0/a-{i}", "o0/s0/b");
    assert_eq!(likes, ["bits", "bits", a, b, a, b, a, b]);
}

#[test]
fn a_rendered_spec_declares_the_same_resources() {
    let desired = parse(FULL).unwrap().into_desired();
    let text = SpecFile::render(&desired);
    let again = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.desired(), &desired);
}

#[test]
fn every_problem_is_reported_with_its_line() {
    let text = "\
apps_domian: x
domains: a
users: [a, '', a]
feature_flags: {docker: 1}
protected: ['(']
security_groups:
- name: g
  count: 3
  rules:
  - {protocol: tpc, destination: 10.0.0.1}
  - {destination: 10.0.0.1, port: 80}
orgs:
- nmae: o
- name: o
  count: -1
  roles: [{type: space_developer, user: a}]
- name: p
  quota: 5
  suspended: maybe
  metadata: {labels: [a], extra: {}}
  spaces:
  - name: s
    features: {shh: true}
    security_groups: [f]
    service_instances:
    - {name: db, type: managed, offering: sql}
    - {name: db, type: user-provided, credentials: secret}
    - {name: other, type: brokered}
    network_policies:
    - {from: 'a[0-9]', to: b, ports: 0}
    apps:
    - name: a
      memory: 64
      instances: many
      memroy: 1G
      bundled: procy
      path: a
    - name: b
      count: 2
      like: c
    - memory: 1G
";
    insta::assert_snapshot!(problems(text), @r#"
    spec.yml:3: unknown key `apps_domian`, did you mean `apps_domain`?
    spec.yml:4: `domains` is "a", must be a list of non-empty strings
    spec.yml:5: `users` is "", must be a non-empty string
    spec.yml:5: there is another user named a: spec.yml:5
    spec.yml:6: `docker` is 1, must be true or false
    spec.yml:7: `protected` is "(", must be a regular expression
    spec.yml:9: `name` is "g", must be a name with {i}, because there are 3
    spec.yml:12: `protocol` is "tpc", must be tcp, udp, icmp, icmpv6 or all
    spec.yml:13: unknown key `port`, did you mean `ports`?
    spec.yml:13: `protocol` is missing, must be tcp, udp, icmp, icmpv6 or all
    spec.yml:15: unknown key `nmae`, did you mean `name`?
    spec.yml:15: `name` is missing, must be a non-empty string
    spec.yml:17: `count` is -1, must be a whole number from 0 to 100000
    spec.yml:18: `type` is "space_developer", must be organization_user, organization_auditor, organization_manager or organization_billing_manager
    spec.yml:21: `suspended` is "maybe", must be true or false
    spec.yml:22: `labels` is a list, must be a map of strings
    spec.yml:22: unknown key `extra`, must be labels or annotations
    spec.yml:25: unknown key `shh`, must be ssh
    spec.yml:26: `security_groups` is f, but the spec has no security group of that name
    spec.yml:28: `plan` is missing, must be a non-empty string
    spec.yml:29: `credentials` is "secret", must be a map
    spec.yml:29: there is another service instance named db in the space s: spec.yml:28
    spec.yml:30: `type` is "brokered", must be user-provided or managed
    spec.yml:32: `from` is "a[0-9]", must be a name of an app, or a pattern with `*` and `?`
    spec.yml:32: `ports` is 0, must be a port from 1 to 65535, or a range such as 7000-7010
    spec.yml:35: app a: `memory` is 64, must be a size with a unit, such as 512M or 2G
    spec.yml:36: app a: `instances` is many, must be a whole number
    spec.yml:37: unknown key `memroy`, did you mean `memory`?
    spec.yml:38: `bundled` is "procy", must be proxy, registry or tick
    spec.yml:38: app a: `bundled` cannot be used together with `path`
    spec.yml:39: app a: the path a does not exist
    spec.yml:40: `name` is "b", must be a name with {i}, because there are 2
    spec.yml:42: `like` is c, but the spec has no other app of that name
    spec.yml:43: `name` is missing, must be a non-empty string
    spec.yml:43: an app: needs its bits: `path`, `droplet`, `like`, `bundled` or `docker`, or `state: stopped`
    "#);
}

/// Values that the Cloud Controller would refuse after other resources have changed.
#[test]
fn values_that_the_cloud_controller_refuses_are_reported() {
    let text = "\
domains: [no dots, ok.example.com]
security_groups:
- name: g{i}
  count: 300
  rules:
  - {protocol: tcp, destination: 10.0.0.0/33, ports: '80'}
  - {protocol: udp, destination: 10.0.0.1, ports: http}
  - {protocol: tcp, destination: '10.{i}.0.1'}
  - {protocol: icmp, destination: 10.0.0.1, code: -1}
  - {protocol: all, destination: 10.0.0.1, ports: '80'}
orgs:
- name: o
  domains: [o]
  spaces:
  - name: s
    apps:
    - name: a
      bundled: proxy
      routes: [{route: 'a.{apps_domian}'}, {route: 'a.{x}.test'}, {route: 'a.{apps_domain}'}]
      env: {PORT: 1}
      sidecars: [{name: side, command: ./side}]
      timeout: 0
    - name: b
      bundled: proxy
      env: {VCAP_SERVICES: '{}'}
      routes: [{route: b.test, protcol: http2}]
      health-check-http-endpoint: health
    - {name: c, docker: {image: Not/Lower}}
    service_instances:
    - {name: u, type: user-provided, syslog_drain_url: logs, route_service_url: 'http://proxy.test'}
";
    insta::assert_snapshot!(problems(text), @r#"
    spec.yml:3: `domains` is "no dots", must be the name of a domain, such as apps.example.com
    spec.yml:8: `destination` is "10.0.0.0/33", must be an address, a range such as 10.0.0.1-10.0.0.9, or a CIDR block such as 10.0.0.0/24
    spec.yml:9: `ports` is "http", must be ports from 1 to 65535, such as 443, 80,443 or 8000-9000
    spec.yml:10: `destination` is "10.{i}.0.1", must be an address, a range such as 10.0.0.1-10.0.0.9, or a CIDR block such as 10.0.0.0/24
    spec.yml:10: `ports` is missing, must be ports from 1 to 65535, such as 443, 80,443 or 8000-9000
    spec.yml:11: `type` is missing, must be a whole number from -1 to 255
    spec.yml:12: `ports` is "80", must be omitted, because the protocol is all
    spec.yml:15: `domains` is "o", must be the name of a domain, such as apps.example.com
    spec.yml:21: `route` is "a.{apps_domian}", must be a route without {apps_domian}, did you mean {apps_domain}?
    spec.yml:21: `route` is "a.{x}.test", must be a route without {x}, which is not a placeholder
    spec.yml:22: app a: `env` cannot set PORT, which the Cloud Controller sets
    spec.yml:23: app a: `sidecars` must be a list of maps with `name`, `command` and `process_types`
    spec.yml:24: app a: `timeout` is 0, must be a whole number of at least 1
    spec.yml:27: app b: `env` cannot set VCAP_SERVICES, which the Cloud Controller sets
    spec.yml:28: app b: `routes` cannot have `protcol`, only route, protocol, options
    spec.yml:29: app b: `health-check-http-endpoint` is health, must be a path such as /health
    spec.yml:30: `image` is "Not/Lower", must be [REGISTRY/]NAME[:TAG][@DIGEST] with the name in lower case
    spec.yml:32: `syslog_drain_url` is "logs", must be a URL such as syslog-tls://logs.example.com:6514
    spec.yml:32: `route_service_url` is "http://proxy.test", must be a URL that begins with https://
    "#);
}

#[test]
fn labels_and_annotations_that_the_cloud_controller_refuses_are_reported() {
    let long = "x".repeat(5001);
    let text = format!(
        "\
orgs:
- name: o{{i}}
  count: 60
  metadata: {{labels: {{team: 'shop {{i}}', -x: a, a/b/c: a, nodots/a: a, cloudfoundry.org/a: a}}}}
  spaces:
  - name: s
    metadata:
      labels: {{managed-by: me, example.com/tier: 'web-{{org}}', none: ''}}
      annotations: {{a b: any text, example.com/: x, long: {long}}}
    apps:
    - name: a
      bundled: proxy
      metadata:
        labels: {{tier: 'web!', number: 1, gone: ~, host: 'a.{{apps_domain}}'}}
        annotations: {{a b: ~, c d: '', cf-pusher-prefix: me, note: 'any {{org}}'}}
"
    );
    insta::assert_snapshot!(problems(&text), @r#"
    spec.yml:6: `team` is "shop {i}", must be empty, or at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit
    spec.yml:6: `labels` is "-x", must be a key of at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit, alone or as in example.com/key
    spec.yml:6: `labels` is "a/b/c", must be a key of at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit, alone or as in example.com/key
    spec.yml:6: `labels` is "nodots/a", must be a key of at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit, alone or as in example.com/key
    spec.yml:6: `labels` is "cloudfoundry.org/a", must be a key with another prefix, because cloudfoundry.org is reserved
    spec.yml:10: `labels` is "managed-by", must be omitted, because cf-pusher sets it
    spec.yml:11: `annotations` is "a b", must be a key of at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit, alone or as in example.com/key
    spec.yml:11: `annotations` is "example.com/", must be a key of at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit, alone or as in example.com/key
    spec.yml:11: `long` is "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..., must be an annotation of at most 5000 characters
    spec.yml:16: `tier` is "web!", must be empty, or at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit
    spec.yml:17: `annotations` is "cf-pusher-prefix", must be omitted, because cf-pusher sets it
    "#);
}

#[test]
fn a_key_that_a_variable_supplies_is_not_shown() {
    let mut variables = Variables::default();
    variables
        .add_yaml("labels: {hunter 2: 'hunter 2'}")
        .unwrap();
    let text = "version: 1\nname: me\norgs: [{name: o, metadata: {labels: ((labels))}}]";
    let error = SpecFile::parse(text, "spec.yml", &variables).unwrap_err();
    assert!(!error.to_string().contains("hunter"), "{error}");
}

#[test]
fn invalid_values_are_reported_once() {
    let app = |lines: &str| {
        format!("orgs:\n- name: o\n  spaces:\n  - name: s\n    apps:\n    - {lines}\n")
    };
    let plain = app("name: a\n      bundled: proxy");
    let specs = [
        app("name: a\n      bundled: proxy\n      instances: .inf"),
        app("name: \"a\\e[31m\"\n      bundled: proxy"),
        app("name: a\n      bundled: procy"),
        format!("{plain}---\nname: other\n"),
        format!("{plain}orgs:\n- name: o\n"),
    ];
    insta::assert_snapshot!(specs.map(|spec| problems(&spec)).join("\n"), @r#"
    spec.yml:10: app a: `instances` is inf, must be a whole number
    spec.yml:8: `name` is "a\u{1b}[31m", must be a string without control characters
    spec.yml:9: `bundled` is "procy", must be proxy, registry or tick
    spec.yml:10: invalid YAML: a second document begins here, must be in a separate file
    spec.yml:10: `orgs` is repeated, must be set only once
    "#);
}

#[test]
fn names_must_be_different_after_numbers_are_filled_in() {
    let text = "\
orgs:
- name: o
  spaces:
  - name: s
    apps:
    - {name: 'a-{i}', count: 3, bundled: proxy}
    - {name: A-1, bundled: proxy}
  - name: s
- name: o
";
    insta::assert_snapshot!(problems(text), @"
    spec.yml:9: there is another app named A-1 in the space s: spec.yml:8
    spec.yml:10: there is another space named s in the org o: spec.yml:6
    spec.yml:11: there is another org named o: spec.yml:4
    ");
}

#[test]
fn placeholders_without_a_number_are_refused() {
    let text = "\
orgs:
- name: o-{org}
  spaces:
  - name: s-{i}
    apps:
    - name: a-{space}
      bundled: proxy
      routes: [{route: 'a-{i}.test'}]
    - name: b-{i}
      count: 2
      bundled: proxy
      services: ['db-{i}']
";
    insta::assert_snapshot!(problems(text), @r#"
    spec.yml:4: `name` is "o-{org}", must be a string without {org}: the org has no `count`; {{org}} is the text {org}
    spec.yml:6: `name` is "s-{i}", must be a string without {i}: no enclosing element has a `count`; {{i}} is the text {i}
    spec.yml:8: `name` is "a-{space}", must be a string without {space}: the space has no `count`; {{space}} is the text {space}
    spec.yml:10: `route` is "a-{i}.test", must be a string without {i}: no enclosing element has a `count`; {{i}} is the text {i}
    "#);
}

#[test]
fn exceeding_the_quotas_of_the_spec_is_refused() {
    let text = "\
org_quotas:
- name: small
  apps: {total_instances: 9, total_memory_in_mb: 512, per_process_memory_in_mb: 128, log_rate_limit_in_bytes_per_second: 40000}
  routes: {total_routes: 4}
  services: {total_service_instances: 0}
  domains: {total_domains: 0}
orgs:
- name: o
  quota: small
  domains: [own.test]
  space_quotas:
  - name: tiny
    apps: {total_instances: 4}
  spaces:
  - name: s
    quota: tiny
    service_instances:
    - {name: q, type: managed, offering: rabbit, plan: small}
    apps:
    - name: a-{i}
      count: 3
      instances: 2
      memory: 64M
      log-rate-limit-per-second: 8K
      bundled: proxy
      routes: [{route: 'a-{i}.test'}, {route: all.test}]
    - name: b
      instances: 4
      memory: 256M
      bundled: proxy
      routes: [{route: all.test}, {route: b.test}]
    - name: stopped
      state: stopped
      instances: 100
      like: b
";
    insta::assert_snapshot!(problems(text), @"
    spec.yml:5: `total_instances` of the quota small is 9, and the org o has 10 instances
    spec.yml:5: `total_memory_in_mb` of the quota small is 512, and the org o has 1408 MB
    spec.yml:5: `log_rate_limit_in_bytes_per_second` of the quota small is 40000, and the org o has a log rate of 49152 bytes per second
    spec.yml:5: `per_process_memory_in_mb` of the quota small is 128, and the org o has an app b with 256 MB
    spec.yml:6: `total_routes` of the quota small is 4, and the org o has 5 routes
    spec.yml:7: `total_service_instances` of the quota small is 0, and the org o has 1 managed service instance
    spec.yml:8: `total_domains` of the quota small is 0, and the org o has 1 domain
    spec.yml:15: `total_instances` of the quota tiny is 4, and the space s has 10 instances
    ");
}

#[test]
fn bindings_name_entries_single_apps_and_patterns() {
    let text = |bindings: &str| {
        format!(
            "orgs:
- name: o
  spaces:
  - name: s{{i}}
    count: 2
    service_bindings:
{bindings}
    apps:
    - {{name: 'web-{{i}}', count: 3, bundled: proxy, services: ['own-{{i}}']}}
    - {{name: 'one-{{space}}', bundled: proxy}}
"
        )
    };
    let bindings = "    - {app: 'web-{i}', service_instance: all}
    - {app: web-1, service_instance: single, name: own, parameters: {a: 1}}
    - {app: '*-?', service_instance: any}
    - {app: 'one-{space}', service_instance: 'of-{space}'}";
    let desired = orgs(&text(bindings));
    let space = &desired.orgs()[0].spaces[1];
    let services = |group: usize, index: u32| {
        let group = &space.groups[group];
        let name = group.app_name(index);
        let entry = group.entry.of_app(&name, index, "apps.test");
        let entry = space.bound(entry, group, &name);
        format!("{name} {}", entry.get("services").unwrap())
    };
    let all = [services(0, 0), services(0, 1), services(1, 0)];
    insta::assert_snapshot!(all.join("\n"), @r#"
    web-0 ["all","any","own-0"]
    web-1 ["all","any","own-1",{"name":"single","binding_name":"own","parameters":{"a":1}}]
    one-1 ["any","of-1"]
    "#);
    let wrong = "    - {app: web-1, service_instance: db}
    - {app: 'web-*', service_instance: db}
    - {app: web-7, service_instance: db}
    - {app: 'w[1]', service_instance: db}
    - {app: 'one-{org}', service_instance: db}";
    insta::assert_snapshot!(problems(&text(wrong)), @r#"
    spec.yml:10: there is another service binding named of web-1 to db in the space s0: spec.yml:9
    spec.yml:10: there is another service binding named of web-1 to db in the space s1: spec.yml:9
    spec.yml:11: `app` is web-7, but the space has no app of that name, did you mean `web-{i}`?
    spec.yml:12: `app` is "w[1]", must be a name of an app, or a pattern with `*` and `?`
    spec.yml:13: `app` is "one-{org}", must be a string without {org}: the org has no `count`; {{org}} is the text {org}
    "#);
}

#[test]
fn properties_of_copied_droplets_and_images_are_refused_with_their_line() {
    let text = "\
feature_flags: {diego_docker: false}
orgs:
- name: o
  spaces:
  - name: s{i}
    count: 2
    apps:
    - {name: a, like: b}
    - {name: b, like: a}
    - {name: none, state: stopped}
    - {name: of-none, like: none}
    - {name: 'zero-{i}', count: 0, bundled: proxy}
    - {name: of-zero, like: zero}
    - {name: cnb, bundled: proxy, lifecycle: cnb, buildpacks: [b]}
    - {name: of-cnb, like: cnb}
    - {name: image, docker: {image: i, username: u, password: written}}
    - {name: half, docker: {image: i, username: u}}
    - {name: both, docker: {image: i}, bundled: proxy}
    - {name: odd, docker: {image: i, tag: t}}
";
    insta::assert_snapshot!(problems(text), @"
    spec.yml:10: app a: `like` is not possible: no group in this cycle has bits
    spec.yml:11: app b: `like` is not possible: no group in this cycle has bits
    spec.yml:13: app of-none: `like` is not possible: the other group has no bits
    spec.yml:15: app of-zero: `like` is not possible: the other group has no apps, so it has no droplet
    spec.yml:17: app of-cnb: `like` is not possible: the Cloud Controller does not copy droplets of `lifecycle: cnb`
    spec.yml:18: app image: `docker.password` must be a variable, such as ((docker_password))
    spec.yml:18: app image: `docker` needs the feature flag diego_docker, which the spec disables
    spec.yml:19: app half: `docker` needs the feature flag diego_docker, which the spec disables
    spec.yml:19: app half: the group half cannot have `docker`: `username` and `password` must be set together
    spec.yml:20: app both: `docker` cannot be used together with `bundled`
    spec.yml:20: app both: `docker` needs the feature flag diego_docker, which the spec disables
    spec.yml:20: app both: the group both cannot have `docker`: the apps are staged from other bits
    spec.yml:21: app odd: `docker` cannot have `tag`, only image, username, password
    ");
}

#[test]
fn unknown_references_suggest_the_nearest_name() {
    let text = "\
org_quotas: [{name: small}]
security_groups: [{name: public}]
network_policies:
- {from: o/s/*, to: o/t/web}
orgs:
- name: o
  quota: smal
  spaces:
  - name: s
    quota: none
    security_groups: [pubilc, 'p*']
    service_bindings: [{app: wbe, service_instance: db}]
    network_policies: [{from: web, to: s/worker}]
    apps:
    - {name: web, bundled: proxy}
    - {name: other, like: s/wbe}
    - {name: itself, like: itself}
";
    insta::assert_snapshot!(problems(text), @"
    spec.yml:6: `to` is o/t/web, but the spec has no app of that name
    spec.yml:9: `quota` is smal, but the spec has no org quota of that name, did you mean `small`?
    spec.yml:12: `quota` is none, but the org has no space quota of that name
    spec.yml:13: `security_groups` is pubilc, but the spec has no security group of that name, did you mean `public`?
    spec.yml:14: `app` is wbe, but the space has no app of that name
    spec.yml:15: `to` is s/worker, but that space has no app of that name
    spec.yml:18: `like` is s/wbe, but the spec has no other app of that name
    spec.yml:19: `like` is itself, but the spec has no other app of that name
    ");
}

#[test]
fn variables_are_replaced_and_their_values_are_not_shown() {
    let mut variables = Variables::default();
    variables
        .add_yaml("count: 2\nsecret: hunter2\norg: {name: o, spaces: []}")
        .unwrap();
    let text = "version: 1\nname: me\nusers: ((count))\norgs:\n- ((org))\n- name: p\n  quota: ((none))-((missing))\n  count: ((secret))\n  suspended: ((also))\n";
    let error = SpecFile::parse(text, "spec.yml", &variables).unwrap_err();
    insta::assert_snapshot!(error, @"
    spec.yml:3: `users` is a number that a variable supplies, must be a list of non-empty strings
    spec.yml:7: no value for the variables missing, none
    spec.yml:8: `count` is a string that a variable supplies, must be a whole number from 0 to 100000
    spec.yml:9: no value for the variable also
    ");
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn values_of_variables_are_not_shown_in_plans() {
    let mut variables = Variables::default();
    variables.set("level", "debug").unwrap();
    let text = "version: 1\nname: me\norgs: [{name: o, spaces: [{name: s, apps: [{name: a, bundled: tick, env: {LEVEL: ((level)), MODE: fast, API_KEY: k}}]}]}]";
    let spec = SpecFile::parse(text, "spec.yml", &variables).unwrap();
    let group: &Group = &spec.desired().orgs()[0].spaces[0].groups[0];
    assert_eq!(group.entry.env()["LEVEL"], "debug");
    assert_eq!(group.shown_env.iter().collect::<Vec<_>>(), ["MODE"]);
}

#[test]
fn files_and_folders_are_one_spec() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!("version: 1\nname: me\n{text}");
        std::fs::write(&path, text).unwrap();
        path
    };
    let base = file(
        "base.yml",
        "domains: [a.test]\norgs:\n- name: o\n  quota: q\n  spaces:\n  - name: s\n    apps: [{name: a, path: bits}]\n",
    );
    file(
        "more/1.yml",
        "domains: [b.test]\norgs:\n- name: o\n  quota: q\n  spaces:\n  - name: s\n    apps: [{name: b, path: ../bits}]\n",
    );
    file("more/2.yaml", "orgs:\n- name: p\n  spaces: [{name: s}]\n");
    file("more/notes.txt", "");
    std::fs::create_dir(dir.path().join("bits")).unwrap();
    let paths = [base.clone(), dir.path().join("more")];
    let spec = SpecFile::read(&paths, &Variables::default()).unwrap();
    assert_eq!(spec.desired().domains(), ["a.test", "b.test"]);
    assert_eq!(apps(spec.desired()), ["o/s/a", "o/s/b"]);
    assert_eq!(spec.desired().orgs()[1].name, "p");
    let bits = &spec.desired().orgs()[0].spaces[0].groups[1].bits;
    assert_eq!(
        *bits,
        crate::desired::Bits::folder(dir.path().join("more/../bits"))
    );

    let other = file(
        "other.yml",
        "orgs:\n- name: o\n  quota: r\n  spaces:\n  - name: s\n    apps: [{name: a, path: none}]\n",
    );
    let error = SpecFile::read(&[base, other.clone()], &Variables::default()).unwrap_err();
    let error = error
        .to_string()
        .replace(dir.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(error, @r#"
    DIR/other.yml:5: `quota` is "r", and DIR/base.yml:6 has "q"
    DIR/other.yml:8: app a: the path DIR/none does not exist
    DIR/other.yml:8: there is another app named a in the space s: DIR/base.yml:9
    "#);
    SpecFile::read_without_bits(&[other], &Variables::default()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let error = SpecFile::read(&[empty.path()], &Variables::default()).unwrap_err();
    assert!(matches!(error, SpecError::NoFiles { .. }));
}

#[rstest]
#[case("version: 1\nname: me\na: [", "invalid YAML")]
#[case("", "the spec` is empty, must be a map")]
#[case("version: 2\nname: me", "`version` is 2, must be 1")]
#[case("name: me", "`version` is missing, must be 1")]
#[case(
    "version: 1\nversion: 1\nname: me",
    "spec.yml:2: `version` is repeated"
)]
#[case(
    "version: 1\nname: me\norgs: [{name: 'o{i}', count: 100000, spaces: [{name: 's{i}', count: 100000}]}]",
    "the counts make 10000000000 spaces"
)]
fn a_text_that_is_not_a_spec_is_refused(#[case] text: &str, #[case] expected: &str) {
    let error = parse(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

/// Whether the keys and types of a document are valid. The schema does not cover
/// relations between its parts, and addresses, ports, URLs, labels and names of domains.
fn is_read(document: &Json) -> bool {
    let source = Source {
        name: "spec.yml".to_owned(),
        text: document.to_string(),
        folder: PathBuf::new(),
    };
    let error = match SpecFile::of_sources(&[source], &Variables::default(), false) {
        Ok(_) | Err(SpecError::Desired { .. }) => return true,
        Err(error) => error,
    };
    let SpecError::Invalid { problems } = error else {
        return false;
    };
    problems.iter().all(|problem| match problem.reason() {
        SpecProblemReason::Duplicate { .. }
        | SpecProblemReason::UnknownReference { .. }
        | SpecProblemReason::ExceedsQuota { .. } => true,
        SpecProblemReason::Value { allowed, .. } => {
            let others = [
                "a string without {",
                "a name with {i}",
                "an address, ",
                "ports from ",
                "the name of a domain",
                "omitted, because",
                "a key of at most ",
                "empty, or at most ",
                "a URL ",
            ];
            others.iter().any(|other| allowed.starts_with(other))
        }
        SpecProblemReason::Missing { key, allowed } => match key.as_str() {
            "ports" | "code" => true,
            "type" => allowed.starts_with("a whole number"),
            _ => false,
        },
        SpecProblemReason::Refused { reason, .. } => reason.contains("the spec disables"),
        _ => false,
    })
}

/// The JSON pointers to all values of a document.
fn pointers(value: &Json, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                pointers(value, &format!("{at}/{key}"), all);
            }
        }
        Json::Array(list) => {
            for (place, value) in list.iter().enumerate() {
                pointers(value, &format!("{at}/{place}"), all);
            }
        }
        _ => {}
    }
}

#[test]
fn schema_and_reader_accept_the_same_values() {
    let schema = jsonschema::validator_for(&SpecFile::json_schema()).unwrap();
    let full = crate::manifest::yaml::Value::parse(FULL).unwrap();
    let mut full = serde_json::to_value(full).unwrap();
    // The document is split into parts, because each part is read many times.
    let mut orgs = full["orgs"].take();
    orgs[0]["count"] = json!(1);
    let mut spaces = orgs[0]["spaces"].take();
    spaces[0]["count"] = json!(1);
    let apps = spaces[0]["apps"].take();
    full["orgs"] = json!([]);
    orgs[0]["spaces"] = json!([]);
    spaces[0]["apps"] = json!([]);
    let of_orgs = |orgs: Json| json!({"version": 1, "name": "full", "orgs": orgs});
    let of_spaces = |spaces: Json| of_orgs(json!([{"name": "o", "spaces": spaces}]));
    let of_apps = of_spaces(json!([{"name": "s", "apps": apps}]));
    let parts = [full, of_orgs(orgs), of_spaces(spaces), of_apps];
    let values = [
        json!(null),
        json!(true),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(" "),
        json!("a"),
        json!("64M"),
        json!("[x]"),
        json!("a/b/c/d"),
        json!(["a"]),
        json!([{}]),
        json!({}),
        json!({"a": "b"}),
    ];
    let (mut accepted, mut refused) = (0, 0);
    let mut compare = |document: &Json, what: &str| {
        let is_valid = schema.is_valid(document);
        assert_eq!(is_valid, is_read(document), "{what} in {document}");
        match is_valid {
            true => accepted += 1,
            false => refused += 1,
        }
    };
    for part in &parts {
        assert!(schema.is_valid(part) && is_read(part), "{part}");
        let mut all = Vec::new();
        pointers(part, "", &mut all);
        for pointer in &all {
            for value in &values {
                let mut document = part.clone();
                *document.pointer_mut(pointer).unwrap() = value.clone();
                compare(&document, &format!("{pointer} = {value}"));
            }
            let mut document = part.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
            let parent = document.pointer_mut(parent).filter(|_| !pointer.is_empty());
            if let Some(Json::Object(map)) = parent {
                map.remove(key);
                compare(&document, &format!("without {pointer}"));
            }
            let mut document = part.clone();
            if let Some(Json::Object(map)) = document.pointer_mut(pointer) {
                map.insert("zebra".to_owned(), json!("z"));
                compare(&document, &format!("{pointer} with zebra"));
            }
        }
    }
    assert!(accepted > 500 && refused > 1_000, "{accepted} {refused}");
}

#[test]
fn the_schema_has_every_key_of_the_full_spec() {
    let schema = SpecFile::json_schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let app = &schema["properties"]["orgs"]["anyOf"][0]["items"]["properties"]["spaces"]["anyOf"]
        [0]["items"]["properties"]["apps"]["anyOf"][0]["items"]["properties"];
    let app: BTreeSet<&str> = app
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let known: BTreeSet<&str> = crate::manifest::entry::known_keys()
        .chain([
            "count",
            "state",
            "ignore_changes",
            "like",
            "droplet",
            "bundled",
        ])
        .collect();
    assert_eq!(app, known);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(orgs: |- |name: |\\{i\\}|count: |\n  |[a-z0-9]|\\[|\\{|\\(\\(a\\)\\))*") {
        let _ = parse(&text);
        let _ = parse(&format!("version: 1\nname: a\n{text}"));
    }
}

#[test]
fn escaped_placeholders_and_variables_are_texts() {
    let text = "version: 1
name: me
orgs:
- name: 'o{{i}}'
  spaces:
  - name: s
    apps:
    - name: 'a{{i}}'
      bundled: proxy
      command: 'run {i} {{i}} $((((x))))'
      env: {A: '{{i}} {{org}} {{{apps_domain}}} ((((x)))) ((no name))', B: ((literal))}
      metadata: {annotations: {note: '{{space}}'}}
    - name: n-{i}-{{i}}
      count: 2
      bundled: proxy
";
    let mut variables = Variables::default();
    variables.set("literal", "'{i} ((x)) {{i}}'").unwrap();
    let spec = SpecFile::parse(text, "spec.yml", &variables).unwrap();
    let desired = spec.into_desired();
    assert_eq!(
        apps(&desired),
        ["o{i}/s/a{i}", "o{i}/s/n-0-{i}", "o{i}/s/n-1-{i}"]
    );
    let read = |desired: &Desired| {
        let entry = desired.groups().next().unwrap().group.entry.clone();
        entry.of_app("a{i}", 0, "apps.test")
    };
    let entry = read(&desired);
    assert_eq!(
        entry.env()["A"],
        "{i} {org} {{apps_domain}} ((x)) ((no name))"
    );
    assert_eq!(entry.env()["B"], "{i} ((x)) {{i}}");
    assert_eq!(entry.command(), Some("run {i} {{i}} $((x))"));
    assert_eq!(entry.metadata("annotations").unwrap()["note"], "{space}");
    let again = parse(&SpecFile::render(&desired)).unwrap().into_desired();
    assert_eq!(apps(&again), apps(&desired));
    assert_eq!(read(&again), entry);
}

#[test]
fn a_placeholder_without_a_number_is_a_problem() {
    let text = "orgs:
- name: o
  spaces:
  - name: s
    apps:
    - name: a
      bundled: proxy
      env: {A: 'img-{i}.png'}
      metadata: {annotations: {note: '{org}'}}
";
    insta::assert_snapshot!(problems(text), @r#"
    spec.yml:10: `A` is "img-{i}.png", must be a string without {i}: no enclosing element has a `count`; {{i}} is the text {i}
    spec.yml:11: `note` is "{org}", must be a string without {org}: the org has no `count`; {{org}} is the text {org}
    "#);
}

use rstest::rstest;

use super::*;

fn parse(text: &str) -> ManifestEntry {
    ManifestEntry::parse(text).unwrap()
}

/// Pairs of texts with the same meaning.
#[rstest]
#[case("memory: 1G", "memory: 1024MB")]
#[case("disk-quota: 1G", "disk_quota: 1024M")]
#[case("log-rate-limit-per-second: 1024K", "log-rate-limit-per-second: 1M")]
#[case("log-rate-limit-per-second: -1", "log-rate-limit-per-second: '-1'")]
#[case("instances: 2", "instances: '2'")]
#[case("timeout: 60", "timeout: '60'")]
#[case("env: {A: 1, B: true, C: ~}", "env: {A: '1', B: 'true', C: ''}")]
#[case("buildpack: go_buildpack", "buildpacks: [go_buildpack]")]
#[case("buildpack: default", "buildpacks: []")]
#[case("command: ~", "command: default")]
#[case("command: 'null'", "{}")]
#[case("health-check-type: none", "health-check-type: process")]
#[case("stack: ~", "{}")]
#[case(
    "routes: [{route: https://B.test/Path}, {route: a.test}]",
    "routes: [{route: a.test}, {route: b.test/Path}]"
)]
#[case("services: [b, {name: a}]", "services: [a, b]")]
#[case(
    "sidecars: [{name: s, command: c, process_types: [web], memory: 64}]",
    "sidecars: [{name: s, command: c, process_types: [web], memory: 64M}]"
)]
#[case(
    "{memory: 1G, processes: [{type: web, memory: 2G, disk-quota: 1G}]}",
    "{memory: 2G, disk_quota: 1G}"
)]
#[case(
    "processes: [{type: worker, instances: '1'}, {type: clock, command: ~}]",
    "processes: [{type: clock}, {type: worker, instances: 1}]"
)]
#[case("random-route: false", "no-route: false")]
#[case("applications: [{name: x, memory: 1G}]", "memory: 1G")]
fn equal_entries_have_the_same_normal_form(#[case] one: &str, #[case] other: &str) {
    assert_eq!(parse(one), parse(other));
}

#[rstest]
#[case(
    "memory: 32",
    "`memory` is 32, must be a size with a unit, such as 512M or 2G"
)]
#[case("instances: -1", "`instances` is -1, must be a whole number")]
#[case("timeout: 0", "`timeout` is 0, must be a whole number of at least 1")]
#[case(
    "memory: [1]",
    "`memory` is a list, must be a size with a unit, such as 512M or 2G"
)]
#[case(
    "{disk_quota: 1G, disk-quota: 1G}",
    "`disk-quota` cannot be used together with `disk_quota`"
)]
#[case(
    "{buildpack: a, buildpacks: [b]}",
    "`buildpack` cannot be used together with `buildpacks`"
)]
#[case("env: [{PASSWORD: hunter2}]", "`env` is a list, must be a map")]
#[case(
    "random-route: true",
    "`random-route` would create another route in every run; list the routes instead"
)]
#[case(
    "path: .",
    "`path` has no effect here; the group sets the source of the bits"
)]
#[case("no-route: 1", "`no-route` is a number, must be true or false")]
#[case(
    "{no-route: true, routes: [{route: a.b}]}",
    "`no-route` cannot be used together with routes"
)]
#[case("routes: [a.b]", "`routes` must be a list of maps with a `route`")]
#[case("unheard-of: 1", "`unheard-of` is not a property of an app")]
#[case("user: me", "`user` is not a property of an app")]
#[case(
    "health-check-type: tcp",
    "`health-check-type` is tcp, must be port, process or http"
)]
#[case(
    "features: {ssh: 1}",
    "`features` is a map, must be a map of true or false"
)]
#[case("processes: [{memory: 1G}]", "`processes` must each have a `type`")]
#[case(
    "processes: [{type: web}, {type: web}]",
    "`processes` has the type web twice"
)]
#[case(
    "processes: [{type: web, stack: s}]",
    "`processes` cannot have `stack`, which is not a property of a process"
)]
#[case(
    "applications: [{}, {}]",
    "`applications` must contain exactly one application"
)]
#[case(
    "env: {Vcap_x: 1}",
    "`env` cannot set Vcap_x, which the Cloud Controller sets"
)]
#[case(
    "env: {vmc: 1}",
    "`env` cannot set vmc, which the Cloud Controller sets"
)]
#[case("env: {'': 1}", "`env` cannot have a variable without a name")]
#[case(
    "health-check-http-endpoint: health",
    "`health-check-http-endpoint` is health, must be a path such as /health"
)]
#[case(
    "{health-check-type: port, health-check-http-endpoint: /up}",
    "`health-check-type` is port, must be http, because there is a `health-check-http-endpoint`"
)]
#[case(
    "processes: [{type: a, readiness-health-check-type: process, readiness-health-check-http-endpoint: /up}]",
    "`processes` cannot have a `readiness-health-check-type` that is process, must be http, because there is a `readiness-health-check-http-endpoint`"
)]
#[case(
    "routes: [{route: a.b, protcol: http2}]",
    "`routes` cannot have `protcol`, only route, protocol, options"
)]
#[case(
    "routes: [{route: a.b, protocol: h2}]",
    "`routes` cannot have the protocol \"h2\", only http1, http2, tcp"
)]
#[case(
    "routes: [{route: a.b, options: [x]}]",
    "`routes` must have a map as `options`"
)]
#[case(
    "sidecars: [{name: s, command: c, process_types: [web], memroy: 1M}]",
    "`sidecars` cannot have `memroy`, only name, command, process_types, memory"
)]
#[case(
    "sidecars: [{name: s, command: c, process_types: [web], memory: 0}]",
    "`sidecars` must have a `memory` such as 64M"
)]
#[case(
    "metadata: {labels: {a: [x]}}",
    "`metadata` has a list as `a`, must be a string"
)]
#[case("3", "the entry is a number, must be a map")]
fn other_entries_are_refused(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(
        ManifestEntry::parse(text).unwrap_err().to_string(),
        expected
    );
}

#[test]
fn an_app_has_its_number_and_its_domain() {
    let entry = parse(
        "env: {NUMBER: 'app {i}', URL: 'http://a.{apps_domain}'}\nroutes: [{route: 'tick-{i}.{apps_domain}'}]",
    );
    assert!(entry.needs_apps_domain());
    let app = entry.of_app("tick-7", 7, "apps.test");
    assert_eq!(app.env()["NUMBER"], "app 7");
    assert_eq!(app.env()["URL"], "http://a.apps.test");
    assert_eq!(
        app.routes().unwrap().collect::<Vec<_>>(),
        ["tick-7.apps.test"]
    );
    let default = parse("default-route: true").of_app("Tick", 0, "apps.test");
    assert_eq!(
        default.routes().unwrap().collect::<Vec<_>>(),
        ["tick.apps.test"]
    );
    assert!(!parse("env: {A: 1}").needs_apps_domain());
}

#[test]
fn the_written_properties_depend_on_the_purpose() {
    let entry = parse(
        "{memory: 1G, instances: 2, env: {A: 1}, services: [{name: db, parameters: {a: 1}}], stack: s, routes: [{route: a.test, protocol: http2}]}",
    );
    let written = |purpose| Value::Object(entry.application(purpose)).to_string();
    insta::assert_snapshot!(written(Purpose::Create), @r#"{"env":{"A":"1"},"instances":2,"memory":"1024M","services":[{"name":"db","parameters":{"a":1}}],"stack":"s","routes":[{"route":"a.test","protocol":"http2"}]}"#);
    insta::assert_snapshot!(written(Purpose::Compare), @r#"{"env":{"A":"1"},"services":["db"],"stack":"s","command":null,"routes":[{"route":"a.test","protocol":"http2"}]}"#);
    let none = parse("no-route: true");
    let written = Value::Object(none.application(Purpose::Change)).to_string();
    insta::assert_snapshot!(written, @r#"{"no-route":true}"#);
}

#[test]
fn an_entry_with_a_user_has_an_explicit_web_process() {
    let entry = parse("processes: [{type: web, user: me, memory: 1G}, {type: worker}]");
    let written = Value::Object(entry.application(Purpose::Create)).to_string();
    insta::assert_snapshot!(written, @r#"{"processes":[{"memory":"1024M","user":"me","type":"web"},{"type":"worker"}]}"#);
}

#[rstest]
#[case(-1, "-1")]
#[case(0, "0")]
#[case(1, "1B")]
#[case(16_384, "16K")]
#[case(1_048_576, "1M")]
#[case(1_048_577, "1048577B")]
fn rates_are_written_as_the_cloud_controller_does(#[case] bytes: i64, #[case] expected: &str) {
    assert_eq!(rate_text(bytes), expected);
}

proptest::proptest! {
    #[test]
    fn a_written_entry_reads_the_same(memory in 1_u64..9999, env in proptest::collection::btree_map("[A-Z]{1,4}", "\\PC{0,8}", 0..4)) {
        let entry = ManifestEntry::from_value(json!({"memory": format!("{memory}M"), "env": env})).unwrap();
        let written = Value::Object(entry.application(Purpose::Create));
        assert_eq!(ManifestEntry::from_value(written).unwrap(), entry);
    }
}

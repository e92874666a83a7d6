//! Applies manifests to a space.

use crate::common::{HttpResponse, Session, names, new_route};
use std::time::Duration;

use mock_capi::MockCapi;
use serde_json::{Value, json};

/// The details of the errors in a response.
fn details(answer: &HttpResponse) -> Vec<String> {
    let json = answer.json();
    let errors = json["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{json}"));
    errors
        .iter()
        .map(|error| error["detail"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The only error of a failed job.
fn failure(job: &Value) -> (&Value, &str) {
    assert_eq!(job["state"], "FAILED", "{job}");
    let error = &job["errors"][0];
    (&error["code"], error["detail"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_manifest_sets_every_property_of_an_app() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let manifest = "
applications:
- name: proxy
  buildpacks: [go_buildpack]
  stack: cflinuxfs4
  env: {TEXT: a, NUMBER: 7, FLAG: true, NOTHING: null}
  features: {ssh: false}
  metadata: {labels: {a: b}, annotations: {c: d}}
  memory: 64M
  routes:
  - route: proxy.apps.mock.test/path
    protocol: http2
    options: {loadbalancing: least-connection}
  processes:
  - type: web
    instances: 3
    memory: 1G
    disk_quota: 512M
    log-rate-limit-per-second: 16K
    command: ./serve
    user: ContainerUser
    health-check-type: http
    health-check-http-endpoint: /health
    health-check-invocation-timeout: 2
    health-check-interval: 3
    readiness-health-check-type: http
    readiness-health-check-http-endpoint: /ready
    readiness-health-check-interval: 4
    timeout: 5
  - type: worker
    instances: 0
    command: ./work
  sidecars:
  - name: helper
    command: ./help
    process_types: [web]
    memory: 32M
  what-nobody-knows: ignored
";
    let job = cf.applied(&space, manifest).await;
    assert_eq!(
        (&job["state"], &job["operation"], &job["errors"]),
        (
            &json!("COMPLETE"),
            &json!("space.apply_manifest"),
            &json!([])
        )
    );
    let app = cf.find_app("proxy").await;
    let shown = cf.get(&format!("/v3/apps/{app}/manifest")).await.text;
    let expected = "\
---
applications:
- name: proxy
  env:
    TEXT: a
    NUMBER: \"7\"
    FLAG: \"true\"
    NOTHING: \"\"
  lifecycle: buildpack
  buildpacks:
  - go_buildpack
  stack: cflinuxfs4
  features:
    ssh: false
    revisions: true
    service-binding-k8s: false
    file-based-vcap-services: false
  routes:
  - route: proxy.apps.mock.test/path
    protocol: http2
    options:
      loadbalancing: least-connection
  metadata:
    labels:
      a: b
    annotations:
      c: d
  processes:
  - type: web
    instances: 3
    memory: 1024M
    disk_quota: 512M
    log-rate-limit-per-second: 16K
    command: ./serve
    user: ContainerUser
    health-check-type: http
    health-check-http-endpoint: /health
    health-check-invocation-timeout: 2
    health-check-interval: 3
    readiness-health-check-type: http
    readiness-health-check-http-endpoint: /ready
    readiness-health-check-interval: 4
    timeout: 5
  - type: worker
    instances: 0
    memory: 1024M
    disk_quota: 1024M
    log-rate-limit-per-second: -1
    command: ./work
    health-check-type: process
    readiness-health-check-type: process
  sidecars:
  - name: helper
    process_types:
    - web
    command: ./help
    memory: 32M
";
    let read = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
    assert_eq!(read(&shown), read(expected), "{shown}");

    // Properties that a manifest does not contain are kept, and so are those with the
    // same value.
    let again = "applications: [{name: proxy, instances: 1, command: null, env: {MORE: x}}]";
    assert_eq!(cf.applied(&space, again).await["state"], "COMPLETE");
    let web = cf.get(&format!("/v3/processes/{app}")).await.json();
    assert_eq!(
        (&web["instances"], &web["memory_in_mb"], &web["command"]),
        (&json!(1), &json!(1024), &json!(""))
    );
    let env = cf
        .get(&format!("/v3/apps/{app}/environment_variables"))
        .await
        .json();
    assert_eq!(env["var"]["TEXT"], "a");
    assert_eq!(env["var"]["MORE"], "x");
}

#[tokio::test]
async fn invalid_applications_are_reported_before_anything_changes() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let manifest = json!({"applications": [
        {"name": "right"},
        {"instances": 1},
        {
            "name": "wrong",
            "memory": "lots",
            "disk-quota": 7,
            "instances": -1,
            "health-check-type": "http1",
            "buildpack": 3,
            "buildpacks": ["a", 1],
            "docker": {"image": "an/image"},
            "env": {"VCAP_X": 1},
            "features": {"sshd": true},
            "services": "db",
            "routes": [{"route": "localhost"}, {"route": "a.b", "protocol": "gopher"}],
            "no-route": "perhaps",
            "random-route": true,
            "default-route": true,
            "sidecars": [{"name": "helper"}],
            "processes": [
                {"type": "web", "memory": "0M"},
                {"type": "worker", "instances": "many", "command": ""},
                {"type": "worker", "timeout": 0},
            ],
        },
    ]});
    let answer = cf.apply(&space, &manifest).await;
    assert_eq!(answer.status, 422);
    let of = |index: usize, error: &str| match index {
        1 => format!("For application at index 1: {error}"),
        _ => format!("For application 'wrong': {error}"),
    };
    let reported = details(&answer);
    for expected in [
        of(1, "Name must not be empty"),
        of(1, "Name must be a string"),
        of(2, "Process \"web\": Memory is not a number"),
        of(
            2,
            "Process \"web\": Disk quota must use a supported unit: B, K, KB, M, MB, G, GB, T, or TB",
        ),
        of(2, "Process \"worker\" may only be present once"),
        of(2, "Sidecar \"helper\": Command can't be blank"),
        of(2, "Sidecar \"helper\": Command must be a string"),
        of(2, "Sidecar \"helper\": Process types must be an array"),
        of(
            2,
            "Sidecar \"helper\": Process types must have at least 1 process_type",
        ),
        of(2, "Process \"web\": Memory must be greater than 0MB"),
        of(2, "Process \"worker\": Instances is not a number"),
        of(
            2,
            "Process \"worker\": Command must be between 1 and 4096 characters",
        ),
        of(
            2,
            "Process \"worker\": Timeout must be greater than or equal to 1",
        ),
        of(
            2,
            "Buildpack and Buildpacks fields cannot be used together.",
        ),
        of(2, "Cannot specify both buildpack(s) and docker keys"),
        of(2, "Env cannot start with VCAP_"),
        of(2, "Buildpack must be a string"),
        of(2, "The route 'localhost' is not a properly formed URL"),
        of(2, "Route protocol must be 'http1', 'http2' or 'tcp'."),
        of(2, "No-route must be a boolean"),
        of(2, "Random-route and default-route may not be used together"),
        of(
            2,
            "Features must be a map of valid feature names to booleans (true = enabled, false = disabled)",
        ),
    ] {
        assert!(reported.contains(&expected), "{expected}\n{reported:#?}");
    }
    assert!(cf.names("/v3/apps").await.is_empty());

    for (manifest, expected) in [
        (
            json!([{"name": "a", "instances": 1.5}]),
            "Process \"web\": Instances must be an integer",
        ),
        (
            json!([{"name": "a", "instances": 2_000_001}]),
            "Process \"web\": Instances must be less than or equal to 2000000",
        ),
        (
            json!([{"name": "a", "log-rate-limit-per-second": "-2B"}]),
            "Process \"web\": Log rate limit must be an integer greater than or equal to -1",
        ),
        (
            json!([{"name": "a", "health-check-type": "port", "health-check-http-endpoint": "/"}]),
            "Process \"web\": Health check type must be \"http\" to set a health check HTTP endpoint",
        ),
        (
            json!([{"name": "a", "processes": {"web": {}}}]),
            "Processes must be an array of process configurations",
        ),
        (
            json!([{"name": "a", "routes": ["a.b"]}]),
            "Routes must be a list of route objects",
        ),
        (
            json!([{"name": "a", "routes": [{"route": "a.b", "options": {"loadbalancing": "luck"}}]}]),
            "Cannot use loadbalancing value 'luck' for Route 'a.b'; Valid values are: 'round-robin, least-connection'",
        ),
        (
            json!([{"name": "a", "lifecycle": "cnb"}]),
            "Feature Disabled: diego_cnb",
        ),
        (
            json!([{"name": "a", "metadata": {"labels": {"a b": "c"}}}]),
            "Metadata label key error: 'a b' contains invalid characters",
        ),
        (
            json!([{"name": "a", "buildpacks": ["badpack"]}]),
            "Specified unknown buildpack name: \"badpack\"",
        ),
    ] {
        let answer = cf.apply(&space, json!({"applications": manifest})).await;
        assert_eq!(
            (answer.status.as_u16(), details(&answer)),
            (422, vec![format!("For application 'a': {expected}")])
        );
    }
    let nowhere = cf
        .apply("x", json!({"applications": [{"name": "a"}]}))
        .await;
    assert_eq!(nowhere.error(), (10010, "Space not found".into()));
}

#[tokio::test]
async fn a_refused_change_fails_the_job() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    for (manifest, detail) in [
        (
            json!({"stack": "cflinuxfs9"}),
            "Stack must be an existing stack",
        ),
        (
            json!({"routes": [{"route": "a.nowhere.test"}]}),
            "No domains exist for route a.nowhere.test",
        ),
        (
            json!({"routes": [{"route": "apps.mock.test"}]}),
            "For route 'apps.mock.test': Missing host. Routes in shared domains must have a host defined.",
        ),
        (
            json!({"routes": [{"route": "a.apps.mock.test/"}]}),
            "For route 'a.apps.mock.test/': Path cannot be a single '/'.",
        ),
        (
            json!({"routes": [{"route": "a.apps.mock.test:1024"}]}),
            "For route 'a.apps.mock.test:1024': Reserved route ports quota exceeded for organization 'org'.",
        ),
        (
            json!({"health-check-type": "http"}),
            "health_check_http_endpoint HTTP health check endpoint is not a valid URI path: ",
        ),
        (
            json!({"processes": [{"type": "web", "user": "root"}]}),
            "user invalid (requested user 'root' not allowed, permitted users are: 'vcap', 'ContainerUser')",
        ),
        (
            json!({"sidecars": [{"name": "s", "command": "c", "process_types": ["web"], "memory": "2G"}]}),
            "The memory allocation defined is too large to run with the dependent \"web\" process",
        ),
    ] {
        let mut application = manifest;
        application["name"] = json!("app");
        let job = cf
            .applied(&space, json!({"applications": [application]}))
            .await;
        assert_eq!(
            failure(&job),
            (
                &json!(10008),
                format!("For application 'app': {detail}").as_str()
            )
        );
    }
    let wildcard =
        json!({"applications": [{"name": "app", "routes": [{"route": "*.apps.mock.test"}]}]});
    let job = cf.applied(&space, wildcard).await;
    assert_eq!(
        failure(&job),
        (
            &json!(10003),
            "You are not authorized to perform the requested action"
        )
    );
}

#[tokio::test]
async fn routes_are_found_created_and_mapped() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let elsewhere = cf.create_space(&org, "elsewhere").await;
    let domain = cf.default_domain(&org).await;
    cf.post("/v3/routes", new_route(&elsewhere, &domain, "foreign"))
        .await;
    let urls = async |app: &str| -> Vec<String> {
        let routes = cf.get(&format!("/v3/apps/{app}/routes")).await.json();
        let routes = routes["resources"].as_array().cloned().unwrap_or_default();
        routes
            .iter()
            .map(|route| route["url"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let of = |name: &str, routes: Value| {
        let mut application = routes;
        application["name"] = json!(name);
        json!({"applications": [application]})
    };
    let foreign = of(
        "app",
        json!({"routes": [{"route": "foreign.apps.mock.test"}]}),
    );
    assert_eq!(
        failure(&cf.applied(&space, foreign).await).1,
        "For application 'app': Routes cannot be mapped to destinations in different spaces"
    );
    let app = cf.find_app("app").await;
    assert!(urls(&app).await.is_empty());

    let default = of("app", json!({"default-route": true}));
    cf.applied(&space, &default).await;
    assert_eq!(urls(&app).await, ["app.apps.mock.test"]);
    // An app with a route needs no default route.
    cf.applied(&space, of("app", json!({"random-route": true})))
        .await;
    assert_eq!(urls(&app).await, ["app.apps.mock.test"]);
    let other = of(
        "app",
        json!({"routes": [{"route": "https://other.apps.mock.test/x", "protocol": "http2"}]}),
    );
    cf.applied(&space, &other).await;
    assert_eq!(
        urls(&app).await,
        ["app.apps.mock.test", "other.apps.mock.test/x"]
    );
    cf.applied(&space, of("app", json!({"no-route": true})))
        .await;
    assert!(urls(&app).await.is_empty());
    cf.applied(&space, &other).await;
    assert_eq!(urls(&app).await, ["other.apps.mock.test/x"]);

    cf.applied(&space, of("lucky", json!({"random-route": true})))
        .await;
    let lucky = cf.find_app("lucky").await;
    let random = urls(&lucky).await;
    let words = random[0].split('.').next().unwrap_or_default();
    assert_eq!(words.split('-').count(), 4, "{random:?}");

    let dotted = of("a.b", json!({"default-route": true}));
    assert_eq!(
        failure(&cf.applied(&space, dotted).await).1,
        "For application 'a.b': Failed to create default route from app name: \
         Host must be either \"*\" or contain only alphanumeric characters, \"_\", or \"-\""
    );
}

#[tokio::test]
async fn quotas_limit_scaling_by_manifests() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let quota = json!({
        "name": "small",
        "apps": {"total_memory_in_mb": 2048},
        "relationships": {"organizations": {"data": [{"guid": org}]}},
    });
    cf.post("/v3/organization_quotas", quota).await;
    let app = cf.staged_app(&space, "app").await;
    cf.act(&app, "start").await;
    let manifest = json!({"applications": [
        {"name": "app", "instances": 3, "env": {"A": "b"}},
        {"name": "next", "instances": 2},
    ]});
    let job = cf.applied(&space, &manifest).await;
    assert_eq!(
        failure(&job),
        (
            &json!(10008),
            "For application 'app': memory quota_exceeded"
        )
    );
    // The job ends at the first error. The apps that the request created are kept.
    assert_eq!(cf.instance_states(&app).await.len(), 1);
    let next = cf.find_app("next").await;
    let web = cf.get(&format!("/v3/processes/{next}")).await.json();
    assert_eq!(web["instances"], 1);
    let env = cf
        .get(&format!("/v3/apps/{app}/environment_variables"))
        .await
        .json();
    assert_eq!(env["var"], json!({}));
}

#[tokio::test]
async fn unusual_yaml_is_read_like_in_the_cloud_controller() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let manifest =
        "applications:\n- name: first\n  name: app\n  instances: 010\n  env: {A: yes, A: 017}\n";
    assert_eq!(cf.applied(&space, manifest).await["state"], "COMPLETE");
    let app = cf.find_app("app").await;
    let web = cf.get(&format!("/v3/processes/{app}")).await.json();
    assert_eq!(web["instances"], 8);
    let env = format!("/v3/apps/{app}/environment_variables");
    assert_eq!(cf.get(&env).await.json()["var"], json!({"A": "15"}));
}

#[tokio::test]
async fn a_manifest_must_fit_the_lifecycle_of_its_app() {
    let cf = Session::v3().await;
    cf.allow_docker().await;
    let (_, space) = cf.space().await;
    let image = json!({"applications": [{"name": "image", "docker": {"image": "an/image"}}]});
    assert_eq!(cf.applied(&space, &image).await["state"], "COMPLETE");
    let app = cf.find_app("image").await;
    assert_eq!(
        cf.get(&format!("/v3/apps/{app}")).await.json()["lifecycle"]["type"],
        "docker"
    );
    for (manifest, detail) in [
        (
            json!({"name": "image", "buildpacks": ["go_buildpack"]}),
            "For application 'image': Buildpacks cannot be configured for a docker lifecycle app.",
        ),
        (
            json!({"name": "image", "buildpack": "go_buildpack"}),
            "For application 'image': Buildpack cannot be configured for a docker lifecycle app.",
        ),
    ] {
        let answer = cf.apply(&space, json!({"applications": [manifest]})).await;
        assert_eq!(answer.error().1, detail);
    }
    cf.create_app(&space, "bits").await;
    let manifest = json!({"applications": [{"name": "bits", "docker": {"image": "x"}}]});
    assert_eq!(
        cf.apply(&space, manifest).await.error(),
        (
            10008,
            "For application 'bits': Docker cannot be configured for a buildpack lifecycle app."
                .into()
        )
    );
}

#[tokio::test]
async fn sidecars_are_created_and_deleted_with_their_app() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let path = format!("/v3/apps/{app}/sidecars");
    let new = json!({
        "name": "helper",
        "command": "./help",
        "process_types": ["web", "worker"],
        "memory_in_mb": 300,
    });
    let created = cf.post(&path, new.clone()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let sidecar = format!("/v3/sidecars/{}", created.guid());
    assert_eq!(created.json()["origin"], "user");
    assert_eq!(created.json()["relationships"]["app"]["data"]["guid"], app);
    for (body, detail) in [
        (
            new,
            "Sidecar with name 'helper' already exists for given app",
        ),
        (
            json!({"name": "s", "command": "c", "process_types": ["web", ""]}),
            "type presence",
        ),
        (
            json!({"name": "s", "command": "c", "process_types": ["x".repeat(256)]}),
            "Process type is too long (maximum is 255 characters)",
        ),
        (
            json!({"name": "x", "command": "y", "process_types": ["web"], "memory_in_mb": 1024}),
            "The memory allocation defined is too large to run with the dependent \"web\" process",
        ),
        (
            json!({"name": "x", "command": "y", "process_types": []}),
            "Process types must have at least 1 process_type",
        ),
        (
            json!({"name": "x", "command": "y", "process_types": ["web"], "memory_in_mb": 0}),
            "Memory in mb must be greater than 0",
        ),
        (
            json!({"name": "x", "process_types": ["web"], "why": 1}),
            "Unknown field(s): 'why', Command can't be blank, Command must be a string",
        ),
    ] {
        assert_eq!(cf.post(&path, body).await.error(), (10008, detail.into()));
    }
    assert_eq!(
        cf.scale(&app, json!({"memory_in_mb": 300})).await.error().1,
        "The requested memory allocation is not large enough to run all of your sidecar processes"
    );
    let of_web = format!("/v3/processes/{app}/sidecars");
    assert_eq!(cf.names(&of_web).await, ["helper"]);
    let changed = cf
        .patch(&sidecar, json!({"process_types": ["worker"]}))
        .await;
    assert_eq!(changed.json()["process_types"], json!(["worker"]));
    assert_eq!(changed.json()["memory_in_mb"], 300);
    assert!(cf.names(&of_web).await.is_empty());
    assert_eq!(cf.names(&path).await, ["helper"]);
    assert_eq!(cf.delete(&sidecar).await.status, 204);
    assert_eq!(
        cf.get(&sidecar).await.error(),
        (10010, "Sidecar not found".into())
    );
    cf.post(
        &path,
        json!({"name": "x", "command": "y", "process_types": ["web"]}),
    )
    .await;
    cf.delete(&format!("/v3/apps/{app}")).await;
    assert_eq!(cf.mock.state()["sidecars"], json!([]));
}

#[tokio::test]
async fn features_are_enabled_and_disabled() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let path = format!("/v3/apps/{app}/features");
    let list = cf.get(&path).await.json();
    assert_eq!(
        names(&list),
        [
            "ssh",
            "revisions",
            "service-binding-k8s",
            "file-based-vcap-services"
        ]
    );
    let ssh = format!("{path}/ssh");
    let off = cf.patch(&ssh, json!({"enabled": false})).await;
    assert_eq!(
        off.json(),
        json!({"name": "ssh", "description": "Enable SSHing into the app.", "enabled": false})
    );
    assert_eq!(
        cf.get(&format!("/v3/apps/{app}/ssh_enabled")).await.json(),
        json!({"enabled": false, "reason": "ssh is disabled for app"})
    );
    assert_eq!(
        cf.patch(&ssh, json!({})).await.error(),
        (10008, "Enabled must be a boolean".into())
    );
    assert_eq!(
        cf.get(&format!("{path}/telnet")).await.error(),
        (10010, "Feature not found".into())
    );
    let both = "applications: [{name: app, features: {service-binding-k8s: true, file-based-vcap-services: true}}]";
    assert_eq!(
        failure(&cf.applied(&space, both).await).1,
        "For application 'app': 'file-based-vcap-services' and 'service-binding-k8s' features cannot be enabled at the same time."
    );
}

#[tokio::test]
async fn a_diff_contains_the_changes_of_a_manifest() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = json!({
        "name": "app",
        "env": {"OLD": "1", "SAME": "x"},
        "sidecars": [{"name": "s", "command": "old", "process_types": ["web"], "memory": "32M"}],
        "routes": [{"route": "app.apps.mock.test"}],
        "processes": [{"type": "web", "memory": "256M"}, {"type": "worker"}],
    });
    cf.applied(&space, json!({"applications": [app]})).await;
    let path = format!("/v3/spaces/{space}/manifest_diff");
    let wanted = json!({"applications": [
        {
            "name": "app",
            "unheard-of": 1,
            "memory": "99G",
            "env": {"SAME": "x", "NEW": 2},
            "sidecars": [{"name": "s", "command": "new", "process_types": ["web"], "x": 1}],
            "routes": [{"route": "app.apps.mock.test", "protocol": "http2"}],
            "features": {"ssh": false},
            "processes": [{"type": "web", "memory": "1G", "user": "vcap"}],
        },
        {"name": "new", "random-route": true},
    ]});
    let diff = cf.post_yaml(&path, &wanted).await;
    assert_eq!(diff.status, 201);
    assert_eq!(
        diff.json()["diff"],
        json!([
            {"op": "remove", "path": "/applications/0/env/OLD", "was": "1"},
            {"op": "add", "path": "/applications/0/env/NEW", "value": 2},
            {"op": "replace", "path": "/applications/0/sidecars/0/command", "was": "old", "value": "new"},
            {"op": "replace", "path": "/applications/0/routes/0/protocol", "was": "http1", "value": "http2"},
            {"op": "replace", "path": "/applications/0/features/ssh", "was": true, "value": false},
            {"op": "add", "path": "/applications/0/processes/0/user", "value": "vcap"},
            {"op": "replace", "path": "/applications/0/processes/0/memory", "was": "256M", "value": "1024M"},
            {"op": "add", "path": "/applications/1/name", "value": "new"},
            {"op": "add", "path": "/applications/1/random-route", "value": true},
        ])
    );
}

#[tokio::test]
async fn yaml_is_read_like_in_psych() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let manifest = "
applications:
- name: app
  env:
    PIN: 007
    POST_CODE: 08
    TIME: 12:30:45
    SIZE: 1_000
    EXPONENT: 1e3
    FLAG: yes
    Y: y
    JSON: {level: {name: low}, on: true}
    LIST: [1, a, ~]
---
applications: [{name: other}]
";
    assert_eq!(cf.applied(&space, manifest).await["state"], "COMPLETE");
    let app = cf.find_app("app").await;
    let env = cf
        .get(&format!("/v3/apps/{app}/environment_variables"))
        .await;
    assert_eq!(
        env.json()["var"],
        json!({
            "PIN": "7",
            "POST_CODE": "08",
            "TIME": "45045",
            "SIZE": "1000",
            "EXPONENT": "1e3",
            "FLAG": "true",
            "Y": "y",
            "JSON": "{:level=>{:name=>\"low\"}, true=>true}",
            "LIST": "[1, \"a\", nil]",
        })
    );
    assert_eq!(cf.names("/v3/apps").await, ["app"]);
    let number = cf
        .apply(&space, "applications: [{name: app, env: {1: b}}]")
        .await;
    assert_eq!(
        number.error().1,
        "For application 'app': Env key must be a string"
    );
}

#[tokio::test]
async fn a_diff_removes_from_the_end_and_moves_the_rest() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let manifest = "applications: [{name: app, routes: [{route: a.apps.mock.test}, {route: b.apps.mock.test}, {route: c.apps.mock.test}]}]";
    assert_eq!(cf.applied(&space, manifest).await["state"], "COMPLETE");
    let diff = async |manifest: &str| {
        let path = format!("/v3/spaces/{space}/manifest_diff");
        cf.post_yaml(&path, manifest).await.json()["diff"].clone()
    };
    let route = |host: &str| json!({"route": format!("{host}.apps.mock.test"), "protocol": "http1", "options": {}});
    // The entry after a dropped one is skipped.
    assert_eq!(
        diff("applications: [{name: app, routes: [{route: d.apps.mock.test}]}]").await,
        json!([
            {"op": "remove", "path": "/applications/0/routes/0", "was": route("b")},
            {"op": "add", "path": "/applications/0/routes/0", "value": {"route": "d.apps.mock.test"}},
        ])
    );
    assert_eq!(
        diff("applications: [{name: app, routes: [{route: b.apps.mock.test}, {route: a.apps.mock.test}, {route: c.apps.mock.test}]}]").await,
        json!([{"op": "move", "from": "/0", "path": "/applications/0/routes/1"}])
    );
}

#[tokio::test]
async fn a_manifest_cannot_scale_an_app_during_a_deployment() {
    let slow = Duration::from_secs(3600);
    let cf = Session::start(MockCapi::builder().start_time(slow)).await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    assert_eq!(cf.act(&app, "start").await.status, 200);
    let deployment = json!({"relationships": {"app": {"data": {"guid": app}}}});
    assert_eq!(cf.post("/v3/deployments", deployment).await.status, 201);
    for (change, verb) in [("instances: 7", "scale"), ("command: foo", "update")] {
        let manifest = format!("applications: [{{name: app, {change}}}]");
        let job = cf.applied(&space, manifest).await;
        assert_eq!(job["state"], "FAILED", "{job}");
        assert_eq!(
            job["errors"][0]["detail"],
            format!(
                "For application 'app': Cannot {verb} this process while a deployment is in flight."
            )
        );
    }
    let job = cf
        .applied(&space, "applications: [{name: app, env: {A: 1}}]")
        .await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    // Each manifest is recorded, without the variables.
    let path = format!("/v3/audit_events?target_guids={app}&types=audit.app.apply_manifest");
    let events = cf.get(&path).await.json();
    assert_eq!(events["pagination"]["total_results"], 3);
    assert_eq!(
        events["resources"][2]["data"]["request"]["manifest"],
        "---\napplications:\n- name: app\n  env: \"[PRIVATE DATA HIDDEN]\"\n"
    );
}

#[tokio::test]
async fn a_job_fails_if_a_type_is_not_a_string_or_a_host_is_too_long() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let job = cf
        .applied(
            &space,
            "applications: [{name: app, processes: [{type: 5}]}]",
        )
        .await;
    assert_eq!(job["state"], "FAILED");
    assert_eq!(job["errors"][0]["code"], 10001);
    let app = cf.find_app("app").await;
    let processes = cf.get(&format!("/v3/apps/{app}/processes")).await.json();
    assert_eq!(processes["pagination"]["total_results"], 1);

    let host = "a".repeat(64);
    let manifest =
        format!("applications: [{{name: app, routes: [{{route: {host}.apps.mock.test}}]}}]");
    let job = cf.applied(&space, manifest).await;
    assert_eq!(
        job["errors"][0]["detail"],
        format!(
            "For application 'app': For route '{host}.apps.mock.test': \
             host must be no more than 63 characters"
        )
    );
}

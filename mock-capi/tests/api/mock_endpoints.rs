//! The endpoints below `/_mock/`, for tests in any language, and the corresponding
//! functions for tests in Rust.

use mock_capi::{Dialect, MockCapi, StartError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{HttpResponse, Session, send};

async fn own(cf: &Session, method: Method, endpoint: &str, body: Value) -> HttpResponse {
    let url = format!("{}/_mock/{endpoint}", cf.mock.uri());
    let request = cf.http.request(method, url);
    let request = if body.is_null() {
        request
    } else {
        request.json(&body)
    };
    send(request).await
}

#[tokio::test]
async fn the_health_endpoint_responds() {
    let cf = Session::v3().await;
    let health = own(&cf, Method::GET, "health", Value::Null).await;
    assert_eq!(health.status, 200);
    assert_eq!(health.json(), json!({"status": "ok", "uri": cf.mock.uri()}));
}

#[tokio::test]
async fn requests_are_found_with_headers_and_bodies() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    let (_, space) = cf.space().await;
    cf.create_app(&space, "a").await;
    cf.log_in_as("dev", "secret").await;
    cf.get("/v3/apps?names=a").await;
    let find = async |query: &str| {
        let found = own(&cf, Method::GET, &format!("requests?{query}"), Value::Null).await;
        found.json().as_array().unwrap().clone()
    };
    let created = find("method=POST&path=/v3/apps&user=admin&status=201").await;
    assert_eq!(created.len(), 1);
    let body: Value = serde_json::from_str(created[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["name"], "a");
    assert_eq!(created[0]["headers"]["content-type"], "application/json");
    let read = find("user=dev").await;
    assert_eq!(read[0]["path"], "/v3/apps?names=a");
    let short = find("path=/v3/apps&short=true").await;
    assert_eq!((short.len(), short[0].get("body")), (2, None));
    // A number that does not exist belongs to an earlier mock.
    assert_eq!(
        find("after=100000").await.len(),
        find("after=0").await.len()
    );
    assert_eq!(
        own(&cf, Method::DELETE, "requests", Value::Null)
            .await
            .status,
        204
    );
    assert!(find("").await.is_empty());
}

#[tokio::test]
async fn requests_are_verified_and_near_misses_shown() {
    let cf = Session::v3().await;
    cf.create_org("a").await;
    let verify = async |verification: Value| {
        let answer = own(&cf, Method::POST, "verify", verification).await;
        (answer.status.as_u16(), answer.json())
    };
    let created = json!({"method": "POST", "path": "/v3/organizations", "body": {"name": "a"}});
    let (status, verified) = verify(json!({"request": created, "count": 1})).await;
    assert_eq!((status, &verified["count"]), (200, &json!(1)));
    let (status, verified) = verify(json!({
        "request": {"method": "POST", "path": "/v3/organizations", "body": {"name": "b"}},
    }))
    .await;
    assert_eq!((status, &verified["met"]), (409, &json!(false)));
    assert_eq!(verified["near_misses"][0]["path"], "/v3/organizations");
    let (status, _) = verify(json!({"request": {"verb": "POST"}})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_stub_precedes_the_fake_until_it_is_used_up_or_reset() {
    let cf = Session::v3().await;
    let stubs = json!([
        {"method": "GET", "path": "/v3/experimental", "body": {"resources": []}},
        {"path": "/v3/apps", "status": 502, "headers": {"Content-Type": "text/html", "X-By": "proxy"},
         "body": "<h1>Bad Gateway</h1>", "times": 1},
    ]);
    assert_eq!(own(&cf, Method::PUT, "stubs", stubs).await.status, 204);
    assert_eq!(
        cf.get("/v3/experimental").await.json(),
        json!({"resources": []})
    );
    let spoiled = cf.get("/v3/apps").await;
    assert_eq!(
        (spoiled.status.as_u16(), spoiled.text.as_str()),
        (502, "<h1>Bad Gateway</h1>")
    );
    assert_eq!(
        (spoiled.header("content-type"), spoiled.header("x-by")),
        ("text/html", "proxy")
    );
    assert_eq!(cf.get("/v3/apps").await.status, 200);
    let list = own(&cf, Method::GET, "stubs", Value::Null).await.json();
    assert_eq!(
        [&list[0]["answered"], &list[1]["answered"]],
        [&json!(1), &json!(1)]
    );
    cf.mock.reset();
    assert_eq!(cf.get("/v3/experimental").await.status, 404);
    for wrong in [
        json!([{"path": "v3"}]),
        json!([{"path": "/", "status": 99}]),
        json!([{"path": "/", "headers": {"a b": "c"}}]),
        json!([{"url": "/"}]),
    ] {
        let refused = own(&cf, Method::PUT, "stubs", wrong.clone()).await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_snapshot_can_be_restored() {
    let cf = Session::v3().await;
    cf.create_org("kept").await;
    let snapshot = own(&cf, Method::GET, "snapshot", Value::Null).await.json();
    cf.create_org("lost").await;
    assert_eq!(
        own(&cf, Method::PUT, "snapshot", snapshot.clone())
            .await
            .status,
        204
    );
    assert_eq!(cf.names("/v3/organizations").await, ["kept"]);
    let other = Session::start(MockCapi::builder().dialect(Dialect::Documented2017)).await;
    let refused = own(&other, Method::PUT, "snapshot", snapshot).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .error()
            .1
            .contains("it is from a mock with the dialect v3"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_clock_can_be_stopped_set_and_restarted() {
    let cf = Session::v3().await;
    let set = async |setting: Value| own(&cf, Method::PUT, "clock", setting).await.status;
    let read = async || own(&cf, Method::GET, "clock", Value::Null).await.json();
    assert_eq!(
        set(json!({"at": "2030-01-01T00:00:00Z", "frozen": true})).await,
        204
    );
    let frozen = json!({"now": "2030-01-01T00:00:00Z", "frozen": true});
    assert_eq!(read().await, frozen);
    cf.mock.advance(std::time::Duration::from_secs(60));
    assert_eq!(read().await["now"], "2030-01-01T00:01:00Z");
    assert_eq!(set(json!({"at": "2029-01-01T00:00:00Z"})).await, 400);
    assert_eq!(set(json!({"frozen": false})).await, 204);
    assert_eq!(read().await["frozen"], false);
}

#[tokio::test]
async fn a_reset_restores_the_clock() {
    let century = std::time::Duration::from_secs(100 * 365 * 86_400);
    let cf = Session::start(MockCapi::builder().token_lifetime(century)).await;
    let read = async || own(&cf, Method::GET, "clock", Value::Null).await.json();
    let before = read().await["now"].clone();
    let later = json!({"at": "2090-01-01T00:00:00Z", "frozen": true});
    own(&cf, Method::PUT, "clock", later).await;
    cf.create_org("of-2090").await;
    own(&cf, Method::POST, "reset", Value::Null).await;
    let after = read().await;
    assert_eq!(after["frozen"], false);
    let (before, now) = (before.as_str().unwrap(), after["now"].as_str().unwrap());
    assert!(before <= now && now < "2090", "{now}");
    // The token was issued at that time and is still valid.
    let org = cf
        .post("/v3/organizations", json!({"name": "of-today"}))
        .await;
    let created = org.json()["created_at"].as_str().unwrap().to_owned();
    assert!(created.as_str() < "2090", "{created}");
}

#[tokio::test]
async fn dropped_events_and_requests_are_counted() {
    let builder = MockCapi::builder().keep_events(4).keep_requests(10);
    let cf = Session::start(builder).await;
    let (_, space) = cf.space().await;
    for number in 0..20 {
        let app = cf.create_app(&space, &format!("app-{number}")).await;
        cf.delete(&format!("/v3/apps/{app}")).await;
    }
    let events = cf.get("/v3/audit_events").await.json();
    assert_eq!(events["pagination"]["total_results"], 4);
    assert_eq!(events["resources"][3]["target"]["name"], "app-19");
    let requests = own(&cf, Method::GET, "requests", Value::Null).await.json();
    assert_eq!(requests.as_array().map(Vec::len), Some(10));
    let stats = own(&cf, Method::GET, "stats", Value::Null).await.json();
    let forgotten = &stats["forgotten"];
    let total = stats["total"].as_u64().unwrap();
    assert_eq!(forgotten["requests"], total - 10);
    assert!(forgotten["events"].as_u64().unwrap() >= 36, "{forgotten}");
    assert_eq!([&forgotten["jobs"], &forgotten["log_lines"]], [0, 0]);
}

#[tokio::test]
async fn ten_thousand_finished_jobs_are_kept() {
    let cf = Session::start(MockCapi::builder().front().keep_events(10)).await;
    let url = format!("{}/v3/admin/actions/clear_buildpack_cache", cf.mock.uri());
    let clear = async |count: usize| {
        let mut first = String::new();
        for _ in 0..count {
            let request = cf.http.post(&url).bearer_auth(&cf.token);
            let answer = send(request).await;
            if first.is_empty() {
                first = answer.header("location").to_owned();
            }
        }
        first
    };
    let first = clear(1).await;
    let firsts = tokio::join!(clear(2500), clear(2500), clear(2500), clear(2499));
    assert_eq!(cf.get(&first).await.status, 200);
    clear(1).await;
    assert_eq!(cf.get(&first).await.status, 404);
    assert_eq!(cf.get(&firsts.0).await.status, 200);
    let stats = send(cf.http.get(format!("{}/_mock/stats", cf.mock.uri()))).await;
    assert_eq!(stats.json()["forgotten"]["jobs"], 1);
}

#[tokio::test]
async fn the_mocks_endpoints_are_served_for_its_own_hosts_only() {
    let cf = Session::start(MockCapi::builder().allow_host("capi.test")).await;
    let ask = async |host: &str, path: &str| {
        let request = cf.http.get(format!("{}{path}", cf.mock.uri()));
        send(request.header("host", host)).await.status.as_u16()
    };
    for own in [
        "127.0.0.1:1",
        "localhost",
        "LOCALHOST:8181",
        "[::1]:80",
        "10.0.0.7",
        "capi.test:8",
    ] {
        assert_eq!(ask(own, "/_mock/state").await, 200, "{own}");
    }
    for foreign in [
        "evil.test",
        "localhost.evil.test:8181",
        "127.0.0.1.evil.test",
    ] {
        assert_eq!(ask(foreign, "/_mock/state").await, 403, "{foreign}");
        assert_eq!(ask(foreign, "/").await, 200, "{foreign}");
    }
}

#[tokio::test]
async fn links_keep_the_address_of_a_proxy() {
    let cf = Session::v3().await;
    let request = cf.http.get(cf.mock.uri());
    let request = request.header("x-forwarded-proto", "https");
    let root = send(request.header("x-forwarded-host", "api.cf.test"))
        .await
        .json();
    let links = &root["links"];
    assert_eq!(
        links["cloud_controller_v3"]["href"],
        "https://api.cf.test/v3"
    );
    assert_eq!(links["logging"]["href"], "wss://api.cf.test");
    assert_eq!(links["routing"], Value::Null);
}

#[tokio::test]
async fn the_v2_api_can_be_disabled_except_for_v2_info() {
    let cf = Session::start(MockCapi::builder().disable_v2()).await;
    let root = send(cf.http.get(cf.mock.uri())).await.json();
    assert_eq!(root["links"]["cloud_controller_v2"], Value::Null);
    for path in ["/v2", "/v2/apps", "/v2/nothing"] {
        let gone = cf.get(path).await;
        assert_eq!(
            (gone.status.as_u16(), gone.text.as_str()),
            (404, "V2 endpoints disabled")
        );
        assert_eq!(gone.header("content-type"), "text/plain");
    }
    assert_eq!(cf.get("/v2/info").await.status, 200);
}

#[tokio::test]
async fn worlds_of_one_process_are_independent() {
    let builder = MockCapi::builder()
        .add_user("dev", "secret")
        .front()
        .worlds(None);
    let cf = Session::start(builder).await;
    let url = format!("{}/_mock/worlds", cf.mock.uri());
    let mut apis = Vec::new();
    for _ in 0..3 {
        let made = send(cf.http.post(&url)).await;
        assert_eq!(made.status, 201, "{made:?}");
        apis.push(made.json()["api"].as_str().unwrap().to_owned());
    }
    cf.create_org("of-the-first").await;
    for api in &apis {
        let form = [
            ("grant_type", "password"),
            ("username", "dev"),
            ("password", "secret"),
        ];
        let login = cf.http.post(format!("{api}/uaa/oauth/token"));
        assert_eq!(
            send(login.basic_auth("cf", Some("")).form(&form))
                .await
                .status,
            200
        );
        let state = send(cf.http.get(format!("{api}/_mock/state"))).await.json();
        assert_eq!(state["organizations"], json!([]));
        let nested = send(cf.http.post(format!("{api}/_mock/worlds"))).await;
        assert_eq!(nested.status, 400);
    }
    assert_eq!(send(cf.http.delete(&url)).await.status, 204);
    assert!(cf.http.get(&apis[0]).send().await.is_err());
    // There can be at most a hundred worlds.
    for _ in 0..100 {
        assert_eq!(send(cf.http.post(&url)).await.status, 201);
    }
    let refused = send(cf.http.post(&url)).await;
    assert_eq!(refused.status, 409);
    assert!(refused.error().1.contains("100 worlds"), "{refused:?}");
    // Other mocks have no additional worlds.
    let plain = Session::v3().await;
    assert_eq!(
        own(&plain, Method::POST, "worlds", Value::Null)
            .await
            .status,
        400
    );
}

const SEED: &str = "
org_quotas:
- name: small
  apps: {total_memory_in_mb: 4096}
security_groups:
- name: dns
  rules: [{protocol: udp, destination: 0.0.0.0/0, ports: '53'}]
  globally_enabled: {running: true}
- name: db
orgs:
- name: o
  quota: small
  spaces:
  - name: s
    security_groups: [db]
    roles:
    - {type: space_developer, user: dev}
    apps:
    - name: a
      instances: 2
      memory: 64M
      env: {KEY: value}
      routes:
      - route: a.apps.mock.test/path
    - name: idle
      state: stopped
users:
- name: dev
  password: secret
";

/// A seed with all keys whose values the API can show.
const SEED_WITH_ALL_KEYS: &str = "
version: 1
name: team-a
apps_domain: apps.mock.test
feature_flags: {diego_docker: true}
domains: [shared.test]
protected: [system]
org_quotas:
- name: small
  apps: {total_memory_in_mb: 1}
security_groups:
- name: db
  rules: [{protocol: tcp, destination: 10.0.0.1, ports: '5432'}]
users: [ann]
network_policies:
- {from: o/s/web, to: 'p/t/*', protocol: udp, ports: 7000-7010}
orgs:
- name: o
  quota: small
  suspended: true
  metadata: {labels: {team: a}, annotations: {note: b}}
  domains: [o.test]
  isolation_segment: segment
  roles: [{type: organization_manager, user: ann}]
  space_quotas: [{name: tiny, routes: {total_routes: 1}}]
  spaces:
  - name: s
    quota: tiny
    features: {ssh: false}
    security_groups: [db]
    isolation_segment: segment
    metadata: {labels: {env: test}}
    roles: [{type: space_developer, user: ann, origin: ldap}]
    service_instances:
    - {name: db, type: user-provided, credentials: {uri: x}, tags: [sql], syslog_drain_url: 'syslog://logs'}
    service_bindings: [{app: worker, service_instance: db, name: main}]
    network_policies: [{from: web, to: worker}]
    apps:
    - name: web
      path: ../web
      lifecycle: buildpack
      buildpacks: [go_buildpack]
      stack: cflinuxfs4
      memory: 64M
      env: {URL: 'https://web.{apps_domain}'}
      routes:
      - {route: 'web.{apps_domain}/api', protocol: http2}
      - {route: web.o.test}
      - {route: web.shared.test}
      services: [db]
      features: {ssh: false}
      metadata: {labels: {tier: web}}
      processes: [{type: web, instances: 2, health-check-type: http, health-check-http-endpoint: /up}, {type: tick, instances: 0}]
      sidecars: [{name: side, command: ./side, process_types: [web]}]
    - {name: worker, like: web, no-route: true, state: stopped}
- name: p
  spaces:
  - name: t
    apps: [{name: image, docker: {image: registry.test/image, username: u}}]
";

#[tokio::test]
async fn a_seed_file_has_the_keys_of_a_spec() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed.yml");
    std::fs::write(&file, SEED_WITH_ALL_KEYS).unwrap();
    let cf = Session::start(MockCapi::builder().seed_file(&file)).await;
    let web = cf.mock.app("web").unwrap();
    assert_eq!((web.started, web.instances, web.running), (true, 2, 2));
    assert!(!cf.mock.app("worker").unwrap().started);
    assert_eq!(cf.mock.app("image").unwrap().running, 1);
    let manifest = cf.get(&format!("/v3/apps/{}/manifest", web.guid)).await;
    assert_lines(
        &manifest.text,
        &[
            "URL: https://web.apps.mock.test",
            "- go_buildpack",
            "stack: cflinuxfs4",
            "ssh: false",
            "- db",
            "route: web.apps.mock.test/api",
            "protocol: http2",
            "route: web.o.test",
            "route: web.shared.test",
            "tier: web",
            "health-check-http-endpoint: \"/up\"",
            "type: tick",
            "name: side",
        ],
    );
    let org = &cf.get("/v3/organizations?names=o").await.json()["resources"][0];
    assert_eq!(
        (&org["suspended"], &org["metadata"]["labels"]["team"]),
        (&json!(true), &json!("a"))
    );
    let quotas = cf.get("/v3/organization_quotas?names=small").await.json();
    let of_quota = &quotas["resources"][0]["relationships"]["organizations"]["data"];
    assert_eq!(of_quota[0]["guid"], org["guid"]);
    let space = &cf.get("/v3/spaces?names=s").await.json()["resources"][0];
    assert_eq!(space["metadata"]["labels"]["env"], "test");
    assert!(!space["relationships"]["quota"]["data"].is_null());
    let space = space["guid"].as_str().unwrap();
    let ssh = cf.get(&format!("/v3/spaces/{space}/features/ssh")).await;
    assert_eq!(ssh.json()["enabled"], false);
    let segment = cf
        .get(&format!(
            "/v3/spaces/{space}/relationships/isolation_segment"
        ))
        .await;
    assert!(!segment.json()["data"].is_null());
    let policies = cf.get("/networking/v1/external/policies").await.json();
    assert_eq!(policies["total_policies"], 2);
    let roles = cf
        .get("/v3/roles?types=organization_manager,space_developer")
        .await
        .json();
    assert_eq!(roles["pagination"]["total_results"], 2);
    let bindings = cf.get("/v3/service_credential_bindings").await.json();
    assert_eq!(bindings["pagination"]["total_results"], 2);
    assert_eq!(
        cf.get("/v3/audit_events").await.json()["pagination"]["total_results"],
        0
    );
}

/// Checks that each line exists, at any depth.
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines()
                .any(|it| it.trim().trim_start_matches("- ") == line.trim_start_matches("- ")),
            "{line}\n{text}"
        );
    }
}

#[tokio::test]
async fn a_world_starts_from_a_seed_file_and_a_reset_restores_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed.yml");
    std::fs::write(&file, SEED).unwrap();
    for dialect in [Dialect::V3, Dialect::Documented2017] {
        let builder = MockCapi::builder().dialect(dialect).seed_file(&file);
        let cf = Session::start(builder).await;
        for _ in 0..2 {
            let app = cf.mock.app("a").unwrap();
            assert_eq!((app.org.as_str(), app.space.as_str()), ("o", "s"));
            assert_eq!((app.instances, app.running, app.memory_mb), (2, 2, 64));
            assert_eq!(app.routes, ["a.apps.mock.test/path"]);
            assert_eq!(app.environment["KEY"], "value");
            assert!(!cf.mock.app("idle").unwrap().started);
            cf.mock.org("o").space("s").app("more");
            cf.mock.reset();
            assert_eq!(cf.mock.apps().len(), 2);
        }
    }
    let mut cf = Session::start(MockCapi::builder().seed_file(&file)).await;
    let groups = cf.get("/v3/security_groups").await.json();
    assert_eq!(groups["resources"][0]["globally_enabled"]["running"], true);
    let quotas = cf.names("/v3/organization_quotas").await;
    assert_eq!(quotas, ["default", "small"]);
    cf.log_in_as("dev", "secret").await;
    assert_eq!(cf.names("/v3/apps").await, ["a", "idle"]);
}

#[tokio::test]
async fn an_invalid_seed_file_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed.yml");
    for (seed, reason) in [
        (
            "orgs:\n- nam: o\n",
            "line 2: unknown key `nam`, did you mean `name`?",
        ),
        (
            "orgs:\n- name: o\n  quota: big\n",
            "line 3: org 'o': there is no quota 'big'",
        ),
        (
            "orgs:\n- name: o\n  roles:\n  - {type: organization_user, user: u}\n  - {type: king, user: u}\n",
            "line 5: org 'o': user 'u': there is no role 'king' here",
        ),
        (
            "orgs:\n- name: o\n  spaces:\n  - name: s\n    apps:\n    - name: a\n      memory: lots\n",
            "line 6: org 'o': space 's': app 'a': Process \"web\": Memory is not a number",
        ),
        (
            "orgs: [{name: o, spaces: [{name: s, apps: [{name: a, routes: [{route: a.b}]}]}]}]",
            "app 'a': No domains exist for route a.b",
        ),
        (
            "feature_flags:\n  diego_docker: true\n  no_such_flag: true\n",
            "line 3: feature flag 'no_such_flag': ",
        ),
        (
            "org_quotas: [{name: q, apps: {total_memory_in_mb: many}}]",
            "line 1: quota 'q': Apps Total memory in mb is not a number",
        ),
        (
            "orgs: [{name: o, spaces: [{name: s, service_instances: [{name: d, type: managed}]}]}]",
            "service instance 'd': is managed by a broker",
        ),
        (
            "network_policies: [{from: o/s/a, to: o/s/b}]",
            "line 1: network policy from 'o/s/a' to 'o/s/b': there is no app 'o/s/a'",
        ),
        (
            "orgs: [{name: o, spaces: [{name: s, apps: [{name: a, state: RUNNING}]}]}]",
            "app 'a': the state 'RUNNING' must be 'started' or 'stopped'",
        ),
        ("# orgs: []\n", "seed.yml: it is empty"),
    ] {
        std::fs::write(&file, seed).unwrap();
        let refused = MockCapi::builder()
            .seed_file(&file)
            .start()
            .await
            .unwrap_err();
        assert!(
            matches!(refused, StartError::SeedFile { .. }),
            "{refused:?}"
        );
        assert!(refused.to_string().contains(reason), "{seed}: {refused}");
    }
}

#[tokio::test]
async fn a_seeded_app_is_like_a_pushed_app() {
    let cf = Session::v3().await;
    let seeded = cf.mock.org("o").space("s").app("a");
    seeded
        .instances(2)
        .env("A", "b")
        .route("host")
        .unwrap()
        .started();
    let guid = seeded.guid();
    assert_eq!(cf.instance_states(&guid).await, ["RUNNING", "RUNNING"]);
    let droplet = cf.get(&format!("/v3/apps/{guid}/droplets/current")).await;
    assert_eq!(droplet.json()["state"], "STAGED");
    assert_eq!(cf.act(&guid, "restart").await.status, 200);
    let app = cf.mock.app("a").unwrap();
    assert_eq!(
        (app.guid, app.routes),
        (guid, vec!["host.apps.mock.test".to_owned()])
    );
    // An existing resource is returned instead of a new one.
    assert_eq!(cf.mock.org("o").space("s").app("a").guid(), seeded.guid());
    assert!(cf.mock.app("nothing").is_none());
    assert!(seeded.route("no host!").is_err());
}

#[tokio::test]
async fn tests_can_seed_yaml_and_read_typed_state() {
    let seed = "orgs: [{name: o, spaces: [{name: s, apps: [{name: a, state: stopped}]}]}]";
    let builder = MockCapi::builder().seed_yaml(seed).record_requests();
    let cf = Session::start(builder).await;
    cf.mock.reset();
    let orgs = cf.mock.orgs();
    assert_eq!((orgs.len(), &*orgs[0].name), (1, "o"));
    assert_eq!(
        (&*orgs[0].spaces[0].name, &orgs[0].spaces[0].apps[..]),
        ("s", &["a".to_owned()][..])
    );
    let app = cf.mock.org("o").space("s").app("a");
    assert!(!app.state().unwrap().started);
    let deleted = cf.delete(&format!("/v3/apps/{}", app.guid())).await;
    assert_eq!(deleted.status, 202);
    assert_eq!(app.state(), None);

    let requests = cf.mock.requests();
    let last = requests.last().unwrap();
    assert_eq!(last.method, "DELETE");
    let authorization = last.header("Authorization").unwrap();
    assert_eq!(authorization, format!("Bearer {}", cf.token));
    assert_eq!(last.header("X-Nothing"), None);

    let refused = MockCapi::builder().seed_yaml("orgz: []").start().await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, StartError::Seed(_)), "{refused:?}");
    assert!(refused.to_string().contains("unknown key `orgz`"));
}

#[tokio::test]
async fn tests_can_get_a_logged_in_client() {
    let cf = Session::v3().await;
    let http = cf.mock.client().unwrap();
    let list = send(http.get(format!("{}/v3/apps", cf.mock.uri()))).await;
    assert_eq!(list.status, 200);
}

#[tokio::test]
async fn invalid_requests_to_the_mock_are_reported() {
    let cf = Session::v3().await;
    for (request, body, problem) in [
        ("PUT stubs", "{}", "stubs: expected a list, not an object"),
        (
            "PUT stubs",
            "[null]",
            "stubs: stub 0: expected an object, not null",
        ),
        (
            "PUT stubs",
            r#"[{"path": "/x"}, {"path": "/x", "headers": {"Content-Length": "5"}}]"#,
            "stubs: stub 1: 'Content-Length' follows from the body",
        ),
        (
            "PUT stubs",
            r#"[{"path": "/v3/ap*"}]"#,
            "stubs: stub 0: in 'path', a '*' must be the whole last segment",
        ),
        (
            "PUT stubs",
            r#"[{"path": "/v3/apps", "method": "GETT"}]"#,
            "stubs: stub 0: 'method' must be an HTTP method, or '*'",
        ),
        (
            "POST verify",
            "",
            "verify: expected an object, not an empty body",
        ),
        (
            "POST verify",
            r#"{"request": {}, "count": 1, "at_least": 1}"#,
            "verify: 'count' cannot be combined with 'at_least' and 'at_most'",
        ),
        (
            "POST verify",
            r#"{"request": {}, "at_least": 2, "at_most": 1}"#,
            "verify: 'at_least' is more than 'at_most'",
        ),
        (
            "POST verify",
            r#"{"request": {"path": "apps"}}"#,
            "verify: 'path' must start with a '/'",
        ),
        (
            "PUT times",
            r#"{"latency": "-5s"}"#,
            "times: latency: '-5s' is not a duration such as '1m 30s'",
        ),
        (
            "PUT times",
            r#"{"staging": {}}"#,
            "times: staging: '{}' is not a duration such as '1m 30s'",
        ),
        (
            "PUT times",
            r#"{"nap": "1s"}"#,
            "times: unknown field `nap`",
        ),
        (
            "PUT clock",
            r#"{"at": "soon"}"#,
            "clock: at: 'soon' is not a time such as '2030-01-01T00:00:00Z'",
        ),
        (
            "PUT clock",
            r#"{"at": "9999-12-31T23:59:59Z"}"#,
            "clock: time ends at 2500-01-01T00:00:00Z",
        ),
        (
            "PUT clock",
            "{}",
            "clock: 'at', 'frozen' or both are needed",
        ),
        (
            "POST advance",
            r#"{"by": "10"}"#,
            "advance: by: '10' is not a duration such as '1m 30s'",
        ),
        (
            "POST advance",
            r#"{"by": "9999y"}"#,
            "advance: time ends at 2500-01-01T00:00:00Z",
        ),
        (
            "POST reset",
            r#"{"seed": "seed.yml"}"#,
            "reset: POST /_mock/reset takes no body",
        ),
        (
            "GET stats?short=true",
            "",
            "'short' is unknown, stats takes none",
        ),
        (
            "GET overview?per_page=5",
            "",
            "'per_page' is unknown, must be one of filter, state, limit",
        ),
        (
            "PUT stubs",
            r#"[{"path": "/x", "status": 204, "body": "x"}]"#,
            "stubs: stub 0: a response with the status 204 has no body",
        ),
        (
            "PUT stubs",
            r#"[{"path": "/_mock/state"}]"#,
            "stubs: stub 0: 'path' must not be below /_mock/",
        ),
        (
            "PUT faults",
            r#"[{"fault": "answer", "status": "x"}]"#,
            r#"fault 0: status: invalid type: string "x", expected a whole number of 0 or more"#,
        ),
        (
            "PUT snapshot",
            "[]",
            "snapshot: expected an object, not a list",
        ),
        (
            "PUT snapshot",
            r#"{"mock_capi_state": 99}"#,
            "snapshot: it has the format 99, and this mock-capi reads 3",
        ),
        ("PUT snapshot", "{}", "snapshot: it is not a snapshot"),
        (
            "PUT apps",
            "[7]",
            "apps: app 0: expected an object, not a number",
        ),
        (
            "GET requests?bogus=1",
            "",
            "'bogus' is unknown, must be one of after, number, method, path, user, status, short",
        ),
        (
            "GET requests?short=maybe",
            "",
            "short 'maybe' is neither true nor false",
        ),
        (
            "GET requests?method=GETT",
            "",
            "'method' must be an HTTP method, or '*'",
        ),
    ] {
        let (method, endpoint) = request.split_once(' ').unwrap();
        let url = format!("{}/_mock/{endpoint}", cf.mock.uri());
        let answer = cf.http.request(method.parse().unwrap(), url).body(body);
        let answer = send(answer).await;
        assert_eq!(answer.status, 400, "{request} {body}");
        let error = answer.error().1;
        assert!(error.contains(problem), "{request} {body}: {error}");
    }
}

#[tokio::test]
async fn unknown_endpoints_and_methods_are_reported() {
    let cf = Session::v3().await;
    for (request, status, allowed, part) in [
        ("GET reset", 405, "POST", "/_mock/reset takes POST, not GET"),
        (
            "POST requests",
            405,
            "GET, DELETE",
            "/_mock/requests takes GET, DELETE, not POST",
        ),
        (
            "GET fault",
            404,
            "",
            "there is no /_mock/fault, only: advance",
        ),
    ] {
        let (method, endpoint) = request.split_once(' ').unwrap();
        let url = format!("{}/_mock/{endpoint}", cf.mock.uri());
        let answer = send(cf.http.request(method.parse().unwrap(), url)).await;
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.header("allow"), allowed, "{request}");
        let error = answer.error().1;
        assert!(error.contains(part), "{request}: {error}");
    }
}

//! Apps that answer on their routes: the router, the programs of the scaling test, and
//! what testers say about other apps.

use std::time::Duration;

use mock_capi::{AppBehaviour, Fault, Front, MockCapi, MockCapiBuilder};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::common::{Answer, Session, send};

const DOMAIN: &str = "apps.mock.test";

/// A foundation whose apps are those of a scaling test.
struct Scale {
    cf: Session<Front>,
}

impl Scale {
    async fn start(builder: MockCapiBuilder) -> Self {
        let cf = Session::start(builder.front()).await;
        let scale = Self { cf };
        scale.push("registry", 1, &[]);
        scale.push("proxy-0", 2, &[]);
        scale.push("tick-0", 2, &[]);
        scale.push("tick-1", 1, &[]);
        scale
    }

    async fn new() -> Self {
        Self::start(MockCapi::builder()).await
    }

    fn push(&self, name: &str, instances: u32, more: &[(&str, &str)]) {
        let kind = name.split('-').next().unwrap();
        let space = self.cf.mock.org("o").space("s");
        let mut app = space
            .app(name)
            .instances(instances)
            .env("GOPACKAGENAME", &format!("example-apps/{kind}"));
        if kind == "tick" {
            app = app
                .env("REGISTRY_BASE_URL", &format!("http://registry.{DOMAIN}"))
                .env("REGISTRY_TTL_SECONDS", "180")
                .env("START_PORT", "7000")
                .env("LISTEN_PORTS", "2");
        }
        for (name, value) in more {
            app = app.env(name, value);
        }
        app.route(name).unwrap().started();
    }

    async fn ask(&self, method: Method, host: &str, path: &str) -> Answer {
        let url = format!("{}{path}", self.cf.mock.uri());
        let request = self.cf.http.request(method, url);
        send(request.header("host", format!("{host}.{DOMAIN}"))).await
    }

    async fn get(&self, host: &str, path: &str) -> Answer {
        self.ask(Method::GET, host, path).await
    }

    /// The names and addresses that the registry lists.
    async fn registered(&self) -> Vec<(String, String)> {
        let listed = self.get("registry", "/api/v1/instances").await;
        assert_eq!(listed.status, 200, "{listed:?}");
        let listed = listed.json();
        let instances = listed["instances"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        instances
            .map(|it| (text(&it["service_name"]), text(&it["endpoint"]["value"])))
            .collect()
    }

    async fn names(&self) -> Vec<String> {
        let all = self.registered().await.into_iter();
        all.map(|(name, _)| name).collect()
    }

    fn app(&self, name: &str) -> String {
        self.cf.mock.app(name).unwrap().guid
    }

    /// The address of an instance, without a port.
    async fn ip(&self, name: &str, index: usize) -> String {
        let path = format!("/v3/apps/{}/processes/web/stats", self.app(name));
        let stats = self.cf.get(&path).await.json();
        let ip = &stats["resources"][index]["instance_internal_ip"];
        ip.as_str().unwrap().to_owned()
    }

    async fn allow(&self, source: &str, destination: &str, ports: (u16, u16)) {
        let policy = json!({"policies": [{
            "source": {"id": self.app(source)},
            "destination": {
                "id": self.app(destination),
                "protocol": "tcp",
                "ports": {"start": ports.0, "end": ports.1},
            },
        }]});
        let path = "/networking/v1/external/policies";
        let answer = self.cf.post(path, policy).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// What a proxy says of a connection to an address.
    async fn connect(&self, address: &str) -> (u16, String) {
        let answer = self.get("proxy-0", &format!("/proxy/{address}")).await;
        (answer.status.as_u16(), answer.text)
    }

    fn faults(&self, faults: Vec<Fault>) {
        self.cf.mock.set_faults(faults).unwrap();
    }
}

#[tokio::test]
async fn a_tick_says_which_instance_it_is() {
    let scale = Scale::new().await;
    let mut indexes = Vec::new();
    for _ in 0..4 {
        let answer = scale.get("tick-0", "/any/path").await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(!answer.header("x-vcap-request-id").is_empty());
        let identity = answer.json();
        assert_eq!(identity["application_name"], "tick-0");
        indexes.push(identity["instance_index"].as_u64().unwrap());
    }
    // In turn.
    assert_eq!(indexes, [0, 1, 0, 1]);
    assert_eq!(scale.cf.mock.app_requests(), 4);
}

#[tokio::test]
async fn an_http_proxy_leads_to_apps_as_well() {
    let scale = Scale::new().await;
    let proxy = reqwest::Proxy::http(scale.cf.mock.uri()).unwrap();
    let http = reqwest::Client::builder().proxy(proxy).build().unwrap();
    let answer = send(http.get(format!("http://tick-1.{DOMAIN}/"))).await;
    assert_eq!(answer.json()["application_name"], "tick-1");
    let root = send(http.get("http://api.elsewhere.test/")).await;
    assert!(root.json()["links"].is_object(), "{root:?}");
}

#[tokio::test]
async fn the_instance_that_is_asked_for_answers() {
    let scale = Scale::new().await;
    let app = scale.app("tick-0");
    let ask = async |instance: &str| {
        let request = scale.cf.http.get(scale.cf.mock.uri());
        let request = request.header("host", format!("tick-0.{DOMAIN}"));
        send(request.header("x-cf-app-instance", instance)).await
    };
    for _ in 0..2 {
        let answer = ask(&format!("{app}:1")).await;
        assert_eq!(answer.json()["instance_index"], 1);
    }
    let unknown = ask(&format!("{app}:2")).await;
    assert_eq!(unknown.status, 400);
    assert_eq!(unknown.header("x-cf-routererror"), "unknown_route");
    assert_eq!(
        unknown.text,
        format!(
            "400 Bad Request: Requested instance ('2') with guid ('{app}') does not exist for \
             route ('tick-0.{DOMAIN}')\n"
        )
    );
    let invalid = ask("first").await;
    assert_eq!(invalid.status, 400);
    assert_eq!(
        invalid.header("x-cf-routererror"),
        "invalid_cf_app_instance_header"
    );
}

#[tokio::test]
async fn an_app_answers_once_its_instances_run() {
    let minute = Duration::from_secs(60);
    let scale = Scale::start(MockCapi::builder().start_time(minute)).await;
    let app = scale.app("tick-0");
    assert_eq!(scale.cf.act(&app, "stop").await.status, 200);
    assert_eq!(scale.get("tick-0", "/").await.status, 503);
    assert_eq!(scale.cf.act(&app, "start").await.status, 200);
    let starting = scale.get("tick-0", "/").await;
    assert_eq!(starting.header("x-cf-routererror"), "no_endpoints");
    scale.cf.mock.advance(minute);
    assert_eq!(scale.get("tick-0", "/").await.status, 200);
}

#[tokio::test]
async fn the_longest_path_answers_and_a_port_where_nobody_listens_fails() {
    let scale = Scale::new().await;
    let app = scale.app("tick-1");
    let route = async |path: &str, port: u16| {
        let routes = scale.cf.get("/v3/routes?hosts=tick-0").await.json();
        let route = &routes["resources"][0];
        let mut body = json!({"host": "tick-0", "path": path});
        body["relationships"] = json!({
            "space": {"data": route["relationships"]["space"]["data"]},
            "domain": {"data": route["relationships"]["domain"]["data"]},
        });
        let route = scale.cf.post("/v3/routes", body).await.guid();
        let destination = json!({"destinations": [{"app": {"guid": app}, "port": port}]});
        let path = format!("/v3/routes/{route}/destinations");
        let mapped = scale.cf.post(&path, destination).await;
        assert_eq!(mapped.status, 200, "{mapped:?}");
    };
    route("/a/b", 7001).await;
    route("/closed", 9999).await;
    for (path, name) in [
        ("/a/b/c?d=e", "tick-1"),
        ("/a/bc", "tick-0"),
        ("/", "tick-0"),
    ] {
        let answer = scale.get("tick-0", path).await.json();
        assert_eq!(answer["application_name"], name, "{path}");
    }
    let closed = scale.get("tick-0", "/closed").await;
    assert_eq!(closed.status, 502);
    assert_eq!(closed.header("x-cf-routererror"), "endpoint_failure");
    assert_eq!(
        closed.text,
        "502 Bad Gateway: Registered endpoint failed to handle the request.\n"
    );
}

#[tokio::test]
async fn instances_have_addresses_of_their_own_which_stats_and_the_registry_show() {
    let scale = Scale::new().await;
    let mut shown = Vec::new();
    for name in ["tick-0", "tick-1"] {
        let path = format!("/v3/apps/{}/processes/web/stats", scale.app(name));
        let stats = scale.cf.get(&path).await.json();
        for instance in stats["resources"].as_array().unwrap() {
            let ip = instance["instance_internal_ip"].as_str().unwrap();
            assert!(ip.starts_with("10.255."), "{ip}");
            assert!(instance["host"].as_str().unwrap().starts_with("10.0."));
            shown.push((name.to_owned(), format!("{ip}:8080")));
        }
    }
    shown.sort();
    assert_eq!(shown.len(), 3);
    assert_eq!(scale.registered().await, shown);
    shown.dedup_by(|a, b| a.1 == b.1);
    assert_eq!(shown.len(), 3);
    // Another container has another address, and others keep theirs.
    let app = scale.app("tick-0");
    let path = format!("/v3/apps/{app}/processes/web/instances/0");
    scale.cf.mock.advance(Duration::from_secs(1));
    assert_eq!(scale.cf.delete(&path).await.status, 204);
    let now = scale.registered().await;
    assert!(
        now.contains(&shown[1]) && now.contains(&shown[2]),
        "{now:?}"
    );
    let answering = scale
        .cf
        .get(&format!("/v3/apps/{app}/processes/web/stats"))
        .await;
    let moved = &answering.json()["resources"][0]["instance_internal_ip"];
    assert!(
        !shown
            .iter()
            .any(|(_, it)| it.starts_with(moved.as_str().unwrap()))
    );
}

#[tokio::test]
async fn addresses_outlive_a_snapshot() {
    let scale = Scale::new().await;
    let before = scale.registered().await;
    let url = format!("{}/_mock/snapshot", scale.cf.mock.uri());
    let snapshot = send(scale.cf.http.get(&url)).await.json();
    scale.push("tick-2", 3, &[]);
    assert_eq!(scale.registered().await.len(), 6);
    let restored = send(scale.cf.http.put(&url).json(&snapshot)).await;
    assert_eq!(restored.status, 204, "{restored:?}");
    assert_eq!(scale.registered().await, before);
    scale.allow("proxy-0", "tick-1", (8080, 8080)).await;
    let (status, text) = scale.connect(&before[2].1).await;
    assert_eq!(status, 200, "{text}");
}

#[tokio::test]
async fn the_registry_lists_ticks_until_a_ttl_after_they_stop() {
    let scale = Scale::new().await;
    assert_eq!(scale.names().await, ["tick-0", "tick-0", "tick-1"]);
    let app = scale.app("tick-1");
    assert_eq!(scale.cf.act(&app, "stop").await.status, 200);
    scale.cf.mock.advance(Duration::from_secs(179));
    assert_eq!(scale.names().await, ["tick-0", "tick-0", "tick-1"]);
    scale.cf.mock.advance(Duration::from_secs(2));
    assert_eq!(scale.names().await, ["tick-0", "tick-0"]);
    // An app that is deleted ends as well.
    let app = scale.app("tick-0");
    assert_eq!(
        scale.cf.delete(&format!("/v3/apps/{app}")).await.status,
        202
    );
    assert_eq!(scale.names().await.len(), 2);
    scale.cf.mock.advance(Duration::from_secs(181));
    assert!(scale.names().await.is_empty());
}

#[tokio::test]
async fn a_tick_registers_only_with_its_own_registry() {
    let scale = Scale::new().await;
    let elsewhere = [("REGISTRY_BASE_URL", "http://registry.elsewhere.test")];
    scale.push("tick-9", 1, &elsewhere);
    scale.cf.mock.org("o").space("s").app("echo-1").started();
    assert_eq!(scale.names().await, ["tick-0", "tick-0", "tick-1"]);
    let services = scale.get("registry", "/api/v1/services").await.json();
    assert_eq!(services, json!({"services": ["tick-0", "tick-1"]}));
}

#[tokio::test]
async fn a_registry_that_restarts_knows_the_ticks_again_within_a_quarter_of_the_ttl() {
    let scale = Scale::new().await;
    scale.cf.mock.advance(Duration::from_secs(100));
    let registry = scale.app("registry");
    assert_eq!(scale.cf.act(&registry, "restart").await.status, 200);
    assert!(scale.names().await.is_empty());
    scale.cf.mock.advance(Duration::from_secs(45));
    assert_eq!(scale.names().await.len(), 3);
}

#[tokio::test]
async fn what_is_deregistered_is_back_with_the_next_registration() {
    let scale = Scale::new().await;
    let listed = scale.get("registry", "/api/v1/instances").await.json();
    let id = listed["instances"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/instances/{id}");
    let heartbeat = scale
        .ask(Method::PUT, "registry", &format!("{path}/heartbeat"))
        .await;
    assert_eq!(heartbeat.status, 200);
    assert_eq!(
        scale.ask(Method::DELETE, "registry", &path).await.status,
        200
    );
    let gone = scale.ask(Method::DELETE, "registry", &path).await;
    assert_eq!(gone.status, 410);
    assert_eq!(gone.json(), json!({"error": "no such instance"}));
    assert_eq!(scale.names().await.len(), 2);
    scale.cf.mock.advance(Duration::from_secs(45));
    assert_eq!(scale.names().await.len(), 3);
}

#[tokio::test]
async fn a_proxy_connects_where_a_policy_allows_it() {
    let policy_time = Duration::from_secs(5);
    let scale = Scale::start(MockCapi::builder().policy_time(policy_time)).await;
    let ip = scale.ip("tick-0", 0).await;
    let first = format!("{ip}:8080");
    let refused = |address: &str| {
        let text = format!(
            "request failed: Get \"http://{address}\": dial tcp {address}: connect: connection refused\n"
        );
        (500, text)
    };
    assert_eq!(scale.connect(&first).await, refused(&first));
    scale.allow("proxy-0", "tick-0", (7000, 8080)).await;
    scale.cf.mock.advance(Duration::from_secs(4));
    assert_eq!(scale.connect(&first).await, refused(&first));
    scale.cf.mock.advance(Duration::from_secs(1));
    for address in [
        first.clone(),
        format!("{ip}:7000"),
        format!("{ip}:7001/x?y=z"),
    ] {
        let (status, text) = scale.connect(&address).await;
        let expected = "{\"application_name\":\"tick-0\",\"instance_index\":0}\n";
        assert_eq!((status, text.as_str()), (200, expected), "{address}");
    }
    // No policy, or nobody listens, or nobody is there.
    let other = format!("{}:8080", scale.ip("tick-1", 0).await);
    assert_eq!(scale.connect(&other).await, refused(&other));
    let closed = format!("{ip}:7002");
    assert_eq!(scale.connect(&closed).await, refused(&closed));
    let (status, text) = scale.connect("10.255.3.200:8080").await;
    assert_eq!(status, 500);
    assert!(text.ends_with("connect: no route to host\n"), "{text}");
    // The other way round, and after the policy is gone.
    let policies = scale
        .cf
        .get("/networking/v1/external/policies")
        .await
        .json();
    let gone = json!({"policies": policies["policies"]});
    let path = "/networking/v1/external/policies/delete";
    assert_eq!(scale.cf.post(path, gone).await.status, 200);
    assert_eq!(scale.connect(&first).await, refused(&first));
    // An instance reaches itself, apps reach the router, and names are looked up.
    let (status, text) = scale.connect("localhost:8080/echosourceip").await;
    assert_eq!((status, text.as_str()), (200, "127.0.0.1"));
    let (status, text) = scale.connect(&format!("tick-1.{DOMAIN}/")).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("tick-1"), "{text}");
    let (status, text) = scale.connect("nowhere.test").await;
    assert_eq!(status, 500);
    assert!(text.contains("lookup nowhere.test on"), "{text}");
}

#[tokio::test]
async fn a_proxy_that_asks_itself_forever_ends() {
    let scale = Scale::new().await;
    let again = "localhost:8080/proxy/".repeat(40);
    let (status, text) = scale.connect(&format!("{again}localhost:8080/stats")).await;
    assert_eq!(status, 500);
    assert!(text.contains("deadline exceeded"), "{text}");
}

#[tokio::test]
async fn security_groups_let_apps_out_once_they_are_old_enough() {
    let scale = Scale::start(MockCapi::builder().asg_time(Duration::from_secs(10))).await;
    let address = "192.0.2.7:443";
    let (status, text) = scale.connect(address).await;
    assert_eq!(status, 500);
    assert!(
        text.contains("dial tcp 192.0.2.7:443: connect: connection refused"),
        "{text}"
    );
    let spaces = scale.cf.get("/v3/spaces").await.json();
    let space = &spaces["resources"][0]["guid"];
    let group = json!({
        "name": "out",
        "rules": [{"protocol": "tcp", "destination": "192.0.2.0/24", "ports": "443"}],
        "relationships": {"running_spaces": {"data": [{"guid": space}]}},
    });
    let group = scale.cf.post("/v3/security_groups", group).await.guid();
    assert_eq!(scale.connect(address).await.0, 500);
    scale.cf.mock.advance(Duration::from_secs(10));
    assert_eq!(
        scale.connect(address).await,
        (200, "mock-capi: 192.0.2.7:443\n".into())
    );
    assert_eq!(scale.connect("192.0.2.7:80").await.0, 500);
    let path = format!("/v3/security_groups/{group}/relationships/running_spaces");
    let path = format!("{path}/{}", space.as_str().unwrap());
    assert_eq!(scale.cf.delete(&path).await.status, 204);
    assert_eq!(scale.connect(address).await.0, 500);
}

#[tokio::test]
async fn apps_are_unreachable_unregistered_or_slow_on_purpose() {
    let scale = Scale::new().await;
    scale.allow("proxy-0", "tick-0", (8080, 8080)).await;
    let first = scale.registered().await[0].1.clone();
    scale.faults(vec![
        Fault::unreachable().of("tick-0"),
        Fault::unregistered().of("tick-1"),
    ]);
    let (status, text) = scale.connect(&first).await;
    assert_eq!(status, 500);
    assert!(
        text.ends_with(&format!("dial tcp {first}: i/o timeout\n")),
        "{text}"
    );
    assert_eq!(scale.get("tick-0", "/").await.status, 502);
    assert_eq!(scale.get("tick-1", "/").await.status, 200);
    assert_eq!(scale.names().await, ["tick-0", "tick-0"]);
    let counts: Vec<u64> = scale.cf.mock.faults().iter().map(|it| it.struck).collect();
    assert_eq!(counts, [2, 1]);
    // A share of them, chosen by the seed.
    scale.faults(vec![Fault::unreachable().of("tick-0").probability(0.5)]);
    let mut answered = 0;
    for _ in 0..64 {
        answered += u32::from(scale.get("tick-0", "/").await.status == 200);
    }
    assert!((1..64).contains(&answered), "{answered}");
    let delay = Duration::from_millis(60);
    scale.faults(vec![Fault::slow(delay).of("tick-0").by("GET", "/slow")]);
    let took = async |path: &str| {
        let before = std::time::Instant::now();
        assert_eq!(scale.get("tick-0", path).await.status, 200);
        before.elapsed()
    };
    assert!(took("/slow").await >= delay);
    took("/").await;
    assert_eq!(scale.cf.mock.faults()[0].struck, 1);
}

#[tokio::test]
async fn an_app_that_nobody_knows_answers_what_it_was_asked() {
    let scale = Scale::new().await;
    let space = scale.cf.mock.org("o").space("s");
    space.app("web").route("web").unwrap().started();
    let url = format!("{}/a%20b?c=d", scale.cf.mock.uri());
    let request = scale
        .cf
        .http
        .put(url)
        .header("host", format!("web.{DOMAIN}"));
    let answer = send(request.header("x-own", "1").body("text")).await.json();
    for (key, value) in [
        ("application_name", json!("web")),
        ("instance_index", json!(0)),
        ("method", json!("PUT")),
        ("path", json!("/a%20b")),
        ("query", json!("c=d")),
        ("body", json!("text")),
    ] {
        assert_eq!(answer[key], value, "{key}: {answer}");
    }
    assert_eq!(answer["headers"]["x-own"], "1");
}

/// A server that answers one request, and says what it was asked.
async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"!") {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).await.unwrap();
            asked.extend_from_slice(&piece[..count]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked).unwrap()
    });
    (url, asked)
}

#[tokio::test]
async fn requests_for_an_app_are_answered_by_a_server_of_the_test() {
    let scale = Scale::new().await;
    let answer = "HTTP/1.1 418 Teapot\r\nContent-Length: 3\r\nX-Own: 1\r\n\r\ntea";
    let (url, asked) = server(answer).await;
    let base = format!("{url}/base/");
    let set = vec![AppBehaviour::forward("tick-0", &base)];
    scale.cf.mock.set_apps(set).unwrap();
    let url = format!("{}/x?y=z", scale.cf.mock.uri());
    let request = scale
        .cf
        .http
        .post(url)
        .header("host", format!("tick-0.{DOMAIN}"));
    let answer = send(request.body("hello!")).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (418, "tea"));
    assert_eq!(answer.header("x-own"), "1");
    let asked = asked.await.unwrap();
    assert!(
        asked.starts_with("POST /base/x?y=z HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.ends_with("hello!"), "{asked}");
    let asked = asked.to_lowercase();
    for header in [
        format!("host: tick-0.{DOMAIN}\r\n"),
        "x-forwarded-proto: http\r\n".into(),
        "x-cf-instanceindex: 0\r\n".into(),
        "x-forwarded-for: 127.0.0.1\r\n".into(),
    ] {
        assert!(asked.contains(&header), "{header}: {asked}");
    }
}

#[tokio::test]
async fn a_request_is_never_forwarded_to_the_mock_itself() {
    let scale = Scale::new().await;
    let own = scale.cf.mock.uri();
    scale
        .cf
        .mock
        .set_apps(vec![AppBehaviour::forward("tick-0", &own)])
        .unwrap();
    let looped = scale.get("tick-0", "/").await;
    assert_eq!(looped.status, 508, "{looped:?}");
    // Nobody listens there.
    let nobody = "http://127.0.0.1:9";
    scale
        .cf
        .mock
        .set_apps(vec![AppBehaviour::forward("tick-0", nobody)])
        .unwrap();
    let failed = scale.get("tick-0", "/").await;
    assert_eq!(failed.status, 502);
    assert_eq!(failed.header("x-cf-routererror"), "endpoint_failure");
}

#[tokio::test]
async fn behaviours_are_set_shown_refused_and_reset() {
    let scale = Scale::new().await;
    let url = format!("{}/_mock/apps", scale.cf.mock.uri());
    let put = async |list: Value| send(scale.cf.http.put(&url).json(&list)).await;
    let list = json!([
        {"app": "tick-0", "org": "o", "space": "s", "answer": {
            "status": 201, "headers": {"X-Own": "1"}, "body": {"a": 1},
        }},
        {"app": "tick-1", "space": "other", "behaviour": "echo"},
    ]);
    assert_eq!(put(list).await.status, 204);
    let answer = scale.get("tick-0", "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (201, json!({"a": 1}))
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-own"), "1");
    // It is in another space.
    let identity = scale.get("tick-1", "/").await.json();
    assert_eq!(identity["application_name"], "tick-1");
    let shown = send(scale.cf.http.get(&url)).await.json();
    assert_eq!(
        [&shown[0]["answered"], &shown[1]["answered"]],
        [&json!(1), &json!(0)]
    );
    let refused = put(json!([{"app": "a", "behaviour": "tock"}])).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .error()
            .1
            .contains("apps: app 0: 'behaviour' is one of"),
        "{refused:?}"
    );
    // Nothing has changed.
    assert_eq!(scale.get("tick-0", "/").await.status, 201);
    scale.cf.mock.reset();
    assert_eq!(send(scale.cf.http.get(&url)).await.json(), json!([]));
    assert_eq!(scale.cf.mock.app_requests(), 0);
}

#[tokio::test]
async fn wiremock_serves_no_apps() {
    let cf = Session::v3().await;
    let refused = cf.mock.set_apps(vec![AppBehaviour::tick("a")]).unwrap_err();
    let expected = "wiremock does not serve apps: start the mock with MockCapi::builder().front()";
    assert_eq!(refused.to_string(), expected);
    let refused = cf.mock.set_faults(vec![Fault::unregistered()]).unwrap_err();
    assert_eq!(refused.to_string(), format!("fault 0: {expected}"));
    cf.mock
        .org("o")
        .space("s")
        .app("a")
        .route("a")
        .unwrap()
        .started();
    let request = cf.http.get(cf.mock.uri());
    let root = send(request.header("host", format!("a.{DOMAIN}"))).await;
    assert!(root.json()["links"].is_object(), "{root:?}");
}

#[tokio::test]
async fn a_slow_app_delays_nobody_else() {
    let scale = Scale::new().await;
    scale.faults(vec![Fault::slow(Duration::from_secs(600)).of("tick-0")]);
    let pending: Vec<_> = (0..20)
        .map(|_| {
            let request = scale.cf.http.get(scale.cf.mock.uri());
            tokio::spawn(request.header("host", format!("tick-0.{DOMAIN}")).send())
        })
        .collect();
    while scale.cf.mock.faults()[0].struck < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(scale.cf.get("/v3/apps").await.status, 200);
    assert_eq!(scale.get("tick-1", "/").await.status, 200);
    assert!(pending.iter().all(|request| !request.is_finished()));
    for request in pending {
        request.abort();
    }
}

#[tokio::test]
async fn downloads_and_uploads_are_streamed() {
    let scale = Scale::new().await;
    let size = 3 * 1024 * 1024 + 1;
    let download = scale
        .cf
        .http
        .get(format!("{}/download/{size}", scale.cf.mock.uri()));
    let download = download.header("host", format!("proxy-0.{DOMAIN}"));
    let response = download.send().await.unwrap();
    assert_eq!(
        response.headers()["content-length"],
        size.to_string().as_str()
    );
    assert_eq!(response.bytes().await.unwrap().len(), size);
    let upload = scale
        .cf
        .http
        .post(format!("{}/upload", scale.cf.mock.uri()));
    let upload = upload.header("host", format!("proxy-0.{DOMAIN}"));
    let answer = send(upload.body(vec![7; size])).await;
    assert_eq!(answer.text, format!("{size} bytes received and read"));
}

#[tokio::test]
async fn internal_names_lead_to_instances() {
    let scale = Scale::new().await;
    let domain = json!({"name": "apps.internal", "internal": true});
    let domain = scale.cf.post("/v3/domains", domain).await.guid();
    let spaces = scale.cf.get("/v3/spaces").await.json();
    let space = spaces["resources"][0]["guid"].as_str().unwrap().to_owned();
    let route = crate::common::new_route(&space, &domain, "tick");
    let route = scale.cf.post("/v3/routes", route).await.guid();
    let destination = json!({"destinations": [{"app": {"guid": scale.app("tick-0")}}]});
    let path = format!("/v3/routes/{route}/destinations");
    assert_eq!(scale.cf.post(&path, destination).await.status, 200);
    let (first, second) = (scale.ip("tick-0", 0).await, scale.ip("tick-0", 1).await);
    let dig = async |name: &str| scale.get("proxy-0", &format!("/dig/{name}")).await.json();
    assert_eq!(dig("tick.apps.internal").await, json!([first, second]));
    assert_eq!(dig("1.tick.apps.internal").await, json!([second]));
    assert_eq!(dig("localhost").await, json!(["127.0.0.1"]));
    scale.allow("proxy-0", "tick-0", (8080, 8080)).await;
    let (status, text) = scale.connect("1.tick.apps.internal:8080").await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\"instance_index\":1"), "{text}");
}

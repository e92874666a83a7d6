//! Apps that respond on their routes: the router, the apps of the scaling test, and
//! behaviours that testers set.

use std::time::Duration;

use mock_capi::{AppBehaviour, Fault, MockCapi};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::common::scale::{DOMAIN, Scale};
use crate::common::{Session, plain, send};

#[tokio::test]
async fn a_tick_reports_its_instance() {
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
    // The instances respond alternately.
    assert_eq!(indexes, [0, 1, 0, 1]);
    assert_eq!(scale.cf.mock.app_requests(), 4);
}

#[tokio::test]
async fn apps_are_reachable_through_an_http_proxy() {
    let scale = Scale::new().await;
    let proxy = reqwest::Proxy::http(scale.cf.mock.uri()).unwrap();
    let http = plain().proxy(proxy).build().unwrap();
    let answer = send(http.get(format!("http://tick-1.{DOMAIN}/"))).await;
    assert_eq!(answer.json()["application_name"], "tick-1");
    let root = send(http.get("http://api.elsewhere.test/")).await;
    assert!(root.json()["links"].is_object(), "{root:?}");
}

#[tokio::test]
async fn the_selected_instance_responds() {
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
async fn an_app_responds_when_its_instances_run() {
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
async fn the_longest_path_takes_precedence_and_a_closed_port_fails() {
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
async fn an_unknown_app_echoes_the_request() {
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

/// A server that responds to one request and returns the request.
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
    // No server listens on this port.
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
async fn behaviours_are_set_listed_validated_and_reset() {
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
    // This app is in another space.
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
            .contains("apps: app 0: 'behaviour' must be one of"),
        "{refused:?}"
    );
    // The behaviours have not changed.
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
async fn a_slow_app_delays_no_other_requests() {
    let scale = Scale::new().await;
    scale.faults(vec![Fault::slow(Duration::from_secs(600)).of("tick-0")]);
    let pending: Vec<_> = (0..20)
        .map(|_| {
            let request = scale.cf.http.get(scale.cf.mock.uri());
            tokio::spawn(request.header("host", format!("tick-0.{DOMAIN}")).send())
        })
        .collect();
    while scale.cf.mock.faults()[0].applied < 20 {
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

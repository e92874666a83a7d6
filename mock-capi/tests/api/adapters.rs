//! The two adapters: both give the same responses, and each has its own features.

use std::time::Duration;

use mock_capi::wiremock::matchers::{any, method, path};
use mock_capi::wiremock::{Mock, MockServer, ResponseTemplate};
use mock_capi::{Adapter, Fault, MockCapi, MockCapiBuilder, Scope, StartError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{HttpResponse, Session, http, new_app, new_package, send};

/// A response without the parts that differ between runs: the port, and times.
fn comparable<A: Adapter>(
    cf: &Session<A>,
    answer: &HttpResponse,
) -> (u16, Vec<(String, String)>, String) {
    let address = cf.mock.address().to_string();
    let without_port = |text: &str| text.replace(&address, "mock");
    let headers = answer.headers.iter();
    let mut headers: Vec<_> = headers
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), without_port(value.to_str().unwrap())))
        .collect();
    headers.sort();
    let mut text = without_port(&answer.text);
    // 2026-01-01T00:00:00Z
    while let Some(end) = text.find("Z\"").filter(|end| *end >= 19) {
        text.replace_range(end - 19..=end, "now");
    }
    (answer.status.as_u16(), headers, text)
}

/// Sends requests of all kinds: reads, lists, changes, uploads, jobs, invalid requests,
/// another API, and the mock's own endpoints.
async fn send_all_kinds<A: Adapter>(
    builder: MockCapiBuilder<A>,
) -> Vec<(u16, Vec<(String, String)>, String)> {
    let cf = Session::start(builder.seed(7)).await;
    let mut answers = Vec::new();
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.post("/v3/packages", new_package(&app)).await;
    answers.push(cf.upload(&package.guid(), b"bits").await);
    answers.push(package);
    for (asked, path, body) in [
        (Method::GET, "/", Value::Null),
        (Method::GET, "/v3", Value::Null),
        (
            Method::GET,
            "/v3/apps?names=app,b%2Cc&include=space",
            Value::Null,
        ),
        (Method::GET, "/v3/apps/?per_page=0", Value::Null),
        (Method::HEAD, "/v3/organizations", Value::Null),
        (Method::POST, "/v3/apps", new_app(&space, "app")),
        (Method::POST, "/v3/apps", json!({"name": 1})),
        (Method::DELETE, "/v3/apps/nothing", Value::Null),
        (Method::PUT, "/v3/apps", Value::Null),
        (Method::GET, "/v3/service_brokers", Value::Null),
        (Method::GET, "/v2/info", Value::Null),
        (Method::GET, "/v2/organizations?q=name:org", Value::Null),
        (Method::GET, "/v4/%7Bx%7D?a=%20", Value::Null),
        (Method::GET, "/uaa/Users", Value::Null),
        (Method::GET, "/_mock/stats", Value::Null),
        (Method::GET, "/_mock/nothing", Value::Null),
        (Method::PUT, "/_mock/faults", json!([{"fault": "answer"}])),
    ] {
        let request = cf.request(asked, path);
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        answers.push(send(request).await);
    }
    answers.push(cf.delete(&format!("/v3/organizations/{org}")).await);
    answers.push(send(cf.http.get(format!("{}/v3/apps", cf.mock.uri()))).await);
    answers
        .iter()
        .map(|answer| comparable(&cf, answer))
        .collect()
}

#[tokio::test]
async fn both_adapters_send_the_same_responses() {
    let (wiremock, front) = tokio::join!(
        send_all_kinds(MockCapi::builder()),
        send_all_kinds(MockCapi::builder().front())
    );
    assert_eq!(wiremock.len(), front.len());
    for (wiremock, front) in wiremock.into_iter().zip(front) {
        assert_eq!(wiremock, front);
    }
}

/// Checks the faults that both adapters support.
async fn check_faults<A: Adapter>(builder: MockCapiBuilder<A>) {
    let cf = Session::start(builder).await;
    let create = |name: &str| {
        let request = cf.request(Method::POST, "/v3/organizations");
        request.json(&json!({"name": name})).send()
    };
    let set = |fault: Fault| cf.mock.set_faults(vec![fault.times(1)]).unwrap();
    set(Fault::drop_before("POST", "/v3/organizations"));
    create("lost").await.unwrap_err();
    set(Fault::drop_after("POST", "/v3/organizations"));
    create("made").await.unwrap_err();
    assert_eq!(cf.names("/v3/organizations").await, ["made"]);
    set(Fault::answer("POST", "/v3/organizations", 503).retry_after(Duration::from_secs(2)));
    let refused = create("refused").await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"2".parse().unwrap())
    );
    let delay = Duration::from_millis(40);
    set(Fault::delay("GET", "/v3/organizations", delay));
    let before = std::time::Instant::now();
    assert_eq!(cf.names("/v3/organizations").await, ["made"]);
    assert!(before.elapsed() >= delay);
}

#[tokio::test]
async fn both_adapters_apply_the_same_faults() {
    tokio::join!(
        check_faults(MockCapi::builder()),
        check_faults(MockCapi::builder().front())
    );
}

#[tokio::test]
async fn wiremock_refuses_unsupported_faults() {
    let cf = Session::v3().await;
    for (fault, what) in [
        (Fault::truncate("*", "*"), "close connections in a response"),
        (
            Fault::drip("*", "*", Duration::from_secs(1)),
            "send a response in pieces",
        ),
    ] {
        let fault = || vec![fault.clone()];
        let words = format!(
            "fault 0: wiremock cannot {what}: start the mock with MockCapi::builder().front()"
        );
        assert_eq!(cf.mock.set_faults(fault()).unwrap_err().to_string(), words);
        let refused = cf.put("/_mock/faults", json!(fault())).await;
        assert_eq!(refused.status, 400);
        assert!(refused.error().1.contains(&words), "{refused:?}");
        let started = MockCapi::builder().faults(fault()).start().await;
        assert!(matches!(started, Err(StartError::Faults(_))), "{started:?}");
        cf.mock.set_faults(vec![]).unwrap();
        let started = MockCapi::builder().front().faults(fault()).start().await;
        started.unwrap();
    }
}

#[tokio::test]
async fn a_mounted_mock_precedes_the_fake_and_survives_a_reset() {
    let cf = Session::v3().await;
    let scope = Scope::new();
    let stub = Mock::given(scope.matcher()).and(method("GET"));
    let stub = stub.and(path("/v3/apps"));
    let stub = stub.respond_with(ResponseTemplate::new(418)).expect(2);
    stub.mount(cf.mock.server()).await;
    cf.create_org("org").await;
    assert_eq!(cf.get("/v3/apps").await.status, 418);
    cf.mock.reset();
    assert_eq!(cf.get("/v3/apps").await.status, 418);
    assert!(cf.names("/v3/organizations").await.is_empty());
    drop(scope);
    assert_eq!(cf.get("/v3/apps").await.status, 200);
}

#[tokio::test]
async fn the_fake_is_remounted_after_a_reset() {
    let cf = Session::v3().await;
    cf.create_org("org").await;
    cf.mock.server().reset().await;
    assert_eq!(cf.get("/v3/organizations").await.status, 404);
    cf.mock.remount().await;
    assert_eq!(cf.names("/v3/organizations").await, ["org"]);
}

#[tokio::test]
async fn wiremock_shows_received_requests_if_they_are_recorded() {
    let cf = Session::start(MockCapi::builder().record_requests()).await;
    cf.get("/v3/apps").await;
    let received = cf.mock.server().received_requests().await.unwrap();
    assert_eq!(received.last().unwrap().url.path(), "/v3/apps");
    let quiet = Session::v3().await;
    assert!(quiet.mock.server().received_requests().await.is_none());
}

#[tokio::test]
async fn the_fake_is_mounted_on_a_server_of_the_test() {
    let server = MockServer::start().await;
    let foundation = MockCapi::builder().cloud_controller().unwrap();
    foundation.mount(&server).await;
    let lost = Fault::drop_after("POST", "/v3/organizations").times(1);
    foundation.set_faults(vec![lost]).unwrap();
    let http = http();
    let organizations = format!("{}/v3/organizations", foundation.uri());
    let token = foundation.token("admin").unwrap();
    let create = http.post(&organizations).bearer_auth(&token);
    create
        .json(&json!({"name": "org"}))
        .send()
        .await
        .unwrap_err();
    let list = send(http.get(&organizations).bearer_auth(&token))
        .await
        .json();
    assert_eq!(list["resources"][0]["name"], "org");
    let own = format!("{}/v3/organizations/", server.uri());
    assert!(
        list["resources"][0]["links"]["self"]["href"]
            .as_str()
            .unwrap()
            .starts_with(&own)
    );
}

#[tokio::test]
async fn the_fake_can_respond_in_a_mock_of_the_test() {
    let server = MockServer::start().await;
    let foundation = MockCapi::builder().cloud_controller().unwrap();
    let mock = Mock::given(any()).respond_with(foundation.clone());
    mock.mount(&server).await;
    let root = reqwest::get(server.uri()).await.unwrap();
    assert_eq!(root.status(), 200);
    let dropped = vec![Fault::drop_before("GET", "/v3/info")];
    foundation.set_faults(dropped).unwrap();
    let info = reqwest::get(format!("{}/v3/info", server.uri()))
        .await
        .unwrap();
    assert_eq!(info.status(), 500);
    assert!(
        info.text()
            .await
            .unwrap()
            .contains("CloudController::mount")
    );
}

/// wiremock's requests are removed after 4,096 requests or 16 MiB.
#[tokio::test]
async fn no_request_is_lost_when_wiremock_drops_its_requests() {
    let cf = Session::v3().await;
    let url = format!("{}/v3/info", cf.mock.uri());
    let ask = async || {
        for _ in 0..1300 {
            assert_eq!(cf.http.get(&url).send().await.unwrap().status(), 200);
        }
    };
    let upload = async || {
        for _ in 0..20 {
            let body = vec![b' '; 1024 * 1024];
            let answer = cf.http.post(&url).body(body).send().await.unwrap();
            assert_eq!(answer.status(), 404);
            assert!(answer.text().await.unwrap().contains("Unknown request"));
        }
    };
    tokio::join!(ask(), ask(), ask(), ask(), upload());
}

#[tokio::test]
async fn a_body_too_large_for_wiremock_is_refused_with_an_explanation() {
    let cf = Session::v3().await;
    let url = format!("{}/v3/apps", cf.mock.uri());
    let body = vec![b' '; 64 * 1024 * 1024 + 1];
    let answer = send(cf.http.post(&url).body(body)).await;
    assert_eq!(answer.status, 413);
    assert!(
        answer.error().1.contains("MockCapi::builder().front()"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_panic_of_wiremock_closes_only_one_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let cf = Session::v3().await;
    for request in [
        "CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v3/organizations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"name\"",
    ] {
        let mut stream = tokio::net::TcpStream::connect(cf.mock.address())
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It does not matter how this connection ends.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(cf.names("/v3/organizations").await.is_empty());
    }
}

#[tokio::test]
async fn an_unmet_expectation_of_a_fault_fails_the_test() {
    let failure = async |asked: u64| {
        let cf = Session::v3().await;
        let fault = Fault::answer("GET", "/v3/apps", 503).expect(2);
        cf.mock.set_faults(vec![fault]).unwrap();
        for _ in 0..asked {
            assert_eq!(cf.get("/v3/apps").await.status, 503);
        }
        assert_eq!(cf.mock.faults()[0].applied, asked);
        // The expectation is kept after the fault was replaced.
        cf.mock.set_faults(vec![]).unwrap();
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(cf.mock)));
        dropped
            .err()
            .map(|panic| *panic.downcast::<String>().unwrap())
    };
    assert_eq!(failure(2).await, None);
    let words = failure(1).await.unwrap();
    assert!(
        words.ends_with(
            "was expected to be applied 2 times, and was applied 1 times (matched 1 times)"
        ),
        "{words}"
    );
}

#[tokio::test]
async fn tests_get_tokens_without_a_login() {
    let cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    for (user, status) in [("admin", 201), ("dev", 403)] {
        let create = cf.http.post(format!("{}/v3/organizations", cf.mock.uri()));
        let create = create.bearer_auth(cf.mock.token(user).unwrap());
        assert_eq!(
            send(create.json(&json!({"name": user}))).await.status,
            status
        );
    }
    let unknown = cf.mock.token("nobody").unwrap_err().to_string();
    assert_eq!(
        unknown,
        "mock-capi has no user 'nobody'; add it with MockCapiBuilder::add_user"
    );
}

#[tokio::test]
async fn an_invalid_jitter_is_refused_at_the_start() {
    let started = MockCapi::builder().jitter(2.0).start().await;
    let words = started.unwrap_err().to_string();
    assert_eq!(words, "invalid times: jitter must be from 0 to 1, not 2");
}

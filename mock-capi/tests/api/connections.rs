//! Faults of connections, and settings that change while the mock runs.

use std::time::Duration;

use crate::common::{Session, new_app, send};
use mock_capi::{Adapter, Fault, MockCapi};
use reqwest::Method;
use serde_json::{Value, json};

/// The error of a request without a complete response.
async fn broken(request: reqwest::RequestBuilder) -> reqwest::Error {
    match request.send().await {
        Err(error) => error,
        Ok(response) => response.bytes().await.unwrap_err(),
    }
}

fn create<A: Adapter>(cf: &Session<A>, name: &str) -> reqwest::RequestBuilder {
    let body = json!({"name": name});
    cf.request(Method::POST, "/v3/organizations").json(&body)
}

async fn put(cf: &Session, endpoint: &str, body: &Value) -> crate::common::HttpResponse {
    let url = format!("{}/_mock/{endpoint}", cf.mock.uri());
    send(cf.http.put(url).json(body)).await
}

#[tokio::test]
async fn a_connection_breaks_before_or_after_a_request_is_processed() {
    let cf = Session::v3().await;
    let path = "/v3/organizations";
    cf.mock
        .set_faults(vec![Fault::drop_before("POST", path).times(1)])
        .unwrap();
    broken(create(&cf, "a")).await;
    assert!(cf.names(path).await.is_empty());

    cf.mock
        .set_faults(vec![Fault::drop_after("POST", path).times(1)])
        .unwrap();
    broken(create(&cf, "a")).await;
    assert_eq!(cf.names(path).await, ["a"]);
    assert_eq!(send(create(&cf, "a")).await.status, 422);
}

#[tokio::test]
async fn a_truncated_response_has_headers_and_half_a_body() {
    let cf = Session::start(MockCapi::builder().front()).await;
    cf.mock
        .set_faults(vec![Fault::truncate("*", "/v3/organizations").nth(1)])
        .unwrap();
    let response = create(&cf, "a").send().await.unwrap();
    assert_eq!(response.status(), 201);
    let promised = response.content_length().unwrap();
    let mut received = 0;
    let mut response = response;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received += chunk.len() as u64,
            Ok(None) => panic!("the body is whole"),
            Err(_) => break,
        }
    }
    assert_eq!(received, promised / 2);
    assert_eq!(cf.names("/v3/organizations").await, ["a"]);
}

#[tokio::test]
async fn a_dripped_response_arrives_completely_in_pieces() {
    let cf = Session::start(MockCapi::builder().front()).await;
    let time = Duration::from_millis(200);
    let fault = Fault::drip("GET", "/v3/organizations", time).times(1);
    cf.create_org("a").await;
    cf.mock.set_faults(vec![fault]).unwrap();
    let request = cf.request(Method::GET, "/v3/organizations");
    let before = std::time::Instant::now();
    let mut response = request.send().await.unwrap();
    let promised = response.content_length().unwrap();
    let (mut body, mut pieces) = (Vec::new(), 0);
    while let Some(piece) = response.chunk().await.unwrap() {
        body.extend_from_slice(&piece);
        pieces += 1;
    }
    assert!(before.elapsed() >= time);
    assert!(pieces > 1, "{pieces}");
    assert_eq!(body.len() as u64, promised);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["resources"][0]["name"], "a");
}

#[tokio::test]
async fn a_token_expires_at_a_request() {
    let cf = Session::v3().await;
    cf.mock
        .set_faults(vec![Fault::expired_token("POST", "*").nth(2)])
        .unwrap();
    assert_eq!(send(create(&cf, "a")).await.status, 201);
    assert_eq!(send(create(&cf, "b")).await.error().0, 1000);
    assert_eq!(cf.get("/v3/organizations").await.status, 401);
}

#[tokio::test]
async fn a_response_is_delayed() {
    let cf = Session::v3().await;
    let delay = Duration::from_millis(40);
    cf.mock
        .set_faults(vec![Fault::delay("GET", "/v3/apps", delay)])
        .unwrap();
    let before = std::time::Instant::now();
    assert_eq!(cf.get("/v3/apps").await.status, 200);
    assert!(before.elapsed() >= delay);
}

#[tokio::test]
async fn a_fault_fails_the_operation_that_a_selected_request_starts() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let [a, b] = [
        cf.create_app(&space, "a").await,
        cf.create_app(&space, "b").await,
    ];
    cf.mock
        .set_faults(vec![
            Fault::failed_job().by("DELETE", &format!("/v3/apps/{b}")),
        ])
        .unwrap();
    for app in [a, b] {
        let answer = cf.delete(&format!("/v3/apps/{app}")).await;
        assert_eq!(answer.status, 202);
        cf.get(answer.header("location")).await;
    }
    assert_eq!(cf.names("/v3/apps").await, ["b"]);
}

#[tokio::test]
async fn faults_are_set_over_http_and_count_their_events() {
    let cf = Session::v3().await;
    let faults = json!([
        {"fault": "answer", "method": "POST", "path": "/v3/apps", "status": 503, "nth": 2},
        {"fault": "failed_job", "operation": "app.delete", "times": 1},
    ]);
    assert_eq!(put(&cf, "faults", &faults).await.status, 204);
    let (_, space) = cf.space().await;
    let create = async |name| cf.post("/v3/apps", new_app(&space, name)).await.status;
    assert_eq!(
        [create("a").await, create("b").await, create("c").await],
        [201, 503, 201]
    );
    let shown = send(cf.http.get(format!("{}/_mock/faults", cf.mock.uri()))).await;
    assert_eq!(
        shown.json(),
        json!([
            {"fault": "answer", "method": "POST", "path": "/v3/apps", "nth": 2, "status": 503,
             "matched": 3, "applied": 1},
            {"fault": "failed_job", "operation": "app.delete", "times": 1,
             "matched": 0, "applied": 0},
        ])
    );

    let wrong = put(&cf, "faults", &json!([{"fault": "answer"}])).await;
    assert_eq!(
        wrong.error(),
        (
            1004,
            "Bad request: faults: fault 0: answer, and only answer, needs a 'status'".into()
        )
    );
    // A refused change has no effect.
    let shown = send(cf.http.get(format!("{}/_mock/faults", cf.mock.uri()))).await;
    assert_eq!(shown.json().as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn times_are_changed_while_the_mock_runs() {
    let cf = Session::v3().await;
    let times = json!({"staging": "1m", "job": "2s 500ms", "jitter": 0.5});
    assert_eq!(put(&cf, "times", &times).await.status, 204);
    let shown = send(cf.http.get(format!("{}/_mock/times", cf.mock.uri()))).await;
    assert_eq!(
        shown.json(),
        json!({"latency": "0s", "staging": "1m", "copy": "0s", "start": "0s",
               "job": "2s 500ms", "task": "0s", "policy": "0s", "asg": "0s", "jitter": 0.5, "workers": 0, "profile": "none"})
    );
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.package(&app, b"bits").await;
    cf.mock.advance(Duration::from_secs(10));
    let build = cf
        .post("/v3/builds", json!({"package": {"guid": package}}))
        .await;
    let state = async || {
        let path = format!("/v3/builds/{}", build.guid());
        cf.get(&path).await.json()["state"].clone()
    };
    cf.mock.advance(Duration::from_secs(29));
    assert_eq!(state().await, "STAGING");
    let url = format!("{}/_mock/advance", cf.mock.uri());
    let advance = json!({"by": "61s"});
    assert_eq!(send(cf.http.post(url).json(&advance)).await.status, 204);
    assert_eq!(state().await, "STAGED");

    for (times, problem) in [
        (
            json!({"jitter": 2}),
            "times: jitter must be from 0 to 1, not 2",
        ),
        (json!({"nap": "1s"}), "times: unknown field `nap`"),
        (json!([]), "times: expected an object, not a list"),
    ] {
        let (code, detail) = put(&cf, "times", &times).await.error();
        assert_eq!(code, 1004);
        assert!(
            detail.starts_with(&format!("Bad request: {problem}")),
            "{detail}"
        );
    }
}

/// The observable results of a run: GUIDs, states, names of random routes, and the
/// requests that a fault was applied to.
async fn seeded_run(seed: u64) -> Value {
    let builder = MockCapi::builder()
        .seed(seed)
        .jitter(1.0)
        .job_time(Duration::from_secs(10))
        .faults(vec![
            Fault::answer("POST", "/v3/apps", 500).probability(0.5),
        ]);
    let cf = Session::start(builder).await;
    let (_, space) = cf.space().await;
    let mut seen = Vec::new();
    for number in 0..8 {
        let app = new_app(&space, &format!("app-{number}"));
        let created = cf.post("/v3/apps", app).await.json();
        seen.push(created["guid"].clone());
        let job = cf.delete(&format!("/v3/spaces/{space}")).await;
        cf.mock.advance(Duration::from_secs(1));
        seen.push(cf.get(job.header("location")).await.json()["state"].clone());
    }
    json!(seen)
}

#[tokio::test]
async fn a_run_is_reproducible_with_its_seed() {
    assert_eq!(seeded_run(7).await, seeded_run(7).await);
    assert_ne!(seeded_run(7).await, seeded_run(8).await);
}

#[tokio::test]
async fn the_latest_requests_are_shown_with_their_outcomes() {
    let cf = Session::v3().await;
    cf.mock
        .set_faults(vec![Fault::drop_before("DELETE", "/v3/apps/:guid")])
        .unwrap();
    cf.get("/v3/apps?names=a").await;
    broken(cf.request(Method::DELETE, "/v3/apps/x")).await;
    let url = format!("{}/_mock/requests?after=1", cf.mock.uri());
    let shown = send(cf.http.get(url)).await.json();
    let shown: Vec<Value> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            json!([
                entry["number"],
                entry["method"],
                entry["path"],
                entry["status"],
                entry["fault"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!([2, "GET", "/v3/apps?names=a", 200, null]),
            json!([3, "DELETE", "/v3/apps/x", null, "drop_before"]),
        ]
    );
}

#[tokio::test]
async fn request_numbers_of_an_earlier_mock_hide_no_requests() {
    let cf = Session::v3().await;
    let url = format!("{}/_mock/requests?after=1000", cf.mock.uri());
    let shown = send(cf.http.get(url)).await.json();
    assert_eq!(shown[0]["path"], "/uaa/oauth/token");
    let refused = cf.get("/_mock/requests?after=the-first").await;
    assert_eq!(
        (refused.status.as_u16(), refused.error().1),
        (
            400,
            "The query parameter is invalid: after 'the-first' is not a number".into()
        )
    );
}

#[tokio::test]
async fn pages_of_other_origins_cannot_change_anything() {
    let cf = Session::v3().await;
    let (org, _) = cf.space().await;
    let uri = cf.mock.uri();
    let of_page = |method: Method, endpoint: &str, origin: &str| {
        let request = cf.request(method, &format!("/_mock/{endpoint}"));
        send(
            request
                .header("origin", origin)
                .body(r#"{"latency": "1h"}"#),
        )
    };
    for (method, endpoint) in [
        (Method::POST, "reset"),
        (Method::POST, "expire_tokens"),
        (Method::POST, "advance"),
        (Method::PUT, "times"),
        (Method::PUT, "faults"),
    ] {
        for origin in ["http://elsewhere.test", "http://127.0.0.1:1", "null", &org] {
            let refused = of_page(method.clone(), endpoint, origin).await;
            assert_eq!(refused.status, 403, "{endpoint} {origin}");
            let problem = format!("a page of {origin} may not change this mock");
            assert_eq!(refused.error().1, problem);
        }
    }
    assert_eq!(cf.get("/_mock/times").await.json()["latency"], "0s");
    let seen = of_page(Method::GET, "stats", "http://elsewhere.test").await;
    assert_eq!(seen.header("access-control-allow-origin"), "");

    let own_page = cf.request(Method::POST, "/_mock/reset");
    assert_eq!(send(own_page.header("origin", &uri)).await.status, 204);
    assert!(cf.names("/v3/organizations").await.is_empty());
}

#[tokio::test]
async fn a_stopped_mock_closes_its_connections() {
    let cf = Session::v3().await;
    let uri = cf.mock.uri();
    drop(cf.mock);
    let error = reqwest::get(uri).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

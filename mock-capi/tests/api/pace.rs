//! Response times: profiles, and workers for which requests queue.

use std::time::Duration;

use mock_capi::{Adapter, Front, MockCapi, MockCapiBuilder, Profile, Wiremock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Session, send};

const PROFILE: &str = "
default: {one: 3ms, list: 10ms, each: 5ms}
types: {spaces: {each: 0s}}
operations: {'POST /v3/spaces': {one: 7ms}}
times: {job: 1h}
workers: 3
";

async fn own<A: Adapter>(cf: &Session<A>, method: Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/_mock/{path}", cf.mock.uri());
    let answer = send(cf.http.request(method, url).json(&body)).await;
    (answer.status.as_u16(), answer.json())
}

async fn follow_a_profile<A: Adapter>(builder: MockCapiBuilder<A>) {
    let profile = Profile::from_yaml(PROFILE).unwrap();
    let cf = Session::start(builder.profile(profile)).await;
    let (org, space) = cf.space().await;
    let runtime = async |method: Method, path: &str| {
        let answer = send(cf.request(method, path).json(&json!({}))).await;
        answer.header("x-runtime").to_owned()
    };
    for (method, path, expected) in [
        (Method::GET, format!("/v3/organizations/{org}"), "0.003000"),
        (Method::GET, "/v3/organizations".into(), "0.015000"),
        (Method::GET, "/v3/organizations?names=b".into(), "0.010000"),
        (Method::GET, "/v3/spaces".into(), "0.010000"),
        (Method::GET, format!("/v3/spaces/{space}"), "0.003000"),
        (Method::POST, "/v3/spaces".into(), "0.007000"),
        (Method::GET, "/v2/organizations".into(), "0.015000"),
        (Method::GET, "/".into(), ""),
        (Method::GET, "/uaa/info".into(), ""),
    ] {
        assert_eq!(runtime(method, &path).await, expected, "{path}");
    }
    let (_, times) = own(&cf, Method::GET, "times", Value::Null).await;
    assert_eq!(
        [&times["profile"], &times["workers"], &times["job"]],
        [&json!("file"), &json!(3), &json!("1h")]
    );
}

#[tokio::test]
async fn both_adapters_follow_a_profile() {
    follow_a_profile::<Wiremock>(MockCapi::builder()).await;
    follow_a_profile::<Front>(MockCapi::builder().front()).await;
}

async fn let_requests_queue<A: Adapter>(builder: MockCapiBuilder<A>) {
    let cf = Session::start(builder.workers(2)).await;
    let long = json!({"latency": "1h"});
    assert_eq!(own(&cf, Method::PUT, "times", long).await.0, 204);
    let before = cf.mock.stats().total;
    let pending: Vec<_> = (0..5)
        .map(|_| tokio::spawn(cf.request(Method::GET, "/v3/apps").send()))
        .collect();
    while cf.mock.stats().total < before + 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (_, stats) = own(&cf, Method::GET, "stats", Value::Null).await;
    let expected = json!({"workers": 2, "busy": 2, "waiting": 3, "peak": 3});
    assert_eq!(stats["queue"], expected);
    assert_eq!(cf.mock.peak_queue(), 3);
    for request in pending {
        request.abort();
    }
    cf.mock.reset();
    assert_eq!(cf.mock.peak_queue(), 0);
}

#[tokio::test]
async fn requests_queue_for_workers_with_both_adapters() {
    let_requests_queue::<Wiremock>(MockCapi::builder()).await;
    let_requests_queue::<Front>(MockCapi::builder().front()).await;
}

#[tokio::test]
async fn a_profile_and_workers_are_set_while_the_mock_runs() {
    let cf = Session::v3().await;
    let put = async |times: Value| own(&cf, Method::PUT, "times", times).await;
    let get = async |path: &str| own(&cf, Method::GET, path, Value::Null).await.1;
    assert_eq!(get("profile").await, Value::Null);
    let measured = json!({"profile": "measured", "workers": 20, "start": "1s"});
    assert_eq!(put(measured).await.0, 204);
    let times = get("times").await;
    for (key, value) in [
        ("profile", json!("measured")),
        ("workers", json!(20)),
        ("staging", json!("30s")),
        ("start", json!("1s")),
        ("jitter", json!(0.3)),
    ] {
        assert_eq!(times[key], value, "{key}");
    }
    let profile = get("profile").await;
    assert_eq!(profile["types"]["organizations"]["list"], "75ms");
    // The profile in the response is valid.
    Profile::from_yaml(&profile.to_string()).unwrap();
    for (wrong, problem) in [
        (
            json!({"profile": "fast"}),
            "profile must be 'measured' or 'none', not \"fast\"",
        ),
        (
            json!({"workers": -1}),
            "workers must be a whole number of 0 or more, not -1",
        ),
        (json!({"pace": 1}), "unknown field `pace`"),
    ] {
        let (status, refused) = put(wrong.clone()).await;
        assert_eq!(status, 400);
        let detail = refused["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(problem), "{wrong}: {detail}");
    }
    // The profile in the response is accepted.
    assert_eq!(put(times).await.0, 204);
    assert_eq!(put(json!({"profile": "none", "workers": 0})).await.0, 204);
    assert_eq!(get("times").await["profile"], "none");
}

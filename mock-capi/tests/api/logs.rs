//! The logs of apps, as clients of log-cache read them.

use std::time::Duration;

use crate::common::{Session, send};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mock_capi::{Fault, MockCapi};
use reqwest::Method;
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

/// The batch in the response to a read.
async fn batch(cf: &Session, app: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/read/{app}?{query}");
    let answer = cf.get(&path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["envelopes"]["batch"]
        .as_array()
        .cloned()
        .unwrap()
}

fn text(envelope: &Value) -> String {
    let payload = STANDARD.decode(envelope["log"]["payload"].as_str().unwrap());
    String::from_utf8(payload.unwrap()).unwrap()
}

/// The lines of a source, each with its type.
async fn lines(cf: &Session, app: &str, source: &str) -> Vec<String> {
    batch(cf, app, "envelope_types=LOG&limit=1000")
        .await
        .iter()
        .filter(|envelope| envelope["tags"]["source_type"] == source)
        .map(|envelope| {
            format!(
                "{} {}",
                envelope["log"]["type"].as_str().unwrap(),
                text(envelope)
            )
        })
        .collect()
}

#[tokio::test]
async fn staging_is_logged_while_it_runs() {
    let cf = Session::start(MockCapi::builder().staging_time(TIME)).await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.package(&app, b"bits").await;
    let body = json!({
        "package": {"guid": package},
        "lifecycle": {"type": "buildpack", "data": {"buildpacks": ["go_buildpack"]}},
    });
    let build = cf.post("/v3/builds", body).await.guid();

    assert_eq!(lines(&cf, &app, "STG").await.len(), 1);
    cf.mock.advance(TIME / 2);
    let half = lines(&cf, &app, "STG").await;
    cf.mock.advance(TIME);
    let all = lines(&cf, &app, "STG").await;
    assert!(half.len() > 1 && half.len() < all.len(), "{half:?}");
    for line in [
        "OUT Downloading app package...",
        "OUT -----> go Buildpack version 1.0.0",
        "OUT Exit status 0",
        "OUT Uploading complete",
    ] {
        assert!(all.contains(&line.to_owned()), "{line}: {all:?}");
    }
    let api = lines(&cf, &app, "API").await;
    assert_eq!(
        api,
        [
            format!("OUT Created app with guid {app}"),
            format!("OUT Adding app package for app with guid {app}"),
            format!("OUT Uploading app package for app with guid {app}"),
            format!("OUT Creating build for app with guid {app}"),
            format!("OUT Staging complete for build {build}"),
        ]
    );
}

#[tokio::test]
async fn a_failed_staging_logs_the_reason() {
    let cf = Session::start(MockCapi::builder().faults(vec![Fault::failed_staging()])).await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.package(&app, b"bits").await;
    cf.post("/v3/builds", json!({"package": {"guid": package}}))
        .await;
    let all = lines(&cf, &app, "STG").await;
    let reason = "ERR None of the buildpacks detected a compatible application";
    let at = all.iter().position(|line| line == reason).unwrap();
    assert_eq!(all[at + 1], "OUT Exit status 222");
    assert!(!all.contains(&"OUT Uploading complete".to_owned()));
}

#[tokio::test]
async fn starting_and_crashing_are_logged() {
    let cf = Session::start(MockCapi::builder().start_time(TIME)).await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    cf.act(&app, "start").await;
    cf.mock.advance(TIME);
    let cell = lines(&cf, &app, "CELL").await;
    assert_eq!(cell.last().unwrap(), "OUT Container became healthy");
    assert_eq!(
        lines(&cf, &app, "APP/PROC/WEB").await,
        [
            "OUT Invoking pre-start scripts.",
            "OUT Invoking start command."
        ]
    );

    cf.mock
        .set_faults(vec![Fault::crashing_instances().of("app")])
        .unwrap();
    cf.act(&app, "restart").await;
    assert_eq!(cf.instance_states(&app).await, ["STARTING"]);
    cf.mock.advance(TIME);
    assert_eq!(cf.instance_states(&app).await, ["CRASHED"]);
    let app_lines = lines(&cf, &app, "APP/PROC/WEB").await;
    assert_eq!(app_lines.last().unwrap(), "OUT Exit status 1");

    // The fault ends with the next start.
    cf.mock.set_faults(Vec::new()).unwrap();
    cf.act(&app, "restart").await;
    cf.mock.advance(TIME);
    assert_eq!(cf.instance_states(&app).await, ["RUNNING"]);
}

#[tokio::test]
async fn logs_are_read_by_time() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let all = batch(&cf, &app, "").await;
    let times: Vec<i64> = all
        .iter()
        .map(|envelope| envelope["timestamp"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert_eq!(all[0]["source_id"], json!(app));
    assert_eq!(all[0]["instance_id"], "0");

    // Lines can be read newest first, and within a period.
    let newest = batch(&cf, &app, "limit=1&descending=true").await;
    assert_eq!(newest, all[all.len() - 1..]);
    let range = format!("start_time={}&end_time={}", times[1], times[3]);
    assert_eq!(batch(&cf, &app, &range).await, all[1..3]);

    // There are no metrics, and log lines have no name.
    assert!(batch(&cf, &app, "envelope_types=GAUGE").await.is_empty());
    assert!(batch(&cf, &app, "name_filter=cpu").await.is_empty());
    assert!(batch(&cf, "unknown", "").await.is_empty());

    let meta = cf.get("/api/v1/meta").await.json();
    assert_eq!(meta["meta"][&app]["count"], all.len().to_string());
    assert_eq!(
        meta["meta"][&app]["newestTimestamp"],
        newest[0]["timestamp"]
    );
}

#[tokio::test]
async fn log_cache_has_its_own_error_messages() {
    let cf = Session::v3().await;
    let root = cf.get("/").await.json();
    assert_eq!(root["links"]["log_cache"]["href"], json!(cf.mock.uri()));
    for (query, status, code, message) in [
        ("limit=1001", 500, 2, "Limit (1001) must be 1000 or less"),
        ("limit=-1", 500, 2, "Limit (-1) must be greater than zero"),
        (
            "start_time=2&end_time=1",
            500,
            2,
            "StartTime (2) must be before EndTime (1)",
        ),
        (
            "limit=x",
            400,
            3,
            "parsing field \"limit\": strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "envelope_types=LOGS",
            400,
            3,
            "parsing field \"envelope_types\": \"LOGS\" is not a valid value",
        ),
    ] {
        let answer = cf.get(&format!("/api/v1/read/app?{query}")).await;
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(
            answer.json(),
            json!({"code": code, "message": message, "details": []})
        );
    }

    // Responses to requests without a token do not reveal whether an app exists.
    let url = format!("{}/api/v1/read/app", cf.mock.uri());
    assert_eq!(send(cf.http.request(Method::GET, &url)).await.status, 404);
    cf.mock.expire_tokens();
    assert_eq!(cf.get("/api/v1/read/app").await.status, 404);
    assert_eq!(cf.get("/api/v1/info").await.status, 200);
}

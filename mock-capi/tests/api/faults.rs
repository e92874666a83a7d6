//! Faults, tokens, and the functions with which a test inspects and changes a running
//! mock.

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{Session, http, new_app, send};
use mock_capi::{Dialect, Fault, MockCapi, StartError};
use serde_json::{Value, json};

#[tokio::test]
async fn faults_replace_responses() {
    let fault = Fault::answer("POST", "/v3/organizations", 429)
        .retry_after(Duration::from_secs(7))
        .skip(1)
        .times(1);
    let cf = Session::start(MockCapi::builder().faults(vec![fault])).await;
    let create = async |name: &str| cf.post("/v3/organizations", json!({"name": name})).await;
    assert_eq!(create("a").await.status, 201);
    let refused = create("b").await;
    assert_eq!(
        (
            refused.status.as_u16(),
            refused.error().0,
            refused.header("retry-after")
        ),
        (429, 10013, "7")
    );
    assert_eq!(create("b").await.status, 201);

    cf.mock
        .set_faults(vec![
            Fault::answer("*", "/v3/organizations/:guid", 503).error(
                1,
                "CF-Broken",
                "Out to lunch",
            ),
        ])
        .unwrap();
    assert_eq!(
        cf.get("/v3/organizations/x").await.error(),
        (1, "Out to lunch".into())
    );
    assert_eq!(cf.get("/v3/organizations").await.status, 200);
    cf.mock.set_faults(Vec::new()).unwrap();
    assert_eq!(cf.get("/v3/organizations/x").await.status, 404);
}

#[tokio::test]
async fn staging_copies_and_jobs_fail() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let (app, clone) = (
        cf.staged_app(&space, "app").await,
        cf.create_app(&space, "clone").await,
    );
    let droplet = cf
        .get(&format!("/v3/apps/{app}/droplets/current"))
        .await
        .guid();
    cf.mock
        .set_faults(vec![
            Fault::failed_staging().of("app"),
            Fault::failed_copy().of("clone").times(1),
            Fault::failed_job()
                .of("app.delete")
                .error(10008, "CF-UnprocessableEntity", "No"),
        ])
        .unwrap();

    let package = cf.package(&app, b"bits").await;
    let build = cf
        .post("/v3/builds", json!({"package": {"guid": package}}))
        .await;
    assert_eq!(build.json()["state"], "STAGING");
    let failed = cf.get(&format!("/v3/builds/{}", build.guid())).await.json();
    assert_eq!(
        (&failed["state"], &failed["droplet"]),
        (&json!("FAILED"), &Value::Null)
    );
    assert_eq!(
        failed["error"],
        "NoAppDetectedError - An app was not successfully detected by any available buildpack"
    );
    assert_eq!(
        cf.get(&format!("/v3/packages/{package}/droplets"))
            .await
            .json()["resources"],
        json!([])
    );

    let path = format!("/v3/droplets?source_guid={droplet}");
    let body = json!({"relationships": {"app": {"data": {"guid": clone}}}});
    let copy = cf.post(&path, body.clone()).await;
    assert_eq!(copy.json()["state"], "COPYING");
    assert_eq!(
        cf.get(&format!("/v3/droplets/{}", copy.guid()))
            .await
            .json()["state"],
        "FAILED"
    );
    let second = cf.post(&path, body).await.guid();
    assert_eq!(
        cf.get(&format!("/v3/droplets/{second}")).await.json()["state"],
        "STAGED"
    );

    let job = cf
        .delete(&format!("/v3/apps/{app}"))
        .await
        .header("location")
        .to_owned();
    let job = cf.get(&job).await.json();
    assert_eq!(job["state"], "FAILED");
    assert_eq!(
        job["errors"],
        json!([{"code": 10008, "title": "CF-UnprocessableEntity", "detail": "No"}])
    );
    assert_eq!(cf.get(&format!("/v3/apps/{app}")).await.status, 200);
}

#[tokio::test]
async fn tokens_expire_and_are_refreshed() {
    let mut cf = Session::start(MockCapi::builder().token_lifetime(Duration::from_secs(100))).await;
    let tokens = cf.log_in("admin", "admin").await.json();
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"]),
        (&json!("bearer"), &json!(99))
    );
    assert_eq!(
        tokens["access_token"].as_str().unwrap().split('.').count(),
        3
    );
    let refresh_token = tokens["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(cf.get("/v3/apps").await.status, 200);

    cf.mock.expire_tokens();
    assert_eq!(
        cf.get("/v3/apps").await.error(),
        (1000, "Invalid Auth Token".into())
    );
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token.as_str()),
    ];
    let refreshed = cf.token(&refresh).await.json();
    cf.token = refreshed["access_token"].as_str().unwrap().to_owned();
    assert_eq!(cf.get("/v3/apps").await.status, 200);
    cf.mock.advance(Duration::from_secs(100));
    assert_eq!(cf.get("/v3/apps").await.status, 401);
    // A refresh token is not an access token, and vice versa.
    cf.token = refresh_token;
    assert_eq!(cf.get("/v3/apps").await.status, 401);
    let access = refreshed["access_token"].as_str().unwrap();
    let wrong = cf
        .token(&[("grant_type", "refresh_token"), ("refresh_token", access)])
        .await;
    assert_eq!(
        (wrong.status.as_u16(), &wrong.json()["error"]),
        (401, &json!("invalid_token"))
    );
}

#[tokio::test]
async fn uaa_refuses_unknown_credentials() {
    let cf = Session::start(MockCapi::builder().client("ci", "s3cr:et")).await;
    let bad = json!({"error": "unauthorized", "error_description": "Bad credentials"});
    for (user, password) in [("admin", "wrong"), ("nobody", "admin"), ("", "")] {
        let answer = cf.log_in(user, password).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (401, bad.clone()));
    }
    for (grant, error) in [
        ("implicit", "unsupported_grant_type"),
        ("client_credentials", "unauthorized_client"),
    ] {
        assert_eq!(
            cf.token(&[("grant_type", grant)]).await.json()["error"],
            error
        );
    }
    assert_eq!(cf.token(&[]).await.json()["error"], "invalid_request");

    let url = format!("{}/oauth/token", cf.mock.uri());
    let form = [("grant_type", "client_credentials")];
    let wrong = send(cf.http.post(&url).basic_auth("ci", Some("x")).form(&form)).await;
    assert_eq!(wrong.json(), bad);
    let basic = send(
        cf.http
            .post(&url)
            .basic_auth("ci", Some("s3cr:et"))
            .form(&form),
    )
    .await
    .json();
    assert!(basic["access_token"].is_string());
    assert_eq!(basic.get("refresh_token"), None);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "ci"),
        ("client_secret", "s3cr:et"),
    ];
    assert_eq!(send(cf.http.post(&url).form(&form)).await.status, 200);
}

#[tokio::test]
async fn requests_are_recorded_and_counted() {
    let cf = Session::start(MockCapi::builder().record_requests()).await;
    cf.mock.forget_requests();
    let (_, space) = cf.space().await;
    cf.mock.forget_requests();
    let app = cf.create_app(&space, "app").await;
    cf.get(&format!("/v3/apps/{app}?include=space")).await;
    cf.get("/v4").await;
    let requests = cf.mock.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|r| (r.method.as_str(), r.path.as_str(), r.query.as_deref()))
        .collect();
    let path = format!("/v3/apps/{app}");
    assert_eq!(
        seen,
        [
            ("POST", "/v3/apps", None),
            ("GET", path.as_str(), Some("include=space")),
            ("GET", "/v4", None)
        ]
    );
    assert_eq!(requests[0].json(), Some(new_app(&space, "app")));
    assert_eq!(requests[1].json(), None);
    let stats = cf.mock.stats();
    assert_eq!(stats.total, 3);
    assert_eq!(stats.by_route["GET /v3/apps/:guid"], 1);
    assert_eq!(stats.by_route["unknown"], 1);
    // By default, no requests are recorded.
    let quiet = Session::v3().await;
    assert!(quiet.mock.requests().is_empty());
}

#[tokio::test]
async fn a_reset_restores_the_initial_state() {
    for dialect in [Dialect::V3, Dialect::Documented2017] {
        let cf = Session::start(
            MockCapi::builder()
                .dialect(dialect)
                .job_time(Duration::from_secs(1))
                .faults(vec![Fault::answer("GET", "/v3/apps", 503)])
                .apps_domain("example.com"),
        )
        .await;
        let times = format!("{}/_mock/times", cf.mock.uri());
        let before = send(cf.http.get(&times)).await.json();
        let slow = json!({"job": "1m", "jitter": 0.5});
        assert_eq!(send(cf.http.put(&times).json(&slow)).await.status, 204);
        let path = if dialect == Dialect::V3 {
            "/v3/organizations"
        } else {
            "/v2/organizations"
        };
        assert_eq!(cf.post(path, json!({"name": "org"})).await.status, 201);
        assert_eq!(
            cf.mock.state()["organizations"].as_array().map(Vec::len),
            Some(1)
        );
        cf.mock
            .set_faults(vec![Fault::answer("*", "/*", 500)])
            .unwrap();
        assert_eq!(cf.get(path).await.status, 500);
        cf.mock.reset();
        let state = cf.mock.state();
        assert_eq!(state["organizations"], json!([]));
        assert_eq!(state["domains"][0]["name"], "example.com");
        assert_eq!(state["organization_quotas"][0]["name"], "default");
        assert_eq!(cf.mock.stats().total, 0);
        assert_eq!(send(cf.http.get(&times)).await.json(), before);
        let faults = format!("{}/_mock/faults", cf.mock.uri());
        let faults = send(cf.http.get(faults)).await.json();
        assert_eq!(faults[0]["path"], "/v3/apps");
        // The token is still valid.
        assert_eq!(cf.get(path).await.status, 200);
    }
}

#[tokio::test]
async fn the_mocks_own_endpoints_need_no_token() {
    let cf = Session::v3().await;
    cf.create_org("org").await;
    let url = |path: &str| format!("{}/_mock/{path}", cf.mock.uri());
    let stats = send(cf.http.get(url("stats"))).await.json();
    assert_eq!(stats["by_route"]["POST /v3/organizations"], 1);
    assert_eq!(stats["total"], 2);
    let state = send(cf.http.get(url("state"))).await.json();
    assert_eq!(state["organizations"][0]["name"], "org");
    assert_eq!(send(cf.http.post(url("reset"))).await.status, 204);
    assert_eq!(cf.mock.state()["organizations"], json!([]));
    assert_eq!(send(cf.http.get(url("nothing"))).await.status, 404);
    assert_eq!(cf.mock.stats().total, 0);
}

#[tokio::test]
async fn latency_delays_every_response() {
    let cf = Session::start(MockCapi::builder().latency(Duration::from_millis(20))).await;
    let before = std::time::Instant::now();
    cf.get("/v3/apps").await;
    assert!(before.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let first = MockCapi::builder().start().await.unwrap();
    let address: SocketAddr = first.address();
    let second = MockCapi::builder().listen(address).start().await;
    let error = second.err().unwrap();
    assert!(
        matches!(&error, StartError::Listen { address: refused, .. } if *refused == address),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen on {address}: ")),
        "{error}"
    );
}

#[tokio::test]
async fn a_long_run_answers_every_request() {
    let mock = MockCapi::builder().start().await.unwrap();
    let url = format!("{}/v3/info", mock.uri());
    let http = http();
    let ask = async || {
        for _ in 0..500 {
            assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
        }
    };
    tokio::join!(ask(), ask(), ask(), ask(), ask());
    assert_eq!(mock.stats().total, 2500);
}

#[test]
fn the_documented_examples_are_faults() {
    let page = include_str!("../../../docs/mock-capi.md");
    let examples: Vec<&str> = page
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(examples.len() >= 12, "{examples:?}");
    for example in &examples {
        let read = Fault::list_from_json(example);
        assert!(read.is_ok_and(|faults| faults.len() == 1), "{example}");
    }
    for fault in [
        "answer",
        "delay",
        "drop_before",
        "drop_after",
        "truncate",
        "drip",
        "expired_token",
        "failed_job",
        "failed_staging",
        "failed_copy",
        "failed_task",
        "crashing_instances",
    ] {
        let named = format!("\"fault\": \"{fault}\"");
        assert!(examples.iter().any(|example| example.contains(&named)));
    }
}

#[tokio::test]
async fn faults_that_could_never_apply_are_refused() {
    let cf = Session::v3().await;
    cf.mock
        .set_faults(vec![Fault::answer("*", "/v3/apps", 503)])
        .unwrap();
    for (fault, problem) in [
        (
            Fault::drop_after("POST", "v3/apps"),
            "fault 0: 'path' must start with a '/'",
        ),
        (
            Fault::failed_copy().probability(1.1),
            "fault 0: 'probability' must be from 0 to 1",
        ),
        (
            Fault::failed_job().retry_after(Duration::from_secs(1)),
            "fault 0: 'retry_after' needs answer",
        ),
    ] {
        let refused = cf.mock.set_faults(vec![fault.clone()]).unwrap_err();
        assert_eq!(refused.to_string(), problem);
        let started = MockCapi::builder().faults(vec![fault]).start().await;
        assert_eq!(
            started.err().unwrap().to_string(),
            format!("invalid faults: {problem}")
        );
    }
    assert_eq!(cf.get("/v3/apps").await.status, 503);
}

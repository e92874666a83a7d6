//! The rate limit and its headers.

use std::time::Duration;

use crate::common::{Session, send};
use mock_capi::{Dialect, MockCapi};
use serde_json::json;

async fn limited() -> Session {
    Session::start(MockCapi::builder().rate_limit(10, Duration::from_secs(60))).await
}

#[tokio::test]
async fn a_user_is_limited_to_a_number_of_requests_per_window() {
    let cf = limited().await;
    let first = cf.get("/v3/apps").await;
    assert_eq!(
        (
            first.status.as_u16(),
            first.header("x-ratelimit-limit"),
            first.header("x-ratelimit-remaining"),
        ),
        (200, "10", "9")
    );
    let reset: u64 = first.header("x-ratelimit-reset").parse().unwrap_or(0);
    for _ in 1..10 {
        assert_eq!(cf.get("/v3/apps").await.status, 200);
    }
    let refused = cf.get("/v3/apps").await;
    assert_eq!(
        (refused.status.as_u16(), refused.error()),
        (429, (10013, "Rate Limit Exceeded".into()))
    );
    let wait: u64 = refused.header("retry-after").parse().unwrap_or(0);
    assert!((1..=60).contains(&wait), "{refused:?}");
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert_eq!(refused.header("x-ratelimit-reset"), reset.to_string());
    cf.mock.advance(Duration::from_secs(60));
    assert_eq!(cf.get("/v3/apps").await.status, 200);
}

#[tokio::test]
async fn in_2017_retry_after_is_a_point_in_time() {
    let builder = MockCapi::builder().dialect(Dialect::Documented2017);
    let cf = Session::start(builder.rate_limit(1, Duration::from_secs(60))).await;
    cf.get("/v2/apps").await;
    let refused = cf.get("/v2/apps").await;
    assert_eq!(refused.status, 429);
    let reset = refused.header("x-ratelimit-reset");
    assert!(!reset.is_empty(), "{refused:?}");
    assert_eq!(refused.header("retry-after"), reset);
}

#[tokio::test]
async fn callers_are_counted_separately_and_logins_are_not_counted() {
    let cf = limited().await;
    let stranger = |path: &str| cf.http.get(format!("{}{path}", cf.mock.uri()));
    for _ in 0..10 {
        assert_eq!(send(stranger("/v3/apps")).await.status, 401);
    }
    assert_eq!(send(stranger("/v3/apps")).await.error().0, 10014);
    assert_eq!(send(stranger("/v3")).await.status, 200);
    assert_eq!(cf.log_in("admin", "admin").await.status, 200);
    assert_eq!(cf.get("/v3/apps").await.status, 200);
}

#[tokio::test]
async fn the_info_endpoint_shows_the_limit() {
    let cf = limited().await;
    assert_eq!(
        cf.get("/v3/info").await.json()["rate_limits"],
        json!({"enabled": true, "general_limit": 10, "reset_interval_in_minutes": 1})
    );
    let unlimited = Session::v3().await;
    let answer = unlimited.get("/v3/apps").await;
    assert_eq!(answer.header("x-ratelimit-limit"), "");
}

#[tokio::test]
async fn administrators_can_have_another_limit() {
    let builder = MockCapi::builder()
        .add_user("dev", "secret")
        .rate_limit(10, Duration::from_secs(60))
        .admin_rate_limit(20);
    let mut cf = Session::start(builder).await;
    let limit = cf.get("/v3/apps").await;
    assert_eq!(limit.header("x-ratelimit-limit"), "20");
    cf.log_in_as("dev", "secret").await;
    let limit = cf.get("/v3/apps").await;
    assert_eq!(limit.header("x-ratelimit-limit"), "10");
}

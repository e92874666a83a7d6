//! What the operators of a foundation do: end builds, clear caches.

mod common;

use std::time::Duration;

use common::{Session, new_package};
use mock_capi::MockCapi;
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_stager_ends_builds() {
    let cf = Session::start(MockCapi::builder().staging_time(TIME)).await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.post("/v3/packages", new_package(&app)).await.guid();
    cf.upload(&package, b"bits").await;
    cf.mock.advance(TIME);
    let body = json!({"package": {"guid": package}});

    let build = cf.post("/v3/builds", body.clone()).await.guid();
    let path = format!("/v3/builds/{build}");
    for (body, detail) in [
        (
            json!({"state": "STAGING"}),
            "State 'STAGING' is not a valid state",
        ),
        (
            json!({"state": "STAGED"}),
            "Lifecycle 'STAGED' builds require lifecycle data",
        ),
    ] {
        assert_eq!(cf.patch(&path, body).await.error().1, detail);
    }
    let failed = cf
        .patch(&path, json!({"state": "FAILED", "error": "no luck"}))
        .await
        .json();
    assert_eq!(
        (&failed["state"], &failed["error"], &failed["droplet"]),
        (
            &json!("FAILED"),
            &json!("StagerError - Stager error: no luck"),
            &Value::Null
        )
    );

    let build = cf.post("/v3/builds", body).await.guid();
    let staged = json!({
        "state": "STAGED",
        "lifecycle": {"data": {"processTypes": {"web": "./run", "worker": "./work"}}},
        "metadata": {"labels": {"by": "stager"}},
    });
    let staged = cf.patch(&format!("/v3/builds/{build}"), staged).await;
    assert_eq!(staged.json()["state"], "STAGED");
    assert_eq!(staged.json()["metadata"]["labels"]["by"], "stager");
    let droplet = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    assert_eq!(
        (
            &droplet.json()["guid"],
            &droplet.json()["process_types"]["worker"]
        ),
        (&staged.json()["droplet"]["guid"], &json!("./work"))
    );
}

#[tokio::test]
async fn buildpack_caches_are_cleared_in_jobs() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    for (path, operation) in [
        (
            format!("/v3/apps/{app}/actions/clear_buildpack_cache"),
            "app.clear_buildpack_cache",
        ),
        (
            "/v3/admin/actions/clear_buildpack_cache".into(),
            "admin.clear_buildpack_cache",
        ),
    ] {
        let answer = cf.post(&path, json!({})).await;
        assert_eq!(answer.status, 202);
        let job = cf.get(answer.header("location")).await.json();
        assert_eq!(job["operation"], operation);
    }
}

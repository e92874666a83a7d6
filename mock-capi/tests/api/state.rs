//! State files: one mock saves its state, another one loads it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::common::{Session, new_route, send};
use mock_capi::{Dialect, MockCapi, MockCapiBuilder, StartError};
use serde_json::{Value, json};

/// Restarts a mock with its saved state and the same login.
async fn restart(cf: Session, builder: MockCapiBuilder, file: &Path) -> Session {
    let Session { mock, http, token } = cf;
    mock.save_state(file).unwrap();
    drop(mock);
    let mock = builder.state_file(file).start().await.unwrap();
    Session { mock, http, token }
}

/// The state without the parts that depend on the mock's address.
fn state(cf: &Session) -> Value {
    let text = cf.mock.state().to_string();
    serde_json::from_str(&text.replace(&cf.mock.uri(), "")).unwrap()
}

#[tokio::test]
async fn a_world_survives_a_restart_with_its_running_operations() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let builder = MockCapi::builder()
        .staging_time(Duration::from_secs(3600))
        .job_time(Duration::from_secs(3600))
        .token_lifetime(Duration::from_secs(86_400));
    let cf = Session::start(builder.clone()).await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "host"))
        .await
        .guid();
    cf.post(
        &format!("/v3/routes/{route}/destinations"),
        json!({"destinations": [{"app": {"guid": app}}]}),
    )
    .await;
    let vars = json!({"var": {"KEY": "value"}});
    cf.patch(&format!("/v3/apps/{app}/environment_variables"), vars)
        .await;
    let labels = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}});
    cf.patch(&format!("/v3/apps/{app}"), labels).await;
    let package = cf.package(&app, b"bits").await;
    cf.mock.advance(Duration::from_secs(3600));
    let build = cf
        .post("/v3/builds", json!({"package": {"guid": package}}))
        .await
        .guid();
    let doomed = cf.create_app(&space, "doomed").await;
    let job = cf.delete(&format!("/v3/apps/{doomed}")).await;
    let job = job.header("location").replace(&cf.mock.uri(), "");
    let logs = cf.get(&format!("/api/v1/read/{app}")).await.json();
    let before = state(&cf);

    let cf = restart(cf, builder, &file).await;
    assert_eq!(state(&cf), before);
    assert_eq!(cf.names("/v3/apps?label_selector=a=b").await, ["app"]);
    assert_eq!(cf.get(&format!("/api/v1/read/{app}")).await.json(), logs);
    let state_of = async |path: &str| cf.get(path).await.json()["state"].clone();
    let build = format!("/v3/builds/{build}");
    assert_eq!(
        [state_of(&build).await, state_of(&job).await],
        ["STAGING", "PROCESSING"]
    );
    cf.mock.advance(Duration::from_secs(3600));
    assert_eq!(
        [state_of(&build).await, state_of(&job).await],
        ["STAGED", "COMPLETE"]
    );
    assert_eq!(cf.names("/v3/apps").await, ["app"]);
    // New GUIDs continue the sequence.
    let other = cf.create_app(&space, "other").await;
    assert!(!before.to_string().contains(&other));
}

#[tokio::test]
async fn quotas_and_users_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    cf.scale(&app, json!({"instances": 80, "memory_in_mb": 1024}))
        .await;
    assert_eq!(cf.act(&app, "start").await.status, 200);

    let builder = MockCapi::builder().user("admin", "changed");
    let cf = restart(cf, builder, &file).await;
    let more = cf
        .scale(&app, json!({"instances": 200, "memory_in_mb": 1024}))
        .await;
    assert_eq!(more.error().1, "memory quota_exceeded");
    assert_eq!(cf.log_in("admin", "admin").await.status, 401);
    assert_eq!(cf.log_in("admin", "changed").await.status, 200);
}

#[tokio::test]
async fn a_file_without_newer_kinds_of_resources_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let cf = Session::v3().await;
    cf.create_org("org").await;
    cf.mock.save_state(&file).unwrap();
    let mut saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let world = saved["world"].as_object_mut().unwrap();
    for table in ["sidecars", "route_policies", "app_usage_events"] {
        assert!(world.remove(table).is_some(), "{table}");
    }
    let older = folder.path().join("older.json");
    fs::write(&older, saved.to_string()).unwrap();
    let builder = MockCapi::builder().state_file(&older);
    let state = builder.start().await.unwrap().state();
    assert_eq!(state["organizations"][0]["name"], "org");
    assert_eq!(state["sidecars"], json!([]));
}

#[tokio::test]
async fn only_the_owner_can_read_the_file_and_a_missing_one_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let mock = MockCapi::builder().state_file(&file).start().await.unwrap();
    assert_eq!(mock.state()["organizations"], json!([]));
    // The file exists from the start, so that a mock that is killed leaves a state file.
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = mock.save_state(folder.path().join("none/world.json"));
    let error = nowhere.unwrap_err().to_string();
    assert!(error.starts_with("cannot save the state to "), "{error}");
}

#[tokio::test]
async fn a_state_file_belongs_to_one_mock_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let builder = MockCapi::builder().state_file(&file);
    for _ in 0..2 {
        let mock = builder.clone().start().await.unwrap();
        let refused = builder.clone().start().await.unwrap_err().to_string();
        let in_use = format!(
            "the state in {} is in use by another mock-capi",
            file.display()
        );
        assert_eq!(refused, in_use);
        // A save replaces the file, which is locked again.
        mock.save_state(&file).unwrap();
        assert_eq!(
            builder.clone().start().await.unwrap_err().to_string(),
            in_use
        );
        drop(mock);
    }
}

#[tokio::test]
async fn a_state_that_could_not_be_saved_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none/world.json");
    let refused = MockCapi::builder().state_file(&file).start().await;
    let refused = refused.unwrap_err().to_string();
    let words = format!("cannot save the state to {}: ", file.display());
    assert!(refused.starts_with(&words), "{refused}");
}

#[tokio::test]
async fn leftovers_of_a_killed_mock_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    fs::write(folder.path().join("world.json.new"), "{").unwrap();
    let mock = MockCapi::builder().state_file(&file).start().await.unwrap();
    drop(mock);
    let names = fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["world.json"]);
}

#[tokio::test]
async fn an_invalid_state_file_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let path = file.display();
    let mock = MockCapi::builder().start().await.unwrap();
    mock.save_state(&file).unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    let cases = [
        (
            String::new(),
            format!("{path} is not a state of mock-capi: the file is empty"),
        ),
        (
            "[]".into(),
            format!("{path} is not a state of mock-capi: expected an object, not a list"),
        ),
        (
            whole[..whole.len() / 2].to_owned(),
            format!("{path} is not a state of mock-capi: EOF"),
        ),
        (
            whole.replacen("\"mock_capi_state\":3", "\"mock_capi_state\":9", 1),
            format!("the state in {path} has the format 9, and this mock-capi reads 3"),
        ),
    ];
    for (text, expected) in cases {
        fs::write(&file, text).unwrap();
        let started = MockCapi::builder().state_file(&file).start().await;
        let error = started.err().unwrap().to_string();
        assert!(error.starts_with(&expected), "{error}");
    }
    fs::write(&file, whole).unwrap();
    let builder = MockCapi::builder().dialect(Dialect::Documented2017);
    let error = builder.state_file(&file).start().await.err().unwrap();
    assert!(matches!(error, StartError::State(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "the state in {path} was saved with the dialect v3; use that dialect, or another file"
        )
    );
}

#[tokio::test]
async fn a_reset_world_can_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let cf = Session::v3().await;
    cf.create_org("org").await;
    cf.mock.reset();
    let before = state(&cf);
    let cf = restart(cf, MockCapi::builder(), &file).await;
    assert_eq!(state(&cf), before);
    assert_eq!(
        send(cf.request(reqwest::Method::GET, "/v3/organizations"))
            .await
            .status,
        200
    );
}

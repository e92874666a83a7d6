//! Apps that clients of v2 push, run and delete.

use std::time::Duration;

use crate::common::{HttpResponse, Session, archive_of, send};
use mock_capi::{Fault, MockCapi};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

/// The code and the title of an error.
fn error(answer: &HttpResponse) -> (u64, String) {
    let json = answer.json();
    let title = json["error_code"].as_str().unwrap_or_default();
    (json["code"].as_u64().unwrap_or_default(), title.to_owned())
}

async fn create(cf: &Session, space: &str, more: Value) -> String {
    let mut body = json!({"name": "app", "space_guid": space});
    let attributes = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(attributes);
    let answer = cf.post("/v2/apps", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.v2_guid()
}

async fn upload(cf: &Session, app: &str, query: &str) -> HttpResponse {
    upload_bits(cf, app, query, archive_of(b"file")).await
}

async fn upload_bits(cf: &Session, app: &str, query: &str, bits: Vec<u8>) -> HttpResponse {
    let part = reqwest::multipart::Part::bytes(bits).file_name("application.zip");
    let form = reqwest::multipart::Form::new()
        .text("resources", "[]")
        .part("application", part);
    let path = format!("/v2/apps/{app}/bits{query}");
    send(cf.request(Method::PUT, &path).multipart(form)).await
}

async fn set(cf: &Session, app: &str, body: Value) -> HttpResponse {
    cf.put(&format!("/v2/apps/{app}"), body).await
}

async fn entity(cf: &Session, app: &str) -> Value {
    cf.get(&format!("/v2/apps/{app}")).await.json()["entity"].take()
}

async fn instances(cf: &Session, app: &str) -> HttpResponse {
    cf.get(&format!("/v2/apps/{app}/instances")).await
}

/// A running app.
async fn running(cf: &Session, space: &str) -> String {
    let app = create(cf, space, json!({})).await;
    assert_eq!(upload(cf, &app, "").await.status, 201);
    let answer = set(cf, &app, json!({"state": "STARTED"})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    app
}

#[tokio::test]
async fn apps_have_the_requested_attributes() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = create(
        &cf,
        &space,
        json!({
            "memory": 64,
            "disk_quota": 128,
            "instances": 2,
            "command": "run",
            "buildpack": "go_buildpack",
            "health_check_type": "http",
            "health_check_http_endpoint": "/health",
            "health_check_timeout": 5,
            "environment_json": {"A": "1"},
            "enable_ssh": false,
        }),
    )
    .await;
    let seen = entity(&cf, &app).await;
    let stack = cf.get("/v2/stacks?q=name:cflinuxfs4").await.json();
    for (name, value) in [
        ("memory", json!(64)),
        ("disk_quota", json!(128)),
        ("instances", json!(2)),
        ("command", json!("run")),
        ("buildpack", json!("go_buildpack")),
        ("health_check_type", json!("http")),
        ("health_check_http_endpoint", json!("/health")),
        ("health_check_timeout", json!(5)),
        ("environment_json", json!({"A": "1"})),
        ("enable_ssh", json!(false)),
        ("state", json!("STOPPED")),
        ("package_state", json!("PENDING")),
        (
            "stack_guid",
            stack["resources"][0]["metadata"]["guid"].clone(),
        ),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }

    set(
        &cf,
        &app,
        json!({"environment_json": {"B": "2"}, "command": ""}),
    )
    .await;
    let seen = entity(&cf, &app).await;
    assert_eq!(seen["environment_json"], json!({"B": "2"}));
    assert_eq!(
        (&seen["command"], &seen["memory"]),
        (&json!(null), &json!(64))
    );
    let of_v3 = cf
        .get(&format!("/v3/apps/{app}/processes/web"))
        .await
        .json();
    assert_eq!(of_v3["memory_in_mb"], 64);
}

#[tokio::test]
async fn invalid_attributes_are_refused() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = create(&cf, &space, json!({})).await;
    let docker = json!({"docker_image": "alpine"});
    for (body, code, title) in [
        (json!({"state": "STARTED"}), 150_001, "CF-AppPackageInvalid"),
        (json!({"memory": 0}), 100_006, "CF-AppMemoryInvalid"),
        (json!({"instances": -1}), 100_001, "CF-AppInvalid"),
        (json!({"state": "RUNNING"}), 100_001, "CF-AppInvalid"),
        (
            json!({"health_check_type": "none?"}),
            100_001,
            "CF-AppInvalid",
        ),
        (
            json!({"health_check_type": "http"}),
            100_001,
            "CF-AppInvalid",
        ),
        (
            json!({"environment_json": {"VCAP_X": ""}}),
            100_001,
            "CF-AppInvalid",
        ),
        (docker, 100_001, "CF-AppInvalid"),
        (json!({"memory": "1G"}), 1001, "CF-MessageParseError"),
        (
            json!({"command": "other", "buildpack": "none"}),
            100_001,
            "CF-AppInvalid",
        ),
        (json!({"name": ""}), 100_001, "CF-AppInvalid"),
        (
            json!({"command": "other", "health_check_timeout": 10_000}),
            100_001,
            "CF-AppInvalid",
        ),
    ] {
        let answer = set(&cf, &app, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(error(&answer), (code, title.into()), "{body}");
    }
    let body = json!({"name": "app", "space_guid": space});
    let answer = cf.post("/v2/apps", body).await;
    assert_eq!(error(&answer), (100_002, "CF-AppNameTaken".into()));
    let events = cf.get("/v3/audit_events").await.json();
    let too_long = json!({"health_check_timeout": 10_000});
    for more in [json!({"health_check_type": "http"}), too_long] {
        let mut body = json!({"name": "other", "space_guid": space});
        let attributes = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(attributes);
        assert_eq!(cf.post("/v2/apps", body).await.status, 400);
    }
    assert_eq!(cf.names("/v3/apps").await, ["app"]);
    assert_eq!(cf.get("/v3/audit_events").await.json(), events);
    assert_eq!(entity(&cf, &app).await["command"], json!(null));

    let moved = set(&cf, &app, json!({"space_guid": "other"})).await;
    assert_eq!(moved.status, StatusCode::NOT_FOUND);
    let here = set(&cf, &app, json!({"space_guid": space})).await;
    assert_eq!(here.status, StatusCode::CREATED);
    // Without a stack, an app has the default stack.
    let stackless = set(&cf, &app, json!({"stack_guid": "none", "instances": 2})).await;
    assert_eq!(stackless.status, StatusCode::CREATED);
    assert_eq!(entity(&cf, &app).await["instances"], 2);
}

#[tokio::test]
async fn apps_without_a_name_are_refused() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = create(&cf, &space, json!({})).await;
    let unnamed = "name presence, name format";
    for (path, parent, place, thing) in [
        ("/v2/apps", "space_guid", space.as_str(), "app"),
        ("/v2/spaces", "organization_guid", &org, "app space info"),
        ("/v2/organizations", "status", "active", "organization info"),
    ] {
        let refused = async |name: Value| {
            let body = json!({"name": name, parent: place});
            let refused = cf.post(path, body).await;
            assert_eq!(refused.status, 400, "{path} {name}");
            refused.json()["description"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            refused(json!("")).await,
            format!("The {thing} is invalid: {unnamed}")
        );
        assert_eq!(
            refused(json!(null)).await,
            "Request invalid due to parse error: Field: name, Error: Missing field name"
        );
    }
    assert_eq!(entity(&cf, &app).await["name"], "app");
}

#[tokio::test]
async fn an_app_that_a_quota_refuses_is_not_changed() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = create(&cf, &space, json!({})).await;
    assert_eq!(upload(&cf, &app, "").await.status, 201);
    let quota = json!({"name": "small", "apps": {"total_memory_in_mb": 512}});
    let quota = cf.post("/v3/organization_quotas", quota).await.guid();
    let path = format!("/v3/organization_quotas/{quota}/relationships/organizations");
    let applied = cf.post(&path, json!({"data": [{"guid": org}]})).await;
    assert_eq!(applied.status, 200);
    let before = entity(&cf, &app).await;
    let refused = set(&cf, &app, json!({"state": "STARTED", "command": "other"})).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(entity(&cf, &app).await, before);
}

#[tokio::test]
async fn a_start_stages_new_bits_first() {
    let cf = Session::start(MockCapi::builder().staging_time(TIME).start_time(TIME)).await;
    let (_, space) = cf.space().await;
    let app = running(&cf, &space).await;
    let not_staged = (170_002, "CF-NotStaged".to_owned());
    assert_eq!(error(&instances(&cf, &app).await), not_staged);
    assert_eq!(entity(&cf, &app).await["package_state"], "PENDING");
    let again = set(&cf, &app, json!({"state": "STARTED"})).await;
    assert_eq!(error(&again), (170_017, "CF-StagingInProgress".into()));

    cf.mock.advance(TIME);
    let seen = entity(&cf, &app).await;
    assert_eq!(seen["package_state"], "STAGED");
    assert_eq!(seen["detected_start_command"], "./app");
    assert_eq!(instances(&cf, &app).await.json()["0"]["state"], "STARTING");
    cf.mock.advance(TIME);
    assert_eq!(instances(&cf, &app).await.json()["0"]["state"], "RUNNING");

    // The same bits are not staged again, but new bits are.
    set(&cf, &app, json!({"state": "STOPPED"})).await;
    let stopped = instances(&cf, &app).await;
    assert_eq!(error(&stopped), (220_001, "CF-InstancesError".into()));
    set(&cf, &app, json!({"state": "STARTED"})).await;
    assert_eq!(instances(&cf, &app).await.json()["0"]["state"], "STARTING");
    cf.mock.advance(TIME);
    upload(&cf, &app, "").await;
    assert_eq!(entity(&cf, &app).await["package_state"], "PENDING");
    set(&cf, &app, json!({"state": "STARTED"})).await;
    assert_eq!(error(&instances(&cf, &app).await), not_staged);
    cf.mock.advance(TIME);
    assert_eq!(entity(&cf, &app).await["package_state"], "STAGED");

    let builds = cf.get(&format!("/v3/apps/{app}/builds")).await.json();
    assert_eq!(builds["pagination"]["total_results"], 2);
}

#[tokio::test]
async fn a_failed_staging_can_be_retried() {
    let failed = Fault::failed_staging().of("app").times(1);
    let cf = Session::start(MockCapi::builder().faults(vec![failed])).await;
    let (_, space) = cf.space().await;
    let app = running(&cf, &space).await;
    let seen = entity(&cf, &app).await;
    assert_eq!(seen["package_state"], "FAILED");
    assert!(seen["staging_failed_reason"].is_string(), "{seen}");
    let answer = instances(&cf, &app).await;
    assert_eq!(error(&answer), (170_001, "CF-StagingError".into()));

    let path = format!("/v2/apps/{app}/restage");
    assert_eq!(cf.post(&path, json!({})).await.status, 201);
    assert_eq!(entity(&cf, &app).await["package_state"], "STAGED");
    assert_eq!(instances(&cf, &app).await.json()["0"]["state"], "RUNNING");
}

#[tokio::test]
async fn bits_are_uploaded_in_a_job() {
    let cf = Session::start(MockCapi::builder().job_time(TIME)).await;
    let (_, space) = cf.space().await;
    let app = create(&cf, &space, json!({})).await;
    let job = upload(&cf, &app, "?async=true").await;
    assert_eq!(job.status, 201);
    assert_eq!(job.json()["entity"]["status"], "queued");
    let early = set(&cf, &app, json!({"state": "STARTED"})).await;
    assert_eq!(error(&early), (150_001, "CF-AppPackageInvalid".into()));
    cf.mock.advance(TIME);
    let path = format!("/v2/jobs/{}", job.v2_guid());
    assert_eq!(cf.get(&path).await.json()["entity"]["status"], "finished");
    let started = set(&cf, &app, json!({"state": "STARTED"})).await;
    assert_eq!(started.status, 201);

    cf.mock
        .set_faults(vec![Fault::failed_job().of("package.upload")])
        .unwrap();
    let other = create(&cf, &space, json!({"name": "other"})).await;
    upload(&cf, &other, "?async=true").await;
    cf.mock.advance(TIME);
    let packages = cf.get(&format!("/v3/apps/{other}/packages")).await.json();
    assert_eq!(packages["resources"][0]["state"], "FAILED");

    let path = format!("/v2/apps/{app}/bits");
    let form = reqwest::multipart::Form::new().text("application", "bits");
    let answer = send(cf.request(Method::PUT, &path).multipart(form)).await;
    assert_eq!(error(&answer), (160_001, "CF-AppBitsUploadInvalid".into()));
}

#[tokio::test]
async fn an_upload_that_is_not_an_archive_fails() {
    const REASON: &str = "The app upload is invalid: Invalid zip archive.";
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = create(&cf, &space, json!({})).await;
    let refused = upload_bits(&cf, &app, "", b"text".to_vec()).await;
    assert_eq!(refused.status, 400);
    assert_eq!(error(&refused), (160_001, "CF-AppBitsUploadInvalid".into()));
    assert_eq!(refused.json()["description"], REASON);
    assert_eq!(entity(&cf, &app).await["package_state"], "FAILED");

    let job = upload_bits(&cf, &app, "?async=true", b"text".to_vec()).await;
    assert_eq!(job.status, 201);
    let job = cf.get(&format!("/v2/jobs/{}", job.v2_guid())).await.json();
    assert_eq!(job["entity"]["status"], "failed");
    assert_eq!(job["entity"]["error_details"]["description"], REASON);
    upload(&cf, &app, "").await;
    assert_ne!(entity(&cf, &app).await["package_state"], "FAILED");
}

#[tokio::test]
async fn running_apps_can_be_scaled() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = running(&cf, &space).await;
    let answer = set(&cf, &app, json!({"instances": 3, "memory": 32})).await;
    assert_eq!(answer.status, 201);
    let seen = cf.get(&format!("/v2/apps/{app}/stats")).await.json();
    assert_eq!(seen.as_object().unwrap().len(), 3);
    assert_eq!(seen["2"]["state"], "RUNNING");
    assert_eq!(seen["2"]["stats"]["mem_quota"], 32 * 1024 * 1024);
    let summary = cf.get(&format!("/v2/apps/{app}/summary")).await.json();
    assert_eq!(summary["running_instances"], 3);

    let answer = set(&cf, &app, json!({"memory": 1024 * 1024})).await;
    assert_eq!(
        error(&answer),
        (100_005, "CF-AppMemoryQuotaExceeded".into())
    );
    set(&cf, &app, json!({"state": "STOPPED"})).await;
    let answer = cf.get(&format!("/v2/apps/{app}/stats")).await;
    assert_eq!(error(&answer), (200_003, "CF-AppStoppedStatsError".into()));
}

#[tokio::test]
async fn routes_are_mapped_from_either_side() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = create(&cf, &space, json!({})).await;
    let domain = cf.default_domain(&org).await;
    let body = json!({"domain_guid": domain, "space_guid": space, "host": "www"});
    let route = cf.post("/v2/routes", body).await.v2_guid();
    let mapping = format!("/v2/apps/{app}/routes/{route}");
    for _ in 0..2 {
        assert_eq!(cf.put(&mapping, json!({})).await.status, 201);
    }
    let found = cf
        .get(&format!(
            "/v2/routes?q=domain_guid:{domain}&q=host:www&q=path:"
        ))
        .await;
    assert_eq!(found.json()["total_results"], 1);
    let none = cf.get("/v2/routes?q=path:/other").await.json();
    assert_eq!(none["total_results"], 0);
    for list in [
        format!("/v2/apps/{app}/routes"),
        format!("/v2/routes/{route}/apps"),
        format!("/v2/spaces/{space}/apps?q=name:app"),
    ] {
        assert_eq!(cf.get(&list).await.json()["total_results"], 1, "{list}");
    }
    assert_eq!(cf.delete(&mapping).await.status, StatusCode::NO_CONTENT);
    let list = cf.get(&format!("/v2/apps/{app}/routes")).await.json();
    assert_eq!(list["total_results"], 0);
    let other_way = format!("/v2/routes/{route}/apps/{app}");
    assert_eq!(cf.put(&other_way, json!({})).await.status, 201);

    let other = cf.create_space(&org, "other").await;
    let body = json!({"name": "other", "space_guid": other});
    let stranger = cf.post("/v2/apps", body).await.v2_guid();
    let path = format!("/v2/apps/{stranger}/routes/{route}");
    let answer = cf.put(&path, json!({})).await;
    assert_eq!(error(&answer), (1002, "CF-InvalidRelation".into()));
}

#[tokio::test]
async fn bound_services_are_in_the_environment() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = create(&cf, &space, json!({"environment_json": {"A": "1"}})).await;
    let service = cf
        .post(
            "/v3/service_instances",
            json!({
                "type": "user-provided",
                "name": "db",
                "credentials": {"password": "x"},
                "relationships": {"space": {"data": {"guid": space}}},
            }),
        )
        .await
        .guid();
    let list = format!("/v2/spaces/{space}/service_instances");
    assert_eq!(cf.get(&list).await.json()["total_results"], 0);
    let all = format!("{list}?return_user_provided_service_instances=true");
    let found = cf.get(&all).await.json();
    assert_eq!(found["resources"][0]["entity"]["name"], "db");

    let body = json!({"app_guid": app, "service_instance_guid": service});
    let binding = cf.post("/v2/service_bindings", body.clone()).await;
    assert_eq!(binding.status, 201, "{binding:?}");
    let again = cf.post("/v2/service_bindings", body).await;
    let taken = (90_003, "CF-ServiceBindingAppServiceTaken".into());
    assert_eq!(error(&again), taken);
    let env = cf.get(&format!("/v2/apps/{app}/env")).await.json();
    assert_eq!(env["environment_json"], json!({"A": "1"}));
    let service = &env["system_env_json"]["VCAP_SERVICES"]["user-provided"][0];
    assert_eq!(service["credentials"], json!({"password": "x"}));
    let bindings = cf.get(&format!("/v2/apps/{app}/service_bindings")).await;
    assert_eq!(bindings.json()["total_results"], 1);

    let refused = cf.delete(&format!("/v2/apps/{app}")).await;
    assert_eq!(error(&refused), (10_006, "CF-AssociationNotEmpty".into()));
    let path = format!("/v2/service_bindings/{}", binding.v2_guid());
    assert_eq!(cf.delete(&path).await.status, 204);
    assert_eq!(cf.delete(&format!("/v2/apps/{app}")).await.status, 204);
    assert!(cf.names("/v3/apps").await.is_empty());
}

#[tokio::test]
async fn known_files_need_not_be_uploaded() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = create(&cf, &space, json!({})).await;
    let body = json!([{"sha1": "0".repeat(40), "size": 100_000, "mode": "644"}]);
    let answer = cf.put("/v2/resource_match", body).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!([])));
    let answer = cf.put("/v2/resource_match", json!({})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(upload(&cf, &app, "").await.status, 201);
}

#[tokio::test]
async fn an_uploaded_droplet_becomes_the_current_one() {
    let cf = Session::start(MockCapi::builder().job_time(TIME)).await;
    let (_, space) = cf.space().await;
    let app = create(&cf, &space, json!({})).await;
    let path = format!("/v2/apps/{app}/droplet");
    let upload = |form: reqwest::multipart::Form| {
        let request = cf.request(Method::PUT, &format!("{path}/upload"));
        send(request.multipart(form))
    };
    let without = reqwest::multipart::Form::new().text("other", "x");
    let refused = upload(without).await;
    assert_eq!(error(&refused), (380_002, "CF-DropletUploadInvalid".into()));
    let part = reqwest::multipart::Part::bytes(b"droplet".as_slice()).file_name("a.tgz");
    let form = reqwest::multipart::Form::new().part("droplet", part);
    let job = upload(form).await;
    assert_eq!(job.status, 201, "{job:?}");
    assert_eq!(job.json()["entity"]["status"], "queued");
    assert_eq!(cf.get(&format!("{path}/download")).await.status, 404);
    cf.mock.advance(TIME);
    let job = format!("/v2/jobs/{}", job.v2_guid());
    assert_eq!(cf.get(&job).await.json()["entity"]["status"], "finished");
    let downloaded = cf.get(&format!("{path}/download")).await;
    assert_eq!(downloaded.text, "droplet");
}

//! Tasks, uploaded droplets, and the stacks and buildpacks of a foundation.

use std::time::Duration;

use crate::common::{HttpResponse, Session, names, send};
use mock_capi::{Fault, MockCapi};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_task_runs_for_a_while() {
    let cf = Session::start(MockCapi::builder().task_time(TIME)).await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let path = format!("/v3/apps/{app}/tasks");
    let task = cf
        .post(
            &path,
            json!({"name": "migrate", "command": "rake", "memory_in_mb": 64}),
        )
        .await;
    assert_eq!(task.status, 202);
    let (guid, task) = (task.guid(), task.json());
    assert_eq!(task["state"], "RUNNING");
    assert_eq!(
        (&task["sequence_id"], &task["name"], &task["memory_in_mb"]),
        (&json!(1), &json!("migrate"), &json!(64))
    );
    cf.mock.advance(TIME);
    let done = cf.get(&format!("/v3/tasks/{guid}")).await.json();
    assert_eq!(done["state"], "SUCCEEDED");
    let too_late = cf
        .post(&format!("/v3/tasks/{guid}/actions/cancel"), json!({}))
        .await;
    assert_eq!(
        too_late.error().1,
        "Task state is SUCCEEDED and therefore cannot be canceled"
    );

    // Only the list of an app's tasks contains the command.
    let of_app = cf
        .get(&format!("{path}?states=SUCCEEDED&sequence_ids=1"))
        .await;
    assert_eq!(of_app.json()["resources"][0]["command"], "rake");
    let all = cf.get("/v3/tasks?names=migrate").await.json();
    assert_eq!(all["resources"][0]["guid"], json!(guid));
    assert_eq!(all["resources"][0].get("command"), None);

    let second = cf.post(&path, json!({"command": "x"})).await;
    assert_eq!(second.json()["sequence_id"], 2);
    let cancel = format!("/v3/tasks/{}/actions/cancel", second.guid());
    let canceled = cf.post(&cancel, json!({})).await;
    assert_eq!(
        (canceled.status.as_u16(), &canceled.json()["state"]),
        (202, &json!("CANCELING"))
    );
    let failed = cf.get(&format!("/v3/tasks/{}", second.guid())).await.json();
    assert_eq!(failed["state"], "FAILED");
    assert_eq!(failed["result"]["failure_reason"], "task was cancelled");

    cf.mock
        .set_faults(vec![Fault::failed_task().of("app")])
        .unwrap();
    let third = cf.post(&path, json!({"command": "x"})).await.guid();
    cf.mock.advance(TIME);
    let failed = cf.get(&format!("/v3/tasks/{third}")).await.json();
    assert_eq!(failed["result"]["failure_reason"], "Exited with status 1");
}

#[tokio::test]
async fn refused_tasks_have_the_cloud_controllers_messages() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let empty = cf.create_app(&space, "empty").await;
    for (app, body, status, detail) in [
        (
            &app,
            json!({}),
            422,
            "Command No command or template provided",
        ),
        (
            &empty,
            json!({"command": "x"}),
            422,
            "Task must have a droplet. Specify droplet or assign current droplet to app.",
        ),
        (
            &app,
            json!({"command": "x", "droplet_guid": "y"}),
            404,
            "Droplet not found",
        ),
        (
            &app,
            json!({"command": "x", "memory_in_mb": 200_000}),
            422,
            "memory_in_mb exceeds organization memory quota",
        ),
    ] {
        let refused = cf.post(&format!("/v3/apps/{app}/tasks"), body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.error().1),
            (status, detail.to_owned())
        );
    }
}

async fn upload(cf: &Session, droplet: &str, name: &str, bits: &'static [u8]) -> HttpResponse {
    let form = Form::new().part("bits", Part::bytes(bits).file_name(name.to_owned()));
    let path = format!("/v3/droplets/{droplet}/upload");
    send(cf.request(Method::POST, &path).multipart(form)).await
}

#[tokio::test]
async fn a_droplet_is_uploaded() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let body = json!({
        "relationships": {"app": {"data": {"guid": app}}},
        "process_types": {"web": "./run", "worker": "./work"},
    });
    let created = cf.post("/v3/droplets", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let droplet = created.guid();
    assert_eq!(created.json()["state"], "AWAITING_UPLOAD");
    assert_eq!(created.json()["links"]["upload"]["method"], "POST");
    for (name, bits, detail) in [
        ("a.zip", b"x".as_slice(), "a.zip is not a tgz"),
        ("a.tgz", b"", "a.tgz cannot be empty"),
    ] {
        let refused = upload(&cf, &droplet, name, bits).await;
        let detail = format!("Uploaded droplet file is invalid: {detail}");
        assert_eq!(refused.error(), (10008, detail));
    }
    let uploaded = upload(&cf, &droplet, "a.tgz", b"bits").await;
    assert_eq!(uploaded.status, 202);
    assert_eq!(uploaded.json()["state"], "PROCESSING_UPLOAD");
    let job = cf.get(uploaded.header("location")).await.json();
    assert_eq!(
        (&job["operation"], &job["state"]),
        (&json!("droplet.upload"), &json!("COMPLETE"))
    );
    let staged = cf.get(&format!("/v3/droplets/{droplet}")).await.json();
    assert_eq!(
        (&staged["state"], &staged["stack"]),
        (&json!("STAGED"), &Value::Null)
    );
    let again = upload(&cf, &droplet, "a.tgz", b"bits").await;
    assert_eq!(
        again.error().1,
        "Droplet may be uploaded only once. Create a new droplet to upload bits."
    );
    assert_eq!(cf.assign(&app, &droplet).await.status, 200);
    let worker = cf
        .get(&format!("/v3/apps/{app}/processes/worker"))
        .await
        .json();
    assert_eq!(
        (&worker["command"], &worker["instances"]),
        (&json!("./work"), &json!(0))
    );
    assert_eq!(cf.act(&app, "start").await.status, 200);
}

#[tokio::test]
async fn stacks_and_buildpacks_exist() {
    let cf = Session::v3().await;
    let stacks = cf.get("/v3/stacks").await.json();
    assert_eq!(names(&stacks)[0], "cflinuxfs4");
    assert_eq!(cf.names("/v3/stacks?default=true").await, ["cflinuxfs4"]);
    let guid = stacks["resources"][0]["guid"].as_str().unwrap();
    assert_eq!(cf.get(&format!("/v3/stacks/{guid}")).await.status, 200);
    assert_eq!(
        cf.get("/v3/stacks/x").await.error(),
        (10010, "Stack not found".into())
    );
    let go = cf.get("/v3/buildpacks?names=go_buildpack").await.json();
    assert_eq!(go["resources"][0]["stack"], "cflinuxfs4");
    assert!(cf.names("/v3/buildpacks?lifecycle=cnb").await.is_empty());
}

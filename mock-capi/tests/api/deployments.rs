//! Deployments, in which one web process replaces another.

use std::time::Duration;

use crate::common::{HttpResponse, Session};
use mock_capi::{Fault, MockCapi};
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

fn deployment(app: &str) -> Value {
    json!({"relationships": {"app": {"data": {"guid": app}}}})
}

/// A started app with running instances.
async fn running_app(instances: u32) -> (Session, String, String) {
    let builder = MockCapi::builder().start_time(TIME);
    let cf = Session::start(builder.token_lifetime(10_000 * TIME)).await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    cf.scale(&app, json!({"instances": instances})).await;
    cf.act(&app, "start").await;
    cf.mock.advance(TIME);
    let droplet = cf.stage(&app).await;
    (cf, app, droplet)
}

async fn deploy(cf: &Session, app: &str, more: Value) -> HttpResponse {
    let mut body = deployment(app);
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    cf.post("/v3/deployments", body).await
}

/// The value and the reason of a deployment's status.
async fn status(cf: &Session, guid: &str) -> (String, String) {
    let deployment = cf.get(&format!("/v3/deployments/{guid}")).await.json();
    let status = &deployment["status"];
    let text = |key: &str| status[key].as_str().unwrap().to_owned();
    (text("value"), text("reason"))
}

fn is(value: &str, reason: &str) -> (String, String) {
    (value.into(), reason.into())
}

/// GUIDs and instances of the web processes, oldest first.
async fn webs(cf: &Session, app: &str) -> Vec<(String, u64)> {
    let processes = cf
        .get(&format!("/v3/apps/{app}/processes?types=web"))
        .await
        .json();
    let resources = processes["resources"].as_array().unwrap();
    resources
        .iter()
        .map(|p| {
            let guid = p["guid"].as_str().unwrap().to_owned();
            (guid, p["instances"].as_u64().unwrap())
        })
        .collect()
}

fn counts(webs: &[(String, u64)]) -> Vec<u64> {
    webs.iter().map(|(_, instances)| *instances).collect()
}

#[tokio::test]
async fn a_rolling_deployment_replaces_instances_one_by_one() {
    let (cf, app, droplet) = running_app(3).await;
    let before = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    let created = deploy(&cf, &app, json!({"droplet": {"guid": droplet}})).await;
    assert_eq!(created.status, 201, "{created:?}");
    let (guid, created) = (created.guid(), created.json());
    assert_eq!(created["strategy"], "rolling");
    assert_eq!(created["options"], json!({"max_in_flight": 1}));
    assert_eq!(created["droplet"], json!({"guid": droplet}));
    assert_eq!(created["previous_droplet"]["guid"], before.json()["guid"]);
    assert_eq!(created["links"]["cancel"]["method"], "POST");
    assert_eq!(status(&cf, &guid).await, is("ACTIVE", "DEPLOYING"));
    let current = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    assert_eq!(current.guid(), droplet);

    let first = webs(&cf, &app).await;
    assert_eq!(counts(&first), [3, 1]);
    assert_eq!(first[0].0, app);
    let new = created["new_processes"].clone();
    assert_eq!(new, json!([{"guid": first[1].0, "type": "web"}]));
    // Requests for the web process return the new process.
    assert_eq!(cf.instance_states(&app).await, ["STARTING"]);

    let mut seen = Vec::new();
    for _ in 0..2 {
        cf.mock.advance(TIME);
        seen.push(counts(&webs(&cf, &app).await));
    }
    assert_eq!(seen, [[2, 2], [1, 3]]);
    assert_eq!(status(&cf, &guid).await, is("ACTIVE", "DEPLOYING"));
    cf.mock.advance(TIME);
    assert_eq!(status(&cf, &guid).await, is("FINALIZED", "DEPLOYED"));
    assert_eq!(webs(&cf, &app).await, [(first[1].0.clone(), 3)]);
    assert_eq!(cf.instance_states(&app).await, ["RUNNING"; 3]);
    let done = cf.get(&format!("/v3/deployments/{guid}")).await.json();
    assert_eq!(done["links"]["cancel"], Value::Null);
}

#[tokio::test]
async fn a_higher_max_in_flight_deploys_faster_even_if_the_clock_jumps() {
    let (cf, app, _) = running_app(4).await;
    let options = json!({"options": {"max_in_flight": 2, "memory_in_mb": 64, "web_instances": 5}});
    let guid = deploy(&cf, &app, options).await.guid();
    assert_eq!(counts(&webs(&cf, &app).await), [4, 2]);
    cf.mock.advance(TIME);
    assert_eq!(counts(&webs(&cf, &app).await), [3, 4]);
    cf.mock.advance(10 * TIME);
    assert_eq!(status(&cf, &guid).await, is("FINALIZED", "DEPLOYED"));
    let web = cf
        .get(&format!("/v3/apps/{app}/processes/web"))
        .await
        .json();
    assert_eq!(
        (&web["instances"], &web["memory_in_mb"]),
        (&json!(5), &json!(64))
    );
    assert_eq!(cf.instance_states(&app).await, ["RUNNING"; 5]);
}

#[tokio::test]
async fn a_stopped_app_is_started_immediately() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let droplet = cf.stage(&app).await;
    let more = json!({"droplet": {"guid": droplet}, "options": {"web_instances": 2}});
    let deployed = deploy(&cf, &app, more).await.json();
    assert_eq!(deployed["status"]["value"], "FINALIZED");
    assert_eq!(deployed["status"]["reason"], "DEPLOYED");
    assert_eq!(deployed["new_processes"], json!([]));
    assert_eq!(webs(&cf, &app).await, [(app.clone(), 2)]);
    assert_eq!(
        cf.get(&format!("/v3/apps/{app}")).await.json()["state"],
        "STARTED"
    );
}

#[tokio::test]
async fn a_canary_waits_to_be_continued() {
    let (cf, app, _) = running_app(4).await;
    let more = json!({
        "strategy": "canary",
        "options": {"canary": {"steps": [{"instance_weight": 25}, {"instance_weight": 50}]}},
    });
    let guid = deploy(&cf, &app, more).await.guid();
    let path = format!("/v3/deployments/{guid}");
    let go_on = format!("{path}/actions/continue");
    let early = cf.post(&go_on, json!({})).await;
    assert_eq!(
        early.error().1,
        "Cannot continue a deployment with status: ACTIVE and reason: DEPLOYING"
    );
    cf.mock.advance(TIME);
    let paused = cf.get(&path).await.json();
    assert_eq!(paused["status"]["reason"], "PAUSED");
    assert_eq!(
        paused["status"]["canary"],
        json!({"steps": {"current": 1, "total": 2}})
    );
    assert_eq!(paused["links"]["continue"]["method"], "POST");
    assert_eq!(counts(&webs(&cf, &app).await), [4, 1]);
    cf.mock.advance(10 * TIME);
    assert_eq!(status(&cf, &guid).await, is("ACTIVE", "PAUSED"));

    assert_eq!(cf.post(&go_on, json!({})).await.status, 200);
    cf.mock.advance(TIME);
    let paused = cf.get(&path).await.json();
    assert_eq!(paused["status"]["canary"]["steps"]["current"], 2);
    assert_eq!(counts(&webs(&cf, &app).await), [3, 2]);
    cf.post(&go_on, json!({})).await;
    cf.mock.advance(10 * TIME);
    assert_eq!(status(&cf, &guid).await, is("FINALIZED", "DEPLOYED"));
    assert_eq!(counts(&webs(&cf, &app).await), [4]);
}

#[tokio::test]
async fn canceling_restores_the_old_process() {
    let (cf, app, droplet) = running_app(2).await;
    let before = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    let guid = deploy(&cf, &app, json!({"droplet": {"guid": droplet}}))
        .await
        .guid();
    cf.mock.advance(TIME);
    assert_eq!(counts(&webs(&cf, &app).await), [1, 2]);
    let cancel = format!("/v3/deployments/{guid}/actions/cancel");
    assert_eq!(cf.post(&cancel, json!({})).await.status, 200);
    assert_eq!(status(&cf, &guid).await, is("FINALIZED", "CANCELED"));
    assert_eq!(webs(&cf, &app).await, [(app.clone(), 2)]);
    let after = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    assert_eq!(after.guid(), before.guid());
    let again = cf.post(&cancel, json!({})).await;
    assert_eq!(
        again.error(),
        (
            10008,
            "Cannot cancel a deployment with status: FINALIZED and reason: CANCELED".into()
        )
    );
}

#[tokio::test]
async fn a_newer_deployment_supersedes_an_older_one() {
    let (cf, app, _) = running_app(2).await;
    let first = deploy(&cf, &app, json!({})).await.guid();
    let second = deploy(&cf, &app, json!({})).await.guid();
    assert_eq!(status(&cf, &first).await, is("FINALIZED", "SUPERSEDED"));
    assert_eq!(counts(&webs(&cf, &app).await), [2, 1, 1]);
    cf.mock.advance(10 * TIME);
    assert_eq!(status(&cf, &second).await, is("FINALIZED", "DEPLOYED"));
    assert_eq!(counts(&webs(&cf, &app).await), [2]);
}

#[tokio::test]
async fn crashing_instances_never_replace_running_ones() {
    let (cf, app, _) = running_app(2).await;
    cf.mock
        .set_faults(vec![Fault::crashing_instances()])
        .unwrap();
    let guid = deploy(&cf, &app, json!({})).await.guid();
    cf.mock.advance(100 * TIME);
    assert_eq!(status(&cf, &guid).await, is("ACTIVE", "DEPLOYING"));
    assert_eq!(counts(&webs(&cf, &app).await), [2, 1]);
    assert_eq!(cf.instance_states(&app).await, ["CRASHED"]);
    let cancel = format!("/v3/deployments/{guid}/actions/cancel");
    cf.post(&cancel, json!({})).await;
    assert_eq!(webs(&cf, &app).await, [(app.clone(), 2)]);
    assert_eq!(cf.instance_states(&app).await, ["RUNNING"; 2]);
}

#[tokio::test]
async fn a_deployment_needs_room_in_the_quota() {
    let (cf, app, _) = running_app(2).await;
    let quotas = cf.get("/v3/organization_quotas").await.json();
    let quota = format!(
        "/v3/organization_quotas/{}",
        quotas["resources"][0]["guid"].as_str().unwrap()
    );
    let memory = |mb: u32| json!({"apps": {"total_memory_in_mb": mb}});
    cf.patch(&quota, memory(2048)).await;
    let refused = deploy(&cf, &app, json!({})).await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.error(),
        (
            10008,
            "memory quota_exceeded for organization org. This organization's quota may not be \
             large enough to support rolling deployments or your configured max-in-flight."
                .into()
        )
    );
    assert_eq!(counts(&webs(&cf, &app).await), [2]);
    cf.patch(&quota, memory(3072)).await;
    let guid = deploy(&cf, &app, json!({})).await.guid();
    cf.mock.advance(3 * TIME);
    assert_eq!(status(&cf, &guid).await, is("FINALIZED", "DEPLOYED"));
}

#[tokio::test]
async fn a_stuck_deployment_continues_when_the_quota_allows_it() {
    const YEARS: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);
    let (mut cf, app, _) = running_app(2).await;
    let quotas = cf.get("/v3/organization_quotas").await.json();
    let quota = quotas["resources"][0]["guid"].as_str().unwrap();
    let quota = format!("/v3/organization_quotas/{quota}");
    let more = json!({"options": {"web_instances": 4}});
    let guid = deploy(&cf, &app, more).await.guid();
    let memory = |mb: u32| json!({"apps": {"total_memory_in_mb": mb}});
    cf.patch(&quota, memory(2048)).await;
    cf.mock.advance(TIME);
    assert_eq!(status(&cf, &guid).await, is("ACTIVE", "DEPLOYING"));
    // The result does not depend on the length of the wait, which takes no time.
    cf.mock.advance(YEARS);
    cf.log_in_as("admin", "admin").await;
    assert_eq!(status(&cf, &guid).await, is("ACTIVE", "DEPLOYING"));
    cf.patch(&quota, memory(8192)).await;
    cf.mock.advance(YEARS / 10);
    cf.log_in_as("admin", "admin").await;
    assert_eq!(status(&cf, &guid).await, is("FINALIZED", "DEPLOYED"));
}

#[tokio::test]
async fn a_stopped_app_that_a_quota_refuses_is_not_changed() {
    let (cf, app, droplet) = running_app(1).await;
    cf.act(&app, "stop").await;
    let before = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    let more = json!({"droplet": {"guid": droplet}, "options": {"web_instances": 1000}});
    let refused = deploy(&cf, &app, more).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let after = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    assert_eq!(after.guid(), before.guid());
    assert_eq!(counts(&webs(&cf, &app).await), [1]);
    let shown = cf.get(&format!("/v3/apps/{app}")).await.json();
    assert_eq!(shown["state"], "STOPPED");
}

#[tokio::test]
async fn web_processes_cannot_be_changed_during_a_deployment() {
    let (cf, app, droplet) = running_app(1).await;
    deploy(&cf, &app, json!({})).await;
    let scaled = cf.scale(&app, json!({"instances": 2})).await;
    assert_eq!(
        scaled.error().1,
        "Cannot scale this process while a deployment is in flight."
    );
    let path = format!("/v3/apps/{app}/processes/web");
    let updated = cf.patch(&path, json!({"command": "x"})).await;
    assert_eq!(
        updated.error().1,
        "Cannot update this process while a deployment is in flight."
    );
    let assigned = cf.assign(&app, &droplet).await;
    assert_eq!(
        assigned.error().1,
        "Unable to assign current droplet while the app has a deployment in progress. \
         Wait for the deployment to complete or cancel it."
    );
}

#[tokio::test]
async fn deployments_are_listed_and_labeled() {
    let (cf, app, _) = running_app(1).await;
    let more = json!({"metadata": {"labels": {"push": "1"}}});
    let guid = deploy(&cf, &app, more).await.guid();
    let total = async |query: &str| {
        let answer = cf.get(&format!("/v3/deployments?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["pagination"]["total_results"].clone()
    };
    let queries = [
        format!("app_guids={app}"),
        "states=DEPLOYING".into(),
        "status_reasons=DEPLOYING".into(),
        "status_values=ACTIVE".into(),
        "label_selector=push".into(),
    ];
    for query in &queries {
        assert_eq!(total(query).await, 1, "{query}");
    }
    for query in ["app_guids=x", "states=DEPLOYED", "status_values=FINALIZED"] {
        assert_eq!(total(query).await, 0, "{query}");
    }
    let path = format!("/v3/deployments/{guid}");
    let body = json!({"metadata": {"labels": {"push": null}, "annotations": {"by": "me"}}});
    let patched = cf.patch(&path, body).await.json();
    assert_eq!(
        patched["metadata"],
        json!({"labels": {}, "annotations": {"by": "me"}})
    );
    assert_eq!(
        cf.get("/v3/deployments/x").await.error(),
        (10010, "Deployment not found".into())
    );
}

#[tokio::test]
async fn refusals_have_the_cloud_controllers_messages() {
    let (cf, app, _) = running_app(1).await;
    let spaces = cf.get("/v3/spaces").await.json();
    let space = spaces["resources"][0]["guid"].as_str().unwrap();
    let empty = cf.create_app(space, "empty").await;
    let canary =
        |steps: Value| json!({"strategy": "canary", "options": {"canary": {"steps": steps}}});
    let cases = [
        (
            json!({"x": 1, "strategy": "blue"}),
            "Unknown field(s): 'x', Strategy 'blue' is not a supported deployment strategy",
        ),
        (
            json!({"droplet": {"guid": "1"}, "revision": {"guid": "2"}}),
            "Droplet Cannot set both fields 'droplet' and 'revision'",
        ),
        (
            json!({"options": {"speed": 1, "max_in_flight": 0}}),
            "Options has unsupported key(s): speed, Max in flight must be an integer greater than 0",
        ),
        (
            json!({"options": {"memory_in_mb": 0, "web_instances": -1}}),
            "Web instances must be greater than or equal to 0, Memory in mb must be greater than 0",
        ),
        (
            json!({"options": {"canary": {}}}),
            "Options canary are only valid for Canary deployments",
        ),
        (
            canary(json!(1)),
            "Options canary steps must be an array of objects",
        ),
        (
            canary(json!([{"instance_weight": 50}, {"instance_weight": 20}])),
            "Options canary steps instance weight must be sorted in ascending order",
        ),
        (
            canary(json!([{"instance_weight": 101}])),
            "Options canary steps instance weight must be an Integer between 1-100 (inclusive)",
        ),
        (
            json!({"revision": {"guid": "2"}}),
            "The revision does not exist",
        ),
        (
            json!({"droplet": {"guid": "2"}}),
            "Unable to assign current droplet. Ensure the droplet exists and belongs to this app.",
        ),
    ];
    for (more, detail) in cases {
        let refused = deploy(&cf, &app, more).await;
        assert_eq!(
            (refused.status.as_u16(), refused.error()),
            (422, (10008, detail.into()))
        );
    }
    assert_eq!(
        deploy(&cf, "x", json!({})).await.error().1,
        "Unable to use app. Ensure that the app exists and you have access to it."
    );
    assert_eq!(
        deploy(&cf, &empty, json!({})).await.error().1,
        "Invalid droplet. Please specify a droplet in the request or set a current droplet for \
         the app."
    );
}

#[tokio::test]
async fn an_operator_can_disable_deployments() {
    let cf = Session::start(MockCapi::builder().disable_deployments()).await;
    let refused = cf.post("/v3/deployments", deployment("x")).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.json()["errors"][0],
        json!({
            "code": 390_014,
            "title": "CF-DeploymentsDisabled",
            "detail": "Deployments cannot be created due to manifest property \
                       'temporary_disable_deployments'",
        })
    );
}

#[tokio::test]
async fn a_droplet_must_be_identified_by_a_string() {
    let (cf, app, _) = running_app(1).await;
    for guid in [json!(["a"]), json!(7), json!("none")] {
        assert_eq!(
            deploy(&cf, &app, json!({"droplet": {"guid": guid}})).await.error(),
            (
                10008,
                "Unable to assign current droplet. Ensure the droplet exists and belongs to this app."
                    .to_owned()
            )
        );
    }
}

//! The whole lifecycle of an app.

use std::time::Duration;

use crate::common::{Session, new_app, new_route};
use mock_capi::MockCapi;
use serde_json::{Value, json};

#[tokio::test]
async fn an_app_is_created_run_cloned_and_deleted() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let created = cf
        .post(
            "/v3/apps",
            json!({
                "name": "proxy",
                "environment_variables": {"A": "1"},
                "relationships": {"space": {"data": {"guid": space}}},
                "metadata": {"labels": {"made-by": "test"}},
            }),
        )
        .await;
    assert_eq!(created.status, 201);
    let app = created.guid();
    assert_eq!(created.json()["state"], "STOPPED");
    assert_eq!(
        created.json()["lifecycle"],
        json!({"type": "buildpack", "data": {"buildpacks": [], "stack": "cflinuxfs4"}})
    );
    assert_eq!(
        created.json()["relationships"],
        json!({
            "space": {"data": {"guid": space}},
            "current_droplet": {"data": {"guid": null}},
        })
    );

    // The app has a web process before it has a droplet.
    let processes = cf.get(&format!("/v3/apps/{app}/processes")).await.json();
    let web = &processes["resources"][0];
    assert_eq!(
        (
            &web["guid"],
            &web["type"],
            &web["instances"],
            &web["memory_in_mb"],
            &web["disk_in_mb"]
        ),
        (
            &json!(app),
            &json!("web"),
            &json!(1),
            &json!(1024),
            &json!(1024)
        )
    );

    let refused = cf.act(&app, "start").await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.error(),
        (10008, "Assign a droplet before starting this app.".into())
    );

    let droplet = cf.stage(&app).await;
    assert_eq!(
        cf.get(&format!("/v3/apps/{app}/droplets/current"))
            .await
            .status,
        404
    );
    let assigned = cf.assign(&app, &droplet).await;
    let base = cf.mock.uri();
    let relationship = json!({
        "data": {"guid": droplet},
        "links": {
            "self": {"href": format!("{base}/v3/apps/{app}/relationships/current_droplet")},
            "related": {"href": format!("{base}/v3/apps/{app}/droplets/current")},
        },
    });
    assert_eq!(assigned.json(), relationship);
    let path = format!("/v3/apps/{app}/relationships/current_droplet");
    assert_eq!(cf.get(&path).await.json(), relationship);

    assert_eq!(cf.act(&app, "start").await.json()["state"], "STARTED");
    let scaled = cf.scale(&app, json!({"instances": 3})).await;
    assert_eq!(scaled.status, 202);
    assert_eq!(cf.instance_states(&app).await, ["RUNNING"; 3]);

    // A clone is created from the droplet.
    let clone = cf.create_app(&space, "clone").await;
    let copy = cf
        .post(
            &format!("/v3/droplets?source_guid={droplet}"),
            json!({"relationships": {"app": {"data": {"guid": clone}}}}),
        )
        .await;
    assert_eq!(
        (copy.status.as_u16(), &copy.json()["state"]),
        (201, &json!("COPYING"))
    );
    let staged = cf
        .get(&format!("/v3/droplets/{}", copy.guid()))
        .await
        .json();
    assert_eq!(staged["state"], "STAGED");
    let original = cf.get(&format!("/v3/droplets/{droplet}")).await.json();
    assert_eq!(staged["checksum"], original["checksum"]);
    assert_eq!(cf.assign(&clone, &copy.guid()).await.status, 200);
    assert_eq!(cf.act(&clone, "start").await.status, 200);

    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "proxy"))
        .await;
    assert_eq!(route.json()["url"], "proxy.apps.mock.test");
    let destinations = format!("/v3/routes/{}/destinations", route.guid());
    let mapped = cf
        .post(
            &destinations,
            json!({"destinations": [{"app": {"guid": app}}, {"app": {"guid": clone}}]}),
        )
        .await
        .json();
    assert_eq!(mapped["destinations"].as_array().map(Vec::len), Some(2));
    assert_eq!(mapped["destinations"][0]["port"], 8080);

    let verified = cf
        .get(&format!(
            "/v3/processes?space_guids={space}&embed=process_instances&per_page=5000"
        ))
        .await
        .json();
    let running = |process: &Value| process["process_instances"].as_array().map(Vec::len);
    let counts: Vec<_> = verified["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(running)
        .collect();
    assert_eq!(counts, [Some(3), Some(1)]);

    // Deleting an app removes it from the destinations of its route.
    let deleted = cf.delete(&format!("/v3/apps/{app}")).await;
    assert_eq!(deleted.status, 202);
    let job = cf.get(deleted.header("location")).await.json();
    assert_eq!(
        (&job["operation"], &job["state"], &job["errors"]),
        (&json!("app.delete"), &json!("COMPLETE"), &json!([]))
    );
    assert_eq!(
        cf.get(&format!("/v3/apps/{app}")).await.error(),
        (10010, "App not found".into())
    );
    let left = cf.get(&destinations).await.json();
    assert_eq!(left["destinations"][0]["app"]["guid"], json!(clone));
    assert_eq!(left["destinations"].as_array().map(Vec::len), Some(1));

    // Deleting the org deletes everything in it.
    cf.delete(&format!("/v3/organizations/{org}")).await;
    let state = cf.mock.state();
    for kind in [
        "organizations",
        "spaces",
        "apps",
        "processes",
        "packages",
        "builds",
        "droplets",
        "routes",
    ] {
        assert_eq!(state[kind], json!([]), "{kind}");
    }
    assert_eq!(state["domains"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn slow_operations_show_their_states() {
    const TIME: Duration = Duration::from_secs(60);
    let cf = Session::start(
        MockCapi::builder()
            .staging_time(TIME)
            .copy_time(TIME)
            .start_time(TIME)
            .job_time(TIME),
    )
    .await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;

    let package = cf
        .post("/v3/packages", crate::common::new_package(&app))
        .await;
    assert_eq!(package.json()["state"], "AWAITING_UPLOAD");
    let package = package.guid();
    let build = json!({"package": {"guid": package}});
    let early = cf.post("/v3/builds", build.clone()).await;
    assert_eq!(
        (early.status.as_u16(), early.error()),
        (
            400,
            (
                1004,
                "Bad request: Cannot stage package whose state is not ready.".into()
            )
        )
    );
    assert_eq!(
        cf.upload(&package, b"bits").await.json()["state"],
        "PROCESSING_UPLOAD"
    );
    let path = format!("/v3/packages/{package}");
    assert_eq!(cf.get(&path).await.json()["state"], "PROCESSING_UPLOAD");
    cf.mock.advance(TIME);
    let ready = cf.get(&path).await.json();
    assert_eq!(
        (&ready["state"], &ready["data"]["checksum"]["type"]),
        (&json!("READY"), &json!("sha256"))
    );

    let staging = cf.post("/v3/builds", build.clone()).await;
    assert_eq!(
        (staging.status.as_u16(), &staging.json()["state"]),
        (201, &json!("STAGING"))
    );
    assert_eq!(staging.json()["droplet"], Value::Null);
    let again = cf.post("/v3/builds", build).await;
    assert_eq!(again.error().0, 170_017);
    assert_eq!(cf.get("/v3/droplets").await.json()["resources"], json!([]));
    cf.mock.advance(TIME);
    let staged = cf
        .get(&format!("/v3/builds/{}", staging.guid()))
        .await
        .json();
    assert_eq!(staged["state"], "STAGED");
    let droplet = staged["droplet"]["guid"].as_str().unwrap();

    let clone = cf.create_app(&space, "clone").await;
    let copy = cf
        .post(
            &format!("/v3/droplets?source_guid={droplet}"),
            json!({"relationships": {"app": {"data": {"guid": clone}}}}),
        )
        .await
        .guid();
    let too_early = cf.assign(&clone, &copy).await;
    assert_eq!(
        too_early.error(),
        (10008, "droplet must be in staged state".into())
    );
    let states = format!("/v3/droplets?guids={copy}&states=COPYING");
    assert_eq!(
        cf.get(&states).await.json()["pagination"]["total_results"],
        1
    );
    cf.mock.advance(TIME);
    assert_eq!(
        cf.get(&states).await.json()["pagination"]["total_results"],
        0
    );
    assert_eq!(cf.assign(&clone, &copy).await.status, 200);

    assert_eq!(cf.instance_states(&clone).await, ["DOWN"]);
    cf.act(&clone, "start").await;
    assert_eq!(cf.instance_states(&clone).await, ["STARTING"]);
    cf.mock.advance(TIME);
    cf.scale(&clone, json!({"instances": 2})).await;
    assert_eq!(cf.instance_states(&clone).await, ["RUNNING", "STARTING"]);
    cf.mock.advance(TIME);
    assert_eq!(cf.instance_states(&clone).await, ["RUNNING", "RUNNING"]);
    let instances = format!("/v3/apps/{clone}/processes/web/instances");
    assert_eq!(cf.delete(&format!("{instances}/0")).await.status, 204);
    assert_eq!(cf.instance_states(&clone).await, ["STARTING", "RUNNING"]);
    let none = cf.delete(&format!("{instances}/2")).await;
    assert_eq!(none.error(), (10010, "Instance not found".into()));
    cf.mock.advance(TIME);
    assert_eq!(cf.instance_states(&clone).await, ["RUNNING", "RUNNING"]);
    cf.act(&clone, "restart").await;
    assert_eq!(cf.instance_states(&clone).await, ["STARTING", "STARTING"]);
    cf.act(&clone, "stop").await;
    assert_eq!(cf.instance_states(&clone).await, ["DOWN", "DOWN"]);

    // A resource exists until its deletion job is done.
    let deleted = cf.delete(&format!("/v3/organizations/{org}")).await;
    let job = deleted.header("location").to_owned();
    assert_eq!(cf.get(&job).await.json()["state"], "PROCESSING");
    let taken = cf.post("/v3/organizations", json!({"name": "org"})).await;
    assert_eq!(
        taken.error(),
        (10008, "Organization 'org' already exists.".into())
    );
    assert_eq!(
        cf.post("/v3/apps", new_app(&space, "late")).await.status,
        201
    );
    cf.mock.advance(TIME);
    assert_eq!(cf.get(&job).await.json()["state"], "COMPLETE");
    assert_eq!(cf.mock.state()["apps"], json!([]));
    assert_eq!(
        cf.post("/v3/organizations", json!({"name": "org"}))
            .await
            .status,
        201
    );
}

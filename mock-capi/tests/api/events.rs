//! Audit events: changes of apps, and the users who made them.

use std::time::Duration;

use crate::common::{Session, new_app, new_route};
use mock_capi::{Fault, MockCapi};
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

async fn events(cf: &Session, query: &str) -> Vec<Value> {
    let path = format!("/v3/audit_events?per_page=500&{query}");
    let list = cf.get(&path).await.json();
    list["resources"].as_array().unwrap().clone()
}

fn types(events: &[Value]) -> Vec<&str> {
    let types = events.iter().map(|event| event["type"].as_str().unwrap());
    types.collect()
}

#[tokio::test]
async fn changes_of_an_app_are_recorded() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let mut body = new_app(&space, "app");
    body["environment_variables"] = json!({"SECRET": "x"});
    let app = cf.post("/v3/apps", body).await.guid();
    let droplet = cf.stage(&app).await;
    cf.assign(&app, &droplet).await;
    let path = format!("/v3/apps/{app}");
    cf.patch(&path, json!({"name": "renamed"})).await;
    cf.act(&app, "start").await;
    cf.scale(&app, json!({"instances": 2})).await;
    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "host"))
        .await
        .guid();
    let destinations = format!("/v3/routes/{route}/destinations");
    let to_app = json!({"destinations": [{"app": {"guid": app}}]});
    cf.post(&destinations, to_app).await;
    cf.patch(&destinations, json!({"destinations": []})).await;
    cf.delete(&format!("{path}/processes/web/instances/1"))
        .await;
    cf.act(&app, "stop").await;
    cf.delete(&path).await;

    let of_app = events(&cf, &format!("target_guids={app}")).await;
    assert_eq!(
        types(&of_app),
        [
            "audit.app.process.create",
            "audit.app.create",
            "audit.app.package.create",
            "audit.app.package.upload",
            "audit.app.build.create",
            "audit.app.droplet.create",
            "audit.app.build.staged",
            "audit.app.droplet.mapped",
            "audit.app.update",
            "audit.app.revision.create",
            "audit.app.start",
            "audit.app.process.scale",
            "audit.app.map-route",
            "audit.app.unmap-route",
            "audit.app.process.terminate_instance",
            "audit.app.stop",
            "audit.app.delete-request",
            "audit.app.package.delete",
            "audit.app.droplet.delete",
            "audit.app.process.delete",
        ]
    );
    let created = &of_app[1];
    assert_eq!(
        (&created["target"]["name"], &created["actor"]["name"]),
        (&json!("app"), &json!("admin"))
    );
    assert_eq!(
        created["data"]["request"]["environment_variables"],
        "[PRIVATE DATA HIDDEN]"
    );
    assert_eq!(created["space"]["guid"], json!(space));
    assert_eq!(created["organization"]["guid"], json!(org));
    let scaled = events(&cf, "types=audit.app.process.scale").await;
    assert_eq!(scaled[0]["data"]["request"], json!({"instances": 2}));
    assert_eq!(scaled[0]["target"]["name"], "renamed");
    let one = format!("/v3/audit_events/{}", scaled[0]["guid"].as_str().unwrap());
    assert_eq!(cf.get(&one).await.json(), scaled[0]);

    for (query, count) in [
        // The space, the route and the organization each have one event.
        (format!("space_guids={space}"), of_app.len() + 2),
        (format!("organization_guids={org}"), of_app.len() + 3),
        (format!("target_guids[not]={app}"), 3),
        ("types=audit.app.restart".into(), 0),
    ] {
        assert_eq!(events(&cf, &query).await.len(), count, "{query}");
    }
    assert_eq!(
        cf.get("/v3/audit_events/x").await.error(),
        (10010, "Event not found".into())
    );
}

#[tokio::test]
async fn crashes_and_stagings_are_recorded_at_their_time() {
    let builder = MockCapi::builder().start_time(TIME).staging_time(TIME);
    let faults = vec![Fault::crashing_instances().of("app")];
    let cf = Session::start(builder.faults(faults)).await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.package(&app, b"bits").await;
    let build = json!({"package": {"guid": package}});
    let build = cf.post("/v3/builds", build).await.guid();
    let staged = "types=audit.app.build.staged";
    assert_eq!(events(&cf, staged).await.len(), 0);
    cf.mock.advance(TIME);
    assert_eq!(events(&cf, staged).await.len(), 1);
    let build = cf.get(&format!("/v3/builds/{build}")).await.json();
    cf.assign(&app, build["droplet"]["guid"].as_str().unwrap())
        .await;

    let crashes = "types=app.crash,audit.app.process.crash";
    cf.act(&app, "start").await;
    assert_eq!(events(&cf, crashes).await.len(), 0);
    // A stopped app no longer crashes.
    cf.act(&app, "stop").await;
    cf.mock.advance(TIME);
    assert_eq!(events(&cf, crashes).await.len(), 0);

    cf.mock
        .set_faults(vec![Fault::crashing_instances()])
        .unwrap();
    cf.act(&app, "start").await;
    cf.mock.advance(TIME);
    let crashed = events(&cf, crashes).await;
    assert_eq!(types(&crashed), ["app.crash", "audit.app.process.crash"]);
    assert_eq!(crashed[0]["actor"]["type"], "app");
    assert_eq!(
        crashed[0]["data"]["exit_description"],
        "APP/PROC/WEB: Exited with status 1"
    );
}

/// The end of staging is recorded when staging begins. Clients that continue from the
/// last event still receive every event, once it has happened.
#[tokio::test]
async fn usage_events_are_listed_when_they_happen() {
    let cf = Session::start(MockCapi::builder().staging_time(TIME)).await;
    let (_, space) = cf.space().await;
    for name in ["first", "second"] {
        let app = cf.create_app(&space, name).await;
        let package = cf.package(&app, b"bits").await;
        let build = json!({"package": {"guid": package}});
        assert_eq!(cf.post("/v3/builds", build).await.status, 201);
        cf.mock.advance(TIME / 2);
    }
    let started = cf.get("/v3/app_usage_events").await.json();
    let states = |list: &Value| -> Vec<Value> {
        let events = list["resources"].as_array().unwrap().iter();
        let state = |event: &Value| match event.get("entity") {
            Some(entity) => entity["state"].clone(),
            None => event["state"]["current"].clone(),
        };
        events.map(state).collect()
    };
    let all = [
        "STAGING_STARTED",
        "STAGING_STARTED",
        "STAGING_STOPPED",
        "BUILDPACK_SET",
    ];
    assert_eq!(states(&started), all);
    let second = started["resources"][1]["guid"].as_str().unwrap();
    for list in ["/v3/app_usage_events", "/v2/app_usage_events"] {
        let later = cf.get(&format!("{list}?after_guid={second}")).await.json();
        assert_eq!(states(&later), all[2..], "{list}");
    }
    let newest = cf.get("/v3/app_usage_events?order_by=-created_at&per_page=1");
    let newest = newest.await.json();
    assert_eq!(newest["pagination"]["total_results"], 4);
    assert_ne!(states(&newest), ["STAGING_STARTED"]);
}

#[tokio::test]
async fn events_caused_by_a_manifest_are_marked() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let manifest = "applications:\n- name: app\n  memory: 64M\n  command: run\n  timeout: 5\n  \
                    stack: cflinuxfs4\n  default-route: true\n  processes: [{type: worker, instances: 3}]\n";
    let job = cf.applied(&space, manifest).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    let app = cf.find_app("app").await;
    let data = async |kind: &str| {
        let all = events(&cf, &format!("target_guids={app}&types={kind}")).await;
        all.into_iter()
            .map(|event| event["data"].clone())
            .collect::<Vec<_>>()
    };
    let lifecycle = json!({"data": {"stack": "cflinuxfs4"}});
    let created = json!({"request": {
        "name": "app",
        "lifecycle": lifecycle,
        "relationships": {"space": {"data": {"guid": space}}},
    }});
    assert_eq!(data("audit.app.create").await, [created]);
    assert_eq!(
        data("audit.app.update").await,
        [
            json!({"request": {"lifecycle": lifecycle}, "manifest_triggered": true}),
            json!({
                "request": {"environment_variables": "[PRIVATE DATA HIDDEN]"},
                "manifest_triggered": true,
            }),
        ]
    );
    let updates = data("audit.app.process.update").await;
    assert_eq!(
        updates[0],
        json!({
            "process_guid": app,
            "process_type": "web",
            "request": {
                "command": "[PRIVATE DATA HIDDEN]",
                "timeout": 5,
                "health_check_timeout": 5,
                "type": "web",
            },
            "manifest_triggered": true,
        })
    );
    assert_eq!(updates[1]["request"], json!({"type": "worker"}));
    let scaled = data("audit.app.process.scale").await;
    assert_eq!(scaled[0]["request"], json!({"memory_in_mb": 64}));
    assert_eq!(scaled[1]["request"], json!({"instances": 3}));
    let mapped = data("audit.app.map-route").await;
    assert_eq!(mapped[0]["manifest_triggered"], true);

    cf.applied(&space, "applications: [{name: app, no-route: true}]")
        .await;
    let unmapped = data("audit.app.unmap-route").await;
    assert_eq!(unmapped[0]["manifest_triggered"], true);
    cf.scale(&app, json!({"instances": 2})).await;
    let scaled = data("audit.app.process.scale").await;
    assert_eq!(scaled[2].get("manifest_triggered"), None);
}

#[tokio::test]
async fn links_repeat_excluded_targets_as_a_list() {
    let cf = Session::v3().await;
    let query = "/v3/audit_events?target_guids[not]=a,b";
    let list = cf.get(query).await.json();
    let first = list["pagination"]["first"]["href"].as_str().unwrap();
    let excluded = "target_guids%5Bnot%5D%5B%5D=a&target_guids%5Bnot%5D%5B%5D=b";
    assert!(first.ends_with(excluded), "{first}");
}

#[tokio::test]
async fn applying_a_quota_is_recorded() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let quota = cf.post("/v3/organization_quotas", json!({"name": "q"}));
    let quota = quota.await.guid();
    let path = format!("/v3/organization_quotas/{quota}/relationships/organizations");
    cf.post(&path, json!({"data": [{"guid": org}]})).await;
    let of_space = json!({
        "name": "s",
        "relationships": {"organization": {"data": {"guid": org}}},
    });
    let of_space = cf.post("/v3/space_quotas", of_space).await.guid();
    let path = format!("/v3/space_quotas/{of_space}/relationships/spaces");
    cf.post(&path, json!({"data": [{"guid": space}]})).await;
    cf.delete(&format!("{path}/{space}")).await;

    let applied = events(&cf, &format!("target_guids={quota}")).await;
    assert_eq!(
        types(&applied),
        [
            "audit.organization_quota.create",
            "audit.organization_quota.apply"
        ]
    );
    assert_eq!(
        (&applied[1]["data"], &applied[1]["organization"]["guid"]),
        (
            &json!({"organization_guid": org, "organization_name": "org"}),
            &json!(org)
        )
    );
    let applied = events(&cf, &format!("target_guids={of_space}")).await;
    assert_eq!(
        types(&applied),
        [
            "audit.space_quota.create",
            "audit.space_quota.apply",
            "audit.space_quota.remove"
        ]
    );
    for event in &applied[1..] {
        let data = json!({"space_guid": space, "space_name": "space"});
        assert_eq!(event["data"], data);
        assert_eq!(event["space"]["guid"], json!(space));
    }
}

#[tokio::test]
async fn spaces_record_segments_and_the_deletion_of_their_organization() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let path = format!("/v3/spaces/{space}/relationships/isolation_segment");
    let unset = cf.patch(&path, json!({"data": null})).await;
    assert_eq!(unset.status, 200, "{unset:?}");
    cf.delete(&format!("/v3/organizations/{org}")).await;
    let of_space = events(&cf, &format!("target_guids={space}")).await;
    assert_eq!(
        types(&of_space),
        [
            "audit.space.create",
            "audit.space.update",
            "audit.space.delete-request"
        ]
    );
    assert_eq!(of_space[1]["data"], json!({"request": {"data": null}}));
    assert_eq!(of_space[2]["data"], json!({"request": {"recursive": true}}));
}

#[tokio::test]
async fn changes_of_routes_are_not_recorded() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let domain = cf.default_domain(&org).await;
    let route = cf.post("/v3/routes", new_route(&space, &domain, "host"));
    let route = route.await.guid();
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let changed = cf.patch(&format!("/v3/routes/{route}"), labels).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let of_route = events(&cf, &format!("target_guids={route}")).await;
    assert_eq!(types(&of_route), ["audit.route.create"]);
}

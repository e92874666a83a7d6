//! Audit events of changes through v2.

use crate::common::broker::Broker;
use crate::common::{Session, archive_of, new_route, send};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// The types and requests of the events of a target, in order.
async fn events_of(cf: &Session, target: &str) -> Vec<(String, Value)> {
    let path = format!("/v2/events?q=actee:{target}&results-per-page=100");
    let list = cf.get(&path).await.json();
    let events = list["resources"].as_array().unwrap().iter();
    let event = |event: &Value| {
        let kind = event["entity"]["type"].as_str().unwrap();
        let request = &event["entity"]["metadata"]["request"];
        (
            kind.trim_start_matches("audit.").to_owned(),
            request.clone(),
        )
    };
    events.map(event).collect()
}

/// The types of the events of a target, in order.
async fn types_of(cf: &Session, target: &str) -> Vec<String> {
    let events = events_of(cf, target).await.into_iter();
    events.map(|(kind, _)| kind).collect()
}

/// The request in the first event of a type of a target.
async fn request_of(cf: &Session, target: &str, kind: &str) -> Value {
    let events = events_of(cf, target).await.into_iter();
    let mut requests = events.filter_map(|(found, request)| (found == kind).then_some(request));
    requests.next().unwrap_or_else(|| panic!("no {kind}"))
}

#[tokio::test]
async fn events_of_apps_show_the_request_without_secrets() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let body = json!({
        "name": "app", "space_guid": space, "command": "./secret",
        "environment_json": {"PASSWORD": "x"}, "unknown": 1,
    });
    let app = cf.post("/v2/apps", body).await.v2_guid();
    let hidden = "[PRIVATE DATA HIDDEN]";
    assert_eq!(
        request_of(&cf, &app, "app.create").await,
        json!({
            "name": "app", "space_guid": space, "command": hidden,
            "environment_json": hidden, "docker_credentials": hidden,
            "console": false, "production": false, "health_check_type": "port",
            "instances": 1, "state": "STOPPED",
        })
    );
    let path = format!("/v2/apps/{app}");
    let change = json!({"memory": 64, "unknown": 1, "buildpack": "https://u:p@git.test/b"});
    cf.put(&path, change).await;
    assert_eq!(
        request_of(&cf, &app, "app.update").await,
        json!({"memory": 64, "buildpack": "https://***:***@git.test/b"})
    );
    cf.put(&path, json!({"buildpack": ""})).await;
    let part = Part::bytes(archive_of(b"bits")).file_name("application.zip");
    let form = Form::new()
        .text("resources", "[]")
        .part("application", part);
    let bits = cf.request(Method::PUT, &format!("{path}/bits"));
    assert_eq!(send(bits.multipart(form)).await.status, 201);
    let other = json!({"name": "other", "space_guid": space});
    let other = cf.post("/v2/apps", other).await.v2_guid();
    let copied = json!({"source_app_guid": app});
    cf.post(&format!("/v2/apps/{other}/copy_bits"), copied)
        .await;
    assert_eq!(types_of(&cf, &other).await, ["app.create", "app.copy-bits"]);
    let started = cf.put(&path, json!({"state": "STARTED"})).await;
    assert_eq!(started.status, 201, "{started:?}");
    let restaged = cf.post(&format!("{path}/restage"), json!({})).await;
    assert_eq!(restaged.status, 201, "{restaged:?}");
    assert_eq!(
        cf.delete(&format!("{path}?recursive=true")).await.status,
        204
    );
    let types = types_of(&cf, &app).await;
    for kind in [
        "app.upload-bits",
        "app.copy-bits",
        "app.restage",
        "app.delete-request",
    ] {
        assert!(types.iter().any(|found| found == kind), "{kind}: {types:?}");
    }
    // Events that only v3 has.
    for kind in [
        "app.process.create",
        "app.package.upload",
        "app.droplet.mapped",
    ] {
        assert!(
            !types.iter().any(|found| found == kind),
            "{kind}: {types:?}"
        );
    }
    assert_eq!(
        request_of(&cf, &app, "app.delete-request").await,
        json!({"recursive": true})
    );
}

#[tokio::test]
async fn events_of_orgs_and_spaces_show_the_attributes_of_the_request() {
    let cf = Session::v3().await;
    let org = cf.post("/v2/organizations", json!({"name": "org"})).await;
    let org = org.v2_guid();
    assert_eq!(
        request_of(&cf, &org, "organization.create").await,
        json!({"name": "org", "billing_enabled": false, "status": "active"})
    );
    cf.put(&format!("/v2/organizations/{org}"), json!({"name": "more"}))
        .await;
    assert_eq!(
        request_of(&cf, &org, "organization.update").await,
        json!({"name": "more"})
    );
    let space = json!({"name": "space", "organization_guid": org});
    let space = cf.post("/v2/spaces", space).await.v2_guid();
    assert_eq!(
        request_of(&cf, &space, "space.create").await,
        json!({"name": "space", "organization_guid": org, "allow_ssh": true})
    );
    let group = cf.post("/v2/security_groups", json!({"name": "group"}));
    let group = group.await.v2_guid();
    let bound = format!("/v2/spaces/{space}/security_groups/{group}");
    assert_eq!(cf.put(&bound, json!({})).await.status, 201);
    assert_eq!(
        request_of(&cf, &space, "space.update").await,
        json!({
            "security_group": group, "verb": "add",
            "relation": "security_groups", "related_guid": group,
        })
    );
    let user = cf.post("/v2/users", json!({"guid": "someone"})).await;
    assert_eq!(user.status, 201, "{user:?}");
    let member = format!("/v2/organizations/{org}/users/someone");
    cf.put(&member, json!({})).await;
    assert_eq!(cf.delete(&member).await.status, 204);
    assert_eq!(
        events_of(&cf, "someone").await,
        [
            ("user.organization_user_add".to_owned(), Value::Null),
            ("user.organization_user_remove".to_owned(), json!({})),
        ]
    );
}

#[tokio::test]
async fn routes_and_apps_record_their_mappings() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = cf
        .post("/v2/apps", json!({"name": "app", "space_guid": space}))
        .await
        .v2_guid();
    let domain = cf.default_domain(&org).await;
    let route = json!({"domain_guid": domain, "space_guid": space, "host": "a"});
    let route = cf.post("/v2/routes", route).await.v2_guid();
    let path = format!("/v2/routes/{route}");
    cf.put(&path, json!({"host": "b"})).await;
    cf.put(&format!("{path}/apps/{app}"), json!({})).await;
    cf.delete(&format!("{path}/apps/{app}")).await;
    let request =
        |verb: &str| json!({"app": app, "verb": verb, "relation": "apps", "related_guid": app});
    assert_eq!(
        events_of(&cf, &route).await[1..],
        [
            ("route.update".to_owned(), json!({"host": "b"})),
            ("route.update".to_owned(), request("add")),
            ("route.update".to_owned(), request("remove")),
        ]
    );
    cf.put(&format!("/v2/apps/{app}/routes/{route}"), json!({}))
        .await;
    assert_eq!(
        types_of(&cf, &app).await,
        [
            "app.create",
            "app.map-route",
            "app.unmap-route",
            "app.map-route",
            "app.update",
        ]
    );
}

#[tokio::test]
async fn services_record_keys_and_routes_as_v2_does() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let broker = Broker::start().await;
    cf.post(
        "/v2/service_brokers",
        json!({
            "name": "broker", "broker_url": broker.url(),
            "auth_username": "user", "auth_password": "secret",
        }),
    )
    .await;
    let plan = cf
        .get("/v2/service_plans?q=unique_id:small-id")
        .await
        .json();
    let plan = plan["resources"][0]["metadata"]["guid"].clone();
    let plan_path = format!("/v2/service_plans/{}", plan.as_str().unwrap());
    cf.put(&plan_path, json!({"public": true})).await;
    let body = json!({"name": "db", "space_guid": space, "service_plan_guid": plan});
    let created = cf.post("/v2/service_instances", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let instance = created.v2_guid();
    assert_eq!(
        request_of(&cf, &instance, "service_instance.create").await,
        json!({"name": "db", "space_guid": space, "service_plan_guid": plan, "tags": []})
    );
    cf.get(&format!("/v2/service_instances/{instance}")).await;
    let key = json!({"name": "key", "service_instance_guid": instance});
    let key = cf.post("/v2/service_keys", key).await.v2_guid();
    let path = format!("/v2/service_keys/{key}");
    cf.get(&path).await;
    assert_eq!(cf.delete(&path).await.status, 204);
    let named = json!({"name": "key", "service_instance_guid": instance});
    assert_eq!(
        events_of(&cf, &key).await,
        [
            ("service_key.create".to_owned(), named.clone()),
            ("service_key.show".to_owned(), named),
            ("service_key.delete".to_owned(), json!({})),
        ]
    );

    let proxy = json!({
        "name": "proxy", "space_guid": space, "route_service_url": "https://proxy.test",
    });
    let proxy = cf.post("/v2/user_provided_service_instances", proxy).await;
    let proxy = proxy.v2_guid();
    let domain = cf.default_domain(&org).await;
    let route = cf.post("/v3/routes", new_route(&space, &domain, "a")).await;
    let route = route.guid();
    let bound = format!("/v2/user_provided_service_instances/{proxy}/routes/{route}");
    assert_eq!(cf.put(&bound, json!({})).await.status, 201);
    assert_eq!(cf.delete(&bound).await.status, 204);
    assert_eq!(
        events_of(&cf, &proxy).await[1..],
        [
            (
                "service_instance.bind_route".to_owned(),
                json!({"route_guid": route})
            ),
            (
                "service_instance.unbind_route".to_owned(),
                json!({"route_guid": route})
            ),
        ]
    );
}

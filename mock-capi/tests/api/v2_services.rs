//! User-provided services in v2, next to today's v3.

use crate::common::Session;
use serde_json::{Value, json};

const INSTANCES: &str = "/v2/user_provided_service_instances";

fn instance(space: &str, name: &str) -> Value {
    json!({
        "name": name,
        "space_guid": space,
        "credentials": {"password": "secret"},
        "tags": ["fast"],
    })
}

#[tokio::test]
async fn instances_are_managed_by_v2() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let created = cf.post(INSTANCES, instance(&space, "db")).await;
    assert_eq!(created.status, 201, "{created:?}");
    let guid = created.v2_guid();
    let path = format!("{INSTANCES}/{guid}");
    assert_eq!(created.header("location"), path);
    assert_eq!(cf.names("/v3/service_instances").await, ["db"]);

    let changes = json!({"name": "store", "credentials": {"user": "me"}});
    let changed = cf.put(&path, changes).await;
    assert_eq!(changed.status, 201);
    let entity = cf.get(&path).await.json()["entity"].clone();
    assert_eq!(entity["name"], "store");
    assert_eq!(entity["credentials"], json!({"user": "me"}));
    assert_eq!(entity["tags"], json!(["fast"]));

    let found = cf.get(&format!("{INSTANCES}?q=name:store")).await.json();
    assert_eq!(found["total_results"], 1);
    assert_eq!(cf.delete(&path).await.status, 204);
    assert_eq!(
        cf.get(&path).await.json()["description"],
        format!("The service instance could not be found: {guid}")
    );
}

#[tokio::test]
async fn bound_instances_are_shown_with_their_apps_and_cannot_be_deleted() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let db = cf.post(INSTANCES, instance(&space, "db")).await.v2_guid();
    let body = json!({"app_guid": app, "service_instance_guid": db});
    let binding = cf.post("/v2/service_bindings", body).await.v2_guid();

    let query = format!("/v2/service_bindings?q=app_guid:{app};service_instance_guid:{db}");
    for path in [query, format!("{INSTANCES}/{db}/service_bindings")] {
        let bindings = cf.get(&path).await.json();
        assert_eq!(
            bindings["resources"][0]["metadata"]["guid"],
            json!(binding),
            "{path}"
        );
    }
    let in_space = format!(
        "/v2/spaces/{space}/service_instances\
         ?return_user_provided_service_instances=true&inline-relations-depth=1"
    );
    let with_bindings = cf.get(&in_space).await.json();
    let inline = &with_bindings["resources"][0]["entity"]["service_bindings"];
    assert_eq!(inline[0]["entity"]["app_guid"], json!(app));
    let summary = cf.get(&format!("/v2/spaces/{space}/summary")).await.json();
    let services = &summary["services"];
    assert_eq!(
        (&services[0]["name"], &services[0]["bound_app_count"]),
        (&json!("db"), &json!(1))
    );

    let deleted = cf.delete(&format!("/v2/service_instances/{db}")).await;
    assert_eq!(deleted.json()["error_code"], "CF-AssociationNotEmpty");
    cf.delete(&format!("/v2/service_bindings/{binding}")).await;
    let deleted = cf.delete(&format!("/v2/service_instances/{db}")).await;
    assert_eq!(deleted.status, 204);
}

#[tokio::test]
async fn invalid_instances_are_refused() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    cf.post(INSTANCES, instance(&space, "db")).await;
    let with = |name: &str, value: Value| {
        let mut body = instance(&space, "other");
        body[name] = value;
        body
    };
    for (body, code, problem) in [
        (
            with("name", json!("db")),
            60002,
            "The service instance name is taken: db",
        ),
        (
            with("space_guid", json!("x")),
            1002,
            "Could not find Space with guid: x",
        ),
        (
            with("route_service_url", json!("http://plain.test")),
            60019,
            "The route service URL is invalid: Scheme for route_service_url must be https.",
        ),
        (
            with("tags", json!(["a", 1])),
            1001,
            "Request invalid due to parse error: Field: tags, Error: At index 1: \
             Expected instance of String, given an instance of Integer",
        ),
    ] {
        let answer = cf.post(INSTANCES, body).await.json();
        assert_eq!(
            (&answer["code"], &answer["description"]),
            (&json!(code), &json!(problem))
        );
    }
}

#[tokio::test]
async fn an_app_is_bound_to_a_service_once() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let service = cf.post(INSTANCES, instance(&space, "db")).await;
    let binding = json!({"app_guid": app, "service_instance_guid": service.v2_guid()});
    assert_eq!(
        cf.post("/v2/service_bindings", binding.clone())
            .await
            .status,
        201
    );
    let again = cf.post("/v2/service_bindings", binding).await.json();
    assert_eq!(again["error_code"], "CF-ServiceBindingAppServiceTaken");
    assert_eq!(
        again["description"],
        "The app is already bound to the service."
    );
    let nowhere = json!({"name": "other", "space_guid": "none"});
    let refused = cf.post("/v2/apps", nowhere).await.json();
    assert_eq!(refused["error_code"], "CF-AppNotFound");
}

#[tokio::test]
async fn a_binding_needs_a_valid_name_and_an_instance_of_the_space() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let db = cf.post(INSTANCES, instance(&space, "db")).await.v2_guid();
    let other = cf.create_space(&org, "other").await;
    let elsewhere = cf.post(INSTANCES, instance(&other, "db")).await.v2_guid();
    for (instance, name, description) in [
        (
            &db,
            "a b",
            "The binding name is invalid. Valid characters are alphanumeric, underscore, and dash.",
        ),
        (
            &elsewhere,
            "name",
            "VCAP::CloudController::ServiceBindingCreate::SpaceMismatch",
        ),
    ] {
        let body = json!({"app_guid": app, "service_instance_guid": instance, "name": name});
        let refused = cf.post("/v2/service_bindings", body).await;
        assert_eq!(refused.json()["description"], description);
        assert_eq!(refused.json()["code"], 90_003);
    }
    let manifest = "applications: [{name: app, services: [{name: db, binding_name: a b}]}]";
    let job = cf.applied(&space, manifest).await;
    assert_eq!(job["state"], "FAILED");
    assert_eq!(
        job["errors"][0]["detail"],
        "For application 'app': For service 'db': The binding name is invalid. \
         Valid characters are alphanumeric, underscore, and dash."
    );
}

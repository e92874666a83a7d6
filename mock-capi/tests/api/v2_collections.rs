//! The common behaviour of all v2 collections: relations, filters, order, pages,
//! permissions and messages.

use crate::common::{HttpResponse, Session};
use mock_capi::MockCapi;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// The code and the description of a v2 error.
fn v2_error(answer: &HttpResponse) -> (u64, String) {
    let json = answer.json();
    (
        json["code"].as_u64().unwrap_or_default(),
        json["description"].as_str().unwrap_or_default().to_owned(),
    )
}

/// An organization with a space and an app, created with v2.
async fn app_in_space(cf: &Session) -> (String, String, String) {
    let (org, space) = cf.space().await;
    let body = json!({"name": "app", "space_guid": space});
    let app = cf.post("/v2/apps", body).await.v2_guid();
    (org, space, app)
}

#[tokio::test]
async fn relations_are_links_unless_the_client_requests_inlining() {
    let cf = Session::v3().await;
    let (org, space, app) = app_in_space(&cf).await;
    let entity = cf.get(&format!("/v2/apps/{app}")).await.json()["entity"].clone();
    assert_eq!(entity["space_url"], format!("/v2/spaces/{space}"));
    assert_eq!(entity["routes_url"], format!("/v2/apps/{app}/routes"));
    assert_eq!(entity["space"], Value::Null);

    let path = format!("/v2/apps/{app}?inline-relations-depth=2");
    let entity = cf.get(&path).await.json()["entity"].clone();
    assert_eq!(entity["routes"], json!([]));
    let inlined = &entity["space"]["entity"]["organization"];
    assert_eq!(inlined["metadata"]["guid"], org);
    // A resource is not inlined below itself, and some relations are never inlined.
    assert_eq!(entity["space"]["entity"]["apps"], Value::Null);
    assert_eq!(entity["events"], Value::Null);

    let path = format!("/v2/spaces/{space}?inline-relations-depth=1&include-relations=apps");
    let entity = cf.get(&path).await.json()["entity"].clone();
    assert_eq!(entity["apps"][0]["metadata"]["guid"], app);
    assert_eq!(entity["organization"], Value::Null);

    let deep = cf.get("/v2/apps?inline-relations-depth=3").await;
    assert_eq!(
        v2_error(&deep).1,
        "The query parameter is invalid: inline_relations_depth must be <= 2"
    );
}

#[tokio::test]
async fn orphans_are_listed_once_beside_the_resources() {
    let cf = Session::v3().await;
    let (_, space, app) = app_in_space(&cf).await;
    let path = "/v2/spaces?inline-relations-depth=1&orphan-relations=1&include-relations=apps";
    let list = cf.get(path).await.json();
    assert_eq!(list["resources"][0]["metadata"]["guid"], space);
    assert_eq!(list["resources"][0]["entity"]["apps"], json!([app]));
    assert_eq!(list["orphans"][&app]["entity"]["name"], "app");
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_paged() {
    let cf = Session::v3().await;
    for name in ["b", "a", "c"] {
        cf.post("/v2/organizations", json!({"name": name})).await;
    }
    let names = async |query: &str| {
        let list = cf.get(&format!("/v2/organizations?{query}")).await.json();
        let resources = list["resources"].as_array().unwrap().clone();
        let names = resources.into_iter();
        names
            .map(|org| org["entity"]["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("order-by=name").await, ["a", "b", "c"]);
    assert_eq!(names("order-direction=desc").await, ["c", "a", "b"]);
    assert_eq!(names("q=name%20IN%20a,c").await, ["a", "c"]);
    assert_eq!(names("q=name%3E%3Db").await, ["b", "c"]);
    assert_eq!(names("q=name:a;status:active").await, ["a"]);
    assert_eq!(names("q=status:suspended").await, [""; 0]);
    let query = "order-by=name&order-direction=desc&results-per-page=2&q=status:active";
    let list = cf.get(&format!("/v2/organizations?{query}")).await.json();
    assert_eq!(
        list["next_url"],
        "/v2/organizations?order-by=name&order-direction=desc&page=2&q=status:active&results-per-page=2"
    );
    for (query, code) in [
        ("order-direction=up", 10005),
        ("q=color:red", 10005),
        ("order-by=status", 10012),
    ] {
        let refused = cf.get(&format!("/v2/organizations?{query}")).await;
        assert_eq!(v2_error(&refused).0, code, "{query}");
    }
}

#[tokio::test]
async fn unreadable_resources_are_forbidden_rather_than_missing() {
    let mut dev = Session::start(MockCapi::builder().add_user("dev", "dev")).await;
    let (_, space, app) = app_in_space(&dev).await;
    dev.log_in_as("dev", "dev").await;
    for path in [format!("/v2/apps/{app}"), format!("/v2/spaces/{space}")] {
        let refused = dev.get(&path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(v2_error(&refused).0, 10003, "{path}");
    }
    assert_eq!(dev.get("/v2/apps/none").await.status, StatusCode::NOT_FOUND);
    assert_eq!(dev.get("/v2/apps").await.json()["total_results"], 0);
    let usage = dev.get("/v2/app_usage_events").await;
    assert_eq!(v2_error(&usage).0, 10007);
}

#[tokio::test]
async fn a_body_is_validated_before_permissions() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "dev")).await;
    cf.log_in_as("dev", "dev").await;
    let dev = &cf;
    let incomplete = dev
        .post("/v2/quota_definitions", json!({"name": "q"}))
        .await;
    assert_eq!(
        v2_error(&incomplete).1,
        "Request invalid due to parse error: \
         Field: non_basic_services_allowed, Error: Missing field non_basic_services_allowed, \
         Field: total_services, Error: Missing field total_services, \
         Field: total_routes, Error: Missing field total_routes, \
         Field: memory_limit, Error: Missing field memory_limit"
    );
    let complete = dev
        .post("/v2/shared_domains", json!({"name": "a.test"}))
        .await;
    assert_eq!(complete.status, StatusCode::FORBIDDEN);
    let wrong = json!({"name": "a", "space_guid": "x", "memory": 1.5, "ports": [1, "2"]});
    assert_eq!(
        v2_error(&cf.post("/v2/apps", wrong).await).1,
        "Request invalid due to parse error: \
         Field: memory, Error: Expected instance of Integer, given an instance of BigDecimal, \
         Field: ports, Error: At index 1: Expected instance of Integer, given an instance of String"
    );
}

#[tokio::test]
async fn roles_are_assigned_and_removed_by_v2() {
    let cf = Session::start(MockCapi::builder().add_user("dev", "dev")).await;
    let (org, space) = cf.space().await;
    let outsider = cf
        .put(&format!("/v2/spaces/{space}/developers/x"), json!({}))
        .await;
    assert_eq!(v2_error(&outsider), (1002, "x".into()));
    for path in [
        format!("/v2/organizations/{org}/users"),
        format!("/v2/spaces/{space}/developers"),
    ] {
        let given = cf.put(&path, json!({"username": "dev"})).await;
        assert_eq!(given.status, StatusCode::CREATED, "{path}");
        let users = cf.get(&path).await.json();
        assert_eq!(users["resources"][0]["entity"]["username"], "dev", "{path}");
    }
    let roles = cf
        .get(&format!("/v2/spaces/{space}/user_roles"))
        .await
        .json();
    let entity = &roles["resources"][0]["entity"];
    assert_eq!(entity["space_roles"], json!(["space_developer"]));
    let user = roles["resources"][0]["metadata"]["guid"]
        .as_str()
        .unwrap()
        .to_owned();
    let summary = cf.get(&format!("/v2/users/{user}/summary")).await.json();
    assert_eq!(summary["entity"]["spaces"][0]["metadata"]["guid"], space);

    let path = format!("/v2/organizations/{org}/users/{user}");
    let kept = cf.delete(&path).await;
    assert_eq!(
        v2_error(&kept),
        (
            10006,
            "Please delete the user associations for your spaces in the org.".into()
        )
    );
    let gone = cf.delete(&format!("{path}?recursive=true")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let developers = cf.get(&format!("/v2/spaces/{space}/developers")).await;
    assert_eq!(developers.json()["total_results"], 0);
}

#[tokio::test]
async fn created_resources_have_a_location() {
    let cf = Session::v3().await;
    let (org, _) = cf.space().await;
    let limits = json!({
        "name": "q", "non_basic_services_allowed": true, "total_services": 1,
        "total_routes": 1, "memory_limit": 1, "organization_guid": org,
    });
    for (path, body) in [
        ("/v2/organizations", json!({"name": "other"})),
        (
            "/v2/spaces",
            json!({"name": "other", "organization_guid": org}),
        ),
        ("/v2/quota_definitions", limits.clone()),
        ("/v2/space_quota_definitions", limits),
        ("/v2/security_groups", json!({"name": "g"})),
        ("/v2/shared_domains", json!({"name": "shared.test"})),
        (
            "/v2/private_domains",
            json!({"name": "own.test", "owning_organization_guid": org}),
        ),
        ("/v2/stacks", json!({"name": "s"})),
        ("/v2/buildpacks", json!({"name": "b"})),
        ("/v2/users", json!({"guid": "u"})),
    ] {
        let created = cf.post(path, body).await;
        assert_eq!(created.status, StatusCode::CREATED, "{path}");
        let location = created.header("location").to_owned();
        assert_eq!(location, format!("{path}/{}", created.v2_guid()));
        assert_eq!(
            created.header("content-type"),
            "application/json;charset=utf-8"
        );
        let shown = cf.get(&location).await;
        assert_eq!(shown.json(), created.json(), "{path}");
        let deleted = cf.delete(&location).await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{path}");
    }
}

#[tokio::test]
async fn unimplemented_v2_operations_are_reported() {
    let cf = Session::v3().await;
    let service = cf.post("/v2/services", json!({})).await;
    assert_eq!(service.status, StatusCode::NOT_IMPLEMENTED);
    for path in ["/v2/nothing", "/v2/apps/"] {
        let unknown = cf.get(path).await;
        assert_eq!(v2_error(&unknown), (10000, "Unknown request".into()));
    }
}

#[tokio::test]
async fn usage_is_recorded_for_operators() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    cf.act(&app, "start").await;
    cf.act(&app, "stop").await;
    let events = cf.get("/v2/app_usage_events").await.json();
    let resources = events["resources"].as_array().unwrap();
    let states: Vec<&str> = resources
        .iter()
        .map(|event| event["entity"]["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        [
            "STAGING_STARTED",
            "STAGING_STOPPED",
            "BUILDPACK_SET",
            "STARTED",
            "STOPPED"
        ]
    );
    let first = &resources[0]["metadata"]["guid"];
    let path = format!(
        "/v2/app_usage_events?after_guid={}",
        first.as_str().unwrap()
    );
    assert_eq!(cf.get(&path).await.json()["total_results"], 4);
    let v3 = cf.get("/v3/app_usage_events").await.json();
    assert_eq!(
        v3["resources"][3]["state"],
        json!({"current": "STARTED", "previous": "STOPPED"})
    );

    let body = json!({"name": "db", "space_guid": space});
    cf.post("/v2/user_provided_service_instances", body).await;
    let events = cf.get("/v3/service_usage_events").await.json();
    assert_eq!(events["resources"][0]["state"], "CREATED");
    assert_eq!(events["resources"][0]["service_instance"]["name"], "db");
}

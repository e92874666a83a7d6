//! The other parts of the API of 2017.

use std::time::Duration;

use crate::common::{HttpResponse, Session, names, new_app, new_package};
use mock_capi::{Dialect, Fault, MockCapi};
use serde_json::{Value, json};

/// The code and the description of a v2 error.
fn v2_error(answer: &HttpResponse) -> (u64, String) {
    let json = answer.json();
    assert!(
        json["error_code"]
            .as_str()
            .unwrap_or_default()
            .starts_with("CF-"),
        "{answer:?}"
    );
    let text = json["description"].as_str().unwrap_or_default().to_owned();
    (json["code"].as_u64().unwrap_or_default(), text)
}

async fn org_and_space(cf: &Session) -> (String, String) {
    let org = cf
        .post("/v2/organizations", json!({"name": "org"}))
        .await
        .v2_guid();
    let body = json!({"name": "space", "organization_guid": org});
    let space = cf.post("/v2/spaces", body).await.v2_guid();
    (org, space)
}

async fn started_app(cf: &Session, space: &str, name: &str) -> String {
    let body = json!({
        "name": name,
        "environment_variables": {"A": "1"},
        "relationships": {"space": {"data": {"guid": space}}},
    });
    let app = cf.post("/v3/apps", body).await.guid();
    let package = cf.post("/v3/packages", new_package(&app)).await.guid();
    cf.upload(&package, b"bits").await;
    let droplet = cf
        .post(&format!("/v3/packages/{package}/droplets"), json!({}))
        .await
        .guid();
    cf.assign(&app, &droplet).await;
    assert_eq!(
        cf.put(&format!("/v3/apps/{app}/start"), json!({}))
            .await
            .status,
        200
    );
    app
}

fn v2_names(list: &Value) -> Vec<&str> {
    let resources = list["resources"].as_array().unwrap();
    resources
        .iter()
        .map(|r| r["entity"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn discovery_has_both_versions() {
    let cf = Session::of_2017().await;
    let root = cf.get("/").await.json();
    assert_eq!(
        root["links"]["cloud_controller_v2"]["meta"]["version"],
        "2.78.0"
    );
    assert_eq!(
        root["links"]["cloud_controller_v3"]["meta"]["version"],
        "3.13.0"
    );
    let uaa = format!("{}/uaa", cf.mock.uri());
    assert_eq!(root["links"]["uaa"]["href"], json!(uaa));
    let info = cf.get("/v2/info").await.json();
    assert_eq!(info["token_endpoint"], json!(uaa));
    assert_eq!(info["api_version"], "2.78.0");
}

#[tokio::test]
async fn each_dialect_has_only_its_own_operations() {
    let then = Session::of_2017().await;
    for path in [
        "/v3/organizations",
        "/v3/builds",
        "/v3/security_groups",
        "/v3/jobs/x",
    ] {
        assert_eq!(
            then.get(path).await.error(),
            (10000, "Unknown request".into()),
            "{path}"
        );
    }
    let today = Session::v3().await;
    assert_eq!(today.get("/v3/route_mappings").await.status, 404);
    assert_eq!(
        v2_error(&today.get("/v2/nothing").await),
        (10000, "Unknown request".into())
    );
}

#[tokio::test]
async fn organizations_are_deleted_with_their_spaces() {
    let cf = Session::start(
        MockCapi::builder()
            .dialect(Dialect::Documented2017)
            .job_time(Duration::from_secs(9)),
    )
    .await;
    let (org, space) = org_and_space(&cf).await;
    let found = cf.get("/v2/organizations?q=name:org").await.json();
    assert_eq!(v2_names(&found), ["org"]);
    assert_eq!(found["total_results"], 1);
    let taken = cf.post("/v2/organizations", json!({"name": "ORG"})).await;
    assert_eq!(
        v2_error(&taken),
        (30002, "The organization name is taken: ORG".into())
    );
    let path = format!("/v2/organizations/{org}");
    let spaces = cf.get(&format!("{path}/spaces")).await.json();
    assert_eq!(v2_names(&spaces), ["space"]);
    let query = format!("/v2/spaces?q=organization_guid:{org}&q=name:space");
    assert_eq!(
        cf.get(&query).await.json()["resources"][0]["metadata"]["guid"],
        json!(space)
    );
    cf.post("/v3/apps", new_app(&space, "app")).await;

    assert_eq!(v2_error(&cf.delete(&path).await).0, 10006);
    let deleted = cf
        .delete(&format!("{path}?recursive=true&async=true"))
        .await;
    assert_eq!(
        (deleted.status.as_u16(), &deleted.json()["entity"]["status"]),
        (202, &json!("queued"))
    );
    let job = deleted.json()["metadata"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(cf.get(&job).await.json()["entity"]["status"], "queued");
    assert_eq!(cf.get(&path).await.status, 200);
    cf.mock.advance(Duration::from_secs(9));
    assert_eq!(cf.get(&job).await.json()["entity"]["status"], "finished");
    let gone = cf.get(&path).await;
    assert_eq!(
        v2_error(&gone),
        (30003, format!("The organization could not be found: {org}"))
    );
    assert_eq!(cf.mock.state()["apps"], json!([]));
    assert_eq!(
        cf.get("/v2/jobs/unheard-of").await.json()["entity"]["status"],
        "finished"
    );
}

#[tokio::test]
async fn failed_jobs_have_a_reason() {
    let cf = Session::of_2017().await;
    let (org, _) = org_and_space(&cf).await;
    cf.mock
        .set_faults(vec![Fault::failed_job().of("organization.delete").times(1)])
        .unwrap();
    let path = format!("/v2/organizations/{org}?recursive=true&async=true");
    let job = cf.delete(&path).await.json()["metadata"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let failed = cf.get(&job).await.json();
    assert_eq!(failed["entity"]["status"], "failed");
    assert_eq!(failed["entity"]["error_details"]["code"], 10001);
    assert_eq!(cf.get("/v2/organizations").await.json()["total_results"], 1);
}

#[tokio::test]
async fn quotas_and_security_groups_are_managed_and_applied() {
    let cf = Session::of_2017().await;
    let (org, space) = org_and_space(&cf).await;
    let quota = json!({
        "name": "quota",
        "non_basic_services_allowed": true,
        "total_services": -1,
        "total_routes": 1,
        "memory_limit": 2048,
    });
    let created = cf.post("/v2/quota_definitions", quota.clone()).await;
    assert_eq!(
        (
            created.status.as_u16(),
            &created.json()["entity"]["instance_memory_limit"]
        ),
        (201, &json!(-1))
    );
    assert_eq!(
        v2_error(&cf.post("/v2/quota_definitions", quota).await).0,
        240_002
    );
    let missing = cf.post("/v2/quota_definitions", json!({"name": "x"})).await;
    assert_eq!(v2_error(&missing).0, 1001);
    let guid = created.v2_guid();
    let path = format!("/v2/quota_definitions/{guid}");
    let updated = cf.put(&path, json!({"app_instance_limit": 2})).await;
    assert_eq!(
        (
            updated.status.as_u16(),
            &updated.json()["entity"]["app_instance_limit"]
        ),
        (201, &json!(2))
    );
    let applied = cf
        .put(
            &format!("/v2/organizations/{org}"),
            json!({"quota_definition_guid": guid}),
        )
        .await;
    assert_eq!(
        applied.json()["entity"]["quota_definition_guid"],
        json!(guid)
    );

    // The quota applies to v3's processes and v2's routes.
    let app = started_app(&cf, &space, "app").await;
    let scaled = cf
        .put(
            &format!("/v3/apps/{app}/processes/web/scale"),
            json!({"instances": 3}),
        )
        .await;
    assert_eq!(
        scaled.error(),
        (
            10008,
            "memory quota_exceeded, app_instance_limit app_instance_limit_exceeded".into()
        )
    );
    let domain =
        cf.get("/v2/shared_domains").await.json()["resources"][0]["metadata"]["guid"].clone();
    let route = |host: &str| json!({"domain_guid": domain, "space_guid": space, "host": host});
    assert_eq!(cf.post("/v2/routes", route("a")).await.status, 201);
    assert_eq!(
        v2_error(&cf.post("/v2/routes", route("b")).await).0,
        310_006
    );

    let rules = json!([{"protocol": "tcp", "destination": "169.254.0.1", "ports": "1"}]);
    let group = cf
        .post(
            "/v2/security_groups",
            json!({"name": "asg", "rules": rules}),
        )
        .await
        .v2_guid();
    let path = format!("/v2/security_groups/{group}");
    assert_eq!(
        cf.put(&format!("{path}/spaces/{space}"), json!({}))
            .await
            .status,
        201
    );
    assert_eq!(
        v2_names(&cf.get(&format!("{path}/spaces")).await.json()),
        ["space"]
    );
    let found = cf.get("/v2/security_groups?q=name:asg").await.json();
    assert_eq!(found["resources"][0]["entity"]["rules"], rules);
    let invalid = cf.put(&path, json!({"rules": [{"protocol": "x"}]})).await;
    assert_eq!(v2_error(&invalid).0, 300_001);
    assert_eq!(
        cf.put(&path, json!({"rules": []})).await.json()["entity"]["rules"],
        json!([])
    );
    assert_eq!(cf.delete(&path).await.status, 204);
    assert_eq!(v2_error(&cf.get(&path).await).0, 300_002);
}

#[tokio::test]
async fn summaries_show_instances_and_routes() {
    let cf = Session::of_2017().await;
    let (org, space) = org_and_space(&cf).await;
    let app = started_app(&cf, &space, "app").await;
    let domain =
        cf.get("/v2/shared_domains").await.json()["resources"][0]["metadata"]["guid"].clone();
    let body = json!({"domain_guid": domain, "space_guid": space, "host": "app"});
    let created = cf.post("/v2/routes", body.clone()).await;
    let route = created.v2_guid();
    assert_eq!(
        v2_error(&cf.post("/v2/routes", body).await),
        (210_003, "The host is taken: app".into())
    );
    let mapping = json!({"relationships": {"app": {"guid": app}, "route": {"guid": route}}});
    let mapping = cf.post("/v3/route_mappings", mapping).await.guid();
    let scale = json!({"instances": 2, "memory_in_mb": 64, "disk_in_mb": 128});
    cf.put(&format!("/v3/apps/{app}/processes/web/scale"), scale)
        .await;

    let summary = cf.get(&format!("/v2/spaces/{space}/summary")).await.json();
    let shown = &summary["apps"][0];
    assert_eq!(summary["apps"].as_array().map(Vec::len), Some(1));
    for (key, value) in [
        ("guid", json!(app)),
        ("name", json!("app")),
        ("state", json!("STARTED")),
        ("instances", json!(2)),
        ("running_instances", json!(2)),
        ("memory", json!(64)),
        ("disk_quota", json!(128)),
        ("environment_json", json!({"A": "1"})),
        ("urls", json!(["app.apps.mock.test"])),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    assert_eq!(
        shown["routes"],
        json!([{
            "guid": route, "host": "app", "port": null, "path": "",
            "domain": {"guid": domain, "name": "apps.mock.test"},
        }])
    );
    let one = cf.get(&format!("/v2/apps/{app}/summary")).await.json();
    assert_eq!(
        (&one["routes"], &one["running_instances"]),
        (&shown["routes"], &json!(2))
    );

    for query in [
        format!("organization_guid:{org}"),
        format!("organization_guid IN {org},x"),
        format!("space_guid:{space}"),
        "name:app".into(),
    ] {
        let list = cf.get(&format!("/v2/apps?q={query}")).await.json();
        assert_eq!(
            list["resources"][0]["metadata"]["guid"],
            json!(app),
            "{query}"
        );
    }
    assert_eq!(
        cf.get("/v2/apps?q=organization_guid:x").await.json()["total_results"],
        0
    );
    assert_eq!(v2_error(&cf.get("/v2/apps?q=color:red").await).0, 10005);
    let query = format!(
        "/v2/routes?q=host:app;domain_guid:{}",
        domain.as_str().unwrap()
    );
    assert_eq!(
        cf.get(&query).await.json()["resources"][0]["metadata"]["guid"],
        json!(route)
    );
    let routes = cf.get(&format!("/v2/spaces/{space}/routes")).await.json();
    assert_eq!(routes["total_results"], 1);

    let mappings = cf
        .get(&format!("/v3/route_mappings?app_guids={app}"))
        .await
        .json();
    assert_eq!(mappings["resources"][0]["guid"], json!(mapping));
    assert_eq!(
        cf.delete(&format!("/v3/route_mappings/{mapping}"))
            .await
            .status,
        204
    );
    assert_eq!(
        cf.get("/v3/route_mappings").await.json()["resources"],
        json!([])
    );
    assert_eq!(cf.delete(&format!("/v2/routes/{route}")).await.status, 204);
}

#[tokio::test]
async fn v2_lists_have_pages() {
    let cf = Session::of_2017().await;
    for name in ["a", "b", "c"] {
        cf.post("/v2/organizations", json!({"name": name})).await;
    }
    let first = cf.get("/v2/organizations?results-per-page=2").await.json();
    assert_eq!(v2_names(&first), ["a", "b"]);
    assert_eq!(
        (
            &first["total_results"],
            &first["total_pages"],
            &first["prev_url"]
        ),
        (&json!(3), &json!(2), &Value::Null)
    );
    assert_eq!(
        first["next_url"],
        "/v2/organizations?order-direction=asc&page=2&results-per-page=2"
    );
    let second = cf.get(first["next_url"].as_str().unwrap()).await.json();
    assert_eq!(v2_names(&second), ["c"]);
    assert_eq!(second["next_url"], Value::Null);
    for query in [
        "results-per-page=101",
        "results-per-page=x",
        "page=0",
        "page=-1",
    ] {
        let refused = cf.get(&format!("/v2/organizations?{query}")).await;
        assert_eq!(v2_error(&refused).0, 10005, "{query}");
    }
}

#[tokio::test]
async fn the_v3_api_of_2017_works() {
    let cf = Session::start(
        MockCapi::builder()
            .dialect(Dialect::Documented2017)
            .staging_time(Duration::from_secs(9)),
    )
    .await;
    let (_, space) = org_and_space(&cf).await;
    let app = cf.post("/v3/apps", new_app(&space, "app")).await.guid();
    let taken = cf.post("/v3/apps", new_app(&space, "app")).await;
    assert_eq!(
        taken.error(),
        (10008, "name must be unique in space".into())
    );
    let unknown = cf.post("/v3/apps", json!({"name": "x", "metadata": {}, "relationships": {"space": {"data": {"guid": space}}}})).await;
    assert_eq!(
        unknown.error(),
        (10008, "Unknown field(s): 'metadata'".into())
    );
    let list = cf
        .get(&format!("/v3/apps?space_guids={space}&per_page=5000"))
        .await
        .json();
    assert_eq!(names(&list), ["app"]);
    assert_eq!(
        cf.get("/v3/apps?label_selector=a").await.error(),
        (
            10005,
            "The query parameter is invalid: Unknown query parameter(s): 'label_selector'".into()
        )
    );

    let path = format!("/v3/apps/{app}/environment_variables");
    let changed = cf.patch(&path, json!({"A": "1", "B": "2"})).await.json();
    assert_eq!((&changed["A"], &changed["B"]), (&json!("1"), &json!("2")));
    let removed = cf.patch(&path, json!({"A": null})).await.json();
    assert!(removed.get("A").is_none());
    assert_eq!(cf.get(&path).await.json()["B"], "2");

    let package = cf.post("/v3/packages", new_package(&app)).await.guid();
    cf.upload(&package, b"bits").await;
    let stage = format!("/v3/packages/{package}/droplets");
    let staging = cf.post(&stage, json!({})).await;
    assert_eq!(
        (&staging.json()["state"], &staging.json()["result"]),
        (&json!("STAGING"), &Value::Null)
    );
    assert_eq!(cf.post(&stage, json!({})).await.error().0, 170_017);
    cf.mock.advance(Duration::from_secs(9));
    let staged = cf
        .get(&format!("/v3/droplets/{}", staging.guid()))
        .await
        .json();
    assert_eq!(staged["state"], "STAGED");
    assert_eq!(staged["result"]["checksum"]["type"], "sha256");
    let list = cf
        .get(&format!("/v3/droplets?app_guids={app}&states=STAGED"))
        .await
        .json();
    assert_eq!(list["pagination"]["total_results"], 1);

    cf.mock.set_faults(vec![Fault::failed_staging()]).unwrap();
    let failing = cf.post(&stage, json!({})).await.guid();
    cf.mock.advance(Duration::from_secs(9));
    let failed = cf.get(&format!("/v3/droplets/{failing}")).await.json();
    assert_eq!(
        (&failed["state"], &failed["error"]),
        (
            &json!("FAILED"),
            &json!(
                "NoAppDetectedError - An app was not successfully detected by any available buildpack"
            )
        )
    );
    assert_eq!(cf.delete(&format!("/v3/apps/{app}")).await.status, 204);
    assert_eq!(cf.get(&format!("/v3/apps/{app}")).await.status, 404);
}

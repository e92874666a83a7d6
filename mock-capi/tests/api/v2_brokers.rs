//! Managed services through v2, whose responses wait for brokers.

use std::time::Duration;

use mock_capi::{Adapter, Fault, MockCapi, MockCapiBuilder};
use serde_json::{Value, json};

use crate::common::broker::Broker;
use crate::common::{HttpResponse, Session, new_route, send};

/// A mock with a broker that was registered through v2, and public plans.
async fn start<A: Adapter>(builder: MockCapiBuilder<A>) -> (Session<A>, Broker) {
    let cf = Session::start(builder).await;
    let broker = Broker::start().await;
    let created = cf.post("/v2/service_brokers", registration(&broker)).await;
    assert_eq!(created.status, 201, "{created:?}");
    for plan in resources(&cf.get("/v2/service_plans").await) {
        let path = plan["metadata"]["url"].as_str().unwrap();
        let public = cf.put(path, json!({"public": true})).await;
        assert_eq!(public.status, 201, "{public:?}");
    }
    (cf, broker)
}

fn registration(broker: &Broker) -> Value {
    json!({
        "name": "broker",
        "broker_url": broker.url(),
        "auth_username": "user",
        "auth_password": "secret",
    })
}

fn resources(list: &HttpResponse) -> Vec<Value> {
    list.json()["resources"].as_array().unwrap().clone()
}

/// The code and the title of an error.
fn error(answer: &HttpResponse) -> (u64, String) {
    let json = answer.json();
    let title = json["error_code"].as_str().unwrap_or_default();
    (json["code"].as_u64().unwrap_or_default(), title.to_owned())
}

async fn plan<A: Adapter>(cf: &Session<A>, id: &str) -> String {
    let plans = cf.get(&format!("/v2/service_plans?q=unique_id:{id}")).await;
    let guid = &resources(&plans)[0]["metadata"]["guid"];
    guid.as_str().unwrap().to_owned()
}

async fn create<A: Adapter>(cf: &Session<A>, space: &str, name: &str, query: &str) -> HttpResponse {
    let body = json!({
        "name": name,
        "space_guid": space,
        "service_plan_guid": plan(cf, "small-id").await,
        "parameters": {"size": 1},
        "tags": ["own"],
    });
    cf.post(&format!("/v2/service_instances{query}"), body)
        .await
}

#[tokio::test]
async fn a_registered_broker_offers_services_and_plans() {
    let (cf, broker) = start(MockCapi::builder()).await;
    let services = resources(
        &cf.get("/v2/services?q=label:db&inline-relations-depth=1")
            .await,
    );
    let db = &services[0]["entity"];
    assert_eq!(db["service_broker_name"], "broker");
    assert_eq!(db["tags"], json!(["of the broker"]));
    let extra: Value = serde_json::from_str(db["extra"].as_str().unwrap()).unwrap();
    assert_eq!(extra["shareable"], true);
    let plans = db["service_plans"].as_array().unwrap();
    assert_eq!(plans.len(), 2);
    assert_eq!(plans[0]["entity"]["maintenance_info"]["version"], "1.0.0");

    let taken = cf.post("/v2/service_brokers", registration(&broker)).await;
    assert_eq!(error(&taken), (270_002, "CF-ServiceBrokerNameTaken".into()));
    let mut wrong = registration(&broker);
    wrong["name"] = json!("other");
    wrong["broker_url"] = json!("x");
    let wrong = cf.post("/v2/service_brokers", wrong).await;
    assert_eq!(wrong.json()["description"], "x is not a valid URL");
    let brokers = resources(&cf.get("/v2/service_brokers?q=name:broker").await);
    let path = brokers[0]["metadata"]["url"].as_str().unwrap();
    let renamed = cf.put(path, json!({"name": "renamed"})).await;
    assert_eq!(renamed.status, 200);
    assert_eq!(renamed.json()["entity"]["name"], "renamed");
    assert_eq!(cf.delete(path).await.status, 204);
    assert_eq!(resources(&cf.get("/v2/services").await), [] as [Value; 0]);
}

#[tokio::test]
async fn a_broker_with_an_invalid_catalog_is_not_registered() {
    let (cf, broker) = start(MockCapi::builder()).await;
    broker.answer(
        "GET",
        "/v2/catalog",
        500,
        json!({"description": "no catalog"}),
    );
    let mut other = registration(&broker);
    other["name"] = json!("other");
    let refused = cf.post("/v2/service_brokers", other).await;
    assert_eq!(refused.status, 502);
    assert_eq!(
        error(&refused),
        (10001, "CF-ServiceBrokerBadResponse".into())
    );
    let request = json!({"method": "GET", "status": 500});
    assert_eq!(refused.json()["http"], request);
    assert_eq!(refused.headers.get("location"), None);
    let mut gone = registration(&broker);
    (gone["name"], gone["broker_url"]) = (json!("gone"), json!("http://127.0.0.1:1"));
    let unreachable = cf.post("/v2/service_brokers", gone).await;
    assert_eq!(
        error(&unreachable),
        (10001, "CF-ServiceBrokerApiUnreachable".into())
    );
    let request = json!({"method": "GET", "uri": "http://127.0.0.1:1/v2/catalog"});
    assert_eq!(unreachable.json()["http"], request);
    assert_eq!(cf.names("/v3/service_brokers").await, ["broker"]);
}

#[tokio::test]
async fn a_plan_is_visible_only_to_some_organizations() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    let broker = Broker::start().await;
    cf.post("/v2/service_brokers", registration(&broker)).await;
    let (org, space) = cf.space().await;
    let (small, large) = (plan(&cf, "small-id").await, plan(&cf, "large-id").await);
    let visibility = json!({"service_plan_guid": small, "organization_guid": org});
    let path = "/v2/service_plan_visibilities";
    let created = cf.post(path, visibility.clone()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let again = cf.post(path, visibility).await;
    let title = "CF-ServicePlanVisibilityAlreadyExists";
    assert_eq!(error(&again), (260_002, title.into()));
    let shown = cf
        .get(&format!("/v3/service_plans/{small}/visibility"))
        .await
        .json();
    assert_eq!(shown["organizations"][0]["guid"], org.as_str());

    for (at, guid, role) in [
        ("organizations", &org, "users"),
        ("spaces", &space, "developers"),
    ] {
        let path = format!("/v2/{at}/{guid}/{role}");
        let assigned = cf.put(&path, json!({"username": "dev"})).await;
        assert_eq!(assigned.status, 201, "{assigned:?}");
    }
    cf.log_in_as("dev", "secret").await;
    let plans = resources(&cf.get("/v2/service_plans").await);
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0]["metadata"]["guid"], small.as_str());
    let body = json!({"name": "db", "space_guid": space, "service_plan_guid": large});
    let refused = cf.post("/v2/service_instances", body).await;
    assert_eq!(error(&refused), (10003, "CF-NotAuthorized".into()));
    assert_eq!(resources(&cf.get(path).await), [] as [Value; 0]);
    assert_eq!(create(&cf, &space, "db", "").await.status, 201);
}

/// Creates, binds, updates and deletes an instance, with one adapter.
async fn manage_instance<A: Adapter>(builder: MockCapiBuilder<A>) {
    let (cf, broker) = start(builder).await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let created = create(&cf, &space, "db", "").await;
    assert_eq!(created.status, 201, "{created:?}");
    let (json, guid) = (created.json(), created.v2_guid());
    let path = format!("/v2/service_instances/{guid}");
    assert_eq!(created.header("location"), path);
    assert_eq!(json["entity"]["last_operation"]["state"], "succeeded");
    assert_eq!(
        json["entity"]["dashboard_url"],
        "https://dashboard.example.com"
    );
    let taken = create(&cf, &space, "db", "").await;
    let title = "CF-ServiceInstanceNameTaken";
    assert_eq!(error(&taken), (60002, title.into()));
    let large = plan(&cf, "large-id").await;
    let changed = cf.put(&path, json!({"service_plan_guid": large})).await;
    assert_eq!(changed.status, 201, "{changed:?}");
    assert_eq!(
        changed.json()["entity"]["service_plan_guid"],
        large.as_str()
    );
    assert_eq!(changed.json()["entity"]["last_operation"]["type"], "update");

    let binding = json!({
        "app_guid": app,
        "service_instance_guid": guid,
        "parameters": {"role": "reader"},
    });
    let bound = cf.post("/v2/service_bindings", binding).await;
    assert_eq!(bound.status, 201, "{bound:?}");
    let credentials = json!({"password": "of the broker"});
    assert_eq!(bound.json()["entity"]["credentials"], credentials);
    let binding = format!("/v2/service_bindings/{}", bound.v2_guid());
    let parameters = cf.get(&format!("{binding}/parameters")).await.json();
    assert_eq!(parameters, json!({"role": "reader"}));
    let key = json!({"name": "key", "service_instance_guid": guid});
    let created = cf.post("/v2/service_keys", key.clone()).await;
    assert_eq!(created.json()["entity"]["credentials"], credentials);
    let taken = cf.post("/v2/service_keys", key).await;
    assert_eq!(error(&taken), (360_001, "CF-ServiceKeyNameTaken".into()));
    let key = format!("/v2/service_keys/{}", created.v2_guid());
    let listed = resources(&cf.get(&format!("{path}/service_keys")).await);
    assert_eq!(listed[0]["metadata"]["url"], key.as_str());
    let summary = cf.get(&format!("/v2/spaces/{space}/summary")).await.json();
    let service = &summary["services"][0];
    assert_eq!(service["bound_app_count"], 1);
    assert_eq!(service["service_plan"]["service"]["label"], "db");

    let refused = cf.delete(&path).await;
    assert_eq!(error(&refused), (10006, "CF-AssociationNotEmpty".into()));
    for path in [&binding, &key, &path] {
        assert_eq!(cf.delete(path).await.status, 204, "{path}");
    }
    assert_eq!(cf.get(&path).await.status, 404);
    let events = resources(&cf.get("/v2/service_usage_events").await);
    let states: Vec<&Value> = events.iter().map(|it| &it["entity"]["state"]).collect();
    assert_eq!(states, ["CREATED", "UPDATED", "DELETED"]);
    let received = broker.received().await;
    let provisioned = received.iter().find(|it| it.method.as_str() == "PUT");
    assert_eq!(provisioned.unwrap().url.query(), None);
}

#[tokio::test]
async fn responses_wait_for_the_broker_with_wiremock() {
    manage_instance(MockCapi::builder()).await;
}

#[tokio::test]
async fn responses_wait_for_the_broker_with_front() {
    manage_instance(MockCapi::builder().front()).await;
}

#[tokio::test]
async fn a_broker_that_responds_with_202_continues_without_the_client() {
    const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
    let (cf, broker) = start(MockCapi::builder().broker_poll_interval(NEVER)).await;
    let (_, space) = cf.space().await;
    broker.answer("PUT", "/service_instances/", 202, json!({"operation": "o"}));
    let accepted = create(&cf, &space, "db", "?accepts_incomplete=true").await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let path = format!("/v2/service_instances/{}", accepted.v2_guid());
    assert_eq!(accepted.header("location"), path);
    let shown = cf.get(&path).await.json();
    let operation = &shown["entity"]["last_operation"];
    assert_eq!(operation["type"], "create");
    assert_eq!(operation["state"], "in progress");
    let busy = cf.put(&path, json!({"parameters": {}})).await;
    let title = "CF-AsyncServiceInstanceOperationInProgress";
    assert_eq!(error(&busy), (60016, title.into()));
    let wrong = create(&cf, &space, "other", "?accepts_incomplete=x").await;
    assert_eq!(error(&wrong), (10004, "CF-InvalidRequest".into()));
}

#[tokio::test]
async fn resources_that_a_broker_refuses_are_not_kept() {
    let (cf, broker) = start(MockCapi::builder()).await;
    let (_, space) = cf.space().await;
    broker.answer(
        "PUT",
        "/service_instances/",
        400,
        json!({"description": "full"}),
    );
    let refused = create(&cf, &space, "db", "").await;
    assert_eq!(refused.status, 502);
    assert_eq!(
        error(&refused),
        (10001, "CF-ServiceBrokerRequestRejected".into())
    );
    assert_eq!(refused.json()["description"], "Service broker error: full");
    cf.mock
        .set_faults(vec![Fault::failed_job().of("service_instance.create")])
        .unwrap();
    assert_eq!(create(&cf, &space, "db", "").await.status, 500);
    cf.mock.set_faults(Vec::new()).unwrap();
    let events = cf.get("/v2/service_usage_events").await.json();
    assert_eq!(events["total_results"], 0);

    let created = create(&cf, &space, "db", "").await;
    let guid = created.v2_guid();
    broker.answer(
        "PUT",
        "/service_bindings/",
        422,
        json!({"error": "RequiresApp"}),
    );
    let key = json!({"name": "key", "service_instance_guid": guid});
    let refused = cf.post("/v2/service_keys", key).await;
    assert_eq!(error(&refused), (10001, "CF-AppRequired".into()));
    assert_eq!(cf.get("/v2/service_keys").await.json()["total_results"], 0);
    broker.answer("DELETE", "/service_instances/", 500, json!({}));
    let path = format!("/v2/service_instances/{guid}");
    assert_eq!(cf.delete(&path).await.status, 502);
    let shown = cf.get(&path).await.json();
    assert_eq!(shown["entity"]["last_operation"]["state"], "failed");
    assert_eq!(cf.delete(&format!("{path}?purge=true")).await.status, 204);
}

#[tokio::test]
async fn routes_are_bound_to_services_of_both_kinds() {
    let (cf, _broker) = start(MockCapi::builder()).await;
    let (org, space) = cf.space().await;
    let domain = cf.default_domain(&org).await;
    let body = new_route(&space, &domain, "web");
    let route = cf.post("/v3/routes", body).await.guid();
    let provided = json!({
        "name": "own",
        "space_guid": space,
        "route_service_url": "https://proxy.example.com",
    });
    let path = "/v2/user_provided_service_instances";
    let provided = cf.post(path, provided).await.v2_guid();
    let managed = json!({
        "name": "proxy",
        "space_guid": space,
        "service_plan_guid": plan(&cf, "proxy-plan").await,
    });
    let managed = cf.post("/v2/service_instances", managed).await.v2_guid();
    for instance in [
        format!("{path}/{provided}"),
        format!("/v2/service_instances/{managed}"),
    ] {
        let path = format!("{instance}/routes/{route}");
        let bound = cf.put(&path, json!({})).await;
        assert_eq!(bound.status, 201, "{bound:?}");
        assert_eq!(bound.json()["metadata"]["url"], instance.as_str());
        let again = cf.put(&path, json!({})).await;
        let title = "CF-ServiceInstanceAlreadyBoundToSameRoute";
        assert_eq!(error(&again), (130_008, title.into()));
        let shown = cf.get(&format!("/v2/routes/{route}")).await.json();
        assert_eq!(shown["entity"]["service_instance_url"], instance.as_str());
        assert_eq!(cf.delete(&path).await.status, 204);
        let gone = cf.delete(&path).await;
        assert_eq!(error(&gone), (1002, "CF-InvalidRelation".into()));
    }
    let small = create(&cf, &space, "db", "").await.v2_guid();
    let path = format!("/v2/service_instances/{small}/routes/{route}");
    let refused = cf.put(&path, json!({})).await;
    let title = "CF-ServiceDoesNotSupportRoutes";
    assert_eq!(error(&refused), (130_006, title.into()));
}

#[tokio::test]
async fn the_marketplace_needs_no_token_unless_it_is_hidden() {
    let cf = Session::v3().await;
    let broker = Broker::start().await;
    cf.post("/v2/service_brokers", registration(&broker)).await;
    let anonymous = async |path: &str| {
        let url = format!("{}{path}", cf.mock.uri());
        send(cf.http.get(url)).await
    };
    let path = format!("/v2/service_plans/{}", plan(&cf, "small-id").await);
    let none = anonymous("/v2/services").await;
    assert_eq!(resources(&none), [] as [Value; 0]);
    cf.put(&path, json!({"public": true})).await;
    assert_eq!(resources(&anonymous("/v2/services").await).len(), 1);
    assert_eq!(resources(&anonymous("/v2/service_plans").await).len(), 1);
    let one = anonymous(&path).await;
    assert_eq!(error(&one), (10002, "CF-NotAuthenticated".into()));
    let url = format!("{}/v2/services", cf.mock.uri());
    let wrong = send(cf.http.get(url).bearer_auth("wrong")).await;
    assert_eq!(error(&wrong), (1000, "CF-InvalidAuthToken".into()));

    let flag = "/v2/config/feature_flags/hide_marketplace_from_unauthenticated_users";
    cf.put(flag, json!({"enabled": true})).await;
    let hidden = anonymous("/v2/services").await;
    assert_eq!(error(&hidden), (10002, "CF-NotAuthenticated".into()));
}

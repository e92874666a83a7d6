//! Service brokers, their offerings, and their instances and bindings.

use std::time::Duration;

use mock_capi::wiremock::ResponseTemplate;
use mock_capi::{Adapter, MockCapi};
use serde_json::{Value, json};

use crate::common::broker::{Broker, catalog, finish, path_of, plan};
use crate::common::{Session, new_route};

/// A mock with a short poll interval, and a registered broker.
async fn start() -> (Session, Broker) {
    let builder = MockCapi::builder()
        .broker_poll_interval(Duration::from_millis(1))
        .broker_timeout(Duration::from_millis(500));
    let cf = Session::start(builder).await;
    let broker = Broker::start().await;
    broker.register(&cf).await;
    (cf, broker)
}

async fn plan_guid<A: Adapter>(cf: &Session<A>, name: &str) -> String {
    let plans = cf.get(&format!("/v3/service_plans?names={name}")).await;
    let plans = plans.json();
    plans["resources"][0]["guid"].as_str().unwrap().to_owned()
}

fn instance(space: &str, plan: &str, name: &str) -> Value {
    json!({
        "type": "managed",
        "name": name,
        "tags": ["own"],
        "parameters": {"size": 1},
        "relationships": {
            "space": {"data": {"guid": space}},
            "service_plan": {"data": {"guid": plan}},
        },
    })
}

async fn create(cf: &Session, space: &str, plan: &str, name: &str) -> String {
    let plan = plan_guid(cf, plan).await;
    let created = cf
        .post("/v3/service_instances", instance(space, &plan, name))
        .await;
    let job = finish(cf, &created).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    path_of(cf, &job)
}

fn guid_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn binding(app: Option<&str>, instance: &str, name: Option<&str>) -> Value {
    let mut body = json!({
        "type": if app.is_some() { "app" } else { "key" },
        "name": name,
        "relationships": {"service_instance": {"data": {"guid": guid_of(instance)}}},
    });
    if let Some(app) = app {
        body["relationships"]["app"] = json!({"data": {"guid": app}});
    }
    body
}

#[tokio::test]
async fn a_registered_broker_offers_its_catalog() {
    let (cf, broker) = start().await;
    let offerings = cf.get("/v3/service_offerings?order_by=name").await.json();
    assert_eq!(offerings["resources"][0]["name"], "db");
    assert_eq!(offerings["resources"][0]["shareable"], true);
    assert_eq!(
        offerings["resources"][1]["requires"],
        json!(["route_forwarding"])
    );
    assert_eq!(
        cf.names("/v3/service_plans?service_offering_names=db")
            .await,
        ["small", "large"]
    );
    let received = broker.received().await;
    let asked = &received[0];
    assert_eq!(asked.url.path(), "/v2/catalog");
    assert_eq!(asked.headers["x-broker-api-version"], "2.15");
    assert_eq!(asked.headers["authorization"], "Basic dXNlcjpzZWNyZXQ=");
    assert!(
        asked
            .headers
            .contains_key("x-broker-api-originating-identity")
    );
    // The marketplace is visible without a login.
    let url = format!("{}/v3/service_plans", cf.mock.uri());
    let anonymous = cf.http.get(url).send().await.unwrap();
    assert_eq!(anonymous.status(), 200);
}

#[tokio::test]
async fn an_invalid_broker_is_refused_with_the_reason() {
    let cf = Session::v3().await;
    let broker = Broker::start().await;
    let register = |body: Value| cf.post("/v3/service_brokers", body);
    for (catalog, error) in [
        (
            json!({"services": []}),
            "Service broker catalog is invalid: \nService broker must provide at least one service\n",
        ),
        (
            json!({"services": [{"id": "x", "name": "x", "description": "x", "bindable": true, "plans": [
                plan("a", "a"), plan("a", "b"),
            ]}]}),
            "Service broker catalog is invalid: \nPlan ids must be unique. Unable to register plan with id 'a' (plan name 'b', service name 'x') because it uses the same id as another plan in the catalog (plan name 'a', service name 'x')\nService x\n  Plan ids must be unique. Service x already has a plan with id 'a'\n",
        ),
        (
            json!({"services": [{"id": "x", "name": "x", "description": "x", "bindable": "yes"}]}),
            "Service broker catalog is invalid: \nService x\n  Service \"bindable\" field must be a boolean, but has value \"yes\"\n  At least one plan is required\n",
        ),
    ] {
        broker.set_catalog(catalog);
        let job = finish(&cf, &register(broker.registration("bad")).await).await;
        assert_eq!(job["state"], "FAILED");
        assert_eq!(job["errors"][0]["detail"], error);
        cf.delete(&path_of(&cf, &job)).await;
    }
    for (answer, code, title) in [
        (404, 270_020, "CF-ServiceBrokerRequestRejected"),
        (401, 10001, "CF-ServiceBrokerApiAuthenticationFailed"),
        (500, 10001, "CF-ServiceBrokerBadResponse"),
    ] {
        broker.answer("GET", "/v2/catalog", answer, json!({}));
        let job = finish(&cf, &register(broker.registration("bad")).await).await;
        assert_eq!(job["errors"][0]["code"], code, "{job}");
        assert_eq!(job["errors"][0]["title"], title);
        cf.delete(&path_of(&cf, &job)).await;
    }
    let mut body = broker.registration("bad");
    body["url"] = json!("http://127.0.0.1:1");
    let job = finish(&cf, &register(body.clone()).await).await;
    assert_eq!(
        job["errors"][0]["detail"],
        "The service broker could not be reached"
    );
    body["url"] = json!("ftp://x");
    body["authentication"] = json!({"type": "none", "credentials": {}});
    assert_eq!(
        register(body).await.error().1,
        "Url 'ftp://x' must be a valid url, Authentication [], Authentication [\"authentication.type must be one of [\\\"basic\\\"]\"], Authentication [], Authentication Field(s) [\"username\", \"password\"] must be valid: [\"Username must be a string\", \"Username can't be blank\", \"Password must be a string\", \"Password can't be blank\"]"
    );
}

#[tokio::test]
async fn plans_removed_from_the_catalog_are_deleted_unless_they_have_instances() {
    let (cf, broker) = start().await;
    let (_, space) = cf.space().await;
    create(&cf, &space, "large", "kept").await;
    let brokers = cf.get("/v3/service_brokers").await.json();
    let path = format!(
        "/v3/service_brokers/{}",
        brokers["resources"][0]["guid"].as_str().unwrap()
    );
    let mut catalog = catalog();
    catalog["services"] = json!([catalog["services"][0].clone()]);
    catalog["services"][0]["plans"] = json!([plan("new-id", "new")]);
    broker.set_catalog(catalog);
    let updated = cf
        .patch(&path, json!({"url": broker.url(), "name": "renamed"}))
        .await;
    let job = finish(&cf, &updated).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    let warning = job["warnings"][0]["detail"].as_str().unwrap();
    assert!(warning.contains("Service Offering: db\nPlans deactivated: large\n"));
    assert_eq!(cf.get(&path).await.json()["name"], "renamed");
    assert_eq!(cf.names("/v3/service_plans").await, ["large", "new"]);
    assert_eq!(cf.names("/v3/service_plans?available=true").await, ["new"]);
    assert_eq!(
        cf.delete(&path).await.error(),
        (
            270_010,
            "Can not remove brokers that have associated service instances: renamed".into()
        )
    );
}

#[tokio::test]
async fn an_instance_is_created_updated_and_deleted_by_its_broker() {
    let (cf, broker) = start().await;
    let (_, space) = cf.space().await;
    let path = create(&cf, &space, "small", "db").await;
    let made = cf.get(&path).await.json();
    assert_eq!(made["type"], "managed");
    assert_eq!(made["last_operation"]["state"], "succeeded");
    assert_eq!(made["dashboard_url"], "https://dashboard.example.com");
    let parameters = cf.get(&format!("{path}/parameters")).await;
    assert_eq!(parameters.json(), json!({"size": 1}));

    let large = plan_guid(&cf, "large").await;
    let change = json!({
        "parameters": {"size": 2},
        "relationships": {"service_plan": {"data": {"guid": large}}},
    });
    let job = finish(&cf, &cf.patch(&path, change).await).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    let changed = cf.get(&path).await.json();
    assert_eq!(
        changed["relationships"]["service_plan"]["data"]["guid"],
        large.as_str()
    );
    let renamed = cf.patch(&path, json!({"name": "renamed"})).await;
    assert_eq!(renamed.json()["name"], "renamed", "{renamed:?}");

    let job = finish(&cf, &cf.delete(&path).await).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    assert_eq!(cf.get(&path).await.status, 404);
    let received = broker.received().await;
    let of_instance = received.iter().skip(1);
    let asked: Vec<String> = of_instance
        .map(|it| format!("{} {}", it.method, it.url.query().unwrap_or_default()))
        .collect();
    assert_eq!(
        asked,
        [
            "PUT accepts_incomplete=true",
            "GET ",
            "PATCH accepts_incomplete=true",
            "DELETE accepts_incomplete=true&plan_id=large-id&service_id=db-id",
        ]
    );
    let provisioned: Value = received[1].body_json().unwrap();
    assert_eq!(provisioned["context"]["instance_name"], "db");
    assert_eq!(provisioned["parameters"], json!({"size": 1}));
    let updated: Value = received[3].body_json().unwrap();
    assert_eq!(updated["previous_values"]["plan_id"], "small-id");
    let events = cf.get("/v3/audit_events?order_by=created_at").await.json();
    let events = events["resources"].as_array().unwrap().iter();
    let kinds: Vec<&str> = events
        .map(|event| event["type"].as_str().unwrap())
        .filter(|kind| kind.starts_with("audit.service_instance."))
        .collect();
    assert_eq!(
        kinds,
        [
            "audit.service_instance.create",
            "audit.service_instance.update",
            "audit.service_instance.update",
            "audit.service_instance.delete",
        ]
    );
    let usage = cf.get("/v3/service_usage_events").await.json();
    let last = usage["resources"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["state"], "DELETED");
    assert_eq!(last["service_plan"]["name"], "large");
    assert_eq!(last["service_instance"]["type"], "managed_service_instance");
}

#[tokio::test]
async fn an_asynchronous_operation_on_an_instance_is_polled() {
    let (cf, broker) = start().await;
    let (_, space) = cf.space().await;
    broker.answer(
        "PUT",
        "/v2/service_instances/",
        202,
        json!({"operation": "op-1"}),
    );
    let going = json!({"state": "in progress", "description": "10 %"});
    broker.answer("GET", "last_operation", 200, going);
    // A poll that fails once is retried.
    broker.answer("GET", "last_operation", 500, json!({}));
    let path = create(&cf, &space, "small", "db").await;
    assert_eq!(
        cf.get(&path).await.json()["last_operation"]["state"],
        "succeeded"
    );
    let received = broker.received().await;
    let polls = received
        .iter()
        .filter(|it| it.url.path().ends_with("last_operation"));
    let queries: Vec<&str> = polls.map(|it| it.url.query().unwrap()).collect();
    assert_eq!(
        queries,
        ["operation=op-1&plan_id=small-id&service_id=db-id"; 3]
    );

    broker.answer("DELETE", "/v2/service_instances/", 202, json!({}));
    broker.answer("GET", "last_operation", 410, json!({}));
    let job = finish(&cf, &cf.delete(&path).await).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    assert_eq!(cf.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_refusal_by_a_broker_fails_the_job_with_its_message() {
    let (cf, broker) = start().await;
    let (_, space) = cf.space().await;
    let plan = plan_guid(&cf, "small").await;
    let body = |name: &str| instance(&space, &plan, name);
    for (status, answer, detail) in [
        (
            400,
            json!({"description": "too small"}),
            "provision could not be completed: Service broker error: too small",
        ),
        (
            500,
            json!({}),
            "provision could not be completed: The service broker returned an invalid response. Status Code: 500 Internal Server Error, Body: {}",
        ),
        (
            422,
            json!({"error": "AsyncRequired"}),
            "provision could not be completed: This service plan requires client support for asynchronous service operations.",
        ),
        (
            409,
            json!({}),
            "provision could not be completed: Resource conflict",
        ),
    ] {
        broker.answer("PUT", "/v2/service_instances/", status, answer);
        let created = cf.post("/v3/service_instances", body("db")).await;
        let job = finish(&cf, &created).await;
        assert_eq!(job["state"], "FAILED");
        assert_eq!(job["errors"][0]["detail"], detail);
        assert_eq!(job["errors"][0]["code"], 10009);
        let failed = cf.get(&path_of(&cf, &job)).await.json();
        assert_eq!(failed["last_operation"]["state"], "failed");
    }
    let failing = json!({"state": "failed", "description": "no disk"});
    broker.answer("PUT", "/v2/service_instances/", 202, json!({}));
    broker.answer("GET", "last_operation", 200, failing);
    let created = cf.post("/v3/service_instances", body("other")).await;
    let job = finish(&cf, &created).await;
    assert_eq!(
        job["errors"][0]["detail"],
        "create managed could not be completed: no disk"
    );
    // An instance that failed can be created again with the same name.
    create(&cf, &space, "small", "other").await;
}

#[tokio::test]
async fn a_broker_that_never_responds_times_out_and_gets_a_cleanup_request() {
    let (cf, broker) = start().await;
    let (_, space) = cf.space().await;
    let plan = plan_guid(&cf, "small").await;
    let late = ResponseTemplate::new(201).set_delay(Duration::from_secs(30));
    broker.answer_with("PUT", "/v2/service_instances/", late);
    let created = cf
        .post("/v3/service_instances", instance(&space, &plan, "db"))
        .await;
    let job = finish(&cf, &created).await;
    assert_eq!(
        job["errors"][0]["detail"],
        "provision could not be completed: The request to the service broker timed out"
    );
    let mut tries = 0;
    while !broker
        .received()
        .await
        .iter()
        .any(|it| it.method.as_str() == "DELETE")
    {
        tries += 1;
        assert!(tries < 2000, "no request to clean up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_operation_that_takes_longer_than_its_plan_allows_fails() {
    let (cf, broker) = start().await;
    let (_, space) = cf.space().await;
    let mut catalog = catalog();
    catalog["services"][0]["plans"][0]["maximum_polling_duration"] = json!(60);
    broker.set_catalog(catalog);
    let brokers = cf.get("/v3/service_brokers").await.json();
    let path = brokers["resources"][0]["guid"].as_str().unwrap();
    let path = format!("/v3/service_brokers/{path}");
    finish(&cf, &cf.patch(&path, json!({"url": broker.url()})).await).await;
    broker.answer("PUT", "/v2/service_instances/", 202, json!({}));
    for _ in 0..5000 {
        broker.answer(
            "GET",
            "last_operation",
            200,
            json!({"state": "in progress"}),
        );
    }
    let plan = plan_guid(&cf, "small").await;
    let created = cf
        .post("/v3/service_instances", instance(&space, &plan, "db"))
        .await;
    cf.mock.advance(Duration::from_secs(61));
    let job = finish(&cf, &created).await;
    assert_eq!(job["errors"][0]["title"], "CF-JobTimeout");
    let failed = cf.get(&path_of(&cf, &job)).await.json();
    assert_eq!(
        failed["last_operation"]["description"],
        "Service Broker failed to provision within the required time."
    );
}

#[tokio::test]
async fn apps_and_keys_get_credentials_of_the_broker() {
    let (cf, broker) = start().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let service = create(&cf, &space, "small", "db").await;
    let bindings = "/v3/service_credential_bindings";
    let bound = cf.post(bindings, binding(Some(&app), &service, None)).await;
    let job = finish(&cf, &bound).await;
    assert_eq!(job["operation"], "service_bindings.create");
    let path = path_of(&cf, &job);
    let details = cf.get(&format!("{path}/details")).await.json();
    assert_eq!(details["credentials"], json!({"password": "of the broker"}));
    let env = cf.get(&format!("/v3/apps/{app}/env")).await.json();
    let of_db = &env["system_env_json"]["VCAP_SERVICES"]["db"][0];
    assert_eq!(of_db["plan"], "small");
    assert_eq!(of_db["tags"], json!(["of the broker", "own"]));
    assert_eq!(of_db["credentials"]["password"], "of the broker");
    let again = cf.post(bindings, binding(Some(&app), &service, None)).await;
    assert_eq!(
        again.error().1,
        "The app is already bound to the service instance"
    );

    // A key is created asynchronously.
    broker.answer("PUT", "/service_bindings/", 202, json!({"operation": "op"}));
    let key = cf
        .post(bindings, binding(None, &service, Some("key")))
        .await;
    let job = finish(&cf, &key).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    let key = path_of(&cf, &job);
    assert_eq!(cf.get(&key).await.json()["type"], "key");
    let parameters = cf.get(&format!("{key}/parameters")).await;
    assert_eq!(parameters.status, 200, "{parameters:?}");

    broker.answer(
        "DELETE",
        "/service_bindings/",
        500,
        json!({"description": "busy"}),
    );
    let job = finish(&cf, &cf.delete(&path).await).await;
    assert_eq!(
        job["errors"][0]["detail"],
        "unbind could not be completed: Service broker failed to delete service binding for instance db: Service broker error: busy"
    );
    // Deleting the instance deletes its bindings.
    let job = finish(&cf, &cf.delete(&service).await).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    assert_eq!(cf.get(&path).await.status, 404);
    assert_eq!(cf.get(&key).await.status, 404);
}

#[tokio::test]
async fn a_foundation_may_allow_several_bindings_of_an_app_and_a_service() {
    let builder = MockCapi::builder()
        .broker("db", &["small"])
        .bindings_per_app(2);
    let cf = Session::start(builder).await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let service = create(&cf, &space, "small", "db").await;
    let bindings = "/v3/service_credential_bindings";
    let mut body = binding(Some(&app), &service, Some("one"));
    finish(&cf, &cf.post(bindings, body.clone()).await).await;
    let again = cf.post(bindings, body.clone()).await;
    assert_eq!(
        again.error().1,
        "The app is already bound to the service instance"
    );
    body["strategy"] = json!("multiple");
    finish(&cf, &cf.post(bindings, body.clone()).await).await;
    let third = cf.post(bindings, body.clone()).await;
    assert_eq!(
        third.error().1,
        "The app has too many bindings to this service instance (limit: 2). Consider deleting existing/orphaned bindings."
    );
    body["name"] = json!("two");
    let other = cf.post(bindings, body).await;
    assert_eq!(
        other.error().1,
        "The binding name cannot be changed for the same app and service instance"
    );
    let env = cf.get(&format!("/v3/apps/{app}/env")).await.json();
    let of_db = env["system_env_json"]["VCAP_SERVICES"]["db"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(of_db, 1, "the newest binding counts");
}

#[tokio::test]
async fn routes_are_bound_to_route_services() {
    let (cf, _broker) = start().await;
    let (org, space) = cf.space().await;
    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "r"))
        .await
        .guid();
    let db = create(&cf, &space, "small", "db").await;
    let proxy = create(&cf, &space, "standard", "proxy").await;
    let bind = |service: &str| {
        json!({"relationships": {
            "route": {"data": {"guid": route}},
            "service_instance": {"data": {"guid": guid_of(service)}},
        }})
    };
    let bindings = "/v3/service_route_bindings";
    assert_eq!(
        cf.post(bindings, bind(&db)).await.error().1,
        "This service instance does not support route binding"
    );
    let job = finish(&cf, &cf.post(bindings, bind(&proxy)).await).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    let path = path_of(&cf, &job);
    let bound = cf.get(&path).await.json();
    assert_eq!(bound["route_service_url"], "https://proxy.example.com");
    assert_eq!(
        cf.post(bindings, bind(&proxy)).await.error(),
        (
            130_008,
            "The route and service instance are already bound.".into()
        )
    );
    let job = finish(&cf, &cf.delete(&path).await).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    assert_eq!(cf.get(&path).await.status, 404);
}

#[tokio::test]
async fn instances_are_shared_with_spaces_that_see_their_plan() {
    let (cf, _broker) = start().await;
    let (org, space) = cf.space().await;
    let other = cf.create_space(&org, "other").await;
    let app = cf.create_app(&other, "app").await;
    let service = create(&cf, &space, "small", "db").await;
    let shared = format!("{service}/relationships/shared_spaces");
    let body = json!({"data": [{"guid": other}]});
    assert_eq!(
        cf.post(&shared, body.clone()).await.error().1,
        "Feature Disabled: service_instance_sharing"
    );
    let flag = "/v3/feature_flags/service_instance_sharing";
    cf.patch(flag, json!({"enabled": true})).await;
    let answer = cf.post(&shared, body.clone()).await;
    assert_eq!(answer.json()["data"], body["data"], "{answer:?}");
    assert_eq!(
        cf.post(&shared, json!({"data": [{"guid": space}]}))
            .await
            .error()
            .1,
        format!(
            "Unable to share service instance 'db' with space '{space}'. Service instances cannot be shared into the space where they were created."
        )
    );
    let bindings = "/v3/service_credential_bindings";
    finish(
        &cf,
        &cf.post(bindings, binding(Some(&app), &service, None)).await,
    )
    .await;
    let usage = cf.get(&format!("{shared}/usage_summary")).await.json();
    assert_eq!(usage["usage_summary"][0]["bound_app_count"], 1);
    let renamed = cf.patch(&service, json!({"name": "x"})).await;
    assert_eq!(
        renamed.error().1,
        "Service instances that have been shared cannot be renamed"
    );
    let unshared = cf.delete(&format!("{shared}/{other}")).await;
    assert_eq!(unshared.status, 204, "{unshared:?}");
    assert_eq!(cf.get(&shared).await.json()["data"], json!([]));
}

#[tokio::test]
async fn plans_are_shown_to_the_organizations_that_may_use_them() {
    let builder = MockCapi::builder().add_user("dev", "secret");
    let mut cf = Session::start(builder).await;
    let broker = Broker::start().await;
    let (org, _) = cf.space().await;
    let created = cf
        .post("/v3/service_brokers", broker.registration("broker"))
        .await;
    finish(&cf, &created).await;
    let plan = plan_guid(&cf, "small").await;
    let path = format!("/v3/service_plans/{plan}/visibility");
    assert_eq!(cf.get(&path).await.json(), json!({"type": "admin"}));
    let body = json!({"type": "organization", "organizations": [{"guid": org}]});
    let answer = cf.patch(&path, body).await.json();
    assert_eq!(answer["organizations"][0]["guid"], org.as_str());
    let role = json!({
        "type": "organization_user",
        "relationships": {
            "user": {"data": {"username": "dev"}},
            "organization": {"data": {"guid": org}},
        },
    });
    cf.post("/v3/roles", role).await;
    let admin = cf.token.clone();
    cf.log_in_as("dev", "secret").await;
    assert_eq!(cf.names("/v3/service_plans").await, ["small"]);
    assert_eq!(cf.names("/v3/service_offerings").await, ["db"]);
    assert_eq!(cf.patch(&path, json!({"type": "public"})).await.status, 403);
    cf.token = admin;
    assert_eq!(cf.delete(&format!("{path}/{org}")).await.status, 204);
    cf.log_in_as("dev", "secret").await;
    assert_eq!(cf.names("/v3/service_plans").await, [""; 0]);
}

#[tokio::test]
async fn an_app_is_deleted_only_after_its_broker_has_unbound_it() {
    let (cf, broker) = start().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let service = create(&cf, &space, "small", "db").await;
    let bindings = "/v3/service_credential_bindings";
    finish(
        &cf,
        &cf.post(bindings, binding(Some(&app), &service, None)).await,
    )
    .await;
    broker.answer(
        "DELETE",
        "/service_bindings/",
        500,
        json!({"description": "busy"}),
    );
    let path = format!("/v3/apps/{app}");
    let job = finish(&cf, &cf.delete(&path).await).await;
    assert_eq!(job["state"], "FAILED");
    assert_eq!(cf.get(&path).await.status, 200);
    let job = finish(&cf, &cf.delete(&path).await).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    assert_eq!(cf.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_broker_inside_the_mock_creates_instances_and_bindings() {
    let builder = MockCapi::builder()
        .broker("mysql", &["small", "large"])
        .broker_poll_interval(Duration::from_millis(1))
        .front();
    let cf = Session::start(builder).await;
    let (_, space) = cf.space().await;
    assert_eq!(cf.names("/v3/service_plans").await, ["small", "large"]);
    let plans = cf.get("/v3/service_plans?names=large").await.json();
    let plan = plans["resources"][0]["guid"].as_str().unwrap();
    let small = plan_guid(&cf, "small").await;
    let mut body = instance(&space, plan, "db");
    body["parameters"] = json!({"async": true, "size": 1});
    let job = finish(&cf, &cf.post("/v3/service_instances", body.clone()).await).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    let path = path_of(&cf, &job);
    let parameters = cf.get(&format!("{path}/parameters")).await.json();
    assert_eq!(parameters["size"], 1);
    // A change keeps the parameters that it does not name.
    for change in [
        json!({"parameters": {"more": 2}}),
        json!({"relationships": {"service_plan": {"data": {"guid": small}}}}),
    ] {
        let job = finish(&cf, &cf.patch(&path, change).await).await;
        assert_eq!(job["state"], "COMPLETE", "{job}");
        let parameters = cf.get(&format!("{path}/parameters")).await.json();
        assert_eq!(
            (&parameters["size"], &parameters["more"]),
            (&json!(1), &json!(2))
        );
    }
    body["name"] = json!("other");
    body["parameters"] = json!({"fail": "no"});
    let job = finish(&cf, &cf.post("/v3/service_instances", body).await).await;
    assert_eq!(
        job["errors"][0]["detail"],
        "provision could not be completed: Service broker error: no"
    );
    // The broker exists again after a reset.
    cf.mock.reset();
    assert_eq!(cf.names("/v3/service_plans").await, ["small", "large"]);
}

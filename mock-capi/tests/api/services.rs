//! User-provided service instances, and apps bound to them.

use crate::common::Session;
use serde_json::{Value, json};

fn provided(space: &str, name: &str) -> Value {
    json!({
        "type": "user-provided",
        "name": name,
        "credentials": {"password": "secret"},
        "tags": ["db"],
        "relationships": {"space": {"data": {"guid": space}}},
    })
}

fn binding(app: &str, instance: &str) -> Value {
    json!({
        "type": "app",
        "relationships": {
            "app": {"data": {"guid": app}},
            "service_instance": {"data": {"guid": instance}},
        },
    })
}

#[tokio::test]
async fn user_provided_instances_are_created_changed_and_deleted() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let created = cf
        .post("/v3/service_instances", provided(&space, "db"))
        .await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json()["last_operation"]["state"], "succeeded");
    let path = format!("/v3/service_instances/{}", created.guid());
    assert_eq!(
        cf.get(&format!("{path}/credentials")).await.json(),
        json!({"password": "secret"})
    );
    let mut managed = provided(&space, "managed");
    managed["type"] = json!("managed");
    managed["relationships"]["service_plan"] = json!({"data": {"guid": "no-plan"}});
    if let Value::Object(fields) = &mut managed {
        fields.remove("credentials");
    }
    let mut nowhere = provided("x", "db");
    for (body, detail) in [
        (
            provided(&space, "db"),
            "The service instance name is taken: db.",
        ),
        (
            nowhere.take(),
            "Invalid space. Ensure that the space exists and you have access to it.",
        ),
        (
            managed,
            "Invalid service plan. Ensure that the service plan exists, is available, and you have access to it.",
        ),
        (
            json!({"type": "x", "relationships": {"space": {"data": {"guid": space}}}, "name": ""}),
            "Type must be one of 'managed', 'user-provided', Name can't be blank",
        ),
    ] {
        let answer = cf.post("/v3/service_instances", body).await;
        assert_eq!(answer.error(), (10008, detail.into()));
    }
    let changed = cf
        .patch(
            &path,
            json!({"name": "store", "credentials": {}, "tags": []}),
        )
        .await;
    assert_eq!(
        (&changed.json()["name"], &changed.json()["tags"]),
        (&json!("store"), &json!([]))
    );
    assert_eq!(changed.json()["last_operation"]["type"], "update");
    let refused = cf.get(&format!("{path}?page=1")).await;
    assert_eq!(
        refused.error(),
        (
            10005,
            "The query parameter is invalid: Unknown query parameter(s): 'page'. Valid parameters are: 'fields'".into()
        )
    );
    let list = "/v3/service_instances?names=store&type=user-provided";
    assert_eq!(
        cf.names(&format!("{list}&space_guids={space}")).await,
        ["store"]
    );
    assert!(
        cf.names("/v3/service_instances?type=managed")
            .await
            .is_empty()
    );
    assert_eq!(cf.delete(&path).await.status, 204);
    assert_eq!(
        cf.get(&path).await.error(),
        (10010, "Service instance not found".into())
    );
}

#[tokio::test]
async fn apps_are_bound_to_instances() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let db = cf
        .post("/v3/service_instances", provided(&space, "db"))
        .await
        .guid();
    let bindings = "/v3/service_credential_bindings";
    let mut body = binding(&app, &db);
    body["name"] = json!("main");
    let created = cf.post(bindings, body).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json()["last_operation"]["description"], Value::Null);
    let path = format!("{bindings}/{}", created.guid());
    let env = cf.get(&format!("/v3/apps/{app}/env")).await.json();
    let service = &env["system_env_json"]["VCAP_SERVICES"]["user-provided"][0];
    assert_eq!(service["name"], "main");
    assert_eq!(service["instance_name"], "db");
    assert_eq!(service["credentials"], json!({"password": "secret"}));
    assert_eq!(service["tags"], json!(["db"]));
    assert_eq!(
        cf.get(&format!("{path}/details")).await.json()["credentials"],
        json!({"password": "secret"})
    );

    let elsewhere = cf.create_space(&org, "elsewhere").await;
    let foreign = cf.create_app(&elsewhere, "foreign").await;
    let mut with_parameters = binding(&app, &db);
    with_parameters["parameters"] = json!({});
    let mut long = binding(&app, &db);
    long["name"] = json!("n".repeat(256));
    let key = |name: &str| {
        json!({
            "type": "key",
            "name": name,
            "relationships": {"service_instance": {"data": {"guid": db}}},
        })
    };
    for (body, detail) in [
        (
            binding(&app, &db),
            "The app is already bound to the service instance",
        ),
        (
            binding(&foreign, &db),
            "The service instance and the app are in different spaces",
        ),
        (binding("x", &db), "The app could not be found: 'x'"),
        (
            long,
            "The binding name is invalid. App binding names must be less than 256 characters.",
        ),
        (
            key("k"),
            "Service credential bindings of type 'key' are not supported for user-provided service instances.",
        ),
        (key(""), "Name can't be blank"),
        (
            binding(&app, "x"),
            "The service instance could not be found: 'x'",
        ),
        (
            with_parameters,
            "Binding parameters are not supported for user-provided service instances",
        ),
    ] {
        assert_eq!(
            cf.post(bindings, body).await.error(),
            (10008, detail.into())
        );
    }
    for query in ["app_names=app", "service_instance_names=db", "names=main"] {
        let list = format!("{bindings}?{query}&app_guids={app}&service_instance_guids={db}");
        assert_eq!(cf.names(&list).await, ["main"], "{query}");
    }
    assert!(cf.names(&format!("{bindings}?type=key")).await.is_empty());
    assert_eq!(cf.delete(&path).await.status, 204);
    assert!(cf.names(bindings).await.is_empty());

    // Deleting an instance deletes its bindings.
    cf.post(bindings, binding(&app, &db)).await;
    cf.delete(&format!("/v3/apps/{app}")).await;
    assert_eq!(cf.mock.state()["service_credential_bindings"], json!([]));
    cf.delete(&format!("/v3/spaces/{space}")).await;
    assert_eq!(cf.mock.state()["service_instances"], json!([]));
}

#[tokio::test]
async fn manifests_bind_services_by_name() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    for name in ["db", "cache"] {
        cf.post("/v3/service_instances", provided(&space, name))
            .await;
    }
    let manifest = "applications: [{name: app, services: [db, {name: cache, binding_name: fast}]}]";
    assert_eq!(cf.applied(&space, manifest).await["state"], "COMPLETE");
    // Existing bindings are kept.
    assert_eq!(cf.applied(&space, manifest).await["state"], "COMPLETE");
    let app = cf.find_app("app").await;
    let shown = cf.get(&format!("/v3/apps/{app}/manifest")).await.text;
    assert!(shown.contains("services:\n  - cache\n  - db\n"), "{shown}");

    let missing = cf
        .applied(&space, "applications: [{name: app, services: [queue]}]")
        .await;
    assert_eq!(
        missing["errors"],
        json!([{
            "code": 10010,
            "title": "CF-ResourceNotFound",
            "detail": "For application 'app': Service instance 'queue' not found",
        }])
    );
    let wrong = cf
        .apply(
            &space,
            "applications: [{name: app, services: [{nome: db}]}]",
        )
        .await;
    assert_eq!(
        wrong.error(),
        (
            10008,
            "For application 'app': Services must be a list of service instances".into()
        )
    );
    let diff = cf
        .post_yaml(
            &format!("/v3/spaces/{space}/manifest_diff"),
            "applications: [{name: app, services: [db, queue]}]",
        )
        .await;
    assert_eq!(
        diff.json()["diff"],
        json!([
            {"op": "remove", "path": "/applications/0/services/0", "was": "cache"},
            {"op": "add", "path": "/applications/0/services/1", "value": "queue"},
        ])
    );
}

#[tokio::test]
async fn lists_of_instances_can_include_fields_of_spaces_and_orgs() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let instance = cf
        .post("/v3/service_instances", provided(&space, "db"))
        .await
        .guid();
    let fields = "fields[space]=name,relationships.organization\
                  &fields[space.organization]=guid,name\
                  &fields[service_plan]=name";
    let list = cf.get(&format!("/v3/service_instances?{fields}")).await;
    assert_eq!(
        list.json()["included"],
        json!({
            "spaces": [{
                "name": "space",
                "relationships": {"organization": {"data": {"guid": org}}},
            }],
            "organizations": [{"guid": org, "name": "org"}],
        })
    );
    let path = format!("/v3/service_instances/{instance}");
    let shown = cf.get(&format!("{path}?fields[space]=guid")).await.json();
    assert_eq!(shown["included"], json!({"spaces": [{"guid": space}]}));
    for (query, problem) in [
        (
            "fields[space]=guid,suspended",
            "Fields valid keys for 'space' are: 'name', 'guid'",
        ),
        (
            "fields[app]=guid",
            "Fields [app] valid resources are: 'space', 'space.organization', 'service_plan', \
             'service_plan.service_offering', 'service_plan.service_offering.service_broker'",
        ),
        ("fields=space", "Fields must be an object"),
    ] {
        let answer = cf.get(&format!("{path}?{query}")).await;
        let expected = format!("The query parameter is invalid: {problem}");
        assert_eq!(answer.error(), (10005, expected));
    }
}

#[tokio::test]
async fn without_brokers_the_marketplace_is_empty() {
    let cf = Session::v3().await;
    for path in [
        "/v3/service_brokers?names=a",
        "/v3/service_offerings?available=true",
        "/v3/service_plans?include=service_offering",
        "/v3/service_route_bindings?include=route",
    ] {
        assert_eq!(cf.names(path).await, [""; 0]);
    }
    let plans = "/v3/service_plans?include=service_offering,space.organization\
                 &fields[service_offering.service_broker]=name";
    assert_eq!(
        cf.get(plans).await.json()["included"],
        json!({
            "service_brokers": [],
            "service_offerings": [],
            "spaces": [],
            "organizations": [],
        })
    );
    let answer = cf.get("/v3/service_plans?available=maybe").await;
    assert_eq!(
        answer.error().1,
        "The query parameter is invalid: Available must be 'true' or 'false'"
    );
}

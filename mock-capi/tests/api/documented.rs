//! The documented operations of 2017: documented requests get the documented responses,
//! in the documented order.

use crate::common::{HttpResponse, Session, new_app, new_package};
use reqwest::StatusCode;
use serde_json::{Value, json};

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            "../../fixtures/capi-2017/",
            $name,
            ".json"
        )))
        .unwrap()
    };
}

/// Whether a response may have additional keys.
#[derive(Clone, Copy, PartialEq)]
enum KeyMatch {
    /// The documentation says that the response "returns" or "responds with" this.
    Exact,
    /// The documentation says that the response is "json including" or "like" this.
    Subset,
}

/// Compares key by key: every documented key exists and has a value of the same type.
fn compare(at: &str, documented: &Value, actual: &Value, keys: KeyMatch) {
    match (documented, actual) {
        (Value::Object(documented), Value::Object(actual)) => {
            for (key, value) in documented {
                let below = actual.get(key);
                let below = below.unwrap_or_else(|| panic!("{at}: no key '{key}' in {actual:?}"));
                compare(&format!("{at}/{key}"), value, below, keys);
            }
            let extra: Vec<_> = actual
                .keys()
                .filter(|key| !documented.contains_key(*key))
                .collect();
            assert!(
                keys == KeyMatch::Subset || extra.is_empty(),
                "{at}: more than documented: {extra:?}"
            );
        }
        (Value::Array(documented), Value::Array(actual)) => {
            for (index, (documented, actual)) in documented.iter().zip(actual).enumerate() {
                compare(&format!("{at}/{index}"), documented, actual, keys);
            }
            assert_eq!(documented.len(), actual.len(), "{at}");
        }
        (documented, actual) => assert_eq!(
            std::mem::discriminant(documented),
            std::mem::discriminant(actual),
            "{at}: {documented} is documented, {actual} answered"
        ),
    }
}

fn check(answer: &HttpResponse, status: StatusCode, documented: &Value, keys: KeyMatch) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    compare("", documented, &answer.json(), keys);
    answer.json()
}

/// Replaces a value in a documented request with the actual one.
fn with(mut request: Value, pointer: &str, text: &str) -> Value {
    *request.pointer_mut(pointer).unwrap() = json!(text);
    request
}

/// The prototype from which the documented operations start.
async fn prototype(cf: &Session, space: &str) -> (String, String) {
    let app = cf
        .post("/v3/apps", new_app(space, "prototype"))
        .await
        .guid();
    let package = cf.post("/v3/packages", new_package(&app)).await.guid();
    assert_eq!(cf.upload(&package, b"bits").await.status, 200);
    let droplet = cf
        .post(&format!("/v3/packages/{package}/droplets"), json!({}))
        .await
        .guid();
    assert_eq!(cf.assign(&app, &droplet).await.status, 200);
    (app, droplet)
}

async fn space(cf: &Session) -> String {
    let org = cf
        .post("/v2/organizations", json!({"name": "org"}))
        .await
        .v2_guid();
    let body = json!({"name": "space", "organization_guid": org});
    cf.post("/v2/spaces", body).await.v2_guid()
}

#[tokio::test]
async fn documented_operations_work_in_their_documented_order() {
    let cf = Session::of_2017().await;
    let space = space(&cf).await;
    let (prototype, droplet) = prototype(&cf, &space).await;

    let answer = cf
        .get(&format!(
            "/v3/apps/{prototype}/relationships/current_droplet"
        ))
        .await;
    let json = check(
        &answer,
        StatusCode::OK,
        &fixture!("current-droplet.response"),
        KeyMatch::Exact,
    );
    assert_eq!(json["data"]["guid"], json!(droplet));

    let answer = cf.get(&format!("/v3/apps/{prototype}")).await;
    let json = check(
        &answer,
        StatusCode::OK,
        &fixture!("app.response"),
        KeyMatch::Subset,
    );
    let base = cf.mock.uri();
    assert_eq!(json["guid"], json!(prototype));
    assert_eq!(
        json["links"]["space"]["href"],
        format!("{base}/v2/spaces/{space}")
    );

    let request = with(
        fixture!("create-app.request"),
        "/relationships/space/data/guid",
        &space,
    );
    let answer = cf.post("/v3/apps", request).await;
    let json = check(
        &answer,
        StatusCode::CREATED,
        &fixture!("create-app.response"),
        KeyMatch::Subset,
    );
    let documented = fixture!("create-app.response");
    for key in ["name", "state", "lifecycle"] {
        assert_eq!(json[key], documented[key]);
    }
    assert!(json.get("relationships").is_none());
    let app = answer.guid();
    assert_ne!(json!(app), documented["guid"]);

    let request = with(
        fixture!("copy-droplet.request"),
        "/relationships/app/guid",
        &app,
    );
    let answer = cf
        .post(&format!("/v3/droplets/{droplet}/copy"), request)
        .await;
    let json = check(
        &answer,
        StatusCode::CREATED,
        &fixture!("copy-droplet.response"),
        KeyMatch::Subset,
    );
    assert_eq!(json["state"], "COPYING");
    let copy = answer.guid();

    let request = with(fixture!("set-current-droplet.request"), "/data/guid", &copy);
    let path = format!("/v3/apps/{app}/relationships/current_droplet");
    let answer = cf.patch(&path, request).await;
    let json = check(
        &answer,
        StatusCode::OK,
        &fixture!("current-droplet.response"),
        KeyMatch::Exact,
    );
    assert_eq!(json["data"]["guid"], json!(copy));

    let answer = cf.put(&format!("/v3/apps/{app}/start"), json!({})).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["state"]),
        (200, &json!("STARTED"))
    );

    let answer = cf.get("/v2/shared_domains").await;
    let json = check(
        &answer,
        StatusCode::OK,
        &fixture!("shared-domains.response"),
        KeyMatch::Exact,
    );
    assert_eq!(json["resources"][0]["entity"]["name"], "apps.mock.test");
    let domain = json["resources"][0]["metadata"]["guid"].as_str().unwrap();
    assert_eq!(
        json["resources"][0]["metadata"]["url"],
        format!("/v2/shared_domains/{domain}")
    );

    let request = with(fixture!("create-route.request"), "/domain_guid", domain);
    let request = with(request, "/space_guid", &space);
    let answer = cf.post("/v2/routes", request).await;
    let json = check(
        &answer,
        StatusCode::CREATED,
        &fixture!("create-route.response"),
        KeyMatch::Exact,
    );
    let route = answer.v2_guid();
    assert_eq!(json["entity"]["host"], "synthetic-proxy");
    assert_eq!(
        json["entity"]["apps_url"],
        format!("/v2/routes/{route}/apps")
    );

    let request = with(
        fixture!("map-route.request"),
        "/relationships/app/guid",
        &app,
    );
    let request = with(request, "/relationships/route/guid", &route);
    let answer = cf.post("/v3/route_mappings", request.clone()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        answer.json()["links"]["app"]["href"],
        format!("{base}/v3/apps/{app}")
    );
    let again = cf.post("/v3/route_mappings", request).await;
    assert_eq!(again.status, 422);

    let answer = cf
        .put(
            &format!("/v3/apps/{app}/processes/web/scale"),
            fixture!("scale.request"),
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["instances"]),
        (202, &json!(3))
    );
    assert_eq!(cf.instance_states(&app).await, ["RUNNING"; 3]);
}

#[tokio::test]
async fn processes_are_created_with_the_droplet() {
    let cf = Session::of_2017().await;
    let space = space(&cf).await;
    let (_, droplet) = prototype(&cf, &space).await;
    let app = cf.post("/v3/apps", new_app(&space, "clone")).await.guid();
    let processes = format!("/v3/apps/{app}/processes");
    assert_eq!(cf.get(&processes).await.json()["resources"], json!([]));
    let start = format!("/v3/apps/{app}/start");
    assert_eq!(
        cf.put(&start, json!({})).await.error(),
        (10010, "Droplet not found".into())
    );

    let copy = json!({"relationships": {"app": {"guid": app}}});
    let path = format!("/v3/droplets/{droplet}/copy");
    let first = cf.post(&path, copy.clone()).await.guid();
    let second = cf.post(&path, copy).await.guid();
    assert_eq!(cf.assign(&app, &first).await.status, 200);
    assert_eq!(
        cf.get(&processes).await.json()["resources"][0]["type"],
        "web"
    );

    assert_eq!(cf.put(&start, json!({})).await.status, 200);
    let refused = cf.assign(&app, &second).await;
    assert_eq!(
        refused.error(),
        (10008, "Stop the app before changing droplet".into())
    );
    cf.put(&format!("/v3/apps/{app}/stop"), json!({})).await;
    assert_eq!(cf.assign(&app, &second).await.status, 200);
}

//! In the 2017 dialect, a clone takes exactly the documented requests, with the
//! documented bodies, in the documented order. The requests that mock-capi records are
//! compared with the examples in `mock-capi/fixtures/capi-2017/`.

use crate::support::{Fixture, Workflow};
use cf_pusher::Dialect;
use mock_capi::RecordedRequest;
use serde_json::{Value, json};

const ONE_CLONE: &str = r#"{"proxy_applications": 2, "proxy_instances": 3}"#;

/// The documented example of a request.
fn documented(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/mock-capi/fixtures/capi-2017");
    let text = std::fs::read_to_string(format!("{folder}/{name}.request.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The requests that contain the clone's name, host, GUID or the GUID of its route.
fn requests_of(clone: [&str; 3], requests: Vec<RecordedRequest>) -> Vec<RecordedRequest> {
    let requests = requests.into_iter();
    requests
        .filter(|it| {
            let text = format!("{} {}", it.path, String::from_utf8_lossy(&it.body));
            clone.iter().any(|name| text.contains(name))
        })
        .collect()
}

#[tokio::test]
async fn a_clone_costs_exactly_the_documented_requests() {
    let fixture = Fixture::new(Workflow::Documented2017).await;
    assert_eq!(fixture.converge_up_to_date(ONE_CLONE).await, 3);
    let requests = fixture.writes();
    let state = fixture.mock.state();
    let guid = |kind: &str, field: &str, value: &str| {
        let all = state[kind].as_array().unwrap();
        let found = all.iter().find(|it| it[field] == value);
        found.unwrap()["guid"].as_str().unwrap().to_owned()
    };
    let app = guid("apps", "name", "scale-proxy-1");
    let prototype = guid("apps", "name", "scale-proxy-0");
    let space = guid("spaces", "name", "scale-space");
    let route = guid("routes", "host", "scale-proxy-1");
    let current = |app: &str| {
        let path = format!("/v3/apps/{app}/relationships/current_droplet");
        let fixture = &fixture;
        async move { fixture.curl("GET", &path, Value::Null).await["data"]["guid"].clone() }
    };
    let (droplet, source) = (current(&app).await, current(&prototype).await);
    let domains = fixture.curl("GET", "/v2/shared_domains", Value::Null).await;

    let mut create_app = documented("create-app");
    create_app["name"] = json!("scale-proxy-1");
    create_app["relationships"]["space"]["data"]["guid"] = json!(space);
    // The variable replaces the label, which apps did not have in 2017.
    create_app["environment_variables"]["CF_PUSHER_MANAGED_BY"] = json!("cf-pusher");
    let mut copy_droplet = documented("copy-droplet");
    copy_droplet["relationships"]["app"]["guid"] = json!(app);
    let mut set_droplet = documented("set-current-droplet");
    set_droplet["data"]["guid"] = droplet;
    let mut create_route = documented("create-route");
    create_route["host"] = json!("scale-proxy-1");
    create_route["space_guid"] = json!(space);
    create_route["domain_guid"] = domains["resources"][0]["metadata"]["guid"].clone();
    let mut map_route = documented("map-route");
    map_route["relationships"]["app"]["guid"] = json!(app);
    map_route["relationships"]["route"]["guid"] = json!(route);
    let mut scale = documented("scale");
    // The bundled apps are small. The prototype's size is set by its manifest.
    scale["memory_in_mb"] = json!(32);
    scale["disk_in_mb"] = json!(32);
    let source = source.as_str().unwrap();

    let expected = [
        ("POST", "/v3/apps".to_owned(), Some(create_app)),
        (
            "POST",
            format!("/v3/droplets/{source}/copy"),
            Some(copy_droplet),
        ),
        (
            "PATCH",
            format!("/v3/apps/{app}/relationships/current_droplet"),
            Some(set_droplet),
        ),
        ("POST", "/v2/routes".to_owned(), Some(create_route)),
        ("POST", "/v3/route_mappings".to_owned(), Some(map_route)),
        (
            "PUT",
            format!("/v3/apps/{app}/processes/web/scale"),
            Some(scale),
        ),
        ("PUT", format!("/v3/apps/{app}/start"), None),
    ];
    let sent: Vec<_> = requests_of(["scale-proxy-1", &app, &route], requests)
        .into_iter()
        .map(|it| (it.method.clone(), it.path.clone(), it.json()))
        .collect();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(method, path, body)| (method.to_owned(), path, body))
        .collect();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn the_dialect_is_detected() {
    for (workflow, dialect) in [
        (Workflow::Manifest, Dialect::V3),
        (Workflow::Documented2017, Dialect::Documented2017),
    ] {
        let fixture = Fixture::new(workflow).await;
        assert_eq!(fixture.client.dialect(), dialect);
    }
}

//! Network policies, with the policy server's messages.

use std::time::Duration;

use crate::common::{HttpResponse, Session};
use mock_capi::MockCapi;
use serde_json::{Value, json};

const POLICIES: &str = "/networking/v1/external/policies";
const POLICIES_V0: &str = "/networking/v0/external/policies";

fn policy(source: &str, destination: &str, start: u32, end: u32) -> Value {
    json!({
        "source": {"id": source},
        "destination": {
            "id": destination,
            "protocol": "tcp",
            "ports": {"start": start, "end": end},
        },
    })
}

async fn add(cf: &Session, policies: Value) -> HttpResponse {
    cf.post(POLICIES, json!({"policies": policies})).await
}

async fn list(cf: &Session, query: &str) -> Value {
    let list = cf.get(&format!("{POLICIES}{query}")).await.json();
    let policies = list["policies"].clone();
    assert_eq!(list["total_policies"], policies.as_array().unwrap().len());
    policies
}

/// The text of an error.
fn refusal(answer: &HttpResponse) -> (u16, String) {
    let error = answer.json()["error"].clone();
    (answer.status.as_u16(), error.as_str().unwrap().to_owned())
}

/// Three apps.
async fn apps(cf: &Session) -> [String; 3] {
    let (_, space) = cf.space().await;
    [
        cf.create_app(&space, "a").await,
        cf.create_app(&space, "b").await,
        cf.create_app(&space, "c").await,
    ]
}

#[tokio::test]
async fn policies_are_created_and_deleted() {
    let cf = Session::v3().await;
    let [a, b, c] = apps(&cf).await;
    let to_b = policy(&a, &b, 8080, 8090);
    let to_c = policy(&b, &c, 53, 53);
    let answer = add(&cf, json!([to_b, to_c])).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "{}"));
    add(&cf, json!([to_b])).await; // already exists

    assert_eq!(list(&cf, "").await.as_array().unwrap().len(), 2);
    assert_eq!(list(&cf, &format!("?id={a}")).await, json!([to_b]));
    assert_eq!(list(&cf, &format!("?source_id={b}")).await, json!([to_c]));
    assert_eq!(list(&cf, &format!("?dest_id={a},{b}")).await, json!([to_b]));
    let neither = format!("?source_id={a}&dest_id={c}");
    assert_eq!(list(&cf, &neither).await, json!([]));
    let state = cf.mock.state();
    assert_eq!(state["network_policies"].as_array().unwrap().len(), 2);

    let body = json!({"policies": [to_b, policy(&c, &a, 1, 1)]});
    let deleted = cf.post(&format!("{POLICIES}/delete"), body).await;
    assert_eq!(
        (deleted.status.as_u16(), deleted.text.as_str()),
        (200, "{}")
    );
    assert_eq!(list(&cf, "").await, json!([to_c]));
}

#[tokio::test]
async fn version_0_has_single_ports() {
    let cf = Session::v3().await;
    let [a, b, c] = apps(&cf).await;
    let of_v0 = json!({
        "source": {"id": a},
        "destination": {"id": b, "protocol": "udp", "port": 53},
    });
    let answer = cf.post(POLICIES_V0, json!({"policies": [of_v0]})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        list(&cf, "").await[0]["destination"]["ports"],
        json!({"start": 53, "end": 53})
    );
    // Version 0 has no ranges of ports.
    add(&cf, json!([policy(&a, &c, 1, 9)])).await;
    let listed = cf.get(POLICIES_V0).await.json();
    assert_eq!(listed, json!({"total_policies": 1, "policies": [of_v0]}));
    let answer = cf.get("/networking/v2/external/policies").await;
    assert_eq!(
        refusal(&answer),
        (406, "api version 'v2' not supported".into())
    );
}

#[tokio::test]
async fn the_2017_api_has_only_version_0_and_no_link_to_it() {
    let cf = Session::of_2017().await;
    let links = cf.get("/").await.json()["links"].clone();
    assert!(
        links
            .as_object()
            .unwrap()
            .keys()
            .all(|it| !it.contains("policy"))
    );
    let of_v0 = json!({
        "source": {"id": "a"},
        "destination": {"id": "b", "protocol": "tcp", "port": 53},
    });
    let answer = cf.post(POLICIES_V0, json!({"policies": [of_v0]})).await;
    assert_eq!(answer.status, 200);
    let listed = cf.get(POLICIES_V0).await.json();
    assert_eq!(listed["policies"], json!([of_v0]));
    assert_eq!(cf.get(POLICIES).await.status, 404);
}

#[tokio::test]
async fn invalid_policies_are_refused() {
    let cf = Session::v3().await;
    let with = |pointer: &str, value: Value| {
        let mut policy = policy("a", "b", 1, 2);
        *policy.pointer_mut(pointer).unwrap() = value;
        policy
    };
    for (policies, problem) in [
        (json!([]), "missing policies"),
        (Value::Null, "missing policies"),
        (json!([with("/source", json!({}))]), "missing source id"),
        (
            json!([with("/destination/id", json!(""))]),
            "missing destination id",
        ),
        (
            json!([with("/destination/protocol", json!("icmp"))]),
            "invalid destination protocol, specify either udp or tcp",
        ),
        (
            json!([policy("a", "b", 3, 2)]),
            "invalid port range 3-2, start must be less than or equal to end",
        ),
        (json!([policy("a", "b", 0, 2)]), "missing start port"),
        (
            json!([policy("a", "b", 1, 65536)]),
            "invalid end port 65536, must be in range 1-65535",
        ),
        (
            json!([with("/source", json!({"id": "a", "tag": "1"}))]),
            "tags may not be specified",
        ),
    ] {
        let expected = format!("mapper: validate policies: {problem}");
        assert_eq!(refusal(&add(&cf, policies).await), (400, expected));
    }
    let answer = add(&cf, json!([with("/destination/ports/start", json!("1"))])).await;
    assert_eq!(
        refusal(&answer),
        (
            400,
            "mapper: unmarshal json: json: cannot unmarshal string into Go struct field \
             Ports.policies.destination.ports.start of type int"
                .into()
        )
    );
    let request = cf.request(reqwest::Method::POST, POLICIES).body("hello");
    assert_eq!(
        refusal(&crate::common::send(request).await),
        (
            400,
            "mapper: unmarshal json: invalid character 'h' looking for beginning of value".into()
        )
    );

    let anonymous = cf.http.get(format!("{}{POLICIES}", cf.mock.uri()));
    let answer = crate::common::send(anonymous).await;
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    assert_eq!(
        refusal(&answer),
        (401, "missing authorization header".into())
    );
}

#[tokio::test]
async fn policies_of_deleted_apps_are_kept_until_the_cleanup() {
    let cf = Session::v3().await;
    let [a, b, c] = apps(&cf).await;
    let (gone, stays) = (policy(&a, &b, 1, 1), policy(&c, &b, 1, 1));
    add(&cf, json!([gone, stays])).await;
    cf.delete(&format!("/v3/apps/{a}")).await;
    assert_eq!(list(&cf, "").await.as_array().unwrap().len(), 2);
    let cleaned = cf.post(&format!("{POLICIES}/cleanup"), json!({})).await;
    assert_eq!(
        cleaned.json(),
        json!({"total_policies": 1, "policies": [gone]})
    );
    assert_eq!(list(&cf, "").await, json!([stays]));

    // The cleanup also runs periodically.
    cf.delete(&format!("/v3/apps/{b}")).await;
    assert_eq!(list(&cf, "").await, json!([stays]));
    cf.mock.advance(Duration::from_secs(3600));
    assert_eq!(cf.mock.state()["network_policies"], json!([]));
}

/// Gives a user a role in a space.
async fn assign(cf: &Session, role: &str, user: &str, org: &str, space: &str) {
    for (kind, place, guid) in [
        ("organization_user", "organization", org),
        (role, "space", space),
    ] {
        let body = json!({
            "type": kind,
            "relationships": {
                "user": {"data": {"username": user}},
                place: {"data": {"guid": guid}},
            },
        });
        let answer = cf.post("/v3/roles", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

#[tokio::test]
async fn developers_can_connect_a_limited_number_of_their_own_apps() {
    let builder = MockCapi::builder().add_user("dev", "secret");
    let mut cf = Session::start(builder).await;
    let (org, space) = cf.space().await;
    let mine = cf.create_app(&space, "mine").await;
    let other = cf.create_space(&org, "other").await;
    let theirs = cf.create_app(&other, "theirs").await;
    assign(&cf, "space_developer", "dev", &org, &space).await;
    add(&cf, json!([policy(&mine, &theirs, 1, 1)])).await;

    cf.log_in_as("dev", "secret").await;
    let own = policy(&mine, &mine, 1, 1);
    assert_eq!(add(&cf, json!([own])).await.status, 200);
    assert_eq!(list(&cf, "").await, json!([own]));
    let foreign = json!([policy(&mine, &theirs, 2, 2)]);
    assert_eq!(
        refusal(&add(&cf, foreign).await),
        (
            403,
            "one or more applications cannot be found or accessed".into()
        )
    );
    let many: Vec<Value> = (2..151)
        .map(|port| policy(&mine, &mine, port, port))
        .collect();
    assert_eq!(
        refusal(&add(&cf, json!(many)).await),
        (403, "policy quota exceeded".into())
    );
    let cleanup = cf.post(&format!("{POLICIES}/cleanup"), json!({})).await;
    assert_eq!(
        refusal(&cleanup),
        (
            403,
            "provided scopes [cloud_controller.read cloud_controller.write network.write openid \
             password.write uaa.user] do not include allowed scopes [network.admin]"
                .into()
        )
    );
}

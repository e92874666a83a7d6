//! Routes that several spaces share, and the protocols of their destinations.

use crate::common::{Session, new_route};
use mock_capi::MockCapi;
use serde_json::{Value, json};

const FLAG: &str = "/v3/feature_flags/route_sharing";

fn spaces(guids: &[&str]) -> Value {
    let data: Vec<Value> = guids.iter().map(|guid| json!({"guid": guid})).collect();
    json!({"data": data})
}

fn destination(app: &str, protocol: &str) -> Value {
    json!({"destinations": [{"app": {"guid": app}, "protocol": protocol}]})
}

/// A route of one space, and another space of the same organization.
async fn route(cf: &Session) -> (String, String, String) {
    let (org, space) = cf.space().await;
    let other = cf.create_space(&org, "other").await;
    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "app"))
        .await;
    (format!("/v3/routes/{}", route.guid()), space, other)
}

#[tokio::test]
async fn routes_are_shared_with_other_spaces() {
    let cf = Session::v3().await;
    let (route, space, other) = route(&cf).await;
    let shared = format!("{route}/relationships/shared_spaces");
    for answer in [
        cf.get(&shared).await,
        cf.post(&shared, spaces(&[&other])).await,
    ] {
        assert_eq!(answer.status, 403);
        assert_eq!(answer.error().1, "Feature Disabled: route_sharing");
    }
    cf.patch(FLAG, json!({"enabled": true})).await;

    let app = cf.create_app(&other, "app").await;
    let destinations = format!("{route}/destinations");
    assert_eq!(
        cf.post(&destinations, destination(&app, "http1"))
            .await
            .error()
            .1,
        "Routes destinations must be in either the route's space or the route's shared spaces"
    );
    let answer = cf.post(&shared, spaces(&[&other])).await.json();
    assert_eq!(answer["data"], spaces(&[&other])["data"]);
    assert_eq!(
        answer["links"],
        json!({"self": {"href": format!("{}{shared}", cf.mock.uri())}})
    );
    let mapped = cf.post(&destinations, destination(&app, "http1")).await;
    assert_eq!(mapped.status, 200, "{mapped:?}");
    let listed = cf.get(&format!("/v3/routes?space_guids={other}")).await;
    assert_eq!(listed.json()["pagination"]["total_results"], 1);

    let url = cf.get(&route).await.json()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    for (body, expected) in [
        (json!({"data": []}), "Data can't be blank".to_owned()),
        (
            json!({}),
            "Data can't be blank, Data must be an array".to_owned(),
        ),
        (
            spaces(&["nowhere", "there"]),
            format!(
                "Unable to share route {url} with spaces ['nowhere', 'there']. Ensure the spaces exist and that you have access to them."
            ),
        ),
        (
            spaces(&[&space]),
            format!(
                "Unable to share route '{url}' with space '{space}'. Routes cannot be shared into the space where they were created."
            ),
        ),
    ] {
        assert_eq!(cf.post(&shared, body).await.error().1, expected);
    }
    for (space, expected) in [
        (
            "nowhere",
            "Ensure the space exists and that you have access to it.",
        ),
        (
            space.as_str(),
            "Routes cannot be removed from the space that owns them.",
        ),
    ] {
        assert_eq!(
            cf.delete(&format!("{shared}/{space}")).await.error().1,
            format!("Unable to unshare route '{url}' from space '{space}'. {expected}")
        );
    }
    // The route stays mapped to the apps of the other space.
    assert_eq!(cf.delete(&format!("{shared}/{other}")).await.status, 204);
    assert_eq!(cf.get(&shared).await.json()["data"], json!([]));
    let mapped = cf.get(&destinations).await.json();
    assert_eq!(mapped["destinations"][0]["app"]["guid"], app.as_str());

    cf.post(&shared, spaces(&[&other])).await;
    cf.delete(&format!("/v3/spaces/{other}")).await;
    assert_eq!(cf.get(&shared).await.json()["data"], json!([]));
}

#[tokio::test]
async fn routes_are_transferred_to_other_spaces() {
    let cf = Session::v3().await;
    let (route, space, other) = route(&cf).await;
    cf.patch(FLAG, json!({"enabled": true})).await;
    let owner = format!("{route}/relationships/space");
    let shared = format!("{route}/relationships/shared_spaces");
    let moved = cf.patch(&owner, json!({"data": {"guid": other}})).await;
    assert_eq!(
        (moved.status.as_u16(), moved.json()),
        (200, json!({"status": "ok"}))
    );
    let now = cf.get(&route).await.json();
    assert_eq!(
        now["relationships"]["space"]["data"]["guid"],
        other.as_str()
    );
    assert_eq!(
        cf.get(&shared).await.json()["data"],
        spaces(&[&space])["data"]
    );

    let url = now["url"].as_str().unwrap();
    for (body, expected) in [
        (
            json!({}),
            "Data can't be blank, Data must be an object".to_owned(),
        ),
        (
            json!({"data": {}}),
            "Data can't be blank, Data can only accept one key, Data can only accept key 'guid'"
                .to_owned(),
        ),
        (
            json!({"data": {"guid": ""}}),
            "Data guid can't be blank".to_owned(),
        ),
        (
            json!({"data": {"guid": "nowhere"}}),
            format!(
                "Unable to transfer owner of route '{url}' to space 'nowhere'. Ensure the space exists and that you have access to it."
            ),
        ),
    ] {
        assert_eq!(cf.patch(&owner, body).await.error().1, expected);
    }
}

#[tokio::test]
async fn sharing_needs_a_role_in_both_spaces() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    let (route, space, other) = route(&cf).await;
    cf.patch(FLAG, json!({"enabled": true})).await;
    let org = cf.get(&format!("/v3/spaces/{space}")).await.json();
    let org = org["relationships"]["organization"]["data"]["guid"].clone();
    for (kind, at, guid) in [
        ("organization_user", "organization", org),
        ("space_developer", "space", json!(space)),
        ("space_auditor", "space", json!(other)),
    ] {
        let body = json!({
            "type": kind,
            "relationships": {
                "user": {"data": {"username": "dev"}},
                at: {"data": {"guid": guid}},
            },
        });
        let answer = cf.post("/v3/roles", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    cf.log_in_as("dev", "secret").await;
    let url = cf.get(&route).await.json()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let shared = format!("{route}/relationships/shared_spaces");
    assert_eq!(
        cf.post(&shared, spaces(&[&other])).await.error().1,
        format!(
            "Unable to share route {url} with spaces ['{other}']. Write permission is required in order to share a route with a space and the containing organization must not be suspended."
        )
    );
    let owner = format!("{route}/relationships/space");
    assert_eq!(
        cf.patch(&owner, json!({"data": {"guid": other}}))
            .await
            .error()
            .1,
        format!(
            "Unable to transfer owner of route '{url}' to space '{other}'. You don't have write permission for the target space."
        )
    );
}

#[tokio::test]
async fn a_host_in_a_shared_domain_belongs_to_one_space() {
    let cf = Session::v3().await;
    let (_, space, other) = route(&cf).await;
    let domain = cf.get("/v3/domains").await.json();
    let domain = domain["resources"][0]["guid"].as_str().unwrap().to_owned();
    let mut deeper = new_route(&other, &domain, "app");
    deeper["path"] = json!("/deeper");
    assert_eq!(
        cf.post("/v3/routes", deeper.clone()).await.error().1,
        "domain_id and host host_and_domain_taken_different_space"
    );
    deeper["relationships"]["space"]["data"]["guid"] = json!(space);
    assert_eq!(cf.post("/v3/routes", deeper).await.status, 201);
}

#[tokio::test]
async fn destinations_use_the_protocols_of_their_route() {
    let cf = Session::v3().await;
    let (route, space, _) = route(&cf).await;
    let app = cf.create_app(&space, "app").await;
    let destinations = format!("{route}/destinations");
    assert_eq!(
        cf.post(&destinations, destination(&app, "tcp"))
            .await
            .error()
            .1,
        "Cannot use 'tcp' protocol for http routes; valid options are: [http1, http2]."
    );
    let mapped = cf
        .post(&destinations, destination(&app, "http1"))
        .await
        .json();
    let guid = mapped["destinations"][0]["guid"].as_str().unwrap();
    let url = cf.get(&route).await.json()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        cf.post(&destinations, destination(&app, "http2"))
            .await
            .error()
            .1,
        format!(
            "Cannot add destination with protocol: http2. Destination already exists for route: {url}, app: {app}, process: web, and protocol: http1."
        )
    );
    let one = format!("{destinations}/{guid}");
    let changed = cf.patch(&one, json!({"protocol": "http2"})).await.json();
    assert_eq!(changed["protocol"], "http2");
    assert_eq!(
        changed["links"]["route"]["href"],
        format!("{}{route}", cf.mock.uri())
    );
    let listed = cf
        .get(&format!("{destinations}?app_guids={app}"))
        .await
        .json();
    assert_eq!(listed["destinations"][0]["protocol"], "http2");
    let none = cf.get(&format!("{destinations}?guids=none")).await.json();
    assert_eq!(none["destinations"], json!([]));
    for (body, expected) in [
        (
            json!({"protocol": "tcp"}),
            "Destination protocol must be 'http1' or 'http2' if the parent route's protocol is 'http'",
        ),
        (
            json!({"protocol": null}),
            "Destination protocol must be 'http1', 'http2' or 'tcp'.",
        ),
    ] {
        assert_eq!(cf.patch(&one, body).await.error().1, expected);
    }
    let refused = cf.get(&format!("{destinations}?page=1")).await;
    assert_eq!(
        refused.error(),
        (
            10008,
            "Unknown query parameter(s): 'page'. Valid parameters are: 'guids', 'app_guids'".into()
        )
    );
}

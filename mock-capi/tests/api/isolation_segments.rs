//! Isolation segments: entitled organizations, and the segments of spaces.

use crate::common::Session;
use mock_capi::MockCapi;
use serde_json::{Value, json};

const SHARED: &str = "/v3/isolation_segments/933b4c58-120b-499a-b85d-4b6fc9e2903b";

fn entitle(org: &str) -> Value {
    json!({"data": [{"guid": org}]})
}

#[tokio::test]
async fn organizations_are_entitled_to_segments_and_spaces_choose_one() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let segment = cf
        .post("/v3/isolation_segments", json!({"name": "gold"}))
        .await;
    assert_eq!(segment.status, 201);
    let segment = segment.guid();
    let path = format!("/v3/isolation_segments/{segment}");
    let choice = json!({"data": {"guid": segment}});
    let own = format!("/v3/spaces/{space}/relationships/isolation_segment");
    let default = format!("/v3/organizations/{org}/relationships/default_isolation_segment");

    let early = cf.patch(&own, choice.clone()).await;
    assert_eq!(
        early.error().1,
        format!(
            "Unable to assign isolation segment with guid '{segment}'. Ensure it has been entitled to the organization that this space belongs to."
        )
    );
    let orgs = format!("{path}/relationships/organizations");
    let missing = cf.post(&orgs, entitle("nowhere")).await;
    assert_eq!(
        missing.error().1,
        "Unable to entitle organizations ['nowhere'] for the isolation segment. Ensure the organizations exist."
    );
    let entitled = cf.post(&orgs, entitle(&org)).await.json();
    assert_eq!(entitled["data"], json!([{"guid": org}]));
    assert_eq!(cf.names(&format!("{path}/organizations")).await, ["org"]);
    let entitled = |segment: &str| format!("/v3/organizations?isolation_segment_guid={segment}");
    cf.create_org("other").await;
    assert_eq!(cf.names(&entitled(&segment)).await, ["org"]);
    assert_eq!(
        cf.get(&entitled("nowhere")).await.error().1,
        "Isolation segment not found"
    );
    assert_eq!(
        cf.names(&format!("/v3/isolation_segments?organization_guids={org}"))
            .await,
        ["gold"]
    );

    let app = cf.staged_app(&space, "app").await;
    cf.act(&app, "start").await;
    let stats = format!("/v3/apps/{app}/processes/web/stats");
    let runs_on = async || cf.get(&stats).await.json()["resources"][0]["isolation_segment"].clone();
    assert_eq!(runs_on().await, Value::Null);
    assert_eq!(
        cf.patch(&default, choice.clone()).await.json()["data"]["guid"],
        segment.as_str()
    );
    assert_eq!(runs_on().await, "gold");
    let chosen = cf.patch(&own, choice).await.json();
    assert_eq!(
        chosen["links"]["related"]["href"],
        format!("{}{path}", cf.mock.uri())
    );
    let spaces = cf.get(&format!("{path}/relationships/spaces")).await.json();
    assert_eq!(spaces["data"], json!([{"guid": space}]));

    let revoke = format!("{orgs}/{org}");
    assert_eq!(
        cf.delete(&revoke).await.error().1,
        "Cannot remove the entitlement while this Isolation Segment is assigned as the Default Isolation Segment for the Organization."
    );
    let none = json!({"data": null});
    assert_eq!(
        cf.patch(&default, none.clone()).await.json()["data"],
        Value::Null
    );
    assert_eq!(
        cf.delete(&revoke).await.error().1,
        "Cannot remove the entitlement while this Isolation Segment is assigned to any Spaces. Currently assigned to: 'space'"
    );
    assert_eq!(
        cf.patch(&path, json!({"name": "new"})).await.error().1,
        "Cannot update Isolation Segments that are assigned as the default for an Organization or Space."
    );
    cf.patch(&own, none).await;
    assert_eq!(
        cf.delete(&path).await.error().1,
        "Revoke the Organization entitlements for your Isolation Segment."
    );
    assert_eq!(cf.delete(&revoke).await.status, 204);
    assert_eq!(cf.delete(&path).await.status, 204);
    assert_eq!(cf.get(&path).await.error().1, "Isolation segment not found");
}

#[tokio::test]
async fn the_shared_segment_always_exists() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    assert_eq!(cf.get(SHARED).await.json()["name"], "shared");
    assert_eq!(
        cf.patch(SHARED, json!({"name": "x"})).await.error().1,
        "Cannot update the shared Isolation Segment"
    );
    assert_eq!(
        cf.delete(SHARED).await.error().1,
        "Cannot delete the shared Isolation Segment"
    );
    for (name, expected) in [
        (json!(null), "Name can't be blank"),
        (json!(3), "Name must be a string"),
        (
            json!("SHARED"),
            "Isolation Segment names are case insensitive and must be unique",
        ),
    ] {
        let refused = cf
            .post("/v3/isolation_segments", json!({"name": name}))
            .await;
        assert_eq!(refused.error(), (10008, expected.into()));
    }
    // The shared segment can become the default of entitled organizations.
    let org = cf.create_org("org").await;
    cf.post(
        &format!("{SHARED}/relationships/organizations"),
        entitle(&org),
    )
    .await;
    let default = format!("/v3/organizations/{org}/relationships/default_isolation_segment");
    let chosen = cf.get(&default).await.json();
    assert!(SHARED.ends_with(chosen["data"]["guid"].as_str().unwrap()));

    cf.log_in_as("dev", "secret").await;
    assert!(cf.names("/v3/isolation_segments").await.is_empty());
    assert_eq!(cf.get(SHARED).await.status, 404);
    assert_eq!(
        cf.post("/v3/isolation_segments", json!({"name": "x"}))
            .await
            .status,
        403
    );
    // Responses to users without permission do not reveal whether it exists.
    for path in ["/v3/isolation_segments/x", "/v3/organization_quotas/x"] {
        assert_eq!(cf.patch(path, json!({})).await.status, 403, "{path}");
        assert_eq!(cf.delete(path).await.status, 403, "{path}");
    }
}

//! v2 next to today's v3: clients of both see the same world.

use crate::common::Session;
use serde_json::json;

#[tokio::test]
async fn v2_shows_resources_of_v3() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    cf.scale(&app, json!({"instances": 2})).await;
    cf.act(&app, "start").await;

    let apps = cf
        .get(&format!("/v2/apps?q=organization_guid%20IN%20{org}"))
        .await
        .json();
    assert_eq!(apps["total_results"], 1);
    assert_eq!(apps["resources"][0]["entity"]["name"], "app");
    let summary = cf.get(&format!("/v2/apps/{app}/summary")).await.json();
    assert_eq!(
        (&summary["instances"], &summary["running_instances"]),
        (&json!(2), &json!(2))
    );

    let rules = json!([{"protocol": "tcp", "destination": "10.0.0.0/8", "ports": "443"}]);
    cf.post(
        "/v3/security_groups",
        json!({"name": "group", "rules": rules}),
    )
    .await;
    let groups = cf.get("/v2/security_groups?q=name%3Agroup").await.json();
    assert_eq!(groups["resources"][0]["entity"]["rules"], rules);
}

#[tokio::test]
async fn v3_shows_resources_of_v2() {
    let cf = Session::v3().await;
    let org = cf
        .post("/v2/organizations", json!({"name": "org"}))
        .await
        .v2_guid();
    assert_eq!(cf.names("/v3/organizations").await, ["org"]);
    let body = json!({"name": "space", "organization_guid": org});
    cf.post("/v2/spaces", body).await;
    assert_eq!(
        cf.names(&format!("/v3/spaces?organization_guids={org}"))
            .await,
        ["space"]
    );
}

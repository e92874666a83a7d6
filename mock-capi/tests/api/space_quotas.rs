//! Space quotas, and the log rates that quotas limit.

use crate::common::{Session, new_route};
use serde_json::{Value, json};

async fn limited(cf: &Session, org: &str, space: &str, limits: Value) -> String {
    let mut body = limits;
    body["name"] = json!("small");
    body["relationships"] = json!({
        "organization": {"data": {"guid": org}},
        "spaces": {"data": [{"guid": space}]},
    });
    let created = cf.post("/v3/space_quotas", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.guid()
}

#[tokio::test]
async fn space_quotas_are_created_applied_and_deleted() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let quota = limited(&cf, &org, &space, json!({"apps": {"total_instances": 3}})).await;
    let path = format!("/v3/space_quotas/{quota}");
    let shown = cf.get(&path).await.json();
    assert_eq!(shown["apps"]["total_instances"], 3);
    assert_eq!(shown["relationships"]["spaces"]["data"][0]["guid"], space);
    let of_space = cf.get(&format!("/v3/spaces/{space}")).await.json();
    assert_eq!(of_space["relationships"]["quota"]["data"]["guid"], quota);
    assert_eq!(
        of_space["links"]["quota"]["href"],
        format!("{}{path}", cf.mock.uri())
    );
    let list = format!("/v3/space_quotas?organization_guids={org}&space_guids={space}&names=small");
    assert_eq!(cf.names(&list).await, ["small"]);

    let other_org = cf.create_org("other").await;
    let outside = cf.create_space(&other_org, "outside").await;
    let spaces = format!("{path}/relationships/spaces");
    for (body, detail) in [
        (
            json!({"data": [{"guid": outside}]}),
            "Space quotas cannot be applied outside of their owning organization.",
        ),
        (
            json!({"data": [{"guid": "x"}]}),
            "Spaces with guids [\"x\"] do not exist, or you do not have access to them.",
        ),
    ] {
        assert_eq!(cf.post(&spaces, body).await.error().1, detail);
    }
    let twice =
        json!({"name": "small", "relationships": {"organization": {"data": {"guid": org}}}});
    assert_eq!(
        cf.post("/v3/space_quotas", twice).await.error().1,
        "Space Quota 'small' already exists."
    );
    assert_eq!(
        cf.delete(&path).await.error().1,
        "This quota is applied to one or more spaces. Remove this quota from all spaces before deleting."
    );
    let of_this = format!("{spaces}/{space}");
    assert_eq!(cf.delete(&of_this).await.status, 204);
    assert_eq!(
        cf.delete(&of_this).await.error().1,
        format!(
            "Unable to remove quota from space with guid '{space}'. Ensure the space quota is applied to this space."
        )
    );
    assert_eq!(cf.delete(&path).await.status, 202);
    assert_eq!(
        cf.get(&path).await.error(),
        (10010, "Space quota not found".into())
    );
}

#[tokio::test]
async fn a_space_is_limited_by_its_quota() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let limits = json!({
        "apps": {"total_memory_in_mb": 3072, "per_process_memory_in_mb": 2048, "total_instances": 3},
        "routes": {"total_routes": 0},
    });
    limited(&cf, &org, &space, limits).await;
    let app = cf.staged_app(&space, "app").await;
    cf.act(&app, "start").await;
    for (scale, detail) in [
        (
            json!({"instances": 4, "memory_in_mb": 16}),
            "app_instance_limit space_app_instance_limit_exceeded",
        ),
        (
            json!({"memory_in_mb": 2049}),
            "memory space_instance_memory_limit_exceeded",
        ),
        (
            json!({"instances": 2, "memory_in_mb": 2000}),
            "memory space_quota_exceeded",
        ),
    ] {
        assert_eq!(
            cf.scale(&app, scale.clone()).await.error(),
            (10008, detail.into()),
            "{scale}"
        );
    }
    let job = cf
        .applied(&space, "applications: [{name: app, instances: 9}]")
        .await;
    assert_eq!(
        job["errors"][0]["detail"],
        "For application 'app': memory space_quota_exceeded, app_instance_limit space_app_instance_limit_exceeded"
    );
    assert_eq!(cf.instance_states(&app).await.len(), 1);
    let domain = cf.default_domain(&org).await;
    let route = new_route(&space, &domain, "app");
    assert_eq!(
        cf.post("/v3/routes", route).await.error().1,
        "Routes quota exceeded for space 'space'."
    );
    // The quota applies to only one space.
    let free = cf.create_space(&org, "free").await;
    let other = cf.staged_app(&free, "other").await;
    cf.act(&other, "start").await;
    assert_eq!(cf.scale(&other, json!({"instances": 9})).await.status, 202);
}

#[tokio::test]
async fn log_rates_are_limited() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let limits = json!({"apps": {"log_rate_limit_in_bytes_per_second": 1000}});
    limited(&cf, &org, &space, limits).await;
    let app = cf.staged_app(&space, "app").await;
    assert_eq!(
        cf.act(&app, "start").await.error().1,
        "log_rate_limit cannot be unlimited in space 'space'."
    );
    let rate = |bytes: i64| json!({"log_rate_limit_in_bytes_per_second": bytes});
    cf.scale(&app, rate(600)).await;
    assert_eq!(cf.act(&app, "start").await.status, 200);
    assert_eq!(
        cf.scale(&app, json!({"instances": 2})).await.error().1,
        "log_rate_limit exceeds space log rate quota"
    );
    assert_eq!(cf.scale(&app, rate(1000)).await.status, 202);
}

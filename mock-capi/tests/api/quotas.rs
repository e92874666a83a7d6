//! Organization quotas.

use std::time::Duration;

use mock_capi::MockCapi;
use serde_json::{Value, json};

use crate::common::{Session, new_route};

/// A space in an org with a quota.
async fn limited(quota: Value) -> (Session, String, String, String) {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let mut body = quota;
    body["name"] = json!("small");
    body["relationships"] = json!({"organizations": {"data": [{"guid": org}]}});
    let quota = cf.post("/v3/organization_quotas", body).await.guid();
    (cf, org, space, quota)
}

#[tokio::test]
async fn only_started_apps_count_against_the_memory_quota() {
    let (cf, _, space, quota) = limited(json!({"apps": {"total_memory_in_mb": 3072}})).await;
    let first = cf.staged_app(&space, "first").await;
    let second = cf.staged_app(&space, "second").await;
    let exceeded = (10008, "memory quota_exceeded".to_owned());
    // Stopped apps may have any size.
    assert_eq!(cf.scale(&first, json!({"instances": 99})).await.status, 202);
    assert_eq!(cf.act(&first, "start").await.error(), exceeded);
    assert_eq!(
        cf.get(&format!("/v3/apps/{first}")).await.json()["state"],
        "STOPPED"
    );
    cf.scale(&first, json!({"instances": 2})).await;
    assert_eq!(cf.act(&first, "start").await.status, 200);
    assert_eq!(cf.act(&second, "start").await.status, 200);
    assert_eq!(
        cf.scale(&second, json!({"instances": 2})).await.error(),
        exceeded
    );
    assert_eq!(
        cf.scale(&second, json!({"memory_in_mb": 1025}))
            .await
            .error(),
        exceeded
    );
    // Stopped and deleted apps do not use memory.
    cf.act(&first, "stop").await;
    assert_eq!(cf.scale(&second, json!({"instances": 3})).await.status, 202);
    assert_eq!(cf.act(&first, "start").await.error(), exceeded);
    cf.delete(&format!("/v3/apps/{second}")).await;
    assert_eq!(cf.act(&first, "start").await.status, 200);
    // A larger quota takes effect at once.
    let path = format!("/v3/organization_quotas/{quota}");
    let updated = cf
        .patch(&path, json!({"apps": {"total_memory_in_mb": null}}))
        .await;
    assert_eq!(updated.json()["apps"]["total_memory_in_mb"], Value::Null);
    assert_eq!(cf.scale(&first, json!({"instances": 50})).await.status, 202);
}

#[tokio::test]
async fn invalid_quotas_are_refused() {
    let (cf, org, _, quota) = limited(json!({})).await;
    let ports = json!({"total_routes": 1, "total_reserved_ports": 2});
    let of_org = "/v3/organization_quotas";
    for (body, detail) in [
        (
            json!({"name": "x", "routes": ports}),
            "Total reserved ports must be -1, 0, or a positive integer, and must be less than or equal to total routes.",
        ),
        (json!({"name": "x", "apps": null}), "Apps must be an object"),
        (
            json!({"name": "x", "relationships": {}}),
            "Relationships 'relationships' must include one or more valid relationships",
        ),
    ] {
        assert_eq!(cf.post(of_org, body).await.error(), (10008, detail.into()));
    }
    let path = format!("{of_org}/{quota}");
    // The validation of the request accepts an empty list instead of a boolean.
    let paid = json!({"name": "x", "services": {"paid_services_allowed": []}});
    let refused = (10008, "non_basic_services_allowed presence".to_owned());
    assert_eq!(cf.post(of_org, paid.clone()).await.error(), refused);
    assert_eq!(cf.patch(&path, paid).await.error(), refused);
    assert_eq!(
        cf.patch(&path, json!({"name": null})).await.error().1,
        "Name must be a string, Name is too short (minimum is 1 character)"
    );
    let nowhere = format!("{of_org}/x/relationships/organizations");
    assert_eq!(
        cf.post(&nowhere, json!({})).await.error().1,
        "Data can't be blank, Data must be an array"
    );
    // Limits of space quotas may not exceed those of the organization.
    let limit = json!({"routes": {"total_reserved_ports": 2}});
    assert_eq!(cf.patch(&path, limit).await.status, 200);
    let of_space = json!({
        "name": "x",
        "routes": {"total_reserved_ports": 3},
        "relationships": {"organization": {"data": {"guid": org}}},
    });
    assert_eq!(
        cf.post("/v3/space_quotas", of_space).await.error().1,
        "Total reserved ports must be -1, 0, or a positive integer, must be less than or equal to total routes, and must be less than or equal to total reserved ports for the organization quota."
    );
    assert_eq!(cf.get("/v3/space_quotas?nope=1").await.error().0, 10008);
}

#[tokio::test]
async fn instances_and_process_memory_have_limits() {
    let limits = json!({"apps": {"total_instances": 2, "per_process_memory_in_mb": 512}});
    let (cf, _, space, _) = limited(limits).await;
    let app = cf.staged_app(&space, "app").await;
    assert_eq!(
        cf.act(&app, "start").await.error().1,
        "memory instance_memory_limit_exceeded"
    );
    cf.scale(&app, json!({"memory_in_mb": 512, "instances": 2}))
        .await;
    assert_eq!(cf.act(&app, "start").await.status, 200);
    assert_eq!(cf.act(&app, "restart").await.status, 200);
    assert_eq!(
        cf.scale(&app, json!({"instances": 3})).await.error().1,
        "app_instance_limit app_instance_limit_exceeded"
    );
}

#[tokio::test]
async fn the_number_of_routes_is_limited() {
    let (cf, org, space, _) = limited(json!({"routes": {"total_routes": 1}})).await;
    let domain = cf.default_domain(&org).await;
    let first = cf.post("/v3/routes", new_route(&space, &domain, "a")).await;
    assert_eq!(first.status, 201);
    let second = cf.post("/v3/routes", new_route(&space, &domain, "b")).await;
    assert_eq!(
        second.error(),
        (
            10008,
            "Routes quota exceeded for organization 'org'.".into()
        )
    );
    cf.delete(&format!("/v3/routes/{}", first.guid())).await;
    assert_eq!(
        cf.post("/v3/routes", new_route(&space, &domain, "b"))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn quotas_in_use_cannot_be_deleted() {
    let (cf, org, _, quota) = limited(json!({})).await;
    let path = format!("/v3/organization_quotas/{quota}");
    let shown = cf.get(&path).await.json();
    assert_eq!(
        shown["relationships"]["organizations"]["data"],
        json!([{"guid": org}])
    );
    assert_eq!(shown["apps"]["total_memory_in_mb"], Value::Null);
    assert_eq!(cf.delete(&path).await.status, 422);
    let default = cf.get("/v3/organization_quotas?names=default").await.json();
    let default = default["resources"][0]["guid"].as_str().unwrap().to_owned();
    let apply = format!("/v3/organization_quotas/{default}/relationships/organizations");
    let applied = cf.post(&apply, json!({"data": [{"guid": org}]})).await;
    assert_eq!(
        (applied.status.as_u16(), &applied.json()["data"]),
        (200, &json!([{"guid": org}]))
    );
    assert_eq!(
        cf.post(&apply, json!({"data": [{"guid": "x"}]}))
            .await
            .status,
        422
    );
    let deleted = cf.delete(&path).await;
    assert_eq!(
        cf.get(deleted.header("location")).await.json()["operation"],
        "organization_quota.delete"
    );
    assert_eq!(cf.get(&path).await.status, 404);
}

#[tokio::test]
async fn staging_needs_a_minimum_of_memory_within_the_quota() {
    let (cf, _, space, _) = limited(json!({"apps": {"total_memory_in_mb": 2000}})).await;
    let app = cf.create_app(&space, "app").await;
    let package = cf.package(&app, b"bits").await;
    let small =
        json!({"package": {"guid": package}, "staging_memory_in_mb": 1, "staging_disk_in_mb": 1});
    let build = cf.post("/v3/builds", small).await.json();
    assert_eq!(
        (&build["staging_memory_in_mb"], &build["staging_disk_in_mb"]),
        (&json!(1024), &json!(4096))
    );
    let large = json!({"package": {"guid": package}, "staging_memory_in_mb": 2001});
    assert_eq!(
        cf.post("/v3/builds", large).await.error(),
        (
            10008,
            "organization's memory limit exceeded: staging requires 2001M memory".into()
        )
    );
}

#[tokio::test]
async fn tasks_count_against_the_quotas_of_their_space() {
    let slow = Duration::from_secs(60);
    let cf = Session::start(MockCapi::builder().task_time(slow)).await;
    let (org, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let quota = json!({
        "name": "small",
        "apps": {"total_memory_in_mb": 100, "log_rate_limit_in_bytes_per_second": 100},
        "relationships": {"organization": {"data": {"guid": org}}},
    });
    // Apps with an unlimited log rate prevent a limit.
    let quota = cf.post("/v3/space_quotas", quota).await.guid();
    let path = format!("/v3/space_quotas/{quota}/relationships/spaces");
    let applied = json!({"data": [{"guid": space}]});
    assert_eq!(
        cf.post(&path, applied.clone()).await.error().1,
        "Current usage exceeds new quota values. The space(s) being assigned this quota contain apps running with an unlimited log rate limit."
    );
    cf.scale(&app, json!({"log_rate_limit_in_bytes_per_second": 10}))
        .await;
    assert_eq!(cf.post(&path, applied).await.status, 200);
    let tasks = format!("/v3/apps/{app}/tasks");
    let task = |memory: u32, log_rate: i64| {
        let body = json!({
            "command": "x",
            "memory_in_mb": memory,
            "log_rate_limit_in_bytes_per_second": log_rate,
        });
        cf.post(&tasks, body)
    };
    assert_eq!(task(60, 60).await.status, 202);
    assert_eq!(
        task(60, -1).await.error().1,
        "memory_in_mb exceeds space memory quota, log_rate_limit cannot be unlimited in space 'space'."
    );
    let disk = json!({"command": "x", "disk_in_mb": 2049});
    assert_eq!(
        cf.post(&tasks, disk).await.error().1,
        "Cannot request disk_in_mb greater than 2048"
    );
    let user = json!({"command": "x", "memory_in_mb": 1, "log_rate_limit_in_bytes_per_second": 1, "user": "root"});
    assert_eq!(
        cf.post(&tasks, user).await.error().1,
        "user invalid (requested user 'root' not allowed, permitted users are: 'vcap', 'ContainerUser')"
    );
}

#[tokio::test]
async fn a_log_rate_limit_of_a_quota_requires_a_limit_of_every_app() {
    let (cf, _, space, quota) = limited(json!({})).await;
    cf.create_app(&space, "app").await;
    let path = format!("/v3/organization_quotas/{quota}");
    let limit = json!({"apps": {"log_rate_limit_in_bytes_per_second": 1}});
    assert_eq!(
        cf.patch(&path, limit).await.error(),
        (
            10008,
            "Current usage exceeds new quota values. This quota is applied to org 'org' which contains apps running with an unlimited log rate limit.".into()
        )
    );
}

#[tokio::test]
async fn a_restart_is_checked_like_a_start() {
    let (cf, _, space, quota) = limited(json!({})).await;
    let app = cf.staged_app(&space, "app").await;
    assert_eq!(cf.act(&app, "start").await.status, 200);
    let path = format!("/v3/organization_quotas/{quota}");
    let lowered = json!({"apps": {"total_memory_in_mb": 10}});
    assert_eq!(cf.patch(&path, lowered).await.status, 200);
    assert_eq!(
        cf.act(&app, "restart").await.error(),
        (10008, "memory quota_exceeded".into())
    );
    assert_eq!(
        cf.scale(&app, json!({"disk_in_mb": 2049})).await.error().1,
        "disk_quota too much disk requested (requested 2049 MB - must be less than 2048 MB)"
    );
}

//! Settings and reports of operators: feature flags, environment variable groups,
//! features of spaces, and usage.

use crate::common::{Session, new_app, new_route};
use mock_capi::MockCapi;
use serde_json::{Value, json};

#[tokio::test]
async fn feature_flags_apply_to_users_other_than_administrators() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    let flags = cf.names("/v3/feature_flags").await;
    // Unlike other lists, this one has the right total on an empty page.
    let beyond = cf.get("/v3/feature_flags?page=99").await.json();
    assert_eq!(beyond["pagination"]["total_results"], flags.len());
    assert_eq!(flags.len(), 19);
    assert!(flags.is_sorted());
    assert_eq!(
        cf.names("/v3/feature_flags?order_by=-name&per_page=1")
            .await,
        ["user_org_creation"]
    );
    // Flags have neither GUIDs nor times of creation and update.
    let list = "/v3/feature_flags";
    let all = cf.names(&format!("{list}?guids=x")).await;
    assert_eq!(all.len(), 19);
    let since = "2017-01-01T00:00:00Z";
    let updated = format!("{list}?updated_ats[gt]={since}");
    assert!(cf.names(&updated).await.is_empty());
    for (query, detail) in [
        (
            format!("created_ats[gt]={since}"),
            "Filtering by 'created_ats' is not allowed on this resource.",
        ),
        ("order_by=created_at".into(), "Order by can only be: 'name'"),
    ] {
        let refused = cf.get(&format!("{list}?{query}")).await;
        let detail = format!("The query parameter is invalid: {detail}");
        assert_eq!(refused.error(), (10005, detail));
    }
    let path = "/v3/feature_flags/user_org_creation";
    let flag = cf.get(path).await.json();
    assert_eq!(
        (&flag["enabled"], &flag["updated_at"]),
        (&json!(false), &Value::Null)
    );
    let unknown = cf
        .patch("/v3/feature_flags/flight", json!({"enabled": true}))
        .await;
    assert_eq!(unknown.error(), (10010, "Feature flag not found".into()));
    let odd = cf
        .patch(path, json!({"enabled": "yes", "custom_error_message": ""}))
        .await;
    assert_eq!(
        odd.error().1,
        "Enabled must be a boolean, Custom error message is too short (minimum is 1 character)"
    );

    let admin = cf.token.clone();
    let new = json!({"name": "devs"});
    cf.log_in_as("dev", "secret").await;
    assert_eq!(
        cf.post("/v3/organizations", new.clone()).await.error().0,
        10003
    );
    assert_eq!(
        cf.patch(path, json!({"enabled": true})).await.error().0,
        10003
    );
    let dev = std::mem::replace(&mut cf.token, admin);
    assert_eq!(cf.patch(path, json!({"enabled": true})).await.status, 200);
    let scaling = json!({"enabled": false, "custom_error_message": "no growth"});
    assert_eq!(
        cf.patch("/v3/feature_flags/app_scaling", scaling)
            .await
            .status,
        200
    );
    let admin = std::mem::replace(&mut cf.token, dev);

    // The user who creates an organization becomes its manager.
    let org = cf.post("/v3/organizations", new).await.guid();
    let space = cf.create_space(&org, "space").await;
    let me = json!({"data": {"username": "dev"}});
    let role = json!({
        "type": "space_developer",
        "relationships": {"user": me, "space": {"data": {"guid": space}}},
    });
    assert_eq!(cf.post("/v3/roles", role).await.status, 201);
    let app = cf.create_app(&space, "app").await;
    let two = json!({"instances": 2});
    assert_eq!(
        cf.scale(&app, two.clone()).await.error(),
        (330_002, "Feature Disabled: no growth".into())
    );
    cf.token = admin;
    assert_eq!(cf.scale(&app, two).await.status, 202);
}

#[tokio::test]
async fn environment_variable_groups_apply_to_every_app() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let path = "/v3/environment_variable_groups/running";
    let set = cf.patch(path, json!({"var": {"A": "1", "B": "2"}})).await;
    assert_eq!(set.json()["var"], json!({"A": "1", "B": "2"}));
    cf.patch(path, json!({"var": {"A": null}})).await;
    let env = cf.get(&format!("/v3/apps/{app}/env")).await.json();
    assert_eq!(env["running_env_json"], json!({"B": "2"}));
    assert_eq!(env["staging_env_json"], json!({}));
    let wrong = cf.patch(path, json!({"var": {"PORT": "1"}})).await;
    assert_eq!(wrong.error(), (10008, "Var cannot set PORT".into()));
    let other = cf.get("/v3/environment_variable_groups/other").await;
    assert_eq!(other.error().1, "Environment variable group not found");
}

#[tokio::test]
async fn ssh_can_be_disabled_for_a_space() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let features = format!("/v3/spaces/{space}/features");
    let listed = cf.get(&features).await.json();
    assert_eq!(listed["resources"][0]["enabled"], true);
    let path = format!("{features}/ssh");
    let off = cf.patch(&path, json!({"enabled": false})).await;
    assert_eq!(off.json()["enabled"], false);
    let ssh = cf.get(&format!("/v3/apps/{app}/ssh_enabled")).await.json();
    assert_eq!(
        ssh,
        json!({"enabled": false, "reason": "ssh is disabled for space 'space'"})
    );
    let unknown = cf.get(&format!("{features}/telnet")).await;
    assert_eq!(unknown.error().1, "Feature not found");
    let odd = cf.patch(&path, json!({})).await;
    assert_eq!(odd.error().1, "Enabled must be a boolean");
}

#[tokio::test]
async fn usage_is_summed_up_and_unmapped_routes_are_deleted_together() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    cf.scale(&app, json!({"instances": 3, "memory_in_mb": 256}))
        .await;
    cf.act(&app, "start").await;
    let domain = cf.default_domain(&org).await;
    for host in ["mapped", "one", "two"] {
        let route = cf
            .post("/v3/routes", new_route(&space, &domain, host))
            .await
            .guid();
        if host == "mapped" {
            let to = json!({"destinations": [{"app": {"guid": app}}]});
            cf.post(&format!("/v3/routes/{route}/destinations"), to)
                .await;
        }
    }
    for path in [
        format!("/v3/spaces/{space}/usage_summary"),
        format!("/v3/organizations/{org}/usage_summary"),
        "/v3/info/usage_summary".into(),
    ] {
        let usage = cf.get(&path).await.json()["usage_summary"].clone();
        assert_eq!(usage["started_instances"], 3, "{path}");
        assert_eq!(usage["memory_in_mb"], 768, "{path}");
        assert_eq!(usage["routes"], 3, "{path}");
    }
    let path = format!("/v3/spaces/{space}/routes");
    let refused = cf.delete(&format!("{path}?unmapped=false")).await;
    assert_eq!(
        refused.error().1,
        "Mass delete not supported for mapped routes. Use 'unmapped=true' parameter to delete all unmapped routes."
    );
    let job = cf.delete(&format!("{path}?unmapped=true")).await;
    let job = cf.get(job.header("location")).await.json();
    assert_eq!(job["operation"], "space.delete_unmapped_routes");
    let left = cf.get("/v3/routes").await.json();
    assert_eq!(left["pagination"]["total_results"], 1);
    assert_eq!(left["resources"][0]["host"], "mapped");
}

#[tokio::test]
async fn docker_can_be_disabled() {
    let cf = Session::v3().await;
    cf.allow_docker().await;
    let (_, space) = cf.space().await;
    let mut new = new_app(&space, "app");
    new["lifecycle"] = json!({"type": "docker", "data": {}});
    let app = cf.post("/v3/apps", new.clone()).await.guid();
    let package = json!({
        "type": "docker",
        "data": {"image": "alpine"},
        "relationships": {"app": {"data": {"guid": app}}},
    });
    let package = cf.post("/v3/packages", package).await.guid();
    let build = json!({"package": {"guid": package}});
    let built = cf.post("/v3/builds", build.clone()).await.guid();
    let built = cf.get(&format!("/v3/builds/{built}")).await.json();
    let droplet = built["droplet"]["guid"].as_str().unwrap();
    assert_eq!(cf.assign(&app, droplet).await.status, 200);

    let flag = "/v3/feature_flags/diego_docker";
    cf.patch(flag, json!({"enabled": false})).await;
    new["name"] = json!("other");
    for answer in [
        cf.post("/v3/apps", new).await,
        cf.post("/v3/builds", build).await,
        cf.act(&app, "start").await,
        cf.act(&app, "restart").await,
    ] {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(
            answer.error(),
            (330_002, "Feature Disabled: diego_docker".into())
        );
    }
    let manifest = "applications: [{name: third, docker: {image: alpine}}]";
    assert_eq!(
        cf.apply(&space, manifest).await.error(),
        (
            10008,
            "For application 'third': Feature Disabled: diego_docker".into()
        )
    );
}

#[tokio::test]
async fn developers_may_be_denied_access_to_environments() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    for (kind, at, guid) in [
        ("organization_user", "organization", &org),
        ("space_developer", "space", &space),
    ] {
        let body = json!({
            "type": kind,
            "relationships": {
                "user": {"data": {"username": "dev"}},
                at: {"data": {"guid": guid}},
            },
        });
        assert_eq!(cf.post("/v3/roles", body).await.status, 201);
    }
    let flag = "/v3/feature_flags/space_developer_env_var_visibility";
    cf.patch(flag, json!({"enabled": false})).await;
    let paths = [
        format!("/v3/apps/{app}/env"),
        format!("/v3/apps/{app}/environment_variables"),
        format!("/v2/apps/{app}/env"),
    ];
    for path in &paths {
        assert_eq!(cf.get(path).await.status, 200, "{path}");
    }
    cf.log_in_as("dev", "secret").await;
    for path in &paths {
        assert_eq!(cf.get(path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn route_creation_in_manifests_needs_its_feature_flag() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let domain = cf.default_domain(&org).await;
    let domain = cf.get(&format!("/v3/domains/{domain}")).await.json();
    let domain = domain["name"].as_str().unwrap();
    let flag = "/v3/feature_flags/route_creation";
    cf.patch(flag, json!({"enabled": false})).await;
    let manifest = format!("applications: [{{name: app, routes: [{{route: app.{domain}}}]}}]");
    let job = cf.applied(&space, manifest).await;
    assert_eq!(job["state"], "FAILED");
    assert_eq!(
        job["errors"][0]["detail"],
        "Feature Disabled: route_creation"
    );
}

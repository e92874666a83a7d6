//! Users and their roles.

use serde_json::json;

use crate::tour::{Tour, guid, metadata, related};

pub(crate) async fn visit(tour: &Tour) {
    let org = tour.cf.create_org("peopled").await;
    let space = tour.cf.create_space(&org, "peopled").await;
    let user = users(tour).await;
    let name = user.rsplit('/').next().unwrap_or_default();
    let in_org = json!({
        "type": "organization_user",
        "relationships": related(&[("user", name), ("organization", &org)]),
    });
    let in_space = json!({
        "type": "space_developer",
        "relationships": related(&[("user", name), ("space", &space)]),
    });
    let in_org = tour.create("/v3/roles", in_org).await;
    let in_space = tour.create("/v3/roles", in_space).await;
    tour.get_all("/v3/roles", &["", "include=user,organization,space"])
        .await;
    tour.get_all(&in_org, &["", "include=user,organization"])
        .await;
    tour.get(&in_space).await;
    tour.get(&format!("/v3/organizations/{org}/users")).await;
    tour.get(&format!("/v3/spaces/{space}/users")).await;
    tour.delete(&in_space).await;
    tour.delete(&in_org).await;
    tour.delete(&user).await;
}

/// The path of a user that other systems know by this GUID.
async fn users(tour: &Tour) -> String {
    let body = json!({"guid": "3a5d3d89-3f89-4f05-8188-8a2b298c79d5", "metadata": metadata()});
    let user = format!("/v3/users/{}", guid(&tour.post("/v3/users", body).await));
    tour.get("/v3/users").await;
    tour.get(&user).await;
    tour.patch(&user, json!({"metadata": metadata()})).await;
    user
}

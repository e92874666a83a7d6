//! Users and their roles.

use serde_json::json;

use crate::recording_client::{RecordingClient, guid, metadata, related};

pub(crate) async fn call_all(client: &RecordingClient) {
    let org = client.cf.create_org("peopled").await;
    let space = client.cf.create_space(&org, "peopled").await;
    let user = users(client).await;
    let name = user.rsplit('/').next().unwrap_or_default();
    let in_org = json!({
        "type": "organization_user",
        "relationships": related(&[("user", name), ("organization", &org)]),
    });
    let in_space = json!({
        "type": "space_developer",
        "relationships": related(&[("user", name), ("space", &space)]),
    });
    let in_org = client.create("/v3/roles", in_org).await;
    let in_space = client.create("/v3/roles", in_space).await;
    client
        .get_all("/v3/roles", &["", "include=user,organization,space"])
        .await;
    client
        .get_all(&in_org, &["", "include=user,organization"])
        .await;
    client.get(&in_space).await;
    client.get(&format!("/v3/organizations/{org}/users")).await;
    client.get(&format!("/v3/spaces/{space}/users")).await;
    client.delete(&in_space).await;
    client.delete(&in_org).await;
    client.delete(&user).await;
}

/// The path of a user whose GUID is known to other systems.
async fn users(client: &RecordingClient) -> String {
    let body = json!({"guid": "3a5d3d89-3f89-4f05-8188-8a2b298c79d5", "metadata": metadata()});
    let user = format!("/v3/users/{}", guid(&client.post("/v3/users", body).await));
    client.get("/v3/users").await;
    client.get(&user).await;
    client.patch(&user, json!({"metadata": metadata()})).await;
    user
}

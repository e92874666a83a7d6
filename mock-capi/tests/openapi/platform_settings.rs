//! Settings and reports of operators.

use serde_json::json;

use crate::recording_client::{RecordingClient, metadata};

pub(crate) async fn call_all(client: &RecordingClient) {
    let org = client.cf.create_org("operated").await;
    let space = client.cf.create_space(&org, "operated").await;
    flags_and_variables(client).await;
    summaries(client, &org, &space).await;
    space_features(client, &space).await;
    isolation_segments(client, &org, &space).await;
    client
        .delete(&format!("/v3/spaces/{space}/routes?unmapped=true"))
        .await;
    usage_events(client).await;
}

async fn usage_events(client: &RecordingClient) {
    for kind in ["app", "service"] {
        let list = format!("/v3/{kind}_usage_events");
        let events = client.get(&list).await;
        let guid = events["resources"][0]["guid"].as_str().unwrap().to_owned();
        client.get(&format!("{list}/{guid}")).await;
        let purge = format!("{list}/actions/destructively_purge_all_and_reseed");
        client.follow_action(&purge).await;
    }
}

async fn flags_and_variables(client: &RecordingClient) {
    client
        .get_all("/v3/feature_flags", &["", "order_by=-name&per_page=2"])
        .await;
    let flag = "/v3/feature_flags/app_scaling";
    client.get(flag).await;
    let switched = json!({"enabled": true, "custom_error_message": "not now"});
    client.patch(flag, switched).await;
    for name in ["running", "staging"] {
        let group = format!("/v3/environment_variable_groups/{name}");
        client.patch(&group, json!({"var": {"A": "1"}})).await;
        client.get(&group).await;
    }
}

async fn summaries(client: &RecordingClient, org: &str, space: &str) {
    client.get("/v3/info/usage_summary").await;
    client
        .get(&format!("/v3/organizations/{org}/usage_summary"))
        .await;
    client
        .get(&format!("/v3/spaces/{space}/usage_summary"))
        .await;
}

async fn space_features(client: &RecordingClient, space: &str) {
    let features = format!("/v3/spaces/{space}/features");
    client.get(&features).await;
    let ssh = format!("{features}/ssh");
    client.get(&ssh).await;
    client.patch(&ssh, json!({"enabled": false})).await;
}

async fn isolation_segments(client: &RecordingClient, org: &str, space: &str) {
    let body = json!({"name": "gold", "metadata": metadata()});
    let segment = client.create("/v3/isolation_segments", body).await;
    let guid = segment.rsplit('/').next().unwrap_or_default();
    client
        .get_all("/v3/isolation_segments", &["", "names=gold"])
        .await;
    client.get(&segment).await;
    client
        .patch(&segment, json!({"name": "silver", "metadata": metadata()}))
        .await;
    let orgs = format!("{segment}/relationships/organizations");
    client.post(&orgs, json!({"data": [{"guid": org}]})).await;
    client.get(&orgs).await;
    client.get(&format!("{segment}/organizations")).await;
    let choices = [
        format!("/v3/organizations/{org}/relationships/default_isolation_segment"),
        format!("/v3/spaces/{space}/relationships/isolation_segment"),
    ];
    for choice in &choices {
        client.patch(choice, json!({"data": {"guid": guid}})).await;
        client.get(choice).await;
    }
    client.get(&format!("{segment}/relationships/spaces")).await;
    for choice in &choices {
        client.patch(choice, json!({"data": null})).await;
        client.get(choice).await;
    }
    client.delete(&format!("{orgs}/{org}")).await;
    client.delete(&segment).await;
}

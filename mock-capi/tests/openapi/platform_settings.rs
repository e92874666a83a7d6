//! Settings and reports of operators.

use serde_json::json;

use crate::tour::{Tour, metadata};

pub(crate) async fn visit(tour: &Tour) {
    let org = tour.cf.create_org("operated").await;
    let space = tour.cf.create_space(&org, "operated").await;
    flags_and_variables(tour).await;
    summaries(tour, &org, &space).await;
    space_features(tour, &space).await;
    isolation_segments(tour, &org, &space).await;
    tour.delete(&format!("/v3/spaces/{space}/routes?unmapped=true"))
        .await;
    usage_events(tour).await;
}

async fn usage_events(tour: &Tour) {
    for kind in ["app", "service"] {
        let list = format!("/v3/{kind}_usage_events");
        let events = tour.get(&list).await;
        let guid = events["resources"][0]["guid"].as_str().unwrap().to_owned();
        tour.get(&format!("{list}/{guid}")).await;
        let purge = format!("{list}/actions/destructively_purge_all_and_reseed");
        tour.follow_action(&purge).await;
    }
}

async fn flags_and_variables(tour: &Tour) {
    tour.get_all("/v3/feature_flags", &["", "order_by=-name&per_page=2"])
        .await;
    let flag = "/v3/feature_flags/app_scaling";
    tour.get(flag).await;
    let switched = json!({"enabled": true, "custom_error_message": "not now"});
    tour.patch(flag, switched).await;
    for name in ["running", "staging"] {
        let group = format!("/v3/environment_variable_groups/{name}");
        tour.patch(&group, json!({"var": {"A": "1"}})).await;
        tour.get(&group).await;
    }
}

async fn summaries(tour: &Tour, org: &str, space: &str) {
    tour.get("/v3/info/usage_summary").await;
    tour.get(&format!("/v3/organizations/{org}/usage_summary"))
        .await;
    tour.get(&format!("/v3/spaces/{space}/usage_summary")).await;
}

async fn space_features(tour: &Tour, space: &str) {
    let features = format!("/v3/spaces/{space}/features");
    tour.get(&features).await;
    let ssh = format!("{features}/ssh");
    tour.get(&ssh).await;
    tour.patch(&ssh, json!({"enabled": false})).await;
}

async fn isolation_segments(tour: &Tour, org: &str, space: &str) {
    let body = json!({"name": "gold", "metadata": metadata()});
    let segment = tour.create("/v3/isolation_segments", body).await;
    let guid = segment.rsplit('/').next().unwrap_or_default();
    tour.get_all("/v3/isolation_segments", &["", "names=gold"])
        .await;
    tour.get(&segment).await;
    tour.patch(&segment, json!({"name": "silver", "metadata": metadata()}))
        .await;
    let orgs = format!("{segment}/relationships/organizations");
    tour.post(&orgs, json!({"data": [{"guid": org}]})).await;
    tour.get(&orgs).await;
    tour.get(&format!("{segment}/organizations")).await;
    let choices = [
        format!("/v3/organizations/{org}/relationships/default_isolation_segment"),
        format!("/v3/spaces/{space}/relationships/isolation_segment"),
    ];
    for choice in &choices {
        tour.patch(choice, json!({"data": {"guid": guid}})).await;
        tour.get(choice).await;
    }
    tour.get(&format!("{segment}/relationships/spaces")).await;
    for choice in &choices {
        tour.patch(choice, json!({"data": null})).await;
        tour.get(choice).await;
    }
    tour.delete(&format!("{orgs}/{org}")).await;
    tour.delete(&segment).await;
}

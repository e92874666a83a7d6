//! The resources of a foundation: organizations, spaces, quotas, and everything that
//! operators provide.

use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::common::archive_of;
use crate::recording_client::{RecordingClient, guid, metadata, related};

pub(crate) async fn call_all(client: &RecordingClient) {
    root(client).await;
    let org = client
        .create(
            "/v3/organizations",
            json!({"name": "org", "metadata": metadata()}),
        )
        .await;
    organizations(client, &org).await;
    organization_quotas(client, &org).await;
    spaces(client, &org).await;
    space_quotas(client, &org).await;
    security_groups(client, &org).await;
    domains(client, &org).await;
    stacks(client).await;
    buildpacks(client).await;
    client.delete(&org).await;
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

async fn root(client: &RecordingClient) {
    for path in ["/", "/v3", "/v3/info"] {
        client.get(path).await;
    }
    let matches = json!({"resources": [{
        "checksum": {"value": "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        "size_in_bytes": 0,
        "path": "empty",
        "mode": "644",
    }]});
    client.post("/v3/resource_matches", matches).await;
}

async fn organizations(client: &RecordingClient, org: &str) {
    client
        .get_all(
            "/v3/organizations",
            &["", "names=org&per_page=1", "names=none"],
        )
        .await;
    client.get(org).await;
    client
        .patch(org, json!({"name": "renamed", "metadata": metadata()}))
        .await;
    client.get(&format!("{org}/domains")).await;
    client.get(&format!("{org}/domains/default")).await;
}

async fn organization_quotas(client: &RecordingClient, org: &str) {
    let body = json!({
        "name": "quota",
        "apps": {"total_memory_in_mb": 2048, "total_instances": 10},
        "services": {"paid_services_allowed": true, "total_service_instances": 10},
        "routes": {"total_routes": 8},
        "domains": {"total_domains": 7},
    });
    let quota = client.create("/v3/organization_quotas", body).await;
    client
        .get_all("/v3/organization_quotas", &["", "names=quota"])
        .await;
    client.get(&quota).await;
    client
        .patch(
            &quota,
            json!({"name": "other", "apps": {"total_instances": null}}),
        )
        .await;
    let apply = format!("{quota}/relationships/organizations");
    client
        .post(&apply, json!({"data": [{"guid": last(org)}]}))
        .await;
    let back = client.get("/v3/organization_quotas?names=default").await;
    let default = guid(&back["resources"][0]);
    let apply = format!("/v3/organization_quotas/{default}/relationships/organizations");
    client
        .post(&apply, json!({"data": [{"guid": last(org)}]}))
        .await;
    client.delete(&quota).await;
}

async fn spaces(client: &RecordingClient, org: &str) {
    let body = json!({
        "name": "space",
        "relationships": related(&[("organization", last(org))]),
        "metadata": metadata(),
    });
    let space = client.create("/v3/spaces", body).await;
    client
        .get_all("/v3/spaces", &["", "include=organization&names=space"])
        .await;
    client.get(&space).await;
    client
        .patch(&space, json!({"name": "renamed", "metadata": metadata()}))
        .await;
    client.delete(&space).await;
}

async fn space_quotas(client: &RecordingClient, org: &str) {
    let space = client.cf.create_space(last(org), "limited").await;
    let body = json!({
        "name": "quota",
        "apps": {"total_memory_in_mb": 1024, "per_process_memory_in_mb": 512},
        "services": {"paid_services_allowed": false},
        "routes": {"total_reserved_ports": 0},
        "relationships": related(&[("organization", last(org))]),
    });
    let quota = client.create("/v3/space_quotas", body).await;
    client
        .get_all("/v3/space_quotas", &["", "names=quota"])
        .await;
    client.get(&quota).await;
    client
        .patch(&quota, json!({"apps": {"total_instances": 3}}))
        .await;
    let spaces = format!("{quota}/relationships/spaces");
    client
        .post(&spaces, json!({"data": [{"guid": space}]}))
        .await;
    client.get(&quota).await;
    client.delete(&format!("{spaces}/{space}")).await;
    client.delete(&quota).await;
}

async fn security_groups(client: &RecordingClient, org: &str) {
    let space = client.cf.create_space(last(org), "bound").await;
    let body = json!({
        "name": "group",
        "globally_enabled": {"running": true, "staging": false},
        "rules": [
            {"protocol": "tcp", "destination": "10.10.10.0/24", "ports": "443,80", "log": true},
            {"protocol": "icmp", "destination": "10.10.11.0/24", "type": 8, "code": 0,
             "description": "ping"},
        ],
    });
    let group = client.create("/v3/security_groups", body).await;
    client
        .get_all("/v3/security_groups", &["", "names=group"])
        .await;
    for of in ["running_spaces", "staging_spaces"] {
        let spaces = format!("{group}/relationships/{of}");
        client
            .post(&spaces, json!({"data": [{"guid": space}]}))
            .await;
        client.get(&group).await;
        client.delete(&format!("{spaces}/{space}")).await;
    }
    for of in ["running_security_groups", "staging_security_groups"] {
        client.get(&format!("/v3/spaces/{space}/{of}")).await;
    }
    client
        .patch(&group, json!({"name": "other", "rules": []}))
        .await;
    client.delete(&group).await;
}

async fn domains(client: &RecordingClient, org: &str) {
    client.get_all("/v3/domains", &["", "names=none"]).await;
    let body = json!({"name": "apps.internal", "internal": true});
    let shared = client.create("/v3/domains", body).await;
    client.get(&shared).await;
    client.delete(&shared).await;
    let body = json!({
        "name": "private.example.com",
        "relationships": related(&[("organization", last(org))]),
        "metadata": metadata(),
    });
    let domain = client.create("/v3/domains", body).await;
    client.patch(&domain, json!({"metadata": metadata()})).await;
    let other = client.cf.create_org("other").await;
    let orgs = format!("{domain}/relationships/shared_organizations");
    client.post(&orgs, json!({"data": [{"guid": other}]})).await;
    client.get(&domain).await;
    client.delete(&format!("{orgs}/{other}")).await;
    client.delete(&domain).await;
}

async fn stacks(client: &RecordingClient) {
    client.get("/v3/stacks").await;
    let body = json!({"name": "mine", "description": "of my own", "metadata": metadata()});
    let stack = client.create("/v3/stacks", body).await;
    client.get(&stack).await;
    client.get(&format!("{stack}/apps")).await;
    client
        .patch(
            &stack,
            json!({"state": "DEPRECATED", "state_reason": "old"}),
        )
        .await;
    client.delete(&stack).await;
}

async fn buildpacks(client: &RecordingClient) {
    client
        .follow_action("/v3/admin/actions/clear_buildpack_cache")
        .await;
    let body = json!({"name": "mine", "position": 3, "metadata": metadata()});
    let buildpack = client.create("/v3/buildpacks", body).await;
    let bits = Part::bytes(archive_of(b"file")).file_name("mine.zip");
    client
        .upload(
            &format!("{buildpack}/upload"),
            Form::new().part("bits", bits),
        )
        .await;
    client.get_all("/v3/buildpacks", &["", "names=mine"]).await;
    client.get(&buildpack).await;
    client.patch(&buildpack, json!({"locked": true})).await;
    client.delete(&buildpack).await;
}

//! The resources of a foundation: organizations, spaces, quotas, and everything that
//! operators provide.

use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::tour::{Tour, guid, metadata, related};

pub(crate) async fn visit(tour: &Tour) {
    root(tour).await;
    let org = tour
        .create(
            "/v3/organizations",
            json!({"name": "org", "metadata": metadata()}),
        )
        .await;
    organizations(tour, &org).await;
    organization_quotas(tour, &org).await;
    spaces(tour, &org).await;
    space_quotas(tour, &org).await;
    security_groups(tour, &org).await;
    domains(tour, &org).await;
    stacks(tour).await;
    buildpacks(tour).await;
    tour.delete(&org).await;
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

async fn root(tour: &Tour) {
    for path in ["/", "/v3", "/v3/info"] {
        tour.get(path).await;
    }
    let matches = json!({"resources": [{
        "checksum": {"value": "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        "size_in_bytes": 0,
        "path": "empty",
        "mode": "644",
    }]});
    tour.post("/v3/resource_matches", matches).await;
}

async fn organizations(tour: &Tour, org: &str) {
    tour.get_all(
        "/v3/organizations",
        &["", "names=org&per_page=1", "names=none"],
    )
    .await;
    tour.get(org).await;
    tour.patch(org, json!({"name": "renamed", "metadata": metadata()}))
        .await;
    tour.get(&format!("{org}/domains")).await;
    tour.get(&format!("{org}/domains/default")).await;
}

async fn organization_quotas(tour: &Tour, org: &str) {
    let body = json!({
        "name": "quota",
        "apps": {"total_memory_in_mb": 2048, "total_instances": 10},
        "services": {"paid_services_allowed": true, "total_service_instances": 10},
        "routes": {"total_routes": 8},
        "domains": {"total_domains": 7},
    });
    let quota = tour.create("/v3/organization_quotas", body).await;
    tour.get_all("/v3/organization_quotas", &["", "names=quota"])
        .await;
    tour.get(&quota).await;
    tour.patch(
        &quota,
        json!({"name": "other", "apps": {"total_instances": null}}),
    )
    .await;
    let apply = format!("{quota}/relationships/organizations");
    tour.post(&apply, json!({"data": [{"guid": last(org)}]}))
        .await;
    let back = tour.get("/v3/organization_quotas?names=default").await;
    let default = guid(&back["resources"][0]);
    let apply = format!("/v3/organization_quotas/{default}/relationships/organizations");
    tour.post(&apply, json!({"data": [{"guid": last(org)}]}))
        .await;
    tour.delete(&quota).await;
}

async fn spaces(tour: &Tour, org: &str) {
    let body = json!({
        "name": "space",
        "relationships": related(&[("organization", last(org))]),
        "metadata": metadata(),
    });
    let space = tour.create("/v3/spaces", body).await;
    tour.get_all("/v3/spaces", &["", "include=organization&names=space"])
        .await;
    tour.get(&space).await;
    tour.patch(&space, json!({"name": "renamed", "metadata": metadata()}))
        .await;
    tour.delete(&space).await;
}

async fn space_quotas(tour: &Tour, org: &str) {
    let space = tour.cf.create_space(last(org), "limited").await;
    let body = json!({
        "name": "quota",
        "apps": {"total_memory_in_mb": 1024, "per_process_memory_in_mb": 512},
        "services": {"paid_services_allowed": false},
        "routes": {"total_reserved_ports": 0},
        "relationships": related(&[("organization", last(org))]),
    });
    let quota = tour.create("/v3/space_quotas", body).await;
    tour.get_all("/v3/space_quotas", &["", "names=quota"]).await;
    tour.get(&quota).await;
    tour.patch(&quota, json!({"apps": {"total_instances": 3}}))
        .await;
    let spaces = format!("{quota}/relationships/spaces");
    tour.post(&spaces, json!({"data": [{"guid": space}]})).await;
    tour.get(&quota).await;
    tour.delete(&format!("{spaces}/{space}")).await;
    tour.delete(&quota).await;
}

async fn security_groups(tour: &Tour, org: &str) {
    let space = tour.cf.create_space(last(org), "bound").await;
    let body = json!({
        "name": "group",
        "globally_enabled": {"running": true, "staging": false},
        "rules": [
            {"protocol": "tcp", "destination": "10.10.10.0/24", "ports": "443,80", "log": true},
            {"protocol": "icmp", "destination": "10.10.11.0/24", "type": 8, "code": 0,
             "description": "ping"},
        ],
    });
    let group = tour.create("/v3/security_groups", body).await;
    tour.get_all("/v3/security_groups", &["", "names=group"])
        .await;
    for of in ["running_spaces", "staging_spaces"] {
        let spaces = format!("{group}/relationships/{of}");
        tour.post(&spaces, json!({"data": [{"guid": space}]})).await;
        tour.get(&group).await;
        tour.delete(&format!("{spaces}/{space}")).await;
    }
    for of in ["running_security_groups", "staging_security_groups"] {
        tour.get(&format!("/v3/spaces/{space}/{of}")).await;
    }
    tour.patch(&group, json!({"name": "other", "rules": []}))
        .await;
    tour.delete(&group).await;
}

async fn domains(tour: &Tour, org: &str) {
    tour.get_all("/v3/domains", &["", "names=none"]).await;
    let body = json!({"name": "apps.internal", "internal": true});
    let shared = tour.create("/v3/domains", body).await;
    tour.get(&shared).await;
    tour.delete(&shared).await;
    let body = json!({
        "name": "private.example.com",
        "relationships": related(&[("organization", last(org))]),
        "metadata": metadata(),
    });
    let domain = tour.create("/v3/domains", body).await;
    tour.patch(&domain, json!({"metadata": metadata()})).await;
    let other = tour.cf.create_org("other").await;
    let orgs = format!("{domain}/relationships/shared_organizations");
    tour.post(&orgs, json!({"data": [{"guid": other}]})).await;
    tour.get(&domain).await;
    tour.delete(&format!("{orgs}/{other}")).await;
    tour.delete(&domain).await;
}

async fn stacks(tour: &Tour) {
    tour.get("/v3/stacks").await;
    let body = json!({"name": "mine", "description": "of my own", "metadata": metadata()});
    let stack = tour.create("/v3/stacks", body).await;
    tour.get(&stack).await;
    tour.get(&format!("{stack}/apps")).await;
    tour.patch(
        &stack,
        json!({"state": "DEPRECATED", "state_reason": "old"}),
    )
    .await;
    tour.delete(&stack).await;
}

async fn buildpacks(tour: &Tour) {
    tour.follow_action("/v3/admin/actions/clear_buildpack_cache")
        .await;
    let body = json!({"name": "mine", "position": 3, "metadata": metadata()});
    let buildpack = tour.create("/v3/buildpacks", body).await;
    let bits = Part::bytes(b"PK\x03\x04".as_slice()).file_name("mine.zip");
    tour.upload(
        &format!("{buildpack}/upload"),
        Form::new().part("bits", bits),
    )
    .await;
    tour.get_all("/v3/buildpacks", &["", "names=mine"]).await;
    tour.get(&buildpack).await;
    tour.patch(&buildpack, json!({"locked": true})).await;
    tour.delete(&buildpack).await;
}

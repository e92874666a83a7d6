//! Routes and services of apps.

use serde_json::json;

use crate::recording_client::{RecordingClient, guid, metadata, related};

pub(crate) async fn call_all(client: &RecordingClient) {
    let org = client.cf.create_org("connected").await;
    let space = client.cf.create_space(&org, "connected").await;
    let app = client.cf.create_app(&space, "connected").await;
    let domain = client.cf.default_domain(&org).await;
    routes(client, &space, &domain, &app).await;
    let other = client.cf.create_space(&org, "sharing").await;
    route_sharing(client, &space, &other, &domain).await;
    services(client, &space, &app).await;
}

async fn routes(client: &RecordingClient, space: &str, domain: &str, app: &str) {
    let body = json!({
        "host": "host",
        "path": "/path",
        "relationships": related(&[("space", space), ("domain", domain)]),
        "options": {"loadbalancing": "round-robin"},
        "metadata": metadata(),
    });
    let route = client.create("/v3/routes", body).await;
    client
        .get_all(
            "/v3/routes",
            &["", "include=domain,space,space.organization"],
        )
        .await;
    client.get_all(&route, &["", "include=domain"]).await;
    client.patch(&route, json!({"metadata": metadata()})).await;

    let destinations = format!("{route}/destinations");
    let one = json!({"destinations": [{"app": {"guid": app}}]});
    client.post(&destinations, one.clone()).await;
    client.patch(&destinations, one).await;
    client.get(&route).await;
    client.get(&format!("/v3/apps/{app}/routes")).await;
    let reserved = format!("/v3/domains/{domain}/route_reservations");
    client
        .get_all(&reserved, &["", "host=host&path=/path"])
        .await;
    let mapped = client.get(&destinations).await;
    let destination = guid(&mapped["destinations"][0]);
    let destination = format!("{destinations}/{destination}");
    client
        .patch(&destination, json!({"protocol": "http2"}))
        .await;
    client.delete(&destination).await;
    client.delete(&route).await;
}

async fn route_sharing(client: &RecordingClient, space: &str, other: &str, domain: &str) {
    let flag = "/v3/feature_flags/route_sharing";
    client.patch(flag, json!({"enabled": true})).await;
    let related = related(&[("space", space), ("domain", domain)]);
    let body = json!({"host": "shared", "relationships": related});
    let route = client.create("/v3/routes", body).await;
    let shared = format!("{route}/relationships/shared_spaces");
    client
        .post(&shared, json!({"data": [{"guid": other}]}))
        .await;
    client.get(&shared).await;
    client.delete(&format!("{shared}/{other}")).await;
    let owner = format!("{route}/relationships/space");
    client.patch(&owner, json!({"data": {"guid": other}})).await;
    client.delete(&route).await;
}

async fn services(client: &RecordingClient, space: &str, app: &str) {
    let body = json!({
        "type": "user-provided",
        "name": "db",
        "credentials": {"password": "secret"},
        "tags": ["db"],
        "relationships": related(&[("space", space)]),
        "metadata": metadata(),
    });
    let instance = client.create("/v3/service_instances", body).await;
    let fields = "fields[space]=guid,name&fields[space.organization]=name";
    client
        .get_all("/v3/service_instances", &["", "names=db", fields])
        .await;
    client.get_all(&instance, &["", fields]).await;
    client.get(&format!("{instance}/credentials")).await;
    client.get(&format!("{instance}/permissions")).await;
    let shared = format!("{instance}/relationships/shared_spaces");
    client.get(&shared).await;
    client.patch(&instance, json!({"tags": ["store"]})).await;

    let service = instance.rsplit('/').next().unwrap_or_default();
    let body = json!({
        "type": "app",
        "name": "bound",
        "relationships": related(&[("service_instance", service), ("app", app)]),
    });
    let binding = client.create("/v3/service_credential_bindings", body).await;
    client
        .get_all(
            "/v3/service_credential_bindings",
            &["", "include=app,service_instance"],
        )
        .await;
    client.get_all(&binding, &["", "include=app"]).await;
    client.get(&format!("{binding}/details")).await;
    client
        .patch(&binding, json!({"metadata": metadata()}))
        .await;
    client.delete(&binding).await;
    client.delete(&instance).await;
}

//! Routes and services of apps.

use serde_json::json;

use crate::tour::{Tour, guid, metadata, related};

pub(crate) async fn visit(tour: &Tour) {
    let org = tour.cf.create_org("connected").await;
    let space = tour.cf.create_space(&org, "connected").await;
    let app = tour.cf.create_app(&space, "connected").await;
    let domain = tour.cf.default_domain(&org).await;
    routes(tour, &space, &domain, &app).await;
    let other = tour.cf.create_space(&org, "sharing").await;
    route_sharing(tour, &space, &other, &domain).await;
    services(tour, &space, &app).await;
}

async fn routes(tour: &Tour, space: &str, domain: &str, app: &str) {
    let body = json!({
        "host": "host",
        "path": "/path",
        "relationships": related(&[("space", space), ("domain", domain)]),
        "options": {"loadbalancing": "round-robin"},
        "metadata": metadata(),
    });
    let route = tour.create("/v3/routes", body).await;
    tour.get_all(
        "/v3/routes",
        &["", "include=domain,space,space.organization"],
    )
    .await;
    tour.get_all(&route, &["", "include=domain"]).await;
    tour.patch(&route, json!({"metadata": metadata()})).await;

    let destinations = format!("{route}/destinations");
    let one = json!({"destinations": [{"app": {"guid": app}}]});
    tour.post(&destinations, one.clone()).await;
    tour.patch(&destinations, one).await;
    tour.get(&route).await;
    tour.get(&format!("/v3/apps/{app}/routes")).await;
    let reserved = format!("/v3/domains/{domain}/route_reservations");
    tour.get_all(&reserved, &["", "host=host&path=/path"]).await;
    let mapped = tour.get(&destinations).await;
    let destination = guid(&mapped["destinations"][0]);
    let destination = format!("{destinations}/{destination}");
    tour.patch(&destination, json!({"protocol": "http2"})).await;
    tour.delete(&destination).await;
    tour.delete(&route).await;
}

async fn route_sharing(tour: &Tour, space: &str, other: &str, domain: &str) {
    let flag = "/v3/feature_flags/route_sharing";
    tour.patch(flag, json!({"enabled": true})).await;
    let related = related(&[("space", space), ("domain", domain)]);
    let body = json!({"host": "shared", "relationships": related});
    let route = tour.create("/v3/routes", body).await;
    let shared = format!("{route}/relationships/shared_spaces");
    tour.post(&shared, json!({"data": [{"guid": other}]})).await;
    tour.get(&shared).await;
    tour.delete(&format!("{shared}/{other}")).await;
    let owner = format!("{route}/relationships/space");
    tour.patch(&owner, json!({"data": {"guid": other}})).await;
    tour.delete(&route).await;
}

async fn services(tour: &Tour, space: &str, app: &str) {
    let body = json!({
        "type": "user-provided",
        "name": "db",
        "credentials": {"password": "secret"},
        "tags": ["db"],
        "relationships": related(&[("space", space)]),
        "metadata": metadata(),
    });
    let instance = tour.create("/v3/service_instances", body).await;
    let fields = "fields[space]=guid,name&fields[space.organization]=name";
    tour.get_all("/v3/service_instances", &["", "names=db", fields])
        .await;
    tour.get_all(&instance, &["", fields]).await;
    tour.get(&format!("{instance}/credentials")).await;
    tour.get(&format!("{instance}/permissions")).await;
    let shared = format!("{instance}/relationships/shared_spaces");
    tour.get(&shared).await;
    tour.patch(&instance, json!({"tags": ["store"]})).await;

    let service = instance.rsplit('/').next().unwrap_or_default();
    let body = json!({
        "type": "app",
        "name": "bound",
        "relationships": related(&[("service_instance", service), ("app", app)]),
    });
    let binding = tour.create("/v3/service_credential_bindings", body).await;
    tour.get_all(
        "/v3/service_credential_bindings",
        &["", "include=app,service_instance"],
    )
    .await;
    tour.get_all(&binding, &["", "include=app"]).await;
    tour.get(&format!("{binding}/details")).await;
    tour.patch(&binding, json!({"metadata": metadata()})).await;
    tour.delete(&binding).await;
    tour.delete(&instance).await;
}

//! Service brokers, their offerings, instances and bindings.

use serde_json::{Value, json};

use crate::common::broker::Broker;
use crate::tour::{Tour, guid, metadata, related};

pub(crate) async fn visit(tour: &Tour) {
    let broker = Broker::start().await;
    let org = tour.cf.create_org("buyers").await;
    let space = tour.cf.create_space(&org, "buyers").await;
    let path = brokers(tour, &broker, &space).await;
    let (small, standard) = plans(tour, &org).await;
    instances(tour, &org, &space, &small).await;
    routes(tour, &org, &space, &standard).await;
    offerings(tour).await;
    tour.delete(&path).await;
}

/// A broker of one space that is deleted again, and one for everyone.
async fn brokers(tour: &Tour, broker: &Broker, space: &str) -> String {
    let mut body = broker.registration("private");
    body["metadata"] = metadata();
    body["relationships"] = related(&[("space", space)]);
    let path = tour.create_in_job("/v3/service_brokers", body).await;
    tour.get_all("/v3/service_brokers", &["", "names=private"])
        .await;
    tour.get(&path).await;
    tour.patch(&path, json!({"metadata": metadata()})).await;
    tour.delete(&path).await;
    let body = broker.registration("broker");
    tour.create_in_job("/v3/service_brokers", body).await
}

async fn plans(tour: &Tour, org: &str) -> (String, String) {
    let included = "include=service_offering";
    tour.get_all("/v3/service_plans", &["", included]).await;
    let plan = async |name: &str| {
        let plans = tour.get(&format!("/v3/service_plans?names={name}")).await;
        guid(&plans["resources"][0])
    };
    let (small, standard) = (plan("small").await, plan("standard").await);
    let other = tour.cf.create_org("others").await;
    let path = format!("/v3/service_plans/{small}");
    tour.get_all(&path, &["", included]).await;
    tour.patch(&path, json!({"metadata": metadata()})).await;
    let visibility = format!("{path}/visibility");
    let to = |org: &str| json!({"type": "organization", "organizations": [{"guid": org}]});
    tour.patch(&visibility, to(org)).await;
    tour.post(&visibility, to(&other)).await;
    tour.get(&visibility).await;
    tour.delete(&format!("{visibility}/{other}")).await;
    for plan in [&small, &standard] {
        let visibility = format!("/v3/service_plans/{plan}/visibility");
        tour.patch(&visibility, json!({"type": "public"})).await;
    }
    let large = plan("large").await;
    tour.delete(&format!("/v3/service_plans/{large}")).await;
    (small, standard)
}

fn instance(space: &str, plan: &str, name: &str) -> Value {
    json!({
        "type": "managed",
        "name": name,
        "parameters": {"key_1": "value_1", "key_2": "value_2"},
        "relationships": related(&[("space", space), ("service_plan", plan)]),
    })
}

async fn instances(tour: &Tour, org: &str, space: &str, plan: &str) {
    let path = "/v3/service_instances";
    let service = tour.create_in_job(path, instance(space, plan, "db")).await;
    let fields = "fields[service_plan]=name&fields[service_plan.service_offering]=name&fields[service_plan.service_offering.service_broker]=name";
    tour.get_all(path, &["", fields]).await;
    tour.get_all(&service, &["", fields]).await;
    tour.get(&format!("{service}/parameters")).await;
    tour.patch(&service, json!({"tags": ["a"]})).await;

    let flag = "/v3/feature_flags/service_instance_sharing";
    tour.patch(flag, json!({"enabled": true})).await;
    let other = tour.cf.create_space(org, "sharing").await;
    let shared = format!("{service}/relationships/shared_spaces");
    tour.post(&shared, json!({"data": [{"guid": other}]})).await;
    tour.get_all(&shared, &["", "fields[space]=name,guid"])
        .await;
    tour.get(&format!("{shared}/usage_summary")).await;
    tour.delete(&format!("{shared}/{other}")).await;

    let app = tour.cf.create_app(space, "buyer").await;
    let of = service.rsplit('/').next().unwrap_or_default();
    let path = "/v3/service_credential_bindings";
    let bound = json!({
        "type": "app",
        "parameters": {"foo": "bar", "foz": "baz"},
        "relationships": related(&[("service_instance", of), ("app", &app)]),
    });
    let binding = tour.create_in_job(path, bound).await;
    let key = json!({
        "type": "key",
        "name": "key",
        "parameters": {"foo": "bar", "foz": "baz"},
        "relationships": related(&[("service_instance", of)]),
    });
    let key = tour.create_in_job(path, key).await;
    tour.get_all(path, &["", "type=key"]).await;
    for binding in [&binding, &key] {
        tour.get(binding).await;
        tour.get(&format!("{binding}/details")).await;
        tour.get(&format!("{binding}/parameters")).await;
        tour.delete(binding).await;
    }
    tour.delete(&service).await;
}

async fn routes(tour: &Tour, org: &str, space: &str, plan: &str) {
    let path = "/v3/service_instances";
    let service = tour
        .create_in_job(path, instance(space, plan, "proxy"))
        .await;
    let of = service.rsplit('/').next().unwrap_or_default();
    let domain = tour.cf.default_domain(org).await;
    let body = json!({
        "host": "proxied",
        "relationships": related(&[("space", space), ("domain", &domain)]),
    });
    let route = tour.create("/v3/routes", body).await;
    let route = route.rsplit('/').next().unwrap_or_default();
    let body = json!({
        "relationships": related(&[("route", route), ("service_instance", of)]),
        "parameters": {"foo": "bar", "foz": "baz"},
        "metadata": metadata(),
    });
    let path = "/v3/service_route_bindings";
    let binding = tour.create_in_job(path, body).await;
    let included = "include=route,service_instance";
    tour.get_all(path, &["", included]).await;
    tour.get_all(&binding, &["", included]).await;
    tour.patch(&binding, json!({"metadata": metadata()})).await;
    tour.get(&format!("{binding}/parameters")).await;
    tour.delete(&binding).await;
    tour.delete(&service).await;
}

async fn offerings(tour: &Tour) {
    let with_broker = "fields[service_broker]=name";
    let offerings = tour
        .get(&format!("/v3/service_offerings?{with_broker}"))
        .await;
    let offering = guid(&offerings["resources"][0]);
    let path = format!("/v3/service_offerings/{offering}");
    tour.get_all(&path, &["", with_broker]).await;
    tour.patch(&path, json!({"metadata": metadata()})).await;
    tour.delete(&format!("{path}?purge=true")).await;
}

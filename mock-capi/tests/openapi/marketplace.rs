//! Service brokers, their offerings, instances and bindings.

use serde_json::{Value, json};

use crate::common::broker::Broker;
use crate::recording_client::{RecordingClient, guid, metadata, related};

pub(crate) async fn call_all(client: &RecordingClient) {
    let broker = Broker::start().await;
    let org = client.cf.create_org("buyers").await;
    let space = client.cf.create_space(&org, "buyers").await;
    let path = brokers(client, &broker, &space).await;
    let (small, standard) = plans(client, &org).await;
    instances(client, &org, &space, &small).await;
    routes(client, &org, &space, &standard).await;
    offerings(client).await;
    client.delete(&path).await;
}

/// A broker of one space that is deleted again, and one for everyone.
async fn brokers(client: &RecordingClient, broker: &Broker, space: &str) -> String {
    let mut body = broker.registration("private");
    body["metadata"] = metadata();
    body["relationships"] = related(&[("space", space)]);
    let path = client.create_in_job("/v3/service_brokers", body).await;
    client
        .get_all("/v3/service_brokers", &["", "names=private"])
        .await;
    client.get(&path).await;
    client.patch(&path, json!({"metadata": metadata()})).await;
    client.delete(&path).await;
    let body = broker.registration("broker");
    client.create_in_job("/v3/service_brokers", body).await
}

async fn plans(client: &RecordingClient, org: &str) -> (String, String) {
    let included = "include=service_offering";
    client.get_all("/v3/service_plans", &["", included]).await;
    let plan = async |name: &str| {
        let plans = client.get(&format!("/v3/service_plans?names={name}")).await;
        guid(&plans["resources"][0])
    };
    let (small, standard) = (plan("small").await, plan("standard").await);
    let other = client.cf.create_org("others").await;
    let path = format!("/v3/service_plans/{small}");
    client.get_all(&path, &["", included]).await;
    client.patch(&path, json!({"metadata": metadata()})).await;
    let visibility = format!("{path}/visibility");
    let to = |org: &str| json!({"type": "organization", "organizations": [{"guid": org}]});
    client.patch(&visibility, to(org)).await;
    client.post(&visibility, to(&other)).await;
    client.get(&visibility).await;
    client.delete(&format!("{visibility}/{other}")).await;
    for plan in [&small, &standard] {
        let visibility = format!("/v3/service_plans/{plan}/visibility");
        client.patch(&visibility, json!({"type": "public"})).await;
    }
    let large = plan("large").await;
    client.delete(&format!("/v3/service_plans/{large}")).await;
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

async fn instances(client: &RecordingClient, org: &str, space: &str, plan: &str) {
    let path = "/v3/service_instances";
    let service = client
        .create_in_job(path, instance(space, plan, "db"))
        .await;
    let fields = "fields[service_plan]=name&fields[service_plan.service_offering]=name&fields[service_plan.service_offering.service_broker]=name";
    client.get_all(path, &["", fields]).await;
    client.get_all(&service, &["", fields]).await;
    client.get(&format!("{service}/parameters")).await;
    client.patch(&service, json!({"tags": ["a"]})).await;

    let flag = "/v3/feature_flags/service_instance_sharing";
    client.patch(flag, json!({"enabled": true})).await;
    let other = client.cf.create_space(org, "sharing").await;
    let shared = format!("{service}/relationships/shared_spaces");
    client
        .post(&shared, json!({"data": [{"guid": other}]}))
        .await;
    client
        .get_all(&shared, &["", "fields[space]=name,guid"])
        .await;
    client.get(&format!("{shared}/usage_summary")).await;
    client.delete(&format!("{shared}/{other}")).await;

    let app = client.cf.create_app(space, "buyer").await;
    let of = service.rsplit('/').next().unwrap_or_default();
    let path = "/v3/service_credential_bindings";
    let bound = json!({
        "type": "app",
        "parameters": {"foo": "bar", "foz": "baz"},
        "relationships": related(&[("service_instance", of), ("app", &app)]),
    });
    let binding = client.create_in_job(path, bound).await;
    let key = json!({
        "type": "key",
        "name": "key",
        "parameters": {"foo": "bar", "foz": "baz"},
        "relationships": related(&[("service_instance", of)]),
    });
    let key = client.create_in_job(path, key).await;
    client.get_all(path, &["", "type=key"]).await;
    for binding in [&binding, &key] {
        client.get(binding).await;
        client.get(&format!("{binding}/details")).await;
        client.get(&format!("{binding}/parameters")).await;
        client.delete(binding).await;
    }
    client.delete(&service).await;
}

async fn routes(client: &RecordingClient, org: &str, space: &str, plan: &str) {
    let path = "/v3/service_instances";
    let service = client
        .create_in_job(path, instance(space, plan, "proxy"))
        .await;
    let of = service.rsplit('/').next().unwrap_or_default();
    let domain = client.cf.default_domain(org).await;
    let body = json!({
        "host": "proxied",
        "relationships": related(&[("space", space), ("domain", &domain)]),
    });
    let route = client.create("/v3/routes", body).await;
    let route = route.rsplit('/').next().unwrap_or_default();
    let body = json!({
        "relationships": related(&[("route", route), ("service_instance", of)]),
        "parameters": {"foo": "bar", "foz": "baz"},
        "metadata": metadata(),
    });
    let path = "/v3/service_route_bindings";
    let binding = client.create_in_job(path, body).await;
    let included = "include=route,service_instance";
    client.get_all(path, &["", included]).await;
    client.get_all(&binding, &["", included]).await;
    client
        .patch(&binding, json!({"metadata": metadata()}))
        .await;
    client.get(&format!("{binding}/parameters")).await;
    client.delete(&binding).await;
    client.delete(&service).await;
}

async fn offerings(client: &RecordingClient) {
    let with_broker = "fields[service_broker]=name";
    let offerings = client
        .get(&format!("/v3/service_offerings?{with_broker}"))
        .await;
    let offering = guid(&offerings["resources"][0]);
    let path = format!("/v3/service_offerings/{offering}");
    client.get_all(&path, &["", with_broker]).await;
    client.patch(&path, json!({"metadata": metadata()})).await;
    client.delete(&format!("{path}?purge=true")).await;
}

//! `/v3/service_instances`

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{OurMetadata, ToOne, into_all, list_by, to_one};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{NewServiceInstance, ServiceInstance, ServiceSettings};
use crate::capi::transport::Request;

const LIST: &str = "/v3/service_instances";

#[derive(Deserialize)]
struct WireInstance {
    guid: String,
    name: String,
    #[serde(default)]
    tags: Vec<String>,
    syslog_drain_url: Option<String>,
    route_service_url: Option<String>,
    last_operation: Option<Operation>,
    #[serde(default)]
    metadata: OurMetadata,
    relationships: Option<Related>,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
struct Related {
    #[serde(default)]
    space: ToOne,
    #[serde(default)]
    service_plan: ToOne,
}

impl From<WireInstance> for ServiceInstance {
    fn from(instance: WireInstance) -> Self {
        let (space, plan) = match instance.relationships {
            Some(related) => (related.space.guid(), related.service_plan.guid()),
            None => (None, None),
        };
        let filled = |url: Option<String>| url.filter(|url| !url.is_empty());
        let operation = instance.last_operation;
        Self {
            guid: instance.guid,
            name: instance.name,
            org: String::new(),
            space: space.unwrap_or_default(),
            ownership: instance.metadata.ownership(),
            tags: instance.tags,
            syslog_drain_url: filled(instance.syslog_drain_url),
            route_service_url: filled(instance.route_service_url),
            last_operation: operation
                .filter(|_| plan.is_some())
                .map(|it| format!("{} {}", it.kind, it.state))
                .unwrap_or_default(),
            plan,
        }
    }
}

/// The service instances of some orgs.
pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
) -> Result<Vec<ServiceInstance>, Error> {
    let mut services = Vec::new();
    for org in orgs {
        let found = list_by::<WireInstance>(client, LIST, "organization_guids", &[org], "").await?;
        services.extend(found.into_iter().map(|instance| ServiceInstance {
            org: (*org).to_owned(),
            ..ServiceInstance::from(instance)
        }));
    }
    Ok(services)
}

/// The service instances of some spaces.
pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<ServiceInstance>, Error> {
    let found = list_by::<WireInstance>(client, LIST, "space_guids", spaces, "").await?;
    Ok(into_all(found))
}

pub(in crate::capi) async fn get(
    client: &Client,
    instance: &str,
) -> Result<ServiceInstance, Error> {
    let found: WireInstance = client.get(&format!("{LIST}/{instance}")).await?;
    Ok(found.into())
}

/// The credentials of a user-provided service instance.
pub(in crate::capi) async fn credentials(
    client: &Client,
    instance: &str,
) -> Result<Map<String, Value>, Error> {
    client.get(&format!("{LIST}/{instance}/credentials")).await
}

/// Creates a service instance, and waits for its broker.
pub(in crate::capi) async fn create(
    client: &Client,
    what: &str,
    instance: &NewServiceInstance<'_>,
) -> Result<(), Error> {
    let mut body = settings(&instance.settings);
    body["type"] = match instance.settings.plan {
        Some(_) => json!("managed"),
        None => json!("user-provided"),
    };
    body["name"] = json!(instance.name);
    body["metadata"] = json!(instance.metadata);
    body["relationships"]["space"] = to_one(instance.space);
    client.finish(what, &Request::post(LIST).json(body)).await
}

/// Changes a service instance, and waits for its broker.
pub(in crate::capi) async fn update(
    client: &Client,
    what: &str,
    instance: &str,
    changed: &ServiceSettings<'_>,
) -> Result<(), Error> {
    let request = Request::patch(format!("{LIST}/{instance}")).json(settings(changed));
    client.finish(what, &request).await
}

pub(in crate::capi) async fn set_metadata(
    client: &Client,
    what: &str,
    instance: &str,
    metadata: &crate::capi::model::Metadata,
) -> Result<(), Error> {
    let request = Request::patch(format!("{LIST}/{instance}"));
    let request = request.json(json!({"metadata": metadata}));
    client.finish(what, &request).await
}

pub(in crate::capi) async fn delete(
    client: &Client,
    what: &str,
    instance: &str,
) -> Result<(), Error> {
    let request = Request::delete(format!("{LIST}/{instance}"));
    client.delete(what, &request).await
}

fn settings(settings: &ServiceSettings<'_>) -> Value {
    let mut body = json!({});
    if let Some(tags) = settings.tags {
        body["tags"] = json!(tags);
    }
    if let Some(plan) = settings.plan {
        body["relationships"]["service_plan"] = to_one(plan);
    }
    if let Some(parameters) = settings.parameters {
        body["parameters"] = json!(parameters);
    }
    if let Some(credentials) = settings.credentials {
        body["credentials"] = json!(credentials);
    }
    if let Some(url) = settings.syslog_drain_url {
        body["syslog_drain_url"] = json!(url.unwrap_or_default());
    }
    if let Some(url) = settings.route_service_url {
        body["route_service_url"] = json!(url.unwrap_or_default());
    }
    body
}

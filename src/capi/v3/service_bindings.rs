//! `/v3/service_credential_bindings` and `/v3/service_route_bindings`

use serde::Deserialize;

use super::{Guid, ToOne, list_by, list_items};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::transport::Request;

/// Removes the bindings of an app to the services with these names.
pub(in crate::capi) async fn unbind(
    client: &Client,
    what: &str,
    app: &str,
    services: &[&str],
) -> Result<(), Error> {
    let list = "/v3/service_credential_bindings";
    let (filter, of_app) = (
        "service_instance_names",
        format!("&type=app&app_guids={app}"),
    );
    let services = list_items(services);
    let bindings: Vec<Guid> = list_by(client, list, filter, &services, &of_app).await?;
    for guid in bindings.into_iter().filter_map(|binding| binding.guid) {
        let request = Request::delete(format!("{list}/{guid}"));
        client.delete(what, &request).await?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct BoundInstance {
    relationships: Related,
}

#[derive(Deserialize)]
struct Related {
    #[serde(default)]
    service_instance: ToOne,
}

/// The GUIDs of the service instances of all keys for some service instances.
pub(in crate::capi) async fn keys_of(
    client: &Client,
    instances: &[&str],
) -> Result<Vec<String>, Error> {
    instances_of(
        client,
        "/v3/service_credential_bindings",
        instances,
        "&type=key",
    )
    .await
}

/// The GUIDs of the service instances of all route bindings to some service instances.
pub(in crate::capi) async fn of_routes(
    client: &Client,
    instances: &[&str],
) -> Result<Vec<String>, Error> {
    instances_of(client, "/v3/service_route_bindings", instances, "").await
}

async fn instances_of(
    client: &Client,
    list: &str,
    instances: &[&str],
    rest: &str,
) -> Result<Vec<String>, Error> {
    let filter = "service_instance_guids";
    let bindings: Vec<BoundInstance> = list_by(client, list, filter, instances, rest).await?;
    let instances = bindings.into_iter();
    Ok(instances
        .filter_map(|binding| binding.relationships.service_instance.guid())
        .collect())
}

//! `/v3/service_instances`

use serde::Deserialize;

use super::list_by;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::ServiceInstance;

#[derive(Deserialize)]
struct WireInstance {
    name: String,
}

/// The service instances of some orgs.
pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
) -> Result<Vec<ServiceInstance>, Error> {
    let mut services = Vec::new();
    for org in orgs {
        let (list, filter) = ("/v3/service_instances", "organization_guids");
        let found = list_by::<WireInstance>(client, list, filter, &[org], "").await?;
        services.extend(found.into_iter().map(|instance| ServiceInstance {
            name: instance.name,
            org: (*org).to_owned(),
        }));
    }
    Ok(services)
}

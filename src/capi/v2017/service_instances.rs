//! `/v2/service_instances` and `/v2/user_provided_service_instances`

use serde::Deserialize;

use super::{MAX_PAGE_SIZE, V2};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::ServiceInstance;

const LISTS: [&str; 2] = [
    "/v2/service_instances",
    "/v2/user_provided_service_instances",
];

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
        for list in LISTS {
            let path = format!("{list}?q=organization_guid:{org}&{MAX_PAGE_SIZE}");
            let found: Vec<V2<WireInstance>> = client.list(&path).await?;
            services.extend(found.into_iter().map(|instance| ServiceInstance {
                name: instance.entity.name,
                org: (*org).to_owned(),
                ..ServiceInstance::default()
            }));
        }
    }
    Ok(services)
}

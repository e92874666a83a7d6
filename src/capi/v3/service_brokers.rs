//! `/v3/service_brokers`

use serde::Deserialize;

use super::list_by;
use crate::capi::client::Client;
use crate::capi::error::Error;

#[derive(Deserialize)]
struct WireBroker {
    name: String,
}

/// The names of the service brokers that are limited to some spaces.
pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<String>, Error> {
    let list = "/v3/service_brokers";
    let brokers = list_by::<WireBroker>(client, list, "space_guids", spaces, "").await?;
    Ok(brokers.into_iter().map(|broker| broker.name).collect())
}

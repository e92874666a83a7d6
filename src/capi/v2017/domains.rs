//! `/v2/shared_domains`

use serde::Deserialize;

use super::V2;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Domain, Ownership};

#[derive(Deserialize)]
struct WireDomain {
    name: String,
}

/// The domains that all orgs share.
pub(in crate::capi) async fn all(client: &Client) -> Result<Vec<Domain>, Error> {
    let domains: Vec<V2<WireDomain>> = client.list("/v2/shared_domains").await?;
    let domains = domains.into_iter().map(|domain| Domain {
        guid: domain.metadata.guid,
        name: domain.entity.name,
        is_for_apps: true,
        owner: None,
        ownership: Ownership::default(),
    });
    Ok(domains.collect())
}

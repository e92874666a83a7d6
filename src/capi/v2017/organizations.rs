//! `/v2/organizations`

use serde::Deserialize;
use serde_json::json;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Labels, Metadata, Org, Ownership};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireOrg {
    quota_definition_guid: Option<String>,
}

pub(in crate::capi) async fn named(client: &Client, names: &[&str]) -> Result<Vec<Org>, Error> {
    let orgs = super::named::<WireOrg>(client, "/v2/organizations?", names).await?;
    let orgs = orgs.into_iter().map(|(name, org)| Org {
        guid: org.metadata.guid,
        name,
        ownership: Ownership::default(),
        quota: org.entity.quota_definition_guid,
        labels: Labels::new(),
        annotations: Labels::new(),
    });
    Ok(orgs.collect())
}

pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    _metadata: &Metadata,
) -> Result<String, Error> {
    let request = Request::post("/v2/organizations").json(json!({"name": name}));
    client.create(&request).await
}

/// Orgs had no metadata.
pub(in crate::capi) async fn set_metadata(
    _client: &Client,
    _org: &str,
    _metadata: &Metadata,
) -> Result<(), Error> {
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, org: &str) -> Result<(), Error> {
    let path = format!("/v2/organizations/{org}?recursive=true&async=true");
    client.delete(what, &Request::delete(path)).await
}

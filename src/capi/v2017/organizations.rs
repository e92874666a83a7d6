//! `/v2/organizations`

use serde::Deserialize;
use serde_json::json;

use super::{MAX_PAGE_SIZE, V2};
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
        is_suspended: false,
        labels: Labels::new(),
        annotations: Labels::new(),
    });
    Ok(orgs.collect())
}

/// Orgs had no labels, so there is nothing to read.
pub(in crate::capi) async fn by_guids(
    _client: &Client,
    _guids: &[&str],
) -> Result<Vec<Org>, Error> {
    Ok(Vec::new())
}

/// The GUIDs of the orgs that a quota applies to.
pub(super) async fn with_quota(client: &Client, quota: &str) -> Result<Vec<String>, Error> {
    let orgs: Vec<V2<WireOrg>> = client
        .list(&format!("/v2/organizations?{MAX_PAGE_SIZE}"))
        .await?;
    let orgs = orgs.into_iter();
    let orgs = orgs.filter(|org| org.entity.quota_definition_guid.as_deref() == Some(quota));
    Ok(orgs.map(|org| org.metadata.guid).collect())
}

pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    _metadata: &Metadata,
) -> Result<String, Error> {
    let request = Request::post("/v2/organizations").json(json!({"name": name}));
    client.create(&request).await
}

/// Orgs had no metadata, so no request is sent.
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

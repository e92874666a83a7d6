//! `/v2/spaces`

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{MAX_PAGE_SIZE, V2};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Labels, Metadata, Ownership, Space};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireSpace {
    name: String,
}

/// The spaces of some orgs that have one of these names.
pub(in crate::capi) async fn named(
    client: &Client,
    orgs: &[&str],
    names: &[&str],
) -> Result<Vec<Space>, Error> {
    let mut spaces = Vec::new();
    for org in orgs {
        let list = format!("/v2/spaces?q=organization_guid:{org}&");
        let of_org = super::named::<IgnoredAny>(client, &list, names).await?;
        spaces.extend(of_org.into_iter().map(|(name, space)| Space {
            guid: space.metadata.guid,
            name,
            org: (*org).to_owned(),
            ownership: Ownership::default(),
            quota: None,
            labels: Labels::new(),
            annotations: Labels::new(),
        }));
    }
    Ok(spaces)
}

/// Spaces had no labels, so there is nothing to read.
pub(in crate::capi) async fn by_guids(
    _client: &Client,
    _guids: &[&str],
) -> Result<Vec<Space>, Error> {
    Ok(Vec::new())
}

pub(in crate::capi) async fn of_org_named(
    client: &Client,
    org: &str,
    name: &str,
) -> Result<Option<Space>, Error> {
    let orgs = super::organizations::named(client, &[org]).await?;
    let orgs: Vec<&str> = orgs.iter().map(|org| org.guid.as_str()).collect();
    Ok(named(client, &orgs, &[name]).await?.into_iter().next())
}

pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    org: &str,
    _metadata: &Metadata,
) -> Result<String, Error> {
    let body = json!({"name": name, "organization_guid": org});
    client.create(&Request::post("/v2/spaces").json(body)).await
}

/// Spaces had no metadata, so no request is sent.
pub(in crate::capi) async fn set_metadata(
    _client: &Client,
    _space: &str,
    _metadata: &Metadata,
) -> Result<(), Error> {
    Ok(())
}

/// All spaces of some orgs.
pub(in crate::capi) async fn of_orgs(client: &Client, orgs: &[&str]) -> Result<Vec<Space>, Error> {
    let mut spaces = Vec::new();
    for org in orgs {
        let path = format!("/v2/organizations/{org}/spaces?{MAX_PAGE_SIZE}");
        let of_org: Vec<V2<WireSpace>> = client.list(&path).await?;
        spaces.extend(of_org.into_iter().map(|space| Space {
            guid: space.metadata.guid,
            name: space.entity.name,
            org: (*org).to_owned(),
            ownership: Ownership::default(),
            quota: None,
            labels: Labels::new(),
            annotations: Labels::new(),
        }));
    }
    Ok(spaces)
}

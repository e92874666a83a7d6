//! `/v3/organizations`

use serde::Deserialize;
use serde_json::json;

use super::{MAX_PAGE_SIZE, ToOne, into_all, list_by, list_items, managed_by_us};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Metadata, Org};
use crate::capi::transport::Request;

#[derive(Deserialize)]
pub(super) struct WireOrg {
    guid: String,
    name: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    suspended: bool,
    relationships: Option<OrgRelationships>,
}

#[derive(Deserialize)]
struct OrgRelationships {
    quota: Option<ToOne>,
}

impl From<WireOrg> for Org {
    fn from(org: WireOrg) -> Self {
        let quota = org.relationships.and_then(|related| related.quota);
        Self {
            guid: org.guid,
            name: org.name,
            ownership: org.metadata.ownership(),
            quota: quota.and_then(ToOne::guid),
            is_suspended: org.suspended,
            labels: org.metadata.labels,
            annotations: org.metadata.annotations,
        }
    }
}

pub(in crate::capi) async fn named(client: &Client, names: &[&str]) -> Result<Vec<Org>, Error> {
    let names = list_items(names);
    let orgs = list_by::<WireOrg>(client, "/v3/organizations", "names", &names, "").await?;
    Ok(into_all(orgs))
}

/// The orgs with these GUIDs. Orgs that do not exist are missing.
pub(in crate::capi) async fn by_guids(client: &Client, guids: &[&str]) -> Result<Vec<Org>, Error> {
    let orgs = list_by::<WireOrg>(client, "/v3/organizations", "guids", guids, "").await?;
    Ok(into_all(orgs))
}

pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    metadata: &Metadata,
) -> Result<String, Error> {
    let mut body = json!({"name": name});
    if !metadata.is_empty() {
        body["metadata"] = json!(metadata);
    }
    let request = Request::post("/v3/organizations").json(body);
    client.create(&request).await
}

pub(in crate::capi) async fn set_metadata(
    client: &Client,
    org: &str,
    metadata: &Metadata,
) -> Result<(), Error> {
    let path = format!("/v3/organizations/{org}");
    let request = Request::patch(path).json(json!({"metadata": metadata}));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn set_suspended(
    client: &Client,
    org: &str,
    is_suspended: bool,
) -> Result<(), Error> {
    let path = format!("/v3/organizations/{org}");
    let request = Request::patch(path).json(json!({"suspended": is_suspended}));
    client.send(&request).await?;
    Ok(())
}

/// The orgs with our label, of any owner.
pub(in crate::capi) async fn managed(client: &Client) -> Result<Vec<Org>, Error> {
    let path = format!("/v3/organizations?{}&{MAX_PAGE_SIZE}", managed_by_us());
    Ok(into_all(client.list::<WireOrg>(&path).await?))
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, org: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/organizations/{org}"));
    client.delete(what, &request).await
}

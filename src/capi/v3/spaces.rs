//! `/v3/spaces`

use serde::Deserialize;
use serde_json::json;

use super::organizations::WireOrg;
use super::{
    MAX_PAGE_SIZE, ToOne, into_all, list_by, list_item, list_items, managed_by_us, to_one,
};
use crate::capi::chunks;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Metadata, Org, Space};
use crate::capi::transport::Request;

#[derive(Deserialize)]
pub(super) struct WireSpace {
    guid: String,
    name: String,
    #[serde(default)]
    metadata: Metadata,
    relationships: Option<SpaceRelationships>,
}

#[derive(Deserialize)]
struct SpaceRelationships {
    organization: Option<ToOne>,
    quota: Option<ToOne>,
}

/// The `included` resources of a page of spaces.
#[derive(Deserialize)]
struct Included {
    #[serde(default)]
    organizations: Vec<WireOrg>,
}

impl From<WireSpace> for Space {
    fn from(space: WireSpace) -> Self {
        let (org, quota) = match space.relationships {
            Some(related) => (related.organization, related.quota),
            None => (None, None),
        };
        Self {
            guid: space.guid,
            name: space.name,
            org: org.and_then(ToOne::guid).unwrap_or_default(),
            ownership: space.metadata.ownership(),
            quota: quota.and_then(ToOne::guid),
            labels: space.metadata.labels,
            annotations: space.metadata.annotations,
        }
    }
}

/// The spaces with these GUIDs. Spaces that do not exist are missing.
pub(in crate::capi) async fn by_guids(
    client: &Client,
    guids: &[&str],
) -> Result<Vec<Space>, Error> {
    let spaces = list_by::<WireSpace>(client, "/v3/spaces", "guids", guids, "").await?;
    Ok(into_all(spaces))
}

/// The spaces of some orgs that have one of these names.
pub(in crate::capi) async fn named(
    client: &Client,
    orgs: &[&str],
    names: &[&str],
) -> Result<Vec<Space>, Error> {
    let names = list_items(names);
    let mut spaces = Vec::new();
    for orgs in chunks::for_urls(orgs) {
        let of_orgs = format!("&organization_guids={orgs}");
        let some = list_by::<WireSpace>(client, "/v3/spaces", "names", &names, &of_orgs);
        spaces.extend(some.await?.into_iter().map(Space::from));
    }
    Ok(spaces)
}

/// All spaces of some orgs.
pub(in crate::capi) async fn of_orgs(client: &Client, orgs: &[&str]) -> Result<Vec<Space>, Error> {
    let (list, filter) = ("/v3/spaces", "organization_guids");
    let spaces = list_by::<WireSpace>(client, list, filter, orgs, "").await?;
    Ok(into_all(spaces))
}

/// Finds a space by the names of its org and itself. One request lists the spaces with
/// that name in all orgs, together with the orgs.
pub(in crate::capi) async fn of_org_named(
    client: &Client,
    org: &str,
    name: &str,
) -> Result<Option<Space>, Error> {
    let name = list_item(name);
    let path = format!("/v3/spaces?names={name}&include=organization&{MAX_PAGE_SIZE}");
    let (spaces, included) = client
        .list_including::<WireSpace, Included>(&path, 1)
        .await?;
    let orgs = included.into_iter().flat_map(|page| page.organizations);
    let org = orgs.map(Org::from).find(|it| it.name == org);
    let Some(org) = org else {
        return Ok(None);
    };
    let mut spaces = spaces.into_iter().map(Space::from);
    Ok(spaces.find(|space| space.org == org.guid))
}

pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    org: &str,
    metadata: &Metadata,
) -> Result<String, Error> {
    let mut body = json!({
        "name": name,
        "relationships": {"organization": to_one(org)},
    });
    if !metadata.is_empty() {
        body["metadata"] = json!(metadata);
    }
    client.create(&Request::post("/v3/spaces").json(body)).await
}

pub(in crate::capi) async fn set_metadata(
    client: &Client,
    space: &str,
    metadata: &Metadata,
) -> Result<(), Error> {
    let request = Request::patch(format!("/v3/spaces/{space}")).json(json!({"metadata": metadata}));
    client.send(&request).await?;
    Ok(())
}

/// The spaces with our label, of any owner.
pub(in crate::capi) async fn managed(client: &Client) -> Result<Vec<Space>, Error> {
    let path = format!("/v3/spaces?{}&{MAX_PAGE_SIZE}", managed_by_us());
    Ok(into_all(client.list::<WireSpace>(&path).await?))
}

#[derive(Deserialize)]
struct Feature {
    enabled: bool,
}

/// Whether a feature of a space, such as `ssh`, is enabled.
pub(in crate::capi) async fn feature(
    client: &Client,
    space: &str,
    feature: &str,
) -> Result<bool, Error> {
    let path = format!("/v3/spaces/{space}/features/{feature}");
    Ok(client.get::<Feature>(&path).await?.enabled)
}

pub(in crate::capi) async fn set_feature(
    client: &Client,
    space: &str,
    feature: &str,
    is_enabled: bool,
) -> Result<(), Error> {
    let path = format!("/v3/spaces/{space}/features/{feature}");
    let request = Request::patch(path).json(json!({"enabled": is_enabled}));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, space: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/spaces/{space}"));
    client.delete(what, &request).await
}

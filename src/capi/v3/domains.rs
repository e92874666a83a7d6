//! `/v3/domains`

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{MAX_PAGE_SIZE, OurMetadata, ToOne, into_all, to_one};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Domain, Metadata};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireDomain {
    guid: String,
    name: String,
    #[serde(default)]
    metadata: OurMetadata,
    #[serde(default)]
    internal: bool,
    router_group: Option<IgnoredAny>,
    relationships: Option<DomainRelationships>,
}

#[derive(Deserialize)]
struct DomainRelationships {
    organization: Option<ToOne>,
}

impl From<WireDomain> for Domain {
    fn from(domain: WireDomain) -> Self {
        let owner = domain
            .relationships
            .and_then(|related| related.organization);
        Self {
            guid: domain.guid,
            name: domain.name,
            is_for_apps: !domain.internal && domain.router_group.is_none(),
            owner: owner.and_then(ToOne::guid),
            ownership: domain.metadata.ownership(),
        }
    }
}

/// All domains that the user can see, in the foundation's order.
pub(in crate::capi) async fn all(client: &Client) -> Result<Vec<Domain>, Error> {
    let path = format!("/v3/domains?{MAX_PAGE_SIZE}");
    Ok(into_all(client.list::<WireDomain>(&path).await?))
}

/// Creates a private domain of an org, or a shared domain if `org` is `None`.
pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    org: Option<&str>,
    metadata: &Metadata,
) -> Result<String, Error> {
    let mut body = json!({"name": name, "metadata": metadata});
    if let Some(org) = org {
        body["relationships"] = json!({"organization": to_one(org)});
    }
    client
        .create(&Request::post("/v3/domains").json(body))
        .await
}

pub(in crate::capi) async fn set_metadata(
    client: &Client,
    domain: &str,
    metadata: &Metadata,
) -> Result<(), Error> {
    let path = format!("/v3/domains/{domain}");
    let request = Request::patch(path).json(json!({"metadata": metadata}));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(
    client: &Client,
    what: &str,
    domain: &str,
) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/domains/{domain}"));
    client.delete(what, &request).await
}

//! `/v3/domains`

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{LARGEST_PAGE, ToOne, into_all};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::Domain;

#[derive(Deserialize)]
struct WireDomain {
    guid: String,
    name: String,
    #[serde(default)]
    internal: bool,
    router_group: Option<IgnoredAny>,
    relationships: Option<OfOrg>,
}

#[derive(Deserialize)]
struct OfOrg {
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
        }
    }
}

/// All domains that the user can see, in the foundation's order.
pub(in crate::capi) async fn all(client: &Client) -> Result<Vec<Domain>, Error> {
    let path = format!("/v3/domains?{LARGEST_PAGE}");
    Ok(into_all(client.list::<WireDomain>(&path).await?))
}

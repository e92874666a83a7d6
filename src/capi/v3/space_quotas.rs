//! `/v3/space_quotas`

use serde::Deserialize;
use serde_json::json;

use super::quotas::{WireLimits, add_limits};
use super::{ToMany, ToOne, into_all, list_by, list_items, to_many, to_one};
use crate::capi::chunks;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Limits, SpaceQuota};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireQuota {
    guid: String,
    name: String,
    #[serde(flatten)]
    limits: WireLimits,
    relationships: Option<QuotaRelationships>,
}

#[derive(Deserialize)]
struct QuotaRelationships {
    organization: Option<ToOne>,
    #[serde(default)]
    spaces: ToMany,
}

impl From<WireQuota> for SpaceQuota {
    fn from(quota: WireQuota) -> Self {
        let (org, spaces) = match quota.relationships {
            Some(related) => (related.organization, related.spaces),
            None => (None, ToMany::default()),
        };
        Self {
            guid: quota.guid,
            name: quota.name,
            org: org.and_then(ToOne::guid).unwrap_or_default(),
            spaces: spaces.guids(),
            limits: quota.limits.limits(),
        }
    }
}

/// The quotas of some orgs that have one of these names.
pub(in crate::capi) async fn named(
    client: &Client,
    orgs: &[&str],
    names: &[&str],
) -> Result<Vec<SpaceQuota>, Error> {
    let (list, names) = ("/v3/space_quotas", list_items(names));
    let mut quotas = Vec::new();
    for orgs in chunks::for_urls(orgs) {
        let of_orgs = format!("&organization_guids={orgs}");
        quotas.extend(list_by::<WireQuota>(client, list, "names", &names, &of_orgs).await?);
    }
    Ok(into_all(quotas))
}

/// All quotas of some orgs.
pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
) -> Result<Vec<SpaceQuota>, Error> {
    let (list, filter) = ("/v3/space_quotas", "organization_guids");
    let quotas = list_by::<WireQuota>(client, list, filter, orgs, "").await?;
    Ok(into_all(quotas))
}

/// Creates a quota with only these limits.
pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    org: &str,
    limits: &Limits,
) -> Result<String, Error> {
    let mut body = json!({"name": name, "relationships": {"organization": to_one(org)}});
    add_limits(&mut body, limits);
    client
        .create(&Request::post("/v3/space_quotas").json(body))
        .await
}

pub(in crate::capi) async fn set_limits(
    client: &Client,
    quota: &str,
    limits: &Limits,
) -> Result<(), Error> {
    let path = format!("/v3/space_quotas/{quota}");
    client
        .send(&Request::patch(path).json(json!(limits)))
        .await?;
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, quota: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/space_quotas/{quota}"));
    client.delete(what, &request).await
}

/// Applies it to one more space.
pub(in crate::capi) async fn apply(client: &Client, quota: &str, space: &str) -> Result<(), Error> {
    let path = format!("/v3/space_quotas/{quota}/relationships/spaces");
    let request = Request::post(path).json(to_many(&[space])).repeatable();
    client.send(&request).await?;
    Ok(())
}

//! `/v3/organization_quotas`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToMany, into_all, list_by, list_items, to_many};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Limits, OrgQuota};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireQuota {
    guid: String,
    name: String,
    #[serde(flatten)]
    limits: WireLimits,
    relationships: Option<QuotaRelationships>,
}

/// The limits of a quota of orgs or spaces.
#[derive(Deserialize)]
pub(super) struct WireLimits {
    #[serde(default)]
    apps: Section,
    #[serde(default)]
    services: Section,
    #[serde(default)]
    routes: Section,
    #[serde(default)]
    domains: Section,
}

/// Limits by name: numbers, or `None` for no limit. `paid_services_allowed` is a flag.
type Section = BTreeMap<String, Option<Value>>;

impl WireLimits {
    pub(super) fn limits(self) -> Limits {
        let sections = [
            ("apps", self.apps),
            ("services", self.services),
            ("routes", self.routes),
            ("domains", self.domains),
        ];
        let sections = sections.into_iter();
        let sections = sections.map(|(name, limits)| (name.to_owned(), limits));
        sections.collect()
    }
}

/// Whether all limits have the values of a quota that was created without limits.
fn is_unlimited(limits: &Limits) -> bool {
    let mut limits = limits.values().flat_map(BTreeMap::values);
    limits.all(|limit| limit.is_none() || *limit == Some(Value::Bool(true)))
}

#[derive(Deserialize)]
struct QuotaRelationships {
    #[serde(default)]
    organizations: ToMany,
}

impl From<WireQuota> for OrgQuota {
    fn from(quota: WireQuota) -> Self {
        let limits = quota.limits.limits();
        let memory = limits
            .get("apps")
            .and_then(|it| it.get("total_memory_in_mb"));
        Self {
            is_unlimited: is_unlimited(&limits),
            memory_mb: memory.and_then(|it| it.as_ref()?.as_u64()),
            limits,
            orgs: match quota.relationships {
                Some(related) => related.organizations.guids(),
                None => Vec::new(),
            },
            guid: quota.guid,
            name: quota.name,
        }
    }
}

pub(in crate::capi) async fn named(
    client: &Client,
    names: &[&str],
) -> Result<Vec<OrgQuota>, Error> {
    let (list, names) = ("/v3/organization_quotas", list_items(names));
    let quotas = list_by::<WireQuota>(client, list, "names", &names, "").await?;
    Ok(into_all(quotas))
}

pub(in crate::capi) async fn by_guids(
    client: &Client,
    guids: &[&str],
) -> Result<Vec<OrgQuota>, Error> {
    let list = "/v3/organization_quotas";
    let quotas = list_by::<WireQuota>(client, list, "guids", guids, "").await?;
    Ok(into_all(quotas))
}

/// Creates a quota with only these limits.
pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    limits: &Limits,
) -> Result<String, Error> {
    let mut body = json!({"name": name});
    add_limits(&mut body, limits);
    let request = Request::post("/v3/organization_quotas").json(body);
    client.create(&request).await
}

pub(in crate::capi) async fn set_limits(
    client: &Client,
    quota: &str,
    limits: &Limits,
) -> Result<(), Error> {
    let path = format!("/v3/organization_quotas/{quota}");
    client
        .send(&Request::patch(path).json(json!(limits)))
        .await?;
    Ok(())
}

pub(super) fn add_limits(body: &mut Value, limits: &Limits) {
    for (section, limits) in limits {
        body[section] = json!(limits);
    }
}

pub(in crate::capi) async fn assign(client: &Client, quota: &str, org: &str) -> Result<(), Error> {
    let path = format!("/v3/organization_quotas/{quota}/relationships/organizations");
    let request = Request::post(path).json(to_many(&[org])).repeatable();
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, quota: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/organization_quotas/{quota}"));
    client.delete(what, &request).await
}

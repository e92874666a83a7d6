//! `/v3/organization_quotas`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToMany, into_all, list_by, list_items, to_many};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::OrgQuota;
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireQuota {
    guid: String,
    name: String,
    #[serde(default)]
    apps: Limits,
    #[serde(default)]
    services: Limits,
    #[serde(default)]
    routes: Limits,
    #[serde(default)]
    domains: Limits,
    relationships: Option<OfOrgs>,
}

/// Limits by their names: none, or numbers; only `paid_services_allowed` is a flag.
type Limits = BTreeMap<String, Option<Value>>;

#[derive(Deserialize)]
struct OfOrgs {
    #[serde(default)]
    organizations: ToMany,
}

impl WireQuota {
    fn is_unlimited(&self) -> bool {
        let parts = [&self.apps, &self.services, &self.routes, &self.domains];
        let mut limits = parts.into_iter().flat_map(|part| part.values());
        limits.all(|limit| limit.is_none() || *limit == Some(Value::Bool(true)))
    }

    fn memory_mb(&self) -> Option<u64> {
        let limit = self.apps.get("total_memory_in_mb")?;
        limit.as_ref()?.as_u64()
    }
}

impl From<WireQuota> for OrgQuota {
    fn from(quota: WireQuota) -> Self {
        Self {
            is_unlimited: quota.is_unlimited(),
            memory_mb: quota.memory_mb(),
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

/// A quota without a limit.
pub(in crate::capi) async fn create(client: &Client, name: &str) -> Result<String, Error> {
    let request = Request::post("/v3/organization_quotas").json(json!({"name": name}));
    client.create(&request).await
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

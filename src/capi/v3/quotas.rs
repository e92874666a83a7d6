//! `/v3/organization_quotas`

use serde::Deserialize;
use serde_json::json;

use super::{into_all, list_by, list_items, to_many};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::OrgQuota;
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireQuota {
    guid: String,
    name: String,
}

impl From<WireQuota> for OrgQuota {
    fn from(quota: WireQuota) -> Self {
        Self {
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

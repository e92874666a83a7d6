//! `/v2/quota_definitions`

use serde::de::IgnoredAny;
use serde_json::json;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::OrgQuota;
use crate::capi::transport::Request;

/// More memory than any foundation has, in MB: v2 knows no "unlimited".
const MEMORY_LIMIT: u64 = 1_000_000_000;

pub(in crate::capi) async fn named(
    client: &Client,
    names: &[&str],
) -> Result<Vec<OrgQuota>, Error> {
    let quotas = super::named::<IgnoredAny>(client, "/v2/quota_definitions?", names).await?;
    let quotas = quotas.into_iter().map(|(name, quota)| OrgQuota {
        guid: quota.metadata.guid,
        name,
    });
    Ok(quotas.collect())
}

/// A quota without a limit.
pub(in crate::capi) async fn create(client: &Client, name: &str) -> Result<String, Error> {
    let request = Request::post("/v2/quota_definitions").json(json!({
        "name": name,
        "non_basic_services_allowed": true,
        "total_services": -1,
        "total_routes": -1,
        "memory_limit": MEMORY_LIMIT,
        "instance_memory_limit": -1,
        "app_instance_limit": -1,
    }));
    client.create(&request).await
}

pub(in crate::capi) async fn assign(client: &Client, quota: &str, org: &str) -> Result<(), Error> {
    let request = Request::put(format!("/v2/organizations/{org}"))
        .json(json!({"quota_definition_guid": quota}));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, quota: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v2/quota_definitions/{quota}"));
    client.delete(what, &request).await
}

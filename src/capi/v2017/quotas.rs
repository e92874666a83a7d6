//! `/v2/quota_definitions`

use serde::Deserialize;
use serde_json::json;

use super::{missing, organizations};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Limits, OrgQuota};
use crate::capi::parallel;
use crate::capi::transport::Request;

/// More memory than any foundation has, in MB: v2 has no value for "unlimited".
const MEMORY_LIMIT: u64 = 1_000_000_000;

pub(in crate::capi) async fn named(
    client: &Client,
    names: &[&str],
) -> Result<Vec<OrgQuota>, Error> {
    let quotas = super::named::<WireQuota>(client, "/v2/quota_definitions?", names).await?;
    let quotas = quotas.into_iter().map(|(name, quota)| async move {
        let guid = quota.metadata.guid;
        Ok::<_, Error>(OrgQuota {
            orgs: organizations::with_quota(client, &guid).await?,
            is_unlimited: quota.entity.is_unlimited(),
            limits: Limits::new(),
            memory_mb: Some(quota.entity.memory_limit).filter(|limit| *limit < MEMORY_LIMIT),
            guid,
            name,
        })
    });
    parallel::run(parallel::PER_APP, quotas).await
}

#[derive(Deserialize)]
struct WireQuota {
    non_basic_services_allowed: bool,
    total_services: i64,
    total_routes: i64,
    memory_limit: u64,
    instance_memory_limit: Option<i64>,
    app_instance_limit: Option<i64>,
}

impl WireQuota {
    /// Whether it has the limits that [`create`] sets.
    fn is_unlimited(&self) -> bool {
        let limits = [
            Some(self.total_services),
            Some(self.total_routes),
            self.instance_memory_limit,
            self.app_instance_limit,
        ];
        let mut limits = limits.into_iter().flatten();
        self.non_basic_services_allowed
            && self.memory_limit >= MEMORY_LIMIT
            && limits.all(|limit| limit == -1)
    }
}

/// Creates a quota without limits.
pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    limits: &Limits,
) -> Result<String, Error> {
    if !limits.is_empty() {
        return Err(missing("limiting a quota"));
    }
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

pub(in crate::capi) async fn set_limits(
    _client: &Client,
    _quota: &str,
    _limits: &Limits,
) -> Result<(), Error> {
    Err(missing("limiting a quota"))
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

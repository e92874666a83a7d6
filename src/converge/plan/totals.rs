//! Adds up the sizes of the apps of an org, and shows them against its quota.

use std::fmt;

use serde::Serialize;

use super::PlannedSize;
use crate::converge::observe::Observed;
use crate::desired::Desired;

/// The memory of an instance without a declared size, in MB: the Cloud Controller's
/// default of `default_app_memory`.
const DEFAULT_MEMORY_MB: u64 = 1024;

const MB_PER_GB: u64 = 1024;

/// The total size of the desired apps of an org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OrgTotals {
    /// The org's name.
    pub org: String,
    /// The number of apps.
    pub apps: u64,
    /// The number of instances.
    pub instances: u64,
    /// The memory of all instances, in MB. An instance without a declared size counts as
    /// 1024 MB, the Cloud Controller's default.
    pub memory_mb: u64,
    /// The org's quota, if the desired state names one.
    pub quota: Option<String>,
    /// The memory that the quota allows, in MB. `None` means no limit.
    pub quota_memory_mb: Option<u64>,
}

impl OrgTotals {
    /// The totals of each org, in order.
    pub(super) fn of(desired: &Desired, observed: &Observed) -> Vec<Self> {
        let orgs = desired.orgs().iter().map(|org| {
            let quota = org.quota.as_ref().and_then(|it| observed.quotas.get(it));
            let mut totals = Self {
                org: org.name.clone(),
                apps: 0,
                instances: 0,
                memory_mb: 0,
                quota: org.quota.clone(),
                quota_memory_mb: quota.and_then(|quota| quota.memory_mb),
            };
            for group in org.spaces.iter().flat_map(|space| &space.groups) {
                let size = PlannedSize::of(&group.entry);
                let instances = u64::from(group.count).saturating_mul(size.instances.into());
                let memory = size.memory_mb.unwrap_or(DEFAULT_MEMORY_MB);
                totals.apps += u64::from(group.count);
                totals.instances = totals.instances.saturating_add(instances);
                let memory = instances.saturating_mul(memory);
                totals.memory_mb = totals.memory_mb.saturating_add(memory);
            }
            totals
        });
        orgs.collect()
    }
}

impl fmt::Display for OrgTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            org,
            apps,
            instances,
            ..
        } = self;
        let memory = size(self.memory_mb);
        let plural = |count: &u64| if *count == 1 { "" } else { "s" };
        write!(
            f,
            "{org}: {apps} app{}, {instances} instance{}, {memory}",
            plural(apps),
            plural(instances)
        )?;
        match (&self.quota, self.quota_memory_mb) {
            (Some(quota), Some(limit)) => write!(f, " of {} (quota {quota})", size(limit)),
            (Some(quota), None) => write!(f, " (quota {quota}: no limit)"),
            (None, _) => Ok(()),
        }
    }
}

/// A size in MB, or in GB if it is at least 10 GB.
fn size(mb: u64) -> String {
    match mb {
        0..10_240 => format!("{mb} MB"),
        _ => format!("{}.{} GB", mb / MB_PER_GB, mb % MB_PER_GB * 10 / MB_PER_GB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shown_against_the_quota() {
        let mut totals = OrgTotals {
            org: "scale-org".to_owned(),
            apps: 201,
            instances: 401,
            memory_mb: 401 * 32,
            quota: None,
            quota_memory_mb: None,
        };
        let without = totals.to_string();
        totals.quota = Some("scale-quota".to_owned());
        let unlimited = totals.to_string();
        totals.quota_memory_mb = Some(9999);
        let limited = totals.to_string();
        insta::assert_snapshot!([without, unlimited, limited].join("\n"), @"
        scale-org: 201 apps, 401 instances, 12.5 GB
        scale-org: 201 apps, 401 instances, 12.5 GB (quota scale-quota: no limit)
        scale-org: 201 apps, 401 instances, 12.5 GB of 9999 MB (quota scale-quota)
        ");
    }
}

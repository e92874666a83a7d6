//! Orgs and their quotas.

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Limits, Metadata, Org, OrgQuota};

impl Client {
    pub(crate) async fn orgs_named(&self, names: &[&str]) -> Result<Vec<Org>, Error> {
        in_dialect!(self, organizations::named(names))
    }

    /// The orgs with these GUIDs, with their labels. Empty in 2017.
    pub(crate) async fn orgs_by_guids(&self, guids: &[&str]) -> Result<Vec<Org>, Error> {
        in_dialect!(self, organizations::by_guids(guids))
    }

    /// Creates an org and returns its GUID. In 2017, orgs had no metadata.
    pub(crate) async fn create_org(
        &self,
        name: &str,
        metadata: &Metadata,
    ) -> Result<String, Error> {
        in_dialect!(self, organizations::create(name, metadata))
    }

    /// Deletes an org and everything in it. Succeeds if it does not exist.
    pub(crate) async fn delete_org(&self, what: &str, org: &str) -> Result<(), Error> {
        in_dialect!(self, organizations::delete(what, org))
    }

    /// Sets labels and annotations, and removes labels and annotations without a value.
    /// All others are kept. In 2017, no request is sent.
    pub(crate) async fn set_org_metadata(
        &self,
        org: &str,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        in_dialect!(self, organizations::set_metadata(org, metadata))
    }

    pub(crate) async fn quotas_named(&self, names: &[&str]) -> Result<Vec<OrgQuota>, Error> {
        in_dialect!(self, quotas::named(names))
    }

    /// Creates a quota with only these limits and returns its GUID.
    pub(crate) async fn create_quota(&self, name: &str, limits: &Limits) -> Result<String, Error> {
        in_dialect!(self, quotas::create(name, limits))
    }

    /// Sets limits of a quota. All others are kept.
    pub(crate) async fn set_quota_limits(&self, quota: &str, limits: &Limits) -> Result<(), Error> {
        in_dialect!(self, quotas::set_limits(quota, limits))
    }

    pub(crate) async fn assign_quota(&self, quota: &str, org: &str) -> Result<(), Error> {
        in_dialect!(self, quotas::assign(quota, org))
    }

    /// Deletes a quota. Succeeds if it does not exist.
    pub(crate) async fn delete_quota(&self, what: &str, quota: &str) -> Result<(), Error> {
        in_dialect!(self, quotas::delete(what, quota))
    }
}

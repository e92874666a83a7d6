//! The operations that only an export needs. They list resources whose names are not
//! known. The API of 2017 does not have them.

use std::path::Path;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{OrgQuota, SecurityGroup, ServicePlan, SpaceQuota};

impl Client {
    pub(crate) async fn quotas_by_guids(&self, guids: &[&str]) -> Result<Vec<OrgQuota>, Error> {
        in_v3!(self, "listing quotas", quotas::by_guids(guids))
    }

    /// All space quotas of some orgs.
    pub(crate) async fn space_quotas_of_orgs(
        &self,
        orgs: &[&str],
    ) -> Result<Vec<SpaceQuota>, Error> {
        in_v3!(self, "listing space quotas", space_quotas::of_orgs(orgs))
    }

    /// The security groups that are bound to some spaces, for running apps.
    pub(crate) async fn security_groups_of_spaces(
        &self,
        spaces: &[&str],
    ) -> Result<Vec<SecurityGroup>, Error> {
        in_v3!(
            self,
            "listing security groups",
            security_groups::of_spaces(spaces)
        )
    }

    /// The security groups that are bound to some spaces, for stagings.
    pub(crate) async fn staging_groups_of_spaces(
        &self,
        spaces: &[&str],
    ) -> Result<Vec<SecurityGroup>, Error> {
        in_v3!(
            self,
            "listing security groups",
            security_groups::staging_of_spaces(spaces)
        )
    }

    /// The names of the service brokers that are limited to some spaces.
    pub(crate) async fn service_brokers_of_spaces(
        &self,
        spaces: &[&str],
    ) -> Result<Vec<String>, Error> {
        in_v3!(
            self,
            "listing service brokers",
            service_brokers::of_spaces(spaces)
        )
    }

    /// The GUIDs of the service instances of all keys for some service instances.
    pub(crate) async fn service_keys_of(&self, instances: &[&str]) -> Result<Vec<String>, Error> {
        in_v3!(
            self,
            "listing service keys",
            service_bindings::keys_of(instances)
        )
    }

    /// The GUIDs of the service instances of all route bindings to some service
    /// instances.
    pub(crate) async fn route_bindings_of(&self, instances: &[&str]) -> Result<Vec<String>, Error> {
        in_v3!(
            self,
            "listing bindings of routes",
            service_bindings::of_routes(instances)
        )
    }

    pub(crate) async fn service_plans_by_guids(
        &self,
        guids: &[&str],
    ) -> Result<Vec<ServicePlan>, Error> {
        in_v3!(
            self,
            "listing service plans",
            service_plans::by_guids(guids)
        )
    }

    /// Downloads a droplet to a file, which is created or replaced.
    pub(crate) async fn download_droplet(&self, droplet: &str, file: &Path) -> Result<(), Error> {
        in_v3!(
            self,
            "downloading a droplet",
            droplets::download(droplet, file)
        )
    }
}

//! Spaces, security groups and domains.

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Domain, Enabled, Metadata, NewSecurityGroup, Rule, SecurityGroup, Space};

impl Client {
    pub(crate) async fn spaces_of_orgs(&self, orgs: &[&str]) -> Result<Vec<Space>, Error> {
        in_dialect!(self, spaces::of_orgs(orgs))
    }

    /// The spaces with these GUIDs, with their labels. Empty in 2017.
    pub(crate) async fn spaces_by_guids(&self, guids: &[&str]) -> Result<Vec<Space>, Error> {
        in_dialect!(self, spaces::by_guids(guids))
    }

    /// See [`Client::set_org_metadata`].
    pub(crate) async fn set_space_metadata(
        &self,
        space: &str,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        in_dialect!(self, spaces::set_metadata(space, metadata))
    }

    /// The spaces of some orgs that have one of these names.
    pub(crate) async fn spaces_named(
        &self,
        orgs: &[&str],
        names: &[&str],
    ) -> Result<Vec<Space>, Error> {
        in_dialect!(self, spaces::named(orgs, names))
    }

    /// Finds a space by the names of its org and itself.
    pub(crate) async fn space_of_org_named(
        &self,
        org: &str,
        name: &str,
    ) -> Result<Option<Space>, Error> {
        in_dialect!(self, spaces::of_org_named(org, name))
    }

    /// Creates a space and returns its GUID. In 2017, spaces had no metadata.
    pub(crate) async fn create_space(
        &self,
        name: &str,
        org: &str,
        metadata: &Metadata,
    ) -> Result<String, Error> {
        in_dialect!(self, spaces::create(name, org, metadata))
    }

    pub(crate) async fn security_groups_named(
        &self,
        names: &[&str],
    ) -> Result<Vec<SecurityGroup>, Error> {
        in_dialect!(self, security_groups::named(names))
    }

    /// Creates a security group and returns its GUID.
    pub(crate) async fn create_security_group(
        &self,
        group: &NewSecurityGroup<'_>,
    ) -> Result<String, Error> {
        in_dialect!(self, security_groups::create(group))
    }

    /// Sets whether a security group applies to all spaces.
    pub(crate) async fn enable_security_group(
        &self,
        group: &str,
        enabled: Enabled,
    ) -> Result<(), Error> {
        in_dialect!(self, security_groups::enable(group, enabled))
    }

    pub(crate) async fn update_security_group(
        &self,
        group: &str,
        rules: &[Rule],
    ) -> Result<(), Error> {
        in_dialect!(self, security_groups::update(group, rules))
    }

    /// Binds a security group to more spaces, for running apps.
    pub(crate) async fn bind_security_group(
        &self,
        group: &str,
        spaces: &[&str],
    ) -> Result<(), Error> {
        in_dialect!(self, security_groups::bind(group, spaces))
    }

    /// Unbinds a security group from the running apps of a space.
    pub(crate) async fn unbind_security_group(
        &self,
        group: &str,
        space: &str,
    ) -> Result<(), Error> {
        in_dialect!(self, security_groups::unbind(group, space))
    }

    /// Deletes a security group. Succeeds if it does not exist.
    pub(crate) async fn delete_security_group(&self, what: &str, group: &str) -> Result<(), Error> {
        in_dialect!(self, security_groups::delete(what, group))
    }

    /// The domains that the user can see, in the foundation's order. In 2017, the shared
    /// domains.
    pub(crate) async fn domains(&self) -> Result<Vec<Domain>, Error> {
        in_dialect!(self, domains::all())
    }
}

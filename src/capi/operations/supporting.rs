//! The operations for quotas of spaces, domains, feature flags, users, roles, isolation
//! segments and service instances. The API of 2017 does not have them.

use serde_json::{Map, Value};

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{
    FeatureFlag, IsolationSegment, Limits, Metadata, NewServiceInstance, Org, Role,
    ServiceInstance, ServicePlan, ServiceSettings, Space, SpaceQuota, User,
};

impl Client {
    /// The orgs with our label, of any owner.
    pub(crate) async fn managed_orgs(&self) -> Result<Vec<Org>, Error> {
        in_v3!(self, "listing orgs by label", organizations::managed())
    }

    /// The spaces with our label, of any owner.
    pub(crate) async fn managed_spaces(&self) -> Result<Vec<Space>, Error> {
        in_v3!(self, "listing spaces by label", spaces::managed())
    }

    pub(crate) async fn set_suspended(&self, org: &str, is_suspended: bool) -> Result<(), Error> {
        in_v3!(
            self,
            "suspending an org",
            organizations::set_suspended(org, is_suspended)
        )
    }

    /// Deletes a space. Succeeds if it does not exist.
    pub(crate) async fn delete_space(&self, what: &str, space: &str) -> Result<(), Error> {
        in_v3!(self, "deleting a space", spaces::delete(what, space))
    }

    /// Whether a feature of a space, such as `ssh`, is enabled.
    pub(crate) async fn space_feature(&self, space: &str, feature: &str) -> Result<bool, Error> {
        in_v3!(
            self,
            "reading a feature of a space",
            spaces::feature(space, feature)
        )
    }

    pub(crate) async fn set_space_feature(
        &self,
        space: &str,
        feature: &str,
        is_enabled: bool,
    ) -> Result<(), Error> {
        in_v3!(
            self,
            "changing a feature of a space",
            spaces::set_feature(space, feature, is_enabled)
        )
    }

    pub(crate) async fn space_quotas_named(
        &self,
        orgs: &[&str],
        names: &[&str],
    ) -> Result<Vec<SpaceQuota>, Error> {
        in_v3!(
            self,
            "listing space quotas",
            space_quotas::named(orgs, names)
        )
    }

    /// Creates a quota with only these limits and returns its GUID.
    pub(crate) async fn create_space_quota(
        &self,
        name: &str,
        org: &str,
        limits: &Limits,
    ) -> Result<String, Error> {
        in_v3!(
            self,
            "creating a space quota",
            space_quotas::create(name, org, limits)
        )
    }

    /// Sets limits of a quota. All others are kept.
    pub(crate) async fn set_space_quota_limits(
        &self,
        quota: &str,
        limits: &Limits,
    ) -> Result<(), Error> {
        in_v3!(
            self,
            "limiting a space quota",
            space_quotas::set_limits(quota, limits)
        )
    }

    pub(crate) async fn apply_space_quota(&self, quota: &str, space: &str) -> Result<(), Error> {
        in_v3!(
            self,
            "applying a space quota",
            space_quotas::apply(quota, space)
        )
    }

    /// Creates a private domain of an org, or a shared domain if `org` is `None`, and
    /// returns its GUID.
    pub(crate) async fn create_domain(
        &self,
        name: &str,
        org: Option<&str>,
        metadata: &Metadata,
    ) -> Result<String, Error> {
        in_v3!(
            self,
            "creating a domain",
            domains::create(name, org, metadata)
        )
    }

    /// See [`Client::set_org_metadata`].
    pub(crate) async fn set_domain_metadata(
        &self,
        domain: &str,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        in_v3!(
            self,
            "labelling a domain",
            domains::set_metadata(domain, metadata)
        )
    }

    /// Deletes a domain. Succeeds if it does not exist.
    pub(crate) async fn delete_domain(&self, what: &str, domain: &str) -> Result<(), Error> {
        in_v3!(self, "deleting a domain", domains::delete(what, domain))
    }

    pub(crate) async fn feature_flags(&self) -> Result<Vec<FeatureFlag>, Error> {
        in_v3!(self, "listing feature flags", feature_flags::all())
    }

    pub(crate) async fn set_feature_flag(&self, name: &str, is_enabled: bool) -> Result<(), Error> {
        in_v3!(
            self,
            "changing a feature flag",
            feature_flags::set(name, is_enabled)
        )
    }

    /// The users with these names, of all identity providers.
    pub(crate) async fn users_named(&self, names: &[&str]) -> Result<Vec<User>, Error> {
        in_v3!(self, "listing users", users::named(names))
    }

    /// Creates a user of an identity provider other than the UAA itself and returns the
    /// GUID.
    pub(crate) async fn create_user(
        &self,
        name: &str,
        origin: &str,
        metadata: &Metadata,
    ) -> Result<String, Error> {
        in_v3!(
            self,
            "creating a user",
            users::create(name, origin, metadata)
        )
    }

    /// The users with our label, of any owner.
    pub(crate) async fn managed_users(&self) -> Result<Vec<User>, Error> {
        in_v3!(self, "listing users by label", users::managed())
    }

    /// The roles of some users in all orgs and spaces.
    pub(crate) async fn roles_of_users(&self, users: &[&str]) -> Result<Vec<Role>, Error> {
        in_v3!(self, "listing roles", roles::of_users(users))
    }

    /// Deletes a role. Succeeds if it does not exist.
    pub(crate) async fn delete_role(&self, what: &str, role: &str) -> Result<(), Error> {
        in_v3!(self, "deleting a role", roles::delete(what, role))
    }

    /// Deletes a space quota. Succeeds if it does not exist.
    pub(crate) async fn delete_space_quota(&self, what: &str, quota: &str) -> Result<(), Error> {
        in_v3!(
            self,
            "deleting a space quota",
            space_quotas::delete(what, quota)
        )
    }

    /// Deletes a user. Succeeds if it does not exist.
    pub(crate) async fn delete_user(&self, what: &str, user: &str) -> Result<(), Error> {
        in_v3!(self, "deleting a user", users::delete(what, user))
    }

    /// The roles in some orgs, without the roles in their spaces.
    pub(crate) async fn roles_of_orgs(&self, orgs: &[&str]) -> Result<Vec<Role>, Error> {
        in_v3!(self, "listing roles", roles::of_orgs(orgs))
    }

    pub(crate) async fn roles_of_spaces(&self, spaces: &[&str]) -> Result<Vec<Role>, Error> {
        in_v3!(self, "listing roles", roles::of_spaces(spaces))
    }

    /// Gives a user a role in the org or space with the GUID `place` and returns the GUID
    /// of the role.
    pub(crate) async fn create_role(
        &self,
        kind: &str,
        user: &str,
        origin: Option<&str>,
        place: &str,
    ) -> Result<String, Error> {
        in_v3!(
            self,
            "giving a role",
            roles::create(kind, user, origin, place)
        )
    }

    pub(crate) async fn isolation_segments_named(
        &self,
        names: &[&str],
    ) -> Result<Vec<IsolationSegment>, Error> {
        in_v3!(
            self,
            "listing isolation segments",
            isolation_segments::named(names)
        )
    }

    /// The GUIDs of the orgs that are entitled to an isolation segment.
    pub(crate) async fn entitled_orgs(&self, segment: &str) -> Result<Vec<String>, Error> {
        in_v3!(
            self,
            "reading an isolation segment",
            isolation_segments::entitled_orgs(segment)
        )
    }

    pub(crate) async fn entitle_org(&self, segment: &str, org: &str) -> Result<(), Error> {
        in_v3!(
            self,
            "entitling an org to an isolation segment",
            isolation_segments::entitle(segment, org)
        )
    }

    /// The GUID of the default isolation segment of an org.
    pub(crate) async fn isolation_of_org(&self, org: &str) -> Result<Option<String>, Error> {
        in_v3!(
            self,
            "reading an isolation segment",
            isolation_segments::of_org(org)
        )
    }

    pub(crate) async fn set_isolation_of_org(&self, org: &str, segment: &str) -> Result<(), Error> {
        in_v3!(
            self,
            "setting the isolation segment of an org",
            isolation_segments::set_of_org(org, segment)
        )
    }

    /// The isolation segments that some orgs are entitled to.
    pub(crate) async fn isolation_segments_of_orgs(
        &self,
        orgs: &[&str],
    ) -> Result<Vec<IsolationSegment>, Error> {
        in_v3!(
            self,
            "listing isolation segments",
            isolation_segments::of_orgs(orgs)
        )
    }

    /// The GUIDs of the spaces that are assigned to an isolation segment.
    pub(crate) async fn isolated_spaces(&self, segment: &str) -> Result<Vec<String>, Error> {
        in_v3!(
            self,
            "reading an isolation segment",
            isolation_segments::spaces(segment)
        )
    }

    pub(crate) async fn set_isolation_of_space(
        &self,
        space: &str,
        segment: &str,
    ) -> Result<(), Error> {
        in_v3!(
            self,
            "setting the isolation segment of a space",
            isolation_segments::set_of_space(space, segment)
        )
    }

    pub(crate) async fn services_of_spaces(
        &self,
        spaces: &[&str],
    ) -> Result<Vec<ServiceInstance>, Error> {
        in_v3!(
            self,
            "listing service instances",
            service_instances::of_spaces(spaces)
        )
    }

    /// The credentials of a user-provided service instance.
    pub(crate) async fn service_credentials(
        &self,
        instance: &str,
    ) -> Result<Map<String, Value>, Error> {
        in_v3!(
            self,
            "reading the credentials of a service instance",
            service_instances::credentials(instance)
        )
    }

    /// The service plans of some offerings that are available to the user.
    pub(crate) async fn service_plans(
        &self,
        offerings: &[&str],
    ) -> Result<Vec<ServicePlan>, Error> {
        in_v3!(
            self,
            "listing service plans",
            service_plans::of_offerings(offerings)
        )
    }

    /// Creates a service instance, and waits for its broker.
    pub(crate) async fn create_service(
        &self,
        what: &str,
        instance: &NewServiceInstance<'_>,
    ) -> Result<(), Error> {
        in_v3!(
            self,
            "creating a service instance",
            service_instances::create(what, instance)
        )
    }

    /// Changes a service instance, and waits for its broker.
    pub(crate) async fn update_service(
        &self,
        what: &str,
        instance: &str,
        changed: &ServiceSettings<'_>,
    ) -> Result<(), Error> {
        in_v3!(
            self,
            "changing a service instance",
            service_instances::update(what, instance, changed)
        )
    }

    /// See [`Client::set_org_metadata`].
    pub(crate) async fn set_service_metadata(
        &self,
        what: &str,
        instance: &str,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        in_v3!(
            self,
            "labelling a service instance",
            service_instances::set_metadata(what, instance, metadata)
        )
    }

    /// Deletes a service instance, and waits for its broker. Succeeds if it does not
    /// exist.
    pub(crate) async fn delete_service(&self, what: &str, instance: &str) -> Result<(), Error> {
        in_v3!(
            self,
            "deleting a service instance",
            service_instances::delete(what, instance)
        )
    }

    /// The current state of a service instance.
    pub(crate) async fn service(&self, instance: &str) -> Result<ServiceInstance, Error> {
        in_v3!(
            self,
            "reading a service instance",
            service_instances::get(instance)
        )
    }
}

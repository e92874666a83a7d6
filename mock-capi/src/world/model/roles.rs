//! Users of the Cloud Controller, and their roles.

use serde::{Deserialize, Serialize};

use crate::world::{Access, AccessScope, Base, Field, Guid, Key, Row, World};

/// A user of the Cloud Controller, whose name is in UAA.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) base: Base,
    /// The GUID in the API, which may be any string: the GUID of a client is its name.
    pub(crate) id: String,
    /// Whether the user has logged in, and was not only named in a request.
    #[serde(default)]
    pub(crate) active: bool,
}

impl Row for User {
    fn keys(&self) -> Vec<Key> {
        vec![Key::exact(Field::User, self.id.as_str())]
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.sees_user(world, self)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_users(world))
    }
}

/// The types of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RoleType {
    OrgAuditor,
    OrgManager,
    OrgBillingManager,
    OrgUser,
    SpaceAuditor,
    SpaceManager,
    SpaceDeveloper,
    SpaceSupporter,
}

impl RoleType {
    pub(crate) const ALL: [Self; 8] = [
        Self::OrgAuditor,
        Self::OrgManager,
        Self::OrgBillingManager,
        Self::OrgUser,
        Self::SpaceAuditor,
        Self::SpaceManager,
        Self::SpaceDeveloper,
        Self::SpaceSupporter,
    ];

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OrgAuditor => "organization_auditor",
            Self::OrgManager => "organization_manager",
            Self::OrgBillingManager => "organization_billing_manager",
            Self::OrgUser => "organization_user",
            Self::SpaceAuditor => "space_auditor",
            Self::SpaceManager => "space_manager",
            Self::SpaceDeveloper => "space_developer",
            Self::SpaceSupporter => "space_supporter",
        }
    }

    /// The event of a user who gets or loses the role.
    pub(crate) fn audited(self, added: bool) -> &'static str {
        match (self, added) {
            (Self::OrgAuditor, true) => "audit.user.organization_auditor_add",
            (Self::OrgAuditor, false) => "audit.user.organization_auditor_remove",
            (Self::OrgManager, true) => "audit.user.organization_manager_add",
            (Self::OrgManager, false) => "audit.user.organization_manager_remove",
            (Self::OrgBillingManager, true) => "audit.user.organization_billing_manager_add",
            (Self::OrgBillingManager, false) => "audit.user.organization_billing_manager_remove",
            (Self::OrgUser, true) => "audit.user.organization_user_add",
            (Self::OrgUser, false) => "audit.user.organization_user_remove",
            (Self::SpaceAuditor, true) => "audit.user.space_auditor_add",
            (Self::SpaceAuditor, false) => "audit.user.space_auditor_remove",
            (Self::SpaceManager, true) => "audit.user.space_manager_add",
            (Self::SpaceManager, false) => "audit.user.space_manager_remove",
            (Self::SpaceDeveloper, true) => "audit.user.space_developer_add",
            (Self::SpaceDeveloper, false) => "audit.user.space_developer_remove",
            (Self::SpaceSupporter, true) => "audit.user.space_supporter_add",
            (Self::SpaceSupporter, false) => "audit.user.space_supporter_remove",
        }
    }

    pub(crate) fn is_of_space(self) -> bool {
        self.name().starts_with("space_")
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) base: Base,
    pub(crate) kind: RoleType,
    pub(crate) user: Guid,
    /// The organization, or the organization of the space.
    pub(crate) org: Guid,
    pub(crate) space: Option<Guid>,
}

impl Row for Role {
    fn keys(&self) -> Vec<Key> {
        let place = match self.space {
            Some(space) => Key::Guid(Field::Space, space),
            None => Key::Guid(Field::Org, self.org),
        };
        vec![
            place,
            Key::Guid(Field::User, self.user),
            Key::text(Field::Type, self.kind.name()),
        ]
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        self.space
            .map_or(AccessScope::Org(self.org), AccessScope::Space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        let mut keys = access.keys_of_spaces(world);
        keys.extend(access.keys_of_orgs(world, Field::Org));
        Some(keys)
    }
}

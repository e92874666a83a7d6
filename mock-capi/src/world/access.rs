//! Permissions: which resources a caller may see, and which the caller may change.

use std::collections::HashMap;
use std::sync::Arc;

use super::RoleType::{
    OrgAuditor, OrgBillingManager, OrgManager, OrgUser, SpaceAuditor, SpaceDeveloper, SpaceManager,
    SpaceSupporter,
};
use super::{Field, Guid, Key, RoleType, Row, Selection, User, World};

/// A set of types of roles, one of which an operation needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    types: u8,
    /// The resources that a read-only operation reads. Some callers can read them without
    /// a role.
    read: Option<Readable>,
}

/// The resources that an operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readable {
    Resources,
    Secrets,
}

impl Roles {
    const fn of(types: &[RoleType]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < types.len() {
            bits |= 1 << types[index] as u8;
            index += 1;
        }
        Self {
            types: bits,
            read: None,
        }
    }

    /// The roles for an operation that only reads.
    const fn to_read(mut self, what: Readable) -> Self {
        self.read = Some(what);
        self
    }

    const fn and(mut self, others: Self) -> Self {
        self.types |= others.types;
        self
    }

    const fn meets(self, others: Self) -> bool {
        self.types & others.types != 0
    }
}

/// For operations of administrators only.
pub(crate) const ADMINS: Roles = Roles::of(&[]);
const READ_ORG: Roles =
    Roles::of(&[OrgManager, OrgAuditor, OrgUser, OrgBillingManager]).to_read(Readable::Resources);
pub(crate) const MANAGE_ORG: Roles = Roles::of(&[OrgManager]);
/// Roles that may read the resources of a space.
pub(crate) const READ_SPACE: Roles = SPACE_MEMBERS.and(MANAGE_ORG);
pub(super) const SPACE_MEMBERS: Roles =
    Roles::of(&[SpaceDeveloper, SpaceManager, SpaceAuditor, SpaceSupporter])
        .to_read(Readable::Resources);
/// Roles in a space that v2 knows.
pub(crate) const V2_SPACE_MEMBERS: Roles =
    Roles::of(&[SpaceDeveloper, SpaceManager, SpaceAuditor]).to_read(Readable::Resources);
pub(crate) const READ_ROUTES: Roles = READ_SPACE.and(Roles::of(&[OrgAuditor]));
/// Roles in a space that may read its events. So may auditors of the organization.
pub(super) const READ_EVENTS: Roles =
    Roles::of(&[SpaceAuditor, SpaceDeveloper, SpaceSupporter]).to_read(Readable::Resources);
/// Roles that may read the brokers of a space.
pub(super) const READ_BROKERS: Roles =
    Roles::of(&[SpaceDeveloper, SpaceSupporter]).to_read(Readable::Resources);
pub(super) const AUDIT_ORG: Roles = Roles::of(&[OrgAuditor]);
/// Roles that may read the resources of a space through v2, which does not have
/// supporters.
pub(crate) const READ_V2_SPACE: Roles =
    Roles::of(&[SpaceDeveloper, SpaceManager, SpaceAuditor, OrgManager])
        .to_read(Readable::Resources);
/// Roles that may read the events of a space or an organization through v2.
pub(crate) const READ_V2_EVENTS: Roles =
    Roles::of(&[SpaceAuditor, SpaceDeveloper, OrgAuditor]).to_read(Readable::Resources);
/// Roles that may read the domains of an organization. So may members of its spaces.
const READ_DOMAINS: Roles = Roles::of(&[OrgManager, OrgAuditor]).to_read(Readable::Resources);
pub(crate) const DOWNLOAD_DROPLETS: Roles =
    Roles::of(&[SpaceDeveloper, SpaceManager, SpaceAuditor, OrgManager])
        .to_read(Readable::Resources);
pub(crate) const READ_SECRETS: Roles = Roles::of(&[SpaceDeveloper]).to_read(Readable::Secrets);
/// Roles that may change the space itself and its members.
pub(crate) const UPDATE_SPACE: Roles = Roles::of(&[SpaceManager, OrgManager]);
pub(crate) const WRITE_SPACE: Roles = Roles::of(&[SpaceDeveloper]);
/// Roles that may run the apps of a space.
pub(crate) const MANAGE_APPS: Roles = Roles::of(&[SpaceDeveloper, SpaceSupporter]);
/// Roles that may read the environment of the apps of a space.
pub(crate) const READ_ENVIRONMENT: Roles = MANAGE_APPS.to_read(Readable::Secrets);

/// The organization or space that a row belongs to. Roles there determine who may access
/// the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessScope {
    Global,
    Org(Guid),
    Space(Guid),
    /// The organization or space was deleted.
    Deleted,
}

/// The permissions of the caller of a request.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// The permissions of an administrator.
    Everything,
    /// The permissions of roles, and to read all resources, optionally with their
    /// secrets.
    Reading { secrets: bool, held: Arc<HeldRoles> },
    /// The permissions of roles.
    HeldRoles(Arc<HeldRoles>),
}

/// The roles of a user by organization and space.
#[derive(Debug)]
pub(crate) struct HeldRoles {
    user: Guid,
    by_place: HashMap<Guid, Roles>,
}

impl Access {
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// Whether the caller can see all resources, regardless of the caller's roles.
    pub(crate) fn sees_everything(&self) -> bool {
        matches!(self, Self::Everything | Self::Reading { .. })
    }

    /// These permissions, and the permissions to read all resources, optionally with
    /// their secrets.
    pub(crate) fn and_reading(self, secrets: bool) -> Self {
        match self {
            Self::HeldRoles(held) => Self::Reading { secrets, held },
            other => other,
        }
    }

    fn held(&self) -> Option<&HeldRoles> {
        match self {
            Self::Everything => None,
            Self::Reading { held, .. } | Self::HeldRoles(held) => Some(held),
        }
    }

    /// Whether the caller may read these resources without a role.
    fn reads(&self, what: Readable) -> bool {
        match self {
            Self::Everything => true,
            Self::Reading { secrets, .. } => *secrets || what == Readable::Resources,
            Self::HeldRoles(_) => false,
        }
    }

    /// Whether the caller has one of the roles in a scope, or needs no role.
    pub(crate) fn allows(&self, world: &World, access_scope: AccessScope, roles: Roles) -> bool {
        let Some(held) = self.held() else {
            return true;
        };
        if roles.read.is_some_and(|what| self.reads(what)) {
            return true;
        }
        match access_scope {
            AccessScope::Global | AccessScope::Deleted => false,
            AccessScope::Org(org) => held.at(org).meets(roles),
            AccessScope::Space(space) => {
                let org = world.spaces.get(space).map(|space| space.org);
                let in_org = org.map_or(ADMINS, |org| held.at(org));
                held.at(space).and(in_org).meets(roles)
            }
        }
    }

    /// Whether the caller can see the rows of a scope.
    pub(crate) fn sees(&self, world: &World, access_scope: AccessScope) -> bool {
        match access_scope {
            AccessScope::Global => true,
            AccessScope::Org(_) => self.allows(world, access_scope, READ_ORG),
            AccessScope::Space(_) | AccessScope::Deleted => {
                self.allows(world, access_scope, READ_SPACE)
            }
        }
    }

    /// The organizations in which the caller has one of the roles. Empty for
    /// administrators.
    pub(super) fn orgs(&self, world: &World, roles: Roles) -> Vec<Guid> {
        let places = self.places(roles);
        places
            .filter(|place| world.orgs.get(*place).is_some())
            .collect()
    }

    /// The spaces in which the caller has one of the roles, there or in the organization.
    /// Empty for administrators.
    pub(super) fn spaces(&self, world: &World, roles: Roles) -> Vec<Guid> {
        let own = self.places(roles);
        let mut spaces = world.spaces_of(self.orgs(world, roles));
        spaces.extend(own.filter(|place| world.spaces.get(*place).is_some()));
        spaces.sort_unstable();
        spaces.dedup();
        spaces
    }

    /// The organizations and spaces in which the caller has one of the roles.
    fn places(&self, roles: Roles) -> impl Iterator<Item = Guid> {
        let held = self.held().map(|held| held.by_place.iter());
        let held = held.into_iter().flatten();
        held.filter(move |(_, held)| held.meets(roles))
            .map(|(place, _)| *place)
    }

    /// The keys of rows in the spaces that the caller can see, for [`Row::listed_by`].
    pub(super) fn keys_of_spaces(&self, world: &World) -> Vec<Key> {
        self.keys_in_spaces(world, READ_SPACE)
    }

    /// The keys of rows in the spaces in which the caller has one of the roles.
    pub(crate) fn keys_in_spaces(&self, world: &World, roles: Roles) -> Vec<Key> {
        self.keys_by_space(world, roles, &[Field::Space])
    }

    /// The keys, with some fields, of the spaces where the caller has one of the roles.
    pub(crate) fn keys_by_space(&self, world: &World, roles: Roles, fields: &[Field]) -> Vec<Key> {
        let spaces = self.spaces(world, roles).into_iter();
        let keys =
            spaces.flat_map(|space| fields.iter().map(move |field| Key::Guid(*field, space)));
        keys.collect()
    }

    /// The keys of the domains that the caller can see as a member of organizations, or
    /// with one of the roles in their spaces.
    pub(crate) fn keys_of_private_domains(&self, world: &World, members: Roles) -> Vec<Key> {
        let mut orgs = self.orgs(world, READ_DOMAINS);
        let spaces = self.spaces(world, members).into_iter();
        orgs.extend(spaces.filter_map(|space| world.spaces.get(space).map(|space| space.org)));
        orgs.sort_unstable();
        orgs.dedup();
        let fields = [Field::Org, Field::SharedWith];
        let keys = orgs
            .iter()
            .flat_map(|org| fields.map(|field| Key::Guid(field, *org)));
        keys.collect()
    }

    /// The keys of rows in the organizations that the caller can see.
    pub(super) fn keys_of_orgs(&self, world: &World, field: Field) -> Vec<Key> {
        let orgs = self.orgs(world, READ_ORG).into_iter();
        orgs.map(|org| Key::Guid(field, org)).collect()
    }

    /// The keys of the users that the caller can see: the caller, and the members of the
    /// organizations that the caller can see.
    pub(super) fn keys_of_users(&self, world: &World) -> Vec<Key> {
        let in_orgs = Selection::all().any(self.keys_of_orgs(world, Field::Org));
        let roles = world.roles.select(&in_orgs).into_iter();
        let mut users: Vec<Guid> = roles.map(|role| role.user).collect();
        users.extend(self.held().map(|held| held.user));
        users.sort_unstable();
        users.dedup();
        let users = users.into_iter();
        users.map(|user| Key::Guid(Field::Guid, user)).collect()
    }

    /// The keys of the space quotas that the caller can see: the quotas of organizations
    /// that the caller manages, and the quotas of spaces in other organizations.
    pub(super) fn keys_of_space_quotas(&self, world: &World) -> Vec<Key> {
        let managed = self.orgs(world, MANAGE_ORG);
        let spaces = self.spaces(world, SPACE_MEMBERS).into_iter();
        let spaces = spaces.filter_map(|space| world.spaces.get(space));
        let others = spaces.filter(|space| !managed.contains(&space.org));
        let mut quotas: Vec<Guid> = others.filter_map(|space| space.quota).collect();
        quotas.sort_unstable();
        quotas.dedup();
        let quotas = quotas
            .into_iter()
            .map(|quota| Key::Guid(Field::Guid, quota));
        let managed = managed.iter().map(|org| Key::Guid(Field::Org, *org));
        managed.chain(quotas).collect()
    }

    /// Whether the caller can see the domains that an organization owns or shares.
    pub(crate) fn sees_domains_of(&self, world: &World, org: Guid) -> bool {
        self.allows(world, AccessScope::Org(org), READ_DOMAINS)
            || world.allows_in_any_space(self, Field::Org, org, SPACE_MEMBERS)
    }

    /// Whether the caller can see the domains that an organization owns or shares through
    /// v2.
    pub(crate) fn sees_v2_domains_of(&self, world: &World, org: Guid) -> bool {
        self.allows(world, AccessScope::Org(org), READ_DOMAINS)
            || world.allows_in_any_space(self, Field::Org, org, V2_SPACE_MEMBERS)
    }

    /// Whether the caller is this user or can see everything.
    pub(crate) fn is_of(&self, user: Guid) -> bool {
        self.sees_everything() || self.held().is_some_and(|held| held.user == user)
    }

    /// Whether the caller is this user, or can see an organization that the user is a
    /// member of.
    pub(crate) fn sees_user(&self, world: &World, user: &User) -> bool {
        let Some(held) = self.held().filter(|_| !self.sees_everything()) else {
            return true;
        };
        let of_user = world.roles_of(user.base.guid);
        let mut in_orgs = of_user.iter().filter(|role| role.space.is_none());
        held.user == user.base.guid || in_orgs.any(|role| held.at(role.org).meets(READ_ORG))
    }
}

impl HeldRoles {
    fn at(&self, place: Guid) -> Roles {
        self.by_place.get(&place).copied().unwrap_or_default()
    }
}

impl World {
    /// The permissions of a user's roles.
    pub(crate) fn access_of(&self, user: Guid) -> Access {
        let mut by_place: HashMap<Guid, Roles> = HashMap::new();
        for role in self.roles_of(user) {
            let held = by_place.entry(role.space.unwrap_or(role.org)).or_default();
            *held = held.and(Roles::of(&[role.kind]));
        }
        Access::HeldRoles(Arc::new(HeldRoles { user, by_place }))
    }

    /// The access scope of an app's rows.
    pub(crate) fn access_scope_of_app(&self, app: Guid) -> AccessScope {
        let app = self.apps.get(app);
        app.map_or(AccessScope::Deleted, |app| AccessScope::Space(app.space))
    }

    /// Whether the caller has one of the roles in any of the spaces with this key.
    pub(crate) fn allows_in_any_space(
        &self,
        access: &Access,
        field: Field,
        guid: Guid,
        roles: Roles,
    ) -> bool {
        let spaces = self.spaces.select(&Selection::by(field, guid));
        let mut scopes = spaces.iter().map(|space| AccessScope::Space(space.guid()));
        scopes.any(|access_scope| access.allows(self, access_scope, roles))
    }
}

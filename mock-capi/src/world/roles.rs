//! Roles of users in organizations and spaces.

use super::{Field, Guid, Role, RoleType, Selection, World};

impl World {
    /// All roles of a user.
    pub(crate) fn roles_of(&self, user: Guid) -> Vec<&Role> {
        self.roles.select(&Selection::by(Field::User, user))
    }

    /// Assigns a role. `None` if the user already has it.
    pub(crate) fn assign(
        &mut self,
        kind: RoleType,
        user: Guid,
        org: Guid,
        space: Option<Guid>,
    ) -> Option<Guid> {
        if self.has_role(kind, user, org, space) {
            return None;
        }
        let base = self.base();
        Some(self.add(Role {
            base,
            kind,
            user,
            org,
            space,
        }))
    }

    /// Removes a role from a user, if they have it, without an event.
    pub(crate) fn unassign(&mut self, kind: RoleType, user: Guid, org: Guid, space: Option<Guid>) {
        if let Some(guid) = self.find_role(kind, user, org, space) {
            self.roles.remove(guid);
        }
    }

    /// The role of a user in an organization, or in a space of it.
    fn find_role(
        &self,
        kind: RoleType,
        user: Guid,
        org: Guid,
        space: Option<Guid>,
    ) -> Option<Guid> {
        let mut roles = self.roles_of(user).into_iter();
        let held = roles.find(|role| (role.kind, role.org, role.space) == (kind, org, space));
        held.map(|role| role.base.guid)
    }

    pub(crate) fn has_role(
        &self,
        kind: RoleType,
        user: Guid,
        org: Guid,
        space: Option<Guid>,
    ) -> bool {
        let roles = self.roles_of(user);
        roles
            .iter()
            .any(|role| (role.kind, role.org, role.space) == (kind, org, space))
    }

    /// The users with any role in an organization itself, or in a space.
    pub(crate) fn members(&self, place: Field, guid: Guid) -> Vec<Guid> {
        let roles = self.roles.select(&Selection::by(place, guid));
        roles.iter().map(|role| role.user).collect()
    }
}

//! The users of the Cloud Controller. Their names are in UAA: see [`super::uaa`].

use super::{Account, Field, Guid, Key, Selection, User, World};
use crate::world::metadata::MetadataPatch;

impl World {
    /// The UAA user of a user of the Cloud Controller.
    pub(crate) fn account_of(&self, user: &User) -> Option<&Account> {
        self.look_up(&user.id)
    }

    /// The user's name, or else the GUID.
    pub(crate) fn presentation_name<'w>(&'w self, user: &'w User) -> &'w str {
        self.account_of(user)
            .map_or(&user.id, |account| &account.name)
    }

    pub(crate) fn find_user(&self, id: &str) -> Option<&User> {
        let by_id = Selection::all().any(vec![Key::exact(Field::User, id)]);
        self.users.select(&by_id).first().copied()
    }

    /// The user with this GUID, who is added if the Cloud Controller does not know them.
    pub(crate) fn find_or_add_user(&mut self, id: &str) -> Guid {
        match self.find_user(id) {
            Some(user) => user.base.guid,
            None => self.add_user(id, MetadataPatch::default()),
        }
    }

    /// The user who logged in, who is added if the Cloud Controller does not know
    /// them.
    pub(crate) fn find_or_add_caller(&mut self, id: &str) -> Guid {
        if let Some(user) = self.find_user(id) {
            return user.base.guid;
        }
        let guid = self.add_user(id, MetadataPatch::default());
        self.users.update(guid, |user| user.active = true);
        guid
    }

    pub(crate) fn add_user(&mut self, id: &str, metadata: MetadataPatch) -> Guid {
        let base = self.base_with(metadata);
        let id = id.to_owned();
        self.add(User {
            base,
            id,
            active: false,
        })
    }
}

//! Users: those whom UAA can log in, and those whom the Cloud Controller knows.

use super::{Account, Field, Guid, Key, Selection, User, World};
use crate::world::metadata::MetadataPatch;
use crate::world::settings;

/// Where users come from unless another identity provider has them.
pub(crate) const UAA_ORIGIN: &str = "uaa";

/// Who is to be known to UAA.
#[derive(Debug)]
pub(crate) struct NewAccount {
    pub(crate) name: String,
    pub(crate) password: Option<String>,
    pub(crate) origin: String,
}

impl Account {
    /// Whether the user is as the settings have it.
    fn is(&self, settings: &settings::Account) -> bool {
        self.password.as_ref() == Some(&settings.secret) && self.admin == settings.admin
    }
}

impl World {
    /// Adds a user who can log in from the start.
    pub(super) fn add_account(&mut self, account: &settings::Account) {
        let mut base = self.base();
        base.guid = account.guid;
        self.add(Account {
            base,
            name: account.name.clone(),
            password: Some(account.secret.clone()),
            origin: UAA_ORIGIN.into(),
            admin: account.admin,
        });
    }

    /// Lets a user log in who may be there already, with the given password.
    pub(super) fn admit(&mut self, account: &settings::Account) {
        let origin = [UAA_ORIGIN.to_owned()];
        let known = self.accounts_named(&account.name, Some(&origin));
        match known.first() {
            None => self.add_account(account),
            Some(known) if known.is(account) => {}
            Some(known) => self.touch(known.base.guid, |known: &mut Account| {
                known.password = Some(account.secret.clone());
                known.admin = account.admin;
            }),
        }
    }

    /// Adds a user to UAA; the GUID of who has the name there already, else.
    pub(crate) fn register(&mut self, new: NewAccount) -> Result<Guid, Guid> {
        let known = self.accounts_named(&new.name, Some(std::slice::from_ref(&new.origin)));
        if let Some(account) = known.first() {
            return Err(account.base.guid);
        }
        let base = self.base();
        Ok(self.add(Account {
            base,
            name: new.name,
            password: new.password,
            origin: new.origin,
            admin: false,
        }))
    }

    /// UAA's users of a name, in any case; with origins, those of one of them.
    pub(crate) fn accounts_named(&self, name: &str, origins: Option<&[String]>) -> Vec<&Account> {
        let mut selection = Selection::all().any(vec![Key::text(Field::Name, name)]);
        if let Some(origins) = origins {
            let origins = origins.iter();
            selection = selection.any(origins.map(|o| Key::text(Field::Origin, o)).collect());
        }
        self.accounts.select(&selection)
    }

    /// UAA's user of a name and another origin, made if there is none yet.
    pub(crate) fn know_account(&mut self, name: &str, origin: &str) -> Guid {
        let registered = self.register(NewAccount {
            name: name.into(),
            password: None,
            origin: origin.into(),
        });
        registered.unwrap_or_else(|known| known)
    }

    /// Who UAA knows by the GUID of a user of the Cloud Controller.
    pub(crate) fn account_of(&self, user: &User) -> Option<&Account> {
        self.look_up(&user.id)
    }

    /// What a user is called in texts.
    pub(crate) fn presentation_name<'w>(&'w self, user: &'w User) -> &'w str {
        self.account_of(user)
            .map_or(&user.id, |account| &account.name)
    }

    pub(crate) fn find_user(&self, id: &str) -> Option<&User> {
        let by_id = Selection::all().any(vec![Key::exact(Field::User, id)]);
        self.users.select(&by_id).first().copied()
    }

    /// The user of a GUID, made if there is none yet.
    pub(crate) fn know_user(&mut self, id: &str) -> Guid {
        match self.find_user(id) {
            Some(user) => user.base.guid,
            None => self.add_user(id, MetadataPatch::default()),
        }
    }

    /// The same of someone who logged in.
    pub(crate) fn know_caller(&mut self, id: &str) -> Guid {
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

//! UAA's users, groups and clients. The Cloud Controller has its own users: see
//! [`super::users`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::row::{Base, Field, Key, Row};
use super::table::{Selection, Table};
use super::{Guid, World};
use crate::world::metadata::MetadataPatch;
use crate::world::settings::{self, Settings};

/// The origin of users with a password in UAA.
pub(crate) const UAA_ORIGIN: &str = "uaa";

/// The client of the cf CLI, which has an empty secret.
pub(crate) const CF_CLIENT: &str = "cf";

/// The client for which `cf ssh-code` requests codes.
pub(crate) const SSH_CLIENT: &str = "ssh-proxy";

/// The group of the Cloud Controller's administrators.
pub(crate) const ADMIN_GROUP: &str = "cloud_controller.admin";

/// The group of users who can see the same resources as administrators, but cannot change
/// them.
pub(crate) const ADMIN_READ_ONLY_GROUP: &str = "cloud_controller.admin_read_only";

/// The group of users who can see all resources without their secrets.
pub(crate) const GLOBAL_AUDITOR_GROUP: &str = "cloud_controller.global_auditor";

/// The scope for reading requests to the Cloud Controller.
pub(crate) const READ_SCOPE: &str = "cloud_controller.read";

/// The scope for all other requests to the Cloud Controller.
pub(crate) const WRITE_SCOPE: &str = "cloud_controller.write";

/// The groups that every user belongs to. UAA does not store these memberships.
pub(crate) const DEFAULT_GROUPS: &[&str] = &[
    READ_SCOPE,
    WRITE_SCOPE,
    "network.write",
    "openid",
    "password.write",
    "uaa.user",
];

/// The groups of the users that are configured as administrators.
const ADMIN_GROUPS: &[&str] = &[
    "clients.read",
    ADMIN_GROUP,
    "network.admin",
    "scim.read",
    "scim.write",
];

/// The groups of users who can see all resources. They have no members at the start.
const READER_GROUPS: &[&str] = &[ADMIN_READ_ONLY_GROUP, GLOBAL_AUDITOR_GROUP];

/// Other groups that exist from the start, without members.
const OTHER_GROUPS: &[&str] = &[
    "clients.admin",
    "clients.secret",
    "clients.write",
    "scim.create",
    "scim.userids",
    "tokens.revoke",
    "uaa.admin",
    "uaa.resource",
];

/// A user of UAA.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) base: Base,
    pub(crate) name: String,
    /// `None` for users of other origins, whose passwords UAA does not check.
    pub(crate) password: Option<String>,
    pub(crate) origin: String,
    pub(crate) profile: Profile,
    /// The groups to which the user was added.
    pub(crate) groups: Vec<Guid>,
    /// The number of changes, for `If-Match`.
    pub(crate) version: u32,
}

/// The attributes of a user other than the name and the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) given_name: Option<String>,
    pub(crate) family_name: Option<String>,
    pub(crate) emails: Vec<Email>,
    pub(crate) phone_numbers: Vec<String>,
    pub(crate) external_id: Option<String>,
    /// Inactive users cannot log in.
    pub(crate) active: bool,
    pub(crate) verified: bool,
}

/// An email address of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Email {
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) primary: bool,
}

impl Profile {
    /// The default profile for a name.
    pub(crate) fn of_name(name: &str) -> Self {
        Self {
            given_name: Some(name.to_owned()),
            family_name: Some(name.to_owned()),
            emails: vec![Email {
                value: name.to_owned(),
                primary: true,
            }],
            phone_numbers: Vec::new(),
            external_id: None,
            active: true,
            verified: true,
        }
    }

    /// The primary email address, or the first one.
    pub(crate) fn email(&self) -> Option<&str> {
        let primary = self.emails.iter().find(|email| email.primary);
        let email = primary.or_else(|| self.emails.first())?;
        Some(&email.value)
    }
}

/// A user to add to UAA.
#[derive(Debug)]
pub(crate) struct NewAccount {
    pub(crate) name: String,
    pub(crate) password: Option<String>,
    pub(crate) origin: String,
    pub(crate) profile: Profile,
}

/// A group, which is also a scope of its members' tokens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// The groups of which this group is a member.
    pub(crate) groups: Vec<Guid>,
    /// The number of changes, for `If-Match`.
    pub(crate) version: u32,
}

impl Group {
    /// Whether every user is a member.
    pub(crate) fn is_default(&self) -> bool {
        DEFAULT_GROUPS.contains(&self.name.as_str())
    }
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    User(Guid),
    Group(Guid),
}

impl Member {
    pub(crate) fn guid(self) -> Guid {
        match self {
            Self::User(guid) | Self::Group(guid) => guid,
        }
    }
}

/// A client of UAA.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) base: Base,
    pub(crate) id: String,
    /// Empty for a public client. `None` if the secret is unknown.
    pub(crate) secret: Option<String>,
    pub(crate) details: ClientDetails,
}

/// The permissions and limits of a client.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ClientDetails {
    /// The possible scopes of users' tokens.
    pub(crate) scope: Vec<String>,
    /// The scopes of the client's own tokens.
    pub(crate) authorities: Vec<String>,
    pub(crate) grant_types: Vec<String>,
    pub(crate) redirect_uris: Vec<String>,
    /// Seconds; `None` for the default.
    pub(crate) access_token_validity: Option<u64>,
    /// Seconds; `None` for the default.
    pub(crate) refresh_token_validity: Option<u64>,
    /// Unknown keys, which UAA stores unchanged.
    pub(crate) further: Map<String, Value>,
}

fn row_of_uaa_keys(field: Field, name: &str, groups: &[Guid]) -> Vec<Key> {
    let mut keys = vec![Key::text(field, name)];
    keys.extend(groups.iter().map(|group| Key::Guid(Field::Group, *group)));
    keys
}

impl Row for Account {
    fn keys(&self) -> Vec<Key> {
        let mut keys = row_of_uaa_keys(Field::Name, &self.name, &self.groups);
        keys.push(Key::text(Field::Origin, &self.origin));
        keys
    }
}

impl Row for Group {
    fn keys(&self) -> Vec<Key> {
        row_of_uaa_keys(Field::Name, &self.name, &self.groups)
    }
}

impl Row for Client {
    fn keys(&self) -> Vec<Key> {
        vec![Key::exact(Field::Name, self.id.as_str())]
    }
}

impl World {
    /// Adds the default groups and clients.
    pub(super) fn populate_uaa(&mut self, settings: &Settings) {
        let groups = [DEFAULT_GROUPS, ADMIN_GROUPS, READER_GROUPS, OTHER_GROUPS];
        for name in groups.into_iter().flatten() {
            self.add_group((*name).to_owned(), None);
        }
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let user_scopes: Vec<String> =
            names(&[DEFAULT_GROUPS, ADMIN_GROUPS, READER_GROUPS].concat());
        self.add_client(
            CF_CLIENT.into(),
            Some(String::new()),
            ClientDetails {
                scope: user_scopes.clone(),
                authorities: names(&["uaa.none"]),
                grant_types: names(&["password", "refresh_token"]),
                ..ClientDetails::default()
            },
        );
        self.add_client(
            SSH_CLIENT.into(),
            None,
            ClientDetails {
                scope: names(&[ADMIN_GROUP, READ_SCOPE, WRITE_SCOPE, "openid"]),
                authorities: names(&["uaa.none"]),
                grant_types: names(&["authorization_code", "refresh_token"]),
                redirect_uris: names(&["https://uaa.cloudfoundry.com/redirect/cf"]),
                ..ClientDetails::default()
            },
        );
        self.admit_configured(settings);
    }

    /// Adds or updates the configured users and the configured client.
    pub(super) fn admit_configured(&mut self, settings: &Settings) {
        for user in &settings.users {
            self.admit_user(user);
        }
        if let Some(client) = &settings.client {
            self.admit_client(client);
        }
    }

    fn admit_user(&mut self, user: &settings::Account) {
        let origin = [UAA_ORIGIN.to_owned()];
        let known = self.accounts_named(&user.name, Some(&origin));
        let guid = match known.first() {
            Some(known) => known.guid(),
            None => {
                let mut base = self.base();
                base.guid = user.guid;
                self.add(Account {
                    base,
                    name: user.name.clone(),
                    password: None,
                    origin: UAA_ORIGIN.into(),
                    profile: Profile::of_name(&user.name),
                    groups: Vec::new(),
                    version: 0,
                })
            }
        };
        self.set_password(guid, &user.secret);
        self.set_admin(guid, user.admin);
    }

    fn admit_client(&mut self, client: &settings::Client) {
        if let Some(known) = self.client(&client.id) {
            let guid = known.guid();
            self.update_row(guid, |known: &mut Client| {
                known.secret = Some(client.secret.clone());
            });
            return;
        }
        let scopes = [DEFAULT_GROUPS, ADMIN_GROUPS].concat();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let grant_types = [
            "authorization_code",
            "client_credentials",
            "password",
            "refresh_token",
        ];
        let details = ClientDetails {
            scope: names(&[&scopes[..], READER_GROUPS].concat()),
            authorities: names(&[&scopes[..], OTHER_GROUPS].concat()),
            grant_types: names(&grant_types),
            redirect_uris: names(&["http://localhost/**"]),
            ..ClientDetails::default()
        };
        self.add_client(client.id.clone(), Some(client.secret.clone()), details);
    }

    /// Sets the password of a user, if it differs.
    fn set_password(&mut self, user: Guid, password: &str) {
        let known = self.accounts.get(user);
        if known.is_some_and(|known| known.password.as_deref() != Some(password)) {
            self.update_row(user, |account: &mut Account| {
                account.password = Some(password.to_owned());
            });
        }
    }

    /// Adds a user to the groups of administrators, or removes them.
    pub(crate) fn set_admin(&mut self, user: Guid, admin: bool) {
        for name in ADMIN_GROUPS {
            let Some(group) = self.named::<Group>(name).map(Row::guid) else {
                continue;
            };
            if admin {
                self.add_member(group, Member::User(user));
            } else {
                self.remove_member(group, user);
            }
        }
    }

    /// Adds a user to UAA. The error is the GUID of the user who already has the
    /// name.
    pub(crate) fn register(&mut self, new: NewAccount) -> Result<Guid, Guid> {
        let known = self.accounts_named(&new.name, Some(std::slice::from_ref(&new.origin)));
        if let Some(account) = known.first() {
            return Err(account.guid());
        }
        let base = self.base();
        Ok(self.add(Account {
            base,
            name: new.name,
            password: new.password,
            origin: new.origin,
            profile: new.profile,
            groups: Vec::new(),
            version: 0,
        }))
    }

    /// The GUID of the user with this name and origin, who is added if UAA does not know
    /// them.
    pub(crate) fn find_or_add_account(&mut self, name: &str, origin: &str) -> Guid {
        let registered = self.register(NewAccount {
            name: name.into(),
            password: None,
            origin: origin.into(),
            profile: Profile::of_name(name),
        });
        registered.unwrap_or_else(|known| known)
    }

    /// Users with this name, in upper or lower case, optionally only of some origins.
    pub(crate) fn accounts_named(&self, name: &str, origins: Option<&[String]>) -> Vec<&Account> {
        let mut selection = Selection::all().any(vec![Key::text(Field::Name, name)]);
        if let Some(origins) = origins {
            let origins = origins.iter();
            selection = selection.any(origins.map(|o| Key::text(Field::Origin, o)).collect());
        }
        self.accounts.select(&selection)
    }

    pub(crate) fn add_group(&mut self, name: String, description: Option<String>) -> Guid {
        let base = self.base();
        self.add(Group {
            base,
            name,
            description,
            groups: Vec::new(),
            version: 0,
        })
    }

    pub(crate) fn add_client(
        &mut self,
        id: String,
        secret: Option<String>,
        details: ClientDetails,
    ) -> Guid {
        let base = self.base_with(MetadataPatch::default());
        self.add(Client {
            base,
            id,
            secret,
            details,
        })
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Client> {
        let by_id = Selection::all().any(vec![Key::exact(Field::Name, id)]);
        self.clients.select(&by_id).first().copied()
    }

    /// The user or group with this GUID.
    pub(crate) fn find_member(&self, guid: &str) -> Option<Member> {
        let guid = Guid::parse(guid)?;
        if self.accounts.get(guid).is_some() {
            return Some(Member::User(guid));
        }
        self.groups.get(guid).map(|_| Member::Group(guid))
    }

    /// The users and groups that were added to a group.
    pub(crate) fn members_of(&self, group: Guid) -> Vec<Member> {
        let members = Selection::by(Field::Group, group);
        let users = self.accounts.select(&members).into_iter();
        let groups = self.groups.select(&members).into_iter();
        users
            .map(|user| Member::User(user.guid()))
            .chain(groups.map(|group| Member::Group(group.guid())))
            .collect()
    }

    pub(crate) fn is_member(&self, group: Guid, member: Guid) -> bool {
        let user = self.accounts.get(member).map(|user| &user.groups);
        let groups = user.or_else(|| self.groups.get(member).map(|member| &member.groups));
        groups.is_some_and(|groups| groups.contains(&group))
    }

    /// Adds a member to a group, unless it is already a member.
    pub(crate) fn add_member(&mut self, group: Guid, member: Member) {
        if self.is_member(group, member.guid()) {
            return;
        }
        match member {
            Member::User(user) => {
                self.accounts.update(user, |user| user.groups.push(group));
            }
            Member::Group(member) => {
                self.groups
                    .update(member, |member| member.groups.push(group));
            }
        }
    }

    pub(crate) fn remove_member(&mut self, group: Guid, member: Guid) {
        if !self.is_member(group, member) {
            return;
        }
        let leave = |groups: &mut Vec<Guid>| groups.retain(|known| *known != group);
        self.accounts.update(member, |user| leave(&mut user.groups));
        self.groups
            .update(member, |member| leave(&mut member.groups));
    }

    pub(crate) fn delete_group(&mut self, group: Guid) {
        for member in self.members_of(group) {
            self.remove_member(group, member.guid());
        }
        self.groups.remove(group);
    }

    /// The groups of a user, and whether the user was added to the group itself
    /// instead of to one of its members.
    pub(crate) fn groups_of(&self, user: &Account) -> Vec<(&Group, bool)> {
        let defaults = self.groups.iter().filter(|group| group.is_default());
        let mut found: Vec<(&Group, bool)> = defaults.map(|group| (group, true)).collect();
        collect(&self.groups, &user.groups, true, &mut found);
        found
    }

    /// The names of the user's groups, without duplicates, in alphabetical order.
    pub(crate) fn scopes_of(&self, user: &Account) -> Vec<String> {
        let groups = self.groups_of(user).into_iter();
        let mut names: Vec<String> = groups.map(|(group, _)| group.name.clone()).collect();
        names.sort_unstable();
        names
    }
}

/// Adds missing groups, and the groups that they are members of.
fn collect<'g>(
    table: &'g Table<Group>,
    guids: &[Guid],
    direct: bool,
    found: &mut Vec<(&'g Group, bool)>,
) {
    for guid in guids {
        let Some(group) = table.get(*guid) else {
            continue;
        };
        if found.iter().any(|(known, _)| known.guid() == *guid) {
            continue;
        }
        found.push((group, direct));
        collect(table, &group.groups, false, found);
    }
}

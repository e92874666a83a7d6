//! Domains and routes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CowStr;
use crate::world::access::{READ_ROUTES, SPACE_MEMBERS};
use crate::world::clock::Timestamp;
use crate::world::{Access, AccessScope, Base, Field, Guid, Key, Roles, Row, World};

/// A domain. It is private if it has an `org`, and otherwise shared.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Domain {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) org: Option<Guid>,
    /// Whether only apps can reach it.
    pub(crate) internal: bool,
    /// Other organizations that may use it.
    pub(crate) shared_with: Vec<Guid>,
    /// The router group of a domain of TCP routes.
    #[serde(default)]
    pub(crate) router_group: Option<Guid>,
    /// `any`, `org` or `space`, if its routes have policies.
    #[serde(default)]
    pub(crate) route_policies_scope: Option<String>,
}

impl Domain {
    /// The type of domains that do not belong to an organization.
    pub(crate) const SHARED: &str = "shared";

    /// The type of domains that an organization owns.
    pub(crate) const PRIVATE: &str = "private";

    /// The keys of the domains that a caller can see as a member of organizations, or
    /// with one of the roles in their spaces.
    pub(crate) fn keys_for(world: &World, access: &Access, members: Roles) -> Vec<Key> {
        let mut keys = access.keys_of_private_domains(world, members);
        keys.push(Key::text(Field::Type, Self::SHARED));
        keys
    }

    pub(crate) fn is_usable_by(&self, org: Guid) -> bool {
        self.org.is_none_or(|owner| owner == org) || self.shared_with.contains(&org)
    }
}

impl Row for Domain {
    fn keys(&self) -> Vec<Key> {
        let kind = match self.org {
            Some(_) => Self::PRIVATE,
            None => Self::SHARED,
        };
        let mut keys = vec![
            Key::text(Field::Name, &self.name),
            Key::text(Field::Type, kind),
        ];
        keys.extend(self.org.map(|org| Key::Guid(Field::Org, org)));
        let shared_with = self.shared_with.iter();
        keys.extend(shared_with.map(|org| Key::Guid(Field::SharedWith, *org)));
        keys
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        self.org.map_or(AccessScope::Global, AccessScope::Org)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(Self::keys_for(world, access, SPACE_MEMBERS))
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut orgs = self.org.iter().chain(&self.shared_with);
        self.org.is_none() || orgs.any(|org| access.sees_domains_of(world, *org))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) base: Base,
    pub(crate) space: Guid,
    /// Other spaces whose apps may be its destinations.
    pub(crate) shared_with: Vec<Guid>,
    pub(crate) domain: Guid,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) port: Option<u16>,
    pub(crate) options: Map<String, Value>,
    pub(crate) destinations: Vec<Destination>,
}

impl Route {
    /// The type of routes with mappings. A route has the key once for each mapping.
    pub(crate) const MAPPED: &str = "mapped";

    pub(crate) fn is_usable_in(&self, space: Guid) -> bool {
        self.space == space || self.shared_with.contains(&space)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Destination {
    pub(crate) guid: Guid,
    pub(crate) app: Guid,
    pub(crate) process: String,
    pub(crate) weight: Option<u8>,
    pub(crate) port: Option<u16>,
    pub(crate) protocol: CowStr,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl Destination {
    /// Whether v2 shows it as a route mapping.
    pub(crate) fn is_mapping(&self) -> bool {
        self.process == "web"
    }
}

impl Row for Route {
    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::Guid(Field::Space, self.space),
            Key::Guid(Field::Domain, self.domain),
            Key::text(Field::Host, &self.host),
        ];
        let shared_with = self.shared_with.iter();
        keys.extend(shared_with.map(|space| Key::Guid(Field::SharedWith, *space)));
        for destination in &self.destinations {
            keys.push(Key::Guid(Field::App, destination.app));
            keys.push(Key::Guid(Field::Destination, destination.guid));
        }
        let mapped = self.destinations.iter().filter(|it| it.is_mapping());
        for _ in mapped {
            keys.push(Key::text(Field::Type, Self::MAPPED));
            keys.push(Key::Guid(Field::MappedIn, self.space));
        }
        keys
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        let fields = [Field::Space, Field::SharedWith];
        Some(access.keys_by_space(world, READ_ROUTES, &fields))
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.allows(world, self.access_scope(world), READ_ROUTES)
    }

    fn is_listed(&self, world: &World, access: &Access) -> bool {
        let mut spaces = std::iter::once(&self.space).chain(&self.shared_with);
        spaces.any(|space| access.allows(world, AccessScope::Space(*space), READ_ROUTES))
    }
}

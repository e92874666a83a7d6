//! Organizations, spaces, quotas and isolation segments.

use serde::{Deserialize, Serialize};

use crate::world::access::{READ_SPACE, SPACE_MEMBERS};
use crate::world::{Access, AccessScope, Base, Field, Guid, Key, MANAGE_ORG, Row, World};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Org {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) suspended: bool,
    /// A field that only v2 shows.
    #[serde(default)]
    pub(crate) billing_enabled: bool,
    pub(crate) quota: Guid,
    /// The isolation segment of spaces without their own one.
    pub(crate) default_segment: Option<Guid>,
}

impl Row for Org {
    const IS_ORDERED_BY_NAME: bool = true;

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Quota, self.quota),
        ];
        let segment = self.default_segment;
        keys.extend(segment.map(|guid| Key::Guid(Field::IsolationSegment, guid)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Org(self.guid())
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_orgs(world, Field::Guid))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Space {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) org: Guid,
    pub(crate) suspended: bool,
    pub(crate) allows_ssh: bool,
    pub(crate) segment: Option<Guid>,
    /// The space's own quota, which applies in addition to that of its organization.
    pub(crate) quota: Option<Guid>,
}

impl Row for Space {
    const IS_ORDERED_BY_NAME: bool = true;

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Org, self.org),
        ];
        keys.extend(self.quota.map(|quota| Key::Guid(Field::Quota, quota)));
        let segment = self.segment;
        keys.extend(segment.map(|guid| Key::Guid(Field::IsolationSegment, guid)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.guid())
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        let spaces = access.spaces(world, READ_SPACE).into_iter();
        Some(spaces.map(|space| Key::Guid(Field::Guid, space)).collect())
    }
}

/// Cells for the apps of some organizations.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IsolationSegment {
    pub(crate) base: Base,
    pub(crate) name: String,
    /// The entitled organizations.
    pub(crate) orgs: Vec<Guid>,
}

impl Row for IsolationSegment {
    fn keys(&self) -> Vec<Key> {
        let orgs = self.orgs.iter();
        let mut keys = vec![Key::text(Field::Name, &self.name)];
        keys.extend(orgs.map(|org| Key::Guid(Field::SharedWith, *org)));
        keys
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_orgs(world, Field::SharedWith))
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut orgs = self.orgs.iter();
        access.sees_everything() || orgs.any(|org| access.sees(world, AccessScope::Org(*org)))
    }
}

/// An organization quota. `None` means unlimited.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Quota {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) limits: Limits,
}

impl Row for Quota {
    const IS_PUBLIC: bool = true;

    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Field::Name, &self.name)]
    }
}

/// The quota of some spaces of an organization.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpaceQuota {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) org: Guid,
    pub(crate) limits: Limits,
}

impl Row for SpaceQuota {
    const NAME: Field = Field::ExactName;

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Self::NAME, &self.name),
            Key::Guid(Field::Org, self.org),
        ]
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Org(self.org)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_space_quotas(world))
    }

    /// The quota is also visible to members of its spaces.
    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.sees_everything()
            || access.allows(world, self.access_scope(world), MANAGE_ORG)
            || world.allows_in_any_space(access, Field::Quota, self.guid(), SPACE_MEMBERS)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) total_memory: Option<u64>,
    pub(crate) process_memory: Option<u64>,
    pub(crate) instances: Option<u64>,
    pub(crate) tasks: Option<u64>,
    pub(crate) log_rate: Option<u64>,
    pub(crate) paid_services: bool,
    pub(crate) services: Option<u64>,
    pub(crate) service_keys: Option<u64>,
    pub(crate) routes: Option<u64>,
    pub(crate) reserved_ports: Option<u64>,
    pub(crate) domains: Option<u64>,
}

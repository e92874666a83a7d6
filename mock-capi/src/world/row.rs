//! The rows of tables, and the keys by which they are found.

use serde::{Deserialize, Serialize};

use super::World;
use super::access::{Access, AccessScope};
use super::guid::Guid;
use super::registry::Registered;
use crate::world::clock::Timestamp;
use crate::world::metadata::Metadata;

/// The fields by which rows are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Guid,
    /// A name that is compared without regard to case.
    Name,
    /// A case-sensitive name.
    ExactName,
    Org,
    Space,
    App,
    Package,
    Domain,
    Route,
    Quota,
    IsolationSegment,
    User,
    Group,
    Origin,
    ServiceInstance,
    Broker,
    Offering,
    Plan,
    Host,
    Type,
    Destination,
    /// The target of an event.
    Target,
    /// Organizations or spaces with which a row is shared.
    SharedWith,
    RunningSpace,
    StagingSpace,
    /// The space of a managed service instance.
    ManagedIn,
    /// The space of a user-provided service instance.
    ProvidedIn,
    /// The space of the app of a service binding.
    BoundIn,
    /// The space of a service key.
    KeyIn,
    /// The space of a route, once for each destination that v2 shows as a mapping.
    MappedIn,
    Label,
    LabelValue,
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Guid(Field, Guid),
    Text(Field, Box<str>),
}

impl Key {
    pub(super) fn field(&self) -> Field {
        match self {
            Self::Guid(field, _) | Self::Text(field, _) => *field,
        }
    }

    /// A key for a string that the Cloud Controller compares without regard to case.
    pub(crate) fn text(field: Field, value: &str) -> Self {
        match field {
            Field::ExactName | Field::Type => Self::exact(field, value),
            _ => Self::Text(field, value.to_lowercase().into()),
        }
    }

    /// A key for a case-sensitive string.
    pub(crate) fn exact(field: Field, value: impl Into<Box<str>>) -> Self {
        Self::Text(field, value.into())
    }
}

/// The columns that all rows have.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Base {
    pub(crate) guid: Guid,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) metadata: Metadata,
}

/// A row of a [`Table`](super::Table).
pub(crate) trait Row: Registered {
    /// The field of the name, which determines whether its case matters.
    const NAME: Field = Field::Name;

    /// Whether the table also keeps the rows in the order of their names.
    const IS_ORDERED_BY_NAME: bool = false;

    /// Whether rows may be inserted before their creation time. Rows are then ordered by
    /// these times, and lists contain them only from then on.
    const IS_IN_ADVANCE: bool = false;

    /// Whether lists contain all rows for every caller.
    const IS_PUBLIC: bool = false;

    /// The keys of the row, in addition to its GUID and labels.
    fn keys(&self) -> Vec<Key>;

    /// The organization or space whose roles determine who may access the row.
    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Global
    }

    /// Whether a caller can see the row.
    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.sees(world, self.access_scope(world))
    }

    /// Whether lists contain the row for a caller.
    fn is_listed(&self, world: &World, access: &Access) -> bool {
        self.is_visible(world, access)
    }

    /// Keys that select the rows that lists contain for a caller. Every such row has one
    /// of the keys, and no other row has any. `None` if the rows themselves must be
    /// checked. No row has two of the keys, unless one is of a field that [is
    /// shared](Field::is_shared).
    fn listed_by(_world: &World, _access: &Access) -> Option<Vec<Key>> {
        None
    }

    /// The time before which lists do not contain the row, although it was inserted.
    fn hidden_until(&self) -> Option<Timestamp> {
        None
    }

    /// The string by which `order_by` sorts a column.
    fn order_text(&self, _column: &str) -> &str {
        ""
    }

    /// The number by which rows with equal strings are sorted.
    fn order_number(&self) -> u32 {
        0
    }

    fn guid(&self) -> Guid {
        self.base().guid
    }
}

pub(super) fn all_keys<R: Row>(row: &R) -> Vec<Key> {
    let mut keys = row.keys();
    keys.extend(row.base().metadata.keys());
    keys
}

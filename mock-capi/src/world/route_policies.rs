//! Route policies: which apps, spaces and organizations may send requests to a
//! route.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::{Access, AccessScope, Base, Field, Guid, Key, Row, World};

/// A source whose requests a route accepts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RoutePolicy {
    pub(crate) base: Base,
    pub(crate) route: Guid,
    /// The space of the route.
    pub(crate) space: Guid,
    pub(crate) source: RoutePolicySource,
}

/// The source of a route policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RoutePolicySource {
    Any,
    App(Guid),
    Space(Guid),
    Org(Guid),
}

impl RoutePolicySource {
    /// Reads `cf:any` or `cf:app:GUID`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("cf:")?;
        if text == "any" {
            return Some(Self::Any);
        }
        let (kind, guid) = text.split_once(':')?;
        let guid = Guid::parse(guid).filter(|parsed| parsed.to_string() == guid)?;
        match kind {
            "app" => Some(Self::App(guid)),
            "space" => Some(Self::Space(guid)),
            "org" => Some(Self::Org(guid)),
            _ => None,
        }
    }

    pub(crate) fn guid(self) -> Option<Guid> {
        match self {
            Self::Any => None,
            Self::App(guid) | Self::Space(guid) | Self::Org(guid) => Some(guid),
        }
    }
}

impl Display for RoutePolicySource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("cf:any"),
            Self::App(guid) => write!(f, "cf:app:{guid}"),
            Self::Space(guid) => write!(f, "cf:space:{guid}"),
            Self::Org(guid) => write!(f, "cf:org:{guid}"),
        }
    }
}

impl Row for RoutePolicy {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::Route, self.route),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_spaces(world))
    }
}

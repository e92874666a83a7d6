//! Service instances and their bindings.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::world::access::READ_SPACE;
use crate::world::broker_work::Operation;
use crate::world::clock::Timestamp;
use crate::world::{Access, AccessScope, Base, Field, Guid, Key, Row, Selection, World};

/// A service instance: user-provided, with credentials, or managed by a broker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceInstance {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) space: Guid,
    pub(crate) tags: Vec<String>,
    pub(crate) credentials: Option<Map<String, Value>>,
    pub(crate) syslog_drain_url: Option<String>,
    pub(crate) route_service_url: Option<String>,
    /// The time of the last change.
    pub(crate) changed: Option<Timestamp>,
    /// `None` for a user-provided instance.
    #[serde(default)]
    pub(crate) managed: Option<Box<Managed>>,
    /// Other spaces whose apps may be bound to it.
    #[serde(default)]
    pub(crate) shared_with: Vec<Guid>,
}

impl ServiceInstance {
    /// The type of instances that no broker provides.
    pub(crate) const USER_PROVIDED: &str = "user-provided";

    /// The plan of a managed instance.
    pub(crate) fn plan(&self) -> Option<Guid> {
        self.managed.as_ref().map(|managed| managed.plan)
    }

    /// Whether apps of a space may be bound to it.
    pub(crate) fn is_usable_in(&self, space: Guid) -> bool {
        self.space == space || self.shared_with.contains(&space)
    }
}

/// The fields of a managed instance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Managed {
    pub(crate) plan: Guid,
    pub(crate) dashboard_url: Option<String>,
    pub(crate) maintenance_info: Option<Map<String, Value>>,
    pub(crate) broker_metadata: Option<Value>,
    pub(crate) operation: Operation,
}

impl Row for ServiceInstance {
    const NAME: Field = Field::ExactName;

    const IS_ORDERED_BY_NAME: bool = true;

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::text(Self::NAME, &self.name),
            Key::Guid(Field::Space, self.space),
        ];
        let is_provided = self.managed.is_none();
        keys.extend(is_provided.then(|| Key::text(Field::Type, Self::USER_PROVIDED)));
        keys.extend(self.plan().map(|plan| Key::Guid(Field::Plan, plan)));
        let shared_with = self.shared_with.iter();
        keys.extend(shared_with.map(|space| Key::Guid(Field::SharedWith, *space)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        let spaces = access.spaces(world, READ_SPACE);
        let of = |field| spaces.iter().map(move |space| Key::Guid(field, *space));
        Some(of(Field::Space).chain(of(Field::SharedWith)).collect())
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut spaces = std::iter::once(&self.space).chain(&self.shared_with);
        spaces.any(|space| access.sees(world, AccessScope::Space(*space)))
    }
}

/// Credentials of a service instance: those of a bound app, or a service key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceBinding {
    pub(crate) base: Base,
    pub(crate) name: Option<String>,
    /// `None` for a key.
    pub(crate) app: Option<Guid>,
    pub(crate) instance: Guid,
    /// Only bindings of managed instances have this.
    #[serde(default)]
    pub(crate) operation: Option<Operation>,
    #[serde(default)]
    pub(crate) credentials: Option<Value>,
    #[serde(default)]
    pub(crate) syslog_drain_url: Option<String>,
    #[serde(default)]
    pub(crate) volume_mounts: Option<Value>,
}

impl ServiceBinding {
    /// The type of bindings that are not keys.
    pub(crate) const OF_APP: &str = "app";
}

impl Row for ServiceBinding {
    const NAME: Field = Field::ExactName;

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::Guid(Field::ServiceInstance, self.instance)];
        match self.app {
            Some(app) => {
                keys.push(Key::Guid(Field::App, app));
                keys.push(Key::text(Field::Type, Self::OF_APP));
            }
            None => keys.push(Key::Guid(Field::KeyInstance, self.instance)),
        }
        let name = self.name.as_deref();
        keys.extend(name.map(|name| Key::text(Self::NAME, name)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn access_scope(&self, world: &World) -> AccessScope {
        if let Some(app) = self.app {
            return world.access_scope_of_app(app);
        }
        let instance = world.service_instances.get(self.instance);
        instance.map_or(AccessScope::Deleted, |instance| {
            AccessScope::Space(instance.space)
        })
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        let mut keys = access.keys_of_apps(world);
        let in_spaces = Selection::all().any(access.keys_of_spaces(world));
        let instances = world.service_instances.select(&in_spaces).into_iter();
        keys.extend(instances.map(|it| Key::Guid(Field::KeyInstance, it.guid())));
        Some(keys)
    }
}

/// A route whose requests go through a service instance first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RouteBinding {
    pub(crate) base: Base,
    pub(crate) route: Guid,
    pub(crate) instance: Guid,
    pub(crate) route_service_url: Option<String>,
    /// Only bindings of managed instances have this.
    pub(crate) operation: Option<Operation>,
}

impl Row for RouteBinding {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::Route, self.route),
            Key::Guid(Field::ServiceInstance, self.instance),
        ]
    }

    fn access_scope(&self, world: &World) -> AccessScope {
        let route = world.routes.get(self.route);
        route.map_or(AccessScope::Deleted, |route| {
            AccessScope::Space(route.space)
        })
    }
}

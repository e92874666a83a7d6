//! Service instances and their bindings.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::world::access::READ_SPACE;
use crate::world::broker_work::{Operation, OperationState};
use crate::world::clock::Timestamp;
use crate::world::{Access, AccessScope, Base, Field, Guid, Key, Row, ServicePlan, World};

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

    /// The type of instances that a broker provides.
    pub(crate) const MANAGED: &str = "managed";

    /// An instance that a broker still has to create.
    pub(crate) fn managed(
        base: Base,
        name: String,
        space: Guid,
        tags: Vec<String>,
        plan: &ServicePlan,
    ) -> Self {
        let managed = Managed {
            plan: plan.guid(),
            dashboard_url: None,
            maintenance_info: plan.catalog.maintenance_info.clone(),
            broker_metadata: None,
            operation: Operation::new("create", OperationState::Initial, base.created),
        };
        Self {
            base,
            name,
            space,
            tags,
            credentials: None,
            syslog_drain_url: None,
            route_service_url: None,
            changed: None,
            shared_with: Vec::new(),
            managed: Some(Box::new(managed)),
        }
    }

    /// Changes the name and the tags, if they are given.
    pub(crate) fn rename(&mut self, name: Option<String>, tags: Option<Vec<String>>) {
        if let Some(name) = name {
            self.name = name;
        }
        if let Some(tags) = tags {
            self.tags = tags;
        }
    }

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
        let (kind, place) = match self.managed {
            Some(_) => (Self::MANAGED, Field::ManagedIn),
            None => (Self::USER_PROVIDED, Field::ProvidedIn),
        };
        let mut keys = vec![
            Key::text(Self::NAME, &self.name),
            Key::Guid(Field::Space, self.space),
            Key::text(Field::Type, kind),
            Key::Guid(place, self.space),
        ];
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
        let fields = [Field::Space, Field::SharedWith];
        Some(access.keys_by_space(world, READ_SPACE, &fields))
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
    /// The space of the app or, for a key, of the instance.
    pub(crate) space: Guid,
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

    /// The type of bindings that are keys.
    pub(crate) const KEY: &str = "key";
}

impl Row for ServiceBinding {
    const NAME: Field = Field::ExactName;

    fn keys(&self) -> Vec<Key> {
        let (kind, place) = match self.app {
            Some(_) => (Self::OF_APP, Field::BoundIn),
            None => (Self::KEY, Field::KeyIn),
        };
        let mut keys = vec![
            Key::Guid(Field::ServiceInstance, self.instance),
            Key::Guid(Field::Space, self.space),
            Key::text(Field::Type, kind),
            Key::Guid(place, self.space),
        ];
        keys.extend(self.app.map(|app| Key::Guid(Field::App, app)));
        let name = self.name.as_deref();
        keys.extend(name.map(|name| Key::text(Self::NAME, name)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_spaces(world))
    }
}

/// A route whose requests go through a service instance first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RouteBinding {
    pub(crate) base: Base,
    pub(crate) route: Guid,
    /// The space of the route.
    pub(crate) space: Guid,
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

//! Audit events.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::model::CowStr;
use super::{
    Access, AccessScope, Base, Destination, Field, Guid, Key, Roles, Row, Selection, World,
};
use crate::world::access::{AUDIT_ORG, READ_EVENTS};
use crate::world::clock::Timestamp;
use crate::world::ruby;

/// The time for which events are kept.
const KEPT: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// The user or component that causes an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Actor {
    /// A user's GUID, which may be any string.
    pub(crate) id: String,
    /// `user`, or a component of the foundation.
    pub(crate) kind: CowStr,
    pub(crate) name: Option<String>,
}

impl Default for Actor {
    fn default() -> Self {
        Self {
            id: "system".into(),
            kind: "system".into(),
            name: Some("system".into()),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) base: Base,
    /// The type, such as `audit.app.start`.
    pub(crate) kind: CowStr,
    pub(crate) actor: Arc<Actor>,
    /// The changed resource.
    #[serde(alias = "app")]
    pub(crate) target: Guid,
    #[serde(default = "app")]
    pub(crate) target_kind: CowStr,
    /// The target's name at the time of the event.
    #[serde(alias = "app_name")]
    pub(crate) target_name: Box<str>,
    /// The target's GUID in the API, if it is a user.
    #[serde(default)]
    pub(crate) user: Option<Box<str>>,
    /// Kept as text, because a tree would take ten times as much memory.
    pub(crate) data: Box<RawValue>,
    pub(crate) space: Option<Guid>,
    pub(crate) org: Option<Guid>,
}

/// Older state files have only events of apps.
fn app() -> CowStr {
    "app".into()
}

impl Event {
    /// The GUID of the target in the API.
    pub(crate) fn target_id(&self) -> String {
        match &self.user {
            Some(user) => user.to_string(),
            None => self.target.to_string(),
        }
    }

    /// The keys of the events whose targets have these GUIDs in the API.
    pub(crate) fn keys_of_targets(ids: &[String]) -> Vec<Key> {
        let users = ids.iter().map(|id| Key::exact(Field::User, id.as_str()));
        let guids = ids.iter().filter_map(|id| Guid::parse(id));
        let others = guids.map(|guid| Key::Guid(Field::Target, guid));
        users.chain(others).collect()
    }

    /// The keys of the events that a caller can see: the events of organizations that the
    /// caller audits, and of spaces in which the caller has one of the roles.
    pub(crate) fn keys_for(world: &World, access: &Access, roles: Roles) -> Vec<Key> {
        let audited = access.orgs(world, AUDIT_ORG);
        let mut spaces = access.spaces(world, roles);
        // The events of these spaces already belong to an audited organization.
        spaces.retain(|space| {
            let org = world.spaces.get(*space).map(|space| space.org);
            org.is_none_or(|org| !audited.contains(&org))
        });
        let spaces = spaces
            .into_iter()
            .map(|space| Key::Guid(Field::Space, space));
        let orgs = audited.into_iter().map(|org| Key::Guid(Field::Org, org));
        spaces.chain(orgs).collect()
    }
}

/// The target of an event, with its space and organization.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: &'static str,
    pub(crate) guid: Guid,
    pub(crate) name: String,
    pub(crate) user: Option<Box<str>>,
    pub(crate) space: Option<Guid>,
    pub(crate) org: Option<Guid>,
}

impl Target {
    /// A target that belongs to no organization.
    pub(crate) fn of(kind: &'static str, guid: Guid, name: &str) -> Self {
        Self {
            kind,
            guid,
            name: name.into(),
            user: None,
            space: None,
            org: None,
        }
    }
}

/// A role that a user gets or loses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoleChange {
    /// The type of the event.
    pub(crate) kind: &'static str,
    pub(crate) user: Guid,
    /// Whether the event contains the name of the user.
    pub(crate) is_named: bool,
}

impl World {
    /// Sets the actor of the following events.
    pub(crate) fn act_as(&mut self, user: &str, name: Option<&str>) {
        let known = &self.actor;
        if known.kind == "user" && known.id == user && known.name.as_deref() == name {
            return;
        }
        self.actor = Arc::new(Actor {
            id: user.into(),
            kind: "user".into(),
            name: name.map(str::to_owned),
        });
    }

    /// Records an event of an app.
    pub(crate) fn record(&mut self, app: Guid, kind: &'static str, data: Value) {
        let actor = self.actor.clone();
        self.record_of(actor, app, self.now, kind, data);
    }

    /// Records the changes of a request in the log and the events of an app.
    pub(crate) fn record_app_update(&mut self, app: Guid, request: Map<String, Value>) {
        let request = audited(request);
        let change = ruby::inspect_with_string_keys(&request);
        self.log_api(app, format!("Updated app with guid {app} ({change})"));
        self.record(app, "audit.app.update", json!({"request": request}));
    }

    /// Records an event at a given time, which may be in the future.
    pub(crate) fn record_at(&mut self, app: Guid, at: Timestamp, kind: &'static str, data: Value) {
        let actor = self.actor.clone();
        self.record_of(actor, app, at, kind, data);
    }

    fn record_of(
        &mut self,
        actor: Arc<Actor>,
        guid: Guid,
        at: Timestamp,
        kind: &'static str,
        data: Value,
    ) {
        let Some(app) = self.apps.get(guid) else {
            return;
        };
        let (name, space) = (app.name.to_string(), Some(app.space));
        let target = Target {
            space,
            ..Target::of("app", guid, &name)
        };
        self.record_target_of(actor, at, kind, target, data);
    }

    /// Records an event of a resource of any kind.
    pub(crate) fn record_target(&mut self, kind: &'static str, target: Target, data: Value) {
        let actor = self.actor.clone();
        self.record_target_of(actor, self.now, kind, target, data);
    }

    fn record_target_of(
        &mut self,
        actor: Arc<Actor>,
        at: Timestamp,
        kind: &'static str,
        target: Target,
        mut data: Value,
    ) {
        if self.is_read_again {
            return;
        }
        if self.applies_manifest {
            data["manifest_triggered"] = json!(true);
        }
        let base = self.base();
        // Serialization cannot fail, because all keys are strings.
        let data = to_raw_value(&data).unwrap_or_else(|_| RawValue::NULL.to_owned());
        let of_space = target.space.and_then(|space| self.org_of(space));
        let org = target.org.or(of_space.map(Row::guid));
        self.add(Event {
            base: Base {
                created: at,
                updated: at,
                ..base
            },
            kind: kind.into(),
            actor,
            target: target.guid,
            target_kind: target.kind.into(),
            target_name: target.name.into(),
            user: target.user,
            data,
            space: target.space,
            org,
        });
        self.forget_events();
    }

    /// Records an event of a resource at a given time, which may be in the future.
    pub(crate) fn record_target_at(
        &mut self,
        at: Timestamp,
        kind: &'static str,
        target: Target,
        data: Value,
    ) {
        let actor = self.actor.clone();
        self.record_target_of(actor, at, kind, target, data);
    }

    /// Records an event of a resource whose actor is a broker.
    pub(super) fn record_as_broker(&mut self, broker: Guid, kind: &'static str, target: Target) {
        let name = self.service_brokers.get(broker);
        let actor = Actor {
            id: broker.to_string(),
            kind: "service_broker".into(),
            name: name.map(|broker| broker.name.clone()),
        };
        self.record_target_of(Arc::new(actor), self.now, kind, target, json!({}));
    }

    /// Records an event of a resource that belongs to no organization.
    pub(crate) fn record_named(
        &mut self,
        kind: &'static str,
        target_kind: &'static str,
        guid: Guid,
        name: &str,
        data: Value,
    ) {
        self.record_target(kind, Target::of(target_kind, guid, name), data);
    }

    /// Records an event of an organization.
    pub(crate) fn record_org(&mut self, org: Guid, kind: &'static str, request: Value) {
        let Some(name) = self.orgs.get(org).map(|org| org.name.clone()) else {
            return;
        };
        let target = Target {
            org: Some(org),
            ..Target::of("organization", org, &name)
        };
        self.record_target(kind, target, json!({"request": request}));
    }

    /// Records an event of a space.
    pub(crate) fn record_space(&mut self, space: Guid, kind: &'static str, request: Value) {
        let Some(name) = self.spaces.get(space).map(|space| space.name.clone()) else {
            return;
        };
        let target = Target {
            space: Some(space),
            ..Target::of("space", space, &name)
        };
        self.record_target(kind, target, json!({"request": request}));
    }

    /// Records an event of a route.
    pub(crate) fn record_route(&mut self, route: Guid, kind: &'static str, data: Value) {
        let Some(found) = self.routes.get(route) else {
            return;
        };
        let target = Target {
            space: Some(found.space),
            ..Target::of("route", route, &found.host)
        };
        self.record_target(kind, target, data);
    }

    /// Records that a user gets or loses a role.
    pub(crate) fn record_role(&mut self, role: Guid, added: bool, request: Value) {
        if let Some(role) = self.roles.get(role) {
            let place = (role.org, role.space);
            let change = RoleChange {
                kind: role.kind.audited(added),
                user: role.user,
                is_named: true,
            };
            self.record_role_change(change, place, request);
        }
    }

    /// Records a change of a role in an organization, or in a space of it.
    pub(crate) fn record_role_change(
        &mut self,
        change: RoleChange,
        (org, space): (Guid, Option<Guid>),
        request: Value,
    ) {
        let Some(user) = self.users.get(change.user) else {
            return;
        };
        let account = self.account_of(user).filter(|_| change.is_named);
        let name = account.map_or("", |account| account.name.as_str());
        let target = Target {
            user: Some(user.id.clone().into()),
            space,
            org: Some(org),
            ..Target::of("user", change.user, name)
        };
        self.record_target(change.kind, target, json!({"request": request}));
    }

    /// Records an event of a process.
    pub(crate) fn record_process(&mut self, process: Guid, kind: &'static str, more: &Value) {
        let Some(process) = self.processes.get(process) else {
            return;
        };
        let app = process.app;
        let mut data = json!({
            "process_guid": process.guid(),
            "process_type": process.kind,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        self.record(app, kind, data);
    }

    /// Records that a route is mapped to an app, or unmapped.
    pub(crate) fn record_mapping(
        &mut self,
        kind: &'static str,
        route: Guid,
        destination: &Destination,
    ) {
        let mut data = json!({
            "route_guid": route,
            "app_port": destination.port,
            "route_mapping_guid": destination.guid,
            "destination_guid": destination.guid,
            "process_type": destination.process,
            "weight": destination.weight,
            "protocol": destination.protocol,
        });
        let options = self.routes.get(route).map(|route| json!(route.options));
        if let Some(options) = options.filter(|options| *options != json!({})) {
            data["route_options"] = options;
        }
        self.record(destination.app, kind, data);
    }

    /// Records that an instance crashed, as events of its app and of its process.
    pub(super) fn record_crash(&mut self, process: Guid, at: Timestamp, payload: Value) {
        let Some(process) = self.processes.get(process) else {
            return;
        };
        let actor = |id: Guid, kind: &'static str, name: Option<String>| {
            Arc::new(Actor {
                id: id.to_string(),
                kind: kind.into(),
                name,
            })
        };
        let app = process.app;
        let of_process = actor(process.guid(), "process", Some(process.kind.to_string()));
        let name = self.apps.get(app).map(|app| app.name.to_string());
        let of_app = actor(app, "app", name);
        self.record_of(of_app, app, at, "app.crash", payload.clone());
        self.record_of(of_process, app, at, "audit.app.process.crash", payload);
    }

    /// Removes the future crash events of an app.
    pub(super) fn forget_crashes(&mut self, app: Guid) {
        let of_app = Selection::by(Field::Target, app);
        let events = self.events.select(&of_app).into_iter();
        let pending = events.filter(|event| event.base.created > self.now);
        let crashes = pending.filter(|event| event.kind.ends_with(".crash"));
        for guid in crashes.map(Row::guid).collect::<Vec<_>>() {
            self.events.remove(guid);
        }
    }

    /// Removes the events of an app whose creation was finally refused.
    pub(crate) fn forget_events_of(&mut self, app: Guid) {
        let of_app = Selection::by(Field::Target, app);
        let events: Vec<Guid> = self
            .events
            .select(&of_app)
            .iter()
            .map(|it| it.guid())
            .collect();
        for event in events {
            self.events.remove(event);
        }
    }

    /// Removes old events, and the oldest ones if there are too many.
    fn forget_events(&mut self) {
        let surplus = self.events.keep_newest(self.kept_events, |_| true);
        self.forgotten.events += surplus;
        let now = self.now;
        let is_old = |event: &&Event| event.base.created.plus(KEPT) < now;
        while let Some(old) = self.oldest_event().filter(is_old).map(Row::guid) {
            self.events.remove(old);
        }
    }

    fn oldest_event(&self) -> Option<&Event> {
        self.events.iter().next()
    }
}

/// A request as events contain it: without commands, environment variables and logins.
pub(crate) fn audited(mut request: Map<String, Value>) -> Value {
    for hidden in [
        "command",
        "environment_variables",
        "environment_json",
        "docker_credentials",
    ] {
        if let Some(value) = request.get_mut(hidden) {
            *value = json!("[PRIVATE DATA HIDDEN]");
        }
    }
    Value::Object(request)
}

impl Row for Event {
    /// Crashes of instances are recorded when the instances start.
    const IS_IN_ADVANCE: bool = true;

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let org = self.org.map_or(AccessScope::Deleted, AccessScope::Org);
        access.allows(world, self.access_scope(world), READ_EVENTS)
            || access.allows(world, org, AUDIT_ORG)
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::Guid(Field::Target, self.target),
            Key::text(Field::Type, &self.kind),
        ];
        keys.extend(self.space.map(|space| Key::Guid(Field::Space, space)));
        keys.extend(self.org.map(|org| Key::Guid(Field::Org, org)));
        let user = self.user.as_deref();
        keys.extend(user.map(|user| Key::exact(Field::User, user)));
        keys
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        self.space.map_or(AccessScope::Deleted, AccessScope::Space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(Self::keys_for(world, access, READ_EVENTS))
    }
}

//! Audit events: who did what to an app, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::CowStr;
use super::{Base, Destination, Field, Guid, Row, Selection, World};
use crate::world::clock::Timestamp;

/// How long events are kept.
const KEPT: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Who does something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Actor {
    /// A user's GUID, which is any text.
    pub(crate) id: String,
    /// `user`, or what of the foundation it was.
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
    /// Such as `audit.app.start`.
    pub(crate) kind: CowStr,
    pub(crate) actor: Actor,
    pub(crate) app: Guid,
    /// As it was called then.
    pub(crate) app_name: String,
    pub(crate) data: Value,
    pub(crate) space: Guid,
    pub(crate) org: Option<Guid>,
}

impl World {
    /// Says who does what is done from now on.
    pub(crate) fn act_as(&mut self, user: &str, name: Option<&str>) {
        self.actor = Actor {
            id: user.into(),
            kind: "user".into(),
            name: name.map(str::to_owned),
        };
    }

    /// Records what the actor has done to an app.
    pub(crate) fn record(&mut self, app: Guid, kind: &'static str, data: Value) {
        let actor = self.actor.clone();
        self.record_of(actor, app, self.now, kind, data);
    }

    /// The same at some moment, which may be yet to come.
    pub(crate) fn record_at(&mut self, app: Guid, at: Timestamp, kind: &'static str, data: Value) {
        let actor = self.actor.clone();
        self.record_of(actor, app, at, kind, data);
    }

    fn record_of(
        &mut self,
        actor: Actor,
        guid: Guid,
        at: Timestamp,
        kind: &'static str,
        data: Value,
    ) {
        let base = self.base();
        let Some(app) = self.apps.get(guid) else {
            return;
        };
        let event = Event {
            base: Base {
                created: at,
                updated: at,
                ..base
            },
            kind: kind.into(),
            actor,
            app: guid,
            app_name: app.name.to_string(),
            data,
            space: app.space,
            org: self.org_of(app.space).map(Row::guid),
        };
        self.add(event);
        self.forget_events();
    }

    /// Records what the actor has done to a process.
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

    /// Records that a route leads to an app from now on, or no more.
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

    /// Records that an instance exits, as its app and as its process.
    pub(super) fn record_crash(&mut self, process: Guid, at: Timestamp, payload: Value) {
        let Some(process) = self.processes.get(process) else {
            return;
        };
        let actor = |id: Guid, kind: &'static str, name: Option<String>| Actor {
            id: id.to_string(),
            kind: kind.into(),
            name,
        };
        let app = process.app;
        let of_process = actor(process.guid(), "process", Some(process.kind.to_string()));
        let name = self.apps.get(app).map(|app| app.name.to_string());
        let of_app = actor(app, "app", name);
        self.record_of(of_app, app, at, "app.crash", payload.clone());
        self.record_of(of_process, app, at, "audit.app.process.crash", payload);
    }

    /// Forgets the crashes of an app that are yet to come.
    pub(super) fn forget_crashes(&mut self, app: Guid) {
        let of_app = Selection::by(Field::App, app);
        let events = self.events.select(&of_app).into_iter();
        let pending = events.filter(|event| event.base.created > self.now);
        let crashes = pending.filter(|event| event.kind.ends_with(".crash"));
        for guid in crashes.map(Row::guid).collect::<Vec<_>>() {
            self.events.remove(guid);
        }
    }

    /// Takes back what was recorded of an app that was refused in the end.
    pub(crate) fn forget_events_of(&mut self, app: Guid) {
        let of_app = Selection::by(Field::App, app);
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

    /// Forgets what happened too long ago, or too much ago: many apps leave many
    /// more events.
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

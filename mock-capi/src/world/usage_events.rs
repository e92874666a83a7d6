//! Usage events, which operators use for billing: one for each change of running
//! processes, of staging, and of service instances.

use serde::{Deserialize, Serialize};

use super::model::CowStr;
use super::{
    AccessScope, Base, Build, Guid, Key, Lifecycle, Process, Row, Scale, ServiceInstance, Task,
    World,
};
use crate::world::clock::Timestamp;

/// The memory of a staging in usage events, regardless of its actual use.
const STAGING_MEMORY_MB: u32 = 1024;

/// The usage of an app since some time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AppUsageEvent {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) app_name: String,
    pub(crate) space: Guid,
    pub(crate) space_name: String,
    pub(crate) org: Option<Guid>,
    /// The GUID and the type, if the event is for a process.
    pub(crate) process: Option<(Guid, String)>,
    /// The GUID and the name, if the event is for a task.
    pub(crate) task: Option<(Guid, String)>,
    /// The new and the previous state, instances and memory.
    pub(crate) now: Used,
    pub(crate) before: Used,
    /// The new and the previous state of the package.
    pub(crate) package: (CowStr, CowStr),
    pub(crate) buildpack: Option<String>,
}

/// The usage of a process or a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) state: CowStr,
    pub(crate) instances: u32,
    pub(crate) memory_mb: u32,
}

/// A change of a service instance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceUsageEvent {
    pub(crate) base: Base,
    pub(crate) state: CowStr,
    pub(crate) instance: Guid,
    pub(crate) instance_name: String,
    pub(crate) space: Guid,
    pub(crate) space_name: String,
    pub(crate) org: Option<Guid>,
    /// The GUIDs and names of the plan, the offering and the broker of a managed
    /// instance.
    #[serde(default)]
    pub(crate) from: Option<Box<[(Guid, String); 3]>>,
}

impl Used {
    fn new(state: &'static str, instances: u32, memory_mb: u32) -> Self {
        Self {
            state: state.into(),
            instances,
            memory_mb,
        }
    }

    /// The usage of a process.
    pub(super) fn of(process: &Process) -> Self {
        let Scale {
            instances,
            memory_mb,
            ..
        } = process.scale;
        let state = if process.started {
            "STARTED"
        } else {
            "STOPPED"
        };
        Self::new(state, instances, memory_mb)
    }
}

impl World {
    /// Records a change of a process's usage, if it is billed.
    pub(super) fn record_usage(&mut self, process: Guid, before: Used, now: Used) {
        let started = before.state == "STARTED" || now.state == "STARTED";
        if before == now || !started {
            return;
        }
        let Some(process) = self.processes.get(process) else {
            return;
        };
        let (app, known) = (process.app, (process.guid(), process.kind.clone()));
        self.add_app_usage(app, self.now, |event| {
            event.process = Some(known);
            (event.before, event.now) = (before, now);
        });
    }

    /// Records that a process was removed, if it was running.
    pub(super) fn record_removal(&mut self, process: &Process) {
        if !process.started {
            return;
        }
        let before = Used::of(process);
        let known = (process.guid(), process.kind.clone());
        self.add_app_usage(process.app, self.now, |event| {
            event.process = Some(known);
            event.now.state = "STOPPED".into();
            (event.now.instances, event.now.memory_mb) = (before.instances, before.memory_mb);
            event.before = before;
        });
    }

    /// Records the start and the end of staging.
    pub(crate) fn record_staging(&mut self, build: &Build) {
        let buildpack = match &build.lifecycle {
            Lifecycle::Buildpack { buildpacks, .. } => buildpacks.first().cloned(),
            Lifecycle::Docker => None,
        };
        let mut states = vec![
            (self.now, "STAGING_STARTED", "STAGING"),
            (build.ready_at, "STAGING_STOPPED", "STAGING"),
        ];
        if build.error.is_none() {
            states.push((build.ready_at, "BUILDPACK_SET", "STAGED"));
        }
        for (at, state, before) in states {
            self.add_app_usage(build.app, at, |event| {
                event.now = Used::new(state, 1, STAGING_MEMORY_MB);
                event.before = Used::new(before, 1, STAGING_MEMORY_MB);
                event.package = ("READY".into(), "READY".into());
                event.buildpack.clone_from(&buildpack);
            });
        }
    }

    /// Records the start of a task, or the time at which it ends.
    pub(super) fn record_task(&mut self, task: &Task, at: Timestamp, state: &'static str) {
        let known = (task.base.guid, task.name.clone());
        self.record_task_of(task.app, known, task.memory_mb, at, state);
    }

    fn record_task_of(
        &mut self,
        app: Guid,
        task: (Guid, String),
        memory: u32,
        at: Timestamp,
        state: &'static str,
    ) {
        self.add_app_usage(app, at, |event| {
            event.task = Some(task);
            event.now = Used::new(state, 1, memory);
            event.before = Used::new("RUNNING", 1, memory);
            event.package = ("STAGED".into(), "STAGED".into());
        });
    }

    /// Corrects the time at which a task ends.
    pub(super) fn record_task_end(&mut self, task: Guid, at: Timestamp) {
        self.forget_task_end(task);
        let Some(task) = self.tasks.get(task) else {
            return;
        };
        let (app, known, memory) = (
            task.app,
            (task.base.guid, task.name.clone()),
            task.memory_mb,
        );
        self.record_task_of(app, known, memory, at, "TASK_STOPPED");
    }

    fn forget_task_end(&mut self, task: Guid) {
        let now = self.now;
        let events = self.app_usage_events.iter();
        let pending = events.filter(|event| {
            let of_task = event.task.as_ref().is_some_and(|(guid, _)| *guid == task);
            of_task && event.base.created > now
        });
        for guid in pending.map(Row::guid).collect::<Vec<_>>() {
            self.app_usage_events.remove(guid);
        }
    }

    fn add_app_usage(&mut self, app: Guid, at: Timestamp, fill: impl FnOnce(&mut AppUsageEvent)) {
        let base = self.base();
        let Some(app) = self.apps.get(app) else {
            return;
        };
        let space = self.spaces.get(app.space);
        let mut event = AppUsageEvent {
            base: Base {
                created: at,
                updated: at,
                ..base
            },
            app: app.guid(),
            app_name: app.name.clone(),
            space: app.space,
            space_name: space.map_or_else(String::new, |space| space.name.clone()),
            org: space.map(|space| space.org),
            process: None,
            task: None,
            now: Used::new("STOPPED", 0, 0),
            before: Used::new("STOPPED", 0, 0),
            package: (self.package_state(app).into(), "UNKNOWN".into()),
            buildpack: None,
        };
        fill(&mut event);
        self.add(event);
        let kept = self.kept_events;
        self.forgotten.events += self.app_usage_events.keep_newest(kept, |_| true);
    }

    /// Replaces the usage events of apps by the current usage.
    pub(crate) fn reseed_app_usage(&mut self) {
        self.app_usage_events.keep_newest(0, |_| true);
        let started = self.processes.iter().filter(|process| process.started);
        let started: Vec<(Guid, Used)> = started
            .map(|process| (process.guid(), Used::of(process)))
            .collect();
        for (process, used) in started {
            let Some(process) = self.processes.get(process) else {
                continue;
            };
            let (app, known) = (process.app, (process.guid(), process.kind.clone()));
            self.add_app_usage(app, self.now, |event| {
                event.process = Some(known);
                (event.before, event.now) = (used.clone(), used);
            });
        }
    }

    /// Records a change of a service instance.
    pub(crate) fn record_service_usage(&mut self, instance: Guid, state: &'static str) {
        let base = self.base();
        let Some(instance) = self.service_instances.get(instance) else {
            return;
        };
        let space = self.spaces.get(instance.space);
        let plan = instance
            .plan()
            .and_then(|plan| self.service_plans.get(plan));
        let from = plan.and_then(|plan| {
            let (offering, broker) = (self.offering_of(plan)?, self.broker_of(plan)?);
            Some(Box::new([
                (plan.guid(), plan.catalog.name.clone()),
                (offering.guid(), offering.catalog.name.clone()),
                (broker.guid(), broker.name.clone()),
            ]))
        });
        let event = ServiceUsageEvent {
            base,
            state: state.into(),
            instance: instance.guid(),
            instance_name: instance.name.clone(),
            space: instance.space,
            space_name: space.map_or_else(String::new, |space| space.name.clone()),
            org: space.map(|space| space.org),
            from,
        };
        self.add(event);
        let kept = self.kept_events;
        self.forgotten.events += self.service_usage_events.keep_newest(kept, |_| true);
    }

    /// Adds a service instance and records its usage.
    pub(crate) fn add_service_instance(&mut self, instance: ServiceInstance) -> Guid {
        let guid = self.add(instance);
        self.record_service_usage(guid, "CREATED");
        guid
    }

    /// Replaces the usage events of services by the existing instances.
    pub(crate) fn reseed_service_usage(&mut self) {
        self.service_usage_events.keep_newest(0, |_| true);
        let instances: Vec<Guid> = self.service_instances.iter().map(Row::guid).collect();
        for instance in instances {
            self.record_service_usage(instance, "CREATED");
        }
    }
}

impl Row for AppUsageEvent {
    /// The end of staging is recorded when it begins.
    const IS_IN_ADVANCE: bool = true;

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Deleted
    }
}

impl Row for ServiceUsageEvent {
    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Deleted
    }
}

//! Apps and their processes: creation, start, stop, scale, and the states of
//! instances.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    App, Features, Field, Guid, GuidSource, HealthCheck, Lifecycle, Process, Row, Scale, Selection,
    V2Marks, World,
};
use crate::world::clock::Timestamp;
use crate::world::error::Error;
use crate::world::metadata::MetadataPatch;
use crate::world::random::Random;

/// The maximum disk size of an instance.
pub(crate) const MAX_APP_DISK_MB: u32 = 2048;

/// The default disk size of an instance.
pub(crate) const DEFAULT_DISK_MB: u32 = 1024;

/// The state of an instance as the scheduler reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InstanceState {
    pub(crate) index: u32,
    pub(crate) name: &'static str,
    /// Seconds since the instance was placed. `None` if the instance does not exist.
    pub(crate) uptime: Option<u64>,
}

impl InstanceState {
    /// The maximum number of instances of a process that are listed.
    pub(crate) const LISTED: u32 = 10_000;
}

impl World {
    /// Adds a stopped app without processes. Its name must not be in use.
    pub(crate) fn create_app(
        &mut self,
        space: Guid,
        name: String,
        lifecycle: Lifecycle,
        environment: Option<Map<String, Value>>,
        metadata: MetadataPatch,
    ) -> Guid {
        let base = self.base_with(metadata);
        let guid = self.add(App {
            base,
            name,
            space,
            started: false,
            lifecycle,
            has_environment: environment.is_some(),
            environment: environment.unwrap_or_default(),
            droplet: None,
            features: Features::default(),
        });
        self.log_api(guid, format!("Created app with guid {guid}"));
        guid
    }

    /// Adds a process of a type that the app does not have yet, and records it. `None`
    /// if the app does not exist.
    pub(crate) fn create_process(&mut self, app: Guid, kind: &str) -> Option<Guid> {
        let guid = self.add_process(app, kind)?;
        self.record_process(guid, "audit.app.process.create", &Value::Null);
        Some(guid)
    }

    /// Adds a process of a type that the app does not have yet. The web process has
    /// its app's GUID. `None` if the app does not exist.
    pub(crate) fn add_process(&mut self, app: Guid, kind: &str) -> Option<Guid> {
        let space = self.apps.get(app).map(|app| app.space)?;
        let web = kind == "web";
        let mut base = self.base();
        if web {
            base.guid = app;
        }
        Some(self.add(Process {
            base,
            app,
            space,
            kind: kind.into(),
            command: None,
            user: None,
            scale: Scale {
                instances: u32::from(web),
                memory_mb: 1024,
                disk_mb: DEFAULT_DISK_MB,
                log_rate: -1,
            },
            health_check: HealthCheck::of(if web { "port" } else { "process" }),
            readiness_check: HealthCheck::of("process"),
            started: false,
            revision: None,
            crashing: false,
            starts: Vec::new(),
            placements: Vec::new(),
            v2: V2Marks::default(),
        }))
    }

    pub(crate) fn processes_of(&self, app: Guid) -> Vec<&Process> {
        self.processes.select(&Selection::by(Field::App, app))
    }

    /// The app's process of a type. During a deployment, this is the newest one.
    pub(crate) fn process(&self, app: Guid, kind: &str) -> Option<&Process> {
        let processes = self.processes_of(app);
        processes.into_iter().rfind(|process| process.kind == kind)
    }

    /// Makes a staged droplet the app's current one, and adds missing processes for
    /// its types.
    pub(crate) fn assign_droplet(&mut self, app: Guid, droplet: Guid) {
        let data = json!({"request": {"droplet_guid": droplet}});
        self.record(app, "audit.app.droplet.mapped", data);
        self.use_droplet(app, droplet);
    }

    /// The same without an event.
    pub(super) fn use_droplet(&mut self, app: Guid, droplet: Guid) {
        self.update_row(app, |app: &mut App| app.droplet = Some(droplet));
        let droplet = self.droplets.get(droplet);
        let types = droplet.map(|droplet| droplet.process_types.keys().cloned());
        for kind in types.into_iter().flatten().collect::<Vec<_>>() {
            if self.process(app, &kind).is_none() {
                self.create_process(app, &kind);
            }
        }
    }

    /// Starts the processes that are stopped. Their instances crash if `crashing` is set.
    pub(crate) fn start_app(&mut self, guid: Guid, crashing: bool) -> Result<(), Error> {
        self.await_start(guid)?;
        self.begin_all(guid, crashing);
        self.visit_deployment_of(guid);
        Ok(())
    }

    /// Marks an app as started and updates its revision. Its processes start once it is
    /// staged.
    pub(crate) fn await_start(&mut self, guid: Guid) -> Result<(), Error> {
        let started = self.apps.get(guid).is_some_and(|app| app.started);
        self.want_started(guid)?;
        if !started {
            self.update_revision(guid);
        }
        Ok(())
    }

    /// Marks an app as started, but does not change its revision.
    pub(super) fn want_started(&mut self, guid: Guid) -> Result<(), Error> {
        self.check_start(guid, |process| process.scale)?;
        self.set_started(guid, true);
        Ok(())
    }

    /// Checks that the quota allows an app to run with these sizes.
    pub(crate) fn check_start(
        &self,
        guid: Guid,
        size: impl Fn(&Process) -> Scale,
    ) -> Result<(), Error> {
        let Some(app) = self.apps.get(guid) else {
            return Ok(());
        };
        let processes = self.processes_of(guid);
        let sizes = processes.iter().map(|process| (*process, size(process)));
        let sizes: Vec<_> = sizes.collect();
        self.check_quota(app.space, &sizes)
    }

    /// Checks that the quota allows an app to be stopped and started again.
    pub(crate) fn check_restart(&self, guid: Guid) -> Result<(), Error> {
        let Some(app) = self.apps.get(guid) else {
            return Ok(());
        };
        self.check_restart_quota(app.space, &self.processes_of(guid))
    }

    /// Moves an app and its resources to another space.
    pub(crate) fn move_app(&mut self, guid: Guid, space: Guid) {
        let of_app = Selection::by(Field::App, guid);
        for process in self.processes.guids_newest_first(&of_app) {
            self.move_process(process, space);
        }
        for package in self.packages.guids_newest_first(&of_app) {
            self.packages
                .update(package, |package| package.space = space);
        }
        for droplet in self.droplets.guids_newest_first(&of_app) {
            self.droplets
                .update(droplet, |droplet| droplet.space = space);
        }
        for task in self.tasks.guids_newest_first(&of_app) {
            self.tasks.update(task, |task| task.space = space);
        }
        for build in self.builds.guids_newest_first(&of_app) {
            self.builds.update(build, |build| build.space = space);
        }
        for deployment in self.deployments.guids_newest_first(&of_app) {
            self.deployments
                .update(deployment, |deployment| deployment.space = space);
        }
        for binding in self.service_bindings.guids_newest_first(&of_app) {
            self.service_bindings
                .update(binding, |binding| binding.space = space);
        }
        self.update_row(guid, |app: &mut App| app.space = space);
    }

    pub(crate) fn stop_app(&mut self, guid: Guid) {
        let processes: Vec<Guid> = self.processes_of(guid).iter().map(|p| p.guid()).collect();
        self.set_started(guid, false);
        for process in processes {
            self.change_process(process, |process| {
                process.started = false;
                process.starts.clear();
            });
        }
        self.drop_future_lines(guid);
    }

    /// Starts those processes of an app that are stopped.
    pub(super) fn begin_all(&mut self, app: Guid, crashing: bool) {
        let stopped: Vec<Guid> = self
            .processes_of(app)
            .iter()
            .filter(|process| !process.started)
            .map(|process| process.guid())
            .collect();
        for process in stopped {
            self.begin(process, crashing);
        }
    }

    fn set_started(&mut self, app: Guid, started: bool) {
        self.update_row(app, |app: &mut App| app.started = started);
    }

    pub(super) fn begin(&mut self, process: Guid, crashing: bool) {
        let now = self.now;
        let app = self.processes.get(process).map(|process| process.app);
        let app = app.filter(|app| self.has_revisions(*app));
        let revision = app.and_then(|app| self.latest_revision(app)).map(Row::guid);
        self.change_process(process, |process| {
            process.started = true;
            process.revision = revision.or(process.revision);
            process.crashing = crashing;
            process.starts = vec![(process.scale.instances, now)];
        });
        self.log_start(process, 0);
    }

    /// Scales a process. Fails if its quota does not allow the sizes.
    pub(crate) fn scale(&mut self, guid: Guid, scale: Scale) -> Result<(), Error> {
        self.check_scale(guid, scale)?;
        self.resize(guid, scale);
        Ok(())
    }

    pub(crate) fn check_scale(&self, guid: Guid, scale: Scale) -> Result<(), Error> {
        let Some(process) = self.processes.get(guid) else {
            return Ok(());
        };
        if scale.memory_mb != process.scale.memory_mb
            && self.sidecar_memory(process.app, &process.kind, None) >= u64::from(scale.memory_mb)
        {
            return Err(Error::unprocessable(
                "The requested memory allocation is not large enough to run all of your sidecar processes",
            ));
        }
        if scale.disk_mb > MAX_APP_DISK_MB {
            return Err(Error::unprocessable(format!(
                "disk_quota too much disk requested (requested {} MB - must be less than {MAX_APP_DISK_MB} MB)",
                scale.disk_mb
            )));
        }
        if process.started {
            self.check_quota(process.space, &[(process, scale)])?;
        }
        Ok(())
    }

    /// Scales a process without a check of its quota.
    pub(super) fn resize(&mut self, guid: Guid, scale: Scale) {
        let Some(process) = self.processes.get(guid) else {
            return;
        };
        let (now, instances) = (self.now, process.scale.instances);
        let grows = process.started && scale.instances > instances;
        self.change_process(guid, |process| {
            process.scale = scale;
            if process.started {
                rescale(&mut process.starts, scale.instances, now);
            }
        });
        if grows {
            self.log_start(guid, instances);
        }
    }

    /// Stops an instance of a process and starts it again at once.
    pub(crate) fn restart_instance(&mut self, guid: Guid, index: u32) {
        let now = self.now;
        self.change_process(guid, |process| {
            restart(&mut process.starts, index, now);
        });
    }

    /// The current instances of a process, by index. The list is limited to save memory,
    /// because a process may have two billion instances.
    pub(crate) fn instances(&self, process: &Process) -> Vec<InstanceState> {
        (0..process.scale.instances.min(InstanceState::LISTED))
            .map(|index| self.instance(process, index))
            .collect()
    }

    fn instance(&self, process: &Process, index: u32) -> InstanceState {
        let covering = process.starts.iter().find(|(upto, _)| index < *upto);
        let Some(&(_, started)) = covering.filter(|_| process.started) else {
            return InstanceState {
                index,
                name: "DOWN",
                uptime: None,
            };
        };
        let done = started.plus(self.start_time(process, index));
        let (name, since) = match process.crashing {
            _ if self.now < done => ("STARTING", started),
            true => ("CRASHED", done),
            false => ("RUNNING", started),
        };
        InstanceState {
            index,
            name,
            uptime: Some(self.now.seconds_since(since)),
        }
    }

    /// The time at which an instance became `RUNNING`. `None` if it is not.
    pub(crate) fn running_since(&self, process: &Process, index: u32) -> Option<Timestamp> {
        let covering = process.starts.iter().find(|(upto, _)| index < *upto);
        let &(_, started) = covering.filter(|_| process.started && !process.crashing)?;
        let since = started.plus(self.start_time(process, index));
        (since <= self.now).then_some(since)
    }

    /// The indexes of the instances of a process that are `RUNNING`.
    pub(crate) fn running_instances(&self, process: &Process) -> impl Iterator<Item = u32> {
        let listed = 0..process.scale.instances.min(InstanceState::LISTED);
        listed.filter(|index| self.running_since(process, *index).is_some())
    }

    /// The time that an instance takes to start. The result is the same for each call.
    pub(super) fn start_time(&self, process: &Process, index: u32) -> Duration {
        let mut random = Random::of(&(process.base.guid, index));
        random.jittered(self.timings.start, self.timings.jitter)
    }

    /// The version of a process, which changes when the process is started or its memory
    /// changes.
    pub(crate) fn version_of(&self, process: &Process) -> Guid {
        let started = process.starts.first().map(|(_, at)| at.unix_nanos());
        let version = (process.base.guid, process.scale.memory_mb, started);
        GuidSource::new(Random::of(&version)).next()
    }

    /// The number of instances that are starting or running.
    pub(crate) fn live_instances(&self, process: &Process) -> u32 {
        if process.started && !process.crashing {
            process.scale.instances
        } else {
            0
        }
    }
}

/// Keeps the oldest instances, and starts missing ones now.
fn rescale(starts: &mut Vec<(u32, Timestamp)>, instances: u32, now: Timestamp) {
    let kept = starts.partition_point(|(upto, _)| *upto < instances);
    match starts.get_mut(kept) {
        Some(last) => {
            last.0 = instances;
            starts.truncate(kept + 1);
        }
        None => match starts.last_mut().filter(|(_, at)| *at == now) {
            Some(last) => last.0 = instances,
            None => starts.push((instances, now)),
        },
    }
}

/// Restarts one instance now.
fn restart(starts: &mut Vec<(u32, Timestamp)>, index: u32, now: Timestamp) {
    let covering = starts.partition_point(|(upto, _)| *upto <= index);
    let Some(&(upto, at)) = starts.get(covering) else {
        return;
    };
    let below = covering
        .checked_sub(1)
        .and_then(|before| starts.get(before))
        .map_or(0, |(upto, _)| *upto);
    let split = [(index, at), (index + 1, now), (upto, at)];
    let bounds = [(below, index), (index, index + 1), (index + 1, upto)];
    let parts = split.into_iter().zip(bounds);
    let parts = parts.filter(|(_, (from, upto))| from < upto);
    starts.splice(covering..=covering, parts.map(|(part, _)| part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;

    #[test]
    fn scaling_keeps_the_oldest_instances() {
        let first = Clock::new().now();
        let second = first.plus(std::time::Duration::from_secs(1));
        let mut starts = vec![(2, first)];
        rescale(&mut starts, 5, second);
        assert_eq!(starts, [(2, first), (5, second)]);
        rescale(&mut starts, 3, second);
        assert_eq!(starts, [(2, first), (3, second)]);
        rescale(&mut starts, 2, second);
        assert_eq!(starts, [(2, first)]);
        rescale(&mut starts, 0, second);
        assert_eq!(starts, [(0, first)]);
    }

    #[test]
    fn restarting_an_instance_does_not_restart_the_others() {
        let first = Clock::new().now();
        let second = first.plus(std::time::Duration::from_secs(1));
        let mut starts = vec![(3, first)];
        restart(&mut starts, 1, second);
        assert_eq!(starts, [(1, first), (2, second), (3, first)]);
        restart(&mut starts, 0, second);
        assert_eq!(starts, [(1, second), (2, second), (3, first)]);
        restart(&mut starts, 3, second);
        assert_eq!(starts.len(), 3);
    }
}

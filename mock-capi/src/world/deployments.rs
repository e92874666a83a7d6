//! Deployments: a new web process replaces an app's old ones, a few instances at a
//! time, in the steps of the Cloud Controller's deployment updater. A step is due
//! when instances have started.

use std::time::Duration;

use super::revisions::Rollback;
use super::{
    App, Base, Deployment, DeploymentOptions, DeploymentState, Due, Field, Guid, HealthCheck,
    Process, Registered, Row, Scale, Selection, World,
};
use crate::world::error::Error;
use crate::world::metadata::MetadataPatch;

/// How often the updater retries a step that a quota refuses.
const UPDATE_FREQUENCY: Duration = Duration::from_secs(5);

/// A deployment that is to be created.
#[derive(Debug)]
pub(crate) struct NewDeployment {
    pub(crate) app: Guid,
    pub(crate) droplet: Guid,
    /// The revision to which a rollback returns.
    pub(crate) rollback: Option<Guid>,
    pub(crate) options: DeploymentOptions,
    pub(crate) metadata: MetadataPatch,
    /// Whether the instances that it starts crash.
    pub(crate) crashing: bool,
}

/// The numbers of a process's instances by state.
#[derive(Clone, Copy, Debug, Default)]
struct Health {
    starting: u32,
    routable: u32,
    unhealthy: u32,
}

/// The number of canary instances in a step, and of all instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CanaryStep {
    canary: u32,
    total: u32,
}

impl Deployment {
    pub(crate) fn is_active(&self) -> bool {
        !matches!(
            self.state,
            DeploymentState::Deployed | DeploymentState::Canceled
        )
    }

    /// Whether the deployment is active and not being canceled.
    pub(crate) fn is_progressing(&self) -> bool {
        self.is_active() && self.state != DeploymentState::Canceling
    }

    /// `ACTIVE` or `FINALIZED`.
    pub(crate) fn status_value(&self) -> &'static str {
        if self.is_active() {
            "ACTIVE"
        } else {
            "FINALIZED"
        }
    }

    fn desired_instances(&self) -> u32 {
        self.options
            .web_instances
            .unwrap_or(self.original_instances)
    }

    /// The numbers of instances in the current step of a canary deployment.
    fn canary_step(&self) -> CanaryStep {
        let original = self.original_instances;
        let Some(steps) = &self.options.canary_steps else {
            return CanaryStep {
                canary: 1,
                total: original.saturating_add(1),
            };
        };
        let current = self.canary_step.unwrap_or(1);
        let weight = steps.get(current.saturating_sub(1)).copied();
        let instances = self.options.web_instances.unwrap_or(original).min(original);
        canary_step(instances, weight.unwrap_or(100))
    }

    fn set(&mut self, state: DeploymentState, reason: &'static str) {
        (self.state, self.reason) = (state, reason.into());
    }
}

fn canary_step(instances: u32, weight: u8) -> CanaryStep {
    let share = (u64::from(instances) * u64::from(weight) + 50) / 100;
    let canary = u32::try_from(share).unwrap_or(u32::MAX).max(1);
    let original = match weight {
        100 => 0,
        _ => instances.saturating_sub(canary).saturating_add(1),
    };
    CanaryStep {
        canary,
        total: canary.saturating_add(original),
    }
}

impl World {
    /// The app's active deployment.
    pub(crate) fn active_deployment(&self, app: Guid) -> Option<&Deployment> {
        let deployments = self.deployments.select(&Selection::by(Field::App, app));
        deployments.into_iter().rfind(|d| d.is_active())
    }

    /// Whether an app has an active deployment, which controls its web processes.
    pub(crate) fn is_deploying(&self, app: Guid) -> bool {
        let deployments = self.deployments.select(&Selection::by(Field::App, app));
        deployments.iter().any(|d| d.is_progressing())
    }

    fn web_processes(&self, app: Guid) -> Vec<&Process> {
        let mut processes = self.processes_of(app);
        processes.retain(|process| process.kind == "web");
        processes
    }

    /// Starts a deployment. The deployment of a stopped app is done at once.
    pub(crate) fn deploy(&mut self, new: NewDeployment) -> Result<Guid, Error> {
        let app = self.apps.get(new.app);
        let (started, previous_droplet) = match app {
            Some(app) => (app.started, app.droplet),
            None => return Err(Error::not_found(App::KIND)),
        };
        let rollback = new.rollback.and_then(|guid| self.revisions.get(guid));
        let rollback = rollback.map(|target| self.plan_rollback(target));
        let rollback = rollback.transpose()?;
        let previous = self.active_deployment(new.app);
        let oldest = self.web_processes(new.app).first().copied();
        let original_instances = match (previous, oldest) {
            (Some(previous), _) => previous.original_instances,
            (None, Some(oldest)) => oldest.scale.instances,
            (None, None) => 1,
        };
        let previous = previous.map(Row::guid);
        let canary = new.options.canary;
        let mut deployment = Deployment {
            base: self.base_with(new.metadata),
            app: new.app,
            state: if canary {
                DeploymentState::Prepaused
            } else {
                DeploymentState::Deploying
            },
            reason: "DEPLOYING".into(),
            droplet: new.droplet,
            previous_droplet,
            revision: None,
            process: None,
            original_instances,
            canary_step: canary.then_some(1),
            options: new.options,
            healthy_at: self.now,
            changed_at: self.now,
            error: None,
        };
        if started {
            let process = self.deploying_process(&deployment, rollback.as_ref())?;
            self.check_quota(process.space, &[(&process, process.scale)])?;
            deployment.revision = self.set_target(new.app, new.droplet, rollback);
            let process = self.add(process);
            deployment.process = Some(process);
            self.supersede(previous);
            self.begin(process, new.crashing);
            let guid = self.add(deployment);
            self.visit_in(self.timings.longest_start(), guid);
            return Ok(guid);
        }
        let wanted = |process: &Process| {
            let scale = deployment.options.scaled(process.scale);
            let instances = deployment.options.web_instances;
            let instances = instances.unwrap_or(scale.instances);
            match process.kind.as_ref() {
                "web" => Scale { instances, ..scale },
                _ => process.scale,
            }
        };
        self.check_start(new.app, wanted)?;
        if let Some(web) = self.process(new.app, "web") {
            self.scale(web.guid(), wanted(web))?;
        }
        deployment.revision = self.set_target(new.app, new.droplet, rollback);
        self.want_started(new.app)?;
        self.begin_all(new.app, new.crashing);
        deployment.set(DeploymentState::Deployed, "DEPLOYED");
        Ok(self.add(deployment))
    }

    /// Sets the droplet, or rolls back to a revision, and creates the new revision.
    fn set_target(
        &mut self,
        app: Guid,
        droplet: Guid,
        rollback: Option<Rollback>,
    ) -> Option<(Guid, u32)> {
        self.assign_droplet(app, droplet);
        match rollback {
            Some(rollback) => self.roll_back(app, rollback),
            None => self.update_revision(app),
        }
        let latest = self.latest_revision(app);
        let latest = latest.filter(|_| self.has_revisions(app))?;
        Some((latest.guid(), latest.version))
    }

    /// Checks that the quota allows the sizes of a deployment.
    pub(crate) fn check_deployment_quota(
        &self,
        app: Guid,
        options: &DeploymentOptions,
    ) -> Result<(), Error> {
        let started = self.apps.get(app).is_some_and(|app| app.started);
        let rescales = options.web_instances.is_some()
            || options.memory_mb.is_some()
            || options.log_rate.is_some();
        let Some(web) = self.process(app, "web").filter(|_| started && rescales) else {
            return Ok(());
        };
        let scale = options.scaled(web.scale);
        let instances = options.web_instances.unwrap_or(scale.instances);
        self.check_quota(web.space, &[(web, Scale { instances, ..scale })])
    }

    /// The process that a deployment starts: a copy of the newest one with the
    /// deployment's sizes, or the command of the revision of a rollback.
    fn deploying_process(
        &mut self,
        deployment: &Deployment,
        rollback: Option<&Rollback>,
    ) -> Result<Process, Error> {
        let base = self.base();
        let web = self.process(deployment.app, "web");
        let web = web.ok_or_else(|| Error::not_found(Process::KIND))?;
        let options = &deployment.options;
        let wanted = if options.canary {
            deployment.canary_step().canary
        } else {
            deployment.desired_instances()
        };
        let check = |check: &HealthCheck| check.clone();
        Ok(Process {
            base: Base {
                metadata: web.base.metadata.clone(),
                ..base
            },
            app: web.app,
            space: web.space,
            kind: web.kind.clone(),
            command: match rollback {
                Some(rollback) => rollback.deployed.command("web"),
                None => web.command.clone(),
            },
            user: web.user.clone(),
            scale: Scale {
                instances: wanted.min(options.max_in_flight),
                ..options.scaled(web.scale)
            },
            health_check: check(&web.health_check),
            readiness_check: check(&web.readiness_check),
            started: false,
            revision: None,
            crashing: false,
            starts: Vec::new(),
            placements: Vec::new(),
            v2: web.v2.clone(),
        })
    }

    fn supersede(&mut self, previous: Option<Guid>) {
        let Some(previous) = previous else {
            return;
        };
        self.change_deployment(previous, |deployment| {
            let state = match deployment.state {
                DeploymentState::Deploying => DeploymentState::Deployed,
                _ => DeploymentState::Canceled,
            };
            deployment.set(state, "SUPERSEDED");
        });
    }

    /// Starts to cancel a deployment.
    pub(crate) fn cancel_deployment(&mut self, guid: Guid) {
        self.change_deployment(guid, |deployment| {
            deployment.set(DeploymentState::Canceling, "CANCELING");
        });
        self.visit_in(Duration::ZERO, guid);
    }

    /// Continues a paused deployment.
    pub(crate) fn continue_deployment(&mut self, guid: Guid) {
        self.change_deployment(guid, |deployment| {
            let steps = deployment.options.canary_steps.as_ref().map_or(0, Vec::len);
            let current = deployment.canary_step.unwrap_or(1);
            let state = if current < steps {
                deployment.canary_step = Some(current + 1);
                DeploymentState::Prepaused
            } else {
                DeploymentState::Deploying
            };
            deployment.set(state, "DEPLOYING");
        });
        self.visit_in(Duration::ZERO, guid);
    }

    /// Schedules a visit of the updater for when the app's instances have started.
    pub(super) fn visit_deployment_of(&mut self, app: Guid) {
        if let Some(guid) = self.active_deployment(app).map(Row::guid) {
            self.visit_in(self.timings.longest_start(), guid);
        }
    }

    fn visit_in(&mut self, time: Duration, deployment: Guid) {
        self.plan(self.now.plus(time), Due::Deploy(deployment));
    }

    /// A visit of the updater.
    pub(super) fn visit_deployment(&mut self, guid: Guid) {
        let Some(deployment) = self.deployments.get(guid) else {
            return;
        };
        let desired = deployment.desired_instances();
        let step = deployment.canary_step();
        match deployment.state {
            DeploymentState::Deploying => {
                if self.scale_deployment(guid, desired, desired) {
                    self.finalize_deployment(guid);
                }
            }
            DeploymentState::Prepaused => {
                if self.scale_deployment(guid, step.total, step.canary) {
                    self.pause_deployment(guid);
                }
            }
            DeploymentState::Canceling => self.undo_deployment(guid),
            DeploymentState::Paused | DeploymentState::Deployed | DeploymentState::Canceled => {}
        }
    }

    fn change_deployment(&mut self, guid: Guid, change: impl FnOnce(&mut Deployment)) {
        let now = self.now;
        self.touch(guid, |deployment: &mut Deployment| {
            let before = (deployment.state, deployment.reason.clone());
            change(deployment);
            if before != (deployment.state, deployment.reason.clone()) {
                deployment.changed_at = now;
            }
        });
    }

    /// Moves instances from the old processes to the new one. Returns whether the
    /// new one has all that are `wanted`, of a `total` with the old ones.
    fn scale_deployment(&mut self, guid: Guid, total: u32, wanted: u32) -> bool {
        let Some((deployment, new)) = self.deployments.get(guid).and_then(|deployment| {
            let process = self.processes.get(deployment.process?)?;
            Some((deployment, process))
        }) else {
            return false;
        };
        let (max_in_flight, app) = (deployment.options.max_in_flight, deployment.app);
        // The longer a deployment has been stuck, the less often it is visited,
        // since tests move time by years.
        let stuck = self.now.since(deployment.healthy_at);
        let (new, instances, scale) = (new.guid(), new.scale.instances, new.scale);
        let health = self.health(new);
        let grows = health.starting < max_in_flight
            && health.unhealthy == 0
            && health.routable >= instances.saturating_sub(max_in_flight);
        let old: Vec<(Guid, u32)> = self
            .web_processes(app)
            .iter()
            .filter(|process| process.guid() != new)
            .map(|process| (process.guid(), process.scale.instances))
            .collect();
        let left = total.saturating_sub(health.routable);
        let shrunk = shrink(&old, left);
        if !grows && shrunk.is_empty() {
            self.visit_when_started(guid, new);
            return false;
        }
        let finished = instances >= wanted && health.routable >= wanted;
        let step = health.routable.saturating_add(max_in_flight).min(wanted);
        let grows = grows && !finished && step != instances;
        let grown = |instances| grows.then_some((new, Scale { instances, ..scale }));
        // Steps that take no time are done at once, if the quota allows it.
        let leaps = self.timings.longest_start().is_zero()
            && self
                .check_deployment_step(app, &shrunk, grown(wanted))
                .is_ok();
        let bigger = grown(if leaps { wanted } else { step });
        if let Err(error) = self.check_deployment_step(app, &shrunk, bigger) {
            let text = Some(error.to_string());
            self.change_deployment(guid, |deployment| deployment.error = text);
            self.visit_in(UPDATE_FREQUENCY.max(stuck / 20), guid);
            return false;
        }
        self.change_deployment(guid, |deployment| {
            deployment.reason = "DEPLOYING".into();
            deployment.error = None;
        });
        self.retire_canceled(app);
        self.shrink_processes(app, &shrunk);
        if finished {
            return true;
        }
        if let Some((new, scale)) = bigger {
            self.resize(new, scale);
            let now = self.now;
            self.change_deployment(guid, |deployment| deployment.healthy_at = now);
            self.visit_in(self.timings.longest_start(), guid);
        } else {
            self.visit_when_started(guid, new);
        }
        false
    }

    /// Checks that the quota allows the whole of a step.
    fn check_deployment_step(
        &self,
        app: Guid,
        shrunk: &[(Guid, u32)],
        bigger: Option<(Guid, Scale)>,
    ) -> Result<(), Error> {
        let shrunk = shrunk.iter().filter_map(|&(guid, instances)| {
            let process = self.processes.get(guid)?;
            let scale = Scale {
                instances,
                ..process.scale
            };
            Some((process, scale))
        });
        let bigger = bigger.and_then(|(guid, scale)| Some((self.processes.get(guid)?, scale)));
        let changes: Vec<(&Process, Scale)> = shrunk
            .chain(bigger)
            .filter(|(process, _)| process.started)
            .collect();
        let space = self.apps.get(app).map(|app| app.space);
        space.map_or(Ok(()), |space| self.check_quota(space, &changes))
    }

    fn shrink_processes(&mut self, app: Guid, shrunk: &[(Guid, u32)]) {
        let oldest = self.web_processes(app).first().map(|p| p.guid());
        for &(process, instances) in shrunk {
            if instances == 0 && Some(process) != oldest {
                self.remove_process(process);
            } else {
                self.set_instances(process, instances);
            }
        }
    }

    /// Stops the processes of superseded canary deployments.
    fn retire_canceled(&mut self, app: Guid) {
        for process in self.superseded(app, DeploymentState::Canceled) {
            self.set_instances(process, 0);
        }
    }

    /// The processes of deployments that were superseded in that state.
    fn superseded(&self, app: Guid, state: DeploymentState) -> Vec<Guid> {
        let deployments = self.deployments.select(&Selection::by(Field::App, app));
        deployments
            .iter()
            .filter(|d| d.state == state && d.reason == "SUPERSEDED")
            .filter_map(|d| d.process)
            .filter(|process| self.processes.get(*process).is_some())
            .collect()
    }

    fn set_instances(&mut self, process: Guid, instances: u32) {
        if let Some(scale) = self.processes.get(process).map(|process| process.scale) {
            self.resize(process, Scale { instances, ..scale });
        }
    }

    /// Schedules the next visit for when the next instances have started.
    fn visit_when_started(&mut self, deployment: Guid, process: Guid) {
        let Some(process) = self.processes.get(process).filter(|p| p.started) else {
            return;
        };
        let starts = process.starts.iter();
        let ready = starts.map(|(_, at)| at.plus(self.timings.longest_start()));
        if let Some(at) = ready.filter(|at| *at > self.now).min() {
            self.plan(at, Due::Deploy(deployment));
        }
    }

    fn health(&self, process: Guid) -> Health {
        let mut health = Health::default();
        let Some(process) = self.processes.get(process) else {
            return health;
        };
        if !process.started {
            health.unhealthy = process.scale.instances;
            return health;
        }
        let mut before = 0;
        for &(upto, at) in &process.starts {
            let count = upto.saturating_sub(before);
            before = upto;
            if self.now < at.plus(self.timings.longest_start()) {
                health.starting += count;
            } else if process.crashing {
                health.unhealthy += count;
            } else {
                health.routable += count;
            }
        }
        health
    }

    fn pause_deployment(&mut self, guid: Guid) {
        let now = self.now;
        self.change_deployment(guid, |deployment| {
            deployment.healthy_at = now;
            deployment.set(DeploymentState::Paused, "PAUSED");
        });
    }

    fn finalize_deployment(&mut self, guid: Guid) {
        let Some((app, new)) = self.deployments.get(guid).map(|d| (d.app, d.process)) else {
            return;
        };
        let revision = new.and_then(|new| self.processes.get(new)?.revision);
        let revision = revision.and_then(|revision| self.revisions.get(revision));
        let deployed = revision.map(|revision| revision.deployed.clone());
        let mut others = Vec::new();
        for process in self.processes_of(app) {
            if Some(process.guid()) != new {
                others.push((process.guid(), process.kind == "web", process.started));
            }
        }
        for (process, web, started) in others {
            if web {
                self.remove_process(process);
                continue;
            }
            if let Some(deployed) = &deployed {
                self.change_process(process, |process| {
                    process.command = deployed.command(&process.kind);
                });
            }
            if started {
                self.begin(process, false);
            }
        }
        self.change_deployment(guid, |deployment| {
            deployment.set(DeploymentState::Deployed, "DEPLOYED");
        });
    }

    /// Gives all instances back to the previous process.
    fn undo_deployment(&mut self, guid: Guid) {
        let Some(deployment) = self.deployments.get(guid) else {
            return;
        };
        let (app, instances) = (deployment.app, deployment.original_instances);
        let interim = self.superseded(app, DeploymentState::Deployed);
        let running = |process: &Guid| self.health(*process).routable > 0;
        let webs: Vec<Guid> = self.web_processes(app).iter().map(|p| p.guid()).collect();
        let prior = interim.into_iter().rfind(running);
        let prior = prior.or_else(|| webs.first().copied());
        for process in webs {
            if Some(process) != prior {
                self.remove_process(process);
            }
        }
        if let Some(prior) = prior {
            self.set_instances(prior, instances);
        }
        self.change_deployment(guid, |deployment| {
            deployment.set(DeploymentState::Canceled, "CANCELED");
            deployment.error = None;
        });
    }
}

impl DeploymentOptions {
    /// The sizes of instances, with the changes of the deployment.
    fn scaled(&self, scale: Scale) -> Scale {
        Scale {
            instances: scale.instances,
            memory_mb: self.memory_mb.unwrap_or(scale.memory_mb),
            disk_mb: self.disk_mb.unwrap_or(scale.disk_mb),
            log_rate: self.log_rate.unwrap_or(scale.log_rate),
        }
    }
}

/// The processes that must shrink, oldest first, and their new numbers of instances,
/// so that `left` remain in total.
fn shrink(processes: &[(Guid, u32)], left: u32) -> Vec<(Guid, u32)> {
    let total: u64 = processes.iter().map(|(_, n)| u64::from(*n)).sum();
    let mut surplus = total.saturating_sub(u64::from(left));
    let mut shrunk = Vec::new();
    for &(process, instances) in processes {
        if surplus == 0 {
            break;
        }
        let taken = u32::try_from(surplus).unwrap_or(u32::MAX).min(instances);
        surplus -= u64::from(taken);
        shrunk.push((process, instances - taken));
    }
    shrunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_step_has_its_share_and_one_more() {
        let step = |instances, weight| {
            let step = canary_step(instances, weight);
            (step.canary, step.total)
        };
        assert_eq!(step(10, 20), (2, 11));
        assert_eq!(step(10, 1), (1, 11));
        assert_eq!(step(3, 50), (2, 4));
        assert_eq!(step(10, 100), (10, 10));
    }
}

//! The deployment updater, which replaces instances in steps. A step is due when
//! instances have started.

use std::time::Duration;

use crate::world::error::Error;
use crate::world::{
    Deployment, DeploymentState, Due, Field, Guid, Process, Row, Scale, Selection, World,
};

/// The interval at which the updater retries a step that a quota refuses.
const UPDATE_FREQUENCY: Duration = Duration::from_secs(5);

/// The numbers of a process's instances by state.
#[derive(Clone, Copy, Debug, Default)]
struct Health {
    starting: u32,
    routable: u32,
    unhealthy: u32,
}

impl World {
    /// Schedules a visit of the updater for when the app's instances have started.
    pub(in crate::world) fn visit_deployment_of(&mut self, app: Guid) {
        if let Some(guid) = self.active_deployment(app).map(Row::guid) {
            self.visit_in(self.timings.longest_start(), guid);
        }
    }

    pub(super) fn visit_in(&mut self, time: Duration, deployment: Guid) {
        self.plan(self.now.plus(time), Due::Deploy(deployment));
    }

    /// Lets the updater visit a deployment.
    pub(in crate::world) fn visit_deployment(&mut self, guid: Guid) {
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

    pub(super) fn change_deployment(&mut self, guid: Guid, change: impl FnOnce(&mut Deployment)) {
        let now = self.now;
        self.update_row(guid, |deployment: &mut Deployment| {
            let before = (deployment.state, deployment.reason.clone());
            change(deployment);
            if before != (deployment.state, deployment.reason.clone()) {
                deployment.changed_at = now;
            }
        });
    }

    /// Moves instances from the old processes to the new one, so that there are `total`
    /// in all. Returns whether the new process has all `wanted` instances.
    pub(super) fn scale_deployment(&mut self, guid: Guid, total: u32, wanted: u32) -> bool {
        let Some((deployment, new)) = self.deployments.get(guid).and_then(|deployment| {
            let process = self.processes.get(deployment.process?)?;
            Some((deployment, process))
        }) else {
            return false;
        };
        let (max_in_flight, app) = (deployment.options.max_in_flight, deployment.app);
        // The longer a deployment has been stuck, the less often it is visited, because
        // tests may advance the clock by years.
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
        let is_immediate = self.timings.longest_start().is_zero()
            && self
                .check_deployment_step(app, &shrunk, grown(wanted))
                .is_ok();
        let bigger = grown(if is_immediate { wanted } else { step });
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

    /// Checks that the quota allows a complete step.
    pub(super) fn check_deployment_step(
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

    pub(super) fn shrink_processes(&mut self, app: Guid, shrunk: &[(Guid, u32)]) {
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
    pub(super) fn retire_canceled(&mut self, app: Guid) {
        for process in self.superseded(app, DeploymentState::Canceled) {
            self.set_instances(process, 0);
        }
    }

    /// The processes of deployments that were superseded in this state.
    pub(super) fn superseded(&self, app: Guid, state: DeploymentState) -> Vec<Guid> {
        let deployments = self.deployments.select(&Selection::by(Field::App, app));
        deployments
            .iter()
            .filter(|d| d.state == state && d.reason == "SUPERSEDED")
            .filter_map(|d| d.process)
            .filter(|process| self.processes.get(*process).is_some())
            .collect()
    }

    pub(super) fn set_instances(&mut self, process: Guid, instances: u32) {
        if let Some(scale) = self.processes.get(process).map(|process| process.scale) {
            self.resize(process, Scale { instances, ..scale });
        }
    }

    /// Schedules the next visit for when the next instances have started.
    pub(super) fn visit_when_started(&mut self, deployment: Guid, process: Guid) {
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

    pub(super) fn pause_deployment(&mut self, guid: Guid) {
        let now = self.now;
        self.change_deployment(guid, |deployment| {
            deployment.healthy_at = now;
            deployment.set(DeploymentState::Paused, "PAUSED");
        });
    }

    pub(super) fn finalize_deployment(&mut self, guid: Guid) {
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

    /// Returns all instances to the previous process.
    pub(super) fn undo_deployment(&mut self, guid: Guid) {
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

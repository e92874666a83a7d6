//! Deployments: a new web process replaces an app's old ones, a few instances at a
//! time, in the steps of the Cloud Controller's deployment updater. A step is due
//! when instances have started.

mod updater;

use std::time::Duration;

use super::revisions::Rollback;
use super::{
    App, Base, Deployment, DeploymentOptions, DeploymentState, Field, Guid, HealthCheck, Process,
    Registered, Row, Scale, Selection, World,
};
use crate::world::error::Error;
use crate::world::metadata::MetadataPatch;

/// A deployment to create.
#[derive(Debug)]
pub(crate) struct NewDeployment {
    pub(crate) app: Guid,
    pub(crate) droplet: Guid,
    /// The revision to which a rollback returns.
    pub(crate) rollback: Option<Guid>,
    pub(crate) options: DeploymentOptions,
    pub(crate) metadata: MetadataPatch,
    /// Whether the new instances crash.
    pub(crate) crashing: bool,
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

    /// Starts a deployment. The deployment of a stopped app is finished at once.
    pub(crate) fn deploy(&mut self, new: NewDeployment) -> Result<Guid, Error> {
        let app = self.apps.get(new.app);
        let (space, started, previous_droplet) = match app {
            Some(app) => (app.space, app.started, app.droplet),
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
            space,
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

    /// Checks that the quota allows the new sizes of a deployment.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_step_starts_its_share_of_instances_and_one_more() {
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

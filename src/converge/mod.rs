//! The loop that makes it so: observe, plan, apply, and again until there is
//! nothing to do and every instance runs.
//!
//! The foundation is the only state. Whatever a run leaves undone, the next
//! one observes and finishes.

mod apply;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod target;
#[cfg(test)]
mod tests;
pub(crate) mod verify;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use outcome::{AppOutcome, Failure, Outcome, Tally};
use plan::{Plan, Workflow};
use target::Target;
use verify::Drift;

use crate::capi::client::Client;
use crate::capi::dialect::{self, Dialect};
use crate::capi::error::Error;
use crate::capi::inventory::{Inventory, Org};
use crate::capi::{transport, wait};
use crate::config::Config;
use crate::desired::{Desired, Names, host};
use crate::events::{AppMilestone, Event, Phase};
use crate::push::source::Sources;

/// How often what may have settled is observed and planned anew.
const MAX_ROUNDS: usize = 4;

/// How often the foundation is looked at while what is there changes.
const MAX_OBSERVATIONS: usize = 3;

/// How long nothing is to change until whoever else is at work seems to be done.
const STABLE_FOR: Duration = Duration::from_secs(1);

/// Why a run could not come to an outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvergeError {
    /// The foundation could not be worked with.
    #[error(transparent)]
    Api(#[from] Error),
    /// The org is not ours to delete.
    #[error(
        "deleting the org {org} failed: it is unmanaged (it has no label managed-by=cf-pusher)"
    )]
    NotOurs {
        /// Its name.
        org: String,
    },
}

/// What a deletion deleted.
#[derive(Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Destroyed {
    /// The names of what is gone now: org, quota, security group.
    pub names: Vec<String>,
    /// Whether it was asked to end before all was deleted.
    pub interrupted: bool,
}

/// How many apps a manifest has, unless it is said otherwise.
pub(crate) const DEFAULT_BATCH: usize = 100;

/// A foundation, and what should be on it.
pub struct Converger<'a> {
    client: &'a Client,
    config: &'a Config,
    sources: &'a Sources,
    workflow: Workflow,
    batch: usize,
}

/// What a look at the foundation showed, and what follows from it.
struct Seen {
    observed: Inventory,
    desired: Desired,
    plan: Plan,
}

/// What the last round of a run left.
struct Ended {
    observed: Inventory,
    desired: Desired,
    drift: Vec<Drift>,
}

impl<'a> Converger<'a> {
    /// What `config` asks for, with the bits of `sources`, on the foundation of `client`.
    ///
    /// Apps are made by manifests of 100 each; in the dialect of 2017, which knows
    /// none, each by requests of its own.
    pub fn new(client: &'a Client, config: &'a Config, sources: &'a Sources) -> Self {
        Self {
            client,
            config,
            sources,
            workflow: match client.dialect() {
                Dialect::V3 => Workflow::Manifest,
                Dialect::Documented2017 => Workflow::PerApp,
            },
            batch: DEFAULT_BATCH,
        }
    }

    /// The same, each app by requests of its own.
    #[must_use]
    pub fn per_app(self) -> Self {
        let workflow = Workflow::PerApp;
        Self { workflow, ..self }
    }

    /// The same, with up to so many apps in a manifest, at least 1.
    #[must_use]
    pub fn batch(self, apps: usize) -> Self {
        let batch = apps.max(1);
        Self { batch, ..self }
    }

    /// What [`Converger::converge`] would do. Changes nothing.
    ///
    /// # Errors
    /// Where the foundation cannot be observed.
    pub async fn plan(&self) -> Result<Plan, ConvergeError> {
        Ok(self.look(false).await?.plan)
    }

    /// All that is not as desired right now. Changes nothing.
    ///
    /// # Errors
    /// Where the foundation cannot be observed.
    pub async fn verify(&self) -> Result<Vec<Drift>, ConvergeError> {
        let seen = self.look(false).await?;
        Ok(verify::verify(&seen.desired, &seen.observed, &seen.plan))
    }

    /// Applies the desired state, and waits until all instances run.
    ///
    /// # Errors
    /// Where the foundation cannot be observed. What fails for single apps is in
    /// the [`Outcome`].
    pub async fn converge(&self) -> Result<Outcome, ConvergeError> {
        let outcome = self.converge_all().await;
        let (counts, error) = match &outcome {
            Ok(outcome) if outcome.interrupted => (outcome, Some("interrupted".to_owned())),
            Ok(outcome) => (outcome, None),
            Err(error) => (&Outcome::default(), Some(error.to_string())),
        };
        self.client.events().emit(Event::Ended {
            changed: counts.changed(),
            unchanged: counts.unchanged(),
            failed: counts.failed(),
            error,
        });
        outcome
    }

    async fn converge_all(&self) -> Result<Outcome, ConvergeError> {
        let mut tally = Tally::default();
        let mut failures = Vec::new();
        match self.rounds(&mut tally, &mut failures).await {
            Ok(ended) => {
                let Ended {
                    observed,
                    desired,
                    drift,
                } = ended;
                let mut apps = tally.outcomes(&failures, &drift, "it did not converge");
                locate(&mut apps, &desired, &observed);
                Ok(Outcome {
                    apps,
                    failures,
                    drift,
                    interrupted: false,
                })
            }
            Err(Error::Interrupted) => {
                // What was under way then is not a failure.
                failures.retain(|failure| !failure.error.is_interrupted());
                Ok(Outcome {
                    apps: tally.outcomes(&failures, &[], "the run was interrupted"),
                    failures,
                    interrupted: true,
                    ..Outcome::default()
                })
            }
            Err(error) if failures.is_empty() => Err(error.into()),
            Err(error) => {
                failures.push(Failure {
                    target: self.org(),
                    step: "observing the org again".to_owned(),
                    error,
                });
                Ok(Outcome {
                    apps: tally.outcomes(&failures, &[], "the org could not be observed again"),
                    failures,
                    ..Outcome::default()
                })
            }
        }
    }

    fn org(&self) -> Target {
        Target::Org {
            name: Names::of(self.config).org,
        }
    }

    /// Observes, plans and applies until there is nothing to do, or no use in
    /// trying again; returns what is left of both.
    async fn rounds(&self, tally: &mut Tally, failures: &mut Vec<Failure>) -> Result<Ended, Error> {
        let mut round = 1;
        loop {
            // What failed may have left packages that no droplet accounts for.
            let mut seen = self.look(!failures.is_empty()).await?;
            if failures.iter().any(|failure| failure.error.is_contested()) {
                seen = self.wait_until_stable(seen).await?;
            }
            let Seen {
                observed,
                desired,
                plan,
            } = seen;
            tally.add(&plan);
            if round == 1 {
                self.warn_of_strange_org(observed.org.as_ref());
            }
            let last = round > MAX_ROUNDS;
            let may_settle = failures.iter().any(|failure| failure.error.may_settle());
            let hopeless = !failures.is_empty() && !may_settle;
            round += 1;
            if !plan.is_empty() && !hopeless && !last {
                let applied = apply::apply(
                    self.client,
                    &desired,
                    &observed,
                    self.sources,
                    &plan,
                    self.batch,
                );
                let applied = applied.await;
                tally.finish(&applied.done);
                *failures = applied.failures;
                continue;
            }
            if plan.is_empty() {
                failures.clear();
            }
            let (observed, drift, waited) =
                self.wait_for_instances(&desired, observed, &plan).await?;
            // Meanwhile anything may have happened: as desired is what is so now.
            let in_time = !drift.iter().any(|drift| drift.is_transient);
            if !(waited && in_time && plan.is_empty()) || last {
                return Ok(Ended {
                    observed,
                    desired,
                    drift,
                });
            }
        }
    }

    /// Steps back for somebody else who is at work: looks until nothing is left to
    /// do, or nothing changes any more.
    async fn wait_until_stable(&self, mut seen: Seen) -> Result<Seen, Error> {
        let began = Instant::now();
        if !seen.plan.is_empty() {
            let name = Names::of(self.config).org;
            self.client.events().emit(Event::Warning(format!(
                "org {name} is being changed by someone else; waiting until it is stable"
            )));
        }
        while !seen.plan.is_empty() && began.elapsed() < self.client.timeout() {
            self.client.pause(transport::spread(STABLE_FOR)).await?;
            let now = self.look(true).await?;
            if now.plan == seen.plan {
                return Ok(now);
            }
            seen = now;
        }
        Ok(seen)
    }

    /// Deletes the org with all that is in it.
    ///
    /// # Errors
    /// [`ConvergeError::NotOurs`] for an org without our label, unless `force`.
    pub async fn delete_org(&self, force: bool) -> Result<Destroyed, ConvergeError> {
        let observed = self.observe(None).await?;
        self.delete_observed_org(&observed, force).await
    }

    /// Deletes the org with all that is in it, its quota and its security group.
    ///
    /// # Errors
    /// As [`Converger::delete_org`].
    pub async fn destroy(&self, force: bool) -> Result<Destroyed, ConvergeError> {
        let mut destroyed = Destroyed::default();
        match self.destroy_all(force, &mut destroyed).await {
            Err(ConvergeError::Api(Error::Interrupted)) => destroyed.interrupted = true,
            outcome => outcome?,
        }
        Ok(destroyed)
    }

    async fn destroy_all(
        &self,
        force: bool,
        destroyed: &mut Destroyed,
    ) -> Result<(), ConvergeError> {
        let observed = self.observe(None).await?;
        *destroyed = self.delete_observed_org(&observed, force).await?;
        let names = Names::of(self.config);
        let dialect = self.client.dialect();
        if let Some(quota) = &observed.quota {
            let what = format!("deleting the quota {}", names.quota);
            let request = dialect.delete_quota(&quota.guid);
            self.client.delete(&what, &request).await?;
            destroyed.names.push(names.quota);
        }
        if let Some(group) = &observed.security_group {
            let what = format!("deleting the security group {}", names.security_group);
            let request = dialect.delete_security_group(&group.guid);
            self.client.delete(&what, &request).await?;
            destroyed.names.push(names.security_group);
        }
        Ok(())
    }

    async fn delete_observed_org(
        &self,
        observed: &Inventory,
        force: bool,
    ) -> Result<Destroyed, ConvergeError> {
        let name = Names::of(self.config).org;
        let Some(org) = &observed.org else {
            return Ok(Destroyed::default());
        };
        if !org.managed && !force {
            return Err(ConvergeError::NotOurs { org: name });
        }
        let what = format!("deleting the org {name}");
        let request = self.client.dialect().delete_org(&org.guid);
        self.client.delete(&what, &request).await?;
        Ok(Destroyed {
            names: vec![name],
            ..Destroyed::default()
        })
    }

    /// Looks at what there is, and what is to be done about it; with `packages`,
    /// or where that takes away what accounts for them, at all packages too.
    async fn look(&self, packages: bool) -> Result<Seen, Error> {
        let apps_domain = self.config.connection.apps_domain.as_deref();
        let mut seen = self.seen(self.observe(apps_domain).await?);
        if packages || seen.plan.removes_bits_hash() {
            dialect::add_packages(self.client, &mut seen.observed).await?;
            seen = self.seen(seen.observed);
        }
        Ok(seen)
    }

    fn seen(&self, observed: Inventory) -> Seen {
        let desired = Desired::new(self.config, self.sources, &observed.domain.name);
        let plan = plan::plan(&desired, &observed, self.workflow);
        Seen {
            observed,
            desired,
            plan,
        }
    }

    /// Observes with this apps domain, or the foundation's default.
    async fn observe(&self, apps_domain: Option<&str>) -> Result<Inventory, Error> {
        let routes = self.workflow == Workflow::PerApp;
        let scope = Names::of(self.config).scope(apps_domain, routes);
        let mut looks = 1;
        loop {
            match dialect::inventory(self.client, &scope).await {
                // What was listed may be gone when more is asked of it.
                Err(error) if error.is_contested() && looks < MAX_OBSERVATIONS => looks += 1,
                outcome => return outcome,
            }
        }
    }

    fn warn_of_strange_org(&self, org: Option<&Org>) {
        if self.client.dialect() == Dialect::V3
            && let Some(org) = org
            && !org.managed
        {
            let name = Names::of(self.config).org;
            self.client.events().emit(Event::Warning(format!(
                "the org {name} is unmanaged: it is used, but never deleted unless that is forced"
            )));
        }
    }

    /// Waits until all instances run, or at the deadline; returns what differs from
    /// the desired state then, and whether it waited.
    async fn wait_for_instances(
        &self,
        desired: &Desired,
        mut observed: Inventory,
        plan: &Plan,
    ) -> Result<(Inventory, Vec<Drift>, bool), Error> {
        let began = Instant::now();
        let timeout = self.client.timeout();
        let mut waited = false;
        let groups = desired.groups.iter();
        let mut awaited: HashSet<&str> = groups
            .flat_map(|group| group.apps.iter().map(String::as_str))
            .collect();
        let mut pauses = wait::pauses();
        loop {
            let drift = verify::verify(desired, &observed, plan);
            let waiting = drift.iter().filter(|it| it.is_transient).count();
            self.show_waiting(&mut waited, desired.app_count(), waiting);
            self.report_running(&mut awaited, &drift);
            let pause = pauses.next().unwrap_or(timeout);
            if waiting == 0 || began.elapsed().saturating_add(pause) > timeout {
                return Ok((observed, drift, waited));
            }
            self.client.pause(pause).await?;
            dialect::refresh_instances(self.client, &mut observed).await?;
        }
    }

    /// Reports the apps that run by now, each once.
    fn report_running(&self, awaited: &mut HashSet<&str>, drift: &[Drift]) {
        let apps = drift.iter().filter(|drift| drift.target.is_app());
        let differing: HashSet<&str> = apps.map(|drift| drift.target.name()).collect();
        for name in awaited.extract_if(|name| !differing.contains(name)) {
            self.client.events().emit(Event::App {
                name: name.to_owned(),
                milestone: AppMilestone::Running,
            });
        }
    }

    fn show_waiting(&self, waited: &mut bool, total: usize, left: usize) {
        let phase = Phase::Instances;
        let events = self.client.events();
        if left > 0 && !*waited {
            *waited = true;
            events.emit(Event::PhaseStarted { phase, total });
        }
        if *waited {
            let done = total.saturating_sub(left);
            events.emit(Event::PhaseProgress { phase, done });
        }
        if *waited && left == 0 {
            events.emit(Event::PhaseEnded { phase });
        }
    }
}

/// Adds GUIDs and URLs to the apps that exist.
fn locate(apps: &mut [AppOutcome], desired: &Desired, observed: &Inventory) {
    let space = observed.space.as_ref().map(|space| space.guid.as_str());
    let guids: HashMap<&str, &str> = observed
        .apps
        .iter()
        .filter(|app| Some(app.space.as_str()) == space)
        .map(|app| (app.name.as_str(), app.guid.as_str()))
        .collect();
    let groups = desired.groups.iter();
    let wanted: HashSet<&str> = groups
        .flat_map(|group| group.apps.iter().map(String::as_str))
        .collect();
    for app in apps {
        app.guid = guids.get(app.name.as_str()).map(|guid| (*guid).to_owned());
        if wanted.contains(app.name.as_str()) {
            app.urls = vec![format!("{}.{}", host(&app.name), observed.domain.name)];
        }
    }
}

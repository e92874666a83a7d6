//! Makes a foundation what is desired: observe, plan, apply, and again until there
//! is nothing to do and every instance runs.
//!
//! The foundation is the only state. Whatever a run leaves undone, the next
//! one observes and finishes.

mod apply;
mod bits;
mod compare;
pub(crate) mod observe;
mod observe_2017;
pub(crate) mod observed;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod target;
#[cfg(test)]
mod tests;
pub(crate) mod verify;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

pub use bits::GroupBitsError;
use observe::Observed;
use outcome::{AppOutcome, Failure, Outcome, Tally};
use plan::{Plan, Workflow};
use target::Target;
use verify::Drift;

use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::capi::{poll, transport};
use crate::desired::{Desired, PlacedGroup};
use crate::events::{AppMilestone, Event, Phase};
use crate::manifest::entry::BY_REQUESTS;
use crate::push::bits::Bits;

/// How often what may have settled is observed and planned anew.
const MAX_ROUNDS: usize = 4;

/// How often the foundation is observed while what is there changes.
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
    /// The bits of a group cannot be used.
    #[error("the bits of the group {group} cannot be used: {source}")]
    Bits {
        /// The group's name.
        group: String,
        /// Why.
        source: GroupBitsError,
    },
    /// The API of the foundation cannot give apps a property.
    #[error(
        "the group {group} cannot have `{property}`: the API of 2017 knows only memory, disk_quota, instances, env, command, buildpacks, health-check-* and routes"
    )]
    Property {
        /// The group's name.
        group: String,
        /// The property.
        property: String,
    },
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
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Destroyed {
    /// What is gone now: orgs, quotas, security groups.
    pub targets: Vec<Target>,
    /// Whether it was interrupted before all was deleted.
    pub interrupted: bool,
}

/// How many apps a manifest has, unless it is said otherwise.
pub(crate) const DEFAULT_BATCH: usize = 100;

/// A foundation, and what should be on it.
///
/// It is cheap to clone, and can be moved to another task.
#[derive(Debug, Clone)]
pub struct Converger {
    client: Client,
    desired: Arc<Desired>,
    /// Read when they are needed first.
    bits: Arc<OnceCell<Vec<Bits>>>,
    workflow: Workflow,
    batch: usize,
}

/// What an observation showed, and what follows from it.
struct Seen {
    observed: Observed,
    plan: Plan,
}

/// What the last round of a run left.
struct Ended {
    observed: Observed,
    drift: Vec<Drift>,
}

impl Converger {
    /// What is desired, on the foundation of `client`.
    ///
    /// Apps are created by manifests of 100 each; in the dialect of 2017, which knows
    /// none, each by requests of its own.
    pub fn new(client: Client, desired: Desired) -> Self {
        Self {
            workflow: match client.dialect() {
                Dialect::V3 => Workflow::Manifest,
                Dialect::Documented2017 => Workflow::PerApp,
            },
            client,
            desired: Arc::new(desired),
            bits: Arc::default(),
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
    /// Where the foundation cannot be observed, bits cannot be read, or the API of
    /// the foundation cannot give an app what is desired.
    pub async fn plan(&self) -> Result<Plan, ConvergeError> {
        let bits = self.prepare().await?;
        Ok(self.look(bits, false).await?.plan)
    }

    /// All that differs from the desired state right now. Changes nothing.
    ///
    /// # Errors
    /// As [`Converger::plan`].
    pub async fn verify(&self) -> Result<Vec<Drift>, ConvergeError> {
        let bits = self.prepare().await?;
        let seen = self.look(bits, false).await?;
        Ok(verify::verify(&self.desired, &seen.observed, &seen.plan))
    }

    /// Applies the desired state, and waits until all instances run.
    ///
    /// # Errors
    /// As [`Converger::plan`]. What fails for single apps is in the [`Outcome`].
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
        let bits = self.prepare().await?;
        let mut tally = Tally::default();
        let mut failures = Vec::new();
        match self.rounds(bits, &mut tally, &mut failures).await {
            Ok(Ended { observed, drift }) => {
                let mut apps = tally.outcomes(&failures, &drift, "it did not converge");
                locate(&mut apps, &self.desired, &observed);
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
                let name = self.desired.orgs().first().map(|org| org.name.clone());
                failures.push(Failure {
                    target: Target::Org {
                        name: name.unwrap_or_default(),
                    },
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

    /// Reads the bits, once, and refuses what the API of the foundation cannot do.
    async fn prepare(&self) -> Result<&[Bits], ConvergeError> {
        if self.client.dialect() == Dialect::Documented2017 {
            check_properties(&self.desired)?;
        }
        let bits = self.bits.get_or_try_init(|| bits::read(&self.desired));
        Ok(bits.await?)
    }

    /// Observes, plans and applies until there is nothing to do, or no use in
    /// trying again; returns what is left of both.
    async fn rounds(
        &self,
        bits: &[Bits],
        tally: &mut Tally,
        failures: &mut Vec<Failure>,
    ) -> Result<Ended, Error> {
        let mut round = 1;
        loop {
            // What failed may have left packages that no droplet accounts for.
            let mut seen = self.look(bits, !failures.is_empty()).await?;
            if failures.iter().any(|failure| failure.error.is_conflict()) {
                seen = self.wait_until_stable(bits, seen).await?;
            }
            let Seen { observed, plan } = seen;
            tally.add(&plan);
            if round == 1 {
                self.warn_of_unmanaged_orgs(&observed);
            }
            let last = round > MAX_ROUNDS;
            let may_settle = failures
                .iter()
                .any(|failure| failure.error.is_worth_replanning());
            let hopeless = !failures.is_empty() && !may_settle;
            round += 1;
            if !plan.is_empty() && !hopeless && !last {
                let applied = apply::apply(
                    &self.client,
                    &self.desired,
                    &observed,
                    bits,
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
            let (observed, drift, waited) = self.wait_for_instances(observed, &plan).await?;
            // The foundation may have changed while the run waited, so observe it again.
            let in_time = !drift.iter().any(|drift| drift.is_transient);
            if !(waited && in_time && plan.is_empty()) || last {
                return Ok(Ended { observed, drift });
            }
        }
    }

    /// Waits for somebody else who is at work: observes until nothing is left to
    /// do, or nothing changes any more.
    async fn wait_until_stable(&self, bits: &[Bits], mut seen: Seen) -> Result<Seen, Error> {
        let began = Instant::now();
        if !seen.plan.is_empty() {
            let orgs = self.desired.orgs().iter().map(|org| org.name.as_str());
            let orgs: Vec<&str> = orgs.collect();
            self.client.events().emit(Event::Warning(format!(
                "org {} is being changed by someone else; waiting until it is stable",
                orgs.join(", ")
            )));
        }
        while !seen.plan.is_empty() && began.elapsed() < self.client.timeout() {
            self.client.pause(transport::spread(STABLE_FOR)).await?;
            let now = self.look(bits, true).await?;
            if now.plan == seen.plan {
                return Ok(now);
            }
            seen = now;
        }
        Ok(seen)
    }

    /// Deletes the orgs with all that is in them.
    ///
    /// # Errors
    /// [`ConvergeError::NotOurs`] for an org without our label, unless `force`; then
    /// nothing is deleted.
    pub async fn delete_orgs(&self, force: bool) -> Result<Destroyed, ConvergeError> {
        let observed = self.observe(false).await?;
        let mut destroyed = Destroyed::default();
        self.delete_observed_orgs(&observed, force, &mut destroyed)
            .await?;
        Ok(destroyed)
    }

    /// Deletes the orgs with all that is in them, their quotas and the security
    /// groups.
    ///
    /// # Errors
    /// As [`Converger::delete_orgs`].
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
        let observed = self.observe(false).await?;
        self.delete_observed_orgs(&observed, force, destroyed)
            .await?;
        for name in self.desired.quotas() {
            if let Some(quota) = observed.quotas.get(name) {
                let what = format!("deleting the quota {name}");
                self.client.delete_quota(&what, quota).await?;
                destroyed.targets.push(Target::Quota {
                    name: name.to_owned(),
                });
            }
        }
        for group in self.desired.security_groups() {
            if let Some(found) = observed.security_groups.get(&group.name) {
                let what = format!("deleting the security group {}", group.name);
                self.client
                    .delete_security_group(&what, &found.guid)
                    .await?;
                destroyed.targets.push(Target::SecurityGroup {
                    name: group.name.clone(),
                });
            }
        }
        Ok(())
    }

    async fn delete_observed_orgs(
        &self,
        observed: &Observed,
        force: bool,
        destroyed: &mut Destroyed,
    ) -> Result<(), ConvergeError> {
        let orgs = observed.orgs.iter().filter_map(|org| org.org.as_ref());
        let orgs: Vec<_> = orgs.collect();
        let owner = self.desired.owner();
        if let Some(org) = orgs
            .iter()
            .find(|org| !force && !org.ownership.is_of(owner))
        {
            return Err(ConvergeError::NotOurs {
                org: org.name.clone(),
            });
        }
        for org in orgs {
            let what = format!("deleting the org {}", org.name);
            self.client.delete_org(&what, &org.guid).await?;
            destroyed.targets.push(Target::Org {
                name: org.name.clone(),
            });
        }
        Ok(())
    }

    /// Observes what exists, and plans what is to be done about it; with `packages`,
    /// or where that takes away what accounts for them, with all packages.
    async fn look(&self, bits: &[Bits], packages: bool) -> Result<Seen, Error> {
        let observed = self.observe(packages).await?;
        let plan = self.plan_of(bits, &observed);
        if packages || !plan.removes_bits_hash() {
            return Ok(Seen { observed, plan });
        }
        let observed = self.observe(true).await?;
        let plan = self.plan_of(bits, &observed);
        Ok(Seen { observed, plan })
    }

    fn plan_of(&self, bits: &[Bits], observed: &Observed) -> Plan {
        let hashes: Vec<String> = bits.iter().map(|bits| bits.sha256().to_owned()).collect();
        plan::plan(&self.desired, &hashes, observed, self.workflow)
    }

    async fn observe(&self, packages: bool) -> Result<Observed, Error> {
        let mut observations = 1;
        loop {
            match observe::observe(&self.client, &self.desired, packages).await {
                // What was listed may be gone when more is asked of it.
                Err(error) if error.is_conflict() && observations < MAX_OBSERVATIONS => {
                    observations += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn warn_of_unmanaged_orgs(&self, observed: &Observed) {
        if self.client.dialect() != Dialect::V3 {
            return;
        }
        let orgs = observed.orgs.iter().filter_map(|org| org.org.as_ref());
        for org in orgs.filter(|org| !org.ownership.is_of(self.desired.owner())) {
            let name = &org.name;
            self.client.events().emit(Event::Warning(format!(
                "the org {name} is unmanaged: it is used, but never deleted unless that is forced"
            )));
        }
    }

    /// Waits until all instances run, or at the deadline; returns what differs from
    /// the desired state then, and whether it waited.
    async fn wait_for_instances(
        &self,
        mut observed: Observed,
        plan: &Plan,
    ) -> Result<(Observed, Vec<Drift>, bool), Error> {
        let began = Instant::now();
        let timeout = self.client.timeout();
        let total = self.desired.app_count();
        let mut waited = false;
        let mut awaited: HashSet<Target> = plan
            .apps()
            .filter(|app| app.role() != Some(plan::Role::Surplus))
            .map(|app| app.target.clone())
            .collect();
        let mut pauses = poll::pauses();
        loop {
            let drift = verify::verify(&self.desired, &observed, plan);
            let waiting = drift.iter().filter(|it| it.is_transient).count();
            self.show_waiting(&mut waited, total, waiting);
            self.report_running(&mut awaited, &drift);
            let pause = pauses.next().unwrap_or(timeout);
            if waiting == 0 || began.elapsed().saturating_add(pause) > timeout {
                return Ok((observed, drift, waited));
            }
            self.client.pause(pause).await?;
            observe::refresh_instances(&self.client, &mut observed).await?;
        }
    }

    /// Reports the apps that run by now, each once.
    fn report_running(&self, awaited: &mut HashSet<Target>, drift: &[Drift]) {
        let differing: HashSet<&Target> = drift.iter().map(|drift| &drift.target).collect();
        for app in awaited.extract_if(|app| !differing.contains(app)) {
            self.client.events().emit(Event::App {
                name: app.name().to_owned(),
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
            let failed = 0;
            events.emit(Event::PhaseProgress {
                phase,
                done,
                failed,
            });
        }
        if *waited && left == 0 {
            events.emit(Event::PhaseEnded { phase });
        }
    }
}

/// Refuses properties that the API of 2017 cannot give to apps.
fn check_properties(desired: &Desired) -> Result<(), ConvergeError> {
    for PlacedGroup { group, .. } in desired.groups() {
        let is_known = |property: &&str| {
            BY_REQUESTS.contains(property) || ["env", "routes"].contains(property)
        };
        let refused = |property: &str| ConvergeError::Property {
            group: group.name.clone(),
            property: property.to_owned(),
        };
        let mut properties = group.entry.properties();
        if let Some(property) = properties.find(|property| !is_known(property)) {
            return Err(refused(property));
        }
        let has_more = group.entry.beyond_requests().is_some();
        if has_more {
            return Err(refused("routes with protocol or options"));
        }
    }
    Ok(())
}

/// Adds GUIDs and URLs to the apps that exist.
fn locate(apps: &mut [AppOutcome], desired: &Desired, observed: &Observed) {
    let mut guids: HashMap<(&str, &str, &str), &str> = HashMap::new();
    for (placed, space) in desired.spaces().zip(&observed.spaces) {
        for app in &space.apps {
            let key = (
                placed.org.name.as_str(),
                placed.space.name.as_str(),
                app.name.as_str(),
            );
            guids.insert(key, &app.guid);
        }
    }
    let mut urls: HashMap<(&str, &str, String), Vec<String>> = HashMap::new();
    for placed in desired.groups() {
        let domain = observed.apps_domain(&placed.space);
        for (index, name) in (0..).zip(placed.group.app_names()) {
            let entry = placed.group.entry.of_app(&name, index, domain);
            let routes = entry
                .routes()
                .into_iter()
                .flatten()
                .map(str::to_owned)
                .collect();
            let space = placed.space;
            urls.insert((&space.org.name, &space.space.name, name), routes);
        }
    }
    for app in apps {
        let guid = guids.get(&(app.org.as_str(), app.space.as_str(), app.name.as_str()));
        app.guid = guid.map(|guid| (*guid).to_owned());
        let key = (app.org.as_str(), app.space.as_str(), app.name.clone());
        app.urls = urls.remove(&key).unwrap_or_default();
    }
}

//! A convergence: rounds of observing, planning and applying, until there is nothing to
//! do and all instances run.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::app_records::AppRecords;
use super::apply::{self, Applied};
use super::approval::{Approval, Deletions};
use super::bits::GroupBits;
use super::failure::Failure;
use super::observe::Observed;
use super::outcome::{AppOutcome, Outcome};
use super::plan::{Action, Plan};
use super::target::Target;
use super::wait::WaitResult;
use super::{ConvergeError, Converger, ObservedPlan, protect};
use crate::capi::error::Error;
use crate::capi::transport;
use crate::desired::Desired;
use crate::events::Event;

/// The maximum number of rounds.
const MAX_ROUNDS: usize = 4;

/// The time for which the plan must be unchanged until the foundation counts as stable.
const STABLE_FOR: Duration = Duration::from_secs(1);

/// The maximum time that a list may lag behind earlier writes.
pub(super) const LAG: Duration = Duration::from_secs(3);

/// The number of additional observations before a run is refused because of unmanaged
/// resources.
const UNMANAGED_CHECKS: usize = 2;

/// A run in progress.
pub(super) struct Run<'a> {
    converger: &'a Converger,
    bits: &'a [GroupBits],
    approval: Approval,
    /// The deletions of the first plan, after their approval.
    approved: Option<HashSet<Target>>,
    /// The resources that were ours before an org was deleted. The ownership of a quota
    /// cannot be determined without its org.
    ours: HashSet<Target>,
    records: AppRecords,
    failures: Vec<Failure>,
    /// The targets that the last round changed without a failure.
    done: HashSet<Target>,
}

impl<'a> Run<'a> {
    pub(super) fn new(converger: &'a Converger, bits: &'a [GroupBits], approval: Approval) -> Self {
        Self {
            converger,
            bits,
            approval,
            approved: None,
            ours: HashSet::new(),
            records: AppRecords::default(),
            failures: Vec::new(),
            done: HashSet::new(),
        }
    }

    /// Runs to the end. After the first change, errors are part of the outcome.
    pub(super) async fn outcome(mut self) -> Result<Outcome, ConvergeError> {
        let ended = match self.recreate().await {
            Ok(()) => self.rounds().await,
            Err(error) => Err(error),
        };
        let Self {
            records,
            mut failures,
            converger,
            ..
        } = self;
        match ended {
            Ok(waited) => {
                failures.extend(converger.start_failures(&waited).await);
                let WaitResult {
                    observed, drift, ..
                } = waited;
                let mut apps = records.outcomes(&failures, &drift, "it did not converge");
                locate(&mut apps, &converger.desired, &observed);
                Ok(Outcome {
                    apps,
                    failures,
                    drift,
                    interrupted: false,
                })
            }
            Err(ConvergeError::Api(Error::Interrupted)) => {
                // Work that the interrupt ended is not a failure.
                failures.retain(|failure| !failure.error.is_interrupted());
                Ok(Outcome {
                    apps: records.outcomes(&failures, &[], "the run was interrupted"),
                    failures,
                    interrupted: true,
                    ..Outcome::default()
                })
            }
            Err(ConvergeError::Api(error)) if !failures.is_empty() => {
                let name = converger.desired.orgs().first().map(|org| org.name.clone());
                let name = name.unwrap_or_default();
                let target = Target::Org { name };
                failures.push(Failure::at(target, "observing the org again", error));
                Ok(Outcome {
                    apps: records.outcomes(&failures, &[], "the org could not be observed again"),
                    failures,
                    ..Outcome::default()
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes the orgs first, if they are to be recreated.
    async fn recreate(&mut self) -> Result<(), ConvergeError> {
        let converger = self.converger;
        if !converger.recreates {
            return Ok(());
        }
        let seen = converger.observe_and_plan(self.bits, false).await?;
        let ObservedPlan { observed, plan } = self.check_unmanaged(seen).await?;
        let existing = plan
            .resources
            .iter()
            .filter(|it| it.action != Action::Create);
        self.ours = existing.map(|resource| resource.target.clone()).collect();
        let deletions = converger.orgs_to_delete(&observed).await?;
        protect::check(&converger.desired, deletions.targets.iter())?;
        self.approve(&deletions).await?;
        let deleting = converger.start_deletions(&observed, 0);
        converger
            .delete_orgs(&observed, &deleting, &mut Vec::new())
            .await?;
        deleting.end();
        Ok(())
    }

    /// Refuses unmanaged resources, unless they are to be adopted. Resources that another
    /// run is about to label temporarily look unmanaged, so they are observed again.
    async fn check_unmanaged(&self, mut seen: ObservedPlan) -> Result<ObservedPlan, ConvergeError> {
        for _ in 0..UNMANAGED_CHECKS {
            if self.unmanaged(&seen.plan).is_empty() {
                return Ok(seen);
            }
            self.converger.client.pause(STABLE_FOR).await?;
            seen = self.converger.observe_and_plan(self.bits, false).await?;
        }
        match self.unmanaged(&seen.plan) {
            targets if targets.is_empty() => Ok(seen),
            targets => Err(ConvergeError::Unmanaged { targets }),
        }
    }

    fn unmanaged(&self, plan: &Plan) -> Vec<Target> {
        if self.converger.adopts {
            return Vec::new();
        }
        let unmanaged = plan.unmanaged().filter(|it| !self.ours.contains(it));
        unmanaged.cloned().collect()
    }

    /// Asks for approval of the first deletions. Later rounds may not delete other
    /// resources.
    async fn approve(&mut self, deletions: &Deletions) -> Result<(), ConvergeError> {
        self.converger.approve(&self.approval, deletions).await?;
        self.approved = Some(deletions.targets.iter().cloned().collect());
        Ok(())
    }

    /// Observes, plans and applies until there is nothing to do, or until another attempt
    /// is useless.
    async fn rounds(&mut self) -> Result<WaitResult, ConvergeError> {
        let converger = self.converger;
        let mut round = 1;
        loop {
            let seen = self.observe_stable().await?;
            let seen = match self.check_unmanaged(seen).await {
                // Changes made by the run so far are part of the outcome.
                Err(ConvergeError::Unmanaged { targets }) if round > 1 => {
                    return self.refuse_unmanaged(targets).await;
                }
                seen => seen?,
            };
            let ObservedPlan { observed, plan } = seen;
            protect::check_plan(&converger.desired, &plan)?;
            converger.check_observed(&observed)?;
            if round == 1 {
                converger.check_saved(self.bits, &plan)?;
            }
            if self.is_beyond_approval(&plan).await? {
                let drift = converger.drift_of(&observed, &plan);
                return Ok(WaitResult {
                    observed,
                    drift,
                    has_waited: false,
                });
            }
            self.records.add(&plan);
            let last = round > MAX_ROUNDS;
            let may_settle = self
                .failures
                .iter()
                .any(|failure| failure.error.is_worth_replanning());
            let hopeless = !self.failures.is_empty() && !may_settle;
            round += 1;
            if !plan.is_empty() && !hopeless && !last {
                self.apply(&observed, &plan).await;
                continue;
            }
            if plan.is_empty() {
                self.failures.clear();
            }
            let timeout = converger.client.timeout();
            let waited = converger
                .wait_for_instances(observed, &plan, timeout)
                .await?;
            // The foundation may have changed during the wait, so it is observed again.
            let in_time = !waited.drift.iter().any(|drift| drift.is_transient);
            if !(waited.has_waited && in_time && plan.is_empty()) || last {
                return Ok(waited);
            }
        }
    }

    /// Observes and plans. If someone else is changing the foundation, or an observation
    /// does not show the last changes yet, it observes until nothing changes.
    async fn observe_stable(&mut self) -> Result<ObservedPlan, ConvergeError> {
        // Failed steps may have left packages without a droplet.
        let packages = !self.failures.is_empty();
        let seen = self.converger.observe_and_plan(self.bits, packages).await?;
        let mut failures = self.failures.iter();
        if failures.any(|failure| failure.error.is_conflict()) {
            self.warn_of_conflict(&seen.plan);
            return Ok(self.wait_until_stable(seen, STABLE_FOR).await?);
        }
        match self.is_behind(&seen.plan) {
            true => Ok(self.wait_until_stable(seen, LAG).await?),
            false => Ok(seen),
        }
    }

    /// Carries out a plan, and records what was done and what failed.
    async fn apply(&mut self, observed: &Observed, plan: &Plan) {
        let converger = self.converger;
        let applied = apply::apply(
            &converger.client,
            &converger.desired,
            observed,
            self.bits,
            plan,
            converger.batch,
        );
        let applied = Box::pin(applied).await;
        self.done = done(plan, &applied);
        self.records.finish(&applied.done, applied.blocked);
        self.failures = applied.failures;
    }

    /// Ends the run if someone else created a resource with a desired name.
    async fn refuse_unmanaged(
        &mut self,
        targets: Vec<Target>,
    ) -> Result<WaitResult, ConvergeError> {
        let ObservedPlan { observed, plan } =
            self.converger.observe_and_plan(self.bits, false).await?;
        self.records.add(&plan);
        let failures = targets.into_iter().map(|target| {
            let error = Error::Failed {
                what: "using it".to_owned(),
                reason: "it is unmanaged: somebody else created it during the run".to_owned(),
            };
            Failure::at(target, "using it", error)
        });
        self.failures.extend(failures);
        let drift = self.converger.drift_of(&observed, &plan);
        Ok(WaitResult {
            observed,
            drift,
            has_waited: false,
        })
    }

    /// Whether a later plan deletes resources that the first plan did not delete. Each
    /// such app fails. The first plan's deletions are approved here.
    async fn is_beyond_approval(&mut self, plan: &Plan) -> Result<bool, ConvergeError> {
        let deletions = Deletions::of(plan);
        let Some(approved) = &self.approved else {
            self.approve(&deletions).await?;
            return Ok(false);
        };
        let more = deletions.beyond(approved);
        let failures = more.iter().map(|target| {
            let error = Error::Failed {
                what: "deleting it".to_owned(),
                reason: "not approved: the plan at the start of the run did not delete it"
                    .to_owned(),
            };
            Failure::at((*target).clone(), "deleting the app", error)
        });
        self.failures.extend(failures);
        if !more.is_empty() {
            self.records.add(plan);
        }
        Ok(!more.is_empty())
    }

    /// Whether a plan contains resources that the last round changed without a failure.
    /// In that case, lists may lag behind the writes, or someone else has changed the
    /// resources.
    fn is_behind(&self, plan: &Plan) -> bool {
        let mut changes = plan.resources.iter();
        changes.any(|it| it.action != Action::Unchanged && self.done.contains(&it.target))
    }

    fn warn_of_conflict(&self, plan: &Plan) {
        if plan.is_empty() {
            return;
        }
        let what = match self.converger.desired.orgs() {
            [] => "the foundation".to_owned(),
            [org] => format!("org {}", org.name),
            orgs => format!("one of {} orgs", orgs.len()),
        };
        let text = format!("{what} is being changed by someone else; waiting until it is stable");
        let events = self.converger.client.events();
        events.emit(Event::Warning(text));
    }

    /// Observes until there is nothing left to do, or the plan stays the same for
    /// `stable`.
    async fn wait_until_stable(
        &self,
        mut seen: ObservedPlan,
        stable: Duration,
    ) -> Result<ObservedPlan, Error> {
        let client = &self.converger.client;
        let began = Instant::now();
        let mut changed = began;
        while !seen.plan.is_empty() && began.elapsed() < client.timeout() {
            client.pause(transport::spread(STABLE_FOR)).await?;
            let now = self.converger.observe_and_plan(self.bits, true).await?;
            if now.plan != seen.plan {
                changed = Instant::now();
            } else if changed.elapsed() >= stable {
                return Ok(now);
            }
            seen = now;
        }
        Ok(seen)
    }
}

/// The targets that a round changed without a failure.
fn done(plan: &Plan, applied: &Applied) -> HashSet<Target> {
    let failed: HashSet<&Target> = applied.failures.iter().map(|it| &it.target).collect();
    let done: HashSet<&Target> = applied.done.iter().collect();
    let changed = plan.resources.iter();
    let changed = changed.filter(|it| it.action != Action::Unchanged);
    let targets = changed.map(|resource| &resource.target);
    let targets = targets.filter(|target| match target.is_app() {
        true => done.contains(target),
        false => !failed.contains(target),
    });
    targets.cloned().collect()
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

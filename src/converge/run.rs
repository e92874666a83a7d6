//! One convergence: rounds of observing, planning and applying, until there is
//! nothing to do and all instances run.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::approval::{Approval, Deletions};
use super::observe::{self, Observed};
use super::outcome::{AppOutcome, Failure, Outcome, Tally};
use super::plan::{self, Plan};
use super::target::Target;
use super::verify::{self, Drift};
use super::{ConvergeError, Converger, Seen, apply};
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::capi::{poll, transport};
use crate::desired::Desired;
use crate::events::{AppMilestone, Event, Phase};
use crate::push::bits::Bits;

/// The maximum number of rounds.
const MAX_ROUNDS: usize = 4;

/// How long the plan must stay the same until another run is taken to be done.
const STABLE_FOR: Duration = Duration::from_secs(1);

/// A run that is under way.
pub(super) struct Run<'a> {
    converger: &'a Converger,
    bits: &'a [Bits],
    approval: Approval,
    /// What the first plan deletes, once that is approved.
    approved: Option<HashSet<Target>>,
    tally: Tally,
    failures: Vec<Failure>,
}

/// What the last round of a run left.
struct Ended {
    observed: Observed,
    drift: Vec<Drift>,
}

impl<'a> Run<'a> {
    pub(super) fn new(converger: &'a Converger, bits: &'a [Bits], approval: Approval) -> Self {
        Self {
            converger,
            bits,
            approval,
            approved: None,
            tally: Tally::default(),
            failures: Vec::new(),
        }
    }

    /// Runs to the end. Once something was changed, errors are part of the outcome.
    pub(super) async fn outcome(mut self) -> Result<Outcome, ConvergeError> {
        let ended = match self.recreate().await {
            Ok(()) => self.rounds().await,
            Err(error) => Err(error),
        };
        let Self {
            tally,
            mut failures,
            converger,
            ..
        } = self;
        match ended {
            Ok(Ended { observed, drift }) => {
                let mut apps = tally.outcomes(&failures, &drift, "it did not converge");
                locate(&mut apps, &converger.desired, &observed);
                Ok(Outcome {
                    apps,
                    failures,
                    drift,
                    interrupted: false,
                })
            }
            Err(ConvergeError::Api(Error::Interrupted)) => {
                // What was under way then is not a failure.
                failures.retain(|failure| !failure.error.is_interrupted());
                Ok(Outcome {
                    apps: tally.outcomes(&failures, &[], "the run was interrupted"),
                    failures,
                    interrupted: true,
                    ..Outcome::default()
                })
            }
            Err(ConvergeError::Api(error)) if !failures.is_empty() => {
                let name = converger.desired.orgs().first().map(|org| org.name.clone());
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
            Err(error) => Err(error),
        }
    }

    /// Deletes the orgs first, if that is asked for.
    async fn recreate(&mut self) -> Result<(), ConvergeError> {
        let converger = self.converger;
        if !converger.recreates {
            return Ok(());
        }
        let observed = converger.observe(false).await?;
        let deletions = converger.orgs_to_delete(&observed)?;
        self.approve(&deletions).await?;
        converger.delete_orgs(&observed, &mut Vec::new()).await
    }

    /// Has the first deletions approved; those of later rounds must be among them.
    async fn approve(&mut self, deletions: &Deletions) -> Result<(), ConvergeError> {
        self.converger.approve(&self.approval, deletions).await?;
        self.approved = Some(deletions.targets.iter().cloned().collect());
        Ok(())
    }

    /// Observes, plans and applies until there is nothing to do, or no use in
    /// trying again.
    async fn rounds(&mut self) -> Result<Ended, ConvergeError> {
        let converger = self.converger;
        let mut round = 1;
        loop {
            // What failed may have left packages that no droplet accounts for.
            let mut seen = converger.look(self.bits, !self.failures.is_empty()).await?;
            let conflict = self
                .failures
                .iter()
                .any(|failure| failure.error.is_conflict());
            if conflict {
                seen = self.wait_until_stable(seen).await?;
            }
            let Seen { observed, plan } = seen;
            if round == 1 {
                self.warn_of_unmanaged_orgs(&observed);
            }
            if self.is_beyond_approval(&plan).await? {
                let drift = verify::verify(&converger.desired, &observed, &plan);
                return Ok(Ended { observed, drift });
            }
            self.tally.add(&plan);
            let last = round > MAX_ROUNDS;
            let may_settle = self
                .failures
                .iter()
                .any(|failure| failure.error.is_worth_replanning());
            let hopeless = !self.failures.is_empty() && !may_settle;
            round += 1;
            if !plan.is_empty() && !hopeless && !last {
                let applied = apply::apply(
                    &converger.client,
                    &converger.desired,
                    &observed,
                    self.bits,
                    &plan,
                    converger.batch,
                );
                let applied = applied.await;
                self.tally.finish(&applied.done);
                self.failures = applied.failures;
                continue;
            }
            if plan.is_empty() {
                self.failures.clear();
            }
            let (observed, drift, waited) = self.wait_for_instances(observed, &plan).await?;
            // The foundation may have changed while the run waited, so observe it again.
            let in_time = !drift.iter().any(|drift| drift.is_transient);
            if !(waited && in_time && plan.is_empty()) || last {
                return Ok(Ended { observed, drift });
            }
        }
    }

    /// Whether a later plan deletes what the first did not; each such app fails. The
    /// first plan's deletions are approved here.
    async fn is_beyond_approval(&mut self, plan: &Plan) -> Result<bool, ConvergeError> {
        let deletions = Deletions::of(plan);
        let Some(approved) = &self.approved else {
            self.approve(&deletions).await?;
            return Ok(false);
        };
        let more = deletions.beyond(approved);
        let failures = more.iter().map(|target| Failure {
            target: (*target).clone(),
            step: "deleting the app".to_owned(),
            error: Error::Failed {
                what: "deleting it".to_owned(),
                reason: "not approved: the plan at the start of the run did not delete it"
                    .to_owned(),
            },
        });
        self.failures.extend(failures);
        if !more.is_empty() {
            self.tally.add(plan);
        }
        Ok(!more.is_empty())
    }

    /// Waits for somebody else who is at work: observes until nothing is left to
    /// do, or nothing changes any more.
    async fn wait_until_stable(&self, mut seen: Seen) -> Result<Seen, Error> {
        let client = &self.converger.client;
        let began = Instant::now();
        if !seen.plan.is_empty() {
            let orgs = self.converger.desired.orgs().iter();
            let orgs: Vec<&str> = orgs.map(|org| org.name.as_str()).collect();
            client.events().emit(Event::Warning(format!(
                "org {} is being changed by someone else; waiting until it is stable",
                orgs.join(", ")
            )));
        }
        while !seen.plan.is_empty() && began.elapsed() < client.timeout() {
            client.pause(transport::spread(STABLE_FOR)).await?;
            let now = self.converger.look(self.bits, true).await?;
            if now.plan == seen.plan {
                return Ok(now);
            }
            seen = now;
        }
        Ok(seen)
    }

    fn warn_of_unmanaged_orgs(&self, observed: &Observed) {
        let Converger {
            client, desired, ..
        } = self.converger;
        if client.dialect() != Dialect::V3 {
            return;
        }
        let orgs = observed.orgs.iter().filter_map(|org| org.org.as_ref());
        for org in orgs.filter(|org| !org.ownership.is_of(desired.owner())) {
            let name = &org.name;
            client.events().emit(Event::Warning(format!(
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
        let Converger {
            client, desired, ..
        } = self.converger;
        let began = Instant::now();
        let timeout = client.timeout();
        let total = desired.app_count();
        let mut waited = false;
        let mut awaited: HashSet<Target> = plan
            .apps()
            .filter(|app| app.role() != Some(plan::Role::Surplus))
            .map(|app| app.target.clone())
            .collect();
        let mut pauses = poll::pauses();
        loop {
            let drift = verify::verify(desired, &observed, plan);
            let waiting = drift.iter().filter(|it| it.is_transient).count();
            self.show_waiting(&mut waited, total, waiting);
            self.report_running(&mut awaited, &drift);
            let pause = pauses.next().unwrap_or(timeout);
            if waiting == 0 || began.elapsed().saturating_add(pause) > timeout {
                return Ok((observed, drift, waited));
            }
            client.pause(pause).await?;
            observe::refresh_instances(client, &mut observed).await?;
        }
    }

    /// Reports the apps that run by now, each once.
    fn report_running(&self, awaited: &mut HashSet<Target>, drift: &[Drift]) {
        let differing: HashSet<&Target> = drift.iter().map(|drift| &drift.target).collect();
        for app in awaited.extract_if(|app| !differing.contains(app)) {
            self.converger.client.events().emit(Event::App {
                name: app.name().to_owned(),
                milestone: AppMilestone::Running,
            });
        }
    }

    fn show_waiting(&self, waited: &mut bool, total: usize, left: usize) {
        let phase = Phase::Instances;
        let events = self.converger.client.events();
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

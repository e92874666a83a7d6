//! Carries out a plan: each step is one request, or one and the wait for what
//! it starts. A failure ends the app that it befalls; the others go on.

mod batches;
mod foundation;
mod progress;
mod steps;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use batches::Beginning;
use foundation::apply_foundation;
use futures::channel::mpsc::{self, UnboundedReceiver};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, join, stream};
use progress::Progress;
use steps::Found;
use tokio::sync::{Semaphore, SemaphorePermit, SetOnce};

use super::outcome::Failure;
use super::plan::{Plan, ResourcePlan, Role, Step};
use super::target::Target;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::inventory::Inventory;
use crate::capi::waits::{Stateful, Waits};
use crate::desired::{Desired, GroupKind};
use crate::events::{AppMilestone, Event, Phase, StepContext};
use crate::push::source::Sources;

/// How many manifests are applied at once: each is a job that goes through many
/// apps.
const MANIFESTS_AT_ONCE: usize = 4;

/// How many clones may be between the copy of their droplet and their end: so
/// that they end one after another, and not all at last.
const CLONES_AT_ONCE: usize = 1000;

/// How carrying out a plan went.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The apps of which every step was done.
    pub(crate) done: Vec<Target>,
    pub(crate) failures: Vec<Failure>,
}

impl Applied {
    fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.failures.extend(other.failures);
    }
}

/// Carries out a plan made of `desired` and `observed`; `batch` is how many apps
/// a manifest has.
pub(crate) async fn apply(
    client: &Client,
    desired: &Desired,
    observed: &Inventory,
    sources: &Sources,
    plan: &Plan,
    batch: usize,
) -> Applied {
    let space = match apply_foundation(client, desired, observed, plan).await {
        Ok(space) => space,
        Err(failures) => {
            return Applied {
                failures,
                ..Applied::default()
            };
        }
    };
    let groups = desired.groups.iter().map(|group| group.kind);
    let apply = Apply {
        client,
        desired,
        observed,
        space,
        sources,
        batch,
        waits: Waits::new(Stateful::Droplets),
        turns: Semaphore::new(client.concurrency()),
        lanes: Semaphore::new(CLONES_AT_ONCE),
        staged: groups.map(|group| (group, Source::new())).collect(),
        deploys: AtomicBool::new(true),
    };
    tokio::select! {
        applied = apply.apps(plan) => applied,
        never = apply.waits.serve(client) => match never {},
    }
}

/// A GUID that an earlier step should have found.
fn unknown(what: &str) -> Error {
    Error::Local {
        what: "carrying out the plan".to_owned(),
        reason: format!("the {what} is not known"),
    }
}

struct Apply<'a> {
    client: &'a Client,
    desired: &'a Desired,
    observed: &'a Inventory,
    space: String,
    sources: &'a Sources,
    batch: usize,
    waits: Waits<Stateful>,
    turns: Semaphore,
    lanes: Semaphore,
    staged: HashMap<GroupKind, Source>,
    /// Whether the foundation takes deployments, as far as is known.
    deploys: AtomicBool,
}

/// The droplet that a group's prototype gets in this run: none yet, then one,
/// or the certainty that there will be none.
type Source = SetOnce<Option<String>>;

/// How an app's plan ended: whether all steps were taken. Without its prototype's
/// droplet, which has a failure of its own, an app cannot go on.
type Outcome = Result<bool, Box<Failure>>;

/// An app under way: its plan, what is left of its steps, and what the steps
/// before found.
struct Begun<'p> {
    plan: &'p ResourcePlan,
    left: &'p [Step],
    found: Found,
}

impl Apply<'_> {
    /// Surplus first, as what it holds may be needed; then all others at once:
    /// the clones are created while the prototypes are staged, and go on with
    /// their droplets.
    async fn apps(&self, plan: &Plan) -> Applied {
        let to_do = |role: Role| -> Vec<&ResourcePlan> {
            plan.apps()
                .filter(|app| app.role() == Some(role) && !app.steps.is_empty())
                .collect()
        };
        let surplus = to_do(Role::Surplus);
        let deleting = Progress::start(self.client, Phase::Deletions, surplus.len());
        let mut applied = self.carry_out(surplus, &deleting).await;
        deleting.end();

        let (prototypes, clones) = (to_do(Role::Prototype), to_do(Role::Clone));
        let prototyping = Progress::start(self.client, Phase::Prototypes, prototypes.len());
        let cloning = Progress::start(self.client, Phase::Clones, clones.len());
        let prototypes = async {
            let applied = self.carry_out(prototypes, &prototyping).await;
            prototyping.end();
            applied
        };
        let (prototypes, clones) = join!(prototypes, self.carry_out(clones, &cloning));
        // Where no prototype got its droplet both end at once: this one last.
        cloning.end();
        applied.add(prototypes);
        applied.add(clones);
        applied
    }

    /// Carries out the plans of some apps: batch by batch up to the manifests
    /// that they share, then each app on its own.
    async fn carry_out(&self, plans: Vec<&ResourcePlan>, progress: &Progress<'_>) -> Applied {
        let (begun, under_way) = mpsc::unbounded();
        let begin = async {
            // Moved in, so that it is dropped, and the apps come to an end.
            let begun = begun;
            // Collected: a stream over the closure would not be provably `Send`.
            let batches: Vec<_> = plans
                .chunks(self.batch)
                .map(|batch| self.begin(batch))
                .collect();
            let mut batches = stream::iter(batches).buffer_unordered(MANIFESTS_AT_ONCE);
            while let Some(batch) = batches.next().await {
                for app in batch {
                    // The other end is there as long as this.
                    let _ = begun.unbounded_send(app);
                }
            }
        };
        let ((), mut outcomes) = join!(begin, self.finish_all(under_way, progress));
        let mut applied = Applied::default();
        for plan in plans {
            match outcomes.remove(&plan.target) {
                Some(Ok(true)) => applied.done.push(plan.target.clone()),
                Some(Ok(false)) | None => {}
                Some(Err(failure)) => applied.failures.push(*failure),
            }
        }
        applied
    }

    /// Takes what is left of the steps of all apps that are begun, of each as soon
    /// as it is.
    async fn finish_all<'p>(
        &self,
        mut begun: UnboundedReceiver<Beginning<'p>>,
        progress: &Progress<'_>,
    ) -> HashMap<&'p Target, Outcome> {
        let mut outcomes = HashMap::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((plan, begun)) = begun.next() => {
                    under_way.push(self.finish_one(plan, begun, progress));
                }
                Some((target, outcome)) = under_way.next() => {
                    outcomes.insert(target, outcome);
                }
                else => return outcomes,
            }
        }
    }

    async fn finish_one<'p>(
        &self,
        plan: &'p ResourcePlan,
        begun: Result<Begun<'p>, Box<Failure>>,
        progress: &Progress<'_>,
    ) -> (&'p Target, Outcome) {
        let outcome = match begun {
            Ok(begun) => self.finish(begun).await,
            Err(failure) => Err(failure),
        };
        self.end_of(plan);
        progress.advance();
        (&plan.target, outcome)
    }

    /// Where a prototype got no droplet by its end, its clones get none.
    fn end_of(&self, plan: &ResourcePlan) {
        if plan.role() == Some(Role::Prototype)
            && let Some(source) = plan.group().and_then(|group| self.staged.get(&group))
        {
            let _ = source.set(None);
        }
    }

    /// Takes the steps that are left of an app.
    async fn finish(&self, mut begun: Begun<'_>) -> Outcome {
        let plan = begun.plan;
        let mut _lane = None;
        for step in begun.left {
            if step.awaits_prototype() && self.source(plan).wait().await.is_none() {
                return Ok(false);
            }
            if matches!(step, Step::CopyDroplet { .. }) {
                _lane = self.lanes.acquire().await.ok();
            }
            self.take(plan, step, &mut begun.found).await?;
        }
        Ok(true)
    }

    /// Takes one step when it is the app's turn. Only then it takes memory: so
    /// those that wait take little.
    async fn take(
        &self,
        plan: &ResourcePlan,
        step: &Step,
        found: &mut Found,
    ) -> Result<(), Box<Failure>> {
        let _turn = self.turn(plan, step).await;
        let subject = subject(plan, step);
        let events = self.client.events();
        let taken = Box::pin(self.step(plan, step, found));
        let taken = events.step(Arc::clone(&subject), taken).await;
        taken.map_err(|error| Box::new(Failure::new(&plan.target, &subject, error)))?;
        if let Some(milestone) = milestone_after(step) {
            let name = plan.name().to_owned();
            events.emit(Event::App { name, milestone });
        }
        Ok(())
    }

    /// Clones take turns, as many as there may be requests: so the requests that
    /// they wait for, the prototypes' and those for copies, are never behind a
    /// queue of theirs.
    async fn turn(&self, plan: &ResourcePlan, step: &Step) -> Option<SemaphorePermit<'_>> {
        if plan.role() != Some(Role::Clone) || *step == Step::AwaitDroplet {
            return None;
        }
        self.turns.acquire().await.ok()
    }

    /// What the prototype of an app's group gets.
    fn source(&self, plan: &ResourcePlan) -> &Source {
        static NONE: Source = SetOnce::const_new_with(None);
        let source = plan.group().and_then(|group| self.staged.get(&group));
        source.unwrap_or(&NONE)
    }
}

fn subject(plan: &ResourcePlan, step: &Step) -> Arc<StepContext> {
    StepContext::new(plan.target.to_string(), step.to_string())
}

/// How far an app is after a step.
fn milestone_after(step: &Step) -> Option<AppMilestone> {
    match step {
        Step::CreateApp => Some(AppMilestone::Created),
        Step::Stage { .. } | Step::AwaitDroplet => Some(AppMilestone::DropletReady),
        Step::Start | Step::Deploy { .. } => Some(AppMilestone::Started),
        _ => None,
    }
}

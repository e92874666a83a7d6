//! Carries out a plan. Each step is a request, or a request and a wait for the work that
//! it starts. A failure ends the plan of its app. Other apps continue.

mod batches;
mod foundation;
mod steps;
mod supporting;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use batches::BatchResult;
use foundation::Foundation;
use futures::channel::mpsc::{self, UnboundedReceiver};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, join};
use steps::AppProgress;
use tokio::sync::{Semaphore, SemaphorePermit, SetOnce};

use super::bits::GroupBits;
use super::failure::Failure;
use super::observe::Observed;
use super::plan::{Plan, ResourcePlan, Role, Step};
use super::progress::Progress;
use super::target::Target;
use crate::capi::batch_poll::{BatchPoll, Builds, Droplets};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::poll;
use crate::desired::Desired;
use crate::events::{AppMilestone, Event, Phase, StepContext};

/// The number of manifests that are applied in parallel. Each is a job that changes many
/// apps.
const MAX_PARALLEL_MANIFESTS: usize = 4;

/// The number of clones that are in progress at a time, from the copy of their droplet to
/// their last step. The limit lets apps finish one after another, instead of all at the
/// end.
const MAX_CLONES_IN_PROGRESS: usize = 1000;

/// The result of carrying out a plan.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The apps with all steps carried out.
    pub(crate) done: Vec<Target>,
    pub(crate) failures: Vec<Failure>,
    /// The apps that could not continue, each with the resource that blocked it.
    pub(crate) blocked: Vec<(Target, Target)>,
}

impl Applied {
    fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.failures.extend(other.failures);
        self.blocked.extend(other.blocked);
    }
}

/// Carries out a plan from `observed` to `desired`. `bits` are the bits of the groups, in
/// order, and `batch` is the number of apps in a manifest.
pub(crate) async fn apply(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
    bits: &[GroupBits],
    plan: &Plan,
    batch: usize,
) -> Applied {
    let mut foundation = Foundation::new(client, desired, observed);
    foundation.prepare(plan).await;
    let apply = Apply {
        client,
        owner: desired.owner(),
        observed,
        spaces: foundation.spaces(),
        prototypes: prototypes(plan),
        bits,
        batch,
        builds: BatchPoll::new(Builds {
            first_pause: poll::QUICK,
        }),
        copies: BatchPoll::new(Droplets),
        app_permits: Semaphore::new(client.concurrency()),
        copy_permits: Semaphore::new(MAX_CLONES_IN_PROGRESS),
        manifest_permits: Semaphore::new(MAX_PARALLEL_MANIFESTS),
        staged: desired.groups().map(|_| Staged::new()).collect(),
        bound: SetOnce::new(),
        created: Mutex::new(existing(desired, observed)),
        deploys: AtomicBool::new(true),
    };
    let bind = async {
        let failures = foundation.bind(plan).await;
        // This is the only place that sets it.
        let failed = failures.first().map(|failure| failure.target.clone());
        let _ = apply.bound.set(failed);
        failures
    };
    let work = async {
        let (bindings, applied) = join!(bind, apply.apps(plan));
        let apps = apply.created.lock().map(|apps| apps.clone());
        let last = foundation.finish(plan, &apps.unwrap_or_default()).await;
        (
            bindings.into_iter().chain(last).collect::<Vec<Failure>>(),
            applied,
        )
    };
    let (bindings, mut applied) = tokio::select! {
        worked = work => worked,
        never = apply.builds.run(client) => match never {},
        never = apply.copies.run(client) => match never {},
    };
    applied.failures.extend(bindings);
    applied
        .failures
        .extend(std::mem::take(&mut foundation.failures));
    applied
}

/// The GUIDs of the apps that exist in the desired spaces.
fn existing(desired: &Desired, observed: &Observed) -> HashMap<Target, String> {
    let spaces = desired.spaces().zip(&observed.spaces);
    let apps = spaces.flat_map(|(placed, space)| {
        let apps = space.apps.iter();
        apps.map(move |app| {
            let target = Target::App {
                org: placed.org.name.clone(),
                space: placed.space.name.clone(),
                name: app.name.clone(),
            };
            (target, app.guid.clone())
        })
    });
    apps.collect()
}

/// The prototypes, by the index of their group.
fn prototypes(plan: &Plan) -> HashMap<usize, Target> {
    let prototypes = plan
        .apps()
        .filter(|app| app.role() == Some(Role::Prototype));
    let placed = prototypes.filter_map(|app| Some((app.app.as_ref()?.group?, app.target.clone())));
    placed.collect()
}

/// The error if no earlier step provided the GUID.
fn unknown(what: &str) -> Error {
    let reason = format!("the plan has no step that gives the {what}");
    Error::impossible("carrying out the plan", reason)
}

struct Apply<'a> {
    client: &'a Client,
    owner: &'a str,
    observed: &'a Observed,
    /// The GUIDs of the spaces by their index. For a space whose apps cannot be worked
    /// on, the resource that failed.
    spaces: HashMap<usize, Result<String, Target>>,
    prototypes: HashMap<usize, Target>,
    bits: &'a [GroupBits],
    batch: usize,
    builds: BatchPoll<Builds>,
    copies: BatchPoll<Droplets>,
    /// A clone holds a permit during a step.
    app_permits: Semaphore,
    /// A clone holds a permit from the copy of its droplet to its last step.
    copy_permits: Semaphore,
    /// A batch holds a permit while its manifest is applied.
    manifest_permits: Semaphore,
    /// The droplet of each group's prototype.
    staged: Vec<Staged>,
    /// The security group that could not be bound, or `None` if all are bound. No app
    /// starts before it is set.
    bound: SetOnce<Option<Target>>,
    /// The GUIDs of the desired apps that exist so far.
    created: Mutex<HashMap<Target, String>>,
    /// Whether the foundation accepts deployments. True until it refuses one.
    deploys: AtomicBool,
}

/// The droplet that a group's prototype gets in this run. Unset until the droplet is
/// staged, and `None` if the prototype gets no droplet.
type Staged = SetOnce<Option<String>>;

/// The result of an app's plan.
type Outcome = Result<Completion, Box<Failure>>;

/// The result of an app's plan in which no step failed.
enum Completion {
    /// All steps were carried out.
    Done,
    /// The app cannot continue, because this resource failed, such as its prototype.
    Blocked(Target),
}

/// An app in progress: its plan, the remaining steps, and the results of earlier steps.
struct AppInProgress<'p> {
    plan: &'p ResourcePlan,
    remaining: &'p [Step],
    progress: AppProgress,
}

impl Apply<'_> {
    /// Deletes surplus apps first, because others may need their quota or routes. Then
    /// works on all other apps in parallel: clones are created while prototypes are
    /// staged.
    async fn apps(&self, plan: &Plan) -> Applied {
        let to_do = |role: Role| -> Vec<&ResourcePlan> {
            let apps = plan.apps().filter(|app| app.role() == Some(role));
            let apps = apps.filter(|app| !app.steps.is_empty());
            apps.filter(|app| self.space(app).is_ok()).collect()
        };
        let blocked = plan.apps().filter(|app| !app.steps.is_empty());
        let blocked = blocked.filter_map(|app| {
            let space = self.spaces.get(&app.app.as_ref()?.space)?;
            Some((app.target.clone(), space.as_ref().err()?.clone()))
        });
        let blocked: Vec<(Target, Target)> = blocked.collect();
        let surplus = to_do(Role::Surplus);
        let deleting = Progress::start(self.client, Phase::Deletions, surplus.len());
        let mut applied = self.carry_out(surplus, &deleting).await;
        deleting.end();

        let (prototypes, clones) = (to_do(Role::Prototype), to_do(Role::Clone));
        self.mark_groups_without_prototype(&prototypes);
        let prototyping = Progress::start(self.client, Phase::Prototypes, prototypes.len());
        let cloning = Progress::start(self.client, Phase::Clones, clones.len());
        let prototypes = async {
            let applied = self.carry_out(prototypes, &prototyping).await;
            prototyping.end();
            applied
        };
        let (prototypes, clones) = join!(prototypes, self.carry_out(clones, &cloning));
        // If no prototype got a droplet, both phases end at the same time. The phase of
        // clones ends last.
        cloning.end();
        applied.add(prototypes);
        applied.add(clones);
        applied.blocked.extend(blocked);
        applied
    }

    /// Carries out the plans of some apps: in batches up to the manifests that they
    /// share, then each app separately.
    async fn carry_out(&self, plans: Vec<&ResourcePlan>, progress: &Progress<'_>) -> Applied {
        let mut by_space: BTreeMap<usize, Vec<&ResourcePlan>> = BTreeMap::new();
        for plan in &plans {
            let space = plan.app.as_ref().map(|app| app.space);
            by_space
                .entry(space.unwrap_or_default())
                .or_default()
                .push(plan);
        }
        let (started, in_progress) = mpsc::unbounded();
        let begin = async {
            // The sender is moved into this block, so that it is dropped and the receiver
            // ends.
            let started = started;
            let mut batches: FuturesUnordered<_> = by_space
                .values()
                .flat_map(|plans| plans.chunks(self.batch))
                .map(|batch| self.start_batch(batch))
                .collect();
            while let Some(batch) = batches.next().await {
                for app in batch {
                    // The receiver lives as long as this block.
                    let _ = started.unbounded_send(app);
                }
            }
        };
        let ((), mut outcomes) = join!(begin, self.finish_all(in_progress, progress));
        let mut applied = Applied::default();
        for plan in plans {
            match outcomes.remove(&plan.target) {
                Some(Ok(Completion::Done)) => applied.done.push(plan.target.clone()),
                Some(Ok(Completion::Blocked(by))) => {
                    applied.blocked.push((plan.target.clone(), by))
                }
                None => {}
                Some(Err(failure)) => applied.failures.push(*failure),
            }
        }
        applied
    }

    /// Carries out the remaining steps of each app as soon as its batch has been applied.
    async fn finish_all<'p>(
        &self,
        mut started: UnboundedReceiver<BatchResult<'p>>,
        progress: &Progress<'_>,
    ) -> HashMap<&'p Target, Outcome> {
        let mut outcomes = HashMap::new();
        let mut in_progress = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((plan, started)) = started.next() => {
                    in_progress.push(self.finish_app(plan, started, progress));
                }
                Some((target, outcome)) = in_progress.next() => {
                    outcomes.insert(target, outcome);
                }
                else => return outcomes,
            }
        }
    }

    async fn finish_app<'p>(
        &self,
        plan: &'p ResourcePlan,
        started: Result<AppInProgress<'p>, Box<Failure>>,
        progress: &Progress<'_>,
    ) -> (&'p Target, Outcome) {
        let outcome = match started {
            Ok(started) => self.finish(started).await,
            Err(failure) => Err(failure),
        };
        self.mark_prototype_ended(plan);
        progress.advance(matches!(outcome, Ok(Completion::Done)));
        (&plan.target, outcome)
    }

    /// Marks the groups whose prototypes are not part of this run as having no new
    /// droplet.
    fn mark_groups_without_prototype(&self, prototypes: &[&ResourcePlan]) {
        let groups = prototypes
            .iter()
            .filter_map(|plan| plan.app.as_ref()?.group);
        let groups: HashSet<usize> = groups.collect();
        let others = self.staged.iter().enumerate();
        for (_, staged) in others.filter(|(group, _)| !groups.contains(group)) {
            // This is the only place that sets it.
            let _ = staged.set(None);
        }
    }

    /// Marks a prototype's group as having no droplet, if the prototype got none.
    fn mark_prototype_ended(&self, plan: &ResourcePlan) {
        if plan.role() == Some(Role::Prototype) {
            // This has no effect if there is a droplet.
            let _ = self.staged(plan).set(None);
        }
    }

    /// Carries out the remaining steps of an app.
    async fn finish(&self, mut started: AppInProgress<'_>) -> Outcome {
        let plan = started.plan;
        let mut _permit = None;
        for step in started.remaining {
            if step.awaits_prototype() && self.staged(plan).wait().await.is_none() {
                let group = plan.app.as_ref().and_then(|app| app.droplet_of);
                let prototype = group.and_then(|group| self.prototypes.get(&group));
                let prototype = prototype.unwrap_or(&plan.target);
                return Ok(Completion::Blocked(prototype.clone()));
            }
            if step.starts()
                && let Some(group) = self.bound.wait().await
            {
                return Ok(Completion::Blocked(group.clone()));
            }
            if matches!(step, Step::CopyDroplet { .. }) {
                _permit = self.copy_permits.acquire().await.ok();
            }
            self.run_step(plan, step, &mut started.progress).await?;
        }
        Ok(Completion::Done)
    }

    /// Carries out one step after acquiring a permit. The request is built after that, so
    /// waiting apps need little memory.
    async fn run_step(
        &self,
        plan: &ResourcePlan,
        step: &Step,
        progress: &mut AppProgress,
    ) -> Result<(), Box<Failure>> {
        let _permit = self.permit(plan, step).await;
        let context = context(plan, step);
        let events = self.client.events();
        let taken = Box::pin(self.step(plan, step, progress));
        let taken = events.step(Arc::clone(&context), taken).await;
        taken.map_err(|error| Box::new(Failure::new(&plan.target, &context, error)))?;
        if matches!(step, Step::CreateApp { .. }) {
            self.record_created(plan, progress);
        }
        if let Some(milestone) = milestone_after(step) {
            let name = plan.name().to_owned();
            events.emit(Event::App { name, milestone });
        }
        Ok(())
    }

    /// Records the GUID of an app for the steps that depend on apps.
    fn record_created(&self, plan: &ResourcePlan, progress: &AppProgress) {
        if let (Some(guid), Ok(mut created)) = (&progress.app, self.created.lock()) {
            created.insert(plan.target.clone(), guid.clone());
        }
    }

    /// Clones have as many permits as there are concurrent requests. Requests of
    /// prototypes and copies, which clones depend on, therefore never queue behind
    /// requests of clones.
    async fn permit(&self, plan: &ResourcePlan, step: &Step) -> Option<SemaphorePermit<'_>> {
        if plan.role() != Some(Role::Clone) || *step == Step::AwaitDroplet {
            return None;
        }
        self.app_permits.acquire().await.ok()
    }

    /// The droplet of the prototype of an app's group.
    fn staged(&self, plan: &ResourcePlan) -> &Staged {
        static NONE: Staged = SetOnce::const_new_with(None);
        let group = plan.app.as_ref().and_then(|app| app.droplet_of);
        group
            .and_then(|group| self.staged.get(group))
            .unwrap_or(&NONE)
    }

    /// The GUID of the app's space.
    fn space(&self, plan: &ResourcePlan) -> Result<&str, Error> {
        let space = plan
            .app
            .as_ref()
            .and_then(|app| self.spaces.get(&app.space)?.as_ref().ok());
        space.map(String::as_str).ok_or_else(|| unknown("space"))
    }
}

fn context(plan: &ResourcePlan, step: &Step) -> Arc<StepContext> {
    StepContext::in_phase(phase_of(plan), plan.target.to_string(), step.to_string())
}

/// The phase of an app's steps.
fn phase_of(plan: &ResourcePlan) -> Option<Phase> {
    plan.role().map(|role| match role {
        Role::Prototype => Phase::Prototypes,
        Role::Clone => Phase::Clones,
        Role::Surplus => Phase::Deletions,
    })
}

/// The milestone that a step reaches.
fn milestone_after(step: &Step) -> Option<AppMilestone> {
    match step {
        Step::CreateApp { .. } => Some(AppMilestone::Created),
        Step::Stage { .. } | Step::UploadDroplet | Step::AwaitDroplet => {
            Some(AppMilestone::DropletReady)
        }
        Step::Start | Step::Restart | Step::Deploy { .. } => Some(AppMilestone::Started),
        _ => None,
    }
}

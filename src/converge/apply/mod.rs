//! Carries out a plan: each step is one request, or one and the wait for what
//! it starts. A failure ends the app that it befalls; the others go on.

mod foundation;
mod progress;

use foundation::apply_foundation;
use futures::future::join_all;
use futures::join;
use progress::Progress;
use tokio::sync::{Semaphore, SemaphorePermit, SetOnce};

use super::plan::{AppPlan, Plan, Role, Step};
use crate::capi::client::Client;
use crate::capi::dialect::NewApp;
use crate::capi::error::Error;
use crate::capi::inventory::Inventory;
use crate::capi::waits::{Stateful, Waits};
use crate::desired::{Desired, Group, GroupKind, host};
use crate::events::Phase;
use crate::push::source::Sources;
use crate::push::{stage, upload};

/// Something that could not be done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// To what, such as `app scale-tick-0`.
    pub subject: String,
    /// In which step, such as `copying the droplet`.
    pub step: String,
    /// Why.
    pub error: Error,
}

impl Failure {
    /// What the user may do about it, where the error does not say.
    pub fn advice(&self) -> Option<&'static str> {
        self.error.advice()
    }

    /// Whether another failed in the same step for the same reason.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.step == other.step && self.error.is_like(&other.error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.subject, self.step, self.error)
    }
}

/// How carrying out a plan went.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The apps of which every step was done.
    pub(crate) done: Vec<String>,
    pub(crate) failures: Vec<Failure>,
}

impl Applied {
    fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.failures.extend(other.failures);
    }
}

/// Carries out a plan made of `desired` and `observed`.
pub(crate) async fn apply(
    client: &Client,
    desired: &Desired,
    observed: &Inventory,
    sources: &Sources,
    plan: &Plan,
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
    let apply = Apply {
        client,
        desired,
        domain: &observed.domain.guid,
        space,
        sources,
        waits: Waits::new(Stateful::Droplets),
        turns: Semaphore::new(client.concurrency()),
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
    domain: &'a str,
    space: String,
    sources: &'a Sources,
    waits: Waits<Stateful>,
    turns: Semaphore,
}

/// The droplet that a group's prototype gets in this run: none yet, then one,
/// or the certainty that there will be none.
type Source = SetOnce<Option<String>>;

/// What the steps of one app find out for those that follow.
#[derive(Default)]
struct Found {
    app: Option<String>,
    package: Option<String>,
    droplet: Option<String>,
    route: Option<String>,
}

impl Apply<'_> {
    /// Surplus first, as what it holds may be needed; then all groups at once.
    async fn apps(&self, plan: &Plan) -> Applied {
        let to_do = |role: Role| -> Vec<&AppPlan> {
            let apps = plan.apps.iter();
            apps.filter(|app| app.role == role && !app.steps.is_empty())
                .collect()
        };
        let surplus = to_do(Role::Surplus);
        let deletions = Progress::start(self.client, Phase::Deletions, surplus.len());
        let mut applied = self.each(&surplus, &Source::new(), &deletions).await;
        deletions.end();

        let (prototypes, clones) = (to_do(Role::Prototype), to_do(Role::Clone));
        let prototyping = Progress::start(self.client, Phase::Prototypes, prototypes.len());
        let cloning = Progress::start(self.client, Phase::Clones, clones.len());
        let groups = join_all(self.desired.groups.iter().map(|group| {
            let prototypes = of_group(&prototypes, group.kind);
            let clones = of_group(&clones, group.kind);
            self.group_apps(prototypes, clones, &prototyping, &cloning)
        }));
        groups.await.into_iter().for_each(|it| applied.add(it));
        prototyping.end();
        cloning.end();
        applied
    }

    /// The clones are created while the prototype is staged, and go on with
    /// its droplet.
    async fn group_apps(
        &self,
        prototypes: Vec<&AppPlan>,
        clones: Vec<&AppPlan>,
        prototyping: &Progress<'_>,
        cloning: &Progress<'_>,
    ) -> Applied {
        let source = Source::new();
        let prototypes = async {
            let applied = self.each(&prototypes, &source, prototyping).await;
            // Where no droplet was staged by now, none will be.
            let _ = source.set(None);
            applied
        };
        let (mut applied, clones) = join!(prototypes, self.each(&clones, &source, cloning));
        applied.add(clones);
        applied
    }

    /// Carries out the plans of some apps, all at once.
    async fn each(&self, plans: &[&AppPlan], source: &Source, progress: &Progress<'_>) -> Applied {
        let outcomes = join_all(plans.iter().map(|plan| async {
            let outcome = self.app(plan, source).await;
            progress.advance();
            outcome
        }))
        .await;
        let mut applied = Applied::default();
        for (plan, outcome) in plans.iter().zip(outcomes) {
            match outcome {
                Ok(true) => applied.done.push(plan.name.clone()),
                Ok(false) => {}
                Err(failure) => applied.failures.push(*failure),
            }
        }
        applied
    }

    /// Whether all steps were taken: without its prototype's droplet, which has
    /// a failure of its own, an app cannot go on.
    async fn app(&self, plan: &AppPlan, source: &Source) -> Result<bool, Box<Failure>> {
        let mut found = Found {
            app: plan.guid.clone(),
            ..Found::default()
        };
        for step in &plan.steps {
            if step.awaits_prototype() && source.wait().await.is_none() {
                return Ok(false);
            }
            let _turn = self.turn(plan, step).await;
            self.step(plan, step, &mut found, source)
                .await
                .map_err(|error| Failure {
                    subject: format!("app {}", plan.name),
                    step: step.to_string(),
                    error,
                })?;
        }
        Ok(true)
    }

    /// Clones take turns, as many as there may be requests: so the requests that
    /// they wait for, the prototypes' and those for copies, are never behind a
    /// queue of theirs.
    async fn turn(&self, plan: &AppPlan, step: &Step) -> Option<SemaphorePermit<'_>> {
        if plan.role != Role::Clone || *step == Step::AwaitDroplet {
            return None;
        }
        self.turns.acquire().await.ok()
    }

    async fn step(
        &self,
        plan: &AppPlan,
        step: &Step,
        found: &mut Found,
        source: &Source,
    ) -> Result<(), Error> {
        let (client, dialect) = (self.client, self.client.dialect());
        if *step == Step::CreateApp {
            found.app = Some(self.create_app(plan).await?);
            return Ok(());
        }
        let app = found.app.clone().ok_or_else(|| unknown("app"))?;
        match step {
            Step::CreateApp => {}
            Step::PushBits => {
                let group = self.group(plan)?;
                let bits = self.sources.get(group.kind).map(|source| &source.bits);
                let bits = bits.ok_or_else(|| unknown("source"))?;
                found.package = Some(upload::upload_bits(client, &plan.name, &app, bits).await?);
            }
            Step::Stage { package } => {
                let package = package.as_ref().or(found.package.as_ref());
                let package = package.ok_or_else(|| unknown("package"))?;
                // Those that the app is going to have; it has them already else.
                let changes = plan.steps.contains(&Step::NoteBuildpacks);
                let buildpacks = self.group(plan)?.buildpacks.as_slice();
                let buildpacks = changes.then_some(buildpacks);
                let droplet = stage::stage(client, &plan.name, &app, package, buildpacks).await?;
                found.droplet = Some(droplet.clone());
                // Only prototypes are staged, each once in a run.
                let _ = source.set(Some(droplet));
            }
            Step::CopyDroplet { from } => {
                let staged = source.get().and_then(Option::as_ref);
                let source = from.as_ref().or(staged);
                let source = source.ok_or_else(|| unknown("prototype's droplet"))?;
                let request = dialect.copy_droplet(source, &app);
                found.droplet = Some(client.create(&request).await?);
            }
            Step::AwaitDroplet => {
                let copy = found.droplet.as_ref().ok_or_else(|| unknown("droplet"))?;
                let what = format!("copying to droplet {copy}");
                self.waits.done(copy, what).await?;
            }
            Step::SetDroplet { droplet } => {
                let droplet = droplet.as_ref().or(found.droplet.as_ref());
                let droplet = droplet.ok_or_else(|| unknown("droplet"))?.clone();
                let request = dialect.set_current_droplet(&app, &droplet);
                client.send(&request).await?;
                found.droplet = Some(droplet);
            }
            Step::NoteBits => {
                if let Some(request) = dialect.note_bits(&app, &self.group(plan)?.bits) {
                    client.send(&request).await?;
                }
            }
            Step::NoteBuildpacks => {
                let request = dialect.set_buildpacks(&app, &self.group(plan)?.buildpacks);
                client.send(&request).await?;
            }
            Step::SetCommand(command) => {
                let request = dialect.set_command(&app, command.as_deref());
                client.send(&request).await?;
            }
            Step::SetEnv(changes) => {
                client.send(&dialect.set_env(&app, changes)).await?;
            }
            Step::Adopt => {
                let request = dialect.adopt_app(&app, &self.desired.prefix);
                client.send(&request).await?;
            }
            Step::CreateRoute => {
                let request = dialect.create_route(&host(&plan.name), self.domain, &self.space);
                found.route = Some(client.create(&request).await?);
            }
            Step::MapRoute { route } => {
                let route = route.as_ref().or(found.route.as_ref());
                let route = route.ok_or_else(|| unknown("route"))?;
                client.send(&dialect.map_route(route, &app)).await?;
            }
            Step::Scale(scale) => {
                client.send(&dialect.scale(&app, *scale)).await?;
            }
            Step::Stop => {
                client.send(&dialect.stop(&app)).await?;
            }
            Step::Start => {
                client.send(&dialect.start(&app)).await?;
            }
            Step::DeleteRoute { route } => {
                let what = format!("deleting the route of {}", plan.name);
                client.delete(&what, &dialect.delete_route(route)).await?;
            }
            Step::DeleteApp => {
                let what = format!("deleting {}", plan.name);
                client.delete(&what, &dialect.delete_app(&app)).await?;
            }
        }
        Ok(())
    }

    async fn create_app(&self, plan: &AppPlan) -> Result<String, Error> {
        let group = self.group(plan)?;
        let stages = plan.role == Role::Prototype;
        let app = NewApp {
            name: &plan.name,
            space: &self.space,
            env: &group.env,
            buildpacks: if stages { &group.buildpacks } else { &[] },
        };
        let request = self.client.dialect().create_app(&app, &self.desired.prefix);
        self.client.create(&request).await
    }

    fn group(&self, plan: &AppPlan) -> Result<&Group, Error> {
        let mut groups = self.desired.groups.iter();
        groups
            .find(|group| Some(group.kind) == plan.group)
            .ok_or_else(|| unknown("group"))
    }
}

fn of_group<'p>(plans: &[&'p AppPlan], kind: GroupKind) -> Vec<&'p AppPlan> {
    let plans = plans.iter().copied();
    plans.filter(|plan| plan.group == Some(kind)).collect()
}

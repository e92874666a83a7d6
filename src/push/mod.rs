//! `push`: takes the apps of a manifest from source to running instances.
//!
//! The order is: transform the manifest, ask the Cloud Controller for the
//! difference, read all bits, apply the manifest to all apps with one request, and
//! then upload, stage and start the apps in parallel. Convergence pushes its
//! prototypes with the same `bits`, `upload` and `stage`.

mod app;
mod app_source;
pub(crate) mod bits;
mod discard;
mod logs;
mod outcome;
pub(crate) mod stage;
pub(crate) mod upload;

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt};
use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::capi::batch_poll::{BatchPoll, Builds, Packages, RunningApps};
use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::capi::model::{App, DiffEntry, DiffOp, ManifestValue, Package};
use crate::capi::transport::Replay;
use crate::events::{Event, Phase, PushStep, StepContext};
use crate::manifest::yaml::Value;
use crate::manifest::{Manifest, ManifestDiff, Overrides};
use app_source::{AppSource, read_sources};
pub use bits::BitsError;
pub use outcome::{
    AppState, InstanceStatus, ProcessStatus, PushError, PushFailure, PushOutcome, PushResult,
    PushedApp,
};
use upload::Known;

/// A push of the apps of a manifest to a space.
///
/// ```
/// # #[cfg(feature = "mock")]
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cf_pusher::manifest::{Manifest, Overrides};
/// use cf_pusher::push::{Push, PushSpace};
/// # let mock = mock_capi::MockCapi::start().await?;
/// # let options = cf_pusher::ConnectOptions::new(mock.uri(), cf_pusher::Credentials::Password {
/// #     username: "admin".to_owned(),
/// #     password: "admin".into(),
/// # });
/// # let client = cf_pusher::Client::connect(&options, cf_pusher::Events::default()).await?;
/// # let (config, _) = cf_pusher::ScalingTest::parse("{}", "inline")?;
/// # let sources = cf_pusher::Sources::read(&config, None)?;
/// # let desired = config.desired(&sources)?;
/// # let converger = cf_pusher::Converger::new(client.clone(), desired);
/// # converger.converge(cf_pusher::Approval::None).await?;
///
/// let manifest = Manifest::parse("applications: [{name: dora, path: src}]", "inline")?;
/// let mut overrides = Overrides::default();
/// overrides.instances = Some(2);
///
/// let space = PushSpace::named("scale-org", "scale-space");
/// let push = Push::new(client, space, manifest).overrides(overrides);
/// let outcome = push.run().await?;
/// assert!(outcome.is_success());
/// assert_eq!(outcome.apps[0].processes[0].running(), 2);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "mock"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Push {
    client: Client,
    space: PushSpace,
    manifest: Manifest,
    overrides: Overrides,
    docker_password: Option<SecretString>,
}

/// The space that apps are pushed to. It must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushSpace {
    /// A space by its name and the name of its org.
    Named {
        /// The org's name.
        org: String,
        /// The space's name.
        space: String,
    },
    /// A space by its GUID.
    Guid(String),
}

impl PushSpace {
    /// A space by the name of its org and its own name.
    pub fn named(org: impl Into<String>, space: impl Into<String>) -> Self {
        Self::Named {
            org: org.into(),
            space: space.into(),
        }
    }

    /// A space by its GUID.
    pub fn guid(guid: impl Into<String>) -> Self {
        Self::Guid(guid.into())
    }
}

impl Push {
    /// Pushes all apps of a manifest.
    pub fn new(client: Client, space: PushSpace, manifest: Manifest) -> Self {
        Self {
            client,
            space,
            manifest,
            overrides: Overrides::default(),
            docker_password: None,
        }
    }

    /// Changes the manifest before it is applied, and how apps are started.
    #[must_use]
    pub fn overrides(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// The password for Docker images whose manifest has a `username`.
    #[must_use]
    pub fn docker_password(self, password: SecretString) -> Self {
        let docker_password = Some(password);
        Self {
            docker_password,
            ..self
        }
    }

    /// Computes what the push changes in the properties of the apps. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`PushError`] if the overrides do not fit the manifest, or if the Cloud
    /// Controller refuses the manifest.
    pub async fn plan(&self) -> Result<PushPlan, PushError> {
        if self.client.dialect() == Dialect::Documented2017 {
            return Err(PushError::NeedsV3);
        }
        let manifest = self.manifest.clone().transform(&self.overrides)?;
        let scaled = manifest.clone().scaled(&self.overrides)?;
        let space = match &self.space {
            PushSpace::Guid(guid) => guid.clone(),
            PushSpace::Named { org, space } => find_space(&self.client, org, space).await?,
        };
        let diff = diff(&self.client, &space, &scaled).await?;
        Ok(PushPlan {
            client: self.client.clone(),
            manifest,
            scaled,
            overrides: self.overrides.clone(),
            docker_password: self.docker_password.clone(),
            space,
            diff,
        })
    }

    /// Pushes the apps: [`Push::plan`], then [`PushPlan::apply`].
    ///
    /// # Errors
    /// [`PushError`] if no app could be pushed. Errors of single apps are in the
    /// [`PushOutcome`].
    pub async fn run(&self) -> Result<PushOutcome, PushError> {
        self.plan().await?.apply().await
    }
}

/// A push and the changes that it makes, made by [`Push::plan`].
#[derive(Clone)]
pub struct PushPlan {
    client: Client,
    /// The manifest to apply.
    manifest: Manifest,
    /// The manifest after a deployment has scaled the app; the same without one.
    scaled: Manifest,
    overrides: Overrides,
    docker_password: Option<SecretString>,
    /// The space's GUID.
    space: String,
    diff: ManifestDiff,
}

impl fmt::Debug for PushPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushPlan")
            .field("client", &self.client)
            .field("space", &self.space)
            .field("manifest", &self.manifest)
            .field("diff", &self.diff)
            .finish_non_exhaustive()
    }
}

impl PushPlan {
    /// The changes to the properties of the apps. Bits are not compared.
    pub fn diff(&self) -> &ManifestDiff {
        &self.diff
    }

    /// The manifest with all overrides, which [`PushPlan::diff`] refers to.
    #[expect(
        clippy::misnamed_getters,
        reason = "what a deployment scales is part of the difference"
    )]
    pub fn manifest(&self) -> &Manifest {
        &self.scaled
    }

    /// Applies the manifest, and brings each app from its source to running
    /// instances.
    ///
    /// New apps are deleted again if the Cloud Controller refuses the manifest, or
    /// if a quota keeps them from starting.
    ///
    /// # Errors
    /// [`PushError`] if no app could be pushed. Errors of single apps are in the
    /// [`PushOutcome`].
    pub async fn apply(&self) -> Result<PushOutcome, PushError> {
        let sources = self.read_sources().await?;
        let pusher = Pusher::new(self, &sources);
        pusher.apply_manifest().await?;
        let apps = pusher.push_apps().await?;
        let mut urls = self.urls(&apps).await?;
        let mut outcome = PushOutcome::default();
        for mut app in apps {
            let guid = app.outcome.guid.as_ref();
            app.outcome.urls = guid.and_then(|it| urls.remove(it));
            outcome.apps.push(app.outcome);
            outcome.failures.extend(app.failure);
        }
        Ok(outcome)
    }

    /// The URLs of the pushed apps by GUID, if the user cannot know them.
    async fn urls(&self, apps: &[PushedJob]) -> Result<HashMap<String, Vec<String>>, Error> {
        if self.diff.new_apps().is_empty() && !self.overrides.random_route {
            return Ok(HashMap::new());
        }
        let pushed = apps.iter().map(|app| &app.outcome);
        let pushed = pushed.filter(|app| app.result == PushResult::Pushed);
        let guids: Vec<&str> = pushed.filter_map(|app| app.guid.as_deref()).collect();
        match urls_of(&self.client, &guids).await {
            Err(Error::Interrupted) => Ok(HashMap::new()),
            urls => urls,
        }
    }

    /// Reads the bits of all apps on a thread for blocking work.
    async fn read_sources(&self) -> Result<Vec<AppSource>, PushError> {
        let manifest = self.manifest.clone();
        let droplet = self.overrides.droplet.clone();
        let password = self.docker_password.clone();
        let read = tokio::task::spawn_blocking(move || {
            read_sources(&manifest, droplet.as_deref(), password.as_ref())
        });
        let read = self.client.unless_interrupted(read).await?;
        read.map_err(|error| Error::Local {
            what: "reading the bits".to_owned(),
            reason: error.to_string(),
        })?
    }

    fn names(&self) -> Vec<String> {
        names(&self.manifest)
    }
}

/// The GUID of a space.
async fn find_space(client: &Client, org: &str, space: &str) -> Result<String, Error> {
    match client.space_of_org_named(org, space).await? {
        Some(space) => Ok(space.guid),
        None => Err(Error::Local {
            what: format!("space {space} in org {org}"),
            reason: "not found, or not visible to the user".to_owned(),
        }),
    }
}

/// The URLs of the routes of some apps, by the app's GUID.
async fn urls_of(client: &Client, apps: &[&str]) -> Result<HashMap<String, Vec<String>>, Error> {
    let mut urls: HashMap<String, Vec<String>> = HashMap::new();
    for route in client.routes_of_apps(apps).await? {
        for destination in &route.destinations {
            let of_app = urls.entry(destination.app.clone()).or_default();
            if !of_app.contains(&route.url) {
                of_app.push(route.url.clone());
            }
        }
    }
    Ok(urls)
}

fn names(manifest: &Manifest) -> Vec<String> {
    let apps = manifest.applications().iter();
    apps.map(|app| app.name().to_owned()).collect()
}

async fn existing_apps(
    client: &Client,
    space: &str,
    names: &[String],
) -> Result<HashMap<String, App>, Error> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = client.apps_named(space, &names).await?;
    let found = found.into_iter().map(|app| (app.name.clone(), app));
    Ok(found.collect())
}

/// The changes to the properties of the apps, from the Cloud Controller or, if it
/// cannot compute them, from the apps' current manifests.
async fn diff(client: &Client, space: &str, manifest: &Manifest) -> Result<ManifestDiff, Error> {
    // Not repeated where it fails: the manifests of the apps are as good.
    let rendered = manifest.render();
    match client.manifest_diff(space, &rendered, Replay::Unsafe).await {
        Ok(entries) => return Ok(reported_diff(entries)),
        Err(error) if error.is_missing_operation() => {}
        Err(error) => return Err(error),
    }
    let names = names(manifest);
    let existing = existing_apps(client, space, &names).await?;
    let mut current: Vec<Option<Value>> = Vec::new();
    for name in names {
        current.push(match existing.get(&name) {
            Some(app) => Some(current_manifest(client, app).await?),
            None => None,
        });
    }
    Ok(ManifestDiff::between(&manifest.to_value(), &current))
}

fn reported_diff(entries: Vec<DiffEntry>) -> ManifestDiff {
    let mut diff = ManifestDiff::default();
    for entry in entries {
        let (was, now) = (value_of(entry.was), value_of(entry.value));
        match entry.op {
            DiffOp::Add | DiffOp::Move => diff.add(entry.path, now),
            DiffOp::Replace => diff.replace(entry.path, was, now),
            DiffOp::Remove => diff.remove(entry.path, was),
        }
    }
    diff
}

fn value_of(value: ManifestValue) -> Value {
    match value {
        ManifestValue::Null => Value::Null,
        ManifestValue::Bool(is) => Value::Bool(is),
        ManifestValue::Int(number) => Value::Int(number),
        ManifestValue::Float(number) => Value::Float(number),
        ManifestValue::Text(text) => Value::Text(text),
        ManifestValue::List(items) => Value::List(items.into_iter().map(value_of).collect()),
        ManifestValue::Map(pairs) => {
            let pairs = pairs.into_iter();
            Value::Map(
                pairs
                    .map(|(key, value)| (key.as_str().into(), value_of(value)))
                    .collect(),
            )
        }
    }
}

/// The manifest of an app as it is.
async fn current_manifest(client: &Client, app: &App) -> Result<Value, Error> {
    let text = client.app_manifest(&app.guid).await?;
    Value::parse(&text).map_err(|error| Error::Local {
        what: format!("reading the current manifest of {}", app.name),
        reason: error.to_string(),
    })
}

/// A push that is being applied.
struct Pusher<'a> {
    client: &'a Client,
    plan: &'a PushPlan,
    overrides: &'a Overrides,
    sources: &'a [AppSource],
    packages: BatchPoll<Packages>,
    builds: BatchPoll<Builds>,
    running: BatchPoll<RunningApps>,
    /// Zips are written one at a time, to limit the use of memory.
    zipping: Semaphore,
    /// The steps that were started, with the app's name.
    steps: Mutex<Vec<(String, PushStep)>>,
    /// The number of apps that were pushed.
    done: AtomicUsize,
    /// The number of apps that could not be pushed.
    failed: AtomicUsize,
}

/// An app that was pushed, or could not be.
struct PushedJob {
    outcome: PushedApp,
    failure: Option<PushFailure>,
}

impl<'a> Pusher<'a> {
    fn new(plan: &'a PushPlan, sources: &'a [AppSource]) -> Self {
        let web_only = plan.overrides.no_wait;
        Self {
            client: &plan.client,
            plan,
            overrides: &plan.overrides,
            sources,
            packages: BatchPoll::new(Packages),
            builds: BatchPoll::new(Builds),
            running: BatchPoll::new(RunningApps { web_only }),
            zipping: Semaphore::new(1),
            steps: Mutex::default(),
            done: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        }
    }

    /// Applies the manifest to all apps in one request. If the Cloud Controller
    /// refuses it, the apps that it has created for it are deleted.
    async fn apply_manifest(&self) -> Result<(), Error> {
        let manifest = self.plan.manifest.render();
        let (what, space) = ("applying the manifest", &self.plan.space);
        // Not repeated where it may have been accepted: two jobs would race.
        let applied = self
            .client
            .apply_manifest(what, space, &manifest, Replay::Unsafe);
        let outcome = applied.await;
        // Without a definite refusal, the manifest may have been applied.
        let refused = match &outcome {
            Err(error) => error.is_failed_work() || error.is_client_error(),
            Ok(()) => false,
        };
        if refused && let Err(error) = self.delete_new_apps().await {
            self.warn(format!("new apps may be left over: {error}"));
        }
        outcome
    }

    /// Deletes the apps that did not exist before this push, unless someone else
    /// uses them.
    async fn delete_new_apps(&self) -> Result<(), Error> {
        let names = self.plan.names();
        let new = self.plan.diff.new_apps().into_iter();
        let new: Vec<&String> = new.filter_map(|at| names.get(at)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let existing = self.existing_apps().await?;
        for app in new.into_iter().filter_map(|name| existing.get(name)) {
            self.discard(app, None).await;
        }
        Ok(())
    }

    /// Deletes an app that this push has created, unless someone else uses it.
    async fn discard(&self, app: &App, package: Option<&str>) {
        let routes = self.named_routes();
        let name = &app.name;
        self.warn(
            match discard::delete_new(self.client, app, package, &routes).await {
                Ok(true) => format!("{name} was created by this push and was deleted again"),
                Ok(false) => format!("{name} is in use now and was kept"),
                Err(error) => {
                    format!("{name} was created by this push and could not be deleted: {error}")
                }
            },
        );
    }

    fn warn(&self, text: String) {
        self.client.events().emit(Event::Warning(text));
    }

    /// Takes each app from its source to running instances, in parallel. A new app
    /// that cannot start because of a quota is deleted again.
    async fn push_apps(&self) -> Result<Vec<PushedJob>, Error> {
        let new = self.plan.diff.new_apps();
        let mut existing = self.existing_apps().await?;
        let names = self.plan.names();
        let apps: Vec<Option<App>> = names.iter().map(|it| existing.remove(it)).collect();
        let packages = self.reusable(&apps).await?;
        let known = self.known(&apps, &packages).await?;
        let jobs = names.into_iter().zip(self.sources).zip(apps);
        let jobs = jobs.enumerate().map(|(at, ((name, source), app))| {
            let is_new = new.contains(&at);
            let package = app.as_ref().and_then(|app| packages.get(&app.guid));
            self.push_one(name, app, is_new, source, package, &known)
        });
        // Collected first: a stream of the iterator, with its closure over borrowed
        // values, would not be `Send`.
        let jobs: Vec<_> = jobs.collect();
        let (phase, total) = (Phase::Push, jobs.len());
        let events = self.client.events();
        events.emit(Event::PhaseStarted { phase, total });
        let all = stream::iter(jobs).buffered(self.client.concurrency());
        let pushed = tokio::select! {
            pushed = all.collect() => pushed,
            never = self.packages.run(self.client) => match never {},
            never = self.builds.run(self.client) => match never {},
            never = self.running.run(self.client) => match never {},
        };
        events.emit(Event::PhaseEnded { phase });
        Ok(pushed)
    }

    async fn push_one(
        &self,
        name: String,
        app: Option<App>,
        is_new: bool,
        source: &AppSource,
        package: Option<&String>,
        known: &Known,
    ) -> PushedJob {
        let mut outcome = PushedApp {
            guid: app.as_ref().map(|app| app.guid.clone()),
            result: PushResult::Pushed,
            steps: Vec::new(),
            state: None,
            deployment_paused: false,
            urls: None,
            processes: Vec::new(),
            name,
        };
        let result = match &app {
            Some(app) => {
                let target = format!("app {}", app.name);
                let context = StepContext::in_phase(Some(Phase::Push), target, "pushing");
                let pushed = self.push_app(app, source, package, known);
                self.client.events().step(context, pushed).await
            }
            None => Err(vanished(&outcome.name)),
        };
        self.count(result.is_ok());
        outcome.steps = self.steps_of(&outcome.name);
        let mut failure = None;
        match result {
            Ok(run) => {
                outcome.state = Some(run.state);
                outcome.deployment_paused = run.is_paused;
                outcome.processes = run.processes.iter().map(ProcessStatus::of).collect();
            }
            Err(error) if error.error.is_interrupted() => {
                outcome.result = PushResult::Interrupted;
            }
            Err(error) => {
                if is_new
                    && error.is_over_quota()
                    && let Some(app) = &app
                {
                    self.discard(app, error.package.as_deref()).await;
                }
                outcome.result = PushResult::Failed;
                failure = Some(error);
            }
        }
        PushedJob { outcome, failure }
    }

    /// Counts an app that was pushed, or could not be.
    fn count(&self, is_pushed: bool) {
        let counter = if is_pushed { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.client.events().emit(Event::PhaseProgress {
            phase: Phase::Push,
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        });
    }

    /// The routes in the manifest, which may have existed before this push.
    fn named_routes(&self) -> Vec<String> {
        let apps = self.plan.manifest.applications().iter();
        let routes = apps.filter_map(|app| app.get("routes")?.as_list());
        let routes = routes.flatten().filter_map(|route| {
            let route = route.as_map()?.get("route")?.as_text()?;
            Some(route.rsplit("://").next().unwrap_or(route).to_owned())
        });
        routes.collect()
    }

    async fn existing_apps(&self) -> Result<HashMap<String, App>, Error> {
        existing_apps(self.client, &self.plan.space, &self.plan.names()).await
    }

    /// The packages with the same bits, by app. Only the newest package of an app
    /// counts, and only if the app has a droplet. With `no_start` there are none:
    /// the next start must find a package that is not staged yet.
    async fn reusable(&self, apps: &[Option<App>]) -> Result<HashMap<String, String>, Error> {
        if self.overrides.no_start && !self.overrides.task {
            return Ok(HashMap::new());
        }
        let staged = apps.iter().zip(self.sources);
        let staged: HashMap<&str, &str> = staged
            .filter_map(|(app, source)| match (app, source) {
                (Some(app), AppSource::Bits(packed)) if app.current_droplet.is_some() => {
                    Some((app.guid.as_str(), packed.bits.sha256()))
                }
                _ => None,
            })
            .collect();
        let mut guids: Vec<&str> = staged.keys().copied().collect();
        guids.sort_unstable();
        let mut newest: HashMap<String, Package> = HashMap::new();
        for package in self.client.ready_packages(&guids).await? {
            newest.entry(package.app.clone()).or_insert(package);
        }
        let same = |package: &Package| {
            package.bits.as_deref() == staged.get(package.app.as_str()).copied()
        };
        let reusable = newest.into_values().filter(same);
        Ok(reusable
            .map(|package| (package.app, package.guid))
            .collect())
    }

    /// The files to upload that the Cloud Controller already has.
    async fn known(
        &self,
        apps: &[Option<App>],
        packages: &HashMap<String, String>,
    ) -> Result<Known, Error> {
        let sent = apps.iter().zip(self.sources).filter_map(|(app, source)| {
            let app = app.as_ref()?;
            match source {
                AppSource::Bits(packed) if !packages.contains_key(&app.guid) => Some(&packed.bits),
                _ => None,
            }
        });
        let sent: Vec<&bits::Bits> = sent.collect();
        upload::match_resources(self.client, &sent).await
    }

    fn start_step(&self, app: &App, step: PushStep) {
        if let Ok(mut steps) = self.steps.lock() {
            steps.push((app.name.clone(), step));
        }
        self.client.events().emit(Event::Push {
            app: app.name.clone(),
            step,
        });
    }

    fn steps_of(&self, name: &str) -> Vec<PushStep> {
        let Ok(steps) = self.steps.lock() else {
            return Vec::new();
        };
        let steps = steps.iter().filter(|(app, _)| app == name);
        steps.map(|(_, step)| *step).collect()
    }
}

fn vanished(name: &str) -> PushFailure {
    PushFailure {
        app: name.to_owned(),
        step: "finding",
        error: Error::Gone {
            what: format!("finding the app {name}"),
        },
        log: Vec::new(),
        package: None,
    }
}

//! Carries out a push.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt};
use tokio::sync::Semaphore;

use super::app_source::AppSource;
use super::cleanup::Cleanup;
use super::logs::StagingLogs;
use super::upload::{self, KnownFiles};
use super::{ProcessStatus, PushFailure, PushPlan, PushResult, PushedApp, bits, lowercase, plan};
use crate::capi::batch_poll::{BatchPoll, Builds, Packages, RunningApps};
use crate::capi::client::Client;
use crate::capi::error::{Error, STAGING_IN_PROGRESS};
use crate::capi::model::{App, Package};
use crate::capi::poll;
use crate::events::{Event, Phase, PushStep, StepContext};
use crate::manifest::Overrides;

/// A push in progress.
pub(super) struct Pusher<'a> {
    pub(super) client: &'a Client,
    pub(super) plan: &'a PushPlan,
    pub(super) overrides: &'a Overrides,
    sources: &'a [AppSource],
    cleanup: Cleanup<'a>,
    pub(super) packages: BatchPoll<Packages>,
    pub(super) builds: BatchPoll<Builds>,
    pub(super) running: BatchPoll<RunningApps>,
    pub(super) logs: StagingLogs,
    /// Zips are written one at a time, to limit memory use.
    pub(super) zipping: Semaphore,
    /// The steps that were started, with the app's name.
    steps: Mutex<Vec<(String, PushStep)>>,
    /// The number of pushed apps.
    done: AtomicUsize,
    /// The number of failed apps.
    failed: AtomicUsize,
}

/// A pushed or failed app.
pub(super) struct PushedJob {
    pub(super) outcome: PushedApp,
    pub(super) failure: Option<PushFailure>,
}

impl<'a> Pusher<'a> {
    /// Prepares a push without changing anything.
    pub(super) async fn prepare(
        plan: &'a PushPlan,
        sources: &'a [AppSource],
    ) -> Result<Self, Error> {
        let web_only = plan.overrides.no_wait;
        let (staging, startup) = (plan.timeouts.staging, plan.timeouts.startup);
        Ok(Self {
            client: &plan.client,
            plan,
            overrides: &plan.overrides,
            sources,
            cleanup: Cleanup::prepare(
                &plan.client,
                "push",
                &plan.space,
                &plan.manifest,
                &plan.new_apps().collect::<Vec<_>>(),
            )
            .await?,
            packages: BatchPoll::new(Packages),
            builds: BatchPoll::new(Builds {
                first_pause: poll::SLOW,
            })
            .timeout(staging),
            running: BatchPoll::new(RunningApps { web_only }).timeout(startup),
            logs: StagingLogs::new(),
            zipping: Semaphore::new(1),
            steps: Mutex::default(),
            done: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        })
    }

    /// Applies the manifest to all apps. If the Cloud Controller refuses it, deletes the
    /// apps and routes that it created.
    pub(super) async fn apply_manifest(&self) -> Result<(), Error> {
        let manifest = &self.plan.manifest;
        self.cleanup.apply("applying the manifest", manifest).await
    }

    /// Pushes all apps in parallel, from their sources to running instances. A new app
    /// that the Cloud Controller refuses to stage or start is deleted again.
    pub(super) async fn push_apps(&self) -> Result<Vec<PushedJob>, Error> {
        let mut existing = self.existing_apps().await?;
        let apps = self.plan.manifest.applications().iter();
        let names: Vec<String> = apps.map(|app| app.name().to_owned()).collect();
        let apps: Vec<Option<App>> = names
            .iter()
            .map(|name| existing.remove(&lowercase(name)))
            .collect();
        let packages = self.reusable(&apps).await?;
        let known = self.known(&apps, &packages).await?;
        let jobs = names.into_iter().zip(self.sources).zip(apps);
        let jobs = jobs.enumerate().map(|(at, ((name, source), app))| {
            let changes = self.plan.diff.changes_app(at);
            let package = app.as_ref().and_then(|app| packages.get(&app.guid));
            self.push_one(name, changes, app, source, package, &known)
        });
        // The jobs are collected first, because a stream of the iterator, with its
        // closure over borrowed values, would not be `Send`.
        let jobs: Vec<_> = jobs.collect();
        let (phase, total) = (Phase::Push, jobs.len());
        let events = self.client.events();
        events.emit(Event::PhaseStarted { phase, total });
        let all = stream::iter(jobs).buffered(self.client.concurrency());
        let pushed = async {
            tokio::select! {
                pushed = all.collect() => pushed,
                never = self.packages.run(self.client) => match never {},
                never = self.builds.run(self.client) => match never {},
                never = self.running.run(self.client) => match never {},
            }
        };
        let mut pushed: Vec<PushedJob> = self.logs.follow_during(self.client, pushed).await;
        let failures = pushed.iter_mut().filter_map(|it| it.failure.as_mut());
        for failure in failures.filter(|failure| failure.step == super::app::STAGING) {
            failure.log = self.logs.last(&failure.app);
        }
        events.emit(Event::PhaseEnded { phase });
        Ok(pushed)
    }

    async fn push_one(
        &self,
        name: String,
        changes: bool,
        app: Option<App>,
        source: &AppSource,
        package: Option<&String>,
        known: &KnownFiles,
    ) -> PushedJob {
        let mut outcome = PushedApp {
            guid: app.as_ref().map(|app| app.guid.clone()),
            result: PushResult::Pushed,
            changes,
            steps: Vec::new(),
            state: None,
            deployment_paused: false,
            urls: Vec::new(),
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
            None => Err(app_deleted_meanwhile(&outcome.name)),
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
                if let Some(app) = &app
                    && self.cleanup.is_new(app)
                    && is_refused(&error.error)
                {
                    self.cleanup.delete_app(app, error.package.as_deref()).await;
                }
                outcome.result = PushResult::Failed;
                failure = Some(error);
            }
        }
        PushedJob { outcome, failure }
    }

    /// Counts an app that was pushed or failed. An interrupted app counts as neither.
    fn count(&self, is_pushed: bool) {
        if !is_pushed && self.client.is_interrupted() {
            return;
        }
        let counter = if is_pushed { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.client.events().emit(Event::PhaseProgress {
            phase: Phase::Push,
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        });
    }

    async fn existing_apps(&self) -> Result<HashMap<String, App>, Error> {
        plan::existing_apps(self.client, &self.plan.space, &self.plan.manifest).await
    }

    /// The packages with the same bits, by app. Only the newest package of an app is
    /// used, and only if the app has a droplet. With `no_start`, no package is reused,
    /// because the next start needs a package that has not been staged.
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
    ) -> Result<KnownFiles, Error> {
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

    pub(super) fn start_step(&self, app: &App, step: PushStep) {
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

/// Whether the Cloud Controller refused a step of an app. Another staging of the app is
/// not a refusal, because someone uses the app.
fn is_refused(error: &Error) -> bool {
    error.is_refused_work() && !error.has_code(STAGING_IN_PROGRESS)
}

fn app_deleted_meanwhile(name: &str) -> PushFailure {
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

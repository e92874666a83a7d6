//! Creates the clones: applies their manifest, copies the droplet, and starts them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::join_all;
use futures::stream::{self, StreamExt};

use super::prepare::{ClonePlan, NewClone};
use super::{CloneError, CloneFailure, CloneOutcome, CloneResult, ClonedApp, Cloner};
use crate::capi::batch_poll::{BatchPoll, Droplets, RunningApps};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{App, CLONE_ANNOTATION, Destination, Process, Route};
use crate::capi::transport::Replay;
use crate::events::{AppMilestone, Event, Phase, StepContext};
use crate::manifest::Manifest;
use crate::manifest::entry::route_text;
use crate::push::cleanup::Cleanup;
use crate::push::{AppState, ProcessStatus, lowercase, urls_of};

/// A run that creates clones.
struct CloneRun<'a> {
    client: &'a Client,
    prepared: &'a ClonePlan,
    starts: bool,
    cleanup: Cleanup<'a>,
    copies: BatchPoll<Droplets>,
    running: BatchPoll<RunningApps>,
    /// Whether the foundation accepts deployments. True until it refuses one.
    deploys: AtomicBool,
    done: AtomicUsize,
    failed: AtomicUsize,
}

/// A clone with the reason why it could not be finished, if any.
struct CloneState {
    app: ClonedApp,
    failure: Option<CloneFailure>,
}

impl Cloner {
    pub(super) async fn create(&self, prepared: ClonePlan) -> Result<CloneOutcome, CloneError> {
        let (client, prepared) = (&self.client, &prepared);
        let names = prepared.clones.iter();
        let names: Vec<&str> = names.map(|clone| clone.name.as_str()).collect();
        let (space, manifest) = (&prepared.space, &prepared.manifest);
        let cleanup = Cleanup::prepare(client, "run", space, manifest, &names);
        let cloning = CloneRun {
            client,
            prepared,
            starts: self.starts,
            cleanup: cleanup.await?,
            copies: BatchPoll::new(Droplets),
            running: BatchPoll::new(RunningApps { web_only: false }),
            deploys: AtomicBool::new(true),
            done: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        };
        cloning.apply_manifest().await?;
        let mut clones = cloning.create_all().await?;
        cloning.await_instances(&mut clones).await;
        cloning.describe(&mut clones).await;
        cloning.finish(&mut clones).await;
        let mut outcome = CloneOutcome::default();
        for clone in clones {
            outcome.apps.push(clone.app);
            outcome.failures.extend(clone.failure);
        }
        Ok(outcome)
    }
}

/// Routes of the target space.
#[derive(Default)]
struct OtherRoutes {
    /// The GUIDs of all routes, by URL.
    by_url: HashMap<String, String>,
    with_ports: Vec<Route>,
    /// The routes with ports that an interrupted run created for clones of the same source
    /// and did not map.
    unused: Mutex<Vec<Route>>,
}

impl OtherRoutes {
    fn of(routes: Vec<Route>, source: &str) -> Self {
        let by_url = routes.iter();
        let by_url = by_url.map(|route| (route_text(&route.url), route.guid.clone()));
        let by_url = by_url.collect();
        let with_ports = routes.into_iter().filter(|route| route.port.is_some());
        let (mapped, unmapped): (Vec<Route>, Vec<Route>) =
            with_ports.partition(|route| !route.destinations.is_empty());
        let is_ours = |route: &Route| route.clone_of.as_deref() == Some(source);
        Self {
            by_url,
            with_ports: mapped,
            unused: Mutex::new(unmapped.into_iter().filter(is_ours).collect()),
        }
    }

    /// The routes with ports that lead only to this app.
    fn with_ports_of(&self, app: &App) -> Vec<&Route> {
        let routes = self.with_ports.iter();
        let of_app = routes.filter(|route| route.destinations.iter().all(|it| it.app == app.guid));
        of_app.collect()
    }

    /// Takes an unused route in a domain and returns its GUID.
    fn take_unused(&self, domain: &str) -> Option<String> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let at = unused.iter().position(|route| route.domain == domain)?;
        Some(unused.swap_remove(at).guid)
    }
}

impl NewClone {
    /// Whether an interrupted run has already started it.
    fn is_started(&self) -> bool {
        let Some(app) = &self.leftover else {
            return false;
        };
        app.is_started && self.copy.is_some() && app.current_droplet == self.copy
    }
}

impl CloneRun<'_> {
    /// Applies the manifest to all clones that were not started. If the Cloud Controller
    /// refuses it, deletes the apps and routes that it created.
    async fn apply_manifest(&self) -> Result<(), Error> {
        let left = self.prepared.clones.iter();
        let left = left.zip(self.prepared.manifest.applications());
        let left = left.filter(|(clone, _)| !clone.is_started());
        let left: Vec<_> = left.map(|(_, app)| app.clone()).collect();
        let Some(manifest) = self.prepared.manifest.with_applications(left) else {
            return Ok(());
        };
        let what = "applying the manifest of the clones";
        self.cleanup.apply(what, &manifest).await
    }

    /// The clones by their names in lower case.
    async fn existing(&self) -> Result<BTreeMap<String, App>, Error> {
        let names = self.prepared.clones.iter();
        let names: Vec<&str> = names.map(|clone| clone.name.as_str()).collect();
        let found = self.client.apps_named(&self.prepared.space, &names).await?;
        let found = found.into_iter().map(|app| (lowercase(&app.name), app));
        Ok(found.collect())
    }

    /// Gives each clone its droplet and starts it, in parallel.
    async fn create_all(&self) -> Result<Vec<CloneState>, Error> {
        let mut existing = self.existing().await?;
        let routes = &self.routes_to_map(&existing).await?;
        let clones = self.prepared.clones.iter();
        let clones = clones.map(|clone| {
            let app = existing.remove(&lowercase(&clone.name));
            self.create_one(clone, app, routes)
        });
        // The clones are collected first, so that the future is `Send`.
        let clones: Vec<_> = clones.collect();
        let (phase, total) = (Phase::Clones, clones.len());
        let events = self.client.events();
        events.emit(Event::PhaseStarted { phase, total });
        let all = stream::iter(clones).buffered(self.client.concurrency());
        let created = tokio::select! {
            created = all.collect::<Vec<_>>() => created,
            never = self.copies.run(self.client) => match never {},
        };
        events.emit(Event::PhaseEnded { phase });
        Ok(created)
    }

    /// The routes that clones may get in addition to the routes that a manifest maps.
    async fn routes_to_map(&self, existing: &BTreeMap<String, App>) -> Result<OtherRoutes, Error> {
        let prepared = self.prepared;
        if !prepared.tcp_routes.is_empty() {
            let routes = self.client.routes_of_spaces(&[&prepared.space]).await?;
            return Ok(OtherRoutes::of(routes, &prepared.source));
        }
        let mut clones = prepared.clones.iter();
        if clones.all(|clone| clone.destinations.is_empty()) {
            return Ok(OtherRoutes::default());
        }
        let apps: Vec<&str> = existing.values().map(|app| app.guid.as_str()).collect();
        let routes = self.client.routes_of_apps(&apps).await?;
        Ok(OtherRoutes::of(routes, &prepared.source))
    }

    async fn create_one(
        &self,
        clone: &NewClone,
        app: Option<App>,
        routes: &OtherRoutes,
    ) -> CloneState {
        let mut step = "finding";
        let created = match &app {
            Some(app) => {
                self.reached(clone, AppMilestone::Created);
                let target = format!("app {}", clone.name);
                let context = StepContext::in_phase(Some(Phase::Clones), target, "cloning");
                let created = async {
                    self.map_routes(clone, app, routes, &mut step).await?;
                    self.map_ports(clone, app, routes, &mut step).await?;
                    self.deploy_droplet(clone, app, &mut step).await
                };
                self.client.events().step(context, created).await
            }
            None => Err(Error::Gone {
                what: format!("finding the app {}", clone.name),
            }),
        };
        if let (Err(error), Some(app)) = (&created, &app)
            && error.is_refused_work()
        {
            self.cleanup.delete_app(app, None).await;
        }
        self.count(Phase::Clones, created.is_ok());
        let mut progressed = CloneState {
            app: ClonedApp {
                name: clone.name.clone(),
                guid: app.map(|app| app.guid),
                result: CloneResult::Cloned,
                state: Some(match self.starts {
                    true => AppState::Started,
                    false => AppState::Stopped,
                }),
                urls: Vec::new(),
                processes: Vec::new(),
            },
            failure: None,
        };
        if let Err(error) = created {
            progressed.fail(step, error);
        }
        progressed
    }

    /// Maps the routes of a clone to the same ports and processes as the source's routes.
    async fn map_routes(
        &self,
        clone: &NewClone,
        app: &App,
        routes: &OtherRoutes,
        step: &mut &'static str,
    ) -> Result<(), Error> {
        if clone.is_started() {
            return Ok(());
        }
        *step = "mapping the routes of";
        for (url, destinations) in &clone.destinations {
            let Some(route) = routes.by_url.get(url) else {
                let what = format!("finding the route {url}");
                return Err(Error::Gone { what });
            };
            let destinations = destinations.iter().map(|destination| Destination {
                app: app.guid.clone(),
                ..destination.clone()
            });
            let destinations: Vec<Destination> = destinations.collect();
            self.client.set_destinations(route, &destinations).await?;
        }
        Ok(())
    }

    /// Creates a TCP route of a clone for each TCP route of its source, on a free port of
    /// the same domain.
    async fn map_ports(
        &self,
        clone: &NewClone,
        app: &App,
        routes: &OtherRoutes,
        step: &mut &'static str,
    ) -> Result<(), Error> {
        if clone.is_started() {
            return Ok(());
        }
        *step = "creating the TCP routes of";
        let mut mapped = routes.with_ports_of(app);
        for route in &self.prepared.tcp_routes {
            let destinations = route.of_clone(app);
            let is_it = |it: &&Route| {
                it.domain == route.domain
                    && destinations.iter().all(|to| it.destinations.contains(to))
            };
            if let Some(at) = mapped.iter().position(is_it) {
                mapped.swap_remove(at);
                continue;
            }
            let guid = match routes.take_unused(&route.domain) {
                Some(guid) => guid,
                None => {
                    let (space, source) = (&self.prepared.space, &self.prepared.source);
                    self.client
                        .create_route_with_port(&route.domain, space, source)
                        .await?
                }
            };
            self.client.set_destinations(&guid, &destinations).await?;
        }
        Ok(())
    }

    /// Copies the source's droplet to a clone, sets it, and starts the clone. `step`
    /// becomes the name of the last step.
    async fn deploy_droplet(
        &self,
        clone: &NewClone,
        app: &App,
        step: &mut &'static str,
    ) -> Result<(), Error> {
        let Some(source) = &self.prepared.droplet else {
            return Ok(());
        };
        if clone.is_started() {
            return Ok(());
        }
        *step = "copying the droplet to";
        let copy = match &clone.copy {
            Some(copy) => copy.clone(),
            None => self.client.copy_droplet(&source.guid, &app.guid).await?,
        };
        if app.current_droplet.as_ref() != Some(&copy) {
            let what = format!("copying the droplet to {}", clone.name);
            self.copies.wait_for(&copy, what).await?;
        }
        self.reached(clone, AppMilestone::DropletReady);
        if !self.starts {
            *step = "setting the droplet of";
            if app.current_droplet.as_ref() != Some(&copy) {
                self.client.set_current_droplet(&app.guid, &copy).await?;
            }
            return Ok(());
        }
        *step = "starting";
        let (client, deploys) = (self.client, &self.deploys);
        if app.is_started {
            client.set_current_droplet(&app.guid, &copy).await?;
            client.restart_app(&app.guid).await?;
        } else {
            client.start_with_droplet(&app.guid, &copy, deploys).await?;
        }
        self.reached(clone, AppMilestone::Started);
        Ok(())
    }

    /// Waits until an instance of each process of each clone runs.
    async fn await_instances(&self, clones: &mut [CloneState]) {
        let started = clones
            .iter_mut()
            .filter(|clone| self.starts && clone.is_cloned());
        let started: Vec<&mut CloneState> = started.collect();
        let (phase, total) = (Phase::Instances, started.len());
        if total == 0 {
            return;
        }
        let events = self.client.events();
        self.done.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
        events.emit(Event::PhaseStarted { phase, total });
        let waits = started.into_iter().map(|clone| async move {
            let guid = clone.app.guid.clone().unwrap_or_default();
            let what = format!("the start of {}", clone.app.name);
            let running = self.running.wait_for(&guid, what).await;
            self.count(Phase::Instances, running.is_ok());
            match running {
                Ok(processes) => {
                    clone.app.processes = processes.iter().map(ProcessStatus::of).collect();
                    self.client.events().emit(Event::App {
                        name: clone.app.name.clone(),
                        milestone: AppMilestone::Running,
                    });
                }
                Err(error) => clone.fail("starting", error),
            }
        });
        let waits: Vec<_> = waits.collect();
        tokio::select! {
            _ = join_all(waits) => {}
            never = self.running.run(self.client) => match never {},
        }
        events.emit(Event::PhaseEnded { phase });
    }

    /// Reads the URLs of the clones, and the processes that no wait has read. A failure
    /// is a warning.
    async fn describe(&self, clones: &mut [CloneState]) {
        let guids = clones.iter().filter(|clone| clone.is_cloned());
        let guids: Vec<String> = guids.filter_map(|it| it.app.guid.clone()).collect();
        if guids.is_empty() {
            return;
        }
        match self.described(&guids).await {
            Ok((mut urls, mut processes)) => {
                for clone in clones.iter_mut().filter(|clone| clone.is_cloned()) {
                    let guid = clone.app.guid.as_deref().unwrap_or_default();
                    clone.app.urls = urls.remove(guid).unwrap_or_default();
                    clone.app.urls.sort();
                    if let Some(processes) = processes.remove(guid) {
                        clone.app.processes = processes.iter().map(ProcessStatus::of).collect();
                    }
                }
            }
            Err(Error::Interrupted) => {}
            Err(error) => {
                let text = format!("reading the routes and processes failed: {error}");
                self.client.events().emit(Event::Warning(text));
            }
        }
    }

    async fn described(&self, guids: &[String]) -> Result<(Urls, Processes), Error> {
        let all: Vec<&str> = guids.iter().map(String::as_str).collect();
        let urls = urls_of(self.client, &all).await?;
        let mut processes = Processes::new();
        if !self.starts {
            for process in self.client.processes_of_apps(guids).await? {
                processes
                    .entry(process.app.clone())
                    .or_default()
                    .push(process);
            }
        }
        Ok((urls, processes))
    }

    /// Removes the annotation of unfinished clones when all clones are finished. If it
    /// were removed earlier, the same run could not be repeated, because the finished
    /// clones would already exist.
    async fn finish(&self, clones: &mut [CloneState]) {
        if !clones.iter().all(CloneState::is_cloned) {
            return;
        }
        let names = clones.iter().map(|clone| clone.app.name.as_str());
        let manifest = Manifest::without_annotation(names, CLONE_ANNOTATION);
        let (what, space) = ("finishing the clones", &self.prepared.space);
        let mut outcome = Ok(());
        for part in manifest.parts() {
            let applied = self
                .client
                .apply_manifest(what, space, &part.yaml, Replay::Safe);
            outcome = outcome.and(applied.await);
        }
        if let Err(error) = outcome {
            for clone in clones {
                clone.fail("finishing", error.clone());
            }
        }
    }

    fn reached(&self, clone: &NewClone, milestone: AppMilestone) {
        self.client.events().emit(Event::App {
            name: clone.name.clone(),
            milestone,
        });
    }

    /// Counts a clone that finished a phase or failed in it. A clone that was interrupted
    /// counts as neither.
    fn count(&self, phase: Phase, is_done: bool) {
        if !is_done && self.client.is_interrupted() {
            return;
        }
        let counter = if is_done { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.client.events().emit(Event::PhaseProgress {
            phase,
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        });
    }
}

/// The URLs of apps, by the app's GUID.
type Urls = HashMap<String, Vec<String>>;

/// The processes of apps, by the app's GUID.
type Processes = HashMap<String, Vec<Process>>;

impl CloneState {
    fn is_cloned(&self) -> bool {
        self.app.result == CloneResult::Cloned && self.app.guid.is_some()
    }

    fn fail(&mut self, step: &'static str, error: Error) {
        self.app.state = None;
        self.app.result = match error.is_interrupted() {
            true => CloneResult::Interrupted,
            false => CloneResult::Failed,
        };
        self.failure = (!error.is_interrupted()).then(|| CloneFailure {
            app: self.app.name.clone(),
            step,
            error,
        });
    }
}

//! `push`: the apps of a manifest, from source to running.
//!
//! Parse, interpolate and transform are done before ([`crate::manifest`]); here
//! come diff, apply, bits, stage, droplet, start. The apps' bits are read before
//! anything is sent, one request applies the manifest to all of them, and then
//! each goes its way beside the others. Convergence pushes its prototypes with
//! the same [`bits`], [`upload`] and [`stage`].

mod app;
pub(crate) mod bits;
mod logs;
pub(crate) mod origin;
pub(crate) mod source;
pub(crate) mod stage;
pub(crate) mod upload;

use std::collections::HashMap;

use futures::stream::{self, StreamExt};
use tokio::sync::Semaphore;

use crate::capi::apps::{self, App};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::manifests;
use crate::capi::processes::{Process, Running};
use crate::capi::waits::{Stateful, Waits};
use crate::events::{Event, PushStep};
use crate::manifest::Prepared;
use crate::manifest::diff::Diff;
use crate::manifest::yaml::Value;
use origin::Origin;
use upload::Known;

/// Pushes the apps of a manifest to a space.
pub(crate) struct Pusher<'a> {
    client: &'a Client,
    prepared: &'a Prepared,
    origins: &'a [Origin],
    /// The space's GUID.
    space: &'a str,
    packages: Waits<Stateful>,
    builds: Waits<Stateful>,
    running: Waits<Running>,
    /// One zip is made at a time: each takes its memory.
    zipping: Semaphore,
}

/// An app that was pushed, or could not be.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) name: String,
    pub(crate) result: Result<State, Failure>,
}

impl Pushed {
    /// Whether it was not done because nothing more was to be sent.
    pub(crate) fn is_interrupted(&self) -> bool {
        matches!(&self.result, Err(failure) if failure.error.is_interrupted())
    }
}

/// How an app is in the end.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) guid: String,
    pub(crate) is_started: bool,
    /// Whether its deployment is a canary that waits to be told to go on.
    pub(crate) is_paused: bool,
    /// Its processes, where it was waited for them.
    pub(crate) processes: Vec<Process>,
}

/// Why an app could not be pushed.
#[derive(Debug, thiserror::Error)]
#[error("{app}: {step}: {error}")]
pub(crate) struct Failure {
    pub(crate) app: String,
    /// What was being done, such as `staging`.
    pub(crate) step: &'static str,
    #[source]
    pub(crate) error: Error,
    /// The last lines of the log, where staging failed.
    pub(crate) log: Vec<String>,
    /// The package that was made for it, where there is one.
    package: Option<String>,
}

impl Failure {
    /// Whether Cloud Controller does not let the app run, for want of quota.
    fn is_want_of_quota(&self) -> bool {
        self.step == app::STARTING && self.error.is_of_a_quota()
    }
}

impl<'a> Pusher<'a> {
    pub(crate) fn new(
        client: &'a Client,
        prepared: &'a Prepared,
        origins: &'a [Origin],
        space: &'a str,
    ) -> Self {
        let web_only = prepared.flags.no_wait;
        Self {
            client,
            prepared,
            origins,
            space,
            packages: Waits::new(Stateful::Packages),
            builds: Waits::new(Stateful::Builds),
            running: Waits::new(Running::new(web_only)),
            zipping: Semaphore::new(1),
        }
    }

    /// What the push changes in the apps' properties.
    ///
    /// # Errors
    /// [`Error`] where Cloud Controller refuses the manifest, too.
    pub(crate) async fn diff(&self) -> Result<Diff, Error> {
        let manifest = &self.prepared.scaled;
        let diff = manifests::diff(self.client, self.space, &manifest.render()).await?;
        match diff {
            Some(diff) => Ok(diff),
            None => self.compare(&manifest.to_value()).await,
        }
    }

    /// What [`Pusher::diff`] says where Cloud Controller cannot.
    async fn compare(&self, desired: &Value) -> Result<Diff, Error> {
        let there = self.apps().await?;
        let mut current = Vec::new();
        for name in self.names() {
            current.push(match there.get(&name) {
                Some(app) => Some(manifests::of_app(self.client, &app.guid).await?),
                None => None,
            });
        }
        Ok(Diff::between(desired, &current))
    }

    /// Applies the manifest to all apps in one request. Where it is refused, the
    /// apps that Cloud Controller has made for it by then do not stay.
    ///
    /// # Errors
    /// [`Error`], with Cloud Controller's reason and the app's name.
    pub(crate) async fn apply(&self, difference: &Diff) -> Result<(), Error> {
        let manifest = self.prepared.manifest.render();
        let outcome = manifests::apply(self.client, self.space, &manifest).await;
        // After an answer that leaves open what was done, nothing is deleted.
        let refused = match &outcome {
            Err(Error::Failed { .. }) => true,
            Err(error) => error.status().is_some_and(|it| it.is_client_error()),
            Ok(()) => false,
        };
        if refused && let Err(error) = self.delete_new(difference).await {
            let text = format!("what the manifest made may be there still: {error}");
            self.client.events().emit(Event::Warning(text));
        }
        outcome
    }

    /// Deletes the apps that were not there before, and have no life of their own.
    async fn delete_new(&self, difference: &Diff) -> Result<(), Error> {
        let names = self.names();
        let new = difference.new_apps().into_iter();
        let new: Vec<&String> = new.filter_map(|at| names.get(at)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let there = self.apps().await?;
        for app in new.into_iter().filter_map(|name| there.get(name)) {
            self.discard(app, None).await;
        }
        Ok(())
    }

    /// Deletes an app that this push has made, and says so. Where anybody has
    /// begun to use it meanwhile, it stays.
    async fn discard(&self, app: &App, package: Option<&str>) {
        let routes = self.named_routes();
        let text = match apps::delete_new(self.client, app, package, &routes).await {
            Ok(true) => format!("{} was made by this push and is deleted again", app.name),
            Ok(false) => format!("{} is in use meanwhile, and stays", app.name),
            Err(error) => format!("{} was made by this push and stays: {error}", app.name),
        };
        self.client.events().emit(Event::Warning(text));
    }

    /// The URLs of the apps' routes, by the app's GUID.
    pub(crate) async fn routes(
        &self,
        pushed: &[Pushed],
    ) -> Result<HashMap<String, Vec<String>>, Error> {
        let states = pushed.iter().filter_map(|it| it.result.as_ref().ok());
        let guids: Vec<&str> = states.map(|state| state.guid.as_str()).collect();
        apps::routes(self.client, &guids).await
    }

    /// Brings each app from its source to running, beside each other. An app
    /// that was not there before, by `difference`, and that a quota does not let
    /// start does not stay.
    ///
    /// # Errors
    /// [`Error`] where nothing could be begun; what becomes of an app is in its
    /// own result.
    pub(crate) async fn push(&self, difference: &Diff) -> Result<Vec<Pushed>, Error> {
        let new = difference.new_apps();
        let mut there = self.apps().await?;
        let apps: Vec<Option<App>> = self.names().iter().map(|it| there.remove(it)).collect();
        let packages = self.reusable(&apps).await?;
        let known = self.known(&apps, &packages).await?;
        let jobs = self.names().into_iter().zip(self.origins).zip(apps);
        let jobs = jobs.enumerate().map(|(at, ((name, origin), app))| {
            let is_new = new.contains(&at);
            let package = app.as_ref().and_then(|app| packages.get(&app.guid));
            let known = &known;
            async move {
                let result = match &app {
                    Some(app) => self.push_app(app, origin, package, known).await,
                    None => Err(vanished(&name)),
                };
                if let (Some(app), Err(failure), true) = (&app, &result, is_new)
                    && failure.is_want_of_quota()
                {
                    self.discard(app, failure.package.as_deref()).await;
                }
                Pushed { name, result }
            }
        });
        // Collected, so that the closure is not part of this future, which would not
        // be provably `Send` then.
        let jobs: Vec<_> = jobs.collect();
        let all = stream::iter(jobs).buffered(self.client.concurrency());
        tokio::select! {
            pushed = all.collect() => Ok(pushed),
            never = self.packages.serve(self.client) => match never {},
            never = self.builds.serve(self.client) => match never {},
            never = self.running.serve(self.client) => match never {},
        }
    }

    /// The routes that the manifest names: they may have been there before.
    fn named_routes(&self) -> Vec<String> {
        let apps = self.prepared.manifest.applications().iter();
        let routes = apps.filter_map(|app| app.get("routes")?.as_list());
        let routes = routes.flatten().filter_map(|route| {
            let route = route.as_map()?.get("route")?.as_text()?;
            Some(route.rsplit("://").next().unwrap_or(route).to_owned())
        });
        routes.collect()
    }

    fn names(&self) -> Vec<String> {
        let apps = self.prepared.manifest.applications().iter();
        apps.map(|app| app.name().to_owned()).collect()
    }

    async fn apps(&self) -> Result<HashMap<String, App>, Error> {
        let found = apps::named(self.client, self.space, &self.names()).await?;
        Ok(found
            .into_iter()
            .map(|app| (app.name.clone(), app))
            .collect())
    }

    /// The packages that have the same bits already, by app. Only the newest of
    /// an app counts, and only apps that were staged before can have one. Where
    /// nothing is staged now, the next start must find a package to stage.
    async fn reusable(&self, apps: &[Option<App>]) -> Result<HashMap<String, String>, Error> {
        let flags = &self.prepared.flags;
        if flags.no_start && !flags.task {
            return Ok(HashMap::new());
        }
        let staged = apps.iter().zip(self.origins);
        let staged: HashMap<&str, &str> = staged
            .filter_map(|(app, origin)| match (app, origin) {
                (Some(app), Origin::Bits(packed)) if app.has_droplet => {
                    Some((app.guid.as_str(), packed.bits.sha256()))
                }
                _ => None,
            })
            .collect();
        let mut guids: Vec<&str> = staged.keys().copied().collect();
        guids.sort_unstable();
        let mut newest: HashMap<String, apps::Package> = HashMap::new();
        for package in apps::ready_packages(self.client, &guids).await? {
            newest.entry(package.app.clone()).or_insert(package);
        }
        let same = |package: &apps::Package| {
            package.bits.as_deref() == staged.get(package.app.as_str()).copied()
        };
        let reusable = newest.into_values().filter(same);
        Ok(reusable
            .map(|package| (package.app, package.guid))
            .collect())
    }

    /// The files that Cloud Controller has of those that would be sent.
    async fn known(
        &self,
        apps: &[Option<App>],
        packages: &HashMap<String, String>,
    ) -> Result<Known, Error> {
        let sent = apps.iter().zip(self.origins).filter_map(|(app, origin)| {
            let app = app.as_ref()?;
            match origin {
                Origin::Bits(packed) if !packages.contains_key(&app.guid) => Some(&packed.bits),
                _ => None,
            }
        });
        let sent: Vec<&bits::Bits> = sent.collect();
        upload::match_resources(self.client, &sent).await
    }

    fn tell(&self, app: &App, step: PushStep) {
        self.client.events().emit(Event::Push {
            app: app.name.clone(),
            step,
        });
    }
}

fn vanished(name: &str) -> Failure {
    Failure {
        app: name.to_owned(),
        step: "finding it",
        error: Error::Local {
            what: "the manifest was applied".to_owned(),
            reason: "and the app is not there: was it deleted meanwhile?".to_owned(),
        },
        log: Vec::new(),
        package: None,
    }
}

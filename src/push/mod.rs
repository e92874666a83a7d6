//! Pushes the apps of a manifest, from source to running instances.
//!
//! A push transforms the manifest, requests the diff from the Cloud Controller, reads all
//! bits, applies the manifest to all apps with one request, and then uploads, stages and
//! starts the apps in parallel. Convergence uses the same `bits`, `upload` and `stage`
//! for its prototypes.

mod app;
mod app_source;
pub(crate) mod bits;
pub(crate) mod cleanup;
mod logs;
mod outcome;
mod plan;
mod pusher;
pub(crate) mod stage;
pub(crate) mod upload;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;

use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::capi::model::Process;
pub use crate::desired::AppState;
use crate::events::Event;
use crate::manifest::{Manifest, ManifestDiff, Overrides};
use app_source::{AppSource, read_sources};
pub use bits::BitsError;
pub use outcome::{
    InstanceStatus, ProcessStatus, PushError, PushFailure, PushOutcome, PushResult, PushedApp,
};
use pusher::{PushedJob, Pusher};

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
/// # let config = cf_pusher::ScalingTest::parse("{}", "inline")?;
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
    timeouts: Timeouts,
}

/// The timeouts of a push. `None` selects the client's timeout.
#[derive(Debug, Clone, Copy, Default)]
struct Timeouts {
    staging: Option<Duration>,
    startup: Option<Duration>,
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
            timeouts: Timeouts::default(),
        }
    }

    /// Changes the manifest before it is applied, and how apps are started.
    #[must_use]
    pub fn overrides(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// Sets the password for Docker images whose manifest has a `username`.
    #[must_use]
    pub fn docker_password(self, password: SecretString) -> Self {
        let docker_password = Some(password);
        Self {
            docker_password,
            ..self
        }
    }

    /// Limits the time that the staging of an app may take. The default is
    /// [`ConnectOptions::timeout`](crate::ConnectOptions::timeout).
    #[must_use]
    pub fn staging_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.staging = Some(timeout);
        self
    }

    /// Limits the time that an app may take to start. The default is
    /// [`ConnectOptions::timeout`](crate::ConnectOptions::timeout).
    #[must_use]
    pub fn startup_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.startup = Some(timeout);
        self
    }

    /// Computes the changes of the apps' properties. Sends no writes.
    ///
    /// # Errors
    /// [`PushError`] if the overrides do not fit the manifest, or if the Cloud
    /// Controller refuses the manifest.
    pub fn plan(&self) -> BoxFuture<'_, Result<PushPlan, PushError>> {
        Box::pin(async move {
            if self.client.dialect() == Dialect::Documented2017 {
                return Err(PushError::NeedsV3);
            }
            let mut manifest = self.manifest.clone().transform(&self.overrides)?;
            let space = self.space.find(&self.client).await?;
            let existing = plan::existing_apps(&self.client, &space, &manifest).await?;
            let mut new_apps = Vec::new();
            for at in 0..manifest.applications().len() {
                let name = manifest.name_of(at).to_owned();
                match existing.get(&lowercase(&name)) {
                    Some(app) => manifest.rename_app(at, &app.name),
                    None => new_apps.push(name),
                }
            }
            let scaled = manifest.clone().scaled(&self.overrides)?;
            let apps = manifest.applications().iter();
            let apps: Vec<_> = apps
                .map(|app| existing.get(&lowercase(app.name())))
                .collect();
            let diff = plan::diff(&self.client, &space, &scaled, &apps).await?;
            Ok(PushPlan {
                client: self.client.clone(),
                manifest,
                scaled,
                overrides: self.overrides.clone(),
                docker_password: self.docker_password.clone(),
                timeouts: self.timeouts,
                space,
                new_apps,
                diff,
            })
        })
    }

    /// Pushes the apps: [`Push::plan`], then [`PushPlan::apply`].
    ///
    /// # Errors
    /// [`PushError`] if no app could be pushed. Errors of single apps are in the
    /// [`PushOutcome`].
    pub fn run(&self) -> BoxFuture<'_, Result<PushOutcome, PushError>> {
        Box::pin(async move { self.plan().await?.apply().await })
    }
}

/// A push and its changes, computed by [`Push::plan`].
#[derive(Clone)]
pub struct PushPlan {
    client: Client,
    /// The manifest to apply.
    manifest: Manifest,
    /// The manifest after a deployment has scaled the app. Without a deployment, the same
    /// as `manifest`.
    scaled: Manifest,
    overrides: Overrides,
    docker_password: Option<SecretString>,
    timeouts: Timeouts,
    /// The space's GUID.
    space: String,
    /// The names of the apps that do not exist yet.
    new_apps: Vec<String>,
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
        reason = "the difference includes the scale that a deployment sets"
    )]
    pub fn manifest(&self) -> &Manifest {
        &self.scaled
    }

    /// Applies the manifest, and takes each app from its source to running instances.
    ///
    /// If the Cloud Controller refuses the manifest, or refuses to stage or start a new
    /// app, the new apps and routes are deleted again. They are kept if the result of a
    /// request is unknown.
    ///
    /// # Errors
    ///
    /// [`PushError`] if no app could be pushed. Errors of single apps are in the
    /// [`PushOutcome`].
    pub fn apply(&self) -> BoxFuture<'_, Result<PushOutcome, PushError>> {
        Box::pin(async move {
            let sources = self.read_sources().await?;
            let pusher = Pusher::prepare(self, &sources).await?;
            pusher.apply_manifest().await?;
            let mut apps = pusher.push_apps().await?;
            match self.describe(&mut apps).await {
                Ok(()) | Err(Error::Interrupted) => {}
                Err(error) => {
                    let text = format!("reading the routes and processes failed: {error}");
                    self.client.events().emit(Event::Warning(text));
                }
            }
            let mut outcome = PushOutcome::default();
            for app in apps {
                outcome.apps.push(app.outcome);
                outcome.failures.extend(app.failure);
            }
            Ok(outcome)
        })
    }

    /// Adds the URLs of the pushed apps, and the processes that no wait has read.
    async fn describe(&self, apps: &mut [PushedJob]) -> Result<(), Error> {
        let pushed = apps.iter_mut().map(|app| &mut app.outcome);
        let mut pushed: Vec<&mut PushedApp> = pushed
            .filter(|app| app.result == PushResult::Pushed && app.guid.is_some())
            .collect();
        let guid_of = |app: &PushedApp| app.guid.clone().unwrap_or_default();
        let guids: Vec<String> = pushed.iter().map(|app| guid_of(app)).collect();
        if guids.is_empty() {
            return Ok(());
        }
        let all: Vec<&str> = guids.iter().map(String::as_str).collect();
        let mut urls = urls_of(&self.client, &all).await?;
        let unknown = pushed.iter().filter(|app| app.processes.is_empty());
        let unknown: Vec<String> = unknown.map(|app| guid_of(app)).collect();
        let mut processes: HashMap<String, Vec<Process>> = HashMap::new();
        if !unknown.is_empty() {
            for process in self.client.processes_of_apps(&unknown).await? {
                processes
                    .entry(process.app.clone())
                    .or_default()
                    .push(process);
            }
        }
        for (app, guid) in pushed.iter_mut().zip(&guids) {
            app.urls = urls.remove(guid).unwrap_or_default();
            app.urls.sort();
            if let Some(processes) = processes.get(guid) {
                app.processes = processes.iter().map(ProcessStatus::of).collect();
            }
        }
        Ok(())
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
        read.map_err(|error| Error::local("reading the bits", error))?
    }

    /// The names of the apps that do not exist yet.
    fn new_apps(&self) -> impl Iterator<Item = &str> {
        self.new_apps.iter().map(String::as_str)
    }
}

impl PushSpace {
    /// The space's GUID.
    pub(crate) async fn find(&self, client: &Client) -> Result<String, Error> {
        match self {
            Self::Guid(guid) => Ok(guid.clone()),
            Self::Named { org, space } => find_space(client, org, space).await,
        }
    }
}

/// The GUID of a space.
async fn find_space(client: &Client, org: &str, space: &str) -> Result<String, Error> {
    match client.space_of_org_named(org, space).await? {
        Some(space) => Ok(space.guid),
        None => Err(Error::impossible(
            format!("finding space {space} in org {org}"),
            "not found, or not visible to the user",
        )),
    }
}

/// The URLs of the routes of some apps, by the app's GUID.
pub(crate) async fn urls_of(
    client: &Client,
    apps: &[&str],
) -> Result<HashMap<String, Vec<String>>, Error> {
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

/// A name in lower case. The Cloud Controller ignores the case of names.
pub(crate) fn lowercase(name: &str) -> String {
    name.to_lowercase()
}

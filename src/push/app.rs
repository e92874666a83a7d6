//! Pushes one app: from its source to running instances.

use secrecy::ExposeSecret;

use super::app_source::{AppSource, DockerImage, PackedBits};
use super::pusher::Pusher;
use super::upload::{self, KnownFiles};
use super::{AppState, PushFailure, stage};
use crate::capi::deploy::DeploymentResult;
use crate::capi::error::{Error, STAGING_IN_PROGRESS};
use crate::capi::model::{self, App, DeploymentOptions, NewDeployment, Process};
use crate::events::PushStep;
use crate::manifest::{Overrides, Strategy};

/// The step that has a log.
pub(super) const STAGING: &str = "staging";

const STARTING: &str = "starting";

/// The state of an app after its push.
pub(super) struct AppRun {
    pub(super) state: AppState,
    /// Whether its deployment is a canary that waits to be continued.
    pub(super) is_paused: bool,
    /// Empty unless the push has waited for the processes.
    pub(super) processes: Vec<Process>,
}

impl AppRun {
    fn stopped() -> Self {
        Self {
            state: AppState::Stopped,
            is_paused: false,
            processes: Vec::new(),
        }
    }
}

impl Pusher<'_> {
    pub(super) async fn push_app(
        &self,
        app: &App,
        source: &AppSource,
        package: Option<&String>,
        known: &KnownFiles,
    ) -> Result<AppRun, PushFailure> {
        let uploaded = self.upload_source(app, source, package, known);
        let uploaded = uploaded
            .await
            .map_err(with_context(app, "uploading the bits of"))?;
        let package = match &uploaded {
            Uploaded::Package(package) => Some(package.clone()),
            Uploaded::Droplet(_) => None,
        };
        let run = self.run_uploaded(app, uploaded).await;
        run.map_err(|failure| PushFailure { package, ..failure })
    }

    async fn run_uploaded(&self, app: &App, uploaded: Uploaded) -> Result<AppRun, PushFailure> {
        let overrides = self.overrides;
        match uploaded {
            Uploaded::Droplet(droplet) => self.run(app, &droplet).await,
            Uploaded::Package(_) if overrides.no_start && !overrides.task => {
                self.stop(app).await?;
                Ok(AppRun::stopped())
            }
            Uploaded::Package(package) => {
                let droplet = self.stage(app, &package).await?;
                self.run(app, &droplet).await
            }
        }
    }

    async fn upload_source(
        &self,
        app: &App,
        source: &AppSource,
        package: Option<&String>,
        known: &KnownFiles,
    ) -> Result<Uploaded, Error> {
        match (source, package) {
            (AppSource::Bits(_), Some(package)) => {
                self.start_step(app, PushStep::ReusePackage);
                Ok(Uploaded::Package(package.clone()))
            }
            (AppSource::Bits(packed), None) => {
                let package = self.upload(app, packed, known).await?;
                Ok(Uploaded::Package(package))
            }
            (AppSource::Docker(image), _) => {
                let package = self.docker_package(app, image).await?;
                Ok(Uploaded::Package(package))
            }
            (AppSource::Droplet(file), _) => {
                self.start_step(app, PushStep::UploadDroplet);
                let droplet = upload::upload_droplet(self.client, &app.name, &app.guid, file);
                Ok(Uploaded::Droplet(droplet.await?))
            }
        }
    }

    async fn upload(
        &self,
        app: &App,
        packed: &PackedBits,
        known: &KnownFiles,
    ) -> Result<String, Error> {
        let payload = {
            // The semaphore is never closed, so this always succeeds.
            let _permit = self.zipping.acquire().await.ok();
            self.client
                .unless_interrupted(packed.payload(known))
                .await??
        };
        let bytes = payload.bytes();
        self.start_step(app, PushStep::Upload { bytes });
        let (client, name, guid) = (self.client, &app.name, &app.guid);
        let waits = Some(&self.packages);
        upload::ready_package(client, name, guid, &packed.bits, payload, waits).await
    }

    /// Stages a package, forwards its log, and returns the droplet's GUID.
    async fn stage(&self, app: &App, package: &str) -> Result<String, PushFailure> {
        self.start_step(app, PushStep::Stage);
        let (client, name, guid) = (self.client, &app.name, &app.guid);
        let begin = || stage::begin(client, name, guid, package, None);
        let build = match begin().await {
            // `begin` has waited for the other staging.
            Err(error) if error.has_code(STAGING_IN_PROGRESS) => begin().await,
            build => build,
        };
        let build = build.map_err(with_context(app, STAGING))?;
        let what = format!("staging of {name}");
        let staged = self.builds.wait_for(&build.guid, what.clone());
        let staged = self.logs.follow(name, guid, build.began, staged).await;
        let droplet = staged.and_then(|build| stage::droplet_of(&what, build));
        droplet.map_err(with_context(app, STAGING))
    }

    /// Starts or stops an app with a droplet, according to the overrides.
    async fn run(&self, app: &App, droplet: &str) -> Result<AppRun, PushFailure> {
        let overrides = self.overrides;
        if let Some(strategy) = &overrides.strategy {
            self.start_step(app, PushStep::Deploy);
            let deployment = deployment(app, droplet, strategy, overrides);
            let timeout = self.plan.timeouts.startup;
            let timeout = timeout.unwrap_or(self.client.timeout());
            let deployed = self
                .client
                .deploy(&app.name, &deployment, overrides.no_wait, timeout);
            let state = deployed.await.map_err(with_context(app, STARTING))?;
            return self.started(app, state == DeploymentResult::Paused).await;
        }
        if overrides.no_start || overrides.task {
            self.stop(app).await?;
            self.set_droplet(app, droplet).await?;
            return Ok(AppRun::stopped());
        }
        self.set_droplet(app, droplet).await?;
        self.start_step(app, PushStep::Start);
        let restarted = self.client.restart_app(&app.guid).await;
        restarted.map_err(with_context(app, STARTING))?;
        self.started(app, false).await
    }

    /// Waits until the instances of a started app run.
    async fn started(&self, app: &App, is_paused: bool) -> Result<AppRun, PushFailure> {
        let what = format!("the start of {}", app.name);
        let running = self.running.wait_for(&app.guid, what).await;
        Ok(AppRun {
            state: AppState::Started,
            is_paused,
            processes: running.map_err(with_context(app, STARTING))?,
        })
    }

    async fn set_droplet(&self, app: &App, droplet: &str) -> Result<(), PushFailure> {
        let set = self.client.set_current_droplet(&app.guid, droplet).await;
        set.map_err(with_context(app, "setting the droplet of"))
    }

    async fn stop(&self, app: &App) -> Result<(), PushFailure> {
        if !app.is_started {
            return Ok(());
        }
        self.start_step(app, PushStep::Stop);
        let stopped = self.client.stop_app(&app.guid).await;
        stopped.map_err(with_context(app, "stopping"))
    }

    async fn docker_package(&self, app: &App, image: &DockerImage) -> Result<String, Error> {
        let password = image.password.as_ref().map(ExposeSecret::expose_secret);
        let package = model::DockerImage {
            image: &image.image,
            login: image.username.as_deref().zip(password),
            bits: None,
        };
        self.client.create_docker_package(&app.guid, &package).await
    }
}

/// The source of an app after its upload to the Cloud Controller.
enum Uploaded {
    /// The GUID of a package.
    Package(String),
    /// The GUID of a droplet.
    Droplet(String),
}

/// Adds the app and the step to an error.
fn with_context(app: &App, step: &'static str) -> impl Fn(Error) -> PushFailure {
    let app = app.name.clone();
    move |error| PushFailure {
        app: app.clone(),
        step,
        error,
        log: Vec::new(),
        package: None,
    }
}

fn deployment<'a>(
    app: &'a App,
    droplet: &'a str,
    strategy: &'a Strategy,
    overrides: &'a Overrides,
) -> NewDeployment<'a> {
    NewDeployment {
        app: &app.guid,
        droplet,
        options: DeploymentOptions {
            strategy: Some(strategy.name()),
            max_in_flight: strategy.max_in_flight(),
            canary_steps: strategy.instance_steps(),
            web_instances: overrides.instances,
            // The sizes have been validated.
            memory_mb: overrides.memory_mb().unwrap_or_default(),
            disk_mb: overrides.disk_mb().unwrap_or_default(),
            log_rate_limit: overrides.log_rate_limit_bps().unwrap_or_default(),
        },
    }
}

//! One app of a push: from its package or droplet to running.

use secrecy::ExposeSecret;

use super::logs::StagingLog;
use super::origin::{DockerImage, Origin, Packed};
use super::upload::{self, Known};
use super::{Failure, Pusher, State, stage};
use crate::capi::apps::{self, App};
use crate::capi::deployments::{self, Deployed, Deployment};
use crate::capi::error::{Error, STAGING_IN_PROGRESS};
use crate::capi::processes::Process;
use crate::events::PushStep;
use crate::manifest::overrides::{Overrides, Strategy};

/// The step at which Cloud Controller looks at quotas.
pub(super) const STARTING: &str = "starting";

impl Pusher<'_> {
    pub(super) async fn push_app(
        &self,
        app: &App,
        origin: &Origin,
        package: Option<&String>,
        known: &Known,
    ) -> Result<State, Failure> {
        let flags = &self.prepared.flags;
        let source = self.source(app, origin, package, known);
        let source = source.await.map_err(told(app, "sending its bits"))?;
        let package = match &source {
            Source::Package(package) => Some(package.clone()),
            Source::Droplet(_) => None,
        };
        let run = self.run_source(app, source).await;
        let (is_paused, processes) = run.map_err(|failure| Failure { package, ..failure })?;
        Ok(State {
            guid: app.guid.clone(),
            is_started: !flags.no_start && !flags.task,
            is_paused,
            processes,
        })
    }

    /// Returns whether its deployment waits to be told to go on, and its processes.
    async fn run_source(&self, app: &App, source: Source) -> Result<(bool, Vec<Process>), Failure> {
        let flags = &self.prepared.flags;
        match source {
            Source::Droplet(droplet) => self.run(app, &droplet).await,
            Source::Package(_) if flags.no_start && !flags.task => {
                self.stop(app).await?;
                Ok((false, Vec::new()))
            }
            Source::Package(package) => {
                let droplet = self.stage(app, &package).await?;
                self.run(app, &droplet).await
            }
        }
    }

    async fn source(
        &self,
        app: &App,
        origin: &Origin,
        package: Option<&String>,
        known: &Known,
    ) -> Result<Source, Error> {
        match (origin, package) {
            (Origin::Bits(_), Some(package)) => {
                self.tell(app, PushStep::ReusePackage);
                Ok(Source::Package(package.clone()))
            }
            (Origin::Bits(packed), None) => {
                let package = self.upload(app, packed, known).await?;
                Ok(Source::Package(package))
            }
            (Origin::Docker(image), _) => {
                let package = self.client.create(&docker_package(app, image)).await?;
                Ok(Source::Package(package))
            }
            (Origin::Droplet(file), _) => {
                self.tell(app, PushStep::UploadDroplet);
                let droplet = upload::upload_droplet(self.client, &app.name, &app.guid, file);
                Ok(Source::Droplet(droplet.await?))
            }
        }
    }

    async fn upload(&self, app: &App, packed: &Packed, known: &Known) -> Result<String, Error> {
        let payload = {
            // The semaphore is never closed, so it is our turn in every case.
            let _turn = self.zipping.acquire().await.ok();
            self.client
                .unless_interrupted(packed.payload(known))
                .await??
        };
        let bytes = payload.bytes();
        self.tell(app, PushStep::Upload { bytes });
        let (client, name, guid) = (self.client, &app.name, &app.guid);
        let waits = Some(&self.packages);
        upload::ready_package(client, name, guid, &packed.bits, payload, waits).await
    }

    /// Stages a package, and passes on what that writes; returns the droplet's GUID.
    async fn stage(&self, app: &App, package: &str) -> Result<String, Failure> {
        self.tell(app, PushStep::Stage);
        let (client, name, guid) = (self.client, &app.name, &app.guid);
        let begin = || stage::begin(client, name, guid, package, None);
        let build = match begin().await {
            // What was being staged has been awaited.
            Err(error) if error.has_code(STAGING_IN_PROGRESS) => begin().await,
            build => build,
        };
        let build = build.map_err(told(app, "staging"))?;
        let what = format!("staging of {name}");
        let mut log = StagingLog::new(client, name, guid, build.began);
        let staged = log
            .follow(self.builds.done(&build.guid, what.clone()))
            .await;
        let droplet = staged.and_then(|it| stage::droplet_of(client.dialect(), &what, &it));
        droplet.map_err(|error| Failure {
            log: log.last(),
            ..told(app, "staging")(error)
        })
    }

    /// Has an app run with a droplet, as the flags ask; returns as
    /// [`Pusher::run_source`] does.
    async fn run(&self, app: &App, droplet: &str) -> Result<(bool, Vec<Process>), Failure> {
        let flags = &self.prepared.flags;
        if let Some(strategy) = flags.strategy {
            self.tell(app, PushStep::Deploy);
            let deployment = deployment(app, droplet, strategy, flags);
            let deployed = deployments::deploy(self.client, &app.name, &deployment, flags.no_wait);
            let state = deployed.await.map_err(told(app, STARTING))?;
            return Ok((state == Deployed::Paused, self.running(app).await?));
        }
        if flags.no_start || flags.task {
            self.stop(app).await?;
            self.set_droplet(app, droplet).await?;
            return Ok((false, Vec::new()));
        }
        self.set_droplet(app, droplet).await?;
        self.tell(app, PushStep::Start);
        let restart = apps::restart(&app.guid);
        let restarted = self.client.send(&restart).await;
        restarted.map_err(told(app, STARTING))?;
        Ok((false, self.running(app).await?))
    }

    async fn set_droplet(&self, app: &App, droplet: &str) -> Result<(), Failure> {
        let request = self
            .client
            .dialect()
            .set_current_droplet(&app.guid, droplet);
        let set = self.client.send(&request).await;
        set.map(|_| ()).map_err(told(app, "setting its droplet"))
    }

    async fn stop(&self, app: &App) -> Result<(), Failure> {
        if !app.is_started {
            return Ok(());
        }
        self.tell(app, PushStep::Stop);
        let stop = self.client.dialect().stop(&app.guid);
        let stopped = self.client.send(&stop).await;
        stopped.map(|_| ()).map_err(told(app, "stopping"))
    }

    async fn running(&self, app: &App) -> Result<Vec<Process>, Failure> {
        let what = format!("the start of {}", app.name);
        let running = self.running.done(&app.guid, what).await;
        running.map_err(told(app, STARTING))
    }
}

/// What an app is made of, on the Cloud Controller.
enum Source {
    Package(String),
    Droplet(String),
}

fn told(app: &App, step: &'static str) -> impl Fn(Error) -> Failure {
    let app = app.name.clone();
    move |error| Failure {
        app: app.clone(),
        step,
        error,
        log: Vec::new(),
        package: None,
    }
}

fn docker_package(app: &App, image: &DockerImage) -> crate::capi::transport::Request {
    let password = image.password.as_ref().map(ExposeSecret::expose_secret);
    apps::create_docker_package(&app.guid, &image.image, image.username.as_deref(), password)
}

fn deployment<'a>(
    app: &'a App,
    droplet: &'a str,
    strategy: Strategy,
    flags: &'a Overrides,
) -> Deployment<'a> {
    Deployment {
        app: &app.guid,
        droplet,
        strategy: strategy.name(),
        max_in_flight: flags.max_in_flight,
        canary_steps: &flags.instance_steps,
        web_instances: flags.instances,
        // The flags were checked: they are sizes.
        memory_mb: flags.memory_mb().unwrap_or_default(),
        disk_mb: flags.disk_mb().unwrap_or_default(),
        log_rate_limit: flags.log_rate_limit_bps().unwrap_or_default(),
    }
}

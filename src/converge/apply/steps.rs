//! What each step of an app asks of the Cloud Controller.

use std::sync::atomic::Ordering;

use reqwest::StatusCode;

use super::{Apply, unknown};
use crate::capi::deployments;
use crate::capi::dialect::NewApp;
use crate::capi::error::Error;
use crate::converge::plan::{ResourcePlan, Role, Step};
use crate::desired::{Group, host};
use crate::push::{stage, upload};

/// What the steps of one app find out for those that follow.
#[derive(Default)]
pub(super) struct Found {
    pub(super) app: Option<String>,
    package: Option<String>,
    droplet: Option<String>,
    route: Option<String>,
}

impl Found {
    pub(super) fn of(plan: &ResourcePlan) -> Self {
        Self {
            app: plan.guid().map(str::to_owned),
            ..Self::default()
        }
    }
}

impl Apply<'_> {
    pub(super) async fn step(
        &self,
        plan: &ResourcePlan,
        step: &Step,
        found: &mut Found,
    ) -> Result<(), Error> {
        let (client, dialect) = (self.client, self.client.dialect());
        if *step == Step::CreateApp {
            found.app = Some(self.create_app(plan).await?);
            return Ok(());
        }
        let app = found.app.clone().ok_or_else(|| unknown("app"))?;
        match step {
            // The one is done above, the other for many apps at once.
            Step::CreateApp | Step::ApplyManifest(_) => {}
            // These are no steps of an app.
            Step::CreateQuota
            | Step::CreateOrg
            | Step::AssignQuota
            | Step::CreateSpace
            | Step::CreateSecurityGroup
            | Step::UpdateSecurityGroup
            | Step::BindSecurityGroup => {}
            Step::RemoveBitsHash { droplet } => {
                client.send(&dialect.forget_bits(&app, droplet)).await?;
            }
            Step::DeletePackage { package } => {
                let what = format!("deleting a package of {}", plan.name());
                client
                    .delete(&what, &dialect.delete_package(package))
                    .await?;
            }
            Step::PushBits => {
                let group = self.group(plan)?;
                let bits = self.sources.get(group.kind).map(|source| &source.bits);
                let bits = bits.ok_or_else(|| unknown("source"))?;
                found.package = Some(upload::upload_bits(client, plan.name(), &app, bits).await?);
            }
            Step::Stage { package } => {
                let package = package.as_ref().or(found.package.as_ref());
                let package = package.ok_or_else(|| unknown("package"))?;
                // Those that the app is going to have; it has them already else.
                let changes = plan.steps.contains(&Step::SetBuildpacks);
                let buildpacks = self.group(plan)?.buildpacks.as_slice();
                let buildpacks = changes.then_some(buildpacks);
                let droplet = stage::stage(client, plan.name(), &app, package, buildpacks).await?;
                found.droplet = Some(droplet.clone());
                // Only prototypes are staged, each once in a run.
                let _ = self.source(plan).set(Some(droplet));
            }
            Step::CopyDroplet { from } => {
                let staged = self.source(plan).get().and_then(Option::as_ref);
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
                let droplet = found.droplet(droplet.as_ref())?;
                self.set_droplet(&app, &droplet).await?;
                found.droplet = Some(droplet);
            }
            Step::Deploy { droplet } => {
                let droplet = found.droplet(droplet.as_ref())?;
                self.deploy(&app, &droplet).await?;
                found.droplet = Some(droplet);
            }
            Step::AnnotateBitsHash { droplet } => {
                let droplet = found.droplet(droplet.as_ref())?;
                let request = dialect.note_bits(&app, &droplet, &self.group(plan)?.bits);
                client.send(&request).await?;
            }
            Step::SetBuildpacks => {
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
            Step::LabelAsManaged => {
                let request = dialect.adopt_app(&app, &self.desired.prefix);
                client.send(&request).await?;
            }
            Step::CreateRoute => {
                let domain = &self.observed.domain.guid;
                let request = dialect.create_route(&host(plan.name()), domain, &self.space);
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
            Step::DeleteDroplet { droplet } => {
                let what = format!("deleting a droplet of {}", plan.name());
                client
                    .delete(&what, &dialect.delete_droplet(droplet))
                    .await?;
            }
            Step::DeleteRoute { route } => {
                let what = format!("deleting the route of {}", plan.name());
                client.delete(&what, &dialect.delete_route(route)).await?;
            }
            Step::DeleteApp => {
                let what = format!("deleting {}", plan.name());
                client.delete(&what, &dialect.delete_app(&app)).await?;
            }
        }
        Ok(())
    }

    async fn create_app(&self, plan: &ResourcePlan) -> Result<String, Error> {
        let group = self.group(plan)?;
        let stages = plan.role() == Some(Role::Prototype);
        let app = NewApp {
            name: plan.name(),
            space: &self.space,
            env: &group.env,
            buildpacks: if stages { &group.buildpacks } else { &[] },
        };
        let request = self.client.dialect().create_app(&app, &self.desired.prefix);
        self.client.create(&request).await
    }

    /// Sets the droplet and starts the app in one request; in two where the
    /// foundation refuses that.
    async fn deploy(&self, app: &str, droplet: &str) -> Result<(), Error> {
        if self.deploys.load(Ordering::Relaxed) {
            let deployment = deployments::of_stopped(app, droplet);
            match self.client.send(&deployment).await {
                Ok(_) => return Ok(()),
                Err(error) if deployments::are_disabled(&error) => {
                    self.deploys.store(false, Ordering::Relaxed);
                }
                Err(error) if error.status() == Some(StatusCode::UNPROCESSABLE_ENTITY) => {}
                Err(error) => return Err(error),
            }
        }
        self.set_droplet(app, droplet).await?;
        self.client.send(&self.client.dialect().start(app)).await?;
        Ok(())
    }

    async fn set_droplet(&self, app: &str, droplet: &str) -> Result<(), Error> {
        let request = self.client.dialect().set_current_droplet(app, droplet);
        self.client.send(&request).await?;
        Ok(())
    }

    pub(super) fn group(&self, plan: &ResourcePlan) -> Result<&Group, Error> {
        let mut groups = self.desired.groups.iter();
        groups
            .find(|group| Some(group.kind) == plan.group())
            .ok_or_else(|| unknown("group"))
    }
}

impl Found {
    /// The droplet that the plan names, or else the one found.
    fn droplet(&self, planned: Option<&String>) -> Result<String, Error> {
        let droplet = planned.or(self.droplet.as_ref());
        droplet.cloned().ok_or_else(|| unknown("droplet"))
    }
}

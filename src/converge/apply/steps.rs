//! What each step of an app asks of the Cloud Controller.

use std::sync::atomic::Ordering;

use super::{Apply, unknown};
use crate::capi::dialect::{HealthCheck, NewApp, Scale};
use crate::capi::error::Error;
use crate::capi::{deployments, service_bindings};
use crate::converge::plan::{
    DropletRef, PackageRef, ResourcePlan, Role, RouteRef, SourceDroplet, Step,
};
use crate::push::{stage, upload};

/// What the steps of one app find out for those that follow.
#[derive(Debug, Default)]
pub(super) struct AppProgress {
    pub(super) app: Option<String>,
    package: Option<String>,
    droplet: Option<String>,
    route: Option<String>,
}

impl AppProgress {
    pub(super) fn of(plan: &ResourcePlan) -> Self {
        Self {
            app: plan.guid().map(str::to_owned),
            ..Self::default()
        }
    }

    fn droplet(&self, droplet: &DropletRef) -> Result<String, Error> {
        match droplet {
            DropletRef::Existing(guid) => Ok(guid.clone()),
            DropletRef::New => self.droplet.clone().ok_or_else(|| unknown("droplet")),
        }
    }
}

impl Apply<'_> {
    pub(super) async fn step(
        &self,
        plan: &ResourcePlan,
        step: &Step,
        progress: &mut AppProgress,
    ) -> Result<(), Error> {
        let (client, dialect) = (self.client, self.client.dialect());
        let name = plan.name();
        if let Step::CreateApp { env, buildpacks } = step {
            let app = NewApp {
                name,
                space: self.space(plan)?,
                env,
                buildpacks,
            };
            let request = dialect.create_app(&app, self.owner);
            progress.app = Some(client.create(&request).await?);
            return Ok(());
        }
        let app = progress.app.clone().ok_or_else(|| unknown("app"))?;
        match step {
            Step::RemoveBitsHash { droplet } => {
                client.send(&dialect.forget_bits(&app, droplet)).await?;
            }
            Step::DeletePackage { package } => {
                let what = format!("deleting a package of {name}");
                let request = dialect.delete_package(package);
                client.delete(&what, &request).await?;
            }
            Step::PushBits => {
                let group = plan.app.as_ref().and_then(|app| app.group);
                let bits = group.and_then(|group| self.bits.get(group));
                let bits = bits.ok_or_else(|| unknown("bits"))?;
                progress.package = Some(upload::upload_bits(client, name, &app, bits).await?);
            }
            Step::Stage {
                package,
                buildpacks,
            } => {
                let package = match package {
                    PackageRef::Existing(package) => Some(package),
                    PackageRef::Pushed => progress.package.as_ref(),
                };
                let package = package.ok_or_else(|| unknown("package"))?;
                let buildpacks = buildpacks.as_deref();
                let droplet = stage::stage(client, name, &app, package, buildpacks).await?;
                progress.droplet = Some(droplet.clone());
                if plan.role() == Some(Role::Prototype) {
                    // Only prototypes are staged, each once in a run.
                    let _ = self.staged(plan).set(Some(droplet));
                }
            }
            Step::CopyDroplet { from } => {
                let source = match from {
                    SourceDroplet::Existing(droplet) => Some(droplet),
                    SourceDroplet::Staged => self.staged(plan).get().and_then(Option::as_ref),
                };
                let source = source.ok_or_else(|| unknown("droplet of the prototype"))?;
                let request = dialect.copy_droplet(source, &app);
                progress.droplet = Some(client.create(&request).await?);
            }
            Step::AwaitDroplet => {
                let copy = progress.droplet(&DropletRef::New)?;
                let what = format!("copying to droplet {copy}");
                self.waits.done(&copy, what).await?;
            }
            Step::SetDroplet { droplet } => {
                self.set_droplet(&app, &progress.droplet(droplet)?).await?;
            }
            Step::Deploy { droplet } => {
                self.deploy(&app, &progress.droplet(droplet)?).await?;
            }
            Step::AnnotateBitsHash { droplet, hash } => {
                let droplet = progress.droplet(droplet)?;
                let request = dialect.note_bits(&app, &droplet, hash);
                client.send(&request).await?;
            }
            Step::SetBuildpacks { buildpacks } => {
                let request = dialect.set_buildpacks(&app, buildpacks);
                client.send(&request).await?;
            }
            Step::SetCommand { command } => {
                let request = dialect.set_command(&app, command.as_deref());
                client.send(&request).await?;
            }
            Step::SetHealthCheck {
                check,
                endpoint,
                invocation_timeout,
            } => {
                let check = HealthCheck {
                    check: check.as_deref(),
                    endpoint: endpoint.as_deref(),
                    invocation_timeout: *invocation_timeout,
                };
                client.send(&dialect.set_health_check(&app, check)).await?;
            }
            Step::SetEnv { variables } => {
                client.send(&dialect.set_env(&app, variables)).await?;
            }
            Step::RemoveMetadata {
                labels,
                annotations,
            } => {
                let request = dialect.remove_metadata(&app, labels, annotations);
                client.send(&request).await?;
            }
            Step::UnbindServices { services } => {
                service_bindings::unbind(client, &app, services).await?;
            }
            Step::LabelAsManaged => {
                let request = dialect.adopt_app(&app, self.owner);
                client.send(&request).await?;
            }
            Step::CreateRoute { route } => {
                progress.route = Some(self.create_route(plan, route).await?);
            }
            Step::MapRoute { route } => {
                let route = match route {
                    RouteRef::Existing(route) => Some(route),
                    RouteRef::Created => progress.route.as_ref(),
                };
                let route = route.ok_or_else(|| unknown("route"))?;
                client.send(&dialect.map_route(route, &app)).await?;
            }
            Step::SetDestinations {
                route,
                apps,
                protocol,
            } => {
                let request = dialect.set_destinations(route, apps, protocol.as_deref());
                client.send(&request).await?;
            }
            Step::Scale {
                instances,
                memory_mb,
                disk_mb,
            } => {
                let scale = Scale {
                    instances: *instances,
                    memory_mb: *memory_mb,
                    disk_mb: *disk_mb,
                };
                client.send(&dialect.scale(&app, scale)).await?;
            }
            Step::Stop => {
                client.send(&dialect.stop(&app)).await?;
            }
            Step::Start => {
                client.send(&dialect.start(&app)).await?;
            }
            Step::DeleteDroplet { droplet } => {
                let what = format!("deleting a droplet of {name}");
                let request = dialect.delete_droplet(droplet);
                client.delete(&what, &request).await?;
            }
            Step::DeleteRoute { route } => {
                let what = format!("deleting a route of {name}");
                client.delete(&what, &dialect.delete_route(route)).await?;
            }
            Step::DeleteApp => {
                let what = format!("deleting {name}");
                client.delete(&what, &dialect.delete_app(&app)).await?;
            }
            // A manifest is applied for many apps at once, an app is created above,
            // and the others are no steps of apps.
            Step::ApplyManifest { .. }
            | Step::CreateApp { .. }
            | Step::CreateQuota
            | Step::CreateOrg
            | Step::AssignQuota { .. }
            | Step::CreateSpace
            | Step::SetMetadata { .. }
            | Step::CreateSecurityGroup
            | Step::UpdateSecurityGroup
            | Step::BindSecurityGroup { .. } => {}
        }
        Ok(())
    }

    /// Creates a route in the domain that it names.
    async fn create_route(&self, plan: &ResourcePlan, route: &str) -> Result<String, Error> {
        let (host, path) = match route.split_once('/') {
            Some((host, path)) => (host, Some(format!("/{path}"))),
            None => (route, None),
        };
        let named = |name: &str| self.observed.domains.iter().find(|it| it.name == name);
        let whole = named(host).map(|domain| ("", domain));
        let found = whole.or_else(|| {
            let (host, domain) = host.split_once('.')?;
            Some((host, named(domain)?))
        });
        let Some((host, domain)) = found else {
            return Err(Error::Local {
                what: format!("creating the route {route}"),
                reason: "the foundation has no such domain".to_owned(),
            });
        };
        let space = self.space(plan)?;
        let dialect = self.client.dialect();
        let request = dialect.create_route(host, &domain.guid, space, path.as_deref());
        self.client.create(&request).await
    }

    /// Sets the droplet and starts the app in one request; in two where the
    /// foundation refuses that, which it shows only then.
    async fn deploy(&self, app: &str, droplet: &str) -> Result<(), Error> {
        if self.deploys.load(Ordering::Relaxed) {
            let deployment = deployments::of_stopped(app, droplet);
            match self.client.send(&deployment).await {
                Ok(_) => return Ok(()),
                Err(error) if deployments::are_disabled(&error) => {
                    self.deploys.store(false, Ordering::Relaxed);
                }
                Err(error) if error.is_unprocessable() => {}
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
}

//! Carries out the steps of an app.

use secrecy::ExposeSecret;

use super::{Apply, unknown};
use crate::capi::error::Error;
use crate::capi::model::{
    Destination, DockerImage, HealthCheck, Metadata, NewApp, NewRoute, Scale,
};
use crate::converge::bits::GroupBits;
use crate::converge::plan::{ResourcePlan, ResourceRef, Role, Step};
use crate::push::{stage, upload};

/// The results of an app's steps that later steps need.
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

    fn droplet(&self, droplet: &ResourceRef) -> Result<String, Error> {
        match droplet {
            ResourceRef::Existing(guid) => Ok(guid.clone()),
            ResourceRef::New => self.droplet.clone().ok_or_else(|| unknown("droplet")),
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
        let client = self.client;
        let name = plan.name();
        if let Step::CreateApp {
            env,
            buildpacks,
            lifecycle,
        } = step
        {
            let app = NewApp {
                name,
                space: self.space(plan)?,
                env,
                lifecycle: lifecycle.as_deref(),
                buildpacks,
                metadata: &Metadata::managed(self.owner),
            };
            progress.app = Some(client.create_app(&app).await?);
            return Ok(());
        }
        let app = progress.app.clone().ok_or_else(|| unknown("app"))?;
        match step {
            Step::RemoveBitsHash { droplet } => {
                client.annotate_bits(&app, droplet, None).await?;
            }
            Step::DeletePackage { package } => {
                let what = format!("deleting a package of {name}");
                client.delete_package(&what, package).await?;
            }
            Step::PushBits => {
                progress.package = Some(self.push_bits(plan, &app).await?);
            }
            Step::UploadDroplet => {
                progress.droplet = Some(self.upload_droplet(plan, &app).await?);
            }
            Step::Stage {
                package,
                buildpacks,
            } => {
                let package = match package {
                    ResourceRef::Existing(package) => Some(package),
                    ResourceRef::New => progress.package.as_ref(),
                };
                let package = package.ok_or_else(|| unknown("package"))?;
                let droplet = self.stage(plan, &app, package, buildpacks.as_deref());
                progress.droplet = Some(droplet.await?);
            }
            Step::CopyDroplet { from } => {
                let source = match from {
                    ResourceRef::Existing(droplet) => Some(droplet),
                    ResourceRef::New => self.staged(plan).get().and_then(Option::as_ref),
                };
                let source = source.ok_or_else(|| unknown("droplet of the prototype"))?;
                progress.droplet = Some(client.copy_droplet(source, &app).await?);
            }
            Step::AwaitDroplet => {
                let copy = progress.droplet(&ResourceRef::New)?;
                let what = format!("copying to droplet {copy}");
                self.copies.wait_for(&copy, what).await?;
            }
            Step::SetDroplet { droplet } => {
                self.set_droplet(&app, &progress.droplet(droplet)?).await?;
            }
            Step::Deploy { droplet } => {
                self.deploy(&app, &progress.droplet(droplet)?).await?;
            }
            Step::AnnotateBitsHash { droplet, hash } => {
                let droplet = progress.droplet(droplet)?;
                client.annotate_bits(&app, &droplet, Some(hash)).await?;
            }
            Step::SetBuildpacks { buildpacks } => {
                client.set_buildpacks(&app, buildpacks).await?;
            }
            Step::SetCommand { command } => {
                client.set_command(&app, command.as_deref()).await?;
            }
            Step::SetHealthCheck {
                check,
                endpoint,
                invocation_timeout,
            } => {
                let check = HealthCheck {
                    kind: check.as_deref(),
                    endpoint: endpoint.as_deref(),
                    invocation_timeout: *invocation_timeout,
                };
                client.set_health_check(&app, &check).await?;
            }
            Step::SetEnv { variables } => {
                client.set_env(&app, variables).await?;
            }
            Step::RemoveMetadata {
                labels,
                annotations,
            } => {
                let metadata = removed(labels, annotations);
                client.set_app_metadata(&app, &metadata).await?;
            }
            Step::UnbindServices { services } => {
                let what = format!("unbinding {}", services.join(", "));
                let services: Vec<&str> = services.iter().map(String::as_str).collect();
                client.unbind_services(&what, &app, &services).await?;
            }
            Step::LabelAsManaged => {
                let metadata = Metadata::managed(self.owner);
                client.set_app_metadata(&app, &metadata).await?;
            }
            Step::CreateRoute { route } => {
                progress.route = Some(self.create_route(plan, route).await?);
            }
            Step::MapRoute { route } => {
                let route = match route {
                    ResourceRef::Existing(route) => Some(route),
                    ResourceRef::New => progress.route.as_ref(),
                };
                let route = route.ok_or_else(|| unknown("route"))?;
                client.map_route(route, &app).await?;
            }
            Step::SetDestinations {
                route,
                apps,
                protocol,
            } => {
                let destinations = web_destinations(apps, protocol.as_deref());
                client.set_destinations(route, &destinations).await?;
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
                client.scale(&app, scale).await?;
            }
            Step::Stop => {
                client.stop_app(&app).await?;
            }
            Step::Start => {
                client.start_app(&app).await?;
            }
            Step::Restart => {
                client.restart_app(&app).await?;
            }
            Step::DeleteDroplet { droplet } => {
                let what = format!("deleting a droplet of {name}");
                client.delete_droplet(&what, droplet).await?;
            }
            Step::DeleteRoute { route } => {
                let what = format!("deleting a route of {name}");
                client.delete_route(&what, route).await?;
            }
            Step::DeleteApp => {
                let what = format!("deleting {name}");
                client.delete_app(&what, &app).await?;
            }
            // Manifests are applied in batches, apps are created above, and the remaining
            // steps do not belong to apps.
            Step::ApplyManifest { .. }
            | Step::CreateApp { .. }
            | Step::CreateQuota
            | Step::CreateOrg
            | Step::AssignQuota { .. }
            | Step::CreateSpace
            | Step::SetMetadata { .. }
            | Step::CreateSecurityGroup { .. }
            | Step::UpdateSecurityGroup
            | Step::BindSecurityGroup { .. }
            | Step::UnbindSecurityGroup { .. }
            | Step::SetFeatureFlag { .. }
            | Step::CreateUser
            | Step::CreateDomain { .. }
            | Step::SetLimits { .. }
            | Step::SetSuspended { .. }
            | Step::CreateSpaceQuota
            | Step::ApplySpaceQuota { .. }
            | Step::EntitleIsolationSegment { .. }
            | Step::SetIsolationSegment { .. }
            | Step::SetFeature { .. }
            | Step::AssignRole
            | Step::CreateService
            | Step::AwaitService
            | Step::UpdateService { .. }
            | Step::DeleteService
            | Step::Delete { .. }
            | Step::DeletePolicy
            | Step::AllowTraffic { .. }
            | Step::EnableSecurityGroup { .. } => {}
        }
        Ok(())
    }

    /// The bits of a prototype's group.
    fn bits(&self, plan: &ResourcePlan) -> Option<&GroupBits> {
        self.bits.get(plan.app.as_ref()?.group?)
    }

    /// Uploads the bits of the group, or creates a package for its Docker image. Returns the
    /// package's GUID.
    async fn push_bits(&self, plan: &ResourcePlan, app: &str) -> Result<String, Error> {
        match self.bits(plan) {
            Some(GroupBits::Source(bits)) => {
                upload::upload_bits(self.client, plan.name(), app, bits).await
            }
            Some(GroupBits::Image {
                image,
                login,
                sha256,
            }) => {
                let login = login.as_ref();
                let image = DockerImage {
                    image,
                    login: login.map(|(user, it)| (user.as_str(), it.expose_secret())),
                    bits: Some(sha256),
                };
                self.client.create_docker_package(app, &image).await
            }
            _ => Err(unknown("bits")),
        }
    }

    /// Uploads the droplet of the group, and returns its GUID.
    async fn upload_droplet(&self, plan: &ResourcePlan, app: &str) -> Result<String, Error> {
        let Some(GroupBits::Droplet { path, .. }) = self.bits(plan) else {
            return Err(unknown("droplet"));
        };
        let droplet = upload::upload_droplet(self.client, plan.name(), app, path).await?;
        // Each prototype gets its droplet once in a run.
        let _ = self.staged(plan).set(Some(droplet.clone()));
        Ok(droplet)
    }

    /// Stages a package, and returns the droplet's GUID.
    async fn stage(
        &self,
        plan: &ResourcePlan,
        app: &str,
        package: &str,
        buildpacks: Option<&[String]>,
    ) -> Result<String, Error> {
        let name = plan.name();
        let staged = stage::stage(self.client, name, app, package, buildpacks, &self.builds);
        let droplet = staged.await?;
        if plan.role() == Some(Role::Prototype) {
            // Each prototype is staged once in a run.
            let _ = self.staged(plan).set(Some(droplet.clone()));
        }
        Ok(droplet)
    }

    /// Creates a route in the domain that its URL names.
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
            let what = format!("creating the route {route}");
            return Err(Error::impossible(what, "the foundation has no such domain"));
        };
        let space = self.space(plan)?;
        let route = NewRoute {
            host,
            domain: &domain.guid,
            space,
            path: path.as_deref(),
        };
        self.client.create_route(&route).await
    }

    /// Sets the droplet and starts the app in one request, or in two if the foundation
    /// refuses deployments.
    async fn deploy(&self, app: &str, droplet: &str) -> Result<(), Error> {
        self.client
            .start_with_droplet(app, droplet, &self.deploys)
            .await
    }

    async fn set_droplet(&self, app: &str, droplet: &str) -> Result<(), Error> {
        self.client.set_current_droplet(app, droplet).await
    }
}

/// A change of metadata that removes these labels and annotations.
fn removed(labels: &[String], annotations: &[String]) -> Metadata {
    let removed = |keys: &[String]| keys.iter().map(|it| (it.clone(), None)).collect();
    Metadata {
        labels: removed(labels),
        annotations: removed(annotations),
    }
}

/// The web processes of some apps as the destinations of a route.
fn web_destinations(apps: &[String], protocol: Option<&str>) -> Vec<Destination> {
    let destination = |app: &String| Destination {
        app: app.clone(),
        process_type: "web".to_owned(),
        port: None,
        protocol: protocol.map(str::to_owned),
    };
    apps.iter().map(destination).collect()
}

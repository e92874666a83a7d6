//! Every operation of the Cloud Controller that cf-pusher uses, as a method of
//! [`Client`]. Each calls a function of the same name and arguments in [`v3`] or
//! [`v2017`], depending on the client's dialect.
//!
//! An argument that is named after a resource (`org`, `app`) is its GUID. `what` names
//! background work in errors, such as `deleting the org scale-org`.

use std::collections::BTreeMap;

use super::client::Client;
use super::dialect::Dialect;
use super::error::Error;
use super::model::{
    App, Build, Deployment, Destination, DiffEntry, DockerImage, Domain, Droplet, Enabled, Env,
    HealthCheck, Instance, Limits, Metadata, NewApp, NewDeployment, NewRoute, NewSecurityGroup,
    Org, OrgApps, OrgQuota, Package, Process, Resource, Route, Rule, Scale, SecurityGroup,
    ServiceInstance, Space, Summary,
};
use super::poll::Progress;
use super::transport::{Replay, Upload};
use super::{v3, v2017};

/// Calls a function of the client's dialect.
macro_rules! in_dialect {
    ($client:expr, $resource:ident :: $operation:ident ( $($argument:expr),* )) => {
        match $client.dialect() {
            Dialect::V3 => v3::$resource::$operation($client $(, $argument)*).await,
            Dialect::Documented2017 => v2017::$resource::$operation($client $(, $argument)*).await,
        }
    };
}

/// Orgs and their quotas.
impl Client {
    pub(crate) async fn orgs_named(&self, names: &[&str]) -> Result<Vec<Org>, Error> {
        in_dialect!(self, organizations::named(names))
    }

    /// The orgs of these GUIDs, with their labels; none in 2017.
    pub(crate) async fn orgs_by_guids(&self, guids: &[&str]) -> Result<Vec<Org>, Error> {
        in_dialect!(self, organizations::by_guids(guids))
    }

    /// Returns the GUID. In 2017 orgs had no metadata.
    pub(crate) async fn create_org(
        &self,
        name: &str,
        metadata: &Metadata,
    ) -> Result<String, Error> {
        in_dialect!(self, organizations::create(name, metadata))
    }

    /// Deletes an org and everything in it. Succeeds if it does not exist.
    pub(crate) async fn delete_org(&self, what: &str, org: &str) -> Result<(), Error> {
        in_dialect!(self, organizations::delete(what, org))
    }

    /// Sets labels and annotations, and removes those without a value. Others stay. In
    /// 2017, nothing is sent.
    pub(crate) async fn set_org_metadata(
        &self,
        org: &str,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        in_dialect!(self, organizations::set_metadata(org, metadata))
    }

    pub(crate) async fn quotas_named(&self, names: &[&str]) -> Result<Vec<OrgQuota>, Error> {
        in_dialect!(self, quotas::named(names))
    }

    /// Creates a quota with these limits, and no others; returns the GUID.
    pub(crate) async fn create_quota(&self, name: &str, limits: &Limits) -> Result<String, Error> {
        in_dialect!(self, quotas::create(name, limits))
    }

    /// Sets limits of a quota. Others stay.
    pub(crate) async fn set_quota_limits(&self, quota: &str, limits: &Limits) -> Result<(), Error> {
        in_dialect!(self, quotas::set_limits(quota, limits))
    }

    pub(crate) async fn assign_quota(&self, quota: &str, org: &str) -> Result<(), Error> {
        in_dialect!(self, quotas::assign(quota, org))
    }

    /// Succeeds if it does not exist.
    pub(crate) async fn delete_quota(&self, what: &str, quota: &str) -> Result<(), Error> {
        in_dialect!(self, quotas::delete(what, quota))
    }
}

/// Spaces, security groups and domains.
impl Client {
    pub(crate) async fn spaces_of_orgs(&self, orgs: &[&str]) -> Result<Vec<Space>, Error> {
        in_dialect!(self, spaces::of_orgs(orgs))
    }

    /// The spaces of these GUIDs, with their labels; none in 2017.
    pub(crate) async fn spaces_by_guids(&self, guids: &[&str]) -> Result<Vec<Space>, Error> {
        in_dialect!(self, spaces::by_guids(guids))
    }

    /// As [`Client::set_org_metadata`].
    pub(crate) async fn set_space_metadata(
        &self,
        space: &str,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        in_dialect!(self, spaces::set_metadata(space, metadata))
    }

    /// The spaces of some orgs that have one of these names.
    pub(crate) async fn spaces_named(
        &self,
        orgs: &[&str],
        names: &[&str],
    ) -> Result<Vec<Space>, Error> {
        in_dialect!(self, spaces::named(orgs, names))
    }

    /// Finds a space by the names of its org and itself.
    pub(crate) async fn space_of_org_named(
        &self,
        org: &str,
        name: &str,
    ) -> Result<Option<Space>, Error> {
        in_dialect!(self, spaces::of_org_named(org, name))
    }

    /// Returns the GUID. In 2017 spaces had no metadata.
    pub(crate) async fn create_space(
        &self,
        name: &str,
        org: &str,
        metadata: &Metadata,
    ) -> Result<String, Error> {
        in_dialect!(self, spaces::create(name, org, metadata))
    }

    pub(crate) async fn security_groups_named(
        &self,
        names: &[&str],
    ) -> Result<Vec<SecurityGroup>, Error> {
        in_dialect!(self, security_groups::named(names))
    }

    /// Returns the GUID.
    pub(crate) async fn create_security_group(
        &self,
        group: &NewSecurityGroup<'_>,
    ) -> Result<String, Error> {
        in_dialect!(self, security_groups::create(group))
    }

    /// Applies a security group to all spaces, or no longer.
    pub(crate) async fn enable_security_group(
        &self,
        group: &str,
        enabled: Enabled,
    ) -> Result<(), Error> {
        in_dialect!(self, security_groups::enable(group, enabled))
    }

    pub(crate) async fn update_security_group(
        &self,
        group: &str,
        rules: &[Rule],
    ) -> Result<(), Error> {
        in_dialect!(self, security_groups::update(group, rules))
    }

    /// Binds a security group to more spaces, for running apps.
    pub(crate) async fn bind_security_group(
        &self,
        group: &str,
        spaces: &[&str],
    ) -> Result<(), Error> {
        in_dialect!(self, security_groups::bind(group, spaces))
    }

    /// Unbinds a security group from the running apps of a space.
    pub(crate) async fn unbind_security_group(
        &self,
        group: &str,
        space: &str,
    ) -> Result<(), Error> {
        in_dialect!(self, security_groups::unbind(group, space))
    }

    /// Succeeds if it does not exist.
    pub(crate) async fn delete_security_group(&self, what: &str, group: &str) -> Result<(), Error> {
        in_dialect!(self, security_groups::delete(what, group))
    }

    /// The domains that the user can see, in the foundation's order. In 2017, the shared
    /// domains.
    pub(crate) async fn domains(&self) -> Result<Vec<Domain>, Error> {
        in_dialect!(self, domains::all())
    }
}

/// Apps and their manifests.
impl Client {
    pub(crate) async fn apps_of_orgs(&self, orgs: &[&str]) -> Result<OrgApps, Error> {
        in_dialect!(self, apps::of_orgs(orgs))
    }

    /// The number of apps in an org.
    pub(crate) async fn app_count_of_org(&self, org: &str) -> Result<usize, Error> {
        in_dialect!(self, apps::count_of_org(org))
    }

    /// The apps of a space that have one of these names.
    pub(crate) async fn apps_named(&self, space: &str, names: &[&str]) -> Result<Vec<App>, Error> {
        in_dialect!(self, apps::named(space, names))
    }

    pub(crate) async fn app(&self, app: &str) -> Result<App, Error> {
        in_dialect!(self, apps::get(app))
    }

    /// Returns the GUID.
    pub(crate) async fn create_app(&self, app: &NewApp<'_>) -> Result<String, Error> {
        in_dialect!(self, apps::create(app))
    }

    /// Sets labels and annotations, and removes those without a value. Others stay.
    pub(crate) async fn set_app_metadata(
        &self,
        app: &str,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        in_dialect!(self, apps::set_metadata(app, metadata))
    }

    /// Sets the buildpacks for later stagings. Without any, they are detected.
    pub(crate) async fn set_buildpacks(
        &self,
        app: &str,
        buildpacks: &[String],
    ) -> Result<(), Error> {
        in_dialect!(self, apps::set_buildpacks(app, buildpacks))
    }

    pub(crate) async fn env(&self, app: &str) -> Result<Env, Error> {
        in_dialect!(self, apps::env(app))
    }

    /// Sets environment variables, and removes those without a value.
    pub(crate) async fn set_env(
        &self,
        app: &str,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(), Error> {
        in_dialect!(self, apps::set_env(app, changes))
    }

    /// The GUID of the droplet that an app runs with.
    pub(crate) async fn current_droplet(&self, app: &str) -> Result<Option<String>, Error> {
        in_dialect!(self, apps::current_droplet(app))
    }

    pub(crate) async fn set_current_droplet(&self, app: &str, droplet: &str) -> Result<(), Error> {
        in_dialect!(self, apps::set_current_droplet(app, droplet))
    }

    /// Records the SHA-256 of the bits that an app's droplet was staged from, or removes
    /// the record.
    pub(crate) async fn annotate_bits(
        &self,
        app: &str,
        droplet: &str,
        bits: Option<&str>,
    ) -> Result<(), Error> {
        in_dialect!(self, apps::annotate_bits(app, droplet, bits))
    }

    pub(crate) async fn start_app(&self, app: &str) -> Result<(), Error> {
        in_dialect!(self, apps::start(app))
    }

    pub(crate) async fn stop_app(&self, app: &str) -> Result<(), Error> {
        in_dialect!(self, apps::stop(app))
    }

    pub(crate) async fn restart_app(&self, app: &str) -> Result<(), Error> {
        in_dialect!(self, apps::restart(app))
    }

    /// Succeeds if it does not exist.
    pub(crate) async fn delete_app(&self, what: &str, app: &str) -> Result<(), Error> {
        in_dialect!(self, apps::delete(what, app))
    }

    /// Applies a manifest to a space, and waits for the job. Without a response, it may
    /// have taken effect.
    pub(crate) async fn apply_manifest(
        &self,
        what: &str,
        space: &str,
        manifest: &str,
        replay: Replay,
    ) -> Result<(), Error> {
        in_dialect!(self, manifests::apply(what, space, manifest, replay))
    }

    /// The changes that applying a manifest would make.
    pub(crate) async fn manifest_diff(
        &self,
        space: &str,
        manifest: &str,
        replay: Replay,
    ) -> Result<Vec<DiffEntry>, Error> {
        in_dialect!(self, manifests::diff(space, manifest, replay))
    }

    /// The current manifest of an app, in YAML.
    pub(crate) async fn app_manifest(&self, app: &str) -> Result<String, Error> {
        in_dialect!(self, manifests::of_app(app))
    }
}

/// Processes and deployments.
impl Client {
    pub(crate) async fn web_processes_of_orgs(&self, orgs: &[&str]) -> Result<Vec<Process>, Error> {
        in_dialect!(self, processes::web_of_orgs(orgs))
    }

    pub(crate) async fn web_processes_of_spaces(
        &self,
        spaces: &[&str],
    ) -> Result<Vec<Process>, Error> {
        in_dialect!(self, processes::web_of_spaces(spaces))
    }

    pub(crate) async fn processes_of_apps(&self, apps: &[String]) -> Result<Vec<Process>, Error> {
        in_dialect!(self, processes::of_apps(apps))
    }

    /// The apps of a space that have a web process; only in 2017.
    pub(crate) async fn summaries(&self, space: &str) -> Result<Vec<Summary>, Error> {
        in_dialect!(self, processes::summaries(space))
    }

    /// The instances of a process. Empty if the process does not exist.
    pub(crate) async fn instances(&self, process: &str) -> Result<Vec<Instance>, Error> {
        in_dialect!(self, processes::instances(process))
    }

    /// Where the running instances of an app's web process are reached from outside of
    /// the container network: addresses of cells with ports.
    pub(crate) async fn cell_addresses(&self, app: &str) -> Result<Vec<String>, Error> {
        in_dialect!(self, processes::cell_addresses(app))
    }

    /// Sets the command of an app's web process. `None` selects the droplet's command.
    pub(crate) async fn set_command(&self, app: &str, command: Option<&str>) -> Result<(), Error> {
        in_dialect!(self, processes::set_command(app, command))
    }

    /// Changes the health check of an app's web process. `None` keeps a value.
    pub(crate) async fn set_health_check(
        &self,
        app: &str,
        check: &HealthCheck<'_>,
    ) -> Result<(), Error> {
        in_dialect!(self, processes::set_health_check(app, check))
    }

    /// Scales an app's web process.
    pub(crate) async fn scale(&self, app: &str, scale: Scale) -> Result<(), Error> {
        in_dialect!(self, processes::scale(app, scale))
    }

    /// Returns the GUID.
    pub(crate) async fn create_deployment(
        &self,
        deployment: &NewDeployment<'_>,
    ) -> Result<String, Error> {
        in_dialect!(self, deployments::create(deployment))
    }

    pub(crate) async fn deployment(&self, deployment: &str) -> Result<Deployment, Error> {
        in_dialect!(self, deployments::get(deployment))
    }

    pub(crate) async fn cancel_deployment(&self, deployment: &str) -> Result<(), Error> {
        in_dialect!(self, deployments::cancel(deployment))
    }
}

/// Packages, builds and droplets.
impl Client {
    pub(crate) async fn packages_of_spaces(&self, spaces: &[&str]) -> Result<Vec<Package>, Error> {
        in_dialect!(self, packages::of_spaces(spaces))
    }

    pub(crate) async fn packages_of_app(&self, app: &str) -> Result<Vec<Package>, Error> {
        in_dialect!(self, packages::of_app(app))
    }

    /// The packages of bits of some apps that can be staged, the newest of an app first.
    pub(crate) async fn ready_packages(&self, apps: &[&str]) -> Result<Vec<Package>, Error> {
        in_dialect!(self, packages::ready_of_apps(apps))
    }

    pub(crate) async fn packages(&self, guids: &[String]) -> Result<Vec<Package>, Error> {
        in_dialect!(self, packages::by_guids(guids))
    }

    pub(crate) async fn package(&self, package: &str) -> Result<Package, Error> {
        in_dialect!(self, packages::get(package))
    }

    /// Creates a package for bits with this SHA-256; returns the GUID.
    pub(crate) async fn create_package(&self, app: &str, bits: &str) -> Result<String, Error> {
        in_dialect!(self, packages::create(app, bits))
    }

    /// Returns the GUID.
    pub(crate) async fn create_docker_package(
        &self,
        app: &str,
        image: &DockerImage<'_>,
    ) -> Result<String, Error> {
        in_dialect!(self, packages::create_docker(app, image))
    }

    pub(crate) async fn upload_package(
        &self,
        what: &str,
        package: &str,
        upload: Upload,
    ) -> Result<(), Error> {
        in_dialect!(self, packages::upload(what, package, upload))
    }

    /// Succeeds if it does not exist.
    pub(crate) async fn delete_package(&self, what: &str, package: &str) -> Result<(), Error> {
        in_dialect!(self, packages::delete(what, package))
    }

    /// The SHA-1s of the files that the Cloud Controller already has.
    pub(crate) async fn known_resources(
        &self,
        resources: &[Resource<'_>],
    ) -> Result<Vec<String>, Error> {
        in_dialect!(self, resource_matches::known(resources))
    }

    pub(crate) async fn builds(&self, guids: &[String]) -> Result<Vec<Build>, Error> {
        in_dialect!(self, builds::by_guids(guids))
    }

    pub(crate) async fn build(&self, build: &str) -> Result<Build, Error> {
        in_dialect!(self, builds::get(build))
    }

    /// The builds of an app that are being staged.
    pub(crate) async fn staging_builds(&self, app: &str) -> Result<Vec<Build>, Error> {
        in_dialect!(self, builds::staging(app))
    }

    /// Stages a package with these buildpacks, or with those of the app if `None`. An
    /// empty list has them detected.
    pub(crate) async fn create_build(
        &self,
        package: &str,
        buildpacks: Option<&[String]>,
    ) -> Result<Build, Error> {
        in_dialect!(self, builds::create(package, buildpacks))
    }

    pub(crate) async fn droplets_of_orgs(&self, orgs: &[&str]) -> Result<Vec<Droplet>, Error> {
        in_dialect!(self, droplets::of_orgs(orgs))
    }

    pub(crate) async fn droplets_of_spaces(&self, spaces: &[&str]) -> Result<Vec<Droplet>, Error> {
        in_dialect!(self, droplets::of_spaces(spaces))
    }

    pub(crate) async fn droplets_of_apps(&self, apps: &[&str]) -> Result<Vec<Droplet>, Error> {
        in_dialect!(self, droplets::of_apps(apps))
    }

    pub(crate) async fn droplets(&self, guids: &[String]) -> Result<Vec<Droplet>, Error> {
        in_dialect!(self, droplets::by_guids(guids))
    }

    /// Creates a droplet that a file can be uploaded to; returns the GUID.
    pub(crate) async fn create_droplet(&self, app: &str) -> Result<String, Error> {
        in_dialect!(self, droplets::create(app))
    }

    /// Begins to copy a droplet to an app; returns the GUID of the copy.
    pub(crate) async fn copy_droplet(&self, droplet: &str, app: &str) -> Result<String, Error> {
        in_dialect!(self, droplets::copy(droplet, app))
    }

    pub(crate) async fn upload_droplet(
        &self,
        what: &str,
        droplet: &str,
        upload: Upload,
    ) -> Result<(), Error> {
        in_dialect!(self, droplets::upload(what, droplet, upload))
    }

    /// Succeeds if it does not exist.
    pub(crate) async fn delete_droplet(&self, what: &str, droplet: &str) -> Result<(), Error> {
        in_dialect!(self, droplets::delete(what, droplet))
    }
}

/// Routes.
impl Client {
    /// In 2017 without their destinations: see [`Client::summaries`].
    pub(crate) async fn routes_of_spaces(&self, spaces: &[&str]) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::of_spaces(spaces))
    }

    pub(crate) async fn routes_of_app(&self, app: &str) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::of_app(app))
    }

    /// A route with several of the apps as destinations may be listed more than once.
    pub(crate) async fn routes_of_apps(&self, apps: &[&str]) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::of_apps(apps))
    }

    /// The routes with one of these hosts in one of these domains, whatever their path.
    pub(crate) async fn routes_with_hosts(
        &self,
        domains: &[&str],
        hosts: &[&str],
    ) -> Result<Vec<Route>, Error> {
        in_dialect!(self, routes::with_hosts(domains, hosts))
    }

    /// Returns the GUID.
    pub(crate) async fn create_route(&self, route: &NewRoute<'_>) -> Result<String, Error> {
        in_dialect!(self, routes::create(route))
    }

    /// Adds a destination to a route: the web process of an app, on its default port.
    pub(crate) async fn map_route(&self, route: &str, app: &str) -> Result<(), Error> {
        in_dialect!(self, routes::map(route, app))
    }

    /// Makes these the only destinations of a route.
    pub(crate) async fn set_destinations(
        &self,
        route: &str,
        destinations: &[Destination],
    ) -> Result<(), Error> {
        in_dialect!(self, routes::set_destinations(route, destinations))
    }

    /// Succeeds if it does not exist.
    pub(crate) async fn delete_route(&self, what: &str, route: &str) -> Result<(), Error> {
        in_dialect!(self, routes::delete(what, route))
    }
}

/// Services and their bindings.
impl Client {
    pub(crate) async fn services_of_orgs(
        &self,
        orgs: &[&str],
    ) -> Result<Vec<ServiceInstance>, Error> {
        in_dialect!(self, service_instances::of_orgs(orgs))
    }

    /// Removes the bindings of an app to the services of these names.
    pub(crate) async fn unbind_services(
        &self,
        what: &str,
        app: &str,
        services: &[&str],
    ) -> Result<(), Error> {
        in_dialect!(self, service_bindings::unbind(what, app, services))
    }
}

/// Waiting for one thing.
impl Client {
    /// Waits until a package can be staged.
    pub(crate) async fn wait_for_package(
        &self,
        what: &str,
        package: &str,
    ) -> Result<Package, Error> {
        let poll = || async { Ok(self.package(package).await?.progress()) };
        self.until(what, poll).await
    }

    /// Waits until a build is staged.
    pub(crate) async fn wait_for_build(&self, what: &str, build: &str) -> Result<Build, Error> {
        let poll = || async { Ok(self.build(build).await?.progress()) };
        self.until(what, poll).await
    }

    /// Waits until no build of an app is being staged.
    pub(crate) async fn wait_for_stagings(&self, what: &str, app: &str) -> Result<(), Error> {
        self.until(what, || async {
            Ok(match self.staging_builds(app).await?.len() {
                0 => Progress::Done(()),
                count => Progress::Pending(format!("{count} under way")),
            })
        })
        .await
    }
}

mod around_apps;
mod export;
#[cfg(test)]
mod tests;

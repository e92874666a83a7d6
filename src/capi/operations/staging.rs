//! Packages, builds and droplets.

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Build, DockerImage, Droplet, Package, Resource};
use crate::capi::poll::Progress;
use crate::capi::transport::Upload;

impl Client {
    pub(crate) async fn packages_of_spaces(&self, spaces: &[&str]) -> Result<Vec<Package>, Error> {
        in_dialect!(self, packages::of_spaces(spaces))
    }

    pub(crate) async fn packages_of_app(&self, app: &str) -> Result<Vec<Package>, Error> {
        in_dialect!(self, packages::of_app(app))
    }

    /// The packages of some apps that have bits and can be staged, the newest of an app
    /// first.
    pub(crate) async fn ready_packages(&self, apps: &[&str]) -> Result<Vec<Package>, Error> {
        in_dialect!(self, packages::ready_of_apps(apps))
    }

    /// The images of some apps, the newest of an app first.
    pub(crate) async fn image_packages(&self, apps: &[&str]) -> Result<Vec<Package>, Error> {
        in_v3!(self, "listing images", packages::images_of_apps(apps))
    }

    pub(crate) async fn packages(&self, guids: &[String]) -> Result<Vec<Package>, Error> {
        in_dialect!(self, packages::by_guids(guids))
    }

    pub(crate) async fn package(&self, package: &str) -> Result<Package, Error> {
        in_dialect!(self, packages::get(package))
    }

    /// Creates a package for bits with this SHA-256 and returns its GUID.
    pub(crate) async fn create_package(&self, app: &str, bits: &str) -> Result<String, Error> {
        in_dialect!(self, packages::create(app, bits))
    }

    /// Creates a package for a Docker image and returns its GUID.
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

    /// Deletes a package. Succeeds if it does not exist.
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

    /// The builds of an app that are being staged.
    pub(crate) async fn staging_builds(&self, app: &str) -> Result<Vec<Build>, Error> {
        in_dialect!(self, builds::staging(app))
    }

    /// Stages a package with these buildpacks. `None` uses the app's buildpacks, and an
    /// empty list detects them.
    pub(crate) async fn create_build(
        &self,
        package: &str,
        buildpacks: Option<&[String]>,
    ) -> Result<Build, Error> {
        in_dialect!(self, builds::create(package, buildpacks))
    }

    pub(crate) async fn droplets_of_orgs(
        &self,
        orgs: &[&str],
        expected: usize,
    ) -> Result<Vec<Droplet>, Error> {
        in_dialect!(self, droplets::of_orgs(orgs, expected))
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

    /// Creates a droplet that a file can be uploaded to and returns its GUID.
    pub(crate) async fn create_droplet(&self, app: &str) -> Result<String, Error> {
        in_dialect!(self, droplets::create(app))
    }

    /// Starts to copy a droplet to an app and returns the GUID of the copy.
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

    /// Deletes a droplet. Succeeds if it does not exist.
    pub(crate) async fn delete_droplet(&self, what: &str, droplet: &str) -> Result<(), Error> {
        in_dialect!(self, droplets::delete(what, droplet))
    }
}

/// Waits for single resources.
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

    /// Waits until no build of an app is being staged.
    pub(crate) async fn wait_for_stagings(&self, what: &str, app: &str) -> Result<(), Error> {
        self.until(what, || async {
            Ok(match self.staging_builds(app).await?.len() {
                0 => Progress::Done(()),
                count => Progress::Pending(format!("{count} in progress")),
            })
        })
        .await
    }
}

//! Apps and their manifests.

use std::collections::BTreeMap;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{App, DiffEntry, Env, Metadata, NewApp, OrgApps};
use crate::capi::transport::Replay;

impl Client {
    pub(crate) async fn apps_of_orgs(
        &self,
        orgs: &[&str],
        expected: usize,
    ) -> Result<OrgApps, Error> {
        in_dialect!(self, apps::of_orgs(orgs, expected))
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

    /// Creates an app and returns its GUID.
    pub(crate) async fn create_app(&self, app: &NewApp<'_>) -> Result<String, Error> {
        in_dialect!(self, apps::create(app))
    }

    /// Sets labels and annotations, and removes labels and annotations without a value.
    /// All others are kept.
    pub(crate) async fn set_app_metadata(
        &self,
        app: &str,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        in_dialect!(self, apps::set_metadata(app, metadata))
    }

    /// Sets the buildpacks for later stagings. If the list is empty, they are detected.
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

    /// Sets environment variables, and removes variables without a value.
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

    /// Deletes an app. Succeeds if it does not exist.
    pub(crate) async fn delete_app(&self, what: &str, app: &str) -> Result<(), Error> {
        in_dialect!(self, apps::delete(what, app))
    }

    /// Applies a manifest to a space, and waits for the job. If the response is lost, the
    /// manifest may have taken effect.
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

//! Processes and deployments.

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{
    Deployment, HealthCheck, Instance, NewDeployment, Process, Scale, Summary,
};

impl Client {
    pub(crate) async fn web_processes_of_orgs(
        &self,
        orgs: &[&str],
        expected: usize,
    ) -> Result<Vec<Process>, Error> {
        in_dialect!(self, processes::web_of_orgs(orgs, expected))
    }

    pub(crate) async fn web_processes_of_spaces(
        &self,
        spaces: &[&str],
        expected: usize,
    ) -> Result<Vec<Process>, Error> {
        in_dialect!(self, processes::web_of_spaces(spaces, expected))
    }

    pub(crate) async fn processes_of_apps(&self, apps: &[String]) -> Result<Vec<Process>, Error> {
        in_dialect!(self, processes::of_apps(apps))
    }

    /// The apps of a space that have a web process. Only in 2017.
    pub(crate) async fn summaries(&self, space: &str) -> Result<Vec<Summary>, Error> {
        in_dialect!(self, processes::summaries(space))
    }

    /// The instances of a process. Empty if the process does not exist.
    pub(crate) async fn instances(&self, process: &str) -> Result<Vec<Instance>, Error> {
        in_dialect!(self, processes::instances(process))
    }

    /// The addresses of an app's running web instances outside the container network:
    /// cells with ports.
    pub(crate) async fn cell_addresses(&self, app: &str) -> Result<Vec<String>, Error> {
        in_dialect!(self, processes::cell_addresses(app))
    }

    /// Sets the command of an app's web process. `None` selects the droplet's command.
    pub(crate) async fn set_command(&self, app: &str, command: Option<&str>) -> Result<(), Error> {
        in_dialect!(self, processes::set_command(app, command))
    }

    /// Changes the health check of an app's web process. `None` keeps the current value.
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

    /// Creates a deployment and returns its GUID.
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

//! Replaces the instances of an app with a deployment, and waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::Client;
use super::error::Error;
use super::model::{Deployment, DeploymentOptions, InstanceState, NewDeployment};
use super::poll::Progress;

/// The state of a deployment when the wait for it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeploymentResult {
    /// The deployment is finished, or its first instance is running.
    Finished,
    /// A canary is running, and the deployment waits to be continued.
    Paused,
}

impl Client {
    /// Sets the droplet of a stopped app and starts it, in one request. The caller waits
    /// for the instances only.
    pub(crate) async fn deploy_stopped(&self, app: &str, droplet: &str) -> Result<(), Error> {
        let deployment = NewDeployment {
            app,
            droplet,
            options: DeploymentOptions::default(),
        };
        self.create_deployment(&deployment).await?;
        Ok(())
    }

    /// Sets the droplet of a stopped app and starts it: in one request, or in two if the
    /// foundation refuses deployments. After a refusal, `deploys` is false, so that other
    /// apps do not try a deployment.
    pub(crate) async fn start_with_droplet(
        &self,
        app: &str,
        droplet: &str,
        deploys: &AtomicBool,
    ) -> Result<(), Error> {
        if deploys.load(Ordering::Relaxed) {
            match self.deploy_stopped(app, droplet).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_deployments_disabled() => {
                    deploys.store(false, Ordering::Relaxed);
                }
                // The Cloud Controller may refuse a deployment that it has already
                // carried out.
                Err(error) if error.is_unprocessable() => {
                    let found = self.app(app).await?;
                    if found.is_started && found.current_droplet.as_deref() == Some(droplet) {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.set_current_droplet(app, droplet).await?;
        self.start_app(app).await
    }

    /// Starts a deployment, and waits until it is finished or a canary is paused. With
    /// `first_only`, waits until one new instance runs. A deployment that exceeds the
    /// deadline is cancelled.
    pub(crate) async fn deploy(
        &self,
        name: &str,
        deployment: &NewDeployment<'_>,
        first_only: bool,
        timeout: Duration,
    ) -> Result<DeploymentResult, Error> {
        let guid = self.create_deployment(deployment).await?;
        let what = format!("the deployment of {name}");
        let outcome = self
            .until_within(timeout, &what, || async {
                let deployment = self.deployment(&guid).await?;
                match progress(&deployment) {
                    Progress::Pending(_) if first_only && self.new_runs(&deployment).await? => {
                        Ok(Progress::Done(DeploymentResult::Finished))
                    }
                    progress => Ok(progress),
                }
            })
            .await;
        if let Err(Error::Deadline { .. }) = &outcome
            && let Err(error) = self.cancel_deployment(&guid).await
        {
            tracing::debug!(%error, "the deployment was not cancelled");
        }
        outcome
    }

    /// Whether an instance of the new process runs.
    async fn new_runs(&self, deployment: &Deployment) -> Result<bool, Error> {
        let Some(process) = &deployment.new_process else {
            return Ok(false);
        };
        let instances = self.instances(process).await?;
        let mut states = instances.iter().map(|instance| &instance.state);
        Ok(states.any(|state| *state == InstanceState::Running))
    }
}

fn progress(deployment: &Deployment) -> Progress<DeploymentResult> {
    match (deployment.status.as_str(), deployment.reason.as_str()) {
        ("FINALIZED", "DEPLOYED") => Progress::Done(DeploymentResult::Finished),
        ("ACTIVE", "PAUSED") => Progress::Done(DeploymentResult::Paused),
        ("FINALIZED", reason) => Progress::Failed(format!("it ended as {reason}")),
        (status, reason) => Progress::Pending(format!("{status} {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("FINALIZED", "DEPLOYED", Progress::Done(DeploymentResult::Finished))]
    #[case("ACTIVE", "PAUSED", Progress::Done(DeploymentResult::Paused))]
    #[case("ACTIVE", "DEPLOYING", Progress::Pending("ACTIVE DEPLOYING".to_owned()))]
    #[case("FINALIZED", "CANCELED", Progress::Failed("it ended as CANCELED".to_owned()))]
    fn the_wait_ends_with_the_status_of_the_deployment(
        #[case] status: &str,
        #[case] reason: &str,
        #[case] expected: Progress<DeploymentResult>,
    ) {
        let deployment = Deployment {
            status: status.to_owned(),
            reason: reason.to_owned(),
            new_process: None,
        };
        assert_eq!(progress(&deployment), expected);
    }
}

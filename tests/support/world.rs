//! A desired state, and counts of the resources of the resulting foundation.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cf_pusher::{Approval, Client, Converger, Desired, Error, Events};
use mock_capi::{CloudController, MockCapiBuilder};
use serde_json::Value;

use super::declared::{self, declared_on};
use super::{Workflow, desired, http, read, target};

/// A desired state and a workflow, for any number of foundations.
pub(crate) struct World {
    desired: Desired,
    pub(crate) workflow: Workflow,
    builder: Option<fn() -> MockCapiBuilder>,
    timeout: Duration,
}

impl World {
    pub(crate) fn new(workflow: Workflow, config: &str) -> Self {
        Self::of(workflow, config, None)
    }

    /// A configuration with the bits in a folder.
    pub(crate) fn of(workflow: Workflow, config: &str, apps_dir: Option<&Path>) -> Self {
        let (config, sources) = read(config, apps_dir);
        Self::desired(workflow, desired(&config, &sources))
    }

    /// Any desired state.
    pub(crate) fn desired(workflow: Workflow, desired: Desired) -> Self {
        Self {
            desired,
            workflow,
            builder: None,
            timeout: Duration::from_secs(120),
        }
    }

    /// Sets the timeout of runs.
    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the kind of foundations.
    pub(crate) fn on(self, builder: fn() -> MockCapiBuilder) -> Self {
        let builder = Some(builder);
        Self { builder, ..self }
    }

    /// A desired state with all kinds of supporting resources, except for those that a
    /// foundation must already have.
    pub(crate) fn declared() -> Self {
        Self::desired(Workflow::Manifest, declared_on(false)).on(declared::foundation)
    }

    pub(crate) fn foundation(&self) -> MockCapiBuilder {
        match self.builder {
            Some(builder) => builder(),
            None => self.workflow.foundation(),
        }
    }

    /// The resources after an undisturbed run on a fresh foundation.
    pub(crate) async fn undisturbed(&self) -> ResourceCounts {
        self.measured().await.0
    }

    /// The resources after an undisturbed run, and the number of its requests.
    pub(crate) async fn measured(&self) -> (ResourceCounts, usize) {
        let mock = self.foundation().start().await.unwrap();
        self.run(&mock).await.unwrap();
        let requests = usize::try_from(mock.stats().total).unwrap();
        (ResourceCounts::of(&mock), requests)
    }

    /// Runs once, including the login, and returns the remaining drift as text.
    pub(crate) async fn run(&self, mock: &CloudController) -> Result<(), String> {
        let client = self.connect(mock).await;
        let client = client.map_err(|error| error.to_string())?;
        match self.converger(&client).converge(Approval::All).await {
            Ok(outcome) if outcome.is_converged() => Ok(()),
            Ok(outcome) => {
                let failures = outcome.failures.iter().map(ToString::to_string);
                let mismatches = outcome.drift.iter().map(ToString::to_string);
                Err(failures.chain(mismatches).collect::<Vec<_>>().join("\n"))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// The drift of the foundation.
    pub(crate) async fn verify(&self, mock: &CloudController) -> Vec<String> {
        let client = self.connect(mock).await.unwrap();
        let mismatches = self.converger(&client).verify().await.unwrap();
        mismatches.iter().map(ToString::to_string).collect()
    }

    async fn connect(&self, mock: &CloudController) -> Result<Client, Error> {
        let target = target(mock).timeout(self.timeout);
        Client::connect(&target, Events::new([])).await
    }

    fn converger(&self, client: &Client) -> Converger {
        self.workflow.of(client, self.desired.clone())
    }

    /// Gets a resource of the mock.
    pub(crate) async fn get(&self, mock: &CloudController, path: &str) -> Value {
        let request = http().get(format!("{}{path}", mock.uri()));
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// The number of resources of each kind, by state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceCounts(pub(crate) BTreeMap<String, usize>);

impl ResourceCounts {
    pub(crate) fn of(mock: &CloudController) -> Self {
        const KINDS: [&str; 14] = [
            "organizations",
            "organization_quotas",
            "spaces",
            "security_groups",
            "apps",
            "processes",
            "packages",
            "droplets",
            "routes",
            "domains",
            "network_policies",
            "roles",
            "service_instances",
            "space_quotas",
        ];
        let state = mock.state();
        let mut counts = BTreeMap::new();
        for kind in KINDS {
            for resource in state[kind].as_array().unwrap() {
                let named = match resource["state"].as_str() {
                    Some(state) => format!("{kind} {state}"),
                    None => kind.to_owned(),
                };
                *counts.entry(named).or_default() += 1;
            }
        }
        Self(counts)
    }
}

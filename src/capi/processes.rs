//! Processes and their instances (`/v3/processes`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::error::Error;
use super::parallel;
use super::wait::{self, Progress};
use super::waits::{Sight, Watch};

/// A process of an app, with its instances.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) guid: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// How many there are to be.
    #[serde(rename(serialize = "desired_instances"))]
    pub(crate) instances: u32,
    pub(crate) memory_in_mb: u64,
    pub(crate) disk_in_mb: u64,
    #[serde(rename(serialize = "instances"), default)]
    process_instances: Option<Vec<Instance>>,
    #[serde(skip_serializing)]
    relationships: Relationships,
}

#[derive(Debug, Clone, Deserialize)]
struct Relationships {
    app: ToOne,
}

#[derive(Debug, Clone, Deserialize)]
struct ToOne {
    data: Guid,
}

#[derive(Debug, Clone, Deserialize)]
struct Guid {
    guid: String,
}

/// An instance, as it was seen last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) index: u64,
    /// As Cloud Controller calls it: `RUNNING`, `STARTING`, `DOWN`, `CRASHED`.
    pub(crate) state: String,
    /// Why it is so, where Cloud Controller says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<String>,
}

impl Process {
    /// The GUID of its app.
    pub(crate) fn app(&self) -> &str {
        &self.relationships.app.data.guid
    }

    pub(crate) fn instances(&self) -> &[Instance] {
        self.process_instances.as_deref().unwrap_or_default()
    }

    pub(crate) fn running(&self) -> usize {
        let running = self.instances().iter();
        running
            .filter(|instance| instance.state == "RUNNING")
            .count()
    }

    fn all_crashed(&self) -> bool {
        let mut instances = self.instances().iter();
        !self.instances().is_empty() && instances.all(|instance| instance.state == "CRASHED")
    }
}

/// Watches apps until an instance of each process runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Of the web process only.
    web_only: bool,
    /// Foundations before the parameter `embed` refuse it: asked once.
    embeds: AtomicBool,
}

impl Watch for Running {
    type Done = Vec<Process>;

    fn first_pause(&self) -> Duration {
        wait::SLOW
    }

    async fn look(
        &self,
        client: &Client,
        apps: &[String],
    ) -> Result<Vec<(String, Sight<Vec<Process>>)>, Error> {
        let mut of_apps: BTreeMap<String, Vec<Process>> = BTreeMap::new();
        let filter = format!("app_guids={}", apps.join(","));
        for process in list(client, &filter, &self.embeds).await? {
            let app = process.app().to_owned();
            of_apps.entry(app).or_default().push(process);
        }
        let sights = of_apps.into_iter();
        Ok(sights.map(|(app, all)| (app, self.sight(all))).collect())
    }
}

impl Running {
    pub(crate) fn new(web_only: bool) -> Self {
        Self {
            web_only,
            embeds: AtomicBool::new(true),
        }
    }

    fn sight(&self, all: Vec<Process>) -> Sight<Vec<Process>> {
        let asked =
            |process: &&Process| process.instances > 0 && (!self.web_only || process.kind == "web");
        for process in all.iter().filter(asked) {
            if process.running() > 0 {
                continue;
            }
            if process.all_crashed() {
                return Err(crash(process));
            }
            let (kind, count) = (&process.kind, process.instances);
            let state = format!("none of {count} instances of {kind} running");
            return Ok(Progress::Pending(state));
        }
        Ok(Progress::Done(all))
    }
}

fn crash(process: &Process) -> String {
    let details = process
        .instances()
        .iter()
        .find_map(|it| it.details.as_deref());
    let details = details.map(|details| format!(": {details}"));
    format!(
        "all instances of the process {} crashed{}",
        process.kind,
        details.unwrap_or_default()
    )
}

/// The processes that a filter such as `app_guids=...` names, with their
/// instances. `embeds` remembers whether the foundation knows the parameter that
/// tells them at once.
pub(crate) async fn list(
    client: &Client,
    filter: &str,
    embeds: &AtomicBool,
) -> Result<Vec<Process>, Error> {
    let path = format!("/v3/processes?{filter}&per_page=5000");
    if embeds.load(Ordering::Relaxed) {
        let embedding = format!("{path}&embed=process_instances");
        match client.list(&embedding).await {
            Err(error) if error.status() == Some(StatusCode::BAD_REQUEST) => {
                embeds.store(false, Ordering::Relaxed);
            }
            outcome => return outcome,
        }
    }
    let processes = client.list::<Process>(&path).await?;
    let processes = processes.into_iter();
    let processes = processes.map(|process| with_instances(client, process));
    parallel::run(client.concurrency(), processes).await
}

async fn with_instances(client: &Client, mut process: Process) -> Result<Process, Error> {
    if process.instances > 0 {
        process.process_instances = Some(instances(client, &process.guid).await?);
    }
    Ok(process)
}

/// The instances of one process.
pub(crate) async fn instances(client: &Client, process: &str) -> Result<Vec<Instance>, Error> {
    #[derive(Deserialize)]
    struct Stats {
        resources: Vec<Instance>,
    }
    let path = format!("/v3/processes/{process}/stats");
    match client.get::<Stats>(&path).await {
        // Deleted since it was listed.
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        outcome => Ok(outcome?.resources),
    }
}

//! `/v2/spaces/:guid/summary`, `/v3/apps/:guid/processes` and `/v3/processes`, in the
//! early v3 of 2017

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::missing;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{HealthCheck, Instance, InstanceState, Process, Scale, Summary};
use crate::capi::text;
use crate::capi::transport::Request;
use crate::capi::v3;
// The same requests in both dialects.
pub(in crate::capi) use crate::capi::v3::processes::instances;

#[derive(Deserialize)]
struct WireSummary {
    apps: Vec<WireApp>,
}

/// An app in the summary of a space. Apps without a web process are missing.
#[derive(Deserialize)]
struct WireApp {
    guid: String,
    instances: u32,
    /// Negative if the foundation does not know the number.
    running_instances: Option<i64>,
    memory: u64,
    disk_quota: u64,
    command: Option<String>,
    health_check_type: Option<String>,
    health_check_http_endpoint: Option<String>,
    environment_json: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    routes: Vec<WireRoute>,
}

#[derive(Deserialize)]
struct WireRoute {
    guid: String,
}

impl From<WireApp> for Summary {
    fn from(app: WireApp) -> Self {
        let env = app.environment_json.unwrap_or_default().into_iter();
        // The summary counts starting instances as running.
        let running = app.running_instances.unwrap_or_default();
        let running = u64::try_from(running).unwrap_or_default();
        let actual = (0..running).map(|index| Instance {
            index,
            state: InstanceState::Running,
            details: None,
            since: None,
        });
        Self {
            env: env.map(|(name, value)| (name, text(value))).collect(),
            command: app.command,
            health_check_type: app.health_check_type,
            health_check_http_endpoint: app.health_check_http_endpoint,
            routes: app.routes.into_iter().map(|route| route.guid).collect(),
            web: Process {
                // The web process had the app's GUID.
                guid: app.guid.clone(),
                kind: "web".to_owned(),
                instances: app.instances,
                memory_mb: app.memory,
                disk_mb: app.disk_quota,
                actual: actual.collect(),
                app: app.guid,
            },
        }
    }
}

/// All apps of a space that have a web process, from one request.
pub(in crate::capi) async fn summaries(
    client: &Client,
    space: &str,
) -> Result<Vec<Summary>, Error> {
    let summary: WireSummary = client.get(&format!("/v2/spaces/{space}/summary")).await?;
    Ok(summary.apps.into_iter().map(Summary::from).collect())
}

/// Only spaces had summaries, so this list is empty.
pub(in crate::capi) async fn web_of_orgs(
    _client: &Client,
    _orgs: &[&str],
    _expected: usize,
) -> Result<Vec<Process>, Error> {
    Err(missing("listing the processes of an org"))
}

pub(in crate::capi) async fn web_of_spaces(
    client: &Client,
    spaces: &[&str],
    _expected: usize,
) -> Result<Vec<Process>, Error> {
    let mut processes = Vec::new();
    for space in spaces {
        let summaries = summaries(client, space).await?.into_iter();
        processes.extend(summaries.map(|summary| summary.web));
    }
    Ok(processes)
}

pub(in crate::capi) async fn of_apps(
    _client: &Client,
    _apps: &[String],
) -> Result<Vec<Process>, Error> {
    Err(missing("listing the processes of apps"))
}

pub(in crate::capi) async fn cell_addresses(
    _client: &Client,
    _app: &str,
) -> Result<Vec<String>, Error> {
    Err(missing("reading the addresses of instances"))
}

/// Sets the command of the web process. `None` selects the droplet's command.
pub(in crate::capi) async fn set_command(
    client: &Client,
    app: &str,
    command: Option<&str>,
) -> Result<(), Error> {
    // The web process had the app's GUID.
    let path = format!("/v3/processes/{app}");
    let request = Request::patch(path).json(json!({"command": command}));
    client.send(&request).await?;
    Ok(())
}

/// Changes the health check of the web process. `None` keeps the current value.
pub(in crate::capi) async fn set_health_check(
    client: &Client,
    app: &str,
    check: &HealthCheck<'_>,
) -> Result<(), Error> {
    let body = v3::processes::health_check_body(check);
    let request = Request::patch(format!("/v3/processes/{app}")).json(body);
    client.send(&request).await?;
    Ok(())
}

/// Scales the web process.
pub(in crate::capi) async fn scale(client: &Client, app: &str, scale: Scale) -> Result<(), Error> {
    let path = format!("/v3/apps/{app}/processes/web/scale");
    let body = v3::processes::scale_body(scale);
    client.send(&Request::put(path).json(json!(body))).await?;
    Ok(())
}

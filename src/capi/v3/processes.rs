//! `/v3/processes`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AppRelationship, into_all, list_of_all};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{HealthCheck, Instance, Process, Scale, Summary};
use crate::capi::parallel;
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireProcess {
    guid: String,
    #[serde(rename = "type")]
    kind: String,
    instances: u32,
    memory_in_mb: u64,
    disk_in_mb: u64,
    process_instances: Option<Vec<Instance>>,
    relationships: AppRelationship,
}

impl From<WireProcess> for Process {
    fn from(process: WireProcess) -> Self {
        Self {
            guid: process.guid,
            kind: process.kind,
            instances: process.instances,
            memory_mb: process.memory_in_mb,
            disk_mb: process.disk_in_mb,
            actual: process.process_instances.unwrap_or_default(),
            app: process.relationships.guid(),
        }
    }
}

/// Processes with their instances. Old foundations cannot embed the instances in lists,
/// and refuse the parameter. In that case, the instances of each process are a separate
/// request.
async fn list(
    client: &Client,
    filter: &str,
    guids: &[impl AsRef<str>],
    rest: &str,
    expected: usize,
) -> Result<Vec<Process>, Error> {
    let path = "/v3/processes";
    if client.embeds_instances() {
        let rest = format!("{rest}&embed=process_instances");
        match list_of_all::<WireProcess>(client, path, filter, guids, &rest, expected).await {
            Err(error) if error.is_bad_request() => client.do_not_embed_instances(),
            outcome => return Ok(into_all(outcome?)),
        }
    }
    let processes = list_of_all::<WireProcess>(client, path, filter, guids, rest, expected).await?;
    let processes = processes.into_iter();
    let processes = processes.map(|process| with_instances(client, process.into()));
    parallel::run(client.concurrency(), processes).await
}

async fn with_instances(client: &Client, mut process: Process) -> Result<Process, Error> {
    if process.instances > 0 {
        process.actual = instances(client, &process.guid).await?;
    }
    Ok(process)
}

pub(in crate::capi) async fn web_of_orgs(
    client: &Client,
    orgs: &[&str],
    expected: usize,
) -> Result<Vec<Process>, Error> {
    list(client, "organization_guids", orgs, "&types=web", expected).await
}

pub(in crate::capi) async fn web_of_spaces(
    client: &Client,
    spaces: &[&str],
    expected: usize,
) -> Result<Vec<Process>, Error> {
    list(client, "space_guids", spaces, "&types=web", expected).await
}

/// All processes of some apps.
pub(in crate::capi) async fn of_apps(
    client: &Client,
    apps: &[String],
) -> Result<Vec<Process>, Error> {
    list(client, "app_guids", apps, "", 0).await
}

/// Today's API has no summaries of spaces.
pub(in crate::capi) async fn summaries(
    _client: &Client,
    _space: &str,
) -> Result<Vec<Summary>, Error> {
    Err(Error::NotInDialect {
        operation: "reading the summary of a space",
    })
}

/// The instances of a process. Empty if the process does not exist.
pub(in crate::capi) async fn instances(
    client: &Client,
    process: &str,
) -> Result<Vec<Instance>, Error> {
    #[derive(Deserialize)]
    struct Stats {
        resources: Vec<Instance>,
    }
    let path = format!("/v3/processes/{process}/stats");
    match client.get::<Stats>(&path).await {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        outcome => Ok(outcome?.resources),
    }
}

/// The cells of the running instances, with the ports that lead to the instances.
pub(in crate::capi) async fn cell_addresses(
    client: &Client,
    app: &str,
) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Stats {
        resources: Vec<Placed>,
    }
    #[derive(Deserialize)]
    struct Placed {
        host: Option<String>,
        #[serde(default)]
        instance_ports: Vec<Ports>,
    }
    #[derive(Deserialize)]
    struct Ports {
        external: Option<u16>,
        external_tls_proxy_port: Option<u16>,
    }
    let path = format!("/v3/apps/{app}/processes/web/stats");
    let stats: Stats = client.get(&path).await?;
    let addresses = stats.resources.into_iter().filter_map(|placed| {
        let host = placed.host.filter(|host| !host.is_empty())?;
        let ports = placed.instance_ports.into_iter().next()?;
        let open = |port: Option<u16>| port.filter(|port| *port > 0);
        let port = open(ports.external).or(open(ports.external_tls_proxy_port))?;
        Some(format!("{host}:{port}"))
    });
    Ok(addresses.collect())
}

/// Sets the command of the web process. `None` selects the droplet's command.
pub(in crate::capi) async fn set_command(
    client: &Client,
    app: &str,
    command: Option<&str>,
) -> Result<(), Error> {
    let path = format!("/v3/apps/{app}/processes/web");
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
    let path = format!("/v3/apps/{app}/processes/web");
    let request = Request::patch(path).json(health_check_body(check));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) fn health_check_body(check: &HealthCheck<'_>) -> Value {
    let mut data = Map::new();
    if let Some(endpoint) = check.endpoint {
        data.insert("endpoint".to_owned(), json!(endpoint));
    }
    if let Some(timeout) = check.invocation_timeout {
        data.insert("invocation_timeout".to_owned(), json!(timeout));
    }
    let mut body = json!({"data": data});
    if let Some(kind) = check.kind {
        body["type"] = json!(kind);
    }
    json!({"health_check": body})
}

/// Scales the web process.
pub(in crate::capi) async fn scale(client: &Client, app: &str, scale: Scale) -> Result<(), Error> {
    let path = format!("/v3/apps/{app}/processes/web/actions/scale");
    let request = Request::post(path).json(json!(scale_body(scale)));
    client.send(&request.repeatable()).await?;
    Ok(())
}

/// The fields to change.
pub(in crate::capi) fn scale_body(scale: Scale) -> BTreeMap<&'static str, u64> {
    let fields = [
        ("instances", scale.instances.map(u64::from)),
        ("memory_in_mb", scale.memory_mb),
        ("disk_in_mb", scale.disk_mb),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

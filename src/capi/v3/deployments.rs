//! `/v3/deployments`

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Guid, to_one};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Deployment, DeploymentOptions, NewDeployment};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireDeployment {
    status: Status,
    #[serde(default)]
    new_processes: Vec<Guid>,
}

#[derive(Deserialize)]
struct Status {
    value: String,
    #[serde(default)]
    reason: String,
}

/// Sets the droplet of an app, and replaces its instances or starts the stopped app.
pub(in crate::capi) async fn create(
    client: &Client,
    deployment: &NewDeployment<'_>,
) -> Result<String, Error> {
    let mut body = json!({"droplet": {"guid": deployment.droplet}});
    if let Some(strategy) = deployment.options.strategy {
        body["strategy"] = json!(strategy);
    }
    body["relationships"] = json!({"app": to_one(deployment.app)});
    let options = options(&deployment.options);
    if !options.is_empty() {
        body["options"] = Value::Object(options);
    }
    let request = Request::post("/v3/deployments").json(body);
    client.create(&request).await
}

/// The options that are not `None`.
fn options(options: &DeploymentOptions<'_>) -> Map<String, Value> {
    let steps = options.canary_steps.iter();
    let steps: Vec<Value> = steps
        .map(|weight| json!({"instance_weight": weight}))
        .collect();
    let canary = (!steps.is_empty()).then(|| json!({"steps": steps}));
    let options = [
        ("max_in_flight", options.max_in_flight.map(Value::from)),
        ("canary", canary),
        ("web_instances", options.web_instances.map(Value::from)),
        ("memory_in_mb", options.memory_mb.map(Value::from)),
        ("disk_in_mb", options.disk_mb.map(Value::from)),
        (
            "log_rate_limit_in_bytes_per_second",
            options.log_rate_limit.map(Value::from),
        ),
    ];
    let given = options.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

pub(in crate::capi) async fn get(client: &Client, deployment: &str) -> Result<Deployment, Error> {
    let path = format!("/v3/deployments/{deployment}");
    let deployment: WireDeployment = client.get(&path).await?;
    let new_process = deployment.new_processes.into_iter().next();
    Ok(Deployment {
        status: deployment.status.value,
        reason: deployment.status.reason,
        new_process: new_process.and_then(|process| process.guid),
    })
}

pub(in crate::capi) async fn cancel(client: &Client, deployment: &str) -> Result<(), Error> {
    let path = format!("/v3/deployments/{deployment}/actions/cancel");
    client.send(&Request::post(path).repeatable()).await?;
    Ok(())
}

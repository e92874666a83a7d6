//! Deployments: the instances of an app that runs are replaced bit by bit
//! (`/v3/deployments`).

use serde_json::{Map, Value, json};

use super::client::Client;
use super::error::Error;
use super::processes;
use super::transport::Request;
use super::wait::Progress;

/// An operator may switch deployments off.
const DEPLOYMENTS_DISABLED: i64 = 390_014;

/// What is deployed, and how.
#[derive(Debug, Clone)]
pub(crate) struct Deployment<'a> {
    pub(crate) app: &'a str,
    pub(crate) droplet: &'a str,
    /// `rolling` or `canary`.
    pub(crate) strategy: &'static str,
    pub(crate) max_in_flight: Option<u32>,
    /// Percentages.
    pub(crate) canary_steps: &'a [u32],
    pub(crate) web_instances: Option<u32>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) disk_mb: Option<u64>,
    /// Bytes a second.
    pub(crate) log_rate_limit: Option<i64>,
}

impl Deployment<'_> {
    fn request(&self) -> Request {
        let mut body = json!({
            "droplet": {"guid": self.droplet},
            "strategy": self.strategy,
            "relationships": {"app": {"data": {"guid": self.app}}},
        });
        let options = self.options();
        if !options.is_empty() {
            body["options"] = Value::Object(options);
        }
        Request::post("/v3/deployments").json(body)
    }

    fn options(&self) -> Map<String, Value> {
        let steps = self.canary_steps.iter();
        let steps: Vec<Value> = steps
            .map(|weight| json!({"instance_weight": weight}))
            .collect();
        let canary = (!steps.is_empty()).then(|| json!({"steps": steps}));
        let options = [
            ("max_in_flight", self.max_in_flight.map(Value::from)),
            ("canary", canary),
            ("web_instances", self.web_instances.map(Value::from)),
            ("memory_in_mb", self.memory_mb.map(Value::from)),
            ("disk_in_mb", self.disk_mb.map(Value::from)),
            (
                "log_rate_limit_in_bytes_per_second",
                self.log_rate_limit.map(Value::from),
            ),
        ];
        let given = options.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// Sets the droplet of an app that is stopped and starts it; nothing is left to
/// be waited for then but its instances.
pub(crate) fn of_stopped(app: &str, droplet: &str) -> Request {
    Request::post("/v3/deployments").json(json!({
        "droplet": {"guid": droplet},
        "relationships": {"app": {"data": {"guid": app}}},
    }))
}

/// Whether a foundation refuses all deployments: they are switched off, or it is
/// too old for them.
pub(crate) fn are_disabled(refusal: &Error) -> bool {
    refusal.has_code(DEPLOYMENTS_DISABLED) || refusal.is_not_found()
}

/// How far a deployment is when it need not be waited for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deployed {
    /// It is done, or its first instance runs.
    Done,
    /// A canary runs and waits to be told to go on.
    Paused,
}

/// Begins a deployment and waits until it is done, or a canary waits to be told
/// to go on; with `first_only`, until one new instance runs. At the deadline it
/// is cancelled.
pub(crate) async fn deploy(
    client: &Client,
    name: &str,
    deployment: &Deployment<'_>,
    first_only: bool,
) -> Result<Deployed, Error> {
    let guid = client.create(&deployment.request()).await?;
    let what = format!("the deployment of {name}");
    let path = format!("/v3/deployments/{guid}");
    let outcome = client
        .until(&what, || async {
            let seen: Value = client.get(&path).await?;
            match progress(&what, &seen)? {
                Progress::Pending(_) if first_only && new_runs(client, &seen).await? => {
                    Ok(Progress::Done(Deployed::Done))
                }
                progress => Ok(progress),
            }
        })
        .await;
    if let Err(Error::Deadline { .. }) = &outcome {
        let cancel = Request::post(format!("{path}/actions/cancel")).repeatable();
        if let Err(error) = client.send(&cancel).await {
            tracing::debug!(%error, "the deployment goes on");
        }
    }
    outcome
}

fn progress(what: &str, seen: &Value) -> Result<Progress<Deployed>, Error> {
    let status = |key: &str| {
        let value = seen.pointer(&format!("/status/{key}"));
        value.and_then(Value::as_str).unwrap_or("unknown")
    };
    match (status("value"), status("reason")) {
        ("FINALIZED", "DEPLOYED") => Ok(Progress::Done(Deployed::Done)),
        ("ACTIVE", "PAUSED") => Ok(Progress::Done(Deployed::Paused)),
        ("FINALIZED", reason) => Err(Error::Failed {
            what: what.to_owned(),
            reason: format!("it ended as {reason}"),
        }),
        (value, reason) => Ok(Progress::Pending(format!("{value} {reason}"))),
    }
}

async fn new_runs(client: &Client, seen: &Value) -> Result<bool, Error> {
    let new = seen
        .pointer("/new_processes/0/guid")
        .and_then(Value::as_str);
    let Some(process) = new else {
        return Ok(false);
    };
    let instances = processes::instances(client, process).await?;
    Ok(instances.iter().any(|instance| instance.state == "RUNNING"))
}

#[cfg(test)]
mod tests {
    use super::super::transport::Body;
    use super::*;

    fn body(deployment: &Deployment<'_>) -> Value {
        match deployment.request().body {
            Body::Json(body) => body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_deployment_takes_only_what_is_given() {
        let plain = Deployment {
            app: "APP",
            droplet: "DROPLET",
            strategy: "rolling",
            max_in_flight: None,
            canary_steps: &[],
            web_instances: None,
            memory_mb: None,
            disk_mb: None,
            log_rate_limit: None,
        };
        let full = Deployment {
            strategy: "canary",
            max_in_flight: Some(2),
            canary_steps: &[20, 40],
            web_instances: Some(3),
            memory_mb: Some(64),
            disk_mb: Some(512),
            log_rate_limit: Some(-1),
            ..plain.clone()
        };
        insta::assert_snapshot!(format!("{}\n{}", body(&plain), body(&full)), @r#"
        {"droplet":{"guid":"DROPLET"},"strategy":"rolling","relationships":{"app":{"data":{"guid":"APP"}}}}
        {"droplet":{"guid":"DROPLET"},"strategy":"canary","relationships":{"app":{"data":{"guid":"APP"}}},"options":{"max_in_flight":2,"canary":{"steps":[{"instance_weight":20},{"instance_weight":40}]},"web_instances":3,"memory_in_mb":64,"disk_in_mb":512,"log_rate_limit_in_bytes_per_second":-1}}
        "#);
    }
}

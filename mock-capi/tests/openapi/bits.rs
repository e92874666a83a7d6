//! Bits, droplets and deployments.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::common::archive_of;
use crate::recording_client::{RecordingClient, guid, metadata, related};

pub(crate) async fn call_all(client: &RecordingClient) {
    let org = client.cf.create_org("bits").await;
    let space = client.cf.create_space(&org, "bits").await;
    let app = client.cf.create_app(&space, "bits").await;
    let other = client.cf.create_app(&space, "other").await;
    let package = packages(client, &app, &other).await;
    let droplet = builds(client, &package).await;
    droplets(client, &app, &droplet).await;
    client.cf.assign(&app, &droplet).await;
    client.cf.act(&app, "start").await;
    deployments(client, &app).await;
    client.delete(&format!("/v3/packages/{package}")).await;
}

fn form(name: &str) -> Form {
    let bits = Part::bytes(archive_of(b"file"));
    Form::new().part("bits", bits.file_name(name.to_owned()))
}

fn new_package(app: &str) -> Value {
    json!({"type": "bits", "relationships": related(&[("app", app)]), "metadata": metadata()})
}

async fn packages(client: &RecordingClient, app: &str, other: &str) -> String {
    let package = guid(&client.post("/v3/packages", new_package(app)).await);
    let path = format!("/v3/packages/{package}");
    client
        .upload(&format!("{path}/upload"), form("bits.zip"))
        .await;
    client
        .get_all("/v3/packages", &["", "states=READY&types=bits"])
        .await;
    client.get(&path).await;
    client.patch(&path, json!({"metadata": metadata()})).await;
    client.get(&format!("{path}/droplets")).await;
    client.get(&format!("{path}/download")).await;
    let copy = format!("/v3/packages?source_guid={package}");
    client
        .post(&copy, json!({"relationships": related(&[("app", other)])}))
        .await;
    package
}

/// The GUID of the droplet that a package is staged to.
async fn builds(client: &RecordingClient, package: &str) -> String {
    let body = json!({"package": {"guid": package}, "metadata": metadata()});
    let build = guid(&client.post("/v3/builds", body).await);
    client
        .patch(
            &format!("/v3/builds/{build}"),
            json!({"metadata": metadata()}),
        )
        .await;
    client.get_all("/v3/builds", &["", "states=STAGED"]).await;
    let build = client.get(&format!("/v3/builds/{build}")).await;
    guid(&build["droplet"])
}

async fn droplets(client: &RecordingClient, app: &str, droplet: &str) {
    let path = format!("/v3/droplets/{droplet}");
    client.get_all("/v3/droplets", &["", "states=STAGED"]).await;
    client.get(&path).await;
    client.patch(&path, json!({"metadata": metadata()})).await;
    let copy = format!("/v3/droplets?source_guid={droplet}");
    client
        .post(&copy, json!({"relationships": related(&[("app", app)])}))
        .await;
    let body = json!({
        "relationships": related(&[("app", app)]),
        "process_types": {"web": "./run"},
    });
    let uploaded = client.create("/v3/droplets", body).await;
    client
        .upload(&format!("{uploaded}/upload"), form("droplet.tgz"))
        .await;
    client.get(&uploaded).await;
    client.get(&format!("{uploaded}/download")).await;
    client.delete(&uploaded).await;
}

async fn deployments(client: &RecordingClient, app: &str) {
    let deploy = |strategy: &str| {
        json!({
            "strategy": strategy,
            "relationships": related(&[("app", app)]),
            "metadata": metadata(),
        })
    };
    let rolling = client.create("/v3/deployments", deploy("rolling")).await;
    client.get(&rolling).await;
    client
        .patch(&rolling, json!({"metadata": metadata()}))
        .await;
    let canary = client.create("/v3/deployments", deploy("canary")).await;
    client.get(&canary).await;
    client.act(&format!("{canary}/actions/continue")).await;
    let canceled = client.create("/v3/deployments", deploy("canary")).await;
    client.act(&format!("{canceled}/actions/cancel")).await;
    client
        .get_all("/v3/deployments", &["", "states=DEPLOYED"])
        .await;
}

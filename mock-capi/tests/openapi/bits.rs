//! Bits, droplets and deployments.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::common::archive_of;
use crate::tour::{Tour, guid, metadata, related};

pub(crate) async fn visit(tour: &Tour) {
    let org = tour.cf.create_org("bits").await;
    let space = tour.cf.create_space(&org, "bits").await;
    let app = tour.cf.create_app(&space, "bits").await;
    let other = tour.cf.create_app(&space, "other").await;
    let package = packages(tour, &app, &other).await;
    let droplet = builds(tour, &package).await;
    droplets(tour, &app, &droplet).await;
    tour.cf.assign(&app, &droplet).await;
    tour.cf.act(&app, "start").await;
    deployments(tour, &app).await;
    tour.delete(&format!("/v3/packages/{package}")).await;
}

fn form(name: &str) -> Form {
    let bits = Part::bytes(archive_of(b"file"));
    Form::new().part("bits", bits.file_name(name.to_owned()))
}

fn new_package(app: &str) -> Value {
    json!({"type": "bits", "relationships": related(&[("app", app)]), "metadata": metadata()})
}

async fn packages(tour: &Tour, app: &str, other: &str) -> String {
    let package = guid(&tour.post("/v3/packages", new_package(app)).await);
    let path = format!("/v3/packages/{package}");
    tour.upload(&format!("{path}/upload"), form("bits.zip"))
        .await;
    tour.get_all("/v3/packages", &["", "states=READY&types=bits"])
        .await;
    tour.get(&path).await;
    tour.patch(&path, json!({"metadata": metadata()})).await;
    tour.get(&format!("{path}/droplets")).await;
    tour.get(&format!("{path}/download")).await;
    let copy = format!("/v3/packages?source_guid={package}");
    tour.post(&copy, json!({"relationships": related(&[("app", other)])}))
        .await;
    package
}

/// The GUID of the droplet that a package is staged to.
async fn builds(tour: &Tour, package: &str) -> String {
    let body = json!({"package": {"guid": package}, "metadata": metadata()});
    let build = guid(&tour.post("/v3/builds", body).await);
    tour.patch(
        &format!("/v3/builds/{build}"),
        json!({"metadata": metadata()}),
    )
    .await;
    tour.get_all("/v3/builds", &["", "states=STAGED"]).await;
    let build = tour.get(&format!("/v3/builds/{build}")).await;
    guid(&build["droplet"])
}

async fn droplets(tour: &Tour, app: &str, droplet: &str) {
    let path = format!("/v3/droplets/{droplet}");
    tour.get_all("/v3/droplets", &["", "states=STAGED"]).await;
    tour.get(&path).await;
    tour.patch(&path, json!({"metadata": metadata()})).await;
    let copy = format!("/v3/droplets?source_guid={droplet}");
    tour.post(&copy, json!({"relationships": related(&[("app", app)])}))
        .await;
    let body = json!({
        "relationships": related(&[("app", app)]),
        "process_types": {"web": "./run"},
    });
    let uploaded = tour.create("/v3/droplets", body).await;
    tour.upload(&format!("{uploaded}/upload"), form("droplet.tgz"))
        .await;
    tour.get(&uploaded).await;
    tour.get(&format!("{uploaded}/download")).await;
    tour.delete(&uploaded).await;
}

async fn deployments(tour: &Tour, app: &str) {
    let deploy = |strategy: &str| {
        json!({
            "strategy": strategy,
            "relationships": related(&[("app", app)]),
            "metadata": metadata(),
        })
    };
    let rolling = tour.create("/v3/deployments", deploy("rolling")).await;
    tour.get(&rolling).await;
    tour.patch(&rolling, json!({"metadata": metadata()})).await;
    let canary = tour.create("/v3/deployments", deploy("canary")).await;
    tour.get(&canary).await;
    tour.act(&format!("{canary}/actions/continue")).await;
    let canceled = tour.create("/v3/deployments", deploy("canary")).await;
    tour.act(&format!("{canceled}/actions/cancel")).await;
    tour.get_all("/v3/deployments", &["", "states=DEPLOYED"])
        .await;
}

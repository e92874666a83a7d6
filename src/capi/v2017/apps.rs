//! `/v3/apps`, in the early v3 of 2017

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Links, encoded};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{
    App, BITS_VARIABLE, Env, MANAGED_BY_VALUE, MANAGED_BY_VARIABLE, Metadata, NewApp, OrgApps,
    Ownership,
};
use crate::capi::text;
use crate::capi::transport::Request;
use crate::capi::v3::{self, Lifecycle};
// The same requests in both dialects.
pub(in crate::capi) use crate::capi::v3::apps::{
    count_of_org, current_droplet, delete, set_buildpacks, set_current_droplet,
};

#[derive(Deserialize)]
struct WireApp {
    guid: String,
    name: String,
    state: String,
    lifecycle: Lifecycle,
    links: Links,
}

impl From<WireApp> for App {
    fn from(app: WireApp) -> Self {
        Self {
            space: app.links.guid("space").unwrap_or_default(),
            guid: app.guid,
            name: app.name,
            is_started: app.state == "STARTED",
            ownership: Ownership::default(),
            lifecycle: String::new(),
            buildpacks: app.lifecycle.buildpacks(),
            current_droplet: None,
            clone_of: None,
        }
    }
}

/// The apps of some orgs, without their droplets.
pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
    _expected: usize,
) -> Result<OrgApps, Error> {
    let (list, filter) = ("/v3/apps", "organization_guids");
    let apps = v3::list_by::<WireApp>(client, list, filter, orgs, "").await?;
    Ok(OrgApps {
        apps: v3::into_all(apps),
        ..OrgApps::default()
    })
}

/// The apps of a space that have one of these names.
pub(in crate::capi) async fn named(
    client: &Client,
    space: &str,
    names: &[&str],
) -> Result<Vec<App>, Error> {
    let of_space = format!("&space_guids={space}");
    let names: Vec<String> = names.iter().map(|name| encoded(name)).collect();
    let apps = v3::list_by::<WireApp>(client, "/v3/apps", "names", &names, &of_space).await?;
    Ok(v3::into_all(apps))
}

pub(in crate::capi) async fn get(client: &Client, app: &str) -> Result<App, Error> {
    let app: WireApp = client.get(&format!("/v3/apps/{app}")).await?;
    Ok(app.into())
}

pub(in crate::capi) async fn create(client: &Client, app: &NewApp<'_>) -> Result<String, Error> {
    let mut env = app.env.clone();
    if app.metadata.is_managed() {
        env.insert(MANAGED_BY_VARIABLE.to_owned(), MANAGED_BY_VALUE.to_owned());
    }
    let mut body = json!({
        "name": app.name,
        "relationships": {"space": {"data": {"guid": app.space}}},
        "environment_variables": env,
    });
    if !app.buildpacks.is_empty() {
        body["lifecycle"] = v3::lifecycle(app.buildpacks);
    }
    client.create(&Request::post("/v3/apps").json(body)).await
}

/// Sets the environment variable that replaces the label, if the metadata has the label.
pub(in crate::capi) async fn set_metadata(
    client: &Client,
    app: &str,
    metadata: &Metadata,
) -> Result<(), Error> {
    if !metadata.is_managed() {
        return Ok(());
    }
    let mark = Some(MANAGED_BY_VALUE.to_owned());
    let changes = BTreeMap::from([(MANAGED_BY_VARIABLE.to_owned(), mark)]);
    set_env(client, app, &changes).await
}

pub(in crate::capi) async fn env(client: &Client, app: &str) -> Result<Env, Error> {
    let path = format!("/v3/apps/{app}/environment_variables");
    let mut env: BTreeMap<String, Value> = client.get(&path).await?;
    env.remove("links");
    let env = env.into_iter();
    Ok(env.map(|(name, value)| (name, text(value))).collect())
}

pub(in crate::capi) async fn set_env(
    client: &Client,
    app: &str,
    changes: &BTreeMap<String, Option<String>>,
) -> Result<(), Error> {
    let path = format!("/v3/apps/{app}/environment_variables");
    let request = Request::patch(path).json(json!(changes));
    client.send(&request).await?;
    Ok(())
}

/// Records the SHA-256 of the droplet's bits in an environment variable of the app, or
/// removes the variable.
pub(in crate::capi) async fn annotate_bits(
    client: &Client,
    app: &str,
    _droplet: &str,
    bits: Option<&str>,
) -> Result<(), Error> {
    let changes = BTreeMap::from([(BITS_VARIABLE.to_owned(), bits.map(str::to_owned))]);
    set_env(client, app, &changes).await
}

pub(in crate::capi) async fn start(client: &Client, app: &str) -> Result<(), Error> {
    client
        .send(&Request::put(format!("/v3/apps/{app}/start")))
        .await?;
    Ok(())
}

pub(in crate::capi) async fn stop(client: &Client, app: &str) -> Result<(), Error> {
    client
        .send(&Request::put(format!("/v3/apps/{app}/stop")))
        .await?;
    Ok(())
}

/// The API of 2017 had no restart.
pub(in crate::capi) async fn restart(client: &Client, app: &str) -> Result<(), Error> {
    stop(client, app).await?;
    start(client, app).await
}

//! `/v3/apps`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::spaces::WireSpace;
use super::{
    BUILDPACK, Lifecycle, OurMetadata, ToOne, into_all, lifecycle, list_by, list_including,
    list_items, to_one,
};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{App, Env, Metadata, NewApp, OrgApps, Space};
use crate::capi::transport::Request;
use crate::capi::{parallel, text};

#[derive(Deserialize)]
struct WireApp {
    guid: String,
    name: String,
    state: String,
    lifecycle: Lifecycle,
    #[serde(default)]
    metadata: OurMetadata,
    relationships: Relationships,
}

#[derive(Deserialize)]
struct Relationships {
    space: ToOne,
    /// `None` on older foundations, which show it only for single apps.
    current_droplet: Option<ToOne>,
}

/// The `included` resources of a page of apps.
#[derive(Deserialize)]
struct Included {
    #[serde(default)]
    spaces: Vec<WireSpace>,
}

impl From<WireApp> for App {
    fn from(app: WireApp) -> Self {
        let Relationships {
            space,
            current_droplet,
        } = app.relationships;
        Self {
            guid: app.guid,
            name: app.name,
            space: space.guid().unwrap_or_default(),
            is_started: app.state == "STARTED",
            clone_of: app.metadata.annotations.clone_of.clone(),
            ownership: app.metadata.ownership(),
            lifecycle: app.lifecycle.kind.clone(),
            buildpacks: app.lifecycle.buildpacks(),
            current_droplet: current_droplet.and_then(ToOne::guid),
        }
    }
}

#[derive(Deserialize)]
struct Count {
    pagination: Total,
}

#[derive(Deserialize)]
struct Total {
    total_results: usize,
}

pub(in crate::capi) async fn count_of_org(client: &Client, org: &str) -> Result<usize, Error> {
    let path = format!("/v3/apps?organization_guids={org}&per_page=1");
    let count: Count = client.get(&path).await?;
    Ok(count.pagination.total_results)
}

/// The apps of some orgs, each with its droplet.
pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
    expected: usize,
) -> Result<OrgApps, Error> {
    let (list, filter, rest) = ("/v3/apps", "organization_guids", "&include=space");
    let listed = list_including::<WireApp, Included>(client, list, filter, orgs, rest, expected);
    let (apps, included) = listed.await?;
    let apps = apps.into_iter().map(|app| async move {
        let is_shown = app.relationships.current_droplet.is_some();
        let mut app = App::from(app);
        if !is_shown {
            app.current_droplet = current_droplet(client, &app.guid).await?;
        }
        Ok::<_, Error>(app)
    });
    let apps = parallel::run(parallel::PER_APP, apps).await?;
    let spaces = included.into_iter().flat_map(|page| page.spaces);
    let spaces = spaces.map(Space::from).collect();
    Ok(OrgApps { apps, spaces })
}

/// The apps of a space that have one of these names.
pub(in crate::capi) async fn named(
    client: &Client,
    space: &str,
    names: &[&str],
) -> Result<Vec<App>, Error> {
    let of_space = format!("&space_guids={space}");
    let names = list_items(names);
    let apps = list_by::<WireApp>(client, "/v3/apps", "names", &names, &of_space).await?;
    Ok(into_all(apps))
}

pub(in crate::capi) async fn get(client: &Client, app: &str) -> Result<App, Error> {
    let app: WireApp = client.get(&format!("/v3/apps/{app}")).await?;
    Ok(app.into())
}

pub(in crate::capi) async fn create(client: &Client, app: &NewApp<'_>) -> Result<String, Error> {
    let mut body = json!({
        "name": app.name,
        "relationships": {"space": to_one(app.space)},
        "environment_variables": app.env,
        "metadata": app.metadata,
    });
    match app.lifecycle {
        Some("docker") => body["lifecycle"] = json!({"type": "docker", "data": {}}),
        kind if kind.is_some() || !app.buildpacks.is_empty() => {
            body["lifecycle"] = lifecycle(app.buildpacks);
            body["lifecycle"]["type"] = json!(kind.unwrap_or(BUILDPACK));
        }
        _ => {}
    }
    client.create(&Request::post("/v3/apps").json(body)).await
}

pub(in crate::capi) async fn set_metadata(
    client: &Client,
    app: &str,
    metadata: &Metadata,
) -> Result<(), Error> {
    update(client, app, json!({"metadata": metadata})).await
}

pub(in crate::capi) async fn set_buildpacks(
    client: &Client,
    app: &str,
    buildpacks: &[String],
) -> Result<(), Error> {
    update(client, app, json!({"lifecycle": lifecycle(buildpacks)})).await
}

async fn update(client: &Client, app: &str, body: serde_json::Value) -> Result<(), Error> {
    let request = Request::patch(format!("/v3/apps/{app}")).json(body);
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn env(client: &Client, app: &str) -> Result<Env, Error> {
    #[derive(Deserialize)]
    struct Variables {
        var: BTreeMap<String, serde_json::Value>,
    }
    let path = format!("/v3/apps/{app}/environment_variables");
    let variables: Variables = client.get(&path).await?;
    let variables = variables.var.into_iter();
    Ok(variables.map(|(name, value)| (name, text(value))).collect())
}

pub(in crate::capi) async fn set_env(
    client: &Client,
    app: &str,
    changes: &BTreeMap<String, Option<String>>,
) -> Result<(), Error> {
    let path = format!("/v3/apps/{app}/environment_variables");
    let request = Request::patch(path).json(json!({"var": changes}));
    client.send(&request).await?;
    Ok(())
}

/// The GUID of the droplet that an app runs with, if any.
pub(in crate::capi) async fn current_droplet(
    client: &Client,
    app: &str,
) -> Result<Option<String>, Error> {
    let path = format!("/v3/apps/{app}/relationships/current_droplet");
    match client.get::<ToOne>(&path).await {
        Ok(relationship) => Ok(relationship.guid()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

pub(in crate::capi) async fn set_current_droplet(
    client: &Client,
    app: &str,
    droplet: &str,
) -> Result<(), Error> {
    let path = format!("/v3/apps/{app}/relationships/current_droplet");
    let request = Request::patch(path).json(to_one(droplet));
    client.send(&request).await?;
    Ok(())
}

/// Annotates a droplet with the SHA-256 of its bits, or removes the annotation.
pub(in crate::capi) async fn annotate_bits(
    client: &Client,
    _app: &str,
    droplet: &str,
    bits: Option<&str>,
) -> Result<(), Error> {
    super::droplets::annotate_bits(client, droplet, bits).await
}

pub(in crate::capi) async fn start(client: &Client, app: &str) -> Result<(), Error> {
    let request = Request::post(format!("/v3/apps/{app}/actions/start")).repeatable();
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn stop(client: &Client, app: &str) -> Result<(), Error> {
    let request = Request::post(format!("/v3/apps/{app}/actions/stop")).repeatable();
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn restart(client: &Client, app: &str) -> Result<(), Error> {
    let request = Request::post(format!("/v3/apps/{app}/actions/restart"));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, app: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/apps/{app}"));
    client.delete(what, &request).await
}

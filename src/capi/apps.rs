//! Spaces, and the apps in them (`/v3/spaces`, `/v3/apps`, `/v3/packages`).

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::encoded;
use super::error::Error;
use super::inventory::BITS_ANNOTATION;
use super::transport::Request;

/// How many names or GUIDs one request asks for: they must fit into a URL.
const PER_REQUEST: usize = 50;

/// An app, as it is after its manifest was applied.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// Whether its desired state is STARTED.
    pub(crate) is_started: bool,
    /// Whether it has a droplet to run with.
    pub(crate) has_droplet: bool,
    created_at: String,
}

/// A package of bits that is ready.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) guid: String,
    pub(crate) app: String,
    /// The SHA-256 of its bits, where we noted it.
    pub(crate) bits: Option<String>,
}

/// The GUID of a space, by the names of its org and itself: in one request,
/// which tells the orgs of all spaces of that name.
pub(crate) async fn space(client: &Client, org: &str, space: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Found {
        resources: Vec<Value>,
        included: Included,
    }
    #[derive(Deserialize)]
    struct Included {
        organizations: Vec<Value>,
    }
    let names = encoded(space);
    let path = format!("/v3/spaces?names={names}&include=organization&per_page=5000");
    let found: Found = client.get(&path).await?;
    let orgs = found.included.organizations.iter();
    let org_guid = orgs
        .filter(|it| it.get("name").and_then(Value::as_str) == Some(org))
        .find_map(|it| it.get("guid"));
    let of_org = |it: &&Value| it.pointer("/relationships/organization/data/guid") == org_guid;
    let space_guid = org_guid.and_then(|_| found.resources.iter().find(of_org)?.get("guid"));
    let guid = space_guid.and_then(Value::as_str).map(str::to_owned);
    guid.ok_or_else(|| Error::Local {
        what: format!("finding the space {space} of the org {org}"),
        reason: "there is none, or the login does not see it".to_owned(),
    })
}

/// Makes an org and a space in it, on a foundation that has neither.
#[cfg(feature = "mock")]
pub(crate) async fn create_space(client: &Client, org: &str, space: &str) -> Result<String, Error> {
    let request = Request::post("/v3/organizations").json(json!({"name": org}));
    let org = client.create(&request).await?;
    let request = Request::post("/v3/spaces").json(json!({
        "name": space,
        "relationships": {"organization": {"data": {"guid": org}}},
    }));
    client.create(&request).await
}

/// The apps of a space that have one of these names.
pub(crate) async fn named(
    client: &Client,
    space: &str,
    names: &[String],
) -> Result<Vec<App>, Error> {
    let mut apps = Vec::new();
    for names in names.chunks(PER_REQUEST) {
        let names: Vec<String> = names.iter().map(|name| encoded(name)).collect();
        let names = names.join(",");
        let path = format!("/v3/apps?names={names}&space_guids={space}&per_page=5000");
        let found: Vec<Value> = client.list(&path).await?;
        apps.extend(found.iter().filter_map(app));
    }
    Ok(apps)
}

fn app(found: &Value) -> Option<App> {
    let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str);
    Some(App {
        guid: text("/guid")?.to_owned(),
        name: text("/name")?.to_owned(),
        is_started: text("/state") == Some("STARTED"),
        has_droplet: text("/relationships/current_droplet/data/guid").is_some(),
        created_at: text("/created_at").unwrap_or_default().to_owned(),
    })
}

/// Deletes an app that a manifest has just made, with the routes that it made
/// for it: those that came with the app or after it, and lead to it alone.
pub(crate) async fn delete_new(client: &Client, app: &App) -> Result<(), Error> {
    let path = format!("/v3/apps/{}/routes?per_page=5000", app.guid);
    let routes: Vec<Value> = client.list(&path).await?;
    for route in routes.iter().filter(|route| is_only_of(route, app)) {
        let guid = route.get("guid").and_then(Value::as_str);
        let request = client.dialect().delete_route(guid.unwrap_or_default());
        client.delete("deleting a route", &request).await?;
    }
    let what = format!("deleting {}", app.name);
    let request = client.dialect().delete_app(&app.guid);
    client.delete(&what, &request).await
}

fn is_only_of(route: &Value, app: &App) -> bool {
    let created_at = route.get("created_at").and_then(Value::as_str);
    let destinations = route.get("destinations").and_then(Value::as_array);
    let mut apps = destinations.into_iter().flatten();
    created_at.is_some_and(|at| at >= app.created_at.as_str())
        && apps.all(|it| it.pointer("/app/guid").and_then(Value::as_str) == Some(&app.guid))
}

/// The packages of some apps that are ready, the newest of an app first.
pub(crate) async fn ready_packages(client: &Client, apps: &[&str]) -> Result<Vec<Package>, Error> {
    let mut packages = Vec::new();
    for apps in apps.chunks(PER_REQUEST) {
        let path = format!(
            "/v3/packages?app_guids={}&states=READY&types=bits&order_by=-created_at&per_page=5000",
            apps.join(",")
        );
        let found: Vec<Value> = client.list(&path).await?;
        packages.extend(found.iter().filter_map(package));
    }
    Ok(packages)
}

fn package(found: &Value) -> Option<Package> {
    let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str);
    let annotations = found.pointer("/metadata/annotations");
    let bits = annotations.and_then(|all| all.get(BITS_ANNOTATION)?.as_str());
    Some(Package {
        guid: text("/guid")?.to_owned(),
        app: text("/relationships/app/data/guid")?.to_owned(),
        bits: bits.map(str::to_owned),
    })
}

/// A package of a Docker image.
pub(crate) fn create_docker_package(
    app: &str,
    image: &str,
    username: Option<&str>,
    password: Option<&str>,
) -> Request {
    let mut data = json!({"image": image});
    if let (Some(username), Some(password)) = (username, password) {
        data["username"] = json!(username);
        data["password"] = json!(password);
    }
    Request::post("/v3/packages").json(json!({
        "type": "docker",
        "relationships": {"app": {"data": {"guid": app}}},
        "data": data,
    }))
}

pub(crate) fn restart(app: &str) -> Request {
    Request::post(format!("/v3/apps/{app}/actions/restart"))
}

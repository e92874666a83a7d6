//! `/v3/routes`

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    MAX_PAGE_SIZE, OurMetadata, ToOne, into_all, list_by, list_items, list_of_all, to_one,
};
use crate::capi::chunks;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{CLONE_ANNOTATION, Destination, NewRoute, Route};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireRoute {
    guid: String,
    host: Option<String>,
    path: Option<String>,
    port: Option<u32>,
    #[serde(default)]
    url: String,
    #[serde(default)]
    destinations: Vec<WireDestination>,
    #[serde(default)]
    metadata: OurMetadata,
    relationships: RouteRelationships,
}

#[derive(Deserialize)]
struct RouteRelationships {
    domain: ToOne,
    #[serde(default)]
    space: ToOne,
}

#[derive(Deserialize)]
struct WireDestination {
    app: DestinationApp,
    port: Option<u32>,
    protocol: Option<String>,
}

#[derive(Deserialize)]
struct DestinationApp {
    guid: Option<String>,
    process: Option<DestinationProcess>,
}

#[derive(Deserialize)]
struct DestinationProcess {
    #[serde(rename = "type")]
    kind: String,
}

impl WireDestination {
    /// The destination. `None` if it has no app and therefore no effect.
    fn destination(self) -> Option<Destination> {
        let process = self.app.process;
        Some(Destination {
            app: self.app.guid?,
            process_type: process.map_or_else(|| "web".to_owned(), |process| process.kind),
            port: self.port,
            protocol: self.protocol,
        })
    }
}

impl From<WireRoute> for Route {
    fn from(route: WireRoute) -> Self {
        let destinations = route.destinations.into_iter();
        Self {
            guid: route.guid,
            host: route.host.unwrap_or_default(),
            domain: route.relationships.domain.guid().unwrap_or_default(),
            space: route.relationships.space.guid().unwrap_or_default(),
            path: route.path.unwrap_or_default(),
            port: route.port,
            url: route.url,
            clone_of: route.metadata.annotations.clone_of,
            destinations: destinations
                .filter_map(WireDestination::destination)
                .collect(),
        }
    }
}

pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
    expected: usize,
) -> Result<Vec<Route>, Error> {
    let (list, filter) = ("/v3/routes", "organization_guids");
    let routes = list_of_all::<WireRoute>(client, list, filter, orgs, "", expected).await?;
    Ok(into_all(routes))
}

pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<Route>, Error> {
    let routes = list_by::<WireRoute>(client, "/v3/routes", "space_guids", spaces, "").await?;
    Ok(into_all(routes))
}

pub(in crate::capi) async fn of_app(client: &Client, app: &str) -> Result<Vec<Route>, Error> {
    let path = format!("/v3/apps/{app}/routes?{MAX_PAGE_SIZE}");
    Ok(into_all(client.list::<WireRoute>(&path).await?))
}

/// A route with several of the apps as destinations may be listed more than once.
pub(in crate::capi) async fn of_apps(client: &Client, apps: &[&str]) -> Result<Vec<Route>, Error> {
    let routes = list_by::<WireRoute>(client, "/v3/routes", "app_guids", apps, "").await?;
    Ok(into_all(routes))
}

/// The routes with one of these hosts in one of these domains, regardless of their path.
pub(in crate::capi) async fn with_hosts(
    client: &Client,
    domains: &[&str],
    hosts: &[&str],
) -> Result<Vec<Route>, Error> {
    let hosts = list_items(hosts);
    let mut routes = Vec::new();
    for domains in chunks::for_urls(domains) {
        let in_domains = format!("&domain_guids={domains}");
        let some = list_by::<WireRoute>(client, "/v3/routes", "hosts", &hosts, &in_domains);
        routes.extend(some.await?.into_iter().map(Route::from));
    }
    Ok(routes)
}

pub(in crate::capi) async fn create(
    client: &Client,
    route: &NewRoute<'_>,
) -> Result<String, Error> {
    let mut body = json!({
        "host": route.host,
        "relationships": {"domain": to_one(route.domain), "space": to_one(route.space)},
    });
    if let Some(path) = route.path {
        body["path"] = json!(path);
    }
    client.create(&Request::post("/v3/routes").json(body)).await
}

/// Creates a route on any free port of a domain. An annotation names the app that the
/// route's app will be a clone of.
pub(in crate::capi) async fn create_with_port(
    client: &Client,
    domain: &str,
    space: &str,
    clone_of: &str,
) -> Result<String, Error> {
    let body = json!({
        "relationships": {"domain": to_one(domain), "space": to_one(space)},
        "metadata": {"annotations": {(CLONE_ANNOTATION): clone_of}},
    });
    client.create(&Request::post("/v3/routes").json(body)).await
}

/// Adds a destination: the web process of an app, on its default port.
pub(in crate::capi) async fn map(client: &Client, route: &str, app: &str) -> Result<(), Error> {
    let request = Request::post(format!("/v3/routes/{route}/destinations"))
        .json(json!({"destinations": [{"app": {"guid": app}}]}))
        .repeatable();
    client.send(&request).await?;
    Ok(())
}

/// Replaces all destinations of a route with these.
pub(in crate::capi) async fn set_destinations(
    client: &Client,
    route: &str,
    destinations: &[Destination],
) -> Result<(), Error> {
    let destinations: Vec<Value> = destinations.iter().map(body_of).collect();
    let request = Request::patch(format!("/v3/routes/{route}/destinations"))
        .json(json!({ "destinations": destinations }));
    client.send(&request).await?;
    Ok(())
}

fn body_of(destination: &Destination) -> Value {
    let mut body = json!({"app": {"guid": destination.app}});
    if destination.process_type != "web" {
        body["app"]["process"] = json!({"type": destination.process_type});
    }
    if let Some(port) = destination.port {
        body["port"] = json!(port);
    }
    if let Some(protocol) = &destination.protocol {
        body["protocol"] = json!(protocol);
    }
    body
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, route: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/routes/{route}"));
    client.delete(what, &request).await
}

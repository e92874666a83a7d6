//! `/v2/routes` and `/v3/route_mappings`

use serde::Deserialize;
use serde_json::json;

use super::{MAX_PAGE_SIZE, V2, missing};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Destination, NewRoute, Route};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireRoute {
    host: String,
    #[serde(default)]
    path: String,
    port: Option<u32>,
    domain_guid: String,
    #[serde(default)]
    space_guid: String,
}

impl From<V2<WireRoute>> for Route {
    fn from(route: V2<WireRoute>) -> Self {
        Self {
            guid: route.metadata.guid,
            host: route.entity.host,
            domain: route.entity.domain_guid,
            space: route.entity.space_guid,
            path: route.entity.path,
            port: route.entity.port,
            clone_of: None,
            url: String::new(),
            destinations: Vec::new(),
        }
    }
}

async fn list(client: &Client, path: &str) -> Result<Vec<Route>, Error> {
    let routes: Vec<V2<WireRoute>> = client.list(path).await?;
    Ok(routes.into_iter().map(Route::from).collect())
}

/// Only spaces and apps listed their routes.
pub(in crate::capi) async fn of_orgs(
    _client: &Client,
    _orgs: &[&str],
    _expected: usize,
) -> Result<Vec<Route>, Error> {
    Err(missing("listing the routes of an org"))
}

/// The routes of some spaces, without destinations, which the summaries of the spaces
/// contain.
pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<Route>, Error> {
    let mut routes = Vec::new();
    for space in spaces {
        let path = format!("/v2/spaces/{space}/routes?{MAX_PAGE_SIZE}");
        routes.extend(list(client, &path).await?);
    }
    Ok(routes)
}

pub(in crate::capi) async fn with_hosts(
    _client: &Client,
    _domains: &[&str],
    _hosts: &[&str],
) -> Result<Vec<Route>, Error> {
    Err(missing("listing routes by their hosts"))
}

/// The routes of an app, without their destinations.
pub(in crate::capi) async fn of_app(client: &Client, app: &str) -> Result<Vec<Route>, Error> {
    list(client, &format!("/v2/apps/{app}/routes?{MAX_PAGE_SIZE}")).await
}

/// The routes of some apps, without their destinations.
pub(in crate::capi) async fn of_apps(client: &Client, apps: &[&str]) -> Result<Vec<Route>, Error> {
    let mut routes = Vec::new();
    for app in apps {
        routes.extend(of_app(client, app).await?);
    }
    Ok(routes)
}

pub(in crate::capi) async fn create(
    client: &Client,
    route: &NewRoute<'_>,
) -> Result<String, Error> {
    let mut body = json!({
        "domain_guid": route.domain,
        "space_guid": route.space,
        "host": route.host,
    });
    if let Some(path) = route.path {
        body["path"] = json!(path);
    }
    client.create(&Request::post("/v2/routes").json(body)).await
}

/// Adds a destination: the web process of an app, on its default port.
pub(in crate::capi) async fn map(client: &Client, route: &str, app: &str) -> Result<(), Error> {
    let request = Request::post("/v3/route_mappings").json(json!({
        "relationships": {"app": {"guid": app}, "route": {"guid": route}},
    }));
    client.send(&request).await?;
    Ok(())
}

/// Mappings were created and deleted one by one, so this is not possible.
pub(in crate::capi) async fn set_destinations(
    _client: &Client,
    _route: &str,
    _destinations: &[Destination],
) -> Result<(), Error> {
    Err(missing("replacing the destinations of a route"))
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, route: &str) -> Result<(), Error> {
    client
        .delete(what, &Request::delete(format!("/v2/routes/{route}")))
        .await
}

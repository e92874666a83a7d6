//! Spaces, and the apps in them (`/v3/spaces`, `/v3/apps`, `/v3/packages`).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::error::Error;
use super::inventory::BITS_ANNOTATION;
use super::list_item;
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

/// How long a list of names in a URL may be.
const MOST_NAMES: usize = 6_000;

/// The GUIDs of the apps of a space of these names, by name.
pub(crate) async fn guids_of(
    client: &Client,
    space: &str,
    names: &[&str],
) -> Result<HashMap<String, String>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        name: String,
    }
    let items: Vec<String> = names.iter().map(|name| list_item(name)).collect();
    let mut guids = HashMap::new();
    for names in joined(&items) {
        let path = format!("/v3/apps?space_guids={space}&names={names}&per_page=5000");
        let found: Vec<Found> = client.list(&path).await?;
        guids.extend(found.into_iter().map(|app| (app.name, app.guid)));
    }
    Ok(guids)
}

/// The items as lists that are each short enough for a URL.
fn joined(items: &[String]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for item in items {
        match lists.last_mut() {
            Some(list) if list.len() + item.len() < MOST_NAMES => {
                list.push(',');
                list.push_str(item);
            }
            _ => lists.push(item.clone()),
        }
    }
    lists
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
    let names = list_item(space);
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
        what: format!("space {space} in org {org}"),
        reason: "not found, or not visible to the user".to_owned(),
    })
}

/// The apps of a space that have one of these names.
pub(crate) async fn named(
    client: &Client,
    space: &str,
    names: &[String],
) -> Result<Vec<App>, Error> {
    let mut apps = Vec::new();
    for names in names.chunks(PER_REQUEST) {
        let names: Vec<String> = names.iter().map(|name| list_item(name)).collect();
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
/// for it. Looks again before: an app that was started, or has a package other
/// than `package`, is somebody's; then nothing is deleted.
pub(crate) async fn delete_new(
    client: &Client,
    app: &App,
    package: Option<&str>,
    named_routes: &[String],
) -> Result<bool, Error> {
    let guid = &app.guid;
    let now: Value = client.get(&format!("/v3/apps/{guid}")).await?;
    let packages = format!("/v3/packages?app_guids={guid}&per_page=5000");
    let packages: Vec<Value> = client.list(&packages).await?;
    let ours = |it: &Value| it.get("guid").and_then(Value::as_str) == package;
    let is_stopped = now.get("state").and_then(Value::as_str) == Some("STOPPED");
    if !is_stopped || !packages.iter().all(ours) {
        return Ok(false);
    }
    let routes = format!("/v3/apps/{guid}/routes?per_page=5000");
    let routes: Vec<Value> = client.list(&routes).await?;
    let made = routes
        .iter()
        .filter(|it| is_made_for(it, app, named_routes));
    for route in made.filter_map(|route| route.get("guid")?.as_str()) {
        let request = client.dialect().delete_route(route);
        client.delete("deleting a route", &request).await?;
    }
    let what = format!("deleting {}", app.name);
    let request = client.dialect().delete_app(guid);
    client.delete(&what, &request).await?;
    Ok(true)
}

/// Whether a route came with the app or after it, and leads to it alone. Times
/// are told in seconds, so one that the manifest names must have come later: it
/// may have been there before.
fn is_made_for(route: &Value, app: &App, named: &[String]) -> bool {
    let text = |key: &str| route.get(key).and_then(Value::as_str).unwrap_or_default();
    let (created_at, url) = (text("created_at"), text("url"));
    let is_named = named.iter().any(|route| route == url);
    let came_later = created_at > app.created_at.as_str();
    let came_with_it = created_at == app.created_at && !is_named;
    let destinations = route.get("destinations").and_then(Value::as_array);
    let mut apps = destinations.into_iter().flatten();
    (came_later || came_with_it)
        && apps.all(|it| it.pointer("/app/guid").and_then(Value::as_str) == Some(&app.guid))
}

/// The URLs of the routes of some apps, by the app's GUID.
pub(crate) async fn routes(
    client: &Client,
    apps: &[&str],
) -> Result<HashMap<String, Vec<String>>, Error> {
    let mut urls: HashMap<String, Vec<String>> = HashMap::new();
    for some in apps.chunks(PER_REQUEST) {
        let path = format!("/v3/routes?app_guids={}&per_page=5000", some.join(","));
        let routes: Vec<Value> = client.list(&path).await?;
        for route in &routes {
            let url = route.get("url").and_then(Value::as_str).unwrap_or_default();
            let destinations = route.get("destinations").and_then(Value::as_array);
            for destination in destinations.into_iter().flatten() {
                let app = destination.pointer("/app/guid").and_then(Value::as_str);
                let of_app = urls.entry(app.unwrap_or_default().to_owned()).or_default();
                if !of_app.iter().any(|it| it == url) {
                    of_app.push(url.to_owned());
                }
            }
        }
    }
    Ok(urls)
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn names_are_listed_in_urls_of_a_bearable_length() {
        let names: Vec<String> = (0..1000).map(|i| format!("scale-tick-{i}")).collect();
        let lists = joined(&names);
        assert!(lists.iter().all(|list| list.len() <= MOST_NAMES));
        assert_eq!(lists.join(",").split(',').collect::<Vec<_>>(), names);
        assert_eq!(lists.len(), 3);
    }

    /// What goes with an app that a push has made: never what was there before.
    #[rstest]
    #[case::came_later("2026-01-01T00:00:02Z", "r.example.com", "app", true)]
    #[case::came_with_it("2026-01-01T00:00:01Z", "r.example.com", "app", true)]
    #[case::named("2026-01-01T00:00:01Z", "named.example.com", "app", false)]
    #[case::was_there("2026-01-01T00:00:00Z", "r.example.com", "app", false)]
    #[case::is_shared("2026-01-01T00:00:02Z", "r.example.com", "other", false)]
    fn routes_go_with_their_app(
        #[case] created_at: &str,
        #[case] url: &str,
        #[case] destination: &str,
        #[case] expected: bool,
    ) {
        let app = App {
            guid: "app".to_owned(),
            name: "dora".to_owned(),
            is_started: false,
            has_droplet: false,
            created_at: "2026-01-01T00:00:01Z".to_owned(),
        };
        let destinations = json!([{"app": {"guid": "app"}}, {"app": {"guid": destination}}]);
        let route = json!({"created_at": created_at, "url": url, "destinations": destinations});
        let named = ["named.example.com".to_owned()];
        assert_eq!(is_made_for(&route, &app, &named), expected);
    }
}

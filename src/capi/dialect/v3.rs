//! The inventory as today's v3 tells it: lists of 5,000, filtered by org and
//! space, so that its cost follows the pages and not the apps.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;

use futures::{StreamExt, TryStreamExt, stream, try_join};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Lifecycle;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::inventory::{
    App, BITS_ANNOTATION, Domain, Droplet, Inventory, MANAGED_BY_LABEL, MANAGED_BY_VALUE, Org,
    Package, Process, Quota, Route, Rule, Scope, SecurityGroup, Space,
};
use crate::capi::list_item;
use crate::capi::processes;
use crate::capi::transport::{Body, Request};

/// How many apps' environments are asked for in one request.
const ENV_BATCH: usize = 250;

/// Differs from every real command, so that a manifest diff tells the real one.
const NO_COMMAND: &str = "a command that cf-pusher compares with";

#[derive(Deserialize)]
struct Guid {
    guid: Option<String>,
}

#[derive(Deserialize)]
struct ToOne {
    data: Option<Guid>,
}

#[derive(Deserialize, Default)]
struct ToMany {
    data: Vec<Guid>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    labels: BTreeMap<String, Value>,
    #[serde(default)]
    annotations: BTreeMap<String, Value>,
}

impl Metadata {
    fn is_managed(&self) -> bool {
        self.labels.get(MANAGED_BY_LABEL).and_then(Value::as_str) == Some(MANAGED_BY_VALUE)
    }
}

impl ToOne {
    fn guid(self) -> Option<String> {
        self.data?.guid
    }
}

/// Reads all that there is of a scope.
pub(crate) async fn inventory(client: &Client, scope: &Scope) -> Result<Inventory, Error> {
    let (org, quota, security_group) = try_join!(
        find_org(client, &scope.org),
        find_quota(client, &scope.quota),
        find_security_group(client, &scope.security_group),
    )?;
    let mut inventory = Inventory {
        domain: Domain {
            guid: String::new(),
            name: String::new(),
        },
        quota,
        security_group,
        space: None,
        apps: Vec::new(),
        routes: Vec::new(),
        org: None,
    };
    let Some(org) = org else {
        inventory.domain = find_domain(client, scope, None).await?;
        return Ok(inventory);
    };
    let (domain, space, apps) = try_join!(
        find_domain(client, scope, Some(&org.guid)),
        find_space(client, &org.guid, &scope.space),
        apps(client, &org.guid),
    )?;
    inventory.domain = domain;
    inventory.apps = apps;
    if let Some(space) = &space {
        inventory.routes = add_details(client, &space.guid, &mut inventory.apps).await?;
    }
    inventory.org = Some(org);
    inventory.space = space;
    Ok(inventory)
}

async fn find_org(client: &Client, name: &str) -> Result<Option<Org>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        #[serde(default)]
        metadata: Metadata,
        relationships: Option<Relationships>,
    }
    #[derive(Deserialize)]
    struct Relationships {
        quota: Option<ToOne>,
    }
    let path = format!("/v3/organizations?names={}", list_item(name));
    let found: Option<Found> = client.find(&path).await?;
    Ok(found.map(|org| Org {
        guid: org.guid,
        managed: org.metadata.is_managed(),
        quota: org
            .relationships
            .and_then(|related| related.quota)
            .and_then(ToOne::guid),
    }))
}

async fn find_quota(client: &Client, name: &str) -> Result<Option<Quota>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
    }
    let path = format!("/v3/organization_quotas?names={}", list_item(name));
    let found: Option<Found> = client.find(&path).await?;
    Ok(found.map(|quota| Quota { guid: quota.guid }))
}

async fn find_security_group(client: &Client, name: &str) -> Result<Option<SecurityGroup>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        rules: Vec<Rule>,
        relationships: Option<Relationships>,
    }
    #[derive(Deserialize)]
    struct Relationships {
        #[serde(default)]
        running_spaces: ToMany,
    }
    let path = format!("/v3/security_groups?names={}", list_item(name));
    let found: Option<Found> = client.find(&path).await?;
    Ok(found.map(|group| {
        let spaces = group
            .relationships
            .map(|related| related.running_spaces.data);
        SecurityGroup {
            guid: group.guid,
            rules: group.rules,
            spaces: spaces
                .unwrap_or_default()
                .into_iter()
                .filter_map(|space| space.guid)
                .collect(),
        }
    }))
}

async fn find_space(client: &Client, org: &str, name: &str) -> Result<Option<Space>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
    }
    let path = format!(
        "/v3/spaces?names={}&organization_guids={org}",
        list_item(name)
    );
    let found: Option<Found> = client.find(&path).await?;
    Ok(found.map(|space| Space { guid: space.guid }))
}

/// The named domain, or else the org's default; before there is an org, the
/// first that the foundation shares for apps.
async fn find_domain(client: &Client, scope: &Scope, org: Option<&str>) -> Result<Domain, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        name: String,
        #[serde(default)]
        internal: bool,
        router_group: Option<Value>,
        relationships: Option<Relationships>,
    }
    #[derive(Deserialize)]
    struct Relationships {
        organization: Option<ToOne>,
    }
    impl Found {
        fn is_shared(&self) -> bool {
            let owner = self.relationships.as_ref();
            let owner = owner.and_then(|related| related.organization.as_ref());
            owner.is_none_or(|owner| owner.data.is_none())
        }
    }
    let found: Option<Found> = match (&scope.apps_domain, org) {
        (Some(name), _) => {
            client
                .find(&format!("/v3/domains?names={}", list_item(name)))
                .await?
        }
        (None, Some(org)) => {
            let path = format!("/v3/organizations/{org}/domains/default");
            Some(client.get(&path).await?)
        }
        (None, None) => {
            let domains: Vec<Found> = client.list("/v3/domains?per_page=5000").await?;
            domains.into_iter().find(|domain| {
                !domain.internal && domain.router_group.is_none() && domain.is_shared()
            })
        }
    };
    let found = found.ok_or_else(|| super::no_domain(scope))?;
    Ok(Domain {
        guid: found.guid,
        name: found.name,
    })
}

/// The apps of an org, without what [`add_details`] adds.
async fn apps(client: &Client, org: &str) -> Result<Vec<App>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        name: String,
        state: String,
        lifecycle: Lifecycle,
        #[serde(default)]
        metadata: Metadata,
        relationships: Relationships,
    }
    #[derive(Deserialize)]
    struct Relationships {
        space: ToOne,
        current_droplet: Option<ToOne>,
    }
    let path = format!("/v3/apps?organization_guids={org}&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    stream::iter(found)
        .map(|app| async move {
            let current_droplet = match app.relationships.current_droplet {
                Some(droplet) => droplet.guid(),
                // Older foundations tell it only app by app.
                None => super::current_droplet(client, &app.guid).await?,
            };
            Ok(App {
                guid: app.guid,
                name: app.name,
                started: app.state == "STARTED",
                buildpacks: app.lifecycle.data.buildpacks,
                managed: app.metadata.is_managed(),
                space: app.relationships.space.guid().unwrap_or_default(),
                current_droplet,
                ..App::default()
            })
        })
        .buffered(super::PER_APP)
        .try_collect()
        .await
}

/// Adds processes, droplets, packages and environments to the apps of a
/// space; returns its routes.
async fn add_details(client: &Client, space: &str, apps: &mut [App]) -> Result<Vec<Route>, Error> {
    let apps: Vec<&mut App> = apps.iter_mut().filter(|app| app.space == space).collect();
    if apps.is_empty() {
        return routes(client, space).await;
    }
    let (mut processes, mut droplets, mut packages, routes, mut environments) = try_join!(
        processes(client, space),
        droplets(client, space),
        packages(client, space),
        routes(client, space),
        environments(client, space, &apps),
    )?;
    let bits: HashMap<String, Option<String>> = packages
        .values()
        .flatten()
        .map(|package| (package.guid.clone(), package.bits.clone()))
        .collect();
    for app in apps {
        app.web = processes.remove(&app.guid);
        app.packages = packages.remove(&app.guid).unwrap_or_default();
        app.droplets = droplets
            .remove(&app.guid)
            .unwrap_or_default()
            .into_iter()
            .map(|(droplet, package)| Droplet {
                bits: package.and_then(|package| bits.get(&package).cloned().flatten()),
                ..droplet
            })
            .collect();
        let environment = environments.remove(&app.name).unwrap_or_default();
        app.env = environment.env;
        app.command = environment.command;
        app.command_is_own = environment.command_is_own;
    }
    Ok(routes)
}

#[derive(Deserialize)]
struct OfApp {
    app: ToOne,
}

/// The web processes of a space, by app.
pub(crate) async fn processes(
    client: &Client,
    space: &str,
) -> Result<HashMap<String, Process>, Error> {
    let filter = format!("space_guids={space}&types=web");
    let found = processes::list(client, &filter, &AtomicBool::new(true)).await?;
    let process = |found: processes::Process| {
        let states = found.instances().iter().map(|it| it.state.clone());
        let process = Process {
            instances: found.instances,
            memory_mb: found.memory_in_mb,
            disk_mb: found.disk_in_mb,
            states: states.collect(),
        };
        (found.app().to_owned(), process)
    };
    Ok(found.into_iter().map(process).collect())
}

/// The staged droplets of a space, by app, each with its package.
async fn droplets(
    client: &Client,
    space: &str,
) -> Result<HashMap<String, Vec<(Droplet, Option<String>)>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        checksum: Option<Checksum>,
        relationships: OfApp,
        #[serde(default)]
        links: BTreeMap<String, Option<Href>>,
    }
    #[derive(Deserialize)]
    struct Checksum {
        value: Option<String>,
    }
    #[derive(Deserialize)]
    struct Href {
        href: String,
    }
    let path = format!("/v3/droplets?space_guids={space}&states=STAGED&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    let mut by_app: HashMap<String, Vec<_>> = HashMap::new();
    for mut droplet in found {
        let package = droplet.links.remove("package").flatten();
        let package = package.and_then(|link| super::last_segment(&link.href));
        let app = droplet.relationships.app.guid().unwrap_or_default();
        let checksum = droplet.checksum.and_then(|checksum| checksum.value);
        let droplet = Droplet {
            guid: droplet.guid,
            checksum,
            bits: None,
        };
        by_app.entry(app).or_default().push((droplet, package));
    }
    Ok(by_app)
}

/// The packages of a space that are ready, by app.
async fn packages(client: &Client, space: &str) -> Result<HashMap<String, Vec<Package>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        #[serde(default)]
        metadata: Metadata,
        relationships: OfApp,
    }
    let path = format!("/v3/packages?space_guids={space}&states=READY&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    let mut by_app: HashMap<String, Vec<_>> = HashMap::new();
    for package in found {
        let app = package.relationships.app.guid().unwrap_or_default();
        let bits = package.metadata.annotations.get(BITS_ANNOTATION);
        by_app.entry(app).or_default().push(Package {
            guid: package.guid,
            bits: bits.and_then(Value::as_str).map(str::to_owned),
        });
    }
    Ok(by_app)
}

async fn routes(client: &Client, space: &str) -> Result<Vec<Route>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        host: Option<String>,
        path: Option<String>,
        port: Option<u32>,
        #[serde(default)]
        destinations: Vec<Destination>,
        relationships: OfDomain,
    }
    #[derive(Deserialize)]
    struct Destination {
        app: Guid,
    }
    #[derive(Deserialize)]
    struct OfDomain {
        domain: ToOne,
    }
    let path = format!("/v3/routes?space_guids={space}&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    Ok(found
        .into_iter()
        .map(|route| Route {
            guid: route.guid,
            host: route.host.unwrap_or_default(),
            domain: route.relationships.domain.guid().unwrap_or_default(),
            plain: route.port.is_none() && route.path.unwrap_or_default().is_empty(),
            apps: route
                .destinations
                .into_iter()
                .filter_map(|destination| destination.app.guid)
                .collect(),
        })
        .collect())
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Environment {
    env: BTreeMap<String, String>,
    command: Option<String>,
    command_is_own: bool,
}

/// The apps' environment variables and commands, by app name.
///
/// No list has them. But Cloud Controller compares any manifest with what is:
/// one that claims an empty environment is told all that there is instead.
async fn environments(
    client: &Client,
    space: &str,
    apps: &[&mut App],
) -> Result<HashMap<String, Environment>, Error> {
    let batches: Vec<HashMap<String, Environment>> = stream::iter(apps.chunks(ENV_BATCH))
        .map(|batch| environments_of_batch(client, space, batch))
        .buffered(super::PER_APP)
        .try_collect()
        .await?;
    Ok(batches.into_iter().flatten().collect())
}

async fn environments_of_batch(
    client: &Client,
    space: &str,
    batch: &[&mut App],
) -> Result<HashMap<String, Environment>, Error> {
    let names: Vec<&str> = batch.iter().map(|app| app.name.as_str()).collect();
    let request = Request::post(format!("/v3/spaces/{space}/manifest_diff"))
        .body(Body::Yaml(claim_of_nothing(&names)))
        .repeatable();
    match client.send(&request).await {
        Ok(response) => Ok(told_instead(&names, &response.json()?)),
        // Foundations without manifest diffs tell it only app by app.
        Err(error) if error.is_not_found() => environments_one_by_one(client, batch).await,
        Err(error) => Err(error),
    }
}

/// A manifest, as JSON, which is YAML.
fn claim_of_nothing(names: &[&str]) -> String {
    let applications: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "env": {}, "command": NO_COMMAND}))
        .collect();
    json!({"applications": applications}).to_string()
}

#[derive(Deserialize)]
struct ManifestDiff {
    diff: Vec<Difference>,
}

#[derive(Deserialize)]
struct Difference {
    path: String,
    #[serde(default)]
    was: Value,
}

/// The environments that a diff with [`claim_of_nothing`] tells of.
fn told_instead(names: &[&str], diff: &ManifestDiff) -> HashMap<String, Environment> {
    let mut environments: HashMap<String, Environment> = names
        .iter()
        .map(|name| {
            let environment = Environment {
                command_is_own: true,
                ..Environment::default()
            };
            ((*name).to_owned(), environment)
        })
        .collect();
    for difference in &diff.diff {
        let mut path = difference.path.split('/').skip(1);
        let (Some("applications"), Some(index), Some(key)) =
            (path.next(), path.next(), path.next())
        else {
            continue;
        };
        let name = index.parse().ok().and_then(|index: usize| names.get(index));
        let Some(environment) = name.and_then(|name| environments.get_mut(*name)) else {
            continue;
        };
        match (key, path.next(), &difference.was) {
            ("command", None, Value::String(command)) => {
                environment.command = Some(command.clone());
            }
            ("env", Some(variable), value) => {
                let variable = variable.replace("~1", "/").replace("~0", "~");
                environment.env.insert(variable, super::env_text(value));
            }
            ("env", None, Value::Object(variables)) => {
                let variables = variables.iter();
                environment
                    .env
                    .extend(variables.map(|(name, value)| (name.clone(), super::env_text(value))));
            }
            _ => {}
        }
    }
    environments
}

async fn environments_one_by_one(
    client: &Client,
    apps: &[&mut App],
) -> Result<HashMap<String, Environment>, Error> {
    #[derive(Deserialize)]
    struct Variables {
        var: BTreeMap<String, Value>,
    }
    #[derive(Deserialize)]
    struct Web {
        command: Option<String>,
    }
    stream::iter(apps)
        .map(|app| async move {
            let variables = format!("/v3/apps/{}/environment_variables", app.guid);
            let web = format!("/v3/apps/{}/processes/web", app.guid);
            let (variables, web): (Variables, Web) =
                try_join!(client.get(&variables), client.get(&web))?;
            let env = variables.var.iter();
            let env = env.map(|(name, value)| (name.clone(), super::env_text(value)));
            let environment = Environment {
                env: env.collect(),
                // Its own, or else its droplet's.
                command: web.command,
                command_is_own: false,
            };
            Ok((app.name.clone(), environment))
        })
        .buffered(super::PER_APP)
        .try_collect()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_with_nothing_tells_environments() {
        let diff: ManifestDiff = serde_json::from_value(json!({"diff": [
            {"op": "remove", "path": "/applications/0/env/A", "was": "1"},
            {"op": "remove", "path": "/applications/0/env/B~1C~0D", "was": 2},
            {"op": "replace", "path": "/applications/1/command", "was": "./run", "value": NO_COMMAND},
            {"op": "add", "path": "/applications/0/command", "value": NO_COMMAND},
            {"op": "remove", "path": "/applications/7/env/A", "was": "1"},
            {"op": "add", "path": "odd"},
        ]}))
        .unwrap();
        let told = told_instead(&["a", "b"], &diff);
        let a = BTreeMap::from([
            ("A".to_owned(), "1".to_owned()),
            ("B/C~D".to_owned(), "2".to_owned()),
        ]);
        assert_eq!((&told["a"].env, &told["a"].command), (&a, &None));
        assert_eq!(told["b"].command.as_deref(), Some("./run"));
        assert_eq!(told.len(), 2);
    }
}

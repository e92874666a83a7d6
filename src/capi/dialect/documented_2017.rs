//! The inventory as the foundations of the 2017 document tell it: v2 for orgs,
//! spaces, routes and running instances, v3 for apps and droplets. Where today
//! has labels and annotations, environment variables of the apps do their work.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::try_join;
use serde::Deserialize;
use serde_json::Value;

use super::Lifecycle;
use crate::capi::client::Client;
use crate::capi::encoded;
use crate::capi::error::Error;
use crate::capi::inventory::{
    App, BITS_VARIABLE, Domain, Droplet, DropletState, Inventory, MANAGED_BY_VALUE,
    MANAGED_BY_VARIABLE, Org, Package, Process, Quota, Route, Rule, Scope, SecurityGroup, Space,
};
use crate::capi::parallel;

/// v2's largest page.
const V2_PAGE: &str = "results-per-page=100";

#[derive(Deserialize)]
struct V2<T> {
    metadata: V2Metadata,
    entity: T,
}

#[derive(Deserialize)]
struct V2Metadata {
    guid: String,
}

#[derive(Deserialize)]
struct Links {
    #[serde(flatten)]
    by_name: BTreeMap<String, Option<Link>>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

impl Links {
    /// The GUID at the end of a link.
    fn guid(&self, name: &str) -> Option<String> {
        let link = self.by_name.get(name)?.as_ref()?;
        super::last_segment(&link.href)
    }
}

/// Reads all that there is of a scope.
pub(crate) async fn inventory(client: &Client, scope: &Scope) -> Result<Inventory, Error> {
    let (domain, org, quota, security_group) = try_join!(
        find_domain(client, scope),
        find_org(client, &scope.org),
        find_quota(client, &scope.quota),
        find_security_group(client, &scope.security_group),
    )?;
    let mut inventory = Inventory {
        domain,
        quota,
        security_group,
        org: None,
        space: None,
        apps: Vec::new(),
        routes: Vec::new(),
    };
    let Some(mut org) = org else {
        return Ok(inventory);
    };
    let (space, apps) = try_join!(
        find_space(client, &org.guid, &scope.space),
        apps(client, &org.guid),
    )?;
    inventory.apps = apps;
    if let Some(space) = &space {
        inventory.routes = add_details(client, &space.guid, &mut inventory.apps).await?;
    }
    // An org has no label here: it is ours if it has our quota, and all that is
    // in it is ours.
    let quota = inventory.quota.as_ref().map(|quota| quota.guid.as_str());
    let has_ours = quota.is_some() && org.quota.as_deref() == quota;
    org.managed = has_ours && inventory.apps.iter().all(|app| app.managed);
    inventory.org = Some(org);
    inventory.space = space;
    Ok(inventory)
}

async fn find_domain(client: &Client, scope: &Scope) -> Result<Domain, Error> {
    #[derive(Deserialize)]
    struct Found {
        name: String,
    }
    let domains: Vec<V2<Found>> = client.list("/v2/shared_domains").await?;
    let wanted = scope.apps_domain.as_deref();
    let found = domains
        .into_iter()
        .find(|domain| wanted.is_none_or(|wanted| domain.entity.name == wanted));
    let found = found.ok_or_else(|| super::no_domain(scope))?;
    Ok(Domain {
        guid: found.metadata.guid,
        name: found.entity.name,
    })
}

async fn find_org(client: &Client, name: &str) -> Result<Option<Org>, Error> {
    #[derive(Deserialize)]
    struct Found {
        quota_definition_guid: Option<String>,
    }
    let path = format!("/v2/organizations?q=name:{}", encoded(name));
    let found: Option<V2<Found>> = client.find(&path).await?;
    Ok(found.map(|org| Org {
        guid: org.metadata.guid,
        managed: false,
        quota: org.entity.quota_definition_guid,
    }))
}

async fn find_quota(client: &Client, name: &str) -> Result<Option<Quota>, Error> {
    let path = format!("/v2/quota_definitions?q=name:{}", encoded(name));
    let found: Option<V2<Value>> = client.find(&path).await?;
    Ok(found.map(|quota| Quota {
        guid: quota.metadata.guid,
    }))
}

async fn find_security_group(client: &Client, name: &str) -> Result<Option<SecurityGroup>, Error> {
    #[derive(Deserialize)]
    struct Found {
        rules: Vec<Rule>,
    }
    let path = format!("/v2/security_groups?q=name:{}", encoded(name));
    let found: Option<V2<Found>> = client.find(&path).await?;
    let Some(group) = found else {
        return Ok(None);
    };
    let guid = group.metadata.guid;
    let path = format!("/v2/security_groups/{guid}/spaces?{V2_PAGE}");
    let spaces: Vec<V2<Value>> = client.list(&path).await?;
    Ok(Some(SecurityGroup {
        guid,
        rules: group.entity.rules,
        spaces: spaces
            .into_iter()
            .map(|space| space.metadata.guid)
            .collect(),
    }))
}

async fn find_space(client: &Client, org: &str, name: &str) -> Result<Option<Space>, Error> {
    let name = encoded(name);
    let path = format!("/v2/spaces?q=organization_guid:{org}&q=name:{name}");
    let found: Option<V2<Value>> = client.find(&path).await?;
    Ok(found.map(|space| Space {
        guid: space.metadata.guid,
        managed: false,
    }))
}

/// The apps of an org, without what [`add_details`] adds.
async fn apps(client: &Client, org: &str) -> Result<Vec<App>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        name: String,
        state: String,
        lifecycle: Lifecycle,
        links: Links,
    }
    let path = format!("/v3/apps?organization_guids={org}&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    let apps = found.into_iter().map(|app| App {
        space: app.links.guid("space").unwrap_or_default(),
        guid: app.guid,
        name: app.name,
        started: app.state == "STARTED",
        buildpacks: app.lifecycle.data.buildpacks,
        ..App::default()
    });
    Ok(apps.collect())
}

#[derive(Deserialize)]
struct Summary {
    apps: Vec<SummaryApp>,
}

/// An app of a space's summary: there only once it has a web process.
#[derive(Deserialize)]
struct SummaryApp {
    guid: String,
    instances: u32,
    /// Negative where the foundation cannot tell.
    running_instances: Option<i64>,
    memory: u64,
    disk_quota: u64,
    command: Option<String>,
    environment_json: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    routes: Vec<SummaryRoute>,
}

#[derive(Deserialize)]
struct SummaryRoute {
    guid: String,
}

impl SummaryApp {
    fn process(&self) -> Process {
        let running = self.running_instances.unwrap_or_default();
        let running = usize::try_from(running).unwrap_or_default();
        Process {
            instances: self.instances,
            memory_mb: self.memory,
            disk_mb: self.disk_quota,
            // The summary counts those that start and those that run as one.
            states: vec!["RUNNING".to_owned(); running],
        }
    }
}

async fn summary(client: &Client, space: &str) -> Result<Summary, Error> {
    client.get(&format!("/v2/spaces/{space}/summary")).await
}

/// The web processes of a space, by app.
pub(crate) async fn processes(
    client: &Client,
    space: &str,
) -> Result<HashMap<String, Process>, Error> {
    let apps = summary(client, space).await?.apps.into_iter();
    Ok(apps.map(|app| (app.guid.clone(), app.process())).collect())
}

/// Adds processes, droplets and environments to the apps of a space; returns
/// its routes.
async fn add_details(client: &Client, space: &str, apps: &mut [App]) -> Result<Vec<Route>, Error> {
    let mut apps: Vec<&mut App> = apps.iter_mut().filter(|app| app.space == space).collect();
    let (summary, mut droplets, mut routes) = try_join!(
        summary(client, space),
        droplets(client, space),
        routes(client, space),
    )?;
    let mut summaries: HashMap<String, SummaryApp> = summary
        .apps
        .into_iter()
        .map(|app| (app.guid.clone(), app))
        .collect();
    map_routes(&mut routes, &summaries);
    let details = apps.iter_mut().map(|app| {
        let summary = summaries.remove(&app.guid);
        let droplets = droplets.remove(&app.guid).unwrap_or_default();
        add_app_details(client, app, summary, droplets)
    });
    parallel::run(super::PER_APP, details).await?;
    if !apps.iter().all(|app| app.accounts_for_packages()) {
        let mut packages = packages(client, space).await?;
        for app in &mut apps {
            app.take_packages(&mut packages);
        }
    }
    Ok(routes)
}

fn map_routes(routes: &mut [Route], summaries: &HashMap<String, SummaryApp>) {
    let mut apps: HashMap<&str, Vec<String>> = HashMap::new();
    for app in summaries.values() {
        for route in &app.routes {
            apps.entry(&route.guid).or_default().push(app.guid.clone());
        }
    }
    for route in routes {
        route.apps = apps.remove(route.guid.as_str()).unwrap_or_default();
    }
}

async fn add_app_details(
    client: &Client,
    app: &mut App,
    summary: Option<SummaryApp>,
    droplets: Vec<Droplet>,
) -> Result<(), Error> {
    let is_staged = |droplet: &&Droplet| droplet.state == DropletState::Staged;
    let staged: Vec<&Droplet> = droplets.iter().filter(is_staged).collect();
    app.current_droplet = match (&summary, staged.as_slice()) {
        // Setting a droplet is what makes the process: no process, no droplet.
        (None, _) | (_, []) => None,
        (Some(_), [only]) => Some(only.guid.clone()),
        (Some(_), _) => super::current_droplet(client, &app.guid).await?,
    };
    app.droplets = droplets;
    let mut env = match summary {
        None => environment(client, &app.guid).await?,
        Some(summary) => {
            app.web = Some(summary.process());
            app.command = summary.command;
            summary.environment_json.unwrap_or_default()
        }
    };
    let mark = env.remove(MANAGED_BY_VARIABLE);
    app.managed = mark.as_ref().and_then(Value::as_str) == Some(MANAGED_BY_VALUE);
    let bits = env.remove(BITS_VARIABLE);
    let bits = bits.as_ref().and_then(Value::as_str).map(str::to_owned);
    let current = app.current_droplet.as_deref();
    for droplet in &mut app.droplets {
        if Some(droplet.guid.as_str()) == current {
            droplet.noted = bits.is_some();
            droplet.bits.clone_from(&bits);
        }
    }
    let env = env.into_iter();
    let env = env.map(|(name, value)| (name, super::env_text(&value)));
    app.env = Arc::new(env.collect());
    Ok(())
}

/// An app's variables, for one that is not in the summary yet.
async fn environment(client: &Client, app: &str) -> Result<BTreeMap<String, Value>, Error> {
    let path = format!("/v3/apps/{app}/environment_variables");
    let mut env: BTreeMap<String, Value> = client.get(&path).await?;
    env.remove("links");
    Ok(env)
}

/// The droplets of a space, by app.
async fn droplets(client: &Client, space: &str) -> Result<HashMap<String, Vec<Droplet>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        state: String,
        result: Option<Outcome>,
        links: Links,
    }
    #[derive(Deserialize)]
    struct Outcome {
        checksum: Option<Checksum>,
        hash: Option<Checksum>,
    }
    #[derive(Deserialize)]
    struct Checksum {
        value: Option<String>,
    }
    let path = format!("/v3/droplets?space_guids={space}&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    let mut by_app: HashMap<String, Vec<_>> = HashMap::new();
    for droplet in found {
        let outcome = droplet.result;
        let checksum = outcome.and_then(|outcome| outcome.checksum.or(outcome.hash));
        let app = droplet.links.guid("app").unwrap_or_default();
        by_app.entry(app).or_default().push(Droplet {
            guid: droplet.guid,
            state: match droplet.state.as_str() {
                "STAGED" => DropletState::Staged,
                "PENDING" | "STAGING" => DropletState::Staging,
                _ => DropletState::Other,
            },
            noted: false,
            package: droplet.links.guid("package"),
            checksum: checksum.and_then(|checksum| checksum.value),
            bits: None,
        });
    }
    Ok(by_app)
}

/// The packages of a space, by app. Nothing tells their bits.
pub(crate) async fn packages(
    client: &Client,
    space: &str,
) -> Result<HashMap<String, Vec<Package>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        state: String,
        links: Links,
    }
    let path = format!("/v3/packages?space_guids={space}&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    let mut by_app: HashMap<String, Vec<_>> = HashMap::new();
    for package in found {
        let app = package.links.guid("app").unwrap_or_default();
        by_app.entry(app).or_default().push(Package {
            guid: package.guid,
            bits: None,
            ready: package.state == "READY",
        });
    }
    Ok(by_app)
}

/// The routes of a space, not mapped yet.
async fn routes(client: &Client, space: &str) -> Result<Vec<Route>, Error> {
    #[derive(Deserialize)]
    struct Found {
        host: String,
        #[serde(default)]
        path: String,
        port: Option<u32>,
        domain_guid: String,
    }
    let path = format!("/v2/spaces/{space}/routes?{V2_PAGE}");
    let found: Vec<V2<Found>> = client.list(&path).await?;
    let routes = found.into_iter().map(|route| Route {
        guid: route.metadata.guid,
        host: route.entity.host,
        domain: route.entity.domain_guid,
        plain: route.entity.port.is_none() && route.entity.path.is_empty(),
        apps: Vec::new(),
    });
    Ok(routes.collect())
}

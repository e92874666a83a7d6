//! The lists of the foundations of the 2017 document: v2 for orgs, spaces, routes
//! and running instances, v3 for apps and droplets. Where today has labels and
//! annotations, environment variables of the apps do their work.

use std::collections::{BTreeMap, HashMap};

use futures::try_join;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Lifecycle;
use crate::capi::client::Client;
use crate::capi::encoded;
use crate::capi::error::Error;
use crate::capi::inventory::{
    App, BITS_VARIABLE, Destination, Domain, Droplet, DropletState, MANAGED_BY_VALUE,
    MANAGED_BY_VARIABLE, Metadata, Org, Ownership, Package, Process, Route, Rule, SecurityGroup,
    Space,
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

/// The domains that the foundation shares.
pub(crate) async fn domains(client: &Client) -> Result<Vec<Domain>, Error> {
    #[derive(Deserialize)]
    struct Found {
        name: String,
    }
    let domains: Vec<V2<Found>> = client.list("/v2/shared_domains").await?;
    let domain = |found: V2<Found>| Domain {
        guid: found.metadata.guid,
        name: found.entity.name,
        is_for_apps: true,
        owner: None,
    };
    Ok(domains.into_iter().map(domain).collect())
}

/// The orgs of these names.
pub(crate) async fn orgs(client: &Client, names: &[&str]) -> Result<Vec<Org>, Error> {
    let mut orgs = Vec::new();
    for name in names {
        orgs.extend(find_org(client, name).await?);
    }
    Ok(orgs)
}

/// The GUIDs of the quotas of these names, by name.
pub(crate) async fn quotas(
    client: &Client,
    names: &[&str],
) -> Result<HashMap<String, String>, Error> {
    let mut quotas = HashMap::new();
    for name in names {
        let path = format!("/v2/quota_definitions?q=name:{}", encoded(name));
        let found: Option<V2<Value>> = client.find(&path).await?;
        quotas.extend(found.map(|quota| ((*name).to_owned(), quota.metadata.guid)));
    }
    Ok(quotas)
}

/// The security groups of these names, by name.
pub(crate) async fn security_groups(
    client: &Client,
    names: &[&str],
) -> Result<HashMap<String, SecurityGroup>, Error> {
    let mut groups = HashMap::new();
    for name in names {
        let found = find_security_group(client, name).await?;
        groups.extend(found.map(|group| ((*name).to_owned(), group)));
    }
    Ok(groups)
}

/// The spaces of an org of these names.
pub(crate) async fn spaces(
    client: &Client,
    org: &str,
    names: &[&str],
) -> Result<Vec<Space>, Error> {
    let mut spaces = Vec::new();
    for name in names {
        spaces.extend(find_space(client, org, name).await?);
    }
    Ok(spaces)
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
        name: name.to_owned(),
        ownership: Ownership::default(),
        quota: org.entity.quota_definition_guid,
        labels: Metadata::new(),
        annotations: Metadata::new(),
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
    let encoded = encoded(name);
    let path = format!("/v2/spaces?q=organization_guid:{org}&q=name:{encoded}");
    let found: Option<V2<Value>> = client.find(&path).await?;
    Ok(found.map(|space| Space {
        guid: space.metadata.guid,
        name: name.to_owned(),
        org: org.to_owned(),
        ownership: Ownership::default(),
        labels: Metadata::new(),
        annotations: Metadata::new(),
    }))
}

/// The apps of an org, without what [`add_details`] adds.
pub(crate) async fn apps(client: &Client, org: &str) -> Result<Vec<App>, Error> {
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
    health_check_type: Option<String>,
    health_check_http_endpoint: Option<String>,
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
pub(crate) async fn add_details(
    client: &Client,
    space: &str,
    domains: &[Domain],
    apps: &mut [App],
) -> Result<Vec<Route>, Error> {
    let mut apps: Vec<&mut App> = apps.iter_mut().collect();
    let (summary, mut droplets, mut routes) = try_join!(
        summary(client, space),
        droplets(client, space),
        routes(client, space, domains),
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
    let mut urls: HashMap<&str, Vec<Value>> = HashMap::new();
    for route in &routes {
        for destination in &route.destinations {
            let url = json!({"route": route.url});
            urls.entry(&destination.app).or_default().push(url);
        }
    }
    for app in &mut apps {
        let urls = urls.remove(app.guid.as_str()).unwrap_or_default();
        if let Some(manifest) = &mut app.manifest {
            manifest.insert("routes".to_owned(), Value::Array(urls));
        }
    }
    if !apps.iter().all(|app| app.accounts_for_packages()) {
        let mut packages = packages(client, space).await?;
        for app in &mut apps {
            app.take_packages(&mut packages);
        }
    }
    Ok(routes)
}

fn map_routes(routes: &mut [Route], summaries: &HashMap<String, SummaryApp>) {
    let mut apps: HashMap<&str, Vec<Destination>> = HashMap::new();
    for app in summaries.values() {
        for route in &app.routes {
            apps.entry(&route.guid).or_default().push(Destination {
                app: app.guid.clone(),
                process: "web".to_owned(),
                port: None,
            });
        }
    }
    for route in routes {
        route.destinations = apps.remove(route.guid.as_str()).unwrap_or_default();
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
    let mut manifest = Map::new();
    let mut env = match summary {
        None => environment(client, &app.guid).await?,
        Some(summary) => {
            app.web = Some(summary.process());
            let texts = [
                ("command", summary.command),
                ("health-check-type", summary.health_check_type),
                (
                    "health-check-http-endpoint",
                    summary.health_check_http_endpoint,
                ),
            ];
            for (key, text) in texts {
                manifest.insert(key.to_owned(), json!(text));
            }
            summary.environment_json.unwrap_or_default()
        }
    };
    let mark = env.remove(MANAGED_BY_VARIABLE);
    app.ownership.managed = mark.as_ref().and_then(Value::as_str) == Some(MANAGED_BY_VALUE);
    let bits = env.remove(BITS_VARIABLE);
    let bits = bits.as_ref().and_then(Value::as_str).map(str::to_owned);
    let current = app.current_droplet.as_deref();
    for droplet in &mut app.droplets {
        if Some(droplet.guid.as_str()) == current {
            droplet.annotated = bits.is_some();
            droplet.bits.clone_from(&bits);
        }
    }
    manifest.insert("env".to_owned(), json!(env));
    app.manifest = Some(manifest);
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
            annotated: false,
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
async fn routes(client: &Client, space: &str, domains: &[Domain]) -> Result<Vec<Route>, Error> {
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
    let routes = found.into_iter().map(|found| {
        let route = found.entity;
        let mut domains = domains.iter();
        let domain = domains.find(|it| it.guid == route.domain_guid);
        let domain = domain.map(|it| it.name.as_str()).unwrap_or_default();
        let host = match route.host.as_str() {
            "" => domain.to_owned(),
            host => format!("{host}.{domain}"),
        };
        let port = route.port.map(|port| format!(":{port}"));
        Route {
            guid: found.metadata.guid,
            url: format!("{host}{}{}", port.unwrap_or_default(), route.path),
            destinations: Vec::new(),
        }
    });
    Ok(routes.collect())
}

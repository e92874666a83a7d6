//! The inventory as today's v3 tells it: lists of 5,000, filtered by org, so
//! that its cost follows the pages and not the apps. What no list tells, a
//! manifest diff does: see [`super::environments`].

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use futures::{join, try_join};
use serde::Deserialize;
use serde_json::Value;

use super::Lifecycle;
use super::environments::{Environments, environments};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::inventory::{
    App, Domain, Droplet, DropletState, Inventory, MANAGED_BY_VALUE, Org, Package, Process, Quota,
    Route, Rule, Scope, SecurityGroup, Space,
};
use crate::capi::list_item;
use crate::capi::parallel;
use crate::capi::processes;

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

/// What matters of metadata; of many apps, the rest would take much memory.
#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize, Default)]
struct Labels {
    #[serde(rename = "managed-by")]
    managed_by: Option<String>,
}

#[derive(Deserialize, Default)]
struct Annotations {
    #[serde(rename = "cf-pusher-bits-sha256")]
    bits: Option<String>,
}

impl Metadata {
    fn is_managed(&self) -> bool {
        self.labels.managed_by.as_deref() == Some(MANAGED_BY_VALUE)
    }
}

impl ToOne {
    fn guid(&self) -> Option<String> {
        self.data.as_ref()?.guid.clone()
    }
}

/// Reads all that there is of a scope.
///
/// The quota names the org that it is for, and the apps there name their space
/// and org: so neither is asked for where there are apps.
pub(crate) async fn inventory(client: &Client, scope: &Scope) -> Result<Inventory, Error> {
    let (quota, security_group) = try_join!(
        find_quota(client, &scope.quota),
        find_security_group(client, &scope.security_group),
    )?;
    let (quota, its_org) = quota.unzip();
    let mut contents = match its_org.flatten() {
        Some(org) => Contents::read_if_there(client, scope, org).await?,
        None => None,
    };
    let org = match contents.as_ref().and_then(|it| it.org_named(&scope.org)) {
        Some(org) => org,
        None => {
            // There is no org yet, as a rule: so what it needs is asked for too.
            let (org, domain) = join!(
                find_org(client, &scope.org),
                find_domain(client, scope, None)
            );
            match org? {
                Some(org) => org,
                None => {
                    return Ok(Inventory {
                        domain: domain?,
                        quota,
                        security_group,
                        org: None,
                        space: None,
                        apps: Vec::new(),
                        routes: Vec::new(),
                    });
                }
            }
        }
    };
    let contents = match contents.take_if(|it| it.org == org.guid) {
        Some(contents) => contents,
        None => Contents::read(client, scope, org.guid.clone()).await?,
    };
    let space = match contents.space_named(&scope.space) {
        Some(space) => Some(space),
        None => find_space(client, &org.guid, &scope.space).await?,
    };
    let Contents {
        domain, mut apps, ..
    } = contents;
    let routes = match &space {
        Some(space) => add_details(client, scope, &space.guid, &domain, &mut apps).await?,
        None => Vec::new(),
    };
    Ok(Inventory {
        domain,
        quota,
        security_group,
        org: Some(org),
        space,
        apps,
        routes,
    })
}

/// What lists tell of an org.
struct Contents {
    org: String,
    domain: Domain,
    apps: Vec<App>,
    /// The orgs and spaces that the apps are in.
    included: Vec<Included>,
}

#[derive(Deserialize)]
struct Included {
    #[serde(default)]
    spaces: Vec<FoundSpace>,
    #[serde(default)]
    organizations: Vec<FoundOrg>,
}

impl Contents {
    async fn read(client: &Client, scope: &Scope, org: String) -> Result<Self, Error> {
        let filter = format!("organization_guids={org}");
        let (domain, (mut apps, included), mut processes, mut droplets) = try_join!(
            find_domain(client, scope, Some(&org)),
            apps(client, &filter),
            processes(client, &filter),
            droplets(client, &filter),
        )?;
        for app in &mut apps {
            app.web = processes.remove(&app.guid);
            app.droplets = droplets.remove(&app.guid).unwrap_or_default();
        }
        Ok(Self {
            org,
            domain,
            apps,
            included,
        })
    }

    /// The org may be gone since the quota named it.
    async fn read_if_there(
        client: &Client,
        scope: &Scope,
        org: String,
    ) -> Result<Option<Self>, Error> {
        match Self::read(client, scope, org).await {
            Err(error) if error.is_not_found() => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    fn org_named(&self, name: &str) -> Option<Org> {
        let mut orgs = self.included.iter().flat_map(|it| &it.organizations);
        orgs.find(|org| org.name == name).map(FoundOrg::org)
    }

    fn space_named(&self, name: &str) -> Option<Space> {
        let mut spaces = self.included.iter().flat_map(|it| &it.spaces);
        spaces
            .find(|space| space.name == name)
            .map(FoundSpace::space)
    }
}

#[derive(Deserialize)]
struct FoundOrg {
    guid: String,
    name: String,
    #[serde(default)]
    metadata: Metadata,
    relationships: Option<OfQuota>,
}

#[derive(Deserialize)]
struct OfQuota {
    quota: Option<ToOne>,
}

impl FoundOrg {
    fn org(&self) -> Org {
        let quota = self.relationships.as_ref();
        let quota = quota.and_then(|related| related.quota.as_ref()?.guid());
        Org {
            guid: self.guid.clone(),
            managed: self.metadata.is_managed(),
            quota,
        }
    }
}

#[derive(Deserialize)]
struct FoundSpace {
    guid: String,
    name: String,
    #[serde(default)]
    metadata: Metadata,
}

impl FoundSpace {
    fn space(&self) -> Space {
        Space {
            guid: self.guid.clone(),
            managed: self.metadata.is_managed(),
        }
    }
}

async fn find_org(client: &Client, name: &str) -> Result<Option<Org>, Error> {
    let path = format!("/v3/organizations?names={}", list_item(name));
    let found: Option<FoundOrg> = client.find(&path).await?;
    Ok(found.as_ref().map(FoundOrg::org))
}

/// The quota, and the one org that it is for, if it is one.
async fn find_quota(client: &Client, name: &str) -> Result<Option<(Quota, Option<String>)>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        relationships: Option<Relationships>,
    }
    #[derive(Deserialize)]
    struct Relationships {
        #[serde(default)]
        organizations: ToMany,
    }
    let path = format!("/v3/organization_quotas?names={}", list_item(name));
    let found: Option<Found> = client.find(&path).await?;
    Ok(found.map(|found| {
        let orgs = found
            .relationships
            .map(|related| related.organizations.data);
        let only = match orgs.as_deref() {
            Some([org]) => org.guid.clone(),
            _ => None,
        };
        (Quota { guid: found.guid }, only)
    }))
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
    let path = format!(
        "/v3/spaces?names={}&organization_guids={org}",
        list_item(name)
    );
    let found: Option<FoundSpace> = client.find(&path).await?;
    Ok(found.as_ref().map(FoundSpace::space))
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

/// The apps that a filter names, without what other lists tell of them; and
/// the spaces and orgs that they are in.
async fn apps(client: &Client, filter: &str) -> Result<(Vec<App>, Vec<Included>), Error> {
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
    let path = format!("/v3/apps?{filter}&include=space.organization&per_page=5000");
    let (found, included) = client.list_including::<Found, _>(&path).await?;
    let apps = found.into_iter().map(|app| async move {
        let current_droplet = match app.relationships.current_droplet {
            Some(droplet) => droplet.guid(),
            // Older foundations tell it only app by app.
            None => super::current_droplet(client, &app.guid).await?,
        };
        Ok::<_, Error>(App {
            guid: app.guid,
            name: app.name,
            started: app.state == "STARTED",
            buildpacks: app.lifecycle.data.buildpacks,
            managed: app.metadata.is_managed(),
            space: app.relationships.space.guid().unwrap_or_default(),
            current_droplet,
            ..App::default()
        })
    });
    let apps = parallel::run(super::PER_APP, apps).await?;
    Ok((apps, included))
}

/// Adds packages, environments and whether there are routes to those apps of a
/// space that matter; returns the space's routes, where they matter.
async fn add_details(
    client: &Client,
    scope: &Scope,
    space: &str,
    domain: &Domain,
    apps: &mut [App],
) -> Result<Vec<Route>, Error> {
    let (mut apps, surplus): (Vec<&mut App>, Vec<&mut App>) = apps
        .iter_mut()
        .filter(|app| app.space == space)
        .partition(|app| scope.apps.contains(&app.name));
    let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
    let (told, mut packages) = try_join!(
        environments(client, space, &domain.name, &names),
        packages_unless_noted(client, space, &apps),
    )?;
    for app in &mut apps {
        app.take_packages(&mut packages);
    }
    let told = match told {
        Environments::Told(told) => told,
        Environments::Unknown => super::environments::one_by_one(client, &apps).await?,
    };
    let mut all_routed = true;
    for (app, environment) in apps.iter_mut().zip(told) {
        app.env = environment.env;
        app.command = environment.command;
        app.command_is_own = environment.command_is_own;
        app.routed = environment.routed;
        all_routed &= app.routed.is_some();
    }
    if all_routed && surplus.is_empty() && !scope.routes {
        return Ok(Vec::new());
    }
    routes(client, space).await
}

#[derive(Deserialize)]
struct OfApp {
    app: ToOne,
}

/// The web processes of a space, by app.
pub(crate) async fn processes_of_space(
    client: &Client,
    space: &str,
) -> Result<HashMap<String, Process>, Error> {
    processes(client, &format!("space_guids={space}")).await
}

/// The web processes that a filter names, by app.
async fn processes(client: &Client, filter: &str) -> Result<HashMap<String, Process>, Error> {
    let filter = format!("{filter}&types=web");
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

/// The droplets that a filter names, by app.
async fn droplets(client: &Client, filter: &str) -> Result<HashMap<String, Vec<Droplet>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        state: String,
        checksum: Option<Checksum>,
        #[serde(default)]
        metadata: Metadata,
        relationships: OfApp,
        links: Links,
    }
    #[derive(Deserialize)]
    struct Checksum {
        value: Option<String>,
    }
    #[derive(Deserialize)]
    struct Links {
        package: Option<Href>,
    }
    #[derive(Deserialize)]
    struct Href {
        href: String,
    }
    let path = format!("/v3/droplets?{filter}&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    let mut by_app: HashMap<String, Vec<Droplet>> = HashMap::new();
    for droplet in found {
        let bits = droplet.metadata.annotations.bits;
        let package = droplet.links.package;
        let app = droplet.relationships.app.guid().unwrap_or_default();
        by_app.entry(app).or_default().push(Droplet {
            guid: droplet.guid,
            state: match droplet.state.as_str() {
                "STAGED" => DropletState::Staged,
                "STAGING" => DropletState::Staging,
                _ => DropletState::Other,
            },
            checksum: droplet.checksum.and_then(|checksum| checksum.value),
            noted: bits.is_some(),
            bits,
            package: package.and_then(|link| super::last_segment(&link.href)),
        });
    }
    Ok(by_app)
}

/// The packages of a space, by app; none where the apps' droplets account for
/// all of them: each app runs with one that is a copy or has a note.
async fn packages_unless_noted(
    client: &Client,
    space: &str,
    apps: &[&mut App],
) -> Result<HashMap<String, Vec<Package>>, Error> {
    if apps.iter().all(|app| app.accounts_for_packages()) {
        return Ok(HashMap::new());
    }
    packages(client, space).await
}

/// The packages of a space, by app.
pub(crate) async fn packages(
    client: &Client,
    space: &str,
) -> Result<HashMap<String, Vec<Package>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        state: String,
        #[serde(default)]
        metadata: Metadata,
        relationships: OfApp,
    }
    let path = format!("/v3/packages?space_guids={space}&per_page=5000");
    let found: Vec<Found> = client.list(&path).await?;
    let mut by_app: HashMap<String, Vec<_>> = HashMap::new();
    for package in found {
        let app = package.relationships.app.guid().unwrap_or_default();
        by_app.entry(app).or_default().push(Package {
            bits: package.metadata.annotations.bits,
            ready: package.state == "READY",
            guid: package.guid,
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

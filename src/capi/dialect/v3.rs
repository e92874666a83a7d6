//! The lists of today's v3: pages of 5,000, filtered by names or by the GUIDs of
//! orgs and spaces, so that their cost follows the pages and not the apps.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Lifecycle;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::inventory::{
    App, Destination, Domain, Droplet, DropletState, MANAGED_BY_LABEL, MANAGED_BY_VALUE, Metadata,
    Org, Ownership, PREFIX_ANNOTATION, Package, Process, Route, Rule, SecurityGroup, Space,
};
use crate::capi::{list_item, manifests, processes};

/// How many GUIDs or names one request asks for: they must fit into a URL.
const PER_REQUEST: usize = 50;

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

impl ToOne {
    fn guid(&self) -> Option<String> {
        self.data.as_ref()?.guid.clone()
    }
}

impl ToMany {
    fn guids(self) -> Vec<String> {
        let guids = self.data.into_iter();
        guids.filter_map(|it| it.guid).collect()
    }
}

/// What matters of the metadata of many resources: the rest would take much memory.
#[derive(Deserialize, Default)]
struct OwnMetadata {
    #[serde(default)]
    labels: OwnLabels,
    #[serde(default)]
    annotations: OwnAnnotations,
}

#[derive(Deserialize, Default)]
struct OwnLabels {
    #[serde(rename = "managed-by")]
    managed_by: Option<String>,
}

#[derive(Deserialize, Default)]
struct OwnAnnotations {
    #[serde(rename = "cf-pusher-bits-sha256")]
    bits: Option<String>,
    #[serde(rename = "cf-pusher-prefix")]
    owner: Option<String>,
}

impl OwnMetadata {
    fn ownership(self) -> Ownership {
        Ownership {
            managed: self.labels.managed_by.as_deref() == Some(MANAGED_BY_VALUE),
            owner: self.annotations.owner,
        }
    }
}

#[derive(Deserialize, Default)]
struct AllMetadata {
    #[serde(default)]
    labels: Metadata,
    #[serde(default)]
    annotations: Metadata,
}

impl AllMetadata {
    fn ownership(&self) -> Ownership {
        let text = |values: &Metadata, key| values.get(key).cloned().flatten();
        let label = text(&self.labels, MANAGED_BY_LABEL);
        Ownership {
            managed: label.as_deref() == Some(MANAGED_BY_VALUE),
            owner: text(&self.annotations, PREFIX_ANNOTATION),
        }
    }
}

/// The resources of a list that is filtered by names or GUIDs; none of none.
async fn listed<T: DeserializeOwned>(
    client: &Client,
    items: &[&str],
    path: impl Fn(&str) -> String,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    for some in items.chunks(PER_REQUEST) {
        let some: Vec<String> = some.iter().map(|item| list_item(item)).collect();
        found.extend(client.list(&path(&some.join(","))).await?);
    }
    Ok(found)
}

/// The orgs of these names.
pub(crate) async fn orgs(client: &Client, names: &[&str]) -> Result<Vec<Org>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        name: String,
        #[serde(default)]
        metadata: AllMetadata,
        relationships: Option<OfQuota>,
    }
    #[derive(Deserialize)]
    struct OfQuota {
        quota: Option<ToOne>,
    }
    let path = |names: &str| format!("/v3/organizations?names={names}&per_page=5000");
    let found: Vec<Found> = listed(client, names, path).await?;
    let org = |found: Found| {
        let quota = found
            .relationships
            .and_then(|related| related.quota?.guid());
        Org {
            guid: found.guid,
            name: found.name,
            ownership: found.metadata.ownership(),
            quota,
            labels: found.metadata.labels,
            annotations: found.metadata.annotations,
        }
    };
    Ok(found.into_iter().map(org).collect())
}

/// The GUIDs of the quotas of these names, by name.
pub(crate) async fn quotas(
    client: &Client,
    names: &[&str],
) -> Result<HashMap<String, String>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        name: String,
    }
    let path = |names: &str| format!("/v3/organization_quotas?names={names}&per_page=5000");
    let found: Vec<Found> = listed(client, names, path).await?;
    Ok(found.into_iter().map(|it| (it.name, it.guid)).collect())
}

/// The security groups of these names, by name.
pub(crate) async fn security_groups(
    client: &Client,
    names: &[&str],
) -> Result<HashMap<String, SecurityGroup>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        name: String,
        rules: Vec<Rule>,
        relationships: Option<Relationships>,
    }
    #[derive(Deserialize)]
    struct Relationships {
        #[serde(default)]
        running_spaces: ToMany,
    }
    let path = |names: &str| format!("/v3/security_groups?names={names}&per_page=5000");
    let found: Vec<Found> = listed(client, names, path).await?;
    let group = |found: Found| {
        let spaces = found.relationships.map(|related| related.running_spaces);
        let group = SecurityGroup {
            guid: found.guid,
            rules: found.rules,
            spaces: spaces.unwrap_or_default().guids(),
        };
        (found.name, group)
    };
    Ok(found.into_iter().map(group).collect())
}

/// All domains that the login sees.
pub(crate) async fn domains(client: &Client) -> Result<Vec<Domain>, Error> {
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
    let found: Vec<Found> = client.list("/v3/domains?per_page=5000").await?;
    let domain = |found: Found| {
        let related = found.relationships;
        Domain {
            guid: found.guid,
            name: found.name,
            is_for_apps: !found.internal && found.router_group.is_none(),
            owner: related.and_then(|related| related.organization?.guid()),
        }
    };
    Ok(found.into_iter().map(domain).collect())
}

#[derive(Deserialize)]
struct FoundSpace {
    guid: String,
    name: String,
    #[serde(default)]
    metadata: AllMetadata,
    relationships: OfOrg,
}

#[derive(Deserialize)]
struct OfOrg {
    organization: ToOne,
}

impl FoundSpace {
    fn space(self) -> Space {
        Space {
            guid: self.guid,
            name: self.name,
            org: self.relationships.organization.guid().unwrap_or_default(),
            ownership: self.metadata.ownership(),
            labels: self.metadata.labels,
            annotations: self.metadata.annotations,
        }
    }
}

/// The spaces of some orgs.
pub(crate) async fn spaces(client: &Client, orgs: &[&str]) -> Result<Vec<Space>, Error> {
    let path = |orgs: &str| format!("/v3/spaces?organization_guids={orgs}&per_page=5000");
    let found: Vec<FoundSpace> = listed(client, orgs, path).await?;
    Ok(found.into_iter().map(FoundSpace::space).collect())
}

/// The apps of some orgs, without what other lists show of them; and the spaces
/// that they are in.
pub(crate) async fn apps(client: &Client, orgs: &[&str]) -> Result<(Vec<App>, Vec<Space>), Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        name: String,
        state: String,
        lifecycle: Lifecycle,
        #[serde(default)]
        metadata: OwnMetadata,
        relationships: Relationships,
    }
    #[derive(Deserialize)]
    struct Relationships {
        space: ToOne,
        current_droplet: Option<ToOne>,
    }
    #[derive(Deserialize)]
    struct Included {
        #[serde(default)]
        spaces: Vec<FoundSpace>,
    }
    let (mut apps, mut spaces) = (Vec::new(), Vec::new());
    for some in orgs.chunks(PER_REQUEST) {
        let orgs = some.join(",");
        let path = format!("/v3/apps?organization_guids={orgs}&include=space&per_page=5000");
        let (found, included) = client.list_including::<Found, Included>(&path).await?;
        let included = included.into_iter().flat_map(|it| it.spaces);
        spaces.extend(included.map(FoundSpace::space));
        for app in found {
            let current_droplet = match app.relationships.current_droplet {
                Some(droplet) => droplet.guid(),
                // Older foundations show it only app by app.
                None => super::current_droplet(client, &app.guid).await?,
            };
            apps.push(App {
                guid: app.guid,
                name: app.name,
                started: app.state == "STARTED",
                buildpacks: app.lifecycle.data.buildpacks,
                ownership: app.metadata.ownership(),
                space: app.relationships.space.guid().unwrap_or_default(),
                current_droplet,
                ..App::default()
            });
        }
    }
    Ok((apps, spaces))
}

#[derive(Deserialize)]
struct OfApp {
    app: ToOne,
}

/// The web processes of the apps of some orgs or spaces, by app; `filter` is
/// `organization_guids` or `space_guids`.
pub(crate) async fn processes(
    client: &Client,
    filter: &str,
    guids: &[&str],
) -> Result<HashMap<String, Process>, Error> {
    let embeds = AtomicBool::new(true);
    let mut all = HashMap::new();
    for some in guids.chunks(PER_REQUEST) {
        let filter = format!("{filter}={}&types=web", some.join(","));
        let found = processes::list(client, &filter, &embeds).await?;
        all.extend(found.into_iter().map(|found| {
            let states = found.instances().iter().map(|it| it.state.clone());
            let process = Process {
                instances: found.instances,
                memory_mb: found.memory_in_mb,
                disk_mb: found.disk_in_mb,
                states: states.collect(),
            };
            (found.app().to_owned(), process)
        }));
    }
    Ok(all)
}

/// The droplets of the apps of some orgs, by app.
pub(crate) async fn droplets(
    client: &Client,
    orgs: &[&str],
) -> Result<HashMap<String, Vec<Droplet>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        state: String,
        checksum: Option<Checksum>,
        #[serde(default)]
        metadata: OwnMetadata,
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
    let path = |orgs: &str| format!("/v3/droplets?organization_guids={orgs}&per_page=5000");
    let found: Vec<Found> = listed(client, orgs, path).await?;
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
            annotated: bits.is_some(),
            bits,
            package: package.and_then(|link| super::last_segment(&link.href)),
        });
    }
    Ok(by_app)
}

/// The packages of the apps of some spaces, by app.
pub(crate) async fn packages(
    client: &Client,
    spaces: &[&str],
) -> Result<HashMap<String, Vec<Package>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        state: String,
        #[serde(default)]
        metadata: OwnMetadata,
        relationships: OfApp,
    }
    let path = |spaces: &str| format!("/v3/packages?space_guids={spaces}&per_page=5000");
    let found: Vec<Found> = listed(client, spaces, path).await?;
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

/// The routes of some spaces, by space.
pub(crate) async fn routes(
    client: &Client,
    spaces: &[&str],
) -> Result<HashMap<String, Vec<Route>>, Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
        url: String,
        #[serde(default)]
        destinations: Vec<FoundDestination>,
        relationships: OfSpace,
    }
    #[derive(Deserialize)]
    struct FoundDestination {
        app: FoundApp,
        port: Option<u32>,
    }
    #[derive(Deserialize)]
    struct FoundApp {
        guid: Option<String>,
        process: Option<FoundProcess>,
    }
    #[derive(Deserialize)]
    struct FoundProcess {
        r#type: String,
    }
    #[derive(Deserialize)]
    struct OfSpace {
        space: ToOne,
    }
    let path = |spaces: &str| format!("/v3/routes?space_guids={spaces}&per_page=5000");
    let found: Vec<Found> = listed(client, spaces, path).await?;
    let destination = |found: FoundDestination| {
        let process = found.app.process.map(|process| process.r#type);
        Some(Destination {
            app: found.app.guid?,
            process: process.unwrap_or_else(|| "web".to_owned()),
            port: found.port,
        })
    };
    let mut by_space: HashMap<String, Vec<Route>> = HashMap::new();
    for route in found {
        let space = route.relationships.space.guid().unwrap_or_default();
        let destinations = route.destinations.into_iter();
        by_space.entry(space).or_default().push(Route {
            guid: route.guid,
            url: route.url,
            destinations: destinations.filter_map(destination).collect(),
        });
    }
    Ok(by_space)
}

/// An app as its own manifest has it, with its web process's properties as its own.
pub(crate) async fn manifest(client: &Client, app: &str) -> Result<Map<String, Value>, Error> {
    let manifest = manifests::of_app(client, app).await?;
    let manifest = serde_json::to_value(&manifest).unwrap_or_default();
    let application = manifest
        .pointer("/applications/0")
        .and_then(Value::as_object);
    let mut application = application.cloned().unwrap_or_default();
    let processes = application.get("processes").and_then(Value::as_array);
    let mut processes = processes.into_iter().flatten();
    let web = processes.find(|process| process["type"] == "web");
    if let Some(Value::Object(web)) = web.cloned() {
        application.extend(web);
    }
    Ok(application)
}

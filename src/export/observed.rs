//! The resources of an org that an export reads.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::try_join;
use serde_json::{Map, Value, json};

use super::left_out::{self, LeftOut};
use super::{ExportError, Exporter};
use crate::capi::error::Error;
use crate::capi::model;
use crate::capi::network_policies::NetworkPolicy;
use crate::capi::parallel;
use crate::manifest::yaml;

/// An org and its resources. Lists are ordered by name.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) org: model::Org,
    /// The org's quota, and whether no other org has it.
    pub(super) quota: Option<(model::OrgQuota, bool)>,
    pub(super) isolation_segment: Option<String>,
    pub(super) roles: Vec<model::Role>,
    pub(super) space_quotas: Vec<model::SpaceQuota>,
    pub(super) domains: Vec<model::Domain>,
    /// The security groups that apply to running apps of the spaces.
    pub(super) security_groups: Vec<model::SecurityGroup>,
    pub(super) policies: BTreeSet<NetworkPolicy>,
    pub(super) plans: HashMap<String, model::ServicePlan>,
    pub(super) spaces: Vec<ObservedSpace>,
    pub(super) left_out: LeftOut,
    /// The names of the apps with lifecycle `docker` that have no image yet. They are not
    /// listed in their spaces.
    pub(super) without_image: BTreeSet<String>,
}

/// Droplets by their GUID.
type Droplets = BTreeMap<String, model::Droplet>;

#[derive(Debug)]
pub(super) struct ObservedSpace {
    pub(super) guid: String,
    pub(super) name: String,
    pub(super) space: model::Space,
    pub(super) allows_ssh: bool,
    pub(super) isolation_segment: Option<String>,
    pub(super) roles: Vec<model::Role>,
    pub(super) services: Vec<ObservedService>,
    pub(super) apps: Vec<ObservedApp>,
}

#[derive(Debug)]
pub(super) struct ObservedService {
    pub(super) instance: model::ServiceInstance,
    /// The credentials of a user-provided instance.
    pub(super) credentials: Map<String, Value>,
}

#[derive(Debug)]
pub(super) struct ObservedApp {
    pub(super) guid: String,
    pub(super) name: String,
    pub(super) is_started: bool,
    pub(super) is_docker: bool,
    pub(super) droplet: Option<model::Droplet>,
    /// Whether the app has unused packages or droplets, such as an image that was never
    /// staged. Read only if the spec contains bits or images.
    pub(super) has_unused: bool,
    /// The app's entry in the Cloud Controller's manifest.
    pub(super) manifest: Map<String, Value>,
}

impl Observed {
    /// The manifests of all apps and the credentials of all service instances, as texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        let maps = self.spaces.iter().flat_map(|space| {
            let services = space.services.iter().map(|service| &service.credentials);
            space.apps.iter().map(|app| &app.manifest).chain(services)
        });
        maps.map(|map| Value::Object(map.clone()).to_string())
    }

    /// All apps, with their spaces.
    pub(super) fn apps(&self) -> impl Iterator<Item = (&ObservedSpace, &ObservedApp)> {
        let spaces = self.spaces.iter();
        spaces.flat_map(|space| space.apps.iter().map(move |app| (space, app)))
    }
}

impl Exporter {
    pub(super) async fn observe(&self) -> Result<Observed, ExportError> {
        let client = &self.client;
        let org = client.orgs_named(&[&self.org]).await?.into_iter().next();
        let org = org.ok_or_else(|| not_found(format!("finding org {}", self.org)))?;
        let orgs = [org.guid.as_str()];
        let quota_guids: Vec<&str> = org.quota.as_deref().into_iter().collect();
        let (spaces, quotas, mut space_quotas, roles, domains, apps, droplets) = try_join!(
            self.spaces_of(&orgs),
            client.quotas_by_guids(&quota_guids),
            client.space_quotas_of_orgs(&orgs),
            client.roles_of_orgs(&orgs),
            client.domains(),
            client.apps_of_orgs(&orgs, 0),
            client.droplets_of_orgs(&orgs, 0),
        )?;
        space_quotas.sort_by(|a, b| a.name.cmp(&b.name));
        let space_guids: Vec<&str> = spaces.iter().map(|space| space.guid.as_str()).collect();
        let of_spaces: HashSet<&str> = space_guids.iter().copied().collect();
        let apps = apps.apps.into_iter();
        let mut apps: Vec<model::App> = apps
            .filter(|app| of_spaces.contains(app.space.as_str()))
            .collect();
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        let app_guids: Vec<&str> = apps.iter().map(|app| app.guid.as_str()).collect();
        let (space_roles, services, mut security_groups, policies, segments, manifests) = try_join!(
            client.roles_of_spaces(&space_guids),
            self.services_of(&space_guids),
            client.security_groups_of_spaces(&space_guids),
            self.policies_of(&app_guids),
            self.segments_of(&org.guid),
            async { Ok::<_, Error>(self.manifests_of(&apps).await) },
        )?;
        let manifests = manifests?;
        let packages = self.packages_of(&apps, &space_guids).await?;
        let left_out = self.left_out(&spaces, &services).await?;
        security_groups.sort_by(|a, b| a.name.cmp(&b.name));
        security_groups.dedup_by(|a, b| a.guid == b.guid);
        let plans = services.iter();
        let plans = plans.filter_map(|service| service.instance.plan.as_deref());
        let plans: BTreeSet<&str> = plans.collect();
        let plans: Vec<&str> = plans.into_iter().collect();
        let plans = client.service_plans_by_guids(&plans).await?.into_iter();
        let manifests = manifests.into_iter().zip(&apps);
        let manifests = manifests.map(|(text, app)| Ok((app.guid.clone(), entry_of(app, &text)?)));
        let mut manifests: HashMap<String, Map<String, Value>> =
            manifests.collect::<Result<_, ExportError>>()?;
        let with_unused = with_unused(&apps, &droplets, &packages);
        let droplets = droplets.into_iter();
        let droplets: Droplets = droplets.map(|it| (it.guid.clone(), it)).collect();
        let without_image = self.add_images(&apps, &droplets, &mut manifests).await?;
        apps.retain(|app| !without_image.contains_key(&app.guid));
        let parts = Parts {
            features: self.features_of(&spaces).await?,
            segments,
            roles: sorted_roles(space_roles),
            services,
            apps,
            droplets,
            with_unused,
            manifests,
        };
        let quota = quotas.into_iter().next();
        Ok(Observed {
            quota: quota.map(|quota| {
                let is_own = quota.name != model::DEFAULT_QUOTA
                    && quota.orgs.iter().all(|it| *it == org.guid);
                (quota, is_own)
            }),
            isolation_segment: parts.segments.get(&org.guid).cloned(),
            roles: sorted_roles(roles),
            space_quotas,
            domains,
            security_groups,
            policies,
            plans: plans.map(|plan| (plan.guid.clone(), plan)).collect(),
            spaces: spaces.into_iter().map(|space| parts.of(space)).collect(),
            left_out,
            without_image: without_image.into_values().collect(),
            org,
        })
    }

    async fn spaces_of(&self, orgs: &[&str]) -> Result<Vec<model::Space>, Error> {
        let mut spaces = match &self.space {
            None => self.client.spaces_of_orgs(orgs).await?,
            Some(name) => {
                let found = self.client.spaces_named(orgs, &[name]).await?;
                if found.is_empty() {
                    let what = format!("finding space {name} in org {}", self.org);
                    return Err(not_found(what));
                }
                found
            }
        };
        spaces.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(spaces)
    }

    async fn services_of(&self, spaces: &[&str]) -> Result<Vec<ObservedService>, Error> {
        let client = &self.client;
        let mut services = client.services_of_spaces(spaces).await?;
        services.sort_by(|a, b| a.name.cmp(&b.name));
        let services = services.into_iter().map(|instance| async move {
            let credentials = match instance.plan {
                None => client.service_credentials(&instance.guid).await?,
                Some(_) => Map::new(),
            };
            Ok::<_, Error>(ObservedService {
                instance,
                credentials,
            })
        });
        let services: Vec<_> = services.collect();
        parallel::run(client.concurrency(), services).await
    }

    /// The packages of the apps, if the spec contains bits or images.
    async fn packages_of(
        &self,
        apps: &[model::App],
        spaces: &[&str],
    ) -> Result<Vec<model::Package>, Error> {
        let has_sources = self.bits.is_some() || apps.iter().any(model::App::is_docker);
        match has_sources && !self.seed {
            true => self.client.packages_of_spaces(spaces).await,
            false => Ok(Vec::new()),
        }
    }

    async fn policies_of(&self, apps: &[&str]) -> Result<BTreeSet<NetworkPolicy>, Error> {
        match !apps.is_empty() && self.client.has_policy_server() {
            true => self.client.network_policies(apps).await,
            false => Ok(BTreeSet::new()),
        }
    }

    /// The names of isolation segments, by the GUID of their org or space.
    async fn segments_of(&self, org: &str) -> Result<HashMap<String, String>, Error> {
        let client = &self.client;
        let orgs = [org];
        let (default, segments) = try_join!(
            client.isolation_of_org(org),
            client.isolation_segments_of_orgs(&orgs),
        )?;
        let spaces = segments
            .iter()
            .map(|segment| client.isolated_spaces(&segment.guid));
        let spaces: Vec<_> = spaces.collect();
        let spaces = parallel::run(client.concurrency(), spaces).await?;
        let mut names = HashMap::new();
        for (segment, spaces) in segments.iter().zip(spaces) {
            let is_default = default.as_ref() == Some(&segment.guid);
            let places = spaces.into_iter().chain(is_default.then(|| org.to_owned()));
            names.extend(places.map(|place| (place, segment.name.clone())));
        }
        Ok(names)
    }

    /// Whether each space allows SSH.
    async fn features_of(&self, spaces: &[model::Space]) -> Result<HashMap<String, bool>, Error> {
        let client = &self.client;
        let asked = spaces
            .iter()
            .map(|space| client.space_feature(&space.guid, "ssh"));
        let asked: Vec<_> = asked.collect();
        let enabled = parallel::run(client.concurrency(), asked).await?;
        let guids = spaces.iter().map(|space| space.guid.clone());
        Ok(guids.zip(enabled).collect())
    }

    /// Adds the images of apps whose manifest does not contain the image. The Cloud
    /// Controller takes the image from the package of the current droplet, and copies of
    /// droplets have no package. Returns the GUIDs and names of the apps that have
    /// neither a droplet nor a package.
    async fn add_images(
        &self,
        apps: &[model::App],
        droplets: &Droplets,
        manifests: &mut HashMap<String, Map<String, Value>>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut add = |app: &str, docker: Value| {
            let manifest = manifests.entry(app.to_owned()).or_default();
            manifest.entry("docker").or_insert(docker);
        };
        let mut others: BTreeMap<&str, &str> = BTreeMap::new();
        for app in apps.iter().filter(|app| app.is_docker()) {
            let droplet = app.current_droplet.as_ref();
            let droplet = droplet.and_then(|droplet| droplets.get(droplet));
            match droplet.and_then(|droplet| droplet.image.as_ref()) {
                Some(image) => add(&app.guid, json!({"image": image})),
                None => {
                    others.insert(&app.guid, &app.name);
                }
            }
        }
        if others.is_empty() {
            return Ok(BTreeMap::new());
        }
        let guids: Vec<&str> = others.keys().copied().collect();
        for package in self.client.image_packages(&guids).await? {
            if let Some(image) = package.image
                && others.remove(package.app.as_str()).is_some()
            {
                let mut docker = json!({"image": image.name});
                if let Some(username) = image.username {
                    docker["username"] = json!(username);
                }
                add(&package.app, docker);
            }
        }
        let others = others.into_iter();
        Ok(others
            .map(|(guid, name)| (guid.to_owned(), name.to_owned()))
            .collect())
    }

    async fn manifests_of(&self, apps: &[model::App]) -> Result<Vec<String>, ExportError> {
        let client = &self.client;
        let asked = apps.iter().map(|app| async {
            let manifest = client.app_manifest(&app.guid).await;
            manifest.map_err(|error| left_out::of_app(&app.name, error))
        });
        let asked: Vec<_> = asked.collect();
        parallel::run(client.concurrency(), asked).await
    }
}

/// The listed resources, before they are grouped by space.
struct Parts {
    features: HashMap<String, bool>,
    segments: HashMap<String, String>,
    roles: Vec<model::Role>,
    services: Vec<ObservedService>,
    apps: Vec<model::App>,
    droplets: Droplets,
    /// The GUIDs of apps with unused packages or droplets.
    with_unused: HashSet<String>,
    manifests: HashMap<String, Map<String, Value>>,
}

impl Parts {
    fn of(&self, space: model::Space) -> ObservedSpace {
        let guid = &space.guid;
        let services = self.services.iter();
        let services = services.filter(|service| service.instance.space == *guid);
        let services = services.map(|service| ObservedService {
            instance: service.instance.clone(),
            credentials: service.credentials.clone(),
        });
        let apps = self.apps.iter().filter(|app| app.space == *guid);
        let apps = apps.map(|app| ObservedApp {
            guid: app.guid.clone(),
            name: app.name.clone(),
            is_started: app.is_started,
            is_docker: app.is_docker(),
            droplet: app
                .current_droplet
                .as_ref()
                .and_then(|droplet| self.droplets.get(droplet).cloned()),
            has_unused: self.with_unused.contains(&app.guid),
            manifest: self.manifests.get(&app.guid).cloned().unwrap_or_default(),
        });
        let roles = self.roles.iter().filter(|role| role.place == *guid);
        ObservedSpace {
            allows_ssh: self.features.get(guid).copied().unwrap_or(true),
            isolation_segment: self.segments.get(guid).cloned(),
            roles: roles.cloned().collect(),
            services: services.collect(),
            apps: apps.collect(),
            guid: guid.clone(),
            name: space.name.clone(),
            space,
        }
    }
}

/// The GUIDs of the apps with unused packages or droplets.
fn with_unused(
    apps: &[model::App],
    droplets: &[model::Droplet],
    packages: &[model::Package],
) -> HashSet<String> {
    let current = apps.iter().filter_map(|app| app.current_droplet.as_deref());
    let current: HashSet<&str> = current.collect();
    let (used, unused): (Vec<_>, Vec<_>) = droplets
        .iter()
        .partition(|droplet| current.contains(droplet.guid.as_str()));
    let staged_from = used.iter().filter_map(|it| it.package.as_deref());
    let staged_from: HashSet<&str> = staged_from.collect();
    let packages = packages.iter();
    let packages = packages.filter(|it| !staged_from.contains(it.guid.as_str()));
    let of_packages = packages.map(|package| package.app.clone());
    let of_droplets = unused.iter().map(|droplet| droplet.app.clone());
    of_droplets.chain(of_packages).collect()
}

fn sorted_roles(mut roles: Vec<model::Role>) -> Vec<model::Role> {
    roles.sort_by(|a, b| (&a.kind, &a.user, &a.origin).cmp(&(&b.kind, &b.user, &b.origin)));
    roles
}

fn not_found(what: String) -> Error {
    Error::impossible(what, "not found, or not visible to the user")
}

/// The only application of a manifest.
fn entry_of(app: &model::App, text: &str) -> Result<Map<String, Value>, ExportError> {
    let manifest =
        yaml::Value::parse_of_cloud_controller(text).map_err(|source| ExportError::Yaml {
            app: app.name.clone(),
            source,
        })?;
    let manifest = serde_json::to_value(&manifest).unwrap_or_default();
    let application = manifest.pointer("/applications/0");
    let application = application.and_then(Value::as_object);
    Ok(application.cloned().unwrap_or_default())
}

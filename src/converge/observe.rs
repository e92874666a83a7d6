//! Observes the resources of a desired state on the foundation.
//!
//! Most properties come from lists. The Cloud Controller itself compares the others, such
//! as the environment, the start command and health checks: it gets the desired entry of
//! every app, and answers with the differences. If it cannot compare, or reports no
//! difference where there must be one, the manifest of each app is read instead.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::try_join;
use serde_json::{Map, Value, json};

use super::compare::{EntryDifference, compare};
use super::observe_2017;
use super::observe_around::{self, Around};
use super::observe_prune::{self, Surplus};
use super::observed::{App, by_app, web_by_app};
use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::capi::model::{
    DiffEntry, Domain, Org, OrgQuota, Ownership, Process, Route, SecurityGroup, Space,
};
use crate::capi::transport::Replay;
use crate::capi::{halves, parallel};
use crate::desired::{Desired, Group, PlacedSpace};
use crate::manifest::entry::Purpose;
use crate::manifest::yaml;

/// The largest manifest that the Cloud Controller accepts.
const MOST_BYTES: usize = 1024 * 1024;

/// The number of concurrent diffs. Each is long work for the Cloud Controller.
const DIFFS_AT_ONCE: usize = 2;

/// The number of apps whose instances are read one by one.
const STATES_AT_ONCE: usize = 20;

/// No app has this name, so a diff must report that it would be created.
const PROBE: &str = "cf-pusher-diff-probe";

/// The existing resources of a desired state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// The quotas, by name.
    pub(crate) quotas: HashMap<String, OrgQuota>,
    /// The security groups, by name.
    pub(crate) security_groups: HashMap<String, SecurityGroup>,
    pub(crate) domains: Vec<Domain>,
    /// Whether the processes and ports of destinations are known.
    pub(crate) knows_destinations: bool,
    /// Whether orgs and spaces can be labelled.
    pub(crate) has_labels: bool,
    /// The GUIDs of the orgs and spaces that are ours: the desired ones, and others
    /// that a quota or security group applies to.
    pub(crate) managed: HashSet<String>,
    /// What is around the apps.
    pub(crate) around: Around,
    /// What is ours and not desired any more, if that is to be deleted.
    pub(crate) surplus: Surplus,
    /// In the order of the desired orgs.
    pub(crate) orgs: Vec<ObservedOrg>,
    /// In the order of all desired spaces.
    pub(crate) spaces: Vec<ObservedSpace>,
}

/// The state of a desired org.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObservedOrg {
    pub(crate) org: Option<Org>,
    /// The domain of its apps. Empty if none is needed.
    pub(crate) apps_domain: String,
    /// The apps in its other spaces.
    pub(crate) other_apps: Vec<OtherApp>,
}

/// An app in a space that is not desired.
#[derive(Debug, Clone)]
pub(crate) struct OtherApp {
    pub(crate) name: String,
    /// The name of its space; empty where that is not known.
    pub(crate) space: String,
    /// Not known in 2017.
    pub(crate) ownership: Ownership,
}

/// The state of a desired space.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObservedSpace {
    pub(crate) space: Option<Space>,
    pub(crate) apps: Vec<App>,
    /// The differences of each desired app from its entry, by the app's name. Apps without
    /// differences are missing.
    pub(crate) differences: HashMap<String, Vec<EntryDifference>>,
    pub(crate) routes: Vec<Route>,
}

impl Observed {
    /// The domain of the apps of a space's org.
    pub(crate) fn apps_domain(&self, space: &PlacedSpace<'_>) -> &str {
        let org = self.orgs.get(space.org_id);
        org.map(|org| org.apps_domain.as_str()).unwrap_or_default()
    }
}

/// Observes what is ours and not desired any more.
pub(crate) async fn add_surplus(
    client: &Client,
    desired: &Desired,
    observed: &mut Observed,
) -> Result<(), Error> {
    observed.surplus = Box::pin(observe_prune::observe(client, desired, observed)).await?;
    Ok(())
}

/// Observes the resources of a desired state. With `packages`, it reads all packages, even
/// if annotated droplets make that unnecessary.
pub(crate) async fn observe(
    client: &Client,
    desired: &Desired,
    packages: bool,
) -> Result<Observed, Error> {
    match client.dialect() {
        Dialect::V3 => observe_v3(client, desired, packages).await,
        Dialect::Documented2017 => observe_2017(client, desired, packages).await,
    }
}

async fn observe_v3(client: &Client, desired: &Desired, packages: bool) -> Result<Observed, Error> {
    let names = Names::of(desired);
    let (orgs, quotas, security_groups, domains) = try_join!(
        client.orgs_named(&names.orgs),
        client.quotas_named(&names.quotas),
        client.security_groups_named(&names.security_groups),
        client.domains(),
    )?;
    let guids: Vec<&str> = orgs.iter().map(|org| org.guid.as_str()).collect();
    let (found, processes, mut droplets) = try_join!(
        client.apps_of_orgs(&guids),
        client.web_processes_of_orgs(&guids),
        client.droplets_of_orgs(&guids),
    )?;
    unique(&mut droplets, |droplet| &droplet.guid);
    let mut processes = web_by_app(processes);
    let mut droplets = by_app(droplets, |droplet| &droplet.app);
    let mut spaces = found.spaces;
    let mut apps: Vec<App> = found.apps.into_iter().map(App::from).collect();
    unique(&mut apps, |app| &app.guid);
    for app in &mut apps {
        app.web = processes.remove(&app.guid);
        app.droplets = droplets.remove(&app.guid).unwrap_or_default();
    }
    if !has_all_spaces(desired, &orgs, &spaces) {
        spaces = client.spaces_of_orgs(&guids).await?;
    }
    let mut observed = Observed {
        quotas: quotas_by_name(quotas),
        security_groups: groups_by_name(security_groups),
        domains,
        knows_destinations: true,
        has_labels: true,
        ..Observed::default()
    };
    observed.arrange(desired, orgs, spaces, apps)?;
    observed.find_managed(client).await?;
    let there = observed.space_guids();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    let accounted = observed.account_for_packages(desired);
    let of_packages = if packages || !accounted {
        &there[..]
    } else {
        &[]
    };
    let (mut routes, mut packages, differences, around) = try_join!(
        client.routes_of_spaces(&there),
        client.packages_of_spaces(of_packages),
        differences(client, desired, &observed),
        // Boxed, as it is large and most of it is rarely needed.
        Box::pin(observe_around::observe(client, desired, &observed)),
    )?;
    observed.around = around;
    unique(&mut routes, |route| &route.guid);
    unique(&mut packages, |package| &package.guid);
    let mut routes = routes_by_space(routes);
    let mut all_packages = by_app(packages, |package| &package.app);
    for (space, differences) in observed.spaces.iter_mut().zip(differences) {
        space.differences = differences;
        if let Some(found) = &space.space {
            space.routes = routes.remove(&found.guid).unwrap_or_default();
        }
        for app in &mut space.apps {
            app.take_packages(&mut all_packages);
        }
    }
    Ok(observed)
}

async fn observe_2017(
    client: &Client,
    desired: &Desired,
    packages: bool,
) -> Result<Observed, Error> {
    let names = Names::of(desired);
    let (domains, orgs, quotas, security_groups) = try_join!(
        client.domains(),
        client.orgs_named(&names.orgs),
        client.quotas_named(&names.quotas),
        client.security_groups_named(&names.security_groups),
    )?;
    let (mut spaces, mut apps) = (Vec::new(), Vec::new());
    for org in &orgs {
        let wanted = desired.orgs().iter().filter(|it| it.name == org.name);
        let wanted = wanted.flat_map(|org| org.spaces.iter().map(|it| it.name.as_str()));
        let wanted: Vec<&str> = wanted.collect();
        let guids = [org.guid.as_str()];
        let (found, all) = try_join!(
            client.spaces_named(&guids, &wanted),
            client.apps_of_orgs(&guids),
        )?;
        spaces.extend(found);
        apps.extend(all.apps.into_iter().map(App::from));
    }
    unique(&mut apps, |app| &app.guid);
    let mut observed = Observed {
        quotas: quotas_by_name(quotas),
        security_groups: groups_by_name(security_groups),
        domains,
        ..Observed::default()
    };
    observed.arrange(desired, orgs, spaces, apps)?;
    for (space, placed) in observed.spaces.iter_mut().zip(desired.spaces()) {
        let Some(found) = &space.space else { continue };
        let domains = &observed.domains;
        space.routes =
            observe_2017::add_details(client, &found.guid, domains, &mut space.apps).await?;
        if packages {
            let mut all = client.packages_of_spaces(&[&found.guid]).await?;
            unique(&mut all, |package| &package.guid);
            let mut all = by_app(all, |package| &package.app);
            for app in &mut space.apps {
                app.take_packages(&mut all);
            }
        }
        let domain = observed
            .orgs
            .get(placed.org_id)
            .map(|org| org.apps_domain.as_str());
        space.differences = compared_here(&placed, domain.unwrap_or_default(), &space.apps);
    }
    observed.infer_ownership(desired);
    observed.find_managed(client).await?;
    Ok(observed)
}

/// Reads the instances of all apps again.
pub(crate) async fn refresh_instances(
    client: &Client,
    observed: &mut Observed,
) -> Result<(), Error> {
    let there = observed.space_guids();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    let mut processes = web_by_app(client.web_processes_of_spaces(&there).await?);
    for app in observed.spaces.iter_mut().flat_map(|space| &mut space.apps) {
        app.web = processes.remove(&app.guid);
    }
    if client.dialect() == Dialect::Documented2017 {
        add_states(client, observed).await?;
    }
    Ok(())
}

/// Reads the states of the instances of some apps that do not all run: the summaries
/// of 2017 show only how many do.
async fn add_states(client: &Client, observed: &mut Observed) -> Result<(), Error> {
    let apps = observed.spaces.iter_mut().flat_map(|space| &mut space.apps);
    let webs = apps
        .filter(|app| app.started)
        .filter_map(|app| app.web.as_mut());
    let is_short = |web: &&mut Process| web.running() < web.instances as usize;
    let states = webs.filter(is_short).take(STATES_AT_ONCE).map(|web| async {
        web.actual = client.instances(&web.guid).await?;
        Ok::<_, Error>(())
    });
    let states: Vec<_> = states.collect();
    parallel::run(parallel::PER_APP, states).await?;
    Ok(())
}

/// The names to look for.
struct Names<'d> {
    orgs: Vec<&'d str>,
    quotas: Vec<&'d str>,
    security_groups: Vec<&'d str>,
}

impl<'d> Names<'d> {
    fn of(desired: &'d Desired) -> Self {
        let groups = desired.security_groups().iter();
        Self {
            orgs: desired.orgs().iter().map(|org| org.name.as_str()).collect(),
            quotas: desired.quotas(),
            security_groups: groups.map(|group| group.name.as_str()).collect(),
        }
    }
}

/// Whether the list of apps includes every desired space that may exist.
fn has_all_spaces(desired: &Desired, orgs: &[Org], spaces: &[Space]) -> bool {
    desired.spaces().all(|placed| {
        let org = orgs.iter().find(|org| org.name == placed.org.name);
        org.is_none_or(|org| {
            let mut spaces = spaces.iter();
            spaces.any(|space| space.org == org.guid && space.name == placed.space.name)
        })
    })
}

impl Observed {
    /// The GUIDs of the desired spaces that exist.
    fn space_guids(&self) -> Vec<String> {
        let spaces = self.spaces.iter().filter_map(|space| space.space.as_ref());
        spaces.map(|space| space.guid.clone()).collect()
    }

    /// Whether the droplets of all desired apps have the hash of their bits.
    fn account_for_packages(&self, desired: &Desired) -> bool {
        let mut spaces = desired.spaces().zip(&self.spaces);
        spaces.all(|(placed, space)| {
            let names: HashSet<String> = names_in(&placed).collect();
            let owner = desired.owner();
            // What looks like a leftover of ours has no package.
            let is_ours = |app: &&App| names.contains(&app.name) || app.may_be_leftover_of(owner);
            let mut apps = space.apps.iter().filter(is_ours);
            apps.all(App::accounts_for_packages)
        })
    }

    /// Assigns the resources to the desired orgs and spaces.
    fn arrange(
        &mut self,
        desired: &Desired,
        orgs: Vec<Org>,
        spaces: Vec<Space>,
        apps: Vec<App>,
    ) -> Result<(), Error> {
        for wanted in desired.orgs() {
            let org = orgs.iter().find(|org| org.name == wanted.name).cloned();
            let apps_domain = match desired.needs_apps_domain() || desired.apps_domain().is_some() {
                true => self.domain_of(desired, org.as_ref())?,
                false => String::new(),
            };
            self.orgs.push(ObservedOrg {
                org,
                apps_domain,
                other_apps: Vec::new(),
            });
        }
        let mut by_space: BTreeMap<String, Vec<App>> = BTreeMap::new();
        for app in apps {
            by_space.entry(app.space.clone()).or_default().push(app);
        }
        let by_guid: HashMap<&str, &Space> = spaces
            .iter()
            .map(|space| (space.guid.as_str(), space))
            .collect();
        for placed in desired.spaces() {
            let org = self
                .orgs
                .get(placed.org_id)
                .and_then(|org| org.org.as_ref());
            let space = org.and_then(|org| {
                let mut spaces = spaces.iter();
                spaces.find(|space| space.org == org.guid && space.name == placed.space.name)
            });
            let apps = space.and_then(|space| by_space.remove(&space.guid));
            self.spaces.push(ObservedSpace {
                space: space.cloned(),
                apps: apps.unwrap_or_default(),
                ..ObservedSpace::default()
            });
        }
        for (space, apps) in by_space {
            let space = by_guid.get(space.as_str());
            let org = space.map(|space| space.org.as_str());
            let only = self.orgs.len() == 1;
            let mut orgs = self.orgs.iter_mut();
            let org = orgs.find(|it| only || it.org.as_ref().map(|org| org.guid.as_str()) == org);
            if let Some(org) = org {
                let space = space.map(|space| space.name.as_str()).unwrap_or_default();
                org.other_apps.extend(apps.into_iter().map(|app| OtherApp {
                    name: app.name,
                    space: space.to_owned(),
                    ownership: app.ownership,
                }));
            }
        }
        Ok(())
    }

    /// The domain of the apps of an org: the desired one, the first shared domain, or the
    /// org's own.
    fn domain_of(&self, desired: &Desired, org: Option<&Org>) -> Result<String, Error> {
        // One that is desired may not exist yet.
        if let Some(name) = desired
            .apps_domain()
            .filter(|name| desired.has_domain(name))
        {
            return Ok(name.to_owned());
        }
        let org = org.map(|org| org.guid.as_str());
        let mut domains = self.domains.iter();
        let found = match desired.apps_domain() {
            Some(name) => domains.find(|domain| domain.name == name),
            None => {
                let apps = self.domains.iter().filter(|domain| domain.is_for_apps);
                let mut shared = apps.clone().filter(|domain| domain.owner.is_none());
                let mut own = apps.filter(|domain| org.is_some() && domain.owner.as_deref() == org);
                shared.next().or_else(|| own.next())
            }
        };
        let found = found.ok_or_else(|| no_domain(desired.apps_domain()))?;
        Ok(found.name.clone())
    }

    /// An org has no label in 2017: it is ours if it has our quota, or no app that is
    /// not ours. Its spaces are ours then.
    fn infer_ownership(&mut self, desired: &Desired) {
        for (id, wanted) in desired.orgs().iter().enumerate() {
            let spaces = desired.spaces().zip(&self.spaces);
            let mut apps = spaces
                .filter(|(placed, _)| placed.org_id == id)
                .flat_map(|(_, space)| &space.apps);
            let are_ours = apps.all(|app| app.ownership.managed);
            let quota = wanted.quota.as_ref().and_then(|name| self.quotas.get(name));
            let Some(ObservedOrg {
                org: Some(org),
                other_apps,
                ..
            }) = self.orgs.get_mut(id)
            else {
                continue;
            };
            let has_ours = quota.is_some_and(|it| org.quota.as_ref() == Some(&it.guid));
            let is_ours = has_ours || (are_ours && other_apps.is_empty());
            org.ownership.managed = is_ours;
            let spaces = desired.spaces().zip(&mut self.spaces);
            for (_, space) in spaces.filter(|(placed, _)| placed.org_id == id) {
                if let Some(space) = &mut space.space {
                    space.ownership.managed = is_ours;
                }
            }
        }
    }

    /// Notes which orgs and spaces are ours, also of those that the quotas and
    /// security groups apply to without being desired.
    async fn find_managed(&mut self, client: &Client) -> Result<(), Error> {
        let orgs = self.orgs.iter().filter_map(|it| it.org.as_ref());
        let spaces = self.spaces.iter().filter_map(|it| it.space.as_ref());
        let known: HashMap<&str, bool> = orgs
            .map(|org| (org.guid.as_str(), org.ownership.managed))
            .chain(spaces.map(|space| (space.guid.as_str(), space.ownership.managed)))
            .collect();
        let quotas = self.quotas.values().flat_map(|quota| &quota.orgs);
        let other_orgs = unknown(quotas, &known);
        let groups = self.security_groups.values();
        let groups =
            groups.flat_map(|group| group.running_spaces.iter().chain(&group.staging_spaces));
        let other_spaces = unknown(groups, &known);
        let (orgs, spaces) = try_join!(
            client.orgs_by_guids(&other_orgs),
            client.spaces_by_guids(&other_spaces),
        )?;
        let orgs = orgs.into_iter().map(|org| (org.guid, org.ownership));
        let spaces = spaces
            .into_iter()
            .map(|space| (space.guid, space.ownership));
        let others = orgs.chain(spaces).filter(|(_, it)| it.managed);
        let known = known.iter().filter(|(_, managed)| **managed);
        self.managed = known
            .map(|(guid, _)| (*guid).to_owned())
            .chain(others.map(|(guid, _)| guid))
            .collect();
        Ok(())
    }
}

fn no_domain(name: Option<&str>) -> Error {
    let reason = match name {
        Some(name) => format!("the foundation has no domain {name}"),
        None => "the foundation has no shared domain".to_owned(),
    };
    Error::impossible("finding the domain of the apps' routes", reason)
}

/// The GUIDs that are not known, each once, in order.
fn unknown<'a>(
    guids: impl Iterator<Item = &'a String>,
    known: &HashMap<&str, bool>,
) -> Vec<&'a str> {
    let guids = guids.map(String::as_str);
    let unknown: BTreeSet<&str> = guids.filter(|guid| !known.contains_key(guid)).collect();
    unknown.into_iter().collect()
}

/// Resources, each once: a list that changes while it is read may repeat some.
pub(super) fn unique<T>(resources: &mut Vec<T>, guid: impl Fn(&T) -> &str) {
    let mut seen = HashSet::new();
    resources.retain(|resource| seen.insert(guid(resource).to_owned()));
}

fn quotas_by_name(quotas: Vec<OrgQuota>) -> HashMap<String, OrgQuota> {
    let quotas = quotas.into_iter();
    quotas.map(|quota| (quota.name.clone(), quota)).collect()
}

fn groups_by_name(groups: Vec<SecurityGroup>) -> HashMap<String, SecurityGroup> {
    let groups = groups.into_iter();
    groups.map(|group| (group.name.clone(), group)).collect()
}

fn routes_by_space(routes: Vec<Route>) -> HashMap<String, Vec<Route>> {
    let mut by_space: HashMap<String, Vec<Route>> = HashMap::new();
    for route in routes {
        by_space.entry(route.space.clone()).or_default().push(route);
    }
    by_space
}

/// An existing desired app, with its entry.
struct Claim {
    name: String,
    yaml: String,
}

/// The differences of the desired apps from their entries, by space.
async fn differences(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<Vec<HashMap<String, Vec<EntryDifference>>>, Error> {
    let mut all = Vec::new();
    for (placed, space) in desired.spaces().zip(&observed.spaces) {
        all.push(differences_in(client, observed, &placed, space).await?);
    }
    Ok(all)
}

async fn differences_in(
    client: &Client,
    observed: &Observed,
    placed: &PlacedSpace<'_>,
    space: &ObservedSpace,
) -> Result<HashMap<String, Vec<EntryDifference>>, Error> {
    let Some(found) = &space.space else {
        return Ok(HashMap::new());
    };
    let domain = observed.apps_domain(placed);
    let claims = claims(placed, domain, &space.apps);
    let batches = batches(&claims);
    let batches = batches.into_iter();
    let asked = batches.map(|batch| diff(client, &found.guid, batch));
    let answers: Vec<Option<Vec<(usize, EntryDifference)>>> =
        parallel::run(DIFFS_AT_ONCE, asked).await?;
    let answers: Option<Vec<_>> = answers.into_iter().collect();
    let Some(answers) = answers else {
        return read_one_by_one(client, placed, domain, &space.apps).await;
    };
    let mut by_name: HashMap<String, Vec<EntryDifference>> = HashMap::new();
    let mut begin = 0;
    for (batch, size) in answers.into_iter().zip(sizes(&claims)) {
        for (at, difference) in batch {
            if let Some(claim) = claims.get(begin + at) {
                by_name
                    .entry(claim.name.clone())
                    .or_default()
                    .push(difference);
            }
        }
        begin += size;
    }
    Ok(by_name)
}

/// The entries of the existing desired apps.
fn claims(placed: &PlacedSpace<'_>, domain: &str, apps: &[App]) -> Vec<Claim> {
    let there: HashMap<&str, &App> = apps.iter().map(|app| (app.name.as_str(), app)).collect();
    let mut claims = Vec::with_capacity(there.len());
    for group in &placed.space.groups {
        let entry = group.entry.with_apps_domain(domain);
        for (index, name) in (0..).zip(group.app_names()) {
            if there.contains_key(name.as_str()) {
                let mut claim = Map::from_iter([("name".to_owned(), json!(name))]);
                claim.extend(
                    entry
                        .of_app(&name, index, domain)
                        .application(Purpose::Compare),
                );
                claims.push(Claim {
                    yaml: format!("- {}\n", Value::Object(claim)),
                    name,
                });
            }
        }
    }
    claims
}

/// The entries in parts, each small enough for a manifest.
fn batches(claims: &[Claim]) -> Vec<&[Claim]> {
    let mut batches = Vec::new();
    let mut rest = claims;
    for size in sizes(claims) {
        let (batch, others) = rest.split_at(size);
        batches.push(batch);
        rest = others;
    }
    batches
}

/// The number of entries in each part.
fn sizes(claims: &[Claim]) -> Vec<usize> {
    let head = manifest(&[]).len();
    let mut sizes = Vec::new();
    let (mut bytes, mut count) = (head, 0);
    for claim in claims {
        if bytes + claim.yaml.len() > MOST_BYTES && count > 0 {
            sizes.push(count);
            (bytes, count) = (head, 0);
        }
        bytes += claim.yaml.len();
        count += 1;
    }
    if count > 0 {
        sizes.push(count);
    }
    sizes
}

/// The entries as a manifest, with one more for an app that does not exist.
fn manifest(claims: &[Claim]) -> String {
    let mut manifest = String::from("applications:\n");
    manifest.extend(claims.iter().map(|claim| claim.yaml.as_str()));
    manifest.push_str(&format!("- {{\"name\":\"{PROBE}\"}}\n"));
    manifest
}

/// The differences from some entries, with their positions. They are requested in halves
/// if the Cloud Controller cannot process all at once. `None` if it cannot compare.
async fn diff(
    client: &Client,
    space: &str,
    claims: &[Claim],
) -> Result<Option<Vec<(usize, EntryDifference)>>, Error> {
    let can_halve = |error: &Error| {
        !error.is_unknown_request() && (error.is_too_large() || error.is_worth_replanning())
    };
    let parts = halves::run(claims.len(), can_halve, |part| async move {
        let some = claims.get(part).unwrap_or_default();
        // A request for many apps is not retried, but halved.
        let replay = match some {
            [_] => Replay::Safe,
            _ => Replay::Unsafe,
        };
        client.manifest_diff(space, &manifest(some), replay).await
    });
    let mut all = Vec::new();
    for (part, diff) in parts.await {
        let diff = match diff {
            Err(error) if error.is_unknown_request() => return Ok(None),
            diff => diff?,
        };
        let Some(differences) = placed_differences(part.len(), diff) else {
            return Ok(None);
        };
        let placed = differences.into_iter();
        all.extend(placed.map(|(at, difference)| (part.start + at, difference)));
    }
    Ok(Some(all))
}

/// The differences in a response. `None` if it does not report that the probe would be
/// created: then it reports nothing.
fn placed_differences(
    count: usize,
    answer: Vec<DiffEntry>,
) -> Option<Vec<(usize, EntryDifference)>> {
    let mut is_known = false;
    let mut differences = Vec::new();
    for difference in answer {
        let Some((at, difference)) = EntryDifference::of(difference) else {
            continue;
        };
        is_known |= at == count;
        if at < count {
            differences.push((at, difference));
        }
    }
    is_known.then_some(differences)
}

/// The slower way: reads the manifest of each app, and compares it here.
async fn read_one_by_one(
    client: &Client,
    placed: &PlacedSpace<'_>,
    domain: &str,
    apps: &[App],
) -> Result<HashMap<String, Vec<EntryDifference>>, Error> {
    let wanted: HashSet<String> = names_in(placed).collect();
    let wanted = apps.iter().filter(|app| wanted.contains(&app.name));
    let wanted = wanted.map(|app| async move {
        let manifest = Some(current_manifest(client, &app.guid).await?);
        let app = app.clone();
        Ok::<_, Error>(App { manifest, ..app })
    });
    let read: Vec<App> = parallel::run(parallel::PER_APP, wanted).await?;
    Ok(compared_here(placed, domain, &read))
}

/// The properties of an app in its own manifest, including those of its web process.
async fn current_manifest(client: &Client, app: &str) -> Result<Map<String, Value>, Error> {
    let text = client.app_manifest(app).await?;
    let manifest = yaml::Value::parse(&text).map_err(|error| {
        Error::local(
            format!("reading the current manifest of the app {app}"),
            error,
        )
    })?;
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

/// The names of the desired apps of a space.
fn names_in(placed: &PlacedSpace<'_>) -> impl Iterator<Item = String> {
    placed.space.groups.iter().flat_map(Group::app_names)
}

/// The differences of apps whose manifests were read.
fn compared_here(
    placed: &PlacedSpace<'_>,
    domain: &str,
    apps: &[App],
) -> HashMap<String, Vec<EntryDifference>> {
    let there: HashMap<&str, &App> = apps.iter().map(|app| (app.name.as_str(), app)).collect();
    let mut all = HashMap::new();
    for group in &placed.space.groups {
        for (index, name) in (0..).zip(group.app_names()) {
            let app = there.get(name.as_str());
            let Some(manifest) = app.and_then(|app| app.manifest.as_ref()) else {
                continue;
            };
            let entry = group.entry.of_app(&name, index, domain);
            let differences = compare(&entry.application(Purpose::Compare), manifest);
            if !differences.is_empty() {
                all.insert(name, differences);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::model::{DiffOp, ManifestValue};
    use crate::desired::{Bits, Org, Space};
    use crate::manifest::entry::ManifestEntry;

    fn desired(count: u32) -> Desired {
        let entry = ManifestEntry::parse(
            "{instances: 2, env: {GOPACKAGENAME: example-apps/tick, LISTEN_PORTS: 0, REGISTRY_BASE_URL: 'http://scale-registry.{apps_domain}', REGISTRY_TTL_SECONDS: 180, START_PORT: 7000}, routes: [{route: 'scale-tick-{i}.{apps_domain}'}]}",
        )
        .unwrap();
        let group = Group::new("scale-Tick-{i}", entry, Bits::files([("a", "b")])).count(count);
        let org = Org::new("o").space(Space::new("s").group(group));
        Desired::builder("scale-").org(org).build().unwrap()
    }

    fn app(name: String) -> App {
        App {
            name,
            ..App::default()
        }
    }

    #[test]
    fn claims_are_yaml_and_fit_into_manifests() {
        let desired = desired(10_000);
        let placed = desired.spaces().next().unwrap();
        let apps: Vec<App> = placed.space.groups[0].app_names().map(app).collect();
        let claims = claims(&placed, "apps.example.com", &apps);
        let batches = batches(&claims);
        assert!(
            batches.len() <= 4,
            "{} requests for ten thousand apps",
            batches.len()
        );
        assert!(
            batches
                .iter()
                .all(|batch| manifest(batch).len() <= MOST_BYTES + 64)
        );
        insta::assert_snapshot!(manifest(&batches[0][..1]), @r#"
        applications:
        - {"name":"scale-Tick-0","env":{"GOPACKAGENAME":"example-apps/tick","LISTEN_PORTS":"0","REGISTRY_BASE_URL":"http://scale-registry.apps.example.com","REGISTRY_TTL_SECONDS":"180","START_PORT":"7000"},"command":null,"routes":[{"route":"scale-tick-0.apps.example.com"}]}
        - {"name":"cf-pusher-diff-probe"}
        "#);
    }

    #[test]
    fn an_answer_without_the_probe_knows_nothing() {
        let entry = |op, path: &str, was, value| DiffEntry {
            op,
            path: path.split('/').map(str::to_owned).collect(),
            was,
            value,
        };
        let text = |text: &str| ManifestValue::Text(text.to_owned());
        let none = ManifestValue::Null;
        let probe = entry(
            DiffOp::Add,
            "applications/1/name",
            none.clone(),
            text(PROBE),
        );
        let env = entry(DiffOp::Remove, "applications/0/env/A", text("1"), none);
        assert!(placed_differences(1, Vec::new()).is_none());
        assert!(placed_differences(1, vec![env.clone()]).is_none());
        let known = placed_differences(1, vec![env, probe]).unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].0, 0);
    }
}

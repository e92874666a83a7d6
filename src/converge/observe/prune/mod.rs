//! Finds resources that a desired state declared earlier and no longer declares.
//!
//! Orgs, spaces, apps, service instances, domains and users have our label and an
//! annotation with their owner, which prove that they are ours. For resources without
//! labels, see [`unlabelled`].

mod unlabelled;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::try_join;

use self::unlabelled::ManagedPlaces;
use super::Observed;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{App, Org, Ownership, ServiceInstance, Space};
use crate::capi::network_policies::NetworkPolicy;
use crate::converge::target::Target;
use crate::desired::{self, Desired};

/// Our resources that are no longer desired.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surplus {
    /// Orgs and spaces with everything in them, and other resources.
    pub(crate) resources: Vec<SurplusResource>,
    /// Our spaces that desired security groups must no longer apply to, by the groups'
    /// names.
    pub(crate) unbound: BTreeMap<String, Vec<Target>>,
    /// Policies between our apps, with the names of the apps.
    pub(crate) policies: Vec<(Target, NetworkPolicy)>,
}

/// A resource to delete.
#[derive(Debug, Clone)]
pub(crate) struct SurplusResource {
    pub(crate) target: Target,
    pub(crate) guid: String,
    /// Its contents that are not ours.
    pub(crate) unmanaged: Vec<Target>,
    /// Its contents that are ours.
    pub(crate) content: Vec<Target>,
}

/// Whether a resource is managed for exactly this owner.
fn is_of(ownership: &Ownership, owner: &str) -> bool {
    ownership.managed && ownership.owner.as_deref() == Some(owner)
}

/// Finds our resources that are not desired. `observed` has the desired orgs and spaces.
pub(super) async fn observe(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<Surplus, Error> {
    let (orgs, spaces) = try_join!(client.managed_orgs(), client.managed_spaces())?;
    let owner = desired.owner();
    let wanted_orgs: HashSet<&str> = desired.orgs().iter().map(|it| it.name.as_str()).collect();
    let orgs = orgs.into_iter();
    let orgs = orgs.filter(|org| is_of(&org.ownership, owner));
    let orgs: Vec<Org> = orgs
        .filter(|org| !wanted_orgs.contains(org.name.as_str()))
        .collect();
    let wanted_spaces = observed.spaces.iter().filter_map(|it| it.space.as_ref());
    let wanted_spaces: Vec<&str> = wanted_spaces.map(|space| space.guid.as_str()).collect();
    let known: HashMap<&str, &str> = observed
        .orgs
        .iter()
        .filter_map(|it| it.org.as_ref())
        .map(|org| (org.guid.as_str(), org.name.as_str()))
        .collect();
    let spaces = spaces.into_iter();
    let spaces = spaces.filter(|space| is_of(&space.ownership, owner));
    let spaces = spaces.filter(|space| !wanted_spaces.contains(&space.guid.as_str()));
    // Spaces in other orgs are deleted with their org, or do not belong to this desired
    // state.
    let spaces: Vec<Space> = spaces
        .filter(|space| known.contains_key(space.org.as_str()))
        .collect();
    let mut surplus = Surplus::default();
    let guids: Vec<&str> = orgs.iter().map(|org| org.guid.as_str()).collect();
    let of_spaces: BTreeSet<&str> = spaces.iter().map(|space| space.org.as_str()).collect();
    let all: Vec<&str> = guids.iter().copied().chain(of_spaces).collect();
    let in_spaces: Vec<&str> = spaces.iter().map(|space| space.guid.as_str()).collect();
    let in_spaces: Vec<&str> = in_spaces.into_iter().chain(wanted_spaces).collect();
    let (apps, inner, of_orgs, services) = try_join!(
        client.apps_of_orgs(&all, 0),
        client.spaces_of_orgs(&guids),
        client.services_of_orgs(&guids),
        client.services_of_spaces(&in_spaces),
    )?;
    for org in &orgs {
        let inner: Vec<&Space> = inner.iter().filter(|space| space.org == org.guid).collect();
        let services = of_orgs.iter().filter(|it| it.org == org.guid);
        surplus
            .resources
            .push(org_of(org, &inner, &apps.apps, services, owner));
    }
    for space in &spaces {
        let org = known.get(space.org.as_str()).copied().unwrap_or_default();
        let services = services.iter().filter(|it| it.space == space.guid);
        surplus
            .resources
            .push(space_of(org, space, &apps.apps, services, owner));
    }
    surplus
        .resources
        .extend(services_of(desired, observed, &services));
    let deleted: HashSet<&str> = guids.into_iter().collect();
    surplus
        .resources
        .extend(domains_of(desired, observed, &deleted));
    let inner = inner.iter().filter(|space| is_of(&space.ownership, owner));
    let ours = ManagedPlaces::of(desired, observed, &orgs, spaces.iter().chain(inner));
    unlabelled::add(client, desired, observed, &ours, &mut surplus).await?;
    surplus.policies = policies_of(client, desired, observed).await?;
    Ok(surplus)
}

/// An org with its contents.
fn org_of<'s>(
    org: &Org,
    spaces: &[&Space],
    apps: &[App],
    services: impl Iterator<Item = &'s ServiceInstance>,
    owner: &str,
) -> SurplusResource {
    let names: HashMap<&str, &str> = spaces
        .iter()
        .map(|space| (space.guid.as_str(), space.name.as_str()))
        .collect();
    let name_of = |guid: &str| names.get(guid).copied().unwrap_or_default().to_owned();
    let spaces = spaces.iter().map(|space| {
        let target = Target::Space {
            org: org.name.clone(),
            name: space.name.clone(),
        };
        (target, is_of(&space.ownership, owner))
    });
    let apps = apps
        .iter()
        .filter(|app| names.contains_key(app.space.as_str()));
    let apps = apps.map(|app| {
        let target = Target::App {
            org: org.name.clone(),
            space: name_of(&app.space),
            name: app.name.clone(),
        };
        (target, is_of(&app.ownership, owner))
    });
    let services = services.map(|service| {
        let target = Target::ServiceInstance {
            org: org.name.clone(),
            space: name_of(&service.space),
            name: service.name.clone(),
        };
        (target, is_of(&service.ownership, owner))
    });
    let name = org.name.clone();
    let content = spaces.chain(apps).chain(services);
    SurplusResource::of(Target::Org { name }, &org.guid, content)
}

/// A space with its contents.
fn space_of<'s>(
    org: &str,
    space: &Space,
    apps: &[App],
    services: impl Iterator<Item = &'s ServiceInstance>,
    owner: &str,
) -> SurplusResource {
    let place = || (org.to_owned(), space.name.clone());
    let apps = apps.iter().filter(|app| app.space == space.guid);
    let apps = apps.map(|app| {
        let ((org, space), name) = (place(), app.name.clone());
        (
            Target::App { org, space, name },
            is_of(&app.ownership, owner),
        )
    });
    let services = services.map(|service| {
        let ((org, space), name) = (place(), service.name.clone());
        let target = Target::ServiceInstance { org, space, name };
        (target, is_of(&service.ownership, owner))
    });
    let (org, name) = place();
    SurplusResource::of(
        Target::Space { org, name },
        &space.guid,
        apps.chain(services),
    )
}

impl SurplusResource {
    /// A resource with its contents, and whether each of them is ours.
    fn of(target: Target, guid: &str, content: impl Iterator<Item = (Target, bool)>) -> Self {
        let (content, unmanaged): (Vec<_>, Vec<_>) = content.partition(|(_, is_ours)| *is_ours);
        let targets = |all: Vec<(Target, bool)>| all.into_iter().map(|(target, _)| target);
        Self {
            target,
            guid: guid.to_owned(),
            unmanaged: targets(unmanaged).collect(),
            content: targets(content).collect(),
        }
    }
}

/// Our service instances in desired spaces that are not desired themselves.
fn services_of(
    desired: &Desired,
    observed: &Observed,
    services: &[ServiceInstance],
) -> Vec<SurplusResource> {
    let mut surplus = Vec::new();
    for (placed, found) in desired.spaces().zip(&observed.spaces) {
        let Some(space) = &found.space else { continue };
        let wanted: HashSet<&str> = placed
            .space
            .services
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        let services = services.iter().filter(|it| it.space == space.guid);
        let services = services.filter(|it| !wanted.contains(it.name.as_str()));
        let ours = services.filter(|it| is_of(&it.ownership, desired.owner()));
        surplus.extend(ours.map(|service| {
            let target = Target::ServiceInstance {
                org: placed.org.name.clone(),
                space: placed.space.name.clone(),
                name: service.name.clone(),
            };
            SurplusResource::of(target, &service.guid, std::iter::empty())
        }));
    }
    surplus
}

/// Our domains that are not desired, except those of orgs that are deleted.
fn domains_of(
    desired: &Desired,
    observed: &Observed,
    deleted: &HashSet<&str>,
) -> Vec<SurplusResource> {
    let domains = observed.domains.iter();
    let ours = domains.filter(|domain| is_of(&domain.ownership, desired.owner()));
    let surplus = ours.filter(|domain| !desired.has_domain(&domain.name));
    let surplus = surplus.filter(|domain| {
        let owner = domain.owner.as_deref();
        !owner.is_some_and(|org| deleted.contains(org))
    });
    surplus
        .map(|domain| {
            let name = domain.name.clone();
            SurplusResource::of(Target::Domain { name }, &domain.guid, std::iter::empty())
        })
        .collect()
}

/// An app of ours: its org, its space and its name.
type OurApp<'o> = (&'o str, &'o str, &'o str);

/// The policies between our desired apps that are not desired themselves.
async fn policies_of(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<Vec<(Target, NetworkPolicy)>, Error> {
    if !client.has_policy_server() {
        return Ok(Vec::new());
    }
    let mut ours: BTreeMap<&str, OurApp<'_>> = BTreeMap::new();
    for (placed, space) in desired.spaces().zip(&observed.spaces) {
        let (org, place) = (placed.org.name.as_str(), placed.space.name.as_str());
        let apps = space.apps.iter();
        let apps = apps.filter(|app| is_of(&app.ownership, desired.owner()));
        ours.extend(apps.map(|app| (app.guid.as_str(), (org, place, app.name.as_str()))));
    }
    let guids: Vec<&str> = ours.keys().copied().collect();
    if guids.is_empty() {
        return Ok(Vec::new());
    }
    let policies = client.network_policies(&guids).await?.into_iter();
    let surplus = policies.filter_map(|policy| {
        let from = *ours.get(policy.source.as_str())?;
        let to = *ours.get(policy.destination.as_str())?;
        let is_surplus = !is_wanted(desired, from, to, &policy);
        is_surplus.then(|| (target_of(from, to, &policy), policy))
    });
    let mut surplus: Vec<(Target, NetworkPolicy)> = surplus.collect();
    surplus.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(surplus)
}

fn is_wanted(desired: &Desired, from: OurApp<'_>, to: OurApp<'_>, found: &NetworkPolicy) -> bool {
    let mut spaces = desired.spaces();
    let space =
        spaces.find(|it| (it.org.name.as_str(), it.space.name.as_str()) == (from.0, from.1));
    let Some(space) = space else { return false };
    space.space.network_policies.iter().any(|policy| {
        let (org, place, pattern) = policy.receivers();
        let (first, last) = policy.ports;
        desired::matches(&policy.from, from.2)
            && org.unwrap_or(from.0) == to.0
            && place.unwrap_or(from.1) == to.1
            && desired::matches(pattern, to.2)
            && policy.protocol == found.protocol
            && first <= found.ports.0
            && found.ports.1 <= last
    })
}

fn target_of(from: OurApp<'_>, to: OurApp<'_>, policy: &NetworkPolicy) -> Target {
    let (first, last) = policy.ports;
    let ports = match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let receiver = match (to.0 == from.0, to.1 == from.1) {
        (true, true) => to.2.to_owned(),
        (true, false) => format!("{}/{}", to.1, to.2),
        (false, _) => format!("{}/{}/{}", to.0, to.1, to.2),
    };
    Target::NetworkPolicy {
        org: from.0.to_owned(),
        space: from.1.to_owned(),
        name: format!("{} to {receiver} {} {ports}", from.2, policy.protocol),
    }
}

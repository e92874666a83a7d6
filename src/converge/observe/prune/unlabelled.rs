//! Finds our resources without labels. A resource is ours if everything that it belongs
//! to is ours:
//!
//! - a quota, if it applies only to our orgs or spaces, and to none of them after the
//!   run, because they are deleted or get another quota
//! - a security group, if it applies only to our spaces. A group for all spaces is kept.
//!   A group that is still desired is unbound from our spaces that no longer list it
//! - a route in one of our spaces, if it has destinations, and all of them are our apps
//!   whose entries set their routes
//! - a role in one of our orgs or spaces, if its user is also ours. Users that we created
//!   have a label
//!
//! A resource that does not belong to any other resource is kept, because its owner is
//! unknown.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::try_join;

use super::{Surplus, SurplusResource, is_of};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{DEFAULT_QUOTA, Org, Role, Space, User};
use crate::converge::observe::{Observed, ObservedSpace, unique};
use crate::converge::target::Target;
use crate::desired::{Desired, PlacedSpace, user_and_origin};

/// The orgs and spaces that are ours, by their GUIDs.
pub(super) struct ManagedPlaces {
    orgs: HashMap<String, Place>,
    spaces: HashMap<String, Place>,
    /// The quotas that the orgs have.
    quotas: HashSet<String>,
}

/// An org or space of ours.
struct Place {
    target: Target,
    /// Whether it is desired. An org or space that is not desired is deleted.
    is_desired: bool,
    /// The quota that it is to have.
    quota: Option<String>,
}

impl ManagedPlaces {
    /// The desired orgs and spaces, and the orgs and spaces to delete.
    pub(super) fn of<'s>(
        desired: &Desired,
        observed: &Observed,
        deleted_orgs: &[Org],
        deleted_spaces: impl Iterator<Item = &'s Space>,
    ) -> Self {
        let owner = desired.owner();
        let mut ours = Self {
            orgs: HashMap::new(),
            spaces: HashMap::new(),
            quotas: HashSet::new(),
        };
        for (wanted, found) in desired.orgs().iter().zip(&observed.orgs) {
            let found = found.org.as_ref();
            let Some(org) = found.filter(|org| is_of(&org.ownership, owner)) else {
                continue;
            };
            let target = Target::Org {
                name: wanted.name.clone(),
            };
            ours.quotas.extend(org.quota.clone());
            let place = Place::desired(target, wanted.quota.as_ref());
            ours.orgs.insert(org.guid.clone(), place);
        }
        for (placed, found) in desired.spaces().zip(&observed.spaces) {
            let found = found.space.as_ref();
            let Some(space) = found.filter(|space| is_of(&space.ownership, owner)) else {
                continue;
            };
            let place = Place::desired(placed.target(), placed.space.quota.as_ref());
            ours.spaces.insert(space.guid.clone(), place);
        }
        for org in deleted_orgs {
            let name = org.name.clone();
            ours.quotas.extend(org.quota.clone());
            let place = Place::deleted(Target::Org { name });
            ours.orgs.insert(org.guid.clone(), place);
        }
        for space in deleted_spaces {
            let (org, name) = (String::new(), space.name.clone());
            let place = Place::deleted(Target::Space { org, name });
            ours.spaces.insert(space.guid.clone(), place);
        }
        ours
    }
}

impl Place {
    fn desired(target: Target, quota: Option<&String>) -> Self {
        Self {
            target,
            is_desired: true,
            quota: quota.cloned(),
        }
    }

    fn deleted(target: Target) -> Self {
        Self {
            target,
            is_desired: false,
            quota: None,
        }
    }

    /// Whether a quota does not apply to it after the run.
    fn leaves(&self, quota: &str) -> bool {
        !self.is_desired || self.quota.as_deref().is_some_and(|it| it != quota)
    }
}

/// Whether all orgs or spaces of a quota are ours and lose the quota in this run. False
/// if the quota has no orgs or spaces.
fn is_left(guids: &[String], places: &HashMap<String, Place>, quota: &str) -> bool {
    let leaves = |guid: &String| places.get(guid).is_some_and(|place| place.leaves(quota));
    !guids.is_empty() && guids.iter().all(leaves)
}

/// Adds the resources that are no longer desired.
pub(super) async fn add(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
    ours: &ManagedPlaces,
    surplus: &mut Surplus,
) -> Result<(), Error> {
    let (quotas, space_quotas, (groups, unbound), users) = try_join!(
        quotas(client, desired, ours),
        space_quotas(client, desired, observed, ours),
        groups(client, desired, ours),
        users(client, desired, observed, ours),
    )?;
    surplus.resources.extend(quotas);
    surplus.resources.extend(space_quotas);
    surplus.resources.extend(groups);
    surplus.resources.extend(routes(desired, observed));
    surplus.resources.extend(users);
    surplus.unbound = unbound;
    Ok(())
}

/// A resource to delete that has no content.
fn without_content(target: Target, guid: &str) -> SurplusResource {
    SurplusResource::of(target, guid, std::iter::empty())
}

async fn quotas(
    client: &Client,
    desired: &Desired,
    ours: &ManagedPlaces,
) -> Result<Vec<SurplusResource>, Error> {
    let guids: Vec<&str> = ours.quotas.iter().map(String::as_str).collect();
    if guids.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = desired.quotas();
    let quotas = client.quotas_by_guids(&guids).await?.into_iter();
    let quotas = quotas.filter(|quota| {
        !wanted.contains(&quota.name.as_str())
            && quota.name != DEFAULT_QUOTA
            && is_left(&quota.orgs, &ours.orgs, &quota.name)
    });
    Ok(quotas
        .map(|quota| without_content(Target::Quota { name: quota.name }, &quota.guid))
        .collect())
}

/// The space quotas of desired orgs. Other orgs are deleted with their space quotas.
async fn space_quotas(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
    ours: &ManagedPlaces,
) -> Result<Vec<SurplusResource>, Error> {
    let orgs = desired.orgs().iter().zip(&observed.orgs);
    let orgs = orgs.filter_map(|(wanted, found)| Some((found.org.as_ref()?, wanted)));
    let orgs = orgs.filter(|(org, _)| ours.orgs.contains_key(&org.guid));
    let orgs: HashMap<&str, _> = orgs
        .map(|(org, wanted)| (org.guid.as_str(), wanted))
        .collect();
    let guids: Vec<&str> = orgs.keys().copied().collect();
    if guids.is_empty() {
        return Ok(Vec::new());
    }
    let quotas = client.space_quotas_of_orgs(&guids).await?.into_iter();
    let surplus = quotas.filter_map(|quota| {
        let org = orgs.get(quota.org.as_str())?;
        let is_wanted = org.space_quotas.iter().any(|it| it.name == quota.name);
        let is_left = is_left(&quota.spaces, &ours.spaces, &quota.name);
        let (org, name) = (org.name.clone(), quota.name);
        (!is_wanted && is_left)
            .then(|| without_content(Target::SpaceQuota { org, name }, &quota.guid))
    });
    Ok(surplus.collect())
}

/// Groups that are not desired, and spaces that desired groups are unbound from.
type Groups = (Vec<SurplusResource>, BTreeMap<String, Vec<Target>>);

async fn groups(client: &Client, desired: &Desired, ours: &ManagedPlaces) -> Result<Groups, Error> {
    let spaces: Vec<&str> = ours.spaces.keys().map(String::as_str).collect();
    if spaces.is_empty() {
        return Ok(Groups::default());
    }
    let mut found = client.security_groups_of_spaces(&spaces).await?;
    unique(&mut found, |group| &group.guid);
    let wanted: HashSet<&str> = desired
        .security_groups()
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    let named: HashSet<(Target, &str)> = desired
        .spaces()
        .flat_map(|placed| {
            let groups = placed.space.security_groups.iter();
            groups.map(move |group| (placed.target(), group.as_str()))
        })
        .collect();
    let (mut surplus, mut unbound) = Groups::default();
    for group in found.into_iter().filter(|group| !group.is_global()) {
        if wanted.contains(group.name.as_str()) {
            let bound = group.running_spaces.iter();
            let bound = bound.filter_map(|guid| ours.spaces.get(guid));
            let bound = bound.filter(|place| place.is_desired).map(|it| &it.target);
            let bound = bound.filter(|it| !named.contains(&((*it).clone(), group.name.as_str())));
            let mut bound: Vec<Target> = bound.cloned().collect();
            bound.sort();
            if !bound.is_empty() {
                unbound.insert(group.name, bound);
            }
            continue;
        }
        let mut bound = group.running_spaces.iter().chain(&group.staging_spaces);
        if bound.all(|space| ours.spaces.contains_key(space)) {
            surplus.push(without_content(
                Target::SecurityGroup { name: group.name },
                &group.guid,
            ));
        }
    }
    Ok((surplus, unbound))
}

/// The routes of desired spaces that led to our apps.
fn routes(desired: &Desired, observed: &Observed) -> Vec<SurplusResource> {
    let mut surplus = Vec::new();
    for (placed, found) in desired.spaces().zip(&observed.spaces) {
        let is_ours = |it: &Space| is_of(&it.ownership, desired.owner());
        if found.space.as_ref().is_some_and(is_ours) {
            let domain = observed.apps_domain(&placed);
            surplus.extend(routes_of(&placed, found, domain, desired.owner()));
        }
    }
    surplus
}

fn routes_of(
    placed: &PlacedSpace<'_>,
    found: &ObservedSpace,
    domain: &str,
    owner: &str,
) -> Vec<SurplusResource> {
    let apps = found.apps.iter().filter(|app| is_of(&app.ownership, owner));
    let apps: HashMap<&str, &str> = apps
        .map(|app| (app.name.as_str(), app.guid.as_str()))
        .collect();
    // The apps whose entries set their routes, and these routes.
    let (mut routed, mut wanted): (HashSet<&str>, HashSet<String>) = Default::default();
    for group in &placed.space.groups {
        for (index, name) in (0..).zip(group.app_names()) {
            let entry = group.entry.of_app(&name, index, domain);
            let Some(routes) = entry.routes() else { break };
            wanted.extend(routes.map(str::to_owned));
            routed.extend(apps.get(name.as_str()).copied());
        }
    }
    let routes = found.routes.iter().filter(|route| {
        let mut destinations = route.destinations.iter();
        !route.destinations.is_empty()
            && destinations.all(|it| routed.contains(it.app.as_str()))
            && !wanted.contains(&route.url)
    });
    let target = |name: &String| Target::Route {
        org: placed.org.name.clone(),
        space: placed.space.name.clone(),
        name: name.clone(),
    };
    routes
        .map(|route| without_content(target(&route.url), &route.guid))
        .collect()
}

/// Our users that are not desired, and roles of desired users.
async fn users(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
    ours: &ManagedPlaces,
) -> Result<Vec<SurplusResource>, Error> {
    let users = client.managed_users().await?.into_iter();
    let users = users.filter(|user| is_of(&user.ownership, desired.owner()));
    let is_wanted = |user: &User| {
        let mut wanted = desired.users().iter().map(|text| user_and_origin(text));
        wanted.any(|(name, origin)| is_named(user, name, origin))
    };
    let (wanted, surplus): (Vec<User>, Vec<User>) = users.partition(is_wanted);
    let surplus = surplus.iter().map(|user| {
        without_content(
            Target::User {
                name: name_of(user),
            },
            &user.guid,
        )
    });
    let mut surplus: Vec<SurplusResource> = surplus.collect();
    let guids: Vec<&str> = wanted.iter().map(|user| user.guid.as_str()).collect();
    if guids.is_empty() {
        return Ok(surplus);
    }
    let places = desired_places(desired, observed, ours);
    for role in client.roles_of_users(&guids).await? {
        let Some(place) = places.get(role.place.as_str()) else {
            continue;
        };
        if !place.is_wanted(&role) {
            surplus.push(without_content(place.target(&role), &role.guid));
        }
    }
    Ok(surplus)
}

fn is_named(user: &User, name: &str, origin: Option<&str>) -> bool {
    let found = user.name.as_deref().unwrap_or_default();
    found.eq_ignore_ascii_case(name)
        && origin.is_none_or(|origin| user.origin.as_deref() == Some(origin))
}

fn name_of(user: &User) -> String {
    let name = user.name.as_deref().unwrap_or(&user.guid);
    match &user.origin {
        Some(origin) => format!("{origin}/{name}"),
        None => name.to_owned(),
    }
}

/// An org or space of ours, with the roles that it is to have.
struct RolesOfPlace<'d> {
    org: &'d str,
    space: Option<&'d str>,
    roles: Vec<&'d crate::desired::Role>,
}

/// The desired orgs and spaces that are ours, by their GUIDs.
fn desired_places<'d>(
    desired: &'d Desired,
    observed: &'d Observed,
    ours: &ManagedPlaces,
) -> HashMap<&'d str, RolesOfPlace<'d>> {
    let orgs = desired.orgs().iter().zip(&observed.orgs);
    let orgs = orgs.filter_map(|(org, found)| {
        let guid = found.org.as_ref()?.guid.as_str();
        // A user with a role in a space also has one in its org.
        let of_spaces = org.spaces.iter().flat_map(|space| &space.roles);
        let place = RolesOfPlace {
            org: &org.name,
            space: None,
            roles: org.roles.iter().chain(of_spaces).collect(),
        };
        Some((guid, place)).filter(|_| ours.orgs.contains_key(guid))
    });
    let spaces = desired.spaces().zip(&observed.spaces);
    let spaces = spaces.filter_map(|(placed, found)| {
        let guid = found.space.as_ref()?.guid.as_str();
        let place = RolesOfPlace {
            org: &placed.org.name,
            space: Some(&placed.space.name),
            roles: placed.space.roles.iter().collect(),
        };
        Some((guid, place)).filter(|_| ours.spaces.contains_key(guid))
    });
    orgs.chain(spaces).collect()
}

impl RolesOfPlace<'_> {
    fn is_wanted(&self, role: &Role) -> bool {
        let is_member = role.kind == "organization_user";
        self.roles.iter().any(|wanted| {
            (wanted.kind == role.kind || is_member)
                && wanted.user.eq_ignore_ascii_case(&role.user)
                && (wanted.origin.is_none() || wanted.origin == role.origin)
        })
    }

    fn target(&self, role: &Role) -> Target {
        Target::Role {
            org: self.org.to_owned(),
            space: self.space.map(str::to_owned),
            role: role.kind.clone(),
            user: match &role.origin {
                Some(origin) => format!("{origin}/{}", role.user),
                None => role.user.clone(),
            },
        }
    }
}

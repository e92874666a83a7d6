//! Plans the steps from the observed to the desired state. Planning does no I/O, and the
//! same input gives the same plan.

mod app;
mod drift;
mod foundation;
mod sharing;
mod step;
pub(super) mod supporting;
#[cfg(test)]
mod tests;
mod text;
mod totals;

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use app::AppContext;
pub use step::{ResourceRef, Step};
pub use totals::OrgTotals;

use super::observe::{Observed, ObservedSpace};
use super::target::Target;
use crate::capi::model::Route;
use crate::converge::observe::App;
use crate::desired::{Desired, PlacedGroup, PlacedSpace};
use crate::manifest::entry::ManifestEntry;

/// The action of a plan on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// It does not exist and is created.
    Create,
    /// It exists and is changed.
    Change,
    /// It exists and is deleted.
    Delete,
    /// It is up to date.
    Unchanged,
}

/// A property that differs from the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The property, such as `instances` or `env LISTEN_PORTS`.
    pub property: String,
    /// Its value on the foundation.
    pub old: String,
    /// Its desired value.
    pub new: String,
}

impl Change {
    fn new(property: impl Into<String>, old: impl fmt::Display, new: impl fmt::Display) -> Self {
        Self {
            property: property.into(),
            old: old.to_string(),
            new: new.to_string(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.property, self.old, self.new)
    }
}

/// The changes that a convergence would make, resource by resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The total size of the apps of each org.
    pub orgs: Vec<OrgTotals>,
    /// Every desired resource and every resource to delete, in the order in which they
    /// are processed.
    pub resources: Vec<ResourcePlan>,
}

/// The changes that a convergence would make to one resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResourcePlan {
    /// The resource.
    pub target: Target,
    /// The action.
    pub action: Action,
    /// The drift. Empty for a resource that does not exist.
    pub changes: Vec<Change>,
    /// Whether it exists but is not ours. A convergence that does not
    /// [adopt](crate::Converger::adopt) it is refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmanaged: bool,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The contents of an org or space to delete, which are deleted with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Target>,
    #[serde(skip)]
    pub(crate) app: Option<PlannedApp>,
}

/// The space, group and size of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedApp {
    /// The index of its space.
    pub(crate) space: usize,
    /// The index of its group. `None` for an app to delete.
    pub(crate) group: Option<usize>,
    /// The index of the group whose prototype's droplet the app gets. `None` for an app
    /// to delete.
    pub(crate) droplet_of: Option<usize>,
    pub(crate) role: Role,
    /// `None` if the app does not exist.
    pub(crate) guid: Option<String>,
    /// `None` for an app to delete.
    pub(crate) size: Option<PlannedSize>,
}

/// The number and the size of the instances of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlannedSize {
    instances: u32,
    /// `None` for the foundation's default.
    memory_mb: Option<u64>,
}

impl PlannedSize {
    fn of(entry: &ManifestEntry) -> Self {
        Self {
            instances: entry.instances().unwrap_or(1),
            memory_mb: entry.memory_mb(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Prototype,
    Clone,
    Surplus,
}

/// The way in which apps are created, scaled, routed, given their environment and
/// started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workflow {
    /// Many apps together by a manifest, then each by a deployment.
    Manifest,
    /// Each app by separate requests, as in the API of 2017.
    PerApp,
}

/// Plans the steps from the observed to the desired state. `bits` are the hashes of the
/// groups' bits, in order.
pub(crate) fn plan(
    desired: &Desired,
    bits: &[String],
    observed: &Observed,
    workflow: Workflow,
) -> Plan {
    let mut resources = foundation::foundation(desired, observed);
    let spaces: Vec<Space<'_>> = desired
        .spaces()
        .zip(&observed.spaces)
        .map(|(placed, observed_space)| Space::new(desired, observed, placed, observed_space))
        .collect();
    for space in &spaces {
        resources.extend(space.surplus());
    }
    let needs: Vec<app::DropletNeed<'_>> = desired
        .groups()
        .map(|placed| own_need(&placed, bits, &spaces))
        .collect();
    let shared = match observed.has_labels {
        true => sharing::sources(desired, bits, &needs),
        // The API of 2017 has no copies across groups.
        false => HashMap::new(),
    };
    for placed in desired.groups() {
        let Some(space) = spaces.get(placed.space.id) else {
            continue;
        };
        let named = desired.source_of(&placed);
        let shared = shared.get(&named.unwrap_or(placed.id)).copied();
        let source = shared.or(named).filter(|source| *source != placed.id);
        let need = needs.get(source.unwrap_or(placed.id)).copied();
        let need = need.unwrap_or(app::DropletNeed::Keep);
        let bits = bits.get(placed.id).map(String::as_str).unwrap_or_default();
        resources.extend(plan_group(placed, space, source, need, bits, workflow));
    }
    resources.extend(supporting::policies(desired, observed));
    resources.extend(supporting::surplus(observed));
    Plan {
        orgs: OrgTotals::of(desired, observed),
        resources,
    }
}

/// Plans the apps of a group. `source` is another group whose droplet they get, and `need`
/// is that of the prototype whose droplet it is.
fn plan_group<'a>(
    placed: PlacedGroup<'a>,
    space: &Space<'a>,
    source: Option<usize>,
    need: app::DropletNeed<'a>,
    bits: &str,
    workflow: Workflow,
) -> Vec<ResourcePlan> {
    let usual = app::usual_sizes(placed.group, &space.apps);
    let entry = placed.group.entry.with_apps_domain(space.domain);
    let entry = entry.without_password();
    let plan_app = |(index, name): (u32, String)| {
        let app = space.apps.get(name.as_str()).copied();
        let (role, need) = match (index, source) {
            (0, None) => (Role::Prototype, need),
            _ if !placed.group.is_copied() => {
                let need = app::prototype_need(placed.group, bits, app, space);
                (Role::Prototype, need)
            }
            _ => (Role::Clone, app::clone_need(need, app)),
        };
        let entry = entry.of_app(&name, index, space.domain);
        let context = AppContext {
            space,
            group: placed,
            droplet_of: source.unwrap_or(placed.id),
            bits,
            entry: placed.space.space.bound(entry, placed.group, &name),
            usual: &usual,
            app,
            role,
            workflow,
        };
        context.plan(&name, need)
    };
    (0..).zip(placed.group.app_names()).map(plan_app).collect()
}

/// The droplet that the prototype of a group needs.
fn own_need<'a>(
    placed: &PlacedGroup<'a>,
    bits: &[String],
    spaces: &[Space<'a>],
) -> app::DropletNeed<'a> {
    let Some(space) = spaces.get(placed.space.id) else {
        return app::DropletNeed::Keep;
    };
    let bits = bits.get(placed.id).map(String::as_str).unwrap_or_default();
    let prototype = placed.group.app_names().next();
    let prototype = prototype.and_then(|name| space.apps.get(name.as_str()).copied());
    app::prototype_need(placed.group, bits, prototype, space)
}

/// The state of a space that the plans of its apps depend on.
struct Space<'a> {
    placed: PlacedSpace<'a>,
    observed: &'a ObservedSpace,
    owner: &'a str,
    domain: &'a str,
    apps: HashMap<&'a str, &'a App>,
    /// The routes, by their URLs.
    routes: HashMap<&'a str, &'a Route>,
    /// The GUIDs of existing desired apps by route, for routes that several apps share.
    shared: HashMap<String, Vec<&'a str>>,
    knows_destinations: bool,
}

impl<'a> Space<'a> {
    fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        placed: PlacedSpace<'a>,
        space: &'a ObservedSpace,
    ) -> Self {
        let domain = observed.orgs.get(placed.org_id);
        let domain = domain
            .map(|org| org.apps_domain.as_str())
            .unwrap_or_default();
        let apps: HashMap<&str, &App> = space
            .apps
            .iter()
            .map(|app| (app.name.as_str(), app))
            .collect();
        let routes = space.routes.iter().map(|route| (route.url.as_str(), route));
        Self {
            placed,
            observed: space,
            owner: desired.owner(),
            domain,
            shared: shared_routes(placed, domain, &apps),
            apps,
            routes: routes.collect(),
            knows_destinations: observed.knows_destinations,
        }
    }

    fn target(&self, name: &str) -> Target {
        Target::App {
            org: self.placed.org.name.clone(),
            space: self.placed.space.name.clone(),
            name: name.to_owned(),
        }
    }

    /// The other apps that should also have a route.
    fn others_of(&self, route: &str) -> &[&'a str] {
        self.shared
            .get(route)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Plans the deletion of managed apps that are not desired, with their routes.
    fn surplus(&self) -> Vec<ResourcePlan> {
        let wanted: HashSet<String> = self
            .placed
            .space
            .groups
            .iter()
            .flat_map(|group| group.app_names())
            .collect();
        let mut surplus: Vec<&App> = self
            .observed
            .apps
            .iter()
            .filter(|app| !wanted.contains(&app.name))
            .filter(|app| app.ownership.is_of(self.owner) || self.is_leftover(app))
            .collect();
        surplus.sort_by(|a, b| a.name.cmp(&b.name));
        surplus.into_iter().map(|app| self.delete(app)).collect()
    }

    fn delete(&self, app: &App) -> ResourcePlan {
        // Routes are deleted first, because a later run finds them through the app.
        let own = format!("{}.{}", app.name.to_lowercase(), self.domain);
        let is_own = |route: &&Route| {
            let mut destinations = route.destinations.iter();
            destinations.all(|it| it.app == app.guid)
                && (!route.destinations.is_empty() || route.url == own)
        };
        let routes = self.observed.routes.iter().filter(is_own);
        let mut steps: Vec<Step> = routes
            .map(|route| Step::DeleteRoute {
                route: route.guid.clone(),
            })
            .collect();
        steps.push(Step::DeleteApp);
        ResourcePlan {
            target: self.target(&app.name),
            action: Action::Delete,
            changes: Vec::new(),
            unmanaged: false,
            steps,
            content: Vec::new(),
            app: Some(PlannedApp {
                space: self.placed.id,
                group: None,
                droplet_of: None,
                role: Role::Surplus,
                guid: Some(app.guid.clone()),
                size: None,
            }),
        }
    }

    /// Whether an interrupted run of ours has just created an app that is not desired.
    fn is_leftover(&self, app: &App) -> bool {
        self.is_ours() && app.may_be_leftover_of(self.owner)
    }

    fn is_ours(&self) -> bool {
        let space = self.observed.space.as_ref();
        space.is_some_and(|space| space.ownership.managed)
    }

    /// Whether a desired app exists but is not ours.
    fn is_unmanaged(&self, app: &App) -> bool {
        let is_leftover = self.is_ours() && app.is_unlabelled_and_empty();
        !app.ownership.is_of(self.owner) && !is_leftover
    }
}

/// The routes that several desired apps of a space share, with the existing apps.
fn shared_routes<'a>(
    placed: PlacedSpace<'a>,
    domain: &str,
    apps: &HashMap<&'a str, &'a App>,
) -> HashMap<String, Vec<&'a str>> {
    let mut owners: HashMap<String, (usize, Vec<&str>)> = HashMap::new();
    for group in &placed.space.groups {
        for (index, name) in (0..).zip(group.app_names()) {
            let guid = apps.get(name.as_str()).map(|app| app.guid.as_str());
            let entry = group.entry.of_app(&name, index, domain);
            for route in entry.routes().into_iter().flatten() {
                let (count, guids) = owners.entry(route.to_owned()).or_default();
                *count += 1;
                guids.extend(guid);
            }
        }
    }
    owners.retain(|_, (count, _)| *count > 1);
    owners
        .into_iter()
        .map(|(route, (_, guids))| (route, guids))
        .collect()
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let mut resources = self.resources.iter();
        resources.all(|resource| resource.action == Action::Unchanged)
    }

    /// The plans of the apps.
    pub fn apps(&self) -> impl Iterator<Item = &ResourcePlan> {
        let resources = self.resources.iter();
        resources.filter(|resource| resource.target.is_app())
    }

    /// The unmanaged resources that have the name of a desired resource.
    pub fn unmanaged(&self) -> impl Iterator<Item = &Target> {
        let resources = self.resources.iter();
        let unmanaged = resources.filter(|resource| resource.unmanaged);
        unmanaged.map(|resource| &resource.target)
    }

    /// The number of apps with this action.
    pub fn count(&self, action: Action) -> usize {
        self.apps().filter(|app| app.action == action).count()
    }

    /// Whether the plan removes the hash of the bits from a droplet, so that the droplet
    /// no longer accounts for the app's packages.
    pub(crate) fn removes_bits_hash(&self) -> bool {
        let mut steps = self.apps().flat_map(|app| &app.steps);
        steps.any(|step| matches!(step, Step::RemoveBitsHash { .. }))
    }
}

impl ResourcePlan {
    /// The resource's name.
    pub(crate) fn name(&self) -> &str {
        self.target.name()
    }

    /// The group whose prototype must get its droplet before this app can get a copy.
    pub(crate) fn awaits(&self) -> Option<usize> {
        let mut steps = self.steps.iter();
        steps.find(|step| step.awaits_prototype())?;
        self.app.as_ref()?.droplet_of
    }

    pub(crate) fn role(&self) -> Option<Role> {
        self.app.as_ref().map(|app| app.role)
    }

    /// The GUID of an app that exists.
    pub(crate) fn guid(&self) -> Option<&str> {
        self.app.as_ref()?.guid.as_deref()
    }
}

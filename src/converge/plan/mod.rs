//! The difference between what should be and what is, as steps. Pure: no I/O,
//! the same input gives the same plan, and the executor is left no choices.

mod app;
mod foundation;
mod manifest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use app::AppContext;
use serde::Serialize;

use super::target::Target;
use crate::capi::dialect::{Claims, Scale};
use crate::capi::inventory::{App, Inventory, Route, Space};
use crate::desired::{Desired, GroupKind, host};

/// What becomes of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
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

/// A property of a resource that differs from what is desired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// What a convergence would do, resource by resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Every resource that the desired state is about, and every one to be
    /// deleted, in the order in which they are worked on.
    pub resources: Vec<ResourcePlan>,
}

/// What a convergence would do about one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResourcePlan {
    /// The resource.
    pub target: Target,
    /// What becomes of it.
    pub action: Action,
    /// How it differs from what is desired; empty for one that does not exist.
    pub changes: Vec<Change>,
    #[serde(skip)]
    pub(crate) steps: Vec<Step>,
    #[serde(skip)]
    pub(crate) app: Option<PlannedApp>,
}

/// What the steps of an app depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedApp {
    /// None for one that is to be deleted.
    pub(crate) group: Option<GroupKind>,
    pub(crate) role: Role,
    /// None for one that is not there yet.
    pub(crate) guid: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Prototype,
    Clone,
    Surplus,
}

/// One thing done to an app: a request or a wait, but what a prototype's bits
/// take. Where a GUID is `None`, an earlier step finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    CreateQuota,
    CreateOrg,
    AssignQuota,
    CreateSpace,
    CreateSecurityGroup,
    UpdateSecurityGroup,
    BindSecurityGroup,
    CreateApp,
    /// The app is created and made what it is to be, together with others.
    ApplyManifest(Box<Claims>),
    /// The droplet accounts for the app's packages no more.
    RemoveBitsHash {
        droplet: String,
    },
    DeletePackage {
        package: String,
    },
    PushBits,
    Stage {
        package: Option<String>,
    },
    /// From the group's prototype; `None` is the one that it gets in this run.
    CopyDroplet {
        from: Option<String>,
    },
    AwaitDroplet,
    Stop,
    SetDroplet {
        droplet: Option<String>,
    },
    /// The droplet is set and the app started.
    Deploy {
        droplet: Option<String>,
    },
    AnnotateBitsHash {
        droplet: Option<String>,
    },
    SetBuildpacks,
    /// `None` leaves it to the droplet.
    SetCommand(Option<String>),
    SetEnv(BTreeMap<String, Option<String>>),
    LabelAsManaged,
    CreateRoute,
    MapRoute {
        route: Option<String>,
    },
    Scale(Scale),
    Start,
    DeleteDroplet {
        droplet: String,
    },
    DeleteRoute {
        route: String,
    },
    DeleteApp,
}

impl Step {
    /// What can be done together for the org, and what must be there before it.
    pub(crate) const WAVES: [&'static [Self]; 3] = [
        &[
            Self::CreateQuota,
            Self::CreateOrg,
            Self::CreateSecurityGroup,
            Self::UpdateSecurityGroup,
        ],
        &[Self::AssignQuota, Self::CreateSpace],
        &[Self::BindSecurityGroup],
    ];

    /// Whether it takes the droplet that the prototype gets in this run.
    pub(crate) fn awaits_prototype(&self) -> bool {
        matches!(self, Self::CopyDroplet { from: None })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateQuota => "creating the quota",
            Self::CreateOrg => "creating the org",
            Self::AssignQuota => "assigning the quota",
            Self::CreateSpace => "creating the space",
            Self::CreateSecurityGroup => "creating the security group",
            Self::UpdateSecurityGroup => "updating the security group",
            Self::BindSecurityGroup => "binding the security group",
            Self::CreateApp => "creating the app",
            Self::ApplyManifest(_) => "applying the manifest",
            Self::RemoveBitsHash { .. } => "removing the hash of the bits",
            Self::DeletePackage { .. } => "deleting an unused package",
            Self::PushBits => "pushing the bits",
            Self::Stage { .. } => "staging",
            Self::CopyDroplet { .. } => "copying the droplet",
            Self::AwaitDroplet => "waiting for the copy of the droplet",
            Self::Stop => "stopping the app",
            Self::SetDroplet { .. } => "setting the droplet",
            Self::Deploy { .. } => "deploying the droplet",
            Self::AnnotateBitsHash { .. } => "annotating the hash of the bits",
            Self::SetBuildpacks => "setting the buildpacks",
            Self::SetCommand(_) => "setting the command",
            Self::SetEnv(_) => "setting the environment",
            Self::LabelAsManaged => "labelling the app as managed",
            Self::CreateRoute => "creating the route",
            Self::MapRoute { .. } => "mapping the route",
            Self::Scale(_) => "scaling",
            Self::Start => "starting the app",
            Self::DeleteDroplet { .. } => "deleting an unused droplet",
            Self::DeleteRoute { .. } => "deleting the route",
            Self::DeleteApp => "deleting the app",
        })
    }
}

/// How apps are created, scaled, routed, given their environment and started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workflow {
    /// Many at once by a manifest, then each by a deployment.
    Manifest,
    /// Each by requests of its own, as the document of 2017 describes it.
    PerApp,
}

/// The steps that lead from what is to what should be.
pub(crate) fn plan(desired: &Desired, observed: &Inventory, workflow: Workflow) -> Plan {
    let space = observed.space.as_ref().map(|space| space.guid.as_str());
    let found: HashMap<&str, &App> = observed
        .apps
        .iter()
        .filter(|app| Some(app.space.as_str()) == space)
        .map(|app| (app.name.as_str(), app))
        .collect();
    let routes: HashMap<&str, &Route> = observed
        .routes
        .iter()
        .filter(|route| route.plain && route.domain == observed.domain.guid)
        .map(|route| (route.host.as_str(), route))
        .collect();
    let domain = &observed.domain.name;
    let mut apps = surplus(desired, observed.space.as_ref(), &found, &routes);
    for group in &desired.groups {
        let need = app::prototype_need(group, &found);
        let usual = app::usual_sizes(group, &found);
        for (i, name) in group.apps.iter().enumerate() {
            let context = AppContext {
                group,
                usual: &usual,
                app: found.get(name.as_str()).copied(),
                route: routes.get(host(name).as_str()).copied(),
                domain,
                target: desired.app(name),
            };
            let (role, need) = match i {
                0 => (Role::Prototype, need),
                _ => (Role::Clone, app::clone_need(need, context.app)),
            };
            let mut plan = context.plan(role, need);
            if workflow == Workflow::Manifest {
                plan.steps = manifest::combined(plan.steps, group, role);
            }
            apps.push(plan);
        }
    }
    let mut resources = foundation::foundation(desired, observed);
    resources.extend(apps);
    Plan { resources }
}

/// Our apps beyond the desired ones, deleted with their routes.
fn surplus(
    desired: &Desired,
    space: Option<&Space>,
    apps: &HashMap<&str, &App>,
    routes: &HashMap<&str, &Route>,
) -> Vec<ResourcePlan> {
    let wanted: HashSet<&str> = desired
        .groups
        .iter()
        .flat_map(|group| group.apps.iter().map(String::as_str))
        .collect();
    let mut surplus: Vec<&&App> = apps
        .values()
        .filter(|app| !wanted.contains(app.name.as_str()))
        .filter(|app| app.managed || space.is_some_and(|space| is_begun(desired, space, app)))
        .collect();
    surplus.sort_by(|a, b| a.name.cmp(&b.name));
    surplus
        .into_iter()
        .map(|app| {
            // The route first: the app is what a later run would find it by.
            let route = routes.get(host(&app.name).as_str());
            let ours = route.filter(|route| route.apps.iter().all(|mapped| *mapped == app.guid));
            let mut steps: Vec<Step> = ours
                .map(|route| Step::DeleteRoute {
                    route: route.guid.clone(),
                })
                .into_iter()
                .collect();
            steps.push(Step::DeleteApp);
            ResourcePlan {
                target: desired.app(&app.name),
                action: Action::Delete,
                changes: Vec::new(),
                steps,
                app: Some(PlannedApp {
                    group: None,
                    role: Role::Surplus,
                    guid: Some(app.guid.clone()),
                }),
            }
        })
        .collect()
}

/// Whether an app is one of ours that a run which was interrupted has only just
/// begun: in our space, by a name of ours, without anything to run.
fn is_begun(desired: &Desired, space: &Space, app: &App) -> bool {
    let ours = space.managed && app.name.starts_with(&desired.prefix);
    ours && !app.started && app.droplets.is_empty()
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

    /// How many apps have this action.
    pub fn count(&self, action: Action) -> usize {
        self.apps().filter(|app| app.action == action).count()
    }

    /// Whether the droplet of an app no longer accounts for its packages.
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

    pub(crate) fn group(&self) -> Option<GroupKind> {
        self.app.as_ref()?.group
    }

    pub(crate) fn role(&self) -> Option<Role> {
        self.app.as_ref().map(|app| app.role)
    }

    /// The GUID of an app that exists.
    pub(crate) fn guid(&self) -> Option<&str> {
        self.app.as_ref()?.guid.as_deref()
    }
}

impl fmt::Display for ResourcePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.action {
            Action::Create => "+ create",
            Action::Change => "~ change",
            Action::Delete => "- delete",
            Action::Unchanged => "= unchanged",
        };
        write!(f, "{sign} {}", self.target)?;
        if self.changes.is_empty() {
            return Ok(());
        }
        let changes: Vec<String> = self.changes.iter().map(Change::to_string).collect();
        write!(f, " ({})", changes.join(", "))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for resource in &self.resources {
            writeln!(f, "{resource}")?;
        }
        write!(
            f,
            "apps: {} to create, {} to change, {} to delete, {} unchanged",
            self.count(Action::Create),
            self.count(Action::Change),
            self.count(Action::Delete),
            self.count(Action::Unchanged),
        )
    }
}

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

use crate::capi::dialect::{Claims, Scale};
use crate::capi::inventory::{App, Inventory, Route, Space};
use crate::desired::{Desired, GroupKind, host};

/// What becomes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// It is not there and will be.
    Create,
    /// It is there, otherwise than desired.
    Change,
    /// It is there, and will not be.
    Delete,
    /// It is as desired.
    Unchanged,
}

/// Something that is otherwise than desired.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What, such as `instances`.
    pub what: String,
    /// What it is.
    pub old: String,
    /// What it should be.
    pub new: String,
}

impl Difference {
    fn new(what: impl Into<String>, old: impl fmt::Display, new: impl fmt::Display) -> Self {
        Self {
            what: what.into(),
            old: old.to_string(),
            new: new.to_string(),
        }
    }
}

/// What is to be done so that the foundation is as desired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(crate) foundation: Vec<FoundationPlan>,
    pub(crate) apps: Vec<AppPlan>,
}

/// What is to be done about the org, quota, space or security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundationPlan {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) action: Action,
    pub(crate) differences: Vec<Difference>,
    pub(crate) steps: Vec<FoundationStep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundationStep {
    CreateQuota,
    CreateOrg,
    AssignQuota,
    CreateSpace,
    CreateSecurityGroup,
    UpdateSecurityGroup,
    BindSecurityGroup,
}

/// What is to be done about an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppPlan {
    pub(crate) name: String,
    /// None for one that is to be deleted.
    pub(crate) group: Option<GroupKind>,
    pub(crate) role: Role,
    /// None for one that is not there yet.
    pub(crate) guid: Option<String>,
    pub(crate) action: Action,
    pub(crate) differences: Vec<Difference>,
    pub(crate) steps: Vec<Step>,
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
    CreateApp,
    /// The app is created and made what it is to be, together with others.
    ApplyManifest(Box<Claims>),
    /// The droplet accounts for the app's packages no more.
    ForgetBits {
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
    NoteBits {
        droplet: Option<String>,
    },
    NoteBuildpacks,
    /// `None` leaves it to the droplet.
    SetCommand(Option<String>),
    SetEnv(BTreeMap<String, Option<String>>),
    Adopt,
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

impl FoundationStep {
    /// What can be done together, and what must be there before it.
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
}

impl Step {
    /// Whether it takes the droplet that the prototype gets in this run.
    pub(crate) fn awaits_prototype(&self) -> bool {
        matches!(self, Self::CopyDroplet { from: None })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateApp => "creating the app",
            Self::ApplyManifest(_) => "applying the manifest",
            Self::ForgetBits { .. } => "noting that the bits change",
            Self::DeletePackage { .. } => "deleting a package that is left over",
            Self::PushBits => "pushing the bits",
            Self::Stage { .. } => "staging",
            Self::CopyDroplet { .. } => "copying the droplet",
            Self::AwaitDroplet => "waiting for the droplet's copy",
            Self::Stop => "stopping the app",
            Self::SetDroplet { .. } => "setting the droplet",
            Self::Deploy { .. } => "deploying the droplet",
            Self::NoteBits { .. } => "noting the bits",
            Self::NoteBuildpacks => "setting the buildpacks",
            Self::SetCommand(_) => "setting the command",
            Self::SetEnv(_) => "setting the environment",
            Self::Adopt => "labelling the app",
            Self::CreateRoute => "creating the route",
            Self::MapRoute { .. } => "mapping the route",
            Self::Scale(_) => "scaling",
            Self::Start => "starting the app",
            Self::DeleteDroplet { .. } => "deleting a droplet that is left over",
            Self::DeleteRoute { .. } => "deleting the route",
            Self::DeleteApp => "deleting the app",
        })
    }
}

impl fmt::Display for FoundationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateQuota => "creating the quota",
            Self::CreateOrg => "creating the org",
            Self::AssignQuota => "assigning the quota",
            Self::CreateSpace => "creating the space",
            Self::CreateSecurityGroup => "creating the security group",
            Self::UpdateSecurityGroup => "updating the security group",
            Self::BindSecurityGroup => "binding the security group",
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
    let apps: HashMap<&str, &App> = observed
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
    let mut plans = surplus(desired, observed.space.as_ref(), &apps, &routes);
    for group in &desired.groups {
        let need = app::prototype_need(group, &apps);
        let usual = app::usual_sizes(group, &apps);
        for (i, name) in group.apps.iter().enumerate() {
            let context = AppContext {
                group,
                usual: &usual,
                app: apps.get(name.as_str()).copied(),
                route: routes.get(host(name).as_str()).copied(),
                domain,
            };
            let (role, need) = match i {
                0 => (Role::Prototype, need),
                _ => (Role::Clone, app::clone_need(need, context.app)),
            };
            let mut plan = context.plan(name, role, need);
            if workflow == Workflow::Manifest {
                plan.steps = manifest::combined(plan.steps, group, role);
            }
            plans.push(plan);
        }
    }
    Plan {
        foundation: foundation::foundation(desired, observed),
        apps: plans,
    }
}

/// Our apps beyond the desired ones, deleted with their routes.
fn surplus(
    desired: &Desired,
    space: Option<&Space>,
    apps: &HashMap<&str, &App>,
    routes: &HashMap<&str, &Route>,
) -> Vec<AppPlan> {
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
            AppPlan {
                name: app.name.clone(),
                group: None,
                role: Role::Surplus,
                guid: Some(app.guid.clone()),
                action: Action::Delete,
                differences: Vec::new(),
                steps,
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
        self.items().all(|item| item.action == Action::Unchanged)
    }

    /// Whether a droplet is to account no more for its app's packages.
    pub(crate) fn forgets_bits(&self) -> bool {
        let mut steps = self.apps.iter().flat_map(|app| &app.steps);
        steps.any(|step| matches!(step, Step::ForgetBits { .. }))
    }

    /// Everything that the plan is about, in the order in which it comes about.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let foundation = self.foundation.iter().map(|plan| Item {
            kind: plan.kind,
            name: &plan.name,
            action: plan.action,
            differences: &plan.differences,
        });
        let apps = self.apps.iter().map(|plan| Item {
            kind: "app",
            name: &plan.name,
            action: plan.action,
            differences: &plan.differences,
        });
        foundation.chain(apps)
    }

    /// How many apps have this action.
    pub fn count(&self, action: Action) -> usize {
        let apps = self.apps.iter();
        apps.filter(|plan| plan.action == action).count()
    }
}

/// One thing that a [`Plan`] is about.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Item<'a> {
    /// `app`, `org`, `space`, `quota` or `security group`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a str,
    /// What becomes of it.
    pub action: Action,
    /// In what it is otherwise than desired, where it is there.
    pub differences: &'a [Difference],
}

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.action {
            Action::Create => "+ create",
            Action::Change => "~ change",
            Action::Delete => "- delete",
            Action::Unchanged => "= unchanged",
        };
        write!(f, "{sign} {} {}", self.kind, self.name)?;
        if self.differences.is_empty() {
            return Ok(());
        }
        let differences: Vec<String> = self
            .differences
            .iter()
            .map(|Difference { what, old, new }| format!("{what}: {old} -> {new}"))
            .collect();
        write!(f, " ({})", differences.join(", "))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in self.items() {
            writeln!(f, "{item}")?;
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

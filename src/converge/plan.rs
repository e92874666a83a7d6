//! The difference between what should be and what is, as steps. Pure: no I/O,
//! the same input gives the same plan, and the executor is left no choices.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use crate::capi::dialect::Scale;
use crate::capi::inventory::{App, Droplet, Inventory, Process, Route, Rule};
use crate::desired::{Desired, Group, GroupKind, host};

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
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) foundation: Vec<FoundationPlan>,
    pub(crate) apps: Vec<AppPlan>,
}

/// What is to be done about the org, quota, space or security group.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
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
    NoteBits,
    NoteBuildpacks,
    SetCommand(String),
    SetEnv(BTreeMap<String, Option<String>>),
    Adopt,
    CreateRoute,
    MapRoute {
        route: Option<String>,
    },
    Scale(Scale),
    Start,
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
            Self::PushBits => "pushing the bits",
            Self::Stage { .. } => "staging",
            Self::CopyDroplet { .. } => "copying the droplet",
            Self::AwaitDroplet => "waiting for the droplet's copy",
            Self::Stop => "stopping the app",
            Self::SetDroplet { .. } => "setting the droplet",
            Self::NoteBits => "noting the bits",
            Self::NoteBuildpacks => "setting the buildpacks",
            Self::SetCommand(_) => "setting the command",
            Self::SetEnv(_) => "setting the environment",
            Self::Adopt => "labelling the app",
            Self::CreateRoute => "creating the route",
            Self::MapRoute { .. } => "mapping the route",
            Self::Scale(_) => "scaling",
            Self::Start => "starting the app",
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

/// The steps that lead from what is to what should be.
pub(crate) fn plan(desired: &Desired, observed: &Inventory) -> Plan {
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
    let mut plans = surplus(desired, &apps, &routes);
    for group in &desired.groups {
        let need = prototype_need(group, &apps);
        for (i, name) in group.apps.iter().enumerate() {
            let context = AppContext {
                group,
                app: apps.get(name.as_str()).copied(),
                route: routes.get(host(name).as_str()).copied(),
                domain,
            };
            let (role, need) = match i {
                0 => (Role::Prototype, need.clone()),
                _ => (Role::Clone, clone_need(&need, context.app)),
            };
            plans.push(context.plan(name, role, &need));
        }
    }
    Plan {
        foundation: foundation(desired, observed),
        apps: plans,
    }
}

fn foundation(desired: &Desired, observed: &Inventory) -> Vec<FoundationPlan> {
    let quota_guid = observed.quota.as_ref().map(|quota| quota.guid.as_str());
    let mut quota = FoundationPlan::new("quota", &desired.names.quota, quota_guid.is_some());
    // The limits of one that is there are somebody's wish, and stay.
    if quota_guid.is_none() {
        quota.steps.push(FoundationStep::CreateQuota);
    }
    let mut org = FoundationPlan::new("org", &desired.names.org, observed.org.is_some());
    match &observed.org {
        None => org
            .steps
            .extend([FoundationStep::CreateOrg, FoundationStep::AssignQuota]),
        Some(found) if quota_guid.is_none() || found.quota.as_deref() != quota_guid => {
            let difference = Difference::new("quota", "another", &desired.names.quota);
            org.change(difference, FoundationStep::AssignQuota);
        }
        Some(_) => {}
    }
    let mut space = FoundationPlan::new("space", &desired.names.space, observed.space.is_some());
    if observed.space.is_none() {
        space.steps.push(FoundationStep::CreateSpace);
    }
    vec![quota, org, space, security_group(desired, observed)]
}

fn security_group(desired: &Desired, observed: &Inventory) -> FoundationPlan {
    let found = observed.security_group.as_ref();
    let name = &desired.names.security_group;
    let mut plan = FoundationPlan::new("security group", name, found.is_some());
    let Some(found) = found else {
        plan.steps.extend([
            FoundationStep::CreateSecurityGroup,
            FoundationStep::BindSecurityGroup,
        ]);
        return plan;
    };
    if sorted(&found.rules) != sorted(&desired.rules) {
        let old = match found.rules.len() {
            count if count == desired.rules.len() => "other rules".to_owned(),
            count => count.to_string(),
        };
        let difference = Difference::new("rules", old, desired.rules.len());
        plan.change(difference, FoundationStep::UpdateSecurityGroup);
    }
    let space = observed.space.as_ref();
    if !space.is_some_and(|space| found.spaces.contains(&space.guid)) {
        let difference = Difference::new("binding", "none", &desired.names.space);
        plan.change(difference, FoundationStep::BindSecurityGroup);
    }
    plan
}

fn sorted(rules: &[Rule]) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = rules.iter().collect();
    rules.sort();
    rules
}

/// Our apps beyond the desired ones, deleted with their routes.
fn surplus(
    desired: &Desired,
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
        .filter(|app| app.managed && !wanted.contains(app.name.as_str()))
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

/// What it takes for an app to run with the right droplet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Need {
    /// It does, with this one.
    Nothing(DropletId),
    /// It has the right one, and runs with another.
    Set(DropletId),
    /// The bits are there, unstaged.
    Stage(String),
    Push,
    /// From the prototype's droplet; `None` is the one that it gets in this run.
    Copy(Option<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct DropletId {
    guid: String,
    checksum: Option<String>,
}

impl From<&Droplet> for DropletId {
    fn from(droplet: &Droplet) -> Self {
        Self {
            guid: droplet.guid.clone(),
            checksum: droplet.checksum.clone(),
        }
    }
}

fn prototype_need(group: &Group, apps: &HashMap<&str, &App>) -> Need {
    let app = group.apps.first().and_then(|name| apps.get(name.as_str()));
    let Some(app) = app else {
        return Need::Push;
    };
    let bits = Some(group.bits.as_str());
    if !buildpacks_differ(group, app) {
        if let Some(droplet) = app.current().filter(|it| it.bits.as_deref() == bits) {
            return Need::Nothing(droplet.into());
        }
        if let Some(droplet) = app.droplets.iter().find(|it| it.bits.as_deref() == bits) {
            return Need::Set(droplet.into());
        }
    }
    let package = app.packages.iter().find(|it| it.bits.as_deref() == bits);
    package.map_or(Need::Push, |package| Need::Stage(package.guid.clone()))
}

fn clone_need(prototype: &Need, app: Option<&App>) -> Need {
    let source = match prototype {
        Need::Nothing(droplet) | Need::Set(droplet) => droplet,
        _ => return Need::Copy(None),
    };
    let same = |droplet: &&Droplet| droplet.checksum == source.checksum;
    if let Some(droplet) = app.and_then(App::current).filter(same) {
        return Need::Nothing(droplet.into());
    }
    let held = app.and_then(|app| app.droplets.iter().find(same));
    held.map_or(Need::Copy(Some(source.guid.clone())), |droplet| {
        Need::Set(droplet.into())
    })
}

fn buildpacks_differ(group: &Group, app: &App) -> bool {
    !group.buildpacks.is_empty() && group.buildpacks != app.buildpacks
}

/// All that the plan of one app depends on.
struct AppContext<'a> {
    group: &'a Group,
    app: Option<&'a App>,
    route: Option<&'a Route>,
    domain: &'a str,
}

impl AppContext<'_> {
    fn plan(&self, name: &str, role: Role, need: &Need) -> AppPlan {
        let mut plan = AppPlan {
            name: name.to_owned(),
            group: Some(self.group.kind),
            role,
            guid: self.app.map(|app| app.guid.clone()),
            action: Action::Create,
            differences: Vec::new(),
            steps: Vec::new(),
        };
        match self.app {
            None => self.create(&mut plan, need),
            Some(app) => self.change(&mut plan, need, app),
        }
        plan
    }

    fn create(&self, plan: &mut AppPlan, need: &Need) {
        plan.steps.push(Step::CreateApp);
        plan.steps.extend(droplet_steps(need));
        plan.steps
            .extend(self.group.command.clone().map(Step::SetCommand));
        plan.steps.extend(self.route_steps());
        plan.steps.push(Step::Scale(self.whole_scale()));
        plan.steps.push(Step::Start);
    }

    fn change(&self, plan: &mut AppPlan, need: &Need, app: &App) {
        let mut restart = Vec::new();
        let mut alive = Vec::new();
        self.change_droplet(&mut plan.differences, &mut restart, need, app);
        self.change_environment(&mut plan.differences, &mut restart, app);
        let routed = self.route.filter(|route| route.apps.contains(&app.guid));
        if routed.is_none() {
            let old = self.route.map_or("missing", |_| "unmapped");
            let new = format!("{}.{}", host(&plan.name), self.domain);
            plan.differences.push(Difference::new("route", old, new));
            alive.extend(self.route_steps());
        }
        if !app.managed {
            plan.differences
                .push(Difference::new("label", "missing", "ours"));
            alive.push(Step::Adopt);
        }
        let (scale, scale_restarts) = self.scale(&mut plan.differences, app.web.as_ref());
        if let Some(scale) = scale {
            let steps = if scale_restarts {
                &mut restart
            } else {
                &mut alive
            };
            steps.push(Step::Scale(scale));
        }
        if !app.started {
            plan.differences
                .push(Difference::new("state", "STOPPED", "STARTED"));
        }
        if app.started && !restart.is_empty() {
            plan.steps.push(Step::Stop);
        }
        let start = !app.started || !restart.is_empty();
        plan.steps.extend(restart);
        plan.steps.extend(alive);
        if start {
            plan.steps.push(Step::Start);
        }
        plan.action = if plan.steps.is_empty() {
            Action::Unchanged
        } else {
            Action::Change
        };
    }

    fn change_droplet(
        &self,
        differences: &mut Vec<Difference>,
        steps: &mut Vec<Step>,
        need: &Need,
        app: &App,
    ) {
        if matches!(need, Need::Nothing(_)) {
            return;
        }
        let old = app.current_droplet.as_ref().map_or("none", |_| "another");
        let new = match need {
            Need::Push => "of the bits pushed",
            Need::Stage(_) => "of the bits staged",
            Need::Copy(_) => "copy of the prototype's",
            Need::Set(_) | Need::Nothing(_) => "the one it has",
        };
        differences.push(Difference::new("droplet", old, new));
        steps.extend(droplet_steps(need));
        let staged = matches!(need, Need::Push | Need::Stage(_));
        if staged && buildpacks_differ(self.group, app) {
            steps.push(Step::NoteBuildpacks);
        }
    }

    fn change_environment(
        &self,
        differences: &mut Vec<Difference>,
        steps: &mut Vec<Step>,
        app: &App,
    ) {
        let changes = env_changes(&app.env, &self.group.env);
        for (name, new) in &changes {
            let old = app.env.get(name).map(String::as_str);
            differences.push(env_difference(name, old, new.as_deref()));
        }
        if !changes.is_empty() {
            steps.push(Step::SetEnv(changes));
        }
        let wanted = self.group.command.as_ref();
        if let Some(command) = wanted.filter(|wanted| app.command.as_ref() != Some(wanted)) {
            let old = app.command.as_deref().unwrap_or("the droplet's");
            differences.push(Difference::new("command", old, command));
            steps.push(Step::SetCommand(command.clone()));
        }
    }

    /// What to scale to, and whether that takes a restart.
    fn scale(
        &self,
        differences: &mut Vec<Difference>,
        web: Option<&Process>,
    ) -> (Option<Scale>, bool) {
        let Some(web) = web else {
            return (Some(self.whole_scale()), false);
        };
        let whole = self.whole_scale();
        let scale = Scale {
            instances: whole.instances.filter(|wanted| *wanted != web.instances),
            memory_mb: whole.memory_mb.filter(|wanted| *wanted != web.memory_mb),
            disk_mb: whole.disk_mb.filter(|wanted| *wanted != web.disk_mb),
        };
        if let Some(new) = scale.instances {
            differences.push(Difference::new("instances", web.instances, new));
        }
        let sizes = [
            ("memory", web.memory_mb, scale.memory_mb),
            ("disk", web.disk_mb, scale.disk_mb),
        ];
        for (what, old, new) in sizes {
            if let Some(new) = new {
                let (old, new) = (format!("{old}M"), format!("{new}M"));
                differences.push(Difference::new(what, old, new));
            }
        }
        let restarts = scale.memory_mb.is_some() || scale.disk_mb.is_some();
        (
            Some(scale).filter(|scale| *scale != Scale::default()),
            restarts,
        )
    }

    fn whole_scale(&self) -> Scale {
        Scale {
            instances: Some(self.group.instances),
            memory_mb: self.group.memory_mb,
            disk_mb: self.group.disk_mb,
        }
    }

    fn route_steps(&self) -> Vec<Step> {
        match self.route {
            None => vec![Step::CreateRoute, Step::MapRoute { route: None }],
            Some(route) => vec![Step::MapRoute {
                route: Some(route.guid.clone()),
            }],
        }
    }
}

fn droplet_steps(need: &Need) -> Vec<Step> {
    let set = Step::SetDroplet { droplet: None };
    match need {
        Need::Nothing(_) => Vec::new(),
        Need::Set(droplet) => vec![Step::SetDroplet {
            droplet: Some(droplet.guid.clone()),
        }],
        Need::Stage(package) => vec![
            Step::Stage {
                package: Some(package.clone()),
            },
            set,
            Step::NoteBits,
        ],
        Need::Push => vec![
            Step::PushBits,
            Step::Stage { package: None },
            set,
            Step::NoteBits,
        ],
        Need::Copy(from) => vec![
            Step::CopyDroplet { from: from.clone() },
            Step::AwaitDroplet,
            set,
        ],
    }
}

/// What makes one environment the other: new values, and none for what goes.
fn env_changes(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let gone = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| (name.clone(), None));
    let set = new
        .iter()
        .filter(|(name, value)| old.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), Some(value.clone())));
    gone.chain(set).collect()
}

/// Values that the parameters do not give may be secrets, and are not shown.
fn env_difference(name: &str, old: Option<&str>, new: Option<&str>) -> Difference {
    const SHOWN: [&str; 5] = [
        "GOPACKAGENAME",
        "LISTEN_PORTS",
        "REGISTRY_BASE_URL",
        "REGISTRY_TTL_SECONDS",
        "START_PORT",
    ];
    let shown = |value: Option<&str>, hidden: &'static str| match value {
        None => "none".to_owned(),
        Some(value) if SHOWN.contains(&name) => value.to_owned(),
        Some(_) => hidden.to_owned(),
    };
    Difference::new(
        format!("env {name}"),
        shown(old, "a value"),
        shown(new, "another value"),
    )
}

impl FoundationPlan {
    fn new(kind: &'static str, name: &str, exists: bool) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            action: if exists {
                Action::Unchanged
            } else {
                Action::Create
            },
            differences: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn change(&mut self, difference: Difference, step: FoundationStep) {
        self.action = Action::Change;
        self.differences.push(difference);
        self.steps.push(step);
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.items().all(|item| item.action == Action::Unchanged)
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

//! What is to be done about one desired app.

use std::collections::{BTreeMap, HashMap};

use super::{Action, AppPlan, Difference, Role, Step};
use crate::capi::dialect::Scale;
use crate::capi::inventory::{App, Droplet, Process, Route};
use crate::desired::{Group, host};

/// What it takes for an app to run with the right droplet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
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
pub(super) struct DropletId {
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

pub(super) fn prototype_need(group: &Group, apps: &HashMap<&str, &App>) -> Need {
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

pub(super) fn clone_need(prototype: &Need, app: Option<&App>) -> Need {
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
pub(super) struct AppContext<'a> {
    pub(super) group: &'a Group,
    pub(super) app: Option<&'a App>,
    pub(super) route: Option<&'a Route>,
    pub(super) domain: &'a str,
}

impl AppContext<'_> {
    pub(super) fn plan(&self, name: &str, role: Role, need: &Need) -> AppPlan {
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

//! What is to be done about one desired app.

use std::collections::{BTreeMap, HashMap};

use super::{Action, Change, PlannedApp, ResourcePlan, Role, Step};
use crate::capi::dialect::Scale;
use crate::capi::inventory::{App, Droplet, DropletState, Process, Route};
use crate::converge::target::Target;
use crate::desired::{Group, host};

/// What it takes for an app to run with the right droplet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need<'a> {
    /// It does, with this one.
    Nothing(&'a Droplet),
    /// It has the right one, and runs with another.
    Set(&'a Droplet),
    /// The bits are there, in this package, unstaged.
    Stage(&'a str),
    Push,
    /// From the prototype's droplet; `None` is the one that it gets in this run.
    Copy(Option<&'a str>),
}

pub(super) fn prototype_need<'a>(group: &Group, apps: &HashMap<&str, &'a App>) -> Need<'a> {
    let app = group.apps.first().and_then(|name| apps.get(name.as_str()));
    let Some(app) = app else {
        return Need::Push;
    };
    let bits = Some(group.bits.as_str());
    let right = |droplet: &&Droplet| is_staged(droplet) && droplet.bits.as_deref() == bits;
    if !buildpacks_differ(group, app) {
        if let Some(droplet) = app.current().filter(right) {
            return Need::Nothing(droplet);
        }
        if let Some(droplet) = app.droplets.iter().find(right) {
            return Need::Set(droplet);
        }
    }
    let mut packages = app.packages.iter();
    let package = packages.find(|it| it.ready && it.bits.as_deref() == bits);
    package.map_or(Need::Push, |package| Need::Stage(&package.guid))
}

pub(super) fn clone_need<'a>(prototype: Need<'a>, app: Option<&'a App>) -> Need<'a> {
    let source = match prototype {
        Need::Nothing(droplet) | Need::Set(droplet) => droplet,
        _ => return Need::Copy(None),
    };
    let same = |droplet: &&Droplet| is_staged(droplet) && droplet.checksum == source.checksum;
    if let Some(droplet) = app.and_then(App::current).filter(same) {
        return Need::Nothing(droplet);
    }
    let held = app.and_then(|app| app.droplets.iter().find(same));
    held.map_or(Need::Copy(Some(&source.guid)), Need::Set)
}

fn is_staged(droplet: &Droplet) -> bool {
    droplet.state == DropletState::Staged
}

/// Cloud Controller shows a buildpack's URL without its credentials.
fn buildpacks_differ(group: &Group, app: &App) -> bool {
    let shown = |buildpacks: &[String]| -> Vec<String> {
        let buildpacks = buildpacks.iter();
        buildpacks.map(|it| without_credentials(it)).collect()
    };
    shown(&group.buildpacks) != shown(&app.buildpacks)
}

fn without_credentials(buildpack: &str) -> String {
    match (buildpack.split_once("://"), buildpack.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => buildpack.to_owned(),
    }
}

/// The memory and disk, in MB, that most apps of a group have: what holds
/// where its manifest gives none.
pub(super) fn usual_sizes(group: &Group, apps: &HashMap<&str, &App>) -> Sizes {
    let processes: Vec<&Process> = group
        .apps
        .iter()
        .filter_map(|name| apps.get(name.as_str())?.web.as_ref())
        .collect();
    Sizes {
        memory_mb: usual(processes.iter().map(|process| process.memory_mb)),
        disk_mb: usual(processes.iter().map(|process| process.disk_mb)),
    }
}

/// The most frequent value; of several, the one that comes first.
fn usual(mut values: impl Iterator<Item = u64> + Clone) -> Option<u64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for value in values.clone() {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    values.find(|value| counts.get(value) == Some(&most))
}

/// Memory and disk of a group's processes, where they are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    memory_mb: Option<u64>,
    disk_mb: Option<u64>,
}

/// All that the plan of one app depends on.
pub(super) struct AppContext<'a> {
    pub(super) group: &'a Group,
    pub(super) usual: &'a Sizes,
    pub(super) app: Option<&'a App>,
    pub(super) route: Option<&'a Route>,
    pub(super) domain: &'a str,
    pub(super) target: Target,
}

impl AppContext<'_> {
    pub(super) fn plan(&self, role: Role, need: Need<'_>) -> ResourcePlan {
        let mut plan = ResourcePlan {
            target: self.target.clone(),
            action: Action::Create,
            changes: Vec::new(),
            steps: Vec::new(),
            app: Some(PlannedApp {
                group: Some(self.group.kind),
                role,
                guid: self.app.map(|app| app.guid.clone()),
            }),
        };
        match self.app {
            None => self.create(&mut plan, need),
            Some(app) => self.change(&mut plan, role, need, app),
        }
        plan
    }

    fn create(&self, plan: &mut ResourcePlan, need: Need<'_>) {
        plan.steps.push(Step::CreateApp);
        plan.steps.extend(droplet_steps(need));
        plan.steps.extend(set_steps(need));
        if self.group.command.is_some() {
            plan.steps
                .push(Step::SetCommand(self.group.command.clone()));
        }
        plan.steps.extend(self.route_steps());
        plan.steps.push(Step::Scale(self.whole_scale()));
        plan.steps.push(Step::Start);
    }

    /// Whatever takes effect with a restart is done to a stopped app: a run that
    /// is killed then leaves it stopped, which the next one sees and mends.
    /// Only what takes long, staging and copying, goes on while it runs.
    fn change(&self, plan: &mut ResourcePlan, role: Role, need: Need<'_>, app: &App) {
        let changes = &mut plan.changes;
        let droplet_differs = droplet_difference(need, app, changes);
        let packages = packages_left_over(need, app);
        let droplets = droplets_left_over(need, app);
        note_left_over(changes, need, packages.len(), droplets.len());
        let note = unnoted(need, role);
        if note.is_some() {
            changes.push(Change::new("bits", "not noted", "noted"));
        }
        let environment = self.change_environment(changes, app);
        let command = self.change_command(changes, app);
        let route = self.change_route(changes, app);
        if !app.managed {
            changes.push(Change::new("label", "missing", "ours"));
        }
        let (scale, size_differs) = self.scale(changes, app.web.as_ref());
        if !app.started {
            changes.push(Change::new("state", "STOPPED", "STARTED"));
        }

        let stop_first = app.started && environment.is_some();
        let restarts = droplet_differs || command.is_some() || size_differs;
        let stop_then = app.started && !stop_first && restarts;
        let steps = &mut plan.steps;
        steps.extend(packages);
        steps.extend(note);
        steps.extend(stop_first.then_some(Step::Stop));
        steps.extend(environment);
        steps.extend(droplet_steps(need));
        steps.extend(stop_then.then_some(Step::Stop));
        steps.extend(set_steps(need));
        if matches!(need, Need::Push | Need::Stage(_)) && buildpacks_differ(self.group, app) {
            steps.push(Step::SetBuildpacks);
        }
        // In 2017 it is the droplet that makes the process, with its command.
        steps.extend(command);
        steps.extend(route);
        steps.extend((!app.managed).then_some(Step::LabelAsManaged));
        steps.extend(scale.map(Step::Scale));
        steps.extend((!app.started || stop_first || stop_then).then_some(Step::Start));
        steps.extend(droplets);
        plan.action = if plan.steps.is_empty() {
            Action::Unchanged
        } else {
            Action::Change
        };
    }

    fn change_route(&self, changes: &mut Vec<Change>, app: &App) -> Vec<Step> {
        let mapped = |route: &Route| route.apps.contains(&app.guid);
        if app.routed.unwrap_or(self.route.is_some_and(mapped)) {
            return Vec::new();
        }
        let old = self.route.map_or("missing", |_| "unmapped");
        let new = format!("{}.{}", host(self.target.name()), self.domain);
        changes.push(Change::new("route", old, new));
        self.route_steps()
    }

    fn change_environment(&self, changes: &mut Vec<Change>, app: &App) -> Option<Step> {
        let variables = env_changes(&app.env, &self.group.env);
        for (name, new) in &variables {
            let old = app.env.get(name).map(String::as_str);
            changes.push(env_change(name, old, new.as_deref()));
        }
        (!variables.is_empty()).then_some(Step::SetEnv(variables))
    }

    fn change_command(&self, changes: &mut Vec<Change>, app: &App) -> Option<Step> {
        let wanted = &self.group.command;
        if *wanted == app.command || (wanted.is_none() && !app.command_is_own) {
            return None;
        }
        let shown = |command: &Option<String>| match command {
            None => "the droplet's".to_owned(),
            Some(command) => command.clone(),
        };
        let (old, new) = (shown(&app.command), shown(wanted));
        changes.push(Change::new("command", old, new));
        Some(Step::SetCommand(wanted.clone()))
    }

    /// What to scale to, and whether that takes a restart.
    fn scale(&self, changes: &mut Vec<Change>, web: Option<&Process>) -> (Option<Scale>, bool) {
        let Some(web) = web else {
            return (Some(self.whole_scale()), false);
        };
        let (group, usual) = (self.group, self.usual);
        let instances = Some(group.instances);
        let memory_mb = group.memory_mb.or(usual.memory_mb);
        let disk_mb = group.disk_mb.or(usual.disk_mb);
        let scale = Scale {
            instances: instances.filter(|wanted| *wanted != web.instances),
            memory_mb: memory_mb.filter(|wanted| *wanted != web.memory_mb),
            disk_mb: disk_mb.filter(|wanted| *wanted != web.disk_mb),
        };
        if let Some(new) = scale.instances {
            changes.push(Change::new("instances", web.instances, new));
        }
        let sizes = [
            ("memory", web.memory_mb, scale.memory_mb),
            ("disk", web.disk_mb, scale.disk_mb),
        ];
        for (what, old, new) in sizes {
            if let Some(new) = new {
                let (old, new) = (format!("{old}M"), format!("{new}M"));
                changes.push(Change::new(what, old, new));
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

/// Notes whether the app needs another droplet.
fn droplet_difference(need: Need<'_>, app: &App, changes: &mut Vec<Change>) -> bool {
    let new = match need {
        Need::Nothing(_) => return false,
        Need::Push => "of the bits pushed",
        Need::Stage(_) => "of the bits staged",
        Need::Copy(_) => "copy of the prototype's",
        Need::Set(_) => "the one it has",
    };
    let old = app.current_droplet.as_ref().map_or("none", |_| "another");
    changes.push(Change::new("droplet", old, new));
    true
}

/// What gets an app its droplet.
fn droplet_steps(need: Need<'_>) -> Vec<Step> {
    match need {
        Need::Nothing(_) | Need::Set(_) => Vec::new(),
        Need::Stage(package) => vec![Step::Stage {
            package: Some(package.to_owned()),
        }],
        Need::Push => vec![Step::PushBits, Step::Stage { package: None }],
        Need::Copy(from) => vec![
            Step::CopyDroplet {
                from: from.map(str::to_owned),
            },
            Step::AwaitDroplet,
        ],
    }
}

/// What makes the droplet the current one.
fn set_steps(need: Need<'_>) -> Vec<Step> {
    match need {
        Need::Nothing(_) => Vec::new(),
        Need::Set(droplet) => vec![Step::SetDroplet {
            droplet: Some(droplet.guid.clone()),
        }],
        Need::Copy(_) => vec![Step::SetDroplet { droplet: None }],
        Need::Stage(_) | Need::Push => vec![
            Step::SetDroplet { droplet: None },
            Step::AnnotateBitsHash { droplet: None },
        ],
    }
}

/// The app's packages that are not what its droplet is, or will be, staged from.
/// While another is pushed or staged, none of its droplets accounts for packages.
fn packages_left_over(need: Need<'_>, app: &App) -> Vec<Step> {
    let kept = match need {
        Need::Nothing(droplet) | Need::Set(droplet) => droplet.package.as_deref(),
        Need::Stage(package) => Some(package),
        Need::Push | Need::Copy(_) => None,
    };
    let pushes = matches!(need, Need::Push | Need::Stage(_));
    let noted = app.droplets.iter().filter(|droplet| droplet.noted);
    let forget = noted
        .filter(|_| pushes)
        .map(|droplet| Step::RemoveBitsHash {
            droplet: droplet.guid.clone(),
        });
    let packages = app.packages.iter();
    let others = packages.filter(|package| Some(package.guid.as_str()) != kept);
    let delete = others.map(|package| Step::DeletePackage {
        package: package.guid.clone(),
    });
    forget.chain(delete).collect()
}

/// The app's droplets other than the one that it runs, or will run, with; but
/// what is being staged may be just that one.
fn droplets_left_over(need: Need<'_>, app: &App) -> Vec<Step> {
    let (kept, stages) = match need {
        Need::Nothing(droplet) | Need::Set(droplet) => (Some(droplet.guid.as_str()), false),
        Need::Copy(_) => (None, false),
        Need::Stage(_) | Need::Push => (None, true),
    };
    let droplets = app.droplets.iter();
    droplets
        .filter(|droplet| Some(droplet.guid.as_str()) != kept)
        .filter(|droplet| !(stages && droplet.state == DropletState::Staging))
        .map(|droplet| Step::DeleteDroplet {
            droplet: droplet.guid.clone(),
        })
        .collect()
}

/// Notes what is left over of an app that has its droplet; of one that gets
/// another, that says it.
fn note_left_over(changes: &mut Vec<Change>, need: Need<'_>, packages: usize, droplets: usize) {
    let Need::Nothing(_) = need else {
        return;
    };
    for (what, count) in [("packages", packages), ("droplets", droplets)] {
        if count > 0 {
            changes.push(Change::new(what, format!("{count} too many"), "one"));
        }
    }
}

/// Notes the bits of a prototype's droplet where its package alone tells them.
fn unnoted(need: Need<'_>, role: Role) -> Option<Step> {
    match need {
        Need::Nothing(droplet) | Need::Set(droplet)
            if role == Role::Prototype && droplet.package.is_some() && !droplet.noted =>
        {
            Some(Step::AnnotateBitsHash {
                droplet: Some(droplet.guid.clone()),
            })
        }
        _ => None,
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
fn env_change(name: &str, old: Option<&str>, new: Option<&str>) -> Change {
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
    Change::new(
        format!("env {name}"),
        shown(old, "a value"),
        shown(new, "another value"),
    )
}

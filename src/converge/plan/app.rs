//! Plans one desired app.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::drift::EntryDrift;
use super::step::{DropletRef, PackageRef, RouteRef, SourceDroplet};
use super::{Action, Change, PlannedApp, PlannedSize, ResourcePlan, Role, Space, Step, Workflow};
use crate::capi::model::{
    Droplet, MANAGED_BY_LABEL, MANAGED_BY_VALUE, PREFIX_ANNOTATION, Process, ResourceState,
};
use crate::converge::observed::App;
use crate::desired::{Bits, Group, PlacedGroup};
use crate::manifest::entry::{BY_REQUESTS, EntryRoute, ManifestEntry};

/// The memory that a staging gets at least, in MB: the Cloud Controller's default of
/// `staging.minimum_staging_memory_mb`.
const STAGING_MEMORY_MB: u64 = 1024;

/// The disk that a staging gets at least, in MB: the Cloud Controller's default of
/// `staging.minimum_staging_disk_mb`.
const STAGING_DISK_MB: u64 = 4096;

/// How an app gets the right droplet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need<'a> {
    /// The app runs with this droplet.
    Nothing(&'a Droplet),
    /// The app has this droplet, and runs with another.
    Set(&'a Droplet),
    /// This package has the bits, and is not staged.
    Stage(&'a str),
    Push,
    /// The droplet of the group is uploaded.
    Upload,
    /// The app keeps the droplet that it has, if any.
    Keep,
    /// The prototype's droplet is copied. `None` is the droplet that the prototype gets in
    /// this run.
    Copy(Option<&'a str>),
}

pub(super) fn prototype_need<'a>(
    group: &Group,
    bits: &str,
    app: Option<&'a App>,
    space: &Space<'_>,
) -> Need<'a> {
    match group.bits {
        Bits::None => return Need::Keep,
        Bits::Droplet(_) => return droplet_need(bits, app),
        _ => {}
    }
    let Some(app) = app else {
        return Need::Push;
    };
    let differences = space.observed.differences.get(&app.name);
    let mut differences = differences.into_iter().flatten();
    // The manifest sets another stack before the staging. A run that is killed in between
    // must not leave a droplet that looks right.
    if differences.any(|it| it.path.first().is_some_and(|key| key == "stack")) {
        return Need::Push;
    }
    let bits = Some(bits);
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
    let package = packages.find(|it| it.is_ready() && it.bits.as_deref() == bits);
    package.map_or(Need::Push, |package| Need::Stage(&package.guid))
}

/// How an app gets the droplet with a checksum.
fn droplet_need<'a>(checksum: &str, app: Option<&'a App>) -> Need<'a> {
    let same =
        |droplet: &&Droplet| is_staged(droplet) && droplet.checksum.as_deref() == Some(checksum);
    if let Some(droplet) = app.and_then(App::current).filter(same) {
        return Need::Nothing(droplet);
    }
    let held = app.and_then(|app| app.droplets.iter().find(same));
    held.map_or(Need::Upload, Need::Set)
}

pub(super) fn clone_need<'a>(prototype: Need<'a>, app: Option<&'a App>) -> Need<'a> {
    let source = match prototype {
        Need::Nothing(droplet) | Need::Set(droplet) => droplet,
        Need::Keep => return Need::Keep,
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
    droplet.state == ResourceState::Staged
}

/// The Cloud Controller shows the URL of a buildpack without its credentials.
fn buildpacks_differ(group: &Group, app: &App) -> bool {
    let shown = |buildpacks: &[String]| -> Vec<String> {
        let buildpacks = buildpacks.iter();
        buildpacks.map(|it| without_credentials(it)).collect()
    };
    shown(&group.entry.buildpacks()) != shown(&app.buildpacks)
}

fn without_credentials(buildpack: &str) -> String {
    match (buildpack.split_once("://"), buildpack.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => buildpack.to_owned(),
    }
}

/// The memory and disk, in MB, of most apps of a group. They apply if the entry sets
/// none.
pub(super) fn usual_sizes(group: &Group, apps: &HashMap<&str, &App>) -> Sizes {
    if group.entry.memory_mb().is_some() && group.entry.disk_mb().is_some() {
        return Sizes::default();
    }
    let processes: Vec<&Process> = group
        .app_names()
        .filter_map(|name| apps.get(name.as_str())?.web.as_ref())
        .collect();
    Sizes {
        memory_mb: usual(processes.iter().map(|process| process.memory_mb)),
        disk_mb: usual(processes.iter().map(|process| process.disk_mb)),
    }
}

/// The most frequent value, or the first of several.
fn usual(mut values: impl Iterator<Item = u64> + Clone) -> Option<u64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for value in values.clone() {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    values.find(|value| counts.get(value) == Some(&most))
}

/// Memory and disk of a group's processes, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes {
    memory_mb: Option<u64>,
    disk_mb: Option<u64>,
}

/// The new scale of a process. `None` keeps a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Scale {
    instances: Option<u32>,
    memory_mb: Option<u64>,
    disk_mb: Option<u64>,
}

impl Scale {
    fn step(self) -> Step {
        let Self {
            instances,
            memory_mb,
            disk_mb,
        } = self;
        Step::Scale {
            instances,
            memory_mb,
            disk_mb,
        }
    }
}

/// Everything that the plan of an app depends on.
pub(super) struct AppContext<'a> {
    pub(super) space: &'a Space<'a>,
    pub(super) group: PlacedGroup<'a>,
    /// The position of the group whose droplet the app gets.
    pub(super) droplet_of: usize,
    /// The hash of the group's bits.
    pub(super) bits: &'a str,
    /// The entry of this app.
    pub(super) entry: ManifestEntry,
    pub(super) usual: &'a Sizes,
    pub(super) app: Option<&'a App>,
    pub(super) role: Role,
    pub(super) workflow: Workflow,
}

impl AppContext<'_> {
    pub(super) fn plan(&self, name: &str, need: Need<'_>) -> ResourcePlan {
        let mut plan = ResourcePlan {
            target: self.space.target(name),
            action: Action::Create,
            changes: Vec::new(),
            unmanaged: self.app.is_some_and(|app| self.space.is_unmanaged(app)),
            steps: Vec::new(),
            content: Vec::new(),
            app: Some(PlannedApp {
                space: self.group.space.id,
                group: Some(self.group.id),
                droplet_of: Some(self.droplet_of),
                role: self.role,
                guid: self.app.map(|app| app.guid.clone()),
                size: Some(PlannedSize::of(&self.entry)),
            }),
        };
        match self.app {
            None if self.workflow == Workflow::Manifest => {
                self.create_by_manifest(&mut plan.steps, need);
            }
            None => self.create_by_requests(&mut plan.steps, need),
            Some(app) => self.change(&mut plan, need, app),
        }
        plan
    }

    /// An entry with our label.
    fn managed(&self, entry: ManifestEntry) -> ManifestEntry {
        entry.with_metadata(
            &[(MANAGED_BY_LABEL, MANAGED_BY_VALUE)],
            &[(PREFIX_ANNOTATION, self.space.owner)],
        )
    }

    /// A prototype is staged before its manifest is applied, if the manifest does not
    /// affect the staging: all clones wait for the droplet.
    fn create_by_manifest(&self, steps: &mut Vec<Step>, need: Need<'_>) {
        let entry = Box::new(self.managed(self.entry.clone()));
        let manifest = Step::ApplyManifest { entry };
        let droplet = droplet_steps(need, None);
        if self.role == Role::Prototype && self.is_staged_first() {
            steps.push(self.create_app());
            steps.extend(droplet);
            steps.push(manifest);
        } else {
            steps.push(manifest);
            steps.extend(droplet);
        }
        steps.extend(self.set_steps(need, self.is_started()));
    }

    /// Whether the app should run.
    fn is_started(&self) -> bool {
        self.group.group.is_started()
    }

    /// Whether staging needs no more than the environment and the buildpacks, and the
    /// memory and disk that every staging gets.
    fn is_staged_first(&self) -> bool {
        const AFTER_STAGING: [&str; 4] = ["env", "metadata", "no-route", "routes"];
        let is_irrelevant = |key: &str| BY_REQUESTS.contains(&key) || AFTER_STAGING.contains(&key);
        self.entry.properties().all(is_irrelevant)
            && self
                .entry
                .memory_mb()
                .is_none_or(|it| it <= STAGING_MEMORY_MB)
            && self.entry.disk_mb().is_none_or(|it| it <= STAGING_DISK_MB)
    }

    fn create_app(&self) -> Step {
        let stages = self.role == Role::Prototype;
        Step::CreateApp {
            env: self.entry.shared_env().clone(),
            buildpacks: if stages {
                self.entry.buildpacks()
            } else {
                Vec::new()
            },
        }
    }

    fn create_by_requests(&self, steps: &mut Vec<Step>, need: Need<'_>) {
        let entry = &self.entry;
        steps.push(self.create_app());
        let rest = entry.beyond_requests().map(Box::new);
        steps.extend(rest.map(|entry| Step::ApplyManifest { entry }));
        steps.extend(droplet_steps(need, None));
        steps.extend(self.set_steps(need, false));
        if let Some(command) = entry.command() {
            steps.push(Step::SetCommand {
                command: Some(command.to_owned()),
            });
        }
        steps.extend(self.health_check());
        for route in entry.entry_routes() {
            steps.extend(self.route_steps(route));
        }
        steps.push(self.whole_scale().step());
        steps.extend(self.is_started().then_some(Step::Start));
    }

    /// Changes that need a restart are made while the app is stopped. If the run is killed
    /// in between, the next run sees a stopped app and repairs it. Staging and copying take
    /// long, so they run before the app is stopped.
    fn change(&self, plan: &mut ResourcePlan, need: Need<'_>, app: &App) {
        let changes = &mut plan.changes;
        let droplet_differs = droplet_change(need, app, changes);
        let packages = unused_packages(need, app);
        let droplets = unused_droplets(need, app);
        count_unused(changes, need, packages.len(), droplets.len());
        let annotate = self.unannotated(need);
        if annotate.is_some() {
            changes.push(Change::new("hash of the bits", "missing", "annotated"));
        }
        let differences = self.space.observed.differences.get(&app.name);
        let differences = differences.map(Vec::as_slice).unwrap_or_default();
        let drift = EntryDrift::of(self.group.group, &self.entry, differences);
        changes.extend(drift.changes.iter().cloned());
        let buildpacks = self.clone_buildpacks(changes, app);
        let destinations = self.destinations(changes, app);
        let is_ours = app.ownership.is_of(self.space.owner);
        if !is_ours {
            let old = app
                .ownership
                .owner
                .as_deref()
                .filter(|_| app.ownership.managed);
            changes.push(Change::new("label", old.unwrap_or("missing"), "managed"));
        }
        let scale = self.scale(changes, app.web.as_ref());
        let size_differs = scale.is_some_and(|it| it.memory_mb.is_some() || it.disk_mb.is_some());
        let size_differs = size_differs && app.web.is_some();
        let runs = self.is_started();
        let shown = |started: bool| if started { "STARTED" } else { "STOPPED" };
        if app.started != runs {
            changes.push(Change::new("state", shown(app.started), shown(runs)));
        }

        let restage = matches!(need, Need::Push | Need::Stage(_));
        let staged_with =
            (restage && buildpacks_differ(self.group.group, app)).then(|| self.entry.buildpacks());
        let is_manifest = self.workflow == Workflow::Manifest;
        let by_request = |key: &String| BY_REQUESTS.contains(&key.as_str()) || key == "routes";
        let late = drift.properties.iter().all(by_request) && drift.unbind.is_empty();
        let stop_first = app.started
            && match is_manifest {
                _ if !runs => true,
                true => drift.needs_restart() || size_differs,
                false => drift.needs_restart() && !(late && drift.env.is_empty()),
            };
        let restarts = droplet_differs || size_differs || drift.needs_restart();
        let stop_then = app.started && !stop_first && restarts;
        let starts = runs && (!app.started || stop_first || stop_then);

        let steps = &mut plan.steps;
        steps.extend(packages);
        steps.extend(annotate);
        steps.extend(stop_first.then_some(Step::Stop));
        steps.extend(self.env_step(&drift));
        steps.extend(removals(&drift));
        steps.extend(self.manifest_step(&drift, buildpacks, scale, is_ours));
        steps.extend(droplet_steps(need, staged_with.clone()));
        steps.extend(stop_then.then_some(Step::Stop));
        let set = self.set_steps(need, is_manifest && starts);
        let deploys = set.iter().any(Step::starts);
        steps.extend(set);
        steps.extend(staged_with.map(|buildpacks| Step::SetBuildpacks { buildpacks }));
        if !is_manifest {
            // In 2017, setting the droplet creates the process with its command.
            self.change_by_requests(steps, &drift, is_ours, scale);
        }
        steps.extend(destinations);
        steps.extend((starts && !deploys).then_some(Step::Start));
        steps.extend(droplets);
        plan.action = if plan.steps.is_empty() {
            Action::Unchanged
        } else {
            Action::Change
        };
    }

    /// Sets the environment variables that a manifest does not change: those to remove, or
    /// all without manifests.
    fn env_step(&self, drift: &EntryDrift) -> Option<Step> {
        let by_manifest = self.workflow == Workflow::Manifest;
        let variables: BTreeMap<String, Option<String>> = drift
            .env
            .iter()
            .filter(|(_, value)| !by_manifest || value.is_none())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        (!variables.is_empty()).then_some(Step::SetEnv { variables })
    }

    fn manifest_step(
        &self,
        drift: &EntryDrift,
        buildpacks: Option<Vec<String>>,
        scale: Option<Scale>,
        is_ours: bool,
    ) -> Option<Step> {
        if self.workflow == Workflow::PerApp {
            let is_beyond = |key: &String| {
                let by_requests = BY_REQUESTS.contains(&key.as_str()) || key == "routes";
                !by_requests
            };
            let rest = self.entry.beyond_requests()?;
            let routes = drift.properties.contains("routes") && !rest.entry_routes().is_empty();
            let needed = routes || drift.properties.iter().any(is_beyond);
            let entry = Box::new(rest);
            return needed.then_some(Step::ApplyManifest { entry });
        }
        let no_route = self.entry.has_no_route() && self.is_routed();
        let needed = drift.is_for_manifest()
            || buildpacks.is_some()
            || scale.is_some()
            || !is_ours
            || no_route;
        if !needed {
            return None;
        }
        let mut entry = self.managed(self.entry.clone()).without("buildpacks");
        if let Some(buildpacks) = buildpacks {
            entry = entry.with("buildpacks", json!(buildpacks));
        }
        if entry.command().is_none() {
            entry = entry.with("command", Value::Null);
        }
        let scale = scale.unwrap_or_default();
        for (key, size) in [("memory", scale.memory_mb), ("disk_quota", scale.disk_mb)] {
            if let Some(size) = size {
                entry = entry.with(key, json!(format!("{size}M")));
            }
        }
        let entry = Box::new(entry);
        Some(Step::ApplyManifest { entry })
    }

    /// Requests for one app that replace a manifest.
    fn change_by_requests(
        &self,
        steps: &mut Vec<Step>,
        drift: &EntryDrift,
        is_ours: bool,
        scale: Option<Scale>,
    ) {
        let differs = |key: &str| drift.properties.contains(key);
        if differs("command") {
            steps.push(Step::SetCommand {
                command: self.entry.command().map(str::to_owned),
            });
        }
        if drift
            .properties
            .iter()
            .any(|key| key.starts_with("health-check-"))
        {
            steps.extend(self.health_check());
        }
        if differs("routes") {
            for route in self.entry.entry_routes() {
                if !self.has_route(route) {
                    steps.extend(self.route_steps(route));
                }
            }
        }
        steps.extend((!is_ours).then_some(Step::LabelAsManaged));
        steps.extend(scale.map(Scale::step));
    }

    fn health_check(&self) -> Option<Step> {
        let text = |key: &str| self.entry.get(key)?.as_str().map(str::to_owned);
        let invocation_timeout = self.entry.get("health-check-invocation-timeout");
        let invocation_timeout = invocation_timeout.and_then(Value::as_u64);
        let (check, endpoint) = (
            text("health-check-type"),
            text("health-check-http-endpoint"),
        );
        let is_asked = check.is_some() || endpoint.is_some() || invocation_timeout.is_some();
        is_asked.then_some(Step::SetHealthCheck {
            check,
            endpoint,
            invocation_timeout,
        })
    }

    /// The buildpacks of a clone, which has those of its group although it is not staged.
    fn clone_buildpacks(&self, changes: &mut Vec<Change>, app: &App) -> Option<Vec<String>> {
        let is_clone = self.role == Role::Clone && self.workflow == Workflow::Manifest;
        if !is_clone || !buildpacks_differ(self.group.group, app) {
            return None;
        }
        let shown = |buildpacks: &[String]| match buildpacks {
            [] => "none".to_owned(),
            all => all
                .iter()
                .map(|it| without_credentials(it))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let buildpacks = self.entry.buildpacks();
        changes.push(Change::new(
            "buildpacks",
            shown(&app.buildpacks),
            shown(&buildpacks),
        ));
        Some(buildpacks)
    }

    fn has_route(&self, route: &EntryRoute) -> bool {
        let found = self.space.routes.get(route.route.as_str());
        found.is_some_and(|found| {
            let mut destinations = found.destinations.iter();
            destinations.any(|it| self.app.is_some_and(|app| app.guid == it.app))
        })
    }

    fn is_routed(&self) -> bool {
        let mut routes = self.space.observed.routes.iter();
        let app = self.app.map(|app| app.guid.as_str());
        routes.any(|route| {
            route
                .destinations
                .iter()
                .any(|it| Some(it.app.as_str()) == app)
        })
    }

    /// Steps that set the destinations of the app's routes to the web processes of exactly
    /// the apps that should have them.
    fn destinations(&self, changes: &mut Vec<Change>, app: &App) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.space.knows_destinations {
            return steps;
        }
        if self.entry.has_no_route() && self.is_routed() {
            changes.push(Change::new("routes", "some", "none"));
        }
        for wanted in self.entry.entry_routes() {
            let Some(route) = self.space.routes.get(wanted.route.as_str()) else {
                continue;
            };
            let others = self.space.others_of(&wanted.route);
            // If several apps share a route, the plan of the first one has the step.
            if others.first().is_some_and(|first| *first != app.guid) {
                continue;
            }
            let is_wanted = |guid: &str| guid == app.guid || others.contains(&guid);
            let mut destinations = route.destinations.iter();
            let elsewhere = destinations.any(|it| !is_wanted(&it.app));
            let mut destinations = route.destinations.iter();
            let otherwise = destinations.any(|it| is_wanted(&it.app) && !it.is_default());
            let old = match (elsewhere, otherwise) {
                (false, false) => continue,
                (true, _) => "another app too",
                (false, true) => "another port or process",
            };
            let property = format!("destinations of route {}", wanted.route);
            changes.push(Change::new(property, old, "the web process"));
            let mut apps: Vec<String> = others.iter().map(|guid| (*guid).to_owned()).collect();
            if apps.is_empty() {
                apps.push(app.guid.clone());
            }
            steps.push(Step::SetDestinations {
                route: route.guid.clone(),
                apps,
                protocol: wanted.protocol.clone(),
            });
        }
        steps
    }

    /// The new scale, if it differs.
    fn scale(&self, changes: &mut Vec<Change>, web: Option<&Process>) -> Option<Scale> {
        let Some(web) = web else {
            return Some(self.whole_scale());
        };
        let memory_mb = self.entry.memory_mb().or(self.usual.memory_mb);
        let disk_mb = self.entry.disk_mb().or(self.usual.disk_mb);
        let scale = Scale {
            instances: self
                .entry
                .instances()
                .filter(|wanted| *wanted != web.instances),
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
        for (property, old, new) in sizes {
            if let Some(new) = new {
                let (old, new) = (format!("{old}M"), format!("{new}M"));
                changes.push(Change::new(property, old, new));
            }
        }
        Some(scale).filter(|scale| *scale != Scale::default())
    }

    fn whole_scale(&self) -> Scale {
        Scale {
            instances: self.entry.instances(),
            memory_mb: self.entry.memory_mb(),
            disk_mb: self.entry.disk_mb(),
        }
    }

    fn route_steps(&self, route: &EntryRoute) -> Vec<Step> {
        match self.space.routes.get(route.route.as_str()) {
            None => vec![
                Step::CreateRoute {
                    route: route.route.clone(),
                },
                Step::MapRoute {
                    route: RouteRef::Created,
                },
            ],
            Some(route) => vec![Step::MapRoute {
                route: RouteRef::Existing(route.guid.clone()),
            }],
        }
    }

    /// Steps that make the droplet the current one. With `deploys`, they also start the
    /// app.
    fn set_steps(&self, need: Need<'_>, deploys: bool) -> Vec<Step> {
        let set = |droplet: DropletRef| match deploys {
            true => Step::Deploy { droplet },
            false => Step::SetDroplet { droplet },
        };
        match need {
            Need::Nothing(_) | Need::Keep => Vec::new(),
            Need::Set(droplet) => vec![set(DropletRef::Existing(droplet.guid.clone()))],
            Need::Copy(_) | Need::Upload => vec![set(DropletRef::New)],
            Need::Stage(_) | Need::Push => vec![
                set(DropletRef::New),
                Step::AnnotateBitsHash {
                    droplet: DropletRef::New,
                    hash: self.bits.to_owned(),
                },
            ],
        }
    }

    /// Annotates a prototype's droplet if only its package has the hash of the bits.
    fn unannotated(&self, need: Need<'_>) -> Option<Step> {
        match need {
            Need::Nothing(droplet) | Need::Set(droplet)
                if self.role == Role::Prototype
                    && droplet.package.is_some()
                    && !droplet.annotated =>
            {
                Some(Step::AnnotateBitsHash {
                    droplet: DropletRef::Existing(droplet.guid.clone()),
                    hash: self.bits.to_owned(),
                })
            }
            _ => None,
        }
    }
}

/// Reports whether the app needs another droplet.
fn droplet_change(need: Need<'_>, app: &App, changes: &mut Vec<Change>) -> bool {
    let new = match need {
        Need::Nothing(_) | Need::Keep => return false,
        Need::Upload => "the uploaded one",
        Need::Push => "of the pushed bits",
        Need::Stage(_) => "of the staged bits",
        Need::Copy(_) => "a copy of the prototype's",
        Need::Set(_) => "the one it has",
    };
    let old = app.current_droplet.as_ref().map_or("none", |_| "another");
    changes.push(Change::new("droplet", old, new));
    true
}

/// Steps that stage or copy the app's droplet.
fn droplet_steps(need: Need<'_>, buildpacks: Option<Vec<String>>) -> Vec<Step> {
    match need {
        Need::Nothing(_) | Need::Set(_) | Need::Keep => Vec::new(),
        Need::Upload => vec![Step::UploadDroplet],
        Need::Stage(package) => vec![Step::Stage {
            package: PackageRef::Existing(package.to_owned()),
            buildpacks,
        }],
        Need::Push => vec![
            Step::PushBits,
            Step::Stage {
                package: PackageRef::Pushed,
                buildpacks,
            },
        ],
        Need::Copy(from) => {
            let from = from.map(str::to_owned);
            let from = from.map_or(SourceDroplet::Staged, SourceDroplet::Existing);
            vec![Step::CopyDroplet { from }, Step::AwaitDroplet]
        }
    }
}

/// Steps that remove what a manifest does not remove.
fn removals(drift: &EntryDrift) -> Vec<Step> {
    let mut steps = Vec::new();
    if !drift.unbind.is_empty() {
        steps.push(Step::UnbindServices {
            services: drift.unbind.clone(),
        });
    }
    if !drift.labels.is_empty() || !drift.annotations.is_empty() {
        steps.push(Step::RemoveMetadata {
            labels: drift.labels.clone(),
            annotations: drift.annotations.clone(),
        });
    }
    steps
}

/// Steps that delete the packages that the app's current or future droplet is not staged
/// from.
fn unused_packages(need: Need<'_>, app: &App) -> Vec<Step> {
    let kept = match need {
        Need::Nothing(droplet) | Need::Set(droplet) => droplet.package.as_deref(),
        Need::Stage(package) => Some(package),
        Need::Push | Need::Upload | Need::Copy(_) => None,
        Need::Keep => return Vec::new(),
    };
    let pushes = matches!(need, Need::Push | Need::Stage(_));
    let annotated = app.droplets.iter().filter(|droplet| droplet.annotated);
    let remove = annotated
        .filter(|_| pushes)
        .map(|droplet| Step::RemoveBitsHash {
            droplet: droplet.guid.clone(),
        });
    let packages = app.packages.iter();
    let others = packages.filter(|package| Some(package.guid.as_str()) != kept);
    let delete = others.map(|package| Step::DeletePackage {
        package: package.guid.clone(),
    });
    remove.chain(delete).collect()
}

/// Steps that delete the droplets that the app neither runs with nor will run with. A
/// droplet that is being staged is kept.
fn unused_droplets(need: Need<'_>, app: &App) -> Vec<Step> {
    let (kept, stages) = match need {
        Need::Nothing(droplet) | Need::Set(droplet) => (Some(droplet.guid.as_str()), false),
        Need::Copy(_) | Need::Upload => (None, false),
        Need::Stage(_) | Need::Push => (None, true),
        Need::Keep => return Vec::new(),
    };
    let droplets = app.droplets.iter();
    droplets
        .filter(|droplet| Some(droplet.guid.as_str()) != kept)
        .filter(|droplet| !(stages && droplet.state == ResourceState::Staging))
        .map(|droplet| Step::DeleteDroplet {
            droplet: droplet.guid.clone(),
        })
        .collect()
}

/// Reports unused packages and droplets of an app that keeps its droplet.
fn count_unused(changes: &mut Vec<Change>, need: Need<'_>, packages: usize, droplets: usize) {
    let Need::Nothing(_) = need else {
        return;
    };
    for (property, count) in [("packages", packages), ("droplets", droplets)] {
        if count > 0 {
            changes.push(Change::new(
                property,
                format!("{count} unused"),
                "none unused",
            ));
        }
    }
}

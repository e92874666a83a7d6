//! Plans the changes of an existing app.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::AppContext;
use super::droplet::{
    DropletNeed, buildpacks_differ, count_unused, droplet_change, droplet_steps, unused_droplets,
    unused_packages, without_credentials,
};
use super::scale::Scale;
use crate::converge::observe::App;
use crate::converge::plan::drift::EntryDrift;
use crate::converge::plan::{Action, Change, ResourcePlan, Role, Step, Workflow};
use crate::manifest::entry::BY_REQUESTS;

/// When a change stops and starts the app.
struct Restart {
    /// Before the app is changed.
    stops_first: bool,
    /// After the app is changed, and before its droplet is set.
    stops_then: bool,
    /// At the end.
    starts: bool,
    /// At the end, in one step.
    is_at_once: bool,
}

impl AppContext<'_> {
    /// Plans the changes of an app. Changes that need a restart are made while the app is
    /// stopped. If the run is killed in between, the next run observes a stopped app and
    /// starts it. Staging and copying take a long time, so they run before the app is
    /// stopped.
    pub(super) fn change(&self, plan: &mut ResourcePlan, need: DropletNeed<'_>, app: &App) {
        let changes = &mut plan.changes;
        let droplet_differs = droplet_change(need, app, changes);
        let mut packages = unused_packages(need, app);
        let mut droplets = unused_droplets(need, app);
        if self.group.group.ignores_droplets {
            packages.retain(|step| !matches!(step, Step::DeletePackage { .. }));
            droplets.clear();
        }
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
        changes.extend(self.label_change(app));
        let scale = self.scale(changes, app.web.as_ref());
        let size_differs = scale.is_some_and(|it| it.memory_mb.is_some() || it.disk_mb.is_some());
        let size_differs = size_differs && app.web.is_some();
        let runs = self.runs_after(app);
        let shown = |started: bool| if started { "STARTED" } else { "STOPPED" };
        if app.started != runs {
            changes.push(Change::new("state", shown(app.started), shown(runs)));
        }

        let restart = self.restart(app, &drift, size_differs, droplet_differs);
        let restage = matches!(need, DropletNeed::Push | DropletNeed::Stage(_));
        let staged_with =
            (restage && buildpacks_differ(self.group.group, app)).then(|| self.entry.buildpacks());
        let is_manifest = self.workflow == Workflow::Manifest;

        let steps = &mut plan.steps;
        steps.extend(packages);
        steps.extend(annotate);
        steps.extend(restart.stops_first.then_some(Step::Stop));
        steps.extend(self.env_step(&drift));
        steps.extend(removals(&drift));
        steps.extend(self.manifest_step(&drift, buildpacks, scale, is_ours));
        steps.extend(droplet_steps(need, staged_with.clone()));
        steps.extend(restart.stops_then.then_some(Step::Stop));
        let set = self.set_steps(need, is_manifest && restart.starts);
        let deploys = set.iter().any(Step::starts);
        steps.extend(set);
        steps.extend(staged_with.map(|buildpacks| Step::SetBuildpacks { buildpacks }));
        if !is_manifest {
            // In 2017, setting the droplet creates the process with its command.
            self.change_by_requests(steps, &drift, is_ours, scale);
        }
        steps.extend(destinations);
        steps.extend((restart.starts && !deploys).then_some(Step::Start));
        steps.extend(restart.is_at_once.then_some(Step::Restart));
        steps.extend(droplets);
        plan.action = if plan.steps.is_empty() {
            Action::Unchanged
        } else {
            Action::Change
        };
    }

    fn label_change(&self, app: &App) -> Option<Change> {
        if app.ownership.is_of(self.space.owner) {
            return None;
        }
        let owner = app.ownership.owner.as_deref();
        let owner = owner.filter(|_| app.ownership.managed);
        Some(Change::new("label", owner.unwrap_or("missing"), "managed"))
    }

    /// Whether the app runs after the change.
    fn runs_after(&self, app: &App) -> bool {
        match self.group.group.ignores_state {
            true => app.started,
            false => self.is_started(),
        }
    }

    fn restart(
        &self,
        app: &App,
        drift: &EntryDrift,
        size_differs: bool,
        droplet_differs: bool,
    ) -> Restart {
        let keeps_state = self.group.group.ignores_state;
        let runs = self.runs_after(app);
        let by_request = |key: &String| BY_REQUESTS.contains(&key.as_str()) || key == "routes";
        let late = drift.properties.iter().all(by_request) && drift.unbind.is_empty();
        let stops_first = app.started
            && !keeps_state
            && match self.workflow {
                _ if !runs => true,
                Workflow::Manifest => drift.needs_restart() || size_differs,
                Workflow::PerApp => drift.needs_restart() && !(late && drift.env.is_empty()),
            };
        let restarts = droplet_differs || size_differs || drift.needs_restart();
        let stops_then = app.started && !stops_first && restarts && !keeps_state;
        Restart {
            stops_first,
            stops_then,
            starts: runs && (!app.started || stops_first || stops_then),
            // If it were stopped and the run killed, the next run would keep it stopped.
            is_at_once: app.started && keeps_state && restarts,
        }
    }

    /// Sets the environment variables that a manifest does not change: variables to
    /// remove or, without manifests, all variables.
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

    /// Adds requests that replace the manifest of one app.
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

    /// The buildpacks of a clone. A clone has the buildpacks of its group although it is
    /// not staged.
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
}

/// Steps that remove properties, which a manifest cannot do.
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

//! Plans one desired app.

mod change;
mod droplet;
mod routes;
mod scale;

use serde_json::Value;

use crate::capi::model::{MANAGED_BY_LABEL, MANAGED_BY_VALUE, PREFIX_ANNOTATION};
use crate::converge::observe::App;
use crate::converge::plan::{
    Action, PlannedApp, PlannedSize, ResourcePlan, Role, Space, Step, Workflow,
};
use crate::desired::PlacedGroup;
use crate::manifest::entry::{BY_REQUESTS, ManifestEntry};

use droplet::droplet_steps;
pub(super) use droplet::{DropletNeed, clone_need, prototype_need};
pub(super) use scale::{Sizes, usual_sizes};

/// The minimum memory of a staging in MB: the Cloud Controller's default of
/// `staging.minimum_staging_memory_mb`.
const STAGING_MEMORY_MB: u64 = 1024;

/// The minimum disk of a staging in MB: the Cloud Controller's default of
/// `staging.minimum_staging_disk_mb`.
const STAGING_DISK_MB: u64 = 4096;

/// The input for the plan of an app.
pub(super) struct AppContext<'a> {
    pub(super) space: &'a Space<'a>,
    pub(super) group: PlacedGroup<'a>,
    /// The index of the group whose droplet the app gets.
    pub(super) droplet_of: usize,
    /// The hash of the group's bits.
    pub(super) bits: &'a str,
    /// The entry of this app, with its number filled in.
    pub(super) entry: ManifestEntry,
    pub(super) usual: &'a Sizes,
    pub(super) app: Option<&'a App>,
    pub(super) role: Role,
    pub(super) workflow: Workflow,
}

impl AppContext<'_> {
    pub(super) fn plan(&self, name: &str, need: DropletNeed<'_>) -> ResourcePlan {
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

    /// If the manifest does not affect the staging, a prototype is staged before its
    /// manifest is applied, because all clones wait for the droplet.
    fn create_by_manifest(&self, steps: &mut Vec<Step>, need: DropletNeed<'_>) {
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

    /// Whether the staging depends only on the environment and the buildpacks, and needs
    /// no more than the minimum memory and disk of a staging.
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
            lifecycle: match self.entry.lifecycle() {
                "buildpack" => None,
                other => Some(other.to_owned()),
            },
        }
    }

    fn create_by_requests(&self, steps: &mut Vec<Step>, need: DropletNeed<'_>) {
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
}

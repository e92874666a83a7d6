//! Applies manifests with many apps.
//!
//! The Cloud Controller refuses a manifest as a whole, and its job ends at the first app
//! that fails. A manifest that fails is therefore applied again in halves, until only the
//! faulty app fails, with its own error.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Map, Value, json};

use super::steps::AppProgress;
use super::{AppInProgress, Apply, Failure, context, phase_of};
use crate::capi::error::Error;
use crate::capi::transport::Replay;
use crate::capi::{halves, poll};
use crate::converge::plan::{Action, ResourcePlan, Step};
use crate::events::{AppMilestone, Event, StepContext};
use crate::manifest::entry::{ManifestEntry, Purpose};

/// The maximum time that a list of apps may lag behind their creation.
const LAG: Duration = Duration::from_secs(3);

/// The state of an app after its batch.
pub(super) type BatchResult<'p> = (&'p ResourcePlan, Result<AppInProgress<'p>, Box<Failure>>);

/// An app of a manifest.
type Entry<'p> = (&'p ResourcePlan, &'p ManifestEntry);

impl Apply<'_> {
    /// Carries out the steps of some apps of a space up to their manifests, and applies
    /// the manifests together. Apps without a manifest wait.
    pub(super) async fn start_batch<'p>(&self, plans: &[&'p ResourcePlan]) -> Vec<BatchResult<'p>> {
        let prepared: Vec<_> = plans.iter().map(|plan| self.prepare_app(plan)).collect();
        let mut results: Vec<BatchResult<'p>> = join_all(prepared).await;
        let entries: Vec<Entry<'p>> = results
            .iter()
            .filter_map(|(plan, app)| match app.as_ref().ok()?.remaining.first()? {
                Step::ApplyManifest { entry } => Some((*plan, entry.as_ref())),
                _ => None,
            })
            .collect();
        let mut refused = {
            let _permit = self.manifest_permits.acquire().await;
            self.apply_manifests(&entries).await
        };
        let fresh: Vec<&str> = results
            .iter()
            .filter(|(plan, app)| {
                let applies = entries.iter().any(|(of, _)| of.target == plan.target);
                let is_known = app.as_ref().is_ok_and(|app| app.progress.app.is_some());
                applies && !is_known && !refused.contains_key(plan.name())
            })
            .map(|(plan, _)| plan.name())
            .collect();
        let guids = self.guids(plans, &fresh).await;
        for (plan, outcome) in &mut results {
            let Ok(app) = outcome else { continue };
            let Some((step @ Step::ApplyManifest { .. }, remaining)) = app.remaining.split_first()
            else {
                continue;
            };
            app.remaining = remaining;
            let is_fresh = app.progress.app.is_none();
            let applied = match (refused.remove(plan.name()), &guids) {
                (Some(error), _) => Err(error),
                (None, _) if !is_fresh => Ok(()),
                (None, Ok(guids)) => {
                    app.progress.app = guids.get(plan.name()).cloned();
                    self.record_created(plan, &app.progress);
                    let found = app.progress.app.as_ref();
                    found.map(|_| ()).ok_or_else(|| Error::Gone {
                        what: "finding the app".to_owned(),
                    })
                }
                (None, Err(error)) => Err(error.clone()),
            };
            match applied {
                Ok(()) if is_fresh => self.client.events().emit(Event::App {
                    name: plan.name().to_owned(),
                    milestone: AppMilestone::Created,
                }),
                Ok(()) => {}
                Err(error) => {
                    let failure = Failure::new(&plan.target, &context(plan, step), error);
                    *outcome = Err(Box::new(failure));
                }
            }
        }
        results
    }

    async fn prepare_app<'p>(&self, plan: &'p ResourcePlan) -> BatchResult<'p> {
        (plan, self.prepare(plan).await)
    }

    /// Carries out the steps before the manifest, if there are any.
    async fn prepare<'p>(&self, plan: &'p ResourcePlan) -> Result<AppInProgress<'p>, Box<Failure>> {
        let is_manifest = |step: &Step| matches!(step, Step::ApplyManifest { .. });
        let before = plan.steps.iter().position(is_manifest).unwrap_or(0);
        let (before, remaining) = plan.steps.split_at(before);
        let mut progress = AppProgress::of(plan);
        for step in before {
            self.run_step(plan, step, &mut progress).await?;
        }
        Ok(AppInProgress {
            plan,
            remaining,
            progress,
        })
    }

    /// Applies manifests together. Returns the errors of the apps that failed, by name.
    async fn apply_manifests<'p>(&self, apps: &[Entry<'p>]) -> HashMap<&'p str, Error> {
        let Some((first, _)) = apps.first() else {
            return HashMap::new();
        };
        let space = match self.space(first) {
            Ok(space) => space,
            Err(error) => return failed(apps, &error),
        };
        let parts = halves::run(apps.len(), Error::may_be_of_one, |part| async move {
            let some = apps.get(part).unwrap_or_default();
            let applications: Vec<Value> = some.iter().map(application).collect();
            let manifest = json!({"applications": applications}).to_string();
            let what = "the manifest's job";
            // A manifest is idempotent, so it can be applied twice.
            let applied = self
                .client
                .apply_manifest(what, space, &manifest, Replay::Safe);
            let phase = phase_of(first);
            let context = StepContext::in_phase(phase, together(some), "applying the manifest");
            self.client.events().step(context, applied).await
        });
        let mut refused = HashMap::new();
        for (part, result) in parts.await {
            if let Err(error) = result {
                refused.extend(failed(apps.get(part).unwrap_or_default(), &error));
            }
        }
        refused
    }

    /// The GUIDs of apps that a manifest created, by name. The list of apps may lag
    /// behind their creation.
    async fn guids(
        &self,
        plans: &[&ResourcePlan],
        names: &[&str],
    ) -> Result<HashMap<String, String>, Error> {
        match plans.first() {
            Some(plan) if !names.is_empty() => {
                let (space, began) = (self.space(plan)?, Instant::now());
                let mut pauses = poll::pauses();
                loop {
                    let apps = self.client.apps_named(space, names).await?;
                    let guids: HashMap<String, String> =
                        apps.into_iter().map(|app| (app.name, app.guid)).collect();
                    let is_complete = names.iter().all(|name| guids.contains_key(*name));
                    if is_complete || began.elapsed() >= LAG {
                        return Ok(guids);
                    }
                    self.client.pause(pauses.next().unwrap_or(LAG)).await?;
                }
            }
            _ => Ok(HashMap::new()),
        }
    }
}

/// The entry of an app in a manifest.
fn application((plan, entry): &Entry<'_>) -> Value {
    let purpose = match plan.action {
        Action::Create => Purpose::Create,
        _ => Purpose::Change,
    };
    let mut application = Map::from_iter([("name".to_owned(), json!(plan.name()))]);
    application.extend(entry.application(purpose));
    Value::Object(application)
}

fn failed<'p>(apps: &[Entry<'p>], error: &Error) -> HashMap<&'p str, Error> {
    let names = apps.iter().map(|(plan, _)| plan.name());
    names.map(|name| (name, error.clone())).collect()
}

/// A name for several apps in messages.
fn together(apps: &[Entry<'_>]) -> String {
    match apps {
        [(plan, _)] => format!("app {}", plan.name()),
        [(first, _), .., (last, _)] => format!("apps {} to {}", first.name(), last.name()),
        [] => String::new(),
    }
}

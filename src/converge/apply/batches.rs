//! Manifests of many apps: what they share of their way.
//!
//! A manifest is refused as a whole, and a job ends at the first app that
//! fails. So one that fails is applied again in halves: in the end only the app
//! that is to blame fails, with Cloud Controller's own words.

use std::collections::HashMap;

use futures::future::join_all;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::steps::Found;
use super::{Apply, Begun, Failure, subject};
use crate::capi::dialect::Claims;
use crate::capi::error::Error;
use crate::capi::{list_item, manifests};
use crate::converge::plan::{ResourcePlan, Step};
use crate::desired::host;
use crate::events::{AppMilestone, Event, StepContext};

/// How long a list of names in a URL may be.
const MOST_NAMES: usize = 6_000;

/// An app at its beginning: what a batch makes of it.
pub(super) type Beginning<'p> = (&'p ResourcePlan, Result<Begun<'p>, Box<Failure>>);

impl Apply<'_> {
    /// Takes the steps of some apps up to their manifests, and applies those
    /// together. Of apps without, no step is taken.
    pub(super) async fn begin<'p>(&self, plans: &[&'p ResourcePlan]) -> Vec<Beginning<'p>> {
        let mut begun: Vec<Beginning<'p>> = join_all(
            plans
                .iter()
                .map(|plan| async { (*plan, self.prepare(plan).await) }),
        )
        .await;
        let claims: Vec<(&ResourcePlan, &Claims)> = begun
            .iter()
            .filter_map(|(plan, begun)| match begun.as_ref().ok()?.left.first()? {
                Step::ApplyManifest(claims) => Some((*plan, claims.as_ref())),
                _ => None,
            })
            .collect();
        let mut refused = self.apply_manifests(&claims).await;
        let fresh: Vec<&ResourcePlan> = claims
            .iter()
            .map(|(plan, _)| *plan)
            .filter(|plan| plan.guid().is_none() && !refused.contains_key(plan.name()))
            .collect();
        let guids = self.guids(&fresh).await;
        for (plan, outcome) in &mut begun {
            let Ok(app) = outcome else { continue };
            let Some((step @ Step::ApplyManifest(_), left)) = app.left.split_first() else {
                continue;
            };
            app.left = left;
            let applied = match (refused.remove(plan.name()), &guids) {
                (Some(error), _) => Err(error),
                (None, _) if app.found.app.is_some() => Ok(()),
                (None, Ok(guids)) => {
                    app.found.app = guids.get(plan.name()).cloned();
                    let found = app.found.app.as_ref();
                    found.map(|_| ()).ok_or_else(|| Error::Gone {
                        what: "finding the app".to_owned(),
                    })
                }
                (None, Err(error)) => Err(error.clone()),
            };
            match applied {
                Ok(()) if plan.guid().is_none() => self.client.events().emit(Event::App {
                    name: plan.name().to_owned(),
                    milestone: AppMilestone::Created,
                }),
                Ok(()) => {}
                Err(error) => {
                    *outcome = Err(Box::new(Failure::new(
                        &plan.target,
                        &subject(plan, step),
                        error,
                    )));
                }
            }
        }
        begun
    }

    /// Takes the steps before the manifest, if there is one.
    async fn prepare<'p>(&self, plan: &'p ResourcePlan) -> Result<Begun<'p>, Box<Failure>> {
        let is_manifest = |step: &Step| matches!(step, Step::ApplyManifest(_));
        let before = plan.steps.iter().position(is_manifest).unwrap_or(0);
        let (before, left) = plan.steps.split_at(before);
        let mut found = Found::of(plan);
        for step in before {
            self.take(plan, step, &mut found).await?;
        }
        Ok(Begun { plan, left, found })
    }

    /// Applies manifests together; returns why those failed that failed, by name.
    async fn apply_manifests<'p>(
        &self,
        apps: &[(&'p ResourcePlan, &Claims)],
    ) -> HashMap<&'p str, Error> {
        if apps.is_empty() {
            return HashMap::new();
        }
        let entries = apps.iter().map(|(plan, claims)| {
            let route = format!("{}.{}", host(plan.name()), self.observed.domain.name);
            claims.entry(plan.name(), &route, &self.desired.prefix)
        });
        let manifest = json!({"applications": entries.collect::<Value>()}).to_string();
        let applied = manifests::apply_again(self.client, &self.space, &manifest);
        let of_all = StepContext::new(together(apps), "applying the manifest");
        match self.client.events().step(of_all, applied).await {
            Ok(()) => HashMap::new(),
            Err(error) if apps.len() > 1 && blames_one(&error) => {
                let (one, other) = apps.split_at(apps.len() / 2);
                let mut refused = Box::pin(self.apply_manifests(one)).await;
                refused.extend(Box::pin(self.apply_manifests(other)).await);
                refused
            }
            Err(error) => {
                let names = apps.iter().map(|(plan, _)| plan.name());
                names.map(|name| (name, error.clone())).collect()
            }
        }
    }

    /// The GUIDs of apps that a manifest has created, by name.
    async fn guids(&self, plans: &[&ResourcePlan]) -> Result<HashMap<String, String>, Error> {
        #[derive(Deserialize)]
        struct Found {
            guid: String,
            name: String,
        }
        let items: Vec<String> = plans.iter().map(|plan| list_item(plan.name())).collect();
        let mut guids = HashMap::new();
        for names in joined(&items) {
            let space = &self.space;
            let path = format!("/v3/apps?space_guids={space}&names={names}&per_page=5000");
            let found: Vec<Found> = self.client.list(&path).await?;
            guids.extend(found.into_iter().map(|app| (app.name, app.guid)));
        }
        Ok(guids)
    }
}

/// What some apps are called together.
fn together(apps: &[(&ResourcePlan, &Claims)]) -> String {
    match apps {
        [(plan, _)] => format!("app {}", plan.name()),
        [(first, _), .., (last, _)] => format!("apps {} to {}", first.name(), last.name()),
        [] => String::new(),
    }
}

/// The items as lists that are each short enough for a URL.
fn joined(items: &[String]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for item in items {
        match lists.last_mut() {
            Some(list) if list.len() + item.len() < MOST_NAMES => {
                list.push(',');
                list.push_str(item);
            }
            _ => lists.push(item.clone()),
        }
    }
    lists
}

/// Whether a manifest may have failed because of some of its apps: Cloud
/// Controller did not want it, or not all at once, or its job failed.
fn blames_one(error: &Error) -> bool {
    const OF_CONTENT: [StatusCode; 3] = [
        StatusCode::BAD_REQUEST,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ];
    let refused = error.status();
    error.is_failed_work() || refused.is_some_and(|status| OF_CONTENT.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_in_urls_of_a_bearable_length() {
        let names: Vec<String> = (0..1000).map(|i| format!("scale-tick-{i}")).collect();
        let lists = joined(&names);
        assert!(lists.iter().all(|list| list.len() <= MOST_NAMES));
        assert_eq!(lists.join(",").split(',').collect::<Vec<_>>(), names);
        assert_eq!(lists.len(), 3);
    }
}

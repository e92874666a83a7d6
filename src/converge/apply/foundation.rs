//! Carries out the plans of orgs, quotas, spaces and security groups, in parallel where
//! they do not depend on each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::future::join_all;

use super::unknown;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Metadata, Rule};
use crate::converge::observe::Observed;
use crate::converge::outcome::Failure;
use crate::converge::plan::{Plan, ResourcePlan, Step};
use crate::converge::progress::Progress;
use crate::converge::target::Target;
use crate::desired::Desired;
use crate::events::{Phase, StepContext};

/// The GUIDs of existing and created resources.
pub(super) struct Foundation<'a> {
    client: &'a Client,
    desired: &'a Desired,
    guids: HashMap<Target, String>,
    pub(super) failures: Vec<Failure>,
}

/// A step and its resource.
type PlannedStep<'p> = (&'p ResourcePlan, &'p Step);

/// The wave of a step. Steps that others need come first.
fn wave(step: &Step) -> usize {
    match step {
        Step::CreateQuota
        | Step::CreateOrg
        | Step::CreateSecurityGroup
        | Step::UpdateSecurityGroup => 0,
        Step::BindSecurityGroup { .. } => 2,
        _ => 1,
    }
}

impl<'a> Foundation<'a> {
    pub(super) fn new(client: &'a Client, desired: &'a Desired, observed: &Observed) -> Self {
        let mut guids = HashMap::new();
        for (name, quota) in &observed.quotas {
            let name = name.clone();
            guids.insert(Target::Quota { name }, quota.guid.clone());
        }
        for (name, group) in &observed.security_groups {
            let name = name.clone();
            guids.insert(Target::SecurityGroup { name }, group.guid.clone());
        }
        for (wanted, found) in desired.orgs().iter().zip(&observed.orgs) {
            let name = wanted.name.clone();
            let guid = found.org.as_ref().map(|org| org.guid.clone());
            guids.extend(guid.map(|guid| (Target::Org { name }, guid)));
        }
        for (placed, found) in desired.spaces().zip(&observed.spaces) {
            let guid = found.space.as_ref().map(|space| space.guid.clone());
            guids.extend(guid.map(|guid| (placed.target(), guid)));
        }
        Self {
            client,
            desired,
            guids,
            failures: Vec::new(),
        }
    }

    /// Carries out everything except the bindings of security groups, wave by wave.
    pub(super) async fn prepare(&mut self, plan: &Plan) {
        let steps = steps(plan, |wave| wave < 2);
        let progress = Progress::start(self.client, Phase::Foundation, steps.len());
        for number in 0..2 {
            let of_wave = steps.iter().filter(|(_, step)| wave(step) == number);
            let of_wave: Vec<PlannedStep<'_>> = of_wave.copied().collect();
            for (target, outcome) in self.take_all(&of_wave, &progress).await {
                match outcome {
                    Ok(guid) => self.guids.extend(guid.map(|guid| (target, guid))),
                    Err(failure) => self.failures.push(failure),
                }
            }
        }
        progress.end();
    }

    /// Binds security groups to spaces.
    pub(super) async fn bind(&self, plan: &Plan) -> Vec<Failure> {
        let steps = steps(plan, |wave| wave == 2);
        let progress = Progress::start(self.client, Phase::Foundation, 0);
        let outcomes = self.take_all(&steps, &progress).await.into_iter();
        outcomes.filter_map(|(_, outcome)| outcome.err()).collect()
    }

    /// The GUIDs of the spaces by their places among all; of those whose org or
    /// security group is not as it should be, what failed.
    pub(super) fn spaces(&self) -> HashMap<usize, Result<String, Target>> {
        let failed: HashSet<&Target> = self.failures.iter().map(|it| &it.target).collect();
        let mut spaces = HashMap::new();
        for placed in self.desired.spaces() {
            let name = |name: &String| name.clone();
            let org = Target::Org {
                name: placed.org.name.clone(),
            };
            let quota = placed.org.quota.as_ref().map(name);
            let quota = quota.map(|name| Target::Quota { name });
            let groups = placed.space.security_groups.iter().map(name);
            let groups = groups.map(|name| Target::SecurityGroup { name });
            let mut needed = [org, placed.target()]
                .into_iter()
                .chain(quota)
                .chain(groups);
            let failed = needed.find(|target| failed.contains(target));
            let guid = self.guids.get(&placed.target()).cloned();
            spaces.insert(
                placed.id,
                match failed {
                    Some(failed) => Err(failed),
                    // Its org failed, which may be for want of its quota.
                    None => guid.ok_or_else(|| placed.target()),
                },
            );
        }
        spaces
    }

    async fn take_all(
        &self,
        steps: &[PlannedStep<'_>],
        progress: &Progress<'_>,
    ) -> Vec<(Target, Result<Option<String>, Failure>)> {
        let taken: Vec<_> = steps
            .iter()
            .filter(|(resource, step)| self.is_possible(resource, step))
            .map(|(resource, step)| self.take_one(resource, step, progress))
            .collect();
        join_all(taken).await
    }

    /// Whether the resources that a step needs exist. If not, their steps have failed.
    fn is_possible(&self, resource: &ResourcePlan, step: &Step) -> bool {
        let known = |target: &Target| self.guids.contains_key(target);
        let quota = |name: &String| Target::Quota { name: name.clone() };
        match (step, &resource.target) {
            (Step::AssignQuota { quota: name }, org) => known(&quota(name)) && known(org),
            (Step::CreateSpace, Target::Space { org, .. }) => {
                known(&Target::Org { name: org.clone() })
            }
            // The space may be created in the same wave, with its labels.
            (Step::SetMetadata { .. }, target) => {
                known(target) || resource.steps.contains(&Step::CreateSpace)
            }
            (Step::BindSecurityGroup { space }, group) => known(space) && known(group),
            _ => true,
        }
    }

    async fn take_one(
        &self,
        resource: &ResourcePlan,
        step: &Step,
        progress: &Progress<'_>,
    ) -> (Target, Result<Option<String>, Failure>) {
        let target = &resource.target;
        let phase = Some(Phase::Foundation);
        let context = StepContext::in_phase(phase, target.to_string(), step.to_string());
        let taken = self.take(resource, step);
        let events = self.client.events();
        let outcome = events.step(Arc::clone(&context), taken).await;
        progress.advance(outcome.is_ok());
        let outcome = outcome.map_err(|error| Failure::new(target, &context, error));
        (target.clone(), outcome)
    }

    fn guid(&self, target: &Target) -> Result<&str, Error> {
        let guid = self.guids.get(target).map(String::as_str);
        guid.ok_or_else(|| unknown(target.kind()))
    }

    /// Carries out a step. Returns the GUID of the created resource.
    async fn take(&self, resource: &ResourcePlan, step: &Step) -> Result<Option<String>, Error> {
        let client = self.client;
        let ours = Metadata::managed(self.desired.owner());
        let target = &resource.target;
        let name = target.name();
        match step {
            Step::CreateQuota => return client.create_quota(name).await.map(Some),
            Step::CreateOrg => {
                return client.create_org(name, &ours).await.map(Some);
            }
            Step::CreateSecurityGroup => {
                let rules = self.rules(name);
                let group = client.create_security_group(name, &rules, &[]);
                return group.await.map(Some);
            }
            Step::CreateSpace => {
                let Target::Space { org, .. } = target else {
                    return Err(unknown("org"));
                };
                let org = self.guid(&Target::Org { name: org.clone() })?;
                let guid = client.create_space(name, org, &ours).await?;
                if let Some(Step::SetMetadata {
                    labels,
                    annotations,
                }) = resource.steps.get(1)
                {
                    self.set_metadata(target, &guid, labels, annotations)
                        .await?;
                }
                return Ok(Some(guid));
            }
            // The creation of the space included it.
            Step::SetMetadata { .. } if !self.guids.contains_key(target) => return Ok(None),
            Step::SetMetadata {
                labels,
                annotations,
            } => {
                let guid = self.guid(target)?;
                self.set_metadata(target, guid, labels, annotations).await?;
                return Ok(None);
            }
            Step::AssignQuota { quota } => {
                let quota = Target::Quota {
                    name: quota.clone(),
                };
                let (quota, org) = (self.guid(&quota)?, self.guid(target)?);
                client.assign_quota(quota, org).await?;
            }
            Step::UpdateSecurityGroup => {
                let group = self.guid(target)?;
                client
                    .update_security_group(group, &self.rules(name))
                    .await?;
            }
            Step::BindSecurityGroup { space } => {
                let (group, space) = (self.guid(target)?, self.guid(space)?);
                client.bind_security_group(group, space).await?;
            }
            // All others are steps of apps.
            _ => {}
        }
        Ok(None)
    }

    async fn set_metadata(
        &self,
        target: &Target,
        guid: &str,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let given = |values: &BTreeMap<String, String>| {
            let values = values.iter();
            values
                .map(|(key, value)| (key.clone(), Some(value.clone())))
                .collect()
        };
        let metadata = Metadata {
            labels: given(labels),
            annotations: given(annotations),
        };
        match target {
            Target::Org { .. } => self.client.set_org_metadata(guid, &metadata).await,
            _ => self.client.set_space_metadata(guid, &metadata).await,
        }
    }

    fn rules(&self, group: &str) -> Vec<Rule> {
        let mut groups = self.desired.security_groups().iter();
        let group = groups.find(|it| it.name == group);
        let rules = group
            .map(|group| group.rules.as_slice())
            .unwrap_or_default();
        let rule = |rule: &crate::desired::Rule| Rule {
            protocol: rule.protocol.clone(),
            destination: rule.destination.clone(),
            ports: rule.ports.clone(),
        };
        rules.iter().map(rule).collect()
    }
}

/// The steps of the resources other than apps, in the wanted waves.
fn steps(plan: &Plan, is_wanted: impl Fn(usize) -> bool) -> Vec<PlannedStep<'_>> {
    let resources = plan.resources.iter().filter(|it| !it.target.is_app());
    let steps = resources.flat_map(|it| it.steps.iter().map(move |step| (it, step)));
    steps.filter(|(_, step)| is_wanted(wave(step))).collect()
}

//! Carries out the plans of all resources except apps. Resources that do not depend on
//! each other are processed in parallel.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::future::join_all;

use super::supporting::limits_of;
use super::unknown;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Enabled, Metadata, NewSecurityGroup, Rule};
use crate::converge::failure::Failure;
use crate::converge::observe::Observed;
use crate::converge::plan::{Plan, ResourcePlan, Step};
use crate::converge::progress::Progress;
use crate::converge::target::Target;
use crate::desired::Desired;
use crate::events::{Phase, StepContext};

/// The GUIDs of existing and created resources.
pub(super) struct Foundation<'a> {
    pub(super) client: &'a Client,
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) guids: HashMap<Target, String>,
    pub(super) failures: Vec<Failure>,
}

/// A resource and its steps in one wave, in order.
pub(super) type ResourceSteps<'p> = (&'p ResourcePlan, Vec<&'p Step>);

/// The number of waves before the apps.
const WAVES_BEFORE_APPS: usize = 3;

/// The wave that binds security groups, and creates security groups that are bound when
/// they are created. It runs in parallel to the work on apps, which start after it.
const BINDINGS: usize = 3;

/// The wave after the apps.
const AFTER_APPS: usize = 4;

/// The wave of a step. Steps that other steps depend on come first.
fn wave(resource: &ResourcePlan, step: &Step) -> usize {
    match (step, &resource.target) {
        (Step::CreateSecurityGroup { spaces }, _) if !spaces.is_empty() => BINDINGS,
        (Step::Delete { .. }, Target::Org { .. } | Target::Space { .. })
        | (Step::SetLimits { .. }, Target::Quota { .. })
        | (Step::CreateDomain { org: None }, _)
        | (
            Step::CreateQuota
            | Step::CreateOrg
            | Step::CreateSecurityGroup { .. }
            | Step::SetFeatureFlag { .. }
            | Step::CreateUser
            | Step::UpdateSecurityGroup
            | Step::EnableSecurityGroup { .. }
            | Step::SetSuspended { suspended: false },
            _,
        ) => 0,
        (Step::AssignRole, Target::Role { space: Some(_), .. })
        | (
            Step::SetIsolationSegment { .. }
            | Step::ApplySpaceQuota { .. }
            | Step::SetFeature { .. }
            | Step::CreateService
            | Step::AwaitService
            | Step::UpdateService { .. }
            | Step::DeleteService,
            _,
        )
        | (Step::SetMetadata { .. }, Target::ServiceInstance { .. }) => 2,
        (Step::BindSecurityGroup { .. }, _) => BINDINGS,
        (
            Step::AllowTraffic { .. }
            | Step::SetSuspended { suspended: true }
            | Step::Delete { .. }
            | Step::UnbindSecurityGroup { .. }
            | Step::DeletePolicy,
            _,
        ) => AFTER_APPS,
        _ => 1,
    }
}

impl<'a> Foundation<'a> {
    pub(super) fn new(client: &'a Client, desired: &'a Desired, observed: &'a Observed) -> Self {
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
            let Some(space) = &found.space else { continue };
            guids.insert(placed.target(), space.guid.clone());
            for service in &placed.space.services {
                let key = (space.guid.clone(), service.name.clone());
                let found = observed.supporting.services.get(&key);
                let guid = found.map(|it| it.instance.guid.clone());
                guids.extend(guid.map(|guid| (placed.service(service), guid)));
            }
        }
        for ((org, name), quota) in &observed.supporting.space_quotas {
            let orgs = observed.orgs.iter().filter_map(|it| it.org.as_ref());
            let org = orgs.filter(|it| it.guid == *org).map(|it| it.name.clone());
            let quotas = org.map(|org| {
                let name = name.clone();
                (Target::SpaceQuota { org, name }, quota.guid.clone())
            });
            guids.extend(quotas);
        }
        for domain in &observed.domains {
            let name = domain.name.clone();
            guids.insert(Target::Domain { name }, domain.guid.clone());
        }
        Self {
            client,
            desired,
            observed,
            guids,
            failures: Vec::new(),
        }
    }

    /// Carries out the steps that apps depend on, wave by wave.
    pub(super) async fn prepare(&mut self, plan: &Plan) {
        let before = |wave| wave < WAVES_BEFORE_APPS;
        let all = work(plan, before);
        let count = all.iter().map(|(_, steps)| steps.len()).sum();
        let progress = Progress::start(self.client, Phase::Foundation, count);
        for number in 0..WAVES_BEFORE_APPS {
            let of_wave = work(plan, |wave| wave == number);
            for (target, outcome) in self.run_all(&of_wave, &progress).await {
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
        let steps = work(plan, |wave| wave == BINDINGS);
        self.run_unreported(&steps).await
    }

    /// Carries out the steps that depend on apps. `apps` has their GUIDs.
    pub(super) async fn finish(&self, plan: &Plan, apps: &HashMap<Target, String>) -> Vec<Failure> {
        let is_policy =
            |work: &ResourceSteps<'_>| matches!(work.0.target, Target::NetworkPolicy { .. });
        let steps = work(plan, |wave| wave == AFTER_APPS);
        let (policies, others): (Vec<ResourceSteps<'_>>, Vec<ResourceSteps<'_>>) =
            steps.into_iter().partition(is_policy);
        let mut failures = self.allow_traffic(&policies, apps).await;
        failures.extend(self.end_traffic(&policies).await);
        failures.extend(self.run_unreported(&others).await);
        failures
    }

    async fn run_unreported(&self, steps: &[ResourceSteps<'_>]) -> Vec<Failure> {
        let progress = Progress::start(self.client, Phase::Foundation, 0);
        let outcomes = self.run_all(steps, &progress).await.into_iter();
        outcomes.filter_map(|(_, outcome)| outcome.err()).collect()
    }

    /// The GUIDs of the spaces by their index among all spaces. For a space whose org,
    /// quota or security group failed, the resource that failed.
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
            let space_quota = placed.space.quota.as_ref().map(name);
            let space_quota = space_quota.map(|name| Target::SpaceQuota {
                org: placed.org.name.clone(),
                name,
            });
            let services = placed.space.services.iter();
            let services = services.map(|service| placed.service(service));
            let mut needed = [org, placed.target()]
                .into_iter()
                .chain(quota)
                .chain(groups)
                .chain(space_quota)
                .chain(services);
            let failed = needed.find(|target| failed.contains(target));
            let guid = self.guids.get(&placed.target()).cloned();
            spaces.insert(
                placed.id,
                match failed {
                    Some(failed) => Err(failed),
                    // Its org failed, perhaps because the org's quota failed.
                    None => guid.ok_or_else(|| placed.target()),
                },
            );
        }
        spaces
    }

    /// Carries out the steps of each resource in order, and the resources in parallel.
    async fn run_all(
        &self,
        work: &[ResourceSteps<'_>],
        progress: &Progress<'_>,
    ) -> Vec<(Target, Result<Option<String>, Failure>)> {
        let taken: Vec<_> = work
            .iter()
            .map(|(resource, steps)| self.run_resource(resource, steps, progress))
            .collect();
        join_all(taken).await.into_iter().flatten().collect()
    }

    /// Carries out the steps of a resource until one fails. The GUID of a created
    /// resource is among the results.
    async fn run_resource(
        &self,
        resource: &ResourcePlan,
        steps: &[&Step],
        progress: &Progress<'_>,
    ) -> Vec<(Target, Result<Option<String>, Failure>)> {
        let mut outcomes = Vec::new();
        for step in steps {
            if !self.is_possible(resource, step) {
                continue;
            }
            let outcome = self.run_step(resource, step, progress).await;
            let has_failed = outcome.1.is_err();
            outcomes.push(outcome);
            if has_failed {
                break;
            }
        }
        outcomes
    }

    /// Whether the resources that a step depends on exist. If they do not, their own
    /// steps have failed.
    fn is_possible(&self, resource: &ResourcePlan, step: &Step) -> bool {
        let known = |target: &Target| self.guids.contains_key(target);
        let quota = |name: &String| Target::Quota { name: name.clone() };
        let org = |name: &String| Target::Org { name: name.clone() };
        let space = |org: &String, name: &String| Target::Space {
            org: org.clone(),
            name: name.clone(),
        };
        match (step, &resource.target) {
            (Step::AssignQuota { quota: name }, org) => known(&quota(name)) && known(org),
            // The space may be created in the same wave, with its labels.
            (Step::SetMetadata { .. }, target) => {
                known(target) || resource.steps.contains(&Step::CreateSpace)
            }
            (Step::ApplySpaceQuota { quota }, target @ Target::Space { org, .. }) => {
                let (org, name) = (org.clone(), quota.clone());
                known(&Target::SpaceQuota { org, name }) && known(target)
            }
            (Step::BindSecurityGroup { spaces }, group) => spaces.iter().any(known) && known(group),
            (Step::CreateDomain { org: Some(name) }, _) => known(&org(name)),
            (Step::CreateSpace, Target::Space { org: name, .. })
            | (Step::CreateSpaceQuota, Target::SpaceQuota { org: name, .. }) => known(&org(name)),
            (
                Step::SetSuspended { .. }
                | Step::EntitleIsolationSegment { .. }
                | Step::SetIsolationSegment { .. }
                | Step::SetFeature { .. },
                target,
            ) => known(target),
            (
                _,
                Target::Role {
                    org: of,
                    space: None,
                    ..
                },
            ) => known(&org(of)),
            (
                _,
                Target::Role {
                    org,
                    space: Some(name),
                    ..
                },
            )
            | (
                Step::CreateService,
                Target::ServiceInstance {
                    org, space: name, ..
                },
            ) => known(&space(org, name)),
            _ => true,
        }
    }

    async fn run_step(
        &self,
        resource: &ResourcePlan,
        step: &Step,
        progress: &Progress<'_>,
    ) -> (Target, Result<Option<String>, Failure>) {
        let target = &resource.target;
        let phase = Some(Phase::Foundation);
        let context = StepContext::in_phase(phase, target.to_string(), step.to_string());
        let execution = Box::pin(self.execute(resource, step));
        let events = self.client.events();
        let outcome = events.step(Arc::clone(&context), execution).await;
        progress.advance(outcome.is_ok());
        let outcome = outcome.map_err(|error| Failure::new(target, &context, error));
        (target.clone(), outcome)
    }

    pub(super) fn guid(&self, target: &Target) -> Result<&str, Error> {
        let guid = self.guids.get(target).map(String::as_str);
        guid.ok_or_else(|| unknown(target.kind()))
    }

    /// Carries out a step. Returns the GUID of the created resource.
    async fn execute(&self, resource: &ResourcePlan, step: &Step) -> Result<Option<String>, Error> {
        let client = self.client;
        let ours = Metadata::managed(self.desired.owner());
        let target = &resource.target;
        let name = target.name();
        match step {
            Step::CreateQuota => {
                let limits = limits_of(self.desired.limits_of(name));
                return client.create_quota(name, &limits).await.map(Some);
            }
            Step::CreateOrg => {
                return client.create_org(name, &ours).await.map(Some);
            }
            Step::CreateSecurityGroup { spaces } => {
                return self.create_security_group(name, spaces).await.map(Some);
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
            // The request that created the space included the metadata.
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
            Step::BindSecurityGroup { spaces } => {
                let spaces = spaces.iter().filter_map(|space| self.guids.get(space));
                let spaces: Vec<&str> = spaces.map(String::as_str).collect();
                client
                    .bind_security_group(self.guid(target)?, &spaces)
                    .await?;
            }
            _ => return self.execute_supporting(resource, step).await,
        }
        Ok(None)
    }

    async fn create_security_group(&self, name: &str, spaces: &[Target]) -> Result<String, Error> {
        let spaces = spaces.iter().filter_map(|space| self.guids.get(space));
        let spaces: Vec<&str> = spaces.map(String::as_str).collect();
        let mut groups = self.desired.security_groups().iter();
        let enabled = groups.find(|it| it.name == name);
        let enabled = enabled.map(|group| group.globally_enabled);
        let enabled = enabled.unwrap_or_default();
        let group = NewSecurityGroup {
            name,
            rules: &self.rules(name),
            running_spaces: &spaces,
            enabled: Enabled {
                running: enabled.running,
                staging: enabled.staging,
            },
        };
        self.client.create_security_group(&group).await
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
            Target::Domain { .. } => self.client.set_domain_metadata(guid, &metadata).await,
            Target::ServiceInstance { name, .. } => {
                let what = format!("labelling the service instance {name}");
                let set = self.client.set_service_metadata(&what, guid, &metadata);
                set.await
            }
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
            icmp_type: rule.icmp_type,
            icmp_code: rule.icmp_code,
            description: rule.description.clone(),
            log: rule.log,
        };
        rules.iter().map(rule).collect()
    }
}

/// The steps of all resources except apps in the selected waves.
fn work(plan: &Plan, is_wanted: impl Fn(usize) -> bool) -> Vec<ResourceSteps<'_>> {
    let resources = plan.resources.iter().filter(|it| !it.target.is_app());
    let work = resources.map(|resource| {
        let steps = resource.steps.iter();
        let steps = steps.filter(|step| is_wanted(wave(resource, step)));
        (resource, steps.collect())
    });
    work.filter(|(_, steps): &ResourceSteps<'_>| !steps.is_empty())
        .collect()
}

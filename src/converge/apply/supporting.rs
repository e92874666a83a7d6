//! Carries out the steps of supporting resources: feature flags, users, domains, roles,
//! quotas of spaces, isolation segments, service instances and network policies.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::foundation::{Foundation, ResourceSteps};
use super::unknown;
use crate::capi::error::Error;
use crate::capi::model::{
    Enabled, Limits as WireLimits, Metadata, NewServiceInstance, ServiceSettings,
};
use crate::capi::network_policies::NetworkPolicy;
use crate::capi::poll::Progress;
use crate::converge::failure::Failure;
use crate::converge::plan::supporting::service_plan;
use crate::converge::plan::{ResourcePlan, Step};
use crate::converge::target::Target;
use crate::desired::{Limit, Limits, ServiceInstance, ServiceKind, user_and_origin};
use crate::events::{Phase, StepContext};

/// The identity provider whose users the Cloud Controller does not create.
const UAA: &str = "uaa";

impl Foundation<'_> {
    /// Carries out a step. Returns the GUID of a resource that it creates.
    pub(super) async fn execute_supporting(
        &self,
        resource: &ResourcePlan,
        step: &Step,
    ) -> Result<Option<String>, Error> {
        let client = self.client;
        let target = &resource.target;
        let name = target.name();
        let ours = Metadata::managed(self.desired.owner());
        match step {
            Step::SetFeatureFlag { enabled } => client.set_feature_flag(name, *enabled).await?,
            Step::CreateUser => return self.create_user(name, &ours).await.map(Some),
            Step::CreateDomain { org } => {
                let org = org.as_ref().map(|name| self.org(name)).transpose()?;
                let created = client.create_domain(name, org, &ours).await;
                return created.map(Some);
            }
            Step::SetLimits { limits } => {
                let (guid, limits) = (self.guid(target)?, limits_of(Some(limits)));
                match target {
                    Target::SpaceQuota { .. } => {
                        client.set_space_quota_limits(guid, &limits).await?;
                    }
                    _ => client.set_quota_limits(guid, &limits).await?,
                }
            }
            Step::SetSuspended { suspended } => {
                client.set_suspended(self.guid(target)?, *suspended).await?;
            }
            Step::CreateSpaceQuota => return self.create_space_quota(target).await.map(Some),
            Step::ApplySpaceQuota { quota } => {
                let Target::Space { org, .. } = target else {
                    return Err(unknown("org"));
                };
                let (org, name) = (org.clone(), quota.clone());
                let quota = self.guid(&Target::SpaceQuota { org, name })?;
                client.apply_space_quota(quota, self.guid(target)?).await?;
            }
            Step::EntitleIsolationSegment { segment } => {
                let segment = self.segment(segment)?;
                client.entitle_org(segment, self.guid(target)?).await?;
            }
            Step::SetIsolationSegment { segment } => {
                let (segment, guid) = (self.segment(segment)?, self.guid(target)?);
                match target {
                    Target::Org { .. } => client.set_isolation_of_org(guid, segment).await?,
                    _ => client.set_isolation_of_space(guid, segment).await?,
                }
            }
            Step::SetFeature { feature, enabled } => {
                let space = self.guid(target)?;
                client.set_space_feature(space, feature, *enabled).await?;
            }
            Step::AssignRole => return self.assign_role(target).await.map(Some),
            Step::EnableSecurityGroup { running, staging } => {
                let (running, staging) = (*running, *staging);
                let enabled = Enabled { running, staging };
                client
                    .enable_security_group(self.guid(target)?, enabled)
                    .await?;
            }
            Step::CreateService => self.create_service(target, &ours).await?,
            Step::AwaitService => self.await_service(target).await?,
            Step::UpdateService { settings } => self.update_service(target, settings).await?,
            Step::DeleteService => {
                let what = format!("deleting the service instance {name}");
                client.delete_service(&what, self.guid(target)?).await?;
            }
            Step::Delete { guid } => self.delete(target, guid).await?,
            Step::UnbindSecurityGroup { spaces } => {
                let group = self.guid(target)?;
                let spaces = spaces.iter().map(|space| self.guid(space));
                for space in spaces.collect::<Result<Vec<_>, _>>()? {
                    client.unbind_security_group(group, space).await?;
                }
            }
            // All others are steps of apps.
            _ => {}
        }
        Ok(None)
    }

    async fn delete(&self, target: &Target, guid: &str) -> Result<(), Error> {
        let what = format!("deleting the {target}");
        match target {
            Target::Org { .. } => self.client.delete_org(&what, guid).await,
            Target::Space { .. } => self.client.delete_space(&what, guid).await,
            Target::ServiceInstance { .. } => self.client.delete_service(&what, guid).await,
            Target::Domain { .. } => self.client.delete_domain(&what, guid).await,
            Target::Quota { .. } => self.client.delete_quota(&what, guid).await,
            Target::SpaceQuota { .. } => self.client.delete_space_quota(&what, guid).await,
            Target::SecurityGroup { .. } => self.client.delete_security_group(&what, guid).await,
            Target::User { .. } => self.client.delete_user(&what, guid).await,
            Target::Role { .. } => self.client.delete_role(&what, guid).await,
            Target::Route { .. } => self.client.delete_route(&what, guid).await,
            _ => Err(unknown("way to delete it")),
        }
    }

    fn org(&self, name: &str) -> Result<&str, Error> {
        let name = name.to_owned();
        self.guid(&Target::Org { name })
    }

    /// The GUID of an isolation segment.
    fn segment(&self, name: &str) -> Result<&str, Error> {
        let segment = self.observed.supporting.segments.get(name);
        let guid = segment.map(|segment| segment.guid.as_str());
        guid.ok_or_else(|| unknown("isolation segment"))
    }

    async fn create_user(&self, text: &str, ours: &Metadata) -> Result<String, Error> {
        match user_and_origin(text) {
            (name, Some(origin)) if origin != UAA => {
                self.client.create_user(name, origin, ours).await
            }
            (name, _) => Err(Error::impossible(
                format!("creating the user {name}"),
                "the user does not exist, and the Cloud Controller only creates users of other identity providers: create it in the UAA, or name it ORIGIN/USER",
            )),
        }
    }

    async fn create_space_quota(&self, target: &Target) -> Result<String, Error> {
        let Target::SpaceQuota { org, name } = target else {
            return Err(unknown("org"));
        };
        let mut orgs = self.desired.orgs().iter();
        let wanted = orgs.find(|it| it.name == *org);
        let quotas = wanted.map(|org| org.space_quotas.iter());
        let quota = quotas.into_iter().flatten().find(|it| it.name == *name);
        let limits = limits_of(quota.map(|quota| &quota.limits));
        let org = self.org(org)?;
        self.client.create_space_quota(name, org, &limits).await
    }

    async fn assign_role(&self, target: &Target) -> Result<String, Error> {
        let Target::Role {
            org,
            space,
            role,
            user,
        } = target
        else {
            return Err(unknown("role"));
        };
        let place = match space {
            None => self.org(org)?,
            Some(name) => self.guid(&Target::Space {
                org: org.clone(),
                name: name.clone(),
            })?,
        };
        let (user, origin) = user_and_origin(user);
        self.client.create_role(role, user, origin, place).await
    }

    /// The desired service instance of a target, and the GUID of its space.
    fn service(&self, target: &Target) -> Result<(&ServiceInstance, &str), Error> {
        let Target::ServiceInstance { org, space, name } = target else {
            return Err(unknown("service instance"));
        };
        let mut spaces = self.desired.spaces();
        let placed = spaces.find(|it| it.org.name == *org && it.space.name == *space);
        let services = placed.map(|placed| placed.space.services.iter());
        let service = services.into_iter().flatten().find(|it| it.name == *name);
        let service = service.ok_or_else(|| unknown("service instance"))?;
        let (org, name) = (org.clone(), space.clone());
        Ok((service, self.guid(&Target::Space { org, name })?))
    }

    /// The GUID of the plan of a managed service instance.
    fn service_plan(&self, service: &ServiceInstance) -> Result<Option<&str>, Error> {
        let ServiceKind::Managed { offering, plan, .. } = &service.kind else {
            return Ok(None);
        };
        let found = service_plan(service, &self.observed.supporting.service_plans);
        let found = found.ok_or_else(|| {
            Error::impossible(
                format!("creating the service instance {}", service.name),
                format!("the marketplace has no plan {plan} of {offering}"),
            )
        })?;
        Ok(Some(found.guid.as_str()))
    }

    async fn create_service(&self, target: &Target, ours: &Metadata) -> Result<(), Error> {
        let (service, space) = self.service(target)?;
        let mut settings = ServiceSettings {
            tags: Some(&service.tags),
            plan: self.service_plan(service)?,
            ..ServiceSettings::default()
        };
        let none = Map::new();
        match &service.kind {
            ServiceKind::UserProvided {
                credentials,
                syslog_drain_url,
                route_service_url,
            } => {
                settings.credentials = Some(credentials.as_ref().unwrap_or(&none));
                settings.syslog_drain_url = Some(syslog_drain_url.as_deref());
                settings.route_service_url = Some(route_service_url.as_deref());
            }
            ServiceKind::Managed { parameters, .. } => settings.parameters = parameters.as_ref(),
        }
        let instance = NewServiceInstance {
            name: &service.name,
            space,
            settings,
            metadata: ours,
        };
        let what = format!("creating the service instance {}", service.name);
        self.client.create_service(&what, &instance).await
    }

    async fn update_service(&self, target: &Target, names: &[String]) -> Result<(), Error> {
        let (service, _) = self.service(target)?;
        let has = |name: &str| names.iter().any(|it| it == name);
        let mut settings = ServiceSettings {
            tags: has("tags").then_some(service.tags.as_slice()),
            ..ServiceSettings::default()
        };
        if has("type") {
            return Err(Error::impossible(
                format!("changing the type of the service instance {}", service.name),
                "a managed service instance cannot become user-provided: delete it first",
            ));
        }
        match &service.kind {
            ServiceKind::UserProvided {
                credentials,
                syslog_drain_url,
                route_service_url,
            } => {
                settings.credentials = credentials.as_ref().filter(|_| has("credentials"));
                let url = |name, url| has(name).then_some(url);
                settings.syslog_drain_url = url("syslog_drain_url", syslog_drain_url.as_deref());
                settings.route_service_url = url("route_service_url", route_service_url.as_deref());
            }
            ServiceKind::Managed { .. } if has("plan") => {
                settings.plan = self.service_plan(service)?;
            }
            ServiceKind::Managed { .. } => {}
        }
        let what = format!("updating the service instance {}", service.name);
        let guid = self.guid(target)?;
        self.client.update_service(&what, guid, &settings).await
    }

    /// Waits until the broker is done. The next round plans a failed operation again.
    async fn await_service(&self, target: &Target) -> Result<(), Error> {
        let guid = self.guid(target)?;
        let what = format!("the work on the service instance {}", target.name());
        self.client
            .until(&what, || async {
                let found = match self.client.service(guid).await {
                    Err(error) if error.is_not_found() => return Ok(Progress::Done(())),
                    found => found?,
                };
                Ok(match found.last_operation.ends_with(" in progress") {
                    true => Progress::Pending(found.last_operation),
                    false => Progress::Done(()),
                })
            })
            .await
    }

    /// Creates the policies of all plans together, if their apps exist.
    pub(super) async fn allow_traffic(
        &self,
        plans: &[ResourceSteps<'_>],
        apps: &HashMap<Target, String>,
    ) -> Vec<Failure> {
        let mut policies = Vec::new();
        for step in plans.iter().flat_map(|(_, steps)| steps) {
            let Step::AllowTraffic {
                pairs,
                protocol,
                ports,
            } = step
            else {
                continue;
            };
            let pairs = pairs.iter().filter_map(|(from, to)| {
                let (source, destination) = (apps.get(from)?.clone(), apps.get(to)?.clone());
                Some(NetworkPolicy {
                    source,
                    destination,
                    protocol: protocol.clone(),
                    ports: *ports,
                })
            });
            policies.extend(pairs);
        }
        if policies.is_empty() {
            return Vec::new();
        }
        let created = self.client.create_network_policies(&policies);
        let step = "creating the network policies";
        self.change_policies(step, created, plans).await
    }

    /// Deletes policies together.
    pub(super) async fn end_traffic(&self, plans: &[ResourceSteps<'_>]) -> Vec<Failure> {
        let is_deleted = |(_, steps): &&ResourceSteps<'_>| steps.contains(&&Step::DeletePolicy);
        let plans: Vec<ResourceSteps<'_>> = plans.iter().filter(is_deleted).cloned().collect();
        let found = self.observed.surplus.policies.iter();
        let policies: Vec<NetworkPolicy> = found
            .filter(|(target, _)| plans.iter().any(|(plan, _)| plan.target == *target))
            .map(|(_, policy)| policy.clone())
            .collect();
        if policies.is_empty() {
            return Vec::new();
        }
        let deleted = self.client.delete_network_policies(&policies);
        let step = Step::DeletePolicy.to_string();
        self.change_policies(&step, deleted, &plans).await
    }

    /// Sends the change of all policies as one step. If it fails, the policies of all plans
    /// have failed.
    async fn change_policies(
        &self,
        step: &str,
        change: impl Future<Output = Result<(), Error>>,
        plans: &[ResourceSteps<'_>],
    ) -> Vec<Failure> {
        let context = StepContext::in_phase(
            Some(Phase::Foundation),
            "network policies".to_owned(),
            step.to_owned(),
        );
        let changed = self.client.events().step(Arc::clone(&context), change);
        let Err(error) = changed.await else {
            return Vec::new();
        };
        let plans = plans.iter();
        plans
            .map(|(plan, _)| Failure::new(&plan.target, &context, error.clone()))
            .collect()
    }
}

/// Limits in the Cloud Controller's form.
pub(super) fn limits_of(limits: Option<&Limits>) -> WireLimits {
    let mut wire = WireLimits::new();
    for (section, key, limit) in limits.into_iter().flat_map(Limits::each) {
        let value: Option<Value> = match limit {
            Limit::Unlimited => None,
            Limit::Allowed(is) => Some(json!(is)),
            Limit::Most(most) => Some(json!(most)),
        };
        let section = wire.entry(section.to_owned()).or_default();
        section.insert(key.to_owned(), value);
    }
    wire
}

//! Plans service instances.

use crate::capi::model::{Labels, ServicePlan};
use crate::converge::observe::Observed;
use crate::converge::observe::Service;
use crate::converge::plan::{Action, Change, ResourcePlan, Step};
use crate::converge::target::Target;
use crate::desired::{Metadata, PlacedSpace, ServiceInstance, ServiceKind};

pub(super) fn plan_service(
    placed: &PlacedSpace<'_>,
    service: &ServiceInstance,
    found: Option<&Service>,
    observed: &Observed,
    owner: &str,
) -> ResourcePlan {
    let mut plan = ResourcePlan::new(placed.service(service), found.is_some());
    let Some(found) = found else {
        plan.steps.push(Step::CreateService);
        return plan;
    };
    let instance = &found.instance;
    let metadata = plan.adopted(&Metadata::default(), &instance.ownership, observed, owner);
    if let Some(operation) = instance.last_operation.strip_suffix(" in progress") {
        let old = format!("{operation} in progress");
        let change = Change::new("last operation", old, format!("{operation} succeeded"));
        plan.change(change, Step::AwaitService);
        return plan;
    }
    if instance.last_operation == "create failed" {
        let change = Change::new("last operation", "create failed", "create succeeded");
        plan.change(change, Step::DeleteService);
        plan.steps.push(Step::CreateService);
        return plan;
    }
    let mut settings = Vec::new();
    for (setting, old, new) in differences(service, found, &observed.supporting.service_plans) {
        plan.changes.push(Change::new(setting, old, new));
        settings.push(setting.to_owned());
    }
    if !settings.is_empty() {
        plan.action = Action::Change;
        plan.steps.push(Step::UpdateService { settings });
    }
    plan.change_metadata(&metadata, &Labels::new(), &Labels::new());
    plan
}

/// The settings of a service instance that differ, with their old and new values.
fn differences(
    service: &ServiceInstance,
    found: &Service,
    plans: &[ServicePlan],
) -> Vec<(&'static str, String, String)> {
    let instance = &found.instance;
    let mut differences = Vec::new();
    let (mut old, mut new) = (instance.tags.clone(), service.tags.clone());
    old.sort();
    new.sort();
    if old != new {
        differences.push(("tags", list(&instance.tags), list(&service.tags)));
    }
    let shown = |url: &Option<String>| url.clone().unwrap_or_else(|| "none".to_owned());
    match &service.kind {
        ServiceKind::UserProvided {
            credentials,
            syslog_drain_url,
            route_service_url,
        } => {
            if instance.plan.is_some() {
                let (old, new) = ("managed".to_owned(), "user-provided".to_owned());
                differences.push(("type", old, new));
            }
            if credentials.is_some() && *credentials != found.credentials {
                let (old, new) = ("other values".to_owned(), "the declared values".to_owned());
                differences.push(("credentials", old, new));
            }
            let urls = [
                (
                    "syslog_drain_url",
                    &instance.syslog_drain_url,
                    syslog_drain_url,
                ),
                (
                    "route_service_url",
                    &instance.route_service_url,
                    route_service_url,
                ),
            ];
            let urls = urls.into_iter().filter(|(_, old, new)| old != new);
            differences.extend(urls.map(|(name, old, new)| (name, shown(old), shown(new))));
        }
        ServiceKind::Managed { plan, .. } => {
            let wanted = service_plan(service, plans);
            let has_plan = wanted.is_some_and(|it| instance.plan.as_ref() == Some(&it.guid));
            if !has_plan {
                let mut plans = plans.iter();
                let old = plans.find(|it| instance.plan.as_ref() == Some(&it.guid));
                let old = old.map_or("another", |plan| &plan.name).to_owned();
                differences.push(("plan", old, plan.clone()));
            }
        }
    }
    differences
}

fn list(texts: &[String]) -> String {
    match texts {
        [] => "none".to_owned(),
        all => all.join(", "),
    }
}

/// The existing service plan of a managed service instance.
pub(crate) fn service_plan<'p>(
    service: &ServiceInstance,
    plans: &'p [ServicePlan],
) -> Option<&'p ServicePlan> {
    let ServiceKind::Managed {
        offering,
        plan,
        broker,
        ..
    } = &service.kind
    else {
        return None;
    };
    plans.iter().find(|it| {
        it.name == *plan
            && it.offering == *offering
            && broker.as_ref().is_none_or(|broker| it.broker == *broker)
    })
}

impl PlacedSpace<'_> {
    /// The target of a service instance.
    pub(crate) fn service(&self, service: &ServiceInstance) -> Target {
        Target::ServiceInstance {
            org: self.org.name.clone(),
            space: self.space.name.clone(),
            name: service.name.clone(),
        }
    }
}

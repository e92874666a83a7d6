//! Checks that the apps and services do not need more than the quotas of the spec allow.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use super::{Expander, PlacedGroup, PlacedOrg, PlacedSpace};
use crate::desired::ServiceKind;
use crate::manifest::size;
use crate::spec::file::node::Node;
use crate::spec::file::problem::SpecProblemReason;

/// The property with the log rate limit of a process, in bytes per second.
const LOG_RATE: &str = "log-rate-limit-per-second";

/// The minimum needs of an org or space, without the foundation's defaults, such as the
/// default memory of apps.
#[derive(Default)]
struct Needs {
    instances: u64,
    memory_mb: u64,
    /// The log rate of started processes in bytes per second. `u64::MAX` for no limit.
    log_rate: u64,
    /// Routes that belong to one app of a group.
    own_routes: u64,
    /// Routes that several apps may share.
    shared_routes: HashSet<String>,
    managed_services: u64,
    domains: u64,
    /// The app whose process has the most memory, and the amount.
    largest: Option<(String, u64)>,
}

impl Needs {
    fn of_space(space: &PlacedSpace<'_>) -> Self {
        let mut needs = Self::default();
        for placed in &space.groups {
            needs.add(placed);
        }
        let services = space.space.services.iter();
        let managed = services.filter(|it| matches!(it.kind, ServiceKind::Managed { .. }));
        needs.managed_services = count(managed);
        needs
    }

    fn add(&mut self, placed: &PlacedGroup<'_>) {
        let group = &placed.group;
        let apps = u64::from(group.count);
        if apps == 0 {
            return;
        }
        for Process {
            instances,
            memory_mb,
            log_rate,
        } in processes(placed)
        {
            if let Some(memory_mb) = memory_mb
                && self
                    .largest
                    .as_ref()
                    .is_none_or(|(_, most)| *most < memory_mb)
            {
                self.largest = Some((group.app_name(0), memory_mb));
            }
            if group.is_started() {
                let instances = instances.saturating_mul(apps);
                self.instances = self.instances.saturating_add(instances);
                let memory_mb = memory_mb.unwrap_or(0).saturating_mul(instances);
                self.memory_mb = self.memory_mb.saturating_add(memory_mb);
                let log_rate = log_rate.unwrap_or(0).saturating_mul(instances);
                self.log_rate = self.log_rate.saturating_add(log_rate);
            }
        }
        let routes = |index: u32| {
            let entry = group
                .entry
                .of_app(&group.app_name(index), index, "{apps_domain}");
            let routes = entry.routes().into_iter().flatten();
            routes.map(str::to_owned).collect::<HashSet<_>>()
        };
        let (first, second) = (routes(0), routes(1));
        for route in first {
            match apps > 1 && !second.contains(&route) {
                true => self.own_routes = self.own_routes.saturating_add(apps),
                false => {
                    self.shared_routes.insert(route);
                }
            }
        }
    }

    fn join(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.memory_mb = self.memory_mb.saturating_add(other.memory_mb);
        self.log_rate = self.log_rate.saturating_add(other.log_rate);
        self.own_routes = self.own_routes.saturating_add(other.own_routes);
        self.shared_routes.extend(other.shared_routes);
        self.managed_services = self.managed_services.saturating_add(other.managed_services);
        let is_larger =
            |(_, mine): &(String, u64)| other.largest.as_ref().is_none_or(|(_, most)| mine >= most);
        if !self.largest.as_ref().is_some_and(is_larger) {
            self.largest = other.largest;
        }
    }
}

fn count<T>(all: impl Iterator<Item = T>) -> u64 {
    u64::try_from(all.count()).unwrap_or(u64::MAX)
}

/// The needs of a process of an app. `None` selects the foundation's default.
struct Process {
    instances: u64,
    memory_mb: Option<u64>,
    /// `u64::MAX` for no limit.
    log_rate: Option<u64>,
}

/// Each process of an app.
fn processes(placed: &PlacedGroup<'_>) -> Vec<Process> {
    let entry = &placed.group.entry;
    let log_rate = |value: Option<&Json>| {
        let rate = size::log_rate_limit(value?.as_str()?).ok()?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    };
    let web = Process {
        instances: u64::from(entry.instances().unwrap_or(1)),
        memory_mb: entry.memory_mb(),
        log_rate: log_rate(entry.get(LOG_RATE)),
    };
    let others = entry.get("processes").and_then(Json::as_array);
    let others = others.into_iter().flatten().map(|process| {
        let instances = process.get("instances").and_then(Json::as_u64);
        let memory = process.get("memory").and_then(Json::as_str);
        Process {
            instances: instances.unwrap_or(0),
            memory_mb: memory.and_then(|memory| size::megabytes(memory).ok()),
            log_rate: log_rate(process.get(LOG_RATE)),
        }
    });
    std::iter::once(web).chain(others).collect()
}

impl Expander<'_, '_> {
    /// Reports each limit of a quota that an org or space would exceed.
    pub(super) fn check_quotas(
        &mut self,
        orgs: &[PlacedOrg<'_>],
        org_quotas: &HashMap<String, &Node>,
    ) {
        for placed in orgs {
            let mut all = Needs {
                domains: count(placed.org.domains.iter()),
                ..Needs::default()
            };
            for space in &placed.spaces {
                let needs = Needs::of_space(space);
                if let Some((name, _)) = &space.quota
                    && let Some(quota) = placed.space_quotas.get(name)
                {
                    let subject = format!("the space {}", space.space.name);
                    self.check_quota(name, quota, &subject, &needs);
                }
                all.join(needs);
            }
            if let Some((name, _)) = &placed.quota
                && let Some(quota) = org_quotas.get(name)
            {
                let subject = format!("the org {}", placed.org.name);
                self.check_quota(name, quota, &subject, &all);
            }
        }
    }

    fn check_quota(&mut self, name: &str, quota: &Node, subject: &str, needs: &Needs) {
        let routes = needs
            .own_routes
            .saturating_add(count(needs.shared_routes.iter()));
        let sums = [
            ("apps", "total_instances", needs.instances, "instance"),
            ("apps", "total_memory_in_mb", needs.memory_mb, "MB"),
            (
                "apps",
                "log_rate_limit_in_bytes_per_second",
                needs.log_rate,
                "log rate",
            ),
            ("routes", "total_routes", routes, "route"),
            (
                "services",
                "total_service_instances",
                needs.managed_services,
                "managed service instance",
            ),
            ("domains", "total_domains", needs.domains, "domain"),
        ];
        for (section, key, sum, unit) in sums {
            let asked = match (unit, sum) {
                ("log rate", u64::MAX) => "an app without a log rate limit".to_owned(),
                ("log rate", _) => format!("a log rate of {sum} bytes per second"),
                ("MB", _) | (_, 1) => format!("{sum} {unit}"),
                _ => format!("{sum} {unit}s"),
            };
            self.check_limit(name, quota, (section, key), sum, subject, asked);
        }
        if let Some((app, memory_mb)) = &needs.largest {
            let asked = format!("an app {app} with {memory_mb} MB");
            let key = ("apps", "per_process_memory_in_mb");
            self.check_limit(name, quota, key, *memory_mb, subject, asked);
        }
    }

    fn check_limit(
        &mut self,
        name: &str,
        quota: &Node,
        (section, key): (&str, &str),
        value: u64,
        subject: &str,
        asked: String,
    ) {
        let Some(node) = quota.get(section).and_then(|it| it.get(key)) else {
            return;
        };
        let Some(limit) = node.number::<u64>().filter(|limit| *limit < value) else {
            return;
        };
        let reason = SpecProblemReason::ExceedsQuota {
            key: key.to_owned(),
            quota: name.to_owned(),
            limit,
            subject: subject.to_owned(),
            asked,
        };
        self.problems.add(node.at, reason);
    }
}

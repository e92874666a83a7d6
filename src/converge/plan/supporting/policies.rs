//! Plans network policies.

use std::collections::BTreeMap;

use crate::converge::observe::Observed;
use crate::converge::plan::{Action, Change, ResourcePlan, Step};
use crate::converge::target::Target;
use crate::desired::{self, Desired, NetworkPolicy, PlacedSpace};

/// Plans the network policies. They come last because they need the GUIDs of apps.
pub(in crate::converge::plan) fn policies(
    desired: &Desired,
    observed: &Observed,
) -> Vec<ResourcePlan> {
    let mut plans = Vec::new();
    if desired
        .spaces()
        .all(|placed| placed.space.network_policies.is_empty())
    {
        return plans;
    }
    let allowed = Allowed::of(observed);
    for placed in desired.spaces() {
        for policy in &placed.space.network_policies {
            plans.push(plan_policy(desired, &placed, policy, observed, &allowed));
        }
    }
    plans
}

/// The ports between apps that policies allow.
pub(super) struct Allowed<'o> {
    ports: BTreeMap<Direction<'o>, Vec<(u16, u16)>>,
}

/// The GUIDs of the sending and the receiving app, and the protocol.
type Direction<'o> = (&'o str, &'o str, &'o str);

impl<'o> Allowed<'o> {
    pub(super) fn of(observed: &'o Observed) -> Self {
        let mut ports: BTreeMap<_, Vec<(u16, u16)>> = BTreeMap::new();
        for policy in &observed.supporting.policies {
            let key = (
                policy.source.as_str(),
                policy.destination.as_str(),
                policy.protocol.as_str(),
            );
            ports.entry(key).or_default().push(policy.ports);
        }
        for ranges in ports.values_mut() {
            ranges.sort_unstable();
        }
        Self { ports }
    }

    /// Whether one policy or several policies together allow all of the ports.
    fn has(&self, from: &str, to: &str, protocol: &str, (first, last): (u16, u16)) -> bool {
        let ranges = self.ports.get(&(from, to, protocol));
        let mut next = u32::from(first);
        for (start, end) in ranges.into_iter().flatten() {
            if u32::from(*start) <= next {
                next = next.max(u32::from(*end) + 1);
            }
        }
        next > u32::from(last)
    }
}

fn plan_policy(
    desired: &Desired,
    placed: &PlacedSpace<'_>,
    policy: &NetworkPolicy,
    observed: &Observed,
    allowed: &Allowed<'_>,
) -> ResourcePlan {
    let senders = apps_of(placed, &policy.from, observed);
    let (_, _, pattern) = policy.receivers();
    let receivers: Vec<(Target, Option<&str>)> = desired
        .receiving_spaces(placed, policy)
        .flat_map(|space| apps_of(&space, pattern, observed))
        .collect();
    let mut pairs = Vec::new();
    for (from, sender) in &senders {
        for (to, receiver) in &receivers {
            let is_allowed = sender
                .zip(*receiver)
                .is_some_and(|(from, to)| allowed.has(from, to, &policy.protocol, policy.ports));
            if !is_allowed {
                pairs.push((from.clone(), to.clone()));
            }
        }
    }
    let wanted = senders.len() * receivers.len();
    let mut plan = ResourcePlan::new(placed.policy(policy), pairs.len() < wanted);
    if pairs.is_empty() {
        return plan;
    }
    let old = format!("{} of {wanted}", wanted - pairs.len());
    let step = Step::AllowTraffic {
        pairs,
        protocol: policy.protocol.clone(),
        ports: policy.ports,
    };
    match plan.action {
        Action::Create => plan.steps.push(step),
        _ => plan.change(Change::new("pairs of apps", old, wanted), step),
    }
    plan
}

/// The desired apps of a space whose names match, with the GUIDs of the existing apps.
fn apps_of<'o>(
    placed: &PlacedSpace<'_>,
    pattern: &str,
    observed: &'o Observed,
) -> Vec<(Target, Option<&'o str>)> {
    let apps = observed.spaces.get(placed.id).map(|space| &space.apps);
    let guids: BTreeMap<&str, &str> = apps
        .into_iter()
        .flatten()
        .map(|app| (app.name.as_str(), app.guid.as_str()))
        .collect();
    let names = placed
        .space
        .groups
        .iter()
        .flat_map(|group| group.app_names());
    let names = names.filter(|name| desired::matches(pattern, name));
    names
        .map(|name| {
            let guid = guids.get(name.as_str()).copied();
            (placed.app(&name), guid)
        })
        .collect()
}

impl PlacedSpace<'_> {
    fn app(&self, name: &str) -> Target {
        Target::App {
            org: self.org.name.clone(),
            space: self.space.name.clone(),
            name: name.to_owned(),
        }
    }

    /// The target of a network policy.
    fn policy(&self, policy: &NetworkPolicy) -> Target {
        let NetworkPolicy {
            from, to, protocol, ..
        } = policy;
        let ports = match policy.ports {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        Target::NetworkPolicy {
            org: self.org.name.clone(),
            space: self.space.name.clone(),
            name: format!("{from} to {to} {protocol} {ports}"),
        }
    }
}

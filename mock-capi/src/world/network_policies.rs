//! Which apps may reach which others directly. The policy server keeps that
//! apart from the Cloud Controller: apps that go leave their policies behind,
//! until it cleans up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{App, Due, World};

/// How often the policy server cleans up.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Apps are named by any text: network administrators may allow for those that
/// are still to come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct NetworkPolicy {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) protocol: String,
    pub(crate) start_port: i64,
    pub(crate) end_port: i64,
}

impl NetworkPolicy {
    /// The apps that it is about.
    pub(crate) fn apps(&self) -> [&str; 2] {
        [&self.source, &self.destination]
    }
}

impl World {
    /// Adds policies; those that are there already stay.
    pub(crate) fn add_network_policies(&mut self, policies: Vec<NetworkPolicy>) {
        self.network_policies.extend(policies);
        self.plan_policy_cleanup();
    }

    /// Cleans up once the policy server would, if there is anything to clean.
    pub(super) fn plan_policy_cleanup(&mut self) {
        let mut policies = self.network_policies.iter();
        if !self.policy_cleanup_planned && policies.any(|policy| self.is_stale(policy)) {
            self.policy_cleanup_planned = true;
            self.plan(self.now.plus(CLEANUP_INTERVAL), Due::CleanNetworkPolicies);
        }
    }

    /// Removes the policies of apps that are not there, and returns them.
    pub(crate) fn clean_network_policies(&mut self) -> Vec<NetworkPolicy> {
        self.policy_cleanup_planned = false;
        let stale = self.network_policies.iter();
        let stale = stale.filter(|policy| self.is_stale(policy));
        let stale: Vec<NetworkPolicy> = stale.cloned().collect();
        for policy in &stale {
            self.network_policies.remove(policy);
        }
        stale
    }

    fn is_stale(&self, policy: &NetworkPolicy) -> bool {
        let is_there = |app| self.look_up::<App>(app).is_some();
        !policy.apps().into_iter().all(is_there)
    }
}

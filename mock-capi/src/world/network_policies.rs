//! Policies for traffic between apps. The policy server stores them separately from the
//! Cloud Controller, so policies of deleted apps remain until the policy server cleans
//! up.

use std::collections::BTreeMap;
use std::collections::btree_map::Keys;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{App, Due, World};
use crate::world::clock::{Timestamp, exact};

/// The interval at which the policy server cleans up.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// A policy for traffic from one app to another. Apps can be identified by any string,
/// because network administrators may create policies for apps that do not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct NetworkPolicy {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) protocol: String,
    pub(crate) start_port: i64,
    pub(crate) end_port: i64,
}

impl NetworkPolicy {
    /// The source and the destination.
    pub(crate) fn apps(&self) -> [&str; 2] {
        [&self.source, &self.destination]
    }
}

/// Policies in order, each with the time at which it was added.
#[derive(Debug, Default)]
pub(crate) struct NetworkPolicies(BTreeMap<NetworkPolicy, Timestamp>);

/// A policy in a state file.
#[derive(Serialize, Deserialize)]
struct Entry<P> {
    #[serde(flatten)]
    policy: P,
    /// The epoch if an earlier version saved the policy.
    #[serde(default, with = "exact")]
    added: Timestamp,
}

impl Serialize for NetworkPolicies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.iter();
        serializer.collect_seq(entries.map(|(policy, &added)| Entry { policy, added }))
    }
}

impl<'de> Deserialize<'de> for NetworkPolicies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries: Vec<Entry<NetworkPolicy>> = Vec::deserialize(deserializer)?;
        let entries = entries.into_iter();
        Ok(Self(
            entries.map(|entry| (entry.policy, entry.added)).collect(),
        ))
    }
}

impl NetworkPolicies {
    pub(crate) fn iter(&self) -> Keys<'_, NetworkPolicy, Timestamp> {
        self.0.keys()
    }

    pub(crate) fn remove(&mut self, policy: &NetworkPolicy) {
        self.0.remove(policy);
    }

    /// Whether a policy that was added by `deadline` allows an app to connect to a port
    /// of another app.
    pub(crate) fn allow(
        &self,
        source: &str,
        destination: &str,
        protocol: &str,
        port: u16,
        deadline: Timestamp,
    ) -> bool {
        let first = NetworkPolicy {
            source: source.into(),
            destination: destination.into(),
            protocol: String::new(),
            start_port: i64::MIN,
            end_port: i64::MIN,
        };
        let policies = self.0.range(first..);
        let mut of_apps = policies.take_while(|(policy, _)| policy.apps() == [source, destination]);
        of_apps.any(|(policy, added)| {
            policy.protocol == protocol
                && (policy.start_port..=policy.end_port).contains(&i64::from(port))
                && *added <= deadline
        })
    }
}

impl World {
    /// Adds policies that do not exist yet.
    pub(crate) fn add_network_policies(&mut self, policies: Vec<NetworkPolicy>) {
        let now = self.now;
        for policy in policies {
            self.network_policies.0.entry(policy).or_insert(now);
        }
        self.plan_policy_cleanup();
    }

    /// Schedules the cleanup by the policy server, if there are policies.
    pub(super) fn plan_policy_cleanup(&mut self) {
        let mut policies = self.network_policies.iter();
        if !self.policy_cleanup_planned && policies.any(|policy| self.is_stale(policy)) {
            self.policy_cleanup_planned = true;
            self.plan(self.now.plus(CLEANUP_INTERVAL), Due::CleanNetworkPolicies);
        }
    }

    /// Removes the policies of apps that do not exist, and returns them.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;

    #[test]
    fn a_policy_allows_its_ports_once_it_is_old_enough() {
        let now = Clock::new().now();
        let policy = NetworkPolicy {
            source: "a".into(),
            destination: "b".into(),
            protocol: "tcp".into(),
            start_port: 7000,
            end_port: 7002,
        };
        let policies = NetworkPolicies(BTreeMap::from([(policy, now)]));
        for (source, destination, protocol, port, expected) in [
            ("a", "b", "tcp", 7000, true),
            ("a", "b", "tcp", 7002, true),
            ("a", "b", "tcp", 7003, false),
            ("a", "b", "udp", 7000, false),
            ("b", "a", "tcp", 7000, false),
            ("a", "bb", "tcp", 7000, false),
        ] {
            let allowed = policies.allow(source, destination, protocol, port, now);
            assert_eq!(
                allowed, expected,
                "{source} {destination} {protocol} {port}"
            );
        }
        let earlier = now.minus(Duration::from_millis(1));
        assert!(!policies.allow("a", "b", "tcp", 7000, earlier));
    }

    #[test]
    fn policies_of_earlier_state_files_are_read() {
        let json =
            r#"[{"source":"a","destination":"b","protocol":"tcp","start_port":1,"end_port":2}]"#;
        let policies: NetworkPolicies = serde_json::from_str(json).unwrap();
        assert!(policies.allow("a", "b", "tcp", 2, Clock::new().now()));
        let saved = serde_json::to_string(&policies).unwrap();
        let read: NetworkPolicies = serde_json::from_str(&saved).unwrap();
        assert_eq!(read.iter().count(), 1);
    }
}

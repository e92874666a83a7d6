//! The outcome of a scaling test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::TestError;
use super::numbers::Context;
use super::registry::Registration;
use crate::converge::approval;
use crate::events::CheckResult;
use crate::latency::Percentiles;

/// A point of a scaling test at which connections are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TestPhase {
    /// Before the policies are created: every connection must fail.
    WithoutPolicies,
    /// With the policies in effect: every connection must succeed.
    WithPolicies,
    /// After the policies were deleted: every connection must fail.
    AfterDeletion,
}

impl TestPhase {
    /// The phase's name, such as `with-policies`.
    pub fn name(self) -> &'static str {
        match self {
            Self::WithoutPolicies => "without-policies",
            Self::WithPolicies => "with-policies",
            Self::AfterDeletion => "after-deletion",
        }
    }

    /// Whether connections must succeed.
    pub(super) fn expects_success(self) -> bool {
        self == Self::WithPolicies
    }
}

/// The outcome of a scaling test.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TestOutcome {
    /// Whether all tick instances were registered. If they were not, the test ends.
    pub registry: Registration,
    /// The tested contexts.
    pub contexts: Vec<ContextOutcome>,
    /// The times of the connections that succeeded as expected, measured by the sender.
    pub latency_ms: Percentiles,
    /// The seed of the samples. A test of the same apps with this seed tries the same
    /// connections.
    pub seed: u64,
    /// The time that the test waited for policies, and kept them, on its
    /// [`Clock`](super::Clock).
    #[serde(rename = "waited_seconds", serialize_with = "seconds")]
    pub waited: Duration,
    /// The error that ended the test early, such as an interrupt. The finished phases are
    /// in `contexts`. Serializes as its message.
    #[serde(serialize_with = "message", skip_serializing_if = "Option::is_none")]
    pub error: Option<TestError>,
}

pub(super) fn message<S: Serializer>(
    error: &Option<TestError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    error
        .as_ref()
        .map(ToString::to_string)
        .serialize(serializer)
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// The result of one context.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ContextOutcome {
    /// The context.
    pub name: Context,
    /// The number of connecting proxy apps.
    pub proxies: usize,
    /// The number of tick apps that they connect to.
    pub ticks: usize,
    /// The number of created policies.
    pub policies: usize,
    /// The number of connections: proxy apps x addresses x ports.
    pub connections: u64,
    /// The number of connections tried in each phase.
    pub sampled: u64,
    /// The phases in order.
    pub phases: Vec<PhaseOutcome>,
}

/// The result of one phase of a context.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PhaseOutcome {
    /// The phase.
    pub name: TestPhase,
    /// Whether all connections were as expected.
    pub ok: bool,
    /// The unexpected results, by proxy app, tick app and address.
    pub failed: Vec<FailedConnection>,
}

/// A connection with an unexpected result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct FailedConnection {
    /// The name of the proxy app that connects.
    pub proxy: String,
    /// The name of the tick app that it connects to.
    pub tick: String,
    /// The tick instance's address and port, such as `10.255.0.1:8080`.
    pub address: String,
    /// The result of the last try.
    pub reason: String,
}

impl fmt::Display for FailedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            proxy,
            tick,
            address,
            reason,
        } = self;
        write!(f, "{proxy} to {tick} ({address}): {reason}")
    }
}

impl TestOutcome {
    /// Whether the test was completed, all instances were registered, and all connections
    /// were as expected.
    pub fn is_ok(&self) -> bool {
        let mut phases = self.contexts.iter().flat_map(|it| &it.phases);
        self.error.is_none() && self.registry.ok && phases.all(|phase| phase.ok)
    }

    /// The finished parts of the test, in order.
    pub(super) fn checks(&self) -> Vec<CheckResult> {
        let phases = self.contexts.iter().flat_map(|context| {
            let phases = context.phases.iter();
            phases.map(|phase| phase.check(context.name))
        });
        std::iter::once(self.registry.check())
            .chain(phases)
            .collect()
    }

    /// Descriptions of the failures by cause, with the affected apps and addresses.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.registry.failures();
        for context in &self.contexts {
            for phase in &context.phases {
                let check = format!("{}, {}", context.name.name(), phase.name.name());
                failures.extend(phase.failures().map(|it| format!("{check}: {it}")));
            }
        }
        failures
    }
}

impl Registration {
    fn check(&self) -> CheckResult {
        CheckResult {
            context: String::new(),
            name: "registration".to_owned(),
            failures: self.failures(),
        }
    }

    /// The unexpected results, one on each line. An accepted difference is not listed.
    pub(super) fn failures(&self) -> Vec<String> {
        if self.ok {
            return Vec::new();
        }
        if let Some(error) = &self.error {
            return vec![format!("the registry cannot be read: {error}")];
        }
        let mut by_numbers: BTreeMap<(u64, u64), Vec<&str>> = BTreeMap::new();
        for app in &self.differences {
            let numbers = (app.registered, app.expected);
            by_numbers.entry(numbers).or_default().push(&app.app);
        }
        let lines = by_numbers
            .into_iter()
            .map(|((registered, expected), apps)| {
                let apps = approval::ranges(&apps).join(", ");
                match expected {
                    0 => format!("{apps}: registered, but not part of the test"),
                    _ => format!("{apps}: {registered} of {expected} instances registered"),
                }
            });
        let lines: Vec<String> = lines.collect();
        match lines.is_empty() {
            true => vec![format!(
                "{} of {} instances registered",
                self.registered, self.expected
            )],
            false => lines,
        }
    }
}

impl PhaseOutcome {
    fn check(&self, context: Context) -> CheckResult {
        CheckResult {
            context: context.name().to_owned(),
            name: self.name.name().to_owned(),
            failures: self.failures().collect(),
        }
    }

    /// Descriptions of the failed connections. Connections with the same proxy apps, tick
    /// apps and cause are joined.
    fn failures(&self) -> impl Iterator<Item = String> {
        type Names<'a> = BTreeSet<&'a str>;
        type Ticks<'a> = (Vec<&'a str>, Names<'a>);
        // The proxy apps and the addresses, by cause and tick app.
        let mut by_tick: BTreeMap<(String, &str), (Names<'_>, Names<'_>)> = BTreeMap::new();
        for failed in &self.failed {
            let cause = failed.reason.replace(&failed.address, "...");
            let (proxies, addresses) = by_tick.entry((cause, &failed.tick)).or_default();
            proxies.insert(&failed.proxy);
            addresses.insert(&failed.address);
        }
        // The tick apps and the addresses, by cause and proxy apps.
        let mut groups: BTreeMap<(String, Vec<&str>), Ticks<'_>> = BTreeMap::new();
        for ((cause, tick), (proxies, addresses)) in by_tick {
            let proxies: Vec<&str> = proxies.into_iter().collect();
            let (ticks, all) = groups.entry((cause, proxies)).or_default();
            ticks.push(tick);
            all.extend(addresses);
        }
        let lines = groups
            .into_iter()
            .map(|((cause, proxies), (ticks, addresses))| {
                let (proxies, ticks) = (approval::ranges(&proxies), approval::ranges(&ticks));
                let (proxies, ticks) = (proxies.join(", "), ticks.join(", "));
                format!("{proxies} to {ticks} ({}): {cause}", some_of(&addresses))
            });
        lines.collect::<Vec<_>>().into_iter()
    }
}

/// The first addresses, and the number of remaining addresses.
fn some_of(addresses: &BTreeSet<&str>) -> String {
    const MAX_SHOWN: usize = 6;
    let mut shown: Vec<&str> = addresses.iter().take(MAX_SHOWN).copied().collect();
    let more = format!("and {} more", addresses.len().saturating_sub(MAX_SHOWN));
    if addresses.len() > MAX_SHOWN {
        shown.push(&more);
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale_test::registry::Address;

    fn failed(proxy: usize, tick: usize, port: u16, reason: &str) -> FailedConnection {
        let address = format!("10.255.0.{tick}:{port}");
        FailedConnection {
            proxy: format!("proxy-{proxy}"),
            tick: format!("tick-{tick}"),
            reason: reason.replace("ADDRESS", &address),
            address,
        }
    }

    fn lines(failed: Vec<FailedConnection>) -> String {
        let phase = PhaseOutcome {
            name: TestPhase::WithPolicies,
            ok: failed.is_empty(),
            failed,
        };
        phase.failures().collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn failures_name_the_affected_apps_and_addresses() {
        let timeout = "request failed: dial ADDRESS: timeout";
        let one_tick =
            (0..3).flat_map(|proxy| [8080, 7000].map(|port| failed(proxy, 4, port, timeout)));
        let one_proxy = (0..9).map(|tick| failed(7, tick, 8080, "no response"));
        insta::assert_snapshot!(lines(one_tick.chain(one_proxy).collect()), @"
        proxy-7 to tick-{0..8} (10.255.0.0:8080, 10.255.0.1:8080, 10.255.0.2:8080, 10.255.0.3:8080, 10.255.0.4:8080, 10.255.0.5:8080, and 3 more): no response
        proxy-{0..2} to tick-4 (10.255.0.4:7000, 10.255.0.4:8080): request failed: dial ...: timeout
        ");
    }

    #[test]
    fn missing_instances_are_listed_by_app() {
        let ticks: Vec<String> = (0..4).map(|i| format!("tick-{i}")).collect();
        let address = |app: &str| Address {
            app: app.to_owned(),
            ip: "10.255.0.1".to_owned(),
        };
        let addresses = ["tick-0", "tick-0", "tick-1", "other"].map(address);
        let registration = Registration::of(&ticks, 2, &addresses);
        insta::assert_snapshot!(registration.failures().join("\n"), @"
        tick-{2..3}: 0 of 2 instances registered
        other: registered, but not part of the test
        tick-1: 1 of 2 instances registered
        ");
    }
}

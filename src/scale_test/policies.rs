//! Creates the policies of a run, and deletes them regardless of how the run ends.

use std::collections::HashSet;
use std::time::Duration;

use super::foundation::TestApps;
use super::numbers;
use super::run::counted_policies;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::network_policies::{NetworkPolicy, POLICIES_PER_REQUEST};
use crate::events::{Event, Phase};

/// The timeout for deleting policies after a failed run.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(60);

/// The policies that a run has created and not yet deleted.
#[derive(Debug, Default)]
pub(super) struct Created(Vec<NetworkPolicy>);

impl Created {
    /// Creates policies.
    pub(super) async fn create(
        &mut self,
        client: &Client,
        policies: &[NetworkPolicy],
    ) -> Result<(), Error> {
        let steps = policies.chunks(POLICIES_PER_REQUEST);
        let mut progress = Progress::start(client, policies.len());
        for some in steps {
            // Policies of a request without a response may also exist.
            self.0.extend_from_slice(some);
            client.create_network_policies(some).await?;
            progress.advance(some.len());
        }
        progress.end();
        Ok(())
    }

    /// Deletes all policies that were created.
    pub(super) async fn delete(&mut self, client: &Client) -> Result<(), Error> {
        let mut progress = Progress::start(client, self.0.len());
        while !self.0.is_empty() {
            let kept = self.0.len().saturating_sub(POLICIES_PER_REQUEST);
            let some = &self.0[kept..];
            client.delete_network_policies(some).await?;
            progress.advance(some.len());
            self.0.truncate(kept);
        }
        progress.end();
        Ok(())
    }

    /// Forgets the policies, so that they are not deleted.
    pub(super) fn keep(&mut self) {
        self.0.clear();
    }

    /// Deletes the remaining policies after a run was interrupted or has failed.
    pub(super) async fn clean_up(&mut self, client: &Client) {
        if self.0.is_empty() {
            return;
        }
        let policies = counted_policies(self.0.len());
        client.events().emit(Event::Note(format!(
            "deleting {policies} that the test has created"
        )));
        let deletion = client.despite_interrupt(self.delete(client));
        let problem = match tokio::time::timeout(CLEANUP_TIMEOUT, deletion).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "timed out after {}",
                humantime::format_duration(CLEANUP_TIMEOUT)
            ),
        };
        let policies = counted_policies(self.0.len());
        client.events().emit(Event::Warning(format!(
            "{policies} may remain, which the next test deletes: {problem}"
        )));
    }
}

/// The remaining policies of an earlier test of the same apps: all policies between its
/// proxy apps and its tick apps on its ports.
pub(super) async fn left_over(
    client: &Client,
    apps: &TestApps,
    extra_ports: u16,
) -> Result<Vec<NetworkPolicy>, Error> {
    let proxies = apps.guids(&apps.names.proxies);
    let ticks = apps.guids(&apps.names.ticks);
    let fewer = if proxies.len() < ticks.len() {
        &proxies
    } else {
        &ticks
    };
    let policies = client.network_policies(fewer).await?;
    let (proxies, ticks): (HashSet<&str>, HashSet<&str>) =
        (proxies.into_iter().collect(), ticks.into_iter().collect());
    let ranges = numbers::port_ranges(extra_ports);
    let is_ours = |policy: &NetworkPolicy| {
        let (first, last) = policy.ports;
        let mut ranges = ranges.iter();
        proxies.contains(policy.source.as_str())
            && ticks.contains(policy.destination.as_str())
            && policy.protocol == "tcp"
            && ranges.any(|range| range.0 <= first && last <= range.1)
    };
    Ok(policies.into_iter().filter(is_ours).collect())
}

/// Reports the number of created or deleted policies.
struct Progress<'a> {
    client: &'a Client,
    done: usize,
}

impl<'a> Progress<'a> {
    fn start(client: &'a Client, total: usize) -> Self {
        let phase = Phase::Policies;
        client.events().emit(Event::PhaseStarted { phase, total });
        Self { client, done: 0 }
    }

    fn advance(&mut self, count: usize) {
        self.done += count;
        self.client.events().emit(Event::PhaseProgress {
            phase: Phase::Policies,
            done: self.done,
            failed: 0,
        });
    }

    fn end(self) {
        let phase = Phase::Policies;
        self.client.events().emit(Event::PhaseEnded { phase });
    }
}

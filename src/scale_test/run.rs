//! Runs the test: registration, then the phases of each context.

use std::collections::HashSet;
use std::time::Duration;

use super::foundation::{self, TestApps};
use super::numbers::{self, Connections, Context};
use super::outcome::{ContextOutcome, PhaseOutcome, TestOutcome, TestPhase};
use super::policies::{self, Created};
use super::probe::{PlannedCheck, Prober, describe_error};
use super::registry::{self, Address, Registration};
use super::{TestError, Tester};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::Domain;
use crate::capi::network_policies::NetworkPolicy;
use crate::events::{Check, Event, Phase, StepContext};
use crate::latency::{Latencies, Percentiles};

/// The time that tick instances have to register themselves.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two polls of the registry.
const REGISTRATION_PAUSE: Duration = Duration::from_millis(500);

/// The maximum number of concurrent connections for each instance of a proxy app.
const CONNECTIONS_PER_INSTANCE: u32 = 10;

/// The maximum generated seed, which is easy to type.
const MAX_SEED: u64 = 999_999;

/// A test run and the state of its foundation.
pub(super) struct Run<'a> {
    pub(super) tester: &'a Tester,
    pub(super) apps: TestApps,
    pub(super) prober: Prober,
    /// The domain of the apps' routes.
    pub(super) domain: Domain,
    extra_ports: u16,
    created: Created,
    latencies: Latencies,
    waited: Duration,
}

impl<'a> Run<'a> {
    /// Runs the test. An error after the registration is in the outcome.
    pub(super) async fn test(tester: &'a Tester) -> Result<TestOutcome, TestError> {
        let seed = tester.seed.unwrap_or_else(|| fastrand::u64(..=MAX_SEED));
        let mut run = Self::prepare(tester).await?;
        let mut outcome = TestOutcome {
            registry: run.registration().await?,
            contexts: Vec::new(),
            latency_ms: Percentiles::default(),
            seed,
            waited: Duration::ZERO,
            error: None,
        };
        if outcome.registry.ok {
            let ended = run.contexts(seed, &mut outcome.contexts).await;
            if let Err(error) = ended {
                run.created.clean_up(&tester.client).await;
                outcome.error = Some(error);
            }
        }
        outcome.latency_ms = run.latencies.percentiles();
        outcome.waited = run.waited;
        Ok(outcome)
    }

    /// Finds the apps.
    pub(super) async fn prepare(tester: &'a Tester) -> Result<Self, TestError> {
        let test = &tester.test;
        tester.check()?;
        let router = foundation::router(tester)?;
        let apps = TestApps::find(tester).await?;
        let domain = foundation::domain(tester, &apps.org).await?;
        let prober = Prober {
            client: tester.client.clone(),
            requests: tester.client.app_requests(router.as_ref())?,
            domain: domain.name.clone(),
            clock: tester.clock.clone(),
        };
        Ok(Self {
            tester,
            apps,
            prober,
            domain,
            extra_ports: u16::try_from(test.extra_listen_ports).unwrap_or(u16::MAX),
            created: Created::default(),
            latencies: Latencies::default(),
            waited: Duration::ZERO,
        })
    }

    /// Runs all contexts. If a context ends with an error, its finished phases are in
    /// `tested`.
    async fn contexts(
        &mut self,
        seed: u64,
        tested: &mut Vec<ContextOutcome>,
    ) -> Result<(), TestError> {
        self.delete_left_over().await?;
        let last = self.tester.contexts.len().saturating_sub(1);
        for (at, context) in self.tester.contexts.iter().enumerate() {
            let keeps = self.tester.keeps_policies && at == last;
            self.context(*context, seed, keeps, tested).await?;
        }
        Ok(())
    }

    /// Waits some seconds until all tick instances are registered, and longer until the
    /// registry has dropped deleted instances.
    async fn registration(&self) -> Result<Registration, TestError> {
        let (ticks, instances) = (&self.apps.names.ticks, self.tester.test.test_app_instances);
        let clock = &self.tester.clock;
        let began = clock.now();
        let mut timeout = REGISTRATION_TIMEOUT;
        let total = ticks.len() * usize::try_from(instances).unwrap_or(usize::MAX);
        let phase = Phase::Registration;
        self.emit(Event::PhaseStarted { phase, total });
        loop {
            let found = self.registered().await?;
            let registration = match &found {
                Ok(addresses) => Registration::of(ticks, instances, addresses),
                Err(error) => Registration::failed(ticks, instances, error.clone()),
            };
            self.emit(Event::PhaseProgress {
                phase,
                done: found.map_or(0, |addresses| addresses.len().min(total)),
                failed: 0,
            });
            if timeout == REGISTRATION_TIMEOUT && self.is_outdated(&registration) {
                let ttl = self.tester.test.test_app_registry_ttl_seconds;
                let ttl = Duration::from_secs(ttl.into());
                timeout += ttl;
                self.note(format!(
                    "registration: {} more than expected; waiting up to {} until the registry forgets deleted instances",
                    counted(registration.registered - registration.expected, "instance"),
                    humantime::format_duration(ttl),
                ));
            }
            if registration.ok || clock.now() + REGISTRATION_PAUSE > began + timeout {
                self.emit(Event::PhaseEnded { phase });
                return Ok(registration);
            }
            let pause = clock.wait(REGISTRATION_PAUSE);
            self.tester.client.unless_interrupted(pause).await?;
        }
    }

    /// Whether the registry lists instances that no longer exist, because apps were
    /// deleted, scaled down or restarted.
    fn is_outdated(&self, registration: &Registration) -> bool {
        let mut surplus = registration.differences.iter();
        !registration.ok
            && registration.registered > registration.expected
            && surplus.all(|it| it.expected > 0 || !self.apps.exists(&it.app))
    }

    /// The registered instances, or the reason why they cannot be read.
    async fn registered(&self) -> Result<Result<Vec<Address>, String>, TestError> {
        let app = &self.apps.names.registry;
        match self.prober.get(app, registry::PATH).await {
            Ok(answer) if answer.is_success() => Ok(registry::parse(&answer.body)),
            Ok(answer) => Ok(Err(match &answer.router_error {
                Some(reason) => format!(
                    "the router responded for {app} with {} ({reason})",
                    answer.status
                ),
                None => format!("{app} responded with {}", answer.status),
            })),
            Err(error @ Error::Interrupted) => Err(error.into()),
            // A router that cannot be reached will not be reached for the next app
            // either.
            Err(Error::Unreachable { url, reason, .. }) => Err(TestError::NoRouter { url, reason }),
            Err(error) => Ok(Err(describe_error(app, &error))),
        }
    }

    async fn delete_left_over(&mut self) -> Result<(), TestError> {
        let client = &self.tester.client;
        let left_over = policies::left_over(client, &self.apps, self.extra_ports).await?;
        if left_over.is_empty() {
            return Ok(());
        }
        let policies = counted_policies(left_over.len());
        self.note(format!("deleting {policies} left over by an earlier test"));
        client.delete_network_policies(&left_over).await?;
        self.wait_for_policies("setup", "the deletion").await
    }

    /// Runs all phases of a context, and adds it to the tested contexts.
    async fn context(
        &mut self,
        context: Context,
        seed: u64,
        keeps_policies: bool,
        tested: &mut Vec<ContextOutcome>,
    ) -> Result<(), TestError> {
        let name = context.name();
        let (proxies, ticks) = context.apps(&self.apps.names.proxies, &self.apps.names.ticks);
        let (proxies, ticks) = (proxies.to_vec(), ticks.to_vec());
        let connections = self.connections(&proxies, &ticks).await?;
        let count = connections.count();
        let sampled = numbers::sample_size(count, self.tester.sample_percent);
        let policies = self.policies(&proxies, &ticks)?;
        self.note(format!(
            "{name}: {} to {} on {}, {}",
            counted(proxies.len() as u64, "proxy app"),
            counted(ticks.len() as u64, "tick app"),
            counted(u64::from(self.extra_ports) + 1, "port"),
            counted(count, "connection"),
        ));
        let mut phases = Vec::new();
        let random = randomness(seed, context);
        let ended = self.phases(
            context,
            &connections,
            &policies,
            keeps_policies,
            random,
            &mut phases,
        );
        let ended = ended.await;
        tested.push(ContextOutcome {
            name: context,
            proxies: proxies.len(),
            ticks: ticks.len(),
            policies: policies.len(),
            connections: count,
            sampled,
            phases,
        });
        ended
    }

    /// Runs the phases of a context. Finished phases are in `tested`.
    async fn phases(
        &mut self,
        context: Context,
        connections: &Connections,
        policies: &[NetworkPolicy],
        keeps_policies: bool,
        mut random: fastrand::Rng,
        tested: &mut Vec<PhaseOutcome>,
    ) -> Result<(), TestError> {
        let name = context.name();
        let mut next = move || fastrand::Rng::with_seed(random.u64(..));

        let phase = self.check(context, TestPhase::WithoutPolicies, connections, next());
        tested.push(phase.await?);
        self.note(format!(
            "{name}: creating {}",
            counted_policies(policies.len())
        ));
        let (client, created) = (&self.tester.client, &mut self.created);
        in_step(
            client,
            name,
            "creating the policies",
            created.create(client, policies),
        )
        .await?;
        self.wait_for_policies(name, "the policies").await?;

        let phase = self.check(context, TestPhase::WithPolicies, connections, next());
        tested.push(phase.await?);
        if keeps_policies {
            self.created.keep();
            return Ok(());
        }
        let settle = self.tester.settle;
        self.wait(name, "with the policies in place", settle)
            .await?;
        self.note(format!(
            "{name}: deleting {}",
            counted_policies(policies.len())
        ));
        let created = &mut self.created;
        in_step(
            client,
            name,
            "deleting the policies",
            created.delete(client),
        )
        .await?;
        self.wait_for_policies(name, "the deletion").await?;

        let phase = self.check(context, TestPhase::AfterDeletion, connections, next());
        tested.push(phase.await?);
        Ok(())
    }

    /// The connections from some proxy apps to all registered instances of some tick apps.
    async fn connections(
        &self,
        proxies: &[String],
        ticks: &[String],
    ) -> Result<Connections, TestError> {
        let registered = self.registered().await?.map_err(|error| {
            let what = "reading the addresses of the tick instances";
            Error::impossible(what, error)
        })?;
        let wanted: HashSet<&String> = ticks.iter().collect();
        let addresses = registered.into_iter();
        let addresses: Vec<Address> = addresses.filter(|it| wanted.contains(&it.app)).collect();
        if addresses.is_empty() {
            let what = format!("reading the addresses of {}", ticks.join(", "));
            return Err(Error::impossible(what, "no instance is registered").into());
        }
        let ports = numbers::ports(self.extra_ports);
        Ok(Connections::new(proxies, addresses, ports))
    }

    fn policies(
        &self,
        proxies: &[String],
        ticks: &[String],
    ) -> Result<Vec<NetworkPolicy>, TestError> {
        let ranges = numbers::port_ranges(self.extra_ports);
        let (proxies, ticks) = (self.apps.guids(proxies), self.apps.guids(ticks));
        let policies = numbers::policies(&proxies, &ticks, &ranges);
        Ok(self.tester.client.policies_on_wire(policies)?)
    }

    /// Tries a sample of the connections.
    async fn check(
        &mut self,
        context: Context,
        phase: TestPhase,
        connections: &Connections,
        mut random: fastrand::Rng,
    ) -> Result<PhaseOutcome, TestError> {
        let count = connections.count();
        let size = numbers::sample_size(count, self.tester.sample_percent);
        let check = Check::new(context.name(), phase.name());
        let name = check.to_string();
        let expected = match phase.expects_success() {
            true => "succeed",
            false => "fail",
        };
        self.note(format!(
            "{check}: {size} of {count} connections must {expected}"
        ));
        let at_once = CONNECTIONS_PER_INSTANCE.saturating_mul(self.tester.test.proxy_instances);
        let checked = PlannedCheck {
            check,
            connections: connections.clone(),
            sample: numbers::sample(count, size, &mut random),
            expects_success: phase.expects_success(),
            at_once: usize::try_from(at_once).unwrap_or(usize::MAX),
        };
        let step = format!("trying the connections {}", phase.name().replace('-', " "));
        let checking = self.prober.check(checked);
        let results = in_step(&self.tester.client, context.name(), &step, checking).await?;
        self.latencies.merge(&results.latencies);
        match results.failed.len() {
            0 => {}
            failed => self.note(format!("{name}: {failed} of {size} did not {expected}")),
        }
        Ok(PhaseOutcome {
            name: phase,
            ok: results.failed.is_empty(),
            failed: results.failed,
        })
    }

    async fn wait_for_policies(&mut self, context: &str, what: &str) -> Result<(), TestError> {
        let time = self.tester.policy_wait;
        let what = format!("for {what} to take effect");
        self.wait(context, &what, time).await
    }

    async fn wait(&mut self, context: &str, what: &str, time: Duration) -> Result<(), TestError> {
        let step = format!("waiting {} {what}", humantime::format_duration(time));
        self.note(format!("{context}: {step}"));
        let client = &self.tester.client;
        let wait = client.unless_interrupted(self.tester.clock.wait(time));
        in_step(client, context, &step, wait).await?;
        self.waited += time;
        Ok(())
    }

    pub(super) fn note(&self, text: String) {
        self.emit(Event::Note(text));
    }

    pub(super) fn emit(&self, event: Event) {
        self.tester.client.events().emit(event);
    }
}

/// Runs a step of a context. The trace shows the step.
pub(super) async fn in_step<T>(
    client: &Client,
    context: &str,
    step: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let context = StepContext::new(format!("test {context}"), step);
    client.events().step(context, work).await
}

/// The random numbers of a context, which do not depend on earlier contexts.
fn randomness(seed: u64, context: Context) -> fastrand::Rng {
    let mut random = fastrand::Rng::with_seed(seed);
    for other in Context::ALL {
        let seed = random.u64(..);
        if other == context {
            return fastrand::Rng::with_seed(seed);
        }
    }
    random
}

fn counted(count: u64, name: &str) -> String {
    match count {
        1 => format!("1 {name}"),
        _ => format!("{count} {name}s"),
    }
}

pub(super) fn counted_policies(count: usize) -> String {
    match count {
        1 => "1 policy".to_owned(),
        _ => format!("{count} policies"),
    }
}

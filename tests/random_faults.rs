//! Random configurations with random faults: a run fails only if a fault hit it, and the
//! final state is the last applied configuration.

use std::time::Duration;

use crate::support::world::{ResourceCounts, World};
use crate::support::{Workflow, apps_dir};
use mock_capi::{CloudController, Fault};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::json;

/// The number of cases that take a few seconds. `PROPTEST_CASES` and `PROPTEST_RNG_SEED`
/// override the number and the seed.
const CASES: u32 = 12;

#[derive(Debug, Clone)]
struct Config {
    proxies: u32,
    ticks: u32,
    instances: u32,
    rules: u32,
    ttl: u32,
    /// Whether all groups get different bits.
    other_bits: bool,
}

fn config() -> impl Strategy<Value = Config> {
    let sizes = (
        0..4_u32,
        0..4_u32,
        0..3_u32,
        0..4_u32,
        1..3_u32,
        any::<bool>(),
    );
    sizes.prop_map(
        |(proxies, ticks, instances, rules, ttl, other_bits)| Config {
            proxies,
            ticks,
            instances,
            rules,
            ttl,
            other_bits,
        },
    )
}

impl Config {
    fn json(&self) -> String {
        json!({
            "proxy_applications": self.proxies,
            "proxy_instances": self.instances,
            "test_applications": self.ticks,
            "test_app_instances": self.instances,
            "test_app_registry_ttl_seconds": self.ttl,
            "asg_size": self.rules,
        })
        .to_string()
    }

    /// The expected resources, without packages, because the package of a droplet may have
    /// expired.
    fn counts(&self) -> Vec<(&'static str, usize)> {
        let apps = usize::try_from(1 + self.proxies + self.ticks).unwrap();
        vec![
            ("apps STARTED", apps),
            ("domains", 1),
            ("droplets STAGED", apps),
            ("organization_quotas", 2),
            ("organizations", 1),
            ("processes", apps),
            ("routes", apps),
            ("security_groups", 1),
            ("spaces", 1),
        ]
    }

    fn groups(&self) -> usize {
        1 + usize::from(self.proxies > 0) + usize::from(self.ticks > 0)
    }
}

/// A fault in the nth request of the runs, or in the nth job, copy or staging.
fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop_oneof![
        prop::sample::select(vec![500, 502, 503]).prop_map(|it| Fault::answer("*", "*", it)),
        Just(Fault::answer("*", "*", 429).retry_after(Duration::ZERO)),
        Just(Fault::drop_before("*", "*")),
        Just(Fault::drop_after("*", "*")),
        Just(Fault::truncate("*", "*")),
        Just(Fault::expired_token("*", "*")),
    ];
    let of_request = (kind, 1..60_u64).prop_map(|(fault, nth)| fault.nth(nth));
    let started = prop::sample::select(vec![
        Fault::failed_job(),
        Fault::failed_copy(),
        Fault::failed_staging(),
    ]);
    let of_started = (started, 1..4_u64).prop_map(|(fault, nth)| fault.nth(nth));
    prop_oneof![4 => of_request, 1 => of_started]
}

fn workflow() -> impl Strategy<Value = Workflow> {
    prop_oneof![
        2 => Just(Workflow::Manifest),
        1 => Just(Workflow::PerApp),
        1 => Just(Workflow::Documented2017),
    ]
}

#[test]
fn any_config_converges_under_random_faults() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let configs = prop::collection::vec((config(), prop::collection::vec(fault(), 0..5)), 1..4);
    let mut proptest_config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        proptest_config.cases = CASES;
    }
    if proptest_config.rng_seed == RngSeed::Random {
        proptest_config.rng_seed = RngSeed::Fixed(1);
    }
    TestRunner::new(proptest_config)
        .run(&(workflow(), configs), |(workflow, configs)| {
            runtime.block_on(converge_each(workflow, &configs))
        })
        .unwrap();
}

async fn converge_each(
    workflow: Workflow,
    configs: &[(Config, Vec<Fault>)],
) -> Result<(), TestCaseError> {
    let mock = workflow.foundation().front().start().await.unwrap();
    let other_bits = apps_dir();
    for kind in ["registry", "tick", "proxy"] {
        std::fs::write(other_bits.path().join(kind).join("more.go"), "package main").unwrap();
    }
    for (config, faults) in configs {
        let apps_dir = config.other_bits.then_some(other_bits.path());
        let world = World::of(workflow, &config.json(), apps_dir);
        mock.set_faults(faults.clone()).unwrap();
        run_until_converged(&world, &mock, faults.len()).await?;
        mock.set_faults(Vec::new()).unwrap();
        prop_assert_eq!(world.verify(&mock).await, Vec::<String>::new());
        let mut counts = ResourceCounts::of(&mock);
        let packages = counts.0.remove("packages READY").unwrap_or_default();
        prop_assert!(packages <= config.groups(), "{} packages", packages);
        let counts: Vec<(&str, usize)> = counts.0.iter().map(|(k, n)| (k.as_str(), *n)).collect();
        prop_assert_eq!(counts, config.counts());
    }
    Ok(())
}

/// Each fault applies once, so a run succeeds after all of them at the latest.
async fn run_until_converged(
    world: &World,
    mock: &CloudController,
    faults: usize,
) -> Result<(), TestCaseError> {
    let mut outcomes = Vec::new();
    for _ in 0..=faults {
        match world.run(mock).await {
            Ok(()) => return Ok(()),
            Err(error) => outcomes.push(error),
        }
    }
    Err(TestCaseError::fail(format!("{outcomes:#?}")))
}

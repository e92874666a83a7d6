//! Random wishes, one after the other, in random weather: each run that fails had
//! something befall it, and what is there in the end is what was asked for last.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by that"
)]

mod support;

use std::time::Duration;

use mock_capi::{CloudController, Fault};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::json;
use support::world::{Census, World};
use support::{Way, apps_dir};

/// As many as take a few seconds; `PROPTEST_CASES` and `PROPTEST_RNG_SEED` say
/// otherwise.
const CASES: u32 = 12;

#[derive(Debug, Clone)]
struct Wish {
    proxies: u32,
    ticks: u32,
    instances: u32,
    rules: u32,
    ttl: u32,
    /// Whether the bits of all groups are others.
    other_bits: bool,
}

fn wish() -> impl Strategy<Value = Wish> {
    let sizes = (
        0..4_u32,
        0..4_u32,
        0..3_u32,
        0..4_u32,
        1..3_u32,
        any::<bool>(),
    );
    sizes.prop_map(|(proxies, ticks, instances, rules, ttl, other_bits)| Wish {
        proxies,
        ticks,
        instances,
        rules,
        ttl,
        other_bits,
    })
}

impl Wish {
    fn config(&self) -> String {
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

    /// Without the packages: of a droplet's, at most one is there.
    fn census(&self) -> Vec<(&'static str, usize)> {
        let apps = usize::try_from(1 + self.proxies + self.ticks).unwrap();
        vec![
            ("apps STARTED", apps),
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

/// What befalls the nth request of those that fulfil a wish, or the nth of what
/// they start.
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

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        2 => Just(Way::Manifest),
        1 => Just(Way::PerApp),
        1 => Just(Way::Documented2017),
    ]
}

#[test]
fn any_wish_comes_true_in_any_weather() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let wishes = prop::collection::vec((wish(), prop::collection::vec(fault(), 0..5)), 1..4);
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    TestRunner::new(config)
        .run(&(way(), wishes), |(way, wishes)| {
            runtime.block_on(come_true(way, &wishes))
        })
        .unwrap();
}

async fn come_true(way: Way, wishes: &[(Wish, Vec<Fault>)]) -> Result<(), TestCaseError> {
    let mock = way.foundation().front().start().await.unwrap();
    let other_bits = apps_dir();
    for kind in ["registry", "tick", "proxy"] {
        std::fs::write(other_bits.path().join(kind).join("more.go"), "package main").unwrap();
    }
    for (wish, faults) in wishes {
        let apps_dir = wish.other_bits.then_some(other_bits.path());
        let world = World::of(way, &wish.config(), apps_dir);
        mock.set_faults(faults.clone()).unwrap();
        run_until_fulfilled(&world, &mock, faults.len()).await?;
        mock.set_faults(Vec::new()).unwrap();
        prop_assert_eq!(world.verify(&mock).await, Vec::<String>::new());
        let mut census = Census::of(&mock);
        let packages = census.0.remove("packages READY").unwrap_or_default();
        prop_assert!(packages <= wish.groups(), "{} packages", packages);
        let census: Vec<(&str, usize)> = census.0.iter().map(|(k, n)| (k.as_str(), *n)).collect();
        prop_assert_eq!(census, wish.census());
    }
    Ok(())
}

/// Each fault strikes once, so at the latest the run after the last is well.
async fn run_until_fulfilled(
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

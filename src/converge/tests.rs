//! Tests that every step of a plan is necessary: if a step is left out, drift remains.

use std::time::Duration;

use futures::{StreamExt, stream};
use mock_capi::{MockCapi, Snapshot};
use rstest::rstest;

use super::plan::Step;
use super::*;
use crate::capi::client::ConnectOptions;
use crate::capi::transport::Credentials;
use crate::events::Events;
use crate::spec::scaling::ScalingTest;
use crate::spec::sources::Sources;

/// The number of fake foundations in parallel.
const WORLDS: usize = 8;

const SMALL: &str = r#"{
    "proxy_applications": 1, "proxy_instances": 2,
    "test_applications": 3, "test_app_instances": 2, "asg_size": 2
}"#;

/// A configuration with fewer apps, and with other sizes, environments and bits.
const OTHER: &str = r#"{
    "proxy_applications": 2, "proxy_instances": 3,
    "test_applications": 2, "test_app_instances": 2, "asg_size": 3,
    "test_app_registry_ttl_seconds": 7
}"#;

struct Config {
    desired: Desired,
}

impl Config {
    fn of(text: &str, apps_dir: Option<&std::path::Path>) -> Self {
        let test = ScalingTest::parse(text, "test").unwrap();
        let sources = Sources::read(&test, apps_dir).unwrap();
        Self {
            desired: test.desired(&sources).unwrap(),
        }
    }

    fn converger(&self, client: &Client, workflow: Workflow) -> Converger {
        let converger = Converger::new(client.clone(), self.desired.clone());
        Converger {
            workflow,
            ..converger
        }
    }
}

/// The bundled apps, each with an additional file.
fn other_bits() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bundled = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/apps");
    for group in ["registry", "tick", "proxy"] {
        let folder = dir.path().join(group);
        std::fs::create_dir(&folder).unwrap();
        for file in std::fs::read_dir(bundled.join(group)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
        std::fs::write(folder.join("more.go"), "package main").unwrap();
    }
    dir
}

/// A foundation, in the given state or new.
async fn foundation(dialect: Dialect, state: Option<&Snapshot>) -> (MockCapi, Client) {
    let builder = MockCapi::builder().copy_time(Duration::from_millis(30));
    let builder = builder.dialect(match dialect {
        Dialect::V3 => mock_capi::Dialect::V3,
        Dialect::Documented2017 => mock_capi::Dialect::Documented2017,
    });
    let mock = builder.start().await.unwrap();
    if let Some(state) = state {
        mock.restore(state).unwrap();
    }
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let target = ConnectOptions::new(mock.uri(), credentials);
    let client = Client::connect(&target, Events::new([])).await.unwrap();
    (mock, client)
}

#[rstest]
#[case::manifest(Dialect::V3, Workflow::Manifest)]
#[case::per_app(Dialect::V3, Workflow::PerApp)]
#[case::documented_2017(Dialect::Documented2017, Workflow::PerApp)]
#[tokio::test]
async fn every_step_of_a_plan_is_necessary(#[case] dialect: Dialect, #[case] workflow: Workflow) {
    let bits = other_bits();
    let small = || Config::of(SMALL, None);
    let changes = [
        (None, small()),
        (Some(small()), Config::of(OTHER, None)),
        (Some(small()), Config::of(SMALL, Some(bits.path()))),
    ];
    let mut needless = Vec::new();
    for (old, new) in &changes {
        let before = state_after(dialect, workflow, old.as_ref()).await;
        let without = |index| without_step(dialect, workflow, &before, new, index);
        let steps = stream::iter(0..).map(without).buffered(WORLDS);
        let steps: Vec<RemainingDrift> = steps
            .take_while(|left| std::future::ready(left.is_some()))
            .map(Option::unwrap)
            .collect()
            .await;
        assert!(steps.len() > 10, "{}", steps.len());
        needless.extend(steps.into_iter().filter(|(_, drift)| *drift == 0));
    }
    assert_eq!(needless, []);
}

/// A step, and the drift that remains without it.
type RemainingDrift = (String, usize);

/// The state of a foundation that was converged to `old`.
async fn state_after(dialect: Dialect, workflow: Workflow, old: Option<&Config>) -> Snapshot {
    let (mock, client) = foundation(dialect, None).await;
    if let Some(old) = old {
        let outcome = old
            .converger(&client, workflow)
            .converge(Approval::All)
            .await
            .unwrap();
        assert!(outcome.is_converged(), "{outcome:?}");
    }
    mock.snapshot().unwrap()
}

/// Converges a foundation in the state `before` to `new`, without one step.
async fn without_step(
    dialect: Dialect,
    workflow: Workflow,
    before: &Snapshot,
    new: &Config,
    index: usize,
) -> Option<RemainingDrift> {
    let (mock, client) = foundation(dialect, Some(before)).await;
    let converger = new.converger(&client, workflow);
    let bits = converger.prepare().await.unwrap();
    let mut seen = converger.observe_and_plan(bits, false).await.unwrap();
    let step = remove_step(dialect, &mut seen.plan, index)?;
    let ObservedPlan { observed, plan } = &seen;
    apply::apply(&client, &new.desired, observed, bits, plan, DEFAULT_BATCH).await;
    let seen = converger.observe_and_plan(bits, true).await.unwrap();
    let drift = verify::verify(&new.desired, &seen.observed, &seen.plan);
    // The route is the only trace of a deleted app.
    let routes = mock.state()["routes"].as_array().unwrap().len();
    Some((step, drift.len() + routes.abs_diff(new.desired.app_count())))
}

/// Removes a step from a plan, and returns its description.
fn remove_step(dialect: Dialect, plan: &mut Plan, mut index: usize) -> Option<String> {
    for resource in &mut plan.resources {
        let mut needed = resource
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| shows(dialect, step));
        if let Some((at, _)) = needed.nth(index) {
            let step = resource.steps.remove(at);
            return Some(format!("{}: {step}", resource.target));
        }
        let steps = resource.steps.iter();
        index -= steps.filter(|step| shows(dialect, step)).count();
    }
    None
}

/// Whether the foundation shows that a step was carried out. It does not show whether an
/// app was stopped before a change, whether a wait was long enough, or whether an
/// annotation was removed in time. In 2017, the only droplet of an app counts as its
/// current droplet. The per-app workflow always scales apps, even to one instance.
fn shows(dialect: Dialect, step: &Step) -> bool {
    match step {
        Step::Stop | Step::AwaitDroplet | Step::RemoveBitsHash { .. } => false,
        Step::SetDroplet { .. } => dialect == Dialect::V3,
        Step::Scale { instances, .. } => *instances != Some(1),
        _ => true,
    }
}

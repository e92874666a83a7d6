//! The command is killed at any request and run again. The result is the desired state,
//! and the second run does not repeat the work of the first.

use std::collections::BTreeMap;
use std::future::ready;
use std::process::Stdio;
use std::time::Duration;

use crate::support::command::Place;
use crate::support::world::{ResourceCounts, World};
use crate::support::{FEW, Workflow};
use futures::{StreamExt, stream};
use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use tokio::process::Command;

/// The endpoints that create resources. A killed run and the next one together call each
/// as often as a single run. Packages are not included, because it is unknown whether an
/// upload to an empty package is still in progress. In 2017, packages do not show their
/// bits, so unrecorded bits are pushed again.
fn once(workflow: Workflow) -> &'static [&'static str] {
    match workflow {
        Workflow::Manifest | Workflow::PerApp => &[
            "POST /v3/organization_quotas",
            "POST /v3/organizations",
            "POST /v3/spaces",
            "POST /v3/security_groups",
            "POST /v3/apps",
            "POST /v3/routes",
            "POST /v3/packages/:guid/upload",
            "POST /v3/builds",
            "POST /v3/droplets",
            "POST /v3/deployments",
        ],
        Workflow::Documented2017 => &[
            "POST /v2/quota_definitions",
            "POST /v2/organizations",
            "POST /v2/spaces",
            "POST /v2/security_groups",
            "POST /v3/apps",
            "POST /v2/routes",
            "POST /v3/route_mappings",
        ],
    }
}

#[rstest]
#[case::manifest(Workflow::Manifest, 3, 10)]
#[case::per_app(Workflow::PerApp, 5, 9)]
#[case::documented_2017(Workflow::Documented2017, 5, 9)]
#[tokio::test]
async fn a_run_killed_at_any_request_is_finished_by_the_next(
    #[case] workflow: Workflow,
    #[case] step: usize,
    #[case] at_least: usize,
) {
    let kills = kill_every(workflow, step).await;
    assert!(kills >= at_least, "only {kills}");
}

#[rstest]
#[tokio::test]
#[ignore = "takes minutes: .ci/full runs it"]
async fn a_run_killed_at_each_request_is_finished_by_the_next(
    #[values(Workflow::Manifest, Workflow::PerApp, Workflow::Documented2017)] workflow: Workflow,
) {
    let kills = kill_every(workflow, 1).await;
    assert!(kills >= 30, "only {kills}");
}

/// Kills a run at its first request, another one `step` requests later, and so on. Returns
/// the number of killed runs.
async fn kill_every(workflow: Workflow, step: usize) -> usize {
    let world = World::new(workflow, FEW);
    let mock = world.foundation().start().await.unwrap();
    world.run(&mock).await.unwrap();
    let requests = usize::try_from(mock.stats().total).unwrap();
    let expected = (ResourceCounts::of(&mock), done(workflow, &mock));
    stream::iter((1..=requests).step_by(step))
        .map(|nth| kill_at(&world, nth, &expected))
        .buffer_unordered(4)
        .filter(|killed| ready(*killed))
        .count()
        .await
}

#[tokio::test]
async fn a_run_with_supporting_resources_is_finished_by_the_next() {
    let drops = drop_every(5).await;
    assert!(drops >= 20, "only {drops}");
}

#[tokio::test]
#[ignore = "takes minutes: .ci/full runs it"]
async fn a_run_with_supporting_resources_dropped_at_each_request_is_finished_by_the_next() {
    let drops = drop_every(1).await;
    assert!(drops >= 100, "only {drops}");
}

/// Drops a run at its first request, another one `step` requests later, and so on. Returns
/// the number of dropped runs.
async fn drop_every(step: usize) -> usize {
    let world = World::declared();
    let (expected, requests) = world.measured().await;
    stream::iter((1..=requests).step_by(step))
        .map(|nth| drop_at(&world, nth, &expected))
        .buffer_unordered(8)
        .filter(|dropped| ready(*dropped))
        .count()
        .await
}

/// Drops a run when its nth request arrives, and runs again. Returns whether the run had
/// so many requests.
async fn drop_at(world: &World, nth: usize, expected: &ResourceCounts) -> bool {
    let held = u64::try_from(nth).unwrap();
    let hold = Fault::delay("*", "*", Duration::from_secs(600)).nth(held);
    let builder = world.foundation().record_requests().faults(vec![hold]);
    let mock = builder.start().await.unwrap();
    let arrival = async {
        while mock.stats().total < held {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        outcome = Box::pin(world.run(&mock)) => {
            assert_eq!(outcome, Ok(()));
            return false;
        }
        () = arrival => {}
    }
    mock.set_faults(Vec::new()).unwrap();
    // Requests are processed in the order in which they were sent.
    world.get(&mock, "/_mock/stats").await;
    let request = &mock.requests()[nth - 1];
    let context = format!("dropped at {nth}, {} {}", request.method, request.path);
    assert_eq!(Box::pin(world.run(&mock)).await, Ok(()), "{context}");
    assert_eq!(ResourceCounts::of(&mock), *expected, "{context}");
    assert_eq!(Box::pin(world.verify(&mock)).await, [""; 0], "{context}");
    true
}

/// Kills a run when its nth request arrives, and runs again. Returns whether the run had
/// so many requests.
async fn kill_at(world: &World, nth: usize, expected: &(ResourceCounts, Done)) -> bool {
    let held = u64::try_from(nth).unwrap();
    let hold = Fault::delay("*", "*", Duration::from_secs(600)).nth(held);
    let builder = world.foundation().record_requests().faults(vec![hold]);
    let mock = builder.start().await.unwrap();
    if !kill(world.workflow, &mock, held).await {
        return false;
    }
    mock.set_faults(Vec::new()).unwrap();
    // Requests are processed in the order in which they were sent.
    world.get(&mock, "/_mock/stats").await;
    let request = &mock.requests()[nth - 1];
    let context = format!(
        "killed at request {nth}, {} {}",
        request.method, request.path
    );
    assert_eq!(world.run(&mock).await, Ok(()), "{context}");
    assert_eq!(
        (ResourceCounts::of(&mock), done(world.workflow, &mock)),
        *expected,
        "{context}"
    );
    assert_eq!(world.verify(&mock).await, [""; 0], "{context}");
    true
}

/// Kills the command when this number of requests has arrived. Returns whether they
/// arrived.
async fn kill(workflow: Workflow, mock: &MockCapi, requests: u64) -> bool {
    let place = Place::new();
    let mut args = vec!["converge"];
    if workflow == Workflow::PerApp {
        args.extend(["--workflow", "per-app"]);
    }
    let mut command = Command::from(place.process_on(mock, FEW, &args));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.kill_on_drop(true).spawn().unwrap();
    while mock.stats().total < requests {
        if let Some(status) = run.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    run.kill().await.unwrap();
    true
}

/// The number of requests to each of these endpoints.
type Done = BTreeMap<&'static str, u64>;

fn done(workflow: Workflow, mock: &MockCapi) -> Done {
    let stats = mock.stats();
    let count = |route: &str| stats.by_route.get(route).copied().unwrap_or_default();
    let routes = once(workflow).iter();
    routes.map(|route| (*route, count(route))).collect()
}

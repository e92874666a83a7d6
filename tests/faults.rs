//! After a fault in any request, no resource is lost, duplicated or left over.
//!
//! Each test injects a fault into the first request, job or staging that it can affect,
//! then into the second, and so on, each time in a new world. The affected run, or the
//! next one, must leave the same state as an undisturbed run.

use std::future::ready;
use std::time::Duration;

use crate::support::world::{ResourceCounts, World};
use crate::support::{FEW, Workflow};
use futures::{StreamExt, stream};
use mock_capi::Fault;
use rstest::rstest;

/// The number of worlds that are tested in parallel.
const WORLDS: usize = 16;

fn answer(status: u16) -> Fault {
    Fault::answer("*", "*", status)
}

fn rate_limit() -> Fault {
    answer(429).retry_after(Duration::ZERO)
}

/// Each fault affects every fourth request, with an offset that differs between similar
/// faults, so that each request is affected by some of them.
#[rstest]
#[case::answered_500(answer(500), 1)]
#[case::answered_502(answer(502), 2)]
#[case::answered_503(answer(503), 3)]
#[case::rate_limited(rate_limit(), 4)]
#[case::dropped_before(Fault::drop_before("*", "*"), 1)]
#[case::dropped_after(Fault::drop_after("*", "*"), 2)]
#[case::truncated(Fault::truncate("*", "*"), 3)]
#[case::expired_token(Fault::expired_token("*", "*"), 4)]
#[tokio::test]
async fn a_run_by_manifests_survives_a_failure_of_any_request(
    #[case] fault: Fault,
    #[case] first: usize,
) {
    let world = World::new(Workflow::Manifest, FEW);
    let applied = inject_into_requests(&world, &fault, first, 4).await;
    assert!(applied >= 7, "only {applied} requests");
}

#[rstest]
#[case::answered_500(answer(500))]
#[case::answered_502(answer(502))]
#[case::answered_503(answer(503))]
#[case::rate_limited(rate_limit())]
#[case::dropped_before(Fault::drop_before("*", "*"))]
#[case::dropped_after(Fault::drop_after("*", "*"))]
#[case::truncated(Fault::truncate("*", "*"))]
#[case::expired_token(Fault::expired_token("*", "*"))]
#[tokio::test]
#[ignore = "takes minutes: .ci/full runs it"]
async fn a_run_survives_each_failure_of_each_request(
    #[case] fault: Fault,
    #[values(Workflow::Manifest, Workflow::PerApp, Workflow::Documented2017)] workflow: Workflow,
) {
    let applied = inject_into_requests(&World::new(workflow, FEW), &fault, 1, 1).await;
    assert!(applied >= 30, "only {applied} requests");
}

/// Each fault affects every seventh request, with a different offset for each fault, so
/// that each request is affected by one of them.
#[rstest]
#[case::answered_500(answer(500), 1)]
#[case::answered_503(answer(503), 2)]
#[case::rate_limited(rate_limit(), 3)]
#[case::dropped_before(Fault::drop_before("*", "*"), 4)]
#[case::dropped_after(Fault::drop_after("*", "*"), 5)]
#[case::truncated(Fault::truncate("*", "*"), 6)]
#[case::expired_token(Fault::expired_token("*", "*"), 7)]
#[tokio::test]
async fn supporting_resources_survive_a_failure_of_any_request(
    #[case] fault: Fault,
    #[case] first: usize,
) {
    let applied = inject_into_requests(&World::declared(), &fault, first, 7).await;
    assert!(applied >= 14, "only {applied} requests");
}

#[rstest]
#[case::answered_500(answer(500))]
#[case::answered_503(answer(503))]
#[case::rate_limited(rate_limit())]
#[case::dropped_before(Fault::drop_before("*", "*"))]
#[case::dropped_after(Fault::drop_after("*", "*"))]
#[case::truncated(Fault::truncate("*", "*"))]
#[case::expired_token(Fault::expired_token("*", "*"))]
#[tokio::test]
#[ignore = "takes minutes: .ci/full runs it"]
async fn supporting_resources_survive_each_failure_of_each_request(#[case] fault: Fault) {
    let applied = inject_into_requests(&World::declared(), &fault, 1, 1).await;
    assert!(applied >= 100, "only {applied} requests");
}

/// Each fault affects every third request, with a different offset for each fault.
#[rstest]
#[case::answered_500(answer(500), 1)]
#[case::rate_limited(rate_limit(), 2)]
#[case::dropped_before(Fault::drop_before("*", "*"), 3)]
#[case::dropped_after(Fault::drop_after("*", "*"), 1)]
#[case::truncated(Fault::truncate("*", "*"), 2)]
#[case::expired_token(Fault::expired_token("*", "*"), 3)]
#[tokio::test]
async fn a_run_app_by_app_survives_a_failure_of_any_request(
    #[case] fault: Fault,
    #[case] first: usize,
    #[values(Workflow::PerApp, Workflow::Documented2017)] workflow: Workflow,
) {
    let applied = inject_into_requests(&World::new(workflow, FEW), &fault, first, 3).await;
    assert!(applied >= 15, "only {applied} requests");
}

/// The only jobs are those of manifests.
#[rstest]
#[case::job(Fault::failed_job(), Workflow::Manifest, 2)]
#[case::copy(Fault::failed_copy(), Workflow::Manifest, 2)]
#[case::copy_per_app(Fault::failed_copy(), Workflow::PerApp, 2)]
#[case::copy_in_2017(Fault::failed_copy(), Workflow::Documented2017, 2)]
#[case::staging(Fault::failed_staging(), Workflow::Manifest, 2)]
#[case::staging_per_app(Fault::failed_staging(), Workflow::PerApp, 2)]
#[case::staging_in_2017(Fault::failed_staging(), Workflow::Documented2017, 2)]
#[tokio::test]
async fn a_run_survives_failed_jobs_copies_and_stagings(
    #[case] fault: Fault,
    #[case] workflow: Workflow,
    #[case] expected: usize,
) {
    let world = World::new(workflow, FEW);
    let counts = world.undisturbed().await;
    let applied = inject_each(&world, &fault, 1..=expected + 1, &counts).await;
    assert_eq!(applied, expected);
}

/// Injects a fault into the request number `first`, `first + step`, and so on. Returns the
/// number of requests.
async fn inject_into_requests(world: &World, fault: &Fault, first: usize, step: usize) -> usize {
    let (expected, requests) = world.measured().await;
    let positions = (first..=requests).step_by(step);
    inject_each(world, fault, positions, &expected).await
}

/// Injects a fault at each position. Returns the number of runs that it affected.
async fn inject_each(
    world: &World,
    fault: &Fault,
    positions: impl Iterator<Item = usize>,
    expected: &ResourceCounts,
) -> usize {
    stream::iter(positions)
        .map(|nth| inject(world, fault, nth, expected))
        .buffer_unordered(WORLDS)
        .filter(|applied| ready(*applied))
        .count()
        .await
}

/// Whether the run is long enough for the fault's position.
async fn inject(world: &World, fault: &Fault, nth: usize, expected: &ResourceCounts) -> bool {
    let nth_fault = fault.clone().nth(u64::try_from(nth).unwrap());
    let builder = world.foundation().front().record_requests();
    let mock = builder.faults(vec![nth_fault]).start().await.unwrap();
    let first = Box::pin(world.run(&mock)).await;
    if mock.faults()[0].applied != 1 {
        assert_eq!(first, Ok(()));
        return false;
    }
    let requests = mock.requests();
    let request = requests.get(nth - 1);
    let request = request.map(|it| format!("{} {}", it.method, it.path));
    let context =
        format!("{fault:?}\nat position {nth}, in the request {request:?}\nfirst run: {first:?}");
    if first.is_err() {
        let second = Box::pin(world.run(&mock)).await;
        assert_eq!(second, Ok(()), "{context}");
    }
    assert_eq!(ResourceCounts::of(&mock), *expected, "{context}");
    assert_eq!(world.verify(&mock).await, [""; 0], "{context}");
    true
}

//! Nothing is lost, duplicated or left over, whichever request fails.
//!
//! Each test injects a fault into the first request, job or staging that it can affect,
//! then into the second, and so on until a run has fewer; each time in a world of its
//! own. The affected run, or the next one, must leave the same state as an undisturbed
//! run.

use std::future::ready;
use std::time::Duration;

use crate::support::world::{Census, World};
use crate::support::{SMALL, Workflow};
use futures::{StreamExt, stream};
use mock_capi::{CloudController, Fault};
use rstest::rstest;

/// The number of worlds that are tested at once.
const WORLDS: usize = 8;

fn answer(status: u16) -> Fault {
    Fault::answer("*", "*", status)
}

fn rate_limit() -> Fault {
    answer(429).retry_after(Duration::ZERO)
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
async fn a_run_by_manifests_survives_a_failure_of_any_request(#[case] fault: Fault) {
    let befallen = befall_each(Workflow::Manifest, &fault, 1, 1).await;
    assert!(befallen >= 45, "only {befallen} requests");
}

/// Each fault affects every fourth request, with a different offset for each fault.
#[rstest]
#[case::answered_500(answer(500), 1)]
#[case::answered_503(answer(503), 2)]
#[case::rate_limited(rate_limit(), 3)]
#[case::dropped_before(Fault::drop_before("*", "*"), 4)]
#[case::dropped_after(Fault::drop_after("*", "*"), 1)]
#[case::dropped_after_others(Fault::drop_after("*", "*"), 3)]
#[case::truncated(Fault::truncate("*", "*"), 2)]
#[case::expired_token(Fault::expired_token("*", "*"), 3)]
#[tokio::test]
async fn all_that_is_around_apps_survives_a_failure_of_any_request(
    #[case] fault: Fault,
    #[case] first: usize,
) {
    let befallen = befall_each_of(&World::declared(), &fault, first, 4).await;
    assert!(befallen >= 25, "only {befallen} requests");
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
    let befallen = befall_each(workflow, &fault, first, 3).await;
    assert!(befallen >= 20, "only {befallen} requests");
}

/// The only jobs are those of manifests.
#[rstest]
#[case::job(Fault::failed_job(), Workflow::Manifest, 2)]
#[case::copy(Fault::failed_copy(), Workflow::Manifest, 4)]
#[case::copy_per_app(Fault::failed_copy(), Workflow::PerApp, 4)]
#[case::copy_in_2017(Fault::failed_copy(), Workflow::Documented2017, 4)]
#[case::staging(Fault::failed_staging(), Workflow::Manifest, 3)]
#[case::staging_per_app(Fault::failed_staging(), Workflow::PerApp, 3)]
#[case::staging_in_2017(Fault::failed_staging(), Workflow::Documented2017, 3)]
#[tokio::test]
async fn a_run_survives_failed_jobs_copies_and_stagings(
    #[case] fault: Fault,
    #[case] workflow: Workflow,
    #[case] expected: usize,
) {
    assert_eq!(befall_each(workflow, &fault, 1, 1).await, expected);
}

/// Injects a fault at position `first`, `first + step`, and so on. Returns the number of
/// positions.
async fn befall_each(workflow: Workflow, fault: &Fault, first: usize, step: usize) -> usize {
    befall_each_of(&World::new(workflow, SMALL), fault, first, step).await
}

async fn befall_each_of(world: &World, fault: &Fault, first: usize, step: usize) -> usize {
    let expected = world.undisturbed().await;
    stream::iter((first..).step_by(step))
        .map(|nth| befall(world, fault, nth, &expected))
        .buffered(WORLDS)
        .take_while(|befell| ready(*befell))
        .count()
        .await
}

/// Whether the run is long enough for the fault's position.
async fn befall(world: &World, fault: &Fault, nth: usize, expected: &Census) -> bool {
    let nth_fault = fault.clone().nth(u64::try_from(nth).unwrap());
    let builder = world.foundation().front().record_requests();
    let mock = builder.faults(vec![nth_fault]).start().await.unwrap();
    let first = Box::pin(world.run(&mock)).await;
    if !has_struck(world, &mock).await {
        assert_eq!(first, Ok(()));
        return false;
    }
    let requests = mock.requests();
    let request = requests.get(nth - 1);
    let request = request.map(|it| format!("{} {}", it.method, it.path));
    let context = format!(
        "{fault:?}\nat the number {nth}; that request is {request:?}\nfirst run: {first:?}"
    );
    if first.is_err() {
        let second = Box::pin(world.run(&mock)).await;
        assert_eq!(second, Ok(()), "{context}");
    }
    assert_eq!(Census::of(&mock), *expected, "{context}");
    assert_eq!(world.verify(&mock).await, [""; 0], "{context}");
    true
}

async fn has_struck(world: &World, mock: &CloudController) -> bool {
    let faults = world.get(mock, "/_mock/faults").await;
    faults[0]["struck"] == 1
}

//! Two concurrent runs of the same configuration leave the same state as one.

use std::time::Duration;

use crate::support::world::{ResourceCounts, World};
use crate::support::{SMALL, Workflow};
use futures::{StreamExt, stream};
use rstest::rstest;

/// The number of worlds, each with its own order of requests.
const WORLDS: u64 = 16;

const PACKAGES: &str = "packages READY";

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn two_concurrent_runs_leave_the_same_state_as_one(#[case] workflow: Workflow) {
    let world = World::new(workflow, SMALL);
    let mut expected = world.undisturbed().await;
    assert_eq!(expected.0.remove(PACKAGES), Some(3));
    stream::iter(0..WORLDS)
        .for_each_concurrent(8, |seed| {
            let (world, expected) = (&world, &expected);
            async move {
                let moment = Duration::from_millis(10);
                let builder = world
                    .foundation()
                    .seed(seed)
                    .latency(moment / 4)
                    .jitter(1.0);
                let builder = builder.staging_time(moment).copy_time(moment);
                let mock = builder.job_time(moment).start().await.unwrap();
                // The second run starts with a different delay in each world.
                let later = async {
                    tokio::time::sleep(moment * u32::try_from(seed).unwrap()).await;
                    world.run(&mock).await
                };
                let outcomes = tokio::join!(world.run(&mock), later);
                let context = format!("in world {seed}");
                assert_eq!(outcomes, (Ok(()), Ok(())), "{context}");
                let mut counts = ResourceCounts::of(&mock);
                // The package of one of the two droplets may have expired.
                let packages = counts.0.remove(PACKAGES).unwrap_or_default();
                assert!(packages <= 3, "{packages} packages {context}");
                assert_eq!(counts, *expected, "{context}");
                assert_eq!(world.verify(&mock).await, [""; 0], "{context}");
            }
        })
        .await;
}

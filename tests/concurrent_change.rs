//! Someone else changes the foundation during a run, or the foundation is in an
//! unexpected state. The run repairs it, or reports it within the deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::disturbance::after_first;
use crate::support::world::{ResourceCounts, World};
use crate::support::{Fixture, SMALL, Workflow, curl};
use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

const MOMENT: Duration = Duration::from_millis(300);

/// A page has 100 routes. A route of the first page is deleted before the second page is
/// requested, so the route that moves from the second page to the first is on neither
/// page.
#[tokio::test]
async fn a_resource_that_slips_between_two_pages_is_not_created_twice() {
    let many = SMALL.replace("\"test_applications\": 3", "\"test_applications\": 104");
    let fixture = Fixture::new(Workflow::Documented2017).await;
    fixture.converge_up_to_date(&many).await;
    let hosts = |mock: &MockCapi| mock.state()["routes"].as_array().unwrap().len();
    assert_eq!(hosts(&fixture.mock), 108);
    let first = fixture
        .curl("GET", "/v2/routes?q=host:scale-tick-0", Value::Null)
        .await;
    let first = first["resources"][0]["metadata"]["guid"].as_str().unwrap();
    let first = format!("/v2/routes/{first}");
    let is_deleted = Arc::new(AtomicBool::new(false));
    let deleted = Arc::clone(&is_deleted);
    after_first(
        &fixture.mock,
        "GET",
        "/v2/spaces/:guid/routes",
        move |somebody| {
            somebody.delete(&first);
            deleted.store(true, Ordering::Relaxed);
        },
    )
    .await;
    let outcome = fixture.converge(&many).await;
    assert!(is_deleted.load(Ordering::Relaxed), "between two pages");
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(hosts(&fixture.mock), 108);
}

/// All apps are deleted while a request of each kind is in flight.
#[rstest]
#[case::manifest("POST", "/v3/spaces/:guid/actions/apply_manifest")]
#[case::upload("POST", "/v3/packages/:guid/upload")]
#[case::staging("POST", "/v3/builds")]
#[case::copy("POST", "/v3/droplets")]
#[case::deployment("POST", "/v3/deployments")]
#[tokio::test]
async fn apps_deleted_during_a_run_are_created_again(#[case] method: &str, #[case] path: &str) {
    let world = World::new(Workflow::Manifest, SMALL);
    let expected = world.undisturbed().await;
    let fixture = Fixture::new(Workflow::Manifest).await;
    after_first(&fixture.mock, method, path, |somebody| {
        for app in somebody.apps() {
            somebody.delete(&format!("/v3/apps/{app}"));
        }
    })
    .await;
    let outcome = fixture.converge(SMALL).await;
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(fixture.verify(SMALL).await, []);
    // The routes of deleted apps remain and are reused.
    assert_eq!(ResourceCounts::of(&fixture.mock), expected);
}

/// The org exists until its deletion job ends.
#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[tokio::test]
async fn an_org_that_is_being_deleted_is_created_again_by_this_run_or_the_next(
    #[case] workflow: Workflow,
) {
    let world = World::new(workflow, SMALL);
    let expected = world.undisturbed().await;
    let mock = world.foundation().start().await.unwrap();
    world.run(&mock).await.unwrap();
    let times = json!({"job": "300ms"});
    curl(&mock, "PUT", "/_mock/times", times).await;
    let org = mock.state()["organizations"][0]["guid"].clone();
    let path = format!("/v3/organizations/{}", org.as_str().unwrap());
    curl(&mock, "DELETE", &path, Value::Null).await;
    // The instances that this run adds are deleted with the org.
    let more = World::new(
        workflow,
        &SMALL.replace("\"test_app_instances\": 2", "\"test_app_instances\": 3"),
    );
    let first = more.run(&mock).await;
    tokio::time::sleep(MOMENT).await;
    let second = world.run(&mock).await;
    assert_eq!(second, Ok(()), "first run: {first:?}");
    assert_eq!(ResourceCounts::of(&mock), expected, "first run: {first:?}");
}

/// Many kinds of drift at once, as they accumulate over time.
#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn stopped_apps_are_started_and_missing_ones_created(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_up_to_date(SMALL).await;
    let expected = ResourceCounts::of(&fixture.mock);
    let stop = match workflow {
        Workflow::Documented2017 => ("PUT", "stop"),
        _ => ("POST", "actions/stop"),
    };
    for app in ["scale-registry", "scale-tick-2"] {
        let path = format!("/v3/apps/{}/{}", fixture.app(app).await, stop.1);
        fixture.curl(stop.0, &path, Value::Null).await;
    }
    // This is a prototype, and the droplet that the clones' droplets were copied from.
    let path = format!("/v3/apps/{}", fixture.app("scale-proxy-0").await);
    fixture.curl("DELETE", &path, Value::Null).await;
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 5);
    assert_eq!(ResourceCounts::of(&fixture.mock), expected);
}

/// The run waits for the instances until its timeout, and reports them.
#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn crashed_instances_are_reported_and_run_after_the_cause_is_gone(
    #[case] workflow: Workflow,
) {
    let crashing = Fault::crashing_instances().of("scale-tick-1");
    let mock = workflow
        .foundation()
        .faults(vec![crashing])
        .start()
        .await
        .unwrap();
    // The wait ends long before its deadline.
    let world = World::new(workflow, SMALL).timeout(Duration::from_secs(600));
    let failed = world.run(&mock).await.unwrap_err();
    insta::allow_duplicates! {
        insta::assert_snapshot!(failed, @r"
        app scale-tick-1: waiting for instances failed: all instances crashed
        app scale-tick-1: 0 of 2 instances running (2 CRASHED)
        ");
    }
    mock.set_faults(Vec::new()).unwrap();
    let app = mock.state()["apps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "scale-tick-1")
        .unwrap()["guid"]
        .clone();
    let (method, action) = match workflow {
        Workflow::Documented2017 => ("PUT", "stop"),
        _ => ("POST", "actions/stop"),
    };
    let path = format!("/v3/apps/{}/{action}", app.as_str().unwrap());
    curl(&mock, method, &path, Value::Null).await;
    assert_eq!(world.run(&mock).await, Ok(()));
}

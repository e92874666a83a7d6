//! The foundation is odd: what is there changes while it is looked at, or is in a
//! state that nobody asked for. It is repaired or reported, in time.

use std::time::Duration;

use crate::support::world::{Census, World};
use crate::support::{Fixture, SMALL, Workflow, curl};
use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

const MOMENT: Duration = Duration::from_millis(300);

/// A list of routes has 100 a page here; one that is on the first goes while the
/// second is being asked for, so that the one in between is on neither.
#[tokio::test]
async fn a_resource_that_slips_between_two_pages_is_not_created_twice() {
    let many = SMALL.replace("\"test_applications\": 3", "\"test_applications\": 104");
    let fixture = Fixture::new(Workflow::Documented2017).await;
    fixture.converge_well(&many).await;
    let hosts = |mock: &MockCapi| mock.state()["routes"].as_array().unwrap().len();
    assert_eq!(hosts(&fixture.mock), 108);
    let first = fixture
        .curl("GET", "/v2/routes?q=host:scale-tick-0", Value::Null)
        .await;
    let first = first["resources"][0]["metadata"]["guid"].as_str().unwrap();
    let slow = Fault::delay("GET", "/v2/spaces/:guid/routes", MOMENT).nth(1);
    fixture.mock.set_faults(vec![slow]).unwrap();
    fixture.mock.forget_requests();
    let deletion = async {
        while !fixture
            .mock
            .requests()
            .iter()
            .any(|it| it.path.ends_with("/routes"))
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        fixture
            .curl("DELETE", &format!("/v2/routes/{first}"), Value::Null)
            .await;
    };
    let (outcome, ()) = tokio::join!(fixture.converge(&many), deletion);
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(hosts(&fixture.mock), 108);
}

/// All apps that are there go while a request of that kind is under way.
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
    let slow = Fault::delay(method, path, MOMENT).nth(1);
    fixture.mock.set_faults(vec![slow]).unwrap();
    let deletion = async {
        let route = format!("{method} {path}");
        while !fixture.mock.stats().by_route.contains_key(&route) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for app in fixture.mock.state()["apps"].as_array().unwrap() {
            let path = format!("/v3/apps/{}", app["guid"].as_str().unwrap());
            fixture.curl("DELETE", &path, Value::Null).await;
        }
    };
    let (outcome, ()) = tokio::join!(fixture.converge(SMALL), deletion);
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(fixture.verify(SMALL).await, []);
    // The routes of deleted apps stay, and are used again.
    assert_eq!(Census::of(&fixture.mock), expected);
}

/// Its job takes a while, in which all is there still.
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
    // What is lacking has to be made, just when all goes.
    let more = World::new(
        workflow,
        &SMALL.replace("\"test_app_instances\": 2", "\"test_app_instances\": 3"),
    );
    let first = more.run(&mock).await;
    tokio::time::sleep(MOMENT).await;
    let second = world.run(&mock).await;
    assert_eq!(second, Ok(()), "first run: {first:?}");
    assert_eq!(Census::of(&mock), expected, "first run: {first:?}");
}

/// All at once of what one finds in an org that was left alone for long.
#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn stopped_apps_are_started_and_missing_ones_created(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_well(SMALL).await;
    let expected = Census::of(&fixture.mock);
    let stop = match workflow {
        Workflow::Documented2017 => ("PUT", "stop"),
        _ => ("POST", "actions/stop"),
    };
    for app in ["scale-registry", "scale-tick-2"] {
        let path = format!("/v3/apps/{}/{}", fixture.app(app).await, stop.1);
        fixture.curl(stop.0, &path, Value::Null).await;
    }
    // A prototype, with the droplet that all others were copied from.
    let path = format!("/v3/apps/{}", fixture.app("scale-proxy-0").await);
    fixture.curl("DELETE", &path, Value::Null).await;
    assert_eq!(fixture.converge_well(SMALL).await, 5);
    assert_eq!(Census::of(&fixture.mock), expected);
}

/// They are not waited for longer than asked, and named.
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
    let world = World::new(workflow, SMALL).timeout(Duration::from_secs(2));
    let failed = world.run(&mock).await.unwrap_err();
    let how = match workflow {
        Workflow::Documented2017 => "app scale-tick-1: 0 of 2 instances running",
        _ => "app scale-tick-1: 0 of 2 instances running (2 CRASHED)",
    };
    assert_eq!(failed, how);
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

//! A failed run reports each failure with its name and cause, and does not wait for
//! anything that cannot happen.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::command::{Place, stable};
use crate::support::world::{ResourceCounts, World};
use crate::support::{Fixture, SMALL, Workflow, read, target};
use cf_pusher::{AppResult, Approval, Client, Events, FailureGroup, Outcome, Target};
use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

fn names(targets: &[Target]) -> Vec<&str> {
    targets.iter().map(Target::name).collect()
}

/// Every failed app is in exactly one group, and the counts add up.
fn check_counts(outcome: &Outcome, apps: usize) {
    let counts = [outcome.changed(), outcome.unchanged(), outcome.failed()];
    assert_eq!(counts.iter().sum::<usize>(), apps, "{outcome:#?}");
    let groups = outcome.failure_groups();
    let mut grouped: Vec<&Target> = groups
        .iter()
        .flat_map(|group| group.targets.iter().chain(&group.blocked))
        .filter(|target| target.is_app())
        .collect();
    grouped.sort();
    let failed = outcome.apps.iter();
    let failed = failed.filter(|app| matches!(app.result, AppResult::Failed { .. }));
    let mut failed: Vec<&str> = failed.map(|app| app.name.as_str()).collect();
    failed.sort_unstable();
    let grouped: Vec<&str> = grouped.iter().map(|target| target.name()).collect();
    assert_eq!(grouped, failed);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn apps_that_wait_for_a_failed_prototype_are_named_with_it(#[case] workflow: Workflow) {
    let fault = Fault::failed_staging().of("scale-tick-0");
    let fixture = Fixture::with(workflow, workflow.foundation().faults(vec![fault])).await;
    let outcome = fixture.converge(SMALL).await;
    check_counts(&outcome, 7);
    assert_eq!((outcome.changed(), outcome.failed()), (4, 3));
    let groups = outcome.failure_groups();
    let [
        FailureGroup {
            targets,
            step,
            blocked,
            ..
        },
    ] = groups.as_slice()
    else {
        panic!("{groups:#?}");
    };
    assert_eq!(names(targets), ["scale-tick-0"]);
    assert_eq!(step, "staging");
    assert_eq!(names(blocked), ["scale-tick-1", "scale-tick-2"]);
    let of_clone = outcome.apps.iter().find(|app| app.name == "scale-tick-1");
    let AppResult::Failed { reason, blocked_by } = &of_clone.unwrap().result else {
        panic!("{outcome:#?}");
    };
    assert_eq!(reason, "app scale-tick-0 failed");
    assert_eq!(blocked_by.as_ref().map(Target::name), Some("scale-tick-0"));
}

#[tokio::test]
async fn failures_of_one_cause_are_one_group_with_a_request_id() {
    let refused = Fault::answer("POST", "/v3/droplets", 403).error(10003, "CF-NotAuthorized", "no");
    let builder = MockCapi::builder().faults(vec![refused]);
    let fixture = Fixture::with(Workflow::Manifest, builder).await;
    let outcome = fixture.converge(SMALL).await;
    check_counts(&outcome, 7);
    let groups = outcome.failure_groups();
    assert_eq!(groups.len(), 1, "{groups:#?}");
    let mut failed = names(&groups[0].targets);
    failed.sort_unstable();
    assert_eq!(
        failed,
        [
            "scale-proxy-1",
            "scale-proxy-2",
            "scale-tick-1",
            "scale-tick-2"
        ]
    );
    assert_eq!(groups[0].step, "copying the droplet");
    assert!(groups[0].cause.contains("no (10003 CF-NotAuthorized)"));
    assert!(groups[0].request_id.is_some());
    let json = json!(outcome)["failures"].clone();
    assert_eq!(json.as_array().unwrap().len(), 1, "{json}");
    let json = &json[0];
    assert_eq!(json["targets"].as_array().unwrap().len(), 4);
    assert_eq!(json["step"], "copying the droplet");
    assert_eq!(json["cause"], groups[0].cause);
    assert_eq!(json["error"]["cc_errors"][0]["detail"], "no");
    assert!(json["error"]["request_id"].is_string());
}

#[tokio::test]
async fn an_outage_is_one_group_in_all_steps() {
    let builder = MockCapi::builder().staging_time(Duration::from_millis(200));
    let mock = builder.start().await.unwrap();
    let options = target(&mock).timeout(Duration::from_secs(1));
    let client = Client::connect(&options, Events::default()).await.unwrap();
    let (config, sources) = read(SMALL, None);
    let converger = Workflow::Manifest.converger(&client, &config, &sources);
    let outage = async {
        while mock.state()["apps"].as_array().unwrap().len() < 7 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(mock);
    };
    let (outcome, ()) = tokio::join!(converger.converge(Approval::None), outage);
    let outcome = outcome.unwrap();
    check_counts(&outcome, 7);
    let of_outage = outcome.failure_groups();
    let of_outage = of_outage
        .iter()
        .filter(|group| group.targets.iter().any(Target::is_app));
    assert!(of_outage.count() <= 2, "{:#?}", outcome.failure_groups());
}

#[tokio::test]
async fn a_crash_is_reported_with_its_reason_and_the_end_of_the_log() {
    let crashing = Fault::crashing_instances().of("scale-tick-1");
    let builder = MockCapi::builder().faults(vec![crashing]);
    let fixture = Fixture::with(Workflow::Manifest, builder).await;
    // The wait would take 20 s.
    let outcome = fixture.converge(SMALL).await;
    check_counts(&outcome, 7);
    assert_eq!(outcome.failed(), 1);
    let failure = &outcome.failures[0];
    assert_eq!(failure.target.name(), "scale-tick-1");
    assert!(
        failure.log.contains(&"Exit status 1".to_owned()),
        "{failure:#?}"
    );
    assert!(failure.log.len() <= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lists_failures_at_the_end_grouped_by_cause() {
    let crashing = Fault::crashing_instances().of("scale-tick-1");
    let staging = Fault::failed_staging().of("scale-proxy-0");
    let builder = MockCapi::builder().faults(vec![crashing, staging]);
    let mock = builder.start().await.unwrap();
    let place = Place::new();
    let output = place.on(&mock, SMALL, &["converge"]);
    assert_eq!(output.code, 1);
    let err = stable(&output.stderr);
    let (_, failures) = err.split_once("error: ").unwrap();
    insta::assert_snapshot!("failures_by_cause", failures);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn verify_with_a_wait_waits_for_starting_instances(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_up_to_date(SMALL).await;
    let times = json!({"start": "1h"});
    fixture.curl("PUT", "/_mock/times", times).await;
    let app = fixture.app("scale-tick-1").await;
    let (method, path) = match workflow {
        Workflow::Documented2017 => ("PUT", format!("/v3/apps/{app}")),
        _ => ("POST", format!("/v3/apps/{app}/actions")),
    };
    for action in ["stop", "start"] {
        fixture
            .curl(method, &format!("{path}/{action}"), Value::Null)
            .await;
    }
    let (config, sources) = read(SMALL, None);
    let converger = workflow.converger(&fixture.client, &config, &sources);
    let starting = fixture.verify(SMALL).await.len();
    // In 2017, starting instances count as running.
    assert_eq!(starting > 0, workflow == Workflow::Manifest);
    let start = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        fixture.mock.advance(Duration::from_secs(3600));
    };
    let wait = Duration::from_secs(60);
    let (drift, ()) = tokio::join!(converger.verify_within(wait), start);
    assert_eq!(drift.unwrap(), []);
}

/// A list that changes while its pages are read may repeat some of its resources.
#[tokio::test]
async fn resources_that_a_list_repeats_are_counted_once() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    for list in ["apps", "droplets", "routes"] {
        let include = if list == "apps" { "&include=space" } else { "" };
        let all = format!("/v3/{list}?per_page=5000{include}");
        let mut body = fixture.curl("GET", &all, Value::Null).await;
        let resources = body["resources"].as_array_mut().unwrap();
        resources.extend(resources.clone());
        assert!(resources.len() >= 14);
        Mock::given(method("GET"))
            .and(path(format!("/v3/{list}")))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .with_priority(1)
            .mount(fixture.mock.server())
            .await;
    }
    assert_eq!(fixture.verify(SMALL).await, []);
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 0);
}

/// Matches for two seconds, starting after a number of requests.
fn lagging(skip: usize) -> impl Fn(&wiremock::Request) -> bool {
    let (seen, began) = (AtomicUsize::new(0), OnceLock::new());
    move |_: &wiremock::Request| {
        let is_late = seen.fetch_add(1, Ordering::Relaxed) >= skip;
        is_late && began.get_or_init(Instant::now).elapsed() < Duration::from_secs(2)
    }
}

/// Some lists lag behind writes.
#[rstest]
#[case::apps(&["apps"])]
#[case::droplets(&["droplets"])]
#[case::processes(&["processes"])]
#[case::all(&["apps", "droplets", "processes", "routes", "organizations"])]
#[tokio::test]
async fn a_list_that_lags_behind_writes_does_not_fail_a_run(#[case] lists: &[&str]) {
    let world = World::new(Workflow::Manifest, SMALL);
    let expected = world.undisturbed().await;
    let fixture = Fixture::new(Workflow::Manifest).await;
    let empty = json!({"pagination": {"next": null}, "resources": []});
    for list in lists {
        // The first request for orgs is sent before any write.
        let skip = usize::from(*list == "organizations");
        Mock::given(method("GET"))
            .and(path(format!("/v3/{list}")))
            .and(lagging(skip))
            .respond_with(ResponseTemplate::new(200).set_body_json(&empty))
            .with_priority(1)
            .mount(fixture.mock.server())
            .await;
    }
    let outcome = fixture.converge(SMALL).await;
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!((outcome.changed(), outcome.failed()), (7, 0));
    assert_eq!(ResourceCounts::of(&fixture.mock), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_about_quotas_is_given_only_for_exceeded_quotas() {
    for (detail, is_of_quota) in [
        ("staging requires 204800M memory", true),
        ("staging requires 204800 bytes per second", true),
        (
            "log_rate_limit cannot be unlimited in organization 'o'.",
            true,
        ),
        ("memory quota_exceeded", true),
        ("Quota 'scale-quota' already exists.", false),
        ("Package must be ready", false),
    ] {
        let refused = Fault::answer("POST", "/v3/builds", 422);
        let refused = refused.error(10008, "CF-UnprocessableEntity", detail);
        let mock = MockCapi::builder()
            .faults(vec![refused])
            .start()
            .await
            .unwrap();
        let place = Place::new();
        let config = r#"{"test_applications": 1}"#;
        let output = place.on(&mock, config, &["converge", "--timeout", "5s"]);
        assert_eq!(output.code, 1);
        let advice = "help: raise the limits of the quota";
        assert_eq!(
            output.stderr.contains(advice),
            is_of_quota,
            "{}",
            output.stderr
        );
    }
}

//! `converge --plan` makes only the changes in the file, and `--only` changes only the
//! apps of one group.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::command::{Place, stable};
use crate::support::{Fixture, SMALL, Workflow, connect, read};
use cf_pusher::{
    Action, Approval, ConvergeError, Converger, Event, EventSink, SavedPlan, SavedPlanError,
};
use mock_capi::MockCapi;
use rstest::rstest;
use serde_json::{Value, json};

fn more() -> String {
    let more = SMALL.replace("\"test_app_instances\": 2", "\"test_app_instances\": 3");
    assert_ne!(more, SMALL);
    more
}

fn converger(fixture: &Fixture, config: &str) -> Converger {
    let (config, sources) = read(config, None);
    Workflow::Manifest.converger(&fixture.client, &config, &sources)
}

async fn saved(converger: &Converger) -> SavedPlan {
    let plan = converger.plan().await.unwrap();
    let text = converger.save(&plan).await.unwrap().to_json();
    SavedPlan::parse(&text).unwrap()
}

#[tokio::test]
async fn a_saved_plan_is_carried_out_and_then_up_to_date() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let converger = converger(&fixture, SMALL);
    let following = converger.clone().follow(saved(&converger).await);
    let outcome = following.converge(Approval::None).await.unwrap();
    assert_eq!((outcome.is_converged(), outcome.changed()), (true, 7));
    // An empty plan is a subset of it.
    assert_eq!(
        following.converge(Approval::None).await.unwrap().changed(),
        0
    );
}

#[tokio::test]
async fn a_plan_is_refused_if_more_changes_are_needed() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let more = converger(&fixture, &more());
    let following = more.clone().follow(saved(&more).await);
    let path = format!("/v3/apps/{}", fixture.app("scale-proxy-1").await);
    fixture.curl("DELETE", &path, Value::Null).await;
    fixture.writes();
    let error = following.converge(Approval::All).await.unwrap_err();
    let ConvergeError::PlanChanged { differences } = error else {
        panic!("{error}");
    };
    assert_eq!(differences, ["not planned: create app scale-proxy-1"]);
    let other = converger(&fixture, SMALL).follow(saved(&more).await);
    let error = other.converge(Approval::All).await.unwrap_err();
    let ConvergeError::PlanChanged { differences } = error else {
        panic!("{error}");
    };
    assert_eq!(
        differences[0],
        "the configuration or the bits of the apps have changed"
    );
    assert_eq!(fixture.writes().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_file_does_not_overwrite_its_configuration() {
    let mock = MockCapi::builder().start().await.unwrap();
    let place = Place::new();
    let config = place.dir.path().join("config.json");
    let args = ["plan", "--out", config.to_str().unwrap()];
    let output = place.on(&mock, SMALL, &args);
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(
        output.stderr.contains("the command reads that file"),
        "{}",
        output.stderr
    );
    assert_eq!(std::fs::read_to_string(&config).unwrap(), SMALL);
}

/// A sink that counts requests and signals when a number is reached.
struct After {
    left: AtomicUsize,
    reached: tokio::sync::Notify,
}

impl EventSink for After {
    fn handle(&self, event: &Event) {
        if matches!(event, Event::Request { .. }) && self.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            self.reached.notify_one();
        }
    }
}

#[rstest]
#[case::creation(None)]
#[case::change(Some(SMALL))]
#[tokio::test]
async fn a_killed_run_can_continue_with_its_plan(#[case] before: Option<&str>) {
    for requests in [14, 18, 22, 26, 30, 36] {
        let fixture = Fixture::new(Workflow::Manifest).await;
        if let Some(before) = before {
            fixture.converge_up_to_date(before).await;
        }
        let ttl = r#"{"test_app_registry_ttl_seconds": 7, "#;
        let config = more().replacen('{', ttl, 1);
        let plan = saved(&converger(&fixture, &config)).await;
        let after = Arc::new(After {
            left: AtomicUsize::new(requests),
            reached: tokio::sync::Notify::new(),
        });
        let client = connect(&fixture.mock, [Arc::clone(&after) as Arc<dyn EventSink>]).await;
        let (parsed, sources) = read(&config, None);
        let killed = Workflow::Manifest.converger(&client, &parsed, &sources);
        tokio::select! {
            _ = killed.converge(Approval::None) => {}
            () = after.reached.notified() => {}
        }
        let following = converger(&fixture, &config).follow(plan);
        let outcome = following.converge(Approval::None).await;
        assert!(outcome.unwrap().is_converged(), "after {requests} requests");
    }
}

#[tokio::test]
async fn a_saved_plan_contains_hashes_instead_of_values() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let apps = crate::support::apps_dir();
    let manifest = "applications:\n- name: tick\n  env: {SECRET: hunter2}\n";
    std::fs::write(apps.path().join("tick/manifest.yml"), manifest).unwrap();
    let (config, sources) = read(SMALL, Some(apps.path()));
    let converger = Workflow::Manifest.converger(&fixture.client, &config, &sources);
    let plan = converger.plan().await.unwrap();
    let [first, second] = [
        converger.save(&plan).await.unwrap().to_json(),
        converger.save(&plan).await.unwrap().to_json(),
    ];
    assert!(first.contains("SECRET") && !first.contains("hunter2"));
    assert_ne!(first, second, "each plan has its own salt");
    let newer = first.replace("\"format_version\": 1", "\"format_version\": 2");
    assert!(matches!(
        SavedPlan::parse(&newer),
        Err(SavedPlanError::Version { found: 2 })
    ));
    assert!(SavedPlan::parse("{}").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_writes_and_follows_plans() {
    let (mock, place) = (MockCapi::builder().start().await.unwrap(), Place::new());
    let path = place.dir.path().join("plan.json");
    let file = path.to_str().unwrap();
    assert_eq!(place.on(&mock, SMALL, &["plan", "--out", file]).code, 0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let changed = place.on(&mock, &more(), &["converge", "--plan", file]);
    assert_eq!(changed.code, 1);
    assert_eq!(mock.state()["apps"], json!([]));
    assert!(
        stable(&changed.stderr).starts_with(
            "error: following the plan failed: it is out of date\n- the configuration or the bits"
        ),
        "{}",
        changed.stderr
    );
    assert_eq!(
        place.on(&mock, SMALL, &["converge", "--plan", file]).code,
        0
    );
    let broken = place.file("broken.json", "{");
    let broken = ["converge", "--plan", broken.to_str().unwrap()];
    assert_eq!(place.on(&mock, SMALL, &broken).code, 2);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn a_run_for_one_group_does_not_change_the_others(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_up_to_date(SMALL).await;
    let less = r#"{"proxy_applications": 1, "proxy_instances": 4, "test_applications": 2, "test_app_instances": 2, "asg_size": 5}"#;
    let (config, sources) = read(less, None);
    let whole = workflow.converger(&fixture.client, &config, &sources);
    assert_eq!(whole.plan().await.unwrap().count(Action::Delete), 3);
    let only = |group: &str| whole.clone().only([group]).unwrap();
    let plan = only("tick").plan().await.unwrap();
    assert_eq!(
        (plan.count(Action::Delete), plan.count(Action::Change)),
        (1, 0)
    );
    let outcome = only("scale-tick")
        .converge(Approval::MaxDeletes(1))
        .await
        .unwrap();
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!((outcome.changed(), outcome.unchanged()), (1, 2));
    assert_eq!(only("tick").verify().await.unwrap(), []);
    assert_eq!(only("registry").verify().await.unwrap(), []);
    assert!(!only("proxy").verify().await.unwrap().is_empty());
    assert_eq!(fixture.mock.state()["apps"].as_array().unwrap().len(), 6);
    let error = whole.clone().only(["tock"]).unwrap_err();
    insta::allow_duplicates! {
        insta::assert_snapshot!(error, @"unknown group tock: the groups are registry, tick, proxy");
    }
}

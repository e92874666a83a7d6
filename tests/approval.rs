//! Nothing is deleted without approval: neither apps that are no longer declared, nor
//! orgs that are recreated or destroyed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::command::{Place, stable};
use crate::support::{Fixture, SMALL, Workflow, connect, read};
use cf_pusher::{
    Action, Approval, CancellationToken, Client, ConvergeError, Converger, Deletions, Events,
    Target,
};
use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

/// [`SMALL`] with one tick app instead of three.
fn fewer() -> String {
    let fewer = SMALL.replace("\"test_applications\": 3", "\"test_applications\": 1");
    assert_ne!(fewer, SMALL);
    fewer
}

fn converger(workflow: Workflow, client: &Client, config: &str) -> Converger {
    let (config, sources) = read(config, None);
    workflow.converger(client, &config, &sources)
}

fn names(deletions: &Deletions) -> Vec<&str> {
    deletions.targets.iter().map(Target::name).collect()
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn a_run_that_deletes_more_than_approved_sends_no_write(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_up_to_date(SMALL).await;
    fixture.writes();
    let converger = converger(workflow, &fixture.client, &fewer());
    for (approval, expected) in [
        (Approval::None, "not approved"),
        (Approval::MaxDeletes(1), "at most 1 deletion is approved"),
        (Approval::ask(|_| false), "declined"),
        (Approval::ask(|_| panic!("nobody can answer")), "declined"),
    ] {
        let error = converger.converge(approval).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("deleting 2 apps failed: {expected}")
        );
        let (ConvergeError::NotApproved { deletions, .. } | ConvergeError::Declined { deletions }) =
            error
        else {
            panic!("{error}");
        };
        assert_eq!(names(&deletions), ["scale-tick-1", "scale-tick-2"]);
    }
    assert_eq!(fixture.writes().len(), 0);
    let outcome = converger.converge(Approval::MaxDeletes(2)).await.unwrap();
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(outcome.changed(), 2);
}

#[tokio::test]
async fn approval_is_requested_once_and_only_for_deletions() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let question = || {
        let asked = Arc::clone(&asked);
        Approval::ask(move |deletions| {
            asked.fetch_add(1, Ordering::Relaxed);
            deletions.count() == 2
        })
    };
    let run = |config: &str| {
        let converger = converger(Workflow::Manifest, &fixture.client, config);
        let approval = question();
        async move { converger.converge(approval).await.unwrap() }
    };
    assert!(run(SMALL).await.is_converged());
    let more = SMALL.replace("\"proxy_instances\": 2", "\"proxy_instances\": 3");
    assert_eq!(run(&more).await.changed(), 3);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert!(run(&fewer()).await.is_converged());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_later_round_deletes_only_what_the_first_plan_listed() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    // The first round fails in a way that is retried. In the meantime, someone else adds
    // an app with our label.
    let fault = Fault::answer("DELETE", "/v3/apps/:guid", 500).times(50);
    let slow = Fault::delay("GET", "/v3/routes", Duration::from_millis(300));
    fixture.mock.set_faults(vec![fault, slow]).unwrap();
    let fewer = fewer();
    let converger = converger(Workflow::Manifest, &fixture.client, &fewer);
    let space = fixture.mock.state()["spaces"][0]["guid"].clone();
    let another = async {
        while !fixture
            .mock
            .stats()
            .by_route
            .contains_key("DELETE /v3/apps/:guid")
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let app = json!({
            "name": "scale-tick-77",
            "metadata": {
                "labels": {"managed-by": "cf-pusher"},
                "annotations": {"cf-pusher-prefix": "scale-"},
            },
            "relationships": {"space": {"data": {"guid": space}}},
        });
        fixture.curl("POST", "/v3/apps", app).await;
        fixture.mock.set_faults(Vec::new()).unwrap();
    };
    let (outcome, ()) = tokio::join!(converger.converge(Approval::All), another);
    let outcome = outcome.unwrap();
    let failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
    assert!(
        failures.contains(&"app scale-tick-77: deleting the app failed: not approved: the plan at the start of the run did not delete it".to_owned()),
        "{outcome:#?}"
    );
    let apps = fixture.mock.state()["apps"].clone();
    let mut apps = apps.as_array().unwrap().iter();
    assert!(apps.any(|app| app["name"] == "scale-tick-77"));
    // The approved apps are already deleted; the first plan of the next run lists the
    // other app.
    assert_eq!(fixture.plan(&fewer).await.count(Action::Delete), 1);
    fixture.converge_up_to_date(&fewer).await;
    assert_eq!(fixture.verify(&fewer).await, []);
}

#[rstest]
#[case::v3(Workflow::Manifest)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn recreating_and_destroying_an_org_need_approval(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_up_to_date(SMALL).await;
    fixture.writes();
    let converger = converger(workflow, &fixture.client, SMALL);
    let recreate = converger.clone().recreate(true);
    let error = recreate.converge(Approval::None).await.unwrap_err();
    insta::allow_duplicates! {
        insta::assert_snapshot!(error, @"deleting the org scale-org and 7 apps failed: not approved");
    }
    let error = converger
        .destroy(Approval::MaxDeletes(7))
        .await
        .unwrap_err();
    let ConvergeError::NotApproved { deletions, most } = error else {
        panic!("{error}");
    };
    insta::allow_duplicates! {
        insta::assert_snapshot!(deletions, @r"
        - org scale-org
        - quota scale-quota
        - security group scale-asg
        - app scale-registry
        - app scale-proxy-{0..2}
        - app scale-tick-{0..2}
        ");
    }
    assert_eq!((deletions.count(), most), (8, Some(7)));
    assert_eq!(fixture.writes().len(), 0);
    let outcome = recreate.converge(Approval::MaxDeletes(8)).await.unwrap();
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(outcome.changed(), 7);
    let destroyed = converger.destroy(Approval::MaxDeletes(8)).await.unwrap();
    assert_eq!(destroyed.targets.len(), 3);
    let again = converger.destroy(Approval::None).await.unwrap();
    assert_eq!(
        again.targets,
        [],
        "approval is not asked for if nothing is deleted"
    );
}

#[tokio::test]
async fn an_interrupt_ends_the_question() {
    let mock = MockCapi::builder().start().await.unwrap();
    let interrupt = CancellationToken::new();
    let options = crate::support::target(&mock).interrupt(interrupt.clone());
    let client = Client::connect(&options, Events::default()).await.unwrap();
    let run = |config: &str| converger(Workflow::Manifest, &client, config);
    assert!(
        run(SMALL)
            .converge(Approval::None)
            .await
            .unwrap()
            .is_converged()
    );
    let (answer, question) = std::sync::mpsc::channel::<bool>();
    let question = std::sync::Mutex::new(question);
    let approval = Approval::ask(move |_| {
        interrupt.cancel();
        question.lock().unwrap().recv().unwrap_or(false)
    });
    let outcome = run(&fewer()).converge(approval).await.unwrap();
    assert!(outcome.interrupted);
    assert_eq!(outcome.failures, []);
    drop(answer);
    let client = connect(&mock, []).await;
    let plan = converger(Workflow::Manifest, &client, &fewer())
        .plan()
        .await;
    assert_eq!(plan.unwrap().count(Action::Delete), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lists_what_it_would_delete_and_exits_with_1() {
    let mock = MockCapi::builder().start().await.unwrap();
    let place = Place::new();
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    let output = place.on(&mock, &fewer(), &["converge"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(stable(&output.stderr), @r"
    error: deleting 2 apps failed: not approved
    - app scale-tick-{1..2}
    help: approve the deletions with --yes or --max-deletes N
    ");
    let few = ["converge", "--max-deletes", "1"];
    let output = place.on(&mock, &fewer(), &few);
    assert_eq!(output.code, 1);
    assert!(
        output
            .stderr
            .starts_with("error: deleting 2 apps failed: at most 1 deletion is approved\n"),
        "{}",
        output.stderr
    );
    let recreate = place.on(&mock, SMALL, &["converge", "--recreate"]);
    assert_eq!(recreate.code, 1);
    assert_eq!(mock.state()["apps"].as_array().map(Vec::len), Some(7));
    let both = ["converge", "--yes", "--max-deletes", "1"];
    assert_eq!(place.on(&mock, SMALL, &both).code, 2);
    let approved = ["converge", "--auto-approve"];
    assert_eq!(place.on(&mock, &fewer(), &approved).code, 0);
    let destroy = ["destroy", "--max-deletes", "6"];
    assert_eq!(place.on(&mock, SMALL, &destroy).code, 0);
    assert_eq!(mock.state()["apps"], Value::from(Vec::<Value>::new()));
}

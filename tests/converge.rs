//! Converges an empty foundation, and then changes the desired state.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{FEW, Fixture, SCALE_TEST, SMALL, Workflow, apps_dir, connect, desired, read};
use cf_pusher::events::{Phase, StepContext};
use cf_pusher::{Action, Approval, Converger, Destroyed, Event, EventSink, Target};
use futures::{StreamExt, stream};
use mock_capi::wiremock::matchers::{method, path, query_param};
use mock_capi::wiremock::{Mock, Request, Respond, ResponseTemplate};
use mock_capi::{CloudController, Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

/// The names of the deleted resources.
fn names(destroyed: &Destroyed) -> Vec<&str> {
    destroyed.targets.iter().map(Target::name).collect()
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn the_scale_test_converges_and_a_second_run_changes_nothing(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    assert_eq!(fixture.converge_up_to_date(SCALE_TEST).await, 201);
    fixture.writes();

    let before = fixture.counts.get().requests;
    let outcome = fixture.converge(SCALE_TEST).await;
    assert!(outcome.is_converged());
    assert_eq!((outcome.changed(), outcome.unchanged()), (0, 201));
    assert_eq!(fixture.writes().len(), 0);
    if workflow != Workflow::Documented2017 {
        // This includes discovery and login, which this client has already done.
        assert!(fixture.counts.get().requests - before + 2 <= 15);
    }
    assert_eq!(fixture.verify(SCALE_TEST).await, []);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn one_instance_more_is_scaled_and_nothing_else(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_up_to_date(SCALE_TEST).await;
    fixture.writes();
    let three = SCALE_TEST.replace("\"test_app_instances\": 2", "\"test_app_instances\": 3");
    assert_ne!(three, SCALE_TEST);

    let outcome = fixture.converge(&three).await;
    assert_eq!((outcome.changed(), outcome.unchanged()), (100, 101));
    assert!(outcome.is_converged());
    let writes = fixture.writes();
    if workflow == Workflow::Manifest {
        // The droplet of the prototype and of one of its 99 clones.
        assert_eq!(writes.len(), 2);
        assert!(writes.iter().all(|it| it.path.ends_with("/apply_manifest")));
        return;
    }
    assert_eq!(writes.len(), 100);
    assert!(writes.iter().all(|it| it.path.ends_with("/scale")));
    assert!(
        writes
            .iter()
            .all(|it| it.json() == Some(json!({"instances": 3})))
    );
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn fewer_apps_are_deleted_with_their_routes(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_up_to_date(SCALE_TEST).await;
    fixture.writes();
    let ninety = SCALE_TEST.replace("\"test_applications\": 100", "\"test_applications\": 90");
    assert_ne!(ninety, SCALE_TEST);

    assert_eq!(fixture.plan(&ninety).await.count(Action::Delete), 10);
    let outcome = fixture.converge(&ninety).await;
    assert_eq!((outcome.changed(), outcome.unchanged()), (10, 191));
    let writes = fixture.writes();
    let deleted = |kind: &str| writes.iter().filter(|it| it.path.contains(kind)).count();
    assert!(writes.iter().all(|it| it.method == "DELETE"));
    assert_eq!((deleted("/apps/"), deleted("/routes/")), (10, 10));
    assert_eq!(fixture.verify(&ninety).await, []);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn changed_bits_are_pushed_once_and_copied_to_every_app_of_the_group(
    #[case] workflow: Workflow,
) {
    let fixture = Fixture::new(workflow).await;
    let apps = apps_dir();
    assert_eq!(
        fixture
            .converge_apps(SMALL, Some(apps.path()))
            .await
            .changed(),
        7
    );
    fixture.writes();
    let main = apps.path().join("tick/main.go");
    let changed = std::fs::read_to_string(&main).unwrap() + "\n// changed\n";
    std::fs::write(&main, changed).unwrap();

    let outcome = fixture.converge_apps(SMALL, Some(apps.path())).await;
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!((outcome.changed(), outcome.unchanged()), (3, 4));
    let writes = fixture.writes();
    let count = |end: &str| writes.iter().filter(|it| it.path.ends_with(end)).count();
    assert_eq!(count("/upload"), 1);
    match workflow {
        Workflow::Manifest => assert_eq!(count("/deployments"), 3),
        Workflow::PerApp | Workflow::Documented2017 => assert_eq!(count("/current_droplet"), 3),
    }
    let packages = &fixture.mock.state()["packages"];
    assert_eq!(
        packages.as_array().unwrap().len(),
        3,
        "none of the old bits"
    );
    let again = fixture.converge_apps(SMALL, Some(apps.path())).await;
    assert_eq!(again.changed(), 0);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn a_manifest_sets_the_sizes_of_its_group(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    let apps = apps_dir();
    let manifest = "applications:\n- name: tick\n  memory: 64M\n  disk_quota: 256M\n  command: ./bin/tick -v\n  env: {EXTRA: 1}\n";
    std::fs::write(apps.path().join("tick/manifest.yml"), manifest).unwrap();
    let outcome = fixture.converge_apps(SMALL, Some(apps.path())).await;
    assert!(outcome.is_converged(), "{outcome:#?}");
    let app = fixture.app("scale-tick-2").await;
    let web = fixture
        .curl("GET", &format!("/v3/apps/{app}/processes/web"), Value::Null)
        .await;
    assert_eq!(web["memory_in_mb"], 64);
    assert_eq!(web["disk_in_mb"], 256);
    assert_eq!(web["command"], "./bin/tick -v");
    assert_eq!(
        fixture
            .converge_apps(SMALL, Some(apps.path()))
            .await
            .changed(),
        0
    );
}

/// Each kind of change that someone else can make to an app.
#[rstest]
#[case::variable("PATCH", "environment_variables", json!({"var": {"START_PORT": "1", "MORE": "x"}}))]
#[case::stopped("POST", "actions/stop", Value::Null)]
#[case::resized("POST", "processes/web/actions/scale", json!({"memory_in_mb": 256, "disk_in_mb": 300}))]
#[case::scaled("POST", "processes/web/actions/scale", json!({"instances": 7}))]
#[case::deleted("DELETE", "", Value::Null)]
#[tokio::test]
async fn drift_of_one_app_is_repaired(
    #[case] method: &str,
    #[case] what: &str,
    #[case] body: Value,
) {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let app = fixture.app("scale-tick-1").await;
    let path = format!("/v3/apps/{app}/{what}");
    fixture.curl(method, path.trim_end_matches('/'), body).await;
    assert!(!fixture.verify(SMALL).await.is_empty());
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 1);
    assert_eq!(fixture.verify(SMALL).await, []);
}

#[tokio::test]
async fn a_key_removed_from_a_manifest_is_removed_from_the_app() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let apps = apps_dir();
    let manifest = apps.path().join("tick/manifest.yml");
    let with = "applications:\n- name: tick\n  command: ./bin/tick -v\n  buildpacks: [go_buildpack]\n  env: {EXTRA: 1}\n";
    std::fs::write(&manifest, with).unwrap();
    assert_eq!(
        fixture
            .converge_apps(SMALL, Some(apps.path()))
            .await
            .changed(),
        7
    );
    std::fs::write(&manifest, "applications:\n- name: tick\n").unwrap();
    let outcome = fixture.converge_apps(SMALL, Some(apps.path())).await;
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(outcome.changed(), 3);
    let app = fixture.app("scale-tick-0").await;
    let path = format!("/v3/apps/{app}");
    let shown = fixture.curl("GET", &path, Value::Null).await;
    assert_eq!(shown["lifecycle"]["data"]["buildpacks"], json!([]));
    let path = format!("/v3/apps/{app}/environment_variables");
    let shown = fixture.curl("GET", &path, Value::Null).await;
    assert_eq!(shown["var"]["EXTRA"], Value::Null);
    assert_eq!(
        fixture
            .converge_apps(SMALL, Some(apps.path()))
            .await
            .changed(),
        0
    );
}

#[tokio::test]
async fn an_app_deleted_while_its_instances_start_is_created_again() {
    let builder = MockCapi::builder().start_time(Duration::from_secs(3));
    let fixture = Fixture::with(Workflow::Manifest, builder).await;
    let deletion = async {
        while fixture.mock.state()["apps"].as_array().unwrap().len() < 7
            || fixture.mock.stats().by_route.get("POST /v3/deployments") != Some(&7)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let app = fixture.app("scale-tick-1").await;
        let path = format!("/v3/apps/{app}");
        fixture.curl("DELETE", &path, Value::Null).await;
    };
    let (outcome, ()) = tokio::join!(fixture.converge(SMALL), deletion);
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(fixture.verify(SMALL).await, []);
}

#[tokio::test]
async fn drift_of_a_droplet_is_repaired() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let (proxy, tick) = (
        fixture.app("scale-proxy-0").await,
        fixture.app("scale-tick-1").await,
    );
    let current = format!("/v3/apps/{proxy}/relationships/current_droplet");
    let source = fixture.curl("GET", &current, Value::Null).await;
    let copy = fixture
        .curl(
            "POST",
            &format!(
                "/v3/droplets?source_guid={}",
                source["data"]["guid"].as_str().unwrap()
            ),
            json!({"relationships": {"app": {"data": {"guid": tick}}}}),
        )
        .await;
    fixture
        .curl(
            "PATCH",
            &format!("/v3/apps/{tick}/relationships/current_droplet"),
            json!({"data": {"guid": copy["guid"]}}),
        )
        .await;
    let mismatches: Vec<String> = fixture
        .verify(SMALL)
        .await
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        mismatches,
        ["app scale-tick-1: droplet is another, desired the existing droplet"]
    );
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 1);
}

#[tokio::test]
async fn drift_of_routes_and_rules_is_repaired() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let routes = fixture
        .curl(
            "GET",
            "/v3/routes?hosts=scale-proxy-0,scale-proxy-1",
            Value::Null,
        )
        .await;
    let gone = routes["resources"][0]["guid"].as_str().unwrap();
    fixture
        .curl("DELETE", &format!("/v3/routes/{gone}"), Value::Null)
        .await;
    let unmapped = &routes["resources"][1];
    fixture
        .curl(
            "PATCH",
            &format!(
                "/v3/routes/{}/destinations",
                unmapped["guid"].as_str().unwrap()
            ),
            json!({"destinations": []}),
        )
        .await;
    let groups = fixture
        .curl("GET", "/v3/security_groups?names=scale-asg", Value::Null)
        .await;
    let group = groups["resources"][0]["guid"].as_str().unwrap();
    fixture
        .curl(
            "PATCH",
            &format!("/v3/security_groups/{group}"),
            json!({"rules": []}),
        )
        .await;
    assert_eq!(fixture.verify(SMALL).await.len(), 3);
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 2);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn a_config_without_apps_converges(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    let none = r#"{"proxy_applications": 0, "test_applications": 2, "test_app_instances": 0}"#;
    assert_eq!(fixture.converge_up_to_date(none).await, 3);
    assert_eq!(fixture.converge_up_to_date(none).await, 0);
    assert_eq!(fixture.verify(none).await, []);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn a_run_waits_for_slow_operations(#[case] workflow: Workflow) {
    let moment = Duration::from_millis(60);
    let builder = workflow.foundation().staging_time(moment).copy_time(moment);
    let fixture = Fixture::with(workflow, builder.start_time(moment).job_time(moment)).await;
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 7);
    assert_eq!(fixture.verify(SMALL).await, []);
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn destroy_deletes_everything_a_run_created(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    let empty = fixture.mock.state();
    fixture.converge_up_to_date(SMALL).await;
    let (config, sources) = read(SMALL, None);
    let converger = Converger::new(fixture.client.clone(), desired(&config, &sources));
    let destroyed = converger.destroy(Approval::All).await.unwrap();
    assert_eq!(names(&destroyed), ["scale-org", "scale-quota", "scale-asg"]);
    for kind in [
        "organizations",
        "spaces",
        "apps",
        "routes",
        "security_groups",
    ] {
        assert_eq!(fixture.mock.state()[kind], empty[kind], "{kind}");
    }
    assert_eq!(converger.destroy(Approval::All).await.unwrap().targets, []);
}

#[tokio::test]
async fn in_2017_the_org_of_a_run_killed_early_is_recognized_by_its_quota() {
    let fixture = Fixture::new(Workflow::Documented2017).await;
    let none = Fault::answer("POST", "/v2/spaces", 500);
    fixture.mock.set_faults(vec![none]).unwrap();
    assert!(!fixture.converge(SMALL).await.is_converged());
    let (config, sources) = read(SMALL, None);
    let converger = Converger::new(fixture.client.clone(), desired(&config, &sources));
    assert!(converger.destroy(Approval::All).await.is_ok());
}

#[tokio::test]
async fn an_unmanaged_org_is_not_destroyed() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture
        .curl("POST", "/v3/organizations", json!({"name": "scale-org"}))
        .await;
    let (config, sources) = read(SMALL, None);
    let converger = Converger::new(fixture.client.clone(), desired(&config, &sources));
    let refused = converger.destroy(Approval::All).await.unwrap_err();
    insta::assert_snapshot!(refused, @"deleting the org scale-org failed: it is unmanaged (it has no label managed-by=cf-pusher)");
    let recreation = converger.clone().recreate(true);
    assert!(recreation.converge(Approval::All).await.is_err());
    assert_eq!(
        names(
            &converger
                .clone()
                .force(true)
                .destroy(Approval::All)
                .await
                .unwrap()
        ),
        ["scale-org"]
    );
}

/// A sink that counts requests, and signals when a number is reached.
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
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn a_killed_run_is_finished_by_the_next(#[case] workflow: Workflow) {
    stream::iter((3..60).step_by(4))
        .for_each_concurrent(8, |requests| finish_killed(workflow, requests))
        .await;
}

async fn finish_killed(workflow: Workflow, requests: usize) {
    let moment = Duration::from_millis(15);
    let builder = workflow.foundation().staging_time(moment);
    let fixture = Fixture::with(workflow, builder.copy_time(moment).job_time(moment)).await;
    let after = Arc::new(After {
        left: AtomicUsize::new(requests),
        reached: tokio::sync::Notify::new(),
    });
    let (config, sources) = read(FEW, None);
    let client = connect(&fixture.mock, [Arc::clone(&after) as Arc<dyn EventSink>]).await;
    let converger = workflow.converger(&client, &config, &sources);
    tokio::select! {
        _ = converger.converge(Approval::All) => {}
        () = after.reached.notified() => {}
    }
    fixture.converge_up_to_date(FEW).await;
    assert_eq!(
        fixture.verify(FEW).await,
        [],
        "killed after {requests} requests"
    );
    let state = fixture.mock.state();
    for (kind, count) in [("apps", 4), ("routes", 4), ("spaces", 1)] {
        assert_eq!(
            state[kind].as_array().unwrap().len(),
            count,
            "{kind} after {requests}"
        );
    }
}

#[tokio::test]
async fn a_refused_app_fails_alone_with_the_cloud_controllers_message() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let org = fixture
        .curl("POST", "/v3/organizations", json!({"name": "other"}))
        .await;
    let space = json!({
        "name": "other",
        "relationships": {"organization": {"data": {"guid": org["guid"]}}},
    });
    let space = fixture.curl("POST", "/v3/spaces", space).await;
    let domain = fixture.curl("GET", "/v3/domains", Value::Null).await;
    let route = json!({
        "host": "scale-tick-1",
        "relationships": {
            "space": {"data": {"guid": space["guid"]}},
            "domain": {"data": {"guid": domain["resources"][0]["guid"]}},
        },
    });
    let taken = fixture.curl("POST", "/v3/routes", route).await;

    let outcome = fixture.converge(SMALL).await;
    assert_eq!(
        (outcome.changed(), outcome.failed()),
        (6, 1),
        "{outcome:#?}"
    );
    let failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(failures.join("\n"), @"app scale-tick-1: applying the manifest failed: For application 'scale-tick-1': Routes cannot be mapped to destinations in different spaces (10008 CF-UnprocessableEntity)");

    let route = format!("/v3/routes/{}", taken["guid"].as_str().unwrap());
    fixture.curl("DELETE", &route, Value::Null).await;
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 1);
}

#[tokio::test]
async fn without_deployments_droplets_are_set_and_apps_started() {
    let builder = MockCapi::builder().disable_deployments();
    let fixture = Fixture::with(Workflow::Manifest, builder).await;
    // There are more apps than are started at once.
    let apps = r#"{"test_applications": 60}"#;
    assert_eq!(fixture.converge_up_to_date(apps).await, 61);
    let routes = fixture.mock.stats().by_route;
    assert_eq!(routes["POST /v3/apps/:guid/actions/start"], 61);
    assert!(
        routes["POST /v3/deployments"] < 61,
        "once refused is enough"
    );
}

#[tokio::test]
async fn a_manifest_has_at_most_the_requested_number_of_apps() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let (config, sources) = read(SMALL, None);
    let converger = Converger::new(fixture.client.clone(), desired(&config, &sources)).batch(3);
    assert!(
        converger
            .converge(Approval::All)
            .await
            .unwrap()
            .is_converged()
    );
    let manifests = fixture.writes();
    let manifests = manifests
        .iter()
        .filter(|it| it.path.ends_with("/apply_manifest"));
    let sizes: Vec<usize> = manifests
        .map(|it| it.json().unwrap()["applications"].as_array().unwrap().len())
        .collect();
    // Three prototypes and four clones.
    assert_eq!(sizes.iter().sum::<usize>(), 7);
    assert_eq!(sizes.iter().max(), Some(&3));
}

/// A sink that records the events of one app.
#[derive(Default)]
struct AppEvents {
    app: &'static str,
    lines: Mutex<Vec<String>>,
}

impl EventSink for AppEvents {
    fn handle(&self, event: &Event) {
        let of = |context: &StepContext| context.target == format!("app {}", self.app);
        let line = match event {
            Event::StepStarted(context) if of(context) => format!("begin {}", context.step),
            Event::StepEnded { context, error } if of(context) => {
                assert_eq!(*error, None);
                format!("end {}", context.step)
            }
            Event::Request {
                endpoint,
                status: Some(status),
                request_id: Some(_),
                context: Some(context),
                ..
            } if of(context) => format!("  {endpoint}: {status}, {}", context.step),
            Event::App { name, milestone } if name == self.app => format!("{milestone:?}"),
            _ => return,
        };
        self.lines.lock().unwrap().push(line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_milestones_of_an_app_are_reported_in_order() {
    let mock = MockCapi::builder().start().await.unwrap();
    let life = Arc::new(AppEvents {
        app: "scale-proxy-1",
        lines: Mutex::default(),
    });
    let client = connect(&mock, [Arc::clone(&life) as Arc<dyn EventSink>]).await;
    let (config, sources) = read(SMALL, None);
    let outcome = Converger::new(client.clone(), desired(&config, &sources))
        .converge(Approval::All)
        .await;
    assert!(outcome.unwrap().is_converged());
    let lines = life.lines.lock().unwrap().join("\n");
    insta::assert_snapshot!(lines);
}

/// The Cloud Controller commits a deployment before it validates the resulting state.
#[tokio::test]
async fn a_refused_deployment_that_was_committed_starts_the_app() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let fake: CloudController = (*fixture.mock).clone();
    let refused = json!({"errors": [{
        "code": 10008,
        "title": "CF-UnprocessableEntity",
        "detail": "log_rate_limit cannot be unlimited in organization 'o'.",
    }]});
    Mock::given(method("POST"))
        .and(path("/v3/deployments"))
        .respond_with(move |request: &Request| {
            let _ = fake.respond(request);
            ResponseTemplate::new(422).set_body_json(&refused)
        })
        .mount(fixture.mock.server())
        .await;
    fixture.converge_up_to_date(SMALL).await;
    let writes = fixture.writes();
    let again = writes.iter().filter(|request| {
        request.path.ends_with("/actions/start")
            || request.path.ends_with("/relationships/current_droplet")
    });
    assert_eq!(again.count(), 0, "what was done is not done again");
    assert_eq!(fixture.verify(SMALL).await, []);
}

/// A sink that signals when this number of deletions has finished.
struct DeletionSignal {
    done: usize,
    reached: tokio::sync::Notify,
}

impl EventSink for DeletionSignal {
    fn handle(&self, event: &Event) {
        if let Event::PhaseProgress { phase, done, .. } = event
            && *phase == Phase::Deletions
            && *done == self.done
        {
            self.reached.notify_one();
        }
    }
}

#[tokio::test]
async fn destroying_an_org_reports_how_many_of_its_apps_are_gone() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    // Five of seven apps are deleted, and the job continues.
    Mock::given(method("GET"))
        .and(path("/v3/apps"))
        .and(query_param("per_page", "1"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({"pagination": {"total_results": 2}, "resources": []})),
        )
        .mount(fixture.mock.server())
        .await;
    fixture
        .curl("PUT", "/_mock/times", json!({"job": "1h"}))
        .await;
    let deleted = Arc::new(DeletionSignal {
        done: 5,
        reached: tokio::sync::Notify::new(),
    });
    let client = connect(&fixture.mock, [Arc::clone(&deleted) as Arc<dyn EventSink>]).await;
    let (config, sources) = read(SMALL, None);
    let converger = Converger::new(client, desired(&config, &sources));
    let destroyed = tokio::spawn(async move { converger.destroy(Approval::All).await });
    deleted.reached.notified().await;
    fixture
        .curl("PUT", "/_mock/times", json!({"job": "0s"}))
        .await;
    fixture.mock.advance(Duration::from_secs(3600));
    assert_eq!(destroyed.await.unwrap().unwrap().targets.len(), 3);
}

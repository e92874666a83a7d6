//! The command: its output, exit codes, and messages for invalid input.

use std::time::Duration;

use crate::support::command::{Place, cf_pusher, stable};
use crate::support::{Fixture, SMALL, Workflow, login};
use mock_capi::{Dialect, Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

const SCALE_TEST: &str = "fixtures/configs/scale-test.json";

async fn api() -> MockCapi {
    MockCapi::builder().start().await.unwrap()
}

#[rstest]
#[case::all("")]
#[case::apply("apply")]
#[case::converge("converge")]
#[case::plan("plan")]
#[case::verify("verify")]
#[case::destroy("destroy")]
#[case::test_command("test")]
#[case::push("push")]
#[case::clone("clone")]
#[case::export("export")]
#[case::manifest("manifest")]
#[case::init("init")]
#[case::spec("spec")]
#[case::schema("schema")]
#[case::completions("completions")]
#[case::man("man")]
fn help_has_examples(#[case] command: &str) {
    let place = Place::new();
    let mut help = cf_pusher(place.dir.path());
    help.args(command.split_whitespace()).arg("--help");
    let output = help.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Example"), "{text}");
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(format!("help_{command}"), text);
}

#[test]
fn the_mock_needs_nothing_else() {
    let place = Place::new();
    let mut command = cf_pusher(place.dir.path());
    command.args(["converge", "--config", SCALE_TEST, "--mock"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        out.starts_with("apps: 201 changed, 0 unchanged, 0 failed\n"),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_is_created_changed_and_destroyed() {
    let (mock, place) = (api().await, Place::new());
    let at_api = |out: &str| out.replace(&mock.uri(), "https://api.example.com");

    let plan = place.on(&mock, SMALL, &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 2);
    insta::assert_snapshot!("plan_from_nothing", at_api(&plan.stdout));
    assert_eq!(place.on(&mock, SMALL, &["plan"]).code, 0);
    let dry = place.on(&mock, SMALL, &["converge", "--dry-run"]);
    assert_eq!((dry.code, dry.stdout), (0, plan.stdout));
    assert_eq!(mock.state()["apps"], json!([]), "plans change nothing");

    let verify = place.on(&mock, SMALL, &["verify"]);
    assert_eq!(verify.code, 1);
    insta::assert_snapshot!("verify_nothing", verify.stdout);

    let converge = place.on(&mock, SMALL, &["converge"]);
    assert_eq!(converge.code, 0);
    insta::assert_snapshot!("converge_from_nothing", stable(&converge.stderr));
    assert!(
        converge
            .stdout
            .starts_with("apps: 7 changed, 0 unchanged, 0 failed\n")
    );

    let verify = place.on(&mock, SMALL, &["verify"]);
    assert_eq!(
        (verify.code, verify.stdout.as_str()),
        (0, "scale-org is up to date\n")
    );
    let plan = place.on(&mock, SMALL, &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0);
    insta::assert_snapshot!("plan_nothing_to_do", at_api(&plan.stdout));
    let all = place.on(&mock, SMALL, &["plan", "--all"]);
    insta::assert_snapshot!("plan_all", at_api(&all.stdout));

    let more = SMALL.replace("\"test_app_instances\": 2", "\"test_app_instances\": 3");
    let plan = place.on(&mock, &more, &["plan"]);
    insta::assert_snapshot!("plan_one_instance_more", at_api(&plan.stdout));

    let unasked = place.on(&mock, SMALL, &["destroy"]);
    assert_eq!(unasked.code, 1);
    insta::assert_snapshot!(unasked.stderr, @r"
    error: deleting the org scale-org and 7 apps failed: not approved
    - org scale-org
    - quota scale-quota
    - security group scale-asg
    - app scale-registry
    - app scale-proxy-{0..2}
    - app scale-tick-{0..2}
    help: approve the deletions with --yes or --max-deletes N
    ");
    let destroy = place.on(&mock, SMALL, &["destroy", "--yes"]);
    assert_eq!(
        (destroy.code, destroy.stdout.as_str()),
        (0, "deleted scale-org, scale-quota, scale-asg\n")
    );
    insta::assert_snapshot!(stable(&destroy.stderr), @r"
    deletions: 10 to do
    deletions: 10 done
    ");
    let again = place.on(&mock, SMALL, &["destroy", "--yes"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));
    assert_eq!(
        again.stderr,
        "org scale-org: not found, or not visible to admin\n"
    );
}

#[rstest]
#[case::v3(Dialect::V3)]
#[case::documented_2017(Dialect::Documented2017)]
#[tokio::test(flavor = "multi_thread")]
async fn an_org_is_recreated(#[case] dialect: Dialect) {
    let mock = MockCapi::builder().dialect(dialect).start().await.unwrap();
    let place = Place::new();
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    let before = mock.state();
    let recreate = place.on(&mock, SMALL, &["converge", "--recreate", "--yes"]);
    assert_eq!(recreate.code, 0, "{}", recreate.stderr);
    assert!(
        recreate
            .stdout
            .starts_with("apps: 7 changed, 0 unchanged, 0 failed\n")
    );
    let after = mock.state();
    assert_ne!(before["organizations"], after["organizations"]);
    assert_eq!(place.on(&mock, SMALL, &["verify"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_object_with_the_keys_of_the_go_cf_pusher() {
    let (mock, place) = (api().await, Place::new());
    let output = place.on(&mock, SMALL, &["converge", "--format", "json"]);
    assert_eq!(output.code, 0);
    let mut object: Value = serde_json::from_str(&output.stdout).unwrap();
    let run = object["run"].take();
    insta::assert_json_snapshot!("json_converge", object);
    assert_eq!(run["changed"], 7);
    assert_eq!((&run["unchanged"], &run["failed"]), (&json!(0), &json!(0)));
    assert_eq!(
        (&run["retries"], &run["rate_limited"]),
        (&json!(0), &json!(0))
    );
    let by_endpoint = run["requests_by_endpoint"].as_object().unwrap();
    let sum: u64 = by_endpoint
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(run["requests"], sum);
    assert_eq!(run["latency_ms"]["count"], sum);
    for (endpoint, count) in by_endpoint {
        let times = &run["latency_ms_by_endpoint"][endpoint];
        assert_eq!(times["count"], *count, "{endpoint}");
        let times = ["p50", "p90", "p95", "p99", "max"].map(|it| times[it].as_f64().unwrap());
        assert!(times.is_sorted() && times[0] > 0.0, "{endpoint}: {times:?}");
    }
    let peak = run["peak_concurrency"].as_u64().unwrap();
    assert!((2..=20).contains(&peak), "{peak}");
    assert_eq!(mock.stats().total, sum, "as many as the foundation counted");
    assert!(run["duration_ms"].is_u64());

    let plan = place.on(&mock, SMALL, &["plan", "--format", "json"]);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["plan"]["unchanged"], 7);
    let verify = place.on(&mock, SMALL, &["verify", "--format", "json"]);
    let verify: Value = serde_json::from_str(&verify.stdout).unwrap();
    assert_eq!(verify["drift"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_run_costs_at_most_15_requests() {
    let (mock, place) = (api().await, Place::new());
    let config = std::fs::read_to_string(SCALE_TEST).unwrap();
    assert_eq!(place.on(&mock, &config, &["converge"]).code, 0);
    let output = place.on(&mock, &config, &["converge", "--format", "json"]);
    let object: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(object["run"]["changed"], 0);
    assert!(
        object["run"]["requests"].as_u64().unwrap() <= 15,
        "{}",
        output.stdout
    );
}

/// Invalid input is reported with its cause and help, and the exit code is 2.
#[rstest]
#[case::missing_file(None, &[])]
#[case::broken_json(Some("{\n  \"prefix\": \"a-\"\n  \"concurrency\": 2\n}"), &[])]
#[case::wrong_values(Some("{\n  \"concurrency\": \"many\",\n  \"asg_size\": -1\n}"), &[])]
#[case::missing_apps_dir(Some(SMALL), &["--apps-dir", "nowhere"])]
#[case::apps_dir_without_a_group(Some(SMALL), &["--apps-dir", "fixtures"])]
#[case::no_foundation(Some(SMALL), &[])]
#[case::no_credentials(Some(SMALL), &["--api", "api.example.com"])]
#[case::bad_timeout(Some(SMALL), &["--timeout", "soon"])]
#[case::bad_dialect(Some(SMALL), &["--dialect", "2018"])]
#[test]
fn bad_input_is_explained(#[case] config: Option<&str>, #[case] args: &[&str]) {
    let place = Place::new();
    let path = match config {
        Some(text) => place.file("config.json", text),
        None => place.dir.path().join("none.json"),
    };
    let mut command = cf_pusher(place.dir.path());
    command
        .args(["converge", "--config", path.to_str().unwrap()])
        .args(args);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stdout, b"");
    let err = String::from_utf8(output.stderr).unwrap();
    let err = err.replace(place.dir.path().to_str().unwrap(), "DIR");
    let case = std::thread::current()
        .name()
        .unwrap()
        .rsplit("::")
        .next()
        .unwrap()
        .to_owned();
    insta::assert_snapshot!(format!("bad_input_{case}"), err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_api_and_a_wrong_password_exit_with_3() {
    let (mock, place) = (api().await, Place::new());
    let wrong = SMALL.replace(
        '{',
        r#"{"admin_user": "admin", "admin_password": "wr0ng", "#,
    );
    let config = place.file("config.json", &wrong);
    let run = |api: &str| {
        let mut command = cf_pusher(place.dir.path());
        command.args([
            "converge",
            "--config",
            config.to_str().unwrap(),
            "--api",
            api,
        ]);
        place.run(command, &mock)
    };
    let wrong = run(&mock.uri());
    assert_eq!(wrong.code, 3);
    insta::assert_snapshot!("wrong_password", wrong.stderr);
    assert!(!wrong.stderr.contains("wr0ng"));
    let unreachable = run("http://127.0.0.1:9");
    assert_eq!(unreachable.code, 3);
    assert!(
        unreachable
            .stderr
            .starts_with("error: cannot reach http://127.0.0.1:9/: "),
        "{}",
        unreachable.stderr
    );
    assert!(unreachable.stderr.contains("\nhelp: check the API's URL"));
    let invalid = run("ftp://127.0.0.1:9");
    assert_eq!(invalid.code, 2);
    insta::assert_snapshot!(invalid.stderr, @r#"
    error: invalid API URL: "ftp://127.0.0.1:9" does not begin with http:// or https://
    help: use the URL of the Cloud Controller, such as https://api.example.com
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_of_the_cf_cli_is_used() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let place = Place::new();
    let login = login(&fixture.mock).await;
    std::fs::create_dir(place.dir.path().join(".cf")).unwrap();
    let cf = json!({
        "Target": fixture.mock.uri(),
        "AccessToken": format!("bearer {}", login["access_token"].as_str().unwrap()),
        "RefreshToken": login["refresh_token"],
        "UAAOAuthClient": "cf",
    });
    place.file(".cf/config.json", &cf.to_string());
    let config = place.file("config.json", SMALL);
    let mut command = cf_pusher(place.dir.path());
    command.args(["converge", "--config", config.to_str().unwrap()]);
    assert_eq!(place.run(command, &fixture.mock).code, 0);

    let mut command = cf_pusher(place.dir.path());
    command.args([
        "verify",
        "--config",
        config.to_str().unwrap(),
        "--api",
        "http://127.0.0.1:9",
    ]);
    let elsewhere = place.run(command, &fixture.mock);
    assert_eq!(elsewhere.code, 2, "its tokens are for its own target");
    insta::assert_snapshot!(elsewhere.stderr, @r"
    error: no credentials for http://127.0.0.1:9: the cf CLI is logged in to http://api
    help: set CF_USERNAME and CF_PASSWORD, or log in with `cf login -a http://127.0.0.1:9`
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_staging_fails_its_group_with_one_error() {
    let staging = Fault::failed_staging().of("scale-tick-0");
    let mock = MockCapi::builder()
        .faults(vec![staging])
        .start()
        .await
        .unwrap();
    let place = Place::new();
    let output = place.on(&mock, SMALL, &["converge"]);
    assert_eq!(output.code, 1);
    insta::assert_snapshot!("failed_staging", stable(&output.stderr));
    insta::assert_snapshot!("failed_staging_summary", counts_of(&output.stdout));
    mock.set_faults(Vec::new()).unwrap();
    assert_eq!(
        place.on(&mock, SMALL, &["converge"]).code,
        0,
        "the next run repairs it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exceeded_quota_is_explained() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let limit = |memory: Value| json!({"apps": {"total_memory_in_mb": memory}});
    let quotas = "/v3/organization_quotas?names=scale-quota";
    let quotas = fixture.curl("GET", quotas, Value::Null).await;
    let guid = quotas["resources"][0]["guid"].as_str().unwrap();
    let quota = format!("/v3/organization_quotas/{guid}");
    fixture.curl("PATCH", &quota, limit(json!(1024))).await;
    let place = Place::new();
    let many = SMALL.replace("\"proxy_applications\": 3", "\"proxy_applications\": 40");
    let output = place.on(&fixture.mock, &many, &["converge"]);
    assert_eq!(output.code, 1);
    let errors: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    // The Cloud Controller rejects staging and starting with different messages.
    let is_of_quota = |it: &str| it.contains("quota") || it.contains("memory limit exceeded");
    assert!(
        errors
            .iter()
            .all(|it| it.contains("app scale-") && is_of_quota(it)),
        "{}",
        output.stderr
    );
    assert!((1..=3).contains(&errors.len()), "{}", output.stderr);
    assert!(output.stderr.contains(" more: "), "{}", output.stderr);
    assert!(
        output.stderr.contains("  failed: scale-proxy-"),
        "{}",
        output.stderr
    );
    assert!(
        output
            .stderr
            .contains("help: raise the limits of the quota"),
        "{}",
        output.stderr
    );

    fixture.curl("PATCH", &quota, limit(Value::Null)).await;
    let fewer = place.on(&fixture.mock, SMALL, &["converge", "--yes"]);
    assert_eq!(fewer.code, 0, "{}", fewer.stderr);
    assert_eq!(place.on(&fixture.mock, SMALL, &["verify"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_the_foundation_is_quoted() {
    let forbidden = Fault::answer("POST", "/v3/organizations", 403);
    let mock = MockCapi::builder()
        .faults(vec![forbidden])
        .start()
        .await
        .unwrap();
    let place = Place::new();
    let output = place.on(&mock, SMALL, &["converge"]);
    assert_eq!(output.code, 1);
    insta::assert_snapshot!("forbidden", stable(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_does_not_stop_the_run() {
    let (mock, place) = (api().await, Place::new());
    let config = place.file("config.json", SMALL);
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("cf-pusher"))
        .args(["converge", "--config", config.to_str().unwrap()])
        .env("CF_HOME", place.dir.path())
        .env("CF_API", mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap());
    assert_eq!(status.await.unwrap().code(), Some(0));
    assert_eq!(place.on(&mock, SMALL, &["verify"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_during_a_run_is_reported_once() {
    let latency = Duration::from_millis(10);
    let mock = MockCapi::builder().latency(latency).start().await.unwrap();
    let place = Place::new();
    let config = place.file("config.json", SMALL);
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("cf-pusher"))
        .args([
            "converge",
            "--config",
            config.to_str().unwrap(),
            "--timeout",
            "5s",
        ])
        .env("CF_HOME", place.dir.path())
        .env("CF_API", mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while mock.state()["apps"].as_array().unwrap().len() < 7 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(mock);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("cannot reach"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_username_without_a_password_is_an_error() {
    let place = Place::new();
    let config = place.file("config.json", SMALL);
    let mut command = cf_pusher(place.dir.path());
    command.args([
        "plan",
        "--config",
        config.to_str().unwrap(),
        "--api",
        "http://127.0.0.1:9",
    ]);
    command.env("CF_USERNAME", "admin");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8(output.stderr).unwrap();
    insta::assert_snapshot!(err, @r"
    error: CF_USERNAME is set without CF_PASSWORD
    help: set both, or neither
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn destroy_needs_no_apps() {
    let (mock, place) = (api().await, Place::new());
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    let destroy = ["destroy", "--yes", "--apps-dir", "nowhere"];
    assert_eq!(place.on(&mock, SMALL, &destroy).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_stops_the_run_before_anything_is_sent() {
    let (mock, place) = (api().await, Place::new());
    let config = r#"{"proxy_applications": 1, "test_aplications": 2}"#;
    let output = place.on(&mock, config, &["converge"]);
    assert_eq!(output.code, 2);
    insta::assert_snapshot!(output.stderr, @r"
    error: DIR/config.json:1: unknown key `test_aplications`, did you mean `test_applications`?
    help: see `cf-pusher schema` for all keys and their values
    ");
    assert_eq!(mock.stats().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_go_scaling_suite_are_listed_with_v_only() {
    let (mock, place) = (api().await, Place::new());
    let config = r#"{"use_http": true}"#;
    let note = "`use_http` is only used by the Go scaling suite";
    assert!(!place.on(&mock, config, &["plan"]).stderr.contains(note));
    assert!(
        place
            .on(&mock, config, &["plan", "-v"])
            .stderr
            .contains(note)
    );
}

#[rstest]
#[case::with_per_app(&["--workflow", "per-app", "--batch", "10"])]
#[case::in_2017(&["--dialect", "2017", "--batch", "10"])]
#[tokio::test(flavor = "multi_thread")]
async fn batch_is_refused_where_no_manifest_is_applied(#[case] args: &[&str]) {
    let mock = MockCapi::builder().dialect(Dialect::Documented2017);
    let (mock, place) = (mock.start().await.unwrap(), Place::new());
    let args: Vec<&str> = [&["converge"], args].concat();
    let output = place.on(&mock, SMALL, &args);
    assert_eq!(output.code, 2);
    insta::allow_duplicates! {
        insta::assert_snapshot!(output.stderr, @r"
        error: --batch has no effect: apps are created without manifests
        help: leave out --batch, or use --workflow manifest
        ");
    }
}

/// The first line of a summary: the counts of apps.
fn counts_of(out: &str) -> &str {
    out.lines().next().unwrap_or_default()
}

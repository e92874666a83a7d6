//! Staging and starting during a push: logs, failures, and deadlines.

use std::time::Duration;

use mock_capi::{Fault, MockCapi};
use rstest::rstest;

use crate::support::push::{DORA, Push};

#[tokio::test]
async fn a_failed_staging_is_explained_and_the_other_apps_continue() {
    let push =
        Push::with(MockCapi::builder().faults(vec![Fault::failed_staging().of("bad")])).await;
    push.manifest("applications:\n- {name: bad, path: bits}\n- {name: good, path: bits}\n");
    let output = push.push(&[]);
    assert_eq!(output.code, 1);
    let lines: Vec<&str> = output.stderr.lines().collect();
    let [.., error, help] = lines.as_slice() else {
        panic!("{lines:#?}");
    };
    assert!(
        error.starts_with("error: staging bad failed: "),
        "{lines:#?}"
    );
    assert_eq!(
        *help,
        "help: read the staging log (`cf logs bad --recent`), fix the bits, and run again"
    );
    let log: Vec<&&str> = lines.iter().filter(|it| it.starts_with("bad | ")).collect();
    let once: std::collections::HashSet<&&&str> = log.iter().collect();
    assert!(!log.is_empty() && once.len() == log.len(), "{lines:#?}");
    assert_eq!(push.app("good").await["state"], "STARTED");
    assert_eq!(push.app("bad").await["state"], "STOPPED");
}

/// Log-cache rejects requests, is down, or does not respond.
#[rstest]
#[case::refusing(
    Fault::answer("GET", "/api/v1/read/:source_id", 404),
    "log-cache responded with 404 Not Found"
)]
#[case::down(
    Fault::answer("GET", "/api/v1/read/:source_id", 503),
    "log-cache did not respond in time"
)]
#[case::hanging(
    Fault::delay("GET", "/api/v1/read/:source_id", Duration::from_secs(3600)),
    "log-cache did not respond in time"
)]
#[tokio::test]
async fn a_broken_log_cache_is_reported_once_and_never_waited_for(
    #[case] fault: Fault,
    #[case] reason: &str,
) {
    let builder = MockCapi::builder().staging_time(Duration::from_secs(7));
    let push = Push::with(builder.faults(vec![fault])).await;
    let app = |i| format!("- {{name: app-{i}, path: bits}}\n");
    let apps: String = (0..20).map(app).collect();
    push.manifest(&format!("applications:\n{apps}"));
    let output = push.push_successfully(&["--concurrency", "40"]);
    let warning = format!("warning: staging logs are not shown: {reason}");
    assert_eq!(
        output.stderr.matches(&warning).count(),
        1,
        "{}",
        output.stderr
    );
    assert_eq!(
        output.stderr.matches("warning: ").count(),
        1,
        "{}",
        output.stderr
    );
    let reads = push.requests();
    let reads = reads.iter().filter(|it| it.contains("/api/v1/read/"));
    let reads = reads.count();
    assert!(reads <= 24, "{reads} reads for 20 apps");
}

/// Waiting for several apps takes few requests, because they are polled together.
#[tokio::test]
async fn the_logs_of_a_slow_staging_are_streamed() {
    let builder = MockCapi::builder().staging_time(Duration::from_millis(1500));
    let push = Push::with(builder.start_time(Duration::from_millis(100))).await;
    push.manifest(DORA);
    let output = push.push_successfully(&[]);
    let reads = push.requests();
    let reads = reads
        .iter()
        .filter(|it| it.contains("/api/v1/read/"))
        .count();
    assert!(reads >= 2, "on the way and at the end: {reads}");
    let lines: Vec<&str> = output
        .stderr
        .lines()
        .filter(|it| it.starts_with("dora | "))
        .collect();
    let mut once = lines.clone();
    once.dedup();
    assert_eq!(lines, once, "no line is printed twice");
    assert!(lines.len() > 5, "{lines:#?}");
}

/// The push ends long before the deadline of the wait, which is 15 minutes.
#[tokio::test]
async fn a_push_ends_if_the_foundation_becomes_unreachable() {
    let slow = MockCapi::builder().staging_time(Duration::from_secs(60));
    let push = Push::with(slow).await;
    push.manifest(DORA);
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("cf-pusher"));
    command
        .current_dir(push.place.dir.path())
        .args(["push", "--org", "o", "--space", "s"])
        .env("CF_HOME", push.place.dir.path())
        .env("CF_API", push.mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    for _ in 0..500 {
        if !push.list("/v3/builds").await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(push.mock);
    let status = tokio::task::spawn_blocking(move || child.wait());
    let status = tokio::time::timeout(Duration::from_secs(50), status).await;
    assert_eq!(status.unwrap().unwrap().unwrap().code(), Some(3));
}

#[tokio::test]
async fn instances_that_crash_fail_the_push() {
    let push = Push::with(MockCapi::builder().faults(vec![Fault::crashing_instances()])).await;
    push.manifest(DORA);
    let output = push.push(&[]);
    assert_eq!(output.code, 1);
    assert!(
        output
            .stderr
            .contains("error: starting dora failed: all instances of the process web crashed"),
        "{}",
        output.stderr
    );
}

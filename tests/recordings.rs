//! Recordings of a run in the formats of other programs.

#[allow(dead_code, reason = "this file uses a part of it")]
#[path = "../mock-capi/tests/browser/mod.rs"]
mod browser;
use std::collections::HashMap;
use std::path::PathBuf;

use crate::support::command::{CommandOutput, Place, stable};
use crate::support::{SMALL, login};
use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

/// Converges with a recording. Returns the output and the file.
fn record(place: &Place, mock: &MockCapi, flag: &str, more: &[&str]) -> (CommandOutput, PathBuf) {
    let file = place.dir.path().join("recording");
    let args = ["converge", flag, file.to_str().unwrap()];
    let output = place.on(mock, SMALL, &[&args, more].concat());
    (output, file)
}

fn read(file: &PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

async fn recorded_mock(faults: Vec<Fault>) -> MockCapi {
    let builder = MockCapi::builder().record_requests().faults(faults);
    builder.start().await.unwrap()
}

/// The number of requests with each method.
fn by_method<'a>(methods: impl Iterator<Item = &'a str>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for method in methods {
        *counts.entry(method.to_owned()).or_default() += 1;
    }
    counts
}

fn asked(mock: &MockCapi) -> HashMap<String, usize> {
    by_method(mock.requests().iter().map(|it| it.method.as_str()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_has_every_request_within_its_step() {
    let (mock, place) = (recorded_mock(Vec::new()).await, Place::new());
    let (output, file) = record(&place, &mock, "--trace", &[]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let trace = read(&file);
    let entries = trace.as_array().unwrap();
    let of = |kind: &str| -> Vec<&Value> { entries.iter().filter(|it| it["ph"] == kind).collect() };
    let methods = of("X");
    let methods = methods
        .iter()
        .map(|it| it["args"]["method"].as_str().unwrap());
    assert_eq!(by_method(methods), asked(&mock));

    let place_of = |entry: &Value| {
        (
            entry["pid"].as_u64().unwrap(),
            entry["tid"].as_u64().unwrap(),
        )
    };
    let mut names: HashMap<_, &str> = HashMap::new();
    for name in of("M").iter().filter(|it| it["name"] == "thread_name") {
        names.insert(place_of(name), name["args"]["name"].as_str().unwrap());
    }
    let mut steps: HashMap<_, Vec<(f64, f64)>> = HashMap::new();
    for (kind, edge) in of("B")
        .into_iter()
        .map(|it| ("B", it))
        .chain(of("E").into_iter().map(|it| ("E", it)))
    {
        let at = edge["ts"].as_f64().unwrap();
        let steps = steps.entry(place_of(edge)).or_default();
        match kind {
            "B" => steps.push((at, f64::INFINITY)),
            _ => {
                steps
                    .iter_mut()
                    .find(|step| step.1.is_infinite())
                    .unwrap()
                    .1 = at
            }
        }
    }
    let mut of_apps = 0;
    for request in of("X") {
        assert_eq!(
            request["args"]["status"].as_u64().unwrap() / 100,
            2,
            "{request}"
        );
        let track = names[&place_of(request)];
        if track == "requests" {
            continue;
        }
        of_apps += usize::from(track.starts_with("app "));
        assert!(request["args"]["request_id"].is_string(), "{request}");
        let began = request["ts"].as_f64().unwrap();
        let ended = began + request["dur"].as_f64().unwrap();
        let mut steps = steps[&place_of(request)].iter();
        assert!(
            steps.any(|(from, to)| *from <= began && ended <= *to),
            "{request} is in no step of {track}"
        );
    }
    assert!(of_apps > 7, "{of_apps}");
    for phase in ["foundation", "prototypes", "clones"] {
        assert!(names.values().any(|name| *name == phase), "{phase}");
    }
    let running = |it: &&&Value| it["name"] == "apps running";
    let running = of("C")
        .iter()
        .filter(running)
        .map(|it| it["args"]["apps"].as_u64())
        .max();
    assert_eq!(running, Some(Some(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_file_is_an_error_before_anything_is_sent() {
    let (mock, place) = (recorded_mock(Vec::new()).await, Place::new());
    let path = place.dir.path().join("nowhere/file");
    let path = path.to_str().unwrap();
    let output = place.on(&mock, SMALL, &["converge", "--trace", path]);
    assert_eq!(output.code, 2);
    insta::assert_snapshot!(output.stderr, @r"
    error: writing the trace DIR/nowhere/file failed: No such file or directory (os error 2)
    help: choose a file in a folder that exists
    ");
    assert_eq!(mock.stats().total, 0);
}

#[rstest]
#[case::trace("--trace")]
#[case::har("--har")]
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_complete_when_the_run_fails(#[case] flag: &str) {
    let fault = Fault::answer("POST", "/v3/organizations", 403);
    let (mock, place) = (recorded_mock(vec![fault]).await, Place::new());
    let (output, file) = record(&place, &mock, flag, &[]);
    assert_eq!(output.code, 1);
    let text = std::fs::read_to_string(&file).unwrap();
    read(&file);
    assert!(text.contains("/v3/organizations"), "{text}");
    assert!(text.contains("403"), "{text}");
}

#[cfg(target_os = "linux")]
#[rstest]
#[case::trace("--trace")]
#[case::har("--har")]
#[case::report("--report")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_does_not_end_the_run(#[case] flag: &str) {
    let (mock, place) = (recorded_mock(Vec::new()).await, Place::new());
    let output = place.on(&mock, SMALL, &["converge", flag, "/dev/full"]);
    assert_eq!(output.code, 0);
    assert!(
        output.stdout.starts_with("apps: 7 changed"),
        "{}",
        output.stdout
    );
    let err = stable(&output.stderr);
    let printed = err.lines().find(|line| line.starts_with("warning: "));
    insta::assert_snapshot!(format!("full{flag}"), printed.unwrap());
}

#[rstest]
#[case::per_app("per-app", "creating the app", "/environment_variables")]
#[case::manifest("manifest", "applying the manifest", "/applications/0/env")]
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_has_every_exchange_and_no_secret(
    #[case] workflow: &str,
    #[case] step: &str,
    #[case] env: &str,
) {
    let (mock, place) = (recorded_mock(Vec::new()).await, Place::new());
    let (output, file) = record(&place, &mock, "--har", &["--workflow", workflow]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let archive = read(&file);
    assert_eq!(archive["log"]["version"], "1.2");
    let entries = archive["log"]["entries"].as_array().unwrap();
    let methods = entries
        .iter()
        .map(|it| it["request"]["method"].as_str().unwrap());
    assert_eq!(by_method(methods), asked(&mock));
    let text =
        |it: &Value| -> Value { serde_json::from_str(it["text"].as_str().unwrap()).unwrap() };
    let with_env = entries
        .iter()
        .filter(|it| it["_step"] == step && it["request"]["method"] == "POST");
    let mut hidden = 0;
    for entry in with_env {
        assert_eq!(entry["response"]["status"].as_u64().unwrap() / 100, 2);
        let sent = text(&entry["request"]["postData"]);
        if let Some(env) = sent.pointer(env) {
            let values = env.as_object().unwrap().values();
            hidden += values.filter(|value| **value == "[removed]").count();
        }
    }
    assert!(hidden > 3, "{hidden}");

    // Removed secrets appear nowhere.
    let all = std::fs::read_to_string(&file).unwrap();
    let token = login(&mock).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let head = token.split('.').next().unwrap();
    assert!(!all.contains(head), "a token");
    for secret in [
        "password=admin",
        "Basic ",
        "bearer ",
        "Bearer ",
        "http://scale-registry",
    ] {
        assert!(!all.contains(secret), "{secret}");
    }
    for entry in entries {
        if entry["request"]["url"]
            .as_str()
            .unwrap()
            .ends_with("/oauth/token")
        {
            assert_eq!(entry["request"]["postData"]["text"], "[removed]");
            assert_eq!(entry["response"]["content"]["text"], "[removed]");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver on the PATH"]
async fn the_report_is_readable_in_light_and_dark() {
    let fault = Fault::answer("POST", "/v3/deployments", 503).times(1);
    let (mock, place) = (recorded_mock(vec![fault]).await, Place::new());
    let file = place.dir.path().join("run.html");
    let output = place.on(
        &mock,
        SMALL,
        &["converge", "--report", file.to_str().unwrap()],
    );
    assert_eq!(output.code, 0, "{}", output.stderr);
    browser::on_url(&format!("file://{}", file.display()), async |page| {
        page.wait_for_text("summary", "td", &mock.stats().total.to_string())
            .await?;
        page.wait_for_text("summary", "p", "The run is complete.")
            .await?;
        page.wait_for_text("apps", "th", "scale-tick-1").await?;
        page.wait_for_text("endpoints", "th", "POST /v3/deployments")
            .await?;
        page.wait_for_text("failures", "td", "503").await?;
        let drawn = "[...document.querySelectorAll('svg')].map((it) => it.ariaLabel !== '' \
            && it.querySelectorAll('path, rect').length > 0)";
        assert_eq!(page.ask(drawn).await?, json!(vec![true; 5]));
        let bare = "document.querySelectorAll('table:not(:has(caption))').length";
        assert_eq!(page.ask(bare).await?, 0);
        let mut colors = Vec::new();
        for scheme in ["light", "dark"] {
            let scheme = json!({"name": "prefers-color-scheme", "value": scheme});
            let media = json!({"features": [scheme]});
            let cdp = page.driver.cdp();
            cdp.send_raw("Emulation.setEmulatedMedia", media).await?;
            let style = "getComputedStyle(document.body)";
            colors.push(page.ask(&format!("{style}.backgroundColor")).await?);
            colors.push(page.ask(&format!("{style}.color")).await?);
        }
        assert_ne!(colors[..2], colors[2..]);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_app_is_a_junit_test_case_and_failures_have_a_cause() {
    let staging = Fault::failed_staging().of("scale-tick-0");
    let (mock, place) = (recorded_mock(vec![staging]).await, Place::new());
    let (output, file) = record(&place, &mock, "--junit", &[]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("<testcase ").count(), 7, "{text}");
    assert_eq!(text.matches("<failure ").count(), 3, "{text}");
    assert!(
        text.contains(r#"name="app scale-tick-2" classname="scale-org/scale-space""#),
        "{text}"
    );
    assert!(text.contains(r#"type="staging""#), "{text}");
    assert!(text.contains("NoAppDetectedError"), "{text}");
    assert!(
        text.contains(r#"tests="7""#) && text.contains(r#"failures="3""#),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_every_failed_app() {
    let staging = Fault::failed_staging().of("scale-tick-0");
    let (mock, place) = (recorded_mock(vec![staging]).await, Place::new());
    let (output, file) = record(&place, &mock, "--report", &[]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let page = std::fs::read_to_string(&file).unwrap();
    let (_, data) = page
        .split_once(r#"<script id="data" type="application/json">"#)
        .unwrap();
    let data: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    let failures = data["failures"].to_string();
    for name in ["scale-tick-0", "scale-tick-1", "scale-tick-2"] {
        assert!(failures.contains(name), "{failures}");
    }
}

/// Runs until a recording has grown, and kills the process.
#[cfg(unix)]
#[rstest]
#[case::trace("--trace")]
#[case::har("--har")]
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_a_killed_run_is_valid(#[case] flag: &str) {
    let latency = std::time::Duration::from_millis(20);
    let mock = MockCapi::builder().latency(latency).start().await.unwrap();
    let place = Place::new();
    let file = place.dir.path().join("recording");
    let mut command = place.process_on(&mock, SMALL, &["converge", flag, file.to_str().unwrap()]);
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    while mock.state()["apps"].as_array().unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    read(&file);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("/v3/organizations"), "{text}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_without_a_reader_does_not_block_a_run() {
    use std::process::{Command, Stdio};
    let (mock, place) = (recorded_mock(Vec::new()).await, Place::new());
    let pipe = place.dir.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut command =
        place.process_on(&mock, SMALL, &["converge", "--har", pipe.to_str().unwrap()]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A signal that arrives before the handler is set up ends the process as well.
    let code = loop {
        let kill = Command::new("kill").arg(child.id().to_string()).status();
        assert!(kill.unwrap().success());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
    };
    assert!(matches!(code, Some(130) | None), "{code:?}");
    assert_eq!(mock.stats().total, 0);
}

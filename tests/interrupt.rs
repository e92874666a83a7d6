//! On Ctrl-C and SIGTERM, running requests finish, no new ones start, a summary is
//! printed, and the next run completes the work.

#![cfg(unix)]
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::SMALL;
use crate::support::command::Place;
use mock_capi::{CloudController, Fault, MockCapi};
use rstest::rstest;
use serde_json::Value;

const LONG: Duration = Duration::from_secs(60 * 60);

/// The running command.
struct Running(Child);

impl Running {
    fn start(place: &Place, mock: &CloudController, args: &[&str]) -> Self {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("cf-pusher"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CF_")) {
            command.env_remove(name);
        }
        let command = command
            .args(args)
            .current_dir(place.dir.path())
            .env("CF_HOME", place.dir.path())
            .env("TMPDIR", place.dir.path())
            .env("CF_API", mock.uri())
            .env("CF_USERNAME", "admin")
            .env("CF_PASSWORD", "admin")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &self.0.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Reads the output up to a line with this beginning.
    fn wait_for_line(&mut self, beginning: &str) {
        let output = BufReader::new(self.0.stderr.as_mut().unwrap());
        let mut lines = output.lines().map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with(beginning)));
    }

    /// Waits for the exit, at most this long.
    fn status_within(mut self, time: Duration) -> ExitStatus {
        let deadline = Instant::now() + time;
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return status,
                None if Instant::now() > deadline => panic!("still running after {time:?}"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Waits for the exit, and returns the exit code and the output.
    fn wait_for_exit(mut self) -> (i32, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        let (stdout, stderr) = (self.0.stdout.as_mut(), self.0.stderr.as_mut());
        stdout.unwrap().read_to_string(&mut out).unwrap();
        stderr.unwrap().read_to_string(&mut err).unwrap();
        (self.0.wait().unwrap().code().unwrap(), out, err)
    }
}

/// Kills the process if the test fails.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// Waits until the foundation has received a request.
async fn wait_for_request(mock: &MockCapi, method: &str, path: &str) {
    let came = || {
        let mut requests = mock.requests().into_iter();
        requests.any(|it| it.method == method && it.path.starts_with(path))
    };
    let waiting = async {
        while !came() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.expect("such a request comes");
}

#[rstest]
#[case::ctrl_c("INT")]
#[case::terminate("TERM")]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_finishes_its_requests_and_the_next_run_the_rest(#[case] signal: &str) {
    const CONCURRENCY: u64 = 4;
    let latency = Duration::from_millis(100);
    let mock = MockCapi::builder().latency(latency).record_requests();
    let mock = mock.start().await.unwrap();
    let place = Place::new();
    place.file("config.json", SMALL);
    let args = "converge --config config.json --concurrency 4 --format json";
    let args: Vec<&str> = args.split(' ').collect();
    let run = Running::start(&place, &mock, &args);
    wait_for_request(&mock, "POST", "/v3/packages").await;
    let before = mock.stats().total;
    run.signal(signal);
    let (code, out, err) = run.wait_for_exit();
    assert_eq!(code, 130, "{err}");
    let printed: Vec<&str> = err
        .lines()
        .filter(|line| line.contains("interrupt") || line.starts_with("help: "))
        .collect();
    insta::allow_duplicates! {
        insta::assert_snapshot!(printed.join("\n"), @"
        interrupted: finishing running requests (press Ctrl-C again to quit now)
        error: interrupted
        help: run the same command again to finish
        ");
    }
    let run = &serde_json::from_str::<Value>(&out).unwrap()["run"];
    assert_eq!(run["interrupted"], true);
    let count = |key: &str| run[key].as_u64().unwrap();
    assert_eq!(count("changed") + count("unchanged") + count("failed"), 7);
    assert!(count("failed") > 0);
    // Only requests that were in flight arrived, and all were answered.
    let total = mock.stats().total;
    assert!(total <= before + CONCURRENCY, "{total} after {before}");
    assert_eq!(count("requests"), total);

    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    assert_eq!(place.on(&mock, SMALL, &["verify"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_quits_immediately() {
    let hangs = Fault::delay("POST", "/v3/packages", LONG);
    let mock = MockCapi::builder().faults(vec![hangs]).record_requests();
    let mock = mock.start().await.unwrap();
    let place = Place::new();
    place.file("config.json", SMALL);
    let args = ["converge", "--config", "config.json"];
    let mut run = Running::start(&place, &mock, &args);
    wait_for_request(&mock, "POST", "/v3/packages").await;
    run.signal("INT");
    run.wait_for_line("interrupted: ");
    run.signal("INT");
    let (code, out, err) = run.wait_for_exit();
    assert_eq!(code, 130);
    assert_eq!(out, "", "the second signal ends the run without a summary");
    assert!(err.ends_with("error: interrupted\nhelp: run the same command again to finish\n"));
}

/// A droplet gets its final name only once it is complete.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_download_is_repeated_by_the_next_export() {
    let slow = Fault::drip("GET", "/v3/droplets/:guid/download", LONG);
    let mock = MockCapi::builder().faults(vec![slow]).front();
    let mock = mock.start().await.unwrap();
    mock.org("o").space("s").app("web").started();
    let place = Place::new();
    let args = ["export", "--org", "o", "--bits", "bits", "-o", "o.yml"];
    let mut run = Running::start(&place, &mock, &args);
    let bits = place.dir.path().join("bits");
    let (part, droplet) = (bits.join("s-web.part"), bits.join("s-web.tgz"));
    let begun = async {
        while !part.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let begun = tokio::time::timeout(Duration::from_secs(60), begun).await;
    begun.expect("the download begins");
    run.signal("INT");
    run.wait_for_line("interrupted: ");
    run.signal("INT");
    let (code, _, err) = run.wait_for_exit();
    assert_eq!(code, 130, "{err}");
    assert!(!droplet.exists() && !place.dir.path().join("o.yml").exists());
    mock.set_faults(Vec::new()).unwrap();
    let (code, _, err) = Running::start(&place, &mock, &args).wait_for_exit();
    assert_eq!(code, 0, "{err}");
    assert!(droplet.exists() && !part.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_waits() {
    let mock = MockCapi::builder().start_time(LONG);
    let mock = mock.start().await.unwrap();
    let place = Place::new();
    place.file("config.json", SMALL);
    let args = ["converge", "--config", "config.json"];
    let mut run = Running::start(&place, &mock, &args);
    run.wait_for_line("instances: ");
    run.signal("INT");
    assert_eq!(run.wait_for_exit().0, 130);
    mock.advance(LONG);
    assert_eq!(place.on(&mock, SMALL, &["verify"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_push_is_finished_by_the_next() {
    let mock = MockCapi::builder().staging_time(LONG).record_requests();
    let mock = mock.start().await.unwrap();
    let place = Place::new();
    let org = crate::support::curl(
        &mock,
        "POST",
        "/v3/organizations",
        serde_json::json!({"name": "o"}),
    )
    .await;
    let relationships = serde_json::json!({"organization": {"data": {"guid": org["guid"]}}});
    let space = serde_json::json!({"name": "s", "relationships": relationships});
    crate::support::curl(&mock, "POST", "/v3/spaces", space).await;
    std::fs::create_dir(place.dir.path().join("bits")).unwrap();
    place.file("bits/index.html", "hello");
    let args = ["push", "dora", "-p", "bits", "--org", "o", "--space", "s"];
    let run = Running::start(&place, &mock, &args);
    wait_for_request(&mock, "POST", "/v3/builds").await;
    run.signal("INT");
    let (code, out, err) = run.wait_for_exit();
    assert_eq!(code, 130, "{err}");
    assert!(
        out.ends_with("apps: 0 pushed, 0 failed, 1 not done\n"),
        "{out}"
    );
    assert!(
        err.ends_with("error: interrupted\nhelp: run the same command again to finish\n"),
        "{err}"
    );

    mock.advance(LONG);
    let times = serde_json::json!({"staging": "0s"});
    crate::support::curl(&mock, "PUT", "/_mock/times", times).await;
    let (code, _, err) = Running::start(&place, &mock, &args).wait_for_exit();
    assert_eq!(code, 0, "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_destroy_is_finished_by_the_next() {
    let mock = MockCapi::builder().record_requests().start().await.unwrap();
    let place = Place::new();
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    let slow = Fault::delay("DELETE", "/v3/organizations/*", Duration::from_millis(500));
    mock.set_faults(vec![slow]).unwrap();
    let args = "destroy --config config.json --yes --format json";
    let args: Vec<&str> = args.split(' ').collect();
    mock.forget_requests();
    let run = Running::start(&place, &mock, &args);
    wait_for_request(&mock, "DELETE", "/v3/organizations/").await;
    run.signal("INT");
    let (code, out, err) = run.wait_for_exit();
    assert_eq!(code, 130, "{err}");
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(printed["interrupted"], true);
    assert_eq!(printed["destroyed"], serde_json::json!([]));

    let output = place.on(&mock, SMALL, &["destroy", "--yes"]);
    assert_eq!(
        (output.code, output.stdout.starts_with("deleted ")),
        (0, true),
        "{}",
        output.stdout
    );
}

/// `manifest` needs no foundation and does not handle signals, so INT ends it only where
/// the shell that runs the tests has not made its programs ignore INT.
#[rstest]
#[case::configuration(&["plan", "--config"], "INT")]
#[case::spec(&["plan", "-f"], "INT")]
#[case::manifest_to_push(&["push", "-f"], "INT")]
#[case::manifest(&["manifest", "-f"], "TERM")]
#[case::certificates(&["export", "--org", "o", "--api", "localhost:1", "--ca-cert"], "INT")]
fn a_signal_ends_a_command_that_waits_for_its_input(#[case] args: &[&str], #[case] signal: &str) {
    let place = Place::new();
    let pipe = place.dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("cf-pusher"));
    let command = command.args(args).arg(&pipe).stderr(Stdio::null());
    let login = [("CF_USERNAME", "admin"), ("CF_PASSWORD", "admin")];
    let command = command.env("CF_HOME", place.dir.path()).envs(login);
    let running = Running(command.spawn().unwrap());
    // This returns when the command has opened the pipe and waits for input.
    let writer = File::options().write(true).open(&pipe).unwrap();
    running.signal(signal);
    let status = running.status_within(Duration::from_secs(60));
    // A command that does not handle the signal is ended by it.
    let is_interrupted = status.code() == Some(130) || matches!(status.signal(), Some(2 | 15));
    assert!(is_interrupted, "{status}");
    drop(writer);
}

/// The output is written at the end, and writing to a pipe waits for its reader.
#[rstest]
#[case::plan(&["plan", "--config", "config.json", "--out"])]
#[case::export(&["export", "--org", "o", "-o"])]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_a_command_whose_output_is_not_read(#[case] args: &[&str]) {
    let mock = MockCapi::start().await.unwrap();
    mock.org("o").space("s").app("web").started();
    let place = Place::new();
    place.file("config.json", SMALL);
    let pipe = place.dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(pipe).status().unwrap();
    assert!(made.success());
    let start = |output| Running::start(&place, &mock, &[args, &[output]].concat());
    let (code, _, err) = start("file").wait_for_exit();
    assert_eq!(code, 0, "{err}");
    let requests = 2 * mock.stats().total;
    let run = start("pipe");
    let all = async {
        while mock.stats().total < requests {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(60), all).await;
    all.expect("it sends the same requests");
    run.signal("INT");
    let status = run.status_within(Duration::from_secs(60));
    assert_eq!(status.code(), Some(130));
}

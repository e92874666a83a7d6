//! The `mock-capi` command.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use assert_cmd::cargo::cargo_bin;

/// A running command, with what it prints.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(cargo_bin("mock-capi"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The address that the first line names.
    fn uri(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let uri = line.strip_prefix("mock-capi listening on ");
        uri.unwrap_or_else(|| panic!("{line:?}"))
            .trim_end()
            .to_owned()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn it_serves_until_it_is_told_to_end() {
    for signal in ["-TERM", "-INT"] {
        let mut running = Running::start(&[
            "--user",
            "boss",
            "--add-user",
            "me:mine",
            "--latency",
            "1ms",
        ]);
        let uri = running.uri();
        assert!(uri.starts_with("http://127.0.0.1:"), "{uri}");
        let http = reqwest::Client::new();
        let form = [
            ("grant_type", "password"),
            ("username", "me"),
            ("password", "mine"),
        ];
        let login = http
            .post(format!("{uri}/uaa/oauth/token"))
            .basic_auth("cf", Some(""))
            .form(&form);
        assert_eq!(login.send().await.unwrap().status(), 200);
        let stats = http.get(format!("{uri}/_mock/stats")).send().await.unwrap();
        let stats: serde_json::Value = stats.json().await.unwrap();
        assert_eq!(stats["by_route"]["POST /uaa/oauth/token"], 1);
        running.signal(signal);
        assert_eq!(running.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn it_speaks_the_dialect_it_is_told() {
    let mut running = Running::start(&["--dialect", "2017", "--apps-domain", "bosh-lite.com"]);
    let uri = running.uri();
    let root = reqwest::get(&uri).await.unwrap().text().await.unwrap();
    assert!(root.contains("cloud_controller_v2"), "{root}");
    let state = reqwest::get(format!("{uri}/_mock/state"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(state.contains("bosh-lite.com"), "{state}");
}

/// Exit code and what was printed as an error.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(cargo_bin("mock-capi"))
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn usage_errors_name_the_flag() {
    for (arguments, named) in [
        (
            ["--dialect", "v4"],
            "unknown dialect 'v4': use 'v3' or '2017'",
        ),
        (["--listen", "nowhere"], "--listen"),
        (["--latency", "soon"], "--latency"),
        (["--color", "red"], "--color"),
    ] {
        let (code, error) = refused(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, error) = refused(&["--listen", &address]);
    assert_eq!(code, Some(1));
    assert!(
        error.starts_with(&format!("mock-capi: cannot listen on {address}: ")),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn help_has_examples() {
    let output = Command::new(cargo_bin("mock-capi"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("Examples:"), "{help}");
    for flag in [
        "--listen",
        "--dialect",
        "--user",
        "--password",
        "--latency",
        "--staging-time",
        "--copy-time",
        "--start-time",
        "--job-time",
        "--apps-domain",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
}

#[tokio::test]
async fn a_world_lasts_from_one_run_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let arguments = ["--state", file.to_str().unwrap(), "--seed", "7"];
    let http = reqwest::Client::new();
    let mut first = Running::start(&arguments);
    let form = [
        ("grant_type", "password"),
        ("username", "admin"),
        ("password", "admin"),
    ];
    let login = http
        .post(format!("{}/oauth/token", first.uri()))
        .basic_auth("cf", Some(""))
        .form(&form);
    let login: serde_json::Value = login.send().await.unwrap().json().await.unwrap();
    let token = login["access_token"].as_str().unwrap().to_owned();
    first.signal("-TERM");
    assert_eq!(first.child.wait().unwrap().code(), Some(0));

    let mut second = Running::start(&arguments);
    let orgs = format!("{}/v3/organizations", second.uri());
    let answer = http.get(orgs).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

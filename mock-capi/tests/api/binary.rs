//! The `mock-capi` command.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use assert_cmd::cargo::cargo_bin;

use crate::common::http;

/// A running command with its output.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    log: BufReader<ChildStderr>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let listen = ["--listen", "127.0.0.1:0"];
        Self::start_with(&[&listen[..], arguments].concat(), &[])
    }

    fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(cargo_bin("mock-capi"))
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, output, log }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// The log of the command until it exits.
    fn log_to_the_end(mut self) -> String {
        self.signal("-TERM");
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        log
    }

    /// The address in the first line.
    fn uri(&mut self) -> String {
        let line = self.line();
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
        // If the test succeeded, the command has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_command_serves_until_it_is_interrupted() {
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
        let http = http();
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
async fn the_command_serves_the_selected_dialect() {
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

#[tokio::test]
async fn the_command_exits_at_the_end_of_standard_input_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let mut child = Command::new(cargo_bin("mock-capi"))
        .args(["--listen", "127.0.0.1:0", "--until-eof", "--state"])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let uri = line.strip_prefix("mock-capi listening on ").unwrap();
    // The command serves as long as its standard input is open.
    let health = format!("{}/_mock/health", uri.trim_end());
    assert_eq!(reqwest::get(health).await.unwrap().status(), 200);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(file.exists(), "the state is saved");
}

/// The exit code and the printed error.
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
        (
            ["--listen", "nowhere"],
            "'--listen <HOST:PORT>': must be a host and a port up to 65535",
        ),
        (
            ["--workers", "-1"],
            "'--workers <COUNT>': must be a whole number",
        ),
        (
            ["--workers", "0"],
            "'--workers <COUNT>': the number is out of range",
        ),
        (["--latency", "soon"], "--latency"),
        (["--color", "red"], "--color"),
    ] {
        let (code, error) = refused(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn environment_variables_without_a_flag_cause_a_warning() {
    let environment = [
        ("MOCK_CAPI_LISTNE", "127.0.0.1:1"),
        ("MOCK_CAPI_PORT", "tcp://10.0.0.1:8181"),
    ];
    let mut mock = Running::start_with(&["--listen", "127.0.0.1:0"], &environment);
    mock.uri();
    assert_eq!(
        mock.log_to_the_end(),
        "mock-capi: warning: MOCK_CAPI_LISTNE is not the variable of a flag: see --help\n"
    );
}

#[test]
fn a_port_in_use_is_reported_in_one_line() {
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

/// The flags in `--help`, each with its environment variable, if it has one.
fn flags() -> Vec<(String, Option<String>)> {
    let output = Command::new(cargo_bin("mock-capi")).arg("--help").output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    let (_, options) = help.split_once("Options:").unwrap();
    let (options, _) = options.split_once("Examples:").unwrap();
    let starts = options.match_indices("\n").map(|(at, _)| at);
    let starts: Vec<usize> = starts
        .filter(|at| options[at + 1..].trim_start().starts_with('-'))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([options.len()]);
    let entries = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &options[*start..end]);
    let entries = entries.map(|entry| {
        let (_, flag) = entry.split_once("--").unwrap();
        let flag = flag.split([' ', '\n']).next().unwrap();
        let variable = entry.split_once("[env: ").map(|(_, variable)| {
            let end = variable.find(['=', ']']).unwrap();
            variable[..end].to_owned()
        });
        (flag.to_owned(), variable)
    });
    entries.collect()
}

#[test]
fn every_flag_is_an_environment_variable() {
    let flags = flags();
    assert!(flags.len() > 25, "{flags:?}");
    for (flag, variable) in flags {
        let expected = match flag.as_str() {
            "help" | "version" => None,
            _ => Some(format!(
                "MOCK_CAPI_{}",
                flag.to_uppercase().replace('-', "_")
            )),
        };
        assert_eq!(variable, expected, "{flag}");
    }
}

#[test]
fn flags_in_the_documentation_exist() {
    let known: BTreeSet<String> = flags().into_iter().map(|(flag, _)| flag).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let chapters = std::fs::read_dir(root.join("docs")).unwrap();
    let chapters = chapters.map(|entry| entry.unwrap().path());
    let chapters = chapters.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let readmes = ["README.md", "mock-capi/README.md"].map(|name| root.join(name));
    let mut count = 0;
    for document in chapters.chain(readmes) {
        let text = std::fs::read_to_string(&document).unwrap();
        let commands = text.lines().filter_map(|line| {
            let arguments = line.strip_prefix("mock-capi ");
            arguments.or_else(|| line.strip_prefix("cargo run --release -p mock-capi -- "))
        });
        let words = commands.flat_map(str::split_whitespace);
        for flag in words.filter_map(|word| word.strip_prefix("--")) {
            assert!(known.contains(flag), "{}: --{flag}", document.display());
            count += 1;
        }
    }
    assert!(count > 10, "only {count} flags were found");
}

#[tokio::test]
async fn environment_variables_are_read_as_flags() {
    let environment = [
        ("MOCK_CAPI_LISTEN", "localhost:0"),
        ("MOCK_CAPI_ADD_USER", "me:mine,you:yours"),
        ("MOCK_CAPI_NO_V2", "true"),
        ("MOCK_CAPI_JOB_TIME", "1h"),
        ("MOCK_CAPI_APPS_DOMAIN", "apps.test"),
        ("MOCK_CAPI_KEEP_REQUESTS", "1"),
    ];
    let mut running = Running::start_with(&[], &environment);
    let uri = running.uri();
    assert!(uri.starts_with("http://127.0.0.1:"), "{uri}");
    let read = async |path: &str| {
        let answer = reqwest::get(format!("{uri}{path}")).await.unwrap();
        answer.text().await.unwrap()
    };
    assert_eq!(read("/v2/apps").await, "V2 endpoints disabled");
    assert!(read("/_mock/times").await.contains(r#""job":"1h""#));
    assert!(read("/_mock/state").await.contains("apps.test"));
    for (user, password) in [("me", "mine"), ("you", "yours")] {
        let form = [
            ("grant_type", "password"),
            ("username", user),
            ("password", password),
        ];
        let login = http().post(format!("{uri}/oauth/token"));
        let login = login.basic_auth("cf", Some("")).form(&form);
        assert_eq!(login.send().await.unwrap().status(), 200, "{user}");
    }
    read("/").await;
    let requests = read("/_mock/requests").await;
    assert_eq!(requests.matches("\"number\"").count(), 1, "{requests}");
}

#[tokio::test]
async fn unimplemented_requests_are_always_logged_and_others_on_demand() {
    for (flags, logs_all) in [(&["-v"][..], true), (&[][..], false)] {
        let mut running = Running::start(flags);
        let uri = running.uri();
        for path in ["/v3/info?a=b", "/v3/apps/x/builds"] {
            let http = http();
            let method = match path {
                "/v3/info?a=b" => reqwest::Method::GET,
                _ => reqwest::Method::PATCH,
            };
            let form = [
                ("grant_type", "password"),
                ("username", "admin"),
                ("password", "admin"),
            ];
            let login = http
                .post(format!("{uri}/oauth/token"))
                .basic_auth("cf", Some(""));
            let login = login.form(&form).send().await.unwrap();
            let login: serde_json::Value = login.json().await.unwrap();
            let token = login["access_token"].as_str().unwrap();
            let request = http
                .request(method, format!("{uri}{path}"))
                .bearer_auth(token);
            request.send().await.unwrap();
        }
        let log = running.log_to_the_end();
        let missing = log
            .lines()
            .filter(|line| line.starts_with("PATCH /v3/apps/x/builds 501 "));
        assert_eq!(missing.count(), 1, "{log}");
        let info = log
            .lines()
            .find(|line| line.starts_with("GET /v3/info?a=b 200 "));
        assert_eq!(info.is_some(), logs_all, "{log}");
        assert!(info.is_none_or(|line| line.ends_with(" ms")), "{log}");
    }
}

#[tokio::test]
async fn worlds_listen_on_the_chosen_ports() {
    // These ports were free a moment ago.
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free().local_addr().unwrap().port();
    let ports = format!("{port}-{port}");
    let mut running = Running::start(&["--world-ports", &ports]);
    let worlds = format!("{}/_mock/worlds", running.uri());
    let http = http();
    let add = async || http.post(&worlds).send().await.unwrap();
    let added: serde_json::Value = add().await.json().await.unwrap();
    assert_eq!(added["api"], format!("http://127.0.0.1:{port}"));
    let refused = add().await;
    assert_eq!(refused.status(), 409);
    let words = refused.text().await.unwrap();
    assert!(
        words.contains("no port of --world-ports is free"),
        "{words}"
    );
}

#[tokio::test]
async fn a_certificate_is_written_for_clients() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mock.pem");
    let chosen = ["--tls", "--certificate", file.to_str().unwrap()];
    for flags in [&chosen[..], &["--tls"]] {
        let mut running = Running::start(flags);
        let uri = running.uri();
        assert!(uri.starts_with("https://"), "{uri}");
        let line = running.line();
        let path = line
            .strip_prefix("mock-capi certificate in ")
            .unwrap()
            .trim_end()
            .to_owned();
        let certificate = std::fs::read(&path).unwrap();
        let certificate = reqwest::Certificate::from_pem(&certificate).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([certificate]);
        let answer = http.build().unwrap().get(&uri).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        running.log_to_the_end();
        // A temporary file is deleted when the mock exits.
        let is_chosen = path == file.to_str().unwrap();
        assert_eq!(std::path::Path::new(&path).exists(), is_chosen, "{path}");
    }
}

#[tokio::test]
async fn a_state_that_could_not_be_saved_is_an_error_before_the_first_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none/world.json");
    let (code, error) = refused(&["--listen", "127.0.0.1:0", "--state", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(
        error.starts_with("mock-capi: cannot save the state to "),
        "{error}"
    );
}

#[tokio::test]
async fn a_killed_mock_leaves_only_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let arguments = ["--state", file.to_str().unwrap()];
    for _ in 0..2 {
        let mut running = Running::start(&arguments);
        running.uri();
        running.signal("-KILL");
        running.child.wait().unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["world.json"]);
    }
}

#[tokio::test]
async fn a_world_is_kept_from_one_run_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let arguments = ["--state", file.to_str().unwrap(), "--seed", "7"];
    let http = http();
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

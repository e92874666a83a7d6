//! The command line: errors in the selected format, exit codes, generated files, colors,
//! and missing streams and threads.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::SMALL;
use crate::support::command::{CommandOutput, Place, cf_pusher};
use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

#[path = "../build/commit.rs"]
#[allow(dead_code, reason = "the build script uses the rest")]
mod commit;

const SCALE_TEST: &str = "fixtures/configs/scale-test.json";

/// Runs the command without a foundation.
fn run(place: &Place, line: &str) -> CommandOutput {
    let mut command = cf_pusher(place.dir.path());
    command.args(line.split_whitespace());
    place.run_alone(command)
}

fn json_of(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", output.stdout))
}

#[rstest]
#[case::unknown_token(401, "help: log in again; if that does not help, ")]
#[case::rate_limit(429, "help: run again when the rate limit of the user is reset, ")]
#[tokio::test(flavor = "multi_thread")]
async fn the_help_depends_on_the_status(#[case] status: u16, #[case] help: &str) {
    let fault = Fault::answer("GET", "/v3/organizations", status);
    let mock = MockCapi::builder().faults(vec![fault]);
    let mock = mock.start().await.unwrap();
    let output = Place::new().on(&mock, SMALL, &["plan", "--timeout", "2s"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let mut lines = output.stderr.lines();
    assert!(
        lines.any(|line| line.starts_with(help)),
        "{}",
        output.stderr
    );
}

#[test]
fn an_invalid_value_is_reported_where_it_was_set() {
    let place = Place::new();
    let with_variable = |line: &str| {
        let mut command = cf_pusher(place.dir.path());
        command.args(line.split_whitespace());
        command.env("CF_SKIP_SSL_VALIDATION", "maybe");
        let output = place.run_alone(command);
        assert_eq!(output.code, 2, "{}", output.stderr);
        output.stderr
    };
    insta::assert_snapshot!(with_variable("plan --config c.json"), @r"
    error: invalid value 'maybe' for CF_SKIP_SSL_VALIDATION: must be true or false
    help: correct CF_SKIP_SSL_VALIDATION
    ");
    insta::assert_snapshot!(with_variable("plan --config c.json --skip-ssl-validation=no-idea"), @r"
    error: unexpected value 'no-idea' for '--skip-ssl-validation' found; no more were expected
    help: see `cf-pusher plan --help`
    ");
}

#[cfg(unix)]
#[rstest]
#[case::api("CF_API", "error: invalid API URL: ")]
#[case::folder("APPS_DIR", "error: the apps folder \u{fffd} does not exist")]
#[case::certificates(
    "CF_PUSHER_CA_CERT",
    "error: reading the certificates in \u{fffd} failed: "
)]
#[test]
fn a_variable_that_is_not_utf8_is_not_ignored(#[case] variable: &str, #[case] expected: &str) {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.file("config.json", SMALL);
    let mut command = cf_pusher(place.dir.path());
    command
        .args(["plan", "--config", "config.json"])
        .current_dir(place.dir.path())
        .envs([("CF_USERNAME", "admin"), ("CF_PASSWORD", "admin")])
        .env("CF_API", "http://127.0.0.1:9")
        .env(variable, OsStr::from_bytes(b"\xff"));
    let output = place.run_alone(command);
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(output.stderr.starts_with(expected), "{}", output.stderr);
}

#[rstest]
#[case::usage("verify --format json", 2, "usage")]
#[case::a_misspelt_flag("converge --format=json --confg x", 2, "usage")]
#[case::configuration("plan --format json --config nowhere.json", 2, "configuration")]
#[case::connection(
    "plan --format json --config fixtures/configs/scale-test.json --api http://127.0.0.1:9",
    3,
    "connection"
)]
#[case::a_manifest(
    "push --format json -f fixtures/configs/scale-test.json",
    2,
    "manifest"
)]
#[test]
fn with_format_json_an_error_is_one_json_object(
    #[case] line: &str,
    #[case] code: i32,
    #[case] kind: &str,
) {
    let place = Place::new();
    let mut command = cf_pusher(place.dir.path());
    command.args(line.split_whitespace());
    command
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin");
    let output = place.run_alone(command);
    assert_eq!(output.code, code, "{}", output.stderr);
    let error = &json_of(&output)["error"];
    assert_eq!(error["kind"], kind, "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(
        output.stderr.contains(message),
        "the same as text: {}",
        output.stderr
    );
    assert!(error.get("help").is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_deletion_is_listed_in_json() {
    let mock = MockCapi::builder().start().await.unwrap();
    let place = Place::new();
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    let output = place.on(&mock, SMALL, &["destroy", "--format", "json"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let error = &json_of(&output)["error"];
    assert_eq!(error["kind"], "foundation");
    assert!(
        error["details"]
            .as_array()
            .unwrap()
            .contains(&json!("- org scale-org"))
    );
}

#[rstest]
#[case::usage("plan --detailed-exitcode --confg x")]
#[case::configuration("plan --detailed-exitcode --config nowhere.json")]
#[case::no_foundation("plan --detailed-exitcode --config fixtures/configs/scale-test.json")]
#[case::no_connection(
    "plan --detailed-exitcode --config fixtures/configs/scale-test.json --api http://127.0.0.1:9"
)]
#[test]
fn every_error_of_a_plan_with_detailed_exitcode_exits_with_1(#[case] line: &str) {
    let place = Place::new();
    let mut command = cf_pusher(place.dir.path());
    command.args(line.split_whitespace());
    if line.contains("--api") {
        command
            .env("CF_USERNAME", "admin")
            .env("CF_PASSWORD", "admin");
    }
    let output = place.run_alone(command);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let plain = line.replace("--detailed-exitcode ", "");
    assert_ne!(run(&place, &plain).code, 1, "{plain}");
}

#[test]
fn a_first_configuration_is_written_once_and_works() {
    let place = Place::new();
    let path = place.dir.path().join("first.json");
    let path = path.to_str().unwrap();
    let output = run(&place, &format!("init {path}"));
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "wrote DIR/first.json\n")
    );
    let again = run(&place, &format!("init {path}"));
    assert_eq!(again.code, 2);
    insta::assert_snapshot!(again.stderr, @r"
    error: writing DIR/first.json failed: File exists (os error 17)
    help: choose another name
    ");
    let output = run(&place, &format!("converge --config {path} --mock"));
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stdout.starts_with("apps: 5 changed"),
        "{}",
        output.stdout
    );
}

#[test]
fn a_configuration_is_read_from_standard_input() {
    let place = Place::new();
    let mut command = cf_pusher(place.dir.path());
    command
        .args(["plan", "--config", "-", "--mock", "--format", "json"])
        .write_stdin(r#"{"proxy_applications": 3} // three"#);
    let output = place.run_alone(command);
    assert_eq!(json_of(&output)["plan"]["create"], 4, "{}", output.stderr);
    let mut command = cf_pusher(place.dir.path());
    command
        .args(["plan", "--config", "-", "--mock"])
        .write_stdin(r#"{"proxy_aplications": 3}"#);
    let output = place.run_alone(command);
    insta::assert_snapshot!(output.stderr, @r"
    error: standard input:1: unknown key `proxy_aplications`, did you mean `proxy_applications`?
    help: see `cf-pusher schema` for all keys and their values
    ");
}

#[test]
fn the_schema_is_printed() {
    let output = run(&Place::new(), "schema");
    let schema = json_of(&output);
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(SCALE_TEST).unwrap()).unwrap();
    assert!(jsonschema::is_valid(&schema, &config));
    assert!(!jsonschema::is_valid(
        &schema,
        &json!({"proxy_aplications": 3})
    ));
}

#[rstest]
#[case("bash")]
#[case("zsh")]
#[case("fish")]
#[case("elvish")]
#[case("powershell")]
#[test]
fn completions_know_the_flags(#[case] shell: &str) {
    let output = run(&Place::new(), &format!("completions {shell}"));
    assert_eq!(output.code, 0, "{}", output.stderr);
    for word in ["converge", "max-deletes", "instances"] {
        assert!(output.stdout.contains(word), "{word}");
    }
}

#[test]
fn there_is_a_manual_page_for_each_subcommand() {
    let place = Place::new();
    let output = run(&place, "man");
    assert!(
        output.stdout.contains(".TH cf-pusher 1"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("CF_USERNAME"), "{}", output.stdout);
    let folder = place.dir.path().join("man/man1");
    let output = run(&place, &format!("man --out-dir {}", folder.display()));
    assert_eq!(output.code, 0, "{}", output.stderr);
    for name in ["cf-pusher", "cf-pusher-converge", "cf-pusher-push"] {
        let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        assert!(page.contains("cf\\-pusher"), "{page}");
    }
}

#[test]
fn the_version_is_printed() {
    let output = run(&Place::new(), "--version");
    let version = output.stdout.strip_prefix("cf-pusher ").unwrap();
    assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
fn the_commit_is_found_only_in_a_package_or_a_repository() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(commit::of(dir.path()), None);
    let package =
        r#"{"git": {"sha1": "0123456789abcdef0123456789abcdef01234567"}, "path_in_vcs": ""}"#;
    std::fs::write(dir.path().join(".cargo_vcs_info.json"), package).unwrap();
    assert_eq!(commit::of(dir.path()).as_deref(), Some("0123456789ab"));
    std::fs::write(dir.path().join(".cargo_vcs_info.json"), "{}").unwrap();
    assert_eq!(commit::of(dir.path()), None);

    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        let output = git.args(arguments).current_dir(dir.path()).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "--quiet"]) {
        return;
    }
    assert_eq!(commit::of(dir.path()), None, "nothing is committed");
    assert!(git(&["commit", "--quiet", "--allow-empty", "-m", "a"]));
    assert_eq!(commit::of(dir.path()).map(|it| it.len()), Some(12));
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(
        commit::of(&folder),
        None,
        "the repository is another project's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_get_colors_only_on_request() {
    let staging = Fault::failed_staging().of("scale-tick-0");
    let mock = MockCapi::builder()
        .faults(vec![staging])
        .start()
        .await
        .unwrap();
    let place = Place::new();
    let plain = place.on(&mock, SMALL, &["converge", "-v"]);
    assert_eq!(plain.code, 1);
    assert!(plain.stderr.contains("DEBUG"), "{}", plain.stderr);
    assert!(!plain.stderr.contains('\u{1b}'), "{}", plain.stderr);
    let colored = place.on(&mock, SMALL, &["converge", "-v", "--color", "always"]);
    assert!(colored.stderr.contains("\u{1b}[31m"), "{}", colored.stderr);
}

/// Control characters can come from arguments, files and servers.
#[test]
fn control_characters_in_names_are_printed_as_escapes() {
    let place = Place::new();
    place.file("index.html", "hello");
    let run = |args: &[&str]| {
        let mut command = cf_pusher(place.dir.path());
        place.run_alone({
            command.args(args);
            command
        })
    };
    let file = "a\u{1b}[31m\u{9b}\u{202e}.json";
    let output = run(&["plan", "--mock", "--config", file]);
    assert_eq!(output.code, 2);
    let error = output.stderr.lines().next().unwrap();
    insta::assert_snapshot!(error, @r"error: reading the configuration a\u001b[31m\u009b\u202e.json failed: No such file or directory (os error 2)");
    let bits = place.dir.path().to_str().unwrap();
    let output = run(&["push", "a\u{1b}[31mb", "-p", bits, "--mock"]);
    assert_eq!(output.code, 1);
    let start = r"pushing a\u001b[31mb to space space in org org";
    assert!(output.stderr.starts_with(start), "{}", output.stderr);
    let printed = output.stdout + output.stderr.as_str();
    assert!(!printed.contains('\u{1b}'), "{printed}");
}

#[rstest]
#[case::off("off")]
#[case::of_another_crate("hyper=error")]
#[case::invalid("cf_pusher=loud")]
#[tokio::test(flavor = "multi_thread")]
async fn environment_variables_do_not_silence_v(#[case] filter: &str) {
    let mock = MockCapi::builder().start().await.unwrap();
    let place = Place::new();
    let mut command = place.process_on(&mock, SMALL, &["plan", "-v"]);
    command.env("RUST_LOG", filter);
    let output = place.run_alone(assert_cmd::Command::from_std(command));
    assert_eq!(output.code, 0);
    assert!(
        output.stderr.contains("DEBUG cf_pusher"),
        "{}",
        output.stderr
    );
}

#[cfg(unix)]
#[rstest]
#[case::standard_output(">&-")]
#[case::standard_error("2>&-")]
#[case::both(">&- 2>&-")]
#[case::all("<&- >&- 2>&-")]
#[case::a_full_output(">/dev/full")]
#[case::a_full_error("2>/dev/full")]
#[case::a_reader_that_has_ended("2>&1 | true")]
#[test]
fn closed_and_full_streams_cause_no_panic(#[case] redirection: &str) {
    let place = Place::new();
    let config = place.file("config.json", SMALL);
    let config = config.display();
    for arguments in [
        format!("converge -vv --config {config} --mock"),
        "converge --confg".to_owned(),
        "--help".to_owned(),
    ] {
        let binary = env!("CARGO_BIN_EXE_cf-pusher");
        // A panic exits with 101, and an abort with more than 128.
        let script = format!("{binary} {arguments} {redirection}; exit $?");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("TMPDIR", place.dir.path());
        let status = shell.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let code = status.unwrap().code().unwrap();
        assert!(code <= 2, "{arguments} {redirection}: {code}");
    }
}

#[cfg(unix)]
#[test]
fn a_limit_for_open_files_causes_an_error_instead_of_a_panic() {
    let place = Place::new();
    let config = place.file("config.json", SMALL);
    // Files that the shell inherits would also count.
    let close = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";
    for limit in 5..12 {
        let binary = env!("CARGO_BIN_EXE_cf-pusher");
        let config = config.display();
        let plan = format!("{binary} plan --config {config} --mock");
        let script = format!("{close}; ulimit -n {limit}; exec {plan}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("TMPDIR", place.dir.path());
        let output = shell.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{limit}: {error}"
        );
        assert!(error.contains("Too many open files"), "{limit}: {error}");
    }
}

/// The limit of processes does not apply to root, so the command runs as another user.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_limit_causes_an_error_instead_of_a_panic() {
    let place = Place::new();
    let is_root = Path::new("/root").metadata().is_ok_and(|_| {
        Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|it| it.stdout == b"0\n")
    });
    let binary = tempfile::Builder::new()
        .prefix("cf-pusher")
        .tempdir()
        .unwrap();
    let copy = binary.path().join("cf-pusher");
    std::fs::copy(env!("CARGO_BIN_EXE_cf-pusher"), &copy).unwrap();
    open_to_all(binary.path());
    open_to_all(&copy);
    // The limit counts all processes of the user, so it is always exceeded.
    let mut command = Command::new(if is_root { "setpriv" } else { "prlimit" });
    if is_root {
        command.args(["--reuid", "60123", "--clear-groups", "prlimit"]);
    }
    command.args(["--nproc=1", copy.to_str().unwrap()]);
    command.args(["converge", "--config", "scale-test.json", "--mock"]);
    let output = place.run_alone(assert_cmd::Command::from_std(command));
    assert_eq!(output.code, 1, "{}", output.stderr);
    insta::assert_snapshot!(output.stderr, @r"
    error: starting threads failed: Resource temporarily unavailable (os error 11)
    help: raise the limit for processes (`ulimit -u`), or stop other programs
    ");
}

#[cfg(target_os = "linux")]
fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

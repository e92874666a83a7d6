//! docs/troubleshooting.md shows errors exactly as the command prints them.
//!
//! `UPDATE_DOCS=1 cargo test --test suite troubleshooting::` updates it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::command::{CommandOutput, Place, cf_pusher, stable};
use crate::support::{SMALL, curl};
use mock_capi::{Fault, Front, MockCapi, MockCapiBuilder};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(60 * 60);

fn doc() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md")
}

/// The error in the output, up to its end.
fn error_of(output: &CommandOutput) -> String {
    assert_ne!(output.code, 0, "{}", output.stderr);
    let err = stable(&output.stderr).replace("DIR/", "");
    let is_error = |line: &&str| line.starts_with("error: ") || line.starts_with("drift: ");
    let lines = err.lines().skip_while(|line| !is_error(line));
    let error = lines.collect::<Vec<_>>().join("\n");
    assert!(!error.is_empty(), "{}", output.stderr);
    error.replace("http://api", "https://api.example.com")
}

/// Runs the command without a foundation.
fn run_alone(place: &Place, line: &str, variables: &[(&str, &str)]) -> String {
    let mut command = cf_pusher(place.dir.path());
    command.args(line.split_whitespace());
    command.current_dir(place.dir.path());
    command.envs(variables.iter().copied());
    error_of(&place.run_alone(command))
}

async fn on(mock: MockCapiBuilder, config: &str, line: &str) -> String {
    let (mock, place) = (mock.start().await.unwrap(), Place::new());
    let arguments: Vec<&str> = line.split_whitespace().collect();
    error_of(&place.on(&mock, config, &arguments))
}

fn mock() -> MockCapiBuilder {
    MockCapi::builder()
}

/// The errors of the command line and of files.
fn local_errors() -> Vec<(&'static str, String)> {
    let place = Place::new();
    place.file("scale-test.json", SMALL);
    place.file("typo.json", "{\n  \"test_aplications\": 100\n}");
    place.file("range.json", "{\n  \"concurrency\": 5000\n}");
    place.file(
        "broken.json",
        "{\n  \"prefix\": \"a-\"\n  \"asg_size\": 2\n}",
    );
    place.file(
        "manifest.yml",
        "applications:\n- name: ((app))\n  path: nowhere\n",
    );
    place.file(
        "shop.yml",
        "version: 1\nname: shop\norgs:\n- name: shop\n  spaces:\n  - name: production\n    aps: []\n    security_groups: [databse]\nsecurity_groups:\n- name: database\n",
    );
    place.file(
        "variable.yml",
        "version: 1\nname: shop\norgs:\n- name: shop-((stage))\n",
    );
    place.file(
        "bits.yml",
        "version: 1\nname: shop\norgs:\n- name: shop\n  spaces:\n  - name: production\n    apps:\n    - name: web\n      path: build/web\n",
    );
    place.file(
        "documents.yml",
        "version: 1\nname: shop\n---\norgs:\n- name: shop\n",
    );
    std::fs::create_dir(place.dir.path().join("specs")).unwrap();
    place.file("ticks.json", "{\"test_applications\": 3}");
    let plan = "plan --config scale-test.json";
    let user = [("CF_USERNAME", "admin")];
    let login = [("CF_USERNAME", "admin"), ("CF_PASSWORD", "secret")];
    let proxy = [
        ("CF_USERNAME", "admin"),
        ("CF_PASSWORD", "secret"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("NO_PROXY", ""),
        ("no_proxy", ""),
    ];
    let cf = json!({"Target": "https://api.other.example.com", "AccessToken": "bearer t", "RefreshToken": "r"});
    let logged_in = Place::new();
    std::fs::create_dir(logged_in.dir.path().join(".cf")).unwrap();
    logged_in.file(".cf/config.json", &cf.to_string());
    logged_in.file("scale-test.json", SMALL);
    vec![
        (
            "misspelt-flag",
            run_alone(&place, "plan --confg scale-test.json", &[]),
        ),
        (
            "misspelt-command",
            run_alone(&place, "convrge --config scale-test.json", &[]),
        ),
        (
            "no-configuration",
            run_alone(&place, "plan --config scale-tset.json", &[]),
        ),
        (
            "unknown-key",
            run_alone(&place, "plan --config typo.json", &[]),
        ),
        (
            "value-out-of-range",
            run_alone(&place, "plan --config range.json", &[]),
        ),
        (
            "broken-json",
            run_alone(&place, "plan --config broken.json", &[]),
        ),
        (
            "no-bits",
            run_alone(&place, &format!("{plan} --apps-dir apps"), &[]),
        ),
        ("spec", run_alone(&place, "plan -f shop.yml", &[])),
        (
            "spec-variable",
            run_alone(&place, "plan -f variable.yml", &[]),
        ),
        ("spec-bits", run_alone(&place, "plan -f bits.yml", &[])),
        (
            "spec-documents",
            run_alone(&place, "plan -f documents.yml", &[]),
        ),
        ("spec-folder", run_alone(&place, "plan -f specs", &[])),
        (
            "test-without-apps",
            run_alone(&place, "test --mock --config scale-test.json", &[]),
        ),
        (
            "test-without-proxies",
            run_alone(&place, "test --mock --config ticks.json", &[]),
        ),
        ("test-failed", test_failed(&place)),
        ("no-foundation", run_alone(&place, plan, &[])),
        (
            "no-credentials",
            run_alone(&place, &format!("{plan} --api api.example.com"), &[]),
        ),
        (
            "half-a-login",
            run_alone(&place, &format!("{plan} --api api.example.com"), &user),
        ),
        (
            "another-target",
            run_alone(&logged_in, &format!("{plan} --api api.example.com"), &[]),
        ),
        (
            "unreachable",
            run_alone(&place, &format!("{plan} --api http://127.0.0.1:9"), &login),
        ),
        (
            "invalid-api",
            run_alone(
                &place,
                &format!("{plan} --api ftp://api.example.com"),
                &login,
            ),
        ),
        (
            "proxy",
            run_alone(&place, &format!("{plan} --api api.example.com"), &proxy),
        ),
        ("unset-variable", run_alone(&place, "push", &[])),
        (
            "unwritable-recording",
            run_alone(
                &place,
                "converge --config scale-test.json --har runs/run.har",
                &login,
            ),
        ),
    ]
}

/// The error if a policy takes longer to have an effect than the test waits.
fn test_failed(place: &Place) -> String {
    place.file(
        "one.json",
        "{\"test_applications\": 1, \"proxy_applications\": 1}",
    );
    let test = "test --setup --mock --config one.json --context one-client --policy-wait 1s";
    let error = run_alone(place, test, &[]);
    // The fake foundation chooses the address of the instance.
    let (before, rest) = error.split_once('(').unwrap();
    let (_, after) = rest.split_once(')').unwrap();
    format!("{before}(10.255.1.1:8080){after}")
}

/// The errors of a foundation.
async fn remote_errors() -> Vec<(&'static str, String)> {
    let wrong = SMALL.replace(
        '{',
        r#"{"admin_user": "admin", "admin_password": "secret", "#,
    );
    let staging = vec![Fault::failed_staging().of("scale-tick-0")];
    let forbidden = vec![Fault::answer("POST", "/v3/organizations", 403)];
    let starting = mock().start_time(LONG);
    let converge = "converge --concurrency 4";
    vec![
        ("wrong-password", wrong_password(&wrong).await),
        ("untrusted", untrusted().await),
        ("not-tls", other_scheme(mock().front()).await),
        ("needs-tls", other_scheme(mock().front().tls()).await),
        ("unmanaged", unmanaged().await),
        ("not-approved", not_approved().await),
        ("occupied", occupied().await),
        ("test-unreachable", test_unreachable().await),
        ("quota-exceeded", quota_exceeded().await),
        (
            "staging-failed",
            on(mock().faults(staging), SMALL, converge).await,
        ),
        (
            "forbidden",
            on(mock().faults(forbidden), SMALL, converge).await,
        ),
        ("no-space", no_space("").await),
        ("space-not-found", no_space("--org o --space s").await),
        (
            "timeout",
            on(starting, r#"{"prefix": "scale-"}"#, "converge --timeout 1s").await,
        ),
    ]
}

async fn wrong_password(config: &str) -> String {
    let (mock, place) = (mock().start().await.unwrap(), Place::new());
    let path = place.file("scale-test.json", config);
    let mut command = cf_pusher(place.dir.path());
    command.args([
        "plan",
        "--config",
        path.to_str().unwrap(),
        "--api",
        &mock.uri(),
    ]);
    error_of(&place.run(command, &mock))
}

async fn untrusted() -> String {
    let mock = mock().front().tls().start().await.unwrap();
    error_of(&Place::new().on(&mock, SMALL, &["plan"]))
}

/// The error if the URL of the API has the wrong scheme.
async fn other_scheme(mock: MockCapiBuilder<Front>) -> String {
    let (mock, place) = (mock.start().await.unwrap(), Place::new());
    let url = match mock.uri().strip_prefix("https://") {
        Some(host) => format!("http://{host}"),
        None => mock.uri().replace("http://", "https://"),
    };
    place.file("scale-test.json", SMALL);
    let plan = format!("plan --config scale-test.json --api {url}");
    let login = [("CF_USERNAME", "admin"), ("CF_PASSWORD", "admin")];
    let error = run_alone(&place, &plan, &login);
    error.replace(&mock.address().to_string(), "api.example.com")
}

/// The error for an unmanaged org with the name in the configuration.
async fn unmanaged() -> String {
    let mock = mock().start().await.unwrap();
    let org = json!({"name": "scale-org"});
    curl(&mock, "POST", "/v3/organizations", org).await;
    error_of(&Place::new().on(&mock, SMALL, &["converge"]))
}

async fn not_approved() -> String {
    let (mock, place) = (mock().start().await.unwrap(), Place::new());
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    let fewer = SMALL.replace("\"test_applications\": 3", "\"test_applications\": 1");
    error_of(&place.on(&mock, &fewer, &["converge"]))
}

/// The error for an unmanaged app in a space that is no longer declared.
async fn occupied() -> String {
    let (mock, place) = (mock().start().await.unwrap(), Place::new());
    let spec = "version: 1\nname: shop\norgs:\n- name: shop\n  spaces:\n  - name: production\n";
    let apply = |text: &str, flags: &[&str]| {
        let mut command = cf_pusher(place.dir.path());
        let login = [("CF_USERNAME", "admin"), ("CF_PASSWORD", "admin")];
        command
            .arg("apply")
            .arg("-f")
            .arg(place.file("s.yml", text));
        command.args(flags).env("CF_API", mock.uri()).envs(login);
        place.run(command, &mock)
    };
    assert_eq!(apply(&format!("{spec}  - name: old\n"), &[]).code, 0);
    let spaces = curl(&mock, "GET", "/v3/spaces?names=old", Value::Null).await;
    let space = json!({"data": {"guid": spaces["resources"][0]["guid"]}});
    let app = json!({"name": "theirs", "relationships": {"space": space}});
    curl(&mock, "POST", "/v3/apps", app).await;
    error_of(&apply(spec, &["--prune", "--yes"]))
}

async fn test_unreachable() -> String {
    let (mock, place) = (mock().start().await.unwrap(), Place::new());
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    error_of(&place.on(&mock, SMALL, &["test", "--router", "http://127.0.0.1:9"]))
}

async fn quota_exceeded() -> String {
    let (mock, place) = (mock().start().await.unwrap(), Place::new());
    let config = r#"{"proxy_applications": 1, "proxy_instances": 2}"#;
    assert_eq!(place.on(&mock, config, &["converge"]).code, 0);
    let quotas = "/v3/organization_quotas";
    let list = curl(
        &mock,
        "GET",
        &format!("{quotas}?names=scale-quota"),
        Value::Null,
    )
    .await;
    let guid = list["resources"][0]["guid"].as_str().unwrap();
    let limit = json!({"apps": {"total_instances": 3}});
    curl(&mock, "PATCH", &format!("{quotas}/{guid}"), limit).await;
    let more = config.replace("\"proxy_instances\": 2", "\"proxy_instances\": 9");
    error_of(&place.on(&mock, &more, &["converge"]))
}

async fn no_space(flags: &str) -> String {
    let (mock, place) = (mock().start().await.unwrap(), Place::new());
    let mut command = cf_pusher(place.dir.path());
    std::fs::create_dir(place.dir.path().join("bits")).unwrap();
    place.file("bits/index.html", "hello");
    command
        .args(["push", "dora", "-p", "bits"])
        .args(flags.split_whitespace());
    command.current_dir(place.dir.path());
    let login = [("CF_USERNAME", "admin"), ("CF_PASSWORD", "admin")];
    command.env("CF_API", mock.uri()).envs(login);
    error_of(&place.run(command, &mock))
}

/// The positions of the error texts in a document, which follow a comment with their
/// name.
fn blocks(text: &str) -> BTreeMap<String, std::ops::Range<usize>> {
    const MARK: &str = "<!-- error: ";
    const FENCE: &str = "```text\n";
    let mut blocks = BTreeMap::new();
    for (at, _) in text.match_indices(MARK) {
        let rest = &text[at + MARK.len()..];
        let name = rest.split(" -->").next().unwrap().to_owned();
        let from = at + MARK.len() + rest.find(FENCE).unwrap() + FENCE.len();
        let to = from + text[from..].find("```").unwrap();
        assert!(blocks.insert(name, from..to).is_none());
    }
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_shows_errors_as_they_are_printed() {
    let mut printed: BTreeMap<&str, String> = local_errors().into_iter().collect();
    printed.extend(remote_errors().await);
    let mut text = std::fs::read_to_string(doc()).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        // The blocks are replaced from the end, so that earlier positions stay valid.
        let mut places: Vec<_> = blocks(&text).into_iter().collect();
        places.sort_by_key(|(_, place)| std::cmp::Reverse(place.start));
        for (name, place) in places {
            let error = &printed[name.as_str()];
            text.replace_range(place, &format!("{error}\n"));
        }
        std::fs::write(doc(), &text).unwrap();
    }
    let shown: BTreeMap<String, String> = blocks(&text)
        .into_iter()
        .map(|(name, place)| (name, text[place].trim_end().to_owned()))
        .collect();
    let printed: BTreeMap<String, String> = printed
        .into_iter()
        .map(|(name, error)| (name.to_owned(), error))
        .collect();
    assert_eq!(shown, printed);
    assert!(shown.len() >= 20, "{}", shown.len());
}

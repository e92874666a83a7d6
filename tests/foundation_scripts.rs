//! `scripts/bosh-lite` and `scripts/kind` check a foundation and print the environment
//! for the live tests. mock-capi is the foundation here.

use std::path::Path;
use std::process::Command;

use crate::support::command::{CommandOutput, Place};
use mock_capi::wiremock::matchers::{method, path};
use mock_capi::wiremock::{Mock, MockServer, ResponseTemplate};
use mock_capi::{CloudController, MockCapi};

const SCRIPTS: [&str; 2] = ["scripts/bosh-lite", "scripts/kind"];

/// A shell in the root of the repository, without the environment variables of the
/// caller's foundation.
fn bash(line: &str, variables: &[(&str, &str)]) -> CommandOutput {
    let mut bash = Command::new("bash");
    bash.args(["-c", line]).env_clear();
    bash.env("PATH", std::env::var_os("PATH").unwrap());
    bash.envs(variables.iter().copied());
    bash.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = bash.output().unwrap();
    CommandOutput {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a script on a foundation as `admin`. In the output, the URL of the foundation is
/// `http://api`.
fn on(mock: &CloudController, line: &str, variables: &[(&str, &str)]) -> CommandOutput {
    let uri = mock.uri();
    let foundation = [("CF_API", uri.as_str()), ("CF_USERNAME", "admin")];
    let CommandOutput {
        code,
        stdout,
        stderr,
    } = bash(line, &[&foundation[..], variables].concat());
    let named = |text: String| text.replace(&uri, "http://api");
    CommandOutput {
        code,
        stdout: named(stdout),
        stderr: named(stderr),
    }
}

/// The error of a script that fails, so that `eval` fails as well.
fn error_of(output: CommandOutput) -> String {
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (1, "false\n"),
        "{}",
        output.stderr
    );
    output.stderr.lines().last().unwrap().to_owned()
}

#[tokio::test]
async fn the_printed_environment_is_that_of_the_foundation() {
    let mock = MockCapi::builder()
        .user("admin", "it's \"1$x\\")
        .start()
        .await
        .unwrap();
    for script in SCRIPTS {
        let line = format!(
            "eval \"$({script})\"; printf '%s\\n' \
             \"$CF_API\" \"$CF_USERNAME\" \"$CF_PASSWORD\" \"$CF_SKIP_SSL_VALIDATION\""
        );
        let output = on(&mock, &line, &[("CF_PASSWORD", "it's \"1$x\\")]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(output.stdout, "http://api\nadmin\nit's \"1$x\\\ntrue\n");
    }
}

#[tokio::test]
async fn each_check_that_succeeds_is_reported() {
    let mock = MockCapi::start().await.unwrap();
    let password = [("CF_PASSWORD", "admin")];
    let output = on(&mock, "scripts/kind --check", &password);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    insta::assert_snapshot!(output.stderr, @r"
    ok: http://api is a Cloud Controller
    ok: the UAA at http://api/uaa responds
    ok: the password of admin is known, from CF_PASSWORD
    ok: admin can log in
    ok: apps get routes in the shared domain apps.mock.test
    ok: the Go buildpack is uploaded
    ");
    let output = on(&mock, "scripts/bosh-lite --check", &password);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    assert_eq!(
        output.stderr.matches("ok: ").count(),
        5,
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn kind_reads_the_password_that_its_deployment_generated() {
    let mock = MockCapi::start().await.unwrap();
    let place = Place::new();
    std::fs::create_dir(place.dir.path().join("temp")).unwrap();
    let folder = place.dir.path().to_str().unwrap();
    let deployment = [("KIND_DEPLOYMENT", folder)];
    for secrets in [
        "export DB_PASSWORD=x\nexport CC_ADMIN_PASSWORD=admin\n",
        "CC_ADMIN_PASSWORD='admin'\n",
    ] {
        place.file("temp/secrets.sh", secrets);
        let output = on(&mock, "scripts/kind --check", &deployment);
        assert_eq!(output.code, 0, "{}", output.stderr);
        let source = format!("from {folder}/temp/secrets.sh");
        assert!(output.stderr.contains(&source), "{}", output.stderr);
    }
    let sourced = [("CC_ADMIN_PASSWORD", "admin")];
    assert_eq!(on(&mock, "scripts/kind --check", &sourced).code, 0);
}

#[tokio::test]
async fn kind_reads_secrets_without_running_them() {
    let mock = MockCapi::start().await.unwrap();
    let place = Place::new();
    std::fs::create_dir(place.dir.path().join("temp")).unwrap();
    let ran = place.dir.path().join("ran");
    let ran = ran.to_str().unwrap();
    let secrets = format!("touch {ran}\nexport CC_ADMIN_PASSWORD=$(touch {ran})\n");
    place.file("temp/secrets.sh", &secrets);
    let folder = place.dir.path().to_str().unwrap();
    let output = on(&mock, "scripts/kind", &[("KIND_DEPLOYMENT", folder)]);
    assert!(error_of(output).contains("refuses the password of admin"));
    assert!(!Path::new(ran).exists());
}

#[tokio::test]
async fn an_error_has_its_cause_and_the_fix() {
    let mock = MockCapi::start().await.unwrap();
    let none = [("KIND_DEPLOYMENT", "nowhere")];
    insta::assert_snapshot!(error_of(on(&mock, "scripts/kind", &none)), @"kind: the password of admin is unknown: set KIND_DEPLOYMENT to the checkout of kind-deployment (there is no nowhere/temp/secrets.sh), or set CF_PASSWORD.");
    let wrong = [("CF_PASSWORD", "wrong")];
    insta::assert_snapshot!(error_of(on(&mock, "scripts/kind", &wrong)), @"kind: the UAA at http://api/uaa refuses the password of admin (status 401): correct CF_USERNAME and CF_PASSWORD, or unset CF_PASSWORD to have it looked up.");
    insta::assert_snapshot!(error_of(on(&mock, "scripts/bosh-lite", &wrong)), @"bosh-lite: the UAA at http://api/uaa refuses the password of admin (status 401): correct CF_USERNAME and CF_PASSWORD, or unset CF_PASSWORD to have it looked up.");

    let list = ResponseTemplate::new(200).set_body_string(r#"{"resources": []}"#);
    let list = Mock::given(method("GET"))
        .and(path("/v3/buildpacks"))
        .respond_with(list);
    list.mount(mock.server()).await;
    let password = [("CF_PASSWORD", "admin")];
    insta::assert_snapshot!(error_of(on(&mock, "scripts/kind", &password)), @"kind: the foundation has no go_buildpack, which stages the apps of the suite: upload it with 'make bootstrap' in the checkout of kind-deployment.");
}

#[tokio::test]
async fn an_invalid_foundation_is_reported() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let output = bash("scripts/kind", &[("CF_API", &closed)]);
    let output = error_of(output).replace(&closed, "http://closed");
    insta::assert_snapshot!(output, @"kind: http://closed cannot be reached, the connection is refused: start it with 'make up' in the checkout of kind-deployment, add its name to /etc/hosts if the resolver refuses names of 127.0.0.1, or set CF_API to its API.");

    let other = MockServer::start().await;
    let output = bash("scripts/kind", &[("CF_API", &other.uri())]);
    let output = error_of(output).replace(&other.uri(), "http://other");
    insta::assert_snapshot!(output, @"kind: http://other responds (status 404), but is not a Cloud Controller with a v3 API: set CF_API to the API of the foundation, or check with 'kubectl get pods --namespace cf-system' that its api is running.");
}

#[test]
fn wrong_usage_and_help_print_the_usage() {
    for script in SCRIPTS {
        let help = bash(&format!("{script} --help"), &[]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        assert!(help.stdout.contains(&format!("eval \"$({script})\"")));
        let wrong = bash(&format!("{script} --frobnicate"), &[]);
        assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
        assert_eq!(wrong.stderr, help.stdout);
    }
}

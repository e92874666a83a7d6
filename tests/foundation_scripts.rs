//! `scripts/bosh-lite` and `scripts/kind` check a foundation and print the environment
//! for the live tests. mock-capi is the foundation here.

use std::path::Path;
use std::process::Command;

use crate::support::command::{Place, Said};
use mock_capi::wiremock::matchers::{method, path};
use mock_capi::wiremock::{Mock, MockServer, ResponseTemplate};
use mock_capi::{CloudController, MockCapi};

const SCRIPTS: [&str; 2] = ["scripts/bosh-lite", "scripts/kind"];

/// A shell in the root of the repository, without the environment variables of the
/// caller's foundation.
fn bash(line: &str, variables: &[(&str, &str)]) -> Said {
    let mut bash = Command::new("bash");
    bash.args(["-c", line]).env_clear();
    bash.env("PATH", std::env::var_os("PATH").unwrap());
    bash.envs(variables.iter().copied());
    bash.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = bash.output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a script on a foundation as `admin`, whose URL is `http://api` in the output.
fn on(mock: &CloudController, line: &str, variables: &[(&str, &str)]) -> Said {
    let uri = mock.uri();
    let foundation = [("CF_API", uri.as_str()), ("CF_USERNAME", "admin")];
    let Said { code, out, err } = bash(line, &[&foundation[..], variables].concat());
    let named = |text: String| text.replace(&uri, "http://api");
    Said {
        code,
        out: named(out),
        err: named(err),
    }
}

/// The error of a script that fails, and makes `eval` fail too.
fn fault(said: Said) -> String {
    assert_eq!(
        (said.code, said.out.as_str()),
        (1, "false\n"),
        "{}",
        said.err
    );
    said.err.lines().last().unwrap().to_owned()
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
        let said = on(&mock, &line, &[("CF_PASSWORD", "it's \"1$x\\")]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(said.out, "http://api\nadmin\nit's \"1$x\\\ntrue\n");
    }
}

#[tokio::test]
async fn each_check_that_succeeds_is_reported() {
    let mock = MockCapi::start().await.unwrap();
    let password = [("CF_PASSWORD", "admin")];
    let said = on(&mock, "scripts/kind --check", &password);
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    insta::assert_snapshot!(said.err, @r"
    ok: http://api is a Cloud Controller
    ok: the UAA at http://api/uaa answers
    ok: the password of admin is known, from CF_PASSWORD
    ok: admin can log in
    ok: apps get routes in the shared domain apps.mock.test
    ok: the Go buildpack is there
    ");
    let said = on(&mock, "scripts/bosh-lite --check", &password);
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert_eq!(said.err.matches("ok: ").count(), 5, "{}", said.err);
}

#[tokio::test]
async fn kind_reads_the_password_that_its_deployment_has_made() {
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
        let said = on(&mock, "scripts/kind --check", &deployment);
        assert_eq!(said.code, 0, "{}", said.err);
        let source = format!("from {folder}/temp/secrets.sh");
        assert!(said.err.contains(&source), "{}", said.err);
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
    let said = on(&mock, "scripts/kind", &[("KIND_DEPLOYMENT", folder)]);
    assert!(fault(said).contains("refuses the password of admin"));
    assert!(!Path::new(ran).exists());
}

#[tokio::test]
async fn a_fault_names_its_cause_and_what_to_do() {
    let mock = MockCapi::start().await.unwrap();
    let none = [("KIND_DEPLOYMENT", "nowhere")];
    insta::assert_snapshot!(fault(on(&mock, "scripts/kind", &none)), @"kind: the password of admin is not known: set KIND_DEPLOYMENT to the checkout of kind-deployment (there is no nowhere/temp/secrets.sh), or set CF_PASSWORD.");
    let wrong = [("CF_PASSWORD", "wrong")];
    insta::assert_snapshot!(fault(on(&mock, "scripts/kind", &wrong)), @"kind: the UAA at http://api/uaa refuses the password of admin (status 401): correct CF_USERNAME and CF_PASSWORD, or unset CF_PASSWORD to have it looked up.");
    insta::assert_snapshot!(fault(on(&mock, "scripts/bosh-lite", &wrong)), @"bosh-lite: the UAA at http://api/uaa refuses the password of admin (status 401): correct CF_USERNAME and CF_PASSWORD, or unset CF_PASSWORD to have it looked up.");

    let list = ResponseTemplate::new(200).set_body_string(r#"{"resources": []}"#);
    let list = Mock::given(method("GET"))
        .and(path("/v3/buildpacks"))
        .respond_with(list);
    list.mount(mock.server()).await;
    let password = [("CF_PASSWORD", "admin")];
    insta::assert_snapshot!(fault(on(&mock, "scripts/kind", &password)), @"kind: there is no go_buildpack, which stages the apps of the suite: upload it with 'make bootstrap' in the checkout of kind-deployment.");
}

#[tokio::test]
async fn an_invalid_foundation_is_reported() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let said = bash("scripts/kind", &[("CF_API", &closed)]);
    let said = fault(said).replace(&closed, "http://closed");
    insta::assert_snapshot!(said, @"kind: http://closed cannot be reached, the connection is refused: start it with 'make up' in the checkout of kind-deployment, add its name to /etc/hosts if the resolver refuses names of 127.0.0.1, or set CF_API to the API it has.");

    let other = MockServer::start().await;
    let said = bash("scripts/kind", &[("CF_API", &other.uri())]);
    let said = fault(said).replace(&other.uri(), "http://other");
    insta::assert_snapshot!(said, @"kind: http://other answers (status 404), but not as a Cloud Controller with a v3 API: set CF_API to the API of the foundation, or look with 'kubectl get pods --namespace cf-system' whether its api is running.");
}

#[test]
fn wrong_usage_and_help_print_the_usage() {
    for script in SCRIPTS {
        let help = bash(&format!("{script} --help"), &[]);
        assert_eq!((help.code, help.err.as_str()), (0, ""));
        assert!(help.out.contains(&format!("eval \"$({script})\"")));
        let wrong = bash(&format!("{script} --frobnicate"), &[]);
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
        assert_eq!(wrong.err, help.out);
    }
}

//! A push that the Cloud Controller rejects leaves nothing behind, and a push with an
//! unknown outcome deletes nothing.

use mock_capi::{Fault, MockCapi};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::command::stable;
use crate::support::push::{DORA, Push};

/// The example of the ADR: 50 instances of 10 MB fit into 500 MB, but 50 instances of 20
/// MB do not.
#[tokio::test]
async fn a_refused_manifest_leaves_nothing_behind() {
    let push = Push::new().await;
    let quota = json!({
        "name": "small",
        "apps": {"total_memory_in_mb": 500},
        "relationships": {
            "organization": {"data": {"guid": push.list("/v3/organizations?names=o").await[0]["guid"]}},
            "spaces": {"data": [{"guid": push.space}]},
        },
    });
    push.curl("POST", "/v3/space_quotas", quota).await;
    push.manifest("applications:\n- name: dora\n  path: bits\n  instances: 50\n  memory: 10M\n");
    let output = push.push(&["-m", "20MB"]);
    assert_eq!(output.code, 1);
    let err = stable(&output.stderr);
    // Lines of the staging log are shown if they arrive in time.
    let end = err
        .lines()
        .skip_while(|line| *line != "dora: starting")
        .filter(|line| !line.starts_with("dora | "));
    insta::assert_snapshot!("quota_err", end.collect::<Vec<_>>().join("\n"));
    assert_eq!(push.list("/v3/apps").await, [] as [Value; 0]);
    assert_eq!(push.list("/v3/routes").await, [] as [Value; 0]);
    push.push_successfully(&[]);
    assert_eq!(push.web("dora").await["instances"], 50);
    let output = push.push(&["-m", "20MB"]);
    assert_eq!(output.code, 1);
    assert_eq!(push.web("dora").await["memory_in_mb"], 10, "as it was");
}

impl Push {
    async fn is_empty(&self) -> bool {
        self.list("/v3/apps").await.is_empty() && self.list("/v3/routes").await.is_empty()
    }

    /// Limits the org.
    async fn limit(&self, apps: Value) {
        let orgs = self.list("/v3/organizations?names=o").await;
        let quota = json!({
            "name": "limited",
            "apps": apps,
            "relationships": {"organizations": {"data": [{"guid": orgs[0]["guid"]}]}},
        });
        self.curl("POST", "/v3/organization_quotas", quota).await;
    }

    pub(crate) async fn apps_domain(&self) -> String {
        let domains = self.list("/v3/domains").await;
        let domain = domains.iter().find(|it| it["internal"] == false).unwrap();
        domain["name"].as_str().unwrap().to_owned()
    }
}

/// The Cloud Controller checks memory and log rate when a build is created, and the log
/// rate again at the start of the app.
#[rstest]
#[case::memory(json!({"total_memory_in_mb": 512}), "  memory: 2G\n", "staging app failed: ", "staging requires 2048M memory")]
#[case::log_rate(json!({"log_rate_limit_in_bytes_per_second": 1024}), "  log-rate-limit-per-second: 2K\n", "staging app failed: ", "staging requires 2048 bytes per second")]
#[case::unlimited(json!({"log_rate_limit_in_bytes_per_second": 10_000_000}), "  log-rate-limit-per-second: -1\n", "starting app failed: ", "cannot be unlimited in organization 'o'")]
#[tokio::test]
async fn a_quota_that_refuses_a_build_or_a_start_leaves_nothing_behind(
    #[case] limits: Value,
    #[case] properties: &str,
    #[case] step: &str,
    #[case] words: &str,
) {
    let push = Push::new().await;
    push.limit(limits).await;
    push.manifest(&format!(
        "applications:\n- name: app\n  path: bits\n{properties}"
    ));
    let output = push.push(&[]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let end: Vec<&str> = output.stderr.lines().rev().take(2).collect();
    assert!(
        end[1].starts_with(&format!("error: {step}")) && end[1].contains(words),
        "{}",
        output.stderr
    );
    assert!(
        end[0].starts_with("help: raise the limits of the quota"),
        "{end:?}"
    );
    assert!(push.is_empty().await);
}

/// A route in the manifest is deleted only if this push has created it.
#[tokio::test]
async fn explicit_routes_of_a_refused_manifest_are_deleted_again() {
    let push = Push::new().await;
    let domain = push.apps_domain().await;
    push.manifest(&format!(
        "applications:\n- {{name: old, path: bits, routes: [{{route: 'old.{domain}'}}]}}\n"
    ));
    push.push_successfully(&["--no-start"]);
    let old = push.app("old").await["guid"].as_str().unwrap().to_owned();
    push.curl("DELETE", &format!("/v3/apps/{old}"), Value::Null)
        .await;
    assert_eq!(push.list("/v3/routes").await.len(), 1);
    push.manifest(&format!(
        "applications:\n- name: one\n  path: bits\n  routes:\n  - route: https://EX.{domain}\n  - route: ex.{domain}/p\n  - route: old.{domain}\n- {{name: two, path: bits, services: [nope]}}\n"
    ));
    let output = push.push(&[]);
    assert_eq!(output.code, 1);
    assert_eq!(push.list("/v3/apps").await, [] as [Value; 0]);
    let routes = push.list("/v3/routes").await;
    let urls: Vec<&str> = routes
        .iter()
        .map(|it| it["url"].as_str().unwrap())
        .collect();
    assert_eq!(urls, [format!("old.{domain}")], "{}", output.stderr);
}

/// The second route is rejected, so the first one was created but not mapped.
#[tokio::test]
async fn a_route_that_was_created_and_not_mapped_is_deleted_again() {
    let push = Push::new().await;
    let domain = push.apps_domain().await;
    push.manifest(&format!(
        "applications:\n- name: one\n  path: bits\n  routes:\n  - route: ex.{domain}\n  - route: ex.no-such-domain.test\n"
    ));
    let output = push.push(&[]);
    assert_eq!(output.code, 1);
    assert!(push.is_empty().await, "{}", output.stderr);
}

/// If a poll fails, the outcome of the job is unknown, so nothing may be deleted.
#[rstest]
#[case(403)]
#[case(404)]
#[case(410)]
#[case(401)]
#[tokio::test]
async fn a_failed_poll_of_the_job_deletes_nothing(#[case] status: u16) {
    let fault = Fault::answer("GET", "/v3/jobs/:guid", status);
    let push = Push::with(MockCapi::builder().faults(vec![fault])).await;
    push.manifest(DORA);
    let output = push.push(&[]);
    assert_ne!(output.code, 0);
    assert!(!output.stderr.contains("was deleted"), "{}", output.stderr);
    assert_eq!(push.app("dora").await["name"], "dora");
}

/// The manifest is applied, and then a gateway returns an error.
#[rstest]
#[case(408)]
#[case(413)]
#[case(421)]
#[case(499)]
#[tokio::test]
async fn an_error_of_a_gateway_deletes_nothing(#[case] status: u16) {
    let fault = Fault::answer("GET", "/v3/jobs/:guid", status).error(0, "", "by the gateway");
    let push = Push::with(MockCapi::builder().faults(vec![fault])).await;
    push.manifest(DORA);
    let output = push.push(&[]);
    assert_ne!(output.code, 0);
    assert_eq!(push.app("dora").await["name"], "dora");
}

/// The Cloud Controller ignores the case of names, so the app is changed and not created.
#[tokio::test]
async fn an_app_whose_name_differs_in_case_is_that_app() {
    let push = Push::new().await;
    push.manifest(DORA);
    push.push_successfully(&["--no-start"]);
    push.manifest("applications:\n- {name: DORA, path: bits, memory: 128M}\n- {name: bad, path: bits, services: [nope]}\n");
    let output = push.push(&[]);
    assert_eq!(output.code, 1);
    assert!(
        output.stdout.contains("-   memory: 64M\n+   memory: 128M"),
        "{}",
        output.stdout
    );
    let apps = push.list("/v3/apps").await;
    let names: Vec<&str> = apps.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dora"], "it is kept: {}", output.stderr);
}

/// The Cloud Controller rejects manifests above 1 MiB.
#[tokio::test]
async fn a_manifest_above_one_mebibyte_is_applied_in_parts() {
    let push = Push::new().await;
    let app = |i| {
        let value = "x".repeat(400 * 1024);
        format!("- {{name: app-{i}, path: bits, env: {{A: {value}}}}}\n")
    };
    let apps: String = (0..5).map(app).collect();
    push.manifest(&format!("applications:\n{apps}"));
    push.push_successfully(&["--no-start"]);
    let applied = push.requests();
    let applied = applied.iter().filter(|it| it.ends_with("/apply_manifest"));
    assert_eq!(applied.count(), 3);
    assert_eq!(push.list("/v3/apps").await.len(), 5);
    let output = push.push_successfully(&["--dry-run", "--format", "json"]);
    let output: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(output["changes"], false);
}

#[tokio::test]
async fn an_existing_app_survives_a_refused_manifest() {
    let push = Push::new().await;
    push.push_successfully(&["there", "-p", "bits", "--no-start"]);
    push.manifest(
        "applications:\n- {name: there, path: bits}\n- {name: new, path: bits, services: [none]}\n",
    );
    let output = push.push(&[]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("For application 'new': "),
        "{}",
        output.stderr
    );
    let apps = push.list("/v3/apps").await;
    let names: Vec<&str> = apps
        .iter()
        .map(|app| app["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["there"]);
}

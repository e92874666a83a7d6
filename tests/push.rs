//! `push` and `manifest`: their requests, the resulting apps, and their output.

use std::time::Duration;

use crate::support::command::{Place, Said, cf_pusher, stable};
use crate::support::{curl, login};
use mock_capi::{Fault, MockCapi, MockCapiBuilder};
use rstest::rstest;
use serde_json::{Value, json};

/// A foundation with an org and a space, and a folder of bits beside a manifest.
pub(crate) struct Push {
    pub(crate) mock: MockCapi,
    pub(crate) place: Place,
    /// The space's GUID.
    pub(crate) space: String,
}

impl Push {
    pub(crate) async fn new() -> Self {
        Self::with(MockCapi::builder()).await
    }

    pub(crate) async fn with(builder: MockCapiBuilder) -> Self {
        let mock = builder.record_requests().start().await.unwrap();
        let place = Place::new();
        std::fs::create_dir(place.dir.path().join("bits")).unwrap();
        place.file("bits/main.go", "package main");
        place.file("bits/large.bin", &"0123456789abcdef".repeat(8 * 1024));
        let mut push = Self {
            mock,
            place,
            space: String::new(),
        };
        let org = push
            .curl("POST", "/v3/organizations", json!({"name": "o"}))
            .await;
        let of_org = json!({"organization": {"data": {"guid": org["guid"]}}});
        let space = json!({"name": "s", "relationships": of_org});
        let space = push.curl("POST", "/v3/spaces", space).await;
        push.space = space["guid"].as_str().unwrap().to_owned();
        push.mock.forget_requests();
        push
    }

    /// Sends a request as another user.
    pub(crate) async fn curl(&self, method: &str, path: &str, body: Value) -> Value {
        curl(&self.mock, method, path, body).await
    }

    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.curl("GET", path, Value::Null).await;
        list["resources"].as_array().unwrap().clone()
    }

    pub(crate) async fn app(&self, name: &str) -> Value {
        let apps = self.list(&format!("/v3/apps?names={name}")).await;
        apps.into_iter().next().unwrap()
    }

    async fn web(&self, name: &str) -> Value {
        let guid = self.app(name).await["guid"].clone();
        let path = format!("/v3/apps/{}/processes/web", guid.as_str().unwrap());
        self.curl("GET", &path, Value::Null).await
    }

    pub(crate) fn manifest(&self, text: &str) {
        self.place.file("manifest.yml", text);
    }

    /// Runs `push` with these flags in the manifest's folder.
    pub(crate) fn push(&self, flags: &[&str]) -> Said {
        self.push_with(flags, &[])
    }

    pub(crate) fn push_with(&self, flags: &[&str], environment: &[(&str, &str)]) -> Said {
        let mut command = cf_pusher(self.place.dir.path());
        command
            .current_dir(self.place.dir.path())
            .arg("push")
            .args(flags)
            .args(["--org", "o", "--space", "s"])
            .env("CF_API", self.mock.uri())
            .env("CF_USERNAME", "admin")
            .env("CF_PASSWORD", "admin")
            .envs(environment.iter().copied());
        self.place.said(command, &self.mock)
    }

    /// Runs `push`, which must succeed.
    pub(crate) fn push_well(&self, flags: &[&str]) -> Said {
        let said = self.push(flags);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        said
    }

    /// Method and path of each request, GUIDs as `:guid`, without logins and logs.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.mock.requests();
        self.mock.forget_requests();
        requests
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .map(|line| stable(&line))
            .collect()
    }

    fn bodies(&self, path: &str) -> Vec<Value> {
        let requests = self.mock.requests();
        let asked = requests
            .iter()
            .filter(|it| it.method == "POST" && it.path == path);
        asked.filter_map(mock_capi::RecordedRequest::json).collect()
    }
}

const DORA: &str = "applications:\n- name: dora\n  path: bits\n  memory: 64M\n";

#[tokio::test]
async fn an_app_is_pushed_and_runs() {
    let push = Push::new().await;
    push.manifest(&format!("{DORA}  instances: 2\n  env: {{A: b}}\n"));
    let said = push.push_well(&["-i", "3"]);
    insta::assert_snapshot!("push_out", stable(&said.out));
    assert!(
        said.err.contains("dora | Downloading app package..."),
        "{}",
        said.err
    );
    let web = push.web("dora").await;
    assert_eq!(
        (&web["instances"], &web["memory_in_mb"]),
        (&json!(3), &json!(64))
    );
    let app = push.app("dora").await;
    assert_eq!(app["state"], "STARTED");
    let routes = push.list("/v3/routes").await;
    assert_eq!(routes.len(), 1, "the default route");
}

#[tokio::test]
async fn ignored_files_are_not_uploaded() {
    let push = Push::new().await;
    push.place.file("bits/.cfignore", "*.log\n");
    push.place.file("bits/a.log", "");
    push.manifest(DORA);
    push.push_well(&[]);
    let packages = push.list("/v3/packages").await;
    let files = push
        .mock
        .package_files(packages[0]["guid"].as_str().unwrap());
    let mut files: Vec<String> = files.unwrap().into_iter().map(|file| file.path).collect();
    files.sort();
    assert_eq!(files, ["large.bin", "main.go"]);
}

#[tokio::test]
async fn matched_resources_are_not_uploaded() {
    let push = Push::new().await;
    push.push_well(&["one", "-p", "bits", "--no-start"]);
    push.place.file("bits/main.go", "package other");
    let said = push.push_well(&["two", "-p", "bits", "--no-start"]);
    assert!(said.err.contains("two: uploading"), "{}", said.err);
    let packages = push.list("/v3/packages?order_by=-created_at").await;
    assert_eq!(packages.len(), 2);
    let files = push
        .mock
        .package_files(packages[0]["guid"].as_str().unwrap());
    assert_eq!(files.unwrap().len(), 2, "the large file came from the pool");
    let matches = push.bodies("/v3/resource_matches");
    let asked = matches[1]["resources"].as_array().unwrap();
    assert_eq!(asked.len(), 1, "small files are never in the pool");
    assert_eq!(asked[0]["path"], "large.bin");
}

/// The budget: 11 requests, and 6 for each app.
#[rstest]
#[case(1)]
#[case(2)]
#[case(8)]
#[tokio::test]
async fn unchanged_bits_cost_few_requests(#[case] apps: usize) {
    let push = Push::new().await;
    let app = |i| format!("- {{name: app-{i}, path: bits, memory: 64M}}\n");
    let list: String = (0..apps).map(app).collect();
    push.manifest(&format!("applications:\n{list}"));
    push.push_well(&[]);
    push.requests();
    let said = push.push_well(&[]);
    assert!(
        said.err.contains("app-0: bits are unchanged"),
        "{}",
        said.err
    );
    let requests = push.requests();
    assert!(
        requests.len() <= 11 + 6 * apps,
        "{}: {requests:#?}",
        requests.len()
    );
    let uploads = requests.iter().filter(|it| it.ends_with("/upload")).count();
    assert_eq!(uploads, 0);
    let builds = requests
        .iter()
        .filter(|it| *it == "POST /v3/builds")
        .count();
    assert_eq!(builds, apps, "each is staged again, as `cf push` does");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let push = Push::new().await;
    push.manifest(&format!("{DORA}  env: {{PASSWORD: hunter2}}\n"));
    let said = push.push_well(&["--dry-run", "--redact-env"]);
    insta::assert_snapshot!("dry_run", stable(&said.out));
    let requests = push.requests();
    let writes = requests.iter().filter(|it| !it.starts_with("GET "));
    let writes: Vec<&String> = writes.filter(|it| !it.ends_with("/token")).collect();
    assert_eq!(writes, ["POST /v3/spaces/:guid/manifest_diff"]);
    push.push_well(&["--no-start"]);
    let said = push.push_well(&["--dry-run", "-i", "2"]);
    assert!(
        said.out.contains("-   instances: 1\n+   instances: 2"),
        "{}",
        said.out
    );
}

/// The example of the ADR: 50 instances of 10 MB fit into 500 MB, and of 20 MB do not.
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
    let said = push.push(&["-m", "20MB"]);
    assert_eq!(said.code, 1);
    let err = stable(&said.err);
    let end = err.lines().skip_while(|line| *line != "dora: starting");
    insta::assert_snapshot!("quota_err", end.collect::<Vec<_>>().join("\n"));
    assert_eq!(push.list("/v3/apps").await, [] as [Value; 0]);
    assert_eq!(push.list("/v3/routes").await, [] as [Value; 0]);
    push.push_well(&[]);
    assert_eq!(push.web("dora").await["instances"], 50);
    let said = push.push(&["-m", "20MB"]);
    assert_eq!(said.code, 1);
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

/// The Cloud Controller checks memory and log rate when a build is created, and the
/// log rate again when the app starts.
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
    let said = push.push(&[]);
    assert_eq!(said.code, 1, "{}", said.err);
    let end: Vec<&str> = said.err.lines().rev().take(2).collect();
    assert!(
        end[1].starts_with(&format!("error: {step}")) && end[1].contains(words),
        "{}",
        said.err
    );
    assert!(
        end[0].starts_with("help: raise the limits of the quota"),
        "{end:?}"
    );
    assert!(push.is_empty().await);
}

/// A route that the manifest names goes again only if it was created by this push.
#[tokio::test]
async fn explicit_routes_of_a_refused_manifest_are_deleted_again() {
    let push = Push::new().await;
    let domain = push.apps_domain().await;
    push.manifest(&format!(
        "applications:\n- {{name: old, path: bits, routes: [{{route: 'old.{domain}'}}]}}\n"
    ));
    push.push_well(&["--no-start"]);
    let old = push.app("old").await["guid"].as_str().unwrap().to_owned();
    push.curl("DELETE", &format!("/v3/apps/{old}"), Value::Null)
        .await;
    assert_eq!(push.list("/v3/routes").await.len(), 1);
    push.manifest(&format!(
        "applications:\n- name: one\n  path: bits\n  routes:\n  - route: https://EX.{domain}\n  - route: ex.{domain}/p\n  - route: old.{domain}\n- {{name: two, path: bits, services: [nope]}}\n"
    ));
    let said = push.push(&[]);
    assert_eq!(said.code, 1);
    assert_eq!(push.list("/v3/apps").await, [] as [Value; 0]);
    let routes = push.list("/v3/routes").await;
    let urls: Vec<&str> = routes
        .iter()
        .map(|it| it["url"].as_str().unwrap())
        .collect();
    assert_eq!(urls, [format!("old.{domain}")], "{}", said.err);
}

/// The second route is refused, so the first one was created and not mapped.
#[tokio::test]
async fn a_route_that_was_created_and_not_mapped_is_deleted_again() {
    let push = Push::new().await;
    let domain = push.apps_domain().await;
    push.manifest(&format!(
        "applications:\n- name: one\n  path: bits\n  routes:\n  - route: ex.{domain}\n  - route: ex.no-such-domain.test\n"
    ));
    let said = push.push(&[]);
    assert_eq!(said.code, 1);
    assert!(push.is_empty().await, "{}", said.err);
}

/// What a failed poll says of the job is not known, so nothing may be deleted.
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
    let said = push.push(&[]);
    assert_ne!(said.code, 0);
    assert!(!said.err.contains("was deleted"), "{}", said.err);
    assert_eq!(push.app("dora").await["name"], "dora");
}

/// The manifest is applied, and then a gateway ends the exchange.
#[rstest]
#[case(408)]
#[case(413)]
#[case(421)]
#[case(499)]
#[tokio::test]
async fn a_refusal_of_a_gateway_deletes_nothing(#[case] status: u16) {
    let fault = Fault::answer("GET", "/v3/jobs/:guid", status).error(0, "", "by the gateway");
    let push = Push::with(MockCapi::builder().faults(vec![fault])).await;
    push.manifest(DORA);
    let said = push.push(&[]);
    assert_ne!(said.code, 0);
    assert_eq!(push.app("dora").await["name"], "dora");
}

/// The Cloud Controller's names ignore case, so the app is changed, not created.
#[tokio::test]
async fn an_app_whose_name_differs_in_case_is_that_app() {
    let push = Push::new().await;
    push.manifest(DORA);
    push.push_well(&["--no-start"]);
    push.manifest("applications:\n- {name: DORA, path: bits, memory: 128M}\n- {name: bad, path: bits, services: [nope]}\n");
    let said = push.push(&[]);
    assert_eq!(said.code, 1);
    assert!(
        said.out.contains("-   memory: 64M\n+   memory: 128M"),
        "{}",
        said.out
    );
    let apps = push.list("/v3/apps").await;
    let names: Vec<&str> = apps.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dora"], "it is kept: {}", said.err);
}

/// The Cloud Controller reads no manifest of more than 1 MiB.
#[tokio::test]
async fn a_manifest_above_one_mebibyte_is_applied_in_parts() {
    let push = Push::new().await;
    let app = |i| {
        let value = "x".repeat(400 * 1024);
        format!("- {{name: app-{i}, path: bits, env: {{A: {value}}}}}\n")
    };
    let apps: String = (0..5).map(app).collect();
    push.manifest(&format!("applications:\n{apps}"));
    push.push_well(&["--no-start"]);
    let applied = push.requests();
    let applied = applied.iter().filter(|it| it.ends_with("/apply_manifest"));
    assert_eq!(applied.count(), 3);
    assert_eq!(push.list("/v3/apps").await.len(), 5);
    let said = push.push_well(&["--dry-run", "--format", "json"]);
    let said: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said["changes"], false);
}

#[tokio::test]
async fn an_existing_app_survives_a_refused_manifest() {
    let push = Push::new().await;
    push.push_well(&["there", "-p", "bits", "--no-start"]);
    push.manifest(
        "applications:\n- {name: there, path: bits}\n- {name: new, path: bits, services: [none]}\n",
    );
    let said = push.push(&[]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("For application 'new': "), "{}", said.err);
    let apps = push.list("/v3/apps").await;
    let names: Vec<&str> = apps
        .iter()
        .map(|app| app["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["there"]);
}

#[tokio::test]
async fn a_failed_staging_is_explained_and_the_other_apps_go_on() {
    let push =
        Push::with(MockCapi::builder().faults(vec![Fault::failed_staging().of("bad")])).await;
    push.manifest("applications:\n- {name: bad, path: bits}\n- {name: good, path: bits}\n");
    let said = push.push(&[]);
    assert_eq!(said.code, 1);
    let lines: Vec<&str> = said.err.lines().collect();
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

/// Log-cache refuses, is down, or never answers.
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
async fn a_log_cache_that_does_not_work_is_given_up_once_and_never_waited_for(
    #[case] fault: Fault,
    #[case] reason: &str,
) {
    let builder = MockCapi::builder().staging_time(Duration::from_secs(7));
    let push = Push::with(builder.faults(vec![fault])).await;
    let app = |i| format!("- {{name: app-{i}, path: bits}}\n");
    let apps: String = (0..20).map(app).collect();
    push.manifest(&format!("applications:\n{apps}"));
    let said = push.push_well(&["--concurrency", "40"]);
    let warning = format!("warning: staging logs are not shown: {reason}");
    assert_eq!(said.err.matches(&warning).count(), 1, "{}", said.err);
    assert_eq!(said.err.matches("warning: ").count(), 1, "{}", said.err);
    let reads = push.requests();
    let reads = reads.iter().filter(|it| it.contains("/api/v1/read/"));
    let reads = reads.count();
    assert!(reads <= 24, "{reads} reads for 20 apps");
}

/// Waiting for several apps together costs few requests.
#[tokio::test]
async fn the_logs_of_a_slow_staging_are_streamed() {
    let builder = MockCapi::builder().staging_time(Duration::from_millis(1500));
    let push = Push::with(builder.start_time(Duration::from_millis(100))).await;
    push.manifest(DORA);
    let said = push.push_well(&[]);
    let reads = push.requests();
    let reads = reads
        .iter()
        .filter(|it| it.contains("/api/v1/read/"))
        .count();
    assert!(reads >= 2, "on the way and at the end: {reads}");
    let lines: Vec<&str> = said
        .err
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
async fn a_foundation_that_goes_away_ends_the_push() {
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
    let said = push.push(&[]);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .contains("error: starting dora failed: all instances of the process web crashed"),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn no_start_stops_a_running_app_and_stages_nothing() {
    let push = Push::new().await;
    push.manifest(DORA);
    push.push_well(&[]);
    push.requests();
    push.push_well(&["--no-start"]);
    assert_eq!(push.app("dora").await["state"], "STOPPED");
    assert!(!push.requests().contains(&"POST /v3/builds".to_owned()));
}

/// The next start would not stage a package that was staged already.
#[tokio::test]
async fn no_start_leaves_a_package_to_stage() {
    let push = Push::new().await;
    push.manifest(DORA);
    push.push_well(&[]);
    push.push_well(&["--no-start", "-b", "ruby_buildpack"]);
    assert_eq!(push.list("/v3/packages").await.len(), 2);
}

#[tokio::test]
async fn apps_with_special_characters_in_their_names_are_found_again() {
    let push = Push::new().await;
    push.push_well(&["a,b %41", "-p", "bits", "--no-route"]);
    let apps = push.list("/v3/apps").await;
    assert_eq!(apps[0]["name"], "a,b %41");
    assert_eq!(apps[0]["state"], "STARTED");
}

#[tokio::test]
async fn a_random_route_is_printed() {
    let push = Push::new().await;
    push.manifest(DORA);
    let said = push.push_well(&["--random-route"]);
    let routes = push.list("/v3/routes").await;
    let url = routes[0]["url"].as_str().unwrap();
    assert!(
        said.out.contains(&format!("routes:           {url}\n")),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn a_duplicate_app_name_is_refused() {
    let push = Push::new().await;
    push.manifest("applications: [{name: a, path: bits}, {name: a, path: bits}]");
    let said = push.push(&[]);
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err,
        "error: the manifest has two apps named a\nhelp: rename or remove one of them\n"
    );
    assert!(push.requests().is_empty());
}

#[tokio::test]
async fn an_app_for_tasks_is_staged_and_not_started() {
    let push = Push::new().await;
    push.manifest(DORA);
    push.push_well(&["--task"]);
    let app = push.app("dora").await;
    assert_eq!(app["state"], "STOPPED");
    assert!(app["relationships"]["current_droplet"]["data"]["guid"].is_string());
    assert_eq!(push.list("/v3/routes").await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_deployment_scales_instead_of_the_manifest() {
    let push = Push::with(MockCapi::builder().start_time(Duration::from_millis(30))).await;
    push.manifest(DORA);
    push.push_well(&[]);
    push.mock.forget_requests();
    let flags = [
        "--strategy",
        "rolling",
        "-i",
        "3",
        "-m",
        "128M",
        "--max-in-flight",
        "2",
    ];
    let said = push.push_well(&flags);
    assert!(
        said.out.contains("+   instances: 3"),
        "the diff shows it: {}",
        said.out
    );
    let applied = push.mock.requests();
    let applied = applied
        .iter()
        .find(|it| it.path.ends_with("/apply_manifest"))
        .unwrap();
    let applied = String::from_utf8_lossy(&applied.body);
    assert!(
        applied.contains("memory: 64M") && !applied.contains("instances"),
        "{applied}"
    );
    let deployments = push.bodies("/v3/deployments");
    assert_eq!(
        deployments[0]["options"],
        json!({"max_in_flight": 2, "web_instances": 3, "memory_in_mb": 128})
    );
    let web = push.web("dora").await;
    assert_eq!(
        (&web["instances"], &web["memory_in_mb"]),
        (&json!(3), &json!(128))
    );
}

#[tokio::test]
async fn a_canary_deployment_stays_paused() {
    let push = Push::new().await;
    push.manifest(&format!("{DORA}  instances: 4\n"));
    push.push_well(&[]);
    let said = push.push_well(&["--strategy", "canary", "--instance-steps", "50"]);
    let deployment = &push.list("/v3/deployments").await[0];
    assert_eq!(deployment["status"]["reason"], "PAUSED");
    assert!(
        said.out
            .contains("paused; continue with `cf continue-deployment dora`"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn a_docker_image_needs_no_bits_and_its_password_stays_secret() {
    let push = Push::new().await;
    let on = json!({"enabled": true});
    push.curl("PATCH", "/v3/feature_flags/diego_docker", on)
        .await;
    push.mock.forget_requests();
    let image = ["dora", "--docker-image", "registry.example.com/dora:1"];
    push.push_well(&image);
    let packages = push.bodies("/v3/packages");
    assert_eq!(packages[0]["type"], "docker");
    assert_eq!(
        packages[0]["data"],
        json!({"image": "registry.example.com/dora:1"})
    );
    assert!(push.requests().iter().all(|it| !it.ends_with("/upload")));

    let private = [&image[..], &["--docker-username", "me", "-vv"]].concat();
    let said = push.push(&private);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("set CF_DOCKER_PASSWORD"), "{}", said.err);
    let said = push.push_with(&private, &[("CF_DOCKER_PASSWORD", "hunter2")]);
    assert_eq!(said.code, 0, "{}", said.err);
    let packages = push.bodies("/v3/packages");
    assert_eq!(packages[0]["data"]["password"], "hunter2");
    assert!(!said.err.contains("hunter2") && !said.out.contains("hunter2"));
}

#[tokio::test]
async fn a_droplet_is_run_without_staging() {
    let push = Push::new().await;
    let file = push.place.file("droplet.tgz", "a droplet");
    push.push_well(&["dora", "--droplet", file.to_str().unwrap()]);
    assert_eq!(push.app("dora").await["state"], "STARTED");
    let requests = push.requests();
    assert!(
        requests.contains(&"POST /v3/droplets/:guid/upload".to_owned()),
        "{requests:#?}"
    );
    assert!(
        !requests.contains(&"POST /v3/builds".to_owned()),
        "{requests:#?}"
    );
}

/// The foundation is too old for the request, or fails.
#[rstest]
#[case(404)]
#[case(500)]
#[tokio::test]
async fn a_foundation_without_diffs_is_compared_here(#[case] status: u16) {
    let builder = MockCapi::builder();
    let refusal = Fault::answer("POST", "/v3/spaces/:guid/manifest_diff", status);
    let push = Push::with(builder.faults(vec![refusal])).await;
    push.manifest(DORA);
    push.push_well(&["--no-start"]);
    let said = push.push_well(&["--dry-run", "-m", "128M"]);
    assert!(
        said.out.contains("-   memory: 64M\n+   memory: 128M"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn the_json_output_is_one_object() {
    let push = Push::new().await;
    push.manifest(DORA);
    let said = push.push_well(&["--format", "json"]);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["apps"][0]["name"], "dora");
    assert_eq!(json["apps"][0]["state"], "STARTED");
    assert_eq!(
        json["apps"][0]["processes"][0]["instances"][0]["state"],
        "RUNNING"
    );
    assert_eq!(json["failures"], json!([]));
    assert!(json["run"]["requests"].as_u64().unwrap() > 0);

    push.manifest("applications: [{name: dora, path: bits, stack: none}]");
    let said = push.push(&["--format", "json"]);
    assert_eq!(said.code, 1);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    let error = json["error"]["message"].as_str().unwrap();
    assert!(error.contains("For application 'dora': "), "{error}");
}

#[tokio::test]
async fn the_target_of_the_cf_cli_is_used() {
    let push = Push::new().await;
    push.manifest(DORA);
    let token = login(&push.mock).await;
    let home = push.place.dir.path().join(".cf");
    std::fs::create_dir(&home).unwrap();
    let config = json!({
        "Target": push.mock.uri(),
        "AccessToken": format!("bearer {}", token["access_token"].as_str().unwrap()),
        "RefreshToken": token["refresh_token"],
        "OrganizationFields": {"GUID": "unused", "Name": "o"},
        "SpaceFields": {"GUID": push.space, "Name": "s"},
    });
    std::fs::write(home.join("config.json"), config.to_string()).unwrap();
    let mut command = cf_pusher(push.place.dir.path());
    command
        .current_dir(push.place.dir.path())
        .args(["push", "--no-start"]);
    let said = push.place.said(command, &push.mock);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(push.app("dora").await["name"], "dora");
}

#[tokio::test]
async fn a_push_without_a_target_is_an_error() {
    let push = Push::new().await;
    push.manifest(DORA);
    let mut command = cf_pusher(push.place.dir.path());
    command
        .current_dir(push.place.dir.path())
        .args(["push", "--org", "o", "--space", "none"])
        .env("CF_API", push.mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin");
    let said = push.place.said(command, &push.mock);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(stable(&said.err), @"error: finding space none in org o failed: not found, or not visible to the user");
    assert_eq!(push.list("/v3/apps").await, [] as [Value; 0]);
}

/// `manifest` refuses the same manifests as `push`, without a foundation.
#[rstest]
#[case::no_name("applications: [{memory: 1G}]", &[], "the app has no name\nhelp: add an APP argument, or a `name` in the manifest")]
#[case::two_apps("applications: [{name: a}, {name: b}]", &["-i", "2"], "-i needs a single APP argument: 2 apps are selected")]
#[case::missing_variables("applications: [{name: ((b)), memory: ((a))}]", &[], "invalid manifest DIR/manifest.yml: no value for the variables a, b\nhelp: set them with --var or --vars-file")]
#[case::both_disks("applications: [{name: a, disk_quota: 1G, disk-quota: 1G}]", &[], "invalid manifest DIR/manifest.yml: line 1: app a: `disk_quota` and `disk-quota` cannot both be set")]
#[case::no_apps("applications: []", &[], "invalid manifest DIR/manifest.yml: line 1: `applications` must have at least one application")]
#[case::not_yaml("applications: [", &[], "invalid manifest DIR/manifest.yml: invalid YAML: line 1: unclosed bracket '['")]
#[case::mismatch("applications: [{name: a, buildpacks: [b]}]", &["-o", "i"], "--docker-image cannot be used with `buildpacks` in the manifest")]
#[case::conflict("applications: [{name: a}]", &["--no-route", "--random-route"], "--no-route and --random-route cannot be used together")]
#[case::secret("applications: [{name: a, memory: [hunter2]}]", &[], "invalid manifest DIR/manifest.yml: line 1: app a: `memory` is a list, must be a string")]
fn manifest_refuses_what_push_would_refuse(
    #[case] manifest: &str,
    #[case] flags: &[&str],
    #[case] expected: &str,
) {
    for subcommand in ["manifest", "push"] {
        let place = Place::new();
        place.file("manifest.yml", manifest);
        let mut command = cf_pusher(place.dir.path());
        command
            .current_dir(place.dir.path())
            .arg(subcommand)
            .args(flags);
        let output = command.output().unwrap();
        let dir = place.dir.path().canonicalize().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let error = error.replace(dir.to_str().unwrap(), "DIR");
        assert_eq!(error, format!("error: {expected}\n"), "{subcommand}");
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_manifest_is_printed_as_it_would_be_applied() {
    let place = Place::new();
    place.file("vars.yml", "host: dora\nsize: 64M");
    place.file(
        "manifest.yml",
        "anchors:\n  env: &env {TZ: 0:30, ON: yes}\napplications:\n- name: ((host))\n  memory: ((size))\n  env:\n    <<: *env\n    OCTAL: 0123\n  routes:\n  - route: ((host)).((domain))\n    new-property: [1, {deep: ~}]\n  processes:\n  - type: web\n    disk-quota: 1G\n  - type: worker\n",
    );
    let mut command = cf_pusher(place.dir.path());
    command.current_dir(place.dir.path());
    command.args([
        "manifest",
        "--vars-file",
        "vars.yml",
        "--var",
        "domain=example.com",
    ]);
    command.args(["-i", "4", "-k", "2G", "-c", "null", "--no-route"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

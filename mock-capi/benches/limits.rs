//! Measures mock-capi at its limits: memory for a large upload, for many requests and for
//! resources that are created and deleted, the latency of other requests during an
//! upload, and the time of a page of a list as the world grows. Exits with 1 if a figure
//! exceeds its limit.

// A measurement that fails ends the program.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod client;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use client::{Api, Process};
use mock_capi::wiremock::matchers::any;
use mock_capi::wiremock::{Mock, MockServer, ResponseTemplate};
use serde_json::{Value, json};

/// The environment variable that makes this program serve mock-capi, or a fixed response,
/// through wiremock.
const SERVE: &str = "MOCK_CAPI_BENCH_SERVE";

const REQUESTS: usize = 200_000;
const UPLOAD: u64 = 1024 * 1024 * 1024;
const SOCKETS: usize = 2_000;

fn main() -> ExitCode {
    if let Ok(what) = std::env::var(SERVE) {
        serve(&what);
        return ExitCode::SUCCESS;
    }
    let mut report = Report { is_good: true };
    upload(&mut report);
    for adapter in ["front", "wiremock"] {
        many_requests(&mut report, adapter);
    }
    adapters(&mut report);
    pages(&mut report);
    sockets(&mut report);
    many_creations_and_deletions(&mut report);
    match report.is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

struct Report {
    is_good: bool,
}

impl Report {
    /// Prints a figure, and records whether it exceeds its limit.
    fn at_most(&mut self, what: &str, figure: f64, limit: f64) {
        self.add(what, figure, figure <= limit, &format!("at most {limit}"));
    }

    fn at_least(&mut self, what: &str, figure: f64, limit: f64) {
        self.add(what, figure, figure >= limit, &format!("at least {limit}"));
    }

    fn add(&mut self, what: &str, figure: f64, is_good: bool, limit: &str) {
        let verdict = if is_good { "" } else { "  MISSED" };
        println!("{what:<66} {figure:>10.2}  {limit}{verdict}");
        self.is_good &= is_good;
    }
}

/// Serves until it is killed.
fn serve(what: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        if what == "wiremock" {
            let mock = mock_capi::MockCapi::builder().token_lifetime(Duration::from_secs(86_400));
            let mock = mock.start().await.expect("a mock");
            println!("listening on {}", mock.uri());
            std::future::pending::<()>().await;
        } else {
            let size = what.parse().expect("a size");
            let server = MockServer::builder()
                .disable_request_recording()
                .start()
                .await;
            let body = ResponseTemplate::new(200).set_body_raw(vec![b'x'; size], "text/plain");
            Mock::given(any()).respond_with(body).mount(&server).await;
            println!("listening on {}", server.uri());
            std::future::pending::<()>().await;
        }
    });
}

fn through_wiremock(what: &str) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(SERVE, what);
    Process::start(command)
}

fn guid(resource: &Value) -> String {
    let guid = resource["guid"].as_str();
    guid.unwrap_or_else(|| panic!("no guid: {resource}"))
        .to_owned()
}

/// A space in an organization without limits.
fn space(api: &mut Api) -> String {
    let org = org(api);
    space_of(api, &org, "space")
}

/// An organization without limits.
fn org(api: &mut Api) -> String {
    let org = guid(&api.json("POST", "/v3/organizations", &json!({"name": "org"})));
    let quota = json!({"name": "any",
        "relationships": {"organizations": {"data": [{"guid": org}]}}});
    api.json("POST", "/v3/organization_quotas", &quota);
    org
}

fn space_of(api: &mut Api, org: &str, name: &str) -> String {
    let space = json!({"name": name,
        "relationships": {"organization": {"data": {"guid": org}}}});
    guid(&api.json("POST", "/v3/spaces", &space))
}

fn create_app(api: &mut Api, space: &str, name: &str) -> String {
    let app = json!({"name": name, "relationships": {"space": {"data": {"guid": space}}}});
    guid(&api.json("POST", "/v3/apps", &app))
}

fn package(api: &mut Api, app: &str) -> String {
    let package = json!({"type": "bits", "relationships": {"app": {"data": {"guid": app}}}});
    guid(&api.json("POST", "/v3/packages", &package))
}

fn upload(report: &mut Report) {
    const HEAD: &str =
        "--b\r\nContent-Disposition: form-data; name=\"bits\"; filename=\"a.zip\"\r\n\r\n";
    const TAIL: &str = "\r\n--b--\r\n";
    let mock = Process::front(&[]);
    let mut api = Api::log_in(&mock.address);
    let space = space(&mut api);
    let app = create_app(&mut api, &space, "app");
    let (stalled, large) = (package(&mut api, &app), package(&mut api, &app));
    let length = UPLOAD + (HEAD.len() + TAIL.len()) as u64;
    let mut waiting = api.again();
    let stream = waiting.begin_upload(&stalled, length);
    stream.write_all(HEAD.as_bytes()).expect("a connection");
    let (p99, _) = waits(&mut api, || false);
    report.at_most("ms p99 of GET /v3/apps during a stalled upload", p99, 50.0);
    let before = mock.megabytes();
    let mut sender = api.again();
    let sending = thread::spawn(move || {
        let stream = sender.begin_upload(&large, length);
        stream.write_all(HEAD.as_bytes()).expect("a connection");
        let piece = vec![7; 1024 * 1024];
        for _ in 0..UPLOAD / piece.len() as u64 {
            stream.write_all(&piece).expect("a connection");
        }
        stream.write_all(TAIL.as_bytes()).expect("a connection");
        let (head, _) = sender.read_answer();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    });
    let (p99, longest) = waits(&mut api, || !sending.is_finished());
    sending.join().expect("an upload");
    report.at_most("ms p99 of GET /v3/apps while 1 GiB is uploaded", p99, 50.0);
    report.at_most(
        "ms longest of GET /v3/apps while 1 GiB is uploaded",
        longest,
        50.0,
    );
    let used = mock.peak_megabytes() - before;
    report.at_most("MB for an upload of 1 GiB", used, 64.0);
}

/// The 99th percentile and the maximum of the time of a list request, in milliseconds.
fn waits(api: &mut Api, is_busy: impl Fn() -> bool) -> (f64, f64) {
    let mut times = Vec::new();
    while times.len() < 1_000 || is_busy() {
        let began = Instant::now();
        api.send("GET", "/v3/apps", "application/json", "");
        times.push(began.elapsed());
        thread::sleep(Duration::from_millis(1));
    }
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let longest = times.last().copied().unwrap_or_default();
    (millis(times[times.len() * 99 / 100]), millis(longest))
}

fn many_requests(report: &mut Report, adapter: &str) {
    let mock = match adapter {
        "front" => Process::front(&[]),
        other => through_wiremock(other),
    };
    let mut api = Api::log_in(&mock.address);
    let space = space(&mut api);
    create_app(&mut api, &space, "app");
    // The initial memory of the allocator and the threads.
    rate(&api, "/v3/apps?per_page=1", REQUESTS / 20);
    let before = mock.megabytes();
    rate(&api, "/v3/apps?per_page=1", REQUESTS);
    let used = mock.megabytes() - before;
    let what = format!("MB for {REQUESTS} requests, {adapter}");
    report.at_most(&what, used, 64.0);
}

/// Requests per second on a few connections.
fn rate(api: &Api, path: &str, requests: usize) -> f64 {
    const CONNECTIONS: usize = 4;
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            let mut api = api.again();
            scope.spawn(move || {
                for _ in 0..requests / CONNECTIONS {
                    let (head, _) = api.send("GET", path, "application/json", "");
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                }
            });
        }
    });
    requests as f64 / began.elapsed().as_secs_f64()
}

/// Compares the wiremock adapter with wiremock alone, alternately.
fn adapters(report: &mut Report) {
    const PATH: &str = "/v3/apps?per_page=1";
    const TURNS: usize = 5;
    let mock = through_wiremock("wiremock");
    let front = Process::front(&[]);
    let [mut of_mock, mut of_front] = [&mock, &front].map(|mock| Api::log_in(&mock.address));
    for api in [&mut of_mock, &mut of_front] {
        let space = space(api);
        create_app(api, &space, "app");
    }
    let size = of_mock.send("GET", PATH, "application/json", "").1.len();
    let bare = through_wiremock(&size.to_string());
    let of_bare = Api::connect(&bare.address);
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let plain = rate(&of_bare, PATH, 8_000);
        ratios.push(100.0 * rate(&of_mock, PATH, 8_000) / plain);
        rates.push(rate(&of_front, PATH, 8_000));
    }
    let median = |figures: &mut Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    report.at_least(
        "% of wiremock's own rate, wiremock adapter",
        median(&mut ratios),
        40.0,
    );
    report.at_least(
        "GET /v3/apps?per_page=1 a second, front",
        median(&mut rates),
        5_000.0,
    );
}

/// Compares the cost of a page at 10,000 apps with that at 1,000, for an administrator,
/// an auditor who can also see all apps, and a developer who can see a hundred.
fn pages(report: &mut Report) {
    const PATHS: [&str; 5] = [
        "/v3/apps?per_page=1",
        "/v3/audit_events?per_page=1",
        "/v3/apps?per_page=1&order_by=-name",
        "/v2/apps?results-per-page=1",
        "/v2/events?results-per-page=1",
    ];
    const OWN: usize = 100;
    let mocks = [1_000, 10_000].map(|size| {
        let mock = Process::front(&["--add-user", "auditor:auditor,developer:developer"]);
        let mut api = Api::log_in(&mock.address);
        let org = org(&mut api);
        let spaces = ["space", "own"].map(|name| space_of(&mut api, &org, name));
        for user in ["auditor", "developer"] {
            assign(&mut api, "organization_user", "organization", &org, user);
        }
        for space in &spaces {
            assign(&mut api, "space_auditor", "space", space, "auditor");
        }
        assign(
            &mut api,
            "space_developer",
            "space",
            &spaces[1],
            "developer",
        );
        fill(&mut api, &spaces[1], 0..OWN);
        fill(&mut api, &spaces[0], OWN..size);
        mock
    });
    for user in ["admin", "auditor", "developer"] {
        let apis = [0, 1].map(|at: usize| Api::log_in_as(&mocks[at].address, user));
        for path in PATHS {
            let mut ratios: Vec<f64> = (0..5)
                .map(|_| {
                    let [few, many] = [0, 1].map(|at: usize| rate(&apis[at], path, 8_000));
                    100.0 * many / few
                })
                .collect();
            ratios.sort_by(f64::total_cmp);
            let what = format!("% of the rate at 1,000 apps, {user}, {path}");
            report.at_least(&what, ratios[2], 80.0);
        }
    }
}

fn assign(api: &mut Api, role: &str, place: &str, guid: &str, user: &str) {
    let role = json!({"type": role, "relationships": {
        "user": {"data": {"username": user}},
        place: {"data": {"guid": guid}},
    }});
    api.json("POST", "/v3/roles", &role);
}

fn fill(api: &mut Api, space: &str, numbers: std::ops::Range<usize>) {
    const BATCH: usize = 1_000;
    for from in numbers.clone().step_by(BATCH) {
        let mut manifest = String::from("applications:\n");
        for number in from..(from + BATCH).min(numbers.end) {
            writeln!(manifest, "- {{name: app-{number}, no-route: true}}").expect("a string");
        }
        let path = format!("/v3/spaces/{space}/actions/apply_manifest");
        let (head, _) = api.send("POST", &path, "application/x-yaml", &manifest);
        assert!(head.starts_with("HTTP/1.1 202"), "{head}");
    }
}

fn sockets(report: &mut Report) {
    let mock = Process::front(&[]);
    let mut api = Api::log_in(&mock.address);
    let open: Vec<TcpStream> = (0..SOCKETS)
        .map(|_| {
            let mut socket = TcpStream::connect(&mock.address).expect("a socket");
            socket.write_all(b"GET / HT").expect("a connection");
            socket
        })
        .collect();
    let (p99, _) = waits(&mut api, || false);
    report.at_most(
        &format!("ms p99 of GET /v3/apps with {} open sockets", open.len()),
        p99,
        50.0,
    );
}

/// Creates and deletes many organizations, of which few remain.
fn many_creations_and_deletions(report: &mut Report) {
    const COUNT: usize = 100_000;
    let mock = Process::front(&["--keep-events", "20000"]);
    let mut api = Api::log_in(&mock.address);
    let mut create_and_delete = |count: usize| {
        for number in 0..count {
            let org = json!({"name": format!("org-{number}")});
            let org = guid(&api.json("POST", "/v3/organizations", &org));
            api.json("DELETE", &format!("/v3/organizations/{org}"), &json!({}));
        }
    };
    // Reach the maximum number of stored jobs, events and requests first.
    create_and_delete(12_000);
    let before = mock.megabytes();
    create_and_delete(COUNT);
    let ratio = mock.megabytes() / before;
    report.at_most(
        "times the memory, after 100,000 creations and deletions",
        ratio,
        1.5,
    );
}

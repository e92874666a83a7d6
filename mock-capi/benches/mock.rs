//! Measures the speed and the memory of a `mock-capi` process as the world grows.
//!
//! Creates apps, each with a web process, a route and a droplet, and prints at each size:
//! requests per second for one app and to the routes of apps, the time of a filtered list
//! of 100 apps, and the memory. Exits with 1 if a figure exceeds its limit.

// A measurement that fails ends the program.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod client;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use client::{Api, Process};
use serde_json::{Value, json};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const MIN_REQUESTS_PER_SECOND: f64 = 10_000.0;
/// The minimum rate of requests to the routes of apps, as a fraction of the rate of `GET
/// /v3/apps/:guid`.
const MIN_RATIO_OF_APPS: f64 = 0.7;
/// The minimum rate of `GET /v3/apps/:guid` while an app is slow, or while an app is
/// forwarded to a server that does not respond, as a fraction of the usual rate.
const MIN_RATIO_BESIDE_SLOW_APPS: f64 = 0.9;
const MAX_LIST_MILLIS: f64 = 2.0;
const MAX_MEGABYTES: f64 = 500.0;
/// The number of concurrent connections.
const CONNECTIONS: usize = 4;
/// The number of running apps.
const RUNNING: usize = 100;
/// The number of apps in one manifest.
const BATCH: usize = 1_000;

fn main() -> ExitCode {
    let mock = Process::front(&[]);
    let mut api = Api::log_in(&mock.address);
    let mut world = Filled::new(&mut api);
    let mut good = true;
    println!(
        "{:>7} {:>10} {:>9} {:>9} {:>12} {:>9} {:>12}",
        "apps", "filled_s", "GET_app/s", "routes/s", "list_100_ms", "MB", "KB_per_app"
    );
    let empty = mock.peak_megabytes();
    for size in SIZES {
        let began = Instant::now();
        world.fill(&mut api, size);
        let filled = began.elapsed().as_secs_f64();
        let rate = requests_per_second(&api, &world);
        let routes = routed_per_second(&api, &world);
        let millis = list_millis(&mut api, &world);
        let megabytes = mock.peak_megabytes();
        println!(
            "{size:>7} {filled:>10.1} {rate:>9.0} {routes:>9.0} {millis:>12.2} {megabytes:>9.1} {:>12.2}",
            (megabytes - empty) * 1024.0 / size as f64
        );
        good &= rate >= MIN_REQUESTS_PER_SECOND
            && routes >= rate * MIN_RATIO_OF_APPS
            && millis <= MAX_LIST_MILLIS
            && megabytes <= MAX_MEGABYTES;
    }
    let slow = json!([{"fault": "slow", "app": "app-0", "delay": "10m"}]);
    api.json("PUT", "/_mock/faults", &slow);
    let silent = silent_server();
    let forwarded = json!([{"app": "app-1", "forward": silent}]);
    api.json("PUT", "/_mock/apps", &forwarded);
    for (app, what) in [("app-0", "a slow"), ("app-1", "a forwarded")] {
        let share = share_beside(&api, &world, app);
        println!(
            "beside {what} app: {share:.2} of the GET_app/s, at least {MIN_RATIO_BESIDE_SLOW_APPS}"
        );
        good &= share >= MIN_RATIO_BESIDE_SLOW_APPS;
    }
    println!(
        "at least {MIN_REQUESTS_PER_SECOND} GET_app/s, {MIN_RATIO_OF_APPS} of that to routes, at most {MAX_LIST_MILLIS} ms for a list of 100, at most {MAX_MEGABYTES} MB"
    );
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The resources in the mock.
struct Filled {
    space: String,
    droplet: String,
    apps: Vec<String>,
}

impl Filled {
    /// Creates a space, and an app with a droplet that is copied to the others.
    fn new(api: &mut Api) -> Self {
        let org = guid(&api.json("POST", "/v3/organizations", &json!({"name": "org"})));
        // Without limits.
        let quota = json!({"name": "any",
            "relationships": {"organizations": {"data": [{"guid": org}]}}});
        api.json("POST", "/v3/organization_quotas", &quota);
        let space = json!({"name": "space",
            "relationships": {"organization": {"data": {"guid": org}}}});
        let space = guid(&api.json("POST", "/v3/spaces", &space));
        let on = json!({"enabled": true});
        api.json("PATCH", "/v3/feature_flags/diego_docker", &on);
        let app = json!({"name": "prototype", "lifecycle": {"type": "docker", "data": {}},
            "relationships": {"space": {"data": {"guid": space}}}});
        let app = guid(&api.json("POST", "/v3/apps", &app));
        let package = json!({"type": "docker", "data": {"image": "image"},
            "relationships": {"app": {"data": {"guid": app}}}});
        let package = guid(&api.json("POST", "/v3/packages", &package));
        let build =
            json!({"package": {"guid": package}, "lifecycle": {"type": "docker", "data": {}}});
        let build = guid(&api.json("POST", "/v3/builds", &build));
        let build = api.json("GET", &format!("/v3/builds/{build}"), &json!({}));
        let droplet = guid(&build["droplet"]);
        Self {
            space,
            droplet,
            apps: Vec::new(),
        }
    }

    fn fill(&mut self, api: &mut Api, size: usize) {
        while self.apps.len() < size {
            let from = self.apps.len();
            let to = (from + BATCH).min(size);
            let mut manifest = String::from("applications:\n");
            for number in from..to {
                writeln!(
                    manifest,
                    "- {{name: app-{number}, docker: {{image: image}}, instances: 2, \
                     env: {{NUMBER: \"{number}\"}}, \
                     routes: [{{route: app-{number}.apps.mock.test}}]}}"
                )
                .expect("a string");
            }
            let path = format!("/v3/spaces/{}/actions/apply_manifest", self.space);
            let (head, _) = api.send("POST", &path, "application/x-yaml", &manifest);
            assert!(head.starts_with("HTTP/1.1 202"), "{head}");
            let names: Vec<String> = (from..to).map(|number| format!("app-{number}")).collect();
            let list = format!("/v3/apps?per_page=5000&names={}", names.join(","));
            let list = api.json("GET", &list, &json!({}));
            for app in list["resources"].as_array().expect("a list") {
                self.add_droplet(api, &guid(app));
            }
        }
    }

    fn add_droplet(&mut self, api: &mut Api, app: &str) {
        let copy = json!({"relationships": {"app": {"data": {"guid": app}}}});
        let path = format!("/v3/droplets?source_guid={}", self.droplet);
        let droplet = guid(&api.json("POST", &path, &copy));
        let path = format!("/v3/apps/{app}/relationships/current_droplet");
        api.json("PATCH", &path, &json!({"data": {"guid": droplet}}));
        if self.apps.len() < RUNNING {
            api.json("POST", &format!("/v3/apps/{app}/actions/start"), &json!({}));
        }
        self.apps.push(app.to_owned());
    }
}

fn guid(resource: &Value) -> String {
    let guid = resource["guid"].as_str();
    guid.unwrap_or_else(|| panic!("no guid: {resource}"))
        .to_owned()
}

/// The rate of `GET /v3/apps/:guid` on a few connections.
fn requests_per_second(api: &Api, world: &Filled) -> f64 {
    const REQUESTS: usize = 10_000;
    let began = Instant::now();
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let mut api = api.again();
            scope.spawn(move || {
                for number in 0..REQUESTS {
                    let at = (connection + number * 7919) % world.apps.len();
                    let path = format!("/v3/apps/{}", world.apps[at]);
                    let (head, _) = api.send("GET", &path, "application/json", "");
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                }
            });
        }
    });
    (CONNECTIONS * REQUESTS) as f64 / began.elapsed().as_secs_f64()
}

/// The URL of a server that accepts requests and does not respond.
fn silent_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    format!("http://{address}")
}

/// The rate of `GET /v3/apps/:guid` while an app keeps many clients waiting, as a
/// fraction of the usual rate. This is the median of several pairs, because the machine
/// has other work.
fn share_beside(api: &Api, world: &Filled, app: &str) -> f64 {
    const PAIRS: usize = 5;
    const WAITING: usize = 100;
    let host = format!("{app}.apps.mock.test");
    let mut waiting: Vec<Api> = Vec::new();
    let mut shares: Vec<f64> = (0..PAIRS)
        .map(|_| {
            waiting.clear();
            let alone = requests_per_second(api, world);
            waiting.extend((0..WAITING).map(|_| {
                let mut client = api.again();
                client.ask(&host, "/");
                client
            }));
            requests_per_second(api, world) / alone
        })
        .collect();
    // The first connection may have been closed, because it was idle.
    api.again().json("PUT", "/_mock/faults", &json!([]));
    shares.sort_by(f64::total_cmp);
    shares[PAIRS / 2]
}

/// The rate of requests to apps on their routes, on a few connections.
fn routed_per_second(api: &Api, world: &Filled) -> f64 {
    const REQUESTS: usize = 10_000;
    let began = Instant::now();
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let mut api = api.again();
            scope.spawn(move || {
                for number in 0..REQUESTS {
                    let at = (connection + number * 7919) % RUNNING.min(world.apps.len());
                    let host = format!("app-{at}.apps.mock.test");
                    let (head, _) = api.get_from(&host, "/");
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                }
            });
        }
    });
    (CONNECTIONS * REQUESTS) as f64 / began.elapsed().as_secs_f64()
}

/// The median time of a list of 100 apps by name, from all apps of the space.
fn list_millis(api: &mut Api, world: &Filled) -> f64 {
    let mut times: Vec<Duration> = (0..101)
        .map(|run| {
            let names: Vec<String> = (0..100)
                .map(|number| format!("app-{}", (run * 100 + number * 7) % world.apps.len()))
                .collect();
            let path = format!(
                "/v3/apps?per_page=100&space_guids={}&names={}",
                world.space,
                names.join(",")
            );
            let began = Instant::now();
            let (head, body) = api.send("GET", &path, "application/json", "");
            let time = began.elapsed();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let list: Value = serde_json::from_slice(&body).expect("a list");
            assert_eq!(list["resources"].as_array().map(Vec::len), Some(100));
            time
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

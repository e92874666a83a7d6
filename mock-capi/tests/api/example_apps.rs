//! The apps of the scaling test have the same responses whether mock-capi simulates them
//! or the programs in `fixtures/apps` run.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mock_capi::{Front, MockCapi};
use regex::Regex;
use reqwest::Method;
use serde_json::json;

use crate::common::{HttpResponse, Session, plain, send};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A registration by a client, and the resulting ID.
const WEB: &str = r#"{"service_name": "web", "endpoint": {"type": "tcp", "value": "10.0.0.1:80"},
    "metadata": {"a": [1]}, "tags": ["b"], "status": "STARTING"}"#;
const WEB_ID: &str = "09523d4fe8a621d9";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const NOT_FOUND: &str = "404 page not found\n";
const IDENTITY: &str = "{\"application_name\":\"tick-0\",\"instance_index\":0}\n";

/// A request to an app: its method, path and body.
type AppCall = (&'static str, &'static str, &'static str, &'static str);

/// The response of an app: status, content type and body.
type Expected = (u16, &'static str, &'static str);

/// The requests in order, and their responses. TICK and REGISTRY are the addresses of
/// apps, and CLOSED is an address without a listener. ID, TIME, IP and NUMBER stand for
/// any such value.
const CASES: &[(AppCall, Expected)] = &[
    // tick
    (("tick-0", "GET", "/", ""), (200, JSON, IDENTITY)),
    (
        ("tick-0", "POST", "/any/path?a=b", "c"),
        (200, JSON, IDENTITY),
    ),
    (("tick-0", "HEAD", "/", ""), (200, JSON, "")),
    // registry
    (
        ("registry", "GET", "/", ""),
        (200, JSON, "{\"instances\":1,\"name\":\"registry\"}\n"),
    ),
    (
        ("registry", "GET", "/health", ""),
        (200, JSON, "{\"status\":\"UP\"}\n"),
    ),
    (
        ("registry", "GET", "/api/v1/services", ""),
        (200, JSON, "{\"services\":[\"tick-0\"]}\n"),
    ),
    (
        ("registry", "GET", "/api/v1/instances", ""),
        (
            200,
            JSON,
            "{\"instances\":[{\"id\":\"ID\",\"service_name\":\"tick-0\",\"endpoint\":\
             {\"type\":\"tcp\",\"value\":\"TICK\"},\"ttl\":180,\"status\":\"UP\",\
             \"last_heartbeat\":\"TIME\"}]}\n",
        ),
    ),
    (
        ("registry", "GET", "/nothing", ""),
        (404, JSON, "{\"error\":\"there is no GET /nothing\"}\n"),
    ),
    (("registry", "HEAD", "/", ""), (404, JSON, "")),
    (
        ("registry", "POST", "/api/v1/instances", ""),
        (
            400,
            JSON,
            "{\"error\":\"the body is not a registration: EOF\"}\n",
        ),
    ),
    (
        ("registry", "POST", "/api/v1/instances", "{"),
        (
            400,
            JSON,
            "{\"error\":\"the body is not a registration: unexpected EOF\"}\n",
        ),
    ),
    (
        ("registry", "POST", "/api/v1/instances", "[]"),
        (
            400,
            JSON,
            "{\"error\":\"the body is not a registration: json: cannot unmarshal array into Go \
             value of type main.instance\"}\n",
        ),
    ),
    (
        ("registry", "POST", "/api/v1/instances", "{}"),
        (
            400,
            JSON,
            "{\"error\":\"service_name, endpoint.type and endpoint.value are required\"}\n",
        ),
    ),
    (
        ("registry", "POST", "/api/v1/instances", WEB),
        (
            201,
            JSON,
            "{\"id\":\"ID\",\"links\":{\"heartbeat\":\
             \"http://registry.apps.mock.test/api/v1/instances/ID/heartbeat\",\"self\":\
             \"http://registry.apps.mock.test/api/v1/instances/ID\"},\"ttl\":30}\n",
        ),
    ),
    (
        ("registry", "GET", "/api/v1/instances", ""),
        (
            200,
            JSON,
            "{\"instances\":[{\"id\":\"ID\",\"service_name\":\"tick-0\",\"endpoint\":\
             {\"type\":\"tcp\",\"value\":\"TICK\"},\"ttl\":180,\"status\":\"UP\",\
             \"last_heartbeat\":\"TIME\"},{\"id\":\"ID\",\"service_name\":\"web\",\"endpoint\":\
             {\"type\":\"tcp\",\"value\":\"10.0.0.1:80\"},\"ttl\":30,\"status\":\"STARTING\",\
             \"metadata\":{\"a\":[1]},\"tags\":[\"b\"],\"last_heartbeat\":\"TIME\"}]}\n",
        ),
    ),
    (
        ("registry", "PUT", "/api/v1/instances/WEB_ID/heartbeat", ""),
        (200, "", ""),
    ),
    (
        ("registry", "PUT", "/api/v1/instances/WEB_ID", ""),
        (
            404,
            JSON,
            "{\"error\":\"there is no PUT /api/v1/instances/ID\"}\n",
        ),
    ),
    (
        ("registry", "DELETE", "/api/v1/instances/WEB_ID", ""),
        (200, "", ""),
    ),
    (
        ("registry", "DELETE", "/api/v1/instances/WEB_ID", ""),
        (410, JSON, "{\"error\":\"no such instance\"}\n"),
    ),
    (
        ("registry", "PUT", "/api/v1/instances/WEB_ID/heartbeat", ""),
        (410, JSON, "{\"error\":\"no such instance\"}\n"),
    ),
    // proxy
    (
        ("proxy-0", "GET", "/", ""),
        (
            200,
            JSON,
            "{\"ListenAddresses\":[\"IP\"],\"Port\":NUMBER}\n",
        ),
    ),
    (("proxy-0", "GET", "/proxy/TICK", ""), (200, JSON, IDENTITY)),
    (
        ("proxy-0", "GET", "/proxy/TICK/a/b?c=d", ""),
        (200, JSON, IDENTITY),
    ),
    (
        ("proxy-0", "GET", "/proxy/REGISTRY/nothing", ""),
        (404, JSON, "{\"error\":\"there is no GET /nothing\"}\n"),
    ),
    (
        ("proxy-0", "GET", "/stats", ""),
        (200, JSON, "{\"latency\":[NUMBER,NUMBER,NUMBER]}\n"),
    ),
    (("proxy-0", "DELETE", "/stats", ""), (200, "", "")),
    (
        ("proxy-0", "GET", "/stats", ""),
        (200, JSON, "{\"latency\":[]}\n"),
    ),
    (
        ("proxy-0", "GET", "/proxy/CLOSED", ""),
        (
            500,
            TEXT,
            "request failed: Get \"http://CLOSED\": dial tcp CLOSED: connect: connection refused\n",
        ),
    ),
    (
        ("proxy-0", "GET", "/proxy/127.0.0.1:x/y", ""),
        (
            400,
            TEXT,
            "not a URL: parse \"http://127.0.0.1:x/y\": invalid port \":x\" after host\n",
        ),
    ),
    (
        ("proxy-0", "GET", "/proxy/127.0.0.1:99999", ""),
        (
            500,
            TEXT,
            "request failed: Get \"http://127.0.0.1:99999\": dial tcp: address 99999: invalid port\n",
        ),
    ),
    (
        ("proxy-0", "GET", "/proxy//a", ""),
        (
            500,
            TEXT,
            "request failed: Get \"http:///a\": http: no Host in request URL\n",
        ),
    ),
    (("proxy-0", "GET", "/proxy", ""), (404, TEXT, NOT_FOUND)),
    (("proxy-0", "GET", "/proxy/", ""), (404, TEXT, NOT_FOUND)),
    (
        ("proxy-0", "POST", "/proxy/TICK", ""),
        (404, TEXT, NOT_FOUND),
    ),
    (
        ("proxy-0", "GET", "/dig/127.0.0.1:80", ""),
        (200, JSON, "[\"127.0.0.1\"]\n"),
    ),
    (("proxy-0", "GET", "/dig", ""), (404, TEXT, NOT_FOUND)),
    (
        ("proxy-0", "GET", "/download/17", ""),
        (200, "application/octet-stream", "17 bytes"),
    ),
    (
        ("proxy-0", "GET", "/download/0", ""),
        (200, "application/octet-stream", "0 bytes"),
    ),
    (
        ("proxy-0", "GET", "/download/-1", ""),
        (
            400,
            TEXT,
            "the number of bytes is \"-1\": it must be from 0 to 1073741824\n",
        ),
    ),
    (
        ("proxy-0", "GET", "/download", ""),
        (
            400,
            TEXT,
            "the number of bytes is \"\": it must be from 0 to 1073741824\n",
        ),
    ),
    (
        ("proxy-0", "POST", "/upload", "hello"),
        (200, TEXT, "5 bytes received and read"),
    ),
    (
        ("proxy-0", "PUT", "/upload", ""),
        (200, TEXT, "0 bytes received and read"),
    ),
    (("proxy-0", "GET", "/upload", ""), (404, TEXT, NOT_FOUND)),
    (("proxy-0", "GET", "/echosourceip", ""), (200, TEXT, "IP")),
    (
        ("proxy-0", "PATCH", "/nothing/at/all", ""),
        (404, TEXT, NOT_FOUND),
    ),
];

/// The addresses of the apps.
struct AppUrls {
    /// The URL of each app, and the name in its requests.
    urls: Vec<(&'static str, String)>,
    tick: String,
    registry: String,
    closed: String,
}

impl AppUrls {
    async fn ask(&self, (app, method, path, body): AppCall) -> HttpResponse {
        let (_, url) = self.urls.iter().find(|(name, _)| *name == app).unwrap();
        let path = path
            .replace("TICK", &self.tick)
            .replace("REGISTRY", &self.registry)
            .replace("CLOSED", &self.closed)
            .replace("WEB_ID", WEB_ID);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let http = plain().no_proxy().build().unwrap();
        let request = http.request(method, format!("{url}{path}"));
        let request = request.header("host", format!("{app}.apps.mock.test"));
        send(request.body(body)).await
    }

    /// Sends all requests, and compares the responses with the table.
    async fn check(&self) {
        for (asked, (status, kind, body)) in CASES {
            let answer = self.ask(*asked).await;
            let found = (
                answer.status.as_u16(),
                answer.header("content-type"),
                self.comparable(&answer),
            );
            assert_eq!(found, (*status, *kind, (*body).to_owned()), "{asked:?}");
            let sniffs = if *kind == TEXT && *status >= 400 {
                "nosniff"
            } else {
                ""
            };
            assert_eq!(answer.header("x-content-type-options"), sniffs, "{asked:?}");
        }
    }

    /// The body of a response without the parts that differ between runs.
    fn comparable(&self, answer: &HttpResponse) -> String {
        if answer.header("content-type") == "application/octet-stream" {
            return format!("{} bytes", answer.header("content-length"));
        }
        let mut text = answer.text.clone();
        for (address, name) in [
            (&self.tick, "TICK"),
            (&self.registry, "REGISTRY"),
            (&self.closed, "CLOSED"),
        ] {
            text = text.replace(address.as_str(), name);
        }
        for (pattern, replacement) in [
            (r#"\b[0-9a-f]{16}\b"#, "ID"),
            (r#""last_heartbeat":"[^"]*Z""#, r#""last_heartbeat":"TIME""#),
            (
                r#""ListenAddresses":\[("[0-9a-f.:]+",?)+\]"#,
                r#""ListenAddresses":["IP"]"#,
            ),
            (r#""Port":[0-9]+"#, r#""Port":NUMBER"#),
            (r"^[0-9]+\.[0-9.]+[0-9]$", "IP"),
        ] {
            text = Regex::new(pattern)
                .unwrap()
                .replace_all(&text, replacement)
                .into_owned();
        }
        let latencies = Regex::new(r#"[0-9][0-9.e-]*"#).unwrap();
        match text.starts_with("{\"latency\"") {
            true => latencies.replace_all(&text, "NUMBER").into_owned(),
            false => text,
        }
    }
}

/// The apps as simulated by mock-capi.
async fn simulated() -> (Session<Front>, AppUrls) {
    let cf = Session::start(MockCapi::builder().front()).await;
    for name in ["registry", "tick-0", "proxy-0"] {
        let kind = name.split('-').next().unwrap();
        let space = cf.mock.org("o").space("s");
        let app = space
            .app(name)
            .env("GOPACKAGENAME", &format!("example-apps/{kind}"))
            .env("REGISTRY_BASE_URL", "http://registry.apps.mock.test")
            .env("REGISTRY_TTL_SECONDS", "180");
        app.route(name).unwrap().started();
    }
    let guid = |name: &str| cf.mock.app(name).unwrap().guid;
    let policy = |to: &str| {
        let ports = json!({"start": 8080, "end": 8080});
        let destination = json!({"id": guid(to), "protocol": "tcp", "ports": ports});
        json!({"source": {"id": guid("proxy-0")}, "destination": destination})
    };
    let policies = json!({"policies": [policy("tick-0"), policy("registry")]});
    let path = "/networking/v1/external/policies";
    assert_eq!(cf.post(path, policies).await.status, 200);
    let ip = async |name: &str| {
        let path = format!("/v3/apps/{}/processes/web/stats", guid(name));
        let stats = cf.get(&path).await.json();
        let ip = &stats["resources"][0]["instance_internal_ip"];
        ip.as_str().unwrap().to_owned()
    };
    let tick = ip("tick-0").await;
    let apps = AppUrls {
        urls: ["registry", "tick-0", "proxy-0"]
            .map(|name| (name, cf.mock.uri()))
            .to_vec(),
        closed: format!("{tick}:9"),
        tick: format!("{tick}:8080"),
        registry: format!("{}:8080", ip("registry").await),
    };
    (cf, apps)
}

/// A program that runs until this is dropped.
struct Program {
    child: Child,
    port: u16,
}

impl Drop for Program {
    fn drop(&mut self) {
        // The program may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Program {
    /// Builds the program of an app.
    fn build(app: &str, folder: &Path) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/apps");
        let program = folder.join(app);
        let output = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(source.join(app))
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod -buildvcs=false")
            .env("CGO_ENABLED", "0")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        program
    }

    /// Starts a program on a free port, and waits until it listens.
    fn start(program: &Path, environment: &[(&str, &str)]) -> Self {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let port = free_port();
            let child = Command::new(program)
                .env_clear()
                .envs(environment.iter().copied())
                .env("PORT", port.to_string())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut started = Self { child, port };
            // Another program may take the port first.
            while started.child.try_wait().unwrap().is_none() {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return started;
                }
                assert!(Instant::now() < deadline, "{program:?} does not listen");
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(Instant::now() < deadline, "{program:?} ends at once");
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

#[tokio::test]
async fn the_simulated_apps_respond_like_the_programs() {
    let (_cf, apps) = simulated().await;
    apps.check().await;
}

#[tokio::test]
#[cfg_attr(not(has_go), ignore = "needs Go on the PATH when the tests are built")]
async fn the_programs_respond_like_the_simulated_apps() {
    let folder = tempfile::tempdir().unwrap();
    let build = |app: &str| Program::build(app, folder.path());
    let registry = Program::start(&build("registry"), &[]);
    let url = format!("http://{}", registry.address());
    let tick = Program::start(
        &build("tick"),
        &[
            (
                "VCAP_APPLICATION",
                r#"{"application_name": "tick-0", "instance_index": 0}"#,
            ),
            ("CF_INSTANCE_INTERNAL_IP", "127.0.0.1"),
            ("REGISTRY_BASE_URL", &url),
            ("REGISTRY_TTL_SECONDS", "180"),
        ],
    );
    let proxy = Program::start(&build("proxy"), &[]);
    let apps = AppUrls {
        urls: [
            ("registry", &registry),
            ("tick-0", &tick),
            ("proxy-0", &proxy),
        ]
        .map(|(name, program)| (name, format!("http://{}", program.address())))
        .to_vec(),
        tick: tick.address(),
        registry: registry.address(),
        closed: format!("127.0.0.1:{}", free_port()),
    };
    let deadline = Instant::now() + TIMEOUT;
    while !apps
        .ask(("registry", "GET", "/", ""))
        .await
        .text
        .contains(":1")
    {
        assert!(Instant::now() < deadline, "the tick does not register");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    apps.check().await;
}

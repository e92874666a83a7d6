use std::fs;
use std::sync::{Arc, Mutex};

use mock_capi::{Dialect, Fault, MockCapi, RecordedRequest};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::capi::client::ConnectOptions;
use crate::capi::transport::{Credentials, Request};
use crate::events::{Event, EventSink, Events};

/// A package as the Cloud Controller shows it, with some fields.
fn package_json(fields: Value) -> Value {
    let mut package = json!({
        "guid": "PACKAGE",
        "relationships": {"app": {"data": {"guid": APP}}},
    });
    let (Value::Object(package_fields), Value::Object(fields)) = (&mut package, fields) else {
        panic!("a package is an object");
    };
    package_fields.extend(fields);
    package
}

/// The maximum number of files in one request.
const MAX_RESOURCES: usize = 5000;

const APP: &str = "d4cf0f68-d498-4f33-bc25-d6cd37d3cbe8";

/// Records the progress of uploads.
#[derive(Default)]
struct Sent(Mutex<Vec<(String, u64, u64)>>);

impl EventSink for Sent {
    fn handle(&self, event: &Event) {
        if let Event::UploadProgress { name, sent, total } = event {
            let mut events = self.0.lock().unwrap();
            events.push((name.clone(), *sent, *total));
        }
    }
}

/// A Cloud Controller with responses that a test sets.
struct Api {
    server: MockServer,
    client: Client,
    sent: Arc<Sent>,
}

impl Api {
    async fn new() -> Self {
        let server = MockServer::start().await;
        let root = json!({"links": {
            "uaa": {"href": server.uri()},
            "cloud_controller_v3": {"meta": {"version": "3.200.0"}}
        }});
        answer(&server, "GET", "/", 200, root).await;
        let login = json!({"access_token": "t", "expires_in": 600});
        answer(&server, "POST", "/oauth/token", 200, login).await;
        let credentials = Credentials::Client {
            id: "a".to_owned(),
            secret: "b".into(),
        };
        let sent = Arc::new(Sent::default());
        let events = Events::new([Arc::clone(&sent) as Arc<dyn EventSink>]);
        let target = ConnectOptions::new(server.uri(), credentials);
        let client = Client::connect(&target, events).await.unwrap();
        Self {
            server,
            client,
            sent,
        }
    }

    /// A Cloud Controller that creates packages, accepts any bits, and reports packages
    /// as ready.
    async fn with_packages() -> Self {
        let api = Self::new().await;
        let package = json!({"guid": "PACKAGE", "state": "AWAITING_UPLOAD"});
        api.answers("POST", "/v3/packages", 201, package).await;
        let uploaded = json!({"state": "PROCESSING_UPLOAD"});
        let upload = "/v3/packages/PACKAGE/upload";
        api.answers("POST", upload, 200, uploaded).await;
        let ready = package_json(json!({"state": "READY"}));
        api.answers("GET", "/v3/packages/PACKAGE", 200, ready).await;
        let gone = json!({});
        api.answers("DELETE", "/v3/packages/PACKAGE", 202, gone)
            .await;
        api
    }

    async fn answers(&self, method: &str, path: &str, status: u16, body: Value) {
        answer(&self.server, method, path, status, body).await;
    }

    /// Adds files with these contents to the pool.
    async fn knows(&self, contents: &[&[u8]]) {
        let resources: Vec<Value> = contents
            .iter()
            .map(|content| json!({"checksum": {"value": sha1_of(content)}}))
            .collect();
        let body = json!({"resources": resources});
        self.answers("POST", "/v3/resource_matches", 201, body)
            .await;
    }

    /// Method, path and body of all requests since the login.
    async fn requests(&self) -> Vec<(String, Vec<u8>)> {
        let requests = self.server.received_requests().await.unwrap();
        let requests = requests.into_iter().skip(2);
        requests
            .map(|it| (format!("{} {}", it.method, it.url.path()), it.body))
            .collect()
    }

    async fn endpoints(&self) -> Vec<String> {
        let requests = self.requests().await;
        requests.into_iter().map(|(endpoint, _)| endpoint).collect()
    }

    /// The parts of the last upload.
    async fn uploaded(&self) -> Uploaded {
        let requests = self.requests().await;
        let mut requests = requests.into_iter().rev();
        let upload = requests.find(|(endpoint, _)| endpoint.ends_with("/upload"));
        Uploaded::read(&upload.unwrap().1)
    }
}

async fn answer(server: &MockServer, verb: &str, at: &str, status: u16, body: Value) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(ResponseTemplate::new(status).set_body_json(body))
        .mount(server)
        .await;
}

/// The content of an upload.
#[derive(Debug)]
struct Uploaded {
    resources: Value,
    bits: Option<Vec<u8>>,
}

impl Uploaded {
    fn read(body: &[u8]) -> Self {
        let at = |needle: &[u8], from: usize| {
            let mut windows = body[from..].windows(needle.len());
            windows.position(|it| it == needle).map(|at| at + from)
        };
        let boundary = [b"\r\n", &body[..at(b"\r\n", 0).unwrap()]].concat();
        let part = |name: &str| {
            let start = at(format!("name=\"{name}\"").as_bytes(), 0)?;
            let start = at(b"\r\n\r\n", start)? + 4;
            Some(body[start..at(&boundary, start)?].to_vec())
        };
        let resources = part("resources");
        Self {
            resources: resources.map_or(Value::Null, |it| serde_json::from_slice(&it).unwrap()),
            bits: part("bits"),
        }
    }

    fn names(&self) -> Vec<String> {
        let bits = std::io::Cursor::new(self.bits.clone().unwrap());
        let zip = zip::ZipArchive::new(bits).unwrap();
        let names = zip.file_names();
        names.map(|name| name.unwrap().into_owned()).collect()
    }
}

fn sha1_of(content: &[u8]) -> String {
    use sha1::{Digest, Sha1};
    hex(&Sha1::digest(content))
}

fn bits_of(files: &[(&str, &[u8])]) -> (TempDir, Bits) {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let bits = Bits::read(dir.path()).unwrap();
    (dir, bits)
}

static LARGE: [u8; 100_000] = [1; 100_000];
static OTHER: [u8; 100_000] = [2; 100_000];

#[tokio::test]
async fn known_files_are_not_uploaded() {
    let api = Api::with_packages().await;
    api.knows(&[&LARGE]).await;
    let (_dir, bits) = bits_of(&[("a", &LARGE), ("b", &OTHER), ("c", b"small")]);
    let package = upload_bits(&api.client, "app", APP, &bits).await.unwrap();
    assert_eq!(package, "PACKAGE");
    assert_eq!(
        api.endpoints().await,
        [
            "POST /v3/resource_matches",
            "POST /v3/packages",
            "POST /v3/packages/PACKAGE/upload",
            "GET /v3/packages/PACKAGE",
        ]
    );
    let (_, asked) = &api.requests().await[0];
    let asked: Value = serde_json::from_slice(asked).unwrap();
    let resource = |path: &str, content: &[u8]| {
        json!({
            "path": path,
            "mode": "644",
            "checksum": {"value": sha1_of(content)},
            "size_in_bytes": 100_000,
        })
    };
    let (a, b) = (resource("a", &LARGE), resource("b", &OTHER));
    assert_eq!(asked, json!({"resources": [a, b]}));
    let uploaded = api.uploaded().await;
    assert_eq!(uploaded.resources, json!([a]));
    assert_eq!(uploaded.names(), ["b", "c"]);
}

#[tokio::test]
async fn no_bits_are_uploaded_if_all_files_are_known() {
    let api = Api::with_packages().await;
    api.knows(&[&LARGE]).await;
    let (_dir, bits) = bits_of(&[("a", &LARGE), ("same", &LARGE)]);
    upload_bits(&api.client, "app", APP, &bits).await.unwrap();
    let uploaded = api.uploaded().await;
    assert!(uploaded.bits.is_none());
    assert_eq!(uploaded.resources.as_array().unwrap().len(), 2);
    assert!(api.sent.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn small_files_are_not_looked_up() {
    let api = Api::with_packages().await;
    let (_dir, bits) = bits_of(&[("a", b"small")]);
    upload_bits(&api.client, "app", APP, &bits).await.unwrap();
    assert_eq!(api.endpoints().await[0], "POST /v3/packages");
    let uploaded = api.uploaded().await;
    assert_eq!(uploaded.resources, json!([]));
    assert_eq!(uploaded.names(), ["a"]);
}

#[rstest]
#[case::unknown(404)]
#[case::not_implemented(501)]
#[case::refused(422)]
#[case::unexpected_response(200)]
#[tokio::test]
async fn all_files_are_uploaded_if_the_pool_is_not_available(#[case] status: u16) {
    let api = Api::with_packages().await;
    let body = json!({});
    api.answers("POST", "/v3/resource_matches", status, body)
        .await;
    let (_dir, bits) = bits_of(&[("a", &LARGE)]);
    upload_bits(&api.client, "app", APP, &bits).await.unwrap();
    assert_eq!(api.uploaded().await.names(), ["a"]);
}

#[tokio::test]
async fn files_of_many_apps_are_looked_up_together_and_once() {
    let api = Api::with_packages().await;
    api.knows(&[&LARGE]).await;
    let (_one, one) = bits_of(&[("a", &LARGE), ("b", &OTHER)]);
    let (_two, two) = bits_of(&[("z", &LARGE)]);
    let known = match_resources(&api.client, &[&one, &two, &two])
        .await
        .unwrap();
    let requests = api.requests().await;
    assert_eq!(requests.len(), 1);
    let asked: Value = serde_json::from_slice(&requests[0].1).unwrap();
    assert_eq!(asked["resources"].as_array().unwrap().len(), 2);
    let payload = Payload::of(&two, &known).await.unwrap();
    payload.send(&api.client, "app", APP).await.unwrap();
    let uploaded = api.uploaded().await;
    assert_eq!(uploaded.resources[0]["path"], "z");
    assert!(uploaded.bits.is_none());
}

#[tokio::test]
async fn many_files_are_looked_up_in_several_requests() {
    let api = Api::with_packages().await;
    api.knows(&[]).await;
    let bits = Bits::of_resources(MAX_RESOURCES + 1);
    match_resources(&api.client, &[&bits]).await.unwrap();
    let lengths: Vec<usize> = api
        .requests()
        .await
        .iter()
        .map(|(_, body)| {
            let body: Value = serde_json::from_slice(body).unwrap();
            body["resources"].as_array().unwrap().len()
        })
        .collect();
    assert_eq!(lengths, [MAX_RESOURCES, 1]);
}

#[tokio::test]
async fn progress_is_reported_from_start_to_end() {
    let api = Api::with_packages().await;
    let (dir, _) = bits_of(&[("a", b"")]);
    let mut noise = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    })
    .take(1_000_000)
    .collect();
    fs::write(dir.path().join("a"), noise).unwrap();
    api.knows(&[]).await;
    let bits = Bits::read(dir.path()).unwrap();
    upload_bits(&api.client, "app", APP, &bits).await.unwrap();
    let length = api.uploaded().await.bits.unwrap().len() as u64;
    let events = api.sent.0.lock().unwrap();
    assert_eq!(events.first().unwrap(), &("app".to_owned(), 0, length));
    assert_eq!(events.last().unwrap(), &("app".to_owned(), length, length));
    assert!(events.is_sorted_by_key(|(_, sent, _)| *sent));
}

#[tokio::test]
async fn files_that_disappeared_from_the_pool_are_uploaded() {
    let api = Api::new().await;
    api.knows(&[&LARGE]).await;
    for (guid, state) in [("ONE", "FAILED"), ("TWO", "READY")] {
        Mock::given(method("POST"))
            .and(path("/v3/packages"))
            .respond_with(ResponseTemplate::new(201).set_body_json(json!({"guid": guid})))
            .up_to_n_times(1)
            .mount(&api.server)
            .await;
        let seen = package_json(json!({"state": state, "data": {"error": "checksum mismatch"}}));
        let package = format!("/v3/packages/{guid}");
        api.answers("POST", &format!("{package}/upload"), 200, json!({}))
            .await;
        api.answers("GET", &package, 200, seen).await;
        api.answers("DELETE", &package, 202, json!({})).await;
    }
    let (_dir, bits) = bits_of(&[("a", &LARGE)]);
    let package = upload_bits(&api.client, "app", APP, &bits).await.unwrap();
    assert_eq!(package, "TWO");
    assert_eq!(api.uploaded().await.names(), ["a"]);
    let endpoints = api.endpoints().await;
    assert!(endpoints.contains(&"DELETE /v3/packages/ONE".to_owned()));
}

#[tokio::test]
async fn a_failed_package_is_deleted_and_its_reason_reported() {
    let api = Api::new().await;
    let package = json!({"guid": "PACKAGE"});
    api.answers("POST", "/v3/packages", 201, package).await;
    api.answers("POST", "/v3/packages/PACKAGE/upload", 200, json!({}))
        .await;
    let failed =
        package_json(json!({"state": "FAILED", "data": {"error": "Invalid zip archive."}}));
    api.answers("GET", "/v3/packages/PACKAGE", 200, failed)
        .await;
    api.answers("DELETE", "/v3/packages/PACKAGE", 202, json!({}))
        .await;
    let (_dir, bits) = bits_of(&[("a", b"small")]);
    let error = upload_bits(&api.client, "app", APP, &bits)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "processing of the bits of app failed: Invalid zip archive."
    );
    let endpoints = api.endpoints().await;
    assert_eq!(endpoints.last().unwrap(), "DELETE /v3/packages/PACKAGE");
}

/// A fake foundation, and an app on it.
async fn foundation(dialect: Dialect, faults: Vec<Fault>) -> (MockCapi, Client, String) {
    let mock = MockCapi::builder().dialect(dialect).record_requests();
    let mock = mock.faults(faults).start().await.unwrap();
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let target = ConnectOptions::new(mock.uri(), credentials);
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let org = create(&client, "/v3/organizations", json!({"name": "o"})).await;
    let space = json!({"name": "s", "relationships": {"organization": {"data": {"guid": org}}}});
    let space = create(&client, "/v3/spaces", space).await;
    let app = json!({"name": "app", "relationships": {"space": {"data": {"guid": space}}}});
    let app = create(&client, "/v3/apps", app).await;
    mock.forget_requests();
    (mock, client, app)
}

async fn create(client: &Client, path: &str, body: Value) -> String {
    client
        .create(&Request::post(path).json(body))
        .await
        .unwrap()
}

fn uploads(requests: &[RecordedRequest]) -> usize {
    let requests = requests.iter();
    requests.filter(|it| it.path.ends_with("/upload")).count()
}

#[rstest]
#[case::server_errors(500, 3)]
#[case::not_worth_another_try(422, 1)]
#[tokio::test]
async fn an_upload_that_fails_leaves_no_package(#[case] status: u16, #[case] tries: usize) {
    let fault = Fault::answer("POST", "/v3/packages/:guid/upload", status);
    let (mock, client, app) = foundation(Dialect::V3, vec![fault]).await;
    let (_dir, bits) = bits_of(&[("a", b"small")]);
    let error = upload_bits(&client, "app", &app, &bits).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), status);
    assert_eq!(uploads(&mock.requests()), tries);
    assert_eq!(mock.state()["packages"], json!([]));
}

#[tokio::test]
async fn an_upload_is_retried_with_another_package() {
    let fault = Fault::answer("POST", "/v3/packages/:guid/upload", 502).times(1);
    let (mock, client, app) = foundation(Dialect::V3, vec![fault]).await;
    let (_dir, bits) = bits_of(&[("a", &LARGE)]);
    let package = upload_bits(&client, "app", &app, &bits).await.unwrap();
    assert_eq!(uploads(&mock.requests()), 2);
    let packages = &mock.state()["packages"];
    assert_eq!(packages.as_array().unwrap().len(), 1);
    assert_eq!(packages[0]["guid"], package.as_str());
    assert_eq!(packages[0]["state"], "READY");
}

#[tokio::test]
async fn a_droplet_is_uploaded_from_a_file() {
    let api = Api::new().await;
    api.answers("POST", "/v3/droplets", 201, json!({"guid": "DROPLET"}))
        .await;
    let job = format!("{}/v3/jobs/JOB", api.server.uri());
    Mock::given(method("POST"))
        .and(path("/v3/droplets/DROPLET/upload"))
        .respond_with(ResponseTemplate::new(202).insert_header("location", job.as_str()))
        .mount(&api.server)
        .await;
    Mock::given(path_regex("^/v3/jobs/.*"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"state": "COMPLETE"})))
        .mount(&api.server)
        .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.tgz");
    fs::write(&file, "droplet").unwrap();
    let droplet = upload_droplet(&api.client, "app", APP, &file)
        .await
        .unwrap();
    assert_eq!(droplet, "DROPLET");
    let requests = api.requests().await;
    let (_, body) = &requests[1];
    assert!(String::from_utf8_lossy(body).contains("filename=\"app.tgz\""));
    assert_eq!(api.uploaded().await.bits.unwrap(), b"droplet");
    assert_eq!(requests[2].0, "GET /v3/jobs/JOB");
}

#[tokio::test]
async fn a_missing_droplet_file_is_an_error() {
    let api = Api::new().await;
    api.answers("POST", "/v3/droplets", 201, json!({"guid": "DROPLET"}))
        .await;
    let missing = Path::new("missing.tgz");
    let error = upload_droplet(&api.client, "app", APP, missing)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("reading missing.tgz failed: "), "{error}");
}

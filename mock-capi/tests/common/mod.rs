//! A small client for the mock, and functions that create resources.

// Each test file uses a part of this. Helpers fail like tests.
#![allow(dead_code, clippy::panic, clippy::unwrap_used)]

pub(crate) mod broker;
pub(crate) mod scale;

use std::io::{Cursor, Write};

use mock_capi::{Adapter, MockCapi, MockCapiBuilder, Wiremock};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A mock and a user who is logged in to it.
pub(crate) struct Session<A: Adapter = Wiremock> {
    pub(crate) mock: MockCapi<A>,
    pub(crate) http: reqwest::Client,
    pub(crate) token: String,
}

/// A client for requests to this machine. It does not read the system's certificates,
/// because that takes longer than most tests.
pub(crate) fn http() -> reqwest::Client {
    plain().build().unwrap()
}

/// A builder for the client that [`http`] returns.
pub(crate) fn plain() -> reqwest::ClientBuilder {
    reqwest::Client::builder().tls_certs_only([])
}

/// A response with its body.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl HttpResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(crate) fn guid(&self) -> String {
        self.json()["guid"]
            .as_str()
            .unwrap_or_else(|| panic!("no guid: {self:?}"))
            .to_owned()
    }

    /// The GUID in a v2 response.
    pub(crate) fn v2_guid(&self) -> String {
        let json = self.json();
        json["metadata"]["guid"]
            .as_str()
            .unwrap_or_else(|| panic!("no guid: {self:?}"))
            .to_owned()
    }

    /// The code and the detail of the only error.
    pub(crate) fn error(&self) -> (u64, String) {
        let json = self.json();
        let error = &json["errors"][0];
        (
            error["code"].as_u64().unwrap_or_default(),
            error["detail"].as_str().unwrap_or_default().to_owned(),
        )
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Session {
    pub(crate) async fn v3() -> Self {
        Self::start(MockCapi::builder()).await
    }

    pub(crate) async fn of_2017() -> Self {
        Self::start(MockCapi::builder().dialect(mock_capi::Dialect::Documented2017)).await
    }
}

impl<A: Adapter> Session<A> {
    pub(crate) async fn start(builder: MockCapiBuilder<A>) -> Self {
        let mock = builder.start().await.unwrap();
        let http = http();
        let mut session = Self {
            mock,
            http,
            token: String::new(),
        };
        session.log_in_as("admin", "admin").await;
        session
    }

    pub(crate) async fn log_in(&self, user: &str, password: &str) -> HttpResponse {
        self.token(&[
            ("grant_type", "password"),
            ("username", user),
            ("password", password),
        ])
        .await
    }

    /// A session of another user of the mock.
    pub(crate) async fn log_in_as(&mut self, user: &str, password: &str) {
        let answer = self.log_in(user, password).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.token = answer.json()["access_token"].as_str().unwrap().to_owned();
    }

    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> HttpResponse {
        let url = format!("{}/uaa/oauth/token", self.mock.uri());
        send(self.http.post(url).basic_auth("cf", Some("")).form(form)).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.mock.uri())
        };
        self.http.request(method, url).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> HttpResponse {
        send(self.request(Method::GET, path)).await
    }

    /// Allows Docker images, which are not allowed by default.
    pub(crate) async fn allow_docker(&self) {
        let on = json!({"enabled": true});
        let answer = self.patch("/v3/feature_flags/diego_docker", on).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> HttpResponse {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> HttpResponse {
        send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> HttpResponse {
        send(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> HttpResponse {
        send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn create_org(&self, name: &str) -> String {
        self.post("/v3/organizations", json!({"name": name}))
            .await
            .guid()
    }

    pub(crate) async fn create_space(&self, org: &str, name: &str) -> String {
        let body =
            json!({"name": name, "relationships": {"organization": {"data": {"guid": org}}}});
        self.post("/v3/spaces", body).await.guid()
    }

    /// Creates an org with a space.
    pub(crate) async fn space(&self) -> (String, String) {
        let org = self.create_org("org").await;
        let space = self.create_space(&org, "space").await;
        (org, space)
    }

    pub(crate) async fn create_app(&self, space: &str, name: &str) -> String {
        self.post("/v3/apps", new_app(space, name)).await.guid()
    }

    /// Creates a package of one file with this content.
    pub(crate) async fn package(&self, app: &str, content: &[u8]) -> String {
        let package = self.post("/v3/packages", new_package(app)).await.guid();
        let answer = self.upload(&package, content).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        package
    }

    /// Uploads an archive of one file with this content.
    pub(crate) async fn upload(&self, package: &str, content: &[u8]) -> HttpResponse {
        let part = reqwest::multipart::Part::bytes(archive_of(content)).file_name("bits.zip");
        let form = reqwest::multipart::Form::new()
            .text("resources", "[]")
            .part("bits", part);
        let path = format!("/v3/packages/{package}/upload");
        send(self.request(Method::POST, &path).multipart(form)).await
    }

    /// Stages a new package of an app, and returns the droplet.
    pub(crate) async fn stage(&self, app: &str) -> String {
        let package = self.package(app, b"file").await;
        let build = self
            .post("/v3/builds", json!({"package": {"guid": package}}))
            .await
            .guid();
        let build = self.get(&format!("/v3/builds/{build}")).await.json();
        build["droplet"]["guid"]
            .as_str()
            .unwrap_or_else(|| panic!("{build}"))
            .to_owned()
    }

    /// Creates an app with a droplet, which can be started.
    pub(crate) async fn staged_app(&self, space: &str, name: &str) -> String {
        let app = self.create_app(space, name).await;
        let droplet = self.stage(&app).await;
        let answer = self.assign(&app, &droplet).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        app
    }

    pub(crate) async fn assign(&self, app: &str, droplet: &str) -> HttpResponse {
        let path = format!("/v3/apps/{app}/relationships/current_droplet");
        self.patch(&path, json!({"data": {"guid": droplet}})).await
    }

    pub(crate) async fn act(&self, app: &str, action: &str) -> HttpResponse {
        self.post(&format!("/v3/apps/{app}/actions/{action}"), json!({}))
            .await
    }

    pub(crate) async fn scale(&self, app: &str, body: Value) -> HttpResponse {
        self.post(&format!("/v3/apps/{app}/processes/web/actions/scale"), body)
            .await
    }

    /// The states of the web process's instances.
    pub(crate) async fn instance_states(&self, app: &str) -> Vec<String> {
        let stats = self
            .get(&format!("/v3/apps/{app}/processes/web/stats"))
            .await
            .json();
        let resources = stats["resources"].as_array().cloned().unwrap_or_default();
        resources
            .iter()
            .map(|r| r["state"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn post_yaml(&self, path: &str, manifest: impl ToString) -> HttpResponse {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-yaml");
        send(request.body(manifest.to_string())).await
    }

    /// Applies a manifest to a space.
    pub(crate) async fn apply(&self, space: &str, manifest: impl ToString) -> HttpResponse {
        let path = format!("/v3/spaces/{space}/actions/apply_manifest");
        self.post_yaml(&path, manifest).await
    }

    /// Applies a manifest, waits until the job has ended, and returns it.
    pub(crate) async fn applied(&self, space: &str, manifest: impl ToString) -> Value {
        let answer = self.apply(space, manifest).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.get(answer.header("location")).await.json()
    }

    /// The GUID of an app.
    pub(crate) async fn find_app(&self, name: &str) -> String {
        let apps = self.get(&format!("/v3/apps?names={name}")).await.json();
        apps["resources"][0]["guid"]
            .as_str()
            .unwrap_or_else(|| panic!("{apps}"))
            .to_owned()
    }

    pub(crate) async fn default_domain(&self, org: &str) -> String {
        self.get(&format!("/v3/organizations/{org}/domains/default"))
            .await
            .guid()
    }

    /// The names in a list, in order.
    pub(crate) async fn names(&self, path: &str) -> Vec<String> {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        names(&answer.json())
    }
}

pub(crate) fn names(list: &Value) -> Vec<String> {
    let resources = list["resources"]
        .as_array()
        .unwrap_or_else(|| panic!("{list}"));
    resources
        .iter()
        .map(|r| r["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

pub(crate) fn new_app(space: &str, name: &str) -> Value {
    json!({"name": name, "relationships": {"space": {"data": {"guid": space}}}})
}

/// The checksum in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An uncompressed zip archive of one file with this content.
pub(crate) fn archive_of(content: &[u8]) -> Vec<u8> {
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("file", stored).unwrap();
    zip.write_all(content).unwrap();
    zip.finish().unwrap().into_inner()
}

pub(crate) fn new_package(app: &str) -> Value {
    json!({"type": "bits", "relationships": {"app": {"data": {"guid": app}}}})
}

pub(crate) fn new_route(space: &str, domain: &str, host: &str) -> Value {
    json!({
        "host": host,
        "relationships": {
            "space": {"data": {"guid": space}},
            "domain": {"data": {"guid": domain}},
        },
    })
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> HttpResponse {
    let response = request.send().await.unwrap();
    HttpResponse {
        status: response.status(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

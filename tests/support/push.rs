//! A foundation, and a folder with a manifest and bits, for tests of `push`.

use mock_capi::{MockCapi, MockCapiBuilder};
use serde_json::{Value, json};

use super::command::{CommandOutput, Place, cf_pusher, stable};
use super::curl;

/// A manifest of one app.
pub(crate) const DORA: &str = "applications:\n- name: dora\n  path: bits\n  memory: 64M\n";

/// A foundation with an org and a space, and a folder with bits and a manifest.
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

    pub(crate) async fn web(&self, name: &str) -> Value {
        let guid = self.app(name).await["guid"].clone();
        let path = format!("/v3/apps/{}/processes/web", guid.as_str().unwrap());
        self.curl("GET", &path, Value::Null).await
    }

    pub(crate) fn manifest(&self, text: &str) {
        self.place.file("manifest.yml", text);
    }

    /// Runs `push` with these flags in the manifest's folder.
    pub(crate) fn push(&self, flags: &[&str]) -> CommandOutput {
        self.push_with(flags, &[])
    }

    pub(crate) fn push_with(&self, flags: &[&str], environment: &[(&str, &str)]) -> CommandOutput {
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
        self.place.run(command, &self.mock)
    }

    /// Runs `push` and requires success.
    pub(crate) fn push_successfully(&self, flags: &[&str]) -> CommandOutput {
        let output = self.push(flags);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        output
    }

    /// The method and the path of each request, with GUIDs as `:guid`, without logins and
    /// logs.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.mock.requests();
        self.mock.forget_requests();
        requests
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .map(|line| stable(&line))
            .collect()
    }

    pub(crate) fn bodies(&self, path: &str) -> Vec<Value> {
        let requests = self.mock.requests();
        let asked = requests
            .iter()
            .filter(|it| it.method == "POST" && it.path == path);
        asked.filter_map(mock_capi::RecordedRequest::json).collect()
    }
}

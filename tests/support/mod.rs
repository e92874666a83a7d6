//! A fake Cloud Controller with a client, for the tests in this folder.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod command;
pub(crate) mod declared;
pub(crate) mod disturbance;
pub(crate) mod push;
#[cfg(unix)]
pub(crate) mod terminal;
pub(crate) mod world;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cf_pusher::{
    Approval, Client, ConnectOptions, Converger, Counts, Credentials, Desired, Drift, EventSink,
    Events, Outcome, Plan, ScalingTest, Sources,
};
use mock_capi::{CloudController, Dialect, MockCapi, MockCapiBuilder, RecordedRequest};
use serde_json::Value;

/// The desired state of `fixtures/configs/scale-test.json`.
pub(crate) const SCALE_TEST: &str = include_str!("../../fixtures/configs/scale-test.json");

/// Three proxy apps, three tick apps and the registry.
pub(crate) const SMALL: &str = r#"{
    "proxy_applications": 3, "proxy_instances": 2,
    "test_applications": 3, "test_app_instances": 2,
    "concurrency": 20, "asg_size": 5
}"#;

/// Three ticks and the registry, which are two prototypes and two clones, for tests that
/// run often.
pub(crate) const FEW: &str = r#"{
    "proxy_applications": 0, "test_applications": 3, "test_app_instances": 2,
    "concurrency": 20, "asg_size": 2
}"#;

/// How apps are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workflow {
    Manifest,
    PerApp,
    Documented2017,
}

impl Workflow {
    /// A foundation that supports this workflow.
    pub(crate) fn foundation(self) -> MockCapiBuilder {
        MockCapi::builder().dialect(match self {
            Self::Manifest | Self::PerApp => Dialect::V3,
            Self::Documented2017 => Dialect::Documented2017,
        })
    }

    pub(crate) fn converger(
        self,
        client: &Client,
        config: &ScalingTest,
        sources: &Sources,
    ) -> Converger {
        self.of(client, desired(config, sources))
    }

    pub(crate) fn of(self, client: &Client, desired: Desired) -> Converger {
        let converger = Converger::new(client.clone(), desired);
        match self {
            Self::PerApp => converger.per_app(),
            Self::Manifest | Self::Documented2017 => converger,
        }
    }
}

pub(crate) struct Fixture {
    pub(crate) mock: MockCapi,
    pub(crate) client: Client,
    pub(crate) counts: Arc<Counts>,
    workflow: Workflow,
}

impl Fixture {
    /// A fresh foundation.
    pub(crate) async fn new(workflow: Workflow) -> Self {
        Self::with(workflow, workflow.foundation()).await
    }

    /// A fresh foundation with other settings.
    pub(crate) async fn with(workflow: Workflow, builder: MockCapiBuilder) -> Self {
        let mock = builder.record_requests().start().await.unwrap();
        let counts = Arc::new(Counts::default());
        let client = connect(&mock, [Arc::clone(&counts) as Arc<dyn EventSink>]).await;
        Self {
            mock,
            client,
            counts,
            workflow,
        }
    }

    pub(crate) async fn converge(&self, config: &str) -> Outcome {
        self.converge_apps(config, None).await
    }

    pub(crate) async fn converge_apps(&self, config: &str, apps_dir: Option<&Path>) -> Outcome {
        let (config, sources) = read(config, apps_dir);
        let converger = self.workflow.converger(&self.client, &config, &sources);
        converger.converge(Approval::All).await.unwrap()
    }

    /// Converges, checks that there is no drift, and returns the number of changed apps.
    pub(crate) async fn converge_up_to_date(&self, config: &str) -> usize {
        let outcome = self.converge(config).await;
        assert!(outcome.is_converged(), "{outcome:#?}");
        assert_eq!(outcome.failed(), 0);
        outcome.changed()
    }

    pub(crate) async fn plan(&self, config: &str) -> Plan {
        let (config, sources) = read(config, None);
        let converger = self.workflow.converger(&self.client, &config, &sources);
        converger.plan().await.unwrap()
    }

    pub(crate) async fn verify(&self, config: &str) -> Vec<Drift> {
        let (config, sources) = read(config, None);
        let converger = self.workflow.converger(&self.client, &config, &sources);
        converger.verify().await.unwrap()
    }

    /// The requests since the last call, without reads and logins.
    pub(crate) fn writes(&self) -> Vec<RecordedRequest> {
        let requests = self.mock.requests();
        self.mock.forget_requests();
        requests
            .into_iter()
            .filter(|request| request.method != "GET")
            .filter(|request| !request.path.ends_with("/oauth/token"))
            .filter(|request| !request.path.ends_with("/manifest_diff"))
            .collect()
    }

    /// Sends a request as another user.
    pub(crate) async fn curl(&self, method: &str, path: &str, body: Value) -> Value {
        curl(&self.mock, method, path, body).await
    }

    /// The GUID of the app with this name.
    pub(crate) async fn app(&self, name: &str) -> String {
        let list = self
            .curl("GET", &format!("/v3/apps?names={name}"), Value::Null)
            .await;
        list["resources"][0]["guid"].as_str().unwrap().to_owned()
    }
}

/// A client for requests to this machine. It does not read the system's certificates,
/// because that takes longer than most tests.
pub(crate) fn http() -> &'static reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        // A connection ends with the test that opened it.
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0);
        builder.tls_certs_only([]).build().unwrap()
    });
    &CLIENT
}

/// Sends a request as the admin and requires success.
pub(crate) async fn curl(mock: &CloudController, method: &str, path: &str, body: Value) -> Value {
    let url = format!("{}{path}", mock.uri());
    let request = http().request(method.parse().unwrap(), url);
    let request = request.bearer_auth(mock.token("admin").unwrap());
    let request = match body {
        Value::Null => request,
        body => request.json(&body),
    };
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    answer.json().await.unwrap_or(Value::Null)
}

/// The UAA's response to the admin's login.
pub(crate) async fn login(mock: &CloudController) -> Value {
    let form = [
        ("grant_type", "password"),
        ("username", "admin"),
        ("password", "admin"),
    ];
    let login = http()
        .post(format!("{}/oauth/token", mock.uri()))
        .basic_auth("cf", Some(""))
        .form(&form);
    login.send().await.unwrap().json().await.unwrap()
}

pub(crate) fn read(config: &str, apps_dir: Option<&Path>) -> (ScalingTest, Sources) {
    let config = ScalingTest::parse(config, "test").unwrap();
    let sources = Sources::read(&config, apps_dir).unwrap();
    (config, sources)
}

/// The desired state of a configuration.
pub(crate) fn desired(config: &ScalingTest, sources: &Sources) -> Desired {
    config.desired(sources).unwrap()
}

/// The admin's credentials, with this password.
pub(crate) fn admin(password: &str) -> Credentials {
    Credentials::Password {
        username: "admin".to_owned(),
        password: password.into(),
    }
}

pub(crate) fn target(mock: &CloudController) -> ConnectOptions {
    ConnectOptions::new(mock.uri(), admin("admin"))
        .concurrency(20)
        .timeout(Duration::from_secs(60))
}

pub(crate) async fn connect(
    mock: &CloudController,
    sinks: impl IntoIterator<Item = Arc<dyn EventSink>>,
) -> Client {
    let events = Events::new(sinks);
    Client::connect(&target(mock), events).await.unwrap()
}

/// A copy of the bundled apps, which a test can change.
pub(crate) fn apps_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/apps");
    for group in ["registry", "tick", "proxy"] {
        std::fs::create_dir(dir.path().join(group)).unwrap();
        for file in std::fs::read_dir(bundled.join(group)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.path().join(group).join(file.file_name())).unwrap();
        }
    }
    dir
}

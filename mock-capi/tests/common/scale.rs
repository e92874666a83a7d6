//! A foundation with the apps of a scaling test, which answer requests.

use mock_capi::{Fault, Front, MockCapi, MockCapiBuilder};
use reqwest::Method;
use serde_json::{Value, json};

use super::{HttpResponse, Session, send};

pub(crate) const DOMAIN: &str = "apps.mock.test";

/// A foundation with the apps of a scaling test.
pub(crate) struct Scale {
    pub(crate) cf: Session<Front>,
}

impl Scale {
    pub(crate) async fn start(builder: MockCapiBuilder) -> Self {
        let cf = Session::start(builder.front()).await;
        let scale = Self { cf };
        scale.push("registry", 1, &[]);
        scale.push("proxy-0", 2, &[]);
        scale.push("tick-0", 2, &[]);
        scale.push("tick-1", 1, &[]);
        scale
    }

    pub(crate) async fn new() -> Self {
        Self::start(MockCapi::builder()).await
    }

    pub(crate) fn push(&self, name: &str, instances: u32, more: &[(&str, &str)]) {
        let kind = name.split('-').next().unwrap();
        let space = self.cf.mock.org("o").space("s");
        let mut app = space
            .app(name)
            .instances(instances)
            .env("GOPACKAGENAME", &format!("example-apps/{kind}"));
        if kind == "tick" {
            app = app
                .env("REGISTRY_BASE_URL", &format!("http://registry.{DOMAIN}"))
                .env("REGISTRY_TTL_SECONDS", "180")
                .env("START_PORT", "7000")
                .env("LISTEN_PORTS", "2");
        }
        for (name, value) in more {
            app = app.env(name, value);
        }
        app.route(name).unwrap().started();
    }

    pub(crate) async fn ask(&self, method: Method, host: &str, path: &str) -> HttpResponse {
        let url = format!("{}{path}", self.cf.mock.uri());
        let request = self.cf.http.request(method, url);
        send(request.header("host", format!("{host}.{DOMAIN}"))).await
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> HttpResponse {
        self.ask(Method::GET, host, path).await
    }

    /// The names and addresses in the registry's list.
    pub(crate) async fn registered(&self) -> Vec<(String, String)> {
        let listed = self.get("registry", "/api/v1/instances").await;
        assert_eq!(listed.status, 200, "{listed:?}");
        let listed = listed.json();
        let instances = listed["instances"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        instances
            .map(|it| (text(&it["service_name"]), text(&it["endpoint"]["value"])))
            .collect()
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        let all = self.registered().await.into_iter();
        all.map(|(name, _)| name).collect()
    }

    pub(crate) fn app(&self, name: &str) -> String {
        self.cf.mock.app(name).unwrap().guid
    }

    /// The address of an instance, without a port.
    pub(crate) async fn ip(&self, name: &str, index: usize) -> String {
        let path = format!("/v3/apps/{}/processes/web/stats", self.app(name));
        let stats = self.cf.get(&path).await.json();
        let ip = &stats["resources"][index]["instance_internal_ip"];
        ip.as_str().unwrap().to_owned()
    }

    pub(crate) async fn allow(&self, source: &str, destination: &str, ports: (u16, u16)) {
        let policy = json!({"policies": [{
            "source": {"id": self.app(source)},
            "destination": {
                "id": self.app(destination),
                "protocol": "tcp",
                "ports": {"start": ports.0, "end": ports.1},
            },
        }]});
        let path = "/networking/v1/external/policies";
        let answer = self.cf.post(path, policy).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Lets a proxy connect to an address, and returns its response.
    pub(crate) async fn connect(&self, address: &str) -> (u16, String) {
        let answer = self.get("proxy-0", &format!("/proxy/{address}")).await;
        (answer.status.as_u16(), answer.text)
    }

    pub(crate) fn faults(&self, faults: Vec<Fault>) {
        self.cf.mock.set_faults(faults).unwrap();
    }
}

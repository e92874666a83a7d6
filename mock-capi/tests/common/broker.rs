//! A service broker for tests. It carries out requests at once unless the test sets
//! another response.

// Each test file uses a part of this. Helpers fail like tests.
#![allow(dead_code, clippy::panic, clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mock_capi::Adapter;
use mock_capi::wiremock::matchers::any;
use mock_capi::wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};
use serde_json::{Value, json};

use super::{HttpResponse, Session};

/// A response for requests with a method and a part of the path.
struct ScriptedResponse {
    method: &'static str,
    part: &'static str,
    answer: ResponseTemplate,
}

#[derive(Clone, Default)]
struct BrokerResponder(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    catalog: Value,
    scripted: Vec<ScriptedResponse>,
    kept: HashMap<String, Value>,
}

impl Respond for BrokerResponder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        let (method, path) = (request.method.as_str(), request.url.path().to_owned());
        let mut scripted = state.scripted.iter();
        let wanted = scripted.position(|it| it.method == method && path.contains(it.part));
        if let Some(wanted) = wanted {
            return state.scripted.remove(wanted).answer;
        }
        let answer = |status: u16, body: Value| ResponseTemplate::new(status).set_body_json(body);
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match method {
            "GET" if path == "/v2/catalog" => answer(200, state.catalog.clone()),
            "GET" if path.ends_with("/last_operation") => {
                answer(200, json!({"state": "succeeded"}))
            }
            "GET" => answer(
                200,
                state.kept.get(&path).cloned().unwrap_or_else(|| json!({})),
            ),
            "DELETE" => {
                state.kept.remove(&path);
                answer(200, json!({}))
            }
            _ => {
                let parameters = body.get("parameters").cloned().unwrap_or(json!({}));
                let mut made = json!({"parameters": parameters});
                if path.contains("/service_bindings/") {
                    made["credentials"] = json!({"password": "of the broker"});
                    if body["bind_resource"]["route"].is_string() {
                        made["route_service_url"] = json!("https://proxy.example.com");
                    }
                } else {
                    made["dashboard_url"] = json!("https://dashboard.example.com");
                    made["metadata"] = json!({"labels": {"a": "b"}, "attributes": {"c": "d"}});
                }
                state.kept.insert(path, made.clone());
                answer(if method == "PUT" { 201 } else { 200 }, made)
            }
        }
    }
}

/// A broker with the offerings `db`, which can be shared, and `proxy`, which is for
/// routes.
pub(crate) struct Broker {
    server: MockServer,
    desk: BrokerResponder,
}

pub(crate) fn plan(id: &str, name: &str) -> Value {
    json!({
        "id": id,
        "name": name,
        "description": "a plan",
        "free": true,
        "metadata": {"custom-key": "custom-value"},
        "maintenance_info": {"version": "1.0.0", "description": "the first"},
        "schemas": {"service_instance": {"create": {"parameters": {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "type": "object",
            "properties": {},
        }}}},
    })
}

fn offering(name: &str, plans: &[Value]) -> Value {
    json!({
        "id": format!("{name}-id"),
        "name": name,
        "description": "a service",
        "bindable": true,
        "plan_updateable": true,
        "instances_retrievable": true,
        "bindings_retrievable": true,
        "tags": ["of the broker"],
        "metadata": {"shareable": true, "documentationUrl": "https://docs.example.com"},
        "plans": plans,
    })
}

pub(crate) fn catalog() -> Value {
    let mut proxy = offering("proxy", &[plan("proxy-plan", "standard")]);
    proxy["requires"] = json!(["route_forwarding"]);
    let db = offering(
        "db",
        &[plan("small-id", "small"), plan("large-id", "large")],
    );
    json!({"services": [db, proxy]})
}

impl Broker {
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let desk = BrokerResponder::default();
        desk.0.lock().unwrap().catalog = catalog();
        Mock::given(any())
            .respond_with(desk.clone())
            .mount(&server)
            .await;
        Self { server, desk }
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    pub(crate) fn set_catalog(&self, catalog: Value) {
        self.desk.0.lock().unwrap().catalog = catalog;
    }

    /// Sets the response to the next request with this method and this part of the path.
    pub(crate) fn answer(
        &self,
        method: &'static str,
        part: &'static str,
        status: u16,
        body: Value,
    ) {
        self.answer_with(
            method,
            part,
            ResponseTemplate::new(status).set_body_json(body),
        );
    }

    pub(crate) fn answer_with(
        &self,
        method: &'static str,
        part: &'static str,
        answer: ResponseTemplate,
    ) {
        let mut state = self.desk.0.lock().unwrap();
        state.scripted.push(ScriptedResponse {
            method,
            part,
            answer,
        });
    }

    pub(crate) async fn received(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }

    /// The request that registers the broker.
    pub(crate) fn registration(&self, name: &str) -> Value {
        json!({
            "name": name,
            "url": self.url(),
            "authentication": {
                "type": "basic",
                "credentials": {"username": "user", "password": "secret"},
            },
        })
    }

    /// Registers the broker with a mock, and makes its plans public.
    pub(crate) async fn register<A: Adapter>(&self, cf: &Session<A>) {
        let created = cf
            .post("/v3/service_brokers", self.registration("broker"))
            .await;
        assert_eq!(finish(cf, &created).await["state"], "COMPLETE");
        for guid in guids(&cf.get("/v3/service_plans").await.json()) {
            let path = format!("/v3/service_plans/{guid}/visibility");
            let patched = cf.patch(&path, json!({"type": "public"})).await;
            assert_eq!(patched.status, 200, "{patched:?}");
        }
    }
}

fn guids(list: &Value) -> Vec<String> {
    let resources = list["resources"].as_array().unwrap().iter();
    resources
        .map(|it| it["guid"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until the job of a response has ended, and returns it.
pub(crate) async fn finish<A: Adapter>(cf: &Session<A>, answer: &HttpResponse) -> Value {
    assert_eq!(answer.status, 202, "{answer:?}");
    let location = answer.header("location").to_owned();
    let path = location.strip_prefix(&cf.mock.uri()).unwrap().to_owned();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let job = cf.get(&path).await.json();
        if job["state"] == "COMPLETE" || job["state"] == "FAILED" {
            return job;
        }
        assert!(Instant::now() < deadline, "{job}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The path of a job's resource.
pub(crate) fn path_of<A: Adapter>(cf: &Session<A>, job: &Value) -> String {
    let links = job["links"].as_object().unwrap();
    let link = links.iter().find(|(name, _)| *name != "self");
    let (_, link) = link.unwrap_or_else(|| panic!("no resource: {job}"));
    let href = link["href"].as_str().unwrap();
    href.strip_prefix(&cf.mock.uri()).unwrap().to_owned()
}

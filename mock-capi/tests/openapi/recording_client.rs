//! A client that records every response together with its operation.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mock_capi::{MockCapi, Operation};
use reqwest::multipart::Form;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::Named;
use crate::common::broker::path_of;
use crate::common::{HttpResponse, Session, send};

/// Operations whose requests may have unknown fields, because the Cloud Controller
/// ignores them.
const IGNORING_UNKNOWN_FIELDS: &[&str] = &[
    "POST /v3/domains/:guid/relationships/shared_organizations",
    "PATCH /v3/apps/:guid/relationships/current_droplet",
    "POST /v3/packages?source_guid=",
    "POST /v3/resource_matches",
    // These respond with 400.
    "PATCH /v3/service_plans/:guid/visibility",
    "POST /v3/service_plans/:guid/visibility",
    "POST /v3/stacks",
];

/// A request and its response.
pub(crate) struct Exchange {
    pub(crate) operation: Operation,
    pub(crate) asked: String,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) has_location: bool,
    pub(crate) text: String,
}

impl Exchange {
    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.text).ok()
    }

    fn is_list(&self) -> bool {
        self.json()
            .is_some_and(|body| body.get("pagination").is_some())
    }
}

/// A session that records the responses.
pub(crate) struct RecordingClient {
    pub(crate) cf: Session,
    /// The token of a user without any role.
    outsider: String,
    operations: Vec<Operation>,
    exchanges: RefCell<Vec<Exchange>>,
}

impl RecordingClient {
    pub(crate) async fn start() -> Self {
        let mut operations = Operation::all();
        // Paths with literal segments must precede those with parameters.
        operations.sort_by_key(|operation| operation.path.matches(':').count());
        // Tasks that have ended cannot be canceled.
        let builder = MockCapi::builder().task_time(Duration::from_secs(60));
        let cf = Session::start(builder.add_user("outsider", "secret")).await;
        let outsider = cf.log_in("outsider", "secret").await.json();
        Self {
            cf,
            outsider: outsider["access_token"].as_str().unwrap().to_owned(),
            operations,
            exchanges: RefCell::default(),
        }
    }

    pub(crate) fn into_exchanges(self) -> Vec<Exchange> {
        self.exchanges.into_inner()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.succeed(Method::GET, path, None).await.json()
    }

    /// Gets a response in several forms, with several queries.
    pub(crate) async fn get_all(&self, path: &str, queries: &[&str]) {
        for query in queries {
            self.get(&format!("{path}?{query}")).await;
        }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.succeed(Method::POST, path, Some(body)).await.json()
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Value {
        self.succeed(Method::PATCH, path, Some(body)).await.json()
    }

    pub(crate) async fn put(&self, path: &str) -> Value {
        self.succeed(Method::PUT, path, None).await.json()
    }

    /// Calls an action without a body.
    pub(crate) async fn act(&self, path: &str) -> Value {
        self.succeed(Method::POST, path, None).await.json()
    }

    /// Calls an action that a job carries out, and gets the job.
    pub(crate) async fn follow_action(&self, path: &str) {
        let answer = self.succeed(Method::POST, path, None).await;
        self.follow(&answer).await;
    }

    /// Deletes a resource, and gets the job if there is one.
    pub(crate) async fn delete(&self, path: &str) {
        let answer = self.succeed(Method::DELETE, path, None).await;
        self.follow(&answer).await;
    }

    /// Creates a resource, and returns its path.
    pub(crate) async fn create(&self, path: &str, body: Value) -> String {
        let created = self.post(path, body).await;
        format!("{path}/{}", guid(&created))
    }

    pub(crate) async fn upload(&self, path: &str, form: Form) -> Value {
        let request = self.cf.request(Method::POST, path).multipart(form);
        let answer = self.keep(Method::POST, path, request).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.json()
    }

    /// Sends a manifest, and gets the job if there is one.
    pub(crate) async fn post_yaml(&self, path: &str, manifest: Value) {
        let request = self
            .cf
            .request(Method::POST, path)
            .header("content-type", "application/x-yaml")
            .body(manifest.to_string());
        let answer = self.keep(Method::POST, path, request).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        self.follow(&answer).await;
    }

    /// Sends a body that is refused because of its content.
    pub(crate) async fn refuse(&self, method: Method, path: &str, body: Value) {
        let request = self.cf.request(method.clone(), path).json(&body);
        let answer = self.keep(method, path, request).await;
        assert!(answer.status.is_client_error(), "{path}: {answer:?}");
    }

    async fn follow(&self, answer: &HttpResponse) {
        let location = answer.header("location");
        if let Some(path) = location.strip_prefix(&self.cf.mock.uri()) {
            self.wait(path).await;
        }
    }

    /// Waits until the job with this path has ended, and returns it.
    async fn wait(&self, path: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let job = self.get(path).await;
            if job["state"] == "COMPLETE" {
                return job;
            }
            assert_ne!(job["state"], "FAILED", "{job}");
            assert!(Instant::now() < deadline, "{job}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Creates a resource in a job, and returns its path.
    pub(crate) async fn create_in_job(&self, path: &str, body: Value) -> String {
        let answer = self.succeed(Method::POST, path, Some(body)).await;
        let location = answer.header("location");
        let job = location.strip_prefix(&self.cf.mock.uri()).unwrap();
        path_of(&self.cf, &self.wait(job).await)
    }

    async fn succeed(&self, method: Method, path: &str, body: Option<Value>) -> HttpResponse {
        let mut request = self.cf.request(method.clone(), path);
        if let Some(body) = body {
            self.send_additional_field(&method, path, &body).await;
            request = request.json(&body);
        }
        let answer = self.keep(method, path, request).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer
    }

    /// Sends a body with an additional field.
    async fn send_additional_field(&self, method: &Method, path: &str, body: &Value) {
        let (key, asked) = (
            self.operation(method, path).key(),
            format!("{method} {path}"),
        );
        if IGNORING_UNKNOWN_FIELDS
            .iter()
            .any(|one| key == *one || asked.starts_with(one))
        {
            return;
        }
        let mut more = body.clone();
        more["no_such_field"] = json!(1);
        let request = self.cf.request(method.clone(), path).json(&more);
        let answer = self.keep(method.clone(), path, request).await;
        assert_eq!(answer.status, 422, "{method} {path}: {answer:?}");
    }

    /// Calls every operation in ways that it refuses: without a token, as a user without
    /// permission, for a missing resource, and with an unknown query parameter.
    pub(crate) async fn send_invalid_requests(&self) {
        let implemented = self.operations.iter().filter(|one| one.implemented);
        for Operation { method, path, .. } in implemented {
            let method: Method = method.parse().unwrap();
            let url = format!("{}{path}", self.cf.mock.uri());
            let anonymous = self.cf.http.request(method.clone(), url);
            let answer = self.keep(method.clone(), path, anonymous).await;
            if answer.status != 401 {
                assert!(OPEN.contains(path), "{method} {path}: {answer:?}");
                continue;
            }
            let nowhere = path.replace(':', "no-");
            if *path != nowhere {
                self.refuse(method, &nowhere, json!({})).await;
            } else if method != Method::GET {
                let url = format!("{}{path}", self.cf.mock.uri());
                let request = self.cf.http.request(method.clone(), url);
                let request = request.bearer_auth(&self.outsider).json(&json!({}));
                let answer = self.keep(method, path, request).await;
                assert!(answer.status.is_client_error(), "{path}: {answer:?}");
            }
        }
        for path in self.lists() {
            let path = format!("{path}?no_such_parameter=1");
            let request = self.cf.request(Method::GET, &path);
            let answer = self.keep(Method::GET, &path, request).await;
            // The parent resource may have been deleted. Roles respond with 422.
            assert!(
                [400, 404, 422].contains(&answer.status.as_u16()),
                "{path}: {answer:?}"
            );
        }
    }

    /// The paths whose responses are lists.
    fn lists(&self) -> BTreeSet<String> {
        let exchanges = self.exchanges.borrow();
        let lists = exchanges.iter().filter(|exchange| exchange.is_list());
        lists
            .map(|list| list.asked.split('?').next().unwrap_or_default().to_owned())
            .collect()
    }

    async fn keep(&self, method: Method, path: &str, request: RequestBuilder) -> HttpResponse {
        let operation = self.operation(&method, path);
        let answer = send(request).await;
        self.exchanges.borrow_mut().push(Exchange {
            operation,
            asked: path.to_owned(),
            status: answer.status.as_u16(),
            content_type: answer.header("content-type").to_owned(),
            has_location: answer.headers.contains_key("location"),
            text: answer.text.clone(),
        });
        answer
    }

    fn operation(&self, method: &Method, path: &str) -> Operation {
        let path = path.split('?').next().unwrap_or_default();
        let mut operations = self.operations.iter();
        *operations
            .find(|operation| operation.method == method.as_str() && fits(operation.path, path))
            .unwrap_or_else(|| panic!("{method} {path} is not an operation of the API"))
    }
}

/// Operations that need no token.
const OPEN: &[&str] = &[
    "/",
    "/v3",
    "/v3/info",
    "/v3/service_offerings",
    "/v3/service_offerings/:guid",
    "/v3/service_plans",
    "/v3/service_plans/:guid",
];

fn fits(pattern: &str, path: &str) -> bool {
    let segments = || pattern.split('/').zip(path.split('/'));
    pattern.matches('/').count() == path.matches('/').count()
        && segments().all(|(expected, actual)| expected.starts_with(':') || expected == actual)
}

/// The GUID in a response.
pub(crate) fn guid(answer: &Value) -> String {
    answer["guid"]
        .as_str()
        .unwrap_or_else(|| panic!("no guid: {answer}"))
        .to_owned()
}

/// Relationships to one resource each.
pub(crate) fn related(to: &[(&str, &str)]) -> Value {
    let to = to.iter();
    to.map(|(name, guid)| ((*name).to_owned(), json!({"data": {"guid": guid}})))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Labels and annotations to set.
pub(crate) fn metadata() -> Value {
    json!({"labels": {"env": "test"}, "annotations": {"note": "text"}})
}

//! An embedded service broker, which listens on its own port. It carries out requests at
//! once and stores the results.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::runtime;
use tokio::sync::oneshot;

/// The maximum size of a body.
const MAX_BODY: usize = 1024 * 1024;

/// The settings of a broker: its name, which its only offering shares, and the plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerSpec {
    pub(crate) name: String,
    pub(crate) plans: Vec<String>,
}

impl BrokerSpec {
    /// The catalog. IDs are derived from names, so that they are the same in each run.
    pub(crate) fn catalog(&self) -> Value {
        let name = &self.name;
        let plans = self.plans.iter().map(|plan| {
            json!({
                "id": format!("{name}-{plan}"),
                "name": plan,
                "description": format!("The plan {plan} of {name}"),
                "free": true,
            })
        });
        json!({"services": [{
            "id": name,
            "name": name,
            "description": format!("A service of the broker {name} inside mock-capi"),
            "bindable": true,
            "plan_updateable": true,
            "instances_retrievable": true,
            "bindings_retrievable": true,
            "metadata": {"shareable": true},
            "plans": plans.collect::<Vec<_>>(),
        }]})
    }
}

/// A running broker. Dropping it closes its socket.
#[derive(Debug)]
pub(crate) struct EmbeddedBroker {
    pub(crate) spec: BrokerSpec,
    address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    pub(crate) fn start(spec: BrokerSpec) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = {
            let _reactor = runtime.enter();
            tokio::net::TcpListener::from_std(socket)?
        };
        let (stop, stopped) = oneshot::channel();
        let resources = Arc::new(BrokerResources::new(&spec));
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(socket, resources) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("mock-capi-broker".into());
        Ok(Self {
            spec,
            address,
            stop: Some(stop),
            thread: Some(thread.spawn(serve)?),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread has no result, even if it panicked.
            let _ = thread.join();
        }
    }
}

async fn accept(socket: tokio::net::TcpListener, resources: Arc<BrokerResources>) {
    while let Ok((stream, _)) = socket.accept().await {
        let resources = Arc::clone(&resources);
        tokio::spawn(async move {
            let service = service_fn(|request: hyper::Request<Incoming>| {
                let resources = Arc::clone(&resources);
                async move { Ok::<_, Infallible>(serve(&resources, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // A connection ends because of the client.
            let _ = connection.await;
        });
    }
}

async fn serve(
    resources: &BrokerResources,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (status, answer) = resources.answer(parts.method.as_str(), parts.uri.path(), body);
    let answer = Full::new(Bytes::from(answer.to_string()));
    let mut response = hyper::Response::new(answer);
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    let json = hyper::header::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    response
}

/// The parameters of a resource after a change, which keeps those that it does not name.
fn changed(before: Option<&Value>, parameters: Value) -> Value {
    let before = before.and_then(|kept| kept["parameters"].as_object());
    match (before, parameters) {
        (Some(before), Value::Object(parameters)) => {
            before.clone().into_iter().chain(parameters).collect()
        }
        (_, parameters) => parameters,
    }
}

/// The resources of a broker, by path.
#[derive(Debug)]
struct BrokerResources {
    name: String,
    catalog: Value,
    made: Mutex<HashMap<String, Value>>,
}

impl BrokerResources {
    fn new(spec: &BrokerSpec) -> Self {
        Self {
            name: spec.name.clone(),
            catalog: spec.catalog(),
            made: Mutex::new(HashMap::new()),
        }
    }

    fn answer(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            ("GET", ["v2", "catalog"]) => (200, self.catalog.clone()),
            (_, ["v2", "service_instances", _]) => self.keep(method, path, body, None),
            (
                _,
                [
                    "v2",
                    "service_instances",
                    instance,
                    "service_bindings",
                    binding,
                ],
            ) => {
                let credentials = self.credentials(instance, binding);
                self.keep(method, path, body, Some(credentials))
            }
            ("GET", ["v2", "service_instances", .., "last_operation"]) => self.progress(path),
            _ => (
                404,
                json!({"description": "the broker has no such operation"}),
            ),
        }
    }

    fn credentials(&self, instance: &str, binding: &str) -> Value {
        let name = &self.name;
        json!({
            "uri": format!("{name}://{binding}@{name}.mock.test/{instance}"),
            "username": binding,
            "password": format!("secret-of-{binding}"),
        })
    }

    /// Creates, changes, shows or removes a resource. With the parameter `async`, the
    /// operation is in progress until it is polled, and with `fail`, it is refused with
    /// this text.
    fn keep(
        &self,
        method: &str,
        path: &str,
        body: Value,
        credentials: Option<Value>,
    ) -> (u16, Value) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let parameters = body.get("parameters").cloned().unwrap_or_else(|| json!({}));
        match method {
            "PUT" | "PATCH" => {
                if let Some(reason) = parameters.get("fail") {
                    return (400, json!({"description": reason}));
                }
                let waits = parameters.get("async") == Some(&json!(true));
                let before = made.get(path).filter(|_| method == "PATCH");
                let mut kept = json!({"parameters": changed(before, parameters)});
                if let Some(credentials) = &credentials {
                    kept["credentials"] = credentials.clone();
                }
                made.insert(path.to_owned(), kept);
                match (waits, credentials, method) {
                    (true, _, _) => (202, json!({})),
                    (false, Some(credentials), _) => (201, json!({"credentials": credentials})),
                    (false, None, "PUT") => (201, json!({})),
                    (false, None, _) => (200, json!({})),
                }
            }
            "GET" => match made.get(path) {
                Some(kept) => (200, kept.clone()),
                None => (404, json!({"description": "not found"})),
            },
            "DELETE" => match made.remove(path) {
                Some(_) => (200, json!({})),
                None => (410, json!({})),
            },
            _ => (405, json!({})),
        }
    }

    fn progress(&self, path: &str) -> (u16, Value) {
        let of = path.trim_end_matches("/last_operation");
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match made.contains_key(of) {
            true => (200, json!({"state": "succeeded"})),
            false => (410, json!({})),
        }
    }
}

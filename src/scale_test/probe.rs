//! Tries connections through proxy apps: many in parallel, each up to three times.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};

use super::clock::{Clock, Worker};
use super::numbers::{Connection, Connections};
use super::outcome::FailedConnection;
use crate::capi::client::Client;
use crate::capi::error::{Error, printable};
use crate::capi::transport::{AppRequests, AppResponse};
use crate::events::{Check, Event, Phase, TriedConnection};
use crate::latency::Latencies;

/// The maximum number of tries until a connection is as expected.
const MAX_TRIES: u32 = 3;

/// The time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// The maximum time for all connections of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// A text that a tick app's response contains.
const TICK_ANSWER: &str = "application_name";

/// A text in the response of a proxy app that could not connect.
const PROXY_REFUSAL: &str = "request failed";

/// Sends requests to the apps of a test.
#[derive(Clone)]
pub(super) struct Prober {
    pub(super) client: Client,
    pub(super) requests: AppRequests,
    /// The domain of the apps' routes.
    pub(super) domain: String,
    pub(super) clock: Clock,
}

/// The connections to try in one phase of a context.
pub(super) struct PlannedCheck {
    pub(super) check: Arc<Check>,
    pub(super) connections: Connections,
    /// The numbers of the connections to try.
    pub(super) sample: Vec<u64>,
    /// Whether the connections must succeed.
    pub(super) expects_success: bool,
    /// The maximum number of concurrent connections, at least 1.
    pub(super) at_once: usize,
}

/// The results of the connections of a check.
#[derive(Default)]
pub(super) struct Results {
    pub(super) failed: Vec<FailedConnection>,
    /// The times of the connections that succeeded as expected.
    pub(super) latencies: Latencies,
}

/// The state that the tasks of a check share.
struct Shared {
    prober: Prober,
    checked: PlannedCheck,
    /// The index in the sample of the next connection to try.
    next: AtomicUsize,
    ended: AtomicUsize,
    failed: AtomicUsize,
    /// The end of the check, on the clock.
    deadline: Duration,
}

impl Prober {
    /// Sends `GET http://{app}.{domain}{path}` once, unless the run is interrupted.
    pub(super) async fn get(&self, app: &str, path: &str) -> Result<AppResponse, Error> {
        // Hosts are case-insensitive, and routes are in lower case.
        let host = format!("{}.{}", app.to_lowercase(), self.domain);
        let answer = self.requests.get(&host, path);
        self.client.unless_interrupted(answer).await?
    }

    /// Tries all connections of a check.
    pub(super) async fn check(&self, checked: PlannedCheck) -> Result<Results, Error> {
        let total = checked.sample.len();
        let phase = Phase::Connections;
        let events = self.client.events();
        events.emit(Event::PhaseStarted { phase, total });
        let tasks = checked.at_once.clamp(1, total.max(1));
        let shared = Arc::new(Shared {
            prober: self.clone(),
            checked,
            next: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            deadline: self.clock.now() + CHECK_TIMEOUT,
        });
        // All tasks count as working from the start, so that the clock waits for the last
        // one.
        let workers: Vec<Worker> = (0..tasks).map(|_| self.clock.worker()).collect();
        let mut running = JoinSet::new();
        for worker in workers {
            running.spawn(Arc::clone(&shared).work(worker));
        }
        let mut results = Results::default();
        while let Some(ended) = running.join_next().await {
            let some = ended.map_err(broken)??;
            results.failed.extend(some.failed);
            results.latencies.merge(&some.latencies);
        }
        results.failed.sort();
        events.emit(Event::PhaseEnded { phase });
        Ok(results)
    }
}

fn broken(error: JoinError) -> Error {
    Error::local("trying the connections", error)
}

impl Shared {
    /// Tries one connection after the other until all connections of the sample were
    /// tried.
    async fn work(self: Arc<Self>, mut worker: Worker) -> Result<Results, Error> {
        let mut results = Results::default();
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(number) = self.checked.sample.get(at) else {
                return Ok(results);
            };
            let Some(connection) = self.checked.connections.get(*number) else {
                continue;
            };
            let began = Instant::now();
            let (tries, outcome) = self.connect(connection, &mut worker).await?;
            let took = began.elapsed();
            self.report(connection, began, took, tries, outcome.as_ref().err());
            match outcome {
                Ok(answered_in) if self.checked.expects_success => {
                    results.latencies.add(answered_in);
                }
                Ok(_) => {}
                Err(reason) => results.failed.push(FailedConnection {
                    proxy: connection.proxy.to_owned(),
                    tick: connection.address.app.clone(),
                    address: address_of(connection),
                    reason,
                }),
            }
        }
    }

    /// Tries a connection until it is as expected. Returns the number of tries, and the
    /// time of the last one or the difference from the expected result.
    async fn connect(
        &self,
        connection: Connection<'_>,
        worker: &mut Worker,
    ) -> Result<(u32, Result<Duration, String>), Error> {
        let path = format!("/proxy/{}", address_of(connection));
        let prober = &self.prober;
        let mut tries = 0;
        loop {
            if prober.clock.now() >= self.deadline {
                let limit = humantime::format_duration(CHECK_TIMEOUT);
                return Ok((tries, Err(format!("not tried within {limit}"))));
            }
            tries += 1;
            let began = Instant::now();
            let answer = prober.get(connection.proxy, &path).await;
            let problem = match answer {
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => describe_error(connection.proxy, &error),
                Ok(answer) => match problem(&answer, self.checked.expects_success) {
                    None => return Ok((tries, Ok(began.elapsed()))),
                    Some(problem) => problem,
                },
            };
            if tries == MAX_TRIES {
                return Ok((tries, Err(problem)));
            }
            let pause = worker.wait(PAUSE);
            prober.client.unless_interrupted(pause).await?;
        }
    }

    fn report(
        &self,
        connection: Connection<'_>,
        began: Instant,
        took: Duration,
        tries: u32,
        failure: Option<&String>,
    ) {
        let events = self.prober.client.events();
        events.emit(Event::Connection(Arc::new(TriedConnection {
            check: Arc::clone(&self.checked.check),
            proxy: connection.proxy.to_owned(),
            tick: connection.address.app.clone(),
            address: address_of(connection),
            began,
            took,
            tries,
            failure: failure.cloned(),
        })));
        let is_failed = usize::from(failure.is_some());
        let failed = is_failed + self.failed.fetch_add(is_failed, Ordering::Relaxed);
        let ended = 1 + self.ended.fetch_add(1, Ordering::Relaxed);
        events.emit(Event::PhaseProgress {
            phase: Phase::Connections,
            done: ended.saturating_sub(failed),
            failed,
        });
    }
}

fn address_of(connection: Connection<'_>) -> String {
    format!("{}:{}", connection.address.ip, connection.port)
}

/// Describes the reason why a request to a proxy app has no response.
pub(super) fn describe_error(app: &str, error: &Error) -> String {
    match error {
        Error::Unreachable { reason, .. } => format!("{app} cannot be reached: {reason}"),
        Error::NoResponse { reason, .. } => format!("no response from {app}: {reason}"),
        other => other.to_string(),
    }
}

/// The difference of a proxy app's response from the expected one.
pub(super) fn problem(answer: &AppResponse, expects_success: bool) -> Option<String> {
    let body = answer.body.as_str();
    let expected = match expects_success {
        true => TICK_ANSWER,
        false => PROXY_REFUSAL,
    };
    if body.contains(expected) {
        return None;
    }
    if let Some(reason) = &answer.router_error {
        let status = answer.status;
        return Some(format!("the router responded with {status} ({reason})"));
    }
    Some(match expects_success {
        false if body.contains(TICK_ANSWER) => "it succeeded without a policy".to_owned(),
        _ if body.contains(PROXY_REFUSAL) => first_characters(body),
        _ => format!(
            "unexpected response with status {}: \"{}\"",
            answer.status,
            first_characters(body)
        ),
    })
}

/// The first characters of a body, in one line.
fn first_characters(body: &str) -> String {
    const MAX_SHOWN: usize = 200;
    let line: String = printable(body)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn answer(status: u16, body: &str, router_error: Option<&str>) -> AppResponse {
        AppResponse {
            status,
            body: body.to_owned(),
            router_error: router_error.map(str::to_owned),
        }
    }

    const TICK: &str = r#"{"application_name":"scale-tick-0","instance_index":0}"#;
    const REFUSAL: &str = "request failed: dial tcp 10.0.0.1:8080: i/o timeout\n";

    #[rstest]
    #[case::allowed(200, TICK, true, None)]
    #[case::forbidden(500, REFUSAL, false, None)]
    #[case::allowed_but_refused(
        500,
        REFUSAL,
        true,
        Some("request failed: dial tcp 10.0.0.1:8080: i/o timeout")
    )]
    #[case::forbidden_but_connected(200, TICK, false, Some("it succeeded without a policy"))]
    #[case::another_app(
        200,
        "hello\u{1b}[31m",
        true,
        Some("unexpected response with status 200: \"hello\"")
    )]
    #[case::another_app(404, "", false, Some("unexpected response with status 404: \"\""))]
    fn the_body_decides_whether_a_connection_succeeded(
        #[case] status: u16,
        #[case] body: &str,
        #[case] expects_success: bool,
        #[case] expected: Option<&str>,
    ) {
        let answer = answer(status, body, None);
        assert_eq!(problem(&answer, expects_success).as_deref(), expected);
    }

    #[test]
    fn a_response_of_the_router_is_not_a_response_of_the_app() {
        let answer = answer(404, "404 Not Found: Requested route", Some("unknown_route"));
        let expected = "the router responded with 404 (unknown_route)";
        for expects_success in [true, false] {
            let found = problem(&answer, expects_success);
            assert_eq!(found.as_deref(), Some(expected));
        }
    }
}

//! The scaling test: its connections, its results, and the policies that it deletes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cf_pusher::events::{Phase, TriedConnection};
use cf_pusher::scale_test::{Clock, Context, TestError, TestOutcome, TestPhase, Tester};
use cf_pusher::{
    Approval, CancellationToken, Client, Converger, Error, Event, EventSink, Events, ScalingTest,
    Sources,
};
use mock_capi::{CloudController, Fault, Front, MockCapi, MockCapiBuilder};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::support::command::Place;
use crate::support::{curl, target};

/// Three proxy apps, and three tick apps with two instances and two ports each.
const CONFIG: &str = r#"{
    "proxy_applications": 3, "proxy_instances": 2,
    "test_applications": 3, "test_app_instances": 2,
    "extra_listen_ports": 1, "policy_update_wait_seconds": 10
}"#;

/// The time until policies of the foundation take effect.
const POLICY_TIME: Duration = Duration::from_secs(5);

/// Represents a measurement in place of a phase of the test.
const MEASUREMENT: &str = "measurement";

/// A sink that records the test and can interrupt it.
#[derive(Default)]
struct Watch {
    connections: Mutex<Vec<Arc<TriedConnection>>>,
    notes: Mutex<Vec<String>>,
    /// The names of the completed checks.
    checks: Mutex<Vec<String>>,
    /// Interrupts the run at the first connection of a phase, or after a measurement.
    interrupt: OnceLock<(&'static str, CancellationToken)>,
}

impl EventSink for Watch {
    fn handle(&self, event: &Event) {
        match event {
            Event::Connection(tried) => {
                self.connections.lock().unwrap().push(Arc::clone(tried));
                if let Some((phase, token)) = self.interrupt.get()
                    && tried.check.phase == *phase
                {
                    token.cancel();
                }
            }
            Event::TestEnded { checks, .. } => {
                let names = checks.iter().map(|check| check.name.clone());
                self.checks.lock().unwrap().extend(names);
            }
            Event::Note(text) => self.notes.lock().unwrap().push(text.clone()),
            Event::PhaseProgress {
                phase: Phase::Measurements,
                ..
            } => {
                if let Some((MEASUREMENT, token)) = self.interrupt.get() {
                    token.cancel();
                }
            }
            _ => {}
        }
    }
}

/// A foundation with the apps of a configuration.
struct Foundation {
    mock: MockCapi<Front>,
    client: Client,
    config: ScalingTest,
    watch: Arc<Watch>,
}

impl Foundation {
    async fn new() -> Self {
        Self::with(MockCapi::builder().front().policy_time(POLICY_TIME)).await
    }

    async fn with(builder: MockCapiBuilder<Front>) -> Self {
        let mock = builder.start().await.unwrap();
        let watch = Arc::new(Watch::default());
        let token = CancellationToken::new();
        let events = Events::new([Arc::clone(&watch) as Arc<dyn EventSink>]);
        let options = target(&mock).interrupt(token.clone());
        let client = Client::connect(&options, events).await.unwrap();
        let config = ScalingTest::parse(CONFIG, "test").unwrap();
        let foundation = Self {
            mock,
            client,
            config,
            watch,
        };
        foundation.set_up().await;
        foundation
    }

    /// Converges to the configuration.
    async fn set_up(&self) {
        let sources = Sources::read(&self.config, None).unwrap();
        let desired = self.config.desired(&sources).unwrap();
        let converger = Converger::new(self.client.clone(), desired);
        let outcome = converger.converge(Approval::All).await.unwrap();
        assert!(outcome.is_converged(), "{outcome:#?}");
    }

    fn tester(&self) -> Tester {
        let fake: CloudController = (*self.mock).clone();
        self.tester_on(Clock::advanced_by(move |by| fake.advance(by)))
    }

    fn tester_on(&self, clock: Clock) -> Tester {
        Tester::new(self.client.clone(), self.config.clone())
            .router(self.mock.uri())
            .clock(clock)
    }

    /// A tester that is interrupted at the first connection of a phase, or after a
    /// measurement.
    async fn interrupted_tester(&self, phase: &'static str) -> Tester {
        let token = CancellationToken::new();
        let events = Events::new([Arc::clone(&self.watch) as Arc<dyn EventSink>]);
        let options = target(&self.mock).interrupt(token.clone());
        let client = Client::connect(&options, events).await.unwrap();
        assert!(self.watch.interrupt.set((phase, token)).is_ok());
        let fake: CloudController = (*self.mock).clone();
        Tester::new(client, self.config.clone())
            .router(self.mock.uri())
            .clock(Clock::advanced_by(move |by| fake.advance(by)))
    }

    async fn app(&self, name: &str) -> String {
        let path = format!("/v3/apps?names={name}");
        let list = curl(&self.mock, "GET", &path, Value::Null).await;
        list["resources"][0]["guid"].as_str().unwrap().to_owned()
    }

    /// All policies, as the policy server lists them.
    async fn policies(&self) -> Vec<Value> {
        let path = "/networking/v1/external/policies";
        let list = curl(&self.mock, "GET", path, Value::Null).await;
        list["policies"].as_array().unwrap().clone()
    }
}

/// The failed connections of a phase, as `context: proxy to tick address`.
fn failed(outcome: &TestOutcome, phase: TestPhase) -> BTreeSet<String> {
    let mut failed = BTreeSet::new();
    for context in &outcome.contexts {
        let phases = context.phases.iter().filter(|it| it.name == phase);
        failed.extend(phases.flat_map(|it| &it.failed).map(|it| {
            let (_, port) = it.address.rsplit_once(':').unwrap();
            format!(
                "{}: {} to {} :{port}",
                context.name.name(),
                it.proxy,
                it.tick
            )
        }));
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_allow_exactly_their_connections() {
    let foundation = Foundation::new().await;
    let outcome = foundation.tester().run().await.unwrap();
    assert_eq!(outcome.failures(), Vec::<String>::new());
    assert!(outcome.is_ok());
    assert_eq!(outcome.registry.registered, 6);
    let numbers: Vec<_> = outcome
        .contexts
        .iter()
        .map(|it| {
            (
                it.name,
                it.policies,
                it.connections,
                it.sampled,
                it.phases.len(),
            )
        })
        .collect();
    assert_eq!(
        numbers,
        [
            (Context::OneClient, 6, 12, 12, 3),
            (Context::OneServer, 6, 12, 12, 3)
        ]
    );
    assert_eq!(outcome.latency_ms.count, 24, "of those that succeeded");
    assert_eq!(outcome.waited, Duration::from_secs(100));
    assert_eq!(foundation.policies().await, [] as [Value; 0]);
    let connections = foundation.watch.connections.lock().unwrap();
    assert_eq!(connections.len(), 72);
    assert!(connections.iter().all(|it| it.tries == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_fails_if_policies_take_longer_than_the_wait() {
    let foundation = Foundation::new().await;
    let tester = foundation.tester().policy_wait(Duration::from_secs(1));
    let outcome = tester.run().await.unwrap();
    assert!(!outcome.is_ok());
    assert_eq!(failed(&outcome, TestPhase::WithoutPolicies).len(), 0);
    assert_eq!(outcome.contexts[0].phases[1].failed.len(), 12);
    assert_eq!(outcome.contexts[1].phases[1].failed.len(), 12);
    assert_eq!(failed(&outcome, TestPhase::AfterDeletion).len(), 0);
    let connections = foundation.watch.connections.lock().unwrap();
    let with_policies = connections.iter().filter(|it| it.failure.is_some());
    assert!(
        with_policies.clone().all(|it| it.tries == 3),
        "three tries each"
    );
    let failures = outcome.failures();
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(
        failures[0].starts_with("one-client, with-policies: scale-proxy-0 to scale-tick-{0..2} ("),
        "{failures:?}"
    );
    assert!(failures[0].contains("request failed"), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_someone_else_deletes_is_reported() {
    let foundation = Foundation::new().await;
    let (source, destination) = (
        foundation.app("scale-proxy-0").await,
        foundation.app("scale-tick-1").await,
    );
    let policy = json!({
        "source": {"id": source},
        "destination": {"id": destination, "protocol": "tcp", "ports": {"start": 8080, "end": 8080}},
    });
    let fake: CloudController = (*foundation.mock).clone();
    let clock = Clock::advanced_by(move |by| {
        let path = "/networking/v1/external/policies/delete";
        let deleted = curl(&fake, "POST", path, json!({"policies": [policy.clone()]}));
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(deleted));
        fake.advance(by);
    });
    let outcome = foundation.tester_on(clock).run().await.unwrap();
    assert_eq!(
        failed(&outcome, TestPhase::WithPolicies),
        BTreeSet::from(["one-client: scale-proxy-0 to scale-tick-1 :8080".to_owned()])
    );
    let with_policies = &outcome.contexts[0].phases[1];
    assert_eq!(with_policies.failed.len(), 2, "both instances");
    let failures = outcome.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(
        failures[0].starts_with("one-client, with-policies: scale-proxy-0 to scale-tick-1 ("),
        "{failures:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_app_is_reported() {
    let foundation = Foundation::new().await;
    let fault = Fault::unreachable().of("scale-tick-2");
    foundation.mock.set_faults(vec![fault]).unwrap();
    let outcome = foundation.tester().run().await.unwrap();
    assert_eq!(
        failed(&outcome, TestPhase::WithPolicies),
        BTreeSet::from(
            [7000, 8080]
                .map(|port| { format!("one-client: scale-proxy-0 to scale-tick-2 :{port}") })
        )
    );
    assert_eq!(failed(&outcome, TestPhase::WithoutPolicies).len(), 0);
    assert_eq!(failed(&outcome, TestPhase::AfterDeletion).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unregistered_app_is_reported_before_any_connection() {
    let foundation = Foundation::new().await;
    let fault = Fault::unregistered().of("scale-tick-1");
    foundation.mock.set_faults(vec![fault]).unwrap();
    let outcome = foundation.tester().run().await.unwrap();
    assert!(!outcome.is_ok());
    assert_eq!(outcome.contexts, []);
    assert_eq!(
        outcome.failures(),
        ["scale-tick-1: 0 of 2 instances registered"]
    );
    assert_eq!(outcome.waited, Duration::ZERO);
    assert_eq!(foundation.watch.connections.lock().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_waits_until_the_registry_forgets_deleted_apps() {
    let mut foundation = Foundation::new().await;
    // Instances need some time to register.
    let all = foundation.tester().contexts([]).run().await.unwrap();
    assert_eq!(all.registry.registered, 6);
    let fewer = CONFIG.replace(r#""test_applications": 3"#, r#""test_applications": 2"#);
    foundation.config = ScalingTest::parse(&fewer, "test").unwrap();
    // The third tick app exists, and would be registered repeatedly.
    let clock = || {
        let fake: CloudController = (*foundation.mock).clone();
        Clock::advanced_by(move |by| fake.advance(by))
    };
    let before = clock();
    let outcome = foundation.tester_on(before.clone()).run().await.unwrap();
    assert_eq!(
        outcome.failures(),
        ["scale-tick-2: registered, but not part of the test"]
    );
    assert!(before.waited() <= Duration::from_secs(10), "{before:?}");

    foundation.set_up().await;
    let after = clock();
    let outcome = foundation.tester_on(after.clone()).run().await.unwrap();
    assert_eq!(outcome.failures(), Vec::<String>::new());
    assert_eq!(outcome.registry.registered, 4);
    let notes = foundation.watch.notes.lock().unwrap().join("\n");
    let expected = "registration: 2 instances more than expected; waiting up to 3m until the registry forgets deleted instances";
    assert!(notes.contains(expected), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_an_earlier_test_left_are_deleted_and_others_are_kept() {
    let foundation = Foundation::new().await;
    let tester = foundation.tester().contexts([Context::OneServer]);
    let kept = tester.clone().keep_policies(true).run().await.unwrap();
    assert_eq!(kept.contexts[0].phases.len(), 2, "they are not deleted");
    assert_eq!(foundation.policies().await.len(), 6);
    let (proxy, tick) = (
        foundation.app("scale-proxy-1").await,
        foundation.app("scale-tick-0").await,
    );
    let of = |source: &str, destination: &str, port: u16| {
        json!({
            "source": {"id": source},
            "destination": {"id": destination, "protocol": "tcp", "ports": {"start": port, "end": port}},
        })
    };
    let registry = foundation.app("scale-registry").await;
    let others = [of(&proxy, &tick, 9000), of(&registry, &tick, 8080)];
    let path = "/networking/v1/external/policies";
    curl(
        &foundation.mock,
        "POST",
        path,
        json!({ "policies": others }),
    )
    .await;

    let outcome = tester.run().await.unwrap();
    assert_eq!(outcome.failures(), Vec::<String>::new());
    let notes = foundation.watch.notes.lock().unwrap().join("\n");
    assert!(
        notes.contains("deleting 6 policies left over by an earlier test"),
        "{notes}"
    );
    let left = foundation.policies().await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(others.iter().all(|other| left.contains(other)), "{left:?}");
}

#[rstest]
#[case::before_the_policies("without-policies", 0)]
#[case::with_policies("with-policies", 1)]
#[case::after_their_deletion("after-deletion", 2)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_test_deletes_its_policies_and_reports_the_phases_before(
    #[case] phase: &'static str,
    #[case] ended: usize,
) {
    let mock = MockCapi::builder().front().policy_time(POLICY_TIME);
    let foundation = Foundation::with(mock).await;
    let tester = foundation.interrupted_tester(phase).await;
    let outcome = tester.run().await.unwrap();
    assert_eq!(outcome.error, Some(Error::Interrupted.into()));
    assert!(!outcome.is_ok());
    assert_eq!(outcome.contexts.len(), 1);
    assert_eq!(outcome.contexts[0].phases.len(), ended);
    assert!(outcome.contexts[0].phases.iter().all(|phase| phase.ok));
    assert_eq!(foundation.policies().await, [] as [Value; 0]);
    let expected = ["registration", "without-policies", "with-policies"];
    assert_eq!(*foundation.watch.checks.lock().unwrap(), expected[..=ended]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_halfway_deletes_its_policies() {
    let foundation = Foundation::new().await;
    // The second context creates no policies.
    let path = "/networking/v1/external/policies";
    let fault = Fault::answer("POST", path, 400).skip(1);
    foundation.mock.set_faults(vec![fault]).unwrap();
    let outcome = foundation.tester().run().await.unwrap();
    assert!(
        matches!(outcome.error, Some(TestError::Api(_))),
        "{outcome:?}"
    );
    let phases = outcome.contexts.iter().map(|context| context.phases.len());
    assert_eq!(phases.collect::<Vec<_>>(), [3, 1]);
    assert_eq!(outcome.failures(), [] as [String; 0]);
    foundation.mock.set_faults(Vec::new()).unwrap();
    assert_eq!(foundation.policies().await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_selects_the_same_connections_in_each_context() {
    let foundation = Foundation::new().await;
    let tester = foundation.tester().sample_percent(50);
    let tried = |tester: Tester| {
        let watch = Arc::clone(&foundation.watch);
        async move {
            watch.connections.lock().unwrap().clear();
            let outcome = tester.run().await.unwrap();
            assert!(outcome.is_ok(), "{:?}", outcome.failures());
            let connections = watch.connections.lock().unwrap();
            let tried: BTreeSet<_> = connections
                .iter()
                .map(|it| (Arc::clone(&it.check), it.proxy.clone(), it.address.clone()))
                .collect();
            (outcome, tried)
        }
    };
    let (outcome, first) = tried(tester.clone().seed(7)).await;
    assert_eq!(outcome.seed, 7);
    assert_eq!(outcome.contexts[0].sampled, 6);
    assert_eq!(first.len(), 36);
    let (_, again) = tried(tester.clone().seed(7)).await;
    assert_eq!(again, first);
    let (_, other) = tried(tester.clone().seed(8)).await;
    assert_ne!(other, first);
    // A context selects the same connections without the other one.
    let (_, alone) = tried(tester.seed(7).contexts([Context::OneServer])).await;
    assert!(alone.is_subset(&first) && alone.len() == 18);
}

/// A server that responds like a tick app once `together` requests have arrived. Returns
/// its URL and the maximum number of concurrent requests.
async fn waiting_server(together: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let maximum = Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (open, most, gate) = (Arc::clone(&open), Arc::clone(&most), Arc::clone(&gate));
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    if stream.read_line(&mut line).await? == 0 {
                        return Ok(());
                    }
                }
                let now = 1 + open.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(now, Ordering::SeqCst);
                if now == together {
                    gate.close();
                }
                // This fails when the gate is closed.
                let _ = gate.acquire().await;
                open.fetch_sub(1, Ordering::SeqCst);
                let response = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 20\r\n\r\n{\"application_name\"}";
                stream.write_all(response.as_bytes()).await
            });
        }
    });
    (url, maximum)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_instance_of_a_proxy_app_tries_ten_connections_at_once() {
    let mut foundation = Foundation::new().await;
    let one_instance = CONFIG.replace(r#""proxy_instances": 2"#, r#""proxy_instances": 1"#);
    foundation.config = ScalingTest::parse(&one_instance, "test").unwrap();
    let (url, maximum) = waiting_server(10).await;
    let apps = json!([{"app": "scale-proxy-0", "forward": url}]);
    curl(&foundation.mock, "PUT", "/_mock/apps", apps).await;
    let tester = foundation.tester().contexts([Context::OneClient]);
    let outcome = tester.run().await.unwrap();
    assert_eq!(outcome.contexts[0].connections, 12);
    assert_eq!(maximum.load(Ordering::SeqCst), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_apps_are_reported() {
    let foundation = Foundation::new().await;
    let config = CONFIG.replace(r#""test_applications": 3"#, r#""test_applications": 5"#);
    let config = ScalingTest::parse(&config, "test").unwrap();
    let tester = Tester::new(foundation.client.clone(), config);
    let error = tester.run().await.unwrap_err();
    insta::assert_snapshot!(error, @"testing failed: apps scale-tick-{3..4} not found in scale-org/scale-space, or not visible to admin");
    let config = ScalingTest::parse(r#"{"proxy_applications": 1}"#, "test").unwrap();
    let error = Tester::new(foundation.client.clone(), config).run().await;
    insta::assert_snapshot!(error.unwrap_err(), @"testing failed: `test_applications` is 0, must be at least 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_security_groups_are_measured_and_leave_nothing_behind() {
    let builder = MockCapi::builder().front().asg_time(Duration::from_secs(3));
    let foundation = Foundation::with(builder).await;
    let before = foundation.mock.state();
    let routes = foundation.tester().route_latency(3).await.unwrap();
    assert_eq!(routes.latency_ms.count, 3);
    let [bound, unbound] = foundation.tester().asg_latency(2, None).await.unwrap();
    assert_eq!((bound.latency_ms.count, unbound.latency_ms.count), (2, 2));
    assert!(bound.latency_ms.p50 >= 2900.0, "{bound:?}");
    let after = foundation.mock.state();
    for kind in ["routes", "security_groups"] {
        assert_eq!(before[kind], after[kind], "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_measurement_keeps_its_results() {
    let foundation = Foundation::new().await;
    let before = foundation.mock.state();
    let tester = foundation.interrupted_tester(MEASUREMENT).await;
    let routes = tester.route_latency(3).await.unwrap();
    assert_eq!(routes.latency_ms.count, 1);
    assert_eq!(routes.error, Some(Error::Interrupted.into()));
    let after = foundation.mock.state();
    assert_eq!(before["routes"], after["routes"]);
    // Without a measurement, there is only the error.
    let error = tester.route_latency(3).await.unwrap_err();
    assert_eq!(error, Error::Interrupted.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_measurement_of_groups_keeps_its_results() {
    let foundation = Foundation::new().await;
    let before = foundation.mock.state();
    let tester = foundation.interrupted_tester(MEASUREMENT).await;
    let [bound, unbound] = tester.asg_latency(3, None).await.unwrap();
    assert_eq!((bound.latency_ms.count, unbound.latency_ms.count), (1, 1));
    assert_eq!(bound.error, Some(Error::Interrupted.into()));
    assert_eq!(unbound.error, None);
    let after = foundation.mock.state();
    assert_eq!(before["security_groups"], after["security_groups"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_the_results_of_a_failed_measurement() {
    let foundation = Foundation::new().await;
    let place = Place::new();
    let fault = Fault::answer("POST", "/v3/routes", 422).skip(1);
    foundation.mock.set_faults(vec![fault]).unwrap();
    let router = foundation.mock.uri();
    let args = [
        "test",
        "--router",
        &router,
        "--route-latency",
        "--repeat",
        "3",
    ];
    let text = place.on(&foundation.mock, CONFIG, &args);
    assert_eq!(text.code, 1, "{}", text.stderr);
    assert!(
        text.stdout.starts_with("route-mapping: p50 "),
        "{}",
        text.stdout
    );
    assert!(text.stdout.ends_with(" (1 measured)\n"), "{}", text.stdout);
    let fault = Fault::answer("POST", "/v3/routes", 422).skip(1);
    foundation.mock.set_faults(vec![fault]).unwrap();
    let args = [args.as_slice(), &["--format", "json"]].concat();
    let object = place.on(&foundation.mock, CONFIG, &args).stdout;
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!(object["latencies"][0]["latency_ms"]["count"], 1);
    assert_eq!(object["error"]["message"], object["latencies"][0]["error"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_group_needs_a_target_that_no_other_allows() {
    let foundation = Foundation::new().await;
    let tester = foundation.tester();
    let own = tester.asg_latency(1, Some("127.0.0.1:8080")).await;
    let own = own.unwrap_err().to_string();
    let expected = "measuring the latency of security groups failed: 127.0.0.1:8080 must not be reached without the security group, but: the response was 200";
    assert!(own.starts_with(expected), "{own}");
    let named = tester.asg_latency(1, Some("example.com:80")).await;
    insta::assert_snapshot!(named.unwrap_err(), @r#"measuring the latency of security groups failed: the target "example.com:80" is not IP:PORT"#);
}

#[test]
fn the_command_sets_up_and_tests_offline() {
    let place = Place::new();
    let mut command = crate::support::command::cf_pusher(place.dir.path());
    command.args(["test", "--setup", "--mock", "--seed", "7"]);
    command.args(["--config", "fixtures/configs/scale-test.json"]);
    let output = place.run_alone(command);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let lines = output.stdout.lines();
    let stable = lines.filter(|line| {
        !["requests:", "time:", "latency:"]
            .iter()
            .any(|it| line.starts_with(it))
    });
    insta::assert_snapshot!(stable.collect::<Vec<_>>().join("\n"), @"
    apps: 201 changed, 0 unchanged, 0 failed
    registration: 200 of 200 instances
    one-client: 1 proxy app to 100 tick apps, 600 connections, 200 policies
      ok      without policies: 120 of 120 failed as expected
      ok      with policies: 120 of 120 succeeded
      ok      after deletion: 120 of 120 failed as expected
    one-server: 100 proxy apps to 1 tick app, 600 connections, 200 policies
      ok      without policies: 120 of 120 failed as expected
      ok      with policies: 120 of 120 succeeded
      ok      after deletion: 120 of 120 failed as expected
    seed: 7
    waited 100 s on the mock's clock
    ");
}

#[test]
fn the_command_fails_if_policies_have_too_little_time() {
    let place = Place::new();
    let config = place.file("config.json", CONFIG);
    let mut command = crate::support::command::cf_pusher(place.dir.path());
    command.args(["test", "--setup", "--mock", "--policy-wait", "1s"]);
    command.args(["--context", "one-client", "--format", "json"]);
    command.args(["--junit", "junit.xml", "--report", "report.html"]);
    command
        .arg("--config")
        .arg(config)
        .current_dir(place.dir.path());
    let output = place.run_alone(command);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let object: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(object["tick-apps"][2], "scale-tick-2");
    assert_eq!(object["run"]["changed"], 7);
    let test = &object["test"];
    assert_eq!(test["registry"]["registered"], 6);
    let context = &test["contexts"][0];
    assert_eq!(
        (&context["name"], &context["policies"]),
        (&json!("one-client"), &json!(6))
    );
    assert_eq!(
        (&context["connections"], &context["sampled"]),
        (&json!(12), &json!(12))
    );
    let names = [0, 1, 2].map(|at| &context["phases"][at]["name"]);
    assert_eq!(
        names,
        ["without-policies", "with-policies", "after-deletion"]
    );
    let results = [0, 1, 2].map(|at| &context["phases"][at]["ok"]);
    assert_eq!(results, [true, false, true]);
    let failed = context["phases"][1]["failed"].as_array().unwrap();
    assert_eq!(failed.len(), 12);
    assert_eq!(failed[0]["proxy"], "scale-proxy-0");
    assert!(test["latency_ms"]["p95"].is_number());

    let junit = std::fs::read_to_string(place.dir.path().join("junit.xml")).unwrap();
    let suite = junit
        .split("<testsuite name=\"scaling test\"")
        .nth(1)
        .unwrap();
    assert!(suite.contains("tests=\"4\""), "{suite}");
    assert!(suite.contains("failures=\"1\""), "{suite}");
    let report = std::fs::read_to_string(place.dir.path().join("report.html")).unwrap();
    for text in [
        "\"phase\":\"with-policies\",\"tried\":12,\"failed\":12",
        "scale-tick-2",
    ] {
        assert!(report.contains(text), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_the_finished_phases_of_a_test_that_ends_early() {
    let place = Place::new();
    let foundation = Foundation::new().await;
    let path = "/networking/v1/external/policies";
    let fault = Fault::answer("POST", path, 400);
    foundation.mock.set_faults(vec![fault]).unwrap();
    let router = foundation.mock.uri();
    let args = ["test", "--router", &router, "--format", "json"];
    let output = place.on(&foundation.mock, CONFIG, &args);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let object: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(object["tick-apps"][2], "scale-tick-2");
    let phases = object["test"]["contexts"][0]["phases"].as_array().unwrap();
    assert_eq!(
        phases,
        &[json!({"name": "without-policies", "ok": true, "failed": []})]
    );
    assert_eq!(object["error"]["kind"], "foundation");
    assert_eq!(object["error"]["message"], object["test"]["error"]);
    let errors = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_explains_why_it_cannot_test() {
    let place = Place::new();
    let foundation = Foundation::new().await;
    let mock = &foundation.mock;
    let nowhere = place.on(mock, CONFIG, &["test", "--router", "http://127.0.0.1:1"]);
    assert_eq!(nowhere.code, 3, "{}", nowhere.stderr);
    let told = nowhere
        .stderr
        .lines()
        .filter(|it| it.contains(": "))
        .collect::<Vec<_>>();
    insta::assert_snapshot!(told.join("\n"), @"
    registration: 6 to do
    registration: 0 of 6 done
    error: cannot reach the apps at http://127.0.0.1:1/: Connection refused (os error 111)
    help: if DNS does not resolve the domain of the apps, name the foundation's router with --router URL
    ");
    let elsewhere = CONFIG.replacen('{', r#"{"prefix": "other-","#, 1);
    let missing = place.on(mock, &elsewhere, &["test"]);
    assert_eq!(missing.code, 1);
    insta::assert_snapshot!(missing.stderr, @"
    error: testing failed: apps other-registry, other-proxy-{0..2}, other-tick-{0..2} not found in other-org/other-space, or not visible to admin
    help: create them with `cf-pusher converge`, or add --setup
    ");
    let router = place.on(mock, CONFIG, &["test", "--router", "ftp://x"]);
    assert_eq!(router.code, 2);
    insta::assert_snapshot!(router.stderr, @"
    error: invalid router URL ftp://x: it must be http://HOST[:PORT]
    help: correct --router
    ");
    // A test that cannot run sets nothing up.
    let ticks = place.file("ticks.json", r#"{"test_applications": 1}"#);
    let mut command = crate::support::command::cf_pusher(place.dir.path());
    command.args(["test", "--setup", "--mock", "--config"]);
    command.arg(ticks);
    let none = place.run_alone(command);
    assert_eq!(none.code, 2);
    insta::assert_snapshot!(none.stderr, @r"
    error: testing failed: `proxy_applications` is 0, must be at least 1
    help: set it in the configuration
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_latency_above_the_limit_fails() {
    let place = Place::new();
    let builder = MockCapi::builder()
        .front()
        .asg_time(Duration::from_millis(200));
    let foundation = Foundation::with(builder).await;
    let router = foundation.mock.uri();
    let args = [
        "test",
        "--router",
        &router,
        "--asg-latency",
        "--repeat",
        "2",
        "--fail-above",
    ];
    let on = |limit: &'static str| {
        let args: Vec<&str> = args.into_iter().chain([limit]).collect();
        place.on(&foundation.mock, CONFIG, &args)
    };
    let slow = on("100ms");
    assert_eq!(slow.code, 1, "{}", slow.stderr);
    assert!(
        slow.stdout.starts_with("security-group-binding: p50 "),
        "{}",
        slow.stdout
    );
    assert!(
        slow.stderr
            .contains("error: security-group-binding: the 95th percentile is "),
        "{}",
        slow.stderr
    );
    assert_eq!(on("10m").code, 0);
}

//! The client renews tokens once for all requests, respects rate limits, retries only
//! unprocessed requests, ends every wait, and sends tokens to no other host.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Fixture, SMALL, Workflow, admin, connect, desired, login, read, target};
use cf_pusher::{
    Approval, Client, ConnectOptions, Converger, Counts, Credentials, Error, Event, EventSink,
    Events,
};
use mock_capi::{CloudController, Fault, MockCapi};
use rstest::rstest;
use serde_json::json;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

async fn connect_as(mock: &MockCapi, credentials: Credentials) -> Result<Client, Error> {
    let target = ConnectOptions::new(mock.uri(), credentials)
        .concurrency(20)
        .timeout(Duration::from_secs(20));
    Client::connect(&target, Events::default()).await
}

#[tokio::test]
async fn a_wrong_password_has_its_own_error() {
    let mock = MockCapi::builder().start().await.unwrap();
    let credentials = admin("wrong");
    let error = connect_as(&mock, credentials).await.unwrap_err();
    assert!(error.is_connection());
    let message = error.to_string().replace(&mock.uri(), "API");
    assert!(message.contains("Bad credentials"), "{message}");
    assert!(!message.contains("wrong"), "{message}");
}

#[tokio::test]
async fn a_client_logs_in_with_its_secret() {
    let builder = MockCapi::builder().client("pusher", "s3cret");
    let mock = builder.start().await.unwrap();
    let credentials = |secret: &str| Credentials::Client {
        id: "pusher".to_owned(),
        secret: secret.into(),
    };
    assert!(connect_as(&mock, credentials("s3cret")).await.is_ok());
    let error = connect_as(&mock, credentials("other")).await.unwrap_err();
    assert!(error.is_connection(), "{error}");
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all_tasks() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let logins = || {
        fixture
            .counts
            .get()
            .requests_by_endpoint
            .iter()
            .filter(|(endpoint, _)| endpoint.ends_with("/oauth/token"))
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    assert_eq!(logins(), 1);
    fixture.converge_up_to_date(SMALL).await;
    assert_eq!(logins(), 1, "one token serves a run");
    fixture.mock.expire_tokens();
    assert_eq!(fixture.verify(SMALL).await, []);
    assert_eq!(
        logins(),
        2,
        "three requests at once were refused, one renewal served them"
    );
}

/// Counts the requests that were refused because of their token.
#[derive(Default)]
struct Refusals(AtomicUsize);

impl EventSink for Refusals {
    fn handle(&self, event: &Event) {
        let refused = matches!(
            event,
            Event::Request {
                status: Some(401),
                ..
            }
        );
        self.0.fetch_add(usize::from(refused), Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let lifetime = Duration::from_secs(2);
    let builder = MockCapi::builder().token_lifetime(lifetime);
    let mock = builder.start().await.unwrap();
    let refusals = Arc::new(Refusals::default());
    let client = connect(&mock, [Arc::clone(&refusals) as Arc<dyn EventSink>]).await;
    let (config, sources) = read(SMALL, None);
    let converger = Converger::new(client.clone(), desired(&config, &sources));
    // The loop runs past the time of the renewal: a tenth of the lifetime before expiry.
    for _ in 0..5 {
        assert!(!converger.verify().await.unwrap().is_empty());
        tokio::time::sleep(lifetime / 4).await;
    }
    assert_eq!(refusals.0.load(Ordering::Relaxed), 0);
    let logins = mock.stats().by_route;
    assert!(
        logins
            .iter()
            .any(|(route, count)| route.ends_with("/oauth/token") && *count >= 2)
    );
}

#[tokio::test]
async fn a_run_waits_until_a_rate_limit_is_reset() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let limit = Fault::answer("*", "/v3/*", 429)
        .retry_after(Duration::from_secs(1))
        .skip(20)
        .times(3);
    fixture.mock.set_faults(vec![limit]).unwrap();
    let began = Instant::now();
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 7);
    assert!(began.elapsed() >= Duration::from_secs(1));
    let counts = fixture.counts.get();
    assert_eq!((counts.rate_limited, counts.retries), (3, 3));
}

#[tokio::test]
async fn requests_are_spread_over_the_window_of_a_rate_limit() {
    let window = Duration::from_secs(3);
    let workflow = Workflow::PerApp;
    let fixture = Fixture::with(workflow, workflow.foundation().rate_limit(60, window)).await;
    let began = Instant::now();
    assert_eq!(
        fixture
            .converge_up_to_date(r#"{"proxy_applications": 9}"#)
            .await,
        10
    );
    let counts = fixture.counts.get();
    assert!(counts.requests > 60, "one window is not enough");
    assert!(began.elapsed() >= window);
    assert_eq!((counts.rate_limited, counts.retries), (0, 0));
}

#[tokio::test]
async fn a_rate_limit_with_plenty_left_delays_nothing() {
    let hour = Duration::from_secs(60 * 60);
    let workflow = Workflow::PerApp;
    let fixture = Fixture::with(workflow, workflow.foundation().rate_limit(1000, hour)).await;
    // At an even rate, these requests would take an hour.
    fixture.converge_up_to_date(SMALL).await;
    assert_eq!(fixture.counts.get().rate_limited, 0);
}

#[rstest]
#[case::at_once(Duration::ZERO)]
#[case::never(Duration::from_secs(u64::MAX))]
#[tokio::test]
async fn an_implausible_rate_limit_does_no_harm(#[case] asked: Duration) {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let limit = Fault::answer("GET", "/v3/organizations", 429).retry_after(asked);
    fixture.mock.set_faults(vec![limit]).unwrap();
    let (config, sources) = read(SMALL, None);
    let target = target(&fixture.mock).timeout(Duration::from_secs(2));
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let converger = Converger::new(client.clone(), desired(&config, &sources));
    let refused = converger.plan().await.unwrap_err().to_string();
    assert!(refused.contains("429"), "{refused}");
    assert!(
        fixture.mock.stats().total < 30,
        "the client waits between attempts"
    );
}

#[tokio::test]
async fn a_login_survives_a_short_failure_of_the_uaa() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let credentials = tokens_of_the_cf_cli(&fixture).await;
    let target = ConnectOptions::new(fixture.mock.uri(), credentials)
        .concurrency(20)
        .timeout(Duration::from_secs(2));
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let (config, sources) = read(SMALL, None);
    let converger = Converger::new(client.clone(), desired(&config, &sources));
    fixture.mock.expire_tokens();
    fixture
        .mock
        .set_faults(vec![Fault::answer("POST", "/uaa/oauth/token", 503)])
        .unwrap();
    let failed = converger.plan().await.unwrap_err().to_string();
    assert!(failed.contains("503"), "{failed}");
    fixture.mock.set_faults(Vec::new()).unwrap();
    assert!(converger.plan().await.is_ok());
}

#[rstest]
#[case::server_error(500)]
#[case::bad_gateway(502)]
#[case::unavailable(503)]
#[tokio::test]
async fn a_failed_read_is_retried(#[case] status: u16) {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture
        .mock
        .set_faults(vec![
            Fault::answer("GET", "/v3/organizations", status).times(2),
        ])
        .unwrap();
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 7);
    assert_eq!(fixture.counts.get().retries, 2);
}

#[tokio::test]
async fn a_write_without_a_response_is_checked_by_observing() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture
        .mock
        .set_faults(vec![
            Fault::answer("POST", "/v3/apps", 502).skip(2).times(1),
        ])
        .unwrap();
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 7);
    assert_eq!(
        fixture.counts.get().retries,
        0,
        "the write was not retried blindly"
    );
    assert_eq!(fixture.mock.state()["apps"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn a_failed_copy_fails_one_app_and_the_next_run_repairs_it() {
    let builder = MockCapi::builder().start_time(Duration::from_millis(100));
    let copy = Fault::failed_copy().of("scale-tick-2").times(1);
    let fixture = Fixture::with(Workflow::Manifest, builder.faults(vec![copy])).await;
    let outcome = fixture.converge(SMALL).await;
    assert_eq!((outcome.changed(), outcome.failed()), (6, 1));
    let failures: Vec<String> = outcome
        .failures
        .iter()
        .map(|it| it.target.to_string())
        .collect();
    assert_eq!(failures, ["app scale-tick-2"]);
    assert_eq!(
        outcome.failures[0].step,
        "waiting for the copy of the droplet"
    );
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 1);
}

#[tokio::test]
async fn temporary_failures_are_retried_despite_permanent_ones() {
    let fixture = Fixture::with(
        Workflow::Manifest,
        MockCapi::builder().faults(vec![
            Fault::failed_staging().of("scale-registry"),
            Fault::answer("POST", "/v3/routes", 502).skip(1).times(1),
        ]),
    )
    .await;
    let outcome = fixture.converge(SMALL).await;
    assert_eq!((outcome.changed(), outcome.failed()), (6, 1));
    let failures: Vec<String> = outcome
        .failures
        .iter()
        .map(|it| it.target.to_string())
        .collect();
    assert_eq!(failures, ["app scale-registry"]);
}

#[tokio::test]
async fn a_wait_that_times_out_reports_the_last_state() {
    let builder = MockCapi::builder().staging_time(Duration::from_secs(3600));
    let mock = builder.start().await.unwrap();
    let target = target(&mock).timeout(Duration::from_secs(2));
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let (config, sources) = read(SMALL, None);
    let outcome = Converger::new(client.clone(), desired(&config, &sources))
        .converge(Approval::All)
        .await
        .unwrap();
    let failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(failures.join("\n"), @r"
    app scale-registry: staging failed: staging of scale-registry timed out after 2s: last state: STAGING
    app scale-tick-0: staging failed: staging of scale-tick-0 timed out after 2s: last state: STAGING
    app scale-proxy-0: staging failed: staging of scale-proxy-0 timed out after 2s: last state: STAGING
    ");
}

#[tokio::test]
async fn instances_that_never_run_are_reported_at_the_deadline() {
    let builder = MockCapi::builder().start_time(Duration::from_secs(3600));
    let mock = builder.start().await.unwrap();
    let target = target(&mock).timeout(Duration::from_secs(2));
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let (config, sources) = read(r#"{"proxy_applications": 1}"#, None);
    let outcome = Converger::new(client.clone(), desired(&config, &sources))
        .converge(Approval::All)
        .await
        .unwrap();
    let mismatches: Vec<String> = outcome.drift.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(mismatches.join("\n"), @r"
    app scale-registry: 0 of 1 instances running (1 STARTING)
    app scale-proxy-0: 0 of 1 instances running (1 STARTING)
    ");
    assert_eq!((outcome.changed(), outcome.failed()), (0, 2));
}

#[tokio::test]
async fn an_unreachable_api_is_reported_immediately() {
    let began = Instant::now();
    let credentials = admin("admin");
    let target = ConnectOptions::new("http://127.0.0.1:9", credentials);
    let error = Client::connect(&target, Events::default())
        .await
        .unwrap_err();
    assert!(error.is_connection());
    assert!(
        error
            .to_string()
            .starts_with("cannot reach http://127.0.0.1:9/"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_that_is_not_a_cloud_controller_is_reported() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("<html>hello</html>"))
        .mount(&server)
        .await;
    let credentials = admin("admin");
    let target = ConnectOptions::new(server.uri(), credentials);
    let error = Client::connect(&target, Events::default())
        .await
        .unwrap_err();
    assert!(error.is_connection());
    let message = error.to_string();
    assert!(
        message.contains("the server is not a Cloud Controller"),
        "{message}"
    );
}

#[tokio::test]
async fn an_unsupported_api_version_is_reported() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "links": {"uaa": {"href": server.uri()}, "cloud_controller_v3": {"meta": {"version": "3.50.0"}}}
        })))
        .mount(&server)
        .await;
    let target = ConnectOptions::new(server.uri(), admin("admin"));
    let error = Client::connect(&target, Events::default())
        .await
        .unwrap_err();
    let message = error.to_string().replace(&server.uri(), "http://api");
    insta::assert_snapshot!(message, @"unsupported version 3.50.0 of the v3 API at http://api/, must be 3.84 or later, or the API of 2017");
}

#[tokio::test]
async fn a_server_that_hangs_up_or_never_responds_is_reported() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let credentials = admin("admin");
    let target = ConnectOptions::new(api, credentials).timeout(Duration::from_secs(1));
    // No connection is accepted, so there is no response.
    let silent = Client::connect(&target, Events::default()).await;
    assert!(silent.unwrap_err().is_connection());
    let hangs_up = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    let error = tokio::select! {
        connected = Client::connect(&target, Events::default()) => connected.unwrap_err(),
        never = hangs_up => never,
    };
    assert!(error.is_connection(), "{error}");
}

#[tokio::test]
async fn no_token_goes_to_another_host() {
    let (api, elsewhere) = (MockServer::start().await, MockServer::start().await);
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({})))
        .expect(0)
        .mount(&elsewhere)
        .await;
    Mock::given(method("GET"))
        .and(path("/"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "links": {"uaa": {"href": api.uri()}, "cloud_controller_v3": {"meta": {"version": "3.200.0"}}}
        })))
        .mount(&api)
        .await;
    Mock::given(path("/oauth/token"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({"access_token": "t", "expires_in": 600})),
        )
        .mount(&api)
        .await;
    Mock::given(wiremock::matchers::path_regex("^/v3/.*"))
        .respond_with(
            ResponseTemplate::new(302).insert_header("location", elsewhere.uri().as_str()),
        )
        .mount(&api)
        .await;
    let credentials = Credentials::Client {
        id: "a".to_owned(),
        secret: "b".into(),
    };
    let target = ConnectOptions::new(api.uri(), credentials);
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let (config, sources) = read(SMALL, None);
    let refused = Converger::new(client.clone(), desired(&config, &sources))
        .plan()
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("it redirects to "),
        "{refused}"
    );
    elsewhere.verify().await;
}

#[tokio::test]
async fn concurrency_is_bounded() {
    let latency = Duration::from_millis(10);
    let mock = MockCapi::builder().latency(latency).start().await.unwrap();
    let counts = Arc::new(Counts::default());
    let target = target(&mock).concurrency(1);
    let events = Events::new([Arc::clone(&counts) as Arc<dyn EventSink>]);
    let client = Client::connect(&target, events).await.unwrap();
    let (config, sources) = read(r#"{"proxy_applications": 2}"#, None);
    let began = Instant::now();
    let outcome = Converger::new(client.clone(), desired(&config, &sources))
        .converge(Approval::All)
        .await
        .unwrap();
    assert!(outcome.is_converged());
    // Requests run one at a time, so even a fast machine needs this time.
    let requests = u32::try_from(counts.get().requests).unwrap();
    assert!(began.elapsed() >= latency * (requests - 2));
}

/// Records the limits of concurrent requests.
#[derive(Default)]
struct Limits(std::sync::Mutex<Vec<usize>>);

impl Limits {
    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl EventSink for Limits {
    fn handle(&self, event: &Event) {
        if let Event::Concurrency { limit } = event {
            self.0.lock().unwrap().push(*limit);
        }
    }
}

#[tokio::test]
async fn concurrency_grows_with_responses_and_is_halved_by_an_overload() {
    let latency = Duration::from_millis(20);
    let mock = MockCapi::builder().latency(latency).start().await.unwrap();
    let limits = Arc::new(Limits::default());
    let client = connect(&mock, [Arc::clone(&limits) as Arc<dyn EventSink>]).await;
    let (config, sources) = read(r#"{"proxy_applications": 40}"#, None);
    let converger = Converger::new(client.clone(), desired(&config, &sources));
    assert!(
        converger
            .converge(Approval::All)
            .await
            .unwrap()
            .is_converged()
    );
    let grown = limits.take();
    assert_eq!(grown[..2], [4, 5], "{grown:?}");
    // On a busy machine, late responses lower the limit in between.
    assert!(grown.iter().all(|limit| *limit <= 20), "{grown:?}");

    let fault = Fault::answer("GET", "/v3/*", 503).times(1);
    mock.set_faults(vec![fault]).unwrap();
    assert!(converger.verify().await.unwrap().is_empty());
    let mut after = vec![*grown.last().unwrap()];
    after.extend(limits.take());
    let was_halved = after.windows(2).any(|pair| pair[1] == pair[0] / 2);
    assert!(was_halved, "{after:?}");
}

async fn tokens_of_the_cf_cli(fixture: &Fixture) -> Credentials {
    let login = login(&fixture.mock).await;
    let token = |name: &str| login[name].as_str().unwrap().to_owned().into();
    Credentials::Tokens {
        access: token("access_token"),
        refresh: token("refresh_token"),
        client: "cf".to_owned(),
        client_secret: "".into(),
    }
}

#[tokio::test]
async fn a_login_of_the_cf_cli_is_renewed_with_its_refresh_token() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let target = ConnectOptions::new(fixture.mock.uri(), tokens_of_the_cf_cli(&fixture).await)
        .concurrency(20)
        .timeout(Duration::from_secs(20));
    let client = Client::connect(&target, Events::default()).await.unwrap();
    fixture.mock.expire_tokens();
    let (config, sources) = read(SMALL, None);
    let converger = Converger::new(client.clone(), desired(&config, &sources));
    assert!(
        converger
            .converge(Approval::All)
            .await
            .unwrap()
            .is_converged()
    );
}

/// An API with endless lists.
struct EndlessPages(AtomicUsize);

impl wiremock::Respond for EndlessPages {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        let page = self.0.fetch_add(1, Ordering::Relaxed);
        let next = format!("{}?page={page}", request.url.path());
        ResponseTemplate::new(200).set_body_json(json!({
            "pagination": {"next": {"href": next}}, "resources": []
        }))
    }
}

#[tokio::test]
async fn an_endless_list_is_abandoned_at_the_deadline() {
    let api = MockServer::start().await;
    Mock::given(path("/"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "links": {"uaa": {"href": api.uri()}, "cloud_controller_v3": {"meta": {"version": "3.200.0"}}}
        })))
        .mount(&api)
        .await;
    Mock::given(path("/oauth/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"access_token": "t"})))
        .mount(&api)
        .await;
    Mock::given(method("GET"))
        .and(wiremock::matchers::path_regex("^/v3/.*"))
        .respond_with(EndlessPages(AtomicUsize::new(0)))
        .mount(&api)
        .await;
    let credentials = Credentials::Client {
        id: "a".to_owned(),
        secret: "b".into(),
    };
    let target = ConnectOptions::new(api.uri(), credentials).timeout(Duration::from_secs(1));
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let (config, sources) = read(SMALL, None);
    let error = Converger::new(client.clone(), desired(&config, &sources))
        .plan()
        .await
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("reading a list page by page timed out after 1s"),
        "{message}"
    );
}

#[tokio::test]
async fn resources_without_a_list_are_read_app_by_app() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let app = fixture.app("scale-tick-1").await;
    let path = format!("/v3/apps/{app}/environment_variables");
    fixture
        .curl("PATCH", &path, json!({"var": {"START_PORT": "1"}}))
        .await;
    fixture
        .mock
        .set_faults(vec![
            Fault::answer("POST", "/v3/spaces/:guid/manifest_diff", 404),
            Fault::answer("GET", "/v3/processes", 400).times(1),
        ])
        .unwrap();
    let mismatches: Vec<String> = fixture
        .verify(SMALL)
        .await
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        mismatches,
        ["app scale-tick-1: env START_PORT is 1, desired 7000"]
    );
    let by_endpoint = fixture.counts.get().requests_by_endpoint;
    assert_eq!(by_endpoint["GET /v3/apps/:guid/manifest"], 7);
    assert_eq!(by_endpoint["GET /v3/processes/:guid/stats"], 7);
}

#[tokio::test]
async fn pages_are_followed() {
    // Pages of v2 have at most 100 resources, and the space has 201 routes.
    let fixture = Fixture::new(Workflow::Documented2017).await;
    fixture
        .converge_up_to_date(crate::support::SCALE_TEST)
        .await;
    assert_eq!(fixture.verify(crate::support::SCALE_TEST).await, []);
    let pages = fixture.counts.get().requests_by_endpoint["GET /v2/spaces/:guid/routes"];
    assert!(pages >= 6, "{pages}");
    let client = connect(&fixture.mock, []).await;
    assert_eq!(client.api(), fixture.mock.uri());
}

/// Compiles only if a client can be shared and every call can be spawned on a runtime.
#[test]
fn clients_are_owned_and_futures_of_public_methods_are_send() {
    fn is_owned<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
    fn is_send<T: Send>(_: T) {}
    fn calls(options: &ConnectOptions, converger: &Converger) {
        is_send(Client::connect(options, Events::default()));
        is_send(converger.plan());
        is_send(converger.verify());
        is_send(converger.converge(Approval::All));
        is_send(converger.destroy(Approval::All));
    }
    is_owned::<Client>();
    let _ = calls;
}

#[tokio::test]
async fn debug_output_of_a_client_has_no_secrets() {
    let mock = MockCapi::builder().start().await.unwrap();
    let options = ConnectOptions::new(mock.uri(), admin("admin"));
    let client = Client::connect(&options, Events::default()).await.unwrap();
    let shown = format!("{:?}", client.clone());
    assert_eq!(
        shown,
        format!("Client {{ api: {:?}, dialect: V3, .. }}", mock.uri())
    );
}

#[tokio::test]
async fn server_times_are_summed_by_endpoint() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let fake: CloudController = (*fixture.mock).clone();
    Mock::given(method("POST"))
        .and(path("/v3/deployments"))
        .respond_with(move |request: &Request| {
            fake.respond(request).insert_header("X-Runtime", "0.25")
        })
        .mount(fixture.mock.server())
        .await;
    fixture.converge_up_to_date(SMALL).await;
    let counts = fixture.counts.get();
    let deployments = counts.requests_by_endpoint["POST /v3/deployments"];
    assert_eq!(
        counts.server_ms_by_endpoint["POST /v3/deployments"],
        250 * deployments
    );
    assert_eq!(counts.server_ms(), Some(250 * deployments));
}

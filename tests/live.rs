//! Convergence and the scaling test on a real foundation:
//!
//! ```text
//! eval "$(scripts/bosh-lite)" && cargo test --test live -- --ignored
//! eval "$(scripts/kind)" && cargo test --test live -- --ignored
//! ```
//!
//! Needs `CF_API` and `CF_USERNAME` with `CF_PASSWORD` (or `CF_CLIENT_ID` with
//! `CF_CLIENT_SECRET`), and honours `CF_SKIP_SSL_VALIDATION`. `CF_ROUTER` is the URL of
//! the router, if DNS does not resolve the domain of the apps, and `CF_POLICY_WAIT` the
//! seconds that network policies need to take effect (15). The names of all resources
//! that the tests create begin with `cf-pusher-live-`, and the tests delete them at the
//! end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by that"
)]

use std::env;
use std::time::Duration;

use cf_pusher::scale_test::Tester;
use cf_pusher::{
    Approval, Client, ConnectOptions, Converger, Credentials, Events, Outcome, ScalingTest, Sources,
};

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn target() -> Option<ConnectOptions> {
    let password = || {
        Some(Credentials::Password {
            username: variable("CF_USERNAME")?,
            password: variable("CF_PASSWORD")?.into(),
        })
    };
    let client = || {
        Some(Credentials::Client {
            id: variable("CF_CLIENT_ID")?,
            secret: variable("CF_CLIENT_SECRET")?.into(),
        })
    };
    let skip = variable("CF_SKIP_SSL_VALIDATION");
    Some(
        ConnectOptions::new(variable("CF_API")?, password().or_else(client)?)
            .skip_ssl_validation(skip.is_some_and(|value| !matches!(value.as_str(), "false" | "0")))
            .timeout(Duration::from_secs(10 * 60)),
    )
}

fn config(instances: u32, ticks: u32) -> ScalingTest {
    let text = format!(
        r#"{{
            "prefix": "cf-pusher-live-", "concurrency": 8, "asg_size": 3,
            "proxy_applications": 2, "proxy_instances": 1,
            "test_applications": {ticks}, "test_app_instances": {instances}
        }}"#
    );
    ScalingTest::parse(&text, "live").unwrap()
}

fn converger(client: &Client, config: &ScalingTest) -> Converger {
    let sources = Sources::read(config, None).unwrap();
    Converger::new(client.clone(), config.desired(&sources).unwrap())
}

async fn converge(client: &Client, config: &ScalingTest) -> Outcome {
    let converger = converger(client, config);
    let outcome = converger.converge(Approval::All).await.unwrap();
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(converger.verify().await.unwrap(), []);
    outcome
}

#[tokio::test]
#[ignore = "needs a foundation: CF_API, CF_USERNAME and CF_PASSWORD"]
async fn a_foundation_is_converged_scaled_and_left_as_it_was() {
    let target = target().expect(
        "set CF_API, and CF_USERNAME with CF_PASSWORD or CF_CLIENT_ID with CF_CLIENT_SECRET, to the foundation to test on",
    );
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let small = config(1, 2);
    let converger = converger(&client, &small);
    // An earlier run may have been killed.
    converger
        .clone()
        .force(true)
        .destroy(Approval::All)
        .await
        .unwrap();

    assert_eq!(converge(&client, &small).await.changed(), 5);
    let up = converge(&client, &config(2, 3)).await;
    assert_eq!(
        (up.changed(), up.unchanged()),
        (3, 3),
        "two scaled, one created"
    );
    let down = converge(&client, &small).await;
    assert_eq!(
        (down.changed(), down.unchanged()),
        (3, 3),
        "two scaled, one deleted"
    );
    assert_eq!(converge(&client, &small).await.changed(), 0);

    let destroyed = converger.destroy(Approval::All).await.unwrap();
    assert_eq!(destroyed.targets.len(), 3);
    assert!(!converger.verify().await.unwrap().is_empty());
}

#[tokio::test]
#[ignore = "needs a foundation: CF_API, CF_USERNAME and CF_PASSWORD"]
async fn network_policies_are_tested_after_the_setup_and_before_the_teardown() {
    let target = target().expect("set CF_API, CF_USERNAME and CF_PASSWORD to the foundation");
    let client = Client::connect(&target, Events::default()).await.unwrap();
    let wait = variable("CF_POLICY_WAIT").unwrap_or_else(|| "15".to_owned());
    let text = format!(
        r#"{{
            "prefix": "cf-pusher-live-test-", "concurrency": 8,
            "proxy_applications": 2, "proxy_instances": 1,
            "test_applications": 2, "test_app_instances": 2,
            "extra_listen_ports": 1, "policy_update_wait_seconds": {wait}
        }}"#
    );
    let config = ScalingTest::parse(&text, "live").unwrap();
    let converger = converger(&client, &config);
    // An earlier run may have been killed.
    let teardown = converger.clone().force(true);
    teardown.destroy(Approval::All).await.unwrap();
    assert_eq!(converge(&client, &config).await.changed(), 5);

    let tester = Tester::new(client, config).settle(Duration::from_secs(5));
    let tester = match variable("CF_ROUTER") {
        Some(router) => tester.router(router),
        None => tester,
    };
    let tested = tester.run().await;
    let routes = tester.route_latency(2).await;
    // The teardown runs even after a failure.
    teardown.destroy(Approval::All).await.unwrap();
    let tested = tested.unwrap();
    assert!(tested.is_ok(), "{:#?}", tested.failures());
    assert_eq!(routes.unwrap().latency_ms.count, 2);
}

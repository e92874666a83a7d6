//! Use of the library by other crates: it can be spawned on a runtime, moved and shared.

use std::fmt::Debug;

use cf_pusher::clone::Cloner;
use cf_pusher::desired::{Desired, Org, Space};
use cf_pusher::manifest::Manifest;
use cf_pusher::push::{Push, PushPlan, PushSpace};
use cf_pusher::scale_test::{Clock, Tester};
use cf_pusher::{Approval, Client, ConnectOptions, Converger, Credentials, Events};
use mock_capi::MockCapi;
use tokio::task::JoinSet;

fn assert_owned<T: Send + Sync + Debug + 'static>() {}

fn assert_send<T: Send>(future: T) -> T {
    future
}

#[test]
fn the_main_types_are_owned_and_shareable() {
    assert_owned::<Client>();
    assert_owned::<ConnectOptions>();
    assert_owned::<Converger>();
    assert_owned::<Desired>();
    assert_owned::<Push>();
    assert_owned::<PushPlan>();
    assert_owned::<Cloner>();
    assert_owned::<Manifest>();
    assert_owned::<Tester>();
    assert_owned::<Clock>();
}

/// Fails to compile if the future of a public async method is not `Send`.
#[expect(dead_code, reason = "it is only compiled")]
async fn all_futures_are_send(
    options: ConnectOptions,
    client: Client,
    converger: Converger,
    push: Push,
    plan: PushPlan,
    cloner: Cloner,
    tester: Tester,
) {
    let _ = assert_send(Client::connect(&options, Events::default())).await;
    let _ = assert_send(converger.plan()).await;
    let _ = assert_send(converger.verify()).await;
    let _ = assert_send(converger.converge(Approval::All)).await;
    let _ = assert_send(converger.destroy(Approval::All)).await;
    let _ = assert_send(push.plan()).await;
    let _ = assert_send(push.run()).await;
    let _ = assert_send(plan.apply()).await;
    let _ = assert_send(cloner.run()).await;
    let _ = assert_send(tester.run()).await;
    let _ = assert_send(tester.route_latency(1)).await;
    let _ = assert_send(tester.asg_latency(1, None)).await;
    drop(client);
}

async fn connect(mock: &MockCapi) -> Client {
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let options = ConnectOptions::new(mock.uri(), credentials);
    Client::connect(&options, Events::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_convergences_run_on_a_join_set() {
    let mock = MockCapi::builder().start().await.unwrap();
    let client = connect(&mock).await;
    let mut runs = JoinSet::new();
    for org in ["one", "two"] {
        let org = Org::new(org).space(Space::new("space"));
        let desired = Desired::builder("join-set").org(org).build().unwrap();
        let converger = Converger::new(client.clone(), desired);
        runs.spawn(async move { converger.converge(Approval::All).await });
    }
    for outcome in runs.join_all().await {
        assert!(outcome.unwrap().is_converged());
    }
    let state = mock.state();
    assert_eq!(state["spaces"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_can_be_spawned() {
    let mock = MockCapi::builder().start().await.unwrap();
    let client = connect(&mock).await;
    let manifest = Manifest::parse("applications: [{name: dora}]", "test").unwrap();
    let push = Push::new(client, PushSpace::named("none", "none"), manifest);
    let error = tokio::spawn(async move { push.run().await });
    let error = error.await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "finding space none in org none failed: not found, or not visible to the user"
    );
}

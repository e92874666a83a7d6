//! The container network: addresses, the registry's list, connections that policies and
//! security groups allow, and faults.

use std::time::Duration;

use mock_capi::{Fault, MockCapi};
use reqwest::Method;
use serde_json::json;

use crate::common::scale::{DOMAIN, Scale};
use crate::common::{new_route, send};

#[tokio::test]
async fn each_instance_has_its_own_address_in_stats_and_in_the_registry() {
    let scale = Scale::new().await;
    let mut shown = Vec::new();
    for name in ["tick-0", "tick-1"] {
        let path = format!("/v3/apps/{}/processes/web/stats", scale.app(name));
        let stats = scale.cf.get(&path).await.json();
        for instance in stats["resources"].as_array().unwrap() {
            let ip = instance["instance_internal_ip"].as_str().unwrap();
            assert!(ip.starts_with("10.255."), "{ip}");
            assert!(instance["host"].as_str().unwrap().starts_with("10.0."));
            shown.push((name.to_owned(), format!("{ip}:8080")));
        }
    }
    shown.sort();
    assert_eq!(shown.len(), 3);
    assert_eq!(scale.registered().await, shown);
    shown.dedup_by(|a, b| a.1 == b.1);
    assert_eq!(shown.len(), 3);
    // A restarted instance has a new address, and the others keep theirs.
    let app = scale.app("tick-0");
    let path = format!("/v3/apps/{app}/processes/web/instances/0");
    scale.cf.mock.advance(Duration::from_secs(1));
    assert_eq!(scale.cf.delete(&path).await.status, 204);
    let now = scale.registered().await;
    assert!(
        now.contains(&shown[1]) && now.contains(&shown[2]),
        "{now:?}"
    );
    let answering = scale
        .cf
        .get(&format!("/v3/apps/{app}/processes/web/stats"))
        .await;
    let moved = &answering.json()["resources"][0]["instance_internal_ip"];
    assert!(
        !shown
            .iter()
            .any(|(_, it)| it.starts_with(moved.as_str().unwrap()))
    );
}

#[tokio::test]
async fn addresses_survive_a_snapshot() {
    let scale = Scale::new().await;
    let before = scale.registered().await;
    let url = format!("{}/_mock/snapshot", scale.cf.mock.uri());
    let snapshot = send(scale.cf.http.get(&url)).await.json();
    scale.push("tick-2", 3, &[]);
    assert_eq!(scale.registered().await.len(), 6);
    let restored = send(scale.cf.http.put(&url).json(&snapshot)).await;
    assert_eq!(restored.status, 204, "{restored:?}");
    assert_eq!(scale.registered().await, before);
    scale.allow("proxy-0", "tick-1", (8080, 8080)).await;
    let (status, text) = scale.connect(&before[2].1).await;
    assert_eq!(status, 200, "{text}");
}

#[tokio::test]
async fn the_registry_lists_ticks_until_a_ttl_after_they_stop() {
    let scale = Scale::new().await;
    assert_eq!(scale.names().await, ["tick-0", "tick-0", "tick-1"]);
    let app = scale.app("tick-1");
    assert_eq!(scale.cf.act(&app, "stop").await.status, 200);
    scale.cf.mock.advance(Duration::from_secs(179));
    assert_eq!(scale.names().await, ["tick-0", "tick-0", "tick-1"]);
    scale.cf.mock.advance(Duration::from_secs(2));
    assert_eq!(scale.names().await, ["tick-0", "tick-0"]);
    // The instances of a deleted app end as well.
    let app = scale.app("tick-0");
    assert_eq!(
        scale.cf.delete(&format!("/v3/apps/{app}")).await.status,
        202
    );
    assert_eq!(scale.names().await.len(), 2);
    scale.cf.mock.advance(Duration::from_secs(181));
    assert!(scale.names().await.is_empty());
}

#[tokio::test]
async fn a_tick_registers_only_with_its_own_registry() {
    let scale = Scale::new().await;
    let elsewhere = [("REGISTRY_BASE_URL", "http://registry.elsewhere.test")];
    scale.push("tick-9", 1, &elsewhere);
    scale.cf.mock.org("o").space("s").app("echo-1").started();
    assert_eq!(scale.names().await, ["tick-0", "tick-0", "tick-1"]);
    let services = scale.get("registry", "/api/v1/services").await.json();
    assert_eq!(services, json!({"services": ["tick-0", "tick-1"]}));
}

#[tokio::test]
async fn a_restarted_registry_lists_all_ticks_within_a_quarter_of_the_ttl() {
    let scale = Scale::new().await;
    scale.cf.mock.advance(Duration::from_secs(100));
    let registry = scale.app("registry");
    assert_eq!(scale.cf.act(&registry, "restart").await.status, 200);
    assert!(scale.names().await.is_empty());
    scale.cf.mock.advance(Duration::from_secs(45));
    assert_eq!(scale.names().await.len(), 3);
}

#[tokio::test]
async fn a_deregistered_tick_returns_with_its_next_registration() {
    let scale = Scale::new().await;
    let listed = scale.get("registry", "/api/v1/instances").await.json();
    let id = listed["instances"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/instances/{id}");
    let heartbeat = scale
        .ask(Method::PUT, "registry", &format!("{path}/heartbeat"))
        .await;
    assert_eq!(heartbeat.status, 200);
    assert_eq!(
        scale.ask(Method::DELETE, "registry", &path).await.status,
        200
    );
    let gone = scale.ask(Method::DELETE, "registry", &path).await;
    assert_eq!(gone.status, 410);
    assert_eq!(gone.json(), json!({"error": "no such instance"}));
    assert_eq!(scale.names().await.len(), 2);
    scale.cf.mock.advance(Duration::from_secs(45));
    assert_eq!(scale.names().await.len(), 3);
}

#[tokio::test]
async fn a_proxy_connects_where_a_policy_allows_it() {
    let policy_time = Duration::from_secs(5);
    let scale = Scale::start(MockCapi::builder().policy_time(policy_time)).await;
    let ip = scale.ip("tick-0", 0).await;
    let first = format!("{ip}:8080");
    let refused = |address: &str| {
        let text = format!(
            "request failed: Get \"http://{address}\": dial tcp {address}: connect: connection refused\n"
        );
        (500, text)
    };
    assert_eq!(scale.connect(&first).await, refused(&first));
    scale.allow("proxy-0", "tick-0", (7000, 8080)).await;
    scale.cf.mock.advance(Duration::from_secs(4));
    assert_eq!(scale.connect(&first).await, refused(&first));
    scale.cf.mock.advance(Duration::from_secs(1));
    for address in [
        first.clone(),
        format!("{ip}:7000"),
        format!("{ip}:7001/x?y=z"),
    ] {
        let (status, text) = scale.connect(&address).await;
        let expected = "{\"application_name\":\"tick-0\",\"instance_index\":0}\n";
        assert_eq!((status, text.as_str()), (200, expected), "{address}");
    }
    // There is no policy, nothing listens on the port, or no instance has the address.
    let other = format!("{}:8080", scale.ip("tick-1", 0).await);
    assert_eq!(scale.connect(&other).await, refused(&other));
    let closed = format!("{ip}:7002");
    assert_eq!(scale.connect(&closed).await, refused(&closed));
    let (status, text) = scale.connect("10.255.3.200:8080").await;
    assert_eq!(status, 500);
    assert!(text.ends_with("connect: no route to host\n"), "{text}");
    // The policy does not apply in the other direction, nor after it was deleted.
    let policies = scale
        .cf
        .get("/networking/v1/external/policies")
        .await
        .json();
    let gone = json!({"policies": policies["policies"]});
    let path = "/networking/v1/external/policies/delete";
    assert_eq!(scale.cf.post(path, gone).await.status, 200);
    assert_eq!(scale.connect(&first).await, refused(&first));
    // An instance can reach itself, apps can reach the router, and names are resolved.
    let (status, text) = scale.connect("localhost:8080/echosourceip").await;
    assert_eq!((status, text.as_str()), (200, "127.0.0.1"));
    let (status, text) = scale.connect(&format!("tick-1.{DOMAIN}/")).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("tick-1"), "{text}");
    let (status, text) = scale.connect("nowhere.test").await;
    assert_eq!(status, 500);
    assert!(text.contains("lookup nowhere.test on"), "{text}");
}

#[tokio::test]
async fn a_proxy_that_calls_itself_endlessly_is_stopped() {
    let scale = Scale::new().await;
    let again = "localhost:8080/proxy/".repeat(40);
    let (status, text) = scale.connect(&format!("{again}localhost:8080/stats")).await;
    assert_eq!(status, 500);
    assert!(text.contains("deadline exceeded"), "{text}");
}

#[tokio::test]
async fn security_groups_take_effect_after_their_delay() {
    let scale = Scale::start(MockCapi::builder().asg_time(Duration::from_secs(10))).await;
    let address = "192.0.2.7:443";
    let (status, text) = scale.connect(address).await;
    assert_eq!(status, 500);
    assert!(
        text.contains("dial tcp 192.0.2.7:443: connect: connection refused"),
        "{text}"
    );
    let spaces = scale.cf.get("/v3/spaces").await.json();
    let space = &spaces["resources"][0]["guid"];
    let group = json!({
        "name": "out",
        "rules": [{"protocol": "tcp", "destination": "192.0.2.0/24", "ports": "443"}],
        "relationships": {"running_spaces": {"data": [{"guid": space}]}},
    });
    let group = scale.cf.post("/v3/security_groups", group).await.guid();
    assert_eq!(scale.connect(address).await.0, 500);
    scale.cf.mock.advance(Duration::from_secs(10));
    assert_eq!(
        scale.connect(address).await,
        (200, "mock-capi: 192.0.2.7:443\n".into())
    );
    assert_eq!(scale.connect("192.0.2.7:80").await.0, 500);
    let path = format!("/v3/security_groups/{group}/relationships/running_spaces");
    let path = format!("{path}/{}", space.as_str().unwrap());
    assert_eq!(scale.cf.delete(&path).await.status, 204);
    assert_eq!(scale.connect(address).await.0, 500);
}

#[tokio::test]
async fn faults_make_apps_unreachable_unregistered_or_slow() {
    let scale = Scale::new().await;
    scale.allow("proxy-0", "tick-0", (8080, 8080)).await;
    let first = scale.registered().await[0].1.clone();
    scale.faults(vec![
        Fault::unreachable().of("tick-0"),
        Fault::unregistered().of("tick-1"),
    ]);
    let (status, text) = scale.connect(&first).await;
    assert_eq!(status, 500);
    assert!(
        text.ends_with(&format!("dial tcp {first}: i/o timeout\n")),
        "{text}"
    );
    assert_eq!(scale.get("tick-0", "/").await.status, 502);
    assert_eq!(scale.get("tick-1", "/").await.status, 200);
    assert_eq!(scale.names().await, ["tick-0", "tick-0"]);
    let counts: Vec<u64> = scale.cf.mock.faults().iter().map(|it| it.applied).collect();
    assert_eq!(counts, [2, 1]);
    // A fraction of the connections fails, selected by the seed.
    scale.faults(vec![Fault::unreachable().of("tick-0").probability(0.5)]);
    let mut answered = 0;
    for _ in 0..64 {
        answered += u32::from(scale.get("tick-0", "/").await.status == 200);
    }
    assert!((1..64).contains(&answered), "{answered}");
    let delay = Duration::from_millis(60);
    scale.faults(vec![Fault::slow(delay).of("tick-0").by("GET", "/slow")]);
    let took = async |path: &str| {
        let before = std::time::Instant::now();
        assert_eq!(scale.get("tick-0", path).await.status, 200);
        before.elapsed()
    };
    assert!(took("/slow").await >= delay);
    took("/").await;
    assert_eq!(scale.cf.mock.faults()[0].applied, 1);
}

#[tokio::test]
async fn internal_names_lead_to_instances() {
    let scale = Scale::new().await;
    let domain = json!({"name": "apps.internal", "internal": true});
    let domain = scale.cf.post("/v3/domains", domain).await.guid();
    let spaces = scale.cf.get("/v3/spaces").await.json();
    let space = spaces["resources"][0]["guid"].as_str().unwrap().to_owned();
    let route = new_route(&space, &domain, "tick");
    let route = scale.cf.post("/v3/routes", route).await.guid();
    let destination = json!({"destinations": [{"app": {"guid": scale.app("tick-0")}}]});
    let path = format!("/v3/routes/{route}/destinations");
    assert_eq!(scale.cf.post(&path, destination).await.status, 200);
    let (first, second) = (scale.ip("tick-0", 0).await, scale.ip("tick-0", 1).await);
    let dig = async |name: &str| scale.get("proxy-0", &format!("/dig/{name}")).await.json();
    assert_eq!(dig("tick.apps.internal").await, json!([first, second]));
    assert_eq!(dig("1.tick.apps.internal").await, json!([second]));
    assert_eq!(dig("localhost").await, json!(["127.0.0.1"]));
    scale.allow("proxy-0", "tick-0", (8080, 8080)).await;
    let (status, text) = scale.connect("1.tick.apps.internal:8080").await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\"instance_index\":1"), "{text}");
}

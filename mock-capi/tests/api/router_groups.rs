//! TCP routes: router groups, their domains, and the ports of their routes.

use crate::common::{HttpResponse, Session};
use mock_capi::MockCapi;
use serde_json::{Value, json};

const GROUPS: &str = "/routing/v1/router_groups";

/// A foundation with a router group of three ports and two of its domains.
struct Tcp {
    cf: Session,
    space: String,
    domain: String,
    other: String,
}

impl Tcp {
    async fn new() -> Self {
        let builder = MockCapi::builder().router_group("default-tcp", 1024..=1026);
        let cf = Session::start(builder.add_user("dev", "pw")).await;
        let (_, space) = cf.space().await;
        let groups = cf.get(GROUPS).await.json();
        let group = &groups[0]["guid"];
        let mut domains = Vec::new();
        for name in ["tcp.mock.test", "other.mock.test"] {
            let body = json!({"name": name, "router_group": {"guid": group}});
            let created = cf.post("/v3/domains", body).await;
            assert_eq!(created.status, 201, "{created:?}");
            let domain = created.json();
            assert_eq!(domain["supported_protocols"], json!(["tcp"]));
            assert_eq!(domain["router_group"]["guid"], *group);
            domains.push(created.guid());
        }
        let other = domains.pop().unwrap();
        let domain = domains.pop().unwrap();
        Self {
            cf,
            space,
            domain,
            other,
        }
    }

    async fn create(&self, domain: &str, rest: Value) -> HttpResponse {
        let mut body = json!({"relationships": {
            "space": {"data": {"guid": self.space}},
            "domain": {"data": {"guid": domain}},
        }});
        body.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        self.cf.post("/v3/routes", body).await
    }

    async fn refusal(&self, domain: &str, rest: Value) -> String {
        let refused = self.create(domain, rest).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        refused.error().1
    }
}

#[tokio::test]
async fn router_groups_exist_only_if_configured() {
    let Tcp { mut cf, .. } = Tcp::new().await;
    let root = cf.get("/").await.json();
    let routing = format!("{}/routing", cf.mock.uri());
    assert_eq!(root["links"]["routing"]["href"], routing);
    assert_eq!(cf.get("/v2/info").await.json()["routing_endpoint"], routing);
    let groups = cf.get(GROUPS).await.json();
    assert_eq!(
        groups,
        json!([{
            "guid": groups[0]["guid"],
            "name": "default-tcp",
            "type": "tcp",
            "reservable_ports": "1024-1026",
        }])
    );
    let named = cf.get(&format!("{GROUPS}?name=default-tcp")).await.json();
    assert_eq!(named, groups);
    let missing = cf.get(&format!("{GROUPS}?name=other")).await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["name"], "ResourceNotFoundError");
    cf.log_in_as("dev", "pw").await;
    let refused = cf.get(GROUPS).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["name"], "UnauthorizedError");

    let without = Session::v3().await;
    assert_eq!(without.get(GROUPS).await.status, 404);
    let root = without.get("/").await.json();
    assert_eq!(root["links"]["routing"], Value::Null);
}

#[tokio::test]
async fn the_default_domain_belongs_to_no_router_group() {
    let tcp = Tcp::new().await;
    let unknown = json!({"name": "third.mock.test", "router_group": {"guid": "nope"}});
    let refused = tcp.cf.post("/v3/domains", unknown).await;
    assert_eq!(
        refused.error().1,
        "Router group with guid 'nope' not found."
    );
    let org = tcp.cf.create_org("more").await;
    let default = tcp.cf.default_domain(&org).await;
    assert!(![&tcp.domain, &tcp.other].contains(&&default));
}

#[tokio::test]
async fn a_port_belongs_to_one_route_of_the_group() {
    let tcp = Tcp::new().await;
    let created = tcp.create(&tcp.domain, json!({"port": 1025})).await;
    assert_eq!(created.status, 201, "{created:?}");
    let route = created.json();
    assert_eq!(route["protocol"], "tcp");
    assert_eq!(route["url"], "tcp.mock.test:1025");
    assert_eq!(route["port"], 1025);
    let refusals = [
        tcp.refusal(&tcp.domain, json!({"port": 1025})).await,
        tcp.refusal(&tcp.other, json!({"port": 1025})).await,
        tcp.refusal(&tcp.domain, json!({"port": 2000})).await,
        tcp.refusal(&tcp.domain, json!({"port": 0})).await,
        tcp.refusal(&tcp.domain, json!({"port": 1026, "host": "a"}))
            .await,
        tcp.refusal(&tcp.domain, json!({"port": 1026, "path": "/a"}))
            .await,
    ];
    let unavailable = |port: u16| {
        format!("Port '{port}' is not available. Try a different port or use a different domain.")
    };
    assert_eq!(
        refusals,
        [
            "Route already exists with port '1025' for domain 'tcp.mock.test'.".to_owned(),
            unavailable(1025),
            unavailable(2000),
            "Routes with protocol 'tcp' must specify a port.".to_owned(),
            "Hosts are not supported for TCP routes.".to_owned(),
            "Paths are not supported for TCP routes.".to_owned(),
        ]
    );
    // Without a port, a free one is chosen.
    let mut ports = Vec::new();
    for domain in [&tcp.domain, &tcp.other] {
        let route = tcp.create(domain, json!({})).await.json();
        ports.push(route["port"].as_u64().unwrap());
    }
    ports.sort_unstable();
    assert_eq!(ports, [1024, 1026]);
    assert_eq!(
        tcp.refusal(&tcp.domain, json!({})).await,
        "There are no more ports available for this domain."
    );
    let body = json!({"domain_guid": tcp.domain, "space_guid": tcp.space});
    let refused = tcp.cf.post("/v2/routes?generate_port=true", body).await;
    assert_eq!(
        refused.json()["description"],
        "There are no more ports available for router group: default-tcp. \
         Please contact your administrator for more information."
    );
}

#[tokio::test]
async fn quotas_limit_the_number_of_ports() {
    let tcp = Tcp::new().await;
    let quotas = tcp.cf.get("/v3/organization_quotas").await.json();
    let default = &quotas["resources"][0];
    assert_eq!(default["routes"]["total_reserved_ports"], 100);
    let path = format!(
        "/v3/organization_quotas/{}",
        default["guid"].as_str().unwrap()
    );
    let limit = json!({"routes": {"total_reserved_ports": 1}});
    assert_eq!(tcp.cf.patch(&path, limit).await.status, 200);
    assert_eq!(tcp.create(&tcp.domain, json!({})).await.status, 201);
    let refusal = tcp.refusal(&tcp.domain, json!({})).await;
    assert!(
        refusal.starts_with("Reserved route ports quota exceeded for organization '"),
        "{refusal}"
    );
}

#[tokio::test]
async fn manifests_and_destinations_use_the_protocol_of_the_route() {
    let tcp = Tcp::new().await;
    let manifest = "applications: [{name: web, routes: [{route: 'tcp.mock.test:1024'}]}]";
    let job = tcp.cf.applied(&tcp.space, manifest).await;
    assert_eq!(job["state"], "COMPLETE", "{job}");
    let app = tcp.cf.find_app("web").await;
    let routes = tcp.cf.get(&format!("/v3/apps/{app}/routes")).await.json();
    let route = &routes["resources"][0];
    assert_eq!(route["url"], "tcp.mock.test:1024");
    assert_eq!(route["destinations"][0]["protocol"], "tcp");
    let shown = tcp.cf.get(&format!("/v3/apps/{app}/manifest")).await.text;
    assert!(shown.contains("route: tcp.mock.test:1024"), "{shown}");
    assert!(shown.contains("protocol: tcp"), "{shown}");
    // The same manifest finds the route again.
    let again = tcp.cf.applied(&tcp.space, manifest).await;
    assert_eq!(again["state"], "COMPLETE", "{again}");
    let all = tcp.cf.get("/v3/routes").await.json();
    assert_eq!(all["pagination"]["total_results"], 1);
    let path = format!(
        "/v3/routes/{}/destinations",
        route["guid"].as_str().unwrap()
    );
    let http = json!({"destinations": [
        {"app": {"guid": app, "process": {"type": "worker"}}, "protocol": "http1"},
    ]});
    assert_eq!(
        tcp.cf.post(&path, http).await.error().1,
        "Cannot use 'http1' protocol for tcp routes; valid options are: [tcp]."
    );
}

#[tokio::test]
async fn v2_shows_router_groups_and_generates_ports() {
    let tcp = Tcp::new().await;
    let domain = tcp
        .cf
        .get(&format!("/v2/shared_domains/{}", tcp.domain))
        .await
        .json();
    assert_eq!(domain["entity"]["router_group_type"], "tcp");
    let body = json!({"domain_guid": tcp.domain, "space_guid": tcp.space});
    let missing = tcp.cf.post("/v2/routes", body.clone()).await;
    assert_eq!(
        missing.json()["description"],
        "The route is invalid: For TCP routes you must specify a port or request a random one."
    );
    let created = tcp.cf.post("/v2/routes?generate_port=true", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let port = created.json()["entity"]["port"].as_u64().unwrap();
    assert!((1024..=1026).contains(&port), "{port}");
}

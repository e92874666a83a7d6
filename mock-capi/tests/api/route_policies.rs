//! Policies of routes, and domains that enforce them.

use serde_json::{Value, json};

use crate::common::{Session, new_route};

/// A route in a domain that enforces policies with this scope.
async fn route(cf: &Session, scope: &str) -> String {
    let (org, space) = cf.space().await;
    let domain = json!({
        "name": "policies.example.com",
        "enforce_route_policies": true,
        "route_policies_scope": scope,
        "relationships": {"organization": {"data": {"guid": org}}},
    });
    let domain = cf.post("/v3/domains", domain).await;
    assert_eq!(domain.status, 201, "{domain:?}");
    assert_eq!(domain.json()["route_policies_scope"], scope);
    let new = new_route(&space, &domain.guid(), "host");
    cf.post("/v3/routes", new).await.guid()
}

fn policy(route: &str, source: &str) -> Value {
    json!({"source": source, "relationships": {"route": {"data": {"guid": route}}}})
}

#[tokio::test]
async fn a_policy_allows_a_source_for_a_route() {
    let cf = Session::v3().await;
    let route = route(&cf, "org").await;
    let app = "7d0bb8a1-4c9c-4f0e-9b1b-0f6d3a1f2c3d";
    let source = format!("cf:app:{app}");
    let created = cf.post("/v3/route_policies", policy(&route, &source)).await;
    assert_eq!(created.status, 201, "{created:?}");
    let shown = created.json();
    assert_eq!(shown["source"], source);
    assert_eq!(shown["relationships"]["app"]["data"]["guid"], app);
    assert_eq!(shown["relationships"]["space"]["data"], Value::Null);
    let path = format!("/v3/route_policies?sources={source}&route_guids={route}&include=route");
    let list = cf.get(&path).await.json();
    assert_eq!(list["pagination"]["total_results"], 1);
    assert_eq!(list["included"]["routes"][0]["guid"], route);
    for (source, text) in [
        (
            source.as_str(),
            format!("A route policy with source '{source}' already exists for this route."),
        ),
        (
            "cf:any",
            "source 'cf:any' cannot coexist with other route policies on the same route".into(),
        ),
        (
            "everyone",
            "Source must be in format 'cf:app:<uuid>', 'cf:space:<uuid>', 'cf:org:<uuid>', or 'cf:any'".into(),
        ),
    ] {
        let refused = cf.post("/v3/route_policies", policy(&route, source)).await;
        assert_eq!(refused.error(), (10008, text));
    }
    let path = format!("/v3/route_policies/{}", created.guid());
    let labelled = cf
        .patch(&path, json!({"metadata": {"labels": {"a": "b"}}}))
        .await;
    assert_eq!(labelled.json()["metadata"]["labels"]["a"], "b");
    assert_eq!(cf.delete(&path).await.status, 204);
    assert_eq!(
        cf.get(&path).await.error(),
        (10010, "Route policy not found".into())
    );
    let events = format!("/v3/audit_events?target_guids={}", created.guid());
    let events = cf.get(&events).await.json();
    let data = |at: usize| {
        let event = &events["resources"][at];
        assert_eq!(event["target"]["name"], source);
        (event["type"].clone(), event["data"].clone())
    };
    let request = json!({"source": source, "route_guid": route});
    assert_eq!(
        [data(0), data(1), data(2)],
        [
            (
                json!("audit.route_policy.create"),
                json!({"request": request})
            ),
            (
                json!("audit.route_policy.update"),
                json!({"request": {"metadata": {"labels": {"a": "b"}}}})
            ),
            (json!("audit.route_policy.delete"), json!({})),
        ]
    );
}

#[tokio::test]
async fn a_domain_limits_the_sources_of_its_policies() {
    let cf = Session::v3().await;
    let route = route(&cf, "space").await;
    let org = "cf:org:7d0bb8a1-4c9c-4f0e-9b1b-0f6d3a1f2c3d";
    let refused = cf.post("/v3/route_policies", policy(&route, org)).await;
    assert_eq!(
        refused.error().1,
        format!("Source '{org}' is not allowed: domain's route_policies_scope is 'space'.")
    );
    let domain = json!({"name": "d.example.com", "enforce_route_policies": true});
    assert_eq!(
        cf.post("/v3/domains", domain).await.error().1,
        "Route policies scope is required when enforce_route_policies is true"
    );
}

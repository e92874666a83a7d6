//! Domains: shared ones, and those of an organization.

use crate::common::{Session, new_route};
use mock_capi::MockCapi;
use serde_json::{Value, json};

fn private(name: &str, org: &str) -> Value {
    json!({"name": name, "relationships": {"organization": {"data": {"guid": org}}}})
}

fn organizations(guids: &[&str]) -> Value {
    let data: Vec<Value> = guids.iter().map(|guid| json!({"guid": guid})).collect();
    json!({"data": data})
}

async fn refusal(cf: &Session, body: Value) -> String {
    let answer = cf.post("/v3/domains", body).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    answer.error().1
}

#[tokio::test]
async fn every_organization_can_use_shared_domains() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let body = json!({"name": "more.example.com", "metadata": {"labels": {"tier": "gold"}}});
    let created = cf.post("/v3/domains", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let domain = created.guid();
    let path = format!("/v3/domains/{domain}");
    assert_eq!(created.json()["internal"], false);
    let labelled = "/v3/domains?label_selector=tier%3Dgold";
    assert_eq!(cf.names(labelled).await, ["more.example.com"]);
    cf.patch(&path, json!({"metadata": {"labels": {"tier": null}}}))
        .await;
    assert!(cf.names(labelled).await.is_empty());
    // The first shared domain stays the default.
    assert_ne!(cf.default_domain(&org).await, domain);

    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "app"))
        .await;
    assert_eq!(route.status, 201, "{route:?}");
    let reserved = cf
        .get(&format!("{path}/route_reservations?host=app"))
        .await
        .json();
    assert_eq!(reserved["matching_route"], true);
    let deleted = cf.delete(&path).await;
    assert_eq!(deleted.status, 202);
    let job = cf.get(deleted.header("location")).await.json();
    assert_eq!(job["operation"], "domain.delete");
    assert_eq!(cf.get(&path).await.error().1, "Domain not found");
    assert!(cf.get("/v3/routes").await.json()["resources"] == json!([]));
}

#[tokio::test]
async fn internal_domains_are_reachable_from_apps_only() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let body = json!({"name": "apps.internal", "internal": true});
    let domain = cf.post("/v3/domains", body).await;
    assert_eq!(domain.json()["internal"], true);
    let domain = domain.guid();
    let mut route = new_route(&space, &domain, "*");
    assert_eq!(
        cf.post("/v3/routes", route.clone()).await.error().1,
        "Wildcard hosts are not supported for internal domains."
    );
    route["host"] = json!("app");
    route["path"] = json!("/path");
    assert_eq!(
        cf.post("/v3/routes", route).await.error().1,
        "Paths are not supported for internal domains."
    );
    let mut of_org = private("b.internal", &org);
    of_org["internal"] = json!(true);
    assert_eq!(
        refusal(&cf, of_org).await,
        "Cannot associate an internal domain with an organization"
    );
}

#[tokio::test]
async fn organizations_share_their_own_domains() {
    let cf = Session::v3().await;
    let owner = cf.create_org("owner").await;
    let guest = cf.create_org("guest").await;
    let space = cf.create_space(&guest, "space").await;
    let domain = cf.post("/v3/domains", private("own.com", &owner)).await;
    assert_eq!(domain.status, 201, "{domain:?}");
    let domain = domain.guid();
    let path = format!("/v3/domains/{domain}");
    let shared = format!("{path}/relationships/shared_organizations");
    let of_guest = format!("/v3/organizations/{guest}/domains");

    let route = new_route(&space, &domain, "app");
    assert_eq!(
        cf.post("/v3/routes", route.clone()).await.error().1,
        "Invalid domain. Domain 'own.com' is not available in organization 'guest'."
    );
    assert_eq!(cf.names(&of_guest).await.len(), 1);
    let answer = cf.post(&shared, organizations(&[&guest])).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, organizations(&[&guest]))
    );
    assert_eq!(cf.names(&of_guest).await.len(), 2);
    let list = cf.get("/v2/private_domains").await.json();
    assert_eq!(list["total_results"], 1);
    let route = cf.post("/v3/routes", route).await.guid();

    let revoke = format!("{shared}/{guest}");
    assert_eq!(
        cf.delete(&revoke).await.error().1,
        "This domain has associated routes in this organization. Delete the routes before unsharing."
    );
    assert_eq!(
        cf.delete(&path).await.error().1,
        "This domain is shared with other organizations. Unshare before deleting."
    );
    let deleted = cf.delete(&format!("/v3/organizations/{owner}")).await;
    let job = cf.get(deleted.header("location")).await.json();
    assert_eq!(job["state"], "FAILED");
    assert_eq!(
        job["errors"][0]["detail"],
        "Deletion of organization owner failed because one or more resources within could not be deleted.\n\n\
         Domain 'own.com' is shared with other organizations. Unshare before deleting."
    );
    cf.delete(&format!("/v3/routes/{route}")).await;
    assert_eq!(cf.delete(&revoke).await.status, 204);
    assert_eq!(
        cf.delete(&revoke).await.error().1,
        "Unable to unshare domain from organization with name 'guest'. Ensure the domain is shared to this organization."
    );
    // A domain is kept when an organization that it is shared with is deleted.
    cf.post(&shared, organizations(&[&guest])).await;
    cf.delete(&format!("/v3/organizations/{guest}")).await;
    let domain = cf.get(&path).await.json();
    assert_eq!(
        domain["relationships"]["shared_organizations"],
        organizations(&[])
    );
}

#[tokio::test]
async fn refused_sharing_has_the_cloud_controllers_messages() {
    let cf = Session::v3().await;
    let owner = cf.create_org("owner").await;
    let guest = cf.create_org("guest").await;
    let domain = cf.post("/v3/domains", private("own.com", &owner)).await;
    let domain = domain.guid();
    let shared = format!("/v3/domains/{domain}/relationships/shared_organizations");
    let structure = "Data must have the structure \"data\": [{\"guid\": shared_org_guid_1}, {\"guid\": shared_org_guid_2}]";
    for (body, expected) in [
        (json!({}), structure),
        (json!({"data": {"guid": guest}}), structure),
        (json!({"data": [{"guid": 3}]}), structure),
        (
            organizations(&["nowhere"]),
            "Organization with guid 'nowhere' does not exist, or you do not have access to it.",
        ),
        (
            organizations(&[&guest, &guest]),
            "Organization with guid '' does not exist, or you do not have access to it.",
        ),
        (
            organizations(&[&owner]),
            "Domain cannot be shared with owning organization.",
        ),
    ] {
        assert_eq!(cf.post(&shared, body).await.error().1, expected);
    }
    let default = cf.default_domain(&owner).await;
    let of_all = format!("/v3/domains/{default}/relationships/shared_organizations");
    assert_eq!(
        cf.post(&of_all, organizations(&[])).await.error().1,
        "Domains cannot be shared with other organizations unless they are scoped to an organization."
    );
}

#[tokio::test]
async fn names_are_checked() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let other = cf.create_org("other").await;
    let long = format!("{}$", "f".repeat(63));
    for (body, expected) in [
        (
            json!({"x": 1}),
            "Unknown field(s): 'x', Name can't be blank, Name must be a string, Name is too short (minimum is 3 characters), \
             Name does not comply with RFC 1035 standards, Name must contain at least one \".\"",
        ),
        (
            json!({"name": long}),
            "Name does not comply with RFC 1035 standards, Name must contain at least one \".\", \
             Name subdomains must each be at most 63 characters, Name must consist of alphanumeric characters and hyphens",
        ),
        (
            json!({"name": "a.-b", "internal": "yes"}),
            "Name does not comply with RFC 1035 standards, Internal must be a boolean",
        ),
        (
            json!({"name": "a.b", "relationships": {"shared_organizations": organizations(&[])}}),
            "Relationships cannot contain shared_organizations without an owning organization.",
        ),
        (
            json!({"name": "a.b", "relationships": {"organization": null}}),
            "Organization with guid '' does not exist or you do not have access to it.",
        ),
        (
            json!({"name": "a.b", "router_group": {"guid": 1}, "internal": true}),
            "Router group guid must be a string, Internal domains cannot be associated to a router group.",
        ),
    ] {
        assert_eq!(refusal(&cf, body).await, expected);
    }
    let in_group = json!({"name": "tcp.com", "router_group": {"guid": "g"}});
    let answer = cf.post("/v3/domains", in_group).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.error(),
        (10015, "The Routing API is disabled.".into())
    );

    cf.post("/v3/domains", private("own.com", &org)).await;
    cf.post("/v3/domains", json!({"name": "deep.shared.com"}))
        .await;
    let default = cf.default_domain(&org).await;
    cf.post("/v3/routes", new_route(&space, &default, "app"))
        .await;
    let default = cf.get(&format!("/v3/domains/{default}")).await.json();
    let taken = format!("app.{}", default["name"].as_str().unwrap());
    let reserved = |name: &str, by: &str, whose: &str| {
        format!(
            "The domain name \"{name}\" cannot be created because \"{by}\" is already reserved by {whose}"
        )
    };
    for (body, expected) in [
        (
            json!({"name": "OWN.com"}),
            "The domain name \"OWN.com\" is already in use".into(),
        ),
        (
            private("sub.own.com", &other),
            reserved("sub.own.com", "own.com", "another domain"),
        ),
        (
            private("shared.com", &org),
            reserved("shared.com", "deep.shared.com", "another domain"),
        ),
        (
            json!({"name": format!("x.{taken}")}),
            reserved(&format!("x.{taken}"), &taken, "a route"),
        ),
    ] {
        assert_eq!(refusal(&cf, body).await, expected);
    }
    // An organization may use subdomains of its own domains, and routes may not.
    let sub = cf.post("/v3/domains", private("sub.own.com", &org)).await;
    assert_eq!(sub.status, 201, "{sub:?}");
    let own = cf.get("/v3/domains?names=own.com").await.json();
    let own = own["resources"][0]["guid"].as_str().unwrap();
    assert_eq!(
        cf.post("/v3/routes", new_route(&space, own, "sub"))
            .await
            .error()
            .1,
        "Route conflicts with domain 'sub.own.com'."
    );
}

#[tokio::test]
async fn quotas_limit_private_domains() {
    let cf = Session::v3().await;
    let org = cf.create_org("org").await;
    let body = json!({
        "name": "small",
        "domains": {"total_domains": 1},
        "relationships": {"organizations": organizations(&[&org])},
    });
    assert_eq!(cf.post("/v3/organization_quotas", body).await.status, 201);
    assert_eq!(
        cf.post("/v3/domains", private("a.com", &org)).await.status,
        201
    );
    assert_eq!(
        refusal(&cf, private("b.com", &org)).await,
        "The number of private domains exceeds the quota for organization \"org\""
    );
}

#[tokio::test]
async fn managers_control_the_domains_of_their_organizations() {
    let mut cf = Session::start(MockCapi::builder().add_user("manager", "secret")).await;
    let org = cf.create_org("org").await;
    let guest = cf.create_org("guest").await;
    let theirs = cf.post("/v3/domains", private("theirs.com", &guest)).await;
    for (role, org) in [("manager", &org), ("auditor", &guest)] {
        let body = json!({
            "type": format!("organization_{role}"),
            "relationships": {
                "user": {"data": {"username": "manager"}},
                "organization": {"data": {"guid": org}},
            },
        });
        let answer = cf.post("/v3/roles", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let admin = cf.token.clone();
    cf.log_in_as("manager", "secret").await;
    let shared = cf.post("/v3/domains", json!({"name": "all.com"})).await;
    assert_eq!(shared.status, 403);
    let foreign = cf.post("/v3/domains", private("new.com", &guest)).await;
    assert_eq!(foreign.status, 403);
    let own = cf.post("/v3/domains", private("own.com", &org)).await;
    assert_eq!(own.status, 201, "{own:?}");
    let orgs = format!(
        "/v3/domains/{}/relationships/shared_organizations",
        own.guid()
    );
    assert_eq!(
        cf.post(&orgs, organizations(&[&guest])).await.error().1,
        "You do not have sufficient permissions for organization 'guest' to share domain."
    );
    let theirs = format!("/v3/domains/{}", theirs.guid());
    assert_eq!(cf.get(&theirs).await.status, 200);
    assert_eq!(cf.delete(&theirs).await.status, 403);
    let default = cf.default_domain(&org).await;
    let default = format!("/v3/domains/{default}");
    assert_eq!(cf.patch(&default, json!({})).await.status, 403);

    let manager = std::mem::replace(&mut cf.token, admin);
    // A member of the other organization may end the sharing.
    let theirs_shared = format!("{theirs}/relationships/shared_organizations");
    cf.post(&theirs_shared, organizations(&[&org])).await;
    let off = json!({"enabled": false});
    cf.patch("/v3/feature_flags/private_domain_creation", off)
        .await;
    cf.token = manager;
    assert_eq!(
        cf.delete(&format!("{theirs_shared}/{org}")).await.status,
        204
    );
    assert_eq!(
        cf.post("/v3/domains", private("late.com", &org))
            .await
            .error()
            .1,
        "Feature Disabled: private_domain_creation"
    );
}

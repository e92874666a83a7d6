//! Users of UAA: logins and management.

use crate::common::{HttpResponse, Session, send};
use mock_capi::MockCapi;
use reqwest::Method;
use serde_json::{Value, json};

fn new_user(name: &str, password: &str) -> Value {
    json!({
        "userName": name,
        "password": password,
        "origin": "",
        "name": {"familyName": name, "givenName": name},
        "emails": [{"value": name, "primary": true}],
    })
}

fn error(answer: &HttpResponse) -> (u16, String) {
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    (answer.status.as_u16(), error)
}

#[tokio::test]
async fn administrators_create_find_and_delete_users() {
    let mut cf = Session::v3().await;
    let created = cf.post("/uaa/Users", new_user("ada", "secret")).await;
    assert_eq!(created.status, 201);
    let ada = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.json()["origin"], "uaa");
    let again = cf.post("/uaa/Users", new_user("Ada", "other")).await;
    assert_eq!(error(&again), (409, "scim_resource_already_exists".into()));
    assert_eq!(again.json()["user_id"], ada.as_str());

    let ids = async |filter: &str| {
        let request = cf.request(Method::GET, "/uaa/Users");
        let found = send(request.query(&[("filter", filter)])).await;
        assert_eq!(found.status, 200, "{found:?}");
        let found = found.json();
        let users = found["resources"].as_array().unwrap().iter();
        users
            .map(|user| user["userName"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(r#"userName eq "ADA""#).await, ["ada"]);
    assert_eq!(
        ids(r#"userName eq "ada" and origin eq "uaa""#).await,
        ["ada"]
    );
    assert!(
        ids(r#"userName eq "ada" and origin eq "ldap""#)
            .await
            .is_empty()
    );
    assert_eq!(
        ids(&format!(r#"id eq "{ada}" or userName sw "adm""#))
            .await
            .len(),
        2
    );
    let odd = cf.get("/uaa/Users?filter=shoe%20eq%2042").await;
    assert_eq!(error(&odd), (400, "scim".into()));

    // `cf set-org-role` and similar commands find the new user by name.
    assert_eq!(cf.post("/v3/users", json!({"guid": ada})).await.status, 201);
    let named = cf.get("/v3/users?usernames=ada").await.json();
    assert_eq!(named["resources"][0]["guid"], ada.as_str());

    cf.log_in_as("ada", "secret").await;
    let info = cf.get("/uaa/userinfo").await.json();
    assert_eq!(
        (&info["user_id"], &info["user_name"]),
        (&json!(ada), &json!("ada"))
    );
    for refused in [
        cf.post("/uaa/Users", new_user("eve", "secret")).await,
        cf.get("/uaa/Users").await,
        cf.delete(&format!("/uaa/Users/{ada}")).await,
    ] {
        assert_eq!(error(&refused), (403, "insufficient_scope".into()));
    }
    let path = format!("/uaa/Users/{ada}/password");
    let wrong = cf
        .put(&path, json!({"oldPassword": "x", "password": "new"}))
        .await;
    assert_eq!(error(&wrong), (401, "unauthorized".into()));
    let right = cf
        .put(&path, json!({"oldPassword": "secret", "password": "new"}))
        .await;
    assert_eq!(right.status, 200);
    assert_eq!(cf.log_in("ada", "secret").await.status, 401);

    cf.log_in_as("admin", "admin").await;
    assert_eq!(cf.delete(&format!("/uaa/Users/{ada}")).await.status, 200);
    assert_eq!(cf.log_in("ada", "new").await.status, 401);
    let gone = cf.get(&format!("/uaa/Users/{ada}")).await;
    assert_eq!(error(&gone), (404, "scim_resource_not_found".into()));
    cf.token = "old".into();
    let stale = cf.get("/uaa/Users").await;
    assert_eq!(error(&stale), (401, "invalid_token".into()));
}

#[tokio::test]
async fn additional_users_are_not_administrators_and_survive_a_reset() {
    let builder = MockCapi::builder().client("robot", "oil");
    let mut cf = Session::start(builder.add_user("dev", "secret")).await;
    let login = cf.log_in("dev", "secret").await.json();
    assert!(
        !login["scope"].as_str().unwrap().contains("admin"),
        "{login}"
    );
    let token = login["access_token"].as_str().unwrap();
    let check = |secret| {
        let url = format!("{}/uaa/check_token", cf.mock.uri());
        let request = cf.http.post(url).form(&[("token", token)]);
        send(request.basic_auth("robot", Some(secret)))
    };
    assert_eq!(check("oil").await.json()["user_name"], "dev");
    assert_eq!(check("water").await.status, 401);
    for (client, status) in [("robot", 200), ("cf", 200), ("other", 404)] {
        let found = cf.get(&format!("/uaa/oauth/clients/{client}")).await;
        assert_eq!(found.status, status);
    }

    cf.log_in_as("dev", "secret").await;
    let me = cf.get("/uaa/userinfo").await.json();
    cf.mock.reset();
    let after = cf.get("/uaa/userinfo").await.json();
    assert_eq!(after["user_id"], me["user_id"]);
    let refused = cf.post("/v3/users", json!({"guid": "x"})).await;
    assert_eq!((refused.status.as_u16(), refused.error().0), (403, 10003));
}

/// Sends a change with an `If-Match` header.
async fn change(
    cf: &Session,
    method: Method,
    path: &str,
    version: &str,
    body: Value,
) -> HttpResponse {
    let request = cf.request(method, path).header("If-Match", version);
    send(request.json(&body)).await
}

#[tokio::test]
async fn users_have_the_given_emails_and_names() {
    let cf = Session::v3().await;
    let user = json!({
        "userName": "ada",
        "password": "secret",
        "externalId": "E-1",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "ada@example.com", "primary": true}],
        "phoneNumbers": [{"value": "+44 1"}],
    });
    let created = cf.post("/uaa/Users", user.clone()).await;
    assert_eq!(created.header("etag"), "\"0\"");
    let path = format!("/uaa/Users/{}", created.json()["id"].as_str().unwrap());
    let shown = cf.get(&path).await.json();
    for key in ["userName", "externalId", "name", "emails", "phoneNumbers"] {
        assert_eq!(shown[key], user[key], "{key}");
    }
    let found = "/uaa/Users?filter=familyName%20sw%20%22love%22&attributes=userName,emails";
    let found = cf.get(found).await.json();
    assert_eq!(
        found["resources"],
        json!([{"userName": "ada", "emails": user["emails"]}])
    );

    let mut changed = shown.clone();
    changed["name"] = json!({"givenName": "Augusta", "familyName": "King"});
    changed["emails"][0]["value"] = json!("king@example.com");
    let missing = cf.put(&path, changed.clone()).await;
    assert_eq!(error(&missing), (400, "scim".into()));
    let stale = change(&cf, Method::PUT, &path, "7", changed.clone()).await;
    assert_eq!(error(&stale), (409, "scim_resource_conflict".into()));
    let replaced = change(&cf, Method::PUT, &path, "0", changed.clone()).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    assert_eq!(replaced.json()["meta"]["version"], 1);
    assert_eq!(replaced.json()["emails"], changed["emails"]);

    let patch = json!({"meta": {"attributes": ["name.givenName"]}, "active": false});
    let patched = change(&cf, Method::PATCH, &path, "*", patch).await.json();
    assert_eq!(patched["name"], json!({"familyName": "King"}));
    assert_eq!(patched["emails"], changed["emails"]);
    assert_eq!(cf.log_in("ada", "secret").await.status, 401);
    let odd = json!({"meta": {"attributes": ["shoe"]}});
    let odd = change(&cf, Method::PATCH, &path, "*", odd).await;
    assert_eq!(error(&odd), (400, "invalid_scim_resource".into()));
    let other = cf.post("/uaa/Users", new_user("eve", "secret")).await;
    let other = format!("/uaa/Users/{}", other.json()["id"].as_str().unwrap());
    let taken = change(&cf, Method::PUT, &other, "*", new_user("ada", "")).await;
    assert_eq!(error(&taken), (409, "scim_resource_already_exists".into()));
}

#[tokio::test]
async fn users_can_change_only_their_own_names() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    cf.log_in_as("dev", "secret").await;
    let me = cf.get("/uaa/userinfo").await.json();
    let path = format!("/uaa/Users/{}", me["user_id"].as_str().unwrap());
    let name = json!({"name": {"givenName": "De", "familyName": "Veloper"}});
    let renamed = change(&cf, Method::PATCH, &path, "*", name).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    assert_eq!(cf.get("/uaa/userinfo").await.json()["name"], "De Veloper");
    let boss = json!({"userName": "boss"});
    let refused = change(&cf, Method::PATCH, &path, "*", boss).await;
    assert_eq!(error(&refused), (403, "invalid_self_edit".into()));
}

#[tokio::test]
async fn members_get_the_scopes_of_their_groups() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    let found = "/uaa/Groups?filter=displayName%20eq%20%22cloud_controller.admin%22";
    let admins = cf.get(found).await.json()["resources"][0].clone();
    let admins = format!("/uaa/Groups/{}", admins["id"].as_str().unwrap());
    let users = cf.get("/uaa/Users?filter=userName%20eq%20%22dev%22").await;
    let dev = users.json()["resources"][0]["id"].clone();

    let team = json!({"displayName": "team", "members": [{"value": dev, "type": "USER"}]});
    let team = cf.post("/uaa/Groups", team).await;
    assert_eq!(team.status, 201, "{team:?}");
    let again = cf.post("/uaa/Groups", json!({"displayName": "team"})).await;
    assert_eq!(error(&again), (409, "scim_resource_already_exists".into()));
    let unknown = json!({"displayName": "other", "members": [{"value": "x"}]});
    let unknown = cf.post("/uaa/Groups", unknown).await;
    assert_eq!(error(&unknown), (400, "invalid_scim_resource".into()));
    let team = team.json()["id"].as_str().unwrap().to_owned();
    let member = json!({"origin": "uaa", "type": "GROUP", "value": team});
    let members = format!("{admins}/members");
    let added = cf.post(&members, member.clone()).await;
    assert_eq!((added.status.as_u16(), added.json()), (201, member.clone()));
    let twice = cf.post(&members, member).await;
    assert_eq!(error(&twice), (409, "member_already_exists".into()));

    // Members of a member have the scope as well.
    cf.log_in_as("dev", "secret").await;
    let org = json!({"name": "org"});
    assert_eq!(cf.post("/v3/organizations", org).await.status, 201);
    let me = cf
        .get(&format!("/uaa/Users/{}", dev.as_str().unwrap()))
        .await;
    let groups = me.json()["groups"].as_array().unwrap().clone();
    let kind = |name: &str| {
        let group = groups.iter().find(|group| group["display"] == name);
        group.map(|group| group["type"].clone())
    };
    assert_eq!(kind("team"), Some(json!("DIRECT")));
    assert_eq!(kind("cloud_controller.admin"), Some(json!("INDIRECT")));

    cf.log_in_as("admin", "admin").await;
    let path = format!("/uaa/Groups/{team}");
    let leave = json!({"members": [{"value": dev, "operation": "delete"}], "description": "d"});
    let left = change(&cf, Method::PATCH, &path, "0", leave).await.json();
    assert_eq!(
        (&left["members"], &left["description"]),
        (&json!([]), &json!("d"))
    );
    let gone = cf
        .get(&format!("{path}/members/{}", dev.as_str().unwrap()))
        .await;
    assert_eq!(error(&gone), (404, "member_not_found".into()));
    assert_eq!(cf.delete(&path).await.status, 200);
    let rest = cf.get(&members).await.json();
    assert_eq!(rest.as_array().unwrap().len(), 1, "{rest}");
    cf.log_in_as("dev", "secret").await;
    let org = json!({"name": "other"});
    assert_eq!(cf.post("/v3/organizations", org).await.status, 403);
}

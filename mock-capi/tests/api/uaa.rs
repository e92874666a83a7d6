//! Users in UAA: who can log in, and who manages them.

use crate::common::{Session, send};
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

fn error(answer: &crate::common::Answer) -> (u16, String) {
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

    // cf set-org-role and its like find the new user by name.
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
async fn further_users_are_no_administrators_and_outlive_a_reset() {
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

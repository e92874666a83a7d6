//! UAA's tokens: how they are verified, and which clients can get them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use mock_capi::MockCapi;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::common::{HttpResponse, Session, http, plain, send};

#[tokio::test]
async fn tokens_can_be_verified_with_the_published_key() {
    let cf = Session::v3().await;
    let base = cf.mock.uri();
    let found = cf.get("/uaa/.well-known/openid-configuration").await.json();
    assert_eq!(found["issuer"], format!("{base}/uaa/oauth/token"));
    let keys = cf.get(found["jwks_uri"].as_str().unwrap()).await;
    let keys: JwkSet = serde_json::from_str(&keys.text).unwrap();
    let header = jsonwebtoken::decode_header(&cf.token).unwrap();
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[found["issuer"].as_str().unwrap()]);
    validation.set_audience(&["cloud_controller"]);
    let key = DecodingKey::from_jwk(key).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&cf.token, &key, &validation);
    assert_eq!(claims.unwrap().claims["user_name"], "admin");

    let key = cf.get("/uaa/token_key").await.json();
    assert_eq!((&key["kty"], &key["alg"]), (&json!("RSA"), &json!("RS256")));
    let pem = key["value"].as_str().unwrap();
    let key = DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    assert!(jsonwebtoken::decode::<Value>(&cf.token, &key, &validation).is_ok());
    let health = cf.get("/uaa/healthz").await;
    assert_eq!(
        (health.status.as_u16(), health.text.as_str()),
        (200, "ok\n")
    );
    let health = cf.get("/healthz").await;
    assert_eq!(
        (health.header("content-type"), health.text.as_str()),
        ("application/json", "OK")
    );
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let mut cf = Session::start(MockCapi::builder().add_user("dev", "secret")).await;
    cf.log_in_as("dev", "secret").await;
    let mut parts: Vec<String> = cf.token.split('.').map(str::to_owned).collect();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
    claims["scope"] = json!(["cloud_controller.admin"]);
    parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
    cf.token = parts.join(".");
    assert_eq!(cf.get("/v3/apps").await.error().0, 1000);
}

#[tokio::test]
async fn tokens_of_another_mock_are_refused() {
    let other = Session::v3().await;
    let mut cf = Session::v3().await;
    cf.token = other.token;
    assert_eq!(cf.get("/v3/apps").await.error().0, 1000);
}

#[tokio::test]
async fn tokens_stay_valid_when_a_snapshot_is_restored() {
    let mock = MockCapi::start().await.unwrap();
    let http = http();
    let snapshot = format!("{}/_mock/snapshot", mock.uri());
    let before = send(http.get(&snapshot)).await;
    let token = mock.token("admin").unwrap();
    let restored = send(http.put(&snapshot).body(before.text)).await;
    assert_eq!(restored.status, 204, "{restored:?}");
    let apps = http.get(format!("{}/v3/apps", mock.uri()));
    assert_eq!(send(apps.bearer_auth(token)).await.status, 200);
}

/// The response to a token request with a client's own credentials.
async fn ask_token(cf: &Session, client: (&str, &str), form: &[(&str, &str)]) -> HttpResponse {
    let url = format!("{}/uaa/oauth/token", cf.mock.uri());
    let request = cf.http.post(url).basic_auth(client.0, Some(client.1));
    send(request.form(form)).await
}

/// A session of a client that may manage clients.
async fn operator() -> Session {
    let mut cf = Session::start(MockCapi::builder().client("operator", "oil")).await;
    let form = [("grant_type", "client_credentials")];
    let answer = ask_token(&cf, ("operator", "oil"), &form).await.json();
    cf.token = answer["access_token"].as_str().unwrap().to_owned();
    cf
}

#[tokio::test]
async fn clients_are_created_changed_and_deleted() {
    let cf = operator().await;
    let ci = json!({
        "client_id": "ci",
        "client_secret": "s3cret",
        "authorized_grant_types": ["client_credentials"],
        "authorities": ["cloud_controller.read"],
        "access_token_validity": 60,
        "name": "Continuous integration",
    });
    let created = cf.post("/uaa/oauth/clients", ci.clone()).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json()["name"], "Continuous integration");
    assert!(created.json().get("client_secret").is_none());
    assert_eq!(cf.post("/uaa/oauth/clients", ci).await.status, 409);
    let form = [("grant_type", "client_credentials")];
    let token = ask_token(&cf, ("ci", "s3cret"), &form).await.json();
    assert_eq!(
        (&token["scope"], &token["expires_in"]),
        (&json!("cloud_controller.read"), &json!(59))
    );

    let path = "/uaa/oauth/clients/ci";
    let changed = json!({"client_id": "ci", "authorities": "cloud_controller.admin"});
    let changed = cf.put(path, changed).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(
        changed.json()["authorities"],
        json!(["cloud_controller.admin"])
    );
    assert_eq!(changed.json()["access_token_validity"], 60);
    let secret_path = format!("{path}/secret");
    let secret = cf.put(&secret_path, json!({"secret": "new"}));
    assert_eq!(secret.await.status, 200);
    assert_eq!(ask_token(&cf, ("ci", "s3cret"), &form).await.status, 401);
    let token = ask_token(&cf, ("ci", "new"), &form).await.json();
    let org = cf.http.post(format!("{}/v3/organizations", cf.mock.uri()));
    let org = org.bearer_auth(token["access_token"].as_str().unwrap());
    let org = org.json(&json!({"name": "org"}));
    assert_eq!(send(org).await.status, 201);

    let found = "/uaa/oauth/clients?filter=client_id%20eq%20%22ci%22";
    assert_eq!(cf.get(found).await.json()["totalResults"], 1);
    assert_eq!(cf.delete(path).await.status, 200);
    assert_eq!(cf.get(path).await.status, 404);
    assert_eq!(ask_token(&cf, ("ci", "new"), &form).await.status, 401);
}

#[tokio::test]
async fn invalid_clients_are_refused() {
    let cf = operator().await;
    for (client, part) in [
        (json!({"client_id": "x"}), "An authorized grant type"),
        (
            json!({"client_id": "x", "authorized_grant_types": ["magic"]}),
            "magic is not an allowed grant type",
        ),
        (
            json!({"client_id": "x", "authorized_grant_types": ["client_credentials"]}),
            "Client secret is required",
        ),
        (
            json!({"client_id": "x", "authorized_grant_types": ["authorization_code"]}),
            "requires at least one redirect URL",
        ),
        (json!({"client_id": "a/b"}), "Not allowed characters"),
    ] {
        let refused = cf.post("/uaa/oauth/clients", client).await;
        let reason = refused.json()["error_description"].to_string();
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(reason.contains(part), "{reason}");
    }
    let mut user = Session::v3().await;
    user.log_in_as("admin", "admin").await;
    let refused = user
        .post("/uaa/oauth/clients", json!({"client_id": "x"}))
        .await;
    assert_eq!(refused.status, 403);
}

/// The target of the redirect of a request for a code.
async fn authorize(cf: &Session, query: &[(&str, &str)]) -> (u16, Option<Url>) {
    let http = plain().redirect(Policy::none());
    let url = format!("{}/uaa/oauth/authorize", cf.mock.uri());
    let request = http.build().unwrap().get(url).query(query);
    let answer = send(request.bearer_auth(&cf.token)).await;
    let location = Url::parse(answer.header("location")).ok();
    (answer.status.as_u16(), location)
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn an_ssh_code_can_be_used_once() {
    let mut cf = operator().await;
    let admin = cf.mock.token("admin").unwrap();
    let secret = cf.put(
        "/uaa/oauth/clients/ssh-proxy/secret",
        json!({"secret": "s"}),
    );
    assert_eq!(secret.await.status, 200);
    cf.token.clone_from(&admin);
    let query = [("response_type", "code"), ("client_id", "ssh-proxy")];
    let (status, location) = authorize(&cf, &query).await;
    assert_eq!(status, 302);
    let code = parameter(&location.unwrap(), "code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
    ];
    let token = ask_token(&cf, ("ssh-proxy", "s"), &form).await;
    assert_eq!(token.status, 200, "{token:?}");
    cf.token = token.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(cf.get("/v3/apps").await.status, 200);
    let again = ask_token(&cf, ("ssh-proxy", "s"), &form).await;
    assert_eq!(again.json()["error"], "invalid_grant");

    cf.token = admin;
    let query = [("response_type", "code"), ("client_id", "nobody")];
    assert_eq!(authorize(&cf, &query).await.0, 401);
    cf.token.clear();
    let query = [("response_type", "code"), ("client_id", "ssh-proxy")];
    assert_eq!(authorize(&cf, &query).await.0, 401);
}

#[tokio::test]
async fn a_code_with_a_challenge_needs_its_verifier() {
    let mut cf = Session::start(MockCapi::builder().client("web", "s")).await;
    cf.token = cf.mock.token("admin").unwrap();
    let verifier = "v".repeat(43);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let redirect = "http://localhost/back?keep=1";
    let query = [
        ("response_type", "code"),
        ("client_id", "web"),
        ("redirect_uri", redirect),
        ("state", "s1"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let exchange = async |verifier: &str| {
        let (_, location) = authorize(&cf, &query).await;
        let location = location.unwrap();
        assert_eq!(parameter(&location, "keep").as_deref(), Some("1"));
        assert_eq!(parameter(&location, "state").as_deref(), Some("s1"));
        let code = parameter(&location, "code").unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        ask_token(&cf, ("web", "s"), &form).await.status.as_u16()
    };
    assert_eq!(exchange(&verifier).await, 200);
    assert_eq!(exchange("wrong").await, 400);
    let elsewhere = [
        ("response_type", "code"),
        ("client_id", "web"),
        ("redirect_uri", "http://evil.example/"),
    ];
    assert_eq!(authorize(&cf, &elsewhere).await.0, 400);
}

#[tokio::test]
async fn a_token_has_only_the_requested_scopes() {
    let cf = Session::v3().await;
    let form = |scope| {
        [
            ("grant_type", "password"),
            ("username", "admin"),
            ("password", "admin"),
            ("scope", scope),
        ]
    };
    let token = cf.token(&form("cloud_controller.read")).await.json();
    assert_eq!(token["scope"], "cloud_controller.read");
    let refused = cf.token(&form("no.such")).await;
    assert_eq!(refused.json()["error"], "invalid_scope");
}

/// The claims of a token.
fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_passcode_logs_in_once() {
    let cf = Session::v3().await;
    let prompts = cf.get("/uaa/login").await.json()["prompts"].clone();
    let url = format!("{}/uaa/passcode", cf.mock.uri());
    let prompt = prompts["passcode"][1].as_str().unwrap();
    assert!(prompt.contains(&url), "{prompts}");
    let asked = send(cf.http.get(&url)).await;
    let asks = (asked.status.as_u16(), asked.header("www-authenticate"));
    assert_eq!(asks, (401, "Basic realm=\"UAA\""));
    let page = cf.http.get(&url).header("accept", "text/html");
    let page = send(page.basic_auth("admin", Some("admin"))).await;
    assert!(page.text.contains("<code>"), "{page:?}");

    let code = cf.get("/uaa/passcode").await.json();
    let form = [
        ("grant_type", "password"),
        ("passcode", code.as_str().unwrap()),
    ];
    let token = cf.token(&form).await;
    assert_eq!(token.status, 200, "{token:?}");
    assert_eq!(claims(&token.json()["access_token"])["user_name"], "admin");
    let again = cf.token(&form).await;
    assert_eq!(again.status, 401);
    assert_eq!(again.json()["error_description"], "Invalid passcode");
}

#[tokio::test]
async fn the_origin_of_a_login_must_be_known() {
    let cf = Session::v3().await;
    for (hint, status) in [(r#"{"origin":"uaa"}"#, 200), (r#"{"origin":"ldap"}"#, 401)] {
        let form = [
            ("grant_type", "password"),
            ("username", "admin"),
            ("password", "admin"),
            ("login_hint", hint),
        ];
        assert_eq!(cf.token(&form).await.status, status, "{hint}");
    }
}

#[tokio::test]
async fn a_refreshed_token_has_no_more_scopes_than_before() {
    let cf = Session::v3().await;
    let login = [
        ("grant_type", "password"),
        ("username", "admin"),
        ("password", "admin"),
        ("scope", "cloud_controller.read openid"),
    ];
    let first = cf.token(&login).await.json();
    cf.mock.advance(std::time::Duration::from_secs(60));
    let refresh = first["refresh_token"].as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let second = cf.token(&form).await.json();
    assert_eq!(second["scope"], "cloud_controller.read openid");
    assert_eq!(second["refresh_token"], refresh);
    let [before, after] = [&first, &second].map(|tokens| claims(&tokens["access_token"]));
    for claim in ["grant_type", "auth_time", "user_id", "scope", "aud"] {
        assert_eq!(after[claim], before[claim], "{claim}");
    }
    assert_ne!(after["iat"], before["iat"]);
    // The ID token is for the client, not for the API.
    assert_eq!(claims(&second["id_token"])["aud"], json!(["cf"]));
    let apps = cf.http.get(format!("{}/v3/apps", cf.mock.uri()));
    let id_token = second["id_token"].as_str().unwrap();
    assert_eq!(send(apps.bearer_auth(id_token)).await.status, 401);
}

#[tokio::test]
async fn revoked_tokens_cannot_be_refreshed() {
    let cf = operator().await;
    let log_in = async || cf.log_in("admin", "admin").await.json();
    let refresh = async |tokens: &Value| {
        let token = tokens["refresh_token"].as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        cf.token(&form).await.status.as_u16()
    };
    let user = claims(&log_in().await["access_token"])["user_id"].clone();
    let user = user.as_str().unwrap();
    for path in [
        format!("user/{user}"),
        "client/cf".into(),
        format!("user/{user}/client/cf"),
    ] {
        let before = log_in().await;
        assert_eq!(refresh(&before).await, 200);
        let revoked = cf.get(&format!("/uaa/oauth/token/revoke/{path}")).await;
        assert_eq!(revoked.status, 200, "{revoked:?}");
        assert_eq!(refresh(&before).await, 401, "{path}");
        let info = cf.http.get(format!("{}/uaa/userinfo", cf.mock.uri()));
        let token = before["access_token"].as_str().unwrap();
        assert_eq!(send(info.bearer_auth(token)).await.status, 401, "{path}");
        // The Cloud Controller does not check tokens with UAA.
        let apps = cf.http.get(format!("{}/v3/apps", cf.mock.uri()));
        assert_eq!(send(apps.bearer_auth(token)).await.status, 200, "{path}");
        assert_eq!(refresh(&log_in().await).await, 200, "{path}");
    }
    let tokens = log_in().await;
    let id = claims(&tokens["refresh_token"])["jti"].clone();
    let path = format!("/uaa/oauth/token/revoke/{}", id.as_str().unwrap());
    assert_eq!(cf.delete(&path).await.status, 200);
    assert_eq!(refresh(&tokens).await, 401);
    for path in ["x", "user/x", "client/x"] {
        let missing = cf.delete(&format!("/uaa/oauth/token/revoke/{path}")).await;
        assert_eq!(missing.status, 404, "{path}");
        assert_eq!(missing.json()["error"], "invalid_token", "{path}");
    }
    let own = log_in().await;
    let refused = cf.http.get(format!(
        "{}/uaa/oauth/token/revoke/client/operator",
        cf.mock.uri()
    ));
    let token = own["access_token"].as_str().unwrap();
    assert_eq!(send(refused.bearer_auth(token)).await.status, 403);
}

/// Callers whose tokens have only the scopes of one client.
#[tokio::test]
async fn the_cloud_controller_checks_the_audience_and_the_scopes_of_tokens() {
    let mut cf = operator().await;
    let operator = cf.token.clone();
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let variables = format!("/v3/apps/{app}/environment_variables");
    let (v3, v2) = (
        format!("/v3/organizations/{org}"),
        format!("/v2/organizations/{org}"),
    );
    let client = json!({"client_id": "c", "client_secret": "s",
        "authorized_grant_types": ["client_credentials"], "authorities": ["uaa.resource"]});
    assert_eq!(cf.post("/uaa/oauth/clients", client).await.status, 201);
    // The code of an error, or the status of a success.
    let code = |answer: HttpResponse| {
        let json = answer.json();
        let code = json["errors"][0]["code"].as_u64().or(json["code"].as_u64());
        code.unwrap_or_else(|| answer.status.as_u16().into())
    };
    for (scopes, [list, read, change, secrets], [v2_read, v2_change]) in [
        ("uaa.resource", [1000, 1000, 1000, 1000], [1000, 1000]),
        (
            "cloud_controller.read",
            [200, 10010, 10003, 10010],
            [10003, 10007],
        ),
        (
            "cloud_controller.write",
            [10003, 10003, 10010, 10003],
            [10007, 10003],
        ),
        (
            "cloud_controller.global_auditor",
            [200, 200, 10003, 10003],
            [200, 10007],
        ),
        (
            "cloud_controller.admin_read_only",
            [200, 200, 10003, 200],
            [200, 10007],
        ),
        (
            "cloud_controller.admin_read_only,cloud_controller.write",
            [200, 200, 10003, 200],
            [200, 10003],
        ),
        ("cloud_controller.admin", [200, 200, 200, 200], [200, 201]),
    ] {
        cf.token.clone_from(&operator);
        let changed =
            json!({"client_id": "c", "authorities": scopes.split(',').collect::<Vec<_>>()});
        assert_eq!(cf.put("/uaa/oauth/clients/c", changed).await.status, 200);
        let token = ask_token(&cf, ("c", "s"), &[("grant_type", "client_credentials")]).await;
        cf.token = token.json()["access_token"].as_str().unwrap().to_owned();
        let metadata = json!({"metadata": {"labels": {"a": "b"}}});
        let asked = [
            code(cf.get("/v3/organizations").await),
            code(cf.get(&v3).await),
            code(cf.patch(&v3, metadata).await),
            code(cf.get(&variables).await),
        ];
        assert_eq!(asked, [list, read, change, secrets], "{scopes}");
        let asked_v2 = [
            code(cf.get(&v2).await),
            code(cf.put(&v2, json!({"name": "org"})).await),
        ];
        assert_eq!(asked_v2, [v2_read, v2_change], "{scopes}");
        if read != 200 {
            continue;
        }
        // These callers see all resources.
        for kind in [
            "apps",
            "processes",
            "domains",
            "users",
            "roles",
            "audit_events",
        ] {
            let own = cf.get(&format!("/v3/{kind}")).await.json();
            let all = cf.http.get(format!("{}/v3/{kind}", cf.mock.uri()));
            let all = send(all.bearer_auth(&operator)).await.json();
            assert_eq!(own["pagination"], all["pagination"], "{scopes} {kind}");
        }
    }
    // UAA itself accepts tokens for other servers.
    cf.token.clone_from(&operator);
    let other = cf.put("/uaa/Users", json!({})).await;
    assert_eq!(
        (other.status.as_u16(), other.header("allow")),
        (405, "GET, POST")
    );
    assert_eq!(other.json()["error"], "method_not_allowed");
    assert_eq!(cf.get("/uaa/nowhere").await.status, 404);
}

#[tokio::test]
async fn resource_servers_check_tokens_and_look_up_users() {
    let cf = operator().await;
    assert_eq!(
        claims(&json!(cf.token))["authorities"],
        claims(&json!(cf.token))["scope"]
    );
    let admin = cf.mock.token("admin").unwrap();
    let ask = async |path: &str, form: &[(&str, &str)]| {
        let url = format!("{}/uaa/{path}", cf.mock.uri());
        let request = cf.http.post(url).basic_auth("operator", Some("oil"));
        send(request.form(form)).await
    };
    let token = ("token", admin.as_str());
    let has = [token, ("scopes", "openid,cloud_controller.admin")];
    assert_eq!(ask("check_token", &has).await.status, 200);
    let lacks = ask("check_token", &[token, ("scopes", "openid,no.such")]).await;
    assert_eq!(lacks.status, 400);
    assert_eq!(
        lacks.json()["error_description"],
        "Some requested scopes are missing: no.such"
    );
    let active = ask("introspect", &[token]).await.json();
    assert_eq!(
        (&active["active"], &active["user_name"]),
        (&json!(true), &json!("admin"))
    );
    let inactive = ask("introspect", &[("token", "x")]).await;
    assert_eq!(inactive.json(), json!({"active": false}));

    let found = async |filter: &str| {
        let request = cf.request(reqwest::Method::GET, "/uaa/ids/Users");
        send(request.query(&[("filter", filter)])).await
    };
    let user = found(r#"userName eq "admin" and (origin eq "uaa" or origin eq "ldap")"#).await;
    let user = user.json()["resources"][0].clone();
    assert_eq!(
        (&user["userName"], user.as_object().unwrap().len()),
        (&json!("admin"), 3)
    );
    for (filter, part) in [
        ("", "'filter' parameter is required"),
        (r#"userName sw "a""#, "Wildcards are not allowed"),
        (r#"email eq "a""#, "Invalid filter expression"),
    ] {
        let refused = found(filter).await;
        assert_eq!(refused.status, 400, "{filter}");
        let reason = refused.json()["error_description"].to_string();
        assert!(reason.contains(part), "{reason}");
    }
    let page = cf.get("/uaa/Users?count=many").await;
    assert_eq!(page.json()["error"], "scim", "{page:?}");
}

#[tokio::test]
async fn a_browser_logs_in_to_an_openid_client() {
    let cf = Session::start(MockCapi::builder().client("web", "s")).await;
    let redirect = "http://localhost/back";
    let query = [
        ("response_type", "code"),
        ("client_id", "web"),
        ("redirect_uri", redirect),
        ("scope", "openid cloud_controller.read"),
        ("nonce", "n1"),
    ];
    let browser = plain().redirect(Policy::none()).build().unwrap();
    let url = format!("{}/uaa/oauth/authorize", cf.mock.uri());
    let asked = send(browser.get(&url).query(&query)).await;
    let asks = (asked.status.as_u16(), asked.header("www-authenticate"));
    assert_eq!(asks, (401, "Basic realm=\"UAA\""));
    let request = browser.get(&url).query(&query);
    let sent = send(request.basic_auth("admin", Some("admin"))).await;
    assert_eq!(sent.status, 302, "{sent:?}");
    let location = Url::parse(sent.header("location")).unwrap();
    let code = parameter(&location, "code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect),
    ];
    let tokens = ask_token(&cf, ("web", "s"), &form).await.json();
    assert_eq!(tokens["scope"], "cloud_controller.read openid");
    assert_eq!(claims(&tokens["id_token"])["nonce"], "n1");
    assert_eq!(claims(&tokens["access_token"])["nonce"], Value::Null);
}

//! Every request gets a response, regardless of its content.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::common::{Session, send};
use mock_capi::{Dialect, MockCapi};
use reqwest::Method;
use serde_json::{Value, json};

/// Bodies that are not a JSON object, or not the expected object.
fn bodies() -> Vec<Vec<u8>> {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(100_000));
    let mut bodies: Vec<Vec<u8>> = [
        "{",
        "[]",
        "1",
        "\"x\"",
        "null",
        "{\"name\":null}",
        "{\"relationships\":[]}",
        "{\"relationships\":{\"space\":[],\"app\":1,\"organization\":{\"data\":null}}}",
        "{\"data\":{\"guid\":1}}",
        "{\"data\":[1,null,{}]}",
        "{\"destinations\":[[],{\"app\":{\"guid\":{}}}]}",
        "{\"instances\":1e999}",
        "{\"instances\":-9223372036854775808}",
        "{\"memory_in_mb\":18446744073709551616}",
        "{\"lifecycle\":1,\"metadata\":[],\"environment_variables\":0}",
        "{\"rules\":{},\"globally_enabled\":3}",
        "{\"package\":1}",
        "{\"health_check\":{\"data\":[]}}",
        "{\"apps\":{\"total_memory_in_mb\":{}}}",
        "{\"relationships\":{\"app\":{\"guid\":\"\"},\"route\":{\"guid\":null}}}",
        "\u{0}",
        "{\"name\":\"\\u0000\"}",
        &deep,
        &huge,
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    // Pseudorandom bytes, which are the same in each run.
    let mut state = 1_u32;
    for length in [1, 7, 100, 5000] {
        bodies.push(
            (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state.to_be_bytes()[0]
                })
                .collect(),
        );
    }
    bodies
}

/// Sends every body to these routes.
async fn send_everything(cf: &Session, targets: &[(Method, String)], types: &[&str]) {
    for (method, path) in targets {
        for body in bodies() {
            for content_type in types {
                let request = cf
                    .request(method.clone(), path)
                    .header("content-type", *content_type);
                let answer = send(request.body(body.clone())).await;
                let status = answer.status.as_u16();
                assert!(status != 500 && status < 600, "{method} {path}: {answer:?}");
                if status >= 400 {
                    assert!(answer.json().is_object(), "{method} {path}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn any_body_gets_a_response_in_v3() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", crate::common::new_route(&space, &domain, "h"))
        .await
        .guid();
    let package = cf
        .post("/v3/packages", crate::common::new_package(&app))
        .await
        .guid();
    let group = cf
        .post("/v3/security_groups", json!({"name": "g"}))
        .await
        .guid();
    let quota = cf
        .post("/v3/organization_quotas", json!({"name": "q"}))
        .await
        .guid();
    let droplet = cf
        .get(&format!("/v3/apps/{app}/droplets/current"))
        .await
        .guid();
    let mut targets: Vec<(Method, String)> = [
        "/v3/organizations".into(),
        "/v3/spaces".into(),
        "/v3/apps".into(),
        "/v3/packages".into(),
        "/v3/builds".into(),
        "/v3/routes".into(),
        "/v3/security_groups".into(),
        "/v3/organization_quotas".into(),
        "/v3/space_quotas".into(),
        "/v3/service_instances".into(),
        "/v3/service_credential_bindings".into(),
        "/v3/resource_matches".into(),
        format!("/v3/droplets?source_guid={droplet}"),
        format!("/v3/routes/{route}/destinations"),
        format!("/v3/apps/{app}/processes/web/actions/scale"),
        format!("/v3/security_groups/{group}/relationships/running_spaces"),
        format!("/v3/organization_quotas/{quota}/relationships/organizations"),
        format!("/v3/packages/{package}/upload"),
        format!("/v3/spaces/{space}/manifest_diff"),
        format!("/v3/spaces/{space}/actions/apply_manifest"),
        format!("/v3/apps/{app}/sidecars"),
    ]
    .into_iter()
    .map(|path: String| (Method::POST, path))
    .collect();
    for path in [
        format!("/v3/apps/{app}"),
        format!("/v3/apps/{app}/environment_variables"),
        format!("/v3/apps/{app}/relationships/current_droplet"),
        format!("/v3/processes/{app}"),
        format!("/v3/packages/{package}"),
        format!("/v3/droplets/{droplet}"),
        format!("/v3/routes/{route}"),
        format!("/v3/routes/{route}/destinations"),
        format!("/v3/organizations/{org}"),
        format!("/v3/spaces/{space}"),
        format!("/v3/security_groups/{group}"),
        format!("/v3/organization_quotas/{quota}"),
    ] {
        targets.push((Method::PATCH, path));
    }
    send_everything(&cf, &targets, &["application/json", "application/x-yaml"]).await;
    let token = [(Method::POST, "/oauth/token".to_owned())];
    send_everything(&cf, &token, &["application/x-www-form-urlencoded"]).await;
}

#[tokio::test]
async fn any_body_gets_a_response_in_2017() {
    let cf = Session::of_2017().await;
    let org = cf
        .post("/v2/organizations", json!({"name": "org"}))
        .await
        .v2_guid();
    let space = cf
        .post("/v2/spaces", json!({"name": "s", "organization_guid": org}))
        .await
        .v2_guid();
    let app = cf
        .post("/v3/apps", crate::common::new_app(&space, "app"))
        .await
        .guid();
    let package = cf
        .post("/v3/packages", crate::common::new_package(&app))
        .await
        .guid();
    let mut targets: Vec<(Method, String)> = [
        "/v2/organizations".into(),
        "/v2/spaces".into(),
        "/v2/quota_definitions".into(),
        "/v2/security_groups".into(),
        "/v2/routes".into(),
        "/v3/apps".into(),
        "/v3/packages".into(),
        "/v3/route_mappings".into(),
        "/v3/droplets/x/copy".into(),
        format!("/v3/packages/{package}/droplets"),
        format!("/v3/packages/{package}/upload"),
    ]
    .into_iter()
    .map(|path: String| (Method::POST, path))
    .collect();
    targets.push((Method::PUT, format!("/v2/organizations/{org}")));
    targets.push((Method::PUT, format!("/v3/apps/{app}/processes/web/scale")));
    targets.push((
        Method::PATCH,
        format!("/v3/apps/{app}/environment_variables"),
    ));
    targets.push((
        Method::PATCH,
        format!("/v3/apps/{app}/relationships/current_droplet"),
    ));
    send_everything(&cf, &targets, &["application/json"]).await;
}

#[tokio::test]
async fn broken_uploads_are_explained() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let package = cf
        .post("/v3/packages", crate::common::new_package(&app))
        .await
        .guid();
    let path = format!("/v3/packages/{package}/upload");
    let missing = (
        10008,
        "Upload must include either resources or bits".to_owned(),
    );
    for (content_type, body) in [
        ("multipart/form-data", "x"),
        ("multipart/form-data; boundary=b", ""),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"bits\"\r\n\r\ncut off",
        ),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"resources\"\r\n\r\n[]\r\n--b--",
        ),
        ("application/json", "{}"),
    ] {
        let request = cf
            .request(Method::POST, &path)
            .header("content-type", content_type);
        let answer = send(request.body(body)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()),
            (422, missing.clone()),
            "{body}"
        );
    }
    let form = reqwest::multipart::Form::new()
        .text("resources", "{")
        .text("bits", "x");
    let answer = send(cf.request(Method::POST, &path).multipart(form)).await;
    assert_eq!(
        answer.error(),
        (10008, "Resources must be valid JSON.".into())
    );
    assert_eq!(
        cf.get(&format!("/v3/packages/{package}")).await.json()["state"],
        "AWAITING_UPLOAD"
    );
}

/// Invalid HTTP requests are refused, and valid ones still work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_requests_are_refused() {
    let mock = MockCapi::builder().front().start().await.unwrap();
    for request in [
        "POST /oauth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nHost x\r\n\r\n",
    ] {
        let answer = raw(mock.address(), request.as_bytes());
        assert_eq!(answer, "HTTP/1.1 400 Bad Request", "{request}");
    }
    let connect = raw(mock.address(), b"CONNECT x:99999 HTTP/1.1\r\n\r\n");
    assert!(connect.starts_with("HTTP/1.1 4"), "{connect}");
    assert!(raw(mock.address(), b"GET / HTTP/1.1\r\n\r\n").contains("200"));
}

/// Sends raw bytes and reads the status line of the response.
fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.windows(2).any(|two| two == b"\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_path_and_header_gets_a_response() {
    for dialect in [Dialect::V3, Dialect::Documented2017] {
        let mock = MockCapi::builder()
            .dialect(dialect)
            .front()
            .start()
            .await
            .unwrap();
        for (line, status) in [
            ("GET / HTTP/1.1", "200"),
            ("HEAD / HTTP/1.1", "200"),
            ("GET // HTTP/1.1", "200"),
            ("GET /v3/ HTTP/1.1", "200"),
            ("GET /v3/apps/%ff%fe HTTP/1.1", "401"),
            ("GET /v3/apps/%2e%2e%00 HTTP/1.1", "4"),
            ("GET /v3/apps/%zz HTTP/1.1", "401"),
            ("GET /v3/apps/\u{fc}\u{20ac} HTTP/1.1", "40"),
            ("GET /../../etc/passwd HTTP/1.1", "404"),
            ("GET /v3/apps?%ff=%fe&&&=&page=%00 HTTP/1.1", "401"),
            ("OPTIONS * HTTP/1.1", "404"),
            ("BREW /v3/apps HTTP/1.1", "404"),
            ("GET http://elsewhere/v3/apps HTTP/1.1", "401"),
            ("GET /_mock/ HTTP/1.1", "200"),
            ("GET /_mock/nothing HTTP/1.1", "404"),
        ] {
            let request = format!("{line}\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            let answer = raw(mock.address(), request.as_bytes());
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{line}: {answer}"
            );
        }
        let mut odd =
            b"GET /v3/apps/\xff\xfe HTTP/1.1\r\nHost: \xff\r\nAuthorization: \xff\xfe\r\n\r\n"
                .to_vec();
        assert!(raw(mock.address(), &odd).starts_with("HTTP/1.1 4"));
        odd = b"GET /v3/apps HTTP/1.1\r\nHost: \xff<>\r\nAuthorization: bearer \xff\xfe\r\nX-Vcap-Request-Id: \xff\r\n\r\n".to_vec();
        assert!(raw(mock.address(), &odd).starts_with("HTTP/1.1 4"));
    }
}

#[tokio::test]
async fn any_query_gets_a_response() {
    let cf = Session::v3().await;
    for query in [
        "page=-1",
        "page=1e3",
        "per_page=%00",
        "guids=,,,",
        "names=%2C,%252C",
        "label_selector=a%20in%20(",
        "label_selector=((((",
        "label_selector=)%2C(",
        "order_by=%2B%2B",
        "order_by=-",
        "include=",
        "include=%ff",
        "created_ats[]=",
        "created_ats[gt][lt]=x",
        "created_ats%5B=2017-04-25T20:53:11Z",
        "updated_ats=2017-99-99T99:99:99Z",
    ] {
        let answer = cf.get(&format!("/v3/apps?{query}")).await;
        assert!(
            matches!(answer.status.as_u16(), 200 | 400),
            "{query}: {answer:?}"
        );
    }
    let then = Session::of_2017().await;
    for query in [
        "q=",
        "q=:",
        "q=name",
        "q=name IN",
        "q=name:;;",
        "q=name:a;name:b",
        "q=%ff",
        "page=&results-per-page=",
    ] {
        let answer = then.get(&format!("/v2/organizations?{query}")).await;
        assert!(
            matches!(answer.status.as_u16(), 200 | 400),
            "{query}: {answer:?}"
        );
    }
    let garbled: Value = then.get("/v2/organizations?q=name:%00").await.json();
    assert_eq!(garbled["total_results"], 0);
}

#[tokio::test]
async fn memory_use_is_bounded() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let quota = cf.post("/v3/organization_quotas", json!({"name": "all"}));
    let quota = quota.await.guid();
    let path = format!("/v3/organization_quotas/{quota}/relationships/organizations");
    cf.post(&path, json!({"data": [{"guid": org}]})).await;

    // Instances are replaced immediately if starting takes no time.
    let many = cf.staged_app(&space, "many").await;
    cf.act(&many, "start").await;
    let most = json!({"instances": i32::MAX, "memory_in_mb": 1});
    assert_eq!(cf.scale(&many, most).await.status, 202);
    let deployment = json!({"relationships": {"app": {"data": {"guid": many}}}});
    let deployment = cf.post("/v3/deployments", deployment).await.guid();
    let path = format!("/v3/deployments/{deployment}");
    let status = cf.get(&path).await.json()["status"].clone();
    assert_eq!(status["value"], "FINALIZED", "{status}");

    let app = cf.create_app(&space, "app").await;
    let most = json!({"instances": i32::MAX});
    assert_eq!(cf.scale(&app, most).await.status, 202);
    let stats = cf.get(&format!("/v3/processes/{app}/stats")).await;
    assert_eq!(
        stats.json()["resources"].as_array().map(Vec::len),
        Some(10_000)
    );
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\napplications: [{name: app, env: *b}]\n";
    let path = format!("/v3/spaces/{space}/manifest_diff");
    let request = cf
        .request(Method::POST, &path)
        .header("content-type", "application/x-yaml");
    let answer = send(request.body(bomb)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (
            400,
            (
                1004,
                "Bad request: Manifest does not support Anchors and Aliases".into()
            )
        )
    );
}

//! The mock's own server: bodies, hosts, TLS, and misbehaving clients.

use std::time::Duration;

use mock_capi::{Front, MockCapi};
use reqwest::multipart::{Form, Part};
use reqwest::{Certificate, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::common::{Session, archive_of, new_package, new_route, send, sha256};

const TIMEOUT: Duration = Duration::from_secs(60);

async fn front() -> Session<Front> {
    Session::start(MockCapi::builder().front()).await
}

/// Sends bytes on a new connection.
async fn connect(cf: &Session<Front>, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(cf.mock.address()).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    stream
}

/// The received data up to a text, or until the connection is closed.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut said = Vec::new();
    let read = async {
        let mut piece = [0; 4096];
        while !String::from_utf8_lossy(&said).contains(end) {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => said.extend_from_slice(&piece[..count]),
            }
        }
    };
    timeout(TIMEOUT, read).await.unwrap();
    String::from_utf8(said).unwrap()
}

/// The status and the body of a `GET` request with a target and a `Host` header.
async fn ask(cf: &Session<Front>, target: &str, host: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    read_to(&mut connect(cf, request).await, "\0").await
}

#[tokio::test]
async fn a_request_without_a_token_is_refused_before_its_body_is_sent() {
    let cf = front().await;
    let package = "0e47d7a3-0000-4000-8000-000000000000";
    let head = |more: &str| {
        format!(
            "POST /v3/packages/{package}/upload HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\
             Content-Length: {}\r\n{more}\r\n",
            1024 * 1024 * 1024
        )
    };
    for more in [
        "",
        "Expect: 100-continue\r\n",
        "Authorization: bearer none\r\n",
    ] {
        let answer = read_to(&mut connect(&cf, head(more)).await, "CF-").await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    // With a token, the server requests the body.
    let more = format!(
        "Expect: 100-continue\r\nAuthorization: bearer {}\r\n",
        cf.token
    );
    let answer = read_to(&mut connect(&cf, head(&more)).await, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 100 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_sends_its_whole_body_first_still_reads_the_refusal() {
    let cf = front().await;
    let body = vec![b' '; 16 * 1024 * 1024];
    let url = format!("{}/v3/apps", cf.mock.uri());
    let refused = send(cf.http.post(url).body(body)).await;
    assert_eq!(refused.error().0, 10002);
}

#[tokio::test]
async fn a_stub_sees_the_body_of_a_request_without_a_token() {
    let cf = front().await;
    let own = |endpoint: &str| format!("{}/_mock/{endpoint}", cf.mock.uri());
    let stub = json!([{"method": "POST", "path": "/v3/apps", "status": 201}]);
    send(cf.http.put(own("stubs")).json(&stub)).await;
    let url = format!("{}/v3/apps", cf.mock.uri());
    send(cf.http.post(url).json(&json!({"name": "a"}))).await;
    let wanted = json!({"request": {"path": "/v3/apps", "body": {"name": "a"}}});
    assert_eq!(
        send(cf.http.post(own("verify")).json(&wanted)).await.status,
        200
    );
}

/// An app with a package that accepts bits.
async fn package(cf: &Session<Front>) -> String {
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    cf.post("/v3/packages", new_package(&app)).await.guid()
}

#[tokio::test]
async fn only_the_beginning_of_a_large_upload_is_logged() {
    let cf = front().await;
    let package = package(&cf).await;
    let bits = archive_of(&vec![7; 12 * 1024 * 1024]);
    let checksum = sha256(&bits);
    let form = Form::new().part("bits", Part::bytes(bits).file_name("bits.zip"));
    let path = format!("/v3/packages/{package}/upload");
    let answer = send(cf.request(Method::POST, &path).multipart(form)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let shown = cf.get(&format!("/v3/packages/{package}")).await.json();
    assert_eq!(shown["data"]["checksum"]["value"], checksum);
    let logged = cf.get(&format!("/_mock/requests?path={path}")).await.json();
    assert!(logged[0]["body_size"].as_u64().unwrap() > 12 * 1024 * 1024);
    let body = logged[0]["body"].as_str().unwrap();
    // Bytes that are not valid UTF-8 are replaced, some of them together.
    let length = body.chars().count();
    assert!((63 * 1024..=64 * 1024).contains(&length), "{length}");
}

#[tokio::test]
async fn a_small_upload_is_read_whole() {
    let cf = front().await;
    let package = package(&cf).await;
    assert_eq!(cf.upload(&package, b"bits").await.status, 200);
    let download = format!("/v3/packages/{package}/download");
    let answer = cf.request(Method::GET, &download).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), archive_of(b"bits"));
}

#[tokio::test]
async fn a_stalled_upload_delays_no_other_requests() {
    let cf = front().await;
    let package = package(&cf).await;
    let head = format!(
        "POST /v3/packages/{package}/upload HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: bearer {}\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: 1000000\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"bits\"; filename=\"a\"\r\n\r\nPK",
        cf.token
    );
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(connect(&cf, &head).await);
    }
    assert!(cf.names("/v3/apps").await.contains(&"app".to_owned()));
    let shown = cf.get(&format!("/v3/packages/{package}")).await.json();
    assert_eq!(shown["state"], "AWAITING_UPLOAD");
}

#[tokio::test]
async fn an_incomplete_body_changes_nothing() {
    let cf = front().await;
    let package = package(&cf).await;
    let upload = format!(
        "POST /v3/packages/{package}/upload HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: bearer {}\r\nContent-Type: multipart/form-data; boundary=b\r\n",
        cf.token
    );
    let part = "--b\r\nContent-Disposition: form-data; name=\"bits\"; filename=\"a\"\r\n\r\nPK";
    let create = format!(
        "POST /v3/organizations HTTP/1.1\r\nHost: localhost\r\nAuthorization: bearer {}\r\n",
        cf.token
    );
    for request in [
        format!("{upload}Content-Length: 1000\r\n\r\n{part}"),
        format!("{upload}Transfer-Encoding: chunked\r\n\r\n5\r\n--b\r\n"),
        format!("{upload}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"),
        format!("{create}Content-Length: 1000\r\n\r\n{{\"name\": \"cut\"}}"),
        format!("{create}Content-Length: 99999999999999\r\n\r\n"),
        format!("{create}Content-Length: x\r\n\r\n"),
        "GET / HT".to_owned(),
        "\0\u{1}\u{2}".to_owned(),
    ] {
        let mut stream = connect(&cf, request).await;
        stream.shutdown().await.unwrap();
        read_to(&mut stream, "\0").await;
    }
    assert_eq!(cf.names("/v3/organizations").await, ["org"]);
    let shown = cf.get(&format!("/v3/packages/{package}")).await.json();
    assert_eq!(shown["state"], "AWAITING_UPLOAD");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_content_length() {
    let cf = front().await;
    let mut stream = connect(
        &cf,
        format!(
            "POST /v3/organizations HTTP/1.1\r\nHost: localhost\r\nAuthorization: bearer {}\r\n\
             Content-Length: {}\r\n\r\n",
            cf.token,
            65 * 1024 * 1024
        ),
    )
    .await;
    let answer = read_to(&mut stream, "MiB").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("at most 64 MiB"), "{answer}");
}

#[tokio::test]
async fn the_mock_survives_connect_requests_and_many_open_sockets() {
    let cf = front().await;
    let connected = connect(&cf, "CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut sockets = vec![connected];
    let answer = read_to(&mut sockets[0], "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    for _ in 0..300 {
        sockets.push(connect(&cf, "GET / HTTP/1.1\r\n").await);
    }
    assert_eq!(cf.get("/v3/apps").await.status, 200);
    for mut socket in sockets.split_off(200) {
        socket.write_all(b"Host: localhost\r\n\r\n").await.unwrap();
        assert!(
            read_to(&mut socket, "\r\n")
                .await
                .starts_with("HTTP/1.1 200 ")
        );
    }
}

#[tokio::test]
async fn the_host_distinguishes_requests_for_apps_from_requests_for_the_api() {
    let builder = MockCapi::builder().front().allow_host("api.apps.mock.test");
    let cf = Session::start(builder).await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let domain = cf.default_domain(&org).await;
    for (host, path, mapped) in [("web", "", true), ("idle", "", false), ("*", "/sub", true)] {
        let mut route = new_route(&space, &domain, host);
        route["path"] = json!(path);
        let route = cf.post("/v3/routes", route).await.guid();
        if mapped {
            let destinations = json!({"destinations": [{"app": {"guid": app}}]});
            let path = format!("/v3/routes/{route}/destinations");
            assert_eq!(cf.post(&path, destinations).await.status, 200);
        }
    }
    let missing = |host: &str| {
        (
            404,
            format!("404 Not Found: Requested route ('{host}') does not exist.\n"),
            "unknown_route",
        )
    };
    let empty = |host: &str| {
        (
            503,
            format!(
                "503 Service Unavailable: Requested route ('{host}') has no available endpoints.\n"
            ),
            "no_endpoints",
        )
    };
    for (target, host, (status, text, error)) in [
        ("/", "web.apps.mock.test", empty("web.apps.mock.test")),
        (
            "/a?b=c",
            "WEB.apps.mock.test:80",
            empty("WEB.apps.mock.test:80"),
        ),
        (
            "http://web.apps.mock.test/x",
            "localhost",
            empty("web.apps.mock.test"),
        ),
        (
            "/sub/x",
            "other.apps.mock.test",
            empty("other.apps.mock.test"),
        ),
        (
            "/sub",
            "deep.er.apps.mock.test",
            empty("deep.er.apps.mock.test"),
        ),
        (
            "/substitute",
            "other.apps.mock.test",
            missing("other.apps.mock.test"),
        ),
        ("/", "idle.apps.mock.test", missing("idle.apps.mock.test")),
        ("/v3", "apps.mock.test", missing("apps.mock.test")),
    ] {
        let answer = ask(&cf, target, host).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{target} {host}: {answer}");
        assert!(answer.ends_with(&text), "{target} {host}: {answer}");
        let header = format!("x-cf-routererror: {error}\r\n");
        assert!(answer.contains(&header), "{target} {host}: {answer}");
    }
    for (target, host) in [
        ("/v3", "127.0.0.1"),
        ("/v3", "localhost:80"),
        ("/v3", "api.apps.mock.test"),
        ("/v3", "api.elsewhere.test"),
        ("http://api.elsewhere.test/v3", "web.apps.mock.test"),
    ] {
        let answer = ask(&cf, target, host).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 "),
            "{target} {host}: {answer}"
        );
    }
    // The mock's own endpoints come first, and refuse other hosts.
    let own = ask(&cf, "/_mock/stats", "web.apps.mock.test").await;
    assert!(own.starts_with("HTTP/1.1 403 "), "{own}");
    let own = ask(&cf, "http://web.apps.mock.test/_mock/stats", "localhost").await;
    assert!(own.starts_with("HTTP/1.1 403 "), "{own}");
    let stats = cf.mock.stats();
    assert_eq!(stats.by_route["GET /v3"], 5);
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_can_use_tls() {
    let builder = MockCapi::builder().front().worlds(None).tls();
    let mock = builder.start().await.unwrap();
    assert!(
        mock.uri().starts_with("https://127.0.0.1:"),
        "{}",
        mock.uri()
    );
    let certificate = mock.certificate().unwrap();
    let certificate = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([certificate]);
    let http = http.build().unwrap();
    let root: Value = send(http.get(mock.uri())).await.json();
    let self_link = root["links"]["self"]["href"].as_str().unwrap();
    assert_eq!(self_link, mock.uri());
    // TLS also works with the host name, and for additional worlds.
    let by_name = mock.uri().replace("127.0.0.1", "localhost");
    assert_eq!(send(http.get(by_name)).await.status, 200);
    let world = send(http.post(format!("{}/_mock/worlds", mock.uri()))).await;
    let api = world.json()["api"].as_str().unwrap().to_owned();
    assert!(api.starts_with("https://127.0.0.1:"), "{api}");
    assert_eq!(send(http.get(api)).await.status, 200);
    // Other clients are not served.
    assert!(reqwest::get(mock.uri()).await.is_err());
    let plain = mock.uri().replace("https", "http");
    assert!(reqwest::get(plain).await.is_err());
    assert_eq!(send(http.get(mock.uri())).await.status, 200);
}

//! Connections: certificates, ports without TLS, proxies, and responses that contain
//! secrets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cf_pusher::{Approval, Client, ConnectOptions, ConnectionProblem, Error, Events};
use mock_capi::wiremock::matchers::path;
use mock_capi::wiremock::{Mock, ResponseTemplate};
use mock_capi::{Front, MockCapi};
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::command::{Place, cf_pusher};
use crate::support::{SMALL, Workflow, admin, read};

async fn tls_mock() -> MockCapi<Front> {
    MockCapi::builder().front().tls().start().await.unwrap()
}

async fn connect(options: ConnectOptions) -> Result<Client, Error> {
    let options = options.timeout(Duration::from_secs(20));
    Client::connect(&options, Events::default()).await
}

fn problem_of(error: Error) -> ConnectionProblem {
    match error {
        Error::Unreachable { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_self_signed_certificate_in_a_trusted_file_is_accepted() {
    let mock = tls_mock().await;
    let place = Place::new();
    let certificate = place.file("ca.pem", mock.certificate().unwrap());
    let options = ConnectOptions::new(mock.uri(), admin("admin"));
    connect(options.clone().ca_cert(Some(certificate)))
        .await
        .unwrap();
    connect(options.clone().skip_ssl_validation(true))
        .await
        .unwrap();
    let error = connect(options).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(problem_of(error), ConnectionProblem::UntrustedCertificate);
}

#[tokio::test]
async fn a_file_without_a_certificate_is_an_error() {
    let place = Place::new();
    let empty = place.file("ca.pem", "no certificate\n");
    let options = ConnectOptions::new("https://127.0.0.1:9", admin("admin")).ca_cert(Some(empty));
    let error = connect(options).await.unwrap_err().to_string();
    let dir = place.dir.path().to_str().unwrap();
    insta::assert_snapshot!(error.replace(dir, "DIR"), @"reading the certificates in DIR/ca.pem failed: the file has no certificate in PEM format");
}

#[tokio::test]
async fn https_to_a_port_without_tls_is_reported() {
    let mock = MockCapi::start().await.unwrap();
    let url = mock.uri().replace("http://", "https://");
    let error = connect(ConnectOptions::new(url, admin("admin")))
        .await
        .unwrap_err();
    let text = error
        .to_string()
        .replace(&mock.address().to_string(), "HOST");
    insta::assert_snapshot!(text, @"cannot reach https://HOST/: the server does not use TLS on this port");
    assert_eq!(problem_of(error), ConnectionProblem::NotTls);
}

#[test]
fn a_failing_proxy_is_reported_with_its_variable() {
    let place = Place::new();
    let config = place.file("config.json", SMALL);
    let output = cf_pusher(place.dir.path())
        .args(["plan", "--config", config.to_str().unwrap()])
        .env("CF_API", "https://api.example.invalid")
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin")
        .env("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:9")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    error: cannot reach https://api.example.invalid/: the proxy http://127.0.0.1:9 (HTTPS_PROXY) failed: Connection refused (os error 111)
    help: correct HTTPS_PROXY, or list the API's host in NO_PROXY
    ");
}

#[test]
fn a_variable_without_a_proxy_url_is_an_error() {
    let place = Place::new();
    let config = place.file("config.json", SMALL);
    let plan = |no_proxy: &str| {
        let mut command = cf_pusher(place.dir.path());
        command
            .args(["plan", "--config", config.to_str().unwrap()])
            .env("CF_API", "https://api.example.invalid")
            .env("CF_USERNAME", "admin")
            .env("CF_PASSWORD", "admin")
            .env("HTTPS_PROXY", "user:hunter2 127.0.0.1:9")
            .env_remove("no_proxy")
            .env("NO_PROXY", no_proxy);
        place.run_alone(command)
    };
    let output = plan("");
    assert_eq!(output.code, 3);
    insta::assert_snapshot!(output.stderr, @r"
    error: cannot reach https://api.example.invalid/: the value of HTTPS_PROXY is not the URL of a proxy
    help: correct HTTPS_PROXY, or list the API's host in NO_PROXY
    ");
    let direct = plan("example.invalid");
    assert!(!direct.stderr.contains("HTTPS_PROXY"), "{}", direct.stderr);
}

/// A SOCKS5 proxy that always connects to one address, and the number of its connections.
async fn socks_proxy(target: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(forward(client, target));
        }
    });
    (address, connections)
}

async fn forward(mut client: TcpStream, target: SocketAddr) -> std::io::Result<()> {
    // The version, and the methods of authentication. No authentication is needed.
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await?;
    let mut methods = vec![0; usize::from(greeting[1])];
    client.read_exact(&mut methods).await?;
    client.write_all(&[5, 0]).await?;
    // The version, CONNECT, the type of the address, an IPv4 address and its port.
    let mut request = [0; 10];
    client.read_exact(&mut request).await?;
    assert_eq!(request[..4], [5, 1, 0, 1]);
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    let mut server = TcpStream::connect(target).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_through_a_socks_proxy() {
    let mock = MockCapi::start().await.unwrap();
    let (proxy, connections) = socks_proxy(mock.address()).await;
    let place = Place::new();
    let config = place.file("config.json", SMALL);
    let mut command = cf_pusher(place.dir.path());
    let proxy = format!("socks5://{proxy}");
    command
        .args(["plan", "--config", config.to_str().unwrap()])
        // Loopback addresses are never reached through a proxy.
        .envs([("CF_API", "http://192.0.2.1"), ("CF_USERNAME", "admin")])
        .envs([("CF_PASSWORD", "admin"), ("NO_PROXY", ""), ("no_proxy", "")])
        .envs([("HTTP_PROXY", &proxy), ("http_proxy", &proxy)]);
    let output = place.run_alone(command);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(connections.load(Ordering::SeqCst) > 0);
}

#[test]
fn an_untrusted_certificate_is_explained() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(tls_mock());
    let output = Place::new().on(&mock, SMALL, &["plan"]);
    assert_eq!(output.code, 3);
    let port = mock.address().to_string();
    insta::assert_snapshot!(output.stderr.replace(&port, "HOST"), @r"
    error: cannot reach http://api/: the certificate is not trusted: no trusted authority issued it
    help: trust the server's certificate with --ca-cert FILE or SSL_CERT_FILE, or accept any certificate with --skip-ssl-validation
    ");
}

#[test]
fn an_unreadable_certificate_file_is_reported() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(tls_mock());
    let place = Place::new();
    let plan = |name: &str, file: &str| {
        let mut command = cf_pusher(place.dir.path());
        let config = place.file("config.json", SMALL);
        command.args(["plan", "--config", config.to_str().unwrap()]);
        let login = [("CF_USERNAME", "admin"), ("CF_PASSWORD", "admin")];
        command
            .env("CF_API", mock.uri())
            .envs(login)
            .env(name, file);
        place.run(command, &mock)
    };
    let system = plan("SSL_CERT_FILE", "nowhere.pem");
    assert_eq!(system.code, 3);
    let help = system.stderr.lines().last().unwrap();
    insta::assert_snapshot!(help, @"help: correct SSL_CERT_FILE: reading nowhere.pem failed: No such file or directory (os error 2)");
    let folder = plan("SSL_CERT_FILE", ".");
    assert_eq!(folder.code, 3);
    let help = folder.stderr.lines().last().unwrap();
    insta::assert_snapshot!(help, @"help: correct SSL_CERT_FILE: reading . failed: not a file");
    let own = plan("CF_PUSHER_CA_CERT", "nowhere.pem");
    assert_eq!(own.code, 2);
    insta::assert_snapshot!(own.stderr, @r"
    error: reading the certificates in nowhere.pem failed: No such file or directory (os error 2)
    help: --ca-cert (CF_PUSHER_CA_CERT) must be a file with certificates in PEM format
    ");
    assert_eq!(plan("CF_PUSHER_CA_CERT", "").code, 3);
}

/// A password that servers repeat in responses.
const SECRET: &str = "hunter2-secret";

fn repeated_in_json() -> String {
    let detail = format!("\u{1b}[31mno, {SECRET}\u{7}");
    let error = json!({"code": 10008, "title": SECRET, "detail": detail});
    json!({ "errors": [error] }).to_string()
}

/// A text that is cut in the middle of the password.
fn repeated_in_text() -> String {
    format!("no, {}{SECRET}", "x".repeat(190))
}

#[rstest]
#[case::in_json(
    repeated_in_json(),
    "no, [removed] (10008 [removed]) [request [removed]]"
)]
#[case::in_text(
    repeated_in_text(),
    "xx[remov... (not from the Cloud Controller) [request [removed]]"
)]
#[tokio::test]
async fn a_secret_that_a_server_repeats_is_masked(#[case] body: String, #[case] expected: &str) {
    let builder = Workflow::Manifest.foundation();
    let mock = builder.add_user("somebody", SECRET).start().await.unwrap();
    let answer = ResponseTemplate::new(422).insert_header("x-vcap-request-id", SECRET);
    Mock::given(path("/v3/organizations"))
        .respond_with(answer.set_body_string(body))
        .with_priority(1)
        .mount(mock.server())
        .await;
    let credentials = cf_pusher::Credentials::Password {
        username: "somebody".to_owned(),
        password: SECRET.into(),
    };
    let client = connect(ConnectOptions::new(mock.uri(), credentials))
        .await
        .unwrap();
    let (config, sources) = read(SMALL, None);
    let converger = Workflow::Manifest.converger(&client, &config, &sources);
    let error = converger.converge(Approval::None).await.unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with(expected), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
}

//! The root of the API, `GET /`: its URL, its links, and the errors of servers that are
//! not a Cloud Controller.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use crate::capi::error::{ConnectionProblem, Error};
use crate::capi::network_policies::{PolicyServer, Version};

/// A part of the HTTP client's message about a response that is not HTTP.
const NOT_HTTP: &str = "invalid HTTP version";

#[derive(Deserialize)]
pub(super) struct Root {
    pub(super) links: RootLinks,
}

#[derive(Deserialize)]
pub(super) struct RootLinks {
    pub(super) cloud_controller_v3: Option<VersionedLink>,
    pub(super) uaa: Option<Link>,
    pub(super) login: Option<Link>,
    pub(super) log_cache: Option<Link>,
    pub(super) network_policy_v0: Option<Link>,
    pub(super) network_policy_v1: Option<Link>,
}

impl RootLinks {
    /// The policy server, with the newest version of its API.
    pub(super) fn policy_server(&self) -> Option<PolicyServer> {
        let versions = [
            (&self.network_policy_v1, Version::V1),
            (&self.network_policy_v0, Version::V0),
        ];
        let mut known = versions.into_iter();
        known.find_map(|(link, version)| {
            let url = link.as_ref()?.href.trim_end_matches('/').to_owned();
            Some(PolicyServer { url, version })
        })
    }
}

#[derive(Deserialize)]
pub(super) struct VersionedLink {
    pub(super) meta: Option<Meta>,
}

#[derive(Deserialize)]
pub(super) struct Meta {
    pub(super) version: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) href: String,
}

/// The URL of the API. Its scheme is `https` unless the text has another one.
pub(super) fn api_url(api: &str) -> Result<Url, Error> {
    let given = api.trim();
    let text = if given.contains("://") {
        given.to_owned()
    } else {
        format!("https://{given}")
    };
    let invalid = |reason: String| Err(Error::InvalidApi { reason });
    // The part before an @ may be a password.
    let shown = match given.contains('@') {
        true => "it".to_owned(),
        false => format!("\"{given}\""),
    };
    let url = match Url::parse(&text) {
        Ok(url) => url,
        Err(error) => return invalid(format!("{shown} is not a URL: {error}")),
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return invalid(format!("{shown} does not begin with http:// or https://"));
    }
    let more = url.query().is_some() || url.fragment().is_some();
    if more || !url.username().is_empty() || url.password().is_some() {
        let reason = "it must not have a user, password, query or fragment";
        return invalid(reason.to_owned());
    }
    Ok(url)
}

/// The reason why the server at a URL is not a usable Cloud Controller.
pub(super) fn no_api(base: &Url, error: Error) -> Error {
    let reason = match &error {
        Error::Unreachable { .. } | Error::Interrupted => return error,
        Error::NoResponse { reason, .. } if reason.contains(NOT_HTTP) => {
            "the response is not HTTP".to_owned()
        }
        Error::NoResponse { reason, .. } => format!("no response: {reason}"),
        Error::UnexpectedResponse { .. } => "the server is not a Cloud Controller".to_owned(),
        other => other.to_string(),
    };
    let problem = match base.scheme() {
        "http" if may_need_tls(&error) => ConnectionProblem::NeedsTls,
        _ => ConnectionProblem::Other,
    };
    Error::Unreachable {
        url: base.to_string(),
        reason,
        problem,
        source: Some(Arc::new(error)),
    }
}

/// Whether servers with TLS respond in this way to a request without TLS: with a text of
/// Go, nginx or Apache, a redirect, or bytes that are not HTTP.
fn may_need_tls(error: &Error) -> bool {
    const RESPONSES: [&str; 4] = [
        "HTTPS server",
        "HTTPS port",
        "SSL-enabled server port",
        "it redirects to https://",
    ];
    const CLOSED: [&str; 3] = [NOT_HTTP, "connection closed", "Connection reset"];
    match error {
        Error::NoResponse { reason, .. } => CLOSED.iter().any(|it| reason.contains(it)),
        Error::Refused { errors, .. } => {
            let mut details = errors.iter().map(|error| error.detail.as_str());
            details.any(|detail| RESPONSES.iter().any(|it| detail.contains(it)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::capi::client::{Client, ConnectOptions};
    use crate::capi::transport::Credentials;
    use crate::events::Events;

    #[rstest]
    #[case("api.example.com", "https://api.example.com/")]
    #[case(" http://127.0.0.1:8181 ", "http://127.0.0.1:8181/")]
    fn apis_are_urls(#[case] api: &str, #[case] expected: &str) {
        assert_eq!(api_url(api).unwrap().as_str(), expected);
    }

    /// The error of a login at a foundation whose root has this link to a UAA. `None`
    /// stands for the foundation itself, which issues the token.
    async fn refused_login(uaa: Option<&str>, token: &str) -> Error {
        let server = MockServer::start().await;
        let uaa = uaa.map_or_else(|| server.uri(), str::to_owned);
        let root = json!({"links": {
            "uaa": {"href": uaa},
            "cloud_controller_v3": {"meta": {"version": "3.200.0"}},
        }});
        let token = json!({"access_token": token, "expires_in": 600});
        for (at, body) in [("/", root), ("/oauth/token", token)] {
            let response = ResponseTemplate::new(200).set_body_json(body);
            let mock = Mock::given(path(at)).respond_with(response).expect(..=1);
            mock.mount(&server).await;
        }
        let credentials = Credentials::Client {
            id: "client".to_owned(),
            secret: "secret".into(),
        };
        let options = ConnectOptions::new(server.uri(), credentials);
        let connected = Client::connect(&options, Events::default()).await;
        connected.unwrap_err()
    }

    #[rstest]
    #[case("javascript:1")]
    #[case("/uaa")]
    #[case("ftp://uaa.example.com")]
    #[tokio::test]
    async fn a_uaa_needs_a_web_address(#[case] link: &str) {
        let error = refused_login(Some(link), "token").await.to_string();
        let expected = "its response to GET / has no link to a UAA";
        assert!(error.ends_with(expected), "{error}");
    }

    #[tokio::test]
    async fn a_token_that_cannot_be_sent_fails_the_login() {
        let error = refused_login(None, "to\nken").await;
        assert!(matches!(error, Error::Login { .. }), "{error:?}");
        let expected = "the access token has characters that no header may have";
        assert!(error.to_string().ends_with(expected), "{error}");
    }

    #[rstest]
    #[case("", "\"\" is not a URL: empty host")]
    #[case(
        "ftp://api.example.com",
        "\"ftp://api.example.com\" does not begin with http:// or https://"
    )]
    #[case("http://", "\"http://\" is not a URL: empty host")]
    #[case(
        "https://a b",
        "\"https://a b\" is not a URL: invalid international domain name"
    )]
    #[case(
        "https://user:hunter2@a b",
        "it is not a URL: invalid international domain name"
    )]
    #[case(
        "https://user:hunter2@api.example.com",
        "it must not have a user, password, query or fragment"
    )]
    #[case(
        "https://api.example.com?hunter2",
        "it must not have a user, password, query or fragment"
    )]
    #[case(
        "https://api.example.com#hunter2",
        "it must not have a user, password, query or fragment"
    )]
    fn other_apis_are_refused(#[case] api: &str, #[case] reason: &str) {
        let error = api_url(api).unwrap_err();
        assert!(matches!(error, Error::InvalidApi { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("invalid API URL: {reason}"));
    }

    #[rstest]
    #[case::go("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")]
    #[case::nginx(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n<title>400 The plain HTTP request was sent to HTTPS port</title>"
    )]
    #[case::a_redirect(
        "HTTP/1.1 301 Moved\r\nlocation: https://api.example.com/\r\ncontent-length: 0\r\n\r\n"
    )]
    #[case::an_alert("\x15\x03\x01\x00\x02\x02\x46")]
    #[case::a_closed_connection("")]
    #[tokio::test]
    async fn a_server_that_needs_tls_is_recognized(#[case] response: &'static str) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        let options = ConnectOptions::new(
            api,
            Credentials::Client {
                id: "client".to_owned(),
                secret: "secret".into(),
            },
        );
        let error = Client::connect(&options, Events::default())
            .await
            .unwrap_err();
        let Error::Unreachable { problem, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*problem, ConnectionProblem::NeedsTls, "{error}");
    }
}

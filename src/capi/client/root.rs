//! The root of the API, `GET /`: its URL, its links, and the errors of servers that are
//! not a Cloud Controller.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use crate::capi::error::{ConnectionProblem, Error};
use crate::capi::network_policies::{PolicyServer, Version};

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
    let url = Url::parse(&text).map_err(|error| Error::unreachable(given, error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Error::unreachable(given, "not an http or https URL"));
    }
    let more = url.query().is_some() || url.fragment().is_some();
    if more || !url.username().is_empty() || url.password().is_some() {
        let reason = "its URL must not have a user, password, query or fragment";
        return Err(Error::unreachable("the API", reason));
    }
    Ok(url)
}

/// The reason why the server at a URL is not a usable Cloud Controller.
pub(super) fn no_api(base: &Url, error: Error) -> Error {
    let reason = match &error {
        Error::Unreachable { .. } | Error::Interrupted => return error,
        Error::NoResponse { reason, .. } => format!("no response: {reason}"),
        Error::UnexpectedResponse { .. } => "the server is not a Cloud Controller".to_owned(),
        other => other.to_string(),
    };
    Error::Unreachable {
        url: base.to_string(),
        reason,
        problem: ConnectionProblem::Other,
        source: Some(Arc::new(error)),
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
    #[case("")]
    #[case("ftp://api.example.com")]
    #[case("http://")]
    #[case("https://a b")]
    #[case("https://user:hunter2@api.example.com")]
    #[case("https://api.example.com?hunter2")]
    #[case("https://api.example.com#hunter2")]
    fn other_apis_are_refused(#[case] api: &str) {
        let error = api_url(api).unwrap_err();
        assert!(error.is_connection());
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

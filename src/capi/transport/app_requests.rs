//! Requests to apps, by the hosts of their routes. They carry no token, and neither the
//! limits for the Cloud Controller nor its retries apply to them.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{header, redirect};
use url::Url;

use super::connection_error::transport_error;
use super::http_clients::HttpClients;
use super::request::Request;
use crate::capi::error::Error;

/// The maximum time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The maximum time until a response is complete.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum size of a body, in bytes. The rest is dropped.
const MAX_BODY: usize = 16 << 20;

/// Sends requests to apps. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppRequests {
    http: Arc<HttpClients>,
    /// The address to send requests to, if it is not the host of the app.
    router: Option<Url>,
}

/// The response of an app, or of the router in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppResponse {
    /// The HTTP status, such as 200.
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The reason why the router responded instead of an app, such as `unknown_route`.
    pub(crate) router_error: Option<String>,
}

impl AppResponse {
    /// Whether an app sent the response, and it was successful.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl AppRequests {
    pub(super) fn new(http: &HttpClients, router: Option<Url>) -> Result<Self, Error> {
        let redirects = match router {
            // A redirect names a host that DNS may not resolve.
            Some(_) => 0,
            None => 10,
        };
        let http = http.with(|builder| {
            let builder = builder.connect_timeout(CONNECT_TIMEOUT);
            let builder = builder.timeout(RESPONSE_TIMEOUT).http1_only();
            match redirects {
                0 => builder.redirect(redirect::Policy::none()),
                count => builder.redirect(redirect::Policy::limited(count)),
            }
        })?;
        Ok(Self {
            http: Arc::new(http),
            router,
        })
    }

    /// Sends `GET http://{host}{path}` once. `path` begins with `/`.
    pub(crate) async fn get(&self, host: &str, path: &str) -> Result<AppResponse, Error> {
        let request = Request::get(path);
        let origin = format!("http://{host}");
        let base = self.router.clone().map_or_else(|| Url::parse(&origin), Ok);
        let base = base.map_err(|error| Error::local(format!("requesting {origin}"), error))?;
        let url = Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/')));
        let url = url.map_err(|error| Error::local(format!("requesting {origin}{path}"), error))?;
        let mut builder = self.http.of(&url).get(url.clone());
        if self.router.is_some() {
            builder = builder.header(header::HOST, host);
        }
        let received = receive(builder).await;
        received.map_err(|error| {
            let proxy = self.http.proxy_of(&url);
            transport_error(&base, &request, proxy, error)
        })
    }
}

async fn receive(builder: reqwest::RequestBuilder) -> Result<AppResponse, reqwest::Error> {
    let mut response = builder.send().await?;
    let router_error = response.headers().get("x-cf-routererror");
    let router_error = router_error.and_then(|it| it.to_str().ok());
    let router_error = router_error.map(str::to_owned);
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_BODY {
            break;
        }
    }
    Ok(AppResponse {
        status: response.status().as_u16(),
        body: String::from_utf8_lossy(&body).into_owned(),
        router_error,
    })
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{header, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::capi::client::ConnectOptions;
    use crate::capi::transport::{Credentials, Transport};
    use crate::events::Events;

    fn requests(router: &str) -> AppRequests {
        let credentials = Credentials::Client {
            id: String::new(),
            secret: String::new().into(),
        };
        let options = ConnectOptions::new("http://127.0.0.1", credentials);
        let transport = Transport::new(&options, Events::default()).unwrap();
        let router = Url::parse(router).unwrap();
        transport.app_requests(Some(router)).unwrap()
    }

    #[tokio::test]
    async fn a_router_gets_the_host_of_the_app_and_no_token() {
        let router = MockServer::start().await;
        let gone = ResponseTemplate::new(404)
            .insert_header("X-Cf-RouterError", "unknown_route")
            .set_body_string("404 Not Found");
        let mocks = [
            Mock::given(header("host", "a.example.com"))
                .and(path("/proxy/10.0.0.1:8080"))
                .respond_with(ResponseTemplate::new(200).set_body_string("hello")),
            Mock::given(header("host", "b.example.com")).respond_with(gone),
        ];
        for mock in mocks {
            mock.mount(&router).await;
        }
        let apps = requests(&router.uri());
        let found = apps.get("a.example.com", "/proxy/10.0.0.1:8080").await;
        assert_eq!(
            found.unwrap(),
            AppResponse {
                status: 200,
                body: "hello".to_owned(),
                router_error: None
            }
        );
        let gone = apps.get("b.example.com", "/").await.unwrap();
        assert_eq!(gone.router_error.as_deref(), Some("unknown_route"));
        let received = router.received_requests().await.unwrap();
        assert!(
            received
                .iter()
                .all(|it| !it.headers.contains_key("authorization"))
        );
    }

    #[tokio::test]
    async fn the_error_names_an_unreachable_router() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let apps = requests(&format!("http://127.0.0.1:{port}"));
        let error = apps.get("a.example.com", "/").await.unwrap_err();
        assert!(error.is_connection(), "{error}");
    }
}

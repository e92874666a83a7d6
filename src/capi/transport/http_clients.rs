//! HTTP clients with and without a proxy.

use std::path::Path;
use std::time::Duration;

use reqwest::redirect;
use url::{Host, Url};

use super::connection_error::{self, Proxies, Proxy};
use super::tls;
use crate::capi::error::Error;

/// The maximum time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP clients with and without the proxy from the environment.
pub(super) struct HttpClients {
    proxied: reqwest::Client,
    direct: reqwest::Client,
    proxies: Proxies,
    /// `None` if any certificate is accepted.
    tls: Option<rustls::ClientConfig>,
}

impl HttpClients {
    pub(super) fn new(skip_ssl_validation: bool, ca_cert: Option<&Path>) -> Result<Self, Error> {
        let tls = match skip_ssl_validation {
            true => None,
            false => Some(tls::config(ca_cert)?),
        };
        Self::build(tls, |builder| {
            let builder = builder.connect_timeout(CONNECT_TIMEOUT);
            builder.redirect(redirect::Policy::none())
        })
    }

    /// Clients that trust the same certificates, with other settings.
    pub(super) fn with(
        &self,
        configure: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, Error> {
        Self::build(self.tls.clone(), configure)
    }

    fn build(
        tls: Option<rustls::ClientConfig>,
        configure: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, Error> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("cf-pusher/", env!("CARGO_PKG_VERSION")));
            let builder = match tls.clone() {
                Some(tls) => builder.tls_backend_preconfigured(tls),
                None => builder.tls_danger_accept_invalid_certs(true),
            };
            configure(builder)
        };
        let failed = |error| Error::local("preparing the HTTP client", error);
        Ok(Self {
            proxied: builder().build().map_err(failed)?,
            direct: builder().no_proxy().build().map_err(failed)?,
            proxies: Proxies::from_environment(),
            tls,
        })
    }

    /// The proxy that requests to a URL go through, if any.
    pub(super) fn proxy_of(&self, url: &Url) -> Option<Proxy> {
        match is_loopback(url) {
            true => None,
            false => self.proxies.of(url),
        }
    }

    /// Refuses an environment variable that should contain the URL of a proxy and
    /// contains something else. Without this check, requests would be sent directly.
    pub(super) fn check_proxy(&self, url: &Url) -> Result<(), Error> {
        match self.proxies.invalid(url).filter(|_| !is_loopback(url)) {
            Some(variable) => Err(connection_error::invalid_proxy(url, variable)),
            None => Ok(()),
        }
    }

    /// The client for a URL. Requests to loopback addresses never use a proxy, as in Go's
    /// HTTP client and therefore in the `cf` CLI.
    pub(super) fn of(&self, url: &Url) -> &reqwest::Client {
        match is_loopback(url) {
            true => &self.direct,
            false => &self.proxied,
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://localhost:8181", true)]
    #[case("http://127.1.2.3", true)]
    #[case("https://[::1]/v3/apps", true)]
    #[case("https://localhost.example.com", false)]
    #[case("https://10.0.0.1", false)]
    fn requests_to_loopback_addresses_use_no_proxy(#[case] url: &str, #[case] expected: bool) {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected);
    }
}

//! The reason why a request could not be sent, or its response could not be read.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use rustls::CertificateError;
use url::Url;

use super::request::Request;
use crate::capi::error::{ConnectionProblem, Error};

/// The proxies that the environment selects, by the same rules as in the HTTP client.
pub(super) struct Proxies {
    matcher: Matcher,
    /// Selects the URLs that use any proxy.
    any: Matcher,
}

/// A proxy, and the environment variable that names it.
pub(super) struct Proxy {
    url: String,
    variable: &'static str,
}

impl Proxies {
    pub(super) fn from_environment() -> Self {
        let no_proxy = ["NO_PROXY", "no_proxy"].map(|name| std::env::var(name).unwrap_or_default());
        let no_proxy = no_proxy.into_iter().find(|hosts| !hosts.is_empty());
        let any = Matcher::builder().all("http://proxy.invalid");
        Self {
            matcher: Matcher::from_system(),
            any: any.no(no_proxy.unwrap_or_default()).build(),
        }
    }

    /// The variable that should contain the URL of the proxy for a URL, but contains
    /// something else. The HTTP client would ignore the variable.
    pub(super) fn invalid(&self, url: &Url) -> Option<&'static str> {
        let target = url.as_str().parse().ok()?;
        let variable = variable(url.scheme());
        let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
        let is_invalid = !value.to_str().is_some_and(is_proxy);
        (is_invalid && self.any.intercept(&target).is_some()).then_some(variable)
    }

    /// The proxy that requests to a URL go through.
    pub(super) fn of(&self, url: &Url) -> Option<Proxy> {
        let target = url.as_str().parse().ok()?;
        let intercept = self.matcher.intercept(&target)?;
        Some(Proxy {
            url: intercept.uri().to_string().trim_end_matches('/').to_owned(),
            variable: variable(url.scheme()),
        })
    }
}

/// Whether a text is the URL of a proxy, or its host alone.
fn is_proxy(text: &str) -> bool {
    const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    url.is_ok_and(|url| url.has_host() && SCHEMES.contains(&url.scheme()))
}

/// An error about an environment variable that should contain the URL of a proxy.
pub(super) fn invalid_proxy(base: &Url, variable: &'static str) -> Error {
    Error::Unreachable {
        url: base.to_string(),
        // The value may contain a password.
        reason: format!("the value of {variable} is not the URL of a proxy"),
        problem: ConnectionProblem::Proxy {
            url: String::new(),
            variable,
        },
        source: None,
    }
}

/// The variable that selects the proxy for URLs of a scheme.
fn variable(scheme: &str) -> &'static str {
    let candidates = match scheme {
        "https" => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        _ => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
    };
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    candidates.into_iter().find(is_set).unwrap_or(candidates[0])
}

/// The error of a request that failed below HTTP.
pub(super) fn transport_error(
    base: &Url,
    request: &Request,
    proxy: Option<Proxy>,
    error: reqwest::Error,
) -> Error {
    let error = error.without_url();
    let reason = innermost(&error);
    if error.is_builder() {
        // A retry would fail again.
        let (method, path) = (&request.method, &request.path);
        return Error::impossible(format!("sending {method} {path} to {base}"), reason);
    }
    if !error.is_connect() {
        return Error::NoResponse {
            method: request.method.to_string(),
            path: request.path.clone(),
            reason: match error.is_timeout() && !reason.contains("time") {
                true => format!("timed out: {reason}"),
                false => reason,
            },
            source: Some(Arc::new(error)),
        };
    }
    let tls_error = find::<rustls::Error>(&error);
    let (problem, reason) = match (tls_error, proxy) {
        (Some(rustls::Error::InvalidCertificate(cause)), _) => (
            ConnectionProblem::UntrustedCertificate,
            format!(
                "the certificate is not trusted: {}",
                certificate_problem(cause)
            ),
        ),
        (Some(rustls::Error::InvalidMessage(_)), _) => (
            ConnectionProblem::NotTls,
            "the server does not use TLS on this port".to_owned(),
        ),
        (_, Some(proxy)) => through(proxy, &reason),
        (_, None) => (ConnectionProblem::Other, reason),
    };
    Error::Unreachable {
        url: base.to_string(),
        reason,
        problem,
        source: Some(Arc::new(error)),
    }
}

fn certificate_problem(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::Other(_) => {
            "no trusted authority issued it".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host".to_owned()
        }
        other => other.to_string(),
    }
}

/// A failure of a proxy rather than of the server behind it.
pub(super) fn through(proxy: Proxy, reason: &str) -> (ConnectionProblem, String) {
    let Proxy { url, variable } = proxy;
    let reason = format!("the proxy {url} ({variable}) failed: {reason}");
    (ConnectionProblem::Proxy { url, variable }, reason)
}

/// The message of the innermost cause, which is the most specific one.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    // rustls adds a link to its documentation, which is for programmers.
    let text = cause.to_string();
    let text = text.split(": https://docs.rs/").next();
    text.unwrap_or_default().to_owned()
}

/// The first error of a type in a chain of causes. An I/O error hides its inner error
/// from the chain.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://proxy.example.com:3128", true)]
    #[case("proxy.example.com:3128", true)]
    #[case("127.0.0.1:9", true)]
    #[case("socks5h://user:secret@[::1]:1080", true)]
    #[case("ftp://proxy.example.com", false)]
    #[case("a b", false)]
    #[case(":::", false)]
    #[case("http://", false)]
    fn proxies_are_urls(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_proxy(text), expected);
    }
}

//! Access and refresh tokens: shaped like UAA's JWTs, signed, and checked
//! without a table of them.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::clock::Timestamp;
use crate::settings::{Account, Settings};

/// What an administrator's token allows.
pub(crate) const SCOPES: &[&str] = &[
    "cloud_controller.admin",
    "cloud_controller.read",
    "cloud_controller.write",
    "network.admin",
    "openid",
    "password.write",
    "uaa.user",
];

const REFRESH_LIFETIME_SECONDS: u64 = 30 * 24 * 3600;

/// How a token was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    Password,
    ClientCredentials,
}

impl Grant {
    fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

/// Which access tokens are still good: those of the current revision.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    revision: u64,
    issued: AtomicU64,
}

impl Tokens {
    /// Makes every access token that was given out expired.
    pub(crate) fn expire(&mut self) {
        self.revision += 1;
    }

    pub(crate) fn issue(
        &self,
        settings: &Settings,
        account: &Account,
        grant: Grant,
        kind: TokenKind,
        now: Timestamp,
        issuer: &str,
    ) -> String {
        let lifetime = match kind {
            TokenKind::Access => settings.token_lifetime.as_secs(),
            TokenKind::Refresh => REFRESH_LIFETIME_SECONDS,
        };
        let suffix = if kind == TokenKind::Refresh { "-r" } else { "" };
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let mut claims = json!({
            "jti": format!("{number:032x}{suffix}"),
            "revision": self.revision,
            "scope": SCOPES,
            "cid": "cf",
            "azp": "cf",
            "client_id": "cf",
            "sub": account.guid,
            "grant_type": grant.name(),
            "iat": now.unix_seconds(),
            "exp": now.unix_seconds().saturating_add(lifetime),
            "iss": issuer,
            "zid": "uaa",
            "aud": ["cloud_controller", "password", "cf", "uaa", "openid"],
        });
        if grant == Grant::Password {
            claims["user_id"] = json!(account.guid.to_string());
            claims["user_name"] = json!(account.name);
            claims["email"] = json!(account.name);
            claims["origin"] = json!("uaa");
        }
        let header = json!({"alg": "HS256", "kid": "key-1", "typ": "JWT"});
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = sign(settings, &signed);
        format!("{signed}.{signature}")
    }

    /// Whether the mock issued the token and it is still good.
    pub(crate) fn accepts(
        &self,
        settings: &Settings,
        token: &str,
        kind: TokenKind,
        now: Timestamp,
    ) -> bool {
        read_claims(settings, token).is_some_and(|claims| {
            let unexpired = claims["exp"]
                .as_u64()
                .is_some_and(|exp| now.unix_seconds() < exp);
            let refresh = claims["jti"]
                .as_str()
                .is_some_and(|jti| jti.ends_with("-r"));
            let current = claims["revision"] == self.revision;
            unexpired
                && match kind {
                    TokenKind::Access => !refresh && current,
                    TokenKind::Refresh => refresh,
                }
        })
    }
}

/// Whom a token was issued to, if the mock issued it, even if it has expired.
pub(crate) fn subject(settings: &Settings, token: &str) -> Option<String> {
    let claims = read_claims(settings, token)?;
    claims["sub"].as_str().map(str::to_owned)
}

fn read_claims(settings: &Settings, token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    if sign(settings, signed) != signature {
        return None;
    }
    let (_, claims) = signed.split_once('.')?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn sign(settings: &Settings, signed: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(settings.signing_key.to_string());
    digest.update(signed);
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// The token of an `Authorization: bearer ...` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// The client of an `Authorization: Basic ...` header. UAA's clients escape
/// what they send as forms do.
pub(crate) fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(credentials.trim())
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id), form_decode(secret)))
}

fn form_decode(text: &str) -> String {
    let form = format!("v={text}");
    let mut pairs = form_urlencoded::parse(form.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

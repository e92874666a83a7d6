//! Access and refresh tokens: shaped like UAA's JWTs, signed, and checked
//! without a table of them.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::http::percent_decode;
use crate::world::Account;
use crate::world::clock::Timestamp;
use crate::world::settings::Settings;

const ADMIN: &str = "cloud_controller.admin";

/// What an administrator's token allows.
const ADMIN_SCOPES: &[&str] = &[
    ADMIN,
    "cloud_controller.read",
    "cloud_controller.write",
    "network.admin",
    "openid",
    "password.write",
    "scim.read",
    "scim.write",
    "uaa.user",
];

/// What anyone else's token allows.
const USER_SCOPES: &[&str] = &[
    "cloud_controller.read",
    "cloud_controller.write",
    "network.write",
    "openid",
    "password.write",
    "uaa.user",
];

const REFRESH_LIFETIME_SECONDS: u64 = 30 * 24 * 3600;

/// Who a token is issued to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    /// The client that asked for it.
    pub(crate) client: &'a str,
    /// The user that it asked for; without one, it asked for itself.
    pub(crate) user: Option<&'a Account>,
}

impl Holder<'_> {
    pub(crate) fn scopes(&self) -> &'static [&'static str] {
        scopes_of(self.user.is_none_or(|user| user.admin))
    }
}

fn scopes_of(admin: bool) -> &'static [&'static str] {
    if admin { ADMIN_SCOPES } else { USER_SCOPES }
}

/// Who a request is from, as its token says.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The user's GUID, or the name of a client.
    pub(crate) id: String,
    /// The user's name, which clients do not have.
    pub(crate) name: Option<String>,
    pub(crate) admin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

/// Which access tokens are still good: those of the current revision.
#[derive(Debug, Default, Serialize, Deserialize)]
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
        holder: Holder<'_>,
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
            "scope": holder.scopes(),
            "cid": holder.client,
            "azp": holder.client,
            "client_id": holder.client,
            "sub": holder.client,
            "grant_type": "client_credentials",
            "iat": now.unix_seconds(),
            "exp": now.unix_seconds().saturating_add(lifetime),
            "iss": issuer,
            "zid": "uaa",
            "aud": ["cloud_controller", "password", "cf", "uaa", "openid"],
        });
        if let Some(user) = holder.user {
            claims["sub"] = json!(user.base.guid);
            claims["grant_type"] = json!("password");
            claims["user_id"] = json!(user.base.guid);
            claims["user_name"] = json!(user.name);
            claims["email"] = json!(user.name);
            claims["origin"] = json!(user.origin);
        }
        let header = json!({"alg": "HS256", "kid": "key-1", "typ": "JWT"});
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = sign(settings, &signed);
        format!("{signed}.{signature}")
    }

    /// Who has the token, if the mock issued it and it is still good.
    pub(crate) fn caller(
        &self,
        settings: &Settings,
        token: &str,
        kind: TokenKind,
        now: Timestamp,
    ) -> Option<Caller> {
        Caller::of(&self.claims(settings, token, kind, now)?)
    }

    /// What the token says, under the same conditions.
    pub(crate) fn claims(
        &self,
        settings: &Settings,
        token: &str,
        kind: TokenKind,
        now: Timestamp,
    ) -> Option<Value> {
        let claims = read_claims(settings, token)?;
        let unexpired = claims["exp"]
            .as_u64()
            .is_some_and(|exp| now.unix_seconds() < exp);
        let refresh = claims["jti"]
            .as_str()
            .is_some_and(|jti| jti.ends_with("-r"));
        let current = claims["revision"] == self.revision;
        let good = unexpired
            && match kind {
                TokenKind::Access => !refresh && current,
                TokenKind::Refresh => refresh,
            };
        good.then_some(claims)
    }
}

impl Caller {
    pub(crate) fn scopes(&self) -> &'static [&'static str] {
        scopes_of(self.admin)
    }

    fn of(claims: &Value) -> Option<Self> {
        let id = claims.get("user_id").or_else(|| claims.get("client_id"))?;
        let scopes = claims["scope"].as_array()?;
        Some(Self {
            id: id.as_str()?.to_owned(),
            name: claims["user_name"].as_str().map(str::to_owned),
            admin: scopes.iter().any(|scope| scope == ADMIN),
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
    // In a form a blank is a plus.
    let decode = |text: &str| percent_decode(&text.replace('+', " "));
    Some((decode(id), decode(secret)))
}

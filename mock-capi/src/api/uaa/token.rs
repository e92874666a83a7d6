//! Issues access tokens, refresh tokens and authorization codes, verifies them, and
//! stores them until they expire.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::keys::{KeyError, SigningKey};
use crate::api::uaa;
use crate::world::clock::Timestamp;
use crate::world::{ADMIN_GROUP, Account, Client, Guid, World};

/// The lifetime of refresh tokens in seconds, which is the same as UAA's lifetime for the
/// `cf` client.
const REFRESH_LIFETIME: u64 = 30 * 24 * 3600;

/// The lifetime of authorization codes and passcodes in seconds.
const CODE_LIFETIME: u64 = 5 * 60;

/// The number of cached tokens above which expired tokens are dropped.
const MAX_CACHED: usize = 1_000;

/// The claims of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) jti: String,
    pub(crate) sub: String,
    /// The same as the scopes. `None` unless a client logged in itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorities: Option<Vec<String>>,
    pub(crate) scope: Vec<String>,
    pub(crate) client_id: String,
    pub(crate) cid: String,
    pub(crate) azp: String,
    pub(crate) grant_type: String,
    #[serde(flatten)]
    pub(crate) user: Option<UserClaims>,
    /// Identifies the holder. Changes when tokens are revoked.
    pub(crate) rev_sig: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    pub(crate) iss: String,
    pub(crate) zid: String,
    pub(crate) aud: Vec<String>,
    /// `None` unless this is an ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
}

/// Additional claims of a user's token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UserClaims {
    pub(crate) user_id: String,
    pub(crate) user_name: String,
    pub(crate) email: String,
    pub(crate) origin: String,
    pub(crate) auth_time: u64,
}

/// The user or client of a request's token.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Claims>);

impl Caller {
    /// The user's GUID, or the client's name.
    pub(crate) fn id(&self) -> &str {
        let user = self.0.user.as_ref();
        user.map_or(&self.0.client_id, |user| &user.user_id)
    }

    /// The user's name. `None` for a client.
    pub(crate) fn name(&self) -> Option<&str> {
        let user = self.0.user.as_ref();
        user.map(|user| user.user_name.as_str())
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.has_scope(ADMIN_GROUP)
    }

    /// Whether the token's audience is the Cloud Controller.
    pub(crate) fn is_for_cloud_controller(&self) -> bool {
        const NAMES: [&str; 2] = ["cloud_controller", "cloud_controller_service_permissions"];
        let mut audience = self.0.aud.iter();
        audience.any(|name| NAMES.contains(&name.as_str()))
    }

    pub(crate) fn has_any_scope(&self, scopes: &[&str]) -> bool {
        scopes.iter().any(|scope| self.has_scope(scope))
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.0.scope.iter().any(|known| known == scope)
    }

    pub(crate) fn scopes(&self) -> &[String] {
        &self.0.scope
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.0
    }
}

/// The user or client to whom a token is issued, and its scopes.
#[derive(Clone, Debug)]
pub(crate) struct TokenOwner {
    client_id: String,
    access_lifetime: Option<u64>,
    refresh_lifetime: u64,
    grant_type: String,
    scopes: Vec<String>,
    user: Option<UserClaims>,
    nonce: Option<String>,
}

impl TokenOwner {
    /// A client that logs in with its own credentials.
    pub(crate) fn client(client: &Client) -> Self {
        Self {
            client_id: client.id.clone(),
            access_lifetime: client.details.access_token_validity,
            refresh_lifetime: REFRESH_LIFETIME,
            grant_type: "client_credentials".into(),
            scopes: client.details.authorities.clone(),
            user: None,
            nonce: None,
        }
    }

    /// A user who logs in with a client. The scopes are the groups of the user
    /// that the client may use.
    pub(crate) fn user(world: &World, client: &Client, user: &Account, grant_type: &str) -> Self {
        let allowed = &client.details.scope;
        let mut scopes = world.scopes_of(user);
        scopes.retain(|scope| allowed.contains(scope));
        let refresh_lifetime = client.details.refresh_token_validity;
        Self {
            grant_type: grant_type.to_owned(),
            scopes,
            refresh_lifetime: refresh_lifetime.unwrap_or(REFRESH_LIFETIME),
            user: Some(UserClaims {
                user_id: user.base.guid.to_string(),
                user_name: user.name.clone(),
                email: user.profile.email().unwrap_or(&user.name).to_owned(),
                origin: user.origin.clone(),
                auth_time: world.now().unix_seconds(),
            }),
            ..Self::client(client)
        }
    }

    /// The user of a refresh token, who gets at most the scopes of that token.
    pub(crate) fn refreshed(
        world: &World,
        client: &Client,
        user: &Account,
        token: &Claims,
    ) -> Self {
        let mut holder = Self::user(world, client, user, &token.grant_type);
        holder.scopes.retain(|scope| token.scope.contains(scope));
        if let (Some(claims), Some(first)) = (&mut holder.user, &token.user) {
            claims.auth_time = first.auth_time;
        }
        holder
    }

    /// Sets the nonce of the ID token.
    pub(crate) fn with_nonce(mut self, nonce: Option<String>) -> Self {
        self.nonce = nonce;
        self
    }

    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    pub(crate) fn is_user(&self) -> bool {
        self.user.is_some()
    }

    /// Keeps only these scopes.
    pub(crate) fn restrict(&mut self, scopes: &[&str]) {
        self.scopes.retain(|scope| scopes.contains(&scope.as_str()));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
    /// An ID token of OpenID Connect, which describes the user to the client.
    Id,
}

impl TokenKind {
    /// The end of the token's ID.
    fn suffix(self) -> &'static str {
        match self {
            Self::Access | Self::Id => "",
            Self::Refresh => "-r",
        }
    }
}

/// Tokens that UAA no longer accepts, although they have not expired: the tokens of a
/// user, of a client, or of both, or a single token.
#[derive(Debug, Serialize, Deserialize)]
struct Revocation {
    user: Option<String>,
    client: Option<String>,
    token: Option<String>,
    /// The number of the last token that it revokes.
    last: u64,
}

impl Revocation {
    fn concerns(&self, claims: &Claims) -> bool {
        let is = |wanted: &Option<String>, actual: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == actual
        };
        let user = claims.user.as_ref().map(|user| user.user_id.as_str());
        is(&self.user, user)
            && is(&self.client, Some(&claims.client_id))
            && is(&self.token, Some(&claims.jti))
            && number_of(&claims.jti).is_some_and(|number| number <= self.last)
    }
}

/// The number in the ID of a token.
fn number_of(id: &str) -> Option<u64> {
    u64::from_str_radix(id.get(16..32)?, 16).ok()
}

/// A token, and its description in the response of the token endpoint.
#[derive(Debug)]
pub(crate) struct IssuedToken {
    pub(crate) text: String,
    pub(crate) id: String,
    /// In seconds.
    pub(crate) lifetime: u64,
}

/// The meaning of an authorization code, until it is exchanged.
#[derive(Debug)]
pub(crate) struct AuthorizationCode {
    pub(crate) client_id: String,
    pub(crate) user: Guid,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) challenge: Option<Challenge>,
    /// The requested scopes, separated by spaces. Empty for all scopes.
    pub(crate) scopes: String,
    /// A value of an OpenID client, which its ID token contains.
    pub(crate) nonce: Option<String>,
}

/// A PKCE challenge.
#[derive(Debug)]
pub(crate) enum Challenge {
    Plain(String),
    /// The verifier's SHA-256 in base64url.
    S256(String),
}

/// The tokens of one world.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// Distinguishes the tokens of this process's worlds, which share a key.
    world: u64,
    /// Access tokens of earlier revisions are revoked.
    revision: u64,
    issued: u64,
    #[serde(default)]
    revocations: Vec<Revocation>,
    /// `None` until a token is needed.
    key: Option<Arc<SigningKey>>,
    /// The codes, with the time at which they expire, in seconds.
    #[serde(skip)]
    codes: HashMap<String, (u64, AuthorizationCode)>,
    /// Users by passcode, with the time at which the passcode expires, in seconds.
    #[serde(skip)]
    passcodes: HashMap<String, (u64, Guid)>,
    #[serde(skip)]
    verified: HashMap<String, Arc<Claims>>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            world: fastrand::u64(..),
            revision: 0,
            issued: 0,
            revocations: Vec::new(),
            key: None,
            codes: HashMap::new(),
            passcodes: HashMap::new(),
            verified: HashMap::new(),
        }
    }
}

impl Tokens {
    /// Revokes all access tokens.
    pub(crate) fn expire(&mut self) {
        self.revision += 1;
    }

    /// The key that signs tokens.
    pub(crate) fn key(&mut self) -> Result<Arc<SigningKey>, KeyError> {
        if self.key.is_none() {
            self.key = Some(SigningKey::of_process()?);
        }
        self.key.clone().ok_or(KeyError::Generate)
    }

    /// Issues a token. `usual_lifetime`, in seconds, applies to access tokens of clients
    /// without their own lifetime.
    pub(crate) fn issue(
        &mut self,
        holder: &TokenOwner,
        kind: TokenKind,
        now: Timestamp,
        usual_lifetime: u64,
        base: &str,
    ) -> Result<IssuedToken, KeyError> {
        let lifetime = match kind {
            TokenKind::Access | TokenKind::Id => holder.access_lifetime.unwrap_or(usual_lifetime),
            TokenKind::Refresh => holder.refresh_lifetime,
        };
        self.issued += 1;
        let id = format!("{:016x}{:016x}{}", self.world, self.issued, kind.suffix());
        let client_id = &holder.client_id;
        let subject = holder.user.as_ref().map(|user| &user.user_id);
        let (scope, aud) = match kind {
            TokenKind::Id => (vec!["openid".to_owned()], vec![client_id.clone()]),
            _ => (holder.scopes.clone(), audience(client_id, &holder.scopes)),
        };
        let claims = Claims {
            jti: id.clone(),
            sub: subject.unwrap_or(client_id).clone(),
            authorities: holder.user.is_none().then(|| scope.clone()),
            scope,
            client_id: client_id.clone(),
            cid: client_id.clone(),
            azp: client_id.clone(),
            grant_type: holder.grant_type.clone(),
            user: holder.user.clone(),
            rev_sig: self.revision_signature(kind),
            iat: now.unix_seconds(),
            exp: now.unix_seconds().saturating_add(lifetime),
            iss: format!("{base}{}", uaa::TOKEN_PATH),
            zid: "uaa".into(),
            aud,
            nonce: holder.nonce.clone().filter(|_| kind == TokenKind::Id),
        };
        let keys_url = format!("{base}{}/token_keys", uaa::PATH);
        let text = self.key()?.sign(&claims, keys_url)?;
        Ok(IssuedToken { text, id, lifetime })
    }

    /// The caller of a token that was issued here and is still valid.
    pub(crate) fn caller(
        &mut self,
        token: &str,
        kind: TokenKind,
        now: Timestamp,
    ) -> Option<Caller> {
        let claims = self.verify(token, now)?;
        let unexpired = now.unix_seconds() < claims.exp;
        let valid = unexpired && claims.rev_sig == self.revision_signature(kind);
        valid.then_some(Caller(claims))
    }

    /// Whether a token was revoked.
    pub(crate) fn is_revoked(&self, claims: &Claims) -> bool {
        self.revocations.iter().any(|it| it.concerns(claims))
    }

    /// Revokes the tokens of a user, of a client, or of a user with a client.
    pub(crate) fn revoke(&mut self, user: Option<String>, client: Option<String>) {
        self.revocations.push(Revocation {
            user,
            client,
            token: None,
            last: self.issued,
        });
    }

    /// Revokes a token by its ID. Returns whether the token exists.
    pub(crate) fn revoke_one(&mut self, id: &str) -> bool {
        let number = number_of(id).filter(|number| (1..=self.issued).contains(number));
        let Some(last) = number.filter(|_| id.starts_with(&format!("{:016x}", self.world))) else {
            return false;
        };
        self.revocations.push(Revocation {
            user: None,
            client: None,
            token: Some(id.to_owned()),
            last,
        });
        true
    }

    /// The subject of a token that was issued here, even if it has expired.
    pub(crate) fn subject(&mut self, token: &str, now: Timestamp) -> Option<String> {
        self.verify(token, now).map(|claims| claims.sub.clone())
    }

    /// The claims of a token, if it was signed with the key. A signature is verified only
    /// once.
    fn verify(&mut self, token: &str, now: Timestamp) -> Option<Arc<Claims>> {
        if let Some(claims) = self.verified.get(token) {
            return Some(Arc::clone(claims));
        }
        // A snapshot contains no key if its mock never needed one.
        let key = self.key.clone().or_else(SigningKey::generated)?;
        let claims: Arc<Claims> = Arc::new(key.verify(token)?);
        if self.verified.len() >= MAX_CACHED {
            let now = now.unix_seconds();
            self.verified.retain(|_, claims| now < claims.exp);
        }
        if self.verified.len() >= MAX_CACHED {
            self.verified.clear();
        }
        self.verified.insert(token.to_owned(), Arc::clone(&claims));
        Some(claims)
    }

    /// Refresh tokens survive the revocation of access tokens.
    fn revision_signature(&self, kind: TokenKind) -> String {
        match kind {
            TokenKind::Access => format!("{:016x}{:x}", self.world, self.revision),
            TokenKind::Refresh => format!("{:016x}-r", self.world),
            TokenKind::Id => format!("{:016x}-i", self.world),
        }
    }

    /// Stores a new authorization code.
    pub(crate) fn add_code(&mut self, text: String, code: AuthorizationCode, now: Timestamp) {
        let now = now.unix_seconds();
        self.codes.retain(|_, (expires, _)| now < *expires);
        let expires = now.saturating_add(CODE_LIFETIME);
        self.codes.insert(text, (expires, code));
    }

    /// Stores a new passcode of a user.
    pub(crate) fn add_passcode(&mut self, text: String, user: Guid, now: Timestamp) {
        let now = now.unix_seconds();
        self.passcodes.retain(|_, (expires, _)| now < *expires);
        let expires = now.saturating_add(CODE_LIFETIME);
        self.passcodes.insert(text, (expires, user));
    }

    /// Removes a passcode, which can be used only once, and returns its user.
    pub(crate) fn take_passcode(&mut self, text: &str, now: Timestamp) -> Option<Guid> {
        let (expires, user) = self.passcodes.remove(text)?;
        (now.unix_seconds() < expires).then_some(user)
    }

    /// Removes an authorization code, which can be exchanged only once, and returns its
    /// meaning.
    pub(crate) fn take_code(&mut self, text: &str, now: Timestamp) -> Option<AuthorizationCode> {
        let (expires, code) = self.codes.remove(text)?;
        (now.unix_seconds() < expires).then_some(code)
    }
}

/// The claim `aud`: the client, and the part of each scope before its last dot.
fn audience(client_id: &str, scopes: &[String]) -> Vec<String> {
    let mut audience = vec![client_id.to_owned()];
    for scope in scopes {
        let of = scope.rsplit_once('.').map_or(scope.as_str(), |(of, _)| of);
        if !audience.iter().any(|known| known == of) {
            audience.push(of.to_owned());
        }
    }
    audience
}

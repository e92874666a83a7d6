//! Tokens of the UAA. All tasks share one token. It is renewed before it expires, and
//! when the Cloud Controller refuses it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::http::{Authorization, Transport};
use super::request::{Body, Request};
use super::secrets::Secrets;
use crate::capi::error::Error;

/// The path of the UAA's endpoint that issues tokens.
pub(super) const TOKEN_PATH: &str = "/oauth/token";

/// The OAuth client of the `cf` CLI, which every foundation has.
const CF_CLIENT: &str = "cf";

/// A token is renewed this long before it expires, at most.
const MARGIN: Duration = Duration::from_secs(30);

/// The credentials of a user or client. Secrets are never printed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// A user's name and password.
    Password {
        /// The user.
        username: String,
        /// Their password.
        password: SecretString,
    },
    /// An OAuth client's id and secret.
    Client {
        /// The client's id.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
    /// The tokens of a login by the `cf` CLI.
    Tokens {
        /// The access token, without `bearer`.
        access: SecretString,
        /// The refresh token.
        refresh: SecretString,
        /// The OAuth client that the tokens were issued to, usually `cf`.
        client: String,
        /// That client's secret, usually empty.
        client_secret: SecretString,
    },
}

/// An access token. Cheap to clone. Equal only to its clones.
#[derive(Clone)]
pub(crate) struct AccessToken(Arc<SecretString>);

impl AccessToken {
    pub(crate) fn secret(&self) -> &SecretString {
        &self.0
    }
}

struct Tokens {
    access: AccessToken,
    renew_at: Option<Instant>,
    refresh: Option<SecretString>,
}

pub(crate) struct Auth {
    transport: Arc<Transport>,
    uaa: Url,
    credentials: Credentials,
    tokens: Mutex<Option<Tokens>>,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: Option<u64>,
}

impl Auth {
    pub(crate) fn new(transport: Arc<Transport>, uaa: Url, credentials: Credentials) -> Self {
        keep_secrets(&credentials, transport.secrets());
        let tokens = match &credentials {
            Credentials::Tokens {
                access, refresh, ..
            } => Some(Tokens {
                access: AccessToken(Arc::new(access.clone())),
                renew_at: renewal(expiry_of(access)),
                refresh: Some(refresh.clone()),
            }),
            _ => None,
        };
        Self {
            transport,
            uaa,
            credentials,
            tokens: Mutex::new(tokens),
        }
    }

    /// The name of the user or client that is logged in.
    pub(crate) fn user(&self) -> String {
        match &self.credentials {
            Credentials::Password { username, .. } => username.clone(),
            Credentials::Client { id, .. } => id.clone(),
            Credentials::Tokens { access, client, .. } => {
                user_of(access).unwrap_or_else(|| client.clone())
            }
        }
    }

    /// A valid token other than the `rejected` one. Concurrent calls share one renewal.
    pub(crate) async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, Error> {
        let mut tokens = self.tokens.lock().await;
        if let Some(held) = tokens.as_ref() {
            let refused = rejected.is_some_and(|token| Arc::ptr_eq(&token.0, &held.access.0));
            let expiring = held.renew_at.is_some_and(|moment| moment <= Instant::now());
            if !refused && !expiring {
                return Ok(held.access.clone());
            }
        }
        let refresh = tokens.as_ref().and_then(|held| held.refresh.clone());
        let fresh = self.renew(refresh).await?;
        let access = fresh.access.clone();
        *tokens = Some(fresh);
        Ok(access)
    }

    /// Requests the first token. Any failure is a failed login.
    pub(crate) async fn log_in_first(&self) -> Result<(), Error> {
        match self.token(None).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_connection() || error.is_interrupted() => Err(error),
            Err(error) => Err(self.login_error(error.to_string(), Some(error))),
        }
    }

    async fn renew(&self, refresh: Option<SecretString>) -> Result<Tokens, Error> {
        let Some(refresh) = refresh else {
            return self.log_in().await;
        };
        match self.refresh(refresh).await {
            Ok(tokens) => Ok(tokens),
            // A refresh token also expires. The credentials are needed again in that
            // case.
            Err(error) if is_refusal(&error) => self.log_in().await,
            Err(error) => Err(error),
        }
    }

    async fn refresh(&self, refresh: SecretString) -> Result<Tokens, Error> {
        let (id, secret) = match &self.credentials {
            Credentials::Tokens {
                client,
                client_secret,
                ..
            } => (client.as_str(), client_secret.clone()),
            Credentials::Client { id, secret } => (id.as_str(), secret.clone()),
            Credentials::Password { .. } => (CF_CLIENT, SecretString::default()),
        };
        let fields = vec![
            ("grant_type", SecretString::from("refresh_token")),
            ("refresh_token", refresh.clone()),
        ];
        let mut tokens = self.grant(id, &secret, fields).await?;
        tokens.refresh.get_or_insert(refresh);
        Ok(tokens)
    }

    async fn log_in(&self) -> Result<Tokens, Error> {
        let granted = match &self.credentials {
            Credentials::Password { username, password } => {
                let fields = vec![
                    ("grant_type", SecretString::from("password")),
                    ("username", SecretString::from(username.as_str())),
                    ("password", password.clone()),
                ];
                self.grant(CF_CLIENT, &SecretString::default(), fields)
                    .await
            }
            Credentials::Client { id, secret } => {
                let fields = vec![("grant_type", SecretString::from("client_credentials"))];
                self.grant(id, secret, fields).await
            }
            Credentials::Tokens { .. } => {
                return Err(self.login_error("the tokens have expired".to_owned(), None));
            }
        };
        granted.map_err(|error| match error {
            error if is_refusal(&error) => {
                let details = error.cc_errors().iter().map(|error| error.detail.as_str());
                let details: Vec<&str> = details.collect();
                self.login_error(details.join("; "), Some(error))
            }
            error => error,
        })
    }

    fn login_error(&self, reason: String, source: Option<Error>) -> Error {
        Error::Login {
            uaa: self.uaa.to_string(),
            reason,
            source: source.map(|source| Arc::new(source) as _),
        }
    }

    async fn grant(
        &self,
        id: &str,
        secret: &SecretString,
        fields: Vec<(&'static str, SecretString)>,
    ) -> Result<Tokens, Error> {
        // An unused token does no harm, so a request whose response was lost is retried.
        let request = Request::post(TOKEN_PATH)
            .body(Body::Form(fields))
            .repeatable();
        let response = self
            .transport
            .retrying(&request, || {
                self.transport
                    .exchange(&self.uaa, &request, Authorization::Basic(id, secret))
            })
            .await?;
        let granted: TokenResponse = response.json()?;
        if HeaderValue::from_str(granted.access_token.expose_secret()).is_err() {
            return Err(Error::UnexpectedResponse {
                method: request.method.to_string(),
                path: request.path.clone(),
                reason: "the access token has characters that no header may have".to_owned(),
                source: None,
            });
        }
        let secrets = self.transport.secrets();
        secrets.add(&granted.access_token);
        granted.refresh_token.iter().for_each(|it| secrets.add(it));
        let lifetime = granted
            .expires_in
            .map(Duration::from_secs)
            .or_else(|| expiry_of(&granted.access_token));
        Ok(Tokens {
            access: AccessToken(Arc::new(granted.access_token)),
            renew_at: renewal(lifetime),
            refresh: granted.refresh_token,
        })
    }
}

/// Adds secrets that are removed from texts that servers send. A password that equals the
/// user name is not added: it is not a secret, and messages contain the user name.
fn keep_secrets(credentials: &Credentials, secrets: &Secrets) {
    match credentials {
        Credentials::Password { username, password } => {
            if username != password.expose_secret() {
                secrets.add(password);
            }
        }
        Credentials::Client { id, secret } => {
            if id != secret.expose_secret() {
                secrets.add(secret);
            }
        }
        Credentials::Tokens {
            access,
            refresh,
            client_secret,
            ..
        } => {
            for secret in [access, refresh, client_secret] {
                secrets.add(secret);
            }
        }
    }
}

/// Whether the UAA refused the credentials. False if the UAA itself failed.
fn is_refusal(error: &Error) -> bool {
    let refusals = [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
    ];
    error
        .status()
        .is_some_and(|status| refusals.contains(&status))
}

/// The time to renew a token with this lifetime: shortly before it expires.
fn renewal(lifetime: Option<Duration>) -> Option<Instant> {
    let lifetime = lifetime?;
    Instant::now().checked_add(lifetime.saturating_sub(MARGIN.min(lifetime / 10)))
}

/// The claims of a JWT that cf-pusher uses.
#[derive(Deserialize)]
struct Claims {
    exp: Option<u64>,
    user_name: Option<String>,
}

fn claims_of(token: &SecretString) -> Option<Claims> {
    let payload = token.expose_secret().split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// The name of the user that a JWT was issued to.
fn user_of(token: &SecretString) -> Option<String> {
    claims_of(token)?.user_name
}

/// The remaining lifetime of a JWT, according to its `exp`.
fn expiry_of(token: &SecretString) -> Option<Duration> {
    let expiry = UNIX_EPOCH.checked_add(Duration::from_secs(claims_of(token)?.exp?))?;
    Some(expiry.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> SecretString {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload)).into()
    }

    #[test]
    fn the_expiry_of_a_jwt_is_read() {
        let soon = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
            + 100;
        let left = expiry_of(&jwt(&format!(r#"{{"exp":{soon}}}"#))).unwrap();
        assert!(left > Duration::from_secs(90) && left <= Duration::from_secs(100));
        assert_eq!(expiry_of(&jwt(r#"{"exp":1}"#)), Some(Duration::ZERO));
        assert_eq!(expiry_of(&jwt(r#"{"exp":18446744073709551615}"#)), None);
        assert_eq!(expiry_of(&"opaque".into()), None);
    }

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        let early = renewal(Some(Duration::from_secs(600))).unwrap() - Instant::now();
        assert!(early < Duration::from_secs(571) && early > Duration::from_secs(560));
        let short = renewal(Some(Duration::from_secs(10))).unwrap() - Instant::now();
        assert!(
            short > Duration::from_secs(8),
            "a short lifetime does not expire at once"
        );
        assert!(renewal(None).is_none());
    }
}

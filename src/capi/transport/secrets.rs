//! The secrets that cf-pusher sends, and that servers may repeat in their responses.

use std::sync::Mutex;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Replaces a secret.
const REMOVED: &str = "[removed]";

/// The minimum length of a secret that is removed. Replacing shorter secrets would garble
/// every text.
const MIN_LENGTH: usize = 4;

/// The maximum number of secrets that are kept. A long run renews its tokens many times.
const MAX_SECRETS: usize = 64;

/// Passwords and tokens that are removed from texts that servers send.
#[derive(Debug, Default)]
pub(crate) struct Secrets(Mutex<Vec<SecretString>>);

impl Secrets {
    /// Adds a secret that is removed from all later texts.
    pub(super) fn add(&self, secret: &SecretString) {
        if secret.expose_secret().len() < MIN_LENGTH {
            return;
        }
        self.with(|secrets| {
            let is_known = |it: &SecretString| it.expose_secret() == secret.expose_secret();
            if !secrets.iter().any(is_known) {
                if secrets.len() == MAX_SECRETS {
                    secrets.remove(0);
                }
                secrets.push(secret.clone());
            }
        });
    }

    /// Adds the tokens in a UAA's response, which may be an error or unreadable.
    pub(super) fn add_tokens(&self, body: &[u8]) {
        const KEYS: [&str; 3] = ["access_token", "refresh_token", "id_token"];
        let Ok(Value::Object(response)) = serde_json::from_slice(body) else {
            return;
        };
        let tokens = KEYS.iter().filter_map(|key| response.get(*key)?.as_str());
        tokens.for_each(|token| self.add(&SecretString::from(token)));
    }

    /// The text without secrets.
    pub(crate) fn masked(&self, mut text: String) -> String {
        self.with(|secrets| {
            for secret in secrets.iter().map(ExposeSecret::expose_secret) {
                if text.contains(secret) {
                    text = text.replace(secret, REMOVED);
                }
            }
        });
        text
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<SecretString>) -> T) -> T {
        let mut secrets = match self.0.lock() {
            Ok(secrets) => secrets,
            // No code under the lock leaves the list inconsistent.
            Err(poisoned) => poisoned.into_inner(),
        };
        act(&mut secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_removed_from_texts() {
        let secrets = Secrets::default();
        secrets.add(&"hunter2".into());
        secrets.add(&"abc".into());
        let text = secrets.masked("bad password hunter2 (hunter2), abc".to_owned());
        assert_eq!(text, "bad password [removed] ([removed]), abc");
    }

    #[test]
    fn tokens_of_a_response_are_removed() {
        let secrets = Secrets::default();
        let response = r#"{"access_token": "abcdef", "refresh_token": 5, "scope": "cloud"}"#;
        secrets.add_tokens(response.as_bytes());
        secrets.add_tokens(b"not JSON");
        let text = secrets.masked(response.to_owned());
        let expected = r#"{"access_token": "[removed]", "refresh_token": 5, "scope": "cloud"}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn the_oldest_secrets_are_forgotten_first() {
        let secrets = Secrets::default();
        for i in 0..=MAX_SECRETS {
            secrets.add(&format!("token-{i:03}").into());
        }
        let text = secrets.masked("token-000 token-001".to_owned());
        assert_eq!(text, "token-000 [removed]");
    }
}

//! Finds values that look secret, and replaces them with variables.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use super::build::Names;
use crate::manifest::entry::text_of;
use crate::manifest::variables::variables_in;

/// A variable of the spec that replaces a value of the foundation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SecretVariable {
    /// The variable's name.
    pub name: String,
    /// The place of the value, such as `DB_PASSWORD of the app web`.
    pub place: String,
}

/// The value in a seed that replaces a secret.
const MADE_UP: &str = "made-up";

/// Words in the names of secret values.
const SECRET_WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "private",
    "apikey",
    "pwd",
];

/// The values that are replaced with variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redaction {
    /// Values that look secret, because of their name or their content.
    Secrets,
    All,
}

/// Collects the variables of a spec.
#[derive(Debug)]
pub(super) struct Secrets {
    is_seed: bool,
    names: Names,
    variables: BTreeMap<String, String>,
}

impl Secrets {
    /// Creates a collection whose variables differ from all `((names))` in `texts`, which
    /// are not variables.
    pub(super) fn new(is_seed: bool, texts: impl Iterator<Item = String>) -> Self {
        let mut names = Names::default();
        for text in texts {
            names.reserve(variables_in(&text));
        }
        Self {
            is_seed,
            names,
            variables: BTreeMap::new(),
        }
    }

    /// Replaces a value, or each value in a list or map. `owner` is the prefix of the
    /// variables' names, and `place` describes the value.
    pub(super) fn hide(
        &mut self,
        value: &Value,
        hiding: Redaction,
        key: &str,
        owner: &str,
        place: &str,
    ) -> Value {
        match value {
            Value::Object(map) => {
                let hidden = map.iter().map(|(inner, value)| {
                    let path = format!("{key}_{inner}");
                    let value = self.hide_leaf_or_tree(value, hiding, inner, &path, owner, place);
                    (inner.clone(), value)
                });
                Value::Object(hidden.collect())
            }
            other => self.hide_leaf_or_tree(other, hiding, key, key, owner, place),
        }
    }

    fn hide_leaf_or_tree(
        &mut self,
        value: &Value,
        hiding: Redaction,
        key: &str,
        path: &str,
        owner: &str,
        place: &str,
    ) -> Value {
        match value {
            Value::Object(_) => self.hide(value, hiding, path, owner, place),
            Value::Array(list) => {
                let items = list.iter().enumerate().map(|(at, item)| {
                    let path = format!("{path}_{at}");
                    self.hide_leaf_or_tree(item, hiding, key, &path, owner, place)
                });
                Value::Array(items.collect())
            }
            Value::Null => Value::Null,
            leaf if is_hidden(leaf, hiding, key) => self.variable(path, owner, place),
            leaf => leaf.clone(),
        }
    }

    /// Replaces a text that contains a URL with a user. In a seed, the user and the
    /// password are removed from the URL.
    pub(super) fn hide_url(&mut self, text: &str, key: &str, owner: &str, place: &str) -> String {
        if !has_user(text) {
            return text.to_owned();
        }
        match Url::parse(text) {
            Ok(mut url) if self.is_seed => {
                // Both fail only for URLs without a host, which have no user.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.to_string()
            }
            _ => text_of(&self.variable(key, owner, place)),
        }
    }

    fn variable(&mut self, path: &str, owner: &str, place: &str) -> Value {
        if self.is_seed {
            return Value::from(MADE_UP);
        }
        let name = self.names.unique(&format!("{owner}-{path}"));
        self.variables
            .insert(name.clone(), format!("{path} of {place}"));
        Value::from(format!("(({name}))"))
    }

    pub(super) fn into_variables(self) -> Vec<SecretVariable> {
        let variables = self.variables.into_iter();
        variables
            .map(|(name, place)| SecretVariable { name, place })
            .collect()
    }
}

fn is_hidden(value: &Value, hiding: Redaction, key: &str) -> bool {
    let text = value.as_str().unwrap_or_default();
    hiding == Redaction::All || is_secret(key, text)
}

/// Whether a value looks secret, by its name or because it is a URL with a user.
fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_lowercase();
    let has_word = SECRET_WORDS.iter().any(|word| name.contains(word));
    let mut parts = name.split(|it: char| !it.is_alphanumeric());
    has_word || parts.any(|part| part == "key" || part == "keys") || has_user(value)
}

/// Whether a text contains a URL with a user, even within a word such as
/// `--database=URL`.
fn has_user(text: &str) -> bool {
    let mut urls = text.match_indices("://").filter_map(|(at, _)| {
        let is_of_scheme =
            |it: &(usize, char)| it.1.is_ascii_alphanumeric() || "+.-".contains(it.1);
        let before = text.get(..at)?.char_indices().rev();
        let (start, _) = before.take_while(is_of_scheme).last()?;
        let url = text.get(start..)?.split_whitespace().next()?;
        let url = url.trim_start_matches(|it: char| !it.is_ascii_alphabetic());
        Url::parse(url).ok()
    });
    urls.any(|url| !url.username().is_empty() || url.password().is_some())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("DB_PASSWORD", "x", true)]
    #[case("awsSecretAccess", "x", true)]
    #[case("API_KEY", "x", true)]
    #[case("KEYS", "x", true)]
    #[case("MONKEY", "x", false)]
    #[case("DATABASE_URL", "postgres://user:pass@db/x", true)]
    #[case("DATABASE_URL", "postgres://db/x", false)]
    #[case("TEXT", "a@b.test", false)]
    #[case("COMMAND", "./run --database=postgres://me:pass@db", true)]
    #[case("URL", "jdbc:postgresql://me@db/x", true)]
    #[case("URLS", "https://a.test,https://me:pass@b.test", true)]
    #[case("TEXT", "://me:pass@db", false)]
    fn secrets_are_known_by_their_names_and_by_users_in_urls(
        #[case] name: &str,
        #[case] value: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(is_secret(name, value), expected);
    }

    #[test]
    fn variables_are_unique_and_have_the_place_of_their_values() {
        let mut secrets = Secrets::new(false, std::iter::once("((b-x))".to_owned()));
        let credentials = json!({"uri": "x", "hosts": ["a", {"port": 1}]});
        let hidden = secrets.hide(&credentials, Redaction::All, "credentials", "db", "db");
        assert_eq!(
            hidden,
            json!({
                "uri": "((db-credentials_uri))",
                "hosts": ["((db-credentials_hosts_0))", {"port": "((db-credentials_hosts_1_port))"}],
            })
        );
        secrets.hide(&json!("y"), Redaction::All, "a.b", "db", "db");
        secrets.hide(&json!("y"), Redaction::All, "a b", "db", "db");
        let taken = secrets.hide(&json!("y"), Redaction::All, "x", "b", "b");
        assert_eq!(taken, json!("((b-x-2))"));
        let names: Vec<String> = secrets
            .into_variables()
            .into_iter()
            .map(|variable| variable.name)
            .collect();
        assert!(names.contains(&"db-a_b".to_owned()), "{names:?}");
        assert!(names.contains(&"db-a_b-2".to_owned()), "{names:?}");
    }

    #[test]
    fn urls_with_a_user_are_variables() {
        let mut secrets = Secrets::new(false, std::iter::empty());
        let mut hide = |url: &str| secrets.hide_url(url, "syslog_drain_url", "logs", "logs");
        assert_eq!(hide("syslog://logs.test:514"), "syslog://logs.test:514");
        assert_eq!(
            hide("https://me:pw@logs.test/drain"),
            "((logs-syslog_drain_url))"
        );
    }

    #[test]
    fn a_seed_has_made_up_values() {
        let mut secrets = Secrets::new(true, std::iter::empty());
        let url = secrets.hide_url("https://me:p@w@git.test/a.git", "buildpacks", "web", "web");
        assert_eq!(url, "https://git.test/a.git");
        let hidden = secrets.hide(&json!("x"), Redaction::Secrets, "TOKEN", "web", "web");
        assert_eq!(hidden, json!(MADE_UP));
        assert!(secrets.into_variables().is_empty());
    }
}

//! Reads configurations in JSON, based on the list of their keys. All problems of a file
//! are reported together, each with its key, value, allowed values and line.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::jsonc;
use super::keys::{Key, Kind, SCHEMA_KEY};
use super::scaling::MAX_PREFIX;
use crate::manifest::text;

/// The reason why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("reading the configuration {path} failed: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The text is not a JSON object.
    #[error(
        "the configuration {origin} is not a JSON object: {detail} at line {line}, column {column}"
    )]
    Syntax {
        /// The file's name.
        origin: String,
        /// The problem.
        detail: String,
        /// The line, starting at 1.
        line: usize,
        /// The column, starting at 1.
        column: usize,
    },
    /// Keys are unknown, or have invalid values.
    #[error("{}", problems.iter().map(ConfigProblem::to_string).collect::<Vec<_>>().join("\n"))]
    Values {
        /// The problem of each invalid key.
        problems: Vec<ConfigProblem>,
    },
}

/// A key that is unknown, or that has an invalid value.
#[derive(Debug)]
pub struct ConfigProblem {
    origin: String,
    line: usize,
    key: String,
    reason: Reason,
}

/// The reason of a [`ConfigProblem`].
#[derive(Debug)]
enum Reason {
    Unknown { nearest: Option<&'static str> },
    Value { value: String, allowed: String },
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            line,
            key,
            reason,
        } = self;
        write!(f, "{origin}:{line}: ")?;
        match reason {
            Reason::Unknown { nearest: None } => write!(f, "unknown key `{key}`"),
            Reason::Unknown {
                nearest: Some(nearest),
            } => write!(f, "unknown key `{key}`, did you mean `{nearest}`?"),
            Reason::Value { value, allowed } => {
                write!(f, "`{key}` is {value}, must be {allowed}")
            }
        }
    }
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, ConfigError> {
    text::read(path).map_err(failed(path))
}

/// The text of a stream.
pub(super) fn text_of(stream: impl Read, origin: &str) -> Result<String, ConfigError> {
    text::read_from(stream).map_err(failed(Path::new(origin)))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ConfigError {
    let path = path.to_owned();
    |source| ConfigError::Read { path, source }
}

/// An error about a value that contradicts other values.
pub(super) fn refuse(
    text: &str,
    origin: &str,
    key: &str,
    value: impl fmt::Display,
    allowed: String,
) -> ConfigError {
    let text = jsonc::to_json(text.trim_start_matches('\u{feff}'));
    let entries = serde_json::from_str::<Entries<'_>>(text.as_ref()).ok();
    let raw = entries.and_then(|Entries(entries)| {
        let found = entries.into_iter().find(|(name, _)| name == key);
        found.map(|(_, raw)| raw)
    });
    let problem = ConfigProblem {
        origin: origin.to_owned(),
        line: raw.map_or(1, |raw| line_of(&text, raw.get())),
        key: key.to_owned(),
        reason: Reason::Value {
            value: value.to_string(),
            allowed,
        },
    };
    ConfigError::Values {
        problems: vec![problem],
    }
}

/// Whether a text is an object with one of these keys.
pub(super) fn has_key(text: &str, keys: &[&str]) -> bool {
    let text = jsonc::to_json(text.trim_start_matches('\u{feff}'));
    let entries = serde_json::from_str(text.as_ref());
    entries.is_ok_and(|Entries(entries)| {
        let mut given = entries.iter();
        given.any(|(key, _)| keys.contains(&key.as_str()))
    })
}

/// Reads the keys of a configuration into `config`. Returns notes on keys that are
/// `unused`.
pub(super) fn read<C>(
    text: &str,
    origin: &str,
    keys: &[Key<C>],
    unused: &[&str],
    config: &mut C,
) -> Result<Vec<String>, ConfigError> {
    let mut notes = Vec::new();
    // Some editors write a byte order mark at the beginning of a file.
    let text = jsonc::to_json(text.trim_start_matches('\u{feff}'));
    let text = text.as_ref();
    let Entries(values) =
        serde_json::from_str(text).map_err(|error| syntax_error(origin, &error))?;
    let mut problems = Vec::new();
    let mut given = HashSet::new();
    for (key, raw) in values {
        let line = line_of(text, raw.get());
        if !given.insert(key.clone()) {
            problems.push(ConfigProblem {
                origin: origin.to_owned(),
                line,
                key,
                reason: Reason::Value {
                    value: "repeated".to_owned(),
                    allowed: "set only once".to_owned(),
                },
            });
            continue;
        }
        if unused.contains(&key.as_str()) {
            notes.push(format!(
                "{origin}:{line}: `{key}` is only used by the Go scaling suite"
            ));
            continue;
        }
        let reason =
            match keys.iter().find(|known| known.name == key) {
                None if key == SCHEMA_KEY => serde_json::from_str::<String>(raw.get())
                    .is_err()
                    .then(|| Reason::Value {
                        value: shown(&key, raw.get()),
                        allowed: "a string".to_owned(),
                    }),
                None => Some(Reason::Unknown {
                    nearest: nearest_key(&key, keys),
                }),
                Some(known) => known.kind.store(config, raw.get()).err().map(|allowed| {
                    let value = shown(&key, raw.get());
                    Reason::Value { value, allowed }
                }),
            };
        problems.extend(reason.map(|reason| ConfigProblem {
            origin: origin.to_owned(),
            line,
            key,
            reason,
        }));
    }
    if problems.is_empty() {
        Ok(notes)
    } else {
        problems.sort_by_key(|problem| problem.line);
        Err(ConfigError::Values { problems })
    }
}

/// The known key that is most similar to a misspelled key.
fn nearest_key<C>(key: &str, keys: &[Key<C>]) -> Option<&'static str> {
    const LEAST_SIMILARITY: f64 = 0.8;
    let similarity = |known: &str| strsim::jaro_winkler(known, key);
    let known = keys
        .iter()
        .map(|known| (similarity(known.name), known.name));
    let nearest = known.max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest.and_then(|(similarity, known)| (similarity >= LEAST_SIMILARITY).then_some(known))
}

/// The keys of a JSON object in order, each with the text of its value.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

impl<C> Kind<C> {
    /// Stores a JSON value. The error describes the allowed values.
    fn store(&self, config: &mut C, raw: &str) -> Result<(), String> {
        match self {
            Self::Number(range, field) => {
                let allowed =
                    || format!("a whole number from {} to {}", range.start(), range.end());
                let number = whole_number(raw).ok_or_else(allowed)?;
                if !range.contains(&number) {
                    return Err(allowed());
                }
                *field(config) = number;
            }
            Self::Text(set) => {
                let allowed = || "a non-empty string".to_owned();
                let text: String = serde_json::from_str(raw).map_err(|_| allowed())?;
                if text.trim().is_empty() {
                    return Err(allowed());
                }
                set(config, text);
            }
            Self::Prefix(field) => *field(config) = parse_prefix(raw)?,
            Self::Flag(field) => {
                *field(config) =
                    serde_json::from_str(raw).map_err(|_| "true or false".to_owned())?;
            }
        }
        Ok(())
    }
}

/// A number without a fraction, in any notation, because JSON has only one type of
/// numbers.
fn whole_number(raw: &str) -> Option<u32> {
    let number: f64 = serde_json::from_str(raw).ok()?;
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is whole and in the range"
    )]
    let whole = number as u32;
    is_whole.then_some(whole)
}

/// A prefix. Host names begin with it, so it must be a valid beginning of a host name.
fn parse_prefix(raw: &str) -> Result<String, String> {
    let longest = MAX_PREFIX;
    let allowed = || {
        format!(
            "a string of at most {longest} letters, digits, `-` and `_` that begins with a letter or digit"
        )
    };
    let prefix: String = serde_json::from_str(raw).map_err(|_| allowed())?;
    let begins_well = prefix.starts_with(|c: char| c.is_ascii_alphanumeric());
    let holds_well = prefix
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if begins_well && holds_well && prefix.len() <= longest {
        Ok(prefix)
    } else {
        Err(allowed())
    }
}

/// A value for a message: shortened, and hidden if it is a password.
fn shown(key: &str, raw: &str) -> String {
    const MAX_SHOWN: usize = 60;
    if key == "admin_password" {
        return "a value that is not shown".to_owned();
    }
    let line: String = raw.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// The line, starting at 1, of `part`, which is a slice of `text`.
fn line_of(text: &str, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

fn syntax_error(origin: &str, error: &serde_json::Error) -> ConfigError {
    let message = error.to_string();
    let detail = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(detail, _)| detail);
    ConfigError::Syntax {
        origin: origin.to_owned(),
        detail: detail.to_owned(),
        line: error.line(),
        column: error.column(),
    }
}

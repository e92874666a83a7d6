//! Presents a difference: the whole manifest, with `+` and `-` in front of changed lines.
//! Secrets are redacted.

use std::fmt;

use serde::Serialize;

use super::super::Manifest;
use super::super::entry::REDACTED;
use super::super::yaml::{Map, Value};
use super::{Change, ManifestDiff, Path, below};

/// A line of a presented [`ManifestDiff`]. Displays as `+ memory: 1G`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiffLine {
    /// Whether the line is added, removed or unchanged.
    pub mark: DiffMark,
    /// The line, in YAML, without mark and line break.
    pub text: String,
}

/// The change of a line of a presented [`ManifestDiff`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiffMark {
    /// The line is unchanged.
    Same,
    /// The line is added.
    Added,
    /// The line is removed.
    Removed,
}

impl fmt::Display for DiffLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = match self.mark {
            DiffMark::Same => ' ',
            DiffMark::Added => '+',
            DiffMark::Removed => '-',
        };
        write!(f, "{gutter} {}", self.text)
    }
}

impl ManifestDiff {
    /// The whole manifest with the changes in it, line by line. Passwords and credentials
    /// are replaced by `<redacted>`. With `redact_env`, so are the values of environment
    /// variables.
    pub fn lines(&self, manifest: &Manifest, redact_env: bool) -> Vec<DiffLine> {
        lines(&manifest.to_value(), self, redact_env)
    }
}

pub(super) fn lines(manifest: &Value, diff: &ManifestDiff, redact_env: bool) -> Vec<DiffLine> {
    let hidden = |path: &Path, change: &Change| {
        let hide = |value: &Value| hide(value, path, redact_env);
        let change = match change {
            Change::Add(value) => Change::Add(hide(value)),
            Change::Replace { was, now } => Change::Replace {
                was: hide(was),
                now: hide(now),
            },
        };
        (path.clone(), change)
    };
    let changes = diff.0.iter().map(|(path, change)| hidden(path, change));
    let diff = ManifestDiff(changes.collect());
    let mut shown = DiffText {
        diff: &diff,
        lines: Vec::new(),
    };
    shown.push(DiffMark::Same, "---", "", "");
    let manifest = hide(manifest, &Vec::new(), redact_env);
    shown.value(None, &manifest, &Vec::new(), "", "");
    shown.lines
}

/// A manifest without its secrets.
pub(crate) fn redacted(manifest: &Value, redact_env: bool) -> Value {
    hide(manifest, &Vec::new(), redact_env)
}

/// Redacts the secrets in a value, depending on its path.
fn hide(value: &Value, path: &Path, redact_env: bool) -> Value {
    // Keys are searched at any depth, because anchors can be anywhere.
    let within = |key: &str| path.iter().position(|part| part == key);
    let is_below = |key: &str| within(key).is_some_and(|at| path.len() > at + 1);
    let is_password = path.ends_with(&["docker".to_owned(), "password".to_owned()]);
    if is_password || within("cnb-credentials").is_some() || (redact_env && is_below("env")) {
        return REDACTED.into();
    }
    match value {
        Value::Map(map) => {
            let pairs = map.iter().map(|(key, value)| {
                let here = below(path, &key.scalar_text().unwrap_or_default());
                (key.clone(), hide(value, &here, redact_env))
            });
            Value::Map(pairs.collect())
        }
        Value::List(list) => {
            let items = list.iter().enumerate();
            let items = items.map(|(at, it)| hide(it, &below(path, &at.to_string()), redact_env));
            Value::List(items.collect())
        }
        other => other.clone(),
    }
}

struct DiffText<'a> {
    diff: &'a ManifestDiff,
    lines: Vec<DiffLine>,
}

impl DiffText<'_> {
    /// Adds a value with its key, or as an item of a list. `first` precedes the first
    /// line, `rest` the others.
    fn value(&mut self, key: Option<&Value>, value: &Value, path: &Path, first: &str, rest: &str) {
        match self.diff.at(path).cloned() {
            Some(Change::Add(value)) => self.entry(DiffMark::Added, key, value, first, rest),
            Some(Change::Replace { was, now }) => {
                self.entry(DiffMark::Removed, key, was, first, rest);
                self.entry(DiffMark::Added, key, now, first, rest);
            }
            None => match value {
                Value::Map(map) if !map.is_empty() => self.map(key, map, path, first, rest),
                Value::List(list) if !list.is_empty() => self.list(key, list, path, first, rest),
                _ => self.entry(DiffMark::Same, key, value.clone(), first, rest),
            },
        }
    }

    fn map(&mut self, key: Option<&Value>, map: &Map, path: &Path, first: &str, rest: &str) {
        let inner = match key {
            Some(_) => format!("{rest}  "),
            None => rest.to_owned(),
        };
        self.header(key, first, rest);
        let mut first = if key.is_some() { inner.as_str() } else { first };
        for (key, value) in map.iter() {
            let here = below(path, &key.scalar_text().unwrap_or_default());
            self.value(Some(key), value, &here, first, &inner);
            first = &inner;
        }
    }

    fn list(&mut self, key: Option<&Value>, list: &[Value], path: &Path, first: &str, rest: &str) {
        self.header(key, first, rest);
        let (item, inner) = (format!("{rest}- "), format!("{rest}  "));
        for (at, value) in list.iter().enumerate() {
            self.value(None, value, &below(path, &at.to_string()), &item, &inner);
        }
    }

    fn header(&mut self, key: Option<&Value>, first: &str, rest: &str) {
        if let Some(key) = key {
            self.push(DiffMark::Same, &format!("{key}:"), first, rest);
        }
    }

    fn entry(
        &mut self,
        mark: DiffMark,
        key: Option<&Value>,
        value: Value,
        first: &str,
        rest: &str,
    ) {
        let value = match key {
            Some(key) => Value::Map(Map::from_iter([(key.clone(), value)])),
            None => value,
        };
        self.push(mark, value.render().trim_end(), first, rest);
    }

    fn push(&mut self, mark: DiffMark, text: &str, first: &str, rest: &str) {
        for (at, line) in text.lines().enumerate() {
            let indent = if at == 0 { first } else { rest };
            self.lines.push(DiffLine {
                mark,
                text: format!("{indent}{line}"),
            });
        }
    }
}

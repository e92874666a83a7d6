//! Reads and writes YAML as the `cf` CLI does, keeping the order of keys.
//!
//! Scalars are resolved by the rules of YAML 1.1, as in the CLI's parser: `yes`, `on` and
//! `y` are booleans, `0123` is octal, `1_000` is a number, and `12:30:45` is a string.
//! Anchors and merge keys are resolved, a later duplicate key takes precedence, and only
//! the first document is read. The output has the same meaning in YAML 1.1 and 1.2.

mod load;
mod locate;
mod map;
mod scalar;
#[cfg(test)]
mod tests;
mod write;

use load::Loader;
pub(crate) use locate::{Lines, anchored_keys, line_of, lines, second_document};
pub(crate) use map::Map;
use scalar::{float, float_text};

/// The maximum depth of nested lists and maps.
const MAX_DEPTH: usize = 128;

/// The maximum number of values in a document, after resolving aliases.
const MAX_VALUES: usize = 1_000_000;

/// A value of a YAML document.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i128),
    /// Never a whole number.
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Map),
}

/// A text that is not YAML, with the line of the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct YamlError {
    line: usize,
    reason: String,
}

impl YamlError {
    /// The line of the error, from 1.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The problem at that line.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl Value {
    /// Parses the first document of a text. An empty text is null.
    pub(crate) fn parse(text: &str) -> Result<Self, YamlError> {
        Loader::default().load(text)
    }

    /// Parses a manifest that the Cloud Controller wrote. Ruby quotes fewer strings than
    /// [`Value::parse`] requires.
    pub(crate) fn parse_of_cloud_controller(text: &str) -> Result<Self, YamlError> {
        Loader::of_cloud_controller().load(text)
    }

    /// Parses the first document of a text. The keys of the outermost map are strings, so
    /// `y` is not a boolean.
    pub(crate) fn parse_with_text_keys(text: &str) -> Result<Self, YamlError> {
        let loader = Loader::with_text_keys();
        loader.load(text)
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The type of a value, for messages that must not show the value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// Whether depth and size are within the limits of [`Value::parse`].
    pub(crate) fn is_within_bounds(&self) -> bool {
        height_of(self) <= MAX_DEPTH && size_of(self) <= MAX_VALUES
    }

    /// The text of a scalar. `None` for lists, maps and null.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(float_text(*number)),
            Self::Text(text) => Some(text.clone()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => match number.as_i128() {
                Some(number) => Self::Int(number),
                None => float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(list) => Self::List(list.iter().map(Self::from).collect()),
            Json::Object(map) => {
                let pair = |(key, value): (&String, _)| (key.as_str().into(), Self::from(value));
                Self::Map(map.iter().map(pair).collect())
            }
        }
    }
}

fn height_of(value: &Value) -> usize {
    match value {
        Value::List(list) => 1 + list.iter().map(height_of).max().unwrap_or_default(),
        Value::Map(map) => {
            1 + map
                .iter()
                .map(|(_, it)| height_of(it))
                .max()
                .unwrap_or_default()
        }
        _ => 0,
    }
}

fn size_of(value: &Value) -> usize {
    1 + match value {
        Value::List(list) => list.iter().map(size_of).sum(),
        Value::Map(map) => map.iter().map(|(_, value)| 1 + size_of(value)).sum(),
        _ => 0,
    }
}

//! The values of a spec, each with its location.

use serde_json::{Map, Number, Value as Json};

use super::problem::Location;

/// The maximum length of a value in a message, in characters.
const MAX_SHOWN: usize = 60;

/// A value and its location.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Location,
    pub(super) data: Data,
    /// Whether a variable supplied the value or a part of it, so that it may be secret.
    pub(super) is_variable: bool,
    /// Whether a variable supplied all of it.
    pub(super) is_supplied: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Int(i128),
    /// Never a whole number.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// A map in order, with unique keys.
    Map(Vec<(String, Node)>),
    /// A string with a variable that has no value. This has been reported. The string may
    /// stand for a value of any type.
    Unresolved(String),
}

impl Node {
    pub(super) fn new(at: Location, data: Data) -> Self {
        Self {
            at,
            data,
            is_variable: false,
            is_supplied: false,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let found = self.entries().iter().find(|(name, _)| name == key);
        found.map(|(_, node)| node)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The entries of a map. Empty for other values.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list. Empty for other values.
    pub(super) fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The items of the list of a key.
    pub(super) fn list(&self, key: &str) -> &[Self] {
        self.get(key).map(Self::items).unwrap_or_default()
    }

    /// The string. A whole number is converted.
    pub(super) fn text(&self) -> Option<String> {
        match &self.data {
            Data::Text(text) | Data::Unresolved(text) => Some(text.clone()),
            Data::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match self.data {
            Data::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    pub(super) fn number<N: TryFrom<i128>>(&self) -> Option<N> {
        match self.data {
            Data::Int(number) => N::try_from(number).ok(),
            _ => None,
        }
    }

    pub(super) fn is_unresolved(&self) -> bool {
        matches!(self.data, Data::Unresolved(_))
    }

    /// The type of the value.
    pub(super) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "empty",
            Data::Bool(_) => "a boolean",
            Data::Int(_) | Data::Float(_) => "a number",
            Data::Text(_) | Data::Unresolved(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    /// The value for a message: shortened, and hidden if a variable supplied it.
    pub(super) fn shown(&self) -> String {
        if self.is_variable {
            return format!("{} that a variable supplies", self.kind());
        }
        let text = match &self.data {
            Data::Text(text) | Data::Unresolved(text) => format!("{text:?}"),
            Data::Bool(truth) => truth.to_string(),
            Data::Int(number) => number.to_string(),
            Data::Float(number) => number.to_string(),
            Data::Null | Data::List(_) | Data::Map(_) => self.kind().to_owned(),
        };
        match text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    }

    /// The value as JSON, with its strings unchanged.
    pub(super) fn plain_json(&self) -> Json {
        self.json(&|text, _| text.to_owned())
    }

    /// The value as JSON, with each string converted by `text`, which gets the string and
    /// whether it is the value of a variable.
    pub(super) fn json(&self, text: &dyn Fn(&str, bool) -> String) -> Json {
        match &self.data {
            Data::Null => Json::Null,
            Data::Bool(truth) => Json::Bool(*truth),
            Data::Int(number) => Number::from_i128(*number).map_or(Json::Null, Json::Number),
            // JSON has neither infinity nor NaN.
            Data::Float(number) => match Number::from_f64(*number) {
                Some(number) => Json::Number(number),
                None => Json::String(number.to_string()),
            },
            Data::Text(given) | Data::Unresolved(given) => {
                Json::String(text(given, self.is_supplied))
            }
            Data::List(items) => items.iter().map(|item| item.json(text)).collect(),
            Data::Map(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(key, node)| (key.clone(), node.json(text)));
                Json::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// Whether both values are equal, regardless of their locations.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.plain_json() == other.plain_json()
    }
}

//! A map with unique keys in order, which finds a key in constant time.

use std::hash::{Hash, Hasher};

use indexmap::{Equivalent, IndexMap};

use super::Value;

/// A map with unique keys, in order. Keys are scalars.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map(IndexMap<Value, Value>);

/// `.nan` is not equal to itself, so a map may have several such keys. No code looks up
/// such a key.
impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Text(text) => text.hash(state),
            Self::Bool(truth) => truth.hash(state),
            Self::Int(number) => number.hash(state),
            Self::Float(number) => number.to_bits().hash(state),
            // Lists and maps are not keys.
            Self::Null | Self::List(_) | Self::Map(_) => {}
        }
    }
}

/// Finds a key that is a string.
#[derive(Hash)]
struct Text<'a>(&'a str);

impl Equivalent<Value> for Text<'_> {
    fn equivalent(&self, key: &Value) -> bool {
        key.as_text() == Some(self.0)
    }
}

/// Maps are equal only if their keys have the same order, which is part of a manifest.
impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().eq(other.0.iter())
    }
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(&Text(key))
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.get_mut(&Text(key))
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains_key(&Text(key))
    }

    /// Sets a value: in place if the key exists, otherwise at the end.
    pub(crate) fn set(&mut self, key: impl Into<Value>, value: Value) {
        self.0.insert(key.into(), value);
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(&Text(key))
    }

    /// Renames a key in place. An existing value with the new name is replaced.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if !self.contains(from) {
            return;
        }
        self.remove(to);
        if let Some((at, _, value)) = self.0.shift_remove_full(&Text(from)) {
            self.0.shift_insert(at, to.into(), value);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Value, Value)> for Map {
    fn from_iter<T: IntoIterator<Item = (Value, Value)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = indexmap::map::IntoIter<Value, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

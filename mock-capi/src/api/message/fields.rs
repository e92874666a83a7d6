//! The fields of a JSON object in a request, by type. Both versions of the API use this
//! module to read requests, but they check and report different things.

use serde_json::{Map, Value};

/// The fields of an object. A field that is null or does not have the requested type
/// counts as absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'b>(&'b Map<String, Value>);

impl<'b> Fields<'b> {
    pub(crate) fn new(object: &'b Map<String, Value>) -> Self {
        Self(object)
    }

    /// The names of all fields.
    pub(super) fn names(self) -> impl Iterator<Item = &'b str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of a field, which may be null.
    pub(super) fn value_or_null(self, name: &str) -> Option<&'b Value> {
        self.0.get(name)
    }

    pub(crate) fn value(self, name: &str) -> Option<&'b Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.value(name).is_some()
    }

    pub(crate) fn text(self, name: &str) -> Option<&'b str> {
        self.value(name)?.as_str()
    }

    pub(crate) fn integer(self, name: &str) -> Option<i64> {
        self.value(name)?.as_i64()
    }

    pub(crate) fn boolean(self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    pub(crate) fn object(self, name: &str) -> Option<&'b Map<String, Value>> {
        self.value(name)?.as_object()
    }

    pub(crate) fn list(self, name: &str) -> Option<&'b Vec<Value>> {
        self.value(name)?.as_array()
    }

    /// The strings of a list.
    pub(crate) fn texts(self, name: &str) -> Option<Vec<&'b str>> {
        let list = self.list(name)?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }
}

//! One application of a manifest.

use std::fmt;

use super::properties::{self, Level, PropertyError};
use super::yaml::{Map, Value};

/// One application of a [`Manifest`](super::Manifest).
#[derive(Clone, Default, PartialEq)]
pub struct Application(pub(super) Map);

impl fmt::Debug for Application {
    /// Shows only the name, because properties may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Application").field(&self.name()).finish()
    }
}

/// A property that is invalid, by its path from the root of the document.
#[derive(Debug, PartialEq)]
pub(super) struct InvalidAt {
    pub(super) path: Vec<String>,
    pub(super) reason: String,
}

impl Application {
    pub(super) fn from_value(value: Value) -> Result<Self, InvalidAt> {
        let map = match value {
            Value::Map(map) => map,
            Value::Null => Map::default(),
            other => {
                let kind = other.kind();
                return Err(InvalidAt {
                    path: Vec::new(),
                    reason: format!("an application is {kind}, must be a map"),
                });
            }
        };
        let name = map.get("name").and_then(Value::scalar_text);
        let with_name = |error: PropertyError| InvalidAt {
            reason: match &name {
                Some(name) => format!("app {name}: {error}"),
                None => error.to_string(),
            },
            path: error.path,
        };
        properties::application(map).map(Self).map_err(with_name)
    }

    /// The app's name. Empty if the manifest has none.
    pub fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    pub(crate) fn get(&self, property: &str) -> Option<&Value> {
        self.0.get(property)
    }

    /// The value of a property that is a string.
    pub(crate) fn text(&self, property: &str) -> Option<&str> {
        self.get(property)?.as_text()
    }

    /// Whether a property is `true`.
    pub(crate) fn is(&self, property: &str) -> bool {
        self.get(property) == Some(&Value::Bool(true))
    }

    pub(crate) fn has(&self, property: &str) -> bool {
        self.0.contains(property)
    }

    /// A property of `docker`, such as `image`.
    pub(crate) fn docker(&self, property: &str) -> Option<&str> {
        self.get("docker")?.as_map()?.get(property)?.as_text()
    }

    pub(crate) fn properties(&self) -> &Map {
        &self.0
    }

    pub(super) fn set(&mut self, property: &str, value: Value) {
        self.0.set(property, value);
    }

    /// Changes the properties of the web process. If the manifest has no web process,
    /// these are the app's properties.
    pub(super) fn change_web(&mut self, change: impl FnOnce(&mut Map, Level)) {
        let is_web = |process: &&mut Map| process.get("type") == Some(&"web".into());
        if let Some(Value::List(processes)) = self.0.get_mut("processes")
            && let Some(web) = processes
                .iter_mut()
                .filter_map(Value::as_map_mut)
                .find(is_web)
        {
            return change(web, Level::Process);
        }
        change(&mut self.0, Level::App);
    }
}

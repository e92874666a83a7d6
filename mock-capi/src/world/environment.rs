//! Environment variables of apps and of environment variable groups.

use serde_json::{Map, Value};

use super::{App, Guid, World};

impl World {
    /// Sets variables of an app. Null removes a variable.
    pub(crate) fn set_environment(&mut self, app: Guid, variables: Map<String, Value>) {
        self.apps.update(app, |app| app.has_environment = true);
        if variables.is_empty() {
            return;
        }
        self.update_row(app, |app: &mut App| {
            merge_environment(&mut app.environment, variables);
        });
    }
}

/// Sets variables. Null removes a variable.
pub(crate) fn merge_environment(
    environment: &mut Map<String, Value>,
    variables: Map<String, Value>,
) {
    for (key, value) in variables {
        if value.is_null() {
            environment.remove(&key);
        } else {
            environment.insert(key, value);
        }
    }
}

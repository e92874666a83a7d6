//! The documented responses of 2017 as templates. A response that is created from a
//! template has every documented key.

use serde_json::Value;

/// A documented response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template(&'static str);

macro_rules! template {
    ($file:literal) => {
        Template(include_str!(concat!("../../fixtures/capi-2017/", $file)))
    };
}

pub(crate) const CURRENT_DROPLET: Template = template!("current-droplet.response.json");
pub(crate) const APP: Template = template!("app.response.json");
pub(crate) const CREATE_APP: Template = template!("create-app.response.json");
pub(crate) const COPY_DROPLET: Template = template!("copy-droplet.response.json");

impl Template {
    /// The documented response, with its values replaced by these.
    pub(crate) fn fill(self, values: Value) -> Value {
        overlay(self.example(), values)
    }

    fn example(self) -> Value {
        serde_json::from_str(self.0).unwrap_or_default()
    }
}

/// Merges objects. Other values and empty objects are replaced.
fn overlay(template: Value, values: Value) -> Value {
    match (template, values) {
        (Value::Object(mut template), Value::Object(values)) if !values.is_empty() => {
            for (key, value) in values {
                let below = template.entry(key).or_insert(Value::Null);
                *below = overlay(below.take(), value);
            }
            Value::Object(template)
        }
        (_, values) => values,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_json() {
        let templates = [CURRENT_DROPLET, APP, CREATE_APP, COPY_DROPLET];
        for template in templates {
            assert!(template.example().is_object(), "{template:?}");
        }
    }

    #[test]
    fn values_replace_documented_values() {
        let filled = COPY_DROPLET.fill(json!({"guid": "x", "links": {"self": {}}}));
        assert_eq!(
            filled,
            json!({"guid": "x", "state": "COPYING", "links": {"self": {}}})
        );
    }
}

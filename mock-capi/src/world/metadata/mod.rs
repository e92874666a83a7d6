//! Labels and annotations: the rules for keys and values, changes to them, and
//! `label_selector`s.

mod selector;

pub(crate) use selector::LabelSelector;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::world::error::Error;
use crate::world::{Field, Key, ruby};

const MAX_NAME: usize = 63;
const MAX_PREFIX: usize = 253;
const MAX_ANNOTATION: usize = 5000;
const MAX_LABELS: usize = 50;
const MAX_ANNOTATIONS: usize = 200;

/// The labels and annotations of a resource. Most resources have none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Maps")]
pub(crate) struct Metadata(Option<Box<Maps>>);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Maps {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, Option<String>>,
}

impl From<Maps> for Metadata {
    fn from(maps: Maps) -> Self {
        Self((!maps.is_empty()).then(|| Box::new(maps)))
    }
}

impl Maps {
    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// Serializes both maps, even if they are empty.
impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        static NONE: Maps = Maps {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        self.0.as_deref().unwrap_or(&NONE).serialize(serializer)
    }
}

impl Metadata {
    pub(crate) fn present(&self) -> Value {
        json!(self)
    }

    /// The maps that are not empty, as manifests contain them.
    pub(crate) fn present_non_empty(&self) -> Option<Value> {
        let maps = self.0.as_ref()?;
        let mut found = Map::new();
        if !maps.labels.is_empty() {
            found.insert("labels".into(), json!(maps.labels));
        }
        if !maps.annotations.is_empty() {
            found.insert("annotations".into(), json!(maps.annotations));
        }
        (!found.is_empty()).then_some(Value::Object(found))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        let labels = self.0.iter().flat_map(|maps| &maps.labels);
        labels.flat_map(|(key, value)| {
            [
                Key::exact(Field::Label, key.as_str()),
                label_value_key(key, value),
            ]
        })
    }

    /// Sets keys with values, and removes keys whose value is null.
    pub(crate) fn apply(&mut self, patch: MetadataPatch) {
        if patch.labels.is_empty() && patch.annotations.is_empty() {
            return;
        }
        let mut maps = self.0.take().unwrap_or_default();
        merge(&mut maps.labels, patch.labels);
        merge(&mut maps.annotations, patch.annotations);
        self.0 = (!maps.is_empty()).then_some(maps);
    }

    fn label(&self, key: &str) -> Option<&str> {
        let maps = self.0.as_ref()?;
        maps.labels.get(key).map(String::as_str)
    }
}

fn merge<V>(into: &mut BTreeMap<String, V>, changes: Vec<(String, Option<V>)>) {
    for (key, value) in changes {
        match value {
            Some(value) => into.insert(key, value),
            None => into.remove(&key),
        };
    }
}

fn label_value_key(key: &str, value: &str) -> Key {
    Key::exact(Field::LabelValue, format!("{key}={value}"))
}

/// A change of metadata by a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetadataPatch {
    labels: Vec<(String, Option<String>)>,
    /// An annotation may have no value.
    annotations: Vec<(String, Option<Option<String>>)>,
    /// The error of the database, which refuses some changes that are valid otherwise.
    fault: Option<Error>,
}

impl MetadataPatch {
    /// Reads and validates a request's `metadata`.
    pub(crate) fn read(metadata: &Value, errors: &mut Vec<String>) -> Self {
        let mut patch = Self::default();
        let Some(fields) = metadata.as_object() else {
            errors.push("Metadata must be an object".into());
            return patch;
        };
        let unknown: Vec<String> = fields
            .keys()
            .filter(|key| !matches!(key.as_str(), "labels" | "annotations"))
            .map(|key| format!("'{key}'"))
            .collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(" ");
            errors.push(format!("Metadata has unexpected field(s): {unknown}"));
        }
        let labels = read_map(fields, "labels", errors);
        let label = |(key, value): (&String, &Value)| {
            (key.clone(), (!value.is_null()).then(|| ruby::text(value)))
        };
        patch.labels = labels.into_iter().flatten().map(label).collect();
        for (key, value) in &patch.labels {
            if let Err(reason) = check_key(key) {
                errors.push(format!("Metadata label key error: {reason}"));
            }
            if let Err(reason) = check_label_value(value.as_deref().unwrap_or_default()) {
                errors.push(format!("Metadata label value error: {reason}"));
            }
        }
        let annotations = read_map(fields, "annotations", errors);
        for (key, value) in annotations.into_iter().flatten() {
            check_annotation(key, value, errors);
            match annotation(value) {
                Ok(value) => patch.annotations.push((key.clone(), value)),
                Err(()) => patch.fault = Some(Error::Unknown),
            }
        }
        patch.fault = patch.fault.take().or_else(|| patch.limit_exceeded(None));
        patch
    }

    /// The error if a change would add too many labels or annotations to the current
    /// ones.
    fn limit_exceeded(&self, current: Option<&Maps>) -> Option<Error> {
        let labels = adds(&self.labels, current.map(|maps| &maps.labels));
        if labels > MAX_LABELS {
            return Some(Error::TooManyLabels {
                count: self.labels.len(),
                max: MAX_LABELS,
            });
        }
        let annotations = adds(&self.annotations, current.map(|maps| &maps.annotations));
        (annotations > MAX_ANNOTATIONS).then_some(Error::TooManyAnnotations {
            count: self.annotations.len(),
            max: MAX_ANNOTATIONS,
        })
    }

    /// Refuses changes that the database would refuse.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Refuses changes that would add too many entries to the current metadata.
    pub(crate) fn check_beside(&self, current: &Metadata) -> Result<(), Error> {
        let exceeded = self.limit_exceeded(current.0.as_deref());
        exceeded.map_or(Ok(()), Err)
    }
}

/// The number of entries after a change, or 0 if the change adds none.
fn adds<V>(changes: &[(String, Option<V>)], current: Option<&BTreeMap<String, V>>) -> usize {
    let holds = |key: &String| current.is_some_and(|current| current.contains_key(key));
    let (mut added, mut removed) = (0, 0);
    for (key, value) in changes {
        match value {
            Some(_) if !holds(key) => added += 1,
            None if holds(key) => removed += 1,
            _ => {}
        }
    }
    if added <= removed {
        return 0;
    }
    current.map_or(0, BTreeMap::len) + added - removed
}

fn read_map<'v>(
    fields: &'v Map<String, Value>,
    name: &str,
    errors: &mut Vec<String>,
) -> Option<&'v Map<String, Value>> {
    let map = fields.get(name).filter(|value| !value.is_null())?;
    let object = map.as_object();
    // Ruby treats false as absent.
    if object.is_none() && *map != Value::Bool(false) {
        errors.push(format!("Metadata '{name}' is not an object"));
    }
    object
}

/// The new value of an annotation. `None` removes the annotation. The Cloud Controller
/// fails with values that have no size in Ruby, and with values that no column can store.
fn annotation(value: &Value) -> Result<Option<Option<String>>, ()> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(_) => Err(()),
        Value::Number(number) if number.is_f64() => Err(()),
        other => ruby::column(other).map(Some),
    }
}

fn check_annotation(key: &str, value: &Value, errors: &mut Vec<String>) {
    if let (false, Err(reason)) = (ruby::is_blank(value), check_key(key)) {
        errors.push(format!("Metadata annotation key error: {reason}"));
    }
    let Some(text) = value.as_str() else {
        return;
    };
    if text.chars().count() > MAX_ANNOTATION {
        let start = start_of(text);
        errors.push(format!(
            "Metadata annotation value error: '{start}...' is greater than {MAX_ANNOTATION} characters"
        ));
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if key.is_empty() {
        return Err("key cannot be empty string".into());
    }
    if name.contains('/') {
        return Err("key has more than one '/'".into());
    }
    if let Some(prefix) = prefix {
        check_prefix(prefix)?;
    }
    if name.is_empty() {
        return Err("key cannot be empty string".into());
    }
    check_name(name)
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    if !is_dns_name(prefix) {
        return Err(format!("prefix '{prefix}' must be in valid dns format"));
    }
    if prefix.len() > MAX_PREFIX {
        let start = start_of(prefix);
        return Err(format!(
            "prefix '{start}...' is greater than {MAX_PREFIX} characters"
        ));
    }
    if prefix.eq_ignore_ascii_case("cloudfoundry.org") {
        return Err("prefix 'cloudfoundry.org' is reserved".into());
    }
    Ok(())
}

fn is_dns_name(name: &str) -> bool {
    name.contains('.')
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn check_label_value(value: &str) -> Result<(), String> {
    if value.is_empty() {
        Ok(())
    } else {
        check_name(value)
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.chars().all(valid) {
        return Err(format!("'{name}' contains invalid characters"));
    }
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if !edge(name.chars().next()) || !edge(name.chars().next_back()) {
        return Err(format!("'{name}' starts or ends with invalid characters"));
    }
    if name.len() > MAX_NAME {
        let start = start_of(name);
        return Err(format!(
            "'{start}...' is greater than {MAX_NAME} characters"
        ));
    }
    Ok(())
}

fn start_of(text: &str) -> String {
    text.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(metadata: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        MetadataPatch::read(metadata, &mut errors);
        errors
    }

    pub(super) fn metadata(labels: &Value) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.apply(MetadataPatch::read(
            &json!({ "labels": labels }),
            &mut Vec::new(),
        ));
        metadata
    }

    #[test]
    fn keys_and_values_follow_the_rules() {
        assert!(errors(&json!({"labels": {"example.com/env_1": "a.b-c", "x": null}})).is_empty());
        assert!(errors(&json!({"annotations": {"note": "any text: äöü"}})).is_empty());
        let broken = [
            (json!(1), "Metadata must be an object"),
            (
                json!({"tags": 1}),
                "Metadata has unexpected field(s): 'tags'",
            ),
            (json!({"labels": [1]}), "Metadata 'labels' is not an object"),
            (
                json!({"labels": {"": "a"}}),
                "Metadata label key error: key cannot be empty string",
            ),
            (
                json!({"labels": {"a/b/c": "a"}}),
                "Metadata label key error: key has more than one '/'",
            ),
            (
                json!({"labels": {"nodots/a": "a"}}),
                "Metadata label key error: prefix 'nodots' must be in valid dns format",
            ),
            (
                json!({"labels": {"cloudfoundry.org/a": "a"}}),
                "Metadata label key error: prefix 'cloudfoundry.org' is reserved",
            ),
            (
                json!({"labels": {"a b": "a"}}),
                "Metadata label key error: 'a b' contains invalid characters",
            ),
            (
                json!({"labels": {"a": "-a"}}),
                "Metadata label value error: '-a' starts or ends with invalid characters",
            ),
            (
                json!({"labels": {"a": "x".repeat(64)}}),
                "Metadata label value error: 'xxxxxxxx...' is greater than 63 characters",
            ),
            (
                json!({"annotations": {"a": "y".repeat(5001)}}),
                "Metadata annotation value error: 'yyyyyyyy...' is greater than 5000 characters",
            ),
        ];
        for (metadata, expected) in broken {
            assert_eq!(errors(&metadata), [expected]);
        }
    }

    #[test]
    fn null_removes_a_label() {
        let mut metadata = metadata(&json!({"a": "1", "b": "2"}));
        let patch = MetadataPatch::read(&json!({"labels": {"a": null}}), &mut Vec::new());
        metadata.apply(patch);
        assert_eq!(metadata.present()["labels"], json!({"b": "2"}));
    }
}

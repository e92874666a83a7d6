//! Sorts the differences between an app and its entry: changes to show, properties that a
//! manifest repairs, and values that need separate requests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Change;
use crate::converge::compare::EntryDifference;
use crate::desired::Group;
use crate::manifest::entry::{ManifestEntry, scalar, text_of};

/// Properties that take effect without a restart, or together with the app's droplet.
const WITHOUT_RESTART: [&str; 5] = ["routes", "no-route", "metadata", "buildpacks", "stack"];

/// The drift of an app from its entry.
#[derive(Debug, Default)]
pub(super) struct EntryDrift {
    pub(super) changes: Vec<Change>,
    /// The properties whose differences the manifest repairs.
    pub(super) properties: BTreeSet<String>,
    /// Environment variables with their new values. `None` removes a variable.
    pub(super) env: BTreeMap<String, Option<String>>,
    /// Services that the app is bound to but should not be.
    pub(super) unbind: Vec<String>,
    /// Labels that the app has but should not have.
    pub(super) labels: Vec<String>,
    /// Annotations that the app has but should not have.
    pub(super) annotations: Vec<String>,
}

impl EntryDrift {
    /// Reads the differences of an app of a group.
    pub(super) fn of(
        group: &Group,
        entry: &ManifestEntry,
        differences: &[EntryDifference],
    ) -> Self {
        let mut drift = Self::default();
        for difference in differences {
            let path: Vec<&str> = difference.path.iter().map(String::as_str).collect();
            drift.read(entry, &path, &difference.was, &difference.value);
        }
        drift.show_env(group, differences);
        drift
    }

    /// Whether a difference takes effect only after a restart.
    pub(super) fn needs_restart(&self) -> bool {
        let mut properties = self.properties.iter();
        let is_needed = |property: &String| !WITHOUT_RESTART.contains(&property.as_str());
        !self.env.is_empty() || !self.unbind.is_empty() || properties.any(is_needed)
    }

    /// Whether the manifest repairs any difference.
    pub(super) fn is_for_manifest(&self) -> bool {
        !self.properties.is_empty() || self.env.values().any(Option::is_some)
    }

    fn read(&mut self, entry: &ManifestEntry, path: &[&str], was: &Value, value: &Value) {
        match path {
            // A missing app is created.
            ["name"] => {}
            ["env"] => {
                let names = [was, value].into_iter().filter_map(Value::as_object);
                for name in names.flat_map(|map| map.keys()) {
                    self.variable(entry, name);
                }
            }
            ["env", name, ..] => self.variable(entry, name),
            ["metadata", part] => {
                let keys = [was, value].into_iter().filter_map(Value::as_object);
                for key in keys.flat_map(|map| map.keys()) {
                    self.metadata(entry, part, key, was.get(key), value.get(key));
                }
            }
            ["metadata"] => {
                for part in ["labels", "annotations"] {
                    let path = [path[0], part];
                    let of = |value: &Value| value.get(part).cloned().unwrap_or_default();
                    self.read(entry, &path, &of(was), &of(value));
                }
            }
            ["metadata", part, key, ..] => {
                let there = |value| Some(value).filter(|it: &&Value| !it.is_null());
                self.metadata(entry, part, key, there(was), there(value));
            }
            ["services", ..] => self.services(entry, was, value),
            // A manifest does not remove a process, sidecar or route, or one of its
            // fields.
            ["processes" | "sidecars" | "routes", ..] if value.is_null() => {}
            ["routes"] => {
                for route in value.as_array().into_iter().flatten() {
                    self.route(route);
                }
            }
            ["routes", _] => self.route(value),
            ["routes", at, rest @ ..] => {
                let route = at
                    .parse()
                    .ok()
                    .and_then(|at: usize| entry.entry_routes().get(at));
                let route = route.map(|route| route.route.as_str()).unwrap_or_default();
                let property = format!("{} of route {route}", rest.join(" "));
                self.property("routes", property, was, value);
            }
            [key @ ("processes" | "sidecars"), rest @ ..] => {
                let property = self.item_property(entry, key, rest.get(1).copied(), value);
                self.property(key, property, was, value);
            }
            [key, rest @ ..] => {
                let property = match rest {
                    [] => (*key).to_owned(),
                    rest => format!("{key} {}", rest.join(" ")),
                };
                self.property(key, property, was, value);
            }
            [] => {}
        }
    }

    /// A process, a sidecar or a field of one, as plans show it.
    fn item_property(
        &self,
        entry: &ManifestEntry,
        key: &str,
        field: Option<&str>,
        value: &Value,
    ) -> String {
        let kind = match key {
            "processes" => "process",
            _ => "sidecar",
        };
        let mut ids = ["type", "name"].iter();
        let name = ids.find_map(|id| value.get(id).and_then(scalar));
        let name = name.or_else(|| self.item_name(entry, key, field, value));
        match (name, field) {
            (Some(name), Some(field)) => format!("{field} of {kind} {name}"),
            (Some(name), None) => format!("{kind} {name}"),
            (None, Some(field)) => format!("{field} of a {kind}"),
            (None, None) => key.to_owned(),
        }
    }

    /// The only process or sidecar of an entry with this value in a field. The positions
    /// in a diff are those of the app's list, not of the entry's.
    fn item_name(
        &self,
        entry: &ManifestEntry,
        key: &str,
        field: Option<&str>,
        value: &Value,
    ) -> Option<String> {
        let list = entry.get(key)?.as_array()?;
        let field = field?;
        let mut having = list.iter().filter(|item| item.get(field) == Some(value));
        let item = having.next().filter(|_| having.next().is_none())?;
        ["type", "name"]
            .iter()
            .find_map(|id| item.get(id).and_then(scalar))
    }

    fn property(&mut self, key: &str, property: String, was: &Value, value: &Value) {
        let none = if key == "command" {
            "the droplet's"
        } else {
            "none"
        };
        let shown = |value: &Value| match value {
            Value::Null => none.to_owned(),
            value => text_of(value),
        };
        self.changes
            .push(Change::new(property, shown(was), shown(value)));
        self.properties.insert(key.to_owned());
    }

    fn route(&mut self, route: &Value) {
        let text = route.get("route").and_then(scalar).unwrap_or_default();
        self.changes.push(Change::new("route", "missing", text));
        self.properties.insert("routes".to_owned());
    }

    fn variable(&mut self, entry: &ManifestEntry, name: &str) {
        let value = entry.env().get(name).cloned();
        self.env.insert(name.to_owned(), value);
    }

    fn metadata(
        &mut self,
        entry: &ManifestEntry,
        part: &str,
        key: &str,
        was: Option<&Value>,
        value: Option<&Value>,
    ) {
        let kind = if part == "labels" {
            "label"
        } else {
            "annotation"
        };
        let shown = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), text_of);
        let change = Change::new(format!("{kind} {key}"), shown(was), shown(value));
        if entry
            .metadata(part)
            .is_some_and(|named| named.contains_key(key))
        {
            self.properties.insert("metadata".to_owned());
        } else if entry.metadata(part).is_some()
            && !key.starts_with("cf-pusher")
            && key != "managed-by"
        {
            // A field is removed only from items that the entry contains.
            let gone = if part == "labels" {
                &mut self.labels
            } else {
                &mut self.annotations
            };
            gone.push(key.to_owned());
        } else {
            return;
        }
        self.changes.push(change);
    }

    fn services(&mut self, entry: &ManifestEntry, was: &Value, value: &Value) {
        let names = |value: &Value| -> Vec<String> {
            match value {
                Value::Array(list) => list.iter().filter_map(scalar).collect(),
                value => scalar(value).into_iter().collect(),
            }
        };
        let wanted = entry.services().unwrap_or_default();
        for name in names(was)
            .into_iter()
            .filter(|name| !wanted.contains(name.as_str()))
        {
            self.changes.push(Change::new("service", &name, "none"));
            self.unbind.push(name);
        }
        for name in names(value) {
            self.changes.push(Change::new("service", "none", name));
            self.properties.insert("services".to_owned());
        }
    }

    /// Values of variables that the group does not show may be secret.
    fn show_env(&mut self, group: &Group, differences: &[EntryDifference]) {
        let mut old: BTreeMap<&str, &Value> = BTreeMap::new();
        for difference in differences
            .iter()
            .filter(|it| it.path.first().is_some_and(|key| key == "env"))
        {
            match (difference.path.get(1), &difference.was) {
                (Some(name), was) if !was.is_null() => {
                    old.insert(name, was);
                }
                (None, Value::Object(was)) => {
                    old.extend(was.iter().map(|(name, was)| (name.as_str(), was)))
                }
                _ => {}
            }
        }
        for (name, new) in &self.env {
            let shown = |value: Option<String>, hidden: &str| match value {
                None => "none".to_owned(),
                Some(value) if group.shown_env.contains(name) => value,
                Some(_) => hidden.to_owned(),
            };
            let was = old.get(name.as_str()).map(|was| text_of(was));
            let new = shown(new.clone(), "another value");
            self.changes.push(Change::new(
                format!("env {name}"),
                shown(was, "a value"),
                new,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::desired::Bits;

    fn drift(entry: &str, differences: &[(&str, Value, Value)]) -> EntryDrift {
        let entry = ManifestEntry::parse(entry).unwrap();
        let group = Group::new("a", entry.clone(), Bits::files([("a", "b")])).shown_env(["SHOWN"]);
        let differences: Vec<EntryDifference> = differences
            .iter()
            .map(|(path, was, value)| EntryDifference {
                path: path.split('/').map(str::to_owned).collect(),
                was: was.clone(),
                value: value.clone(),
            })
            .collect();
        EntryDrift::of(&group, &entry, &differences)
    }

    #[test]
    fn every_difference_is_shown_and_sorted_by_its_repair() {
        let drift = drift(
            "{env: {SHOWN: '1', SECRET: s}, metadata: {labels: {team: a}}, services: [db], stack: new, processes: [{type: worker, instances: 2}]}",
            &[
                ("env/SHOWN", json!("0"), json!("1")),
                ("env/SECRET", json!("hunter2"), json!("s")),
                ("env/MORE", json!("hunter2"), Value::Null),
                ("metadata/labels/team", Value::Null, json!("a")),
                ("metadata/labels/other", json!("b"), Value::Null),
                ("metadata/annotations/other", json!("b"), Value::Null),
                ("services/1", json!("old"), Value::Null),
                ("services/0", Value::Null, json!("db")),
                ("stack", json!("old"), json!("new")),
                ("processes/0/instances", json!(1), json!(2)),
                ("processes/0/timeout", json!(1), Value::Null),
                ("routes/0", json!({"route": "old.test"}), Value::Null),
                ("command", json!("run"), Value::Null),
            ],
        );
        let changes: Vec<String> = drift.changes.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(changes.join("\n"), @r"
        label team: none -> a
        label other: b -> none
        service: old -> none
        service: none -> db
        stack: old -> new
        instances of process worker: 1 -> 2
        command: run -> the droplet's
        env MORE: a value -> none
        env SECRET: a value -> another value
        env SHOWN: 0 -> 1
        ");
        let properties: Vec<&str> = drift.properties.iter().map(String::as_str).collect();
        assert_eq!(
            properties,
            ["command", "metadata", "processes", "services", "stack"]
        );
        assert_eq!(
            (drift.unbind, drift.labels),
            (vec!["old".to_owned()], vec!["other".to_owned()])
        );
        assert_eq!(drift.env["MORE"], None);
    }

    #[test]
    fn routes_and_labels_need_no_restart() {
        let entry = "{metadata: {labels: {a: b}}, routes: [{route: a.test, protocol: http2}]}";
        let calm = drift(
            entry,
            &[
                ("routes/0", Value::Null, json!({"route": "a.test"})),
                ("routes/0/protocol", json!("http1"), json!("http2")),
                ("metadata/labels/a", Value::Null, json!("b")),
            ],
        );
        assert!(!calm.needs_restart() && calm.is_for_manifest());
        assert!(drift("timeout: 2", &[("timeout", json!(1), json!(2))]).needs_restart());
    }
}

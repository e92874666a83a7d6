//! Compares an app with its manifest entry: reads the Cloud Controller's diff, or
//! compares with the app's own manifest.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::capi::model::{DiffEntry, DiffOp};
use crate::manifest::entry::{rate_text, scalar};
use crate::manifest::size;

/// A difference between an app and its entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct EntryDifference {
    /// The path, such as `env`, `A`. It begins with a property of the entry.
    pub(crate) path: Vec<String>,
    /// The app's value, or null.
    pub(crate) was: Value,
    /// The entry's value, or null.
    pub(crate) value: Value,
}

impl EntryDifference {
    fn new(path: &[&str], was: Value, value: Value) -> Option<Self> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        (!are_equivalent(&path, &was, &value)).then_some(Self { path, was, value })
    }

    /// A difference that the Cloud Controller reports, and the position of the app in the
    /// manifest. `None` if the values are equivalent, because the Cloud Controller
    /// compares texts and the order of lists.
    pub(crate) fn of(difference: DiffEntry) -> Option<(usize, Self)> {
        if difference.op == DiffOp::Move {
            return None;
        }
        let mut path = difference.path.into_iter();
        if path.next()? != "applications" {
            return None;
        }
        let at = path.next()?.parse().ok()?;
        let path: Vec<String> = path.filter(|part| !part.is_empty()).collect();
        if path.is_empty() {
            return None;
        }
        let (was, value) = (difference.was.into(), difference.value.into());
        (!are_equivalent(&path, &was, &value)).then_some((at, Self { path, was, value }))
    }
}

/// Whether two values are equivalent.
fn are_equivalent(path: &[String], was: &Value, value: &Value) -> bool {
    if was == value || (is_empty(was) && is_empty(value)) {
        return true;
    }
    let (Some(was), Some(value)) = (scalar(was), scalar(value)) else {
        return false;
    };
    let last = path.last().map(String::as_str);
    let form = |text: &str| match last {
        Some("memory" | "disk_quota") => size::megabytes(text).ok().map(|size| size.to_string()),
        Some("log-rate-limit-per-second") => size::log_rate_limit(text).ok().map(rate_text),
        _ => None,
    };
    was == value || (form(&was).is_some() && form(&was) == form(&value))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Compares an entry with the manifest of an app, as the Cloud Controller does.
pub(crate) fn compare(
    entry: &Map<String, Value>,
    current: &Map<String, Value>,
) -> Vec<EntryDifference> {
    let mut differences = Vec::new();
    for (key, value) in entry {
        let was = current.get(key).cloned().unwrap_or_default();
        match key.as_str() {
            "name" => {}
            "env" | "features" => compare_maps(&[key], &was, value, key == "env", &mut differences),
            "metadata" => {
                for part in ["labels", "annotations"] {
                    let was = was.get(part).cloned().unwrap_or_default();
                    let value = value.get(part).cloned().unwrap_or_default();
                    compare_maps(&[key, part], &was, &value, true, &mut differences);
                }
            }
            "services" => compare_lists(&[key], &was, value, &mut differences),
            "processes" => compare_named("processes", "type", &was, value, &mut differences),
            "sidecars" => compare_named("sidecars", "name", &was, value, &mut differences),
            "routes" => compare_named("routes", "route", &was, value, &mut differences),
            _ => differences.extend(EntryDifference::new(&[key], was, value.clone())),
        }
    }
    differences
}

/// Compares two maps. With `whole`, keys that only the app has are also differences.
fn compare_maps(
    path: &[&str],
    was: &Value,
    value: &Value,
    whole: bool,
    differences: &mut Vec<EntryDifference>,
) {
    let none = Map::new();
    let was = was.as_object().unwrap_or(&none);
    let value = value.as_object().unwrap_or(&none);
    let of = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
    let gone = was.keys().filter(|key| whole && !value.contains_key(*key));
    for key in gone.chain(value.keys()) {
        let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
        let (was, value) = (of(was, key), of(value, key));
        // An empty string is a value.
        if was != value {
            differences.extend(EntryDifference::new(&path, was, value));
        }
    }
}

/// Compares two lists of strings regardless of their order.
fn compare_lists(
    path: &[&str],
    was: &Value,
    value: &Value,
    differences: &mut Vec<EntryDifference>,
) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (was, value) = (list(was), list(value));
    let place = |at: usize| -> Vec<String> {
        let path = path.iter().map(|it| (*it).to_owned());
        path.chain([at.to_string()]).collect()
    };
    let gone = was.iter().enumerate();
    let gone = gone.filter(|(_, item)| !value.contains(item));
    differences.extend(gone.map(|(at, item)| EntryDifference {
        path: place(at),
        was: item.clone(),
        value: Value::Null,
    }));
    let new = value.iter().enumerate();
    let new = new.filter(|(_, item)| !was.contains(item));
    differences.extend(new.map(|(at, item)| EntryDifference {
        path: place(at),
        was: Value::Null,
        value: item.clone(),
    }));
}

/// Compares the items of a list in the entry. The app may have more items.
fn compare_named(
    key: &str,
    id: &str,
    was: &Value,
    value: &Value,
    differences: &mut Vec<EntryDifference>,
) {
    let none = Vec::new();
    let was = was.as_array().unwrap_or(&none);
    let same = |a: &Value, b: &Value| match (a.get(id).and_then(scalar), b.get(id).and_then(scalar))
    {
        (Some(a), Some(b)) => a == b || (id == "route" && a.eq_ignore_ascii_case(&b)),
        _ => false,
    };
    for (at, wanted) in value.as_array().unwrap_or(&none).iter().enumerate() {
        let at = at.to_string();
        let Some(found) = was.iter().find(|item| same(item, wanted)) else {
            differences.extend(EntryDifference::new(
                &[key, &at],
                Value::Null,
                wanted.clone(),
            ));
            continue;
        };
        let fields = wanted.as_object().into_iter().flatten();
        for (field, value) in fields.filter(|(field, value)| *field != id && !value.is_null()) {
            let was = found.get(field).cloned().unwrap_or_default();
            match (&was, value) {
                (Value::Object(_) | Value::Null, Value::Object(_)) => {
                    compare_maps(&[key, &at, field], &was, value, false, differences);
                }
                (Value::Array(_), Value::Array(_)) => {
                    compare_lists(&[key, &at, field], &was, value, differences);
                }
                _ => {
                    differences.extend(EntryDifference::new(&[key, &at, field], was, value.clone()))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::entry::{ManifestEntry, Purpose};

    fn read(difference: Value) -> Option<(usize, EntryDifference)> {
        let path = difference["path"].as_str().unwrap();
        let path = path.trim_start_matches('/').split('/');
        EntryDifference::of(DiffEntry {
            op: match difference["op"].as_str().unwrap() {
                "add" => DiffOp::Add,
                "remove" => DiffOp::Remove,
                "replace" => DiffOp::Replace,
                "move" => DiffOp::Move,
                other => panic!("{other}"),
            },
            path: path
                .map(|part| part.replace("~1", "/").replace("~0", "~"))
                .collect(),
            was: difference["was"].clone().into(),
            value: difference["value"].clone().into(),
        })
    }

    #[test]
    fn equal_values_are_no_difference() {
        for difference in [
            json!({"op": "replace", "path": "/applications/0/log-rate-limit-per-second", "was": -1, "value": "-1"}),
            json!({"op": "add", "path": "/applications/0/env", "value": {}}),
            json!({"op": "add", "path": "/applications/0/processes/0/command", "value": null}),
            json!({"op": "replace", "path": "/applications/0/instances", "was": 1, "value": "1"}),
            json!({"op": "replace", "path": "/applications/0/processes/0/memory", "was": "1024M", "value": "1G"}),
            json!({"op": "move", "path": "/applications/0/routes/1", "from": "/routes/0"}),
            json!({"op": "add", "path": "odd"}),
        ] {
            assert_eq!(read(difference.clone()), None, "{difference}");
        }
    }

    #[test]
    fn a_path_names_the_app_and_the_property() {
        let read = read(json!({"op": "remove", "path": "/applications/7/env/B~1C~0D", "was": 2}));
        let (at, difference) = read.unwrap();
        assert_eq!((at, difference.path.join(" ")), (7, "env B/C~D".to_owned()));
    }

    #[test]
    fn an_app_is_compared_with_its_entry() {
        let entry = ManifestEntry::parse(
            "{env: {A: new, SAME: x}, stack: s, services: [a, b], sidecars: [{name: s, command: c, process_types: [web], memory: 1G}], routes: [{route: a.test, protocol: http2}, {route: b.test}], features: {ssh: true}}",
        )
        .unwrap();
        let current = json!({
            "env": {"SAME": "x", "OLD": "y"},
            "stack": "t",
            "command": "run",
            "services": ["b", "c"],
            "sidecars": [{"name": "s", "command": "c", "process_types": ["web"], "memory": "1024M"}],
            "routes": [{"route": "a.test", "protocol": "http1"}, {"route": "c.test"}],
            "features": {"ssh": false, "other": true},
        });
        let differences = compare(
            &entry.application(Purpose::Compare),
            current.as_object().unwrap(),
        );
        let shown: Vec<String> = differences
            .iter()
            .map(|it| format!("{}: {} -> {}", it.path.join("/"), it.was, it.value))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        env/OLD: "y" -> null
        env/A: null -> "new"
        features/ssh: false -> true
        services/1: "c" -> null
        services/0: null -> "a"
        stack: "t" -> "s"
        command: "run" -> null
        routes/0/protocol: "http1" -> "http2"
        routes/1: null -> {"route":"b.test"}
        "#);
    }
}

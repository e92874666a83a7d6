//! The changes that a manifest would make, as JSON patch operations with the old values.

use serde_json::{Map, Value, json};

use super::processes::log_rate_word;
use crate::api::shared::byte_sizes;

/// The keys of an application that are compared.
const APP_KEYS: &[&str] = &[
    "buildpack",
    "buildpacks",
    "command",
    "disk-quota",
    "log-rate-limit-per-second",
    "docker",
    "env",
    "health-check-http-endpoint",
    "health-check-invocation-timeout",
    "health-check-interval",
    "health-check-timeout",
    "health-check-type",
    "readiness-health-check-http-endpoint",
    "readiness-health-check-type",
    "readiness-health-check-invocation-timeout",
    "readiness-health-check-interval",
    "instances",
    "metadata",
    "memory",
    "lifecycle",
    "name",
    "no-route",
    "processes",
    "random-route",
    "default-route",
    "routes",
    "services",
    "sidecars",
    "stack",
    "timeout",
    "cnb-credentials",
    "features",
];

/// The keys of a process that are compared.
const PROCESS_KEYS: &[&str] = &[
    "type",
    "command",
    "user",
    "disk_quota",
    "log-rate-limit-per-second",
    "health-check-http-endpoint",
    "health-check-invocation-timeout",
    "health-check-interval",
    "health-check-type",
    "readiness-health-check-http-endpoint",
    "readiness-health-check-invocation-timeout",
    "readiness-health-check-interval",
    "readiness-health-check-type",
    "instances",
    "memory",
    "timeout",
];

/// The fields that identify the entries of lists.
const IDENTIFIERS: &[(&str, &str)] = &[
    ("processes", "type"),
    ("routes", "route"),
    ("sidecars", "name"),
];

/// The keys of a sidecar that are compared.
const SIDECAR_KEYS: &[&str] = &["name", "command", "process_types", "memory"];
const SERVICE_KEYS: &[&str] = &["name", "parameters"];
const METADATA_KEYS: &[&str] = &["labels", "annotations"];

const SIZES: &[&str] = &["memory", "disk-quota", "disk_quota"];
const LOG_RATE: &str = "log-rate-limit-per-second";

/// Writes sizes as the Cloud Controller does, and drops keys that it does not
/// compare.
pub(crate) fn normalize_app(app: &mut Map<String, Value>) {
    normalize_sizes(app);
    for (list, keys) in [
        ("sidecars", SIDECAR_KEYS),
        ("processes", PROCESS_KEYS),
        ("services", SERVICE_KEYS),
    ] {
        let Some(Value::Array(entries)) = app.get_mut(list) else {
            continue;
        };
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            entry.retain(|key, _| keys.contains(&key.as_str()));
            normalize_sizes(entry);
        }
        if *entries == [json!({})] {
            app.shift_remove(list);
        }
    }
    if let Some(Value::Object(metadata)) = app.get_mut("metadata") {
        metadata.retain(|key, _| METADATA_KEYS.contains(&key.as_str()));
        if metadata.is_empty() {
            app.shift_remove("metadata");
        }
    }
}

fn normalize_sizes(fields: &mut Map<String, Value>) {
    for key in SIZES {
        if let Some(size) = fields.get_mut(*key)
            && let Ok(Some(megabytes)) = byte_sizes::megabytes(size)
        {
            *size = json!(format!("{megabytes}M"));
        }
    }
    if let Some(rate) = fields.get_mut(LOG_RATE) {
        // As in the Cloud Controller, the value is a string, which differs from the app's
        // number.
        if let Some(word) = log_rate_word(rate) {
            *rate = json!(word.to_string());
        } else if let Ok(Some(bytes)) = byte_sizes::bytes(rate) {
            *rate = json!(byte_sizes::human(bytes));
        }
    }
}

/// The changes of an application to the existing app with its name. Like the Cloud
/// Controller, this compares memory and disk only in `processes`.
pub(crate) fn diff_app(
    index: usize,
    wanted: Map<String, Value>,
    existing: Option<Map<String, Value>>,
) -> Vec<Value> {
    let existing = existing.map(with_web_process).unwrap_or_default();
    let mut changes = Vec::new();
    for (key, value) in wanted {
        if !APP_KEYS.contains(&key.as_str()) || SIZES.contains(&key.as_str()) {
            continue;
        }
        let path = format!("/applications/{index}/{}", escape(&key));
        let was = existing.get(&key).cloned().unwrap_or_default();
        diff_value(&path, &prune(&key, was, &value), &value, &mut changes);
    }
    changes
}

/// Copies the sizes of the web process to the top level of an application.
fn with_web_process(mut app: Map<String, Value>) -> Map<String, Value> {
    let processes = app.get("processes").and_then(Value::as_array);
    let web = processes.and_then(|processes| processes.iter().find(|p| p["type"] == "web"));
    if let Some(Value::Object(web)) = web.cloned() {
        app.extend(web);
    }
    app
}

/// Drops the parts of an existing value that the manifest does not mention.
fn prune(key: &str, existing: Value, wanted: &Value) -> Value {
    let identifier = IDENTIFIERS
        .iter()
        .find(|(list, _)| *list == key)
        .map(|(_, id)| *id);
    match (identifier, existing, wanted) {
        (Some(id), Value::Array(mut entries), Value::Array(wanted)) => {
            let mut index = 0;
            // The entry after a dropped one is skipped, as the Cloud Controller does.
            while index < entries.len() {
                let own = entries[index].get(id);
                match wanted.iter().find(|other| other.get(id) == own) {
                    Some(counterpart) => {
                        entries[index] = prune_fields(entries[index].take(), counterpart);
                    }
                    None => {
                        entries.remove(index);
                    }
                }
                index += 1;
            }
            Value::Array(entries)
        }
        (None, existing, wanted) if key == "features" => prune_fields(existing, wanted),
        (_, existing, _) => existing,
    }
}

fn prune_fields(mut entry: Value, wanted: &Value) -> Value {
    if let Value::Object(fields) = &mut entry {
        fields.retain(|key, _| wanted.get(key).is_some_and(|value| !value.is_null()));
    }
    entry
}

fn diff_value(path: &str, was: &Value, wanted: &Value, changes: &mut Vec<Value>) {
    match (was, wanted) {
        _ if was == wanted => {}
        (Value::Null, _) => changes.push(json!({"op": "add", "path": path, "value": wanted})),
        (Value::Object(was), Value::Object(wanted)) => diff_objects(path, was, wanted, changes),
        (Value::Array(was), Value::Array(wanted)) => diff_arrays(path, was, wanted, changes),
        _ => changes.push(json!({"op": "replace", "path": path, "was": was, "value": wanted})),
    }
}

fn diff_objects(
    path: &str,
    was: &Map<String, Value>,
    wanted: &Map<String, Value>,
    changes: &mut Vec<Value>,
) {
    let below = |key: &str| format!("{path}/{}", escape(key));
    for (key, value) in was.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        changes.push(json!({"op": "remove", "path": below(key), "was": value}));
    }
    for (key, value) in wanted.iter().filter(|(key, _)| !was.contains_key(*key)) {
        changes.push(json!({"op": "add", "path": below(key), "value": value}));
    }
    for (key, before) in was {
        if let Some(value) = wanted.get(key) {
            diff_value(&below(key), before, value, changes);
        }
    }
}

/// Compares two lists. Entries are paired by similarity, as the Cloud Controller's
/// library does, and the others are removed or added.
fn diff_arrays(path: &str, was: &[Value], wanted: &[Value], changes: &mut Vec<Value>) {
    if wanted.is_empty() {
        // A removal changes the positions of later entries.
        let removed = was.iter();
        let removed =
            removed.map(|it| json!({"op": "remove", "path": format!("{path}/0"), "was": it}));
        changes.extend(removed);
        return;
    }
    let mut pairing = Pairing::of(was, wanted);
    for &(before, after) in &pairing.pairs {
        let path = format!("{path}/{before}");
        diff_value(&path, &was[before], &wanted[after], changes);
    }
    pairing.removed.sort_unstable_by(|a, b| b.cmp(a));
    pairing.added.sort_unstable();
    for &index in &pairing.removed {
        let path = format!("{path}/{index}");
        changes.push(json!({"op": "remove", "path": path, "was": was[index]}));
    }
    for (from, to) in pairing.moves() {
        // Unlike `path`, `from` is relative to the list.
        let (from, path) = (format!("/{from}"), format!("{path}/{to}"));
        changes.push(json!({"op": "move", "from": from, "path": path}));
    }
    for &index in &pairing.added {
        let path = format!("{path}/{index}");
        changes.push(json!({"op": "add", "path": path, "value": wanted[index]}));
    }
}

/// The pairs of similar entries of two lists. The other entries are removed or
/// added.
#[derive(Debug)]
struct Pairing {
    pairs: Vec<(usize, usize)>,
    removed: Vec<usize>,
    added: Vec<usize>,
}

impl Pairing {
    /// Pairs the most similar entries first.
    fn of(was: &[Value], wanted: &[Value]) -> Self {
        let alike = |before: usize, after: usize| similarity(&was[before], &wanted[after]);
        let candidates = |before: usize| {
            let mut candidates: Vec<usize> = (0..wanted.len()).collect();
            candidates.sort_by(|&a, &b| alike(before, b).total_cmp(&alike(before, a)));
            candidates
        };
        let mut rows: Vec<(usize, Vec<usize>)> = (0..was.len())
            .map(|before| (before, candidates(before)))
            .collect();
        let best = |(before, candidates): &(usize, Vec<usize>)| {
            candidates
                .first()
                .map_or(0.0, |&after| alike(*before, after))
        };
        rows.sort_by(|a, b| best(b).total_cmp(&best(a)));
        let mut taken = vec![false; wanted.len()];
        let mut pairing = Self {
            pairs: Vec::new(),
            removed: Vec::new(),
            added: Vec::new(),
        };
        for (before, candidates) in rows {
            match candidates.into_iter().find(|&after| !taken[after]) {
                None => pairing.removed.push(before),
                Some(after) => {
                    taken[after] = true;
                    // Entries with little in common are not paired.
                    if alike(before, after) >= 0.5 {
                        pairing.pairs.push((before, after));
                    } else {
                        pairing.removed.push(before);
                        pairing.added.push(after);
                    }
                }
            }
        }
        let free = taken.iter().enumerate().filter(|(_, taken)| !**taken);
        pairing.added.extend(free.map(|(after, _)| after));
        pairing
    }

    /// The moves between the removals and the additions, in order.
    fn moves(&self) -> Vec<(usize, usize)> {
        let without = |index: usize, gone: &[usize]| {
            gone.iter().fold(index, |index, &gone| {
                index.saturating_sub(usize::from(index >= gone))
            })
        };
        let mut targets: Vec<(usize, usize)> = self
            .pairs
            .iter()
            .map(|&(before, after)| (without(before, &self.removed), without(after, &self.added)))
            .collect();
        let mut moves = Vec::new();
        while !targets.is_empty() {
            let mut cycle = take_cycle(&mut targets);
            let length = cycle.len();
            let mut shifts: Vec<(usize, usize)> = Vec::new();
            for at in 0..length {
                let next = (at + 1) % length;
                if cycle[at] != cycle[next] {
                    moves.push((cycle[at], cycle[next]));
                }
                shifts.push((cycle[at], cycle[next]));
                for later in cycle.iter_mut().skip(at + 1) {
                    *later = shifts.iter().fold(*later, |index, &(from, to)| {
                        let index = index.saturating_sub(usize::from(index >= from));
                        index + usize::from(index >= to)
                    });
                }
            }
        }
        moves
    }
}

/// Removes a cycle of moves from `targets`. In a cycle, each position moves to the next
/// one, and the last to the first.
fn take_cycle(targets: &mut Vec<(usize, usize)>) -> Vec<usize> {
    let (first, mut target) = targets.remove(0);
    let mut cycle = vec![first];
    while target != first {
        let Some(at) = targets.iter().position(|(origin, _)| *origin == target) else {
            break;
        };
        cycle.push(target);
        target = targets.remove(at).1;
    }
    cycle
}

/// The similarity of two entries, from 0 to 1. For entries with a type or a name, it is
/// either 0 or 1.
fn similarity(was: &Value, wanted: &Value) -> f64 {
    match (was, wanted) {
        (Value::Object(was), Value::Object(wanted)) => {
            for id in ["type", "name"] {
                if let (Some(own), Some(other)) = (was.get(id), wanted.get(id)) {
                    return f64::from(u8::from(own == other));
                }
            }
            if was.is_empty() {
                return f64::from(u8::from(wanted.is_empty()));
            }
            let of_value = |(key, value): (&String, &Value)| {
                similarity(value, wanted.get(key).unwrap_or(&Value::Null))
            };
            let of_values: f64 = was.iter().map(of_value).sum();
            let same_keys =
                was.len() == wanted.len() && was.keys().all(|key| wanted.contains_key(key));
            let count = u32::try_from(was.len()).unwrap_or(u32::MAX);
            (of_values + f64::from(u8::from(same_keys))) / (f64::from(count) + 1.0)
        }
        (Value::Array(was), Value::Array(wanted)) => {
            if was.is_empty() {
                return 1.0;
            }
            let best = |value: &Value| {
                let others = wanted.iter().map(|other| similarity(value, other));
                others.fold(0.0, f64::max)
            };
            let count = u32::try_from(was.len()).unwrap_or(u32::MAX);
            was.iter().map(best).sum::<f64>() / f64::from(count)
        }
        _ => f64::from(u8::from(was == wanted)),
    }
}

/// Escapes a key for a JSON pointer.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn the_diff_of_a_new_app_only_adds() {
        let wanted = object(json!({"name": "a", "memory": "1G", "unheard-of": 1}));
        assert_eq!(
            diff_app(0, wanted, None),
            [json!({"op": "add", "path": "/applications/0/name", "value": "a"})]
        );
    }

    #[test]
    fn only_properties_in_the_manifest_are_compared() {
        let existing = object(json!({
            "name": "a",
            "env": {"OLD": "1", "SAME": "x", "NEW/": "1"},
            "processes": [
                {"type": "web", "instances": 1, "memory": "1024M", "disk_quota": "1024M"},
                {"type": "worker", "instances": 0},
            ],
            "routes": [{"route": "a.example.com", "protocol": "http1"}, {"route": "b.example.com"}],
        }));
        let mut wanted = object(json!({
            "name": "a",
            "instances": 2,
            "env": {"SAME": "x", "NEW/": "2"},
            "processes": [{"type": "web", "memory": "2G", "instances": 2}],
            "routes": [{"route": "a.example.com"}, {"route": "c.example.com"}],
        }));
        normalize_app(&mut wanted);
        let mut changes = diff_app(3, wanted, Some(existing));
        changes.sort_by_key(|change| change["path"].to_string());
        assert_eq!(
            changes,
            [
                json!({"op": "replace", "path": "/applications/3/env/NEW~1", "was": "1", "value": "2"}),
                json!({"op": "remove", "path": "/applications/3/env/OLD", "was": "1"}),
                json!({"op": "replace", "path": "/applications/3/instances", "was": 1, "value": 2}),
                json!({"op": "replace", "path": "/applications/3/processes/0/instances", "was": 1, "value": 2}),
                json!({"op": "replace", "path": "/applications/3/processes/0/memory", "was": "1024M", "value": "2048M"}),
                json!({"op": "add", "path": "/applications/3/routes/1", "value": {"route": "c.example.com"}}),
            ]
        );
    }
}

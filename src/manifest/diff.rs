//! The difference between the current state of apps and a manifest, and its
//! presentation: the whole manifest, with `+` and `-` in front of changed lines.
//!
//! The Cloud Controller computes the difference. For foundations that cannot,
//! [`ManifestDiff::between`] compares the apps' current manifests.

use std::fmt;

use serde::Serialize;

use super::yaml::{Map, Value};
use super::{Manifest, size};

const REDACTED: &str = "<redacted>";

/// A place in a manifest: keys and positions, such as `applications`, `0`, `memory`.
type Path = Vec<String>;

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Add(Value),
    Replace { was: Value, now: Value },
    Remove { was: Value },
}

/// The changes that applying a manifest makes to the properties of apps.
#[derive(Clone, Default, PartialEq)]
pub struct ManifestDiff(Vec<(Path, Change)>);

impl fmt::Debug for ManifestDiff {
    /// Shows the changed places: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.0.iter().map(|(path, _)| path.join("/"));
        f.debug_tuple("ManifestDiff")
            .field(&places.collect::<Vec<_>>())
            .finish()
    }
}

/// A line of a presented [`ManifestDiff`]. Displays as `+ memory: 1G`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiffLine {
    /// Whether the line is added, removed or unchanged.
    pub mark: DiffMark,
    /// The line, in YAML, without mark and line break.
    pub text: String,
}

/// What happens to a line of a presented [`ManifestDiff`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiffMark {
    /// The line is unchanged.
    Same,
    /// The line is added.
    Added,
    /// The line is removed.
    Removed,
}

impl fmt::Display for DiffLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = match self.mark {
            DiffMark::Same => ' ',
            DiffMark::Added => '+',
            DiffMark::Removed => '-',
        };
        write!(f, "{gutter} {}", self.text)
    }
}

/// Differences as the Cloud Controller reports them.
impl ManifestDiff {
    pub(crate) fn add(&mut self, path: Path, value: Value) {
        self.0.push((path, Change::Add(value)));
    }

    pub(crate) fn replace(&mut self, path: Path, was: Value, now: Value) {
        self.0.push((path, Change::Replace { was, now }));
    }

    pub(crate) fn remove(&mut self, path: Path, was: Value) {
        self.0.push((path, Change::Remove { was }));
    }
}

impl ManifestDiff {
    /// Compares each app of a manifest with the Cloud Controller's manifest of that
    /// app, which is `None` for an app that does not exist.
    pub(crate) fn between(desired: &Value, current: &[Option<Value>]) -> Self {
        let mut diff = Self::default();
        let apps = desired.as_map().and_then(|root| root.get("applications"));
        let apps = apps.and_then(Value::as_list).unwrap_or_default();
        for (at, app) in apps.iter().enumerate() {
            let path = vec!["applications".to_owned(), at.to_string()];
            match current.get(at).and_then(Option::as_ref) {
                None => diff.0.push((path, Change::Add(app.clone()))),
                Some(current) => diff.compare(app, &flattened(current), &path),
            }
        }
        diff
    }

    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The positions in the manifest of the apps that do not exist yet.
    pub(crate) fn new_apps(&self) -> Vec<usize> {
        let added = self.0.iter().filter_map(|(path, change)| {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            match (parts.as_slice(), change) {
                (["applications", at] | ["applications", at, "name"], Change::Add(_)) => {
                    at.parse().ok()
                }
                _ => None,
            }
        });
        added.collect()
    }

    fn compare(&mut self, desired: &Value, current: &Value, path: &Path) {
        match (desired, current) {
            (Value::Map(desired), Value::Map(current)) => {
                for (key, value) in desired.iter().filter(|(key, _)| is_compared(key)) {
                    let key = key.scalar_text().unwrap_or_default();
                    let here = below(path, &key);
                    match current_of(current, &key) {
                        None => self.0.push((here, Change::Add(value.clone()))),
                        Some(current) => self.compare(value, current, &here),
                    }
                }
            }
            (Value::List(desired), Value::List(current)) if desired.iter().any(is_named) => {
                for (at, item) in desired.iter().enumerate() {
                    let here = below(path, &at.to_string());
                    match current.iter().find(|it| name_of(it) == name_of(item)) {
                        None => self.0.push((here, Change::Add(item.clone()))),
                        Some(current) => self.compare(item, current, &here),
                    }
                }
            }
            (desired, current) if mean_the_same(desired, current) => {}
            (desired, current) => {
                let (was, now) = (current.clone(), desired.clone());
                self.0.push((path.clone(), Change::Replace { was, now }));
            }
        }
    }

    fn at(&self, path: &Path) -> Option<&Change> {
        let found = self.0.iter().find(|(at, _)| at == path);
        found.map(|(_, change)| change)
    }
}

fn below(path: &Path, part: &str) -> Path {
    path.iter().cloned().chain([part.to_owned()]).collect()
}

/// The first app of the Cloud Controller's manifest, with the properties of its
/// web process as its own, since manifests can have them there.
fn flattened(current: &Value) -> Value {
    let apps = current.as_map().and_then(|root| root.get("applications"));
    let app = apps.and_then(Value::as_list).and_then(<[Value]>::first);
    let mut app = app.and_then(Value::as_map).cloned().unwrap_or_default();
    let processes = app.get("processes").and_then(Value::as_list);
    let web = processes.into_iter().flatten().filter_map(Value::as_map);
    let web = web
        .clone()
        .find(|process| process.get("type") == Some(&"web".into()));
    for (key, value) in web.cloned().unwrap_or_default() {
        if key.as_text().is_some_and(|key| !app.contains(key)) {
            app.set(key, value);
        }
    }
    Value::Map(app)
}

/// Whether a property describes the app, and not what to do with it.
fn is_compared(key: &Value) -> bool {
    const INSTRUCTIONS: [&str; 4] = ["path", "default-route", "random-route", "no-route"];
    !key.as_text().is_some_and(|key| INSTRUCTIONS.contains(&key))
}

fn current_of<'a>(current: &'a Map, key: &str) -> Option<&'a Value> {
    current.get(key).or_else(|| match key {
        "disk-quota" => current.get("disk_quota"),
        "disk_quota" => current.get("disk-quota"),
        _ => None,
    })
}

/// What identifies an item in a list.
fn name_of(item: &Value) -> Option<&Value> {
    match item {
        Value::Map(map) => ["type", "route", "name"]
            .iter()
            .find_map(|key| map.get(key)),
        scalar => Some(scalar),
    }
}

fn is_named(item: &Value) -> bool {
    item.as_map().is_some() && name_of(item).is_some()
}

fn mean_the_same(desired: &Value, current: &Value) -> bool {
    let size = |value: &Value| size::megabytes(value.as_text()?).ok();
    desired == current
        || (desired.scalar_text().is_some() && desired.scalar_text() == current.scalar_text())
        || (size(desired).is_some() && size(desired) == size(current))
}

impl ManifestDiff {
    /// The whole manifest with the changes in it, line by line. Passwords and
    /// credentials are replaced by `<redacted>`, and with `redact_env` also the
    /// values of environment variables.
    pub fn lines(&self, manifest: &Manifest, redact_env: bool) -> Vec<DiffLine> {
        lines(&manifest.to_value(), self, redact_env)
    }
}

fn lines(manifest: &Value, diff: &ManifestDiff, redact_env: bool) -> Vec<DiffLine> {
    let hidden = |path: &Path, change: &Change| {
        let hide = |value: &Value| hide(value, path, redact_env);
        let change = match change {
            Change::Add(value) => Change::Add(hide(value)),
            Change::Replace { was, now } => Change::Replace {
                was: hide(was),
                now: hide(now),
            },
            Change::Remove { was } => Change::Remove { was: hide(was) },
        };
        (path.clone(), change)
    };
    let changes = diff.0.iter().map(|(path, change)| hidden(path, change));
    let diff = ManifestDiff(changes.collect());
    let mut shown = Shown {
        diff: &diff,
        lines: Vec::new(),
    };
    shown.push(DiffMark::Same, "---", "", "");
    let manifest = hide(manifest, &Vec::new(), redact_env);
    shown.value(None, &manifest, &Vec::new(), "", "");
    shown.lines
}

/// Redacts the secrets in a value, depending on its place.
fn hide(value: &Value, path: &Path, redact_env: bool) -> Value {
    // At any depth, since anchors can be anywhere.
    let within = |key: &str| path.iter().position(|part| part == key);
    let is_below = |key: &str| within(key).is_some_and(|at| path.len() > at + 1);
    let is_password = path.ends_with(&["docker".to_owned(), "password".to_owned()]);
    if is_password || within("cnb-credentials").is_some() || (redact_env && is_below("env")) {
        return REDACTED.into();
    }
    match value {
        Value::Map(map) => {
            let pairs = map.iter().map(|(key, value)| {
                let here = below(path, &key.scalar_text().unwrap_or_default());
                (key.clone(), hide(value, &here, redact_env))
            });
            Value::Map(pairs.collect())
        }
        Value::List(list) => {
            let items = list.iter().enumerate();
            let items = items.map(|(at, it)| hide(it, &below(path, &at.to_string()), redact_env));
            Value::List(items.collect())
        }
        other => other.clone(),
    }
}

struct Shown<'a> {
    diff: &'a ManifestDiff,
    lines: Vec<DiffLine>,
}

impl Shown<'_> {
    /// Adds a value with its key, or as an item of a list. `first` precedes the first
    /// line, `rest` the others.
    fn value(&mut self, key: Option<&Value>, value: &Value, path: &Path, first: &str, rest: &str) {
        match self.diff.at(path).cloned() {
            Some(Change::Add(value)) => self.entry(DiffMark::Added, key, value, first, rest),
            Some(Change::Replace { was, now }) => {
                self.entry(DiffMark::Removed, key, was, first, rest);
                self.entry(DiffMark::Added, key, now, first, rest);
            }
            Some(Change::Remove { was }) => self.entry(DiffMark::Removed, key, was, first, rest),
            None => match value {
                Value::Map(map) if !map.is_empty() => self.map(key, map, path, first, rest),
                Value::List(list) if !list.is_empty() => self.list(key, list, path, first, rest),
                _ => self.entry(DiffMark::Same, key, value.clone(), first, rest),
            },
        }
    }

    fn map(&mut self, key: Option<&Value>, map: &Map, path: &Path, first: &str, rest: &str) {
        let inner = match key {
            Some(_) => format!("{rest}  "),
            None => rest.to_owned(),
        };
        self.header(key, first, rest);
        let mut first = if key.is_some() { inner.as_str() } else { first };
        for (key, value) in map.iter() {
            let here = below(path, &key.scalar_text().unwrap_or_default());
            self.value(Some(key), value, &here, first, &inner);
            first = &inner;
        }
        let there = |part: &str| {
            map.iter()
                .any(|(key, _)| key.scalar_text().as_deref() == Some(part))
        };
        self.removed(path, &inner, there);
    }

    fn list(&mut self, key: Option<&Value>, list: &[Value], path: &Path, first: &str, rest: &str) {
        self.header(key, first, rest);
        let (item, inner) = (format!("{rest}- "), format!("{rest}  "));
        for (at, value) in list.iter().enumerate() {
            self.value(None, value, &below(path, &at.to_string()), &item, &inner);
        }
        let there = |part: &str| part.parse::<usize>().is_ok_and(|at| at < list.len());
        self.removed(path, rest, there);
    }

    fn header(&mut self, key: Option<&Value>, first: &str, rest: &str) {
        if let Some(key) = key {
            self.push(DiffMark::Same, &format!("{key}:"), first, rest);
        }
    }

    /// Adds removed values below `path` that are not in the manifest.
    fn removed(&mut self, path: &Path, indent: &str, is_there: impl Fn(&str) -> bool) {
        let diff = self.diff;
        for (at, change) in &diff.0 {
            let (Change::Remove { was }, Some([first, more @ ..])) =
                (change, at.strip_prefix(path.as_slice()))
            else {
                continue;
            };
            if is_there(first) {
                continue;
            }
            let was = more.iter().rev().fold(was.clone(), |was, part| {
                Value::Map(Map::from_iter([(part.as_str().into(), was)]))
            });
            if first.parse::<usize>().is_ok() {
                let (item, inner) = (format!("{indent}- "), format!("{indent}  "));
                self.entry(DiffMark::Removed, None, was, &item, &inner);
            } else {
                let key = Value::from(first.as_str());
                self.entry(DiffMark::Removed, Some(&key), was, indent, indent);
            }
        }
    }

    fn entry(
        &mut self,
        mark: DiffMark,
        key: Option<&Value>,
        value: Value,
        first: &str,
        rest: &str,
    ) {
        let value = match key {
            Some(key) => Value::Map(Map::from_iter([(key.clone(), value)])),
            None => value,
        };
        self.push(mark, value.render().trim_end(), first, rest);
    }

    fn push(&mut self, mark: DiffMark, text: &str, first: &str, rest: &str) {
        for (at, line) in text.lines().enumerate() {
            let indent = if at == 0 { first } else { rest };
            self.lines.push(DiffLine {
                mark,
                text: format!("{indent}{line}"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MANIFEST: &str = "applications:\n- name: dora\n  instances: 3\n  memory: 64M\n  env:\n    A: new\n    SAME: x\n  routes:\n  - route: dora.example.com\n  - route: other.example.com\n  processes:\n  - type: worker\n    memory: 1G\n- name: fresh\n  env: {B: c}\n";

    fn shown(diff: &ManifestDiff, redact_env: bool) -> String {
        let manifest = Value::parse(MANIFEST).unwrap();
        let lines = lines(&manifest, diff, redact_env);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn of_server(entries: serde_json::Value) -> ManifestDiff {
        let mut diff = ManifestDiff::default();
        for entry in entries.as_array().unwrap() {
            let path = entry["path"].as_str().unwrap();
            let path = path.trim_start_matches('/').split('/');
            let path = path.map(|part| part.replace("~1", "/")).collect();
            let (was, now) = (Value::from(&entry["was"]), Value::from(&entry["value"]));
            match entry["op"].as_str().unwrap() {
                "add" => diff.add(path, now),
                "replace" => diff.replace(path, was, now),
                "remove" => diff.remove(path, was),
                other => panic!("{other}"),
            }
        }
        diff
    }

    fn differences() -> ManifestDiff {
        of_server(json!([
            {"op": "replace", "path": "/applications/0/instances", "was": 2, "value": 3},
            {"op": "add", "path": "/applications/0/env/A", "value": "new"},
            {"op": "remove", "path": "/applications/0/env/OLD", "was": "gone"},
            {"op": "add", "path": "/applications/0/routes/1", "value": {"route": "other.example.com"}},
            {"op": "remove", "path": "/applications/0/routes/2", "was": {"route": "old.example.com", "protocol": "http1"}},
            {"op": "replace", "path": "/applications/0/processes/0/memory", "was": "512M", "value": "1G"},
            {"op": "remove", "path": "/applications/0/metadata/labels/x~1y", "was": "z"},
            {"op": "add", "path": "/applications/1", "value": {"name": "fresh", "env": {"B": "c"}}},
        ]))
    }

    #[test]
    fn changes_are_shown_in_the_whole_manifest() {
        insta::assert_snapshot!(shown(&differences(), false));
    }

    #[test]
    fn new_apps_are_found() {
        assert_eq!(differences().new_apps(), [1]);
        let by_name = json!([{"op": "add", "path": "/applications/0/name", "value": "dora"}]);
        assert_eq!(of_server(by_name).new_apps(), [0]);
    }

    #[test]
    fn environment_values_can_be_redacted() {
        insta::assert_snapshot!(shown(&differences(), true));
    }

    #[test]
    fn without_changes_the_manifest_is_shown() {
        let shown = shown(&ManifestDiff::default(), false);
        assert!(shown.lines().all(|line| line.starts_with("  ")), "{shown}");
        let plain: String = shown
            .lines()
            .map(|line| format!("{}\n", &line[2..]))
            .collect();
        assert_eq!(Value::parse(&plain), Value::parse(MANIFEST));
    }

    #[test]
    fn secrets_are_always_redacted() {
        let manifest = "applications: [{docker: {image: i, password: hunter2}, cnb-credentials: {r: hunter2}}]\nanchors: {env: {A: hunter2}}";
        let lines = lines(
            &Value::parse(manifest).unwrap(),
            &ManifestDiff::default(),
            true,
        );
        assert!(lines.iter().all(|line| !line.text.contains("hunter2")));
    }

    #[test]
    fn apps_are_compared_without_the_cloud_controller() {
        let current = Value::parse(
            "applications: [{name: dora, env: {SAME: x, MORE: y}, routes: [{route: dora.example.com, protocol: http1}], processes: [{type: web, instances: 2, memory: 64M}, {type: worker, memory: 1024M}]}]",
        )
        .unwrap();
        let desired = Value::parse(MANIFEST).unwrap();
        let diff = ManifestDiff::between(&desired, &[Some(current), None]);
        assert_eq!(
            diff,
            of_server(json!([
                {"op": "replace", "path": "/applications/0/instances", "was": 2, "value": 3},
                {"op": "add", "path": "/applications/0/env/A", "value": "new"},
                {"op": "add", "path": "/applications/0/routes/1", "value": {"route": "other.example.com"}},
                {"op": "add", "path": "/applications/1", "value": {"name": "fresh", "env": {"B": "c"}}},
            ]))
        );
    }
}

//! The difference between an app as it is and as a manifest wants it, and how
//! it is shown: the whole manifest, with a gutter for what is added and removed.
//!
//! Cloud Controller tells the difference (`POST /v3/spaces/:guid/manifest_diff`);
//! where it cannot, its manifests of the apps (`GET /v3/apps/:guid/manifest`)
//! are compared.

use std::fmt;

use serde::Deserialize;

use super::size;
use super::yaml::{Map, Value};

const REDACTED: &str = "<redacted>";

/// Where in a manifest: keys and positions, such as `applications`, `0`, `memory`.
type Path = Vec<String>;

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Add(Value),
    Replace { was: Value, now: Value },
    Remove { was: Value },
}

/// What applying a manifest changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Diff(Vec<(Path, Change)>);

/// Cloud Controller's answer.
#[derive(Debug, Deserialize)]
pub(crate) struct DiffAnswer {
    diff: Vec<DiffEntry>,
}

#[derive(Debug, Deserialize)]
struct DiffEntry {
    op: String,
    path: String,
    #[serde(default)]
    value: serde_json::Value,
    #[serde(default)]
    was: serde_json::Value,
}

/// A line of a shown difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mark: Mark,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Same,
    Added,
    Removed,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = match self.mark {
            Mark::Same => ' ',
            Mark::Added => '+',
            Mark::Removed => '-',
        };
        write!(f, "{gutter} {}", self.text)
    }
}

impl From<DiffAnswer> for Diff {
    fn from(answer: DiffAnswer) -> Self {
        let change = |entry: DiffEntry| {
            let (value, was) = (Value::from(&entry.value), Value::from(&entry.was));
            let change = match entry.op.as_str() {
                "remove" => Change::Remove { was },
                "replace" => Change::Replace { was, now: value },
                _ => Change::Add(value),
            };
            (path_of(&entry.path), change)
        };
        Self(answer.diff.into_iter().map(change).collect())
    }
}

/// The parts of a JSON pointer.
fn path_of(pointer: &str) -> Path {
    let parts = pointer.trim_start_matches('/').split('/');
    parts
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}

impl Diff {
    /// Compares each app of a manifest with Cloud Controller's manifest of it;
    /// none where the app is not there.
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

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The positions of the apps that are not there yet.
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
                for (key, value) in desired.iter().filter(|(key, _)| is_told(key)) {
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

/// The first app of Cloud Controller's manifest, with its web process's
/// properties as its own: a manifest may have them there.
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

/// Properties that tell what to do, not how the app is.
fn is_told(key: &Value) -> bool {
    const DEEDS: [&str; 4] = ["path", "default-route", "random-route", "no-route"];
    !key.as_text().is_some_and(|key| DEEDS.contains(&key))
}

fn current_of<'a>(current: &'a Map, key: &str) -> Option<&'a Value> {
    current.get(key).or_else(|| match key {
        "disk-quota" => current.get("disk_quota"),
        "disk_quota" => current.get("disk-quota"),
        _ => None,
    })
}

/// What tells an item of a list from the others.
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

/// The manifest with what changes in it. Secrets are hidden, and with
/// `redact_env` the values of environment variables too.
pub(crate) fn lines(manifest: &Value, diff: &Diff, redact_env: bool) -> Vec<Line> {
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
    let diff = Diff(changes.collect());
    let mut shown = Shown {
        diff: &diff,
        lines: Vec::new(),
    };
    shown.push(Mark::Same, "---", "", "");
    let manifest = hide(manifest, &Vec::new(), redact_env);
    shown.value(None, &manifest, &Vec::new(), "", "");
    shown.lines
}

/// A value without the secrets that it holds, by where it stands.
fn hide(value: &Value, path: &Path, redact_env: bool) -> Value {
    // At any depth: anchors may stand anywhere.
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
    diff: &'a Diff,
    lines: Vec<Line>,
}

impl Shown<'_> {
    /// A value below its key, or as an item of a list. The first line begins
    /// with `first`, the others with `rest`.
    fn value(&mut self, key: Option<&Value>, value: &Value, path: &Path, first: &str, rest: &str) {
        match self.diff.at(path).cloned() {
            Some(Change::Add(value)) => self.entry(Mark::Added, key, value, first, rest),
            Some(Change::Replace { was, now }) => {
                self.entry(Mark::Removed, key, was, first, rest);
                self.entry(Mark::Added, key, now, first, rest);
            }
            Some(Change::Remove { was }) => self.entry(Mark::Removed, key, was, first, rest),
            None => match value {
                Value::Map(map) if !map.is_empty() => self.map(key, map, path, first, rest),
                Value::List(list) if !list.is_empty() => self.list(key, list, path, first, rest),
                _ => self.entry(Mark::Same, key, value.clone(), first, rest),
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
            self.push(Mark::Same, &format!("{key}:"), first, rest);
        }
    }

    /// What is removed below `path`, and stands nowhere in the manifest.
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
                self.entry(Mark::Removed, None, was, &item, &inner);
            } else {
                let key = Value::from(first.as_str());
                self.entry(Mark::Removed, Some(&key), was, indent, indent);
            }
        }
    }

    fn entry(&mut self, mark: Mark, key: Option<&Value>, value: Value, first: &str, rest: &str) {
        let value = match key {
            Some(key) => Value::Map(Map::from_iter([(key.clone(), value)])),
            None => value,
        };
        self.push(mark, value.render().trim_end(), first, rest);
    }

    fn push(&mut self, mark: Mark, text: &str, first: &str, rest: &str) {
        for (at, line) in text.lines().enumerate() {
            let indent = if at == 0 { first } else { rest };
            self.lines.push(Line {
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

    fn shown(diff: &Diff, redact_env: bool) -> String {
        let manifest = Value::parse(MANIFEST).unwrap();
        let lines = lines(&manifest, diff, redact_env);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn of_server(entries: serde_json::Value) -> Diff {
        let answer: DiffAnswer = serde_json::from_value(json!({"diff": entries})).unwrap();
        answer.into()
    }

    fn differences() -> Diff {
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
    fn a_difference_is_shown_in_the_whole_manifest() {
        insta::assert_snapshot!(shown(&differences(), false));
    }

    #[test]
    fn apps_that_are_not_there_are_known() {
        assert_eq!(differences().new_apps(), [1]);
        let by_name = json!([{"op": "add", "path": "/applications/0/name", "value": "dora"}]);
        assert_eq!(of_server(by_name).new_apps(), [0]);
    }

    #[test]
    fn values_of_the_environment_can_be_hidden() {
        insta::assert_snapshot!(shown(&differences(), true));
    }

    #[test]
    fn without_a_difference_the_manifest_is_shown() {
        let shown = shown(&Diff::default(), false);
        assert!(shown.lines().all(|line| line.starts_with("  ")), "{shown}");
        let plain: String = shown
            .lines()
            .map(|line| format!("{}\n", &line[2..]))
            .collect();
        assert_eq!(Value::parse(&plain), Value::parse(MANIFEST));
    }

    #[test]
    fn secrets_are_hidden_always() {
        let manifest = "applications: [{docker: {image: i, password: hunter2}, cnb-credentials: {r: hunter2}}]\nanchors: {env: {A: hunter2}}";
        let lines = lines(&Value::parse(manifest).unwrap(), &Diff::default(), true);
        assert!(lines.iter().all(|line| !line.text.contains("hunter2")));
    }

    #[test]
    fn apps_can_be_compared_here() {
        let current = Value::parse(
            "applications: [{name: dora, env: {SAME: x, MORE: y}, routes: [{route: dora.example.com, protocol: http1}], processes: [{type: web, instances: 2, memory: 64M}, {type: worker, memory: 1024M}]}]",
        )
        .unwrap();
        let desired = Value::parse(MANIFEST).unwrap();
        let diff = Diff::between(&desired, &[Some(current), None]);
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

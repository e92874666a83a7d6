//! The difference between the current state of apps and a manifest.
//!
//! Values are compared in their normal form, so `1` and `"1"` are equal, and so are `1G`
//! and `1024M`. A property that is missing in the manifest does not change when the
//! manifest is applied, so it is not a difference.

mod lines;

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::entry::{is_of_process, normalized, route_text};
use super::yaml::{Map, Value};
pub(super) use lines::redacted;
pub use lines::{DiffLine, DiffMark};

/// A place in a manifest: keys and positions, such as `applications`, `0`, `memory`.
type Path = Vec<String>;

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Add(Value),
    Replace { was: Value, now: Value },
}

/// The changes that applying a manifest makes to the properties of apps.
#[derive(Clone, Default, PartialEq)]
pub struct ManifestDiff(BTreeMap<Path, Change>);

impl fmt::Debug for ManifestDiff {
    /// Shows only the changed paths, because values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.0.keys().map(|path| path.join("/"));
        f.debug_tuple("ManifestDiff")
            .field(&places.collect::<Vec<_>>())
            .finish()
    }
}

/// The current state of an app, before a manifest is applied.
#[derive(Debug, Clone, Default)]
pub(crate) struct CurrentApp {
    /// The app's properties in the Cloud Controller's manifest.
    pub(crate) properties: Map,
    /// The properties to compare. `None` compares all.
    pub(crate) compared: Option<HashSet<String>>,
    /// Whether the app has routes.
    pub(crate) has_routes: bool,
}

impl CurrentApp {
    /// The first app of a manifest of the Cloud Controller.
    pub(crate) fn of_manifest(manifest: &Value) -> Self {
        let apps = manifest.as_map().and_then(|root| root.get("applications"));
        let app = apps.and_then(Value::as_list).and_then(<[Value]>::first);
        let properties = app.and_then(Value::as_map).cloned().unwrap_or_default();
        Self {
            has_routes: properties.contains("routes"),
            properties,
            compared: None,
        }
    }

    /// The properties, with those of the web process at the top, where manifests may have
    /// them too.
    fn flattened(&self) -> Map {
        let mut app = self.properties.clone();
        let processes = app.get("processes").and_then(Value::as_list);
        let mut processes = processes.into_iter().flatten().filter_map(Value::as_map);
        let web = processes.find(|process| process.get("type") == Some(&"web".into()));
        for (key, value) in web.cloned().unwrap_or_default() {
            if key.as_text().is_some_and(|key| !app.contains(key)) {
                app.set(key, value);
            }
        }
        app
    }

    /// Whether a property is never compared, because it is an instruction, is not shown
    /// by the Cloud Controller, or identifies the app.
    pub(crate) fn is_never_compared(key: &str) -> bool {
        const NEVER: [&str; 5] = [
            "name",
            "path",
            "default-route",
            "random-route",
            "cnb-credentials",
        ];
        NEVER.contains(&key)
    }

    fn compares(&self, key: &str) -> bool {
        self.compared.as_ref().is_none_or(|keys| keys.contains(key))
    }
}

impl ManifestDiff {
    /// Compares each app of a manifest with its current state. `None` stands for an app
    /// that does not exist.
    pub(crate) fn between(desired: &Value, current: &[Option<CurrentApp>]) -> Self {
        let mut diff = Self::default();
        let apps = desired.as_map().and_then(|root| root.get("applications"));
        let apps = apps.and_then(Value::as_list).unwrap_or_default();
        for (at, app) in apps.iter().enumerate() {
            let path = vec!["applications".to_owned(), at.to_string()];
            match current.get(at).and_then(Option::as_ref) {
                None => {
                    diff.0.insert(path, Change::Add(app.clone()));
                }
                Some(current) => diff.compare_app(app, current, &path),
            }
        }
        diff
    }

    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the app at a position of the manifest changes.
    pub(crate) fn changes_app(&self, position: usize) -> bool {
        let position = position.to_string();
        self.0.keys().any(|path| path.get(1) == Some(&position))
    }

    fn compare_app(&mut self, desired: &Value, current: &CurrentApp, path: &Path) {
        let Some(desired) = desired.as_map() else {
            return;
        };
        let has_web = has_web_process(desired);
        let properties = current.flattened();
        for (key, value) in desired.iter() {
            let key = key.scalar_text().unwrap_or_default();
            let here = below(path, &key);
            if key == "no-route" {
                if current.has_routes && *value == Value::Bool(true) {
                    self.0.insert(here, Change::Add(value.clone()));
                }
                continue;
            }
            let resets = matches!(key.as_str(), "command" | "buildpack" | "buildpacks");
            if *value == Value::Null && !resets {
                continue;
            }
            // The Cloud Controller uses the properties of the web process instead.
            let is_ignored = has_web && is_of_process(&key);
            if CurrentApp::is_never_compared(&key) || is_ignored || !current.compares(&key) {
                continue;
            }
            self.compare_property(&properties, &key, value, &here);
        }
    }

    fn compare_property(&mut self, current: &Map, key: &str, desired: &Value, path: &Path) {
        match current_of(current, key) {
            Some(current) => self.compare(desired, current, path),
            None if has_content(desired) && normal(path, desired).is_some() => {
                self.0.insert(path.clone(), Change::Add(desired.clone()));
            }
            None => {}
        }
    }

    fn compare(&mut self, desired: &Value, current: &Value, path: &Path) {
        match (desired, current) {
            (Value::Map(desired), Value::Map(current)) => {
                for (key, value) in desired.iter() {
                    let key = key.scalar_text().unwrap_or_default();
                    self.compare_property(current, &key, value, &below(path, &key));
                }
            }
            (Value::List(desired), Value::List(current)) if has_named_items(path) => {
                for (at, item) in desired.iter().enumerate() {
                    let here = below(path, &at.to_string());
                    let name = name_of(item);
                    match current.iter().find(|it| name_of(it) == name) {
                        None => {
                            self.0.insert(here, Change::Add(item.clone()));
                        }
                        Some(current @ Value::Map(_)) => self.compare(item, current, &here),
                        // Parameters of a bound service are not shown by the Cloud
                        // Controller.
                        Some(_) => {}
                    }
                }
            }
            (desired, current) if are_equivalent(path, desired, current) => {}
            (desired, current) => {
                let (was, now) = (current.clone(), desired.clone());
                self.0.insert(path.clone(), Change::Replace { was, now });
            }
        }
    }

    fn at(&self, path: &Path) -> Option<&Change> {
        self.0.get(path)
    }
}

fn below(path: &Path, part: &str) -> Path {
    path.iter().cloned().chain([part.to_owned()]).collect()
}

fn has_web_process(app: &Map) -> bool {
    let processes = app.get("processes").and_then(Value::as_list);
    let mut processes = processes.into_iter().flatten().filter_map(Value::as_map);
    processes.any(|process| process.get("type") == Some(&"web".into()))
}

/// Whether a value sets anything. An empty map or list does not change a missing
/// property.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Map(map) => map.iter().any(|(_, value)| has_content(value)),
        Value::List(list) => !list.is_empty(),
        _ => true,
    }
}

fn current_of<'a>(current: &'a Map, key: &str) -> Option<&'a Value> {
    current.get(key).or_else(|| match key {
        "disk-quota" => current.get("disk_quota"),
        "disk_quota" => current.get("disk-quota"),
        "buildpack" => current.get("buildpacks"),
        _ => None,
    })
}

/// Whether the items of a list are identified by a name rather than by their order.
fn has_named_items(path: &Path) -> bool {
    const NAMED: [&str; 4] = ["processes", "routes", "services", "sidecars"];
    path.len() == 3
        && path
            .last()
            .is_some_and(|last| NAMED.contains(&last.as_str()))
}

/// The name that identifies an item in a list.
fn name_of(item: &Value) -> Option<String> {
    let Some(map) = item.as_map() else {
        return item.scalar_text();
    };
    if let Some(route) = map.get("route").and_then(Value::as_text) {
        return Some(route_text(route));
    }
    let mut keys = ["type", "name"].iter();
    keys.find_map(|key| map.get(key)?.scalar_text())
}

/// The normal form of a value at a place in the manifest.
fn normal(path: &Path, value: &Value) -> Option<serde_json::Value> {
    let path: Vec<&str> = path.iter().skip(2).map(String::as_str).collect();
    normalized(&path, &serde_json::to_value(value).unwrap_or_default())
}

fn are_equivalent(path: &Path, desired: &Value, current: &Value) -> bool {
    desired == current
        || (desired.scalar_text().is_some() && desired.scalar_text() == current.scalar_text())
        || normal(path, desired) == normal(path, current)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::lines::lines;
    use super::*;

    const MANIFEST: &str = "applications:\n- name: dora\n  instances: 3\n  memory: 64M\n  env:\n    A: new\n    SAME: x\n  routes:\n  - route: dora.example.com\n  - route: other.example.com\n  processes:\n  - type: worker\n    memory: 1G\n- name: fresh\n  env: {B: c}\n";

    fn shown(diff: &ManifestDiff, redact_env: bool) -> String {
        let manifest = Value::parse(MANIFEST).unwrap();
        let lines = lines(&manifest, diff, redact_env);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    const CURRENT: &str = "applications: [{name: dora, env: {SAME: x, MORE: y}, routes: [{route: dora.example.com, protocol: http1}], processes: [{type: web, instances: 2, memory: 64M}, {type: worker, memory: 512M}]}]";

    fn current(text: &str) -> Option<CurrentApp> {
        Some(CurrentApp::of_manifest(&Value::parse(text).unwrap()))
    }

    fn between(desired: &str, apps: &[Option<CurrentApp>]) -> ManifestDiff {
        ManifestDiff::between(&Value::parse(desired).unwrap(), apps)
    }

    fn differences() -> ManifestDiff {
        between(MANIFEST, &[current(CURRENT), None])
    }

    #[test]
    fn changes_are_shown_in_the_whole_manifest() {
        insta::assert_snapshot!(shown(&differences(), false));
    }

    #[test]
    fn the_apps_that_change_are_known() {
        let same = "applications: [{name: dora, memory: 64M}]";
        let diff = between(same, &[current(CURRENT)]);
        assert!(diff.is_empty() && !diff.changes_app(0));
        let diff = differences();
        assert!(diff.changes_app(0) && diff.changes_app(1) && !diff.changes_app(2));
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

    /// The value in a manifest, the value that the Cloud Controller shows, and whether
    /// they differ.
    #[rstest]
    #[case("env: {A: 1, B: yes, C: ~}", "env: {A: '1', B: 'true', C: ''}", &[])]
    #[case("env: {A: 2}", "env: {A: '1'}", &["env/A"])]
    #[case("memory: 1G", "processes: [{type: web, memory: 1024M}]", &[])]
    #[case("memory: 1G", "processes: [{type: web, memory: 1023M}]", &["memory"])]
    #[case("disk-quota: 1GB", "processes: [{type: web, disk_quota: 1024M}]", &[])]
    #[case("instances: '2'", "processes: [{type: web, instances: 2}]", &[])]
    #[case("log-rate-limit-per-second: '-1'", "processes: [{type: web, log-rate-limit-per-second: -1}]", &[])]
    #[case("log-rate-limit-per-second: 1024K", "processes: [{type: web, log-rate-limit-per-second: 1M}]", &[])]
    #[case("health-check-type: none", "processes: [{type: web, health-check-type: process}]", &[])]
    #[case("command: ~", "processes: [{type: web}]", &[])]
    #[case("command: ~", "processes: [{type: web, command: run}]", &["command"])]
    #[case("buildpack: go", "buildpacks: [go]", &[])]
    #[case("buildpack: default", "lifecycle: buildpack", &[])]
    #[case("buildpacks: []", "lifecycle: buildpack", &[])]
    #[case("buildpacks: [a, b]", "buildpacks: [b, a]", &["buildpacks"])]
    #[case("stack: ~", "stack: cflinuxfs4", &[])]
    #[case("metadata: {labels: {a: 1, gone: ~}}", "metadata: {labels: {a: '1', more: x}}", &[])]
    #[case("features: {ssh: true}", "features: {ssh: true, revisions: false}", &[])]
    #[case("services: [b, {name: a, parameters: {x: 1}}]", "services: [a, b, c]", &[])]
    #[case("services: [b, d]", "services: [a, b]", &["services/1"])]
    #[case("routes: [{route: 'https://B.test/Path'}]", "routes: [{route: a.test}, {route: b.test/Path, protocol: http1}]", &[])]
    #[case("routes: [{route: b.test, protocol: http2}]", "routes: [{route: b.test, protocol: http1}]", &["routes/0/protocol"])]
    #[case("sidecars: [{name: s, command: c, process_types: [b, a], memory: 64}]", "sidecars: [{name: s, command: c, process_types: [a, b], memory: 64M}]", &[])]
    #[case("processes: [{type: worker, memory: 1G, disk-quota: 1G}]", "processes: [{type: worker, memory: 1024M, disk_quota: 1024M, instances: 0}]", &[])]
    #[case("{memory: 2G, processes: [{type: web, memory: 1G}]}", "processes: [{type: web, memory: 1024M}]", &[])]
    #[case("no-route: true", "routes: [{route: a.test}]", &["no-route"])]
    #[case("no-route: true", "lifecycle: buildpack", &[])]
    #[case("{default-route: true, path: ., random-route: true}", "lifecycle: buildpack", &[])]
    #[case("docker: {image: a, username: u}", "docker: {image: a, username: u}", &[])]
    #[case("docker: {image: b}", "docker: {image: a}", &["docker/image"])]
    #[case("{env: {}, routes: [], services: [], metadata: {labels: {}}}", "lifecycle: buildpack", &[])]
    #[case("env: {A: ''}", "lifecycle: buildpack", &["env"])]
    #[case("new-property: {a: [1]}", "lifecycle: buildpack", &["new-property"])]
    fn values_with_the_same_meaning_are_not_a_difference(
        #[case] desired: &str,
        #[case] shown: &str,
        #[case] expected: &[&str],
    ) {
        let manifest = |text: &str| {
            let app = Value::parse(text).unwrap();
            let root = Map::from_iter([("applications".into(), Value::List(vec![app]))]);
            Value::Map(root)
        };
        let current = CurrentApp::of_manifest(&manifest(shown));
        let diff = ManifestDiff::between(&manifest(desired), &[Some(current)]);
        let places: Vec<String> = diff.0.keys().map(|path| path[2..].join("/")).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn a_hundred_thousand_changed_variables_are_shown() {
        let env = |value: &str| {
            let line = |i| format!("    KEY_{i}: {value}\n");
            let lines: String = (0..100_000).map(line).collect();
            format!("applications:\n- name: a\n  env:\n{lines}")
        };
        let (desired, was) = (env("new"), env("old"));
        let manifest = Value::parse(&desired).unwrap();
        let diff = ManifestDiff::between(&manifest, &[current(&was)]);
        let lines = lines(&manifest, &diff, false);
        assert_eq!(lines.len(), 200_000 + 4);
    }
}

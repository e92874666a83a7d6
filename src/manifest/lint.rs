//! Warnings about properties of a manifest that the Cloud Controller ignores or stores in
//! an unexpected form.

use super::entry::{ManifestEntry, known_keys, known_process_keys};
use super::yaml::{self, Map, Value};

/// The minimum similarity of a suggested key, from 0 to 1.
const SIMILAR: f64 = 0.8;

/// Properties of old manifests, and their replacements.
const REPLACED: [(&str, &str); 7] = [
    ("domain", "`routes`"),
    ("domains", "`routes`"),
    ("host", "`routes`"),
    ("hosts", "`routes`"),
    ("no-hostname", "`routes`"),
    ("inherit", "variables, or anchors in one file"),
    ("health-check-timeout", "`timeout`"),
];

/// The warnings about a manifest, before any property is removed from it.
pub(super) fn warnings(text: &str, root: &Value) -> Vec<String> {
    let Some(root) = root.as_map() else {
        return Vec::new();
    };
    let mut lint = Lint {
        text,
        warnings: Vec::new(),
    };
    lint.root(root);
    let apps = root.get("applications").and_then(Value::as_list);
    for (at, app) in apps.into_iter().flatten().enumerate() {
        if let Some(app) = app.as_map() {
            lint.app(&at.to_string(), app);
        }
    }
    lint.warnings
}

/// Whether `cf push` reads a property next to `applications`.
pub(super) fn is_root_key(key: &str) -> bool {
    ["applications", "version"].contains(&key)
}

struct Lint<'a> {
    text: &'a str,
    warnings: Vec<String>,
}

impl Lint<'_> {
    fn warn(&mut self, path: &[&str], text: String) {
        self.warnings.push(match yaml::line_of(self.text, path) {
            Some(line) => format!("line {line}: {text}"),
            None => text,
        });
    }

    /// Warns about properties next to `applications`. A property with an anchor may be
    /// used by an app.
    fn root(&mut self, root: &Map) {
        let keys = root.iter().filter_map(|(key, _)| key.scalar_text());
        let keys: Vec<String> = keys.filter(|key| !is_root_key(key)).collect();
        if keys.is_empty() {
            return;
        }
        let anchored = yaml::anchored_keys(self.text);
        for key in keys.iter().filter(|key| !anchored.contains(*key)) {
            let text = match (replacement(key), ManifestEntry::is_known(key)) {
                (Some(replacement), _) => ignored(key, replacement),
                (None, true) => format!(
                    "`{key}` next to `applications` does not apply to any app; move it into each application"
                ),
                (None, false) => format!("`{key}` next to `applications` is not sent"),
            };
            self.warn(&[key], text);
        }
    }

    fn app(&mut self, at: &str, app: &Map) {
        let name = app.get("name").and_then(Value::scalar_text);
        let name = name.map_or_else(String::new, |name| format!("app {name}: "));
        let path = ["applications", at];
        for (key, value) in app.iter() {
            let key = key.scalar_text().unwrap_or_default();
            let here = [path[0], path[1], key.as_str()];
            if let Some(replacement) = replacement(&key) {
                self.warn(&here, format!("{name}{}", ignored(&key, replacement)));
            } else if !ManifestEntry::is_known(&key) {
                let text = unknown(&key, known_keys());
                self.warn(&here, format!("{name}{text}"));
            }
            match (key.as_str(), value) {
                ("env", Value::Map(env)) => self.env(&name, at, env),
                ("docker", Value::Map(docker)) if docker.contains("password") => {
                    let here = [path[0], path[1], "docker", "password"];
                    let text = "`docker.password` is not sent: the Cloud Controller would log it";
                    self.warn(&here, format!("{name}{text}"));
                }
                ("processes", Value::List(list)) => self.processes(&name, at, list),
                _ => {}
            }
        }
    }

    fn env(&mut self, name: &str, at: &str, env: &Map) {
        for (key, value) in env.iter() {
            if !matches!(value, Value::List(_) | Value::Map(_)) {
                continue;
            }
            let (key, kind) = (key.scalar_text().unwrap_or_default(), value.kind());
            let text = format!(
                "{name}the variable {key} in `env` is {kind}, which the Cloud Controller does not write as JSON; make it a string"
            );
            self.warn(&["applications", at, "env", &key], text);
        }
    }

    fn processes(&mut self, name: &str, at: &str, list: &[Value]) {
        for (index, process) in list.iter().enumerate() {
            let Some(process) = process.as_map() else {
                continue;
            };
            for (key, _) in process.iter() {
                let key = key.scalar_text().unwrap_or_default();
                if known_process_keys().any(|known| known == key) {
                    continue;
                }
                let text = unknown(&key, known_process_keys());
                let index = index.to_string();
                let here = ["applications", at, "processes", &index, &key];
                self.warn(&here, format!("{name}in `processes`: {text}"));
            }
        }
    }
}

fn replacement(key: &str) -> Option<&'static str> {
    let found = REPLACED.iter().find(|(name, _)| *name == key);
    found.map(|(_, replacement)| *replacement)
}

fn ignored(key: &str, replacement: &str) -> String {
    format!("the Cloud Controller ignores `{key}`; use {replacement}")
}

fn unknown(key: &str, known: impl Iterator<Item = &'static str>) -> String {
    let scored = known.map(|known| (strsim::jaro_winkler(key, known), known));
    let nearest = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest.filter(|(score, _)| *score >= SIMILAR) {
        Some((_, nearest)) => format!("unknown property `{key}`, did you mean `{nearest}`?"),
        None => format!("unknown property `{key}`"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "applications:\n- name: a\n  memroy: 1G",
        "line 3: app a: unknown property `memroy`, did you mean `memory`?"
    )]
    #[case(
        "applications:\n- name: a\n  foo: 1",
        "line 3: app a: unknown property `foo`"
    )]
    #[case(
        "applications:\n- name: a\n  host: x",
        "line 3: app a: the Cloud Controller ignores `host`; use `routes`"
    )]
    #[case(
        "applications:\n- name: a\n  domain: x",
        "line 3: app a: the Cloud Controller ignores `domain`; use `routes`"
    )]
    #[case(
        "inherit: base.yml\napplications:\n- name: a",
        "line 1: the Cloud Controller ignores `inherit`; use variables, or anchors in one file"
    )]
    #[case(
        "memory: 1G\napplications:\n- name: a",
        "line 1: `memory` next to `applications` does not apply to any app; move it into each application"
    )]
    #[case(
        "applications:\n- name: a\nenv: {A: b}",
        "line 3: `env` next to `applications` does not apply to any app; move it into each application"
    )]
    #[case(
        "services: [s]\napplications:\n- name: a",
        "line 1: `services` next to `applications` does not apply to any app; move it into each application"
    )]
    #[case(
        "other: 1\napplications:\n- name: a",
        "line 1: `other` next to `applications` is not sent"
    )]
    #[case(
        "applications:\n- name: a\n  env:\n    B: {c: 1}",
        "line 4: app a: the variable B in `env` is a map, which the Cloud Controller does not write as JSON; make it a string"
    )]
    #[case(
        "applications:\n- name: a\n  env:\n    B: [1]",
        "line 4: app a: the variable B in `env` is a list, which the Cloud Controller does not write as JSON; make it a string"
    )]
    #[case(
        "applications:\n- name: a\n  docker:\n    password: p",
        "line 4: app a: `docker.password` is not sent: the Cloud Controller would log it"
    )]
    #[case(
        "applications:\n- name: a\n  processes:\n  - type: web\n    comand: x",
        "line 5: app a: in `processes`: unknown property `comand`, did you mean `command`?"
    )]
    fn ignored_properties_are_named_with_their_lines(#[case] text: &str, #[case] expected: &str) {
        let root = Value::parse(text).unwrap();
        assert_eq!(warnings(text, &root), [expected]);
    }

    #[rstest]
    #[case("version: 1\napplications: [{name: a}]")]
    #[case("defaults: &d {memory: 1G}\napplications:\n- <<: *d\n  name: a")]
    #[case(
        "applications: [{name: a, memory: 1G, disk-quota: 1G, buildpack: b, path: ., env: {A: b}, processes: [{type: web, disk-quota: 1G, disk_quota: 1G, user: u}], default-route: true}]"
    )]
    fn known_properties_have_no_warning(#[case] text: &str) {
        let root = Value::parse(text).unwrap();
        assert_eq!(warnings(text, &root), [""; 0]);
    }
}

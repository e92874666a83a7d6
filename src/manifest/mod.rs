//! The `manifest.yml` in a group's folder: what it says of memory, disk,
//! buildpacks, command and environment of the group's apps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The names that the `cf` CLI looks for, in its order.
const FILE_NAMES: [&str; 2] = ["manifest.yml", "manifest.yaml"];

/// What the group's parameters give, so the manifest need not; and what only
/// names things.
const GIVEN_ELSEWHERE: [&str; 8] = [
    "name",
    "instances",
    "path",
    "routes",
    "no-route",
    "random-route",
    "default-route",
    "host",
];

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the manifest {path} cannot be used: {reason}")]
pub struct ManifestError {
    path: PathBuf,
    reason: String,
}

/// What a group takes from its manifest. Nothing is there where it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupManifest {
    pub(crate) memory_mb: Option<u64>,
    pub(crate) disk_mb: Option<u64>,
    pub(crate) buildpacks: Vec<String>,
    pub(crate) command: Option<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// What it holds and nobody applies.
    pub(crate) warnings: Vec<String>,
}

impl GroupManifest {
    /// Reads the manifest of a folder, if there is one.
    pub(crate) fn read(dir: &Path) -> Result<Self, ManifestError> {
        let Some(path) = FILE_NAMES
            .iter()
            .map(|name| dir.join(name))
            .find(|path| path.is_file())
        else {
            return Ok(Self::default());
        };
        let refused = |reason: String| ManifestError {
            path: path.clone(),
            reason,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
        let mut manifest = Self::parse(&text).map_err(refused)?;
        for warning in &mut manifest.warnings {
            *warning = format!("{}: {warning}", path.display());
        }
        Ok(manifest)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: Value =
            serde_saphyr::from_str(text).map_err(|error| format!("it is not YAML: {error}"))?;
        let apps = document.get("applications").and_then(Value::as_array);
        let app = match apps.map(Vec::as_slice) {
            Some([app]) => app,
            Some(apps) => {
                return Err(format!(
                    "it must hold one application, and holds {}",
                    apps.len()
                ));
            }
            None => return Err("it has no list `applications`".to_owned()),
        };
        let app = app
            .as_object()
            .ok_or("its application is not a map of properties")?;
        let mut manifest = Self::default();
        for (key, value) in app {
            manifest.take(key, value, app)?;
        }
        Ok(manifest)
    }

    fn take(&mut self, key: &str, value: &Value, app: &Map<String, Value>) -> Result<(), String> {
        match key {
            "memory" => self.memory_mb = Some(megabytes(key, value)?),
            "disk_quota" | "disk-quota" => {
                if app.contains_key("disk_quota") && app.contains_key("disk-quota") {
                    return Err("it has both `disk_quota` and `disk-quota`".to_owned());
                }
                self.disk_mb = Some(megabytes(key, value)?);
            }
            "buildpacks" => self.buildpacks = texts(key, value)?,
            "buildpack" => {
                if app.contains_key("buildpacks") {
                    return Err("it has both `buildpack` and `buildpacks`".to_owned());
                }
                self.buildpacks = vec![text(key, value)?];
            }
            "command" => self.command = command(value)?,
            "env" => self.env = environment(value)?,
            _ if GIVEN_ELSEWHERE.contains(&key) => {}
            _ => self
                .warnings
                .push(format!("`{key}` is not applied to a group's apps")),
        }
        Ok(())
    }
}

/// What a value is, where it may hold a secret.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn text(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("`{key}` is {}, must be a text", kind_of(other))),
    }
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(values) => values.iter().map(|value| text(key, value)).collect(),
        Value::Null => Ok(Vec::new()),
        other => Err(format!(
            "`{key}` is {}, must be a list of texts",
            kind_of(other)
        )),
    }
}

/// `null` and `default` leave the command to the droplet, as in `cf push`.
fn command(value: &Value) -> Result<Option<String>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let command = text("command", value)?;
    Ok(Some(command).filter(|command| !matches!(command.as_str(), "" | "null" | "default")))
}

fn environment(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let variables = match value {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(variables) => variables,
        other => {
            return Err(format!(
                "`env` is {}, must be a map of texts",
                kind_of(other)
            ));
        }
    };
    let variable = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Null => Ok((name.clone(), String::new())),
        // As Cloud Controller does: whatever is no text, as JSON.
        other => Ok((name.clone(), other.to_string())),
    };
    variables.iter().map(variable).collect()
}

/// A size such as `64M`, `1G` or `1.5GB`, in MB.
fn megabytes(key: &str, value: &Value) -> Result<u64, String> {
    const MB: f64 = 1024.0 * 1024.0;
    let given = text(key, value)?;
    let refused =
        || format!("`{key}` is {given}, must be a size with a unit: M, MB, G, GB, T or TB");
    let size = given.trim().to_ascii_uppercase();
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.trim().parse().map_err(|_| refused())?;
    let unit = match size.get(digits.len()..).unwrap_or_default() {
        "B" => 1.0,
        "K" | "KB" => 1024.0,
        "M" | "MB" => MB,
        "G" | "GB" => MB * 1024.0,
        "T" | "TB" => MB * 1024.0 * 1024.0,
        _ => return Err(refused()),
    };
    let megabytes = number * unit / MB;
    if (1.0..1e12).contains(&megabytes) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked"
        )]
        Ok(megabytes as u64)
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_gives_what_a_group_needs() {
        let manifest = GroupManifest::parse(
            "---\napplications:\n- name: tick\n  memory: 32M\n  disk_quota: 1G\n  buildpacks: [go_buildpack]\n  command: ./tick\n  instances: 7\n  stack: cflinuxfs4\n  env:\n    A: b\n    N: 180\n    T: true\n",
        )
        .unwrap();
        assert_eq!(manifest.memory_mb, Some(32));
        assert_eq!(manifest.disk_mb, Some(1024));
        assert_eq!(manifest.buildpacks, ["go_buildpack"]);
        assert_eq!(manifest.command.as_deref(), Some("./tick"));
        assert_eq!(manifest.env["A"], "b");
        assert_eq!(manifest.env["N"], "180");
        assert_eq!(manifest.env["T"], "true");
        assert_eq!(
            manifest.warnings,
            ["`stack` is not applied to a group's apps"]
        );
    }

    #[rstest]
    #[case("applications: 3", "it has no list `applications`")]
    #[case("applications: []", "it must hold one application, and holds 0")]
    #[case("applications: [{}, {}]", "it must hold one application, and holds 2")]
    #[case("applications: [x]", "its application is not a map of properties")]
    #[case(
        "applications: [{memory: 32}]",
        "`memory` is 32, must be a size with a unit: M, MB, G, GB, T or TB"
    )]
    #[case("applications: [{memory: [1]}]", "`memory` is a list, must be a text")]
    #[case(
        "applications: [{disk_quota: 1G, disk-quota: 1G}]",
        "it has both `disk_quota` and `disk-quota`"
    )]
    #[case(
        "applications: [{buildpack: a, buildpacks: [b]}]",
        "it has both `buildpack` and `buildpacks`"
    )]
    #[case(
        "applications: [{env: [{PASSWORD: hunter2}]}]",
        "`env` is a list, must be a map of texts"
    )]
    #[case(
        "applications: [{env: 1}]",
        "`env` is a number, must be a map of texts"
    )]
    fn other_manifests_are_refused(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(GroupManifest::parse(text).unwrap_err(), expected);
    }

    #[test]
    fn what_is_not_yaml_is_refused() {
        let error = GroupManifest::parse("applications: [").unwrap_err();
        assert!(error.starts_with("it is not YAML"), "{error}");
    }

    #[rstest]
    #[case("32M", Some(32))]
    #[case("1g", Some(1024))]
    #[case("1.5 GB", Some(1536))]
    #[case("1T", Some(1_048_576))]
    #[case("2048K", Some(2))]
    #[case("1B", None)]
    #[case("0M", None)]
    #[case("-1M", None)]
    #[case("M", None)]
    #[case("32", None)]
    #[case("32X", None)]
    #[case("ünits", None)]
    #[case("99999999999999999999T", None)]
    fn sizes_have_units(#[case] size: &str, #[case] expected: Option<u64>) {
        assert_eq!(megabytes("memory", &json!(size)).ok(), expected);
    }

    #[rstest]
    #[case(json!(null), None)]
    #[case(json!("null"), None)]
    #[case(json!("default"), None)]
    #[case(json!("./run"), Some("./run"))]
    fn commands_can_be_left_to_the_droplet(#[case] value: Value, #[case] expected: Option<&str>) {
        assert_eq!(command(&value).unwrap().as_deref(), expected);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(applications:|\\[|\\]|\\{|\\}|- |\n|  |a|:|&|\\*|!|\"|'|1|#)*") {
            let _ = GroupManifest::parse(&text);
        }
    }
}

//! The `manifest.yml` in a group's folder: what it says of memory, disk,
//! buildpacks, command and environment of the group's apps.

use std::collections::BTreeMap;
use std::path::Path;

use super::size;
use super::yaml::Value;
use super::{Application, Manifest, ManifestError, Variables};

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
        let path = Manifest::locate(dir)?;
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let manifest = Manifest::read(&path, &Variables::default())?;
        let mut manifest =
            Self::of(&manifest).map_err(|reason| ManifestError::invalid(path.display(), reason))?;
        for warning in &mut manifest.warnings {
            *warning = format!("{}: {warning}", path.display());
        }
        Ok(manifest)
    }

    fn of(manifest: &Manifest) -> Result<Self, String> {
        let [app] = manifest.applications() else {
            let count = manifest.applications().len();
            return Err(format!("it must hold one application, and holds {count}"));
        };
        let mut manifest = Self::default();
        for (key, value) in app.properties().iter() {
            manifest.take(key.as_text().unwrap_or_default(), value, app)?;
        }
        Ok(manifest)
    }

    fn take(&mut self, key: &str, value: &Value, app: &Application) -> Result<(), String> {
        match key {
            "memory" => self.memory_mb = Some(megabytes(key, value)?),
            "disk-quota" => self.disk_mb = Some(megabytes(key, value)?),
            "buildpacks" => self.buildpacks = texts(key, value)?,
            "buildpack" => {
                if app.has("buildpacks") {
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

fn text(key: &str, value: &Value) -> Result<String, String> {
    value
        .scalar_text()
        .ok_or_else(|| format!("`{key}` is {}, must be a string", value.kind()))
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::List(values) => values.iter().map(|value| text(key, value)).collect(),
        Value::Null => Ok(Vec::new()),
        other => Err(format!(
            "`{key}` is {}, must be a list of texts",
            other.kind()
        )),
    }
}

fn megabytes(key: &str, value: &Value) -> Result<u64, String> {
    let size = text(key, value)?;
    size::megabytes(&size).map_err(|error| format!("`{key}`: {error}"))
}

/// `null` and `default` leave the command to the droplet, as in `cf push`.
fn command(value: &Value) -> Result<Option<String>, String> {
    if *value == Value::Null {
        return Ok(None);
    }
    let command = text("command", value)?;
    Ok(Some(command).filter(|command| !matches!(command.as_str(), "" | "null" | "default")))
}

fn environment(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let variables = match value {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Map(variables) => variables,
        other => {
            return Err(format!("`env` is {}, must be a map of texts", other.kind()));
        }
    };
    let variable = |(name, value): (&Value, &Value)| {
        let name = text("env", name)?;
        // As Cloud Controller does: whatever is no scalar, as JSON.
        let value = match value {
            Value::Null => String::new(),
            value => value
                .scalar_text()
                .unwrap_or_else(|| serde_json::to_string(value).unwrap_or_default()),
        };
        Ok((name, value))
    };
    variables.iter().map(variable).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(text: &str) -> Result<GroupManifest, String> {
        let manifest = Manifest::parse(text, "test").map_err(|error| error.to_string())?;
        GroupManifest::of(&manifest)
    }

    #[test]
    fn a_manifest_gives_what_a_group_needs() {
        let manifest = parse(
            "---\napplications:\n- name: tick\n  memory: 32M\n  disk_quota: 1G\n  buildpacks: [go_buildpack]\n  command: ./tick\n  instances: 7\n  stack: cflinuxfs4\n  env:\n    A: b\n    NUM: 180\n    T: true\n",
        )
        .unwrap();
        assert_eq!(manifest.memory_mb, Some(32));
        assert_eq!(manifest.disk_mb, Some(1024));
        assert_eq!(manifest.buildpacks, ["go_buildpack"]);
        assert_eq!(manifest.command.as_deref(), Some("./tick"));
        assert_eq!(manifest.env["A"], "b");
        assert_eq!(manifest.env["NUM"], "180");
        assert_eq!(manifest.env["T"], "true");
        assert_eq!(
            manifest.warnings,
            ["`stack` is not applied to a group's apps"]
        );
    }

    #[rstest]
    #[case("applications: 3", "`applications` is a number, must be a list")]
    #[case("applications: []", "it must have at least one application")]
    #[case("applications: [{}, {}]", "it must hold one application, and holds 2")]
    #[case("applications: [x]", "an application is a string, must be a map")]
    #[case(
        "applications: [{memory: 32}]",
        "`memory`: invalid size \"32\", must be a number with a unit, such as 512M or 2G"
    )]
    #[case(
        "applications: [{memory: [1]}]",
        "`memory` is a list, must be a string"
    )]
    #[case(
        "applications: [{disk_quota: 1G, disk-quota: 1G}]",
        "it has both `disk_quota` and `disk-quota`, and needs one of them"
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
        assert_eq!(parse(text).unwrap_err(), expected);
    }

    #[test]
    fn what_is_not_yaml_is_refused() {
        let error = parse("applications: [").unwrap_err();
        assert!(error.starts_with("it is not YAML"), "{error}");
    }

    #[rstest]
    #[case(Value::Null, None)]
    #[case("null".into(), None)]
    #[case("default".into(), None)]
    #[case("./run".into(), Some("./run"))]
    fn commands_can_be_left_to_the_droplet(#[case] value: Value, #[case] expected: Option<&str>) {
        assert_eq!(command(&value).unwrap().as_deref(), expected);
    }
}

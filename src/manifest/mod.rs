//! App manifests: parsing, interpolation of variables, overrides, comparison and
//! rendering. This module does not use the network. Only [`Manifest::read`],
//! [`Manifest::locate`] and [`Manifest::transform`] read the file system.
//!
//! A manifest keeps all known and unknown properties, at every level and in order. Known
//! properties are converted to the types that the `cf` CLI uses, and known properties
//! without a value are removed, so that the result is the same as with `cf push`.

mod application;
pub(crate) mod clones;
pub(crate) mod diff;
pub(crate) mod entry;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lint;
mod overrides;
mod parts;
pub(crate) mod placeholder;
mod properties;
pub(crate) mod size;
pub(crate) mod text;
mod transform;
pub(crate) mod variables;
pub(crate) mod yaml;

use std::fmt;
use std::path::{Path, PathBuf};

use application::InvalidAt;
use yaml::{Map, Value};

pub use application::Application;
pub(crate) use diff::CurrentApp;
pub use diff::{DiffLine, DiffMark, ManifestDiff};
pub use error::ManifestError;
pub(crate) use overrides::is_image;
pub use overrides::{HealthCheckType, OverrideField, Overrides, Redacted, Strategy};
pub use transform::TransformError;
pub use variables::{Variables, VariablesError};
pub use yaml::YamlError;

/// The file names that the `cf` CLI looks for, in order.
const FILE_NAMES: [&str; 2] = ["manifest.yml", "manifest.yaml"];

/// An app manifest: at least one application, and other properties.
///
/// ```
/// use cf_pusher::manifest::Manifest;
///
/// let text = "applications: [{name: dora, memory: 64M}, {name: worker}]";
/// let manifest = Manifest::parse(text, "inline")?;
/// let names: Vec<&str> = manifest.applications().iter().map(|app| app.name()).collect();
/// assert_eq!(names, ["dora", "worker"]);
/// # Ok::<_, cf_pusher::manifest::ManifestError>(())
/// ```
#[derive(Clone)]
pub struct Manifest {
    /// The properties next to `applications`, and the position of `applications`.
    properties: Map,
    /// The applications, at least one.
    applications: Vec<Application>,
    /// The file that the manifest was read from.
    path: Option<PathBuf>,
    warnings: Vec<String>,
}

/// Manifests are equal if they have the same content.
impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        self.properties == other.properties && self.applications == other.applications
    }
}

impl fmt::Debug for Manifest {
    /// Shows only the names of the apps, because properties may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("path", &self.path)
            .field("applications", &self.applications)
            .finish_non_exhaustive()
    }
}

/// Resolves the links of an existing path. A relative path stays relative.
fn without_links(path: &Path) -> std::io::Result<PathBuf> {
    let resolved = path.canonicalize()?;
    if path.is_absolute() {
        return Ok(resolved);
    }
    let here = std::env::current_dir()?.canonicalize()?;
    Ok(relative_to(&here, &resolved))
}

fn relative_to(from: &Path, to: &Path) -> PathBuf {
    let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(shared).map(|_| std::ffi::OsStr::new(".."));
    let path: PathBuf = up.chain(to.iter().skip(shared)).collect();
    match path.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => path,
    }
}

impl Manifest {
    /// Creates the manifest of an app without a manifest file. An empty name must be
    /// replaced with [`Overrides::apps`].
    pub fn for_app(name: &str) -> Self {
        let mut app = Application::default();
        if !name.is_empty() {
            app.set("name", name.into());
        }
        Self {
            properties: Map::default(),
            applications: vec![app],
            path: None,
            warnings: Vec::new(),
        }
    }

    /// The path of a manifest: `path` itself if it is a file, otherwise `manifest.yml` or
    /// `manifest.yaml` in the folder `path`. `None` if the folder has neither. Links in
    /// `path` are resolved.
    ///
    /// # Errors
    /// [`ManifestError::Read`] if `path` does not exist.
    pub fn locate(path: &Path) -> Result<Option<PathBuf>, ManifestError> {
        let resolved = without_links(path).map_err(ManifestError::read(path))?;
        if !resolved.is_dir() {
            return Ok(Some(resolved));
        }
        let mut files = FILE_NAMES.iter().map(|name| resolved.join(name));
        Ok(files.find(|file| file.exists()))
    }

    /// Reads a manifest from a file of at most 10 MiB, in UTF-8 or UTF-16, and
    /// interpolates variables. The `path` of an app is relative to the file's folder.
    ///
    /// # Errors
    /// [`ManifestError`], with the file's name.
    pub fn read(file: &Path, variables: &Variables) -> Result<Self, ManifestError> {
        let text = text::read(file).map_err(ManifestError::read(file))?;
        let mut manifest = Self::parse_with(&text, &file.display().to_string(), variables)?;
        manifest.path = Some(file.to_owned());
        Ok(manifest)
    }

    /// Parses and validates a manifest. Errors name `origin`, such as a file name.
    ///
    /// # Errors
    /// [`ManifestError`], for the first error in the text.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ManifestError> {
        Self::parse_with(text, origin, &Variables::default())
    }

    /// Parses and validates a manifest after interpolating variables.
    ///
    /// # Errors
    ///
    /// [`ManifestError`]. [`VariablesError::Missing`] contains all variables
    /// without a value.
    pub fn parse_with(
        text: &str,
        origin: &str,
        variables: &Variables,
    ) -> Result<Self, ManifestError> {
        let value = Value::parse(text).map_err(|source| ManifestError::Yaml {
            origin: origin.to_owned(),
            source,
        })?;
        let warnings = lint::warnings(text, &value);
        let value = variables.interpolate(value);
        let value = value.map_err(|source| ManifestError::Variables {
            origin: origin.to_owned(),
            source,
        })?;
        let manifest = Self::from_value(value).map_err(|error| {
            let path: Vec<&str> = error.path.iter().map(String::as_str).collect();
            let line = yaml::line_of(text, &path).map(|line| format!("line {line}: "));
            let reason = line.unwrap_or_default() + &error.reason;
            ManifestError::invalid(origin, reason)
        })?;
        let warnings = warnings.into_iter().map(|it| format!("{origin}: {it}"));
        Ok(Self {
            warnings: warnings.collect(),
            ..manifest
        })
    }

    /// Parses a manifest that the Cloud Controller wrote. It has no variables.
    pub(crate) fn parse_of_cloud_controller(
        text: &str,
        origin: &str,
    ) -> Result<Self, ManifestError> {
        let value = Value::parse_of_cloud_controller(text);
        let value = value.map_err(|source| ManifestError::Yaml {
            origin: origin.to_owned(),
            source,
        })?;
        Self::from_value(value).map_err(|error| ManifestError::invalid(origin, error.reason))
    }

    fn from_value(value: Value) -> Result<Self, InvalidAt> {
        let at = |path: &[&str], reason: String| InvalidAt {
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            reason,
        };
        let root = match value {
            Value::Map(root) => root,
            Value::Null => Map::default(),
            other => {
                let kind = other.kind();
                return Err(at(&[], format!("the document is {kind}, must be a map")));
            }
        };
        let properties = properties::root(root);
        let mut properties = properties.map_err(|error| InvalidAt {
            reason: error.to_string(),
            path: error.path,
        })?;
        let applications = match properties.get_mut("applications").map(std::mem::take) {
            Some(Value::List(list)) if !list.is_empty() => list,
            Some(Value::List(_) | Value::Null) | None => {
                let reason = "`applications` must have at least one application";
                return Err(at(&["applications"], reason.to_owned()));
            }
            Some(other) => {
                let reason = format!("`applications` is {}, must be a list", other.kind());
                return Err(at(&["applications"], reason));
            }
        };
        let applications = applications.into_iter().enumerate();
        let applications = applications.map(|(position, app)| {
            Application::from_value(app).map_err(|mut error| {
                let within = ["applications".to_owned(), position.to_string()];
                error.path.splice(0..0, within);
                error
            })
        });
        Ok(Self {
            properties,
            applications: applications.collect::<Result<_, _>>()?,
            path: None,
            warnings: Vec::new(),
        })
    }

    /// Warnings about properties that the Cloud Controller ignores or stores in an
    /// unexpected form. Each begins with the origin and the line.
    ///
    /// ```
    /// use cf_pusher::manifest::Manifest;
    ///
    /// let text = "applications:\n- name: dora\n  memroy: 1G";
    /// let manifest = Manifest::parse(text, "manifest.yml")?;
    /// assert_eq!(
    ///     manifest.warnings(),
    ///     ["manifest.yml: line 3: app dora: unknown property `memroy`, did you mean `memory`?"]
    /// );
    /// # Ok::<_, cf_pusher::manifest::ManifestError>(())
    /// ```
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The applications, in order.
    pub fn applications(&self) -> &[Application] {
        &self.applications
    }

    /// The file that the manifest was read from, if any.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The changes from `current` to this manifest. Apps are matched by name, and
    /// properties that this manifest leaves out are not compared.
    ///
    /// ```
    /// use cf_pusher::manifest::Manifest;
    ///
    /// let current = Manifest::parse("applications: [{name: dora, memory: 64M}]", "current")?;
    /// let desired = Manifest::parse("applications: [{name: dora, memory: 1G}]", "desired")?;
    /// assert!(desired.diff(&desired).is_empty());
    ///
    /// let lines = desired.diff(&current).lines(&desired, false);
    /// let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    /// assert_eq!(lines[3..], ["-   memory: 64M", "+   memory: 1G"]);
    /// # Ok::<_, cf_pusher::manifest::ManifestError>(())
    /// ```
    pub fn diff(&self, current: &Self) -> ManifestDiff {
        let current = self.applications.iter().map(|app| {
            let mut others = current.applications.iter();
            let other = others.find(|other| other.name() == app.name())?;
            Some(CurrentApp {
                has_routes: other.has("routes"),
                properties: other.0.clone(),
                compared: None,
            })
        });
        let current: Vec<Option<CurrentApp>> = current.collect();
        ManifestDiff::between(&self.to_value(), &current)
    }

    /// The name of the app at a position, or an empty string.
    pub(crate) fn name_of(&self, position: usize) -> &str {
        let app = self.applications.get(position);
        app.map_or("", Application::name)
    }

    /// Renames an app.
    pub(crate) fn rename_app(&mut self, position: usize, name: &str) {
        if let Some(app) = self.applications.get_mut(position) {
            app.set("name", name.into());
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut root = self.properties.clone();
        let applications = self.applications.iter();
        let applications = applications.map(|app| Value::Map(app.0.clone())).collect();
        root.set("applications", Value::List(applications));
        Value::Map(root)
    }

    /// The manifest as YAML.
    pub fn render(&self) -> String {
        format!("---\n{}", self.to_value().render())
    }

    /// The manifest as YAML, with `<redacted>` instead of credentials and, with
    /// `redact_env`, instead of the values of environment variables.
    pub fn render_redacted(&self, redact_env: bool) -> String {
        let value = diff::redacted(&self.to_value(), redact_env);
        format!("---\n{}", value.render())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Manifest {
        Manifest::parse(text, "test").unwrap()
    }

    #[test]
    fn relative_paths_stay_relative() {
        let relative = |from: &str, to: &str| relative_to(Path::new(from), Path::new(to));
        assert_eq!(relative("/a/b", "/a/b/c/d"), Path::new("c/d"));
        assert_eq!(relative("/a/b", "/a/c"), Path::new("../c"));
        assert_eq!(relative("/a/b", "/a/b"), Path::new("."));
    }

    #[test]
    fn known_properties_have_their_types() {
        let manifest = parse(
            "version: 1\nx: &x {memory: 1_024}\napplications:\n- <<: *x\n  name: 0123\n  instances: 0\n  timeout: 0\n  no-route: no\n  stack: ~\n  disk_quota: 1G\n  new: {deep: [~]}\n  processes: [{type: web, disk-quota: 2G, timeout: 2.7}, ~]\n",
        );
        assert_eq!(
            manifest.to_value(),
            Value::parse(
                "version: 1\napplications:\n- memory: '1024'\n  name: '83'\n  instances: 0\n  disk-quota: 1G\n  new: {deep: [~]}\n  processes: [{type: web, disk_quota: 2G, timeout: 2}, {type: ''}]\n"
            )
            .unwrap()
        );
    }

    proptest! {
        #[test]
        fn a_rendered_manifest_parses_to_the_same_manifest(
            name in "[a-z(yes)0-9:.]{1,8}",
            values in prop::collection::vec(("[a-z-]{1,9}", "[ -~]{0,12}", any::<i64>()), 0..6),
        ) {
            let mut app = Map::from_iter([("name".into(), Value::text(name))]);
            for (key, text, number) in values {
                let value = Value::List(vec![Value::text(text), Value::Int(number.into())]);
                app.set(format!("x-{key}").as_str(), value);
            }
            let apps = Value::List(vec![Value::Map(app)]);
            let root = Map::from_iter([("applications".into(), apps)]);
            let manifest = Manifest::from_value(Value::Map(root)).unwrap();
            let again = Manifest::from_value(Value::parse(&manifest.render()).unwrap());
            prop_assert_eq!(again, Ok(manifest));
        }
    }
}

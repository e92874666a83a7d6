//! App manifests, with no I/O but reading files: parse, interpolate, transform
//! with the flags of `push`, diff, render.
//!
//! A manifest keeps every property, known or not, at every level and in order.
//! What is known has the type that the `cf` CLI gives it, and where it is empty
//! it is left out, so that what is applied means the same as what `cf push` applies.

pub(crate) mod diff;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod group;
pub(crate) mod interpolate;
pub(crate) mod overrides;
mod properties;
pub(crate) mod size;
pub(crate) mod transform;
pub(crate) mod yaml;

use std::path::{Path, PathBuf};

use interpolate::{InterpolateError, Variables};
use overrides::{FlagError, Overrides};
use properties::{Level, PropertyError};
use transform::TransformError;
use yaml::{Map, Value};

/// The names that the `cf` CLI looks for, in its order.
const FILE_NAMES: [&str; 2] = ["manifest.yml", "manifest.yaml"];

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the manifest {path} cannot be used: {reason}")]
pub struct ManifestError {
    path: PathBuf,
    reason: String,
}

/// Why there is no manifest to apply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error(transparent)]
    Flags(#[from] FlagError),
    #[error("--var: {0}")]
    Var(InterpolateError),
    #[error("the variables {path} cannot be used: {reason}")]
    VarsFile { path: PathBuf, reason: String },
    #[error("{path} has no manifest.yml; give the manifest with --manifest, or --no-manifest")]
    NoManifest { path: PathBuf },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{0}")]
    Transform(#[from] TransformError),
}

/// What `push` works with.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The manifest to apply.
    pub(crate) manifest: Manifest,
    /// The manifest with what a deployment scales: the same where there is none.
    pub(crate) scaled: Manifest,
    pub(crate) flags: Overrides,
}

/// Reads the manifest that the flags mean, or that of the working directory,
/// and changes it as they say.
///
/// # Errors
/// [`PrepareError`] where `push` is to refuse before it sends anything.
pub(crate) fn prepare(flags: Overrides) -> Result<Prepared, PrepareError> {
    let flags = flags.checked()?;
    let variables = variables(&flags)?;
    let manifest = transform::transform(base(&flags, &variables)?, &flags)?;
    Ok(Prepared {
        scaled: transform::scaled(manifest.clone(), &flags)?,
        manifest,
        flags,
    })
}

fn base(flags: &Overrides, variables: &Variables) -> Result<Manifest, PrepareError> {
    let none = Manifest::of_app(flags.app.as_deref());
    if flags.no_manifest {
        return Ok(none);
    }
    let given = flags.manifest.as_deref();
    let here = std::env::current_dir().unwrap_or_default();
    let path = given.unwrap_or(&here);
    let refused = |error: std::io::Error| ManifestError {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut located = locate(path).map_err(refused)?;
    if let (Some(file), Some(_)) = (&located, given) {
        // A link in a folder that was given is followed, as the CLI does.
        located = Some(without_links(file).map_err(refused)?);
    }
    match (located, given) {
        (Some(file), _) => Ok(Manifest::read(&file, variables)?),
        (None, Some(given)) => Err(PrepareError::NoManifest {
            path: given.to_owned(),
        }),
        (None, None) => Ok(none),
    }
}

fn variables(flags: &Overrides) -> Result<Variables, PrepareError> {
    let mut variables = Variables::default();
    for path in &flags.vars_files {
        let refused = |reason: String| PrepareError::VarsFile {
            path: path.clone(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let added = variables.add_file(&text);
        added.map_err(|error| refused(error.to_string()))?;
    }
    for pair in &flags.vars {
        variables.add_pair(pair).map_err(PrepareError::Var)?;
    }
    Ok(variables)
}

/// Apps and their properties.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// What stands beside `applications`, and where that stands.
    properties: Map,
    /// At least one.
    applications: Vec<Application>,
    /// The file that it was read from.
    path: Option<PathBuf>,
}

/// One app's properties.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Application(Map);

/// Where a directory has its manifest, or the file itself.
pub(crate) fn locate(path: &Path) -> std::io::Result<Option<PathBuf>> {
    let path = without_links(path)?;
    if !path.is_dir() {
        return Ok(Some(path));
    }
    let mut files = FILE_NAMES.iter().map(|name| path.join(name));
    Ok(files.find(|file| file.exists()))
}

/// A path that is there, with its links resolved; what is relative stays so.
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
    /// The manifest of an app that has none; its name may yet be missing.
    pub(crate) fn of_app(name: Option<&str>) -> Self {
        let mut app = Application::default();
        if let Some(name) = name {
            app.set("name", name.into());
        }
        Self {
            properties: Map::default(),
            applications: vec![app],
            path: None,
        }
    }

    /// Reads a file and puts variables in place.
    ///
    /// # Errors
    /// [`ManifestError`], which names the file.
    pub(crate) fn read(path: &Path, variables: &Variables) -> Result<Self, ManifestError> {
        let refused = |reason: String| ManifestError {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        let text = String::from_utf8(text).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        let mut manifest = Self::parse(&text, variables).map_err(refused)?;
        manifest.path = Some(path.to_owned());
        Ok(manifest)
    }

    /// Reads a text and puts variables in place.
    pub(crate) fn parse(text: &str, variables: &Variables) -> Result<Self, String> {
        let value = Value::parse(text).map_err(|error| format!("it is not YAML: {error}"))?;
        let value = variables.interpolate(value);
        Self::of_value(value.map_err(|error| error.to_string())?)
    }

    fn of_value(value: Value) -> Result<Self, String> {
        let root = match value {
            Value::Map(root) => root,
            Value::Null => Map::default(),
            other => {
                let kind = other.kind();
                return Err(format!("it is {kind}, must be a map with `applications`"));
            }
        };
        let mut properties = properties::root(root).map_err(|error| error.to_string())?;
        let applications = match properties.get_mut("applications").map(std::mem::take) {
            Some(Value::List(list)) if !list.is_empty() => list,
            Some(Value::List(_) | Value::Null) | None => {
                return Err("it must have at least one application".to_owned());
            }
            Some(other) => {
                let kind = other.kind();
                return Err(format!("`applications` is {kind}, must be a list"));
            }
        };
        let applications = applications.into_iter().map(Application::of_value);
        Ok(Self {
            properties,
            applications: applications.collect::<Result<_, _>>()?,
            path: None,
        })
    }

    pub(crate) fn applications(&self) -> &[Application] {
        &self.applications
    }

    /// The file that it was read from, if there was one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut root = self.properties.clone();
        let applications = self.applications.iter();
        let applications = applications.map(|app| Value::Map(app.0.clone())).collect();
        root.set("applications", Value::List(applications));
        Value::Map(root)
    }

    /// As YAML, to be applied.
    pub(crate) fn render(&self) -> String {
        format!("---\n{}", self.to_value().render())
    }
}

impl Application {
    fn of_value(value: Value) -> Result<Self, String> {
        let map = match value {
            Value::Map(map) => map,
            Value::Null => Map::default(),
            other => {
                let kind = other.kind();
                return Err(format!("an application is {kind}, must be a map"));
            }
        };
        let name = map.get("name").and_then(Value::scalar_text);
        let told = |error: PropertyError| match &name {
            Some(name) => format!("app {name}: {error}"),
            None => error.to_string(),
        };
        properties::application(map).map(Self).map_err(told)
    }

    /// Its name; empty if it has none.
    pub(crate) fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    pub(crate) fn get(&self, property: &str) -> Option<&Value> {
        self.0.get(property)
    }

    /// A property that is a text.
    pub(crate) fn text(&self, property: &str) -> Option<&str> {
        self.get(property)?.as_text()
    }

    /// Whether a property is there and true.
    pub(crate) fn is(&self, property: &str) -> bool {
        self.get(property) == Some(&Value::Bool(true))
    }

    pub(crate) fn has(&self, property: &str) -> bool {
        self.0.contains(property)
    }

    /// A property of its `docker`, such as `image`.
    pub(crate) fn docker(&self, property: &str) -> Option<&str> {
        self.get("docker")?.as_map()?.get(property)?.as_text()
    }

    pub(crate) fn properties(&self) -> &Map {
        &self.0
    }

    fn set(&mut self, property: &str, value: Value) {
        self.0.set(property, value);
    }

    /// Changes the properties that flags for the web process are about: those of
    /// the process where the manifest has one, else the app's own.
    fn change_web(&mut self, change: impl FnOnce(&mut Map, Level)) {
        let is_web = |process: &&mut Map| process.get("type") == Some(&"web".into());
        if let Some(Value::List(processes)) = self.0.get_mut("processes")
            && let Some(web) = processes
                .iter_mut()
                .filter_map(Value::as_map_mut)
                .find(is_web)
        {
            return change(web, Level::Process);
        }
        change(&mut self.0, Level::App);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Manifest {
        Manifest::parse(text, &Variables::default()).unwrap()
    }

    #[test]
    fn a_path_stays_relative() {
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
                "version: 1\nx: {memory: 1024}\napplications:\n- memory: '1024'\n  name: '83'\n  instances: 0\n  disk-quota: 1G\n  new: {deep: [~]}\n  processes: [{type: web, disk_quota: 2G, timeout: 2}, {type: ''}]\n"
            )
            .unwrap()
        );
    }

    proptest! {
        #[test]
        fn what_is_rendered_means_the_same(
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
            let manifest = Manifest::of_value(Value::Map(root)).unwrap();
            let again = Manifest::of_value(Value::parse(&manifest.render()).unwrap());
            prop_assert_eq!(again, Ok(manifest));
        }
    }
}

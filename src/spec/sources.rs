//! Finds the bits and manifests of a scaling test's groups, each in the user's folder or
//! in a bundled folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;

use super::scaling::{GroupKind, ScalingTest};
use crate::desired::Bits;
use crate::manifest::entry::{EntryError, ManifestEntry};
use crate::manifest::{Manifest, ManifestError, Variables};

/// The bundled apps.
#[derive(RustEmbed)]
#[folder = "fixtures/apps"]
struct BundledApps;

/// The properties that the parameters of a scaling test set, so that a group's manifest
/// does not have to.
const SET_BY_PARAMETERS: [&str; 7] = [
    "instances",
    "path",
    "routes",
    "no-route",
    "random-route",
    "default-route",
    "host",
];

/// The bits and manifests of the groups of a scaling test.
#[derive(Debug, Clone)]
pub struct Sources {
    groups: BTreeMap<GroupKind, Source>,
}

#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) bits: Bits,
    pub(crate) entry: ManifestEntry,
    /// The properties of the manifests that are not applied to any app.
    warnings: Vec<String>,
}

impl Source {
    fn bundled(kind: GroupKind) -> Result<Self, SourceError> {
        let files = bundled_files(kind);
        let path = Path::new(kind.name()).join("manifest.yml");
        let manifest = match files.get("manifest.yml") {
            Some(text) => {
                let text = String::from_utf8_lossy(text);
                let manifest = Manifest::parse(&text, &path.display().to_string())?;
                Some((path, manifest))
            }
            None => None,
        };
        Self::new(Bits::files(files), manifest)
    }

    fn of_folder(dir: &Path, kind: GroupKind) -> Result<Self, SourceError> {
        let folder = dir.join(kind.name());
        if !folder.is_dir() {
            return Err(SourceError::Missing {
                dir: dir.to_owned(),
                group: kind.name(),
            });
        }
        let manifest = match Manifest::locate(&folder)? {
            Some(path) => {
                let manifest = Manifest::read(&path, &Variables::default())?;
                Some((path, manifest))
            }
            None => None,
        };
        Self::new(Bits::folder(folder), manifest)
    }

    fn new(bits: Bits, manifest: Option<(PathBuf, Manifest)>) -> Result<Self, SourceError> {
        let (entry, warnings) = match manifest {
            Some((path, manifest)) => entry(&path, &manifest)?,
            None => (ManifestEntry::default(), Vec::new()),
        };
        Ok(Self {
            bits,
            entry,
            warnings,
        })
    }
}

/// The reason why the sources of a scaling test cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The folder of the apps lacks the folder of a group.
    #[error("the apps folder {dir} has no folder `{group}`")]
    Missing {
        /// The folder of the apps.
        dir: PathBuf,
        /// The group's name.
        group: &'static str,
    },
    /// The folder of the apps does not exist.
    #[error("the apps folder {dir} does not exist")]
    NoFolder {
        /// The folder of the apps.
        dir: PathBuf,
    },
    /// The folder of the apps is a file.
    #[error("the apps folder {dir} is not a folder")]
    NotAFolder {
        /// The path of the file.
        dir: PathBuf,
    },
    /// A group's `manifest.yml` cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Sources {
    /// Reads the manifests that a scaling test needs: from `apps_dir`, or from the
    /// bundled apps. The convergence reads the bits.
    ///
    /// # Errors
    ///
    /// [`SourceError`], which names the folder.
    pub fn read(test: &ScalingTest, apps_dir: Option<&Path>) -> Result<Self, SourceError> {
        Self::of_kinds(&test.kinds(), apps_dir)
    }

    pub(super) fn of_kinds(
        kinds: &[GroupKind],
        apps_dir: Option<&Path>,
    ) -> Result<Self, SourceError> {
        if let Some(dir) = apps_dir.filter(|dir| !dir.is_dir()) {
            let dir = dir.to_owned();
            return Err(match dir.exists() {
                true => SourceError::NotAFolder { dir },
                false => SourceError::NoFolder { dir },
            });
        }
        let source = |kind: &GroupKind| {
            let source = match apps_dir {
                None => Source::bundled(*kind),
                Some(dir) => Source::of_folder(dir, *kind),
            };
            Ok((*kind, source?))
        };
        let groups = kinds.iter().map(source);
        let groups = groups.collect::<Result<_, SourceError>>()?;
        Ok(Self { groups })
    }

    pub(crate) fn get(&self, kind: GroupKind) -> Option<&Source> {
        self.groups.get(&kind)
    }

    /// The properties of the manifests that are not applied to any app.
    pub fn warnings(&self) -> Vec<String> {
        let sources = self.groups.values();
        sources.flat_map(|source| source.warnings.clone()).collect()
    }
}

/// The files of a bundled app, by path.
fn bundled_files(kind: GroupKind) -> BTreeMap<String, Vec<u8>> {
    let folder = format!("{}/", kind.name());
    let names = BundledApps::iter().filter(|name| name.starts_with(&folder));
    let files = names.filter_map(|name| {
        let content = BundledApps::get(&name)?.data.into_owned();
        Some((name.strip_prefix(&folder)?.to_owned(), content))
    });
    files.collect()
}

/// The bits of a bundled app, by name.
pub(super) fn bundled(name: &str) -> Option<Bits> {
    let kind = GroupKind::ALL.into_iter().find(|it| it.name() == name)?;
    Some(Bits::files(bundled_files(kind)))
}

/// The name of the bundled app with these bits.
pub(super) fn bundled_name(bits: &Bits) -> Option<&'static str> {
    let mut kinds = GroupKind::ALL.into_iter();
    let kind = kinds.find(|kind| *bits == Bits::files(bundled_files(*kind)))?;
    Some(kind.name())
}

fn refused(path: &Path, reason: String) -> ManifestError {
    ManifestError::invalid(path.display(), reason)
}

/// The properties of a manifest's only application that apply to the group's apps.
fn entry(path: &Path, manifest: &Manifest) -> Result<(ManifestEntry, Vec<String>), ManifestError> {
    let [app] = manifest.applications() else {
        let count = manifest.applications().len();
        let reason = format!("it must contain one application, but contains {count}");
        return Err(refused(path, reason));
    };
    let application =
        serde_json::to_value(crate::manifest::yaml::Value::Map(app.properties().clone()));
    let application = application.map_err(|error| refused(path, error.to_string()))?;
    let mut warnings = Vec::new();
    let mut properties = serde_json::Map::new();
    for (key, value) in application.as_object().cloned().unwrap_or_default() {
        if SET_BY_PARAMETERS.contains(&key.as_str()) {
            continue;
        }
        if ManifestEntry::is_known(&key) {
            properties.insert(key, value);
        } else {
            warnings.push(format!(
                "{}: `{key}` is not a property of an app",
                path.display()
            ));
        }
    }
    let entry = ManifestEntry::from_value(serde_json::Value::Object(properties));
    let entry = entry.map_err(|error: EntryError| refused(path, error.to_string()))?;
    Ok((entry, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_sets_the_properties_of_its_group() {
        let text = "---\napplications:\n- name: tick\n  memory: 32M\n  disk_quota: 1G\n  buildpacks: [go_buildpack]\n  command: ./tick\n  instances: 7\n  stack: cflinuxfs4\n  host: other\n  unheard-of: 1\n  env:\n    A: b\n    NUM: 180\n    T: true\n";
        let manifest = Manifest::parse(text, "test").unwrap();
        let (entry, warnings) = entry(Path::new("m.yml"), &manifest).unwrap();
        assert_eq!(entry.memory_mb(), Some(32));
        assert_eq!(entry.disk_mb(), Some(1024));
        assert_eq!(entry.buildpacks(), ["go_buildpack"]);
        assert_eq!(entry.command(), Some("./tick"));
        assert_eq!(entry.env()["NUM"], "180");
        assert_eq!(entry.get("stack").unwrap(), "cflinuxfs4");
        assert_eq!(entry.instances(), None);
        assert_eq!(
            warnings,
            ["m.yml: `unheard-of` is not a property of an app"]
        );
    }

    #[test]
    fn a_manifest_must_have_one_application() {
        let manifest = Manifest::parse("applications: [{}, {}]", "test").unwrap();
        let error = entry(Path::new("m.yml"), &manifest)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("it must contain one application, but contains 2"),
            "{error}"
        );
    }
}

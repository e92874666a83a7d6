//! Where the groups' bits come from: a folder for each, of the user or bundled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;
use tempfile::TempDir;

use super::bits::{Bits, BitsError};
use crate::config::Config;
use crate::desired::{GroupKind, kinds_of};
use crate::manifest::ManifestError;
use crate::manifest::group::GroupManifest;

/// The apps that are used where the user gives none.
#[derive(RustEmbed)]
#[folder = "fixtures/apps"]
struct BundledApps;

/// The bits and manifests of the groups that a configuration asks for.
#[derive(Debug)]
pub struct Sources {
    groups: BTreeMap<GroupKind, Source>,
    /// Holds the bundled apps for as long as they are needed.
    _bundled: Option<TempDir>,
}

#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) bits: Bits,
    pub(crate) manifest: GroupManifest,
}

/// Why the groups' bits cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The folder of the apps, or of one of its groups, is missing.
    #[error("the apps folder {dir} has no folder `{group}`")]
    Missing {
        /// The folder of the apps.
        dir: PathBuf,
        /// The group's name.
        group: &'static str,
    },
    /// The folder of the apps is missing.
    #[error("the apps folder {dir} does not exist")]
    NoFolder {
        /// The folder of the apps.
        dir: PathBuf,
    },
    /// A group's bits cannot be read.
    #[error("{0}")]
    Bits(String),
    /// A group's `manifest.yml` cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The bundled apps cannot be written to a temporary folder.
    #[error("unpacking the bundled apps failed: {0}")]
    Unpack(#[from] std::io::Error),
}

impl From<BitsError> for SourceError {
    fn from(error: BitsError) -> Self {
        Self::Bits(error.to_string())
    }
}

impl Sources {
    /// Reads what a configuration needs: from `apps_dir`, or else the bundled apps.
    ///
    /// # Errors
    /// [`SourceError`], which names the folder.
    pub fn read(config: &Config, apps_dir: Option<&Path>) -> Result<Self, SourceError> {
        let kinds = kinds_of(config);
        match apps_dir {
            None => Self::bundled(&kinds),
            Some(dir) if dir.is_dir() => Ok(Self {
                groups: read_groups(dir, &kinds)?,
                _bundled: None,
            }),
            Some(dir) => Err(SourceError::NoFolder {
                dir: dir.to_owned(),
            }),
        }
    }

    pub(crate) fn bundled(kinds: &[GroupKind]) -> Result<Self, SourceError> {
        let dir = tempfile::tempdir()?;
        for name in BundledApps::iter() {
            let Some(file) = BundledApps::get(&name) else {
                continue;
            };
            let path = dir.path().join(name.as_ref());
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&path, file.data)?;
        }
        Ok(Self {
            groups: read_groups(dir.path(), kinds)?,
            _bundled: Some(dir),
        })
    }

    pub(crate) fn get(&self, kind: GroupKind) -> Option<&Source> {
        self.groups.get(&kind)
    }

    /// What the manifests hold and convergence does not apply.
    pub fn warnings(&self) -> Vec<String> {
        let manifests = self.groups.values().map(|source| &source.manifest);
        manifests
            .flat_map(|manifest| manifest.warnings.clone())
            .collect()
    }
}

fn read_groups(
    dir: &Path,
    kinds: &[GroupKind],
) -> Result<BTreeMap<GroupKind, Source>, SourceError> {
    kinds
        .iter()
        .map(|kind| {
            let folder = dir.join(kind.name());
            if !folder.is_dir() {
                return Err(SourceError::Missing {
                    dir: dir.to_owned(),
                    group: kind.name(),
                });
            }
            let source = Source {
                manifest: GroupManifest::read(&folder)?,
                bits: Bits::read(&folder)?,
            };
            Ok((*kind, source))
        })
        .collect()
}

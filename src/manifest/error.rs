//! The reasons why a manifest cannot be used.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::{VariablesError, YamlError};

/// The reason why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("reading the manifest {} failed: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The text is not YAML.
    #[error("invalid manifest {origin}: invalid YAML: {source}")]
    Yaml {
        /// The file, or the origin given to [`Manifest::parse`](super::Manifest::parse).
        origin: String,
        /// The cause.
        source: YamlError,
    },
    /// The variables cannot be interpolated.
    #[error("invalid manifest {origin}: {source}")]
    Variables {
        /// The file, or the origin given to [`Manifest::parse`](super::Manifest::parse).
        origin: String,
        /// The cause.
        source: VariablesError,
    },
    /// A property is missing or has a wrong type.
    #[error("invalid manifest {origin}: {reason}")]
    Invalid {
        /// The file, or the origin given to [`Manifest::parse`](super::Manifest::parse).
        origin: String,
        /// The property and the allowed values, but not the actual value, which may be
        /// secret.
        reason: String,
    },
}

impl ManifestError {
    pub(crate) fn invalid(origin: impl fmt::Display, reason: String) -> Self {
        Self::Invalid {
            origin: origin.to_string(),
            reason,
        }
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }
}

//! Errors about bits, with the name of the file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zip::result::ZipError;

use crate::capi::error::Error;

/// The reason why the bits in a folder or an archive cannot be read. The message names
/// the file.
#[derive(Debug, thiserror::Error)]
#[error("{} failed: {reason}", work(path, reason))]
pub struct BitsError {
    path: PathBuf,
    #[source]
    reason: Reason,
}

/// The cause of a [`BitsError`].
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error("no such file or folder")]
    Missing,
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("not a folder or file")]
    Neither,
    #[error("no files to push")]
    Empty,
    #[error("not a folder, zip, jar or war file: {0}")]
    NoArchive(ZipError),
    #[error("{name}: {error}")]
    Io { name: String, error: io::Error },
    #[error("{name}: {error}")]
    Entry { name: String, error: ZipError },
    #[error("{0}")]
    Walk(#[from] walkdir::Error),
    #[error("{0} is not UTF-8; rename it, or exclude it with .cfignore")]
    NotUtf8(String),
    #[error("{name} is a {kind}; remove it, or exclude it with .cfignore")]
    Special { name: String, kind: &'static str },
    #[error(".cfignore has too many patterns; make it shorter")]
    TooManyPatterns,
    #[error("the path {0} leads out of the archive")]
    LeadsOut(String),
    #[error("the archive unpacks to more than 8 GiB")]
    TooLarge,
    #[error("{0} is larger than its size in the archive's directory")]
    LargerThanSaid(String),
    #[error("the archive contains {0} twice")]
    Twice(String),
    #[error("{0} changed while it was read")]
    Changed(String),
    #[error("{}", cause_of_zip(.0))]
    Zip(ZipError),
    #[error("a reading thread ended early")]
    Thread,
}

/// The failed work, with the path of the bits.
fn work(path: &Path, reason: &Reason) -> String {
    let work = match reason {
        Reason::Zip(_) => "zipping",
        _ => "reading",
    };
    format!("{work} the bits in {}", path.display())
}

/// The message without the outer layers of errors of the file system.
fn cause_of_zip(error: &ZipError) -> String {
    match error {
        ZipError::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

impl From<BitsError> for Error {
    fn from(error: BitsError) -> Self {
        Self::Local {
            what: work(&error.path, &error.reason),
            reason: error.reason.to_string(),
            source: Some(Arc::new(error)),
        }
    }
}

impl Reason {
    pub(super) fn io(name: &str) -> impl FnOnce(io::Error) -> Self {
        let name = name.to_owned();
        move |error| Self::Io { name, error }
    }

    pub(super) fn of(self, path: &Path) -> BitsError {
        BitsError {
            path: path.to_owned(),
            reason: self,
        }
    }
}

/// An error of writing the zip file.
pub(super) fn unwritten(error: impl Into<ZipError>) -> Reason {
    Reason::Zip(error.into())
}

//! Why bits cannot be read or zipped, naming the file that is to blame.

use std::io;
use std::path::{Path, PathBuf};

use zip::result::ZipError;

/// Why the bits of a folder or an archive cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the bits in {path}: {reason}")]
pub(crate) struct BitsError {
    path: PathBuf,
    reason: Reason,
}

/// What is wrong with them.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error("there is no such file or folder")]
    Missing,
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("it is neither a folder nor a file")]
    Neither,
    #[error("it holds no files to push")]
    Empty,
    #[error("it is neither a folder nor a zip file: {0}; give a folder, or a zip, jar or war file")]
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
    #[error("{0} is in it, and leads out of it; make it again without such paths")]
    LeadsOut(String),
    #[error("{0} is in it twice; make it again with each file once")]
    Twice(String),
    #[error("{0} changed while it was being read; push again when nothing writes to it")]
    Changed(String),
    #[error("cannot write the zip file: {0}; check TMPDIR")]
    Zip(ZipError),
    #[error("a thread that read it ended early")]
    Thread,
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

/// Writing fails with one or the other; reading has reasons of its own.
pub(super) fn unwritten(error: impl Into<ZipError>) -> Reason {
    Reason::Zip(error.into())
}

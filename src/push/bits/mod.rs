//! The bits of an app: the files of a folder or an archive, hashed and zipped.
//!
//! Hash and zip depend only on the paths, permissions and contents of the files, so the
//! same bits give the same result on every machine. The hash covers only the executable
//! bit of the permissions, because the others depend on the umask of the checkout. Files
//! are read twice, for the hash and for the zip, and are never completely in memory.

mod archive;
mod contents;
mod error;
mod folder;
mod ignores;
pub(crate) mod temporary;
mod zipped;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use contents::Contents;
pub use error::BitsError;
use error::Reason;
use temporary::{TemporaryFile, TemporaryFolder};

/// The mode that the `cf` CLI gives every folder.
const FOLDER_MODE: u32 = 0o755;

/// The mode of links, which do not have permissions.
const LINK_MODE: u32 = 0o777;

/// The minimum size of a file in the Cloud Controller's resource pool, in bytes: the
/// default of `resource_pool.minimum_size`.
const MIN_POOLED_SIZE: u64 = 65_536;

/// The minimum mode of a resource. The Cloud Controller refuses resources that their
/// owner may not read and write.
const MIN_POOLED_MODE: u32 = 0o600;

/// The maximum number of digests that a thread computes ahead of the collecting thread.
const DIGESTS_AHEAD: usize = 256;

/// The SHA-1 of a file, which identifies it in the Cloud Controller's pool.
pub(crate) type FileId = [u8; 20];

/// The files of an app's folder or archive.
#[derive(Debug, Clone)]
pub(crate) struct Bits {
    source: Source,
    /// Sorted by path.
    entries: Vec<Entry>,
    sha256: String,
    /// Keeps a temporary folder while its files are needed.
    _folder: Option<Arc<TemporaryFolder>>,
}

#[derive(Debug, Clone)]
enum Source {
    Folder(PathBuf),
    Archive(PathBuf),
}

#[derive(Debug, Clone)]
struct Entry {
    /// The path, relative to the root, with `/` between its parts.
    name: String,
    mode: u32,
    kind: EntryKind,
    /// The position in an archive.
    index: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum EntryKind {
    File { sha1: FileId, size: u64 },
    Dir,
    Link(String),
}

impl EntryKind {
    /// A file that has not been read yet.
    fn unread() -> Self {
        Self::File {
            sha1: FileId::default(),
            size: 0,
        }
    }
}

/// A file that may be in the Cloud Controller's resource pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resource<'b> {
    pub(crate) path: &'b str,
    pub(crate) mode: u32,
    pub(crate) sha1: FileId,
    pub(crate) size: u64,
}

/// The digests of a file and its size in bytes.
struct Digests {
    sha1: FileId,
    sha256: [u8; 32],
    size: u64,
}

impl Bits {
    /// Lists and hashes the files in a folder or an archive, except those that
    /// `.cfignore` excludes.
    pub(crate) fn read(path: &Path) -> Result<Self, BitsError> {
        Self::try_read(path).map_err(|reason| reason.of(path))
    }

    /// Reads the bits in a temporary folder, which is kept as long as the bits.
    pub(crate) fn read_temporary(folder: Arc<TemporaryFolder>) -> Result<Self, BitsError> {
        let bits = Self::read(folder.path())?;
        Ok(Self {
            _folder: Some(folder),
            ..bits
        })
    }

    fn try_read(path: &Path) -> Result<Self, Reason> {
        let source = Source::at(path)?;
        let mut entries = match &source {
            Source::Folder(root) => folder::list(root)?,
            Source::Archive(file) => archive::list(file)?,
        };
        if entries.iter().all(|entry| entry.kind == EntryKind::Dir) {
            return Err(Reason::Empty);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let sha256 = hash(&source, &mut entries)?;
        Ok(Self {
            source,
            entries,
            sha256,
            _folder: None,
        })
    }

    /// The SHA-256 of names, contents and executable bits, in hex.
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The files that may be in the Cloud Controller's resource pool.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        self.entries.iter().filter_map(Entry::resource)
    }

    /// Zips all files except the `known` ones into a temporary file. `None` if there is
    /// nothing to zip. The same bits give the same bytes.
    pub(crate) fn zip(&self, known: &HashSet<FileId>) -> Result<Option<TemporaryFile>, BitsError> {
        let rest = self.rest(known);
        if rest.is_empty() {
            return Ok(None);
        }
        let zip = zipped::write(&self.source, &rest);
        zip.map(Some)
            .map_err(|reason| reason.of(self.source.path()))
    }

    /// The entries to upload. If only folders are left, they are uploaded only if one of
    /// them is empty, because the paths of the known files imply the other folders.
    fn rest(&self, known: &HashSet<FileId>) -> Vec<&Entry> {
        let is_known =
            |entry: &Entry| matches!(entry.resource(), Some(it) if known.contains(&it.sha1));
        let rest: Vec<&Entry> = self.entries.iter().filter(|it| !is_known(it)).collect();
        if rest.iter().any(|entry| !self.is_implied(entry)) {
            return rest;
        }
        Vec::new()
    }

    /// Whether an entry is a folder that is not empty.
    fn is_implied(&self, entry: &Entry) -> bool {
        let below = format!("{}/", entry.name);
        let at = self.entries.partition_point(|other| other.name < below);
        let next = self.entries.get(at);
        entry.kind == EntryKind::Dir && next.is_some_and(|next| next.name.starts_with(&below))
    }
}

impl Source {
    fn at(path: &Path) -> Result<Self, Reason> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Self::Folder(path.to_owned())),
            Ok(metadata) if metadata.is_file() => Ok(Self::Archive(path.to_owned())),
            Ok(_) => Err(Reason::Neither),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Reason::Missing),
            Err(error) => Err(Reason::Unreadable(error)),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Archive(path) => path,
        }
    }
}

impl Entry {
    fn resource(&self) -> Option<Resource<'_>> {
        match self.kind {
            EntryKind::File { sha1, size }
                if size >= MIN_POOLED_SIZE && self.mode & MIN_POOLED_MODE == MIN_POOLED_MODE =>
            {
                Some(Resource {
                    path: &self.name,
                    mode: self.mode,
                    sha1,
                    size,
                })
            }
            _ => None,
        }
    }
}

/// Reads every file once, sets its SHA-1 and size, and returns the SHA-256 of all files.
fn hash(source: &Source, entries: &mut [Entry]) -> Result<String, Reason> {
    let files: Vec<&Entry> = entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::File { .. }))
        .collect();
    let mut digests = Vec::with_capacity(files.len());
    contents::in_order(source, &files, DIGESTS_AHEAD, digest, |_, digest| {
        digests.push(digest);
        Ok(())
    })?;
    let mut digests = digests.into_iter();
    let mut hasher = Sha256::new();
    for entry in entries {
        let (kind, content) = match &mut entry.kind {
            EntryKind::Dir => ('d', Sha256::digest([]).into()),
            EntryKind::Link(target) => ('l', Sha256::digest(target.as_bytes()).into()),
            EntryKind::File { sha1, size } => {
                let read = digests.next().ok_or(Reason::Thread)?;
                (*sha1, *size) = (read.sha1, read.size);
                ('f', read.sha256)
            }
        };
        let runs = kind == 'f' && entry.mode & 0o111 != 0;
        hasher.update(format!("{kind} {runs} {}\0", entry.name));
        hasher.update(content);
    }
    Ok(hex(&hasher.finalize()))
}

fn digest(contents: &mut Contents, entry: &Entry) -> Result<Digests, Reason> {
    let (mut sha1, mut sha256, mut size) = (Sha1::new(), Sha256::new(), 0);
    contents.read(entry, &mut |piece| {
        sha1.update(piece);
        sha256.update(piece);
        size += piece.len() as u64;
        Ok(())
    })?;
    Ok(Digests {
        sha1: sha1.finalize().into(),
        sha256: sha256.finalize().into(),
        size,
    })
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;

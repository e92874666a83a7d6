//! The bits of an app: the files of a folder or an archive, hashed and zipped.
//!
//! Both depend on the files' paths, permissions and contents alone, so that
//! the same bits are the same everywhere. Of the permissions, the hash knows
//! only who may run a file: the rest is the checkout's umask. Files are read
//! twice, for their hashes and for the zip, and never held as a whole.

mod archive;
mod contents;
mod error;
mod folder;
mod ignores;
mod zipped;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use contents::Contents;
pub(crate) use error::BitsError;
use error::Reason;

/// What the `cf` CLI gives every folder.
const FOLDER_MODE: u32 = 0o755;

/// Links have no permissions of their own.
const LINK_MODE: u32 = 0o777;

/// Cloud Controller keeps no smaller files in its pool unless an operator sets
/// `resource_pool.minimum_size` lower: 65536 is its release's default.
const SMALLEST_POOLED: u64 = 65_536;

/// Files of which neither reading nor writing is allowed to their owner are
/// refused as resources.
const LEAST_POOLED_MODE: u32 = 0o600;

/// How many digests a thread may be ahead of the one that collects them.
const DIGESTS_AHEAD: usize = 256;

/// The SHA-1 of a file, by which Cloud Controller knows it.
pub(crate) type FileId = [u8; 20];

/// The files of an app's folder or archive.
#[derive(Debug, Clone)]
pub(crate) struct Bits {
    source: Source,
    /// Sorted by path.
    entries: Vec<Entry>,
    sha256: String,
}

#[derive(Debug, Clone)]
enum Source {
    Folder(PathBuf),
    Archive(PathBuf),
}

#[derive(Debug, Clone)]
struct Entry {
    /// Relative, with `/`.
    name: String,
    mode: u32,
    kind: Kind,
    /// Where it is in an archive.
    index: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    File { sha1: FileId, size: u64 },
    Dir,
    Link(String),
}

impl Kind {
    /// A file whose content is not known yet.
    fn unread() -> Self {
        Self::File {
            sha1: FileId::default(),
            size: 0,
        }
    }
}

/// A file that Cloud Controller may have in its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resource<'b> {
    pub(crate) path: &'b str,
    pub(crate) mode: u32,
    pub(crate) sha1: FileId,
    pub(crate) size: u64,
}

/// What one reading of a file tells.
struct Digests {
    sha1: FileId,
    sha256: [u8; 32],
    size: u64,
}

impl Bits {
    /// Lists and hashes what is in a folder or an archive, without what its
    /// `.cfignore` excludes.
    pub(crate) fn read(path: &Path) -> Result<Self, BitsError> {
        Self::try_read(path).map_err(|reason| reason.of(path))
    }

    fn try_read(path: &Path) -> Result<Self, Reason> {
        let source = Source::at(path)?;
        let mut entries = match &source {
            Source::Folder(root) => folder::list(root)?,
            Source::Archive(file) => archive::list(file)?,
        };
        if entries.iter().all(|entry| entry.kind == Kind::Dir) {
            return Err(Reason::Empty);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let sha256 = hash(&source, &mut entries)?;
        Ok(Self {
            source,
            entries,
            sha256,
        })
    }

    /// The SHA-256 of names, contents and what may run, in hex.
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The files that Cloud Controller may have already: those that its pool takes.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        self.entries.iter().filter_map(Entry::resource)
    }

    /// Zips all but the `known` files into a temporary file: the same bits, the
    /// same bytes. There is none where nothing is left to be sent.
    pub(crate) fn zip(&self, known: &HashSet<FileId>) -> Result<Option<NamedTempFile>, BitsError> {
        let rest = self.rest(known);
        if rest.is_empty() {
            return Ok(None);
        }
        let zip = zipped::write(&self.source, &rest);
        zip.map(Some)
            .map_err(|reason| reason.of(self.source.path()))
    }

    /// What must be sent. Folders only where something else is, or if they are
    /// empty: the paths of the known files tell of the others.
    fn rest(&self, known: &HashSet<FileId>) -> Vec<&Entry> {
        let is_known =
            |entry: &Entry| matches!(entry.resource(), Some(it) if known.contains(&it.sha1));
        let rest: Vec<&Entry> = self.entries.iter().filter(|it| !is_known(it)).collect();
        if rest.iter().any(|entry| !self.is_implied(entry)) {
            return rest;
        }
        Vec::new()
    }

    /// Whether it is a folder with something in it.
    fn is_implied(&self, entry: &Entry) -> bool {
        let below = format!("{}/", entry.name);
        let at = self.entries.partition_point(|other| other.name < below);
        let next = self.entries.get(at);
        entry.kind == Kind::Dir && next.is_some_and(|next| next.name.starts_with(&below))
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
            Kind::File { sha1, size }
                if size >= SMALLEST_POOLED
                    && self.mode & LEAST_POOLED_MODE == LEAST_POOLED_MODE =>
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

/// Reads every file once: sets their SHA-1s and sizes, returns the SHA-256 of all.
fn hash(source: &Source, entries: &mut [Entry]) -> Result<String, Reason> {
    let files: Vec<&Entry> = entries
        .iter()
        .filter(|entry| matches!(entry.kind, Kind::File { .. }))
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
            Kind::Dir => ('d', Sha256::digest([]).into()),
            Kind::Link(target) => ('l', Sha256::digest(target.as_bytes()).into()),
            Kind::File { sha1, size } => {
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

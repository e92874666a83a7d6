//! Zips bits. The same entries give the same bytes.

use std::fs::File;
use std::io::{BufWriter, Write};

use sha1::{Digest, Sha1};
use zip::write::{PreparedZipFile, SimpleFileOptions, ZipFileBuilder};
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::contents::{self, Contents};
use super::error::{Reason, unwritten};
use super::temporary::TemporaryFile;
use super::{Entry, EntryKind, Source};

/// Smaller files are compressed in memory by several threads, and larger files directly
/// into the zip file.
const LARGE: u64 = 1024 * 1024;

/// The maximum number of files that a thread compresses ahead of the writing thread.
const FILES_AHEAD: usize = 4;

/// The minimum size that needs the zip64 format.
const ZIP64: u64 = u32::MAX as u64;

type Zip = ZipWriter<BufWriter<File>>;

/// Zips entries into a temporary file.
pub(super) fn write(source: &Source, entries: &[&Entry]) -> Result<TemporaryFile, Reason> {
    let file = TemporaryFile::new(".zip").map_err(unwritten)?;
    let reopened = file.reopen().map_err(unwritten)?;
    let mut zip = ZipWriter::new(BufWriter::new(reopened));
    let mut contents = Contents::open(source)?;
    contents::in_order(
        source,
        entries,
        FILES_AHEAD,
        prepare,
        |entry, prepared| match prepared {
            Some(prepared) => zip.add_prepared_file(prepared).map_err(unwritten),
            None => add(&mut zip, &mut contents, entry),
        },
    )?;
    let mut written = zip.finish().map_err(unwritten)?;
    written.flush().map_err(unwritten)?;
    Ok(file)
}

/// Compresses a small file in memory. `None` for other entries.
fn prepare(contents: &mut Contents, entry: &Entry) -> Result<Option<PreparedZipFile>, Reason> {
    if !matches!(entry.kind, EntryKind::File { size, .. } if size <= LARGE) {
        return Ok(None);
    }
    let mut file = ZipFileBuilder::new(&entry.name, options(entry)).map_err(unwritten)?;
    copy(contents, entry, &mut file)?;
    file.finish().map(Some).map_err(unwritten)
}

fn add(zip: &mut Zip, contents: &mut Contents, entry: &Entry) -> Result<(), Reason> {
    let (name, options) = (entry.name.as_str(), options(entry));
    match &entry.kind {
        EntryKind::Dir => zip.add_directory(name, options).map_err(unwritten),
        EntryKind::Link(target) => zip.add_symlink(name, target, options).map_err(unwritten),
        EntryKind::File { .. } => {
            zip.start_file(name, options).map_err(unwritten)?;
            copy(contents, entry, zip)
        }
    }
}

/// Checks that the written content is the hashed content.
fn copy(contents: &mut Contents, entry: &Entry, to: &mut impl Write) -> Result<(), Reason> {
    let changed = || Reason::Changed(entry.name.clone());
    let (mut sha1, mut length) = (Sha1::new(), 0_u64);
    contents.read(entry, &mut |piece| {
        sha1.update(piece);
        length += piece.len() as u64;
        // Checked while reading, because a growing file may never end.
        if matches!(entry.kind, EntryKind::File { size, .. } if length > size) {
            return Err(changed());
        }
        to.write_all(piece).map_err(unwritten)
    })?;
    let read = EntryKind::File {
        sha1: sha1.finalize().into(),
        size: length,
    };
    (read == entry.kind).then_some(()).ok_or_else(changed)
}

fn options(entry: &Entry) -> SimpleFileOptions {
    let large = matches!(entry.kind, EntryKind::File { size, .. } if size >= ZIP64);
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(entry.mode)
        .large_file(large)
}

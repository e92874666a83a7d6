//! The bits of an archive. Any file that ends with a zip directory is an archive,
//! including a jar that begins with a script.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::error::Reason;
use super::ignores::{self, Ignores};
use super::{Entry, EntryKind, FOLDER_MODE, LINK_MODE};

/// An archive that is open for reading.
pub(super) type Archive = ZipArchive<BufReader<File>>;

/// The mode that the `cf` CLI gives every file of an archive.
const FILE_MODE: u32 = 0o744;

/// The maximum length of a link's target, in bytes. No path is longer.
const MAX_LINK: u64 = 4096;

/// The maximum size of all unpacked files, in bytes. A small archive can unpack to more
/// than any disk holds.
const MAX_UNPACKED: u64 = 8 * 1024 * 1024 * 1024;

pub(super) fn open(path: &Path) -> Result<Archive, Reason> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(Reason::io(&name))?;
    ZipArchive::new(BufReader::new(file)).map_err(Reason::NoArchive)
}

/// Lists the files of an archive that are not ignored, without reading them.
pub(super) fn list(path: &Path) -> Result<Vec<Entry>, Reason> {
    let mut archive = open(path)?;
    let ignores = Ignores::of_archive(&cfignore(&mut archive)?)?;
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    let mut unpacked = 0_u64;
    for index in 0..archive.len() {
        let Some(entry) = entry(&mut archive, index)? else {
            continue;
        };
        let size = archive
            .by_index_raw(index)
            .map_err(unread(&entry.name))?
            .size();
        unpacked = unpacked.saturating_add(size);
        if unpacked > MAX_UNPACKED {
            return Err(Reason::TooLarge);
        }
        if !seen.insert(entry.name.clone()) {
            return Err(Reason::Twice(entry.name));
        }
        // The path as written in the archive: folders end with a slash.
        let is_ignored = match entry.kind {
            EntryKind::Dir => ignores.ignores(&format!("{}/", entry.name)),
            _ => ignores.ignores(&entry.name),
        };
        if !is_ignored {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// The text of the first entry whose name ends with `.cfignore`. The `cf` CLI accepts it
/// in any folder.
fn cfignore(archive: &mut Archive) -> Result<String, Reason> {
    let named_so = |name: &str| name.ends_with(ignores::FILE);
    let index = archive
        .file_names()
        .position(|name| name.is_ok_and(|name| named_so(&name)));
    let Some(index) = index else {
        return Ok(String::new());
    };
    ignores::read(archive.by_index(index).map_err(unread(ignores::FILE))?)
}

fn unread(name: &str) -> impl FnOnce(ZipError) -> Reason {
    let name = name.to_owned();
    |error| Reason::Entry { name, error }
}

/// An entry of an archive. `None` for the archive's root folder.
fn entry(archive: &mut Archive, index: usize) -> Result<Option<Entry>, Reason> {
    let mut file = archive
        .by_index(index)
        .map_err(unread(&format!("entry {index}")))?;
    let raw = std::str::from_utf8(file.name_raw())
        .map_err(|_| Reason::NotUtf8(String::from_utf8_lossy(file.name_raw()).into_owned()))?
        .to_owned();
    let Some(name) = safe(&raw)? else {
        return Ok(None);
    };
    let (kind, mode) = if file.is_dir() {
        (EntryKind::Dir, FOLDER_MODE)
    } else if file.is_symlink() {
        let mut target = String::new();
        let mut link = file.by_ref().take(MAX_LINK);
        link.read_to_string(&mut target)
            .map_err(Reason::io(&name))?;
        (EntryKind::Link(target), LINK_MODE)
    } else {
        (EntryKind::unread(), FILE_MODE)
    };
    Ok(Some(Entry {
        name,
        mode,
        kind,
        index,
    }))
}

/// A path without empty parts and `.`. `None` if it leads out of the archive.
fn safe(raw: &str) -> Result<Option<String>, Reason> {
    let leads_out = raw.starts_with(['/', '\\']) || raw.split(['/', '\\']).any(|it| it == "..");
    if leads_out {
        return Err(Reason::LeadsOut(raw.to_owned()));
    }
    let parts: Vec<&str> = raw
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

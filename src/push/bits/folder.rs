//! The bits of a folder.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use super::error::Reason;
use super::ignores::{self, Ignores};
use super::{Entry, EntryKind, FOLDER_MODE, LINK_MODE};

/// Lists the files of a folder that are not ignored, without reading them.
pub(super) fn list(root: &Path) -> Result<Vec<Entry>, Reason> {
    let ignores = Ignores::of_folder(&cfignore(root)?)?;
    let is_ignored = |found: &DirEntry| {
        let relative = found.path().strip_prefix(root).unwrap_or(found.path());
        let parts: Vec<Cow<'_, str>> = relative.iter().map(OsStr::to_string_lossy).collect();
        ignores.ignores(&parts.join("/"))
    };
    WalkDir::new(root)
        .min_depth(1)
        .into_iter()
        // Skips `.git`, which `.cfignore` cannot include.
        .filter_entry(|found| !ignores::is_always_ignored(&found.file_name().to_string_lossy()))
        .filter(|found| !found.as_ref().is_ok_and(is_ignored))
        .map(|found| entry(root, &found?))
        .collect()
}

fn cfignore(root: &Path) -> Result<String, Reason> {
    let path = root.join(ignores::FILE);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        // Reading a pipe would wait for its writer.
        Ok(found) if !found.is_file() => {
            Err(Reason::io(ignores::FILE)(io::Error::other("not a file")))
        }
        _ => ignores::read(File::open(&path).map_err(Reason::io(ignores::FILE))?),
    }
}

fn entry(root: &Path, found: &DirEntry) -> Result<Entry, Reason> {
    let path = found.path();
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
    let not_utf8 = || Reason::NotUtf8(relative.display().to_string());
    let name = parts.ok_or_else(not_utf8)?.join("/");
    let metadata = found.metadata()?;
    let (kind, mode) = if metadata.file_type().is_symlink() {
        let target = fs::read_link(path).map_err(Reason::io(&name))?;
        let target = target.to_str().ok_or_else(not_utf8)?;
        (EntryKind::Link(target.to_owned()), LINK_MODE)
    } else if metadata.is_dir() {
        (EntryKind::Dir, FOLDER_MODE)
    } else if metadata.is_file() {
        (EntryKind::unread(), mode_of(&metadata))
    } else {
        let kind = special(metadata.file_type());
        return Err(Reason::Special { name, kind });
    };
    Ok(Entry {
        name,
        mode,
        kind,
        index: 0,
    })
}

#[cfg(unix)]
fn mode_of(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o777
}

/// On systems without permissions, all files are executable, as in the `cf` CLI.
#[cfg(not(unix))]
fn mode_of(_: &Metadata) -> u32 {
    0o766
}

#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "named pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "special file"
}

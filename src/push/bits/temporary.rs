//! Temporary files. If the process is killed, the next run deletes them.
//!
//! All temporary files of a process are in one folder, with a file that the process keeps
//! locked. A folder whose file is not locked belongs to a killed process.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::{Builder, NamedTempFile, TempDir};

/// The beginning of the folders' names.
const PREFIX: &str = "cf-pusher-";

/// The file in each folder that its process keeps locked.
const LOCK: &str = "cf-pusher.lock";

/// The number of attempts to create a folder while another process deletes it.
const MAX_ATTEMPTS: usize = 3;

/// The folder of this process. It is deleted when it is no longer used.
#[derive(Debug)]
struct ProcessFolder {
    // Dropped before the folder.
    _lock: File,
    folder: TempDir,
}

/// A temporary file.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    file: NamedTempFile,
    _folder: Arc<ProcessFolder>,
}

impl TemporaryFile {
    pub(crate) fn new(suffix: &str) -> io::Result<Self> {
        let folder = process_folder()?;
        Ok(Self {
            file: Builder::new()
                .suffix(suffix)
                .tempfile_in(folder.folder.path())?,
            _folder: folder,
        })
    }
}

impl Deref for TemporaryFile {
    type Target = NamedTempFile;

    fn deref(&self) -> &NamedTempFile {
        &self.file
    }
}

/// A temporary folder.
#[derive(Debug)]
pub(crate) struct TemporaryFolder {
    folder: TempDir,
    _folder: Arc<ProcessFolder>,
}

impl TemporaryFolder {
    pub(crate) fn new() -> io::Result<Self> {
        let folder = process_folder()?;
        Ok(Self {
            folder: TempDir::new_in(folder.folder.path())?,
            _folder: folder,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn process_folder() -> io::Result<Arc<ProcessFolder>> {
    static CURRENT: Mutex<Weak<ProcessFolder>> = Mutex::new(Weak::new());
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = current.upgrade() {
        return Ok(folder);
    }
    let parent = std::env::temp_dir();
    delete_leftovers(&parent);
    let folder = ProcessFolder::create(&parent).map_err(|error| {
        let (parent, kind) = (parent.display(), error.kind());
        let reason = format!("temporary files cannot be created in {parent} (TMPDIR): {kind}");
        io::Error::new(kind, reason)
    });
    let folder = Arc::new(folder?);
    *current = Arc::downgrade(&folder);
    Ok(folder)
}

impl ProcessFolder {
    fn create(parent: &Path) -> io::Result<Self> {
        for _ in 0..MAX_ATTEMPTS {
            let folder = Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let lock = File::create_new(folder.path().join(LOCK))?;
            match lock.try_lock() {
                // Another process has mistaken the folder for a leftover and is deleting
                // it.
                Err(TryLockError::WouldBlock) => continue,
                // On systems without locks, no folder is treated as a leftover.
                Ok(()) | Err(TryLockError::Error(_)) => {
                    return Ok(Self {
                        _lock: lock,
                        folder,
                    });
                }
            }
        }
        Err(io::Error::other(
            "temporary folders are deleted by another process",
        ))
    }
}

/// Deletes the folders of killed processes. A folder that cannot be deleted belongs to
/// someone else.
fn delete_leftovers(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_ours {
            continue;
        }
        let lock = File::options().write(true).open(entry.path().join(LOCK));
        if let Ok(lock) = lock
            && lock.try_lock().is_ok()
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::debug!(%error, "a temporary folder is left over");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_killed_processes_are_deleted() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, file: &str| {
            let folder = parent.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join(file), "").unwrap();
            folder
        };
        let killed = make("cf-pusher-killed", LOCK);
        std::fs::write(killed.join("bits.zip"), "zip").unwrap();
        let foreign = make("cf-pusher-foreign", "file");
        let other = make("other", LOCK);
        let running = ProcessFolder::create(parent.path()).unwrap();
        delete_leftovers(parent.path());
        assert!(!killed.exists());
        assert!(foreign.exists() && other.exists() && running.folder.path().exists());
    }

    #[test]
    fn files_are_deleted_with_their_last_user() {
        let file = TemporaryFile::new(".zip").unwrap();
        let folder = TemporaryFolder::new().unwrap();
        let (file_path, folder_path) = (file.path().to_owned(), folder.path().to_owned());
        assert!(file_path.exists() && folder_path.exists());
        drop((file, folder));
        assert!(!file_path.exists() && !folder_path.exists());
    }
}

//! Saves and loads the state of a mock: the world, the users, and the key that signs
//! tokens, so that logins stay valid.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::api::uaa::token::Tokens;
use crate::json::read_object;
use crate::world::World;
use crate::world::settings::Dialect;

/// The version of the file format.
const FORMAT: u32 = 3;

/// The content of a state file: owned after loading, and borrowed for saving.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedState<W, T> {
    mock_capi_state: u32,
    dialect: String,
    pub(crate) tokens: T,
    pub(crate) world: W,
}

/// A state that was loaded.
pub(crate) type LoadedState = SavedState<World, Tokens>;

/// The reason why a state cannot be loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The file exists but cannot be read.
    #[error("cannot read the state in {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Another mock uses the file.
    #[error("the state in {} is in use by another mock-capi", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a complete state.
    #[error("{} is not a state of mock-capi: {source}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The problem and its place in the file.
        source: serde_json::Error,
    },
    /// Another version wrote the file.
    #[error(
        "the state in {} has the format {found}, and this mock-capi reads {FORMAT}; use another file",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file was saved with the other dialect.
    #[error("the state in {} was saved with the dialect {saved}; use that dialect, or another file", path.display())]
    Dialect {
        /// The file.
        path: PathBuf,
        /// Its dialect.
        saved: String,
    },
    /// The file cannot be written. An existing file is not changed, unless only its
    /// folder could not be written.
    #[error("cannot save the state to {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

/// The world at one time, with its users and their logins. Returned by
/// [`CloudController::snapshot`](crate::CloudController::snapshot).
#[derive(Clone)]
pub struct Snapshot(pub(crate) Vec<u8>);

impl Snapshot {
    /// The JSON that `PUT /_mock/snapshot` accepts. It contains passwords.
    pub fn as_json(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("bytes", &self.0.len())
            .finish()
    }
}

/// The reason why a snapshot cannot be created or restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("snapshot: {0}")]
pub struct SnapshotError(pub(crate) String);

/// A locked state file, which no other mock can use.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// The open file. It is locked as long as it is open.
    lock: Mutex<Option<File>>,
}

impl StateFile {
    /// Locks a state file, and reads it if it exists. Fails if the state could not be
    /// saved.
    pub(crate) fn open(
        path: &Path,
        dialect: Dialect,
    ) -> Result<(Self, Option<LoadedState>), StateError> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = match file {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                let path = path.to_owned();
                return Err(StateError::Read { path, source });
            }
        };
        let loaded = match &file {
            Some(file) => {
                lock(file, path)?;
                Some(load(file, path, dialect)?)
            }
            None => None,
        };
        try_to_save(path)?;
        let path = path.to_owned();
        let lock = Mutex::new(file);
        Ok((Self { path, lock }, loaded))
    }

    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Releases the file for other mocks.
    pub(crate) fn release(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Saves a state. The file stays locked.
    pub(crate) fn save(&self, state: &impl Serialize) -> Result<(), StateError> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if cfg!(not(unix)) {
            // Some systems cannot replace an open file. No file is locked until the new
            // one is in place.
            *held = None;
        }
        *held = Some(replace(&self.path, state)?);
        Ok(())
    }
}

fn lock(file: &File, path: &Path) -> Result<(), StateError> {
    let path = path.to_owned();
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StateError::InUse { path }),
        Err(TryLockError::Error(source)) => Err(StateError::Write { path, source }),
    }
}

fn load(mut file: &File, path: &Path, dialect: Dialect) -> Result<LoadedState, StateError> {
    let mut text = Vec::new();
    if let Err(source) = file.read_to_end(&mut text) {
        let path = path.to_owned();
        return Err(StateError::Read { path, source });
    }
    let invalid = |problem: String| StateError::Invalid {
        path: path.to_owned(),
        source: serde_json::Error::custom(problem),
    };
    if text.trim_ascii().is_empty() {
        return Err(invalid("the file is empty".into()));
    }
    let head: StateHeader = read_object(&text).map_err(invalid)?;
    if let Some(found) = head.mock_capi_state.filter(|format| *format != FORMAT) {
        let path = path.to_owned();
        return Err(StateError::Format { path, found });
    }
    let state: LoadedState = read_object(&text).map_err(invalid)?;
    if state.dialect != dialect.to_string() {
        return Err(StateError::Dialect {
            path: path.to_owned(),
            saved: state.dialect,
        });
    }
    Ok(state)
}

/// The field that states of all versions have. All others may differ.
#[derive(Deserialize)]
struct StateHeader {
    mock_capi_state: Option<u32>,
}

impl<'s> SavedState<&'s World, &'s Tokens> {
    pub(crate) fn new(dialect: Dialect, tokens: &'s Tokens, world: &'s World) -> Self {
        Self {
            mock_capi_state: FORMAT,
            dialect: dialect.to_string(),
            tokens,
            world,
        }
    }
}

/// A state as JSON, in the format of [`save`].
pub(crate) fn snapshot(
    dialect: Dialect,
    tokens: &Tokens,
    world: &World,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&SavedState::new(dialect, tokens, world))
}

/// Reads the output of [`snapshot`].
pub(crate) fn from_snapshot(json: &[u8], dialect: Dialect) -> Result<LoadedState, String> {
    let StateHeader { mock_capi_state } = read_object(json)?;
    let format = mock_capi_state.ok_or(
        "it is not a snapshot, which begins with 'mock_capi_state': send what \
         GET /_mock/snapshot returned",
    )?;
    if format != FORMAT {
        return Err(format!(
            "it has the format {format}, and this mock-capi reads {FORMAT}: make a new one"
        ));
    }
    let state: LoadedState = read_object(json)?;
    if state.dialect != dialect.to_string() {
        return Err(format!(
            "it is from a mock with the dialect {}, and this one has {dialect}",
            state.dialect
        ));
    }
    Ok(state)
}

/// Replaces a state file, completely or not at all. On Unix, only its owner can read it,
/// because it contains passwords.
pub(crate) fn save(path: &Path, state: &impl Serialize) -> Result<(), StateError> {
    replace(path, state).map(drop)
}

/// Replaces a state file, and returns the new one, which is locked.
fn replace(path: &Path, state: &impl Serialize) -> Result<File, StateError> {
    let failed = |source| StateError::Write {
        path: path.to_owned(),
        source,
    };
    let (name, file) = match unnamed(path) {
        Some(file) => {
            lock(&file, path)?;
            write(&file, state).map_err(failed)?;
            (give_name(&file, path)?, file)
        }
        None => {
            let (name, file) = create_new(path)?;
            or_remove(&name, write(&file, state)).map_err(failed)?;
            (name, file)
        }
    };
    let placed = fs::rename(&name, path).and_then(|()| sync_folder(path));
    or_remove(&name, placed).map_err(failed)?;
    Ok(file)
}

/// Removes the new file if something failed.
fn or_remove(name: &Path, outcome: io::Result<()>) -> io::Result<()> {
    if outcome.is_err() {
        // The failure itself is reported. The file may not exist any more.
        let _ = fs::remove_file(name);
    }
    outcome
}

/// Checks that a state can be saved. Removes the temporary file of a mock that was killed
/// while it saved one.
fn try_to_save(path: &Path) -> Result<(), StateError> {
    let (name, _) = create_new(path)?;
    fs::remove_file(name).map_err(|source| StateError::Write {
        path: path.to_owned(),
        source,
    })
}

/// The name of the new file, in the folder of the old one. The name is always the same,
/// so that there is never more than one new file.
fn name_of_new(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// An empty file with the name of the new one.
fn create_new(path: &Path) -> Result<(PathBuf, File), StateError> {
    let name = name_of_new(path);
    let mut options = OpenOptions::new();
    // Truncated only after it was locked.
    options.write(true).create(true).truncate(false);
    keep_private(&mut options);
    let failed = |source| StateError::Write {
        path: path.to_owned(),
        source,
    };
    let file = options.open(&name).map_err(failed)?;
    lock(&file, path)?;
    file.set_len(0).map_err(failed)?;
    Ok((name, file))
}

/// An unnamed file in the folder of another one, which disappears if the process is
/// killed. `None` on systems without such files.
#[cfg(target_os = "linux")]
fn unnamed(path: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    // The file is later named through its path below `/proc`.
    let can_be_named = Path::new(OPEN_FILES).exists();
    let file = can_be_named.then(|| open(folder_of(path), flags, Mode::RUSR | Mode::WUSR));
    file?.ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path) -> Option<File> {
    None
}

#[cfg(target_os = "linux")]
const OPEN_FILES: &str = "/proc/self/fd";

/// Gives a file without a name that of the new one.
#[cfg(target_os = "linux")]
fn give_name(file: &File, path: &Path) -> Result<PathBuf, StateError> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let name = name_of_new(path);
    let own = format!("{OPEN_FILES}/{}", file.as_raw_fd());
    let link = || linkat(CWD, own.as_str(), CWD, &name, AtFlags::SYMLINK_FOLLOW);
    let linked = match link() {
        Err(rustix::io::Errno::EXIST) => {
            try_to_save(path)?;
            link()
        }
        linked => linked,
    };
    linked.map_err(|source| StateError::Write {
        path: path.to_owned(),
        source: source.into(),
    })?;
    Ok(name)
}

#[cfg(not(target_os = "linux"))]
fn give_name(_: &File, path: &Path) -> Result<PathBuf, StateError> {
    Ok(name_of_new(path))
}

fn write(file: &File, state: &impl Serialize) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    serde_json::to_writer(&mut writer, state)?;
    writer.write_all(b"\n")?;
    writer.flush()?;
    file.sync_all()
}

/// Lets only its owner read a new file.
#[cfg(unix)]
fn keep_private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

/// On other systems, a new file has the access rules of its folder.
#[cfg(not(unix))]
fn keep_private(_: &mut OpenOptions) {}

/// Writes the entry of a file in its folder to the disk.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// On other systems, folders cannot be opened as files.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde::Serializer;

    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap();
        let mut files: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    /// A state that lists the folder while it is being saved.
    struct Watching<'f> {
        folder: &'f Path,
        seen: RefCell<Vec<String>>,
    }

    impl Serialize for Watching<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.seen.replace(files(self.folder));
            serializer.serialize_str("state")
        }
    }

    #[test]
    fn a_kill_while_a_state_is_written_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("world.json");
        let watching = Watching {
            folder: folder.path(),
            seen: RefCell::default(),
        };
        // On systems without unnamed files, a killed mock leaves this file.
        fs::write(name_of_new(&path), "{").unwrap();
        save(&path, &"first").unwrap();
        save(&path, &watching).unwrap();
        let expected: &[&str] = match unnamed(&path) {
            Some(_) => &["world.json"],
            None => &["world.json", "world.json.new"],
        };
        assert_eq!(*watching.seen.borrow(), expected);
        assert_eq!(files(folder.path()), ["world.json"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "\"state\"\n");
    }
}

//! A mock's state in a file, from which a later mock goes on: the world, the
//! users, and what tokens are signed with, so that logins last.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::api::uaa::token::Tokens;
use crate::world::settings::Dialect;
use crate::world::{Guid, World};

/// What files say that this version writes and reads.
const FORMAT: u32 = 1;

/// A state file: what a mock owns while it runs, or borrows to write it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedState<W, T> {
    mock_capi_state: u32,
    dialect: String,
    pub(crate) signing_key: Guid,
    pub(crate) tokens: T,
    pub(crate) world: W,
}

/// A state that was read.
pub(crate) type LoadedState = SavedState<World, Tokens>;

/// Why a state cannot be loaded or saved.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file is there, and cannot be read.
    #[error("cannot read the state in {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is no state, or not a whole one.
    #[error("{} is no state of mock-capi: {source}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: serde_json::Error,
    },
    /// Another version wrote the file.
    #[error("the state in {} has the format {found}, and this mock-capi reads {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file is of a mock that spoke the other dialect.
    #[error("the state in {} is of the dialect {saved}: start with that one, or with another file", path.display())]
    Dialect {
        /// The file.
        path: PathBuf,
        /// Its dialect.
        saved: String,
    },
    /// The file cannot be written; unless its folder alone could not be, what was
    /// there before is there still.
    #[error("cannot save the state to {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Reads a state; `None` if there is no such file yet.
pub(crate) fn load(path: &Path, dialect: Dialect) -> Result<Option<LoadedState>, StateError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(StateError::Read { path, source });
        }
    };
    let invalid = |source| StateError::Invalid {
        path: path.to_owned(),
        source,
    };
    // What another version wrote may differ in everything else.
    #[derive(Deserialize)]
    struct Head {
        mock_capi_state: u32,
    }
    let head: Head = serde_json::from_slice(&text).map_err(invalid)?;
    if head.mock_capi_state != FORMAT {
        return Err(StateError::Format {
            path: path.to_owned(),
            found: head.mock_capi_state,
        });
    }
    let state: LoadedState = serde_json::from_slice(&text).map_err(invalid)?;
    if state.dialect != dialect.to_string() {
        return Err(StateError::Dialect {
            path: path.to_owned(),
            saved: state.dialect,
        });
    }
    Ok(Some(state))
}

/// A state as JSON, as [`save`] writes it.
pub(crate) fn snapshot(
    dialect: Dialect,
    signing_key: Guid,
    tokens: &Tokens,
    world: &World,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&SavedState {
        mock_capi_state: FORMAT,
        dialect: dialect.to_string(),
        signing_key,
        tokens,
        world,
    })
}

/// Reads what [`snapshot`] made.
pub(crate) fn from_snapshot(json: &[u8], dialect: Dialect) -> Result<LoadedState, String> {
    let state: LoadedState = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if state.mock_capi_state != FORMAT {
        let found = state.mock_capi_state;
        return Err(format!("it has the format {found}, not {FORMAT}"));
    }
    if state.dialect != dialect.to_string() {
        return Err(format!("it is of the dialect {}", state.dialect));
    }
    Ok(state)
}

/// Writes a state in the place of the file, all of it or nothing. Only its
/// owner can read it: it has passwords.
pub(crate) fn save(
    path: &Path,
    dialect: Dialect,
    signing_key: Guid,
    tokens: &Tokens,
    world: &World,
) -> Result<(), StateError> {
    let state = SavedState {
        mock_capi_state: FORMAT,
        dialect: dialect.to_string(),
        signing_key,
        tokens,
        world,
    };
    write(path, &state).map_err(|source| StateError::Write {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, state: &impl Serialize) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    serde_json::to_writer(&mut writer, state)?;
    writer.write_all(b"\n")?;
    writer.flush()?;
    drop(writer);
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The name lasts once its folder is written.
    File::open(folder)?.sync_all()
}

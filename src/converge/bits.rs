//! Reads and hashes the bits of the groups.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::ConvergeError;
use crate::desired::{Bits as Source, Desired};
use crate::push::bits::temporary::TemporaryFolder;
use crate::push::bits::{Bits, BitsError};

/// Why bits cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupBitsError {
    /// The folder or archive cannot be read.
    #[error(transparent)]
    Unreadable(#[from] BitsError),
    /// Files in memory cannot be written to a temporary folder.
    #[error("cannot write the files to a temporary folder: {0}")]
    Unpack(#[from] io::Error),
    /// A path of a file in memory leads out of the app's folder.
    #[error("the path {0} is not one of a file in the app's folder")]
    Path(String),
}

/// Reads the bits of all groups, in their order.
pub(super) async fn read(desired: &Desired) -> Result<Vec<Bits>, ConvergeError> {
    let groups: Vec<(String, Source)> = desired
        .groups()
        .map(|placed| (placed.group.name.clone(), placed.group.bits.clone()))
        .collect();
    let read = tokio::task::spawn_blocking(move || {
        let groups = groups.into_iter();
        groups
            .map(|(group, source)| {
                read_one(&source).map_err(|source| ConvergeError::Bits { group, source })
            })
            .collect()
    });
    read.await.unwrap_or_else(|error| {
        Err(ConvergeError::Bits {
            group: String::new(),
            source: GroupBitsError::Unpack(io::Error::other(error)),
        })
    })
}

fn read_one(source: &Source) -> Result<Bits, GroupBitsError> {
    match source {
        Source::Folder(path) | Source::Archive(path) => Ok(Bits::read(path)?),
        // Refused before: see `supported`.
        Source::Droplet(_) | Source::None => Err(GroupBitsError::Path(String::new())),
        Source::Files(files) => {
            let folder = unpacked(files)?;
            Ok(Bits::read_temporary(Arc::new(folder))?)
        }
    }
}

fn unpacked(files: &BTreeMap<String, Vec<u8>>) -> Result<TemporaryFolder, GroupBitsError> {
    let folder = TemporaryFolder::new()?;
    for (name, content) in files {
        let path = Path::new(name);
        let is_inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || name.is_empty() {
            return Err(GroupBitsError::Path(name.clone()));
        }
        let path = folder.path().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, content)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_memory_are_read_as_those_of_a_folder() {
        let folder = TemporaryFolder::new().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/main.go"), "package main").unwrap();
        let of_folder = read_one(&Source::folder(folder.path())).unwrap();
        let of_memory = read_one(&Source::files([("sub/main.go", "package main")])).unwrap();
        assert_eq!(of_memory.sha256(), of_folder.sha256());
    }

    #[test]
    fn files_stay_in_their_folder() {
        for path in ["../x", "/x", "", "a/../../x"] {
            let error = read_one(&Source::files([(path, "")])).unwrap_err();
            assert!(matches!(error, GroupBitsError::Path(_)), "{error}");
        }
    }
}

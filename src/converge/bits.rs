//! Reads and hashes the bits of the groups.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::ConvergeError;
use crate::desired::{Bits as Source, Desired};
use crate::manifest::entry::DockerImage;
use crate::push::bits::temporary::TemporaryFolder;
use crate::push::bits::{Bits, BitsError, hex};

/// The reason why bits cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupBitsError {
    /// The folder or archive cannot be read.
    #[error(transparent)]
    Unreadable(#[from] BitsError),
    /// Files in memory cannot be written to a temporary folder.
    #[error("cannot write the files to a temporary folder: {0}")]
    Unpack(#[from] io::Error),
    /// The file of a droplet cannot be read.
    #[error("cannot read the droplet {}: {source}", path.display())]
    Droplet {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// A path of a file in memory leads out of the app's folder.
    #[error("invalid path {0} for a file in the app's folder")]
    Path(String),
}

/// The source of the droplet of a group's prototype.
#[derive(Debug, Clone)]
pub(crate) enum GroupBits {
    /// Bits that are staged.
    Source(Bits),
    /// A file that is uploaded as a droplet.
    Droplet {
        path: PathBuf,
        /// The droplet's checksum.
        sha256: String,
    },
    /// A Docker image, which the Cloud Controller stages.
    Image {
        image: String,
        /// User and password.
        login: Option<(String, SecretString)>,
        /// The hash of the image's name and the user. The password is not part of it,
        /// because it could be guessed from the hash.
        sha256: String,
    },
    /// No bits: the apps are copies of another group, or keep their current droplets.
    None,
}

impl GroupBits {
    /// The SHA-256 of the bits or of the droplet. Empty if there are none.
    pub(crate) fn sha256(&self) -> &str {
        match self {
            Self::Source(bits) => bits.sha256(),
            Self::Droplet { sha256, .. } | Self::Image { sha256, .. } => sha256,
            Self::None => "",
        }
    }
}

/// Reads the bits of all groups, in their order. Bits that several groups share are read
/// once.
pub(super) async fn read(desired: &Desired) -> Result<Vec<GroupBits>, ConvergeError> {
    let groups: Vec<(String, Source, Option<GroupBits>)> = desired
        .groups()
        .map(|placed| {
            let group = placed.group;
            let (source, image) = match group.like {
                Some(_) => (Source::None, None),
                None => (group.bits.clone(), group.entry.docker().map(image)),
            };
            (group.name.clone(), source, image)
        })
        .collect();
    let read = tokio::task::spawn_blocking(move || {
        let mut known: HashMap<&Source, GroupBits> = HashMap::new();
        let mut all = Vec::with_capacity(groups.len());
        for (group, source, image) in &groups {
            if let Some(image) = image {
                all.push(image.clone());
                continue;
            }
            let bits = match known.get(source) {
                Some(bits) => bits.clone(),
                None => read_one(source).map_err(|source| {
                    let group = group.clone();
                    ConvergeError::Bits { group, source }
                })?,
            };
            known.insert(source, bits.clone());
            all.push(bits);
        }
        Ok(all)
    });
    read.await.unwrap_or_else(|error| {
        Err(ConvergeError::Bits {
            group: String::new(),
            source: GroupBitsError::Unpack(io::Error::other(error)),
        })
    })
}

fn image(docker: DockerImage<'_>) -> GroupBits {
    let login = docker.username.zip(docker.password);
    GroupBits::Image {
        image: docker.image.to_owned(),
        login: login.map(|(username, password)| (username.to_owned(), password.into())),
        sha256: image_sha256(docker.image, docker.username),
    }
}

/// A hash of an image and the user of its registry, which is compared like the SHA-256 of
/// bits.
pub(super) fn image_sha256(image: &str, username: Option<&str>) -> String {
    hex(&Sha256::digest(format!("docker {image:?} {username:?}")))
}

fn read_one(source: &Source) -> Result<GroupBits, GroupBitsError> {
    Ok(match source {
        Source::Folder(path) | Source::Archive(path) => GroupBits::Source(Bits::read(path)?),
        Source::Files(files) => {
            let folder = unpacked(files)?;
            GroupBits::Source(Bits::read_temporary(Arc::new(folder))?)
        }
        Source::Droplet(path) => GroupBits::Droplet {
            sha256: checksum(path).map_err(|source| GroupBitsError::Droplet {
                path: path.clone(),
                source,
            })?,
            path: path.clone(),
        },
        Source::None => GroupBits::None,
    })
}

/// The SHA-256 of a file.
fn checksum(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        // A pipe could block forever, and cannot be read again for the upload.
        return Err(io::Error::other("not a file"));
    }
    let mut file = io::BufReader::new(std::fs::File::open(path)?);
    let mut hash = Sha256::new();
    loop {
        let part = file.fill_buf()?;
        if part.is_empty() {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(part);
        let read = part.len();
        file.consume(read);
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
    fn files_in_memory_are_read_like_those_of_a_folder() {
        let folder = TemporaryFolder::new().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/main.go"), "package main").unwrap();
        let of_folder = read_one(&Source::folder(folder.path())).unwrap();
        let of_memory = read_one(&Source::files([("sub/main.go", "package main")])).unwrap();
        assert_eq!(of_memory.sha256(), of_folder.sha256());
    }

    #[test]
    fn files_cannot_leave_their_folder() {
        for path in ["../x", "/x", "", "a/../../x"] {
            let error = read_one(&Source::files([(path, "")])).unwrap_err();
            assert!(matches!(error, GroupBitsError::Path(_)), "{error}");
        }
    }
}

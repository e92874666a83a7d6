//! The files of packages, by checksum: the files of an upload, and the files that the
//! Cloud Controller already has, so that clients need not send them again.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::path::{Component, Path};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use zip::ZipArchive;

use super::{Bits, World, sha256};

/// The sizes of files that are remembered. Only sizes between the bounds, exclusive, are
/// matched.
const REMEMBERED_SIZES: std::ops::RangeInclusive<u64> = 65_536..=536_870_912;

/// The maximum total size of a package's files, in bytes.
const MAX_PACKAGE_SIZE: u64 = 1_073_741_824;

/// The mode of a resource without one.
const DEFAULT_MODE: u32 = 0o744;

/// The minimum permissions of an app's files.
const MIN_MODE: u32 = 0o600;

/// The error for bits that are not a readable zip archive.
pub(super) const NO_ARCHIVE: &str = "The app upload is invalid: Invalid zip archive.";

/// A SHA-1 checksum.
pub(super) type Checksum = [u8; 20];

/// A file of a package. Returned by
/// [`CloudController::package_files`](crate::CloudController::package_files).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFile {
    /// The path in the package, such as `src/main.go`.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// The permissions. `None` if the archive did not contain any.
    pub mode: Option<u32>,
    /// The SHA-1 checksum, in hexadecimal.
    pub sha1: String,
}

/// A file that a client expects the Cloud Controller to have.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) path: Option<String>,
    pub(crate) sha1: String,
    /// The octal digits as they were sent.
    pub(crate) mode: Option<String>,
}

/// The result of an upload.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) files: Arc<[PackageFile]>,
    pub(crate) sha256: String,
    /// The Cloud Controller's message if the upload is not a valid package.
    pub(crate) error: Option<String>,
}

impl World {
    /// Whether a file with this checksum, size and mode need not be sent.
    pub(crate) fn matches_resource(&self, sha1: &str, size: u64, mode: Option<&str>) -> bool {
        let sized = REMEMBERED_SIZES.start() < &size && &size < REMEMBERED_SIZES.end();
        let readable = mode.is_some_and(|mode| octal(mode) >= MIN_MODE);
        sized && readable && parse(sha1).is_some_and(|sha1| self.resources.contains_key(&sha1))
    }

    /// Reads the bits of an upload, remembers its files, and adds the files that the
    /// client did not send.
    pub(crate) fn unpack(&mut self, bits: Option<&Bits>, resources: &[Resource]) -> Contents {
        let mut files = BTreeMap::new();
        let unpacked = match bits {
            None if resources.is_empty() => Err(NO_ARCHIVE.into()),
            None => Ok(Vec::new()),
            Some(bits) => bits.files.clone(),
        };
        let appended = unpacked.and_then(|unpacked| {
            for file in unpacked {
                if let Some(sha1) =
                    parse(&file.sha1).filter(|_| REMEMBERED_SIZES.contains(&file.size))
                {
                    self.resources.insert(sha1, file.size);
                }
                files.insert(file.path.clone(), file);
            }
            for file in self.find_resources(resources)? {
                files.insert(file.path.clone(), file);
            }
            check_size(files.values().map(|file| file.size))
        });
        let files: Vec<PackageFile> = files.into_values().collect();
        let sha256 = match bits {
            Some(bits) if resources.is_empty() => {
                self.keep(bits);
                bits.sha256.clone()
            }
            _ => sha256(format!("{files:?}").as_bytes()),
        };
        Contents {
            files: files.into(),
            sha256,
            error: appended.err(),
        }
    }

    /// Keeps bits for downloads, unless they are too large.
    pub(crate) fn keep(&mut self, bits: &Bits) {
        if let Some(content) = &bits.content {
            self.blobs.keep(&bits.sha256, content);
        }
    }

    /// Finds the files of resources. All resources are validated before any is looked up.
    fn find_resources(&self, resources: &[Resource]) -> Result<Vec<PackageFile>, String> {
        let mut files = Vec::new();
        for resource in resources {
            let path = resource
                .path
                .as_deref()
                .ok_or("no implicit conversion of nil into String")?;
            if !is_safe(path) {
                return Err(format!(
                    "The resource file path is invalid: File path '{path}' is not safe."
                ));
            }
            let mode = resource.mode.as_deref().map_or(DEFAULT_MODE, octal);
            if mode & MIN_MODE != MIN_MODE {
                let mode = resource.mode.as_deref().unwrap_or_default();
                return Err(format!(
                    "The resource file mode is invalid: File mode '{mode}' with path '{path}' is \
                     invalid. Minimum file mode is '0600'"
                ));
            }
            files.push(PackageFile {
                path: path.into(),
                size: 0,
                mode: Some(mode),
                sha1: resource.sha1.to_lowercase(),
            });
        }
        for file in &mut files {
            let known = parse(&file.sha1).and_then(|sha1| self.resources.get(&sha1));
            file.size = *known.ok_or_else(|| {
                let sha1 = &file.sha1;
                format!("Could not find object '{sha1}', 404/Not Found")
            })?;
        }
        Ok(files)
    }
}

/// The files of a zip archive.
pub(super) fn list_archive(
    archive: &mut ZipArchive<impl Read + Seek>,
) -> Result<Vec<PackageFile>, String> {
    // The Cloud Controller refuses data in front of the archive.
    if archive.offset() > 0 {
        return Err(NO_ARCHIVE.into());
    }
    if archive.is_empty() {
        return Err("The app upload is invalid: Invalid zip archive (zipfile is empty).".into());
    }
    let mut files = Vec::new();
    let mut sizes: u64 = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|_| NO_ARCHIVE)?;
        if entry.is_dir() {
            continue;
        }
        // The size that an entry declares may be wrong.
        check_size([sizes, entry.size()])?;
        let left = MAX_PACKAGE_SIZE.saturating_sub(sizes);
        let (size, sha1) = hash(&mut entry, left).map_err(|_| NO_ARCHIVE)?;
        sizes = sizes.saturating_add(size);
        check_size([sizes])?;
        let path = entry.name().map_err(|_| NO_ARCHIVE)?.into_owned();
        if path.starts_with('/') {
            return Err(NO_ARCHIVE.into());
        }
        files.push(PackageFile {
            path,
            size,
            mode: entry.unix_mode().map(|mode| mode & 0o7777),
            sha1,
        });
    }
    Ok(files)
}

fn check_size(sizes: impl IntoIterator<Item = u64>) -> Result<(), String> {
    let size = sizes.into_iter().fold(0, u64::saturating_add);
    if size > MAX_PACKAGE_SIZE {
        return Err(format!(
            "The app package is invalid: Package may not be larger than {MAX_PACKAGE_SIZE} bytes"
        ));
    }
    Ok(())
}

/// The size and the checksum of a file, which is read in chunks. Reading stops one byte
/// beyond the maximum size.
fn hash(file: &mut impl Read, most: u64) -> io::Result<(u64, String)> {
    let mut file = file.take(most + 1);
    let (mut sha1, mut size) = (Sha1::new(), 0);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        size += u64::try_from(count).unwrap_or(u64::MAX);
        sha1.update(&piece[..count]);
    }
    let sha1 = sha1.finalize();
    let hex = sha1.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((size, hex))
}

/// Leading octal digits, as Ruby reads them.
fn octal(text: &str) -> u32 {
    let digits = text.trim_start();
    let end = digits
        .find(|c: char| !('0'..='7').contains(&c))
        .unwrap_or(digits.len());
    u32::from_str_radix(&digits[..end], 8).unwrap_or_default()
}

fn parse(sha1: &str) -> Option<Checksum> {
    let mut checksum = Checksum::default();
    if sha1.len() != 2 * checksum.len() || !sha1.is_ascii() {
        return None;
    }
    for (index, byte) in checksum.iter_mut().enumerate() {
        *byte = u8::from_str_radix(sha1.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(checksum)
}

/// Whether a path stays inside the package.
fn is_safe(path: &str) -> bool {
    let mut depth: i64 = 0;
    Path::new(path).components().all(|component| {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return false,
        }
        depth >= 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_package() {
        assert!(is_safe("a/../b"));
        for path in ["/etc/passwd", "../a", "a/../../b"] {
            assert!(!is_safe(path), "{path}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(octal("0644"), 0o644);
        assert_eq!(octal("755"), 0o755);
        assert_eq!(octal("x"), 0);
    }
}

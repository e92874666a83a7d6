//! The bits of an app: the files of a folder, hashed and zipped.
//!
//! Both depend on the files' paths, permissions and contents alone, so that
//! the same bits are the same everywhere. Of the permissions, the hash knows
//! only who may run a file: the rest is the checkout's umask.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// What the `cf` CLI never uploads.
const DEFAULT_IGNORES: &str =
    ".cfignore\n/manifest.yml\n/manifest.yaml\n.gitignore\n.git\n.hg\n.svn\n_darcs\n.DS_Store\n";

/// Why bits cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the bits in {path}: {reason}")]
pub(crate) struct BitsError {
    path: PathBuf,
    reason: String,
}

/// The files of an app's folder.
#[derive(Debug, Clone)]
pub(crate) struct Bits {
    dir: PathBuf,
    /// Sorted by path.
    files: Vec<Entry>,
    sha256: String,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Relative, with `/`.
    name: String,
    mode: u32,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    File,
    Dir,
    Link(String),
}

impl Bits {
    /// Lists and hashes a folder, without what its `.cfignore` excludes.
    pub(crate) fn read(dir: &Path) -> Result<Self, BitsError> {
        let failed = |reason: String| BitsError {
            path: dir.to_owned(),
            reason,
        };
        let mut files = list(dir).map_err(failed)?;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        if !files.iter().any(|entry| entry.kind != Kind::Dir) {
            return Err(failed("it holds no files to push".to_owned()));
        }
        let mut bits = Self {
            dir: dir.to_owned(),
            files,
            sha256: String::new(),
        };
        bits.sha256 = bits.hash().map_err(|error| failed(error.to_string()))?;
        Ok(bits)
    }

    /// The SHA-256 of names, contents and what may run, in hex.
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    fn hash(&self) -> io::Result<String> {
        let mut hasher = Sha256::new();
        for entry in &self.files {
            let (kind, content) = match &entry.kind {
                Kind::Dir => ('d', Sha256::digest([])),
                Kind::Link(target) => ('l', Sha256::digest(target)),
                Kind::File => {
                    let mut content = Sha256::new();
                    let mut file = File::open(self.dir.join(&entry.name))?;
                    copy(&mut file, &mut |chunk| {
                        content.update(chunk);
                        Ok(())
                    })?;
                    ('f', content.finalize())
                }
            };
            let runs = kind == 'f' && entry.mode & 0o111 != 0;
            hasher.update(format!("{kind} {runs} {}\0", entry.name));
            hasher.update(content);
        }
        Ok(hex(&hasher.finalize()))
    }

    /// Zips the files into a temporary file: the same bits, the same bytes.
    pub(crate) fn zip(&self) -> Result<NamedTempFile, BitsError> {
        self.write_zip().map_err(|error| BitsError {
            path: self.dir.clone(),
            reason: format!("zipping failed: {error}"),
        })
    }

    fn write_zip(&self) -> io::Result<NamedTempFile> {
        let file = NamedTempFile::with_suffix(".zip")?;
        let mut zip = ZipWriter::new(io::BufWriter::new(file.reopen()?));
        for entry in &self.files {
            self.add(&mut zip, entry)?;
        }
        zip.finish()?.flush()?;
        Ok(file)
    }

    fn add<W: Write + Seek>(&self, zip: &mut ZipWriter<W>, entry: &Entry) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(entry.mode);
        match &entry.kind {
            Kind::Dir => zip.add_directory(&entry.name, options)?,
            Kind::Link(target) => zip.add_symlink(&entry.name, target, options)?,
            Kind::File => {
                zip.start_file(&entry.name, options)?;
                let mut file = File::open(self.dir.join(&entry.name))?;
                copy(&mut file, &mut |chunk| zip.write_all(chunk))?;
            }
        }
        Ok(())
    }
}

fn copy(from: &mut impl Read, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(()),
            read => to(chunk.get(..read).unwrap_or_default())?,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(dir: &Path) -> Result<Vec<Entry>, String> {
    if !dir.is_dir() {
        return Err("there is no such folder".to_owned());
    }
    let mut defaults = ignore::gitignore::GitignoreBuilder::new(dir);
    for line in DEFAULT_IGNORES.lines() {
        defaults
            .add_line(None, line)
            .map_err(|error| error.to_string())?;
    }
    let defaults = defaults.build().map_err(|error| error.to_string())?;
    WalkBuilder::new(dir)
        .standard_filters(false)
        .add_custom_ignore_filename(".cfignore")
        .filter_entry(move |entry| {
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            !defaults.matched(entry.path(), is_dir).is_ignore()
        })
        .build()
        .filter(|found| !found.as_ref().is_ok_and(|found| found.depth() == 0))
        .map(|found| entry(dir, &found.map_err(|error| error.to_string())?))
        .collect()
}

fn entry(dir: &Path, found: &ignore::DirEntry) -> Result<Entry, String> {
    let path = found.path();
    let relative = path.strip_prefix(dir).unwrap_or(path);
    let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
    let parts = parts.ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    let read = |error: io::Error| format!("{}: {error}", path.display());
    let metadata = std::fs::symlink_metadata(path).map_err(read)?;
    let kind = if metadata.is_symlink() {
        let target = std::fs::read_link(path).map_err(read)?;
        Kind::Link(target.to_string_lossy().into_owned())
    } else if metadata.is_dir() {
        Kind::Dir
    } else if metadata.is_file() {
        Kind::File
    } else {
        return Err(format!(
            "{} is neither file, folder nor link",
            path.display()
        ));
    };
    Ok(Entry {
        name: parts.join("/"),
        mode: mode_of(&metadata),
        kind,
    })
}

#[cfg(unix)]
fn mode_of(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o777
}

/// Where files have no permissions, all may run, as the `cf` CLI has it.
#[cfg(not(unix))]
fn mode_of(_: &std::fs::Metadata) -> u32 {
    0o744
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sub/.git")).unwrap();
        for (name, content) in [
            ("main.go", "package main"),
            ("manifest.yml", "applications: []"),
            ("sub/manifest.yml", "kept"),
            ("sub/a.log", "ignored"),
            ("sub/.git/config", "ignored"),
            (".cfignore", "*.log\n"),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    fn names(zip: &NamedTempFile) -> Vec<String> {
        let mut zip = zip::ZipArchive::new(zip.reopen().unwrap()).unwrap();
        (0..zip.len())
            .map(|i| zip.by_index(i).unwrap().name().unwrap().into_owned())
            .collect()
    }

    #[test]
    fn a_zip_holds_the_files_but_what_is_ignored() {
        let dir = folder();
        let zip = Bits::read(dir.path()).unwrap().zip().unwrap();
        assert_eq!(names(&zip), ["main.go", "sub/", "sub/manifest.yml"]);
    }

    #[test]
    fn the_same_bits_are_the_same_bytes() {
        let (one, other) = (folder(), folder());
        let (one, other) = (
            Bits::read(one.path()).unwrap(),
            Bits::read(other.path()).unwrap(),
        );
        assert_eq!(one.sha256(), other.sha256());
        let bytes = |bits: &Bits| fs::read(bits.zip().unwrap().path()).unwrap();
        assert_eq!(bytes(&one), bytes(&other));
    }

    #[test]
    fn any_change_is_another_hash() {
        let dir = folder();
        let before = Bits::read(dir.path()).unwrap().sha256().to_owned();
        fs::write(dir.path().join("main.go"), "package main2").unwrap();
        let content = Bits::read(dir.path()).unwrap().sha256().to_owned();
        fs::rename(dir.path().join("main.go"), dir.path().join("other.go")).unwrap();
        let name = Bits::read(dir.path()).unwrap().sha256().to_owned();
        fs::write(dir.path().join("manifest.yml"), "not of the bits").unwrap();
        let ignored = Bits::read(dir.path()).unwrap().sha256().to_owned();
        assert_ne!(before, content);
        assert_ne!(content, name);
        assert_eq!(name, ignored);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = folder();
        let run = dir.path().join("run.sh");
        fs::write(&run, "#!/bin/sh").unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("run.sh", dir.path().join("start")).unwrap();
        let zip = Bits::read(dir.path()).unwrap().zip().unwrap();
        let mut zip = zip::ZipArchive::new(zip.reopen().unwrap()).unwrap();
        let mode = zip.by_name("run.sh").unwrap().unix_mode().unwrap();
        assert_eq!(mode & 0o777, 0o755);
        let mut link = zip.by_name("start").unwrap();
        assert!(link.is_symlink());
        let mut target = String::new();
        link.read_to_string(&mut target).unwrap();
        assert_eq!(target, "run.sh");
    }

    #[test]
    fn no_folder_and_no_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let empty = Bits::read(dir.path()).unwrap_err().to_string();
        assert!(empty.ends_with("it holds no files to push"), "{empty}");
        let none = Bits::read(&dir.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(none.ends_with("there is no such folder"), "{none}");
    }
}

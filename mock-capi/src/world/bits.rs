//! Uploaded bits. They are measured, hashed and listed in chunks before the world is
//! locked, so a large upload neither uses much memory nor delays other requests.

use std::io::{self, BufReader, Read, Seek, Write};

use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;
use zip::ZipArchive;

use super::blobs::MAX_BLOB;
use super::droplets::hex;
use super::resources::{NO_ARCHIVE, PackageFile, list_archive};

/// The number of bytes that are kept from the beginning, which is enough to recognize a
/// tar archive.
const HEAD: usize = 512;

/// The maximum size of a buildpack's manifest, in bytes. Larger ones are not read.
const MAX_MANIFEST: u64 = 1024 * 1024;

/// The bits of a package, a droplet or a buildpack.
#[derive(Debug)]
pub(crate) struct Bits {
    /// In bytes.
    pub(crate) size: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
    /// The first bytes.
    pub(crate) head: Vec<u8>,
    /// All bytes, if they are few enough to be kept.
    pub(super) content: Option<Vec<u8>>,
    /// The files of a zip archive. The error is the Cloud Controller's message about bits
    /// that a package cannot have.
    pub(super) files: Result<Vec<PackageFile>, String>,
    pub(crate) is_zip: bool,
    /// The text of `manifest.yml` in a zip archive.
    pub(crate) manifest: Option<String>,
}

impl Bits {
    pub(crate) fn is_empty(&self) -> bool {
        self.size == 0
    }
}

/// Receives bits in chunks. Bits that are too large to be kept are written to an unnamed
/// temporary file, which disappears with the process.
#[derive(Debug)]
pub(crate) struct BitsWriter {
    file: SpooledTempFile,
    digest: Sha256,
    size: u64,
    head: Vec<u8>,
}

impl BitsWriter {
    pub(crate) fn new() -> Self {
        Self {
            file: SpooledTempFile::new(MAX_BLOB),
            digest: Sha256::new(),
            size: 0,
            head: Vec::new(),
        }
    }

    pub(crate) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let missing = HEAD.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..missing]);
        self.digest.update(piece);
        self.size = self.size.saturating_add(piece.len() as u64);
        self.file.write_all(piece)
    }

    /// Measures, hashes and lists the received bits.
    pub(crate) fn finish(mut self) -> io::Result<Bits> {
        let content = if self.file.is_rolled() {
            None
        } else {
            let mut content = Vec::new();
            self.file.rewind()?;
            self.file.read_to_end(&mut content)?;
            Some(content)
        };
        self.file.rewind()?;
        let mut archive = ZipArchive::new(BufReader::new(self.file)).ok();
        let is_zip = archive.is_some();
        let manifest = archive.as_mut().and_then(read_manifest);
        let files = archive
            .as_mut()
            .map_or_else(|| Err(NO_ARCHIVE.to_owned()), list_archive);
        Ok(Bits {
            size: self.size,
            sha256: hex(&self.digest.finalize()),
            head: self.head,
            content,
            files,
            is_zip,
            manifest,
        })
    }
}

fn read_manifest(archive: &mut ZipArchive<impl Read + Seek>) -> Option<String> {
    let manifest = archive.by_name("manifest.yml").ok()?;
    let mut text = String::new();
    manifest.take(MAX_MANIFEST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::sha256;
    use super::*;

    fn bits(pieces: &[&[u8]]) -> Bits {
        let mut writer = BitsWriter::new();
        for piece in pieces {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn pieces_are_measured_and_hashed_as_a_whole() {
        let read = bits(&[b"ab", b"", b"c"]);
        assert_eq!((read.size, read.head.as_slice()), (3, &b"abc"[..]));
        assert_eq!(read.sha256, sha256(b"abc"));
        assert_eq!(read.content.as_deref(), Some(&b"abc"[..]));
        assert_eq!(read.files, Err(NO_ARCHIVE.into()));
        assert!(bits(&[]).is_empty());
    }

    #[test]
    fn large_bits_are_not_kept_in_memory() {
        let piece = vec![7; MAX_BLOB];
        let read = bits(&[&piece, b"more"]);
        assert_eq!(read.size, piece.len() as u64 + 4);
        assert_eq!(read.content, None);
        assert_eq!(read.head, vec![7; HEAD]);
    }

    #[test]
    fn only_archives_with_files_are_packages() {
        let zip_of = |names: &[&str]| {
            let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
            for name in names {
                zip.start_file(*name, zip::write::SimpleFileOptions::default())
                    .unwrap();
            }
            zip.finish().unwrap().into_inner()
        };
        let empty = "The app upload is invalid: Invalid zip archive (zipfile is empty).";
        assert_eq!(bits(&[&zip_of(&[])]).files, Err(empty.into()));
        let whole = zip_of(&["a"]);
        assert_eq!(bits(&[&whole]).files.unwrap()[0].path, "a");
        for invalid in [
            [b"#!/bin/sh\n".as_slice(), &whole].concat(),
            whole[..whole.len() - 5].to_vec(),
            zip_of(&["/etc/passwd"]),
        ] {
            assert_eq!(bits(&[&invalid]).files, Err(NO_ARCHIVE.into()));
        }
    }

    #[test]
    fn a_large_archive_is_listed() {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        zip.start_file("large", stored).unwrap();
        zip.write_all(&vec![0; 2 * MAX_BLOB]).unwrap();
        zip.start_file("manifest.yml", stored).unwrap();
        zip.write_all(b"stack: cflinuxfs4").unwrap();
        let read = bits(&[&zip.finish().unwrap().into_inner()]);
        let files = read.files.unwrap();
        let sizes: Vec<(&str, u64)> = files.iter().map(|it| (it.path.as_str(), it.size)).collect();
        assert_eq!(
            sizes,
            [("large", 2 * MAX_BLOB as u64), ("manifest.yml", 17)]
        );
        assert_eq!(read.manifest.as_deref(), Some("stack: cflinuxfs4"));
    }
}

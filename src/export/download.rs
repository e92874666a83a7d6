//! Downloads the droplets of apps.
//!
//! Droplets with the same checksum are downloaded once. A file from an earlier export
//! that already has the checksum of its droplet is kept.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::build::Names;
use super::observed::Observed;
use super::{ExportError, Exporter};
use crate::capi::model::Droplet;
use crate::capi::parallel;

/// The files of droplets.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The name of the file of an app's droplet, by the app's GUID.
    pub(super) by_app: BTreeMap<String, String>,
    pub(super) all: Vec<PathBuf>,
}

/// A droplet that is wanted as a file.
struct Download<'o> {
    /// One of the apps that have the droplet.
    app: &'o str,
    droplet: &'o Droplet,
    file: PathBuf,
}

/// The file of an unfinished download. It is removed if the download fails, or ends early
/// because another download failed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // After a successful download, the file has its final name.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Exporter {
    pub(super) async fn download(
        &self,
        folder: &Path,
        observed: &Observed,
    ) -> Result<Files, ExportError> {
        let mut files = Files::default();
        let mut by_checksum: BTreeMap<&str, String> = BTreeMap::new();
        let mut wanted = Vec::new();
        let mut names = Names::default();
        for (space, app) in observed.apps() {
            let Some(droplet) = app.droplet.as_ref().filter(|_| !app.is_docker) else {
                continue;
            };
            let known = droplet.checksum.as_deref();
            let known = known.and_then(|checksum| by_checksum.get(checksum).cloned());
            let name = known.clone().unwrap_or_else(|| {
                let name = names.unique(&format!("{}-{}", space.name, app.name));
                format!("{name}.tgz")
            });
            if known.is_none() {
                if let Some(checksum) = &droplet.checksum {
                    by_checksum.insert(checksum, name.clone());
                }
                wanted.push(Download {
                    app: &app.name,
                    droplet,
                    file: folder.join(&name),
                });
            }
            files.by_app.insert(app.guid.clone(), name);
        }
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let downloads: Vec<_> = wanted.iter().map(|wanted| self.fetch(wanted)).collect();
        parallel::run(self.client.concurrency(), downloads).await?;
        files.all = wanted.into_iter().map(|wanted| wanted.file).collect();
        Ok(files)
    }

    /// Downloads a droplet to a temporary file in the same folder, and renames it when it
    /// is complete.
    async fn fetch(&self, wanted: &Download<'_>) -> Result<(), ExportError> {
        let Download { app, droplet, file } = wanted;
        let expected = droplet.checksum.as_deref();
        if expected.is_some() && file.is_file() {
            let checksum = checksum_of(file, expected).await?;
            if checksum.as_deref() == expected {
                return Ok(());
            }
        }
        let part = Part(file.with_extension("part"));
        self.fetch_to(&part.0, wanted).await?;
        tracing::debug!(app, file = %file.display(), "the droplet is downloaded");
        std::fs::rename(&part.0, file).map_err(failed(file))
    }

    async fn fetch_to(&self, part: &Path, wanted: &Download<'_>) -> Result<(), ExportError> {
        let Download { app, droplet, .. } = wanted;
        let downloaded = self.client.download_droplet(&droplet.guid, part).await;
        downloaded.map_err(|source| ExportError::Droplet {
            app: (*app).to_owned(),
            source: Box::new(source),
        })?;
        let expected = droplet.checksum.as_deref();
        let actual = checksum_of(part, expected).await?;
        if actual.as_deref() == expected {
            return Ok(());
        }
        Err(ExportError::Checksum {
            app: (*app).to_owned(),
            actual: actual.unwrap_or_default(),
            expected: expected.unwrap_or_default().to_owned(),
        })
    }
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let file = file.to_owned();
    move |source| ExportError::File { file, source }
}

/// The checksum of a file, with the droplet's algorithm: SHA-256, or SHA-1 for droplets
/// of old foundations. `None` if the droplet has no checksum.
async fn checksum_of(file: &Path, droplet: Option<&str>) -> Result<Option<String>, ExportError> {
    let Some(droplet) = droplet.map(str::to_owned) else {
        return Ok(None);
    };
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        const SHA_1: usize = 40;
        match droplet.len() {
            SHA_1 => digest::<Sha1>(&path),
            _ => digest::<Sha256>(&path),
        }
    });
    let read = read
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    read.map(Some).map_err(failed(file))
}

fn digest<H: Digest>(file: &Path) -> io::Result<String> {
    let mut hash = H::new();
    let mut file = BufReader::new(std::fs::File::open(file)?);
    loop {
        let part = file.fill_buf()?;
        if part.is_empty() {
            let bytes = hash.finalize();
            return Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(part);
        let read = part.len();
        file.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::sha1("a9993e364706816aba3e25717850c26c9cd0d89d")]
    #[case::sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    #[tokio::test]
    async fn a_file_has_a_checksum_with_the_algorithm_of_its_droplet(#[case] expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("droplet.tgz");
        std::fs::write(&file, "abc").unwrap();
        let checksum = checksum_of(&file, Some(expected)).await.unwrap();
        assert_eq!(checksum.as_deref(), Some(expected));
        assert_eq!(checksum_of(&file, None).await.unwrap(), None);
    }
}

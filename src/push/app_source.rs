//! The source of each app of a manifest: bits, a Docker image, or a droplet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::OnceCell;

use super::PushError;
use super::bits::Bits;
use super::upload::{KnownFiles, Payload};
use crate::capi::error::Error;
use crate::manifest::{Application, Manifest};

/// The source of an app.
#[derive(Debug, Clone)]
pub(super) enum AppSource {
    Bits(Arc<PackedBits>),
    Docker(DockerImage),
    /// The path of a droplet file.
    Droplet(PathBuf),
}

#[derive(Debug, Clone)]
pub(super) struct DockerImage {
    pub(super) image: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<SecretString>,
}

/// Bits and their zip, which is written once for all apps with these bits.
#[derive(Debug)]
pub(super) struct PackedBits {
    pub(super) bits: Bits,
    payload: OnceCell<Payload>,
}

impl PackedBits {
    pub(super) async fn payload(&self, known: &KnownFiles) -> Result<&Payload, Error> {
        self.payload
            .get_or_try_init(|| Payload::of(&self.bits, known))
            .await
    }
}

/// Reads the source of each app of a manifest, in order. An app without `path`
/// has its bits in the working directory.
pub(super) fn read_sources(
    manifest: &Manifest,
    droplet: Option<&Path>,
    docker_password: Option<&SecretString>,
) -> Result<Vec<AppSource>, PushError> {
    let mut packed: HashMap<PathBuf, Arc<PackedBits>> = HashMap::new();
    let apps = manifest.applications().iter();
    apps.map(|app| {
        if let Some(droplet) = droplet {
            return Ok(AppSource::Droplet(droplet.to_owned()));
        }
        if let Some(image) = docker_image(app, docker_password)? {
            return Ok(AppSource::Docker(image));
        }
        let path = Path::new(app.text("path").unwrap_or("."));
        if let Some(bits) = packed.get(path) {
            return Ok(AppSource::Bits(Arc::clone(bits)));
        }
        let bits = Arc::new(PackedBits {
            bits: Bits::read(path)?,
            payload: OnceCell::new(),
        });
        packed.insert(path.to_owned(), Arc::clone(&bits));
        Ok(AppSource::Bits(bits))
    })
    .collect()
}

fn docker_image(
    app: &Application,
    password: Option<&SecretString>,
) -> Result<Option<DockerImage>, PushError> {
    let Some(image) = app.docker("image") else {
        return Ok(None);
    };
    let username = app.docker("username").map(str::to_owned);
    if username.is_some() && password.is_none() {
        return Err(PushError::MissingDockerPassword {
            app: app.name().to_owned(),
        });
    }
    Ok(Some(DockerImage {
        image: image.to_owned(),
        password: username.as_ref().and(password).cloned(),
        username,
    }))
}

//! Where the apps of a manifest come from: bits, a Docker image, or a droplet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::OnceCell;

use super::bits::{Bits, BitsError};
use super::upload::{Known, Payload};
use crate::capi::error::Error;
use crate::manifest::{Application, Prepared};

/// Where an app comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Bits(Arc<Packed>),
    Docker(DockerImage),
    Droplet(PathBuf),
}

#[derive(Debug, Clone)]
pub(crate) struct DockerImage {
    pub(crate) image: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<SecretString>,
}

/// Bits, and what is sent of them: made once, for however many apps.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) bits: Bits,
    payload: OnceCell<Payload>,
}

impl Packed {
    pub(crate) async fn payload(&self, known: &Known) -> Result<&Payload, Error> {
        self.payload
            .get_or_try_init(|| Payload::of(&self.bits, known))
            .await
    }
}

/// Reads where each app of a manifest comes from, in order. An app without a
/// path has the bits of the working directory.
///
/// # Errors
/// [`BitsError`], before anything is sent.
pub(crate) fn origins(
    prepared: &Prepared,
    docker_password: Option<&SecretString>,
) -> Result<Vec<Origin>, BitsError> {
    let mut read: HashMap<PathBuf, Arc<Packed>> = HashMap::new();
    let apps = prepared.manifest.applications().iter();
    apps.map(|app| {
        if let Some(droplet) = &prepared.flags.droplet {
            return Ok(Origin::Droplet(droplet.clone()));
        }
        if let Some(image) = docker_image(app, docker_password) {
            return Ok(Origin::Docker(image));
        }
        let path = Path::new(app.text("path").unwrap_or("."));
        if let Some(packed) = read.get(path) {
            return Ok(Origin::Bits(Arc::clone(packed)));
        }
        let packed = Arc::new(Packed {
            bits: Bits::read(path)?,
            payload: OnceCell::new(),
        });
        read.insert(path.to_owned(), Arc::clone(&packed));
        Ok(Origin::Bits(packed))
    })
    .collect()
}

fn docker_image(app: &Application, password: Option<&SecretString>) -> Option<DockerImage> {
    let username = app.docker("username").map(str::to_owned);
    Some(DockerImage {
        image: app.docker("image")?.to_owned(),
        password: username.as_ref().and(password).cloned(),
        username,
    })
}

/// Whether an app's image is in a registry that asks who pulls it.
pub(crate) fn asks_password(prepared: &Prepared) -> bool {
    let mut apps = prepared.manifest.applications().iter();
    apps.any(|app| app.docker("username").is_some())
}

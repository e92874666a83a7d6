//! Uploads bits as packages that can be staged, and files as droplets.
//!
//! [`upload_bits`] uploads the bits of one app. To push many apps, [`match_resources`]
//! looks up the files of all apps in one request, [`Payload::of`] zips the bits, and
//! [`ready_package`] uploads them to a package of one app.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use super::bits::temporary::TemporaryFile;
use super::bits::{self, Bits, FileId, hex};
use crate::capi::batch_poll::{BatchPoll, Packages};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::Resource;
use crate::capi::transport::{self, Upload};

/// The maximum number of attempts of an upload.
const MAX_ATTEMPTS: usize = 3;

/// The pause between two attempts of an upload.
const PAUSE: Duration = Duration::from_secs(1);

/// The files that the Cloud Controller already has.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownFiles(HashSet<FileId>);

/// Looks up the files that do not have to be uploaded.
///
/// The request contains only files that the Cloud Controller's pool accepts. If there are
/// none, no request is sent. If the Cloud Controller does not support the request, all
/// files are uploaded.
pub(crate) async fn match_resources(client: &Client, all: &[&Bits]) -> Result<KnownFiles, Error> {
    let resources = all.iter().flat_map(|bits| bits.resources());
    let asked: HashMap<FileId, bits::Resource<'_>> = resources.map(|it| (it.sha1, it)).collect();
    let mut resources: Vec<Resource<'_>> = asked.values().map(resource).collect();
    if resources.is_empty() {
        return Ok(KnownFiles::default());
    }
    resources.sort_by_key(|resource| resource.path);
    let matched: HashSet<String> = match client.known_resources(&resources).await {
        Ok(matched) => matched.into_iter().collect(),
        Err(error) if is_no_response(&error) => {
            tracing::debug!(%error, "all files are uploaded");
            return Ok(KnownFiles::default());
        }
        Err(error) => return Err(error),
    };
    // Ignores files that were not in the request.
    let known = asked.into_keys().filter(|it| matched.contains(&hex(it)));
    Ok(KnownFiles(known.collect()))
}

/// Whether the Cloud Controller does not support the request, because it is too old or
/// its pool is disabled. After an expired login, the upload would also fail.
fn is_no_response(error: &Error) -> bool {
    let is_refused = matches!(
        error,
        Error::Refused { .. } | Error::UnexpectedResponse { .. }
    );
    is_refused && !error.is_unauthorized()
}

fn resource<'b>(resource: &bits::Resource<'b>) -> Resource<'b> {
    Resource {
        path: resource.path,
        mode: resource.mode,
        sha1: hex(&resource.sha1),
        size: resource.size,
    }
}

/// The parts of an upload: the zip of the files that the Cloud Controller does not have,
/// and the list of the other files.
#[derive(Debug)]
pub(crate) struct Payload {
    sha256: String,
    resources: String,
    zip: Option<TemporaryFile>,
    /// Whether the upload relies on files in the Cloud Controller's pool.
    is_partial: bool,
}

impl Payload {
    /// Zips the files that are not known.
    pub(crate) async fn of(bits: &Bits, known: &KnownFiles) -> Result<Self, Error> {
        let matched = bits.resources().filter(|it| known.0.contains(&it.sha1));
        let matched: Vec<Resource<'_>> = matched.map(|it| resource(&it)).collect();
        let is_partial = !matched.is_empty();
        let resources = Resource::form_part(&matched);
        let sha256 = bits.sha256().to_owned();
        let (bits, known) = (bits.clone(), known.clone());
        let zip = tokio::task::spawn_blocking(move || bits.zip(&known.0))
            .await
            .map_err(|error| Error::local("zipping the bits", error))??;
        Ok(Self {
            sha256,
            resources,
            zip,
            is_partial,
        })
    }

    /// The size of the zip in bytes. `None` if the Cloud Controller has all files.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let zip = self.zip.as_ref()?;
        Some(zip.as_file().metadata().map_or(0, |file| file.len()))
    }

    /// Uploads to a new package and returns its GUID. The package may not be ready yet.
    async fn send(&self, client: &Client, name: &str, app: &str) -> Result<String, Error> {
        Uploading {
            what: format!("uploading the bits of {name}"),
            app,
            kind: UploadTarget::Package { bits: &self.sha256 },
            file: Upload {
                name: name.to_owned(),
                resources: Some(self.resources.clone()),
                bits: self.zip.as_ref().map(|zip| zip.path().to_owned()),
            },
        }
        .carry_out(client)
        .await
    }
}

/// Uploads an app's bits, waits until the package is ready, and returns its GUID.
pub(crate) async fn upload_bits(
    client: &Client,
    name: &str,
    app: &str,
    bits: &Bits,
) -> Result<String, Error> {
    let known = match_resources(client, &[bits]).await?;
    let payload = client.unless_interrupted(Payload::of(bits, &known));
    let payload = payload.await??;
    ready_package(client, name, app, bits, &payload, None).await
}

/// Uploads to a package of one app, waits until it is ready, and returns its GUID. With
/// `waits`, polls are shared with other apps. A failed package is deleted.
pub(crate) async fn ready_package(
    client: &Client,
    name: &str,
    app: &str,
    bits: &Bits,
    payload: &Payload,
    waits: Option<&BatchPoll<Packages>>,
) -> Result<String, Error> {
    match package(client, name, app, payload, waits).await {
        // Known files may disappear from the pool before they are used.
        Err(error) if error.is_failed_work() && payload.is_partial => {
            let all = Payload::of(bits, &KnownFiles::default()).await?;
            package(client, name, app, &all, waits).await
        }
        outcome => outcome,
    }
}

async fn package(
    client: &Client,
    name: &str,
    app: &str,
    payload: &Payload,
    waits: Option<&BatchPoll<Packages>>,
) -> Result<String, Error> {
    let package = payload.send(client, name, app).await?;
    let what = processing(name);
    let ready = match waits {
        Some(waits) => waits.wait_for(&package, what).await.map(|_| ()),
        None => client.wait_for_package(&what, &package).await.map(|_| ()),
    };
    match ready {
        Err(error) if error.is_failed_work() => {
            discard(client, UploadTarget::Package { bits: "" }, &package).await;
            Err(error)
        }
        outcome => outcome.map(|()| package),
    }
}

/// The description of the wait for an app's package, for errors.
fn processing(name: &str) -> String {
    format!("processing of the bits of {name}")
}

/// Uploads a droplet file, as written by `cf download-droplet`, and returns the droplet's
/// GUID.
pub(crate) async fn upload_droplet(
    client: &Client,
    name: &str,
    app: &str,
    file: &Path,
) -> Result<String, Error> {
    Uploading {
        what: format!("uploading the droplet of {name}"),
        app,
        kind: UploadTarget::Droplet,
        file: Upload {
            name: name.to_owned(),
            resources: None,
            bits: Some(file.to_owned()),
        },
    }
    .carry_out(client)
    .await
}

/// The resource that a file is uploaded to.
#[derive(Debug, Clone, Copy)]
enum UploadTarget<'a> {
    /// A package, with the SHA-256 of its bits.
    Package {
        bits: &'a str,
    },
    Droplet,
}

/// An upload to a new package or droplet.
struct Uploading<'a> {
    what: String,
    /// The GUID of the app.
    app: &'a str,
    kind: UploadTarget<'a>,
    file: Upload,
}

impl Uploading<'_> {
    /// Uploads the file. A package accepts only one upload, so each attempt creates a new
    /// package. The packages of failed attempts are deleted.
    async fn carry_out(&self, client: &Client) -> Result<String, Error> {
        let mut tries = 1;
        loop {
            let guid = self.create(client).await?;
            let Err(error) = self.upload(client, &guid).await else {
                return Ok(guid);
            };
            let is_discarded = discard(client, self.kind, &guid).await;
            // A later observation finds leftovers.
            if !is_discarded || !error.is_worth_replanning() || tries == MAX_ATTEMPTS {
                return Err(error);
            }
            tries += 1;
            client.pause(transport::spread(PAUSE)).await?;
        }
    }

    async fn create(&self, client: &Client) -> Result<String, Error> {
        match self.kind {
            UploadTarget::Package { bits } => client.create_package(self.app, bits).await,
            UploadTarget::Droplet => client.create_droplet(self.app).await,
        }
    }

    async fn upload(&self, client: &Client, guid: &str) -> Result<(), Error> {
        let (what, file) = (&self.what, self.file.clone());
        match self.kind {
            UploadTarget::Package { .. } => client.upload_package(what, guid, file).await,
            UploadTarget::Droplet => client.upload_droplet(what, guid, file).await,
        }
    }
}

/// Deletes the package or droplet of a failed upload, and returns whether that succeeded.
/// A failure is only logged.
async fn discard(client: &Client, kind: UploadTarget<'_>, guid: &str) -> bool {
    let what = "deleting the leftovers of a failed upload";
    let deleted = match kind {
        UploadTarget::Package { .. } => client.delete_package(what, guid).await,
        UploadTarget::Droplet => client.delete_droplet(what, guid).await,
    };
    if let Err(error) = &deleted {
        tracing::debug!(%error, "the leftovers of a failed upload were not deleted");
    }
    deleted.is_ok()
}

#[cfg(test)]
mod tests;

//! From bits to a package that can be staged, and from a file to a droplet.
//!
//! [`upload_bits`] does it all for one app. Its parts are there for who pushes
//! many: [`match_resources`] asks for the bits of all of them at once,
//! [`Payload::of`] makes what is sent, as often as need be, and
//! [`ready_package`] makes a package of it for one app.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::bits::{self, Bits, FileId, hex};
use crate::capi::batch_poll::{BatchPoll, Packages};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::Resource;
use crate::capi::transport::{self, Upload};

/// How often an upload that failed is begun again.
const TRIES: usize = 3;

/// Between two tries of an upload.
const PAUSE: Duration = Duration::from_secs(1);

/// The files that Cloud Controller has already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(HashSet<FileId>);

/// Asks which files of some bits need not be sent, each file once.
///
/// Only what Cloud Controller's pool takes is asked for, and nothing where there
/// is no such file: a request less for most apps. A Cloud Controller that does
/// not answer the question gets everything.
pub(crate) async fn match_resources(client: &Client, all: &[&Bits]) -> Result<Known, Error> {
    let resources = all.iter().flat_map(|bits| bits.resources());
    let asked: HashMap<FileId, bits::Resource<'_>> = resources.map(|it| (it.sha1, it)).collect();
    let mut resources: Vec<Resource<'_>> = asked.values().map(resource).collect();
    if resources.is_empty() {
        return Ok(Known::default());
    }
    resources.sort_by_key(|resource| resource.path);
    let matched: HashSet<String> = match client.known_resources(&resources).await {
        Ok(matched) => matched.into_iter().collect(),
        Err(error) if is_no_answer(&error) => {
            tracing::debug!(%error, "everything is uploaded");
            return Ok(Known::default());
        }
        Err(error) => return Err(error),
    };
    // Nothing that was not asked for.
    let known = asked.into_keys().filter(|it| matched.contains(&hex(it)));
    Ok(Known(known.collect()))
}

/// Whether the Cloud Controller answered, but not the question: it may be too old,
/// or its pool switched off. A login that has expired fails the upload too.
fn is_no_answer(error: &Error) -> bool {
    let is_refused = matches!(error, Error::Refused { .. } | Error::NotUnderstood { .. });
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

/// What is sent of bits: the zip of what is not known, and what else belongs to it.
#[derive(Debug)]
pub(crate) struct Payload {
    sha256: String,
    resources: String,
    zip: Option<NamedTempFile>,
    /// Whether Cloud Controller must have some of the files.
    is_partial: bool,
}

impl Payload {
    /// Zips what is not known.
    pub(crate) async fn of(bits: &Bits, known: &Known) -> Result<Self, Error> {
        let matched = bits.resources().filter(|it| known.0.contains(&it.sha1));
        let matched: Vec<Resource<'_>> = matched.map(|it| resource(&it)).collect();
        let is_partial = !matched.is_empty();
        let resources = Resource::form_part(&matched);
        let sha256 = bits.sha256().to_owned();
        let (bits, known) = (bits.clone(), known.clone());
        let zip = tokio::task::spawn_blocking(move || bits.zip(&known.0))
            .await
            .map_err(|error| Error::local("zipping the bits", error))?
            .map_err(|error| Error::local("zipping the bits", error))?;
        Ok(Self {
            sha256,
            resources,
            zip,
            is_partial,
        })
    }

    /// How many bytes are sent; none where Cloud Controller has all of it.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let zip = self.zip.as_ref()?;
        Some(zip.as_file().metadata().map_or(0, |file| file.len()))
    }

    /// Makes a package of it; returns its GUID. It is not awaited.
    async fn send(&self, client: &Client, name: &str, app: &str) -> Result<String, Error> {
        Uploading {
            what: format!("uploading the bits of {name}"),
            app,
            kind: Kind::Package { bits: &self.sha256 },
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

/// Makes a package of an app's bits that is ready; returns its GUID.
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

/// Makes a package for one app and waits until it is ready, together with others
/// where `waits` is given; returns its GUID. A package that fails does not stay.
pub(crate) async fn ready_package(
    client: &Client,
    name: &str,
    app: &str,
    bits: &Bits,
    payload: &Payload,
    waits: Option<&BatchPoll<Packages>>,
) -> Result<String, Error> {
    match package(client, name, app, payload, waits).await {
        // What was known may be gone from the pool by the time that it is used.
        Err(error) if error.is_failed_work() && payload.is_partial => {
            let all = Payload::of(bits, &Known::default()).await?;
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
            discard(client, Kind::Package { bits: "" }, &package).await;
            Err(error)
        }
        outcome => outcome.map(|()| package),
    }
}

/// What is awaited of an app's package, as an error says it.
fn processing(name: &str) -> String {
    format!("processing of the bits of {name}")
}

/// Makes a droplet of a file that `cf download-droplet` made; returns its GUID.
pub(crate) async fn upload_droplet(
    client: &Client,
    name: &str,
    app: &str,
    file: &Path,
) -> Result<String, Error> {
    Uploading {
        what: format!("uploading the droplet of {name}"),
        app,
        kind: Kind::Droplet,
        file: Upload {
            name: name.to_owned(),
            resources: None,
            bits: Some(file.to_owned()),
        },
    }
    .carry_out(client)
    .await
}

/// What a file is uploaded to.
#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    /// A package; with the SHA-256 of its bits.
    Package {
        bits: &'a str,
    },
    Droplet,
}

/// An upload to a package or droplet that is created for it.
struct Uploading<'a> {
    what: String,
    /// The GUID of the app.
    app: &'a str,
    kind: Kind<'a>,
    file: Upload,
}

impl Uploading<'_> {
    /// A package takes a file once, so each try creates one of its own, and those
    /// that failed are deleted.
    async fn carry_out(&self, client: &Client) -> Result<String, Error> {
        let mut tries = 1;
        loop {
            let guid = self.create(client).await?;
            let Err(error) = self.upload(client, &guid).await else {
                return Ok(guid);
            };
            let is_discarded = discard(client, self.kind, &guid).await;
            // What is left over is found by a later observation.
            if !is_discarded || !error.is_worth_replanning() || tries == TRIES {
                return Err(error);
            }
            tries += 1;
            client.pause(transport::spread(PAUSE)).await?;
        }
    }

    async fn create(&self, client: &Client) -> Result<String, Error> {
        match self.kind {
            Kind::Package { bits } => client.create_package(self.app, bits).await,
            Kind::Droplet => client.create_droplet(self.app).await,
        }
    }

    async fn upload(&self, client: &Client, guid: &str) -> Result<(), Error> {
        let (what, file) = (&self.what, self.file.clone());
        match self.kind {
            Kind::Package { .. } => client.upload_package(what, guid, file).await,
            Kind::Droplet => client.upload_droplet(what, guid, file).await,
        }
    }
}

/// Deletes what a failed upload created; returns whether that is gone. A failure to
/// do so is not reported.
async fn discard(client: &Client, kind: Kind<'_>, guid: &str) -> bool {
    let what = "deleting what a failed upload created";
    let deleted = match kind {
        Kind::Package { .. } => client.delete_package(what, guid).await,
        Kind::Droplet => client.delete_droplet(what, guid).await,
    };
    if let Err(error) = &deleted {
        tracing::debug!(%error, "what a failed upload created is left over");
    }
    deleted.is_ok()
}

#[cfg(test)]
mod tests;

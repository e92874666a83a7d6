//! From bits to a package that can be staged, and from a file to a droplet.
//!
//! [`upload_bits`] does it all for one app. Its parts are there for who pushes
//! many: [`match_resources`] asks for the bits of all of them at once,
//! [`Payload::of`] makes what is sent, as often as need be, and
//! [`ready_package`] makes a package of it for one app.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::bits::{Bits, FileId, Resource, hex};
use crate::capi::client::Client;
use crate::capi::dialect::MOST_RESOURCES;
use crate::capi::error::Error;

use crate::capi::transport::Upload;
use crate::capi::transport::{self, Request};
use crate::capi::waits::{self, Stateful, Waits};

/// How often an upload that failed is begun again.
const TRIES: usize = 3;

/// Between two tries of an upload.
const PAUSE: Duration = Duration::from_secs(1);

/// The files that Cloud Controller has already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(HashSet<FileId>);

#[derive(Deserialize)]
struct Matches {
    resources: Vec<Match>,
}

#[derive(Deserialize)]
struct Match {
    checksum: Checksum,
}

#[derive(Deserialize)]
struct Checksum {
    value: String,
}

/// Asks which files of some bits need not be sent, each file once.
///
/// Only what Cloud Controller's pool takes is asked for, and nothing where there
/// is no such file: a request less for most apps. A Cloud Controller that does
/// not answer the question gets everything.
pub(crate) async fn match_resources(client: &Client, all: &[&Bits]) -> Result<Known, Error> {
    let resources = all.iter().flat_map(|bits| bits.resources());
    let asked: HashMap<FileId, Resource<'_>> = resources.map(|it| (it.sha1, it)).collect();
    let mut bodies: Vec<(&str, Value)> = asked.values().map(|it| (it.path, present(it))).collect();
    bodies.sort_by_key(|(path, _)| *path);
    let bodies: Vec<Value> = bodies.into_iter().map(|(_, body)| body).collect();
    let mut matched = HashSet::new();
    for chunk in bodies.chunks(MOST_RESOURCES) {
        let Some(request) = client.dialect().match_resources(chunk) else {
            break;
        };
        match ask(client, &request).await {
            Ok(found) => matched.extend(found),
            Err(error) if is_no_answer(&error) => {
                tracing::debug!(%error, "everything is uploaded");
                return Ok(Known::default());
            }
            Err(error) => return Err(error),
        }
    }
    // Nothing that was not asked for.
    let known = asked.into_keys().filter(|it| matched.contains(&hex(it)));
    Ok(Known(known.collect()))
}

async fn ask(client: &Client, request: &Request) -> Result<Vec<String>, Error> {
    let matches: Matches = client.send(request).await?.json()?;
    let resources = matches.resources.into_iter();
    Ok(resources.map(|it| it.checksum.value).collect())
}

/// Whether it answered, but not the question: it may be too old, or its pool
/// switched off. Who is not logged in is refused the upload too.
fn is_no_answer(error: &Error) -> bool {
    let unauthorized = error.status() == Some(StatusCode::UNAUTHORIZED);
    matches!(error, Error::Refused { .. } | Error::NotUnderstood { .. }) && !unauthorized
}

fn present(resource: &Resource<'_>) -> Value {
    json!({
        "path": resource.path,
        "mode": format!("{:o}", resource.mode),
        "checksum": {"value": hex(&resource.sha1)},
        "size_in_bytes": resource.size,
    })
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
        let matched: Vec<Value> = matched.map(|it| present(&it)).collect();
        let failed = |reason: String| Error::Local {
            what: "zipping the bits".to_owned(),
            reason,
        };
        let is_partial = !matched.is_empty();
        let sha256 = bits.sha256().to_owned();
        let (bits, known) = (bits.clone(), known.clone());
        let zip = tokio::task::spawn_blocking(move || bits.zip(&known.0))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            sha256,
            resources: Value::from(matched).to_string(),
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
        let dialect = client.dialect();
        let upload = Upload {
            name: name.to_owned(),
            resources: Some(self.resources.clone()),
            bits: self.zip.as_ref().map(|zip| zip.path().to_owned()),
        };
        Uploading {
            what: format!("uploading the bits of {name}"),
            create: dialect.create_package(app, &self.sha256),
            upload: &|package| dialect.upload_package(package, upload.clone()),
            delete: &|package| dialect.delete_package(package),
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
    waits: Option<&Waits<Stateful>>,
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
    waits: Option<&Waits<Stateful>>,
) -> Result<String, Error> {
    let package = payload.send(client, name, app).await?;
    let what = processing(name);
    let ready = match waits {
        Some(waits) => waits.done(&package, what).await.map(|_| ()),
        None => processed(client, &package, &what).await,
    };
    match ready {
        Err(error) if error.is_failed_work() => {
            discard(client, &client.dialect().delete_package(&package)).await;
            Err(error)
        }
        outcome => outcome.map(|()| package),
    }
}

/// Waits until one package is ready.
async fn processed(client: &Client, package: &str, what: &str) -> Result<(), Error> {
    let path = format!("/v3/packages/{package}");
    let ready = client.until(what, || async {
        waits::progress(what, Stateful::Packages.sight(&client.get(&path).await?))
    });
    ready.await.map(|_| ())
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
    let dialect = client.dialect();
    let upload = Upload {
        name: name.to_owned(),
        resources: None,
        bits: Some(file.to_owned()),
    };
    Uploading {
        what: format!("uploading the droplet of {name}"),
        create: dialect.create_droplet(app),
        upload: &|droplet| dialect.upload_droplet(droplet, upload.clone()),
        delete: &|droplet| dialect.delete_droplet(droplet),
    }
    .carry_out(client)
    .await
}

/// How something is made that a file is uploaded to.
struct Uploading<'a> {
    what: String,
    create: Request,
    upload: &'a (dyn Fn(&str) -> Request + Sync),
    delete: &'a (dyn Fn(&str) -> Request + Sync),
}

impl Uploading<'_> {
    /// It takes a file once, so each try has one of its own, and nothing is left
    /// of those that failed.
    async fn carry_out(&self, client: &Client) -> Result<String, Error> {
        let mut tries = 1;
        loop {
            let guid = client.create(&self.create).await?;
            let Err(error) = client.finish(&self.what, &(self.upload)(&guid)).await else {
                return Ok(guid);
            };
            let discarded = discard(client, &(self.delete)(&guid)).await;
            // What is left over is found by who looks at all again.
            if !discarded || !error.may_settle() || tries == TRIES {
                return Err(error);
            }
            tries += 1;
            client.pause(transport::spread(PAUSE)).await?;
        }
    }
}

/// Deletes what a failed upload made; whether that is gone. It is not worth a
/// failure of its own.
async fn discard(client: &Client, delete: &Request) -> bool {
    let deleted = client
        .delete("deleting what a failed upload made", delete)
        .await;
    if let Err(error) = &deleted {
        tracing::debug!(%error, "what a failed upload made is left over");
    }
    deleted.is_ok()
}

#[cfg(test)]
mod tests;

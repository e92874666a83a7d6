//! A form with a file: sent piece by piece, as it is read, with its length
//! known and its progress told.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::stream::{self, TryStream};
use reqwest::{Body, multipart};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::capi::error::Error;
use crate::events::{Event, Events};

/// How much of a file is in memory at once.
const PIECE: usize = 64 * 1024;

/// How often progress is told at most.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What an upload consists of.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// Whose it is, such as an app's name, for its progress.
    pub(crate) name: String,
    /// The JSON of the part `resources`.
    pub(crate) resources: Option<String>,
    /// The file of the part `bits`.
    pub(crate) bits: Option<PathBuf>,
}

impl Upload {
    /// Opens the file anew: each form can be sent once.
    pub(super) async fn form(&self, events: &Events) -> Result<multipart::Form, Error> {
        let mut form = multipart::Form::new();
        if let Some(resources) = &self.resources {
            form = form.text("resources", resources.clone());
        }
        if let Some(bits) = &self.bits {
            let part = self.part(bits, events).await;
            let part = part.map_err(|error| Error::Local {
                what: format!("reading {} to upload it", bits.display()),
                reason: error.to_string(),
            })?;
            form = form.part("bits", part);
        }
        Ok(form)
    }

    async fn part(&self, path: &Path, events: &Events) -> io::Result<multipart::Part> {
        let file = File::open(path).await?;
        let total = file.metadata().await?.len();
        let told = Told {
            events: events.clone(),
            name: self.name.clone(),
            sent: 0,
            total,
            last: None,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        multipart::Part::stream_with_length(Body::wrap_stream(pieces(file, told)), total)
            .file_name(name.into_owned())
            .mime_str("application/octet-stream")
            .map_err(io::Error::other)
    }
}

fn pieces(file: File, told: Told) -> impl TryStream<Ok = Vec<u8>, Error = io::Error> + Send {
    stream::try_unfold((file, told), |(mut file, mut told)| async move {
        told.tell();
        let mut piece = Vec::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        told.sent += read as u64;
        Ok((read > 0).then_some((piece, (file, told))))
    })
}

/// How much of an upload is sent, and when that was told last.
struct Told {
    events: Events,
    name: String,
    sent: u64,
    total: u64,
    last: Option<Instant>,
}

impl Told {
    /// Tells the beginning and the end, and what is between only now and then.
    fn tell(&mut self) {
        let recently = self.last.is_some_and(|last| last.elapsed() < TELL_EVERY);
        if recently && self.sent < self.total {
            return;
        }
        self.last = Some(Instant::now());
        self.events.emit(Event::UploadProgress {
            name: self.name.clone(),
            sent: self.sent,
            total: self.total,
        });
    }
}

//! A multipart form with a file, which is read while it is sent. The length is known in
//! advance, and progress is reported.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::stream::{self, TryStream};
use reqwest::{Body, multipart};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::capi::error::Error;
use crate::events::{Event, Events};

/// The number of bytes of the file that are in memory at a time.
const PIECE: usize = 64 * 1024;

/// The minimum time between two progress events.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// The parts of an upload.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// The app's name, for progress events.
    pub(crate) name: String,
    /// The JSON of the part `resources`.
    pub(crate) resources: Option<String>,
    /// The file of the part `bits`.
    pub(crate) bits: Option<PathBuf>,
}

impl Upload {
    /// Creates the form and opens the file. A form can be sent only once, so each attempt
    /// creates one.
    pub(super) async fn form(&self, events: &Events) -> Result<multipart::Form, Error> {
        let mut form = multipart::Form::new();
        if let Some(resources) = &self.resources {
            form = form.text("resources", resources.clone());
        }
        if let Some(bits) = &self.bits {
            let part = self.part(bits, events).await;
            let part =
                part.map_err(|error| Error::local(format!("reading {}", bits.display()), error))?;
            form = form.part("bits", part);
        }
        Ok(form)
    }

    async fn part(&self, path: &Path, events: &Events) -> io::Result<multipart::Part> {
        let file = File::open(path).await?;
        let total = file.metadata().await?.len();
        let progress = Progress {
            events: events.clone(),
            name: self.name.clone(),
            sent: 0,
            total,
            last: None,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        multipart::Part::stream_with_length(Body::wrap_stream(pieces(file, progress)), total)
            .file_name(name.into_owned())
            .mime_str("application/octet-stream")
            .map_err(io::Error::other)
    }
}

fn pieces(
    file: File,
    progress: Progress,
) -> impl TryStream<Ok = Vec<u8>, Error = io::Error> + Send {
    stream::try_unfold((file, progress), |(mut file, mut progress)| async move {
        progress.report();
        let mut piece = Vec::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        progress.sent += read as u64;
        Ok((read > 0).then_some((piece, (file, progress))))
    })
}

/// The progress of an upload, and the time of the last report.
struct Progress {
    events: Events,
    name: String,
    sent: u64,
    total: u64,
    last: Option<Instant>,
}

impl Progress {
    /// Reports the start and the end of the upload, and its progress at most every
    /// [`REPORT_INTERVAL`].
    fn report(&mut self) {
        let recently = self
            .last
            .is_some_and(|last| last.elapsed() < REPORT_INTERVAL);
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

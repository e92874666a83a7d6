//! The files that a run is recorded in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::{CommandError, output};
use crate::events::EventSink;
use crate::report::{Har, Page, Recording, Trace};

/// What to write of a run besides its summary.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recordings of the run")]
pub(super) struct RecordArgs {
    /// Write a trace of steps and requests, which ui.perfetto.dev opens
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    trace: Option<PathBuf>,

    /// Write a page that sums the run up: apps and latencies over time, failures
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    report: Option<PathBuf>,

    /// Write every request and answer as HTTP Archive, without secrets and with
    /// the first 16 KiB of each body
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    har: Option<PathBuf>,
}

/// How a recording begins.
type Create = fn(&Path) -> io::Result<Arc<dyn Recording>>;

impl RecordArgs {
    /// Creates the files, so that one that cannot be written is told before
    /// anything is done.
    pub(super) fn open(&self) -> Result<Recordings, CommandError> {
        let asked: [(&'static str, &Option<PathBuf>, Create); 3] = [
            ("trace", &self.trace, |path| {
                Ok(Arc::new(Trace::create(path)?))
            }),
            ("report", &self.report, |path| {
                Ok(Arc::new(Page::create(path)?))
            }),
            ("HTTP archive", &self.har, |path| {
                Ok(Arc::new(Har::create(path)?))
            }),
        ];
        let mut opened: Vec<Opened> = Vec::new();
        for (what, path, create) in asked {
            let Some(path) = path else { continue };
            if let Some(other) = opened.iter().find(|it| it.path == *path) {
                let (other, path) = (other.what, path.display());
                return Err(CommandError::Usage(format!(
                    "{other} and {what} cannot both be written to {path}"
                )));
            }
            let recording = create(path).map_err(|error| {
                CommandError::Usage(format!(
                    "cannot write the {what} {}: {error}",
                    path.display()
                ))
            })?;
            let path = path.clone();
            opened.push(Opened {
                what,
                path,
                recording,
            });
        }
        Ok(Recordings(opened))
    }
}

struct Opened {
    what: &'static str,
    path: PathBuf,
    recording: Arc<dyn Recording>,
}

/// The recordings of a run, completed when this is dropped: so they are
/// complete however the run ends.
pub(super) struct Recordings(Vec<Opened>);

impl Recordings {
    pub(super) fn sinks(&self) -> Vec<Arc<dyn EventSink>> {
        let sinks = self.0.iter();
        sinks
            .map(|it| Arc::clone(&it.recording) as Arc<dyn EventSink>)
            .collect()
    }
}

impl Drop for Recordings {
    fn drop(&mut self) {
        for Opened {
            what,
            path,
            recording,
        } in &self.0
        {
            if let Err(error) = recording.finish() {
                let path = path.display();
                output::complain(&format!("warning: cannot write the {what} {path}: {error}"));
            }
        }
    }
}

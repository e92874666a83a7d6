//! Opens and completes the files that record a run.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use tokio_util::sync::CancellationToken;

use cf_pusher::report::{HtmlReport, HttpArchive, Junit, Recording, Trace};
use cf_pusher::{Error, EventSink};

use super::{CommandError, files, output};

/// The flags that record a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recordings")]
pub(super) struct RecordArgs {
    /// Write a trace of steps and requests for ui.perfetto.dev
    #[arg(long, value_name = "FILE", value_parser = files::output_file())]
    trace: Option<PathBuf>,

    /// Write an HTML report: apps and latencies over time, failures
    #[arg(long, value_name = "FILE", value_parser = files::output_file())]
    report: Option<PathBuf>,

    /// Write all requests and responses as an HTTP Archive, without secrets and
    /// with the first 16 KiB of each body
    #[arg(long, value_name = "FILE", value_parser = files::output_file())]
    har: Option<PathBuf>,

    /// Write the result for each app as JUnit XML, for CI systems
    #[arg(long, value_name = "FILE", value_parser = files::output_file())]
    junit: Option<PathBuf>,
}

/// Creates the file of a recording.
type Create = fn(&Path) -> io::Result<Arc<dyn Recording>>;

impl RecordArgs {
    /// Creates the files before the run starts, and replaces none of the `inputs`. Waits
    /// until a pipe has a reader.
    pub(super) async fn open(
        &self,
        inputs: &[&PathBuf],
        interrupt: &CancellationToken,
    ) -> Result<Recordings, CommandError> {
        let asked: [(&'static str, &Option<PathBuf>, Create); 4] = [
            ("trace", &self.trace, |path| {
                Ok(Arc::new(Trace::create(path)?))
            }),
            ("report", &self.report, |path| {
                Ok(Arc::new(HtmlReport::create(path)?))
            }),
            ("HTTP archive", &self.har, |path| {
                Ok(Arc::new(HttpArchive::create(path)?))
            }),
            ("JUnit report", &self.junit, |path| {
                Ok(Arc::new(Junit::create(path)?))
            }),
        ];
        let mut opened: Vec<OpenRecording> = Vec::new();
        for (what, path, create) in asked {
            let Some(path) = path else { continue };
            if let Some(other) = opened.iter().find(|it| is_same(&it.path, path)) {
                let (other, path) = (other.what, path.display());
                return Err(CommandError::usage(format!(
                    "the {other} and the {what} cannot be written to the same file {path}"
                ))
                .help("choose another file for one of them"));
            }
            check_output(what, path, inputs)?;
            let file = path.clone();
            let created = tokio::task::spawn_blocking(move || create(&file));
            let created = tokio::select! {
                created = created => created.map_err(io::Error::other).flatten(),
                () = interrupt.cancelled() => return Err(Error::Interrupted.into()),
            };
            let recording = created.map_err(|error| {
                let path = path.display();
                let failed =
                    CommandError::usage(format!("writing the {what} {path} failed: {error}"));
                match files::help_for_output(&error) {
                    Some(help) => failed.help(help),
                    None => failed,
                }
            })?;
            let path = path.clone();
            opened.push(OpenRecording {
                what,
                path,
                recording,
            });
        }
        Ok(Recordings(opened))
    }
}

/// Refuses to replace a file that the command reads.
pub(super) fn check_output(
    what: &str,
    path: &Path,
    inputs: &[&PathBuf],
) -> Result<(), CommandError> {
    if !inputs.iter().any(|input| files::is_input(input, path)) {
        return Ok(());
    }
    let path = path.display();
    let message = format!("the {what} cannot be written to {path}: the command reads that file");
    Err(CommandError::usage(message).help("choose another file"))
}

/// Whether both are the same existing file, regardless of the notation of their paths.
fn is_same(one: &Path, other: &Path) -> bool {
    let canonical = |path: &Path| path.canonicalize().ok();
    one == other || canonical(one).is_some_and(|one| canonical(other) == Some(one))
}

struct OpenRecording {
    what: &'static str,
    path: PathBuf,
    recording: Arc<dyn Recording>,
}

/// The recordings of a run. They are completed on drop, regardless of the outcome of the
/// run.
pub(super) struct Recordings(Vec<OpenRecording>);

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
        for OpenRecording {
            what,
            path,
            recording,
        } in &self.0
        {
            if let Err(error) = recording.finish() {
                let path = path.display();
                output::eprintln_line(&format!(
                    "warning: writing the {what} {path} failed: {error}"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(har: &Path, trace: Option<&Path>) -> RecordArgs {
        RecordArgs {
            trace: trace.map(Path::to_owned),
            report: None,
            har: Some(har.to_owned()),
            junit: None,
        }
    }

    #[tokio::test]
    async fn no_input_and_no_other_recording_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        std::fs::write(&config, "{}").unwrap();
        let again = folder.path().join(".").join("config.json");
        let interrupt = CancellationToken::new();
        let refused = args(&again, None).open(&[&config], &interrupt).await;
        let error = refused.err().map(|error| error.to_string()).unwrap();
        assert!(error.ends_with("the command reads that file"), "{error}");
        assert_eq!(std::fs::read_to_string(&config).unwrap(), "{}");
        let (har, trace) = (folder.path().join("h"), folder.path().join(".").join("h"));
        let refused = args(&har, Some(&trace)).open(&[], &interrupt).await;
        let error = refused.err().map(|error| error.to_string()).unwrap();
        assert!(
            error.contains("cannot be written to the same file"),
            "{error}"
        );
    }
}

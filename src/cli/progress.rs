//! Shows the progress of a run on standard error: a bar for each phase on a
//! terminal, plain lines elsewhere.

use std::collections::{HashMap, HashSet};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use cf_pusher::events::{Event, EventSink, Phase, PushStep};

const BAR: &str = "{prefix:>11} {bar:30} {pos}/{len} {elapsed}";

/// The bar of an upload, which disappears when the upload is done.
const BYTES: &str = "{prefix:>11} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}";

/// A sink that shows progress and warnings.
#[derive(Debug)]
pub(super) struct Progress {
    bars: Option<MultiProgress>,
    phases: Mutex<HashMap<Phase, Shown>>,
    /// The bars of running uploads.
    uploads: Mutex<HashMap<String, ProgressBar>>,
    /// The warnings that were shown.
    warned: Mutex<HashSet<String>>,
}

#[derive(Debug)]
struct Shown {
    total: usize,
    done: usize,
    failed: usize,
    /// The last tenth that was printed, without a bar.
    tenth: usize,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows bars if standard error is a terminal, else lines.
    pub(super) fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self {
            bars,
            phases: Mutex::default(),
            uploads: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    /// Prints a line above the bars.
    fn print(&self, line: &str) {
        // A closed pipe does not stop the run.
        let print = || writeln!(std::io::stderr().lock(), "{line}");
        let _ = match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        };
    }

    /// Prints a warning, once.
    fn warn(&self, text: &str) {
        let Ok(mut warned) = self.warned.lock() else {
            return;
        };
        if warned.insert(text.to_owned()) {
            self.print(&format!("warning: {text}"));
        }
    }

    /// Updates the bar of an upload.
    fn upload(&self, name: &str, sent: u64, total: u64) {
        let (Some(bars), Ok(mut uploads)) = (&self.bars, self.uploads.lock()) else {
            return;
        };
        if sent < total {
            let bar = uploads
                .entry(name.to_owned())
                .or_insert_with(|| add_bar(bars, BYTES, name, total));
            bar.set_position(sent);
        } else if let Some(bar) = uploads.remove(name) {
            bar.finish_and_clear();
        }
    }

    fn start(&self, phase: Phase, total: usize) {
        let bar = self.bars.as_ref();
        let bar = bar.map(|bars| add_bar(bars, BAR, phase.name(), count(total)));
        if bar.is_none() {
            self.print(&format!("{}: {total} to do", phase.name()));
        }
        if let Ok(mut phases) = self.phases.lock() {
            let shown = Shown {
                total,
                done: 0,
                failed: 0,
                tenth: 0,
                bar,
            };
            phases.insert(phase, shown);
        }
    }

    fn advance(&self, phase: Phase, done: usize, failed: usize) {
        let Ok(mut phases) = self.phases.lock() else {
            return;
        };
        let Some(shown) = phases.get_mut(&phase) else {
            return;
        };
        (shown.done, shown.failed) = (done, failed);
        if let Some(bar) = &shown.bar {
            bar.set_position(count(done));
            return;
        }
        // Ten lines per phase are enough.
        let tenth = done * 10 / shown.total.max(1);
        if tenth > shown.tenth && done < shown.total {
            shown.tenth = tenth;
            self.print(&format!("{}: {done} of {}", phase.name(), shown.total));
        }
    }

    fn end(&self, phase: Phase) {
        let Some(shown) = self.phases.lock().ok().and_then(|mut it| it.remove(&phase)) else {
            return;
        };
        match shown.bar {
            Some(bar) => bar.abandon(),
            None if shown.failed == 0 => self.print(&format!("{}: done", phase.name())),
            None => self.print(&format!(
                "{}: {} of {} done, {} failed",
                phase.name(),
                shown.done,
                shown.total,
                shown.failed
            )),
        }
    }
}

impl EventSink for Progress {
    fn handle(&self, event: &Event) {
        match event {
            Event::PhaseStarted { phase, total } => self.start(*phase, *total),
            Event::PhaseProgress {
                phase,
                done,
                failed,
            } => self.advance(*phase, *done, *failed),
            Event::PhaseEnded { phase } => self.end(*phase),
            Event::Push { app, step } => self.print(&format!("{app}: {}", describe(*step))),
            Event::StagingLog { app, line, .. } => self.print(&format!("{app} | {line}")),
            Event::UploadProgress { name, sent, total } => self.upload(name, *sent, *total),
            Event::Warning(text) => self.warn(text),
            Event::Retry {
                endpoint,
                rate_limited: true,
                after,
                ..
            } if after.as_secs() > 0 => self.print(&format!(
                "{endpoint}: rate limited, waiting {} s",
                after.as_secs()
            )),
            _ => {}
        }
    }
}

/// A line about a step that starts.
fn describe(step: PushStep) -> String {
    match step {
        PushStep::Upload { bytes: None } => {
            "nothing to upload: the Cloud Controller has all files".to_owned()
        }
        PushStep::Upload { bytes: Some(bytes) } => format!("uploading {}", HumanBytes(bytes)),
        PushStep::ReusePackage => "bits are unchanged, using the existing package".to_owned(),
        PushStep::UploadDroplet => "uploading the droplet".to_owned(),
        PushStep::Stage => "staging".to_owned(),
        PushStep::Stop => "stopping".to_owned(),
        PushStep::Start => "starting".to_owned(),
        PushStep::Deploy => "deploying".to_owned(),
        _ => "continuing".to_owned(),
    }
}

fn add_bar(bars: &MultiProgress, template: &str, prefix: &str, length: u64) -> ProgressBar {
    let bar = bars.add(ProgressBar::new(length));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(prefix.to_owned());
    bar
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

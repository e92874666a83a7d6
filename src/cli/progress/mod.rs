//! Shows the progress of a run on standard error: a live line for each phase on a
//! terminal, plain lines elsewhere.

mod line;
mod phase;
mod step;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use cf_pusher::Error;
use cf_pusher::events::{Event, EventSink, Phase, PushStep, StepContext};
use console::style;
use indicatif::ProgressBar;
use phase::PhaseState;

use super::screen;
use line::StatusLine;
use step::describe;

/// The time between two frames of the live lines.
const FRAME: Duration = Duration::from_millis(100);

/// The maximum number of failures that are shown during the run. The summary lists all of
/// them.
const MAX_SHOWN: usize = 10;

/// The maximum number of uploads that have their own line.
const MAX_UPLOADS: usize = 4;

/// The progress of the process.
static SHOWN: OnceLock<Weak<Progress>> = OnceLock::new();

/// Ends the live lines, even if steps are still running, because the process is about to
/// exit.
pub(super) fn stop() {
    if let Some(progress) = SHOWN.get().and_then(Weak::upgrade) {
        progress.stop();
    }
}

/// A sink that shows progress, failures and warnings.
pub(super) struct Progress {
    state: Mutex<State>,
}

struct State {
    began: Instant,
    frame: usize,
    /// Whether the progress has been stopped.
    is_stopped: bool,
    phases: BTreeMap<Phase, PhaseState>,
    /// Sent and total bytes, by the name of the app.
    uploads: BTreeMap<String, (u64, u64)>,
    /// The current step of `push` for each app, and its start.
    pushing: HashMap<String, (PushStep, Instant)>,
    upload_lines: Vec<ProgressBar>,
    status_line: Option<ProgressBar>,
    status: StatusLine,
    /// The end of the last reported pause for a rate limit.
    limited_until: Option<Instant>,
    warned: HashSet<String>,
    /// The failures that were shown, without the parts that differ from app to app.
    failures: HashSet<(String, String)>,
}

impl Progress {
    /// Starts to show progress. On a terminal, lines are redrawn until the returned value
    /// is dropped or [`Progress::stop`] is called.
    pub(super) fn start() -> Arc<Self> {
        let state = State {
            began: Instant::now(),
            frame: 0,
            is_stopped: false,
            phases: BTreeMap::new(),
            uploads: BTreeMap::new(),
            pushing: HashMap::new(),
            upload_lines: Vec::new(),
            status_line: None,
            status: StatusLine::default(),
            limited_until: None,
            warned: HashSet::new(),
            failures: HashSet::new(),
        };
        let progress = Arc::new(Self {
            state: Mutex::new(state),
        });
        let shown = Arc::downgrade(&progress);
        // A process has only one progress output.
        let _ = SHOWN.set(Weak::clone(&shown));
        if screen::is_live() {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(FRAME).await;
                    let Some(progress) = shown.upgrade() else {
                        return;
                    };
                    progress.state().draw(Instant::now());
                }
            });
        }
        progress
    }

    /// Ends all live lines before the summary of a run is printed. For a phase that has
    /// not ended, a line with its progress remains.
    pub(super) fn stop(&self) {
        self.state().stop();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop();
    }
}

impl EventSink for Progress {
    fn handle(&self, event: &Event) {
        let mut state = self.state();
        if !state.is_stopped {
            state.handle(event, Instant::now());
        }
    }
}

impl State {
    fn handle(&mut self, event: &Event, now: Instant) {
        match event {
            Event::PhaseStarted { phase, total } => self.start(*phase, *total, now),
            Event::PhaseProgress {
                phase,
                done,
                failed,
            } => self.advance(*phase, *done, *failed, now),
            Event::PhaseEnded { phase } => self.end(*phase),
            Event::Waiting { phase, app } => {
                if let Some(shown) = self.phases.get_mut(phase) {
                    shown.awaited = Some(app.clone());
                }
            }
            Event::StepStarted(context) => self.step_started(context, now),
            Event::StepEnded { context, error } => self.step_ended(context, error.as_deref()),
            Event::Push { app, step } => self.push(app, *step, now),
            Event::StagingLog { app, line, .. } => screen::line(&format!("{app} | {line}")),
            Event::UploadProgress { name, sent, total } => self.upload(name, *sent, *total),
            Event::Warning(text) => self.warn(text),
            Event::Note(text) => screen::line(text),
            Event::Request { .. } => self.status.requests += 1,
            Event::Retry {
                endpoint,
                rate_limited,
                after,
                ..
            } => self.retry(endpoint, *rate_limited, *after, now),
            _ => {}
        }
    }

    fn start(&mut self, phase: Phase, total: usize, now: Instant) {
        self.phases.insert(phase, PhaseState::new(total, now));
        // A push prints a line for each step of each app.
        if !screen::is_live() && phase != Phase::Push {
            screen::line(&format!("{}: {total} to do", phase.name()));
        }
    }

    fn advance(&mut self, phase: Phase, done: usize, failed: usize, now: Instant) {
        let Some(shown) = self.phases.get_mut(&phase) else {
            return;
        };
        // Events of parallel tasks may arrive in any order.
        shown.done = shown.done.max(done);
        shown.failed = shown.failed.max(failed);
        shown.sample(now);
        let ended = done + failed;
        // Ten lines per phase are enough.
        let tenth = ended * 10 / shown.total.max(1);
        let is_due = tenth > shown.tenth && ended < shown.total;
        if is_due && !screen::is_live() && phase != Phase::Push {
            shown.tenth = tenth;
            let mut text = format!("{}: {done} of {}", phase.name(), shown.total);
            if failed > 0 {
                text += &format!(", {failed} failed");
            }
            screen::line(&text);
        }
    }

    fn end(&mut self, phase: Phase) {
        let Some(shown) = self.phases.remove(&phase) else {
            return;
        };
        if let Some(line) = &shown.line {
            line.finish_and_clear();
        }
        if screen::is_live() || phase != Phase::Push {
            let PhaseState {
                total,
                done,
                failed,
                ..
            } = shown;
            screen::styled_line(&line::ended(phase.name(), total, done, failed));
        }
    }

    fn step_started(&mut self, context: &Arc<StepContext>, now: Instant) {
        let phase = context.phase.and_then(|it| self.phases.get_mut(&it));
        if let Some(shown) = phase {
            shown.running.insert(Arc::clone(context), now);
        }
    }

    fn step_ended(&mut self, context: &Arc<StepContext>, error: Option<&str>) {
        let phase = context.phase.and_then(|it| self.phases.get_mut(&it));
        if let Some(shown) = phase {
            shown.running.remove(context);
        }
        if let Some(name) = context.target.strip_prefix("app ") {
            self.pushing.remove(name);
        }
        if let Some(error) = error {
            self.fail(context, error);
        }
    }

    /// Shows a failure on a terminal, unless a similar one was shown. The line of the
    /// phase counts the others.
    fn fail(&mut self, context: &StepContext, error: &str) {
        let is_interrupt = error == Error::Interrupted.to_string();
        if is_interrupt || !screen::is_live() || self.failures.len() >= MAX_SHOWN {
            return;
        }
        let name = context.target.strip_prefix("app ");
        let name = name.unwrap_or(&context.target);
        if self
            .failures
            .insert((context.step.clone(), without_names_and_ids(error, name)))
        {
            let text = match error.contains(name) {
                true => format!("failed: {error}"),
                false => format!("failed: {}: {error}", line::doing(context)),
            };
            let text = style(screen::visible(&text)).for_stderr().red();
            screen::styled_line(&text.to_string());
        }
    }

    /// Prints a warning once.
    fn warn(&mut self, text: &str) {
        if self.warned.insert(text.to_owned()) {
            let warning = style("warning:").for_stderr().yellow();
            screen::styled_line(&format!("{warning} {}", screen::visible(text)));
        }
    }

    fn push(&mut self, app: &str, step: PushStep, now: Instant) {
        self.pushing.insert(app.to_owned(), (step, now));
        let is_news = !matches!(step, PushStep::Stage | PushStep::Stop | PushStep::Start);
        // Steps that take long are shown in the live line.
        if is_news || !screen::is_live() {
            screen::line(&format!("{app}: {}", describe(step)));
        }
    }

    fn upload(&mut self, name: &str, sent: u64, total: u64) {
        match sent < total {
            true => self.uploads.insert(name.to_owned(), (sent, total)),
            false => self.uploads.remove(name),
        };
    }

    /// Reports a pause for a rate limit once, and not for each waiting request.
    fn retry(&mut self, endpoint: &str, rate_limited: bool, after: Duration, now: Instant) {
        self.status.retries += 1;
        self.status.rate_limited += u64::from(rate_limited);
        let is_reported = self.limited_until.is_some_and(|until| now < until);
        if rate_limited && !is_reported && after >= Duration::from_secs(1) {
            self.limited_until = Some(now + after);
            let pause = line::time(after);
            screen::line(&format!("{endpoint}: rate limited, waiting {pause}"));
        }
    }

    /// Draws a frame.
    fn draw(&mut self, now: Instant) {
        if self.is_stopped || !screen::is_live() {
            return;
        }
        let width = screen::width();
        self.frame += 1;
        if self.status_line.is_none() {
            self.status_line = screen::add_line(None);
        }
        let uploads = self.uploads.iter().take(MAX_UPLOADS);
        let uploads: Vec<String> = uploads
            .map(|(name, (sent, total))| line::upload(name, *sent, *total, width))
            .collect();
        while self.upload_lines.len() > uploads.len() {
            if let Some(line) = self.upload_lines.pop() {
                line.finish_and_clear();
            }
        }
        while self.upload_lines.len() < uploads.len() {
            let Some(line) = screen::add_line(self.status_line.as_ref()) else {
                break;
            };
            self.upload_lines.push(line);
        }
        for (line, text) in self.upload_lines.iter().zip(uploads) {
            line.set_message(text);
        }
        let below = self.upload_lines.first().or(self.status_line.as_ref());
        let is_staging = self.phases.contains_key(&Phase::Prototypes);
        for (phase, shown) in &mut self.phases {
            let mut line = shown.line_at(now, self.frame, *phase, &self.pushing);
            // Clones cannot continue without the droplet of their prototype.
            let has_rest = line.done + line.failed < line.total;
            if line.waiting.is_none() && *phase == Phase::Clones && is_staging && has_rest {
                line.waiting = Some(("waiting for prototypes".to_owned(), now - shown.began));
            }
            let text = line.text(width);
            if shown.line.is_none() {
                shown.line = screen::add_line(below);
            }
            if let Some(line) = &shown.line {
                line.set_message(text);
            }
        }
        self.status.frame = self.frame;
        self.status.elapsed = now.saturating_duration_since(self.began);
        if let Some(line) = &self.status_line {
            line.set_message(self.status.text(width));
        }
    }

    fn stop(&mut self) {
        if self.is_stopped {
            return;
        }
        for phase in self.phases.keys().copied().collect::<Vec<_>>() {
            self.end(phase);
        }
        let lines = self.upload_lines.drain(..).chain(self.status_line.take());
        lines.for_each(|line| line.finish_and_clear());
        self.is_stopped = true;
    }
}

/// An error without the parts that differ between similar errors: the app's name, GUIDs
/// and the request ID.
fn without_names_and_ids(error: &str, name: &str) -> String {
    let is_guid = |part: &str| part.len() == 36 && part.matches('-').count() == 4;
    let error = error.split(" [request ").next().unwrap_or_default();
    let error = error.replace(name, "");
    let parts = error.split(|it: char| it == '/' || it.is_whitespace());
    let parts: Vec<&str> = parts.filter(|part| !is_guid(part)).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_similar_if_only_names_and_ids_differ() {
        let of = |name: &str, guid: &str| {
            let error =
                format!("POST /v3/apps/{guid}/x failed with 422: {name} is bad [request {guid}]");
            without_names_and_ids(&error, name)
        };
        let (one, other) = (
            "11111111-1111-1111-1111-111111111111",
            "22222222-2222-2222-2222-222222222222",
        );
        assert_eq!(of("tick-1", one), of("tick-2", other));
        assert_ne!(
            of("tick-1", one),
            without_names_and_ids("interrupted", "tick-1")
        );
    }
}

//! Writes a run as a trace for [Perfetto](https://ui.perfetto.dev): a track for
//! each phase and each app, with steps as slices and requests inside them.
//!
//! The file is a JSON array in the trace event format. Slices of a track must nest, so
//! overlapping requests that serve several apps get separate tracks.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::recording::{self, Entries, Output, Recording};
use crate::events::{AppMilestone, Event, EventSink, Phase, StepContext, TriedConnection};

/// The process of the phases and of the counts of apps per milestone.
const RUN: u64 = 1;
/// The process of requests that serve several apps.
const SHARED: u64 = 2;
/// The first process of apps.
const APPS: u64 = 3;
/// The number of tracks per process of apps. Perfetto shows processes collapsed.
const TRACKS: u64 = 100;

/// A sink that writes a trace of steps and requests for Perfetto.
pub struct Trace {
    /// `None` after [`Recording::finish`].
    writing: Mutex<Option<Writing>>,
}

impl Trace {
    /// Creates the file, or truncates an existing file.
    ///
    /// # Errors
    ///
    /// An error if the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::to(recording::create(path)?))
    }

    fn to(out: Box<dyn Output>) -> Self {
        let writing = Mutex::new(Some(Writing::begin(out, Instant::now())));
        Self { writing }
    }
}

impl EventSink for Trace {
    fn handle(&self, event: &Event) {
        if let Ok(mut writing) = self.writing.lock()
            && let Some(writing) = writing.as_mut()
        {
            writing.take(Instant::now(), event);
        }
    }
}

impl Recording for Trace {
    fn finish(&self) -> io::Result<()> {
        let writing = self.writing.lock().ok().and_then(|mut it| it.take());
        writing.map_or(Ok(()), |writing| writing.end(Instant::now()))
    }
}

struct Writing {
    entries: Entries,
    origin: Instant,
    /// The tracks of apps and other targets, by their names.
    tracks: HashMap<String, Track>,
    /// The time at which each track of shared requests becomes free.
    shared_tracks: Vec<Instant>,
    /// The phases that have started and not ended.
    phases: BTreeMap<Phase, Track>,
    /// The number of apps at each milestone.
    apps: BTreeMap<AppMilestone, u64>,
}

/// A track: a line of slices.
#[derive(Debug, Clone, Copy)]
struct Track {
    process: u64,
    thread: u64,
    /// Whether a step has started and not ended.
    is_open: bool,
    /// The milestone that its app has reached.
    milestone: Option<AppMilestone>,
}

impl Track {
    fn new(process: u64, thread: u64) -> Self {
        Self {
            process,
            thread,
            is_open: false,
            milestone: None,
        }
    }
}

impl Writing {
    fn begin(out: Box<dyn Output>, origin: Instant) -> Self {
        let mut writing = Self {
            entries: Entries::begin(out, "[", "\n]\n"),
            origin,
            tracks: HashMap::new(),
            shared_tracks: Vec::new(),
            phases: BTreeMap::new(),
            apps: BTreeMap::new(),
        };
        writing.name_process(RUN, "run");
        writing.name_process(SHARED, "requests for all");
        writing
    }

    fn take(&mut self, now: Instant, event: &Event) {
        match event {
            Event::PhaseStarted { phase, .. } => self.begin_phase(now, *phase),
            Event::PhaseEnded { phase } => self.end_phase(now, *phase),
            Event::StepStarted(context) => self.begin_step(now, context),
            Event::StepEnded { context, error } => self.end_step(now, context, error.as_deref()),
            Event::App { name, milestone } => self.app(now, name, *milestone),
            Event::Request { .. } => self.request(event),
            Event::Connection(tried) => self.connection(tried),
            Event::Retry {
                endpoint,
                rate_limited,
                after,
                context,
            } => {
                let track = match context {
                    Some(context) => self.track(&context.target),
                    None => self.lane(now, now),
                };
                let what = if *rate_limited {
                    "rate limited"
                } else {
                    "retry"
                };
                let args = json!({"endpoint": endpoint, "after_ms": milliseconds(*after)});
                self.instant(now, track, what, args);
            }
            Event::Warning(text) => {
                self.instant(now, Track::new(RUN, 0), "warning", json!({"text": text}));
            }
            _ => {}
        }
    }

    fn begin_phase(&mut self, now: Instant, phase: Phase) {
        self.end_phase(now, phase);
        let track = Track::new(RUN, 1 + phase as u64);
        self.phases.insert(phase, track);
        self.name_track(track, phase.name());
        self.slice("B", now, track, phase.name(), json!({}));
    }

    fn end_phase(&mut self, now: Instant, phase: Phase) {
        if let Some(track) = self.phases.remove(&phase) {
            self.slice("E", now, track, phase.name(), json!({}));
        }
    }

    fn begin_step(&mut self, now: Instant, context: &StepContext) {
        let track = self.track(&context.target);
        self.set_open(context, true);
        self.slice("B", now, track, &context.step, json!({}));
    }

    fn end_step(&mut self, now: Instant, context: &StepContext, error: Option<&str>) {
        let track = self.track(&context.target);
        self.set_open(context, false);
        let args = error.map_or(json!({}), |error| json!({"error": error}));
        self.slice("E", now, track, &context.step, args);
    }

    fn set_open(&mut self, context: &StepContext, is_open: bool) {
        if let Some(track) = self.tracks.get_mut(&context.target) {
            track.is_open = is_open;
        }
    }

    /// Marks a milestone on the app's track, and counts it. An app that the run did not
    /// change is not marked as running.
    fn app(&mut self, now: Instant, name: &str, milestone: AppMilestone) {
        let context = format!("app {name}");
        if milestone == AppMilestone::Running && !self.tracks.contains_key(&context) {
            return;
        }
        let track = self.track(&context);
        if track.milestone >= Some(milestone) {
            return;
        }
        if let Some(track) = self.tracks.get_mut(&context) {
            track.milestone = Some(milestone);
        }
        self.instant(now, track, name_of(milestone), json!({}));
        let count = self.apps.entry(milestone).or_default();
        *count += 1;
        let count = *count;
        self.entries.push(&json!({
            "ph": "C", "name": format!("apps {}", name_of(milestone)), "pid": RUN,
            "ts": self.at(now), "args": {"apps": count},
        }));
    }

    fn request(&mut self, event: &Event) {
        let Event::Request {
            endpoint,
            status,
            began,
            took,
            in_flight,
            request_id,
            context,
            ..
        } = event
        else {
            return;
        };
        let track = match context {
            Some(context) => self.track(&context.target),
            None => self.lane(*began, *began + *took),
        };
        let (method, path) = endpoint.split_once(' ').unwrap_or(("", endpoint));
        let is_well = status.is_some_and(|status| status < 400);
        self.entries.push(&json!({
            "ph": "X", "name": endpoint, "cat": if is_well { "request" } else { "request,failed" },
            "pid": track.process, "tid": track.thread,
            "ts": self.at(*began), "dur": microseconds(*took),
            "args": {
                "method": method, "endpoint": path, "status": status,
                "request_id": request_id, "in_flight": in_flight,
            },
        }));
    }

    fn connection(&mut self, tried: &TriedConnection) {
        let track = self.lane(tried.began, tried.began + tried.took);
        let category = match tried.failure {
            None => "connection",
            Some(_) => "connection,failed",
        };
        self.entries.push(&json!({
            "ph": "X", "name": format!("{} to {}", tried.proxy, tried.tick), "cat": category,
            "pid": track.process, "tid": track.thread,
            "ts": self.at(tried.began), "dur": microseconds(tried.took),
            "args": {
                "check": tried.check.to_string(), "address": tried.address,
                "tries": tried.tries, "failure": tried.failure,
            },
        }));
    }

    /// The track of an app, or of another target of steps.
    fn track(&mut self, name: &str) -> Track {
        if let Some(track) = self.tracks.get(name) {
            return *track;
        }
        let index = self.tracks.len() as u64;
        let (process, thread) = (APPS + index / TRACKS, 1 + index % TRACKS);
        if thread == 1 {
            self.name_process(process, &format!("from {name}"));
        }
        let track = Track::new(process, thread);
        self.name_track(track, name);
        self.tracks.insert(name.to_owned(), track);
        track
    }

    /// Takes a track of shared requests that is free from `began` to `ended`.
    fn lane(&mut self, began: Instant, ended: Instant) -> Track {
        let free = self.shared_tracks.iter().position(|until| *until <= began);
        let index = free.unwrap_or(self.shared_tracks.len());
        let track = Track::new(SHARED, 1 + index as u64);
        match self.shared_tracks.get_mut(index) {
            Some(until) => *until = ended,
            None => {
                self.shared_tracks.push(ended);
                self.name_track(track, "requests");
            }
        }
        track
    }

    fn slice(&mut self, kind: &str, now: Instant, track: Track, name: &str, args: Value) {
        self.entries.push(&json!({
            "ph": kind, "name": name, "pid": track.process, "tid": track.thread,
            "ts": self.at(now), "args": args,
        }));
    }

    fn instant(&mut self, now: Instant, track: Track, name: &str, args: Value) {
        self.entries.push(&json!({
            "ph": "i", "s": "t", "name": name, "pid": track.process, "tid": track.thread,
            "ts": self.at(now), "args": args,
        }));
    }

    fn name_process(&mut self, process: u64, name: &str) {
        let named = [
            ("process_name", json!({"name": name})),
            ("process_sort_index", json!({"sort_index": process})),
        ];
        for (what, args) in named {
            let entry = json!({"ph": "M", "name": what, "pid": process, "args": args});
            self.entries.push(&entry);
        }
    }

    fn name_track(&mut self, track: Track, name: &str) {
        self.entries.push(&json!({
            "ph": "M", "name": "thread_name", "pid": track.process, "tid": track.thread,
            "args": {"name": name},
        }));
    }

    /// Microseconds since the run began.
    fn at(&self, instant: Instant) -> f64 {
        microseconds(instant.saturating_duration_since(self.origin))
    }

    /// Ends all open slices, because a run may stop at any point.
    fn end(mut self, now: Instant) -> io::Result<()> {
        let tracks = self.tracks.values().filter(|track| track.is_open);
        let open: Vec<Track> = tracks.chain(self.phases.values()).copied().collect();
        for track in open {
            self.entries.push(&json!({
                "ph": "E", "pid": track.process, "tid": track.thread, "ts": self.at(now),
                "args": {"error": "not finished"},
            }));
        }
        self.entries.end()
    }
}

fn name_of(milestone: AppMilestone) -> &'static str {
    match milestone {
        AppMilestone::Created => "created",
        AppMilestone::DropletReady => "droplet ready",
        AppMilestone::Started => "started",
        AppMilestone::Running => "running",
    }
}

/// The duration in microseconds, with nanosecond precision.
#[expect(clippy::cast_precision_loss, reason = "runs take days at most")]
fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::recording::testing::Buffer;

    /// A run in which one step and one phase have not ended.
    fn record(paper: &Buffer) {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let create = StepContext::new("app one", "creating the app");
        let start = StepContext::new("app one", "starting \"the\" app");
        let phase = Phase::Clones;
        let request = |began, status, context: Option<&_>| Event::Request {
            endpoint: "POST /v3/apps".to_owned(),
            status,
            began: at(began),
            took: Duration::from_millis(5),
            server_time: None,
            in_flight: 2,
            request_id: status.map(|_| "id::1".to_owned()),
            context: context.cloned(),
            exchange: None,
        };
        let milestone = |milestone| Event::App {
            name: "one".to_owned(),
            milestone,
        };
        let ended = Event::StepEnded {
            context: create.clone(),
            error: Some("no".to_owned()),
        };
        let events = [
            (1, Event::PhaseStarted { phase, total: 1 }),
            (1, Event::StepStarted(create.clone())),
            (7, request(2, Some(201), Some(&create))),
            (7, request(2, Some(200), None)),
            (8, request(3, None, None)),
            (13, request(8, Some(503), None)),
            (13, milestone(AppMilestone::Created)),
            (
                14,
                Event::Retry {
                    endpoint: "POST /v3/apps".to_owned(),
                    rate_limited: true,
                    after: Duration::from_secs(1),
                    context: Some(create.clone()),
                },
            ),
            (15, ended),
            (16, Event::StepStarted(start)),
            (17, milestone(AppMilestone::Running)),
            (18, milestone(AppMilestone::Running)),
            (19, Event::Warning("beware".to_owned())),
        ];
        let mut writing = Writing::begin(paper.output(), origin);
        for (ms, event) in events {
            writing.take(at(ms), &event);
        }
        writing.end(at(20)).unwrap();
    }

    #[test]
    fn a_run_becomes_tracks_of_slices() {
        let paper = Buffer::default();
        record(&paper);
        insta::assert_snapshot!(paper.text());
        let entries: Vec<Value> = serde_json::from_str(&paper.text()).unwrap();
        let of = |kind: &str| entries.iter().filter(|it| it["ph"] == kind).count();
        assert_eq!(of("B"), of("E"), "every open slice is closed");
    }

    #[test]
    fn events_after_the_end_are_ignored() {
        let paper = Buffer::default();
        let trace = Trace::to(paper.output());
        trace.finish().unwrap();
        let text = paper.text();
        trace.handle(&Event::Warning("late".to_owned()));
        trace.finish().unwrap();
        assert_eq!(paper.text(), text);
    }
}

//! The progress of one phase: its counts, its rate, and what it waits for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cf_pusher::events::{Phase, PushStep, StepContext};
use indicatif::ProgressBar;

use super::line::{self, PhaseLine};
use super::step::verb;

/// The time over which the rate of a phase is measured.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// The minimum time over which a rate is computed.
const RATE_AFTER: Duration = Duration::from_secs(1);

/// A phase in progress.
pub(super) struct PhaseState {
    pub(super) total: usize,
    pub(super) done: usize,
    pub(super) failed: usize,
    pub(super) began: Instant,
    /// Without a terminal, the last tenth of the progress that was printed.
    pub(super) tenth: usize,
    /// The numbers of ended steps at some points in time.
    samples: VecDeque<(Instant, usize)>,
    pub(super) running: HashMap<Arc<StepContext>, Instant>,
    /// The app that a phase without steps waits for.
    pub(super) awaited: Option<String>,
    pub(super) line: Option<ProgressBar>,
}

impl PhaseState {
    pub(super) fn new(total: usize, began: Instant) -> Self {
        Self {
            total,
            done: 0,
            failed: 0,
            began,
            tenth: 0,
            samples: VecDeque::new(),
            running: HashMap::new(),
            awaited: None,
            line: None,
        }
    }

    /// Records the number of ended steps, to measure the rate.
    pub(super) fn sample(&mut self, now: Instant) {
        let is_old = |(at, _): &(Instant, usize)| now.saturating_duration_since(*at) > RATE_WINDOW;
        while self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, self.done + self.failed));
    }

    /// Ended steps per second, over the last seconds.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        let start = (self.began, 0);
        let is_young = now.saturating_duration_since(self.began) <= RATE_WINDOW;
        let first = self.samples.front().copied().filter(|_| !is_young);
        let (since, before) = first.unwrap_or(start);
        let time = now.saturating_duration_since(since);
        let ended = (self.done + self.failed).saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rate = ended as f64 / time.as_secs_f64();
        (time >= RATE_AFTER && ended > 0).then_some(rate)
    }

    pub(super) fn line_at(
        &self,
        now: Instant,
        frame: usize,
        phase: Phase,
        pushing: &HashMap<String, (PushStep, Instant)>,
    ) -> PhaseLine<'static> {
        let oldest = self.running.iter().min_by_key(|(_, since)| **since);
        let waiting = oldest.map(|(context, since)| {
            let name = context.target.strip_prefix("app ").unwrap_or_default();
            match pushing.get(name).filter(|_| phase == Phase::Push) {
                Some((step, since)) => (format!("{} {name}", verb(*step)), *since),
                None => (line::doing(context), *since),
            }
        });
        let awaited = self.awaited.as_ref();
        let waiting = waiting.or_else(|| Some((format!("waiting for {}", awaited?), self.began)));
        PhaseLine {
            frame,
            name: phase.name(),
            total: self.total,
            done: self.done,
            failed: self.failed,
            rate: self.rate(now),
            waiting: waiting.map(|(what, since)| (what, now.saturating_duration_since(since))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_the_last_seconds() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut shown = PhaseState::new(1000, began);
        assert_eq!(shown.rate(at(0)), None);
        // One step per second for half a minute, then ten per second.
        for second in 1..=30 {
            shown.done += 1;
            shown.sample(at(second));
        }
        assert_eq!(shown.rate(at(30)), Some(1.0));
        for second in 31..=60 {
            shown.done += 10;
            shown.sample(at(second));
        }
        assert_eq!(shown.rate(at(60)), Some(10.0));
    }

    #[test]
    fn a_phase_waits_for_its_oldest_step() {
        let began = Instant::now();
        let now = began + Duration::from_secs(20);
        let mut shown = PhaseState::new(3, began);
        for (name, since) in [("scale-tick-1", 10), ("scale-tick-0", 8)] {
            let context = StepContext::new(format!("app {name}"), "staging");
            shown
                .running
                .insert(context, began + Duration::from_secs(since));
        }
        let line = shown.line_at(now, 0, Phase::Prototypes, &HashMap::new());
        let waiting = ("staging scale-tick-0".to_owned(), Duration::from_secs(12));
        assert_eq!(line.waiting, Some(waiting));
    }

    #[test]
    fn a_phase_without_steps_waits_for_an_app() {
        let began = Instant::now();
        let now = began + Duration::from_secs(20);
        let mut shown = PhaseState::new(3, began);
        shown.awaited = Some("scale-tick-1".to_owned());
        let line = shown.line_at(now, 0, Phase::Instances, &HashMap::new());
        let waiting = (
            "waiting for scale-tick-1".to_owned(),
            Duration::from_secs(20),
        );
        assert_eq!(line.waiting, Some(waiting));
    }
}

//! Reports the progress of a phase as events.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::capi::client::Client;
use crate::events::{Event, Phase};

/// A phase in progress.
pub(super) struct Progress<'a> {
    client: &'a Client,
    phase: Phase,
    total: usize,
    done: AtomicUsize,
    failed: AtomicUsize,
}

impl<'a> Progress<'a> {
    pub(super) fn start(client: &'a Client, phase: Phase, total: usize) -> Self {
        if total > 0 {
            client.events().emit(Event::PhaseStarted { phase, total });
        }
        Self {
            client,
            phase,
            total,
            done: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        }
    }

    /// Counts a step or resource that is done or failed. An interrupted step counts as
    /// neither.
    pub(super) fn advance(&self, is_done: bool) {
        if self.total == 0 || !is_done && self.client.is_interrupted() {
            return;
        }
        let counter = if is_done { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.emit();
    }

    /// Records that at least this many steps or resources are done.
    pub(super) fn reach(&self, done: usize) {
        if self.done.fetch_max(done, Ordering::Relaxed) < done {
            self.emit();
        }
    }

    fn emit(&self) {
        self.client.events().emit(Event::PhaseProgress {
            phase: self.phase,
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        });
    }

    pub(super) fn end(self) {
        if self.total > 0 {
            let phase = self.phase;
            self.client.events().emit(Event::PhaseEnded { phase });
        }
    }
}

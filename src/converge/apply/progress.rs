//! How far a phase is, as events.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::capi::client::Client;
use crate::events::{Event, Phase};

/// A phase that is under way.
pub(super) struct Progress<'a> {
    client: &'a Client,
    phase: Phase,
    total: usize,
    done: AtomicUsize,
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
        }
    }

    pub(super) fn advance(&self) {
        let done = 1 + self.done.fetch_add(1, Ordering::Relaxed);
        let phase = self.phase;
        self.client
            .events()
            .emit(Event::PhaseProgress { phase, done });
    }

    pub(super) fn end(self) {
        if self.total > 0 {
            let phase = self.phase;
            self.client.events().emit(Event::PhaseEnded { phase });
        }
    }
}

//! The queue of requests that wait for one of the [`Limiter`]'s slots. Requests leave the
//! queue in order, except that one endpoint cannot hold more than its share of the slots.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::oneshot;

use super::limiter::{EndpointId, Limiter, LoadSignal, Ticket};
use crate::events::{Event, Events};

pub(crate) struct Gate {
    state: Mutex<State>,
    events: Events,
}

struct State {
    limiter: Limiter,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    endpoint: EndpointId,
    go: oneshot::Sender<Slot>,
}

/// The right to send one request. Dropping it frees the slot.
pub(crate) struct Slot {
    gate: Arc<Gate>,
    ticket: Option<Ticket>,
}

impl Gate {
    /// A gate with at most `ceiling` slots.
    pub(crate) fn new(ceiling: usize, events: Events) -> Arc<Self> {
        let limiter = Limiter::new(ceiling);
        let limit = limiter.limit();
        events.emit(Event::Concurrency { limit });
        Arc::new(Self {
            state: Mutex::new(State {
                limiter,
                queue: VecDeque::new(),
            }),
            events,
        })
    }

    /// Waits for a slot for a request to this endpoint.
    pub(crate) async fn enter(self: &Arc<Self>, endpoint: &str) -> Slot {
        let (go, turn) = oneshot::channel();
        self.with(|state| {
            let endpoint = state.limiter.endpoint(endpoint);
            state.queue.push_back(Waiter { endpoint, go });
        });
        self.admit();
        // The queue keeps every waiter until its turn, so the channel is never closed
        // before. If it were, the request would continue without a slot.
        turn.await.unwrap_or_else(|_| Slot {
            gate: Arc::clone(self),
            ticket: None,
        })
    }

    /// Admits waiting requests until no slot is free.
    fn admit(self: &Arc<Self>) {
        while let Some((waiter, ticket)) = self.with(State::next) {
            let slot = Slot {
                gate: Arc::clone(self),
                ticket: Some(ticket),
            };
            // If the waiter has just been dropped, dropping the slot frees it.
            let _ = waiter.go.send(slot);
        }
    }

    fn leave(self: &Arc<Self>, ticket: &Ticket, signal: Option<LoadSignal>) {
        self.with(|state| {
            let limiter = &mut state.limiter;
            let before = limiter.limit();
            match signal {
                Some(signal) => limiter.record_response(ticket, signal),
                None => limiter.release(ticket),
            }
            let limit = limiter.limit();
            if limit != before {
                // Emitted under the lock, so that changes arrive in order.
                self.events.emit(Event::Concurrency { limit });
            }
        });
        self.admit();
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = match self.state.lock() {
            Ok(state) => state,
            // No code under the lock leaves the state inconsistent.
            Err(poisoned) => poisoned.into_inner(),
        };
        act(&mut state)
    }
}

impl State {
    /// The first waiter that may be admitted now.
    fn next(&mut self) -> Option<(Waiter, Ticket)> {
        if self.limiter.is_full() {
            return None;
        }
        self.queue.retain(|waiter| !waiter.go.is_closed());
        let now = Instant::now();
        let limiter = &mut self.limiter;
        let mut waiters = self.queue.iter().enumerate();
        let (at, ticket) =
            waiters.find_map(|(at, waiter)| Some((at, limiter.admit(waiter.endpoint, now)?)))?;
        Some((self.queue.remove(at)?, ticket))
    }
}

impl Slot {
    /// Frees the slot and reports the load to the limiter.
    pub(crate) fn release(mut self, signal: LoadSignal) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.leave(&ticket, Some(signal));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.leave(&ticket, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn gate(ceiling: usize) -> Arc<Gate> {
        Gate::new(ceiling, Events::default())
    }

    /// A slot, if one is free.
    fn slot(gate: &Arc<Gate>, endpoint: &str) -> Option<Slot> {
        gate.enter(endpoint).now_or_never()
    }

    #[test]
    fn requests_are_admitted_in_the_order_in_which_they_queue() {
        let gate = gate(1);
        let held = slot(&gate, "a").unwrap();
        let mut first = Box::pin(gate.enter("a"));
        let mut second = Box::pin(gate.enter("b"));
        assert!(
            (&mut second).now_or_never().is_none(),
            "polled first, so queued first"
        );
        assert!((&mut first).now_or_never().is_none());
        drop(held);
        let held = (&mut second).now_or_never().unwrap();
        assert!((&mut first).now_or_never().is_none());
        held.release(LoadSignal::Processed(Duration::ZERO));
        assert!((&mut first).now_or_never().is_some());
    }

    #[test]
    fn a_dropped_waiter_holds_no_slot() {
        let gate = gate(1);
        let held = slot(&gate, "a").unwrap();
        let mut left = Box::pin(gate.enter("a"));
        assert!((&mut left).now_or_never().is_none());
        drop(left);
        let mut granted = Box::pin(gate.enter("a"));
        assert!((&mut granted).now_or_never().is_none());
        drop(held);
        // A slot was granted, but the waiter never took it.
        drop(granted);
        assert!(slot(&gate, "a").is_some());
    }

    #[test]
    fn an_endpoint_that_hangs_does_not_block_other_endpoints() {
        let gate = gate(4);
        let hanging: Vec<Slot> = (0..2).filter_map(|_| slot(&gate, "hangs")).collect();
        assert_eq!(hanging.len(), 2);
        let queue: Vec<_> = (0..50)
            .map(|_| {
                let mut waits = Box::pin(gate.enter("hangs"));
                assert!((&mut waits).now_or_never().is_none());
                waits
            })
            .collect();
        for _ in 0..10 {
            let other = slot(&gate, "other").unwrap();
            other.release(LoadSignal::Processed(Duration::ZERO));
        }
        drop(queue);
    }
}

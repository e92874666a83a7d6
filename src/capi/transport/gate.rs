//! Where requests queue for one of the slots that a [`Limiter`] gives: first
//! come, first served, but for those whose endpoint has its share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::oneshot;

use super::limiter::{Answer, EndpointId, Limiter, Ticket};
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

/// The right to have one request in flight, until it is dropped.
pub(crate) struct Slot {
    gate: Arc<Gate>,
    ticket: Option<Ticket>,
}

impl Gate {
    /// Never lets more than `ceiling` through at a time.
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
        self.let_go();
        // The queue keeps a waiter until its turn, so this is one in every case.
        turn.await.unwrap_or_else(|_| Slot {
            gate: Arc::clone(self),
            ticket: None,
        })
    }

    /// Lets all go for whom there are slots.
    fn let_go(self: &Arc<Self>) {
        while let Some((waiter, ticket)) = self.with(State::next) {
            let slot = Slot {
                gate: Arc::clone(self),
                ticket: Some(ticket),
            };
            // Who has just left the queue gives the slot back by that.
            let _ = waiter.go.send(slot);
        }
    }

    fn leave(self: &Arc<Self>, ticket: &Ticket, answer: Option<Answer>) {
        self.with(|state| {
            let limiter = &mut state.limiter;
            let before = limiter.limit();
            match answer {
                Some(answer) => limiter.on_answer(ticket, answer),
                None => limiter.on_gone(ticket),
            }
            let limit = limiter.limit();
            if limit != before {
                // Under the lock, so that changes are told in their order.
                self.events.emit(Event::Concurrency { limit });
            }
        });
        self.let_go();
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = match self.state.lock() {
            Ok(state) => state,
            // Nothing that is done under the lock leaves it half done.
            Err(poisoned) => poisoned.into_inner(),
        };
        act(&mut state)
    }
}

impl State {
    /// The first of the queue that may go now.
    fn next(&mut self) -> Option<(Waiter, Ticket)> {
        if self.limiter.is_full() {
            return None;
        }
        self.queue.retain(|waiter| !waiter.go.is_closed());
        let now = Instant::now();
        let limiter = &mut self.limiter;
        let mut waiters = self.queue.iter().enumerate();
        let (at, ticket) =
            waiters.find_map(|(at, waiter)| Some((at, limiter.go(waiter.endpoint, now)?)))?;
        Some((self.queue.remove(at)?, ticket))
    }
}

impl Slot {
    /// Gives the slot back, with what the answer tells.
    pub(crate) fn answered(mut self, answer: Answer) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.leave(&ticket, Some(answer));
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

    /// A slot of an endpoint that has answered before.
    fn slot(gate: &Arc<Gate>, endpoint: &str) -> Option<Slot> {
        gate.enter(endpoint).now_or_never()
    }

    #[test]
    fn those_who_wait_go_in_the_order_in_which_they_came() {
        let gate = gate(1);
        let held = slot(&gate, "a").unwrap();
        let mut first = Box::pin(gate.enter("a"));
        let mut second = Box::pin(gate.enter("b"));
        assert!(
            (&mut second).now_or_never().is_none(),
            "in the queue from here"
        );
        assert!((&mut first).now_or_never().is_none());
        drop(held);
        let held = (&mut second).now_or_never().unwrap();
        assert!((&mut first).now_or_never().is_none());
        held.answered(Answer::Good(Duration::ZERO));
        assert!((&mut first).now_or_never().is_some());
    }

    #[test]
    fn who_gives_up_waiting_holds_nothing() {
        let gate = gate(1);
        let held = slot(&gate, "a").unwrap();
        let mut left = Box::pin(gate.enter("a"));
        assert!((&mut left).now_or_never().is_none());
        drop(left);
        let mut granted = Box::pin(gate.enter("a"));
        assert!((&mut granted).now_or_never().is_none());
        drop(held);
        // Its slot is there, but it never comes for it.
        drop(granted);
        assert!(slot(&gate, "a").is_some());
    }

    #[test]
    fn an_endpoint_that_does_not_answer_keeps_nobody_else_waiting() {
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
            other.answered(Answer::Good(Duration::ZERO));
        }
        drop(queue);
    }
}

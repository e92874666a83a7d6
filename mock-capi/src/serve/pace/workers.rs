//! A limited number of workers, for which requests queue.
//!
//! The time that a request takes is known when it arrives. So the time at which a worker
//! is free for it is computed at once, and waiting in the queue only lengthens the delay
//! of the response, which every adapter supports.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The workers and their queue.
#[derive(Debug, Default)]
pub(super) struct Workers {
    /// The number of workers; 0 means no limit.
    count: usize,
    /// The time at which each busy worker is free again.
    free_at: BinaryHeap<Reverse<Instant>>,
    /// The times at which the queued requests are started, in order.
    starts: VecDeque<Instant>,
    /// The longest queue so far.
    peak: usize,
}

impl Workers {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    pub(super) fn reset_peak(&mut self) {
        self.peak = 0;
    }

    /// Changes the number of workers. It has no effect on requests that have arrived.
    pub(super) fn set(&mut self, count: usize) {
        self.count = count;
        while count > 0 && self.free_at.len() > count {
            self.free_at.pop();
        }
    }

    /// The time that a request which arrives now spends in the queue and with a worker.
    pub(super) fn serve(&mut self, now: Instant, takes: Duration) -> Duration {
        if self.count == 0 {
            return takes;
        }
        self.forget(now);
        let start = match self.free_at.len() < self.count {
            true => now,
            false => self.free_at.pop().map_or(now, |Reverse(free)| free),
        };
        self.free_at.push(Reverse(start + takes));
        if start > now {
            self.starts.push_back(start);
            self.peak = self.peak.max(self.starts.len());
        }
        (start - now).saturating_add(takes)
    }

    /// Drops the requests that have ended.
    fn forget(&mut self, now: Instant) {
        while self
            .free_at
            .peek()
            .is_some_and(|Reverse(free)| *free <= now)
        {
            self.free_at.pop();
        }
        while self.starts.front().is_some_and(|start| *start <= now) {
            self.starts.pop_front();
        }
    }

    pub(super) fn present(&mut self, now: Instant) -> Value {
        self.forget(now);
        json!({
            "workers": self.count,
            "busy": self.free_at.len(),
            "waiting": self.starts.len(),
            "peak": self.peak,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn requests_beyond_the_limit_wait_for_the_first_free_worker() {
        let now = Instant::now();
        let mut workers = Workers::new(2);
        let times = [3, 1, 1, 1].map(|takes| workers.serve(now, takes * SECOND));
        assert_eq!(times, [3 * SECOND, SECOND, 2 * SECOND, 3 * SECOND]);
        assert_eq!(workers.peak(), 2);
        let later = now + 3 * SECOND;
        assert_eq!(workers.serve(later, SECOND), SECOND);
        let expected = json!({"workers": 2, "busy": 1, "waiting": 0, "peak": 2});
        assert_eq!(workers.present(later), expected);
    }

    #[test]
    fn requests_do_not_wait_without_a_limit() {
        let now = Instant::now();
        let mut workers = Workers::default();
        assert!((0..100).all(|_| workers.serve(now, SECOND) == SECOND));
        assert_eq!(workers.peak(), 0);
        workers.set(1);
        assert_eq!(workers.serve(now, SECOND), SECOND);
        assert_eq!(workers.serve(now, SECOND), 2 * SECOND);
    }
}

//! The latest requests, for whoever watches the mock.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::serve::faults::Effect;
use crate::world::clock::Timestamp;

/// A request that was answered, or dropped.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LoggedRequest {
    /// Counts all requests since the start.
    number: u64,
    at: Timestamp,
    method: String,
    /// With the query.
    path: String,
    /// `None` if the connection was dropped.
    status: Option<u16>,
    /// How long the mock worked on it, without what it was held back.
    micros: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Effect>,
}

/// What is known of a request once it is answered.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) at: Timestamp,
    pub(crate) status: Option<u16>,
    pub(crate) took: Duration,
    pub(crate) fault: Option<Effect>,
}

/// The latest requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    requests: VecDeque<LoggedRequest>,
    count: u64,
}

impl RequestLog {
    /// How many are kept.
    const KEPT: usize = 1000;

    pub(crate) fn add(&mut self, method: &str, path: String, outcome: Outcome) {
        if self.requests.len() == Self::KEPT {
            self.requests.pop_front();
        }
        self.count += 1;
        self.requests.push_back(LoggedRequest {
            number: self.count,
            at: outcome.at,
            method: method.into(),
            path,
            status: outcome.status,
            micros: u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
            fault: outcome.fault,
        });
    }

    /// Those after the request of that number which are still kept; all, if
    /// there was none of that number: whoever asks saw it of an earlier mock.
    pub(crate) fn after(&self, number: u64) -> Vec<&LoggedRequest> {
        let number = if number > self.count { 0 } else { number };
        let later = self.requests.iter().rev();
        let mut later: Vec<_> = later.take_while(|entry| entry.number > number).collect();
        later.reverse();
        later
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;

    #[test]
    fn the_latest_are_kept_and_read_on_from_a_number() {
        let mut log = RequestLog::default();
        let at = Clock::new().now();
        for number in 0..1100 {
            let outcome = Outcome {
                at,
                status: Some(200),
                took: Duration::from_micros(5),
                fault: None,
            };
            log.add("GET", format!("/{number}"), outcome);
        }
        let numbers = |after| {
            let entries = log.after(after).into_iter();
            entries.map(|entry| entry.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1098), [1099, 1100]);
        assert_eq!(numbers(0), (101..=1100).collect::<Vec<_>>());
        assert!(numbers(1100).is_empty());
        assert_eq!(numbers(1101), numbers(0));
    }
}

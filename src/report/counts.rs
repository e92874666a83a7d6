//! Counts requests, for the summary of a run.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;

use crate::events::{Event, Sink};

/// A sink that counts. Share it with an `Arc`.
#[derive(Debug, Default)]
pub struct Counts {
    counts: Mutex<RunCounts>,
}

/// The requests of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunCounts {
    /// All that were sent, to the API and to the UAA.
    pub requests: u64,
    /// The same by endpoint, such as `GET /v3/apps/:guid`.
    pub requests_by_endpoint: BTreeMap<String, u64>,
    /// How often a request was sent again.
    pub retries: u64,
    /// How often that was because of a rate limit (429).
    pub rate_limited: u64,
}

impl Counts {
    /// What has been counted so far.
    pub fn get(&self) -> RunCounts {
        match self.counts.lock() {
            Ok(counts) => counts.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }
}

impl Sink for Counts {
    fn on(&self, event: &Event) {
        let Ok(mut counts) = self.counts.lock() else {
            return;
        };
        match event {
            Event::Request { endpoint, .. } => {
                counts.requests += 1;
                let by_endpoint = &mut counts.requests_by_endpoint;
                *by_endpoint.entry(endpoint.clone()).or_default() += 1;
            }
            Event::Retry { rate_limited, .. } => {
                counts.retries += 1;
                counts.rate_limited += u64::from(*rate_limited);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn requests_and_retries_are_counted() {
        let counts = Counts::default();
        let request = |endpoint: &str| Event::Request {
            endpoint: endpoint.to_owned(),
            status: Some(200),
            began: Instant::now(),
            took: Duration::ZERO,
            in_flight: 1,
            request_id: None,
            subject: None,
        };
        let retry = |rate_limited| Event::Retry {
            endpoint: "GET /".to_owned(),
            rate_limited,
            after: Duration::ZERO,
            subject: None,
        };
        for event in [
            request("GET /"),
            request("GET /"),
            request("GET /v3/apps"),
            retry(true),
            retry(false),
        ] {
            counts.on(&event);
        }
        let counts = counts.get();
        assert_eq!(counts.requests, 3);
        assert_eq!(counts.requests_by_endpoint["GET /"], 2);
        assert_eq!((counts.retries, counts.rate_limited), (2, 1));
    }
}

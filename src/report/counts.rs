//! Counts the requests of a run and their latencies.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

use crate::events::{Event, EventSink};
use crate::latency::{Latencies, Percentiles};

/// A sink that counts requests, retries and latencies.
///
/// ```
/// use std::sync::Arc;
///
/// use cf_pusher::{Counts, EventSink, Events};
///
/// let counts = Arc::new(Counts::default());
/// let events = Events::new([Arc::clone(&counts) as Arc<dyn EventSink>]);
/// // ... connect a client with these events, and converge ...
/// assert_eq!(counts.get().requests, 0);
/// ```
#[derive(Debug, Default)]
pub struct Counts {
    counted: Mutex<Totals>,
}

#[derive(Debug, Clone, Default)]
struct Totals {
    by_endpoint: BTreeMap<String, Latencies>,
    server_time: BTreeMap<String, Duration>,
    retries: u64,
    rate_limited: u64,
    peak_concurrency: usize,
}

/// The counts of the requests of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunCounts {
    /// The number of requests, to the Cloud Controller and to the UAA.
    pub requests: u64,
    /// The number of requests by endpoint, such as `GET /v3/apps/:guid`.
    pub requests_by_endpoint: BTreeMap<String, u64>,
    /// The number of retries.
    pub retries: u64,
    /// The number of retries because of a rate limit (429).
    pub rate_limited: u64,
    /// The maximum number of concurrent requests.
    pub peak_concurrency: usize,
    /// The latencies of all requests.
    pub latency_ms: Percentiles,
    /// The latencies by endpoint.
    pub latency_ms_by_endpoint: BTreeMap<String, Percentiles>,
    /// The time that the foundation spent on the requests to each endpoint, in
    /// milliseconds, if it reports the time (`X-Runtime`).
    pub server_ms_by_endpoint: BTreeMap<String, u64>,
}

impl Counts {
    /// The counts so far.
    pub fn get(&self) -> RunCounts {
        let counted = match self.counted.lock() {
            Ok(counted) => counted.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        };
        counted.run_counts()
    }
}

impl Totals {
    fn run_counts(&self) -> RunCounts {
        let mut all = Latencies::default();
        for latencies in self.by_endpoint.values() {
            all.merge(latencies);
        }
        let latency_ms = all.percentiles();
        let by_endpoint = self.by_endpoint.iter();
        let by_endpoint: BTreeMap<String, Percentiles> = by_endpoint
            .map(|(endpoint, latencies)| (endpoint.clone(), latencies.percentiles()))
            .collect();
        RunCounts {
            requests: latency_ms.count,
            requests_by_endpoint: by_endpoint
                .iter()
                .map(|(endpoint, percentiles)| (endpoint.clone(), percentiles.count))
                .collect(),
            retries: self.retries,
            rate_limited: self.rate_limited,
            peak_concurrency: self.peak_concurrency,
            latency_ms,
            latency_ms_by_endpoint: by_endpoint,
            server_ms_by_endpoint: self
                .server_time
                .iter()
                .map(|(endpoint, time)| (endpoint.clone(), milliseconds(*time)))
                .collect(),
        }
    }
}

impl RunCounts {
    /// The time that the foundation spent on all requests, in milliseconds. `None` if it
    /// does not report the time.
    pub fn server_ms(&self) -> Option<u64> {
        let times = &self.server_ms_by_endpoint;
        (!times.is_empty()).then(|| times.values().sum())
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl EventSink for Counts {
    fn handle(&self, event: &Event) {
        let Ok(mut counted) = self.counted.lock() else {
            return;
        };
        match event {
            Event::Request {
                endpoint,
                took,
                server_time,
                in_flight,
                ..
            } => {
                if let Some(time) = server_time {
                    *counted.server_time.entry(endpoint.clone()).or_default() += *time;
                }
                counted.peak_concurrency = counted.peak_concurrency.max(*in_flight);
                let latencies = counted.by_endpoint.entry(endpoint.clone());
                latencies.or_default().add(*took);
            }
            Event::Retry { rate_limited, .. } => {
                counted.retries += 1;
                counted.rate_limited += u64::from(*rate_limited);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn requests_and_retries_are_counted() {
        let counts = Counts::default();
        let request = |endpoint: &str| Event::Request {
            endpoint: endpoint.to_owned(),
            status: Some(200),
            began: Instant::now(),
            took: Duration::from_millis(2),
            server_time: Some(Duration::from_millis(7)),
            in_flight: 3,
            request_id: None,
            context: None,
            exchange: None,
        };
        let retry = |rate_limited| Event::Retry {
            endpoint: "GET /".to_owned(),
            rate_limited,
            after: Duration::ZERO,
            context: None,
        };
        for event in [
            request("GET /"),
            request("GET /"),
            request("GET /v3/apps"),
            retry(true),
            retry(false),
        ] {
            counts.handle(&event);
        }
        let counts = counts.get();
        assert_eq!(counts.requests, 3);
        assert_eq!(counts.requests_by_endpoint["GET /"], 2);
        assert_eq!((counts.retries, counts.rate_limited), (2, 1));
        assert_eq!(counts.peak_concurrency, 3);
        assert_eq!(counts.latency_ms.count, 3);
        assert_eq!(counts.latency_ms_by_endpoint["GET /"].count, 2);
        let longest = counts.latency_ms_by_endpoint["GET /v3/apps"].max;
        assert!((1.98..=2.02).contains(&longest), "{longest}");
        assert_eq!(counts.server_ms_by_endpoint["GET /"], 14);
        assert_eq!(counts.server_ms(), Some(21));
    }
}

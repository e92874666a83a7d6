//! Histograms of latencies, with fixed precision and little memory.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The number of significant digits of each latency. Two digits give a precision of 1 %.
const DIGITS: u8 = 2;

/// The latencies of many requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies(Option<Histogram<u32>>);

/// Percentiles of request latencies in milliseconds, precise to 1 %.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// The number of requests.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

impl Latencies {
    /// Adds the time that a request took.
    pub(crate) fn add(&mut self, took: Duration) {
        if self.0.is_none() {
            // This fails only for more than five digits.
            self.0 = Histogram::new(DIGITS).ok();
        }
        if let Some(times) = &mut self.0 {
            // A histogram that resizes itself accepts every value.
            let _ = times.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Adds all latencies of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Some(times), Some(others)) => {
                // A histogram that resizes itself accepts every value.
                let _ = times.add(others);
            }
            (times @ None, others) => times.clone_from(others),
            (Some(_), None) => {}
        }
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let Some(times) = &self.0 else {
            return Percentiles::default();
        };
        let at = |quantile| milliseconds(times.value_at_quantile(quantile));
        Percentiles {
            count: times.len(),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max: milliseconds(times.max()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "times of runs are small")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_cover_all_merged_latencies() {
        let (mut slow, mut fast) = (Latencies::default(), Latencies::default());
        (1..=50).for_each(|ms| fast.add(Duration::from_millis(ms)));
        (51..=100).for_each(|ms| slow.add(Duration::from_millis(ms)));
        slow.merge(&fast);
        slow.merge(&Latencies::default());
        let seen = slow.percentiles();
        assert_eq!(seen.count, 100);
        for (seen, expected) in [
            (seen.p50, 50.0),
            (seen.p90, 90.0),
            (seen.p95, 95.0),
            (seen.p99, 99.0),
            (seen.max, 100.0),
        ] {
            assert!((seen - expected).abs() <= expected / 100.0, "{seen}");
        }
    }

    #[test]
    fn without_requests_all_percentiles_are_zero() {
        assert_eq!(Latencies::default().percentiles(), Percentiles::default());
    }
}

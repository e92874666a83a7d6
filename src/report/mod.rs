//! Sinks: what becomes of the [`events`](crate::events) of a run.

mod counts;
mod latency;
mod progress;

pub use counts::{Counts, RunCounts};
pub use latency::Percentiles;
pub use progress::Progress;

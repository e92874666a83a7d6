//! Sinks: what becomes of the [`events`](crate::events) of a run.

mod counts;
mod progress;

pub use counts::{Counts, RunCounts};
pub use progress::Progress;

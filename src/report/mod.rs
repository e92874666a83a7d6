//! Sinks: what becomes of the [`events`](crate::events) of a run.

mod counts;
mod har;
mod latency;
mod page;
mod progress;
mod recording;
mod trace;

pub use counts::{Counts, RunCounts};
pub(crate) use har::Har;
pub use latency::Percentiles;
pub(crate) use page::Page;
pub use progress::Progress;
pub(crate) use recording::Recording;
pub(crate) use trace::Trace;

//! Sinks for the [`events`](crate::events) of a run: counts, trace, HTML report and
//! HTTP Archive.

mod counts;
mod har;
mod latency;
mod page;
mod recording;
mod trace;

pub use counts::{Counts, RunCounts};
pub use har::HttpArchive;
pub use latency::Percentiles;
pub use page::HtmlReport;
pub use recording::Recording;
pub use trace::Trace;

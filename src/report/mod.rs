//! Sinks for the [`events`](crate::events) of a run: counts, trace, HTML report,
//! HTTP Archive and JUnit XML.

mod counts;
mod har;
mod heat;
mod junit;
mod page;
mod recording;
mod trace;

pub use counts::{Counts, RunCounts};
pub use har::HttpArchive;
pub use junit::Junit;
pub use page::HtmlReport;
pub use recording::Recording;
pub use trace::Trace;

pub use crate::latency::Percentiles;

//! Writes a report of a run as one self-contained HTML page. The numbers of bins, lines
//! and rows are limited, regardless of the length of the run and the number of apps.

mod data;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::counts::{Counts, RunCounts};
use super::heat::HeatMaps;
use super::recording::{self, Output, Recording};
use crate::events::{AppMilestone, Event, EventSink};
use crate::latency::Latencies;
use data::{
    Data, EndedTest, FailedTargets, MAX_NAMED, MilestoneTimes, RefusedRequests, RunResult,
    ShownBin, failures_of, timeline,
};

const PAGE: &str = include_str!("page.html");

/// The initial width of a bin. It doubles when there would be too many bins.
const FIRST_WIDTH: Duration = Duration::from_millis(10);
const MOST_BINS: usize = 120;
/// The interval at which the page is written during a run.
const PAGE_INTERVAL: Duration = Duration::from_secs(5);

/// A sink that writes an HTML report: apps and latencies over time, failures.
pub struct HtmlReport {
    /// `None` after [`Recording::finish`].
    seen: Mutex<Option<(Box<dyn Output>, PageState)>>,
    counts: Counts,
}

impl HtmlReport {
    /// Creates the file, or truncates an existing file.
    ///
    /// # Errors
    ///
    /// An error if the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::to(recording::create(path)?)
    }

    fn to(mut out: Box<dyn Output>) -> io::Result<Self> {
        let (counts, seen) = (Counts::default(), PageState::since(Instant::now()));
        out.replace(render(&seen.data(Instant::now(), counts.get()))?.into_bytes())?;
        Ok(Self {
            seen: Mutex::new(Some((out, seen))),
            counts,
        })
    }
}

impl EventSink for HtmlReport {
    fn handle(&self, event: &Event) {
        self.counts.handle(event);
        if let Ok(mut seen) = self.seen.lock()
            && let Some((out, seen)) = seen.as_mut()
        {
            let now = Instant::now();
            seen.take(now, event);
            // If the process is killed, this is the content of the file.
            if seen.is_page_due(now)
                && let Ok(page) = render(&seen.data(now, self.counts.get()))
            {
                // `finish` writes the file again, and reports an error.
                let _ = out.replace(page.into_bytes());
            }
        }
    }
}

impl Recording for HtmlReport {
    fn finish(&self) -> io::Result<()> {
        let seen = self.seen.lock().ok().and_then(|mut it| it.take());
        let Some((mut out, seen)) = seen else {
            return Ok(());
        };
        let data = seen.data(Instant::now(), self.counts.get());
        out.replace(render(&data)?.into_bytes())?;
        out.finish()
    }
}

/// The page with its data. The data is escaped, so that no name can end the script
/// element.
fn render(data: &Data) -> io::Result<String> {
    let data = serde_json::to_string(data)?.replace('<', "\\u003c");
    Ok(PAGE.replacen("{{data}}", &data, 1))
}

struct PageState {
    origin: Instant,
    /// The time at which the last page was written.
    page_written: Instant,
    width: Duration,
    bins: Vec<Bin>,
    apps: HashMap<String, MilestoneTimes>,
    refused: BTreeMap<(String, Option<u16>), u64>,
    /// The first failed target and the number of failed targets, by step and error.
    failures: BTreeMap<(String, String), (String, u64)>,
    /// The failures at the end of the run, with all targets. `None` before the end.
    last_failures: Option<Vec<FailedTargets>>,
    outcome: Option<RunResult>,
    connections: HeatMaps,
    test: Option<EndedTest>,
}

/// The events of a part of the run.
#[derive(Clone, Default)]
struct Bin {
    latencies: Latencies,
    busy: Duration,
    peak: usize,
    failed: u64,
    retries: u64,
    rate_limited: u64,
    apps: [u64; 4],
}

impl Bin {
    fn merge(&mut self, other: &Self) {
        self.latencies.merge(&other.latencies);
        self.busy += other.busy;
        self.peak = self.peak.max(other.peak);
        self.failed += other.failed;
        self.retries += other.retries;
        self.rate_limited += other.rate_limited;
        for (sum, more) in self.apps.iter_mut().zip(other.apps) {
            *sum += more;
        }
    }
}

impl PageState {
    fn since(origin: Instant) -> Self {
        Self {
            origin,
            page_written: origin,
            width: FIRST_WIDTH,
            bins: Vec::new(),
            apps: HashMap::new(),
            refused: BTreeMap::new(),
            failures: BTreeMap::new(),
            last_failures: None,
            outcome: None,
            connections: HeatMaps::default(),
            test: None,
        }
    }

    fn take(&mut self, now: Instant, event: &Event) {
        match event {
            Event::Request {
                endpoint,
                status,
                began,
                took,
                in_flight,
                ..
            } => {
                self.spread(*began, *took);
                let sent = self.bin(*began);
                sent.peak = sent.peak.max(*in_flight);
                let is_well = status.is_some_and(|status| status < 400);
                let ended = self.bin(*began + *took);
                ended.latencies.add(*took);
                if !is_well {
                    ended.failed += 1;
                    let refused = (endpoint.clone(), *status);
                    *self.refused.entry(refused).or_default() += 1;
                }
            }
            Event::Retry { rate_limited, .. } => {
                let bin = self.bin(now);
                bin.retries += 1;
                bin.rate_limited += u64::from(*rate_limited);
            }
            Event::App { name, milestone } => self.app(now, name, *milestone),
            Event::Connection(tried) => self.connections.add(tried),
            Event::TestEnded { checks, error } => {
                self.test = Some(EndedTest {
                    checks: checks.to_vec(),
                    error: error.clone(),
                });
            }
            Event::StepEnded {
                context,
                error: Some(error),
            } => self.failure(&context.target, &context.step, error),
            Event::ConvergeEnded {
                changed,
                unchanged,
                failed,
                error,
                resources,
            } => {
                self.last_failures = Some(failures_of(resources));
                self.outcome = Some(RunResult {
                    changed: *changed,
                    unchanged: *unchanged,
                    failed: *failed,
                    error: error.clone(),
                });
            }
            _ => {}
        }
    }

    /// Whether the page should be written again.
    fn is_page_due(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.page_written) >= PAGE_INTERVAL;
        if is_due {
            self.page_written = now;
        }
        is_due
    }

    /// The bin of a point in time.
    fn bin(&mut self, at: Instant) -> &mut Bin {
        let since = at.saturating_duration_since(self.origin);
        let mut index = index(since, self.width);
        while index >= MOST_BINS {
            self.fold();
            index = self::index(since, self.width);
        }
        if self.bins.len() <= index {
            self.bins.resize(index + 1, Bin::default());
        }
        &mut self.bins[index]
    }

    /// Merges the bins in pairs.
    fn fold(&mut self) {
        self.width *= 2;
        let pairs = self.bins.chunks(2);
        let merged = pairs.map(|pair| {
            let mut sum = Bin::default();
            pair.iter().for_each(|bin| sum.merge(bin));
            sum
        });
        self.bins = merged.collect();
    }

    /// Adds the duration of a request to the bins that it covers.
    fn spread(&mut self, began: Instant, took: Duration) {
        let ended = began + took;
        self.bin(ended);
        let width = self.width;
        let mut from = began.saturating_duration_since(self.origin);
        let until = ended.saturating_duration_since(self.origin);
        while from < until {
            let at = index(from, width);
            let Some(bin) = self.bins.get_mut(at) else {
                return;
            };
            let next = width * u32::try_from(at + 1).unwrap_or(u32::MAX);
            bin.busy += next.min(until) - from;
            from = next;
        }
    }

    /// Records the time when an app first reached a milestone. An app that the run did
    /// not change is not recorded as running.
    fn app(&mut self, now: Instant, name: &str, milestone: AppMilestone) {
        if milestone == AppMilestone::Running && !self.apps.contains_key(name) {
            return;
        }
        let at = milestone as usize;
        let since = now.saturating_duration_since(self.origin);
        let milestones = self.apps.entry(name.to_owned()).or_default();
        if milestones[at].is_none() {
            milestones[at] = Some(milliseconds(since));
            self.bin(now).apps[at] += 1;
        }
    }

    fn failure(&mut self, context: &str, step: &str, error: &str) {
        let key = (step.to_owned(), error.to_owned());
        let is_known = self.failures.contains_key(&key);
        // Failures beyond the limit are counted together.
        let key = match is_known || self.failures.len() < MAX_NAMED {
            true => key,
            false => ("others".to_owned(), "for other reasons".to_owned()),
        };
        let first = || (context.to_owned(), 0);
        self.failures.entry(key).or_insert_with(first).1 += 1;
    }

    fn data(&self, now: Instant, run: RunCounts) -> Data {
        let width = self.width.as_secs_f64();
        let bins = self.bins.iter().map(|bin| ShownBin {
            latency: bin.latencies.percentiles(),
            mean: bin.busy.as_secs_f64() / width,
            peak: bin.peak,
            failed: bin.failed,
            retries: bin.retries,
            rate_limited: bin.rate_limited,
            apps: bin.apps,
        });
        let refused = self.refused.iter();
        let so_far = self.failures.iter();
        let so_far = so_far.map(|((step, error), (target, count))| FailedTargets {
            targets: match count {
                1 => target.clone(),
                count => format!("{target} and {} more", count - 1),
            },
            step: step.clone(),
            error: error.clone(),
            request_id: None,
            count: *count,
        });
        let failures = self.last_failures.clone();
        let (rows, slowest) = timeline(&self.apps);
        Data {
            seconds: now.saturating_duration_since(self.origin).as_secs_f64(),
            outcome: self.outcome.clone(),
            run,
            bin_ms: width * 1e3,
            bins: bins.collect(),
            rows,
            slowest,
            refused: refused
                .map(|((endpoint, status), count)| RefusedRequests {
                    endpoint: endpoint.clone(),
                    status: *status,
                    count: *count,
                })
                .collect(),
            failures: failures.unwrap_or_else(|| so_far.collect()),
            connections: self.connections.shown(),
            test: self.test.clone(),
        }
    }
}

fn index(since: Duration, width: Duration) -> usize {
    usize::try_from(since.as_nanos() / width.as_nanos()).unwrap_or(usize::MAX)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::data::MAX_LINES;
    use super::*;
    use crate::events::StepContext;

    /// A run of many apps that take a second each. One starts every millisecond.
    fn seen(apps: u64) -> Data {
        let origin = Instant::now();
        let mut seen = PageState::since(origin);
        let counts = Counts::default();
        for app in 0..apps {
            let at = |ms| origin + Duration::from_millis(app + ms);
            let name = format!("app-{app}</script><script>alert(1)</script>");
            let request = Event::Request {
                endpoint: "POST /v3/apps".to_owned(),
                status: Some(if app % 100 == 0 { 503 } else { 201 }),
                began: at(0),
                took: Duration::from_millis(20),
                server_time: None,
                in_flight: 20,
                request_id: None,
                context: None,
                exchange: None,
            };
            counts.handle(&request);
            seen.take(at(20), &request);
            let milestones = [
                (AppMilestone::Created, 20),
                (AppMilestone::DropletReady, 300),
                (AppMilestone::Started, 400),
                (AppMilestone::Running, 1000),
            ];
            for (milestone, ms) in milestones {
                let name = name.clone();
                seen.take(at(ms), &Event::App { name, milestone });
            }
        }
        let context = StepContext::new("app app-1", "staging");
        for error in 0..100 {
            let ended = Event::StepEnded {
                context: context.clone(),
                error: Some(format!("</script> {error}")),
            };
            seen.take(origin, &ended);
        }
        seen.data(origin + Duration::from_millis(apps + 1000), counts.get())
    }

    #[test]
    fn a_large_run_becomes_a_small_page_that_names_do_not_break() {
        let data = seen(10_000);
        assert!(data.bins.len() <= MOST_BINS && data.bins.len() > MOST_BINS / 3);
        let apps = |at: usize| data.bins.iter().map(|bin| bin.apps[at]).sum::<u64>();
        assert_eq!([0, 1, 2, 3].map(apps), [10_000; 4]);
        let requests: u64 = data.bins.iter().map(|bin| bin.latency.count).sum();
        assert_eq!(requests, 10_000);
        assert_eq!(data.refused[0].count, 100);
        let middle = &data.bins[data.bins.len() / 2];
        assert!((middle.mean - 20.0).abs() < 0.5, "{}", middle.mean);
        assert_eq!((data.rows.len(), data.rows[0].count), (MAX_LINES, 100));
        let failures: u64 = data.failures.iter().map(|it| it.count).sum();
        assert_eq!(failures, 100);
        let page = render(&data).unwrap();
        assert!(page.len() < 300_000, "{}", page.len());
        assert_eq!(
            page.matches("</script>").count(),
            PAGE.matches("</script>").count()
        );
    }
}

//! Follows the logs of all stagings of a push in log-cache, in parallel to the push. No
//! step waits for a log. If log-cache does not work, no logs are read for any app.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::error::printable;
use crate::capi::log_cache::{self, LogLine};
use crate::events::Event;

/// The first pause between two reads. It doubles while there are no new lines.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(8);

/// The timeout of a read.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum wait for the last lines after all apps are done, if log-cache works.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum wait for the last lines if log-cache has not responded yet.
const FIRST_RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The maximum number of pages per read, because a running app may write faster than they
/// are read.
const MAX_PAGES: usize = 5;

/// The maximum number of concurrent reads.
const MAX_PARALLEL_READS: usize = 4;

/// The number of consecutive failed reads, of any apps, after which no more logs are
/// read.
const MAX_FAILURES: usize = 3;

/// Lines may arrive in log-cache out of order, with up to this delay.
const LATE_NS: i64 = 2_000_000_000;

/// The number of lines that are reported with a failed staging.
const MAX_LAST_LINES: usize = 20;

/// The state of a staging whose log is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Staging {
    Running,
    Succeeded,
    Failed,
}

/// The logs of the stagings of a push.
pub(super) struct StagingLogs {
    followed: mpsc::UnboundedSender<Followed>,
    /// The logs to follow, which [`StagingLogs::follow_during`] takes.
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Followed>>,
    /// The last lines of each app, by the app's name.
    last: Mutex<HashMap<String, VecDeque<String>>>,
    permits: Semaphore,
    /// The number of consecutive failed reads.
    failures: AtomicUsize,
    is_given_up: AtomicBool,
    /// Whether log-cache has responded.
    has_responded: AtomicBool,
    has_failed_staging: AtomicBool,
}

/// A log to follow.
struct Followed {
    name: String,
    /// The GUID of the app.
    app: String,
    /// The time from which to read, in nanoseconds since 1970 by the foundation's clock.
    since: i64,
    staging: watch::Receiver<Staging>,
}

impl StagingLogs {
    pub(super) fn new() -> Self {
        let (followed, queue) = mpsc::unbounded_channel();
        Self {
            followed,
            queue: tokio::sync::Mutex::new(queue),
            last: Mutex::default(),
            permits: Semaphore::new(MAX_PARALLEL_READS),
            failures: AtomicUsize::new(0),
            is_given_up: AtomicBool::new(false),
            has_responded: AtomicBool::new(false),
            has_failed_staging: AtomicBool::new(false),
        }
    }

    /// Waits for a staging while its log is followed. The wait ends with the staging, and
    /// the last lines are read afterwards.
    pub(super) async fn follow<T>(
        &self,
        name: &str,
        app: &str,
        since: i64,
        staging: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let (state, receiver) = watch::channel(Staging::Running);
        // The receiver lives as long as `self`.
        let _ = self.followed.send(Followed {
            name: name.to_owned(),
            app: app.to_owned(),
            since,
            staging: receiver,
        });
        let outcome = staging.await;
        if outcome.is_err() {
            self.has_failed_staging.store(true, Ordering::Relaxed);
        }
        let _ = state.send(match outcome {
            Ok(_) => Staging::Succeeded,
            Err(_) => Staging::Failed,
        });
        outcome
    }

    /// Runs `push`, reads the logs in parallel, and reads the last lines afterwards.
    pub(super) async fn follow_during<T>(
        &self,
        client: &Client,
        push: impl Future<Output = T>,
    ) -> T {
        let mut queue = self.queue.lock().await;
        let mut readers = FuturesUnordered::new();
        let mut push = std::pin::pin!(push);
        let outcome = loop {
            tokio::select! {
                outcome = &mut push => break outcome,
                Some(followed) = queue.recv() => readers.push(self.read_all(client, followed)),
                Some(()) = readers.next() => {}
            }
        };
        // A staging that has just ended may not be followed yet.
        while let Ok(followed) = queue.try_recv() {
            readers.push(self.read_all(client, followed));
        }
        let rest = async { while readers.next().await.is_some() {} };
        let _ = tokio::time::timeout(self.last_lines_timeout(), rest).await;
        outcome
    }

    /// The last lines of an app's log, which may contain the reason for a failed staging.
    pub(super) fn last(&self, name: &str) -> Vec<String> {
        let Ok(last) = self.last.lock() else {
            return Vec::new();
        };
        last.get(name)
            .map_or_else(Vec::new, |lines| lines.iter().cloned().collect())
    }

    /// The maximum wait for the last lines. They matter most if a staging failed, and are
    /// unlikely to come from a log-cache that has not responded yet.
    fn last_lines_timeout(&self) -> Duration {
        if self.is_given_up.load(Ordering::Relaxed) {
            Duration::ZERO
        } else if self.is_available() || self.has_failed_staging.load(Ordering::Relaxed) {
            LAST_LINES_TIMEOUT
        } else {
            FIRST_RESPONSE_TIMEOUT
        }
    }

    /// Whether log-cache has responded and its logs are still read.
    fn is_available(&self) -> bool {
        self.has_responded.load(Ordering::Relaxed) && !self.is_given_up.load(Ordering::Relaxed)
    }

    /// Reads a log until its staging ends, then the remaining lines. After a failure,
    /// reads once more, because late lines may contain the reason.
    async fn read_all(&self, client: &Client, followed: Followed) {
        let mut log = StagingLog {
            logs: self,
            client,
            next: followed.since,
            seen: HashSet::new(),
            name: followed.name,
            app: followed.app,
        };
        let mut staging = followed.staging;
        let mut pause = FIRST_PAUSE;
        while *staging.borrow_and_update() == Staging::Running {
            tokio::select! {
                changed = staging.changed() => if changed.is_err() {
                    // The push has stopped waiting.
                    return;
                },
                () = tokio::time::sleep(pause) => {
                    pause = match log.read().await {
                        0 => (pause * 2).min(MAX_PAUSE),
                        _ => FIRST_PAUSE,
                    };
                }
            }
        }
        log.read().await;
        if *staging.borrow() == Staging::Failed && self.is_available() {
            tokio::time::sleep(FIRST_PAUSE).await;
            log.read().await;
        }
    }

    /// Counts a failed read, and gives up after too many failures.
    fn fail(&self, client: &Client, reason: &str, is_hanging: bool) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if (is_hanging || failures >= MAX_FAILURES)
            && !client.is_interrupted()
            && !self.is_given_up.swap(true, Ordering::Relaxed)
        {
            let text = format!("staging logs are not shown: {reason}");
            client.events().emit(Event::Warning(text));
        }
    }
}

/// The log of one staging.
struct StagingLog<'a> {
    logs: &'a StagingLogs,
    client: &'a Client,
    name: String,
    app: String,
    /// The time from which to read, in nanoseconds since 1970.
    next: i64,
    /// The lines since then that have been forwarded.
    seen: HashSet<(i64, String)>,
}

impl StagingLog<'_> {
    /// Forwards new lines and returns their number.
    async fn read(&mut self) -> usize {
        let logs = self.logs;
        // The semaphore is never closed.
        let Ok(_permit) = logs.permits.acquire().await else {
            return 0;
        };
        if logs.is_given_up.load(Ordering::Relaxed) {
            return 0;
        }
        let mut new = 0;
        let client = self.client;
        match tokio::time::timeout(READ_TIMEOUT, self.read_pages(&mut new)).await {
            Ok(Ok(())) => {
                logs.failures.store(0, Ordering::Relaxed);
                logs.has_responded.store(true, Ordering::Relaxed);
            }
            Ok(Err(error)) => {
                let reason = match error.status_text() {
                    Some(status) => format!("log-cache responded with {status}"),
                    None => error.to_string(),
                };
                logs.fail(client, &reason, false);
            }
            Err(_) => logs.fail(client, "log-cache did not respond in time", true),
        }
        new
    }

    async fn read_pages(&mut self, new: &mut usize) -> Result<(), Error> {
        let mut from = self.next;
        for _ in 0..MAX_PAGES {
            let (lines, more) = log_cache::lines(self.client, &self.app, from).await?;
            let newest = lines.last().map_or(from, |line| line.at);
            *new += lines.iter().filter(|line| self.forward(line)).count();
            // A page whose lines all have the same time would be read forever.
            if !more || newest <= from {
                from = newest;
                break;
            }
            from = newest;
        }
        self.next = self.next.max(from.saturating_sub(LATE_NS));
        self.seen.retain(|(at, _)| *at >= self.next);
        Ok(())
    }

    /// Forwards a line of the staging, unless it has been forwarded before.
    fn forward(&mut self, line: &LogLine) -> bool {
        if line.source != "STG" || !self.seen.insert((line.at, line.text.clone())) {
            return false;
        }
        if let Ok(mut last) = self.logs.last.lock() {
            let last = last.entry(self.name.clone()).or_default();
            if last.len() == MAX_LAST_LINES {
                last.pop_front();
            }
            last.push_back(printable(&line.text));
        }
        self.client.events().emit(Event::StagingLog {
            app: self.name.clone(),
            line: printable(&line.text),
            is_error: line.is_error,
        });
        true
    }
}

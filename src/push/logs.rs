//! Follows the log of an app's staging in log-cache.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::log_cache::{self, LogLine};
use crate::events::Event;

/// The first pause between two reads; it doubles while there are no new lines.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The timeout of a read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum number of pages per read: a running app may write faster than that.
const PAGES: usize = 5;

/// After this many failed reads in a row, the log is not read any more.
const MOST_FAILURES: usize = 3;

/// Lines arrive in log-cache out of order, and late by up to this much.
const LATE_NS: i64 = 2_000_000_000;

/// The number of lines that are reported with a failed staging.
const LAST: usize = 20;

/// The log of a staging.
pub(crate) struct StagingLog<'a> {
    client: &'a Client,
    name: &'a str,
    app: &'a str,
    /// The time from which to read, in nanoseconds since 1970.
    next: i64,
    /// The lines since then that were forwarded.
    seen: HashSet<(i64, String)>,
    last: VecDeque<String>,
    /// The number of failed reads in a row.
    failures: usize,
}

impl<'a> StagingLog<'a> {
    /// The log of an app since a time by the foundation's clock.
    pub(crate) fn new(client: &'a Client, name: &'a str, app: &'a str, since: i64) -> Self {
        Self {
            client,
            name,
            app,
            next: since,
            seen: HashSet::new(),
            last: VecDeque::new(),
            failures: 0,
        }
    }

    /// Forwards new lines until `staging` ends, and the remaining ones then. After a
    /// failure it reads once more, since late lines may give the reason.
    pub(crate) async fn follow<T>(
        &mut self,
        staging: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut staging = std::pin::pin!(staging);
        let mut pause = FIRST_PAUSE;
        let outcome = loop {
            tokio::select! {
                outcome = &mut staging => break outcome,
                () = tokio::time::sleep(pause) => {
                    pause = match self.read().await {
                        0 => (pause * 2).min(LONGEST_PAUSE),
                        _ => FIRST_PAUSE,
                    };
                }
            }
        };
        self.read().await;
        if outcome.is_err() {
            tokio::time::sleep(FIRST_PAUSE).await;
            self.read().await;
        }
        outcome
    }

    /// The last lines, which may say why the staging failed.
    pub(crate) fn last(self) -> Vec<String> {
        self.last.into()
    }

    /// Forwards new lines and returns how many there were. Errors and slow responses
    /// are warnings: a push does not fail because of its log.
    async fn read(&mut self) -> usize {
        if self.failures >= MOST_FAILURES {
            return 0;
        }
        let mut new = 0;
        let outcome = tokio::time::timeout(READ_TIMEOUT, self.read_pages(&mut new)).await;
        let reason = match outcome {
            Ok(Ok(())) => {
                self.failures = 0;
                return new;
            }
            Ok(Err(error)) => match error.status_text() {
                Some(status) => format!("log-cache responded with {status}"),
                None => error.to_string(),
            },
            Err(_) => "log-cache did not respond in time".to_owned(),
        };
        self.failures += 1;
        let text = format!("reading the staging log failed: {reason}");
        self.client.events().emit(Event::Warning(text));
        new
    }

    async fn read_pages(&mut self, new: &mut usize) -> Result<(), Error> {
        let mut from = self.next;
        for _ in 0..PAGES {
            let (lines, more) = log_cache::lines(self.client, self.app, from).await?;
            let newest = lines.last().map_or(from, |line| line.at);
            *new += lines.into_iter().filter(|line| self.forward(line)).count();
            // A page with lines of a single point in time would be read forever.
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

    /// Forwards a line of the staging, unless that was done before.
    fn forward(&mut self, line: &LogLine) -> bool {
        if line.source != "STG" || !self.seen.insert((line.at, line.text.clone())) {
            return false;
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line.text.clone());
        self.client.events().emit(Event::StagingLog {
            app: self.name.to_owned(),
            line: line.text.clone(),
            is_error: line.is_error,
        });
        true
    }
}

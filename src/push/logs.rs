//! The log of an app's staging, read from log-cache while it goes on.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::log_cache::{self, LogLine};
use crate::events::Event;

/// Between two looks, at first; where nothing is new the pause doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How long a look may take.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// How many pages a look reads: an app that runs may write faster than that.
const PAGES: usize = 5;

/// After so many looks in a row that failed, none is tried any more.
const MOST_FAILURES: usize = 3;

/// Lines come to log-cache in no strict order, and up to so much late.
const LATE_NS: i64 = 2_000_000_000;

/// How many lines are told again where staging fails.
const LAST: usize = 20;

/// A log that is followed.
pub(crate) struct StagingLog<'a> {
    client: &'a Client,
    name: &'a str,
    app: &'a str,
    /// From where on to read, in nanoseconds since 1970.
    next: i64,
    /// The lines from there on that were passed on.
    seen: HashSet<(i64, String)>,
    last: VecDeque<String>,
    /// How many looks in a row failed.
    failures: usize,
}

impl<'a> StagingLog<'a> {
    /// Of the app, from a moment on by the foundation's clock.
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

    /// Passes on what comes while `staging` goes on, and what is left at its
    /// end; where it failed, also what comes late, as that may say why.
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

    /// The last lines, for who asks why it failed.
    pub(crate) fn last(self) -> Vec<String> {
        self.last.into()
    }

    /// Passes on what is new; returns how many lines. Logs are not worth a
    /// failure, nor a long wait.
    async fn read(&mut self) -> usize {
        if self.failures >= MOST_FAILURES {
            return 0;
        }
        let mut new = 0;
        let outcome = tokio::time::timeout(LONGEST_LOOK, self.read_pages(&mut new)).await;
        let reason = match outcome {
            Ok(Ok(())) => {
                self.failures = 0;
                return new;
            }
            Ok(Err(error)) => match error.status() {
                Some(status) => format!("log-cache answered {status}"),
                None => error.to_string(),
            },
            Err(_) => "log-cache did not answer in time".to_owned(),
        };
        self.failures += 1;
        let text = format!("the staging logs cannot be read: {reason}");
        self.client.events().emit(Event::Warning(text));
        new
    }

    async fn read_pages(&mut self, new: &mut usize) -> Result<(), Error> {
        let mut from = self.next;
        for _ in 0..PAGES {
            let (lines, more) = log_cache::lines(self.client, self.app, from).await?;
            let newest = lines.last().map_or(from, |line| line.at);
            *new += lines.into_iter().filter(|line| self.pass_on(line)).count();
            // A page of one moment's lines would be read for ever.
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

    /// Whether it is a line of the staging that was not passed on before.
    fn pass_on(&mut self, line: &LogLine) -> bool {
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

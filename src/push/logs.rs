//! The log of an app's staging, read from log-cache while it goes on.

use std::collections::VecDeque;
use std::time::Duration;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::log_cache::{self, LogLine};
use crate::events::Event;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a look may take.
const LONGEST: Duration = Duration::from_secs(5);

/// How many lines are told again where staging fails.
const LAST: usize = 20;

/// A log that is followed.
pub(crate) struct StagingLog<'a> {
    client: &'a Client,
    name: &'a str,
    app: &'a str,
    /// The moment of the next line, in nanoseconds since 1970.
    next: i64,
    last: VecDeque<String>,
    /// Whether it could not be read: said once, and not tried again.
    is_lost: bool,
}

impl<'a> StagingLog<'a> {
    /// Of the app, from a moment on by the foundation's clock.
    pub(crate) fn new(client: &'a Client, name: &'a str, app: &'a str, since: i64) -> Self {
        Self {
            client,
            name,
            app,
            next: since,
            last: VecDeque::new(),
            is_lost: false,
        }
    }

    /// Passes on what comes while `staging` goes on, and what is left at its end.
    pub(crate) async fn follow<T>(&mut self, staging: impl Future<Output = T>) -> T {
        let mut staging = std::pin::pin!(staging);
        let outcome = loop {
            tokio::select! {
                outcome = &mut staging => break outcome,
                () = tokio::time::sleep(PAUSE) => self.read().await,
            }
        };
        self.read().await;
        outcome
    }

    /// The last lines, for who asks why it failed.
    pub(crate) fn last(self) -> Vec<String> {
        self.last.into()
    }

    /// Reads what is new. Logs are not worth a failure, nor a long wait.
    async fn read(&mut self) {
        if self.is_lost {
            return;
        }
        let outcome = tokio::time::timeout(LONGEST, self.read_pages()).await;
        let reason = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => match error.status() {
                Some(status) => format!("log-cache answered {status}"),
                None => error.to_string(),
            },
            Err(_) => "log-cache does not answer".to_owned(),
        };
        self.is_lost = true;
        let text = format!("the staging logs cannot be read: {reason}");
        self.client.events().emit(Event::Warning(text));
    }

    async fn read_pages(&mut self) -> Result<(), Error> {
        loop {
            let lines = log_cache::lines(self.client, self.app, self.next).await?;
            let more = lines.len() == log_cache::LIMIT;
            for line in lines {
                self.pass_on(line);
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn pass_on(&mut self, line: LogLine) {
        self.next = self.next.max(line.at.saturating_add(1));
        if line.source != "STG" {
            return;
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line.text.clone());
        self.client.events().emit(Event::StagingLog {
            app: self.name.to_owned(),
            line: line.text,
            is_error: line.is_error,
        });
    }
}

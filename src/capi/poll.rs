//! Waits for one operation that takes time. Each wait has a deadline, and its error
//! contains the last state. [`super::batch_poll`] waits for many operations together.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;

/// The first pause between polls of a quick operation.
pub(crate) const QUICK: Duration = Duration::from_millis(50);
/// The first pause between polls of an operation that takes seconds, such as a staging.
pub(crate) const SLOW: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(3);
/// The maximum pause between polls that many waits share.
const MAX_SHARED_PAUSE: Duration = Duration::from_secs(1);

/// The result of a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress<T> {
    /// The wait is over.
    Done(T),
    /// Not done yet. The state becomes part of the error if the deadline passes.
    Pending(String),
    /// The operation failed, for this reason.
    Failed(String),
}

/// The pauses between polls, which become longer.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    growing(QUICK, MAX_PAUSE)
}

/// The pauses between polls that many waits share, beginning with `first`.
pub(crate) fn shared_pauses(first: Duration) -> impl Iterator<Item = Duration> {
    growing(first, MAX_SHARED_PAUSE)
}

fn growing(first: Duration, longest: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(first), move |pause| {
        Some((*pause * 3 / 2).min(longest))
    })
}

/// Polls until the operation is done or has failed, a poll or a pause fails, or the
/// deadline passes. `what` names the operation in errors.
pub(crate) async fn until<T, F, Fut, P, Paused>(
    what: &str,
    timeout: Duration,
    pause_for: P,
    poll: F,
) -> Result<T, Error>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Progress<T>, Error>>,
    P: Fn(Duration) -> Paused,
    Paused: Future<Output = Result<(), Error>>,
{
    let began = Instant::now();
    let mut pauses = pauses();
    loop {
        let last = match poll().await? {
            Progress::Done(value) => return Ok(value),
            Progress::Pending(state) => state,
            Progress::Failed(reason) => {
                return Err(Error::Failed {
                    what: what.to_owned(),
                    reason,
                });
            }
        };
        let pause = pauses.next().unwrap_or(MAX_PAUSE);
        if began.elapsed().saturating_add(pause) > timeout {
            return Err(Error::Deadline {
                what: what.to_owned(),
                waited: timeout,
                last,
            });
        }
        pause_for(pause).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wait_for(progress: Progress<()>) -> Result<(), Error> {
        let pause = |pause| async move {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        let poll = || async { Ok(progress.clone()) };
        until("staging of a", Duration::from_secs(90), pause, poll).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_error_contains_the_last_state() {
        let error = wait_for(Progress::Pending("STAGING".to_owned())).await;
        insta::assert_snapshot!(error.unwrap_err(), @"staging of a timed out after 1m 30s: last state: STAGING");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_ends_the_wait_immediately() {
        let error = wait_for(Progress::Failed("no buildpack".to_owned())).await;
        insta::assert_snapshot!(error.unwrap_err(), @"staging of a failed: no buildpack");
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let first: Vec<u128> = pauses().take(3).map(|pause| pause.as_millis()).collect();
        assert_eq!(first, [50, 75, 112]);
        assert_eq!(pauses().nth(50), Some(MAX_PAUSE));
        assert_eq!(shared_pauses(SLOW).nth(50), Some(MAX_SHARED_PAUSE));
    }
}

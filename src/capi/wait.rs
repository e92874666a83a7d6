//! Waiting for what Cloud Controller does in its own time: always with a
//! deadline, and with the last state seen in the error.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;

/// Before the second look at what may be quick.
pub(crate) const QUICK: Duration = Duration::from_millis(50);
/// Before the second look at what takes seconds, as staging and starting do.
pub(crate) const SLOW: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What a look at something that takes time shows.
pub(crate) enum Progress<T> {
    Done(T),
    /// Not yet; its state is said if the deadline comes first.
    Pending(String),
}

/// The pauses between looks: short at first, for what is quick; then longer.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    pauses_from(QUICK)
}

/// The pauses between looks, from the first on.
pub(crate) fn pauses_from(first: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(first), |pause| {
        Some((*pause * 3 / 2).min(LONGEST_PAUSE))
    })
}

/// Looks until it is done, a look or a pause between two fails, or the
/// deadline passes.
pub(crate) async fn until<T, F, Fut, P, Paused>(
    what: &str,
    timeout: Duration,
    pause_for: P,
    look: F,
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
        let last = match look().await? {
            Progress::Done(value) => return Ok(value),
            Progress::Pending(state) => state,
        };
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
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

    #[tokio::test(start_paused = true)]
    async fn a_deadline_tells_the_last_state() {
        let pause = |pause| async move {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        let look = || async { Ok(Progress::<()>::Pending("STAGING".to_owned())) };
        let error = until("staging of a", Duration::from_secs(90), pause, look)
            .await
            .unwrap_err();
        insta::assert_snapshot!(error, @"staging of a did not end within 1m 30s: last seen STAGING; run again, or give it longer with --timeout");
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let first: Vec<u128> = pauses().take(3).map(|pause| pause.as_millis()).collect();
        assert_eq!(first, [50, 75, 112]);
        assert_eq!(pauses().nth(50), Some(LONGEST_PAUSE));
    }
}

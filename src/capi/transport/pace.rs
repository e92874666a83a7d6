//! A rate limit, spread over its window rather than run into.
//!
//! Cloud Controller tells with each answer how many requests a user may send in
//! a window of time, about how many are left, and when the next window begins.
//! While plenty are left, nothing is held back. The last fifth is spent evenly
//! until then, so that a run that needs more goes on slowly, is not refused, and
//! leaves something to others who are the same user.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;
use tokio::sync::{Mutex as Turn, Notify};

use super::retry;
use crate::events::{Event, Events};

/// Times are told in whole seconds: theirs may be this much later than it seems.
const SECOND: Duration = Duration::from_secs(1);

/// What an answer tells of the rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowance {
    limit: u64,
    remaining: u64,
    /// When the next window begins, in seconds since 1970 by their clock.
    reset: u64,
    /// How long until then.
    left: Duration,
}

impl Allowance {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let number = |name: &str| -> Option<u64> {
            let value = headers.get(name)?.to_str().ok()?;
            value.trim().parse().ok()
        };
        let limit = number("x-ratelimit-limit")?;
        let remaining = number("x-ratelimit-remaining")?.min(limit);
        let reset = number("x-ratelimit-reset")?;
        let moment: SystemTime = UNIX_EPOCH.checked_add(Duration::from_secs(reset))?;
        let left = moment.duration_since(retry::now(headers));
        Some(Self {
            limit,
            remaining,
            reset,
            left: left.unwrap_or_default(),
        })
    }

    /// Cloud Controller rounds down to tenths of the limit: so many may remain
    /// when it has just begun to say so.
    fn most(&self) -> u64 {
        let tenth = self.limit / 10;
        match tenth > 0 && self.remaining.is_multiple_of(tenth) {
            true => self.remaining + tenth - 1,
            false => self.remaining,
        }
    }
}

/// A window of time with a limit, as far as it is known.
#[derive(Debug)]
struct Window {
    limit: u64,
    /// The least that was told to remain.
    told: u64,
    reset: u64,
    /// Certainly over then.
    ends: Instant,
    /// How many may be sent still, by what was told and what was sent since.
    budget: u64,
    /// Whether the user knows that few are left.
    noticed: bool,
}

impl Window {
    // The reset is told from the time and a time to live: it may be off by one.

    fn is_after(&self, told: &Allowance) -> bool {
        told.reset + 1 < self.reset
    }

    fn is_before(&self, told: &Allowance) -> bool {
        told.reset > self.reset + 1 || (told.reset > self.reset && told.remaining > self.told)
    }
}

/// When requests may be sent.
#[derive(Debug, Default)]
struct Pace {
    window: Option<Window>,
    in_flight: u64,
    last: Option<Instant>,
    /// Nothing is sent before this moment, which a refusal asked for.
    not_before: Option<Instant>,
}

impl Pace {
    /// What the answer to a request that is still counted as in flight tells.
    fn on_answer(&mut self, told: &Allowance, now: Instant) {
        let others = self.in_flight.saturating_sub(1);
        let Some(ends) = now.checked_add(told.left.saturating_add(SECOND)) else {
            return;
        };
        let least = told.remaining.saturating_sub(others);
        match &mut self.window {
            Some(window) if window.is_after(told) => {}
            Some(window) if window.ends > now && !window.is_before(told) => {
                window.ends = window.ends.min(ends);
                if told.remaining < window.told {
                    window.told = told.remaining;
                    window.budget = told.most().saturating_sub(others);
                } else if told.remaining == window.told {
                    window.budget = window.budget.max(least);
                }
            }
            window => {
                *window = Some(Window {
                    limit: told.limit,
                    told: told.remaining,
                    reset: told.reset,
                    ends,
                    budget: least,
                    noticed: false,
                });
            }
        }
    }

    /// Notes that a request is sent.
    fn on_sent(&mut self, now: Instant) {
        self.in_flight += 1;
        self.last = Some(now);
        if let Some(window) = &mut self.window {
            window.budget = window.budget.saturating_sub(1);
        }
    }

    /// The moment until which the next request has to wait, if it has to.
    fn wait(&self, now: Instant) -> Option<Instant> {
        let refused = self.not_before.filter(|moment| *moment > now);
        refused.max(self.turn(now).filter(|moment| *moment > now))
    }

    /// When the next request's turn is, where few are left.
    fn turn(&self, now: Instant) -> Option<Instant> {
        let window = self.window.as_ref().filter(|window| window.ends > now)?;
        if window.budget > window.limit / 5 {
            return None;
        }
        if window.budget == 0 {
            return Some(window.ends);
        }
        let last = self.last?;
        let steps = u32::try_from(window.budget).unwrap_or(u32::MAX);
        let step = window.ends.saturating_duration_since(last) / steps.saturating_add(1);
        last.checked_add(step)
    }

    /// What to tell the user, once for each window in which they have to wait.
    fn notice(&mut self, now: Instant) -> Option<String> {
        self.turn(now).filter(|moment| *moment > now)?;
        let window = self.window.as_mut().filter(|window| !window.noticed)?;
        window.noticed = true;
        let left = window.ends.saturating_duration_since(now).as_secs();
        Some(format!(
            "the rate limit of {} requests is nearly used up: what is left is spread over the next {left} s",
            window.limit
        ))
    }
}

/// Makes requests wait for their turn, in the order in which they come.
pub(crate) struct Pacer {
    pace: Mutex<Pace>,
    /// Held by the request that is the next.
    next: Turn<()>,
    news: Notify,
    events: Events,
}

/// A request that is in flight, and counts.
pub(crate) struct Sent<'a>(&'a Pacer);

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.0.with(|pace| pace.in_flight -= 1);
    }
}

impl Pacer {
    pub(crate) fn new(events: Events) -> Self {
        Self {
            pace: Mutex::default(),
            next: Turn::new(()),
            news: Notify::new(),
            events,
        }
    }

    /// Waits until a request may be sent, but no longer than `longest`: then
    /// Cloud Controller may say itself what there is to say. Those that it does
    /// not count wait as well, as they are made for others.
    pub(crate) async fn turn(&self, counted: bool, longest: Duration) -> Option<Sent<'_>> {
        let turn = async {
            let _next = self.next.lock().await;
            self.wait(longest).await;
        };
        let _ = tokio::time::timeout(longest, turn).await;
        counted.then(|| {
            self.with(|pace| pace.on_sent(Instant::now()));
            Sent(self)
        })
    }

    async fn wait(&self, longest: Duration) {
        while let Some(moment) = self.with(|pace| pace.wait(Instant::now())) {
            if moment.saturating_duration_since(Instant::now()) > longest {
                return;
            }
            if let Some(text) = self.with(|pace| pace.notice(Instant::now())) {
                self.events.emit(Event::Warning(text));
            }
            tokio::select! {
                () = tokio::time::sleep_until(moment.into()) => {}
                () = self.news.notified() => {}
            }
        }
    }

    /// Reads what an answer tells of the limit.
    pub(crate) fn on_answer(&self, headers: &HeaderMap) {
        if let Some(told) = Allowance::of(headers) {
            self.with(|pace| pace.on_answer(&told, Instant::now()));
            self.news.notify_one();
        }
    }

    /// Holds back all requests for so long.
    pub(crate) fn hold_back(&self, pause: Duration) {
        let moment = Instant::now().checked_add(pause);
        self.with(|pace| pace.not_before = pace.not_before.max(moment));
        self.news.notify_one();
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pace) -> T) -> T {
        let mut pace = match self.pace.lock() {
            Ok(pace) => pace,
            // Nothing that is done under the lock leaves it half done.
            Err(poisoned) => poisoned.into_inner(),
        };
        act(&mut pace)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Seconds since 1970, by their clock.
    const RESET: u64 = 1_000_000_060;

    fn told(limit: u64, remaining: u64, left: u64) -> Allowance {
        Allowance {
            limit,
            remaining,
            reset: RESET,
            left: Duration::from_secs(left),
        }
    }

    /// A pace that was told this, and when.
    fn told_at_first(allowance: &Allowance) -> (Pace, Instant) {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.on_sent(now);
        pace.on_answer(allowance, now);
        pace.in_flight = 0;
        (pace, now)
    }

    #[test]
    fn nothing_is_held_back_while_plenty_is_left() {
        assert_eq!(Pace::default().wait(Instant::now()), None);
        let (pace, now) = told_at_first(&told(2000, 1000, 3000));
        assert_eq!(pace.wait(now), None);
    }

    #[test]
    fn the_last_are_spread_until_the_next_window() {
        let (mut pace, now) = told_at_first(&told(100, 9, 29));
        let step = Duration::from_secs(3);
        assert_eq!(pace.wait(now), Some(now + step));
        assert_eq!(pace.wait(now + step), None, "who is slower does not wait");
        pace.on_sent(now + step);
        assert_eq!(pace.wait(now + step), Some(now + 2 * step));
        assert_eq!(pace.wait(now + Duration::from_secs(30)), None);
    }

    #[test]
    fn who_has_none_left_waits_for_the_next_window() {
        let (mut pace, now) = told_at_first(&told(100, 0, 29));
        assert_eq!(pace.wait(now), Some(now + Duration::from_secs(30)));
        assert!(pace.notice(now).is_some());
        assert_eq!(pace.notice(now), None, "once is enough");
        let next = Allowance {
            reset: RESET + 60,
            ..told(100, 90, 60)
        };
        pace.on_answer(&next, now);
        assert_eq!(pace.wait(now), None);
        pace.on_answer(&told(100, 0, 29), now);
        assert_eq!(
            pace.wait(now),
            None,
            "an answer of the last window came late"
        );
    }

    #[test]
    fn a_refusal_holds_back_all() {
        let (mut pace, now) = told_at_first(&told(100, 90, 29));
        pace.not_before = Some(now + SECOND);
        assert_eq!(pace.wait(now), Some(now + SECOND));
        assert_eq!(pace.wait(now + SECOND), None);
    }

    #[test]
    fn their_clock_tells_how_long_it_is() {
        let mut headers = HeaderMap::new();
        assert_eq!(Allowance::of(&headers), None);
        for (name, value) in [
            ("x-ratelimit-limit", "2000"),
            ("x-ratelimit-remaining", "1800"),
            ("x-ratelimit-reset", "1000000060"),
            ("date", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        assert_eq!(Allowance::of(&headers), Some(told(2000, 1800, 60)));
        let huge = u64::MAX.to_string().parse().unwrap();
        headers.insert("x-ratelimit-reset", huge);
        assert_eq!(Allowance::of(&headers), None);
    }

    proptest! {
        /// A Cloud Controller that counts, and a run that sends as much as it may.
        #[test]
        fn a_limit_is_made_use_of_and_not_run_into(
            concurrency in 1..20usize,
            more in 0..200u64,
            used in 0..50u64,
            latency in 1..300u64,
        ) {
            let limit = 60 + concurrency as u64 * 2 + more;
            let mut used = used.min(limit / 4);
            let (mut pace, began) = (Pace::default(), Instant::now());
            let (mut now, end) = (began, began + Duration::from_secs(60));
            let mut answers: VecDeque<(Instant, Allowance)> = VecDeque::new();
            while now < end {
                let wait = pace.wait(now);
                if wait.is_none() && answers.len() < concurrency {
                    pace.on_sent(now);
                    used += 1;
                    prop_assert!(used <= limit, "refused at {:?}", now - began);
                    let remaining = (limit - used) * 10 / limit * limit / 10;
                    let at = now + Duration::from_millis(latency);
                    answers.push_back((at, told(limit, remaining, (end - at).as_secs())));
                    continue;
                }
                let answer = answers.front().map(|(at, _)| *at);
                let next = [answer, wait].into_iter().flatten().min();
                now = next.unwrap_or(end);
                if answer == Some(now) && let Some((_, told)) = answers.pop_front() {
                    pace.on_answer(&told, now);
                    pace.in_flight -= 1;
                }
            }
            let fast = (60_000 / latency) * concurrency as u64;
            let unused = limit - used;
            prop_assert!(unused <= concurrency as u64 + limit / 10 + 1 || fast < limit, "{unused} unused");
        }
    }
}

//! Spreads a rate limit over its window, so that requests are not refused.
//!
//! Each response of the Cloud Controller contains the number of requests that the user
//! may send in a window of time, the approximate number that remain, and the start of the
//! next window. Requests are delayed only when less than a fifth remains: that fifth is
//! spread evenly over the rest of the window. A run that needs more requests continues
//! slowly, is not refused, and leaves some requests to other clients of the same user.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;
use tokio::sync::{Mutex as Turn, Notify};

use super::retry;
use crate::events::{Event, Events};

/// Times in headers are whole seconds, so the real time may be up to this much later.
const SECOND: Duration = Duration::from_secs(1);

/// The rate limit according to one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowance {
    limit: u64,
    remaining: u64,
    /// The start of the next window, a UNIX time in seconds by the server's clock.
    reset: u64,
    /// The time until then.
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

    /// The maximum number of remaining requests. The Cloud Controller rounds down to
    /// tenths of the limit.
    fn most(&self) -> u64 {
        let tenth = self.limit / 10;
        match tenth > 0 && self.remaining.is_multiple_of(tenth) {
            true => self.remaining + tenth - 1,
            false => self.remaining,
        }
    }
}

/// The current window, as far as it is known.
#[derive(Debug)]
struct Window {
    limit: u64,
    /// The lowest number of remaining requests in any response.
    lowest_remaining: u64,
    reset: u64,
    /// The time when the window has certainly ended.
    ends: Instant,
    /// An estimate of the remaining requests, from responses and requests sent since.
    budget: u64,
    /// Whether the user was warned that requests are delayed.
    noticed: bool,
}

impl Window {
    // The server computes the reset from its clock, so it may differ by one second.

    fn is_after(&self, allowance: &Allowance) -> bool {
        allowance.reset + 1 < self.reset
    }

    fn is_before(&self, allowance: &Allowance) -> bool {
        allowance.reset > self.reset + 1
            || (allowance.reset > self.reset && allowance.remaining > self.lowest_remaining)
    }
}

/// Decides when the next request may be sent.
#[derive(Debug, Default)]
struct Pace {
    window: Option<Window>,
    in_flight: u64,
    last: Option<Instant>,
    /// The time before which no request is sent, because of a 429.
    not_before: Option<Instant>,
}

impl Pace {
    /// Records a response. Its request still counts as in flight.
    fn record_response(&mut self, allowance: &Allowance, now: Instant) {
        let others = self.in_flight.saturating_sub(1);
        let Some(ends) = now.checked_add(allowance.left.saturating_add(SECOND)) else {
            return;
        };
        let least = allowance.remaining.saturating_sub(others);
        match &mut self.window {
            Some(window) if window.is_after(allowance) => {}
            Some(window) if window.ends > now && !window.is_before(allowance) => {
                window.ends = window.ends.min(ends);
                if allowance.remaining < window.lowest_remaining {
                    window.lowest_remaining = allowance.remaining;
                    window.budget = allowance.most().saturating_sub(others);
                } else if allowance.remaining == window.lowest_remaining {
                    window.budget = window.budget.max(least);
                }
            }
            window => {
                *window = Some(Window {
                    limit: allowance.limit,
                    lowest_remaining: allowance.remaining,
                    reset: allowance.reset,
                    ends,
                    budget: least,
                    noticed: false,
                });
            }
        }
    }

    /// Records that a request is sent.
    fn on_sent(&mut self, now: Instant) {
        self.in_flight += 1;
        self.last = Some(now);
        if let Some(window) = &mut self.window {
            window.budget = window.budget.saturating_sub(1);
        }
    }

    /// The time until which the next request must wait. `None` if it may be sent now.
    fn wait(&self, now: Instant) -> Option<Instant> {
        let refused = self.not_before.filter(|moment| *moment > now);
        refused.max(self.turn(now).filter(|moment| *moment > now))
    }

    /// The time of the next request while few requests remain.
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

    /// A warning for the user, once for each window in which requests are delayed.
    fn notice(&mut self, now: Instant) -> Option<String> {
        self.turn(now).filter(|moment| *moment > now)?;
        let window = self.window.as_mut().filter(|window| !window.noticed)?;
        window.noticed = true;
        let left = window.ends.saturating_duration_since(now).as_secs();
        Some(format!(
            "the rate limit of {} requests is almost used up: the remaining requests are spread over the next {left} s",
            window.limit
        ))
    }
}

/// Delays requests, in order, so that they stay within the rate limit.
pub(crate) struct Pacer {
    pace: Mutex<Pace>,
    /// Held by the request that is sent next.
    next: Turn<()>,
    news: Notify,
    events: Events,
}

/// A request in flight that counts towards the rate limit.
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

    /// Waits until a request may be sent, for at most `longest`. After that time, the
    /// request is sent anyway and the Cloud Controller may refuse it. Requests that do
    /// not count towards the rate limit also wait, because counted requests depend on
    /// them.
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

    /// Reads the rate limit from a response's headers.
    pub(crate) fn record_response(&self, headers: &HeaderMap) {
        if let Some(allowance) = Allowance::of(headers) {
            self.with(|pace| pace.record_response(&allowance, Instant::now()));
            self.news.notify_one();
        }
    }

    /// Delays all requests by this duration.
    pub(crate) fn hold_back(&self, pause: Duration) {
        let moment = Instant::now().checked_add(pause);
        self.with(|pace| pace.not_before = pace.not_before.max(moment));
        self.news.notify_one();
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pace) -> T) -> T {
        let mut pace = match self.pace.lock() {
            Ok(pace) => pace,
            // No code under the lock leaves the state inconsistent.
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

    /// A UNIX time in seconds, by the server's clock.
    const RESET: u64 = 1_000_000_060;

    fn allowance(limit: u64, remaining: u64, left: u64) -> Allowance {
        Allowance {
            limit,
            remaining,
            reset: RESET,
            left: Duration::from_secs(left),
        }
    }

    /// A pace after one response, and the time of that response.
    fn after_response(allowance: &Allowance) -> (Pace, Instant) {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.on_sent(now);
        pace.record_response(allowance, now);
        pace.in_flight = 0;
        (pace, now)
    }

    #[test]
    fn requests_are_not_delayed_while_many_remain() {
        assert_eq!(Pace::default().wait(Instant::now()), None);
        let (pace, now) = after_response(&allowance(2000, 1000, 3000));
        assert_eq!(pace.wait(now), None);
    }

    #[test]
    fn the_last_fifth_is_spread_until_the_next_window() {
        let (mut pace, now) = after_response(&allowance(100, 9, 29));
        let step = Duration::from_secs(3);
        assert_eq!(pace.wait(now), Some(now + step));
        assert_eq!(pace.wait(now + step), None, "a slower client does not wait");
        pace.on_sent(now + step);
        assert_eq!(pace.wait(now + step), Some(now + 2 * step));
        assert_eq!(pace.wait(now + Duration::from_secs(30)), None);
    }

    #[test]
    fn a_client_without_remaining_requests_waits_for_the_next_window() {
        let (mut pace, now) = after_response(&allowance(100, 0, 29));
        assert_eq!(pace.wait(now), Some(now + Duration::from_secs(30)));
        assert!(pace.notice(now).is_some());
        assert_eq!(pace.notice(now), None, "one warning per window");
        let next = Allowance {
            reset: RESET + 60,
            ..allowance(100, 90, 60)
        };
        pace.record_response(&next, now);
        assert_eq!(pace.wait(now), None);
        pace.record_response(&allowance(100, 0, 29), now);
        assert_eq!(
            pace.wait(now),
            None,
            "a late response of the previous window is ignored"
        );
    }

    #[test]
    fn a_429_delays_all_requests() {
        let (mut pace, now) = after_response(&allowance(100, 90, 29));
        pace.not_before = Some(now + SECOND);
        assert_eq!(pace.wait(now), Some(now + SECOND));
        assert_eq!(pace.wait(now + SECOND), None);
    }

    #[test]
    fn the_time_left_is_measured_by_the_servers_clock() {
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
        assert_eq!(Allowance::of(&headers), Some(allowance(2000, 1800, 60)));
        let huge = u64::MAX.to_string().parse().unwrap();
        headers.insert("x-ratelimit-reset", huge);
        assert_eq!(Allowance::of(&headers), None);
    }

    proptest! {
        /// A run that sends as many requests as it may, to a server that counts them.
        #[test]
        fn a_limit_is_used_up_and_never_exceeded(
            concurrency in 1..20usize,
            more in 0..200u64,
            used in 0..50u64,
            latency in 1..300u64,
        ) {
            let limit = 60 + concurrency as u64 * 2 + more;
            let mut used = used.min(limit / 4);
            let (mut pace, began) = (Pace::default(), Instant::now());
            let (mut now, end) = (began, began + Duration::from_secs(60));
            let mut responses: VecDeque<(Instant, Allowance)> = VecDeque::new();
            while now < end {
                let wait = pace.wait(now);
                if wait.is_none() && responses.len() < concurrency {
                    pace.on_sent(now);
                    used += 1;
                    prop_assert!(used <= limit, "refused at {:?}", now - began);
                    let remaining = (limit - used) * 10 / limit * limit / 10;
                    let at = now + Duration::from_millis(latency);
                    responses.push_back((at, allowance(limit, remaining, (end - at).as_secs())));
                    continue;
                }
                let response = responses.front().map(|(at, _)| *at);
                let next = [response, wait].into_iter().flatten().min();
                now = next.unwrap_or(end);
                if response == Some(now) && let Some((_, allowance)) = responses.pop_front() {
                    pace.record_response(&allowance, now);
                    pace.in_flight -= 1;
                }
            }
            let fast = (60_000 / latency) * concurrency as u64;
            let unused = limit - used;
            prop_assert!(unused <= concurrency as u64 + limit / 10 + 1 || fast < limit, "{unused} unused");
        }
    }
}

//! The mock's clock. States that take time on a real Cloud Controller are computed from
//! it when they are read.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(u64);

impl Timestamp {
    /// A time that is never reached.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The preceding millisecond. Responses to requests that create something show the
    /// state at that time, so that they contain `STAGING`, `COPYING` or
    /// `PROCESSING_UPLOAD` even if the operation takes no time.
    pub(crate) fn just_before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    pub(crate) fn unix_nanos(self) -> u64 {
        self.0.saturating_mul(1_000_000)
    }

    /// In UTC with milliseconds, such as `2017-04-25T20:53:11.250Z`.
    pub(crate) fn to_precise_text(self) -> String {
        let at = UNIX_EPOCH + Duration::from_millis(self.0.min(Clock::LAST.0));
        humantime::format_rfc3339_millis(at).to_string()
    }

    pub(crate) fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time since `earlier`, or zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since `earlier`, or 0 if `earlier` is later.
    pub(crate) fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(at.0.min(Clock::LAST.0))
    }
}

/// The Cloud Controller's format: UTC, in seconds, such as `2017-04-25T20:53:11Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The format ends with the year 9999.
        const LAST: u64 = 253_402_300_799;
        let at = UNIX_EPOCH + Duration::from_secs(self.unix_seconds().min(LAST));
        humantime::format_rfc3339_seconds(at).fmt(f)
    }
}

/// Serialized as it is displayed.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at = humantime::parse_rfc3339(&text);
        let at = at.map_err(|_| {
            de::Error::custom(format!(
                "'{text}' is not a time such as '2030-01-01T00:00:00Z'"
            ))
        })?;
        let since_epoch = at.duration_since(UNIX_EPOCH).map_err(de::Error::custom)?;
        Ok(Self(millis(since_epoch)))
    }
}

/// Serializes timestamps in milliseconds, where rounding to seconds would move time back.
/// For `#[serde(with = ...)]`.
pub(crate) mod exact {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    pub(crate) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(at.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        u64::deserialize(deserializer).map(Timestamp)
    }
}

/// A clock that can be advanced and stopped. Only a reset moves it back.
#[derive(Debug)]
pub(crate) struct Clock {
    epoch_millis: u64,
    started: Instant,
    state: Mutex<ClockState>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ClockState {
    advanced_millis: u64,
    /// The total time for which the clock was stopped.
    lost_millis: u64,
    /// The time at which the clock is stopped.
    frozen: Option<Timestamp>,
}

impl Clock {
    /// The beginning of the year 2500. The nanoseconds of logs overflow soon after that.
    pub(crate) const LAST: Timestamp = Timestamp(16_725_225_600_000);

    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            epoch_millis: millis(since_epoch),
            started: Instant::now(),
            state: Mutex::new(ClockState::default()),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let state = *self.state();
        state.frozen.unwrap_or_else(|| self.running(state))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.advanced_millis = state.advanced_millis.saturating_add(millis(by));
        state.frozen = state.frozen.map(|at| at.plus(by).min(Self::LAST));
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.state().frozen.is_some()
    }

    /// Stops the clock until it is thawed. A stopped clock can still be advanced.
    pub(crate) fn freeze(&self) {
        let mut state = self.state();
        let now = self.running(*state);
        state.frozen.get_or_insert(now);
    }

    /// Starts the clock again from the current time.
    pub(crate) fn thaw(&self) {
        let mut state = self.state();
        if let Some(frozen) = state.frozen.take() {
            let lost = self.running(*state).since(frozen);
            state.lost_millis = state.lost_millis.saturating_add(millis(lost));
        }
    }

    /// Resets the clock to the time of this machine, and starts it.
    pub(crate) fn reset(&self) {
        *self.state() = ClockState::default();
    }

    fn running(&self, state: ClockState) -> Timestamp {
        let running = Timestamp(self.epoch_millis)
            .plus(self.started.elapsed())
            .plus(Duration::from_millis(state.advanced_millis));
        Timestamp(running.0.saturating_sub(state.lost_millis)).min(Self::LAST)
    }

    fn state(&self) -> MutexGuard<'_, ClockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_seconds() {
        let documented = Timestamp(1_493_153_591_000);
        assert_eq!(documented.to_string(), "2017-04-25T20:53:11Z");
        assert_eq!(Timestamp(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn advancing_moves_now_forward() {
        let clock = Clock::new();
        let before = clock.now();
        clock.advance(Duration::from_secs(60));
        assert!(clock.now().seconds_since(before) >= 60);
    }

    #[test]
    fn a_reset_clock_shows_the_time_and_runs() {
        let clock = Clock::new();
        let before = clock.now();
        clock.freeze();
        clock.advance(Duration::from_secs(3600));
        clock.reset();
        assert!(!clock.is_frozen());
        let now = clock.now();
        assert!(before <= now && now.since(before) < Duration::from_secs(3600));
    }

    #[test]
    fn a_frozen_clock_stands_still_and_continues_from_there() {
        let clock = Clock::new();
        clock.freeze();
        let frozen = clock.now();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.now(), frozen);
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.now(), frozen.plus(Duration::from_secs(60)));
        let before = Instant::now();
        clock.thaw();
        let since = clock.now().since(frozen.plus(Duration::from_secs(60)));
        assert!(
            since <= before.elapsed() + Duration::from_millis(2),
            "{since:?}"
        );
    }
}

//! The mock's time: every state that takes time on a real Cloud Controller is
//! derived from it when it is read.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(u64);

impl Timestamp {
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The last moment at which something that is due now was still pending.
    /// Answers to a creating request are presented at it, so that they show
    /// `STAGING`, `COPYING` or `PROCESSING_UPLOAD` even if that takes no time.
    pub(crate) fn just_before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    pub(crate) fn unix_nanos(self) -> u64 {
        self.0.saturating_mul(1_000_000)
    }

    pub(crate) fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to this moment; none if it is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds from `earlier` to this moment; 0 if it is later.
    pub(crate) fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

/// The Cloud Controller's format: UTC, in seconds, such as `2017-04-25T20:53:11Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Years beyond 9999 have no such format.
        const LAST: u64 = 253_402_300_799;
        let at = UNIX_EPOCH + Duration::from_secs(self.unix_seconds().min(LAST));
        humantime::format_rfc3339_seconds(at).fmt(f)
    }
}

/// On the wire as it is displayed.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at = humantime::parse_rfc3339(&text).map_err(de::Error::custom)?;
        let since_epoch = at.duration_since(UNIX_EPOCH).map_err(de::Error::custom)?;
        Ok(Self(millis(since_epoch)))
    }
}

/// A moment to the millisecond, where seconds would let time go back. For
/// `#[serde(with = ...)]`.
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

/// A clock that never goes backwards and can be moved forward.
#[derive(Debug)]
pub(crate) struct Clock {
    epoch_millis: u64,
    started: Instant,
    advanced_millis: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            epoch_millis: millis(since_epoch),
            started: Instant::now(),
            advanced_millis: AtomicU64::new(0),
        }
    }

    /// Stands still in the year 2500, where logs' nanoseconds are about to end.
    pub(crate) fn now(&self) -> Timestamp {
        const LAST: Timestamp = Timestamp(16_725_225_600_000);
        let advanced = self.advanced_millis.load(Ordering::Relaxed);
        Timestamp(self.epoch_millis)
            .plus(self.started.elapsed())
            .plus(Duration::from_millis(advanced))
            .min(LAST)
    }

    pub(crate) fn advance(&self, by: Duration) {
        let further = |advanced: u64| Some(advanced.saturating_add(millis(by)));
        // The closure always has a value to set.
        let _ = self
            .advanced_millis
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, further);
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
}

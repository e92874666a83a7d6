//! Computes when ticks registered, from the times at which they and the registry ran.

use std::time::Duration;

use crate::world::clock::Timestamp;

/// The interval at which a tick tries to register while its registry does not run.
const RETRY: Duration = Duration::from_secs(5);

/// The times at which a registry ran.
pub(super) struct Presence {
    pub(super) since: Timestamp,
    pub(super) before: Vec<(Timestamp, Timestamp)>,
}

impl Presence {
    fn was_running(&self, at: Timestamp) -> bool {
        let mut before = self.before.iter();
        self.since <= at || before.any(|(from, until)| (*from..*until).contains(&at))
    }

    /// The latest registration, by `now`, of a tick that has been running since `tick`.
    pub(super) fn last_registration(
        &self,
        tick: Timestamp,
        ttl: Duration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let every = ttl / 4;
        let first = match self.was_running(tick) {
            true => tick,
            false => {
                let retry = RETRY.min(every);
                let tries = self
                    .since
                    .since(tick)
                    .as_millis()
                    .div_ceil(retry.as_millis());
                tick.plus(times(retry, tries))
            }
        };
        if now < first {
            return None;
        }
        let rounds = now.since(first).as_millis() / every.as_millis();
        let last = first.plus(times(every, rounds));
        (last >= self.since).then_some(last)
    }
}

fn times(duration: Duration, count: u128) -> Duration {
    let millis = duration.as_millis().saturating_mul(count);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;

    const TTL: Duration = Duration::from_secs(180);

    #[test]
    fn a_tick_registers_when_it_starts_and_every_quarter_of_its_ttl() {
        let start = Clock::new().now();
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let presence = Presence {
            since: at(0),
            before: Vec::new(),
        };
        let last = |now| presence.last_registration(at(10), TTL, at(now));
        assert_eq!(last(9), None);
        assert_eq!([last(10), last(54)], [Some(at(10)); 2]);
        assert_eq!([last(55), last(99)], [Some(at(55)); 2]);
    }

    #[test]
    fn a_tick_tries_every_five_seconds_until_there_is_a_registry() {
        let start = Clock::new().now();
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let presence = Presence {
            since: at(17),
            before: Vec::new(),
        };
        let last = |now| presence.last_registration(at(0), TTL, at(now));
        assert_eq!([last(17), last(19)], [None; 2]);
        assert_eq!(
            [last(20), last(64), last(65)],
            [Some(at(20)), Some(at(20)), Some(at(65))]
        );
    }

    #[test]
    fn a_restarted_registry_is_empty_until_ticks_register_again() {
        let start = Clock::new().now();
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let presence = Presence {
            since: at(50),
            before: vec![(at(0), at(50))],
        };
        let last = |now| presence.last_registration(at(0), TTL, at(now));
        assert_eq!([last(50), last(89)], [None; 2]);
        assert_eq!(last(90), Some(at(90)));
    }
}

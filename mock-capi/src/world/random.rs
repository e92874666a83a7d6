//! Random numbers that can be reproduced with a seed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// A stream of random numbers. A state file contains the seed from which it continues.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(crate) struct Random(Rng);

impl From<u64> for Random {
    fn from(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }
}

impl From<Random> for u64 {
    fn from(random: Random) -> Self {
        random.0.get_seed()
    }
}

impl Random {
    pub(crate) fn from_seed(seed: u64) -> Self {
        seed.into()
    }

    /// A seed that differs between processes.
    pub(crate) fn any_seed() -> u64 {
        fastrand::u64(..)
    }

    /// The stream of an owner, which is the same in each run.
    pub(crate) fn of(owner: &impl Hash) -> Self {
        // Unlike the hasher of a map, this one is the same in each process.
        let mut hasher = DefaultHasher::new();
        owner.hash(&mut hasher);
        Self::from_seed(hasher.finish())
    }

    /// A new stream, which does not depend on later reads from this one.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.0.fork())
    }

    pub(crate) fn step(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below `limit`, which must not be 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit)
    }

    /// Whether an event with this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// A time that differs from `time` by up to the fraction `jitter` of it.
    pub(crate) fn jittered(&mut self, time: Duration, jitter: f64) -> Duration {
        if jitter <= 0.0 || time.is_zero() {
            return time;
        }
        let factor = 1.0 + jitter * (2.0 * self.0.f64() - 1.0);
        Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_reproducible_with_its_seed() {
        let stream = |seed| {
            let mut random = Random::from_seed(seed);
            [random.step(), random.split().step(), random.step()]
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
    }

    #[test]
    fn a_saved_stream_continues_where_it_was() {
        let mut random = Random::from_seed(7);
        random.step();
        let saved = serde_json::to_string(&random).unwrap();
        let mut loaded: Random = serde_json::from_str(&saved).unwrap();
        assert_eq!(loaded.step(), random.step());
    }

    #[test]
    fn probabilities_and_jitter_stay_within_their_bounds() {
        let mut random = Random::from_seed(1);
        assert!((0..1000).all(|_| !random.happens(0.0) && random.happens(1.0)));
        let happened = (0..10_000).filter(|_| random.happens(0.25)).count();
        assert!((2_300..2_700).contains(&happened), "{happened}");
        let time = Duration::from_millis(1000);
        let times: Vec<u128> = (0..1000)
            .map(|_| random.jittered(time, 0.2).as_millis())
            .collect();
        assert!(times.iter().all(|time| (800..=1200).contains(time)));
        assert!(times.iter().any(|time| *time < 850) && times.iter().any(|time| *time > 1150));
        assert_eq!(random.jittered(time, 0.0), time);
    }
}

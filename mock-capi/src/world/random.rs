//! Numbers that look random and, from a seed, are the same each time
//! (SplitMix64).

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A stream of numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that nobody can tell.
    pub(crate) fn any_seed() -> u64 {
        RandomState::new().hash_one(0_u8)
    }

    /// A stream that belongs to something, and to nothing else.
    pub(crate) fn of(owner: &impl Hash) -> Self {
        // The same in each run, unlike the map's.
        let mut hasher = DefaultHasher::new();
        owner.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Another stream, which only shares its beginning with this one.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.step())
    }

    pub(crate) fn step(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        usize::try_from(self.step() % limit).unwrap_or_default()
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A time that is longer or shorter than `time` by up to `jitter` of it.
    pub(crate) fn around(&mut self, time: Duration, jitter: f64) -> Duration {
        if jitter <= 0.0 || time.is_zero() {
            return time;
        }
        let factor = 1.0 + jitter * (2.0 * self.fraction() - 1.0);
        Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(time)
    }

    /// At least 0, less than 1.
    fn fraction(&mut self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        #[allow(clippy::cast_precision_loss)] // That many bits are exact.
        let numerator = (self.step() >> (u64::BITS - BITS)) as f64;
        numerator / (1_u64 << BITS) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_stream() {
        let stream = |seed| {
            let mut random = Random::from_seed(seed);
            [random.step(), random.split().step(), random.step()]
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
    }

    #[test]
    fn probabilities_and_jitter_stay_within_their_bounds() {
        let mut random = Random::from_seed(1);
        assert!((0..1000).all(|_| !random.happens(0.0) && random.happens(1.0)));
        let happened = (0..10_000).filter(|_| random.happens(0.25)).count();
        assert!((2_300..2_700).contains(&happened), "{happened}");
        let time = Duration::from_millis(1000);
        let times: Vec<u128> = (0..1000)
            .map(|_| random.around(time, 0.2).as_millis())
            .collect();
        assert!(times.iter().all(|time| (800..=1200).contains(time)));
        assert!(times.iter().any(|time| *time < 850) && times.iter().any(|time| *time > 1150));
        assert_eq!(random.around(time, 0.0), time);
    }
}

//! GUIDs: 16 bytes in memory, hyphenated text in the API.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::world::random::Random;

/// The identity of a resource. It is stored as bytes instead of a `u128`, whose alignment
/// would make indexes and optional GUIDs larger by half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Guid([u8; 16]);

/// The GUID of the shared isolation segment, which is the same on every foundation.
pub(crate) const SHARED_SEGMENT: Guid = Guid::of(0x933b_4c58_120b_499a_b85d_4b6f_c9e2_903b);

impl Guid {
    /// A GUID that no resource has.
    pub(crate) const NIL: Self = Self([0; 16]);

    const fn of(number: u128) -> Self {
        Self(number.to_be_bytes())
    }

    fn number(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// Reads the canonical text. Other spellings do not identify a resource.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let guid = u128::from_str_radix(&text.replace('-', ""), 16).map(Self::of);
        guid.ok().filter(|guid| guid.to_string() == text)
    }
}

/// Hashed as one number, which is faster than as a sequence of bytes.
impl Hash for Guid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.number());
    }
}

/// Digits are looked up instead of formatted, because a response has a dozen GUIDs for
/// each resource.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let own = self.number();
        let mut text = [b'-'; 36];
        let places = text.iter_mut().enumerate();
        let places = places.filter(|(index, _)| !matches!(index, 8 | 13 | 18 | 23));
        for ((_, place), number) in places.zip(0_u32..32) {
            let digit = (own >> (4 * (31 - number))) & 0xf;
            *place = DIGITS[digit as usize];
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Serialized as it is displayed.
impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("'{text}' is not a GUID")))
    }
}

/// A source of version 4 GUIDs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GuidSource(Random);

impl GuidSource {
    pub(crate) fn new(random: Random) -> Self {
        Self(random)
    }

    pub(crate) fn next(&mut self) -> Guid {
        const VERSION_4: u128 = 0x4000_u128 << 64;
        const VARIANT: u128 = 0x8000_u128 << 48;
        const FREE_BITS: u128 = !((0xf000_u128 << 64) | (0xc000_u128 << 48));
        let bits = (u128::from(self.0.step()) << 64) | u128::from(self.0.step());
        Guid::of((bits & FREE_BITS) | VERSION_4 | VARIANT)
    }

    /// A stream of random numbers that is independent of the GUIDs.
    pub(crate) fn split(&mut self) -> Random {
        self.0.split()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_version_4_and_can_be_parsed_again() {
        let guid = GuidSource::new(Random::from_seed(7)).next();
        let text = guid.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_eq!(Guid::parse(&text), Some(guid));
    }

    #[test]
    fn only_the_canonical_text_is_a_guid() {
        let text = GuidSource::new(Random::from_seed(7)).next().to_string();
        assert_eq!(Guid::parse(&text.to_uppercase()), None);
        assert_eq!(Guid::parse(&text.replace('-', "")), None);
        assert_eq!(Guid::parse("+1"), None);
        assert_eq!(Guid::parse(""), None);
        assert_eq!(Guid::parse("é-é"), None);
    }
}

//! The API that a Cloud Controller speaks.

/// The first version of v3 after the version that was documented in 2017. Its actions are
/// at `/actions/...`.
const FIRST_AFTER_2017: (u64, u64) = (3, 26);

/// The first version of v3 with every operation that cf-pusher uses. Security groups were
/// added last.
const FIRST_TODAY: (u64, u64) = (3, 84);

/// The API that a Cloud Controller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Today's v3 API, version 3.84 or later.
    V3,
    /// The API of 2017: v2 and an early v3.
    Documented2017,
}

impl Dialect {
    /// The dialect of a Cloud Controller that advertises this version of v3. `None` for
    /// the versions between the two dialects.
    pub(crate) fn of_version(version: &str) -> Option<Self> {
        let mut parts = version.split('.');
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
        match number().zip(number()) {
            Some(version) if version < FIRST_AFTER_2017 => Some(Self::Documented2017),
            Some(version) if version < FIRST_TODAY => None,
            _ => Some(Self::V3),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("3.228.0", Some(Dialect::V3))]
    #[case("3.84.0", Some(Dialect::V3))]
    #[case("3.83.0", None)]
    #[case("3.26.0", None)]
    #[case("3.25.0", Some(Dialect::Documented2017))]
    #[case("3.13.0", Some(Dialect::Documented2017))]
    #[case("4.0.0", Some(Dialect::V3))]
    #[case("next", Some(Dialect::V3))]
    #[case("", Some(Dialect::V3))]
    fn the_version_decides_the_dialect(#[case] version: &str, #[case] expected: Option<Dialect>) {
        assert_eq!(Dialect::of_version(version), expected);
    }
}

//! Sizes such as `64M` and `1.5GB`, in the notation of manifests and flags.

const MB: f64 = 1024.0 * 1024.0;

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid size \"{given}\", must be a number with a unit, such as 512M or 2G")]
pub(crate) struct SizeError {
    given: String,
}

/// A size in bytes. The unit is B, K, M, G or T in any case, optionally followed by B.
fn bytes(given: &str) -> Result<f64, SizeError> {
    let refused = || SizeError {
        given: given.to_owned(),
    };
    let size = given.trim().to_ascii_uppercase();
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.trim().parse().map_err(|_| refused())?;
    let unit = match size.get(digits.len()..).unwrap_or_default() {
        "B" => 1.0,
        "K" | "KB" | "KIB" => 1024.0,
        "M" | "MB" | "MIB" => MB,
        "G" | "GB" | "GIB" => MB * 1024.0,
        "T" | "TB" | "TIB" => MB * 1024.0 * 1024.0,
        _ => return Err(refused()),
    };
    let bytes = number * unit;
    (0.0..1e18)
        .contains(&bytes)
        .then_some(bytes)
        .ok_or_else(refused)
}

/// A size in MB, at least 1.
pub(crate) fn megabytes(given: &str) -> Result<u64, SizeError> {
    match whole(bytes(given)? / MB) {
        0 => Err(SizeError {
            given: given.to_owned(),
        }),
        megabytes => Ok(megabytes),
    }
}

/// A log rate limit in bytes per second: a size, `0`, or `-1` for no limit.
pub(crate) fn log_rate_limit(given: &str) -> Result<i64, SizeError> {
    match given.trim() {
        "-1" => Ok(-1),
        "0" => Ok(0),
        size => Ok(i64::try_from(whole(bytes(size)?)).unwrap_or(i64::MAX)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are not negative, and fewer than 1e18 bytes"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("32M", Some(32))]
    #[case("1g", Some(1024))]
    #[case("1.5 GB", Some(1536))]
    #[case("1T", Some(1_048_576))]
    #[case("2048K", Some(2))]
    #[case("1B", None)]
    #[case("0M", None)]
    #[case("-1M", None)]
    #[case("M", None)]
    #[case("32", None)]
    #[case("32X", None)]
    #[case("ünits", None)]
    #[case("nanM", None)]
    #[case("99999999999999999999T", None)]
    fn sizes_have_units(#[case] size: &str, #[case] expected: Option<u64>) {
        assert_eq!(megabytes(size).ok(), expected);
    }

    #[rstest]
    #[case("-1", Some(-1))]
    #[case("0", Some(0))]
    #[case("4K", Some(4096))]
    #[case("4", None)]
    #[case("-2K", None)]
    fn log_rates_may_be_unlimited(#[case] rate: &str, #[case] expected: Option<i64>) {
        assert_eq!(log_rate_limit(rate).ok(), expected);
    }
}

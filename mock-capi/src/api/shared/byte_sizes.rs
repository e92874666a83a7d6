//! Sizes in manifests, such as `1G`, `512MB` or `64K`.

use serde_json::Value;

const MEGABYTE: i64 = 1024 * 1024;

/// The reason why a string is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeError {
    NoNumber,
    NoUnit,
}

impl SizeError {
    /// The Cloud Controller's message about the property.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoNumber => "is not a number",
            Self::NoUnit => "must use a supported unit: B, K, KB, M, MB, G, GB, T, or TB",
        }
    }
}

/// The bytes of a size. `None` for an empty value.
pub(crate) fn bytes(size: &Value) -> Result<Option<i64>, SizeError> {
    let text = match size {
        Value::Null | Value::Bool(false) => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let unsigned = text.strip_prefix('-').unwrap_or(&text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(SizeError::NoNumber);
    }
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(end.ok_or(SizeError::NoUnit)?);
    let exponent = match unit.to_ascii_uppercase().as_str() {
        "B" => 0,
        "K" | "KB" | "KI" | "KIB" => 1,
        "M" | "MB" | "MI" | "MIB" => 2,
        "G" | "GB" | "GI" | "GIB" => 3,
        "T" | "TB" | "TI" | "TIB" => 4,
        _ => return Err(SizeError::NoUnit),
    };
    let factor = 1024_i64.pow(exponent);
    scaled(number, factor).ok_or(SizeError::NoUnit).map(Some)
}

/// A number of units with at most three decimal places.
fn scaled(number: &str, factor: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !whole.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let thousandths = thousandths.parse::<i64>().ok()?.checked_mul(factor)? / 1000;
    // Numbers that are too large become the maximum, which exceeds every limit.
    let whole = whole.parse::<i64>().ok()?.saturating_mul(factor);
    Some(whole.saturating_add(sign * thousandths))
}

/// The whole megabytes of a size. `None` for an empty value.
pub(crate) fn megabytes(size: &Value) -> Result<Option<i64>, SizeError> {
    bytes(size).map(|bytes| bytes.map(|bytes| bytes / MEGABYTE))
}

/// The size in the largest unit without a fraction: `1024` is `1K`.
pub(crate) fn human(bytes: i64) -> String {
    let units = [('T', 4), ('G', 3), ('M', 2), ('K', 1)];
    let found = units
        .into_iter()
        .map(|(unit, exponent)| (unit, 1024_i64.pow(exponent)))
        .find(|(_, factor)| bytes % factor == 0);
    match found {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_have_units() {
        for (size, expected) in [
            (json!("1G"), Ok(Some(1024))),
            (json!("512mb"), Ok(Some(512))),
            (json!("1GiB"), Ok(Some(1024))),
            (json!("1.5G"), Ok(Some(1536))),
            (json!("1024K"), Ok(Some(1))),
            (json!("-1M"), Ok(Some(-1))),
            (json!(""), Ok(None)),
            (json!(null), Ok(None)),
            (json!("1"), Err(SizeError::NoUnit)),
            (json!(1), Err(SizeError::NoUnit)),
            (json!("1X"), Err(SizeError::NoUnit)),
            (json!("1.G"), Err(SizeError::NoUnit)),
            (json!("lots"), Err(SizeError::NoNumber)),
            (json!([]), Err(SizeError::NoNumber)),
        ] {
            assert_eq!(megabytes(&size), expected, "{size}");
        }
    }

    #[test]
    fn sizes_are_written_in_their_largest_unit() {
        assert_eq!(human(1024), "1K");
        assert_eq!(human(1536 * 1024), "1536K");
        assert_eq!(human(7), "7B");
        assert_eq!(human(0), "0T");
    }
}

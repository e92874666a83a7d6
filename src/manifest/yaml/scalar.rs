//! Resolves scalars by the rules of YAML 1.1.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use granit_parser::{ScalarStyle, Tag};

use super::Value;

const CORE_TAGS: &str = "tag:yaml.org,2002:";

pub(super) fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain => resolve(text),
            _ => Value::text(text),
        });
    };
    let core = format!("{}{}", tag.handle(), tag.suffix());
    let Some(kind) = core.strip_prefix(CORE_TAGS) else {
        return Ok(Value::text(text));
    };
    let resolved = resolve(text);
    let refused = || Err(format!("a value does not match its tag !!{kind}"));
    match (kind, &resolved) {
        ("str" | "timestamp", _) => Ok(Value::text(text)),
        ("binary", _) => binary(text),
        ("bool", Value::Bool(_)) | ("null", Value::Null) | ("int", Value::Int(_)) => Ok(resolved),
        ("float", Value::Float(_) | Value::Int(_)) => Ok(resolved),
        ("bool" | "null" | "int" | "float", _) => refused(),
        _ => Ok(Value::text(text)),
    }
}

fn binary(text: &str) -> Result<Value, String> {
    let text: String = text.split_whitespace().collect();
    let bytes = BASE64.decode(text);
    let bytes = bytes.map_err(|_| "a !!binary value is not base64".to_owned())?;
    let text = String::from_utf8(bytes);
    text.map(Value::Text)
        .map_err(|_| "a !!binary value is not UTF-8, which a manifest requires".to_owned())
}

/// The value of a plain scalar in a manifest that the Cloud Controller writes. The Cloud
/// Controller quotes only strings that Ruby would read as another type: `089` and `1e5`
/// are strings.
pub(super) fn of_cloud_controller(text: &str) -> Value {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let is_integer = digits(unsigned) && (unsigned == "0" || !unsigned.starts_with('0'));
    let is_float = unsigned.split_once('.').is_some_and(|(whole, fraction)| {
        let (fraction, exponent) = fraction.split_once('e').unwrap_or((fraction, "+0"));
        let exponent = exponent.strip_prefix(['+', '-']);
        digits(whole) && digits(fraction) && exponent.is_some_and(digits)
    });
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if is_integer || is_float => number(text).unwrap_or_else(|| Value::text(text)),
        _ => Value::text(text),
    }
}

/// The value of a plain scalar.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::text(text))
}

fn number(text: &str) -> Option<Value> {
    match text.as_bytes().first()? {
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            integer(&plain).or_else(|| decimal(&plain))
        }
        b'.' => decimal(text),
        _ => None,
    }
}

/// A number with the prefix `0x`, `0o`, `0` (octal) or `0b`, or without prefix.
fn integer(plain: &str) -> Option<Value> {
    let (negative, digits) = match plain.strip_prefix(['+', '-']) {
        Some(digits) => (plain.starts_with('-'), digits),
        None => (false, plain),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let number = if negative { -magnitude } else { magnitude };
    let signed = negative || plain.starts_with('+');
    let fits = !signed || i64::try_from(number).is_ok();
    fits.then_some(Value::Int(number))
}

fn decimal(plain: &str) -> Option<Value> {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let some = !whole.is_empty() || !fraction.is_empty();
    if !some || !digits(whole) || !digits(fraction) || !exponent_fits {
        return None;
    }
    let number: f64 = plain.parse().ok()?;
    number.is_finite().then(|| float(number))
}

/// A float, or the integer with the same value: `1e3` is 1000. The CLI gets the same
/// result because it parses a manifest twice.
pub(super) fn float(number: f64) -> Value {
    integer(&float_text(number)).unwrap_or(Value::Float(number))
}

/// A number in the CLI's notation: as short as possible, with an exponent if the exponent
/// is below -4 or above 5.
pub(super) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

//! Reads and writes YAML as the `cf` CLI does, keeping the order of keys.
//!
//! Scalars are resolved by the rules of YAML 1.1, as in the CLI's parser:
//! `yes`, `on` and `y` are booleans, `0123` is octal, `1_000` is a number, and
//! `12:30:45` stays text. Anchors and merge keys are resolved, a later duplicate
//! key wins, and only the first document counts. The output has the same meaning in
//! YAML 1.1 and 1.2.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// The maximum depth of nested lists and maps.
const DEEPEST: usize = 128;

/// The maximum number of values in a document, after resolving aliases.
const MOST_VALUES: usize = 1_000_000;

const CORE_TAGS: &str = "tag:yaml.org,2002:";

/// A value of a YAML document.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i128),
    /// Never a whole number.
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Map),
}

/// A map with unique keys, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Map(Vec<(Value, Value)>);

/// A text that is not YAML, with the line of the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct YamlError {
    line: usize,
    reason: String,
}

impl Value {
    /// Parses the first document of a text. An empty text is null.
    pub(crate) fn parse(text: &str) -> Result<Self, YamlError> {
        Loader::default().load(text)
    }

    /// The same, but the keys of the outermost map are strings: `y` is not a boolean.
    pub(crate) fn parse_with_text_keys(text: &str) -> Result<Self, YamlError> {
        let loader = Loader {
            text_keys: true,
            ..Loader::default()
        };
        loader.load(text)
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The type of a value, for messages that must not show the value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// Whether depth and size are within the limits of [`Value::parse`].
    pub(crate) fn is_within_bounds(&self) -> bool {
        height_of(self) <= DEEPEST && size_of(self) <= MOST_VALUES
    }

    /// The text of a scalar; `None` for lists, maps and null.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(float_text(*number)),
            Self::Text(text) => Some(text.clone()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The value as YAML, which parses to the same value.
    pub(crate) fn render(&self) -> String {
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        // Writing to a string cannot fail.
        serde_saphyr::to_string_with_options(self, options).unwrap_or_default()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => match number.as_i128() {
                Some(number) => Self::Int(number),
                None => float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(list) => Self::List(list.iter().map(Self::from).collect()),
            Json::Object(map) => {
                let pair = |(key, value): (&String, _)| (key.as_str().into(), Self::from(value));
                Self::Map(map.iter().map(pair).collect())
            }
        }
    }
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(it, _)| it.as_text() == Some(key));
        found.map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let found = self.0.iter_mut().find(|(it, _)| it.as_text() == Some(key));
        found.map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a value: in place if the key exists, else at the end.
    pub(crate) fn set(&mut self, key: impl Into<Value>, value: Value) {
        let key = key.into();
        match self.0.iter_mut().find(|(it, _)| *it == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self
            .0
            .iter()
            .position(|(it, _)| it.as_text() == Some(key))?;
        Some(self.0.remove(at).1)
    }

    /// Renames a key in place.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        self.remove(to);
        let found = self.0.iter_mut().find(|(it, _)| it.as_text() == Some(from));
        if let Some((key, _)) = found {
            *key = to.into();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Value, Value)> for Map {
    fn from_iter<T: IntoIterator<Item = (Value, Value)>>(pairs: T) -> Self {
        let mut map = Self::default();
        for (key, value) in pairs {
            map.set(key, value);
        }
        map
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = std::vec::IntoIter<(Value, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(truth) => to.serialize_bool(*truth),
            Self::Int(number) => to.serialize_i128(*number),
            Self::Float(number) => to.serialize_f64(*number),
            // Ruby's parser reads `0:30` and `1,000` as numbers.
            Self::Text(text) if looks_like_a_number(text) => {
                serde_saphyr::DoubleQuoted(text.as_str()).serialize(to)
            }
            Self::Text(text) => to.serialize_str(text),
            Self::List(list) => {
                let mut seq = to.serialize_seq(Some(list.len()))?;
                for value in list {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Self::Map(map) => {
                let mut entries = to.serialize_map(Some(map.0.len()))?;
                for (key, value) in map.iter() {
                    entries.serialize_entry(key, value)?;
                }
                entries.end()
            }
        }
    }
}

/// Whether a text consists of digits and their separators.
fn looks_like_a_number(text: &str) -> bool {
    let digit = |byte: &u8| byte.is_ascii_digit();
    text.bytes().any(|byte| digit(&byte))
        && text
            .bytes()
            .all(|byte| digit(&byte) || b"+-.,:_".contains(&byte))
}

/// A list or map that is not complete yet.
struct Open {
    anchor: usize,
    /// The depth of the values in it.
    height: usize,
    node: OpenNode,
}

enum OpenNode {
    List(Vec<Value>),
    Map { map: Map, key: Option<Key> },
}

enum Key {
    Plain(Value),
    Merge,
}

/// A value, its depth, and the number of values in it.
#[derive(Clone)]
struct Loaded {
    value: Value,
    height: usize,
    size: usize,
}

#[derive(Default)]
struct Loader {
    open: Vec<Open>,
    anchors: HashMap<usize, Loaded>,
    values: usize,
    root: Option<Value>,
    text_keys: bool,
}

impl Loader {
    fn load(mut self, text: &str) -> Result<Value, YamlError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // The same as in libyaml.
        let options = granit_parser::options! {
            block_scalar_eof_without_line_feed: true,
            bom_inside_document_as_content: true,
        };
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|error| not_yaml(&error))?;
            if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
                break;
            }
            self.take(event).map_err(|reason| YamlError {
                line: line_of(&span),
                reason,
            })?;
        }
        Ok(self.root.unwrap_or(Value::Null))
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let merge = style == ScalarStyle::Plain && text == "<<" && tag.is_none();
                if merge && self.take_merge_key() {
                    return Ok(());
                }
                let value = match self.text_keys && self.is_at_key() {
                    true => Value::text(text.as_ref()),
                    false => scalar(&text, style, tag.as_deref())?,
                };
                self.put(value, 0, 1, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(anchor, OpenNode::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.begin(
                anchor,
                OpenNode::Map {
                    map: Map::default(),
                    key: None,
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(loaded) = self.anchors.get(&anchor).cloned() else {
                    return Err("an anchor's value contains itself".to_owned());
                };
                self.put(loaded.value, loaded.height, loaded.size, 0)
            }
            _ => Ok(()),
        }
    }

    /// Whether the next value is a key of the outermost map.
    fn is_at_key(&self) -> bool {
        match self.open.as_slice() {
            [open] => matches!(open.node, OpenNode::Map { key: None, .. }),
            _ => false,
        }
    }

    /// Whether `<<` is at the position of a key.
    fn take_merge_key(&mut self) -> bool {
        match self.open.last_mut().map(|open| &mut open.node) {
            Some(OpenNode::Map { key, .. }) if key.is_none() => {
                *key = Some(Key::Merge);
                true
            }
            _ => false,
        }
    }

    fn begin(&mut self, anchor: usize, node: OpenNode) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err(too_deep());
        }
        self.open.push(Open {
            anchor,
            height: 0,
            node,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.node {
            OpenNode::List(list) => Value::List(list),
            OpenNode::Map { map, .. } => Value::Map(map),
        };
        let size = match open.anchor {
            0 => 1,
            _ => size_of(&value),
        };
        self.put(value, open.height + 1, size, open.anchor)
    }

    /// Adds a complete value to its parent. The values of an alias count again.
    fn put(
        &mut self,
        value: Value,
        height: usize,
        size: usize,
        anchor: usize,
    ) -> Result<(), String> {
        self.values += if anchor == 0 { size } else { 1 };
        if self.values > MOST_VALUES {
            return Err(format!("it holds more than {MOST_VALUES} values"));
        }
        if self.open.len() + height > DEEPEST {
            return Err(too_deep());
        }
        if anchor != 0 {
            let value = value.clone();
            let loaded = Loaded {
                value,
                height,
                size,
            };
            self.anchors.insert(anchor, loaded);
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        open.height = open.height.max(height);
        match &mut open.node {
            OpenNode::List(list) => list.push(value),
            OpenNode::Map { map, key } => match key.take() {
                None if matches!(value, Value::List(_) | Value::Map(_)) => {
                    return Err(format!("a key is {}, must be a scalar", value.kind()));
                }
                None => *key = Some(Key::Plain(value)),
                Some(Key::Plain(key)) => map.set(key, value),
                Some(Key::Merge) => merge(map, value)?,
            },
        }
        Ok(())
    }
}

/// Merges as the CLI's parser does: merged keys replace earlier ones, and later ones
/// replace them; in a list, the first map wins.
fn merge(map: &mut Map, value: Value) -> Result<(), String> {
    let maps = match value {
        Value::List(list) => list,
        map => vec![map],
    };
    for source in maps.into_iter().rev() {
        let Value::Map(source) = source else {
            return Err("`<<` merges a map or a list of maps".to_owned());
        };
        for (key, value) in source {
            map.set(key, value);
        }
    }
    Ok(())
}

fn height_of(value: &Value) -> usize {
    match value {
        Value::List(list) => 1 + list.iter().map(height_of).max().unwrap_or_default(),
        Value::Map(map) => {
            1 + map
                .iter()
                .map(|(_, it)| height_of(it))
                .max()
                .unwrap_or_default()
        }
        _ => 0,
    }
}

fn size_of(value: &Value) -> usize {
    1 + match value {
        Value::List(list) => list.iter().map(size_of).sum(),
        Value::Map(map) => map.iter().map(|(_, value)| 1 + size_of(value)).sum(),
        _ => 0,
    }
}

fn too_deep() -> String {
    format!("lists and maps are more than {DEEPEST} deep")
}

fn not_yaml(error: &ScanError) -> YamlError {
    YamlError {
        line: error.marker().line(),
        reason: error.info().to_owned(),
    }
}

fn line_of(span: &Span) -> usize {
    span.start.line()
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
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
    let refused = || Err(format!("a value is not of its kind, !!{kind}"));
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
        .map_err(|_| "a !!binary value is not UTF-8, and a manifest holds texts".to_owned())
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

/// A float, or the integer with the same value: `1e3` is 1000, as for the CLI, which
/// parses a manifest twice.
fn float(number: f64) -> Value {
    integer(&float_text(number)).unwrap_or(Value::Float(number))
}

/// A number as the CLI writes it: as short as possible, with an exponent if that is
/// below -4 or above 5.
fn float_text(number: f64) -> String {
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

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render().trim_end())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn parse(text: &str) -> Value {
        Value::parse(text).unwrap()
    }

    fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value));
        Value::Map(pairs.collect())
    }

    #[rstest]
    #[case("yes", Value::Bool(true))]
    #[case("on", Value::Bool(true))]
    #[case("y", Value::Bool(true))]
    #[case("Off", Value::Bool(false))]
    #[case("yEs", "yEs".into())]
    #[case("0123", Value::Int(83))]
    #[case("0o17", Value::Int(15))]
    #[case("0b101", Value::Int(5))]
    #[case("-0x1F", Value::Int(-31))]
    #[case("1_000", Value::Int(1000))]
    #[case("+12", Value::Int(12))]
    #[case("0129", Value::Int(129))]
    #[case("18446744073709551615", Value::Int(18_446_744_073_709_551_615))]
    #[case("-18446744073709551615", Value::Float(-18_446_744_073_709_552_000.0))]
    #[case("12:30:45", "12:30:45".into())]
    #[case("2001-01-01", "2001-01-01".into())]
    #[case("1.5", Value::Float(1.5))]
    #[case("1e3", Value::Int(1000))]
    #[case("1.0", Value::Int(1))]
    #[case(".5", Value::Float(0.5))]
    #[case(".inf", Value::Float(f64::INFINITY))]
    #[case("~", Value::Null)]
    #[case("", Value::Null)]
    #[case("1G", "1G".into())]
    #[case("1.2.3", "1.2.3".into())]
    #[case("'123'", "123".into())]
    #[case("!!str 123", "123".into())]
    #[case("!!int '12'", Value::Int(12))]
    #[case("!!binary aGk=", "hi".into())]
    #[case("!mine x", "x".into())]
    fn scalars_are_as_the_cf_cli_reads_them(#[case] text: &str, #[case] expected: Value) {
        assert_eq!(parse(text), expected);
        assert_eq!(parse(&format!("a: {text}")), map([("a", expected)]));
    }

    #[rstest]
    #[case("{a: 1, a: 2}", "{a: 2}")]
    #[case("a: &x {b: 1}\nc: *x", "{a: {b: 1}, c: {b: 1}}")]
    #[case("a: &x {b: 1}\nc: {<<: *x, d: 2}", "{a: {b: 1}, c: {b: 1, d: 2}}")]
    #[case("a: &x {b: 1}\nc: {<<: *x, b: 2}", "{a: {b: 1}, c: {b: 2}}")]
    #[case("a: &x {b: 1}\nc: {b: 2, <<: *x}", "{a: {b: 1}, c: {b: 1}}")]
    #[case("c: {<<: [{b: 1}, {b: 2, d: 3}]}", "{c: {b: 1, d: 3}}")]
    #[case("a: 1\n---\n: [", "{a: 1}")]
    #[case("---\n...\n", "~")]
    #[case("\u{feff}a: 1", "{a: 1}")]
    fn structure_is_as_the_cf_cli_reads_it(#[case] text: &str, #[case] same: &str) {
        assert_eq!(parse(text), parse(same));
    }

    #[rstest]
    #[case("a: [", "line 1")]
    #[case("a: 1\n b: 2", "line 2")]
    #[case("? [a]\n: 1", "a key is a list, must be a scalar")]
    #[case("a: *none", "line 1")]
    #[case("a: &x [*x]", "line 1")]
    #[case("<<: 1", "`<<` merges a map or a list of maps")]
    #[case("!!int x", "a value is not of its kind, !!int")]
    #[case("!!binary ///", "a !!binary value is not base64")]
    fn what_is_not_understood_is_refused(#[case] text: &str, #[case] expected: &str) {
        let error = Value::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn texts_that_other_readers_take_for_numbers_are_quoted() {
        for text in ["0:30", "12:30:45", "1,000", "1_000", "10.0.0.1", "+1"] {
            let rendered = Value::from(text).render();
            assert_eq!(rendered.trim_end(), format!("\"{text}\""));
        }
        assert_eq!(Value::from("64M").render().trim_end(), "64M");
    }

    #[test]
    fn keys_can_be_kept_as_texts() {
        let value = Value::parse_with_text_keys("y: {n: 1}\n1: 2").unwrap();
        assert_eq!(value, map([("y", parse("{n: 1}")), ("1", Value::Int(2))]));
    }

    #[test]
    fn depth_and_size_have_bounds() {
        let deep = "[".repeat(100_000);
        assert!(Value::parse(&deep).is_err());
        let chain = (1..40).fold("a0: &a0 [1]\n".to_owned(), |text, i| {
            format!("{text}a{i}: &a{i} [[[[[*a{}]]]]]\n", i - 1)
        });
        let error = Value::parse(&chain).unwrap_err().to_string();
        assert!(error.contains("deep"), "{error}");
        let bomb = (1..10).fold("a0: &a0 [1, 1]\n".to_owned(), |text, i| {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            format!("{text}a{i}: &a{i} [{aliases}]\n")
        });
        let error = Value::parse(&bomb).unwrap_err().to_string();
        assert!(error.contains("values"), "{error}");
    }

    #[rstest]
    #[case(1.5, "1.5")]
    #[case(1e6, "1e+06")]
    #[case(123_456.5, "123456.5")]
    #[case(1.5e-7, "1.5e-07")]
    #[case(0.0001, "0.0001")]
    fn floats_are_written_as_the_cf_cli_does(#[case] number: f64, #[case] expected: &str) {
        assert_eq!(float_text(number), expected);
    }

    fn scalars() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|number| Value::Int(number.into())),
            any::<f64>()
                .prop_filter("comparable", |number| !number.is_nan())
                .prop_map(float),
            any::<String>().prop_map(Value::Text),
            "[yYnN~.0-9eEx_:+ob-]{1,6}".prop_map(Value::Text),
            "(yes|no|on|off|null|<<|=|---|\\.\\.\\.|2001-01-01|12:30|- a|a: b|a #b|\n|\t| )*"
                .prop_map(Value::Text),
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        scalars().prop_recursive(4, 40, 5, |inner| {
            let pairs = prop::collection::vec((scalars(), inner.clone()), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Value::List),
                pairs.prop_map(|pairs| Value::Map(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(value in values()) {
            let text = value.render();
            prop_assert_eq!(Value::parse(&text), Ok(value), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "(a|1|: |- |\\[|\\]|\\{|\\}|, |\n|  |&x |\\*x|<<|!!int |\"|'|\\||>|#|%|\\?|---\n|\u{feff}|é)*") {
            if let Ok(value) = Value::parse(&text) {
                prop_assert_eq!(Value::parse(&value.render()), Ok(value));
            }
        }
    }
}

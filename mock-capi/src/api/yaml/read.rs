//! Reads YAML as Psych does.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};
use regex::Regex;

use super::Yaml;
use crate::api::error::CcError;

/// The maximum nesting depth of a document.
const MAX_DEPTH: usize = 100;

/// Reads the first document of a text and ignores all others.
pub(crate) fn parse(text: &str) -> Result<Yaml, CcError> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
    };
    let options: Options = options;
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, _) = event.map_err(|_| CcError::unparsable())?;
        if let Some(document) = reader.take(event)? {
            return Ok(document);
        }
    }
    Ok(Yaml::Null)
}

/// The document that is being read: the lists and maps that are still open.
#[derive(Default)]
struct Reader {
    open: Vec<OpenNode>,
}

enum OpenNode {
    List(Vec<Yaml>),
    /// A list of maps with one entry each.
    OrderedMap(Vec<Yaml>),
    /// With the key whose value follows.
    Map(Vec<(Yaml, Yaml)>, Option<Key>),
}

struct Key {
    value: Yaml,
    /// Whether the key is `<<`, which merges another map.
    merges: bool,
}

impl Reader {
    /// Handles the next event. Returns the document when it is complete.
    fn take(&mut self, event: Event<'_>) -> Result<Option<Yaml>, CcError> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                let merges = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let value = scalar(&text, style, tag.as_deref())?;
                return Ok(self.add(value, merges));
            }
            Event::SequenceStart(_, _, tag) => {
                check_tag(tag.as_deref())?;
                let is_map = is_tagged(tag.as_deref(), "omap");
                self.open(match is_map {
                    true => OpenNode::OrderedMap(Vec::new()),
                    false => OpenNode::List(Vec::new()),
                })?;
            }
            Event::MappingStart(_, _, tag) => {
                check_tag(tag.as_deref())?;
                if is_tagged(tag.as_deref(), "set") {
                    return Err(CcError::unknown());
                }
                self.open(OpenNode::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let closed = match self.open.pop() {
                    Some(OpenNode::List(items)) => Yaml::List(items),
                    Some(OpenNode::OrderedMap(items)) => ordered_map(items),
                    Some(OpenNode::Map(entries, _)) => Yaml::Map(entries),
                    None => return Err(CcError::unparsable()),
                };
                return Ok(self.add(closed, false));
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                return Err(CcError::bad_request(
                    "Manifest does not support Anchors and Aliases",
                ));
            }
            Event::DocumentEnd => return Ok(Some(Yaml::Null)),
            _ => {}
        }
        Ok(None)
    }

    fn open(&mut self, open: OpenNode) -> Result<(), CcError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(CcError::unparsable());
        }
        self.open.push(open);
        Ok(())
    }

    /// Adds a value to the innermost open list or map. At the top level, the value is the
    /// document.
    fn add(&mut self, value: Yaml, merges: bool) -> Option<Yaml> {
        match self.open.last_mut() {
            None => return Some(value),
            Some(OpenNode::List(items) | OpenNode::OrderedMap(items)) => items.push(value),
            Some(OpenNode::Map(entries, key)) => match key.take() {
                None => *key = Some(Key { value, merges }),
                Some(key) if key.merges => merge(entries, key.value, value),
                Some(key) => set(entries, key.value, value),
            },
        }
        None
    }
}

fn set(entries: &mut Vec<(Yaml, Yaml)>, key: Yaml, value: Yaml) {
    match entries.iter_mut().find(|(own, _)| *own == key) {
        Some((_, own)) => *own = value,
        None => entries.push((key, value)),
    }
}

/// Merges `<<: {...}` or `<<: [{...}, {...}]`. Earlier entries take precedence.
fn merge(entries: &mut Vec<(Yaml, Yaml)>, key: Yaml, value: Yaml) {
    let is_map = |value: &Yaml| matches!(value, Yaml::Map(_));
    let maps = match value {
        Yaml::Map(map) => vec![Yaml::Map(map)],
        Yaml::List(maps) if maps.iter().all(is_map) => maps,
        other => return set(entries, key, other),
    };
    for map in maps.into_iter().rev() {
        if let Yaml::Map(map) = map {
            for (key, value) in map {
                set(entries, key, value);
            }
        }
    }
}

/// Only the core tags are allowed, as in the Cloud Controller.
fn check_tag(tag: Option<&Tag>) -> Result<(), CcError> {
    match tag.map(full_name) {
        Some(tag) if tag.starts_with("!ruby/") => Err(CcError::unknown()),
        _ => Ok(()),
    }
}

/// Whether a node has one of YAML's own tags.
fn is_tagged(tag: Option<&Tag>, name: &str) -> bool {
    tag.is_some_and(|tag| full_name(tag) == format!("tag:yaml.org,2002:{name}"))
}

/// The map of the entries of a list of maps.
fn ordered_map(items: Vec<Yaml>) -> Yaml {
    let mut entries = Vec::new();
    for item in items {
        if let Yaml::Map(map) = item {
            for (key, value) in map {
                set(&mut entries, key, value);
            }
        }
    }
    Yaml::Map(entries)
}

fn full_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Yaml, CcError> {
    check_tag(tag)?;
    let tag = tag.map(full_name);
    match tag.as_deref() {
        None | Some("!") if style != ScalarStyle::Plain => Ok(Yaml::Text(text.into())),
        Some("!" | "!str" | "tag:yaml.org,2002:str") => Ok(Yaml::Text(text.into())),
        Some("!binary" | "tag:yaml.org,2002:binary") => binary(text),
        Some("!float" | "tag:yaml.org,2002:float") => match plain(text)? {
            Yaml::Int(digits) => digits
                .parse()
                .map(Yaml::Float)
                .map_err(|_| CcError::unknown()),
            Yaml::Float(float) => Ok(Yaml::Float(float)),
            _ => Err(CcError::unknown()),
        },
        _ => plain(text),
    }
}

/// Bytes in base 64. Ruby ignores characters of other alphabets.
fn binary(text: &str) -> Result<Yaml, CcError> {
    let digits: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'))
        .collect();
    let bytes = STANDARD_NO_PAD.decode(digits);
    let bytes = bytes.map_err(|_| CcError::unknown())?;
    let text = String::from_utf8(bytes).map_err(|_| CcError::unknown())?;
    Ok(Yaml::Text(text))
}

/// A regular expression that is known to be valid.
macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
    };
}

pattern!(
    WORD,
    r"^[^\d.:\-]?[\p{Alphabetic}_\s!@#$%^&*(){}<>|/\\~;=]+"
);
pattern!(
    TIME,
    r"^-?\d{4}-\d{1,2}-\d{1,2}(?:[Tt]|\s+)\d{1,2}:\d\d:\d\d(?:\.\d*)?(?:\s*(?:Z|[-+]\d{1,2}:?(?:\d\d)?))?$"
);
pattern!(DATE, r"^\d{4}-(?:1[012]|0\d|\d)-(?:[12]\d|3[01]|0\d|\d)$");
pattern!(BASE_60, r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}$");
pattern!(
    BASE_60_FLOAT,
    r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}\.[0-9_]*$"
);
pattern!(
    FLOAT,
    r"^[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][-+][0-9]+)?$"
);
pattern!(
    INTEGER,
    r"^(?:[-+]?0b_*[01][01_]*|[-+]?0_*[0-7][0-7_]*|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x_*[0-9a-fA-F][0-9a-fA-F_]*)$"
);

pattern!(OCTAL_FLOAT, r"\A0[0-7]*\.[0-9]");

fn is(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// Whether a string looks like a decimal number with a leading zero.
pub(super) fn is_octal_float(text: &str) -> bool {
    is(&OCTAL_FLOAT, text)
}

/// The value of a string without quotes.
pub(super) fn plain(text: &str) -> Result<Yaml, CcError> {
    if text.is_empty() {
        return Ok(Yaml::Null);
    }
    if is(&WORD, text) || text.contains('\n') {
        return Ok(word(text));
    }
    let lower = text.to_ascii_lowercase();
    // Times, dates and symbols belong to classes that are not permitted.
    let is_symbol = text.starts_with(':') && text.len() > 1;
    if is(&TIME, text) || is(&DATE, text) || is_symbol {
        return Err(CcError::unknown());
    }
    Ok(match lower.as_str() {
        ".inf" | "+.inf" => Yaml::Float(f64::INFINITY),
        "-.inf" => Yaml::Float(f64::NEG_INFINITY),
        ".nan" => Yaml::Float(f64::NAN),
        _ if is(&BASE_60, text) => base_60(text),
        _ if is(&BASE_60_FLOAT, text) => Yaml::Float(base_60_float(text)),
        _ if is(&FLOAT, text) && text.trim_start_matches(['+', '-']) != "." => float(text),
        _ if is(&INTEGER, text) => parse_integer(text),
        _ => Yaml::Text(text.into()),
    })
}

fn word(text: &str) -> Yaml {
    const LONGEST: usize = 5;
    if text.chars().count() <= LONGEST {
        match text.to_ascii_lowercase().as_str() {
            "~" | "null" => return Yaml::Null,
            "yes" | "true" | "on" => return Yaml::Bool(true),
            "no" | "false" | "off" => return Yaml::Bool(false),
            _ => {}
        }
    }
    Yaml::Text(text.into())
}

/// Reads sexagesimal numbers: `1:30` is 90.
fn base_60(text: &str) -> Yaml {
    let parts = text.split(':').map(|part| part.replace('_', ""));
    let parts = parts.map(|part| part.parse::<i128>().unwrap_or_default());
    let sum: i128 = parts.zip([3600, 60, 1]).fold(0, |sum, (part, unit)| {
        sum.saturating_add(part.saturating_mul(unit))
    });
    Yaml::Int(sum.to_string())
}

fn base_60_float(text: &str) -> f64 {
    let parts = text.split(':').map(|part| part.replace('_', ""));
    let parts = parts.map(|part| {
        part.trim_end_matches('.')
            .parse::<f64>()
            .unwrap_or_default()
    });
    parts
        .zip([3600.0, 60.0, 1.0])
        .map(|(part, unit)| part * unit)
        .sum()
}

fn float(text: &str) -> Yaml {
    let digits: String = text.chars().filter(|c| !matches!(c, ',' | '_')).collect();
    digits
        .parse()
        .map_or_else(|_| Yaml::Text(text.into()), Yaml::Float)
}

/// An integer in base 2, 8, 10 or 16.
fn parse_integer(text: &str) -> Yaml {
    let digits = text.replace('_', "");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.trim_start_matches('+')),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => return Yaml::Int(decimal(sign, digits)),
    };
    match u128::from_str_radix(digits, base) {
        Ok(number) => Yaml::Int(decimal(sign, &number.to_string())),
        Err(_) => Yaml::Text(text.into()),
    }
}

fn decimal(sign: &str, digits: &str) -> String {
    match digits {
        "0" => digits.into(),
        _ => format!("{sign}{digits}"),
    }
}

//! YAML as the Cloud Controller reads it, with Ruby's Psych: YAML 1.1 with
//! deviations, with `strict_integer`, and without classes, symbols or aliases.

use std::sync::LazyLock;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};
use regex::Regex;
use serde_json::{Map, Number, Value};

use crate::api::error::CcError;
use crate::world::ruby;

/// The deepest nesting of a document.
const MAX_DEPTH: usize = 100;

/// A value of a document, with Ruby's types.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    /// In decimal, with any number of digits.
    Int(String),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    /// In the order of the keys; of a duplicate key, the last value.
    Map(Vec<(Yaml, Yaml)>),
}

impl Yaml {
    pub(crate) fn get(&self, key: &str) -> Option<&Yaml> {
        let Self::Map(entries) = self else {
            return None;
        };
        let found = entries.iter().find(|(own, _)| own.is_text(key));
        found.map(|(_, value)| value)
    }

    fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Text(own) if own == text)
    }

    pub(crate) fn list(&self) -> Option<&[Yaml]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value in JSON, whose keys are strings.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(boolean) => Value::Bool(*boolean),
            Self::Int(digits) => integer(digits),
            Self::Float(float) => Number::from_f64(*float).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                let entries = entries.iter();
                let object: Map<String, Value> = entries
                    .map(|(key, value)| (key.to_text(), value.to_json()))
                    .collect();
                Value::Object(object)
            }
        }
    }

    /// `Object#to_s`, after string keys were converted to symbols.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) => text.clone(),
            other => other.inspect(),
        }
    }

    /// `Object#inspect`
    fn inspect(&self) -> String {
        match self {
            Self::Null => "nil".into(),
            Self::Bool(boolean) => boolean.to_string(),
            Self::Int(digits) => digits.clone(),
            Self::Float(float) => ruby::float_text(*float),
            Self::Text(text) => ruby::inspect_string(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::inspect).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entry = |(key, value): &(Self, Self)| {
                    let key = match key {
                        Self::Text(name) => ruby::inspect_symbol(name),
                        other => other.inspect(),
                    };
                    format!("{key}=>{}", value.inspect())
                };
                let entries: Vec<String> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// An integer that fits neither `i64` nor `u64` becomes a floating-point number in
/// JSON.
fn integer(digits: &str) -> Value {
    let signed = digits.parse::<i64>().map(Value::from);
    let unsigned = || digits.parse::<u64>().map(Value::from);
    let float = || digits.parse::<f64>().ok().and_then(Number::from_f64);
    signed
        .or_else(|_| unsigned())
        .unwrap_or_else(|_| float().map_or(Value::Null, Value::Number))
}

/// Reads the first document of a text and ignores others.
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
    open: Vec<Open>,
}

enum Open {
    List(Vec<Yaml>),
    /// With the key whose value follows.
    Map(Vec<(Yaml, Yaml)>, Option<Key>),
}

struct Key {
    value: Yaml,
    /// Whether the key is `<<`, which merges another map.
    merges: bool,
}

impl Reader {
    /// Handles the next event; returns the document when it is complete.
    fn take(&mut self, event: Event<'_>) -> Result<Option<Yaml>, CcError> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                let merges = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let value = scalar(&text, style, tag.as_deref())?;
                return Ok(self.add(value, merges));
            }
            Event::SequenceStart(_, _, tag) => {
                check_tag(tag.as_deref())?;
                self.open(Open::List(Vec::new()))?;
            }
            Event::MappingStart(_, _, tag) => {
                check_tag(tag.as_deref())?;
                self.open(Open::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let closed = match self.open.pop() {
                    Some(Open::List(items)) => Yaml::List(items),
                    Some(Open::Map(entries, _)) => Yaml::Map(entries),
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

    fn open(&mut self, open: Open) -> Result<(), CcError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(CcError::unparsable());
        }
        self.open.push(open);
        Ok(())
    }

    /// Adds a value to the innermost list or map; at the top level, it is the
    /// document.
    fn add(&mut self, value: Yaml, merges: bool) -> Option<Yaml> {
        match self.open.last_mut() {
            None => return Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(entries, key)) => match key.take() {
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

/// Merges `<<: {...}` or `<<: [{...}, {...}]`; earlier entries take precedence.
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

fn full_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Yaml, CcError> {
    check_tag(tag)?;
    let tag = tag.map(full_name);
    match tag.as_deref() {
        None | Some("!") if style != ScalarStyle::Plain => Ok(Yaml::Text(text.into())),
        Some("!" | "!str" | "tag:yaml.org,2002:str" | "!binary" | "tag:yaml.org,2002:binary") => {
            Ok(Yaml::Text(text.into()))
        }
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

/// The value of a string without quotes.
fn plain(text: &str) -> Result<Yaml, CcError> {
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

/// `1:30` is 90: the parts are digits in base 60.
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

/// Writes a value as Psych does, after the marker of a document.
pub(crate) fn emit(value: &Value) -> String {
    let mut text = String::from("---");
    emit_value(&mut text, value, 0);
    text
}

/// The column after which a string is broken at a blank.
const WIDTH: usize = 80;

fn emit_value(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            emit_fields(text, fields, indent);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                text.push_str(&" ".repeat(indent));
                text.push('-');
                match item {
                    // The first field follows the dash on the same line.
                    Value::Object(fields) if !fields.is_empty() => {
                        text.push(' ');
                        let start = text.len();
                        emit_fields(text, fields, indent + 2);
                        text.replace_range(start..start + indent + 2, "");
                    }
                    other => emit_value(text, other, indent + 2),
                }
            }
        }
        Value::Object(_) => text.push_str(" {}\n"),
        Value::Array(_) => text.push_str(" []\n"),
        Value::Null => text.push('\n'),
        Value::String(string) => {
            text.push(' ');
            emit_text(text, string, indent);
            text.push('\n');
        }
        Value::Bool(_) | Value::Number(_) => {
            text.push(' ');
            text.push_str(&ruby::text(value));
            text.push('\n');
        }
    }
}

fn emit_fields(text: &mut String, fields: &Map<String, Value>, indent: usize) {
    for (key, value) in fields {
        text.push_str(&" ".repeat(indent));
        let key = match style_of(key) {
            Style::Literal => double_quoted(key, None),
            style => styled(key, style, None),
        };
        text.push_str(&key);
        text.push(':');
        match value {
            // A list is not indented below its key.
            Value::Array(_) => emit_value(text, value, indent),
            other => emit_value(text, other, indent + 2),
        }
    }
}

fn emit_text(text: &mut String, string: &str, indent: usize) {
    let line = text.rsplit('\n').next().unwrap_or_default();
    let column = line.chars().count();
    match style_of(string) {
        Style::Literal => text.push_str(&literal(string, indent)),
        style => text.push_str(&styled(string, style, Some((column, indent)))),
    }
}

/// The style of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// The style that Psych chooses, unless the string cannot be written that way.
fn style_of(string: &str) -> Style {
    let asked = if string.trim_end_matches('\n').contains('\n') || string.ends_with("\n\n") {
        Style::Literal
    } else if string == "<<" {
        Style::Single
    } else if ["y", "Y", "n", "N"].contains(&string) || begins_oddly(string) {
        Style::Double
    } else if !matches!(plain(string), Ok(Yaml::Text(_))) || is(&OCTAL_FLOAT, string) {
        Style::Single
    } else {
        Style::Plain
    };
    let special = |c: char| c != '\n' && (c.is_control() || c == '\u{feff}');
    let has_special = string.chars().any(special);
    let breaks = string.contains('\n');
    let space_break = string.contains(" \n");
    let break_space = string.contains("\n ");
    match asked {
        Style::Literal if !has_special && !space_break && !string.ends_with(' ') => Style::Literal,
        Style::Literal => Style::Double,
        _ if has_special || space_break || break_space => Style::Double,
        Style::Plain if breaks || !is_plain(string) => Style::Single,
        other => other,
    }
}

/// Whether a line begins with an indicator and contains no quotes.
fn begins_oddly(string: &str) -> bool {
    string.lines().any(|line| {
        let first = line.chars().next();
        let is_word = |c: char| c == '_' || c.is_alphanumeric();
        first.is_some_and(|c| !is_word(c)) && !line.chars().skip(1).any(|c| c == '"')
    })
}

/// Whether a string needs no quotes in block style.
fn is_plain(string: &str) -> bool {
    const INDICATORS: &str = "#,[]{}&*!|>'\"%@`";
    let blank_at_the_edge = string.starts_with(' ') || string.ends_with(' ');
    let first = string.chars().next();
    let is_document = string.starts_with("---") || string.starts_with("...");
    let sign = |sign: char| {
        string
            .strip_prefix(sign)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let marks = string.contains(": ") || string.ends_with(':') || string.contains(" #");
    !(string.is_empty()
        || blank_at_the_edge
        || is_document
        || first.is_some_and(|c| INDICATORS.contains(c))
        || ['-', '?', ':'].into_iter().any(sign)
        || marks)
}

/// Writes a string on one line, or on several from the column and with the
/// indentation of `broken`.
fn styled(string: &str, style: Style, broken: Option<(usize, usize)>) -> String {
    match style {
        Style::Plain => wrapped(string, broken),
        Style::Single => {
            let quoted = format!("'{}'", string.replace('\'', "''"));
            wrapped(&quoted.replace('\n', "\n\n"), broken)
        }
        Style::Double | Style::Literal => double_quoted(string, broken),
    }
}

/// Breaks long lines at single blanks.
fn wrapped(string: &str, broken: Option<(usize, usize)>) -> String {
    let Some((mut column, indent)) = broken else {
        return string.to_owned();
    };
    let chars: Vec<char> = string.chars().collect();
    let mut text = String::new();
    for (index, &c) in chars.iter().enumerate() {
        let blank = |at: Option<&char>| at == Some(&' ');
        let alone = !blank(index.checked_sub(1).and_then(|at| chars.get(at)))
            && !blank(chars.get(index + 1));
        let inside = index > 0 && index + 1 < chars.len();
        if c == ' ' && alone && inside && column > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            text.push(c);
            column += 1;
        }
    }
    text
}

fn double_quoted(string: &str, broken: Option<(usize, usize)>) -> String {
    let mut escaped = String::from('"');
    for c in string.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            '\0' => escaped.push_str("\\0"),
            '\u{1b}' => escaped.push_str("\\e"),
            '\u{7}' => escaped.push_str("\\a"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{b}' => escaped.push_str("\\v"),
            '\u{c}' => escaped.push_str("\\f"),
            '\u{feff}' => escaped.push_str("\\uFEFF"),
            c if c.is_control() => escaped.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped.push('"');
    wrapped(&escaped, broken)
}

/// A literal block with a marker for the line feeds at its end.
fn literal(string: &str, indent: usize) -> String {
    let hint = if string.starts_with([' ', '\n']) {
        "2"
    } else {
        ""
    };
    let chomping = match string.strip_suffix('\n') {
        None => "-",
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => "+",
        Some(_) => "",
    };
    let mut text = format!("|{hint}{chomping}");
    for line in string.strip_suffix('\n').unwrap_or(string).split('\n') {
        text.push('\n');
        if !line.is_empty() {
            text.push_str(&" ".repeat(indent));
            text.push_str(line);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(plain: &str) -> String {
        let document = parse(&format!("k: {plain}\n")).unwrap();
        document.get("k").unwrap().to_text()
    }

    #[test]
    fn plain_scalars_are_what_psych_makes_of_them() {
        for (plain, expected) in [
            ("007", "7"),
            ("08", "08"),
            ("0888", "0888"),
            ("00", "0"),
            ("0o17", "0o17"),
            ("0_7", "7"),
            ("0x1F", "31"),
            ("-0b11", "-3"),
            ("1_000", "1000"),
            ("1,000", "1,000"),
            ("12:30:45", "45045"),
            ("1:30", "5400"),
            ("-1:30", "-1800"),
            ("12:30:45.5", "45045.5"),
            ("1.50", "1.5"),
            ("1e3", "1e3"),
            ("1.0e+20", "1.0e+20"),
            (".5", "0.5"),
            ("1.", "1.0"),
            (".", "."),
            (".inf", "Infinity"),
            (".NaN", "NaN"),
            ("y", "y"),
            ("n", "n"),
            ("Yes", "true"),
            ("off", "false"),
            ("Null", ""),
            ("~", ""),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("'007'", "007"),
            ("!!str 007", "007"),
            ("!!int '5'", "5"),
            ("3.x", "3.x"),
            ("v1", "v1"),
        ] {
            assert_eq!(text_of(plain), expected, "{plain}");
        }
    }

    #[test]
    fn maps_and_lists_are_printed_as_ruby_prints_them() {
        let level = r#"{ level: { name: "low" }, on: true }"#;
        assert_eq!(text_of(level), r#"{:level=>{:name=>"low"}, true=>true}"#);
        assert_eq!(text_of("[1, a, ~]"), r#"[1, "a", nil]"#);
        assert_eq!(text_of(r#"{"a b": x, 1: 2}"#), r#"{:"a b"=>"x", 1=>2}"#);
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_value_counts() {
        let document = parse("a: 1\nb: 2\na: 3\n<<: {b: 4, c: 5}\n").unwrap();
        assert_eq!(
            document.to_json(),
            serde_json::json!({"a": 3, "b": 4, "c": 5})
        );
    }

    #[test]
    fn only_the_first_document_counts() {
        let document = parse("--- {a: 1}\n--- {a: 2}\n").unwrap();
        assert_eq!(document.to_json(), serde_json::json!({"a": 1}));
        assert_eq!(parse("# nothing\n").unwrap(), Yaml::Null);
    }

    #[test]
    fn texts_are_quoted_as_psych_quotes_them() {
        for (text, expected) in [
            ("plain text", "plain text"),
            ("1", "'1'"),
            ("", "''"),
            ("true", "'true'"),
            ("~", "\"~\""),
            ("n", "\"n\""),
            ("./app", "\"./app\""),
            ("a: b", "'a: b'"),
            ("it's: so", "'it''s: so'"),
            ("bell\u{7}", "\"bell\\a\""),
            ("a\nb", "|-\n  a\n  b"),
            ("2020-01-01", "'2020-01-01'"),
            ("1:30", "'1:30'"),
        ] {
            let yaml = emit(&serde_json::json!({ "k": text }));
            assert_eq!(yaml, format!("---\nk: {expected}\n"));
            let read = parse(&yaml).unwrap();
            assert_eq!(read.get("k").unwrap().to_text(), text, "{yaml}");
        }
        let nested = serde_json::json!({"a": [{"b": [1, "x"], "c": {}}], "d": null, "e": []});
        assert_eq!(
            emit(&nested),
            "---\na:\n- b:\n  - 1\n  - x\n  c: {}\nd:\ne: []\n"
        );
        let long = "word ".repeat(20);
        let yaml = emit(&serde_json::json!({ "k": long.trim() }));
        assert_eq!(yaml.lines().count(), 3, "{yaml}");
    }

    #[test]
    fn aliases_and_classes_are_refused() {
        let refused = |text: &str| parse(text).unwrap_err().status;
        assert_eq!(refused("a: &x 1\nb: *x\n"), 400);
        for text in [
            "a: 2020-01-01",
            "a: 2020-01-01T00:00:00Z",
            "a: :sym",
            "a: !ruby/object:Object {}",
        ] {
            assert_eq!(refused(text), 500, "{text}");
        }
    }
}

//! Writes YAML as Psych does.

use serde_json::{Map, Value};

use super::Yaml;
use super::read::{is_octal_float, plain};
use crate::world::ruby;

/// Writes a value as Psych does, after a document marker.
pub(crate) fn emit(value: &Value) -> String {
    let mut text = String::from("---");
    emit_value(&mut text, value, 0);
    text
}

/// The column after which a string is broken at a space.
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
    } else if ["y", "Y", "n", "N"].contains(&string) || begins_with_indicator(string) {
        Style::Double
    } else if !matches!(plain(string), Ok(Yaml::Text(_))) || is_octal_float(string) {
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
fn begins_with_indicator(string: &str) -> bool {
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

/// Breaks long lines at single spaces.
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

/// A literal block with an indicator for the line feeds at its end.
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

//! Processes values as Ruby does, in places where the Cloud Controller does not check
//! types: the printed form of a value, its length, and its form in a text column of the
//! database.

use serde_json::{Map, Value};
use url::form_urlencoded;

/// `Object#inspect`, where the keys of objects are symbols.
pub(crate) fn inspect(value: &Value) -> String {
    inspect_with(value, &inspect_symbol)
}

/// `Object#inspect`, where the keys of objects are strings.
pub(crate) fn inspect_with_string_keys(value: &Value) -> String {
    inspect_with(value, &inspect_string)
}

fn inspect_with(value: &Value, key: &impl Fn(&str) -> String) -> String {
    match value {
        Value::Null => "nil".into(),
        Value::String(text) => inspect_string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|it| inspect_with(it, key)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}=>{}", key(name), inspect_with(value, key)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Bool(_) | Value::Number(_) => text(value),
    }
}

/// `Symbol#inspect`, which quotes symbols that are not valid names.
pub(crate) fn inspect_symbol(name: &str) -> String {
    let bare = name.strip_suffix(['?', '!', '=']).unwrap_or(name);
    let mut chars = bare.chars();
    let begins = |c: char| c == '_' || c.is_alphabetic();
    let is_name =
        chars.next().is_some_and(begins) && chars.all(|c| c == '_' || c.is_alphanumeric());
    if is_name {
        format!(":{name}")
    } else {
        format!(":{}", inspect_string(name))
    }
}

pub(crate) fn inspect_string(string: &str) -> String {
    let mut quoted = String::from('"');
    let mut chars = string.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{1b}' => quoted.push_str("\\e"),
            '#' if matches!(chars.peek(), Some('{' | '$' | '@')) => quoted.push_str("\\#"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `Object#to_s`
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => float_text(float),
            None => number.to_string(),
        },
        Value::Bool(boolean) => boolean.to_string(),
        Value::Array(_) | Value::Object(_) => inspect(value),
    }
}

/// `Float#to_s`, with an exponent for values below 0.0001 or of 10^16 and more.
pub(crate) fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "NaN".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let size = float.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{float:?}");
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}{point}e{sign}{exponent:0>2}")
}

/// `Object#class`
pub(crate) fn class_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NilClass",
        Value::Bool(true) => "TrueClass",
        Value::Bool(false) => "FalseClass",
        Value::Number(number) if number.is_f64() => "BigDecimal",
        Value::Number(_) => "Integer",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Hash",
    }
}

/// The length of a value according to ActiveModel.
pub(crate) fn length(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        other => text(other).chars().count(),
    }
}

/// `Object#blank?`
pub(crate) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// The value that a text column stores. For a list, this is its only item, null if it is
/// empty, or a record of all items. `Err` if the database refuses the statement.
pub(crate) fn column(value: &Value) -> Result<Option<String>, ()> {
    match value {
        Value::Null => Ok(None),
        Value::Array(items) => match items.as_slice() {
            [] => Ok(None),
            [item] => column(item),
            items => {
                let items: Result<Vec<_>, ()> = items.iter().map(record_item).collect();
                Ok(Some(format!("({})", items?.join(","))))
            }
        },
        Value::Object(_) => Err(()),
        scalar => Ok(Some(text(scalar))),
    }
}

/// An item of a record as PostgreSQL prints it.
fn record_item(item: &Value) -> Result<String, ()> {
    let text = column(item)?.unwrap_or_default();
    let is_special = |c: char| c.is_whitespace() || "\",()\\".contains(c);
    if !text.is_empty() && !text.contains(is_special) {
        return Ok(text);
    }
    Ok(format!(
        "\"{}\"",
        text.replace('\\', r"\\").replace('"', "\"\"")
    ))
}

/// The parameters that Rails creates from a JSON body: a value other than an object is
/// named `_json`, and nulls are removed from lists.
pub(crate) fn parameters(body: Value) -> Map<String, Value> {
    match without_nulls(body) {
        Value::Object(fields) => fields,
        other => Map::from_iter([("_json".into(), other)]),
    }
}

/// The parameters that Rack creates from a form, in which `a[b]` names a field of an
/// object and `a[]` an item of a list. `None` if they are nested too deeply.
pub(crate) fn form_parameters(body: &[u8]) -> Option<Map<String, Value>> {
    const MAX_DEPTH: usize = 32;
    let mut parameters = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        let mut keys = name.split('[').map(|key| key.trim_end_matches(']'));
        if keys.clone().count() > MAX_DEPTH {
            return None;
        }
        let first = keys.next().unwrap_or_default();
        let mut place = parameters.entry(first).or_insert(Value::Null);
        for key in keys {
            place = part_of(place, key);
        }
        *place = Value::String(value.into_owned());
    }
    Some(parameters)
}

/// A field of an object, or a new item of a list.
fn part_of<'v>(value: &'v mut Value, key: &str) -> &'v mut Value {
    if key.is_empty() {
        if !value.is_array() {
            *value = Value::Array(Vec::new());
        }
    } else if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Array(items) => {
            items.push(Value::Null);
            let last = items.len() - 1;
            &mut items[last]
        }
        Value::Object(fields) => fields.entry(key).or_insert(Value::Null),
        other => other,
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let items = items.into_iter().filter(|item| !item.is_null());
            items.map(without_nulls).collect()
        }
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_ruby_prints_them() {
        let cases = [
            (
                json!({"a": "b", "c d": [1, null]}),
                r#"{:a=>"b", :"c d"=>[1, nil]}"#,
            ),
            (json!([]), "[]"),
            (json!({}), "{}"),
            (json!("a\"b\n#{c}\u{1}"), r#""a\"b\n\#{c}\u0001""#),
            (json!(2.5), "2.5"),
            (json!(1e20), "1.0e+20"),
            (json!(0.00001), "1.0e-05"),
            (json!(100.0), "100.0"),
        ];
        for (value, expected) in cases {
            assert_eq!(inspect(&value), expected);
        }
        let string_keys = inspect_with_string_keys(&json!({"a": true}));
        assert_eq!(string_keys, r#"{"a"=>true}"#);
    }

    #[test]
    fn a_text_column_stores_the_only_item_of_a_list_or_a_record() {
        assert_eq!(column(&json!([5])), Ok(Some("5".into())));
        assert_eq!(column(&json!([])), Ok(None));
        assert_eq!(column(&json!(true)), Ok(Some("true".into())));
        assert_eq!(
            column(&json!(["a", "", "b c", "\""])),
            Ok(Some(r#"(a,"","b c","""")"#.into()))
        );
        assert_eq!(column(&json!({"a": "b"})), Err(()));
    }

    #[test]
    fn nulls_are_removed_from_lists_in_parameters() {
        assert_eq!(
            Value::Object(parameters(json!({"data": [null, {"a": [null]}]}))),
            json!({"data": [{"a": []}]})
        );
        assert_eq!(
            Value::Object(parameters(json!(["x"]))),
            json!({"_json": ["x"]})
        );
    }
}

//! YAML as the Cloud Controller reads it, with Ruby's Psych: YAML 1.1 with
//! deviations, with `strict_integer`, and without classes, symbols or aliases.

mod emit;
mod read;

pub(crate) use emit::emit;
pub(crate) use read::parse;

use serde_json::{Map, Number, Value};

use crate::world::ruby;

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
    /// In the order of the keys. Of a duplicate key, the last value is used.
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

    /// `Object#inspect` of a key, whose own keys were not converted to symbols.
    fn inspect_key(&self) -> String {
        let Self::Map(entries) = self else {
            return self.inspect();
        };
        let entry = |(key, value): &(Self, Self)| {
            let (key, value) = (key.inspect_key(), value.inspect_key());
            format!("{key}=>{value}")
        };
        let entries: Vec<String> = entries.iter().map(entry).collect();
        format!("{{{}}}", entries.join(", "))
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
                        other => other.inspect_key(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(plain: &str) -> String {
        let document = parse(&format!("k: {plain}\n")).unwrap();
        document.get("k").unwrap().to_text()
    }

    #[test]
    fn plain_scalars_are_resolved_as_by_psych() {
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
            ("!!binary aGk=", "hi"),
            ("!!omap [a: 1, b: 2]", "{:a=>1, :b=>2}"),
            ("{{x}}", "{{\"x\"=>nil}=>nil}"),
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
    fn the_last_value_of_a_duplicate_key_wins() {
        let document = parse("a: 1\nb: 2\na: 3\n<<: {b: 4, c: 5}\n").unwrap();
        assert_eq!(
            document.to_json(),
            serde_json::json!({"a": 3, "b": 4, "c": 5})
        );
    }

    #[test]
    fn only_the_first_document_is_read() {
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

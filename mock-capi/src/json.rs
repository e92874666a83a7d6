//! Reads JSON that tests and clients write by hand. Its errors do not use terms of Rust.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Reads a JSON object. Serde alone would also accept a list of the fields in their
/// order. Errors name the field.
pub(crate) fn read_object<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    match kind_of(json) {
        Some(kind) if kind != OBJECT => Err(format!("expected {OBJECT}, not {kind}")),
        _ => serde_json::from_slice(json).map_err(|error| explain::<T>(json, &error)),
    }
}

/// Reads a JSON list of objects. Errors name an object by `item` and its index.
pub(crate) fn read_list<T: DeserializeOwned>(json: &[u8], item: &str) -> Result<Vec<T>, String> {
    if let Some(kind) = kind_of(json).filter(|kind| *kind != LIST) {
        return Err(format!("expected {LIST}, not {kind}"));
    }
    let items: Vec<&RawValue> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let items = items.into_iter().enumerate().map(|(index, object)| {
        read_object(object.get().as_bytes()).map_err(|error| format!("{item} {index}: {error}"))
    });
    items.collect()
}

/// An error without terms of Rust, with the field whose value is wrong.
fn explain<T: DeserializeOwned>(json: &[u8], error: &serde_json::Error) -> String {
    let problem = describe(error);
    let names_field = problem.contains("` field") || problem.contains("field `");
    if !error.is_data() || names_field {
        return problem;
    }
    // Looks for the field that causes the same error on its own.
    let fields: Map<String, Value> = serde_json::from_slice(json).unwrap_or_default();
    let field = fields.into_iter().find(|(name, value)| {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        let read = serde_json::from_value::<T>(Value::Object(alone));
        read.is_err_and(|error| describe(&error) == problem)
    });
    match field {
        Some((name, _)) => format!("{name}: {problem}"),
        None => problem,
    }
}

/// The problem. Its position is included only if the text is not JSON.
fn describe(error: &serde_json::Error) -> String {
    const NUMBERS: [&str; 5] = ["u8", "u16", "u32", "u64", "usize"];
    const WORDS: [(&str, &str); 4] = [
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: object"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected an object"),
    ];
    let text = error.to_string();
    if !error.is_data() {
        return text;
    }
    let text = text.split(" at line ").next().unwrap_or(&text);
    let number = NUMBERS.iter().find_map(|number| {
        let start = text.strip_suffix(number)?;
        start.strip_suffix("expected ")
    });
    if let Some(start) = number {
        return format!("{start}expected a whole number of 0 or more");
    }
    if text.contains("untagged enum") {
        return "the value has none of the types that are allowed here".into();
    }
    let words = WORDS.iter();
    words.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

const OBJECT: &str = "an object";
const LIST: &str = "a list";

/// The JSON type that a text begins with. `None` if it is not JSON.
fn kind_of(json: &[u8]) -> Option<&'static str> {
    match json.trim_ascii_start().first() {
        None => Some("an empty body"),
        Some(b'{') => Some(OBJECT),
        Some(b'[') => Some(LIST),
        Some(b'"') => Some("a string"),
        Some(b'-' | b'0'..=b'9') => Some("a number"),
        Some(b't' | b'f') => Some("a boolean"),
        Some(b'n') => Some("null"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its errors are tested")]
    struct Shoe {
        size: u16,
        #[serde(default)]
        color: String,
    }

    #[test]
    fn errors_name_the_field_and_no_types_of_rust() {
        for (json, expected) in [
            (
                r#"{"color": "red", "size": "x"}"#,
                r#"size: invalid type: string "x", expected a whole number of 0 or more"#,
            ),
            (
                r#"{"size": -1}"#,
                "size: invalid value: integer `-1`, expected a whole number of 0 or more",
            ),
            (
                r#"{"size": 1, "color": []}"#,
                "color: invalid type: list, expected a string",
            ),
            (r#"{"color": "red"}"#, "missing field `size`"),
            (
                r#"{"sise": 1}"#,
                "unknown field `sise`, expected `size` or `color`",
            ),
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("", "expected an object, not an empty body"),
            ("[]", "expected an object, not a list"),
        ] {
            let error = read_object::<Shoe>(json.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{json}");
        }
        let error = read_list::<Shoe>(br#"[{"size": 1}, 2]"#, "shoe").unwrap_err();
        assert_eq!(error, "shoe 1: expected an object, not a number");
    }
}

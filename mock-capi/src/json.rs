//! Reads JSON that tests and clients write by hand, and says in their words what is
//! wrong with it.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

/// Reads a JSON object. Serde alone would also accept a list of the fields in their
/// order.
pub(crate) fn read_object<'de, T: Deserialize<'de>>(
    json: &'de [u8],
) -> Result<T, serde_json::Error> {
    match kind_of(json) {
        Some(kind) if kind != OBJECT => {
            let error = format!("expected {OBJECT}, not {kind}");
            Err(serde_json::Error::custom(error))
        }
        _ => serde_json::from_slice(json),
    }
}

/// Reads a JSON list of objects; `item` is what errors call one of them, with its
/// index.
pub(crate) fn read_list<'de, T: Deserialize<'de>>(
    json: &'de [u8],
    item: &str,
) -> Result<Vec<T>, String> {
    if let Some(kind) = kind_of(json).filter(|kind| *kind != LIST) {
        return Err(format!("expected {LIST}, not {kind}"));
    }
    let items: Vec<&RawValue> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let items = items.into_iter().enumerate().map(|(index, object)| {
        read_object(object.get().as_bytes()).map_err(|error| format!("{item} {index}: {error}"))
    });
    items.collect()
}

const OBJECT: &str = "an object";
const LIST: &str = "a list";

/// What a JSON text begins as; `None` if it is no JSON from the start.
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

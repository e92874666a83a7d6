//! Writes YAML with the same meaning in YAML 1.1 and 1.2.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::Value;

impl Value {
    /// The value as YAML that parses to the same value.
    pub(crate) fn render(&self) -> String {
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        // Writing to a string cannot fail.
        serde_saphyr::to_string_with_options(self, options).unwrap_or_default()
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
                let mut entries = to.serialize_map(Some(map.len()))?;
                for (key, value) in map.iter() {
                    entries.serialize_entry(key, value)?;
                }
                entries.end()
            }
        }
    }
}

/// Whether a text consists only of digits and separators of numbers.
fn looks_like_a_number(text: &str) -> bool {
    let digit = |byte: &u8| byte.is_ascii_digit();
    text.bytes().any(|byte| digit(&byte))
        && text
            .bytes()
            .all(|byte| digit(&byte) || b"+-.,:_".contains(&byte))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render().trim_end())
    }
}

//! Serializes optional durations in the notation of humantime, such as `"1s 500ms"`. For
//! `#[serde(with = ...)]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};
use serde_json::Value;

pub(crate) fn serialize<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_duration(*time)),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let value: Option<Value> = Option::deserialize(deserializer)?;
    let time = value.map(|value| {
        // In YAML, text may look like a number.
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        humantime::parse_duration(&text)
            .map_err(|error| format!("'{text}' is not a duration such as '1m 30s': {error}"))
    });
    time.transpose().map_err(de::Error::custom)
}

//! The JSON Schema of a spec, generated from the list of its keys.

use serde_json::{Map, Value, json};

use super::keys::{BITS_KEYS, Key, Kind, MAX_COUNT, ROOT, Table};
use crate::manifest::entry::{exclusive_properties, property_schemas};

/// A string that consists of a variable.
const VARIABLE: &str = r"^\(\([^()\s]+\)\)$";

/// One port or a range of ports.
const PORTS: &str = r"^\s*[0-9]{1,5}\s*(-\s*[0-9]{1,5}\s*)?$";

/// A part of a name or pattern of apps.
const PART: &str = r"\s*([^/\[\]{}\\\s]|\{(i|space|org)\})([^/\[\]{}\\]|\{(i|space|org)\})*";

pub(super) fn json_schema() -> Value {
    let mut schema = map(ROOT);
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_owned(), json!("Spec of cf-pusher"));
    let variable = json!({
        "description": "A variable, whose value is given with --var or --vars-file",
        "type": "string",
        "pattern": VARIABLE,
    });
    schema.insert("$defs".to_owned(), json!({"variable": variable}));
    Value::Object(schema)
}

/// The schema of a map with these keys.
fn map(table: Table) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    let properties = table.iter().map(property);
    schema.insert("properties".to_owned(), Value::Object(properties.collect()));
    let required = table.iter().filter(|key| key.is_required);
    let required: Vec<&str> = required.map(|key| key.name).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn property(key: &Key) -> (String, Value) {
    let mut schema = value(key.kind);
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(key.about));
    }
    (key.name.to_owned(), schema)
}

/// The schema of a value, or of a variable that replaces it.
fn value(kind: Kind) -> Value {
    let schema = plain(kind);
    match kind {
        // Strings may always contain variables.
        Kind::Text | Kind::Name | Kind::Pattern => schema,
        _ => json!({"anyOf": [schema, {"$ref": "#/$defs/variable"}]}),
    }
}

fn plain(kind: Kind) -> Value {
    let list = |items: Value| json!({"type": "array", "items": items});
    match kind {
        Kind::Text | Kind::Name => json!({"type": ["string", "integer"], "pattern": r"\S"}),
        Kind::Count => json!({"type": "integer", "minimum": 0, "maximum": MAX_COUNT}),
        Kind::Version => json!({"const": 1}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Choice(choices) => json!({"enum": choices}),
        Kind::Limit(most) => {
            json!({"type": ["integer", "null"], "minimum": 0, "maximum": most})
        }
        Kind::Icmp => json!({"type": "integer", "minimum": -1, "maximum": 255}),
        Kind::Pattern => json!({"type": "string", "format": "regex"}),
        Kind::Apps(least, most) => {
            let more = format!("(/{PART}){{{},{}}}", least - 1, most - 1);
            json!({"type": "string", "pattern": format!("^{PART}{more}$")})
        }
        Kind::Ports => json!({"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": u16::MAX},
            {"type": "string", "pattern": PORTS},
        ]}),
        Kind::Any => json!({"type": "object"}),
        Kind::Flags => json!({"type": "object", "additionalProperties": value(Kind::Flag)}),
        Kind::Texts => json!({
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }),
        Kind::Map(table) => Value::Object(map(table)),
        Kind::List(item) => list(value(*item)),
        Kind::Entries { table, .. } => list(Value::Object(map(table))),
        Kind::Typed(types) => {
            let each = types.iter().map(|(name, table)| {
                let mut schema = Value::Object(map(table));
                schema["properties"]["type"] = json!({"const": name});
                schema
            });
            list(json!({"oneOf": each.collect::<Vec<_>>()}))
        }
        Kind::AppEntries(table) => list(app(table)),
    }
}

/// An application of a manifest, with additional keys.
fn app(table: Table) -> Value {
    let mut properties = Map::new();
    let name = key_name();
    properties.extend([property(&name)]);
    properties.extend(table.iter().map(property));
    for (key, schema) in property_schemas() {
        let schema = json!({"anyOf": [schema, {"$ref": "#/$defs/variable"}]});
        properties.insert(key, schema);
    }
    let mut exclusive = exclusive_properties();
    for (at, one) in BITS_KEYS.iter().enumerate() {
        for other in BITS_KEYS.iter().skip(at + 1) {
            exclusive.push(json!({"not": {"required": [one, other]}}));
        }
    }
    // A started app needs bits or an image.
    let given = BITS_KEYS.iter();
    let mut sources: Vec<Value> = given.map(|key| json!({"required": [key]})).collect();
    sources.push(json!({
        "properties": {"state": {"const": "stopped"}},
        "required": ["state"],
    }));
    exclusive.push(json!({"anyOf": sources}));
    json!({
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": false,
        "allOf": exclusive,
    })
}

fn key_name() -> Key {
    Key {
        name: "name",
        about: "The app's name",
        kind: Kind::Name,
        is_required: true,
    }
}

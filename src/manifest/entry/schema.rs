//! The JSON Schema of an application of a manifest, with the properties that an entry
//! reads.

use serde_json::{Map, Value, json};

use super::normal::{ALTERNATIVE_NAMES, APP, DOCKER, Kind, PROCESS};

/// A size, such as `512M` or `1.5 GB`.
const SIZE: &str = r"^\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)\s*([kKmMgGtT]([iI]?[bB])?|[bB])\s*$";

/// The schema of each property that an entry reads, by name. `name` and `path` are not
/// included.
pub(crate) fn property_schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    let tables = APP.iter().chain(&PROCESS).filter(|(key, _)| *key != "user");
    for (key, kind) in tables {
        schemas.insert((*key).to_owned(), of_kind(*kind));
    }
    let flag = json!({"type": ["boolean", "null"]});
    let others = [
        ("env", json!({"type": ["object", "null"]})),
        ("routes", routes()),
        ("no-route", flag.clone()),
        ("default-route", flag),
        // Every run would create another route for an app.
        ("random-route", json!({"enum": [false, null]})),
    ];
    schemas.extend(others.map(|(key, schema)| (key.to_owned(), schema)));
    for (second, name) in ALTERNATIVE_NAMES {
        if let Some(schema) = schemas.get(name).cloned() {
            schemas.insert(second.to_owned(), schema);
        }
    }
    schemas
}

/// The properties that cannot be used together.
pub(crate) fn exclusive_properties() -> Vec<Value> {
    let both = |one: &str, other: &str| json!({"not": {"required": [one, other]}});
    let given_route = json!({
        "properties": {"no-route": {"const": true}, "routes": {"type": "array", "minItems": 1}},
        "required": ["no-route", "routes"],
    });
    let default_route = json!({
        "properties": {"no-route": {"const": true}, "default-route": {"const": true}},
        "required": ["no-route", "default-route"],
    });
    vec![
        both("disk-quota", "disk_quota"),
        both("buildpack", "buildpacks"),
        both("docker", "buildpacks"),
        both("docker", "buildpack"),
        both("docker", "stack"),
        both("docker", "cnb-credentials"),
        json!({"not": {
            "properties": {"lifecycle": {"enum": ["buildpack", "cnb"]}},
            "required": ["lifecycle", "docker"],
        }}),
        json!({"not": given_route}),
        json!({"not": default_route}),
    ]
}

fn of_kind(kind: Kind) -> Value {
    let scalar = ["string", "number", "boolean", "null"];
    match kind {
        Kind::Text | Kind::Command => json!({"type": scalar}),
        Kind::Path => json!({"type": ["string", "null"], "pattern": r"^/([^/\s]\S*)?$"}),
        Kind::Texts => json!({"anyOf": [
            {"type": ["string", "null"]},
            {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
        ]}),
        Kind::Count { least } => {
            let digits = match least {
                0 => r"^\+?[0-9]+$",
                _ => r"^\+?0*[1-9][0-9]*$",
            };
            json!({"anyOf": [
                {"type": "integer", "minimum": least, "maximum": u64::MAX},
                {"type": "string", "pattern": digits},
                {"type": "null"},
            ]})
        }
        Kind::Size => json!({"anyOf": [{"type": "string", "pattern": SIZE}, {"type": "null"}]}),
        Kind::Rate => json!({"anyOf": [
            {"enum": [-1, 0, null]},
            {"type": "string", "pattern": format!(r"^\s*(-1|0)\s*$|{SIZE}")},
        ]}),
        Kind::HealthCheck => json!({"enum": ["port", "process", "http", "none", null]}),
        Kind::Lifecycle => json!({"enum": ["buildpack", "cnb", "docker", null]}),
        Kind::Docker => {
            let text = json!({"type": ["string", "number", "boolean", "null"], "minLength": 1});
            let properties = DOCKER.iter().map(|key| ((*key).to_owned(), text.clone()));
            json!({
                "type": ["object", "null"],
                "properties": properties.collect::<Map<_, _>>(),
                "required": ["image"],
                "additionalProperties": false,
            })
        }
        Kind::Map => json!({"type": ["object", "null"]}),
        Kind::Features => json!({
            "type": ["object", "null"],
            "additionalProperties": {"type": "boolean"},
        }),
        Kind::Metadata => {
            let texts = json!({"type": "object", "additionalProperties": {"type": scalar}});
            json!({
                "type": ["object", "null"],
                "properties": {"labels": texts, "annotations": texts},
                "additionalProperties": false,
            })
        }
        Kind::Services => services(),
        Kind::Sidecars => sidecars(),
        Kind::Processes => processes(),
    }
}

fn services() -> Value {
    json!({
        "type": ["array", "null"],
        "items": {"anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "parameters": {"type": "object"},
                    "binding_name": {"type": "string"},
                },
                "required": ["name"],
                "additionalProperties": false,
            },
        ]},
    })
}

fn sidecars() -> Value {
    json!({
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "command": {"type": "string", "minLength": 1},
                "process_types": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string"},
                },
                "memory": {"anyOf": [
                    {"type": "integer", "minimum": 1, "maximum": u64::MAX},
                    {"type": "string", "pattern": format!(r"^\+?0*[1-9][0-9]*$|{SIZE}")},
                    {"type": "null"},
                ]},
            },
            "required": ["name", "command", "process_types"],
            "additionalProperties": false,
        },
    })
}

fn processes() -> Value {
    let mut properties = Map::new();
    let kind = json!({"anyOf": [
        {"type": "string", "minLength": 1},
        {"type": ["number", "boolean"]},
    ]});
    properties.insert("type".to_owned(), kind);
    for (key, kind) in &PROCESS {
        properties.insert((*key).to_owned(), of_kind(*kind));
    }
    properties.insert("disk-quota".to_owned(), of_kind(Kind::Size));
    json!({
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": properties,
            "required": ["type"],
            "additionalProperties": false,
            "not": {"required": ["disk-quota", "disk_quota"]},
        },
    })
}

fn routes() -> Value {
    json!({
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": {
                "route": {"type": "string"},
                "protocol": {"enum": ["http1", "http2", "tcp", null]},
                "options": {"type": ["object", "null"]},
            },
            "required": ["route"],
            "additionalProperties": false,
        },
    })
}

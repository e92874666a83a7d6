//! The description of the keys of a JSON configuration. Its reader, its JSON Schema and
//! its starter configuration are generated from one list of keys.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::scaling::{Connection, MAX_PREFIX};

/// A key of a configuration.
pub(super) struct Key<C: 'static> {
    pub(super) name: &'static str,
    /// The meaning of the key, as a sentence without a full stop.
    about: &'static str,
    pub(super) kind: Kind<C>,
    /// The value in a starter configuration. Keys that most configurations do not need have
    /// a comment instead.
    example: Example,
}

pub(super) enum Example {
    Value(&'static str),
    Comment(&'static str),
}

/// The values that a key allows, and the field that they are stored in.
pub(super) enum Kind<C: 'static> {
    Number(RangeInclusive<u32>, fn(&mut C) -> &mut u32),
    Text(fn(&mut C, String)),
    Prefix(fn(&mut C) -> &mut String),
    Flag(fn(&mut C) -> &mut bool),
}

use Example::{Comment, Value as Set};
use Kind::{Flag, Number, Prefix, Text};

pub(super) const fn key<C>(
    name: &'static str,
    about: &'static str,
    kind: Kind<C>,
    example: Example,
) -> Key<C> {
    Key {
        name,
        about,
        kind,
        example,
    }
}

/// A configuration with the address of the foundation and the login.
pub(super) trait HasConnection {
    fn connection(&mut self) -> &mut Connection;
}

pub(super) const fn concurrency<C>(field: fn(&mut C) -> &mut u32) -> Key<C> {
    key(
        "concurrency",
        "Maximum number of concurrent requests",
        Number(1..=1_000, field),
        Set("16"),
    )
}

pub(super) const fn api<C: HasConnection>() -> Key<C> {
    key(
        "api",
        "URL of the Cloud Controller [default: the target of the cf CLI]",
        Text(|c, v| c.connection().api = Some(v)),
        Comment("\"https://api.example.com\""),
    )
}

pub(super) const fn admin_user<C: HasConnection>() -> Key<C> {
    key(
        "admin_user",
        "User to log in as [default: the login of the cf CLI]",
        Text(|c, v| c.connection().admin_user = Some(v)),
        Comment("\"admin\""),
    )
}

pub(super) const fn admin_password<C: HasConnection>() -> Key<C> {
    key(
        "admin_password",
        "Password of that user; the environment variable CF_PASSWORD is safer",
        Text(|c, v| c.connection().admin_password = Some(v.into())),
        Comment("\"...\""),
    )
}

pub(super) const fn apps_domain<C: HasConnection>() -> Key<C> {
    key(
        "apps_domain",
        "Domain of the apps' routes [default: the foundation's default domain]",
        Text(|c, v| c.connection().apps_domain = Some(v)),
        Comment("\"apps.example.com\""),
    )
}

pub(super) const fn skip_ssl_validation<C: HasConnection>() -> Key<C> {
    key(
        "skip_ssl_validation",
        "Whether to accept any TLS certificate",
        Flag(|c| &mut c.connection().skip_ssl_validation),
        Comment("false"),
    )
}

/// The key that names the JSON Schema of a configuration, for editors.
pub(super) const SCHEMA_KEY: &str = "$schema";

/// The JSON Schema (draft 2020-12) of a configuration with these keys, and other keys
/// that are ignored.
pub(super) fn json_schema<C: Default>(title: &str, keys: &[Key<C>], unused: &[&str]) -> Value {
    let mut properties = Map::new();
    properties.insert(SCHEMA_KEY.to_owned(), json!({"type": "string"}));
    for key in keys {
        let mut property = key.kind.schema();
        property.insert("description".to_owned(), json!(key.about));
        properties.insert(key.name.to_owned(), Value::Object(property));
    }
    for name in unused {
        let about = "Only used by the Go scaling suite of cf-networking-release";
        properties.insert((*name).to_owned(), json!({"description": about}));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A starter configuration, with a comment for each key.
pub(super) fn template<C>(keys: &[Key<C>]) -> String {
    let mut text = "\
// A configuration of cf-pusher. Comments, and a comma after the last key, are allowed.
{
"
    .to_owned();
    for key in keys {
        let allowed = match &key.kind {
            Number(range, _) => format!(", from {} to {}", range.start(), range.end()),
            _ => String::new(),
        };
        let name = key.name;
        let line = match key.example {
            Set(value) => format!("\"{name}\": {value},"),
            Comment(value) => format!("// \"{name}\": {value},"),
        };
        text += &format!("  // {}{allowed}\n  {line}\n\n", key.about);
    }
    text.truncate(text.trim_end().len());
    text + "\n}\n"
}

impl<C: Default> Kind<C> {
    fn schema(&self) -> Map<String, Value> {
        let mut defaults = C::default();
        let schema = match self {
            Number(range, field) => json!({
                "type": "integer",
                "minimum": range.start(),
                "maximum": range.end(),
                "default": *field(&mut defaults),
            }),
            Text(_) => json!({"type": "string", "pattern": "\\S"}),
            Prefix(field) => json!({
                "type": "string",
                "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$",
                "maxLength": MAX_PREFIX,
                "default": *field(&mut defaults),
            }),
            Flag(field) => json!({"type": "boolean", "default": *field(&mut defaults)}),
        };
        match schema {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use jsonschema::Validator;
    use rstest::rstest;

    use super::*;
    use crate::spec::scaling::{GO_SUITE_KEYS, KEYS, ScalingTest};

    fn is_valid(value: &Value) -> bool {
        static VALIDATOR: LazyLock<Validator> =
            LazyLock::new(|| jsonschema::validator_for(&ScalingTest::json_schema()).unwrap());
        VALIDATOR.is_valid(value)
    }

    fn is_read(value: &Value) -> bool {
        ScalingTest::parse(&value.to_string(), "test").is_ok()
    }

    /// Values of all types, inside and outside each range.
    fn values() -> Vec<Value> {
        let mut values = vec![
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!(-1),
            json!(1.0),
            json!(1.5),
            json!(4e9),
            json!(1e300),
        ];
        let texts = [
            "", " ", "a", "-a", "a b", "\u{e4}", "a-_0", "\n", "1", "true", "a\n",
        ];
        values.extend(texts.map(|text| json!(text)));
        values.extend([52, 53].map(|length| json!("a".repeat(length))));
        for key in KEYS {
            if let Number(range, _) = &key.kind {
                let (start, end) = (i64::from(*range.start()), i64::from(*range.end()));
                values.extend([start - 1, start, end, end + 1].map(|it| json!(it)));
            }
        }
        values
    }

    #[test]
    fn schema_and_reader_accept_the_same_values() {
        let names = KEYS.iter().map(|key| key.name);
        let names = names.chain(GO_SUITE_KEYS.iter().copied());
        let names: Vec<&str> = names.chain([SCHEMA_KEY, "unknown", ""]).collect();
        let (mut accepted, mut rejected) = (0, 0);
        for name in names {
            for value in values() {
                let config = json!({name: value});
                assert_eq!(is_valid(&config), is_read(&config), "{config}");
                match is_valid(&config) {
                    true => accepted += 1,
                    false => rejected += 1,
                }
            }
        }
        assert!(accepted > 100 && rejected > 100, "{accepted} {rejected}");
    }

    #[rstest]
    #[case(json!([]))]
    #[case(json!("a"))]
    #[case(json!(null))]
    #[case(json!({}))]
    fn schema_and_reader_require_an_object(#[case] config: Value) {
        assert_eq!(is_valid(&config), is_read(&config), "{config}");
    }

    #[test]
    fn the_schema_is_a_schema() {
        let schema = ScalingTest::json_schema();
        assert!(jsonschema::meta::is_valid(&schema));
        insta::assert_snapshot!(format!("{:#}", schema["properties"]["prefix"]));
    }

    #[test]
    fn a_first_configuration_is_read_and_has_every_key() {
        let template = ScalingTest::template();
        let test = ScalingTest::parse(&template, "template").unwrap();
        assert_eq!((test.test_applications, test.proxy_applications), (2, 2));
        assert_eq!(test.notes, Vec::<String>::new());
        for key in KEYS {
            assert!(
                template.contains(&format!("\"{}\": ", key.name)),
                "{}",
                key.name
            );
        }
        // The template can also be read with the commented keys enabled.
        let all = template.replace("  // \"", "  \"");
        ScalingTest::parse(&all, "all").unwrap();
        insta::assert_snapshot!(template);
    }

    #[test]
    fn the_documentation_lists_every_key() {
        let docs = include_str!("../../docs/reference.md");
        for key in KEYS {
            assert!(docs.contains(&format!("`{}`", key.name)), "{}", key.name);
        }
    }
}

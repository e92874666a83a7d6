//! Checks the attributes of a v2 request against a schema, as v2 does: types are checked
//! first, and the errors are about the body as a whole.

use serde_json::{Map, Value, json};

use crate::api::error::CcError;
use crate::api::message::Fields;
use crate::world::ruby;

/// An attribute of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    name: &'static str,
    kind: Kind,
    /// Whether the attribute is required in requests that create the resource.
    required: bool,
    /// Its value in a creating request that does not have it.
    preset: Option<Preset>,
}

/// The value of an attribute that a creating request does not have, for events.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preset {
    Text(&'static str),
    Integer(i64),
    Boolean(bool),
    NoItems,
    NoFields,
}

impl Preset {
    fn value(self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Integer(number) => json!(number),
            Self::Boolean(flag) => json!(flag),
            Self::NoItems => json!([]),
            Self::NoFields => json!({}),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Object,
    Texts,
    Integers,
    Objects,
}

impl Attribute {
    const fn optional(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
            preset: None,
        }
    }

    pub(super) const fn text(name: &'static str) -> Self {
        Self::optional(name, Kind::Text)
    }

    pub(super) const fn integer(name: &'static str) -> Self {
        Self::optional(name, Kind::Integer)
    }

    pub(super) const fn boolean(name: &'static str) -> Self {
        Self::optional(name, Kind::Boolean)
    }

    pub(super) const fn object(name: &'static str) -> Self {
        Self::optional(name, Kind::Object)
    }

    pub(super) const fn texts(name: &'static str) -> Self {
        Self::optional(name, Kind::Texts)
    }

    pub(super) const fn integers(name: &'static str) -> Self {
        Self::optional(name, Kind::Integers)
    }

    pub(super) const fn objects(name: &'static str) -> Self {
        Self::optional(name, Kind::Objects)
    }

    /// Requires the attribute in requests that create the resource.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Sets the value of the attribute in creating requests without it.
    pub(super) const fn preset(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// The error of a value.
    fn error(&self, value: &Value) -> Option<String> {
        let misfit = |class: &str| {
            let given = ruby::class_name(value);
            format!("Expected instance of {class}, given an instance of {given}")
        };
        match self.kind {
            Kind::Text if !value.is_string() => Some(misfit("String")),
            Kind::Integer if !is_integer(value) => Some(misfit("Integer")),
            Kind::Object if !value.is_object() => Some(misfit("Hash")),
            Kind::Boolean if !value.is_boolean() => {
                let given = ruby::text(value);
                Some(format!("Expected instance of true or false, given {given}"))
            }
            Kind::Texts => items_error(value, "String", Value::is_string),
            Kind::Integers => items_error(value, "Integer", is_integer),
            Kind::Objects => items_error(value, "Hash", Value::is_object),
            _ => None,
        }
    }
}

/// The errors of a list of values of a class.
fn items_error(value: &Value, class: &str, is_right: impl Fn(&Value) -> bool) -> Option<String> {
    let Value::Array(items) = value else {
        let given = ruby::class_name(value);
        return Some(format!(
            "Expected instance of Array, given instance of {given}"
        ));
    };
    let wrong = items.iter().enumerate().filter(|(_, item)| !is_right(item));
    let errors: Vec<String> = wrong
        .map(|(index, item)| {
            let given = ruby::class_name(item);
            format!("At index {index}: Expected instance of {class}, given an instance of {given}")
        })
        .collect();
    (!errors.is_empty()).then(|| errors.join(", "))
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64()
}

/// Reads a request that creates a resource.
pub(super) fn of_new<'b>(
    body: &'b Map<String, Value>,
    schema: &[Attribute],
) -> Result<Fields<'b>, CcError> {
    check(body, schema, true)
}

/// Reads a request that changes a resource.
pub(super) fn of_change<'b>(
    body: &'b Map<String, Value>,
    schema: &[Attribute],
) -> Result<Fields<'b>, CcError> {
    check(body, schema, false)
}

/// The attributes of a creating request as events show them.
pub(super) fn audited_new(body: &Map<String, Value>, schema: &[Attribute]) -> Map<String, Value> {
    audited(body, schema, |attribute| {
        attribute.preset.map(Preset::value)
    })
}

/// The attributes of a changing request as events show them.
pub(super) fn audited_change(
    body: &Map<String, Value>,
    schema: &[Attribute],
) -> Map<String, Value> {
    audited(body, schema, |_| None)
}

fn audited(
    body: &Map<String, Value>,
    schema: &[Attribute],
    missing: impl Fn(&Attribute) -> Option<Value>,
) -> Map<String, Value> {
    let fields = Fields::new(body);
    let attributes = schema.iter().filter_map(|attribute| {
        let given = fields.value(attribute.name).cloned();
        let value = given.or_else(|| missing(attribute))?;
        Some((attribute.name.to_owned(), value))
    });
    attributes.collect()
}

fn check<'b>(
    body: &'b Map<String, Value>,
    schema: &[Attribute],
    is_new: bool,
) -> Result<Fields<'b>, CcError> {
    let fields = Fields::new(body);
    let errors: Vec<String> = schema
        .iter()
        .filter_map(|attribute| {
            let name = attribute.name;
            let error = match fields.value(name) {
                Some(value) => attribute.error(value),
                None if is_new && attribute.required => Some(format!("Missing field {name}")),
                None => None,
            };
            error.map(|error| format!("Field: {name}, Error: {error}"))
        })
        .collect();
    match errors.is_empty() {
        true => Ok(fields),
        false => Err(parse_error(&errors.join(", "))),
    }
}

/// The error about the body of a request.
pub(super) fn parse_error(error: &str) -> CcError {
    let detail = format!("Request invalid due to parse error: {error}");
    CcError::new(400, 1001, "CF-MessageParseError", detail)
}

//! Reading the attributes of a v2 request, with its complaints.

use serde_json::{Map, Value};

use crate::api::error::CcError;

/// The attributes of a request.
pub(super) struct Attributes<'b> {
    fields: &'b Map<String, Value>,
    errors: Vec<String>,
}

impl<'b> Attributes<'b> {
    pub(super) fn new(fields: &'b Map<String, Value>) -> Self {
        Self {
            fields,
            errors: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Result<(), CcError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let errors = self.errors.join(", ");
        let detail = format!("Request invalid due to parse error: {errors}");
        Err(CcError::new(400, 1001, "CF-MessageParseError", detail))
    }

    pub(super) fn text(&mut self, name: &str) -> Option<&'b str> {
        match self.fields.get(name) {
            None => self.missing(name),
            Some(Value::Null) => self.misfit(name, "String", &Value::Null),
            Some(_) => {}
        }
        self.optional_text(name)
    }

    pub(super) fn optional_text(&mut self, name: &str) -> Option<&'b str> {
        self.read(name, "String", Value::as_str)
    }

    pub(super) fn optional_integer(&mut self, name: &str) -> Option<i64> {
        self.read(name, "Integer", Value::as_i64)
    }

    pub(super) fn optional_boolean(&mut self, name: &str) -> Option<bool> {
        self.read(name, "true | false", Value::as_bool)
    }

    pub(super) fn optional_list(&mut self, name: &str) -> Option<&'b Vec<Value>> {
        self.read(name, "Array", Value::as_array)
    }

    /// A list of texts.
    pub(super) fn optional_texts(&mut self, name: &str) -> Option<Vec<String>> {
        let list = self.optional_list(name)?;
        if let Some((index, other)) = list.iter().enumerate().find(|(_, item)| !item.is_string()) {
            self.errors.push(format!(
                "Field: {name}, Error: At index {index}: Expected instance of String, given an instance of {}",
                class_of(other)
            ));
        }
        let texts = list.iter().filter_map(Value::as_str);
        Some(texts.map(str::to_owned).collect())
    }

    pub(super) fn optional_object(&mut self, name: &str) -> Option<&'b Map<String, Value>> {
        self.read(name, "Hash", Value::as_object)
    }

    pub(super) fn missing(&mut self, name: &str) {
        self.errors
            .push(format!("Field: {name}, Error: Missing field {name}"));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn read<T>(
        &mut self,
        name: &str,
        kind: &str,
        read: impl FnOnce(&'b Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.fields.get(name).filter(|value| !value.is_null())?;
        let result = read(value);
        if result.is_none() {
            self.misfit(name, kind, value);
        }
        result
    }

    fn misfit(&mut self, name: &str, kind: &str, value: &Value) {
        self.errors.push(format!(
            "Field: {name}, Error: Expected instance of {kind}, given an instance of {}",
            class_of(value)
        ));
    }
}

/// What Ruby calls a value's class.
fn class_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "NilClass",
        Value::Bool(true) => "TrueClass",
        Value::Bool(false) => "FalseClass",
        Value::Number(number) if number.is_f64() => "Float",
        Value::Number(_) => "Integer",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Hash",
    }
}

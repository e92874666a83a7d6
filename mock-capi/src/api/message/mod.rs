//! Reads JSON in requests with the Cloud Controller's validations. All errors are
//! collected, with the Cloud Controller's messages, and reported together.

mod field_check;
mod fields;
mod relationships;

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use field_check::FieldCheck;
pub(crate) use fields::Fields;
pub(crate) use relationships::to_many_body;

use crate::api::error::{CcError, validate};
use crate::world::metadata::{Metadata, MetadataPatch};
use crate::world::ruby;

/// The maximum integer of a column in the Cloud Controller's database.
pub(crate) const MAX_INT: i64 = i32::MAX as i64;

/// The error when the name of a resource is set to null.
pub(crate) const UNNAMED: &str = "name presence, name format";

/// A JSON object that is being read.
#[derive(Debug)]
pub(crate) struct Message<'b> {
    fields: Fields<'b>,
    /// The errors of the metadata, which precede all others.
    metadata_errors: Vec<String>,
    errors: Vec<String>,
    /// The error if valid metadata cannot be stored.
    metadata_fault: Option<CcError>,
}

impl<'b> Message<'b> {
    /// Starts reading. Fields other than `allowed` are errors.
    pub(crate) fn new(fields: &'b Map<String, Value>, allowed: &[&str]) -> Self {
        let mut message = Self::of_any(fields);
        message.refuse_unknown(allowed);
        message
    }

    /// Starts reading. Unknown fields are ignored.
    pub(crate) fn of_any(fields: &'b Map<String, Value>) -> Self {
        Self {
            fields: Fields::new(fields),
            metadata_errors: Vec::new(),
            errors: Vec::new(),
            metadata_fault: None,
        }
    }

    /// Reports fields other than `allowed` as errors.
    pub(crate) fn refuse_unknown(&mut self, allowed: &[&str]) {
        let unknown: Vec<&str> = self
            .fields
            .names()
            .filter(|key| !allowed.contains(key))
            .collect();
        if !unknown.is_empty() {
            self.error(format!("Unknown field(s): '{}'", unknown.join("', '")));
        }
    }

    /// Ends reading. Fails with 422 and all errors if there are any.
    pub(crate) fn finish(mut self) -> Result<(), CcError> {
        let fault = self.metadata_fault.take();
        validate(&self.into_errors())?;
        fault.map_or(Ok(()), Err)
    }

    /// All errors.
    pub(crate) fn into_errors(self) -> Vec<String> {
        let mut errors = self.metadata_errors;
        errors.extend(self.errors);
        errors
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The value of a field, which may be null.
    pub(crate) fn value(&self, key: &str) -> Option<&'b Value> {
        self.fields.value_or_null(key)
    }

    /// The value of a field that is not null.
    pub(crate) fn get(&self, key: &str) -> Option<&'b Value> {
        self.fields.value(key)
    }

    /// Whether there are no errors so far.
    pub(crate) fn is_valid(&self) -> bool {
        self.errors.is_empty() && self.metadata_errors.is_empty()
    }

    pub(crate) fn error(&mut self, error: impl Into<String>) {
        self.errors.push(error.into());
    }

    /// Starts the checks of a field. Errors are reported in the order of the checks.
    pub(crate) fn check(&mut self, key: &str) -> FieldCheck<'_, 'b> {
        let value = self.get(key);
        self.check_value(key, value)
    }

    /// Starts the checks of a value that is not a field of this object.
    pub(crate) fn check_value(
        &mut self,
        name: &str,
        value: Option<&'b Value>,
    ) -> FieldCheck<'_, 'b> {
        FieldCheck {
            label: humanize(name),
            value: value.filter(|value| !value.is_null()),
            skips: false,
            errors: &mut self.errors,
        }
    }

    /// A string that may be absent or null.
    pub(crate) fn optional_text(
        &mut self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Option<&'b str> {
        self.check(key).allow_null().string().length(length).text()
    }

    /// The value that a text column stores for a field without type checks.
    pub(crate) fn column(&self, key: &str) -> Result<Option<String>, CcError> {
        let value = self.get(key).unwrap_or(&Value::Null);
        ruby::column(value).map_err(|()| CcError::unknown())
    }

    pub(crate) fn is_blank(&self, key: &str) -> bool {
        self.get(key).is_none_or(ruby::is_blank)
    }

    /// The `name` of an organization or a space, which may be absent or null, without
    /// surrounding spaces.
    pub(crate) fn printable_name(&mut self, length: RangeInclusive<usize>) -> Option<&'b str> {
        let name = self.check("name").allow_null().string().length(length);
        let name = name.matches(is_printable_line, "must not contain escaped characters");
        name.text().map(str::trim)
    }

    /// An integer that may be absent or null.
    pub(crate) fn integer(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.get(key)?;
        let integer = check_integer(value, range);
        integer
            .map_err(|reason| self.error(format!("{} {reason}", humanize(key))))
            .ok()
    }

    /// An integer of a value that errors call `label`. The message names the lower bound.
    pub(crate) fn integer_of(
        &mut self,
        label: &str,
        value: &Value,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let min = *range.start();
        let integer = check_integer(value, i64::MIN..=*range.end());
        let integer = integer.and_then(|integer| match integer >= min {
            true => Ok(integer),
            false => Err(format!("must be greater than or equal to {min}")),
        });
        integer
            .map_err(|reason| self.error(format!("{label} {reason}")))
            .ok()
    }

    /// A boolean that may be absent or null.
    pub(crate) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.boolean_of(&humanize(key), key)
    }

    /// A boolean that may be absent or null. Errors call the field `label`.
    pub(crate) fn boolean_of(&mut self, label: &str, key: &str) -> Option<bool> {
        self.get(key)?;
        let boolean = self.fields.boolean(key);
        if boolean.is_none() {
            self.error(format!("{label} must be a boolean"));
        }
        boolean
    }

    pub(crate) fn object(&mut self, key: &str) -> Option<&'b Map<String, Value>> {
        self.get(key)?;
        let object = self.fields.object(key);
        if object.is_none() {
            self.error(format!("{} must be an object", humanize(key)));
        }
        object
    }

    pub(crate) fn metadata(&mut self) -> MetadataPatch {
        let Some(metadata) = self.value("metadata") else {
            return MetadataPatch::default();
        };
        let patch = MetadataPatch::read(metadata, &mut self.metadata_errors);
        self.metadata_fault = patch.check().err().map(Into::into);
        patch
    }

    /// Reads the metadata of a resource that already has metadata.
    pub(crate) fn metadata_update(&mut self, current: &Metadata) -> MetadataPatch {
        let patch = self.metadata();
        let exceeded = patch.check_beside(current).err().map(Into::into);
        self.metadata_fault = self.metadata_fault.take().or(exceeded);
        patch
    }

    /// Reads a nested object. Its errors begin with its name.
    pub(crate) fn nested<T>(
        &mut self,
        key: &str,
        allowed: &[&str],
        read: impl FnOnce(&mut Message<'b>) -> T,
    ) -> Option<T> {
        let object = self.object(key)?;
        let mut inner = Message::new(object, allowed);
        let result = read(&mut inner);
        let label = humanize(key);
        self.absorb_as(&label, inner);
        Some(result)
    }

    /// Adds the errors of a nested message, which begin with `label`.
    pub(crate) fn absorb_as(&mut self, label: &str, inner: Message<'_>) {
        let errors = inner.into_errors().into_iter();
        self.errors
            .extend(errors.map(|error| format!("{label} {error}")));
    }

    /// Adds the errors of an object that was read separately.
    pub(crate) fn absorb(&mut self, inner: Message<'_>) {
        self.errors.extend(inner.into_errors());
    }
}

/// Whether a string is one line of printable characters, which may end with a line
/// feed.
fn is_printable_line(text: &str) -> bool {
    let line = text.strip_suffix('\n').unwrap_or(text);
    !line.is_empty() && !line.contains(char::is_control)
}

/// An integer, which may be a string.
pub(crate) fn check_integer(value: &Value, range: RangeInclusive<i64>) -> Result<i64, String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.trim().parse::<f64>().is_ok_and(f64::is_finite) => text.clone(),
        _ => return Err("is not a number".into()),
    };
    let (min, max) = (*range.start(), *range.end());
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("must be an integer".into());
    }
    let too_big = if text.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    let parsed = text.parse();
    let overflows = parsed.is_err();
    let integer = parsed.unwrap_or(too_big);
    if integer < min {
        // The Cloud Controller's message for a lower bound of 1 is "greater than 0".
        return Err(if min == 1 {
            "must be greater than 0".into()
        } else {
            format!("must be greater than or equal to {min}")
        });
    }
    if integer > max || overflows {
        return Err(format!("must be less than or equal to {max}"));
    }
    Ok(integer)
}

/// The name of a key in the Cloud Controller's errors, such as `Total memory in mb`.
pub(crate) fn humanize(key: &str) -> String {
    let spaced = key.replace('_', " ");
    let mut chars = spaced.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => spaced,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    pub(super) fn check(body: Value, read: impl FnOnce(&mut Message<'_>)) -> Option<String> {
        let Value::Object(fields) = body else {
            panic!("not an object")
        };
        let mut message =
            Message::new(&fields, &["name", "total_instances", "on", "relationships"]);
        read(&mut message);
        message
            .finish()
            .err()
            .map(|error| error.causes[0].detail.clone())
    }

    #[test]
    fn errors_are_collected_with_the_cloud_controllers_messages() {
        let body = json!({"x": 1, "name": 3, "total_instances": -2, "on": "yes"});
        let detail = check(body, |message| {
            message.check("name").present().string().length(0..=255);
            message.integer("total_instances", 0..=MAX_INT);
            message.boolean("on");
        });
        assert_eq!(
            detail.as_deref(),
            Some(
                "Unknown field(s): 'x', Name must be a string, \
                 Total instances must be greater than or equal to 0, On must be a boolean"
            )
        );
    }

    #[test]
    fn integers_have_bounds() {
        let cases = [
            (json!(0), "must be greater than 0"),
            (json!(1.5), "must be an integer"),
            (json!("x"), "is not a number"),
            (json!([1]), "is not a number"),
            (json!("1.5"), "must be an integer"),
            (json!(u64::MAX), "must be less than or equal to 2147483647"),
            (json!(i64::MAX), "must be less than or equal to 2147483647"),
        ];
        for (value, expected) in cases {
            assert_eq!(check_integer(&value, 1..=MAX_INT), Err(expected.into()));
        }
        assert_eq!(check_integer(&json!(2), 1..=MAX_INT), Ok(2));
        assert_eq!(check_integer(&json!("2"), 1..=MAX_INT), Ok(2));
    }
}

//! Reading a request's JSON with the Cloud Controller's validations: every
//! violation is collected, in its words, and reported at once.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::api::error::CcError;
use crate::world::metadata::MetadataPatch;

/// The largest integer that a column of the Cloud Controller's database holds.
pub(crate) const MAX_INT: i64 = i32::MAX as i64;

/// A JSON object being read.
#[derive(Debug)]
pub(crate) struct Message<'b> {
    fields: &'b Map<String, Value>,
    errors: Vec<String>,
}

impl<'b> Message<'b> {
    /// Starts reading; fields other than `allowed` are an error.
    pub(crate) fn new(fields: &'b Map<String, Value>, allowed: &[&str]) -> Self {
        let unknown: Vec<&str> = fields
            .keys()
            .map(String::as_str)
            .filter(|key| !allowed.contains(key))
            .collect();
        let mut errors = Vec::new();
        if !unknown.is_empty() {
            errors.push(format!("Unknown field(s): '{}'", unknown.join("', '")));
        }
        Self { fields, errors }
    }

    /// Ends reading: 422 with everything that was wrong.
    pub(crate) fn finish(self) -> Result<(), CcError> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(CcError::unprocessable(self.errors.join(", ")))
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'b Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// Whether nothing was found wrong so far.
    pub(crate) fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    pub(crate) fn error(&mut self, error: impl Into<String>) {
        self.errors.push(error.into());
    }

    /// A text that may be absent or null.
    pub(crate) fn optional_text(
        &mut self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Option<&'b str> {
        let value = self.get(key)?;
        let label = humanize(key);
        let Some(text) = value.as_str() else {
            self.error(format!("{label} must be a string"));
            return None;
        };
        let (min, max, actual) = (*length.start(), *length.end(), text.chars().count());
        if actual < min {
            let plural = if min == 1 { "" } else { "s" };
            self.error(format!(
                "{label} is too short (minimum is {min} character{plural})"
            ));
        }
        if actual > max {
            self.error(format!("{label} is too long (maximum is {max} characters)"));
        }
        Some(text)
    }

    /// A text that must be there and not be blank.
    pub(crate) fn text(&mut self, key: &str, max: usize) -> Option<&'b str> {
        if self.is_blank(key) {
            self.error(format!("{} can't be blank", humanize(key)));
            return None;
        }
        self.optional_text(key, 1..=max)
    }

    pub(crate) fn is_blank(&self, key: &str) -> bool {
        match self.get(key) {
            None => true,
            Some(Value::String(text)) => text.trim().is_empty(),
            Some(_) => false,
        }
    }

    /// The `name` of an organization or a space, which may be absent or null,
    /// without the blanks around it.
    pub(crate) fn printable_name(&mut self, length: RangeInclusive<usize>) -> Option<&'b str> {
        let text = self.optional_text("name", length)?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        if line.is_empty() || line.contains(char::is_control) {
            self.error("Name must not contain escaped characters");
        }
        Some(text.trim())
    }

    /// An integer that may be absent or null.
    pub(crate) fn integer(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.get(key)?;
        match check_integer(value, range) {
            Ok(integer) => Some(integer),
            Err(reason) => {
                self.error(format!("{} {reason}", humanize(key)));
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        let boolean = value.as_bool();
        if boolean.is_none() {
            self.error(format!("{} must be a boolean", humanize(key)));
        }
        boolean
    }

    pub(crate) fn object(&mut self, key: &str) -> Option<&'b Map<String, Value>> {
        let value = self.get(key)?;
        let object = value.as_object();
        if object.is_none() {
            self.error(format!("{} must be an object", humanize(key)));
        }
        object
    }

    pub(crate) fn metadata(&mut self) -> MetadataPatch {
        match self.fields.get("metadata") {
            None => MetadataPatch::default(),
            Some(metadata) => MetadataPatch::read(metadata, &mut self.errors),
        }
    }

    /// Reads an object inside this one; its errors are prefixed with its name.
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
        let errors = inner.errors.into_iter();
        self.errors
            .extend(errors.map(|error| format!("{label} {error}")));
        Some(result)
    }

    /// Takes over the errors of an object that was read on its own.
    pub(crate) fn absorb(&mut self, inner: Message<'_>) {
        self.errors.extend(inner.errors);
    }

    /// The `relationships` of a request that cannot do without them.
    pub(crate) fn relationships<T>(
        &mut self,
        allowed: &[&str],
        read: impl FnOnce(&mut Message<'b>) -> T,
    ) -> Option<T> {
        match self.get("relationships") {
            Some(Value::Object(object)) if object.is_empty() => {
                self.error(
                    "Relationships 'relationships' must include one or more valid relationships",
                );
                None
            }
            Some(Value::Object(_)) => self.nested("relationships", allowed, read),
            _ => {
                self.error("Relationships 'relationships' is not an object");
                None
            }
        }
    }

    /// The GUID of a required `{"data": {"guid": "..."}}`; none, and no error, of
    /// `{"data": null}`.
    pub(crate) fn related(&mut self, key: &str) -> Option<&'b str> {
        let label = humanize(key);
        if self.get(key).is_none() {
            self.error(format!("{label} can't be blank"));
        }
        let guid = self.get(key).and_then(to_one_guid);
        match guid {
            Some(None) => None,
            Some(Some(Value::String(guid))) if (1..=200).contains(&guid.chars().count()) => {
                Some(guid)
            }
            Some(Some(guid)) => {
                if !guid.is_string() {
                    self.error(format!("{label} guid must be a string"));
                }
                self.error(format!("{label} guid must be between 1 and 200 characters"));
                None
            }
            None => {
                self.error(format!(
                    "{label} must be structured like this: \"{key}: {{\"data\": {{\"guid\": \"valid-guid\"}}}}\""
                ));
                None
            }
        }
    }

    /// The GUIDs of an optional `{"data": [{"guid": "..."}, ...]}`.
    pub(crate) fn related_many(&mut self, key: &str) -> Vec<&'b str> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let guids: Option<Vec<&str>> = value
            .get("data")
            .and_then(Value::as_array)
            .and_then(|data| data.iter().map(|item| item.get("guid")?.as_str()).collect());
        guids.unwrap_or_else(|| {
            let label = humanize(key);
            self.error(format!(
                "{label} must be structured like this: \"{key}: {{\"data\": [{{\"guid\": \"valid-guid\"}},{{\"guid\": \"valid-guid\"}}]}}\""
            ));
            Vec::new()
        })
    }

    /// The GUID of a body that is itself a to-one relationship.
    pub(crate) fn data_guid(&mut self) -> Option<&'b str> {
        let data = self.object("data")?;
        for (wrong, reason) in [
            (data.is_empty(), "can't be blank"),
            (data.len() != 1, "can only accept one key"),
            (!data.contains_key("guid"), "can only accept key 'guid'"),
        ] {
            if wrong {
                self.error(format!("Data {reason}"));
            }
        }
        let guid = data.get("guid").filter(|guid| !guid.is_null())?;
        let text = guid.as_str();
        if text.is_none() {
            self.error(format!("Data {guid} must be a string"));
        }
        text
    }
}

/// What a to-one relationship names, which may be nothing; `None` where it is
/// no such relationship at all.
fn to_one_guid(relationship: &Value) -> Option<Option<&Value>> {
    let relationship = relationship.as_object()?;
    let data = relationship
        .get("data")
        .filter(|_| relationship.len() == 1)?;
    match data {
        Value::Object(data) if data.len() == 1 => data.get("guid").map(Some),
        Value::Null => Some(None),
        _ => None,
    }
}

/// The GUIDs of a body that is itself a to-many relationship.
pub(crate) fn to_many_body(body: &Map<String, Value>) -> Result<Vec<&str>, CcError> {
    let mut message = Message::new(body, &["data"]);
    let mut guids = Vec::new();
    match message.get("data") {
        Some(Value::Array(data)) if !data.is_empty() => {
            for (index, item) in data.iter().enumerate() {
                match item.get("guid").and_then(Value::as_str) {
                    Some(guid) => guids.push(guid),
                    None => message.error(format!(
                        "Invalid data type: Data[{index}] guid should be a string."
                    )),
                }
            }
        }
        Some(Value::Array(_)) => message.error("Data can't be blank"),
        other => {
            if is_blank(other) {
                message.error("Data can't be blank");
            }
            message.error("Data must be an array");
        }
    }
    message.finish()?;
    Ok(guids)
}

/// Whether Rails takes a value for none.
fn is_blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    }
}

fn check_integer(value: &Value, range: RangeInclusive<i64>) -> Result<i64, String> {
    let Value::Number(number) = value else {
        return Err("is not a number".into());
    };
    let (min, max) = (*range.start(), *range.end());
    let integer = match number.as_i64() {
        Some(integer) => integer,
        None if number.is_u64() => i64::MAX,
        None => return Err("must be an integer".into()),
    };
    if integer < min {
        // The Cloud Controller words a lower bound of 1 as "greater than 0".
        return Err(if min == 1 {
            "must be greater than 0".into()
        } else {
            format!("must be greater than or equal to {min}")
        });
    }
    if integer > max || number.is_u64() && number.as_i64().is_none() {
        return Err(format!("must be less than or equal to {max}"));
    }
    Ok(integer)
}

/// `total_memory_in_mb` as the Cloud Controller's errors name it.
pub(crate) fn humanize(key: &str) -> String {
    let spaced = key.replace('_', " ");
    let mut chars = spaced.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => spaced,
    }
}

/// What is wrong with the names of an app's environment variables; `label` is
/// what the errors call them.
pub(crate) fn check_environment(label: &str, variables: &Map<String, Value>) -> Vec<String> {
    variables
        .keys()
        .filter_map(|key| {
            let upper = key.to_uppercase();
            let reason = if key.is_empty() {
                "key must be a minimum length of 1"
            } else if upper.starts_with("VCAP_") {
                "cannot start with VCAP_"
            } else if upper.starts_with("VMC") {
                "cannot start with VMC_"
            } else if upper == "PORT" {
                "cannot set PORT"
            } else {
                return None;
            };
            Some(format!("{label} {reason}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(body: Value, read: impl FnOnce(&mut Message<'_>)) -> Option<String> {
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
    fn errors_are_collected_in_the_cloud_controllers_words() {
        let body = json!({"x": 1, "name": 3, "total_instances": -2, "on": "yes"});
        let detail = check(body, |message| {
            message.text("name", 255);
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
            (json!("1"), "is not a number"),
            (json!(u64::MAX), "must be less than or equal to 2147483647"),
            (json!(i64::MAX), "must be less than or equal to 2147483647"),
        ];
        for (value, expected) in cases {
            assert_eq!(check_integer(&value, 1..=MAX_INT), Err(expected.into()));
        }
        assert_eq!(check_integer(&json!(2), 1..=MAX_INT), Ok(2));
    }

    #[test]
    fn relationships_have_a_structure() {
        let read = |message: &mut Message<'_>| {
            message.relationships(&["space"], |inner| {
                inner.related("space").map(str::to_owned)
            });
        };
        assert_eq!(
            check(json!({}), read).as_deref(),
            Some("Relationships 'relationships' is not an object")
        );
        assert_eq!(
            check(json!({"relationships": {}}), read).as_deref(),
            Some("Relationships 'relationships' must include one or more valid relationships")
        );
        assert_eq!(
            check(json!({"relationships": {"space": {"guid": "x"}}}), read).as_deref(),
            Some(
                "Relationships Space must be structured like this: \
                 \"space: {\"data\": {\"guid\": \"valid-guid\"}}\""
            )
        );
        assert_eq!(
            check(
                json!({"relationships": {"space": {"data": {"guid": "x"}}}}),
                read
            ),
            None
        );
    }
}

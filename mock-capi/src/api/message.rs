//! Reading a request's JSON with the Cloud Controller's validations: every
//! violation is collected, in its words, and reported at once.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::api::error::CcError;
use crate::world::metadata::{Metadata, MetadataPatch};
use crate::world::ruby;

/// The largest integer that a column of the Cloud Controller's database holds.
pub(crate) const MAX_INT: i64 = i32::MAX as i64;

/// What a model says of a name that a request takes away.
pub(crate) const UNNAMED: &str = "name presence, name format";

/// A JSON object being read.
#[derive(Debug)]
pub(crate) struct Message<'b> {
    fields: &'b Map<String, Value>,
    errors: Vec<String>,
    /// Why metadata that is valid cannot be stored.
    metadata_fault: Option<CcError>,
}

impl<'b> Message<'b> {
    /// Starts reading; fields other than `allowed` are an error.
    pub(crate) fn new(fields: &'b Map<String, Value>, allowed: &[&str]) -> Self {
        let mut message = Self::of_any(fields);
        message.refuse_unknown(allowed);
        message
    }

    /// Starts reading; fields that nobody reads are ignored.
    pub(crate) fn of_any(fields: &'b Map<String, Value>) -> Self {
        Self {
            fields,
            errors: Vec::new(),
            metadata_fault: None,
        }
    }

    /// Fields other than `allowed` are an error.
    pub(crate) fn refuse_unknown(&mut self, allowed: &[&str]) {
        let unknown: Vec<&str> = self
            .fields
            .keys()
            .map(String::as_str)
            .filter(|key| !allowed.contains(key))
            .collect();
        if !unknown.is_empty() {
            self.error(format!("Unknown field(s): '{}'", unknown.join("', '")));
        }
    }

    /// Ends reading: 422 with everything that was wrong.
    pub(crate) fn finish(self) -> Result<(), CcError> {
        if self.errors.is_empty() {
            self.metadata_fault.map_or(Ok(()), Err)
        } else {
            Err(CcError::unprocessable(self.errors.join(", ")))
        }
    }

    /// Everything that was wrong.
    pub(crate) fn into_errors(self) -> Vec<String> {
        self.errors
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

    /// Starts to check a field, in the order in which the Cloud Controller does.
    pub(crate) fn check(&mut self, key: &str) -> FieldCheck<'_, 'b> {
        let value = self.get(key);
        self.check_value(key, value)
    }

    /// The same of a value that is not a field of its own.
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

    /// A text that may be absent or null.
    pub(crate) fn optional_text(
        &mut self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Option<&'b str> {
        self.check(key).allow_null().string().length(length).text()
    }

    /// What a text column makes of a field whose type nobody checks.
    pub(crate) fn column(&self, key: &str) -> Result<Option<String>, CcError> {
        let value = self.get(key).unwrap_or(&Value::Null);
        ruby::column(value).map_err(|()| CcError::unknown())
    }

    pub(crate) fn is_blank(&self, key: &str) -> bool {
        self.get(key).is_none_or(ruby::is_blank)
    }

    /// The `name` of an organization or a space, which may be absent or null,
    /// without the blanks around it.
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

    /// The same of a value that the errors call `label`, and whose lower bound
    /// they name.
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
        let Some(metadata) = self.fields.get("metadata") else {
            return MetadataPatch::default();
        };
        let patch = MetadataPatch::read(metadata, &mut self.errors);
        self.metadata_fault = patch.check().err().map(Into::into);
        patch
    }

    /// The same for a resource that has metadata already.
    pub(crate) fn metadata_beside(&mut self, current: &Metadata) -> MetadataPatch {
        let patch = self.metadata();
        let exceeded = patch.check_beside(current).err().map(Into::into);
        self.metadata_fault = self.metadata_fault.take().or(exceeded);
        patch
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

    /// Takes over the errors of an object that is part of this one.
    pub(crate) fn absorb_as(&mut self, label: &str, inner: Message<'_>) {
        let errors = inner.errors.into_iter();
        self.errors
            .extend(errors.map(|error| format!("{label} {error}")));
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

    /// The same where others than those that are read are ignored.
    pub(crate) fn relationships_of_any<T>(
        &mut self,
        read: impl FnOnce(&mut Message<'b>) -> T,
    ) -> Option<T> {
        let given = self.get("relationships").and_then(Value::as_object);
        let all = given.map(|fields| fields.keys().map(String::as_str).collect::<Vec<_>>());
        self.relationships(&all.unwrap_or_default(), read)
    }

    /// The GUID of a required `{"data": {"guid": "..."}}`; none, and no error, of
    /// `{"data": null}`.
    pub(crate) fn related(&mut self, key: &str) -> Option<&'b str> {
        let label = humanize(key);
        if self.is_blank(key) {
            self.error(format!("{label} can't be blank"));
        }
        self.related_or_missing(key)
    }

    /// The same of a relationship that the Cloud Controller does not ask to be
    /// present.
    pub(crate) fn related_or_missing(&mut self, key: &str) -> Option<&'b str> {
        let label = humanize(key);
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
            self.error(format!("Data {} must be a string", ruby::text(guid)));
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
            if other.is_none_or(ruby::is_blank) {
                message.error("Data can't be blank");
            }
            message.error("Data must be an array");
        }
    }
    message.finish()?;
    Ok(guids)
}

/// Whether a text is one line, which may end with a line feed, of characters
/// that can be seen.
fn is_printable_line(text: &str) -> bool {
    let line = text.strip_suffix('\n').unwrap_or(text);
    !line.is_empty() && !line.contains(char::is_control)
}

/// A field being checked: each step adds the error that the Cloud Controller's
/// validator of that name adds.
#[derive(Debug)]
pub(crate) struct FieldCheck<'m, 'b> {
    label: String,
    /// None is null or absent.
    value: Option<&'b Value>,
    /// Whether the steps that follow are left out.
    skips: bool,
    errors: &'m mut Vec<String>,
}

impl<'b> FieldCheck<'_, 'b> {
    fn require(self, holds: bool, text: &str) -> Self {
        if !holds && !self.skips {
            self.errors.push(format!("{} {text}", self.label));
        }
        self
    }

    /// Leaves out the following steps where the field is null or absent.
    pub(crate) fn allow_null(mut self) -> Self {
        self.skips = self.value.is_none();
        self
    }

    pub(crate) fn present(self) -> Self {
        self.present_or("can't be blank")
    }

    /// The same in other words.
    pub(crate) fn present_or(self, text: &str) -> Self {
        let present = !self.value.is_none_or(ruby::is_blank);
        self.require(present, text)
    }

    /// A list is one of several if all of its items are.
    pub(crate) fn one_of(self, allowed: &[&str], text: &str) -> Self {
        let is_allowed = |value: &Value| value.as_str().is_some_and(|it| allowed.contains(&it));
        let holds = match self.value {
            Some(Value::Array(items)) => items.iter().all(is_allowed),
            value => value.is_some_and(is_allowed),
        };
        self.require(holds, text)
    }

    /// One of several; no list is.
    pub(crate) fn one_of_texts(self, allowed: &[&str], text: &str) -> Self {
        let is_allowed = |value: &Value| value.as_str().is_some_and(|it| allowed.contains(&it));
        let holds = self.value.is_some_and(is_allowed);
        self.require(holds, text)
    }

    pub(crate) fn string(self) -> Self {
        let is_string = self.value.is_some_and(Value::is_string);
        self.require(is_string, "must be a string")
    }

    /// Null is too short for any minimum, and not too long for any maximum.
    pub(crate) fn length(self, range: RangeInclusive<usize>) -> Self {
        let (min, max) = (*range.start(), *range.end());
        let actual = self.value.map_or(0, ruby::length);
        let plural = if min == 1 { "" } else { "s" };
        self.require(
            actual >= min,
            &format!("is too short (minimum is {min} character{plural})"),
        )
        .require(
            actual <= max,
            &format!("is too long (maximum is {max} characters)"),
        )
    }

    /// A text of 1 to 200 characters.
    pub(crate) fn guid(self) -> Self {
        let is_sound = self
            .value
            .and_then(Value::as_str)
            .is_some_and(|guid| (1..=200).contains(&guid.chars().count()));
        self.string()
            .require(is_sound, "must be between 1 and 200 characters")
    }

    /// Null is too long, too: so it is where null is not allowed.
    pub(crate) fn length_at_most(self, max: usize) -> Self {
        let fits = self.value.is_some_and(|value| ruby::length(value) <= max);
        self.require(fits, &format!("is too long (maximum is {max} characters)"))
    }

    /// The same in other words; null is too short.
    pub(crate) fn length_or(self, range: RangeInclusive<usize>, text: &str) -> Self {
        let actual = self.value.map_or(0, ruby::length);
        self.require(range.contains(&actual), text)
    }

    /// What is no text is matched as it is printed.
    pub(crate) fn matches(self, is_match: impl Fn(&str) -> bool, text: &str) -> Self {
        let value = self.value.map(ruby::text).unwrap_or_default();
        self.require(is_match(&value), text)
    }

    /// The text, if it is one.
    pub(crate) fn text(self) -> Option<&'b str> {
        self.value.and_then(Value::as_str)
    }
}

/// An integer, or a text that is one.
fn check_integer(value: &Value, range: RangeInclusive<i64>) -> Result<i64, String> {
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
        // The Cloud Controller words a lower bound of 1 as "greater than 0".
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
    environment_errors(variables)
        .map(|(_, reason)| format!("{label} {reason}"))
        .collect()
}

/// The same by the name of the variable.
pub(crate) fn environment_errors(
    variables: &Map<String, Value>,
) -> impl Iterator<Item = (&str, &'static str)> {
    let names = variables.keys().map(String::as_str);
    names.filter_map(|name| Some((name, environment_error(name)?)))
}

/// What is wrong with the name of an environment variable.
pub(crate) fn environment_error(name: &str) -> Option<&'static str> {
    let upper = name.to_uppercase();
    if name.is_empty() {
        Some("key must be a minimum length of 1")
    } else if upper.starts_with("VCAP_") {
        Some("cannot start with VCAP_")
    } else if upper.starts_with("VMC") {
        Some("cannot start with VMC_")
    } else if upper == "PORT" {
        Some("cannot set PORT")
    } else {
        None
    }
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

//! Checks of one field, with the Cloud Controller's validators.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::world::ruby;

/// The checks of one field. Each step may add the error of the Cloud Controller's
/// validator of that name.
#[derive(Debug)]
pub(crate) struct FieldCheck<'m, 'b> {
    pub(super) label: String,
    /// `None` if the field is null or absent.
    pub(super) value: Option<&'b Value>,
    /// Whether the following steps are skipped.
    pub(super) skips: bool,
    pub(super) errors: &'m mut Vec<String>,
}

impl<'b> FieldCheck<'_, 'b> {
    fn require(self, holds: bool, text: &str) -> Self {
        if !holds && !self.skips {
            self.errors.push(format!("{} {text}", self.label));
        }
        self
    }

    /// Skips the following steps if the field is null or absent.
    pub(crate) fn allow_null(mut self) -> Self {
        self.skips = self.value.is_none();
        self
    }

    pub(crate) fn present(self) -> Self {
        self.present_or("can't be blank")
    }

    /// Requires presence, with another message.
    pub(crate) fn present_or(self, text: &str) -> Self {
        let present = !self.value.is_none_or(ruby::is_blank);
        self.require(present, text)
    }

    /// A list is allowed if all of its items are.
    pub(crate) fn one_of(self, allowed: &[&str], text: &str) -> Self {
        let is_allowed = |value: &Value| value.as_str().is_some_and(|it| allowed.contains(&it));
        let holds = match self.value {
            Some(Value::Array(items)) => items.iter().all(is_allowed),
            value => value.is_some_and(is_allowed),
        };
        self.require(holds, text)
    }

    /// Requires one of several strings. Lists are not allowed.
    pub(crate) fn one_of_texts(self, allowed: &[&str], text: &str) -> Self {
        let is_allowed = |value: &Value| value.as_str().is_some_and(|it| allowed.contains(&it));
        let holds = self.value.is_some_and(is_allowed);
        self.require(holds, text)
    }

    pub(crate) fn string(self) -> Self {
        let is_string = self.value.is_some_and(Value::is_string);
        self.require(is_string, "must be a string")
    }

    /// Null is too short for any minimum, but not too long for any maximum.
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

    /// Requires a string of 1 to 200 characters.
    pub(crate) fn guid(self) -> Self {
        let is_valid = self
            .value
            .and_then(Value::as_str)
            .is_some_and(|guid| (1..=200).contains(&guid.chars().count()));
        self.string()
            .require(is_valid, "must be between 1 and 200 characters")
    }

    /// Null is also reported as too long.
    pub(crate) fn length_at_most(self, max: usize) -> Self {
        let fits = self.value.is_some_and(|value| ruby::length(value) <= max);
        self.require(fits, &format!("is too long (maximum is {max} characters)"))
    }

    /// Checks the length, with another message. Null is too short.
    pub(crate) fn length_or(self, range: RangeInclusive<usize>, text: &str) -> Self {
        let actual = self.value.map_or(0, ruby::length);
        self.require(range.contains(&actual), text)
    }

    /// Checks a pattern. Values other than strings are matched as Ruby prints them.
    pub(crate) fn matches(self, is_match: impl Fn(&str) -> bool, text: &str) -> Self {
        let value = self.value.map(ruby::text).unwrap_or_default();
        self.require(is_match(&value), text)
    }

    /// The value, if it is a string.
    pub(crate) fn text(self) -> Option<&'b str> {
        self.value.and_then(Value::as_str)
    }
}

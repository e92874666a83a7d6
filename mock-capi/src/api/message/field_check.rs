//! Checks of one field, with the Cloud Controller's validators.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::world::ruby;

/// A field being checked: each step adds the error that the Cloud Controller's
/// validator of that name adds.
#[derive(Debug)]
pub(crate) struct FieldCheck<'m, 'b> {
    pub(super) label: String,
    /// `None` if the field is null or absent.
    pub(super) value: Option<&'b Value>,
    /// Whether the steps that follow are left out.
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

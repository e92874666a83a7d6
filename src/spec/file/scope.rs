//! The numbers of counted elements: `{org}`, `{space}` and `{i}`.

use std::borrow::Cow;

/// The values of placeholders. A placeholder without a number is kept.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope {
    pub(super) org: Option<u32>,
    pub(super) space: Option<u32>,
    /// The number of the nearest counted element. `None` in an app with a count, because
    /// the numbers are filled in for each app later.
    pub(super) i: Option<u32>,
}

impl Scope {
    /// The scope inside an element, with the element's number if it is counted.
    pub(super) fn within(self, number: Option<u32>) -> Self {
        Self {
            i: number.or(self.i),
            ..self
        }
    }

    /// Fills in the numbers of a text.
    pub(super) fn fill<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains('{') {
            return Cow::Borrowed(text);
        }
        let numbers = [
            ("{org}", self.org),
            ("{space}", self.space),
            ("{i}", self.i),
        ];
        let mut filled = Cow::Borrowed(text);
        for (placeholder, number) in numbers {
            if let Some(number) = number
                && filled.contains(placeholder)
            {
                filled = Cow::Owned(filled.replace(placeholder, &number.to_string()));
            }
        }
        filled
    }

    /// The first placeholder of a text that has no number.
    pub(super) fn unfilled(&self, text: &str) -> Option<&'static str> {
        let placeholders = [
            ("{org}", self.org),
            ("{space}", self.space),
            ("{i}", self.i),
        ];
        let mut unfilled = placeholders.iter().filter(|(_, number)| number.is_none());
        unfilled
            .find(|(placeholder, _)| text.contains(placeholder))
            .map(|(placeholder, _)| *placeholder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_counted_thing_gives_the_number() {
        let org = Scope {
            org: Some(3),
            ..Scope::default()
        };
        let org = org.within(Some(3));
        assert_eq!(org.fill("{org}-{i}-{space}"), "3-3-{space}");
        assert_eq!(org.unfilled("{org}-{i}-{space}"), Some("{space}"));
        let uncounted = org.within(None);
        assert_eq!(uncounted.fill("{i}"), "3");
        let space = Scope {
            space: Some(5),
            ..uncounted
        };
        assert_eq!(space.within(Some(5)).fill("{org}.{space}.{i}"), "3.5.5");
    }
}

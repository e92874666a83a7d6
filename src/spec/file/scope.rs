//! The numbers of counted elements: `{org}`, `{space}` and `{i}`.

use std::borrow::Cow;

use super::node::Node;
use crate::manifest::placeholder::{self, APPS_DOMAIN, INDEX};

/// The placeholders that are replaced for each app.
pub(super) const OF_APP: [&str; 2] = [INDEX, APPS_DOMAIN];

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

    /// Fills in the numbers of a text, and unescapes all placeholders.
    pub(super) fn fill<'t>(&self, text: &'t str) -> Cow<'t, str> {
        placeholder::filled(text, |name| self.number(name), |_| true)
    }

    /// Fills in the known numbers of an app's text.
    pub(super) fn fill_of_app<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let is_final = |name: &str| !OF_APP.contains(&name);
        placeholder::filled(text, |name| self.number(name), is_final)
    }

    /// The string of a value, with its numbers filled in. Values of variables are not
    /// changed.
    pub(super) fn text(&self, node: &Node) -> Option<String> {
        let text = node.text()?;
        Some(match node.is_supplied {
            true => text,
            false => self.fill(&text).into_owned(),
        })
    }

    fn number(&self, name: &str) -> Option<String> {
        let number = match name {
            "org" => self.org,
            "space" => self.space,
            "i" => self.i,
            _ => None,
        };
        number.map(|number| number.to_string())
    }

    /// The first placeholder of a text that has no number.
    pub(super) fn unfilled(&self, text: &str) -> Option<&'static str> {
        let mut numbered = ["org", "space", "i"].into_iter();
        numbered.find(|name| placeholder::has(text, name) && self.number(name).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_number_of_the_nearest_counted_element() {
        let org = Scope {
            org: Some(3),
            ..Scope::default()
        };
        let org = org.within(Some(3));
        assert_eq!(org.fill("{org}-{i}-{space}"), "3-3-{space}");
        assert_eq!(org.unfilled("{org}-{i}-{space}"), Some("space"));
        let uncounted = org.within(None);
        assert_eq!(uncounted.fill("{i}"), "3");
        let space = Scope {
            space: Some(5),
            ..uncounted
        };
        assert_eq!(space.within(Some(5)).fill("{org}.{space}.{i}"), "3.5.5");
    }

    #[test]
    fn placeholders_of_apps_are_kept_until_apps_are_numbered() {
        let scope = Scope {
            org: Some(3),
            ..Scope::default()
        };
        let text = "{org} {{org}} {i} {{i}} {{apps_domain}}";
        assert_eq!(scope.fill(text), "3 {org} {i} {i} {apps_domain}");
        assert_eq!(scope.fill_of_app(text), "3 {org} {i} {{i}} {{apps_domain}}");
        assert_eq!(scope.unfilled("{{i}} {org}"), None);
    }
}

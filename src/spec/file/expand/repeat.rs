//! Repeats elements with a `count`, and fills the numbers in their names.

use super::super::keys::MAX_COUNT;
use super::super::node::Node;
use super::super::scope::Scope;
use super::Expander;
use crate::manifest::placeholder;

impl Expander<'_, '_> {
    /// The numbers of an element: one for each repetition, or `None` if it has no
    /// `count`.
    pub(super) fn numbers(&mut self, node: &Node, own: &'static str) -> Vec<Option<u32>> {
        let Some(count) = node.get("count") else {
            return vec![None];
        };
        let number = count.number::<u32>().filter(|it| *it <= MAX_COUNT);
        let Some(number) = number else {
            // Already reported as an invalid number.
            return vec![Some(0)];
        };
        if let Some(name) = node.get("name")
            && let Some(text) = name.text()
            && number > 1
            && !placeholder::has(&text, "i")
            && !placeholder::has(&text, own)
        {
            let allowed = format!("a name with {{i}}, because there are {number}");
            self.problems.value(name.at, "name", name.shown(), allowed);
            return vec![Some(0)];
        }
        (0..number).map(Some).collect()
    }

    /// A name with its numbers. A placeholder without a number is a problem.
    pub(super) fn name(&mut self, node: &Node, key: &str, scope: Scope) -> String {
        let Some(value) = node.get(key) else {
            return String::new();
        };
        let text = value.text().unwrap_or_default();
        self.check_placeholders(value, key, &text, scope);
        scope.text(value).unwrap_or_default()
    }

    pub(super) fn check_placeholders(&mut self, value: &Node, key: &str, text: &str, scope: Scope) {
        if value.is_supplied {
            return;
        }
        if let Some(name) = scope.unfilled(text) {
            let cause = match name {
                "org" => "the org has no `count`",
                "space" => "the space has no `count`",
                _ => "no enclosing element has a `count`",
            };
            let allowed = format!(
                "a string without {{{name}}}: {cause}; {{{{{name}}}}} is the text {{{name}}}"
            );
            self.problems.value(value.at, key, value.shown(), allowed);
        }
    }
}

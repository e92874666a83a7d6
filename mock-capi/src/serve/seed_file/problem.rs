//! Problems of seeds, and the lines of the entries that have them.

use granit_parser::{Event, Parser};

/// The reason why a seed is refused, and the entry that is wrong.
#[derive(Debug)]
pub(super) struct Problem {
    /// The path from the entry up to the document.
    path: Vec<Step>,
    reason: String,
}

/// The position of a value in a map or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

impl From<String> for Problem {
    fn from(reason: String) -> Self {
        Self {
            path: Vec::new(),
            reason,
        }
    }
}

impl Problem {
    /// Converts the problem of a value to a problem of the map that contains the value
    /// under a key.
    pub(super) fn in_key(mut self, key: &str) -> Self {
        self.path.push(Step::Key(key.into()));
        self
    }

    /// Converts the problem of an element to a problem of the map that contains the list
    /// under a key.
    pub(super) fn in_item(mut self, key: &str, number: usize) -> Self {
        self.path.push(Step::Item(number));
        self.in_key(key)
    }

    /// Names the resource in the reason.
    pub(super) fn named(mut self, what: &str, name: &str) -> Self {
        self.reason = format!("{what} '{name}': {}", self.reason);
        self
    }

    /// The reason with the line of the entry in a seed.
    pub(super) fn in_text(self, seed: &str) -> String {
        let Self { mut path, reason } = self;
        path.reverse();
        match line_of(seed, &path) {
            Some(line) => format!("line {line}: {reason}"),
            None => reason,
        }
    }
}

/// Carries out a step for each element of the list with a key.
pub(super) fn each<'l, T>(
    key: &str,
    list: &'l [T],
    mut step: impl FnMut(&'l T) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut elements = list.iter().enumerate();
    elements.try_for_each(|(number, element)| {
        step(element).map_err(|problem| problem.in_item(key, number))
    })
}

/// A map or a list whose end has not been read, and the current position in it.
struct Open {
    /// `None` in a map before a key.
    step: Option<Step>,
    /// The line of the last key.
    line: usize,
    is_key: bool,
}

impl Open {
    /// Continues after a value.
    fn advance(&mut self) {
        self.step = match self.step {
            Some(Step::Item(number)) => Some(Step::Item(number + 1)),
            _ => None,
        };
    }
}

/// The line of the value with a path, or of the innermost value on the path that exists.
fn line_of(text: &str, path: &[Step]) -> Option<usize> {
    let mut open: Vec<Open> = Vec::new();
    let mut found = (0, None);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        let line = span.start.line();
        let inner = match &event {
            Event::Scalar(..) => None,
            Event::SequenceStart(..) => Some(Some(Step::Item(0))),
            Event::MappingStart(..) => Some(None),
            Event::SequenceEnd | Event::MappingEnd => {
                let is_value = open.pop().is_some_and(|closed| !closed.is_key);
                if let Some(outer) = open.last_mut().filter(|_| is_value) {
                    outer.advance();
                }
                continue;
            }
            _ => continue,
        };
        let outer = open.last_mut();
        let is_key = outer.as_ref().is_some_and(|outer| outer.step.is_none());
        if is_key {
            let key = match &event {
                Event::Scalar(text, ..) => text.to_string(),
                _ => String::new(),
            };
            if let Some(outer) = outer {
                (outer.step, outer.line) = (Some(Step::Key(key)), line);
            }
        } else {
            let steps = open.iter().filter_map(|open| open.step.as_ref());
            let depth = open.len();
            if depth > found.0 && depth <= path.len() && steps.eq(&path[..depth]) {
                let in_map = matches!(path[depth - 1], Step::Key(_));
                let of_key = open.last().filter(|_| in_map).map(|outer| outer.line);
                found = (depth, Some(of_key.unwrap_or(line)));
            }
        }
        match inner {
            Some(step) => open.push(Open { step, line, is_key }),
            None if !is_key => {
                if let Some(outer) = open.last_mut() {
                    outer.advance();
                }
            }
            None => {}
        }
    }
    found.1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "\
# A seed
version: 1
orgs:
- name: one
  spaces: []
-
  name: two
  quota: small
  spaces:
  - {name: flow,
     apps: [{name: a}, {name: b}]}
  - name: block
    apps:
    - name: c
      env:
        A: 1
";

    fn line(problem: Problem) -> String {
        problem.in_text(SEED)
    }

    fn problem() -> Problem {
        Problem::from("wrong".to_owned())
    }

    #[test]
    fn a_problem_has_the_line_of_the_innermost_entry() {
        for (problem, expected) in [
            (problem().in_key("version"), "line 2: wrong"),
            (problem().in_item("orgs", 0), "line 4: wrong"),
            (problem().in_item("orgs", 1), "line 7: wrong"),
            (
                problem().in_key("quota").in_item("orgs", 1),
                "line 8: wrong",
            ),
            (
                problem()
                    .in_item("apps", 1)
                    .in_item("spaces", 0)
                    .in_item("orgs", 1),
                "line 11: wrong",
            ),
            (
                problem()
                    .in_key("env")
                    .in_item("apps", 0)
                    .in_item("spaces", 1)
                    .in_item("orgs", 1),
                "line 15: wrong",
            ),
            // The seed does not have the key.
            (
                problem().in_key("quota").in_item("orgs", 0),
                "line 4: wrong",
            ),
            (problem(), "wrong"),
        ] {
            assert_eq!(line(problem), expected);
        }
    }

    #[test]
    fn a_problem_names_the_resources_around_it() {
        let named = problem().named("space", "s").named("org", "o");
        assert_eq!(line(named), "org 'o': space 's': wrong");
    }
}

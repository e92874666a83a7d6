//! Finds lines and anchors in the text of a document, for messages about it.

use std::collections::HashSet;

use granit_parser::{Event, Parser};

use super::Loader;

/// A list or map on the way to the current value.
enum Open {
    /// The position of the next item.
    List(usize),
    /// The current key and its line, if it was read.
    Map(Option<(String, usize)>),
}

/// A value in a document.
struct Place<'a> {
    /// The lists and maps that the value is in.
    open: &'a [Open],
    line: usize,
    /// Whether the value has an anchor.
    is_anchor: bool,
}

/// The line of a property in the first document of a text, by its path of keys and
/// positions, such as `applications`, `0`, `memory`; `None` if it is not written
/// there, because an anchor or a variable supplies it.
pub(crate) fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let mut found = None;
    visit(text, |place| {
        let is_at = place.open.len() == path.len()
            && place.open.iter().zip(path).all(|(open, part)| match open {
                Open::List(at) => part.parse() == Ok(*at),
                Open::Map(key) => key.as_ref().is_some_and(|(key, _)| key == part),
            });
        if is_at {
            found = match place.open.last() {
                Some(Open::Map(Some((_, line)))) => Some(*line),
                _ => Some(place.line),
            };
        }
        !is_at
    });
    found
}

/// The keys of the outermost map whose values have anchors.
pub(crate) fn anchored_keys(text: &str) -> HashSet<String> {
    let mut keys = HashSet::new();
    visit(text, |place| {
        if let (true, Some(Open::Map(Some((key, _))))) = (place.is_anchor, place.open.first()) {
            keys.insert(key.clone());
        }
        true
    });
    keys
}

/// Visits each value of the first document until `visitor` returns false.
fn visit(text: &str, mut visitor: impl FnMut(&Place<'_>) -> bool) {
    let mut open: Vec<Open> = Vec::new();
    let text = text.trim_start_matches('\u{feff}');
    for next in Parser::new_from_str_with_options(text, Loader::options()) {
        let Ok((event, span)) = next else {
            return;
        };
        let line = span.start.line();
        let (text, anchor) = match &event {
            Event::Scalar(text, _, anchor, _) => (text.as_ref(), *anchor),
            Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => ("", *anchor),
            Event::Alias(_) => ("", 0),
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
                advance(&mut open);
                continue;
            }
            Event::DocumentEnd | Event::StreamEnd => return,
            _ => continue,
        };
        if let Some(Open::Map(key @ None)) = open.last_mut() {
            *key = Some((text.to_owned(), line));
            continue;
        }
        let is_anchor = anchor != 0;
        let place = Place {
            open: &open,
            line,
            is_anchor,
        };
        if !visitor(&place) {
            return;
        }
        match event {
            Event::SequenceStart(..) => open.push(Open::List(0)),
            Event::MappingStart(..) => open.push(Open::Map(None)),
            _ => advance(&mut open),
        }
    }
}

/// Continues after a complete value.
fn advance(open: &mut [Open]) {
    match open.last_mut() {
        Some(Open::List(at)) => *at += 1,
        Some(Open::Map(key)) => *key = None,
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "---\ndefaults: &d {x: 1}\nplain:\n  a: 1\napplications:\n- name: one\n  env:\n    A: 1\n- <<: *d\n  name: two\n  memory: 1G\n";

    #[test]
    fn properties_have_lines() {
        assert_eq!(line_of(TEXT, &["applications", "0", "env", "A"]), Some(8));
        assert_eq!(line_of(TEXT, &["applications", "1", "memory"]), Some(11));
        assert_eq!(line_of(TEXT, &["applications", "1"]), Some(9));
        assert_eq!(line_of(TEXT, &["applications"]), Some(5));
        assert_eq!(line_of(TEXT, &["applications", "1", "x"]), None);
        assert_eq!(line_of("a: [", &["b"]), None);
    }

    #[test]
    fn keys_with_anchors_are_known() {
        assert_eq!(anchored_keys(TEXT), HashSet::from(["defaults".to_owned()]));
    }
}

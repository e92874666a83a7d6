//! Finds lines and anchors in the text of a document, for messages about it.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser};

use super::Loader;

/// The key whose value is merged into its map. A map may have several.
const MERGE_KEY: &str = "<<";

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
/// positions, such as `applications`, `0`, `memory`. `None` if an anchor or a variable
/// supplies the property.
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

/// The lines of all values of a document, as a tree of the same form.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The line of the key, or of the item of a list.
    pub(crate) line: usize,
    children: HashMap<String, Lines>,
}

impl Lines {
    /// The lines of a nested value, by its key or position. `None` if an anchor supplies
    /// the value.
    pub(crate) fn get(&self, part: &str) -> Option<&Self> {
        self.children.get(part)
    }
}

/// The lines of all values in the first document of a text, and each repeated key with
/// its line.
pub(crate) fn lines(text: &str) -> (Lines, Vec<(String, usize)>) {
    let mut root = Lines::default();
    let mut repeated = Vec::new();
    visit(text, |place| {
        let mut current = &mut root;
        let last = place.open.len().checked_sub(1);
        for (depth, open) in place.open.iter().enumerate() {
            let (part, line) = match open {
                Open::List(at) => (at.to_string(), place.line),
                Open::Map(Some((key, line))) => (key.clone(), *line),
                Open::Map(None) => return true,
            };
            let is_new = Some(depth) == last;
            if is_new && part != MERGE_KEY && current.children.contains_key(&part) {
                repeated.push((part.clone(), line));
                // Keys in the later value are not repetitions.
                current.children.remove(&part);
            }
            current = current.children.entry(part).or_default();
            if is_new {
                current.line = line;
            }
        }
        true
    });
    (root, repeated)
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

/// The line on which a second document begins, if there is one.
pub(crate) fn second_document(text: &str) -> Option<usize> {
    let text = text.trim_start_matches('\u{feff}');
    let events = Parser::new_from_str_with_options(text, Loader::options());
    let starts = events.map_while(Result::ok);
    let mut starts = starts.filter(|(event, _)| matches!(event, Event::DocumentStart(..)));
    starts.nth(1).map(|(_, span)| span.start.line())
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
    fn all_values_have_lines_and_repeated_keys_are_found() {
        let (found, repeated) = lines(TEXT);
        let apps = found.get("applications").unwrap();
        assert_eq!(apps.line, 5);
        let env = apps.get("0").unwrap().get("env").unwrap();
        assert_eq!(env.get("A").unwrap().line, 8);
        let second = apps.get("1").unwrap();
        assert_eq!((second.line, second.get("memory").unwrap().line), (9, 11));
        assert!(second.get("x").is_none());
        assert_eq!(repeated, []);
        let (_, repeated) = lines("a: 1\nb: {c: 1, c: 2}\n<<: {}\n<<: {}\na: 2\n");
        assert_eq!(repeated, [("c".to_owned(), 2), ("a".to_owned(), 5)]);
        let (_, repeated) = lines("a: [{b: 1}]\na: [{b: 1}]\n");
        assert_eq!(repeated, [("a".to_owned(), 2)]);
    }

    #[test]
    fn a_second_document_has_a_line() {
        assert_eq!(second_document("a: 1\n---\nb: 2\n"), Some(2));
        assert_eq!(second_document("---\na: 1\n...\n"), None);
        assert_eq!(second_document(""), None);
    }

    #[test]
    fn keys_with_anchors_are_known() {
        assert_eq!(anchored_keys(TEXT), HashSet::from(["defaults".to_owned()]));
    }
}

//! Builds a value from the events of the YAML parser, within limits of depth and size.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::scalar::{of_cloud_controller, scalar};
use super::{MAX_DEPTH, MAX_VALUES, Map, Value, YamlError, size_of};

/// A list or map that is not complete yet.
struct Open {
    anchor: usize,
    /// The depth of the values in it.
    height: usize,
    node: OpenNode,
}

enum OpenNode {
    List(Vec<Value>),
    Map { map: Map, key: Option<Key> },
}

enum Key {
    Plain(Value),
    Merge,
}

/// A value, its depth, and the number of values in it.
#[derive(Clone)]
struct Loaded {
    value: Value,
    height: usize,
    size: usize,
}

#[derive(Default)]
pub(super) struct Loader {
    open: Vec<Open>,
    anchors: HashMap<usize, Loaded>,
    values: usize,
    root: Option<Value>,
    /// Whether the keys of the outermost map are read as strings.
    text_keys: bool,
    /// Whether the Cloud Controller wrote the text.
    is_of_cloud_controller: bool,
}

impl Loader {
    pub(super) fn with_text_keys() -> Self {
        Self {
            text_keys: true,
            ..Self::default()
        }
    }

    pub(super) fn of_cloud_controller() -> Self {
        Self {
            is_of_cloud_controller: true,
            ..Self::default()
        }
    }

    /// The options that match libyaml.
    pub(super) fn options() -> granit_parser::Options {
        granit_parser::options! {
            block_scalar_eof_without_line_feed: true,
            bom_inside_document_as_content: true,
        }
    }

    pub(super) fn load(mut self, text: &str) -> Result<Value, YamlError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for next in Parser::new_from_str_with_options(text, Self::options()) {
            let (event, span) = next.map_err(|error| not_yaml(&error))?;
            if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
                break;
            }
            self.take(event).map_err(|reason| YamlError {
                line: line_of(&span),
                reason,
            })?;
        }
        Ok(self.root.unwrap_or(Value::Null))
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let merge = style == ScalarStyle::Plain && text == "<<" && tag.is_none();
                if merge && self.take_merge_key() {
                    return Ok(());
                }
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if self.text_keys && self.is_at_key() {
                    Value::text(text.as_ref())
                } else if self.is_of_cloud_controller && is_plain {
                    of_cloud_controller(&text)
                } else {
                    scalar(&text, style, tag.as_deref())?
                };
                self.put(value, 0, 1, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(anchor, OpenNode::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.begin(
                anchor,
                OpenNode::Map {
                    map: Map::default(),
                    key: None,
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(loaded) = self.anchors.get(&anchor).cloned() else {
                    return Err("an anchor's value contains itself".to_owned());
                };
                self.put(loaded.value, loaded.height, loaded.size, 0)
            }
            _ => Ok(()),
        }
    }

    /// Whether the next value is a key of the outermost map.
    fn is_at_key(&self) -> bool {
        match self.open.as_slice() {
            [open] => matches!(open.node, OpenNode::Map { key: None, .. }),
            _ => false,
        }
    }

    /// Whether `<<` is at the position of a key.
    fn take_merge_key(&mut self) -> bool {
        match self.open.last_mut().map(|open| &mut open.node) {
            Some(OpenNode::Map { key, .. }) if key.is_none() => {
                *key = Some(Key::Merge);
                true
            }
            _ => false,
        }
    }

    fn begin(&mut self, anchor: usize, node: OpenNode) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.open.push(Open {
            anchor,
            height: 0,
            node,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.node {
            OpenNode::List(list) => Value::List(list),
            OpenNode::Map { map, .. } => Value::Map(map),
        };
        let size = match open.anchor {
            0 => 1,
            _ => size_of(&value),
        };
        self.put(value, open.height + 1, size, open.anchor)
    }

    /// Adds a complete value to its parent. The values of an alias are counted again.
    fn put(
        &mut self,
        value: Value,
        height: usize,
        size: usize,
        anchor: usize,
    ) -> Result<(), String> {
        self.values += if anchor == 0 { size } else { 1 };
        if self.values > MAX_VALUES {
            return Err(format!("it contains more than {MAX_VALUES} values"));
        }
        if self.open.len() + height > MAX_DEPTH {
            return Err(too_deep());
        }
        if anchor != 0 {
            let value = value.clone();
            let loaded = Loaded {
                value,
                height,
                size,
            };
            self.anchors.insert(anchor, loaded);
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        open.height = open.height.max(height);
        match &mut open.node {
            OpenNode::List(list) => list.push(value),
            OpenNode::Map { map, key } => match key.take() {
                None if matches!(value, Value::List(_) | Value::Map(_)) => {
                    return Err(format!("a key is {}, must be a scalar", value.kind()));
                }
                None => *key = Some(Key::Plain(value)),
                Some(Key::Plain(key)) => map.set(key, value),
                Some(Key::Merge) => merge(map, value)?,
            },
        }
        Ok(())
    }
}

/// Merges as the CLI's parser does: merged keys replace earlier keys, and later keys
/// replace merged keys. In a list, the first map takes precedence.
fn merge(map: &mut Map, value: Value) -> Result<(), String> {
    let maps = match value {
        Value::List(list) => list,
        map => vec![map],
    };
    for source in maps.into_iter().rev() {
        let Value::Map(source) = source else {
            return Err("`<<` merges a map or a list of maps".to_owned());
        };
        for (key, value) in source {
            map.set(key, value);
        }
    }
    Ok(())
}

fn too_deep() -> String {
    format!("lists and maps are more than {MAX_DEPTH} deep")
}

fn not_yaml(error: &ScanError) -> YamlError {
    YamlError {
        line: error.marker().line(),
        reason: error.info().to_owned(),
    }
}

fn line_of(span: &Span) -> usize {
    span.start.line()
}

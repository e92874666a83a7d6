//! Reads the files of a spec: YAML where the values of variables replace `((name))`.

use std::io;
use std::path::{Path, PathBuf};

use super::node::{Data, Node};
use super::problem::{Location, Problems, SpecError, SpecProblemReason};
use crate::manifest::variables::Interpolated;
use crate::manifest::yaml::{Lines, Value, lines, second_document};
use crate::manifest::{Variables, text};

/// The name of standard input.
const STANDARD_INPUT: &str = "-";

/// The maximum number of values of a spec, including values of variables.
const MAX_VALUES: usize = 1_000_000;

/// A file with its text.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
    /// The folder that relative paths refer to.
    pub(super) folder: PathBuf,
}

/// The files of some paths: each file, and the `*.yml` and `*.yaml` files of each folder,
/// in order. `-` is standard input.
pub(super) fn sources<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Source>, SpecError> {
    let mut sources = Vec::new();
    let mut has_read_input = false;
    for path in paths {
        let path = path.as_ref();
        if path.as_os_str() == STANDARD_INPUT {
            if std::mem::replace(&mut has_read_input, true) {
                let again = io::Error::other("standard input can be read only once");
                return Err(failed(path)(again));
            }
            let text = text::read_from(io::stdin().lock()).map_err(failed(path))?;
            sources.push(Source {
                name: "standard input".to_owned(),
                text,
                folder: PathBuf::new(),
            });
            continue;
        }
        for file in files(path)? {
            sources.push(Source {
                name: file.display().to_string(),
                text: text::read(&file).map_err(failed(&file))?,
                folder: file.parent().map(Path::to_owned).unwrap_or_default(),
            });
        }
    }
    Ok(sources)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SpecError {
    let path = path.to_owned();
    |source| SpecError::Read { path, source }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, SpecError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = path.read_dir().map_err(failed(path))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed(path))?.path();
        let extension = file.extension().and_then(|it| it.to_str());
        if matches!(extension, Some("yml" | "yaml")) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(SpecError::NoFiles {
            path: path.to_owned(),
        }),
        false => Ok(files),
    }
}

/// The parsed files. Files that are not YAML are reported.
pub(super) fn documents(
    sources: &[Source],
    variables: &Variables,
    problems: &mut Problems,
) -> Vec<Node> {
    let mut documents = Vec::new();
    let mut rest = MAX_VALUES;
    for (file, source) in sources.iter().enumerate() {
        let value = match Value::parse(&source.text) {
            Ok(value) => value,
            Err(error) => {
                let line = error.line();
                let reason = SpecProblemReason::Yaml(error.reason().to_owned());
                problems.add(Location { file, line }, reason);
                continue;
            }
        };
        if let Some(line) = second_document(&source.text) {
            let reason = "a second document begins here, must be in a separate file";
            problems.add(
                Location { file, line },
                SpecProblemReason::Yaml(reason.to_owned()),
            );
        }
        let (lines, repeated) = lines(&source.text);
        for (key, line) in repeated {
            problems.add(
                Location { file, line },
                SpecProblemReason::RepeatedKey { key },
            );
        }
        let mut loader = Loader {
            variables,
            problems,
            rest: &mut rest,
        };
        documents.push(loader.node(value, Location { file, line: 1 }, Some(&lines)));
        if rest == 0 {
            let reason = format!("the spec has more than {MAX_VALUES} values");
            problems.refused(Location { file, line: 1 }, "too large", reason);
            break;
        }
    }
    documents
}

struct Loader<'a> {
    variables: &'a Variables,
    problems: &'a mut Problems,
    /// The number of values that may still be added.
    rest: &'a mut usize,
}

impl Loader<'_> {
    /// A value with its location. Without lines, it has the location of its parent.
    fn node(&mut self, value: Value, at: Location, lines: Option<&Lines>) -> Node {
        *self.rest = self.rest.saturating_sub(1);
        if *self.rest == 0 {
            return Node::new(at, Data::Null);
        }
        let inner = |part: &str| {
            let lines = lines.and_then(|lines| lines.get(part));
            let line = lines.map_or(at.line, |lines| lines.line);
            (Location { line, ..at }, lines)
        };
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(truth) => Data::Bool(truth),
            Value::Int(number) => Data::Int(number),
            Value::Float(number) => Data::Float(number),
            Value::Text(text) => return self.text(text, at),
            Value::List(list) => {
                let items = list.into_iter().enumerate().map(|(place, item)| {
                    let (at, lines) = inner(&place.to_string());
                    self.node(item, at, lines)
                });
                Data::List(items.collect())
            }
            Value::Map(map) => {
                let mut entries: Vec<(String, Node)> = Vec::with_capacity(map.len());
                for (key, value) in map {
                    let key = key.scalar_text().unwrap_or_default();
                    let (at, lines) = inner(&key);
                    let key = self.key(key, at, &entries);
                    entries.push((key, self.node(value, at, lines)));
                }
                Data::Map(entries)
            }
        };
        Node::new(at, data)
    }

    /// Reads a string and replaces its variables.
    fn text(&mut self, text: String, at: Location) -> Node {
        if !text.contains("((") {
            return Node::new(at, Data::Text(text));
        }
        match self.variables.interpolate_in_spec(&text) {
            Ok(Interpolated::Variable(value)) => Self::supplied(value, at, self.rest),
            Ok(Interpolated::Text {
                text,
                has_variables,
            }) => Node {
                is_variable: has_variables,
                ..Node::new(at, Data::Text(text))
            },
            Err(error) => {
                let reason = SpecProblemReason::Variable(error.to_string());
                self.problems.add(at, reason);
                Node::new(at, Data::Unresolved(text))
            }
        }
    }

    /// A value of a variable. Variables in it are not replaced.
    fn supplied(value: Value, at: Location, rest: &mut usize) -> Node {
        *rest = rest.saturating_sub(1);
        let data = match value {
            _ if *rest == 0 => Data::Null,
            Value::Null => Data::Null,
            Value::Bool(truth) => Data::Bool(truth),
            Value::Int(number) => Data::Int(number),
            Value::Float(number) => Data::Float(number),
            Value::Text(text) => Data::Text(text),
            Value::List(list) => {
                let items = list.into_iter().map(|item| Self::supplied(item, at, rest));
                Data::List(items.collect())
            }
            Value::Map(map) => {
                let entries = map.into_iter().map(|(key, value)| {
                    let key = key.scalar_text().unwrap_or_default();
                    (key, Self::supplied(value, at, rest))
                });
                Data::Map(entries.collect())
            }
        };
        Node {
            is_variable: true,
            is_supplied: true,
            ..Node::new(at, data)
        }
    }

    fn key(&mut self, key: String, at: Location, others: &[(String, Node)]) -> String {
        if !key.contains("((") {
            return key;
        }
        match self.variables.interpolate_in_spec(&key) {
            Ok(interpolated) => {
                let key = match interpolated {
                    Interpolated::Text { text, .. } => text,
                    Interpolated::Variable(value) => value.scalar_text().unwrap_or(key),
                };
                if others.iter().any(|(other, _)| *other == key) {
                    let key = key.clone();
                    self.problems
                        .add(at, SpecProblemReason::RepeatedKey { key });
                }
                key
            }
            Err(error) => {
                let reason = SpecProblemReason::Variable(error.to_string());
                self.problems.add(at, reason);
                key
            }
        }
    }
}
